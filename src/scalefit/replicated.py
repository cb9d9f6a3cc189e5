"""Runs that differ by their seed alone: which they are, how much they differ, and whether a fit is off by more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2, norm, rankdata

from .objective import residuals, weighted_median
from .remarks import scatter
from .replicates import Progress, refits
from .result import Fit
from .schemes import RTOL
from .selection import group_labels
from .table import LossTable

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]

OFTEN = 0.6  # values of a setting per row at most, over groups of equal inputs: each comes back with another seed
MOST_CELLS = 100_000_000  # permutations times runs
REMEDY = "Train two seeds at a few sizes, such as the smallest, a middle and the largest, and give every run its seed."


@dataclass(frozen=True, kw_only=True)
class Replicated:
    """Runs in groups of replicates, a group of one among them.

    Attributes
    ----------
    loss : (m,) array, nats per token
        Of each run, sorted by what the runs hold, so that the order of the rows changes nothing.
    row : (m,) array of int
        Row of the table that a run belongs to: its own, or that of the mean it entered.
    group : (m,) array of int
    groups : DataFrame
        A row per group of at least two runs: inputs, `runs`, mean `loss`, `loss_sd` and `log_sd`.
    """

    loss: Floats
    row: Labels
    group: Labels
    groups: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class LackOfFit:
    """Test whether a fit is off by more than replicates differ.

    Attributes
    ----------
    p_value : float
        How often permuted residuals agree among replicates as well as these.
    scatter, noise, misfit : float
        Robust standard deviations, in the space of the objective: of runs about the fit, of replicates about each
        other, and what the square of the first leaves over that of the second.
    resamples, failed : int
        Permutations that count, and those whose refit failed.
    """

    p_value: float
    scatter: float
    noise: float
    misfit: float
    resamples: int
    failed: int


def own_inputs(table: LossTable) -> list[str]:
    """Inputs that replicates share: params and tokens, which settle flops, else those there are."""
    return ["params", "tokens"] if {"params", "tokens"} <= set(table.inputs) else list(table.inputs)


def settings(table: LossTable, by: Sequence[str]) -> tuple[str, ...]:
    """Columns that were swept: they differ between rows that share inputs and seed, and come back with other seeds.

    Examples
    --------
    >>> frame = pd.DataFrame({"params": [1e8] * 4, "lr": [1e-3, 1e-2] * 2, "seed": [0, 0, 1, 1]})
    >>> settings(LossTable.from_frame(frame.assign(loss=[3.1, 3.0, 3.2, 3.1])), ["seed"])
    ('lr',)
    """
    frame, names = table.to_frame(), own_inputs(table)
    if not by:
        return ()
    labels = pd.DataFrame({name: group_labels(table[name], RTOL) for name in names})
    cells = labels.groupby(names).ngroup().to_numpy()
    alone = pd.DataFrame({"cell": cells, **{name: frame[name] for name in by}}).groupby(["cell", *by])
    swept = []
    for name in frame.columns.difference([*table.inputs, "loss", *by], sort=False):
        values = frame[name].astype(str)
        differs = bool((values.groupby(alone.ngroup().to_numpy()).nunique() > 1).any())
        seen = values.groupby(cells).nunique()
        if differs and seen.sum() <= OFTEN * len(frame):
            swept.append(name)
    return tuple(swept)


def replicated(table: LossTable, by: Sequence[str] | None, same: Sequence[str]) -> Replicated:
    """Runs of a table with a row per run, in groups that share inputs and the columns `same`."""
    names, by = own_inputs(table), by or ()
    for name in (*by, *same):
        missing = np.flatnonzero(pd.isna(_column(table, name)))
        if len(missing):
            raise ValueError(
                f"{name} is missing in row {missing[0]} (counting from 0; {len(missing)} such rows of {len(table)}). "
                "Fill it in, or leave these rows out with where()."
            )
    labels = [group_labels(table[name], RTOL) for name in names] + [group_labels(table[name], 0.0) for name in same]
    found = np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)[1].ravel().astype(np.intp)
    if by:
        _check_seeds(table, found, by, same)
    order = np.lexsort((table.loss, found))
    loss, group = table.loss[order], found[order]
    frame = pd.DataFrame({**{name: table[name][order] for name in (*names, *same)}, "loss": loss, "log": np.log(loss)})
    grouped = frame.groupby(group)
    groups = grouped[[*names, *same]].first().assign(
        runs=grouped.size(), loss=grouped["loss"].mean(), loss_sd=grouped["loss"].std(), log_sd=grouped["log"].std()
    )  # fmt: skip
    return _checked(Replicated(loss=loss, row=order, group=group, groups=groups[groups["runs"] > 1]), table, by)


def averaged(table: LossTable, counts: int | str) -> Replicated:
    """Runs behind a table of means, as far as their number and `loss_sd` tell: placed like normal quantiles."""
    if any(note.startswith("best over") and ", mean over" not in note for note in table.notes):
        raise ValueError(
            "the losses of this table are minima, not means: best(..., mean='seed') keeps means. Or give noise_floor "
            "the table as it was before best."
        )
    if isinstance(counts, str):
        runs = np.asarray(_column(table, counts))
    elif isinstance(counts, bool) or not isinstance(counts, int | np.integer):
        raise TypeError(f"replicates must be a number of runs or the name of their column, not {counts!r}.")
    else:
        runs = np.full(len(table), counts)
    whole = runs.astype(float) if runs.dtype.kind in "iuf" else np.full(len(runs), np.nan)
    bad = np.flatnonzero(~(np.isfinite(whole) & (whole >= 1) & (whole == np.round(whole))))
    if len(bad):
        raise ValueError(f"replicates must be whole numbers from 1, but row {bad[0]} has {runs[bad[0]]!r} "
                         f"({len(bad)} such rows of {len(table)}).")  # fmt: skip
    runs, sd = whole.astype(int), np.asarray(_column(table, "loss_sd"), dtype=float)
    bad = np.flatnonzero((runs > 1) & ~(np.isfinite(sd) & (sd >= 0)))
    if len(bad):
        raise ValueError(f"loss_sd is {sd[bad[0]]} in row {bad[0]} (counting from 0), the mean of {runs[bad[0]]} runs "
                         f"({len(bad)} such rows). Correct replicates=, or leave these rows out.")  # fmt: skip
    names = own_inputs(table)
    order = np.lexsort((table.loss, *(table[name] for name in names)))
    parts = [table.loss[row] + (sd[row] * _quantiles(runs[row]) if runs[row] > 1 else np.zeros(1)) for row in order]
    shown = pd.DataFrame({**{name: table[name] for name in names}, "runs": runs, "loss": table.loss,
                          "loss_sd": sd, "log_sd": sd / table.loss}).iloc[order]  # fmt: skip
    made = Replicated(
        loss=np.concatenate(parts), row=np.repeat(order, runs[order]),
        group=np.repeat(np.arange(len(order)), runs[order]), groups=shown[shown["runs"] > 1],
    )  # fmt: skip
    return _checked(made, table, ())


def _quantiles(count: int) -> Floats:
    """(count,) normal quantiles with mean 0 and sample standard deviation 1."""
    z = norm.ppf((np.arange(count) + 0.5) / count)
    return np.asarray(z / z.std(ddof=1))


def _column(table: LossTable, name: str) -> NDArray[Any]:
    if not isinstance(name, str):
        raise TypeError(f"columns are named by texts, not by {name!r}.")
    return table[name]


def _check_seeds(table: LossTable, found: Labels, by: Sequence[str], same: Sequence[str]) -> None:
    """Two rows of one group and seed differ by something else, which must not count as noise."""
    frame = table.to_frame()
    seeds = frame.groupby(list(by)).ngroup().to_numpy()
    twice = pd.Series(list(zip(found, seeds, strict=True))).duplicated(keep=False).to_numpy()
    if not twice.any():
        return
    rows = np.flatnonzero((found == found[twice][0]) & (seeds == seeds[twice][0]) & twice)[:2]
    skipped = {"loss", *table.inputs, *by, *same}
    differ = [name for name in frame if name not in skipped and frame[name].iloc[rows[0]] != frame[name].iloc[rows[1]]]
    remedy = (
        f"They differ by {', '.join(map(str, differ))}: name those that are settings, as in same={differ[:1]!r}"
        if differ
        else ("Drop the copies, or pass by=None if they are replicates all the same")
    )
    raise ValueError(
        f"rows {rows[0]} and {rows[1]} (counting from 0) share their inputs and {', '.join(by)} ({twice.sum()} such "
        f"rows of {len(table)}). {remedy}."
    )


def _checked(made: Replicated, table: LossTable, by: Sequence[str]) -> Replicated:
    if not len(made.groups):
        differ = f" and differ by {', '.join(by)}" if by else ""
        raise ValueError(
            f"there are no replicates: no two of {len(table)} rows share {', '.join(own_inputs(table))} (to 0.1 %)"
            f"{differ}. {REMEDY}"
        )
    if not (made.groups["loss_sd"] > 0).any():
        raise ValueError(
            f"replicates have equal losses in all {len(made.groups)} groups: they are copies or share a seed. {REMEDY}"
        )
    return made


def pooled(groups: pd.DataFrame, name: str) -> float:
    """Pooled standard deviation of the groups."""
    spare = groups["runs"] - 1
    return float(np.sqrt(np.average(groups[name] ** 2, weights=spare)))


def robust(groups: pd.DataFrame, name: str) -> float:
    """Standard deviation whose chi-squared median the groups' variances have: a few odd groups do not move it."""
    spare = groups["runs"].to_numpy() - 1.0
    variances = groups[name].to_numpy() ** 2 * spare / chi2.median(spare)
    return float(np.sqrt(weighted_median(variances, spare)))


