"""Regression on trees by the nearest training site: exact, in time that grows with the sites alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clusters import Forest, Indices

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

BOND = 1 << 32  # one step in a key; a key is steps * BOND + site, so that the least key is the nearest, first site
NONE = 1 << 62  # key of a site from which no training site was reached


@dataclass(frozen=True, eq=False)
class Nearest:
    """The training site nearest to every site of some clusters.

    Attributes
    ----------
    site : (n,) array of int
        That site; -1 in a cluster without training sites.
    distance : (n,) array of int
        Bonds of the path to it; -1 likewise.
    """

    site: Indices
    distance: Indices


def nearest_training(forest: Forest, training: Any) -> Nearest:
    """Nearest training site of every site, by the length of the path in the tree.

    Two passes over the levels: upward, each site learns the nearest within its own branch from its children; downward,
    the nearest of all from its parent. Of training sites equally near the first counts, in the order of the sites: the
    one nearest to the root, then the first in breadth-first order.

    Parameters
    ----------
    forest : Forest
    training : (n,) array of bool
        Whether a site is one of training.

    Raises
    ------
    ValueError
        If that is no boolean per site.

    Examples
    --------
    >>> path = Forest(parent=np.array([0, 0, 1, 2, 3]), depth=np.arange(5))
    >>> found = nearest_training(path, np.array([True, False, False, False, True]))
    >>> found.site.tolist(), found.distance.tolist()
    ([0, 0, 0, 4, 4], [0, 1, 2, 1, 0])
    """
    marked, parent = _mask(forest, training), forest.parent
    key = np.where(marked, np.arange(parent.size), NONE)
    levels = list(zip(forest.levels[1:-1].tolist(), forest.levels[2:].tolist(), strict=True))
    inner = parent[forest.levels[1] :]
    eldest = np.flatnonzero(np.diff(inner, prepend=-1)) + forest.levels[1]  # first children, in families side by side
    families = np.searchsorted(eldest, forest.levels[1:]).tolist()
    for level in range(len(levels) - 1, -1, -1):
        first, end = levels[level]
        heads = eldest[families[level] : families[level + 1]]
        above = parent[heads]
        best = np.minimum.reduceat(key[first:end], heads - first)
        key[above] = np.minimum(key[above], best + BOND)
    for first, end in levels:
        np.minimum(key[first:end], key[parent[first:end]] + BOND, out=key[first:end])
    found = key < NONE
    site = np.where(found, key & (BOND - 1), -1).astype(np.int32)
    return Nearest(site=site, distance=np.where(found, key >> 32, -1).astype(np.int32))


def predict_from_nearest(forest: Forest, values: Floats, *, training: Any) -> Floats:
    """Posterior mean of every site given its nearest training site: y / (1 + l / sqrt(s)) [1]_.

    A branching walk over l bonds of a cluster of s sites, standardised, moves by about ``N(0, l / sqrt(s))``; before
    anything is seen a value is ``N(0, 1)``. A cluster without training sites is predicted to be 0.

    Parameters
    ----------
    forest : Forest
    values : (n,) array
        Targets, standardised within each cluster; those of test sites are not looked at.
    training : (n,) array of bool

    Raises
    ------
    ValueError
        If values or training are not one per site, or a value is not finite.

    References
    ----------
    .. [1] arXiv:2412.07942, equations 12 and 38 to 42.

    Examples
    --------
    >>> path = Forest(parent=np.array([0, 0, 1, 2]), depth=np.arange(4))
    >>> predict_from_nearest(path, np.array([1.5, 0.3, -0.5, -1.3]), training=np.arange(4) == 0).tolist()
    [1.5, 1.0, 0.75, 0.6]
    """
    given = _values(forest, values)
    near = nearest_training(forest, training)
    spread = near.distance / np.sqrt(forest.sizes)[forest.label]
    return np.where(near.site < 0, 0.0, given[near.site] / (1 + spread))


def cluster_losses(forest: Forest, values: Floats, *, training: Any) -> Floats:
    """Mean squared error of `predict_from_nearest` over the test sites of each cluster: all that are not of training.

    Parameters
    ----------
    forest, values, training
        As there.

    Returns
    -------
    (k,) array, in units of the variance of a cluster

    Raises
    ------
    ValueError
        As there; or if all sites of a cluster are of training, so that it has no test site.

    Examples
    --------
    >>> path = Forest(parent=np.array([0, 0, 1, 2]), depth=np.arange(4))
    >>> cluster_losses(path, np.array([1.5, 0.3, -0.5, -1.3]), training=np.arange(4) == 0).round(3).tolist()
    [1.888]
    """
    tested = ~_mask(forest, training)
    label = forest.label[tested]
    number = np.bincount(label, minlength=len(forest))
    if not number.all():
        bare = np.flatnonzero(number == 0)
        raise ValueError(
            f"a cluster needs a test site at least, but all {forest.sizes[bare[0]]:,} sites of cluster {bare[0]} are "
            f"of training ({bare.size} such clusters). Train on fewer, or grow larger clusters."
        )
    error = (predict_from_nearest(forest, values, training=training) - values)[tested]
    return np.asarray(np.bincount(label, weights=error**2, minlength=len(forest)) / number)


def draw_training(forest: Forest, points: Any, *, seed: int = 0) -> Bools:
    """Training sites, evenly from the sites of each cluster.

    Parameters
    ----------
    forest : Forest
    points : (k,) array of int
        How many of each cluster.
    seed : int
        The draw in cluster k depends on the seed, k, its size and its points alone.

    Returns
    -------
    (n,) array of bool

    Raises
    ------
    ValueError
        If there are not as many counts as clusters, one is negative, or a cluster would keep no site for testing.

    Examples
    --------
    >>> path = Forest(parent=np.array([0, 0, 1, 2]), depth=np.arange(4))
    >>> int(draw_training(path, [3], seed=0).sum())
    3
    """
    counts = np.asarray(points)
    if counts.shape != (len(forest),) or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(
            f"points has a whole number for each of {len(forest)} clusters, but is {counts.dtype} of shape "
            f"{counts.shape}."
        )
    bad = np.flatnonzero((counts < 0) | (counts >= forest.sizes))
    if bad.size:
        raise ValueError(
            f"training sites number from 0 to one less than the sites of a cluster, which leaves a test site, but "
            f"cluster {bad[0]} of {forest.sizes[bad[0]]:,} sites is to have {counts[bad[0]]:,} "
            f"({bad.size} such clusters)."
        )
    training = np.zeros(forest.parent.size, dtype=bool)
    ends = np.cumsum(forest.sizes)
    for number, child in enumerate(np.random.SeedSequence(seed).spawn(len(forest))):
        if counts[number]:
            size, rng = int(forest.sizes[number]), np.random.default_rng(child)
            drawn = rng.choice(size, int(counts[number]), replace=False, shuffle=False)
            training[forest.order[ends[number] - size + drawn]] = True
    return training


def scale_factor(points: Any, losses: Any) -> float:
    """Scale factor s of a cluster, by which ``L(m) = min(1, (m / s)^(-1/2))`` fits its losses best [1]_.

    Least squares of log loss. Exact: the law is a line from s on, and where s lies between two numbers of points the
    best s is a mean.

    Parameters
    ----------
    points : (j,) array, count
        m, training sites.
    losses : (j,) array
        Errors in units of the variance of the cluster.

    Raises
    ------
    ValueError
        If there is no loss, they are not as many as the points, or one of either is not positive and finite.

    References
    ----------
    .. [1] arXiv:2412.07942, equation 13; that the fit is by least squares of logarithms is ours.

    Examples
    --------
    >>> round(scale_factor([1, 4, 16, 64, 256], [1.0, 1.0, 0.5, 0.25, 0.125]), 9)
    4.0
    """
    m, loss = np.asarray(points, dtype=float), np.asarray(losses, dtype=float)
    if m.ndim != 1 or m.shape != loss.shape or not m.size:
        raise ValueError(f"points and losses are two lists of one length, not of shapes {m.shape} and {loss.shape}.")
    bad = ~(np.isfinite(m) & (m > 0) & np.isfinite(loss) & (loss > 0))
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"points and losses are positive and finite, but number {first} is {m[first]:g} with {loss[first]:g} "
            f"({bad.sum()} such pairs)."
        )
    x, y = np.log(m), np.log(loss)
    edges = np.concatenate([[-np.inf], np.unique(x)])
    tries = [np.clip(np.mean((x + 2 * y)[x >= high]), low, high) for low, high in pairwise(edges)]
    misfits = [np.sum((y + np.maximum(0, x - each) / 2) ** 2) for each in tries]
    return float(np.exp(tries[int(np.argmin(misfits))]))


def _mask(forest: Forest, training: Any) -> Bools:
    marked = np.asarray(training)
    if marked.dtype != np.bool_ or marked.shape != forest.parent.shape:
        raise ValueError(
            f"training says True or False for each of {forest.parent.size:,} sites, but is {marked.dtype} of shape "
            f"{marked.shape}."
        )
    return marked


def _values(forest: Forest, values: Any) -> Floats:
    given = np.asarray(values, dtype=float)
    if given.shape != forest.parent.shape:
        raise ValueError(f"a value for each of {forest.parent.size:,} sites, but their shape is {given.shape}.")
    bad = int(np.sum(~np.isfinite(given)))
    if bad:
        raise ValueError(f"values of sites are finite, but {bad} of them are not.")
    return given
