"""`scalefit theory ...`: what it prints and writes, its exit codes, bad and hostile input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import scalefit as sf
from scalefit.theory.baseline import counting_baseline
from scalefit.theory.counting import counted_losses
from scalefit.theory.dimension import intrinsic_dimension, width_exponent
from scalefit.theory.experiments import allocation_runs, percentiles, scaling_runs
from scalefit.theory.model_scaling import break_rank
from scalefit.theory.percolation import DataScaling, ModelScaling, local_exponent
from scalefit.theory_commands import theory_app
from scalefit.theory_files import read_adjacency, read_numbers

RING = "# a ring\n0 1\n1 2\n2,3\n3 4\n4 0\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ring.txt").write_text(RING, encoding="utf-8")
    Path("narrow.csv").write_text("params,depth\n10,1\n20,2\n", encoding="utf-8")


def run(*arguments):
    environment = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner().invoke(theory_app, [str(one) for one in arguments], env=environment)


def content(*arguments, code=0):
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def words(*arguments, code=0):
    result = run(*arguments)
    assert result.exit_code == code, result.output
    return " ".join(result.stdout.split())


def message(*arguments):
    """The one line on stderr of a run that failed with exit code 1."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def usage(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.replace("│", " ").split())


def walks(**columns):
    """A table of runs on walks, as scaletrain writes it."""
    tokens = np.geomspace(1e4, 1e7, 7)
    frame = pd.DataFrame({"tokens": tokens, "loss": 2.0 + 3000 / tokens**0.9, "loss_floor": 2.0, **columns})
    frame.assign(loss_counting=frame["loss_floor"] + 4500 / tokens).to_csv("walks.csv", index=False)
    return frame


# Counting.


def test_the_baseline_of_a_list_of_edges_is_that_of_its_graph():
    found = content("baseline", "ring.txt", "--tokens", 500, "--tokens", 5e4)
    assert (found["entropy"], found["coefficient"]) == (pytest.approx(np.log(2)), 2.5)
    assert [row["tokens"] for row in found["rows"]] == [500, 50_000]
    assert found["rows"][0]["predicted"] == pytest.approx(np.log(2) + 2.5 / 500)
    assert [row["tokens"] for row in content("baseline", "ring.txt")["rows"]] == [10, 100, 1000]
    assert content("baseline", "ring.txt", "--directed") == {
        "entropy": 0, "coefficient": 0, "loss": "cross_entropy",
        "rows": [{"tokens": n, "predicted": 0} for n in (1, 10, 100)],
    }  # fmt: skip
    assert content("baseline", "ring.txt", "--loss", "squared_error")["coefficient"] == 2.5


def test_models_that_count_are_laid_beside():
    asked = ("baseline", "ring.txt", "--tokens", 2000, "--models", 40, "--smoothing", 0.25, "--seed", 3)
    (row,) = content(*asked)["rows"]
    losses = counted_losses(read_adjacency(Path("ring.txt")), 2000, models=40, smoothing=0.25, seed=3)
    assert row["loss"] == losses.mean()
    assert row["se"] == pytest.approx(np.std(losses, ddof=1) / np.sqrt(40))
    assert row["ratio"] == pytest.approx((losses.mean() - np.log(2)) / (2.5 / 2000))
    printed = words(*asked, "--plot", "counting.png")
    assert "H 0.693147 nats per token c 2.5" in printed
    assert "mean of 40 models that count" in printed
    assert "1 where the leading order is all" in printed
    assert "nats" not in words("baseline", "ring.txt", "--loss", "squared_error")
    assert Path("counting.png").stat().st_size > 1000
    words("baseline", "ring.txt", "--plot", "line.png")
    assert 1000 < Path("line.png").stat().st_size != Path("counting.png").stat().st_size


