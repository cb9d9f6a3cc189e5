"""What a study says in words and short tables; every number comes from the study, none is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from .figures import LETTERS, SYMBOLS, UNITS, names_of
from .formula import SeparableLaw
from .inlining import MINUS, count, number, short
from .intervals import Doubt, Interval
from .movement import Windows
from .pages import Words
from .status import Status
from .studies import Study

STILL = 1e-6  # relative change that is none


def power(base: str, exponent: float, digits: int = 3) -> Markup:
    """Power as a page shows it.

    Examples
    --------
    >>> power("C", 0.51390)
    Markup('C<sup>0.514</sup>')
    """
    return Markup("{}<sup>{}</sup>").format(base, number(exponent, digits))


def letter(column: str) -> str:
    """Letter of a column in a formula; the name of a column that has none.

    Examples
    --------
    >>> letter("tokens"), letter("width")
    ('D', 'width')
    """
    return LETTERS.get(column, short(column))


def symbol(statistic: str) -> str:
    """Symbol of a statistic: Greek where papers have it.

    Examples
    --------
    >>> [symbol(name) for name in ("alpha", "E", "allocation_exponent")]
    ['α', 'E', 'a']
    """
    return SYMBOLS.get(statistic, statistic)


def formula(study: Study) -> Markup | str:
    """The law with its numbers.

    Examples
    --------
    >>> import scalefit as sf
    >>> from scalefit.studies import Settings, study
    >>> formula(study(sf.load("pythia").where("kept"), "pythia", Settings(resamples=10)))
    Markup('L = 1.047 + 22.64/N<sup>0.1486</sup>')
    """
    law = study.fit.law
    if not isinstance(law, SeparableLaw):
        numbers = ", ".join(f"{symbol(name)} = {number(value)}" for name, value in study.fit.parameters.items())
        return f"{type(law).__name__}: {numbers}"
    values, parts = study.fit.parameters, list[Markup]()
    for term in law.terms:
        x, A, exponent = letter(study.fit.inputs[term.column]), values[term.amplitude], values[term.exponent]
        if term.g == "log":
            parts.append(Markup("{}/{}").format(number(A), power(x, exponent, 4)))
        else:
            parts.append(Markup("{} exp({}{} {})").format(number(A), MINUS, number(exponent), x))
    floor = [Markup(number(values["E"]))] if values.get("E") else []
    return Markup("L = ") + Markup(" + ").join([*floor, *parts])


def ends(interval: Interval | None, show: Any = number) -> str:
    """Ends of an interval, or that there is none.

    Examples
    --------
    >>> ends(Interval("a", 0.5, 0.45, 0.54, 0.02, 0.95, "percentile_t"))
    '0.45 to 0.54'
    """
    if interval is None or not np.isfinite(interval.low):
        return "no interval"
    return f"{show(interval.low)} to {show(interval.high)}"


def share(level: float) -> str:
    """Coverage in per cent.

    Examples
    --------
    >>> share(0.95)
    '95 %'
    """
    return f"{100 * level:g} %"


def linked(word: Doubt | Status) -> Markup:
    """Name of a status or a doubt, linked to what it means.

    Examples
    --------
    >>> linked(Status.COLLINEAR)
    Markup('<a href="#word-status-collinear">collinear</a>')
    """
    return Markup('<a href="#{}">{}</a>').format(f"word-{anchor(word)}", word.name.lower().replace("_", " "))


def anchor(word: Doubt | Status) -> str:
    """Name of a status or a doubt in an address.

    Examples
    --------
    >>> anchor(Doubt.FAR)
    'doubt-far'
    """
    return f"{type(word).__name__.lower()}-{word.name.lower().replace('_', '-')}"


def doubts_of(study: Study) -> list[Doubt]:
    """Every doubt about an interval that the page shows, most severe first."""
    found = {doubt for interval in study.intervals.values() for doubt, _ in interval.doubts}
    return sorted(found, key=list(Doubt).index)


def range_of(values: ArrayLike) -> str:
    """Smallest and largest of counts.

    Examples
    --------
    >>> range_of([7e7, 1.2e10]), range_of([3e11, 3e11])
    ('70M to 12B', '300B')
    """
    low, high = (count(float(end)) for end in (np.min(values), np.max(values)))
    return low if low == high else f"{low} to {high}"


def sentences(items: Iterable[str]) -> str:
    """Items in one sentence: a, b and c.

    Examples
    --------
    >>> sentences(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def why(study: Study, *names: str) -> tuple[str, ...]:
    """Why analyses are not there, a sentence each."""
    return tuple(study.missing[name] for name in names if name in study.missing)


def strongest_run(study: Study) -> tuple[float, str] | None:
    """How far the one run that matters most moves the statistic, and that in words; None where it is not known."""
    found = study.found.get("influence")
    if found is None or not np.isfinite(found.units["effect"]).any():
        return None
    effects = found.units["effect"].abs()
    unit = found.units.loc[effects.idxmax()]
    change = f"{number(found.estimate + unit['effect'], 3)} instead of {number(found.estimate, 3)}"
    run = short(names_of(study)[int(unit["row"])], 60)
    return float(effects.max()), f"Without {run} alone, {symbol(found.statistic)} is {change}"


def window_words(study: Study, row: Any) -> str:
    """Which runs a window leaves out, in words."""
    column = study.found["windows"].column
    unit, low, high = UNITS.get(column, column), count(row["low"]), count(row["high"])
    words = {
        "from": f"without the runs below {low} {unit}",
        "up to": f"without the runs above {high} {unit}",
    }
    return words.get(str(row["kind"]), f"on the runs from {low} to {high} {unit} alone")


def telling_window(found: Windows) -> Any:
    """The window that moves the statistic furthest; if noise explains that one but not another, the plainest."""
    furthest, plainest = found.furthest, found.plainest
    explained = furthest is not None and abs(furthest["beyond"]) <= 1
    return plainest if found.holds is False and explained and plainest is not None else furthest


def is_moved(found: Windows) -> bool:
    """Whether leaving out runs changes the statistic at all: not where what is fixed gives it."""
    return abs(found.moved) > STILL * abs(found.estimate.value)


def without_empty(head: Sequence[Words], rows: Sequence[Sequence[Words]]) -> tuple[Any, Any]:
    """Head and rows of a table without its last column, if that says nothing.

    Examples
    --------
    >>> without_empty(("a", ""), [("1", "")])
    (('a',), [('1',)])
    """
    if any(row[-1] for row in rows):
        return head, rows
    return head[:-1], [row[:-1] for row in rows]


def formulas(many: int) -> str:
    """Other formulas, counted.

    Examples
    --------
    >>> formulas(1), formulas(4)
    ('1 other formula fits', '4 other formulas fit')
    """
    return f"{many} other formula{'s' * (many != 1)} fit{'s' * (many == 1)}"
