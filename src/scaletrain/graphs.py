"""Graph: a walk's graph as sparse arrays, with its exact entropy and stationary law."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.special import entr

from scalefit.theory.baseline import stationary_law

from .config import check_whole

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# not from the paper (value unknown); three decades, so that kappa = 1 spreads the weights over them evenly
WEIGHTS = (1.0, 1000.0)
LARGEST_KAPPA = 3.0
LEAST, MOST = 1e-60, 1e60  # of a weight: between them no probability is too small for a float
MOST_NODES = 2**31 - 1  # walks are of 32 bits


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph to walk on: from node i to j with probability P_ij = W_ij / sum_k W_ik.

    Attributes
    ----------
    indptr : (n + 1,) array
        Where the edges of each node begin.
    indices : (m,) array
        Node that each directed edge leads to; an undirected edge is two.
    weights : (m,) array, optional
        Positive W of each edge; None where all are 1, the unbiased walk.
    name : str
    undirected : bool
        Whether W is symmetric.
    notes : tuple of str
        What was done to it.
    labels : tuple of str, optional
        What its nodes are called where it comes from; None where they are numbers.

    Examples
    --------
    >>> triangle = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> triangle.nodes, triangle.edges, round(triangle.entropy, 6)
    (3, 6, 0.693147)
    """

    indptr: Ints
    indices: Ints
    weights: Floats | None = None
    name: str = "graph"
    undirected: bool = True
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None

    @classmethod
    def from_edges(
        cls, edges: Sequence[tuple[int, int]] | NDArray[Any], *, nodes: int | None = None,
        weights: NDArray[Any] | None = None, directed: bool = False, name: str = "graph",
        labels: Sequence[str] | None = None,
    ) -> Graph:  # fmt: skip
        """Graph of node pairs, numbered from 0; an edge that is given twice counts once (its weights are added).

        Of several parts the giant one is kept and its nodes are numbered anew; `notes` says so. A directed graph keeps
        its largest strongly connected part, the only one in which a walk neither ends nor forgets where it may go.

        Raises
        ------
        ValueError
            If there is no edge, a node is not a whole number from 0, a weight is not between 1e-60 and 1e60, there is
            not a label for each node, or no walk goes on from one node to another.
        """
        pairs = _checked_pairs(edges)
        n = int(pairs.max()) + 1 if nodes is None else nodes
        check_whole("nodes", n, 1, MOST_NODES)
        if pairs.max() >= n:
            raise ValueError(f"an edge leads to node {pairs.max()}, but there are {n} nodes, numbered from 0.")
        if labels is not None and len(labels) != n:
            raise ValueError(f"{n} nodes need as many labels, not {len(labels)}.")
        values = np.ones(len(pairs)) if weights is None else _checked_weights(weights, len(pairs))
        matrix = sparse.coo_array((values, (pairs[:, 0], pairs[:, 1])), shape=(n, n)).tocsr()
        if not directed:
            matrix = _symmetric(matrix)
        if weights is None:
            matrix.data[:] = 1.0
        kept, notes = _giant(matrix, directed)
        matrix = matrix[kept][:, kept].tocsr() if notes else matrix
        matrix.sort_indices()
        return cls(
            matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), None if weights is None else matrix.data,
            name, not directed, notes, None if labels is None else tuple(str(labels[node]) for node in kept),
        )  # fmt: skip

    @property
    def nodes(self) -> int:
        """Nodes: the vocabulary."""
        return len(self.indptr) - 1

    @property
    def edges(self) -> int:
        """Directed edges: twice the undirected ones."""
        return len(self.indices)

    @cached_property
    def degrees(self) -> Ints:
        """(n,) edges that leave each node."""
        return np.diff(self.indptr)

    @cached_property
    def adjacency(self) -> Any:
        """(n, n) sparse W."""
        values = np.ones(self.edges) if self.weights is None else self.weights
        return sparse.csr_array((values, self.indices, self.indptr), shape=(self.nodes, self.nodes))

    @cached_property
    def matrix(self) -> Any:
        """(n, n) sparse P, whose rows are the distributions of the next node."""
        adjacency = self.adjacency
        totals = np.add.reduceat(adjacency.data, self.indptr[:-1])
        return sparse.csr_array((adjacency.data / np.repeat(totals, self.degrees), self.indices, self.indptr),
                                shape=adjacency.shape)  # fmt: skip

    @cached_property
    def start(self) -> Floats:
        """(n,) distribution of the first node, p0_i = sum_j W_ij / sum_ij W_ij: stationary if undirected."""
        totals = np.add.reduceat(self.adjacency.data, self.indptr[:-1])
        return np.asarray(totals / totals.sum())

    @cached_property
    def stationary(self) -> Floats:
        """(n,) distribution that a step leaves as it is; of a graph with periods, the mean over one."""
        return self.start if self.undirected else stationary_law(self.matrix)

    @cached_property
    def node_entropy(self) -> Floats:
        """(n,) entropy of the next node from each node, nats."""
        return np.asarray(np.add.reduceat(entr(self.matrix.data), self.indptr[:-1]))

    @property
    def entropy(self) -> float:
        """Entropy rate sum_i pi_i H_i, nats per token: no model has a lower loss on long walks."""
        return float(self.stationary @ self.node_entropy)

    def floor(self, length: int) -> float:
        """Lowest mean loss over the positions of walks of a length, nats per token: exact, from the start distribution.

        Examples
        --------
        >>> round(Graph.from_edges([(0, 1), (1, 2), (2, 0)]).floor(50), 6)
        0.693147
        """
        check_length(length)
        law, total, transposed = self.start, 0.0, self.matrix.T.tocsr()
        for _ in range(length - 1):
            total += float(law @ self.node_entropy)
            law = transposed @ law
        return total / (length - 1)

    @property
    def digest(self) -> str:
        """SHA-256 of nodes, edges and weights, 16 digits: two graphs with one digest give the same walks."""
        parts = (self.indptr, self.indices, np.empty(0) if self.weights is None else self.weights)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:16]

    def biased(
        self, kappa: float, *, seed: int, support: tuple[float, float] = WEIGHTS, symmetric: bool = False
    ) -> Graph:
        """The same graph with random edge weights of density p(w) ~ w^-kappa on an interval.

        Parameters
        ----------
        kappa : float
            From 0 to 3. 0 is the unbiased walk exactly: no weights are drawn. At 1 the weights are log-uniform.
        seed : int
        support : (float, float)
            Interval of the weights, within 1e-60 and 1e60; not from the paper (value unknown).
        symmetric : bool
            Whether both directions of an undirected edge share a weight; not from the paper (unknown).

        Raises
        ------
        ValueError
            If kappa is outside [0, 3], the interval is not positive, the seed is none, or a directed graph should be
            symmetric.

        Examples
        --------
        >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
        >>> ring.biased(0, seed=0) is ring, ring.biased(1.0, seed=0).entropy < ring.entropy
        (True, True)
        """
        low, high = checked_bias(kappa, support)
        check_whole("seed", seed, 0)
        if symmetric and not self.undirected:
            raise ValueError(f"{self.name} is directed, so its weights cannot be symmetric: pass symmetric=False.")
        if kappa == 0:
            return self
        draws = np.random.default_rng(seed).random(self.edges)
        if symmetric:
            draws = self._mirrored(draws)
        weights = power_weights(draws, kappa, low, high) * (1.0 if self.weights is None else self.weights)
        whose = "shared by both directions" if symmetric else "of each direction"
        note = f"weights of density w^-{kappa:g} on {low:g} to {high:g}, {whose}, seed {seed}"
        return replace(
            self, weights=weights, undirected=symmetric, name=f"{self.name}-kappa{kappa:g}", notes=(*self.notes, note)
        )

    def __repr__(self) -> str:
        lines = [f"{self.name}: {self.nodes} nodes, {self.edges} directed edges, entropy {self.entropy:.4g} nats"]
        return "\n".join([*lines, *(f"note  {note}" for note in self.notes)])

    def _mirrored(self, draws: Floats) -> Floats:
        """Draws in which an edge has that of its mirror image, the one from the smaller node."""
        sources = np.repeat(np.arange(self.nodes), self.degrees)
        forward = sources <= self.indices
        order = np.lexsort((sources, self.indices))  # edges (i, j) in the order of their mirror images (j, i)
        return np.where(forward, draws, draws[order])


