"""Percolation theory, the loss over degrees of freedom: their best allocation to clusters, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import boxcox1p, wrightomega, zeta

from .guards import positive, positive_array

Floats = NDArray[np.float64]
BreakRule: TypeAlias = Literal["exact", "unit"]

EXPLICIT = 20  # terms before Euler and Maclaurin take over: the next of theirs is below 1e-16
NEWTON, SETTLED = 100, 1e-13  # steps for a break, and of its logarithm
MOST_CLUSTERS = 10_000_000  # of an allocation, 80 MB


@dataclass(frozen=True)
class Allocation:
    """Degrees of freedom over clusters, the largest cluster first (Eq. 6 of arXiv:2412.07942).

    Attributes
    ----------
    sizes : (k_b,) array, degrees of freedom
        n_k = (n / H) k^-nu for k up to the break; all clusters beyond get none.
    exponent : float
        nu.
    loss : float
        Of clusters within the break and of all beyond, by Eq. 7 with its sums as they are.
    """

    sizes: Floats
    exponent: float
    loss: float

    @property
    def clusters(self) -> int:
        """k_b, how many clusters are learned."""
        return len(self.sizes)


def rank_exponent(alpha: float, manifold: float) -> float:
    """Exponent nu = (alpha + 1) / (1 + c/D) by which the gains of all clusters are equal at the margin (Eq. 27).

    Examples
    --------
    >>> round(rank_exponent(1.0, 0.5), 4)
    1.3333
    """
    return (positive("alpha", alpha) + 1) / (1 + positive("manifold", manifold))


def harmonic(k: ArrayLike, order: float) -> Floats:
    """H = sum of j^-order up to k, for real k >= 0 its smooth continuation, to 14 digits.

    Examples
    --------
    >>> harmonic([1, 2, 4], 1.0).round(12).tolist()
    [1.0, 1.5, 2.083333333333]
    """
    K, s, M = np.asarray(k, dtype=float), order, EXPLICIT
    j = np.arange(1.0, M)
    total = np.sum(j**-s - (K[..., None] + j) ** -s, axis=-1) + M ** (1 - s) * boxcox1p(K / M, 1 - s)
    steps, factor = ((1, 1 / 12), (3, -1 / 720), (5, 1 / 30240)), s
    total += 0.5 * (M**-s - (M + K) ** -s)
    for power, weight in steps:
        total += weight * factor * (float(M) ** (-s - power) - (M + K) ** (-s - power))
        factor *= (s + power) * (s + power + 1)
    return np.asarray(total)


def break_rank(
    params: ArrayLike, *, alpha: float, manifold: float, break_rule: BreakRule = "exact", limit: bool = False
) -> Floats:
    """Rank k_b of the last cluster that n degrees of freedom are spent on, as a real number, at least 1.

    The last cluster gets n_k = t of them, so that t k^nu H(k) = n. The paper has t = 1. Where a cluster without any
    keeps its full loss, the optimum is t = (1 + c/D)^(D/c): then its gain 1 - t^(-c/D) is t times the marginal one.

    Parameters
    ----------
    params : (m,) array, degrees of freedom
        n.
    alpha, manifold : float
        (3 - tau) / (tau - 2), and c / D.
    break_rule : {"exact", "unit"}
        The optimum, or the rule of the paper. They differ by constants alone.
    limit : bool
        Eq. 30 for large n instead: (n/t / zeta(nu))^(1/nu) for nu > 1, (n/t) / W(n/t) at nu = 1, with W of Lambert,
        and (1 - nu) n/t for nu < 1.

    Returns
    -------
    (m,) array

    References
    ----------
    .. [1] arXiv:2412.07942, Eq. 26 to 30. Eq. 30 is reconstructed; the exact rule is ours.

    Examples
    --------
    >>> break_rank([1e3, 1e6], alpha=1.0, manifold=0.5, break_rule="unit").round(1).tolist()
    [79.9, 12434.2]
    """
    nu, n = rank_exponent(alpha, manifold), positive_array("params", params) / _smallest(manifold, break_rule)
    if limit:
        if _equal(nu, 1.0):
            return np.asarray(np.maximum(n / wrightomega(np.log(n)), 1.0))
        return np.asarray(np.maximum((n / zeta(nu)) ** (1 / nu) if nu > 1 else (1 - nu) * n, 1.0))
    wanted = np.log(np.maximum(n, 1.0))
    log_k = wanted / max(nu, 1.0)
    for _ in range(NEWTON):
        k = np.exp(log_k)
        H = harmonic(k, nu)
        step = (nu * log_k + np.log(H) - wanted) / (nu + k * nu * zeta(nu + 1, k + 1) / H)
        log_k = np.maximum(log_k - step, 0.0)
        if np.all(np.abs(step) < SETTLED * np.maximum(log_k, 1.0)):
            break
    return np.asarray(np.exp(log_k))


def model_loss(
    params: ArrayLike, *, alpha: float, manifold: float, break_rule: BreakRule = "exact", limit: bool = False
) -> Floats:
    """Loss of a model that spreads n degrees of freedom over clusters as well as can be (Eq. 7, 31 of [1]_).

        L(n) = n^(-c/D) H^(1 + c/D) + sum of k^-(alpha + 1) beyond the break k_b,    H = sum of k^-nu up to it.

    Parameters
    ----------
    params, alpha, manifold, break_rule
        As in `break_rank`.
    limit : bool
        What it tends to instead: zeta(nu)^(1 + c/D) n^(-c/D) for c/D < alpha (Eq. 33), a constant times n^-alpha for
        c/D > alpha (Eq. 32), and n^-alpha W(n/t)^(1 + alpha) at c/D = alpha, the logarithmic case.

    Returns
    -------
    (m,) array
        Loss where that of the largest cluster, unlearned, is 1; zeta(alpha + 1) of all without any.

    References
    ----------
    .. [1] arXiv:2412.07942.

    Examples
    --------
    >>> model_loss([1e2, 1e4, 1e6], alpha=1.0, manifold=0.5).round(4).tolist()
    [0.4282, 0.0592, 0.0065]
    """
    r, nu = manifold, rank_exponent(alpha, manifold)
    n = positive_array("params", params)
    if limit:
        return _model_limit(n, alpha, r, _smallest(r, break_rule))
    k = break_rank(n, alpha=alpha, manifold=r, break_rule=break_rule)
    H = harmonic(k, nu)
    learned = H * (H / np.maximum(n, 1.0)) ** r  # a part of one degree of freedom gains nothing
    return np.asarray(learned + zeta(alpha + 1, k + 1))


def optimal_allocation(params: float, *, alpha: float, manifold: float, break_rule: BreakRule = "exact") -> Allocation:
    """Degrees of freedom for each cluster, n_k = (n / H) k^-nu up to the break (Eq. 6 of arXiv:2412.07942).

    Parameters
    ----------
    params : float, degrees of freedom
        n, at least 1.
    alpha, manifold, break_rule
        As in `break_rank`.

    Raises
    ------
    ValueError
        If there is less than one degree of freedom, or more than 10 million clusters are learned.

    Examples
    --------
    >>> made = optimal_allocation(1000, alpha=1.0, manifold=0.5)
    >>> made.clusters, made.sizes[:2].round(1).tolist(), round(made.loss, 4)
    (45, [362.2, 143.8], 0.167)
    """
    if not 1 <= params < np.inf:
        raise ValueError(f"params, the degrees of freedom, must be finite and at least 1, but they are {params}.")
    found = float(break_rank(params, alpha=alpha, manifold=manifold, break_rule=break_rule))
    if found > MOST_CLUSTERS:
        raise ValueError(
            f"{found:.3g} clusters would be learned; an allocation lists at most {MOST_CLUSTERS:,}. `break_rank` and "
            "`model_loss` have no such limit."
        )
    # the optimum is a whole number beside the real one; the paper's rule fills what has room for one each
    made = [
        _allocated(params, clusters, alpha, manifold)
        for clusters in (int(found), int(found) + 1)[: 2 if break_rule == "exact" else 1]
    ]
    return min(made, key=lambda allocation: allocation.loss)


def _allocated(params: float, clusters: int, alpha: float, manifold: float) -> Allocation:
    """Degrees of freedom over so many clusters, with equal gains at the margin."""
    nu, k = rank_exponent(alpha, manifold), np.arange(1.0, clusters + 1)
    weights = k**-nu
    sizes = params * weights / weights.sum()
    loss = np.sum(k ** -(alpha + 1) * sizes**-manifold) + zeta(alpha + 1, clusters + 1)
    return Allocation(sizes=sizes, exponent=nu, loss=float(loss))


def _model_limit(n: Floats, alpha: float, r: float, smallest: float) -> Floats:
    nu = rank_exponent(alpha, r)
    if _equal(nu, 1.0):
        return np.asarray(n**-r * wrightomega(np.log(n / smallest)) ** (1 + r))
    if nu > 1:
        return np.asarray(zeta(nu) ** (1 + r) * n**-r)
    learned, beyond = (1 - nu) ** -(alpha + 1) * smallest ** (alpha - r), ((1 - nu) / smallest) ** -alpha / alpha
    return np.asarray((learned + beyond) * n**-alpha)


def _smallest(manifold: float, break_rule: str) -> float:
    """Degrees of freedom of the last cluster that gets any."""
    if break_rule not in ("exact", "unit"):
        raise ValueError(f'break_rule is "exact" or "unit", not {break_rule!r}.')
    return float((1 + manifold) ** (1 / manifold)) if break_rule == "exact" else 1.0


def _equal(one: float, other: float) -> bool:
    return abs(one - other) < 1e-12
