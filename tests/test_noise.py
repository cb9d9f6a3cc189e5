"""The noise floor: pure error by hand, a test of fit that is calibrated and has power, a delta that suits the noise."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import scalefit as sf
from scalefit.noise import efficiency, expected_maximum, noise_floor

ROWS = {"params": [1e8, 1e8, 1e9, 1e9, 1e9, 1e10], "seed": [0, 1, 0, 1, 2, 0], "loss": [3.0, 3.2, 2.5, 2.6, 2.7, 2.3]}
DESIGN_1D = sf.grid(params=np.geomspace(1e7, 1e10, 8), seed=[0, 1, 2])
DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 4), seed=[0, 1])
LAW = sf.PowerLaw(E=2, A=30, alpha=0.25)


def table(**changes):
    return sf.LossTable.from_frame(pd.DataFrame({**ROWS, **changes}))


def planted(share, seed, noise=0.003):
    """Runs of a law with a second power, which is `share` nats at the smallest model and fewest tokens."""
    frame = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=noise, seed=seed).to_frame()
    frame["loss"] += share * (frame["params"] / 1e8) ** -1.2 * (frame["tokens"] / 1e9) ** -0.3
    return sf.LossTable.from_frame(frame)


# Pure error.


def test_pooled_deviations_are_those_by_hand():
    floor = noise_floor(table())
    assert floor.spare == 3
    assert floor.loss_sd == pytest.approx(np.sqrt((0.02 + 2 * 0.01) / 3), rel=1e-12)
    logs = np.log(3.2 / 3) ** 2 / 2, np.var(np.log([2.5, 2.6, 2.7]), ddof=1)
    assert floor.log_sd == pytest.approx(np.sqrt((logs[0] + 2 * logs[1]) / 3), rel=1e-12)
    assert floor.to_frame()["runs"].tolist() == [2, 3]
    assert floor.by_size["loss_sd"].to_numpy() == pytest.approx([np.sqrt(0.02), 0.1], rel=1e-12)
    assert floor.ok
    assert floor.lack is None


def test_the_robust_deviation_is_right_for_normal_noise_and_ignores_diverged_runs():
    design = sf.grid(params=np.geomspace(1e7, 1e10, 300), seed=[0, 1, 2])
    clean = noise_floor(sf.simulate(LAW, design, noise=0.01))
    assert clean.robust_log_sd == pytest.approx(0.01, rel=0.1)  # standard error 5 %
    assert clean.log_sd == pytest.approx(0.01, rel=0.1)
    spoilt = noise_floor(sf.simulate(LAW, design, noise=0.01, outliers=0.03))
    assert spoilt.robust_log_sd < 0.0125
    assert spoilt.log_sd > 0.018


def test_units_of_the_loss_change_no_relative_error():
    runs = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.01)
    bits = sf.LossTable.from_frame(runs.to_frame().assign(loss=runs.loss / np.log(2)))
    assert noise_floor(bits).log_sd == pytest.approx(noise_floor(runs).log_sd, rel=1e-12)


def test_sizes_within_a_thousandth_are_one():
    assert noise_floor(table(params=[1e8, 1.0005e8, 1e9, 1e9, 1e9, 1e10])).spare == 3
    assert noise_floor(table(params=[1e8, 1.01e8, 1e9, 1e9, 1e9, 1e10])).spare == 2


def test_runs_that_differ_in_tokens_are_no_replicates_even_of_a_fit_of_params():
    runs = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.002)
    floor = noise_floor(sf.fit(sf.PowerLaw, runs, inputs="params"), resamples=19)
    assert floor.spare == 24
    assert floor.log_sd < 0.003


def test_settings_that_replicates_share_are_found():
    frame = pd.DataFrame({"params": np.repeat([1e8, 1e9], 4), "lr": [1e-3, 1e-3, 1e-2, 1e-2] * 2,
                          "seed": [0, 1] * 4, "loss": [3.0, 3.01, 3.5, 3.51, 2.5, 2.51, 2.9, 2.91]})  # fmt: skip
    runs = sf.LossTable.from_frame(frame)
    with pytest.raises(ValueError, match=r"rows 0 and 2 .* share their inputs and seed \(8 such .*same=\['lr'\]"):
        noise_floor(runs, same=())
    named = sf.LossTable.from_frame(frame.assign(run=[f"run {i}" for i in range(8)], seconds=np.arange(8) + 0.5))
    for floor in (noise_floor(runs), noise_floor(runs, same="lr"), noise_floor(named)):
        assert floor.loss_sd == pytest.approx(0.01 / np.sqrt(2), rel=1e-9)
        assert floor.to_frame()["lr"].tolist() == [1e-3, 1e-2] * 2


def test_noise_that_grows_with_the_loss_shows():
    frame = DESIGN.assign(loss=sf.HOFFMANN_2022(DESIGN["params"].to_numpy(), DESIGN["tokens"].to_numpy()))
    sizes = np.where(frame["loss"] > frame["loss"].median(), 0.02, 0.002)
    errors = sizes * np.random.default_rng(0).normal(size=len(frame))
    floor = noise_floor(sf.LossTable.from_frame(frame.assign(loss=frame["loss"] * np.exp(errors))))
    assert floor.trend > 0.4
    assert floor.trend_p < 0.05
    even = noise_floor(sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.01, seed=3))
    assert even.trend_p > 0.05
    assert np.isnan(noise_floor(table()).trend)


def test_noise_by_size_is_that_of_each_size():
    frame = DESIGN_1D.assign(loss=LAW(DESIGN_1D["params"].to_numpy()))
    errors = np.where(frame["params"] < 1e9, 0.02, 0.002) * np.random.default_rng(0).normal(size=len(frame))
    by_size = noise_floor(sf.LossTable.from_frame(frame.assign(loss=frame["loss"] * np.exp(errors)))).by_size
    assert by_size["spare"].tolist() == [2] * 8
    assert by_size["log_sd"][:5].min() > 2 * by_size["log_sd"][5:].max()


# Minima.


def test_the_mean_of_the_largest_of_normal_numbers_is_that_of_tables():
    # Harter 1961, Biometrika 48, table 1
    values = [expected_maximum(count) for count in (1, 2, 3, 4, 5, 10)]
    assert values == pytest.approx([0, 0.56419, 0.84628, 1.02938, 1.16296, 1.53875], abs=1e-5)


def test_the_minimum_over_seeds_is_as_low_as_it_is_said_to_be():
    runs = sf.simulate(LAW, sf.grid(params=np.geomspace(1e7, 1e10, 3000), seed=[0, 1, 2]), noise=0.01, seed=1)
    lower = np.mean(runs.best("seed").loss - runs.best((), mean="seed").loss)
    assert lower == pytest.approx(noise_floor(runs).minimum_bias(3), rel=0.05)  # standard error 2 %


# The test of fit.


def shares(tables, law, **settings):
    floors = [noise_floor(sf.fit(law, runs), resamples=99, seed=at, **settings) for at, runs in enumerate(tables)]
    return np.array([floor.lack.p_value for floor in floors])


def test_false_alarms_are_as_many_as_they_should_be():
    p = shares([sf.simulate(LAW, DESIGN_1D, noise=0.005, seed=1000 + s) for s in range(60)], sf.PowerLaw)
    assert 1 <= np.sum(p <= 0.05) <= 7  # 3 expected; 99 % of the time 0 to 8
    assert 20 <= np.sum(p <= 0.5) <= 40


def test_a_planted_second_power_is_found():
    assert np.sum(shares([planted(0.2, 500 + s) for s in range(20)], sf.Chinchilla) <= 0.05) >= 18
    assert np.sum(shares([planted(0.0, 500 + s) for s in range(20)], sf.Chinchilla) <= 0.05) <= 4


def test_outliers_are_no_lack_of_fit_of_a_robust_fit():
    tables = [sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.004, outliers=0.05, seed=2000 + s) for s in range(20)]
    assert np.sum(shares(tables, sf.Chinchilla) <= 0.05) <= 4


def test_a_law_without_the_input_that_matters_is_off_by_far_more_than_the_noise():
    floor = noise_floor(sf.fit(sf.PowerLaw, planted(0.0, 0), inputs="params"), resamples=99)
    assert not floor.ok
    assert floor.lack.p_value == 0.01
    assert floor.lack.misfit == pytest.approx(np.sqrt(floor.lack.scatter**2 - floor.lack.noise**2), rel=1e-12)
    assert floor.lack.misfit > 0.1
    assert repr(floor).startswith("MISFIT  p = 0.01, replicates agree: the law is off by more")


def test_the_order_of_the_rows_does_not_matter():
    runs = planted(0.1, 4)
    mixed = sf.LossTable.from_frame(runs.to_frame().sample(frac=1, random_state=1))
    one, other = (noise_floor(sf.fit(sf.Chinchilla, rows), resamples=99) for rows in (runs, mixed))
    assert one.lack.p_value == other.lack.p_value
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())


def test_a_seed_repeats_the_test_and_another_does_not():
    fit = sf.fit(sf.Chinchilla, planted(0.05, 1))
    p = [noise_floor(fit, resamples=99, seed=seed).lack.p_value for seed in (0, 0, 1, 2, 3)]
    assert p[0] == p[1]
    assert len(set(p)) > 1


def test_runs_without_a_replicate_count_for_the_scatter_alone():
    few = DESIGN[(DESIGN["seed"] == 0) | DESIGN.index.isin([1, 19, 25, 47])]
    floor = noise_floor(sf.fit(sf.PowerLaw, sf.simulate(sf.HOFFMANN_2022, few, noise=0.003), inputs="params"))
    assert floor.spare == 4
    assert floor.lack.p_value < 0.02


def test_rows_without_weight_do_not_count():
    frame = planted(0.0, 1).to_frame()
    spoilt = pd.concat([frame.assign(w=1.0), frame.assign(w=0.0, loss=9.0, seed=7)])
    plain = noise_floor(sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame)), resamples=19)
    weighted = noise_floor(sf.fit(sf.Chinchilla, sf.LossTable.from_frame(spoilt), weights="w"), resamples=19)
    assert weighted.log_sd == plain.log_sd
    assert weighted.lack.p_value == plain.lack.p_value


def test_a_surface_is_tested_like_a_law():
    floor = noise_floor(sf.fit(sf.AnovaKernelRidge(), planted(0.2, 0)), resamples=19)
    assert 0 < floor.lack.p_value <= 1
    assert floor.lack.failed == 0


def test_progress_is_told():
    seen = []
    noise_floor(sf.fit(sf.Chinchilla, planted(0, 0)), resamples=19, progress=lambda done, total: seen.append(done))
    assert seen[-1] == 19


# Means of replicates.


def test_a_table_of_means_has_the_noise_of_its_runs():
    runs = planted(0.2, 2)
    means = runs.best((), mean="seed")
    whole, floor = (noise_floor(sf.fit(sf.Chinchilla, rows), replicates=count)
                    for rows, count in ((runs, None), (means, None)))  # fmt: skip
    assert floor.loss_sd == pytest.approx(whole.loss_sd, rel=1e-12)
    assert floor.spare == whole.spare == 24
    assert floor.suggested_delta == pytest.approx(whole.suggested_delta / np.sqrt(2), rel=0.01)
    assert floor.lack.p_value < 0.05
    assert noise_floor(means, replicates=2).loss_sd == floor.loss_sd


def test_the_best_run_of_every_seed_is_a_replicate():
    design = sf.grid(params=np.geomspace(1e8, 1e10, 4), tokens=[1e10, 1e11], lr=[1e-3, 3e-3], seed=[0, 1, 2])
    kept = sf.simulate(sf.HOFFMANN_2022, design, noise=0.004).best(over="lr", by="seed")
    plain = sf.LossTable.from_frame(kept.to_frame()[["params", "tokens", "seed", "loss"]])
    found, expected = noise_floor(kept), noise_floor(plain)
    assert (found.spare, found.per_row) == (16, 1)
    assert found.log_sd == expected.log_sd


def test_means_say_of_how_many_runs_they_are():
    means = planted(0, 0).best((), mean="seed")
    frame = means.to_frame().drop(columns=["seed", "replicates"])
    with pytest.raises(ValueError, match="Pass replicates=3, or the column"):
        noise_floor(sf.LossTable.from_frame(frame))
    for replicates, words in ((0, "whole numbers from 1"), ("lots", "no column 'lots'"), ("outlier", "whole numbers")):
        with pytest.raises(ValueError, match=words):
            noise_floor(means, replicates=replicates)
    for replicates in (True, 2.0, ["count"]):
        with pytest.raises(TypeError, match="replicates must be a number of runs"):
            noise_floor(means, replicates=replicates)
    with pytest.raises(ValueError, match=r"loss_sd is nan in row 3 .*the mean of 2 runs \(1 such"):
        noise_floor(
            sf.LossTable.from_frame(frame.assign(loss_sd=frame["loss_sd"].where(frame.index != 3))), replicates=2
        )
    with pytest.raises(ValueError, match="minima, not means"):
        noise_floor(planted(0, 0).best("seed"), replicates="count")
    with pytest.raises(ValueError, match="no column 'loss_sd'"):
        noise_floor(planted(0, 0), replicates=2)


# Delta.


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (sf.Huber(1e-5, "log"), "That is narrow: .* 64% of what"),
        (sf.Huber(0.5), "That is wide: a run that is off by up to"),
        (sf.Squared("log"), "^none, of squared errors; 1.345 noises are .* wide: a run that is off by any number of"),
        (sf.Absolute("log"), "^none, of absolute errors; 1.345 noises are .* That is narrow"),
        (sf.Huber(0.005, "log"), r"noises are [\d.]+$"),
    ],
)
def test_delta_is_measured_in_noises(objective, words):
    fit = sf.fit(sf.LawRegressor(sf.Chinchilla, objective=objective), planted(0, 0))
    floor = noise_floor(fit, resamples=19)
    sd = floor.robust_log_sd if objective.space == "log" else floor.robust_loss_sd
    assert floor.suggested_delta == pytest.approx(1.345 * sd, rel=1e-12)
    assert re.search(words, floor.delta_words)


@pytest.mark.parametrize("width", [1e-9, 0.01, 0.5, 1.345, 3.0, 50.0])
def test_the_efficiency_of_huber_is_that_of_its_integrals(width):
    slope = norm.cdf(width) - norm.cdf(-width)
    inside = quad(lambda z: z * z * norm.pdf(z), -width, width)[0]
    expected = slope**2 / (inside + 2 * width**2 * norm.sf(width))
    assert efficiency(width) == pytest.approx(expected, rel=1e-3 if width < 0.01 else 1e-6)
    assert efficiency(float("inf")) == 1


# What is shown.


def test_numbers_are_plain_and_missing_ones_null():
    made = json.dumps(noise_floor(table()).to_dict(), allow_nan=False)
    assert json.loads(made)["trend"] is None
    assert json.loads(made)["lack_of_fit"] is None
    made = noise_floor(sf.fit(sf.Chinchilla, planted(0, 0)), resamples=19).to_dict()
    assert json.loads(json.dumps(made, allow_nan=False))["lack_of_fit"]["resamples"] == 19


def test_what_is_printed_has_the_verdict_first():
    lines = repr(noise_floor(sf.fit(sf.Chinchilla, planted(0, 3)), resamples=99)).splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "noise", "size", "delta", "minimum"]
    assert "24 degrees of freedom, 48 runs in 24 groups" in lines[1]


# Bad input.


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        (
            {"params": np.geomspace(1e8, 1e9, 6)},
            {},
            "no replicates: no two of 6 rows share params .*two seeds at a few",
        ),
        ({"seed": [0, 0, 0, 0, 0, 0]}, {}, "share their inputs and seed"),
        ({"seed": [0, np.nan, 0, 1, 2, 0]}, {}, r"seed is missing in row 1 \(counting from 0; 1 such"),
        ({"loss": [3, 3, 2.5, 2.5, 2.5, 2]}, {}, "equal losses in all 2 groups"),
        ({}, {"by": "init_seed"}, "no column 'init_seed' .*Pass by='seed'"),
        ({}, {"same": "lr"}, "no column 'lr'"),
        ({}, {"resamples": 5}, "resamples must be a whole number from 19"),
        ({}, {"seed": -1}, "seed must be a whole number from 0"),
        ({}, {"resamples": 99.5}, "resamples must be a whole number"),
    ],
)
def test_bad_input_says_what_to_do(changes, settings, words):
    with pytest.raises(ValueError, match=words):
        noise_floor(table(**changes), **settings)


def test_replicates_without_a_seed_are_named_as_such():
    runs = table().to_frame().drop(columns="seed")
    with pytest.raises(ValueError, match=r"no column 'seed' .*by=None"):
        noise_floor(sf.LossTable.from_frame(runs))
    assert noise_floor(sf.LossTable.from_frame(runs), by=None).spare == 3


@pytest.mark.parametrize("value", [None, 3, "runs.csv", pd.DataFrame(ROWS)])
def test_only_fits_and_tables_have_noise(value):
    with pytest.raises(TypeError, match="needs a Fit or a LossTable"):
        noise_floor(value)


@pytest.mark.parametrize("count", [0, -1, 2.0, True, "2"])
def test_a_minimum_is_of_a_whole_number_of_runs(count):
    with pytest.raises(ValueError, match="count must be a whole number"):
        noise_floor(table()).minimum_bias(count)
