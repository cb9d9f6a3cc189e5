"""The verb `validate`: models side by side on rows that they were not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from .arrays import weight_column
from .fitting import Model, as_regressor, fit
from .hull import hull_of
from .remarks import where_in
from .replicates import Loop, Progress, Refits, refits
from .result import Fit
from .scores import Validation
from .splits import Split, make_splits
from .table import LossTable

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Inputs = str | Sequence[str] | None


def validate(
    models: Model | Mapping[str, Model] | Sequence[Model], table: LossTable, *, cv: Any = 20, test_size: float = 0.2,
    groups: str | None = None, inputs: Inputs | Mapping[str, Inputs] = None, weights: str | None = None, seed: int = 0,
    progress: Progress | None = None,
) -> Validation:  # fmt: skip
    """Fit models to some rows of a table and score them on the others, each on the same rows.

    Parameters
    ----------
    models : model, mapping of str to model, or sequence of models
        Whatever `fit` takes. The first is what the others are compared with.
    table : LossTable
    cv : int, splitter, Extrapolation or iterable of pairs
        That many random splits (80/20 and 20 splits are the paper's, appendix B.3 of [1]_); a scikit-learn splitter,
        such as ``LeaveOneGroupOut()`` with ``groups="params"``; `Extrapolation(flops=1e20)`, which trains below a
        value and tests from there on; or pairs of (train, test) row numbers.
    test_size : float
        Share of the rows, or of the groups, that random splits test on.
    groups : str, optional
        Column whose equal values stay together; counts within 0.1 % are equal.
    inputs : str or sequence of str, or mapping of names of models to these, optional
        Columns that all models take, or those of some, as for `fit`.
    weights : str, optional
        Column of frequencies, of the fits and of the scores.
    seed : int
        Of random splits.
    progress : callable, optional
        Called with the number of refits that are done, and of all.

    Returns
    -------
    Validation

    Raises
    ------
    TypeError
        If a model, cv or the table is none.
    ValueError
        If the table cannot be split like that, a model cannot be fitted to the whole table, or none to any split.

    Notes
    -----
    Every model is scored on all test rows, by `predict`, also outside the convex hull of its training rows. A model
    that cannot be fitted to some split, or predicts no positive number there, is left without means: no model is ever
    scored on fewer rows than another.

    Models with batched `refits` are fitted to all splits at once, from the fit to the whole table; the result is that
    of one fit after the other. Where a rule gives delta from the losses, every split has its own.

    Settings that were chosen by looking at the whole table have seen the test rows, and score better than they should.
    A search inside the model, such as ``GridSearchCV(AnovaKernelRidge(), ...)``, is repeated in every split.

    References
    ----------
    .. [1] arXiv:2601.10684.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.01)
    >>> tied = sf.LawRegressor(sf.Chinchilla, tied={"beta": "alpha"})
    >>> made = sf.validate({"2D": sf.Chinchilla, "tied": tied}, runs, cv=sf.Extrapolation(flops=1e21))
    >>> made.to_frame()[["model", "train_rows", "test_rows", "outside"]]
      model  train_rows  test_rows  outside
    0    2D        33.0        3.0      3.0
    1  tied        33.0        3.0      3.0
    """
    named = named_models(models)
    chosen = columns_of(named, inputs)
    regressors = {name: as_regressor(model, table) for name, model in named.items()}
    frequencies = np.ones(len(table)) if weights is None else weight_column(table, weights)
    pairs, words = make_splits(table, cv, test_size=test_size, groups=groups, seed=seed)
    bases = [_base(name, model, table, chosen[name], weights) for name, model in regressors.items()]
    splits = tuple(_with_weight(pair, number, frequencies) for number, pair in enumerate(pairs))
    parts, total = [], len(named) * len(splits)
    for place, (name, base) in enumerate(zip(named, bases, strict=True)):
        scored = _scores(base, splits, frequencies, _step(progress, place * len(splits), total))
        parts.append(pd.DataFrame({"model": name, "split": np.arange(len(splits)), **scored}))
    scores = pd.concat(parts, ignore_index=True)
    if (scores["failure"] != "").all():
        raise ValueError(f"no model could be scored on any of {len(splits)} splits; the first: {scores['failure'][0]}")
    return Validation(tuple(named), splits, words, len(table), scores)


def named_models(models: Any) -> dict[str, Model]:
    """Models by name: that of a law or of a type, numbered where several share it.

    Examples
    --------
    >>> from scalefit.laws import Exponential, PowerLaw
    >>> list(named_models([PowerLaw, Exponential]))
    ['PowerLaw', 'Exponential']
    """
    if isinstance(models, Mapping):
        named = dict(models)
        for name in named:
            if not isinstance(name, str) or not name.strip():
                raise TypeError(f"models are named by texts, not by {name!r}.")
    else:
        given = list(models) if isinstance(models, list | tuple) else [models]
        types = [getattr(model, "__name__", type(getattr(model, "regressor", model)).__name__) for model in given]
        for place, model in enumerate(given):
            if any(model is other for other in given[:place]):
                raise ValueError(f"{types[place]} is given twice; its scores would be the same.")
        numbers = [f" {types[: place + 1].count(name)}" * (types.count(name) > 1) for place, name in enumerate(types)]
        named = {name + number: model for name, number, model in zip(types, numbers, given, strict=True)}
    if not named:
        raise ValueError("there are no models to score; give at least one, such as sf.Chinchilla.")
    return named


def columns_of(named: Mapping[str, Model], inputs: Any) -> dict[str, Inputs]:
    """Columns that each model takes.

    Examples
    --------
    >>> columns_of({"one": None, "other": None}, {"one": "params"})
    {'one': 'params', 'other': None}
    """
    if not isinstance(inputs, Mapping):
        return dict.fromkeys(named, inputs)
    for name in inputs:
        if name not in named:
            raise ValueError(f"inputs has the columns of {name!r}, but the models are {', '.join(named)}.")
    return {name: inputs.get(name) for name in named}


def _base(name: str, model: Model, table: LossTable, inputs: Inputs, weights: str | None) -> Fit:
    """Fit to the whole table."""
    try:
        return fit(model, table, inputs=inputs, weights=weights)
    except ValueError as error:
        raise ValueError(f"{name} cannot be fitted to the whole table: {error}") from error


def _with_weight(split: Split, number: int, frequencies: Floats) -> Split:
    """The rows of a split that carry weight."""
    train, test = (rows[frequencies[rows] > 0] for rows in split)
    for name, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise ValueError(f"the {name} rows of split {number} have no weight. Give every split rows that count.")
    return train, test


def _step(progress: Progress | None, before: int, total: int) -> Progress:
    """Progress of one model, as a share of all."""

    def report(done: int, _: int) -> None:
        if progress is not None:
            progress(before + done, total)

    return report


def _scores(base: Fit, splits: Sequence[Split], frequencies: Floats, progress: Progress) -> dict[str, Any]:
    """Columns of `Validation.scores` for one model, a value per split."""
    n, loss = len(base.table), base.table.loss
    train, test = (np.array([np.isin(np.arange(n), split[side]) for split in splits]) for side in (0, 1))
    made = _refits(base, train * frequencies, progress)
    predicted = made.predict(_points(base))
    bad = ~(np.isfinite(predicted) & (predicted > 0)) & (train | test)
    failure = [_failure(base, made.failed[s], train[s] * frequencies, bad[s], predicted[s]) for s in range(len(splits))]
    scores: dict[str, Any] = {
        "train_rows": train.sum(axis=1),
        "test_rows": test.sum(axis=1),
        "outside": [_outside(base, *split) for split in splits],
        "twins": [_twins(base, *split) for split in splits],
    }
    safe = np.where(bad | ~(train | test), loss, predicted)
    with np.errstate(over="ignore"):
        errors = {"mse": (loss - safe) ** 2, "log_mse": np.log(loss / safe) ** 2}
    for name, squares in errors.items():
        for side, rows in (("train", train), ("test", test)):
            means = np.average(np.where(rows, squares, 0.0), axis=1, weights=rows * frequencies)
            scores[f"{side}_{name}"] = np.where([words == "" for words in failure], means, np.nan)
    return {**scores, "failure": failure}


def _points(base: Fit) -> Floats:
    """(n, k) inputs of a model at the rows of the table."""
    return np.stack([base.table[name] for name in base.inputs], axis=1).astype(float)


def _refits(base: Fit, W: Floats, progress: Progress) -> Refits:
    """Fits to the rows of each split, as a batch unless something of the whole table would enter them."""
    X, loss = _points(base), base.table.loss
    if not (base.has_law and base.protocol["delta_rule"]):
        return refits(base.model, X, loss[None], W, progress)
    models: list[Any] = []
    for weights in W:  # a batch keeps the delta that the rule gave for all rows, the tested ones among them
        try:
            models.append(clone(base.model).fit(X, loss, sample_weight=weights))
        except ValueError:
            models.append(None)
        progress(len(models), len(W))
    return Loop(models)


def _failure(base: Fit, failed: bool, weights: Floats, bad: Bools, predicted: Floats) -> str:
    """Why a model has no scores in a split; nothing if it has."""
    if failed:
        try:
            clone(base.model).fit(_points(base), base.table.loss, sample_weight=weights)
        except ValueError as error:
            return str(error)
    if not bad.any():
        return ""
    row = int(np.argmax(bad))
    where = where_in(base.table, base.inputs, row)
    return f"it predicts {predicted[row]:.4g} at {where}, which is no loss ({int(bad.sum())} such rows)"


def _twins(base: Fit, train: NDArray[np.intp], test: NDArray[np.intp]) -> int:
    """Test rows whose inputs are those of a training row, to 1e-9."""
    points = np.unique(np.round(np.log(_points(base)), 9), axis=0, return_inverse=True)[1].ravel()
    return int(np.sum(np.isin(points[test], points[train])))


def _outside(base: Fit, train: NDArray[np.intp], test: NDArray[np.intp]) -> int:
    """Test rows outside the convex hull of the training rows."""
    logs = np.log(_points(base))
    return int(np.sum(~hull_of(logs[train]).contains(logs[test])))
