"""The verb `influence`: the fit without each row, or without each group of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from .asked import answer, by_name
from .linearised import linearise
from .objective import MAD_TO_SIGMA, residuals, weighted_median
from .parts import Part, Statistic, as_number, as_point, free_parameters, tried
from .replicates import Progress, refits
from .resampled import Bootstrap
from .result import Fit
from .schemes import clusters
from .standouts import Influence
from .status import Status

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Labels = NDArray[np.intp]

BLOCK = 4_000_000  # rows times refits at once: a bound on memory
LEAST_SCATTER = 1e-6  # relative: no loss is known more exactly. Our choice
STILL = 1e-9  # share of a statistic that a refit resolves: it has not moved if by less. Our choice
LEVEL = 0.95  # of all units together, that none is said to lie off where none does
EFFICIENCY = 0.37  # of the median absolute deviation, against the standard deviation
LOST = {Status.TOO_FEW_VALUES}  # of a fit without a unit: it says nothing
RUNS = ("run", "run_name", "run_id", "name")  # columns that name a row
SINGULAR = 1e-6  # smallest eigenvalue of 1 - H of a unit, below which the unit alone determines a parameter


def influence(
    fit: Any, *, by: str | None = None, statistic: Statistic | None = None, progress: Progress | None = None
) -> Influence:
    """What each row of a fit, or each group of rows, does to a statistic, and how far it lies off the others.

    Parameters
    ----------
    fit : Fit or Bootstrap
        Of a bootstrap, the fit that was resampled.
    by : str, optional
        Column of groups that are left out together: rows that share its value (params, tokens and flops within 0.1 %).
        ``by="params"`` tells a bad rung of a ladder.
    statistic : str, mapping of str to float, or callable, optional
        As for `Bootstrap.interval`. By default the allocation exponent of a fit of params and tokens, else the first
        exponent.
    progress : callable, optional
        Called with the number of refits that are done, and of all.

    Returns
    -------
    Influence
        A row per unit, those furthest off the others first.

    Raises
    ------
    TypeError
        If this is no fit, or the statistic none.
    ValueError
        If the column makes no groups, a parameter is unknown, or the statistic has no value for the fit to all rows.

    Notes
    -----
    Every number is of an exact refit, with the objective as it was resolved. Of a unit u, with e the residuals of its
    rows from the fit *without* it, in the space of the objective,

    - effect = statistic without u - statistic; 0 where that is below 1e-9 of it, which refits do not resolve;
    - in_errors = effect / the jackknife standard error of all other units, as DFBETAS [1]_ have it;
    - off = sum(e) / (s sqrt(1' (1 - H_u)^-1 1)), H_u the block of the hat matrix of the linearised fit: for one row the
      deletion residual in units of its own standard error, e sqrt(1 - h) / s [1]_. A row at the end of the table is so
      not blamed for what its prediction lacks in support. Of a surface, which has no such matrix, H = 0;
    - residual = mean residual from the fit with it, by s;
    - leverage = trace of H_u.

    s is 1.4826 times the median absolute residual of the fit, times sqrt(n / (n - p)). Rows of a group may err
    together, and a robust fit leaves some residuals too small: where the units scatter more than s says, `off` of all
    of them is divided by 1.4826 times its median size. `limit` is what chance is to reach in one table of twenty:
    Student's t, by Bonferroni over the units, with 0.37 (n - p) degrees of freedom, for the efficiency of the median
    deviation.

    A robust fit holds a gross row back, so its effect on the parameters is bounded and says little; `off` is not, since
    e comes from a fit that never saw the row. So the units are sorted by `off`. `strong` has those that move the
    statistic by over its standard error: no test, since of few units some do in most tables in which the law holds.
    Scale, limit and order are ours.

    References
    ----------
    .. [1] Belsley, Kuh, Welsch 1980, Regression Diagnostics, chapter 2.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
    >>> frame = sf.simulate(sf.HOFFMANN_2022, design, noise=0.005).to_frame()
    >>> frame.loc[14, "loss"] *= 1.06
    >>> found = influence(sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame)))
    >>> int(found.to_frame()["row"][0])
    14
    """
    fit = fit.base if isinstance(fit, Bootstrap) else fit
    if not isinstance(fit, Fit):
        raise TypeError(f"influence takes what sf.fit or its bootstrap gave, not {type(fit).__name__}.")
    if not isinstance(by, str | None):
        raise TypeError(f"by must be the name of one column, or None for rows, not {by!r}.")
    rows = np.flatnonzero(_frequencies(fit) > 0)
    if len(rows) < len(fit.table):
        fit = replace(fit, table=fit.table.where(_frequencies(fit) > 0))
    asked = by_name(statistic, fit)
    if len(asked) > 1:
        raise TypeError(f"influence is of one statistic, not of {len(asked)}: {', '.join(asked)}. Ask for each.")
    ((name, one),) = asked.items()
    labels = np.arange(len(fit.table)) if by is None else clusters([fit.table], by)[0]
    base = as_number(one(fit)) if callable(one) else answer(fit, one, LEVEL).value
    if not np.isfinite(base):
        raise ValueError(
            f"{name} is {base} for the fit to all rows, so nothing can move it. Ask for another statistic."
        )
    left = _without_each(fit, labels, one, progress)
    effects = left.values - base
    effects[np.abs(effects) <= STILL * abs(base)] = 0.0
    numbers = _numbers(fit, labels, effects, left.predicted)
    units = pd.DataFrame({**_names(fit, labels, by, rows), **numbers, "ok": left.ok})
    spare = max(EFFICIENCY * (_frequencies(fit).sum() - free_parameters(fit)), 1.0)
    limit = float(stats.t.isf((1 - LEVEL) / (2 * len(units)), spare))
    doubt = "" if fit.ok else fit.notes[0]
    return Influence(name, base, by, len(fit.table), limit, fit.objective.space, _in_order(units), doubt)


@dataclass(frozen=True)
class _Left:
    """What the fits without each unit say: (U,) values of the statistic, (n,) predictions of the rows left out."""

    values: Floats
    predicted: Floats
    ok: Bools


def _frequencies(fit: Fit) -> Floats:
    return np.ones(len(fit.table)) if fit.weights is None else np.asarray(fit.table[fit.weights], dtype=float)


def _without_each(fit: Fit, labels: Labels, statistic: Statistic, progress: Progress | None) -> _Left:
    """Refits without each unit, a block of them at a time; nan where the rest does not determine a fit."""
    X = np.stack([fit.table[name] for name in fit.inputs], axis=1)
    units, n, frequencies = int(labels.max()) + 1, len(labels), _frequencies(fit)
    values, predicted, ok = np.full(units, np.nan), np.full(n, np.nan), np.zeros(units, dtype=bool)
    size = max(1, BLOCK // n)
    for start in range(0, units, size):
        count = min(size, units - start)
        here = np.where((labels >= start) & (labels < start + count), labels - start, count)
        weights = (here != np.arange(count)[:, None]) * frequencies
        made = refits(fit.model, X, fit.table.loss[None], weights)
        block = slice(start, start + count)
        if isinstance(statistic, str):
            values[block] = made.parameters[statistic]
        elif isinstance(statistic, Mapping):
            values[block] = made.predict(as_point(fit, statistic))[:, 0]
        else:
            part = Part(fit, here, fit.table.loss[None], None, made, made)
            values[block] = [tried(statistic, partial(part.without, unit)) for unit in range(count)]
        lost = np.any([made.failed, *(which for key, which in made.flags.items() if key[0] in LOST)], axis=0)
        values[block][lost] = np.nan
        rows = np.flatnonzero((here < count) & ~np.append(lost, True)[here])
        predicted[rows] = made.predict(X)[here[rows], rows]
        ok[block] = ~np.any([lost, *made.flags.values()], axis=0)
        if progress is not None:
            progress(start + count, units)
    return _Left(values, predicted, ok)


def _numbers(fit: Fit, labels: Labels, effects: Floats, predicted: Floats) -> dict[str, Floats]:
    """Columns of numbers, a value per unit, as `influence` explains them."""
    frequencies, space = _frequencies(fit), fit.objective.space
    plain = residuals(fit.objective, fit.table.loss, fit.predicted)
    known = np.isfinite(predicted) & (predicted > 0)
    left = np.where(known, residuals(fit.objective, fit.table.loss, np.where(known, predicted, 1.0)), np.nan)
    spare = frequencies.sum() - free_parameters(fit)
    least = LEAST_SCATTER * (1.0 if space == "log" else float(np.median(fit.table.loss)))
    scatter = MAD_TO_SIGMA * weighted_median(np.abs(plain), frequencies)
    scatter = max(scatter * np.sqrt(frequencies.sum() / spare), least) if spare > 0 else np.nan
    basis, root = _basis(fit), np.sqrt(frequencies)
    found: dict[str, list[float]] = {name: [] for name in ("apart", "off", "residual", "leverage")}
    for unit in range(len(effects)):
        rows = np.flatnonzero(labels == unit)
        hat = basis[rows] @ basis[rows].T
        own, directions = np.linalg.eigh(np.eye(len(rows)) - hat)
        spread = float(np.sum((directions.T @ root[rows]) ** 2 / own)) if own[0] > SINGULAR else np.nan
        total = float(frequencies[rows] @ left[rows])
        found["apart"].append(total / frequencies[rows].sum())
        found["off"].append(total / (scatter * np.sqrt(spread)))
        found["residual"].append(float(np.average(plain[rows], weights=frequencies[rows])) / scatter)
        found["leverage"].append(float(np.trace(hat)) if basis.shape[1] else np.nan)
    columns = {name: np.array(values) for name, values in found.items()}
    columns["off"] /= _overdispersion(columns["off"])
    return {"effect": effects, "in_errors": in_errors(effects), **columns}


def _overdispersion(off: Floats) -> float:
    """How much more groups lie off each other than their rows do: rows of a group may err together."""
    finite = np.abs(off[np.isfinite(off)])
    return max(1.0, MAD_TO_SIGMA * float(np.median(finite))) if len(finite) else 1.0


def _basis(fit: Fit) -> Floats:
    """(n, q) orthonormal basis of what small changes of the parameters do to the rows; no column for a surface."""
    if not (fit.has_law and _frequencies(fit).sum() > free_parameters(fit) > 0):
        return np.empty((len(fit.table), 0))
    near = linearise(fit)
    U, sizes, _ = np.linalg.svd(np.sqrt(near.weights)[:, None] * near.J / near.sizes, full_matrices=False)
    return np.asarray(U[:, sizes > SINGULAR**2 * sizes[0]])


def in_errors(effects: Floats) -> Floats:
    """Effects of leaving units out, each in jackknife standard errors of all others; nan for fewer than three.

    Examples
    --------
    >>> in_errors(np.array([0.1, -0.1, 0.1, -0.1, 2.0])).round(1).tolist()
    [0.1, -0.1, 0.1, -0.1, 11.5]
    """
    finite = effects[np.isfinite(effects)]
    n = len(finite)
    if n < 3:
        return np.full(len(effects), np.nan)
    apart = effects - finite.mean()
    others = np.sum((finite - finite.mean()) ** 2) - apart**2 * n / (n - 1)  # squares around the mean of the others
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(effects / np.sqrt(np.maximum(others, 0.0) * (n - 2) / (n - 1)))


def _names(fit: Fit, labels: Labels, by: str | None, rows: Labels) -> dict[str, Any]:
    """Columns that say which unit it is."""
    table = fit.table
    if by is not None:
        first = [int(np.argmax(labels == unit)) for unit in range(labels.max() + 1)]
        return {by: table[by][first], "rows": np.bincount(labels)}
    run = {name: table[name] for name in RUNS if name in table}
    told = {name: table[name] for name in dict.fromkeys([*fit.inputs, "loss"])}
    return {"row": rows, **dict(list(run.items())[:1]), **told}


def _in_order(units: pd.DataFrame) -> pd.DataFrame:
    """The furthest off first; what has no such number comes last, by the size of its effect."""
    off, effect = (np.nan_to_num(np.abs(units[name].to_numpy(dtype=float)), nan=-1.0) for name in ("off", "effect"))
    return units.iloc[np.lexsort((-effect, -off))].reset_index(drop=True)
