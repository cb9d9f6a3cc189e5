"""Questions put to a fit the other way round: the budget for a loss, the price of a smaller model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .allocation import check_plane, compute_optimal
from .costs import COUNTS, Cost
from .flops import six_nd
from .result import Fit

Floats = NDArray[np.float64]

BUDGETS = (1e6, 1e36)  # FLOPs between which a formula is asked
STEPS = 41  # budgets, or counts, at a time
ROUNDS = 10  # of narrowing at most
LAST = 1e-12  # width of a logarithm that is narrow enough


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
    For an interval, ask a bootstrap: ``boot.interval(lambda fit: np.log(sf.budget_for(fit, 2.0)))``.

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
    check_plane(fit)
    low, high = (np.log(end) for end in (BUDGETS if fit.has_law else _budgets(fit, cost)))

    def losses(budgets: Floats) -> Floats:
        best = compute_optimal(fit, budgets, cost=cost)
        return np.where(best.bracketed, best.loss, np.nan)

    return _first(losses, loss, low, high)


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
        For an interval: ``boot.interval(lambda fit: sf.extra_compute(fit, 1e23, 0.5))``.

    Raises
    ------
    TypeError
        If this is no fit of params and tokens.
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
    check_plane(fit)
    if np.ndim(flops):
        raise ValueError(f"flops must be one budget, but its shape is {np.shape(flops)}.")
    best = compute_optimal(fit, flops, cost=cost)
    if not best.bracketed[0]:
        return float("nan")
    params, target = float(best.params[0]) * size, float(best.loss[0])
    if not COUNTS[0] <= params <= COUNTS[1]:
        return float("nan")
    tokens = _tokens_for_loss(fit, params, target)
    return float(np.asarray(cost(params, tokens), dtype=float)) / float(flops) if np.isfinite(tokens) else float("nan")


def _tokens_for_loss(fit: Fit, params: float, loss: float) -> float:
    """Fewest tokens with which a model reaches a loss; nan if none do."""
    ends = COUNTS if fit.has_law else (fit.table["tokens"].min(), fit.table["tokens"].max())
    low, high = np.log(ends)

    def losses(tokens: Floats) -> Floats:
        columns = {"params": np.full(len(tokens), params), "tokens": tokens}
        X = np.stack([columns[name] for name in fit.inputs], axis=1)
        found = np.asarray(fit.model.predict(X), dtype=float)  # not by fit(...): a bootstrap notes what is asked of it
        return found if fit.has_law else np.where(fit.hull.contains(np.log(X)), found, np.nan)

    return _first(losses, loss, low, high)


def _first(losses: Callable[[Floats], Floats], target: float, low: float, high: float) -> float:
    """Count, between two logarithms, at which losses first fall to a target; nan if they do not, or start below it."""
    for _ in range(ROUNDS):
        logs = np.linspace(low, high, STEPS)
        found = losses(np.exp(logs))
        reached = found <= target
        first = int(np.argmax(reached))
        if first == 0 or not np.isfinite(found[first - 1]):
            return float("nan")
        low, high = logs[first - 1], logs[first]
        if high - low <= LAST:
            break
    return float(np.exp(high))


def _budgets(fit: Fit, cost: Cost) -> tuple[float, float]:
    """Least and largest budget of the runs."""
    spent = np.asarray(cost(fit.table["params"], fit.table["tokens"]), dtype=float)
    return float(spent.min()), float(spent.max())
