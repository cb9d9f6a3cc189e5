"""Intervals from bootstrap draws: t-corrected percentile, percentile, BCa, basic; and when none can be given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from .markup import html_of
from .sheets import Ends, Number, Sheet, visible

Floats = NDArray[np.float64]
Method = Literal["percentile_t", "bca", "percentile", "basic"]

METHODS: tuple[Method, ...] = get_args(Method)
MOST_FAILED = 0.1  # share of refits without a value, or not converged, that an interval survives
SAME = 1e-12  # relative spread of draws that is none


class Doubt(Enum):
    """What keeps an interval from being believed, in words that say what to try; the first ones refuse it.

    Examples
    --------
    >>> Doubt.NO_VALUE.refuses, Doubt.FEW_SPARE.refuses
    (True, False)
    """

    NO_VALUE = "The fit itself gives no finite value, so there is nothing to put an interval around."
    NOT_DETERMINED = (
        "The data do not determine the fit, so its draws only show what the search allows. See the status of the fit."
    )
    TOO_FEW_SPARE = (
        "There are fewer than 2 rows (or no cluster) beyond the free parameters, so the residuals say too little about "
        "the noise. Add runs, or fix or tie parameters."
    )
    TOO_FEW_DRAWS = (
        "So few rows (or clusters) have too few distinct resamples to reach the tails of this level: an interval would "
        "only be the range of the draws. Add runs, fix or tie parameters, or ask for a lower level."
    )
    TOO_FEW_RESAMPLES = "The tails of this level hold less than one resample. Ask for more resamples."
    OFTEN_UNIDENTIFIED = (
        "In over 10 % of the refits a term vanishes or its exponent runs to an end of the search, so an interval would "
        "span what the search allows. Add runs over a wider range, or fix E."
    )
    MANY_FAILED = (
        "Over 10 % of the refits failed, did not converge or gave no value: what is left is not a sample of them all. "
        "Add runs, or fix or tie parameters."
    )
    ALL_ON_ONE_SIDE = (
        "BCa cannot be had: all draws lie on one side of the estimate, or its acceleration is too large. "
        "Use method='percentile_t'."
    )
    AT_BOUND = "Many refits end at a bound: their draws pile up there, and the interval ends where the search does."
    SOME_FAILED = "Refits without a value are left out of the draws."
    NOT_CONVERGED = "Refits that did not converge, or are not determined, are among the draws."
    ONE_VALUE = "All draws are equal, since nothing scatters or the value cannot move: the interval is a point."
    OFF_CENTRE = (
        "The estimate lies outside its interval: the refits lean to one side of it, as those of a smooth surface do, "
        "so the interval tells of that lean too."
    )
    NO_ACCELERATION = "The leave-one-out values do not vary or are missing, so BCa takes 0 for its acceleration."
    FEW_SPARE = (
        "Rows (or clusters) beyond the free parameters are fewer than 5: such intervals can be too short or long."
    )
    RANGE_OF_DRAWS = (
        "So few clusters have too few patterns of signs to reach the tails of this level: the interval is the range of "
        "the draws. Such ranges covered about 95 % in docs/coverage.md, also where a lower level was asked for."
    )
    NO_CLUSTERS = (
        "Runs share a model size, but are resampled as independent: if runs of one size err together, the interval is "
        "too short. Name by='params' if there are enough sizes."
    )
    FAR = "The losses asked for lie more than two decades beyond the runs: there the formula itself is in doubt."
    COVERS_LESS = "This way to resample and to read off covered less than stated in docs/coverage.md. Use the default."
    NOT_MEASURED = (
        "docs/coverage.md does not say whether this way to resample and to read off covers. The default does."
    )

    @property
    def refuses(self) -> bool:
        """Whether no interval is given."""
        return list(Doubt).index(self) <= list(Doubt).index(Doubt.ALL_ON_ONE_SIDE)

    def __repr__(self) -> str:
        return f"<Doubt.{self.name}>"


@dataclass(frozen=True, repr=False)
class Interval:
    """Interval of one statistic, with the estimate, the standard error and every doubt about it.

    A refused interval has nan ends and says why; `low, high = interval` unpacks the ends.

    Attributes
    ----------
    statistic : str
        What it is of.
    estimate, low, high : float
        In the units of the statistic.
    standard_error : float
        Standard deviation of the draws (divisor: draws - 1).
    level : float
        Nominal coverage.
    method : str
        How the ends are read off the draws.
    doubts : tuple of (Doubt, str)
        What keeps it from being believed, most severe first, each with counts or names.

    Examples
    --------
    >>> interval = Interval("alpha", 0.25, 0.21, 0.28, 0.015, 0.95, "percentile_t", ((Doubt.FEW_SPARE, "4"),))
    >>> low, high = interval
    >>> interval.refused, high
    (False, 0.28)
    >>> print(repr(interval).splitlines()[0])
    alpha 0.25  95 % [0.21, 0.28]  standard error 0.015  percentile_t
    """

    statistic: str
    estimate: float
    low: float
    high: float
    standard_error: float
    level: float
    method: Method
    doubts: tuple[tuple[Doubt, str], ...] = ()

    @property
    def refused(self) -> bool:
        """Whether no interval can be given."""
        return any(doubt.refuses for doubt, _ in self.doubts)

    @property
    def notes(self) -> tuple[str, ...]:
        """Every doubt in words."""
        return tuple(f"{about}: {doubt.value}" if about else doubt.value for doubt, about in self.doubts)

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.high))

    def exponential(self) -> Interval:
        """Interval of exp of the statistic; its standard error is the first-order one."""
        estimate, low, high = (float(np.exp(value)) for value in (self.estimate, self.low, self.high))
        return replace(
            self, estimate=estimate, low=low, high=high, standard_error=float(estimate * self.standard_error)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "statistic": self.statistic, "estimate": self.estimate, "low": self.low, "high": self.high,
            "standard_error": self.standard_error, "level": self.level, "method": self.method,
            "refused": self.refused, "doubts": [doubt.name for doubt, _ in self.doubts], "notes": list(self.notes),
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row: statistic, estimate, standard error, ends, and the names of what speaks against them."""
        return frame_of([self])

    @property
    def cells(self) -> tuple[Number, Number, Ends]:
        """Estimate, standard error and ends as a table shows them."""
        error = self.standard_error
        return Number(self.estimate, error=error), Number(error, 2, error), Ends(self.low, self.high, error)

    def _repr_html_(self) -> str:
        return html_of(Sheet(
            verdict_of([self]), self.notes, f"{self.statistic}, {self.method}",
            ("estimate", "standard error", f"{100 * self.level:g} % interval"), (self.cells,),
        ))  # fmt: skip

    def __repr__(self) -> str:
        ends = "refused" if self.refused else f"[{self.low:.4g}, {self.high:.4g}]"
        head = f"{self.statistic} {self.estimate:.4g}  {100 * self.level:g} % {ends}  standard error "
        lines = [f"{head}{self.standard_error:.2g}  {self.method}", *(f"  {note}" for note in self.notes)]
        return visible("\n".join(lines))


