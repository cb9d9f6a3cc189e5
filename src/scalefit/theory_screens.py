"""Screens of theories: what is predicted first, then beside what was measured; computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .drawing import count_words
from .terminal import facts, status_line, visible

if TYPE_CHECKING:
    import pandas as pd

    from .result import Fit
    from .theory.baseline import CountingBaseline
    from .theory.dimension import Estimate
    from .theory.regimes import Regime


def baseline_screen(
    baseline: CountingBaseline, name: str, rows: pd.DataFrame, pairs: Sequence[tuple[str, str]], fit: Fit | None = None
) -> Group:
    """H and c, the loss of counting at some tokens, and what models or runs have there."""
    law = Text.assemble(("L(D) = H + c/D", "bold"), f"    {visible(name)}")
    unit = " nats per token" if baseline.entropy else ""
    numbers = [("H", f"{baseline.entropy:.6g}{unit}"), ("c", f"{baseline.coefficient:,.6g}")]
    first: list[RenderableType] = [] if fit is None else [_verdict(fit), ""]
    return Group(
        *first,
        law,
        Padding(facts(numbers), (0, 0, 1, 2)),
        _rows(rows),
        facts(pairs),
    )


def percolation_screen(
    found: Regime, numbers: Mapping[str, float], tables: Sequence[pd.DataFrame], pairs: Sequence[tuple[str, str]]
) -> Group:
    """Exponents and whose theory they are, then how near they are at some sizes."""
    grid = Table.grid(padding=(0, 2))
    for label, exponent, theory in (
        ("model exponent", found.model_exponent, found.model_theory),
        ("data exponent", found.data_exponent, found.data_theory),
    ):
        grid.add_row(Text(label, "bold"), f"{exponent:.4g}", Text(theory, "dim"))
    given = ", ".join(f"{name} = {value:.4g}" for name, value in numbers.items())
    return Group(
        Text.assemble((found.name, "bold"), f" percolation    {given}"),
        Padding(grid, (1, 0, 1, 2)),
        *(_rows(table) for table in tables),
        facts(pairs),
    )


def theory_fit_screen(theory: Fit, free: Fit, exponents: tuple[str, str], name: str, *, held: bool) -> Group:
    """A theory's law with its exponents held, beside a power law with a free one, both of the same runs."""
    table = _heading("law", "exponent", "E", "A", "mse", "status")
    for label, fit, exponent in zip(("theory", "free power law"), (theory, free), exponents, strict=True):
        status = Text("ok", "green") if fit.ok else Text(fit.status.name, "red")
        parameters = fit.parameters
        table.add_row(label, exponent, *(f"{parameters[key]:.5g}" for key in ("E", "A")), f"{fit.mse:.3g}", status)
    return Group(
        _verdict(theory),
        "",
        Text.assemble(("L = E + A f", "bold"), f"({theory.inputs[0]})    {visible(name)}, {len(theory.table)} rows"),
        table,
        facts(
            [
                (
                    "theory",
                    f"its exponents are held; {'A is' if held else 'E and A are'} fitted",
                ),
                ("exponent", "of the theory: its limit; of the power law: as fitted"),
            ]
        ),
    )


def estimate_screen(heading: str, rows: Sequence[tuple[str, Estimate, str]], pairs: Sequence[tuple[str, str]]) -> Group:
    """Numbers with their intervals."""
    grid = Table.grid(padding=(0, 2))
    for label, found, meaning in rows:
        ends = f"{found.low:.4g} to {found.high:.4g}"
        grid.add_row(Text(label, "bold"), f"{found.value:.4g}", f"+- {found.se:.2g}", ends, Text(meaning, "dim"))
    return Group(Text(visible(heading), "bold"), Padding(grid, (0, 0, 1, 2)), facts(pairs))


def experiment_screen(heading: str, rows: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> Group:
    """What an experiment measured beside what is predicted."""
    return Group(Text(heading, "bold"), _rows(rows), facts(pairs))


def _verdict(fit: Fit) -> Table:
    return status_line(fit.ok, fit.notes or (fit.verdict,), [("note", remark) for remark in fit.remarks])


def _heading(*names: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, justify="left" if name in ("law", "status", "allocation") else "right", overflow="fold")
    return table


def _rows(frame: pd.DataFrame) -> Table:
    """A frame of words and numbers: counts in words, other numbers in four digits."""
    table = _heading(*map(str, frame.columns))
    formats: dict[str, Callable[[Any], str]] = {"tokens": count_words, "params": count_words, "clusters": count_words}
    for _, row in frame.iterrows():
        cells = [
            value if isinstance(value, str) else formats.get(str(name), "{:.4g}".format)(float(value))
            for name, value in row.items()
        ]
        table.add_row(*cells)
    return table
