"""The figures of a report, each drawn from a study; where a study has nothing to draw, there is no figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .inlining import (
    BLUE,
    GREEN,
    INK,
    MINUS,
    MUTED,
    PAPER,
    RED,
    RULE,
    Figure,
    count,
    drawn,
    log_axis,
    number,
    short,
    thinned,
)  # fmt: skip
from .optima import Quantity
from .studies import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .theory.baseline import CountingBaseline

HALO = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0, "alpha": 0.8}  # keeps words legible on lines
FACTOR = 1.6  # in params and tokens around the runs
POINTS = 60  # of a grid, along each axis
NAMED = 2  # runs that are named in a cloud
LETTERS = {"params": "N", "tokens": "D", "flops": "C"}
UNITS = {"params": "parameters", "tokens": "tokens", "flops": "FLOPs"}
SYMBOLS = {"allocation_exponent": "a", "alpha": "\u03b1", "beta": "\u03b2", "gamma": "\u03b3", "delta": "\u03b4"}
LABELS = ("run", "run_name", "run_id", "model", "name", "id")  # columns that name a run, where a table has one


def names_of(study: Study) -> list[str]:
    """What each run is called: by its column of names, or by its row.

    Examples
    --------
    >>> import scalefit as sf
    >>> from scalefit.studies import Settings, study
    >>> names_of(study(sf.load("pythia"), "pythia", Settings(resamples=10)))[0]
    'pythia-70m'
    """
    table = study.table
    column = next((name for name in LABELS if name in table), None)
    if column is not None:
        return [str(name) for name in table[column]]
    return [
        f"row {row}: " + ", ".join(f"{LETTERS.get(name, name)} {count(table[name][row])}" for name in study.fit.inputs)
        for row in range(len(table))
    ]


def law_figure(study: Study) -> Figure | None:
    """The runs and the law: a curve of one input, lines of equal loss over params and tokens."""
    if study.of_plane:
        return _plane_figure(study)
    return _curve_figure(study) if "curve" in study.found else None


def _curve_figure(study: Study) -> Figure:
    (name,) = study.fit.inputs
    table, curve = study.table, study.found["curve"]
    floor = study.fit.parameters.get("E")
    has_band = bool(np.isfinite(curve["low"]).any())
    counting = _counting(study) if name == "tokens" else None

    def draw(ax: Axes) -> None:
        runs = np.asarray(thinned(len(table)))
        if has_band:
            ax.fill_between(curve[name], curve["low"], curve["high"], color=BLUE, alpha=0.15, linewidth=0)
        inside = curve[name] <= table[name].max()
        ax.plot(curve[name][inside], curve["loss"][inside], color=BLUE)
        ax.plot(curve[name][~inside], curve["loss"][~inside], color=BLUE, linestyle=(0, (3, 2)))
        ax.plot(table[name][runs], table.loss[runs], "o", color=INK, markersize=4, markeredgewidth=0)
        top = ax.get_ylim()[1]
        if counting is not None:
            losses = counting(curve[name])
            shown = losses <= top  # far above the runs it would flatten them
            ax.plot(curve[name][shown], losses[shown], color=GREEN, linewidth=1.2, linestyle=(0, (5, 1.5, 1, 1.5)))
        if floor:
            ax.axhline(floor, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
            ax.annotate(f"E = {number(floor)}", (0.01, floor), xycoords=("axes fraction", "data"), va="bottom",
                        xytext=(0, 2), textcoords="offset points", color=MUTED, fontsize="small")  # fmt: skip
        ax.set_xlim(curve[name].min(), curve[name].max())
        log_axis(ax, "x", name)
        ax.set_ylabel("loss, nats per token")

    data = pd.concat([
        pd.DataFrame({"kind": "run", name: table[name], "loss": table.loss}),
        curve.assign(kind="law")[["kind", name, "loss", "low", "high"]],
    ])  # fmt: skip
    band = f" Shaded: {100 * study.settings.level:g} % intervals of the mean." if has_band else ""
    if counting is not None:
        data["counting"] = counting(data[name])
        band += f" Green: a model that counts transitions, {counting.entropy:.4g} + {counting.coefficient:,.4g}/D."
    return drawn(
        "law", f"Loss against {name}", f"Dots are runs, the line is the law, dashed beyond them.{band}", draw, data
    )


def _counting(study: Study) -> CountingBaseline | None:
    """Loss of counting, where the runs are on walks over one graph."""
    if "loss_counting" not in study.table:
        return None
    from .theory.baseline import baseline_of

    try:
        return baseline_of(study.table)
    except ValueError:  # several graphs: no single line
        return None


def counting_figure(study: Study) -> Figure | None:
    """Runs on walks over params and tokens beside a model that counts, by their loss above the entropy."""
    counting = _counting(study) if study.of_plane else None
    if counting is None or counting.coefficient == 0:  # nothing to count
        return None
    table, fit = study.table, study.fit
    D, excess = table.tokens, table.loss - counting.entropy
    x = np.geomspace(D.min() / FACTOR, D.max() * FACTOR, POINTS)
    sizes = sorted({float(table.params.min()), float(table.params.max())})

    def draw(ax: Axes) -> None:
        for size in sizes:
            columns: dict[str, Any] = {"params": size, "tokens": x}
            y = fit(*(columns[name] for name in fit.inputs)) - counting.entropy
            ax.plot(x[y > 0], y[y > 0], color=BLUE, linewidth=1.2)
            if y[-1] > 0:
                ax.annotate(count(size), (x[-1], y[-1]), xytext=(-2, 5), textcoords="offset points", ha="right",
                            color=BLUE, fontsize="small")  # fmt: skip
        ax.plot(x, counting(x) - counting.entropy, color=GREEN, linewidth=1.2, linestyle=(0, (5, 1.5, 1, 1.5)))
        runs = np.asarray(thinned(len(table)))
        above = runs[excess[runs] > 0]  # the axis is logarithmic
        ax.plot(D[above], excess[above], "o", color=INK, markersize=3.6, markeredgewidth=0)
        ax.set(xscale="log", yscale="log", xlim=(x[0], x[-1]))
        log_axis(ax, "x", "tokens")
        log_axis(ax, "y", "loss")
        ax.set_ylabel(f"loss {MINUS} {counting.entropy:.4g}, nats")

    data = table.to_frame()[["params", "tokens", "loss"]].assign(counting=counting(D))
    return drawn(
        "counting", "Beside a model that counts transitions",
        f"Dots are runs, by their loss above the entropy of the walks, {counting.entropy:.4g} nats. Blue: the law for "
        f"the smallest and the largest model, in parameters. Green: counting, {counting.coefficient:,.4g}/D.",
        draw, data,
    )  # fmt: skip


def _plane_figure(study: Study) -> Figure:
    table, fit = study.table, study.fit
    N, D = table.params, table.tokens
    above = fit.residuals > 0

    def draw(ax: Axes) -> None:
        x = np.geomspace(N.min() / FACTOR, N.max() * FACTOR, POINTS)
        y = np.geomspace(D.min() / FACTOR, D.max() * FACTOR, POINTS)
        X, Y = np.meshgrid(x, y)
        columns: dict[str, Any] = {"params": X, "tokens": Y}
        losses = fit(*(columns[name] for name in fit.inputs))
        levels = _levels(losses)
        lines = ax.contour(X, Y, losses, levels=levels, colors=[MUTED], linewidths=0.6)
        ax.set(xscale="log", yscale="log")
        ax.clabel(lines, fontsize=7.5, colors=[MUTED], fmt=lambda value: number(value, 3))
        runs = np.asarray(thinned(len(table)))
        for which, colour in ((above, RED), (~above, BLUE)):
            here = runs[which[runs]]
            ax.plot(N[here], D[here], "o", color=colour, markersize=3.6, markeredgewidth=0.5, markeredgecolor=PAPER)
        _best_line(ax, study)
        ax.set_xlim(x[0], x[-1])
        ax.set_ylim(y[0], y[-1])
        log_axis(ax, "x", "params")
        log_axis(ax, "y", "tokens")

    data = table.to_frame()[["params", "tokens", "loss"]].assign(predicted=fit.predicted, residual=fit.residuals)
    return drawn(
        "law", "The runs, and lines of equal loss by the law",
        "Red runs lie above the law, blue ones below it. Green: the best model at each budget.", draw, data,
    )  # fmt: skip


def _best_line(ax: Axes, study: Study) -> None:
    plan = study.found.get("plan")
    if plan is not None:
        good = plan.frontier.bracketed
        ax.plot(plan.frontier.params[good], plan.frontier.tokens[good], color=GREEN, linewidth=1.8)


def _levels(losses: Any) -> Any:
    """Round losses, closer where they are low: evenly spaced over the grid's own losses."""
    wanted = np.quantile(losses, np.linspace(0.02, 0.95, 9))
    digits = 1 if np.ptp(losses) > 2 else 2
    return sorted({round(float(level), digits) for level in wanted})


