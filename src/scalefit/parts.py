"""The refits of one fit, and what a statistic is: a parameter, a forecast, or any function of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .laws import Law
from .replicates import Refits
from .result import Fit
from .schemes import Labels, Scheme
from .table import LossTable

Floats = NDArray[np.float64]
Statistic = str | Mapping[str, Any] | Callable[[Any], float]


@dataclass(frozen=True, eq=False)
class Part:
    """Refits of one fit.

    Attributes
    ----------
    fit : Fit
    labels : (n,) array of int
        Unit (row or cluster) of each row of the table: a column of the draws.
    losses : (B, n) or (1, n) array
        What was fitted.
    counts : (B, n) array, optional
        How often each row was drawn; None for a wild bootstrap.
    refits : Refits
        Of the resamples.
    jackknife : Refits
        Without each unit of this fit, in the order of `units`.
    """

    fit: Fit
    labels: Labels
    losses: Floats
    counts: Floats | None
    refits: Refits
    jackknife: Refits

    @cached_property
    def units(self) -> Labels:
        """(U,) the units that the rows of this fit belong to, sorted."""
        return np.unique(self.labels)

    def resample(self, b: int) -> Fit:
        """Fit to a resample."""
        loss, rows = self.losses[b % len(self.losses)], None
        if self.counts is not None:
            rows = np.repeat(np.arange(len(loss)), self.counts[b].astype(int))
            loss = loss[rows]
        return self._refit(self.refits[b], loss, f"resample {b}", rows)

    def without(self, unit: int) -> Fit:
        """Fit without the rows of a unit; the fit itself if it has none of them."""
        place = int(np.searchsorted(self.units, unit))
        if place == len(self.units) or self.units[place] != unit:
            return self.fit
        rows = np.flatnonzero(self.labels != unit)
        return self._refit(self.jackknife[place], self.fit.table.loss[rows], f"without unit {unit}", rows)

    def _refit(self, model: Any, loss: Floats, note: str, rows: Labels | None) -> Fit:
        made = Refit(model, partial(self.fit.table.resampled, loss, note, rows), self.fit.inputs, self.fit.weights)
        if not self.fit.has_law:
            vars(made)["hull"] = self.fit.hull  # a resample is asked where the fit is
        return made


class Refit(Fit):
    """Fit to resampled rows, whose table is made when asked for: most statistics never look at it."""

    def __init__(
        self,
        model: Any,
        table: LossTable | Callable[[], LossTable],
        inputs: tuple[str, ...],
        weights: str | None = None,
    ) -> None:
        vars(self).update(model=model, inputs=inputs, weights=weights, make_table=table)

    @cached_property
    def table(self) -> LossTable:
        """Resampled rows."""
        given = vars(self)["make_table"]
        made: LossTable = given() if callable(given) else given
        return made


@dataclass
class Trace:
    """What a statistic looks at: how many decades beyond the runs, why it has no value, at the law, at which fits."""

    reach: float = 0.0
    missing: str = ""
    reads_law: bool = False
    touched: set[int] = field(default_factory=set)


@dataclass(frozen=True, repr=False, eq=False)
class Traced(Fit):
    """Fit that notes what is asked of it."""

    number: int = 0
    trace: Trace = field(default_factory=Trace)

    @property
    def law(self) -> Law:
        """The law, as of any fit."""
        self.trace.reads_law = True
        self.trace.touched.add(self.number)
        return super().law

    def __call__(self, *columns: ArrayLike, extrapolate: bool = False, **named: ArrayLike) -> Any:
        """Predicted loss, as of any fit."""
        self.trace.touched.add(self.number)
        arrays = dict(zip(self.inputs, columns, strict=False)) | named
        for name in self.inputs:
            x, runs = np.asarray(arrays.get(name, []), dtype=float), self.table[name]
            if x.size and np.all(x > 0):
                beyond = float(np.max(np.log10(np.maximum(x / runs.max(), runs.min() / x))))
                self.trace.reach = max(self.trace.reach, beyond)
        answer = super().__call__(*columns, extrapolate=extrapolate, **named)
        if np.any(np.isnan(answer)):
            self.trace.missing = "asked for losses outside the convex hull of the runs"
        return answer


def degrees_of_freedom(parts: Sequence[Part], scheme: Scheme) -> int:
    """Units minus free parameters: over all fits where rows are redrawn, of the poorest where clusters are.

    The parameters of a surface are local, so there its rows, not its clusters, have to outnumber them (our choice).
    """
    spare = [
        len(part.units) - free_parameters(part.fit)
        if part.fit.has_law
        else min(len(part.units) - 1, len(part.labels) - free_parameters(part.fit))
        for part in parts
    ]
    return min(spare) if scheme.by else sum(spare)


def free_parameters(fit: Fit) -> int:
    """Parameters that a fit moved; of a surface its effective number, rounded up, 0 where it is not known."""
    if fit.has_law:
        return len(fit.model.free_)
    return int(np.ceil(getattr(fit.model, "degrees_of_freedom_", 0.0)))


def as_point(fit: Fit, at: Mapping[str, float]) -> Floats:
    """(1, k) inputs of a fit, from names, which the fit itself has checked."""
    return np.array([[as_number(at[name]) for name in fit.inputs]])


def name_of(statistic: Statistic) -> str:
    """What a statistic is called."""
    if isinstance(statistic, Mapping):
        return "loss at " + ", ".join(f"{name} {value:.4g}" for name, value in statistic.items())
    return (
        statistic
        if isinstance(statistic, str)
        else getattr(statistic, "__name__", "statistic").replace("<lambda>", "statistic")
    )


def as_number(value: Any) -> float:
    """Value of a statistic, which is one number."""
    if isinstance(value, str):
        raise TypeError(f"a statistic is one number, but this one is the text {value!r}.")
    if np.ndim(value) != 0:
        raise TypeError(f"a statistic is one number, but this one has the shape {np.shape(value)}: {value!r}.")
    return float(value)


def tried(statistic: Callable[[Any], float], make: Callable[[], Any]) -> float:
    """Statistic of a refit; nan where there is no refit or no value."""
    try:
        value = as_number(statistic(make()))
    except Exception:  # whatever a user's function raises for one resample costs that draw alone
        return float("nan")
    return value if np.isfinite(value) else float("nan")
