"""The laws that ship, and the published ones with their numbers in; what a law is stands in `formula`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .formula import Floats
from .formula import Law as Law
from .formula import SeparableLaw as SeparableLaw
from .formula import Term as Term
from .formula import input_names as input_names
from .objective import Huber

EXPONENTS = (0.02, 2.0)  # of laws that no grid screens
STEEPEST = 20.0  # exponent times the range of log x: beyond, a power is over within the data
SHARPEST = 0.005  # width of a break in ranges of log x: between two of 200 runs
LARGEST = 600.0  # logarithm of a bound that a float holds with room to spare


@dataclass(frozen=True)
class PowerLaw(SeparableLaw):
    """E + A x^-alpha, the law of one column x, with offset E (Eq. 2 of [1]_).

    Parameters
    ----------
    E : float, nats per token
        Limit of the loss for large x.
    A : float
        Loss above E at x = 1, in raw counts of x.
    alpha : float
        Exponent.

    References
    ----------
    .. [1] arXiv:2601.10684.

    Examples
    --------
    >>> PowerLaw(E=2.0, A=3.0, alpha=0.5)(100.0)
    2.3
    """

    E: float
    A: float
    alpha: float
    terms: ClassVar = (Term("A", "alpha"),)


@dataclass(frozen=True)
class Exponential(SeparableLaw):
    """E + A exp(-alpha x): what a power law has to beat.

    Parameters
    ----------
    E : float, nats per token
        Limit of the loss for large x.
    A : float, nats per token
        Loss above E at x = 0.
    alpha : float
        Rate, per unit of x in raw counts.

    Examples
    --------
    >>> Exponential(E=2.0, A=3.0, alpha=1e-9)(0.0)
    5.0
    """

    E: float
    A: float
    alpha: float
    terms: ClassVar = (Term("A", "alpha", g="identity"),)


@dataclass(frozen=True)
class Chinchilla(SeparableLaw):
    """E + A params^-alpha + B tokens^-beta (Eq. 3 of arXiv:2601.10684; approach 3 of [1]_).

    Fitted by default as its authors do: Huber loss of log residuals with delta = 1e-3.

    Parameters
    ----------
    E : float, nats per token
        Limit of the loss for large models on much data.
    A, B : float
        Loss above the rest at one parameter and at one token.
    alpha, beta : float
        Exponents of params and of tokens.

    References
    ----------
    .. [1] Hoffmann et al. 2022, arXiv:2203.15556, Eq. 2.

    Examples
    --------
    >>> round(HOFFMANN_2022(params=70e9, tokens=1.4e12), 4)
    1.9366
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    inputs: ClassVar = ("params", "tokens")
    objective: ClassVar = Huber(1e-3, space="log")
    terms: ClassVar = (Term("A", "alpha", column=0), Term("B", "beta", column=1))


@dataclass(frozen=True)
class Kaplan(Law):
    """[(N_c / params)^(alpha_N / alpha_D) + D_c / tokens]^alpha_D, without offset (Eq. 1.5 of [1]_).

    Eq. 4 of arXiv:2601.10684. Its authors count params without embeddings and stop runs where the test loss is lowest.

    Parameters
    ----------
    N_c, D_c : float
        Parameters and tokens at which the loss of unlimited data, or of an unlimited model, would be 1.
    alpha_N, alpha_D : float
        Exponents of params for unlimited data, and of tokens for unlimited models.

    References
    ----------
    .. [1] Kaplan et al. 2020, arXiv:2001.08361.

    Examples
    --------
    >>> round(KAPLAN_2020(params=1e9, tokens=22e9), 4)
    2.3693
    """

    N_c: float
    D_c: float
    alpha_N: float
    alpha_D: float
    inputs: ClassVar = ("params", "tokens")
    objective: ClassVar = Huber(1e-3, space="log")

    @classmethod
    def bounds_for(cls, X: Floats, y: Floats) -> Mapping[str, tuple[float, float]]:
        """Exponents between 0.02 and 2, and N_c and D_c where either term alone could make a loss (our choice)."""
        low, high = EXPONENTS
        reach = np.exp(np.clip(np.log([min(y.min(), 1.0) / 10, max(y.max(), 1.0) * 10]) / low, -LARGEST, LARGEST))
        (N, D), (N_most, D_most) = X.min(axis=0) * reach[0], X.max(axis=0) * reach[1]
        return {"N_c": (N, N_most), "D_c": (D, D_most), "alpha_N": (low, high), "alpha_D": (low, high)}

    def value(self, *columns: Any) -> Any:
        """Loss at arrays of params and tokens, through logarithms: the powers of large N_c overflow."""
        log_N, log_D = (np.log(critical) - np.log(x) for critical, x in zip((self.N_c, self.D_c), columns, strict=True))
        return np.exp(self.alpha_D * np.logaddexp(self.alpha_N / self.alpha_D * log_N, log_D))


