"""How results look in a terminal: status first, then numbers, then how they came about.

Text that may come from a user (paths, columns, notes) is never read as markup, and its control characters are shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

    from .datasets import Dataset
    from .result import Curves, Fit
    from .table import LossTable

LISTED = 20  # dropped rows on the screen; JSON has all

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
    (r"(?:table\.)?where\((?:\.\.\.)?\)", lambda _: "--where"),
    (r"\bcolumns=(?!\{)", lambda _: "--columns"),
    (r", see \.dropped", lambda _: ""),
    (r"\bmin_rows\b", lambda _: "--min-rows"),
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
def working(words: str) -> Iterator[None]:
    """Show a spinner with the time on stderr while the block runs, if that is a terminal."""
    screen = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(
        *columns, console=screen, transient=True, redirect_stdout=False, redirect_stderr=False,
        disable=not screen.is_terminal,
    ) as progress:  # fmt: skip
        progress.add_task(visible(words), total=None)
        yield


def fit_screen(fit: Fit, name: str) -> Group:
    """Everything about one fit: status, parameters with units, objective, protocol, table."""
    numbers = Table.grid(padding=(0, 2))
    for no_wrap in (True, True, False):  # a number stays whole on a narrow screen
        numbers.add_column(no_wrap=no_wrap, overflow="fold")
    for parameter, value in fit.parameters.items():
        unit = Text.assemble(_unit(fit, parameter), (_constraint(fit, parameter), "yellow"))
        numbers.add_row(Text(parameter, "bold"), f"{value:.6g}", unit)
    return Group(
        status_line(fit.ok, fit.notes or (fit.status.value,)),
        *([_facts((" note   ", remark) for remark in fit.remarks)] if fit.remarks else []),
        "",
        Text.assemble((visible(fit.formula), "bold"), f"    {visible(name)}, {len(fit.table)} rows"),
        Padding(numbers, (0, 0, 1, 2)),
        _facts([*_how(fit), *_table_facts(fit.table)]),
    )


def curves_screen(curves: Curves, name: str, rival: pd.DataFrame | None, rival_name: str) -> Group:
    """One row per slice, the mean over slices, and what is wrong with which slice."""
    good = sum(fit.ok for fit in curves)
    verdict = [f"{good} of {len(curves)} slices are ok"]
    verdict += [f"{words}: {count:g}" for words, count in curves.left_out.items() if count]
    first = curves[0]
    means = [
        (f"mean {parameter}", f"{curves.mean(parameter):.4g}, sd {curves.sd(parameter):.3g} over ok slices")
        for parameter in first.parameters
        if good > 1 and parameter not in (first.model.fixed or {})
    ]
    if rival is not None:
        means.append(("ratio", f"mean squared error of the {rival_name} / of this law; above 1 this law is closer"))
    wrong = [
        (f"{curves.at} {value:.4g}", note)
        for value, fit in zip(curves.values, curves, strict=True)
        for note in (*fit.notes, *fit.remarks)
    ]
    return Group(
        status_line(curves.ok, verdict),
        "",
        Text.assemble(
            (visible(first.formula), "bold"), f" at each {visible(curves.at)}    {visible(name)}, {len(curves)} slices"
        ),
        _slices(curves, rival),
        _facts([*wrong, *means, *_how(first, common_to_slices=True)]),
    )


def datasets_screen(datasets: Iterable[Dataset]) -> Group:
    """What each data set is: whether it ships, its units and conventions, source and defects."""
    blocks: list[RenderableType] = []
    for dataset in datasets:
        where = ("ships", "green") if dataset.shipped else ("downloaded once, or read from SCALEFIT_DATA", "yellow")
        blocks += [
            Text.assemble((dataset.name, "bold"), f"  {dataset.rows} rows  ", where, f"\n{dataset.title}"),
            Padding(
                _facts(
                    [
                        ("params", dataset.params_convention),
                        ("flops", dataset.flops_convention),
                        ("loss", dataset.loss_unit),
                        ("source", dataset.source),
                        ("licence", dataset.licence),
                        *(("defect", defect) for defect in dataset.defects),
                    ]
                ),
                (0, 0, 1, 2),
            ),
        ]
    return Group(*blocks)


def status_line(ok: bool, sentences: Iterable[str]) -> Table:
    """Verdict in colour and in words, then its sentences."""
    grid = Table.grid(padding=(0, 2))
    badge = Text(" OK ", "bold black on green") if ok else Text(" NOT OK ", "bold white on red")
    for row, sentence in enumerate(sentences):
        grid.add_row(badge if row == 0 else "", visible(in_shell(sentence)))
    return grid


def _facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Grid of labels and words; a label that repeats is printed once."""
    grid, before = Table.grid(padding=(0, 2)), ""
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for label, words in pairs:
        grid.add_row(visible(label) if label != before else "", visible(in_shell(words)))
        before = label
    return grid


