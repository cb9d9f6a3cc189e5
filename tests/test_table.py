"""LossTable: what goes in comes out, read-only, and equal after a round trip."""

import decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from runs import FRAME, TABLE, frame_with, missing_words, refusal
from scalefit.table import LossTable

# --- Columns ---


def test_columns_come_back_as_they_went_in():
    assert TABLE.columns == ("params", "tokens", "loss", "lr", "dataset", "kept")
    assert TABLE.inputs == ("params", "tokens")
    assert len(TABLE) == 4
    assert TABLE.params.tolist() == FRAME["params"].tolist()
    assert TABLE["dataset"].tolist() == FRAME["dataset"].tolist()
    assert TABLE.notes == ()
    assert TABLE.dropped.empty
    assert "reason" in TABLE.dropped


def test_canonical_columns_come_first_and_the_others_keep_their_order():
    assert LossTable.from_frame(FRAME[["kept", "loss", "dataset", "tokens"]]).columns == (
        "tokens",
        "loss",
        "kept",
        "dataset",
    )


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3, 10**25],
        pd.array([1, 2, 3, 4], dtype="Int64"),
        np.array([1, 2, 3, 4], dtype=np.float32),
        ["1", "2e0", " 3 ", "4"],
        [decimal.Decimal(1), 2, 3, 4.0],
    ],
    ids=["large", "Int64", "float32", "text", "Decimal"],
)
def test_canonical_columns_are_float64_whatever_they_were(values):
    params = LossTable.from_frame(frame_with(params=values)).params
    assert params.dtype == np.float64
    assert params.tolist() == [1, 2, 3, float(values[3])]


def test_a_column_that_the_source_lacks_is_absent():
    assert "flops" not in TABLE
    assert "flops" not in TABLE.to_frame()
    message = refusal(lambda: TABLE.flops)
    assert missing_words(message, "'flops'", "params, tokens, loss", "flops='6ND'", "columns={'flops': '...'}") == []
    message = refusal(lambda: LossTable.from_frame(FRAME[["params", "loss"]]).flops)
    assert "6ND" not in message
    assert "columns={'flops': '...'}" in message


def test_an_unknown_column_is_refused_with_a_close_match():
    assert missing_words(refusal(lambda: TABLE["datset"]), "'datset'", "Did you mean 'dataset'?", "lr") == []


def test_arrays_are_read_only():
    for name in TABLE.columns:
        with pytest.raises(ValueError, match="read-only"):
            TABLE[name][0] = TABLE[name][1]


def test_the_table_does_not_share_memory_with_what_it_was_made_from_or_gives_out():
    frame = FRAME.copy()
    table = LossTable.from_frame(frame)
    frame.loc[0, "loss"] = 9.0
    given, dropped = table.to_frame(), table.dropped
    given.loc[0, "loss"] = 9.0
    dropped["reason"] = "none"
    assert table == TABLE


def test_attributes_cannot_be_set():
    with pytest.raises(AttributeError):
        TABLE.notes = ()
    with pytest.raises(AttributeError):
        TABLE.loss = np.ones(4)


def test_named_index_levels_become_columns():
    grouped = FRAME.groupby(["params", "tokens"])[["loss"]].min()
    assert LossTable.from_frame(grouped).inputs == ("params", "tokens")
    assert LossTable.from_frame(FRAME.set_index("dataset"))["dataset"].tolist() == FRAME["dataset"].tolist()


def test_the_index_does_not_matter():
    assert LossTable.from_frame(FRAME.set_index(pd.Index([7, 7, 1, 3]))) == TABLE


# --- Round trips ---


positive = st.floats(1e-3, 1e30)
name = st.text("abcxyz _-%µ", min_size=1, max_size=6).map(str.strip).filter(bool)
text = st.text("abcxyz ,;'\"\n%µ-", min_size=1, max_size=6).map(lambda cell: "t" + cell + ".")


@st.composite
def frames(draw):
    rows = draw(st.integers(2, 6))
    inputs = draw(st.sets(st.sampled_from(["params", "tokens", "flops"]), min_size=1))
    cells = dict.fromkeys([*inputs, "loss"], positive)
    for other in draw(st.lists(name, unique=True, max_size=3)):
        cells[f"x {other}"] = draw(st.sampled_from([positive, st.integers(-(2**63), 2**63 - 1), st.booleans(), text]))
    return pd.DataFrame({key: draw(st.lists(cell, min_size=rows, max_size=rows)) for key, cell in cells.items()})


@settings(deadline=None, derandomize=True)
@given(frames())
def test_from_frame_of_to_frame_is_the_same_table(frame):
    table = LossTable.from_frame(frame)
    again = LossTable.from_frame(table.to_frame())
    assert again == table
    assert hash(again) == hash(table)
    assert again.digest == table.digest
    assert again.notes == ()


