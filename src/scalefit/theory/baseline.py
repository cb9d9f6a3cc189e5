"""The counting baseline: the loss of a model that counts, over one distribution or a walk; the law of a walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from scipy.special import entr

from ..formula import Law

if TYPE_CHECKING:
    from ..table import LossTable

Floats = NDArray[np.float64]
Losses: TypeAlias = Literal["cross_entropy", "squared_error"]

SUMS_TO_1 = 1e-9  # of probabilities, as typed or computed
SAME_LOSS = 1e-5  # relative, of losses in a table that may have been rounded
SETTLED = 1e-14  # of a law, total variation from one step to the next
MOST_STEPS = 10_000  # of power iteration, about a second on a small graph; slower walks are solved directly


@dataclass(frozen=True)
class CountingBaseline(Law):
    """Loss L(D) = H + c / D of counting on D tokens: a law of tokens, to be drawn beside measured ones.

    Attributes
    ----------
    entropy : float, nats per token
        H, what is left with all data: the entropy, or entropy rate, for the cross-entropy; 0 for the squared error.
    coefficient : float, nats
        c. For the cross-entropy half the numbers that there are to be learnt.

    Examples
    --------
    >>> CountingBaseline(entropy=2.0, coefficient=50.0)(1000)
    2.05
    """

    entropy: float
    coefficient: float
    inputs: ClassVar = ("tokens",)

    @classmethod
    def bounds_for(cls, X: Floats, y: Floats) -> dict[str, tuple[float, float]]:
        """H below the middle of the losses, c up to where it alone makes the largest loss (our choice)."""
        return {
            "entropy": (0.0, float(y.min() + y.max()) / 2),
            "coefficient": (1e-9 * float(y.max() * X.min()), float(y.max() * X.max())),
        }

    def value(self, *columns: Any) -> Any:
        """Loss after that many tokens, an array."""
        if not np.all(columns[0] > 0):
            raise ValueError(f"tokens must be positive, but the least is {np.min(columns[0]):g}.")
        return self.entropy + self.coefficient / columns[0]


def counting_estimate(probabilities: ArrayLike, *, loss: Losses = "cross_entropy") -> CountingBaseline:
    """Counting baseline of independent draws from one distribution [1]_.

    The shares of D draws scatter by p_k (1 - p_k) / D around p_k (Eq. 14). The squared error, summed over k, is
    (1 - sum p_k^2) / D (Eq. 17), exactly. The cross-entropy is H + (K - 1) / (2 D) to leading order in 1 / D for K
    outcomes (Eq. 20); with its smoothing, and exactly, it is `expected_loss`.

    Parameters
    ----------
    probabilities : (K,) array
        They add up to 1; outcomes without any are impossible, and the model knows that.
    loss : {"cross_entropy", "squared_error"}

    Returns
    -------
    CountingBaseline

    Raises
    ------
    ValueError
        If the probabilities are negative, not finite, or do not add up to 1; if the loss is neither.

    References
    ----------
    .. [1] arXiv:2601.10684, appendix C.

    Examples
    --------
    >>> counting_estimate([0.5, 0.25, 0.25], loss="squared_error")
    CountingBaseline(entropy=0.0, coefficient=0.625)
    >>> counting_estimate([0.5, 0.25, 0.25]).coefficient
    1.0
    """
    p = distribution(probabilities)
    if known(loss) == "squared_error":
        return CountingBaseline(entropy=0.0, coefficient=float(1 - np.sum(p**2)))
    return CountingBaseline(entropy=float(entr(p).sum()), coefficient=(len(p) - 1) / 2)


def counting_baseline(adjacency: Any, *, loss: Losses = "cross_entropy") -> CountingBaseline:
    """Counting baseline of the walk with P_ij = W_ij / sum_k W_ik.

    A model that knows which transitions are possible estimates P_ij by how often it saw i followed by j. At each node
    its expected divergence is (k_i - 1) / (2 D_i) for k_i edges and D_i visits [1]_. About D pi_i of D transitions are
    visits to i, and the stationary law pi_i is also how often the loss of i counts, so it cancels:

        L(D) = sum_i pi_i H(P_i) + (directed edges - nodes) / (2 D),

    which is ``(2 |E| - |V|) / (2 D)`` above the entropy of an undirected graph without loops. The squared error,
    sum_i pi_i sum_j (estimate - P_ij)^2, is in the same way (nodes - sum_ij P_ij^2) / D.

    Parameters
    ----------
    adjacency : (n, n) sparse array
        W, weights of the edges; symmetric for an undirected graph, of which each edge is stored twice.
    loss : {"cross_entropy", "squared_error"}

    Returns
    -------
    CountingBaseline

    Raises
    ------
    ValueError
        If it is not square, an entry is negative or not finite, or some node cannot be reached from some other; if
        the loss is neither.

    Notes
    -----
    The leading order in 1 / D, for D well above the number of edges. The plain estimate is infinite where a possible
    transition was not seen; adding any constant to the counts of the possible ones, such as 1/2, mends that and has
    the same leading order: `scalefit.theory.counting` has it explicit. A walk of finite length that starts elsewhere
    has its own floor in the place of the entropy, and the same coefficient.

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
    kind, (transitions, law) = known(loss), walk(adjacency)
    if kind == "squared_error":
        return CountingBaseline(entropy=0.0, coefficient=float(transitions.shape[0] - np.sum(transitions.data**2)))
    entropies = transitions.copy()
    entropies.data = entr(entropies.data)
    return CountingBaseline(
        entropy=float(law @ np.asarray(entropies.sum(axis=1)).ravel()),
        coefficient=(transitions.nnz - transitions.shape[0]) / 2,
    )


