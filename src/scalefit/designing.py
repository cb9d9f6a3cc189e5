"""The verb `next_runs`: which runs would narrow a statistic of a law most, for what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .candidates import ROUNDING, affordable
from .costs import Cost, cost_name
from .derived import allocation_exponent
from .flops import six_nd
from .formula import SeparableLaw
from .linearised import Linear, check_law, linearise
from .parts import Statistic, as_number, name_of
from .resampled import Bootstrap
from .resampling import bootstrap
from .result import Fit
from .sheets import visible
from .table import LossTable

Floats = NDArray[np.float64]

BETTER = 0.02  # of the standard error, by which more runs must narrow it to be planned instead of fewer
ROUNDS = 3  # of exchanging runs of a plan
MOST_RUNS = 20
RESAMPLES = 200  # for a standard error
STEP = 1e-3  # of a parameter, by which the slope of a statistic is seen
BENT = 0.5  # of the standard error, by which the statistic may be off the linear model one standard error away


@dataclass(frozen=True, repr=False, eq=False)
class NextRuns:
    """Candidates by what they would tell, and a plan that spends the budget.

    Attributes
    ----------
    statistic : str
        What is to be narrowed.
    estimate, standard_error : float
        Of the runs that are there.
    budget : float, FLOPs
        Of all runs together.
    plan : DataFrame
        The runs to make, in the order in which they were chosen: the inputs, `flops`, and `standard_error` after it.
    candidates : DataFrame
        Every candidate within the budget, the best first: the inputs, `flops`, `standard_error` after this one run,
        `narrowed`, the share by which it is smaller, and `per_flop`, that share per FLOP.
    source : str
        Where candidates and standard error come from.
    notes : tuple of str
        What was left out, and what to be careful of.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e9, 5), tokens=np.geomspace(2e9, 2e10, 5))
    >>> found = next_runs(sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, design, noise=0.005)))
    >>> found.statistic, found.budget
    ('allocation_exponent', 1.2e+20)
    >>> bool(found.candidates["narrowed"].is_monotonic_decreasing), len(found.plan) <= 4
    (True, True)
    """

    statistic: str
    estimate: float
    standard_error: float
    budget: float
    plan: pd.DataFrame
    candidates: pd.DataFrame
    source: str
    notes: tuple[str, ...]

    @property
    def best(self) -> dict[str, float]:
        """The one run within the budget that narrows most."""
        return self._candidate(0)

    @property
    def best_per_flop(self) -> dict[str, float]:
        """The run that narrows most per FLOP: as a rule one of the cheapest."""
        return self._candidate(int(np.argmax(self.candidates["per_flop"])))

    def _candidate(self, row: int) -> dict[str, float]:
        return {str(name): float(self.candidates[name].iloc[row]) for name in self.candidates}

    def to_frame(self) -> pd.DataFrame:
        """The candidates, the best first."""
        return self.candidates.copy()

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the candidates, of which there may be hundreds, are in `to_frame`."""
        return {
            "statistic": self.statistic, "estimate": self.estimate, "standard_error": self.standard_error,
            "budget": self.budget, "plan": self.plan.to_dict("records"), "best": self.best,
            "best_per_flop": self.best_per_flop, "candidates": len(self.candidates), "source": self.source,
            "notes": list(self.notes),
        }  # fmt: skip

    def __repr__(self) -> str:
        after = self.plan["standard_error"].iloc[-1]
        lines = [
            f"{self.statistic} {self.estimate:.4g}  standard error {self.standard_error:.3g}, "
            f"{after:.3g} with {len(self.plan)} more {'run' if len(self.plan) == 1 else 'runs'} "
            f"of {self.plan['flops'].sum():.3g} FLOPs (budget {self.budget:.3g})"
        ]
        lines += [f"  {number}. {_words(row)}" for number, row in enumerate(self.plan.to_dict("records"), 1)]
        for name, row in (("one run", self.best), ("per FLOP", self.best_per_flop)):
            lines.append(f"best {name:<8}  {_words(row)}, {100 * row['narrowed']:.3g} % narrower")
        lines.append(f"{len(self.candidates)} candidates within the budget, {self.source}")
        return visible("\n".join([*lines, *(f"note  {note}" for note in self.notes)]))


