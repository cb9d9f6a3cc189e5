"""Picture of what walks visit: probability against rank, of nodes and of edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scalefit.drawing import PALETTE, finish, log_axis, new_axes

from .graphs import Graph
from .ranks import Counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE, MARKS = 600, 40  # points of a curve and of counts, evenly over the logarithm of the rank


def plot_ranks(graph: Graph, counts: Counts | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the probabilities of nodes and of directed edges over their rank, as the paper's Fig. 3 [1]_.

    Parameters
    ----------
    graph : Graph
    counts : Counts, optional
        Shares of sampled walks, ranked on their own, as circles: they leave the line where a rank has few visits.
    ax : matplotlib Axes, optional
        A new figure by default.

    References
    ----------
    .. [1] arXiv:2601.10684.

    Examples
    --------
    >>> ax = plot_ranks(Graph.from_edges([(0, 1), (0, 2), (0, 3)]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['4 nodes', '6 directed edges']
    """
    axes = new_axes(ax)
    sources = np.repeat(graph.stationary, graph.degrees)
    laws = ((graph.stationary, "nodes"), (sources * graph.matrix.data, "directed edges"))
    for place, (law, words) in enumerate(laws):
        colour = PALETTE[place]
        axes.plot(*_falling(law, LINE), color=colour, linewidth=1.6, label=f"{len(law):,} {words}", zorder=2)
        if counts is not None:
            seen = (counts.nodes, counts.edges)[place]
            axes.plot(
                *_falling(seen[seen > 0] / seen.sum(), MARKS), "o", markersize=3.6, markerfacecolor="white",
                markeredgecolor=colour, markeredgewidth=0.9, label=f"counted in {seen.sum():,}", zorder=3,
            )  # fmt: skip
    axes.set(xscale="log", yscale="log", ylabel="probability")
    finish(axes, columns=2 if counts is not None else 1)
    axes.set_xlim(left=0.8)
    log_axis(axes, "x", "rank")
    return axes


def _falling(law: NDArray[np.float64], points: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ranks from 1, and the probabilities there."""
    ranks = np.unique(np.geomspace(1, len(law), points).round().astype(np.int64))
    return ranks, np.sort(law)[::-1][ranks - 1]
