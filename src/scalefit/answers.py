"""What to train at a budget: read off a frontier, or by the lines of its exponents where it has no optimum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .doubting import DECADES
from .exponents import Exponents
from .frontier import Frontier
from .intervals import Interval, Method
from .optima import QUANTITIES, Quantity
from .parts import Trace
from .result import Fit
from .table import LossTable

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MARKS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0))  # of a decade, more where there are few
LEAST = 5  # round budgets, so that the law of the loss has one to spare
SLOPES = (("params", "a"), ("tokens", "b"))
NEAR = 0.05  # decades within which a count is among those of the runs


@dataclass(frozen=True)
class Answer:
    """The best model at one budget, how far from the runs it is, and how it was found.

    Attributes
    ----------
    flops : float, FLOPs
    numbers : mapping of str to float
        params, tokens, loss and tokens_per_param; nan where there is none.
    intervals : mapping of str to Interval
        Of these, where there is a bootstrap.
    reach : float
        Decades of params or tokens beyond the runs.
    at_edge : bool
        The optimum is not bracketed.
    by_lines : bool
        By the lines of the exponents.
    """

    flops: float
    numbers: Mapping[str, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    reach: float = 0.0
    at_edge: bool = False
    by_lines: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is a model, and its optimum is not at an edge."""
        return not self.at_edge and bool(np.isfinite(self.numbers["params"]) and np.isfinite(self.numbers["tokens"]))

    @property
    def where(self) -> str:
        """How it was found, in words.

        Examples
        --------
        >>> Answer(1e23, {"params": 4e10, "tokens": 4e11}, reach=1.25, by_lines=True).where
        'by the lines, 1.2 decades beyond the runs'
        """
        if self.at_edge:
            return "at an edge of the runs"
        if not self.ok:
            return "none found"
        beyond = f"{self.reach:.1f} decades beyond the runs" if self.reach > NEAR else ""
        if self.by_lines:
            return ", ".join(filter(None, ["by the lines", beyond]))
        return beyond or "among the runs"

    def to_dict(self) -> dict[str, Any]:
        """Numbers, intervals and where they are from as plain values."""
        return {
            "flops": self.flops, **self.numbers, "where": self.where, "reach": self.reach, "at_edge": self.at_edge,
            "by_lines": self.by_lines, "intervals": {name: one.to_dict() for name, one in self.intervals.items()},
        }  # fmt: skip


def round_budgets(low: float, high: float) -> list[float]:
    """Round budgets between two: decades, or closer where these are few.

    Examples
    --------
    >>> round_budgets(6e18, 3.2e21)
    [1e+19, 3e+19, 1e+20, 3e+20, 1e+21, 3e+21]
    """
    decades = range(int(np.floor(np.log10(low))), int(np.floor(np.log10(high))) + 1)
    found: list[float] = []
    for marks in MARKS:
        found = [float(f"{mark:g}e{decade}") for decade in decades for mark in marks]
        found = [budget for budget in found if low <= budget <= high]
        if len(found) >= LEAST:
            return found
    return found if len(found) > 1 else np.geomspace(low, high, LEAST).tolist()


def read_off(frontier: Frontier, level: float, method: Method | None = None) -> tuple[Answer, ...]:
    """An answer for each budget of a frontier.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> (answer,) = read_off(sf.compute_optimal(sf.fit(sf.Chinchilla, runs), 1e24), level=0.95)
    >>> answer.where, f"{answer.numbers['params']:.3g}"
    ('1.6 decades beyond the runs', '4.13e+10')
    """
    reach = np.zeros(len(frontier)) if frontier.reach is None else frontier.reach

    def intervals(place: int) -> Iterator[tuple[Quantity, Interval]]:
        for name in QUANTITIES:
            yield name, frontier.interval(name, place, level, method=method)

    return tuple(
        Answer(
            float(frontier.flops[place]),
            {name: float(getattr(frontier, name)[place]) for name in QUANTITIES},
            {} if frontier.draws is None else dict(intervals(place)),
            float(np.maximum(reach[place], 0.0)),
            bool(frontier.at_edge[place]),
        )
        for place in range(len(frontier))
    )


