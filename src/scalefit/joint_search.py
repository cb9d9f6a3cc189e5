"""The lowest joint optimum of several families, and its refits: where to start, and how to doubt the end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .joint import Floats, Joint, descend, polish
from .solver.newton import Solution
from .solver.refits import WIDER
from .solver.screen import LOWEST, Grid, local_minima, solve_inner
from .solver.separable import SAME, SPRINT, global_optima, take_better

MOST_MINIMA = 32  # points of the screen that are followed
LINE = 24  # shared values tried between the families' own optima and their mean, over all families
HOPS = 4  # how often the own parameters are solved globally again, given the shared ones
MOST_CRAWLING = 8  # starts that go on beyond a sprint
SAME_BASIN = 1e-6  # relative difference of objectives within which two ends are one


def solve_joint(joint: Joint) -> tuple[Solution, int]:
    """Lowest joint optimum of one joint fit, and how many distinct optima were met.

    Given the shared parameters the families fall apart, and each is solved globally. So the search goes over what is
    shared alone: over a grid of the shared exponents, and along the lines from each family's own optimum to their mean.

    Examples
    --------
    >>> from .joint import join
    >>> from .solver import make_problem
    >>> x, one = np.log(np.geomspace(1e6, 1e9, 8))[None], np.ones((8, 1))
    >>> make = lambda y: make_problem(x, y[:, None], one, log=False, delta=1.0, T=np.eye(3), c=np.zeros(3))
    >>> a, b = make(2 + 30 * np.exp(-0.25 * x[0])), make(1 + 50 * np.exp(-0.25 * x[0]))
    >>> solution, _ = solve_joint(join([a, b], a, np.array([False, False, True])))
    >>> bool(solution.objective[0] < 1e-15)
    True
    """
    starts = np.concatenate([*_screened(joint), *_between(joint)], axis=1)
    starts = np.clip(starts, joint.lower, joint.upper)
    found = _sprinted(joint, starts)
    heights = np.sort(found.objective[found.converged])
    basins = int(np.sum(np.diff(heights, prepend=-np.inf) > SAME_BASIN * np.maximum(heights, joint.floor[0])))
    order = np.lexsort((~found.converged, found.objective))
    best = Solution(found.free[:, order[:1]], found.objective[order[:1]], found.converged[order[:1]])
    _through_wider_zones(joint, best)
    for _ in range(HOPS):
        if not _better(joint, best, polish(joint, _own_again(joint, best.free))):
            break
    return best, max(basins, 1)


def _sprinted(joint: Joint, starts: Floats) -> Solution:
    """Ends from all starts; those that crawl go on only where they may still be the lowest."""
    every = joint.take(np.zeros(starts.shape[1], dtype=int))
    if joint.families[0].absolute:  # whose way to the end is long: a zone as wide as the residuals tells which go it
        starts = descend(every.zoned(np.abs(every.errors(starts)).mean(axis=0)), starts, rough=True).free
        best = np.argsort(every.objectives(starts).sum(axis=0), kind="stable")[:MOST_CRAWLING]
        return polish(every.take(best), starts[:, best])
    found = polish(every, starts, max_iterations=SPRINT)
    reached = np.min(found.objective, where=found.converged, initial=np.inf)
    order = np.argsort(found.objective, kind="stable")
    crawling = [at for at in order if not found.converged[at] and found.objective[at] < reached][:MOST_CRAWLING]
    if crawling:
        part = joint.take(np.zeros(len(crawling), dtype=int))
        end = polish(part, found.free[:, crawling])
        take_better(
            found.free, found.objective, found.converged, np.array(crawling), end.free, end.objective, end.converged
        )  # fmt: skip
    return found


def refit_joint(joint: Joint, start: Floats) -> Solution:
    """Joint optima of fits that resemble one another, from one warm start, (Q,); what does not converge, globally."""
    warm = np.clip(np.repeat(start[:, None], joint.size, axis=1), joint.lower, joint.upper)
    best = polish(joint, warm)
    doubtful = _through_wider_zones(joint, best) | ~best.converged
    for b in np.flatnonzero(doubtful):
        one = solve_joint(joint.take([b]))[0]
        take_better(
            best.free, best.objective, best.converged, np.array([b]), one.free, one.objective, one.converged
        )  # fmt: skip
    return best


def _between(joint: Joint) -> list[Floats]:
    """Starts with shared values between those of each family's own optimum and their mean, unless all are exponents."""
    first, s, F = joint.families[0], joint.shared, len(joint.families)
    if np.all(first.free_rows[joint.places[0] < s] > first.n_terms):
        return []
    own = [joint.of_family(f, global_optima(problem)[0])[:, 0] for f, problem in enumerate(joint.families)]
    values = np.stack([z[:s] for z in own])
    steps = np.linspace(0, 1, int(np.clip(LINE // F, 2, 8)))
    lines = values.mean(axis=0) + steps[:, None, None] * (values - values.mean(axis=0))
    chosen = np.unique(lines.reshape(-1, s), axis=0)
    starts = np.zeros((len(joint.lower), len(chosen)))
    starts[:s] = np.clip(chosen.T, joint.lower[:s], joint.upper[:s])
    for f, place in enumerate(joint.places):
        for column in range(len(chosen)):
            problem = joint.given(f, starts[:, [column]])
            grid = Grid.of(problem)
            linear, heights = solve_inner(problem, grid)
            lowest = np.argmin(heights, axis=0)
            starts[place[place >= s], column] = grid.free(problem, linear, lowest, np.zeros_like(lowest))[:, 0]
    return [starts]


def _own_again(joint: Joint, z: Floats) -> Floats:
    """Joint coordinates, (Q, 1), with the own parameters of each family at their global optimum given the shared."""
    made = z.copy()
    for f, place in enumerate(joint.places):
        made[place[place >= joint.shared]] = global_optima(joint.given(f, z))[0]
    return made


def _screened(joint: Joint) -> list[Floats]:
    """Starts at the lowest points and local minima of the objective over a grid of the shared exponents, if any are."""
    first = joint.families[0]
    exponents = np.flatnonzero(first.free_rows > first.n_terms)
    common = np.array([joint.places[0][j] < joint.shared for j in exponents], dtype=bool)
    if not common.any():
        return []
    total, parts = np.zeros(0), []
    for problem in joint.families:
        grid = Grid.of(problem)  # within shared bounds: every family has the same axes of the shared exponents
        linear, values = solve_inner(problem, grid)
        axes = (*np.flatnonzero(common), *np.flatnonzero(~common))
        shape = tuple(np.array(grid.shape)[common])
        points = np.arange(grid.n_points).reshape(grid.shape).transpose(axes).reshape(int(np.prod(shape)), -1)
        lowest = points[np.arange(len(points)), np.argmin(values[points, 0], axis=1)]
        total = values[lowest, 0] + (total if len(total) else 0.0)
        parts.append((problem, grid, linear, lowest))
    followed = _followed(total, shape)
    none = np.zeros(len(followed), dtype=np.intp)
    starts, shared = np.zeros((len(joint.lower), len(followed))), []
    for f, (problem, grid, linear, lowest) in enumerate(parts):
        z = joint.of_family(f, grid.free(problem, linear, lowest[followed], none))
        starts[joint.places[f]] = z
        shared.append(z[: joint.shared])
    starts[: joint.shared] = np.mean(shared, axis=0)  # the exponents agree; offsets and amplitudes meet in the middle
    return [starts]


def _followed(total: Floats, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Points of the grid to start from."""
    minima = np.flatnonzero(local_minima(total[:, None], shape)[:, 0])
    lowest = np.argsort(total, kind="stable")[: LOWEST[len(shape)]]
    chosen = np.union1d(minima, lowest)
    return np.asarray(chosen[np.argsort(total[chosen], kind="stable")][:MOST_MINIMA], dtype=np.intp)


def _through_wider_zones(joint: Joint, best: Solution) -> NDArray[np.bool_]:
    """Go again by way of wider zones, past the kinks of a narrow one; (B,) whether that ended lower."""
    lower = np.zeros(joint.size, dtype=bool)
    delta = joint.families[0].delta
    typical = np.abs(joint.errors(best.free)).mean(axis=0)
    narrow = np.flatnonzero((delta > 0) & (WIDER[0] * typical > delta))
    if len(narrow):
        part, start = joint.take(narrow), best.free[:, narrow]
        for zone in WIDER:
            wide = np.maximum(zone * typical[narrow], delta[narrow])
            start = descend(part.zoned(wide), start, rough=True).free
        lower[narrow] = _better(part, best, descend(part, start), narrow)
    return lower


def _better(joint: Joint, best: Solution, other: Solution, fit: NDArray[np.intp] | None = None) -> NDArray[np.bool_]:
    """Put lower ends, of fits given by number, in place; which of them were lower by more than rounding."""
    which = np.arange(joint.size) if fit is None else fit
    lower = best.objective[which] - other.objective > SAME * np.maximum(other.objective, joint.floor)
    take_better(best.free, best.objective, best.converged, which, other.free, other.objective, other.converged)
    return np.asarray(lower)
