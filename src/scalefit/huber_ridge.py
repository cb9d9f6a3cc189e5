"""The exact optimum of Huber's loss plus a ridge in the space of a kernel, of one table or of many; arrays alone.

A row is free where its residual is inside the quadratic zone, and bound where it is outside; of a bound row the
coefficient is known. Given the free rows the optimum is a linear system. Newton's method guesses them, solves it, and
goes that way as far as the objective falls. The objective is convex and quadratic in pieces, so the last step is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Step = Callable[[Bools, Floats], Floats]

ROUNDS = 500  # of one table; 80 were seen
ROUNDS_TOGETHER = 40  # then the tables that are left go on alone
TOLERANCE = 1e-10  # of the largest influence of a row
EXACT = 1e-14  # the same of a bound row: a small ridge magnifies what its coefficient is off
ROUNDING = 1e-15  # of the sum that makes a fitted value; a tenth of it was seen
SYSTEMS = 4_000_000  # numbers in one stack of linear systems: a bound on memory


@dataclass(frozen=True)
class HuberRidge:
    """What is minimised over c: sum_i w_i rho(y_i - (K c)_i) + ridge / 2 c'K c, with Huber's loss rho.

    The optimum has ridge c_i = w_i psi(r_i), where psi(r) is r = y - K c, cut to [-delta, delta]. K c is unique.

    Parameters
    ----------
    K : (n, n) array
        Kernel: symmetric, positive semidefinite, with no negative number.
    w : (n,) array
        Weights, positive.
    ridge : float
        Positive.
    delta : float, units of y
        Positive; infinite for least squares.

    Examples
    --------
    >>> solve(HuberRidge(np.eye(2), np.ones(2), ridge=1.0, delta=1.0), np.array([3.0, -0.1])).dual.tolist()
    [[1.0, -0.05]]
    """

    K: Floats
    w: Floats
    ridge: float
    delta: float

    def factor(self, rows: NDArray[np.intp], weights: Floats | None = None) -> Floats:
        """Cholesky factor of K + diag(ridge / weights), at some rows and columns.

        Raises
        ------
        ValueError
            If that is singular to rounding.
        """
        weights = self.w if weights is None else weights
        A = self.K[np.ix_(rows, rows)] if len(rows) < len(weights) else self.K.copy()
        A[np.diag_indices(len(A))] += self.ridge / weights[rows]
        factor, bad = lapack.dpotrf(A.T, lower=1, clean=0, overwrite_a=1)
        if bad:
            least = 10 * np.finfo(float).eps * float(np.trace(A)) * float(weights.max())
            raise ValueError(
                f"ridge={self.ridge:g} is lost in the rounding of the kernel of {len(A)} rows: use {least:.0e} or more."
            )
        return np.asarray(factor)


@dataclass(frozen=True)
class Optima:
    """Optima of B tables with n rows.

    Parameters
    ----------
    dual : (B, n) array
        Coefficients c of the rows.
    fitted : (B, n) array
        K c.
    rounds : (B,) array of int
        Newton steps.
    converged : (B,) array of bool

    Examples
    --------
    >>> quadratic = solve(HuberRidge(np.eye(2), np.ones(2), ridge=1.0, delta=np.inf), np.array([3.0, -0.1]))
    >>> quadratic.fitted.round(12).tolist(), quadratic.rounds.tolist(), quadratic.converged.tolist()
    ([[1.5, -0.05]], [0], [True])
    """

    dual: Floats
    fitted: Floats
    rounds: NDArray[np.intp]
    converged: Bools


def solve(problem: HuberRidge, y: Floats, like: Floats | None = None) -> Optima:
    """Optimum of one table.

    Parameters
    ----------
    problem : HuberRidge
    y : (n,) array
    like : (n,) array, optional
        Coefficients that leave residuals like those of this table. Without them, the start is the quadratic optimum.

    Raises
    ------
    ValueError
        If the kernel with this ridge is singular to rounding.

    Examples
    --------
    >>> K = np.exp(-0.5 * np.subtract.outer(np.arange(4.0), np.arange(4.0)) ** 2)
    >>> solve(HuberRidge(K, np.ones(4), 0.5, 0.1), np.array([0.0, 1.0, 9.0, 1.0])).dual.round(3).tolist()
    [[-0.1, 0.2, 0.2, 0.2]]
    """
    n = len(y)
    whole = cache(lambda: problem.factor(np.arange(n)))
    start = _solved(whole(), y)[None] if like is None else _reweighted(problem, y[None], like)

    def step(free: Bools, known: Floats) -> Floats:
        few = 10 * np.count_nonzero(~free) < n
        return (_by_bound(whole(), free[0], known[0]) if few else _by_free(problem, free[0], known[0]))[None]

    return _minimise(problem, y[None], problem.w[None], start, step, ROUNDS)


def solve_together(problem: HuberRidge, Y: Floats, present: Bools, like: Floats) -> Optima:
    """Optima of B tables that share inputs and weights and resemble one another.

    Which rows are free differs little between them. So one inverse, for the rows that are free in most, serves them
    all: a step of a table solves for the rows by which it differs. What does not end so is solved alone.

    Parameters
    ----------
    problem : HuberRidge
    Y : (B, n) array
    present : (B, n) array of bool
        Rows that a table has.
    like : (n,) array
        Coefficients that leave residuals like those of the tables.

    Raises
    ------
    ValueError
        If the kernel with this ridge is singular to rounding.

    Examples
    --------
    >>> K = np.exp(-0.5 * np.subtract.outer(np.arange(4.0), np.arange(4.0)) ** 2)
    >>> Y, without_one = np.tile([0.0, 1.0, 9.0, 1.0], (4, 1)), ~np.eye(4, dtype=bool)
    >>> solve_together(HuberRidge(K, np.ones(4), 0.5, 0.1), Y, without_one, np.zeros(4)).dual.round(3).tolist()[2]
    [-0.082, 0.2, 0.0, 0.2]
    """
    start = _reweighted(problem, Y, like)
    base = np.mean(np.abs(Y - start @ problem.K) <= problem.delta, axis=0) > 0.5
    T = _pivoted(problem, base)
    W = np.where(present, problem.w, 0.0)
    found = _minimise(problem, Y, W, start, lambda free, known: _shared(T, base, free, known), ROUNDS_TOGETHER)
    for b in np.flatnonzero(~found.converged):
        rows = present[b]
        alone = HuberRidge(problem.K[np.ix_(rows, rows)], problem.w[rows], problem.ridge, problem.delta)
        one = solve(alone, Y[b, rows])
        found.dual[b] = 0.0
        found.dual[b, rows] = one.dual[0]
        found.fitted[b] = found.dual[b] @ problem.K
        found.rounds[b] += one.rounds[0]
        found.converged[b] = one.converged[0]
    return found


def _reweighted(problem: HuberRidge, Y: Floats, like: Floats) -> Floats:
    """(B, n) quadratic optima with the rows weighted as Huber's loss weights such residuals, the mean over tables."""
    with np.errstate(divide="ignore", over="ignore"):
        outside = problem.delta / np.abs(Y - like @ problem.K)
    weights = problem.w * np.mean(np.minimum(1.0, outside), axis=0)
    return _solved(problem.factor(np.arange(len(weights)), weights), Y.T).T


