"""Which rows of a checked frame: those that meet conditions, the best of each group, slices at constant size."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_scalar

from .columns import INPUTS, Array, Mask, as_floats, did_you_mean, is_number, is_valid
from .reading import duplicates, number

Condition = str | Sequence[bool] | Mask | Callable[[pd.DataFrame], Any]

_COMPARISON = re.compile(r"(?P<name>[^=!<>]+?)\s*(?P<op>==|!=|>=|<=|>|<)\s*(?P<value>[^=<>]+)")
_ORDER = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_FORMS = "A condition reads 'flops >= 1e20', 'dataset == c4', 'kept' or 'not kept'; for 'and', pass several."
DATA = "dataset"  # losses of two data sets are of two laws
_BEST_COLUMNS = ("count", "replicates", "loss_sd", "at_edge")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rows selected, and words for how."""

    frame: pd.DataFrame
    notes: tuple[str, ...]


def column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Column of a frame; an unknown name is refused with a close one."""
    if name not in frame:
        raise ValueError(f"This table has no column {name!r}. {did_you_mean(name, list(frame.columns))}")
    return frame[name]


# --- where ---


def select_where(frame: pd.DataFrame, conditions: Sequence[Condition], equals: Mapping[str, object]) -> Selection:
    """Rows that meet every condition, as `LossTable.where` says."""
    tests = [_condition(frame, condition) for condition in conditions]
    tests += [(f"{name} == {value}", _equals(frame, name, value)) for name, value in equals.items()]
    mask, notes = np.ones(len(frame), dtype=np.bool_), []
    for words, meets in tests:
        before, mask = int(mask.sum()), mask & meets
        if not mask.any():
            rows = f"none of the {before} rows"
            raise ValueError(f"where({words}) leaves {rows}. {_range_words(frame, words)}Loosen the condition.")
        notes.append(f"where {words}: {mask.sum()} of {before} rows")
    return Selection(frame=frame[mask], notes=tuple(notes))


def _condition(frame: pd.DataFrame, condition: Condition) -> tuple[str, Mask]:
    """Words for a condition, and the rows that meet it."""
    if isinstance(condition, str):
        return condition.strip(), _parse(frame, condition.strip())
    if not callable(condition):
        return "mask", _as_mask(condition, len(frame), "mask")
    words = getattr(condition, "__name__", "function")
    return words, _as_mask(condition(frame.copy()), len(frame), words)


def _parse(frame: pd.DataFrame, text: str) -> Mask:
    match = _COMPARISON.fullmatch(text)
    if match:
        return _compare(column(frame, match["name"]), match["op"], match["value"], text)
    if re.search("[=<>!]", text):
        raise ValueError(f"Cannot read the condition {text!r}. {_FORMS}")
    flag = column(frame, text.removeprefix("not ").strip())
    if not is_bool_dtype(flag):
        raise ValueError(f"The condition {text!r} needs a column of true and false, not {flag.dtype}. {_FORMS}")
    return _as_mask(flag, len(frame), text) ^ text.startswith("not ")


def _compare(values: pd.Series[Any], sign: str, text: str, condition: str) -> Mask:
    value: Any = text.strip("'\"")
    if is_bool_dtype(values):
        value = {"true": True, "false": False}.get(text.lower())
    elif is_number(values):
        value = number(text)
    if value is None:
        raise ValueError(f"{values.name} is {values.dtype}, but {text!r} in {condition!r} is not. {_FORMS}")
    if sign in ("==", "!="):
        return _is_equal(values, value) ^ (sign == "!=")
    if not is_number(values):
        raise ValueError(
            f"{values.name} is {values.dtype}, not a number, so {condition!r} has no meaning. Use == or !=."
        )
    return np.asarray(_ORDER[sign](as_floats(values), value), dtype=np.bool_)


def _equals(frame: pd.DataFrame, name: str, value: object) -> Mask:
    if not is_scalar(value):
        raise ValueError(f"where({name}=...) tests equality with one value, not with {value!r}. Pass a mask instead.")
    return _is_equal(column(frame, name), value)


def _is_equal(values: pd.Series[Any], value: object) -> Mask:
    return np.asarray(values.isin([value]), dtype=np.bool_)  # unlike ==, False where the value is missing


def _as_mask(values: Any, rows: int, words: str) -> Mask:
    mask = np.asarray(values)
    if mask.dtype != np.bool_ or mask.shape != (rows,):
        raise ValueError(
            f"where({words}) needs a boolean array of shape ({rows},), one value per row, "
            f"but it has dtype {mask.dtype} and shape {mask.shape}. For row numbers, use to_frame().iloc."
        )
    return mask


def _range_words(frame: pd.DataFrame, words: str) -> str:
    """Range of the column that a condition names, to show why it leaves nothing."""
    name = re.split(r"\s*[=!<>]", words)[0]
    if name not in frame:
        return ""
    if is_number(frame[name]):
        return f"{name} runs from {frame[name].min():.6g} to {frame[name].max():.6g}. "
    return f"{name} takes the values {', '.join(map(str, frame[name].unique()[:8]))}. "


# --- best ---


def select_best(
    frame: pd.DataFrame, over: str | Sequence[str], by: str | Sequence[str], mean: str | Sequence[str]
) -> Selection:
    """Winning row of each group, as `LossTable.best` says."""
    over, by, mean = ((names,) if isinstance(names, str) else tuple(names) for names in (over, by, mean))
    by = tuple(name for name in by if name not in INPUTS)  # which make a group anyhow
    _check_best(frame, over, by, mean)
    group = _group_ids(frame, [*(name for name in INPUTS if name in frame), *by])
    _check_data(frame, group, {*over, *by, *mean})
    setting = _group_ids(frame, [name for name in over if mean or not is_seed(name)])
    winners = _winners(group, setting, frame["loss"].to_numpy(), average=bool(mean))
    rows = winners["row"].to_numpy()
    edge = np.zeros(len(rows), dtype=np.bool_)
    for name in over:
        if is_number(frame[name]) and not is_seed(name):
            tried = as_floats(frame[name])
            ends = pd.Series(tried).groupby(group).agg(["min", "max"]).to_numpy()
            edge |= (tried[rows, None] == ends).any(axis=1)
    averaged = _averages(frame, group, setting, rows, {*over, *by, *INPUTS, "loss"}) if mean else {}
    kept = frame.iloc[rows].assign(
        **averaged,
        loss=winners["loss"].to_numpy(),
        count=np.bincount(group),
        replicates=winners["size"].to_numpy(),
        loss_sd=winners["sd"].to_numpy(),
        at_edge=edge,
    )
    rules = [f"best over {', '.join(over)}"] * bool(over) + [f"mean over {', '.join(mean)}"] * bool(mean)
    rule = ", ".join(rules)
    note = f"{rule}: {len(kept)} of {len(frame)} rows, {edge.sum()} at the edge of what was tried"
    return Selection(frame=kept, notes=(note,))


def _averages(
    frame: pd.DataFrame, group: NDArray[np.intp], setting: NDArray[np.intp], rows: NDArray[np.intp], settled: set[str]
) -> dict[str, Array]:
    """Means of the other measured columns, those of floats, over the rows whose losses are averaged."""
    names = [name for name in frame if name not in settled and pd.api.types.is_float_dtype(frame[name])]
    replicates = frame[names].groupby([group, setting])
    alike = replicates.min() == replicates.max()  # a mean of equal numbers may differ in the last bit
    means = replicates.mean().where(~alike, replicates.min())
    at = pd.MultiIndex.from_arrays([group[rows], setting[rows]])
    return {str(name): means[name].reindex(at).to_numpy() for name in names}


def _check_best(frame: pd.DataFrame, over: Sequence[str], by: Sequence[str], mean: Sequence[str]) -> None:
    named = [*over, *by, *mean]
    taken = [*(name for name in INPUTS if name in frame), "loss"]
    if not over and not mean:
        raise ValueError("best needs the columns that the minimum is taken over: over=('lr', 'seed').")
    for twice in duplicates([*named, *taken]):
        raise ValueError(
            f"best names {twice!r} twice. The columns of over, by and mean must differ, "
            f"and be none of {', '.join(taken)}."
        )
    for name in named:
        missing = np.flatnonzero(column(frame, name).isna())
        if len(missing):
            raise ValueError(
                f"{name} is missing (nan) in row {missing[0]} (counting from 0), so its group is unknown "
                f"({len(missing)} such rows of {len(frame)}). Fill it in, or leave these rows out with where()."
            )
    for name in _BEST_COLUMNS:
        if name in frame:
            raise ValueError(f"best adds the column {name!r}, which this table already has. Rename or drop it first.")


def _check_data(frame: pd.DataFrame, group: NDArray[np.intp], named: set[str]) -> None:
    """Refuse a group of several data sets, unless they are named: the least loss of all, or their mean, is none's."""
    if DATA not in frame or DATA in named:
        return
    mixed = int((frame[DATA].groupby(group).nunique() > 1).sum())
    if mixed:
        names = frame[DATA].dropna().unique()
        raise ValueError(
            f"best would compare losses of different data in {mixed} groups: the column {DATA!r} has {len(names)} "
            f"values ({', '.join(map(str, names[:4]))}). Keep one first: where('{DATA} == {names[0]}'), on the command "
            f"line --where '{DATA} == {names[0]}'."
        )


