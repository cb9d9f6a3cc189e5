"""Pictures of losses over params and tokens: the surface, and its valleys along lines of equal budget.

As in `plotting`, every function draws on the axes that it is given, or on a new figure that is not part of pyplot's
state, and returns the axes. A surface without a formula ends at the convex hull of its runs; a law goes a bit beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull

from .allocation import compute_optimal
from .costs import Cost, spend
from .drawing import BESIDE, EDGE, GREY, INK, LABELS, PALETTE, count_words, finish, log_axis, named, new_axes, plain
from .flops import six_nd
from .frontier import Frontier
from .hull import hull_of
from .laws import Law
from .overlays import Beside, best_of, losses, named_laws
from .result import Fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

OPTIMUM = PALETTE[1]  # colour of optima, where they are drawn on a surface
BESIDES = (PALETTE[0], PALETTE[3], INK)  # colours of the optima of other laws
BEYOND = 2.0  # ours: factor in params or tokens by which a law is drawn beyond its runs
AROUND = 4.0  # ours: factor in params around an optimum that is farther out
NEAR = 1.25  # ours: factor of a budget within which a run is drawn beside its valley
POINTS = 120  # of a grid, along each axis
PALE = 0.45  # share of white in the colours of a surface, so that black runs stand out


def plot_surface(
    fit: Fit, frontier: Frontier | None = None, *, beside: Beside | None = None, cost: Cost = six_nd,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw the loss over params and tokens: the runs and their hull, lines of equal budget, the optima on them.

    Parameters
    ----------
    fit : Fit
        Of a law or a surface of params and tokens.
    frontier : Frontier, optional
        Its optima are marked, hollow where they are at an edge; eight of its budgets at most are drawn. Without one,
        the lines are at round budgets.
    beside : Law, Fit, or mapping of str to these, optional
        Published laws, `sf.HOFFMANN_2022`, or other fits: the line of their best models.
    cost : callable
        FLOPs of given params and tokens, as in `compute_optimal`.
    ax : matplotlib Axes, optional
        A new figure by default. The colour bar takes its place from them.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        If this is no fit of params and tokens, or no frontier, or what is laid beside is no law.
    ValueError
        If the frontier has no optimum, the runs of a surface lie on a line, or a law beside takes other columns.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> fit = sf.fit(sf.Chinchilla, runs)
    >>> ax = plot_surface(fit, sf.compute_optimal(fit, [1e19, 1e20, 1e21]))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('parameters $N$', 'training tokens $D$')
    """
    _check_fit(fit)
    others, corners, ends = named_laws(beside), _corners(fit), []
    places = np.empty(0, dtype=np.intp) if frontier is None else _places(frontier)
    budgets = _round_budgets(fit, cost) if frontier is None else frontier.flops[places]
    optima = np.full(len(budgets), np.nan) if frontier is None else frontier.params[places]
    ax = new_axes(ax)
    _draw_losses(fit, corners, ax)
    for budget, optimum in zip(budgets, optima, strict=True):
        x, y = _isoflop(fit, corners, budget, cost, optimum)
        ax.plot(x, y, color=INK, linewidth=0.5, alpha=0.6)
        ends.append((budget, x, y))
    params, tokens = np.exp(_log_runs(fit)).T
    ax.plot(params, tokens, "o", color=INK, markersize=2, label="runs")
    if fit.hull.rank == 2:
        ax.plot(*np.exp(_polygon(_log_runs(fit))).T, ":", color=INK, linewidth=0.8, label="hull of the runs")
    if frontier is not None:
        _draw_optima(ax, frontier, places, frontier.tokens)
    for (name, law), colour in zip(others.items(), BESIDES, strict=False):
        x, y = _best_models(law, fit, corners, cost)
        ax.plot(x, y, color=colour, linewidth=1.4, linestyle=BESIDE, label=f"{plain(name)} optimum")
    log_axis(ax, "x", "params")
    log_axis(ax, "y", "tokens")
    finish(ax, columns=2)
    _name_budgets(ax, ends, va="top")
    return ax


