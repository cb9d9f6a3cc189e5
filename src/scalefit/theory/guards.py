"""Numbers checked at the door of the theory: each error names the thing and shows the value."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def positive(name: str, value: float) -> float:
    """The value, if it is positive and finite."""
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be positive and finite, but it is {value}.")
    return float(value)


def probability(p: float) -> float:
    """The value, if it is between 0 and 1, both excluded."""
    if not 0 < p < 1:
        raise ValueError(f"p is the probability that a bond is open, between 0 and 1, but it is {p}.")
    return float(p)


def at_least_one(name: str, values: ArrayLike) -> Floats:
    """The values as an array of floats, if none is below 1."""
    array = np.asarray(values, dtype=float)
    bad = ~((array >= 1) & (array < np.inf))
    if bad.any():
        raise ValueError(f"{name} must be finite and at least 1, but one is {array[bad].flat[0]:g} ({bad.sum()} such).")
    return array


def positive_array(name: str, values: ArrayLike, *, whole: bool = False) -> Floats:
    """The values as an array of floats, if all are positive and finite, and whole numbers where these are asked for."""
    array = np.asarray(values, dtype=float)
    bad = ~((array > 0) & (array < np.inf))
    if bad.any():
        raise ValueError(f"{name} must be positive and finite, but one is {array[bad].flat[0]:g} ({bad.sum()} such).")
    broken = array % 1 != 0
    if whole and broken.any():
        raise ValueError(f"{name} must be whole numbers, but one is {array[broken].flat[0]:g} ({broken.sum()} such).")
    return array


def whole(name: str, value: float, *, least: int) -> int:
    """The value as an int, if it is a whole number and not below the least."""
    if isinstance(value, bool) or not value >= least or value % 1 != 0:
        raise ValueError(f"{name} must be a whole number from {least} on, but it is {value}.")
    return int(value)
