"""`scaletrain walks`: what it prints and writes, its exit codes, bad and hostile input."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from scalefit.theory.baseline import counting_baseline
from scaletrain import graph_sources, ranks, walks_command
from scaletrain.graphs import Graph

app = typer.Typer()
app.command()(walks_command.walks_command)

BACKSLASH = chr(92)
SMALL = ("er:60:150", "--count", "200")


def run(*arguments):
    environment = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner().invoke(app, [str(one) for one in arguments], env=environment)


def message(result):
    """The one line on stderr of a run that failed with exit code 1."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def content(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_the_numbers_are_those_of_the_graph():
    graph = graph_sources.erdos_renyi(60, 150, seed=2).biased(1.0, seed=3, symmetric=True)
    found = content("er:60:150", "--graph-seed", 2, "--kappa", 1, "--weights-seed", 3, "--symmetric", "--length", 7)
    assert (found["nodes"], found["directed_edges"], found["digest"]) == (graph.nodes, graph.edges, graph.digest)
    assert (found["entropy"], found["floor"], found["length"]) == (graph.entropy, graph.floor(7), 7)
    assert found["uniform_entropy"] == math.log(graph.nodes)
    assert found["stationary_entropy"] == pytest.approx(-np.sum(graph.stationary * np.log(graph.stationary)))
    assert found["counting_coefficient"] == counting_baseline(graph.adjacency).coefficient
    assert found["degrees"] == {
        "least": graph.degrees.min(), "mean": pytest.approx(graph.edges / graph.nodes), "most": graph.degrees.max(),
    }  # fmt: skip
    assert found["notes"] == list(graph.notes)
    assert found["recipe"]["kappa"] == 1.0
    assert found["sampled"]["walks"] == 10_000
    assert 1e-6 < found["sampled"]["p_transitions"] <= 1


def test_the_screen_says_it_in_words():
    result = run(*SMALL, "--kappa", 1, "--support", 1, 10)
    assert result.exit_code == 0
    assert result.stderr == ""
    for words in (
        " OK ", "200 sampled walks follow the exact laws", "weights of density w^-1 on 1 to 10", "er-60-150-kappa1",
        "300 directed edges", "ln V", "counting", "/ D", "entropy rate", "from the stationary law", "chi-square, p = ",
    ):  # fmt: skip
        assert words in (result.stdout if words == " OK " else " ".join(result.stdout.split()))


def test_an_unbiased_walk_starts_by_the_stationary_law():
    assert ": the stationary law" in " ".join(run(*SMALL).stdout.split())
    assert content(*SMALL)["start_from_stationary"] < 1e-12


def test_nothing_is_sampled_where_none_is_asked_for():
    assert "nothing sampled" in run("er:60:150", "--count", 0).stdout
    assert content("er:60:150", "--count", 0)["sampled"]["p_transitions"] is None


def test_a_ring_has_nothing_to_test(tmp_path):
    path = tmp_path / "ring.txt"
    path.write_text("a b\nb c\nc a\n", encoding="utf-8")
    assert content(path, "--directed", "--count", 5)["sampled"]["p_transitions"] is None
    assert "chi-square, p = " in run(path, "--directed", "--count", 5).stdout  # of first nodes


def test_walks_that_do_not_follow_the_laws_end_with_3(monkeypatch):
    real = ranks.count_walks

    def crooked(walks, number):
        made = real(walks, number)
        return ranks.Counts(made.graph, number, walks.length, made.starts, made.nodes, made.edges[::-1].copy())

    monkeypatch.setattr(ranks, "count_walks", crooked)
    result = run("er:60:150", "--kappa", 1)
    assert result.exit_code == 3
    assert "NOT OK" in result.stdout
    assert "transitions (p = 0e+00) of the sampled walks do not follow" in " ".join(result.stdout.split())


def test_rank_tables_are_written(tmp_path):
    result = run(*SMALL, "--output", tmp_path / "ranks.csv")
    assert result.exit_code == 0
    table = pd.read_csv(tmp_path / "ranks.csv")
    assert list(table) == ["kind", "rank", "node", "next", "probability", "count"]
    assert table["kind"].value_counts().to_dict() == {"edge": 300, "node": len(table) - 300}
    np.testing.assert_allclose(table.groupby("kind")["probability"].sum(), 1.0, rtol=1e-12)
    assert table.groupby("kind")["count"].sum().to_dict() == {"edge": 200 * 49, "node": 200 * 50}


