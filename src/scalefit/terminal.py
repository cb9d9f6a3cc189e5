"""Text on a terminal: what a user wrote as it is, what the library says as the shell takes it, progress on stderr.

Text that may come from a user (paths, columns, notes) is never read as markup, and its control characters are shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

Advance = Callable[[int, int], None]

PATIENCE = 5.0  # seconds after which a spinner says how much longer

_OPTION = {"columns": "columns", "fixed": "fix", "tied": "tie"}
_SHELL: tuple[
    tuple[str, Callable[[re.Match[str]], str]], ...
] = (  # what a message of the library says in Python, as the command line takes it
    (r"LawRegressor\(law, (fixed=[^)]*)\)", lambda m: m[1]),
    (r"table\.best\(over=\(([^)]*?),?\)\)", lambda m: " ".join(f"--best {n}" for n in re.findall(r"'([^']*)'", m[1]))),
    (r"fit_curves\(\.\.\., along='(\w+)', at='(\w+)'\)", lambda m: f"scalefit curves --along {m[1]} --at {m[2]}"),
    (r"(columns|fixed|tied)=\{'(\w+)': '?([^'}]*)'?\}", lambda m: f"--{_OPTION[m[1]]} {m[2]}={m[3]}"),
    (r"drop_invalid=True", lambda _: "--drop-invalid"),
    (r"flops='6ND'", lambda _: "--flops 6ND"),
    (r"table\.where\('([^']*)'\)", lambda m: f"--where '{m[1]}'"),
    (r"(?:table\.)?where\((?:\.\.\.)?\)", lambda _: "--where"),
    (r"\bcolumns=(?!\{)", lambda _: "--columns"),
    (r", see \.dropped", lambda _: ""),
    (r"\bmin_rows\b", lambda _: "--min-rows"),
    (r"\bby='(\w+)'", lambda m: f"--by {m[1]}"),
    (r"\bby=(?=,)", lambda _: "--by"),
    (r"or by=None\b", lambda _: "or leave out --by"),
    (r"\bmethod='(\w+)'", lambda m: f"--method {m[1]}"),
    (r"\bor use Wild\(residuals='leverage'\)", lambda _: "or, in Python, use Wild(residuals='leverage')"),
    (r"Ask for more resamples", lambda _: "Ask for more --resamples"),
    (r"Pass the cost that made them, such as flops\.transformer\(\.\.\.\)", lambda _: "Or choose --cost transformer"),
    (r"answers nan beyond them", lambda _: "has no answer beyond them"),
    (r"Name the budgets and a larger rtol", lambda _: "Choose a larger --rtol"),
    (r"and use compute_optimal", lambda _: "by leaving out --isoflop"),
    (r"\binputs='(\w+)'", lambda m: f"--inputs {m[1]}"),
    (r"\binputs=\(([^)]*?),?\)", lambda m: " ".join(f"--inputs {n}" for n in re.findall(r"'([^']*)'", m[1]))),
    (r"inputs names no column", lambda _: "--inputs names no column"),
    (r"\bPass device='cpu'", lambda _: "Leave out device=cuda"),
    (r'Name the column of the groups, as in groups="params"', lambda _: "Name the column of the groups: --by params"),
    (r"Try a coarser rtol \(now [^)]*\), or fit", lambda _: "Fit"),
    (r"\bask for a lower level\b", lambda _: "ask for a lower --level"),
)


def visible(text: object) -> str:
    r"""Text on one line whose control and formatting characters are shown as escapes.

    Examples
    --------
    >>> visible("a\x1b[31mb\n")
    'a\\x1b[31mb\\n'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def in_shell(message: str) -> str:
    """Message of the library with the options of the command line for those of Python.

    Examples
    --------
    >>> in_shell("Say which: columns={'params': 'N'}, or pass drop_invalid=True.")
    'Say which: --columns params=N, or pass --drop-invalid.'
    """
    for pattern, words in _SHELL:
        message = re.sub(pattern, words, message)
    return message


def console(*, stderr: bool = False) -> Console:
    """Console that prints text as it is: no markup, no emoji codes, no colouring of numbers."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def print_error(message: str) -> None:
    """One message on stderr; the terminal wraps it, so that paths stay whole."""
    console(stderr=True).print(Text.assemble(("error: ", "bold red"), visible(message)), soft_wrap=True)


@contextmanager
def working(words: str) -> Iterator[Advance]:
    """Show a spinner with the time on stderr while the block runs, if that is a terminal.

    The block is given a function of how much is done, and of how much there is, for the spinner to show; and of what
    takes long, when it should end.
    """
    screen = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(
        *columns, console=screen, transient=True, redirect_stdout=False, redirect_stderr=False,
        disable=not screen.is_terminal,
    ) as progress:  # fmt: skip
        task, start = progress.add_task(visible(words), total=None), monotonic()

        def advance(done: int, total: int) -> None:
            spent = monotonic() - start
            left = f", about {duration(spent * (total - done) / done)} left" if spent > PATIENCE and done else ""
            progress.update(task, description=f"{visible(words)}, {done} of {total}{left}")

        yield advance


def print_note(message: str) -> None:
    """One remark on stderr about what goes on."""
    console(stderr=True).print(Text.assemble(("note: ", "bold yellow"), visible(message)), soft_wrap=True)


def duration(seconds: float) -> str:
    """Time in words, to about 10 %.

    Examples
    --------
    >>> [duration(seconds) for seconds in (0.4, 40, 600, 9000)]
    ['1 s', '40 s', '10 min', '2.5 h']
    """
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def status_line(ok: bool, sentences: Iterable[str], more: Iterable[tuple[str, str]] = ()) -> Table:
    """Verdict in colour and in words, then its sentences, then more under labels of their own."""
    grid, before = Table.grid(padding=(0, 2)), ""
    badge = Text(" OK ", "bold black on green") if ok else Text(" NOT OK ", "bold white on red")
    for row, sentence in enumerate(sentences):
        grid.add_row(badge if row == 0 else "", visible(in_shell(sentence)))
    for label, words in more:
        style = "bold red" if label == "refused" else "bold yellow"
        grid.add_row(Text(f" {label}", style) if label != before else "", visible(in_shell(words)))
        before = label
    return grid


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Grid of labels and words; a label that repeats is printed once."""
    grid, before = Table.grid(padding=(0, 2)), ""
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for label, words in pairs:
        grid.add_row(visible(label) if label != before else "", visible(in_shell(words)))
        before = label
    return grid
