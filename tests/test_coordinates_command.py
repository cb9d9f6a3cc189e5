"""`scaletrain coord-check`: table, JSON, picture, exit codes, bad input in one message."""

import json
import re

import pytest
import typer
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from scaletrain import coordinates
from scaletrain.coordinates_command import coordinates_command

app = typer.Typer()
app.command()(coordinates_command)
SMALL = ["er:60:240", "--widths", "32,64", "--seeds", "1", "--depth", "1", "--steps", "2"]


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "120"})


@pytest.fixture
def alike(monkeypatch):
    """States that move alike at all widths, and what was asked for."""
    asked = []

    def moved(pack, graph, steps, device):
        asked.append((pack, graph, steps, device))
        return {"final": 0.5, "logits": pack.shape.width**-0.5}

    monkeypatch.setattr(coordinates, "_moved", moved)
    return asked


def test_states_that_move_with_the_width_end_with_three():
    result = run(*SMALL, "--parametrization", "sp")
    assert result.exit_code == 3, result.output
    assert "NOT OK" in result.stdout
    assert "states move with the width." in result.stdout
    assert re.search(r"^state +32 +64 +slope *$", result.stdout, re.MULTILINE)
    assert re.search(r"^layer0\.mlp +[\d.]+ +[\d.]+ +\+0\.\d{3} +NOT OK$", result.stdout, re.MULTILINE)


def test_states_that_move_alike_end_with_zero(alike):
    result = run("er:60:240", "--widths", "64,128,256")
    assert result.exit_code == 0, result.output
    assert "All states move alike at all widths." in result.stdout
    assert re.search(r"^slopes +-0\.05 to 0\.05 are allowed, -0\.6 to 0\.05 of logits *$", result.stdout, re.MULTILINE)
    assert re.search(r"^final +0\.5 +0\.5 +0\.5 +[+-]0\.000 *$", result.stdout, re.MULTILINE)
    assert re.search(r"^logits +0\.125 +0\.0884 +0\.0625 +-0\.500 *$", result.stdout, re.MULTILINE)


def test_every_option_reaches_the_check(alike):
    options = {
        "widths": "48,24", "parametrization": "sp_embed", "lr": 0.02, "steps": 3, "seeds": 2, "depth": 3, "head_dim": 8,
        "base_width": 24, "embedding_lr": 4.0,
    }  # fmt: skip
    run("er:60:240", *(part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)))
    (first, graph, steps, device), (second, *_) = alike
    assert (graph.nodes, steps, device) == (60, 3, "cpu")
    assert [one.shape.width for one in (first, second)] == [24, 48]
    assert (first.shape.depth, first.shape.head_dim) == (3, 8)
    recipe = first.recipe
    assert (recipe.parametrization, recipe.base_width, recipe.embedding_lr) == ("sp_embed", 24, 4.0)
    assert [(one.lr, one.seed, one.data_seed) for one in first.replicas] == [(0.02, 0, 0), (0.02, 1, 1)]


def test_json_is_the_check():
    result = run(*SMALL, "--json")
    content = json.loads(result.stdout)
    assert result.exit_code == (0 if content["ok"] else 3)
    assert list(content) == ["ok", "verdict", "failed", "slopes", "steps", "moved"]
    states = ["layer0.attention", "layer0.mlp", "layer0.residual", "final", "logits"]
    assert list(content["slopes"]) == states
    assert [(row["state"], row["width"]) for row in content["moved"]] == [(s, w) for w in (32, 64) for s in states]


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_written(alike, tmp_path, ending, begins):
    path = tmp_path / f"check.{ending}"
    result = run("er:60:240", "--plot", path)
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(begins)
    assert str(path) in result.stdout.replace("\n", "")


def test_equal_checks_are_equal_pictures(alike, tmp_path):
    for name in ("one.svg", "two.svg"):
        assert run("er:60:240", "--plot", tmp_path / name).exit_code == 0
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("columns", [60, 80])
def test_the_table_is_whole_on_a_narrow_terminal(alike, columns):
    result = CliRunner().invoke(app, ["er:60:240", "--widths", "64,128,256"], env={"COLUMNS": str(columns)})
    assert re.search(r"^logits +0\.125 +0\.0884 +0\.0625 +-0\.500 *$", result.stdout, re.MULTILINE)
    assert max(map(len, result.stdout.splitlines())) <= columns


def test_a_picture_that_is_the_graph_is_refused(tmp_path):
    path = tmp_path / "edges.png"
    path.write_text("a b\nb c\n", encoding="utf-8")
    result = run(path, "--widths", "16,32", "--plot", path)
    assert result.exit_code == 2
    assert "is the graph itself" in result.stderr
    assert path.read_text(encoding="utf-8") == "a b\nb c\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--widths", "64"], "at least two different widths, not [64]"),
        (
            ["--widths", "64,wide"],
            "--widths must be whole numbers separated by commas, such as 128,256,512, not '64,wide'",
        ),
        (["--widths", "64,72"], "width 72 is no multiple of head_dim 16"),
        (["--widths", "64,²"], "--widths must be whole numbers"),
        (["--lr", "-1"], "lr must be a finite number, positive, not -1.0"),
        (["--lr", "nan"], "lr must be a finite number, positive, not nan"),
        (["--steps", "0"], "steps must be a whole number from 1 on, not 0"),
        (["--depth", "0"], "depth must be a whole number from 1 on, not 0"),
        (["--base-width", "0"], "base_width must be a whole number from 1 on, not 0"),
        (["--embedding-lr", "0"], "embedding_lr must be a finite number, positive, not 0.0"),
        (["--device", "cuda:77"], "cuda:77"),
        (["--plot", "nowhere/check.png"], "nowhere/check.png could not be written (no folder"),
    ],
)
def test_bad_input_is_one_message(args, message):
    result = run("er:60:240", *args)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.parametrize("graph", ["er:60", "er:60:0", "nowhere.txt"])
def test_a_graph_that_is_none_is_one_message(graph):
    result = run(graph)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_other_pictures_are_usage_errors():
    result = run("er:60:240", "--plot", "check.gif")
    assert result.exit_code == 2
    assert "must end in .png, .svg, .pdf, not in '.gif'" in " ".join(result.stderr.split())


def test_usage_names_the_parametrizations():
    result = run("--parametrization", "ntk")
    assert result.exit_code == 2
    assert "sp_embed" in result.stderr
