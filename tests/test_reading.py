"""Files to raw frames: dialects that read equal, and damaged files that are refused by line."""

import gzip
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalefit.reading import is_missing, number, read_source

FRAME = pd.DataFrame(
    {
        "N": [1e8, 1.5e9, 2.25e10],
        "loss": [3.25, 2.5, 2.125],
        "steps": [100, 2000, 30000],
        "dataset": ["c4", "NA", 'pile, "v2"; all'],
        "kept": [True, False, True],
        "lr": [1e-3, np.nan, 1e-5],
    }
)


@pytest.fixture
def write(tmp_path):
    def to_file(content, name="runs.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to_file


DIALECTS = {
    "comma": {},
    "semicolon": {"sep": ";"},
    "semicolon and decimal comma": {"sep": ";", "decimal": ","},
    "tab": {"sep": "\t"},
    "CRLF": {"lineterminator": "\r\n"},
    "CR": {"lineterminator": "\r"},
    "BOM": {"encoding": "utf-8-sig"},
    "all quoted": {"quoting": 1},
    "BOM, CRLF, semicolon and decimal comma": {
        "encoding": "utf-8-sig",
        "lineterminator": "\r\n",
        "sep": ";",
        "decimal": ",",
    },
}


@pytest.mark.parametrize("options", DIALECTS.values(), ids=DIALECTS)
def test_dialects_read_equal(tmp_path, options):
    FRAME.to_csv(tmp_path / "runs.csv", index=False, **options)
    pd.testing.assert_frame_equal(read_source(tmp_path / "runs.csv").frame, FRAME, check_dtype=False)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".CSV"])
def test_the_separator_comes_from_the_header_not_from_the_suffix(write, suffix):
    assert list(read_source(write("N;loss\n1;2\n3;4\n", "runs" + suffix)).frame) == ["N", "loss"]


def test_a_separator_in_quotes_does_not_count(write):
    assert list(read_source(write('"size, total, in, counts";loss\n1;2\n')).frame) == [
        "size, total, in, counts",
        "loss",
    ]


def test_spaces_around_names_and_values_are_no_part_of_them(write):
    frame = read_source(write('N, loss , "name"\n1, 2.5, "a, b"\n')).frame
    assert frame.to_dict("list") == {"N": [1], "loss": [2.5], "name": ["a, b"]}


def test_json_lines_read_like_the_frame_that_wrote_them(tmp_path):
    FRAME.to_json(tmp_path / "runs.jsonl", orient="records", lines=True)
    pd.testing.assert_frame_equal(read_source(tmp_path / "runs.jsonl").frame, FRAME, check_dtype=False)


def test_a_line_separator_inside_a_json_string_ends_no_line(write):
    frame = read_source(write('{"name": "a\u2028b\x85c"}\r\n{"name": "d"}\r\n', "runs.jsonl")).frame
    assert frame["name"].tolist() == ["a\u2028b\x85c", "d"]


