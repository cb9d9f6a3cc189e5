"""The verb `rollout`: models trained on the smaller runs forecast the larger ones, at every cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .arrays import weight_column
from .columns import INPUTS
from .fitting import Model, as_regressor, fit
from .intervals import Doubt, frame_of
from .replicates import Progress
from .resampling import bootstrap
from .schemes import RTOL
from .selection import group_labels
from .sheets import visible
from .splits import Extrapolation, Split
from .table import LossTable
from .unseen import new_run
from .validation import Inputs, columns_of, named_models

Floats = NDArray[np.float64]

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9)  # of the rows that are trained on, at the default cuts: our choice
SCORES = ("mae", "rmse", "bias", "log_mae", "log_bias")


@dataclass(frozen=True, repr=False, eq=False)
class Rollout:
    """Forecasts of the larger runs by models that saw the smaller ones alone.

    Attributes
    ----------
    models : tuple of str
    over : str
        Column that says which runs are smaller.
    cuts : tuple of float
        A run below the cut is trained on, one at it or above is forecast.
    level : float, optional
        Of the intervals; None where none was asked for.
    forecasts : DataFrame
        A row per model, cut and forecast run: its row number in the table, loss, forecast, interval, whether that is
        refused, what speaks against it, and weight.
    fits : DataFrame
        A row per model and cut: status of the fit, and why there is none.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.01)
    >>> made = rollout({"2D": sf.Chinchilla, "no E": sf.LawRegressor(sf.Chinchilla, fixed={"E": 0})}, runs, cuts=[1e20])
    >>> made
    ok    every model forecasts all runs beyond 1 cut
    trained below each cut of flops, tested from there on; loss in nats, bias > 0 where forecasts are too high
        cut  train  test decades model     MAE    RMSE      bias status
      1e+20     21    15     2.0    2D 0.01186 0.01626 -0.000434     OK
      1e+20     21    15     2.0  no E 0.07187  0.0861  -0.05863     OK
    """

    models: tuple[str, ...]
    over: str
    cuts: tuple[float, ...]
    level: float | None
    forecasts: pd.DataFrame
    fits: pd.DataFrame

    @property
    def ok(self) -> bool:
        """Whether every model forecasts all runs beyond every cut."""
        return not self.fits["failure"].any()

    @property
    def notes(self) -> tuple[str, ...]:
        """Models that have no forecasts at some cut, and why."""
        failed = self.fits[self.fits["failure"] != ""]
        return tuple(
            f"{row['model']} has no forecasts from {self.over} {row['cut']:.4g} on: {row['failure']}"
            for _, row in failed.iterrows()
        )

    def to_frame(self) -> pd.DataFrame:
        """A row per cut and model.

        Counts of rows, how many decades of `over` the largest forecast run lies beyond the largest trained one, mean
        absolute and root mean squared error in nats, bias (mean of forecast minus loss, nats), the same of the log
        loss; with intervals, the share of runs within theirs among those that were given (`given`); status of the fit.
        """
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        groups = dict(list(self.forecasts.groupby(["model", "cut"], sort=False)))
        rows = [{**row, **self._scores(groups.get((row["model"], row["cut"])))} for row in self.fits.to_dict("records")]
        ends = [] if self.level is None else ["coverage", "given"]
        columns = ["cut", "model", "train_rows", "test_rows", "decades", *SCORES, *ends, "status", "failure"]
        order = {name: place for place, name in enumerate(self.models)}
        frame = pd.DataFrame(rows)[columns]
        return frame.sort_values(["cut", "model"], key=lambda c: c.map(order) if c.name == "model" else c).reset_index(
            drop=True
        )

    def _scores(self, own: pd.DataFrame | None) -> dict[str, float]:
        """Scores of one model at one cut; nan without forecasts."""
        if own is None:
            return {**dict.fromkeys(SCORES, float("nan")), "coverage": float("nan"), "given": 0}
        weights, given = own["weight"].to_numpy(), np.isfinite(own["low"].to_numpy())
        error, log = own["forecast"] - own["loss"], np.log(own["forecast"] / own["loss"])
        within = ((own["low"] <= own["loss"]) & (own["loss"] <= own["high"])).to_numpy()
        return {
            "mae": float(np.average(np.abs(error), weights=weights)),
            "rmse": float(np.sqrt(np.average(error**2, weights=weights))),
            "bias": float(np.average(error, weights=weights)),
            "log_mae": float(np.average(np.abs(log), weights=weights)),
            "log_bias": float(np.average(log, weights=weights)),
            "coverage": float(np.average(within[given], weights=weights[given])) if given.any() else float("nan"),
            "given": int(given.sum()),
        }

    def to_dict(self) -> dict[str, Any]:
        """Scores and forecasts as plain values, None where there is none."""
        plain = [frame.astype(object).where(frame.notna(), None).to_dict("records") for frame in
                 (self._frame, self.forecasts)]  # fmt: skip
        return {
            "ok": self.ok, "notes": list(self.notes), "over": self.over, "cuts": list(self.cuts), "level": self.level,
            "scores": plain[0], "forecasts": plain[1],
        }  # fmt: skip

    def __repr__(self) -> str:
        cuts = f"{len(self.cuts)} cut{'s' * (len(self.cuts) > 1)}"
        lines = [f"NOT OK  {note}" for note in self.notes]
        lines = lines or [f"ok    every model forecasts all runs beyond {cuts}"]
        lines += [f"note  {why}" for why in self._refusals()]
        lines.append(
            f"trained below each cut of {self.over}, tested from there on; loss in nats, "
            "bias > 0 where forecasts are too high"
        )
        names = {"train_rows": "train", "test_rows": "test", "mae": "MAE", "rmse": "RMSE"}
        shown = self._frame.drop(columns=["failure", "log_mae", "log_bias"]).rename(columns=names)
        if self.level is not None:
            shown = shown.rename(columns={"coverage": f"in {100 * self.level:g} %"})
        order = ["cut", "train", "test", "decades", "model"]
        shown = shown[[*order, *(name for name in shown if name not in order)]]
        formats = {"cut": "{:.3g}".format, "decades": "{:.1f}".format}
        table = shown.to_string(index=False, float_format="{:.4g}".format, formatters=formats, na_rep="-")
        return visible("\n".join([*lines, *(f"  {line}" for line in table.splitlines())]))

    def _refusals(self) -> list[str]:
        """How many intervals are refused, for each reason."""
        refusing = [doubt for doubt in Doubt if doubt.refuses]
        counts = {doubt: sum(doubt.name in names for names in self.forecasts["doubts"]) for doubt in refusing}
        return [
            f"{n} of {len(self.forecasts)} intervals are refused: {doubt.value}" for doubt, n in counts.items() if n
        ]


def rollout(
    models: Model | Mapping[str, Model] | Sequence[Model], table: LossTable, *, over: str = "flops",
    cuts: ArrayLike | None = None, inputs: Inputs | Mapping[str, Inputs] = None, weights: str | None = None,
    resamples: int = 0, level: float = 0.95, seed: int = 0, progress: Progress | None = None,
) -> Rollout:  # fmt: skip
    """Train models on the smaller runs and forecast the larger ones, at every cut (rolling origin).

    Parameters
    ----------
    models : model, mapping of str to model, or sequence of models
        Whatever `fit` takes, named as in `validate`.
    table : LossTable
    over : {"flops", "params", "tokens"}
        What makes a run larger.
    cuts : float or (m,) array, optional
        Runs below a cut are trained on, those at it or above are forecast. By default those that leave about 50, 60,
        70, 80 and 90 % of the runs below, each between two values of `over` (values within 0.1 % are one).
    inputs : str or sequence of str, or mapping of names of models to these, optional
        Columns that all models take, or those of some, as for `fit`.
    weights : str, optional
        Column of frequencies, of the fits and of the scores; runs without weight are neither cut nor forecast.
    resamples : int
        Of the bootstrap of every fit, from which each forecast has its interval for a new run; 0 for no intervals.
    level : float
        Of these intervals.
    seed : int
        Of the bootstraps.
    progress : callable, optional
        Called with the number of fits that are done, and of all.

    Returns
    -------
    Rollout

    Raises
    ------
    TypeError
        If a model or the table is none.
    ValueError
        If the table has no such column, a cut leaves no run on one side, or no model can be fitted at any cut.

    Notes
    -----
    Every model is scored on the same runs: a surface without a formula also outside the convex hull of its runs. A
    model that cannot be fitted below a cut, or forecasts no positive number, has no scores there.

    Intervals are for one new run at the inputs of each forecast run (see `forecast`), so the share of runs within them
    should be `level`. Runs of one cut share the error of the fit: that share is not as sure as so many runs suggest.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 20)), noise=0.003)
    >>> made = rollout([sf.PowerLaw, sf.Exponential], runs, over="params", cuts=[1e9], resamples=200)
    >>> made.to_frame()[["model", "train_rows", "test_rows", "mae", "coverage"]].round(3)
             model  train_rows  test_rows    mae  coverage
    0     PowerLaw          13          7  0.018     1.000
    1  Exponential          13          7  0.075     0.429
    """
    named = named_models(models)
    columns = columns_of(named, inputs)
    regressors = {name: as_regressor(model, table) for name, model in named.items()}
    frequencies = np.ones(len(table)) if weights is None else weight_column(table, weights)
    _check_options(resamples, level)
    counted = np.flatnonzero(frequencies > 0)
    kept = table.where(frequencies > 0)
    places = _cuts(kept, over, cuts)
    splits = {cut: tuple(counted[part] for part in Extrapolation(**{over: cut}).indices(kept)) for cut in places}
    fits, parts, done = [], [], 0
    for cut, (train, test) in splits.items():
        decades = float(np.log10(table[over][test].max() / table[over][train].max()))
        for name, regressor in regressors.items():
            own, status, failure = _forecasts(
                regressor, table, (train, test), columns[name], weights, (resamples, level, seed)
            )  # fmt: skip
            counts = {"train_rows": len(train), "test_rows": len(test), "decades": decades}
            fits.append({"model": name, "cut": cut, **counts, "status": status, "failure": failure})
            if own is not None:
                parts.append(own.assign(model=name, cut=cut, weight=frequencies[test]))
            done += 1
            if progress is not None:
                progress(done, len(splits) * len(named))
    if not parts:
        raise ValueError(f"no model could be scored at any of {len(places)} cuts; the first: {fits[0]['failure']}")
    order = ["model", "cut", "row", over, "loss", "forecast", "low", "high", "refused", "doubts", "weight"]
    forecasts = pd.concat(parts, ignore_index=True).assign(**{over: lambda frame: table[over][frame["row"]]})[order]
    return Rollout(tuple(named), over, places, level if resamples else None, forecasts, pd.DataFrame(fits))


def _check_options(resamples: int, level: float) -> None:
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer) or resamples < 0 or resamples == 1:
        raise ValueError(f"resamples must be 0 for no intervals, or a whole number from 2 on, not {resamples!r}.")
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level must be between 0 and 1, such as 0.95, not {level!r}.")


def _cuts(table: LossTable, over: str, cuts: ArrayLike | None) -> tuple[float, ...]:
    """Where to cut, ascending."""
    if over not in INPUTS:
        raise ValueError(f"over must be one of {', '.join(INPUTS)}, not {over!r}.")
    if over not in table:
        raise ValueError(
            f"this table has no column {over!r}; order its runs by over={table.inputs[0]!r}"
            + (", or derive the FLOPs when making it: flops='6ND'." if over == "flops" else ".")
        )
    if cuts is None:
        return default_cuts(table[over], over)
    try:
        values = np.atleast_1d(np.asarray(cuts, dtype=float))
    except (TypeError, ValueError):
        raise TypeError(f"cuts must be numbers, values of {over} such as 1e20, not {cuts!r}.") from None
    if values.ndim != 1 or not len(values):
        raise ValueError(f"cuts must be one value of {over} or a row of them, but their shape is {np.shape(cuts)}.")
    again = [f"{value:g}" for place, value in enumerate(values) if value in values[:place]]
    if again:
        raise ValueError(f"cuts has {again[0]} twice; its scores would be the same.")
    return tuple(np.sort(values).tolist())


def default_cuts(values: Floats, over: str) -> tuple[float, ...]:
    """Cuts that leave about 50, 60, 70, 80 and 90 % of the values below, each halfway between two values.

    Raises
    ------
    ValueError
        If all values are one, within 0.1 %.

    Examples
    --------
    >>> [round(cut, 3) for cut in default_cuts(np.array([1.0, 1.0, 4.0, 9.0, 16.0, 25.0]), "flops")]
    [6.0, 12.0, 20.0]
    """
    labels = group_labels(values, RTOL)
    if labels.max() == 0:
        raise ValueError(f"all {len(values)} runs have the same {over} ({values[0]:.4g}), so none is larger.")
    below = np.cumsum(np.bincount(labels))[:-1] / len(values)
    chosen = sorted({int(np.argmin(np.abs(below - share))) for share in SHARES})
    return tuple(float(np.sqrt(values[labels == k].max() * values[labels == k + 1].min())) for k in chosen)


def _forecasts(
    regressor: Any, table: LossTable, split: Split, inputs: Inputs, weights: str | None, asked: tuple[int, float, int]
) -> tuple[pd.DataFrame | None, str, str]:  # fmt: skip
    """Forecasts of the tested rows, the status of the fit, and why there are none."""
    train, test = split
    resamples, level, seed = asked
    try:
        made = fit(regressor, table.where(np.isin(np.arange(len(table)), train)), inputs=inputs, weights=weights)
    except ValueError as error:
        return None, "", str(error)
    points = [table[name][test] for name in made.inputs]
    forecast = np.asarray(made(*points, extrapolate=True), dtype=float)
    bad = ~(np.isfinite(forecast) & (forecast > 0))
    if bad.any():
        return None, made.status.name, f"it forecasts {forecast[bad][0]:.4g}, which is no loss ({bad.sum()} such runs)"
    ends: dict[str, Any] = {"low": np.nan, "high": np.nan, "refused": False, "doubts": [()] * len(test)}
    if resamples:
        boot = bootstrap(made, resamples=resamples, seed=seed)
        wheres = [dict(zip(made.inputs, map(float, at), strict=True)) for at in zip(*points, strict=True)]
        found = frame_of([new_run(boot, where, boot.interval(where, level)) for where in wheres])
        ends = {name: found[name].to_list() for name in ends}
    columns = {"row": test, "loss": table.loss[test], "forecast": forecast, **ends}
    return pd.DataFrame(columns), made.status.name, ""
