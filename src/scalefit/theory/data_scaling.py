"""Percolation theory, the loss over samples: its closed form, and the binomial sums that this stands for."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import exprel, zeta

from .binomials import binomial_mean
from .guards import positive, positive_array

Floats = NDArray[np.float64]

ONE_BY_ONE, NODES = 500, 64  # clusters summed singly, and nodes of the integral over the others
RARE = 1e-3  # expected samples of a cluster below which it is as good as unseen


def data_loss(tokens: ArrayLike, *, alpha: float, manifold: float) -> Floats:
    """Loss after D samples of clusters that are seen k^-(alpha + 1) of the time, in closed form (Eq. 10, 11 of [1]_).

    With x = (alpha + 1) c/D - alpha,

        L = (1/alpha + 1/x) D^(-alpha / (alpha + 1)) - (1/x) D^(-c/D),

    and D^(-c/D) (1/alpha + ln D / (alpha + 1)) at x = 0. Below one sample it stays at 1/alpha.

    Parameters
    ----------
    tokens : (m,) array, samples
        D.
    alpha, manifold : float
        (3 - tau) / (tau - 2), and c / D, where this D is the dimension.

    References
    ----------
    .. [1] arXiv:2412.07942. The sums of `binomial_loss` as integrals: the constant differs, the exponent does not.

    Examples
    --------
    >>> data_loss([1e2, 1e4, 1e6], alpha=1.0, manifold=0.5).round(5).tolist()
    [0.33026, 0.05605, 0.00791]
    """
    r, a = positive("manifold", manifold), positive("alpha", alpha)
    log_D = np.maximum(np.log(positive_array("tokens", tokens)), 0.0)
    x, span = (a + 1) * r - a, log_D / (a + 1)
    # (k_s^x - 1) / x is the logarithm of the break k_s at x = 0; near it `exprel` loses no digits
    learned = np.exp(-min(r, a / (a + 1)) * log_D) * span * exprel(-abs(x) * span)
    return np.asarray(learned + np.exp(-a * span) / a)


def binomial_loss(tokens: ArrayLike, *, alpha: float, manifold: float) -> Floats:
    """The same loss with its binomials (Eq. 34, 35): sum of k^-(alpha + 1) E[m_k^(-c/D)], m_k ~ Binom(D, p_k).

    A cluster that is not seen has its full loss, wherever it is ranked. p_k = k^-(alpha + 1), without a norm, as the
    paper's break D^(1 / (alpha + 1)) has it. The first 500 clusters are summed one by one, the others by an integral
    over the logarithm of their rank.

    Parameters
    ----------
    tokens : (m,) array of whole numbers, samples
    alpha, manifold
        As in `data_loss`.

    Examples
    --------
    >>> binomial_loss([1e2, 1e4], alpha=1.0, manifold=0.5).round(4).tolist()
    [0.3948, 0.0626]
    """
    a, r = positive("alpha", alpha), positive("manifold", manifold)
    D = positive_array("tokens", tokens, whole=True)
    return np.array([_binomial_loss(int(count), a, r) for count in D.ravel()]).reshape(D.shape)


def _binomial_loss(D: int, alpha: float, manifold: float) -> float:
    last = int((D / RARE) ** (1 / (alpha + 1))) + 1
    singly = min(last, ONE_BY_ONE)
    k = np.arange(1.0, singly + 1)
    total = sum(
        rank ** -(alpha + 1) * _mean_loss(D, share, manifold) for rank, share in zip(k, k ** -(alpha + 1), strict=True)
    )
    if last > singly:  # sum over k = singly + 1 to last, as an integral from half a rank before to half a rank behind
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        low, high = np.log(singly + 0.5), np.log(last + 0.5)
        for node, weight in zip(nodes, weights, strict=True):
            rank = np.exp(low + (high - low) * (node + 1) / 2)
            share = rank ** -(alpha + 1)
            total += (high - low) / 2 * weight * rank * share * _mean_loss(D, share, manifold)
    return float(total + zeta(alpha + 1, last + 1))


def _mean_loss(D: int, share: float, manifold: float) -> float:
    """E[m^(-c/D)] of m ~ Binom(D, share), where m = 0 counts as 1."""
    return binomial_mean(lambda m: np.maximum(m, 1.0) ** -manifold, D, share)
