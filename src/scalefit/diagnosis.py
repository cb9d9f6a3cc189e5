"""Read off a fitted law whether its numbers mean anything: a list of statuses, each with what it is about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .laws import SeparableLaw
from .solver import Optima
from .status import Status

Floats = NDArray[np.float64]
Finding = tuple[Status, str]

COLLINEAR_R2 = 0.99  # squared correlation of two inputs on the law's own scale
SCATTERS = 3.0  # how far below E a row must lie, in robust standard deviations of the residuals
SAME_VALUE = 1e-9  # relative difference of inputs that is none


def diagnose(
    law: type[SeparableLaw],
    free: Sequence[str],
    optima: Optima,
    X: Floats,
    loss: Floats,
    predicted: Floats,
    inputs: Sequence[str],
) -> list[Finding]:
    """Statuses of one fit of a separable law, each with the parameter or input that it is about.

    Parameters
    ----------
    free : sequence of str
        Parameters that were moved.
    optima : Optima
        Of one fit.
    X, loss, predicted : (n, k), (n,) and (n,) arrays
        Rows that carry weight.
    inputs : sequence of str
        Names of the columns of X.
    """
    found: list[Finding] = [] if optima.converged[0] else [(Status.NOT_CONVERGED, law.__name__)]
    found += _design(law, free, X, inputs)
    names = ["E", *(t.amplitude for t in law.terms), *(t.exponent for t in law.terms)]
    low = dict(zip(names, optima.at_lower[:, 0], strict=True))
    high = dict(zip(names, optima.at_upper[:, 0], strict=True))
    constant = {inputs[term.column] for term in law.terms if _distinct(np.log(X[:, [term.column]])) == 1}
    for k, term in enumerate(law.terms):
        if inputs[term.column] in constant:
            continue  # said already: too few values
        if optima.gone[k, 0] or low[term.amplitude]:
            found.append((Status.NO_DECREASE, f"{term.amplitude}, {inputs[term.column]}"))
        elif low[term.exponent]:
            found.append((Status.EXPONENT_AT_LOWER, term.exponent))
        elif high[term.exponent] or high[term.amplitude]:
            found.append((Status.EXPONENT_AT_UPPER, term.exponent))
    if low["E"]:
        found.append((Status.E_AT_ZERO, "E"))
    if high["E"]:
        found.append((Status.E_AT_UPPER, "E"))
    found += _floor(float(optima.natural[0, 0]), loss, predicted)
    if len(loss) == len(free):
        found.append((Status.NO_SPARE_ROWS, f"{len(loss)} rows"))
    return found


def _design(law: type[SeparableLaw], free: Sequence[str], X: Floats, inputs: Sequence[str]) -> list[Finding]:
    """What the inputs alone cannot determine."""
    found: list[Finding] = []
    scaled = np.log(X)
    if _distinct(scaled) < len(free):
        found.append((Status.TOO_FEW_VALUES, ", ".join(inputs)))
    else:
        for term in law.terms:
            # each free parameter of the term needs a value, and E takes one
            needed = 1 + (term.amplitude in free) + (term.exponent in free)
            if _distinct(scaled[:, [term.column]]) < needed and needed > 1:
                found.append((Status.TOO_FEW_VALUES, inputs[term.column]))
    for i, one in enumerate(law.terms):
        for other in law.terms[:i]:
            movable = {one.amplitude, one.exponent, other.amplitude, other.exponent} & set(free)
            if one.column != other.column and len(movable) > 1:
                u, v = one.scale(X[:, one.column]), other.scale(X[:, other.column])
                if np.ptp(u) > 0 and np.ptp(v) > 0 and np.corrcoef(u, v)[0, 1] ** 2 > COLLINEAR_R2:
                    found.append((Status.COLLINEAR, f"{inputs[other.column]}, {inputs[one.column]}"))
    return found


def _distinct(rows: Floats) -> int:
    """Distinct rows of logarithms, up to rounding."""
    return len(np.unique(np.round(rows / SAME_VALUE), axis=0))


def _floor(E: float, loss: Floats, predicted: Floats) -> list[Finding]:
    """Rows that lie below E by more than the scatter of the fit."""
    residuals = loss - predicted
    scatter = 1.4826 * float(np.median(np.abs(residuals)))
    below = int(np.sum(loss < E - SCATTERS * scatter))
    return [(Status.E_ABOVE_LOSS, f"E, {below} rows")] if below and scatter > 1e-12 * E else []