def _slices(curves: Curves, rival: pd.DataFrame | None) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in (visible(curves.at), "rows", *curves[0].parameters, "mse"):
        table.add_column(heading, justify="right", overflow="fold")
    if rival is not None:
        table.add_column("ratio", justify="right", overflow="fold")
    table.add_column("status", overflow="fold")
    for row, (value, fit) in enumerate(zip(curves.values, curves, strict=True)):
        ratio = [] if rival is None else [f"{rival['ratio'].iloc[row]:.3g}"]
        cells = [f"{value:.4g}", str(len(fit.table)), *(f"{number:.4g}" for number in fit.parameters.values())]
        status = Text("ok", "green") if fit.ok else Text(fit.status.name, "red")
        table.add_row(*cells, f"{fit.mse:.3g}", *ratio, status)
    return table


def _how(fit: Fit, *, common_to_slices: bool = False) -> list[tuple[str, str]]:
    """Objective and protocol; of several slices, only what they share."""
    from .objective import describe

    protocol = fit.protocol
    rule = protocol["delta_rule"]
    by_rule = isinstance(rule, str)
    name = type(fit.objective).__name__
    if common_to_slices:
        what = f"{name} of {fit.objective.space} residuals" if by_rule else describe(fit.objective)
        objective = [("objective", f"{what}, sum over rows")]
    else:
        objective = [
            ("objective", f"{fit.objective_value:.9g}, {describe(fit.objective)}, sum over rows"),
            ("residuals", fit.spread),
            ("mse", f"{fit.mse:.6g} nats^2, mean squared error of the loss"),
        ]
    search = dict(protocol["search"])
    bounds = search.pop("bounds", None)
    found = [str(search.pop("method")), *(f"{key.replace('_', ' ')} {value}" for key, value in search.items())]
    return [
        *objective,
        *([("delta", f"by the rule {rule}")] if by_rule else []),
        *([("weights", f"column {fit.weights}, as frequencies")] if fit.weights else []),
        ("search", found[0] if common_to_slices else ", ".join(found)),
        *([("bounds", bounds)] if bounds else []),
    ]


def _table_facts(table: LossTable) -> list[tuple[str, str]]:
    ranges = [f"{name} {table[name].min():.4g} to {table[name].max():.4g}" for name in (*table.inputs, "loss")]
    reasons = list(table.dropped.get("reason", []))
    unused = len(table) - int(table["kept"].sum()) if "kept" in table and table["kept"].dtype == bool else 0
    more = [f"and {len(reasons) - LISTED} more; --json lists all"] if len(reasons) > LISTED else []
    return [
        ("table", ", ".join(ranges)),
        *(("table", note) for note in table.notes),
        *([("table", f"kept is False in {unused} of these rows; --where kept leaves them out")] if unused else []),
        ("table", f"digest {table.digest}"),
        *(("dropped", reason) for reason in [*reasons[:LISTED], *more]),
    ]


def _unit(fit: Fit, parameter: str) -> str:
    """Unit of a parameter of a separable law."""
    for term in getattr(fit.law, "terms", ()):
        column, power = visible(fit.inputs[term.column]), term.g == "log"
        if parameter == term.amplitude:
            return f"nats per token at {column} = {1 if power else 0}"
        if parameter == term.exponent:
            return f"exponent of {column}" if power else f"per unit of {column}"
    return "nats per token" if parameter == "E" else ""


def _constraint(fit: Fit, parameter: str) -> str:
    fixed, tied = fit.model.fixed or {}, fit.model.tied or {}
    return "  fixed" if parameter in fixed else f"  tied to {tied[parameter]}" if parameter in tied else ""
