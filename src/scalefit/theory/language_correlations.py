"""Correlations of tokens over lags: their matrix, its strength, the noise floor, and the exponent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds

from .language_counting import Documents, documents_of, drawn, pair_counts
from .language_decays import DECADE, LEAST_UNITS, Decay, fit_decay, leading

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LAGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)  # not from the paper (values unknown): 15 from 1 to 200
PERMUTATIONS = 4  # not from the paper, which states a bound; the largest of them is the floor
ABOVE = 2.0  # floors that a strength must reach: chance lifts it there by some 7 %, topics up to twofold; ours
DENSE = 32  # tokens up to which a matrix is decomposed as a whole


@dataclass(frozen=True, eq=False)
class CorrelationMatrix:
    """C_k(i, j) = P(x_t = i, x_{t+k} = j) - P(x_t = i) P(x_{t+k} = j): sparse minus rank one, never made dense.

    Attributes
    ----------
    joint : (V, V) sparse array
        Shares of the pairs at the lag.

    Examples
    --------
    >>> two = CorrelationMatrix(sparse.csr_array([[0.4, 0.1], [0.1, 0.4]]))
    >>> round(two.strength(), 6), round(two.frobenius(), 6)
    (0.3, 0.3)
    """

    joint: sparse.csr_array

    @property
    def before(self) -> Floats:
        """(V,) shares of the earlier tokens of the pairs."""
        return np.asarray(self.joint.sum(axis=1), dtype=float).ravel()

    @property
    def after(self) -> Floats:
        """(V,) shares of the later tokens."""
        return np.asarray(self.joint.sum(axis=0), dtype=float).ravel()

    @property
    def operator(self) -> LinearOperator:
        """The matrix as what it does to a vector."""
        joint, before, after = self.joint, self.before, self.after
        transposed = joint.T.tocsr()
        return LinearOperator(
            joint.shape, dtype=np.float64,
            matvec=lambda v: joint @ np.ravel(v) - before * (after @ np.ravel(v)),
            rmatvec=lambda u: transposed @ np.ravel(u) - after * (before @ np.ravel(u)),
        )  # fmt: skip

    def strength(self, *, start: Floats | None = None, tolerance: float = 1e-9) -> float:
        """Largest singular value, the operator norm.

        Parameters
        ----------
        start : (V,) array, optional
            First guess of its left vector; a fixed random one by default.
        tolerance : float
            Relative.
        """
        return self.leading_pair(start=start, tolerance=tolerance)[0]

    def leading_pair(self, *, start: Floats | None = None, tolerance: float = 1e-9) -> tuple[float, Floats]:
        """Largest singular value, and its left vector."""
        size = self.joint.shape[0]
        if size <= DENSE:
            left, values, _ = np.linalg.svd(self.joint.toarray() - np.outer(self.before, self.after))
            return float(values[0]), left[:, 0]
        if self.frobenius() <= 1e-15:
            return 0.0, np.zeros(size)
        guess = np.random.default_rng(0).standard_normal(size) if start is None else start
        left, values, _ = svds(self.operator, k=1, v0=guess, tol=tolerance, ncv=min(size, 12))
        return float(values[0]), left[:, 0]

    def frobenius(self) -> float:
        """Root of the sum of the squared entries."""
        before, after = self.before, self.after
        square = np.sum(self.joint.data**2) - 2 * before @ (self.joint @ after) + before @ before * (after @ after)
        return float(np.sqrt(max(square, 0.0)))


@dataclass(frozen=True, repr=False, eq=False)
class Correlations:
    """Strengths of the correlations of tokens over lags, beside the noise floor.

    Attributes
    ----------
    lags : (L,) array of int
    strengths, frobenius : (L,) array
        Operator and Frobenius norms of C_k.
    floors : (L,) array
        Largest operator norm of several orders at random of the tokens of each document: what chance and the
        composition of documents alone give.
    draws : (B, L) array
        Strengths of resampled documents; nan at lags at the floor. No rows where there are under 10 documents.
    seed : int

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = correlations(rng.integers(3, size=4000), np.arange(0, 4001, 200), lags=(1, 2, 4))
    >>> found.above.any()
    np.False_
    >>> found.exponent().reason
    '0 of 3 places can be trusted, and a power law needs 3.'
    """

    lags: NDArray[np.int64]
    strengths: Floats
    frobenius: Floats
    floors: Floats
    draws: Floats
    seed: int

    @property
    def above(self) -> Bools:
        """(L,) lags whose strength is at least twice the floor, up to the first that is not."""
        return leading(self.strengths >= ABOVE * self.floors)

    def exponent(self, *, span: float = DECADE, level: float = 0.95) -> Decay:
        """Exponent beta of ||C_k|| ~ k^-beta over the lags above the floor [1]_, or why there is none.

        The floor says which lags count; nothing is taken off their strengths. What documents are about is in them, as
        in the paper's C_k, and makes beta smaller than that of the rest.

        Parameters
        ----------
        span : float
            Last lag over first that is needed.
        level : float
            Of the interval, by resampling documents.

        References
        ----------
        .. [1] arXiv:2602.07488, equation 7; the gates are ours.
        """
        return fit_decay(
            "beta", self.lags, self.strengths, used=self.above, draws=self.draws, span=span, level=level
        )  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """A row per lag: strength, Frobenius norm, floor, and whether it is above."""
        import pandas as pd

        columns = {"lag": self.lags, "strength": self.strengths, "frobenius": self.frobenius, "floor": self.floors}
        return pd.DataFrame({**columns, "above": self.above})

    def __repr__(self) -> str:
        return f"{self.exponent()!r}\n{self.to_frame().to_string(index=False, float_format=lambda v: f'{v:.3g}')}"


def correlation_matrix(tokens: Any, documents: Any = None, *, lag: int) -> CorrelationMatrix:
    """Matrix of the correlations of tokens at one lag, over the pairs within documents.

    Parameters
    ----------
    tokens : (n,) array of int
    documents : (m + 1,) array of int, optional
        Offsets; one document by default.
    lag : int, tokens

    Raises
    ------
    TypeError
        If tokens or offsets are not whole numbers.
    ValueError
        If the lag is below 1 or no document is longer, or tokens or offsets are out of range.

    Notes
    -----
    The two margins are those of the pairs themselves, so that rows and columns sum to zero; the paper's P(i) P(j) is
    their limit for documents much longer than the lag.

    Examples
    --------
    >>> matrix = correlation_matrix([0, 1, 0, 1, 0, 1, 0], lag=1)
    >>> matrix.strength()
    0.5
    """
    (checked,) = _whole_lags((lag,))
    return _matrix(documents_of(tokens, documents), checked)


def correlations(
    tokens: Any, documents: Any = None, *, lags: Sequence[int] = LAGS, permutations: int = PERMUTATIONS,
    resamples: int = 100, seed: int = 0,
) -> Correlations:  # fmt: skip
    """Strength of the correlations of tokens at every lag, the noise floor, and resamples by document.

    Parameters
    ----------
    tokens : (n,) array of int
        A memory map is read a group of documents at a time.
    documents : (m + 1,) array of int, optional
        Offsets; one document by default. What a document is about correlates its tokens at all lags alike; the floor
        keeps this, since each document is permuted by itself. Of one document the floor is that of all tokens.
    lags : sequence of int
        Rising.
    permutations : int
        Of which the largest strength is the floor.
    resamples : int
        Of groups of documents: each by itself up to 256, else 256 of neighbours. 0 for none.
    seed : int

    Raises
    ------
    TypeError
        If tokens or offsets are not whole numbers.
    ValueError
        If a lag or a number is out of range, no document is longer than a lag, or all tokens are one.

    References
    ----------
    .. [1] arXiv:2602.07488, equations 3 and 7.

    Examples
    --------
    >>> tokens = np.repeat(np.random.default_rng(0).integers(2, size=2000), 4)  # runs of four
    >>> found = correlations(tokens, np.arange(0, 8001, 400), lags=(1, 2, 3, 5))
    >>> found.strengths.round(2).tolist(), found.above.tolist()
    ([0.38, 0.25, 0.13, 0.0], [True, True, True, False])
    """
    given, places = documents_of(tokens, documents), _whole_lags(lags)
    for name, number, least in (("permutations", permutations, 1), ("resamples", resamples, 0)):
        if isinstance(number, bool) or number != int(number) or number < least:
            raise ValueError(f"{name} must be a whole number from {least} on, not {number!r}.")
    if given.vocabulary == 1:
        raise ValueError("all tokens are 0, so nothing can correlate. Give tokens of at least two kinds.")
    units = len(given.groups) - 1
    draws = np.full((resamples if units >= LEAST_UNITS else 0, len(places)), np.nan)
    floors, rows, still = _floors(given, places, permutations, seed), [], True
    for column, lag in enumerate(places):
        counts = pair_counts(given, lag)
        matrix = CorrelationMatrix(counts.joint(np.ones(units)))
        strength, vector = matrix.leading_pair()
        rows.append((strength, matrix.frobenius()))
        still = still and strength >= ABOVE * floors[column]
        for b in range(len(draws) if still else 0):
            weights = drawn(units, b, seed=seed)
            draws[b, column] = CorrelationMatrix(counts.joint(weights)).strength(start=vector, tolerance=1e-4)
    strengths, frobenius = np.array(rows).T
    return Correlations(np.array(places), strengths, frobenius, floors, draws, seed)


def _floors(documents: Documents, lags: Sequence[int], permutations: int, seed: int) -> Floats:
    """(L,) largest strength of several permutations, one of them in memory at a time."""
    found = np.zeros(len(lags))
    for number in range(permutations):
        shuffled = documents.permuted(seed=(seed, number))
        found = np.maximum(found, [_matrix(shuffled, lag).strength() for lag in lags])
    return found


def _matrix(documents: Documents, lag: int) -> CorrelationMatrix:
    counts = pair_counts(documents, lag)
    return CorrelationMatrix(counts.joint(np.ones(counts.counts.shape[0])))


def _whole_lags(lags: Sequence[int]) -> tuple[int, ...]:
    given = tuple(lags)
    wrong = [lag for lag in given if isinstance(lag, bool) or lag != int(lag) or lag < 1]
    if wrong or not given:
        raise ValueError(f"lags must be whole numbers from 1 on, but {wrong[0] if wrong else 'there is none'}.")
    if any(late <= early for early, late in pairwise(given)):
        raise ValueError(f"lags must rise, but they are {list(given)}.")
    return tuple(int(lag) for lag in given)
