"""What a fit gives back: Fit (one table) and Curves (one fit per slice); status first, then numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .laws import Law, SeparableLaw
from .objective import Objective, describe, objective_to_dict
from .remarks import outlying_slices, remarks, scatter, where_in
from .status import Status
from .table import LossTable
from .writing import write_whole

Floats = NDArray[np.float64]

FORMAT = 1  # of saved fits


@dataclass(frozen=True, repr=False, eq=False)
class Fit:
    """A model fitted to a table: callable, printed with its status before its numbers.

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
    >>> fit.ok
    True
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
    """

    model: Any
    table: LossTable
    inputs: tuple[str, ...]
    weights: str | None = None

    def __call__(self, *columns: ArrayLike, **named: ArrayLike) -> Any:
        """Predicted loss, nats per token, at inputs by order or by name: a float for numbers, an array for arrays.

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
        predicted = self.model.predict(np.stack([array.ravel() for array in broadcast], axis=1))
        shaped = np.asarray(predicted, dtype=float).reshape(broadcast[0].shape)
        return float(shaped) if shaped.ndim == 0 else shaped

    @property
    def law(self) -> Law:
        """The law with its fitted numbers."""
        law: Law = self.model.law_
        return law

    @property
    def parameters(self) -> dict[str, float]:
        """Fitted parameters by name."""
        return self.law.to_dict()

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
        return remarks(self.table, self.inputs, self.predicted)

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
        return np.asarray(self(*(self.table[name] for name in self.inputs)), dtype=float)

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
        model = self.model
        asked = (model.objective or type(self.law).objective).delta
        return {
            "law": type(self.law).__name__,
            "inputs": list(self.inputs),
            "objective": objective_to_dict(self.objective),
            "delta_rule": asked if isinstance(asked, str) else None,
            "fixed": {name: float(value) for name, value in (model.fixed or {}).items()},
            "tied": dict(model.tied or {}),
            "weights": self.weights,
            "rows": len(self.table),
            "search": dict(model.search_),
            "table": {"digest": self.table.digest, "notes": list(self.table.notes)},
        }

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
        """Write the fit with its rows as JSON, whole or not at all; `scalefit.read_fit` reads it back."""
        rows = {name: [_cell(value) for value in self.table[name].tolist()] for name in self.table.columns}
        findings = [[status.name, about] for status, about in self.model.findings_]
        content = {"scalefit": FORMAT, **self.to_dict(), "findings": findings, "columns": rows}
        write_whole(path, json.dumps(content, indent=1, allow_nan=False, default=str) + "\n")

    def __repr__(self) -> str:
        lines = [f"ok    {Status.OK.value}"] if self.ok else [f"NOT OK  {note}" for note in self.notes]
        lines += [f"note  {remark}" for remark in self.remarks]
        lines.append(f"{self.formula}    {len(self.table)} rows")
        fixed, tied = self.model.fixed or {}, self.model.tied or {}
        width = max(len(name) for name in self.parameters)
        for name, value in self.parameters.items():
            unit = "  nats per token" if name == "E" else ""
            how = "  fixed" if name in fixed else f"  tied to {tied[name]}" if name in tied else ""
            lines.append(f"  {name:<{width}}  {value:.6g}{unit}{how}")
        lines.append(f"objective {self.objective_value:.9g}, {describe(self.objective)}, sum over rows")
        lines.append(f"residuals {self.spread}; mean squared error {self.mse:.6g} nats^2")
        return "\n".join(lines)

    @property
    def spread(self) -> str:
        """Robust standard deviation of the residuals and the largest of them, in words."""
        residuals = self.residuals
        worst = int(np.argmax(np.abs(residuals)))
        at = where_in(self.table, self.inputs, worst)
        return f"scatter {scatter(residuals):.2g} nats, largest {residuals[worst]:+.2g} at {at}"

    @property
    def formula(self) -> str:
        """The law with the names of its columns."""
        law = self.law
        if not isinstance(law, SeparableLaw):
            return f"{type(law).__name__}({', '.join(self.inputs)})"
        shape = {"log": "{A} {x}^-{a}", "identity": "{A} exp(-{a} {x})"}
        terms = [shape[t.g].format(A=t.amplitude, a=t.exponent, x=self.inputs[t.column]) for t in law.terms]
        return " + ".join(["E", *terms])


def _cell(value: Any) -> Any:
    """Cell as JSON has it: what is missing or infinite is null."""
    return None if pd.isna(value) is True or (isinstance(value, float) and not np.isfinite(value)) else value


