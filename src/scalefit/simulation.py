"""Tables made from a law: for tests, for trying things out, and to see what a design can determine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .columns import INPUTS
from .flops import six_nd
from .laws import Law
from .table import LossTable


def grid(**columns: ArrayLike) -> pd.DataFrame:
    """Every combination of the values of the columns, one row each, for `simulate`.

    Examples
    --------
    >>> grid(params=[1e8, 1e9], tokens=[1e10, 2e10])
             params        tokens
    0  1.000000e+08  1.000000e+10
    1  1.000000e+08  2.000000e+10
    2  1.000000e+09  1.000000e+10
    3  1.000000e+09  2.000000e+10
    """
    arrays = [np.atleast_1d(np.asarray(values, dtype=float)) for values in columns.values()]
    mesh = np.meshgrid(*arrays, indexing="ij")
    return pd.DataFrame({name: axis.ravel() for name, axis in zip(columns, mesh, strict=True)})


def simulate(
    law: Law, design: LossTable | pd.DataFrame, *, noise: float = 0.0, outliers: float = 0.0, seed: int = 0
) -> LossTable:
    """Table of runs whose losses follow a law, with noise and outliers.

    Parameters
    ----------
    law : Law
        With its numbers in; a law of one column takes the design's only input.
    design : LossTable or DataFrame
        The inputs; `grid` makes one. Other columns are carried along, a loss is replaced.
    noise : float
        Standard deviation of the Gaussian noise of the log loss: about the relative error of a loss.
    outliers : float
        Share of the rows, from 0 to 1, whose log loss is too high by 10 noises or 0.1, whichever is more: runs that
        diverged or were undertuned.
    seed : int

    Returns
    -------
    LossTable
        With the columns of the design, `flops` = 6ND where it has params and tokens, and a boolean column `outlier`.

    Raises
    ------
    TypeError
        If the law is a class, without its numbers.
    ValueError
        If the design lacks an input of the law, or an option is out of range.

    Examples
    --------
    >>> from scalefit.laws import HOFFMANN_2022
    >>> runs = simulate(HOFFMANN_2022, grid(params=[1e8, 1e9], tokens=[1e10]), noise=0.01)
    >>> runs.loss.round(4).tolist()
    [3.1192, 2.6913]
    """
    if not isinstance(law, Law):
        raise TypeError(
            f"simulate needs a law with its numbers in, such as PowerLaw(E=2, A=30, alpha=0.25), not {law!r}."
        )
    if seed < 0:
        raise ValueError(f"seed is a whole number, at least 0, not {seed!r}.")
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise is a standard deviation of log losses, at least 0, not {noise!r}.")
    if not 0 <= outliers <= 1:
        raise ValueError(f"outliers is a share of the rows from 0 to 1, not {outliers!r}.")
    frame = design.to_frame() if isinstance(design, LossTable) else design.reset_index(drop=True).copy()
    names = law.inputs or _only_input(law, frame)
    for name in names:
        if name not in frame:
            raise ValueError(f"the design has no column {name!r}; it has {', '.join(map(str, frame.columns))}.")
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):  # the table names what is not positive
        log_loss = np.log(law(*(frame[name].to_numpy(float) for name in names)))
    log_loss = log_loss + noise * rng.standard_normal(len(frame))
    hit = rng.permutation(len(frame)) < round(outliers * len(frame))
    frame["loss"] = np.exp(log_loss + hit * max(10 * noise, 0.1))
    frame["outlier"] = hit
    if {"params", "tokens"} <= set(frame) and "flops" not in frame:
        frame["flops"] = six_nd(frame["params"].to_numpy(), frame["tokens"].to_numpy())
    return LossTable.from_frame(frame)


def _only_input(law: Law, frame: Any) -> tuple[str, ...]:
    names = tuple(name for name in INPUTS if name in frame)
    if len(names) != 1:
        raise ValueError(
            f"{type(law).__name__} takes one column and the design has {', '.join(names) or 'none of ' + str(INPUTS)}; "
            "keep just one of params, tokens and flops."
        )
    return names
