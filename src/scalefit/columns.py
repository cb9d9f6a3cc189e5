"""Raw frame to checked columns: which column is what, which values are good, and the rule that derives the third."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_scalar

from .flops import RULES
from .reading import Mark, Source, duplicates, is_missing, number

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

INPUTS = ("params", "tokens", "flops")
CANONICAL = (*INPUTS, "loss")
CHECKED = "scalefit.checked"  # in the attrs of a frame that a LossTable gave out: its canonical names are settled
_SPELLINGS = {  # in lower case, without spaces, "_", "-", "/" and "."
    "params": {"params", "nparams", "numparams", "parameters", "nparameters", "numparameters", "modelsize"},
    "tokens": {"tokens", "ntokens", "numtokens", "traintokens", "trainingtokens"},
    "flops": {"flops", "flop", "compute", "trainflops", "trainingflops", "trainingflop", "totalflops", "totalflop"},
    "loss": {"loss", "valloss", "validloss", "validationloss", "evalloss", "testloss", "finalloss"},
}
_LETTERS = {"params": "N", "tokens": "D", "flops": "C"}  # "L" is read as the loss only where nothing else is

#: What a column `status` says of a run that gave no loss. Its row is left out and listed: nothing else is known of it.
WITHOUT_END = ("diverged", "killed", "failed", "crashed")


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a raw frame becomes: good rows with canonical columns first, the rows dropped, and what was done."""

    frame: pd.DataFrame
    dropped: pd.DataFrame
    notes: tuple[str, ...]


def check(source: Source, columns: Mapping[str, str] | None, *, flops: str | None, drop_invalid: bool) -> Checked:
    """Good rows of a source, their columns as `LossTable.from_frame` promises them; arguments and errors are there."""
    if flops is not None and flops not in RULES:
        raise ValueError(f"There is no rule flops={flops!r}. Rules: {', '.join(map(repr, RULES))}.")
    given, raw = dict(columns or {}), _flat(source.frame)
    found = _find(raw, given, source.decimal)
    absent = _absent_input(found, flops) if flops else ""
    names = _new_names(raw, found)
    notes = [f"{new} is the column {old!r} (columns=)" for new, old in given.items() if new != old]
    notes += [f"{new} is the column {old!r} (recognised)" for new, old in found.items() if new not in {old, *given}]
    notes += [f"the source's column {old!r} is carried as {new!r}" for old, new in names.items() if new not in found]

    values = {name: as_floats(raw[found[name]], source.decimal) for name in CANONICAL if name in found}
    ended = _ended(source, raw, found)
    faults = ended | _faults(source, raw, found, values, ended, drop_invalid=drop_invalid)
    bad = raw.index.isin(list(faults))
    reasons = [faults[row] for row in sorted(faults)]
    dropped = raw[bad].rename(columns={"reason": "reason_original"}).assign(reason=reasons)
    frame = raw.rename(columns=names).assign(**values)[~bad]
    if ended:
        notes.append(f"{len(ended)} of {len(raw)} runs have no loss and say why in status: left out, see .dropped")
    if len(faults) > len(ended):
        notes.append(f"drop_invalid: {len(faults) - len(ended)} of {len(raw)} rows dropped, see .dropped")
    if len(frame) < 2:
        has = f"{source.name or 'the frame'} has {len(frame) or 'no rows'}"
        if faults:
            has += f" after dropping {len(faults)} invalid rows, the first since in {dropped['reason'].iloc[0]}"
        raise ValueError(f"A table needs at least 2 rows, but {has}. Add runs.")
    if flops:
        frame = _derive(frame, flops, absent, notes)
    order = [name for name in CANONICAL if name in frame] + [name for name in frame if name not in CANONICAL]
    return Checked(frame=frame[order].reset_index(drop=True), dropped=dropped, notes=tuple(notes))


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Sentences for an unknown name: what it was read as, or the closest known one, then all of them."""
    read = next((known for known in CANONICAL if known in names and _spelled(known, [name])), None)
    if read is not None:
        return f"It is called {read!r} here. Columns: {', '.join(names)}."
    close = difflib.get_close_matches(name, names, n=1)
    return (f"Did you mean {close[0]!r}? " if close else "") + f"Columns: {', '.join(names)}."


def is_number(values: pd.Series[Any]) -> bool:
    """Whether a column is of numbers; true and false are none."""
    return bool(is_numeric_dtype(values) and not is_bool_dtype(values))


def as_floats(values: pd.Series[Any], mark: Mark = ".") -> Array:
    """(n,) float64, nan where a cell is no number."""
    if is_number(values):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array([_as_float(value, mark) for value in values], dtype=np.float64)


def is_valid(values: Array) -> Mask:
    """(n,) bool: positive and finite."""
    return np.isfinite(values) & (values > 0)


def sha256(frame: pd.DataFrame) -> str:
    """Digest of names and values; the same for 1 and 1.0, and for every dtype that holds the same text."""
    digest = hashlib.sha256()
    for name in frame:
        content = _content(frame[name])
        digest.update(f"{len(str(name))}:{name}:{len(content)}:".encode("utf-8", "surrogatepass") + content)
    return digest.hexdigest()


# --- Names ---


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Named index levels as columns, rows numbered from 0; doubtful names are refused."""
    levels = [level for level in frame.index.names if level is not None]
    names = [*levels, *frame.columns]
    for name in names:
        if not isinstance(name, str):
            raise ValueError(
                f"Column names must be text, but {name!r} is {type(name).__name__}. Set df.columns = [...]"
            )
    for twice in duplicates(names):
        raise ValueError(f"The frame has {names.count(twice)} columns named {twice!r}. Rename or delete all but one.")
    return (frame.reset_index(level=levels) if levels else frame).reset_index(drop=True)


