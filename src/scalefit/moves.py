"""The section of a report on what moves its answer: windows of the runs, and single runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .figures import HALO, SYMBOLS, UNITS, names_of
from .inlining import BLUE, INK, MUTED, NONE, PAPER, RED, Figure, drawn, log_axis, number, short
from .movement import Windows
from .pages import Listing, Section
from .studies import Study
from .telling import is_moved, share, strongest_run, symbol, telling_window, why, window_words, without_empty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOVES = "What moves it"
LEAST_DRAWN = 2  # windows of a panel
MOST_NAMED = 8  # runs whose influence is drawn


def moves_section(study: Study) -> Section:
    """What moves the answer: the choice of runs, and single runs."""
    found, runs = study.found.get("windows"), study.found.get("influence")
    paragraphs = [] if runs is None else [f"{note[0].upper()}{note[1:]}" for note in runs.notes]
    missing, figures = why(study, "influence"), influence_figures(study)
    if found is None or found.furthest is None:
        strongest = strongest_run(study)
        headline = "What moves the answer cannot be said" if strongest is None else strongest[1]
        unsaid = why(study, "windows") or (() if found is None else (uncounted(found),))
        notes = (*unsaid, *missing)
        return Section("moves", MOVES, headline, tuple(paragraphs), figures, (), notes)
    said = (*_window_words(found, study), *paragraphs)
    figures = (*window_figures(study), *figures)
    return Section("moves", MOVES, _moves_headline(found, study), said, figures, (_windows(study),), missing)


def uncounted(found: Windows) -> str:
    """Why no window of the runs counts."""
    notes = [note for note in found.to_frame()["note"] if note]
    return (
        f"No window of these {found.rows} runs can be fitted: {notes[0].removeprefix('not fitted: ')}." if notes else ""
    )


def _moves_headline(found: Windows, study: Study) -> str:
    furthest, name = telling_window(found), symbol(found.statistics[0])
    if not is_moved(found):
        return f"Leaving out runs does not move {name}"
    if found.holds:
        return f"Leaving out runs moves {name} by {number(abs(found.moved), 2)} at most, as noise does"
    strongest = strongest_run(study)
    if found.holds is None and strongest is not None and strongest[0] > abs(found.moved):
        return strongest[1]  # nothing is known of noise, and one run does more than any window
    assert furthest is not None
    where = window_words(study, furthest)
    change = f"{number(furthest['estimate'], 3)} instead of {number(found.estimate.value, 3)}"
    return f"{where[0].upper()}{where[1:]}, {name} is {change}"


def _window_words(found: Windows, study: Study) -> list[str]:
    """How far that is, against the interval and against noise."""
    said, name = [], symbol(found.statistics[0])
    if not is_moved(found):
        return [
            f"{name} is {number(found.estimate.value, 3)} in every window: nothing scatters, or what is fixed gives it."
        ]
    if np.isfinite(found.ratio):
        low, high = found.combined
        whole = f"{number(found.estimate.low, 3)} to {number(found.estimate.high, 3)}"
        said.append(
            f"The choice of runs moves {name} by {number(found.ratio, 2)} times half the interval that noise alone "
            f"gives, {whole}. An interval that also holds every choice of runs below goes from {number(low, 3)} to "
            f"{number(high, 3)}."
        )
    plainest = found.plainest
    if plainest is not None and np.isfinite(found.chance):
        verdict = "noise is no explanation" if found.holds is False else "noise explains that"
        said.append(
            f"Furthest beyond its own noise is the fit {window_words(study, plainest)}: {name} moves by "
            f"{number(abs(plainest['moved']), 2)} where noise moves it by {number(plainest['by_noise'], 2)}. In "
            f"{100 * found.chance:.2g} % of tables in which the law holds, some window moves as far: {verdict}."
        )
    if found.holds is None:
        said.append("Whether noise alone explains that is not measured here: there is no interval, or too many rows.")
    return said


def _windows(study: Study) -> Listing:
    found, rows = study.found["windows"], []
    for _, row in found.to_frame().iterrows():
        ends_ = (
            NONE
            if np.isnan(row["estimate_low"])
            else f"{number(row['estimate_low'], 3)} to {number(row['estimate_high'], 3)}"
        )
        rows.append((
            window_words(study, row), str(row["rows"]),
            number(row["estimate"], 3), ends_,
            number(row["moved"], 2), number(row["by_noise"], 2), short(row["note"], 90),
        ))  # fmt: skip
    head = (
        "fit",
        "rows",
        symbol(found.statistics[0]),
        share(found.level),
        "moved by",
        "noise moves it by",
        "",
    )
    return Listing(*without_empty(head, rows), title=f"All {len(rows)} windows", folded=True, words=frozenset({6}))


def window_figures(study: Study) -> tuple[Figure, ...]:
    """The statistic without the smallest runs, and without the largest, on one scale."""
    found = study.found.get("windows")
    if found is None or found.furthest is None or not is_moved(found):
        return ()
    rows = found.to_frame()
    whole = found.estimate
    counted = rows[rows["counted"]]
    ends = np.concatenate(
        [
            counted[["estimate", "estimate_low", "estimate_high"]].to_numpy().ravel(),
            [whole.value, whole.low, whole.high],
        ]
    )
    ends = ends[np.isfinite(ends)]
    room = 0.06 * max(np.ptp(ends), 1e-9)
    limits = float(ends.min() - room), float(ends.max() + room)
    made = []
    for kind, edge, words in (("from", "low", "below"), ("up to", "high", "above")):
        part = rows[(rows["kind"] == kind) & np.isfinite(rows["estimate"])].sort_values(edge)
        if part["counted"].sum() >= LEAST_DRAWN:
            made.append(_window_figure(study, part, edge, words, limits))
    return tuple(made)


def _window_figure(study: Study, part: pd.DataFrame, edge: str, words: str, limits: tuple[float, float]) -> Figure:
    found = study.found["windows"]
    whole, counted = found.estimate, part["counted"].to_numpy(dtype=bool)
    x, y = part[edge].to_numpy(), part["estimate"].to_numpy()
    low, high = part["estimate_low"].to_numpy(), part["estimate_high"].to_numpy()
    furthest = telling_window(found)

    def draw(ax: Axes) -> None:
        if np.isfinite(whole.low):
            ax.axhspan(whole.low, whole.high, color=BLUE, alpha=0.13, linewidth=0)
        ax.axhline(whole.value, color=BLUE, linewidth=1.4)
        ax.vlines(x, low, high, color=RED, linewidth=1.1, alpha=0.55)
        ax.plot(x[counted], y[counted], "o-", color=RED, markersize=4.5, linewidth=1.2)
        ax.plot(x[~counted], y[~counted], "o", color=RED, markerfacecolor=PAPER, markersize=4.5)
        for place in np.flatnonzero(counted):
            is_furthest = furthest is not None and part.index[int(place)] == furthest.name
            above = y[place] > whole.value
            ax.annotate(
                number(y[place], 3), (x[place], y[place]), xytext=(4, 5 if above else -5), ha="left",
                va="bottom" if above else "top", textcoords="offset points", color=RED, bbox=HALO,
                fontsize=11 if is_furthest else 8, fontweight="bold" if is_furthest else "normal",
            )  # fmt: skip
        ax.set_ylim(limits)
        ax.set_xlim(x.min() / 1.5, x.max() * (x.max() / x.min()) ** 0.15 * 1.2)
        log_axis(ax, "x", found.column)
        ax.set_xlabel(f"runs {words} this many {UNITS.get(found.column, found.column)} left out")
        ax.set_ylabel(SYMBOLS.get(found.statistics[0], found.statistics[0]))
        side = "right" if edge == "low" else "left"
        ax.annotate(f"all {found.rows} runs: {number(whole.value, 3)}", (0.02 if side == "left" else 0.98, whole.value),
                    xycoords=("axes fraction", "data"), xytext=(0, 4), textcoords="offset points", color=BLUE,
                    bbox=HALO,
                    ha=side, va="bottom", fontsize=8.5)  # fmt: skip

    columns = [
        "low",
        "high",
        "rows",
        "estimate",
        "estimate_low",
        "estimate_high",
        "moved",
        "by_noise",
        "counted",
        "note",
    ]
    return drawn(
        f"without-{'small' if edge == 'low' else 'large'}", f"Without the {'small' if edge == 'low' else 'large'} runs",
        f"Blue: all runs{', with their interval' * bool(np.isfinite(whole.low))}. Red: what is left.", draw,
        part[columns],
    )  # fmt: skip


def influence_figures(study: Study) -> tuple[Figure, ...]:
    """The statistic without the runs that matter most, and without each size."""
    made = []
    rows, sizes = study.found.get("influence"), study.found.get("influence_by_size")
    if rows is not None and np.isfinite(rows.units["effect"]).any():
        made.append(_runs_figure(study, rows))
    if sizes is not None and np.isfinite(sizes.units["effect"]).any():
        made.append(_sizes_figure(study, sizes))
    return tuple(made)


def _runs_figure(study: Study, found: Any) -> Figure:
    """Runs by name, those that lie off first."""
    units = found.to_frame()
    names = np.array(names_of(study))[units["row"].to_numpy()]
    top = units.head(MOST_NAMED)[::-1]
    off = set(found.suspects.index)
    whole = study.headline

    def draw(ax: Axes) -> None:
        if np.isfinite(whole.low):
            ax.axvspan(whole.low, whole.high, color=BLUE, alpha=0.13, linewidth=0)
        ax.axvline(found.estimate, color=BLUE, linewidth=1.4)
        for place, (index, unit) in enumerate(top.iterrows()):
            colour = RED if index in off else INK
            ax.plot([found.estimate, found.estimate + unit["effect"]], [place, place], color=colour, linewidth=1.1)
            ax.plot(found.estimate + unit["effect"], place, "o", color=colour, markersize=4.5)
        labels = [short(names[units.index.get_loc(index)]) for index in top.index]
        ax.set_yticks(range(len(top)), labels, fontsize=8.5)
        ax.set_ylim(-0.6, len(top) - 0.4)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel(f"{SYMBOLS.get(found.statistic, found.statistic)} without this run")

    caption = "Red runs lie off the others by more than chance explains." if off else "No run lies off the others."
    if not np.isfinite(units["off"]).any():
        caption = "Whether a run lies off the others cannot be said."
    if np.isfinite(whole.low):
        caption += " Blue: all runs, with their interval."
    data = units.assign(run=names)
    return drawn("influence", "Without single runs", caption, draw, data, height=0.26 * len(top) + 1.0)


def _sizes_figure(study: Study, found: Any) -> Figure:
    units = found.to_frame().sort_values(found.by)
    x, y = units[found.by].to_numpy(dtype=float), found.estimate + units["effect"].to_numpy()
    off = units.index.isin(found.suspects.index)
    whole = study.headline

    def draw(ax: Axes) -> None:
        if np.isfinite(whole.low):
            ax.axhspan(whole.low, whole.high, color=BLUE, alpha=0.13, linewidth=0)
        ax.axhline(found.estimate, color=BLUE, linewidth=1.4)
        ax.vlines(x, found.estimate, y, color=MUTED, linewidth=0.8)
        for which, colour in ((~off, INK), (off, RED)):
            ax.plot(x[which], y[which], "o", color=colour, markersize=4)
        ax.set_xlim(x.min() / 1.4, x.max() * 1.4)
        log_axis(ax, "x", found.by)
        ax.set_xlabel(f"without the runs of this many {UNITS.get(found.by, found.by)}")
        ax.set_ylabel(SYMBOLS.get(found.statistic, found.statistic))

    return drawn("influence-by-size", "Without each size", "All runs of one size left out together.", draw, units)
