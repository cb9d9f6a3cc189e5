"""The section of a report on how far to trust it: tested forecasts, other formulas, what the runs determine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .figures import SYMBOLS, UNITS
from .forecasting import Forecast
from .inlining import BLUE, GREEN, INK, MUTED, NONE, RED, RULE, Figure, count, drawn, log_axis, number
from .pages import Listing, Section, Words
from .studies import Study
from .telling import formulas, sentences, share, symbol, why, without_empty

if TYPE_CHECKING:
    from matplotlib.axes import Axes


APART = 0.1  # of the axis, within which two names at the ends of lines would overlap
MULTIPLES = 1e-3, 1e3  # of an estimate, between which a profile is drawn


def checks_section(study: Study) -> Section:
    """How the law does on runs that it did not see, and what it leaves open."""
    figures = tuple(f for f in (rollout_figure(study), forecast_figure(study), profile_figure(study)) if f is not None)
    tables = tuple(t for t in (_forecasts(study), _rivals(study), _cuts(study), _splits(study)) if t is not None)
    notes = why(study, "rollout", "forecasts", "identifiability", "noise")
    return Section("checks", "How far to trust it", _headline(study), tuple(_said(study)), figures, tables, notes)


def _headline(study: Study) -> str:
    rolled = study.found.get("rollout")
    if rolled is None:
        return "The law could not be tested on larger runs"
    frame = rolled["law"].to_frame()
    errors = frame["mae"][np.isfinite(frame["mae"])]
    if not len(errors):
        return "The law could not be tested on larger runs"
    low, high = number(errors.min(), 2), number(errors.max(), 2)
    size = low if low == high else f"{low} to {high}"
    return f"Asked for the larger runs from the smaller, the law errs by {size} nats on average"


def _said(study: Study) -> list[Words]:
    """What the tests found, in a few sentences."""
    said: list[Words] = []
    rolled, made, open_ends = (study.found.get(name) for name in ("rollout", "forecasts", "identifiability"))
    if rolled is not None:
        frame = rolled["law"].to_frame()
        given = frame[frame["given"] > 0] if "given" in frame else frame.iloc[:0]
        if len(given):
            least, most = given["coverage"].min(), given["coverage"].max()
            shares = f"{100 * most:.0f} %" if least == most else f"{100 * least:.0f} to {100 * most:.0f} %"
            said.append(
                f"Of the larger runs {shares} lie within their {share(study.settings.level)} intervals, cut by cut "
                f"({len(given)} of {len(frame)} cuts have any). Forecasts of one cut err together, so each cut is "
                "hardly more than one trial."
            )
    if made is not None and made.close:
        better = [rival.name for rival in made.rivals if rival.better]
        words = f"{formulas(len(made.close))} these runs about as well, of {len(made.rivals)} tried"
        low, high = made.models[:, -1]
        at = count(made.flops[-1]) + " FLOPs" if made.flops is not None else _point(made, -1)
        said.append(
            f"{words}{f', and {len(better)} of them better' if better else ''}; at {at} they say {number(low)} to "
            f"{number(high)} nats where the law says {number(made.loss[-1])}. No resampling of the runs shows that."
        )
    if open_ends is not None:
        said += list(open_ends.notes)
        if open_ends.pairs:
            pairs = sentences([f"{symbol(one)} with {symbol(other)}" for one, other, _ in open_ends.pairs[:3]])
            said.append(
                f"Numbers that trade off against one another: {pairs}. Their errors are not to be added up alone."
            )
    return said


def _axis(made: Forecast) -> tuple[str, Any]:
    """What forecasts are at, by name and values: budgets, or the first input."""
    return ("flops", made.flops) if made.flops is not None else next(iter(made.points.items()))


def _point(made: Forecast, place: int) -> str:
    return ", ".join(f"{count(values[place])} {UNITS.get(name, name)}" for name, values in made.points.items())


def rollout_figure(study: Study) -> Figure | None:
    """Mean error on the larger runs, by where the smaller end."""
    rolled = study.found.get("rollout")
    if rolled is None:
        return None
    frames = {name: one.to_frame().assign(model=name) for name, one in rolled.items()}
    over = rolled["law"].over
    if not np.isfinite(frames["law"]["mae"]).any():
        return None

    def draw(ax: Axes) -> None:
        lasts = {name: frame[np.isfinite(frame["mae"])].iloc[-1:] for name, frame in frames.items()}
        ends = [float(last["mae"].iloc[0]) for last in lasts.values() if len(last)]
        lowest, highest, top = min(ends), max(ends), max(np.nanmax(frame["mae"]) for frame in frames.values())
        for (name, frame), colour in zip(frames.items(), (BLUE, GREEN), strict=False):
            ax.plot(frame["cut"], frame["mae"], "o-", color=colour, markersize=4.5)
            for _, last in lasts[name].iterrows():
                below = last["mae"] == lowest and highest - lowest < APART * top
                ax.annotate(
                    name, (last["cut"], last["mae"]), xytext=(6, -2 if below else 2), textcoords="offset points",
                    color=colour, va="top" if below else "bottom", fontsize=8.5,
                )  # fmt: skip
        cuts = frames["law"]["cut"]
        ax.set_xlim(cuts.min() / 1.3, cuts.max() * max(1.3, (cuts.max() / cuts.min()) ** 0.4))
        log_axis(ax, "x", over)
        ax.set_xlabel(
            "trained on the runs below this many " + {"flops": "FLOPs", "params": "parameters"}.get(over, over)
        )
        ax.set_ylim(0, None)
        ax.set_ylabel("mean error on the rest, nats")

    return drawn(
        "rollout", "Forecasting the larger runs from the smaller",
        "Each point is a fit that never saw the runs it is asked for.", draw, pd.concat(frames.values()),
    )  # fmt: skip


def forecast_figure(study: Study) -> Figure | None:
    """What the law says of larger runs, and what others say that fit about as well."""
    made = study.found.get("forecasts")
    if made is None:
        return None
    frame = made.to_frame()
    places = range(len(frame))
    name, values = _axis(made)
    labels = [f"{count(value)} {UNITS.get(name, name)}" for value in values]

    def draw(ax: Axes) -> None:
        rows = [
            ("models_low", "models_high", RED, 0.22, 5),
            ("new_run_low", "new_run_high", MUTED, 0.0, 1.2),
            ("low", "high", BLUE, 0.0, 4),
        ]
        for low, high, colour, lower, width in rows:
            ax.hlines([-p - lower for p in places], frame[low], frame[high], color=colour, linewidth=width)
        ax.plot(frame["loss"], [-p for p in places], "o", color=INK, markersize=5)
        ax.set_yticks([-p for p in places], labels, fontsize=8.5)
        ax.set_ylim(-len(frame) + 0.3, 0.6)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("loss, nats per token")

    has_ends = bool(np.isfinite(frame["low"]).any())
    first = "Blue: the law's interval; grey: a new run. " if has_ends else "Dots: the law. "
    data = frame.assign(doubts=[" ".join(doubts) for doubts in frame["doubts"]])
    last = "Red: what formulas say that fit about as well." if made.close else "No other formula fits about as well."
    return drawn(
        "forecasts", "Larger runs", f"{first}{last}", draw, data,
        height=0.5 * len(frame) + 1.1,
    )  # fmt: skip


def profile_figure(study: Study) -> Figure | None:
    """How far each parameter can be moved before the runs object."""
    found = study.found.get("identifiability")
    if found is None:
        return None
    names = [one.parameter for one in found.held]

    def draw(ax: Axes) -> None:
        ax.axvline(1, color=RULE, linewidth=0.8, zorder=0)
        for place, one in enumerate(reversed(found.held)):
            limits = [
                (one.values[0] if np.isnan(one.low) else one.low), (one.values[-1] if np.isnan(one.high) else one.high)
            ]  # fmt: skip
            multiples = np.array(limits) / max(abs(one.estimate), 1e-300)
            left, right = np.clip(multiples, *MULTIPLES)
            ax.plot([left, right], [place, place], color=BLUE, linewidth=2.4, solid_capstyle="butt")
            for end, is_open, marker in ((left, np.isnan(one.low), "<"), (right, np.isnan(one.high), ">")):
                if is_open:
                    ax.plot(end, place, marker, color=RED, markersize=6, clip_on=False)
            ax.plot(1, place, "o", color=INK, markersize=4.5)
        ax.set_yticks(range(len(names)), [SYMBOLS.get(name, name) for name in reversed(names)])
        ax.set_ylim(-0.6, len(names) - 0.4)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xscale("log")
        log_axis(ax, "x", "")
        ax.set_xlabel("as a multiple of its estimate")

    caption = "Each is held elsewhere while the rest is fitted again."
    caption += " Red arrows: no limit was found." if found.notes else ""
    return drawn("profiles", "How far a number can move before the runs object", caption, draw, found.profiles,
                 height=0.34 * len(names) + 1.0)  # fmt: skip


def _forecasts(study: Study) -> Listing | None:
    made = study.found.get("forecasts")
    if made is None:
        return None
    level = share(study.settings.level)
    name, values = _axis(made)
    head = (
        UNITS.get(name, name),
        "loss",
        f"{level}, mean",
        f"{level}, a new run",
        "other formulas",
        "mean and formulas",
    )
    rows = []
    for at, (_, row) in zip(values, made.to_frame().iterrows(), strict=True):
        pairs = [(row[f"{name}low"], row[f"{name}high"]) for name in ("", "new_run_", "models_", "combined_")]
        said = ["no interval" if not np.isfinite(low) else f"{number(low)} to {number(high)}" for low, high in pairs]
        rows.append((count(at), number(row["loss"]), *said))
    return Listing(head, rows, caption="Loss of larger runs, nats per token")


def _rivals(study: Study) -> Listing | None:
    made = study.found.get("forecasts")
    if made is None or not made.rivals:
        return None
    frame = made.rivals_to_frame()
    name = next(iter(made.points))
    last = frame[frame[name] == made.points[name][-1]]
    rows = [
        (
            "the law" if row["model"] == "the fit" else str(row["model"]),
            number(row["ratio"], 3),
            number(row["loss"]),
            NONE if row["model"] == "the fit" else _verdict(row),
        )
        for _, row in last.sort_values("ratio").iterrows()
    ]
    at = f"{count(made.flops[-1])} FLOPs" if made.flops is not None else _point(made, -1)
    head = ("formula", "objective, by the law's", f"loss at {at}", "about as well")
    return Listing(
        head, rows, title=f"{len(made.rivals)} other formulas on the same runs", folded=True, words=frozenset({3})
    )


def _verdict(row: Any) -> str:
    """Whether another formula fits as well as the law."""
    return "better" if row["better"] else "yes" if row["close"] else row["failure"] or "no"


def _cuts(study: Study) -> Listing | None:
    rolled = study.found.get("rollout")
    if rolled is None:
        return None
    rows = [
        (count(row["cut"]), name, str(row["train_rows"]), str(row["test_rows"]), number(row["mae"], 2),
         number(row["bias"], 2),
         f"{100 * row['coverage']:.0f} %" if row.get("given", 0) else NONE, row["failure"])
        for name, one in rolled.items() for _, row in one.to_frame().iterrows()
    ]  # fmt: skip
    head = (
        f"{UNITS.get(rolled['law'].over, rolled['law'].over)} below",
        "model",
        "trained on",
        "asked for",
        "mean error",
        "bias",
        f"in {share(study.settings.level)}",
        "",
    )
    return Listing(
        *without_empty(head, rows),
        title="Every cut",
        folded=True,
        words=frozenset({1, 7}),
        note="Errors in nats; a bias above 0 is a forecast that is too high.",
    )


def _splits(study: Study) -> Listing | None:
    made = study.found.get("validation")
    if made is None:
        return None
    rows = [
        (str(row["model"]), number(row["train_mse"], 3), number(row["test_mse"], 3), number(row["ratio"], 3))
        for _, row in made.to_frame().iterrows()
    ]
    note = " ".join([f"{made.words}.", *made.notes, *made.remarks])
    head = ("mean squared error, nats²", "rows it saw", "rows left out", "by the law's")
    return Listing(head, rows, title="Among the runs: rows left out at random", folded=True, note=note)
