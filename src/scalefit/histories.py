"""Histories of runs to one row per run: whose records, which column is the loss, and the rule that picks a step."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .columns import CANONICAL, Array, Mask, is_number
from .exports import AXES, SPELLINGS, columns_of, history_source, last_word, long_source, numbers, plain, present, shown
from .reading import Source

Rule = Literal["last", "min"] | tuple[Literal["mean"], int]
History = str | os.PathLike[str] | pd.DataFrame
Rows = NDArray[np.intp]

_IDENTITY = re.compile(r"^N$|param|seed", re.IGNORECASE)  # names of what never changes within a run
_CHANGING = {"epoch", "epochs", "tokens", "flops", "time", "runtime", "timestamp", "lr", "rate", "loss"}  # last words
_TOGETHER = 0.01  # runs end together whose last steps differ by no more than this share
_NAMED = 3  # runs that a note or an error names


@dataclass(frozen=True, kw_only=True)
class Runs:
    """One row per run, the source columns that are settled, and what was done."""

    source: Source
    columns: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Records:
    """Records of all runs: which run each belongs to, and their order by run and step."""

    source: Source
    code: Rows  # (n,) run of each record
    names: NDArray[Any]  # (runs,) as the source writes them
    steps: Array  # (n,)
    order: Rows  # (n,) records by run and step; of one step as in the source

    @property
    def ends(self) -> Rows:
        """(runs,) place of each run's last record in the order."""
        return np.asarray(np.cumsum(np.bincount(self.code)) - 1)

    def until(self, chosen: Rows) -> Rows:
        """(runs,) place in the order of the last record of a step, of a record of each run."""
        ends = self.ends
        starts = np.append(0, ends[:-1] + 1)
        steps = self.steps[self.order]
        found = [
            start + np.searchsorted(steps[start : end + 1], self.steps[row], side="right") - 1
            for start, end, row in zip(starts, ends, chosen, strict=True)
        ]
        return np.array(found, dtype=np.intp)


def read_runs(
    history: History, columns: Mapping[str, str] | None, *, rule: Rule, configs: History | None, drop_invalid: bool
) -> Runs:
    """One row per run, as `LossTable.read_history` promises it; arguments and errors are there."""
    count, words = _check_rule(rule)
    given = dict(columns or {})
    source, found = long_source(history_source(history, "read_history"), given)
    records, losses = _records(source, found), numbers(source, found["loss"])
    used, repeats = _used(records, losses)
    value, chosen, few = _pick(rule, count, records, losses, used)
    if few.any() and not drop_invalid:
        raise ValueError(_too_few(records, few, used, count))
    notes = [f"{new} is the column {old!r} ({'columns=' if new in given else 'recognised'})"
             for new, old in found.items() if new != old]  # fmt: skip
    notes.append(f"loss is {words} of each run: {len(records.names)} runs from {len(losses)} records")
    notes += [f"records that repeat a step of their run, of which the last counts: {repeats}"] if repeats else []
    notes += [f"too few finite losses in {_listed(records.names[few])}"] if few.any() else []
    notes += _end_notes(records, losses, used)
    own = {name: source.frame[found[name]].to_numpy()[chosen] for name in ("run", "step")}
    rows = pd.DataFrame({**own, "loss": value})
    carried, said = _carried(records, found, given, chosen)
    for name, values in carried.items():
        rows[f"{name}_original" if name in ("run", "step", "loss") else name] = values
    lines = None if source.lines is None or configs is not None else tuple(source.lines[row] for row in chosen)
    if configs is not None:
        rows, more = _joined(rows, history_source(configs, "configs"), found)
        said += more
    settled = {name: column for name, column in given.items() if name in CANONICAL} | {"loss": "loss"}
    name = f"the runs of {source.name}" if source.name and lines is None else source.name
    made = replace(source, frame=rows, lines=lines, name=name)
    return Runs(source=made, columns=settled, notes=(*notes, *said))


def _check_rule(rule: Any) -> tuple[int, str]:
    """How many losses a rule needs of a run, and its words."""
    if isinstance(rule, str) and rule in ("last", "min"):
        return 1, {"last": "the last finite one", "min": "the smallest finite one"}[rule]
    if isinstance(rule, tuple) and len(rule) == 2 and rule[0] == "mean":
        count = rule[1]
        if isinstance(count, int | np.integer) and not isinstance(count, bool) and count >= 1:
            return int(count), f"the mean of the last {count} finite ones"
    raise ValueError(f"rule must be 'last', 'min' or ('mean', k), the mean of the last k losses, not {rule!r}.")


# --- Records ---


