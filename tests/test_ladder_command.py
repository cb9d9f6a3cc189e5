"""`scalefit ladder`: several tables, or one of several data sets."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import scalefit as sf
from scalefit.cli import app

DESIGN = sf.grid(params=np.geomspace(1e6, 1e9, 6), tokens=np.geomspace(1e7, 1e10, 6))
LAWS = {
    "text": sf.Chinchilla(E=1.7, A=50, B=200, alpha=0.3, beta=0.3),
    "bigram": sf.Chinchilla(E=4.0, A=900, B=9000, alpha=0.6, beta=0.6),
}
FEW = ["--resamples", "60"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = {name: sf.simulate(law, DESIGN, noise=0.001).to_frame() for name, law in LAWS.items()}
    for name, frame in frames.items():
        frame.to_csv(f"{name}.csv", index=False)
    pd.concat([frame.assign(dataset=name) for name, frame in frames.items()]).to_csv("both.csv", index=False)
    rates = [frame.assign(dataset=name, lr=lr, loss=frame["loss"] + worse)
             for name, frame in frames.items() for lr, worse in ((0.1, 0.0), (0.2, 0.3))]  # fmt: skip
    pd.concat(rates).to_csv("rates.csv", index=False)
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["ladder", *words, *FEW], env={"COLUMNS": "100"})


def rungs(result):
    return json.loads(result.stdout)["rungs"]


def test_tables_are_data_sets_named_by_their_files(folder):
    result = run("text.csv", "bigram.csv", "--json")
    assert [rung["dataset"] for rung in rungs(result)] == ["bigram", "text"]
    assert rungs(result)[0]["alpha"]["estimate"] == pytest.approx(0.6, abs=0.05)


def test_one_table_of_several_is_the_same_ladder(folder):
    apart, together = run("text.csv", "bigram.csv", "--json"), run("both.csv", "--split", "dataset", "--json")
    assert rungs(apart) == rungs(together)
    tuned = run("rates.csv", "--split", "dataset", "--best", "lr", "--json")
    assert [rung["entropy"]["estimate"] for rung in rungs(tuned)] == [
        rung["entropy"]["estimate"] for rung in rungs(apart)
    ]


def test_a_table_of_the_trainer_is_named_by_its_column(folder):
    for name in LAWS:
        (folder / name).mkdir()
        pd.read_csv(f"{name}.csv").assign(dataset=f"my {name}").to_csv(folder / name / "runs.csv", index=False)
    result = run("text/runs.csv", "bigram/runs.csv", "--json")
    assert [rung["dataset"] for rung in rungs(result)] == ["my bigram", "my text"]


def test_a_data_set_that_cannot_be_fitted_is_a_row_without_numbers(folder):
    pd.read_csv("both.csv").query("dataset != 'text' or params < 2e6").to_csv("few.csv", index=False)
    result = run("few.csv", "--split", "dataset", "-o", "few.json")
    assert result.exit_code == 3
    assert "left out: the table of 'text': No slice at constant tokens" in " ".join(result.stdout.split())
    assert [line.split() for line in result.stdout.splitlines() if line.startswith("text")] == [["text", *"------"]]
    assert list(json.loads((folder / "few.json").read_text())["left_out"]) == ["text"]
    pd.read_csv("few.csv").query("dataset == 'text'").to_csv("few.csv", index=False)
    alone = run("few.csv")
    assert alone.exit_code == 1
    assert "the table of 'text': No slice at constant tokens" in " ".join(alone.stderr.split())


def test_a_long_name_is_folded_where_it_may_be(folder):
    long = "2-grams-of-the-complete-works-bpe512"
    pd.read_csv("text.csv").assign(dataset=long).to_csv("long.csv", index=False)
    lines = CliRunner().invoke(app, ["ladder", "long.csv", *FEW], env={"COLUMNS": "80"}).stdout.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("2-grams"))
    pieces = [line.split()[0] for line in lines[first : lines.index("", first) if "" in lines else first + 4]]
    assert "".join(pieces) == long
    assert all(piece.endswith("-") for piece in pieces[:-1])
    assert max(map(len, lines)) <= 80
    assert "\u2026" not in "".join(lines)


def test_no_number_is_cut_however_long_a_name_is(folder):
    for name in ("a_rather_long_name_of_a_data_set_without_hyphens", "fifteen-letters"):
        pd.read_csv("text.csv").assign(dataset=name).to_csv("named.csv", index=False)
        screen = CliRunner().invoke(app, ["ladder", "named.csv", *FEW], env={"COLUMNS": "80"}).stdout
        (rung,) = json.loads(run("named.csv", "--json").stdout)["rungs"]
        for one in (rung["entropy"], rung["alpha"], rung["beta"]):
            assert f"{one['low']:.3g} to {one['high']:.3g}" in screen


def test_rates_that_were_not_reduced_are_told(folder):
    said = " ".join(run("rates.csv", "--split", "dataset").stderr.split())
    assert "note: bigram: 72 rows stand at 36 values of params, tokens and differ in lr" in said
    assert not run("rates.csv", "--split", "dataset", "--best", "lr").stderr


def test_names_are_there_on_a_narrow_screen(folder):
    screen = CliRunner().invoke(app, ["ladder", "text.csv", *FEW], env={"COLUMNS": "50"}).stdout
    assert any(line.startswith("text ") for line in screen.splitlines())


def test_slices_are_made_as_asked(folder):
    pd.read_csv("text.csv").query("params < 3e7").to_csv("three.csv", index=False)  # three sizes, of six
    assert "fewer than --min-rows=4" in " ".join(run("three.csv").stderr.split())
    assert run("three.csv", "--min-rows", "3").exit_code != 2
    jittered = pd.read_csv("text.csv")
    jittered["tokens"] *= 1 + 0.02 * np.arange(len(jittered)) / len(jittered)
    jittered.to_csv("jittered.csv", index=False)
    assert run("jittered.csv").exit_code == 1
    assert rungs(run("jittered.csv", "--rtol", "0.03", "--json"))[0]["dataset"] == "jittered"


def test_the_screen_says_what_the_numbers_are(folder):
    result = run("text.csv", "bigram.csv", "--plot", "ladder.png", "-o", "ladder.json")
    assert result.exit_code == (0 if "OK" in result.stdout and "NOT OK" not in result.stdout else 3)
    assert "smallest E of any slice, nats per token" in result.stdout
    (doubt,) = json.loads((folder / "ladder.json").read_text())["doubts"]
    assert doubt.endswith("the interval is too short.")  # --by is no option here
    assert f"doubt {doubt}" in " ".join(result.stdout.split())
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("bigram", "text"))][-2:] == ["bigram", "text"]
    assert (folder / "ladder.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((folder / "ladder.json").read_text())["level"] == 0.95


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["both.csv"], "has 2 values (bigram, text). Say that they are data sets of their own: --split dataset"),
        (["both.csv", "--split", "data"], "both.csv has no column 'data'"),
        (["text.csv", "text.csv"], "'text' is given twice"),
        (["none.csv"], "there is no file 'none.csv'"),
    ],
)
def test_what_is_no_ladder_is_refused(folder, words, message):
    result = run(*words)
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())
