"""What a fit minimises: Huber, squared or absolute error, of raw or logarithmic residuals; Huber's also by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Space = Literal["raw", "log"]

DELTA_RULES = ("mad_of_loss", "mad_of_residuals")
MAD_TO_SIGMA = 1.4826  # makes the median absolute deviation of Gaussian noise its standard deviation


class Objective(Protocol):
    """A convex loss rho of the residuals, summed over rows: sum_i w_i rho(r_i)."""

    @property
    def space(self) -> Space:
        """Where residuals are taken: "raw" (loss, nats) or "log" (natural log of the loss)."""

    @property
    def delta(self) -> float | str:
        """Half-width of the quadratic zone, in the units of the space: a number, or a rule to be resolved."""

    @property
    def upward(self) -> float:
        """What a positive residual, a loss above the law, counts against a negative one of its size."""

    def rho(self, residuals: ArrayLike) -> Floats:
        """Value of the loss, residual by residual."""


@dataclass(frozen=True)
class Huber:
    """Quadratic within delta, linear beyond: rho(r) = r^2 / 2 if abs(r) <= delta, else delta (abs(r) - delta / 2).

    Runs err upward when they are tuned badly or trained too short. With `upward` below 1, rho(r) is multiplied by it
    where r > 0, so that the law lies near the best runs, and a run below it weighs more than one above.

    Parameters
    ----------
    delta : float or {"mad_of_loss", "mad_of_residuals"}
        A number in the units of `space` (nats, or a relative error for "log"), or a rule:

        - "mad_of_loss": 1.4826 times the median absolute deviation of the losses [1]_. It is as wide as the signal,
          so nearly every residual is in the quadratic zone and only gross outliers are held back.
        - "mad_of_residuals": 1.4826 times the median absolute residual of the least-absolute-deviation fit, or 1.2533
          times the mean where the median is under 1 % of it: such a fit goes through some rows (our choice).
    space : {"raw", "log"}
        Residuals of the loss, or of its natural logarithm.
    upward : float
        Weight of a loss above the law, in (0, 1]. A factor of 10 against laws above the runs, as in [2]_, is 0.1. It
        pays where runs err upward by far more than the noise. The price is a law below the middle of clean runs: at 0.1
        by 0.9 standard deviations of Gaussian noise for a wide delta, by 1.3 for a narrow one.

    References
    ----------
    .. [1] arXiv:2601.10684, appendix B.1.
    .. [2] `asymmetric_mae` of github.com/kyo-takano/chinchilla, with w = 10.

    Examples
    --------
    >>> Huber(0.5).rho([0.1, -2.0]).tolist()
    [0.005000000000000001, 0.875]
    >>> Huber(0.5, upward=0.1).rho([2.0, -2.0]).round(4).tolist()
    [0.0875, 0.875]
    """

    delta: float | str = "mad_of_loss"
    space: Space = "raw"
    upward: float = 1.0

    def __post_init__(self) -> None:
        _check_space(self.space)
        if not isinstance(self.upward, Real) or isinstance(self.upward, bool):
            raise TypeError(f"upward must be a number above 0 and at most 1, not {self.upward!r}.")
        if not 0 < self.upward <= 1:
            raise ValueError(
                f"upward must be above 0 and at most 1, not {self.upward!r}: a loss above the law counts that much of "
                "one below it. A factor of 10 between the two is upward=0.1."
            )
        if isinstance(self.delta, str):
            if self.delta not in DELTA_RULES:
                raise ValueError(f"delta must be a positive number or one of {DELTA_RULES}, not {self.delta!r}.")
        elif not isinstance(self.delta, Real) or isinstance(self.delta, bool):
            raise TypeError(f"delta must be a positive number or one of {DELTA_RULES}, not {self.delta!r}.")
        elif not (np.isfinite(self.delta) and self.delta > 0):
            raise ValueError(
                f"delta must be positive and finite, not {self.delta!r}. Squared() is the limit of a large delta, "
                "Absolute() that of a small one."
            )

    def __repr__(self) -> str:
        """As it was written: a side that counts as much as the other goes without saying."""
        side = "" if self.upward == 1 else f", upward={self.upward!r}"
        return f"Huber(delta={self.delta!r}, space={self.space!r}{side})"

    def rho(self, residuals: ArrayLike) -> Floats:
        """Value of the loss, residual by residual; delta must be a number (see `resolve`)."""
        r = np.asarray(residuals, dtype=float)
        if isinstance(self.delta, str):
            raise ValueError(f"delta is the rule {self.delta!r}; resolve(objective, loss) turns it into a number.")
        inner = np.minimum(np.abs(r), self.delta)
        value: Floats = np.where(r > 0, self.upward, 1.0) * (inner * (np.abs(r) - inner / 2))
        return value


@dataclass(frozen=True)
class Squared:
    """Least squares, rho(r) = r^2 / 2 (half, so that it is the Huber loss of an infinite delta).

    Examples
    --------
    >>> Squared(space="log").rho([2.0]).tolist()
    [2.0]
    """

    space: Space = "raw"
    delta: ClassVar[float] = float("inf")
    upward: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        _check_space(self.space)

    def rho(self, residuals: ArrayLike) -> Floats:
        """Value of the loss, residual by residual."""
        return np.asarray(np.square(np.asarray(residuals, dtype=float)) / 2)


@dataclass(frozen=True)
class Absolute:
    """Least absolute deviation, rho(r) = abs(r): the limit of Huber(delta) / delta for a small delta.

    Examples
    --------
    >>> Absolute().rho([-2.0, 0.5]).tolist()
    [2.0, 0.5]
    """

    space: Space = "raw"
    delta: ClassVar[float] = 0.0
    upward: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        _check_space(self.space)

    def rho(self, residuals: ArrayLike) -> Floats:
        """Value of the loss, residual by residual."""
        return np.asarray(np.abs(np.asarray(residuals, dtype=float)))


def _check_space(space: str) -> None:
    if space not in ("raw", "log"):
        raise ValueError(f'space must be "raw" or "log", not {space!r}.')


def residuals(objective: Objective, loss: ArrayLike, predicted: ArrayLike) -> Floats:
    """Residuals in the space of an objective: loss - predicted, or log(loss) - log(predicted).

    Examples
    --------
    >>> residuals(Squared(), [3.0], [2.5]).tolist()
    [0.5]
    """
    if objective.space == "log":
        return np.asarray(np.log(loss) - np.log(predicted))
    difference: Floats = np.asarray(loss, dtype=float) - np.asarray(predicted, dtype=float)
    return difference


def resolve(objective: Objective, loss: Floats, weights: Floats) -> Objective:
    """Give the objective with the rule "mad_of_loss" replaced by its number; any other objective as it is.

    Parameters
    ----------
    loss : (n,) array, nats per token
    weights : (n,) array, frequencies

    Examples
    --------
    >>> resolve(Huber("mad_of_loss"), np.array([2.0, 3.0, 4.0]), np.ones(3)).delta
    1.4826
    """
    if not isinstance(objective, Huber) or objective.delta != "mad_of_loss":
        return objective
    y = np.log(loss) if objective.space == "log" else loss
    spread = MAD_TO_SIGMA * weighted_median(np.abs(y - weighted_median(y, weights)), weights)
    if spread <= 0:
        # not from the paper (value unknown): most losses are equal, so fall back on a small share of their spread
        mean = np.average(y, weights=weights)
        spread = max(1e-3 * float(np.sqrt(np.average((y - mean) ** 2, weights=weights))), 1e-12)
    return replace(objective, delta=float(spread))


def weighted_median(values: Floats, weights: Floats) -> float:
    """Median of values that stand for `weights` rows each: whole weights give the median of the repeated rows.

    Examples
    --------
    >>> weighted_median(np.array([1.0, 2.0, 10.0]), np.array([1.0, 1.0, 2.0]))
    6.0
    """
    order = np.argsort(values, kind="stable")
    order = order[weights[order] > 0]
    cumulative = np.cumsum(weights[order])
    half = cumulative[-1] / 2
    low = int(np.searchsorted(cumulative, half * (1 - 1e-12)))
    high = int(np.searchsorted(cumulative, half * (1 + 1e-12)))
    return float((values[order[low]] + values[order[min(high, len(order) - 1)]]) / 2)


def objective_to_dict(objective: Objective) -> dict[str, Any]:
    """Plain values that `objective_from_dict` reads back."""
    settings: dict[str, Any] = {"name": type(objective).__name__, "space": objective.space}
    if isinstance(objective, Huber):
        settings["delta"] = objective.delta
        if objective.upward != 1:
            settings["upward"] = objective.upward
    return settings


def objective_from_dict(settings: dict[str, Any]) -> Objective:
    """Objective that `objective_to_dict` wrote.

    Examples
    --------
    >>> objective_from_dict({"name": "Huber", "space": "log", "delta": 0.001})
    Huber(delta=0.001, space='log')
    """
    kinds: dict[str, Any] = {"Huber": Huber, "Squared": Squared, "Absolute": Absolute}
    arguments = {key: value for key, value in settings.items() if key != "name"}
    if settings.get("name") not in kinds:
        raise ValueError(f"unknown objective {settings.get('name')!r}; known are {sorted(kinds)}.")
    made: Objective = kinds[settings["name"]](**arguments)
    return made


def describe(objective: Objective) -> str:
    """Name of an objective with its zone, its sides where they differ, and its space.

    Examples
    --------
    >>> describe(Huber(1e-3, "log"))
    'Huber(delta=0.001) of log residuals'
    >>> describe(Huber(1e-3, "log", upward=0.1))
    'Huber(delta=0.001, upward=0.1) of log residuals'
    """
    name = type(objective).__name__
    shown = [f"delta={objective.delta:.4g}"] if name == "Huber" and not isinstance(objective.delta, str) else []
    shown += [f"upward={objective.upward:.4g}"] if objective.upward != 1 else []
    return name + (f"({', '.join(shown)})" if shown else "") + f" of {objective.space} residuals"
