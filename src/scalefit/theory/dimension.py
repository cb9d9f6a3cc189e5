"""The dimension of data as the origin of exponents: what one manifold predicts, and estimates of dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.spatial import cKDTree
from scipy.special import stdtrit
from scipy.stats import norm

from .guards import positive

Floats = NDArray[np.float64]

FEWEST = 20  # points of a cloud; our choice
LEVEL = 0.95

#: Parameters in millions and width (d_model) of the 50 models of Hoffmann et al. 2022, arXiv:2203.15556, Table A9.
CHINCHILLA_WIDTHS = (
    (44, 512), (57, 576), (74, 640), (90, 640), (106, 640), (117, 768), (140, 768), (163, 768), (175, 896), (196, 896),
    (217, 896), (251, 1024), (278, 1024), (306, 1024), (425, 1280), (489, 1280), (509, 1408), (552, 1280), (587, 1408),
    (632, 1536), (664, 1408), (724, 1536), (816, 1536), (893, 1792), (1018, 1792), (1143, 1792), (1266, 2048),
    (1424, 2176), (1429, 2048), (1593, 2048), (1609, 2176), (1731, 2304), (1794, 2176), (2007, 2304), (2283, 2304),
    (2298, 2560), (2639, 2560), (2980, 2560), (3530, 2688), (3802, 2816), (4084, 2944), (4516, 3072), (6796, 3584),
    (9293, 4096), (11452, 4352), (12295, 4608), (12569, 4608), (13735, 4864), (14940, 4992), (16183, 5120),
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and interval.

    Attributes
    ----------
    value, se : float
    low, high : float
        Ends of the interval.
    level : float
    size : int
        Points, or models, that it rests on.
    """

    value: float
    se: float
    low: float
    high: float
    level: float
    size: int


@overload
def manifold_exponent(dimension: float, *, c: float = 4.0) -> float: ...
@overload
def manifold_exponent(dimension: Estimate, *, c: float = 4.0) -> Estimate: ...
def manifold_exponent(dimension: float | Estimate, *, c: float = 4.0) -> float | Estimate:
    """Exponent c / D of the loss in parameters and in data on one manifold of dimension D [1]_.

    A cell of a piecewise approximation has an edge ~ n^(-1/D), and the squared error goes by the edge to the power c:
    2 for constant pieces, 4 for linear ones. For functions that are not generic it is a lower bound.

    Parameters
    ----------
    dimension : float or Estimate
        D, or what `intrinsic_dimension` found.
    c : float
        4 by default, that of networks of ReLU.

    Returns
    -------
    float or Estimate, as the dimension is

    References
    ----------
    .. [1] Sharma and Kaplan 2020, arXiv:2004.10802; Bahri et al. 2021, arXiv:2102.06701.

    Examples
    --------
    >>> manifold_exponent(16)
    0.25
    """
    positive("c", c)
    if not isinstance(dimension, Estimate):
        return c / positive("dimension", dimension)
    D = dimension
    return Estimate(
        value=c / D.value, se=c / D.value**2 * D.se, low=c / D.high, high=c / D.low if D.low > 0 else np.inf,
        level=D.level, size=D.size,
    )  # fmt: skip


def intrinsic_dimension(points: ArrayLike, *, discard: float = 0.1, level: float = LEVEL) -> Estimate:
    """Dimension of the manifold that points lie on, from the distances of their two nearest neighbours (TwoNN, [1]_).

    Where the density is even at the scale of neighbours, r_2 / r_1 has the distribution 1 - mu^-D, whatever the
    density. D is its maximum likelihood with the largest ratios censored: these are the least local.

    Parameters
    ----------
    points : (n, k) array
        At least 20 different points with k coordinates of one unit.
    discard : float, from 0 to below 1
        Share of the ratios, the largest, that are only known to be large.
    level : float, between 0 and 1
        Of the interval.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If the points are no table of finite numbers, too few, or some are equal; if an option is out of range.

    Notes
    -----
    The standard error counts that near points share neighbours, so that their ratios are no independent draws: it
    is 1.2 times that of independent ones, and so is the scatter over clouds. It does not count bias. Edges of the
    cloud make D too small: 1,000 even points in a cube give 3.8 for 4 dimensions and 7.0 for 8, where the interval
    misses. Noise and curvature make it depend on the scale. Compare the cloud with a random tenth of it first.

    References
    ----------
    .. [1] Facco et al. 2017, doi:10.1038/s41598-017-11873-y. The paper fits a line to the same 90 % of the points;
       the maximum likelihood and the error are ours.

    Examples
    --------
    A sheet in ten dimensions:

    >>> rng = np.random.default_rng(0)
    >>> found = intrinsic_dimension(rng.random((2000, 2)) @ rng.normal(size=(2, 10)))
    >>> round(found.value, 2), round(found.se, 2)
    (1.96, 0.06)
    """
    cloud, keep = _cloud(points), 1 - discard
    if not 0 <= discard < 1:
        raise ValueError(f"discard is a share from 0 to below 1, but it is {discard}.")
    found = cKDTree(cloud).query(cloud, k=3)
    distances, neighbours = (np.asarray(part) for part in found)
    if not np.all(distances[:, 1] > 0):
        raise ValueError(
            f"{np.sum(distances[:, 1] == 0)} points have a twin at distance 0; keep one of each, as by np.unique."
        )
    logs = np.log(distances[:, 2] / distances[:, 1])
    last = np.sort(logs)[max(int(np.ceil(keep * len(logs))), 2) - 1]
    seen, spent = logs <= last, np.minimum(logs, last)
    if not last > 0:
        raise ValueError("all nearest neighbours are equally far, as on a lattice: no dimension can be read.")
    D = seen.sum() / spent.sum()
    scores = seen - D * spent  # of mean 0; those of points that share neighbours vary together
    se = np.sqrt(max(scores @ (_links(neighbours) @ scores), np.sum(scores**2))) / spent.sum()
    reach = norm.isf((1 - _level(level)) / 2) * se
    return Estimate(float(D), float(se), float(D - reach), float(D + reach), level, len(cloud))