def test_rank_tables_are_the_same_as_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    for name in ("ranks.csv", "ranks.parquet"):
        assert run(*SMALL, "--output", tmp_path / name).exit_code == 0
    table, other = pd.read_parquet(tmp_path / "ranks.parquet"), pd.read_csv(tmp_path / "ranks.csv")
    pd.testing.assert_frame_equal(table.astype(other.dtypes), other, check_exact=False, rtol=1e-15)


@pytest.mark.parametrize(("name", "head"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")])
def test_pictures_are_written_and_equal_graphs_are_equal_files(tmp_path, name, head):
    found = []
    for _ in range(2):
        assert run(*SMALL, "--plot", tmp_path / name).exit_code == 0
        found.append((tmp_path / name).read_bytes())
    assert found[0].startswith(head)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.txt"], "none.txt could not be read (No such file or directory)"),
        (["er:10"], "names no graph"),
        (["er:10:99"], "10 nodes have 1 to 45 undirected edges, not 99"),
        (["er:60:150", "--directed"], "has no directions"),
        (["er:60:150", "--support", "5", "1"], "support must be two rising"),
        (["er:60:150", "--plot", "no/such/folder.png"], "no/such/folder.png could not be written (no folder"),
        (["er:60:150", "--output", "no/such/folder.csv"], "no/such/folder.csv could not be written (no folder"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_1(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    line = message(run(*arguments))
    assert line.startswith("error: ")
    assert words in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kappa", "-1"], ["--kappa", "3.5"], ["--kappa", "nan"], ["--length", "1"], ["--count", "-1"],
        ["--seed", "-1"], ["--plot", "a.gif"], ["--output", "a.txt"], ["--support", "1"], ["--nonsense"],
    ],
)  # fmt: skip
def test_bad_options_are_usage_errors(arguments):
    result = run("er:60:150", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("", [], "has no edges"),
        ("a a\n", [], "its edges lead from nodes to themselves alone"),
        ("a b\nb c\n", ["--directed"], "every walk ends or stays where it is (1 nodes have no edge that leaves them)"),
        ("a b 0\n", [], "the weight of edge 0"),
        ("a b nan\n", [], "the weight of edge 0"),
        ("a b 1e300\n", [], "the weight of edge 0"),
    ],
)
def test_graphs_that_nobody_can_walk_on_are_refused(tmp_path, text, arguments, words):
    path = tmp_path / "edges.txt"
    path.write_text(text, encoding="utf-8")
    assert words in message(run(path, *arguments))


def test_a_node_that_nobody_can_leave_is_left_out_and_said(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("a b\nb a\nb c\n", encoding="utf-8")
    result = run(path, "--directed")
    assert result.exit_code == 0
    assert "largest strongly connected part: 2 of 3 nodes, 2 of 3 directed edges" in result.stdout


def test_hostile_names_are_shown_and_never_obeyed(tmp_path):
    path = tmp_path / "ev\x1b[31m[red]il\n.csv"
    path.write_text("a\x1b[2J,b\nb,[bold]c\nc,a,x\n", encoding="utf-8")
    line = message(run(path))
    assert "\x1b" not in line
    assert f"ev{BACKSLASH}x1b[31m[red]il{BACKSLASH}n.csv, line 3" in line
    path.write_text("a\x1b[2J,b\nb,[bold]c\n", encoding="utf-8")
    result = run(path)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert f"ev{BACKSLASH}x1b[31m[red]il{BACKSLASH}n, 3 nodes" in result.stdout
    assert content(path)["name"] == path.stem


def test_the_graph_itself_is_not_written_over(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("a b\nb c\n", encoding="utf-8")
    result = run(path, "--output", path)
    assert result.exit_code == 2
    assert path.read_text(encoding="utf-8") == "a b\nb c\n"


def test_no_networkx_is_said_with_the_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    assert "pip install '.[train]'" in message(run("er:60:150"))


def test_an_edge_list_needs_no_networkx(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    path = tmp_path / "edges.txt"
    path.write_text("a b\nb c\n", encoding="utf-8")
    assert run(path).exit_code == 0


def test_an_interruption_is_130(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Graph, "floor", interrupted)
    result = run(*SMALL)
    assert result.exit_code == 130
    assert result.stderr == "error: interrupted.\n"


def test_the_help_names_every_way_to_give_a_graph():
    text = " ".join(run("--help").stdout.replace("│", " ").split())
    for words in ("er:NODES:EDGES", "ba:NODES:ATTACHED", "an edge list", ".graphml", "Exit codes: 0 ok", "--kappa"):
        assert words in text
