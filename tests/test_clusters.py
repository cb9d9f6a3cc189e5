"""Clusters of a Bethe lattice: the law of sizes, shapes beside a queue that grows them, targets; what is refused."""

from collections import deque
from itertools import pairwise, product
from math import comb, prod

import numpy as np
import pytest
from scipy import stats

from scalefit.theory import clusters
from scalefit.theory.cluster_laws import bethe_sizes
from scalefit.theory.clusters import Forest, grow_clusters
from scalefit.theory.targets import branching_targets


def queued_cluster(rng, degree, p, largest):
    """Parents and depths of one cluster, grown site by site; None beyond a size."""
    parent, depth, queue = [0], [0], deque([0])
    while queue:
        site = queue.popleft()
        for _ in range(rng.binomial(degree - (site > 0), p)):
            queue.append(len(parent))
            parent.append(site)
            depth.append(depth[site] + 1)
        if len(parent) > largest:
            return None
    return np.array(parent), np.array(depth)


def queued(count, degree, smallest, largest, seed):
    rng, kept = np.random.default_rng(seed), []
    while len(kept) < count:
        grown = queued_cluster(rng, degree, 1 / (degree - 1), largest)
        if grown is not None and len(grown[0]) >= smallest:
            kept.append(grown)
    return kept


def alone(forest, number):
    """One cluster of a forest: its parents and depths, numbered by itself."""
    sites = np.flatnonzero(forest.label == number)
    return np.searchsorted(sites, forest.parent[sites]), forest.depth[sites]


# Growth.


@pytest.mark.parametrize(("degree", "share"), [(12, 1.0), (12, 0.8), (3, 1.0), (4, 1.5)])
def test_sizes_have_the_exact_law(degree, share):
    """Also off criticality: below, and above among the clusters that are kept."""
    p = share / (degree - 1)
    sizes = grow_clusters(4000, degree=degree, p=p, smallest=1, largest=200, seed=3).sizes
    law = bethe_sizes(np.arange(1, 201), degree=degree, p=p)
    edges = [1, 2, 3, 4, 6, 10, 20, 50, 201]
    expected = np.array([law[low - 1 : high - 1].sum() for low, high in pairwise(edges)])
    found, _ = np.histogram(sizes, edges)
    assert stats.chisquare(found, 4000 * expected / expected.sum()).pvalue > 0.01


def test_the_tail_at_criticality_falls_as_the_root_of_size():
    """P(size >= s) sqrt(s) = 2 z / (z - 1) / sqrt(2 pi (z - 2) / (z - 1)), 0.913 for z = 12, from s = 100 on."""
    count, tail = 4000, 2 * 12 / 11 / np.sqrt(2 * np.pi * 10 / 11)
    sizes = grow_clusters(count, smallest=100, largest=10_000, seed=1).sizes  # 4 million sites
    for s in (200, 1000, 4000):
        share = (s**-0.5 - 10_000**-0.5) / (100**-0.5 - 10_000**-0.5)
        error = np.sqrt(share * (1 - share) / count)
        assert np.mean(sizes >= s) == pytest.approx(share, abs=3 * error)
    growth = clusters._Growth.of(12, None, 1, 1000)
    rng = np.random.default_rng(2)
    grown = np.array([growth._grown(rng) for _ in range(20_000)])
    for s in (100, 400, 1000):
        prefactor = np.mean(grown >= s) * np.sqrt(s)
        assert prefactor == pytest.approx(tail, abs=3 * np.sqrt(tail * np.sqrt(s) / 20_000))


@pytest.mark.parametrize(("degree", "size"), [(3, 4), (4, 4), (3, 5)])
def test_every_arrangement_of_bonds_is_as_likely(degree, size):
    """Children in breadth-first order, beside an enumeration of all ways to open bonds."""
    weights = {}
    for children in product(range(degree + 1), repeat=size):
        ends = 1 + np.cumsum(children)
        if ends[-1] == size and np.all(ends[:-1] > np.arange(1, size)) and max(children[1:]) < degree:
            slots = [degree, *[degree - 1] * (size - 1)]
            weights[children] = prod(comb(n, k) for n, k in zip(slots, children, strict=True))
    rng, number = np.random.default_rng(0), 6000
    drawn = [tuple(clusters._children(rng, size, degree).tolist()) for _ in range(number)]
    assert set(drawn) == set(weights)
    total = sum(weights.values())
    expected = [number * weight / total for weight in weights.values()]
    assert stats.chisquare([drawn.count(each) for each in weights], expected).pvalue > 0.01


