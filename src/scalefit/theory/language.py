"""Statistics of a corpus that predict how loss falls with data: correlations, entropies, their exponents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .language_correlations import LAGS, Correlations, correlations
from .language_correlations import CorrelationMatrix as CorrelationMatrix
from .language_correlations import correlation_matrix as correlation_matrix
from .language_decays import DECADE, Decay
from .language_decays import fit_decay as fit_decay
from .language_entropies import ConditionalEntropies, conditional_entropies, entropies_from_losses

#: (exponent, what follows -+) of gamma and beta that arXiv 2602.07488 measured, by BPE tokens of a vocabulary of 8192.
PUBLISHED = {
    "TinyStories": {"gamma": (0.325, 0.003), "beta": (0.88, 0.06)},
    "WikiText-103": {"gamma": (0.265, 0.016), "beta": (0.94, 0.16)},
}


@dataclass(frozen=True, repr=False)
class DataExponent:
    """Predicted exponent of loss over training tokens, gamma / (2 beta), or why there is none.

    Attributes
    ----------
    value, standard_error, low, high : float
        nan where refused; the last three also where an exponent has no interval.
    level : float
    reason : str
        Empty if it is not refused.

    Examples
    --------
    >>> data_exponent(0.3, 0.8)
    ok       data exponent gamma / (2 beta) = 0.1875    no interval: there are no documents to resample
    """

    value: float
    standard_error: float
    low: float
    high: float
    level: float
    reason: str = ""

    @property
    def refused(self) -> bool:
        """Whether there is a reason, and no number."""
        return bool(self.reason)

    def __repr__(self) -> str:
        if self.refused:
            return f"REFUSED  data exponent gamma / (2 beta): {self.reason}"
        ends = (
            "no interval: there are no documents to resample"
            if np.isnan(self.standard_error)
            else f"{100 * self.level:g} % [{self.low:.3f}, {self.high:.3f}]  standard error {self.standard_error:.2g}"
        )
        return f"ok       data exponent gamma / (2 beta) = {self.value:.4g}    {ends}"


def data_exponent(
    gamma: float, beta: float, *, gamma_error: float = float("nan"), beta_error: float = float("nan"),
    covariance: float = 0.0, level: float = 0.95,
) -> DataExponent:  # fmt: skip
    """Exponent of L(P) - H_inf ~ P^-(gamma / (2 beta)) in training tokens P, for a model that learns fast [1]_.

    Parameters
    ----------
    gamma : float
        Of conditional entropies over the length of context.
    beta : float
        Of the strength of correlations over lags.
    gamma_error, beta_error : float
        Standard errors, carried over to first order.
    covariance : float
        Of the two.
    level : float
        Of the interval.

    Raises
    ------
    ValueError
        If an exponent is not positive and finite, or the level no share.

    Notes
    -----
    P tokens show correlations down to P^-1/2, so lags up to P^(1 / (2 beta)). The loss is the entropy at that context,
    if what is seen is learnt faster than more comes into sight, the context of the model is much longer, and its
    size is no limit. The paper tested this below 10^8 tokens.

    References
    ----------
    .. [1] arXiv:2602.07488, equation 8; there the exponent is alpha_D.

    Examples
    --------
    >>> gamma, beta = PUBLISHED["TinyStories"].values()
    >>> data_exponent(gamma[0], beta[0], gamma_error=gamma[1], beta_error=beta[1])
    ok       data exponent gamma / (2 beta) = 0.1847    95 % [0.160, 0.210]  standard error 0.013
    """
    for name, value in (("gamma", gamma), ("beta", beta)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, but it is {value}.")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, such as 0.95, not {level!r}.")
    value = gamma / (2 * beta)
    relative = (gamma_error / gamma) ** 2 + (beta_error / beta) ** 2 - 2 * covariance / (gamma * beta)
    error = value * float(np.sqrt(max(relative, 0.0) if relative == relative else np.nan))
    reach = float(stats.norm.ppf(0.5 + level / 2)) * error
    return DataExponent(value, error, value - reach, value + reach, level)


@dataclass(frozen=True, repr=False, eq=False)
class LanguageStatistics:
    """Correlations, conditional entropies and what they predict; printed with each verdict before its numbers.

    Attributes
    ----------
    correlations : Correlations
    entropies : ConditionalEntropies
    beta, gamma : Decay
    data_exponent : DataExponent
        Refused where one of the two is.
    """

    correlations: Correlations
    entropies: ConditionalEntropies
    beta: Decay
    gamma: Decay
    data_exponent: DataExponent

    @property
    def refused(self) -> bool:
        """Whether no data exponent is predicted."""
        return self.data_exponent.refused

    def to_dict(self) -> dict[str, Any]:
        """Exponents as plain values, nan where refused."""
        return {
            "data_exponent": vars(self.data_exponent), "beta": self.beta.to_dict(), "gamma": self.gamma.to_dict()
        }  # fmt: skip

    def __repr__(self) -> str:
        lines = [repr(self.data_exponent), repr(self.gamma), repr(self.beta)]
        for frame in (self.correlations.to_frame(), self.entropies.to_frame()):
            lines += ["", frame.to_string(index=False, float_format=lambda value: f"{value:.4g}")]
        return "\n".join(lines)


def language_statistics(
    tokens: Any, documents: Any, *, lags: Sequence[int] = LAGS, longest: int = 10, losses: ArrayLike | None = None,
    span: float = DECADE, level: float = 0.95, resamples: int = 100, seed: int = 0,
) -> LanguageStatistics:  # fmt: skip
    """Exponents of correlations and of conditional entropies of a corpus, and the data exponent that they predict.

    Parameters
    ----------
    tokens : (n,) array of int
    documents : (m + 1,) array of int
        Offsets.
    lags : sequence of int
        Of correlations.
    longest : int
        Longest context of the entropies that are counted, where no losses are given.
    losses : (n,) or (sequences, n) array, optional
        Losses of a trained model after 1, 2, ... tokens of context, instead of counts: as the paper measured gamma.
    span : float
        What a power law must span at least, last place over first, in lags and in lengths of context.
    level : float
        Of the intervals.
    resamples, seed : int
        Of documents; correlations and counted entropies share them, so that their errors may be correlated.

    Raises
    ------
    TypeError, ValueError
        As `correlations`, `conditional_entropies` and `entropies_from_losses`.

    References
    ----------
    .. [1] arXiv:2602.07488.

    Examples
    --------
    >>> coin = np.random.default_rng(0).integers(2, size=5000)
    >>> found = language_statistics(coin, np.arange(0, 5001, 250), lags=(1, 2, 4, 8, 16), longest=3)
    >>> found.refused, found.data_exponent.value
    (True, nan)
    """
    seen = correlations(tokens, documents, lags=lags, resamples=resamples, seed=seed)
    if losses is None:
        entropies = conditional_entropies(tokens, documents, longest=longest, resamples=resamples, seed=seed)
    else:
        entropies = entropies_from_losses(losses, resamples=resamples, seed=seed)
    beta, gamma = seen.exponent(span=span, level=level), entropies.exponent(span=span, level=level)
    missing = " and ".join(f"no {found.name}" for found in (gamma, beta) if found.refused)
    if missing:
        nan = float("nan")
        predicted = DataExponent(nan, nan, nan, nan, level, f"there is {missing}; see there.")
    else:
        predicted = data_exponent(
            gamma.exponent, beta.exponent, gamma_error=gamma.standard_error, beta_error=beta.standard_error,
            covariance=_covariance(gamma, beta) if losses is None else 0.0, level=level,
        )  # fmt: skip
    return LanguageStatistics(seen, entropies, beta, gamma, predicted)


def _covariance(gamma: Decay, beta: Decay) -> float:
    """Of the exponents over the resamples that have both; 0 without such."""
    pairs = np.array([gamma.draws, beta.draws])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    return float(np.cov(pairs)[0, 1]) if pairs.shape[1] > 1 else 0.0
