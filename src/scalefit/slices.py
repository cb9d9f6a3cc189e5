"""SlicedLaw: a law of one column fitted to every slice of a table, as one regressor of params and tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from .laws import Law
from .objective import Huber, Objective, residuals
from .parametric import LawRegressor
from .rows import check_positive, frequencies
from .selection import group_labels
from .status import Status

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

COLUMNS = ("params", "tokens")


class SlicedLaw(RegressorMixin, BaseEstimator):
    """L(D) at each N, or L(N) at each D, as one regressor: X holds params and tokens in raw units, y the loss.

    Every slice has its own parameters, as of `fit_curves`. Between two slices the prediction is interpolated linearly
    in the logarithm of the column that slices hold constant; beyond the first and the last it is theirs. So it
    answers at every row, and `validate` can score it beside a law or a surface.

    Parameters
    ----------
    law : Law class or LawRegressor
        Of one column, such as `PowerLaw`.
    along : {"tokens", "params"}
        Column that varies in a slice: the second or the first of X. The other is held constant.
    rtol : float
        Share by which the other grows within a slice at most.
    min_rows : int
        Rows that a slice needs; at least as many values of `along` as the law has free parameters too. The defaults
        are those of `LossTable.curves`.

    Attributes
    ----------
    slices_ : tuple of LawRegressor
        Fitted, in the order of the column that is held constant.
    ranges_ : (S, 2) array, count
        Smallest and largest value of that column in each slice.
    objective_ : Huber, Squared or Absolute
        Of the slices; where a rule gave each its own delta, with the median of them.
    objective_value_ : float
        Its sum over all rows, those in no slice included.
    status_ : Status
        The most severe of `findings_`.
    findings_ : list of (Status, str)
        What is wrong, and with how many slices.
    search_ : dict
        How many slices there are, and rows in none.

    References
    ----------
    .. [1] arXiv:2601.10684, Eq. 2. How to answer between slices is OUR choice.

    Examples
    --------
    >>> from scalefit.laws import PowerLaw
    >>> N, D = (axis.ravel() for axis in np.meshgrid([1e8, 1e9], np.geomspace(1e9, 1e11, 6)))
    >>> model = SlicedLaw(PowerLaw, along="tokens").fit(np.stack([N, D], axis=1), 2 + 400 * N**-0.3 + 90 * D**-0.25)
    >>> [round(part.law_.alpha, 6) for part in model.slices_]
    [0.25, 0.25]
    >>> bool(model.predict([[1e8, 1e12]])[0] > model.predict([[3e8, 1e12]])[0] > model.predict([[1e9, 1e12]])[0])
    True
    """

    inputs: ClassVar = COLUMNS

    def __init__(
        self, law: type[Law] | LawRegressor, *, along: str = "tokens", rtol: float = 1e-3, min_rows: int = 4
    ) -> None:
        self.law = law
        self.along = along
        self.rtol = rtol
        self.min_rows = min_rows

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the law to every slice.

        Parameters
        ----------
        X : (n, 2) array, counts
            Params and tokens, positive.
        y : (n,) array, nats per token
            Losses, positive.
        sample_weight : (n,) array, optional
            Frequencies: a weight of 2 is the row twice, 0 leaves it out.

        Raises
        ------
        TypeError
            If the law is none.
        ValueError
            If the law takes several columns, a value is unusable, or no slice has enough rows.
        """
        regressor, x, held = self._regressor(), COLUMNS.index(self.along), 1 - COLUMNS.index(self.along)
        checked, losses = validate_data(self, X, y, dtype=float, y_numeric=True)
        inputs, loss = np.asarray(checked), np.asarray(losses, dtype=float)
        if inputs.shape[1] != 2:
            raise ValueError(f"SlicedLaw takes 2 columns, params and tokens, but X has {inputs.shape[1]} features.")
        check_positive([*COLUMNS, "loss"], [*inputs.T, loss])
        weights = frequencies(sample_weight, len(loss))
        used = weights > 0
        inputs, loss, weights = inputs[used], loss[used], weights[used]
        parts = self._slices(inputs, weights, least_values=max(2, len(regressor.free_parameters())))
        self.slices_ = tuple(_fit_slice(regressor, COLUMNS[held], inputs[:, [x, held]], loss, weights, rows)
                             for rows in parts)  # fmt: skip
        self.ranges_ = np.array([[inputs[rows, held].min(), inputs[rows, held].max()] for rows in parts])
        self.objective_ = _typical([part.objective_ for part in self.slices_])
        errors = residuals(self.objective_, loss, self._predict(inputs))
        self.objective_value_ = float(np.sum(weights * self.objective_.rho(errors)))
        counts = Counter(status for part in self.slices_ for status in {status for status, _ in part.findings_})
        self.findings_ = [(status, f"{count} of {len(parts)} slices") for status, count in counts.items()]
        self.status_ = Status.worst(list(counts))
        method = f"{regressor.law.__name__} along {self.along} in {len(parts)} slices"
        self.search_ = {"method": method, "rows_in_no_slice": len(loss) - sum(map(len, parts))}
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Loss at params and tokens, (n, 2), in raw units; (n,) array, nats per token."""
        check_is_fitted(self)
        inputs = np.asarray(validate_data(self, X, dtype=float, reset=False))
        check_positive(COLUMNS, list(inputs.T))
        return self._predict(inputs)

    def _predict(self, X: Floats) -> Floats:
        x = COLUMNS.index(self.along)
        low, high = np.log(self.ranges_).T
        place, last = np.log(X[:, 1 - x]), len(low) - 1
        below = np.searchsorted(low, place, side="right") - 1  # the last slice that begins at or below; -1 before all
        left, right = np.maximum(below, 0), np.minimum(below + 1, last)
        gap = np.where(left < right, low[right] - high[left], 1.0)
        share = np.where(left < right, np.clip((place - high[left]) / gap, 0.0, 1.0), 0.0)
        losses = np.array([part.law_(X[:, x]) for part in self.slices_])  # (S, n)
        rows = np.arange(len(X))
        return np.asarray((1 - share) * losses[left, rows] + share * losses[right, rows])

    @property
    def degrees_of_freedom_(self) -> float:
        """Free parameters over all slices."""
        return float(sum(len(part.free_) for part in self.slices_))

    def _regressor(self) -> Any:
        """The law as a regressor, with the settings checked."""
        if self.along not in COLUMNS:
            raise ValueError(f"along must be one of {', '.join(map(repr, COLUMNS))}, not {self.along!r}.")
        if not 0 <= self.rtol < np.inf:
            raise ValueError(f"rtol must be zero or positive and finite, but it is {self.rtol}. The default is 1e-3.")
        if self.min_rows < 2:
            raise ValueError(f"min_rows must be at least 2, but it is {self.min_rows}: one row is no curve.")
        is_law = isinstance(self.law, type) and issubclass(self.law, Law)
        if not (is_law or isinstance(self.law, LawRegressor)):
            raise TypeError(f"law must be a Law class or a LawRegressor of one column, not {self.law!r}.")
        regressor: Any = LawRegressor(self.law) if is_law else self.law
        if regressor.law.n_inputs() != 1:
            takes = f"{regressor.law.__name__} takes {regressor.law.n_inputs()} columns"
            raise ValueError(f"{takes}; slices need a law of one, such as PowerLaw.")
        return regressor

    def _slices(self, X: Floats, weights: Floats, least_values: int) -> list[Rows]:
        """Rows of each slice that can be fitted."""
        x, least = COLUMNS.index(self.along), max(self.min_rows, least_values)
        labels = group_labels(X[:, 1 - x], self.rtol)
        groups = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
        counts = [float(weights[rows].sum()) for rows in groups]
        values = [len(np.unique(X[rows, x])) for rows in groups]
        good = [count >= least and several >= least_values for count, several in zip(counts, values, strict=True)]
        if not any(good):
            raise ValueError(
                f"no slice at constant {COLUMNS[1 - x]} can be fitted: each needs {least} rows or more, at "
                f"{least_values} values of {self.along}, and the largest of {len(groups)} has {max(counts):g} rows. "
                f"Try a coarser rtol (now {self.rtol:g}), or fit a law of both columns."
            )
        return [rows for rows, usable in zip(groups, good, strict=True) if usable]


def _fit_slice(regressor: Any, at: str, X: Floats, loss: Floats, weights: Floats, rows: Rows) -> LawRegressor:
    """Law of one slice; X holds the column that varies and the one that is held."""
    try:
        made: LawRegressor = clone(regressor).fit(X[rows, :1], loss[rows], sample_weight=weights[rows])
    except ValueError as error:
        raise ValueError(f"the slice at {at} {np.median(X[rows, 1]):.6g} cannot be fitted: {error}") from error
    return made


def _typical(objectives: list[Objective]) -> Objective:
    """Objective of slices, with the median of their deltas."""
    first = objectives[0]
    if not isinstance(first, Huber):
        return first
    return replace(first, delta=float(np.median([float(one.delta) for one in objectives])))
