"""`scaletrain walks`: what a graph is, what its walks can be predicted to, and whether they follow its laws."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from scalefit.terminal import console, facts, status_line, visible, working

from .endings import NOT_OK, PICTURES, check_target, one_message, write_picture

if TYPE_CHECKING:
    from .graph_recipes import GraphRecipe
    from .graphs import Graph
    from .ranks import Counts

TABLES = (".csv", ".parquet")
BIAS = ("weights_seed", "support", "symmetric")
UNLIKELY = 1e-6  # our choice: chance seldom raises this alarm, a wrong table always


def walks_command(
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help=(
        "er:NODES:EDGES, ba:NODES:ATTACHED, an edge list (on each line two nodes, and perhaps a weight), a .graphml "
        "file, or a .toml file with a table of the name graph."))],
    graph_seed: Annotated[int | None, typer.Option(min=0, help="Seed of a random graph; 0 by default.")] = None,
    directed: Annotated[bool, typer.Option("--directed", help="The edges of the list have a direction.")] = False,
    kappa: Annotated[float | None, typer.Option(
        min=0, max=3, help="Random edge weights of density w^-kappa; 0, the default, is the unbiased walk.")] = None,
    weights_seed: Annotated[int | None, typer.Option(min=0, help="Seed of the weights; 0 by default.")] = None,
    support: Annotated[tuple[float, float] | None, typer.Option(
        metavar="LOW HIGH", help="Interval of the weights; 1 1000 by default.")] = None,
    symmetric: Annotated[bool, typer.Option(
        "--symmetric", help="Both directions of an edge share a weight; by default each has its own.")] = False,
    length: Annotated[int, typer.Option(min=2, help="Nodes of a walk.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the walks.")] = 0,
    count: Annotated[int, typer.Option(min=0, help="Walks to sample and to test; 0 samples none.")] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    output: Annotated[Path | None, typer.Option(
        "--output", "-o", help="Write the rank tables of nodes and edges: .csv or .parquet.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw probability against rank: .png, .svg or .pdf.")] = None,
) -> None:  # fmt: skip
    """Say what a graph is, and the lowest loss on its walks; sample walks and test them against the exact laws.

    Exit codes: 0 ok, 1 bad input or file, 2 usage, 3 the sampled walks do not follow the laws, 130 interrupted.
    """
    given: dict[str, Any] = {"seed": graph_seed, "kappa": kappa, "weights_seed": weights_seed, "support": support,
             "directed": directed or None, "symmetric": symmetric or None}  # fmt: skip
    with one_message():
        check_target("--output", output, TABLES, graph)
        check_target("--plot", plot, PICTURES, graph)
        with working(f"making {graph}"):
            recipe = _recipe(graph, given)
            if not recipe.kappa and any(given[name] is not None for name in BIAS):
                raise ValueError(f"--{' and --'.join(BIAS).replace('_', '-')} are of biased walks: give --kappa, too.")
            made = recipe.build()
            counts = _sampled(made, length, seed, count)
            numbers = _numbers(made, length)
        fault = _fault(counts)
        if output is not None:
            _write_tables(made, counts, output)
        if plot is not None:
            from .rank_plots import plot_ranks

            write_picture(plot, lambda: plot_ranks(made, counts))
        if as_json:
            tested: dict[str, Any] = {"walks": count, "seed": seed, "p_transitions": None, "p_first_nodes": None}
            if counts is not None:
                tested |= {"p_transitions": _finite(counts.transitions), "p_first_nodes": _finite(counts.first_nodes)}
            content = {"recipe": recipe.to_dict(), **_identity(made), **numbers, "sampled": tested}
            typer.echo(json.dumps(content, indent=1, allow_nan=False))
        else:
            console().print(_screen(made, numbers, counts, fault))
    raise typer.Exit(NOT_OK if fault else 0)


def _recipe(graph: str, given: dict[str, Any]) -> GraphRecipe:
    """Recipe of the graph, in which the options that were given replace entries."""
    from dataclasses import replace

    from .graph_recipes import GraphRecipe

    return replace(GraphRecipe.parse(graph), **{name: value for name, value in given.items() if value is not None})


def _sampled(graph: Graph, length: int, seed: int, count: int) -> Counts | None:
    from .ranks import count_walks
    from .walks import Walks

    return count_walks(Walks(graph, length=length, seed=seed), count) if count else None


def _identity(graph: Graph) -> dict[str, Any]:
    return {"name": graph.name, "digest": graph.digest, "nodes": graph.nodes, "directed_edges": graph.edges,
            "undirected": graph.undirected, "notes": list(graph.notes)}  # fmt: skip


def _numbers(graph: Graph, length: int) -> dict[str, Any]:
    """What can be said of a graph before anything is trained; losses and entropies in nats per token."""
    from scipy.special import entr

    from scalefit.theory.baseline import counting_baseline

    degrees = graph.degrees
    return {
        "degrees": {"least": int(degrees.min()), "mean": float(degrees.mean()), "most": int(degrees.max())},
        "length": length,
        "entropy": graph.entropy,
        "floor": graph.floor(length),
        "stationary_entropy": float(entr(graph.stationary).sum()),
        "uniform_entropy": math.log(graph.nodes),
        "counting_coefficient": counting_baseline(graph.adjacency).coefficient,
        "start_from_stationary": float(abs(graph.start - graph.stationary).sum() / 2),
    }


def _fault(counts: Counts | None) -> str:
    """What the tests of the sampled walks say against them; empty where nothing is."""
    tests = {} if counts is None else {"transitions": counts.transitions, "first nodes": counts.first_nodes}
    found = [f"{name} (p = {p:.0e})" for name, p in tests.items() if p < UNLIKELY]
    return f"the {' and '.join(found)} of the sampled walks do not follow the exact laws" if found else ""


def _screen(graph: Graph, numbers: dict[str, Any], counts: Counts | None, fault: str) -> Group:
    degrees, apart = numbers["degrees"], numbers["start_from_stationary"]
    start = "by the weight of a node's edges, p0_i = sum_j W_ij / sum_ij W_ij"
    start += ": the stationary law" if apart < 1e-9 else f"; {apart:.2g} from the stationary law in total variation"
    pairs = [
        ("degrees", f"{degrees['least']} to {degrees['most']}, mean {degrees['mean']:.4g}"),
        ("first node", start),
        ("digest", graph.digest),
    ]
    words = "nothing sampled"
    if counts is not None:
        pairs.append(("test", _tested(counts)))
        words = f"{counts.walks:,} sampled walks follow the exact laws"
    return Group(
        status_line(not fault, [fault or words], [("note", note) for note in graph.notes]),
        "",
        Text.assemble((visible(graph.name), "bold"), f", {graph.nodes:,} nodes, {graph.edges:,} directed edges"),
        Padding(_losses(numbers), (1, 0, 1, 1)),
        facts(pairs),
    )


def _tested(counts: Counts) -> str:
    tests = (("of transitions", counts.transitions), ("of first nodes", counts.first_nodes))
    made = [f"p = {p:.2g} {name}" for name, p in tests if not math.isnan(p)]
    return f"chi-square, {', '.join(made)}" if made else "none, there is no choice"


def _losses(numbers: dict[str, Any]) -> Table:
    """Losses that a model of a kind reaches, from the worst to the best."""
    table = Table.grid(padding=(0, 2))
    table.add_column("model", overflow="fold")
    table.add_column("nats", justify="right")
    table.add_column("what", style="dim", overflow="fold")
    floor, c = numbers["floor"], numbers["counting_coefficient"]
    for name, value, words in (
        ("uniform", f"{numbers['uniform_entropy']:.5g}", "ln V"),
        ("stationary", f"{numbers['stationary_entropy']:.5g}", "knows how often nodes are visited, walks without end"),
        ("counting", f"{floor:.5g} + {c:,.6g} / D", "has counted D transitions; leading order, D well above the edges"),
        ("floor", f"{floor:.5g}", f"knows the graph, walks of {numbers['length']} nodes"),
        ("entropy rate", f"{numbers['entropy']:.5g}", "knows the graph, walks without end"),
    ):
        table.add_row(name, value, words)
    return table


def _write_tables(graph: Graph, counts: Counts | None, path: Path) -> None:
    """Nodes and directed edges by rank, in one table."""
    from io import BytesIO

    import pandas as pd

    from scalefit.writing import write_whole

    from .ranks import bigrams, unigrams

    nodes, edges = unigrams(graph, counts).assign(kind="node"), bigrams(graph, counts).assign(kind="edge")
    table = pd.concat([nodes, edges])[["kind", *edges.columns[:-1]]].astype({"next": "Int64"})
    written = BytesIO()
    if path.suffix.lower() == ".csv":
        table.to_csv(written, index=False)
    else:
        table.to_parquet(written, index=False)
    write_whole(path, written.getvalue())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