def _records(source: Source, found: Mapping[str, str]) -> _Records:
    frame = source.frame
    missing = np.flatnonzero(~present(frame[[found["run"]]])[:, 0])
    if len(missing):
        raise ValueError(
            f"the run (column {found['run']!r}) is missing in {source.at(int(missing[0]))} "
            f"({len(missing)} such records of {len(frame)}). Fill it in, or delete these records."
        )
    steps = numbers(source, found["step"])
    bad = np.flatnonzero(~np.isfinite(steps))
    if len(bad):
        raise ValueError(
            f"the step (column {found['step']!r}) is missing in {source.at(int(bad[0]))} ({len(bad)} such records of "
            f"{len(frame)}). Name a column that every record has, columns={{'step': '...'}}, or delete these records."
        )
    code, names = pd.factorize(frame[found["run"]])
    return _Records(
        source=source, code=code, names=np.asarray(names, dtype=object), steps=steps, order=np.lexsort((steps, code))
    )


def _used(records: _Records, losses: Array) -> tuple[Rows, int]:
    """Records with a finite loss by run and step, the later one of each step, and how many were left for that."""
    finite = records.order[np.isfinite(losses[records.order])]
    code, steps = records.code[finite], records.steps[finite]
    again = np.append((code[:-1] == code[1:]) & (steps[:-1] == steps[1:]), False)[: len(finite)]
    return finite[~again], int(again.sum())


def _pick(rule: Rule, count: int, records: _Records, losses: Array, used: Rows) -> tuple[Array, Rows, Mask]:
    """Loss of each run, the record that stands for it, and the runs that have too few losses."""
    kept = np.bincount(records.code[used], minlength=len(records.names))
    chosen = records.order[records.ends]
    few, value = kept < count, np.full(len(kept), np.nan)
    for run, rows in enumerate(np.split(used, np.cumsum(kept)[:-1])):
        if not few[run]:
            chosen[run] = rows[np.argmin(losses[rows])] if rule == "min" else rows[-1]
            value[run] = np.min(losses[rows]) if rule == "min" else np.mean(losses[rows[-count:]])
    return value, chosen, few


def _too_few(records: _Records, few: Mask, used: Rows, count: int) -> str:
    run = int(np.argmax(few))
    there, all_of = (int(np.sum(code == run)) for code in (records.code[used], records.code))
    needs = "no finite loss" if not there else f"{there} finite losses, fewer than the {count} of the rule,"
    remedy = "" if not there else f"Ask for the mean of at most {there}, or pass "
    return (
        f"run {records.names[run]!r} has {needs} in {all_of} records ({few.sum()} such runs of {len(few)}). "
        f"{remedy or 'Pass '}drop_invalid=True to drop and list these runs."
    )


