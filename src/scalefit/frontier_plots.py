"""Pictures of frontiers: what is best at each budget, by one or more approaches, with bands and exponents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .drawing import EDGE, GREY, PALETTE, finish, log_axis, new_axes, plain
from .exponents import Exponents
from .frontier import Frontier
from .optima import QUANTITIES, Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MARKERS = "os^Dv"
MANY = 20  # budgets from which on their markers are small
#: Exponents of the quantities in the paper's letters.
EXPONENTS = {"params": "a", "tokens": "b", "loss": r"\gamma", "tokens_per_param": "b - a"}


def plot_frontier(
    frontiers: Frontier | Mapping[str, Frontier], quantity: Quantity = "params", *, ax: Axes | None = None
) -> Axes:  # fmt: skip
    """Draw one or more frontiers over the budget, with their 95 % bands and the lines of their exponents.

    Parameters
    ----------
    frontiers : Frontier or mapping of str to Frontier
        Of any approach; the names stand in the legend.
    quantity : {"params", "tokens", "loss", "tokens_per_param"}
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    Axes
        Optima are points, hollow where they are at an edge. A frontier of a bootstrap has a band, but not where an
        optimum is at an edge or its interval is refused. The dashed line is the law that `Frontier.exponents` finds,
        and the legend has its exponent.

    Raises
    ------
    TypeError
        If something is no frontier.
    ValueError
        If there is none, if one has no optimum, or the quantity is unknown.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> best = sf.compute_optimal(sf.fit(sf.Chinchilla, runs), [1e19, 1e20, 1e21])
    >>> [text.get_text() for text in plot_frontier({"law": best}).get_legend().get_texts()]
    ['law: $a = 0.452$']
    """
    several = frontiers if isinstance(frontiers, Mapping) else {"": frontiers}
    if not several:
        raise ValueError("there is no frontier to draw: the mapping is empty.")
    if quantity not in QUANTITIES:
        raise ValueError(f"a frontier has {', '.join(QUANTITIES)}, not {quantity!r}.")
    for name, frontier in several.items():
        _check_frontier(frontier, f"the frontier {name!r}" if name else "this frontier")
    ax = new_axes(ax)
    for place, (name, frontier) in enumerate(several.items()):
        _draw_frontier(ax, frontier, name, quantity, PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)])
    if any(np.any(_at_edge(frontier)) for frontier in several.values()):
        ax.plot([], [], "o", color=GREY, markersize=4, markerfacecolor="white", label=EDGE)
    log_axis(ax, "x", "flops")
    log_axis(ax, "y", quantity)
    finish(ax)
    return ax


def _check_frontier(frontier: Any, name: str) -> None:
    if not isinstance(frontier, Frontier):
        raise TypeError(f"{name} must be a Frontier, as compute_optimal gives, not {type(frontier).__name__}.")
    if not np.isfinite(frontier.params).any():
        raise ValueError(
            f"{name} has no optimum at any of its {len(frontier)} budgets, {frontier.flops.min():.3g} to "
            f"{frontier.flops.max():.3g} FLOPs. Ask for budgets within the runs."
        )


def _at_edge(frontier: Frontier) -> Bools:
    return frontier.at_edge & np.isfinite(frontier.params)


def _draw_frontier(ax: Axes, frontier: Frontier, name: str, quantity: Quantity, colour: str, marker: str) -> None:
    """Points, band and line of one frontier."""
    flops, values = frontier.flops, frontier.optima.get(quantity)[0]
    low, high = _band(frontier, quantity)
    exponent, budgets, line = _law(frontier, quantity)
    band = "" if frontier.draws is None else "95 % band" if np.isfinite(low).any() else "band refused"
    label = ": ".join(filter(None, [", ".join(filter(None, [plain(name), band])), exponent])) or "optimum"
    for place, face, text in ((frontier.bracketed, colour, label), (_at_edge(frontier), "white", "_")):
        ax.plot(
            flops[place], values[place], marker, color=colour, markerfacecolor=face, label=text, zorder=3,
            markersize=4 if len(frontier) < MANY else 3, markeredgewidth=0.8,
        )  # fmt: skip
    ax.plot(budgets, line, color=colour, linewidth=0.8, linestyle=(0, (4, 2)))
    order = np.argsort(flops)
    ax.fill_between(flops[order], low[order], high[order], color=colour, alpha=0.2, linewidth=0)
    ax.vlines(flops, low, high, color=colour, alpha=0.4, linewidth=0.8)  # a single budget has no area


def _band(frontier: Frontier, quantity: Quantity) -> tuple[Floats, Floats]:
    """(m,) ends of the intervals, nan where there is none, one is refused, or the optimum is at an edge."""
    found = np.full((2, len(frontier)), np.nan)
    for place in np.flatnonzero(frontier.bracketed if frontier.draws is not None else []):
        found[:, place] = tuple(frontier.interval(quantity, int(place)))
    return found[0], found[1]


def _law(frontier: Frontier, quantity: Quantity) -> tuple[str, Floats, Floats]:
    """Exponent in words, budgets, and the line over them; nothing where there are too few optima."""
    flops = frontier.flops[frontier.bracketed & frontier.settled]
    if len(np.unique(flops)) > 1:
        found = frontier.exponents()
        exponent, line = _lines(found)[quantity]
        if np.isfinite(exponent):
            budgets = np.geomspace(flops.min() / 1.5, flops.max() * 1.5, 100)
            return f"${EXPONENTS[quantity]} = {exponent:.3f}${_ends(found, quantity)}", budgets, line(budgets)
    return "", np.empty(0), np.empty(0)


def _lines(found: Exponents) -> dict[Quantity, tuple[float, Callable[[Floats], Floats]]]:
    """Exponent and line of each quantity."""
    return {
        "params": (found.a, found.params),
        "tokens": (found.b, found.tokens),
        "loss": (found.gamma, found.loss),
        "tokens_per_param": (found.b - found.a, lambda flops: found.tokens(flops) / found.params(flops)),
    }


def _ends(found: Exponents, quantity: Quantity) -> str:
    """Ends of the interval of an exponent in brackets; nothing where there is none."""
    interval = found.intervals.get(EXPONENTS[quantity].strip("\\"))
    if interval is None:
        return ""
    return " (interval refused)" if interval.refused else f" ({interval.low:.3f} to {interval.high:.3f})"
