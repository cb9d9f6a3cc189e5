"""The verb `forecast`: the loss of runs not yet made, with what the runs and what the choice of a law leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .allocation import compute_optimal
from .families import Families
from .family_resampling import FamilyBootstrap
from .fitting import Model
from .intervals import Interval
from .replicates import Progress
from .resampled import Bootstrap
from .resampling import bootstrap
from .result import Fit
from .rivalry import PLANE, Rival, beside
from .sheets import visible
from .unseen import new_run, thin_tails

Floats = NDArray[np.float64]

MOST_POINTS, SHOWN = 1000, 20  # of a forecast; of those that are printed
SURFACE = "A surface without a formula has no forecast outside the convex hull of its runs; its rivals have."


@dataclass(frozen=True, repr=False, eq=False)
class Forecast:
    """Losses forecast at m points: intervals that the runs give, and the spread of models that fit them about as well.

    Attributes
    ----------
    base : Fit
    points : mapping of str to (m,) array
        Inputs, in raw units.
    flops : (m,) array, optional
        Budgets whose best model was asked for.
    means : tuple of Interval
        For the mean loss at each point.
    new_runs : tuple of Interval
        For the loss of one new run there.
    rivals : tuple of Rival
        Other models; those that are `close` make the spread.
    notes : tuple of str
        What else a reader should know.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 20)), noise=0.003)
    >>> forecast(sf.fit(sf.PowerLaw, runs), params=[1e11, 1e12])
    ok     loss by E + A params^-alpha, 95 % intervals of the mean and of a new run
    models that fit about as well, 1 of 7: second power
      params  loss           mean        new run         models       combined
       1e+11 2.053 2.041 to 2.064 2.035 to 2.071 2.053 to 2.053 2.041 to 2.064
       1e+12 2.031 2.014 to 2.047 2.009 to 2.052 2.031 to 2.031 2.014 to 2.047
    """

    base: Fit
    points: Mapping[str, Floats]
    flops: Floats | None
    means: tuple[Interval, ...]
    new_runs: tuple[Interval, ...]
    rivals: tuple[Rival, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.means)

    @property
    def loss(self) -> Floats:
        """(m,) forecasts of the fit, nats per token."""
        return np.array([interval.estimate for interval in self.means])

    @property
    def close(self) -> tuple[Rival, ...]:
        """Models that fit about as well as the fit, or better."""
        return tuple(rival for rival in self.rivals if rival.close)

    @property
    def models(self) -> Floats:
        """(2, m) lowest and highest forecast of the fit and of the models that fit about as well."""
        losses = np.array([self.loss, *(self._losses[rival.name] for rival in self.close)])
        known = np.isfinite(losses)
        low, high = np.where(known, losses, np.inf).min(axis=0), np.where(known, losses, -np.inf).max(axis=0)
        return np.where(known.any(axis=0), [low, high], np.nan)

    @property
    def combined(self) -> Floats:
        """(2, m) ends of the range that holds the interval for the mean and the models; nan where that is refused."""
        (low, high), ends = self.models, np.array([tuple(interval) for interval in self.means]).T
        return np.array([np.minimum(low, ends[0]), np.maximum(high, ends[1])])

    @cached_property
    def _losses(self) -> dict[str, Floats]:
        """(m,) forecasts of every rival that was fitted."""
        return {
            rival.name: np.asarray(rival.fit(*self.points.values()), dtype=np.float64)
            for rival in self.rivals
            if rival.fit is not None
        }

    def to_frame(self) -> pd.DataFrame:
        """A row per point: inputs, forecast, interval for the mean, for a new run, of the models, and all combined."""
        given = {} if self.flops is None else {"flops": self.flops}
        ends = {
            "": np.array([tuple(interval) for interval in self.means]).T,
            "new_run_": np.array([tuple(interval) for interval in self.new_runs]).T,
            "models_": self.models,
            "combined_": self.combined,
        }
        columns = {f"{name}{side}": ends[name][k] for name in ends for k, side in enumerate(("low", "high"))}
        return pd.DataFrame({
            **given, **self.points, "loss": self.loss, **columns, "level": [i.level for i in self.means],
            "refused": [i.refused for i in self.means],
            "doubts": [tuple(doubt.name for doubt, _ in i.doubts) for i in self.means],
        })  # fmt: skip

    def rivals_to_frame(self) -> pd.DataFrame:
        """A row per model and point, the fit first: objective by that of the fit, whether it is close, its forecast."""
        everyone = [Rival("the fit", self.base, 1.0, True, False), *self.rivals]
        losses = {"the fit": self.loss, **self._losses}
        rows = [
            {"model": rival.name, "ratio": rival.ratio, "close": rival.close, "better": rival.better,
             "status": "" if rival.fit is None else rival.fit.status.name, "failure": rival.failure,
             **{name: values[k] for name, values in self.points.items()},
             "loss": losses[rival.name][k] if rival.fit is not None else np.nan}
            for rival in everyone for k in range(len(self))
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None where there is none."""
        frames = {"points": self.to_frame(), "models": self.rivals_to_frame()}
        plain = {
            name: frame.replace([np.inf, -np.inf], np.nan).astype(object).where(frame.notna(), None).to_dict("records")
            for name, frame in frames.items()
        }
        return {"fit": self.base.formula, "ok": self.base.ok, "notes": list(self.notes), **plain}

    def __repr__(self) -> str:
        doubts: dict[str, None] = {note: None for interval in self.means for note in interval.notes}
        refused = sum(interval.refused for interval in self.means)
        better = any(rival.better for rival in self.rivals)
        verdict = (
            f"REFUSED at {refused} of {len(self)} points:" if refused else "DOUBT " if doubts or better else "ok    "
        )
        level = f"{100 * self.means[0].level:g} %"
        lines = [f"{verdict} loss by {self.base.formula}, {level} intervals of the mean and of a new run"]
        lines += [f"the fit is NOT OK: {note}" for note in self.base.notes]
        lines += [f"note  {note}" for note in (*doubts, *self.notes)]
        names = ", ".join(rival.name for rival in self.close) or "none"
        lines.append(f"models that fit about as well, {len(self.close)} of {len(self.rivals)}: {names}")
        shown = self.to_frame()
        cells = {name: [f"{value:.4g}" for value in shown[name]] for name in shown.columns[: _places(shown)]}
        for title, name in {"mean": "", "new run": "new_run_", "models": "models_", "combined": "combined_"}.items():
            pairs = zip(shown[f"{name}low"], shown[f"{name}high"], strict=True)
            cells[title] = ["refused" if np.isnan(low) else f"{low:.4g} to {high:.4g}" for low, high in pairs]
        lines += [f"  {line}" for line in pd.DataFrame(cells).to_string(index=False, max_rows=SHOWN).splitlines()]
        return visible("\n".join(lines))