def check_length(length: Any) -> None:
    """Refuse a length of walks in which nothing is predicted."""
    if isinstance(length, bool) or not isinstance(length, int) or length < 2:
        raise ValueError(f"a walk has at least 2 nodes, so that one is predicted, not {length!r}.")


def checked_bias(kappa: Any, support: Any) -> tuple[float, float]:
    """The interval of random weights, if that and their power are possible."""
    if not (_is_number(kappa) and 0 <= kappa <= LARGEST_KAPPA):
        raise ValueError(f"kappa must be a number from 0 (unbiased) to {LARGEST_KAPPA:g}, not {kappa!r}.")
    if not (isinstance(support, list | tuple) and len(support) == 2 and all(map(_is_number, support))
            and LEAST <= support[0] < support[1] <= MOST):  # fmt: skip
        raise ValueError(
            f"support must be two rising numbers from {LEAST:g} to {MOST:g}, such as {list(WEIGHTS)}, not {support!r}."
        )
    return float(support[0]), float(support[1])


def power_weights(draws: Floats, kappa: float, low: float, high: float) -> Floats:
    """Weights of density p(w) ~ w^-kappa on an interval, from uniform draws by the inverse of their distribution.

    Examples
    --------
    >>> power_weights(np.array([0.0, 0.5, 1.0]), 1.0, 1.0, 100.0).round(9).tolist()
    [1.0, 10.0, 100.0]
    """
    span, power = np.log(high / low), 1 - kappa
    if power == 0:  # the limit of the other formula, which loses no digits on the way there
        return np.asarray(low * np.exp(draws * span))
    return np.asarray(np.minimum(low * np.exp(np.log1p(draws * np.expm1(power * span)) / power), high))


