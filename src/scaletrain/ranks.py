"""What walks visit, by rank: exact laws of nodes and edges, counts of sampled walks, and whether the two agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from .config import check_whole
from .graphs import Graph
from .walks import Walks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AT_ONCE = 1 << 18  # tokens whose edges are looked up together
RARE = 0.01  # expected visits, and share of an even choice, below which an edge is not tested on its own


@dataclass(frozen=True, eq=False)
class Counts:
    """How often sampled walks started at each node, were there, and took each edge.

    Attributes
    ----------
    graph : Graph
    walks, length : int
    starts : (n,) array
        Of first nodes.
    nodes : (n,) array
        Of all nodes.
    edges : (m,) array
        Of directed edges, in the order of the graph's arrays.
    """

    graph: Graph
    walks: int
    length: int
    starts: Ints
    nodes: Ints
    edges: Ints

    @property
    def transitions(self) -> float:
        """Probability of edge counts at least as far from the transition matrix as these, at given visits; nan if none.

        Where no node has a choice there is nothing to test.
        """
        return _pearson(self.edges, self.graph.matrix.data, self.graph.indptr)

    @property
    def first_nodes(self) -> float:
        """Probability of first nodes at least as far from the start distribution as these."""
        return _pearson(self.starts, self.graph.start, np.array([0, self.graph.nodes]))


def count_walks(walks: Walks, number: int) -> Counts:
    """Counts of the walks 0 to number - 1, in memory of the order of the graph.

    Raises
    ------
    ValueError
        If there is no walk to count.

    Examples
    --------
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> counts = count_walks(Walks(ring, length=5, seed=0), 100)
    >>> int(counts.starts.sum()), int(counts.nodes.sum()), int(counts.edges.sum())
    (100, 500, 400)
    """
    check_whole("the number of walks", number, 1)
    graph = walks.graph
    starts, nodes = np.zeros(graph.nodes, dtype=np.int64), np.zeros(graph.nodes, dtype=np.int64)
    edges, keys = np.zeros(graph.edges, dtype=np.int64), _sources(graph) * graph.nodes + graph.indices  # rising
    some = max(1, AT_ONCE // walks.length)
    for first in range(0, number, some):
        batch = walks.batch(first, min(some, number - first)).astype(np.int64)
        starts += np.bincount(batch[:, 0], minlength=graph.nodes)
        nodes += np.bincount(batch.ravel(), minlength=graph.nodes)
        taken = np.searchsorted(keys, (batch[:, :-1] * graph.nodes + batch[:, 1:]).ravel())
        edges += np.bincount(taken, minlength=graph.edges)
    return Counts(graph, number, walks.length, starts, nodes, edges)


def unigrams(graph: Graph, counts: Counts | None = None) -> pd.DataFrame:
    """Nodes by rank: the most probable of the stationary law first.

    Returns
    -------
    DataFrame
        rank (from 1), node, label (where nodes have one), probability and, given counts, count: the visits of all
        positions.

    Examples
    --------
    >>> star = Graph.from_edges([(0, 1), (0, 2), (0, 3)])
    >>> unigrams(star).round(3).head(2).values.tolist()
    [[1.0, 0.0, 0.5], [2.0, 1.0, 0.167]]
    """
    law, named = graph.stationary, {} if graph.labels is None else {"label": graph.labels}
    columns = {"node": np.arange(graph.nodes), **named, "probability": law}
    return _ranked(columns, None if counts is None else counts.nodes)


def bigrams(graph: Graph, counts: Counts | None = None) -> pd.DataFrame:
    """Directed edges by rank: the most probable pair of successive nodes first, by pi_i P_ij.

    Returns
    -------
    DataFrame
        rank (from 1), node, next, label and next_label (where nodes have one), probability and, given counts, count.

    Examples
    --------
    >>> star = Graph.from_edges([(0, 1), (0, 2), (0, 3)])
    >>> len(bigrams(star)), round(float(bigrams(star)["probability"].sum()), 12)
    (6, 1.0)
    """
    sources, named = _sources(graph), {}
    if graph.labels is not None:
        labels = np.array(graph.labels, dtype=object)
        named = {"label": labels[sources], "next_label": labels[graph.indices]}
    law = graph.stationary[sources] * graph.matrix.data
    columns = {"node": sources, "next": graph.indices, **named, "probability": law}
    return _ranked(columns, None if counts is None else counts.edges)


def _ranked(columns: dict[str, object], counts: Ints | None) -> pd.DataFrame:
    frame = pd.DataFrame(columns if counts is None else {**columns, "count": counts})
    frame = frame.sort_values("probability", ascending=False, kind="stable", ignore_index=True)
    frame.insert(0, "rank", np.arange(1, len(frame) + 1))
    return frame


def _sources(graph: Graph) -> Ints:
    """(m,) node that each directed edge leaves."""
    return np.repeat(np.arange(graph.nodes), graph.degrees)


def _pearson(counts: Ints, probabilities: Floats, indptr: Ints) -> float:
    """Probability that Pearson's statistic of multinomial rows is at least that of these counts; nan without choices.

    Most rows are seen too seldom for the limiting law, so the statistic is given a chi-square distribution of its own
    exact mean and variance [1]_, the sums over rows of k cells that are seen n times: k - 1 and
    2 (k - 1) + (sum_j 1 / p_j - k^2 - 2 k + 2) / n. What is hardly ever chosen, and would swell that variance, is
    counted with the most probable cell of its row.

    References
    ----------
    .. [1] Haldane 1937, Biometrika 29, "The exact value of the moments of the distribution of chi-square".
    """
    starts, sizes = indptr[:-1], np.diff(indptr)
    totals = np.add.reduceat(counts, starts)
    evenly = probabilities * np.repeat(sizes, sizes)
    rare = (probabilities * np.repeat(totals, sizes) < RARE) & (evenly < RARE)
    cells = np.arange(len(probabilities))
    most = probabilities == np.repeat(np.maximum.reduceat(probabilities, starts), sizes)
    first = np.minimum.reduceat(np.where(most, cells, len(cells)), starts)
    cells = np.where(rare, np.repeat(first, sizes), cells)
    counts = np.bincount(cells, counts, len(cells))
    chances = np.bincount(cells, probabilities, len(cells))
    there = chances > 0
    k, n = np.add.reduceat(there, starts, dtype=float), np.maximum(totals, 1)
    inverse = np.add.reduceat(np.divide(1, chances, out=np.zeros(len(cells)), where=there), starts)
    seen = totals > 0
    mean = float(np.sum((k - 1)[seen]))
    if mean == 0:
        return float("nan")
    variance = float(np.sum((2 * (k - 1) + (inverse - k**2 - 2 * k + 2) / n)[seen]))
    expected = (chances * np.repeat(totals, sizes))[there]
    parts = np.divide((counts[there] - expected) ** 2, expected, out=np.zeros(len(expected)), where=expected > 0)
    return float(stats.chi2.sf(parts.sum() * 2 * mean / variance, 2 * mean**2 / variance))