def is_seed(name: str) -> bool:
    """Whether a column is a seed, by its name.

    Examples
    --------
    >>> is_seed("data_seed"), is_seed("seeds")
    (True, False)
    """
    return name == "seed" or name.endswith("_seed")


def _group_ids(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.intp]:
    """(n,) number of each row's group, groups in sorted order."""
    if not names:
        return np.zeros(len(frame), dtype=np.intp)
    return np.asarray(frame.groupby(list(names), sort=True, observed=True).ngroup(), dtype=np.intp)


def _winners(group: NDArray[np.intp], setting: NDArray[np.intp], loss: Array, *, average: bool) -> pd.DataFrame:
    """Row, loss and its standard deviation at the best setting of each group; the first setting wins a tie."""
    order = np.lexsort((loss, setting, group))  # by loss too: the order of rows must not reach the last bit of a mean
    ordered = pd.DataFrame({"group": group, "setting": setting, "loss": loss, "row": np.arange(len(loss))}).iloc[order]
    cells = ordered.groupby(["group", "setting"], as_index=False).agg(
        loss=("loss", "mean" if average else "min"),
        sd=("loss", "std"),
        size=("loss", "size"),
        row=("row", "min" if average else "first"),
    )
    return cells.loc[cells.groupby("group")["loss"].idxmin()]