@dataclass(frozen=True)
class Lines:
    """The lines of a frontier's exponents, asked for other budgets.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> best = sf.compute_optimal(sf.fit(sf.Chinchilla, runs), [1e19, 1e20, 1e21, 1e22, 1e23])
    >>> answer = Lines(best, best.exponents(), runs).answer(1e24, level=0.95)
    >>> answer.where, f"{answer.numbers['params']:.3g}"
    ('by the lines, 1.6 decades beyond the runs', '4.13e+10')
    """

    frontier: Frontier
    exponents: Exponents
    runs: LossTable

    def answer(self, flops: float, level: float, method: Method | None = None) -> Answer:
        """Best model at a budget, with intervals where the frontier comes from a bootstrap."""
        found = self.exponents
        params, tokens = float(found.params(flops)), float(found.tokens(flops))
        loss = float(found.loss(flops)) if np.isfinite(found.gamma) else float("nan")
        numbers = {"params": params, "tokens": tokens, "loss": loss, "tokens_per_param": tokens / params}
        counts = [("params", params), ("tokens", tokens)]
        beyond = [_beyond(self.runs[name], count) for name, count in counts if name in self.runs]
        reach = max(0.0, *beyond)
        return Answer(flops, numbers, self._intervals(numbers, flops, reach, level, method), reach, by_lines=True)

    def _intervals(
        self, numbers: Mapping[str, float], flops: float, reach: float, level: float, method: Method | None
    ) -> dict[str, Interval]:  # fmt: skip
        if self.frontier.draws is None:
            return {}
        draws, log_flops, made = self.frontier.draws, np.log(flops), {}
        how = draws.bootstrap.scheme.method if method is None else method
        left = self._jackknife if how == "bca" else {}
        for name, value in numbers.items():
            if not np.isfinite(value):
                continue
            base = value if name == "loss" else float(np.log(value))
            interval = draws.bootstrap.interval_of_draws(
                f"{name} at {flops:.4g} FLOPs", base, _at(self._draws, name, log_flops), level, method=method,
                jackknife=partial(_at, left, name, log_flops), trace=Trace(reach=reach, reads_law=True),
            )  # fmt: skip
            made[name] = interval if name == "loss" else interval.exponential()
        return made

    @cached_property
    def _draws(self) -> dict[str, Any]:
        assert self.frontier.draws is not None
        return self.frontier.lines(self.frontier.draws.optima, self._used)

    @cached_property
    def _jackknife(self) -> dict[str, Any]:
        assert self.frontier.draws is not None
        return self.frontier.lines(self.frontier.draws.jackknife(), self._used)

    @property
    def _used(self) -> Bools:
        return self.frontier.counted(self.exponents.window)


def _at(lines: Mapping[str, Any], name: str, log_flops: float) -> Floats:
    """(R,) values of a quantity at a budget by R lines; of counts, logarithms."""
    if name == "loss":
        return np.asarray(lines["law"].predict(np.exp([[log_flops]]))[:, 0])
    log_params, log_tokens = (lines[f"log_{key}"] + lines[slope] * log_flops for key, slope in SLOPES)
    values = {"params": log_params, "tokens": log_tokens, "tokens_per_param": log_tokens - log_params}
    return np.asarray(values[name])


def _beyond(runs: Floats, count: float) -> float:
    """Decades that a count lies beyond those of the runs."""
    return float(np.log10(max(count / runs.max(), runs.min() / count)))