def plot_valleys(
    fit: Fit, budgets: Frontier | ArrayLike, *, beside: Beside | None = None, cost: Cost = six_nd,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw the loss over params along lines of equal budget, with the optimum of each and the runs nearby.

    A law is dashed beyond the hull of its runs.

    Parameters
    ----------
    fit : Fit
        Of a law or a surface of params and tokens.
    budgets : Frontier or array_like, FLOPs
        The optima that are marked, hollow where they are at an edge; of budgets those that `compute_optimal` finds.
        Eight at most are drawn.
    beside : Law, Fit, or mapping of str to these, optional
        Published laws, `sf.HOFFMANN_2022`, or other fits: dash-dotted along each budget, in its colour.
    cost : callable
        FLOPs of given params and tokens, as in `compute_optimal`.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    Axes
        A run is a point if its flops, or its cost where the table has none, are within 1.25 times a budget.

    Raises
    ------
    TypeError, ValueError
        As in `plot_surface` and `compute_optimal`.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> ax = plot_valleys(sf.fit(sf.Chinchilla, runs), [1e19, 1e20])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['runs near a budget', 'optimum']
    """
    from matplotlib import colormaps

    _check_fit(fit)
    others, corners, ends = named_laws(beside), _corners(fit), []
    frontier = budgets if isinstance(budgets, Frontier) else compute_optimal(fit, budgets, cost=cost)
    places = _places(frontier)
    near = _nearest(fit, frontier.flops[places], cost)
    ax = new_axes(ax)
    for row, place in enumerate(places):
        colour = colormaps["viridis"](0.85 * row / max(len(places) - 1, 1))
        x, tokens = _isoflop(fit, corners, frontier.flops[place], cost, frontier.params[place])
        loss = np.asarray(fit(params=x, tokens=tokens), dtype=float)
        inside = fit.hull.contains(np.log(np.stack([x, tokens], axis=1)))
        ax.plot(x, loss, color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
        ax.plot(x, np.where(inside, loss, np.nan), color=colour, linewidth=1.6)
        ax.plot(fit.table["params"][near == row], fit.table.loss[near == row], "o", color=colour, markersize=3)
        ends.append((frontier.flops[place], x, loss))
        for law in others.values():
            heights = losses(law, {"params": x, "tokens": tokens}, only="params")
            ax.plot(x, heights, color=colour, linewidth=1.0, linestyle=BESIDE)
    ax.plot([], [], "o", color=GREY, markersize=3, label="runs near a budget")
    for name in others:
        ax.plot([], [], color=GREY, linewidth=1.0, linestyle=BESIDE, label=plain(name))
    _draw_optima(ax, frontier, places, frontier.loss)
    log_axis(ax, "x", "params")
    ax.set_ylabel(_loss_label(fit))
    finish(ax, columns=2 if others else 3)
    _name_budgets(ax, ends, va="center")
    return ax


def _places(frontier: Frontier) -> NDArray[np.intp]:
    """Budgets that are drawn, in ascending order: those with an optimum, eight at most."""
    if not isinstance(frontier, Frontier):
        raise TypeError(f"this is no Frontier, as compute_optimal gives, but {type(frontier).__name__}.")
    found = np.flatnonzero(np.isfinite(frontier.params))
    if not len(found):
        raise ValueError(
            f"the frontier has no optimum at any of its {len(frontier)} budgets, {frontier.flops.min():.3g} to "
            f"{frontier.flops.max():.3g} FLOPs. Ask for budgets within the runs."
        )
    return found[np.argsort(frontier.flops[found])][named(len(found))]


def _counted(fit: Fit) -> Bools:
    """(n,) runs that were fitted: those with a weight."""
    counted: Bools = np.ones(len(fit.table), dtype=bool) if fit.weights is None else fit.table[fit.weights] > 0
    return counted


def _log_runs(fit: Fit) -> Floats:
    """(n, 2) log params and log tokens of the runs that were fitted."""
    logs: Floats = np.log(np.stack([fit.table["params"], fit.table["tokens"]], axis=1))[_counted(fit)]
    return logs


def _polygon(points: Floats) -> Floats:
    """(v + 1, 2) corners of the convex hull, the first again at the end."""
    corners = ConvexHull(points).vertices
    closed: Floats = points[np.append(corners, corners[0])]
    return closed


def _corners(fit: Fit) -> Floats:
    """(v + 1, 2) corners of what is drawn, in logarithms: of the hull of the runs, and a bit beyond for a law."""
    runs = _log_runs(fit)
    if fit.has_law:
        steps = np.log(BEYOND) * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        return _polygon((runs[:, None] + steps).reshape(-1, 2))
    if fit.hull.rank < 2:
        raise ValueError(
            "the params and tokens of this surface vary only together: it has a line, and no area to draw."
        )
    return _polygon(runs)


def _grid(corners: Floats) -> tuple[Floats, Floats]:
    """Params and tokens, (G, H) arrays, that cover the inside of a convex polygon up to its sides."""
    x = np.union1d(np.linspace(corners[:, 0].min(), corners[:, 0].max(), POINTS), corners[:, 0])
    starts, ends = corners[:-1], corners[1:]
    sloped = starts[:, 0] != ends[:, 0]
    (x0, y0), (x1, y1) = starts[sloped].T[:, :, None], ends[sloped].T[:, :, None]
    share = (x - x0) / (x1 - x0)
    sides = np.where((share >= 0) & (share <= 1), y0 + share * (y1 - y0), np.nan)
    low, high = np.nanmin(sides, axis=0)[:, None], np.nanmax(sides, axis=0)[:, None]
    y = low + (high - low) * np.linspace(0, 1, POINTS)
    return np.exp(np.broadcast_to(x[:, None], y.shape)), np.exp(y)


def _isoflop(fit: Fit, corners: Floats, budget: float, cost: Cost, optimum: float) -> tuple[Floats, Floats]:
    """Params and tokens that spend a budget, within a polygon; of a law also around an optimum that is farther out."""
    reach = np.log(AROUND)
    far = [np.log(optimum) - reach, np.log(optimum) + reach] if fit.has_law and np.isfinite(optimum) else []
    ends = [*corners[:, 0], *far]
    log_params = np.linspace(min(ends), max(ends), 4 * POINTS)
    tokens = spend(cost, np.asarray(budget), np.exp(log_params), "tokens")
    possible = np.isfinite(tokens)
    log_params, tokens = log_params[possible], tokens[possible]
    shown = hull_of(corners).contains(np.stack([log_params, np.log(tokens)], axis=1))
    if far and not (shown.any() and log_params[shown].min() <= np.log(optimum) <= log_params[shown].max()):
        shown |= np.abs(log_params - np.log(optimum)) <= reach
    kept = slice(np.argmax(shown), len(shown) - np.argmax(shown[::-1])) if shown.any() else slice(0)
    return np.exp(log_params[kept]), tokens[kept]


def _round_budgets(fit: Fit, cost: Cost) -> Floats:
    """Round budgets between the least and the largest of the runs: decades, or closer if there are few."""
    spent = np.asarray(cost(*np.exp(_log_runs(fit)).T), dtype=float)
    decades = 10.0 ** np.arange(np.floor(np.log10(spent.min())), np.ceil(np.log10(spent.max())))
    found: list[float] = []
    for marks in ((1,), (1, 3), (1, 2, 5)):
        found = [mark * decade for decade in decades for mark in marks if spent.min() < mark * decade < spent.max()]
        if len(found) > 2:
            break
    return np.array([found[place] for place in named(len(found))])


def _nearest(fit: Fit, budgets: Floats, cost: Cost) -> NDArray[np.intp]:
    """(n,) place of the budget that each run is near, -1 for none."""
    table = fit.table
    spent = table["flops"] if "flops" in table else np.asarray(cost(table["params"], table["tokens"]), dtype=float)
    off = np.abs(np.log(spent)[:, None] - np.log(budgets))
    return np.where(_counted(fit) & (off.min(axis=1) <= np.log(NEAR)), off.argmin(axis=1), -1)


def _draw_losses(fit: Fit, corners: Floats, ax: Axes) -> None:
    """Filled contours in steps of round losses, and their colour bar."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.ticker import MaxNLocator

    x, y = _grid(corners)
    loss = np.ma.masked_invalid(fit(params=x, tokens=y))
    levels = MaxNLocator(18, steps=[1, 2, 2.5, 5, 10]).tick_values(float(loss.min()), float(loss.max()))
    pale = ListedColormap(PALE + (1 - PALE) * colormaps["viridis"](np.linspace(0, 1, 256))[:, :3])
    filled = ax.contourf(x, y, loss, levels, cmap=pale)
    if loss.min() < loss.max():
        ax.contour(x, y, loss, levels, colors="white", linewidths=0.5)
    ax.figure.colorbar(filled, ax=ax, label=_loss_label(fit))


def _draw_optima(ax: Axes, frontier: Frontier, places: NDArray[np.intp], y: Floats) -> None:
    """Optima over params, joined where they are bracketed, hollow where they are at an edge."""
    good, edge = places[frontier.bracketed[places]], places[frontier.at_edge[places]]
    ax.plot(frontier.params[good], y[good], "o-", color=OPTIMUM, linewidth=1.2, markersize=4.5, label="optimum")
    if len(edge):
        style: dict[str, Any] = {"markersize": 4.5, "markerfacecolor": "white", "label": EDGE}
        ax.plot(frontier.params[edge], y[edge], "o", color=OPTIMUM, **style)


def _check_fit(fit: Any) -> None:
    if not isinstance(fit, Fit) or set(fit.inputs) != {"params", "tokens"}:
        what = f"a fit of {', '.join(fit.inputs)}" if isinstance(fit, Fit) else type(fit).__name__
        raise TypeError(f"this picture is of a Fit of params and tokens, not of {what}.")


def _best_models(law: Law | Fit, fit: Fit, corners: Floats, cost: Cost) -> tuple[Floats, Floats]:
    """Params and tokens of a law's best models within a polygon."""
    spent = np.asarray(cost(*np.exp(corners).T), dtype=float)
    budgets = np.geomspace(spent.min(), spent.max(), 4 * POINTS)
    x, y = (best_of(law, budgets, name, cost) for name in ("params", "tokens"))
    shown = hull_of(corners).contains(np.log(np.stack([x, y], axis=1)))
    return np.where(shown, x, np.nan), np.where(shown, y, np.nan)


def _name_budgets(ax: Axes, lines: Sequence[tuple[float, Floats, Floats]], *, va: str) -> None:
    """Budgets, the first with its unit, beside the ends of their lines with the largest model, where there is room."""
    from matplotlib.patheffects import withStroke

    names: list[Annotation] = []
    for budget, x, y in sorted(lines, key=lambda line: line[0]):
        known = np.flatnonzero(np.isfinite(y))
        if len(known):
            words = count_words(float(f"{budget:.2g}"))
            names.append(ax.annotate(
                f"$C$ = {words} FLOPs" if not names else words, (x[known[-1]], y[known[-1]]), xytext=(3, -1),
                textcoords="offset points", ha="left", va=va, color=INK, fontsize="x-small",
                path_effects=[withStroke(linewidth=1.5, foreground="white")],
            ))  # fmt: skip
    ax.figure.figure.draw_without_rendering()  # lays out what is there: only then is it known what touches
    kept: list[Bbox] = []
    for name in names:
        box = name.get_window_extent()
        if any(box.overlaps(other) for other in kept):
            name.remove()
        else:
            kept.append(box)


def _loss_label(fit: Fit) -> str:
    return LABELS["loss"] if fit.ok else f"{LABELS['loss']}, fit not ok"
