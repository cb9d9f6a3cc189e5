"""Percolation theory as laws: the loss over parameters and over tokens, to be drawn beside measured ones or fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..formula import Law
from .data_scaling import data_loss
from .guards import positive
from .model_scaling import model_loss

Floats = NDArray[np.float64]

EXPONENTS = {"alpha": (0.05, 10.0), "manifold": (0.02, 10.0)}  # where a fit looks; our choice
STEP = 1e-3  # of log x, between the losses that a local exponent is read from


@dataclass(frozen=True)
class _Percolation(Law):
    """What the two laws share: their parameters and where a fit looks for these."""

    alpha: float
    manifold: float
    E: float = 0.0
    A: float = 1.0
    unit: float = 1.0

    def __post_init__(self) -> None:
        """Refuse numbers for which the formula has no value."""
        for name in ("alpha", "manifold", "unit"):
            positive(name, getattr(self, name))

    @classmethod
    def bounds_for(cls, X: Floats, y: Floats) -> Mapping[str, tuple[float, float]]:
        """E below the middle of the losses, A and unit over many decades (our choice); exponents are mostly held."""
        x = X[:, 0]
        return EXPONENTS | {
            "E": (0.0, float(y.min() + y.max()) / 2),
            "A": (1e-6 * float(y.max()), 1e3 * float(y.max() * max(x.max(), 1.0))),
            "unit": (1e-12 * float(x.min()), float(x.max())),
        }


@dataclass(frozen=True)
class ModelScaling(_Percolation):
    """E + A L(n), n = params / unit: degrees of freedom spread over clusters as well as can be (Eq. 31 of [1]_).

    The loss of cluster k is k^-(alpha + 1) n_k^(-c/D), n_k ~ k^-nu up to a break and none beyond; the break is where
    the loss is lowest. See `scalefit.theory.model_scaling.model_loss`, which also has the paper's own rule: it
    changes constants alone.

    Parameters
    ----------
    alpha : float
        (3 - tau) / (tau - 2), see `Universality`; 1 from six dimensions on.
    manifold : float
        c / D, the exponent of the loss on one cluster; 2/4 for constant pieces, 4/4 for linear ones.
    E : float, nats per token
        Limit of the loss for large models.
    A : float
        Loss of the largest cluster, unlearned.
    unit : float
        Parameters of a degree of freedom. The theory has no word on E, A and unit.

    References
    ----------
    .. [1] Brill 2024, arXiv:2412.07942.

    Examples
    --------
    The theory's exponents on measured runs; only E and A are fitted:

    >>> import scalefit as sf
    >>> runs = sf.load("pythia").where("kept")
    >>> theory = sf.LawRegressor(ModelScaling, fixed={"alpha": 1.0, "manifold": 0.5, "unit": 1.0})
    >>> fit = sf.fit(theory, runs, inputs="params")
    >>> fit.ok, fit.law.exponent
    (True, 0.5)
    >>> ax = sf.plot_fit(sf.fit(sf.PowerLaw, runs, inputs="params"), beside={"percolation": fit.law})
    """

    inputs: ClassVar = ("params",)

    @property
    def exponent(self) -> float:
        """Exponent for large models, min(alpha, c/D) (Eq. 32, 33); where these are equal a logarithm slows it."""
        return min(self.alpha, self.manifold)

    def value(self, *columns: Any) -> Any:
        """Loss at an array of params."""
        return self.E + self.A * model_loss(columns[0] / self.unit, alpha=self.alpha, manifold=self.manifold)


@dataclass(frozen=True)
class DataScaling(_Percolation):
    """E + A L(m), m = tokens / unit: clusters are learned as samples of them are seen (Eq. 10, 11 of [1]_).

    Parameters
    ----------
    alpha, manifold, E, A
        As in `ModelScaling`.
    unit : float
        Tokens of a sample.

    References
    ----------
    .. [1] Brill 2024, arXiv:2412.07942.

    Examples
    --------
    >>> law = DataScaling(alpha=1.0, manifold=1.0)
    >>> law.exponent, round(law(tokens=1e6), 6)
    (0.5, 0.001999)
    """

    inputs: ClassVar = ("tokens",)

    @property
    def exponent(self) -> float:
        """Exponent for much data, min(alpha / (alpha + 1), c/D); where these are equal a logarithm slows it."""
        return min(self.alpha / (self.alpha + 1), self.manifold)

    def value(self, *columns: Any) -> Any:
        """Loss at an array of tokens."""
        return self.E + self.A * data_loss(columns[0] / self.unit, alpha=self.alpha, manifold=self.manifold)


def local_exponent(law: Law, at: ArrayLike) -> Floats:
    """Slope -d log(L - E) / d log x of a law of one input, where a measured exponent would be read off.

    Parameters
    ----------
    law : Law
        Of one input; without a parameter E, E is 0.
    at : (n,) array
        x, in raw counts.

    Raises
    ------
    ValueError
        If the law has several inputs, or nothing is left above E.

    Examples
    --------
    At equal exponents the logarithm still shows:

    >>> local_exponent(ModelScaling(alpha=1.0, manifold=1.0), [1e4, 1e6, 1e9]).round(3).tolist()
    [0.781, 0.849, 0.899]
    """
    if type(law).n_inputs() != 1:
        raise ValueError(f"a local exponent is of a law of one input; {type(law).__name__} takes several: fix one.")
    x, floor = np.asarray(at, dtype=float), law.to_dict().get("E", 0.0)
    low, high = (np.asarray(law(x * np.exp(half))) - floor for half in (-STEP / 2, STEP / 2))
    if not np.all((low > 0) & (high > 0)):
        raise ValueError(
            f"{type(law).__name__} has no loss above E = {floor:g} there, so that no exponent can be read."
        )
    return np.asarray(np.log(low / high) / STEP)
