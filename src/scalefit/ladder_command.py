"""The command of the entropy ladder: `scalefit ladder`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import interval_options, options
from .outcomes import check_targets, exit_code, one_message, save_picture, to_json
from .sheets import MISSING
from .terminal import console, facts, print_note, status_line, visible, working

if TYPE_CHECKING:
    from .ladder import EntropyLadder
    from .table import LossTable

LEAST = 8  # letters of a line for names; on narrower screens numbers are folded, too


def ladder_command(
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="TABLE...",
            help="Files or names of data sets: one table each, or one table of several with --split.",
        ),
    ],
    split: Annotated[
        str | None,
        options.option("Table", "Column that tells the data sets of a table apart.", "--split", metavar="COLUMN"),
    ] = None,
    rtol: options.Rtol = 1e-3,
    min_rows: options.MinRows = 4,
    columns: options.Columns = None,
    flops: options.Flops = None,
    where: options.Where = None,
    best: options.Best = None,
    drop_invalid: options.DropInvalid = False,
    resamples: interval_options.Resamples = None,
    seed: interval_options.Seed = None,
    level: interval_options.Level = None,
    as_json: options.AsJson = False,
    output: options.Output = None,
    plot: Annotated[
        Path | None, options.option("Output", "Draw exponents over entropies.", "--plot", metavar="FILE.png|.pdf|.svg")
    ] = None,
) -> None:  # fmt: skip
    """Order data sets by the smallest offset fitted to them, and show their exponents against it."""
    with one_message():
        for table in tables:
            check_targets(table, output, plot)
        with working("fitting slices of every data set") as progress:
            from .ladder import entropy_ladder
            from .remarks import unreduced

            read: dict[str, Any] = {
                "columns": columns, "flops": flops, "where": where, "best": None, "drop_invalid": drop_invalid,
            }  # fmt: skip
            sets = [pair for table in tables for pair in _sets(table, split, options.read_table(table, **read))]
            names = [name for name, _ in sets]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(
                    f"the data set {twice!r} is given twice: names are of the column dataset, or of files. Rename one."
                )
            sets = [(name, options.tuned(runs, best)) for name, runs in sets]
            asked = {"resamples": resamples, "seed": seed, "level": level}
            chosen: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
            ladder = entropy_ladder(sets, rtol=rtol, min_rows=min_rows, progress=progress, **chosen)
        for name, runs in sets:
            for words in unreduced(runs, ("params", "tokens")):
                print_note(f"{name}: {words}")
        if plot is not None:
            from .ladder_plots import plot_ladder

            save_picture(plot_ladder(ladder).figure, plot)
        content = to_json(ladder.to_dict())
        if output is not None:
            from .writing import write_whole

            write_whole(output, content + "\n")
        if as_json:
            typer.echo(content)
        else:
            _show(ladder)
    raise typer.Exit(exit_code(ladder.ok, refused=False))  # an interval that is refused is not ok


def _sets(table: str, split: str | None, runs: LossTable) -> Sequence[tuple[str, LossTable]]:
    """Data sets of a table, by name: that in its column dataset, else that of the file."""
    if split is None:
        several = sorted(set(map(str, runs["dataset"]))) if "dataset" in runs else []
        if len(several) == 1:  # tables of the trainer are all called runs.csv
            return [(several[0], runs)]
        if len(several) > 1:
            raise ValueError(
                f"the column dataset of {table} has {len(several)} values ({', '.join(several[:4])}). Say that they "
                "are data sets of their own: --split dataset"
            )
        return [(Path(table).stem if Path(table).exists() else table, runs)]
    import numpy as np

    if split not in runs:
        raise ValueError(f"{table} has no column {split!r}. Its columns are {', '.join(runs.columns)}.")
    values = np.array([str(value) for value in runs[split]])
    return [(name, runs.where(values == name)) for name in dict.fromkeys(values.tolist())]


def _show(ladder: EntropyLadder) -> None:
    """The ladder on the screen: status first, then a row per data set."""
    from rich.table import Table

    percent = f"{100 * ladder.level:g} %"
    heads = ("entropy", percent, "alpha", percent, "beta", percent)
    rows = {
        rung.name: [
            cell
            for one in (rung.entropy, rung.alpha, rung.beta)
            for cell in (f"{one.estimate:.3g}", "refused" if one.refused else f"{one.low:.3g} to {one.high:.3g}")
        ]
        for rung in ladder
    } | {name: [MISSING] * 6 for name in ladder.left_out}
    screen = console()
    taken = sum(2 + max(map(len, cells)) for cells in zip(heads, *rows.values(), strict=True))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    room = screen.width - taken
    table.padding = (0, 2 if room >= LEAST else 1, 0, 0)
    table.add_column("data set", overflow="fold", min_width=LEAST)
    for name in heads:
        table.add_column(name, justify="right", no_wrap=room >= LEAST)
    for name, cells in rows.items():
        table.add_row("\n".join(wrap(visible(name), max(room, LEAST))), *cells)
    sentences = ladder.notes or (f"all slices of {len(ladder)} data sets are ok",)
    screen.print(status_line(ladder.ok, sentences))
    screen.print()
    screen.print(table)
    screen.print()
    screen.print(facts([
        ("entropy", "smallest E of any slice, nats per token"),
        ("alpha", "of L(params) at each number of tokens, mean over slices"),
        ("beta", "of L(tokens) at each number of parameters, mean over slices"),
        *(("doubt", doubt) for doubt in ladder.doubts),
    ]))  # fmt: skip
