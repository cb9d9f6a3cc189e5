"""How fast percolation clusters grow and nearest training sites are found.

The baseline of growth is what a user writes first: a queue of sites, a binomial draw for each. That of the nearest
sites is scipy: shortest paths over the bonds from all training sites, by `scipy.sparse.csgraph.dijkstra` with
``min_only``, which is its best for this; and from each training site on its own by `shortest_path`, on a small tree.
Both sides see the same tree, and rates are compared, in sites a second.
"""

from __future__ import annotations

import os
from collections import deque

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra, shortest_path

from common import Row, once, seconds
from scalefit.theory.clusters import Forest, grow_clusters
from scalefit.theory.nearest import nearest_training

DEGREE, TARGET = 12, 1e6  # sites a second of growth: ten million in ten seconds
SHARE = 0.01  # of sites, of training
WHY = """A cluster's size is grown level by level, one number a level; its shape is drawn at once. The passes for the
nearest sites take a few calls of NumPy a level, whose cost is most of the time on small trees: one of a million sites
has some thousand levels, and one of three thousand sites more than a hundred."""


def percolation_rows(quick: bool) -> list[Row]:
    """Rates of growth, and of nearest sites on a large and on a small tree; sites a second, and ratios."""
    return [*_growth(quick), *_nearest(quick)]


def _growth(quick: bool) -> list[Row]:
    """The clusters of a preset; seeds until there are many sites, since a few large clusters make most of them."""
    limits, count = ((100, 100_000), 32) if quick else ((100, 10_000_000), 316)
    wanted, sites, spent, seed = 2e5 if quick else 1e7, 0, 0.0, 0
    load = os.getloadavg()[0]
    while sites < wanted:
        made: list[Forest] = []
        spent += once(
            lambda made=made, seed=seed: made.append(
                grow_clusters(count, degree=DEGREE, smallest=limits[0], largest=limits[1], seed=seed)
            )
        )
        sites, seed = sites + made[0].parent.size, seed + 1
    grown, looped = 0, 0.0
    rng = np.random.default_rng(0)
    while grown < (1e5 if quick else 5e5):
        found: list[int] = []
        looped += once(lambda found=found: found.append(_queue(rng, limits[1])))
        grown += found[0]  # all that it grows counts, also what it would drop: this favours it
    return [{
        "job": f"growth of {count} clusters of {limits[0]:,} to {limits[1]:,} sites", "sites": sites,
        "baseline": "a queue of sites", "sites_per_s": sites / spent, "theirs_per_s": grown / looped,
        "ratio": sites / spent / (grown / looped), "target": TARGET, "load": load,
    }]  # fmt: skip


def _nearest(quick: bool) -> list[Row]:
    small, large = (1000, 30_000) if quick else (3000, 1_000_000)
    rows = []
    for size, baseline in ((large, "dijkstra, min_only"), (small, "shortest_path from each")):
        tree = grow_clusters(1, degree=DEGREE, smallest=size, largest=2 * size, seed=1)
        training = np.random.default_rng(0).random(tree.parent.size) < SHARE
        sites, bonds = np.flatnonzero(training), _bonds(tree)
        theirs: dict[str, np.ndarray] = {}

        def scipy_does(sites=sites, bonds=bonds, baseline=baseline, theirs=theirs) -> None:
            if baseline.startswith("dijkstra"):
                theirs["found"] = dijkstra(bonds, directed=False, indices=sites, unweighted=True, min_only=True)
            else:
                paths = shortest_path(bonds, method="D", directed=False, indices=sites, unweighted=True)
                theirs["found"] = paths.min(axis=0)

        ours = seconds(lambda tree=tree, training=training: nearest_training(tree, training), 5)
        spent = seconds(scipy_does, 3)
        if not np.array_equal(nearest_training(tree, training).distance, theirs["found"]):
            raise AssertionError("the distances differ from those of scipy")
        rows.append({
            "job": f"nearest of {sites.size:,} training sites", "sites": tree.parent.size, "baseline": baseline,
            "sites_per_s": tree.parent.size / ours, "theirs_per_s": tree.parent.size / spent, "ratio": spent / ours,
            "target": None, "load": os.getloadavg()[0],
        })  # fmt: skip
    return rows


def _queue(rng: np.random.Generator, largest: int) -> int:
    """Sites of one cluster, grown site by site with its parents and depths."""
    parent, depth, queue = [0], [0], deque([0])
    while queue and len(parent) <= largest:
        site = queue.popleft()
        for _ in range(rng.binomial(DEGREE - (site > 0), 1 / (DEGREE - 1))):
            queue.append(len(parent))
            parent.append(site)
            depth.append(depth[site] + 1)
    return len(parent)


def _bonds(tree: Forest) -> sparse.csr_array:
    sites = np.arange(1, tree.parent.size)
    return sparse.csr_array((np.ones(sites.size), (sites, tree.parent[1:])), shape=(tree.parent.size,) * 2)


if __name__ == "__main__":
    for row in percolation_rows(quick=False):
        print({name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()})
