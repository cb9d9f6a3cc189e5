"""Which budgets have an optimum that the runs bracket, and what is wrong where they do not, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def rising(flops: Floats, loss: Floats, bracketed: Bools) -> tuple[str, ...]:
    """Says where the lowest loss rises with the budget, although more compute need not be used badly.

    Examples
    --------
    >>> rising(np.array([1e19, 1e20]), np.array([2.5, 2.4]), np.array([True, True]))
    ()
    """
    order = np.argsort(flops, kind="stable")
    order = order[bracketed[order]]
    flops, loss = flops[order], loss[order]
    up = np.flatnonzero((np.diff(loss) > 1e-9 * loss[:-1]) & (np.diff(flops) > 0))
    if not len(up):
        return ()
    first = up[0]
    return (
        f"the lowest loss rises from {loss[first]:.4g} to {loss[first + 1]:.4g} between {flops[first]:.3g} and "
        f"{flops[first + 1]:.3g} FLOPs ({len(up)} such): look for undertuned or diverged runs.",
    )


def lacking(params: Floats, bracketed: Bools, at_edge: Bools) -> tuple[str, ...]:
    """Says how many budgets have no bracketed optimum.

    Examples
    --------
    >>> lacking(np.array([1e9, np.nan]), np.array([True, False]), np.array([False, False]))
    ('1 of 2 budgets have a bracketed optimum, 0 are at an edge, 1 none',)
    """
    if bracketed.all():
        return ()
    return (
        f"{int(bracketed.sum())} of {len(params)} budgets have a bracketed optimum, {int(at_edge.sum())} are at an "
        f"edge, {int(np.sum(~np.isfinite(params)))} none",
    )


def window_of(window: Sequence[float] | None, flops: Floats) -> tuple[float, float]:
    """Ends of a window of budgets; those of all of them by default.

    Examples
    --------
    >>> window_of(None, np.array([1e20, 1e18]))
    (1e+18, 1e+20)
    """
    if window is None:
        return float(flops.min()), float(flops.max())
    low, high = window if len(window) == 2 else (np.nan, np.nan)
    if not 0 <= low < high < np.inf:
        raise ValueError(f"window must be two budgets in FLOPs, the lower first, not {tuple(window)!r}.")
    return float(low), float(high)
