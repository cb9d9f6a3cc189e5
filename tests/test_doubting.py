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
    return sf.bootstrap(fit, resamples=100)


def at_the_floor():
    """Losses without a floor, so noisy that many refits end at E = 0."""
    law = sf.PowerLaw(0.0, 30.0, 0.15)
    table = sf.simulate(law, sf.grid(params=np.geomspace(1e7, 1e10, 20)), noise=0.01, seed=1)
    return sf.bootstrap(sf.fit(sf.PowerLaw, table), resamples=1000)


@cache
def vague():
    """Published runs that hardly tell the two terms apart, resampled."""
    return sf.bootstrap(sf.fit(sf.Chinchilla, sf.load("cerebras_gpt")), resamples=300)


def is_resample(fit):
    return fit.table.notes != () and fit.table.notes[-1].startswith("resample")


@cache
def clustered(count, scheme=sf.Wild):
    """Two runs of each of a few nodes, resampled by node."""
    table = curve(2 * count, NO_OFFSET).table
    fit = sf.fit(NO_OFFSET, sf.LossTable.from_frame(table.to_frame().assign(node=np.arange(2 * count) // 2)))
    return sf.bootstrap(fit, scheme(by="node"), resamples=1000)


# Each with the names of all doubts that the interval has.
PROVOKED = {
    "NO_VALUE": (lambda: boot().interval(lambda fit: float("nan")), []),
    "NOT_DETERMINED": (lambda: collinear().interval("alpha"), []),
    "TOO_FEW_SPARE": (lambda: boot(3, NO_OFFSET).interval("alpha"), []),
    "TOO_FEW_DRAWS": (lambda: boot(7, NO_OFFSET).interval("alpha"), []),
    "TOO_FEW_RESAMPLES": (lambda: boot(resamples=60).interval("alpha"), []),
    "OFTEN_UNIDENTIFIED": (lambda: vague().interval("alpha"), ["AT_BOUND", "NO_CLUSTERS"]),
    "MANY_FAILED": (lambda: boot().interval(fails_in(0.11)), []),
    "ALL_ON_ONE_SIDE": (
        lambda: boot().interval(lambda fit: abs(fit.law.alpha - curve().law.alpha), method="bca"),
        ["COVERS_LESS"],
    ),
    "AT_BOUND": (lambda: at_the_floor().interval("alpha"), []),
    "SOME_FAILED": (lambda: boot().interval(fails_in(0.09)), []),
    "NOT_CONVERGED": (lambda: loose(0.09).interval("alpha"), []),
    "ONE_VALUE": (lambda: boot().interval(lambda fit: 4.2), []),
    "OFF_CENTRE": (lambda: boot().interval(lambda fit: fit.law.alpha + 9 * is_resample(fit)), []),
    "NO_ACCELERATION": (
        lambda: boot().interval(lambda fit: (fit if is_resample(fit) else curve()).law.alpha, method="bca"),
        ["COVERS_LESS"],
    ),
    "FEW_SPARE": (lambda: boot(7).interval("alpha", 0.9), []),
    "RANGE_OF_DRAWS": (lambda: clustered(7).interval("alpha"), []),
    "NO_CLUSTERS": (lambda: sf.bootstrap(surface(), sf.Wild(), resamples=300).interval("alpha"), []),
    "FAR": (lambda: boot().interval({"params": 1.01e12}), []),
    "COVERS_LESS": (lambda: boot().interval("alpha", method="bca"), []),
    "NOT_MEASURED": (lambda: boot().interval("alpha", method="basic"), []),
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
    either = np.isnan(boot().values(statistic)) | (np.arange(1000) < 60)
    assert dict(loose(0.06).interval(statistic).doubts)[sf.Doubt.MANY_FAILED] == f"{either.sum()} of 1000"


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
    assert (made.units, made.spare) == (10, 7)


def test_the_words_for_too_few_spare_rows_count_what_has_a_weight():
    frame = curve().table.to_frame().assign(count=[0] * 10 + [1] * 4)
    fit = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame), weights="count")
    words = dict(sf.bootstrap(fit, resamples=200).interval("alpha").doubts)[sf.Doubt.TOO_FEW_SPARE]
    assert words == "4 units, 3 free parameters"


def test_few_rows_have_too_few_patterns_at_a_high_level_alone():
    # 2^7 patterns: the 90 % tails at t with 5 degrees of freedom hold 2.8 of them, the 95 % tails 0.65
    assert names(boot(7, NO_OFFSET).interval("alpha", 0.9)) == []
    assert names(boot(7, NO_OFFSET).interval("alpha", 0.95)) == ["TOO_FEW_DRAWS"]


@pytest.mark.parametrize("count", [6, 7])
def test_six_and_seven_clusters_give_the_range_of_their_draws(count):
    made = clustered(count)
    interval = made.interval("alpha")
    assert names(interval)[-1] == "RANGE_OF_DRAWS"
    assert len(made) == 2**count
    draws = np.sort(made.values("alpha"))
    # between the extreme draw and the next one
    assert draws[0] <= interval.low <= draws[1]
    assert draws[-2] <= interval.high <= draws[-1]


def test_the_range_of_a_few_draws_is_given_where_it_was_seen_to_cover_alone():
    assert "TOO_FEW_DRAWS" in names(clustered(7).interval("alpha", 0.96))
    assert "TOO_FEW_DRAWS" in names(clustered(7).interval("alpha", 0.99, method="percentile"))
    assert "TOO_FEW_DRAWS" in names(clustered(5).interval("alpha"))
    assert names(clustered(8).interval("alpha")) == []
    assert names(clustered(7).interval("alpha", 0.5)) == []
    assert "RANGE_OF_DRAWS" not in names(clustered(7, sf.Pairs).interval("alpha"))


def test_a_vague_fit_still_gives_losses_among_its_runs():
    assert not vague().interval({"params": 1.3e9, "tokens": 2.6e10}).refused
    assert "OFTEN_UNIDENTIFIED" in names(vague().interval({"params": 1e12, "tokens": 2.6e10}))
    assert "OFTEN_UNIDENTIFIED" in names(vague().interval(lambda fit: fit.law.beta))


def test_clusters_that_split_the_sizes_silence_nothing():
    made = sf.bootstrap(surface(8), sf.Wild(by="tokens"), resamples=300)
    assert "NO_CLUSTERS" in names(made.interval("alpha"))


def test_a_size_given_as_cluster_silences_the_word_about_it():
    assert "NO_CLUSTERS" not in names(sf.bootstrap(surface(8), resamples=300).interval("alpha"))
    assert "NO_CLUSTERS" in names(sf.bootstrap(surface(8), sf.Pairs(), resamples=300).interval("alpha"))


@pytest.mark.parametrize(("shared", "said"), [(2, False), (3, False), (4, True)])
def test_sizes_are_worth_a_word_if_a_quarter_of_the_runs_share_theirs(shared, said):
    params = np.geomspace(1e7, 1e10, 16)
    params[1:shared] = params[0]
    fit = sf.fit(sf.PowerLaw, sf.simulate(LAW, pd.DataFrame({"params": params}), noise=0.01, seed=1))
    assert ("NO_CLUSTERS" in names(sf.bootstrap(fit, sf.Wild(), resamples=300).interval("alpha"))) == said


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
    ("scheme", "method", "said"),
    [
        (sf.Wild(), "percentile_t", None),
        (sf.Wild(), "percentile", "NOT_MEASURED"),
        (sf.Wild(residuals="leverage"), "percentile_t", "NOT_MEASURED"),
        (sf.Wild("webb"), "percentile_t", "NOT_MEASURED"),
        (sf.Pairs(), "percentile_t", "NOT_MEASURED"),
        (sf.Pairs(), "bca", "NOT_MEASURED"),
        (sf.Wild(residuals="plain"), "percentile_t", "NOT_MEASURED"),
        (sf.Wild(residuals="plain"), "percentile", "COVERS_LESS"),
        (sf.Wild(), "bca", "COVERS_LESS"),
        (sf.wild_bca(), "bca", "COVERS_LESS"),
    ],
    ids=str,
)
def test_what_was_not_measured_to_cover_says_so(scheme, method, said):
    assert names(boot(scheme=scheme).interval("alpha", method=method)) == ([said] if said else [])


def test_a_bound_is_named_with_the_share_of_refits_there():
    made = at_the_floor()
    ((status, about), which), *_ = made.parts[0].refits.flags.items()
    assert (status, about) == (Status.E_AT_ZERO, "E")
    assert np.array_equal(which, made.values("E") == 0)
    assert dict(made.interval("alpha").doubts)[sf.Doubt.AT_BOUND] == (f"E_AT_ZERO (E) in {100 * which.mean():.0f} %")
    assert made.flags["E_AT_ZERO (E)"] == which.sum() > 100


def test_every_way_in_which_the_data_do_not_determine_the_fit_is_named():
    assert dict(collinear().interval("beta").doubts)[sf.Doubt.NOT_DETERMINED] == "COLLINEAR (params, tokens)"
    three = sf.fit(sf.PowerLaw, curve().table.where(np.arange(14) % 5 == 0))
    made = sf.bootstrap(three, sf.Pairs(), resamples=50)
    assert dict(made.interval("alpha").doubts)[sf.Doubt.NOT_DETERMINED] == "NO_SPARE_ROWS (3 rows)"


def test_a_fit_whose_amplitude_is_no_number_is_resampled_and_refused():
    table = collinear().base.table.to_frame()
    table["tokens"] = 20 * table["params"]
    fit = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, table, noise=0.003))
    assert fit.status is Status.AMPLITUDE_OUT_OF_RANGE
    made = sf.bootstrap(fit, resamples=20)
    words = dict(made.interval("alpha").doubts)[sf.Doubt.NOT_DETERMINED]
    assert words.startswith("AMPLITUDE_OUT_OF_RANGE (B), COLLINEAR (params, tokens)")