def baseline_of(runs: LossTable) -> CountingBaseline:
    """Counting baseline of the walks that runs were trained on, read off their own columns.

    A table of `scaletrain` has in each row `loss_floor`, H of walks of that length, and `loss_counting`, H + c / D.

    Parameters
    ----------
    runs : LossTable
        Of one graph and one length of walks.

    Returns
    -------
    CountingBaseline

    Raises
    ------
    ValueError
        If the table is not one of walks, or no single baseline has the losses of all its rows.

    Examples
    --------
    >>> import pandas as pd
    >>> import scalefit as sf
    >>> frame = pd.DataFrame({"tokens": [1e3, 1e4], "loss": 2.7, "loss_floor": 2.0, "loss_counting": [2.5, 2.05]})
    >>> baseline_of(sf.LossTable.from_frame(frame))
    CountingBaseline(entropy=2.0, coefficient=500.0)
    """
    missing = [name for name in ("tokens", "loss_floor", "loss_counting") if name not in runs]
    if missing:
        raise ValueError(f"the table has no {' and no '.join(missing)}: these columns are of runs on walks alone.")
    tokens, floor, counting = (
        np.asarray(runs[name], dtype=float) for name in ("tokens", "loss_floor", "loss_counting")
    )
    empty = int(np.sum(~np.isfinite(floor + counting)))
    if empty == len(tokens):
        raise ValueError(
            f"loss_floor or loss_counting is empty in all {empty} rows: these runs are on text or on samples, and "
            "counting has a loss on walks over a graph alone."
        )
    if empty:
        raise ValueError(
            f"loss_floor or loss_counting is empty in {empty} of {len(tokens)} rows, as of runs on text: counting has "
            "a loss on walks over a graph alone. Select these with table.where('...')."
        )
    first = int(np.argmin(tokens))  # where counting is farthest from its floor, and so has most digits
    made = CountingBaseline(float(floor[first]), float((counting[first] - floor[first]) * tokens[first]))
    other = ~(np.isclose(floor, made.entropy, rtol=SAME_LOSS) & np.isclose(counting, made(tokens), rtol=SAME_LOSS))
    if other.any():
        raise ValueError(
            f"{other.sum()} of {len(tokens)} rows have another loss of counting than the others: runs on several "
            "graphs, or on walks of several lengths. Select one with table.where('...')."
        )
    return made


def walk(adjacency: Any) -> tuple[Any, Floats]:
    """Transitions P of a checked graph, as CSR, and their stationary law."""
    weights = _checked(adjacency)
    totals = np.asarray(weights.sum(axis=1)).ravel()
    transitions = sparse.csr_array(sparse.diags_array(1 / totals) @ weights)
    symmetric = (weights != weights.T).nnz == 0
    return transitions, totals / totals.sum() if symmetric else stationary_law(transitions)


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


def distribution(probabilities: ArrayLike) -> Floats:
    """The positive ones, checked."""
    p = np.asarray(probabilities, dtype=float)
    if p.ndim != 1:
        raise ValueError(f"probabilities are a row of numbers, but of shape {p.shape}.")
    bad = ~((p >= 0) & np.isfinite(p))
    if bad.any():
        raise ValueError(f"probabilities are finite and from 0 on, but one is {p[bad][0]:g} ({bad.sum()} such).")
    if abs(p.sum() - 1) > SUMS_TO_1:
        raise ValueError(f"probabilities add up to 1, but they add up to {p.sum():.12g}. Divide them by their sum.")
    return np.asarray(p[p > 0] / p.sum())


def known(loss: Losses) -> Losses:
    """The loss, if it is one of the two."""
    if loss not in ("cross_entropy", "squared_error"):
        raise ValueError(f'loss is "cross_entropy" or "squared_error", not {loss!r}.')
    return loss