def lack_of_fit(
    fit: Fit, runs: Replicated, noise: float, *, resamples: int, seed: int, progress: Progress | None
) -> LackOfFit:
    """Permute the residuals over all runs, refit, and see how often replicates agree as well as these do."""
    m = len(runs.loss)
    if resamples * m > MOST_CELLS:
        raise ValueError(f"{resamples} permutations of {m} runs do not fit into memory: at most {MOST_CELLS // m}.")
    predicted = fit.predicted[runs.row]
    own = residuals(fit.objective, runs.loss, predicted)
    drawn = np.random.default_rng(seed).permuted(np.tile(own, (resamples, 1)), axis=1)
    losses = predicted * np.exp(drawn) if fit.objective.space == "log" else predicted + drawn
    starts = np.flatnonzero(np.append(True, np.diff(runs.row) != 0))  # of the runs behind each row
    means = np.empty((resamples, len(fit.table)))
    means[:, runs.row[starts]] = np.add.reduceat(losses, starts, axis=1) / np.diff(np.append(starts, m))
    X = np.stack([fit.table[name] for name in fit.inputs], axis=1)
    weights = None if fit.weights is None else np.asarray(fit.table[fit.weights], dtype=float)[None]
    made = refits(fit.model, X, means, weights, progress)
    again = made.predict(X)[:, runs.row]
    good = np.all(np.isfinite(again) & (again > 0), axis=1) & ~made.failed
    by_chance = _disagreement(residuals(fit.objective, losses[good], again[good]), runs.group)
    seen = _disagreement(own[None], runs.group)[0]
    total = scatter(own)
    return LackOfFit(
        p_value=float((1 + np.sum(by_chance <= seen * (1 + 1e-12))) / (1 + len(by_chance))),
        scatter=total, noise=noise, misfit=float(np.sqrt(max(total**2 - noise**2, 0.0))),
        resamples=int(good.sum()), failed=int(np.sum(~good)),
    )  # fmt: skip


def _disagreement(errors: Floats, group: Labels) -> Floats:
    """(B,) sums of squares of the ranks of residuals, (B, m), about the means of their groups."""
    ranks = rankdata(errors, axis=1)
    counts = np.bincount(group)
    sums = np.stack([np.bincount(group, weights=row, minlength=len(counts)) for row in ranks])
    return np.asarray(np.sum(ranks**2, axis=1) - np.sum(sums**2 / np.maximum(counts, 1), axis=1))
