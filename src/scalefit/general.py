"""A law of any form, fitted by scipy's trust region from many starts between its bounds."""

from __future__ import annotations

from collections.abc import Mapping
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
METHOD = "trust region from many starts"


def fit_any(
    law: type[Law], X: Floats, y: Floats, weights: Floats, objective: Objective, free: Constraints
) -> tuple[Law, float, list[Finding], dict[str, Any]]:
    """Fit a law of any form from starts between its bounds; positive parameters are searched in their logarithm."""
    bounds = law.bounds_for(X, y)
    low, high = np.array([_ends(law, bounds, name) for name in free.free]).T
    positive = low > 0

    def make(at: Floats) -> Law:
        return law(*(free.T @ np.exp(at, out=at.copy(), where=positive) + free.c).tolist())

    def errors(at: Floats) -> Floats:
        return residuals(objective, y, make(at)(*X.T))

    least, most = (np.log(end, out=end.copy(), where=positive) for end in (low, high))
    starts = least + np.random.default_rng(0).uniform(size=(STARTS, len(low))) * (most - least)
    assert not isinstance(objective.delta, str)
    with np.errstate(all="ignore"):
        fit = trf_multistart(
            errors, starts, bounds=(least, most), delta=objective.delta, weights=weights, upward=objective.upward
        )
    found: list[Finding] = [] if fit.converged else [(Status.NOT_CONVERGED, law.__name__)]
    near = np.minimum(fit.parameters - least, most - fit.parameters) <= 1e-6 * np.where(positive, 1.0, high - low)
    found += [(Status.AT_BOUND, name) for name, at in zip(free.free, near, strict=True) if at]
    if fit.condition > LARGEST_CONDITION:
        found.append((Status.NOT_IDENTIFIED, ", ".join(free.free)))
    if len(np.unique(X, axis=0)) < len(free.free):
        found.append((Status.TOO_FEW_VALUES, ", ".join(input_names(law, X.shape[1]))))
    if len(y) == len(free.free):
        found.append((Status.NO_SPARE_ROWS, f"{len(y)} rows"))
    search = {"method": METHOD, "starts": fit.starts, "followed": fit.followed, "followed_to_optimum": fit.reached}
    return make(fit.parameters), fit.objective, found, search


def _ends(law: type[Law], bounds: Mapping[str, tuple[float, float]], name: str) -> tuple[float, float]:
    low, high = bounds.get(name, (np.nan, np.nan))
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise TypeError(f"{law.__name__}.bounds needs a finite (low, high) for {name}: starts are drawn between them.")
    return float(low), float(high)
