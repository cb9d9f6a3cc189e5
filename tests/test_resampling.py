"""The bootstrap of a fit and of curves: what is redrawn and refitted, what its seed fixes, what it leaves behind."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.objective import residuals
from scalefit.resampling import bootstrap
from scalefit.status import Status

LAW = sf.PowerLaw(1.7, 100.0, 0.25)
CLOSE = 2e-6  # parameters of two descents of one objective to its rounding; see test_replicates
LOG = sf.LawRegressor(sf.PowerLaw, objective=sf.Huber(0.005, "log"))
WITH_WEIGHTS = "count"


@cache
def curve(n=12, model=sf.PowerLaw, *, weighted=False):
    """Fit to n runs with 1 % noise, two runs to a node."""
    frame = sf.simulate(LAW, sf.grid(params=np.geomspace(1e7, 1e10, n)), noise=0.01, seed=1).to_frame()
    frame = frame.assign(node=[f"n{i // 2}" for i in range(n)], count=np.arange(n) % 3 + 1)
    return sf.fit(model, sf.LossTable.from_frame(frame), weights=WITH_WEIGHTS if weighted else None)


@cache
def surface(sizes=7, tokens=3):
    design = sf.grid(params=np.geomspace(1e8, 1e10, sizes), tokens=np.geomspace(1e9, 1e11, tokens))
    return sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, design, noise=0.005, seed=1))


@cache
def curves(noise=0.003):
    design = sf.grid(params=np.geomspace(1e7, 1e10, 9), tokens=[1e9, 1e10, 1e11])
    table = sf.simulate(sf.HOFFMANN_2022, design, noise=noise, seed=2)
    return sf.fit_curves(sf.PowerLaw, table, along="params", at="tokens")


def same_objective(fit):
    """The model of a fit with delta as it was resolved: what a bootstrap refits."""
    return sf.LawRegressor(type(fit.law), objective=fit.objective, fixed=fit.model.fixed, tied=fit.model.tied)


def redrawn(made):
    """(n,) residuals that got random signs, in the space of the objective, from the losses of the refits."""
    (part,) = made.parts
    errors = residuals(part.fit.objective, part.losses, part.fit.predicted) / made.draws[:, part.labels]
    # differences of losses near 3, to 1e-16 each, over residuals near 0.01
    assert np.ptp(errors, axis=0).max() < 1e-13
    return errors[0]


def told(made):
    """Everything that a bootstrap tells, as text: nan differs from itself as a number."""
    return json.dumps(made.to_dict()) + repr(made)


def errors_without(fit, groups):
    """(n,) residual of each row from an explicit fit to the rows of the other groups."""
    left = np.empty(len(fit.table))
    for group in np.unique(groups):
        other = sf.fit(same_objective(fit), fit.table.where(groups != group), inputs=fit.inputs, weights=fit.weights)
        at = groups == group
        predicted = other(*(fit.table[name][at] for name in fit.inputs))
        left[at] = residuals(fit.objective, fit.table.loss[at], predicted)
    return left


EVERY_SPACE = pytest.mark.parametrize("model", [sf.PowerLaw, LOG], ids=["raw", "log"])
EVERY_WEIGHTING = pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])


# What is redrawn.


@EVERY_SPACE
@EVERY_WEIGHTING
def test_residuals_left_out_are_those_of_explicit_fits(model, weighted):
    fit = curve(model=model, weighted=weighted)
    expected = errors_without(fit, np.arange(12))
    # predictions of two descents agree to 1e-8; residuals are near 0.01
    assert redrawn(sf.bootstrap(fit, sf.Wild(), resamples=50)) == pytest.approx(expected, abs=3e-8)
    assert np.abs(expected).sum() > np.abs(residuals(fit.objective, fit.table.loss, fit.predicted)).sum()


@EVERY_SPACE
def test_residuals_with_a_cluster_left_out_are_those_of_explicit_fits(model):
    fit = curve(model=model)
    made = sf.bootstrap(fit, sf.Wild(by="node"))
    assert made.units == 6
    assert redrawn(made) == pytest.approx(errors_without(fit, fit.table["node"]), abs=3e-8)


def test_the_default_leaves_model_sizes_out():
    fit = surface()
    made = sf.bootstrap(fit, resamples=50)
    assert made.scheme == sf.Wild(by="params")
    assert redrawn(made) == pytest.approx(errors_without(fit, fit.table.params), abs=3e-8)


@EVERY_SPACE
def test_rows_of_a_cluster_get_one_weight(model):
    fit = curve(model=model)
    made = sf.bootstrap(fit, sf.Wild("webb", residuals="plain", by="node"), resamples=30)
    moved = residuals(fit.objective, made.parts[0].losses, fit.predicted)
    weights = moved / residuals(fit.objective, fit.table.loss, fit.predicted)
    assert weights[:, 0::2] == pytest.approx(weights[:, 1::2], rel=1e-9)
    assert len(np.unique(weights[0].round(6))) > 2


@EVERY_SPACE
def test_plain_residuals_are_those_of_the_fit(model):
    fit = curve(model=model)
    made = sf.bootstrap(fit, sf.Wild(residuals="plain"), resamples=50)
    assert redrawn(made) == pytest.approx(residuals(fit.objective, fit.table.loss, fit.predicted), abs=1e-13)


@EVERY_SPACE
def test_plain_residuals_with_their_own_signs_give_the_fit_back(model):
    fit = curve(7, model)
    made = sf.bootstrap(fit, sf.Wild(residuals="plain"))
    (all_ones,) = np.flatnonzero((made.draws == 1).all(axis=1))
    assert made[all_ones].table.loss == pytest.approx(fit.table.loss, rel=1e-15)
    for name, value in fit.parameters.items():
        assert made.values(name)[all_ones] == pytest.approx(value, rel=100 * CLOSE if name == "A" else CLOSE)
    assert len(np.unique(made.values("alpha"))) > 100  # of 128


def hat(columns, weights):
    """Leverages: the diagonal of X (X' W X)^-1 X' W."""
    W = np.diag(weights)
    return np.diag(columns @ np.linalg.solve(columns.T @ W @ columns, columns.T @ W))


@EVERY_WEIGHTING
@pytest.mark.parametrize("space", ["raw", "log"])
def test_leverages_of_a_linear_law_are_those_of_its_hat_matrix(space, weighted):
    model = sf.LawRegressor(sf.PowerLaw, objective=sf.Squared(space), fixed={"alpha": 0.25})
    fit = curve(model=model, weighted=weighted)
    columns = np.stack([np.ones(12), fit.table.params**-0.25], axis=1)
    if space == "log":
        columns = columns / fit.predicted[:, None]
    weights = fit.table["count"] if weighted else np.ones(12)
    plain = residuals(fit.objective, fit.table.loss, fit.predicted)
    expected = plain / (1 - hat(columns, weights))
    made = sf.bootstrap(fit, sf.Wild(residuals="leverage"), resamples=20)
    assert redrawn(made) == pytest.approx(expected, rel=1e-6)  # central differences lose six digits of A's derivative


def test_in_a_linear_fit_of_squares_leverage_and_leaving_out_are_one():
    # the identity e / (1 - h) of ordinary least squares
    fit = curve(model=sf.LawRegressor(sf.PowerLaw, objective=sf.Squared(), fixed={"alpha": 0.25}))
    left, scaled = (redrawn(sf.bootstrap(fit, sf.Wild(residuals=how), resamples=20)) for how in ("loo", "leverage"))
    assert scaled == pytest.approx(left, rel=1e-5)


LINE = sf.simulate(sf.Exponential(2.0, 1.5, 3e-9), sf.grid(params=np.linspace(1e8, 1.8e9, 12)), noise=0.01, seed=1)


@pytest.mark.parametrize("law", [sf.PowerLaw, sf.Exponential])
@pytest.mark.parametrize("factor", [1e-8, 1e6, 1e12])
def test_leverages_do_not_depend_on_the_unit_of_an_input(law, factor):
    table = curve().table if law is sf.PowerLaw else LINE
    other = sf.LossTable.from_frame(table.to_frame()[["params", "loss"]].assign(params=factor * table.params))
    plain, scaled = (
        redrawn(sf.bootstrap(sf.fit(law, one), sf.Wild(residuals="leverage"), resamples=20)) for one in (table, other)
    )
    # derivatives by A are central differences of A x^-alpha, whose share of the loss is small: six digits are left
    assert scaled == pytest.approx(plain, rel=1e-4)


def test_leverages_of_tied_parameters_are_those_of_the_hat_matrix():
    design = sf.grid(params=np.geomspace(1e8, 1e10, 4), tokens=np.geomspace(1e9, 1e11, 4))
    table = sf.simulate(sf.HOFFMANN_2022, design, noise=0.005, seed=1)
    model = sf.LawRegressor(sf.Chinchilla, objective=sf.Squared(), tied={"beta": "alpha"})
    fit = sf.fit(model, table)
    (N, D), law = (table.params, table.tokens), fit.law
    by_size, by_tokens = N**-law.alpha, D**-law.beta
    by_exponent = -law.A * by_size * np.log(N) - law.B * by_tokens * np.log(D)
    h = hat(np.stack([np.ones(16), 1e3 * by_size, 1e3 * by_tokens, by_exponent], axis=1), np.ones(16))
    made = sf.bootstrap(fit, sf.Wild(residuals="leverage"), resamples=20)
    assert redrawn(made) == pytest.approx(fit.residuals / (1 - h), rel=1e-5)  # as above


# What is refitted.


@pytest.mark.parametrize(
    "scheme", [sf.Wild(), sf.Wild(by="node"), sf.Wild("webb"), sf.Pairs(), sf.Pairs(by="node")], ids=repr
)
@EVERY_WEIGHTING
def test_a_resample_is_an_ordinary_fit_of_its_rows(scheme, weighted):
    fit = curve(weighted=weighted)
    made = sf.bootstrap(fit, scheme, resamples=30, seed=4)
    for b in (0, 7, -1):
        refit = made[b]
        again = sf.fit(same_objective(fit), refit.table, weights=fit.weights)
        assert refit.objective_value == pytest.approx(again.objective_value, rel=1e-9)
        assert refit.predicted == pytest.approx(again.predicted, rel=1e-6)
        assert refit.law.alpha == pytest.approx(again.law.alpha, rel=CLOSE)
        assert refit.law.alpha == made.values("alpha")[b]
        assert refit.status is again.status
        assert refit.inputs == fit.inputs
        assert refit.objective == fit.objective
        assert "resample" in refit.table.notes[-1]
        assert refit(3e9) == pytest.approx(made.values({"params": 3e9})[b], rel=1e-12)


def test_pairs_repeat_rows_and_wild_keeps_inputs():
    fit = curve()
    pairs, wild = (sf.bootstrap(fit, scheme, resamples=10) for scheme in (sf.Pairs(), sf.Wild()))
    rows = set(zip(fit.table.params, fit.table.loss, strict=True))
    for b in range(10):
        table = pairs[b].table
        assert len(table) == 12
        assert set(zip(table.params, table.loss, strict=True)) <= rows
        assert np.array_equal(
            np.bincount(np.searchsorted(fit.table.params, table.params), minlength=12), pairs.draws[b]
        )
        assert np.array_equal(wild[b].table.params, fit.table.params)
        assert np.array_equal(wild[b].table["node"], fit.table["node"])


def test_resamples_without_a_refit_are_marked_and_count_as_failed():
    # four rows and three parameters: some resamples hold two different rows and cannot be fitted
    fit = sf.fit(sf.PowerLaw, curve().table.where(np.arange(12) < 4))
    frame = fit.table.to_frame().assign(node=["a", "a", "b", "b"])
    fit = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame[:4]))
    made = sf.bootstrap(fit, sf.Pairs(by="node"), resamples=40)
    one_node = (made.draws == 2).any(axis=1)
    assert 0 < one_node.sum() < 40
    assert np.array_equal(made.failed, one_node)
    assert made.flags["FAILED"] == one_node.sum()
    assert np.array_equal(np.isnan(made.values("alpha")), one_node)
    assert np.array_equal(np.isnan(made.values(lambda refit: refit.law.alpha)), one_node)
    with pytest.raises(ValueError, match="failed"):
        made[int(np.argmax(one_node))]


def test_rows_of_weight_zero_are_as_if_they_were_not_there():
    frame = curve(weighted=True).table.to_frame()
    zero = np.arange(12) % 4 == 1
    first = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame.assign(count=np.where(zero, 0, 2))), weights="count")
    other = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame.assign(count=2)[~zero]), weights="count")
    for scheme in (sf.Wild(), sf.Pairs(), sf.Wild(residuals="leverage")):
        with_zeros, without = (sf.bootstrap(fit, scheme, resamples=30) for fit in (first, other))
        assert with_zeros.units == 9
        assert told(with_zeros) == told(without)


def test_several_resamples_are_a_slice_of_them():
    made = sf.bootstrap(curve(), resamples=10)
    assert [fit.law for fit in made[2:5]] == [made[b].law for b in (2, 3, 4)]
    assert made[-1].law == made[9].law
    with pytest.raises(IndexError):
        made[10]


def test_clusters_of_pairs_are_drawn_whole():
    made = sf.bootstrap(curve(), sf.Pairs(by="node"), resamples=20)
    assert made.units == 6
    for refit in made:
        nodes = pd.Series(refit.table["node"]).value_counts()
        assert (nodes % 2 == 0).all()


@pytest.mark.parametrize("scheme", [sf.Wild(), sf.Pairs(), sf.Wild(by="node")], ids=repr)
def test_the_jackknife_is_explicit_fits_without_each_unit(scheme):
    fit = curve()
    made = sf.bootstrap(fit, scheme, resamples=8)
    groups = fit.table["node"] if scheme.by else fit.table.params
    left = [sf.fit(same_objective(fit), fit.table.where(groups != group)) for group in np.unique(groups)]
    assert made.jackknife("alpha") == pytest.approx([one.law.alpha for one in left], rel=CLOSE)
    assert made.jackknife({"params": 1e11}) == pytest.approx([one(1e11) for one in left], rel=1e-6)
    assert made.jackknife(lambda one: one(1e11)) == pytest.approx([one(1e11) for one in left], rel=1e-6)
    assert made.jackknife(lambda one: len(one.table)).tolist() == [len(one.table) for one in left]


def test_a_parameter_a_forecast_and_a_function_agree():
    made = sf.bootstrap(surface(), resamples=60)
    for statistic, function in [
        ("beta", lambda fit: fit.law.beta),
        ({"params": 1e11, "tokens": 1e12}, lambda fit: fit(1e11, 1e12)),
    ]:
        assert made.values(statistic) == pytest.approx(made.values(function), rel=1e-12)
        assert made.estimate(statistic) == made.estimate(function)
        named, written = (made.interval(one, 0.5, method="bca") for one in (statistic, function))
        assert tuple(named) == pytest.approx(tuple(written), rel=1e-9)


def test_the_table_of_intervals_is_that_of_each_parameter():
    made = sf.bootstrap(curve(model=sf.LawRegressor(sf.PowerLaw, fixed={"E": 1.7})), resamples=400)
    frame = made.to_frame(0.8, method="percentile")
    assert frame["statistic"].tolist() == ["A", "alpha"]
    for row in frame.itertuples():
        interval = made.interval(row.statistic, 0.8, method="percentile")
        assert (row.estimate, row.low, row.high) == (interval.estimate, *interval)
        assert row.standard_error == made.standard_error(row.statistic)
    content = json.loads(json.dumps(made.to_dict(0.8)))
    assert [one["statistic"] for one in content["intervals"]] == ["A", "alpha"]
    assert (content["units"], content["spare"], content["resamples"]) == (12, 10, 400)


def test_the_standard_error_is_the_deviation_of_the_draws():
    made = sf.bootstrap(curve(), resamples=100)
    assert made.standard_error("E") == pytest.approx(pd.Series(made.values("E")).std(), rel=1e-12)
    assert np.isnan(made.standard_error(lambda fit: fit.law.alpha if fit is made.base else 1 / 0))


def test_a_resample_is_saved_and_read_back(tmp_path):
    made = sf.bootstrap(curve(weighted=True), sf.Pairs(), resamples=5)
    made[2].save(tmp_path / "fit.json")
    back = sf.read_fit(tmp_path / "fit.json")
    assert back.parameters == made[2].parameters
    assert back.table == made[2].table


# Few units.


def test_a_few_rows_are_resampled_in_every_way_and_the_seed_is_idle():
    first, second = (sf.bootstrap(curve(7), resamples=50, seed=seed) for seed in (1, 2))
    assert len(first) == len(np.unique(first.draws, axis=0)) == 128
    assert np.array_equal(first.values("alpha"), second.values("alpha"))
    assert "all 128 sign patterns" in first.notes[0]
    assert "instead of 50" in first.notes[0]
    assert sf.bootstrap(curve(8), resamples=50).notes == ()


@pytest.mark.parametrize(("rows", "scheme"), [(3, sf.Wild()), (4, sf.Wild(by="node"))], ids=repr)
def test_rows_that_cannot_be_left_out_refuse_every_interval(rows, scheme):
    # without one of three rows, or a node of two of four, there are fewer rows than parameters
    fit = sf.fit(sf.PowerLaw, curve().table.where(np.arange(12) < rows))
    made = sf.bootstrap(fit, scheme)
    assert made.parts[0].jackknife.failed.all()
    assert np.isfinite(made.parts[0].losses).all()
    assert "NOT_DETERMINED" in [doubt.name for doubt, _ in made.interval("alpha").doubts]
    assert np.isnan(tuple(made.interval({"params": 2e7}))).all()


@pytest.mark.parametrize("last", [2.3, 2.3959, 2.4096, 2.7])
def test_a_row_that_alone_determines_a_parameter_keeps_its_residual(last):
    # two sizes, one of them with a single run: its leverage is 1, its residual rounding, and one is not divided by 0
    frame = pd.DataFrame({"params": [1e7] * 5 + [1e9], "loss": [3.5, 3.52, 3.49, 3.51, 3.5, last]})
    model = sf.LawRegressor(sf.PowerLaw, objective=sf.Squared(), fixed={"alpha": 0.25})
    fit = sf.fit(model, sf.LossTable.from_frame(frame))
    made = sf.bootstrap(fit, sf.Wild(residuals="leverage"))
    assert made.parts[0].losses[:, 5] == pytest.approx(np.full(64, last), rel=1e-9)


# Seeds and bits.


@pytest.mark.parametrize("scheme", [sf.Wild(), sf.Wild("mammen"), sf.Pairs(), sf.wild_bca()], ids=repr)
def test_the_same_seed_gives_the_same_bits_and_another_other_draws(scheme):
    first, second, other = (sf.bootstrap(curve(), scheme, resamples=60, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.draws, second.draws)
    assert told(first) == told(second)
    for name in ("E", "A", "alpha"):
        assert np.array_equal(first.values(name), second.values(name))
        assert not np.array_equal(first.values(name), other.values(name))


def test_a_fit_that_was_read_back_is_resampled_alike(tmp_path):
    for fit in (curve(weighted=True), surface(), curve(model=LOG)):
        fit.save(tmp_path / "fit.json")
        back = sf.read_fit(tmp_path / "fit.json")
        first, second = (sf.bootstrap(one, resamples=40, seed=1) for one in (fit, back))
        assert told(first) == told(second)


def test_a_bootstrap_changes_neither_fit_nor_table_nor_global_draws():
    fit = curve()
    before, table, draws = fit.to_dict(), fit.table.to_frame(), np.random.get_state()[1].copy()  # noqa: NPY002
    sf.bootstrap(fit, resamples=50).interval("alpha")
    assert fit.to_dict() == before
    assert fit.table.to_frame().equals(table)
    assert np.array_equal(np.random.get_state()[1], draws)  # noqa: NPY002


# Curves.


def test_slices_share_the_draws_of_their_clusters():
    made = sf.bootstrap(curves(), sf.Wild(by="params"), resamples=40)
    assert made.units == 9
    assert len(made.parts) == 3
    signs = [
        np.sign(part.losses - part.fit.predicted) * np.sign(part.losses[0] - part.fit.predicted) for part in made.parts
    ]
    assert np.array_equal(signs[0], signs[1])
    assert np.array_equal(signs[0], signs[2])
    errors = [redrawn(one) for one in made.slices]
    for error, fit in zip(errors, curves(), strict=True):
        assert error == pytest.approx(errors_without(fit, fit.table.params), abs=3e-8)


def test_rows_of_slices_are_redrawn_apart():
    made = sf.bootstrap(curves(), resamples=40)
    assert made.units == 27
    assert [part.units.tolist() for part in made.parts] == [list(range(9 * k, 9 * k + 9)) for k in range(3)]


def test_a_statistic_of_curves_is_its_mean_over_slices():
    made = sf.bootstrap(curves(), resamples=50)
    each = np.stack([one.values("alpha") for one in made.slices])
    assert made.values("alpha") == pytest.approx(each.mean(axis=0), rel=1e-14)
    assert made.estimate("alpha") == pytest.approx(curves().mean("alpha"), rel=1e-14)
    assert made.values(lambda one: one.array("alpha", ok_only=False).mean()) == pytest.approx(
        each.mean(axis=0), rel=1e-14
    )
    at = {"params": 2e9}
    assert made.values(at) == pytest.approx(np.mean([one.values(at) for one in made.slices], axis=0), rel=1e-14)
    assert made.standard_error("alpha") < min(one.standard_error("alpha") for one in made.slices)


def test_slices_that_are_not_ok_do_not_count_in_any_resample():
    table = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e7, 1e10, 9), tokens=[1e9, 1e10]), noise=0.003)
    loss = np.where(table.tokens == 1e9, 0.3 * table.params**0.1, table.loss)  # it rises
    broken = sf.LossTable.from_frame(table.to_frame().assign(loss=loss))
    fitted = sf.fit_curves(sf.PowerLaw, broken, along="params", at="tokens")
    assert [fit.ok for fit in fitted] == [False, True]
    made = sf.bootstrap(fitted, resamples=40)
    assert np.array_equal(made.values("alpha"), made.slices[1].values("alpha"))
    assert made.estimate("alpha") == fitted[1].law.alpha
    assert made.spare == 6  # nine rows of the slice that counts


def test_means_of_a_resample_are_over_the_slices_of_its_base():
    made = sf.bootstrap(curves(noise=0.12), resamples=30)
    assert [fit.ok for fit in made.base] == [False, True, True]
    assert made.values(lambda one: one.mean("alpha")) == pytest.approx(made.values("alpha"), rel=1e-14)
    assert any([fit.ok for fit in one] != [False, True, True] for one in made)  # which changes nothing


def test_curves_of_which_none_is_ok_have_no_value():
    table = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e7, 1e10, 6), tokens=[1e9, 1e10]))
    flat = sf.LossTable.from_frame(table.to_frame().assign(loss=0.3 * table.params**0.1))
    fitted = sf.fit_curves(sf.PowerLaw, flat, along="params", at="tokens")
    assert not any(fit.ok for fit in fitted)
    for method in ("percentile_t", "bca"):
        interval = sf.bootstrap(fitted, resamples=20).interval("alpha", method=method)
        assert [doubt.name for doubt, _ in interval.doubts] == ["NO_VALUE"]


def test_a_slice_is_the_bootstrap_of_its_fit_with_the_draws_it_shares():
    made = sf.bootstrap(curves(), sf.Wild(residuals="plain"), resamples=30)
    for one, fit in zip(made.slices, curves(), strict=True):
        assert one.base is fit
        assert one.units == 9
        assert one.spare == 6
        assert redrawn(one) == pytest.approx(fit.residuals, abs=1e-12)
        assert one[3].table.loss == pytest.approx(fit.predicted + one.draws[3] * fit.residuals, rel=1e-13)
        assert one[3].law.alpha == one.values("alpha")[3]
        assert one[3].law.alpha == made[3][list(made.base).index(fit)].law.alpha


def test_the_jackknife_of_curves_leaves_a_unit_out_of_its_slices():
    made = sf.bootstrap(curves(), resamples=10)
    left = made.jackknife("alpha")
    assert left.shape == (27,)
    alphas = np.array([fit.law.alpha for fit in curves()])
    for k in range(3):
        others = alphas.sum() - alphas[k]
        alone = sf.bootstrap(curves()[k], resamples=10).jackknife("alpha")
        # each slice is solved with others of its size alone: to rounding
        assert left[9 * k : 9 * k + 9] == pytest.approx((others + alone) / 3, rel=CLOSE)
    assert made.jackknife(lambda one: one.array("alpha", ok_only=False).mean()) == pytest.approx(left, rel=CLOSE)


def test_a_resample_of_curves_is_curves():
    made = sf.bootstrap(curves(), resamples=10)
    one = made[4]
    assert type(one) is sf.Curves
    assert np.array_equal(one.values, curves().values)
    assert len(one.to_frame()) == 3
    assert len(list(made)) == 10


# Cost, and being stopped.


def test_many_refits_of_many_runs_take_little_memory():
    fit = surface(16, 15)
    for scheme in (sf.Wild(by="params"), sf.Pairs()):
        tracemalloc.start()
        made = sf.bootstrap(fit, scheme, resamples=4000)
        made.interval("alpha")
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # a 4000 x 240 array is 8 MB: a few are kept, and the solver works on blocks
        assert held < 40e6
        assert peak < 120e6


def test_progress_reaches_the_end_and_never_goes_back():
    for base, total in ((curve(), 12 + 30), (curves(), 27 + 3 * 30)):  # units left out, and resamples
        seen = []
        sf.bootstrap(base, resamples=30, progress=lambda done, of, seen=seen: seen.append((done, of)))
        assert seen[-1] == (total, total)
        assert {of for _, of in seen} == {total}
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_interrupt_from_progress_passes_through():
    def stop(done, total):
        raise KeyboardInterrupt

    fit, before = curve(), told(sf.bootstrap(curve(), resamples=20))
    with pytest.raises(KeyboardInterrupt):
        sf.bootstrap(fit, resamples=20, progress=stop)
    assert told(sf.bootstrap(fit, resamples=20)) == before


class Fragile(sf.LawRegressor):
    """Power law that is interrupted at a refit."""

    left = 10

    def refits(self, *tables):
        Fragile.left -= 1
        if not Fragile.left:
            raise KeyboardInterrupt
        return super().refits(*tables)


def test_an_interrupt_from_a_regressor_passes_through(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit = sf.fit(Fragile(sf.PowerLaw), curve().table, inputs="params")
    for left in (1, 2):  # in the jackknife, in the resamples
        Fragile.left = left
        with pytest.raises(KeyboardInterrupt):
            sf.bootstrap(fit, resamples=20)
    Fragile.left = 10
    assert len(sf.bootstrap(fit, resamples=20)) == 20
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_from_a_statistic_passes_through():
    made = sf.bootstrap(curve(), resamples=20)

    def statistic(fit):
        if fit is not made.base and "resample 7" in fit.table.notes:
            raise KeyboardInterrupt
        return fit.law.alpha

    with pytest.raises(KeyboardInterrupt):
        made.interval(statistic)


def test_the_verb_is_the_public_one():
    assert sf.bootstrap is bootstrap
    assert sf.bootstrap(curve(), resamples=5)[0].status in Status
    assert replace(curve(), weights=None).table is curve().table


def test_a_statistic_that_is_a_text_says_so():
    boot = sf.bootstrap(sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params"))
    with pytest.raises(TypeError, match="one number, but this one is the text 'x'"):
        boot.interval(lambda fit: "x")
