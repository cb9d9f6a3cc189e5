"""Pictures of fits: law and points, residuals, and the curves of a table. matplotlib is loaded when one is drawn.

Every function draws on the axes that it is given, or on a new figure that is not part of pyplot's state; it returns the
axes, so that `plot_fit(fit).figure.savefig("fit.pdf")` works anywhere, without a display.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .curves import Curves
from .drawing import GREY, INK, LABELS, PALETTE, count_words, log_axis, named, new_axes, plain
from .result import Fit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def plot_fit(
    fits: Fit | Sequence[Fit],
    *,
    ax: Axes | None = None,
    labels: Sequence[str] | None = None,
    held_out: pd.DataFrame | None = None,
    reach: float = 10.0,
) -> Axes:
    """Draw the runs and one or more laws of one column: solid within the data, dashed beyond, E as a thin line.

    Parameters
    ----------
    fits : Fit or sequence of Fit
        Of one and the same column; the points are those of the first.
    ax : matplotlib Axes, optional
        A new figure by default.
    labels : sequence of str, optional
        One per fit; by default its formula and exponent.
    held_out : DataFrame, optional
        Runs that were not fitted, drawn hollow: `table.to_frame().query("not kept")`.
    reach : float
        How far beyond the largest run the laws are drawn, as a factor.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If a fit takes two columns, or the fits take different ones.

    Examples
    --------
    >>> import scalefit as sf
    >>> ax = sf.plot_fit(sf.fit(sf.PowerLaw, sf.load("pythia"), inputs="params"))
    >>> ax.get_xlabel()
    'parameters $N$'
    """
    fits, column = _one_column(fits)
    names = _names(fits, labels)
    ax = new_axes(ax)
    table = fits[0].table
    drawn = table[column] if held_out is None else np.concatenate([table[column], held_out[column]])
    low, high = float(np.min(drawn)), float(np.max(drawn))
    for fit, name, colour in zip(fits, names, _colours(len(fits)), strict=True):
        _draw_law(ax, fit, name, colour, (low / 1.5, float(np.max(fit.table[column])), high * reach))
    _draw_points(ax, table[column], table.loss, held_out, column)
    ax.set_xlim(low / 1.5, high * reach)
    _tidy(ax, column, LABELS["loss"])
    ax.legend(frameon=False)
    return ax


def plot_residuals(
    fits: Fit | Sequence[Fit],
    *,
    ax: Axes | None = None,
    labels: Sequence[str] | None = None,
    held_out: pd.DataFrame | None = None,
) -> Axes:
    """Draw how far the runs lie from one or more laws: measured minus predicted loss.

    Laws of one column are drawn over it, others over the loss that they predict.

    Parameters
    ----------
    fits, ax, labels, held_out
        As in `plot_fit`; held-out runs lie in a shaded range, their distances dashed.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        As in `plot_fit`.

    Examples
    --------
    >>> import scalefit as sf
    >>> sf.plot_residuals(sf.fit(sf.PowerLaw, sf.load("pythia"), inputs="params")).get_ylabel()
    'measured $-$ predicted (nats)'
    """
    several = (fits,) if isinstance(fits, Fit) else tuple(fits)
    if several and all(len(fit.inputs) > 1 for fit in several):
        return _residuals_over_prediction(several, new_axes(ax), _names(several, labels), held_out)
    fits, column = _one_column(fits)
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
    _tidy(ax, column, "measured $-$ predicted (nats)")
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0))  # residuals leave no corner free
    return ax


def _residuals_over_prediction(
    fits: Sequence[Fit], ax: Axes, names: Sequence[str], held_out: pd.DataFrame | None
) -> Axes:
    ax.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
    for fit, name, colour in zip(fits, names, _colours(len(fits)), strict=True):
        ax.plot(fit.predicted, fit.residuals, "o", color=colour, markersize=3.5, alpha=0.8, label=name)
        if held_out is not None:
            predicted = fit(*(held_out[column] for column in fit.inputs))
            ax.plot(predicted, held_out["loss"] - predicted, "o", color=colour, markersize=5, markerfacecolor="white")
    ax.set_xlabel("predicted loss (nats per token)")
    ax.set_ylabel("measured $-$ predicted (nats)")
    ax.spines[["top", "right"]].set_visible(False)
    if len(fits) > 1:
        ax.legend(frameon=False, fontsize="small")
    return ax


def plot_curves(curves: Curves, *, ax: Axes | None = None) -> Axes:
    """Draw every slice of a table with its law, dark to light in the order of the fixed value.

    Parameters
    ----------
    curves : Curves
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

    ax = new_axes(ax)
    S = len(curves)
    for row, (value, fit) in enumerate(zip(curves.values, curves, strict=True)):
        colour = colormaps["viridis"](0.85 * row / max(S - 1, 1))
        x = fit.table[curves.along]
        label = count_words(float(value)) + ("" if fit.ok else " (not ok)")
        reach = (float(x.min()) / 1.2, float(x.max()), float(x.max()) * 1.2)
        _draw_law(ax, fit, label if row in named(S) else "", colour, reach, floor=False)
        ax.plot(x, fit.table.loss, "o", color=colour, markersize=3.5)
    _tidy(ax, curves.along, LABELS["loss"])
    ax.legend(
        title=LABELS.get(curves.at, plain(curves.at)), frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    return ax


def _one_column(fits: Fit | Sequence[Fit]) -> tuple[tuple[Fit, ...], str]:
    """Fits as a tuple, and the column that they share."""
    several = (fits,) if isinstance(fits, Fit) else tuple(fits)
    columns = {fit.inputs for fit in several}
    if len(columns) != 1 or len(next(iter(columns))) != 1:
        found = "; ".join(", ".join(names) for names in sorted(columns)) or "no fit"
        raise ValueError(
            f"this picture is of laws of one and the same column, not of {found}. Fit a slice, or a curve."
        )
    return several, next(iter(columns))[0]


def _names(fits: Sequence[Fit], labels: Sequence[str] | None) -> list[str]:
    if labels is not None and len(labels) != len(fits):
        raise ValueError(f"there are {len(fits)} fits and {len(labels)} labels; give one label per fit.")
    names = labels if labels is not None else [_formula(fit) for fit in fits]
    return [name if fit.ok else f"{name} (not ok)" for name, fit in zip(names, fits, strict=True)]


def _formula(fit: Fit) -> str:
    terms = getattr(fit.law, "terms", ()) if fit.has_law else ()
    exponents = [term.exponent for term in terms]
    return ", ".join([plain(fit.formula), *(f"{name} = {fit.parameters[name]:.3g}" for name in exponents)])


def _draw_law(
    ax: Axes, fit: Fit, label: str, colour: Any, reach: tuple[float, float, float], *, floor: bool = True
) -> None:
    """One law from the first to the third value of `reach`, dashed from the second on."""
    start, last, end = reach
    inside, beyond = np.geomspace(start, last, 200), np.geomspace(last, end, 100)
    ax.plot(inside, fit(inside), color=colour, linewidth=1.6, label=label or "_")
    ax.plot(beyond, fit(beyond), color=colour, linewidth=1.6, linestyle=(0, (4, 2)))
    E = fit.parameters.get("E", 0.0)
    if floor and E > 0:
        ax.axhline(E, color=colour, linewidth=0.6, linestyle=":")
        ax.annotate(
            f"$E$ = {E:.2f}", (1, E), xycoords=("axes fraction", "data"), xytext=(-2, 2), textcoords="offset points",
            ha="right", va="bottom", color=colour, fontsize="small",
        )  # fmt: skip


def _draw_points(ax: Axes, x: Any, loss: Any, held_out: pd.DataFrame | None, column: str) -> None:
    ax.plot(x, loss, "o", color=INK, markersize=5, label="runs", zorder=3)
    if held_out is not None:
        ax.plot(
            held_out[column], held_out["loss"], "o", color=INK, markerfacecolor="white", markersize=5.5,
            label="held out", zorder=3,
        )  # fmt: skip


def _colours(n: int) -> list[str]:
    return [PALETTE[k % len(PALETTE)] for k in range(n)]


def _tidy(ax: Axes, column: str, y_label: str) -> None:
    """Log axis in counts, labels with units, no frame where nothing is read off."""
    log_axis(ax, "x", column)
    ax.set_ylabel(y_label)
    ax.spines[["top", "right"]].set_visible(False)