def test_runs_on_walks_have_their_own_baseline():
    frame = walks()
    found = content("baseline", "--runs", "walks.csv")
    assert (found["entropy"], found["coefficient"]) == (2.0, pytest.approx(4500))
    assert [row["loss"] for row in found["rows"]] == frame["loss"].tolist()
    ratios = [row["ratio"] for row in found["rows"]]
    assert ratios == pytest.approx(3000 / 4500 * frame["tokens"].to_numpy() ** 0.1, rel=1e-6)
    assert found["fit"]["parameters"]["alpha"] == pytest.approx(0.9, abs=0.01)
    printed = words("baseline", "--runs", "walks.csv", "--plot", "walks.svg", "-o", "walks.json")
    assert printed.startswith("OK ")
    assert "the lowest of the runs with so many tokens" in printed
    assert "power law 2 + 3000 D^-0.9, fitted to all runs" in printed
    assert "below 1 is better than counting" in printed
    assert "counting" in Path("walks.svg").read_text(encoding="utf-8")
    assert json.loads(Path("walks.json").read_text(encoding="utf-8")) == found


def test_the_graph_of_a_list_and_runs_can_be_given_together():
    walks()
    found = content("baseline", "ring.txt", "--runs", "walks.csv")
    assert (found["coefficient"], len(found["rows"])) == (2.5, 7)


def test_lists_of_edges_are_those_of_the_trainer():
    pytest.importorskip("torch")
    from scaletrain.graph_sources import read_graph

    rng = np.random.default_rng(0)
    edges = [*rng.integers(0, 30, size=(90, 2)).tolist(), *((k, k + 1) for k in range(29)), (29, 0), (4, 4)]
    plain = "\n".join(f"{a} {b}" for a, b in [*edges, *edges[:5]])
    weighted = "\n".join(f"n{a}, n{b}, {1 + a / 10}  # an edge" for a, b in edges)
    for text in (plain, weighted):
        Path("edges.txt").write_text(text, encoding="utf-8")
        for directed in (False, True):
            ours, theirs = (
                read_adjacency(Path("edges.txt"), directed=directed),
                read_graph("edges.txt", directed=directed),
            )
            assert counting_baseline(ours).entropy == pytest.approx(theirs.entropy, rel=1e-12)
            assert counting_baseline(ours).coefficient == (theirs.edges - theirs.nodes) / 2


# Percolation.


def test_exponents_of_percolation_are_said_with_whose_theory_they_are():
    found = content("percolation", "--c", 2, "--at", 1e6)
    assert {name: found[name] for name in ("alpha", "c/D", "nu")} == pytest.approx(
        {"alpha": 1, "c/D": 0.5, "nu": 4 / 3}
    )
    assert (found["regime"]["name"], found["regime"]["cutoff"]) == ("critical", None)
    (model,), (data,) = found["model"], found["data"]
    law = ModelScaling(alpha=1.0, manifold=0.5)
    assert (model["loss"], model["exponent"]) == (law(1e6), local_exponent(law, 1e6))
    assert model["clusters"] == break_rank(1e6, alpha=1.0, manifold=0.5)
    assert data["exponent"] == local_exponent(DataScaling(alpha=1.0, manifold=0.5), 1e6)
    printed = words("percolation", "--c", 2, "--plot", "exponents.pdf")
    assert "model exponent 0.5 one manifold: Sharma and Kaplan 2020" in printed
    assert "data exponent 0.5 neither: the two limits meet" in printed
    assert Path("exponents.pdf").read_bytes().startswith(b"%PDF")


def test_regimes_below_and_above_are_told():
    below, above = (content("percolation", "--degree", 12, "--p", p) for p in (0.05, 0.2))
    assert (below["regime"]["name"], above["regime"]["name"]) == ("subcritical", "supercritical")
    assert above["regime"]["model_exponent"] == pytest.approx(4 / 6)  # d = z / 2
    assert below["regime"]["cutoff"] == pytest.approx((1 / 11 - 0.05) ** -2)
    assert "model" not in above
    assert "finite clusters have up to about 598 sites" in words("percolation", "--p", 0.05)
    assert "d 6, half the degree" in words("percolation", "--p", 0.2)
    assert "half the degree" not in words("percolation", "--p", 0.05)
    assert content("percolation", "--tau", 2.4, "--dimension", 5)["alpha"] == pytest.approx(1.5)
    assert content("percolation", "--p", 0.05, "--sigma", 1)["regime"]["cutoff"] == pytest.approx(1 / (1 / 11 - 0.05))


