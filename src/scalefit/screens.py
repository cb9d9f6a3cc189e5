"""What results look like on a screen: status first, then numbers, then how they came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .screen_parts import LISTED as LISTED
from .screen_parts import MEAN, doubt_lines, fit_facts, fit_heading, resampling_facts, table_facts
from .screen_parts import ends as ends
from .terminal import facts, status_line, visible

if TYPE_CHECKING:
    import pandas as pd

    from .curves import Curves
    from .datasets import Dataset
    from .intervals import Interval
    from .result import Fit
    from .summary import Summary


def fit_screen(fit: Fit, name: str, *, predictions: Mapping[str, float], found: Summary | None = None) -> Group:
    """Everything about one fit: status, parameters with units, predictions, objective, protocol, table, bootstrap."""
    intervals = {} if found is None else found.intervals
    numbers, forecasts = _numbers("", found), _numbers("predicted nats per token", found, long_names=True)
    for parameter, value in fit.parameters.items():
        how = "" if found is not None and parameter not in intervals else _constraint(fit, parameter)
        unit = Text.assemble(_unit(fit, parameter), (how, "yellow"))
        numbers.add_row(Text(parameter, "bold"), f"{value:.6g}", *_beside(found, intervals.get(parameter)), unit)
    for statistic, loss in predictions.items():
        where = Text(visible(statistic.removeprefix("loss at ")), "bold")
        if loss == loss:
            forecasts.add_row(where, f"{loss:.6g}", *_beside(found, intervals.get(statistic)), "")
        else:  # of a surface
            forecasts.add_row(where, Text("outside the runs", "yellow"), *["", ""] * (found is not None), "")
    more = [("note", remark) for remark in fit.remarks] + doubt_lines(list(intervals.items()))
    return Group(
        status_line(fit.ok, fit.notes or (fit.verdict,), more),
        "",
        fit_heading(fit, name),
        *([Padding(numbers, (0, 0, 1, 2))] if fit.parameters else [""]),
        *([Padding(forecasts, (0, 0, 1, 2))] if predictions else []),
        facts([*fit_facts(fit), *table_facts(fit.table), *_resampling(found)]),
    )


def curves_screen(
    curves: Curves, name: str, rival: pd.DataFrame | None, rival_name: str, *,
    predictions: Mapping[str, Sequence[float]], found: Summary | None = None,
) -> Group:  # fmt: skip
    """One row per slice, the mean over slices, intervals by slice, and what is wrong with which slice."""
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
    slices = [f"{value:.4g}" for value in curves.values]
    wrong = [
        (f"{curves.at} {value}", note)
        for value, fit in zip(slices, curves, strict=True)
        for note in (*fit.notes, *(remark for remark in fit.remarks if "fit_curves(" not in remark))
    ]
    tables, doubts = [_predicted(curves, point, losses) for point, losses in predictions.items()], []
    if found is not None:
        shown = [*_exponents(first, found), *predictions]
        parts = [*zip(slices, found.slices, strict=True), *([(MEAN, found)] if good > 1 else [])]
        tables = [_by_slice(curves.at, statistic, parts) for statistic in shown]
        named = [(label, part.intervals[statistic]) for label, part in parts for statistic in shown]
        doubts = doubt_lines(named, at=curves.at, slices=slices)
    return Group(
        status_line(curves.ok, verdict, [*(("note", remark) for remark in curves.remarks), *doubts]),
        "",
        Text.assemble(
            (visible(first.formula), "bold"), f" at each {visible(curves.at)}    {visible(name)}, {len(curves)} slices"
        ),
        _slices(curves, rival),
        *(Padding(table, (0, 0, 1, 1)) for table in tables),
        facts([*wrong, *means, *fit_facts(first, common_to_slices=True), *_resampling(found)]),
    )


def datasets_screen(datasets: Iterable[Dataset]) -> Group:
    """What each data set is: whether it ships, its units and conventions, source and defects."""
    blocks: list[RenderableType] = []
    for dataset in datasets:
        where = ("ships", "green") if dataset.shipped else ("downloaded once, or read from SCALEFIT_DATA", "yellow")
        blocks += [
            Text.assemble((dataset.name, "bold"), f"  {dataset.rows} rows  ", where, f"\n{dataset.title}"),
            Padding(
                facts(
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


def _slices(curves: Curves, rival: pd.DataFrame | None) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in (visible(curves.at), "rows", *curves[0].parameters, "mse"):
        table.add_column(heading, justify="right", overflow="fold")
    if curves[0].slope_range:
        table.add_column("slopes", justify="right", overflow="fold")
    if rival is not None:
        table.add_column("ratio", justify="right", overflow="fold")
    table.add_column("status", overflow="fold")
    for row, (value, fit) in enumerate(zip(curves.values, curves, strict=True)):
        ratio = [] if rival is None else [f"{rival['ratio'].iloc[row]:.3g}"]
        cells = [f"{value:.4g}", str(len(fit.table)), *(f"{number:.4g}" for number in fit.parameters.values())]
        status = Text("ok", "green") if fit.ok else Text(fit.status.name, "red")
        slopes = ["-".join(f"{slope:.2g}" for slope in fit.slope_range.values())] if fit.slope_range else []
        table.add_row(*cells, f"{fit.mse:.3g}", *slopes, *ratio, status)
    return table


def _numbers(title: str, found: Summary | None, *, long_names: bool = False) -> Table:
    """Empty grid of names, numbers and units; on a narrow screen units, long names and intervals wrap."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=not long_names, overflow="fold")
    grid.add_column(no_wrap=True)
    if found is not None:
        grid.add_column(no_wrap=True)
        grid.add_column(min_width=9)
    grid.add_column(overflow="fold")
    headings = [] if found is None else ["estimate", "std. error", _heading(found)]
    if title or headings:
        grid.add_row(*(Text(heading, "dim") for heading in (title, *headings)))
    return grid