def _words(row: Mapping[Any, Any]) -> str:
    """A run by what it is made of, and the standard error after it."""
    inputs = [name for name in row if name not in ("flops", "standard_error", "narrowed", "per_flop")]
    made = ", ".join(f"{name} {row[name]:.3g}" for name in [*inputs, "flops"])
    return f"{made}: standard error {row['standard_error']:.3g}"


def next_runs(
    fit: Fit | Bootstrap, candidates: pd.DataFrame | LossTable | None = None, *, statistic: Statistic | None = None,
    cost: Cost = six_nd, budget: float | None = None, count: int = 4,
) -> NextRuns:  # fmt: skip
    """Which runs to make next, so that a statistic is known better for a given number of FLOPs.

    Parameters
    ----------
    fit : Fit or Bootstrap
        Of a law. The standard error now is that of the draws, of 200 resamples where a fit is given, and those to come
        are scaled alike; of a law that is not separable, it is linearised.
    candidates : DataFrame or LossTable, optional
        Runs that could be made: the inputs of the law in raw units, and what the cost needs (params and tokens, else a
        column flops). By default, for a law of params and tokens, eight a decade of both, from the smallest runs to ten
        times the largest, at tokens per parameter that the runs have, the outer 5 % of them left aside (half to twice
        that where it is less than a factor of two); for a law of flops, from the cheapest run to ten times the dearest.
    statistic : str, mapping of str to float, or callable, optional
        As in `Bootstrap.interval`: a parameter, inputs of a forecast, or a function of a fit. By default
        `allocation_exponent`, for a law of params and tokens.
    cost : callable
        FLOPs of params and tokens.
    budget : float, FLOPs, optional
        For all new runs together; by default what the most expensive run so far cost.
    count : int
        Most runs in the plan. A candidate may be planned several times.

    Raises
    ------
    TypeError
        If this is no fit of a law, or the candidates are no frame.
    ValueError
        If candidates lack a column or a value, none is within the budget, the statistic does not depend on the law, or
        the fit is one family of a joint fit.

    Notes
    -----
    The fit is taken as linear in its parameters: with information I = sum J'J / noise^2 and g the slope of the
    statistic, its variance is g' I^-1 g, and a run with derivatives j makes it g' (I + j'j / noise^2)^-1 g, the
    c-optimal criterion [1]_. A note says so where the statistic is off that line one standard error away. A new run is
    as noisy as those that are there, and errs independently.

    Per FLOP, the cheapest candidates nearly always win: a run's price falls faster than what it tells. A budget is the
    sensible question, so the plan is made for it: for each number of runs up to `count`, runs are added one by one that
    narrow most among those within an even share of what is left, and each is exchanged while that narrows further. Of
    these plans the one that narrows most is taken, with fewer runs where the others gain under 2 % (our choice).

    The linear model believes the law everywhere, and likes its edges best. So default candidates are no smaller and no
    more lopsided than the runs, since laws fail there first. docs/next_runs.md measures what the choice gains, also
    where the law is wrong.

    References
    ----------
    .. [1] Pukelsheim 2006, Optimal Design of Experiments, chapter 2.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e9, 5), tokens=np.geomspace(2e9, 2e10, 5))
    >>> fit = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, design, noise=0.005))
    >>> found = next_runs(fit, statistic={"params": 1e11, "tokens": 2e12}, budget=1e21, count=1)
    >>> bool(found.plan["standard_error"].iloc[0] < found.standard_error)
    True
    """
    base: Any = fit.base if isinstance(fit, Bootstrap) else fit
    check_law(base)
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= MOST_RUNS:
        raise ValueError(f"count must be a whole number of runs from 1 to {MOST_RUNS}, not {count!r}.")
    statistic, near = _checked(base, statistic), linearise(base)
    slope, scale = _slope(near, statistic), 1.0
    se = float(np.sqrt(slope @ near.covariance @ slope))
    boot = _resampled(fit)
    if boot is not None:
        scale = boot.standard_error(statistic) / se
        if not 0 < scale < np.inf:
            raise ValueError(f"the refits give no standard error of {name_of(statistic)}: look at the bootstrap.")
    limit, frame, notes = affordable(base, candidates, cost, budget)
    flops = frame["flops"].to_numpy()
    J = near.rows(frame[list(base.inputs)].to_numpy(float)) / near.noise
    runs = _plan(near.covariance, slope, J, flops, limit, int(count))
    errors = scale * _errors(near.covariance, slope, J[runs])
    plan = frame.iloc[runs].assign(standard_error=errors[1:]).reset_index(drop=True)
    after = scale * np.sqrt(np.maximum(se**2 - _gains(near.covariance, slope, J), 0.0))
    narrowed = 1 - after / errors[0]
    ranked = frame.assign(standard_error=after, narrowed=narrowed, per_flop=narrowed / flops)
    ranked = ranked.sort_values(["narrowed", "flops"], ascending=[False, True], kind="stable", ignore_index=True)
    how = "linearised" if boot is None else f"that of {len(boot)} resamples, scaled"
    source = f"C = {'flops' if 'flops' in base.inputs else cost_name(cost)}; standard error {how}"
    if boot is not None and boot.scheme.by is not None:
        notes = (*notes, f"runs of one {boot.scheme.by} may err together; the plan takes new ones to err on their own")
    notes = (*notes, *_bent(near, statistic, slope, se), *(f"the fit: {note}" for note in base.notes))
    return NextRuns(name_of(statistic), _value(base, statistic), float(errors[0]), limit, plan, ranked, source, notes)


