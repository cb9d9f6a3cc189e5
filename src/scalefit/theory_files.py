"""What the commands of theories read: a graph as a list of edges, columns of numbers; refused in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .reading import read_source

Floats = NDArray[np.float64]


def read_adjacency(path: Path, *, directed: bool = False) -> Any:
    """Sparse adjacency of a list of edges, as `scaletrain walks` reads it: on each line two nodes, perhaps a weight.

    Words are parted by blanks or commas, and what follows a # is a comment. Without weights an edge counts once,
    however often it is listed; weights are added.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no list of edges.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OSError(f"{path} could not be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start}).") from error
    numbers: dict[str, int] = {}
    ends, weights, width = [], [], 0
    for line, content in enumerate(text.split("\n"), start=1):
        words = content.split("#")[0].replace(",", " ").split()
        if not words:
            continue
        width = width or len(words)
        if len(words) not in (2, 3) or len(words) != width:
            raise ValueError(
                f"{path}, line {line}: an edge is two nodes and perhaps a weight, the same on every line, not "
                f"{content[:80]!r}."
            )
        ends.append([numbers.setdefault(name, len(numbers)) for name in words[:2]])
        weights.append(_weight(path, line, words[2]) if width == 3 else 1.0)
    if not ends:
        raise ValueError(f"{path} has no edges. A list of edges has a line for each: node node [weight].")
    rows, columns = np.array(ends).T
    matrix = sparse.coo_array((weights, (rows, columns)), shape=(len(numbers),) * 2).tocsr()
    if not directed:
        matrix = (matrix + matrix.T - sparse.diags_array(matrix.diagonal())).tocsr()  # a loop is there once
        matrix.eliminate_zeros()
    if width == 2:
        matrix.data[:] = 1.0
    return matrix


def read_numbers(path: Path, columns: Sequence[str] | None = None) -> Floats:
    """Columns of numbers of a table, all by default, or the array of a .npy file: (n, k).

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If a column is not there, or is not of numbers.
    """
    if path.suffix.lower() == ".npy":
        if columns:
            raise ValueError(f"{path} is an array, whose columns have no names. Leave --columns out.")
        return _array(path)
    frame = read_source(path).frame
    unknown = [name for name in columns or () if name not in frame]
    if unknown:
        raise ValueError(f"{path} has no column {unknown[0]!r}; it has {', '.join(map(str, frame.columns))}.")
    chosen = frame[list(columns)] if columns else frame
    words = [str(name) for name, kind in chosen.dtypes.items() if kind.kind not in "if"]
    if words:
        raise ValueError(
            f"{path}: {', '.join(words)} {'is' if len(words) == 1 else 'are'} not of numbers alone. Name columns of "
            "numbers, each with --columns."
        )
    return np.asarray(chosen, dtype=float)


def _array(path: Path) -> Floats:
    try:
        made = np.load(path, allow_pickle=False)
    except OSError as error:
        raise OSError(f"{path} could not be read ({error.strerror or error}).") from error
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no array of numbers: {error}") from error
    if made.dtype.kind not in "if" or made.ndim != 2:
        raise ValueError(f"{path} is no table of numbers, but an array of {made.dtype} of shape {made.shape}.")
    return np.asarray(made, dtype=float)


def _weight(path: Path, line: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{path}, line {line}: the weight {text!r} is no number.") from None
