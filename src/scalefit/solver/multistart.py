"""Trust-region reflective from many starts: the paper's own route, and the one for laws of any form.

Every start descends roughly, by least squares, and the lowest ends go on by the objective itself: a narrow zone of
Huber's loss is flat far from the runs, so that most of 40 starts would crawl there, at ten times the cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from .problem import Floats

ZONES = 10.0 ** -np.arange(0.5, 8.0)  # delta / mean residual on the way to the absolute error
TOLERANCE = 1e-15  # of objective, step and gradient; scipy's 1e-8 stops early on a sum of Huber losses of 1e-3
ROUGH_TOLERANCE, ROUGH_STEPS = 1e-4, 40  # of the first descent
FOLLOWED = 8  # lowest rough ends that go on


@dataclass(frozen=True)
class Multistart:
    """Best of many local fits.

    Attributes
    ----------
    parameters : (p,) array
    objective : float
        Sum over rows.
    converged : bool
        Whether scipy says so for the best start.
    condition : float
        Condition number of the Jacobian at the optimum, its columns scaled to one length.
    reached : int
        Starts that ended within 1e-6 of the best objective, of those followed to the end.
    followed : int
    starts : int
    """

    parameters: Floats
    objective: float
    converged: bool
    condition: float
    reached: int
    followed: int
    starts: int


def trf_multistart(
    residuals: Callable[[Floats], Floats],
    starts: Floats,
    *,
    bounds: tuple[Floats, Floats],
    delta: float,
    weights: Floats,
    upward: float = 1.0,
) -> Multistart:
    """Minimise sum_i w_i rho_delta(r_i) by scipy's trust-region reflective from many starts, and keep the best [1]_.

    Parameters
    ----------
    residuals : callable
        (n,) residuals at (p,) parameters.
    starts : (S, p) array
    bounds : pair of (p,) arrays
    delta : float
        Half-width of Huber's quadratic zone; infinite for least squares, 0 for the absolute error.
    weights : (n,) array
        Frequencies.
    upward : float
        What a positive residual counts against a negative one.

    References
    ----------
    .. [1] arXiv:2601.10684, appendix B.1, which uses 40 starts.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> fit = trf_multistart(
    ...     lambda p: 3 * np.exp(-x / 2) - p[0] * np.exp(-x / p[1]),
    ...     np.array([[1.0, 1.0], [5.0, 3.0]]),
    ...     bounds=(np.array([0.0, 0.1]), np.array([10.0, 10.0])),
    ...     delta=np.inf,
    ...     weights=np.ones(3),
    ... )
    >>> fit.parameters.round(6).tolist()
    [3.0, 2.0]
    """
    low, high = bounds
    width = high - low
    if upward != 1:
        residuals, weights = _sides(residuals), np.concatenate([upward * weights, weights])
    inside = np.clip(starts, low + 1e-9 * width, high - 1e-9 * width)
    finite = [start for start in inside if np.all(np.isfinite(residuals(start)))]
    if not finite:
        raise ValueError("the law is not finite at any start; narrow its bounds.")
    rough = [_descend(residuals, start, bounds, delta, weights, rough=True) for start in finite]
    lowest = sorted(rough, key=lambda end: end[1])[:FOLLOWED]
    ends = [_descend(residuals, at, bounds, delta, weights) for at, *_ in lowest]
    best = min(ends, key=lambda end: end[1])
    if delta > 0:
        best = (*_polish(residuals, best[0], best[1], bounds, delta, weights), best[2])
    close = sum(end[1] <= best[1] * (1 + 1e-6) + 1e-300 for end in ends)
    return Multistart(*best, _condition(residuals, best[0]), close, len(ends), len(starts))


def _sides(residuals: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Every residual twice, as far as it is positive and as far as it is negative: scipy's rho is not told the sign."""

    def both(at: Floats) -> Floats:
        r = residuals(at)
        return np.concatenate([np.maximum(r, 0.0), np.minimum(r, 0.0)])

    return both


def _descend(
    residuals: Callable[[Floats], Floats],
    start: Floats,
    bounds: tuple[Floats, Floats],
    delta: float,
    weights: Floats,
    *,
    rough: bool = False,
) -> tuple[Floats, float, bool]:
    """One local fit: parameters, objective, whether scipy calls it converged."""
    zones = [delta] if delta > 0 else [max(float(z * np.abs(residuals(start)).mean()), 1e-12) for z in ZONES]
    tolerance, steps = (ROUGH_TOLERANCE, ROUGH_STEPS) if rough else (TOLERANCE, 2000)
    at, success = start, False
    for zone in [np.inf] if rough else zones:
        loss, scale = _weighted_huber(zone, weights)
        result = least_squares(
            residuals, at, jac="2-point" if rough else "3-point", bounds=bounds, method="trf", loss=loss, f_scale=scale,
            x_scale="jac", ftol=tolerance, xtol=tolerance, gtol=tolerance, max_nfev=steps,
        )  # fmt: skip
        at, success = result.x, bool(result.success)
    r = np.abs(residuals(at))
    inner = np.minimum(r, delta)
    value = float(np.sum(weights * (inner * (r - inner / 2) if delta > 0 else r)))
    return at, value, success


