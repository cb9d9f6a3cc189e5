"""Intervals from draws: scipy.stats.bootstrap on the same draws, and what every method promises."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import scalefit as sf
from scalefit.intervals import METHODS, Doubt, Interval, acceleration, interval_ends, is_constant, tails

EVERY_METHOD = pytest.mark.parametrize("method", METHODS)
SCIPY = {"percentile": "percentile", "bca": "BCa", "basic": "basic"}
EVERY_SCIPY_METHOD = pytest.mark.parametrize("method", SCIPY)


def ends(draws, estimate=0.0, level=0.95, method="percentile", jackknife=None, spare=9):
    jackknife = np.array([-1.0, 0.0, 0.5, 0.6]) if jackknife is None else jackknife
    return interval_ends(np.asarray(draws), estimate, level, method, jackknife=jackknife, spare=spare)


# Reference: scipy.

SAMPLES = {
    "skewed": np.random.default_rng(1).exponential(size=25),
    "Gaussian": np.random.default_rng(2).standard_normal(40),
    "ties": np.random.default_rng(3).integers(0, 6, 15).astype(float),  # many draws equal the estimate
}


@EVERY_SCIPY_METHOD
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("statistic", [np.mean, np.std, np.median], ids=lambda f: f.__name__)
@pytest.mark.parametrize("sample", SAMPLES)
def test_ends_are_those_of_scipy_on_the_same_draws(method, level, statistic, sample):
    data = SAMPLES[sample]
    expected = stats.bootstrap(
        (data,), statistic, n_resamples=999, confidence_level=level, method=SCIPY[method], rng=np.random.default_rng(0)
    )
    left_out = np.array([statistic(np.delete(data, i)) for i in range(len(data))])
    got = ends(expected.bootstrap_distribution, statistic(data), level, method, left_out)
    # the same formulas in another order: a few roundings of z, whose effect on a quantile of 999 draws is as small
    assert got == pytest.approx(tuple(expected.confidence_interval), rel=1e-10, abs=1e-12)


NOISY = sf.simulate(sf.PowerLaw(1.7, 100.0, 0.25), sf.grid(params=np.geomspace(1e7, 1e10, 14)), noise=0.01, seed=1)
FIT = sf.fit(sf.PowerLaw, NOISY)


def scipy_refits(resamples, seed, method="BCa"):
    """scipy's interval of alpha, each statistic a fit from scratch with the delta of the base fit."""
    model = sf.LawRegressor(sf.PowerLaw, objective=FIT.objective)
    return stats.bootstrap(
        (NOISY.params, NOISY.loss), lambda x, y: model.fit(x[:, None], y).law_.alpha,
        paired=True, vectorized=False, method=method, n_resamples=resamples, rng=np.random.default_rng(seed),
    )  # fmt: skip


@pytest.mark.parametrize("seed", [5, 6])
def test_a_pairs_bootstrap_is_scipys_with_the_same_seed(seed):
    # sorted rows are units in their order, and Pairs takes its numbers from the generator as scipy does
    expected = scipy_refits(199, seed)
    boot = sf.bootstrap(FIT, sf.Pairs(), resamples=199, seed=seed)
    # descents of one objective to its rounding leave an exponent free by about 1e-7
    assert boot.values("alpha") == pytest.approx(expected.bootstrap_distribution, rel=2e-6)
    assert tuple(boot.interval("alpha", method="bca")) == pytest.approx(tuple(expected.confidence_interval), rel=2e-6)
    assert boot.standard_error("alpha") == pytest.approx(expected.standard_error, rel=1e-5)


@EVERY_SCIPY_METHOD
def test_a_statistic_that_is_no_parameter_is_scipys_too(method):
    # a closed form of the rows of a resample and of those that the jackknife leaves
    def spread(fit):
        return np.std(np.log(fit.table.loss) * fit.table.params**0.1)

    expected = stats.bootstrap(
        (NOISY.params, NOISY.loss), lambda x, y: np.std(np.log(y) * x**0.1), paired=True, vectorized=False,
        method=SCIPY[method], n_resamples=300, rng=np.random.default_rng(7), confidence_level=0.8,
    )  # fmt: skip
    boot = sf.bootstrap(FIT, sf.Pairs(), resamples=300, seed=7)
    got = boot.interval(spread, 0.8, method=method)
    # rows of a resample are in another order, and so are its sums
    assert boot.values(spread) == pytest.approx(expected.bootstrap_distribution, rel=1e-12)
    assert tuple(got) == pytest.approx(tuple(expected.confidence_interval), rel=1e-10)


