"""LaTeX of results: one tabular that compiles, numbers by their errors, text that stays text."""

import json
import re

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser
from sklearn.linear_model import LinearRegression

import scalefit as sf
from scalefit.latex import escaped, latex_of, symbol
from scalefit.sheets import Ends, Number, PlusMinus, Sheet, Symbol

PYTHIA = sf.load("pythia").where("kept")
FIT = sf.fit(sf.PowerLaw, PYTHIA, inputs="params")
RUNS = sf.simulate(
    sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 2e10, 8), tokens=[1e10, 3e10, 1e11, 3e11]), noise=0.005
)
PLANE = sf.fit(sf.Chinchilla, RUNS)
BOOT = sf.bootstrap(PLANE, resamples=60)
BEST = sf.compute_optimal(BOOT, [1e20, 1e21, 1e22, 1e23])
NOT_OK = sf.fit(sf.PowerLaw, sf.load("cerebras_gpt").where("family == cerebras-gpt"), inputs="params_nonembed")
NASTY = "a_b%\n\\input{/etc/passwd} ^^M $x$ #1 & ~ [x] {y} <z>"
RESULTS = {
    "fit": FIT,
    "not ok": NOT_OK,
    "surface": sf.fit(sf.AnovaKernelRidge(), RUNS),
    "curves": sf.fit_curves(sf.PowerLaw, RUNS, along="params", at="tokens"),
    "bootstrap": BOOT,
    "refused": sf.bootstrap(NOT_OK, resamples=40),
    "frontier": BEST,
    "plain frontier": sf.compute_optimal(PLANE, [1e20, 1e21]),
    "exponents": BEST.exponents(),
    "validation": sf.validate({"law": sf.Chinchilla, NASTY: LinearRegression()}, RUNS, cv=3),
    "column": sf.fit(
        sf.PowerLaw, sf.LossTable.from_frame(PYTHIA.to_frame().assign(**{NASTY: PYTHIA.params})), inputs=NASTY
    ),
}


def parts(text):
    """Comments, columns, and rows of cells of a table whose form is checked."""
    lines = text.splitlines()
    comments = [line for line in lines if line.startswith("%")]
    body = [line for line in lines if not line.startswith("%")]
    columns = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", body[0])[1]
    assert (body[1], body[-2], body[-1]) == (r"\toprule", r"\bottomrule", r"\end{tabular}")
    rows = []
    for line in body[2:-2]:
        if line == r"\midrule":
            continue
        assert line.endswith(r" \\")
        assert line[0] not in "[*"  # they would be an option of the line break before
        assert not re.search(r"(?<!\\)[#%~^]", re.sub(r"\$[^$]*\$", "", line.replace(r"\$", "")))
        assert len(re.findall(r"(?<!\\)\{", line)) == len(re.findall(r"(?<!\\)\}", line))
        assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)&", line[:-3])])
    return comments, columns, rows


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_a_table_has_the_form_that_compiles(result):
    text = result.to_latex()
    comments, columns, rows = parts(text)
    assert {len(row) for row in rows if "multicolumn" not in row[0]} == {len(columns)}
    assert comments[-1] == r"% needs \usepackage{booktabs}"
    assert text.isascii()
    assert text.endswith("\\end{tabular}\n")
    for formula in re.findall(r"(?<!\\)\$[^$]+(?<!\\)\$", "".join(cell for row in rows for cell in row)):
        MathTextParser("path").parse(formula)  # raises where it is no formula


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_a_comment_has_the_protocol_in_one_line(result):
    (line,) = [line for line in result.to_latex().splitlines() if line.startswith("% protocol ")]
    protocol = json.loads(line.removeprefix("% protocol "))
    assert protocol["scalefit"] == sf.__version__
    assert len(protocol) > 1


def test_the_protocol_repeats_the_numbers():
    (line,) = [line for line in BOOT.to_latex().splitlines() if line.startswith("% protocol ")]
    protocol = json.loads(line.removeprefix("% protocol "))
    assert protocol["table"]["digest"] == RUNS.digest
    assert protocol["bootstrap"] == {"scheme": BOOT.words, "resamples": 60, "seed": 0}
    assert protocol["objective"] == {"name": "Huber", "space": "log", "delta": 0.001}


def test_estimates_are_rounded_by_their_standard_errors():
    _, _, rows = parts(BOOT.to_latex(level=0.8))
    assert rows[0] == ["", "estimate", "standard error", r"80 \% interval"]
    for row, interval in zip(rows[1:], (BOOT.interval(name, 0.8) for name in BOOT.parameters), strict=True):
        decimals = max(1 - int(f"{interval.standard_error:.1e}".partition("e")[2]), 0)
        if interval.standard_error < 10:
            assert row[1] == f"${interval.estimate:.{decimals}f}$"
            assert row[3] == f"$[{interval.low:.{decimals}f}, {interval.high:.{decimals}f}]$"
    assert [row[0] for row in rows[1:]] == ["$E$", "$A$", "$B$", r"$\alpha$", r"$\beta$"]


