"""What one law needs to reach the loss that another reaches: laws of one quantity, asked for losses and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .laws import SeparableLaw

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OneLaw:
    """E + exp(log_K - gamma g(x)), in arrays over refits: a law of one input, or the best that a budget buys.

    For E + A N^-alpha + B D^-beta and C = 6 N D the loss of the best model of a budget is itself such a law, with
    gamma = alpha beta / (alpha + beta) [1]_.

    References
    ----------
    .. [1] arXiv:2203.15556, Eq. 4: N_opt = G (C / 6)^(beta / (alpha + beta)), G = (alpha A / (beta B))^(1 / (alpha +
       beta)), put into Eq. 2.

    Examples
    --------
    >>> from .laws import HOFFMANN_2022, Chinchilla
    >>> best = law_of_one(Chinchilla, ("params", "tokens"), HOFFMANN_2022.to_dict())
    >>> loss = best.loss(5.76e23)
    >>> loss.round(4).tolist(), bool(np.isclose(np.exp(best.log_needed(loss)), 5.76e23))
    ([1.9307], True)
    """

    E: Floats
    log_K: Floats
    gamma: Floats
    log: bool  # g is the logarithm, else x itself

    def loss(self, x: float) -> Floats:
        """Loss at x, nats per token."""
        g = np.log(x) if self.log else x
        return np.asarray(self.E + np.exp(self.log_K - self.gamma * g))

    def log_needed(self, loss: Floats | float) -> Floats:
        """Logarithm of the x at which the law falls to a loss: infinite at or below E, nan above the loss at x = 0."""
        above = np.maximum(loss - self.E, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            g = (self.log_K - np.log(above)) / self.gamma
            needed = g if self.log else np.log(np.where(g > 0, g, np.nan))
        # a loss that is itself nan is none
        return np.asarray(np.where(np.isfinite(loss), needed, np.nan))


def law_of_one(law: type[SeparableLaw], inputs: tuple[str, ...], numbers: Mapping[str, Floats | float]) -> OneLaw:
    """The law of one quantity that a law is, or that its compute-optimal models follow, from numbers or arrays of them.

    Raises
    ------
    ValueError
        If it is no law of one term, nor one of params and tokens with a power of each.

    Examples
    --------
    >>> from .laws import PowerLaw
    >>> law_of_one(PowerLaw, ("tokens",), {"E": 2.0, "A": 10.0, "alpha": 0.5}).loss(100.0).round(6).tolist()
    [3.0]
    """
    values = {name: np.atleast_1d(np.asarray(value, dtype=float)) for name, value in numbers.items()}
    first, *others = law.terms
    with np.errstate(divide="ignore"):
        log_A, alpha = np.log(values[first.amplitude]), values[first.exponent]
        if not others:
            return OneLaw(values["E"], log_A, alpha, first.g == "log")
        plane = {inputs[term.column] for term in law.terms} == {"params", "tokens"}
        if len(law.terms) != 2 or not plane or any(term.g != "log" for term in law.terms):
            raise ValueError(
                f"{law.__name__} of {', '.join(inputs)} is neither a law of one term nor a power of params plus one of "
                "tokens, so what an equal loss needs has no formula. Compare statistic=... instead."
            )
        log_B, beta = np.log(values[others[0].amplitude]), values[others[0].exponent]
    log_G = (np.log(alpha / beta) + log_A - log_B) / (alpha + beta)
    gamma = alpha * beta / (alpha + beta)
    log_K = np.logaddexp(log_A - alpha * log_G, log_B + beta * log_G) + gamma * np.log(6.0)
    return OneLaw(values["E"], log_K, gamma, log=True)
