"""Comparison: what `compare` says of two fits; what matters first, then every doubt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from .intervals import Interval, doubts_of, frame_of, verdict_of
from .result import Fit
from .sheets import visible


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Two fits of one law: intervals of how they differ, and of what the second needs for the loss of the first.

    Attributes
    ----------
    first, second : Fit
    differences : tuple of Interval
        Ratio of each exponent, difference of the offsets, of a statistic; what both hold fixed is left out.
    multipliers : tuple of Interval
        How many times more of `quantity` the second needs than the first for the same loss. An end is infinite where a
        law never falls to that loss in some refits.
    quantity : str
        "flops" of compute-optimal models, or the input of the law.
    paired : str
        What pairs the runs: "inputs", a column, or "" where the tables were resampled independently.
    resamples, seed : int
    notes : tuple of str

    Examples
    --------
    >>> import numpy as np
    >>> import scalefit as sf
    >>> from scalefit.comparing import compare
    >>> design = sf.grid(flops=np.geomspace(1e18, 1e21, 14))
    >>> old = sf.simulate(sf.PowerLaw(E=1.6, A=95, alpha=0.1), design, noise=0.002, seed=1)
    >>> new = sf.simulate(sf.PowerLaw(E=1.6, A=90, alpha=0.1), design, noise=0.002, seed=2)
    >>> pinned = sf.LawRegressor(sf.PowerLaw, fixed={"E": 1.6})
    >>> both = compare(sf.fit(pinned, new), sf.fit(pinned, old), at=1e20)
    >>> both.quantity, both.paired, both.ok
    ('flops', 'inputs', True)
    >>> both.to_frame().statistic.tolist()
    ['alpha, second / first', 'flops, second / first, at flops 1e+20']
    """

    first: Fit
    second: Fit
    differences: tuple[Interval, ...]
    multipliers: tuple[Interval, ...]
    quantity: str
    paired: str
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """Differences, then multipliers."""
        return (*self.differences, *self.multipliers)

    @property
    def ok(self) -> bool:
        """Whether no interval is doubted or refused."""
        return not any(interval.doubts for interval in self.intervals)

    def to_frame(self) -> pd.DataFrame:
        """A row per interval: statistic, estimate, standard error, ends, doubts."""
        return frame_of(self.intervals)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; an end that is infinite or refused is None."""
        rows = [{name: _plain(value) for name, value in one.to_dict().items()} for one in self.intervals]
        return {
            "ok": self.ok, "quantity": self.quantity, "paired": self.paired or None, "resamples": self.resamples,
            "seed": self.seed, "notes": list(self.notes), "intervals": rows,
            "fits": [self.first.to_dict(), self.second.to_dict()],
        }  # fmt: skip

    def __repr__(self) -> str:
        pairs = f"paired by {self.paired}" if self.paired else "resampled independently"
        rows = f"{len(self.first.table)} and {len(self.second.table)} rows"
        lines = [f"{verdict_of(self.intervals):<7} {self.first.formula}, {rows}, {pairs}, {self.resamples} refits"]
        for place, fit in (("first", self.first), ("second", self.second)):
            lines += [f"the {place} fit is NOT OK: {note}" for note in fit.notes]
        width = max((len(one.statistic) for one in self.intervals), default=0)
        for one in self.intervals:
            ends = "refused" if one.refused else f"{one.low:.4g} to {one.high:.4g}"
            lines.append(f"  {one.statistic:<{width}}  {one.estimate:.4g}  {100 * one.level:g} % {ends}")
        lines += [f"note    {note}" for note in self.notes]
        return visible("\n".join([*lines, *_doubts(self.intervals)]))


def _doubts(intervals: tuple[Interval, ...]) -> tuple[str, ...]:
    """Every doubt once; what is doubted of all intervals, without their names."""
    if not intervals:
        return ()
    common = [doubt for doubt in intervals[0].doubts if all(doubt in one.doubts for one in intervals)]
    rest = [replace(one, doubts=tuple(doubt for doubt in one.doubts if doubt not in common)) for one in intervals]
    return (*doubts_of([replace(intervals[0], statistic="all", doubts=tuple(common))]), *doubts_of(rest))


def _plain(value: Any) -> Any:
    """Value as JSON has it."""
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
