"""An independent fitter: scipy's trust region with analytic Jacobian and tight tolerances, from several starts."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares


def oracle(logs, y, weights, *, log, delta, starts, exponent_bounds, upward=1.0):
    """Least objective that scipy finds for E + sum_k exp(l_k - alpha_k g_k): sum of w rho_delta(r).

    Scipy's rho does not know the sign of r, so with `upward` the rows are there twice: as far as r is positive, and as
    far as it is negative.

    logs: (K, n) columns g_k. starts: list of natural (E, log A_k, alpha_k). exponent_bounds: (K, 2).
    """
    K = len(logs)
    centre = logs.mean(axis=1)
    u = logs - centre[:, None]

    def parts(theta):
        terms = np.exp(theta[1 : 1 + K, None] - theta[1 + K :, None] * u)
        return terms, theta[0] + terms.sum(axis=0)

    def residual(theta):
        _, f = parts(theta)
        return np.log(y) - np.log(f) if log else y - f

    def jacobian(theta):
        terms, f = parts(theta)
        J = -np.concatenate([np.ones((1, len(y))), terms, -u * terms]).T
        return J / f[:, None] if log else J

    def sides(theta):
        r = residual(theta)
        return np.concatenate([np.maximum(r, 0), np.minimum(r, 0)])

    def slopes_of_sides(theta):
        above = (residual(theta) > 0)[:, None]
        J = jacobian(theta)
        return np.concatenate([J * above, J * ~above])

    fun, jac, w = residual, jacobian, weights
    if upward != 1:
        fun, jac, w = sides, slopes_of_sides, np.concatenate([upward * weights, weights])
    zone = 1.0 if np.isinf(delta) else delta

    def rho(z):
        # z = (r / delta)^2 for the Huber loss, r^2 for least squares
        if np.isinf(delta):
            return np.stack([w * z, w, 0 * z])
        root = np.sqrt(np.maximum(z, 1))
        return np.stack([w * np.where(z > 1, 2 * root - 1, z), w / root, w * np.where(z > 1, -0.5 / root**3, 0)])

    counted = np.repeat(y, 1)[weights > 0]
    low = np.r_[0.0, np.full(K, -60.0), exponent_bounds[:, 0]]
    high = np.r_[weighted_median(counted, weights[weights > 0]), np.full(K, 60.0), exponent_bounds[:, 1]]
    best = np.inf
    for start in starts:
        theta = np.array(start, dtype=float)
        theta[1 : 1 + K] -= theta[1 + K :] * centre
        width = high - low
        theta = np.clip(theta, low + 1e-8 * width, high - 1e-8 * width)
        with np.errstate(all="ignore"):
            fit = least_squares(
                fun, theta, jac=jac, bounds=(low, high), loss=rho, f_scale=zone,
                x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=1000,
            )  # fmt: skip
        best = min(best, objective(residual(fit.x), weights, delta, upward))
    return best


def objective(r, weights, delta, upward=1.0):
    """Weighted sum of the Huber loss, times `upward` where r is positive."""
    inner = np.minimum(np.abs(r), delta)
    return float(np.sum(weights * np.where(r > 0, upward, 1) * inner * (np.abs(r) - inner / 2)))


def weighted_median(values, weights):
    """Median of rows repeated by whole weights; by interpolation-free order statistics otherwise."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order]) / weights.sum()
    low = values[order][np.searchsorted(cumulative, 0.5 - 1e-12)]
    high = values[order][np.searchsorted(cumulative, 0.5 + 1e-12)]
    return (low + high) / 2
