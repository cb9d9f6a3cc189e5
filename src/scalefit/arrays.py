"""Columns of a table as the arrays that regressors take: numbers, positive inputs, frequencies."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from .columns import INPUTS
from .table import LossTable


def _numbers(table: LossTable, name: str) -> Any:
    values = getattr(table, name) if name in INPUTS else table[name]
    if not np.issubdtype(values.dtype, np.number):
        numbers = [isinstance(value, Real) and not isinstance(value, bool | np.bool_) for value in values]
        row = int(np.argmin(numbers))
        value = values.tolist()[row]
        shown = f"the text {value[:40]!r}" if isinstance(value, str) else repr(value)
        raise ValueError(
            f"column {name!r} must be of numbers, but row {row} (counting from 0) is {shown}. "
            "Choose another column, or convert this one before it goes into a LossTable."
        )
    values = values.astype(float)
    if not np.all(np.isfinite(values)):
        row = int(np.argmin(np.isfinite(values)))
        raise ValueError(
            f"column {name!r} must be finite, but row {row} (counting from 0) is {values[row]} "
            f"({int(np.sum(~np.isfinite(values)))} such rows). Drop them with table.where('{name} > 0')."
        )
    return values


def weight_column(table: LossTable, name: str) -> Any:
    """(n,) frequencies from a column.

    Raises
    ------
    ValueError
        If one is no finite number or negative, or all are zero.

    Examples
    --------
    >>> from scalefit.simulation import grid
    >>> runs = LossTable.from_frame(grid(params=[1e8, 1e9]).assign(loss=[3.0, 2.5], copies=[1, 2]))
    >>> weight_column(runs, "copies").tolist()
    [1.0, 2.0]
    """
    values = _numbers(table, name)
    if np.any(values < 0):
        row = int(np.argmax(values < 0))
        raise ValueError(
            f"column {name!r} must not be negative to be a weight, but row {row} (counting from 0) is {values[row]:g} "
            f"({int(np.sum(values < 0))} such rows). A weight is a frequency: 2 is the row twice, 0 leaves it out."
        )
    if not values.any():
        raise ValueError(f"column {name!r} is zero in all {len(values)} rows, so nothing would be fitted.")
    return values


def input_column(table: LossTable, name: str) -> Any:
    """(n,) positive numbers from a column.

    Raises
    ------
    ValueError
        If one is no positive, finite number.

    Examples
    --------
    >>> from scalefit.simulation import grid
    >>> runs = LossTable.from_frame(grid(params=[1e8, 1e9]).assign(loss=[3.0, 2.5]))
    >>> input_column(runs, "params").tolist()
    [100000000.0, 1000000000.0]
    """
    values = _numbers(table, name)
    if np.any(values <= 0):
        row = int(np.argmax(values <= 0))
        count = int(np.sum(values <= 0))
        raise ValueError(
            f"column {name!r} must be positive to be an input, but row {row} (counting from 0) is {values[row]:g} "
            f"({count} such rows). Drop them with table.where('{name} > 0')."
        )
    return values