def _minimise(problem: HuberRidge, Y: Floats, W: Floats, start: Floats, step: Step, rounds: int) -> Optima:
    """Newton's method with an exact line search; tables that are done stay behind.

    W, (B, n), are the weights, zero where a table lacks the row; start is (B, n).
    """
    K, w, ridge, delta = problem.K, problem.w, problem.ridge, problem.delta
    C, fitted, bound = start.copy(), start @ K, np.where(W > 0, w * (delta / ridge), 0.0)
    taken, converged = np.zeros(len(Y), dtype=np.intp), np.zeros(len(Y), dtype=bool)
    left, scale = np.arange(len(Y)), ROUNDING * float(np.max(np.diag(K)))
    for _ in range(rounds + 1):
        c, r = C[left], Y[left] - fitted[left]
        psi = np.clip(r, -delta, delta)
        most, rounding = np.max(np.abs(psi), axis=1, keepdims=True), scale * np.sum(np.abs(c), axis=1, keepdims=True)
        allowed = np.where((psi == r) & (W[left] > 0), TOLERANCE * most + rounding, EXACT * most)
        done = np.all(np.abs(ridge * c - W[left] * psi) <= w * allowed, axis=1)
        converged[left[done]] = True
        left, c, r = left[~done], c[~done], r[~done]
        if not len(left):
            break
        free = (np.abs(r) <= delta) & (W[left] > 0)
        s = step(free, np.where(free, r - ridge * c / w, np.copysign(bound[left], r) - c))
        g = s @ K
        C[left] = c + _length(r, g, W[left], delta, ridge * c, ridge * s)[:, None] * s
        fitted[left] = C[left] @ K  # anew: a sum of steps would drift
        taken[left] += 1
    return Optima(C, fitted, taken, converged)


