"""windows: how far the choice of rows moves a statistic, against its interval and against noise."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.cutting import cut, round_values
from scalefit.windowing import windows

DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=np.geomspace(1e9, 1e11, 8))
RUNS = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.005)
FIT = sf.fit(sf.Chinchilla, RUNS)
LINE = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 40)), noise=0.003)


def exponent(fit):
    return fit.law.beta / (fit.law.alpha + fit.law.beta)


def hidden():
    """Runs along a ladder with a second power among the small ones: no one power holds for all."""
    design = sf.grid(params=np.geomspace(1e7, 1e10, 60))
    frame = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), design, noise=0.001).to_frame()
    return sf.LossTable.from_frame(frame.assign(loss=frame["loss"] + 0.1 * (frame["params"] / 1e7) ** -1.5))


# The Chinchilla data, `recomputed` by an independent script: C >= cut, rows, a.
ROWS = [(6e18, 218, 0.4971), (1e19, 192, 0.4121), (3e19, 158, 0.3863), (1e20, 104, 0.3755), (3e20, 63, 0.3557)]


def test_windows_of_the_chinchilla_data_are_the_recomputed_ones(chinchilla):
    fit = sf.fit(sf.Chinchilla, chinchilla.where("kept"))
    found = windows(fit, over="flops", cuts=[low for low, _, _ in ROWS])
    frame = found.to_frame().query("kind == 'from'")
    assert frame["low"].tolist() == [low for low, _, _ in ROWS]
    assert frame["rows"].tolist() == [rows for _, rows, _ in ROWS]
    assert frame["estimate"].tolist() == pytest.approx([a for _, _, a in ROWS], abs=5e-5)
    assert frame["ok"].all()
    assert found.statistics == ("allocation_exponent",)
    assert found.estimate.value == pytest.approx(0.51390, abs=5e-6)


def test_dropping_runs_below_1e20_shows_by_default(chinchilla):
    boot = sf.bootstrap(sf.fit(sf.Chinchilla, chinchilla.where("kept")), resamples=100)
    found = windows(boot, statistic={"a": exponent})
    (row,) = found.to_frame().query("kind == 'from' and low == 1e20").to_dict("records")
    assert (row["estimate"], row["moved"]) == pytest.approx((0.3755, 0.3755 - 0.5139), abs=1e-4)
    assert found.moved == pytest.approx(0.3557 - 0.5139, abs=1e-4)
    low, high = boot.interval(exponent)
    assert found.ratio == pytest.approx(abs(found.moved) / ((high - low) / 2), rel=1e-12)
    assert found.ratio > 3
    assert found.holds is False
    assert repr(found).startswith("MOVED  the window moves a by -0.158 (flops from 3e+20 on, 63 of 240 rows)")


# What the windows are.


def test_every_window_is_the_fit_of_its_rows():
    frame = windows(FIT, statistic=["alpha", "E"]).to_frame()
    assert set(frame["kind"]) == {"from", "up to", "sliding"}
    for row in frame.to_dict("records"):
        part = RUNS.where((RUNS.flops >= row["low"]) & (RUNS.flops <= row["high"]))
        assert row["rows"] == len(part)
        again = sf.fit(sf.Chinchilla, part)
        assert row["estimate"] == pytest.approx(again.parameters[row["statistic"]], rel=1e-9)
        assert row["ok"] == again.ok
        base = FIT.parameters[row["statistic"]]
        assert row["moved"] == pytest.approx(row["estimate"] - base, abs=1e-12)


def test_a_rule_for_delta_is_resolved_in_every_window():
    model = sf.LawRegressor(sf.PowerLaw, objective=sf.Huber("mad_of_residuals", "log"))
    fit = sf.fit(model, LINE)
    frame = windows(fit, statistic=lambda one: one.objective.delta).to_frame()
    for row in frame.to_dict("records"):
        part = LINE.where((LINE.params >= row["low"]) & (LINE.params <= row["high"]))
        assert row["estimate"] == pytest.approx(sf.fit(model, part).objective.delta, rel=1e-12)
    assert frame["estimate"].nunique() > 3


def test_nested_windows_keep_a_quarter_and_sliding_ones_half():
    x = np.random.default_rng(0).lognormal(46, 2, 200)
    made = cut(x)
    assert all(50 <= one.inside.sum() < 200 for one in made)
    assert all(one.inside.sum() == 100 for one in made if one.kind == "sliding")
    assert all(np.array_equal(one.inside, (x >= one.low) & (x <= one.high)) for one in made)
    patterns = [one.inside.tobytes() for one in cut(x, ranked=True)]
    assert len(set(patterns)) == len(patterns)


def test_ranked_windows_leave_out_equal_shares_whatever_the_gaps():
    x = np.concatenate([np.geomspace(1, 2, 80), np.geomspace(1e6, 2e6, 80)])
    counts = [int(one.inside.sum()) for one in cut(x, ranked=True) if one.kind == "from"]
    assert counts == [140, 120, 100, 80, 60, 40]
    assert len({one.inside.sum() for one in cut(x) if one.kind == "from"}) < 3  # round values fall into the gap


def test_nearly_equal_values_stay_together():
    x = np.repeat(np.geomspace(1e18, 1e21, 5), 8) * (1 + 1e-4 * np.random.default_rng(0).random(40))
    for one in (*cut(x), *cut(x, ranked=True)):
        assert one.inside.sum() % 8 == 0


def test_round_values_are_round_and_inside():
    assert round_values(1.2e18, 8e21) == [3e18, 1e19, 3e19, 1e20, 3e20, 1e21, 3e21]
    assert round_values(1e8, 3e8) == [1.5e8, 2e8]


def test_the_order_of_the_rows_does_not_matter():
    order = np.random.default_rng(0).permutation(len(RUNS))
    shuffled = sf.LossTable.from_frame(RUNS.to_frame().iloc[order].reset_index(drop=True))
    one = windows(FIT, over="rank", statistic="beta").to_frame()
    other = windows(sf.fit(sf.Chinchilla, shuffled), over="rank", statistic="beta").to_frame()
    pd.testing.assert_frame_equal(one, other, rtol=1e-7)


def test_rows_without_weight_are_no_rows():
    frame = RUNS.to_frame()
    frame["copies"] = np.where(np.arange(len(frame)) % 5 == 0, 0, 1)
    weighted = windows(sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame), weights="copies"), statistic="alpha")
    plain = windows(sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame[frame["copies"] > 0])), statistic="alpha")
    assert weighted.rows == plain.rows
    pd.testing.assert_frame_equal(weighted.to_frame(), plain.to_frame(), rtol=1e-7)


def test_without_flops_the_first_input_is_cut():
    assert windows(sf.fit(sf.PowerLaw, LINE)).column == "params"
    assert windows(FIT).column == "flops"
    assert windows(FIT, over="tokens").column == "tokens"
    assert windows(FIT, over="rank").column == "flops"


# Windows that cannot be had.


def test_a_window_of_too_few_rows_is_listed_with_the_reason():
    found = windows(sf.fit(sf.PowerLaw, LINE), cuts=[float(LINE.params[4]), 2e8])
    (row,) = found.to_frame().query("kind == 'up to' and rows == 5").to_dict("records")
    assert np.isnan(row["estimate"])
    assert not row["ok"]
    assert not row["counted"]
    assert row["note"] == "not fitted: 5 rows, and 8 are needed here"
    assert "5 rows, and 8 are needed here" in repr(found)


def test_a_window_that_is_not_ok_is_marked_and_not_counted():
    frame = RUNS.to_frame()
    lowest = frame["params"].min()
    found = windows(FIT, over="params", cuts=[lowest], statistic="alpha")
    (row,) = found.to_frame().query("kind == 'up to'").to_dict("records")  # one model size: no exponent of params
    assert (row["rows"], row["ok"], row["counted"]) == (8, False, False)
    note = windows(FIT, over="params", cuts=[sorted(set(frame["params"]))[1]], statistic="alpha").to_frame()
    (two,) = note.query("kind == 'up to'").to_dict("records")
    assert (two["rows"], two["ok"], two["counted"]) == (16, False, False)
    assert two["note"].startswith("not ok: ")
    assert np.isfinite(two["estimate"])


def test_all_windows_count_where_the_base_is_not_ok_either():
    steep = sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), sf.simulate(
        sf.PowerLaw(E=0, A=5, alpha=1e-4), sf.grid(params=np.geomspace(1e7, 1e10, 40)), noise=0.01))  # fmt: skip
    assert not steep.ok
    found = windows(steep)
    assert found.to_frame().query("not ok")["counted"].all()


def test_a_statistic_that_fails_in_a_window_costs_that_window_alone():
    def picky(fit):
        if len(fit.table) < 30:
            raise KeyError("too few for me")
        return fit.law.alpha

    frame = windows(FIT, statistic=picky).to_frame()
    assert (frame["estimate"].isna() == (frame["rows"] < 30)).all()
    assert frame.loc[frame["rows"] < 30, "note"].str.contains("no value: 'too few for me'").all()
    assert frame["estimate"].notna().any()


# Against intervals and noise.


def test_intervals_of_a_bootstrap_are_those_of_its_windows():
    boot = sf.bootstrap(FIT, sf.Wild(), resamples=60, seed=3)
    found = windows(boot, statistic=["alpha", exponent], level=0.8)
    for row in found.to_frame().to_dict("records"):
        part = RUNS.where((RUNS.flops >= row["low"]) & (RUNS.flops <= row["high"]))
        again = sf.bootstrap(sf.fit(sf.Chinchilla, part), sf.Wild(), resamples=60, seed=3)
        interval = again.interval(exponent if row["statistic"] == "exponent" else "alpha", 0.8)
        assert (row["estimate_low"], row["estimate_high"]) == pytest.approx(tuple(interval), rel=1e-9, nan_ok=True)
    assert tuple(boot.interval("alpha", 0.8)) == (found.base["alpha"].low, found.base["alpha"].high)


def test_what_noise_does_is_what_the_resamples_do_in_the_window():
    boot = sf.bootstrap(FIT, sf.Wild(), resamples=12, seed=1)
    found = windows(boot, statistic="beta", cuts=[1e20])
    furthest = np.zeros(12)
    for row in found.to_frame().to_dict("records"):
        inside = (RUNS.flops >= row["low"]) & (RUNS.flops <= row["high"])
        here = [sf.fit(sf.Chinchilla, boot[b].table.where(inside)).law.beta - boot[b].law.beta for b in range(12)]
        assert row["by_noise"] == pytest.approx(np.quantile(np.abs(here), 0.95), rel=1e-5)
        furthest = np.fmax(furthest, np.abs(here) / row["by_noise"])
    beyond = found.to_frame()["beyond"].max()
    assert found.chance == pytest.approx((1 + np.sum(furthest >= beyond)) / 13)
    assert found.plainest["beyond"] == beyond


def test_windows_hold_where_the_law_does():
    found = windows(sf.bootstrap(FIT, sf.Wild(), resamples=60), statistic="beta")
    assert found.holds
    assert found.chance > 0.1
    assert repr(found).startswith("ok    ")


@pytest.mark.parametrize("scheme", [sf.Wild(), sf.Pairs()])
def test_windows_move_where_the_law_does_not_hold(scheme):
    found = windows(sf.bootstrap(sf.fit(sf.PowerLaw, hidden()), scheme, resamples=60), cuts=[3e7, 1e8])
    assert found.holds is False
    assert repr(found).startswith("MOVED ")


def test_the_combined_interval_holds_the_range_and_the_sampling_error():
    found = windows(sf.bootstrap(FIT, resamples=60), statistic="beta")
    low, high = found.combined
    base, counted = found.estimate, found.to_frame().query("counted")["estimate"]
    assert low == pytest.approx(min(base.value, counted.min()) - (base.value - base.low))
    assert high == pytest.approx(max(base.value, counted.max()) + (base.high - base.value))
    assert low <= min(base.low, counted.min()) <= max(base.high, counted.max()) <= high


def test_without_a_bootstrap_nothing_is_said_of_intervals_and_noise():
    found = windows(FIT)
    assert np.isnan([found.ratio, found.chance, *found.combined]).all()
    assert found.holds is None
    assert found.plainest is None
    assert "pass sf.bootstrap(fit)" in repr(found)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["holds"] is None


def test_a_scheme_that_a_window_has_no_units_for_leaves_it_without_an_interval():
    fit = sf.fit(sf.PowerLaw, RUNS, inputs="tokens")
    found = windows(sf.bootstrap(fit, sf.Wild(by="params"), resamples=20), over="params", cuts=[1e8 * 1.01])
    (row,) = found.to_frame().query("kind == 'up to'").to_dict("records")
    assert "no interval: column 'params' makes one cluster" in row["note"]
    assert np.isfinite(row["estimate"])
    assert np.isnan(row["estimate_low"])


# Pipelines and statistics.


def test_a_pipeline_is_run_on_every_window():
    whole = windows(lambda runs: sf.fit(sf.Chinchilla, runs), table=RUNS, over="flops", statistic="alpha")
    direct = windows(FIT, statistic="alpha")
    pd.testing.assert_frame_equal(whole.to_frame(), direct.to_frame(), rtol=1e-9)


def test_isoflops_are_a_pipeline():
    budgets = np.geomspace(1e18, 1e21, 7)
    params = np.concatenate([np.geomspace(0.2, 5, 9) * 0.1 * np.sqrt(budget) for budget in budgets])
    frame = pd.DataFrame({"params": params, "tokens": np.repeat(budgets, 9) / 6 / params})
    runs = sf.simulate(sf.HOFFMANN_2022, frame)
    found = windows(sf.isoflop, table=runs, over="flops", statistic={"a": lambda best: best.exponents().a})
    frame = found.to_frame()
    assert len(frame) > 8
    assert frame["counted"].all()
    assert frame["estimate"].tolist() == pytest.approx([0.4516] * len(frame), abs=0.01)


def test_a_pipeline_may_give_an_interval():
    def beta(runs):
        return sf.bootstrap(sf.fit(sf.Chinchilla, runs), sf.Wild(), resamples=50).interval("beta")

    found = windows(beta, table=RUNS, over="rank", statistic=lambda interval: interval)
    direct = windows(sf.bootstrap(FIT, sf.Wild(), resamples=50), over="rank", statistic="beta")
    columns = ["estimate", "estimate_low", "estimate_high"]
    pd.testing.assert_frame_equal(found.to_frame()[columns], direct.to_frame()[columns], rtol=1e-9)
    assert found.ratio == pytest.approx(direct.ratio)
    assert found.holds is None


def test_several_statistics_stand_beside_each_other():
    asked = {"slope": "alpha", "loss far out": {"params": 1e11, "tokens": 1e12}, "a": exponent}
    found = windows(FIT, statistic=asked)
    assert found.statistics == tuple(asked)
    for name, one in asked.items():
        alone = windows(FIT, statistic={name: one})
        assert found[name].moved == alone.moved
        pd.testing.assert_frame_equal(found[name].to_frame().reset_index(drop=True), alone.to_frame())
    assert found["loss far out"].estimate.value == FIT(1e11, 1e12)
    assert len(found.to_frame()) == 3 * len(found["a"].to_frame())
    moving = [line.strip() for line in repr(found).splitlines() if "the window moves" in line]
    assert [line.startswith(f"the window moves {name} by") for line, name in zip(moving, asked, strict=True)] == [
        True
    ] * 3


def test_the_default_statistic_is_the_exponent_that_matters():
    assert windows(FIT).statistics == ("allocation_exponent",)
    assert windows(sf.fit(sf.PowerLaw, LINE)).statistics == ("alpha",)
    fixed = sf.LawRegressor(sf.PowerLaw, fixed={"alpha": 0.25})
    assert windows(sf.fit(fixed, LINE)).statistics == ("E",)


def test_progress_counts_the_windows():
    seen = []
    found = windows(FIT, statistic="alpha", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, len(found.to_frame())) for number in range(1, len(found.to_frame()) + 1)]


def test_values_are_plain_for_json():
    found = windows(sf.bootstrap(FIT, resamples=50), statistic=["alpha", "beta"], cuts=[float(RUNS.flops.min()), 1e20])
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["statistics"]["alpha"]["moved"] == found.moved
    first = plain["statistics"]["beta"]["windows"]
    assert [row["rows"] for row in first] == found["beta"].to_frame()["rows"].tolist()
    assert first[2]["estimate"] is None


# Bad input.


@pytest.mark.parametrize(
    ("given", "options", "error", "words"),
    [
        (FIT, {"over": "loss"}, ValueError, "over must be one of 'flops', 'tokens', 'params', 'rank', not 'loss'"),
        (FIT, {"level": 95}, ValueError, "level must be between 0 and 1, such as 0.95, not 95"),
        (FIT, {"statistic": "gamma"}, ValueError, "no parameter 'gamma'; there are E, A, B, alpha, beta"),
        (FIT, {"statistic": []}, ValueError, "statistic is empty"),
        (FIT, {"statistic": {}}, ValueError, "statistic is empty"),
        (FIT, {"statistic": 3}, TypeError, "a statistic is a parameter, inputs to predict at, or a function"),
        (FIT, {"statistic": ["alpha", 3]}, TypeError, "function of a fit, not 3"),
        (FIT, {"statistic": [lambda f: 1.0, lambda f: 2.0]}, ValueError, "2 statistics are called 'statistic'"),
        (FIT, {"statistic": lambda f: [1.0, 2.0]}, TypeError, "a statistic is one number"),
        (FIT, {"cuts": []}, ValueError, "at least one number"),
        (FIT, {"cuts": ["a"]}, TypeError, "cuts must be numbers"),
        (FIT, {"cuts": [1e30]}, ValueError, "values among the rows"),
        (FIT, {"cuts": [float("nan")]}, ValueError, "one is nan"),
        (FIT, {"cuts": [1e19], "over": "rank"}, ValueError, "shares of the rows between 0 and 1"),
        (FIT, {"table": RUNS}, TypeError, "a fit has its own rows"),
        (sf.fit(sf.PowerLaw, LINE), {"over": "flops"}, ValueError, "no column 'flops'"),
        (sf.fit(sf.PowerLaw, LINE), {"over": "tokens"}, ValueError, "no column 'tokens'"),
        (RUNS, {}, TypeError, "windows takes what sf.fit or sf.bootstrap gave"),
        (sf.Chinchilla, {"table": RUNS}, TypeError, "lambda runs: sf.fit"),
        (sf.isoflop, {}, TypeError, "a pipeline needs table="),
        (lambda runs: sf.fit(sf.Chinchilla, runs).law, {"table": RUNS}, TypeError, "needs statistic="),
        (lambda runs: 3.0, {"table": RUNS, "statistic": "alpha"}, TypeError, "can be asked of a fit, not of a float"),
    ],
)
def test_bad_input_says_what_to_do(given, options, error, words):
    with pytest.raises(error, match=words.replace("(", r"\(")):
        windows(given, **options)


def test_curves_are_sent_to_a_pipeline():
    curves = sf.fit_curves(sf.PowerLaw, RUNS, along="tokens", at="params")
    for given in (curves, sf.bootstrap(curves, resamples=10)):
        with pytest.raises(TypeError, match="windows"):
            windows(given)


def test_an_unknown_statistic_of_the_result_is_refused():
    with pytest.raises(ValueError, match="there are alpha"):
        windows(FIT, statistic="alpha")["beta"]