def _places(frame: pd.DataFrame) -> int:
    """Number of columns up to the loss."""
    return list(frame.columns).index("loss") + 1


def forecast(
    fit: Fit | Bootstrap, *, level: float = 0.95, rivals: Mapping[str, Model] | None = None, resamples: int = 1000,
    seed: int = 0, progress: Progress | None = None, **at: ArrayLike,
) -> Forecast:  # fmt: skip
    """Loss of runs not yet made: interval for the mean, for a new run, and the spread of models that fit about as well.

    Parameters
    ----------
    fit : Fit or Bootstrap
        Of a Fit, a bootstrap is made.
    **at : float or (m,) array, in raw units
        The inputs of the fit by name, such as ``params=1e12, tokens=2e13``. Of a fit of params and tokens, ``flops``
        alone asks for the model that the fit takes for the best at that budget, by C = 6 N D.
    level : float
        Nominal coverage of the intervals.
    rivals : mapping of str to model, optional
        Other models on the same inputs; those of `rivals` if None, none if empty.
    resamples, seed : int
        Of the bootstrap that is made of a Fit.
    progress : callable, optional
        Of that bootstrap.

    Returns
    -------
    Forecast

    Raises
    ------
    TypeError
        If this is no fit, or its inputs are missing, unknown or no numbers.
    ValueError
        If a value is not positive and finite, a budget has no best model, or the level is out of range.

    Notes
    -----
    The interval for the mean is that of the bootstrap: what the noise of the runs leaves open *if the law holds*. For a
    new run, the leave-one-out errors of the runs are added (see `unseen.new_run`: they err alike, in the space of the
    objective). Neither knows of another law. So beside them stand the forecasts of laws that fit the same runs about as
    well, and `combined` holds both. It has no nominal coverage: docs/forecasts.md tells how often it held the truth.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 5), tokens=[1e9, 1e10, 1e11]),
    ...                    noise=0.003)
    >>> made = forecast(sf.fit(sf.Chinchilla, runs), flops=[1e21, 1e22], resamples=200)
    >>> made.to_frame()[["flops", "loss", "low", "high"]].round(3)
              flops   loss    low   high
    0  1.000000e+21  2.327  2.320  2.334
    1  1.000000e+22  2.133  2.117  2.148
    """
    if not isinstance(fit, Fit | Bootstrap) or (isinstance(fit, Bootstrap) and not isinstance(fit.base, Fit)):
        kind = "a bootstrap of curves" if isinstance(fit, Bootstrap) else type(fit).__name__
        joint = "; of families, the bootstrap of one: sf.bootstrap(families)[family]"
        remedy = joint if isinstance(fit, Families | FamilyBootstrap) else ""
        raise TypeError(f"forecast needs what sf.fit gave, or a bootstrap of it, not {kind}{remedy}.")
    base: Any = fit.base if isinstance(fit, Bootstrap) else fit
    points, flops, notes = _points(base, at)
    boot = fit if isinstance(fit, Bootstrap) else bootstrap(fit, resamples=resamples, seed=seed, progress=progress)
    means, new = [], []
    for k in range(len(next(iter(points.values())))):
        where = {name: float(values[k]) for name, values in points.items()}
        means.append(boot.interval(where, level))
        new.append(new_run(boot, where, means[-1]))
    others = beside(base, rivals)
    better = ", ".join(rival.name for rival in others if rival.better)
    told = [f"The runs speak against this law: they are fitted better by {better}."] * bool(better)
    told += [thin_tails(boot, level)] * bool(thin_tails(boot, level))
    told += [f"{rival.name} cannot be fitted: {rival.failure}" for rival in others if rival.fit is None]
    told += [SURFACE] * (not base.has_law and not np.all(np.isfinite([i.estimate for i in means])))
    return Forecast(base, points, flops, tuple(means), tuple(new), others, (*notes, *told))