def test_clusters_are_like_those_that_a_queue_grows():
    """Sizes, heights, mean depths, widths and children of the root, by the test of Kolmogorov and Smirnov."""
    theirs = queued(1000, 6, 50, 2000, seed=77)
    forest = grow_clusters(1000, degree=6, smallest=50, largest=2000, seed=78)
    ours = [alone(forest, number) for number in range(1000)]
    measures = {
        "size": lambda parent, depth: len(parent),
        "height": lambda parent, depth: depth.max(),
        "depth": lambda parent, depth: depth.mean(),
        "width": lambda parent, depth: np.bincount(depth).max(),
        "root": lambda parent, depth: np.sum(parent == 0) - 1,
        "leaves": lambda parent, depth: len(parent) - len(set(parent[1:].tolist())),
    }
    for name, measure in measures.items():
        found = stats.ks_2samp([measure(*each) for each in ours], [measure(*each) for each in theirs])
        assert found.pvalue > 0.01, name


def test_depth_grows_as_the_root_of_size():
    """Mean depth over sqrt(s) is sqrt(pi / 2 / (1 - p)) of a critical branching of variance 1 - p: l ~ s^(1/2)."""
    expected = np.sqrt(np.pi / 2 * 11 / 10)
    forest = grow_clusters(400, smallest=3000, largest=6000, seed=0)
    means = np.bincount(forest.label, weights=forest.depth) / forest.sizes / np.sqrt(forest.sizes)
    assert np.mean(means) == pytest.approx(expected, abs=3 * np.std(means) / np.sqrt(400) + 0.02)  # 1 / sqrt(s)


def test_a_cluster_depends_on_the_seed_and_its_number_alone():
    few, many = grow_clusters(3, smallest=20, seed=7), grow_clusters(9, smallest=20, seed=7)
    for number in range(3):
        for one, other in zip(alone(few, number), alone(many, number), strict=True):
            np.testing.assert_array_equal(one, other)
    again = grow_clusters(9, smallest=20, seed=7)
    np.testing.assert_array_equal(many.parent, again.parent)
    assert grow_clusters(9, smallest=20, seed=8).sizes.tolist() != many.sizes.tolist()


def test_limits_are_inclusive_and_a_site_alone_is_a_cluster():
    assert set(grow_clusters(60, degree=3, smallest=2, largest=4, seed=0).sizes.tolist()) == {2, 3, 4}
    lonely = grow_clusters(2, smallest=1, largest=1, seed=0)
    assert lonely.parent.tolist() == [0, 1]
    assert lonely.depth.tolist() == [0, 0]
    assert grow_clusters(50, p=0.05, smallest=1, largest=None, seed=0).sizes.max() < 1000


# How they are stored.


def test_a_forest_is_in_breadth_first_order_and_knows_its_clusters():
    forest = grow_clusters(20, smallest=30, largest=3000, seed=2)
    assert forest.parent.dtype == forest.depth.dtype == np.int32  # a million sites are 8 MB
    assert not forest.parent.flags.writeable
    up = np.arange(forest.parent.size)
    for _ in range(int(forest.depth.max())):
        up = forest.parent[up]
    np.testing.assert_array_equal(forest.label, up)
    assert forest.sizes.sum() == forest.parent.size
    assert len(forest) == 20
    np.testing.assert_array_equal(forest.order, np.lexsort((np.arange(forest.parent.size), forest.label)))
    for level, (first, end) in enumerate(pairwise(forest.levels)):
        assert np.all(forest.depth[first:end] == level)


