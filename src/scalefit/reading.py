"""Files to raw frames: which format, which separator, which line. Nothing here knows what a loss is.

pandas repairs a damaged file in silence (duplicate headers are renamed, "NA" becomes nan, a wrong separator
makes one wide column), so text is split here by the standard library and every repair is an error instead.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pandas as pd

Mark = Literal[".", ","]  # the decimal mark

_TEXT = (".csv", ".tsv", ".txt")
_JSON_LINES = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
_KNOWN = ", ".join((*_TEXT, *_JSON_LINES, *_PARQUET))
_COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")
_REMEDIES = {
    ".json": "Write one JSON object per line and name the file .jsonl.",
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "Save the sheet as CSV (UTF-8) and read that."),
    **dict.fromkeys(_COMPRESSED, "Decompress it first."),
}
_PICKLE_NAME = re.compile(rf"\.(pkl|pickle)({'|'.join(_COMPRESSED)})?$", re.IGNORECASE)
_PICKLE_HEAD = re.compile(rb"\x80[\x02-\x05]")  # protocols 2 to 5
_MAGIC = {
    b"PAR1": "is a Parquet file: name it .parquet",
    b"PK\x03\x04": "is a zip archive or an Excel workbook: save the table as CSV (UTF-8)",
    b"\x1f\x8b": "is compressed (gzip): decompress it first",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}
_SEPARATORS = "\t;,"  # the order settles ties
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NOT_FINITE = re.compile(r"nan|[+-]?inf(inity)?", re.IGNORECASE)
_MISSING = frozenset({"", "na", "n/a", "null", "none"})


@dataclass(frozen=True, kw_only=True)
class Source:
    """A raw frame and where it came from, so that an error can name the line."""

    frame: pd.DataFrame
    name: str = ""  # the file, as the user gave it; "" = a frame in memory
    lines: tuple[int, ...] | None = None  # line of each row in the file, the first line being 1
    decimal: Mark = "."

    def at(self, row: int) -> str:
        """Words for one row: "line 5 of runs.csv", or "row 3 (counting from 0)" where there are no lines."""
        of = f" of {self.name}" if self.name else ""
        return f"row {row} (counting from 0){of}" if self.lines is None else f"line {self.lines[row]}{of}"


def read_source(path: str | os.PathLike[str]) -> Source:
    """Raw frame of a CSV, TSV, JSON lines or Parquet file; columns typed only where every value agrees.

    Parameters
    ----------
    path : path
        A file ending in .csv, .tsv, .txt, .jsonl, .ndjson, .parquet or .pq. The separator (tab, semicolon or
        comma) is taken from the header; with semicolons, "1,5" is 1.5 unless the file also writes "1.5".

    Returns
    -------
    Source

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        There is no such file.
    ImportError
        A Parquet file without pyarrow.
    ValueError
        Any other file that cannot be read as a table; a pickle is never opened.
    """
    file, name = Path(path), os.fspath(path)
    suffix = file.suffix.lower()
    if _PICKLE_NAME.search(name):
        raise ValueError(_pickle_message(name))
    if suffix not in (*_TEXT, *_JSON_LINES, *_PARQUET):
        remedy = _REMEDIES.get(suffix, "Rename or convert the file.")
        raise ValueError(f"{name} ends in {suffix!r}; a table is read from {_KNOWN}. {remedy}")
    if file.is_dir():
        raise IsADirectoryError(f"{name} is a folder. Name one file in it.")
    if not file.exists():
        raise FileNotFoundError(f"There is no file {name} (looked in {Path.cwd()}). Check the path.")
    data = file.read_bytes()
    if _PICKLE_HEAD.match(data):
        raise ValueError(_pickle_message(name))
    if suffix in _PARQUET:
        return _read_parquet(data, name)
    text = _decode(data, name)
    return _read_json_lines(text, name) if suffix in _JSON_LINES else _read_delimited(text, name)


def number(text: str, decimal: Mark = ".") -> float | None:
    """Float that a text writes, or None: no units, no thousands separators, no underscores.

    Parameters
    ----------
    text : str
    decimal : "." or ","

    Returns
    -------
    float or None

    Examples
    --------
    >>> number(" 1.4e9 "), number("1,5", ","), number("125M")
    (1400000000.0, 1.5, None)
    """
    text = text.strip()
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".", 1)
    return float(text) if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text) else None


def is_missing(text: str) -> bool:
    """Whether a text stands for no value: empty, NA, N/A, null or None."""
    return text.strip().lower() in _MISSING


def duplicates(names: Sequence[str]) -> list[str]:
    """Names that occur more than once, in order."""
    return [name for name, count in Counter(names).items() if count > 1]


def _pickle_message(name: str) -> str:
    return (
        f"{name} is a pickle, which can run any code when loaded, so it was not read. "
        "Write the table as CSV where you trust the pickle: df.to_csv('runs.csv', index=False)."
    )


def _decode(data: bytes, name: str) -> str:
    for magic, words in _MAGIC.items():
        if data.startswith(magic):
            raise ValueError(f"{name} {words}.")
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise ValueError(
            f"line {line} of {name} holds a NUL byte: the file is binary, UTF-16 or damaged. Save it as UTF-8 text."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} in line {line}. "
            f"Save it as UTF-8, for example: iconv -f latin1 -t utf-8 {name} > utf8.csv"
        ) from None
    if not text.strip():
        raise ValueError(f"{name} is empty. It needs a header line and at least 2 rows.")
    return text


# --- CSV, TSV, TXT ---


def _read_delimited(text: str, name: str) -> Source:
    unquoted = re.sub('"[^"]*"', "", text.lstrip("\r\n"))
    header = re.split("[\r\n]", unquoted, maxsplit=1)[0]
    separator = max(_SEPARATORS, key=header.count)
    if separator not in header:
        raise ValueError(
            f"The header of {name} has one column, {text.strip().splitlines()[0][:60]!r}. "
            "Separate columns by a comma, a semicolon or a tab."
        )
    records = _records(text, name, separator, spaced=separator + " " in header)
    names = [cell.strip() for cell in records[0][1]]
    _check_names(names, name)
    lines, rows = [line for line, _ in records[1:]], [cells for _, cells in records[1:]]
    if not rows:
        raise ValueError(f"{name} has a header but no rows. A table needs at least 2 rows.")
    _check_ragged(lines, rows, len(names), separator, name)
    cells = list(zip(*rows, strict=True))
    decimal = _decimal(cells) if separator == ";" else "."
    frame = pd.DataFrame({column: _typed_text(values, decimal) for column, values in zip(names, cells, strict=True)})
    return Source(frame=frame, name=name, lines=tuple(lines), decimal=decimal)


def _records(text: str, name: str, separator: str, *, spaced: bool) -> list[tuple[int, list[str]]]:
    """(line on which the record starts, its cells); empty lines are skipped but counted."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=spaced, strict=True)
    records: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                records.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {line} of {name}: {error}. Check the quotes of that line.") from None
    return records