def _find(raw: pd.DataFrame, given: Mapping[str, str], mark: Mark) -> dict[str, str]:
    """Source column of each canonical name: what the map says, then what is spelled like it."""
    names: list[str] = list(raw.columns)
    _check_map(given, names)
    free = [column for column in names if column not in given.values()]
    found = dict(given)
    for name in CANONICAL:
        settled = name in free and raw.attrs.get(CHECKED, False)
        matches = [name] if settled else _spelled(name, free)
        if name not in given and matches:
            found[name] = _one_of(name, {column: as_floats(raw[column], mark) for column in matches})
    if "loss" not in found:
        close = difflib.get_close_matches("loss", names, n=1, cutoff=0.5) or ["..."]
        raise ValueError(f"No column for the loss among {', '.join(names)}. Name it: columns={{'loss': {close[0]!r}}}")
    if len(found) == 1:
        raise ValueError(
            f"No column for params, tokens or flops among {', '.join(names)}. "
            "Name at least one: columns={'params': '...'}"
        )
    return found


def _check_map(given: Mapping[str, str], names: list[str]) -> None:
    for name, column in given.items():
        if name not in CANONICAL:
            raise ValueError(
                f"columns= has the key {name!r}. Keys are {', '.join(CANONICAL)}; "
                "other columns are carried as they are."
            )
        if column not in names:
            raise ValueError(
                f"columns={{{name!r}: {column!r}}}, but there is no such column. {did_you_mean(column, names)}"
            )
    for twice in duplicates(list(given.values())):
        keys = [name for name, column in given.items() if column == twice]
        raise ValueError(f"columns= gives {twice!r} to {' and '.join(keys)}. Give each its own column.")


def _spelled(name: str, columns: list[str]) -> list[str]:
    matches = [
        column
        for column in columns
        if re.sub(r"[\s_/.-]", "", column).casefold() in _SPELLINGS[name] or column == _LETTERS.get(name)
    ]
    return ["L"] if name == "loss" and not matches and "L" in columns else matches


def _one_of(name: str, matches: dict[str, Array]) -> str:
    """Return the canonical name, else the first match; refuse where the values differ."""
    first, *others = matches
    if not all(np.array_equal(matches[first], matches[other], equal_nan=True) for other in others):
        raise ValueError(
            f"Columns {' and '.join(map(repr, matches))} may all be the {name}, and their values differ. "
            f"Say which one counts: columns={{{name!r}: {first!r}}}"
        )
    return name if name in matches else first


def _new_names(raw: pd.DataFrame, found: Mapping[str, str]) -> dict[str, str]:
    """Name by source column; one that is carried although its name is taken becomes `<name>_original`."""
    names = {column: name for name, column in found.items()}
    for name in found:
        if name in raw and name not in names:
            names[name] = f"{name}_original"
            if names[name] in raw:
                raise ValueError(
                    f"The column {name!r} would be carried as {names[name]!r}, which exists. Rename one of them."
                )
    return names


# --- Values ---


