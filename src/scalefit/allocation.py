"""The verb `compute_optimal`: the best split of a budget into parameters and tokens, read off any fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .costs import COUNTS, Cost, check_cost, cost_name, spend
from .flops import six_nd
from .frontier import Frontier
from .frontier_notes import beaten, far, mismatch, torn, uphill
from .laws import SeparableLaw, Term
from .optima import Draws, Optima
from .replicates import Refits
from .resampled import Bootstrap
from .result import Fit

Floats = NDArray[np.float64]
Predict = Callable[[Floats], Floats]

POINTS = 100  # the paper takes 50 or 100
ZOOM = 20  # cells that a pair of neighbouring cells is divided into
FINE, ROUGH = 1e-4, 2e-2  # steps of log counts down to which an optimum is followed: of a fit, of a resample
SAME = 1e-3  # difference of the routes, of log params, that is not worth a word
MOST_VALUES = 20_000_000  # losses at once: a bound on memory


def compute_optimal(fit: Fit | Bootstrap, flops: ArrayLike, *, cost: Cost = six_nd, points: int = POINTS) -> Frontier:
    """Parameters and tokens that give the lowest loss for a budget (Eq. 5, 6 of [1]_).

    Parameters
    ----------
    fit : Fit or Bootstrap
        Of a law or a surface of params and tokens. Of a bootstrap, the frontier has intervals.
    flops : float or (m,) array, FLOPs
        Budgets.
    cost : callable
        FLOPs of given params and tokens, arrays in and out; increasing in both. See `scalefit.flops`.
    points : int
        Of the grid that is searched first, over params and again over tokens; then the optimum is followed.

    Returns
    -------
    Frontier
        `at_edge` where the loss still falls at the end of the runs (of the search, for a law).

    Raises
    ------
    TypeError
        If this is no fit of params and tokens.
    ValueError
        If a budget is not positive and finite, or the cost is not finite or does not increase.

    Notes
    -----
    Each optimum is looked for along params and along tokens, both in logarithms; the frontier says how far the two
    routes are apart. A sum of a power of params and one of tokens with C = 6 N D has a closed form, which is used
    instead. A surface is searched within the convex hull of its runs.

    References
    ----------
    .. [1] arXiv:2601.10684, section 2 and appendix B.4. Hoffmann et al. 2022, arXiv:2203.15556, Eq. 4 for the closed
       form.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> compute_optimal(sf.fit(sf.Chinchilla, runs), 5.88e23)
    ok    optimum of E + A params^-alpha + B tokens^-beta by its closed form, C = 6 N D
       flops    params    tokens  loss  tokens_per_param bracketed
    5.88e+23 3.249e+10 3.016e+12  1.93             92.83       yes
    """
    base: Any = fit.base if isinstance(fit, Bootstrap) else fit
    budgets = _checked(base, flops, points)
    closed = closed_form(base) if cost is six_nd else None
    if closed is None:
        check_cost(cost, base.table["params"], base.table["tokens"], everywhere=base.has_law)
    optima, apart = _optima(base, budgets, cost, points, closed)
    how = "its closed form" if closed is not None else "search"
    reach = _reach(base, optima)
    routes = apart is not None and apart > SAME
    return Frontier(
        budgets, optima.params[0], optima.tokens[0], optima.loss[0], optima.at_edge[0],
        f"optimum of {base.formula} by {how}, C = {cost_name(cost)}",
        (
            *([f"the routes over params and tokens differ by {apart:.2g} in log params"] if routes else []),
            *mismatch(base, cost), *far(budgets, reach),
            *beaten(base, cost, lambda budgets: _optima(base, budgets, cost, points, closed)[0].loss[0]),
        ),
        reach=reach, apart=apart,
        doubts=(*(f"the fit: {note}" for note in base.notes), *uphill(base, budgets, optima), *torn(apart)),
        draws=None if fit is base else _draws(fit, base, budgets, cost, points, closed),
    )  # fmt: skip


def optima_of(fit: Fit, budgets: Floats) -> Optima:
    """Best models of one fit for C = 6 N D, without what a reader of a frontier is told: for statistics of refits.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> optima_of(sf.fit(sf.Chinchilla, runs), np.array([5.88e23])).tokens.round(-10).tolist()
    [[3020000000000.0]]
    """
    check_plane(fit)
    closed = closed_form(fit)
    if closed is None:
        check_cost(six_nd, fit.table["params"], fit.table["tokens"], everywhere=fit.has_law)
    return _optima(fit, budgets, six_nd, POINTS, closed)[0]


def _optima(
    base: Fit, budgets: Floats, cost: Cost, points: int, closed: tuple[Term, Term] | None
) -> tuple[Optima, float | None]:  # fmt: skip
    """Best models of a fit, and how far apart the routes of a search are."""
    if closed is None:
        return _both_routes(base, budgets, cost, points)
    return _in_closed_form(closed, budgets, {name: np.array([v]) for name, v in base.parameters.items()}), None


def check_plane(fit: Any) -> None:
    """Raise TypeError if this is no fit of params and tokens.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> check_plane(sf.fit(sf.Chinchilla, runs))
    """
    if isinstance(fit, Fit) and set(fit.inputs) == {"params", "tokens"}:
        return
    what = f"a fit of {', '.join(fit.inputs)}" if isinstance(fit, Fit) else f"a {type(fit).__name__}"
    remedy = "; ask boot.interval(lambda fit: ...) for an interval of the answer" if isinstance(fit, Bootstrap) else ""
    raise TypeError(f"this needs a Fit of params and tokens, not {what}{remedy}.")


def _checked(base: Any, flops: ArrayLike, points: int) -> Floats:
    """(m,) budgets."""
    check_plane(base)
    budgets = np.atleast_1d(np.asarray(flops, dtype=float))
    if budgets.ndim != 1 or not len(budgets):
        raise ValueError(f"flops must be one budget or a row of them, but its shape is {np.shape(flops)}.")
    bad = ~(np.isfinite(budgets) & (budgets > 0))
    if bad.any():
        raise ValueError(f"a budget must be positive and finite, but flops has {budgets[bad][0]} ({bad.sum()} such).")
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or points < 5:
        raise ValueError(f"points must be a whole number from 5 on, such as {POINTS}, not {points!r}.")
    return budgets


def _draws(
    boot: Any, base: Fit, budgets: Floats, cost: Cost, points: int, closed: tuple[Term, Term] | None
) -> Draws:  # fmt: skip
    """Optima of every refit."""
    (part,) = boot.parts

    def of(refits: Refits) -> Optima:
        if closed is not None:
            return _in_closed_form(closed, budgets, refits.parameters)
        return _route(refits.predict, base, budgets, cost, "params", points, ROUGH)

    return Draws(boot, of(part.refits), lambda: of(part.jackknife))


def closed_form(fit: Fit) -> tuple[Term, Term] | None:
    """Terms of params and of tokens, if the law is the sum of a power of each.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> [term.exponent for term in closed_form(sf.fit(sf.Chinchilla, runs))]
    ['alpha', 'beta']
    """
    law = fit.law if fit.has_law else None
    if not isinstance(law, SeparableLaw) or len(law.terms) != 2 or any(term.g != "log" for term in law.terms):
        return None
    terms = {fit.inputs[term.column]: term for term in law.terms}
    return (terms["params"], terms["tokens"]) if len(terms) == 2 else None


def _in_closed_form(terms: tuple[Term, Term], budgets: Floats, numbers: Mapping[str, Floats]) -> Optima:
    """Optima for R sets of parameters."""
    (A, alpha), (B, beta) = ((numbers[term.amplitude][:, None], numbers[term.exponent][:, None]) for term in terms)
    E, C = numbers["E"][:, None], np.log(budgets / 6)
    with np.errstate(all="ignore"):
        log_A, log_B = np.log(A), np.log(B)
        G = (np.log(alpha) + log_A - np.log(beta) - log_B) / (alpha + beta)
        log_N = G + beta / (alpha + beta) * C
        log_D = C - log_N
        loss = E + np.exp(log_A - alpha * log_N) + np.exp(log_B - beta * log_D)
        params, tokens = np.exp(log_N), np.exp(log_D)
        good = np.isfinite(params) & np.isfinite(tokens) & (params > 0) & (tokens > 0)
        at_edge = (np.minimum(params, tokens) < COUNTS[0]) | (np.maximum(params, tokens) > COUNTS[1])
    params, tokens, loss = (np.where(good, value, np.nan) for value in (params, tokens, loss))
    return Optima(params, tokens, loss, at_edge & good)


def _both_routes(fit: Fit, budgets: Floats, cost: Cost, points: int) -> tuple[Optima, float]:
    """Lower of the two routes at each budget, and how far apart they are."""

    def predict(X: Floats) -> Floats:
        return np.asarray(fit.model.predict(X if X.ndim == 2 else X[0]), dtype=float)[None]

    over_params, over_tokens = (
        _route(predict, fit, budgets, cost, along, points, FINE) for along in ("params", "tokens")
    )
    both = over_params.bracketed & over_tokens.bracketed
    apart = np.abs(np.log(over_params.params[both] / over_tokens.params[both]))
    with np.errstate(invalid="ignore"):
        lower = ~(over_tokens.loss < over_params.loss)  # of equals the first, which is nan at worst
    lower &= np.isfinite(over_params.loss) | ~np.isfinite(over_tokens.loss)
    chosen = (
        np.where(lower, a, b) for a, b in zip(vars(over_params).values(), vars(over_tokens).values(), strict=True)
    )
    return Optima(*chosen), float(apart.max(initial=0.0))


def _route(
    predict: Predict, fit: Fit, budgets: Floats, cost: Cost, along: str, points: int, step: float
) -> Optima:  # fmt: skip
    """Optima of R fits at m budgets by a search along one input: a grid, then finer ones around its best point."""
    low, high = np.log(COUNTS) if fit.has_law else np.log([fit.table[along].min(), fit.table[along].max()])
    parts, done = [], 0
    block = len(budgets)
    while done < len(budgets):
        here = budgets[done : done + block]
        x = np.broadcast_to(np.linspace(low, high, points), (1, len(here), points))
        loss = _losses(predict, fit, here, cost, along, x)
        if loss.size > MOST_VALUES and len(here) > 1:  # too many refits for so many budgets at once
            block = max(1, MOST_VALUES * len(here) // loss.size)
            continue
        parts.append(_follow(predict, fit, here, cost, along, x, loss, step))
        done += len(here)
    columns = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in vars(parts[0]))
    return Optima(*columns)


def _follow(
    predict: Predict, fit: Fit, budgets: Floats, cost: Cost, along: str, x: Floats, loss: Floats, step: float
) -> Optima:  # fmt: skip
    """Optima followed from the losses at a first grid x, (1, m, G), down to steps of log counts."""
    none, best = ~np.isfinite(loss).any(axis=2), np.argmin(loss, axis=2)
    x = np.broadcast_to(x, loss.shape)
    while float(np.max(x[:, :, 1] - x[:, :, 0])) > step:
        low, high = (_at(x, np.clip(best + side, 0, x.shape[2] - 1)) for side in (-1, 1))
        x = low[:, :, None] + (high - low)[:, :, None] * np.linspace(0, 1, ZOOM + 1)
        loss = _losses(predict, fit, budgets, cost, along, x)
        best = np.argmin(loss, axis=2)
    at_edge = (best == 0) | (best == x.shape[2] - 1)  # of the search, or next to where there is no answer
    for side in (-1, 1):
        at_edge |= ~np.isfinite(_at(loss, np.clip(best + side, 0, x.shape[2] - 1)))
    at, lowest = _vertex(x, loss, best)
    one = np.exp(at)
    other = spend(cost, budgets, one, _other(along))
    params, tokens = (one, other) if along == "params" else (other, one)
    params, tokens, lowest = (np.where(none, np.nan, value) for value in (params, tokens, lowest))
    return Optima(params, tokens, lowest, at_edge & ~none)


def _losses(predict: Predict, fit: Fit, budgets: Floats, cost: Cost, along: str, x: Floats) -> Floats:
    """(R, m, G) losses at log counts x, (1 or R, m, G), that spend the budgets; inf where there is no answer."""
    one = np.exp(x)
    other = spend(cost, budgets[:, None], one, _other(along))
    possible = np.isfinite(other)
    columns = {along: one, _other(along): np.where(possible, other, 1.0)}
    X = np.stack([columns[name] for name in fit.inputs], axis=-1).reshape(len(x), -1, 2)
    if not fit.has_law:
        possible &= fit.hull.contains(np.log(X.reshape(-1, 2))).reshape(possible.shape)
    values = predict(X[0] if len(x) == 1 else X).reshape(-1, *x.shape[1:])
    return np.where(possible & np.isfinite(values), values, np.inf)


def _vertex(x: Floats, loss: Floats, best: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Lowest point of the parabola through the best point of each grid and its neighbours."""
    middle = np.clip(best, 1, x.shape[2] - 2)
    (x0, x1), step = (_at(x, best), _at(x, middle)), x[:, :, 1] - x[:, :, 0]
    left, center, right = (_at(loss, middle + side) for side in (-1, 0, 1))
    with np.errstate(all="ignore"):
        bend = left - 2 * center + right
        shift = (left - right) / (2 * bend)
        lowest = center - (left - right) ** 2 / (8 * bend)
    good = np.isfinite(shift) & (np.abs(shift) <= 1) & (bend > 0)
    return np.where(good, x1 + shift * step, x0), np.where(good, lowest, _at(loss, best))


def _at(values: Floats, place: NDArray[np.intp]) -> Floats:
    """(R, m) values at a place of the last axis."""
    return np.take_along_axis(values, place[:, :, None], axis=2)[:, :, 0]


def _other(along: str) -> Literal["params", "tokens"]:
    return "tokens" if along == "params" else "params"


def _reach(fit: Fit, optima: Optima) -> Floats:
    """(m,) decades that an optimum lies beyond the runs."""
    beyond = np.zeros(optima.params.shape[1])
    for name, counts in (("params", optima.params[0]), ("tokens", optima.tokens[0])):
        runs = fit.table[name]
        with np.errstate(invalid="ignore"):
            beyond = np.fmax(beyond, np.log10(np.maximum(counts / runs.max(), runs.min() / counts)))
    return beyond
