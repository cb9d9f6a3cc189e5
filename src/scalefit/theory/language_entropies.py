"""Entropy of the next token by the length of its context, between two bounds or from losses; its exponent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .language_counting import Documents, documents_of, drawn
from .language_decays import DECADE, LEAST_UNITS, Decay, fit_decay, leading, refused

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FOLDS = 5  # of documents, each predicted from the others; ours
TIGHT = 0.05  # share of an entropy that its bounds may lie apart, which moves a slope over a decade by 0.02; ours
CERTAIN = 2.0  # standard errors of a fall that is one; ours


@dataclass(frozen=True, repr=False, eq=False)
class ConditionalEntropies:
    """H_n, entropy of a token after n tokens of context, in nats.

    Attributes
    ----------
    lengths : (n,) array of int
        Of the contexts.
    upper : (n,) array
        Cross-entropy of a model, which no entropy exceeds: the estimate, as in the paper.
    lower : (n,) array
        Plug-in entropy of the tokens themselves; nan where a model's losses were given.
    draws : (B, n) array
        `upper` of resampled documents.
    targets : int
        Tokens that were predicted, the same at every length; 0 if the losses were given without tokens.

    Examples
    --------
    >>> entropies = entropies_from_losses(3 * np.arange(1, 17) ** -0.3)
    >>> entropies.exponent()
    ok       gamma 0.3    x 1 to 16, 16 places    no interval: there are no documents to resample
    """

    lengths: Ints
    upper: Floats
    lower: Floats
    draws: Floats
    targets: int

    @property
    def trusted(self) -> Bools:
        """(n,) lengths from 1 on whose bounds are within 5 % of each other, up to the first that is not."""
        apart = np.where(np.isnan(self.lower), 0.0, self.upper - self.lower)
        return leading(apart <= TIGHT * self.upper) & (self.lengths > 0)

    def exponent(self, *, limit: float | None = 0.0, span: float = DECADE, level: float = 0.95) -> Decay:
        """Exponent gamma of H_n - H_inf ~ n^-gamma over the lengths that are trusted [1]_, or why there is none.

        Parameters
        ----------
        limit : float or None, nats
            H_inf; fitted if None. Whether the paper subtracts it is not known; 0 is ours.
        span : float
            Longest context over shortest that is needed; the paper took 3 for WikiText, below our gate.
        level : float
            Of the interval, by resampling documents.

        References
        ----------
        .. [1] arXiv:2602.07488, equation 6.
        """
        used = self.trusted
        found = fit_decay(
            "gamma", self.lengths[self.lengths > 0], self.upper[self.lengths > 0], used=used[self.lengths > 0],
            draws=self.draws[:, self.lengths > 0], limit=limit, span=span, level=level,
        )  # fmt: skip
        return found if found.refused or self._falls(used) else refused(found, self._flat(used))

    def _falls(self, used: Bools) -> bool:
        """Whether entropy falls in the later half of the lengths too, for certain."""
        middle, last = _halves(used, self.lengths)
        floor = self.upper[middle] if np.isnan(self.lower[middle]) else self.lower[middle]
        falls = self.draws[:, middle] - self.draws[:, last]
        noise = CERTAIN * float(falls.std(ddof=1)) if len(falls) > 1 else 0.0
        return bool(floor - self.upper[last] > noise)

    def _flat(self, used: Bools) -> str:
        middle, last = _halves(used, self.lengths)
        return (
            f"from {self.lengths[middle]} to {self.lengths[last]} tokens of context the entropy does not fall by more "
            "than its bounds and its noise, as of a chain whose memory has an end."
        )

    def to_frame(self) -> pd.DataFrame:
        """A row per length: both bounds, and whether it is trusted."""
        import pandas as pd

        columns = {"context": self.lengths, "lower": self.lower, "upper": self.upper, "trusted": self.trusted}
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        return f"{self.exponent()!r}\n{self.to_frame().to_string(index=False, float_format=lambda v: f'{v:.4g}')}"


def entropies_from_losses(
    losses: ArrayLike, *, lengths: ArrayLike | None = None, resamples: int = 100, seed: int = 0
) -> ConditionalEntropies:
    """Entropies from the losses of a trained model by length of context, which bound them from above.

    Parameters
    ----------
    losses : (n,) or (sequences, n) array, nats
        Loss of the token after so many tokens of context; of several sequences, means over them, which are resampled.
    lengths : (n,) array of int, optional
        From 1 to n by default.
    resamples : int
    seed : int

    Raises
    ------
    ValueError
        If a loss is not positive and finite, or lengths do not rise, or are not as many as the losses.

    Examples
    --------
    >>> entropies_from_losses([[2.0, 1.0], [4.0, 2.0]]).upper.tolist()
    [3.0, 1.5]
    """
    given = np.asarray(losses, dtype=float)
    if given.ndim not in (1, 2) or not given.size:
        raise ValueError(f"losses must be one list or a table, sequences by contexts, not of shape {given.shape}.")
    bad = ~(np.isfinite(given) & (given > 0))
    if bad.any():
        raise ValueError(f"losses must be positive and finite, but one is {given[bad][0]} ({bad.sum()} such losses).")
    rows = np.atleast_2d(given)
    places = np.arange(1, rows.shape[1] + 1) if lengths is None else np.asarray(lengths)
    if places.shape != rows.shape[1:] or places.dtype.kind not in "iu" or np.any(np.diff(places, prepend=-1) < 1):
        raise ValueError(
            f"lengths must be whole numbers from 0 on that rise, one for each of {rows.shape[1]} losses, not "
            f"{places.tolist()}."
        )
    number = resamples if len(rows) >= LEAST_UNITS else 0
    draws = np.array([drawn(len(rows), b, seed=seed) @ rows / len(rows) for b in range(number)])
    empty = draws.reshape(number, rows.shape[1])
    return ConditionalEntropies(places.astype(np.int64), rows.mean(axis=0), np.full(len(places), np.nan), empty, 0)


def conditional_entropies(
    tokens: Any, documents: Any, *, longest: int = 10, resamples: int = 100, seed: int = 0
) -> ConditionalEntropies:
    """Entropies of the next token after 0, 1, ... tokens of context, between two bounds.

    The plug-in entropy of the counts is too low where contexts are rare, at any n: conditional entropy is concave, so
    its mean is below H_n [1]_. The cross-entropy on documents that were not counted is above H_n for any model. Here
    the model is n-gram counts interpolated with those of shorter contexts [2]_; each fifth of the documents is
    predicted from the others. H_n cannot rise, so an upper bound holds for all longer contexts too.

    Parameters
    ----------
    tokens : (n,) array of int
        About 140 bytes of memory are needed per token: give a part of a large corpus.
    documents : (m + 1,) array of int
        Offsets of at least five documents.
    longest : int, tokens
        Longest context. Only tokens with so many before them in their document are predicted, at every length.
    resamples : int
        Of documents, or of groups of them, as in `correlations`; 0 for none.
    seed : int
        Of resamples, and of which documents are predicted together.

    Raises
    ------
    TypeError
        If tokens or offsets are not whole numbers.
    ValueError
        If there are fewer than five documents with a token to predict, or a number is out of range.

    References
    ----------
    .. [1] Paninski 2003, Estimation of entropy and mutual information, Neural Computation 15, 1191-1253.
    .. [2] Witten and Bell 1991, The zero-frequency problem, IEEE Transactions on Information Theory 37, 1085-1094.

    Examples
    --------
    >>> tokens = np.tile([0, 0, 1], 400)
    >>> found = conditional_entropies(tokens, np.arange(0, 1201, 60), longest=2)
    >>> found.lower.round(3).tolist()
    [0.644, 0.466, 0.0]
    """
    if isinstance(longest, bool) or longest != int(longest) or longest < 1:
        raise ValueError(f"longest must be a whole number of tokens from 1 on, not {longest!r}.")
    given = documents_of(tokens, documents)
    text = given.part(0, len(given))
    place, owner = _targets(text, int(longest))
    fold = _folds(owner, len(text), seed)
    units = len(given.groups) - 1
    unit = np.searchsorted(given.groups, owner, side="right") - 1
    number = np.bincount(unit, minlength=units).astype(float)
    chance, lower, sums = np.full(len(place), 1.0 / text.vocabulary), [], []
    for context, whole in _contexts(text, place, int(longest)):
        seen = np.bincount(whole)[whole] / np.bincount(context)[context]
        lower.append(float(np.mean(-np.log(seen))))
        chance = _interpolated(chance, context, whole, fold)
        sums.append(np.bincount(unit, weights=-np.log(chance), minlength=units))
    summed = np.array(sums).T
    weights = [drawn(units, b, seed=seed) for b in range(resamples if units >= LEAST_UNITS else 0)]
    draws = np.array([w @ summed / (w @ number) for w in weights]).reshape(len(weights), summed.shape[1])
    upper = np.minimum.accumulate(summed.sum(axis=0) / len(place))
    lengths = np.arange(int(longest) + 1)
    return ConditionalEntropies(lengths, upper, np.array(lower), np.minimum.accumulate(draws, axis=1), len(place))


def _targets(text: Documents, longest: int) -> tuple[Ints, Ints]:
    """Places of the tokens that are predicted, and the document of each."""
    owner = np.repeat(np.arange(len(text)), text.lengths)
    place = np.flatnonzero(np.arange(len(owner)) - text.offsets[owner] >= longest)
    holding = len(np.unique(owner[place]))
    if holding < FOLDS:
        raise ValueError(
            f"{holding} of {len(text)} documents are longer than longest={longest} tokens, and {FOLDS} are needed, to "
            "predict each part from the others. Give offsets of more documents, or a shorter context."
        )
    return place, owner[place]


def _folds(owner: Ints, documents: int, seed: int) -> Ints:
    """Fold of each target: documents that have any are dealt out in random order."""
    having, fold = np.unique(owner), np.zeros(documents, dtype=np.int64)
    fold[np.random.default_rng(seed).permutation(having)] = np.arange(len(having)) % FOLDS
    return fold[owner]


def _contexts(text: Documents, place: Ints, longest: int) -> Iterator[tuple[Ints, Ints]]:
    """Number of the context of each target, and of context and token together, for every length."""
    context = np.zeros(len(place), dtype=np.int64)
    for length in range(longest + 1):
        if length:
            context = _numbered(context * text.vocabulary + text.tokens[place - length])
        yield context, _numbered(context * text.vocabulary + text.tokens[place])


def _numbered(codes: Ints) -> Ints:
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _interpolated(shorter: Floats, context: Ints, whole: Ints, fold: Ints) -> Floats:
    """Probability of each target, (c(x) + T p) / (c + T): p that of the shorter context, T kinds of followers."""
    chance = np.empty_like(shorter)
    kinds, contexts = int(whole.max()) + 1, int(context.max()) + 1
    parent = np.empty(kinds, dtype=np.int64)
    parent[whole] = context
    for number in range(FOLDS):
        asked, told = fold == number, fold != number
        counts = np.bincount(whole[told], minlength=kinds)
        followed = np.bincount(parent, weights=counts, minlength=contexts)
        followers = np.bincount(parent[counts > 0], minlength=contexts)
        at = context[asked]
        mixed = counts[whole[asked]] + followers[at] * shorter[asked]
        total = followed[at] + followers[at]
        chance[asked] = np.where(total > 0, mixed / np.maximum(total, 1), shorter[asked])
    return chance


def _halves(used: Bools, lengths: Ints) -> tuple[int, int]:
    """Places of the length nearest to the middle of the trusted ones, by ratio, and of the last."""
    places = np.flatnonzero(used)
    logs = np.log(lengths[places])
    return int(places[np.argmin(np.abs(logs - (logs[0] + logs[-1]) / 2))]), int(places[-1])
