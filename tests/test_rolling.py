"""rollout: the larger runs as the smaller ones forecast them."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import scalefit as sf
from scalefit.rolling import SHARES, default_cuts, rollout
from scalefit.unseen import errors_of_runs, new_run, thin_tails

LAW = sf.PowerLaw(E=2.0, A=2.0 * 1e6**0.3, alpha=0.3)
DESIGN = sf.grid(params=np.geomspace(1e6, 1e9, 20))
RUNS = sf.simulate(LAW, DESIGN, noise=0.005)
PLANE = sf.simulate(
    sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6)), noise=0.01
)


# Reference and recovery.


@pytest.mark.parametrize(
    ("cut", "tested", "mae"),
    [(6e19, 129, 0.01936), (1e20, 104, 0.02091), (3e20, 63, 0.02301), (6e20, 42, 0.02390), (1e21, 23, 0.02377)],
)
def test_the_rolling_origin_of_chinchilla(chinchilla, cut, tested, mae):
    """`recomputed` in the reference, to its digits; no run lies at a cut, so "<=" and "<" are one."""
    (row,) = rollout(sf.Chinchilla, chinchilla.where("kept"), cuts=cut).to_frame().to_dict("records")
    assert row["test_rows"] == tested
    assert row["train_rows"] == 240 - tested
    assert row["mae"] == pytest.approx(mae, abs=6e-6)


def test_noiseless_runs_are_forecast_exactly():
    clean = sf.simulate(LAW, DESIGN)
    frame = rollout(sf.PowerLaw, clean, over="params").to_frame()
    assert len(frame) == len(SHARES)
    assert (frame["rmse"] < 1e-8).all()
    assert (frame["status"] == "OK").all()


def test_scores_are_those_of_explicit_fits():
    made = rollout({"law": sf.PowerLaw}, RUNS, over="params", cuts=[1e8])
    small = RUNS.params < 1e8
    fit = sf.fit(sf.PowerLaw, RUNS.where(small))
    error = fit(RUNS.params[~small]) - RUNS.loss[~small]
    row = made.to_frame().iloc[0]
    assert row["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-12)
    assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
    assert row["bias"] == pytest.approx(error.mean(), rel=1e-12)
    logs = np.log(1 + error / RUNS.loss[~small])
    assert [row["log_mae"], row["log_bias"]] == pytest.approx([np.abs(logs).mean(), logs.mean()], rel=1e-9)
    assert row["decades"] == pytest.approx(np.log10(RUNS.params.max() / RUNS.params[small].max()))


def test_a_law_without_its_offset_forecasts_too_low():
    models = {"law": sf.PowerLaw, "no offset": sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0})}
    frame = rollout(models, RUNS, over="params", cuts=[1e8]).to_frame().set_index("model")
    assert frame.loc["no offset", "bias"] < -0.02
    assert frame.loc["no offset", "bias"] == pytest.approx(-frame.loc["no offset", "mae"])
    assert abs(frame.loc["law", "bias"]) < 0.5 * frame.loc["no offset", "mae"]


def test_weights_count_as_copies():
    weighted = sf.LossTable.from_frame(RUNS.to_frame().assign(copies=np.where(np.arange(20) % 3, 1, 2)))
    copied = sf.LossTable.from_frame(RUNS.to_frame().iloc[np.repeat(np.arange(20), weighted["copies"])])
    one = rollout(sf.PowerLaw, weighted, over="params", cuts=[1e8], weights="copies").to_frame()
    two = rollout(sf.PowerLaw, copied, over="params", cuts=[1e8]).to_frame()
    scores = ["mae", "rmse", "bias"]
    assert one[scores].to_numpy() == pytest.approx(two[scores].to_numpy(), rel=1e-6)


def test_runs_without_weight_are_neither_cut_nor_forecast():
    used = RUNS["params"] < 1e8
    weighted = sf.LossTable.from_frame(RUNS.to_frame().assign(copies=np.where(used, 2, 0)))
    one = rollout(sf.PowerLaw, weighted, over="params", weights="copies")
    two = rollout(sf.PowerLaw, RUNS.where(used), over="params")
    columns = ["cut", "train_rows", "test_rows", "decades", "mae"]
    assert one.to_frame()[columns].to_numpy() == pytest.approx(two.to_frame()[columns].to_numpy(), rel=1e-6)
    assert set(one.forecasts["row"]) <= set(np.flatnonzero(used))
    with pytest.raises(ValueError, match="no run lies at or above params 2e\\+08"):
        rollout(sf.PowerLaw, weighted, over="params", weights="copies", cuts=[2e8])


def test_row_order_does_not_matter():
    shuffled = sf.LossTable.from_frame(RUNS.to_frame().sample(frac=1, random_state=1))
    one, two = (rollout(sf.PowerLaw, t, over="params", resamples=150).to_frame() for t in (RUNS, shuffled))
    assert one[["mae", "coverage"]].to_numpy() == pytest.approx(two[["mae", "coverage"]].to_numpy(), rel=1e-7)


# Cuts.


def test_default_cuts_lie_between_budgets_and_leave_the_shares_below():
    values = np.repeat([1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27], 3) * np.tile(
        [1, 1.0004, 0.9997], 10
    )
    cuts = default_cuts(values, "flops")
    assert [int((values < cut).sum()) for cut in cuts] == [15, 18, 21, 24, 27]
    assert default_cuts(np.array([1.0, 4.0]), "flops") == (2.0,)


def test_runs_at_the_cut_are_forecast():
    row = rollout(sf.PowerLaw, RUNS, over="params", cuts=RUNS.params[12]).to_frame().iloc[0]
    assert (row["train_rows"], row["test_rows"]) == (12, 8)


def test_cuts_are_taken_in_order():
    made = rollout(sf.PowerLaw, RUNS, over="params", cuts=[1e8, 1e7])
    assert made.cuts == (1e7, 1e8)
    assert made.to_frame()["train_rows"].tolist() == [7, 13]


# Intervals of new runs.


def test_new_runs_lie_in_their_intervals_as_often_as_stated():
    """Thirteen of twenty runs are trained on; over 40 tables nearly 95 % of the 280 others lie within."""
    found = []
    for seed in range(40):
        runs = sf.simulate(LAW, DESIGN, noise=0.005, seed=seed)
        found.append(rollout(sf.PowerLaw, runs, over="params", cuts=[1e8], resamples=150).to_frame().iloc[0])
    assert sum(row["given"] for row in found) > 200
    assert 0.9 < np.average([row["coverage"] for row in found], weights=[row["given"] for row in found]) < 1.0


def test_a_new_run_scatters_more_than_the_mean_and_shares_its_doubts():
    boot = sf.bootstrap(sf.fit(sf.PowerLaw, RUNS), resamples=200)
    at = {"params": 1e13}
    mean = boot.interval(at)
    new = new_run(boot, at, mean)
    assert new.low < mean.low < mean.high < new.high
    assert new.doubts == mean.doubts
    assert any(doubt is sf.Doubt.FAR for doubt, _ in new.doubts)
    assert new.standard_error > mean.standard_error


def test_errors_of_runs_are_those_of_explicit_fits_without_each_run():
    fit = sf.fit(sf.PowerLaw, RUNS)
    errors = errors_of_runs(sf.bootstrap(fit, resamples=20).parts[0])
    for row in (0, 7, 19):
        left = sf.fit(fit.model, RUNS.where(np.arange(20) != row))
        assert errors[row] == pytest.approx(RUNS.loss[row] - left(RUNS.params[row]), rel=1e-4, abs=1e-7)


def test_errors_are_relative_where_the_objective_is_of_logs():
    objective = sf.Huber(0.01, space="log")
    boot = sf.bootstrap(sf.fit(sf.LawRegressor(sf.PowerLaw, objective=objective), RUNS), resamples=200)
    widths = {}
    for x in (1e6, 1e9):
        low, high = new_run(boot, {"params": x}, boot.interval({"params": x}))
        assert low > 0
        widths[x] = (high - low) / LAW(x)
    assert widths[1e6] == pytest.approx(widths[1e9], rel=0.5)


def test_many_errors_are_thinned_to_quantiles():
    many = sf.simulate(LAW, sf.grid(params=np.geomspace(1e6, 1e9, 1500)), noise=0.005)
    errors = errors_of_runs(sf.bootstrap(sf.fit(sf.PowerLaw, many), resamples=2).parts[0])
    assert len(errors) == 1000
    assert np.std(errors / 2.5) == pytest.approx(0.005, rel=0.25)


def test_few_runs_show_no_far_tail():
    boot = sf.bootstrap(sf.fit(sf.PowerLaw, RUNS), resamples=20)
    assert thin_tails(boot, 0.95) == ""
    assert "99 %" in thin_tails(boot, 0.99)


# What is told.


def test_a_model_that_fails_at_a_cut_has_no_scores_there_and_is_named():
    models = {"2D": sf.Chinchilla, "linear": LinearRegression()}
    made = rollout(models, PLANE, cuts=[2e18, 1e20])
    assert not made.ok
    (note,) = made.notes
    assert note.startswith("2D has no forecasts from flops 2e+18 on: Chinchilla has 5 free parameters")
    frame = made.to_frame().set_index(["cut", "model"])
    assert np.isnan(frame.loc[(2e18, "2D"), "mae"])
    assert np.isfinite(frame.loc[(2e18, "linear"), "mae"])
    assert repr(made).startswith("NOT OK  2D has no forecasts")


def test_plain_values_and_frames():
    made = rollout([sf.PowerLaw, sf.Exponential], RUNS, over="params", cuts=[1e8], resamples=60)
    plain = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert plain["scores"][0]["model"] == "PowerLaw"
    assert len(plain["forecasts"]) == 2 * 7
    assert made.level == 0.95
    assert "in 95 %" in repr(made)
    assert made.forecasts["params"].min() >= 1e8
    assert rollout(sf.PowerLaw, RUNS, over="params", cuts=[1e8]).to_dict()["forecasts"][0]["low"] is None


def test_refused_intervals_are_counted_with_the_reason():
    made = rollout(sf.PowerLaw, RUNS, over="params", cuts=[8e6, 1e8], resamples=100)
    few = made.forecasts["cut"] == 8e6
    assert made.forecasts["refused"].tolist() == few.tolist()
    assert made.forecasts["doubts"][few].map(lambda doubts: "TOO_FEW_DRAWS" in doubts).all()
    assert f"note  {few.sum()} of {len(few)} intervals are refused: So few rows" in repr(made)
    assert "refused" not in repr(rollout(sf.PowerLaw, RUNS, over="params", cuts=[1e8]))


def test_names_of_models_print_as_text():
    shown = repr(rollout({"a\x1b[31m": sf.PowerLaw}, RUNS, over="params", cuts=[1e8]))
    assert "\x1b" not in shown


def test_without_leave_one_out_errors_the_interval_of_a_new_run_is_refused():
    boot = sf.bootstrap(sf.fit(sf.PowerLaw, RUNS), sf.Pairs(), resamples=400)
    at = {"params": 1e8}
    (part,) = boot.parts
    lost = copy(part.jackknife)
    lost.predict = lambda X: np.full((len(RUNS), len(X)), np.nan)
    blind = replace(boot, parts=(replace(part, jackknife=lost),))
    mean = boot.interval(at)
    assert not mean.refused
    new = new_run(blind, at, mean)
    assert new.refused
    assert new.doubts[0] == (sf.Doubt.MANY_FAILED, "leave-one-out fits")


def test_progress_counts_every_fit():
    seen = []
    rollout([sf.PowerLaw, sf.Exponential], RUNS, over="params", cuts=[1e8, 3e8], progress=lambda *at: seen.append(at))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"over": "lr"}, "over must be one of params, tokens, flops, not 'lr'"),
        ({"over": "flops"}, "no column 'flops'; order its runs by over='params', or derive the FLOPs"),
        ({"cuts": [1e8, 1e8]}, "1e\\+08 twice"),
        ({"cuts": []}, "their shape is \\(0,\\)"),
        ({"cuts": [1e5]}, "no run lies below params 100000"),
        ({"cuts": [1e12]}, "no run lies at or above"),
        ({"cuts": [float("nan")]}, "positive, finite number to cut at"),
        ({"cuts": [-1.0]}, "positive, finite number to cut at"),
        ({"resamples": -1}, "resamples must be 0"),
        ({"resamples": 1}, "resamples must be 0"),
        ({"level": 95}, "level must be between 0 and 1"),
        ({"inputs": {"other": "params"}}, "inputs has the columns of 'other'"),
        ({"cuts": [1.2e6]}, "no model could be scored at any of 1 cuts"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        rollout(sf.PowerLaw, RUNS, **{"over": "params", "cuts": [1e8], **options})


def test_cuts_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="cuts must be numbers, values of params such as 1e20, not 'low'"):
        rollout(sf.PowerLaw, RUNS, over="params", cuts="low")


def test_bad_models_and_tables_are_refused():
    with pytest.raises(TypeError, match="has its numbers already"):
        rollout(LAW, RUNS, over="params")
    with pytest.raises(TypeError, match="table must be a LossTable"):
        rollout(sf.PowerLaw, RUNS.to_frame(), over="params")
    with pytest.raises(ValueError, match="no models to score"):
        rollout([], RUNS, over="params")
    same = sf.LossTable.from_frame(sf.grid(params=[1e8], tokens=[1e9, 1e10]).assign(loss=[3.0, 2.5]))
    with pytest.raises(ValueError, match="all 2 runs have the same params"):
        rollout(sf.PowerLaw, same, over="params", inputs="tokens")
