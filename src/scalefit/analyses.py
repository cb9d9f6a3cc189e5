"""What a study asks of a fit, one function per analysis; each gives a result, or raises an error that says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from .allocation import compute_optimal
from .answers import Answer, Plan, make_plan, read_off, round_budgets
from .choosing import PLANE
from .columns import INPUTS
from .designing import NextRuns, next_runs
from .fitting import fit
from .forecasting import Forecast, forecast
from .identification import Identifiability, identifiability
from .influences import influence
from .intervals import Interval
from .kernel import AnovaKernelRidge
from .movement import Windows
from .network import NetworkRegressor
from .noise import NoiseFloor, noise_floor
from .parts import Statistic
from .resampled import Bootstrap
from .resampling import bootstrap
from .result import Fit
from .rolling import Rollout, rollout
from .scores import Validation
from .standouts import Influence
from .table import LossTable
from .validation import validate
from .windowing import windows

DECADES = (1.0, 2.0, 3.0)  # powers of ten above the largest run that are asked for, rounded down
BEYOND, POINTS = 10.0, 40  # of a curve: how far it is drawn beyond the largest run, and at how many inputs
MOST_LEFT_OUT, LEAST_SIZES = 2000, 4  # of rows, of groups of rows
OF_ROLLOUT, MOST_ROLLED = 200, 1000  # resamples below each cut, and rows up to which there are any
MOST_SURFACE, MOST_SPLIT = 4000, 2000  # rows of a kernel surface, and of one that is fitted again and again
PERMUTED = 499  # permutations of the test by replicates
OF_WINDOWS, WORK = (100, 400), 200_000  # resamples of each window, fewest and most; these times rows
OF_PROFILES = 400  # resamples that say what rise of the objective noise explains
PROFILED = 5  # values of a parameter on each side of its estimate
SPLITS = 20  # arXiv:2601.10684, appendix B.3


@dataclass(frozen=True)
class Context:
    """What every analysis starts from.

    Attributes
    ----------
    fit : Fit
    boot : Bootstrap, optional
    statistic : str or callable
    interval : Interval
        Of the statistic.
    seed : int
    network : bool
    budget : float, FLOPs, optional

    Examples
    --------
    >>> import scalefit as sf
    >>> boot = sf.bootstrap(sf.fit(sf.PowerLaw, sf.load("pythia"), inputs="params"), resamples=50)
    >>> Context(boot.base, boot, "alpha", boot.interval("alpha")).of_plane
    False
    """

    fit: Fit
    boot: Bootstrap | None
    statistic: Statistic
    interval: Interval
    seed: int = 0
    network: bool = False
    budget: float | None = None

    @property
    def table(self) -> LossTable:
        """The runs."""
        return self.fit.table

    @property
    def level(self) -> float:
        """Coverage of all intervals."""
        return self.interval.level

    @property
    def subject(self) -> Fit | Bootstrap:
        """The bootstrap; the fit where there is none."""
        return self.boot or self.fit

    @property
    def of_plane(self) -> bool:
        """Whether the law is one of params and tokens."""
        return set(self.fit.inputs) == set(PLANE)

    @property
    def law(self) -> Any:
        """The law, unfitted, with what is fixed or tied."""
        return clone(self.fit.model)


def _windows(context: Context) -> Windows:
    """The statistic over windows of the runs; with fewer resamples in each window than over all runs."""
    many = len(context.table) > MOST_LEFT_OUT
    if context.boot is None or context.interval.refused or many:  # what noise does is not known, or takes too long
        return windows(context.fit, statistic=context.statistic, level=context.level)
    resamples = min(len(context.boot), of_windows(len(context.table)))
    boot = bootstrap(context.fit, context.boot.scheme, resamples=resamples, seed=context.boot.seed)
    found = windows(boot, statistic=context.statistic, level=context.level)
    whole = context.interval
    return replace(found, base={found.statistics[0]: replace(found.estimate, low=whole.low, high=whole.high)})


def of_windows(rows: int) -> int:
    """Resamples of each window: refits of sixteen windows are most of a report's work.

    Examples
    --------
    >>> of_windows(240), of_windows(10_000)
    (400, 100)
    """
    return int(np.clip(WORK // rows, *OF_WINDOWS))


def _influence(context: Context) -> Influence:
    """What each run does to the statistic."""
    if len(context.table) > MOST_LEFT_OUT:
        raise ValueError(
            f"{len(context.table)} rows are too many to leave out one by one in a report: up to {MOST_LEFT_OUT} are."
        )
    return influence(context.fit, statistic=context.statistic)


def _influence_by_size(context: Context) -> Influence:
    """What all runs of one size do to it."""
    name = context.fit.inputs[0]
    sizes = len(np.unique(context.table[name]))
    if not LEAST_SIZES <= sizes < len(context.table) or sizes > MOST_LEFT_OUT:
        raise ValueError(f"No several runs share their {name}, so there are no groups of it to leave out.")
    return influence(context.fit, by=name, statistic=context.statistic)


def _identifiability(context: Context) -> Identifiability:
    """Which parameters the runs determine."""
    points, subject = PROFILED if len(context.table) <= MOST_LEFT_OUT else 2, context.subject
    if context.boot is not None and len(context.boot) > OF_PROFILES:  # each is refitted once more per parameter
        subject = bootstrap(context.fit, context.boot.scheme, resamples=OF_PROFILES, seed=context.boot.seed)
    return identifiability(subject, level=context.level, points=points)


def _next_runs(context: Context) -> NextRuns:
    """The runs that would narrow the statistic."""
    return next_runs(context.subject, statistic=context.statistic)


def _plan(context: Context) -> Plan:
    """What to train at round budgets: two of the runs, three beyond them."""
    _needs_plane(context, "What to train at a budget")
    spent = 6 * context.table.params * context.table.tokens
    inside = round_budgets(spent.min(), spent.max())
    beyond = _budgets(context)
    asked = [budget for budget in inside if budget < min(beyond)][-2:] + beyond
    read = partial(compute_optimal, context.subject)
    return make_plan(read(inside), context.table, asked, fit=context.fit, read=read, level=context.level)


def _ladder(context: Context) -> tuple[Answer, ...]:
    """The best models at round budgets of the runs."""
    _needs_plane(context, "A frontier")
    spent = 6 * context.table.params * context.table.tokens
    return read_off(compute_optimal(context.subject, round_budgets(spent.min(), spent.max())), context.level)


def _curve(context: Context) -> pd.DataFrame:
    """A law of one input over its runs and ten times beyond them, with its intervals where there are any."""
    if len(context.fit.inputs) > 1:
        raise ValueError("This law takes more than one input.")
    (name,) = context.fit.inputs
    runs = context.table[name]
    at = np.geomspace(runs.min() / 1.5, runs.max() * BEYOND, POINTS)
    ends = np.full((2, POINTS), np.nan)
    if context.boot is not None:
        intervals = [context.boot.interval({name: float(x)}, context.level) for x in at]
        ends = np.array([(one.low, one.high) for one in intervals]).T
    return pd.DataFrame({name: at, "loss": context.fit(at), "low": ends[0], "high": ends[1]})


def _surface(context: Context) -> dict[str, Any]:
    """The kernel surface of the same runs: what they say without a formula."""
    _needs_plane(context, "A surface without a formula")
    if len(context.table) > MOST_SURFACE:
        raise ValueError(
            f"A kernel surface of {len(context.table)} rows takes too long: up to {MOST_SURFACE} are fitted."
        )
    return _frontier_of(context, AnovaKernelRidge())


def _network(context: Context) -> dict[str, Any]:
    """A network on the same runs."""
    if not context.network:
        raise ValueError("It takes minutes: ask for it with --network.")
    _needs_plane(context, "A surface without a formula")
    return _frontier_of(context, NetworkRegressor(seed=context.seed))


def _frontier_of(context: Context, model: Any) -> dict[str, Any]:
    fitted = fit(model, context.table, inputs=PLANE, weights=context.fit.weights)
    spent = 6 * context.table.params * context.table.tokens
    frontier = compute_optimal(fitted, np.geomspace(spent.min(), spent.max(), 25))
    return {"fit": fitted, "frontier": frontier, "exponents": frontier.exponents()}


def _forecast(context: Context) -> Forecast:
    """The loss of larger runs, by the law and by others that fit about as well."""
    subject: Any = context.subject
    if context.of_plane:
        return forecast(subject, level=context.level, flops=_budgets(context))
    if len(context.fit.inputs) > 1:
        raise ValueError("Larger runs are forecast by a law of params and tokens, or of one input.")
    (name,) = context.fit.inputs
    points: dict[str, Any] = {name: _round_up(float(context.table[name].max()), DECADES[:2])}
    return forecast(subject, level=context.level, **points)


def _rollout(context: Context) -> dict[str, Rollout]:
    """The law, with intervals, and a surface beside it: trained on the smaller runs, asked for the larger."""
    over = "flops" if "flops" in context.table else context.fit.inputs[0]
    if over not in INPUTS:
        raise ValueError(f"Runs are told larger by params, tokens or flops, not by {over}.")
    few = len(context.table) <= MOST_ROLLED
    resamples = min(len(context.boot), OF_ROLLOUT) if context.boot and few else 0
    return {
        name: rollout(
            {name: model}, context.table, over=over, inputs=context.fit.inputs, weights=context.fit.weights,
            resamples=resamples if name == "law" else 0, level=context.level, seed=context.seed,
        )
        for name, model in _models(context).items()
    }  # fmt: skip


def _noise(context: Context) -> NoiseFloor:
    """What runs that differ by their seed alone say of the noise."""
    if "seed" not in context.table:
        raise ValueError("The table has no column seed, so what seeds alone do to the loss is not known.")
    return noise_floor(context.fit, by="seed", seed=context.seed, resamples=PERMUTED)


def _models(context: Context) -> dict[str, Any]:
    """The law, and of params and tokens the kernel surface."""
    models: dict[str, Any] = {"law": context.law}
    surface = context.of_plane and len(context.table) <= MOST_SPLIT
    return {**models, "kernel surface": AnovaKernelRidge()} if surface else models


def _budgets(context: Context) -> list[float]:
    """The budget that was asked for, or round ones beyond the runs."""
    if context.budget is not None:
        return [context.budget]
    return _round_up(float((6 * context.table.params * context.table.tokens).max()), DECADES)


def _round_up(most: float, decades: Sequence[float]) -> list[float]:
    """Powers of ten above a count."""
    return [float(f"1e{int(np.floor(np.log10(most) + by + 1e-9))}") for by in decades]


def _validation(context: Context) -> Validation:
    """The law and the kernel surface on rows that they were not fitted to."""
    return validate(
        _models(context), context.table, cv=SPLITS, inputs=context.fit.inputs, weights=context.fit.weights,
        seed=context.seed,
    )  # fmt: skip


def _needs_plane(context: Context, what: str) -> None:
    if not context.of_plane:
        names = " and ".join(context.fit.inputs)
        raise ValueError(f"{what} needs runs over params and tokens; this law is one of {names} alone.")


#: Name of each analysis, what is being done in words, and how it is made; in the order in which they are made.
ANALYSES: Mapping[str, tuple[str, Callable[[Context], Any]]] = MappingProxyType({
    "curve": ("drawing the law", _curve),
    "windows": ("asking what the choice of runs moves", _windows),
    "influence": ("leaving out each run", _influence),
    "influence_by_size": ("leaving out each size", _influence_by_size),
    "plan": ("looking for the best models", _plan),
    "ladder": ("following the best models over budgets", _ladder),
    "surface": ("fitting a kernel surface", _surface),
    "forecasts": ("forecasting larger runs, by other laws too", _forecast),
    "rollout": ("forecasting the larger runs from the smaller", _rollout),
    "noise": ("looking at replicates", _noise),
    "identifiability": ("asking what the runs determine", _identifiability),
    "next_runs": ("looking for the next run", _next_runs),
    "network": ("training networks", _network),
    "validation": ("testing on rows left out", _validation),
})  # fmt: skip
