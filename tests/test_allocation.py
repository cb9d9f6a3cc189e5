"""Compute-optimal models: closed form, search, costs, surfaces, bands, exponents, and questions the other way round."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.tree import DecisionTreeRegressor

import scalefit as sf
from scalefit import flops

BUDGETS = np.geomspace(1e19, 1e23, 5)
DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=np.geomspace(1e9, 1e11, 8))


def six_by_another_name(params, tokens):
    return 6.0 * params * tokens


def surface(noise=0.0, seed=0):
    runs = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=noise, seed=seed)
    return sf.fit(KernelRidge(kernel="rbf", gamma=0.1, alpha=1e-8), runs)


def law(noise=0.0, seed=0):
    return sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=noise, seed=seed))


# Both ways to the optimum.


def test_the_search_finds_the_closed_form():
    fitted = law(noise=0.01)
    closed = sf.compute_optimal(fitted, BUDGETS)
    searched = sf.compute_optimal(fitted, BUDGETS, cost=six_by_another_name)
    assert "closed form" in closed.source
    assert "by search, C = six_by_another_name(N, D)" in searched.source
    for name in ("params", "tokens", "loss"):  # the parabola through steps of 1e-4 is good to their square
        np.testing.assert_allclose(getattr(searched, name), getattr(closed, name), rtol=1e-7)


def test_the_closed_form_is_that_of_hoffmann():
    fitted = law()
    C = 5.88e23
    best = sf.compute_optimal(fitted, C)
    p = fitted.law
    G = (p.alpha * p.A / (p.beta * p.B)) ** (1 / (p.alpha + p.beta))
    a = p.beta / (p.alpha + p.beta)
    np.testing.assert_allclose(best.params, G * (C / 6) ** a, rtol=1e-12)
    np.testing.assert_allclose(best.tokens, (C / 6) ** (1 - a) / G, rtol=1e-12)
    np.testing.assert_allclose(best.loss, fitted(best.params, best.tokens), rtol=1e-12)


def test_no_model_on_the_budget_is_better():
    best = sf.compute_optimal(law(noise=0.01), BUDGETS)
    fitted = law(noise=0.01)
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert np.all(fitted(best.params * factor, best.tokens / factor) > best.loss)


def test_the_published_surface_has_its_published_optimum():
    runs = sf.load("chinchilla").where("kept")
    best = sf.compute_optimal(sf.fit(sf.Chinchilla, runs), 5.88e23)
    np.testing.assert_allclose(best.tokens_per_param, 17.91, rtol=1e-3)  # D / N of the exact optimum


def test_a_surface_of_the_law_finds_its_optimum():
    inside = np.geomspace(1e19, 1e21, 4)
    found = sf.compute_optimal(surface(), inside)
    exact = sf.compute_optimal(law(), inside)
    assert found.ok
    np.testing.assert_allclose(found.params, exact.params, rtol=0.02)  # of a surface through 64 runs
    np.testing.assert_allclose(found.loss, exact.loss, rtol=1e-4)
    assert 0 < found.apart < 1e-4
    assert found.notes == ()
    assert exact.apart is None


def test_the_order_of_inputs_does_not_matter():
    runs = sf.simulate(sf.HOFFMANN_2022, DESIGN)
    model = KernelRidge(kernel="rbf", gamma=0.1, alpha=1e-8)
    one, other = (sf.fit(model, runs, inputs=names) for names in (("params", "tokens"), ("tokens", "params")))
    np.testing.assert_allclose(
        sf.compute_optimal(one, 1e20).params, sf.compute_optimal(other, 1e20).params, rtol=1e-6
    )  # fmt: skip


# Costs.


def test_a_dearer_token_buys_a_larger_model():
    fitted = law()

    def with_data(params, tokens):
        return 6.0 * params * tokens + 1e10 * tokens

    dear = sf.compute_optimal(fitted, 1e20, cost=with_data)
    np.testing.assert_allclose(with_data(dear.params, dear.tokens), 1e20, rtol=1e-12)
    assert dear.params[0] > sf.compute_optimal(fitted, 1e20).params[0]


@pytest.mark.parametrize(
    ("cost", "kind", "words"),
    [
        (lambda N, D: np.full(np.shape(N), np.nan), ValueError, ("nan", "params", "tokens", "625 of 625")),
        (lambda N, D: 1e30 / (N * D), ValueError, ("must increase in params",)),
        (lambda N, D: N + 0 * D, ValueError, ("must increase in tokens",)),
        (lambda N, D: 5.0, TypeError, ("one number for each pair",)),
        ("6ND", TypeError, ("six_nd", "'6ND'")),
        (lambda N, D: -6 * N * D, ValueError, ("positive",)),
    ],
)
def test_a_bad_cost_is_refused(cost, kind, words):
    with pytest.raises(kind) as error:
        sf.compute_optimal(law(), 1e20, cost=cost)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_table_of_another_cost_is_told_so():
    runs = sf.simulate(sf.HOFFMANN_2022, DESIGN)
    frame = runs.to_frame().assign(flops=lambda frame: 6 * frame["params"] * frame["tokens"] * 1.3)
    best = sf.compute_optimal(sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame)), 1e20)
    assert any("1.30 to 1.30 times 6 N D" in note for note in best.notes)
    assert sf.compute_optimal(law(), 1e20).notes == ()


def test_the_flops_of_cerebras_gpt_are_not_six_n_d():
    runs = sf.load("cerebras_gpt")
    runs = runs.where(runs["family"] == "cerebras-gpt")
    surface = sf.fit(KernelRidge(kernel="rbf", alpha=1e-3), runs)  # its seven runs have 20 tokens per parameter each
    (note,) = sf.compute_optimal(surface, runs.flops).notes
    assert "1.16 to 1.76 times 6 N D" in note


# Edges.


def test_budgets_beyond_the_runs_of_a_surface_have_no_bracketed_optimum():
    best = sf.compute_optimal(surface(), [1e10, 3e17 * 2, 1e20, 5.9e21, 1e26])
    assert best.at_edge[3]
    assert np.isnan(best.params[[0, 4]]).all()
    assert np.isnan(best.loss[[0, 4]]).all()
    assert best.bracketed[2]
    assert not best.ok
    assert repr(best).startswith("NOT OK")


def test_a_loss_that_falls_nowhere_has_no_bracketed_optimum():
    rng = np.random.default_rng(0)
    frame = DESIGN.assign(loss=2.5 * np.exp(0.1 * np.log(DESIGN["params"] / 1e9)) + 0 * rng.random(len(DESIGN)))
    rising = sf.fit(KernelRidge(kernel="rbf", gamma=0.1, alpha=1e-8), sf.LossTable.from_frame(frame))
    best = sf.compute_optimal(rising, [1e20])
    assert best.at_edge.all()
    with pytest.raises(ValueError, match="two budgets with a bracketed optimum"):
        best.exponents()


def test_the_reach_beyond_the_runs_is_in_decades():
    best = sf.compute_optimal(law(), [1e20, 1e24])
    assert best.reach[0] == 0
    expected = max(np.log10(best.params[1] / 1e10), np.log10(best.tokens[1] / 1e11))
    np.testing.assert_allclose(best.reach[1], expected)


@pytest.mark.parametrize("budget", [0, -1e20, np.inf, np.nan, [1e20, 0]])
def test_a_budget_must_be_positive_and_finite(budget):
    with pytest.raises(ValueError, match="budget must be positive and finite"):
        sf.compute_optimal(law(), budget)


def test_what_is_no_fit_of_params_and_tokens_is_refused():
    curve = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    for what, word in ((curve, "a fit of params"), (sf.HOFFMANN_2022, "Chinchilla"), (None, "NoneType")):
        with pytest.raises(TypeError, match=word):
            sf.compute_optimal(what, 1e20)
    with pytest.raises(ValueError, match="points must be"):
        sf.compute_optimal(law(), 1e20, points=3)
    with pytest.raises(ValueError, match="shape"):
        sf.compute_optimal(law(), [[1e20]])


def table_of(loss):
    return sf.LossTable.from_frame(DESIGN.assign(loss=loss(DESIGN["params"], DESIGN["tokens"])))


def test_a_fit_that_is_not_ok_has_no_frontier_that_is():
    rising = sf.fit(sf.Chinchilla, table_of(lambda N, D: 1 + (N / 1e8) ** 0.1 + (D / 1e9) ** 0.1))
    best = sf.compute_optimal(rising, [1e20])
    assert not rising.ok
    assert not best.ok
    assert repr(best).startswith("NOT OK  the fit: ")
    assert best.to_dict()["doubts"] == [f"the fit: {note}" for note in rising.notes]


def test_a_surface_that_rises_both_ways_says_so():
    table = table_of(lambda N, D: 1 + (N / 1e8) ** 0.1 + (D / 1e9) ** 0.1)
    best = sf.compute_optimal(sf.fit(KernelRidge(kernel="rbf", gamma=0.1, alpha=1e-8), table), [1e19, 1e20])
    assert best.bracketed.all()
    assert not best.ok
    assert "at 2 of 2 optima, the first at 1e+19 FLOPs, a larger model" in best.doubts[0]
    assert "the lowest loss rises from" in best.rises[0]


def test_a_surface_of_steps_says_that_its_routes_disagree():
    steps = sf.fit(DecisionTreeRegressor(max_depth=4, random_state=0), sf.simulate(sf.HOFFMANN_2022, DESIGN))
    best = sf.compute_optimal(steps, [1e20, 3e20])
    assert best.apart > 0.05
    assert not best.ok
    assert any("made of steps" in doubt for doubt in best.doubts)


def test_three_runs_are_no_surface():
    frame = sf.grid(params=[1e8, 1e9, 1e10]).assign(tokens=[1e9, 5e10, 2e10], loss=[3.0, 2.5, 2.4])
    assert sf.fit(sf.AnovaKernelRidge(), sf.LossTable.from_frame(frame)).status is sf.Status.NO_SPARE_ROWS


def test_a_far_optimum_is_noted_without_a_bootstrap():
    assert "over 2 decades beyond the runs" in sf.compute_optimal(law(), [1e20, 1e30]).notes[0]
    assert sf.compute_optimal(law(), [1e20]).notes == ()


def shifted(shifts, noise=0.002, **columns):
    """Chinchilla fit of runs, and these from the nearest to 20 tokens per parameter on; some are moved by a share."""
    frame = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=noise).to_frame().assign(**columns)
    near = np.argsort(np.abs(np.log(20 * frame.params / frame.tokens)), kind="stable")
    for place, share in shifts.items():
        frame.loc[near[place], "loss"] *= 1 + share
    weights = "weight" if "weight" in columns else None
    return sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame), weights=weights), frame.loc[near].reset_index()


@pytest.mark.parametrize("cost", [flops.six_nd, flops.with_inference(1e10)])
def test_a_run_that_is_better_than_the_best_is_named(cost):
    """Whoever reads the frontier would take it for the least that can be had."""
    fit, runs = shifted({0: -0.05})
    (note,) = sf.compute_optimal(fit, [1e20], cost=cost).notes
    run = runs.loc[0]
    least = sf.compute_optimal(fit, [float(cost(run.params, run.tokens))], cost=cost).loss[0]
    assert note.startswith(
        f"1 run is better than the best that the law has for the same budget: params {run.params:.4g}"
    )
    assert f"has loss {run.loss:.4g}, the law {least:.4g}. Unless" in note
    assert fit.predicted[fit.table.loss == run.loss][0] > least  # not the law at its own size


def test_of_several_better_runs_the_lowest_is_named():
    fit, runs = shifted({0: -0.03, 1: -0.03, 2: -0.03})
    lowest = runs.loc[runs.loc[:2, "loss"].idxmin()]
    (note,) = sf.compute_optimal(fit, [1e20]).notes
    assert note.startswith("3 runs are better")
    assert f"has loss {lowest.loss:.4g}" in note


@pytest.mark.parametrize(("shifts", "noise"), [
    ({}, 0.01),  # noise alone
    ({0: -0.02}, 0.02),  # less than three of its deviations
    ({0: -0.004}, 0.0),  # any number of them, but not half a percent
    ({63: -0.03}, 0.002),  # off, but far from the best for its budget
])  # fmt: skip
def test_a_run_that_may_be_chance_is_not_named(shifts, noise):
    assert sf.compute_optimal(shifted(shifts, noise)[0], [1e20]).notes == ()


def test_more_runs_reach_further_by_chance():
    runs = pd.concat([DESIGN.assign(seed=seed) for seed in range(60)], ignore_index=True)
    some = sum(
        bool(sf.compute_optimal(sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, runs, noise=0.01, seed=seed)),
                                [1e20]).notes)
        for seed in range(8)
    )  # fmt: skip
    assert some <= 1  # of 3840 rows each; at three deviations it would be most


def test_a_run_without_weight_beats_nobody():
    _, runs = shifted({})
    weight = np.ones(64)
    weight[runs.loc[0, "index"]] = 0
    assert sf.compute_optimal(shifted({0: -0.03}, weight=weight)[0], [1e20]).notes == ()


def test_a_surface_is_beaten_by_nobody():
    frame = shifted({0: -0.03})[0].table
    assert not any(
        "better than" in note for note in sf.compute_optimal(sf.fit(sf.AnovaKernelRidge(), frame), [1e20]).notes
    )


def test_an_optimum_beside_the_end_of_a_budget_is_no_edge():
    # serving eats up nearly half of the budget at its largest affordable model: between two points of a coarse grid
    boot = sf.bootstrap(law(noise=0.003), resamples=60)
    best = sf.compute_optimal(boot, np.geomspace(2e21, 3e22, 6), cost=flops.with_inference(2e12))
    assert best.bracketed.all()
    assert best.draws.optima.bracketed.all()
    assert not best.interval("params", -1, level=0.8).refused


def test_a_cost_that_turns_beyond_the_runs_is_refused():
    def turns(params, tokens):
        return 6 * tokens * np.where(params > 2e11, 4e22 / params, params)

    with pytest.raises(ValueError, match="must increase in params"):
        sf.compute_optimal(law(), [1e20], cost=turns)


# Bands.


@pytest.fixture(scope="module")
def boot():
    return sf.bootstrap(law(noise=0.005, seed=3), resamples=200, seed=1)


def test_draws_of_the_closed_form_are_those_of_every_refit(boot):
    best = sf.compute_optimal(boot, BUDGETS)
    for b in (0, 7, 199):
        np.testing.assert_allclose(
            best.draws.optima.params[b], sf.compute_optimal(boot[b], BUDGETS).params, rtol=1e-10
        )  # fmt: skip


def test_draws_by_search_are_those_of_every_refit():
    fitted = surface(noise=0.003)
    boot = sf.bootstrap(fitted, resamples=12)
    inside = np.geomspace(1e19, 3e20, 3)
    best = sf.compute_optimal(boot, inside)
    for b in (0, 11):
        alone = sf.compute_optimal(boot[b], inside)
        np.testing.assert_allclose(best.draws.optima.params[b], alone.params, rtol=1e-3)  # a rougher search


def test_a_search_in_blocks_of_budgets_is_the_search(monkeypatch):
    boot = sf.bootstrap(surface(noise=0.003), resamples=8)
    whole = sf.compute_optimal(boot, np.geomspace(1e19, 3e20, 5))
    monkeypatch.setattr("scalefit.allocation.MOST_VALUES", 2000)
    blocks = sf.compute_optimal(boot, np.geomspace(1e19, 3e20, 5))
    np.testing.assert_array_equal(whole.params, blocks.params)
    np.testing.assert_array_equal(whole.draws.optima.loss, blocks.draws.optima.loss)


def test_intervals_hold_the_estimate_and_are_those_of_the_callable(boot):
    best = sf.compute_optimal(boot, BUDGETS)
    interval = best.interval("params", 2)
    asked = boot.interval(lambda fit: np.log(sf.compute_optimal(fit, BUDGETS[2]).params[0]))
    np.testing.assert_allclose([interval.low, interval.high], np.exp([asked.low, asked.high]), rtol=1e-9)
    np.testing.assert_allclose(interval.estimate, best.params[2])
    bca = best.interval("params", 2, method="bca")
    also = boot.interval(lambda fit: np.log(sf.compute_optimal(fit, BUDGETS[2]).params[0]), method="bca")
    np.testing.assert_allclose([bca.low, bca.high], np.exp([also.low, also.high]), rtol=1e-9)


def test_a_far_budget_is_doubted(boot):
    assert sf.Doubt.FAR in [doubt for doubt, _ in sf.compute_optimal(boot, [1e30]).interval("loss").doubts]
    assert sf.Doubt.FAR not in [doubt for doubt, _ in sf.compute_optimal(boot, [1e21]).interval("loss").doubts]


def test_an_optimum_at_an_edge_has_no_interval():
    boot = sf.bootstrap(surface(noise=0.003), resamples=120)
    best = sf.compute_optimal(boot, [1e20, 5.9e21])
    assert best.at_edge.tolist() == [False, True]
    assert not best.interval("params", 0).refused
    refused = best.interval("params", 1)
    assert refused.refused
    assert "the optimum is not bracketed by the runs" in refused.notes[0]
    assert np.isnan(best.to_frame()["params_low"][1])
    assert np.isfinite(best.to_frame()["params"][1])


def test_a_frontier_without_draws_has_no_interval():
    with pytest.raises(ValueError, match=r"make it from sf.bootstrap"):
        sf.compute_optimal(law(), 1e20).interval("params")
    with pytest.raises(ValueError, match="a frontier has params"):
        sf.compute_optimal(law(), 1e20).optima.get("flops")


def test_the_frame_has_a_row_per_budget_with_its_ends(boot):
    frame = sf.compute_optimal(boot, BUDGETS).to_frame()
    assert len(frame) == len(BUDGETS)
    assert (frame["tokens_low"] < frame["tokens"]).all()
    assert (frame["tokens"] < frame["tokens_high"]).all()


# Exponents.


def test_exponents_of_the_law_are_those_of_its_formula(boot):
    found = sf.compute_optimal(boot, BUDGETS).exponents()
    p = boot.base.law
    np.testing.assert_allclose(found.a, p.beta / (p.alpha + p.beta), rtol=1e-10)
    np.testing.assert_allclose(found.b, p.alpha / (p.alpha + p.beta), rtol=1e-10)
    np.testing.assert_allclose(found.gamma, p.alpha * p.beta / (p.alpha + p.beta), rtol=1e-6)
    np.testing.assert_allclose(found.E, p.E, rtol=1e-6)
    np.testing.assert_allclose(found.moved, 0, atol=1e-10)


def test_intervals_of_exponents_are_those_of_the_whole_pipeline(boot):
    found = sf.compute_optimal(boot, BUDGETS).exponents()
    asked = boot.interval(lambda fit: fit.law.beta / (fit.law.alpha + fit.law.beta))
    np.testing.assert_allclose(list(found.intervals["a"]), list(asked), rtol=1e-8)
    asked = boot.interval(lambda fit: fit.law.alpha * fit.law.beta / (fit.law.alpha + fit.law.beta))
    np.testing.assert_allclose(list(found.intervals["gamma"]), list(asked), rtol=1e-5)


def test_the_window_is_a_parameter_and_moves_a_surface():
    inside = np.geomspace(2e18, 3e21, 16)
    best = sf.compute_optimal(
        sf.fit(KernelRidge(kernel="rbf", alpha=1e-3), sf.load("chinchilla").where("kept")), inside
    )
    everything, upper = best.exponents(), best.exponents(window=(1e20, 3e21))
    assert upper.budgets < everything.budgets
    assert abs(upper.a - everything.a) > 0.005
    assert everything.moved > 0.005
    assert "other windows move a by up to" in repr(everything)
    with pytest.raises(ValueError, match="the lower first"):
        best.exponents(window=(1e21, 1e20))
    with pytest.raises(ValueError, match="0 of 0 between"):
        best.exponents(window=(1e40, 1e41))


def test_exponents_weigh_budgets_by_their_precision():
    # twelve budgets of Porian et al. (arXiv:2406.19146), weights 1 / sd^2 on log N
    C = 1e17 * 2.0 ** np.arange(-3, 9)
    N = 1e6 * np.array([
        12.5356, 16.1486, 26.0506, 31.2644, 43.6592, 66.6211, 92.5284, 128.023, 171.278, 291.948, 373.543, 534.704,
    ])  # fmt: skip
    sd = np.array([.1141, .1159, .1121, .1132, .1151, .1119, .1111, .1176, .1142, .1121, .1173, .1198])  # fmt: skip

    def frontier(sd):
        no = np.zeros(12, dtype=bool)
        return sf.Frontier(C, N, C / (6 * N), 2 + (C / 1e17) ** -0.1, no, "published", sd=sd)

    weighted, plain = frontier(sd).exponents(), frontier(None).exponents()
    # sd has four digits, which move the weighted slope by a few 1e-6; test_isoflops.py has the unrounded rows
    assert abs(weighted.a - 0.496895) < 5e-6
    np.testing.assert_allclose(np.exp(weighted.log_params), 0.118926, rtol=2e-4)
    assert abs(plain.a - 0.497029) < 5e-7


def test_exponents_count_the_budgets_that_most_refits_bracket():
    boot = sf.bootstrap(surface(noise=0.01), resamples=100)
    best = sf.compute_optimal(boot, np.geomspace(1e18, 5e21, 16))
    loose = best.bracketed & ~best.settled
    assert loose.any()
    found = best.exponents()
    assert found.budgets == int(np.sum(best.bracketed & best.settled))
    assert found.left_out == int(loose.sum())
    assert f"{found.left_out} more are not bracketed in over a tenth of the refits" in repr(found)


def test_one_budget_asked_for_twice_has_no_exponents():
    with pytest.raises(ValueError, match="two budgets"):
        sf.compute_optimal(law(), [1e20, 1e20]).exponents()
    with pytest.raises(ValueError, match="the lower first"):
        sf.compute_optimal(law(), BUDGETS).exponents(window=(1e19,))


# The other way round.


def test_questions_the_other_way_round_are_of_one_fit():
    boot = sf.bootstrap(law(noise=0.003), resamples=30)
    for ask in (lambda fit: sf.budget_for(fit, 2.5), lambda fit: sf.extra_compute(fit, 1e21, 0.5)):
        with pytest.raises(TypeError, match=r"boot.interval\(lambda fit"):
            ask(boot)
        interval = boot.interval(ask, level=0.8)
        assert sf.Doubt.FAR not in [doubt for doubt, _ in interval.doubts]
        assert interval.low < interval.estimate < interval.high
    with pytest.raises(ValueError, match="one budget"):
        sf.extra_compute(law(), [1e20, 1e21], 0.5)


def test_the_budget_for_a_loss_gives_that_loss():
    for fitted, cost in ((law(), flops.six_nd), (law(), six_by_another_name), (surface(), flops.six_nd)):
        C = sf.budget_for(fitted, 2.5, cost=cost)
        np.testing.assert_allclose(sf.compute_optimal(fitted, C, cost=cost).loss, 2.5, rtol=1e-8)


def test_a_loss_out_of_reach_has_no_budget():
    assert np.isnan(sf.budget_for(law(), 1.0))
    assert np.isnan(sf.budget_for(surface(), 1.9))
    assert np.isnan(sf.budget_for(surface(), 9.0))
    with pytest.raises(ValueError, match="loss must be positive"):
        sf.budget_for(law(), -1.0)


def test_a_smaller_model_of_the_same_loss_costs_what_the_formula_says():
    p = law().law
    for k in (0.5, 2.0):
        more_data = (1 - p.beta / p.alpha * (k**-p.alpha - 1)) ** (-1 / p.beta)
        np.testing.assert_allclose(sf.extra_compute(law(), 1e22, k), k * more_data, rtol=1e-6)
    np.testing.assert_allclose(sf.extra_compute(law(), 1e22, 1.0), 1.0, rtol=1e-3)
    assert np.isnan(sf.extra_compute(law(), 1e22, 0.01))
    with pytest.raises(ValueError, match="size must be positive"):
        sf.extra_compute(law(), 1e22, 0)


def test_any_regressor_has_a_frontier():
    runs = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.001)
    gp = sf.fit(GaussianProcessRegressor(alpha=1e-4, optimizer=None), runs)
    assert sf.compute_optimal(gp, [1e20]).ok


def test_the_exponent_of_a_law_is_that_of_its_frontier():
    runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]), noise=0.01)
    for model in (sf.Chinchilla, sf.LawRegressor(sf.Chinchilla, tied={"beta": "alpha"})):
        fit = sf.fit(model, runs)
        found = sf.compute_optimal(fit, [1e18, 1e20, 1e22]).exponents().a
        assert sf.allocation_exponent(fit) == pytest.approx(found, rel=1e-9)


def test_the_exponent_of_a_surface_is_that_of_its_budgets():
    runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 9), tokens=np.geomspace(1e9, 1e11, 9)))
    exponent = sf.allocation_exponent(sf.fit(sf.AnovaKernelRidge(ridge=1e-5), runs))
    assert exponent == pytest.approx(0.4516, abs=0.03)  # the surface follows the law that closely between its runs


def test_what_is_best_at_a_budget_is_a_statistic():
    runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    fit = sf.fit(sf.Chinchilla, runs)
    best = sf.compute_optimal(fit, 1e23)
    for quantity in ("params", "tokens", "loss", "tokens_per_param"):
        assert sf.best_at(1e23, quantity)(fit) == getattr(best, quantity)[0]
    with pytest.raises(ValueError, match="quantity must be one of"):
        sf.best_at(1e23, "size")
    for budget in (0, -1e20, float("nan")):
        with pytest.raises(ValueError, match="positive and finite"):
            sf.best_at(budget)
