"""Raw frame to checked columns: spellings, the map, invalid values, the rule."""

import numpy as np
import pandas as pd
import pytest

from runs import FRAME, TABLE, frame_with, missing_words, refusal
from scalefit.table import LossTable

# --- Names ---


@pytest.mark.parametrize(
    ("canonical", "spelling"),
    [
        *(
            ("params", name)
            for name in ["n_params", "num_params", "parameters", "model_size", "Model Size", "N-Params", "N"]
        ),
        *(("tokens", name) for name in ["n_tokens", "num_tokens", "train_tokens", "Training Tokens", "D"]),
        *(("flops", name) for name in ["compute", "training_flops", "Training FLOP", "total_flops", "FLOPs", "C"]),
        *(
            ("loss", name)
            for name in [
                "val_loss",
                "valid_loss",
                "Validation-Loss",
                "val/loss",
                "eval.loss",
                "test_loss",
                "final_loss",
                "L",
            ]
        ),
    ],
)
def test_common_spellings_are_recognised_and_noted(canonical, spelling):
    base = FRAME.assign(flops=1e20)[["params", "tokens", "flops", "loss"]]
    table = LossTable.from_frame(base.rename(columns={canonical: spelling}))
    assert table.columns == ("params", "tokens", "flops", "loss")
    assert table.notes == (f"{canonical} is the column {spelling!r} (recognised)",)


@pytest.mark.parametrize(
    "name", ["params_nonembed", "loss_bits", "train_loss", "flops_6nd", "n", "d", "c", "l", "L", "param_count", "size"]
)
def test_other_names_are_carried_as_they_are(name):
    table = LossTable.from_frame(frame_with(flops=1e20, **{name: [1, 2, 3, 4]}))
    assert table[name].tolist() == [1, 2, 3, 4]
    assert table.notes == ()


@pytest.mark.parametrize(("first", "second"), [("loss", "val_loss"), ("val_loss", "test_loss"), ("L", "loss")])
def test_two_losses_that_differ_are_refused_by_name(first, second):
    frame = FRAME.drop(columns="loss").assign(**{first: [4.0, 3, 2, 1], second: [5.0, 3, 2, 1]})
    if first == "L":  # the letter is the loss only where nothing else is
        assert LossTable.from_frame(frame).loss.tolist() == [5.0, 3, 2, 1]
    else:
        words = [repr(first), repr(second), "differ", f"columns={{'loss': {first!r}}}"]
        assert missing_words(refusal(LossTable.from_frame, frame), *words) == []


@pytest.mark.parametrize(("canonical", "letter"), [("params", "N"), ("tokens", "D"), ("flops", "C")])
def test_a_letter_beside_a_word_that_differs_is_refused(canonical, letter):
    message = refusal(LossTable.from_frame, FRAME.assign(**{letter: 7.0, canonical: 8.0}))
    assert missing_words(message, repr(letter), repr(canonical), "differ", "columns=") == []


def test_two_spellings_with_equal_values_are_one():
    table = LossTable.from_frame(frame_with(N=FRAME["params"].astype(np.int64)))
    assert table.params.tolist() == FRAME["params"].tolist()
    assert table["N"].tolist() == FRAME["params"].tolist()


def test_the_map_settles_what_is_ambiguous():
    table = LossTable.from_frame(frame_with(val_loss=[5.0, 4, 3, 2]), {"loss": "val_loss"})
    assert table.loss.tolist() == [5.0, 4, 3, 2]
    assert table["loss_original"].tolist() == FRAME["loss"].tolist()
    assert table.notes == (
        "loss is the column 'val_loss' (columns=)",
        "the source's column 'loss' is carried as 'loss_original'",
    )


def test_mapped_columns_may_swap_names():
    table = LossTable.from_frame(FRAME, {"params": "tokens", "tokens": "params"})
    assert table.params.tolist() == FRAME["tokens"].tolist()
    assert table.tokens.tolist() == FRAME["params"].tolist()
    assert set(table.columns) == set(FRAME)


BAD_MAPS = {
    "unknown key": ({"size": "params"}, ["'size'", "params, tokens, flops, loss"]),
    "absent source": ({"params": "parms"}, ["'parms'", "Did you mean 'params'?", "Columns: params, tokens"]),
    "one source twice": ({"params": "lr", "tokens": "lr"}, ["'lr'", "params and tokens"]),
    "displaced name is taken": ({"params": "lr"}, ["'params'", "'params_original'", "exists", "Rename"]),
}


@pytest.mark.parametrize(("columns", "words"), BAD_MAPS.values(), ids=BAD_MAPS)
def test_bad_maps_are_refused(columns, words):
    message = refusal(LossTable.from_frame, frame_with(params_original=1.0), columns)
    assert missing_words(message, *words) == []