# The t correction.


@pytest.mark.parametrize(("spare", "share"), [(1, 0.0), (2, 8.45e-6), (5, 0.00508), (10, 0.01294), (30, 0.02056)])
def test_the_t_correction_reads_percentiles_at_the_normal_share_of_students_t(spare, share):
    # shares from tables: t at 0.975 is 12.71, 4.303, 2.571, 2.228 and 2.042; Phi(-t) to the digits given
    low, high = tails(np.zeros(0), 0.0, 0.95, "percentile_t", jackknife=np.zeros(0), spare=spare)
    assert low == pytest.approx(share, abs=5e-6 if spare > 2 else 5e-8)
    assert low + high == pytest.approx(1, abs=1e-12)


@settings(max_examples=100)
@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=200), st.floats(0.05, 0.999), st.integers(1, 500))
def test_the_t_correction_contains_the_percentile_interval(draws, level, spare):
    (low, high), (inner_low, inner_high) = (
        ends(draws, level=level, method=method, spare=spare) for method in ("percentile_t", "percentile")
    )
    slack = 1e-12 * np.max(np.abs(draws))  # rounding of the interpolation
    assert low <= inner_low + slack
    assert high >= inner_high - slack


def test_the_t_correction_vanishes_for_many_spare_rows():
    draws = np.random.default_rng(0).standard_normal(500)
    # t differs from the normal quantile by about z^3 / (4 spare): 2e-6, and the draws by as much
    assert ends(draws, method="percentile_t", spare=10**6) == pytest.approx(ends(draws), abs=1e-5)


@pytest.mark.parametrize("spare", [0, -3])
def test_there_is_no_t_correction_without_spare_rows(spare):
    assert np.isnan(ends(np.arange(50.0), method="percentile_t", spare=spare)).all()


# What every method promises.

NUMBERS = st.lists(st.integers(-10_000, 10_000), min_size=20, max_size=60, unique=True)


@EVERY_METHOD
def test_units_and_origin_of_the_statistic_are_those_of_its_interval(method):
    @settings(max_examples=40)
    @given(NUMBERS, st.floats(1e-3, 1e6), st.floats(-1e3, 1e3))
    def test(draws, factor, shift):
        draws = np.array(draws)
        estimate, jackknife = float(np.median(draws)), draws[:9]
        plain = ends(draws, estimate, 0.9, method, jackknife)
        moved = ends(factor * draws + shift, factor * estimate + shift, 0.9, method, factor * jackknife + shift)
        # the shift costs up to six of 16 digits, and the shares of BCa lose two more in a sum of cubes
        assert np.subtract(moved, shift) == pytest.approx(factor * np.array(plain), abs=1e-7 * factor * np.ptp(draws))

    test()


@EVERY_METHOD
def test_a_higher_level_is_a_wider_interval(method):
    @settings(max_examples=40)
    @given(NUMBERS, st.floats(0.1, 0.98), st.floats(1e-3, 0.015))
    def test(draws, level, more):
        estimate = float(np.median(draws))
        low, high = ends(draws, estimate, level, method)
        lower, higher = ends(draws, estimate, level + more, method)
        assert lower <= low + 1e-9  # rounding of numbers up to 20,000
        assert higher >= high - 1e-9

    test()


@EVERY_METHOD
@pytest.mark.parametrize("spare", [-1, 0, 1, 20])
def test_draws_that_do_not_vary_give_a_point(method, spare):
    for constant in (0.0, 2.5, -1e-9):
        assert ends(np.full(30, constant), constant, method=method, spare=spare) == (constant, constant)


