"""N-gram language models: a walk on contexts of n - 1 tokens, its sequences by number, its exact next tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from .counters import Split
from .graphs import Graph, check_length
from .ngram_counts import Floats, Ints, tokens_of
from .walks import Walks

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class NextTokens:
    """Distributions of the next token, a sparse row for each of r contexts.

    Attributes
    ----------
    indptr : (r + 1,) array
        Where each row begins.
    targets : (m,) array
        Tokens that may come next.
    chances : (m,) array
        Their probabilities, positive; those of a row sum to 1.
    """

    indptr: Ints
    targets: Ints
    chances: Floats

    @cached_property
    def entropy(self) -> Floats:
        """(r,) entropy of the next token, nats."""
        return np.asarray(np.add.reduceat(entr(self.chances), self.indptr[:-1]))

    def rows(self, numbers: Ints) -> NextTokens:
        """The rows of these numbers, in this order."""
        sizes = np.diff(self.indptr)[numbers]
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        places = np.arange(indptr[-1]) + np.repeat(self.indptr[numbers] - indptr[:-1], sizes)
        return NextTokens(indptr, self.targets[places], self.chances[places])

    @classmethod
    def joined(cls, parts: Sequence[NextTokens]) -> NextTokens:
        """The rows of several, one after another."""
        sizes = np.concatenate([np.diff(part.indptr) for part in parts])
        targets, chances = (np.concatenate([getattr(part, name) for part in parts]) for name in ("targets", "chances"))
        return cls(np.concatenate([[0], np.cumsum(sizes)]), targets, chances)


@dataclass(frozen=True, eq=False, repr=False)
class NgramModel:
    """A language model that knows the n - 1 tokens before the next one: a walk on the contexts of n - 1 tokens.

    A walk goes from context (x_1 ... x_(n-1)) to (x_2 ... x_n) with probability P(x_n | x_1 ... x_(n-1)); the first
    context is drawn from the start law of the graph. With a skip s a sequence is s such walks that take turns, so that
    a token depends on those s, 2 s, ... (n - 1) s before it and on nothing else.

    Attributes
    ----------
    graph : Graph
        Of contexts; its rank tables are those of (n-1)-grams and n-grams, its entropy that of a token in the long run.
    keys : (c,) array, rising
        Contexts as whole numbers, see `NgramCounts`.
    order, vocabulary, skip : int
        n, V and s.

    Examples
    --------
    >>> from scaletrain import counted_models, ngram_counts
    >>> text = np.frombuffer(b"to be or not to be or to be", dtype=np.uint8)
    >>> model = counted_models.ngram_model(ngram_counts.count_ngrams(text, order=3, vocabulary=256))
    >>> found = model.next_probabilities(np.array([list(b"or"), list(b"r ")]))
    >>> found.indptr.tolist(), bytes(found.targets.tolist()), found.chances.tolist()
    ([0, 1, 3], b' nt', [1.0, 0.5, 0.5])
    """

    graph: Graph
    keys: Ints
    order: int
    vocabulary: int
    skip: int = 1

    @cached_property
    def contexts(self) -> NDArray[np.int32]:
        """(c, n - 1) tokens of each context."""
        return tokens_of(self.keys, self.order - 1, self.vocabulary).astype(np.int32)

    @property
    def digest(self) -> str:
        """SHA-256 of all that sequences depend on, 16 digits."""
        head = f"{self.graph.digest} {self.order} {self.vocabulary} {self.skip}".encode()
        return hashlib.sha256(head + self.keys.tobytes()).hexdigest()[:16]

    def next_probabilities(self, contexts: NDArray[np.integer]) -> NextTokens:
        """Exact distribution of the token after each context.

        Parameters
        ----------
        contexts : (r, k) array of int
            Tokens of a sequence from its first one on, or the last (n - 1) s of them at least; k may be 0.

        Raises
        ------
        ValueError
            If a context cannot occur in a sequence of this model.
        """
        found = np.asarray(contexts)
        if found.ndim != 2 or found.dtype.kind not in "iu" or not len(found):
            raise ValueError(f"contexts are rows of tokens, not {found.dtype} of the shape {found.shape}.")
        known: int = min(found.shape[1] // self.skip, self.order - 1)  # tokens of the walk whose turn it is
        rows = self._rows(found[:, found.shape[1] - known * self.skip :: self.skip], known)
        return self._laws[known][1].rows(rows)

    def laws_along(self, sequences: NDArray[np.integer]) -> tuple[NextTokens, Ints]:
        """The law of every token of sequences but their first ones.

        Parameters
        ----------
        sequences : (r, length) array of int
            Of this model, from their first token on.

        Returns
        -------
        laws : NextTokens
            Each law of the model once.
        rows : (r, length - 1) array
            Which of them is that of token 1, 2, ... of each sequence.

        Raises
        ------
        ValueError
            If a sequence cannot be one of this model.
        """
        length, s = sequences.shape[1], self.skip
        offsets = np.cumsum([0, *(len(heads) for heads, _ in self._laws)])
        rows = np.empty((len(sequences), length - 1), dtype=np.int64)
        for place in range(1, length):
            known = min(place // s, self.order - 1)
            rows[:, place - 1] = offsets[known] + self._rows(sequences[:, place - known * s : place : s], known)
        return NextTokens.joined([laws for _, laws in self._laws]), rows

    def _rows(self, contexts: NDArray[np.integer], known: int) -> Ints:
        """(r,) places of contexts (r, known) among those of so many tokens."""
        keys = np.zeros(len(contexts), dtype=np.int64)
        for column in contexts.astype(np.int64).T:
            keys = keys * self.vocabulary + column
        heads = self._laws[known][0]
        rows = np.minimum(np.searchsorted(heads, keys), len(heads) - 1)
        strange = (heads[rows] != keys) | np.any((contexts < 0) | (contexts >= self.vocabulary), axis=1)
        if strange.any():
            row = int(np.argmax(strange))
            raise ValueError(
                f"the tokens {contexts[row].tolist()} of context {row} (counting from 0) do not occur in sequences of "
                f"{self.graph.name} ({strange.sum()} such contexts). Give contexts of its own sequences."
            )
        return rows

    def floor(self, length: int) -> float:
        """Lowest mean loss over the positions of sequences of a length, nats per token: exact.

        The law of the contexts is carried on from place to place, in time of the order of length times n-grams.

        Examples
        --------
        >>> from scaletrain import counted_models, ngram_counts
        >>> ring = counted_models.ngram_model(ngram_counts.count_ngrams(np.array([0, 1, 2] * 5), order=2, vocabulary=3))
        >>> round(ring.floor(10), 6)
        0.0
        """
        check_length(length)
        each = np.array(self._entropies(-(-length // self.skip)))
        places = np.arange(1, length) // self.skip  # the first token of a sequence is not predicted
        return float(each[places].mean())

    def _entropies(self, count: int) -> list[float]:
        """Mean entropy of token 0, 1, ... of a walk, given those before it."""
        made = []
        law: Floats = self.graph.start
        for place in range(count):
            known = min(place, self.order - 1)
            heads, laws = self._laws[known]
            if place < self.order:  # else a step of the walk has changed the law
                starts = np.searchsorted(self.keys // self.vocabulary ** (self.order - 1 - known), heads)
                made.append(float(np.add.reduceat(law, starts) @ laws.entropy))
            else:
                law = self.graph.matrix.T @ law
                made.append(float(law @ laws.entropy))
        return made

    @cached_property
    def _laws(self) -> list[tuple[Ints, NextTokens]]:
        """For h = 0 to n - 1 known tokens of a walk: these as rising whole numbers, and the laws of the next one."""
        made = []
        for known in range(self.order - 1):  # the first context, a token at a time
            grams, places = np.unique(self.keys // self.vocabulary ** (self.order - 2 - known), return_inverse=True)
            mass = np.bincount(places, self.graph.start)
            heads, starts = np.unique(grams // self.vocabulary, return_index=True)
            indptr = np.append(starts, len(grams))
            chances = mass / np.repeat(np.add.reduceat(mass, starts), np.diff(indptr))
            made.append((heads, NextTokens(indptr, grams % self.vocabulary, chances)))
        last = self.keys[self.graph.indices] % self.vocabulary
        return [*made, (self.keys, NextTokens(self.graph.indptr, last, self.graph.matrix.data))]

    def __repr__(self) -> str:
        return f"{self.graph!r}\nnodes are contexts of {self.order - 1} of {self.vocabulary:,} tokens"


@dataclass(frozen=True, eq=False)
class NgramWalks:
    """Sequences of an n-gram model, numbered without end: as `Walks`, any batch is addressed by number.

    Parameters
    ----------
    model : NgramModel
    length : int
        Tokens of a sequence, at least 2.
    seed : int
        From 0 to 2^32 - 1.
    split : {"train", "test"}
        The sequences of the two splits are drawn independently of each other.

    Raises
    ------
    ValueError
        If the length, the seed or the split is none of these.

    Examples
    --------
    >>> from scaletrain import counted_models, ngram_counts
    >>> text = np.frombuffer(b"to be or not to be or to be", dtype=np.uint8)
    >>> model = counted_models.ngram_model(ngram_counts.count_ngrams(text, order=3, vocabulary=256))
    >>> bytes(NgramWalks(model, length=20, seed=0).batch(2, 1)[0].tolist())
    b'or to be or not to b'
    """

    model: NgramModel
    length: int
    seed: int
    split: Split = "train"

    def __post_init__(self) -> None:
        check_length(self.length)
        Walks(self.model.graph, 2, self.seed, self.split)

    @cached_property
    def walks(self) -> Walks:
        """The walks on contexts that sequences are made of, s of them for each."""
        turns = -(-self.length // self.model.skip)
        return Walks(self.model.graph, max(2, turns - self.model.order + 2), self.seed, self.split)

    def batch(self, first: int, count: int) -> NDArray[np.int32]:
        """(count, length) tokens of the sequences from number `first` on.

        Raises
        ------
        ValueError
            If the numbers are not whole, negative, or too large.
        """
        skip = self.model.skip
        return np.asarray(self._spoken(np, self.walks.batch(first * skip, count * skip), self.model.contexts))

    def on(self, device: torch.device | str) -> DeviceNgramWalks:
        """The same sequences made on a device of torch."""
        return DeviceNgramWalks(self, device)

    def _spoken(self, xp: ModuleType, visited: Any, contexts: Any) -> Any:
        """Tokens of walks on contexts: all of the first context, then the last of each; s walks take turns."""
        skip = self.model.skip
        tokens = xp.concatenate([contexts[visited[:, 0]], contexts[:, -1][visited[:, 1:]]], -1)
        count, turns = len(tokens) // skip, tokens.shape[1]
        return tokens.reshape(count, skip, turns).swapaxes(1, 2).reshape(count, turns * skip)[:, : self.length]


class DeviceNgramWalks:
    """Sequences whose tables lie on a device of torch, where batches are made."""

    def __init__(self, walks: NgramWalks, device: torch.device | str) -> None:
        import torch

        self.sequences, self.walks = walks, walks.walks.on(device)
        self.contexts = torch.as_tensor(walks.model.contexts, dtype=torch.int64, device=self.walks.device)

    def batch(self, first: int, count: int) -> torch.Tensor:
        """(count, length) int64 tokens of the sequences from number `first` on."""
        import torch

        skip = self.sequences.model.skip
        visited = self.walks.batch(first * skip, count * skip)
        made: torch.Tensor = self.sequences._spoken(torch, visited, self.contexts)
        return made.contiguous()
