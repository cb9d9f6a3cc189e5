"""What a budget buys: costs of params and tokens, checked and inverted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .flops import params_for, six_nd, tokens_for

Floats = NDArray[np.float64]
Cost = Callable[[Any, Any], Any]

COUNTS = (1.0, 1e30)  # between which the count that spends a budget is looked for
HALVINGS = 64  # of that range, in logarithms: to the last bit
AROUND = 10.0  # times the range of the runs over which a cost is tried


def spend(cost: Cost, budgets: Floats, known: Floats, unknown: Literal["params", "tokens"]) -> Floats:
    """Count of the unknown that spends each budget with the known one; nan where there is none between 1 and 1e30.

    Parameters
    ----------
    cost : callable
        FLOPs of params and tokens, increasing in both.
    budgets, known : arrays of shapes that broadcast, FLOPs and count

    Examples
    --------
    >>> spend(lambda N, D: 6 * N * D, np.array([6e21]), np.array([1e9]), "tokens").round(-3).tolist()
    [1000000000000.0]
    """
    budgets, known = np.broadcast_arrays(budgets, known)
    if cost is six_nd:
        exact = np.asarray(tokens_for(budgets, known) if unknown == "tokens" else params_for(budgets, known))
        return np.where((exact >= COUNTS[0]) & (exact <= COUNTS[1]), exact, np.nan)

    def at(count: Floats) -> Floats:
        return np.asarray(cost(known, count) if unknown == "tokens" else cost(count, known), dtype=float)

    low, high = (np.full(known.shape, np.log(end)) for end in COUNTS)
    possible = (at(np.exp(low)) <= budgets) & (at(np.exp(high)) >= budgets)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = at(np.exp(middle)) < budgets
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(possible, np.exp((low + high) / 2), np.nan)


def check_cost(cost: Cost, params: Floats, tokens: Floats, *, everywhere: bool = False) -> None:
    """Raise an error if a cost is no increasing function of params and tokens.

    Parameters
    ----------
    cost : callable
    params, tokens : (n,) arrays, count
        Of the runs, around which it is tried.
    everywhere : bool
        Whether it has to increase from 1 to 1e30 too, where the optimum of a formula is looked for.

    Raises
    ------
    TypeError
        If it is no function, or does not give one number for each pair.
    ValueError
        If a value is not positive and finite, or the cost does not increase.

    Examples
    --------
    >>> check_cost(six_nd, np.array([1e8, 1e9]), np.array([1e9, 1e10]))
    """
    if not callable(cost):
        raise TypeError(f"cost must be a function of params and tokens to FLOPs, such as flops.six_nd, not {cost!r}.")
    N, D = (np.geomspace(max(x.min() / AROUND, 1.0), x.max() * AROUND, 25) for x in (params, tokens))
    grid_N, grid_D = np.meshgrid(N, D, indexing="ij")
    found = np.asarray(cost(grid_N, grid_D), dtype=float)
    if found.shape != grid_N.shape:
        raise TypeError(
            f"cost must give one number for each pair of params and tokens: arrays of shape {grid_N.shape} gave "
            f"{found.shape}."
        )
    bad = ~(np.isfinite(found) & (found > 0))
    if bad.any():
        i, j = np.argwhere(bad)[0]
        raise ValueError(
            f"cost must be positive and finite, but is {found[i, j]} at params {N[i]:.3g}, tokens {D[j]:.3g} "
            f"({int(bad.sum())} of {bad.size} points around the runs)."
        )
    _check_increase(N, D, found, least=np.nextafter(0, 1))
    if everywhere:
        x = np.geomspace(*COUNTS, 121)
        with np.errstate(over="ignore", invalid="ignore"):
            wide = np.asarray(cost(*np.meshgrid(x, x, indexing="ij")), dtype=float)
        _check_increase(x, x, wide, least=0.0)  # far from the runs, one count may drown in the other


def _check_increase(N: Floats, D: Floats, found: Floats, *, least: float) -> None:
    for axis, name, x in ((0, "params", N), (1, "tokens", D)):
        with np.errstate(invalid="ignore"):
            falls = np.diff(found, axis=axis) < least
        if falls.any():
            i, j = np.argwhere(falls)[0]
            place = (i, j)[axis]
            raise ValueError(
                f"cost must increase in {name}, but goes from {found[i, j]:.6g} to "
                f"{found[i + 1 - axis, j + axis]:.6g} FLOPs between {name} {x[place]:.3g} and {x[place + 1]:.3g}."
            )


def cost_name(cost: Cost) -> str:
    """Cost in words.

    Examples
    --------
    >>> cost_name(six_nd)
    '6 N D'
    """
    if cost is six_nd:
        return "6 N D"
    name = getattr(cost, "__name__", None)
    return f"{name}(N, D)" if name else repr(cost)
