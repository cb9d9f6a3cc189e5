"""A law of any form, fitted by scipy's trust region from many starts between its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .constraints import Constraints
from .diagnosis import Finding
from .laws import Law, input_names
from .objective import Objective, residuals
from .solver import trf_multistart
from .status import Status

Floats = NDArray[np.float64]

LARGEST_CONDITION = 1e8  # of the scaled Jacobian; beyond, parameters trade off without a trace in the loss
STARTS = 40  # as many as the paper takes


def fit_any(
    law: type[Law], X: Floats, y: Floats, weights: Floats, objective: Objective, free: Constraints
) -> tuple[Law, float, list[Finding], dict[str, Any]]:
    """Fit a law of any form from starts between its bounds."""
    bounds = np.array([_bounds(law, name) for name in free.free])
    low, high = bounds.T
    rng = np.random.default_rng(0)
    share = rng.uniform(size=(STARTS, len(low)))
    with np.errstate(divide="ignore", invalid="ignore"):
        starts = np.where(low > 0, np.exp(np.log(low) + share * np.log(high / low)), low + share * (high - low))

    def errors(at: Floats) -> Floats:
        return residuals(objective, y, law(*(free.T @ at + free.c).tolist())(*X.T))

    assert not isinstance(objective.delta, str)
    with np.errstate(all="ignore"):
        fit = trf_multistart(errors, starts, bounds=(low, high), delta=objective.delta, weights=weights)
    found: list[Finding] = [] if fit.converged else [(Status.NOT_CONVERGED, law.__name__)]
    at_low = fit.parameters - low <= 1e-6 * np.where(low > 0, low, high - low)
    at_high = high - fit.parameters <= 1e-6 * (high - low)
    found += [(Status.AT_BOUND, name) for name, at in zip(free.free, at_low | at_high, strict=True) if at]
    if fit.condition > LARGEST_CONDITION:
        found.append((Status.NOT_IDENTIFIED, ", ".join(free.free)))
    if len(np.unique(X, axis=0)) < len(free.free):
        found.append((Status.TOO_FEW_VALUES, ", ".join(input_names(law, X.shape[1]))))
    if len(y) == len(free.free):
        found.append((Status.NO_SPARE_ROWS, f"{len(y)} rows"))
    search = {"method": "trust region from many starts", "starts": fit.starts, "starts_at_optimum": fit.reached}
    return law(*(free.T @ fit.parameters + free.c).tolist()), fit.objective, found, search


def _bounds(law: type[Law], name: str) -> tuple[float, float]:
    low, high = law.bounds.get(name, (np.nan, np.nan))
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise TypeError(f"{law.__name__}.bounds needs a finite (low, high) for {name}: starts are drawn between them.")
    return float(low), float(high)
