"""where, best and curves: which rows they keep, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs import FRAME, TABLE, frame_with, missing_words, refusal
from scalefit.table import LossTable

# --- where ---


LAST = {"params": 5e8, "tokens": 1.0, "loss": 2.5, "lr": np.nan, "dataset": "x", "kept": False}
FIVE = pd.concat([FRAME, pd.DataFrame([LAST])], ignore_index=True)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("params >= 1e9", [1, 2]),
        ("params<1e9", [0, 3, 4]),
        ("loss > 2.6", [0, 3]),
        ("loss <= 2.6", [1, 2, 4]),
        ("params == 1e8", [0, 3]),
        ("params != 1e8", [1, 2, 4]),
        ("lr >= 1e-4", [0, 1, 2, 3]),
        ("dataset == c4", [0, 1]),
        ("dataset == 'c4'", [0, 1]),
        ("dataset != c4", [2, 3, 4]),
        ("kept", [0, 1, 3]),
        (" kept == true ", [0, 1, 3]),
        ("kept != False", [0, 1, 3]),
        ("not kept", [2, 4]),
        ([True, False, True, False, False], [0, 2]),
        (np.array([True, False, True, False, False]), [0, 2]),
        (lambda frame: frame["loss"] / frame["params"] > 2e-8, [0, 3]),
    ],
)
def test_where_keeps_the_rows_that_meet_the_condition(condition, rows):
    assert LossTable.from_frame(FIVE).where(condition) == LossTable.from_frame(FIVE.iloc[rows])


def test_where_takes_several_conditions_and_keywords():
    table = TABLE.where("dataset == c4", lambda frame: frame["loss"] > 2, "params < 1e10", kept=True)
    assert table.loss.tolist() == [3.2, 2.6]
    assert table.notes[0] == "where dataset == c4: 2 of 4 rows"
    assert table.notes[-1] == "where kept == True: 2 of 2 rows"


def test_where_equals_the_same_by_string_keyword_mask_and_function():
    by_mask = TABLE.where(FRAME["dataset"] == "c4")
    assert by_mask == TABLE.where("dataset == c4") == TABLE.where(dataset="c4")
    assert by_mask == TABLE.where(lambda frame: frame["dataset"] == "c4")


def test_where_does_not_select_missing_values():
    table = LossTable.from_frame(frame_with(lr=pd.array([1, 1, None, 2], dtype="Int64")))
    assert len(table.where("lr == 1")) == len(table.where(lr=1)) == len(table.where("lr <= 1")) == 2


BAD_CONDITIONS = {
    "single =": (("params = 1e9",), ["'params = 1e9'", "flops >= 1e20"]),
    "unknown column": (("parms > 1",), ["'parms'", "Did you mean 'params'?"]),
    "name in the file": (("model_size > 1",), ["'model_size'", "It is called 'params' here."]),
    "unknown flag": (("not kep",), ["'kep'", "Did you mean 'kept'?"]),
    "two in one": (("params > 1 and kept",), ["params", "'1 and kept'", "pass several"]),
    "chained": (("1 < params < 3",), ["Cannot read", "'1 < params < 3'", "pass several"]),
    "code": (("__import__('os').getcwd()",), ["no column"]),
    "flag of numbers": (("loss",), ["true and false", "float64"]),
    "order of text": (("dataset > c4",), ["dataset", "'dataset > c4'", "Use == or !="]),
    "order of flags": (("kept >= true",), ["kept", "Use == or !="]),
    "flag and number": (("kept == 1",), ["kept", "'1'"]),
    "short mask": (([True, False],), ["(4,)", "(2,)", "mask"]),
    "row numbers": (([0, 1, 2, 3],), ["boolean", "int64"]),
    "mask of a function": ((lambda frame: frame["loss"],), ["boolean", "float64", "<lambda>"]),
    "empties": (("params > 1", "loss > 9"), ["loss > 9", "none of the 4 rows", "2.3 to 3.2"]),
    "empties text": (("dataset == C4",), ["dataset == C4", "c4, pile, NA"]),
    "one row": (("params > 1e9",), ["at least 2 rows", "params > 1e9", "1"]),
}


@pytest.mark.parametrize(("conditions", "words"), BAD_CONDITIONS.values(), ids=BAD_CONDITIONS)
def test_bad_conditions_are_refused(conditions, words):
    assert missing_words(refusal(TABLE.where, *conditions), *words) == []


def test_where_keyword_tests_one_value():
    assert missing_words(refusal(TABLE.where, dataset=["c4", "pile"]), "dataset", "one value", "mask") == []
    assert missing_words(refusal(TABLE.where, datset="c4"), "'datset'", "Did you mean 'dataset'?") == []


# --- best ---


SWEEP = pd.DataFrame(
    [
        (params, lr, seed, loss)
        for params, cells in {
            1e8: {1e-4: [3.50, 3.60], 1e-3: [3.00, 3.40], 1e-2: [3.10, 3.11]},
            1e9: {1e-4: [2.50, 2.52], 1e-3: [2.60, 2.61], 1e-2: [2.90, 2.91]},
        }.items()
        for lr, losses in cells.items()
        for seed, loss in enumerate(losses)
    ],
    columns=["params", "lr", "seed", "loss"],
)


def test_best_is_the_minimum_over_the_swept_columns():
    best = LossTable.from_frame(SWEEP).best(over=("lr", "seed")).to_frame()
    assert best["loss"].tolist() == [3.00, 2.50]
    assert best["lr"].tolist() == [1e-3, 1e-4]
    assert best["seed"].tolist() == [0, 0]
    assert best["count"].tolist() == [6, 6]
    assert best["at_edge"].tolist() == [False, True]
    np.testing.assert_allclose(best["loss_sd"], [0.4 / 2**0.5, 0.02 / 2**0.5], rtol=1e-12)  # one subtraction


def test_best_of_means_need_not_hold_the_lowest_loss():
    best = LossTable.from_frame(SWEEP).best(over="lr", mean="seed").to_frame()
    np.testing.assert_allclose(best["loss"], [3.105, 2.51], rtol=1e-15)
    assert best["lr"].tolist() == [1e-2, 1e-4]
    assert best["seed"].tolist() == [0, 0]
    assert best["count"].tolist() == [6, 6]
    assert best["at_edge"].tolist() == [True, True]
    np.testing.assert_allclose(best["loss_sd"], [0.01 / 2**0.5, 0.02 / 2**0.5], rtol=1e-11)


def test_best_of_means_keeps_the_first_row_of_the_winner():
    best = LossTable.from_frame(SWEEP[::-1]).best(over="lr", mean="seed")
    assert best["seed"].tolist() == [1, 1]


def test_best_of_seeds_alone_has_no_edge():
    best = LossTable.from_frame(SWEEP.rename(columns={"seed": "data_seed"})).best(over="data_seed", by="lr")
    assert len(best) == 6
    assert not best["at_edge"].any()
    assert best["count"].tolist() == [2] * 6


def test_best_of_one_row_has_no_sd_and_is_at_the_edge():
    best = LossTable.from_frame(FRAME).best(over="lr")
    assert len(best) == 4
    assert np.isnan(best["loss_sd"]).all()
    assert best["at_edge"].all()


def test_best_groups_by_every_input_present():
    table = LossTable.from_frame(SWEEP.assign(tokens=1e9 * (1 + SWEEP["seed"])))
    assert len(table.best(over="lr")) == 4


@settings(deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False), st.sampled_from([(), "seed"]))
def test_row_order_does_not_matter_to_best(random, mean):
    over = ("lr", "seed") if not mean else ("lr",)
    sweep = pd.concat([SWEEP.assign(loss=SWEEP["loss"] / k, seed=SWEEP["seed"] + 2 * k) for k in (1, 1.01, 1.07)])
    rows = list(range(len(sweep)))
    random.shuffle(rows)
    drop = [] if not mean else ["seed"]  # with mean, the row kept is the first one
    expected = LossTable.from_frame(sweep).best(over, mean=mean).to_frame().drop(columns=drop)
    shuffled = LossTable.from_frame(sweep.iloc[rows]).best(over, mean=mean).to_frame().drop(columns=drop)
    pd.testing.assert_frame_equal(shuffled, expected, check_exact=True)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([2.5, 3.0, 3.5]), min_size=12, max_size=12))
def test_best_is_never_above_any_row_of_its_group(losses):
    frame = SWEEP.assign(loss=losses)
    best = LossTable.from_frame(frame).best(("lr", "seed"))
    assert best.loss.tolist() == frame.groupby("params")["loss"].min().tolist()
    mean = LossTable.from_frame(frame).best(over="lr", mean="seed")
    assert (mean.loss >= best.loss).all()


@settings(deadline=None, derandomize=True)
@given(st.data(), st.booleans())
def test_best_equals_a_loop_over_groups(data, average):
    cell = st.tuples(*[st.sampled_from([1.0, 2.0, 3.0])] * 2, st.integers(0, 3), st.floats(1, 2))
    frame = pd.DataFrame(data.draw(st.lists(cell, min_size=4, max_size=24)), columns=["params", "lr", "seed", "loss"])
    frame = pd.concat([frame, frame.assign(params=9.0)], ignore_index=True)  # two groups at least
    over, options = ("lr", {"mean": "seed"}) if average else (("lr", "seed"), {})
    best = LossTable.from_frame(frame).best(over, **options).to_frame()
    for row, (params, group) in zip(best.itertuples(), frame.groupby("params"), strict=True):
        score = {lr: rows["loss"].mean() if average else rows["loss"].min() for lr, rows in group.groupby("lr")}
        assert (row.params, row[best.columns.get_loc("count") + 1]) == (params, len(group))
        assert row.loss == pytest.approx(min(score.values()), rel=1e-14)  # the order of a sum of up to 24
        assert score[row.lr] == pytest.approx(row.loss, rel=1e-14)
        assert row.at_edge == (row.lr in (min(score), max(score)))
        sd = group.loc[group["lr"] == row.lr, "loss"].std()
        assert row.loss_sd == pytest.approx(sd, rel=1e-6, abs=1e-9, nan_ok=True)  # nearly equal losses cancel


def test_best_does_not_mix_data_sets():
    both = pd.concat([SWEEP.assign(dataset="a"), SWEEP.assign(dataset="b", loss=SWEEP["loss"] + 1)], ignore_index=True)
    table = LossTable.from_frame(both)
    for options in ({"over": "lr"}, {"over": "lr", "mean": "seed"}, {"over": (), "mean": "seed"}):
        words = ["different data in 2 groups", "'dataset'", "2 values (a, b)", "--where 'dataset == a'"]
        assert missing_words(refusal(table.best, **options), *words) == []
    alone = LossTable.from_frame(SWEEP).best(over="lr", mean="seed")
    assert table.where(dataset="a").best(over="lr", mean="seed").loss.tolist() == alone.loss.tolist()
    assert len(table.best(over="lr", by="dataset", mean="seed")) == 2 * len(alone)
    apart = both.assign(params=both["params"] * both["dataset"].map({"a": 1, "b": 3}))
    assert len(LossTable.from_frame(apart).best(over="lr")) == 4  # no group has both


def test_best_notes_what_it_did():
    assert LossTable.from_frame(SWEEP).best(("lr", "seed")).notes == (
        "best over lr, seed: 2 of 12 rows, 1 at the edge of what was tried",
    )


BAD_BEST = {
    "unknown column": (SWEEP, {"over": "learning_rate"}, ["'learning_rate'", "params, loss, lr, seed"]),
    "unknown by": (SWEEP, {"by": "sed"}, ["'sed'", "Did you mean 'seed'?"]),
    "unknown mean": (SWEEP, {"over": "lr", "mean": "sed"}, ["'sed'", "Did you mean 'seed'?"]),
    "nan": (SWEEP.assign(lr=[np.nan, *SWEEP["lr"][1:]]), {}, ["lr", "row 0", "1 such rows of 12", "where()"]),
    "nothing": (SWEEP, {"over": ()}, ["over=('lr', 'seed')"]),
    "seed twice": (SWEEP, {"mean": "seed"}, ["'seed' twice"]),
    "an input": (SWEEP, {"over": ("params", "lr")}, ["'params' twice"]),
    "the loss": (SWEEP, {"over": "loss"}, ["'loss' twice"]),
    "taken name": (SWEEP.assign(count=1), {}, ["'count'", "Rename or drop"]),
    "one group": (SWEEP.assign(params=1.0), {}, ["at least 2 rows", "best over lr, seed"]),
}


@pytest.mark.parametrize(("frame", "options", "words"), BAD_BEST.values(), ids=BAD_BEST)
def test_bad_best_is_refused(frame, options, words):
    assert missing_words(refusal(LossTable.from_frame(frame).best, **{"over": ("lr", "seed"), **options}), *words) == []


# --- curves ---


GRID = pd.DataFrame(
    [(params, tokens * (1 + wobble), 2 + 1e3 / params + 1e4 / tokens) for params in (1e8, 1e9, 1e7, 3e7)
     for tokens, wobble in ((2e10, 0), (1e9, 5e-4 * (params > 1e8)), (5e9, 0))],
    columns=["params", "tokens", "loss"],
)  # fmt: skip


def test_curves_are_slices_at_constant_tokens_in_order():
    curves = LossTable.from_frame(GRID).curves(along="params", at="tokens")
    assert [float(curve.tokens[0]) for curve in curves] == [1e9, 5e9, 2e10]
    assert all(curve.params.tolist() == [1e7, 3e7, 1e8, 1e9] for curve in curves)
    assert curves[0].notes == ("slice at tokens = 1e+09: 4 of 12 rows",)


def test_a_slice_spans_at_most_rtol():
    curves = LossTable.from_frame(GRID).curves(along="params", at="tokens", rtol=1e-4)
    assert [float(curve.tokens[0]) for curve in curves] == [5e9, 2e10]
    merged = LossTable.from_frame(GRID).curves(along="params", at="tokens", rtol=30)
    assert [len(curve) for curve in merged] == [12]


def test_slices_that_are_too_small_or_do_not_vary_are_left_out():
    frame = pd.concat([GRID, GRID.iloc[[0, 0, 0, 0]].assign(tokens=9e12), GRID.iloc[[0, 3, 6]].assign(tokens=8e13)])
    curves = LossTable.from_frame(frame).curves(along="params", at="tokens")
    assert max(curve.tokens.max() for curve in curves) == 2e10


@settings(deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_row_order_does_not_matter_to_curves(random):
    rows = list(range(len(GRID)))
    random.shuffle(rows)
    expected = LossTable.from_frame(GRID).curves(along="params", at="tokens")
    assert LossTable.from_frame(GRID.iloc[rows]).curves(along="params", at="tokens") == expected


@settings(deadline=None, derandomize=True)
@given(st.floats(1e-6, 1e6))
def test_units_do_not_matter_to_curves(factor):
    scaled = LossTable.from_frame(GRID.assign(tokens=GRID["tokens"] * factor)).curves(along="params", at="tokens")
    assert [len(curve) for curve in scaled] == [4, 4, 4]


BAD_CURVES = {
    "no slices": (
        {"at": "run"},
        ["constant run", "largest of 12 has 1 row(s)", "rtol", "min_rows=4", "no runs at fixed run", "2D law"],
    ),
    "no variation": ({"along": "one"}, ["only one value of one", "4 row(s)"]),
    "unknown": ({"at": "token"}, ["'token'", "Did you mean 'tokens'?"]),
    "same": ({"at": "params"}, ["'params'", "constant"]),
    "negative rtol": ({"rtol": -1e-3}, ["rtol", "-0.001", "1e-3"]),
    "nan rtol": ({"rtol": float("nan")}, ["rtol", "nan"]),
    "one row": ({"min_rows": 1}, ["min_rows", "1", "at least 2"]),
    "text": ({"at": "dataset"}, ["dataset", "row 0", "c4", "12 such rows"]),
    "zero": ({"at": "zero"}, ["zero", "row 0", "0.0", "where()"]),
}


@pytest.mark.parametrize(("options", "words"), BAD_CURVES.values(), ids=BAD_CURVES)
def test_bad_curves_are_refused(options, words):
    table = LossTable.from_frame(GRID.assign(dataset="c4", zero=0.0, one=1.0, run=np.arange(1, 13)))
    assert missing_words(refusal(table.curves, **{"along": "params", "at": "tokens", **options}), *words) == []


def test_several_columns_of_seeds_are_averaged_and_so_is_what_was_measured():
    frame = pd.DataFrame({
        "params": [1e6] * 4 + [2e6] * 4, "lr": [0.1, 0.1, 0.2, 0.2] * 2, "seed": [0, 1] * 4, "data_seed": [7, 8] * 4,
        "loss": [3.0, 3.2, 3.3, 2.9, 2.0, 2.4, 2.5, 2.7], "excess": [1.0, 1.2, 1.3, 0.9, 0.0, 0.4, 0.5, 0.7],
        "kappa": [0.1] * 8,
    })  # fmt: skip
    made = LossTable.from_frame(frame).best("lr", mean=("seed", "data_seed")).to_frame()
    np.testing.assert_allclose(made["loss"], [3.1, 2.2])
    np.testing.assert_allclose(made["excess"], made["loss"] - 2.0)
    assert made["kappa"].tolist() == [0.1, 0.1]
    assert made["seed"].tolist() == [0, 0]
    assert made["replicates"].tolist() == [2, 2]