def residuals_figure(study: Study) -> Figure:
    """What the law misses by, over compute or the input, with the farthest runs named."""
    table, fit = study.table, study.fit
    name = "flops" if "flops" in table else fit.inputs[0]
    x, missed, names = table[name], fit.residuals, names_of(study)
    worst = np.argsort(-np.abs(missed))[: NAMED if len(table) > NAMED + 2 else 1]

    def draw(ax: Axes) -> None:
        runs = np.asarray(thinned(len(table)))
        ax.axhline(0, color=BLUE, linewidth=1.2)
        ax.vlines(x[runs], 0, missed[runs], color=RULE, linewidth=0.7)
        ax.plot(x[runs], missed[runs], "o", color=INK, markersize=3.2, markeredgewidth=0)
        ax.set_xlim(x.min() / 1.4, x.max() * 1.4)
        log_axis(ax, "x", name)
        for place in worst:
            left = np.log(x[place] / x.min()) > 0.5 * np.log(x.max() / x.min())
            ax.annotate(
                short(names[place]), (x[place], missed[place]), xytext=(-6 if left else 6, 0), va="center",
                textcoords="offset points", ha="right" if left else "left", fontsize=8, color=RED,
            )  # fmt: skip
        ax.plot(x[worst], missed[worst], "o", color=RED, markersize=4)
        ax.margins(y=0.12)
        ax.set_ylabel(f"loss {MINUS} law, nats")

    data = pd.DataFrame({"run": names, name: x, "loss": table.loss, "predicted": fit.predicted, "residual": missed})
    return drawn("residuals", "What the law misses by", "The farthest runs are named.", draw, data)


