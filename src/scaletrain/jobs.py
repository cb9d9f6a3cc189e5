"""What to train, from a TOML file: a grid of data, models and data sizes, or one cell of it as a job."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from .config import Pack, Recipe, Replica, Shape, check_entries, steps_for
from .data_recipes import KINDS, DataRecipe, built, recipe_of
from .sources import Source

TABLES = ("model", "recipe", "replicas")  # beside one that says what the data are
LISTS = ("support",)  # entries of which one value is a list

# The wheel carries the top-level data/ as scalefit/data/; an editable install or PYTHONPATH=src has only the former.
_ROOTS = (Path(__file__).parents[1] / "scalefit" / "data" / "sweeps", Path(__file__).parents[2] / "data" / "sweeps")

Tables: TypeAlias = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Cell:
    """Data, a model shape and how it is trained: what one point of a loss surface is the best run of.

    Attributes
    ----------
    digest : str
        Of the source of the data.
    shape : Shape
    recipe : Recipe
    """

    digest: str
    shape: Shape
    recipe: Recipe


@dataclass(frozen=True, eq=False)
class Job:
    """What `scaletrain train` does.

    Attributes
    ----------
    source : Source
    pack : Pack
    """

    source: Source
    pack: Pack


def read_job(path: str | os.PathLike[str]) -> Job:
    """Job of a TOML file with a table of the data and the tables [model], [recipe] and [replicas], or a shipped one.

    The data are one of [graph], a `GraphRecipe`; [ngrams], an `NgramRecipe`; [teacher], a `TeacherRecipe`; and [text],
    a `TextRecipe`. [model] is a `Shape`, whose vocabulary is that of the data; [recipe] a `Recipe`, with tokens or
    steps; each of lr, seed and data_seed in [replicas] a number or a list, and every combination is trained.

    Raises
    ------
    ValueError
        If the file is no TOML, an entry is unknown, missing or impossible, the vocabulary is not that of the data, or
        there are too few of them.

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
    >>> job.pack.recipe.steps, len(job.pack.replicas), job.pack.shape.vocabulary == job.source.vocabulary
    (10, 4, True)
    """
    path = find_sweep(path)
    content = read_tables(path)
    sources = sources_of(content, path)
    cells = [cell for _, source in sources for cell in cells_of(content, source, path)]
    if len(cells) > 1:
        raise ValueError(
            f"{path} has {len(cells)} data, models or data sizes, since an entry of [{kind_of(content)}], [model] or "
            "[recipe] is a list, but a job is one. Give each entry one value."
        )
    (cell,), ((_, source),) = cells, sources
    return Job(source, Pack(shape=cell.shape, recipe=cell.recipe, replicas=replicas_of(content, path)))


def read_tables(path: str | os.PathLike[str]) -> Tables:
    """The tables of a file, all there and none more."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    there = f"there are [{'], ['.join(TABLES)}], and for the data one of [{'], ['.join(KINDS)}]"
    for name in content:
        if name not in (*TABLES, *KINDS):
            near = get_close_matches(name, (*TABLES, *KINDS), n=1)
            meant = f" Did you mean [{near[0]}]?" if near else ""
            raise ValueError(f"{path} has {name!r}, which is unknown; {there}.{meant}")
    for name in (*TABLES, *(name for name in KINDS if name in content)):
        if not isinstance(content.get(name), dict):
            raise ValueError(f"{path} lacks the table [{name}]; {there}.")
    named = [name for name in KINDS if name in content]
    if len(named) != 1:
        raise ValueError(
            f"{path} has {' and '.join(f'[{name}]' for name in named) or 'no table of the data'}; {there}."
        )
    return content


def find_sweep(sweep: str | os.PathLike[str]) -> Path:
    """File of a sweep, which is that file or the name of a shipped one.

    Raises
    ------
    ValueError
        If it is neither.
    """
    path = Path(sweep)
    if path.is_file() or path.suffix:
        return path
    shipped = {file.stem: file for root in reversed(_ROOTS) for file in sorted(root.glob("*.toml"))}
    if str(sweep) not in shipped:
        raise ValueError(f"there is no sweep {sweep}. Shipped are {', '.join(sorted(shipped))}; or name a .toml file.")
    return shipped[str(sweep)]


def kind_of(content: Tables) -> str:
    """Name of the table of the data."""
    return next(name for name in KINDS if name in content)


def sources_of(content: Tables, path: str | os.PathLike[str]) -> tuple[tuple[DataRecipe, Source], ...]:
    """Recipe and source of every combination of the entries of the data that are lists.

    What a file names lies beside it; what a shipped one names, where the user is. Sources of one name, as of two seeds
    of a graph, get the beginnings of their digests, too: a table tells data sets by their names.
    """
    kind, made, folder = kind_of(content), [], Path(path).parent
    folder = Path() if folder in _ROOTS else folder
    where = f"{path}, [{kind}]"
    for entries in _combinations(content[kind], where):
        try:
            recipe = recipe_of(kind, entries, folder=folder)
            made.append((recipe, built(recipe)))
        except (ValueError, OSError) as error:
            raise type(error)(f"{where}: {str(error).removeprefix(f'[{kind}] ')}") from error
    often = Counter(source.name for _, source in made)
    return tuple((recipe, source if often[source.name] == 1 else _told_apart(source)) for recipe, source in made)


def cells_of(content: Tables, source: Source, path: str | os.PathLike[str]) -> tuple[Cell, ...]:
    """Every combination of the entries of [model] and [recipe] that are lists, on one source."""
    cells, faults = [], dict[str, None]()  # every fault of a grid is named, each once
    for model in _combinations(content["model"], f"{path}, [model]"):
        for entries in _combinations(content["recipe"], f"{path}, [recipe]"):
            try:
                cells.append(_cell(model, entries, source, path))
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


def _told_apart(source: Source) -> Source:
    """The source with the beginning of its digest in its name."""
    name = f"{source.name}-{source.digest[:8]}"
    return replace(source, name=name, words=source.words.replace(source.name, name, 1))


def _cell(model: dict[str, Any], entries: dict[str, Any], source: Source, path: str | os.PathLike[str]) -> Cell:
    """Cell of entries of [model] and [recipe] that are no lists."""
    shape = _made(Shape, {"vocabulary": source.vocabulary, **model}, f"{path}, [model]")
    if shape.vocabulary != source.vocabulary:
        raise ValueError(
            f"{path}, [model]: vocabulary is {shape.vocabulary}, but that of {source.name} is {source.vocabulary}. "
            "Leave it out."
        )
    recipe = _made(Recipe, _with_steps(entries, shape, f"{path}, [recipe]"), f"{path}, [recipe]")
    try:
        source.check(Pack(shape=shape, recipe=recipe, replicas=(Replica(lr=1.0),)))
    except ValueError as error:
        raise ValueError(f"{path}, [recipe]: {error}") from error
    return Cell(source.digest, shape, recipe)


def _combinations(entries: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """Every combination of the values of entries that are lists."""
    lists = {
        name: value if isinstance(value, list) and name not in LISTS else [value] for name, value in entries.items()
    }
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
    check_entries(kind, entries, where, also=["tokens"] * (kind is Recipe))
    try:
        return kind(**entries)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
