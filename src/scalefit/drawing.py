"""What all pictures share: colours, labels with units, counts in words, axes that pyplot knows nothing of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Okabe and Ito's colours, told apart by colour-blind readers; black is kept for the data.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, GREY = "#1a1a1a", "#8c8c8c"

LABELS = {
    "params": "parameters $N$",
    "tokens": "training tokens $D$",
    "flops": "training compute $C$ (FLOPs)",
    "loss": "loss $L$ (nats per token)",
    "tokens_per_param": "tokens per parameter $D/N$",
}
EDGE = "optimum at an edge"
MOST_LABELS = 8  # slices, or budgets, named in a picture
NARROWED = 0.95  # share of their width that a legend must leave to the axes; our choice
SIZE, DPI = (4.5, 3.2), 150  # inches, of a picture for a screen
BEYOND = (0, (4, 2))  # line of a law beyond its runs
BESIDE = (0, (5, 1.5, 1, 1.5))  # line of a law laid beside

_PAPER: dict[Any, Any] = {
    "figure.figsize": (3.3, 2.4), "figure.dpi": 300, "savefig.dpi": 300, "font.size": 8, "axes.titlesize": 8,
    "legend.title_fontsize": 7, "xtick.labelsize": 7, "ytick.labelsize": 7, "axes.linewidth": 0.6, "lines.linewidth": 1,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "xtick.minor.width": 0.4, "ytick.minor.width": 0.4, "xtick.minor.size": 1.5, "ytick.minor.size": 1.5,
    "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none",
}  # fmt: skip

#: Marks of a logarithmic axis by the decades that it spans at most: counts between powers of ten.
_MARKS = ((1.5, (1.0, 2.0, 5.0)), (2.3, (1.0, 3.0)), (np.inf, (1.0,)))


def count_words(value: float) -> str:
    """Count in words of a paper: 70M, 1.4B, 2T; scientific beyond.

    Examples
    --------
    >>> [count_words(value) for value in (500.0, 7.04e7, 1.4e9, 2e12, 1e21)]
    ['500', '70.4M', '1.4B', '2T', '$10^{21}$']
    """
    value = float(f"{value:.3g}")
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if unit <= value < 1e3 * unit:
            return f"{value / unit:.3g}{letter}"
    if value < 1e3:
        return f"{value:.3g}"
    exponent = int(np.floor(np.log10(value) + 1e-9))
    factor = value / 10.0**exponent
    return f"$10^{{{exponent}}}$" if abs(factor - 1) < 1e-6 else f"${factor:.3g}\\times10^{{{exponent}}}$"


def plain(text: str) -> str:
    r"""Text in which a dollar is a dollar and starts no formula.

    Examples
    --------
    >>> print(plain("cost in $"))
    cost in \$
    """
    return text.replace("$", r"\$")


def new_axes(ax: Axes | None = None) -> Axes:
    """Axes as given, or of a new figure that pyplot knows nothing of, of the size that a style asks for.

    Examples
    --------
    >>> new_axes().figure.get_size_inches().tolist()
    [4.5, 3.2]
    """
    if ax is not None:
        return ax
    from matplotlib import rcParams, rcParamsDefault
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size, dpi = rcParams["figure.figsize"], rcParams["figure.dpi"]
    figure = Figure(
        figsize=SIZE if tuple(size) == tuple(rcParamsDefault["figure.figsize"]) else tuple(size),
        dpi=DPI if dpi == rcParamsDefault["figure.dpi"] else dpi,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    return figure.add_subplot()


@contextmanager
def paper_style() -> Iterator[None]:
    """Pictures that are drawn and saved within print well in one column of a paper.

    The column is 3.3 inches wide, as those of NeurIPS, ICML and ACL nearly are; text is of 8 and 7 points, and stays
    text in PDF and SVG files. Colours are told apart by colour-blind readers in any style.

    Examples
    --------
    >>> import scalefit as sf
    >>> fit = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    >>> with paper_style():
    ...     ax = sf.plot_fit(fit)  # and here ax.figure.savefig("fit.pdf")
    >>> ax.figure.get_size_inches().tolist()
    [3.3, 2.4]
    """
    from matplotlib import rc_context

    with rc_context(_PAPER):
        yield


def named(number: int) -> list[int]:
    """Places of the slices, of so many, that a picture names: all, or eight from the first to the last.

    Examples
    --------
    >>> named(3), named(15)
    ([0, 1, 2], [0, 2, 4, 6, 8, 10, 12, 14])
    """
    return sorted(set(np.linspace(0, number - 1, min(number, MOST_LABELS)).round().astype(int).tolist()))


def size_colours(ax: Axes, params: NDArray[np.float64]) -> Callable[[Any], Any]:
    """Colour of a model size, dark to light, with a bar beside the axes that says which is which.

    Examples
    --------
    >>> ax = new_axes()
    >>> colour = size_colours(ax, np.array([1e8, 1e10]))
    >>> [round(float(part), 2) for part in colour(1e8)], ax.figure.axes[1].get_ylabel()
    ([0.27, 0.0, 0.33, 1.0], 'parameters $N$')
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm

    shades = ListedColormap(colormaps["viridis"](np.linspace(0, 0.9, 256)))  # without yellow, which white drowns
    low, high = float(np.min(params)), float(np.max(params))
    scale = LogNorm(low, high) if low < high else LogNorm(low / 2, high * 2)
    bar = ax.figure.colorbar(ScalarMappable(scale, shades), ax=ax)
    log_axis(bar.ax, "y", "params")
    return lambda params: shades(scale(np.asarray(params, dtype=float)))


def log_axis(ax: Axes, which: Literal["x", "y"], column: str) -> None:
    """Logarithmic axis with its label, marked at as many round counts as are readable between its present limits.

    Examples
    --------
    >>> ax = new_axes()
    >>> _ = ax.set_xlim(5e7, 9e9)
    >>> log_axis(ax, "x", "params")
    >>> ax.get_xlabel(), [count_words(value) for value in ax.get_xticks() if 5e7 < value < 9e9]
    ('parameters $N$', ['100M', '300M', '1B', '3B'])
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    ax.set(**{f"{which}scale": "log", f"{which}label": LABELS.get(column, plain(column))})
    axis = ax.xaxis if which == "x" else ax.yaxis
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    if decades < 1:
        axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=next(marks for most, marks in _MARKS if decades <= most)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: count_words(value)))
    axis.set_minor_formatter(NullFormatter())


def finish(ax: Axes, columns: int = 1) -> None:
    """No frame where nothing is read off, and the legend above, since these pictures leave no corner free.

    Several columns of it become one where they would make the axes narrower.

    Examples
    --------
    >>> ax = new_axes()
    >>> _ = ax.plot([1, 2], [1, 2], label="runs")
    >>> finish(ax)
    >>> ax.spines["top"].get_visible(), [text.get_text() for text in ax.get_legend().get_texts()]
    (False, ['runs'])
    """
    ax.use_sticky_edges = False
    ax.margins(0.04, 0.06)
    ax.spines[["top", "right"]].set_visible(False)
    style: dict[str, Any] = {
        "frameon": False, "loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "fontsize": "small",
        "handlelength": 1.8, "columnspacing": 1.2,
    }  # fmt: skip
    legend = ax.legend(ncols=columns, **style)
    if columns > 1:
        widths = []
        for counts in (False, True):
            legend.set_in_layout(counts)
            ax.figure.figure.draw_without_rendering()  # lays out what is there
            widths.append(ax.get_window_extent().width)
        if widths[1] < NARROWED * widths[0]:
            ax.legend(**style)