def verdict_of(intervals: Sequence[Interval]) -> str:
    """What is to be thought of intervals, in a word.

    Examples
    --------
    >>> verdict_of([Interval("a", 0.5, 0.45, 0.54, 0.02, 0.95, "percentile_t", ((Doubt.FEW_SPARE, "4"),))])
    'DOUBT'
    """
    if any(interval.refused for interval in intervals):
        return "REFUSED"
    return "DOUBT" if any(interval.doubts for interval in intervals) else "ok"


def doubts_of(intervals: Sequence[Interval]) -> tuple[str, ...]:
    """Every doubt once, with the names of the statistics that it is of.

    Examples
    --------
    >>> doubt = Interval("a", 0.5, 0.45, 0.54, 0.02, 0.95, "percentile_t", ((Doubt.FEW_SPARE, ""),))
    >>> doubts_of([doubt, replace(doubt, statistic="b")])[0][:33]
    'a, b: Rows (or clusters) beyond t'
    """
    found: dict[str, list[str]] = {}
    for interval in intervals:
        for note in interval.notes:
            found.setdefault(note, []).append(interval.statistic)
    return tuple(f"{', '.join(names)}: {note}" for note, names in found.items())


def frame_of(intervals: Sequence[Interval]) -> pd.DataFrame:
    """A row per interval.

    Examples
    --------
    >>> frame_of([Interval("a", 0.5, 0.45, 0.54, 0.02, 0.95, "basic")])["high"].tolist()
    [0.54]
    """
    columns = ["statistic", "estimate", "standard_error", "low", "high", "level", "method", "refused", "doubts"]
    cells = [{**vars(i), "refused": i.refused, "doubts": tuple(d.name for d, _ in i.doubts)} for i in intervals]
    return pd.DataFrame(cells, columns=columns)


