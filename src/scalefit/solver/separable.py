"""Global fits of separable laws: screen the exponents, polish every basin, keep the best."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .newton import Solution, newton
from .problem import Floats, Problem
from .screen import screen

Bools = NDArray[np.bool_]

SAME = 1e-9  # relative difference of objectives that is none: the contract of the solver
ABSOLUTE_ZONES = 10.0 ** -np.arange(0.5, 9.0)  # delta / mean residual: the absolute error as the limit of Huber's
SPRINT = 20  # iterations in which a start from the screen should converge
SETTLED = 1e-7  # relative change of the absolute error over the last zone at which it is solved: its contract is 1e-6
GONE = 1e-9  # a term that moves the loss by less than this share is not there


@dataclass(frozen=True)
class Optima:
    """Optima of a batch of B separable fits.

    Attributes
    ----------
    free : (q, B) array
        Free parameters in the solver's coordinates.
    natural : (p, B) array
        E, log A_k, alpha_k in the user's units.
    objective : (B,) array
        Sum over rows.
    converged : (B,) array of bool
        Whether an undamped Newton step promises nothing more.
    basins : (B,) array of int
        Distinct local optima among those that were followed.
    at_lower, at_upper : (p, B) arrays of bool
        Parameters at a bound of the search, in the order of `natural`.
    gone : (K, B) array of bool
        Terms that no longer change the loss over the data.
    """

    free: Floats
    natural: Floats
    objective: Floats
    converged: Bools
    basins: NDArray[np.intp]
    at_lower: Bools
    at_upper: Bools
    gone: Bools


def solve(problem: Problem) -> Optima:
    """Global optimum of every fit of a batch, each from its own screen."""
    free, objective, converged, basins = global_optima(problem)
    return as_optima(problem, free, objective, converged, basins)


def global_optima(problem: Problem) -> tuple[Floats, Floats, Bools, NDArray[np.intp]]:
    """Free parameters, objective, convergence and number of basins of every fit."""
    starts, owner = screen(problem)
    starts = np.clip(starts, problem.lower[:, owner], problem.upper[:, owner])
    solution = polish(problem.take(owner), starts, max_iterations=SPRINT)
    # stragglers crawl along a valley; they go on only where they may still be lower than what has converged
    reached = np.full(problem.size, np.inf)
    np.minimum.at(reached, owner[solution.converged], solution.objective[solution.converged])
    unfinished = np.flatnonzero(~solution.converged & (solution.objective < reached[owner]))
    if len(unfinished):
        take_better(
            solution.free, solution.objective, solution.converged, unfinished,
            *_parts(polish(problem.take(owner[unfinished]), solution.free[:, unfinished])),
        )  # fmt: skip
    _rescue(problem, owner, solution)
    order = np.lexsort((solution.objective, owner))
    owner, ordered = owner[order], solution.objective[order]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    # a basin is new where the sorted objectives of one fit jump
    jump = np.diff(ordered, prepend=-np.inf) > 1e-6 * np.maximum(ordered, problem.floor[owner])
    jump[first] = True
    basins = np.bincount(owner, weights=jump & solution.converged[order], minlength=problem.size)
    best = order[first]
    return solution.free[:, best], solution.objective[best], solution.converged[best], basins.astype(np.intp)


def _rescue(problem: Problem, owner: NDArray[np.intp], solution: Solution) -> None:
    """Try again, by way of wider zones, the fits whose lowest point did not converge."""
    order = np.lexsort((solution.objective, owner))
    best = order[np.flatnonzero(np.diff(owner[order], prepend=-1))]
    lost = best[~solution.converged[best]]
    if len(lost) and not problem.absolute and np.all(np.isfinite(problem.delta)):
        again = through_zones(problem.take(owner[lost]), solution.free[:, lost], 200)
        take_better(solution.free, solution.objective, solution.converged, lost, *_parts(again))


def polish(problem: Problem, start: Floats, *, max_iterations: int = 200) -> Solution:
    """Local optima; the absolute error by a quadratic zone that shrinks to nothing."""
    if not problem.absolute:
        return newton(problem, start, max_iterations=max_iterations)
    return through_zones(problem, start, max_iterations)


def through_zones(problem: Problem, start: Floats, max_iterations: int) -> Solution:
    """Local optima by way of wider zones, which lead past the kinks of a narrow one."""
    typical = np.abs(problem.residuals(start)).mean(axis=0)
    smallest = np.maximum(problem.delta, 1e-15 * (1.0 if problem.log else np.median(problem.Y)))
    before = np.full(problem.size, np.inf)
    for zone in ABSOLUTE_ZONES:
        zoned = replace(problem, delta=np.maximum(zone * typical, smallest))
        solution = newton(zoned, start, max_iterations=max_iterations)
        start = solution.free
        errors = problem.residuals(start)
        typical = np.minimum(typical, np.abs(errors).mean(axis=0))
        objective = problem.objective(errors)
        settled = np.abs(before - objective) <= SETTLED * np.maximum(objective, problem.floor)
        before = objective
    converged = solution.converged | settled if problem.absolute else solution.converged
    return replace(solution, objective=objective, converged=converged)


def _parts(solution: Solution) -> tuple[Floats, Floats, Bools]:
    return solution.free, solution.objective, solution.converged


def take_better(
    free: Floats,
    objective: Floats,
    converged: Bools,
    fit: NDArray[np.intp],
    new_free: Floats,
    new_objective: Floats,
    new_converged: Bools,
) -> None:
    """Put the optima of `fit` (indices, possibly repeated) in place where they are lower."""
    order = np.argsort(-new_objective, kind="stable")  # of several for one fit the lowest is written last
    same_but_settled = new_converged & ~converged[fit] & (new_objective <= objective[fit] * (1 + 1e-12))
    order = order[((new_objective < objective[fit]) | same_but_settled)[order]]
    free[:, fit[order]] = new_free[:, order]
    objective[fit[order]] = new_objective[order]
    converged[fit[order]] = new_converged[order]


def as_optima(problem: Problem, free: Floats, objective: Floats, converged: Bools, basins: NDArray[np.intp]) -> Optima:
    """Optima in the user's units, with the bounds that they touch."""
    K = problem.n_terms
    width = problem.upper - problem.lower
    low, high = free - problem.lower <= 1e-9 * width, problem.upper - free <= 1e-9 * width
    full = problem.full(free)
    used = problem.W.max(axis=1) > 0
    gone = np.empty((K, problem.size), dtype=bool)
    middle = np.median(problem.Y)
    for k, u in enumerate(problem.U):
        ends = np.array([u[used].min(), u[used].max()])
        term = np.exp(full[1 + k] - ends[:, None] * full[1 + K + k])
        gone[k] = np.abs(term[0] - term[1]) <= GONE * middle
    return Optima(
        free=free,
        natural=problem.natural @ full,
        objective=objective,
        converged=converged,
        basins=basins,
        at_lower=np.any(problem.owns[:, :, None] & low, axis=1),
        at_upper=np.any(problem.owns[:, :, None] & high, axis=1),
        gone=gone,
    )