@pytest.mark.parametrize(
    ("parent", "depth", "words"),
    [
        ([0, 0], [0], "there are 2 and 1"),
        ([], [], "whole numbers, not float64"),
        ([0.0], [0], "whole numbers, not float64"),
        ([0, 0], [1, 2], "the first sites are roots"),
        ([1, 0], [0, 0], "each root is its own parent"),
        ([0, 0, 0, 1], [0, 1, 1, 1], "one deeper than its parent"),
        ([0, 0, 1, 0], [0, 1, 2, 1], "depths rise"),
        ([0, 0, 0, 2, 1], [0, 1, 1, 2, 2], "parents rise"),
        ([0, 0, 3, 3], [0, 1, 2, 3], "a parent comes before"),
    ],
)
def test_arrays_out_of_order_are_refused_in_words(parent, depth, words):
    with pytest.raises(ValueError, match=words):
        Forest(parent=np.array(parent), depth=np.array(depth))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"p": 0.0}, "between 0 and 1, but it is 0"),
        ({"p": 1.0}, "between 0 and 1"),
        ({"p": float("nan")}, "between 0 and 1"),
        ({"p": 0.2, "largest": None}, "p = 0.2 of degree 12 has no finite mean size: give `largest`"),
        ({"largest": None}, "below the critical 1 / .degree - 1. = 0.0909091"),
        ({"smallest": 100, "largest": 99}, "no cluster is within the limits: smallest is 100, largest 99"),
        ({"p": 0.01, "smallest": 100}, "none has from 100 to 10,000,000 sites. Loosen the limits"),
        ({"p": 0.01, "smallest": 100, "largest": None}, "none has from 100 on sites"),
        ({"count": 0}, "count must be a whole number from 1 on"),
        ({"smallest": 0}, "smallest must be a whole number from 1 on"),
        ({"largest": 1.5}, "largest must be a whole number from 1 on"),
        ({"degree": 2}, "degree"),
    ],
)
def test_growth_that_cannot_be_is_refused_in_words(given, words, monkeypatch):
    monkeypatch.setattr(clusters, "MOST_ATTEMPTS", 2000)
    with pytest.raises(ValueError, match=words):
        grow_clusters(**{"count": 3, **given})


def test_more_sites_than_32_bits_number_are_refused(monkeypatch):
    monkeypatch.setattr(clusters, "MOST_SITES", 100)
    with pytest.raises(ValueError, match="at most 100 sites together, but these have"):
        grow_clusters(3, smallest=50, largest=60)


# Targets.


def test_targets_are_standardised_branching_walks():
    """Steps along bonds have one size within a cluster, are independent of each other, and are as a normal draw."""
    forest = grow_clusters(5, smallest=2000, largest=20_000, seed=1)
    values = branching_targets(forest, seed=1)
    for number in range(5):
        own = values[forest.label == number]
        assert own.mean() == pytest.approx(0, abs=1e-12)
        assert own.std() == pytest.approx(1, rel=1e-12)
        inner = np.flatnonzero((forest.label == number) & (forest.depth > 0))
        steps = values[inner] - values[forest.parent[inner]]
        assert stats.kstest(steps / steps.std(), "norm").pvalue > 0.01
        before = np.searchsorted(inner, forest.parent[inner])
        far = forest.depth[inner] > 1
        assert abs(np.corrcoef(steps[far], steps[before[far]])[0, 1]) < 4 / np.sqrt(far.sum())


def test_targets_of_a_cluster_depend_on_the_seed_and_its_number_alone():
    few, many = grow_clusters(3, smallest=20, seed=7), grow_clusters(9, smallest=20, seed=7)
    one, other = branching_targets(few, seed=4), branching_targets(many, seed=4)
    for number in range(3):
        np.testing.assert_allclose(one[few.label == number], other[many.label == number], rtol=1e-12)
    assert not np.allclose(one, branching_targets(few, seed=5))


def test_a_single_site_has_no_target():
    with pytest.raises(ValueError, match="2 of 2 clusters have a single site"):
        branching_targets(grow_clusters(2, smallest=1, largest=1))