def test_parquet_reads_like_the_frame_that_wrote_it(tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    FRAME.to_parquet(tmp_path / "runs.parquet")
    pd.testing.assert_frame_equal(read_source(tmp_path / "runs.parquet").frame, FRAME)


def test_text_stays_text(write):
    frame = read_source(write("a,b,c\nNA,null,\nx,nan,y\n")).frame
    assert frame.to_dict("list") == {"a": ["NA", "x"], "b": ["null", "nan"], "c": ["", "y"]}


def test_blanks_and_na_among_numbers_are_nan(write):
    frame = read_source(write("a,b,c\n1,NA,\n,2.5,\n")).frame
    assert frame.map(np.isnan).to_numpy().tolist() == [[False, True, True], [True, False, True]]


def test_booleans_are_booleans_in_any_case(write):
    frame = read_source(write("a,b\nTrue,true\nfalse,FALSE\n")).frame
    assert frame.dtypes.tolist() == [np.bool_, np.bool_]
    assert frame.to_numpy().tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("digits", ["9223372036854775808", "100000000000000000000000", "9" * 5000])
def test_integers_beyond_int64_survive_as_floats(write, digits):
    text = read_source(write(f"C,loss\n{digits},2\n6,2\n")).frame["C"]
    json = read_source(write(f'{{"C": {digits}, "loss": 2}}\n{{"C": 6, "loss": 2}}\n', "runs.jsonl")).frame["C"]
    assert text.tolist() == json.tolist() == [float(digits), 6.0]
    assert text.dtype == json.dtype == np.float64


def test_int64_stays_exact(write):
    assert read_source(write("id,loss\n9007199254740993,2\n-9223372036854775808,2\n")).frame["id"].tolist() == [
        2**53 + 1,
        -(2**63),
    ]


def test_a_comma_in_a_file_with_decimal_points_is_no_number(write):
    assert read_source(write("N;loss\n125,000;2.5\n350,000;2.4\n")).frame["N"].tolist() == ["125,000", "350,000"]


def test_lines_count_blank_lines_and_line_ends_in_quotes(write):
    source = read_source(write('\nN,loss,note\n\n1,2,"two\nlines"\n\n\n3,4,x\n'))
    assert [source.at(row).split(" of ")[0] for row in range(2)] == ["line 4", "line 8"]
    source = read_source(write('{"N": 1}\n\n{"N": 2}\n', "runs.jsonl"))
    assert source.lines == (1, 3)


@settings(deadline=None, derandomize=True)
@given(st.floats(allow_nan=False))
def test_number_reads_what_repr_writes(value):
    assert number(repr(value)) == value
    assert number(repr(value).replace(".", ","), ",") == value


@pytest.mark.parametrize("text", ["", "125M", "1.4B", "1,5", "1_000", "0x10", "1 000", "٣", "1e", "True", "--1"])
def test_number_refuses_what_is_not_plain(text):
    assert number(text) is None


def test_number_takes_one_decimal_mark_only():
    assert number("1.5", ",") is None
    assert number("1.000,5", ",") is None
    assert number("1,000,5", ",") is None


def test_missing_words():
    assert all(is_missing(text) for text in ["", "  ", "NA", "n/a", "null", "None"])
    assert not any(is_missing(text) for text in ["0", "diverged", "nan"])


# --- Bad input ---

BAD = {
    "duplicate header": ("runs.csv", "N,loss,loss\n1,2,3\n", ["2 columns named 'loss'", "[2, 3]", "Rename or delete"]),
    "duplicate after stripping": ("runs.csv", "N, loss,loss \n1,2,3\n", ["columns named 'loss'", "Rename"]),
    "empty header": ("runs.csv", ",N,loss\n0,1,2\n", ["Column 1 of 3", "no name", "index=False"]),
    "empty header at the end": ("runs.csv", "N,loss,\n1,2,\n", ["Column 3 of 3", "no name"]),
    "ragged": ("runs.csv", "N,loss\n1,2\n\n1,2,3\n1\n", ["line 4", "3 fields", "header has 2", "2 such rows", "quote"]),
    "open quote": ("runs.csv", 'N,loss\n1,2\n"1,2\n', ["line 3", "quotes"]),
    "text after quote": ("runs.csv", 'N,loss\n"1"x,2\n', ["line 2", "quotes"]),
    "one column": ("runs.csv", "N loss\n1 2\n", ["one column", "'N loss'", "comma, a semicolon or a tab"]),
    "empty": ("runs.csv", "", ["empty", "at least 2 rows"]),
    "blank": ("runs.csv", "\ufeff\r\n\n", ["empty", "at least 2 rows"]),
    "empty JSON": ("runs.jsonl", "\n", ["empty", "at least 2 rows"]),
    "empty Parquet": ("runs.parquet", "", ["empty", "again"]),
    "header only": ("runs.csv", "N,loss\n", ["no rows", "at least 2 rows"]),
    "latin-1": ("runs.csv", b"N,loss,name\n1,2,caf\xe9\n", ["not UTF-8", "0xe9", "line 2", "iconv"]),
    "UTF-16": ("runs.csv", "N,loss\n1,2\n".encode("utf-16"), ["UTF-16", "save it as UTF-8"]),
    "NUL": ("runs.csv", b"N,loss\n1,2\n\0\0,1\n", ["line 3", "NUL", "binary"]),
    "Parquet named CSV": ("runs.csv", b"PAR1....PAR1", ["Parquet", ".parquet"]),
    "gzip named CSV": ("runs.csv", gzip.compress(b"N,loss\n"), ["gzip", "decompress"]),
    "CSV named Parquet": ("runs.parquet", "N,loss\n1,2\n", ["not a Parquet file", ".csv"]),
    "cut Parquet": ("runs.pq", b"PAR1abcdefgh", ["not a Parquet file", "cut short"]),
    "Excel": ("runs.xlsx", b"PK\x03\x04", ["'.xlsx'", "Save the sheet as CSV"]),
    "Excel named CSV": ("runs.csv", b"PK\x03\x04aaaa", ["Excel", "CSV"]),
    "JSON": ("runs.json", "[]", ["'.json'", "one JSON object per line", ".jsonl"]),
    "compressed": ("runs.csv.gz", gzip.compress(b"N,loss\n"), ["'.gz'", "Decompress"]),
    "unknown suffix": ("runs.dat", "N,loss\n", ["'.dat'", ".csv, .tsv", "Rename or convert"]),
    "no suffix": ("runs", "N,loss\n", ["''", ".csv, .tsv"]),
    "bad JSON line": ("runs.jsonl", '{"N": 1}\n\n{"N": 1\n', ["line 3", "not JSON", "one object per line"]),
    "deep JSON": ("runs.jsonl", "[" * 100_000, ["line 1", "not JSON"]),
    "JSON array": ("runs.jsonl", '{"N": 1}\n[1, 2]\n', ["line 2", "[1, 2]", "not a JSON object"]),
    "JSON number": ("runs.ndjson", "3\n", ["line 1", "'3'", "not a JSON object"]),
    "duplicate JSON key": ("runs.jsonl", '{"N": 1}\n{"loss": 1, "loss": 2}\n', ["line 2", "'loss'", "Keep one"]),
    "empty JSON key": ("runs.jsonl", '{"": 1}\n', ["Column 1", "no name"]),
    "empty objects": ("runs.jsonl", "{}\n{}\n", ["empty", "columns"]),
}


@pytest.mark.parametrize(("name", "content", "words"), BAD.values(), ids=BAD)
def test_bad_file_is_refused_with_place_and_remedy(write, name, content, words):
    path = write(content, name)
    with pytest.raises(ValueError, match=r"\S") as error:
        read_source(path)
    message = str(error.value)
    assert str(path) in message
    assert [word for word in words if word not in message] == []


def test_a_damaged_parquet_file_is_refused(write):
    pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    with pytest.raises(ValueError, match="damaged Parquet"):
        read_source(write(b"PAR1" + b"\xff" * 64 + b"PAR1", "runs.parquet"))


def test_a_parquet_file_with_duplicate_columns_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra 'parquet'")
    table = pyarrow.table([[1.0], [2.0], [3.0]], names=["N", "loss", "loss"])
    parquet.write_table(table, tmp_path / "runs.parquet")
    with pytest.raises(ValueError, match="2 columns named 'loss'"):
        read_source(tmp_path / "runs.parquet")


def test_parquet_without_pyarrow_names_the_extra(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[parquet\]'") as error:
        read_source(write(b"PAR1....PAR1", "runs.parquet"))
    assert "install scalefit" not in str(error.value)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle was loaded')",))


@pytest.mark.parametrize("name", ["runs.pkl", "runs.PICKLE", "runs.pickle.xz", "runs.pkl.gz", "absent/runs.pkl"])
def test_a_pickle_is_refused_by_name_without_being_opened(tmp_path, name):
    with pytest.raises(ValueError, match=r"pickle.*not read.*CSV"):  # there is no such file: opening it would raise
        read_source(tmp_path / name)


@pytest.mark.parametrize("name", ["runs.csv", "runs.tsv", "runs.jsonl", "runs.parquet"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_by_its_first_bytes(write, name, protocol):
    with pytest.raises(ValueError, match=r"pickle.*not read.*CSV"):
        read_source(write(pickle.dumps(Bomb(), protocol), name))


def test_a_missing_file_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"no file runs.csv.*{tmp_path.name}"):
        read_source("runs.csv")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "runs.csv").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_source(tmp_path / "runs.csv")