def _resampled(fit: Fit | Bootstrap) -> Bootstrap | None:
    """The bootstrap that the standard error is of; none of a law whose refits take seconds each."""
    if isinstance(fit, Bootstrap):
        return fit
    return bootstrap(fit, resamples=RESAMPLES) if isinstance(fit.law, SeparableLaw) else None


def _checked(fit: Fit, statistic: Statistic | None) -> Statistic:
    """The statistic that is meant, which has a value of the fit."""
    if statistic is None:
        if set(fit.inputs) != {"params", "tokens"}:
            raise ValueError(
                f"a fit of {', '.join(fit.inputs)} has no allocation exponent: name a statistic, such as "
                f"statistic={fit.model.free_[-1]!r}, or inputs of a forecast."
            )
        return allocation_exponent
    if isinstance(statistic, str) and statistic not in fit.parameters:
        raise ValueError(f"there is no parameter {statistic!r}; there are {', '.join(fit.parameters)}.")
    if not (isinstance(statistic, str | Mapping) or callable(statistic)):
        raise TypeError(f"a statistic is a parameter, inputs to predict at, or a function of a fit, not {statistic!r}.")
    if not np.isfinite(_value(fit, statistic)):
        raise ValueError(f"{name_of(statistic)} has no value for this fit, so that no run can narrow it.")
    return statistic


def _value(fit: Fit, statistic: Statistic) -> float:
    if isinstance(statistic, str):
        return fit.parameters[statistic]
    return as_number(fit(**statistic) if isinstance(statistic, Mapping) else statistic(fit))


def _slope(near: Linear, statistic: Statistic) -> Floats:
    """(q,) derivatives of a statistic by the free parameters, by central differences."""
    units = np.sqrt(near.weights.sum()) / near.sizes  # of a parameter, that move a typical loss by 1
    steps = STEP * np.where(near.logs, 1.0, np.maximum(np.abs(near.at), STEP * units))
    slope = np.array(
        [
            (_value(near.moved(by), statistic) - _value(near.moved(-by), statistic)) / (2 * by.sum())
            for by in np.diag(steps)
        ]
    )
    if not np.all(np.isfinite(slope)):
        raise ValueError(f"{name_of(statistic)} has no value where the parameters move a little: no run can narrow it.")
    if not slope.any():
        raise ValueError(
            f"{name_of(statistic)} depends on no free parameter ({', '.join(near.names)}): no run can narrow it."
        )
    return slope