def test_what_is_wrong_stands_in_the_table_and_in_its_comments():
    text = NOT_OK.to_latex()
    assert r"\multicolumn{3}{l}{fit not ok: E\_AT\_ZERO} \\" in text
    assert text.splitlines()[1].startswith("% NOT OK: E is at its lower bound 0")
    assert "multicolumn" not in FIT.to_latex()
    refused = RESULTS["refused"].to_latex()
    assert refused.count(" & refused ") == 3
    assert "the fit is not ok" in refused


def test_a_frontier_has_a_row_per_budget_and_says_where_there_is_none():
    _, _, rows = parts(RESULTS["plain frontier"].to_latex())
    assert rows[0] == ["$C$ (FLOPs)", "$N$", "$D$", "$L$", "$D/N$", "bracketed"]
    assert [row[0] for row in rows[1:]] == ["$10^{20}$", "$10^{21}$"]
    _, _, rows = parts(sf.compute_optimal(RESULTS["surface"], [1e21, 1e27]).to_latex())
    assert rows[-1] == ["$10^{27}$", "--", "--", "--", "--", "none"]
    _, columns, rows = parts(BEST.to_latex(level=0.5))
    assert (len(columns), rows[0][2]) == (10, r"50 \%")


def test_means_over_slices_stand_below_a_rule():
    curves = RESULTS["curves"]
    _, _, rows = parts(curves.to_latex())
    assert len(rows) == 1 + len(curves) + 2
    assert rows[-2][0] == "mean of ok"
    assert rows[-2][2] == f"${curves.mean('E'):.4g}$"


def test_text_of_a_user_stays_text():
    text = RESULTS["column"].to_latex() + RESULTS["validation"].to_latex()
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert r"\input" not in body
    assert r"a\_b\% \textbackslash{}input\{/etc/passwd\} \textasciicircum{}\textasciicircum{}M \$x\$ \#1 \& " in body
    assert all(line.startswith(("%", "\\", "$", "law", "a\\_b", " &")) for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "tex"),
    [("[x", "{[}x"), ("*", "{*}"), ("a\nb", "a b"), ("\x1b", r"\textbackslash{}x1b"), ('"', "''"),
     ("a|b", r"a\textbar{}b")],
)  # fmt: skip
def test_what_tex_would_take_for_its_own_is_escaped(text, tex):
    assert escaped(text) == tex


@pytest.mark.parametrize(
    ("name", "tex"),
    [("E", "$E$"), ("N_c", "$N_{c}$"), ("alpha_N", r"$\alpha_{N}$"), ("c0", "$c_{0}$"), ("tokens_per_param", "$D/N$"),
     ("beta_data", r"$\beta_{\mathrm{data}}$"), ("scale", "scale"), ("lr_x", r"lr\_x"), ("a_b_c", r"a\_b\_c"),
     ("", "")],
)  # fmt: skip
def test_parameters_are_letters_and_other_names_are_text(name, tex):
    assert symbol(name) == tex


@pytest.mark.parametrize(
    ("cell", "tex"),
    [
        (Number(1.797e9, error=2.1e8), r"$1.80\times10^{9}$"),
        (Number(1e20), "$10^{20}$"),
        (Number(-0.5), "$-0.5$"),
        (Number(float("nan")), "--"),
        (Number(float("inf")), r"$\infty$"),
        (Ends(1.5e9, 2.1e9, 2e8), r"$[1.50, 2.10]\times10^{9}$"),
        (Ends(8.5e8, 2.1e9, 2e8), r"$[8.5\times10^{8}, 2.10\times10^{9}]$"),
        (Ends(0.5, float("inf")), r"$[0.5, \infty]$"),
        (Ends(float("nan"), float("nan")), "refused"),
        (PlusMinus(6.0912e-4, 6.3e-5), r"$(6.09 \pm 0.63)\times10^{-4}$"),
        (PlusMinus(9.4, 1.8), r"$9.4 \pm 1.8$"),
        (PlusMinus(2.0, float("nan")), "$2$"),
        (Symbol("x", r"x^{2}"), "$x^{2}$"),
    ],
)
def test_cells_are_formulas(cell, tex):
    assert latex_of(Sheet("ok", (), "", ("",), ((cell,),)), {}).splitlines()[-3] == rf"{tex} \\"
