"""Surfaces of one kernel: solved alone or together, with their means and objectives; `AnovaKernelRidge.refits`."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .anova import Anova
from .huber_ridge import HuberRidge, Optima, solve, solve_together
from .objective import Huber, Objective, Squared
from .replicates import Bools, Flags, Floats, Progress, Refits
from .status import Status

BLOCK = 1_000_000  # numbers in one array of refits times rows: a bound on memory


def check_settings(ridge: float, delta: float) -> None:
    """Raise TypeError or ValueError unless ridge is positive and finite, and delta positive.

    Examples
    --------
    >>> check_settings(1e-3, np.inf)
    """
    for name, value, most in (("ridge", ridge, "and finite"), ("delta", delta, "(inf gives least squares)")):
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"{name} must be a number, not {value!r}.")
        if not (value > 0 and (name == "delta" or np.isfinite(value))):
            raise ValueError(f"{name} must be positive {most}, not {value!r}.")


def loss_of(delta: float) -> Objective:
    """Loss of the residuals: Huber's, or its limit for an infinite delta.

    Examples
    --------
    >>> loss_of(np.inf)
    Squared(space='raw')
    """
    return Squared() if np.isinf(delta) else Huber(float(delta))


@dataclass(frozen=True)
class Surfaces:
    """B surfaces, mean + K c.

    Parameters
    ----------
    dual : (B, n) array
        Coefficients c, zero for rows without a weight.
    mean : (B,) array
        Weighted means of y.
    rounds : (B,) array of int
        Newton steps.
    converged : (B,) array of bool
    value, penalty : (B,) array
        sum_i w_i rho(residual_i), and ridge / 2 c'K c.

    Examples
    --------
    >>> one = alone(np.eye(2), np.array([1.0, 5.0]), np.ones(2), ridge=1.0, delta=np.inf)
    >>> one.mean.tolist(), one.dual.round(12).tolist(), one.value.round(12).tolist(), one.penalty.round(12).tolist()
    ([3.0], [[-1.0, 1.0]], [1.0], [1.0])
    """

    dual: Floats
    mean: Floats
    rounds: NDArray[np.intp]
    converged: Bools
    value: Floats
    penalty: Floats


def alone(K: Floats, y: Floats, w: Floats, *, ridge: float, delta: float, like: Floats | None = None) -> Surfaces:
    """Surface of one table.

    Parameters
    ----------
    K : (n, n) array
    y, w : (n,) array
        Outputs, and frequencies of which some may be zero.
    ridge, delta : float
    like : (n,) array, optional
        Coefficients of a surface with similar residuals.

    Raises
    ------
    ValueError
        If the kernel with this ridge is singular to rounding.

    Examples
    --------
    >>> alone(np.eye(3), np.array([1.0, 5.0, 7.0]), np.array([1.0, 1.0, 0.0]), ridge=1.0, delta=0.5).dual.tolist()
    [[-0.5, 0.5, 0.0]]
    """
    rows, mean = w > 0, np.average(y, weights=w)
    problem = _problem(K, w, ridge, delta)
    optimum = solve(problem, y[rows] - mean, None if like is None else like[rows])
    return _surfaces(problem, optimum, y[None], w[None], np.array([mean]), rows)


def together(K: Floats, Y: Floats, W: Floats, *, ridge: float, delta: float, like: Floats) -> Surfaces:
    """Surfaces of B tables whose weights, (B, n), differ only in which are zero.

    Raises
    ------
    ValueError
        If the kernel with this ridge is singular to rounding.

    Examples
    --------
    >>> Y, without_one = np.array([[1.0, 5.0, 9.0]] * 2), np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    >>> together(np.eye(3), Y, without_one, ridge=1.0, delta=0.5, like=np.zeros(3)).mean.tolist()
    [7.0, 3.0]
    """
    common = W.max(axis=0)
    rows, mean = common > 0, np.sum(W * Y, axis=1) / np.sum(W, axis=1)
    problem = _problem(K, common, ridge, delta)
    optima = solve_together(problem, Y[:, rows] - mean[:, None], W[:, rows] > 0, like[rows])
    return _surfaces(problem, optima, Y, W, mean, rows)


def _problem(K: Floats, w: Floats, ridge: float, delta: float) -> HuberRidge:
    rows = w > 0
    return HuberRidge(K if rows.all() else K[np.ix_(rows, rows)], w[rows], float(ridge), float(delta))


def _surfaces(problem: HuberRidge, optima: Optima, Y: Floats, W: Floats, mean: Floats, rows: Bools) -> Surfaces:
    dual = np.zeros(Y.shape)
    dual[:, rows] = optima.dual
    rho = loss_of(problem.delta).rho(Y[:, rows] - mean[:, None] - optima.fitted)
    penalty = problem.ridge / 2 * np.sum(optima.dual * optima.fitted, axis=1)
    return Surfaces(dual, mean, optima.rounds, optima.converged, np.sum(W[:, rows] * rho, axis=1), penalty)


class KernelRefits(Refits):
    """Refits of an `AnovaKernelRidge`.

    Refits with the same inputs and weights, but for weights of zero, are solved together; others one by one.

    Parameters
    ----------
    model : AnovaKernelRidge
        Fitted.
    kernel : Anova
    X : (n, k) or (B, n, k) array
    Y, W : (B or 1, n) array
    like : array
        Coefficients of the model, a start where there are as many rows.
    progress : callable, optional

    Raises
    ------
    ValueError
        If X holds another number of refits than Y and W.
    """

    def __init__(
        self, model: Any, kernel: Anova, X: Floats, Y: Floats, W: Floats, like: Floats, progress: Progress | None
    ) -> None:
        B, n = max(len(Y), len(W), len(X) if X.ndim == 3 else 1), X.shape[-2]
        if X.ndim == 3 and {len(X), len(Y), len(W)} - {1, B}:
            raise ValueError(
                f"X has the inputs of {len(X)} refits, Y and sample_weight those of {max(len(Y), len(W))}."
            )
        like = like if len(like) == n else np.zeros(n)
        self.base, self.kernel, self.like, self.X, self.Y, self.W = model, kernel, like, X, Y, W
        self.failed = np.broadcast_to(
            ~np.isfinite(Y).all(axis=1) | ~W.any(axis=1) | ~np.isfinite(X).all(axis=(-2, -1)), B
        ).copy()
        self.parameters = {}
        self.surfaces = Surfaces(
            np.zeros((B, n)), np.full(B, np.nan), np.zeros(B, dtype=np.intp), np.zeros(B, dtype=bool),
            np.full(B, np.nan), np.full(B, np.nan),
        )  # fmt: skip
        K = kernel(X, X) if X.ndim == 2 else None
        shared = K is not None and bool(np.all((W == 0) | (W.max(axis=0) == W)))
        step = max(16, BLOCK // n) if shared else 1
        for first in range(0, B, step):
            which = np.arange(first, min(first + step, B))
            which = which[~self.failed[which]]
            if len(which):
                self._solve(which, K, shared=shared)
            if progress is not None:
                progress(min(first + step, B), B)
        doubtful = ~self.surfaces.converged & ~self.failed
        about = (Status.NOT_CONVERGED, type(model).__name__)
        self.flags: Flags = {about: doubtful} if doubtful.any() else {}

    def _solve(self, which: NDArray[np.intp], K: Floats | None, *, shared: bool) -> None:
        """Fill in some surfaces; those that a fit would refuse have failed."""
        settings = {"ridge": self.base.ridge, "delta": self.base.delta, "like": self.like}
        Y, W = self.Y[which % len(self.Y)], self.W[which % len(self.W)]
        try:
            if shared and K is not None:
                found = together(K, Y, W, **settings)
            else:
                X = self.X if self.X.ndim == 2 else self.X[which[0]]
                found = alone(self.kernel(X, X) if K is None else K, Y[0], W[0], **settings)
        except ValueError:  # the ridge is lost in rounding, perhaps not for every table
            self.failed[which] = not shared
            for b in which if shared else ():
                self._solve(np.array([b]), K, shared=False)
            return
        for field in fields(Surfaces):
            getattr(self.surfaces, field.name)[which] = getattr(found, field.name)

    def model(self, index: int) -> Any:
        """AnovaKernelRidge of one refit."""
        X = self.X if self.X.ndim == 2 else self.X[index]
        one = {field.name: getattr(self.surfaces, field.name)[[index]] for field in fields(Surfaces)}
        return copy(self.base)._set(X, self.W[index % len(self.W)], Surfaces(**one))

    def predict(self, X: Floats) -> Floats:
        """(B, m) predictions at inputs X, (m, k), or (B, m, k) for each refit; nan where a refit failed."""
        good, values = np.flatnonzero(~self.failed), np.full((len(self), X.shape[-2]), np.nan)
        dual = self.surfaces.dual
        if self.X.ndim == X.ndim == 2:
            values[good] = self.kernel.sums(X, self.X, dual[good].T).T
        else:
            for b in good:
                at, rows = (every if every.ndim == 2 else every[b] for every in (X, self.X))
                values[b] = self.kernel.sums(at, rows, dual[b])
        return values + self.surfaces.mean[:, None]