def _check_names(names: Sequence[str], name: str) -> None:
    if "" in names:
        raise ValueError(
            f"Column {names.index('') + 1} of {len(names)} in {name} has no name. Name it in the header, or delete it; "
            "pandas leaves it out with df.to_csv(path, index=False)."
        )
    for twice in duplicates(names):
        places = [place + 1 for place, other in enumerate(names) if other == twice]
        raise ValueError(
            f"{name} has {len(places)} columns named {twice!r} (columns {places}). Rename or delete all but one."
        )


def _check_ragged(lines: Sequence[int], rows: Sequence[Sequence[str]], width: int, separator: str, name: str) -> None:
    ragged = [(line, len(cells)) for line, cells in zip(lines, rows, strict=True) if len(cells) != width]
    if ragged:
        line, found = ragged[0]
        raise ValueError(
            f"line {line} of {name} has {found} fields, but the header has {width} ({len(ragged)} such rows). "
            f"Add or remove fields, and quote a field that holds the separator {separator!r}."
        )


def _decimal(columns: Sequence[Sequence[str]]) -> Mark:
    """Comma where the file writes 1,5 and nowhere 1.5: a file with both may mean thousands by the comma."""
    marks: tuple[Mark, Mark] = (".", ",")
    point, comma = (any(mark in cell and number(cell, mark) is not None for cell in chain(*columns)) for mark in marks)
    return "," if comma and not point else "."


