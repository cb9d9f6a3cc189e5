"""A batch of separable fits in the coordinates that the solver works in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# alpha times the range of g(x): below the first, a power cannot be told from a logarithm; the second is for the range
# of the smallest quarter of the rows, within which the term would be over
EXPONENT_RANGE = (0.02, 40.0)
SMALLEST = (0.25, 1e-4)  # that quarter, and the least share of the whole range that it counts as
# a term this small against the losses, at every row, is gone
AMPLITUDE_FLOOR = 1e-12
AMPLITUDE_CEILING = 1e3
NOTHING = 1e-12


@dataclass(frozen=True)
class Problem:
    """B fits of E + sum_k exp(l_k - a_k u_k) that share their inputs, each column of an array one fit.

    The coordinates: u_k is g_k(x) counted from the smallest run in units of the range, so a_k = alpha_k ptp(g_k) has
    the same bounds in any unit and l_k is the log of the term at the smallest run. The p = 1 + 2 K full parameters
    are (E, l_1..l_K, a_1..a_K); the fit moves q <= p free ones, full = T free + c, within the box [lower, upper].
    """

    U: Floats  # (K, n)
    Y: Floats  # (n, B) or (n, 1): losses
    W: Floats  # (n, B) or (n, 1): frequencies
    log: bool  # residuals of the log loss?
    delta: Floats  # (B,) half-width of Huber's quadratic zone
    upward: float  # what a positive residual counts against a negative one
    T: Floats  # (p, q)
    c: Floats  # (p,)
    lower: Floats  # (q, B)
    upper: Floats  # (q, B)
    free_rows: NDArray[np.intp]  # (q,) which full parameter each free coordinate is
    owns: NDArray[np.bool_]  # (p, q) which parameters take their value from which free one
    floor: Floats  # (B,) objective that is nothing: NOTHING times that of the constant fit
    # to natural parameters (E, log A_k, alpha_k) = natural @ full
    natural: Floats  # (p, p)

    @property
    def n_terms(self) -> int:
        """K, the number of terms."""
        return len(self.U)

    @property
    def size(self) -> int:
        """B, the number of fits."""
        return int(self.lower.shape[1])

    @property
    def unconstrained(self) -> bool:
        """Whether every parameter is free: full = free."""
        return len(self.T) == len(self.lower)

    def take(self, columns: Any) -> Problem:
        """The fits of the given columns (indices, possibly repeated, or a slice)."""
        return replace(
            self,
            Y=self.Y if self.Y.shape[1] == 1 else self.Y[:, columns],
            W=self.W if self.W.shape[1] == 1 else self.W[:, columns],
            delta=self.delta[columns],
            lower=self.lower[:, columns],
            upper=self.upper[:, columns],
            floor=self.floor[columns],
        )

    def full(self, free: Floats) -> Floats:
        """Full parameters, (p, B), of free ones, (q, B)."""
        return free if self.unconstrained else self.T @ free + self.c[:, None]

    def to_natural(self, free: Floats) -> Floats:
        """(p, B) array of E, log A_k, alpha_k in the user's units."""
        return self.natural @ self.full(free)

    def from_natural(self, natural: Floats) -> Floats:
        """Free parameters, (q, B), of natural ones, moved into the box."""
        full = np.linalg.solve(self.natural, natural) - self.c[:, None]
        free = np.linalg.lstsq(self.T, full, rcond=None)[0]
        return np.clip(free, self.lower, self.upper)

    def residuals(self, free: Floats) -> Floats:
        """(n, B) residuals in the space of the objective."""
        full = self.full(free)
        value = np.zeros((self.U.shape[1], full.shape[1])) + full[0]
        for k, u in enumerate(self.U):
            value += np.exp(full[1 + k] - u[:, None] * full[1 + self.n_terms + k])
        return np.asarray(np.log(self.Y) - np.log(value) if self.log else self.Y - value)

    @property
    def absolute(self) -> bool:
        """Whether the loss is the absolute error: delta = 0."""
        return bool(np.all(self.delta == 0))

    def objective(self, residuals: Floats) -> Floats:
        """(B,) weighted sums of the loss of (n, B) residuals."""
        return np.asarray((sided(self.W, residuals, self.upward) * huber(residuals, self.delta)).sum(axis=0))


def huber(residuals: Floats, delta: Floats) -> Floats:
    """Huber's loss; the absolute error where delta is 0 throughout."""
    if not delta.any():
        return np.abs(residuals)
    inner = np.clip(residuals, -delta, delta)
    return np.asarray(inner * (residuals - inner / 2))


def sided(W: Floats, residuals: Floats, upward: float) -> Floats:
    """Frequencies, times `upward` where the loss lies above the law."""
    return W if upward == 1 else np.where(residuals > 0, upward * W, W)


