"""Local slopes: exact on powers, silent on noise, loud where a fit crosses a threshold."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.slopes import noise_of, slopes_change, told

# Excess loss of transformers on walks over a graph of 1,000 nodes and 5,000 edges, eight hundred thousand tokens each:
# a prototype's sweep across the width at which a model begins to hold the graph.
PARAMS = [9536, 22144, 37824, 56576, 103296, 162304, 521216]
THRESHOLD = [3.149, 1.627, 0.601, 0.146, 0.0805, 0.0688, 0.0661]
FLOOR = 2.352


def table(x: list[float] | np.ndarray, loss: list[float] | np.ndarray, **more: object) -> sf.LossTable:
    return sf.LossTable.from_frame(pd.DataFrame({"params": x, "loss": loss, **more}))


@pytest.mark.parametrize("alpha", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("count", [2, 5, 40])
def test_slopes_of_a_power_are_its_exponent(alpha: float, count: int) -> None:
    x = np.geomspace(1, 1e3, count)
    slopes = sf.local_slopes(x, 1.5 + 3.0 * x**-alpha, offset=1.5)
    exact = 1e-9 if count < 9 else 2e-2 * alpha  # the mean loss of a part is not the loss at its mean
    assert len(slopes) >= min(count, 8) - 1
    np.testing.assert_allclose(slopes["slope"], alpha, rtol=0, atol=exact)


def test_errors_of_slopes_are_those_of_repeated_noise() -> None:
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 16, 5)
    clean = 2 + x**-0.5
    draws = np.array([
        sf.local_slopes(x, clean + 0.003 * rng.standard_normal(5), offset=2.0)["slope"] for _ in range(2000)
    ])  # fmt: skip
    stated = sf.local_slopes(x, clean, offset=2.0, noise=0.003)["se"]
    np.testing.assert_allclose(draws.std(axis=0), stated, rtol=0.06)


def test_what_is_not_above_the_offset_has_no_slope() -> None:
    slopes = sf.local_slopes([1, 2, 4, 8], [3.0, 2.5, 2.01, 1.9], offset=2.0, noise=0.01)
    assert slopes["high"].tolist() == pytest.approx([2.0])
    assert sf.local_slopes([1.0], [3.0], offset=2.0).empty
    assert not slopes_change(sf.local_slopes([], [], offset=0.0))


def test_close_values_are_taken_together() -> None:
    slopes = sf.local_slopes([1.0, 1.001, 2.0, 4.0], [3.0, 3.0, 2.5, 2.25], offset=2.0)
    assert len(slopes) == 2
    np.testing.assert_allclose(slopes["slope"], 1.0, atol=2e-3)


@pytest.mark.parametrize(
    ("x", "words"), [([1.0, 0.0], "number 2 is x = 0"), ([-2.0, 1.0], "number 1 is x = -2"), ([1.0], "one length")]
)
def test_values_that_have_no_slope_are_refused(x: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sf.local_slopes(x, [2.0, 1.0], offset=0.0)


def test_seeds_tell_the_noise_and_a_wrong_law_does_not() -> None:
    rng = np.random.default_rng(1)
    sd = np.where(np.arange(300) < 100, 0.2, 0.01)  # seeds differ most on the plateau
    x = np.repeat(np.geomspace(1e6, 1e8, 300), 5)
    seeds = table(x, 3 - 0.2 * np.log10(x) + np.repeat(sd, 5) * rng.standard_normal(1500))
    told_by_seeds = noise_of(seeds, "params", np.full(1500, 0.5), parameters=3)
    assert np.sqrt(np.mean(told_by_seeds[:500] ** 2)) == pytest.approx(0.2 * np.sqrt(2 / 3), rel=0.1)
    assert np.sqrt(np.mean(told_by_seeds[500:] ** 2)) == pytest.approx(0.01, rel=0.3)
    means = table([1e6, 1e7], [3.0, 2.0], loss_sd=[0.02, 0.02], replicates=[40, 40])
    assert noise_of(means, "params", np.full(2, 0.5), parameters=1) == pytest.approx(0.02 / np.sqrt(40), rel=0.01)
    alone = table([1e6, 1e7, 1e8], [3.0, 2.0, 1.0])
    assert noise_of(alone, "params", np.full(3, 0.5), parameters=1) == pytest.approx(0.04)
    assert noise_of(alone, "params", np.full(3, 1e-3), parameters=1).max() < 2e-3


def test_a_fit_across_a_threshold_is_warned_of_everywhere() -> None:
    fit = sf.fit(sf.PowerLaw, table(PARAMS, FLOOR + np.array(THRESHOLD)), inputs="params")
    words = "alpha is that of the window"
    assert fit.ok
    assert any(words in remark for remark in fit.remarks)
    assert words in repr(fit)
    assert words in fit.to_dict()["remarks"][0]
    assert told(fit.local_slopes)[0].startswith("local slopes 0.7")
    assert told(fit.local_slopes)[0] in repr(fit)


def test_an_exponent_that_rests_on_one_step_is_warned_of() -> None:
    step = table([1e4, 2e4, 4e4, 8e4, 1.6e5], [3.0, 2.5, 2.4995, 2.5004, 2.4998])
    (remark,) = sf.fit(sf.PowerLaw, step, inputs="params").remarks
    assert "at most two of 5 values of params lie above E by more than noise: alpha is that of the step" in remark


def test_the_warning_is_rare_on_powers_with_noise() -> None:
    rng = np.random.default_rng(2)
    warned = 0
    for draw in range(100):
        x = np.geomspace(1e6, 1.28e8, 8)
        loss = (2 + (x / 1e6) ** -(0.2 + 0.01 * draw)) * np.exp(0.01 * rng.standard_normal(8))
        warned += bool(sf.fit(sf.PowerLaw, table(x, loss), inputs="params").remarks)
    assert warned <= 5


def test_the_published_data_are_not_warned_of() -> None:
    for name in ("pythia", "pythia_cerebras", "cerebras_gpt"):
        fit = sf.fit(sf.PowerLaw, sf.load(name), inputs="params")
        assert not any("local slopes" in remark for remark in fit.remarks)


def test_curves_have_the_range_of_each_slice_and_other_laws_have_none() -> None:
    runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10, 1e11], tokens=[1e10, 1e11]))
    frame = sf.fit_curves(sf.PowerLaw, runs, along="params", at="tokens").to_frame()
    np.testing.assert_allclose(frame[["slope_low", "slope_high"]], 0.34, atol=1e-4)
    exponential = sf.fit_curves(sf.Exponential, runs, along="params", at="tokens")
    assert "slope_low" not in exponential.to_frame()
    assert exponential[0].local_slopes.empty


def test_rows_of_weight_zero_have_no_slopes() -> None:
    runs = table([1e6, 2e6, 4e6, 8e6, 1e9], [3.0, 2.5, 2.25, 2.125, 9.0], times=[1, 1, 1, 1, 0])
    fit = sf.fit(sf.PowerLaw, runs, inputs="params", weights="times")
    assert fit.local_slopes["high"].max() == pytest.approx(8e6)
