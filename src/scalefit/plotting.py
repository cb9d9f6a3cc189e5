"""Pictures of fits: law and points, residuals, and the curves of a table. matplotlib is loaded when one is drawn.

Every function draws on the axes that it is given, or on a new figure that is not part of pyplot's state; it returns the
axes, so that `plot_fit(fit).figure.savefig("fit.pdf")` works anywhere, without a display.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .curves import Curves
from .drawing import (
    BESIDE,
    BEYOND,
    GREY,
    INK,
    LABELS,
    PALETTE,
    count_words,
    finish,
    log_axis,
    named,
    new_axes,
    plain,
    size_colours,
)
from .flops import six_nd
from .latex import in_math
from .laws import Law
from .overlays import Beside, along, at_runs, losses, named_laws, sizes_of, tokens_at
from .result import Fit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

MOST_FORMULA = 24  # letters of a formula in a legend: a column of eleven letters
MOST_SIZES = 6  # model sizes that a fit of params and tokens has a line for


def plot_fit(
    fits: Fit | Sequence[Fit],
    beside: Beside | None = None,
    *,
    ax: Axes | None = None,
    labels: Sequence[str] | None = None,
    held_out: pd.DataFrame | None = None,
    reach: float | None = None,
) -> Axes:
    r"""Draw the runs and one or more laws: solid within the data, dashed beyond; others beside them dash-dotted.

    Laws of one column are drawn over it, with E as a thin line. A fit of params and tokens is drawn over compute, a
    line per model size.

    Parameters
    ----------
    fits : Fit or sequence of Fit
        Of one and the same column, or one fit of params and tokens; the points are those of the first.
    beside : Law, Fit, or mapping of str to these, optional
        Published laws, or other fits, to compare with: `sf.HOFFMANN_2022`. Other inputs that such a law takes are
        those of the runs: a line where they are constant, else a cross at each run.
    ax : matplotlib Axes, optional
        A new figure by default.
    labels : sequence of str, optional
        One per fit, with formulas between dollars; by default its formula, or its name, and exponents.
    held_out : DataFrame, optional
        Runs that were not fitted, drawn hollow: `table.to_frame().query("not kept")`.
    reach : float
        How far beyond the largest run the laws are drawn, as a factor: 10 by default. Of a fit of params and tokens,
        beyond the tokens of each size: 2.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        If what is laid beside is no law with numbers, and no fit.
    ValueError
        If a fit takes other columns, or the fits take different ones; if a law beside takes a column that the table
        has not; if reach is below 1.

    Examples
    --------
    >>> import scalefit as sf
    >>> ax = sf.plot_fit(sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params"), sf.HOFFMANN_2022)
    >>> ax.get_xlabel(), [text.get_text() for text in ax.get_legend().get_texts()]
    ('parameters $N$', ['$E + A N^{-\\alpha}$, $\\alpha$ = 0.149', 'Hoffmann 2022', 'runs'])
    """
    if reach is not None and not 1 <= reach < np.inf:
        raise ValueError(f"reach must be a factor from 1 on, such as 10, not {reach!r}.")
    others = named_laws(beside)
    several = (fits,) if isinstance(fits, Fit) else tuple(fits)
    if len(several) == 1 and set(several[0].inputs) == {"params", "tokens"}:
        return _over_compute(several[0], others, new_axes(ax), _names(several, labels)[0], held_out, reach or 2.0)
    fits, column = _one_column(several)
    names = _names(fits, labels)
    ax, reach = new_axes(ax), reach or 10.0
    table = fits[0].table
    drawn = table[column] if held_out is None else np.concatenate([table[column], held_out[column]])
    low, high = float(np.min(drawn)), float(np.max(drawn))
    colours = _colours(len(fits) + len(others))
    for fit, name, colour in zip(fits, names, colours, strict=False):
        _draw_law(ax, fit, name, colour, (low / 1.5, float(np.max(fit.table[column])), high * reach))
    x = np.geomspace(low / 1.5, high * reach, 300)
    for (name, law), colour in zip(others.items(), colours[len(fits) :], strict=True):
        line = along(law, fits[0], x)
        if line is None:
            ax.plot(table[column], at_runs(law, fits[0]), "x", color=colour, markersize=4, label=plain(name))
        else:
            ax.plot(x, line, color=colour, linewidth=1.2, linestyle=BESIDE, label=plain(name))
    _draw_points(ax, table[column], table.loss, held_out, column)
    ax.set_xlim(low / 1.5, high * reach)
    _tidy(ax, column, LABELS["loss"])
    ax.legend(frameon=False)
    return ax


def _over_compute(
    fit: Fit, others: Mapping[str, Law | Fit], ax: Axes, name: str, held_out: pd.DataFrame | None, reach: float
) -> Axes:
    """Loss over C = 6 N D: the runs, and for some model sizes the lines of the fit and of the laws beside it."""
    table, colour = fit.table, size_colours(ax, fit.table["params"])
    for N in sizes_of(fit, MOST_SIZES):
        low, high = tokens_at(fit, N)
        for ends, style in (((low, high), "-"), ((high, high * reach), BEYOND)):
            D = np.geomspace(*ends, 100)
            ax.plot(six_nd(N, D), fit(params=N, tokens=D), color=colour(N), linewidth=1.4, linestyle=style)
            for law in others.values():
                heights = losses(law, {"params": np.full_like(D, N), "tokens": D}, only="tokens")
                ax.plot(six_nd(N, D), heights, color=colour(N), linewidth=1.0, linestyle=BESIDE)
    spent = six_nd(table["params"], table["tokens"])
    ax.scatter(spent, table.loss, s=8, c=colour(table["params"]), linewidths=0, zorder=3)
    ax.plot([], [], color=GREY, linewidth=1.4, label=name)
    for other in others:
        ax.plot([], [], color=GREY, linewidth=1.0, linestyle=BESIDE, label=plain(other))
    ax.plot([], [], "o", color=GREY, markersize=3, label="runs")
    if held_out is not None:
        at, edges = six_nd(held_out["params"], held_out["tokens"]), colour(held_out["params"])
        ax.scatter(at, held_out["loss"], s=14, facecolors="white", edgecolors=edges, label="held out", zorder=3)
    _tidy(ax, "flops", LABELS["loss"])
    ax.set_xlabel("training compute $C = 6ND$ (FLOPs)")
    finish(ax)
    return ax


def plot_residuals(
    fits: Fit | Sequence[Fit],
    beside: Beside | None = None,
    *,
    ax: Axes | None = None,
    labels: Sequence[str] | None = None,
    held_out: pd.DataFrame | None = None,
) -> Axes:
    """Draw how far the runs lie from one or more laws: measured minus predicted loss.

    Laws of one column are drawn over it, others over the loss that they predict.

    Parameters
    ----------
    fits, beside, ax, labels, held_out
        As in `plot_fit`; held-out runs lie in a shaded range, their distances dashed. How far the runs lie from the
        laws beside is drawn as crosses.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        As in `plot_fit`.

    Examples
    --------
    >>> import scalefit as sf
    >>> sf.plot_residuals(sf.fit(sf.PowerLaw, sf.load("pythia"), inputs="params")).get_ylabel()
    'measured $-$ predicted (nats)'
    """
    several, others = (fits,) if isinstance(fits, Fit) else tuple(fits), named_laws(beside)
    if several and all(len(fit.inputs) > 1 for fit in several):
        return _residuals_over_prediction(several, others, new_axes(ax), _names(several, labels), held_out)
    fits, column = _one_column(several)
    ax = new_axes(ax)
    ax.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
    for fit, name, colour in zip(fits, _names(fits, labels), _colours(len(fits)), strict=True):
        x, order = fit.table[column], np.argsort(fit.table[column], kind="stable")
        ax.plot(x[order], fit.residuals[order], "o-", color=colour, markersize=4, linewidth=1.2, label=name)
        if held_out is not None:
            later = held_out.sort_values(column)
            path = np.concatenate([x[order][-1:], later[column]])
            heights = np.concatenate([fit.residuals[order][-1:], later["loss"] - fit(later[column])])
            ax.plot(path, heights, "--", color=colour, linewidth=1.2)
            ax.plot(path[1:], heights[1:], "o", color=colour, markersize=5, markerfacecolor="white")
    for (name, law), colour in zip(others.items(), _colours(len(fits) + len(others))[len(fits) :], strict=True):
        away = fits[0].table.loss - at_runs(law, fits[0])
        ax.plot(fits[0].table[column], away, "x", color=colour, markersize=4, label=plain(name))
    _tidy(ax, column, "measured $-$ predicted (nats)")
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0))  # residuals leave no corner free
    return ax


def _residuals_over_prediction(
    fits: Sequence[Fit], others: Mapping[str, Law | Fit], ax: Axes, names: Sequence[str], held_out: pd.DataFrame | None
) -> Axes:
    ax.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
    for fit, name, colour in zip(fits, names, _colours(len(fits)), strict=True):
        ax.plot(fit.predicted, fit.residuals, "o", color=colour, markersize=3.5, alpha=0.8, label=name)
        if held_out is not None:
            predicted = fit(*(held_out[column] for column in fit.inputs))
            ax.plot(predicted, held_out["loss"] - predicted, "o", color=colour, markersize=5, markerfacecolor="white")
    for (name, law), colour in zip(others.items(), _colours(len(fits) + len(others))[len(fits) :], strict=True):
        predicted = at_runs(law, fits[0])
        ax.plot(predicted, fits[0].table.loss - predicted, "x", color=colour, markersize=3.5, label=plain(name))
    ax.set_xlabel("predicted loss (nats per token)")
    ax.set_ylabel("measured $-$ predicted (nats)")
    ax.spines[["top", "right"]].set_visible(False)
    if len(fits) + len(others) > 1:
        finish(ax)
    return ax


def plot_curves(curves: Curves, beside: Beside | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw every slice of a table with its law, dark to light in the order of the fixed value.

    Parameters
    ----------
    curves : Curves
    beside : Law, Fit, or mapping of str to these, optional
        As in `plot_fit`: dash-dotted along each slice, in its colour.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 2e8, 4e8, 8e8], tokens=[1e10, 1e11]))
    >>> ax = sf.plot_curves(sf.fit_curves(sf.PowerLaw, runs, along="params", at="tokens"))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['10B', '100B']
    """
    from matplotlib import colormaps

    others = named_laws(beside)
    ax = new_axes(ax)
    S, handles = len(curves), []
    for row, (value, fit) in enumerate(zip(curves.values, curves, strict=True)):
        colour = colormaps["viridis"](0.85 * row / max(S - 1, 1))
        x = fit.table[curves.along]
        reach = (float(x.min()) / 1.2, float(x.max()), float(x.max()) * 1.2)
        line = _draw_law(ax, fit, "", colour, reach, floor=False)
        if row in named(S):
            handles.append((line, count_words(float(value)) + ("" if fit.ok else " (not ok)")))
        for law in others.values():
            at = np.geomspace(reach[0], reach[2], 200)
            heights = losses(law, {curves.along: at, curves.at: np.full_like(at, value)}, only=curves.along)
            ax.plot(at, heights, color=colour, linewidth=1.0, linestyle=BESIDE)
        ax.plot(x, fit.table.loss, "o", color=colour, markersize=3.5)
    _tidy(ax, curves.along, LABELS["loss"])
    lines, words = zip(*handles, strict=True)
    slices = _beside_axes(ax, LABELS.get(curves.at, plain(curves.at)), handles=lines, labels=words)
    if others:
        ax.add_artist(slices).set_clip_box(None)  # else the layout takes it for something within the axes
        for name in others:
            ax.plot([], [], color=GREY, linewidth=1.0, linestyle=BESIDE, label=plain(name))
        finish(ax)
    return ax


def _one_column(fits: Fit | Sequence[Fit]) -> tuple[tuple[Fit, ...], str]:
    """Fits as a tuple, and the column that they share."""
    several = (fits,) if isinstance(fits, Fit) else tuple(fits)
    columns = {fit.inputs for fit in several}
    if len(columns) != 1 or len(next(iter(columns))) != 1:
        found = "; ".join(", ".join(names) for names in sorted(columns)) or "no fit"
        raise ValueError(
            f"this picture is of laws of one and the same column, not of {found}. Fit a slice, or lay one fit beside "
            "another."
        )
    return several, next(iter(columns))[0]


def _names(fits: Sequence[Fit], labels: Sequence[str] | None) -> list[str]:
    if labels is not None and len(labels) != len(fits):
        raise ValueError(f"there are {len(fits)} fits and {len(labels)} labels; give one label per fit.")
    names = labels if labels is not None else [_formula(fit) for fit in fits]
    return [name if fit.ok else f"{name} (not ok)" for name, fit in zip(names, fits, strict=True)]


def _formula(fit: Fit) -> str:
    """The law and its exponents; by its name where its formula is too wide for a picture."""
    if not fit.has_law:
        return plain(fit.formula.partition("(")[0])
    exponents = [term.exponent for term in getattr(fit.law, "terms", ())]
    short = len(fit.inputs) == 1 and len(fit.formula) <= MOST_FORMULA
    words = in_math(fit.formula) if short else type(fit.law).__name__
    return ", ".join([words, *(f"{in_math(name)} = {fit.parameters[name]:.3g}" for name in exponents)])


def _draw_law(
    ax: Axes, fit: Fit, label: str, colour: Any, reach: tuple[float, float, float], *, floor: bool = True
) -> Line2D:
    """One law from the first to the third value of `reach`, dashed from the second on."""
    start, last, end = reach
    inside, beyond = np.geomspace(start, last, 200), np.geomspace(last, end, 100)
    (line,) = ax.plot(inside, fit(inside), color=colour, linewidth=1.6, label=label or "_")
    ax.plot(beyond, fit(beyond), color=colour, linewidth=1.6, linestyle=BEYOND)
    E = fit.parameters.get("E", 0.0)
    if floor and E > 0:
        ax.axhline(E, color=colour, linewidth=0.6, linestyle=":")
        ax.annotate(
            f"$E$ = {E:.2f}", (1, E), xycoords=("axes fraction", "data"), xytext=(-2, 2), textcoords="offset points",
            ha="right", va="bottom", color=colour, fontsize="small",
        )  # fmt: skip
    return line


def _draw_points(ax: Axes, x: Any, loss: Any, held_out: pd.DataFrame | None, column: str) -> None:
    ax.plot(x, loss, "o", color=INK, markersize=5, label="runs", zorder=3)
    if held_out is not None:
        ax.plot(
            held_out[column], held_out["loss"], "o", color=INK, markerfacecolor="white", markersize=5.5,
            label="held out", zorder=3,
        )  # fmt: skip


def _beside_axes(ax: Axes, title: str, **shown: Any) -> Legend:
    """Legend right of the axes."""
    return ax.legend(title=title, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), **shown)


def _colours(n: int) -> list[str]:
    return [PALETTE[k % len(PALETTE)] for k in range(n)]


def _tidy(ax: Axes, column: str, y_label: str) -> None:
    """Log axis in counts, labels with units, no frame where nothing is read off."""
    log_axis(ax, "x", column)
    ax.set_ylabel(y_label)
    ax.spines[["top", "right"]].set_visible(False)
