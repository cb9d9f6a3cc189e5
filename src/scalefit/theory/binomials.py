"""Means over a binomial distribution, by the sum itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

Floats = NDArray[np.float64]

SPREAD = 10  # standard deviations that are summed over: beyond them there is less than 1e-20


def binomial_mean(function: Callable[[Floats], Floats], trials: int, share: float) -> float:
    """E[f(m)], m ~ Binom(trials, share), of a function that takes an array.

    Examples
    --------
    >>> round(binomial_mean(np.square, 100, 0.3), 9)  # 30^2 + 100 0.3 0.7
    921.0
    """
    mean, spread = trials * share, np.sqrt(trials * share * (1 - share))
    low, high = int(mean - SPREAD * spread - SPREAD), int(mean + SPREAD * spread + 2 * SPREAD)
    m = np.arange(max(low, 0), min(high, trials) + 1)
    return float(np.sum(binom.pmf(m, trials, share) * function(m.astype(float))))
