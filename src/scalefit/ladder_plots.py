"""The picture of an entropy ladder: exponents of every data set over its entropy."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from .drawing import GREY, PALETTE, finish, new_axes, plain
from .ladder import EntropyLadder
from .sheets import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .intervals import Interval

NAMES = {"alpha": r"$\alpha_D$: loss over parameters", "beta": r"$\beta_N$: loss over tokens"}
MARKERS = {"alpha": "o", "beta": "s"}
BARS = {"alpha": 2.4, "beta": 1.0}  # widths of bars that lie upon each other
REFUSED = "an interval is refused"
ROOM = 0.48  # of the height that the points need, for names
LINE, LINES = 13, 3  # letters of a line of a name that fit into it, and lines of a name
NEAR = 0.05  # of their width: lines that are nearer have names on two sides


def plot_ladder(ladder: EntropyLadder, *, ax: Axes | None = None) -> Axes:
    """Draw the exponents of the data sets of a ladder over their entropies, as Fig. 2 of arXiv:2601.10684.

    Parameters
    ----------
    ladder : EntropyLadder
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    Axes
        Bars are intervals; where one is refused there is none, and the point is hollow. Lines join points of one
        exponent, in the order of entropy. Each data set has its name beside its entropy.

    Raises
    ------
    TypeError
        If this is no ladder.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e6, 1e9, 6), tokens=np.geomspace(1e7, 1e10, 6))
    >>> law = sf.Chinchilla(E=1.7, A=50, B=200, alpha=0.3, beta=0.3)
    >>> ax = plot_ladder(sf.entropy_ladder({"text": sf.simulate(law, design, noise=0.001)}, resamples=50))
    >>> ax.get_xlabel()
    'entropy proxy, smallest $E$ (nats per token)'
    """
    if not isinstance(ladder, EntropyLadder):
        raise TypeError(f"plot_ladder draws an EntropyLadder, as entropy_ladder gives, not {type(ladder).__name__}.")
    ax = new_axes(ax)
    entropies = [rung.entropy for rung in ladder]
    for colour, exponent in zip(PALETTE, NAMES, strict=False):
        _draw(ax, entropies, [getattr(rung, exponent) for rung in ladder], exponent, colour)
    if any(interval.refused for rung in ladder for interval in (rung.entropy, rung.alpha, rung.beta)):
        ax.plot([], [], "o", color=GREY, markersize=4.5, markerfacecolor="white", label=REFUSED)
    ax.set(xlabel="entropy proxy, smallest $E$ (nats per token)", ylabel="exponent")
    finish(ax)
    _name(ax, ladder)
    return ax


def _name(ax: Axes, ladder: EntropyLadder) -> None:
    """Name of each data set beside its line, beneath the points, where the axis is made longer for it."""
    ax.margins(x=0.1)  # of a name, beside the axis too
    low, high = ax.get_ylim()
    ax.set_ylim(low - ROOM * (high - low), high)
    left, right = ax.get_xlim()
    below = [*(rung.entropy.estimate for rung in ladder.rungs[1:]), -np.inf]  # of each, the next lower entropy
    for rung, lower in zip(ladder, below, strict=True):
        here = rung.entropy.estimate
        crowded = here - lower < NEAR * (right - left)  # the name of the lower one stands on its left
        ax.axvline(here, color=GREY, linewidth=0.5, linestyle=":", zorder=0)
        ax.annotate(
            plain(_folded(visible(rung.name))), (here, 0.0), xycoords=("data", "axes fraction"),
            xytext=(2 if crowded else -1, 3), textcoords="offset points", rotation=90,
            ha="left" if crowded else "right", va="bottom", fontsize="small",
        )  # fmt: skip


def _folded(name: str) -> str:
    """Name on a few short lines, cut where they do not hold it."""
    return "\n".join(wrap(name, LINE, max_lines=LINES, placeholder="..."))


def _draw(ax: Axes, entropies: list[Interval], exponents: list[Interval], name: str, colour: str) -> None:
    """Points, bars of both directions and the line between points of one exponent."""
    x, y = (np.array([interval.estimate for interval in found]) for found in (entropies, exponents))
    ax.plot(x, y, color=colour, linewidth=0.8, alpha=0.5, zorder=1)
    for place, (across, up) in enumerate(zip(entropies, exponents, strict=True)):
        ax.vlines(x[place], up.low, up.high, color=colour, linewidth=BARS[name], alpha=0.6)
        ax.hlines(y[place], across.low, across.high, color=colour, linewidth=BARS[name], alpha=0.6)
        hollow = across.refused or up.refused
        ax.plot(
            x[place], y[place], MARKERS[name], color=colour, markerfacecolor="white" if hollow else colour,
            markersize=4.5, zorder=3,
        )  # fmt: skip
    ax.plot([], [], MARKERS[name], color=colour, markersize=4.5, label=NAMES[name])
