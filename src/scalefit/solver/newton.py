"""Batched damped Newton in a box: every fit of a batch is one column, and all columns step together.

Per iteration there is one pass over the (n, B) residuals, with the exact Hessian of the Huber loss. The damping is the
matrix of the reweighted least-squares (IRLS) step, so that a large damping is a step that must go down. A fit is done
only after an undamped step whose predicted gain is nothing: a damped step can look done far from the optimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .problem import Floats, Problem, sided

Bools = NDArray[np.bool_]

GAIN_TOLERANCE = 1e-13  # relative gain that an undamped step must promise to be worth another iteration
ROUGH_TOLERANCE = 1e-5  # the same of an optimum that is only to start from
FLOOR_TOLERANCE = 1e-10  # the same of an objective that is nothing
ROUNDING = 4e-16  # relative error of an objective, per square root of a row
FIRST_DAMPING = 0.03  # smallest damping that is not none
START_DAMPING = 0.3  # times the share of rows in the linear zone, where the Hessian sees no curvature
MAX_DAMPING = 1e12
LEAVE = 0.15  # share of finished columns at which they leave the batch
RIDGE = 1e-3  # share of the damping that goes on the diagonal: the IRLS matrix is nearly singular along a valley
CHUNK = 250_000  # points per chunk of columns: temporaries stay in the cache


@dataclass(frozen=True)
class Solution:
    """Optima of a batch: `free` (q, B), `objective` (B,), `converged` (B,)."""

    free: Floats
    objective: Floats
    converged: Bools


def newton(problem: Problem, start: Floats, *, max_iterations: int = 200, rough: bool = False) -> Solution:
    """Local optima from given starts, (q, B); rough ones, which are only to start from, end at the first small gain."""
    K, n = problem.U.shape
    step = max(1, min(4096, CHUNK // n))
    room = np.empty((K + 6, n * min(step, start.shape[1])))
    parts = []
    for first in range(0, problem.size, step):
        part = slice(first, first + step)
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far is rejected
            parts.append(
                newton_loop(
                    problem.take(part), start[:, part], partial(Sums, room=room), rows=problem.U.shape[1],
                    max_iterations=max_iterations, rough=rough,
                )
            )  # fmt: skip
    return Solution(
        free=np.concatenate([part.free for part in parts], axis=1),
        objective=np.concatenate([part.objective for part in parts]),
        converged=np.concatenate([part.converged for part in parts]),
    )


def newton_loop(
    problem: Any, start: Floats, sums_of: Callable[[Any], Any], *, rows: int, max_iterations: int, rough: bool
) -> Solution:
    """Newton on columns that fit the cache; finished columns leave the batch.

    Parameters
    ----------
    problem : Problem, or what has its lower, upper, floor and take
    start : (p, B) array
    sums_of : callable
        Makes of a problem what has objective, linear_share and derivatives, as `Sums`.
    rows : int
        Of which an objective is the sum.
    """
    size = start.shape[1]
    best, best_f = start.copy(), np.full(size, np.inf)
    converged = np.zeros(size, dtype=bool)
    alive, over = np.arange(size), np.zeros(size, dtype=bool)
    sums = sums_of(problem)
    x, previous, f_previous = start.copy(), start.copy(), np.full(size, np.inf)
    damping, predicted = np.full(size, np.nan), np.full(size, np.nan)
    tolerance = ROUGH_TOLERANCE if rough else GAIN_TOLERANCE
    rounding = 1 + ROUNDING * np.sqrt(rows)
    for _ in range(max_iterations):
        f = sums.objective(x)
        if np.isnan(damping[0]):
            damping = START_DAMPING * sums.linear_share()
        accepted = f <= f_previous * rounding
        damping = _next_damping(damping, f_previous - f, predicted, accepted)
        f = np.where(accepted, f, f_previous)
        # a rejected step that promised no more than rounding is as far as the arithmetic goes
        stuck = ~accepted & (predicted <= 100 * (rounding - 1) * np.maximum(f, problem.floor))
        g, H = sums.derivatives(damping)
        d, promised, definite = box_step(H, g, problem.lower - x, problem.upper - x)
        flat = accepted & definite & (promised <= np.maximum(tolerance * f, FLOOR_TOLERANCE * problem.floor))
        stopped = (flat & (rough | (damping == 0))) | stuck
        over |= stopped | (damping > MAX_DAMPING)
        moves = accepted & definite & ~over
        previous, f_previous = np.where(accepted, x, previous), f
        best[:, alive], best_f[alive] = previous, f
        converged[alive] |= stopped
        # a column that was rejected, or whose model has no minimum, is seen again where it was, damped more
        x = np.where(moves, x + d, previous)
        predicted = np.where(moves, promised, np.nan)
        damping = np.where(flat, 0.0, np.where(accepted & ~definite, np.maximum(10 * damping, FIRST_DAMPING), damping))
        if over.all():
            break
        if np.count_nonzero(over) > LEAVE * len(over):
            keep = np.flatnonzero(~over)
            alive, over, problem = alive[keep], over[keep], problem.take(keep)
            x, previous, f_previous = x[:, keep], previous[:, keep], f_previous[keep]
            damping, predicted = damping[keep], predicted[keep]
            sums = sums_of(problem)
    return Solution(best, best_f, converged)


def _next_damping(damping: Floats, gained: Floats, predicted: Floats, accepted: Bools) -> Floats:
    """Damping after a step: more where it was rejected, less where the model foretold the gain."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = gained / predicted  # nan where no step was made
    good, poor = accepted & (ratio > 0.75), accepted & (ratio < 0.25)
    changed = np.where(good, damping / 5, np.where(poor, 3 * damping, damping))
    changed = np.where(changed < FIRST_DAMPING / 5, 0.0, changed)
    return np.where(accepted, changed, np.maximum(5 * damping, FIRST_DAMPING))


