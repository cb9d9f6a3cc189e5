"""The verb `noise_floor`: what seeds alone do to the loss, whether a fit is off by more, and the delta that suits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import chi2, spearmanr

from .columns import INPUTS
from .replicated import REMEDY, LackOfFit, Replicated, averaged, lack_of_fit, pooled, replicated, robust, settings
from .replicates import Progress
from .result import Fit
from .schemes import RTOL
from .selection import group_labels
from .table import LossTable

Floats = NDArray[np.float64]

LEVEL = 0.05  # of the test: below it a fit is not ok
HUBER = 1.345  # noises at which Huber's loss keeps 95 % of what normal errors tell
NARROW, WIDE = 0.5, 10.0  # noises below and above which delta is called narrow and wide; our choice
LEAST_GROUPS = 5  # below which no trend is looked for


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NoiseFloor:
    """What replicates say: the noise of a run, and of a fit whether it is off by more, and the delta that suits.

    Attributes
    ----------
    groups : DataFrame
        A row per group of replicates: inputs, `runs`, mean `loss`, sample standard deviations `loss_sd` and `log_sd`.
    log_sd, loss_sd : float
        Pooled standard deviation of the log loss (a relative error) and of the loss (nats per token).
    robust_log_sd, robust_loss_sd : float
        The same from the median over groups, which a few diverged runs do not move.
    spare : int
        Degrees of freedom: replicates minus groups.
    trend, trend_p : float
        Rank correlation of a group's variance of log loss with its loss, and its p-value; nan for under 5 groups.
    fit : Fit, optional
    lack : LackOfFit, optional
        Of a fit.
    per_row : float
        Runs that stand behind a row of the table: 1, or how many were averaged.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 4), seed=[0, 1])
    >>> floor = noise_floor(sf.simulate(sf.HOFFMANN_2022, design, noise=0.004))
    >>> floor.spare, round(floor.log_sd, 4)
    (24, 0.0027)
    """

    groups: pd.DataFrame
    log_sd: float
    loss_sd: float
    robust_log_sd: float
    robust_loss_sd: float
    spare: int
    trend: float
    trend_p: float
    fit: Fit | None = None
    lack: LackOfFit | None = None
    per_row: float = 1.0

    @property
    def ok(self) -> bool:
        """Whether no fit was tested, or none was found off by more than the noise (p at least 0.05)."""
        return self.lack is None or self.lack.p_value >= LEVEL

    @property
    def row_sd(self) -> float:
        """Robust standard deviation of a row of the fitted table, in the space of the objective."""
        space = "log" if self.fit is None else self.fit.objective.space
        return (self.robust_log_sd if space == "log" else self.robust_loss_sd) / float(np.sqrt(self.per_row))

    @property
    def suggested_delta(self) -> float:
        """Huber's delta for noise of this size, 1.345 standard deviations of a row [1]_; of log losses without a fit.

        References
        ----------
        .. [1] Huber 1964, Annals of Mathematical Statistics 35.
        """
        return HUBER * self.row_sd

    @property
    def delta_words(self) -> str:
        """How the delta of the fit compares with the noise."""
        if self.fit is None:
            return f"{self.suggested_delta:.3g} of log residuals would be {HUBER} noises"
        delta, space = float(self.fit.objective.delta), self.fit.objective.space
        width = delta / self.row_sd
        words = f"{delta:.3g} of {space} residuals is {width:.3g} noises"
        words = {0.0: "none, of absolute errors", np.inf: "none, of squared errors"}.get(delta, words)
        words += f"; {HUBER} noises are {self.suggested_delta:.3g}"
        if width < NARROW:
            return (
                f"{words}. That is narrow: nearly every run counts by its sign alone, and of normal noise the fit uses "
                f"{efficiency(width):.0%} of what the runs tell"
            )
        if width > WIDE:
            far = f"by up to {width:.3g} noises" if np.isfinite(delta) else "by any number of noises"
            return f"{words}. That is wide: a run that is off {far} is squared in full"
        return words

    def minimum_bias(self, count: int) -> float:
        """Nats by which the least of `count` runs that differ by normal noise is expected below their mean: negative.

        Examples
        --------
        >>> import scalefit as sf
        >>> design = sf.grid(params=[1e8, 1e9], seed=[0, 1])
        >>> floor = noise_floor(sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), design, noise=0.01))
        >>> round(floor.minimum_bias(2) / floor.robust_loss_sd, 4)
        -0.5642
        """
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"count must be a whole number of runs, at least 1, not {count!r}.")
        return -expected_maximum(int(count)) * self.robust_loss_sd

    @property
    def by_size(self) -> pd.DataFrame:
        """A row per value of the first input: groups, runs, degrees of freedom and pooled deviations."""
        name = self.groups.columns[0]
        labels = group_labels(self.groups[name].to_numpy(), RTOL)
        parts = [self.groups[labels == label] for label in range(labels.max() + 1)]
        rows = [{name: part[name].iloc[0], "groups": len(part), "runs": int(part["runs"].sum()),
                 "spare": int((part["runs"] - 1).sum()), "log_sd": pooled(part, "log_sd"),
                 "loss_sd": pooled(part, "loss_sd")} for part in parts]  # fmt: skip
        return pd.DataFrame(rows)

    def to_frame(self) -> pd.DataFrame:
        """A row per group of replicates."""
        return self.groups.copy()

    def to_dict(self) -> dict[str, Any]:
        """Numbers as plain values, nan as None."""
        names = ("log_sd", "loss_sd", "robust_log_sd", "robust_loss_sd", "spare", "trend", "trend_p", "suggested_delta")
        lack = None if self.lack is None else {name: _plain(value) for name, value in vars(self.lack).items()}
        sizes = [{name: _plain(value) for name, value in row.items()} for row in self.by_size.to_dict("records")]
        numbers = {name: _plain(getattr(self, name)) for name in names}
        return {"ok": self.ok, **numbers, "groups": len(self.groups), "lack_of_fit": lack, "by_size": sizes}

    def __repr__(self) -> str:
        lines = []
        if self.lack is not None:
            off = f"residuals scatter by {self.lack.scatter:.3g}, replicates by {self.lack.noise:.3g}"
            off += f" ({self.fit.objective.space})" if self.fit is not None else ""
            shared = [name for name in self.groups if name not in (*INPUTS, "runs", "loss", "loss_sd", "log_sd")]
            law = " or ".join(["the law is off by more", *(f"{name} moves the loss" for name in shared)])
            says = "replicates agree no better than chance" if self.ok else f"replicates agree: {law}"
            lines.append(f"{'ok     ' if self.ok else 'MISFIT '} p = {self.lack.p_value:.3g}, {says}; {off}")
        runs = int(self.groups["runs"].sum())
        lines.append(
            f"noise   {self.log_sd:.2%} of the loss (robust {self.robust_log_sd:.2%}), {self.loss_sd:.3g} nats (robust "
            f"{self.robust_loss_sd:.3g}); {self.spare} degrees of freedom, {runs} runs in {len(self.groups)} groups"
        )
        sizes = self.by_size
        if len(sizes) > 1:
            ends = [f"{row.log_sd:.2%} at {row.iloc[0]:.3g}" for _, row in sizes.iloc[[0, -1]].iterrows()]
            trend = (
                ""
                if np.isnan(self.trend)
                else f"; with the loss: rank correlation {self.trend:+.2f}, p = {self.trend_p:.2g}"
            )
            lines.append(f"size    {self.groups.columns[0]}: {' and '.join(ends)}{trend}")
        lines.append(f"delta   {self.delta_words}")
        most = int(self.groups["runs"].max())
        least = f"{expected_maximum(most):.2f} noises ({-self.minimum_bias(most):.2g} nats)"
        lines.append(f"minimum the least of {most} runs is expected {least} below their mean")
        return "\n".join(lines)


def noise_floor(
    fit: Fit | LossTable, *, by: str | Sequence[str] | None = "seed", same: str | Sequence[str] | None = None,
    replicates: int | str | None = None, resamples: int = 999, seed: int = 0, progress: Progress | None = None,
) -> NoiseFloor:  # fmt: skip
    """Noise of the loss from runs that differ by their seed alone, and whether a fit is off by more than that.

    Parameters
    ----------
    fit : Fit or LossTable
        Of a table, there is nothing to test.
    by : str, sequence of str or None
        Columns that tell replicates apart. None: rows that share their inputs and `same` are replicates as they are.
    same : str or sequence of str
        Columns that replicates share beside params and tokens (to 0.1 %; else flops), such as a learning rate. By
        default those whose values differ between rows of one seed and come back with the next seed.
    replicates : int or str, optional
        For a table whose rows are means, as of ``best(over="lr", mean="seed")``: the number of runs behind each
        `loss_sd`, or the column that has it; by default `replicates`, where there is one, unless it is 1 throughout,
        as of ``best(over="lr", by="seed")``, whose rows are runs.
    resamples : int
        Permutations of the test, from 19 to 100,000.
    seed : int
        Of the permutations.
    progress : callable, optional
        Called with the number of refits that are done, and of all.

    Returns
    -------
    NoiseFloor

    Raises
    ------
    TypeError
        If this is neither a fit nor a table.
    ValueError
        If there are no replicates, two rows share inputs and seed, or a column or number is unusable.

    Notes
    -----
    A fit that is off pulls replicates to the same side, so that their residuals agree. The statistic is the sum of
    squares of the ranks of the residuals about the mean of their group. To see what chance gives, the residuals are
    permuted over all runs and put back on the predictions, and the model is refitted, 999 times. So outliers and the
    parameters that were fitted count on both sides, and no distribution is assumed, but that all runs have one. The
    classic F test of lack of fit [1]_ assumes normal errors and least squares. Where delta is wide, diverged runs pull
    the fit off the others, and the test says so: look at the rows, or fit with the suggested delta.

    References
    ----------
    .. [1] Draper and Smith 1998, Applied Regression Analysis, section 2.1.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 4), seed=[0, 1])
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.004, seed=2)
    >>> noise_floor(sf.fit(sf.Chinchilla, runs), resamples=199).ok
    True
    >>> noise_floor(sf.fit(sf.PowerLaw, runs, inputs="params"), resamples=199).lack.p_value
    0.005
    """
    for name, value, low, high in (("resamples", resamples, 19, 100_000), ("seed", seed, 0, 2**63)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
    if isinstance(fit, Fit) and fit.weights is not None and np.any(fit.table[fit.weights] == 0):
        fit = replace(fit, table=fit.table.where(fit.table[fit.weights] > 0))
    table = fit.table if isinstance(fit, Fit) else fit
    if not isinstance(table, LossTable):
        raise TypeError(f"noise_floor needs a Fit or a LossTable, not {type(fit).__name__}.")
    if replicates is None and {"loss_sd", "replicates"} <= set(table.columns) and np.any(table["replicates"] != 1):
        replicates = "replicates"  # as `LossTable.best` leaves it, but for a table that keeps every seed
    runs = _runs(table, by, same, replicates)
    groups = runs.groups.reset_index(drop=True)
    sizes = {f"{how.__name__}_{name}": how(groups, name) for how in (pooled, robust) for name in ("log_sd", "loss_sd")}
    trend, chance = _trend(groups)
    floor = NoiseFloor(
        groups=groups, log_sd=sizes["pooled_log_sd"], loss_sd=sizes["pooled_loss_sd"],
        robust_log_sd=sizes["robust_log_sd"], robust_loss_sd=sizes["robust_loss_sd"],
        spare=int((groups["runs"] - 1).sum()), trend=trend, trend_p=chance, fit=fit if isinstance(fit, Fit) else None,
        per_row=1.0 if replicates is None else float(np.median(np.bincount(runs.row, minlength=len(table)))),
    )  # fmt: skip
    if not isinstance(fit, Fit):
        return floor
    noise = floor.robust_log_sd if fit.objective.space == "log" else floor.robust_loss_sd
    return replace(
        floor, lack=lack_of_fit(fit, runs, noise, resamples=int(resamples), seed=int(seed), progress=progress)
    )


def _runs(table: LossTable, by: Any, same: Any, replicates: Any) -> Replicated:
    """Runs of a table, as its columns have them."""
    if replicates is not None:
        return averaged(table, replicates)
    given = same
    by, same = ((names,) if isinstance(names, str) else tuple(names or ()) for names in (by, same))
    if "loss_sd" in table and not set(by) <= set(table.columns):
        raise ValueError(
            "the rows of this table are means or minima, and loss_sd does not say of how many runs. Pass replicates=3, "
            "or the column that says it."
        )
    for name in by:
        if name not in table:
            like = [column for column in table.columns if "seed" in column.lower()]
            remedy = (
                f"by={like[0]!r}" if like else "by=None if rows that share their inputs are replicates all the same"
            )
            raise ValueError(f"there is no column {name!r} among {', '.join(table.columns)}. Pass {remedy}. {REMEDY}")
    return replicated(table, by, settings(table, by) if given is None else same)


def _trend(groups: pd.DataFrame) -> tuple[float, float]:
    """Rank correlation of the variance of log loss with the loss over groups, each variance as a chance."""
    spare = groups["runs"].to_numpy() - 1.0
    variances = spare * (groups["log_sd"].to_numpy() / pooled(groups, "log_sd")) ** 2
    chances = np.asarray(chi2.cdf(variances, spare))
    if len(groups) < LEAST_GROUPS or np.ptp(chances) == 0 or np.ptp(groups["loss"]) == 0:
        return float("nan"), float("nan")
    found = spearmanr(chances, groups["loss"].to_numpy())
    return float(found.statistic), float(found.pvalue)


def expected_maximum(count: int) -> float:
    """Mean of the largest of `count` standard normal numbers.

    Examples
    --------
    >>> [round(expected_maximum(count), 4) for count in (2, 3, 5)]
    [0.5642, 0.8463, 1.163]
    """
    z = np.linspace(0.0, 10.0, 4001)
    return float(np.trapezoid(1 - ndtr(z) ** count - ndtr(-z) ** count, z))


def efficiency(width: float) -> float:
    """Share of what normal errors tell that Huber's loss keeps, delta being so many standard deviations [1]_.

    References
    ----------
    .. [1] Huber 1964, Annals of Mathematical Statistics 35: (2 Phi(c) - 1)^2 over the mean of psi^2.

    Examples
    --------
    >>> round(efficiency(1.345), 3), round(efficiency(0.0), 3)
    (0.95, 0.637)
    """
    if not 1e-3 < width < 30:  # the limits, to six digits
        return 2 / np.pi if width < 1 else 1.0
    inside = 2 * float(ndtr(width)) - 1
    density = float(np.exp(-(width**2) / 2) / np.sqrt(2 * np.pi))
    squares = inside - 2 * width * density + 2 * width**2 * float(ndtr(-width))
    return inside**2 / squares


def _plain(value: Any) -> Any:
    """Value as JSON has it: nan is null."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
