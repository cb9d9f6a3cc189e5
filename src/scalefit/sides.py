"""Two fits under common draws: what is redrawn together, and intervals of what tells the two apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .doubting import find_doubts, in_order
from .families import Families
from .family_laws import FamilyLaw
from .family_resampling import resample_families
from .intervals import Doubt, Interval, interval_ends
from .parts import Part, Trace, degrees_of_freedom
from .redrawing import default_scheme, fits_of, resample, units_of, with_weight
from .result import Fit
from .schemes import RTOL, Labels, Scheme, clusters
from .selection import group_labels

Floats = NDArray[np.float64]

NAMES = ("first", "second")


@dataclass(frozen=True)
class Sides:
    """Refits of both fits, under common draws.

    Attributes
    ----------
    parts : two Parts
    scheme : Wild or Pairs
    draws : (B, U) array
    level : float
    paired : str
        What pairs the runs, "" if nothing does.
    shared : tuple of str
        Parameters that both hold fixed at one value, or share as families.
    """

    parts: tuple[Part, Part]
    scheme: Scheme
    draws: Floats
    level: float
    paired: str
    shared: tuple[str, ...]

    def numbers(self, side: int, *, drawn: bool) -> dict[str, Floats]:
        """Parameters of one side: of its refits, (B,), or of its fit, (1,)."""
        part = self.parts[side]
        if drawn:
            return dict(part.refits.parameters)
        return {name: np.array([value]) for name, value in part.fit.parameters.items()}

    def interval(
        self, name: str, function: Callable[[Any, Any], Floats], both: Callable[[int, bool], Any], *,
        reach: float = 0.0, reads_law: bool = True, missing: str = "",
    ) -> Interval:  # fmt: skip
        """Interval of a function of both sides.

        Parameters
        ----------
        function : callable
            Of what `both` gives of the first and of the second; (B,) or (1,) values.
        both : callable
            Of a side and whether it is drawn: its (B,) values, or the (1,) of the fit.
        reach : float
            Decades beyond the runs that it looks.
        reads_law : bool
            Whether it reads parameters.
        missing : str
            Why there is no value, if there is none.
        """
        with np.errstate(invalid="ignore"):
            estimate = float(np.asarray(function(both(0, False), both(1, False)))[0])
            values = np.broadcast_to(function(both(0, True), both(1, True)), len(self.draws))
            alone = [function(both(0, True), both(1, False)), function(both(0, False), both(1, True))]
        known, endless = np.append(values[np.isfinite(values)], estimate), np.isinf(values)
        # never reached is a value, and larger than any other
        values = np.where(endless, np.sign(values) * (1 + 2 * np.max(np.abs(known))), values)
        trace = Trace(reach=reach, missing=missing, reads_law=reads_law)
        doubts = self._doubts(values, estimate, trace)
        draws, low, high = values[np.isfinite(values)], float("nan"), float("nan")
        if not any(doubt.refuses for doubt, _ in doubts):
            spare = self._spare([np.asarray(part) for part in alone])
            low, high = interval_ends(draws, estimate, self.level, "percentile_t", jackknife=np.empty(0), spare=spare)
            low, high = (_end(end, known) for end in (low, high))
        spread = float(draws.std(ddof=1)) if len(draws) > 1 else float("nan")
        spread = float("inf") if endless.any() else spread
        return Interval(name, estimate, low, high, spread, self.level, "percentile_t", doubts)

    def _doubts(self, values: Floats, estimate: float, trace: Trace) -> tuple[tuple[Doubt, str], ...]:
        """What speaks against either side; what speaks against one alone is said with its name."""
        none = np.empty(0)
        each = [
            find_doubts(values, estimate, self.level, "percentile_t",
                        parts=[part], scheme=self.scheme, jackknife=none, trace=trace)
            for part in self.parts
        ]  # fmt: skip
        found = [doubt for doubt in each[0] if doubt in each[1]]
        for side, doubts in zip(NAMES, each, strict=True):
            found += [(doubt, f"{side}: {about}" if about else side) for doubt, about in doubts
                      if (doubt, about) not in found]  # fmt: skip
        return in_order(found)

    def _spare(self, alone: Sequence[Floats]) -> float:
        """Degrees of freedom: of the poorer side where draws are common, else Welch's."""
        own = [degrees_of_freedom([part], self.scheme) for part in self.parts]
        spreads = [
            float(np.var(part)) if len(part) else 0.0 for part in (values[np.isfinite(values)] for values in alone)
        ]
        if self.paired or self.scheme.by is not None or sum(spreads) == 0:
            return float(min(own))
        return float(sum(spreads) ** 2 / sum(s**2 / max(d, 1) for s, d in zip(spreads, own, strict=True)))


