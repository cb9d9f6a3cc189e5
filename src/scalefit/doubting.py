"""What speaks against an interval: the fit, the refits, the tails, the clusters, how far it looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .intervals import MOST_FAILED, Doubt, Method, has_spread, is_constant, tails
from .parts import Part, Trace, degrees_of_freedom, free_parameters
from .schemes import SIZES, Scheme, Wild, size_labels
from .status import Status

Floats = NDArray[np.float64]
Found = list[tuple[Doubt, str]]

MANY_AT_BOUND = 0.1  # share of refits at a bound that is worth a word
MANY_SHARED = 0.25  # share of rows whose model size has rows that are drawn apart, likewise
SPARE = 5  # units beyond the free parameters under which intervals were less sure
DECADES = 2.0  # beyond the runs, in which a forecast is the formula's rather than the data's
RANGE_LEVEL = 0.95  # up to which the range of the draws of a few clusters was seen to cover
UNDETERMINED = {
    Status.TOO_FEW_VALUES, Status.AMPLITUDE_OUT_OF_RANGE, Status.COLLINEAR, Status.NOT_CONVERGED, Status.NOT_IDENTIFIED,
    Status.NO_SPARE_ROWS,
}  # fmt: skip
# a term that means nothing: of such a fit only the losses among the runs do
UNIDENTIFIED = {Status.EXPONENT_AT_LOWER, Status.EXPONENT_AT_UPPER, Status.NO_DECREASE}
AT_BOUNDS = UNIDENTIFIED | {Status.E_AT_ZERO, Status.E_AT_UPPER, Status.AT_BOUND}


def find_doubts(
    values: Floats, estimate: float, level: float, method: Method, *, parts: Sequence[Part], scheme: Scheme,
    jackknife: Floats, trace: Trace,
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
    jackknife : (U,) array
        For BCa alone.
    trace : Trace
        What the statistic looks at.
    """
    if not np.isfinite(estimate) or not parts:
        return ((Doubt.NO_VALUE, trace.missing),)
    draws = values[np.isfinite(values)]
    found = _about_fit(parts, scheme, trace) + _about_refits(values, parts, trace)
    spare, least = degrees_of_freedom(parts, scheme), 1 if scheme.by else 2
    if spare < least:
        counted = [min(parts, key=lambda part: degrees_of_freedom([part], scheme))] if scheme.by else parts
        free = sum(free_parameters(part.fit) for part in counted)
        found.append((Doubt.TOO_FEW_SPARE, f"{spare + free} units, {free} free parameters"))
    elif spare < SPARE:
        found.append((Doubt.FEW_SPARE, f"{spare} spare"))
    if len(draws) > 1 and is_constant(draws):
        found.append((Doubt.ONE_VALUE, ""))
    elif len(draws) > 1 and spare >= least:
        at = tails(draws, estimate, level, method, jackknife=jackknife, spare=spare)
        found += _about_tails(draws, at, level, method, parts, scheme)
        if method == "bca" and not has_spread(jackknife):
            found.append((Doubt.NO_ACCELERATION, f"{np.count_nonzero(np.isfinite(jackknife))} of {len(jackknife)}"))
    if _split_sizes(parts) >= MANY_SHARED:
        found.append((Doubt.NO_CLUSTERS, ""))
    if trace.reach > DECADES:
        found.append((Doubt.FAR, f"{trace.reach:.1f} decades"))
    found += _about_method(method, scheme, parts)
    return in_order(found)


def in_order(found: Found) -> tuple[tuple[Doubt, str], ...]:
    """Doubts, most severe first.

    Examples
    --------
    >>> in_order([(Doubt.FAR, ""), (Doubt.NO_VALUE, "")])[0][0]
    <Doubt.NO_VALUE>
    """
    order = list(Doubt)
    return tuple(sorted(found, key=lambda pair: order.index(pair[0])))


def _about_fit(parts: Sequence[Part], scheme: Scheme, trace: Trace) -> Found:
    """Whether the data determine what is asked, also without any one unit."""
    severe = UNDETERMINED | (UNIDENTIFIED if trace.reads_law or trace.reach > 0 else set())
    findings = [finding for part in parts for finding in getattr(part.fit.model, "findings_", ())]
    bad = sorted({f"{status.name} ({about})" for status, about in findings if status in severe})
    if bad:
        return [(Doubt.NOT_DETERMINED, ", ".join(bad))]
    if not (isinstance(scheme, Wild) and scheme.residuals == "loo"):
        return []
    weak = 0
    for part in parts:
        few = [which for key, which in part.jackknife.flags.items() if key[0] is Status.TOO_FEW_VALUES]
        weak += int(np.count_nonzero(np.any([part.jackknife.failed, *few], axis=0)))
    return [(Doubt.NOT_DETERMINED, f"TOO_FEW_VALUES without any one of {weak} rows or clusters")] if weak else []


