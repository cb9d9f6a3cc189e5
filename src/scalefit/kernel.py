"""AnovaKernelRidge: a smooth surface without a formula, as a sum of functions of one column and of pairs of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from .anova import Anova, anova
from .kernel_refits import KernelRefits, Surfaces, alone, check_settings, loss_of
from .objective import Objective
from .refitting import as_tables
from .replicates import Floats, Progress
from .rows import frequencies
from .status import Status

MOST_ROWS = 10_000  # a kernel of 0.8 GB, of which a fit holds four
FREE = 1 - 1e-9  # of the largest coefficient; a row within rounding of it is bound


class AnovaKernelRidge(RegressorMixin, BaseEstimator):
    """A sum of smooth functions, one of each column and one of each pair of columns, by Huber's loss with a ridge.

    f = mean + K c has the least sum_i w_i rho_delta(y_i - f(x_i)) + ridge / 2 c'K c, a convex problem that is solved
    exactly. Its kernel is sum_j a_j k_j + sum_{i<j} a_ij k_i k_j, with k_j(x, x') = exp(-(x_j - x'_j)^2 / (2 l_j^2));
    for two columns, that of appendix B.3 of [1]_. The mean is the weighted mean of y. Inputs are taken as they are.

    Parameters
    ----------
    main : float or sequence of float
        Amplitudes a_j of the functions of one column: one number for all, or one each. 0 leaves them out.
    interaction : float or sequence of float
        Amplitudes a_ij of the functions of two columns, in the order of `itertools.combinations`. With main=0 and
        interaction=1 two columns have the plain RBF kernel.
    length_scale : float or sequence of float
        l_j, in the units of the columns.
    ridge : float
        Positive.
    delta : float, units of y
        Half-width of the quadratic zone, positive; infinite for least squares.

    Attributes
    ----------
    dual_coef_ : (n,) array
        Coefficients c, zero for rows without a weight.
    X_fit_, sample_weight_ : (n, k) and (n,) array
        Rows of the fit.
    intercept_ : float
        Weighted mean of y.
    n_iter_ : int
        Newton steps from the quadratic optimum.
    converged_ : bool
        Whether ridge c_i = w_i psi(y_i - f(x_i)) to 1e-10 of the largest psi, or to rounding; psi cuts a residual to
        [-delta, delta].
    objective_ : Huber or Squared
        Without the penalty.
    objective_value_ : float
        sum_i w_i rho(y_i - f(x_i)), without the penalty.
    penalty_ : float
        ridge / 2 c'K c.
    status_ : Status
        The most severe of `findings_`.
    findings_ : list of (Status, str)
        Everything that is wrong, and with what.

    Notes
    -----
    The defaults are not from the paper (values unknown), but for delta. They are for columns of unit variance and for
    logarithms of losses.

    References
    ----------
    .. [1] arXiv:2601.10684.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((60, 2))
    >>> y = X[:, 0] ** 2 + np.sin(X[:, 1])
    >>> y[3] = 100.0
    >>> model = AnovaKernelRidge().fit(X, y)
    >>> model.status_
    <Status.OK>
    >>> bool(abs(model.predict([[1.0, 0.5]])[0] - 1.479) < 0.02)
    True
    >>> {name: values.shape for name, values in model.components(X).items()}
    {'x0': (60,), 'x1': (60,), 'x0 x x1': (60,)}
    """

    def __init__(
        self,
        *,
        main: float | Sequence[float] = 1.0,
        interaction: float | Sequence[float] = 1.0,
        length_scale: float | Sequence[float] = 1.0,
        ridge: float = 1e-3,
        delta: float = 1e-3,
    ) -> None:
        self.main = main
        self.interaction = interaction
        self.length_scale = length_scale
        self.ridge = ridge
        self.delta = delta

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the surface.

        Parameters
        ----------
        X : (n, k) array
        y : (n,) array
        sample_weight : (n,) array, optional
            Frequencies: a weight of 2 is the row twice, 0 leaves it out.

        Raises
        ------
        ValueError
            If a parameter or weight is not what it must be, if there are over 10,000 rows, or if the ridge is lost in
            the rounding of the kernel.
        """
        checked, outputs = validate_data(self, X, y, dtype=float, y_numeric=True)
        rows, values = np.asarray(checked), np.asarray(outputs, dtype=float)
        weights, kernel = frequencies(sample_weight, len(rows)), self._kernel(rows)
        fitted = alone(kernel(rows, rows), values, weights, ridge=self.ridge, delta=self.delta)
        return self._set(rows, weights, fitted)

    def _set(self, X: Floats, weights: Floats, fitted: Surfaces) -> Self:
        self.X_fit_, self.sample_weight_ = X, weights
        self.dual_coef_, self.intercept_ = fitted.dual[0], float(fitted.mean[0])
        self.n_iter_, self.converged_ = int(fitted.rounds[0]), bool(fitted.converged[0])
        self.objective_value_, self.penalty_ = float(fitted.value[0]), float(fitted.penalty[0])
        return self

    def _kernel(self, X: Floats) -> Anova:
        """Kernel for rows X, (n, k), behind the one door of all parameters."""
        if len(X) > MOST_ROWS:
            raise ValueError(
                f"AnovaKernelRidge takes at most {MOST_ROWS} rows, but there are {len(X)}: it holds a number for every "
                "pair of rows. Fit a sample of the rows, or another regressor."
            )
        check_settings(self.ridge, self.delta)
        return anova(X.shape[1], main=self.main, interaction=self.interaction, length_scale=self.length_scale)

    @property
    def objective_(self) -> Objective:
        """Loss of the residuals, without the penalty."""
        check_is_fitted(self)
        return loss_of(self.delta)

    @property
    def findings_(self) -> list[tuple[Status, str]]:
        """Everything that is wrong, and with what."""
        check_is_fitted(self)
        return [] if self.converged_ else [(Status.NOT_CONVERGED, type(self).__name__)]

    @property
    def status_(self) -> Status:
        """The most severe of `findings_`."""
        return Status.worst([status for status, _ in self.findings_])

    @property
    def degrees_of_freedom_(self) -> float:
        """Effective number of parameters: the trace of the derivative of the fitted values by y, and 1 for the mean.

        With F the rows inside the quadratic zone that is trace(K_FF (K_FF + ridge / w_F)^-1) + 1; our definition.
        """
        check_is_fitted(self)
        w = self.sample_weight_
        free = w > 0
        free[free] = np.abs(self.ridge * self.dual_coef_[free]) < FREE * w[free] * self.delta
        X = self.X_fit_[free]
        K = self._kernel(X)(X, X)
        return 1.0 + float(np.trace(cho_solve(cho_factor(K + np.diag(self.ridge / w[free])), K)))

    def predict(self, X: ArrayLike) -> Floats:
        """(m,) array of predictions at inputs X, (m, k)."""
        check_is_fitted(self)
        rows = np.asarray(validate_data(self, X, dtype=float, reset=False))
        return self._kernel(self.X_fit_).sums(rows, self.X_fit_, self.dual_coef_) + self.intercept_

    def components(self, X: ArrayLike) -> dict[str, Floats]:
        """Functions of one column and of pairs of columns, by name, each (m,), at inputs X, (m, k).

        Their sum is `predict` less `intercept_`. The functions of one column are not centred: what is constant may be
        in any of them.

        Examples
        --------
        >>> X = np.linspace(0, 1, 20)[:, None] ** [1, 3]
        >>> model = AnovaKernelRidge(interaction=0).fit(X, X[:, 0])
        >>> sorted(model.components(X))
        ['x0', 'x0 x x1', 'x1']
        """
        check_is_fitted(self)
        rows = np.asarray(validate_data(self, X, dtype=float, reset=False))
        columns = list(getattr(self, "feature_names_in_", [f"x{j}" for j in range(rows.shape[1])]))
        names = [*columns, *(f"{i} x {j}" for i, j in combinations(columns, 2))]
        found = self._kernel(self.X_fit_).terms(rows, self.X_fit_, self.dual_coef_)
        return dict(zip(names, found, strict=True))

    def refits(
        self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike | None = None, progress: Progress | None = None
    ) -> KernelRefits:
        """Refit to B tables.

        Parameters
        ----------
        X : (n, k) array, or (B, n, k) array
            Inputs that all refits share, or of each.
        Y : (B, n) or (1, n) array
        sample_weight : (B, n) or (1, n) array, optional
            Frequencies.
        progress : callable, optional
            Called with the number of refits that are done, and of all.

        Returns
        -------
        KernelRefits
            A lazy sequence of B fitted regressors. A table that `fit` would refuse counts as failed.

        Raises
        ------
        ValueError
            If shapes do not agree.
        """
        check_is_fitted(self)
        inputs, like = np.asarray(X, dtype=float), self.dual_coef_
        if inputs.ndim not in (2, 3) or inputs.shape[-1] != self.n_features_in_:
            raise ValueError(
                f"X must be (n, {self.n_features_in_}) or (B, n, {self.n_features_in_}), not {inputs.shape}."
            )
        kernel = self._kernel(inputs if inputs.ndim == 2 else inputs[0])
        return KernelRefits(self, kernel, inputs, *as_tables(Y, sample_weight, inputs.shape[-2]), like, progress)

    def chosen(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *,
        ridge: Sequence[float] = (1e-4, 1e-3, 1e-2), length_scale: Sequence[Any] = (0.5, 1.0, 2.0),
    ) -> Self:  # fmt: skip
        """Fitted copy with the ridge and length scale whose leave-one-out errors are least.

        Each row is predicted by a refit without it. An error counts as in the fit, w rho_delta(error); so with a small
        delta it is the mean absolute error that is made small, and outliers do not choose.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        ridge, length_scale : sequence
            Values of the parameters, of which all pairs are tried. The grid is ours.

        Returns
        -------
        AnovaKernelRidge
            With `leave_one_out_`, a list of what was tried: ridge, length_scale and the sum of w rho over the rows.

        Raises
        ------
        ValueError
            As for `fit`, or if there is one row.

        Examples
        --------
        >>> X = np.random.default_rng(0).uniform(-2, 2, (40, 1))
        >>> best = AnovaKernelRidge(delta=0.01).chosen(X, np.sin(3 * X[:, 0]), ridge=[1e-3, 10.0], length_scale=[1.0])
        >>> best.ridge
        0.001
        """
        tried = [
            clone(self).set_params(ridge=a, length_scale=b).fit(X, y, sample_weight)
            for a, b in product(ridge, length_scale)
        ]
        totals = [_leave_one_out(model, np.ravel(y)) for model in tried]
        best: Self = tried[int(np.argmin(totals))]
        best.leave_one_out_ = [
            {"ridge": model.ridge, "length_scale": model.length_scale, "loss": total}
            for model, total in zip(tried, totals, strict=True)
        ]
        return best

    def to_state(self) -> dict[str, Any]:
        """Plain values that `from_state` reads back, also by way of JSON: the same predictions to the last bit."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        return {
            "parameters": {
                **{name: np.asarray(getattr(self, name)).tolist() for name in ("main", "interaction", "length_scale")},
                "ridge": float(self.ridge),
                "delta": None if np.isinf(self.delta) else float(self.delta),  # JSON has no infinity
            },
            "names": None if names is None else list(names),
            "X": self.X_fit_.tolist(),
            "sample_weight": self.sample_weight_.tolist(),
            "dual": self.dual_coef_.tolist(),
            "intercept": self.intercept_,
            "rounds": self.n_iter_,
            "converged": self.converged_,
            "value": self.objective_value_,
            "penalty": self.penalty_,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Fitted model of what `to_state` gave.

        Raises
        ------
        ValueError
            If the state is damaged.

        Examples
        --------
        >>> X = np.linspace(0, 1, 9)[:, None]
        >>> model = AnovaKernelRidge().fit(X, X[:, 0] ** 2)
        >>> bool(np.all(AnovaKernelRidge.from_state(model.to_state()).predict(X) == model.predict(X)))
        True
        """
        try:
            parameters = dict(state["parameters"])
            model = cls(**{**parameters, "delta": np.inf if parameters["delta"] is None else parameters["delta"]})
            X, dual = np.array(state["X"], dtype=float), np.array(state["dual"], dtype=float)
            numbers = {name: np.array([state[name]], dtype=float) for name in ("intercept", "value", "penalty")}
            if X.ndim != 2 or dual.shape != X.shape[:1]:
                raise ValueError(f"X has the shape {X.shape} and dual {dual.shape}")
            if not all(np.isfinite(array).all() for array in (X, dual, *numbers.values())):
                raise ValueError("a number is not finite")
            model._kernel(X)
            weights, names = frequencies(state["sample_weight"], len(X)), state["names"]
            rounds, converged = np.array([int(state["rounds"])]), np.array([bool(state["converged"])])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the state of an AnovaKernelRidge is damaged: {error}. Fit again.") from error
        if names is not None:
            model.feature_names_in_ = np.array(names, dtype=object)
        model.n_features_in_ = X.shape[1]
        fitted = Surfaces(dual[None], numbers["intercept"], rounds, converged, numbers["value"], numbers["penalty"])
        return model._set(X, weights, fitted)


def _leave_one_out(model: AnovaKernelRidge, y: Floats) -> float:
    """Sum of w rho over the rows, each predicted by a refit without it."""
    X, w = model.X_fit_, model.sample_weight_
    left = model.refits(X, y[None], (1 - np.eye(len(w))) * w)
    if left.failed.any():
        raise ValueError("to leave a row out there must be two rows with a weight. Add runs.")
    return float(np.sum(w * model.objective_.rho(y - np.diag(left.predict(X)))))
