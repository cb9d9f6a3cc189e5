"""Where to start: with the exponents given, the rest is convex, so a grid of exponents finds every basin."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .newton import box_step
from .problem import Floats, Problem, huber, sided

POINTS = {0: 1, 1: 64, 2: 24, 3: 10}  # grid points of each free exponent, by their number
INNER_STEPS = 6
SETTLED = 1e-2  # relative change of an inner step that is enough for a start
MINIMA = 8  # basins followed per fit
LOWEST = {0: 0, 1: 4, 2: 16, 3: 16}  # lowest points followed beside them: near L1 a basin has several kinks
CHUNK = 250_000  # points of a temporary array


def screen(problem: Problem) -> tuple[Floats, NDArray[np.intp]]:
    """Starts of every fit: the local minima, and the lowest points, of the objective over a grid of exponents.

    Returns
    -------
    starts : (q, S) array
        Free parameters.
    owner : (S,) array of int
        Which fit a start belongs to; every fit has at least one.
    """
    grid = Grid.of(problem)
    size = max(1, CHUNK // (problem.U.shape[1] * grid.n_points))
    starts, owners = [], []
    for first in range(0, problem.size, size):
        columns = np.arange(first, min(first + size, problem.size))
        part = problem.take(columns)
        linear, values = solve_inner(part, grid)
        point, fit = _chosen(values, grid.shape)
        starts.append(grid.free(problem, linear, point, fit))
        owners.append(columns[fit])
    return np.concatenate(starts, axis=1), np.concatenate(owners)


@dataclass(frozen=True)
class Grid:
    """G points in the free exponents, and the basis of what is linear at each: f = offset + sum_j z_j basis_j."""

    shape: tuple[int, ...]
    exponents: Floats  # (number of free exponents, G)
    basis: Floats  # (J, n, G)
    offset: Floats  # (n, G)
    is_E: NDArray[np.bool_]  # (J,) whether z_j is E itself, else the exponential of a free log amplitude
    linear: NDArray[np.intp]  # (J,) which free parameters these are

    @property
    def n_points(self) -> int:
        """G."""
        return int(self.offset.shape[1])

    @staticmethod
    def of(problem: Problem, *, points: int | None = None) -> Grid:
        """Grid that covers the range of every free exponent evenly in the logarithm."""
        K = problem.n_terms
        moves = np.flatnonzero(problem.free_rows > K)
        shape = (points or POINTS[len(moves)],) * len(moves)
        axes = [np.geomspace(problem.lower[j].min(), problem.upper[j].max(), shape[0]) for j in moves]
        exponents = np.array(list(itertools.product(*axes))).T.reshape(len(moves), int(np.prod(shape)))
        # with E and the log amplitudes at zero, full = T free + c leaves what the exponents and the constants give
        given = problem.T[:, moves] @ exponents + problem.c[:, None]
        terms = np.exp(
            given[1 : 1 + K, None, :] - problem.U[:, :, None] * given[1 + K :, None, :]
        )  # (K, n, G): each term at log amplitude zero, or as fixed
        linear = np.flatnonzero(problem.free_rows <= K)
        is_E = problem.free_rows[linear] == 0
        belongs = problem.T[1 : 1 + K][:, linear] > 0  # (K, J): a tied amplitude belongs to the free one
        basis = (
            np.stack([np.ones(terms.shape[1:]) if E else terms[belongs[:, j]].sum(axis=0) for j, E in enumerate(is_E)])
            if len(linear)
            else np.empty((0, *terms.shape[1:]))
        )
        offset = terms[~belongs.any(axis=1)].sum(axis=0) + (0.0 if is_E.any() else given[0])
        return Grid(shape, exponents, basis, offset, is_E, linear)

    def free(self, problem: Problem, linear: Floats, point: NDArray[np.intp], fit: NDArray[np.intp]) -> Floats:
        """Free parameters (q, S) of chosen grid points of chosen fits, given the linear ones, (J, G, B)."""
        x = np.empty((len(problem.free_rows), len(point)))
        z = linear[:, point, fit]
        x[self.linear] = np.where(self.is_E[:, None], z, np.log(np.maximum(z, 1e-300)))
        x[np.flatnonzero(problem.free_rows > problem.n_terms)] = self.exponents[:, point]
        return x


def solve_inner(problem: Problem, grid: Grid) -> tuple[Floats, Floats]:
    """E and amplitudes at every grid point of every fit, and the objective there.

    Iteratively reweighted least squares in the box, of raw or relative residuals (which the log residuals nearly are),
    with a zone that shrinks to the objective's own. Returns (J, G, B) and (G, B) arrays.
    """
    J, G, size = len(grid.linear), grid.n_points, problem.size

    def flat(array: Floats) -> Floats:  # (..., n, G, 1 or B) -> (..., n, G B)
        return np.broadcast_to(array, (*array.shape[:-2], G, size)).reshape(*array.shape[:-2], G * size)

    Y, W = flat(problem.Y[:, None, :]), flat(problem.W[:, None, :])
    basis, target = flat(grid.basis[:, :, :, None]), Y - flat(grid.offset[:, :, None])
    if problem.log:
        basis, target = basis / Y, target / Y
    delta = flat(problem.delta[None, None, :])[0]
    low, high = (flat(bound[:, None, :]) for bound in _linear_box(problem, grid))
    z, residual, weight, zone = np.zeros((J, G * size)), target, W, np.inf
    diagonal, total = np.arange(J), W.sum(axis=0)
    for _ in range(INNER_STEPS if J else 0):
        weighted = basis * weight  # (J, n, G B)
        g = -np.einsum("jnm,nm->jm", weighted, residual)
        H = np.einsum("jnm,knm->jkm", weighted, basis)
        H[diagonal, diagonal] *= 1 + 1e-12
        d = box_minimum(H, g, low - z, high - z)
        before, z = z, np.minimum(np.maximum(np.where(np.isfinite(d), z + d, z), low), high)
        residual = target - np.einsum("jnm,jm->nm", basis, z)
        far = np.abs(residual)
        zone = np.maximum(delta, np.minimum((W * far).sum(axis=0) / total, 0.4 * zone))
        if np.all(zone == delta) and np.all(np.abs(z - before) <= SETTLED * np.abs(z)):
            break
        weight = sided(W, residual, problem.upward) * np.minimum(1.0, zone / np.maximum(far, 1e-300))
    if problem.log:
        residual = -np.log(np.maximum(1 - residual, 1e-300))
    values = (sided(W, residual, problem.upward) * huber(residual, delta)).sum(axis=0)
    return z.reshape(J, G, size), values.reshape(G, size)


def linear_profile(problem: Problem, start: Floats, grid: Grid) -> tuple[Floats, Floats]:
    """What `solve_inner` gives, by weighted least squares at once: cheap enough for every refit of a bootstrap.

    The rows' weights are those that the robust loss gives around `start`, (q, 1), which all fits share; log residuals
    are taken relative to it. Returns (J, G, B) and (G, B) arrays; the values only rank the points of one fit.
    """
    K, J, G, size = problem.n_terms, len(grid.linear), grid.n_points, problem.size
    full = problem.full(start)
    model = full[0] + sum(np.exp(full[1 + k] - u[:, None] * full[1 + K + k]) for k, u in enumerate(problem.U))
    gap = np.log(problem.Y / model) if problem.log else problem.Y - model
    known = np.minimum(1.0, np.min(problem.delta) / np.maximum(np.abs(gap).mean(axis=1), 1e-300))
    known = known * sided(np.ones((1, 1)), gap, problem.upward).mean(axis=1)
    if problem.log:
        known = known / model[:, 0] ** 2
    weights = problem.W * known[:, None]  # (n, B) or (n, 1)
    low, high = _linear_box(problem, grid)
    weighted = weights * problem.Y
    pull = (grid.basis.transpose(2, 0, 1).reshape(G * J, len(weighted)) @ weighted).reshape(G, J, weighted.shape[1])
    z, values = np.empty((J, G, size)), np.empty((G, size))
    for point in range(G):
        basis, offset = grid.basis[:, :, point], grid.offset[:, point, None]
        products = (basis[:, None, :] * basis[None, :, :]).reshape(J * J, len(weights)) @ weights
        H = products.reshape(J, J, weights.shape[1])  # of one column where the fits share their weights
        g, constant = -np.broadcast_to(pull[point], (J, size)), 0.0
        if offset.any():
            g += basis @ (weights * offset)
            constant = (weights * offset * (offset - 2 * problem.Y)).sum(axis=0)
        d = box_minimum(H, g, low, high) if J else z[:, point]
        z[:, point], values[point] = d, (d * (2 * g + (H * d).sum(axis=1))).sum(axis=0) + constant
    return z, values


def box_minimum(H: Floats, g: Floats, low: Floats, high: Floats) -> Floats:
    """(J, B) minima of g'd + d'Hd/2 for low <= d <= high, column by column: of one or two variables in closed form.

    Of two, the minimum in the box has the first or the second variable where the minimum without a box has it, clipped,
    and the other where it is best given that; the lower of the two points is it.
    """
    if len(g) > 2:
        return box_step(np.broadcast_to(H, (*H.shape[:2], g.shape[1])), g, low, high)[0]
    if len(g) == 1:
        return np.asarray(np.minimum(np.maximum(-g / np.maximum(H[0], 1e-300), low), high))
    (a, b, c), (first, second) = (H[0, 0], H[0, 1], H[1, 1]), g
    a, c = np.maximum(a, 1e-300), np.maximum(c, 1e-300)
    determinant = np.maximum(a * c - b * b, np.maximum(1e-14 * a * c, 1e-300))
    x = np.minimum(np.maximum((b * second - c * first) / determinant, low[0]), high[0])
    y = np.minimum(np.maximum(-(second + b * x) / c, low[1]), high[1])
    other_y = np.minimum(np.maximum((b * first - a * second) / determinant, low[1]), high[1])
    other_x = np.minimum(np.maximum(-(first + b * other_y) / a, low[0]), high[0])
    height = x * (first + 0.5 * a * x + b * y) + y * (second + 0.5 * c * y)
    other = other_x * (first + 0.5 * a * other_x + b * other_y) + other_y * (second + 0.5 * c * other_y)
    lower = other < height
    return np.stack([np.where(lower, other_x, x), np.where(lower, other_y, y)])


def _linear_box(problem: Problem, grid: Grid) -> tuple[Floats, Floats]:
    """(J, B) bounds of E and of the amplitudes themselves."""
    is_E = grid.is_E[:, None]
    low, high = problem.lower[grid.linear], problem.upper[grid.linear]
    return np.where(is_E, low, np.exp(np.where(is_E, 0.0, low))), np.where(
        is_E, high, np.exp(np.where(is_E, 0.0, high))
    )


def local_minima(values: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Grid points that no neighbour on the grid undercuts, (G, B)."""
    lattice = values.reshape(*shape, values.shape[1])
    padded = np.pad(lattice, [(1, 1)] * len(shape) + [(0, 0)], constant_values=np.inf)
    lowest = np.ones(lattice.shape, dtype=bool)
    for shift in itertools.product((0, 1, 2), repeat=len(shape)):
        window = tuple(slice(s, s + length) for s, length in zip(shift, shape, strict=True))
        lowest &= lattice <= padded[window]
    return lowest.reshape(values.shape)


def _chosen(values: Floats, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Grid points to start from, and the fit of each."""
    minima = np.where(local_minima(values, shape), values, np.inf)
    ranked = np.argsort(minima, axis=0, kind="stable")[:MINIMA]
    chosen = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(chosen, ranked, np.isfinite(np.take_along_axis(minima, ranked, axis=0)), axis=0)
    lowest = np.argsort(values, axis=0, kind="stable")[: LOWEST[len(shape)]]
    np.put_along_axis(chosen, lowest, True, axis=0)
    fit, point = np.nonzero(chosen.T)
    return point, fit
