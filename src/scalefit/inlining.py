"""Figures for a page: matplotlib axes as inline SVG whose text is text and whose colours follow the page's theme."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from .terminal import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 4.8, 3.4  # inches: readable on a phone, two or three side by side on a desk
LONGEST = 26  # letters of a name in a figure
MOST_DRAWN = 1500  # points of a cloud; its CSV has them all

#: Stand-ins by which matplotlib is told a colour of the page's theme, and the variable of CSS that takes its place.
INK, MUTED, RULE, PAPER = "#010101", "#020202", "#030303", "#040404"
BLUE, RED, GREEN, AMBER = "#050505", "#060606", "#070707", "#080808"
THEME = {
    INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper", BLUE: "blue", RED: "red", GREEN: "green", AMBER: "amber",
}  # fmt: skip

STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "scalefit", "text.parse_math": False, "axes.unicode_minus": True,
    "font.size": 9.6, "axes.edgecolor": MUTED, "axes.labelcolor": MUTED, "axes.linewidth": 0.7, "text.color": INK,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.major.width": 0.7, "ytick.major.width": 0.7,
    "xtick.minor.width": 0.4, "ytick.minor.width": 0.4, "xtick.minor.size": 0, "ytick.minor.size": 0,
    "figure.facecolor": "none", "axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "lines.linewidth": 1.6, "hatch.linewidth": 0.5,
}  # fmt: skip

MINUS, TIMES, NONE = "\u2212", "\u00d7", "\u2013"  # the signs themselves, not a hyphen or a letter

_TEXT = re.compile(r"font-family: [^;\"]*;?\s*")
_TURNED = re.compile(r" transform=\"rotate\(-0 [^)]*\)\"")
_TAG = re.compile(r"<[^>]*>")
_IDS = re.compile(r"\b(id=\"|href=\"#|url\(#)")
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclass(frozen=True)
class Figure:
    r"""A figure of a page: its drawing, its caption, and the numbers that it shows.

    Attributes
    ----------
    name : str
        Of its files and of its element on the page.
    title : str
        What it shows, in a sentence.
    caption : str
        How to read it.
    svg : str
        An element `svg`; every text from a table is escaped in it.
    csv : str
        The numbers that it shows.

    Examples
    --------
    >>> made = drawn("line", "A line", "", lambda ax: ax.plot([1, 2], [1, 2], color=BLUE), pd.DataFrame({"x": [1, 2]}))
    >>> "var(--blue)" in made.svg, made.csv
    (True, 'x\r\n1\r\n2\r\n')
    """

    name: str
    title: str
    caption: str
    svg: str
    csv: str


def drawn(
    name: str, title: str, caption: str, draw: Callable[[Axes], Any], data: pd.DataFrame, *, height: float = HEIGHT,
    width: float = WIDTH,
) -> Figure:  # fmt: skip
    """Draw on new axes, and put the result into a page.

    Parameters
    ----------
    name : str
        Letters, digits and hyphens.
    title, caption : str
    draw : callable
        Draws on the axes that it is given, in the colours of this room.
    data : DataFrame
        What the figure shows.
    height, width : float, inches

    Examples
    --------
    >>> drawn("empty", "Nothing", "", lambda ax: None, pd.DataFrame()).svg[:27]
    '<svg role="img" class="plot'
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    style: Any = STYLE
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser has its own fonts
        figure = Canvas(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        layout: Any = figure.get_layout_engine()
        layout.set(w_pad=0.02, h_pad=0.03)
        draw(figure.add_subplot())
        written = StringIO()
        undated = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(written, format="svg", metadata=undated)
    return Figure(name, title, caption, _inline(written.getvalue(), name), to_csv(data))


def _inline(svg: str, name: str) -> str:
    """The element alone: no declarations, no styles of its own that would reach the page, ids that are its own."""
    body = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="([^"]*)"', body)
    inner = body[body.index(">") + 1 : body.rindex("</svg>")]
    inner = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", inner, count=1, flags=re.DOTALL)
    inner = _TAG.sub(lambda found: _tag(found[0], name), inner)  # words between tags stay as they are
    inner = re.sub(r"\n\s*", "\n", inner).replace("L \n", "L ")
    assert box is not None
    return f'<svg role="img" class="plot" viewBox="{box[1]}" aria-labelledby="{name}-title">{inner}</svg>'


def _tag(tag: str, name: str) -> str:
    """A tag with ids of its figure, and the colours and letters of the page."""
    tag = _IDS.sub(lambda found: f"{found[1]}{name}-", tag)
    tag = _TURNED.sub("", _TEXT.sub("", tag)).replace("xlink:href", "href")
    for colour, variable in THEME.items():
        tag = tag.replace(colour, f"var(--{variable})")
    return tag


