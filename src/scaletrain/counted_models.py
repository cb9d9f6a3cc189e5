"""Models made of counts: the paper's graph of bigrams, n-gram models, and mixtures of bigrams and trigrams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from .corpora import Corpus
from .graphs import Graph
from .ngram_counts import Floats, Ints, NgramCounts, count_ngrams, tokens_of
from .ngram_models import NgramModel

MOST_EDGES = 40_000_000  # of a mixture; our choice: its walks take about 90 bytes of memory for each, 3.6 GB


def counted(corpus: Corpus, *, order: int, skip: int = 1) -> NgramCounts:
    """Counts of the n-grams of the train split of a corpus.

    Raises
    ------
    ValueError
        As `count_ngrams`.
    """
    train = corpus.split("train")
    return count_ngrams(train.tokens, train.documents, order=order, vocabulary=corpus.vocabulary, skip=skip)


def bigram_graph(counts: NgramCounts, *, labels: Sequence[str] | None = None, name: str = "bigrams") -> Graph:
    """Directed graph of tokens whose weights W_ij are the counts of the bigrams: the paper's language bigrams.

    P_ij = W_ij / sum_k W_ik, and a walk starts at i with probability sum_j W_ij / sum_ij W_ij. Of several strongly
    connected parts the largest is kept; the notes say what is lost by that and by a threshold.

    Parameters
    ----------
    counts : NgramCounts
        Of order 2 and skip 1.
    labels : V str, optional
        What tokens are called; by default their numbers, so that nodes of a part can be told.
    name : str

    Raises
    ------
    ValueError
        If these are no counts of bigrams, there is not a label for each token, or no walk goes on.

    Examples
    --------
    >>> from scaletrain.ngram_counts import count_ngrams
    >>> text = np.array([0, 1, 0, 2, 0, 1, 2, 2, 3])
    >>> graph = bigram_graph(count_ngrams(text, order=2, vocabulary=4))
    >>> graph.labels, graph.matrix.toarray()[0].round(3).tolist()
    (('0', '1', '2'), [0.0, 0.667, 0.333])
    """
    if (counts.order, counts.skip) != (2, 1):
        raise ValueError(
            f"a graph of bigrams needs counts of order 2 and skip 1, not {counts.order} and {counts.skip}. Take "
            "ngram_model."
        )
    size = counts.vocabulary
    names = [str(token) for token in range(size)] if labels is None else [str(label) for label in labels]
    if len(names) != size:
        raise ValueError(f"{size} tokens need as many labels, not {len(names)}.")
    matrix = _matrix(counts.keys, counts.counts.astype(float), size)
    return _walkable(matrix, [counts], name=name, labels=lambda kept: [names[token] for token in kept])[0]


def ngram_model(counts: NgramCounts, *, labels: Sequence[str] | None = None, name: str | None = None) -> NgramModel:
    """Model of counts of any order from 2 on.

    Contexts that end, since nothing was seen after them, and those that lead to nothing else, are not in the largest
    strongly connected part of the graph of contexts and are left out; its notes say how much that is.

    Parameters
    ----------
    counts : NgramCounts
    labels : V str, optional
        What tokens are called; a context is labelled by those of its tokens, with blanks between them.
    name : str, optional
        "3-grams" and the like by default.

    Raises
    ------
    ValueError
        If there is not a label for each token, or no walk goes on.

    Examples
    --------
    >>> from scaletrain.ngram_counts import count_ngrams
    >>> model = ngram_model(count_ngrams(np.array([0, 0, 1] * 5), order=3, vocabulary=2), labels=["a", "b"])
    >>> model.graph.labels, model.contexts.tolist()
    (('a a', 'a b', 'b a'), [[0, 0], [0, 1], [1, 0]])
    """
    size, base = counts.vocabulary, counts.vocabulary ** (counts.order - 1)
    before, after = counts.keys // size, counts.keys % base
    keys = np.union1d(before, after)
    indptr = np.searchsorted(before, np.append(keys, base))
    targets = np.searchsorted(keys, after)
    matrix = sparse.csr_array((counts.counts.astype(float), targets, indptr), shape=(len(keys), len(keys)))
    named = _context_labels(keys, counts, labels)
    graph, kept = _walkable(matrix, [counts], name=name or f"{counts.order}-grams", labels=named)
    return NgramModel(graph, keys[kept], counts.order, size, counts.skip)


def interpolated(
    bigrams: NgramCounts, trigrams: NgramCounts, *, weight: float, labels: Sequence[str] | None = None
) -> NgramModel:
    """Model between bigrams and trigrams, P(c | a b) = (1 - w) P2(c | b) + w P3(c | a b).

    Contexts are the bigrams of the largest strongly connected part of their graph; a first context is as probable as
    it was counted. After a context of which no trigram was counted the next token is that of bigrams alone. Trigrams
    with a bigram that a threshold has left out are left out, too.

    Parameters
    ----------
    bigrams, trigrams : NgramCounts
        Of orders 2 and 3, of one corpus.
    weight : float
        w, from 0, bigrams alone, to 1, trigrams alone wherever there are any.
    labels : V str, optional
        What tokens are called.

    Raises
    ------
    ValueError
        If the weight is none, the counts do not belong together, or the mixture has more than 40 million n-grams.

    Examples
    --------
    >>> from scaletrain.ngram_counts import count_ngrams
    >>> text = np.random.default_rng(0).integers(0, 4, 500)
    >>> counts = [count_ngrams(text, order=order, vocabulary=4) for order in (2, 3)]
    >>> [round(interpolated(*counts, weight=weight).graph.entropy, 3) for weight in (0.0, 0.5, 1.0)]
    [1.367, 1.356, 1.323]
    """
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise ValueError(f"weight must be a number from 0 (bigrams) to 1 (trigrams), not {weight!r}.")
    found = [(counts.order, counts.vocabulary, counts.skip) for counts in (bigrams, trigrams)]
    if found != [(2, bigrams.vocabulary, bigrams.skip), (3, bigrams.vocabulary, bigrams.skip)]:
        raise ValueError(
            "a mixture takes counts of bigrams and of trigrams of one vocabulary and skip, but their orders, "
            f"vocabularies and skips are {found[0]} and {found[1]}."
        )
    edges, keys = _mixed(bigrams, trigrams, float(weight))
    edges.eliminate_zeros()
    named = _context_labels(keys, trigrams, labels)
    graph, kept = _walkable(edges, [bigrams, trigrams], name=f"2-grams and {weight:g} of 3-grams", labels=named)
    share = edges.data.sum() / bigrams.total
    if share < 1 - 1e-9:
        note = f"contexts are of the largest strongly connected part of the 2-grams, {100 * share:.4g} % of them"
        graph = replace(graph, notes=(note, *graph.notes))
    return NgramModel(graph, keys[kept], 3, bigrams.vocabulary, bigrams.skip)


def _mixed(bigrams: NgramCounts, trigrams: NgramCounts, weight: float) -> tuple[sparse.csr_array, Ints]:
    """Sparse W of the contexts, whose rows sum to the counts of the contexts, and these."""
    size = bigrams.vocabulary
    part = np.zeros(size, dtype=bool)
    part[_strong_part(_matrix(bigrams.keys, bigrams.counts.astype(float), size), bigrams)] = True
    inside = part[bigrams.keys // size] & part[bigrams.keys % size]
    keys, often = bigrams.keys[inside], bigrams.counts[inside].astype(float)
    first = np.searchsorted(keys, np.arange(size + 1) * size)  # edge that each token's begin with
    begins = first[keys % size]  # first successor of each context, and how many there are
    widths = np.diff(first)[keys % size]
    indptr = np.concatenate([[0], np.cumsum(widths)])
    if indptr[-1] > MOST_EDGES:
        raise ValueError(
            f"the mixture has {indptr[-1]:,} n-grams, but {MOST_EDGES:,} are the most. Take fewer bigrams, by a "
            "threshold or a smaller vocabulary."
        )
    targets = np.arange(indptr[-1]) + np.repeat(begins - indptr[:-1], widths)
    second = often / np.bincount(keys // size, often, size)[keys // size]  # P2 of each bigram
    old, new = _places(keys, trigrams.keys // size), _places(keys, trigrams.keys % size**2)
    known = (old >= 0) & (new >= 0)
    old, new, times = old[known], new[known], trigrams.counts[known].astype(float)
    totals = np.bincount(old, times, len(keys))
    shares = np.where(totals > 0, weight, 0.0)
    chances: Floats = np.repeat((1 - shares) * often, widths) * second[targets]
    chances[indptr[old] + new - begins[old]] += (shares * often)[old] * times / totals[old]
    return sparse.csr_array((chances, targets, indptr), shape=(len(keys), len(keys))), keys


def _matrix(keys: Ints, weights: Floats, size: int) -> sparse.csr_array:
    """(V, V) sparse W of bigrams."""
    indptr = np.searchsorted(keys, np.arange(size + 1) * size)
    return sparse.csr_array((weights, keys % size, indptr), shape=(size, size))


def _places(keys: Ints, wanted: Ints) -> Ints:
    """Where each number is among rising keys, -1 where it is not."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)


