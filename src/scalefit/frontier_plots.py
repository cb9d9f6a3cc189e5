"""Pictures of frontiers: what is best at each budget, by one or more approaches, with bands and exponents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .drawing import BESIDE, EDGE, GREY, PALETTE, finish, log_axis, new_axes, plain
from .exponents import Exponents
from .frontier import Frontier
from .optima import QUANTITIES, Quantity
from .overlays import Beside, best_of, named_laws

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MARKERS = "os^Dv"
MANY = 20  # budgets from which on their markers are small
STRAIGHT = 1e-3  # change of a slope along a line that is none
#: Exponents of the quantities in the paper's letters.
EXPONENTS = {"params": "a", "tokens": "b", "loss": r"\gamma", "tokens_per_param": "b - a"}


def plot_frontier(
    frontiers: Frontier | Mapping[str, Frontier], quantity: Quantity = "params", *, beside: Beside | None = None,
    level: float = 0.95, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw one or more frontiers over the budget, with their bands and the lines of their exponents.

    Parameters
    ----------
    frontiers : Frontier or mapping of str to Frontier
        Of any approach; the names stand in the legend.
    quantity : {"params", "tokens", "loss", "tokens_per_param"}
    beside : Law, Fit, or mapping of str to these, optional
        Published laws of params and tokens, `sf.HOFFMANN_2022`, or other fits: what is best by C = 6 N D, dash-dotted.
    level : float
        Of the bands, and of the intervals of the exponents.
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
        If something is no frontier, or no law.
    ValueError
        If there is none, if one has no optimum, the quantity is unknown, or the level no share.

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
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level must be between 0 and 1, such as 0.95, not {level!r}.")
    others, budgets = named_laws(beside), np.concatenate([frontier.flops for frontier in several.values()])
    ax = new_axes(ax)
    for place, (name, frontier) in enumerate(several.items()):
        colour, marker = PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]
        _draw_frontier(ax, frontier, name, quantity, level, colour, marker)
    x = np.geomspace(budgets.min() / 1.5, budgets.max() * 1.5, 100)
    for place, (name, law) in enumerate(others.items(), start=len(several)):
        colour, y = PALETTE[place % len(PALETTE)], best_of(law, x, quantity)
        ax.plot(x, y, color=colour, linewidth=1.2, linestyle=BESIDE, label=plain(name) + _slope(x, y, quantity))
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


def _draw_frontier(
    ax: Axes, frontier: Frontier, name: str, quantity: Quantity, level: float, colour: str, marker: str
) -> None:
    """Points, band and line of one frontier."""
    flops, values = frontier.flops, frontier.optima.get(quantity)[0]
    low, high = _band(frontier, quantity, level)
    exponent, budgets, line = _law(frontier, quantity, level)
    band = "" if frontier.draws is None else f"{100 * level:g} % band" if np.isfinite(low).any() else "band refused"
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


def _band(frontier: Frontier, quantity: Quantity, level: float) -> tuple[Floats, Floats]:
    """(m,) ends of the intervals, nan where there is none, one is refused, or the optimum is at an edge."""
    found = np.full((2, len(frontier)), np.nan)
    for place in np.flatnonzero(frontier.bracketed if frontier.draws is not None else []):
        found[:, place] = tuple(frontier.interval(quantity, int(place), level))
    return found[0], found[1]


def _law(frontier: Frontier, quantity: Quantity, level: float) -> tuple[str, Floats, Floats]:
    """Exponent in words, budgets, and the line over them; nothing where there are too few optima."""
    flops = frontier.flops[frontier.bracketed & frontier.settled]
    if len(np.unique(flops)) > 1:
        found = frontier.exponents(level=level)
        exponent, line = _lines(found)[quantity]
        if np.isfinite(exponent):
            budgets = np.geomspace(flops.min() / 1.5, flops.max() * 1.5, 100)
            return f"${EXPONENTS[quantity]} = {exponent:.3f}${_ends(found, quantity)}", budgets, line(budgets)
    return "", np.empty(0), np.empty(0)


def _slope(flops: Floats, values: Floats, quantity: Quantity) -> str:
    """Exponent of a law's best models in words; nothing where the line bends, or the loss has a limit."""
    slopes = np.diff(np.log(values)) / np.diff(np.log(flops))
    straight = quantity != "loss" and np.all(np.abs(slopes - slopes.mean()) < STRAIGHT)
    return f": ${EXPONENTS[quantity]} = {slopes.mean():.3f}$" if straight else ""


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