@pytest.mark.parametrize("column", ["params", "tokens"])
def test_a_theory_is_fitted_beside_a_free_power_law(column):
    law = (ModelScaling if column == "params" else DataScaling)(alpha=1.0, manifold=0.5, E=1.5, A=20.0)
    sf.simulate(law, sf.grid(**{column: np.geomspace(1e3, 1e7, 9)})).to_frame().to_csv("runs.csv", index=False)
    asked = ("percolation", "--c", 2, "--runs", "runs.csv", "--inputs", column)
    found = content(*asked)
    assert found["theory"]["parameters"] == pytest.approx(law.to_dict(), rel=1e-4)
    printed = words(*asked, "--plot", "beside.svg")
    assert printed.startswith("OK ")
    assert f"free power law {found['free']['parameters']['alpha']:.4g}" in printed
    assert "percolation" in Path("beside.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("p", [(), ("--p", 0.2)])
def test_a_floor_that_is_known_is_held_in_both_laws(p):
    law = ModelScaling(alpha=1.0, manifold=0.5, E=1.5, A=20.0)
    sf.simulate(law, sf.grid(params=np.geomspace(1e3, 1e7, 9))).to_frame().to_csv("runs.csv", index=False)
    asked = ("percolation", "--c", 2, "--runs", "runs.csv", "--inputs", "params", "--fix", "E=1.4", *p)
    found = content(*asked)
    assert found["theory"]["parameters"]["E"] == found["free"]["parameters"]["E"] == 1.4
    assert "its exponents are held; A is fitted" in words(*asked)
    assert "its exponents are held; E and A are fitted" in words(*asked[: -2 - len(p)], *p)


def test_above_the_critical_probability_the_law_is_one_power():
    law = sf.PowerLaw(E=1.5, A=20.0, alpha=4 / 6)
    sf.simulate(law, sf.grid(params=np.geomspace(1e3, 1e7, 9))).to_frame().to_csv("runs.csv", index=False)
    found = content("percolation", "--p", 0.2, "--runs", "runs.csv")
    assert found["theory"]["parameters"] == pytest.approx(law.to_dict(), rel=1e-6)


def test_a_theory_that_fits_badly_ends_with_code_3():
    frame = pd.DataFrame({"params": np.geomspace(1e3, 1e7, 9), "loss": np.linspace(2, 3, 9)})  # it rises
    frame.to_csv("rises.csv", index=False)
    assert "NOT OK" in words("percolation", "--runs", "rises.csv", code=3)


# Dimensions.


def test_the_dimension_of_a_cloud_and_its_exponent():
    rng = np.random.default_rng(0)
    sheet = rng.random((400, 2)) @ rng.normal(size=(2, 5))
    np.save("sheet.npy", sheet)
    pd.DataFrame(sheet, columns=list("abcde")).assign(name="x").to_csv("sheet.csv", index=False)
    found, expected = content("dimension", "sheet.npy", "--c", 2, "--level", 0.9), intrinsic_dimension(sheet, level=0.9)
    assert found["dimension"] == vars(expected)
    assert found["exponent"]["value"] == 2 / expected.value
    columns = [part for name in "abcde" for part in ("--columns", name)]
    assert content("dimension", "sheet.csv", *columns, "--discard", 0)["dimension"] == pytest.approx(
        vars(intrinsic_dimension(sheet, discard=0.0)), rel=1e-9
    )
    assert "400 points" in words("dimension", "sheet.npy", "-o", "made.json")
    assert "dimension" in json.loads(Path("made.json").read_text(encoding="utf-8"))


def test_widths_are_those_of_chinchilla_or_of_a_table():
    assert content("widths")["b"] == vars(width_exponent())
    assert "Table A9, 50 models" in words("widths")
    pd.DataFrame({"width": [64, 128, 256, 512], "params": [1e6, 4e6, 1.7e7, 6e7]}).to_csv("models.csv", index=False)
    found = content("widths", "models.csv")
    expected = width_exponent([1e6, 4e6, 1.7e7, 6e7], [64, 128, 256, 512])
    assert found["b"] == pytest.approx(vars(expected))
    assert found["1/b"] == pytest.approx(1 / expected.value)


# Experiments.


def test_figure_5_is_a_table_that_can_be_read():
    found = content("experiment", "fig5", "--count", 12, "--seed", 4, "-o", "runs.csv", "--plot", "runs.png")
    expected = allocation_runs(12, seed=4)
    pd.testing.assert_frame_equal(pd.read_csv("runs.csv"), expected, check_dtype=False)
    assert len(sf.LossTable.read("runs.csv")) == 13
    assert found["theory"]["loss"] == expected["loss"][0]
    assert found["lowest"]["loss"] == expected["loss"][1:].min()
    assert found["lowest"]["nu"] == expected["nu"][1:][expected["loss"][1:].idxmin()]
    assert found["share_below_theory"] == pytest.approx(np.mean(expected["loss"][1:] < expected["loss"][0]))
    assert found["median_loss"] == expected["loss"][1:].median()
    assert Path("runs.png").stat().st_size > 1000
    assert "12 random allocations of 76.73 degrees of freedom, small clusters" in words(
        "experiment", "fig5", "--count", 12, "--seed", 4
    )


@pytest.mark.parametrize(("of", "column"), [("model", "params"), ("data", "tokens")])
def test_figure_6_is_a_table_that_scalefit_fits(of, column):
    asked = ("experiment", f"fig6-{of}", "--count", 3, "--seed", 1)
    found = content(*asked, "-o", "runs.csv")
    expected = scaling_runs(of, seeds=3, seed=1)
    pd.testing.assert_frame_equal(pd.read_csv("runs.csv"), expected, check_dtype=False)
    medians = percentiles(expected)
    assert [row["loss"] for row in found["rows"]] == medians["loss"].tolist()
    assert [row["loss_p84"] for row in found["rows"]] == medians["loss_p84"].tolist()
    assert [row["predicted"] for row in found["rows"]] == expected.groupby(column)["predicted"].median().tolist()
    assert sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), sf.LossTable.read("runs.csv"), inputs=column).ok
    printed = words(*asked, "--plot", "runs.svg")
    assert "3 seeds of small clusters" in printed
    assert Path("runs.svg").exists()


