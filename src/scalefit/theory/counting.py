"""What counting costs beyond its leading order: exactly for one distribution, by simulated walks for a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .baseline import Losses, distribution, known, walk
from .binomials import binomial_mean
from .guards import positive_array, whole

Floats = NDArray[np.float64]

SMOOTHING = 0.5  # not from the paper; where all is seen often, its next order is smaller than that of 0 or 1


def expected_loss(
    probabilities: ArrayLike, tokens: ArrayLike, *, smoothing: float = SMOOTHING, loss: Losses = "cross_entropy"
) -> Any:
    """Expected loss of the estimate (n_k + s) / (D + s K) after D draws, exactly, by its binomial sums.

    Parameters
    ----------
    probabilities : (K,) array
        As in `counting_estimate`.
    tokens : whole number or (m,) array of them
        D.
    smoothing : float
        s, added to the count of every possible outcome. Without it, 0, the cross-entropy is infinite.
    loss : {"cross_entropy", "squared_error"}

    Returns
    -------
    float or (m,) array, as tokens are

    Raises
    ------
    ValueError
        If tokens are not positive whole numbers, or smoothing is negative.

    Examples
    --------
    From fifty draws per outcome on, H + c / D is as good:

    >>> from scalefit.theory.baseline import counting_estimate
    >>> p = [0.4, 0.3, 0.2, 0.1]
    >>> round(expected_loss(p, 200), 5), round(counting_estimate(p)(200), 5)
    (1.28733, 1.28735)
    """
    p, kind = distribution(probabilities), known(loss)
    counts = positive_array("tokens", tokens, whole=True)
    s = _smoothing(smoothing)
    expected = _expected_squares if kind == "squared_error" else _expected_cross_entropy
    found = np.array([expected(p, int(count), s) for count in counts.ravel()]).reshape(counts.shape)
    return found if found.ndim else float(found)


def _expected_squares(p: Floats, D: int, s: float) -> float:
    """Variance and squared bias of (n + s) / (D + s K)."""
    return float(np.sum(D * p * (1 - p) + s**2 * (1 - len(p) * p) ** 2) / (D + s * len(p)) ** 2)


def _expected_cross_entropy(p: Floats, D: int, s: float) -> float:
    if len(p) == 1:
        return 0.0
    if s == 0:
        return float(np.inf)  # every possible outcome may stay unseen
    logs = [binomial_mean(lambda count: np.log(count + s), D, share) for share in p]
    return float(np.log(D + s * len(p)) - p @ np.array(logs))


def counted_losses(
    adjacency: Any,
    tokens: int,
    *,
    models: int = 20,
    smoothing: float = SMOOTHING,
    loss: Losses = "cross_entropy",
    seed: int = 0,
) -> Floats:
    """Losses of models that count the transitions of one walk each: a check of H + c / D by simulation.

    A model estimates P_ij by (n_ij + s) / (n_i + s k_i) over the k_i possible transitions of node i; of a node
    without counts it knows nothing, and takes them for equal. Its loss is over the stationary law.

    Parameters
    ----------
    adjacency : (n, n) sparse array
        As in `counting_baseline`.
    tokens : int
        D, transitions of each walk, which starts by the stationary law.
    models : int
        Walks.
    smoothing : float
        s. Without it, 0, the cross-entropy of a model that missed a possible transition is infinite.
    loss : {"cross_entropy", "squared_error"}
    seed : int

    Returns
    -------
    (models,) array

    Raises
    ------
    ValueError
        If tokens or models are below 1, smoothing is negative, or the adjacency is refused.

    Examples
    --------
    >>> from scipy import sparse
    >>> from scalefit.theory.baseline import counting_baseline
    >>> ring = sparse.csr_array(np.roll(np.eye(5), 1, axis=1) + np.roll(np.eye(5), -1, axis=1))
    >>> losses = counted_losses(ring, 2000, models=200)
    >>> round(float(losses.mean()), 5), round(counting_baseline(ring)(2000), 5)
    (0.6943, 0.6944)
    """
    D, walks = whole("tokens", tokens, least=1), whole("models", models, least=1)
    kind, s, (transitions, law) = known(loss), _smoothing(smoothing), walk(adjacency)
    degrees = np.diff(transitions.indptr)
    sources = np.repeat(np.arange(len(degrees)), degrees)
    counts = _walk_counts(transitions, law, D, walks, np.random.default_rng(seed)) + s
    totals = np.add.reduceat(counts, transitions.indptr[:-1], axis=1)[:, sources]
    with np.errstate(divide="ignore", invalid="ignore"):
        estimates = np.where(totals > 0, counts / totals, 1 / degrees[sources])
        if kind == "squared_error":
            return np.asarray((estimates - transitions.data) ** 2 @ law[sources])
        return np.asarray(-np.log(estimates) @ (law[sources] * transitions.data))


def _walk_counts(transitions: Any, law: Floats, tokens: int, models: int, rng: np.random.Generator) -> Floats:
    """(models, edges) how often each walk took each edge."""
    ends = np.cumsum(transitions.data)
    ends += np.repeat(
        np.arange(len(law)) - np.insert(ends, 0, 0.0)[transitions.indptr[:-1]], np.diff(transitions.indptr)
    )
    at, counts = rng.choice(len(law), size=models, p=law), np.zeros((models, transitions.nnz))
    last = transitions.indptr[1:] - 1
    for _ in range(tokens):
        # node i owns the interval from i to i + 1, in which its edges end where their shares add up to
        edge = np.minimum(np.searchsorted(ends, at + rng.random(models), side="right"), last[at])
        counts[np.arange(models), edge] += 1
        at = transitions.indices[edge]
    return counts


def _smoothing(smoothing: float) -> float:
    if not 0 <= smoothing < np.inf:
        raise ValueError(f"smoothing must be finite and not negative, but it is {smoothing}.")
    return float(smoothing)