def _heading(found: Summary) -> str:
    return f"{100 * found.level:g} % interval"


def _beside(found: Summary | None, interval: Interval | None) -> list[RenderableType]:
    """Standard error and ends of an interval, beside its estimate."""
    if found is None:
        return []
    if interval is None:  # a parameter that was fixed
        return ["", Text("fixed", "yellow")]
    return [f"{interval.standard_error:.3g}", Text("refused", "red") if interval.refused else ends(interval)]


def _bare(*headings: str) -> Table:
    """Empty table without an edge, its first three columns flush right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(visible(heading), justify="right" if place < 3 else "left", overflow="fold")
    return table


def _resampling(found: Summary | None) -> list[tuple[str, str]]:
    return [] if found is None else resampling_facts(found.boot, found.method)


def _exponents(fit: Fit, found: Summary) -> list[str]:
    """Parameters whose intervals are shown by slice: the exponents, or all if these are fixed."""
    names = [interval.statistic for interval in found.parameters]
    exponents = {term.exponent for term in getattr(fit.law, "terms", ())}
    return [name for name in names if name in exponents] or names


def _by_slice(at: str, statistic: str, parts: Sequence[tuple[str, Summary]]) -> Table:
    """Intervals of one statistic: a row per slice, and one for the mean over those that are ok."""
    table = _bare(at, statistic, "std. error", _heading(parts[0][1]))
    for label, part in parts:
        if label == MEAN:
            table.add_section()
        interval = part.intervals[statistic]
        table.add_row(label, f"{interval.estimate:.4g}", *_beside(part, interval))
    return table


def _predicted(curves: Curves, point: str, losses: Sequence[float]) -> Table:
    """Predicted losses: a row per slice."""
    table = _bare(curves.at, point)
    for value, loss in zip(curves.values, losses, strict=True):
        table.add_row(f"{value:.4g}", f"{loss:.4g}")
    return table


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
