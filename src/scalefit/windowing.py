"""The verb `windows`: refits over nested and sliding windows of the rows; how far their choice moves an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .asked import NAN, Answer, Statistics, answer, by_name
from .cutting import Window, cut
from .doubting import SPARE
from .fitting import fit as fit_model
from .movement import Windows
from .parts import Statistic, free_parameters
from .replicates import Progress, refits
from .resampled import Bootstrap
from .resampling import bootstrap
from .result import Fit
from .schemes import Pairs
from .table import LossTable

Floats = NDArray[np.float64]
Over = Literal["flops", "tokens", "params", "rank"]
COLUMNS = (
    "statistic", "kind", "low", "high", "rows", "estimate", "estimate_low", "estimate_high", "moved", "by_noise",
    "beyond", "ok", "counted", "note",
)  # fmt: skip
STILL = 1e-9  # share of a statistic that a refit resolves: it has not moved if by less. Our choice
OVER: tuple[Over, ...] = ("flops", "tokens", "params", "rank")


def windows(
    fit: Fit | Bootstrap | Callable[[LossTable], Any], *, over: Over | None = None,
    statistic: Statistics | None = None, cuts: ArrayLike | None = None, table: LossTable | None = None,
    level: float = 0.95, progress: Progress | None = None,
) -> Windows:  # fmt: skip
    """Statistics of a fit over windows of its rows: how far the choice of rows moves them, and whether noise does that.

    Parameters
    ----------
    fit : Fit, Bootstrap or callable
        Of a bootstrap, each window has an interval by the same scheme, seed and number of resamples. A callable is a
        pipeline: it takes a LossTable and gives anything that the statistic takes,
        ``lambda runs: sf.isoflop(runs)`` with ``statistic=lambda found: found.exponents().a``.
    over : {"flops", "tokens", "params", "rank"}, optional
        Column whose values the windows are cut by; flops by default, where there are any, else the first input of the
        fit. "rank" cuts at equal shares of the rows ranked by that column, so that gaps in it do not matter.
    statistic : str, mapping of str to float, or callable; a sequence of them, or a mapping of names to them, optional
        As for `Bootstrap.interval`. By default the allocation exponent of a fit of params and tokens, else the first
        exponent. A function may give an `Interval`.
    cuts : sequence of float, optional
        Where nested windows begin and end; of "rank", shares of the rows that they leave out. By default the levels of
        a column that has few, else round values, that leave at least a quarter of the rows.
    table : LossTable, optional
        Rows for a pipeline; a fit has its own.
    level : float
        Of the intervals, and the share of resamples in which noise moves a window less than its `by_noise`.
    progress : callable, optional
        Called with the number of windows that are done, and of all.

    Returns
    -------
    Windows
        Nested windows from each cut on and up to each cut, and sliding ones of half the rows.

    Raises
    ------
    TypeError
        If this is no fit and no pipeline, a statistic is none, or a pipeline has no table.
    ValueError
        If the column, a statistic, a cut or the level is unusable. A window that cannot be fitted is listed with the
        reason instead.

    Notes
    -----
    The windows of a fit are those of a full search for its optimum; a rule for delta is resolved anew in each. A window
    needs 5 rows more than the fit has parameters.

    The windows differ by noise even if the law holds. For a bootstrap, its resamples are refitted in every window: they
    are tables in which the law holds and noise is what the residuals say. How far a window moves the statistic there is
    its `by_noise` (of `Pairs`, whose resamples hold no law, around what it moves it by in the table itself), and
    `chance` how often noise moves the statistic further, in units of `by_noise`, in some window than in any of the
    runs': a test by the largest of all windows, so that their number does not matter. A resample without a value over
    all rows does not count. What moves by less than 1e-9 of its size is still: refits resolve no more. Where the law is
    far off the runs, its misfit counts as noise there, and the test says less than it could.

    The paper names the sensitivity to the window as its main caveat and leaves it open (arXiv:2601.10684, appendix
    B.4). The windows, this test and `combined` are ours.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=np.geomspace(1e9, 1e11, 8))
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.003)
    >>> found = windows(sf.bootstrap(sf.fit(sf.Chinchilla, runs), resamples=200))
    >>> found.holds
    True
    """
    source = _source(fit, table)
    column, ranked = _column(source, over), over == "rank"
    if isinstance(level, bool) or not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level must be between 0 and 1, such as 0.95, not {level!r}.")
    x = np.asarray(getattr(source.table, column), dtype=float)
    asked = by_name(statistic, source.made)
    base = {name: answer(source.made, one, level) for name, one in asked.items()}
    made = cut(x, cuts=cuts, ranked=ranked)
    cells: dict[str, list[dict[str, Any]]] = {name: [] for name in asked}
    noise = _Noise(source.boot, asked, level)
    for number, window in enumerate(made, start=1):
        found = _cells(source, window, asked, base, level)
        noise.see(window, found)
        for name, cell in found.items():
            cells[name].append(cell)
        if progress is not None:
            progress(number, len(made))
    frame = pd.DataFrame([cell for name in asked for cell in cells[name]], columns=list(COLUMNS))
    chances = {} if source.boot is None else {name: noise.chance(name, rows) for name, rows in cells.items()}
    doubt = "" if source.ok else _first_note(source.made)
    return Windows(over or column, column, len(x), float(level), base, frame, chances, noise.resamples, doubt)


@dataclass(frozen=True)
class _Source:
    """What is refitted: its result over all rows, and how to make that of a window."""

    made: Any
    table: LossTable
    column: str
    make: Callable[[LossTable], tuple[Any, str]]
    least: int = 2
    boot: Bootstrap | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong over all rows."""
        return _is_ok(self.made)