# What the commands share.


def test_help_names_every_command():
    printed = words("--help")
    for name in ("baseline", "percolation", "dimension", "widths", "experiment"):
        assert name in printed


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['theory', '--help']\n"
        "import atexit; atexit.register(lambda: print('LOADED', *sys.modules))\n"
        "from scalefit.theory_commands import theory_app\ntheory_app()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in result.stdout.rpartition("LOADED")[2].split()}
    assert "scalefit" in loaded
    assert loaded.isdisjoint({"numpy", "scipy", "pandas", "matplotlib", "sklearn", "torch", "networkx"})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("baseline",), "name a list of edges, or --runs of walks"),
        (("baseline", "--runs", "walks.csv", "--models", 3), "take the place of --runs"),
        (("baseline", "ring.txt", "--seed", 3), "Add --models"),
        (("baseline", "ring.txt", "--smoothing", 1), "Add --models"),
        (("baseline", "--runs", "walks.csv", "--loss", "squared_error"), "of runs is the cross-entropy"),
        (("baseline", "ring.txt", "--plot", "x.gif"), "must end in .png"),
        (("percolation", "--inputs", "params"), "--inputs: is said of --runs"),
        (("percolation", "--fix", "E=1"), "--fix: is said of --runs"),
        (("percolation", "--runs", "pythia", "--fix", "alpha=0.5"), "holds E alone"),
        (("percolation", "--where", "kept", "--drop-invalid"), "--where, --drop-invalid: is said of --runs"),
        (("percolation", "--p", 0.2, "--plot", "x.png"), "there are no curves without --runs"),
        (("baseline", "ring.txt", "--where", "kept"), "is said of --runs"),
        (("baseline", "--runs", "walks.csv", "--tokens", 10), "are those of --runs"),
        (("baseline", "--runs", "walks.csv", "--directed"), "is said of GRAPH"),
        (("percolation", "--runs", "pythia", "--at", 1e6), "goes without --runs"),
        (("experiment", "fig5", "-o", "runs.json"), "its name ends in .csv"),
        (("experiment", "fig7"), "fig7"),
        (("experiment", "fig5", "--count", 0), "than or equal to 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, expected):
    assert expected in usage(*arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("baseline", "none.txt"), "none.txt could not be read"),
        (("baseline", "ring.txt", "--tokens", 0.5), "tokens must be whole numbers"),
        (("baseline", "ring.txt", "--tokens", -1), "tokens must be positive"),
        (("baseline", "ring.txt", "--models", 5, "--smoothing", -1), "smoothing must be finite and not negative"),
        (("baseline", "ring.txt", "--models", 5, "--smoothing", 0, "--tokens", 3), "5 of 5 models missed a transition"),
        (("baseline", "--runs", "pythia"), "has no loss_floor and no loss_counting"),
        (("baseline", "ring.txt", "--directed", "--plot", "x.png"), "every step of this walk is certain"),
        (("percolation", "--tau", 2), "tau must be between 2 and 3"),
        (("percolation", "--p", 1), "p is the probability that a bond is open"),
        (("percolation", "--degree", 2), "from 3 on, but it is 2"),
        (("percolation", "--c", 0), "c must be positive"),
        (("percolation", "--at", -3), "sizes must be positive"),
        (("percolation", "--runs", "pythia", "--where", "kept", "--inputs", "flops"), "of params or of tokens"),
        (("dimension", "none.csv"), "no file none.csv"),
        (("dimension", "none.npy"), "none.npy could not be read"),
        (("widths", "ring.txt"), "has one column"),
        (("widths", "narrow.csv"), "has no column 'width'; it has params, depth"),
    ],
)
def test_bad_input_is_one_line(arguments, expected):
    assert expected in message(*arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no edges"),
        ("# only words", "has no edges"),
        ("0 1\n1 2 3\n", "line 2: an edge is two nodes and perhaps a weight"),
        ("0\n", "line 1: an edge is"),
        ("0 1 x\n", "line 1: the weight 'x' is no number"),
        ("0 1 -1\n", "weights are positive and finite, but one is -1"),
        ("0 1 nan\n", "weights are positive and finite, but one is nan"),
        ("0 1\n2 3\n", "no way back"),
        ("a\x1b[31m b c d\n", r"\x1b"),
        (b"\xff\xfe", "is no text in UTF-8"),
    ],
)
def test_lists_that_are_no_graph_are_refused_in_one_line(text, expected):
    Path("bad.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert expected in message("baseline", "bad.txt")


def test_points_that_are_no_numbers_are_refused_in_words():
    np.save("flat.npy", np.zeros(5))
    np.save("words.npy", np.array([["a"]]))
    np.save("objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    Path("cut.npy").write_bytes(b"\x93NUMPY")
    pd.DataFrame({"a": [1.0, 2], "b": ["x", "y"]}).to_csv("mixed.csv", index=False)
    for name, expected in {
        "flat": "of shape (5,)", "words": "no table of numbers", "objects": "no array of numbers", "cut": "no array",
    }.items():  # fmt: skip
        assert expected in message("dimension", f"{name}.npy")
    assert "b is not of numbers alone" in message("dimension", "mixed.csv")
    assert "has no column 'z'; it has a, b" in message("dimension", "mixed.csv", "--columns", "z")
    assert "whose columns have no names" in message("dimension", "flat.npy", "--columns", "a")
    assert read_numbers(Path("mixed.csv"), ["a"]).tolist() == [[1.0], [2.0]]


def test_a_file_that_cannot_be_written_is_known_before_the_work():
    assert "no folder" in message("experiment", "fig5", "-o", "none/runs.csv")
    walks()
    assert "is the table itself" in usage("baseline", "ring.txt", "-o", "ring.txt")
    assert "is the table itself" in usage("baseline", "ring.txt", "--runs", "walks.csv", "-o", "walks.csv")
