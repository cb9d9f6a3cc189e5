"""What speaks against an interval: the fit, the refits, the tails, the clusters, how far it looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .intervals import MOST_FAILED, Doubt, Method, is_constant, tails
from .parts import Part, free_parameters
from .schemes import SIZES, Scheme, Wild, shares_sizes
from .status import Status

Floats = NDArray[np.float64]

MANY_AT_BOUND = 0.1  # share of refits at a bound that is worth a word
SPARE = 5  # units beyond the free parameters under which intervals were less sure
CLUSTERS = 8
DECADES = 2.0  # beyond the runs, in which a forecast is the formula's rather than the data's
UNDETERMINED = {
    Status.TOO_FEW_VALUES, Status.AMPLITUDE_OUT_OF_RANGE, Status.COLLINEAR, Status.NOT_CONVERGED, Status.NOT_IDENTIFIED,
    Status.NO_SPARE_ROWS,
}  # fmt: skip


def find_doubts(
    values: Floats, estimate: float, level: float, method: Method, *, parts: Sequence[Part], scheme: Scheme,
    units: int, spare: int, jackknife: Floats, reach: float,
) -> tuple[tuple[Doubt, str], ...]:  # fmt: skip
    """Everything that is in the way of believing an interval, most severe first.

    Parameters
    ----------
    values : (B,) array
        Statistic of the refits, nan where there is none.
    estimate : float
        Statistic of the base.
    parts : sequence of Part
        The fits that the statistic is of.
    units, spare : int
        Rows or clusters that were redrawn, and degrees of freedom.
    jackknife : (U,) array
        For BCa alone.
    reach : float
        Decades beyond the runs at which the statistic looks.
    """
    draws, shares = values[np.isfinite(values)], _shares(parts)
    found: list[tuple[Doubt, str]] = []
    if not np.isfinite(estimate):
        return ((Doubt.NO_VALUE, ""),)
    findings = [finding for part in parts for finding in getattr(part.fit.model, "findings_", ())]
    bad = sorted({status.name for status, _ in findings if status in UNDETERMINED})
    if bad:
        found.append((Doubt.NOT_DETERMINED, ", ".join(bad)))
    lost, B = len(values) - len(draws), len(values)
    loose = B * sum(share for key, share in shares.items() if key[0] is Status.NOT_CONVERGED)
    if lost + loose > MOST_FAILED * B or len(draws) < 2:
        found.append((Doubt.MANY_FAILED, f"{lost + loose:.0f} of {B}"))
    elif is_constant(draws):
        return (*found, (Doubt.ONE_VALUE, ""))
    if lost and lost + loose <= MOST_FAILED * B:
        found.append((Doubt.SOME_FAILED, f"{lost} of {B}"))
    if loose and lost + loose <= MOST_FAILED * B:
        found.append((Doubt.NOT_CONVERGED, f"{loose:.0f} of {B}"))
    least = 1 if scheme.by else 2
    if spare < least:
        free = sum(free_parameters(part.fit) for part in parts)
        found.append((Doubt.TOO_FEW_SPARE, f"{spare + free} units, {free} free parameters"))
    elif spare < SPARE:
        found.append((Doubt.FEW_SPARE, f"{spare}"))
    if len(draws) > 1 and spare >= least:
        at = tails(draws, estimate, level, method, jackknife=jackknife, spare=spare)
        found += _tail_doubts(draws, at, scheme, units)
    for (status, about), share in shares.items():
        if share > MANY_AT_BOUND and status is not Status.NOT_CONVERGED:
            found.append((Doubt.AT_BOUND, f"{status.name} ({about}) in {100 * share:.0f} % of the refits"))
    if scheme.by and units < CLUSTERS:
        found.append((Doubt.FEW_CLUSTERS, f"{units} of {scheme.by}"))
    if not scheme.by and any(shares_sizes(part.fit.table, part.fit.inputs) for part in parts):
        found.append((Doubt.NO_CLUSTERS, ""))
    if reach > DECADES:
        found.append((Doubt.FAR, f"{reach:.1f} decades"))
    if method in ("bca", "basic") or (isinstance(scheme, Wild) and scheme.residuals == "plain"):
        found.append((Doubt.NOT_MEASURED_TO_COVER, f"{scheme.kind}, {method}"))
    order = list(Doubt)
    return tuple(sorted(found, key=lambda pair: order.index(pair[0])))


def _tail_doubts(draws: Floats, at: tuple[float, float], scheme: Scheme, units: int) -> list[tuple[Doubt, str]]:
    """Whether the tails that an interval is read off, shares of the draws, hold any."""
    if not np.all(np.isfinite(at)):
        return [(Doubt.ALL_ON_ONE_SIDE, "")]
    least = min(at[0], 1 - at[1])
    distinct = scheme.distinct(units)
    # of a few clusters the range of the draws is given, and FEW_CLUSTERS says so
    if least * min(distinct, len(draws)) >= 1 or (scheme.by and SIZES <= units < CLUSTERS):
        return []
    if least * distinct < 1:
        return [(Doubt.TOO_FEW_DRAWS, f"{distinct:.0f} of {units} units, tails of {100 * least:.2g} %")]
    return [(Doubt.TOO_FEW_RESAMPLES, f"{len(draws)} for tails of {100 * least:.2g} %")]


def _shares(parts: Sequence[Part]) -> dict[tuple[Status, str], float]:
    """Share of the refits that have each status."""
    shares: dict[tuple[Status, str], float] = {}
    for part in parts:
        for key, which in part.refits.flags.items():
            shares[key] = shares.get(key, 0.0) + float(which.mean()) / len(parts)
    return shares