def _checked_pairs(edges: Sequence[tuple[int, int]] | NDArray[Any]) -> NDArray[Any]:
    try:
        pairs = np.asarray(edges)
    except ValueError:  # pairs and others
        pairs = np.empty(0)
    if pairs.ndim != 2 or pairs.shape[1:] != (2,) or not len(pairs):
        raise ValueError(f"a graph needs edges as pairs of nodes, but their shape is {pairs.shape}: no walk can start.")
    if pairs.dtype.kind not in "iu":
        raise ValueError(f"nodes are whole numbers from 0, but the edges hold {pairs.dtype}.")
    if pairs.min() < 0:
        raise ValueError(f"nodes are whole numbers from 0, but an edge has {pairs.min()}.")
    return pairs


def _checked_weights(weights: NDArray[Any], edges: int) -> Floats:
    try:
        values = np.asarray(weights, dtype=float)
    except (ValueError, TypeError) as error:
        raise ValueError(f"weights must be numbers: {error}") from error
    if values.shape != (edges,):
        raise ValueError(f"{edges} edges need as many weights, not the shape {values.shape}.")
    bad = np.flatnonzero(~((values >= LEAST) & (values <= MOST)))
    if len(bad):
        raise ValueError(
            f"the weight of edge {bad[0]} (counting from 0) is {values[bad[0]]:g}, but weights are positive and "
            f"finite, from {LEAST:g} to {MOST:g} ({len(bad)} such edges). Leave edges that nobody takes out."
        )
    return values


def _symmetric(matrix: Any) -> Any:
    """W + W', with a loop counted once."""
    both = (matrix + matrix.T - sparse.diags_array(matrix.diagonal())).tocsr()
    both.eliminate_zeros()
    return both


def _giant(matrix: Any, directed: bool) -> tuple[Any, tuple[str, ...]]:
    """Nodes of the largest part of a graph, and words for what was left out."""
    total = matrix.shape[0]
    parts, labels = connected_components(matrix, directed=directed, connection="strong" if directed else "weak")
    kept = np.flatnonzero(labels == np.argmax(np.bincount(labels)))
    if len(kept) < 2:
        dead = int(np.sum(np.diff(matrix.indptr) == 0))
        why = "its edges lead from nodes to themselves alone"
        if directed:
            why = (
                "it has no cycle of directed edges, so that every walk ends or stays where it is "
                f"({dead} nodes have no edge that leaves them). Walk it undirected, or add edges back"
            )
        raise ValueError(f"nobody can walk on this graph of {total} nodes: {why}.")
    if parts == 1:
        return kept, ()
    inside = matrix[kept][:, kept].nnz
    words = "strongly connected " * directed
    return kept, (f"largest {words}part: {len(kept)} of {total} nodes, {inside} of {matrix.nnz} directed edges",)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
