"""Valleys: the minimum of a polynomial through losses, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SAME = 1e-12  # share of the largest loss that is none
FAR = 20.0  # half ranges of the runs, beyond which a minimum is none


@dataclass(frozen=True)
class Valley:
    """Polynomial of the loss in log params, and its minimum.

    Attributes
    ----------
    minimum : float
        Natural logarithm of the params where it is lowest; nan if that is nowhere, or over ten ranges off the runs.
    loss : float
        Its value there, nats per token.
    lower_end : float
        The end of the runs, in log params, where it is lower.
    loss_at_end : float
    low, high : float
        Range of log params of the runs.
    curvature : float
        Second derivative in log params, at the minimum; in the middle of the runs if there is none.
    unit_sd : float
        Standard deviation of `minimum` for losses that scatter by 1 nat, by the delta method.
    squares : float
        Weighted sum of squared residuals, nats^2.
    spare : float
        Weights beyond the coefficients.
    """

    minimum: float
    loss: float
    lower_end: float
    loss_at_end: float
    low: float
    high: float
    curvature: float
    unit_sd: float
    squares: float
    spare: float


def valley(log_params: Floats, loss: Floats, *, degree: int = 2, weight: Floats | None = None) -> Valley:
    """Minimum of the polynomial that least squares puts through losses.

    Parameters
    ----------
    log_params : (n,) array
        At least degree + 1 different ones.
    loss : (n,) array, nats per token
    degree : {2, 3}
    weight : (n,) array, optional
        Positive frequencies.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> found = valley(x, 2.5 + 0.1 * (x - 2.2) ** 2)
    >>> round(found.minimum, 9), round(found.loss, 9), round(found.curvature, 9)
    (2.2, 2.5, 0.2)
    """
    weight = np.ones(len(loss)) if weight is None else weight
    low, high = float(log_params.min()), float(log_params.max())
    middle, half = (low + high) / 2, (high - low) / 2
    design = np.vander((log_params - middle) / half, degree + 1, increasing=True)
    root = np.sqrt(weight)
    coefficients: Floats = np.asarray(np.linalg.lstsq(design * root[:, None], loss * root)[0], dtype=float)
    polynomial = Polynomial(coefficients)
    at, bend = _turn(coefficients, SAME * float(np.abs(loss).max()))
    powers = np.arange(degree + 1)
    # the slope is zero at the minimum, so a coefficient moves it by minus its part of the slope over the curvature
    moves = -powers * at ** np.maximum(powers - 1, 0) / bend
    covariance = np.linalg.inv((design.T * weight) @ design)
    end = -1.0 if polynomial(-1.0) < polynomial(1.0) else 1.0
    return Valley(
        minimum=middle + half * at, loss=float(polynomial(at)), low=low, high=high,
        lower_end=middle + half * end, loss_at_end=float(polynomial(end)),
        curvature=float(polynomial.deriv(2)(0.0 if np.isnan(at) else at)) / half**2,
        unit_sd=half * float(np.sqrt(moves @ covariance @ moves)),
        squares=float(weight @ (loss - design @ coefficients) ** 2),
        spare=max(float(weight.sum()) - degree - 1, 0.0),
    )  # fmt: skip


def _turn(coefficients: Floats, flat: float) -> tuple[float, float]:
    """Where a parabola or a cubic is lowest, and its second derivative there; nan if it has no minimum."""
    c, b, a = (coefficients * np.arange(len(coefficients)))[1:].tolist() + [0.0] * (4 - len(coefficients))
    inside = (
        b * b - 4 * a * c
    )  # the slope is a x^2 + b x + c, and rises through zero where 2 a x + b is the root of this
    bend = math.sqrt(inside) if inside > 0 else 0.0
    if bend <= flat or (b < 0 and a == 0):
        return math.nan, math.nan
    at = -2 * c / (b + bend) if b >= 0 else (bend - b) / (2 * a)  # neither form loses digits
    return (at, bend) if abs(at) <= FAR else (math.nan, math.nan)