def test_a_table_that_carries_a_second_spelling_comes_back_the_same():
    mapped = LossTable.from_frame(frame_with(val_loss=[5.0, 4, 3, 2], N=7.0), {"loss": "val_loss", "params": "params"})
    assert "N" in mapped
    averaged = LossTable.from_frame(frame_with(test_loss=FRAME["loss"], seed=0)).best("lr", mean="seed")
    for table in (mapped, averaged, mapped.where("kept")):
        again = LossTable.from_frame(table.to_frame().sort_values("loss").sort_index())
        assert again == table
        assert again.notes == ()


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_whatever_is_carried_the_round_trip_is_the_same_table(data):
    names = st.sampled_from(["params", "N", "n_params", "tokens", "D", "flops", "C", "loss", "L", "val_loss", "lr"])
    columns = data.draw(st.lists(names, min_size=2, unique=True))
    given_map = data.draw(st.dictionaries(st.sampled_from(["params", "tokens", "flops", "loss"]), names, max_size=3))
    frame = pd.DataFrame({name: [place + 1.0, place + 2.0] for place, name in enumerate(columns)})
    try:
        table = LossTable.from_frame(frame, given_map)
    except ValueError:
        assume(False)
    assert LossTable.from_frame(table.to_frame()) == table


def test_a_file_of_a_table_that_carries_a_second_spelling_asks_which_one_counts(tmp_path):
    table = LossTable.from_frame(frame_with(N=7.0), {"params": "params"})
    table.to_frame().to_csv(tmp_path / "runs.csv", index=False)
    message = refusal(LossTable.read, tmp_path / "runs.csv")
    assert missing_words(message, "'params' and 'N'", "differ", "columns={'params': 'params'}") == []
    assert LossTable.read(tmp_path / "runs.csv", {"params": "params"}) == table


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=frames(), separator=st.sampled_from(",;\t"), newline=st.sampled_from(["\n", "\r\n"]), bom=st.booleans())
def test_written_by_pandas_in_any_dialect_reads_equal(tmp_path, frame, separator, newline, bom):
    options = {"sep": separator, "lineterminator": newline, "encoding": "utf-8-sig" if bom else "utf-8"}
    if separator == ";":
        options["decimal"] = ","
    frame.to_csv(tmp_path / "runs.csv", index=False, **options)
    assert LossTable.read(tmp_path / "runs.csv") == LossTable.from_frame(frame)


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=frames())
def test_written_as_json_lines_reads_equal(tmp_path, frame):
    frame.to_json(tmp_path / "runs.jsonl", orient="records", lines=True, double_precision=15)
    table = LossTable.read(tmp_path / "runs.jsonl")
    for column in ("loss", *table.inputs):
        np.testing.assert_allclose(table[column], frame[column], rtol=1e-12, atol=1e-14)  # pandas writes 15 decimals


def test_parquet_reads_equal(tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    FRAME.set_index("dataset").to_parquet(tmp_path / "runs.parquet")
    assert LossTable.read(tmp_path / "runs.parquet") == LossTable.from_frame(FRAME.set_index("dataset"))


@settings(deadline=None, derandomize=True)
@given(frames(), st.data())
def test_any_other_value_or_order_is_another_table(frame, data):
    table = LossTable.from_frame(frame)
    row = data.draw(st.integers(0, len(frame) - 1))
    frame.loc[row, "loss"] *= 1.5
    assert LossTable.from_frame(frame) != table
    assert LossTable.from_frame(frame).digest != table.digest


def test_equality_is_of_names_values_and_row_order():
    assert LossTable.from_frame(FRAME[::-1]) != TABLE
    assert LossTable.from_frame(FRAME.rename(columns={"lr": "rate"})) != TABLE
    assert LossTable.from_frame(frame_with(dataset=FRAME["dataset"].astype(object))) == TABLE
    assert FRAME["loss"].tolist() != TABLE
    large = LossTable.from_frame(frame_with(lr=[2**53, 1, 1, 1]))
    assert large != LossTable.from_frame(frame_with(lr=[2**53 + 1, 1, 1, 1]))


def test_the_digest_is_stable():
    frame = pd.DataFrame({"N": [1, 2], "loss": [3.0, 2.5], "name": ["a", "µ"], "kept": [True, False]})
    assert LossTable.from_frame(frame).digest == "dc2d5f00e88f7949"


def test_repr_shows_rows_ranges_units_others_and_notes():
    assert repr(LossTable.from_frame(FRAME.rename(columns={"params": "N"}), flops="6ND")) == (
        "LossTable: 4 rows\n"
        "  params  1e+08 to 1e+10 parameters\n"
        "  tokens  2e+09 to 2e+11 tokens\n"
        "  flops   1.2e+18 to 1.2e+22 FLOPs\n"
        "  loss    2.3 to 3.2 nats per token\n"
        "  also    lr, dataset, kept\n"
        "  note    params is the column 'N' (recognised)\n"
        "  note    flops derived from params and tokens by the rule 6ND, C = 6 N D"
    )