def _walkable(
    matrix: Any, counts: Sequence[NgramCounts], *, name: str, labels: Callable[[Ints], Sequence[str]] | None
) -> tuple[Graph, Ints]:
    """Graph of the largest strongly connected part of a sparse W, by the rule of `Graph.from_edges`, and its nodes.

    Made without a list of pairs, since that of 33 million bigrams alone takes half a gigabyte.
    """
    total, kept = matrix.shape[0], _strong_part(matrix, counts[-1])
    notes = [f"{one.order}-grams: {one.left_out}" for one in counts if one.threshold]
    if len(kept) < total:
        edges, weight = matrix.nnz, matrix.data.sum()
        matrix = matrix[kept][:, kept].tocsr()
        notes.append(
            f"largest strongly connected part: {len(kept)} of {total} nodes, {matrix.nnz} of {edges} directed edges, "
            f"{100 * matrix.data.sum() / weight:.4g} % of the weight"
        )
    matrix.sort_indices()
    return Graph(
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, name, False, tuple(notes),
        None if labels is None else tuple(labels(kept)),
    ), kept  # fmt: skip


def _strong_part(matrix: Any, counts: NgramCounts) -> Ints:
    """Nodes of the largest strongly connected part of a sparse W."""
    _, parts = connected_components(matrix, directed=True, connection="strong")
    kept = np.flatnonzero(parts == np.argmax(np.bincount(parts)))
    if len(kept) < 2:
        raise ValueError(
            f"no walk goes on: no context leads to another one and back ({counts!r}). Count more tokens, a lower "
            "order, or with a lower threshold."
        )
    return kept


def _context_labels(
    keys: Ints, counts: NgramCounts, labels: Sequence[str] | None
) -> Callable[[Ints], list[str]] | None:
    """What names the contexts of some numbers, by the labels of their tokens."""
    if labels is None:
        return None
    if len(labels) != counts.vocabulary:
        raise ValueError(f"{counts.vocabulary} tokens need as many labels, not {len(labels)}.")

    def named(kept: Ints) -> list[str]:
        grams = tokens_of(keys[kept], counts.order - 1, counts.vocabulary)
        return [" ".join(str(labels[token]) for token in gram) for gram in grams.tolist()]

    return named