# --- curves ---


def select_curves(frame: pd.DataFrame, *, along: str, at: str, rtol: float, min_rows: int) -> list[Selection]:
    """Slices at constant `at`, as `LossTable.curves` says."""
    x, held = _curve_columns(frame, along, at, rtol, min_rows)
    order = np.lexsort((x, held))
    slices = [rows[np.argsort(x[rows], kind="stable")] for rows in np.split(order, _ends(held[order], rtol))]
    kept = [rows for rows in slices if len(rows) >= min_rows and len(np.unique(x[rows])) > 1]
    if not kept:
        largest = max(len(rows) for rows in slices)
        few = f"only one value of {along}" if largest >= min_rows else f"fewer than min_rows={min_rows}"
        raise ValueError(
            f"No slice at constant {at} can be used: the largest of {len(slices)} has {largest} row(s), {few}. "
            f"Try a coarser rtol (now {rtol:g}) or fewer min_rows; "
            f"or this table has no runs at fixed {at}: fit the 2D law instead."
        )
    return [
        Selection(
            frame=frame.iloc[rows],
            notes=(f"slice at {at} = {np.median(held[rows]):.6g}: {len(rows)} of {len(frame)} rows",),
        )
        for rows in kept
    ]


def _ends(held: Array, rtol: float) -> list[int]:
    """Where slices of sorted values end: each spans at most a share rtol, so that chance neighbours do not chain."""
    ends = [0]
    while ends[-1] < len(held):
        ends.append(int(np.searchsorted(held, held[ends[-1]] * (1 + rtol), side="right")))
    return ends[1:-1]


def group_labels(values: NDArray[Any], rtol: float) -> NDArray[np.intp]:
    """(n,) number of the group of each value, sorted: equal values, or positive numbers within a share rtol.

    Examples
    --------
    >>> group_labels(np.array([2.0, 1.0, 1.0001]), 1e-3).tolist()
    [1, 0, 0]
    """
    if not rtol or values.dtype.kind not in "iuf" or np.any(values <= 0):
        keys = values.astype(str) if values.dtype.kind == "O" else values
        return np.asarray(pd.factorize(keys, sort=True)[0], dtype=np.intp)
    values = values.astype(float)
    order = np.argsort(values, kind="stable")
    labels = np.zeros(len(values), dtype=np.intp)
    for label, rows in enumerate(np.split(order, _ends(values[order], rtol))):
        labels[rows] = label
    return labels


def check_slicing(rtol: float, min_rows: int) -> None:
    """Refuse what no slice can be made by.

    Examples
    --------
    >>> check_slicing(1e-3, 4)
    """
    if not 0 <= rtol < np.inf:
        raise ValueError(f"rtol must be zero or positive and finite, but it is {rtol}. The default is 1e-3.")
    if min_rows < 2:
        raise ValueError(f"min_rows must be at least 2, but it is {min_rows}: one row is no curve.")


def _curve_columns(frame: pd.DataFrame, along: str, at: str, rtol: float, min_rows: int) -> tuple[Array, Array]:
    if along == at:
        raise ValueError(f"along and at are both {at!r}: a slice that holds it constant cannot vary along it.")
    check_slicing(rtol, min_rows)
    x, held = (as_floats(column(frame, name)) for name in (along, at))
    for name, good in ((along, np.isfinite(x)), (at, is_valid(held))):
        bad = np.flatnonzero(~good)
        if len(bad):
            raise ValueError(
                f"{name} cannot make curves: row {bad[0]} (counting from 0) is {frame[name].iloc[bad[0]]} "
                f"({len(bad)} such rows). Leave these rows out with where(), or name another column."
            )
    return x, held
