"""LogSpace: any regressor as a loss surface, fitted to logarithms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from .hull import dimensions
from .objective import Objective, Squared, residuals
from .replicates import Flags, Progress, Refits, loop, refits
from .rows import check_positive, frequencies
from .status import Status

Floats = NDArray[np.float64]


class LogSpace(RegressorMixin, BaseEstimator):
    """A regressor of log loss on standardised log inputs; X and y are in raw units, and positive.

    Natural logarithms of inputs and loss are OUR choice: whether the paper's surfaces were fitted to the loss or to
    its logarithm is not known (appendix B.3 of [1]_ centres and normalises the inputs).

    Parameters
    ----------
    regressor : scikit-learn regressor
        Such as `AnovaKernelRidge()`, `NetworkRegressor()`, or `sklearn.gaussian_process.GaussianProcessRegressor()`.

    Attributes
    ----------
    regressor_ : regressor
        Fitted to (log X - center) / scale and log y.
    center_, scale_ : (k,) array
        Mean and standard deviation of the logarithms of the inputs, each row counted by its weight.
    objective_ : Huber, Squared or Absolute
        What `regressor` minimises, as a loss of log residuals; least squares if it does not say.
    objective_value_ : float
        Sum over rows of that loss, without any penalty.
    status_ : Status
        The most severe of `findings_`.
    findings_ : list of (Status, str)
        Everything that is wrong, and with what.
    search_ : dict
        What was fitted.

    References
    ----------
    .. [1] arXiv:2601.10684.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> N = np.geomspace(1e6, 1e9, 8)
    >>> model = LogSpace(LinearRegression()).fit(N[:, None], 30 * N**-0.1)
    >>> bool(np.isclose(model.predict([[1e10]])[0], 3.0))
    True
    """

    def __init__(self, regressor: Any) -> None:
        self.regressor = regressor

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the regressor to logarithms.

        Parameters
        ----------
        X : (n, k) array
            Inputs, positive, in raw units.
        y : (n,) array, nats per token
            Losses, positive.
        sample_weight : (n,) array, optional
            Frequencies: a weight of 2 is the row twice, 0 leaves it out.

        Raises
        ------
        ValueError
            If a value is not positive, or a weight not whole and the regressor takes no weights.
        """
        checked, losses = validate_data(self, X, y, dtype=float, y_numeric=True)
        inputs, loss = np.asarray(checked), np.asarray(losses, dtype=float)
        check_positive([*_names(inputs), "loss"], [*inputs.T, loss])
        weights = frequencies(sample_weight, len(loss))
        rows = weights > 0
        inputs, loss, weights = inputs[rows], loss[rows], weights[rows]
        scaler = _scaler(np.log(inputs), weights)
        Z, t = scaler.transform(np.log(inputs)), np.log(loss)
        if np.all(weights == 1):
            fitted = clone(self.regressor).fit(Z, t)
        elif has_fit_parameter(self.regressor, "sample_weight"):
            fitted = clone(self.regressor).fit(Z, t, sample_weight=weights)
        else:
            copies = _copies(weights, self.regressor)
            fitted = clone(self.regressor).fit(Z[copies], t[copies])
        return self._set(fitted, scaler.mean_, scaler.scale_, inputs, loss, weights)

    def _set(self, fitted: Any, center: Floats, scale: Floats, inputs: Floats, loss: Floats, weights: Floats) -> Self:
        self.regressor_, self.center_, self.scale_ = fitted, center, scale
        self.objective_: Objective = replace(getattr(fitted, "objective_", Squared()), space="log")
        rho = self.objective_.rho(residuals(self.objective_, loss, self._predict(inputs)))
        self.objective_value_ = float(np.sum(weights * rho))
        self.findings_ = [*_findings(np.log(inputs)), *getattr(fitted, "findings_", [])]
        self.status_ = Status.worst([status for status, _ in self.findings_])
        self.search_ = {"method": f"{type(fitted).__name__} of log loss on standardised log inputs"}
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Loss at inputs X, (n, k), in raw units; (n,) array, nats per token. It extrapolates without a word."""
        check_is_fitted(self)
        checked = np.asarray(validate_data(self, X, dtype=float, reset=False))
        check_positive(_names(checked), list(checked.T))
        return self._predict(checked)

    def _predict(self, X: Floats) -> Floats:
        with np.errstate(over="ignore"):
            logs = self.regressor_.predict((np.log(X) - self.center_) / self.scale_)
            return np.asarray(np.exp(logs), dtype=float)

    @property
    def degrees_of_freedom_(self) -> float:
        """Effective number of parameters, as the regressor counts it; 0 if it does not."""
        return float(getattr(self.regressor_, "degrees_of_freedom_", 0.0))

    def refits(
        self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike | None = None, progress: Progress | None = None
    ) -> Refits:
        """Refit to B tables that share their inputs; as a batch if the regressor can.

        Parameters
        ----------
        X : (n, k) array
            Inputs in raw units.
        Y : (B, n) or (1, n) array, nats per token
            Losses of each table, or of all.
        sample_weight : (B, n) or (1, n) array, optional
            Frequencies. Each table is standardised by its own.
        progress : callable, optional
            Called with the number of refits that are done, and of all.
        """
        check_is_fitted(self)
        inputs, losses = np.asarray(X, dtype=float), np.atleast_2d(np.asarray(Y, dtype=float))
        weights = None if sample_weight is None else np.atleast_2d(np.asarray(sample_weight, dtype=float))
        if not hasattr(self.regressor_, "refits"):
            return loop(self, inputs, losses, weights, progress)
        return LogRefits(self, inputs, losses, weights, progress)

    def to_state(self) -> dict[str, Any]:
        """Plain values that `from_state` reads back.

        Raises
        ------
        TypeError
            If the regressor has no such form.
        """
        check_is_fitted(self)
        name = type(self.regressor_).__name__
        if not hasattr(self.regressor_, "to_state"):
            raise TypeError(f"a {name} has no plain form to save; save the table and fit again.")
        return {
            "regressor": name,
            "state": self.regressor_.to_state(),
            "center": self.center_.tolist(),
            "scale": self.scale_.tolist(),
        }

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], kinds: Mapping[str, Any], X: Floats, y: Floats, weights: Floats
    ) -> LogSpace:
        """Fitted model of what `to_state` gave, with its rows; `kinds` are the regressors that can be read, by name.

        Raises
        ------
        KeyError, ValueError
            If the state is damaged or of an unknown regressor.
        """
        fitted = kinds[state["regressor"]].from_state(state["state"])
        made = cls(clone(fitted))
        made.n_features_in_ = X.shape[1]
        center, scale = np.asarray(state["center"], dtype=float), np.asarray(state["scale"], dtype=float)
        rows = weights > 0
        return made._set(fitted, center, scale, X[rows], y[rows], weights[rows])


class LogRefits(Refits):
    """Refits of a `LogSpace`, as one batch of its regressor."""

    def __init__(self, base: LogSpace, X: Floats, Y: Floats, weights: Floats | None, progress: Progress | None) -> None:
        check_positive(_names(X), list(X.T))
        self.base, self.X, self.Y, self.W = base, X, Y, weights
        logs, self.scales = np.log(X), _scales(np.log(X), weights)
        Z = self._standardised(logs)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.inner = refits(base.regressor_, Z, np.log(Y), weights, progress)
        self.failed = self.inner.failed
        self.parameters: Mapping[str, Floats] = {}
        self.flags: Flags = {**self.inner.flags, **self._flags(logs)}

    def _standardised(self, logs: Floats) -> Floats:
        """(m, k), or (B, m, k) where each refit has its own scale."""
        centers, scales = np.array(self.scales).swapaxes(0, 1)
        if len(centers) == 1:
            return np.asarray((logs - centers[0]) / scales[0])
        return np.asarray((logs - centers[:, None]) / scales[:, None])

    def _rows(self, index: int) -> Floats:
        """(n,) frequencies of a refit."""
        return np.ones(len(self.X)) if self.W is None else self.W[index % len(self.W)]

    def _flags(self, logs: Floats) -> Flags:
        found: dict[tuple[Status, str], NDArray[np.bool_]] = {}
        for place in range(1 if self.W is None else len(self.W)):
            rows = self._rows(place) > 0
            for finding in _findings(logs[rows]) if rows.any() else []:
                which = found.setdefault(finding, np.zeros(len(self.failed), dtype=bool))
                which[place if self.W is not None and len(self.W) > 1 else slice(None)] = True
        return found

    def model(self, index: int) -> LogSpace:
        """Fitted model of a refit."""
        center, scale = self.scales[index % len(self.scales)]
        made = LogSpace(self.base.regressor)
        made.n_features_in_ = self.base.n_features_in_
        weights = self._rows(index)
        rows = weights > 0
        y = self.Y[index % len(self.Y)]
        made._set(self.inner.model(index), center, scale, self.X[rows], y[rows], weights[rows])
        return made

    def predict(self, X: Floats) -> Floats:
        """(B, m) predicted losses at inputs X, (m, k), in raw units; nan where a refit failed."""
        with np.errstate(over="ignore"):
            return np.exp(self.inner.predict(self._standardised(np.log(X))))


def _scales(logs: Floats, weights: Floats | None) -> list[tuple[Floats, Floats]]:
    """Center and scale for each row of weights, one if all are alike."""
    if weights is None or np.all(weights == weights[:1]):
        weights = np.ones((1, len(logs))) if weights is None else weights[:1]
    made = []
    for own in weights:
        rows = own > 0
        if rows.any():
            scaler = _scaler(logs[rows], own[rows])
            made.append((scaler.mean_, scaler.scale_))
        else:  # such a refit fails
            made.append((np.zeros(logs.shape[1]), np.ones(logs.shape[1])))
    return made


def _scaler(logs: Floats, weights: Floats) -> StandardScaler:
    return StandardScaler().fit(logs, sample_weight=weights)


def _findings(logs: Floats) -> list[tuple[Status, str]]:
    """What is wrong with the inputs of a surface: they vary only together, or there are hardly more than of a plane."""
    found = [(Status.COLLINEAR, "inputs")] if dimensions(logs) < logs.shape[1] else []
    return [*found, *([(Status.NO_SPARE_ROWS, f"{len(logs)} rows")] if len(logs) <= logs.shape[1] + 1 else [])]


def _names(X: Floats) -> list[str]:
    return [f"input {column}" for column in range(X.shape[1])]


def _copies(weights: Floats, regressor: Any) -> NDArray[np.intp]:
    """Rows, each as often as its weight says."""
    if np.any(weights != np.round(weights)):
        row = int(np.argmax(weights != np.round(weights)))
        raise ValueError(
            f"{type(regressor).__name__} takes no sample_weight, so weights must be whole numbers of copies, but row "
            f"{row} has {weights[row]}. Choose a regressor that takes weights."
        )
    return np.repeat(np.arange(len(weights)), weights.astype(int))