class Sums:
    """Objective, gradient and damped Hessian of a batch at one point: the passes over (n, B) arrays.

    `objective` leaves the terms and residuals of its point behind for `derivatives`. The arrays lie in `room`, K + 6
    rows of at least n B numbers: fresh memory for each smaller batch costs a fifth of the time.
    """

    def __init__(self, problem: Problem, room: Floats) -> None:
        self.problem = problem
        K, (n, size) = problem.n_terms, (problem.U.shape[1], problem.size)
        ones = np.ones(n)
        u = problem.U
        # sums over rows of [1, u_1..u_K, u_j u_k] times a product array: one matrix product each
        self.moments = np.stack([ones, *u, *(u[j] * u[k] for j in range(K) for k in range(j, K))])
        self.second = {(j, k): 1 + K + i for i, (j, k) in enumerate((j, k) for j in range(K) for k in range(j, K))}
        self.lines = [np.stack([ones, -u[k]], axis=1) for k in range(K)]
        self.bending: dict[int, tuple[Floats, Floats, Floats]] = {}
        arrays = [row[: n * size].reshape(n, size) for row in room]
        self.value, self.residual, self.psi, self.scratch, self.curvature, self.product = arrays[:6]
        self.terms = arrays[6:]
        self.log_y = np.log(problem.Y) if problem.log else problem.Y
        self.plain = bool(problem.W.shape[1] == 1 and np.all(problem.W == 1) and problem.upward == 1)
        self.weights = problem.W

    def linear_share(self) -> Floats:
        """(B,) share of the rows beyond the quadratic zone, at the point of `objective`."""
        return np.asarray((self.psi != self.residual).mean(axis=0))

    def objective(self, free: Floats) -> Floats:
        """(B,) objectives at free parameters (q, B)."""
        problem, K = self.problem, self.problem.n_terms
        full = problem.full(free)
        for k in range(K):
            term = self.terms[k]
            np.matmul(self.lines[k], full[[1 + k, 1 + K + k]], out=term)
            np.exp(term, out=term)
        np.add(self.terms[0], full[0], out=self.value)
        for k in range(1, K):
            self.value += self.terms[k]
        if problem.log:
            np.log(self.value, out=self.scratch)
            np.subtract(self.log_y, self.scratch, out=self.residual)
        else:
            np.subtract(self.log_y, self.value, out=self.residual)
        np.minimum(self.residual, problem.delta, out=self.psi)  # twice as fast as np.clip with a bound per column
        np.maximum(self.psi, -problem.delta, out=self.psi)
        np.multiply(self.psi, -0.5, out=self.scratch)
        self.scratch += self.residual
        self.scratch *= self.psi
        if not self.plain:
            self.weights = sided(problem.W, self.residual, problem.upward)
            self.scratch *= self.weights
        return np.asarray(self.scratch.sum(axis=0))

    def derivatives(self, damping: Floats) -> tuple[Floats, Floats]:
        """Gradient (q, B), and Hessian plus damping times the IRLS matrix (q, q, B), at the point of `objective`."""
        problem, K = self.problem, self.problem.n_terms
        size = self.value.shape[1]
        p = 1 + 2 * K
        self._curvature(damping)
        if problem.log:  # derivatives of log f are those of f over f
            np.divide(1.0, self.value, out=self.value)
            for k in range(K):
                self.terms[k] *= self.value
        g, H = np.empty((p, size)), np.empty((p, p, size))
        parts = [self.value if problem.log else None, *self.terms]
        for j in range(K + 1):
            self._gradient_and_bending(g, H, j, parts[j])
        for j in range(K + 1):
            left = self.curvature if parts[j] is None else np.multiply(self.curvature, parts[j], out=self.scratch)
            for k in range(j, K + 1):
                right = parts[k]
                both = left if right is None else np.multiply(left, right, out=self.product)
                self._outer(H, j, k, both)
        if not problem.unconstrained:
            T = problem.T
            g, H = T.T @ g, np.einsum("pi,pqb,qj->ijb", T, H, T, optimize=True)
        if damping.any():
            diagonal = np.arange(len(g))
            H[diagonal, diagonal] += RIDGE * damping * np.abs(H[diagonal, diagonal])
        return g, H

    def _curvature(self, damping: Floats) -> None:
        """Fill the weights of the outer products; on return psi carries the frequencies and sides too."""
        np.equal(self.psi, self.residual, out=self.curvature, casting="unsafe")
        if damping.any():
            np.copyto(self.scratch, 1.0)
            np.divide(self.psi, self.residual, out=self.scratch, where=self.residual != 0)
            self.scratch *= damping
            self.curvature += self.scratch
        if self.problem.log:
            self.curvature += self.psi
        if not self.plain:
            self.curvature *= self.weights
            self.psi *= self.weights

    def _gradient_and_bending(self, g: Floats, H: Floats, j: int, part: Floats | None) -> None:
        """Gradient of component j, and minus psi times its own second derivatives (which only terms have)."""
        K = self.problem.n_terms
        product = self.psi if part is None else np.multiply(self.psi, part, out=self.product)
        if j == 0:
            g[0] = -product.sum(axis=0)
            return
        k = j - 1
        rows = [0, 1 + k, self.second[k, k]]
        one, first, second = self.moments[rows] @ product
        g[j], g[K + j] = -one, first
        self.bending[j] = (-one, first, -second)

    def _outer(self, H: Floats, j: int, k: int, both: Floats) -> None:
        """Blocks of the Hessian between components j <= k, from the weighted product of the two."""
        K = self.problem.n_terms
        if k == 0:
            H[0, 0] = both.sum(axis=0)
        elif j == 0:
            one, first = self.moments[[0, k]] @ both
            H[0, k] = H[k, 0] = one
            H[0, K + k] = H[K + k, 0] = -first
        else:
            second = self.second[min(j, k) - 1, max(j, k) - 1]
            one, left, right, cross = self.moments[[0, j, k, second]] @ both
            H[j, k] = H[k, j] = one
            H[K + j, k] = H[k, K + j] = -left
            H[j, K + k] = H[K + k, j] = -right
            H[K + j, K + k] = H[K + k, K + j] = cross
            if j == k:
                straight, mixed, bent = self.bending[j]
                H[j, j] += straight
                H[j, K + j] += mixed
                H[K + j, j] = H[j, K + j]
                H[K + j, K + j] += bent