def _typed_text(cells: Sequence[str], decimal: Mark) -> list[Any]:
    """Cells as booleans or numbers where every one is, otherwise the texts as they are."""
    words = [cell.strip() for cell in cells]
    if all(word.lower() in ("true", "false") for word in words):
        return [word.lower() == "true" for word in words]
    if all(_INTEGER.fullmatch(word) for word in words):
        return _whole_or_float([_integer(word) for word in words])
    values = [number(word, decimal) for word in words]
    gaps = all(value is not None or is_missing(word) for word, value in zip(words, values, strict=True))
    if not any(words) or (gaps and any(value is not None and not math.isnan(value) for value in values)):
        return [math.nan if value is None else value for value in values]
    return list(cells)


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= 20 else float(text)  # 20 characters hold every int64


def _whole_or_float(values: list[Any]) -> list[Any]:
    fits = all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in values)
    return values if fits else [float(value) for value in values]


# --- JSON lines ---


def _read_json_lines(text: str, name: str) -> Source:
    lines, rows = [], []
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip():
            lines.append(line)
            rows.append(_json_object(content, f"line {line} of {name}"))
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if not keys:
        raise ValueError(f"The objects in {name} are empty. Write one object with its columns per line.")
    _check_names(keys, name)
    frame = pd.DataFrame({key: _typed_values([row.get(key) for row in rows]) for key in keys})
    return Source(frame=frame, name=name, lines=tuple(lines))


def _json_object(content: str, place: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for twice in duplicates([key for key, _ in pairs]):
            raise ValueError(f"the key {twice!r} occurs twice. Keep one")
        return dict(pairs)

    try:
        row = json.loads(content, object_pairs_hook=unique, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is not JSON that can be a row: {error}. Write one object per line.") from None
    if not isinstance(row, dict):
        raise ValueError(
            f"{place} is not a JSON object but {content.strip()[:40]!r}. "
            'Write one object per line: {"params": 1e9, "loss": 2.5}'
        )
    return row


def _typed_values(values: list[Any]) -> list[Any]:
    """Values as booleans or numbers where every one is, otherwise as texts; None is missing."""
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if kinds == {bool} and len(present) == len(values):
        return values
    if kinds <= {int, float}:
        numbers = [math.nan if value is None else value for value in values]
        return _whole_or_float(numbers) if kinds == {int} else [float(value) for value in numbers]
    return [value if value is None or isinstance(value, str) else str(value) for value in values]


# --- Parquet ---


def _read_parquet(data: bytes, name: str) -> Source:
    if not (data.startswith(b"PAR1") and data.endswith(b"PAR1")):
        raise ValueError(
            f"{name} is not a Parquet file, or is empty or cut short. "
            "If it is text, name it .csv; otherwise write it again."
        )
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            f"Reading {name} needs pyarrow, the extra 'parquet'. Install it from the clone: pip install '.[parquet]'"
        ) from None
    try:
        table = pyarrow.parquet.ParquetFile(io.BytesIO(data)).read()
        _check_names(table.column_names, name)
        return Source(frame=table.to_pandas(), name=name)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{name} is a damaged Parquet file ({error}). Write it again.") from None
