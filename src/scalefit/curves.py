"""Curves: one fit per slice of a table, as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .latex import latex_of
from .markup import html_of
from .remarks import outlying_slices
from .result import Fit
from .sheets import Cell, Number, Sheet, Symbol, visible

Floats = NDArray[np.float64]


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
        """A row per slice: the fixed value, rows, parameters, mean squared error, local slopes of a power, status."""
        rows = [
            {
                self.at: value,
                "rows": len(fit.table),
                **fit.parameters,
                "mse": fit.mse,
                **fit.slope_range,
                "status": fit.status.name,
            }
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

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything needed to repeat the fits; a rule for delta gives each slice its own objective."""
        of_one = {name: value for name, value in self.fits[0].protocol.items() if name not in ("rows", "table")}
        of_one["objective"] = [fit.protocol["objective"] for fit in self.fits]
        return {**of_one, "along": self.along, "at": self.at, "rows": [len(fit.table) for fit in self.fits]}

    def to_latex(self) -> str:
        """A row per slice, and means over the ok ones, as a LaTeX `tabular` with booktabs rules."""
        return latex_of(self._sheet(), self.protocol)

    def _repr_html_(self) -> str:
        return html_of(self._sheet())

    def _sheet(self) -> Sheet:
        good = sum(fit.ok for fit in self.fits)
        names, ranges = list(self.fits[0].parameters), list(self.fits[0].slope_range)
        left_out = [f"{name}: {count}" for name, count in self.left_out.items() if count]
        rows: list[tuple[Cell, ...]] = [
            (Number(value), Number(len(fit.table), digits=6), *(Number(number) for number in fit.parameters.values()),
             Number(fit.mse, 3), *(Number(slope, 3) for slope in fit.slope_range.values()), fit.status.name)
            for value, fit in zip(self.values, self.fits, strict=True)
        ]  # fmt: skip
        means = [("mean of ok", self.mean, 4), ("sd of ok", self.sd, 3)]
        last: list[tuple[Cell, ...]] = [
            (words, "", *(Number(of(name), digits) for name in names), "", *[""] * len(ranges), "")
            for words, of, digits in means
        ]
        return Sheet(
            "ok" if self.ok else "NOT OK", (f"{good} of {len(self)} slices are ok", *left_out),
            f"{self.fits[0].formula} at each {self.at}",
            (Symbol(self.at), "rows", *map(Symbol, names), Symbol("mse"), *map(Symbol, ranges), "status"), tuple(rows),
            last=tuple(last) if good and names else (), notes=self.remarks,
        )  # fmt: skip

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
        return visible("\n".join(lines))
