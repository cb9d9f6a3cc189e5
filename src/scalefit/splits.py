"""Which rows a model is trained on and which it is tested on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

from .schemes import COUNTS, RTOL
from .selection import group_labels
from .table import LossTable

Rows = NDArray[np.intp]
Split = tuple[Rows, Rows]

FORMS = (
    "cv must be a number of random splits, a scikit-learn splitter such as LeaveOneGroupOut(), "
    "Extrapolation(flops=1e20), or pairs of (train, test) row numbers"
)


@dataclass(frozen=True, kw_only=True)
class Extrapolation:
    """One split: trained on the runs below a value, tested on those at or above it.

    Parameters
    ----------
    flops, params, tokens : float, optional
        The cut; exactly one of them.

    Examples
    --------
    >>> from scalefit.simulation import grid
    >>> runs = LossTable.from_frame(grid(params=[1e8, 1e9, 1e10]).assign(loss=[3.0, 2.5, 2.2]))
    >>> [rows.tolist() for rows in Extrapolation(params=1e10).indices(runs)]
    [[0, 1], [2]]
    """

    flops: float | None = None
    params: float | None = None
    tokens: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            told = ", ".join(f"{name}={value}" for name, value in given.items()) or "nothing"
            raise ValueError(f"Extrapolation takes one of flops, params and tokens, not {told}.")
        for name, value in given.items():
            if not (isinstance(value, Real) and 0 < float(value) < np.inf):
                raise ValueError(f"{name} must be a positive, finite number to cut at, not {value!r}.")

    @property
    def cut(self) -> tuple[str, float]:
        """Name of the column, and the value from which on rows are tested."""
        return next((name, float(value)) for name, value in vars(self).items() if value is not None)

    def indices(self, table: LossTable) -> Split:
        """Rows to train on and rows to test on.

        Raises
        ------
        ValueError
            If the table has no such column, or all rows lie on one side.
        """
        name, cut = self.cut
        values = getattr(table, name)
        train, test = np.flatnonzero(values < cut), np.flatnonzero(values >= cut)
        if not (len(train) and len(test)):
            side = "below" if not len(train) else "at or above"
            raise ValueError(
                f"no run lies {side} {name} {cut:g}, so there is nothing to {'train' if not len(train) else 'test'} "
                f"on: {name} runs from {values.min():.4g} to {values.max():.4g}. Choose a cut between them."
            )
        return train, test


def make_splits(
    table: LossTable, cv: Any, *, test_size: float = 0.2, groups: str | None = None, seed: int = 0
) -> tuple[tuple[Split, ...], str]:
    """Pairs of row numbers to train on and to test on, and words for them.

    Parameters
    ----------
    table : LossTable
    cv : int, splitter, Extrapolation or iterable of pairs
        As `validate` takes it. Random splits number the rows by what they hold, so that the order of the rows of the
        table changes nothing.
    test_size : float
        Share of the rows, or of the groups, that random splits test on.
    groups : str, optional
        Column whose equal values stay together: counts within 0.1 % are equal.
    seed : int
        Of random splits.

    Raises
    ------
    TypeError
        If cv is none of these.
    ValueError
        If the table cannot be split like that, or a pair is not of row numbers, overlaps or has an empty side.

    Examples
    --------
    >>> from scalefit.simulation import grid
    >>> runs = LossTable.from_frame(grid(params=[1e8, 1e9, 1e10, 1e11]).assign(loss=[3.0, 2.5, 2.2, 2.1]))
    >>> splits, words = make_splits(runs, 2, test_size=0.25)
    >>> words, [test.tolist() for _, test in splits]
    ('2 random splits, 25 % tested, seed 0', [[2], [0]])
    """
    known = isinstance(cv, int | np.integer | Extrapolation | Iterable) or hasattr(cv, "split")
    if not known or isinstance(cv, bool | str | type):
        raise TypeError(f"{FORMS}, not {cv!r}.")
    is_count = isinstance(cv, int | np.integer)
    if groups is not None and not (is_count or hasattr(cv, "split")):
        raise ValueError(f"groups={groups!r} is for random splits and scikit-learn's splitters of groups, not {cv!r}.")
    labels = None if groups is None else _labels(table, groups)
    whole = "" if groups is None else f" of groups of {groups}"
    if isinstance(cv, Extrapolation):
        pairs: Iterable[Any] = [cv.indices(table)]
        name, cut = cv.cut
        words = f"trained below {name} {cut:g}, tested from there on"
    elif is_count:
        pairs = _random(table, int(cv), test_size, labels, seed)
        words = f"{cv} random split{'s' * (cv > 1)}{whole}, {100 * test_size:g} % tested, seed {seed}"
    elif hasattr(cv, "split"):
        pairs, words = _split_by(cv, table, labels), f"{' '.join(repr(cv).split())}{whole}"
    else:
        pairs, words = cv, "given pairs of rows"
    checked = tuple(_checked(pair, number, len(table)) for number, pair in enumerate(pairs))
    if not checked:
        raise ValueError(f"cv={cv!r} gives no split. {FORMS}.")
    return checked, words


def _random(table: LossTable, count: int, test_size: float, labels: Rows | None, seed: int) -> list[Split]:
    """Random splits of rows, or of groups."""
    if count < 1:
        raise ValueError(f"cv must be at least 1 split, but it is {count}; 20 is the default.")
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must be a share between 0 and 1, but it is {test_size!r}; the default is 0.2.")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to {2**32 - 1}, not {seed!r}.")
    if labels is not None:
        return list(GroupShuffleSplit(count, test_size=test_size, random_state=seed).split(labels, groups=labels))
    order = np.lexsort((table.loss, *(table[name] for name in table.inputs)))
    splitter = ShuffleSplit(count, test_size=test_size, random_state=seed)
    return [(np.sort(order[train]), np.sort(order[test])) for train, test in splitter.split(order)]


def _split_by(cv: Any, table: LossTable, labels: Rows | None) -> list[Split]:
    """Splits of a scikit-learn splitter, which sees the losses and the groups."""
    try:
        return list(cv.split(np.zeros((len(table), 1)), table.loss, labels))
    except ValueError as error:
        lacks = labels is None and "groups" in str(error)
        remedy = ' Name the column of the groups, as in groups="params".' if lacks else ""
        raise ValueError(f"{cv!r} cannot split these {len(table)} rows: {error}{remedy}") from error


def _labels(table: LossTable, groups: str) -> Rows:
    """(n,) number of the group of each row."""
    if not isinstance(groups, str):
        raise TypeError(f"groups must be the name of a column, not {groups!r}.")
    values = table[groups]
    missing = np.flatnonzero(pd.isna(values))
    if len(missing):
        raise ValueError(
            f"column {groups!r} cannot make groups: row {missing[0]} (counting from 0) has no value ({len(missing)} "
            "such rows). Fill them in, or leave these rows out with table.where(...)."
        )
    labels = group_labels(values, RTOL if groups.startswith(COUNTS) else 0.0)
    if labels.max() == 0:
        raise ValueError(
            f"column {groups!r} makes one group of all {len(table)} rows, so none can be left out. "
            "Choose a column with several values."
        )
    return labels


def _checked(pair: Any, number: int, n: int) -> Split:
    """Pair of arrays of row numbers, both with rows, none in both."""
    try:
        train, test = (np.asarray(rows) for rows in pair)
    except (TypeError, ValueError) as error:
        raise TypeError(f"split {number} is no pair of (train, test) row numbers: {error}. {FORMS}.") from error
    for name, rows in (("train", train), ("test", test)):
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise TypeError(f"the {name} rows of split {number} must be row numbers, not {rows.dtype}: {rows!r}.")
        if not rows.size:
            raise ValueError(f"split {number} has no {name} rows. Give every split both sides.")
        if rows.min() < 0 or rows.max() >= n:
            bad = int(rows.min() if rows.min() < 0 else rows.max())
            raise ValueError(f"split {number} has the {name} row {bad}, but rows count from 0 to {n - 1}.")
    rows, counts = np.unique(np.concatenate([train, test]), return_counts=True)
    if np.any(counts > 1):
        raise ValueError(
            f"row {rows[np.argmax(counts > 1)]} is in split {number} twice ({int(np.sum(counts > 1))} such rows). "
            "A row is trained on or tested on, once."
        )
    return train.astype(np.intp), test.astype(np.intp)
