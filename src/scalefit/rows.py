"""Rows as regressors get them: weights and signs, checked once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def frequencies(sample_weight: ArrayLike | None, n: int) -> Floats:
    """(n,) weights, one each unless given.

    Raises
    ------
    ValueError
        If their number is wrong, one is negative or not finite, or all are zero.

    Examples
    --------
    >>> frequencies(None, 2).tolist(), frequencies([2, 0], 2).tolist()
    ([1.0, 1.0], [2.0, 0.0])
    """
    weights = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    if weights.shape != (n,):
        raise ValueError(f"sample_weight must be one number per row, {n} of them, but its shape is {weights.shape}.")
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"sample_weight must be finite and not negative, but row {row} has {weights[row]}.")
    if not weights.any():
        raise ValueError("sample_weight is zero in every row, so there is nothing to fit.")
    return weights


def check_positive(names: Sequence[str], columns: Sequence[Floats]) -> None:
    """Raise ValueError for the first value that is not positive.

    Examples
    --------
    >>> check_positive(["params"], [np.array([1e9])])
    """
    for name, column in zip(names, columns, strict=True):
        if np.any(column <= 0):
            row = int(np.argmax(column <= 0))
            raise ValueError(
                f"{name} must be positive, but row {row} (counting from 0) is {column[row]} "
                f"({int(np.sum(column <= 0))} such rows). Drop the rows, or undo what was subtracted from them."
            )