def _points(base: Fit, at: Mapping[str, ArrayLike]) -> tuple[dict[str, Floats], Floats | None, tuple[str, ...]]:
    """(m,) inputs of a fit, the budgets that they spend, and notes."""
    arrays = {name: _numbers(name, values) for name, values in at.items()}
    many = max((values.size for values in arrays.values()), default=0)
    if many > MOST_POINTS:
        raise ValueError(f"a forecast is at 1 to {MOST_POINTS} points, not at {many}. Ask for fewer.")
    if set(arrays) == {"flops"} and set(base.inputs) == set(PLANE):
        frontier = compute_optimal(base, np.atleast_1d(arrays["flops"]))
        lost = ~frontier.bracketed
        if lost.any():
            raise ValueError(
                f"there is no best model for {frontier.flops[lost][0]:.4g} FLOPs between the ends of the search "
                f"({lost.sum()} such budgets). Name params and tokens instead, or ask for other budgets."
            )
        return {name: np.asarray(getattr(frontier, name)) for name in base.inputs}, frontier.flops, frontier.notes
    base(extrapolate=False, **arrays)  # names and values are checked by the fit
    shaped = np.broadcast_arrays(*(np.atleast_1d(arrays[name]) for name in base.inputs))
    if shaped[0].ndim != 1 or not shaped[0].size:
        raise ValueError(f"a forecast is at 1 to {MOST_POINTS} points, not at an array of the shape {shaped[0].shape}.")
    return dict(zip(base.inputs, (np.array(values) for values in shaped), strict=True)), None, ()


def _numbers(name: str, values: ArrayLike) -> Floats:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or an array of them, not {values!r}.") from None
