"""Targets on clusters: branching random walks, standardised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .clusters import Forest

Floats = NDArray[np.float64]


def branching_targets(forest: Forest, *, seed: int = 0) -> Floats:
    """A value per site: that of its parent plus a step from N(0, 1), standardised within each cluster [1]_.

    From the values of a cluster their mean is taken, and they are divided by their standard deviation, both over all of
    its sites. A prediction of 0 then has a mean squared error of 1.

    Parameters
    ----------
    forest : Forest
    seed : int
        The values of cluster k depend on the seed, k and that cluster alone.

    Returns
    -------
    (n,) array

    Raises
    ------
    ValueError
        If a cluster has a single site, whose value has no spread.

    References
    ----------
    .. [1] Brill 2024, arXiv:2412.07942, section 5. That the spread is over all sites of a cluster is reconstructed.

    Examples
    --------
    >>> from scalefit.theory.clusters import grow_clusters
    >>> forest = grow_clusters(2, smallest=10, largest=1000, seed=0)
    >>> values = branching_targets(forest, seed=0)
    >>> bool(np.allclose(np.bincount(forest.label, weights=values**2) / forest.sizes, 1))
    True
    """
    alone = int(np.sum(forest.sizes < 2))
    if alone:
        raise ValueError(
            f"values are standardised within a cluster, but {alone} of {len(forest)} clusters have a single site. "
            "Grow clusters of 2 sites or more."
        )
    values = np.empty(forest.parent.size)
    ends = np.cumsum(forest.sizes)
    children = np.random.SeedSequence(seed).spawn(len(forest))
    for child, end, size in zip(children, ends, forest.sizes, strict=True):
        values[forest.order[end - size : end]] = np.random.default_rng(child).standard_normal(size)
    for first, end in zip(forest.levels[1:-1], forest.levels[2:], strict=True):
        values[first:end] += values[forest.parent[first:end]]
    values -= _mean(forest, values)[forest.label]
    values /= np.sqrt(_mean(forest, values**2))[forest.label]
    return values


def _mean(forest: Forest, values: Floats) -> Floats:
    """Mean of each cluster."""
    return np.asarray(np.bincount(forest.label, weights=values) / forest.sizes)
