"""Local slopes of a loss above its offset: constant along a power law, whatever the window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from .table import LossTable

Floats = NDArray[np.float64]

# Our choices: about so many points, since neighbours that are close tell noise; what is less than so many standard
# errors above the offset has no slope; slopes change if by this factor, and by so many standard errors.
POINTS, ABOVE, CHANGE, SURE = 8, 3.0, 2.0, 4.0
# Noise, where no seeds tell it, is at most this share of the loss, our choice: seeds differ by less in every sweep that
# ships, and the misfit of a wrong law is no noise. A cubic tells it too, from so many values of x.
MOST_NOISE, CUBIC, LEAST_CUBIC = 0.02, 3, 7
LEAST_VALUES = 4  # of x, from which on a law should show in more than two of them, our choice
STEADY = 2.0  # degrees of freedom of the typical noise beside that of a few seeds, our choice
COLUMNS = ("low", "high", "slope", "se")


def local_slopes(x: ArrayLike, loss: ArrayLike, *, offset: float, noise: ArrayLike = 0.0) -> pd.DataFrame:
    """Slopes -d ln(loss - offset) / d ln x between neighbouring values of x.

    Values of x that lie closer than a ninth of the range of ln x are taken together, and the mean loss of each such
    part. A part less than three standard errors above the offset is left out.

    Parameters
    ----------
    x, loss : (n,) array
        x positive; loss in nats per token.
    offset : float, nats per token
        E of a fitted law, or a floor that is known.
    noise : float or (n,) array, nats per token
        Standard deviation of each loss.

    Returns
    -------
    DataFrame
        A row per slope: `low` and `high`, the geometric means of x between which it lies, `slope`, and `se`, its
        standard error if the offset is right.

    Raises
    ------
    ValueError
        If x and loss are not of one length, an x not positive, or a loss not finite.

    Examples
    --------
    >>> local_slopes([1e6, 2e6, 4e6], [3.0, 2.5, 2.25], offset=2.0)[["low", "high", "slope"]]
             low       high  slope
    0  1000000.0  2000000.0    1.0
    1  2000000.0  4000000.0    1.0
    """
    values, losses = np.asarray(x, dtype=float), np.asarray(loss, dtype=float)
    if values.shape != losses.shape or values.ndim != 1:
        raise ValueError(
            f"x and loss must be two lists of one length, not of the shapes {values.shape}, {losses.shape}."
        )
    bad = np.flatnonzero(~((values > 0) & np.isfinite(values) & np.isfinite(losses)))
    if len(bad):
        at = bad[0]
        raise ValueError(
            f"x must be positive and finite, and loss finite, but number {at + 1} is x = {values[at]:g}, "
            f"loss = {losses[at]:g} ({len(bad)} of {len(values)} such)."
        )
    if not len(losses):
        return pd.DataFrame(columns=list(COLUMNS), dtype=float)
    log_x = np.log(values)
    variances = np.broadcast_to(np.asarray(noise, dtype=float) ** 2, losses.shape)
    parts = pd.DataFrame({"x": log_x, "loss": losses, "variance": variances}).groupby(_parts(log_x))
    means, counts = parts.mean(), parts.size()
    above = means["loss"].to_numpy() - offset
    se = np.sqrt((means["variance"] / counts).to_numpy())
    kept = (above > ABOVE * se) & (above > 0)
    at, height, error = means["x"].to_numpy()[kept], above[kept], (se / np.where(kept, above, 1.0))[kept]
    width = np.diff(at)
    found = (
        np.exp(at[:-1]),
        np.exp(at[1:]),
        0.0 - np.diff(np.log(height)) / width,
        np.hypot(error[:-1], error[1:]) / width,
    )
    return pd.DataFrame(dict(zip(COLUMNS, found, strict=True)))


def slopes_along(
    column: str, table: LossTable, law: Callable[[Floats], Floats], *, offset: float, parameters: int
) -> pd.DataFrame:
    """Local slopes of a table's loss above the offset of a law that was fitted to it, with that many free parameters.

    Examples
    --------
    >>> runs = LossTable.from_frame(pd.DataFrame({"params": [1e6, 2e6, 4e6], "loss": [3.0, 2.5, 2.25]}))
    >>> slopes_along("params", runs, lambda x: 2 + 1e6 / x, offset=2.0, parameters=3)["slope"].round(6).tolist()
    [1.0, 1.0]
    """
    noise = noise_of(table, column, table.loss - law(table[column]), parameters=parameters)
    return local_slopes(table[column], table.loss, offset=offset, noise=noise)


def slopes_change(slopes: pd.DataFrame) -> bool:
    """Whether local slopes differ by more than a factor of two, and by more than their errors explain.

    Examples
    --------
    >>> slopes_change(local_slopes([1, 2, 4], [2.0, 1.5, 1.05], offset=1.0))
    True
    """
    slope, se = slopes["slope"].to_numpy(), slopes["se"].to_numpy()
    if len(slope) < 2:
        return False
    apart = slope[:, None] - slope[None, :]
    sure = apart > SURE * np.hypot(se[:, None], se[None, :])
    return bool(np.any(sure & (slope[:, None] > CHANGE * slope[None, :])))


def _parts(log_x: Floats) -> NDArray[np.intp]:
    """Number of the part that each value belongs to: a part ends where the next value is too far from its first."""
    values, index = np.unique(log_x, return_inverse=True)
    reach = (values[-1] - values[0]) / (POINTS + 1)
    part = np.zeros(len(values), dtype=np.intp)
    first = values[0]
    for i, value in enumerate(values[1:], 1):
        far = value - first > reach
        first = value if far else first
        part[i] = part[i - 1] + far
    return part[index]


def noise_of(table: LossTable, column: str, residuals: Floats, *, parameters: int) -> Floats:
    """Standard deviation of each loss, (n,) nats per token, by the best that a table has to tell it.

    Seeds: `loss_sd` of means, or rows that share all inputs; the variance of a few is steadied by the median of all.
    Else the residuals of a law, or those of a cubic in ln x where they are smaller; at most 2 % of the median loss.

    Examples
    --------
    >>> runs = LossTable.from_frame(pd.DataFrame({"params": [1e6, 1e6, 2e6], "loss": [3.0, 3.1, 2.0]}))
    >>> noise_of(runs, "params", np.zeros(3), parameters=1).round(3).tolist()
    [0.095, 0.095, 0.105]
    """
    if {"loss_sd", "replicates"} <= set(table.columns):
        seeds = pd.DataFrame({"variance": table["loss_sd"] ** 2, "count": table["replicates"]})
        repeats = seeds["count"].to_numpy(dtype=float)
    else:
        columns = {name: table[name] for name in (*table.inputs, "loss")}
        groups = pd.DataFrame(columns).groupby(list(table.inputs))["loss"]
        seeds = pd.DataFrame({"variance": groups.transform("var"), "count": groups.transform("size")})
        repeats = np.ones(len(table))
    if (seeds["count"] > 1).any():
        return np.asarray(np.sqrt(_steadied(seeds) / repeats))
    found = [_rms(residuals, parameters), MOST_NOISE * float(np.median(table.loss))]
    if len(np.unique(table[column])) >= LEAST_CUBIC:
        log_x = np.log(table[column])
        curve = np.polynomial.Polynomial.fit(log_x, table.loss, CUBIC)
        found.append(_rms(table.loss - curve(log_x), CUBIC + 1))
    return np.full(len(table), min(found))


def _steadied(seeds: pd.DataFrame) -> Floats:
    """(n,) variances of a run: its own, and the median of all for two degrees of freedom."""
    spare = np.maximum(seeds["count"].to_numpy(dtype=float) - 1, 0.0)
    own = np.where(spare > 0, seeds["variance"].to_numpy(dtype=float), 0.0)
    some = spare > 0
    typical = np.median(own[some] * spare[some] / chi2.ppf(0.5, spare[some]))  # the median of a variance is too small
    return np.asarray((spare * own + STEADY * typical) / (spare + STEADY))


def told(slopes: pd.DataFrame) -> list[str]:
    """A line of slopes from the smallest x to the largest; none if there are none.

    Examples
    --------
    >>> told(local_slopes([1e6, 2e6, 4e6], [3.0, 2.5, 2.25], offset=2.0))
    ['local slopes 1, 1']
    """
    return ["local slopes " + ", ".join(f"{slope:.3g}" for slope in slopes["slope"])] if len(slopes) else []


def range_of(slopes: pd.DataFrame) -> dict[str, float]:
    """Smallest and largest slope; nan if there are none.

    Examples
    --------
    >>> range_of(local_slopes([1, 2], [2.0, 1.5], offset=1.0))
    {'slope_low': 1.0, 'slope_high': 1.0}
    """
    return {"slope_low": float(slopes["slope"].min()), "slope_high": float(slopes["slope"].max())}


def remark_on(slopes: pd.DataFrame, column: str, exponent: str, *, values: int) -> tuple[str, ...]:
    """A sentence where an exponent is that of the window: local slopes change, or few values of x are above E."""
    if slopes_change(slopes):
        return (
            f"local slopes of loss - E go from {slopes['slope'].min():.2g} to {slopes['slope'].max():.2g} along "
            f"{column}: no one power fits, and {exponent} is that of the window. Fit the rows on one side of the "
            "change, and see what windows() says.",
        )
    if len(slopes) < 2 and values >= LEAST_VALUES:
        return (
            f"at most two of {values} values of {column} lie above E by more than noise: {exponent} is that of the "
            "step between them, or of nothing. Fit the rows on one side of it, or fix E where it is known.",
        )
    return ()


def _rms(residuals: Floats, parameters: int) -> float:
    return float(np.sqrt(np.sum(residuals**2) / max(len(residuals) - parameters, 1)))
