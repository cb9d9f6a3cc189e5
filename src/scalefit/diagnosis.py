"""Read off a fitted law whether its numbers mean anything: a list of statuses, each with what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .constraints import Constraints
from .laws import SeparableLaw, Term
from .solver import Optima
from .status import Status

Floats = NDArray[np.float64]
Finding = tuple[Status, str]

COLLINEAR_R2 = 0.99  # squared correlation of two inputs on the law's own scale, at which ...
VAGUE = 0.5  # ... a relative standard error of an exponent this large says that the two terms are not told apart
LEAST_SCATTER = 1e-3  # of a loss, relative: better than any loss is known
LARGEST_LOG = 700.0  # of an amplitude at x = 1 that a float can hold
SCATTERS = 3.0  # how far below E a row must lie, in robust standard deviations of the residuals
SAME_VALUE = 1e-9  # relative difference of inputs that is none


def diagnose(
    law: type[SeparableLaw],
    constraints: Constraints,
    optima: Optima,
    X: Floats,
    loss: Floats,
    predicted: Floats,
    inputs: Sequence[str],
) -> list[Finding]:
    """Statuses of one fit of a separable law, each with the parameter or input that it is about.

    Parameters
    ----------
    constraints : Constraints
        Which parameters moved, in the order of `optima.natural`.
    optima : Optima
        Of one fit.
    X, loss, predicted : (n, k), (n,) and (n,) arrays
        Rows that carry weight.
    inputs : sequence of str
        Names of the columns of X.
    """
    found: list[Finding] = [] if optima.converged[0] else [(Status.NOT_CONVERGED, law.__name__)]
    free, natural = constraints.free, optima.natural[:, 0]
    K = len(law.terms)
    found += _design(law, free, X, inputs)
    found += _collinear(law, constraints, natural, X, loss, predicted, inputs)
    huge = [t.amplitude for t, size in zip(law.terms, natural[1 : 1 + K], strict=True) if abs(size) > LARGEST_LOG]
    found += [(Status.AMPLITUDE_OUT_OF_RANGE, name) for name in huge]
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
        elif high[term.exponent] or high[term.amplitude] or _acts_on_few(term, free, natural, k, X, loss - predicted):
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
            own = (term.amplitude in free) + (term.exponent in free)
            if own and _distinct(scaled[:, [term.column]]) < own + ("E" in free):
                found.append((Status.TOO_FEW_VALUES, inputs[term.column]))
    return found


def _collinear(
    law: type[SeparableLaw],
    constraints: Constraints,
    natural: Floats,
    X: Floats,
    loss: Floats,
    predicted: Floats,
    inputs: Sequence[str],
) -> list[Finding]:
    """Pairs of inputs that move together, where that leaves an exponent unknown by the linearised fit."""
    K = len(law.terms)
    g = np.stack([term.scale(X[:, term.column]) for term in law.terms])
    pairs = [
        (one, other)
        for one, other in combinations(range(K), 2)
        if law.terms[one].column != law.terms[other].column
        and min(np.ptp(g[one]), np.ptp(g[other])) > 0
        and np.corrcoef(g[one], g[other])[0, 1] ** 2 > COLLINEAR_R2
    ]
    if not pairs:
        return []
    with np.errstate(all="ignore"):
        terms = np.exp(natural[1 : 1 + K, None] - natural[1 + K :, None] * g) / predicted
        J = np.concatenate([1 / predicted[None], terms, -g * terms]).T @ constraints.T  # of the log loss
        scatter = max(1.4826 * float(np.median(np.abs(np.log(loss / predicted)))), LEAST_SCATTER)
    size = np.linalg.norm(J, axis=0)
    if not np.all(np.isfinite(J)) or np.any(size == 0):
        vague = np.ones(K, dtype=bool)
    else:
        inverse = (
            np.linalg.pinv(J / size, rcond=1e-10) if np.linalg.cond(J / size) < 1e8 else np.full(J.T.shape, np.inf)
        )
        errors = scatter * np.linalg.norm(inverse, axis=1) / size
        moving = constraints.T[1 + K :]
        vague = np.array([np.any(errors[row > 0] > VAGUE * natural[1 + K + k]) for k, row in enumerate(moving)])
    return [
        (Status.COLLINEAR, f"{inputs[law.terms[one].column]}, {inputs[law.terms[other].column]}")
        for one, other in pairs
        if vague[one] or vague[other]
    ]


def _acts_on_few(term: Term, free: Sequence[str], natural: Floats, k: int, X: Floats, residuals: Floats) -> bool:
    """Whether a term rises above the scatter at fewer inputs than it has parameters: at the smallest run alone."""
    K = (len(natural) - 1) // 2
    x = X[:, term.column]
    size = np.exp(np.minimum(natural[1 + k] - natural[1 + K + k] * term.scale(x), LARGEST_LOG))
    seen = x[size > SCATTERS * 1.4826 * float(np.median(np.abs(residuals)))]
    own = (term.amplitude in free) + (term.exponent in free)
    return own == 2 and 0 < _distinct(np.log(seen[:, None])) < own


def _distinct(rows: Floats) -> int:
    """Distinct rows of logarithms, up to rounding."""
    return len(np.unique(np.round(rows / SAME_VALUE), axis=0))


def _floor(E: float, loss: Floats, predicted: Floats) -> list[Finding]:
    """Rows that lie below E by more than the scatter of the fit."""
    residuals = loss - predicted
    scatter = 1.4826 * float(np.median(np.abs(residuals)))
    below = int(np.sum(loss < E - SCATTERS * scatter))
    return [(Status.E_ABOVE_LOSS, f"E, {below} rows")] if below and scatter > 1e-12 * E else []