def _bent(near: Linear, statistic: Statistic, slope: Floats, se: float) -> list[str]:
    """What to know where the statistic, one standard error away, is not what the linear model says."""
    away, estimate = near.covariance @ slope / se, _value(near.fit, statistic)
    ends = [_tried(near.moved(by), statistic) for by in (-away, away)]
    if max(abs(ends[0] - estimate + se), abs(ends[1] - estimate - se)) <= BENT * se:
        return []
    said = " and ".join("nothing" if np.isnan(end) else f"{end:.4g}" for end in ends)
    return [
        f"one standard error away the law gives {said}, the linear model {estimate - se:.4g} and {estimate + se:.4g}: "
        "the runs say too little for standard errors to mean much. See identifiability(fit); make a first run, and ask "
        "again."
    ]


def _tried(fit: Fit, statistic: Statistic) -> float:
    """A statistic of a fit; nan if it has none."""
    try:
        with np.errstate(all="ignore"):
            return _value(fit, statistic)
    except (ValueError, ArithmeticError):
        return float("nan")


def _gains(C: Floats, slope: Floats, J: Floats) -> Floats:
    """(m,) by how much each run lowers the variance of a statistic, its noise being 1."""
    reach = J @ C
    return np.asarray((reach @ slope) ** 2 / (1 + np.sum(reach * J, axis=1)))


def _added(C: Floats, run: Floats) -> Floats:
    """Covariance with one more run."""
    reach = C @ run
    return np.asarray(C - np.outer(reach, reach) / (1 + run @ reach))


def _errors(C: Floats, slope: Floats, J: Floats) -> Floats:
    """(1 + m,) standard errors of a statistic before and after each of m runs."""
    variances = [slope @ C @ slope]
    for run in J:
        C = _added(C, run)
        variances.append(slope @ C @ slope)
    return np.sqrt(np.maximum(variances, 0.0))


def _plan(C: Floats, slope: Floats, J: Floats, flops: Floats, budget: float, count: int) -> list[int]:
    """Candidates to run: the best number of runs, fewer where one more is not worth it."""
    plans: list[tuple[float, list[int]]] = []
    for runs in range(1, count + 1):
        if runs * flops.min() > budget * (1 + ROUNDING):
            break
        chosen = _exchanged(C, slope, J, flops, budget, _greedy(C, slope, J, flops, budget, runs))
        plans.append((float(_errors(C, slope, J[chosen])[-1]), chosen))
    best = min(error for error, _ in plans)
    return next(chosen for error, chosen in plans if error * (1 - BETTER) <= best)


def _greedy(C: Floats, slope: Floats, J: Floats, flops: Floats, budget: float, runs: int) -> list[int]:
    """So many runs, each the best within an even share of what is left."""
    chosen: list[int] = []
    for more in range(runs, 0, -1):
        share = (budget - flops[chosen].sum()) / more
        chosen.append(_best(C, slope, J, flops <= share * (1 + ROUNDING)))
        C = _added(C, J[chosen[-1]])
    return chosen


def _exchanged(C: Floats, slope: Floats, J: Floats, flops: Floats, budget: float, chosen: list[int]) -> list[int]:
    """A plan in which no run can be replaced, within the budget, by one that narrows more."""
    for place in [*range(len(chosen))] * ROUNDS:
        others, rest = C, [run for at, run in enumerate(chosen) if at != place]
        for run in rest:
            others = _added(others, J[run])
        affordable = flops <= (budget - flops[rest].sum()) * (1 + ROUNDING)
        affordable[chosen[place]] = True
        chosen = [*chosen[:place], _best(others, slope, J, affordable), *chosen[place + 1 :]]
    return chosen


def _best(C: Floats, slope: Floats, J: Floats, affordable: NDArray[np.bool_]) -> int:
    return int(np.argmax(np.where(affordable, _gains(C, slope, J), -np.inf)))