def box_step(H: Floats, g: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats, Bools]:
    """Minimise g'd + d'Hd/2 for low <= d <= high, column by column, by fixing what leaves the box and solving again.

    Returns
    -------
    d : (q, B) array
    promised : (B,) array
        Decrease of the model.
    definite : (B,) array of bool
        False where H is not positive definite on the parameters that are free to move; d is then of no use.
    """
    fixed = ((low >= 0) & (g > 0)) | ((high <= 0) & (g < 0))
    d, definite = _masked_solve(H, g, fixed, np.zeros_like(g))
    outside = definite & ((d < low) | (d > high)).any(axis=0)
    todo = np.flatnonzero(outside) if outside.any() else ()
    for _ in range(len(g)):
        if not len(todo):
            break
        at, lo, hi = d[:, todo], low[:, todo], high[:, todo]
        fixed[:, todo] |= (at < lo) | (at > hi)
        values = np.where(fixed[:, todo], np.clip(at, lo, hi), 0.0)
        at, good = _masked_solve(H[:, :, todo], g[:, todo], fixed[:, todo], values)
        d[:, todo], definite[todo] = at, good
        todo = todo[good & ((at < lo) | (at > hi)).any(axis=0)]
    d = np.minimum(np.maximum(d, low), high)
    promised = -(d * (g + 0.5 * (H * d).sum(axis=1))).sum(axis=0)
    return d, np.where(definite, promised, np.inf), definite & (promised >= 0)


