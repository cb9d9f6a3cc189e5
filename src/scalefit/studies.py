"""Study: every analysis of one table that a report shows, computed once, as one value; it prints and draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .analyses import ANALYSES, Context
from .choosing import choose_model
from .fitting import fit
from .intervals import Interval
from .parts import Statistic, name_of
from .resampled import Bootstrap
from .resampling import bootstrap
from .result import Fit
from .schemes import Scheme
from .table import LossTable

Step = Callable[[str], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Settings:
    """What a study is asked, beside its table.

    Attributes
    ----------
    model : Law class or regressor, optional
        By default the law that the table can hold: Chinchilla, or a power of one input.
    inputs : tuple of str, optional
    weights : str, optional
        Column of frequencies.
    scheme : Wild or Pairs, optional
    resamples, seed : int
    level : float
    network : bool
        Whether a network is fitted beside the law, which takes minutes.
    budget : float, FLOPs, optional
        For which the best model is asked first; by default round ones beyond the runs.

    Examples
    --------
    >>> Settings(resamples=200).level
    0.95
    """

    model: Any = None
    inputs: tuple[str, ...] | None = None
    weights: str | None = None
    scheme: Scheme | None = None
    resamples: int = 1000
    seed: int = 0
    level: float = 0.95
    network: bool = False
    budget: float | None = None


@dataclass(frozen=True, repr=False, eq=False)
class Study:
    """Every analysis of one table, and in a sentence why some could not be made.

    Attributes
    ----------
    name : str
        What the table is called.
    settings : Settings
    fit : Fit
        The law that the study is about.
    boot : Bootstrap, optional
    statistic : str or callable
        The number that the analyses are about: the allocation exponent, or the exponent of a law of one input.
    intervals : mapping of str to Interval
        Of the statistic and every fitted parameter.
    found : mapping of str to result
        What each analysis gave.
    missing : mapping of str to str
        Why an analysis could not be made.
    notes : tuple of str
        How the law was chosen.

    Examples
    --------
    >>> import scalefit as sf
    >>> made = study(sf.load("pythia").where("kept"), "pythia", Settings(resamples=100))
    >>> made.fit.formula, sorted(made.found)[0]
    ('E + A params^-alpha', 'curve')
    """

    name: str
    settings: Settings
    fit: Fit
    boot: Bootstrap | None
    statistic: Statistic
    intervals: Mapping[str, Interval]
    found: Mapping[str, Any]
    missing: Mapping[str, str]
    notes: tuple[str, ...] = field(default=())

    @property
    def table(self) -> LossTable:
        """The runs."""
        return self.fit.table

    @property
    def of_plane(self) -> bool:
        """Whether the law is one of params and tokens."""
        return set(self.fit.inputs) == {"params", "tokens"}

    @property
    def headline(self) -> Interval:
        """The number that the analyses are about, with its interval or why there is none."""
        return self.intervals[name_of(self.statistic)]

    def to_dict(self) -> dict[str, Any]:
        """Every number of the study as plain values."""
        boot = None
        if self.boot is not None:
            boot = {"scheme": self.boot.words, "resamples": len(self.boot), "units": self.boot.units,
                    "by": self.boot.scheme.by, "seed": self.boot.seed, "flags": self.boot.flags,
                    "notes": list(self.boot.notes)}  # fmt: skip
        numbers: dict[str, Any] = _plain({
            "notes": list(self.notes),
            "fit": self.fit.to_dict(),
            "bootstrap": boot,
            "statistic": name_of(self.statistic),
            "intervals": {name: interval.to_dict() for name, interval in self.intervals.items()},
            "analyses": self.found,
            "missing": self.missing,
        })  # fmt: skip
        return numbers

    def __repr__(self) -> str:
        lines = [f"study of {self.name}: {len(self.table)} rows", repr(self.fit), repr(self.headline)]
        lines += [f"not made: {name}: {why}" for name, why in self.missing.items()]
        return "\n".join(lines)


def study(table: LossTable, name: str, settings: Settings, *, step: Step | None = None) -> Study:
    """Fit, resample and question a table.

    Parameters
    ----------
    table : LossTable
    name : str
        What the table is called.
    settings : Settings
    step : callable, optional
        Takes what is being done, in words; gives a context in which it is done.

    Raises
    ------
    TypeError, ValueError
        If the table cannot be fitted at all. An analysis that cannot be made is listed in `missing` instead.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> made = study(runs, "simulated", Settings(resamples=200))
    >>> made.headline.low < 0.25 < made.headline.high
    True
    """
    step = step or (lambda _: nullcontext())
    missing: dict[str, str] = {}
    with step(f"fitting {name}"):
        chosen = choose_model(table, settings.model, settings.inputs, settings.weights)
        fitted = fit(chosen.model, table, inputs=chosen.inputs, weights=settings.weights)
    boot = None
    with step("resampling"):
        try:
            boot = bootstrap(fitted, settings.scheme, resamples=settings.resamples, seed=settings.seed)
        except ValueError as error:
            if "memory" not in str(error):  # too many rows cost the intervals; bad settings are an error
                raise
            missing["intervals"] = str(error)
    with step("reading intervals off the refits"):
        intervals = _intervals(fitted, boot, chosen.statistic, settings.level)
    context = Context(
        fitted, boot, chosen.statistic, intervals[name_of(chosen.statistic)], settings.seed, settings.network,
        settings.budget,
    )  # fmt: skip
    found: dict[str, Any] = {}
    for analysis, (words, make) in ANALYSES.items():
        with step(words):
            try:
                found[analysis] = make(context)
            except (ValueError, TypeError, np.linalg.LinAlgError) as error:
                missing[analysis] = str(error)
    return Study(name, settings, fitted, boot, chosen.statistic, intervals, found, missing, chosen.notes)


def _intervals(fitted: Fit, boot: Bootstrap | None, statistic: Statistic, level: float) -> dict[str, Interval]:
    """Of the statistic and every free parameter; without a bootstrap, estimates with ends that are nan."""
    names: list[Statistic] = [*(boot.parameters if boot else fitted.parameters)]
    if not isinstance(statistic, str):
        names.insert(0, statistic)
    if boot is not None:
        return {name_of(one): boot.interval(one, level) for one in names}
    nan = float("nan")

    def value(one: Statistic) -> float:
        return float(one(fitted)) if callable(one) else fitted.parameters[str(one)]

    return {name_of(one): Interval(name_of(one), value(one), nan, nan, nan, level, "percentile_t") for one in names}


def _plain(result: Any) -> Any:
    """Plain values of a result, of a mapping or sequence of results."""
    if hasattr(result, "to_dict"):
        return _plain(result.to_dict())
    if isinstance(result, pd.DataFrame):
        return _plain(result.to_dict("records"))
    if isinstance(result, Mapping):
        return {str(name): _plain(one) for name, one in result.items()}
    if isinstance(result, list | tuple):
        return [_plain(one) for one in result]
    if isinstance(result, np.ndarray):
        return _plain(result.tolist())
    if isinstance(result, np.generic):
        return _plain(result.item())
    return None if isinstance(result, float) and not np.isfinite(result) else result
