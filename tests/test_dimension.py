"""Dimensions of clouds by their nearest neighbours; exponents that follow; widths of the models of Chinchilla."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scalefit.theory.dimension import (
    CHINCHILLA_WIDTHS,
    Estimate,
    intrinsic_dimension,
    manifold_exponent,
    width_exponent,
)


def even_cloud(dimension, points, seed):
    return np.random.default_rng(seed).random((points, dimension))


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("discard", [0.0, 0.1])
def test_the_error_is_the_scatter_over_clouds_and_intervals_cover(dimension, discard):
    found = [intrinsic_dimension(even_cloud(dimension, 800, seed), discard=discard) for seed in range(200)]
    values, errors = np.array([one.value for one in found]), np.array([one.se for one in found])
    assert values.mean() == pytest.approx(dimension, rel=0.025)  # edges make it small in two dimensions: 0.98
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.15)  # which is itself known to 5 %
    independent = values.mean() / np.sqrt((1 - discard) * 800)
    assert np.std(values, ddof=1) > 1.1 * independent  # near points are no independent draws
    covered = np.mean([one.low <= dimension <= one.high for one in found])
    assert covered >= 0.9  # 0.95 less twice the error of a share of 200, and the bias


def test_the_bias_of_many_dimensions_is_what_the_page_says():
    for dimension, mean in ((4, 3.8), (8, 7.0)):
        values = [intrinsic_dimension(even_cloud(dimension, 1000, seed)).value for seed in range(20)]
        assert np.mean(values) == pytest.approx(mean, abs=0.15)


def test_it_is_the_likelihood_of_pareto_ratios():
    cloud = even_cloud(3, 300, 0)
    distances = np.sort(np.linalg.norm(cloud[:, None] - cloud, axis=2), axis=1)
    ratios = distances[:, 2] / distances[:, 1]
    assert intrinsic_dimension(cloud, discard=0.0).value == pytest.approx(1 / np.mean(np.log(ratios)), rel=1e-12)
    kept = np.sort(ratios)[:270]
    tried = np.linspace(1, 6, 50_001)
    likelihood = 270 * np.log(tried) - tried * (np.log(kept).sum() + 30 * np.log(kept[-1]))
    assert intrinsic_dimension(cloud, discard=0.1).value == pytest.approx(tried[np.argmax(likelihood)], abs=1e-4)


def test_a_curved_sheet_in_many_dimensions_is_a_sheet():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 4000))
    angle = 1.5 * np.pi * (1 + 2 * a)
    roll = np.stack([angle * np.cos(angle), 21 * b, angle * np.sin(angle)], axis=1)
    found = intrinsic_dimension(roll @ rng.normal(size=(3, 20)))
    assert found.low < 2 < found.high
    assert found.size == 4000


@given(seed=st.integers(0, 20), scale=st.floats(1e-6, 1e6))
def test_neither_scale_place_order_nor_rotation_matter(seed, scale):
    cloud, rng = even_cloud(3, 60, seed), np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = scale * (cloud[rng.permutation(60)] @ turn + 0.5)
    one, other = intrinsic_dimension(cloud), intrinsic_dimension(moved)
    assert other.value == pytest.approx(one.value, rel=1e-6)
    assert other.se == pytest.approx(one.se, rel=1e-6)


def test_a_wider_level_is_a_wider_interval():
    narrow, wide = (intrinsic_dimension(even_cloud(2, 100, 0), level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    assert narrow.high - narrow.value == pytest.approx(0.6745 * narrow.se, rel=1e-3)


def test_the_exponent_is_c_over_the_dimension_with_its_ends_swapped():
    assert (manifold_exponent(8), manifold_exponent(8, c=2)) == (0.5, 0.25)
    found = manifold_exponent(Estimate(value=4.0, se=0.2, low=3.6, high=4.4, level=0.95, size=100))
    assert (found.value, found.low, found.high, found.level) == (1.0, 4 / 4.4, 4 / 3.6, 0.95)
    assert found.se == pytest.approx(0.05)
    assert manifold_exponent(Estimate(value=1.0, se=2.0, low=-3.0, high=5.0, level=0.95, size=20)).high == np.inf


def test_the_models_of_chinchilla_have_the_reference_exponents():
    found = width_exponent()
    assert (len(CHINCHILLA_WIDTHS), found.size) == (50, 50)
    assert found.value == pytest.approx(2.52, abs=0.005)
    assert 1 / found.value == pytest.approx(0.396, abs=0.0005)
    assert 2.4 < found.low < found.high < 2.6


def test_the_table_of_chinchilla_is_of_transformers():
    """Layers = (N - 32,000 w) / 13 w^2, with relative positions, come out whole but where heads are fewer."""
    params, widths = np.array(CHINCHILLA_WIDTHS, dtype=float).T
    assert np.all(np.diff(params) > 0)
    layers = (1e6 * params - 32_000 * widths) / (13 * widths**2)
    assert np.mean(np.abs(layers - layers.round()) < 0.06) > 0.75


def test_the_line_through_widths_is_that_of_scipy():
    rng = np.random.default_rng(0)
    widths = np.array([64, 128, 256, 512, 1024])
    params = 30.0 * widths**2.2 * np.exp(rng.normal(0, 0.1, 5))
    found, line = width_exponent(params, widths, level=0.9), stats.linregress(np.log(widths), np.log(params))
    assert (found.value, found.se) == pytest.approx((line.slope, line.stderr), rel=1e-10)
    assert found.high - found.value == pytest.approx(stats.t.isf(0.05, 3) * line.stderr, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: intrinsic_dimension(np.zeros(30)), "at least 20 rows, but its shape is .30,"),
        (lambda: intrinsic_dimension(even_cloud(2, 19, 0)), "at least 20 rows"),
        (lambda: intrinsic_dimension(np.zeros((30, 0))), "its shape is .30, 0"),
        (lambda: intrinsic_dimension(np.full((30, 2), np.nan)), "finite, but 30 of 30 are not"),
        (lambda: intrinsic_dimension(np.repeat(even_cloud(2, 15, 0), 2, axis=0)), "30 points have a twin"),
        (lambda: intrinsic_dimension(np.indices((6, 6)).reshape(2, -1).T), "as on a lattice"),
        (lambda: intrinsic_dimension(even_cloud(2, 30, 0), discard=1.0), "discard is a share.*is 1.0"),
        (lambda: intrinsic_dimension(even_cloud(2, 30, 0), level=95), "level is between 0 and 1.*is 95"),
        (lambda: manifold_exponent(0.0), "dimension must be positive"),
        (lambda: manifold_exponent(4.0, c=-2), "c must be positive"),
        (lambda: width_exponent([1e6, 2e6]), "given together"),
        (lambda: width_exponent([1e6, 2e6], [10, 20]), "one length from 3 on"),
        (lambda: width_exponent([1e6, 2e6, 3e6], [10, 20, -1]), "must be positive"),
        (lambda: width_exponent([1e6, 2e6, 3e6], [10, 10, 10]), "not all equal"),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
