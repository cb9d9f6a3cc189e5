"""Fit one law to several families of runs: what is asked is checked, delta resolved, every family made a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .arrays import input_column, weight_column
from .families import Families, plain
from .family_laws import FamilyLaw, JointLaw
from .laws import SeparableLaw
from .objective import Absolute, Huber, Objective, resolve, weighted_median
from .parametric import LawRegressor, _spread
from .result import Fit
from .table import LossTable

MOST = 20  # families: the joint Newton step solves for all their parameters at once


def fit_families(
    regressor: Any, table: LossTable, inputs: Sequence[str], *, by: str, shared: str | Sequence[str],
    weights: str | None = None,
) -> Families:  # fmt: skip
    """Fit one law to the families of a table, some parameters shared; `fit(..., by=, shared=)` calls this.

    Parameters
    ----------
    regressor : LawRegressor
        Of a separable law.
    table : LossTable
    inputs : sequence of str
        Columns of the law.
    by : str
        Column whose values are the families.
    shared : str or sequence of str
        Parameters that all families have in common.
    weights : str, optional
        Column of frequencies.

    Raises
    ------
    TypeError, ValueError
        As `fit`.

    Notes
    -----
    A rule for delta is resolved over the rows of all families at once, so that every row counts alike. Given what is
    shared the families are independent and each is convex but for its own exponents; the search goes over the shared
    parameters and ends with Newton steps in all parameters at once. docs/architecture.md, "How a fit is found".

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 5), tokens=[1e10, 1e11]))
    >>> fitted = fit_families(sf.LawRegressor(sf.PowerLaw), runs, ("params",), by="tokens", shared=("alpha",))
    >>> round(fitted.parameters["alpha"], 6)
    0.34
    """
    template = _template(regressor)
    names = _shared_names(template, shared)
    keys, labels = _families(table, by)
    X = np.stack([input_column(table, name) for name in inputs], axis=1)
    w = np.ones(len(table)) if weights is None else weight_column(table, weights)
    rows = [np.flatnonzero((labels == f) & (w > 0)) for f in range(len(keys))]
    parts = [tuple(array[part] for part in rows) for array in (X, table.loss, w)]
    joint = JointLaw(template, template.objective or template.law.objective, names, *parts)
    _check_rows(joint, by, keys)
    joint = replace(joint, objective=_resolved(joint))
    tables = [table.where(labels == f) for f in range(len(keys))]
    tables = [replace(one, notes=(*table.notes, f"{by} {key}: {len(one)} of {len(table)} rows"))
              for one, key in zip(tables, keys, strict=True)]  # fmt: skip
    fits = {key: Fit(model, one, tuple(inputs), weights)
            for key, model, one in zip(keys, joint.models(), tables, strict=True)}  # fmt: skip
    separate = {}
    for f, (key, one) in enumerate(zip(keys, tables, strict=True)):
        alone = LawRegressor(template.law, objective=joint.objective, fixed=template.fixed, tied=template.tied)
        if len(joint.y[f]) >= len(joint.free) and not np.all(joint.X[f] == joint.X[f][0]):
            separate[key] = Fit(alone.fit(joint.X[f], joint.y[f], joint.weights[f]), one, tuple(inputs), weights)
    made = Families(by, fits, separate, joint)
    for fitted in fits.values():
        fitted.model.families_ = made  # so that two families can be compared
    return made


def _template(regressor: Any) -> FamilyLaw:
    if not isinstance(regressor, LawRegressor):
        raise TypeError(
            f"by= and shared= need a law with parameters to share, such as Chinchilla, not {regressor!r}. Fit a "
            "surface to each family by itself: fit(model, table.where(...))."
        )
    if not issubclass(regressor.law, SeparableLaw):
        raise ValueError(
            f"{regressor.law.__name__} is not a sum of powers or exponentials, and only such laws share "
            "parameters. Fit each family by itself, fit(model, table.where(...)), or choose PowerLaw or Chinchilla."
        )
    return FamilyLaw(regressor.law, objective=regressor.objective, fixed=regressor.fixed, tied=regressor.tied)


def _shared_names(template: FamilyLaw, shared: str | Sequence[str]) -> tuple[str, ...]:
    """Shared parameters, in the order of the law."""
    if not isinstance(shared, str | Sequence) or not all(isinstance(name, str) for name in shared):
        raise TypeError(f"shared must be names of parameters, such as ('alpha', 'beta'), not {shared!r}.")
    names = {shared} if isinstance(shared, str) else set(shared)
    everything, free = template.law.parameters(), template.map()[1].free
    if not names:
        raise ValueError(
            f"shared names no parameter; the law has {', '.join(everything)}. Families that share nothing are fits of "
            "their own: fit(model, table.where(...))."
        )
    for name in sorted(names):
        if name not in everything:
            raise ValueError(f"there is no parameter {name!r} to share; the law has {', '.join(everything)}.")
        if name in (template.fixed or {}):
            raise ValueError(f"{name} is fixed, so all families have it in common already; leave it out of shared.")
        if name not in free:
            leader = (template.tied or {})[name]
            raise ValueError(f"{name} is tied to {leader}; share {leader} instead.")
    if names == set(free):
        raise ValueError(
            f"shared names every free parameter ({', '.join(free)}), which leaves one law for all rows: "
            "fit(model, table) without by."
        )
    return tuple(name for name in free if name in names)


def _families(table: LossTable, by: str) -> tuple[list[Any], NDArray[np.intp]]:
    """Values of the column, sorted, and the number of the family of each row."""
    if not isinstance(by, str):
        raise TypeError(f"by must be the name of one column of the table, such as 'dataset', not {by!r}.")
    values = table[by]
    missing = np.flatnonzero(pd.isna(values))
    if len(missing):
        raise ValueError(
            f"column {by!r} cannot make families: row {missing[0]} (counting from 0) has no value ({len(missing)} such "
            "rows). Fill them in, or leave these rows out with table.where(...)."
        )
    try:
        labels, keys = pd.factorize(np.asarray(values), sort=True)
    except TypeError:  # values of several kinds have no order
        labels, keys = pd.factorize(np.asarray([str(value) for value in values]), sort=True)
    found = [plain(key) for key in keys]
    if len(found) == 1:
        raise ValueError(f"column {by!r} is {found[0]!r} in all {len(table)} rows: one family has nothing to share.")
    if len(found) > MOST:
        raise ValueError(f"column {by!r} makes {len(found)} families, and at most {MOST} are fitted together.")
    return found, np.asarray(labels, dtype=np.intp)


def _check_rows(joint: JointLaw, by: str, keys: Sequence[Any]) -> None:
    least, fixed_E = max(2, len(joint.own)), (joint.template.fixed or {}).get("E", 0.0)
    for key, y, w in zip(keys, joint.y, joint.weights, strict=True):
        if len(y) < least:
            raise ValueError(
                f"{by} {key!r} has {len(y)} rows, but needs {least}: its own parameters are {', '.join(joint.own)}. "
                f"Add runs, share more, or leave it out: table.where('{by} != {key}')."
            )
        if fixed_E >= weighted_median(y, w):
            raise ValueError(
                f"E is fixed at {fixed_E:g}, but half of the losses of {by} {key!r} are at most "
                f"{weighted_median(y, w):g}. Fix it below them, or leave it free."
            )
    rows = sum(len(y) for y in joint.y)
    if rows < joint.moved:
        raise ValueError(
            f"the {len(keys)} families have {joint.moved} free parameters together, but {rows} rows. Add runs, or "
            "share, fix or tie parameters."
        )


def _resolved(joint: JointLaw) -> Objective:
    """Objective with a rule for delta resolved over the rows of all families."""
    y, w = np.concatenate(joint.y), np.concatenate(joint.weights)
    objective = resolve(joint.objective, y, w)
    if not (isinstance(objective, Huber) and objective.delta == "mad_of_residuals"):
        return objective
    first, solution, _ = replace(joint, objective=Absolute(objective.space)).solved
    return replace(objective, delta=_spread(np.abs(first.errors(solution.free)[:, 0]), w))