BAD_FRAMES = {
    "no loss": (
        FRAME.drop(columns="loss").assign(train_loss=1.0),
        ["loss", "params, tokens", "{'loss': 'train_loss'}"],
    ),
    "no inputs": (FRAME[["loss", "lr"]], ["params, tokens or flops", "loss, lr", "columns="]),
    "no rows": (FRAME[:0], ["no rows", "at least 2 rows"]),
    "one row": (FRAME[:1], ["at least 2 rows", "has 1", "Add runs"]),
    "duplicate column": (pd.concat([FRAME, FRAME[["lr"]]], axis=1), ["2 columns named 'lr'", "Rename or delete"]),
    "column that is an index level too": (FRAME.set_index("lr", drop=False), ["2 columns named 'lr'"]),
    "number as name": (FRAME.rename(columns={"lr": 0}), ["0 is int", "df.columns"]),
}


@pytest.mark.parametrize(("frame", "words"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_bad_frames_are_refused(frame, words):
    assert missing_words(refusal(LossTable.from_frame, frame), *words) == []


def test_what_is_no_frame_is_refused_with_the_way_to_make_one():
    with pytest.raises(TypeError, match=r"not dict.*pandas.DataFrame.*LossTable.read"):
        LossTable.from_frame({"params": [1, 2]})


# --- Values ---


INVALID = {
    "nan": (np.nan, ["is missing (nan)"]),
    "None": (None, ["is missing (nan)"]),
    "infinity": (np.inf, ["is inf"]),
    "zero": (0.0, ["is 0.0"]),
    "negative": (-0.25, ["is -0.25"]),
    "text": ("diverged", ["the text 'diverged'", "1.4e9"]),
    "units": ("125M", ["the text '125M'", "without units", "1.4e9"]),
    "empty text": ("", ["is empty"]),
    "boolean": (True, ["is True"]),
    "overflow": ("1e999", ["'1e999'"]),
    "list": ([1.0], ["is [1.0]"]),
}


@pytest.mark.parametrize("column", ["params", "tokens", "loss"])
@pytest.mark.parametrize(("value", "words"), INVALID.values(), ids=INVALID)
def test_an_invalid_value_is_refused_with_column_row_value_count_and_remedy(column, value, words):
    cells = FRAME[column].astype(object).tolist()
    cells[1] = cells[3] = value
    message = refusal(LossTable.from_frame, frame_with(**{column: cells}))
    words = [column, "row 1 (counting from 0)", "2 such rows of 4", "drop_invalid=True", *words]
    assert missing_words(message, *words) == []
    assert ("unigram" in message.lower()) == (column == "loss" and value in (0.0, -0.25))


def test_an_invalid_value_of_a_file_is_named_by_its_line(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("N,D,val_loss\n\n1e8,1e9,3.0\n1e8,2e9,-0.5\n1e8,3e9,diverged\n")
    message = refusal(LossTable.read, path)
    words = ["loss (column 'val_loss')", "line 4", str(path), "-0.5", "2 such rows of 3", "Unigram"]
    assert missing_words(message, *words) == []


def test_a_missing_key_of_a_json_line_is_a_missing_value_of_that_line(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"N": 1, "loss": 2}\n{"N": 1}\n{"N": 1, "loss": 3}\n')
    assert missing_words(refusal(LossTable.read, path), "loss", "line 2", "missing", "1 such rows of 3") == []


def test_drop_invalid_drops_and_lists():
    frame = frame_with(loss=[3.2, np.nan, 2.3, 3.1], params=[1e8, -1, "big", 1e8], reason="none")
    table = LossTable.from_frame(frame, drop_invalid=True)
    assert table.loss.tolist() == [3.2, 3.1]
    assert table.dropped["reason"].tolist() == [
        "row 1 (counting from 0): params is -1",
        "row 2 (counting from 0): params is the text 'big'",
    ]
    assert table.dropped.index.tolist() == [1, 2]
    assert table.dropped["reason_original"].tolist() == ["none", "none"]
    assert table.notes == ("drop_invalid: 2 of 4 rows dropped, see .dropped",)
    assert len(table.where("kept").dropped) == 2


def test_each_dropped_row_has_its_own_reason():
    frame = frame_with(loss=[np.nan, 2.6, 2.3, 3.1], params=[1e8, 0.0, 1e10, 1e8])
    reasons = LossTable.from_frame(frame, drop_invalid=True).dropped["reason"]
    assert [reason.split(": ")[1] for reason in reasons] == ["loss is missing (nan)", "params is 0.0"]


def test_drop_invalid_without_invalid_rows_changes_nothing():
    table = LossTable.from_frame(FRAME, drop_invalid=True)
    assert table == TABLE
    assert table.notes == ()


def test_drop_invalid_that_leaves_one_row_is_refused():
    message = refusal(LossTable.from_frame, frame_with(loss=[3.2, np.nan, -1, 0]), drop_invalid=True)
    assert (
        missing_words(message, "at least 2 rows", "has 1", "3 invalid rows", "row 1 (counting from 0): loss is missing")
        == []
    )


def test_decimal_commas_beside_text_are_still_numbers(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("N;loss\n1e8;3,5\n1e9;diverged\n1e10;2,5\n")
    assert LossTable.read(path, drop_invalid=True).loss.tolist() == [3.5, 2.5]


# --- The rule ---


@pytest.mark.parametrize("absent", ["params", "tokens", "flops"])
def test_the_rule_derives_the_absent_column_and_says_so(absent):
    full = FRAME.assign(flops=6 * FRAME["params"] * FRAME["tokens"])
    table = LossTable.from_frame(full.drop(columns=absent), flops="6ND")
    np.testing.assert_allclose(table[absent], full[absent], rtol=1e-15)  # two roundings
    assert table.inputs == ("params", "tokens", "flops")
    assert "rule 6ND" in table.notes[0]
    assert "6ND" in repr(table)


def test_the_rule_does_not_overflow_on_integers():
    frame = pd.DataFrame({"N": [10**12, 10**12], "D": [10**14, 10**14], "loss": [2, 2]})
    np.testing.assert_allclose(LossTable.from_frame(frame, flops="6ND").flops, 6e26, rtol=1e-15)


BAD_RULES = {
    "unknown": (FRAME, "6nd", ["'6nd'", "'6ND'"]),
    "none absent": (FRAME.assign(flops=1e20), "6ND", ["all there", "Drop the argument"]),
    "two absent": (FRAME.drop(columns="tokens"), "6ND", ["tokens and flops", "columns="]),
    "overflow": (FRAME.assign(params=[1e200, 1, 1, 1], tokens=1e200), "6ND", ["flops", "inf", "1e+200", "1 such rows"]),
}


@pytest.mark.parametrize(("frame", "rule", "words"), BAD_RULES.values(), ids=BAD_RULES)
def test_bad_rules_are_refused(frame, rule, words):
    assert missing_words(refusal(LossTable.from_frame, frame, flops=rule), *words) == []


def test_runs_that_say_why_they_have_no_loss_are_left_out_and_listed(tmp_path):
    frame = pd.DataFrame({
        "params": [1e6, 2e6, 3e6, 4e6], "loss": [3.0, 2.5, np.nan, np.nan],
        "status": ["ok", "ok", "diverged", "killed"],
    })  # fmt: skip
    frame.to_csv(tmp_path / "runs.csv", index=False)
    for table in (LossTable.from_frame(frame), LossTable.read(tmp_path / "runs.csv")):
        assert table.params.tolist() == [1e6, 2e6]
        assert table.dropped["params"].astype(float).tolist() == [3e6, 4e6]
        assert [reason.split(": ")[1] for reason in table.dropped["reason"]] == [
            "status is diverged",
            "status is killed",
        ]
        assert "2 of 4 runs have no loss and say why in status: left out, see .dropped" in table.notes


@pytest.mark.parametrize(("status", "loss"), [("ok", np.nan), ("diverged", -1.0), ("diverged", np.inf)])
def test_a_status_explains_nothing_else(status, loss):
    frame = pd.DataFrame({"params": [1e6, 2e6, 3e6], "loss": [3.0, 2.5, loss], "status": ["ok", "ok", status]})
    with pytest.raises(ValueError, match="loss must be positive and finite"):
        LossTable.from_frame(frame)
    assert len(LossTable.from_frame(frame, drop_invalid=True).dropped) == 1


def test_other_invalid_rows_are_dropped_beside_those_that_ended():
    frame = pd.DataFrame({
        "params": [1e6, 2e6, -3.0, 4e6], "loss": [3.0, 2.5, 2.4, np.nan], "status": ["ok", "ok", "ok", "diverged"],
    })  # fmt: skip
    table = LossTable.from_frame(frame, drop_invalid=True)
    assert table.dropped["params"].tolist() == [-3.0, 4e6]
    assert any("drop_invalid: 1 of 4 rows dropped" in note for note in table.notes)
    assert "row 2" in table.dropped["reason"].iloc[0]
    assert "status is diverged" in table.dropped["reason"].iloc[1]