def _listed(names: Sequence[Any] | NDArray[Any]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(repr(name) for name in names[:_NAMED]) + more


def _end_notes(records: _Records, losses: Array, used: Rows) -> list[str]:
    """Runs whose loss ends before their records do, and runs that end before the others."""
    runs = len(records.names)
    kept = np.bincount(records.code[used], minlength=runs)
    last, end, gap = records.steps[records.order[records.ends]], np.full(runs, np.nan), np.full(runs, np.inf)
    for run, rows in enumerate(np.split(records.steps[used], np.cumsum(kept)[:-1])):
        end[run] = rows[-1] if len(rows) else np.nan
        gap[run] = np.diff(rows).max() if len(rows) > 1 else np.inf
    lost = np.isinf(losses) & (records.steps > end[records.code])
    silent = (last - end >= gap) | (np.bincount(records.code[lost], minlength=runs) > 0)
    early = _early(end)
    words = []
    if silent.any():
        first = int(np.argmax(silent))
        words.append(f"diverged? no finite loss after step {end[first]:g} of {last[first]:g} in "
                     f"{_listed(records.names[silent])} ({silent.sum()} of {runs} runs)")  # fmt: skip
    if early.any():
        words.append(f"ended early? {_listed(records.names[early])} at step {end[early][0]:g}, others at up to "
                     f"{np.nanmax(end):g} ({early.sum()} of {runs} runs)")  # fmt: skip
    return words


def _early(end: Array) -> Mask:
    """Runs that end alone: before the longest where most runs share their last step, else under half the median."""
    order = np.argsort(end)  # nan last
    near = np.diff(end[order]) <= _TOGETHER * np.abs(end[order][1:])
    shared = np.zeros(len(end), dtype=np.bool_)
    shared[order] = np.append(near, False) | np.append(False, near)
    there = np.isfinite(end)
    if not there.any():
        return shared
    limit = np.nanmax(end) if shared[there].mean() >= 0.5 else np.nanmedian(end) / 2
    return np.asarray(~shared & there & (end < limit))


# --- Other columns ---


def _carried(
    records: _Records, found: Mapping[str, str], given: Mapping[str, str], chosen: Rows
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Other columns of each run, and words: what is constant in a run, and what changes by step, as at its step."""
    frame, mapped = records.source.frame, {column for name, column in given.items() if name in CANONICAL}
    own = {found["run"], found["loss"]} | ({found["step"]} - mapped if plain(found["step"]) not in AXES else set())
    carried: dict[str, NDArray[Any]] = {}
    changing, objects, late, until = [], [], [], records.until(chosen)
    for name in columns_of(frame):
        if name in own or name.startswith("_"):
            continue
        there = present(frame[[name]])[:, 0]
        place = _last_place(records, there, until)
        varied = _varied(records, frame[name], there)
        if varied.any():
            if _is_object(records, frame[name], there, varied):
                objects.append(name)
                continue
            changing.append(name)
            steps = records.steps
            behind = steps[chosen] - steps[records.order[np.maximum(place, 0)]]
            if (name in mapped or plain(name) in AXES) and np.any((behind > 0) & (place >= 0)):
                late.append(f"{name} is of up to {behind[place >= 0].max():g} steps before the loss")
        else:
            place = _last_place(records, there, records.ends)
        values = frame[name].to_numpy()[records.order[place]]
        if (place < 0).any():
            values = values.astype(float if is_number(frame[name]) else object)
            values[place < 0] = np.nan if is_number(frame[name]) else None
        carried[name] = values
    words = [f"as at the step of the loss: {', '.join(changing)}"] if changing else []
    words += [f"left out, since they hold objects that change: {', '.join(objects)}"] if objects else []
    return carried, words + late


def _last_place(records: _Records, there: Mask, until: Rows) -> Rows:
    """(runs,) place in the order of the last record that has a value, up to a place of each run; -1 if none."""
    places = np.maximum.accumulate(np.where(there[records.order], np.arange(len(there)), -1))[until]
    same = records.code[records.order[places]] == np.arange(len(until))
    return np.where(same, places, -1)


def _varied(records: _Records, cells: pd.Series[Any], there: Mask) -> Mask:
    """(runs,) whether a column has several values in a run."""
    values = pd.factorize((cells if is_number(cells) else cells.astype(str))[there])[0]
    low, high = (np.full(len(records.names), start) for start in (len(there), -1))
    np.minimum.at(low, records.code[there], values)
    np.maximum.at(high, records.code[there], values)
    return np.asarray(high > low)


def _is_object(records: _Records, cells: pd.Series[Any], there: Mask, varied: Mask) -> bool:
    """Whether a column that varies in some runs holds objects, not numbers; an error where it has to be constant."""
    several = np.bincount(records.code[there], minlength=len(varied)) > 1
    by_nature = last_word(str(cells.name)) in _CHANGING or 2 * varied.sum() > several.sum()
    if is_number(cells) and by_nature and not _IDENTITY.search(str(cells.name)):
        return False
    run = int(np.argmax(varied))
    own = there & (records.code == run)
    values = pd.unique(cells[own].astype(str))
    first = str(values[0])
    if first.lstrip().startswith(("{", "[")):
        return True
    other = int(np.argmax(own & (cells.astype(str) != first).to_numpy()))
    raise ValueError(
        f"{cells.name} must be constant within a run, but in run {records.names[run]!r} it is {first[:40]!r} and, in "
        f"{records.source.at(other)}, {values[1][:40]!r} ({varied.sum()} such runs of {len(varied)}). Two runs may "
        "share a name: name the column that tells them apart, columns={'run': '...'}; or leave this column out."
    )


# --- Configurations ---


def _joined(rows: pd.DataFrame, configs: Source, found: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """Rows with the columns of their runs from a second table, and words."""
    frame = configs.frame
    keys = rows["run"].map(_key)
    names = [name for name in columns_of(frame) if name == found["run"] or plain(name) in {*SPELLINGS["run"], "id"}]
    if not names:
        raise ValueError(
            f"configs has no column of runs among {shown(columns_of(frame))}. Name it {found['run']!r}, as the history."
        )
    lacking = {name: ~keys.isin(frame[name].map(_key)) for name in names}
    best = min(names, key=lambda name: int(lacking[name].sum()))
    if lacking[best].any():
        missing = rows["run"][lacking[best]].tolist()
        raise ValueError(
            f"configs lacks {_listed(missing)} in its column {best!r} ({len(missing)} such runs of {len(rows)}). "
            "Add their rows, or delete their records."
        )
    own = frame[best].map(_key)
    asked = frame[own.isin(keys)]
    twice = own[asked.index][own[asked.index].duplicated()]
    if len(twice):
        raise ValueError(
            f"configs has {int((own == twice.iloc[0]).sum())} rows for the run {twice.iloc[0]!r} "
            f"({twice.nunique()} such runs). Keep one row per run."
        )
    both = [name for name in columns_of(frame) if name in {*rows, *found.values()} and name != best]
    more = asked.set_axis(own[asked.index]).drop(columns=[best, *both]).loc[keys].reset_index(drop=True)
    words = [f"left out of configs, since the history has them: {', '.join(both)}"] if both else []
    words += [f"rows of configs without a history: {len(frame) - len(asked)}"] if len(asked) < len(frame) else []
    return pd.concat([rows, more], axis=1), words


def _key(value: Any) -> str:
    """Text of a run's name: 1 and 1.0 are the same."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