def test_a_constant_is_refused_where_there_is_too_little_to_resample():
    # five sizes and five free parameters leave no degree of freedom
    made = sf.bootstrap(surface(5), sf.Wild(by="params"))
    assert made.spare == 0
    assert names(made.interval(lambda fit: 2.5)) == ["TOO_FEW_SPARE", "ONE_VALUE"]


# What a statistic looks at.


def rising():
    """Losses that rise: the exponent is at a bound and means nothing, but the losses among the runs are determined."""
    x = np.geomspace(1e7, 1e10, 14)
    loss = 3 + 0.05 * np.log10(x / 1e7) + 0.01 * np.cos(7 * np.arange(14))
    return sf.fit(sf.PowerLaw, sf.LossTable.from_frame(pd.DataFrame({"params": x, "loss": loss})))


def test_an_exponent_without_a_meaning_refuses_parameters_and_forecasts_alone():
    fit = rising()
    assert fit.status is Status.EXPONENT_AT_LOWER
    made = sf.bootstrap(fit, resamples=300)
    for statistic in ("alpha", lambda fit: fit.law.E, {"params": 1e11}, lambda fit: fit(1e6)):
        assert "NOT_DETERMINED" in names(made.interval(statistic))
    for statistic in ({"params": 1e9}, lambda fit: fit(1e9), lambda fit: fit.mse):
        assert "NOT_DETERMINED" not in names(made.interval(statistic))