@dataclass(frozen=True)
class Plan:
    """A frontier, its exponents, and the answers at the budgets that were asked.

    Attributes
    ----------
    frontier : Frontier
        What the exponents are of.
    exponents : Exponents, optional
    why : str
        Why there are no exponents.
    answers : tuple of Answer
    asked : bool
        Whether the budgets were; otherwise they are those of the frontier.
    fit : Fit, optional
        What the frontier was read off.
    level, method
        Of the intervals.
    """

    frontier: Frontier
    exponents: Exponents | None
    why: str
    answers: tuple[Answer, ...]
    asked: bool
    fit: Fit | None
    level: float
    method: Method | None

    @property
    def ok(self) -> bool:
        """Whether the fit is ok, and every budget that was asked has an answer that is not at an edge.

        Of budgets that nobody asked for some may be at an edge, if there are enough others for exponents.
        """
        answered = all(answer.ok for answer in self.answers) if self.asked else self.exponents is not None
        return (self.fit is None or self.fit.ok) and answered and not self.frontier.rises

    @property
    def far(self) -> tuple[str, ...]:
        """Says which answers lie so far beyond the runs that what gave them is itself in doubt."""
        return tuple(
            f"at {answer.flops:.4g} FLOPs the answer lies {answer.reach:.1f} decades beyond the runs: there "
            f"{'a straight line' if answer.by_lines else 'the formula'} is itself in doubt."
            for answer in self.answers
            if answer.reach > DECADES
        )

    @property
    def intervals(self) -> list[tuple[str, Interval]]:
        """All of them, beside what they are about."""
        found = [(f"{answer.flops:.4g} FLOPs", one) for answer in self.answers for one in answer.intervals.values()]
        return found + [("exponents", one) for one in (self.exponents.intervals if self.exponents else {}).values()]

    @property
    def refused(self) -> bool:
        """Whether intervals were asked for, and there is none: none at the budgets, if these were asked."""
        of_budgets = [one for answer in self.answers for one in answer.intervals.values()] if self.asked else []
        return self.frontier.draws is not None and all(
            one.refused for one in of_budgets or [one for _, one in self.intervals]
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        draws, ladder = self.frontier.draws, read_off(self.frontier, self.level, self.method)
        return {
            "ok": self.ok,
            "budgets": [answer.to_dict() for answer in self.answers],
            "exponents": None if self.exponents is None else self.exponents.to_dict(),
            "frontier": {
                "source": self.frontier.source,
                "notes": list(self.frontier.notes),
                "budgets": [answer.to_dict() for answer in ladder],
            },
            "fit": None if self.fit is None else self.fit.to_dict(),
            "bootstrap": None if draws is None else draws.bootstrap.to_dict(self.level, method=self.method),
        }


def make_plan(
    frontier: Frontier, runs: LossTable, budgets: Sequence[float], *, fit: Fit | None = None,
    read: Callable[[Sequence[float]], Frontier] | None = None, window: tuple[float, float] | None = None,
    level: float = 0.95, method: Method | None = None,
) -> Plan:  # fmt: skip
    """Answers at budgets: read off, and by the lines where there is no optimum that is bracketed.

    Parameters
    ----------
    frontier : Frontier
        What the exponents are of; without budgets, what the answers are of too.
    runs : LossTable
    budgets : sequence of float, FLOPs
    fit : Fit, optional
    read : callable, optional
        Frontier at given budgets; without it all answers are by the lines.
    window, level, method
        As of `Frontier.exponents`.

    Raises
    ------
    ValueError
        If the window has no exponents.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> best = sf.compute_optimal(sf.fit(sf.Chinchilla, runs), [1e19, 1e20, 1e21, 1e22, 1e23])
    >>> [answer.where for answer in make_plan(best, runs, [1e21]).answers]
    ['by the lines']
    """
    exponents, why = None, ""
    try:
        exponents = frontier.exponents(window, level, method=method)
    except ValueError as error:
        if window is not None:
            raise
        why = str(error)
    if not budgets:
        return Plan(frontier, exponents, why, read_off(frontier, level, method), False, fit, level, method)
    lines = None if exponents is None else Lines(frontier, exponents, runs)
    direct = {} if read is None else {answer.flops: answer for answer in read_off(read(budgets), level, method)}
    found = []
    for budget in budgets:
        answer = direct.get(budget, Answer(budget, dict.fromkeys(QUANTITIES, float("nan"))))
        found.append(answer if answer.ok or lines is None else lines.answer(budget, level, method))
    return Plan(frontier, exponents, why, tuple(found), True, fit, level, method)