def to_csv(data: pd.DataFrame) -> str:
    r"""CSV in which no cell is a formula to a spreadsheet: texts that begin like one get an apostrophe before them.

    Examples
    --------
    >>> to_csv(pd.DataFrame({"run": ["=1+1", "a"], "loss": [-2.5, 3.0]}))
    "run,loss\r\n'=1+1,-2.5\r\na,3.0\r\n"
    """
    guarded = data.rename(columns=lambda column: _harmless(str(column)))
    text = guarded.map(lambda cell: _harmless(cell) if isinstance(cell, str) else cell)
    return str(text.to_csv(index=False, lineterminator="\r\n"))


def _harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula, whatever stands before its first letter and however wide it is."""
    first = unicodedata.normalize("NFKC", text.lstrip()[:1])
    return f"'{text}" if first in set("=+-@|%") or text[:1] in set("\t\r\n") else text


# --- Words and axes ---


def short(text: object, most: int = LONGEST) -> str:
    """Name that fits into a figure.

    Examples
    --------
    >>> short("a" * 40, 6)
    'aaaaa…'
    """
    name = visible(text)
    return name if len(name) <= most else f"{name[: most - 1]}…"


def number(value: float | None, digits: int = 4) -> str:
    """Number with at most four significant digits, powers of ten with superscripts.

    Examples
    --------
    >>> [number(value) for value in (0.34731, 12845.6, 5.88e23, 0.0, -2.5e-7, float("nan"))]
    ['0.3473', '12850', '5.88×10²³', '0', '−2.5×10⁻⁷', '–']
    """
    if value is None or not np.isfinite(value):
        return NONE
    text = f"{value:.{digits}g}"
    if "e" in text and 1 <= abs(value) < 1e6:
        text = f"{float(text):.0f}"
    if "e" in text:
        factor, power = text.split("e")
        raised = str(int(power)).translate(SUPERSCRIPTS)
        text = f"10{raised}" if factor == "1" else f"{factor}{TIMES}10{raised}"
    elif 0 < abs(value) < 1e-3:
        exponent = int(np.floor(np.log10(abs(value))))
        text = f"{value / 10.0**exponent:.{digits}g}{TIMES}10{str(exponent).translate(SUPERSCRIPTS)}"
    return text.replace("-", MINUS)


def count(value: float | None) -> str:
    """Count in words of a paper, three significant digits: 70.4M, 1.4B, 2T; powers of ten beyond.

    Examples
    --------
    >>> [count(value) for value in (500.0, 7.04e7, 1.4e9, 2e12, 3e21)]
    ['500', '70.4M', '1.4B', '2T', '3×10²¹']
    """
    if value is None or not np.isfinite(value):
        return NONE
    value = float(f"{value:.3g}")
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if unit <= value < 1e3 * unit:
            return f"{value / unit:.3g}{letter}"
    return number(value, 3)


NAMES = {
    "params": "parameters", "tokens": "training tokens", "flops": "training compute, FLOPs",
    "loss": "loss, nats per token", "tokens_per_param": "tokens per parameter",
}  # fmt: skip


def log_axis(ax: Axes, which: Literal["x", "y"], column: str) -> None:
    """Logarithmic axis with a label in words, marked where counts are round, sparsely enough to be read.

    Examples
    --------
    >>> import matplotlib.figure
    >>> ax = matplotlib.figure.Figure().add_subplot()
    >>> _ = ax.set_xlim(1e18, 1e22)
    >>> log_axis(ax, "x", "flops")
    >>> ax.get_xlabel()
    'training compute, FLOPs'
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ax.set(**{f"{which}scale": "log", f"{which}label": NAMES.get(column, short(column))})
    axis = ax.xaxis if which == "x" else ax.yaxis
    low, high = axis.get_view_interval()
    axis.set_major_locator(FixedLocator(marks(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def marks(low: float, high: float, most: int = 6) -> list[float]:
    """Round counts between two, at most so many, evenly spaced in logarithms.

    Examples
    --------
    >>> [count(mark) for mark in marks(4e7, 2e10)]
    ['100M', '300M', '1B', '3B', '10B']
    """
    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    for kept in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        found = [mark * 10.0**decade for decade in decades for mark in kept]
        found = [value for value in found if low * 0.999 <= value <= high * 1.001]
        if len(found) <= most:
            break
    if len(found) < 3:
        from matplotlib.ticker import MaxNLocator

        values = MaxNLocator(most - 1, steps=[1, 2, 5, 10]).tick_values(low, high)
        return [float(f"{value:.6g}") for value in values if low <= value <= high]
    step = int(np.ceil(len(found) / most))
    return found[::step]


def thinned(rows: int) -> Sequence[int]:
    """Places of so many rows that a figure draws: all, or every k-th.

    Examples
    --------
    >>> len(thinned(100)), len(thinned(10_000)) <= MOST_DRAWN
    (100, True)
    """
    return range(0, rows, max(1, int(np.ceil(rows / MOST_DRAWN))))