def _source(given: Any, table: LossTable | None) -> _Source:
    if isinstance(given, Fit | Bootstrap):
        return _of_fit(given, table)
    if not callable(given) or isinstance(given, type):
        raise TypeError(
            f"windows takes what sf.fit or sf.bootstrap gave, or a function of a LossTable, not {given!r}. "
            "Wrap others: lambda runs: sf.fit(model, runs)."
        )
    if not isinstance(table, LossTable):
        raise TypeError(f"a pipeline needs table=, a LossTable to take windows of, not {type(table).__name__}.")
    return _Source(given(table), table, _first_column(table, table.inputs), lambda rows: (given(rows), ""))


def _of_fit(given: Fit | Bootstrap, table: LossTable | None) -> _Source:
    boot = given if isinstance(given, Bootstrap) else None
    base = given.base if isinstance(given, Bootstrap) else given
    if not isinstance(base, Fit):
        raise TypeError("of curves, pass what makes them: windows(lambda runs: sf.fit_curves(...), table=runs).")
    if table is not None:
        raise TypeError("table= is for a pipeline; a fit has its own rows. Leave it out.")
    rows = boot.parts[0].fit.table if boot is not None else _with_weight(base)

    def make(part: LossTable) -> tuple[Any, str]:
        made = fit_model(base.model, part, inputs=base.inputs, weights=base.weights)
        if boot is None:
            return made, ""
        try:
            return bootstrap(made, boot.scheme, resamples=len(boot), seed=boot.seed), ""
        except ValueError as error:
            return made, f"no interval: {error}"

    free = free_parameters(base) if base.has_law else len(base.inputs) + 1
    return _Source(given, rows, _first_column(rows, base.inputs), make, free + SPARE, boot)


def _first_column(table: LossTable, inputs: Sequence[str]) -> str:
    """The column that rows are cut by unless another is named."""
    return "flops" if "flops" in table else inputs[0]


def _with_weight(fit: Fit) -> LossTable:
    """The rows that carry weight."""
    return fit.table if fit.weights is None else fit.table.where(fit.table[fit.weights] > 0)


def _column(source: _Source, over: Over | None) -> str:
    if over is not None and over not in OVER:
        raise ValueError(f"over must be one of {', '.join(map(repr, OVER))}, not {over!r}.")
    return source.column if over is None or over == "rank" else over


def _is_ok(made: Any) -> bool:
    return bool(getattr(made.base if isinstance(made, Bootstrap) else made, "ok", True))