def width_exponent(
    params: ArrayLike | None = None, widths: ArrayLike | None = None, *, level: float = LEVEL
) -> Estimate:
    """Exponent b of params ~ width^b over a family of models, by a line through the logarithms.

    If the degrees of freedom are the width, and not the parameters, a model exponent of at most 1 in them is one of
    at most 1/b in the parameters: 0.396 for the models of Chinchilla, its default (appendix L of [1]_; the fit is
    reconstructed).

    Parameters
    ----------
    params, widths : (n,) arrays, counts
        Of at least three models; those of Table A9 of [2]_ by default.
    level : float, between 0 and 1

    Returns
    -------
    Estimate
        With Student's interval. The models are a choice of their authors and no sample: it tells how well one power
        fits them.

    References
    ----------
    .. [1] Brill 2024, arXiv:2412.07942.
    .. [2] Hoffmann et al. 2022, arXiv:2203.15556, as transcribed in public; read without the paper's own source.

    Examples
    --------
    >>> found = width_exponent()
    >>> round(found.value, 3), round(1 / found.value, 3)
    (2.523, 0.396)
    """
    if (params is None) != (widths is None):
        raise ValueError("params and widths are given together, or neither for the models of Chinchilla.")
    table = np.array(CHINCHILLA_WIDTHS, dtype=float) * (1e6, 1)
    N, w = (np.asarray(v, dtype=float) for v in ((params, widths) if params is not None else table.T))
    if N.ndim != 1 or N.shape != w.shape or len(N) < 3:
        raise ValueError(
            f"params and widths are arrays of one length from 3 on, but of shapes {N.shape} and {w.shape}."
        )
    if not np.all((N > 0) & (w > 0) & np.isfinite(N) & np.isfinite(w)) or np.ptp(w) == 0:
        raise ValueError("params and widths must be positive and finite, and the widths not all equal.")
    x, y = np.log(w) - np.log(w).mean(), np.log(N) - np.log(N).mean()
    b, free = float(x @ y / (x @ x)), len(x) - 2
    se = float(np.sqrt(np.sum((y - b * x) ** 2) / free / (x @ x)))
    reach = float(stdtrit(free, (1 + _level(level)) / 2)) * se
    return Estimate(b, se, b - reach, b + reach, level, len(x))


def _links(neighbours: NDArray[np.integer[Any]]) -> Any:
    """(n, n) matrix of 1 where a point is the other, or one of its two nearest neighbours."""
    n = len(neighbours)
    ends = np.repeat(np.arange(n), 3), neighbours.ravel()  # a point is the nearest to itself
    links = sparse.csr_array((np.ones(3 * n), ends), shape=(n, n))
    return links.maximum(links.T)


def _cloud(points: ArrayLike) -> Floats:
    cloud = np.asarray(points, dtype=float)
    if cloud.ndim != 2 or len(cloud) < FEWEST or not cloud.shape[1]:
        raise ValueError(f"points are a table of at least {FEWEST} rows, but its shape is {cloud.shape}.")
    bad = ~np.isfinite(cloud).all(axis=1)
    if bad.any():
        raise ValueError(f"points must be finite, but {bad.sum()} of {len(cloud)} are not.")
    return cloud


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is between 0 and 1, but it is {level}.")
    return level
