"""Exports of histories: which column is the run, the step and the loss, in files with a row or a column per run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .columns import CANONICAL, Array, as_floats, did_you_mean, is_number
from .reading import Source, duplicates, is_missing, number, read_source

_KINDS = ("", "val", "valid", "validation", "eval", "evaluation", "test", "train", "training", "final")
SPELLINGS = {  # in lower case, letters and digits alone
    "run": {"run", "runid", "runname", "name", "displayname", "experiment", "trial"},
    "step": {"step", "steps", "globalstep", "trainstep", "trainglobalstep", "trainerglobalstep", "iteration", "iter"},
    "loss": {kind + "loss" for kind in _KINDS},
}
AXES = ("tokens", "ntokens", "numtokens", "traintokens", "trainingtokens", "flops", "trainflops", "trainingflops")
_COMPANION = re.compile(r"__(MIN|MAX)$")  # of a curve that W&B drew from several points


def history_source(history: Any, name: str) -> Source:
    """Raw frame of a path, or of a DataFrame, given to an argument of that name."""
    if isinstance(history, str | os.PathLike):
        return read_source(history)
    if not isinstance(history, pd.DataFrame):
        raise TypeError(f"{name} needs a path or a pandas DataFrame, not {type(history).__name__}.")
    if not len(history):
        raise ValueError(f"the frame given to {name} has no rows. It needs one per record.")
    levels = [level for level in history.index.names if level is not None]
    frame = (history.reset_index(level=levels) if levels else history).reset_index(drop=True)
    for column in frame.columns:
        if not isinstance(column, str) or list(frame.columns).count(column) > 1:
            raise ValueError(f"column names must be texts that occur once, unlike {column!r}. Set df.columns = [...]")
    return Source(frame=frame)


def long_source(source: Source, given: Mapping[str, str]) -> tuple[Source, dict[str, str]]:
    """Source with a row per record and run, and its columns of the run, the step and the loss."""
    for key in given:
        if key not in ("run", "step", *CANONICAL):
            raise ValueError(f"columns= has the key {key!r}. Keys of a history are run, step, {', '.join(CANONICAL)}.")
    names = columns_of(source.frame)
    run = _one_of("run", names, given, source)
    if run is None and any(" - " in name for name in names):
        source, names = _stacked(source, given)
        run = "run"
    step = _one_of("step", names, given, source)
    step = step or next((name for name in names if plain(name) in AXES), None)
    loss = _loss(names, given, source)
    for key, column in (("run", run), ("step", step)):
        if column is None:
            raise ValueError(
                f"No column for the {key} among {shown(names)}. Name it: columns={{{key!r}: '...'}}"
                + (" (an export of one column per run names them 'run - metric')." if key == "run" else ".")
            )
    found = {"run": str(run), "step": str(step), "loss": loss}
    for twice in duplicates(list(found.values())):
        raise ValueError(f"the column {twice!r} cannot be two of run, step and loss. Name them in columns=.")
    return source, found


def columns_of(frame: pd.DataFrame) -> list[str]:
    """Names of the columns, but for the companions of W&B's curves."""
    return [name for name in frame.columns if not _COMPANION.search(name)]


def plain(name: str) -> str:
    """Name in lower case, letters and digits alone."""
    return re.sub(r"[\W_]", "", name).casefold()


def last_word(name: str) -> str:
    """What a name ends in: "train/loss" in "loss"."""
    return re.split(r"[\W_]+", name.strip())[-1].casefold()


def shown(names: Sequence[str]) -> str:
    """The first names."""
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def _one_of(key: str, names: Sequence[str], given: Mapping[str, str], source: Source) -> str | None:
    """Column of the run or the step: the one that is named, or the one spelled like it; None if there is none."""
    if key in given:
        if given[key] not in names:
            raise ValueError(f"columns={{{key!r}: {given[key]!r}}}, but there is no such column. "
                             + did_you_mean(given[key], names))  # fmt: skip
        return given[key]
    matches = [name for name in names if plain(name) in SPELLINGS[key]]
    matches = [name for name in matches if name != "_step"] or matches  # W&B's own counter is the last resort
    return _same(key, matches, source) if matches else None


