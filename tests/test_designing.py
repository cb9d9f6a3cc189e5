"""The next runs: the linear model against refits, a plan within its budget, a gain over chance, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from runs import missing_words, refusal
from scalefit.derived import allocation_exponent
from scalefit.designing import _slope, next_runs
from scalefit.flops import six_nd, with_inference
from scalefit.linearised import linearise

TRUTH = sf.HOFFMANN_2022
RATIOS = sf.grid(params=np.geomspace(1e8, 3e9, 6), ratio=np.geomspace(2, 200, 5))
DESIGN = RATIOS.assign(tokens=RATIOS["params"] * RATIOS["ratio"])[["params", "tokens"]]
FORECAST = {"params": 7e10, "tokens": 1.4e12}
MODEL = sf.LawRegressor(sf.Chinchilla, objective=sf.Squared("log"))


def runs_of(design, seed=0, noise=0.005):
    return sf.simulate(TRUTH, design[["params", "tokens"]], noise=noise, seed=seed)


FIT = sf.fit(MODEL, runs_of(DESIGN))
FOUND = next_runs(FIT)
BOOT = sf.bootstrap(FIT, resamples=200)


def type_refusal(function, *args, **options):
    with pytest.raises(TypeError) as error:
        function(*args, **options)
    return str(error.value)


# The linear model.


def by_lines(found, fit=FIT):
    """Standard error that the linear model gives, per standard error of the resamples."""
    near = linearise(fit)
    slope = _slope(near, allocation_exponent)
    return float(np.sqrt(slope @ near.covariance @ slope)) / found.standard_error


def test_the_standard_error_now_is_that_of_the_bootstrap_and_those_to_come_are_scaled_alike():
    assert FOUND.standard_error == pytest.approx(BOOT.standard_error(allocation_exponent), rel=1e-12)
    more = next_runs(sf.bootstrap(FIT, sf.Pairs(), resamples=300))
    ratio = more.standard_error / FOUND.standard_error
    assert ratio != 1
    assert more.plan["standard_error"].to_numpy() == pytest.approx(ratio * FOUND.plan["standard_error"].to_numpy())


def test_the_standard_error_by_lines_is_that_of_the_closed_form():
    near = linearise(FIT)
    alpha, beta = (near.names.index(name) for name in ("alpha", "beta"))
    law, slope = FIT.law, np.zeros(5)
    total = (law.alpha + law.beta) ** 2
    slope[alpha], slope[beta] = -law.beta / total, law.alpha / total
    closed = float(np.sqrt(slope @ near.covariance @ slope))
    assert FOUND.standard_error * by_lines(FOUND) == pytest.approx(closed, rel=1e-4)
    assert FOUND.estimate == allocation_exponent(FIT)


def test_the_standard_error_after_a_run_is_that_of_a_fit_that_has_it():
    # a run that lies on the fitted law changes no parameter, so the linear model of the larger fit is the same
    for row in FOUND.candidates.iloc[[0, 40, -1]].to_dict("records"):
        more = pd.DataFrame([{"params": row["params"], "tokens": row["tokens"]}])
        more["loss"] = FIT(more["params"], more["tokens"])
        runs = pd.concat([FIT.table.to_frame()[["params", "tokens", "loss"]], more], ignore_index=True)
        before, after = linearise(FIT), linearise(sf.fit(MODEL, sf.LossTable.from_frame(runs)))
        slope = _slope(after, allocation_exponent)
        se = float(np.sqrt(slope @ after.covariance @ slope)) * before.noise / after.noise
        assert row["standard_error"] * by_lines(FOUND) == pytest.approx(se, rel=1e-3)


def test_narrowed_and_per_flop_are_what_they_say_and_the_best_is_first():
    found = FOUND.candidates
    assert found["narrowed"].to_numpy() == pytest.approx(1 - found["standard_error"] / FOUND.standard_error)
    assert found["per_flop"].to_numpy() == pytest.approx(found["narrowed"] / found["flops"])
    assert found["narrowed"].is_monotonic_decreasing
    assert found["narrowed"].between(0, 1).all()
    assert FOUND.best == found.iloc[0].to_dict()
    assert FOUND.best_per_flop["per_flop"] == found["per_flop"].max()
    assert FOUND.best_per_flop["flops"] < FOUND.best["flops"] / 10  # why a budget is the better question


def test_a_forecast_asks_for_other_runs_than_an_exponent():
    forecast = next_runs(FIT, statistic=FORECAST)
    assert forecast.statistic == "loss at params 7e+10, tokens 1.4e+12"
    assert next_runs(FIT, statistic="alpha").best != next_runs(FIT, statistic="beta").best


def test_a_bootstrap_scales_the_standard_errors():
    boot = sf.bootstrap(FIT, sf.Wild(), resamples=200)
    scaled = next_runs(boot)
    ratio = boot.standard_error(allocation_exponent) / FOUND.standard_error
    assert scaled.standard_error == pytest.approx(ratio * FOUND.standard_error)
    assert scaled.plan["standard_error"].to_numpy() == pytest.approx(ratio * FOUND.plan["standard_error"].to_numpy())
    assert scaled.candidates["narrowed"].to_numpy() == pytest.approx(FOUND.candidates["narrowed"].to_numpy())
    assert "200 resamples" in repr(scaled)


# The plan.


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_plan_keeps_within_its_budget_and_count(count):
    found = next_runs(FIT, budget=2e20, count=count)
    assert 1 <= len(found.plan) <= count
    assert found.plan["flops"].sum() <= 2e20 * (1 + 1e-9)
    assert found.plan["standard_error"].is_monotonic_decreasing
    assert found.plan["standard_error"].iloc[-1] < found.standard_error


def test_one_planned_run_is_the_best_candidate():
    found = next_runs(FIT, count=1)
    assert found.plan.iloc[0].to_dict() == pytest.approx({name: found.best[name] for name in found.plan})


def test_a_plan_is_as_good_as_any_pair_of_candidates():
    some = sf.grid(params=np.geomspace(1e8, 3e9, 4), tokens=np.geomspace(1e9, 1e11, 4))
    found = next_runs(FIT, some, budget=1e21, count=2)
    near, J = linearise(FIT), linearise(FIT).rows(some.to_numpy())
    information = np.linalg.inv(near.covariance)
    step = 1e-5
    slope = np.array(
        [
            (allocation_exponent(near.moved(by)) - allocation_exponent(near.moved(-by))) / (2 * step)
            for by in step * np.eye(5)
        ]
    )
    cost, errors = six_nd(*some.to_numpy().T), []
    for i in range(len(some)):
        for j in range(i + 1):
            if cost[i] + cost[j] <= 1e21:
                more = np.outer(J[i], J[i]) + np.outer(J[j], J[j])
                errors.append(np.sqrt(slope @ np.linalg.solve(information + more / near.noise**2, slope)))
    assert len(found.plan) == 2
    assert found.plan["standard_error"].iloc[-1] * by_lines(found) == pytest.approx(min(errors), rel=1e-3)


def test_more_runs_are_planned_only_where_they_are_worth_it():
    best = [next_runs(FIT, count=count).plan["standard_error"].iloc[-1] for count in (1, 2, 3, 4)]
    planned = len(FOUND.plan)
    assert planned == next(n for n, error in enumerate(best, 1) if error * 0.98 <= min(best))


def test_next_runs_beat_random_ones_of_equal_cost():
    rng, errors = np.random.default_rng(0), []
    truth = TRUTH.beta / (TRUTH.alpha + TRUTH.beta)
    for seed in range(50):
        fit = sf.fit(MODEL, runs_of(DESIGN, seed))
        found = next_runs(fit, count=3)
        share = found.budget / len(found.plan)
        drawn = found.candidates[found.candidates["flops"].between(share / 2, share)]
        drawn = drawn.iloc[rng.integers(len(drawn), size=len(found.plan))]
        row = []
        for more in (found.plan, drawn):
            new = runs_of(more, 1000 + seed).to_frame()
            after = sf.fit(MODEL, sf.LossTable.from_frame(pd.concat([fit.table.to_frame(), new], ignore_index=True)))
            row.append(allocation_exponent(after) - truth)
        errors.append([allocation_exponent(fit) - truth, *row])
    before, chosen, random = np.sqrt(np.mean(np.square(errors), axis=0))
    assert chosen < 0.8 * before
    assert chosen < 0.9 * random


# Candidates and costs.


def test_default_candidates_stay_where_the_runs_are_or_above():
    made, runs = FOUND.candidates, FIT.table
    ratio = made["tokens"] / made["params"]
    assert FOUND.budget == six_nd(runs["params"], runs["tokens"]).max()
    assert made["flops"].max() <= FOUND.budget * (1 + 1e-9)
    assert ratio.min() >= 2 * (1 - 1e-9)
    assert ratio.max() <= 200 * (1 + 1e-9)
    assert made["params"].min() >= runs["params"].min() * (1 - 1e-9)
    assert next_runs(FIT, budget=1e25).candidates["params"].max() == pytest.approx(3e10)


def test_candidates_beyond_the_budget_are_left_out_and_said():
    some = sf.grid(params=[1e9, 1e10, 1e11], tokens=[1e11])
    found = next_runs(FIT, some, budget=1e22)
    assert found.candidates["params"].tolist() == [1e10, 1e9]
    assert "1 of 3 candidates are left out: they cost more than 1e+22 FLOPs" in repr(found)
    assert missing_words(refusal(next_runs, FIT, some, budget=1e18), "none of 3", "1e+18", "6e+20", "budget=") == []


def test_a_table_of_candidates_is_taken_too():
    table = runs_of(sf.grid(params=[1e9, 2e9], tokens=[1e10, 2e10]))
    assert set(next_runs(FIT, table).candidates["params"]) == {1e9, 2e9}


def test_the_cost_is_used():
    found = next_runs(FIT, cost=with_inference(1e12))
    made = found.candidates
    assert made["flops"].to_numpy() == pytest.approx(with_inference(1e12)(made["params"], made["tokens"]))
    assert "with_inference" in repr(found)


def test_a_law_of_flops_has_candidates_of_flops_and_one_of_params_needs_them():
    table = runs_of(DESIGN)
    flops = next_runs(sf.fit(sf.PowerLaw, table, inputs="flops"), statistic="alpha")
    assert flops.plan.columns.tolist() == ["flops", "standard_error"]
    sizes = sf.fit(sf.PowerLaw, table, inputs="params")
    assert missing_words(refusal(next_runs, sizes, statistic="alpha"), "needs candidates", "params") == []
    given = next_runs(sizes, sf.grid(params=[1e8, 1e9], tokens=[1e10]), statistic="alpha")
    assert given.plan.columns.tolist() == ["params", "tokens", "flops", "standard_error"]
    bare = sf.LossTable.from_frame(table.to_frame()[["params", "loss"]])
    refused = refusal(next_runs, sf.fit(sf.PowerLaw, bare), sf.grid(params=[1e8]), statistic="alpha")
    assert missing_words(refused, "what runs cost is not known", "flops") == []


# What is given back.


def test_the_print_says_the_plan_and_the_best_runs():
    lines = repr(FOUND).splitlines()
    assert lines[0].startswith("allocation_exponent 0.4")
    assert lines[1].startswith("  1. params ")
    assert [line[:13] for line in lines if line.startswith("best")] == ["best one run ", "best per FLOP"]
    json.loads(json.dumps(FOUND.to_dict(), allow_nan=False))
    assert FOUND.to_frame().columns.tolist()[-3:] == ["standard_error", "narrowed", "per_flop"]


def test_a_doubtful_fit_is_said():
    line = sf.grid(params=np.geomspace(1e8, 1e10, 10)).assign(tokens=lambda frame: 20 * frame["params"])
    found = next_runs(sf.fit(MODEL, runs_of(line)))
    assert any("Two inputs move together" in note for note in found.notes)


def test_runs_on_a_line_get_candidates_off_it_and_a_warning():
    line = sf.grid(params=np.geomspace(1e8, 1e10, 10)).assign(tokens=lambda frame: 20 * frame["params"])
    found = next_runs(sf.fit(MODEL, runs_of(line)))
    ratios = found.candidates["tokens"] / found.candidates["params"]
    assert (ratios.min(), ratios.max()) == pytest.approx((10, 40))
    assert any(note.startswith("the runs keep to 20 to 20 tokens per parameter") for note in found.notes)
    assert found.plan["standard_error"].iloc[-1] < 0.1 * found.standard_error  # on the line it would stay as it is
    assert any(note.startswith("one standard error away the law gives") for note in found.notes)
    assert not any("standard error away" in note or "keep to" in note for note in FOUND.notes)


def test_the_slope_by_an_offset_near_zero_is_not_rounding():
    near = linearise(FIT)
    place = near.names.index("E")
    tiny = linearise(near.moved(np.where(np.arange(5) == place, 1e-14 - near.at, 0.0)))
    assert _slope(tiny, FORECAST)[place] == pytest.approx(1.0, rel=1e-6)


# What is refused.


def test_a_family_of_a_joint_fit_is_refused():
    frame = pd.concat([runs_of(DESIGN, seed).to_frame().assign(data=str(seed)) for seed in (1, 2)])
    families = sf.fit(MODEL, sf.LossTable.from_frame(frame), by="data", shared=("alpha", "beta"))
    assert missing_words(refusal(next_runs, families["1"]), "one family of a joint fit", "(alpha, beta)") == []


@pytest.mark.parametrize("budget", ["1e21", [1e21, 1e22], True, None])
def test_a_budget_of_best_at_that_is_no_number_is_refused(budget):
    assert missing_words(refusal(sf.best_at, budget), "flops must be positive and finite", repr(budget)) == []


def test_bad_fits_and_statistics_are_refused():
    surface = sf.fit(sf.AnovaKernelRidge(), runs_of(DESIGN))
    assert missing_words(type_refusal(next_runs, surface), "surface", "sf.fit(sf.Chinchilla") == []
    assert missing_words(type_refusal(next_runs, DESIGN), "DataFrame") == []
    assert missing_words(type_refusal(next_runs, FIT, statistic=3), "statistic", "3") == []
    assert missing_words(refusal(next_runs, FIT, statistic="gamma"), "gamma", "alpha, beta") == []
    sizes = sf.fit(sf.PowerLaw, runs_of(DESIGN), inputs="flops")
    assert missing_words(refusal(next_runs, sizes), "allocation exponent", "statistic='alpha'") == []
    fixed = sf.fit(sf.LawRegressor(sf.Chinchilla, fixed={"E": 1.69}), runs_of(DESIGN))
    assert missing_words(refusal(next_runs, fixed, statistic="E"), "E depends on no free parameter", "A, B") == []
    assert missing_words(refusal(next_runs, FIT, statistic=lambda fit: np.nan), "no value") == []
    assert missing_words(type_refusal(next_runs, FIT, statistic=lambda fit: [1, 2]), "one number") == []


def test_bad_candidates_are_refused():
    cases = [
        (pd.DataFrame({"params": [1e9]}), ("no column tokens", "params, tokens")),
        (pd.DataFrame({"params": [], "tokens": []}), ("no rows",)),
        (sf.grid(params=[1e9, -1e9], tokens=[np.nan]), ("params of candidates", "-1000000000.0", "1 such rows")),
        (sf.grid(params=[1e9], tokens=[np.nan]), ("tokens of candidates", "nan")),
        (pd.DataFrame({"params": ["many"], "tokens": [1e9]}), ("must be numbers", "many")),
    ]
    for candidates, words in cases:
        assert missing_words(refusal(next_runs, FIT, candidates), *words) == []
    assert missing_words(type_refusal(next_runs, FIT, [1e9, 2e9]), "DataFrame", "list") == []


def test_bad_numbers_are_refused():
    for budget in (0, -1e20, np.nan, np.inf, "1e20", True):
        assert missing_words(refusal(next_runs, FIT, budget=budget), "budget", repr(budget)) == []
    for count in (0, 21, 2.5, True, "3"):
        assert missing_words(refusal(next_runs, FIT, count=count), "count", repr(count)) == []
    assert missing_words(type_refusal(next_runs, FIT, cost=6e20), "cost", "6e+20") == []
