"""Schemes: moments and patterns of the weights, counts of pairs, what makes a cluster, and the default."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from runs import missing_words, refusal
from scalefit.intervals import METHODS
from scalefit.redrawing import default_scheme
from scalefit.schemes import FEW, POINTS, clusters, shared_sizes

EVERY_WEIGHT = pytest.mark.parametrize("weights", POINTS)


def rng(seed=0):
    return np.random.default_rng(seed)


def table_of(**columns):
    n = len(next(iter(columns.values())))
    frame = {"params": np.geomspace(1e7, 1e10, n), "loss": np.linspace(4, 2, n)} | columns
    return sf.LossTable.from_frame(pd.DataFrame(frame))


def labels_of(values, name="group"):
    return clusters([table_of(**{name: values})], name)[0].tolist()


# Weights of residuals.


@EVERY_WEIGHT
def test_weights_have_mean_zero_and_variance_one(weights):
    values, chances = map(np.array, POINTS[weights])
    # a sum of at most six roundings of numbers near 1
    assert chances.sum() == pytest.approx(1, rel=1e-15)
    assert chances @ values == pytest.approx(0, abs=1e-15)
    assert chances @ values**2 == pytest.approx(1, rel=1e-15)


@pytest.mark.parametrize(("weights", "third"), [("rademacher", 0), ("mammen", 1), ("webb", 0)])
def test_mammens_weights_alone_keep_the_skewness(weights, third):
    values, chances = map(np.array, POINTS[weights])
    assert chances @ values**3 == pytest.approx(third, abs=1e-15)


def test_points_are_those_of_the_papers():
    assert POINTS["mammen"][0] == pytest.approx(((1 - 5**0.5) / 2, (1 + 5**0.5) / 2), rel=1e-15)
    assert POINTS["mammen"][1][0] == pytest.approx((5**0.5 + 1) / (2 * 5**0.5), rel=1e-15)
    assert sorted(np.square(POINTS["webb"][0])) == pytest.approx([0.5, 0.5, 1, 1, 1.5, 1.5], rel=1e-15)


@EVERY_WEIGHT
def test_weights_are_drawn_with_their_chances_and_independently(weights):
    values, chances = POINTS[weights]
    drawn = sf.Wild(weights).draw(20, 5000, rng())
    assert drawn.shape == (5000, 20)
    for value, chance in zip(values, chances, strict=True):
        # 100,000 draws: four standard errors of a share
        assert np.mean(drawn == value) == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / drawn.size))
    between_units = np.corrcoef(drawn.T)[np.triu_indices(20, 1)]
    between_resamples = np.corrcoef(drawn[:200].reshape(100, 40).T)[np.triu_indices(40, 1)]
    # correlations of n independent pairs scatter by 1 / sqrt(n): five of these, for 190 and 780 pairs
    assert np.abs(between_units).max() < 5 / np.sqrt(5000)
    assert np.abs(between_resamples).max() < 5 / np.sqrt(100)


@pytest.mark.parametrize("units", range(1, FEW))
def test_all_patterns_of_a_few_signs_are_taken_once_whatever_the_seed(units):
    scheme = sf.Wild()
    patterns = scheme.draw(units, 1000, rng(1))
    assert patterns.shape == (2**units, units)
    assert {tuple(row) for row in patterns} == set(itertools.product((-1.0, 1.0), repeat=units))
    assert np.array_equal(patterns, scheme.draw(units, 50, rng(2)))
    assert scheme.enumerates(units, 2)


def test_more_signs_are_drawn_unless_all_patterns_are_no_more_than_asked_for():
    for units, resamples, all_taken in [(8, 255, False), (8, 256, True), (10, 1000, False), (9, 1000, True)]:
        drawn = sf.Wild().draw(units, resamples, rng())
        assert sf.Wild().enumerates(units, resamples) == all_taken
        assert len(drawn) == (2**units if all_taken else resamples)
        assert (len(np.unique(drawn, axis=0)) == len(drawn)) == all_taken


@pytest.mark.parametrize("scheme", [sf.Wild("webb"), sf.Wild("mammen"), sf.Pairs()], ids=repr)
def test_other_weights_are_always_drawn(scheme):
    assert not scheme.enumerates(9, 10**6)


def test_webbs_weights_of_a_few_rows_are_drawn():
    drawn = sf.Wild("webb").draw(4, 500, rng())
    assert drawn.shape == (500, 4)
    assert len(np.unique(drawn, axis=0)) > 300  # of 1296


@pytest.mark.parametrize("units", [2, FEW - 1])
def test_mammens_weights_of_a_few_rows_are_refused(units):
    message = refusal(sf.Wild("mammen").draw, units, 1000, rng())
    words = (f"{units} rows", f"{2**units} patterns", "mammen", "weights='rademacher'", "'webb'")
    assert missing_words(message, *words) == []
    assert sf.Wild("mammen").draw(FEW, 10, rng()).shape == (10, FEW)


# Pairs.


def test_pairs_draw_as_many_units_as_there_are():
    counts = sf.Pairs().draw(7, 400, rng())
    assert counts.shape == (400, 7)
    assert np.array_equal(counts, np.floor(counts))
    assert counts.min() == 0
    assert (counts.sum(axis=1) == 7).all()


def test_pairs_are_the_counts_of_the_numbers_that_the_generator_gives():
    # scipy.stats.bootstrap draws in the same way, so that the same seed resamples the same rows
    numbers = rng(3).integers(0, 9, size=(50, 9))
    counts = sf.Pairs().draw(9, 50, rng(3))
    assert np.array_equal(counts, [np.bincount(row, minlength=9) for row in numbers])


def test_every_unit_is_as_likely_to_be_drawn():
    counts = sf.Pairs().draw(5, 4000, rng())
    # 20,000 draws in five cells: four standard errors of a share of 0.2
    assert counts.mean(axis=0) / 5 == pytest.approx(np.full(5, 0.2), abs=4 * np.sqrt(0.2 * 0.8 / 20_000))


# How many resamples differ.


@pytest.mark.parametrize("units", [1, 2, 3, 4])
def test_distinct_resamples_are_counted(units):
    everything = itertools.product(range(units), repeat=units)
    assert sf.Pairs().distinct(units) == len({tuple(sorted(drawn)) for drawn in everything})
    for weights, (values, _) in POINTS.items():
        assert sf.Wild(weights).distinct(units) == len(set(itertools.product(values, repeat=units)))


@pytest.mark.parametrize("scheme", [sf.Wild(), sf.Wild("webb"), sf.Pairs()], ids=repr)
def test_many_units_have_no_fewer_distinct_resamples(scheme):
    assert np.isfinite(scheme.distinct(10**6))
    assert scheme.distinct(10**6) >= scheme.distinct(200) > 1e50


# Options.


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (sf.Wild, "weights", "normal"),
        (sf.Wild, "weights", None),
        (sf.Wild, "residuals", "hc3"),
        (sf.Wild, "method", "studentized"),
        (sf.Pairs, "method", "BCa"),
        (sf.Pairs, "method", None),
    ],
)
def test_unknown_options_are_refused_with_what_there_is(make, name, value):
    message = refusal(make, **{name: value})
    known = {
        "weights": POINTS,
        "residuals": ("loo", "leverage", "plain"),
        "method": METHODS,
    }[name]
    assert missing_words(message, f"{name} must be one of", repr(value), *map(repr, known)) == []


@pytest.mark.parametrize("make", [sf.Wild, sf.Pairs])
@pytest.mark.parametrize("by", [3, ("params", "tokens"), np.arange(4)], ids=repr)
def test_clusters_are_named_by_one_column(make, by):
    with pytest.raises(TypeError, match="name of one column"):
        make(by=by)


def test_the_papers_scheme_is_plain_signs_of_rows_with_bca():
    assert sf.wild_bca() == sf.Wild("rademacher", residuals="plain", by=None, method="bca")


# Clusters.


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["b", "a", "b", "a"], [1, 0, 1, 0]),
        ([True, False, True, True], [1, 0, 1, 1]),
        ([3, 1, 3, 2], [2, 0, 2, 1]),
        ([0.0, -0.0, 1.0, 0.0], [0, 0, 1, 0]),
        ([-2.0, -2.0005, 1.0, -2.0], [1, 0, 2, 1]),  # not positive, so only equal numbers share a cluster
        ([1.0, 1.0005, 1.0, 2.0], [0, 1, 0, 2]),
        ([1001, 1002, 1001, 1000], [1, 2, 1, 0]),
        (pd.Categorical(["x", "y", "x", "y"]), [0, 1, 0, 1]),
        (pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-02", "2024-01-01"]), [1, 0, 1, 0]),
    ],
    ids=str,
)
def test_rows_of_one_value_are_one_cluster(values, expected):
    assert labels_of(values) == expected


def test_values_of_mixed_kinds_are_clusters_too():
    one, half, yes, again = labels_of(pd.Series(["2", 2.5, True, "2"], dtype=object))
    assert one == again
    assert len({one, half, yes}) == 3


@pytest.mark.parametrize("name", ["params", "tokens", "flops", "params_nonembed"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e8, 1.0009e8, 1.0011e8, 2e8], [0, 0, 1, 2]),  # a span of 0.1 % from the smallest of a cluster
        ([10_000, 10_009, 10_018, 10_027], [0, 0, 1, 1]),  # neighbours do not chain
    ],
    ids=str,
)
def test_counts_within_a_thousandth_are_one_cluster(name, values, expected):
    assert labels_of(values, name) == expected


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([1.0, 1.0004, 1.002, 5.0, 7e9]), min_size=3, max_size=12),
    st.randoms(use_true_random=False),
)
def test_clusters_do_not_depend_on_the_order_of_rows(values, random):
    values = [*values, 0.5]
    order = random.sample(range(len(values)), len(values))
    for name in ("group", "params"):
        assert labels_of([values[i] for i in order], name) == [labels_of(values, name)[i] for i in order]


def test_tables_share_their_clusters():
    first, second = table_of(group=["a", "c", "c"]), table_of(group=["b", "c"])
    assert [labels.tolist() for labels in clusters([first, second], "group")] == [[0, 2, 2], [1, 2]]


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT], ids=repr)
def test_a_row_without_a_cluster_is_named(gap):
    values = pd.Series(["a", gap, "b", gap], dtype=object)
    message = refusal(labels_of, values)
    assert missing_words(message, "'group'", "row 1 (counting from 0)", "2 such rows", "Fill them in", "where") == []


@pytest.mark.parametrize("values", [["a"] * 4, [3.5] * 4, [True] * 4], ids=str)
def test_one_cluster_is_nothing_to_resample(values):
    message = refusal(labels_of, values)
    assert missing_words(message, "'group'", "one cluster", "all 4 rows", "by=None") == []


def test_a_column_of_clusters_that_is_absent_is_named_with_a_close_one():
    assert missing_words(refusal(clusters, [table_of(run=["a", "b"])], "rnu"), "'rnu'", "Did you mean 'run'?") == []


# The default.

SIX = np.geomspace(1e8, 1e10, 6)


def surface_fit(sizes, tokens=(1e10, 1e11)):
    design = sf.grid(params=sizes, tokens=list(tokens))
    return sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, design, noise=0.01, seed=1))


def curve_fit(sizes, runs=2):
    table = sf.simulate(sf.PowerLaw(1.7, 100.0, 0.25), pd.DataFrame({"params": np.repeat(sizes, runs)}), noise=0.01)
    return sf.fit(sf.PowerLaw, table)


def test_a_curve_is_resampled_by_eight_sizes_that_have_several_runs():
    sizes = np.geomspace(1e7, 1e10, 8)
    assert default_scheme(curve_fit(sizes)) == (sf.Wild(by="params"), ())
    assert default_scheme(curve_fit(sizes[:7])) == (sf.Wild(), ())
    assert default_scheme(curve_fit(sizes, runs=1)) == (sf.Wild(), ())


def test_a_surface_is_resampled_by_six_sizes_that_have_several_runs():
    assert default_scheme(surface_fit(SIX)) == (sf.Wild(by="params"), ())
    assert default_scheme(surface_fit(SIX[:5])) == (sf.Wild(), ())
    assert default_scheme(surface_fit(SIX, tokens=[2e10])) == (sf.Wild(), ())


def test_a_fit_of_no_size_is_resampled_by_rows():
    table = surface_fit(SIX).table
    assert default_scheme(sf.fit(sf.PowerLaw, table, inputs="tokens")) == (sf.Wild(), ())
    assert shared_sizes(sf.fit(sf.PowerLaw, table, inputs="flops")) == 0


def test_sizes_within_a_thousandth_are_one_size():
    fit = surface_fit(SIX)
    table = fit.table.to_frame()
    for factor, shared in ((1.0008, 6), (1.0012, 0)):
        params = table.params * np.where(table.tokens > 2e10, factor, 1)
        assert shared_sizes(replace(fit, table=sf.LossTable.from_frame(table.assign(params=params)))) == shared


def test_rows_without_a_weight_share_no_size():
    frame = surface_fit(SIX).table.to_frame().assign(count=(np.arange(12) != 3).astype(int))
    fit = sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame), weights="count")
    assert default_scheme(fit) == (sf.Wild(), ())  # five sizes with two runs are left


def test_no_more_sizes_than_parameters_means_rows_and_says_so():
    fit = surface_fit(SIX)

    def with_parameters(names):
        return replace(fit, model=SimpleNamespace(free_=tuple(names), law_=fit.law, objective_=fit.objective))

    scheme, notes = default_scheme(with_parameters("abcdef"))
    assert scheme == sf.Wild()
    assert missing_words(notes[0], "by rows", "model sizes", "free parameters") == []
    assert default_scheme(with_parameters("abcde"))[0].by == "params"


def test_an_objective_that_counts_its_sides_differently_is_resampled_by_pairs():
    table = surface_fit(SIX).table
    fit = sf.fit(sf.LawRegressor(sf.Chinchilla, objective=sf.Huber(1e-3, "log", upward=0.1)), table)
    assert default_scheme(fit) == (sf.Pairs(by="params"), ())
    assert sf.bootstrap(fit, resamples=20).scheme == sf.Pairs(by="params")
    for scheme in (sf.Wild(), sf.wild_bca()):
        with pytest.raises(ValueError, match=r"two sides differently \(upward=0\.1\).*Use Pairs"):
            sf.bootstrap(fit, scheme)
    curves = sf.fit_curves(
        sf.LawRegressor(sf.PowerLaw, objective=sf.Huber(1e-3, "log", upward=0.1)), table, along="params", at="tokens"
    )
    assert default_scheme(curves) == (sf.Pairs(), ())


def test_curves_are_resampled_by_rows():
    table = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=[1e10, 1e11]), noise=0.01)
    assert default_scheme(sf.fit_curves(sf.PowerLaw, table, along="params", at="tokens")) == (sf.Wild(), ())
