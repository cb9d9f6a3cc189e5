"""Many refits of one model to tables that share their inputs: a lazy sequence of fitted models, read as arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from .status import Status

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Flags = Mapping[tuple[Status, str], Bools]
Progress = Callable[[int, int], None]


class Refits(Sequence[Any], ABC):
    """B refits of a model: a sequence of fitted models, made when asked for, beside arrays over all of them.

    Attributes
    ----------
    failed : (B,) array of bool
        Refits that have no numbers, because their rows cannot be fitted; indexing one raises ValueError.
    parameters : mapping of str to (B,) array
        Parameters of a law, nan where a refit failed; empty for a model without them.
    flags : mapping of (Status, str) to (B,) array of bool
        What is wrong with which refits, and what it is about.
    """

    failed: Bools
    parameters: Mapping[str, Floats]
    flags: Flags

    def __len__(self) -> int:
        return len(self.failed)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        if self.failed[at]:
            raise ValueError(f"refit {at} failed: its rows cannot be fitted.")
        return self.model(at)

    @abstractmethod
    def model(self, index: int) -> Any:
        """Fitted model of a refit that did not fail."""

    def predict(self, X: Floats) -> Floats:
        """(B, m) predicted losses at inputs X, (m, k), or (B, m, k) for each refit; nan where a refit failed."""
        values = np.full((len(self), X.shape[-2]), np.nan)
        for index in np.flatnonzero(~self.failed):
            values[index] = self.model(int(index)).predict(X if X.ndim == 2 else X[index])
        return values


class Loop(Refits):
    """Refits of any regressor, one `clone(model).fit` after the other."""

    def __init__(self, models: Sequence[Any]) -> None:
        self.models = models
        self.failed = np.array([model is None for model in models], dtype=bool)
        laws = [getattr(model, "law_", None) for model in models]
        names = next((law.parameters() for law in laws if law is not None), ())
        self.parameters = {
            name: np.array([np.nan if law is None else getattr(law, name) for law in laws]) for name in names
        }
        flags: dict[tuple[Status, str], Bools] = {}
        for index, model in enumerate(models):
            for finding in getattr(model, "findings_", []):
                flags.setdefault(tuple(finding), np.zeros(len(models), dtype=bool))[index] = True
        self.flags = flags

    def model(self, index: int) -> Any:
        """Fitted model."""
        return self.models[index]


def refits(
    model: Any, X: Floats, Y: Floats, sample_weight: Floats | None = None, progress: Progress | None = None
) -> Refits:
    """Refit a fitted model to B tables that share its inputs, with the objective that it resolved.

    Parameters
    ----------
    model : scikit-learn regressor
        Fitted. Its own method `refits(X, Y, sample_weight, progress)` is used where it has one, a loop over
        `clone(model).fit` elsewhere.
    X : (n, k) array, or (B, n, k) array
        Inputs that all refits share, or of each.
    Y : (B, n) or (1, n) array, nats per token
        Losses of each refit, or of all.
    sample_weight : (B, n) array, optional
        Frequencies.
    progress : callable, optional
        Called with the number of refits that are done, and of all.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> X, y = np.array([[1.0], [2.0], [3.0]]), np.array([3.0, 2.0, 1.5])
    >>> leave_one_out = refits(LinearRegression().fit(X, y), X, y[None], 1 - np.eye(3))
    >>> leave_one_out.predict(X)[0].round(6).tolist()
    [2.5, 2.0, 1.5]
    """
    if hasattr(model, "refits"):
        made: Refits = model.refits(X, Y, sample_weight, progress)
        return made
    return loop(model, X, Y, sample_weight, progress)


def loop(
    model: Any, X: Floats, Y: Floats, sample_weight: Floats | None = None, progress: Progress | None = None
) -> Refits:
    """Refits one by one; one whose rows cannot be fitted counts as failed.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> X, y = np.array([[1.0], [2.0], [3.0]]), np.array([3.0, 2.0, 1.5])
    >>> len(loop(LinearRegression().fit(X, y), X, np.stack([y, 2 * y])))
    2
    """
    B = max(len(Y), 1 if sample_weight is None else len(sample_weight), len(X) if X.ndim == 3 else 1)
    settings = {"objective": model.objective_} if "objective" in model.get_params(deep=False) else {}
    models: list[Any] = []
    for b in range(B):
        weights = {} if sample_weight is None else {"sample_weight": sample_weight[b % len(sample_weight)]}
        try:
            inputs = X if X.ndim == 2 else X[b]
            models.append(clone(model).set_params(**settings).fit(inputs, Y[b % len(Y)], **weights))
        except ValueError:
            models.append(None)
        if progress is not None:
            progress(b + 1, B)
    return Loop(models)
