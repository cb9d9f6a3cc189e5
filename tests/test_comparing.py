"""Two fits of one law: exponents, offsets, compute at equal loss, pairing, coverage, and what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.comparing import compare
from scalefit.equal_loss import law_of_one
from scalefit.fitting import fit
from scalefit.sides import resample_both

OLD, NEW = sf.PowerLaw(E=1.6, A=95, alpha=0.1), sf.PowerLaw(E=1.6, A=90, alpha=0.1)
BUDGETS = sf.grid(flops=np.geomspace(1e18, 1e21, 12))
PINNED = sf.LawRegressor(sf.PowerLaw, fixed={"E": 1.6})
PLANE = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 5))


@dataclass(frozen=True)
class TwoPowers(sf.SeparableLaw):
    E: float
    A: float
    B: float
    alpha: float
    beta: float
    inputs: ClassVar = ("tokens",)
    terms: ClassVar = (sf.Term("A", "alpha"), sf.Term("B", "beta"))


def runs(law, design=BUDGETS, *, noise=0.002, seed=0, common=0.0):
    """Runs whose noise has a part that tables of one design share."""
    n = len(design)
    shared = common * np.random.default_rng(10_000 + seed // 2).standard_normal(n)
    columns = [design[name].to_numpy() for name in design.columns if name != "run"]
    error = noise * np.random.default_rng(seed).standard_normal(n) + shared
    return sf.LossTable.from_frame(design.assign(loss=law(*columns) * np.exp(error)))


def two(first=NEW, second=OLD, model=PINNED, **options):
    return (sf.fit(model, runs(first, seed=0, **options)), sf.fit(model, runs(second, seed=1, **options)))


def needed(law, loss):
    return ((loss - law.E) / law.A) ** (-1 / law.alpha)


# What is said.


def test_with_one_offset_and_one_exponent_the_multiplier_is_the_closed_form_at_every_loss():
    frame = pd.concat([runs(law, seed=s).to_frame().assign(data=name)
                       for s, (name, law) in enumerate({"new": NEW, "old": OLD}.items())])  # fmt: skip
    families = fit(PINNED, sf.LossTable.from_frame(frame), by="data", shared="alpha")
    both = compare(families["new"], families["old"], at=[1e17, 1e19, 1e22], resamples=200)
    ratio = families["old"].law.A / families["new"].law.A
    closed = ratio ** (1 / families.parameters["alpha"])
    for one in both.multipliers:
        assert one.estimate == pytest.approx(closed, rel=1e-9)
        assert one.low < (95 / 90) ** 10 < one.high
        assert one.low == pytest.approx(both.multipliers[0].low, rel=1e-6)
    assert both.differences == ()  # alpha is shared, E fixed


def test_ratios_of_exponents_and_differences_of_offsets():
    a, b = two(sf.PowerLaw(E=1.6, A=90, alpha=0.10), sf.PowerLaw(E=1.7, A=200, alpha=0.12), sf.PowerLaw)
    both = compare(a, b, resamples=200)
    by_name = {one.statistic: one for one in both.differences}
    assert by_name["alpha, second / first"].estimate == pytest.approx(b.law.alpha / a.law.alpha)
    assert by_name["E, second - first"].estimate == pytest.approx(b.law.E - a.law.E)
    low, high = by_name["alpha, second / first"]
    assert low < 1.2 < high


def test_the_other_way_round_is_the_inverse():
    a, b = two(model=sf.PowerLaw)
    there, back = compare(a, b, loss=2.6, resamples=300), compare(b, a, loss=2.6, resamples=300)
    assert there.multipliers[0].estimate == pytest.approx(1 / back.multipliers[0].estimate)
    assert there.multipliers[0].low == pytest.approx(1 / back.multipliers[0].high, rel=1e-6)


def test_compute_of_a_plane_is_the_budget_that_the_second_needs():
    first, second = sf.HOFFMANN_2022, sf.Chinchilla(E=1.7, A=420, B=430, alpha=0.34, beta=0.28)
    a, b = sf.fit(sf.Chinchilla, runs(first, PLANE)), sf.fit(sf.Chinchilla, runs(second, PLANE, seed=1))
    both = compare(a, b, at=1e20, resamples=50)
    target = float(sf.compute_optimal(a, 1e20).loss[0])
    assert both.quantity == "flops"
    assert both.multipliers[0].estimate == pytest.approx(sf.budget_for(b, target) / 1e20, rel=1e-6)


@pytest.mark.parametrize("flops", [1e18, 1e21, 1e25])
def test_the_law_of_budgets_is_what_the_best_models_reach(flops):
    a = sf.fit(sf.Chinchilla, runs(sf.HOFFMANN_2022, PLANE))
    one = law_of_one(sf.Chinchilla, ("params", "tokens"), a.parameters)
    assert one.loss(flops)[0] == pytest.approx(float(sf.compute_optimal(a, flops).loss[0]), rel=1e-9)


def test_of_one_input_it_is_a_multiplier_of_that_input_also_for_exponentials():
    design = sf.grid(tokens=np.linspace(1e9, 2e10, 12))
    law = sf.Exponential(E=2.0, A=1.5, alpha=2e-10)
    other = sf.Exponential(E=2.0, A=1.5, alpha=1e-10)
    a, b = (sf.fit(sf.Exponential, runs(one, design, seed=s)) for s, one in enumerate((law, other)))
    both = compare(a, b, at=5e9, resamples=200)
    assert both.quantity == "tokens"
    assert both.multipliers[0].statistic == "tokens, second / first, at tokens 5e+09"
    target = a(5e9)
    assert b(5e9 * both.multipliers[0].estimate) == pytest.approx(target)
    low, high = both.multipliers[0]
    assert low < 2 < high


def test_by_default_the_inputs_that_both_have_are_asked_for():
    later = sf.grid(flops=np.geomspace(1e20, 1e22, 12))
    a, b = sf.fit(PINNED, runs(NEW)), sf.fit(PINNED, runs(OLD, later, seed=1))
    both = compare(a, b, resamples=20)
    assert [one.statistic.rpartition(" ")[2] for one in both.multipliers] == ["1e+20", "3.162e+20", "1e+21"]
    apart = sf.fit(PINNED, runs(OLD, sf.grid(flops=np.geomspace(1e22, 1e24, 12)), seed=1))
    assert "1e+18" in compare(a, apart, resamples=20).multipliers[0].statistic


def test_a_loss_that_one_never_reaches_has_no_multiplier_and_says_so():
    floor = sf.PowerLaw(E=2.4, A=95, alpha=0.1)
    a, b = two(NEW, floor, sf.PowerLaw)
    one = compare(a, b, loss=2.0, resamples=100).multipliers[0]
    assert one.refused
    assert np.isnan([one.estimate, one.low, one.high]).all()
    assert "the law of the second never falls to 2" in one.notes[0]


def test_an_end_is_infinite_where_some_refits_never_reach_the_loss():
    steep = sf.PowerLaw(E=2.0, A=95, alpha=0.1)
    a, b = two(NEW, steep, sf.PowerLaw, noise=0.004)
    loss = b.law.E + 0.01
    both = compare(a, b, loss=loss, resamples=200)
    one = both.multipliers[0]
    assert np.isfinite(one.estimate)
    assert np.isinf(one.high)
    assert one.low > 0
    assert "no end there" in both.notes[0]
    assert both.to_dict()["intervals"][-1]["high"] is None


def test_far_beyond_the_runs_is_doubted():
    a, b = two(model=sf.PowerLaw)
    assert sf.Doubt.FAR in {doubt for doubt, _ in compare(a, b, at=1e25, resamples=100).multipliers[0].doubts}
    assert sf.Doubt.FAR not in {doubt for doubt, _ in compare(a, b, at=1e20, resamples=100).multipliers[0].doubts}


@pytest.mark.parametrize("statistic", ["A", {"flops": 1e22}, lambda one: one(1e22)])
def test_any_statistic_can_be_subtracted(statistic):
    a, b = two()
    both = compare(a, b, statistic=statistic, resamples=100)
    value = (lambda one: one.law.A) if statistic == "A" else (lambda one: one(1e22))
    assert both.differences[-1].estimate == pytest.approx(value(b) - value(a))
    assert np.isfinite(both.differences[-1].high)


@pytest.mark.parametrize("statistic", [sf.best_at(1e22, "params"), "B"])
def test_differences_of_large_statistics_have_finite_ends(statistic):
    first, second = (sf.fit(sf.Chinchilla, runs(sf.HOFFMANN_2022, PLANE, seed=seed)) for seed in (0, 1))
    one = compare(first, second, statistic=statistic, resamples=100).differences[-1]
    assert np.all(np.isfinite([one.low, one.high, one.standard_error]))
    assert one.standard_error > 1
    assert one.low < one.estimate < one.high
    assert one.high - one.low < 40 * one.standard_error


@pytest.mark.parametrize("share", [0.015, 0.02, 0.2, 1.0])
def test_an_end_on_the_way_to_infinite_draws_is_infinite(share):
    both = resample_both(two(), None, None, resamples=200, seed=0, level=0.95)
    values = np.linspace(-1.0, 1.0, 200)
    values[values >= np.quantile(values, 1 - share)] = np.inf
    made = both.interval("any", lambda a, b: b, lambda side, drawn: values if drawn else np.zeros(1))
    assert made.high == np.inf
    assert made.low == np.inf if share == 1 else -1 <= made.low < 0
    assert made.standard_error == np.inf


def test_a_doubt_about_all_intervals_is_said_without_their_names():
    few = sf.grid(flops=np.geomspace(1e18, 1e21, 5))
    shown = repr(compare(*(sf.fit(PINNED, runs(law, few, seed=s)) for s, law in enumerate((NEW, OLD))), resamples=50))
    assert "\nall: " in shown
    assert "\nalpha, second / first, flops" not in shown


def test_it_prints_and_converts():
    both = compare(*two(), resamples=100)
    assert repr(both).startswith("ok ")
    assert "paired by inputs" in repr(both)
    assert both.to_frame()["statistic"].tolist()[0] == "alpha, second / first"
    assert json.loads(json.dumps(both.to_dict(), allow_nan=False))["quantity"] == "flops"


# How sure it is.


def test_pairing_cancels_the_noise_that_both_share():
    a, b = two(common=0.01)
    named = [sf.fit(PINNED, runs(law, BUDGETS.assign(flops=BUDGETS["flops"] * factor, run=range(12)), seed=s,
                                 common=0.01)) for s, law, factor in ((0, NEW, 1.0), (1, OLD, 1.01))]  # fmt: skip
    paired, apart = compare(a, b, at=1e19, resamples=400), compare(*named, at=1e19, resamples=400)
    by_name = compare(*named, at=1e19, by="run", resamples=400)
    assert (paired.paired, apart.paired, by_name.paired) == ("inputs", "", "run")
    widths = [np.log(one.multipliers[0].high / one.multipliers[0].low) for one in (paired, by_name, apart)]
    assert max(widths[:2]) < 0.5 * widths[2]


def test_intervals_of_the_multiplier_cover_paired_or_not():
    first, second = sf.PowerLaw(E=1.6, A=120, alpha=0.12), sf.PowerLaw(E=1.62, A=118, alpha=0.118)
    other = sf.grid(flops=np.geomspace(1.3e18, 0.8e21, 10))
    design = sf.grid(flops=np.geomspace(1e18, 1e21, 10))
    truth = needed(second, first(3e19)) / 3e19
    hits = {"inputs": 0, "": 0}
    for s in range(30):
        a = sf.fit(sf.PowerLaw, runs(first, design, seed=2 * s, common=0.004))
        for grid in (design, other):
            b = sf.fit(sf.PowerLaw, runs(second, grid, seed=2 * s + 1, common=0.004))
            both = compare(a, b, at=3e19, resamples=200, seed=s)
            low, high = both.multipliers[0]
            hits[both.paired] += low < truth < high
    # of 30 at 95 %, fewer than 25 has a chance under one in a hundred
    assert hits["inputs"] >= 25
    assert hits[""] >= 25


def test_the_seed_and_the_bootstraps_scheme_are_kept():
    a, b = two()
    one, same, other = (compare(a, b, resamples=100, seed=s).multipliers[0] for s in (1, 1, 2))
    assert tuple(one) == tuple(same) != tuple(other)
    pairs = [sf.bootstrap(x, sf.Pairs(), resamples=10) for x in (a, b)]
    assert tuple(compare(*pairs, resamples=100, seed=1).multipliers[0]) != tuple(one)
    with pytest.raises(ValueError, match="resampled in two ways"):
        compare(pairs[0], sf.bootstrap(b, resamples=10))


def test_few_rows_are_doubted_with_the_name_of_the_side():
    few = sf.grid(flops=np.geomspace(1.1e18, 1e21, 7))
    a, b = sf.fit(PINNED, runs(NEW)), sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 1.6}), runs(OLD, few, seed=1))
    notes = compare(a, b, resamples=200, level=0.8).multipliers[0].notes
    assert not any("first" in note for note in notes)
    three = sf.fit(PINNED, runs(OLD, few.iloc[:3], seed=1))
    refused = compare(a, three, resamples=200).multipliers[0]
    assert refused.refused
    assert any(note.startswith("second:") for note in refused.notes)


# What cannot be compared.


def test_laws_that_differ_are_refused():
    a, b = two()
    plane = sf.fit(sf.Chinchilla, runs(sf.HOFFMANN_2022, PLANE))
    with pytest.raises(ValueError, match="not one law of the same columns"):
        compare(a, plane)
    broken = sf.fit(sf.BrokenPowerLaw, runs(NEW))
    with pytest.raises(TypeError, match="sums of powers or exponentials"):
        compare(broken, broken)
    surface = sf.fit(sf.AnovaKernelRidge(), runs(sf.HOFFMANN_2022, PLANE))
    with pytest.raises(TypeError, match="sums of powers or exponentials"):
        compare(surface, surface)
    with pytest.raises(TypeError, match="compare needs two fits"):
        compare(a, sf.PowerLaw)
    upward = sf.LawRegressor(sf.PowerLaw, objective=sf.Huber(0.1, upward=0.5))
    with pytest.raises(ValueError, match="differ in upward"):
        compare(sf.fit(upward, a.table), b)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at": 1e19, "loss": 2.5}, "not both"),
        ({"at": -1.0}, "at must be positive"),
        ({"at": []}, "at must be positive"),
        ({"loss": np.nan}, "loss must be positive"),
        ({"level": 95}, "level must be between 0 and 1"),
        ({"resamples": 1}, "resamples must be"),
        ({"seed": -1}, "seed must be"),
        ({"by": "nope"}, "nope"),
        ({"by": "loss"}, "pairs no runs"),
        ({"statistic": "gamma"}, "no parameter 'gamma'"),
    ],
)
def test_bad_input_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        compare(*two(), **options)


def test_families_are_compared_within_one_joint_fit():
    frame = pd.concat([runs(law, seed=s).to_frame().assign(data=name)
                       for s, (name, law) in enumerate({"a": NEW, "b": OLD, "c": OLD}.items())])  # fmt: skip
    table = sf.LossTable.from_frame(frame)
    families, again = (fit(sf.PowerLaw, table, by="data", shared="alpha") for _ in range(2))
    both = compare(families["a"], families["c"], resamples=100)
    assert [one.statistic for one in both.differences] == ["E, second - first"]
    with pytest.raises(ValueError, match="both are the family 'a'"):
        compare(families["a"], families["a"])
    with pytest.raises(ValueError, match="not of the same"):
        compare(families["a"], again["b"])
    with pytest.raises(ValueError, match="not of the same"):
        compare(families["a"], families.separate["b"])
    with pytest.raises(TypeError, match="compare takes two families"):
        compare(families, families)


def test_other_laws_of_two_terms_have_no_multiplier_but_the_rest():
    design = sf.grid(tokens=np.geomspace(1e6, 1e10, 30))
    law = TwoPowers(E=1.5, A=200.0, B=4e4, alpha=0.25, beta=0.8)
    a, b = (sf.fit(TwoPowers, runs(law, design, noise=0.001, seed=s)) for s in (0, 1))
    both = compare(a, b, resamples=50)
    assert both.multipliers == ()
    assert "no multiplier" in both.notes[0]
    with pytest.raises(ValueError, match="no formula"):
        compare(a, b, at=1e8)
