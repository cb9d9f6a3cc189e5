"""`scaletrain coord-check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalefit.terminal import console, facts, print_note, status_line, working

from .config import Pack, Parametrization, Recipe, Replica, Shape
from .endings import NOT_OK, PICTURES, check_target, one_message, write_picture

if TYPE_CHECKING:
    from rich.table import Table

    from .coordinates import CoordinateCheck

BATCH, LENGTH = 10, 20  # sequences of a step, and their tokens: a few seconds are enough to see a slope
WIDE, SLOW = 128, 2**-8  # from which width, up to which learning rate, a correct rule meets the limits


def coordinates_command(
    graph: Annotated[
        str, typer.Argument(metavar="[GRAPH]", help="er:NODES:EDGES, ba:NODES:ATTACHED, or a file.")
    ] = "er:200:1000",
    widths: Annotated[str, typer.Option(help="Widths, separated by commas.")] = "128,256,512",
    parametrization: Annotated[Parametrization, typer.Option(help="What scales do with the width.")] = "mup",
    lr: Annotated[float, typer.Option(help="Learning rate at the base width.")] = SLOW,
    steps: Annotated[int, typer.Option(help="Updates.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Models of each width, whose movements are averaged.")] = 6,
    depth: Annotated[int, typer.Option(help="Layers.")] = 2,
    head_dim: Annotated[int, typer.Option(help="Size of a head, the same at all widths.")] = 16,
    base_width: Annotated[int, typer.Option(help="Width at which all parametrizations are one.")] = 32,
    embedding_lr: Annotated[float, typer.Option(help="Learning rate of the embedding, as a multiple.")] = 1.0,
    device: Annotated[str, typer.Option(help="Device of torch: cpu, cuda, cuda:1.")] = "cpu",
    plot: Annotated[Path | None, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that a few updates move the states of a model as far at every width.

    Ends with exit code 3 if they do not.
    """
    with one_message():
        import torch

        from .coordinates import coordinate_check, plot_coordinates
        from .graph_recipes import GraphRecipe

        torch.set_num_threads(1)
        check_target("--plot", plot, PICTURES, graph)
        asked = _numbers(widths)
        walked = GraphRecipe.parse(graph).build()
        recipe = Recipe(
            steps=steps, batch=BATCH, parametrization=parametrization, base_width=base_width, embedding_lr=embedding_lr
        )
        shape = Shape(vocabulary=walked.nodes, width=asked[0], depth=depth, head_dim=head_dim, length=LENGTH)
        replicas = tuple(Replica(lr=lr, seed=seed, data_seed=seed) for seed in range(seeds))
        pack = Pack(shape=shape, recipe=recipe, replicas=replicas)
        for note in walked.notes:
            print_note(note)
        with working("training") as advance:
            check = coordinate_check(pack, walked, widths=asked, steps=steps, device=device, progress=advance)
        if plot is not None:
            write_picture(plot, lambda: plot_coordinates(check))
    if as_json:
        typer.echo(json.dumps(check.to_dict(), indent=1, allow_nan=False))
    else:
        about = f"{parametrization}, base width {base_width}, lr {lr:g}, embedding_lr {embedding_lr:g}, {seeds} seeds"
        screen = console()
        screen.print(status_line(check.ok, [check.verdict]))
        screen.print(facts([
            ("graph", walked.name), ("recipe", about), ("slopes", _allowed(check)),
            *([("written", str(plot))] if plot else []),
        ]))  # fmt: skip
        screen.print(_table(check))
    if not check.ok:
        if min(asked) < WIDE or lr > SLOW:
            print_note(
                "movements that vanish with the width fail, too: before a rule is doubted, check again with widths "
                f"from {WIDE} on and --lr {SLOW:g} or less. A wrong rule fails there as well."
            )
        raise typer.Exit(NOT_OK)


def _numbers(text: str) -> list[int]:
    """Whole numbers that are separated by commas."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"--widths must be whole numbers separated by commas, such as 128,256,512, not {text!r}.")
    return [int(part) for part in parts]


def _allowed(check: CoordinateCheck) -> str:
    low, high = check.bounds("final")
    fall, rise = check.bounds("logits")
    return f"{low:g} to {high:g} are allowed, {fall:g} to {rise:g} of logits"


def _table(check: CoordinateCheck) -> Table:
    """States by width, and their slopes; narrow enough for half a screen."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1), caption=f"mean change after {check.steps} steps")
    by_width = check.moved.pivot(index="state", columns="width", values="moved")
    for name in ("state", *map(str, by_width.columns), "slope", ""):
        table.add_column(name, justify="left" if name in ("state", "") else "right", no_wrap=True)
    for state, slope in check.slopes.items():
        cells = [f"{value:.3g}" for value in by_width.loc[state]]
        table.add_row(state, *cells, f"{slope:+.3f}", "NOT OK" if state in check.failed else "")
    return table
