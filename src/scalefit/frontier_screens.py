"""What a plan of which model to train, and a validation of models, look like on a screen; computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .screen_parts import LISTED, doubt_lines, fit_facts, fit_heading, resampling_facts, table_facts
from .terminal import facts, status_line, visible

if TYPE_CHECKING:
    import pandas as pd

    from .answers import Answer, Plan
    from .intervals import Interval
    from .scores import Validation
    from .table import LossTable

UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
SYMBOLS = {"a": "params ~ C^a", "b": "tokens ~ C^b", "gamma": "loss = E + A C^-gamma", "E": "limit of the loss"}
SHAPE_COLUMNS = {
    "depth": "layers", "width": "width", "heads": "heads", "params": "params", "params_nonembed": "without embedding",
    "ratio": "ratio",
}  # fmt: skip
_BY_LINES = "by lines: nothing is read off at this budget; the exponents below are continued to it"
NEAR = 0.05  # decades beyond the runs that are not worth a word
SAME = 5e-5  # below what is printed of an exponent
COLUMNS = {"params": "params", "tokens": "tokens", "tokens_per_param": "tokens/param", "loss": "loss"}


def plan_screen(plan: Plan, runs: LossTable, name: str, *, shapes: pd.DataFrame | None = None) -> Group:
    """Which model to train at each budget, the exponents and what moves them, and how all that was found."""
    fit, draws = plan.fit, plan.frontier.draws
    heading = fit_heading(fit, name) if fit else Text(f"{visible(name)}, {len(runs)} rows", "bold")
    named = plan.intervals
    notes = [*plan.far, *(fit.remarks if fit else ()), *plan.frontier.notes, *([plan.why] if plan.why else [])]
    more = [("note", note) for note in notes[:LISTED]]
    if len(notes) > LISTED:
        more.append(("note", f"and {len(notes) - LISTED} more; --json lists all"))
    how = [] if fit is None else [*_parameters(plan), *fit_facts(fit)]
    resampling = [] if draws is None else resampling_facts(draws.bootstrap, named[0][1].method if named else "")
    return Group(
        status_line(plan.ok, _verdict(plan), [*more, *doubt_lines(named)]),
        "",
        heading,
        Padding(_answers(plan), (1, 0, 1, 0)),
        *([_BY_LINES, ""] if any(answer.by_lines for answer in plan.answers) else []),
        *_exponents(plan),
        *([] if shapes is None else [Padding(_shapes(shapes, plan.answers[-1]), (0, 0, 1, 1))]),
        facts([("frontier", plan.frontier.source), *how, *table_facts(runs), *resampling]),
    )


def validation_screen(made: Validation, runs: LossTable, name: str) -> Group:
    """Models side by side, with the standard error of each number beneath it."""
    several, frame = len(made.splits) > 1, made.to_frame()
    sentences = made.notes or (f"every model is scored on all test rows of {len(made.splits)} split{'s' * several}",)
    table = _bare()
    table.add_column("model", overflow="fold")
    medians = ["median"] * several
    for heading in ("train MSE", "test MSE", *medians, "test MSE\nof log", f"ratio to\n{visible(made.models[0])}"):
        table.add_column(heading, justify="right", overflow="fold")
    for _, row in frame.iterrows():
        table.add_row(visible(row["model"]), *_scores(row, several))
    train, test = (f"{frame[side].iloc[0]:.4g}" for side in ("train_rows", "test_rows"))
    counts = [len(one) for split in made.splits for one in split]
    average = ", on average" if len(set(counts)) > 2 else ""
    words = "mean over splits +- its standard error for these rows" if several else "one split: no standard errors"
    return Group(
        status_line(made.ok, sentences, [("note", remark) for remark in made.remarks]),
        "",
        Text.assemble((visible(name), "bold"), f", {made.rows} rows    {visible(made.words)}"),
        Padding(table, (1, 0, 1, 0)),
        facts(
            [
                ("rows", f"{train} to train on and {test} to test on{average}"),
                ("MSE", f"mean squared error, nats^2; {words}"),
                ("ratio", f"test MSE / that of the first model{', compared split by split' * several}"),
                *table_facts(runs),
            ]
        ),
    )


def counted(value: float) -> str:
    """Count in words of a paper: 70M, 1.4B, 2T.

    Examples
    --------
    >>> [counted(value) for value in (512.0, 7.04e7, 1.4e9, 9.996e11, 2e16, float("nan"))]
    ['512', '70.4M', '1.4B', '1T', '2e+16', '-']
    """
    if value != value:
        return "-"
    value = float(f"{value:.3g}")
    for unit, letter in UNITS:
        if unit <= value < 1e3 * unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def _verdict(plan: Plan) -> tuple[str, ...]:
    """What is wrong with the fit, and at how many budgets with the optimum."""
    found = [*(plan.fit.notes if plan.fit else ()), *plan.frontier.rises]
    bad = [answer for answer in plan.answers if not answer.ok]
    if bad:
        edge = sum(answer.at_edge for answer in bad)
        parts = [f"at {edge} the loss still falls where the runs end"] * (edge > 0)
        parts += [f"{len(bad) - edge} have none"] * (len(bad) > edge)
        remedy = "" if plan.ok else " Ask for budgets within the runs, or add runs."
        good = len(plan.answers) - len(bad)
        found.append(
            f"{good} of {len(plan.answers)} budgets have an optimum among the runs, {', '.join(parts)}.{remedy}"
        )
    lines = sum(answer.by_lines for answer in plan.answers)
    how = f", at {lines} of {len(plan.answers)} by the lines of the exponents alone" if lines else ""
    return tuple(found) or (f"There is an answer at every budget{how}.",)


def _answers(plan: Plan) -> Table:
    """A row per budget, with the interval of each number beneath it."""
    table = _bare()
    table.add_column("FLOPs", justify="right", no_wrap=True)
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("beyond\nruns", overflow="fold")
    for answer in plan.answers[:LISTED]:
        cells = [_cell(answer, name) for name in COLUMNS]
        table.add_row(f"{answer.flops:.4g}", *cells, Text(_beyond(answer), "" if answer.ok else "red"))
    if len(plan.answers) > LISTED:
        table.add_row("...", *[""] * len(COLUMNS), f"and {len(plan.answers) - LISTED} more; --json lists all")
    return table


def _bare() -> Table:
    """Empty table without an edge, its columns two blanks apart."""
    return Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))


def _beyond(answer: Answer) -> str:
    """By what factor of params or tokens an answer is beyond the runs, and whether it is by the lines."""
    if answer.at_edge or not answer.ok:
        return "at an edge" if answer.at_edge else "none found"
    words = [*[f"{10**answer.reach:.2g}x"] * (answer.reach > NEAR), *["by lines"] * answer.by_lines]
    return "\n".join(words) or "-"


def _cell(answer: Answer, name: str) -> RenderableType:
    value = answer.numbers[name]
    words = f"{value:.3f}" if name == "loss" and value == value else counted(value)
    interval = answer.intervals.get(name)
    if interval is None:
        return Text(words)
    beneath = Text("refused", "red") if interval.refused else Text(_ends(name, interval), "dim")
    return Text.assemble((words, "bold"), "\n", beneath)


def _ends(name: str, interval: Interval) -> str:
    """Ends in words; a unit that they share is printed once."""
    if name == "loss":
        return _to(interval, ".3f")
    low, high = (counted(end) for end in interval)
    return f"{low} to {high}"


def _to(interval: Interval, form: str) -> str:
    low, high = interval
    return f"{low:{form}} to {high:{form}}"


def _exponents(plan: Plan) -> list[RenderableType]:
    """The exponents, and how far the window moves them."""
    found = plan.exponents
    if found is None:
        return []
    grid = Table.grid(padding=(0, 2))
    level = f"{100 * plan.level:g} % interval" if found.intervals else ""
    if level:
        grid.add_row("", "", Text(level, "dim"), "")
    for name, meaning in SYMBOLS.items():
        value, interval = getattr(found, name), found.intervals.get(name)
        beside = "" if interval is None else Text("refused", "red") if interval.refused else _to(interval, ".4f")
        grid.add_row(Text(name, "bold"), f"{value:.4f}" if value == value else "-", beside, meaning)
    low, high = found.window
    title = f"exponents over {found.budgets} budgets from {low:.3g} to {high:.3g} FLOPs"
    wrong = [("NOT OK", f"the law of the loss: {note.partition('. ')[0]}.") for note in found.notes]
    return [title, Padding(grid, (0, 0, 0, 2)), *_windows(plan), *([facts(wrong)] if wrong else []), ""]


def _windows(plan: Plan) -> list[RenderableType]:
    """Exponents over other windows of the same budgets."""
    found = plan.exponents
    if found is None or len(found.windows) < 2:
        return []
    if found.moved < SAME:
        same = "the law has the same ones at every budget" if plan.frontier.apart is None and plan.fit else (
            "other windows of these budgets do not move them"
        )  # fmt: skip
        return [Padding(Text(same, "dim"), (0, 0, 0, 2))]
    grid = Table.grid(padding=(0, 2))
    grid.add_row(*(Text(heading, "dim") for heading in ("over other windows", "budgets", "a", "b", "gamma")))
    for _, row in found.windows.iloc[1:].drop_duplicates().iterrows():
        numbers = [f"{row[name]:.4f}" if row[name] == row[name] else "-" for name in ("a", "b", "gamma")]
        grid.add_row(f"{row['low']:.3g} to {row['high']:.3g}", f"{row['budgets']:.0f}", *numbers)
    return [Padding(grid, (1, 0, 0, 2))]


def _shapes(shapes: pd.DataFrame, answer: Answer) -> Group:
    """Nearest transformers."""
    grid = Table.grid(padding=(0, 2))
    for _ in SHAPE_COLUMNS:
        grid.add_column(justify="right")
    grid.add_row(*(Text(heading, "dim") for heading in SHAPE_COLUMNS.values()))
    for _, row in shapes.iterrows():
        counts = [f"{row[name]:.0f}" for name in ("depth", "width", "heads")]
        sizes = [counted(row[name]) for name in ("params", "params_nonembed")]
        grid.add_row(*counts, *sizes, f"{row['ratio']:.3f}")
    nearest, wanted = shapes.iloc[0], answer.numbers["params"]
    whole = abs(nearest["params"] / wanted - nearest["ratio"]) <= abs(
        nearest["params_nonembed"] / wanted - nearest["ratio"]
    )
    vocabulary = (nearest["params"] - nearest["params_nonembed"]) / nearest["width"]
    title = (
        f"transformers of about {counted(wanted)} params, {'with' if whole else 'without'} the embedding, for "
        f"{answer.flops:.4g} FLOPs; vocabulary {vocabulary:.0f}, heads of {nearest['width'] / nearest['heads']:.0f}"
    )
    remedy = [" (--without-embeddings if the table's params leave it out)"] if whole else []
    return Group(title, *remedy, Padding(grid, (0, 0, 0, 1)))


def _scores(row: pd.Series[Any], several: bool) -> list[str | Text]:
    """Errors of one model, and the ratio to those of the first."""
    if row["failed"]:
        return [Text("failed", "red"), *["-"] * (3 + several)]
    errors = [_with_error(row[name], row[f"{name}_se"]) for name in ("train_mse", "test_mse", "test_log_mse")]
    ratio = Text(f"{row['ratio']:.3g}", "bold")
    if row["ratio_se"] > 0:
        ratio.append(f"\n+- {row['ratio_se']:.2g}", "not bold dim")
    return [errors[0], errors[1], *[f"{row['test_mse_median']:.2e}"] * several, errors[2], ratio]


def _with_error(value: float, error: float) -> Text:
    """Number over its standard error."""
    return Text.assemble(f"{value:.2e}", *([(f"\n+- {error:.1e}", "dim")] if error == error else []))


def _parameters(plan: Plan) -> list[tuple[str, str]]:
    """Parameters of the law, on one line."""
    numbers = {} if plan.fit is None else plan.fit.parameters
    return [("law", ", ".join(f"{name} {value:.6g}" for name, value in numbers.items()))] if numbers else []