def _polish(
    residuals: Callable[[Floats], Floats],
    at: Floats,
    value: float,
    bounds: tuple[Floats, Floats],
    delta: float,
    weights: Floats,
) -> tuple[Floats, float]:
    """Gauss-Newton steps while the gradient shrinks: below rounding of the objective, which stops scipy, it still does.

    Good parameters need it: an objective that is right to 1e-15 leaves them wrong by 1e-8.
    """
    smallest = np.inf
    for _ in range(20):
        r = residuals(at)
        J = _central_differences(residuals, at)
        inside = weights * (np.abs(r) <= delta)
        gradient = J.T @ (weights * np.clip(r, -delta, delta))
        H = J.T @ (J * inside[:, None])
        step, *_ = np.linalg.lstsq(H, -gradient, rcond=None)
        size = float(-gradient @ step)
        after = at + step
        if not 0 <= size < smallest or np.any(after <= bounds[0]) or np.any(after >= bounds[1]):
            break
        inner = np.clip(residuals(after), -delta, delta)
        changed = float(np.sum(weights * inner * (residuals(after) - inner / 2)))
        if changed > value * (1 + 1e-12):
            break
        at, value, smallest = after, min(changed, value), size
    return at, value


def _condition(residuals: Callable[[Floats], Floats], at: Floats) -> float:
    J = _central_differences(residuals, at)
    length = np.linalg.norm(J, axis=0)
    if not np.all(np.isfinite(J)) or np.any(length == 0):
        return np.inf
    return float(np.linalg.cond(J / length)) if len(J) >= J.shape[1] else np.inf


def _central_differences(residuals: Callable[[Floats], Floats], at: Floats) -> Floats:
    """(n, p) Jacobian, to about 1e-10 of its size."""
    steps = np.finfo(float).eps ** (1 / 3) * np.where(at == 0, 1.0, np.abs(at))
    columns = [(residuals(at + h) - residuals(at - h)) / (2 * h.max()) for h in np.diag(steps)]
    return np.stack(columns, axis=1)


def _weighted_huber(delta: float, weights: Floats) -> tuple[Any, float]:
    """Give scipy's `loss` and `f_scale`: rho and its derivatives in z = (r / f_scale)^2, times the frequencies."""
    if np.isinf(delta):
        return lambda z: np.stack([weights * z, weights, np.zeros_like(z)]), 1.0

    def rho(z: Floats) -> Floats:
        outside = z > 1
        root = np.sqrt(np.where(outside, z, 1.0))
        return np.stack([
            weights * np.where(outside, 2 * root - 1, z),
            weights / root,
            weights * np.where(outside, -0.5 / root**3, 0.0),
        ])  # fmt: skip

    return rho, delta


def power_law_starts(x: Floats, loss: Floats, *, n_starts: int = 40, seed: int = 0) -> Floats:
    """Starts (E, log A, alpha) for E + A x^-alpha as the paper describes them; log A is at the mean of log x.

    Half take E from quantiles of the loss and the line through log(loss - E); the others scatter around such lines.
    Which quantiles, and how many starts are random, the paper does not say: both are our choice.

    Parameters
    ----------
    x, loss : (n,) arrays

    References
    ----------
    .. [1] arXiv:2601.10684, appendix B.1.
    """
    rng = np.random.default_rng(seed)
    u = np.log(x) - np.log(x).mean()
    quantiles = n_starts // 2
    offsets = np.quantile(loss, np.linspace(0.0, 0.5, quantiles))
    offsets[0] = 0.9999 * loss.min()
    starts = [_line_start(u, loss, E) for E in offsets]
    for _ in range(n_starts - quantiles):
        E, log_A, alpha = _line_start(u, loss, rng.uniform(0.0, loss.min()))
        starts.append((E, log_A + rng.normal(), alpha * np.exp(0.5 * rng.normal())))
    return np.array(starts)


def _line_start(u: Floats, loss: Floats, E: float) -> tuple[float, float, float]:
    above = loss > E
    slope, intercept = np.polyfit(u[above], np.log(loss[above] - E), 1) if above.sum() > 1 else (-0.5, 0.0)
    return float(E), float(intercept), float(max(-slope, 1e-3))