def _cells(
    source: _Source, window: Window, asked: Mapping[str, Statistic], base: Mapping[str, Answer], level: float
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """A row for each statistic in one window."""
    rows = int(window.inside.sum())
    fitted, note, ok = None, "", False
    try:
        if rows < source.least:
            raise ValueError(f"{rows} rows, and {source.least} are needed here")
        fitted, note = source.make(source.table.where(window.inside))
        ok = _is_ok(fitted)
    except Exception as error:  # what a window, or a user's pipeline, cannot do costs that window alone
        note = f"not fitted: {error}"
    made = {}
    for name, one in asked.items():
        value, words = Answer(NAN), [note] if note else []
        if fitted is not None:
            try:
                value = answer(fitted, one, level)
                words += [] if np.isfinite(value.value) else ["no value: it is beyond these rows, or not a number"]
            except Exception as error:
                words.append(f"no value: {error}")
            words += [] if ok else [f"not ok: {_first_note(fitted)}"]
            words += [f"interval refused: {', '.join(value.doubts)}"] if value.doubts else []
        made[name] = {
            "statistic": name, "kind": window.kind, "low": window.low, "high": window.high, "rows": rows,
            "estimate": value.value, "estimate_low": value.low, "estimate_high": value.high,
            "moved": _moved(value.value, base[name].value), "by_noise": NAN, "beyond": NAN, "ok": ok,
            "counted": bool(np.isfinite(value.value)) and (ok or not source.ok), "note": "; ".join(words),
        }  # fmt: skip
    return made


def _moved(value: float, base: float) -> float:
    """How far a statistic moves; 0.0 where that is less than refits resolve."""
    moved = value - base
    return 0.0 if np.isfinite(moved) and abs(moved) <= STILL * max(abs(value), abs(base)) else moved


def _first_note(made: Any) -> str:
    notes = getattr(made.base if isinstance(made, Bootstrap) else made, "notes", ())
    return next((str(note) for note in notes), type(made).__name__)


class _Noise:
    """How far noise alone moves the statistics: the resamples of a bootstrap, refitted in the windows."""

    def __init__(self, boot: Bootstrap | None, asked: Mapping[str, Statistic], level: float) -> None:
        self.boot, self.asked, self.level = boot, asked, level
        self.draws = {} if boot is None else {name: boot.values(one) for name, one in asked.items()}
        self.furthest = {name: np.full(len(values), np.nan) for name, values in self.draws.items()}

    @property
    def resamples(self) -> int:
        """Resamples that have a value over all rows and in some window, of the statistic with fewest."""
        return min((int(np.isfinite(far).sum()) for far in self.furthest.values()), default=0)

    def see(self, window: Window, found: Mapping[str, dict[str, Any]]) -> None:
        """Add to the cells of a window what noise moves its statistics by."""
        counted = [name for name, cell in found.items() if cell["counted"]]
        if self.boot is None or not counted:
            return
        here = _same_draws(self.boot, window)
        for name in counted:
            moved, value = found[name]["moved"], found[name]["estimate"]
            moves = here.values(self.asked[name]) - self.draws[name]
            moves = np.abs(moves - moved if isinstance(self.boot.scheme, Pairs) else moves)
            finite = moves[np.isfinite(moves)]
            if not len(finite):
                continue
            usual = float(np.quantile(finite, self.level))
            least = max(STILL * max(abs(value), abs(value - moved)), float(np.finfo(float).tiny))
            unit = max(usual, least)  # where noise moves nothing, the least that refits resolve
            found[name] |= {"by_noise": usual, "beyond": abs(moved) / unit}
            self.furthest[name] = np.fmax(self.furthest[name], np.where(moves <= least, 0.0, moves / unit))

    def chance(self, name: str, cells: Sequence[Mapping[str, Any]]) -> float:
        """Share of resamples that move some window as far beyond its noise as the rows themselves, or further."""
        beyond = [cell["beyond"] for cell in cells if np.isfinite(cell["beyond"])]
        furthest = self.furthest[name][np.isfinite(self.furthest[name])]
        if not beyond or not len(furthest):
            return NAN
        as_far = furthest >= max(beyond)
        return float((1 + np.count_nonzero(as_far)) / (1 + len(as_far)))  # the runs themselves are one of them


def _same_draws(boot: Bootstrap, window: Window) -> Bootstrap:
    """The resamples of a bootstrap, refitted to the rows of a window alone."""
    (part,) = boot.parts
    inside, table = window.inside, part.fit.table.where(window.inside)
    X = np.stack([table[name] for name in part.fit.inputs], axis=1)
    losses, counts = part.losses[:, inside], None if part.counts is None else part.counts[:, inside]
    frequencies = np.ones(len(table)) if part.fit.weights is None else np.asarray(table[part.fit.weights], dtype=float)
    made = refits(part.fit.model, X, losses, frequencies[None] if counts is None else counts * frequencies)
    fit = replace(part.fit, table=table)
    here = replace(part, fit=fit, labels=part.labels[inside], losses=losses, counts=counts, refits=made)
    return replace(boot, base=fit, parts=(here,))
