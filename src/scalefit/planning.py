"""Questions put to a fit the other way round: the budget for a loss, the price of a smaller model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .allocation import compute_optimal
from .costs import COUNTS, Cost
from .flops import six_nd
from .result import Fit

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BUDGETS = (1e6, 1e36)  # FLOPs between which a formula is asked
STEPS = 41  # budgets, or counts, at a time
ROUNDS = 10  # of narrowing: to 1e-12 of the range


def budget_for(fit: Fit, loss: float, *, cost: Cost = six_nd) -> float:
    """Smallest budget whose best model reaches a loss.

    Parameters
    ----------
    fit : Fit
        Of params and tokens.
    loss : float, nats per token
    cost : callable
        As in `compute_optimal`.

    Returns
    -------
    float, FLOPs
        nan if no budget reaches the loss, or the least does: below the floor of a law, outside the runs of a surface.

    Raises
    ------
    ValueError
        If the loss is not positive and finite.

    Notes
    -----
    For an interval, ask a bootstrap: ``boot.interval(lambda fit: math.log(sf.budget_for(fit, 2.0)))``.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> fitted = sf.fit(sf.Chinchilla, runs)
    >>> C = budget_for(fitted, 2.0)
    >>> float(compute_optimal(fitted, C).loss[0].round(6))
    2.0
    """
    if not (np.isfinite(loss) and loss > 0):
        raise ValueError(f"loss must be positive and finite, not {loss!r}.")
    low, high = (np.log(end) for end in (BUDGETS if fit.has_law else _budgets(fit, cost)))
    return _first(lambda budgets: compute_optimal(fit, budgets, cost=cost).loss <= loss, low, high)


def extra_compute(fit: Fit, flops: float, size: float, *, cost: Cost = six_nd) -> float:
    """Compute that a model `size` times the optimal one needs for the same loss, as a multiple of the optimal budget.

    Parameters
    ----------
    fit : Fit
        Of params and tokens.
    flops : float, FLOPs
        Budget of the compute-optimal model.
    size : float
        Parameters, as a share of the optimal ones: 0.5 for half.
    cost : callable
        As in `compute_optimal`.

    Returns
    -------
    float
        1.1 is 10 % more; nan if no amount of tokens reaches the loss, or the runs of a surface do not show it.

    Raises
    ------
    ValueError
        If the size is not positive and finite.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> round(extra_compute(sf.fit(sf.Chinchilla, runs), 1e22, 0.5), 3)
    1.208
    """
    if not (np.isfinite(size) and size > 0):
        raise ValueError(f"size must be positive and finite, such as 0.5 for half the parameters, not {size!r}.")
    best = compute_optimal(fit, flops, cost=cost)
    params, target = float(best.params[0]) * size, float(best.loss[0])
    if not COUNTS[0] <= params <= COUNTS[1]:
        return float("nan")
    tokens = _tokens_for_loss(fit, params, target)
    return float(np.asarray(cost(params, tokens), dtype=float)) / float(flops) if np.isfinite(tokens) else float("nan")


def _tokens_for_loss(fit: Fit, params: float, loss: float) -> float:
    """Fewest tokens with which a model reaches a loss; nan if none do."""
    ends = COUNTS if fit.has_law else (fit.table["tokens"].min(), fit.table["tokens"].max())
    low, high = np.log(ends)
    return _first(lambda tokens: np.asarray(fit(params=params, tokens=tokens)) <= loss, low, high)


def _first(reached: Callable[[Floats], Bools], low: float, high: float) -> float:
    """Smallest count whose answer is yes, between two logarithms; nan if none is, or all are."""
    for narrowed in range(ROUNDS):
        logs = np.linspace(low, high, STEPS)
        first = int(np.argmax(yes := reached(np.exp(logs))))
        if not yes.any() or (first == 0 and not narrowed):
            return float("nan")
        if first == 0:  # nothing left between the two but rounding
            break
        low, high = logs[first - 1], logs[first]
    return float(np.exp(high))


def _budgets(fit: Fit, cost: Cost) -> tuple[float, float]:
    """Least and largest budget of the runs."""
    spent = np.asarray(cost(fit.table["params"], fit.table["tokens"]), dtype=float)
    return float(spent.min()), float(spent.max())
