"""Every doubt about an interval is provoked, alone where that can be, and is silent just outside of its range."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.doubting import SPARE
from scalefit.status import Status

LAW = sf.PowerLaw(1.7, 100.0, 0.25)
NO_OFFSET = sf.LawRegressor(sf.PowerLaw, fixed={"E": 1.7})


@cache
def curve(n=14, model=sf.PowerLaw):
    """Fit to n runs with 1 % noise."""
    return sf.fit(model, sf.simulate(LAW, sf.grid(params=np.geomspace(1e7, 1e10, n)), noise=0.01, seed=1))


@cache
def boot(n=14, model=sf.PowerLaw, scheme=None, resamples=1000):
    return sf.bootstrap(curve(n, model), scheme, resamples=resamples, seed=1)


@cache
def surface(sizes=6, tokens=4):
    design = sf.grid(params=np.geomspace(1e8, 1e10, sizes), tokens=np.geomspace(1e9, 1e11, tokens))
    return sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, design, noise=0.003, seed=1))


def names(interval):
    return [doubt.name for doubt, _ in interval.doubts]


def fails_in(share):
    """Statistic that has no value for a share of 1000 refits, those with the lowest floor."""
    cut = np.quantile(boot().values("E"), share)
    return lambda fit: fit.law.alpha if cut < fit.law.E else float("nan")


def loose(share):
    """Bootstrap in which a share of the refits is said not to have converged."""
    (part,) = boot().parts
    refits = copy.copy(part.refits)
    refits.flags = {(Status.NOT_CONVERGED, "PowerLaw"): np.arange(1000) < share * 1000}
    return replace(boot(), parts=(replace(part, refits=refits),))


@cache
def collinear():
    """Fit to runs of nearly the same number of tokens per parameter, resampled."""
    params, off = np.geomspace(1e8, 1e10, 16), np.random.default_rng(1).standard_normal(16)
    design = pd.DataFrame({"params": params, "tokens": 20 * params * np.exp(0.02 * off)})
    fit = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, design, noise=0.001, seed=1))
    return sf.bootstrap(fit, resamples=200)


def at_the_floor():
    """Losses without a floor, so noisy that many refits end at E = 0."""
    law = sf.PowerLaw(0.0, 30.0, 0.15)
    table = sf.simulate(law, sf.grid(params=np.geomspace(1e7, 1e10, 20)), noise=0.01, seed=1)
    return sf.bootstrap(sf.fit(sf.PowerLaw, table), resamples=1000)


def clustered(count):
    """Two runs of each of a few sizes, resampled by size."""
    table = curve(2 * count, NO_OFFSET).table
    fit = sf.fit(NO_OFFSET, sf.LossTable.from_frame(table.to_frame().assign(node=np.arange(2 * count) // 2)))
    return sf.bootstrap(fit, sf.Wild("webb", by="node"), resamples=1000)


# Each with the names of all doubts that the interval has.
PROVOKED = {
    "NO_VALUE": (lambda: boot().interval(lambda fit: float("nan")), []),
    "NOT_DETERMINED": (lambda: collinear().interval("alpha"), []),
    "TOO_FEW_SPARE": (lambda: boot(3, NO_OFFSET).interval("alpha"), []),
    "TOO_FEW_DRAWS": (lambda: boot(7, NO_OFFSET).interval("alpha"), []),
    "TOO_FEW_RESAMPLES": (lambda: boot(resamples=60).interval("alpha"), []),
    "MANY_FAILED": (lambda: boot().interval(fails_in(0.11)), []),
    "ALL_ON_ONE_SIDE": (
        lambda: boot().interval(lambda fit: abs(fit.law.alpha - curve().law.alpha), method="bca"),
        ["NOT_MEASURED_TO_COVER"],
    ),
    "AT_BOUND": (lambda: at_the_floor().interval("alpha"), []),
    "SOME_FAILED": (lambda: boot().interval(fails_in(0.09)), []),
    "NOT_CONVERGED": (lambda: loose(0.09).interval("alpha"), []),
    "ONE_VALUE": (lambda: boot().interval(lambda fit: 4.2), []),
    "FEW_SPARE": (lambda: boot(7, scheme=sf.Wild("webb")).interval("alpha"), []),
    "FEW_CLUSTERS": (lambda: clustered(7).interval("alpha"), []),
    "NO_CLUSTERS": (lambda: sf.bootstrap(surface(), sf.Wild(), resamples=300).interval("alpha"), []),
    "FAR": (lambda: boot().interval({"params": 1.01e12}), []),
    "NOT_MEASURED_TO_COVER": (lambda: boot().interval("alpha", method="basic"), []),
}


@pytest.mark.parametrize("doubt", sf.Doubt, ids=lambda doubt: doubt.name)
def test_every_doubt_is_provoked_and_says_so(doubt):
    make, beside = PROVOKED[doubt.name]
    interval = make()
    assert set(names(interval)) == {doubt.name, *beside}
    assert any(note.endswith(doubt.value) for note in interval.notes)
    assert doubt.value in repr(interval)
    assert interval.refused == any(member.refuses for member, _ in interval.doubts)
    assert np.isnan(tuple(interval)).all() == interval.refused
    order = list(sf.Doubt)
    assert [order.index(member) for member, _ in interval.doubts] == sorted(order.index(d) for d, _ in interval.doubts)


def test_an_interval_of_ample_runs_has_no_doubts():
    for name in ("E", "A", "alpha"):
        assert boot().interval(name).doubts == ()
    assert boot().interval({"params": 1e11}).doubts == ()


def test_a_refused_interval_still_has_estimate_and_standard_error():
    interval = boot(4).interval("alpha")
    assert interval.estimate == curve(4).law.alpha
    assert interval.standard_error == boot(4).standard_error("alpha") > 0


# Ends of ranges.


def test_failures_refuse_above_a_tenth():
    assert names(boot().interval(fails_in(0.1))) == ["SOME_FAILED"]
    assert names(boot().interval(fails_in(0.101))) == ["MANY_FAILED"]
    assert names(loose(0.1).interval("alpha")) == ["NOT_CONVERGED"]
    assert names(loose(0.101).interval("alpha")) == ["MANY_FAILED"]


def test_failed_and_loose_refits_add_up():
    statistic = fails_in(0.06)
    assert names(loose(0.03).interval(statistic)) == ["SOME_FAILED", "NOT_CONVERGED"]
    assert names(loose(0.06).interval(statistic)) == ["MANY_FAILED"]
    assert dict(loose(0.06).interval(statistic).doubts)[sf.Doubt.MANY_FAILED] == "120 of 1000"


def test_no_draw_at_all_is_refused():
    estimate = curve().law.alpha
    interval = boot().interval(lambda fit: 1 / (fit.law.alpha == estimate))
    assert names(interval) == ["MANY_FAILED"]
    assert np.isnan(interval.standard_error)
    assert dict(interval.doubts)[sf.Doubt.MANY_FAILED] == "1000 of 1000"


def test_spare_rows_are_those_beyond_the_free_parameters():
    assert [boot(n).spare for n in (4, 7, 14)] == [1, 4, 11]
    assert boot(7, NO_OFFSET).spare == 5
    assert SPARE == 5
    assert "FEW_SPARE" not in names(boot(8, scheme=sf.Pairs()).interval("alpha"))
    assert "FEW_SPARE" in names(boot(7, scheme=sf.Pairs()).interval("alpha"))


def test_rows_without_a_weight_are_not_spare():
    frame = curve().table.to_frame().assign(count=[0] * 4 + [2] * 10)
    fit = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame), weights="count")
    made = sf.bootstrap(fit, resamples=200)
    assert (made.units, made.spare) == (14, 7)


def test_the_words_for_too_few_spare_rows_count_what_has_a_weight():
    frame = curve().table.to_frame().assign(count=[0] * 10 + [1] * 4)
    fit = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame), weights="count")
    words = dict(sf.bootstrap(fit, resamples=200).interval("alpha").doubts)[sf.Doubt.TOO_FEW_SPARE]
    assert words == "4 units, 3 free parameters"


def test_few_rows_have_too_few_patterns_at_a_high_level_alone():
    # 2^7 patterns: the 90 % tails at t with 5 degrees of freedom hold 2.8 of them, the 95 % tails 0.65
    assert names(boot(7, NO_OFFSET).interval("alpha", 0.9)) == []
    assert names(boot(7, NO_OFFSET).interval("alpha", 0.95)) == ["TOO_FEW_DRAWS"]


def test_six_and_seven_clusters_give_the_range_of_their_draws():
    table = curve(14, NO_OFFSET).table
    fit = sf.fit(NO_OFFSET, sf.LossTable.from_frame(table.to_frame().assign(node=np.arange(14) // 2)))
    made = sf.bootstrap(fit, sf.Wild(by="node"))
    interval = made.interval("alpha", 0.999)
    assert names(interval) == ["FEW_CLUSTERS"]
    draws = made.values("alpha")
    # between the extreme draw and the next one
    assert draws.min() <= interval.low <= np.sort(draws)[1]
    assert np.sort(draws)[-2] <= interval.high <= draws.max()
    assert "FEW_CLUSTERS" not in names(clustered(8).interval("alpha"))


def test_a_size_given_as_cluster_silences_the_word_about_it():
    assert "NO_CLUSTERS" not in names(sf.bootstrap(surface(8), resamples=300).interval("alpha"))
    assert "NO_CLUSTERS" in names(sf.bootstrap(surface(8), sf.Pairs(), resamples=300).interval("alpha"))
    # five sizes, or sizes with one run each, are no clusters
    assert "NO_CLUSTERS" not in names(sf.bootstrap(surface(5), sf.Pairs(), resamples=300).interval("alpha"))


@pytest.mark.parametrize(
    ("x", "decades"), [(0.99e12, None), (1.01e12, "2.0"), (1e14, "4.0"), (1.01e5, None), (0.99e5, "2.0"), (1e3, "4.0")]
)
def test_a_forecast_is_far_beyond_two_decades_on_either_side(x, decades):
    at = {"params": x}
    for statistic in (at, lambda fit: fit(x), lambda fit: fit(params=x), lambda fit: fit(np.array([1e9, x]))[1]):
        doubts = dict(boot().interval(statistic).doubts)
        assert doubts.get(sf.Doubt.FAR) == (f"{decades} decades" if decades else None)


def test_a_forecast_is_far_if_one_of_its_inputs_is():
    made = sf.bootstrap(surface(8), resamples=300)
    assert "FAR" not in names(made.interval({"params": 1e11, "tokens": 1e13}))
    assert dict(made.interval({"params": 1e13, "tokens": 1e13}).doubts)[sf.Doubt.FAR] == "3.0 decades"
    assert dict(made.interval({"params": 1e11, "tokens": 1e14}).doubts)[sf.Doubt.FAR] == "3.0 decades"


@pytest.mark.parametrize(
    ("scheme", "method", "measured"),
    [
        (sf.Wild(), "percentile_t", True),
        (sf.Wild(), "percentile", True),
        (sf.Wild(residuals="leverage"), "percentile_t", True),
        (sf.Pairs(), "percentile_t", True),
        (sf.Wild(residuals="plain"), "percentile_t", False),
        (sf.Wild(), "bca", False),
        (sf.Pairs(), "basic", False),
        (sf.wild_bca(), "bca", False),
    ],
    ids=str,
)
def test_what_was_not_measured_to_cover_says_so(scheme, method, measured):
    assert (names(boot(scheme=scheme).interval("alpha", method=method)) == []) == measured


def test_a_bound_is_named_with_the_share_of_refits_there():
    made = at_the_floor()
    ((status, about), which), *_ = made.parts[0].refits.flags.items()
    assert (status, about) == (Status.E_AT_ZERO, "E")
    assert np.array_equal(which, made.values("E") == 0)
    assert dict(made.interval("alpha").doubts)[sf.Doubt.AT_BOUND] == (
        f"E_AT_ZERO (E) in {100 * which.mean():.0f} % of the refits"
    )
    assert made.flags["E_AT_ZERO (E)"] == which.sum() > 100


def test_every_way_in_which_the_data_do_not_determine_the_fit_is_named():
    assert dict(collinear().interval("beta").doubts)[sf.Doubt.NOT_DETERMINED] == "COLLINEAR"
    three = sf.fit(sf.PowerLaw, curve().table.where(np.arange(14) % 5 == 0))
    made = sf.bootstrap(three, sf.Pairs(), resamples=50)
    assert dict(made.interval("alpha").doubts)[sf.Doubt.NOT_DETERMINED] == "NO_SPARE_ROWS"


def test_a_fit_whose_amplitude_is_no_number_is_resampled_and_refused():
    table = collinear().base.table.to_frame()
    table["tokens"] = 20 * table["params"]
    fit = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, table, noise=0.003))
    assert fit.status is Status.AMPLITUDE_OUT_OF_RANGE
    made = sf.bootstrap(fit, resamples=20)
    assert dict(made.interval("alpha").doubts)[sf.Doubt.NOT_DETERMINED] == "AMPLITUDE_OUT_OF_RANGE, COLLINEAR"


def test_a_constant_gives_a_point_where_the_data_determine_too_little():
    # five sizes and five free parameters leave no degree of freedom
    fit = sf.fit(sf.LawRegressor(sf.Chinchilla), surface(5).table)
    made = sf.bootstrap(fit, sf.Wild(by="params"))
    assert made.spare == 0
    interval = made.interval(lambda fit: 2.5)
    assert names(interval) == ["ONE_VALUE"]
    assert tuple(interval) == (2.5, 2.5)
