"""Documents of tokens: checked, dealt into groups, permuted; how often pairs of tokens stand at a lag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_GROUPS = 256  # of documents, the units of a bootstrap; ours: standard errors to about 5 %


@dataclass(frozen=True, eq=False)
class Documents:
    """Tokens and where documents start and end, as `documents_of` checked them.

    Attributes
    ----------
    tokens : (n,) array of int
        Not copied: a memory map stays one.
    offsets : (m + 1,) array of int
        Document d is ``tokens[offsets[d]:offsets[d + 1]]``.
    vocabulary : int
        One more than the largest token.
    """

    tokens: Any
    offsets: Ints
    vocabulary: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """(m,) tokens of each document."""
        return np.diff(self.offsets)

    @property
    def groups(self) -> Ints:
        """(g + 1,) first document of each group: neighbours, of about as many tokens, at most 256 groups."""
        number = min(len(self), MOST_GROUPS)
        ends = self.offsets[0] + np.arange(1, number) * (self.offsets[-1] - self.offsets[0]) / number
        inner = np.searchsorted(self.offsets, ends)
        return np.unique(np.concatenate([[0], inner, [len(self)]]))

    def part(self, first: int, end: int) -> Documents:
        """Documents from `first` up to, not with, `end`; their tokens as int64, in memory."""
        low, high = int(self.offsets[first]), int(self.offsets[end])
        return Documents(
            np.asarray(self.tokens[low:high], dtype=np.int64), self.offsets[first : end + 1] - low, self.vocabulary
        )

    def permuted(self, *, seed: tuple[int, ...]) -> Documents:
        """With the tokens of each document in random order, in memory: what it is about stays, order does not."""
        rng, tokens = np.random.default_rng(seed), np.empty(int(self.offsets[-1]), dtype=self.tokens.dtype)
        end = int(self.offsets[0])
        for part in parts(self):
            owner = np.repeat(np.arange(len(part)), part.lengths)
            start, end = end, end + len(owner)
            tokens[start:end] = part.tokens[np.argsort(owner + rng.random(len(owner)))]
        return Documents(tokens, self.offsets, self.vocabulary)


def documents_of(tokens: Any, documents: Any = None) -> Documents:
    """Tokens and offsets of documents, checked.

    Parameters
    ----------
    tokens : (n,) array of int
    documents : (m + 1,) array of int, optional
        Offsets, not decreasing; one document by default.

    Raises
    ------
    TypeError
        If tokens or offsets are not whole numbers.
    ValueError
        If there are fewer than two tokens, one is negative, or offsets decrease or lie beyond the tokens.

    Examples
    --------
    >>> len(documents_of([0, 1, 1, 0], [0, 2, 4]))
    2
    """
    given = tokens if isinstance(tokens, np.ndarray) else np.asarray(tokens)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise TypeError(
            f"tokens must be one list of whole numbers, not an array of {given.dtype} of shape {given.shape}."
        )
    offsets = np.array([0, len(given)]) if documents is None else np.asarray(documents)
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2:
        raise TypeError(
            "documents must be the offsets of each and of the end, two whole numbers at least, not an array of "
            f"{offsets.dtype} of shape {offsets.shape}."
        )
    offsets = offsets.astype(np.int64)
    if offsets[0] < 0 or offsets[-1] > len(given) or np.any(np.diff(offsets) < 0):
        falls = int(np.sum(np.diff(offsets) < 0))
        raise ValueError(
            f"offsets of documents must grow from 0 to the {len(given):,} tokens, but they go from {offsets[0]} to "
            f"{offsets[-1]} and fall {falls} times."
        )
    within = given[offsets[0] : offsets[-1]]
    if len(within) < 2:
        raise ValueError(f"statistics of tokens need at least two of them, but the documents hold {len(within)}.")
    least = int(within.min())
    if least < 0:
        raise ValueError(f"tokens must not be negative, but one is {least} ({int(np.sum(within < 0))} such tokens).")
    return Documents(given, offsets, int(within.max()) + 1)


@dataclass(frozen=True, eq=False)
class PairCounts:
    """How often two tokens stand at a lag, by group of documents.

    Attributes
    ----------
    counts : (groups, pairs) sparse array
        Of each different pair, in each group.
    before, after : (pairs,) array of int
        The earlier token of each pair, and the later.
    vocabulary : int
    """

    counts: sparse.csr_array
    before: Ints
    after: Ints
    vocabulary: int

    def joint(self, weights: Floats) -> sparse.csr_array:
        """(V, V) sparse array of shares of pairs, each group counted so many times; nan if there is none."""
        counted = weights @ self.counts
        total = counted.sum()
        shares = counted / total if total else np.full(len(counted), np.nan)
        return sparse.csr_array((shares, (self.before, self.after)), shape=(self.vocabulary, self.vocabulary))


def pair_counts(documents: Documents, lag: int) -> PairCounts:
    """Counts of the pairs (x_t, x_{t + lag}) within documents.

    Parameters
    ----------
    documents : Documents
    lag : int

    Raises
    ------
    ValueError
        If no document is longer than the lag.

    Notes
    -----
    Memory grows with the different pairs of each group, 40 bytes each and then 20, and not with the tokens.

    Examples
    --------
    >>> found = pair_counts(documents_of([0, 1, 0, 1, 1]), 1)
    >>> found.joint(np.ones(1)).toarray().tolist()
    [[0.0, 0.5], [0.25, 0.25]]
    """
    if not np.any(documents.lengths > lag):
        raise ValueError(
            f"no document is longer than the lag {lag}: the longest has {int(documents.lengths.max())} tokens."
        )
    codes, numbers = [], []
    kind = np.int32 if documents.vocabulary**2 < 2**31 else np.int64  # sorted in half the time
    for part in parts(documents):
        owner = np.repeat(np.arange(len(part)), part.lengths)
        same = owner[lag:] == owner[:-lag]
        text = part.tokens.astype(kind)
        code = text[:-lag][same] * kind(documents.vocabulary) + text[lag:][same]
        found, counted = np.unique(code, return_counts=True)
        codes.append(found)
        numbers.append(counted)
    different = np.unique(np.concatenate(codes))
    columns = np.concatenate([np.searchsorted(different, found) for found in codes])
    starts = np.cumsum([0, *(len(found) for found in codes)])
    counts = sparse.csr_array(
        (np.concatenate(numbers).astype(float), columns, starts), shape=(len(codes), len(different))
    )
    before, after = np.divmod(different.astype(np.int64), documents.vocabulary)
    return PairCounts(counts, before, after, documents.vocabulary)


def parts(documents: Documents) -> Iterator[Documents]:
    """Groups of documents, one at a time in memory."""
    groups = documents.groups.tolist()
    for first, end in pairwise(groups):
        yield documents.part(first, end)


def drawn(units: int, resample: int, *, seed: int) -> Floats:
    """(units,) how often each is drawn in a resample, with replacement; the same for all that share the seed.

    Examples
    --------
    >>> float(drawn(5, 0, seed=1).sum())
    5.0
    """
    chosen = np.random.default_rng([seed, resample]).integers(units, size=units)
    return np.bincount(chosen, minlength=units).astype(float)
