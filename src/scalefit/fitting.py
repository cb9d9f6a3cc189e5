"""The verbs: fit a law to a table, to every slice of one, and read a saved fit."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from .columns import CHECKED, INPUTS
from .laws import LAWS, Law
from .objective import objective_from_dict
from .parametric import LawRegressor
from .reading import duplicates
from .result import FORMAT, Curves, Fit
from .status import Status
from .table import LossTable

Model = type[Law] | LawRegressor


def fit(
    model: Model, table: LossTable, *, inputs: str | Sequence[str] | None = None, weights: str | None = None
) -> Fit:
    """Fit a law to a table.

    Parameters
    ----------
    model : Law class or LawRegressor
        `sf.Chinchilla`, or `sf.LawRegressor(sf.PowerLaw, fixed={"E": 0})` for anything but the defaults.
    table : LossTable
        One row per run.
    inputs : str or sequence of str, optional
        Columns of the table that the law takes, any that hold positive numbers. By default those that the law names;
        a law of one column takes the table's only input.
    weights : str, optional
        Column of frequencies.

    Returns
    -------
    Fit
        With the status before the numbers; a doubtful fit is returned and says so.

    Raises
    ------
    TypeError
        If the model is a law with its numbers in, or the table no LossTable.
    ValueError
        If a column is missing, a value unusable, or if there are fewer rows than free parameters.

    Examples
    --------
    >>> from scalefit.datasets import load
    >>> from scalefit.laws import PowerLaw
    >>> without_offset = LawRegressor(PowerLaw, fixed={"E": 0.0})
    >>> print(f"{fit(without_offset, load('pythia').where('kept'), inputs='params').law.alpha:.4f}")
    0.0833
    """
    regressor = _regressor(model, table)
    names = _inputs(regressor.law, table, inputs)
    X = np.stack([_positive(table, name) for name in names], axis=1)
    sample_weight = None if weights is None else _frequencies(table, weights)
    fitted = clone(regressor).fit(X, table.loss, sample_weight=sample_weight)
    return Fit(fitted, table, names, weights)


def fit_curves(
    model: Model, table: LossTable, *, along: str, at: str, rtol: float = 1e-3, min_rows: int = 4,
    weights: str | None = None,
) -> Curves:  # fmt: skip
    """Fit a law of one column to every slice of a table: L(N) at each D, or L(D) at each N.

    Parameters
    ----------
    model : Law class or LawRegressor
        Of one column.
    along, at : str
        Column that varies in a slice, and the one that is nearly fixed.
    rtol : float
        Share of its smallest value of `at` that a slice spans at most.
    min_rows : int
        Rows that a slice needs; at least as many as the law has free parameters. The rest is counted in `left_out`.

    Raises
    ------
    ValueError
        If no slice can be fitted, or the law takes more than one column.

    Examples
    --------
    >>> from scalefit.laws import HOFFMANN_2022, PowerLaw
    >>> from scalefit.simulation import grid, simulate
    >>> runs = simulate(HOFFMANN_2022, grid(params=np.geomspace(1e8, 1e10, 8), tokens=[1e10, 1e11]))
    >>> curves = fit_curves(PowerLaw, runs, along="params", at="tokens")
    >>> round(curves.mean("alpha"), 6)
    0.34
    """
    regressor = _regressor(model, table)
    if regressor.law.n_inputs() != 1:
        raise ValueError(
            f"{regressor.law.__name__} takes {regressor.law.n_inputs()} columns; curves need a law of one."
        )
    min_rows = max(min_rows, len(regressor.free_parameters()))
    slices = table.curves(along=along, at=at, rtol=rtol, min_rows=min_rows)
    values = np.array([float(np.exp(np.log(part[at]).mean())) for part in slices])
    fits = []
    for value, part in zip(values, slices, strict=True):
        try:
            fits.append(fit(regressor, part, inputs=along, weights=weights))
        except ValueError as error:
            raise ValueError(f"the slice at {at} {value:.6g} cannot be fitted: {error}") from error
    left_out = {f"rows in no slice of {min_rows} rows at one {at}": len(table) - sum(len(part) for part in slices)}
    return Curves(along, at, values, tuple(fits), left_out)


def read_fit(path: str | os.PathLike[str], *, law: type[Law] | None = None) -> Fit:
    """Fit that `Fit.save` wrote: the same numbers, without fitting again.

    Parameters
    ----------
    path : path
    law : Law class, optional
        Needed for a law of your own.

    Raises
    ------
    ValueError
        If the file is not a saved fit, is of another version, or holds a law that is not known.

    Examples
    --------
    >>> import tempfile
    >>> from scalefit.datasets import load
    >>> from scalefit.laws import PowerLaw
    >>> fitted = fit(PowerLaw, load("pythia").where("kept"), inputs="params")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fitted.save(f"{folder}/pythia.json")
    ...     read_fit(f"{folder}/pythia.json").parameters == fitted.parameters
    True
    """
    if law is not None and not (isinstance(law, type) and issubclass(law, Law)):
        raise TypeError(f"law must be a Law class, not {law!r}.")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        version = content["scalefit"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a saved fit; write one with fit.save(path).") from error
    if version != FORMAT:
        raise ValueError(f"{path} has format {version}, but this version reads {FORMAT}. Fit and save again.")
    known = {cls.__name__: cls for cls in LAWS.values()} | ({law.__name__: law} if law else {})
    try:
        name = str(content["protocol"]["law"])
        restored = _restore_fit(known[name], content) if name in known else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}). Fit and save again.") from error
    if restored is None:
        raise ValueError(f"{path} holds the law {name!r}; pass it as read_fit(path, law={name}).")
    return restored


def _restore_fit(law: type[Law], content: dict[str, Any]) -> Fit:
    protocol = content["protocol"]
    frame = pd.DataFrame(content["columns"])
    frame.attrs[CHECKED] = True  # it came out of a table: its names are settled
    table = LossTable.from_frame(frame)
    notes, digest = protocol["table"]["notes"], protocol["table"]["digest"]
    if table.digest != digest:
        notes = [*notes, f"read from a saved fit, which could not keep every cell of the table {digest}"]
    table = replace(table, notes=tuple(notes))
    for name in protocol["inputs"]:
        _positive(table, name)
    if protocol["weights"] is not None:
        _frequencies(table, protocol["weights"])
    return Fit(_restore_model(law, content), table, tuple(protocol["inputs"]), protocol["weights"])


def _restore_model(law: type[Law], content: dict[str, Any]) -> LawRegressor:
    protocol = content["protocol"]
    objective = objective_from_dict(protocol["objective"])
    rule = protocol["delta_rule"]
    asked = objective_from_dict({**protocol["objective"], "delta": rule}) if isinstance(rule, str) else objective
    model = LawRegressor(law, objective=asked, fixed=protocol["fixed"] or None, tied=protocol["tied"] or None)
    model.law_ = law(**{name: float(value) for name, value in content["parameters"].items()})
    model.objective_ = objective
    model.objective_value_, model.search_ = content["objective_value"], protocol["search"]
    model.findings_ = [(Status[name], about) for name, about in content["findings"]]
    model.status_ = Status[content["status"]]
    model.free_ = tuple(n for n in law.parameters() if n not in protocol["fixed"] and n not in protocol["tied"])
    model.n_features_in_ = len(protocol["inputs"])
    return model


def _regressor(model: Any, table: Any) -> LawRegressor:
    if not isinstance(table, LossTable):
        kind = type(table).__name__
        raise TypeError(f"table must be a LossTable, not {kind}: LossTable.from_frame(df) or .read(path) makes one.")
    if isinstance(model, type) and issubclass(model, Law):
        return LawRegressor(model)
    if isinstance(model, Law):
        name = type(model).__name__
        raise TypeError(f"{model} has its numbers already; to fit the law, pass the class: fit({name}, table).")
    if not isinstance(model, LawRegressor):
        raise TypeError(f"model must be a Law class or a LawRegressor, not {model!r}.")
    return model


def _inputs(law: type[Law], table: LossTable, inputs: str | Sequence[str] | None) -> tuple[str, ...]:
    """Columns for a law, checked for their number."""
    if inputs is None:
        if law.inputs is None and len(table.inputs) != 1:
            raise ValueError(
                f"{law.__name__} takes one column and the table has {', '.join(table.inputs)}: "
                f'say which, as in inputs="{table.inputs[0]}".'
            )
        return law.inputs or table.inputs
    names = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    if len(names) != law.n_inputs():
        wanted = f"{law.n_inputs()} input column{'s' * (law.n_inputs() > 1)}"
        raise ValueError(f"{law.__name__} takes {wanted}, not {len(names)}: inputs={names!r}.")
    for name in duplicates(list(names)):
        raise ValueError(f"inputs={names!r} names {name!r} twice; give each input of {law.__name__} its own column.")
    return names


def _numbers(table: LossTable, name: str) -> Any:
    values = getattr(table, name) if name in INPUTS else table[name]
    if not np.issubdtype(values.dtype, np.number):
        numbers = [isinstance(value, Real) and not isinstance(value, bool | np.bool_) for value in values]
        row = int(np.argmin(numbers))
        value = values.tolist()[row]
        shown = f"the text {value[:40]!r}" if isinstance(value, str) else repr(value)
        raise ValueError(
            f"column {name!r} must be of numbers, but row {row} (counting from 0) is {shown}. "
            "Choose another column, or convert this one before it goes into a LossTable."
        )
    values = values.astype(float)
    if not np.all(np.isfinite(values)):
        row = int(np.argmin(np.isfinite(values)))
        raise ValueError(
            f"column {name!r} must be finite, but row {row} (counting from 0) is {values[row]} "
            f"({int(np.sum(~np.isfinite(values)))} such rows). Drop them with table.where('{name} > 0')."
        )
    return values


def _frequencies(table: LossTable, name: str) -> Any:
    values = _numbers(table, name)
    if np.any(values < 0):
        row = int(np.argmax(values < 0))
        raise ValueError(
            f"column {name!r} must not be negative to be a weight, but row {row} (counting from 0) is {values[row]:g} "
            f"({int(np.sum(values < 0))} such rows). A weight is a frequency: 2 is the row twice, 0 leaves it out."
        )
    if not values.any():
        raise ValueError(f"column {name!r} is zero in all {len(values)} rows, so nothing would be fitted.")
    return values


def _positive(table: LossTable, name: str) -> Any:
    values = _numbers(table, name)
    if np.any(values <= 0):
        row = int(np.argmax(values <= 0))
        count = int(np.sum(values <= 0))
        raise ValueError(
            f"column {name!r} must be positive to be an input, but row {row} (counting from 0) is {values[row]:g} "
            f"({count} such rows). Drop them with table.where('{name} > 0')."
        )
    return values
