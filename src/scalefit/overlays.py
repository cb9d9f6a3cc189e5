"""Laws that a picture lays beside a fit: their names, their losses where the runs are, their best models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import laws
from .costs import Cost, spend
from .flops import six_nd
from .formula import Law
from .optima import Quantity
from .remarks import VARIES
from .result import Fit

Floats = NDArray[np.float64]
Beside: TypeAlias = Law | Fit | Mapping[str, Law | Fit]

STEPS, ZOOMS = 100, 8  # of the search for a best model: each zoom is 50 times finer
SAME_SIZE = 1.05  # ratio of params within which runs are of one size, for a picture


def named_laws(beside: Beside | None) -> dict[str, Law | Fit]:
    """Laws, or other fits, by name: published ones by that of their authors.

    Parameters
    ----------
    beside : Law, Fit, or mapping of str to these, optional

    Raises
    ------
    TypeError
        If something is neither.

    Examples
    --------
    >>> list(named_laws(laws.HOFFMANN_2022)), list(named_laws({"ours": laws.PowerLaw(1.7, 400.0, 0.3)}))
    (['Hoffmann 2022'], ['ours'])
    """
    if beside is None:
        return {}
    several = dict(beside) if isinstance(beside, Mapping) else {_name(beside): beside}
    for name, law in several.items():
        if not isinstance(law, Law | Fit):
            asked = law.__name__ if isinstance(law, type) else type(law).__name__
            raise TypeError(
                f"{name!r} must be a law with its numbers, such as HOFFMANN_2022, or a Fit, not {asked}: a law without "
                "numbers is fitted first, fit(law, table)."
            )
    return several


def _name(law: Any) -> str:
    published = {value: name for name, value in vars(laws).items() if isinstance(value, Law)}
    if isinstance(law, Law):
        return published[law].replace("_", " ").capitalize() if law in published else type(law).__name__
    return law.formula if isinstance(law, Fit) else "beside"


def losses(law: Law | Fit, columns: Mapping[str, Any], *, only: str) -> Floats:
    """Losses of a law at columns by name; a law of one unnamed column takes the column `only`.

    Raises
    ------
    ValueError
        If a column that the law takes is not there.

    Examples
    --------
    >>> losses(laws.HOFFMANN_2022, {"params": [70e9], "tokens": [1.4e12]}, only="params").round(4).tolist()
    [1.9366]
    """
    names = law.inputs or (only,)
    missing = [name for name in names if name not in columns]
    if missing:
        raise ValueError(
            f"{_name(law)} takes {', '.join(names)}, and there is no {', '.join(missing)} here to lay it beside. "
            f"Choose a law of {', '.join(columns) or 'the columns of the table'}."
        )
    return np.asarray(law(*(np.asarray(columns[name], dtype=float) for name in names)), dtype=float)


def at_runs(law: Law | Fit, fit: Fit) -> Floats:
    """(n,) losses of a law at the runs of a fit.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e10]))
    >>> fit = sf.fit(sf.PowerLaw, runs, inputs="params")
    >>> bool((at_runs(sf.HOFFMANN_2022, fit) == runs.loss).all())
    True
    """
    taken = law.inputs or (fit.inputs[0],)
    return losses(law, {name: fit.table[name] for name in taken if name in fit.table}, only=fit.inputs[0])


def along(law: Law | Fit, fit: Fit, x: Floats) -> Floats | None:
    """Losses of a law at x, the only column of a fit, with its other inputs as in the runs; None where these vary.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e10]))
    >>> fit = sf.fit(sf.PowerLaw, runs, inputs="params")
    >>> along(sf.HOFFMANN_2022, fit, np.array([1e9])).round(3).tolist()
    [2.695]
    """
    at_runs(law, fit)  # tells which columns lack
    columns = {}
    for name in law.inputs or fit.inputs:
        values = fit.table[name]
        if name not in fit.inputs and values.max() > VARIES * values.min():
            return None
        columns[name] = x if name in fit.inputs else np.full_like(x, np.median(values))
    if not set(fit.inputs) <= set(columns):
        return None
    return losses(law, columns, only=fit.inputs[0])


def best_of(law: Law | Fit, flops: Floats, quantity: Quantity, cost: Cost = six_nd) -> Floats:
    """(m,) params, tokens, loss or tokens per parameter of a law's best model at each budget, by a search over params.

    Examples
    --------
    >>> (best_of(laws.HOFFMANN_2022, np.array([5.88e23]), "params") / 1e9).round(2).tolist()
    [32.49]
    """
    low, high = np.zeros(len(flops)), np.log(flops)
    least, most = low, high
    for _ in range(ZOOMS):
        x = np.clip(np.linspace(low, high, STEPS + 1, axis=1), least[:, None], most[:, None])
        tokens = spend(cost, flops[:, None], np.exp(x), "tokens")
        known = np.isfinite(tokens)
        columns = {"params": np.exp(x), "tokens": np.where(known, tokens, 1.0)}
        loss = losses(law, columns, only="flops")
        loss = np.where(known & np.isfinite(loss), loss, np.inf)
        best = np.argmin(loss, axis=1)[:, None]
        at, lowest = (np.take_along_axis(values, best, axis=1)[:, 0] for values in (x, loss))
        step = (high - low) / STEPS
        low, high = at - step, at + step
    params = np.where(np.isfinite(lowest), np.exp(at), np.nan)
    tokens = spend(cost, flops, params, "tokens")
    found: dict[Quantity, Floats] = {
        "params": params, "tokens": tokens, "loss": np.where(np.isfinite(lowest), lowest, np.nan),
        "tokens_per_param": tokens / params,
    }  # fmt: skip
    return found[quantity]


def sizes_of(fit: Fit, most: int) -> Floats:
    """Model sizes, at most so many from the smallest to the largest, that lines through a fit's runs are drawn for.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e10, 1e11]))
    >>> sizes_of(sf.fit(sf.Chinchilla, runs), 2).tolist()
    [100000000.0, 10000000000.0]
    """
    sizes = np.unique(fit.table["params"])
    apart = np.insert(np.diff(np.log(sizes)) > np.log(SAME_SIZE), 0, True)
    sizes = sizes[apart]
    chosen: Floats = sizes[np.unique(np.linspace(0, len(sizes) - 1, min(len(sizes), most)).round().astype(int))]
    return chosen


def tokens_at(fit: Fit, params: float) -> tuple[float, float]:
    """Least and most tokens at a model size within the runs: those of its own runs, and of the hull of all.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e10, 1e11]))
    >>> low, high = tokens_at(sf.fit(sf.Chinchilla, runs), 3e9)
    >>> f"{low:.3g} {high:.3g}"
    '1e+10 1e+11'
    """
    tokens = fit.table["tokens"]
    near = tokens[np.abs(np.log(fit.table["params"] / params)) <= np.log(SAME_SIZE)]
    tried = np.geomspace(tokens.min(), tokens.max(), 2000)
    columns = {"params": np.full_like(tried, params), "tokens": tried}
    within = tried[fit.hull.contains(np.log(np.stack([columns[name] for name in fit.inputs], axis=1)))]
    found = np.concatenate([near, within])
    return float(found.min()), float(found.max())
