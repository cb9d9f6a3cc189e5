"""Influence: which runs stand out, by how far they lie off the others and by what they do to a statistic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .sheets import visible

TOP = 5  # units that are printed
STRONG = 1.0  # standard errors of the statistic that one unit moves it by, from which on it is worth a note. Our choice


@dataclass(frozen=True, repr=False, eq=False)
class Influence:
    """Effect of leaving out each row, or each group of rows, and how far it lies off the others.

    Attributes
    ----------
    statistic : str
        What the effects are on.
    estimate : float
        Its value with all rows.
    by : str, optional
        Column whose groups were left out; None for rows.
    rows : int
        Of the table that carry weight.
    limit : float
        Size of `off` that chance alone reaches in one table of twenty.
    space : {"raw", "log"}
        Of the residuals: nats, or shares of the loss.
    units : DataFrame
        As `to_frame` gives them.
    doubt : str
        What is wrong with the fit to all rows; empty if nothing is.

    Examples
    --------
    >>> import scalefit as sf
    >>> from scalefit.influences import influence
    >>> found = influence(sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params"))
    >>> found.statistic, found.rows, found.ok
    ('alpha', 6, True)
    """

    statistic: str
    estimate: float
    by: str | None
    rows: int
    limit: float
    space: str
    units: pd.DataFrame
    doubt: str = ""

    def __len__(self) -> int:
        return len(self.units)

    @property
    def ok(self) -> bool:
        """Whether the fit is ok, and no unit lies off by more than chance explains or decides the fit.

        That a unit is `strong` is no fault: of few units, some unit is in most tables that have none.
        """
        return not (self.doubt or len(self.suspects) or len(self.deciding))

    @property
    def suspects(self) -> pd.DataFrame:
        """Units that lie off the others by more than chance explains, the furthest first."""
        return self._where(self.units["off"].abs() > self.limit)

    @property
    def strong(self) -> pd.DataFrame:
        """Units without which the statistic moves by more than its standard error, the strongest first; no test."""
        found = self._where(self.units["in_errors"].abs() > STRONG)
        return found.sort_values("in_errors", key=np.abs, ascending=False, kind="stable")

    @property
    def deciding(self) -> pd.DataFrame:
        """Units without which the others do not determine the fit, or the statistic has no value."""
        return self._where(self.units["effect"].isna())

    def to_frame(self) -> pd.DataFrame:
        """A row per unit, those furthest off the others first.

        `row` (counting from 0), the name of the run where there is one, inputs and loss; of groups their value and
        number of `rows`. `effect` on the statistic and `in_errors`; `apart`, the mean residual from the fit without the
        unit, in nats or as a share; `off`, this in units of its standard error; `residual`, from the fit with it, by
        the scatter; `leverage`; whether the refit is `ok`. The formulas are in `scalefit.influence`.
        """
        return self.units.copy()

    def named(self, top: int = TOP) -> tuple[str, ...]:
        """The first units in words: which it is, how far it lies off, and what the statistic is without it.

        Raises
        ------
        ValueError
            If `top` is no whole number from 1 on.
        """
        if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
            raise ValueError(f"top must be a whole number from 1 on, such as {TOP}, not {top!r}.")
        return tuple(self._words(row) for _, row in self.units.head(int(top)).iterrows())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None where there is no finite number."""
        plain = self.units.replace([np.inf, -np.inf], np.nan).astype(object)
        return {
            "ok": self.ok, "statistic": self.statistic, "estimate": self.estimate, "by": self.by, "rows": self.rows,
            "limit": self.limit, "suspects": len(self.suspects), "notes": list(self.notes),
            "named": list(self.named()), "units": plain.where(plain.notna(), None).to_dict("records"),
        }  # fmt: skip

    @property
    def notes(self) -> tuple[str, ...]:
        """What is wrong, and what the statistic rests on, in sentences."""
        return (*self._faults, *self._rests_on)

    @property
    def _faults(self) -> tuple[str, ...]:
        found = [f"the fit to all rows is not ok: {self.doubt}"] if self.doubt else []
        if len(self.suspects):
            found.append(
                f"{len(self.suspects)} of {len(self)} {self._kind} lie off the others by more than chance explains "
                f"({self.limit:.1f} standard errors): look for diverged, undertuned or mistyped runs."
            )
        if len(self.deciding) and not (self.doubt and len(self.deciding) == len(self)):
            found.append(
                f"{len(self.deciding)} of {len(self)} {self._kind} cannot be left out, the first "
                f"{self._which(self.deciding.iloc[0])}: the others do not determine the fit, or give no value."
            )
        return tuple(found)

    @property
    def _rests_on(self) -> tuple[str, ...]:
        if not len(self.strong):
            return ()
        first = self.strong.iloc[0]
        return (
            f"without {self._which(first)} {self.statistic} moves by {first['effect']:+.2g}, "
            f"{abs(first['in_errors']):.1f} of its standard errors ({len(self.strong)} such {self._kind}): it rests on "
            "few runs.",
        )

    def __repr__(self) -> str:
        lines = [f"NOT OK  {fault}" for fault in self._faults]
        if not lines:
            lines = [f"ok    none of {len(self)} {self._kind} lies off{self._least()}"]
        lines += [f"note  {remark}" for remark in self._rests_on]
        lines.append(f"{self.statistic} {self.estimate:.4g} of {self.rows} rows, left out by {self.by or 'rows'}")
        return visible("\n".join([*lines, *(f"  {words}" for words in self.named())]))

    def _least(self) -> str:
        """How little the units move the statistic, where none is strong."""
        if len(self.strong):
            return ""
        largest, errors = (float(self.units[name].abs().max()) for name in ("effect", "in_errors"))
        words = f"; none moves {self.statistic}" + (f" by over {largest:.2g}" if largest else "")
        return words + (f", {errors:.2g} of its standard errors" if np.isfinite(errors) else "")

    def _where(self, mask: pd.Series[bool]) -> pd.DataFrame:
        found: pd.DataFrame = self.units[mask]
        return found

    @property
    def _kind(self) -> str:
        return "rows" if self.by is None else f"groups of {self.by}"

    def _which(self, unit: pd.Series[Any]) -> str:
        """A unit by its name and inputs."""
        names = list(self.units.columns[: self.units.columns.get_loc("effect")])
        if self.by is not None:
            return f"{self.by} {_short(unit[self.by])} ({unit['rows']} rows)"
        return f"row {unit['row']} ({', '.join(f'{name} {_short(unit[name])}' for name in names[1:])})"

    def _words(self, unit: pd.Series[Any]) -> str:
        lies = ""
        if np.isfinite(unit["apart"]):
            side = "above" if unit["apart"] > 0 else "below"
            size = (
                f"{100 * abs(np.expm1(unit['apart'])):.2g} %"
                if self.space == "log"
                else f"{abs(unit['apart']):.2g} nats"
            )
            lies = f" {size} {side} the fit without it"
            lies += f", {abs(unit['off']):.1f} standard errors" if np.isfinite(unit["off"]) else ""
        if not np.isfinite(unit["effect"]):
            return f"{self._which(unit)}:{lies}{';' * bool(lies)} {self.statistic} has no value without it"
        errors = f", {abs(unit['in_errors']):.2g} standard errors" if np.isfinite(unit["in_errors"]) else ""
        value = f"{self.statistic} {self.estimate + unit['effect']:.4g} without it ({unit['effect']:+.2g}{errors})"
        return f"{self._which(unit)}:{lies}{';' * bool(lies)} {value}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