def make_problem(
    G: Floats, Y: Floats, W: Floats, *, log: bool, delta: float, T: Floats, c: Floats, upward: float = 1.0
) -> Problem:
    """Problem of B fits to shared inputs.

    Parameters
    ----------
    G : (K, n) array
        g_k(x) of each term.
    Y : (n, B) or (n, 1) array
        Losses, positive.
    W : (n, B) or (n, 1) array
        Frequencies, not negative.
    log : bool
        Residuals of the log loss rather than of the loss.
    delta : float
        Half-width of the quadratic zone; infinite for least squares, 0 for the absolute error.
    T, c : (p, q) and (p,) arrays
        Natural parameters (E, log A_1..K, alpha_1..K) = T free + c: what is fixed and tied.
    upward : float
        What a positive residual counts against a negative one.
    """
    K, size = len(G), max(Y.shape[1], W.shape[1])
    used = W.max(axis=1) > 0
    low, high = G[:, used].min(axis=1), G[:, used].max(axis=1)
    span = np.where(high > low, high - low, 1.0)
    # natural = N @ full: log A_k = l_k + alpha_k low_k, alpha_k = a_k / span_k
    natural = np.eye(1 + 2 * K)
    for k in range(K):
        natural[1 + k, 1 + K + k] = low[k] / span[k]
        natural[1 + K + k, 1 + K + k] = 1 / span[k]
    to_full = np.linalg.inv(natural)
    # the free coordinates are the full coordinates of the free parameters: well scaled, whatever is fixed or tied
    rows = np.array([np.flatnonzero(T[:, j])[0] for j in range(T.shape[1])], dtype=np.intp)
    mixing = (to_full @ T)[rows]
    inner_T = to_full @ T @ np.linalg.inv(mixing)
    inner_T[np.abs(inner_T) < 1e-11] = 0.0  # entries are of order one; the rest is rounding
    inner_c = to_full @ c - inner_T @ (to_full @ c)[rows]
    # a free parameter keeps within the bounds of all that share its value
    alone = (T != 0) & (np.count_nonzero(inner_T, axis=1) == 1)[:, None]
    middle = weighted_medians(Y, W)
    lower, upper = _free_box(*_full_box(middle, *_exponent_ends(G, W, span), size), inner_T, inner_c, alone)
    return Problem(
        U=(G - low[:, None]) / span[:, None],
        Y=Y,
        W=W,
        log=log,
        delta=np.full(size, delta),
        upward=upward,
        T=inner_T,
        c=inner_c,
        lower=lower,
        upper=upper,
        free_rows=rows,
        owns=T != 0,
        floor=np.broadcast_to(NOTHING * _constant_objective(Y, W, log, np.full(size, delta), upward, middle), (size,)),
        natural=natural,
    )


def _constant_objective(Y: Floats, W: Floats, log: bool, delta: Floats, upward: float, middle: Floats) -> Floats:
    """(B,) or (1,) objectives of the constant fit at the medians."""
    errors = np.log(Y) - np.log(middle) if log else Y - middle
    if W.shape[1] == Y.shape[1] == 1:
        delta = delta[:1]
    return np.asarray((sided(W, errors, upward) * huber(errors, delta)).sum(axis=0))


def _exponent_ends(G: Floats, W: Floats, span: Floats) -> tuple[Floats, Floats]:
    """(K, B) or (K, 1) bounds of the exponents in units of the shared ranges, by the rows that each fit uses."""
    lower, upper = np.ones((len(G), W.shape[1])), np.ones((len(G), W.shape[1]))
    for k, g in enumerate(G):
        order = np.argsort(g, kind="stable")
        used = W[order] > 0
        rank = np.cumsum(used, axis=0)  # of the used rows, from 1
        at = SMALLEST[0] * (rank[-1] - 1)
        first, last, below, above = (
            g[order][np.argmax(rank >= wanted, axis=0)]
            for wanted in (1, rank[-1], np.floor(at) + 1, np.minimum(np.floor(at) + 2, rank[-1]))
        )
        own = np.where(last > first, last - first, 1.0)
        reach = (below + (at % 1) * (above - below) - first) / own
        ends = EXPONENT_RANGE[1] / np.maximum(reach, SMALLEST[1])
        lower[k] = np.where(last > first, EXPONENT_RANGE[0] * span[k] / own, 1.0)
        upper[k] = np.where(last > first, ends * span[k] / own, 1.0)
    return lower, upper


def _full_box(middle: Floats, low: Floats, high: Floats, size: int) -> tuple[Floats, Floats]:
    """(p, B) bounds of the full parameters, with given medians of the losses and ends of the exponents."""
    K = len(low)
    middle = np.broadcast_to(middle, (size,))
    lower, upper = np.zeros((1 + 2 * K, size)), np.zeros((1 + 2 * K, size))
    # a bound of E at the smallest loss would fight the robust objective: one low outlier would pull it down
    upper[0] = middle
    lower[1 : 1 + K] = np.log(AMPLITUDE_FLOOR * middle)
    upper[1 : 1 + K] = np.log(AMPLITUDE_CEILING * middle)
    lower[1 + K :], upper[1 + K :] = low, high
    return lower, upper


def _free_box(lower: Floats, upper: Floats, T: Floats, c: Floats, alone: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(q, B) bounds of the free parameters, from those of the full ones that are multiples of just one."""
    free_lower = np.full((T.shape[1], lower.shape[1]), -np.inf)
    free_upper = np.full((T.shape[1], lower.shape[1]), np.inf)
    for row, j in np.argwhere(alone):
        free_lower[j] = np.maximum(free_lower[j], (lower[row] - c[row]) / T[row, j])
        free_upper[j] = np.minimum(free_upper[j], (upper[row] - c[row]) / T[row, j])
    return free_lower, free_upper


def weighted_medians(Y: Floats, W: Floats) -> Floats:
    """Medians of the columns of Y, (n, B) or (n, 1), each row counted W times."""
    if W.shape[1] == 1 and np.ptp(W) == 0:
        return np.asarray(np.median(Y, axis=0))
    order = np.argsort(Y, axis=0, kind="stable")
    values = np.take_along_axis(Y, order, axis=0)
    shape = (len(Y), max(Y.shape[1], W.shape[1]))
    weights = np.take_along_axis(np.broadcast_to(W, shape), np.broadcast_to(order, shape), axis=0)
    cumulative = np.cumsum(weights, axis=0)
    half = cumulative[-1] / 2
    low = np.argmax(cumulative >= half * (1 - 1e-12), axis=0)
    high = np.argmax(cumulative > half * (1 + 1e-12), axis=0)
    values = np.broadcast_to(values, shape)
    columns = np.arange(shape[1])
    return np.asarray((values[low, columns] + values[high, columns]) / 2)
