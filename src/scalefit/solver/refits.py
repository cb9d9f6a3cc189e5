"""Refits of a bootstrap: each starts from the base fit, a second route doubts it, what differs is solved globally."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .newton import Solution, newton
from .problem import Floats, Problem
from .screen import Grid, linear_profile, local_minima
from .separable import SAME, Bools, Optima, as_optima, global_optima, polish, take_better

WIDER = (1.0, 0.1)  # zones of the second route, in mean residuals
AUDIT = {0: 400, 1: 400, 2: 1500, 3: 1500}  # rows of fits that are solved globally too, where zones tell nothing
NEIGHBOURS = 24  # optima of other refits that a fit is compared with ...
NEAREST = 3  # ... and how many of them it starts from


def refit(problem: Problem, start: Floats) -> Optima:
    """Optima of fits that resemble one another, such as a bootstrap's, from one warm start.

    Parameters
    ----------
    start : (p,) array
        Natural parameters that all fits start from: the base fit's.

    Notes
    -----
    Every fit is polished from the start, then doubted by a second route. Where the zone of Huber's loss is narrow the
    route leads through wider zones and back; with one exponent, a linear screen looks for other basins; where zones
    tell nothing, a sample of the fits is solved globally, and if that finds one lower, all are. If any fit was doubted
    with success, all are tried from the optima of others too. Each fit that ended elsewhere on some route, or did not
    converge, is solved globally. docs/benchmarks.md counts what still ends above the optimum that `solve` finds.
    """
    warm = problem.from_natural(start[:, None])[:, :1]
    best = polish(problem, np.clip(np.repeat(warm, problem.size, axis=1), problem.lower, problem.upper))
    exponents = int(np.count_nonzero(problem.free_rows > problem.n_terms))
    doubtful = ~best.converged
    narrow = bool(np.all(problem.delta < np.abs(problem.residuals(best.free)).mean(axis=0)))
    everyone = np.arange(problem.size)
    if narrow and not problem.absolute:
        doubtful |= _differs(problem, best, everyone, _through_wider_zones(problem, best.free))
    if exponents == 1:
        doubtful |= _differs(problem, best, *_other_basins(problem, warm, best.free))
    if exponents == 1 or problem.absolute or not narrow:
        count = min(problem.size, int(np.clip(AUDIT[exponents] // problem.U.shape[1], 4, 64)))
        sample = np.linspace(0, problem.size - 1, count).astype(int)
        doubtful |= _differs(problem, best, sample, Solution(*global_optima(problem.take(sample))[:3])).any()
    if doubtful.any() and not doubtful.all():
        doubtful |= _differs(problem, best, *_from_neighbours(problem, best.free, doubtful))
    rest = np.flatnonzero(doubtful | ~best.converged)
    if len(rest):
        _differs(problem, best, rest, Solution(*global_optima(problem.take(rest))[:3]))
    return as_optima(problem, best.free, best.objective, best.converged, np.ones(problem.size, dtype=np.intp))


def _differs(problem: Problem, best: Solution, fit: NDArray[np.intp], other: Solution) -> Bools:
    """Put the lower optima of a second route, of fits given by number, in place; (B,) whether any ended elsewhere."""
    gap = np.abs(other.objective - best.objective[fit]) > SAME * np.maximum(other.objective, problem.floor[fit])
    # a route that stopped higher before it converged contradicts nothing
    gap &= other.converged | (other.objective < best.objective[fit])
    elsewhere = np.zeros(problem.size, dtype=bool)
    elsewhere[fit[gap]] = True
    take_better(best.free, best.objective, best.converged, fit, other.free, other.objective, other.converged)
    return elsewhere


def _through_wider_zones(problem: Problem, start: Floats) -> Solution:
    """Optima by way of wider zones, which lead out of the kinks that a narrow one has near the absolute error."""
    typical, start = np.abs(problem.residuals(start)).mean(axis=0), start.copy()
    for zone in WIDER:
        wide = np.flatnonzero(zone * typical > problem.delta)
        if len(wide):
            zoned = replace(problem.take(wide), delta=zone * typical[wide])
            start[:, wide] = newton(zoned, start[:, wide], rough=True).free
    return newton(problem, start)


def _other_basins(problem: Problem, warm: Floats, found: Floats) -> tuple[NDArray[np.intp], Solution]:
    """Fits whose linear profile has a minimum away from the one found, with the optimum there."""
    grid = Grid.of(problem, points=20)
    linear, values = linear_profile(problem, warm, grid)
    fit, point = np.nonzero(local_minima(values, grid.shape).T)
    starts = grid.free(problem, linear, point, fit)
    moves = problem.free_rows > problem.n_terms
    spacing = np.log(problem.upper[moves] / problem.lower[moves]).max(axis=1, keepdims=True) / (grid.shape[0] - 1)
    far = np.any(np.abs(np.log(starts[moves] / found[moves][:, fit])) > spacing, axis=0)
    return _polished(problem, fit[far], starts[:, far])


def _from_neighbours(problem: Problem, found: Floats, doubtful: Bools) -> tuple[NDArray[np.intp], Solution]:
    """Every fit from those optima of other fits at which its own objective is lowest."""
    K = problem.n_terms
    pool = np.linspace(0, problem.size - 1, min(NEIGHBOURS, problem.size)).astype(int)
    pool = np.concatenate([np.flatnonzero(doubtful)[:NEIGHBOURS], pool])
    free = found[:, pool]
    full = problem.full(free)
    value = full[0] + sum(np.exp(full[1 + k] - u[:, None] * full[1 + K + k]) for k, u in enumerate(problem.U))
    scaled, losses = (np.log(value), np.log(problem.Y)) if problem.log else (value, problem.Y)
    heights = np.stack([problem.objective(losses - column[:, None]) for column in scaled.T])
    nearest = np.argsort(heights, axis=0, kind="stable")[:NEAREST]
    fit = np.tile(np.arange(problem.size), len(nearest))
    return _polished(problem, fit, free[:, nearest.ravel()])


def _polished(problem: Problem, fit: NDArray[np.intp], starts: Floats) -> tuple[NDArray[np.intp], Solution]:
    """Local optima of fits given by number, one start each."""
    if not len(fit):
        return fit, Solution(starts, np.empty(0), np.empty(0, dtype=bool))
    return fit, polish(problem.take(fit), np.clip(starts, problem.lower[:, fit], problem.upper[:, fit]))
