"""Validation: the scores of models side by side, and how they compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .latex import latex_of
from .markup import html_of
from .sheets import Cell, Number, PlusMinus, Sheet, visible
from .splits import Split

Floats = NDArray[np.float64]

MEANING = "standard error over splits of these rows, of ratios by paired splits"
MEASURES = ("train_mse", "test_mse", "train_log_mse", "test_log_mse")


@dataclass(frozen=True, repr=False, eq=False)
class Validation:
    """Errors of models on rows that they were fitted to, and on rows that they were not.

    Attributes
    ----------
    models : tuple of str
        Names, the first of which the others are compared with.
    splits : tuple of (train, test) arrays
        Row numbers; `validate(..., cv=these)` scores another model on the same rows.
    words : str
        How the rows were split.
    rows : int
        Of the table.
    scores : DataFrame
        A row per model and split: counts of rows (`outside`: test rows outside the convex hull of the training rows, in
        the logarithms of the model's inputs; `twins`: test rows at the inputs of a training row), mean squared errors
        of the loss in nats^2 and of its logarithm, and why there are none.

    Examples
    --------
    >>> import scalefit as sf
    >>> from sklearn.linear_model import LinearRegression
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=np.geomspace(1e9, 1e11, 8))
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.01)
    >>> sf.validate({"2D": sf.Chinchilla, "log-linear": LinearRegression()}, runs, cv=10)
    ok    every model is scored on all test rows of 10 splits
    note  14 of 130 test rows, 1.4 per split, lie outside the convex hull of their training rows: models extrapolate.
    10 random splits, 20 % tested, seed 0    64 rows: 51 to train on, 13 to test on
                           train MSE            test MSE    median     test MSE of log  ratio to 2D
      2D          (6.38 +- 0.15)e-04  (6.09 +- 0.63)e-04  6.48e-04  (8.44 +- 0.77)e-05            1
      log-linear  (4.33 +- 0.21)e-03  (5.73 +- 0.97)e-03  5.04e-03  (7.26 +- 1.18)e-04   9.4 +- 1.8
    MSE in nats^2; mean +- standard error over splits of these rows, of ratios by paired splits
    """

    models: tuple[str, ...]
    splits: tuple[Split, ...]
    words: str
    rows: int
    scores: pd.DataFrame

    @property
    def ok(self) -> bool:
        """Whether every model could be scored on all test rows of every split."""
        return not self.scores["failure"].any()

    @property
    def notes(self) -> tuple[str, ...]:
        """Models that could not be fitted to every split: how often, and why."""
        found = []
        for name in self.models:
            failed = self._of(name).query("failure != ''")
            if len(failed):
                first = failed.iloc[0]
                found.append(
                    f"{name} failed in {len(failed)} of {len(self.splits)} splits and is not compared; in split "
                    f"{first['split']}: {first['failure']}"
                )
        return tuple(found)

    @property
    def remarks(self) -> tuple[str, ...]:
        """How many test rows lie outside the convex hull of the training rows, or stand where one of these does."""
        outside: dict[int, list[str]] = {}
        for name in self.models:
            outside.setdefault(int(self._of(name)["outside"].sum()), []).append(name)
        tested, splits = int(self._of(self.models[0])["test_rows"].sum()), len(self.splits)
        twins = int(self._of(self.models[0])["twins"].sum())
        shared = (
            f"{twins} of {tested} test rows have a training row at the same inputs, whose noise they may share: keep "
            "such runs together with groups=.",
        )
        return shared * (twins > 0) + tuple(
            f"{'' if len(names) == len(self.models) else ', '.join(names) + ': '}{count} of {tested} test rows"
            f"{f', {count / splits:.2g} per split,' if splits > 1 else ''} lie outside the convex hull of their "
            "training rows: models extrapolate."
            for count, names in outside.items()
            if count
        )

    def to_frame(self) -> pd.DataFrame:
        """A row per model: means over splits with standard errors (`_se`), nan for a model that failed in some split.

        The standard error is the standard deviation over splits by the root of their number. Splits share rows, so it
        tells how well the splits determine the mean for THESE rows, not how it would vary from table to table.
        `ratio` is the mean test MSE by that of the first model; its standard error takes the difference of the two in
        each split.
        """
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        reference = self._of(self.models[0])["test_mse"].to_numpy()
        return pd.DataFrame([self._summary(name, reference) for name in self.models])

    def _summary(self, name: str, reference: Floats) -> dict[str, Any]:
        own = self._of(name)
        row: dict[str, Any] = {"model": name, "splits": len(own), "failed": int((own["failure"] != "").sum())}
        row |= {count: float(own[count].mean()) for count in ("train_rows", "test_rows", "outside")}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # of a model that is off by 1e200
            for measure in MEASURES:
                values = own[measure].to_numpy()
                row |= {measure: float(values.mean()), f"{measure}_se": _standard_error(values)}
            tested = own["test_mse"].to_numpy()
            row["test_mse_median"] = float(np.median(tested))
            row["ratio"] = float(tested.mean() / reference.mean())
            row["ratio_se"] = _standard_error(tested - row["ratio"] * reference) / float(reference.mean())
        return row

    def _of(self, name: str) -> pd.DataFrame:
        return self.scores[self.scores["model"] == name]

    def to_dict(self) -> dict[str, Any]:
        """Means and scores as plain values, None where there is no finite one."""
        finite = [frame.replace([np.inf, -np.inf], np.nan) for frame in (self._frame, self.scores)]
        plain = [frame.astype(object).where(frame.notna(), None).to_dict("records") for frame in finite]
        return {
            "ok": self.ok,
            "notes": list(self.notes),
            "remarks": list(self.remarks),
            "split": self.words,
            "rows": self.rows,
            "models": plain[0],
            "scores": plain[1],
        }

    def __repr__(self) -> str:
        splits = f"{len(self.splits)} split{'s' * (len(self.splits) > 1)}"
        lines = [f"NOT OK  {note}" for note in self.notes]
        lines = lines or [f"ok    every model is scored on all test rows of {splits}"]
        lines += [f"note  {remark}" for remark in self.remarks]
        lines.append(f"{self.words}    {self._sizes}")
        header = ("", "train MSE", "test MSE", "median", "test MSE of log", f"ratio to {self.models[0]}")
        cells = [header, *(_cells(row) for _, row in self._frame.iterrows())]
        widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
        for row in cells:
            rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join(["", row[0].ljust(widths[0]), *rest]))
        lines.append(f"MSE in nats^2; mean +- {MEANING}")
        return visible("\n".join(lines))

    def to_latex(self) -> str:
        """A row per model, with standard errors, as a LaTeX `tabular` with booktabs rules."""
        return latex_of(self._sheet(), {"split": self.words, "splits": len(self.splits), "rows": self.rows})

    def _repr_html_(self) -> str:
        return html_of(self._sheet())

    def _sheet(self) -> Sheet:
        rows: list[tuple[Cell, ...]] = [
            (str(row["model"]), *(PlusMinus(row[name], row[f"{name}_se"]) for name in ("train_mse", "test_mse")),
             Number(row["test_mse_median"], 3), PlusMinus(row["test_log_mse"], row["test_log_mse_se"]),
             PlusMinus(row["ratio"], row["ratio_se"]))
            for _, row in self._frame.iterrows()
        ]  # fmt: skip
        splits = f"{len(self.splits)} split{'s' * (len(self.splits) > 1)}"
        return Sheet(
            "ok" if self.ok else "NOT OK", self.notes or (f"every model is scored on all test rows of {splits}",),
            f"{self.words}, {self._sizes}",
            ("", "train MSE", "test MSE", "median", "test MSE of log", f"ratio to {self.models[0]}"), tuple(rows),
            notes=self.remarks, footer=(f"MSE in nats^2; mean +- {MEANING}",),
        )  # fmt: skip

    @property
    def _sizes(self) -> str:
        """How many rows there are, and how many of them are trained and tested on."""
        sizes = np.array([[len(train), len(test)] for train, test in self.splits])
        train, test = sizes.mean(axis=0)
        average = "" if np.all(sizes == sizes[0]) else "on average "
        return f"{self.rows} rows: {average}{train:.4g} to train on, {test:.4g} to test on"


def _standard_error(values: Floats) -> float:
    """Of the mean of values, one per split; nan for one."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _cells(row: pd.Series[Any]) -> tuple[str, ...]:
    """What is printed of a model."""
    if row["failed"]:
        return (row["model"], "failed", *("-",) * 4)
    train, test, log = (_with_error(row[name], row[f"{name}_se"]) for name in ("train_mse", "test_mse", "test_log_mse"))
    return row["model"], train, test, f"{row['test_mse_median']:.2e}", log, _ratio(row["ratio"], row["ratio_se"])


def _ratio(value: float, error: float) -> str:
    """Ratio to two digits of its standard error."""
    if not (np.isfinite(error) and error > 0):
        return "-" if np.isnan(value) else f"{value:.3g}"
    if not 1e-3 <= value < 1e4:
        return _with_error(value, error)
    decimals = min(max(0, 1 - int(np.floor(np.log10(error)))), 4)
    return f"{value:.{decimals}f} +- {error:.{decimals}f}"


def _with_error(value: float, error: float) -> str:
    """Number with its standard error, both with the exponent of the number."""
    number, _, exponent = f"{value:.2e}".partition("e")
    if not (np.isfinite(error) and exponent):
        return f"{value:.2e}"
    return f"({number} +- {error / 10.0 ** int(exponent):.2f})e{exponent}"
