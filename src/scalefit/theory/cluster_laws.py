"""Sizes of percolation clusters: the power laws of a universality class, and the exact law on a Bethe lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlog1py, xlogy

from .guards import at_least_one, positive, positive_array, probability, whole

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Universality:
    """Power laws of cluster sizes near the critical probability, by their exponents (Eq. 1 to 5 of [1]_).

    Parameters
    ----------
    tau : float, between 2 and 3
        A site of the lattice has n_s ~ s^-tau clusters of s sites.
    sigma : float
        Clusters reach up to about ``|p - p_c|^(-1/sigma)`` sites.
    dimension : float
        D of s ~ R^D, sites within a radius.

    Raises
    ------
    ValueError
        If an exponent is out of its range: at tau = 2 alpha is infinite, at tau = 3 it is 0 and no loss falls.

    References
    ----------
    .. [1] Brill 2024, arXiv:2412.07942.

    Examples
    --------
    From six dimensions on, and on trees:

    >>> MEAN_FIELD.alpha, MEAN_FIELD.manifold(c=2), MEAN_FIELD.manifold(c=4)
    (1.0, 0.5, 1.0)

    The plane, with its exactly known exponents:

    >>> plane = Universality(tau=187 / 91, sigma=36 / 91, dimension=91 / 48)
    >>> round(plane.alpha, 3), round(plane.manifold(c=4), 3)
    (17.2, 2.11)
    """

    tau: float
    sigma: float
    dimension: float

    def __post_init__(self) -> None:
        """Refuse exponents for which the laws diverge."""
        if not 2 < self.tau < 3:
            raise ValueError(f"tau must be between 2 and 3, where alpha is finite and positive, but it is {self.tau}.")
        positive("sigma", self.sigma)
        positive("dimension", self.dimension)

    @property
    def alpha(self) -> float:
        """(3 - tau) / (tau - 2): the k-th largest cluster takes k^-(alpha + 1) of the loss (Eq. 4, 5)."""
        return (3 - self.tau) / (self.tau - 2)

    def manifold(self, c: float) -> float:
        """Exponent c / D of the loss on one cluster: c is 2 for constant pieces, 4 for linear ones."""
        return positive("c", c) / self.dimension

    def density(self, sizes: ArrayLike, *, distance: float = 0.0) -> Floats:
        """Clusters of these sizes per site, up to a constant: s^-tau exp(-distance^(1/sigma) s) (Eq. 1).

        `distance` is ``|p - p_c|``.

        Examples
        --------
        >>> MEAN_FIELD.density([1, 100]).round(7).tolist()
        [1.0, 1e-05]
        """
        s = at_least_one("sizes", sizes)
        return np.asarray(s**-self.tau * np.exp(-s / self.cutoff(distance)))

    def share_above(self, sizes: ArrayLike) -> Floats:
        """Share of sites in clusters of these sizes or larger, at p_c and up to a constant: s^(2 - tau) (Eq. 3)."""
        return np.asarray(at_least_one("sizes", sizes) ** (2 - self.tau))

    def size_at(self, ranks: ArrayLike) -> Floats:
        """Size of the k-th largest cluster over that of the largest, k^-(alpha + 1) (Eq. 4).

        Ranked as in the paper by share of sites, as clusters are that are grown from random sites. Ranked by their
        number they would fall as k^(-1 / (tau - 1)).
        """
        return np.asarray(at_least_one("ranks", ranks) ** -(self.alpha + 1))

    def cutoff(self, distance: float) -> float:
        """Size beyond which clusters are exponentially rare at this ``|p - p_c|``; infinite at p_c.

        Examples
        --------
        >>> round(MEAN_FIELD.cutoff(0.01)), MEAN_FIELD.cutoff(0.0)
        (10000, inf)
        """
        if not 0 <= distance < 1:
            raise ValueError(f"distance is |p - p_c|, from 0 to below 1, but it is {distance}.")
        with np.errstate(divide="ignore", over="ignore"):
            return float(np.float64(distance) ** (-1 / self.sigma))


#: Six dimensions and more, and the Bethe lattice.
MEAN_FIELD = Universality(tau=2.5, sigma=0.5, dimension=4.0)


def critical_probability(degree: int) -> float:
    """p_c = 1 / (z - 1) of a Bethe lattice of degree z; z = 2 d stands for d dimensions.

    Examples
    --------
    >>> critical_probability(12) == 1 / 11
    True
    """
    return 1 / (whole("degree, the neighbours of a site,", degree, least=3) - 1)


def bethe_sizes(sizes: ArrayLike, *, degree: int, p: float | None = None) -> Floats:
    """Probability that the cluster of a site has s sites, bonds of a Bethe lattice being open with probability p.

    Exact, by the total progeny of a branching process whose root has Binom(z, p) children and all others
    Binom(z - 1, p):

        P(s) = z s ((z - 1) s)! / (s! ((z - 2) s + 2)!) p^(s - 1) (1 - p)^((z - 2) s + 2),

    which falls as s^(1 - tau) = s^(-3/2) at p_c. It adds up to 1 for p <= p_c and to less above.

    Parameters
    ----------
    sizes : (n,) array, sites
    degree : int
        z, from 3 on.
    p : float, between 0 and 1
        1 / (z - 1), the critical one, by default.

    Returns
    -------
    (n,) array

    Raises
    ------
    ValueError
        If p is not between 0 and 1, a size below 1 or no whole number, or the degree below 3.

    Notes
    -----
    s P(s) over P(s) of criticality is exp(-s / s_cut) with s_cut ~ (p - p_c)^-2: sigma = 1/2. The formula is not in
    the paper; it is the check of Eq. 1 to 3.

    Examples
    --------
    >>> bethe_sizes([1, 2, 3], degree=3, p=0.5).round(9).tolist()
    [0.125, 0.09375, 0.0703125]
    """
    p = critical_probability(degree) if p is None else probability(p)
    critical_probability(degree)
    s = positive_array("sizes", sizes, whole=True)
    z, closed = degree, (degree - 2) * s + 2
    ways = gammaln((z - 1) * s + 1) - gammaln(s) - gammaln(closed + 1)
    return np.asarray(np.exp(np.log(z) + ways + xlogy(s - 1, p) + xlog1py(closed, -p)))