def frontier_figure(study: Study, quantity: Quantity = "params") -> Figure | None:
    """The best model at each budget: by the law with its band, and by the surfaces beside it."""
    plan = study.found.get("plan")
    if plan is None:
        return None
    answers = sorted(
        {answer.flops: answer for answer in (*study.found["ladder"], *plan.answers)}.values(), key=lambda a: a.flops
    )
    flops = np.array([answer.flops for answer in answers])
    rows = {name: np.array([_end(a, quantity, name) for a in answers]) for name in ("estimate", "low", "high")}
    end = plan.frontier.flops.max()
    has_band = bool(np.isfinite(rows["low"]).any())
    others = {"kernel surface": study.found.get("surface"), "network": study.found.get("network")}

    def draw(ax: Axes) -> None:
        if has_band:
            ax.fill_between(flops, rows["low"], rows["high"], color=BLUE, alpha=0.15, linewidth=0)
        near, far = flops <= end, flops >= end
        ax.plot(flops[near], rows["estimate"][near], color=BLUE)
        ax.plot(flops[far], rows["estimate"][far], color=BLUE, linestyle=(0, (3, 2)))
        ax.set_xlim(flops[0] / 2, flops[-1] * 8)
        _say(ax, flops[-1], rows["estimate"][-1], "law", BLUE)
        for (name, other), colour, marker in zip(others.items(), (GREEN, RED), "os", strict=True):
            if other is not None:
                frontier = other["frontier"]
                good = frontier.bracketed
                values = getattr(frontier, quantity)[good]
                ax.plot(frontier.flops[good], values, marker, color=colour, markersize=3, markeredgewidth=0)
                if good.any():
                    _say(ax, frontier.flops[good][-1], values[-1], name, colour)
        log_axis(ax, "x", "flops")
        log_axis(ax, "y", quantity)

    parts = [
        pd.DataFrame(
            {"by": "law", "flops": flops, quantity: rows["estimate"], "low": rows["low"], "high": rows["high"]}
        )
    ]
    for name, other in others.items():
        if other is not None:
            frontier = other["frontier"]
            cells = {
                "by": name,
                "flops": frontier.flops,
                quantity: getattr(frontier, quantity),
                "at_edge": frontier.at_edge,
            }
            parts.append(pd.DataFrame(cells))
    words = {"params": "Best model size at each budget", "tokens_per_param": "Best tokens per parameter at each budget"}
    caption = f"Dashed beyond the runs{f'; the band is of {100 * plan.level:g} % intervals' * has_band}."
    caption += " Dots are read off a surface without a formula." * any(other is not None for other in others.values())
    return drawn(f"best-{quantity.replace('_', '-')}", words[quantity], caption, draw, pd.concat(parts))


def _end(answer: Any, quantity: str, name: str) -> float:
    if name == "estimate":
        return float(answer.numbers[quantity]) if answer.ok else float("nan")
    interval = answer.intervals.get(quantity)
    return float("nan") if interval is None else float(getattr(interval, name))


def _say(ax: Axes, x: float, y: float, words: str, colour: str) -> None:
    """Name a line at its end, so that no legend is needed."""
    ax.annotate(words, (x, y), xytext=(6, 0), textcoords="offset points", color=colour, va="center", fontsize=8.5)
