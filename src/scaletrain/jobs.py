"""What to train, from a TOML file: a grid of models and data sizes on one graph, or one cell of it as a job."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from .config import Pack, Recipe, Replica, Shape, steps_for
from .graph_recipes import GraphRecipe
from .graphs import Graph

TABLES = ("graph", "model", "recipe", "replicas")

Tables: TypeAlias = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Cell:
    """A model shape and how it is trained: what one point of a loss surface is the best run of.

    Attributes
    ----------
    shape : Shape
    recipe : Recipe
    """

    shape: Shape
    recipe: Recipe


@dataclass(frozen=True, eq=False)
class Job:
    """What `scaletrain train` does.

    Attributes
    ----------
    graph : Graph
    pack : Pack
    """

    graph: Graph
    pack: Pack


def read_job(path: str | os.PathLike[str]) -> Job:
    """Job of a TOML file with the tables [graph], [model], [recipe] and [replicas].

    [graph] is a `GraphRecipe`; [model] a `Shape`, whose vocabulary is the nodes of the graph; [recipe] a `Recipe`, with
    tokens or steps; each of lr, seed and data_seed in [replicas] a number or a list, and every combination is trained.

    Raises
    ------
    ValueError
        If the file is no TOML, an entry is unknown, missing or impossible, or the vocabulary is not that of the graph.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> text = '''
    ... graph = {kind = "erdos_renyi", nodes = 50, edges = 150}
    ... model = {width = 32}
    ... recipe = {tokens = 10_000, batch = 20}
    ... replicas = {lr = [0.01, 0.02], seed = [0, 1]}'''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "job.toml"
    ...     _ = path.write_text(text)
    ...     job = read_job(path)
    >>> job.pack.recipe.steps, len(job.pack.replicas), job.pack.shape.vocabulary == job.graph.nodes
    (10, 4, True)
    """
    content = read_tables(path)
    _, graph = graph_of(content, path)
    cells = cells_of(content, graph, path)
    if len(cells) > 1:
        raise ValueError(
            f"{path} has {len(cells)} models or data sizes, since an entry of [model] or [recipe] is a list, but a job "
            "is one. Give each entry one value."
        )
    (cell,) = cells
    return Job(graph, Pack(shape=cell.shape, recipe=cell.recipe, replicas=replicas_of(content, path)))


def read_tables(path: str | os.PathLike[str]) -> Tables:
    """The tables of a file, all there and none more."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    for name in content:
        if name not in TABLES:
            near = get_close_matches(name, TABLES, n=1)
            meant = f" Did you mean [{near[0]}]?" if near else ""
            raise ValueError(f"{path} has {name!r}, which is unknown; there are [{'], ['.join(TABLES)}].{meant}")
    for name in TABLES:
        if not isinstance(content.get(name), dict):
            raise ValueError(f"{path} lacks the table [{name}]; there are [{'], ['.join(TABLES)}].")
    return content


def graph_of(content: Tables, path: str | os.PathLike[str]) -> tuple[GraphRecipe, Graph]:
    """The recipe of [graph], and the graph."""
    try:
        recipe = GraphRecipe.from_dict(content["graph"], folder=Path(path).parent)
        return recipe, recipe.build()
    except (ValueError, OSError) as error:
        raise type(error)(f"{path}, [graph]: {str(error).removeprefix('[graph] ')}") from error


def cells_of(content: Tables, graph: Graph, path: str | os.PathLike[str]) -> tuple[Cell, ...]:
    """Every combination of the entries of [model] and [recipe] that are lists."""
    cells, faults = [], dict[str, None]()  # every fault of a grid is named, each once
    for model in _combinations(content["model"], f"{path}, [model]"):
        for entries in _combinations(content["recipe"], f"{path}, [recipe]"):
            try:
                cells.append(_cell(model, entries, graph, path))
            except ValueError as error:
                faults[str(error)] = None
    if len(faults) > 1:
        listed = " ".join(f"({number}) {fault.removeprefix(f'{path}, ')}" for number, fault in enumerate(faults, 1))
        raise ValueError(f"{path} has {len(faults)} faults: {listed}")
    for fault in faults:
        raise ValueError(fault)
    return tuple(cells)


def replicas_of(content: Tables, path: str | os.PathLike[str]) -> tuple[Replica, ...]:
    """Every combination of the entries of [replicas] that are lists."""
    where = f"{path}, [replicas]"
    return tuple(_made(Replica, entries, where) for entries in _combinations(content["replicas"], where))


def _cell(model: dict[str, Any], entries: dict[str, Any], graph: Graph, path: str | os.PathLike[str]) -> Cell:
    """Cell of entries of [model] and [recipe] that are no lists."""
    shape = _made(Shape, {"vocabulary": graph.nodes, **model}, f"{path}, [model]")
    if shape.vocabulary != graph.nodes:
        raise ValueError(
            f"{path}, [model]: vocabulary is {shape.vocabulary}, but {graph.name} has {graph.nodes} nodes. Leave it "
            "out."
        )
    return Cell(shape, _made(Recipe, _with_steps(entries, shape, f"{path}, [recipe]"), f"{path}, [recipe]"))


def _combinations(entries: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """Every combination of the values of entries that are lists."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in entries.items()}
    for name, values in lists.items():
        if not values or len(set(map(repr, values))) < len(values):
            raise ValueError(f"{where}: {name} must be a value or a list of different ones, not {entries[name]!r}.")
    for chosen in product(*lists.values()):
        yield dict(zip(lists, chosen, strict=True))


def _with_steps(entries: dict[str, Any], shape: Shape, where: str) -> dict[str, Any]:
    """Entries of a recipe with steps in the place of tokens."""
    if ("tokens" in entries) == ("steps" in entries):
        raise ValueError(f"{where} needs either tokens or steps, such as tokens = 200_000, and not both.")
    if "steps" in entries:
        return entries
    rest = {name: value for name, value in entries.items() if name != "tokens"}
    if isinstance(entries["tokens"], bool) or not isinstance(entries["tokens"], int | float):
        raise ValueError(f"{where}: tokens must be a number, not {entries['tokens']!r}.")
    batch = _made(Recipe, {**rest, "steps": 1}, where).batch
    try:
        return {**rest, "steps": steps_for(entries["tokens"], batch=batch, length=shape.length)}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _made(kind: Any, entries: dict[str, Any], where: str) -> Any:
    """Value of a kind; whatever is wrong with an entry is said with its place in the file."""
    known = sorted([item.name for item in fields(kind)] + ["tokens"] * (kind is Recipe))
    for name in entries:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{where} has {name!r}, which is unknown; there are {', '.join(known)}.{meant}")
    lacking = [item.name for item in fields(kind) if item.default is MISSING and item.name not in entries]
    if lacking:
        raise ValueError(f"{where} lacks {' and '.join(lacking)}.")
    try:
        return kind(**entries)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