@dataclass(frozen=True)
class DataConstrained(Law):
    """E + A N'^-alpha + B D'^-beta: repeated tokens, and params that the distinct ones cannot feed, count less [1]_.

    D' = U_D (1 + R_D (1 - exp(-r / R_D))) for tokens = (1 + r) U_D, of which U_D are distinct; N' the same with R_N
    for params = (1 + r) U_N. U_N is params, or the size for which U_D tokens are the compute-optimal number by
    C = 6 N D if that is smaller: U_N^alpha = (alpha A / beta B) U_D^beta. In one epoch, and up to that size, it is
    Chinchilla's law.

    Its authors keep E, A, B, alpha and beta from a fit to runs of one epoch, and fit R_N and R_D alone to all runs.

    Parameters
    ----------
    E, A, B, alpha, beta : float
        As in `Chinchilla`.
    R_N, R_D : float
        R_N* and R_D* of the paper: repetitions after which further ones add little.

    References
    ----------
    .. [1] Muennighoff et al. 2023, arXiv:2305.16264, appendix A.

    Examples
    --------
    >>> round(MUENNIGHOFF_2023(params=6.34e9, tokens=242e9, unique_tokens=25e9), 6)
    2.225644

    The base law from runs of one epoch, then what a repetition is worth:

    >>> import scalefit as sf
    >>> design = sf.grid(params=[1e7, 1e8, 4e8, 1e10], unique_tokens=[1e10, 1e11, 1e12], epochs=[1, 4, 16])
    >>> design["tokens"] = design.epochs * design.unique_tokens
    >>> runs = sf.simulate(MUENNIGHOFF_2023, design)
    >>> once = sf.fit(Chinchilla, runs.where("epochs == 1", "params < 5e8"))
    >>> more = sf.fit(sf.LawRegressor(DataConstrained, fixed=once.law.to_dict()), runs)
    >>> round(more.law.R_D, 2), round(more.law.R_N, 2)
    (15.39, 5.31)
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    R_N: float
    R_D: float
    inputs: ClassVar = ("params", "tokens", "unique_tokens")
    objective: ClassVar = Huber(1e-3, space="log")

    @classmethod
    def bounds_for(cls, X: Floats, y: Floats) -> Mapping[str, tuple[float, float]]:
        """R_N and R_D between 0.01 and 10,000, exponents between 0.02 and 2, terms up to 1000 losses (our choice)."""
        A, B = (_amplitude_range(X[:, column], y, *EXPONENTS) for column in (0, 1))
        bounds = {"E": _offset_range(y), "A": A, "B": B, "alpha": EXPONENTS, "beta": EXPONENTS}
        return bounds | {"R_N": (0.01, 1e4), "R_D": (0.01, 1e4)}

    def value(self, *columns: Any) -> Any:
        """Loss at arrays of params, tokens and distinct tokens; more distinct tokens than tokens are not used."""
        params, tokens, unique = columns
        unique = np.minimum(unique, tokens)
        log_A, log_B = np.log(self.A), np.log(self.B)
        fed = np.exp((np.log(self.alpha / self.beta) + log_A - log_B + self.beta * np.log(unique)) / self.alpha)
        N = _worth(params, np.minimum(params, fed), self.R_N)
        D = _worth(tokens, unique, self.R_D)
        return self.E + np.exp(log_A - self.alpha * np.log(N)) + np.exp(log_B - self.beta * np.log(D))


@dataclass(frozen=True)
class BrokenPowerLaw(Law):
    """E + A x^-c0 (1 + (x / d)^(1 / f))^(-c1 f), a power law whose slope changes once (n = 1 in Eq. 1 of [1]_).

    Parameters
    ----------
    E : float, nats per token
        Limit of the loss for large x, if c0 + c1 is positive.
    A : float
        Loss above E that the first power has at x = 1, in raw counts of x.
    c0 : float
        Exponent before the break.
    c1 : float
        What the break adds to it: negative where the loss falls slower thereafter.
    d : float
        Where the break is, in raw counts of x.
    f : float
        Width of the break in log(x): 0 is a kink.

    References
    ----------
    .. [1] Caballero et al. 2023, arXiv:2210.14891.

    Examples
    --------
    >>> law = BrokenPowerLaw(E=0.0, A=1.0, c0=0.5, c1=0.5, d=1e6, f=0.01)
    >>> law([1e4, 1e8]).round(12).tolist()
    [0.01, 1e-05]
    """

    E: float
    A: float
    c0: float
    c1: float
    d: float
    f: float

    @classmethod
    def bounds_for(cls, X: Floats, y: Floats) -> Mapping[str, tuple[float, float]]:
        """The break within the inputs, exponents by their range; before the break the loss falls (our choice)."""
        x = X[:, 0]
        span = np.log(x.max() / x.min())
        steepest = STEEPEST / span
        return {
            "E": _offset_range(y),
            "A": _amplitude_range(x, y, 0.0, steepest),
            "c0": (0.0, steepest),
            "c1": (-steepest, steepest),
            "d": (x.min(), x.max()),
            "f": (SHARPEST * span, span),
        }

    def value(self, *columns: Any) -> Any:
        """Loss at an array, through logarithms: the powers overflow at a sharp break."""
        log_x = np.log(columns[0])
        bend = self.f * np.logaddexp(0.0, (log_x - np.log(self.d)) / self.f)
        with np.errstate(divide="ignore"):
            return self.E + np.exp(np.log(self.A) - self.c0 * log_x - self.c1 * bend)


def _worth(count: Any, unique: Any, decay: float) -> Any:
    """What a count is worth of which so many are distinct: each repetition less than the one before."""
    return unique * (1 - decay * np.expm1(-(count / unique - 1) / decay))


def _offset_range(y: Floats) -> tuple[float, float]:
    """Range of E: up to the middle of the losses, so that one low run does not bound it."""
    return 0.0, float(y.min() + y.max()) / 2


def _amplitude_range(x: Floats, y: Floats, low: float, high: float) -> tuple[float, float]:
    """Range of an amplitude at x = 1 whose power of exponent low to high is 1e-6 to 1000 losses at the smallest x."""
    powers = np.log(x.min()) * np.array([low, high])
    ends = np.log(y.max()) + np.log([1e-6, 1e3]) + [powers.min(), powers.max()]
    least, most = np.exp(np.clip(ends, -LARGEST, LARGEST))
    return float(least), float(most)


#: Hoffmann et al. 2022, arXiv:2203.15556, as printed (two digits of the exponents).
HOFFMANN_2022 = Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)

#: The same before rounding, from the TeX source of arXiv:2203.15556 as read by Besiroglu et al.: the logarithms of
#: E, A and B are 0.5267228, 6.0073404 and 6.0179186. Rounding triples the objective on the authors' own data.
HOFFMANN_2022_UNROUNDED = Chinchilla(
    E=float(np.exp(0.5267228)),
    A=float(np.exp(6.0073404)),
    B=float(np.exp(6.0179186)),
    alpha=0.33917084,
    beta=0.2849083,
)

#: Besiroglu et al. 2024, arXiv:2404.10102, as printed. It is 0.45 % above the optimum of its own stated objective.
BESIROGLU_2024 = Chinchilla(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)

#: Kaplan et al. 2020, arXiv:2001.08361, Table 2. The fits of one column in the same paper have other numbers.
KAPLAN_2020 = Kaplan(N_c=6.4e13, D_c=1.8e13, alpha_N=0.076, alpha_D=0.103)

#: Muennighoff et al. 2023, arXiv:2305.16264, appendix A, with the logarithms of E, A and B from its authors' code.
MUENNIGHOFF_2023 = DataConstrained(
    E=float(np.exp(0.6254804)),
    A=float(np.exp(6.255414)),
    B=float(np.exp(7.3049974)),
    alpha=0.3526596,
    beta=0.3526596,
    R_N=5.309743,
    R_D=15.387756,
)

#: The laws that ship, by the name that the command line takes.
LAWS: Mapping[str, type[Law]] = {
    "power": PowerLaw,
    "exponential": Exponential,
    "broken": BrokenPowerLaw,
    "chinchilla": Chinchilla,
    "kaplan": Kaplan,
    "data-constrained": DataConstrained,
}