def _same(key: str, matches: Sequence[str], source: Source) -> str:
    """First of several columns that hold the same numbers, or tell the same runs apart; refused where they differ."""
    columns = [source.frame[name] for name in matches]
    values: list[NDArray[Any]] = [
        pd.factorize(cells.astype(str))[0] if key == "run" else as_floats(cells, source.decimal) for cells in columns
    ]
    if any(not np.array_equal(values[0], other, equal_nan=key != "run") for other in values[1:]):
        raise ValueError(
            f"Columns {' and '.join(map(repr, matches))} may all be the {key}, and they differ. "
            f"Say which one counts: columns={{{key!r}: {matches[-1]!r}}}"
        )
    return matches[0]


def _loss(names: Sequence[str], given: Mapping[str, str], source: Source) -> str:
    """Column of the loss; training and validation losses side by side are refused."""
    if "loss" in given:
        return str(_one_of("loss", names, given, source))
    matches = [name for name in names if last_word(name) == "loss" or plain(name) in SPELLINGS["loss"]]
    matches = matches or [name for name in names if name == "L"]
    if not matches or (len(matches) == 1 and plain(matches[0]) not in {*SPELLINGS["loss"], "l"}):
        like = matches[0] if matches else "..."
        raise ValueError(f"No column for the loss among {shown(names)}. Name it: columns={{'loss': {like!r}}}")
    return _same("loss", matches, source)


def _stacked(source: Source, given: Mapping[str, str]) -> tuple[Source, list[str]]:
    """A column per run and metric ("run-a - val/loss") as a row per step and run; companions are left out."""
    wide = {name: name.rpartition(" - ") for name in columns_of(source.frame) if " - " in name}
    wide = {name: parts for name, parts in wide.items() if not parts[2].startswith("_")}
    axis = [name for name in columns_of(source.frame) if " - " not in name]
    metrics = list(dict.fromkeys(metric for _, _, metric in wide.values()))
    if "loss" in given and given["loss"] not in metrics:
        raise ValueError(f"columns={{'loss': {given['loss']!r}}}, but the metrics are {shown(metrics)}.")
    blocks, lines = [], []
    for run in dict.fromkeys(run for run, _, _ in wide.values()):
        own = {metric: name for name, (of, _, metric) in wide.items() if of == run}
        block = source.frame[[*axis, *own.values()]].set_axis([*axis, *own], axis=1)
        there = np.flatnonzero(present(block[list(own)]).any(axis=1))
        there = there if len(there) else np.arange(len(block))
        blocks.append(block.iloc[there].assign(run=run))
        lines += [] if source.lines is None else [source.lines[row] for row in there]
    frame = pd.concat(blocks, ignore_index=True)
    return replace(source, frame=frame, lines=tuple(lines) or None), columns_of(frame)


def present(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Cells that hold something."""
    blank = [
        values.isna() | values.map(lambda cell: isinstance(cell, str) and not cell.strip())
        if values.dtype.kind == "O" or not is_number(values)
        else values.isna()
        for _, values in frame.items()
    ]
    return ~np.array(blank, dtype=bool).T


def numbers(source: Source, name: str) -> Array:
    """(n,) float64, nan where nothing was logged; what is neither is refused."""
    cells = source.frame[name]
    values = as_floats(cells, source.decimal)
    if not is_number(cells):
        texts = cells.to_numpy()
        bad = [row for row in np.flatnonzero(np.isnan(values)) if not _is_gap(texts[row], source)]
        if bad:
            raise ValueError(
                f"column {name!r} must hold numbers, but it is {str(texts[bad[0]])[:40]!r} in {source.at(int(bad[0]))} "
                f"({len(bad)} such records of {len(cells)}). Correct or delete these records."
            )
    return values


def _is_gap(cell: Any, source: Source) -> bool:
    if isinstance(cell, str):
        return is_missing(cell) or number(cell, source.decimal) is not None
    return pd.isna(cell) is True
