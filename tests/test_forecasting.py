"""forecast: intervals of runs not yet made, and the spread of laws that fit about as well."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.forecasting import forecast
from scalefit.rivalry import TwoPowers, TwoPowersOfTokens

LAW = sf.PowerLaw(E=2.0, A=2.0 * 1e6**0.3, alpha=0.3)
DESIGN = sf.grid(params=np.geomspace(1e6, 1e9, 20))
RUNS = sf.simulate(LAW, DESIGN, noise=0.005)
FIT = sf.fit(sf.PowerLaw, RUNS)
BOOT = sf.bootstrap(FIT, resamples=200)
PLANE = sf.fit(
    sf.Chinchilla,
    sf.simulate(
        sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6)), noise=0.005
    ),
)
NONE: dict[str, object] = {}


# A hidden second power.


@pytest.mark.parametrize(
    "truth",
    [
        TwoPowers(E=1.0, A=1.5 * 1e6**0.35, B=1.2 * 1e6**0.05, alpha=0.35, beta=0.05),
        TwoPowers(E=1.5, A=1.5 * 1e6**0.35, B=0.7 * 1e6**0.08, alpha=0.35, beta=0.08),
    ],
    ids=["0.05", "0.08"],
)
def test_models_hold_a_hidden_second_power_where_the_bootstrap_does_not(truth):
    """Thirty tables, two decades beyond the runs; every fit is as it should be, so nothing inside warns."""
    held = {"bootstrap": 0, "models": 0, "combined": 0}
    for seed in range(30):
        fit = sf.fit(sf.PowerLaw, sf.simulate(truth, DESIGN, noise=0.005, seed=seed))
        assert fit.ok
        row = forecast(fit, params=1e11, resamples=199).to_frame().iloc[0]
        true = truth(1e11)
        held["bootstrap"] += row["low"] <= true <= row["high"]
        held["models"] += row["models_low"] <= true <= row["models_high"]
        held["combined"] += row["combined_low"] <= true <= row["combined_high"]
    assert held["bootstrap"] <= 6
    assert held["models"] >= 24
    assert held["combined"] >= held["models"]


def test_models_hold_a_hidden_second_power_of_tokens():
    h = sf.HOFFMANN_2022
    truth = TwoPowersOfTokens(E=1.19, A=h.A, B=h.B, S=0.6 * 1e10**0.08, alpha=h.alpha, beta=0.35, sigma=0.08)
    design = sf.grid(params=np.geomspace(6e7, 1.6e10, 10), ratio=np.geomspace(2, 200, 8))
    design["tokens"] = design["params"] * design["ratio"]
    held = {"bootstrap": 0, "models": 0}
    for seed in range(5):
        fit = sf.fit(sf.Chinchilla, sf.simulate(truth, design, noise=0.003, seed=seed))
        row = forecast(sf.bootstrap(fit, sf.Wild(), resamples=199), params=1e12, tokens=2e13).to_frame().iloc[0]
        held["bootstrap"] += row["low"] <= truth(1e12, 2e13) <= row["high"]
        held["models"] += row["models_low"] <= truth(1e12, 2e13) <= row["models_high"]
    assert held["bootstrap"] <= 1
    assert held["models"] >= 4


def test_intervals_of_the_right_law_cover():
    """Of 40 tables; at a coverage of 94 %, under 33 would have a chance of less than 1 %."""
    inside = {"mean": 0, "combined": 0}
    for seed in range(40):
        fit = sf.fit(sf.PowerLaw, sf.simulate(LAW, DESIGN, noise=0.005, seed=100 + seed))
        row = forecast(fit, params=1e10, resamples=199, rivals=NONE).to_frame().iloc[0]
        inside["mean"] += row["low"] <= LAW(1e10) <= row["high"]
        inside["combined"] += row["combined_low"] <= LAW(1e10) <= row["combined_high"]
    assert inside["mean"] >= 33
    assert inside["combined"] == inside["mean"]  # without rivals


# What is asked, and what is answered.


def test_the_interval_of_the_mean_is_that_of_the_bootstrap():
    made = forecast(BOOT, params=[1e9, 1e10], level=0.9, rivals=NONE)
    for k, x in enumerate((1e9, 1e10)):
        assert tuple(made.means[k]) == tuple(BOOT.interval({"params": x}, 0.9))
        assert made.loss[k] == FIT(x)
        assert made.new_runs[k].low < made.means[k].low < made.means[k].high < made.new_runs[k].high
    assert len(made) == 2


def test_a_fit_is_bootstrapped_with_the_seed_that_is_asked_for():
    one, two, other = (forecast(FIT, params=1e10, resamples=200, seed=s, rivals=NONE).to_frame() for s in (0, 0, 1))
    assert one.equals(two)
    assert not one.equals(other)
    assert one.equals(forecast(BOOT, params=1e10, rivals=NONE).to_frame())


def test_a_point_does_not_depend_on_the_others():
    alone, among = forecast(BOOT, params=1e10), forecast(BOOT, params=[1e8, 1e10, 1e11])
    assert alone.to_frame().iloc[0].tolist() == among.to_frame().iloc[1].tolist()


def test_the_models_are_the_fit_and_what_is_close():
    made = forecast(BOOT, params=[1e10, 1e11])
    close = made.rivals_to_frame().query("close").pivot(columns="params", index="model", values="loss")
    assert made.models[0] == pytest.approx(close.min().to_numpy(), rel=1e-12)
    assert made.models[1] == pytest.approx(close.max().to_numpy(), rel=1e-12)
    assert "the fit" in close.index
    assert "exponential" not in close.index
    frame = made.to_frame()
    assert frame["combined_low"].tolist() == np.minimum(frame["low"], frame["models_low"]).tolist()
    assert frame["combined_high"].tolist() == np.maximum(frame["high"], frame["models_high"]).tolist()


def test_flops_alone_ask_for_the_best_model():
    made = forecast(PLANE, flops=[1e21, 1e22], resamples=50, rivals=NONE)
    best = sf.compute_optimal(PLANE, [1e21, 1e22])
    assert made.points["params"].tolist() == best.params.tolist()
    assert made.loss == pytest.approx(best.loss, rel=1e-12)
    assert made.to_frame()["flops"].tolist() == [1e21, 1e22]
    again = forecast(PLANE, params=best.params, tokens=best.tokens, resamples=50, rivals=NONE)
    assert again.to_frame()["low"].tolist() == made.to_frame()["low"].tolist()


def test_flops_are_an_input_like_any_other_of_a_fit_of_flops():
    runs = sf.LossTable.from_frame(RUNS.to_frame().rename(columns={"params": "flops"}))
    made = forecast(sf.fit(sf.PowerLaw, runs), flops=1e10, resamples=50, rivals=NONE)
    assert made.flops is None
    assert made.points["flops"].tolist() == [1e10]


def test_doubts_are_carried():
    made = forecast(BOOT, params=[1e9, 1e12], rivals=NONE)
    assert made.to_frame()["doubts"].tolist() == [(), ("FAR",)]
    assert repr(made).startswith("DOUBT ")
    assert "more than two decades beyond the runs" in repr(made)


def test_what_the_runs_do_not_determine_is_refused():
    few = sf.fit(sf.PowerLaw, RUNS.where(np.arange(20) < 4))
    made = forecast(few, params=1e10, resamples=50, rivals=NONE)
    row = made.to_frame().iloc[0]
    assert row["refused"]
    assert np.isnan([row["low"], row["new_run_low"], row["combined_low"]]).all()
    assert repr(made).startswith("REFUSED at 1 of 1 points")
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["points"][0]["combined_low"] is None


def test_a_surface_without_a_formula_leaves_the_outside_to_its_rivals():
    kernel = sf.fit(sf.AnovaKernelRidge(), PLANE.table)
    models = {"Chinchilla": sf.LawRegressor(sf.Chinchilla, objective=kernel.objective)}
    made = forecast(sf.bootstrap(kernel, resamples=50), params=[1e9, 1e12], tokens=[1e10, 2e13], rivals=models)
    assert made.to_frame()["refused"].tolist()[1]
    assert np.isnan(made.loss[1])
    assert np.isfinite(made.loss[0])
    assert any("no forecast outside the convex hull" in note for note in made.notes)


def test_a_wrong_law_is_told_so():
    made = forecast(sf.fit(sf.Exponential, RUNS), params=1e10, resamples=200, rivals={"power law": sf.PowerLaw})
    assert made.notes == ("The runs speak against this law: they are fitted better by power law.",)
    assert repr(made).startswith("DOUBT ")


def test_levels_beyond_what_so_few_runs_show_are_told():
    made = forecast(BOOT, params=1e10, level=0.99, rivals=NONE)
    assert any("A level of 99 %" in note for note in made.notes)


def test_the_chinchilla_runs_leave_their_law_open(chinchilla):
    """Laws with a second power of tokens fit these runs better; at 1e26 FLOPs they lie far below."""
    made = forecast(sf.fit(sf.Chinchilla, chinchilla.where("kept")), flops=1e26, resamples=200)
    row = made.to_frame().iloc[0]
    assert row["low"] - row["models_low"] > 0.2
    assert "second power of tokens" in [rival.name for rival in made.rivals if rival.better]
    assert "no offset" not in [rival.name for rival in made.close]


@pytest.mark.parametrize(
    ("fit", "options", "error", "words"),
    [
        (RUNS, {"params": 1e10}, TypeError, "forecast needs what sf.fit gave, or a bootstrap of it, not LossTable"),
        (FIT, {}, TypeError, "this fit takes params; it was given nothing"),
        (FIT, {"tokens": 1e10}, TypeError, "this fit takes params; it was given tokens"),
        (FIT, {"params": 1e10, "resample": 5}, TypeError, "it was given params, resample"),
        (FIT, {"flops": 1e20}, TypeError, "this fit takes params; it was given flops"),
        (FIT, {"params": "many"}, TypeError, "params must be a number or an array of them, not 'many'"),
        (FIT, {"params": [1e10, -1.0]}, ValueError, "params must be positive and finite"),
        (FIT, {"params": float("nan")}, ValueError, "params must be positive and finite"),
        (FIT, {"params": []}, ValueError, "1 to 1000 points"),
        (FIT, {"params": [[1e10]]}, ValueError, "1 to 1000 points"),
        (FIT, {"params": 1e10, "level": 95}, ValueError, "level must be between 0 and 1"),
        (FIT, {"params": 1e10, "resamples": 1}, ValueError, "resamples must be a whole number"),
        (FIT, {"params": 1e10, "seed": -1}, ValueError, "seed must be a whole number"),
        (BOOT, {"params": 1e10, "rivals": [sf.PowerLaw]}, TypeError, "must be a mapping of names to models"),
        (PLANE, {"params": 1e10}, TypeError, "this fit takes params, tokens; it was given params"),
        (FIT, {"params": np.geomspace(1e9, 1e12, 1001)}, ValueError, "1 to 1000 points, not at 1001"),
        (PLANE, {"flops": np.geomspace(1e20, 1e22, 1001)}, ValueError, "1 to 1000 points, not at 1001"),
        (PLANE, {"flops": 0.0}, ValueError, "a budget must be positive and finite"),
    ],
)
def test_bad_input_is_refused(fit, options, error, words):
    with pytest.raises(error, match=words):
        forecast(fit, **options)


def test_families_are_asked_one_by_one():
    frame = pd.concat([RUNS.to_frame().assign(data=name) for name in "ab"])
    families = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame), by="data", shared="alpha")
    boot = sf.bootstrap(families, resamples=200)
    for wrong in (families, boot):
        with pytest.raises(TypeError, match=r"sf\.bootstrap\(families\)\[family\]"):
            forecast(wrong, params=1e10)
    assert len(forecast(boot["a"], params=1e10, rivals={})) == 1


def test_it_prints_a_bounded_number_of_points_and_says_where_it_is_refused():
    shown = repr(forecast(BOOT, params=np.geomspace(1e9, 1e10, 100), rivals={}))
    assert len(shown.splitlines()) < 30
    few = sf.fit(sf.PowerLaw, RUNS.where(np.arange(len(RUNS)) % 5 == 0))
    assert repr(forecast(few, params=1e10, rivals={})).startswith("REFUSED at 1 of 1 points: loss by ")


def test_a_bootstrap_of_curves_is_refused():
    curves = sf.fit_curves(sf.PowerLaw, PLANE.table, along="params", at="tokens")
    with pytest.raises(TypeError, match="not a bootstrap of curves"):
        forecast(sf.bootstrap(curves, resamples=20), params=1e10)