def interval_ends(
    draws: Floats, estimate: float, level: float, method: Method, *, jackknife: Floats, spare: float
) -> tuple[float, float]:
    """Ends of an interval.

    Parameters
    ----------
    draws : (B,) array
        Finite values of the statistic over the resamples.
    estimate : float
        Its value of the data themselves.
    level : float
        Nominal coverage.
    method : {"percentile_t", "bca", "percentile", "basic"}
    jackknife : (U,) array
        Values with one unit left out; for "bca" alone.
    spare : float
        Degrees of freedom; for "percentile_t" alone.

    Returns
    -------
    low, high : float
        Quantiles are interpolated linearly. The value of draws that are all equal; nan if z0 is infinite.

    Notes
    -----
    "percentile_t" takes the percentiles at Phi(-t) and Phi(t), t the quantile of Student's t with `spare` degrees of
    freedom. "bca" is Efron's (Eq. 10 to 12 of [1]_), draws equal to the estimate counted half; without a spread of the
    jackknife its acceleration is 0.

    References
    ----------
    .. [1] arXiv:2601.10684, appendix B.2.

    Examples
    --------
    >>> low, high = interval_ends(np.arange(101.0), 50.0, 0.9, "percentile", jackknife=np.zeros(0), spare=9)
    >>> round(low, 9), round(high, 9)
    (5.0, 95.0)
    """
    if is_constant(draws):
        return float(draws[0]), float(draws[0])
    at = tails(draws, estimate, level, method, jackknife=jackknife, spare=spare)
    if not np.all(np.isfinite(at)):
        return float("nan"), float("nan")
    low, high = np.quantile(draws, at)
    return (2 * estimate - high, 2 * estimate - low) if method == "basic" else (float(low), float(high))


def tails(
    draws: Floats, estimate: float, level: float, method: Method, *, jackknife: Floats, spare: float
) -> tuple[float, float]:
    """Shares of the draws below the two ends of an interval; nan where z0 is infinite.

    Examples
    --------
    >>> low, high = tails(np.zeros(0), 0.0, 0.95, "percentile_t", jackknife=np.zeros(0), spare=5)
    >>> round(low, 4), round(high, 4)
    (0.0051, 0.9949)
    """
    edges = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "percentile_t":
        edges = stats.norm.cdf(stats.t.ppf(edges, spare)) if spare > 0 else np.full(2, np.nan)
    elif method == "bca":
        below = (np.mean(draws < estimate) + np.mean(draws <= estimate)) / 2
        z0, z = stats.norm.ppf(below), stats.norm.ppf(edges)
        if not np.isfinite(z0):
            return float("nan"), float("nan")
        shrinking = 1 - acceleration(jackknife) * (z0 + z)
        if np.any(shrinking <= 0):
            return float("nan"), float("nan")
        edges = stats.norm.cdf(z0 + (z0 + z) / shrinking)
    return float(edges[0]), float(edges[1])


def acceleration(jackknife: Floats) -> float:
    """Acceleration of BCa (Eq. 11 of arXiv:2601.10684) from leave-one-out values; 0 where they are all equal.

    Examples
    --------
    >>> round(acceleration(np.array([1.0, 1.0, 1.0, 5.0])), 4)
    -0.0962
    """
    if not has_spread(jackknife):
        return 0.0
    values = jackknife[np.isfinite(jackknife)]
    gaps = values.mean() - values
    return float(np.sum(gaps**3) / (6 * np.sum(gaps**2) ** 1.5))


def has_spread(jackknife: Floats) -> bool:
    """Whether leave-one-out values vary beyond rounding, and nine in ten are there.

    Examples
    --------
    >>> has_spread(np.array([1.0, 1.0])), has_spread(np.array([1.0, 2.0]))
    (False, True)
    """
    values = jackknife[np.isfinite(jackknife)]
    return len(values) > (1 - MOST_FAILED) * len(jackknife) and not is_constant(values)


def is_constant(draws: Floats) -> bool:
    """Whether draws do not vary beyond rounding.

    Examples
    --------
    >>> is_constant(np.array([2.0, 2.0 + 1e-15]))
    True
    """
    return bool(np.ptp(draws) <= SAME * np.max(np.abs(draws)))