def _as_float(value: object, mark: Mark) -> float:
    if isinstance(value, str):
        parsed = number(value, mark)
        return np.nan if parsed is None else parsed
    return float(value) if isinstance(value, Real | Decimal) and not isinstance(value, bool) else np.nan


def _ended(source: Source, raw: pd.DataFrame, found: Mapping[str, str]) -> dict[int, str]:
    """Reason to leave out each run without a loss whose status says that it came to no end, by row."""
    if "status" not in raw.columns or found["loss"] == "status":
        return {}
    pairs = zip(raw["status"], raw[found["loss"]], strict=True)
    return {
        row: f"{source.at(row)}: status is {status}"
        for row, (status, loss) in enumerate(pairs)
        if status in WITHOUT_END and (is_missing(loss) if isinstance(loss, str) else pd.isna(loss) is True)
    }


def _faults(
    source: Source,
    raw: pd.DataFrame,
    found: Mapping[str, str],
    values: Mapping[str, Array],
    ended: Mapping[int, str],
    *,
    drop_invalid: bool,
) -> dict[int, str]:
    """Reason to drop each other row whose canonical values are not all valid, by row."""
    reasons: dict[int, str] = {}
    for name, column in values.items():
        cells = raw[found[name]]
        rows = [int(row) for row in np.flatnonzero(~is_valid(column)) if row not in ended]
        if rows and not drop_invalid:
            called = name if name == found[name] else f"{name} (column {found[name]!r})"
            cell = cells.iloc[rows[0]]
            raise ValueError(
                f"{called} must be positive and finite, but it {_fault(cell)} in {source.at(rows[0])} "
                f"({len(rows)} such rows of {len(raw)}). {_remedy(name, cell, column[rows[0]])}, "
                "or pass drop_invalid=True to drop and list them."
            )
        for row in rows:
            reasons.setdefault(row, f"{source.at(row)}: {name} {_fault(cells.iloc[row])}")
    return reasons


def _fault(cell: Any) -> str:
    if isinstance(cell, str):
        return f"is the text {cell[:40]!r}" if cell.strip() else "is empty"
    return "is missing (nan)" if pd.isna(cell) is True else f"is {cell}"


def _remedy(name: str, cell: object, value: float) -> str:
    if isinstance(cell, str) and np.isnan(value) and not is_missing(cell):
        return "Write plain numbers without units or thousands separators, e.g. 1.4e9"
    if name == "loss" and value <= 0:
        return "Unigram-normalised losses can be zero or negative: add the baseline back. Otherwise drop these runs"
    return "Drop diverged runs" if name == "loss" else "Correct or delete them"


# --- The rule ---


def _absent_input(found: Mapping[str, str], rule: str) -> str:
    absent = [name for name in INPUTS if name not in found]
    if len(absent) == 1:
        return absent[0]
    which = (
        f"{' and '.join(absent)} are both absent. Name one of them in columns=."
        if absent
        else "params, tokens and flops are all there. Drop the argument or a column."
    )
    raise ValueError(f"flops={rule!r} derives one column, but {which}")


def _derive(frame: pd.DataFrame, rule: str, absent: str, notes: list[str]) -> pd.DataFrame:
    formula, (first, second) = RULES[rule][absent]
    with np.errstate(all="ignore"):
        values = np.asarray(formula(frame[first], frame[second]))
    bad = np.flatnonzero(~is_valid(values))
    if len(bad):
        row = frame.iloc[int(bad[0])]
        raise ValueError(
            f"{absent} by the rule {rule} is {values[bad[0]]} where {first} is {row[first]} "
            f"and {second} is {row[second]} ({len(bad)} such rows). Check the units: counts are raw."
        )
    notes.append(f"{absent} derived from {first} and {second} by the rule {rule}, C = 6 N D")
    return frame.assign(**{absent: values})


# --- Contents ---


def _content(values: pd.Series[Any]) -> bytes:
    if is_bool_dtype(values) and not values.isna().any():
        return b"b" + values.to_numpy(dtype=np.bool_).tobytes()
    if is_number(values):
        floats = values.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # -0.0 is 0.0
        floats[np.isnan(floats)] = np.nan
        exact = np.abs(floats) < 2**53
        if values.dtype.kind in "iu" and not exact.all():
            return b"i" + repr(values.tolist()).encode()
        return b"f" + floats.astype("<f8").tobytes()
    cells = [None if is_scalar(value) and pd.isna(value) else str(value) for value in values]
    return b"t" + repr(cells).encode("utf-8", "surrogatepass")
