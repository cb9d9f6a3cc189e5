"""What results show in a notebook and on a terminal, word by word; and as frames."""

from functools import cache
from html import unescape

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import scalefit as sf
from golden_files import check_golden

SIZES = [1e8, 2e8, 4e8, 8e8, 1.6e9, 3.2e9, 6.4e9, 1.3e10, 2.6e10, 5.1e10]
RUNS = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=SIZES, tokens=[1e10, 3e10, 1e11, 3e11]), noise=0.005)
CEREBRAS = sf.load("cerebras_gpt").where("family == cerebras-gpt")
NASTY = "<img src=x onerror=alert(1)> $N$ & \x1b[31mred\n"


@cache
def plane():
    return sf.fit(sf.Chinchilla, RUNS)


@cache
def boot():
    return sf.bootstrap(plane(), resamples=300)


@cache
def not_ok():
    return sf.fit(sf.PowerLaw, CEREBRAS, inputs="params_nonembed")


@cache
def surface():
    return sf.fit(sf.AnovaKernelRidge(), RUNS)


MAKE = {
    "fit": plane,
    "fit_fixed": lambda: sf.fit(sf.LawRegressor(sf.Chinchilla, fixed={"E": 1.7}, tied={"beta": "alpha"}), RUNS),
    "fit_not_ok": not_ok,
    "fit_surface": surface,
    "curves": lambda: sf.fit_curves(sf.PowerLaw, RUNS, along="params", at="tokens"),
    "bootstrap": boot,
    "bootstrap_refused": lambda: sf.bootstrap(not_ok(), resamples=100),
    "interval": lambda: boot().interval("alpha", level=0.8),
    "frontier": lambda: sf.compute_optimal(boot(), [1e20, 1e21, 1e22, 1e23]),
    "frontier_edge": lambda: sf.compute_optimal(surface(), [1e20, 1e21, 1e26]),
    "frontier_long": lambda: sf.compute_optimal(plane(), np.geomspace(1e18, 1e24, 25)),
    "exponents": lambda: sf.compute_optimal(boot(), [1e20, 1e21, 1e22, 1e23]).exponents(),
    "validation": lambda: sf.validate({"law": sf.Chinchilla, "<linear>": LinearRegression()}, RUNS, cv=4),
}


@pytest.mark.parametrize("name", MAKE)
def test_what_a_terminal_shows_is_as_it_was(name):
    check_golden(f"notebook_{name}", repr(MAKE[name]()))


@pytest.mark.parametrize("name", MAKE)
def test_what_a_notebook_shows_is_as_it_was(name):
    check_golden(f"notebook_{name}_html", MAKE[name]()._repr_html_())


@pytest.mark.parametrize("name", MAKE)
def test_both_say_the_same_of_how_it_went(name):
    result = MAKE[name]()
    words = unescape(result._repr_html_())
    verdict = words[words.index("<b>") + 3 : words.index("</b>")]
    assert words.index("<b>") < words.index("<table") if "<table" in words else True
    shown = repr(result)
    assert {"ok": "NOT OK" not in shown, "NOT OK": "NOT OK" in shown}.get(verdict, verdict.lower() in shown.lower())
    for note in getattr(result, "notes", ()):
        assert note in words
        assert note in shown


def test_a_column_of_a_user_stays_text_everywhere():
    frame = CEREBRAS.to_frame().rename(columns={"params_nonembed": NASTY})
    fit = sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), sf.LossTable.from_frame(frame), inputs=NASTY)
    for result in (fit, sf.bootstrap(fit, resamples=40)):
        page, printed = result._repr_html_(), repr(result)
        assert "<img" not in page
        assert "&lt;img src=x onerror=alert(1)&gt; $N$ &amp; \\x1b[31mred" in page
        assert "\x1b" not in page + printed


def test_numbers_have_at_most_six_digits_in_a_notebook():
    for name in MAKE:
        page = MAKE[name]()._repr_html_()
        for cell in page.split("<td")[1:]:
            words = cell.partition(">")[2].partition("<")[0]
            for word in words.split():
                digits = "".join(c for c in word.partition("e")[0] if c.isdigit()).lstrip("0")
                assert len(digits) <= 6, words


# Frames.


def test_a_fit_is_a_row_per_parameter():
    fit = MAKE["fit_fixed"]()
    frame = fit.to_frame()
    assert dict(zip(frame["parameter"], frame["value"], strict=True)) == fit.parameters
    assert frame["how"].tolist() == ["fixed", "fitted", "fitted", "fitted", "tied to alpha"]
    assert surface().to_frame().columns.tolist() == ["parameter", "value", "how"]
    assert len(surface().to_frame()) == 0


def test_an_interval_is_the_row_of_its_bootstrap():
    row = boot().interval("alpha").to_frame()
    frame = boot().to_frame()
    assert row.iloc[0].to_dict() == frame[frame["statistic"] == "alpha"].iloc[0].to_dict()


def test_exponents_are_rows_with_intervals_where_there_are_any():
    found = MAKE["exponents"]()
    frame = found.to_frame().set_index("statistic")
    assert frame.index.tolist() == ["a", "b", "gamma", "E"]
    assert frame.loc["a", "low"] == found.intervals["a"].low
    few = sf.compute_optimal(plane(), [1e20, 1e21]).exponents().to_frame()
    assert few.to_dict("list") == {"statistic": ["a", "b"], "estimate": pytest.approx(few["estimate"].tolist())}


def test_levels_are_checked_by_every_table():
    for make in (boot().to_latex, MAKE["frontier"]().to_latex, boot().to_frame):
        with pytest.raises(ValueError, match="level must be between 0 and 1"):
            make(level=95)
        with pytest.raises(ValueError, match="method must be one of"):
            make(method="bayes")
