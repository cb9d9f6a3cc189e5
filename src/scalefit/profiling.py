"""Profiles of an objective: one parameter held, the others fitted again, and what rise of it noise explains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.base import clone

from .laws import SeparableLaw
from .linearised import Linear, least_noise
from .objective import residuals, weighted_median
from .parts import Part
from .replicates import Refits, refits
from .resampled import Bootstrap
from .resampling import bootstrap
from .result import Fit
from .solver import EXPONENT_RANGE

Floats = NDArray[np.float64]
Limits = tuple[float, float]

RESAMPLES = 400  # that say what noise explains
FIRST = 2.5  # standard errors at which a profile is looked at first
BEYOND, TOO_FAR = 1.3, 2.5  # root of the rise where a profile is to end, and beyond which it is cut
DOUBLINGS = 12  # of the first distance
LONGEST = 100.0  # of the logarithm of an amplitude, that a profile is followed


def noise_explains(fit: Fit | Bootstrap, near: Linear, level: float) -> tuple[dict[str, float], str, str]:
    """Rise of the objective that noise explains at a level, by parameter; where it comes from; why to doubt it, if so.

    Examples
    --------
    >>> import scalefit as sf
    >>> from scalefit.linearised import linearise
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> fit = sf.fit(sf.PowerLaw, runs)
    >>> sorted(noise_explains(fit, linearise(fit), 0.95)[0])
    ['A', 'E', 'alpha']
    """
    least = near.rise(1.0) * (least_noise(near.fit) / near.noise) ** 2
    if not isinstance(near.fit.law, SeparableLaw):
        t = float(stats.t.ppf((1 + level) / 2, near.spare))
        noise = max(near.rise(t), t**2 * least)
        return dict.fromkeys(near.names, noise), f"a rise of {noise:.2g}, as of independent runs of equal scatter", ""
    boot = fit if isinstance(fit, Bootstrap) else bootstrap(fit, resamples=RESAMPLES)
    if boot.spare < 1:
        raise ValueError(
            f"{boot.units} rows or clusters for {len(near.names)} free parameters leave nothing that speaks of the "
            "noise. Add runs, or fix or tie a parameter."
        )
    t = float(stats.t.ppf((1 + level) / 2, boot.spare))
    share = float(2 * stats.norm.cdf(t) - 1)
    part = boot.parts[0]
    free = _objectives(part, part.refits)
    noise_of = {}
    for name in near.names:
        held = _objectives(part, _held(near, name, part))
        rises = (held - free)[np.isfinite(held - free)]
        drawn = float(np.quantile(rises, share)) if len(rises) else np.nan
        noise_of[name] = float(np.nanmax([drawn, t**2 * least]))
    worst, best = max(noise_of.values()), min(noise_of.values())
    doubt = (
        f"{boot.units} rows or clusters, {boot.spare:g} of them spare: {len(boot)} resamples do not reach the tail of "
        f"{100 * level:g} %, so the limits are where the objective rises by more than in any of them. Add runs, fix or "
        "tie parameters, or ask for a lower level."
    )
    words = f"a rise of {best:.2g} to {worst:.2g}, by {len(boot)} resamples: {boot.words}"
    return noise_of, words, doubt if (1 - share) * len(boot) < 1 else ""


def _held(near: Linear, name: str, part: Part) -> Refits:
    """Refits to the resamples with a parameter held where the fit has it."""
    X, weights = _inputs(part.fit), _frequencies(part.fit)
    weights = weights[None] if part.counts is None else part.counts * weights
    if len(near.names) == 1:  # nothing is left to be refitted
        return _Same(near.fit.model, max(len(part.losses), len(weights)))
    return refits(_fitted_at(part.fit, name, near.fit.parameters[name]), X, part.losses, weights)


class _Same(Refits):
    """One model as the refit of every table."""

    def __init__(self, model: Any, count: int) -> None:
        self.only, self.failed, self.parameters, self.flags = model, np.zeros(count, dtype=bool), {}, {}

    def model(self, index: int) -> Any:
        return self.only


def _objectives(part: Part, made: Refits) -> Floats:
    """(B,) objectives of the resamples at their refits; nan where there is none."""
    objective, weights = part.fit.objective, _frequencies(part.fit)
    with np.errstate(invalid="ignore"):
        rho = objective.rho(residuals(objective, part.losses, made.predict(_inputs(part.fit))))
    return np.asarray(np.sum(rho * (weights if part.counts is None else part.counts * weights), axis=1))


def _inputs(fit: Fit) -> Floats:
    return np.stack([fit.table[name] for name in fit.inputs], axis=1)


def _frequencies(fit: Fit) -> Floats:
    return np.ones(len(fit.table)) if fit.weights is None else np.asarray(fit.table[fit.weights], dtype=float)


def _fitted_at(fit: Fit, name: str, value: float) -> Any:
    """Model with a parameter held at a value and the others fitted, by the objective that was resolved."""
    held = {**(fit.model.fixed or {}), name: value}
    model = clone(fit.model).set_params(fixed=held, objective=fit.objective)
    return model.fit(_inputs(fit), fit.table.loss, sample_weight=_frequencies(fit))


@dataclass(frozen=True, eq=False)
class Profile:
    """Optimum of the objective with one parameter held at each of several values.

    Attributes
    ----------
    parameter : str
    estimate : float
    values, objectives : (m,) arrays
        In increasing order of the value; the estimate is among them.
    noise : float
        Rise of the objective that noise explains.
    low, high : float
        Values between which the rise is no larger; nan where it never is.

    Examples
    --------
    >>> one = Profile("alpha", 0.3, np.array([0.2, 0.3, 0.4]), np.array([5.0, 1.0, 2.0]), 2.0, 0.25, np.nan)
    >>> one.rises.tolist(), one.is_open
    ([2.0, 0.0, 0.5], (False, True))
    """

    parameter: str
    estimate: float
    values: Floats
    objectives: Floats
    noise: float
    low: float
    high: float

    @property
    def rises(self) -> Floats:
        """(m,) rises above the objective of the estimate, in units of what noise explains: 1 at the ends."""
        return np.asarray((self.objectives - self.objectives[self.values == self.estimate][0]) / self.noise)

    @property
    def is_open(self) -> tuple[bool, bool]:
        """Whether there is no end below, and above."""
        return bool(np.isnan(self.low)), bool(np.isnan(self.high))


def profile(near: Linear, place: int, noise: float, points: int) -> Profile:
    """Profile of one parameter, by its place among the free ones, with about so many points on each side.

    Examples
    --------
    >>> import scalefit as sf
    >>> from scalefit.linearised import linearise
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> found = profile(linearise(sf.fit(sf.PowerLaw, runs)), 2, noise=1e-4, points=3)
    >>> found.low < 0.25 < found.high, found.parameter
    (True, 'alpha')
    """
    fit, name, at, log = near.fit, near.names[place], near.at[place], near.logs[place]
    base = fit.objective_value

    def value(distance: float) -> float:
        return float(np.exp(at + distance) if log else at + distance)

    def rise(distance: float) -> float:
        try:
            if len(near.names) > 1:
                return float((_fitted_at(fit, name, value(distance)).objective_value_ - base) / noise)
            errors = residuals(fit.objective, fit.table.loss, near.moved(np.array([distance])).predicted)
            return float((fit.objective.rho(errors) @ near.weights - base) / noise)
        except ValueError:  # such as E above the losses
            return float("inf")

    lowest, highest = _reach(near, place)
    scale = 1.0 if log else max(abs(at), 1e-3 * (highest - lowest))
    first = FIRST * float(np.clip(np.sqrt(near.covariance[place, place]), 1e-6 * scale, scale))
    below = _side(lambda distance: rise(-distance), first, at - lowest, points)
    above = _side(rise, first, highest - at, points)
    ends = -_crossing(below), _crossing(above)
    low, high = (value(end) if np.isfinite(end) else float("nan") for end in ends)
    pairs = [(value(-d), r) for d, r in reversed(below)] + [(fit.parameters[name], 0.0)]
    pairs += [(value(d), r) for d, r in above]
    values, rises = np.array([point for point in pairs if np.isfinite(point[1])]).T
    return Profile(name, fit.parameters[name], values, base + rises * noise, noise, low, high)


def _side(rise: Callable[[float], float], first: float, limit: float, points: int) -> list[Limits]:
    """Distances and rises on one side, evenly up to a little beyond where the rise is 1, or to the limit."""
    if not limit > 0:
        return []
    far, tried = min(first, limit), {}
    for _ in range(DOUBLINGS):
        tried[far] = rise(far)
        if tried[far] >= 1 or far >= limit:
            break
        far = min(2 * far, limit)
    for _ in range(DOUBLINGS):
        if tried[far] <= TOO_FAR**2:
            break
        root = np.sqrt(tried[far])
        far *= max(BEYOND / root, 0.1) if np.isfinite(root) else 0.5
        tried[far] = rise(far)
    for distance in far * np.arange(1, points) / points:
        tried[float(distance)] = rise(float(distance))
    ordered = sorted(tried.items())
    beyond = next((d for d, r in ordered if r >= 1), np.inf)
    return [(d, r) for d, r in ordered if d <= beyond or r <= TOO_FAR**2]


def _crossing(found: list[Limits]) -> float:
    """Distance at which the rise is 1, by the line of its root between points; nan where it never is."""
    before = (0.0, 0.0)
    for distance, rise in found:
        root = float(np.sqrt(max(rise, 0.0)))
        if root >= 1:
            share = (1 - before[1]) / (root - before[1])  # nothing of the way to what cannot be fitted
            return before[0] + share * (distance - before[0])
        before = (distance, root)
    return float("nan")


def _reach(near: Linear, place: int) -> Limits:
    """Coordinates between which a parameter is looked for."""
    fit, name, X = near.fit, near.names[place], _inputs(near.fit)
    law = fit.law
    if not isinstance(law, SeparableLaw):
        low, high = type(law).bounds_for(X, fit.table.loss)[name]
        return (float(np.log(low)), float(np.log(high))) if near.logs[place] else (low, high)
    if name == "E":
        return 0.0, weighted_median(fit.table.loss, near.weights) * (1 - 1e-9)
    if near.logs[place]:
        return float(near.at[place]) - LONGEST, float(near.at[place]) + LONGEST
    term = next(term for term in law.terms if term.exponent == name)
    span = float(np.ptp(term.scale(X[near.weights > 0, term.column]))) or 1.0
    return EXPONENT_RANGE[0] / span, max(EXPONENT_RANGE[1] / span, 4 * float(near.at[place]))
