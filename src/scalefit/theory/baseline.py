"""The counting baseline: the loss of a model that counts the transitions of a walk; the stationary law of a walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from scipy.special import entr

Floats = NDArray[np.float64]

SETTLED = 1e-14  # of a law, total variation from one step to the next
MOST_STEPS = 10_000  # of power iteration, about a second on a small graph; slower walks are solved directly


@dataclass(frozen=True)
class CountingBaseline:
    """Loss L(D) = H + c / D of counting on D transitions of a walk over a graph.

    Attributes
    ----------
    entropy : float, nats per token
        H, the entropy rate of the walk.
    coefficient : float, nats
        c = (directed edges - nodes) / 2: half the numbers that there are to be learnt.

    Examples
    --------
    >>> CountingBaseline(entropy=2.0, coefficient=50.0)(1000)
    2.05
    """

    entropy: float
    coefficient: float

    def __call__(self, tokens: Any) -> Any:
        """Loss after that many transitions, a float or an array."""
        counts = np.asarray(tokens, dtype=float)
        if not np.all(counts > 0):
            raise ValueError(f"tokens must be positive, but the least is {np.min(counts):g}.")
        return self.entropy + self.coefficient / (counts if counts.ndim else float(counts))


def counting_baseline(adjacency: Any) -> CountingBaseline:
    """Counting baseline of the walk with P_ij = W_ij / sum_k W_ik.

    A model that knows which transitions are possible estimates P_ij by how often it saw i followed by j. At each node
    its expected divergence is (k_i - 1) / (2 D_i) for k_i edges and D_i visits [1]_. About D pi_i of D transitions are
    visits to i, and the stationary law pi_i is also how often the loss of i counts, so it cancels:

        L(D) = sum_i pi_i H(P_i) + (directed edges - nodes) / (2 D),

    which is ``(2 |E| - |V|) / (2 D)`` above the entropy of an undirected graph without loops.

    Parameters
    ----------
    adjacency : (n, n) sparse array
        W, weights of the edges; symmetric for an undirected graph, of which each edge is stored twice.

    Returns
    -------
    CountingBaseline

    Raises
    ------
    ValueError
        If it is not square, an entry is negative or not finite, or some node cannot be reached from some other.

    Notes
    -----
    The leading order in 1 / D, for D well above the number of edges. The plain estimate is infinite where a possible
    transition was not seen; adding any constant to the counts of the possible ones, such as 1/2, mends that and has
    the same leading order. A walk of finite length that starts elsewhere has its own floor in the place of the
    entropy, and the same coefficient.

    References
    ----------
    .. [1] arXiv:2601.10684, appendix C, equations 20 to 22.

    Examples
    --------
    >>> from scipy import sparse
    >>> baseline = counting_baseline(sparse.csr_array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    >>> baseline.coefficient, round(baseline.entropy, 6), round(baseline(1500), 6)
    (1.5, 0.693147, 0.694147)
    """
    weights = _checked(adjacency)
    totals = np.asarray(weights.sum(axis=1)).ravel()
    transitions = sparse.diags_array(1 / totals) @ weights
    symmetric = (weights != weights.T).nnz == 0
    law = totals / totals.sum() if symmetric else stationary_law(transitions)
    transitions.data = entr(transitions.data)
    return CountingBaseline(
        entropy=float(law @ np.asarray(transitions.sum(axis=1)).ravel()),
        coefficient=(weights.nnz - weights.shape[0]) / 2,
    )


def stationary_law(transitions: Any) -> Floats:
    """The (n,) distribution that a step leaves as it is; of a walk with periods, the mean over one.

    By power iteration; where that does not settle in 10,000 steps, by a sparse factorisation.

    Parameters
    ----------
    transitions : (n, n) sparse array
        P, whose rows sum to 1; every node is reached from every other.

    Examples
    --------
    >>> from scipy import sparse
    >>> stationary_law(sparse.csr_array([[0.5, 0.5], [1.0, 0.0]])).round(6)
    array([0.666667, 0.333333])
    """
    transposed = transitions.T.tocsr()
    nodes = transposed.shape[0]
    law = np.full(nodes, 1 / nodes)
    for _ in range(MOST_STEPS):
        stepped = 0.5 * (law + transposed @ law)  # the lazy walk has the same law and no periods
        if np.abs(stepped - law).sum() < SETTLED:
            return np.asarray(stepped / stepped.sum())
        law = stepped
    # (I - P') pi = 0 with pi_0 = 1: an M-matrix, so that elimination loses no digits
    system = (sparse.eye_array(nodes) - transposed).tocsc()
    law = np.concatenate([[1.0], splu(system[1:, 1:]).solve(-system[1:, [0]].toarray().ravel())])
    return np.asarray(law / law.sum())


def _checked(adjacency: Any) -> Any:
    """Weights as a CSR array of floats without stored zeros."""
    weights = sparse.csr_array(adjacency, dtype=float, copy=True)
    if weights.shape[0] != weights.shape[1] or not weights.shape[0]:
        raise ValueError(f"an adjacency is square, a row and a column per node, but its shape is {weights.shape}.")
    weights.sum_duplicates()
    weights.eliminate_zeros()
    bad = ~(np.isfinite(weights.data) & (weights.data > 0))
    if bad.any():
        raise ValueError(
            f"weights are positive and finite, but one is {weights.data[bad][0]:g} ({bad.sum()} such edges)."
        )
    parts, _ = connected_components(weights, directed=True, connection="strong")
    if parts > 1 or not weights.nnz:
        raise ValueError(
            f"a walk must be able to go from every node to every other, but the graph has {parts} parts between which "
            "there is no way back, or no edge. Keep its largest strongly connected part."
        )
    return weights
