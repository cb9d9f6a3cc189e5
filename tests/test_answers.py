"""What to train at a budget: read off a frontier, or by the lines of its exponents, with intervals of both."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.answers import LEAST, Answer, Lines, make_plan, read_off, round_budgets
from scalefit.kernel import AnovaKernelRidge

LADDER = [1e19, 1e20, 1e21, 1e22, 1e23]
METHODS = ["percentile_t", "bca"]


@pytest.fixture(scope="module")
def runs():
    design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e10, 1e12, 5))
    return sf.simulate(sf.HOFFMANN_2022, design, noise=0.002, seed=1)


@pytest.fixture(scope="module")
def boot(runs):
    return sf.bootstrap(sf.fit(sf.Chinchilla, runs), sf.Wild(), resamples=300)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("budget", [3e20, 1e25])
def test_lines_of_a_law_say_what_the_law_says(runs, boot, budget, method):
    # the optima of a sum of two powers lie on lines, and their losses on a power law: nothing is lost by the lines
    best = sf.compute_optimal(boot, LADDER)
    by_lines = Lines(best, best.exponents(), runs).answer(budget, 0.9, method)
    (direct,) = read_off(sf.compute_optimal(boot, budget), 0.9, method)
    assert by_lines.numbers == pytest.approx(direct.numbers, rel=1e-6)
    assert by_lines.reach == pytest.approx(direct.reach, abs=1e-6)
    assert by_lines.intervals.keys() == direct.intervals.keys() == by_lines.numbers.keys()
    for name, interval in by_lines.intervals.items():
        other = direct.intervals[name]
        assert interval.doubts == other.doubts
        # the law of the loss is fitted anew for every refit, by Huber's loss on five points: to 1e-4 of a nat
        assert [*interval] == pytest.approx([*other], **({"abs": 1e-4} if name == "loss" else {"rel": 1e-6}))
        assert interval.level == 0.9
        assert interval.method == method


def test_an_answer_is_read_off_where_it_can_be(runs):
    surface = sf.fit(AnovaKernelRidge(), runs)
    inside, outside = 1e21, 1e25

    def read(budgets):
        return sf.compute_optimal(surface, budgets)

    plan = make_plan(read(LADDER), runs, [outside, inside], fit=surface, read=read)
    assert [answer.flops for answer in plan.answers] == [outside, inside]
    assert [answer.by_lines for answer in plan.answers] == [True, False]
    assert plan.answers[1].numbers["params"] == read([inside]).params[0]
    assert plan.answers[0].numbers["params"] == plan.exponents.params(outside)
    assert plan.ok


def test_without_budgets_the_answers_are_those_of_the_frontier(runs):
    best = sf.compute_optimal(sf.fit(sf.Chinchilla, runs), LADDER)
    plan = make_plan(best, runs, [])
    assert [answer.numbers["params"] for answer in plan.answers] == best.params.tolist()
    assert not any(answer.by_lines for answer in plan.answers)


def test_a_frontier_without_exponents_says_why_and_answers_what_it_can(runs):
    fitted = sf.fit(sf.Chinchilla, runs)

    def read(budgets):
        return sf.compute_optimal(fitted, budgets)

    plan = make_plan(read([1e21]), runs, [1e22], read=read)
    assert plan.exponents is None
    assert "two budgets" in plan.why
    assert plan.ok
    nothing = make_plan(read([1e21]), runs, [1e22])
    assert not nothing.ok
    assert nothing.answers[0].where == "none found"
    with pytest.raises(ValueError, match="two budgets"):
        make_plan(read([1e21]), runs, [1e22], window=(1e20, 1e22))


def test_an_optimum_at_an_edge_is_no_answer():
    numbers = dict.fromkeys(("params", "tokens", "loss", "tokens_per_param"), 1.0)
    assert Answer(1e20, numbers).ok
    assert not Answer(1e20, numbers, at_edge=True).ok
    assert not Answer(1e20, numbers | {"tokens": float("nan")}).ok


def test_a_plan_is_refused_when_all_its_intervals_are(runs):
    few = sf.bootstrap(sf.fit(sf.Chinchilla, runs), sf.Wild(), resamples=20)
    best = sf.compute_optimal(few, LADDER)
    assert make_plan(best, runs, []).refused
    assert not make_plan(best, runs, [], level=0.5).refused
    assert not make_plan(sf.compute_optimal(few.base, LADDER), runs, []).refused


@pytest.mark.parametrize("low", [1.3e17, 6e18, 9.99e19])
@pytest.mark.parametrize("span", [1.5, 8.0, 90.0, 4e3, 1e9])
def test_round_budgets_lie_within_and_are_enough(low, span):
    found = round_budgets(low, low * span)
    assert found == sorted(set(found))
    assert low <= found[0] * (1 + 1e-12)
    assert found[-1] <= low * span * (1 + 1e-12)
    assert len(found) >= (LEAST if span > 100 else 2)


def test_the_law_of_the_loss_is_that_of_the_exponents(runs):
    surface = sf.fit(AnovaKernelRidge(ridge=0.01), runs)
    boot = sf.bootstrap(surface, sf.Wild(residuals="plain"), resamples=200)
    best = sf.compute_optimal(boot, [7e18, 3e19, 1e20, 3e20, 1e21, 3e21, 1e22, 5e22])
    assert not best.draws.optima.bracketed.all()  # refits in which not all budgets count
    found = best.exponents(level=0.8)
    (loss, E) = Lines(best, found, runs).answer(1e300, 0.8).intervals["loss"], found.intervals["E"]
    assert [*loss] == pytest.approx([*E], abs=1e-6)  # what is above E is gone there
    assert loss.standard_error == pytest.approx(E.standard_error, rel=1e-3)
