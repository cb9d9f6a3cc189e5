"""Nearest training sites beside brute force, the regression and its losses, the scale factor; what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.sparse.csgraph import shortest_path

from scalefit.theory.clusters import Forest, grow_clusters
from scalefit.theory.nearest import (
    cluster_losses,
    draw_training,
    nearest_training,
    predict_from_nearest,
    scale_factor,
)
from scalefit.theory.targets import branching_targets

PATH = Forest(parent=np.array([0, 0, 1, 2, 3]), depth=np.arange(5))


def breadth_first(parents):
    """A forest from any parents that come before their sites; roots are their own."""
    depth = []
    for site, parent in enumerate(parents):
        depth.append(0 if parent == site else depth[parent] + 1)
    place, order = {}, []
    for level in range(max(depth) + 1):
        sites = [site for site in range(len(parents)) if depth[site] == level]
        sites.sort(key=lambda site: (place.get(parents[site], -1), site))  # roots have no place yet
        for site in sites:
            place[site] = len(order)
            order.append(site)
    return Forest(parent=np.array([place[parents[site]] for site in order]), depth=np.array(depth)[order])


def distances(forest):
    """All pairs, by scipy."""
    sites = np.arange(forest.parent.size)
    inner = forest.depth > 0
    bonds = sparse.coo_array((np.ones(inner.sum()), (sites[inner], forest.parent[inner])), shape=(sites.size,) * 2)
    return shortest_path(bonds.tocsr(), directed=False, unweighted=True)


@st.composite
def forests(draw):
    """Forests of up to 40 sites, and a mask of them."""
    parents = [0]
    for site in range(1, draw(st.integers(1, 40))):
        parents.append(draw(st.integers(0, site)))
    marks = draw(st.lists(st.booleans(), min_size=len(parents), max_size=len(parents)))
    return breadth_first(parents), np.array(marks)


@given(forests())
@settings(max_examples=300, deadline=None)
def test_nearest_sites_are_those_of_brute_force_and_ties_go_to_the_first(made):
    forest, training = made
    near = nearest_training(forest, training)
    far = np.where(training, distances(forest), np.inf)
    least = far.min(axis=1)
    np.testing.assert_array_equal(near.distance, np.where(np.isfinite(least), least, -1))
    first = np.argmax(far == least[:, None], axis=1)  # argmax is the first
    np.testing.assert_array_equal(near.site, np.where(np.isfinite(least), first, -1))


@pytest.mark.parametrize("share", [0.002, 0.05, 0.6])
def test_nearest_sites_of_grown_clusters_are_those_of_brute_force(share):
    forest = grow_clusters(6, smallest=100, largest=600, seed=3)
    training = np.random.default_rng(0).random(forest.parent.size) < share
    near = nearest_training(forest, training)
    far = np.where(training, distances(forest), np.inf)
    least = far.min(axis=1)
    np.testing.assert_array_equal(near.distance, np.where(np.isfinite(least), least, -1))
    np.testing.assert_array_equal(near.site, np.where(np.isfinite(least), np.argmax(far == least[:, None], axis=1), -1))


def test_paths_and_stars_have_known_distances():
    sites = 20_000
    path = Forest(parent=np.maximum(np.arange(sites) - 1, 0), depth=np.arange(sites))
    near = nearest_training(path, np.arange(sites) == sites - 1)
    np.testing.assert_array_equal(near.distance, np.arange(sites)[::-1])
    sites = 1_000_000
    star = Forest(parent=np.zeros(sites, dtype=int), depth=(np.arange(sites) > 0).astype(int))
    near = nearest_training(star, np.arange(sites) == 77)
    assert near.distance[0] == 1
    assert near.distance[77] == 0
    assert np.all(np.delete(near.distance, [0, 77]) == 2)
    assert np.all(near.site == 77)


# Regression.


def test_predictions_are_the_posterior_mean_of_the_nearest():
    forest = grow_clusters(4, smallest=50, largest=300, seed=1)
    values = branching_targets(forest, seed=1)
    training = draw_training(forest, [0, 1, 5, 20], seed=2)
    far = np.where(training, distances(forest), np.inf)
    near, size = np.argmin(far, axis=1), forest.sizes[forest.label]
    length = far[np.arange(near.size), near]
    found = predict_from_nearest(forest, values, training=training)
    np.testing.assert_array_equal(found[training], values[training])
    assert not found[forest.label == 0].any()  # nothing seen: the prior
    seen = (forest.label > 0) & ~training
    precision = np.sqrt(size[seen]) / length[seen]  # of the likelihood; that of the prior is 1
    np.testing.assert_allclose(found[seen], values[near[seen]] * precision / (1 + precision), rtol=1e-13)
    losses = cluster_losses(forest, values, training=training)
    for number in range(4):
        tested = (forest.label == number) & ~training
        assert losses[number] == pytest.approx(np.mean((found - values)[tested] ** 2), rel=1e-12)
    assert losses[0] == pytest.approx(1.0, rel=1e-12)  # the variance


def test_values_of_test_sites_are_not_looked_at():
    forest = grow_clusters(3, smallest=50, largest=300, seed=1)
    values, training = branching_targets(forest, seed=1), draw_training(forest, [5, 5, 5], seed=2)
    hidden = np.where(training, values, 1e9)
    np.testing.assert_array_equal(
        predict_from_nearest(forest, values, training=training), predict_from_nearest(forest, hidden, training=training)
    )


def test_shrinkage_helps_where_points_are_few_and_changes_nothing_where_they_are_many():
    forest = grow_clusters(40, smallest=2000, largest=20_000, seed=4)
    values = branching_targets(forest, seed=4)
    for points, low, high in [(1, 0.5, 0.75), (256, 0.9, 1.0)]:
        training = draw_training(forest, np.full(40, points), seed=5)
        plain = (values[nearest_training(forest, training).site] - values) ** 2
        plain = np.bincount(forest.label, weights=plain * ~training) / (forest.sizes - points)
        ratio = cluster_losses(forest, values, training=training) / plain
        assert low < np.exp(np.mean(np.log(ratio))) < high


def test_training_sites_are_drawn_evenly_as_many_as_asked():
    forest = grow_clusters(3, smallest=20, largest=40, seed=0)
    points = np.array([0, 3, int(forest.sizes[2]) - 1])
    counts = np.zeros(forest.parent.size)
    for seed in range(2000):
        drawn = draw_training(forest, points, seed=seed)
        assert np.array_equal(np.bincount(forest.label[drawn], minlength=3), points)
        counts += drawn
    share = 3 / forest.sizes[1]
    assert np.all(np.abs(counts[forest.label == 1] - 2000 * share) < 4.5 * np.sqrt(2000 * share * (1 - share)))
    np.testing.assert_array_equal(draw_training(forest, points, seed=7), draw_training(forest, points, seed=7))


# Scale factor.


@pytest.mark.parametrize("factor", [0.5, 1.0, 6.0, 19.3, 300.0])
def test_the_scale_factor_of_its_own_law_is_found(factor):
    points = 2.0 ** np.arange(14)
    assert scale_factor(points, np.minimum(1, (points / factor) ** -0.5)) == pytest.approx(factor, rel=1e-9)


@given(st.lists(st.floats(-3, 1), min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_no_other_scale_factor_fits_better(log_losses, random):
    points = np.sort(np.array([random.randint(1, 5000) for _ in log_losses], dtype=float))
    y = np.array(log_losses)

    def misfit(log_factor):
        return np.sum((y + np.maximum(0, np.log(points) - log_factor) / 2) ** 2)

    best = misfit(np.log(scale_factor(points, np.exp(y))))
    for start in np.linspace(-8, 16, 25):
        found = minimize_scalar(misfit, bounds=(start, start + 1), method="bounded", options={"xatol": 1e-10})
        assert best <= found.fun + 1e-9


# Words.


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (np.ones(5, dtype=int), "True or False for each of 5 sites, but is int64"),
        (np.ones(4, dtype=bool), "but is bool of shape .4,."),
    ],
)
def test_masks_that_are_none_are_refused(training, words):
    with pytest.raises(ValueError, match=words):
        nearest_training(PATH, training)


@pytest.mark.parametrize(
    ("values", "words"), [(np.zeros(4), "a value for each of 5 sites"), ([0, 0, np.nan, np.inf, 0], "but 2 of them")]
)
def test_values_that_are_none_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        predict_from_nearest(PATH, values, training=np.arange(5) == 0)


def test_a_cluster_keeps_a_test_site():
    with pytest.raises(ValueError, match="all 5 sites of cluster 0 are of training"):
        cluster_losses(PATH, np.zeros(5), training=np.ones(5, dtype=bool))
    with pytest.raises(ValueError, match=r"leaves a test site, but cluster 0 of 5 sites is to have 5 \(1 such"):
        draw_training(PATH, [5])
    assert draw_training(PATH, [4]).sum() == 4


@pytest.mark.parametrize(
    ("points", "words"),
    [([-1], "is to have -1"), ([1, 1], "for each of 1 clusters"), ([1.5], "float64 of shape")],
)
def test_numbers_of_points_that_cannot_be_are_refused(points, words):
    with pytest.raises(ValueError, match=words):
        draw_training(PATH, points)


@pytest.mark.parametrize(
    ("points", "losses", "words"),
    [
        ([], [], "two lists of one length"),
        ([1, 2], [1.0], "not of shapes .2,. and .1,."),
        ([1, 0], [1.0, 0.5], "number 1 is 0 with 0.5 .1 such"),
        ([1, 2], [np.nan, 0.0], "number 0 is 1 with nan .2 such"),
    ],
)
def test_curves_without_a_scale_factor_are_refused(points, losses, words):
    with pytest.raises(ValueError, match=words):
        scale_factor(points, losses)
