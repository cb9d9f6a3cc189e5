"""Bootstrap: the refits of a resampled fit, and the intervals that are read off them, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .curves import Curves
from .doubting import find_doubts, in_order
from .intervals import METHODS, Doubt, Interval, Method, doubts_of, frame_of, interval_ends, verdict_of
from .latex import latex_of
from .markup import html_of
from .parts import Part, Statistic, Trace, Traced, as_number, as_point, degrees_of_freedom, name_of, tried
from .result import Fit
from .schemes import Scheme, Wild
from .sheets import Sheet, Symbol, visible

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

RESIDUALS = {"loo": "leave-one-out", "leverage": "leverage-scaled", "plain": "plain"}
MOST_NOTES = 3  # of a fit, before its intervals


@dataclass(frozen=True, repr=False, eq=False)
class Bootstrap:
    """Refits of a fit, or of curves, to resampled tables; indexing gives an ordinary `Fit`, or `Curves`.

    Attributes
    ----------
    base : Fit or Curves
        What was resampled.
    scheme : Wild or Pairs
    seed : int
    draws : (B, U) array
        Multipliers of the residuals, or counts, of each unit (row or cluster).
    parts : tuple of Part
        One per fit.
    notes : tuple of str
        What the scheme had to do differently.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> boot = sf.bootstrap(sf.fit(sf.PowerLaw, runs), resamples=500)
    >>> len(boot), boot.units, boot.spare, boot[0].ok
    (500, 12, 9, True)
    >>> boot.to_frame().columns.tolist()
    ['statistic', 'estimate', 'standard_error', 'low', 'high', 'level', 'method', 'refused', 'doubts']
    """

    base: Fit | Curves
    scheme: Scheme
    seed: int
    draws: Floats
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, b: int | slice) -> Any:
        if isinstance(b, slice):
            return [self[at] for at in range(*b.indices(len(self)))]
        at = range(len(self))[b]
        return self._like_base([part.resample(at) for part in self.parts])

    def __iter__(self) -> Iterator[Any]:
        return (self[b] for b in range(len(self)))

    @property
    def slices(self) -> tuple[Bootstrap, ...]:
        """Of curves, one bootstrap per slice, with the draws that it shares with the others."""
        return tuple(
            replace(
                self, base=part.fit, draws=self.draws[:, part.units],
                parts=(replace(part, labels=np.searchsorted(part.units, part.labels)),),
            )
            for part in self.parts
        )  # fmt: skip

    @property
    def units(self) -> int:
        """Rows, or clusters, that were redrawn."""
        return int(self.draws.shape[1])

    @property
    def spare(self) -> int:
        """Degrees of freedom of the t correction: units minus free parameters, over the slices used."""
        return degrees_of_freedom(self.used, self.scheme)

    @property
    def failed(self) -> Bools:
        """(B,) resamples that have no refit; of curves, of some slice. Indexing one raises ValueError."""
        return np.asarray(np.any([part.refits.failed for part in self.parts], axis=0))

    @property
    def used(self) -> tuple[Part, ...]:
        """The fit; of curves, the slices that are ok in the base, a set that no resample changes."""
        return self.parts if isinstance(self.base, Fit) else tuple(part for part in self.parts if part.fit.ok)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that were fitted, none for a model without them."""
        fixed = getattr(self.parts[0].fit.model, "fixed", None) or {}
        return tuple(name for name in self.parts[0].refits.parameters if name not in fixed)

    @property
    def flags(self) -> dict[str, int]:
        """How many refits have which status, over all slices; "FAILED" are those without numbers."""
        counts = {"FAILED": sum(int(part.refits.failed.sum()) for part in self.parts)}
        for part in self.parts:
            for (status, about), which in part.refits.flags.items():
                words = f"{status.name} ({about})"
                counts[words] = counts.get(words, 0) + int(which.sum())
        return {words: count for words, count in counts.items() if count}

    def estimate(self, statistic: Statistic) -> float:
        """Value of a statistic for the base fit; of curves, a parameter is its mean over the slices that are ok."""
        if isinstance(statistic, Mapping):
            return float(self._over_slices([np.array([part.fit(**statistic)]) for part in self.used])[0])
        if isinstance(statistic, str):
            values = [np.array([part.fit.parameters[self._known(statistic)]]) for part in self.used]
            return float(self._over_slices(values)[0])
        return as_number(statistic(self.base))

    def values(self, statistic: Statistic) -> Floats:
        """(B,) values of a statistic for the refits; nan where a refit failed, or its statistic raised an error."""
        if isinstance(statistic, str):
            return self._over_slices([part.refits.parameters[self._known(statistic)] for part in self.used])
        if isinstance(statistic, Mapping):
            return self._over_slices([part.refits.predict(as_point(part.fit, statistic))[:, 0] for part in self.used])
        return np.array([tried(statistic, partial(self.__getitem__, b)) for b in range(len(self))])

    def jackknife(self, statistic: Statistic) -> Floats:
        """(U,) values of a statistic with each unit (row or cluster) left out; nan as in `values`."""
        if not callable(statistic):
            columns = []
            for part in self.used:
                if isinstance(statistic, str):
                    base, left = part.fit.parameters[self._known(statistic)], part.jackknife.parameters[statistic]
                else:
                    base, left = part.fit(**statistic), part.jackknife.predict(as_point(part.fit, statistic))[:, 0]
                column = np.full(self.units, base)
                column[part.units] = left
                columns.append(column)
            return self._over_slices(columns)
        return np.array([tried(statistic, partial(self._without, unit)) for unit in range(self.units)])

    def standard_error(self, statistic: Statistic) -> float:
        """Standard deviation of the draws of a statistic (divisor: draws - 1); nan for fewer than two."""
        values = self.values(statistic)
        return _deviation(values[np.isfinite(values)])

    def interval(self, statistic: Statistic, level: float = 0.95, *, method: Method | None = None) -> Interval:
        """Interval of any statistic, or the reasons why there can be none.

        Parameters
        ----------
        statistic : str, mapping of str to float, or callable
            A parameter; inputs at which the loss is predicted, ``{"params": 1e12, "tokens": 2e13}``; or any function of
            a Fit (of Curves) to a number, ``lambda fit: fit.law.beta / (fit.law.alpha + fit.law.beta)``. Of curves, the
            first two are means over the slices that are ok in the base.
        level : float
            Nominal coverage, between 0 and 1.
        method : {"percentile_t", "bca", "percentile", "basic"}, optional
            The scheme's own if None; see `scalefit.intervals.interval_ends`.

        Returns
        -------
        Interval
            With the estimate, the standard error and every doubt; refused, its ends are nan.

        Raises
        ------
        ValueError
            If the parameter or the method is unknown, or the level out of range. What the statistic raises for the base
            fit passes through; of a refit it counts as a failed draw.

        Examples
        --------
        >>> import scalefit as sf
        >>> design = sf.grid(tokens=np.geomspace(1e7, 1e10, 12))
        >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), design, noise=0.003)
        >>> low, high = sf.bootstrap(sf.fit(sf.PowerLaw, runs)).interval("alpha")
        >>> low < 0.25 < high
        True
        """
        self._check(level, method)
        if not (isinstance(statistic, str | Mapping) or callable(statistic)):
            raise TypeError(
                f"a statistic is a parameter, inputs to predict at, or a function of a fit, not {statistic!r}."
            )
        estimate, trace = self._traced(statistic)
        return self.interval_of_draws(
            name_of(statistic), estimate, self.values(statistic), level, method=method,
            jackknife=lambda: self.jackknife(statistic), trace=trace,
        )  # fmt: skip

    def interval_of_draws(
        self, name: str, estimate: float, values: Floats, level: float = 0.95, *, method: Method | None = None,
        jackknife: Callable[[], Floats], trace: Trace,
    ) -> Interval:  # fmt: skip
        """Interval of a statistic whose values were computed for all refits at once.

        Parameters
        ----------
        name : str
        estimate : float
            Of the base.
        values : (B,) array
            Of the resamples, nan where there is none.
        level, method
            As in `interval`.
        jackknife : callable
            Gives the (U,) values with each unit left out; called for BCa alone.
        trace : Trace
            What the statistic looks at.
        """
        how = self._check(level, method)
        parts = [self.parts[i] for i in sorted(trace.touched)] if trace.touched else self.used
        left = jackknife() if how == "bca" else np.empty(0)
        doubts = find_doubts(
            values, estimate, level, how, parts=parts, scheme=self.scheme, jackknife=left, trace=trace
        )  # fmt: skip
        draws, low, high = values[np.isfinite(values)], float("nan"), float("nan")
        if not any(doubt.refuses for doubt, _ in doubts):
            spare = degrees_of_freedom(parts, self.scheme)
            low, high = interval_ends(draws, estimate, level, how, jackknife=left, spare=spare)
            slack = 1e-9 * max(abs(low), abs(high))
            if not low - slack <= estimate <= high + slack:
                doubts = in_order([*doubts, (Doubt.OFF_CENTRE, "")])
        return Interval(name, estimate, low, high, _deviation(draws), float(level), how, doubts)

    def _check(self, level: float, method: Method | None) -> Method:
        """The method that is meant."""
        how: Method = self.scheme.method if method is None else method
        if how not in METHODS:
            raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, not {method!r}.")
        if not (isinstance(level, Real) and 0 < level < 1):
            raise ValueError(f"level must be between 0 and 1, such as 0.95, not {level!r}.")
        return how

    def to_frame(self, level: float = 0.95, *, method: Method | None = None) -> pd.DataFrame:
        """A row per fitted parameter: estimate, standard error, ends, and the names of what speaks against them."""
        return frame_of([self.interval(name, level, method=method) for name in self.parameters])

    def to_latex(self, level: float = 0.95, *, method: Method | None = None) -> str:
        """Parameters with standard errors and intervals as a LaTeX `tabular` with booktabs rules."""
        return latex_of(self._sheet(level, method), self.protocol)

    def to_dict(self, level: float = 0.95, *, method: Method | None = None) -> dict[str, Any]:
        """Scheme, counts of flagged refits and intervals of the parameters as plain values."""
        return {
            "scheme": self.words, "resamples": len(self), "units": self.units, "by": self.scheme.by,
            "spare": self.spare, "seed": self.seed, "notes": list(self.notes), "flags": self.flags,
            "intervals": [self.interval(name, level, method=method).to_dict() for name in self.parameters],
        }  # fmt: skip

    @property
    def words(self) -> str:
        """The scheme in words."""
        scheme = self.scheme
        by = f"by {scheme.by}" if scheme.by else "by rows"
        return (
            f"{scheme.kind}, {scheme.weights} weights on {RESIDUALS[scheme.residuals]} residuals, {by}"
            if isinstance(scheme, Wild)
            else f"{scheme.kind}, {by}"
        )

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything needed to repeat the fit and its refits."""
        return {**self.base.protocol, "bootstrap": {"scheme": self.words, "resamples": len(self), "seed": self.seed}}

    def _sheet(self, level: float = 0.95, method: Method | None = None) -> Sheet:
        intervals = [self.interval(name, level, method=method) for name in self.parameters]
        wrong = [f"the fit is NOT OK: {note}" for part in self.parts for note in part.fit.notes][:MOST_NOTES]
        flags = [f"{count} of {len(self) * len(self.parts)} refits {words}" for words, count in self.flags.items()]
        return Sheet(
            verdict_of(intervals), (f"{len(self)} refits, {self.words}", *wrong), self.parts[0].fit.formula,
            ("", "estimate", "standard error", f"{100 * level:g} % interval"),
            tuple((Symbol(i.statistic), *i.cells) for i in intervals),
            notes=self.notes, footer=(*doubts_of(intervals), *flags), mark="the fit is not ok" if wrong else "",
        )  # fmt: skip

    def _repr_html_(self) -> str:
        return html_of(self._sheet())

    def __repr__(self) -> str:
        sheet, width = self._sheet(), max((len(name) for name in self.parameters), default=0)
        lines = [f"{sheet.verdict:<7} {sheet.reasons[0]}", *sheet.reasons[1:], *(f"note    {n}" for n in sheet.notes)]
        for name, estimate, error, ends in sheet.rows:
            lines.append(f"  {name!s:<{width}}  {estimate}  standard error {error}  95 % {ends}")
        return visible("\n".join([*lines, *sheet.footer]))

    def _known(self, name: str) -> str:
        names = tuple(self.parts[0].refits.parameters)
        if name not in names:
            known = f"there are {', '.join(names)}" if names else "this model has none"
            raise ValueError(f"there is no parameter {name!r}; {known}. Or give a function: lambda fit: fit(1e12).")
        return name

    def _over_slices(self, columns: Sequence[Floats]) -> Floats:
        """Mean over the slices that are used, a column each; nan if there are none."""
        return np.mean(columns, axis=0) if columns else np.full(len(self), np.nan)

    def _like_base(self, fits: Sequence[Fit]) -> Fit | Curves:
        if isinstance(self.base, Fit):
            return fits[0]
        return replace(self.base, fits=tuple(fits), trusted=tuple(part.fit.ok for part in self.parts))

    def _without(self, unit: int) -> Fit | Curves:
        return self._like_base([part.without(unit) for part in self.parts])

    def _traced(self, statistic: Statistic) -> tuple[float, Trace]:
        """Estimate, and what the statistic looks at."""
        trace = Trace(reads_law=isinstance(statistic, str))
        traced = [
            Traced(part.fit.model, part.fit.table, part.fit.inputs, part.fit.weights, number, trace)
            for number, part in enumerate(self.parts)
        ]
        if isinstance(statistic, Mapping):
            for fit in traced:
                fit(**statistic)
            trace.touched.clear()  # the mean over slices is of those that are used
        value = as_number(statistic(self._like_base(traced))) if callable(statistic) else self.estimate(statistic)
        return value, trace


def _deviation(draws: Floats) -> float:
    """Standard deviation (divisor: draws - 1); nan for fewer than two, infinite beyond what a number can be."""
    with np.errstate(over="ignore"):
        return float(draws.std(ddof=1)) if len(draws) > 1 else float("nan")
