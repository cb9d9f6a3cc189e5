"""Rung: one data set of an entropy ladder, its smallest fitted offset and its exponents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .curves import Curves
from .fitting import fit_curves
from .formula import Term
from .intervals import Interval
from .laws import PowerLaw
from .remarks import FLOOR, floors_of
from .resampling import bootstrap
from .table import LossTable

AXES = {"params": "tokens", "tokens": "params"}  # what varies, and what is held fixed
EXPONENTS = {"params": "alpha", "tokens": "beta"}  # of L(N) at each D, and of L(D) at each N
Source = LossTable | Sequence[Curves]


@dataclass(frozen=True, repr=False, eq=False)
class Rung:
    """One data set of a ladder.

    Attributes
    ----------
    name : str
    curves : mapping of str to Curves
        Of "params", L(N) at each D; of "tokens", L(D) at each N.
    entropy : Interval
        Smallest E over the fits of both that are ok, nats per token. Its ends are those of the smallest E of the axis
        that it is on.
    at : str
        The slice that it is from.
    alpha, beta : Interval
        Means over the slices that are ok, of the exponents of L(N) at each D and of L(D) at each N.
    floor : float
        The entropy where it is known, of tables with one value in `loss_floor`; else NaN.
    """

    name: str
    curves: Mapping[str, Curves]
    entropy: Interval
    at: str
    alpha: Interval
    beta: Interval
    floor: float

    def slices(self, along: str) -> tuple[int, int]:
        """Slices along a column whose fits are ok, and all."""
        fits = self.curves[along].fits
        return sum(fit.ok for fit in fits), len(fits)

    def sd(self, along: str) -> float:
        """Standard deviation of the exponent over slices that are ok, which the paper gives as its error."""
        return self.curves[along].sd(_exponent(self.curves[along]))

    @property
    def doubt(self) -> str:
        """That the interval of the entropy leaves out the known one; nothing if it holds it, or none is known."""
        if self.entropy.refused or not (self.floor < self.entropy.low or self.floor > self.entropy.high):
            return ""
        low, high = self.entropy
        why = (
            "the smallest of many offsets leans low, or the law is wrong where it nears its offset"
            if high < self.floor
            else "the offsets hold what the fixed tokens or parameters leave, or the law is wrong where it nears them"
        )
        return (
            f"entropy of {self.name}: {low:.6g} to {high:.6g} leaves out the floor that is known, {self.floor:.6g} in "
            f"the column {FLOOR!r}: {why}."
        )


class NoRungError(ValueError):
    """A data set of which no slice can be fitted."""


def curves_of(name: str, source: Source, *, rtol: float, min_rows: int) -> dict[str, Curves]:
    """Curves along params and along tokens of one data set.

    Raises
    ------
    TypeError
        If the source is neither table nor curves.
    NoRungError
        If no slice of an axis can be fitted.
    ValueError
        If an axis is missing, or no fit that is ok has a free offset.
    """
    return _checked(name, _curves(name, source, rtol, min_rows))


def _curves(name: str, source: Source, rtol: float, min_rows: int) -> dict[str, Curves]:
    if isinstance(source, LossTable):
        missing = [axis for axis in AXES if axis not in source]
        if missing:
            raise ValueError(
                f"the table of {name!r} has no {missing[0]}: a ladder needs params and tokens. Say which column it is "
                "when the table is read."
            )
        try:
            return {
                along: fit_curves(PowerLaw, source, along=along, at=at, rtol=rtol, min_rows=min_rows)
                for along, at in AXES.items()
            }
        except ValueError as error:
            raise NoRungError(f"the table of {name!r}: {error}") from error
    given = list(source) if isinstance(source, Sequence) else [source]
    if not all(isinstance(curves, Curves) for curves in given):
        raise TypeError(f"{name!r} must be a LossTable, or the Curves along params and along tokens, not {source!r}.")
    along = sorted(curves.along for curves in given)
    if along != sorted(AXES):
        raise ValueError(f"{name!r} must have curves along params and along tokens, once each, not along {along}.")
    return {curves.along: curves for curves in given}


def _checked(name: str, curves: dict[str, Curves]) -> dict[str, Curves]:
    """The curves, if each axis has a fit that is ok and one has a free offset: before the long work."""
    for along, slices in curves.items():
        _exponent(slices)
        if not any(fit.ok for fit in slices):
            raise NoRungError(
                f"{name!r}: none of {len(slices)} fits along {along} is ok, so there is neither an offset nor an "
                f"exponent. The first: {slices[0].notes[0]}"
            )
    if not any(_has_offset(slices) for slices in curves.values()):
        raise ValueError(
            f"{name!r}: no fit has a free offset E, which stands for the entropy. Fit a law with one, such as PowerLaw "
            "with E not fixed."
        )
    return curves


def rung_of(name: str, curves: Mapping[str, Curves], *, level: float, resamples: int, seed: int) -> Rung:
    """A data set with the intervals of its smallest offset and of both exponents, by the bootstrap of its curves."""
    smallest = {along: _smallest_offset(slices) for along, slices in curves.items() if _has_offset(slices)}
    along = min(smallest, key=lambda axis: smallest[axis])
    slices = curves[along]
    place = [fit.parameters["E"] if fit.ok else float("inf") for fit in slices].index(smallest[along])
    found = {axis: bootstrap(curves[axis], resamples=resamples, seed=seed) for axis in AXES}
    alpha, beta = (
        replace(found[axis].interval(_exponent(curves[axis]), level), statistic=EXPONENTS[axis]) for axis in AXES
    )
    entropy = replace(found[along].interval(_smallest_offset, level), statistic="entropy")
    floors = [floors_of(fit.table) for slices in curves.values() for fit in slices]
    one = set(np.concatenate(floors).tolist()) if all(map(len, floors)) else set()
    floor = one.pop() if len(one) == 1 else float("nan")
    return Rung(name, curves, entropy, f"L({along}) at {slices.at} {slices.values[place]:.4g}", alpha, beta, floor)


def _has_offset(curves: Curves) -> bool:
    """Whether E is a parameter of the law, and free."""
    return "E" in curves[0].parameters and "E" not in (curves[0].model.fixed or {})


def _smallest_offset(curves: Any) -> float:
    return float(curves.array("E").min())


def _exponent(curves: Curves) -> str:
    """Name of the one exponent of a law of one column."""
    terms: Sequence[Term] = getattr(curves[0].law, "terms", ())
    if len(terms) != 1:
        raise ValueError(f"{curves[0].formula} has {len(terms)} terms with an exponent; a ladder needs a law with one.")
    return terms[0].exponent