def test_a_statistic_of_one_slice_has_the_doubts_of_that_slice():
    design = sf.grid(params=np.geomspace(1e7, 1e10, 12), tokens=[1e9, 1e10])
    table = sf.simulate(sf.HOFFMANN_2022, design, noise=0.003, seed=1)
    mixed = sf.LossTable.from_frame(
        table.to_frame().assign(loss=np.where(table.tokens == 1e9, 0.3 * table.params**0.1, table.loss))
    )
    curves = sf.fit_curves(sf.PowerLaw, mixed, along="params", at="tokens")
    assert [fit.ok for fit in curves] == [False, True]
    made = sf.bootstrap(curves, resamples=1000)
    assert "NOT_DETERMINED" in names(made.interval(lambda one: one[0].law.alpha))
    assert "NOT_DETERMINED" not in names(made.interval(lambda one: one[1].law.alpha))
    assert "NOT_DETERMINED" not in names(made.interval("alpha"))


def test_a_fit_that_one_row_alone_determines_is_refused():
    # without the last size there are two sizes and three parameters
    frame = pd.DataFrame({"params": [1e7] * 5 + [1e8] * 5 + [1e10]})
    fit = sf.fit(sf.PowerLaw, sf.simulate(LAW, frame, noise=0.003, seed=1))
    assert fit.ok
    words = dict(sf.bootstrap(fit, sf.Wild(), resamples=300).interval("alpha").doubts)[sf.Doubt.NOT_DETERMINED]
    assert words.startswith("TOO_FEW_VALUES without")


def test_too_few_clusters_of_curves_are_counted_in_the_poorest_slice():
    design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=[1e9, 1e10])
    frame = sf.simulate(sf.HOFFMANN_2022, design, noise=0.003, seed=1).to_frame()
    frame["node"] = np.where(frame.tokens < 2e9, frame.groupby("tokens").cumcount() // 2, frame.index)
    curves = sf.fit_curves(sf.PowerLaw, sf.LossTable.from_frame(frame), along="params", at="tokens")
    doubts = dict(sf.bootstrap(curves, sf.Wild(residuals="plain", by="node"), resamples=50).interval("alpha").doubts)
    assert doubts[sf.Doubt.TOO_FEW_SPARE] == "3 units, 3 free parameters"
