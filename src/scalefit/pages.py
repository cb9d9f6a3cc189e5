"""A page as a value, and as HTML: one file that loads nothing, and in which everything from a table stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from .inlining import SUPERSCRIPTS, Figure
from .terminal import visible

FOLDER = Path(__file__).parent / "templates"
Words = str  # or Markup, whose tags are ours
PLAIN = {sign: digit for digit, sign in SUPERSCRIPTS.items()}
RAISED = re.compile(f"[{''.join(map(chr, PLAIN))}]+")


@dataclass(frozen=True)
class Card:
    """One of the answers on the first screen.

    Examples
    --------
    >>> Card("What are the laws?", "L = 2", ("of 6 runs",), "law").tone
    ''
    """

    question: str
    answer: Words
    lines: tuple[Words, ...]
    target: str
    tone: str = ""


@dataclass(frozen=True)
class Listing:
    """A short table; a folded one is opened by its title.

    Attributes
    ----------
    head, rows : sequences of text
        The first column holds names.
    words : set of int
        Columns of sentences, aligned to the left.

    Examples
    --------
    >>> Listing(("run", "loss"), [("a", "2.5")]).folded
    False
    """

    head: Sequence[Words]
    rows: Sequence[Sequence[Words]]
    title: str = ""
    caption: str = ""
    note: Words = ""
    folded: bool = False
    words: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """A question of the report: what was found in a sentence, then what shows it.

    Examples
    --------
    >>> Section("law", "The law", "Loss falls.").figures
    ()
    """

    name: str
    kicker: str
    headline: Words
    paragraphs: tuple[Words, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Listing, ...] = ()
    notes: tuple[Words, ...] = ()


@dataclass(frozen=True)
class Word:
    """An entry of the glossary.

    Examples
    --------
    >>> Word("window", "Window", "Some of the runs.").anchor
    'window'
    """

    anchor: str
    term: str
    meaning: Words


@dataclass(frozen=True)
class Page:
    """Everything that a report says.

    Examples
    --------
    >>> page = Page("<runs>", "Loss falls", "", (), (), (), "scalefit report", (), "1")
    >>> "<title>&lt;runs&gt;" in render(page)
    True
    """

    name: str
    headline: Words
    deck: Words
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    protocol: tuple[tuple[str, Words], ...]
    command: str
    glossary: tuple[Word, ...]
    version: str
    alerts: tuple[Words, ...] = field(default=())


def render(page: Page) -> str:
    r"""HTML of a page.

    Examples
    --------
    >>> html = render(Page("runs", "x" + chr(7), "", (), (), (), "", (), "1"))
    >>> html.startswith("<!doctype html>"), "x\\x07" in html
    (True, True)
    """
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (FOLDER / "report.css").read_text(encoding="utf-8")
    html: str = _template().render(
        page=page, style=Markup(style), script=Markup(script), script_hash=Markup(f"sha256-{digest}")
    )
    return html


@cache
def _template() -> Any:
    """The template: every text is escaped, and its control characters are shown, unless it is markup of ours."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.filters["raised"] = raised
    return environment.get_template("report.html.j2")


def raised(words: Words) -> Markup:
    """Words with their exponents raised by the page's own type, since the signs for them differ in size in many fonts.

    Examples
    --------
    >>> raised("below 3x10\u00b2\u2070 <b>")
    Markup('below 3x10<sup>20</sup> &lt;b&gt;')
    """
    text = str(escape(words if isinstance(words, Markup) else visible(words)))
    return Markup(RAISED.sub(lambda found: f"<sup>{found[0].translate(PLAIN)}</sup>", text))


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)