def resample_both(
    fits: Sequence[Fit], scheme: Scheme | None, by: str | None, *, resamples: int, seed: int, level: float
) -> Sides:
    """Refits of both fits: paired runs, or clusters, get the same draw, all others their own.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(flops=np.geomspace(1e18, 1e21, 9))
    >>> fits = [sf.fit(sf.PowerLaw, sf.simulate(sf.PowerLaw(E=1.6, A=95, alpha=0.1), design, noise=0.002, seed=seed))
    ...         for seed in (1, 2)]
    >>> both = resample_both(fits, None, None, resamples=100, seed=0, level=0.95)
    >>> both.paired, both.draws.shape
    ('inputs', (100, 9))
    """
    families, fits = _joint_of(fits), [with_weight(fit) for fit in fits]
    if families is None:
        for fit in fits:
            fits_of(fit)
    if scheme is None:
        schemes = {default_scheme(fit)[0] for fit in fits}
        scheme = schemes.pop() if len(schemes) == 1 else type(schemes.pop())()
    scheme, labels, paired = _units_of_both(fits, scheme, by)
    held = [set(fit.model.fixed or {}) | set(fit.model.tied or {}) for fit in fits]
    shared = tuple(sorted(held[0] & held[1])) if families is None else tuple(sorted(held[0]))
    if families is not None:
        draws, parts = _of_families(families, fits, scheme, labels, resamples, seed)
        return Sides(parts, scheme, draws, level, paired, shared)
    draws = scheme.draw(1 + max(int(part.max()) for part in labels), resamples, np.random.default_rng(seed))
    made = [resample(fit, scheme, own, draws, (_nothing, _nothing)) for fit, own in zip(fits, labels, strict=True)]
    return Sides((made[0], made[1]), scheme, draws, level, paired, shared)


def _joint_of(fits: Sequence[Fit]) -> Families | None:
    """The joint fit that both are families of; None for fits of their own."""
    joint = [getattr(fit.model, "families_", None) if isinstance(fit.model, FamilyLaw) else None for fit in fits]
    if joint[0] is not joint[1]:
        raise ValueError(
            "one of the two is a family of a joint fit, and the other is not of the same: compare two families of one "
            "joint fit, or two fits of their own."
        )
    return joint[0]


def _of_families(
    families: Families, fits: Sequence[Fit], scheme: Scheme, labels: Sequence[Labels], resamples: int, seed: int
) -> tuple[Floats, tuple[Part, Part]]:
    """Joint refits; the units of the families that are not compared are their own rows, or clusters."""
    names = list(families)
    place = [next(at for at, name in enumerate(names) if families[name].model is fit.model) for fit in fits]
    if place[0] == place[1]:
        raise ValueError(f"both are the family {names[place[0]]!r}; compare two different ones.")
    others = [f for f in range(len(names)) if f not in place]
    rest = units_of([with_weight(families[names[f]]) for f in others], None) if others else []
    first = 1 + max(int(part.max()) for part in labels)
    every: list[Any] = [None] * len(names)
    for f, part in zip(place, labels, strict=True):
        every[f] = part
    for f, part in zip(others, rest, strict=True):
        every[f] = part + first
    made = resample_families(families, scheme, every, resamples=resamples, seed=seed)
    return made.draws, (made.parts[place[0]], made.parts[place[1]])


def _units_of_both(fits: Sequence[Fit], scheme: Scheme, by: str | None) -> tuple[Scheme, list[Labels], str]:
    """Scheme, the number of the unit of each row of both tables, and what pairs them, if anything does."""
    if by is not None:
        for fit in fits:
            fit.table[by]  # refuses an unknown column
        labels = clusters([fit.table for fit in fits], by)
        if not np.intersect1d(labels[0], labels[1]).size:
            raise ValueError(f"no value of {by!r} is in both tables, so it pairs no runs. Leave by= out.")
        return replace(scheme, by=by), labels, by
    if scheme.by is not None:
        labels = clusters([fit.table for fit in fits], scheme.by)
        return scheme, labels, scheme.by if np.intersect1d(labels[0], labels[1]).size else ""
    same = _same_inputs(fits)
    if same is not None:
        return scheme, same, "inputs"
    return scheme, units_of(fits, None), ""


def _same_inputs(fits: Sequence[Fit]) -> list[Labels] | None:
    """Number of the row of each table by its inputs, if both have the same inputs, each once."""
    sizes, columns = [len(fit.table) for fit in fits], []
    for name in fits[0].inputs:
        columns.append(group_labels(np.concatenate([fit.table[name] for fit in fits]), RTOL))
    _, labels = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    first, second = np.split(labels.ravel(), [sizes[0]])
    once = all(len(np.unique(part)) == len(part) for part in (first, second))
    return [first, second] if once and np.array_equal(np.sort(first), np.sort(second)) else None


def _end(end: float, known: Floats) -> float:
    """An end of an interval: infinite beyond the finite draws, also on the way to an infinite one."""
    if known.min() <= end <= known.max():
        return end
    return float("inf") if end > known.max() else float("-inf")


def _nothing(done: int, total: int) -> None:
    """No progress is shown."""
