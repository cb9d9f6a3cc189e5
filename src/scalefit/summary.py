"""Intervals of everything that a screen or a file shows of a bootstrap, each computed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .intervals import Interval, Method
from .resampled import Bootstrap
from .result import Fit

Point = Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """Intervals of the parameters and forecasts of a fit; of curves, of each slice and of the means over them.

    Attributes
    ----------
    boot : Bootstrap
    level : float
    method : str
    parameters, forecasts : tuple of Interval
        Of curves, of the means over the slices that are ok.
    points : tuple of mapping of str to float
        Where the forecasts are.
    slices : tuple of Summary
        Of curves, in their order.
    """

    boot: Bootstrap
    level: float
    method: Method
    parameters: tuple[Interval, ...]
    forecasts: tuple[Interval, ...]
    points: tuple[Point, ...]
    slices: tuple[Summary, ...] = ()

    @property
    def intervals(self) -> dict[str, Interval]:
        """All by the name of their statistic, without those of the slices."""
        return {interval.statistic: interval for interval in (*self.parameters, *self.forecasts)}

    @property
    def refused(self) -> bool:
        """Whether there is no interval at all."""
        return all(interval.refused for interval in self._every())

    def to_dict(self) -> dict[str, Any]:
        """What the bootstrap was, and all intervals, as plain values."""
        return {
            **self.boot.to_dict(self.level, method=self.method),
            "level": self.level,
            "method": self.method,
            "predictions": [
                {"at": dict(point), **interval.to_dict()}
                for point, interval in zip(self.points, self.forecasts, strict=True)
            ],
            **({"slices": [part.to_dict() for part in self.slices]} if self.slices else {}),
        }

    def _every(self) -> Iterator[Interval]:
        yield from (*self.parameters, *self.forecasts)
        for part in self.slices:
            yield from part._every()


@dataclass(frozen=True, repr=False, eq=False)
class AnnotatedFit(Fit):
    """Fit that is printed and saved with more than its own numbers, under keys that `read_fit` passes over."""

    more: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Status, numbers and protocol as plain values, and more."""
        return {**super().to_dict(), **self.more}


def summarise(boot: Bootstrap, points: Sequence[Point] = (), *, level: float, method: Method | None = None) -> Summary:
    """Intervals of every fitted parameter, and of the loss at every point.

    Examples
    --------
    >>> import scalefit as sf
    >>> boot = sf.bootstrap(sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params"))
    >>> found = summarise(boot, [{"params": 1e11}], level=0.95)
    >>> list(found.intervals), found.refused
    (['E', 'A', 'alpha', 'loss at params 1e+11'], True)
    """
    whole = isinstance(boot.base, Fit)
    return Summary(
        boot,
        level,
        method or boot.scheme.method,
        tuple(boot.interval(name, level, method=method) for name in boot.parameters),
        tuple(boot.interval(point, level, method=method) for point in points),
        tuple(points),
        () if whole else tuple(summarise(part, points, level=level, method=method) for part in boot.slices),
    )
