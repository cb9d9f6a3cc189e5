"""validate: models side by side on the same rows, and what its table says of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, LeaveOneGroupOut, LeavePGroupsOut, ShuffleSplit

import scalefit as sf
from scalefit.kernel import AnovaKernelRidge
from scalefit.network import NetworkRegressor
from scalefit.replicates import loop
from scalefit.scores import Validation
from scalefit.slices import SlicedLaw
from scalefit.splits import Extrapolation, make_splits
from scalefit.validation import validate

DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
CLEAN = sf.simulate(sf.HOFFMANN_2022, DESIGN)
RUNS = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.01)
PAIRS = [(np.arange(6, 36), np.arange(6)), (np.arange(30), np.arange(30, 36))]
KERNEL = KernelRidge(kernel="rbf", gamma=0.5, alpha=1e-3)


class Awkward(RegressorMixin, BaseEstimator):
    """The mean loss, except where a test wants something else of it."""

    def __init__(self, refuse_rows=None, value=None):
        self.refuse_rows, self.value = refuse_rows, value

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = tags.target_tags.positive_only = True
        return tags

    def fit(self, X, y, sample_weight=None):
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        if weights.sum() == self.refuse_rows:
            raise ValueError(f"{self.refuse_rows} rows are not to my taste")
        self.largest_, self.mean_ = X[weights > 0].max(), np.average(y, weights=weights)
        self.findings_, self.status_, self.search_ = [], sf.Status.OK, {}
        self.objective_, self.objective_value_ = sf.Squared(), 0.0
        return self

    def predict(self, X):
        return np.where((X.max(axis=1) > self.largest_) & (self.value is not None), self.value, self.mean_)


class Batched(LinearRegression):
    """Refits of its own, which are counted."""

    calls = 0

    def refits(self, X, Y, sample_weight=None, progress=None):
        type(self).calls += 1
        return loop(LinearRegression().fit(X[0], Y[0]), X, Y, sample_weight, progress)


def scored_by_hand(model, table, pairs, **how):
    """(S, 2) mean squared errors of training and test rows, from explicit fits to tables of the training rows."""
    errors = []
    for train, test in pairs:
        mask = np.isin(np.arange(len(table)), train)
        fit = sf.fit(model, table.where(mask), **how)
        points = np.stack([table[name] for name in fit.inputs], axis=1)
        squares = (fit.model.predict(points) - table.loss) ** 2
        errors.append([squares[train].mean(), squares[test].mean()])
    return np.array(errors)


def scores_of(made, name):
    return made.scores[made.scores["model"] == name]


# Recovery and reference.


def test_noiseless_runs_leave_no_error_to_the_law_that_made_them():
    made = validate({"2D": sf.Chinchilla, "kernel": KERNEL}, CLEAN)
    two, kernel = made.to_frame().to_dict("records")
    assert two["test_mse"] < 1e-18
    assert two["test_log_mse"] < 1e-18
    assert kernel["ratio"] > 1e6
    assert extrapolated(sf.Chinchilla) < 1e-18 < 1e-6 < extrapolated(KERNEL)


def extrapolated(model):
    return validate(model, CLEAN, cv=Extrapolation(flops=1e21)).to_frame()["test_mse"][0]


@pytest.fixture(scope="module")
def named_splits():
    """The 20 splits of the reference: 192 of 240 rows in the order of the file."""
    order = [np.random.default_rng(s).permutation(240) for s in range(20)]
    return [(rows[:192], rows[192:]) for rows in order]


def test_the_kept_rows_of_chinchilla_are_in_the_order_of_the_file(chinchilla):
    assert np.array_equal(chinchilla.where("kept").loss, chinchilla.loss[chinchilla["kept"]])


def test_chinchilla_on_the_splits_of_the_reference(chinchilla, named_splits):
    """`recomputed` there: 2D 4.7e-4 / 5.0e-4, kernel 1.08e-4 / 2.07e-4."""
    models = {"2D": sf.Chinchilla, "kernel": AnovaKernelRidge()}
    made = validate(models, chinchilla.where("kept"), cv=named_splits)
    frame = made.to_frame().set_index("model")
    assert frame.loc["2D", ["train_mse", "test_mse"]].tolist() == pytest.approx([4.7e-4, 5.0e-4], rel=0.1)
    assert frame.loc["kernel", ["train_mse", "test_mse"]].tolist() == pytest.approx([1.08e-4, 2.07e-4], rel=0.1)
    assert (frame["test_rows"] == 48).all()
    # "the std of validation MSE is 3.5e-4 (2D)", so a standard error of 16 % of the mean
    assert frame.loc["2D", "test_mse_se"] == pytest.approx(3.5e-4 / np.sqrt(20), rel=0.1)


def test_the_network_on_the_splits_of_the_reference(chinchilla, named_splits):
    """`recomputed` there, for width 32: 9.7e-5 / 1.72e-4, of another recipe in detail."""
    pytest.importorskip("torch")
    (score,) = validate(NetworkRegressor(), chinchilla.where("kept"), cv=named_splits).to_frame().to_dict("records")
    assert [score["train_mse"], score["test_mse"]] == pytest.approx([9.7e-5, 1.72e-4], rel=0.3)


def test_surfaces_lie_below_the_2d_formula_on_random_splits(chinchilla):
    frame = validate([sf.Chinchilla, KERNEL, AnovaKernelRidge()], chinchilla.where("kept")).to_frame()
    assert frame["model"].tolist() == ["Chinchilla", "KernelRidge", "AnovaKernelRidge"]
    assert (frame["ratio"][1:] + frame["ratio_se"][1:] < 1).all()


def test_the_network_lies_below_the_2d_formula_on_other_splits(chinchilla):
    pytest.importorskip("torch")
    frame = validate([sf.Chinchilla, NetworkRegressor()], chinchilla.where("kept"), cv=3, seed=1).to_frame()
    assert frame["ratio"][1] + frame["ratio_se"][1] < 1


def test_runs_at_the_inputs_of_training_runs_are_counted():
    frame = pd.concat([CLEAN.to_frame()] * 2, ignore_index=True)
    twice = validate(sf.Chinchilla, sf.LossTable.from_frame(frame), cv=3)
    count = int(twice.scores["twins"].sum())
    assert 0 < count <= int(twice.scores["test_rows"].sum())
    assert f"{count} of {int(twice.scores['test_rows'].sum())} test rows have a training row" in twice.remarks[0]
    assert validate(sf.Chinchilla, CLEAN, cv=3).scores["twins"].sum() == 0


def test_leaving_out_a_model_size_of_chinchilla(chinchilla):
    runs = chinchilla.where("kept")
    made = validate({"2D": sf.Chinchilla, "kernel": KERNEL}, runs, cv=LeaveOneGroupOut(), groups="params")
    tested = np.concatenate([test for _, test in made.splits])
    assert sorted(tested) == list(range(240))
    for train, test in made.splits:
        assert np.ptp(runs.params[test]) <= 1e-3 * runs.params[test].min()
        assert not np.isin(runs.params[train], runs.params[test]).any()
    assert len(made.splits) == 1 + np.sum(np.diff(np.log(np.sort(runs.params))) > 1e-3)


def test_pooled_1d_fits_stand_beside_the_others(chinchilla):
    runs = chinchilla.where("kept")
    models = {"2D": sf.Chinchilla, "1D": SlicedLaw(sf.PowerLaw, along="tokens", rtol=5e-3)}
    frame = validate(models, runs, cv=2).to_frame()
    assert frame["train_mse"][1] < frame["train_mse"][0]
    assert frame["test_rows"].tolist() == [48, 48]
    assert np.isfinite(frame["test_mse"][1])


# Every score is that of an explicit fit to the training rows.


# A batch of laws descends to the rounding of the objective, 1e-16 of 1e-2: its root in the parameters, and the errors.
LAW, SAME = 1e-7, 1e-10


@pytest.mark.parametrize(
    ("model", "tolerance"),
    [
        pytest.param(sf.Chinchilla, LAW, id="law"),
        pytest.param(sf.LawRegressor(sf.Chinchilla, tied={"beta": "alpha"}), LAW, id="tied"),
        pytest.param(sf.LawRegressor(sf.Chinchilla, objective=sf.Huber("mad_of_residuals", "log")), SAME, id="rule"),
        pytest.param(KERNEL, SAME, id="regressor"),
        pytest.param(AnovaKernelRidge(), SAME, id="kernel"),
        pytest.param(SlicedLaw(sf.PowerLaw), SAME, id="slices"),
        pytest.param(GridSearchCV(KERNEL, {"alpha": [1e-6, 1e-3, 1.0]}, cv=3), SAME, id="search"),
    ],
)
def test_scores_are_those_of_separate_fits(model, tolerance):
    splits, _ = make_splits(RUNS, 4)
    made = validate(model, RUNS, cv=splits)
    expected = scored_by_hand(model, RUNS, splits)
    assert made.scores[["train_mse", "test_mse"]].to_numpy() == pytest.approx(expected, rel=tolerance)


def test_a_rule_for_delta_sees_the_training_rows_alone():
    """The delta of all rows is that of the training rows with the tested ones, here spoilt, among them."""
    loss = np.where(np.arange(36) % 3 == 0, RUNS.loss + 0.5, RUNS.loss)
    pairs = [(np.flatnonzero(np.arange(36) % 3), np.flatnonzero(np.arange(36) % 3 == 0))]
    ruled = sf.LawRegressor(sf.Chinchilla, objective=sf.Huber("mad_of_residuals", "log"))
    table = RUNS.resampled(loss, "spoilt")
    leaked = sf.fit(ruled, table)
    resolved = sf.LawRegressor(sf.Chinchilla, objective=leaked.objective)
    own, with_leak = (validate(model, table, cv=pairs).scores["train_mse"][0] for model in (ruled, resolved))
    assert own == pytest.approx(scored_by_hand(ruled, table, pairs)[0, 0], rel=1e-9)
    assert abs(with_leak / own - 1) > 1e-3


def test_measures_are_of_the_loss_and_of_its_logarithm():
    made = validate(DummyRegressor(), RUNS, cv=PAIRS)
    for split, (train, test) in enumerate(PAIRS):
        guess = np.exp(np.log(RUNS.loss[train]).mean())
        row = made.scores.iloc[split]
        for side, rows in (("train", train), ("test", test)):
            assert row[f"{side}_mse"] == pytest.approx(np.mean((RUNS.loss[rows] - guess) ** 2), rel=1e-12)
            assert row[f"{side}_log_mse"] == pytest.approx(np.mean(np.log(RUNS.loss[rows] / guess) ** 2), rel=1e-12)


def test_models_with_refits_are_fitted_to_all_splits_at_once():
    before = Batched.calls
    made = validate([Batched(), LinearRegression()], RUNS, cv=7)
    assert Batched.calls == before + 1
    one, other = made.to_frame()["test_mse"]
    assert one == pytest.approx(other, rel=1e-12)


# The same rows for all.


def test_every_model_is_scored_on_all_test_rows():
    made = validate({"2D": sf.Chinchilla, "1D": SlicedLaw(sf.PowerLaw), "line": LinearRegression()}, RUNS, cv=5)
    counts = made.scores.pivot(index="split", columns="model", values="test_rows")
    assert (counts.to_numpy() == 8).all()
    assert made.ok
    assert made.notes == ()


def test_a_model_that_fails_in_a_split_has_no_means_and_the_others_keep_theirs():
    pairs = [*PAIRS, (np.arange(20), np.arange(20, 36))]
    made = validate({"line": LinearRegression(), "picky": Awkward(refuse_rows=20)}, RUNS, cv=pairs)
    line, picky = made.to_frame().to_dict("records")
    assert (line["failed"], picky["failed"]) == (0, 1)
    assert line["test_mse"] == scored_by_hand(LinearRegression(), RUNS, pairs)[:, 1].mean()
    assert np.isnan([value for name, value in picky.items() if "mse" in name or "ratio" in name]).all()
    assert np.isfinite(scores_of(made, "picky")["test_mse"]).tolist() == [True, True, False]
    assert not made.ok
    assert made.notes == ("picky failed in 1 of 3 splits and is not compared; in split 2: 20 rows are not to my taste",)


def test_without_the_first_model_there_are_no_ratios():
    made = validate(
        {"picky": Awkward(refuse_rows=30), "line": LinearRegression()}, RUNS, cv=[PAIRS[0], (range(20), [30])]
    )
    assert np.isnan(made.to_frame()["ratio"]).all()
    assert np.isfinite(made.to_frame()["test_mse"][1])
    assert "nan" not in repr(made)


@pytest.mark.parametrize("value", [np.inf, np.nan, -1.0, 0.0])
def test_a_prediction_that_is_no_loss_fails_the_split(value):
    made = validate({"mean": Awkward(), "wild": Awkward(value=value)}, RUNS, cv=PAIRS)
    # of the two splits, one tests tokens up to 1e11 that were trained on, and params beyond 1e10 never: none is larger
    assert made.ok
    beyond = [(np.flatnonzero(RUNS.tokens < 1e11), np.flatnonzero(RUNS.tokens >= 1e11))]
    made = validate({"mean": Awkward(), "wild": Awkward(value=value)}, RUNS, cv=[*PAIRS, *beyond])
    (note,) = made.notes
    assert note.startswith("wild failed in 1 of 3 splits and is not compared; in split 2: it predicts ")
    assert note.endswith(f"{value:.4g} at params 1e+08, tokens 1e+11, which is no loss (6 such rows)")


def test_the_paired_error_of_a_ratio():
    made = by_hand({"a": [1.0, 1.0], "b": [1.0, 2.0], "c": [3.0, 3.0]})
    # b - 1.5 a is -0.5 and 0.5: standard deviation 0.7071, by the root of 2, by the mean 1 of a
    assert made.to_frame()["ratio"].tolist() == [1.0, 1.5, 3.0]
    assert made.to_frame()["ratio_se"].tolist() == pytest.approx([0.0, 0.5, 0.0])
    assert made.to_frame()["test_mse_se"].tolist() == pytest.approx([0.0, 0.5, 0.0])
    in_step = by_hand({"a": [1.0, 5.0], "b": [0.5, 2.5]})
    assert in_step.to_frame()["ratio_se"].tolist() == [0.0, 0.0]


def by_hand(test_mse, failure=(), outside=0):
    """Validation of given errors in nats^2, the others a fixed share of them."""
    splits = tuple((np.arange(6, 36), np.arange(6)) for _ in next(iter(test_mse.values())))
    rows = [
        {
            "model": name, "split": split, "train_rows": 30, "test_rows": 6, "outside": outside, "twins": 0,
            "train_mse": value / 2, "test_mse": value, "train_log_mse": value / 20, "test_log_mse": value / 10,
            "failure": "too few rows" if (name, split) in failure else "",
        }
        for name, values in test_mse.items()
        for split, value in enumerate(values)
    ]  # fmt: skip
    return Validation(tuple(test_mse), splits, "given pairs of rows", 36, pd.DataFrame(rows))


# Splits.


def test_the_number_of_splits_seed_and_share_are_those_asked_for():
    made = validate(LinearRegression(), RUNS, cv=3, test_size=0.5, seed=4)
    assert [len(test) for _, test in made.splits] == [18, 18, 18]
    assert len({tuple(test) for _, test in made.splits}) == 3
    again, other = (validate(LinearRegression(), RUNS, cv=3, test_size=0.5, seed=seed) for seed in (4, 5))
    assert made.to_dict() == again.to_dict()
    assert made.to_dict() != other.to_dict()
    assert len(validate(LinearRegression(), RUNS).splits) == 20
    assert len(validate(LinearRegression(), RUNS).splits[0][1]) == 8


@pytest.mark.parametrize("how", [{"cv": 5}, {"cv": 5, "groups": "tokens"}])
def test_the_order_of_rows_does_not_matter_to_random_splits(how):
    order = np.random.default_rng(1).permutation(36)
    shuffled = RUNS.resampled(RUNS.loss[order], "shuffled", order)
    one, other = (validate([sf.Chinchilla, KERNEL], table, **how).to_frame() for table in (RUNS, shuffled))
    # sums in another order, and a descent to the rounding of the objective
    assert other["test_mse"].tolist() == pytest.approx(one["test_mse"].tolist(), rel=1e-6)
    assert other["outside"].tolist() == one["outside"].tolist()


def test_pairs_follow_their_rows():
    order = np.random.default_rng(1).permutation(36)
    shuffled = RUNS.resampled(RUNS.loss[order], "shuffled", order)
    moved = [tuple(np.flatnonzero(np.isin(order, rows)) for rows in pair) for pair in PAIRS]
    one, other = validate(KERNEL, RUNS, cv=PAIRS), validate(KERNEL, shuffled, cv=moved)
    assert other.scores["test_mse"].tolist() == pytest.approx(one.scores["test_mse"].tolist(), rel=1e-9)


def test_the_splits_of_one_validation_serve_another():
    first = validate(LinearRegression(), RUNS, cv=4, seed=3)
    second = validate(LinearRegression(), RUNS, cv=first.splits)
    assert second.scores.equals(first.scores)


@pytest.mark.parametrize(
    ("splitter", "groups", "count"),
    [
        (KFold(4), None, 4),
        (ShuffleSplit(3, random_state=0), None, 3),
        (LeaveOneGroupOut(), "params", 6),
        (LeavePGroupsOut(2), "tokens", 15),
        (GroupKFold(3), "params", 3),
        (3, "params", 3),
        (Extrapolation(tokens=1e10), None, 1),
    ],
)
def test_splitters(splitter, groups, count):
    made = validate(LinearRegression(), RUNS, cv=splitter, groups=groups)
    assert len(made.splits) == count
    for train, test in made.splits:
        assert sorted([*train, *test]) == list(range(36))
        if groups:
            assert not np.isin(RUNS[groups][train], RUNS[groups][test]).any()


def test_a_splitter_gets_the_rows_that_it_asks_for():
    made = validate(LinearRegression(), RUNS, cv=ShuffleSplit(2, random_state=7))
    expected = list(ShuffleSplit(2, random_state=7).split(np.zeros(36)))
    assert [[rows.tolist() for rows in pair] for pair in made.splits] == [
        [rows.tolist() for rows in pair] for pair in expected
    ]


def test_counts_that_agree_to_a_thousandth_are_one_group():
    scattered = RUNS.to_frame().assign(params=RUNS.params * np.tile([1.0, 1.0005, 1.0009], 12))
    made = validate(LinearRegression(), sf.LossTable.from_frame(scattered), cv=LeaveOneGroupOut(), groups="params")
    assert len(made.splits) == 6


def test_groups_of_text():
    table = sf.LossTable.from_frame(RUNS.to_frame().assign(lab=["a", "b", "c"] * 12))
    made = validate(LinearRegression(), table, cv=LeaveOneGroupOut(), groups="lab")
    assert [set(table["lab"][test]) for _, test in made.splits] == [{"a"}, {"b"}, {"c"}]


@pytest.mark.parametrize("name", ["flops", "params", "tokens"])
def test_extrapolation_trains_below_and_tests_from_the_cut_on(name):
    values = np.sort(RUNS[name])
    cut = values[20]
    ((train, test),) = validate(LinearRegression(), RUNS, cv=Extrapolation(**{name: cut})).splits
    assert RUNS[name][train].max() < cut == RUNS[name][test].min()
    assert len(train) + len(test) == 36


# What lies outside the training rows.


def test_rows_outside_the_hull_are_counted():
    corner, centre = 0, 14
    inside = [rows for rows in range(36) if rows not in (corner, centre)]
    made = validate([LinearRegression(), sf.Chinchilla], RUNS, cv=[(inside, [corner, centre]), (inside, [centre])])
    assert made.scores["outside"].tolist() == [1, 0, 1, 0]
    assert made.remarks == (
        "1 of 3 test rows, 0.5 per split, lie outside the convex hull of their training rows: models extrapolate.",
    )
    assert validate(LinearRegression(), RUNS, cv=[(inside, [centre])]).remarks == ()


def test_extrapolation_is_outside_altogether():
    made = validate(LinearRegression(), RUNS, cv=Extrapolation(params=1e10))
    assert made.remarks == ("6 of 6 test rows lie outside the convex hull of their training rows: models extrapolate.",)


def test_the_hull_is_that_of_the_inputs_of_each_model():
    inputs = {"N alone": "params", "2D": ("params", "tokens")}
    last = np.flatnonzero(RUNS.tokens >= 1e11)
    pairs = [(np.setdiff1d(np.arange(36), last), last)]
    made = validate({"2D": KERNEL, "N alone": clone(KERNEL)}, RUNS, cv=pairs, inputs=inputs)
    assert made.scores["outside"].tolist() == [6, 0]
    assert made.remarks == (
        "2D: 6 of 6 test rows lie outside the convex hull of their training rows: models extrapolate.",
    )


# Weights and inputs.


def test_weights_are_frequencies_of_fits_and_of_scores():
    counts = np.arange(36) % 3
    rows = np.repeat(np.arange(36), counts)
    weighted = sf.LossTable.from_frame(RUNS.to_frame().assign(count=counts))
    copied = RUNS.resampled(RUNS.loss[rows], "copies", rows)
    pairs = [tuple(np.flatnonzero(np.isin(rows, side)) for side in pair) for pair in PAIRS]
    models = {"2D": sf.Chinchilla, "line": LinearRegression()}
    one = validate(models, weighted, cv=PAIRS, weights="count")
    other = validate(models, copied, cv=pairs)
    columns = ["train_mse", "test_mse", "train_log_mse", "test_log_mse"]
    assert one.scores[columns].to_numpy() == pytest.approx(other.scores[columns].to_numpy(), rel=1e-6)
    assert one.scores["test_rows"].tolist() == [4] * 4  # of 6, two have no weight


def test_all_models_may_take_other_columns():
    made = validate([sf.PowerLaw, LinearRegression()], RUNS, cv=3, inputs="params")
    expected = scored_by_hand(LinearRegression(), RUNS, made.splits, inputs="params")
    assert scores_of(made, "LinearRegression")["test_mse"].tolist() == pytest.approx(expected[:, 1].tolist())


# What is told.


def test_names_come_from_the_models():
    models = [sf.Chinchilla, LinearRegression(), KERNEL, LinearRegression(fit_intercept=False)]
    made = validate(models, RUNS, cv=2)
    assert made.models == ("Chinchilla", "LinearRegression 1", "KernelRidge", "LinearRegression 2")
    assert validate(sf.Chinchilla, RUNS, cv=2).models == ("Chinchilla",)
    assert validate(models[:1], RUNS, cv=2).models == ("Chinchilla",)


def test_progress_counts_refits_of_all_models():
    calls = []
    models = [sf.Chinchilla, KERNEL, sf.LawRegressor(sf.Chinchilla, objective=sf.Huber("mad_of_loss"))]
    validate(models, RUNS, cv=3, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 9) for done in (3, 4, 5, 6, 7, 8, 9)]


def test_an_exception_of_progress_stops_it():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        validate(KERNEL, RUNS, cv=3, progress=stop)


def test_what_is_printed():
    made = by_hand({"Chinchilla": [5e-4, 6e-4, 4e-4], "kernel": [2.1e-4, 2.2e-4, 1.9e-4]}, outside=2)
    assert repr(made).splitlines() == [
        "ok    every model is scored on all test rows of 3 splits",
        "note  6 of 18 test rows, 2 per split, lie outside the convex hull of their training rows: models extrapolate.",
        "given pairs of rows    36 rows: 30 to train on, 6 to test on",
        "                       train MSE            test MSE    median     test MSE of log  ratio to Chinchilla",
        "  Chinchilla  (2.50 +- 0.29)e-04  (5.00 +- 0.58)e-04  5.00e-04  (5.00 +- 0.58)e-05                    1",
        "  kernel      (1.03 +- 0.04)e-04  (2.07 +- 0.09)e-04  2.10e-04  (2.07 +- 0.09)e-05       0.413 +- 0.031",
        "MSE in nats^2; mean +- standard error over splits of these rows, of ratios by paired splits",
    ]


def test_what_is_printed_of_failures():
    nan = float("nan")
    made = by_hand({"Chinchilla": [5e-4], "kernel": [nan]}, failure=[("kernel", 0)])
    assert repr(made).splitlines() == [
        "NOT OK  kernel failed in 1 of 1 splits and is not compared; in split 0: too few rows",
        "given pairs of rows    36 rows: 30 to train on, 6 to test on",
        "              train MSE  test MSE    median  test MSE of log  ratio to Chinchilla",
        "  Chinchilla   2.50e-04  5.00e-04  5.00e-04         5.00e-05                    1",
        "  kernel         failed         -         -                -                    -",
        "MSE in nats^2; mean +- standard error over splits of these rows, of ratios by paired splits",
    ]


def test_ratios_are_printed_to_their_error():
    near, far = by_hand({"a": [1.0, 1.0], "b": [0.4, 0.5]}), by_hand({"a": [1.0, 1.0], "b": [1e-9, 2e-9]})
    assert repr(near).splitlines()[-2].endswith("  0.450 +- 0.050")
    assert repr(far).splitlines()[-2].endswith("  (1.50 +- 0.50)e-09")


def test_sizes_that_vary_are_told_as_averages():
    words = (
        "KFold(n_splits=5, random_state=None, shuffle=False)    36 rows: on average 28.8 to train on, 7.2 to test on"
    )
    assert words in repr(validate(LinearRegression(), RUNS, cv=KFold(5))).splitlines()


def test_plain_values_are_json_and_the_frame_is_a_copy():
    made = by_hand({"a": [1.0], "b": [float("nan")]}, failure=[("b", 0)])
    told = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert (told["ok"], told["rows"], told["split"]) == (False, 36, "given pairs of rows")
    assert told["models"][1]["test_mse"] is None
    assert told["scores"][1]["failure"] == "too few rows"
    copy = made.to_frame()
    copy["test_mse"] = 0.0
    assert made.to_frame()["test_mse"][0] == 1.0


def test_errors_too_large_for_a_square_are_told():
    made = validate({"mean": Awkward(), "wild": Awkward(value=1e200)}, RUNS, cv=[*PAIRS, *[(range(35), [35])]])
    assert made.ok
    far = [(np.flatnonzero(RUNS.tokens < 1e11), np.flatnonzero(RUNS.tokens >= 1e11))]
    made = validate({"mean": Awkward(), "wild": Awkward(value=1e200)}, RUNS, cv=[*far, *PAIRS])
    assert made.to_frame()["test_mse"][1] == np.inf
    assert "inf" in repr(made)
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["models"][1]["test_mse"] is None


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"cv": 0}, ValueError, "cv must be at least 1 split, but it is 0"),
        ({"cv": True}, TypeError, "not True"),
        ({"cv": 2.5}, TypeError, "cv must be a number of random splits.* not 2.5"),
        ({"cv": "20"}, TypeError, "not '20'"),
        ({"cv": KFold}, TypeError, "pairs of .train, test. row numbers, not <class"),
        ({"cv": []}, ValueError, "gives no split"),
        ({"cv": [1, 2]}, TypeError, "split 0 is no pair"),
        ({"cv": [([0, 1], [2], [3])]}, TypeError, "split 0 is no pair"),
        ({"cv": [([0, 1, 2], [])]}, ValueError, "split 0 has no test rows"),
        ({"cv": [PAIRS[0], ([], [2])]}, ValueError, "split 1 has no train rows"),
        ({"cv": [([0, 1], [36])]}, ValueError, "test row 36, but rows count from 0 to 35"),
        ({"cv": [([-1, 1], [3])]}, ValueError, "train row -1"),
        ({"cv": [([0, 1], [1, 2])]}, ValueError, "row 1 is in split 0 twice"),
        ({"cv": [([0.5, 1], [2])]}, TypeError, "must be row numbers, not float64"),
        ({"cv": [(np.arange(36) < 30, np.arange(36) >= 30)]}, TypeError, "must be row numbers, not bool"),
        ({"cv": KFold(40)}, ValueError, "cannot split these 36 rows.*n_splits=40"),
        ({"cv": LeaveOneGroupOut()}, ValueError, 'Name the column of the groups, as in groups="params"'),
        ({"cv": LeaveOneGroupOut(), "groups": "size"}, ValueError, "This table has no column 'size'"),
        ({"cv": LeaveOneGroupOut(), "groups": ["params"]}, TypeError, "groups must be the name of a column"),
        ({"cv": LeaveOneGroupOut(), "groups": "same"}, ValueError, "'same' makes one group of all 36 rows"),
        ({"cv": LeaveOneGroupOut(), "groups": "gaps"}, ValueError, r"'gaps' cannot make groups: row 0 .* \(1 such"),
        ({"cv": PAIRS, "groups": "params"}, ValueError, "groups='params' is for random splits"),
        ({"cv": Extrapolation(flops=1e30)}, ValueError, "no run lies at or above flops 1e.30.*nothing to test on"),
        ({"cv": Extrapolation(params=1e8)}, ValueError, "no run lies below params 1e.08.*runs from 1e.08 to 1e.10"),
        ({"test_size": 1.0}, ValueError, "test_size must be a share between 0 and 1"),
        ({"test_size": 0.99}, ValueError, "train set will be empty"),
        ({"seed": -1}, ValueError, "seed must be a whole number"),
        ({"inputs": {"3D": "params"}}, ValueError, "inputs has the columns of '3D', but the models are Chinchilla"),
        ({"inputs": "size"}, ValueError, "Chinchilla cannot be fitted to the whole table"),
        ({"weights": "gaps"}, ValueError, "'gaps' must be finite"),
        ({"weights": "few", "cv": [(np.arange(35), [35])]}, ValueError, "test rows of split 0 have no weight"),
        ({"models": []}, ValueError, "there are no models"),
        ({"models": {}}, ValueError, "there are no models"),
        ({"models": {1: KERNEL}}, TypeError, "named by texts, not by 1"),
        ({"models": [KERNEL, sf.PowerLaw, KERNEL]}, ValueError, "KernelRidge is given twice"),
        ({"models": sf.HOFFMANN_2022}, TypeError, "has its numbers already"),
        ({"models": {"a": 3}}, TypeError, "model must be a Law class"),
        ({"models": AnovaKernelRidge}, TypeError, "model must be a Law class"),
        ({"models": Awkward(refuse_rows=36)}, ValueError, "Awkward cannot be fitted to the whole table: 36 rows"),
        ({"models": Awkward(refuse_rows=30), "cv": PAIRS}, ValueError, "on any of 2 splits; the first: 30 rows are"),
    ],
)
def test_what_cannot_work_is_refused_in_words(arguments, error, words):
    frame = RUNS.to_frame().assign(same=1, gaps=[np.nan] + [1.0] * 35, few=[1] * 35 + [0])
    table = sf.LossTable.from_frame(frame)
    with pytest.raises(error, match=words):
        validate(**{"models": sf.Chinchilla, "table": table, **arguments})


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        ({}, "takes one of flops, params and tokens, not nothing"),
        ({"flops": 1e20, "params": 1e9}, "not flops=1e.20, params=1000000000.0"),
        ({"flops": 0.0}, "flops must be a positive, finite number to cut at, not 0.0"),
        ({"tokens": np.inf}, "tokens must be a positive"),
        ({"tokens": "1e9"}, "not '1e9'"),
    ],
)
def test_a_cut_that_is_none_is_refused(cut, words):
    with pytest.raises(ValueError, match=words):
        Extrapolation(**cut)


def test_a_table_without_the_column_of_a_cut_says_how_to_get_it():
    table = sf.LossTable.from_frame(RUNS.to_frame().drop(columns="flops"))
    with pytest.raises(ValueError, match="flops='6ND'"):
        validate(LinearRegression(), table, cv=Extrapolation(flops=1e20))


def test_a_table_that_is_too_small_says_so():
    few = RUNS.where(np.arange(36) < 6)
    with pytest.raises(ValueError, match="Chinchilla cannot be fitted to the whole table"):
        validate(sf.Chinchilla, few.where(np.arange(6) < 4))
    spread = RUNS.where(np.arange(36) % 7 == 0)
    with pytest.raises(ValueError, match="on any of 20 splits; the first: Chinchilla has 5 free parameters"):
        validate(sf.Chinchilla, spread)


def test_no_table_is_refused():
    with pytest.raises(TypeError, match="table must be a LossTable, not DataFrame"):
        validate(sf.Chinchilla, RUNS.to_frame())
