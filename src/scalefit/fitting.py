"""The verbs: fit a law or a surface to a table, or a law to every slice of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from sklearn.base import clone, is_regressor
from sklearn.utils import get_tags

from .arrays import input_column, weight_column
from .curves import Curves
from .families import Families
from .family_fitting import fit_families
from .laws import Law
from .parametric import LawRegressor
from .reading import duplicates
from .result import Fit
from .surface import LogSpace
from .table import LossTable

SURFACE_INPUTS = ("params", "tokens")
Model = Any  # a Law class, or a scikit-learn regressor


@overload
def fit(
    model: Model, table: LossTable, *, inputs: str | Sequence[str] | None = None, weights: str | None = None
) -> Fit: ...
@overload
def fit(
    model: Model, table: LossTable, *, inputs: str | Sequence[str] | None = None, weights: str | None = None,
    by: str, shared: str | Sequence[str],
) -> Families: ...  # fmt: skip
def fit(
    model: Model, table: LossTable, *, inputs: str | Sequence[str] | None = None, weights: str | None = None,
    by: str | None = None, shared: str | Sequence[str] | None = None,
) -> Fit | Families:  # fmt: skip
    """Fit a law, or a surface without a formula, to a table; or one law to several families of runs.

    Parameters
    ----------
    model : Law class, LawRegressor, or any scikit-learn regressor
        `sf.Chinchilla`, or `sf.LawRegressor(sf.PowerLaw, fixed={"E": 0})` for anything but the defaults. A regressor
        that does not say by its tags that it takes positive inputs and targets is fitted as `LogSpace(regressor)`.
    table : LossTable
        One row per run.
    inputs : str or sequence of str, optional
        Columns of the table that the model takes, any that hold positive numbers. By default those that the law names;
        a law of one column takes the table's only input, a surface params and tokens.
    weights : str, optional
        Column of frequencies.
    by : str, optional
        Column whose values are families of runs, such as the data set: one law for all of them, ...
    shared : str or sequence of str, optional
        ... with these parameters in common and own others: `by="dataset", shared=("alpha", "beta")`. Of separable laws
        (PowerLaw, Exponential, Chinchilla and your own); any parameter that is not fixed. An amplitude without its
        exponent is shared at x = 1, which depends on the unit of x.

    Returns
    -------
    Fit, or Families if `by` is given
        With the status before the numbers; a doubtful fit is returned and says so.

    Raises
    ------
    TypeError
        If the model is a law with its numbers in, or the table no LossTable.
    ValueError
        If a column is missing, a value unusable, if there are fewer rows than free parameters, or if an input of a
        surface does not vary; of families also if there is only one, or more than 20.

    Examples
    --------
    >>> from scalefit.datasets import load
    >>> from scalefit.laws import PowerLaw
    >>> without_offset = LawRegressor(PowerLaw, fixed={"E": 0.0})
    >>> print(f"{fit(without_offset, load('pythia').where('kept'), inputs='params').law.alpha:.4f}")
    0.0833
    """
    regressor = as_regressor(model, table)
    names = _inputs(regressor, table, inputs)
    if by is not None and shared is not None:
        return fit_families(regressor, table, names, by=by, shared=shared, weights=weights)
    if by is not None or shared is not None:
        raise ValueError(
            f"by={by!r} and shared={shared!r}: a joint fit needs both, such as by='dataset', shared=('alpha', 'beta'). "
            "To fit each family by itself, use fit(model, table.where(...))."
        )
    X = np.stack([input_column(table, name) for name in names], axis=1)
    if not isinstance(regressor, LawRegressor):
        _check_varied(names, X)
    sample_weight = None if weights is None else weight_column(table, weights)
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
    regressor = as_regressor(model, table)
    if not isinstance(regressor, LawRegressor):
        raise TypeError(f"curves need a law of one column, such as PowerLaw, not {model!r}.")
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


def as_regressor(model: Model, table: LossTable) -> Any:
    """Regressor that takes raw units, of what was given as a model.

    Raises
    ------
    TypeError
        If this is no model, a law with its numbers in, or the table no LossTable.

    Examples
    --------
    >>> from scalefit.datasets import load
    >>> from scalefit.laws import PowerLaw
    >>> as_regressor(PowerLaw, load("pythia")).law.__name__
    'PowerLaw'
    """
    if not isinstance(table, LossTable):
        kind = type(table).__name__
        raise TypeError(f"table must be a LossTable, not {kind}: LossTable.from_frame(df) or .read(path) makes one.")
    if isinstance(model, type) and issubclass(model, Law):
        return LawRegressor(model)
    if isinstance(model, Law):
        name = type(model).__name__
        raise TypeError(f"{model} has its numbers already; to fit the law, pass the class: fit({name}, table).")
    if isinstance(model, type) or not hasattr(model, "fit") or not is_regressor(model):
        raise TypeError(f"model must be a Law class, or a regressor such as LawRegressor(PowerLaw), not {model!r}.")
    takes_raw = get_tags(model).input_tags.positive_only and get_tags(model).target_tags.positive_only
    return model if takes_raw else LogSpace(model)


def _inputs(regressor: Any, table: LossTable, inputs: str | Sequence[str] | None) -> tuple[str, ...]:
    """Columns for a model, checked for their number."""
    law = regressor.law if isinstance(regressor, LawRegressor) else None
    own = getattr(regressor, "inputs", None)
    if law is None and own is not None:
        if inputs is not None and tuple(inputs) != own:
            raise ValueError(f"{type(regressor).__name__} takes {', '.join(own)}, not inputs={inputs!r}.")
        return tuple(own)
    if inputs is None:
        if law is None:
            both = all(name in table for name in SURFACE_INPUTS)
            return SURFACE_INPUTS if both else table.inputs
        if law.inputs is None and len(table.inputs) != 1:
            raise ValueError(
                f"{law.__name__} takes one column and the table has {', '.join(table.inputs)}: "
                f'say which, as in inputs="{table.inputs[0]}".'
            )
        return law.inputs or table.inputs
    names = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    if law is not None and len(names) != law.n_inputs():
        wanted = f"{law.n_inputs()} input column{'s' * (law.n_inputs() > 1)}"
        raise ValueError(f"{law.__name__} takes {wanted}, not {len(names)}: inputs={names!r}.")
    if not names:
        raise ValueError("inputs names no column; a surface needs at least one.")
    for name in duplicates(list(names)):
        model = law.__name__ if law is not None else "a surface"
        raise ValueError(f"inputs={names!r} names {name!r} twice; give each input of {model} its own column.")
    return names


def _check_varied(names: Sequence[str], X: Any) -> None:
    """Refuse an input of a surface that does not vary."""
    constant = [name for name, column in zip(names, X.T, strict=True) if np.ptp(np.log(column)) <= 1e-9]
    if constant:
        rest = [name for name in names if name not in constant]
        remedy = f"Pass inputs={rest[0]!r}" if len(rest) == 1 else f"Pass inputs={tuple(rest)!r}" if rest else ""
        raise ValueError(
            f"column {constant[0]!r} is {X[0, names.index(constant[0])]:g} in all {len(X)} rows, so a surface shows "
            f"nothing along it. {f'{remedy}, or add' if remedy else 'Add'} runs at other values."
        )