def _about_refits(values: Floats, parts: Sequence[Part], trace: Trace) -> Found:
    """Draws that are missing, loose, or piled up at a bound."""
    found: Found = []
    B, lost = len(values), int(np.count_nonzero(~np.isfinite(values)))
    loose, lost_terms = np.zeros(B, dtype=bool), [np.zeros(B, dtype=bool) for _ in parts]
    bounds: dict[tuple[Status, str], float] = {}
    for part, lost_term in zip(parts, lost_terms, strict=True):
        for key, which in part.refits.flags.items():
            if key[0] in UNIDENTIFIED:
                lost_term |= which
            if key[0] in UNDETERMINED:
                loose |= which
            elif key[0] in AT_BOUNDS:
                bounds[key] = max(bounds.get(key, 0.0), float(which.mean()))
    count = int(np.count_nonzero(loose & np.isfinite(values)))
    if lost + count > MOST_FAILED * B or B - lost < 2:
        found.append((Doubt.MANY_FAILED, f"{lost + count} of {B}"))
    else:
        found += [(Doubt.SOME_FAILED, f"{lost} of {B}")] if lost else []
        found += [(Doubt.NOT_CONVERGED, f"{count} of {B}")] if count else []
    share = max(float(lost_term.mean()) for lost_term in lost_terms)
    if share > MOST_FAILED and (trace.reads_law or trace.reach > 0):
        found.append((Doubt.OFTEN_UNIDENTIFIED, f"{100 * share:.0f} %"))
    piled = [
        f"{s.name} ({about}) in {100 * share:.0f} %" for (s, about), share in bounds.items() if share > MANY_AT_BOUND
    ]
    return [*found, (Doubt.AT_BOUND, ", ".join(piled))] if piled else found


def _about_tails(
    draws: Floats, at: tuple[float, float], level: float, method: Method, parts: Sequence[Part], scheme: Scheme
) -> Found:
    """Whether the tails that an interval is read off, shares of the draws, hold any."""
    if not np.all(np.isfinite(at)):
        return [(Doubt.ALL_ON_ONE_SIDE, "")]
    units = len(np.unique(np.concatenate([part.units for part in parts])))
    least, distinct = min(at[0], 1 - at[1]), scheme.distinct(units)
    if least * distinct < 1:
        many = isinstance(scheme, Wild) and scheme.by is not None and units >= SIZES
        if many and method == "percentile_t" and level <= RANGE_LEVEL:
            return [(Doubt.RANGE_OF_DRAWS, f"{distinct:.0f} patterns of {units} clusters")]
        return [(Doubt.TOO_FEW_DRAWS, f"{units} units, {distinct:.0f} resamples, tails of {100 * least:.2g} %")]
    if least * len(draws) < 1:
        return [(Doubt.TOO_FEW_RESAMPLES, f"{len(draws)} resamples, at least {np.ceil(1 / least):.0f} needed")]
    return []


def _split_sizes(parts: Sequence[Part]) -> float:
    """Share of the rows whose model size has rows that are drawn apart from them."""
    fits = [part for part in parts if "params" in part.fit.inputs]
    if not fits:
        return 0.0
    sizes = size_labels([part.fit for part in fits])
    units = np.concatenate([part.labels for part in fits])
    first = np.full(sizes.max() + 1, -1)
    first[sizes] = units
    split = np.zeros(len(first), dtype=bool)
    split[sizes[units != first[sizes]]] = True
    return float(np.mean(split[sizes]))


def _about_method(method: Method, scheme: Scheme, parts: Sequence[Part]) -> Found:
    """What docs/coverage.md says of a way to resample and to read off."""
    words = f"{scheme.kind}, {method}"
    if not all(part.fit.has_law for part in parts):
        return [(Doubt.NOT_MEASURED, f"{words}, of a surface without a formula")]
    if isinstance(scheme, Wild) and scheme.weights == "rademacher" and scheme.residuals != "leverage":
        if method == "bca" or (scheme.residuals == "plain" and method == "percentile"):
            return [(Doubt.COVERS_LESS, words)]
        if method == "percentile_t" and scheme.residuals == "loo":
            return []
    return [(Doubt.NOT_MEASURED, words)]
