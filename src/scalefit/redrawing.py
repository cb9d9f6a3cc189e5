"""What every bootstrap does: units of rows, the default scheme, the jackknife and the refits of one fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .curves import Curves
from .objective import residuals
from .parts import Part, free_parameters
from .replicates import Progress, Refits, refits
from .result import Fit
from .schemes import SIZES, SIZES_1D, Labels, Pairs, Scheme, Wild, clusters, shared_sizes
from .status import Status

Floats = NDArray[np.float64]

MOST_RESAMPLES = 1_000_000
MOST_BENT = 1e6  # norm of (1 - H)^-1 beyond which a unit alone determines a parameter
MOST_CELLS = 100_000_000  # resamples times rows: 0.8 GB of losses


def with_weight(fit: Fit) -> Fit:
    """The fit with those rows alone that carry weight.

    Examples
    --------
    >>> import scalefit as sf
    >>> fit = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    >>> with_weight(fit) is fit
    True
    """
    if fit.weights is None or np.all(fit.table[fit.weights] > 0):
        return fit
    return replace(fit, table=fit.table.where(fit.table[fit.weights] > 0))


def default_scheme(fit: Fit | Curves) -> tuple[Scheme, tuple[str, ...]]:
    """Scheme that covers, and what had to be given up.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=[1e10, 1e11])
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.01)
    >>> default_scheme(sf.fit(sf.Chinchilla, runs))[0].by
    'params'
    """
    sides = (fit if isinstance(fit, Fit) else fit[0]).objective.upward
    scheme: type[Scheme] = Wild if sides == 1 else Pairs
    if isinstance(fit, Curves):
        return scheme(), ()
    fit = with_weight(fit)
    if shared_sizes(fit) < (SIZES if len(fit.inputs) > 1 else SIZES_1D):
        return scheme(), ()
    if fit.has_law and int(clusters([fit.table], "params")[0].max()) < free_parameters(fit):
        return scheme(), ("by rows, since there are no more model sizes than free parameters",)
    return scheme(by="params"), ()


def fits_of(fit: Any) -> tuple[Fit, ...]:
    """Fits to resample, each still of the table that it was fitted to.

    Examples
    --------
    >>> import scalefit as sf
    >>> fit = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    >>> len(fits_of(fit))
    1
    """
    if not isinstance(fit, Fit | Curves):
        raise TypeError(f"bootstrap needs what sf.fit or sf.fit_curves gave, not {type(fit).__name__}.")
    fits = (fit,) if isinstance(fit, Fit) else fit.fits
    for one in fits:
        if not hasattr(one.model, "objective_value_") or one.status is Status.AMPLITUDE_OUT_OF_RANGE:
            continue  # nothing to compare; such an amplitude is cut to what a number can be
        rho = one.objective.rho(residuals(one.objective, one.table.loss, one.predicted))
        now = float(np.sum(rho if one.weights is None else rho * one.table[one.weights]))
        constant = one.objective.rho(residuals(one.objective, one.table.loss, np.median(one.table.loss))).sum()
        if abs(now - one.objective_value) > 1e-6 * one.objective_value + 1e-9 * constant:
            raise ValueError(
                f"the table is not the one that was fitted: the objective of its {len(one.table)} rows is {now:.9g}, "
                f"that of the fit {one.objective_value:.9g}. Fit the table again."
            )
    return fits


def whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number within a range.

    Examples
    --------
    >>> whole("resamples", 1000, 2, 10_000)
    1000
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)


def units_of(fits: Sequence[Fit], by: str | None) -> list[Labels]:
    """Unit of each row of each fit: a cluster, shared by all fits, or the row itself.

    Units are numbered by what the rows hold, so that the order of the rows changes nothing.

    Examples
    --------
    >>> import scalefit as sf
    >>> fit = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    >>> units_of([fit], None)[0].tolist()
    [0, 1, 2, 3, 4, 5]
    """
    if by is not None:
        return clusters([fit.table for fit in fits], by)
    labels, first = [], 0
    for fit in fits:
        columns = [fit.table[name] for name in fit.inputs]
        weights = [] if fit.weights is None else [fit.table[fit.weights]]
        order = np.lexsort((*weights, fit.table.loss, *columns))
        own = np.empty(len(order), dtype=np.intp)
        own[order] = np.arange(first, first + len(order))
        labels.append(own)
        first += len(order)
    return labels


def resample(fit: Fit, scheme: Scheme, labels: Labels, draws: Floats, steps: tuple[Progress, ...]) -> Part:
    """Jackknife and refits of one fit, (B, units) multipliers or counts given.

    Examples
    --------
    >>> import scalefit as sf
    >>> fit = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    >>> (labels,) = units_of([fit], None)
    >>> part = resample(fit, Wild(), labels, np.ones((3, 6)), (lambda done, of: None,) * 2)
    >>> len(part.refits), len(part.jackknife)
    (3, 6)
    """
    X = np.stack([fit.table[name] for name in fit.inputs], axis=1)
    loss = fit.table.loss
    frequencies = np.ones(len(loss)) if fit.weights is None else np.asarray(fit.table[fit.weights], dtype=float)
    left = refits(fit.model, X, loss[None], (labels != np.unique(labels)[:, None]) * frequencies, steps[0])
    if isinstance(scheme, Pairs):
        counts = draws[:, labels]
        made = refits(fit.model, X, loss[None], counts * frequencies, steps[1])
        return Part(fit, labels, loss[None], counts, made, left)
    predicted = fit.predicted
    errors = _errors(fit, scheme, X, frequencies, labels, left)
    with np.errstate(over="ignore"):
        moved = draws[:, labels] * errors
        losses = predicted * np.exp(moved) if fit.objective.space == "log" else predicted + moved
    return Part(fit, labels, losses, None, refits(fit.model, X, losses, frequencies[None], steps[1]), left)


def _errors(fit: Fit, scheme: Wild, X: Floats, frequencies: Floats, labels: Labels, left: Refits) -> Floats:
    """(n,) residuals that get random signs, in the space of the objective."""
    loss, objective = fit.table.loss, fit.objective
    if scheme.residuals != "loo":
        plain = residuals(objective, loss, fit.predicted)
        return plain if scheme.residuals == "plain" else _unbent(fit, plain, X, frequencies, labels)
    place = np.searchsorted(np.unique(labels), labels)
    predicted = left.predict(X)[place, np.arange(len(loss))]
    # without a fit there is no such residual; the intervals are refused then
    return residuals(objective, loss, np.where(np.isfinite(predicted), predicted, fit.predicted))


def _unbent(fit: Fit, plain: Floats, X: Floats, frequencies: Floats, labels: Labels) -> Floats:
    """(n,) residuals times (1 - H)^-1 of their unit, H its block of the hat matrix of the linearised fit."""
    if not hasattr(fit.model, "jacobian"):
        raise ValueError(f"{type(fit.model).__name__} has no formula to take leverages of; use Wild(residuals='loo').")
    J = fit.model.jacobian(X)
    if fit.objective.space == "log":
        J = J / fit.predicted[:, None]
    root = np.sqrt(frequencies)
    J = root[:, None] * J[:, np.linalg.norm(J, axis=0) > 0]
    Q, _ = np.linalg.qr(J / np.linalg.norm(J, axis=0))
    errors = plain.copy()
    for unit in np.unique(labels):
        rows = np.flatnonzero(labels == unit)
        rest = np.eye(len(rows)) - Q[rows] @ Q[rows].T
        if np.linalg.norm(rest, -2) * MOST_BENT > 1:  # rows that alone determine a parameter have no residual to scale
            errors[rows] = np.linalg.solve(rest, root[rows] * plain[rows]) / root[rows]
    return errors
