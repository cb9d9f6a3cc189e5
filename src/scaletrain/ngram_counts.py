"""How often n-grams occur in a corpus: sparse counts in bounded memory, a threshold, entropies by order, files."""

from __future__ import annotations

import hashlib
import math
import os
import zipfile
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalefit.writing import write_whole

from .config import check_whole

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AT_ONCE = 1 << 23  # n-grams that are sorted together
SELDOM = 1  # not from the paper (value unknown); what occurs once is the least that a threshold can leave out
FORMAT = 1
NUMBERS = ("order", "vocabulary", "skip", "seen", "distinct", "threshold")


@dataclass(frozen=True, eq=False, repr=False)
class NgramCounts:
    """Counts of the n-grams of a corpus, none of which crosses from one document to the next.

    Attributes
    ----------
    order : int
        n.
    vocabulary : int
        V; tokens are 0 to V - 1.
    skip : int
        Distance s of the tokens of an n-gram: of successive tokens 1.
    keys : (m,) array, rising
        N-grams as whole numbers, sum_j token_j V^(n - 1 - j).
    counts : (m,) array
        How often each occurs.
    seen, distinct : int
        All n-grams of the corpus, and the different ones, before a threshold.
    threshold : int
        N-grams that occur at most so often were left out.

    Examples
    --------
    >>> counts = count_ngrams(np.array([0, 1, 0, 1, 2]), order=2, vocabulary=3)
    >>> counts.grams.tolist(), counts.counts.tolist()
    ([[0, 1], [1, 0], [1, 2]], [2, 1, 1])
    >>> counts.above(1)
    2-grams of 3 tokens: 1 different, 2 in all; 2 that occur at most once are left out, 50 % of all
    """

    order: int
    vocabulary: int
    skip: int
    keys: Ints
    counts: Ints
    seen: int
    distinct: int
    threshold: int = 0

    @property
    def grams(self) -> Ints:
        """(m, n) tokens of each n-gram."""
        return tokens_of(self.keys, self.order, self.vocabulary)

    @property
    def total(self) -> int:
        """N-grams that are left, each as often as it occurs."""
        return int(self.counts.sum())

    @property
    def lost(self) -> float:
        """Share of all n-grams of the corpus that the threshold left out."""
        return 1 - self.total / self.seen

    @property
    def digest(self) -> str:
        """SHA-256, 16 digits, of what was counted."""
        numbers = repr([getattr(self, name) for name in NUMBERS]).encode()
        return hashlib.sha256(numbers + self.keys.tobytes() + self.counts.tobytes()).hexdigest()[:16]

    @property
    def left_out(self) -> str:
        """What the threshold left out, in words; empty where that is nothing."""
        if self.threshold == 0:
            return ""
        often = "once" if self.threshold == 1 else f"{self.threshold} times"
        rare = self.distinct - len(self.keys)
        return f"{rare:,} that occur at most {often} are left out, {100 * self.lost:.3g} % of all"

    def above(self, threshold: int = SELDOM) -> NgramCounts:
        """Without the n-grams that occur at most so often.

        Parameters
        ----------
        threshold : int
            k, from 0. The paper's is unknown; 1 is our choice.

        Raises
        ------
        ValueError
            If the threshold is negative, or nothing is above it.
        """
        check_whole("threshold", threshold, 0)
        often = self.counts > threshold
        if not often.any():
            raise ValueError(
                f"no {self.order}-gram occurs more than {threshold} times; the most frequent one occurs "
                f"{self.counts.max()} times. Lower the threshold."
            )
        return replace(self, keys=self.keys[often], counts=self.counts[often], threshold=max(threshold, self.threshold))

    def entropies(self) -> Floats:
        """(n,) entropies of a token given none, one, ... n - 1 of those before it, nats: they never rise.

        All are of the last token of the same n-grams, H_k = H(x_n | x_(n-k+1) ... x_(n-1)) for k = 1 to n. So H_k is
        H_(k-1) with one more condition in one joint law, and conditioning never raises an entropy. This does not hold
        between counts of different orders: each leaves out other tokens at the beginnings of documents.

        Examples
        --------
        >>> count_ngrams(np.array([0, 0, 1] * 100), order=3, vocabulary=2).entropies().round(3).tolist()
        [0.638, 0.463, 0.0]
        """
        made = []
        for k in range(1, self.order + 1):
            grams, counts = _grouped(self.keys % self.vocabulary**k, self.counts)
            starts = _runs(grams // self.vocabulary)
            totals = np.repeat(np.add.reduceat(counts, starts), np.diff(starts, append=len(counts)))
            made.append(float(counts @ np.log(totals / counts)) / self.total)
        return np.array(made)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an .npz file, whole or not at all."""
        written = BytesIO()
        numbers: dict[str, Any] = {name: np.int64(getattr(self, name)) for name in NUMBERS}
        np.savez(written, format=np.int64(FORMAT), keys=self.keys, counts=self.counts, **numbers)
        write_whole(path, written.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NgramCounts:
        """Counts of a file that `save` wrote; nothing of it is run.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it holds no counts.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     count_ngrams(np.array([0, 1, 0]), order=2, vocabulary=2).save(Path(folder, "counts.npz"))
        ...     NgramCounts.load(Path(folder, "counts.npz")).grams.tolist()
        [[0, 1], [1, 0]]
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no file {path}.")
        try:
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                if int(file["format"]) != FORMAT:
                    raise ValueError(f"its format is {int(file['format'])}, but this version reads {FORMAT}")
                found = cls(keys=file["keys"], counts=file["counts"], **{name: int(file[name]) for name in NUMBERS})
            _check_counts(found)
        except (ValueError, KeyError, EOFError, TypeError, AttributeError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} holds no counts of n-grams: {error}. Count them again.") from error
        return found

    def __repr__(self) -> str:
        words = f"{self.order}-grams of {self.vocabulary:,} tokens: {len(self.keys):,} different, {self.total:,} in all"
        distance = f"; tokens {self.skip} apart" if self.skip > 1 else ""
        return words + distance + (f"; {self.left_out}" if self.threshold else "")


def count_ngrams(
    tokens: NDArray[np.integer], documents: NDArray[np.integer] | None = None, *, order: int, vocabulary: int,
    skip: int = 1,
) -> NgramCounts:  # fmt: skip
    """Count n-grams, a piece of the corpus at a time: memory grows with the different ones, not with the tokens.

    Parameters
    ----------
    tokens : (t,) array of int
        May be a memmap.
    documents : (d + 1,) array of int, optional
        Where each document begins, and the last one ends; all tokens are one document without it.
    order : int
        n, at least 2; V^n is below 2^63.
    vocabulary : int
        V.
    skip : int
        Distance s of the tokens of an n-gram, x_i, x_(i+s), ..., x_(i+(n-1)s).

    Raises
    ------
    ValueError
        If a token is not in the vocabulary, the documents are not those of the tokens, no document is as long as an
        n-gram, or a number is impossible.

    Examples
    --------
    >>> text = np.frombuffer(b"to be or not to be", dtype=np.uint8)
    >>> count_ngrams(text, order=2, vocabulary=256)
    2-grams of 256 tokens: 13 different, 17 in all
    """
    tokens, bounds = np.asarray(tokens), _checked(tokens, documents, order, vocabulary, skip)
    reach = (order - 1) * skip  # from the first token of an n-gram to its last
    keys, counts, starts = np.empty(0, np.int64), np.empty(0, np.int64), len(tokens) - reach
    for low in range(0, starts, AT_ONCE):
        high = min(low + AT_ONCE, starts)
        piece = np.asarray(tokens[low : high + reach], dtype=np.int64)
        if piece.min() < 0 or piece.max() >= vocabulary:
            _refuse(tokens, vocabulary)
        made = piece[: high - low].copy()
        for place in range(1, order):
            made *= vocabulary
            made += piece[place * skip : place * skip + high - low]
        made = made[_inside(bounds, low, high, reach)]
        if len(made):
            made.sort()
            first = _runs(made)
            keys, counts = _merged(keys, counts, made[first], np.diff(first, append=len(made)))
    return NgramCounts(order, vocabulary, skip, keys, counts, int(counts.sum()), len(keys))


def tokens_of(keys: Ints, order: int, vocabulary: int) -> Ints:
    """(m, order) tokens of n-grams that are whole numbers."""
    return np.stack([keys // vocabulary**place % vocabulary for place in reversed(range(order))], axis=-1)


def _merged(keys: Ints, counts: Ints, new: Ints, often: Ints) -> tuple[Ints, Ints]:
    """Rising keys and their counts with others; `counts` is written to. At most two copies of the keys at a time."""
    places = np.searchsorted(keys, new)
    there = np.zeros(len(new), dtype=bool)
    inner = places < len(keys)
    there[inner] = keys[places[inner]] == new[inner]
    counts[places[there]] += often[there]
    places = places[~there]
    return np.insert(keys, places, new[~there]), np.insert(counts, places, often[~there])


def _grouped(keys: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Different keys, rising, and the sums of their counts."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = _runs(keys)
    return keys[starts], np.add.reduceat(counts[order], starts)


def _runs(values: Ints) -> Ints:
    """Where runs of equal values begin."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


def _inside(bounds: Ints, low: int, high: int, reach: int) -> NDArray[np.bool_]:
    """Whether an n-gram that begins at each place from `low` to `high` ends in its document."""
    ends = bounds[np.searchsorted(bounds, low, side="right") : np.searchsorted(bounds, high) + 1]
    begins = np.concatenate([[low], ends[:-1]])
    sizes = np.minimum(ends, high) - begins
    fit = np.clip(ends - reach - begins, 0, sizes)
    return np.repeat(np.tile([True, False], len(ends)), np.stack([fit, sizes - fit], axis=1).ravel())


def _checked(tokens: Any, documents: Any, order: int, vocabulary: int, skip: int) -> Ints:
    """Bounds of the documents, if these tokens can be counted."""
    check_whole("order", order, 2)
    check_whole("vocabulary", vocabulary, 1)
    check_whole("skip", skip, 1)
    if vocabulary**order >= 1 << 63:
        most = math.ceil(63 / math.log2(vocabulary)) - 1
        raise ValueError(f"{order}-grams of {vocabulary} tokens are 2^63 or more. Count at most {most}-grams.")
    if np.ndim(tokens) != 1 or np.asarray(tokens).dtype.kind not in "iu":
        found = np.asarray(tokens)
        raise ValueError(f"tokens are whole numbers in a row, not {found.dtype} of the shape {found.shape}.")
    total = len(tokens)
    bounds = np.array([0, total]) if documents is None else np.asarray(documents)
    if (bounds.ndim != 1 or len(bounds) < 2 or bounds.dtype.kind not in "iu" or bounds[0] != 0 or bounds[-1] != total
            or np.any(bounds[1:] < bounds[:-1])):  # fmt: skip
        raise ValueError(
            f"documents must be whole numbers that rise from 0 to the {total} tokens, where each begins and the last "
            f"one ends, not {bounds!r:.80}."
        )
    longest, needed = int(np.diff(bounds).max()), (order - 1) * skip + 1
    if longest < needed:
        raise ValueError(
            f"an n-gram of order {order} and skip {skip} takes {needed} tokens of a document, but the longest of the "
            f"{len(bounds) - 1} documents has {longest}."
        )
    return bounds.astype(np.int64)


def _refuse(tokens: Any, vocabulary: int) -> None:
    """Say where the first token is that is not in the vocabulary, and how many there are."""
    first, count = -1, 0
    for low in range(0, len(tokens), AT_ONCE):
        piece = np.asarray(tokens[low : low + AT_ONCE])
        bad = np.flatnonzero((piece < 0) | (piece >= vocabulary))
        first = low + int(bad[0]) if len(bad) and first < 0 else first
        count += len(bad)
    raise ValueError(
        f"token {tokens[first]} at position {first} (counting from 0) is not in the vocabulary of {vocabulary}, whose "
        f"tokens are 0 to {vocabulary - 1} ({count} such tokens). Give the vocabulary of this corpus."
    )


def _check_counts(found: NgramCounts) -> None:
    """Refuse arrays of a file that are no counts."""
    keys, counts = found.keys, found.counts
    check_whole("order", found.order, 2)
    check_whole("vocabulary", found.vocabulary, 1)
    check_whole("skip", found.skip, 1)
    if not (keys.ndim == 1 and keys.shape == counts.shape and len(keys) and keys.dtype == counts.dtype == np.int64):
        raise ValueError(f"{len(keys)} n-grams and {len(counts)} counts of {keys.dtype} and {counts.dtype}")
    if keys[0] < 0 or int(keys[-1]) >= found.vocabulary**found.order or np.any(keys[1:] <= keys[:-1]):
        raise ValueError("its n-grams do not rise, or are not in the vocabulary")
    if counts.min() <= found.threshold or counts.sum() > found.seen or len(keys) > found.distinct:
        raise ValueError("its counts do not fit together")