@dataclass(frozen=True, repr=False, eq=False)
class Curves:
    """One fit per slice of a table: L(N) at each D, or L(D) at each N.

    Attributes
    ----------
    along, at : str
        Column that varies in a slice, and the one that is held fixed.
    values : (S,) array
        Geometric mean of `at` in each slice.
    fits : tuple of Fit
        In the order of `values`.
    left_out : mapping of str to int
        Counts of rows of the table that are in no slice.
    trusted : tuple of bool, optional
        Slices that means are taken over, where these are not the ok ones: a resample keeps those of its base.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10, 1e11], tokens=[1e10, 1e11]))
    >>> curves = sf.fit_curves(sf.PowerLaw, runs, along="params", at="tokens")
    >>> curves.array("E").round(3).tolist()
    [2.341, 2.032]
    """

    along: str
    at: str
    values: Floats
    fits: tuple[Fit, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    trusted: tuple[bool, ...] | None = None

    def __len__(self) -> int:
        return len(self.fits)

    def __iter__(self) -> Iterator[Fit]:
        return iter(self.fits)

    def __getitem__(self, index: int) -> Fit:
        return self.fits[index]

    @property
    def ok(self) -> bool:
        """Whether every slice is."""
        return all(fit.ok for fit in self.fits)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know about slices although their fits are ok."""
        return outlying_slices(self.at, self.values, np.array([fit.mse for fit in self.fits]))

    def to_frame(self) -> pd.DataFrame:
        """A row per slice: the fixed value, rows, parameters, mean squared error and status."""
        rows = [
            {self.at: value, "rows": len(fit.table), **fit.parameters, "mse": fit.mse, "status": fit.status.name}
            for value, fit in zip(self.values, self.fits, strict=True)
        ]
        return pd.DataFrame(rows)

    def array(self, parameter: str, *, ok_only: bool = True) -> Floats:
        """Values of a parameter over slices, by default those whose fit is ok."""
        trusted = self.trusted or tuple(fit.ok for fit in self.fits)
        chosen = [fit for fit, good in zip(self.fits, trusted, strict=True) if good or not ok_only]
        return np.array([fit.parameters[parameter] for fit in chosen])

    def mean(self, parameter: str, *, ok_only: bool = True) -> float:
        """Mean of a parameter over slices; nan if none is ok."""
        values = self.array(parameter, ok_only=ok_only)
        return float(values.mean()) if len(values) else float("nan")

    def sd(self, parameter: str, *, ok_only: bool = True) -> float:
        """Sample standard deviation (n - 1) over slices; it holds the scatter of slices, not the error of each fit."""
        values = self.array(parameter, ok_only=ok_only)
        return float(values.std(ddof=1)) if len(values) > 1 else float("nan")

    def against(self, rival: Curves) -> pd.DataFrame:
        """Mean squared errors per slice beside a rival's, and their ratio (rival / own).

        Raises
        ------
        ValueError
            If the two were not fitted to the same slices.
        """
        same = len(self) == len(rival) and all(a.table == b.table for a, b in zip(self.fits, rival.fits, strict=True))
        if not same:
            raise ValueError("the two were fitted to different slices; give both the same table, along, at and rtol.")
        own, other = (np.array([fit.mse for fit in curves]) for curves in (self, rival))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = other / own
        return pd.DataFrame({self.at: self.values, "mse": own, "mse_rival": other, "ratio": ratio})

    def to_dict(self) -> dict[str, Any]:
        """Slices, means and standard deviations as plain values."""
        names = list(self.fits[0].parameters)
        return {
            "ok": self.ok,
            "along": self.along,
            "at": self.at,
            "left_out": dict(self.left_out),
            "remarks": list(self.remarks),
            "mean": {name: self.mean(name) for name in names},
            "sd": {name: self.sd(name) for name in names},
            "slices": [
                {self.at: float(value), **fit.to_dict()} for value, fit in zip(self.values, self.fits, strict=True)
            ],
        }

    def __repr__(self) -> str:
        good = sum(fit.ok for fit in self.fits)
        lines = [f"{'ok    ' if self.ok else 'NOT OK  '}{good} of {len(self)} slices are ok"]
        lines += [f"        {name}: {count}" for name, count in self.left_out.items() if count]
        lines += [f"note  {remark}" for remark in self.remarks]
        lines.append(f"{self.fits[0].formula} at each {self.at}")
        lines.append(self.to_frame().to_string(index=False, float_format=lambda value: f"{value:.4g}"))
        for name in self.fits[0].parameters:
            if good:
                lines.append(f"mean of {name} over ok slices {self.mean(name):.4g}, sd {self.sd(name):.3g}")
        return "\n".join(lines)
