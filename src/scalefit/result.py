"""Fit: what fitting one table gives back; status first, then numbers."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .hull import Hull, hull_of
from .latex import latex_of
from .laws import Law, SeparableLaw, Term
from .markup import html_of
from .objective import Objective, describe, objective_to_dict
from .remarks import remarks, scatter, where_in
from .sheets import Number, Sheet, Symbol, short, visible
from .slopes import local_slopes, range_of, remark_on, slopes_along, told
from .status import Status
from .table import LossTable
from .writing import write_whole

Floats = NDArray[np.float64]

FORMAT = 1  # of saved fits
SURFACE_OK = "A surface without a formula: it holds between its runs, and answers nan beyond them."


@dataclass(frozen=True, repr=False, eq=False)
class Fit:
    """A model fitted to a table: callable, printed with its status before its numbers.

    A surface without a formula answers nan outside the convex hull of its runs, in the logarithms of its inputs.

    Attributes
    ----------
    model : scikit-learn regressor
        Fitted; it predicts the loss from the input columns in raw units.
    table : LossTable
        What it was fitted to.
    inputs : tuple of str
        Columns that the model takes, in order.
    weights : str, optional
        Column of frequencies.

    Examples
    --------
    >>> import scalefit as sf
    >>> fit = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    >>> round(fit.law.alpha, 4)
    0.1486
    >>> round(fit(1e9), 3)
    2.088
    >>> fit
    ok    The fit is at the lowest optimum found, inside all bounds.
    E + A params^-alpha    6 rows
      E      1.04662  nats per token
      A      22.6448
      alpha  0.148591
    objective 0.000141547814, Huber(delta=0.2985) of raw residuals, sum over rows
    residuals scatter 0.011 nats, largest -0.0093 at params 2.518e+09; mean squared error 4.71826e-05 nats^2
    local slopes 0.151, 0.15, 0.137, 0.169
    """

    model: Any
    table: LossTable
    inputs: tuple[str, ...]
    weights: str | None = None

    def __call__(self, *columns: ArrayLike, extrapolate: bool = False, **named: ArrayLike) -> Any:
        """Predicted loss, nats per token, at inputs by order or by name: a float for numbers, an array for arrays.

        Parameters
        ----------
        *columns, **named : array_like
            Inputs, positive, in raw units.
        extrapolate : bool
            Whether a surface without a formula answers outside the convex hull of its runs too, instead of nan.

        Raises
        ------
        TypeError
            If an input is missing, unknown or given twice.
        ValueError
            If a value is not positive and finite.
        """
        if len(columns) + len(named) != len(self.inputs) or set(named) != set(self.inputs[len(columns) :]):
            given = [f"{len(columns)} by order"] * bool(columns) + sorted(named)
            raise TypeError(f"this fit takes {', '.join(self.inputs)}; it was given {', '.join(given) or 'nothing'}.")
        arrays = [*columns, *(named[name] for name in self.inputs[len(columns) :])]
        broadcast = np.broadcast_arrays(*(np.asarray(array, dtype=float) for array in arrays))
        for name, array in zip(self.inputs, broadcast, strict=True):
            bad = array[~(np.isfinite(array) & (array > 0))]
            if bad.size:
                raise ValueError(f"{name} must be positive and finite, but is {bad[0]} ({bad.size} such values).")
        if not broadcast[0].size:
            return np.empty(broadcast[0].shape)
        points = np.stack([array.ravel() for array in broadcast], axis=1)
        predicted = np.array(self.model.predict(points), dtype=float)
        if not (self.has_law or extrapolate):
            predicted[~self.hull.contains(np.log(points))] = np.nan
        shaped = predicted.reshape(broadcast[0].shape)
        return float(shaped) if shaped.ndim == 0 else shaped

    @property
    def has_law(self) -> bool:
        """Whether the model is a formula with parameters; otherwise it is a surface."""
        return hasattr(self.model, "law_")

    @cached_property
    def hull(self) -> Hull:
        """Convex hull of the runs that were fitted, in the natural logarithms of the inputs."""
        points = np.stack([np.log(self.table[name]) for name in self.inputs], axis=1)
        return hull_of(points if self.weights is None else points[self.table[self.weights] > 0])

    @property
    def law(self) -> Law:
        """The law with its fitted numbers."""
        if not self.has_law:
            raise AttributeError(f"{self.formula} is a surface without a formula: call it, fit(...), for its losses.")
        law: Law = self.model.law_
        return law

    @property
    def parameters(self) -> dict[str, float]:
        """Fitted parameters by name; none of a surface."""
        return self.law.to_dict() if self.has_law else {}

    @property
    def status(self) -> Status:
        """Most severe status; `notes` has all."""
        status: Status = self.model.status_
        return status

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with the fit."""
        return self.status is Status.OK

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that is wrong, most severe first: what it is about, and what to try."""
        order = list(Status)
        found = sorted(self.model.findings_, key=lambda finding: order.index(finding[0]))
        return tuple(
            status.value if status.value.startswith(f"{about} ") else f"{about}: {status.value}"
            for status, about in found
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know about the rows although the fit itself is as it should be."""
        x = self.inputs[0]
        bent = () if self._power is None else remark_on(
            self.local_slopes, x, self._power.exponent, values=len(np.unique(self.table[x]))
        )  # fmt: skip
        return (*bent, *remarks(self.table, self.inputs, self.predicted, offset=self.parameters.get("E")))

    @cached_property
    def local_slopes(self) -> pd.DataFrame:
        """Slopes of loss - E between neighbouring values of x, as from `scalefit.local_slopes`; none of another law."""
        if not self._power:
            return local_slopes([], [], offset=0.0)
        table = self.table if self.weights is None else self.table.where(self.table[self.weights] > 0)
        free = len(self.parameters) - sum(len(held) for held in self._held)
        return slopes_along(self.inputs[0], table, self, offset=self.parameters["E"], parameters=free)

    @cached_property
    def _power(self) -> Term | None:
        """The only term of a law that is a power of one column."""
        terms = self.law.terms if self.has_law and isinstance(self.law, SeparableLaw) else ()
        return terms[0] if [term.g for term in terms] == ["log"] else None

    @property
    def slope_range(self) -> dict[str, float]:
        """Smallest and largest local slope of a power; nothing of other models."""
        return range_of(self.local_slopes) if self._power else {}

    @property
    def objective(self) -> Objective:
        """What was minimised, with delta as a number."""
        objective: Objective = self.model.objective_
        return objective

    @property
    def objective_value(self) -> float:
        """Objective at the optimum, summed over rows."""
        return float(self.model.objective_value_)

    @property
    def predicted(self) -> Floats:
        """(n,) losses that the fit gives for the rows of its table."""
        return np.asarray(self(*(self.table[name] for name in self.inputs), extrapolate=True), dtype=float)

    @property
    def residuals(self) -> Floats:
        """(n,) losses minus predicted losses, nats per token."""
        return np.asarray(self.table.loss - self.predicted)

    @property
    def mse(self) -> float:
        """Mean squared residual of the loss, nats^2, each row counted by its weight."""
        weights = None if self.weights is None else self.table[self.weights]
        return float(np.average(self.residuals**2, weights=weights))

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything needed to repeat the fit."""
        return {
            **(self._law_protocol if self.has_law else self._surface_protocol),
            "inputs": list(self.inputs),
            "objective": objective_to_dict(self.objective),
            "weights": self.weights,
            "rows": len(self.table),
            "search": dict(self.model.search_),
            "table": {"digest": self.table.digest, "notes": list(self.table.notes)},
        }

    @property
    def _surface_protocol(self) -> dict[str, Any]:
        surface = getattr(self.model, "regressor", self.model)  # of a LogSpace
        settings = {name: value if isinstance(value, int | float | str | None) else repr(value)
                    for name, value in surface.get_params().items()}  # fmt: skip
        return {"surface": type(surface).__name__, "settings": settings}

    @property
    def _law_protocol(self) -> dict[str, Any]:
        asked = (self.model.objective or type(self.law).objective).delta
        return {
            "law": type(self.law).__name__,
            "delta_rule": asked if isinstance(asked, str) else None,
            "fixed": {name: float(value) for name, value in (self.model.fixed or {}).items()},
            "tied": dict(self.model.tied or {}),
        }

    def to_frame(self) -> pd.DataFrame:
        """A row per parameter: its value, and whether it was fitted, fixed, tied, or shared with other families."""
        fixed, tied = self._held
        held = {name: f"tied to {leader}" for name, leader in tied.items()} | dict.fromkeys(fixed, "fixed")
        held |= dict.fromkeys(self.model.search_.get("shared", ()) if self.has_law else (), "shared")
        how = [held.get(name, "fitted") for name in self.parameters]
        return pd.DataFrame({"parameter": list(self.parameters), "value": list(self.parameters.values()), "how": how})

    def to_latex(self) -> str:
        """The parameters as a LaTeX `tabular` with booktabs rules; how they were found stands in its comments."""
        return latex_of(self._sheet(), self.protocol)

    def to_dict(self) -> dict[str, Any]:
        """Status, numbers and protocol as plain values."""
        return {
            "ok": self.ok,
            "status": self.status.name,
            "notes": list(self.notes),
            "remarks": list(self.remarks),
            "parameters": self.parameters,
            "objective_value": self.objective_value,
            "mse": self.mse,
            "protocol": self.protocol,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fit with its rows as JSON, whole or not at all; `scalefit.read_fit` reads it back.

        Raises
        ------
        TypeError
            If the model is a regressor that has no plain form, as those of scikit-learn.
        """
        if not (self.has_law or hasattr(self.model, "to_state")):
            raise TypeError(f"a {type(self.model).__name__} has no plain form to save; save the table and fit again.")
        state = {} if self.has_law else {"state": self.model.to_state()}
        rows = {name: [_cell(value) for value in self.table[name].tolist()] for name in self.table.columns}
        findings = [[status.name, about] for status, about in self.model.findings_]
        content = {"scalefit": FORMAT, **self.to_dict(), "findings": findings, **state, "columns": rows}
        write_whole(path, json.dumps(content, indent=1, allow_nan=False, default=str) + "\n")

    def __repr__(self) -> str:
        lines = [f"ok    {self.verdict}"] if self.ok else [f"NOT OK  {note}" for note in self.notes]
        lines += [f"note  {remark}" for remark in self.remarks]
        lines.append(f"{self.formula}    {len(self.table)} rows")
        width = max((len(name) for name in self.parameters), default=0)
        for _, name, value, how in self.to_frame().itertuples():
            unit = "  nats per token" if name == "E" else ""
            lines.append(f"  {name:<{width}}  {value:.6g}{unit}{'' if how == 'fitted' else f'  {how}'}")
        lines.append(f"objective {self.objective_value:.9g}, {describe(self.objective)}, sum over rows")
        lines.append(f"residuals {self.spread}; mean squared error {self.mse:.6g} nats^2")
        lines += told(self.local_slopes)
        return visible("\n".join(lines))

    def _repr_html_(self) -> str:
        return html_of(self._sheet())

    def _sheet(self) -> Sheet:
        units = {"E": "nats per token"}
        kinds = dict.fromkeys(status.name for status, _ in self.model.findings_)
        return Sheet(
            "ok" if self.ok else "NOT OK", (self.verdict,) if self.ok else self.notes,
            f"{self.formula}, {len(self.table)} rows", ("", "value", ""),
            tuple(
                (Symbol(name), Number(value, digits=6), units.get(name, "") if how == "fitted" else how)
                for _, name, value, how in self.to_frame().itertuples()
            ),
            notes=self.remarks, mark="" if self.ok else f"fit not ok: {', '.join(kinds)}",
            footer=(
                f"objective {short(self.objective_value, 6)}, {describe(self.objective)}, sum over rows",
                f"residuals {self.spread}; mean squared error {short(self.mse)} nats^2",
                *told(self.local_slopes),
            ),
        )  # fmt: skip

    @property
    def _held(self) -> tuple[dict[str, float], dict[str, str]]:
        """Parameters that were fixed, or tied to others."""
        return getattr(self.model, "fixed", None) or {}, getattr(self.model, "tied", None) or {}

    @property
    def spread(self) -> str:
        """Robust standard deviation of the residuals and the largest of them, in words."""
        residuals = self.residuals
        worst = int(np.argmax(np.abs(residuals)))
        at = where_in(self.table, self.inputs, worst)
        return f"scatter {scatter(residuals):.2g} nats, largest {residuals[worst]:+.2g} at {at}"

    @property
    def verdict(self) -> str:
        """What it means that a fit is ok."""
        return Status.OK.value if self.has_law else SURFACE_OK

    @property
    def formula(self) -> str:
        """The law with the names of its columns; of a surface, the regressor."""
        if not self.has_law:
            surface = getattr(self.model, "regressor", self.model)  # of a LogSpace
            return f"{' '.join(repr(surface).split())} of {', '.join(self.inputs)}"
        law = self.law
        if not isinstance(law, SeparableLaw):
            return f"{type(law).__name__}({', '.join(self.inputs)})"
        shape = {"log": "{A} {x}^-{a}", "identity": "{A} exp(-{a} {x})"}
        terms = [shape[t.g].format(A=t.amplitude, a=t.exponent, x=self.inputs[t.column]) for t in law.terms]
        return " + ".join(["E", *terms])


def _cell(value: Any) -> Any:
    """Cell as JSON has it: what is missing or infinite is null."""
    return None if pd.isna(value) is True or (isinstance(value, float) and not np.isfinite(value)) else value