def _masked_solve(H: Floats, g: Floats, fixed: Bools, values: Floats) -> tuple[Floats, Bools]:
    """Solve H d = -g for the parameters that are not fixed at `values`, by LDL' without pivoting, column by column."""
    q = len(g)
    if fixed.any():
        free = ~fixed
        rhs = -g - (H * values).sum(axis=1)
        rhs = np.where(fixed, values, rhs)
        H = np.where(free[:, None] & free[None, :], H, 0.0)
        for i in range(q):
            H[i, i] = np.where(fixed[i], 1.0, H[i, i])
    else:
        rhs = -g
    return ldl_solve(H, rhs)


def ldl_solve(H: Floats, rhs: Floats) -> tuple[Floats, Bools]:
    """Solve the symmetric systems H x = rhs, (q, q, B) and (q, B), and say which H are positive definite."""
    q = len(rhs)
    L: list[list[Any]] = [[None] * q for _ in range(q)]
    D: list[Any] = []
    definite = np.ones(rhs.shape[1], dtype=bool)
    for i in range(q):
        scaled = [L[i][j] for j in range(i)]
        for j in range(i):
            value = H[i, j]
            for k in range(j):
                value = value - scaled[k] * L[j][k]
            scaled[j] = value  # L_ij D_j
            L[i][j] = value / D[j]
        pivot = H[i, i]
        for k in range(i):
            pivot = pivot - L[i][k] * scaled[k]
        good = pivot > 1e-14 * np.abs(H[i, i])
        definite &= good
        D.append(np.where(good, pivot, 1.0))
    x: list[Any] = []
    for i in range(q):
        value = rhs[i]
        for k in range(i):
            value = value - L[i][k] * x[k]
        x.append(value)
    for i in reversed(range(q)):
        value = x[i] / D[i]
        for k in range(i + 1, q):
            value = value - L[k][i] * x[k]
        x[i] = value
    return np.stack(x), definite
