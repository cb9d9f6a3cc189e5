"""Approaches 1 and 2 to the best model at each budget: the envelope of all runs, and a parabola at each budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrays import weight_column
from .flops import six_nd, tokens_for
from .frontier import Frontier
from .selection import group_labels
from .table import LossTable
from .valleys import SAME, Valley, valley

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

SHAPES = {2: "parabola", 3: "cubic"}
PLACES = 6  # decimals of log params: sizes that agree to one part in a million are one size
NEAR = 2.0  # ours: runs that cost up to so many times more, or less, say whether a size on the envelope is bracketed


@dataclass(frozen=True, eq=False)
class _Runs:
    """Columns of (n,) runs; `excess` is log(flops / 6ND), zero where the table has no tokens."""

    log_params: Floats
    flops: Floats
    loss: Floats
    excess: Floats
    weight: Floats

    def at(self, rows: Rows) -> _Runs:
        return _Runs(self.log_params[rows], self.flops[rows], self.loss[rows], self.excess[rows], self.weight[rows])


@dataclass(frozen=True)
class _Optimum:
    """Optimum at one budget; the numbers are nan where there is none, and `why` says what is wrong."""

    log_params: float = np.nan
    log_tokens: float = np.nan
    loss: float = np.nan
    at_edge: bool = False
    valley: Valley | None = None
    why: str = ""


def isoflop(
    table: LossTable,
    *,
    budgets: Sequence[float] | None = None,
    rtol: float = 0.05,
    degree: int = 2,
    within: float = 5.0,
    weights: str | None = None,
    min_rows: int | None = None,
    deviations: bool = False,
) -> Frontier:
    """Best model at each budget by a parabola of the loss in log params: approach 2 of [1]_.

    A parabola only approximates the valley, so sizes have a bias that grows with the range of the runs. While the
    runs lie alike around the true optima the exponents have none; where their centre drifts with the budget, they do.

    Parameters
    ----------
    table : LossTable
        With params and flops; without tokens, they are C / (6N).
    budgets : sequence of float, FLOPs, optional
        Nominal budgets; each run goes to the nearest. Runs of (nearly) equal flops make a budget if None.
    rtol : float
        Largest share by which flops differ from a nominal budget, or grow within one that is found.
    degree : {2, 3}
        Parabola or cubic.
    within : float
        Runs count whose params are within this factor of those of the lowest loss, and the next nearest where these
        are too few; `math.inf` for all.
    weights : str, optional
        Column of frequencies.
    min_rows : int, optional
        Fewest runs that count at a budget; degree + 2 by default, one to spare.
    deviations : bool
        Whether the frontier gets the standard deviations of log params, so that `exponents` weighs the budgets.

    Returns
    -------
    Frontier
        `params` is the minimum, `loss` the polynomial there. `at_edge` where the minimum is beyond the runs (`params`
        is then the end of the runs) or the lowest loss is that of the smallest or largest run; nan where the
        polynomial has no minimum. `tokens` by the runs' own accounting: C / (6N) times what 6ND is of their flops,
        interpolated between sizes in logarithms. The notes have a line for each budget that is not bracketed.

    Raises
    ------
    ValueError
        If a column is absent, an option is out of range, a nominal budget has no run, or no budget has an optimum.

    Notes
    -----
    `rtol`, `within` and `min_rows` are not from the paper (values unknown). Far from the optimum losses are no
    parabola: in the 15 experiments of [2]_, whose runs span up to two decades of params, the exponent of params is at
    most 0.073 from the published one with all runs, and at most 0.030, 0.030, 0.029, 0.029 and 0.033 within factors
    3, 4, 5, 6 and 8. The default was chosen on these.

    Deviations are by the delta method, from one scatter of all budgets: one budget alone seldom has enough runs to
    spare. Scatter and misfit count alike. They are no default, since with them the exponents of [2]_ are met less
    well (0.039 instead of 0.029).

    References
    ----------
    .. [1] Hoffmann et al. 2022, arXiv:2203.15556, section 3.2.
    .. [2] Porian et al. 2024, arXiv:2406.19146.

    Examples
    --------
    >>> import pandas as pd
    >>> import scalefit as sf
    >>> flops, params = (axis.ravel() for axis in np.meshgrid([1e18, 1e19], np.geomspace(3e7, 3e9, 15)))
    >>> design = pd.DataFrame({"params": params, "tokens": tokens_for(flops, params), "flops": flops})
    >>> isoflop(sf.simulate(sf.HOFFMANN_2022, design)).params.round(-6).tolist()
    [81000000.0, 231000000.0]
    """
    needed = _checked(rtol, degree, within, min_rows)
    runs, notes = _runs(table, weights)
    if budgets is None:
        values, groups = _found(runs, rtol, needed, notes)
    else:
        values, groups = _nominal(runs, np.asarray(budgets, dtype=float), rtol, notes)
    optima = [
        _optimum(runs.at(rows), value, degree, within, needed) for value, rows in zip(values, groups, strict=True)
    ]
    notes += [f"budget {value:.4g}: {one.why}" for value, one in zip(values, optima, strict=True) if one.why]
    params, tokens = (np.exp([getattr(one, name) for one in optima]) for name in ("log_params", "log_tokens"))
    if not np.isfinite(params).any():
        raise ValueError(f"no budget of {len(values)} has an optimum. The first, {notes[-len(values)]}.")
    sd = _deviations(optima, notes) if deviations else None
    return Frontier(
        flops=values, params=params, tokens=tokens, loss=np.array([one.loss for one in optima]),
        at_edge=np.array([one.at_edge for one in optima]), notes=tuple(notes), sd=sd,
        source=f"isoFLOP {SHAPES[degree]} at each of {len(values)} budgets",
    )  # fmt: skip


def _checked(rtol: float, degree: int, within: float, min_rows: int | None) -> int:
    """Fewest runs of a budget."""
    if degree not in SHAPES:
        raise ValueError(f"degree is 2 (parabola) or 3 (cubic), not {degree!r}.")
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol is a share of a budget, at least 0 and below 1, not {rtol!r}. The default is 0.05.")
    if not within > 1:
        raise ValueError(f"within is a factor of params above 1, not {within!r}; math.inf takes all runs.")
    if min_rows is None:
        return degree + 2
    if min_rows <= degree:
        raise ValueError(f"min_rows is at least {degree + 1}, the coefficients of a {SHAPES[degree]}, not {min_rows}.")
    return min_rows


def _runs(table: LossTable, weights: str | None) -> tuple[_Runs, list[str]]:
    params, flops, notes = table.params, table.flops, []
    weight = np.ones(len(table)) if weights is None else weight_column(table, weights)
    if "tokens" in table:
        excess = np.log(flops) - np.log(six_nd(params, table.tokens))
    else:
        excess = np.zeros(len(table))
        notes.append("tokens are C / (6N): the table has none")
    return _Runs(np.log(params), flops, table.loss, excess, weight).at(np.flatnonzero(weight > 0)), notes


def _found(runs: _Runs, rtol: float, needed: int, notes: list[str]) -> tuple[Floats, list[Rows]]:
    """Budgets at which enough runs agree, and their rows."""
    labels = group_labels(runs.flops, rtol)
    groups = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    large = [rows for rows in groups if runs.weight[rows].sum() >= needed]
    if not large:
        raise ValueError(
            f"no budget has {needed} runs: of {len(groups)} groups of flops within {rtol:g} the largest has "
            f"{max(map(len, groups))}. Name the budgets and a larger rtol; or this table has no runs at fixed flops: "
            "fit a law in params and tokens and use compute_optimal."
        )
    if len(large) < len(groups):
        left_out = sum(len(rows) for rows in groups) - sum(len(rows) for rows in large)
        notes.append(f"{left_out} of {len(runs.loss)} runs left out: fewer than {needed} share their flops")
    return np.array([(runs.flops[rows].min() + runs.flops[rows].max()) / 2 for rows in large]), large


def _nominal(runs: _Runs, budgets: Floats, rtol: float, notes: list[str]) -> tuple[Floats, list[Rows]]:
    """Sorted budgets, and the rows nearest to each of them and within a share rtol."""
    if budgets.ndim != 1 or not budgets.size:
        raise ValueError(f"budgets is a sequence of FLOPs, such as [1e19, 1e20], not {budgets.tolist()!r}.")
    bad = budgets[~(np.isfinite(budgets) & (budgets > 0))]
    if bad.size:
        raise ValueError(f"a budget must be positive and finite, but is {bad[0]} ({bad.size} such budgets).")
    budgets = np.unique(budgets)
    off = np.abs(np.log(runs.flops)[:, None] - np.log(budgets))
    nearest = np.where(off.min(axis=1) <= np.log1p(rtol), off.argmin(axis=1), -1)
    groups = [np.flatnonzero(nearest == place) for place in range(len(budgets))]
    empty = [value for value, rows in zip(budgets, groups, strict=True) if not len(rows)]
    if empty:
        raise ValueError(
            f"no run is within {rtol:g} of the budget {empty[0]:.4g} ({len(empty)} such budgets); the runs have "
            f"{runs.flops.min():.4g} to {runs.flops.max():.4g} FLOPs. Leave it out, or name a larger rtol."
        )
    if np.any(nearest < 0):
        notes.append(f"{np.sum(nearest < 0)} of {len(nearest)} runs left out: at none of the budgets")
    return budgets, groups


def _optimum(runs: _Runs, budget: float, degree: int, within: float, needed: int) -> _Optimum:
    """Optimum of the runs of one budget."""
    lowest = runs.log_params[runs.loss == runs.loss.min()]
    best = (lowest.min() + lowest.max()) / 2  # of rounded losses several can be the lowest
    away = np.abs(runs.log_params - best).round(PLACES)
    reaches = np.unique(np.append(away, np.log(within).round(PLACES)))
    for reach in reaches[reaches >= np.log(within).round(PLACES)]:
        near = runs.at(np.flatnonzero(away <= reach))
        sizes, size = np.unique(near.log_params.round(PLACES), return_inverse=True)
        if near.weight.sum() >= needed and len(sizes) > degree:
            break
    else:
        has = f"{len(runs.loss)} runs of {len(sizes)} size(s)"
        return _Optimum(why=f"{has}; a {SHAPES[degree]} takes {needed} of {degree + 1} sizes")
    found = valley(near.log_params, near.loss, degree=degree, weight=near.weight)
    if np.isnan(found.minimum):
        return _Optimum(why=f"the {SHAPES[degree]} has no minimum (curvature {found.curvature:.2g})")
    at, loss, why = found.minimum, found.loss, ""
    if not found.low < at < found.high:
        why = f"the {SHAPES[degree]} is lowest at {np.exp(at):.4g} params, beyond the runs"
        at, loss = found.lower_end, found.loss_at_end
    elif best in (runs.log_params.min(), runs.log_params.max()):
        why = f"the lowest loss is that of the {'smallest' if best == runs.log_params.min() else 'largest'} run"
    by_size = np.bincount(size, near.weight * near.excess) / np.bincount(size, near.weight)
    log_tokens = np.log(tokens_for(budget, np.exp(at))) - np.interp(at, sizes, by_size)
    return _Optimum(at, float(log_tokens), loss, bool(why), found, why)


def _deviations(optima: Sequence[_Optimum], notes: list[str]) -> Floats | None:
    """(m,) standard deviations of log params, nan where the optimum is not bracketed; None if none can be had."""
    valleys = [one.valley for one in optima if one.valley is not None]
    spare, squares = (sum(getattr(found, name) for found in valleys) for name in ("spare", "squares"))
    scatter = np.sqrt(squares / spare) if spare else 0.0
    if scatter <= SAME * max(one.loss for one in optima if one.valley is not None):
        notes.append("no deviations: the runs lie on the polynomials, or none is to spare")
        return None
    good = [one.valley if one.valley is not None and not one.at_edge else None for one in optima]
    return np.array([np.nan if found is None else scatter * found.unit_sd for found in good])


def envelope(table: LossTable, *, points: int | None = None) -> Frontier:
    """Runs that no run of at most the same budget beats: approach 1 of [1]_, from final losses alone.

    The approach of [1]_ reads every budget off training curves. A table of final losses has a run at its own budget
    only, so its envelope is coarser, and the sizes on it are those that happened to be trained. Lucky runs stay on it.

    Parameters
    ----------
    table : LossTable
        With params and flops; without tokens, they are C / (6N).
    points : int, optional
        So many budgets, evenly spaced in log flops, each with the best run that it pays for; otherwise a row per run on
        the envelope, at its own budget.

    Returns
    -------
    Frontier
        `at_edge` unless both a smaller and a larger model have lost at a comparable budget, up to 2 times more or less.

    Raises
    ------
    ValueError
        If a column is absent, or `points` is below 2.

    References
    ----------
    .. [1] Hoffmann et al. 2022, arXiv:2203.15556, section 3.1.

    Examples
    --------
    >>> import pandas as pd
    >>> import scalefit as sf
    >>> frame = pd.DataFrame({"params": [1e8, 2e8, 4e8], "flops": [1e18] * 3, "loss": [3.2, 3.0, 3.1]})
    >>> best = envelope(sf.LossTable.from_frame(frame))
    >>> best.params.tolist(), best.at_edge.tolist()
    ([200000000.0], [False])
    """
    if points is not None and points < 2:
        raise ValueError(f"points is a number of budgets, at least 2, not {points!r}.")
    params, flops, loss = table.params, table.flops, table.loss
    notes = () if "tokens" in table else ("tokens are C / (6N): the table has none",)
    tokens = table.tokens if "tokens" in table else np.asarray(tokens_for(flops, params))
    order = np.lexsort((tokens, params, loss, flops))
    cheapest = np.concatenate([[np.inf], np.minimum.accumulate(loss[order])[:-1]])
    rows = order[loss[order] < cheapest]
    at_edge = np.array([not _bracketed(row, params, flops, loss) for row in rows])
    source = f"envelope of the final losses of {len(table)} runs, {len(rows)} of them on it"
    budgets = flops[rows]
    if points is not None:
        grid = np.unique(np.geomspace(budgets[0], budgets[-1], points))
        pays = np.searchsorted(budgets, grid * (1 + SAME), side="right") - 1
        rows, at_edge, budgets = rows[pays], at_edge[pays], grid
    return Frontier(
        flops=budgets, params=params[rows], tokens=tokens[rows], loss=loss[rows], at_edge=at_edge, source=source,
        notes=notes,
    )  # fmt: skip


def _bracketed(row: int, params: Floats, flops: Floats, loss: Floats) -> bool:
    """Whether a smaller and a larger model lost at a comparable budget."""
    lost = (np.abs(np.log(flops / flops[row])) <= np.log(NEAR) * (1 + SAME)) & (loss > loss[row])
    return bool(np.any(lost & (params < params[row])) and np.any(lost & (params > params[row])))