def _length(r: Floats, g: Floats, W: Floats, delta: float, pull: Floats, change: Floats) -> Floats:
    """(B,) lengths t in [0, 1] of the steps at which the objective is least.

    Residuals are r - t g, ridge times the coefficients pull + t change, all (B, n).
    """
    length = np.ones(len(r))
    # a step that stays on the quadratic piece that it was made for ends at the optimum
    far = np.flatnonzero(np.any((_zone(r, delta) != _zone(r - g, delta)) & (W > 0), axis=1))
    if not len(far):
        return length
    r, g, W, pull, change = (array[far] for array in (r, g, W, pull, change))

    def slope(t: Floats) -> Floats:
        push = W * np.clip(r - t * g, -delta, delta)
        # ridge and loss nearly cancel: row by row, before they are summed
        return np.asarray(np.sum(g * (pull + t * change - push), axis=1, keepdims=True))

    # nor is there a better end where the objective falls all the way, or in rounding alone
    searched = (slope(np.zeros((len(far), 1))) < 0) & (slope(np.ones((len(far), 1))) > 0)
    knots, rows = _knots(r, g, delta), np.arange(len(far))[:, None]
    first, last = np.zeros_like(rows), np.full_like(rows, knots.shape[1] - 1)
    for _ in range((knots.shape[1] - 2).bit_length()):
        middle = (first + last) // 2
        rises = slope(knots[rows, middle]) > 0
        first, last = np.where(rises, first, middle), np.where(rises, middle, last)
    low, high = knots[rows, first], knots[rows, last]
    down, up = -slope(low), slope(high)  # between two knots the slope is a line
    share = down / np.where(searched, down + up, 1.0)
    length[far] = np.where(searched, low + (high - low) * share, 1.0)[:, 0]
    return length


def _knots(r: Floats, g: Floats, delta: float) -> Floats:
    """(B, m) lengths at which a residual enters or leaves the quadratic zone, between 0 and 1, in order."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        knots = np.concatenate([(r - delta) / g, (r + delta) / g], axis=1)
    inside = (knots > 0) & (knots < 1)
    most = int(np.max(np.count_nonzero(inside, axis=1)))
    knots = np.sort(np.where(inside, knots, 1.0), axis=1)[:, :most]
    return np.concatenate([np.zeros((len(r), 1)), knots, np.ones((len(r), 1))], axis=1)


def _zone(r: Floats, delta: float) -> NDArray[np.int8]:
    """1 above the quadratic zone, -1 below, 0 inside."""
    return np.subtract(r > delta, r < -delta, dtype=np.int8)


def _by_free(problem: HuberRidge, free: Bools, known: Floats) -> Floats:
    """(n,) step s: as known where bound; where free, it makes K s + ridge s / w what is known."""
    s, rows = np.where(free, 0.0, known), np.flatnonzero(free)
    if len(rows):
        s[rows] = _solved(problem.factor(rows), known[rows] - (problem.K @ s)[rows])
    return s


def _by_bound(factor: Floats, free: Bools, known: Floats) -> Floats:
    """The same from the factor for all rows: cheap where few are bound."""
    rows = np.flatnonzero(~free)
    columns = np.zeros((len(free), 1 + len(rows)), order="F")
    columns[:, 0] = np.where(free, known, 0.0)
    columns[rows, 1 + np.arange(len(rows))] = 1.0
    columns = _solved(factor, columns)
    pull = np.linalg.solve(columns[rows, 1:], known[rows] - columns[rows, 0])
    return np.asarray(columns[:, 0] + columns[:, 1:] @ pull)


def _pivoted(problem: HuberRidge, base: Bools) -> Floats:
    """(n, n) matrix T; with v = K s + ridge s / w it makes (s where base, else v) of (v where base, else s)."""
    P, Q = np.flatnonzero(base), np.flatnonzero(~base)
    T = problem.K.copy()
    T[np.diag_indices(len(T))] += problem.ridge / problem.w
    if len(P):
        inverse = _solved(problem.factor(P), np.eye(len(P)))
        X = inverse @ T[np.ix_(P, Q)]
        T[np.ix_(Q, Q)] -= T[np.ix_(Q, P)] @ X
        T[np.ix_(P, P)], T[np.ix_(P, Q)], T[np.ix_(Q, P)] = inverse, -X, X.T
    return T


def _shared(T: Floats, base: Bools, free: Bools, known: Floats) -> Floats:
    """(B, n) steps as `_by_free` has them, by one T: each table solves for the rows by which it differs from base."""
    differs = free != base
    counts = np.count_nonzero(differs, axis=1)
    given = np.where(differs, 0.0, known)
    made, order = given @ T.T, np.argsort(counts)
    found = np.zeros_like(given)
    while len(order):  # the tables of one stack are padded to the size of the largest
        size = int(counts[order[-1]])
        stack = max(1, min(64, SYSTEMS // max(1, size) ** 2))
        which, order = order[-stack:], order[:-stack]
        at = np.argsort(~differs[which], axis=1, kind="stable")[:, :size]
        real = np.arange(size) < counts[which, None]
        systems = np.where(real[:, :, None] & real[:, None, :], T[at[:, :, None], at[:, None, :]], np.eye(size))
        wanted = np.where(real, np.take_along_axis((known - made)[which], at, axis=1), 0.0)
        found[which[:, None], at] = np.linalg.solve(systems, wanted[:, :, None])[:, :, 0]
    return np.where(base, made + found @ T.T, given + found)


def _solved(factor: Floats, right: Floats) -> Floats:
    return np.asarray(lapack.dpotrs(factor, right, lower=1)[0])
