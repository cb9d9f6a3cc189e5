"""The verb `bootstrap`: resample the rows of a fit, or of every slice of curves, and refit."""

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
from .resampled import Bootstrap
from .result import Fit
from .schemes import SIZES, SIZES_1D, Labels, Pairs, Scheme, Wild, clusters, shared_sizes
from .status import Status

Floats = NDArray[np.float64]

MOST_RESAMPLES = 1_000_000
MOST_BENT = 1e6  # norm of (1 - H)^-1 beyond which a unit alone determines a parameter
MOST_CELLS = 100_000_000  # resamples times rows: 0.8 GB of losses


def bootstrap(
    fit: Fit | Curves, scheme: Scheme | None = None, *, resamples: int = 1000, seed: int = 0,
    progress: Progress | None = None,
) -> Bootstrap:  # fmt: skip
    """Refit a model to resampled tables, and to the table without each row or cluster.

    Parameters
    ----------
    fit : Fit or Curves
        Of curves, every slice is refitted; clusters that span slices are redrawn together.
    scheme : Wild, Pairs or wild_bca(), optional
        By default `Wild()`, signs on leave-one-out residuals, by model size where a fit of several inputs has at least
        six sizes with several runs each (a fit of params alone: eight), and more sizes than free parameters.
    resamples : int
        From 2 to 1,000,000. Where n units have no more than so many patterns of Rademacher signs, or n is under 8, all
        2^n patterns are taken instead.
    seed : int
        Of the draws; the same seed gives the same intervals.
    progress : callable, optional
        Called with the number of refits that are done, and of all; an exception that it raises stops the bootstrap.

    Returns
    -------
    Bootstrap
        Ask it for `interval(...)`, `standard_error(...)`, `to_frame()`, or index it for the refits.

    Raises
    ------
    TypeError
        If this is no fit.
    ValueError
        If a number is out of range, a column of clusters unusable, or the table is not what was fitted.

    Notes
    -----
    The refits keep the objective of the fit, with the same delta (appendix B.2 of [1]_). docs/coverage.md measures why
    leave-one-out residuals and the t-corrected percentile are the default.

    References
    ----------
    .. [1] arXiv:2601.10684.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> boot = sf.bootstrap(sf.fit(sf.PowerLaw, runs), seed=1)
    >>> boot.interval("alpha")
    alpha 0.2376  95 % [0.2098, 0.2638]  standard error 0.012  percentile_t
    >>> low, high = boot.interval(lambda fit: fit(1e11))
    >>> low < boot.base(1e11) < high
    True
    """
    fits = _check_base(fit)
    resamples, seed = _whole("resamples", resamples, 2, MOST_RESAMPLES), _whole("seed", seed, 0, 2**63)
    notes: tuple[str, ...] = ()
    if scheme is None:
        scheme, notes = default_scheme(fit)
    if not isinstance(scheme, Wild | Pairs):
        raise TypeError(f"scheme must be Wild(...), Pairs(...) or wild_bca(), not {scheme!r}.")
    if isinstance(scheme, Wild) and any(one.objective.upward != 1 for one in fits):
        raise ValueError(
            "Wild puts random signs on residuals, and this objective counts the two sides differently (upward="
            f"{fits[0].objective.upward:g}): its resamples would lie below the fit. Use Pairs()."
        )
    fits = tuple(_weighted(one) for one in fits)
    labels = _units(fits, scheme.by)
    units = 1 + max(int(part.max()) for part in labels)
    rows = max(len(one.table) for one in fits)
    if (resamples + units) * max(rows, units) > MOST_CELLS:
        raise ValueError(
            f"{resamples} resamples and {units} leave-one-out fits of {rows} rows do not fit into memory: together at "
            f"most {MOST_CELLS // max(rows, units)}. Ask for fewer resamples, or name by=, which has fewer units."
        )
    draws = scheme.draw(units, resamples, np.random.default_rng(seed))
    if scheme.enumerates(units, resamples):
        notes = (*notes, f"all {len(draws)} sign patterns of {units} rows or clusters are taken instead of {resamples}")
    own_units = [len(np.unique(part)) for part in labels]
    total, done, parts = sum(own_units) + len(fits) * len(draws), 0, []
    for one, part, count in zip(fits, labels, own_units, strict=True):
        steps = tuple(_step(progress, done + before, total) for before in (0, count))
        parts.append(_resample(one, scheme, part, draws, steps))
        done += count + len(draws)
    return Bootstrap(fit, scheme, seed, draws, tuple(parts), notes)


def _step(progress: Progress | None, before: int, total: int) -> Progress:
    """Progress of a part of the work, as a share of all."""

    def report(done: int, _: int) -> None:
        if progress is not None:
            progress(before + done, total)

    return report


def _weighted(fit: Fit) -> Fit:
    """The fit with those rows alone that carry weight."""
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
    fit = _weighted(fit)
    if shared_sizes(fit) < (SIZES if len(fit.inputs) > 1 else SIZES_1D):
        return scheme(), ()
    if fit.has_law and int(clusters([fit.table], "params")[0].max()) < free_parameters(fit):
        return scheme(), ("by rows, since there are no more model sizes than free parameters",)
    return scheme(by="params"), ()


def _check_base(fit: Any) -> tuple[Fit, ...]:
    """Fits to resample, each still of the table that it was fitted to."""
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


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)


def _units(fits: Sequence[Fit], by: str | None) -> list[Labels]:
    """Unit of each row of each fit: a cluster, shared by all fits, or the row itself.

    Units are numbered by what the rows hold, so that the order of the rows changes nothing.
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


def _resample(fit: Fit, scheme: Scheme, labels: Labels, draws: Floats, steps: tuple[Progress, ...]) -> Part:
    """Jackknife and refits of one fit."""
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
