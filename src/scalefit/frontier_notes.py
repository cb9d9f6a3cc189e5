"""What a reader of a frontier should know: what is beyond the runs, what another cost made, which runs beat it."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .costs import Cost, cost_name
from .doubting import DECADES
from .flops import WithInference
from .optima import Optima
from .remarks import scatter, where_in
from .result import Fit

Floats = NDArray[np.float64]

NUDGE = 1.01  # factor of params by which the slope at an optimum is seen
TORN = 0.05  # of log params, beyond which two routes do not speak of one optimum
MISMATCH = 0.05  # of log FLOPs, beyond which the table was made by another cost
# A run beats a law's best by so many robust standard deviations of the log residuals at least, by as many as chance
# exceeds in one of twenty tables of its rows, and by half a percent. Our choice.
BEATEN, CHANCE, BEATEN_SHARE = 3.0, 0.05, 0.005


def far(budgets: Floats, reach: Floats) -> tuple[str, ...]:
    """Says where an optimum lies so far beyond the runs that the formula itself is in doubt."""
    far = reach > DECADES
    if not far.any():
        return ()
    return (
        f"{int(far.sum())} of {len(far)} optima, the first at {budgets[far][0]:.3g} FLOPs, lie over {DECADES:g} "
        "decades beyond the runs: there the formula itself is in doubt.",
    )


def torn(apart: float | None) -> tuple[str, ...]:
    """Says that a surface has no valley to speak of: it is made of steps, or has several."""
    if apart is None or apart <= TORN:
        return ()
    return (
        f"a search over params and one over tokens end {apart:.2g} apart in log params: the surface is made of steps, "
        "or has several valleys. Choose a smooth one.",
    )


def uphill(fit: Fit, budgets: Floats, optima: Optima) -> tuple[str, ...]:
    """Says where a larger model on the same tokens has a higher loss: then a smaller budget is better."""
    good = optima.bracketed[0]
    columns = {"params": optima.params[0, good], "tokens": optima.tokens[0, good]}
    if fit.has_law or not good.any():
        return ()
    larger = {**columns, "params": columns["params"] * NUDGE}
    here, there = (fit.model.predict(np.stack([at[name] for name in fit.inputs], axis=1)) for at in (columns, larger))
    up = there > here
    if not up.any():
        return ()
    return (
        f"at {int(up.sum())} of {len(up)} optima, the first at {budgets[good][up][0]:.3g} FLOPs, a larger model on the "
        "same tokens has a higher loss, so less compute is better: look for undertuned or diverged runs.",
    )


def mismatch(fit: Fit, cost: Cost) -> tuple[str, ...]:
    """A word where the table's flops were made by another cost."""
    if "flops" not in fit.table:
        return ()
    if isinstance(cost, WithInference):  # serving is in no table's flops
        cost = cost.cost
    ratio = fit.table["flops"] / np.asarray(cost(fit.table["params"], fit.table["tokens"]), dtype=float)
    if np.max(np.abs(np.log(ratio))) <= MISMATCH:
        return ()
    return (
        f"the table's flops are {ratio.min():.2f} to {ratio.max():.2f} times {cost_name(cost)}: these budgets are not "
        "in its FLOPs. Pass the cost that made them, such as flops.transformer(...).",
    )


def beaten(fit: Fit, cost: Cost, best: Callable[[Floats], Floats]) -> tuple[str, ...]:
    """A word on runs that are better than the best that a law has for their budgets, by more than their scatter."""
    if not fit.has_law:
        return ()
    counted = np.ones(len(fit.table), dtype=bool) if fit.weights is None else fit.table[fit.weights] > 0
    with np.errstate(all="ignore"):
        off = np.where(counted, np.log(fit.table.loss / fit.predicted), np.nan)
    counted &= np.isfinite(off)
    if not counted.any():
        return ()
    deviations = max(BEATEN, NormalDist().inv_cdf(1 - CHANCE / counted.sum()))
    limit = -max(deviations * scatter(off[counted]), BEATEN_SHARE)
    below = np.flatnonzero(counted & (off < limit))
    if not len(below):
        return ()
    params, tokens, loss = fit.table["params"][below], fit.table["tokens"][below], fit.table.loss[below]
    least = best(np.asarray(cost(params, tokens), dtype=float))
    with np.errstate(invalid="ignore"):
        better = np.flatnonzero(np.log(loss / least) < limit)
    if not len(better):
        return ()
    lowest = better[np.argmin(loss[better])]
    count = "1 run is" if len(better) == 1 else f"{len(better)} runs are"
    return (
        f"{count} better than the best that the law has for the same budget: "
        f"{where_in(fit.table, ('params', 'tokens'), below[lowest])} has loss {loss[lowest]:.4g}, the law "
        f"{least[lowest]:.4g}. Unless that run is mistyped, the law is too high there, and may be so beyond.",
    )