def test_draws_do_not_vary_if_they_differ_by_rounding_alone():
    assert is_constant(np.array([3.0, np.nextafter(3.0, 4.0)]))
    assert is_constant(np.zeros(4))
    assert not is_constant(np.array([3.0, 3.0 + 1e-11]))
    assert not is_constant(np.array([0.0, 1e-300]))


# BCa.


def test_draws_on_one_side_have_no_bias_correction():
    for draws in (np.arange(1.0, 30.0), -np.arange(1.0, 30.0)):
        assert np.isnan(ends(draws, 0.0, method="bca")).all()
        assert np.isfinite(ends(draws, 0.0, method="percentile_t")).all()


def test_draws_that_equal_the_estimate_count_half():
    draws = np.array([-1.0] * 30 + [0.0] * 40 + [1.0] * 30)
    flat = np.zeros(5)  # no acceleration: with z0 = 0 too, BCa is the percentile interval
    for level in (0.5, 0.9):
        assert tails(draws, 0.0, level, "bca", jackknife=flat, spare=1) == pytest.approx(
            ((1 - level) / 2, (1 + level) / 2), rel=1e-14
        )


def test_acceleration_is_the_skewness_of_the_jackknife_over_six():
    values = np.random.default_rng(4).exponential(size=50)
    # sum of cubes over the sum of squares to the 3/2 is the skewness over sqrt(n); its sign turns
    assert acceleration(values) == pytest.approx(-stats.skew(values) / (6 * np.sqrt(50)), rel=1e-12)
    assert acceleration(1e9 * values) == pytest.approx(acceleration(values), rel=1e-12)
    assert acceleration(np.r_[values, np.nan, np.inf]) == acceleration(values)


@pytest.mark.parametrize("values", [[], [np.nan], [2.0] * 6, [0.1, 0.1 + 1e-17, 0.1], [0.0, 0.0]], ids=str)
def test_a_jackknife_without_a_spread_has_no_acceleration(values):
    assert acceleration(np.array(values)) == 0


# The value.

DOUBTED = Interval(
    "alpha", 0.25, 0.21, 0.28, 0.015, 0.95, "percentile_t", ((Doubt.FEW_SPARE, "4"), (Doubt.NO_CLUSTERS, ""))
)
REFUSED = Interval(
    "B", 410.7, np.nan, np.nan, 10.0, 0.9, "bca", ((Doubt.ALL_ON_ONE_SIDE, ""), (Doubt.FAR, "2.5 decades"))
)


def test_an_interval_unpacks_into_its_ends():
    low, high = DOUBTED
    assert (low, high) == (0.21, 0.28)


def test_an_interval_prints_every_doubt_in_words():
    lines = repr(DOUBTED).splitlines()
    assert lines[0] == "alpha 0.25  95 % [0.21, 0.28]  standard error 0.015  percentile_t"
    assert [line.strip() for line in lines[1:]] == [f"4: {Doubt.FEW_SPARE.value}", Doubt.NO_CLUSTERS.value]


def test_a_refused_interval_says_so_in_place_of_its_ends():
    assert REFUSED.refused
    assert not DOUBTED.refused
    assert repr(REFUSED).startswith("B 410.7  90 % refused  ")
    assert "nan" not in repr(REFUSED)


def test_an_interval_becomes_plain_values():
    content = json.loads(json.dumps(DOUBTED.to_dict()))
    assert content["doubts"] == ["FEW_SPARE", "NO_CLUSTERS"]
    assert content["notes"] == list(DOUBTED.notes)
    assert (content["low"], content["high"], content["level"]) == (0.21, 0.28, 0.95)
    assert not content["refused"]


def test_doubts_that_refuse_come_before_those_that_do_not():
    refuses = [doubt.refuses for doubt in Doubt]
    assert refuses == sorted(refuses, reverse=True)
    assert True in refuses
    assert False in refuses


@pytest.mark.parametrize("doubt", Doubt, ids=lambda doubt: doubt.name)
def test_a_doubt_is_a_sentence(doubt):
    assert doubt.value[0].isupper() or doubt.value.startswith("docs/")
    assert doubt.value.endswith(".")
    assert repr(doubt) == f"<Doubt.{doubt.name}>"
