"""`scaletrain train` and `scaletrain export`."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalefit.terminal import console, duration, facts, print_note, visible

from .endings import one_message

if TYPE_CHECKING:
    import pandas as pd

    from .config import Shape
    from .jobs import Job

WIDE = 80  # letters of a table of runs
LINES = 30.0  # seconds between lines of progress where there is no terminal


def train_command(
    job: Annotated[Path, typer.Argument(help="TOML file with the tables model, recipe, replicas and one of the data.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the checkpoint, runs.csv and curves.csv.")],
    device: Annotated[str, typer.Option(help="Device of torch: cpu, cuda, cuda:1.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of a CPU; several on a busy machine are slow.")] = 1,
) -> None:
    """Train the runs of one model shape, stacked into one model, and write their loss table.

    Run again with the same folder, it goes on where it was stopped.
    """
    with one_message():
        import torch

        from .jobs import read_job
        from .running import CURVES, RUNS, run

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill saves, too
        torch.set_num_threads(threads)
        made = read_job(job)
        try:
            output.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise OSError(f"{output} is no folder, or lies in a file. Choose another folder.") from None
        for note in made.source.notes:
            print_note(note)
        with _progress(made) as advance:
            runs = run(made, output, device=device, progress=advance, note=print_note)
    _show(runs, made)
    console().print(facts([("written", str(output / RUNS)), ("", str(output / CURVES))]))


def export_command(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.safetensors of `scaletrain train`, or its folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, ending in .safetensors.")],
    replica: Annotated[int | None, typer.Option(min=0, help="Which replica, from 0, as `train` lists them.")] = None,
) -> None:
    """Write the weights of one run as safetensors, with shape and recipe as text in its header."""
    with one_message():
        from .checkpoints import export
        from .running import CHECKPOINT

        if output.suffix != ".safetensors":
            raise ValueError(f"{output} must end in .safetensors.")
        path = checkpoint / CHECKPOINT if checkpoint.is_dir() else checkpoint
        if output.exists() and path.exists() and output.samefile(path):
            raise ValueError(f"{output} is the checkpoint itself, which would be lost. Choose another file.")
        made = export(path, output, replica=replica)
    pack, one = made.pack, made.replica
    if made.step < pack.recipe.steps:
        print_note(f"training was stopped at step {made.step} of {pack.recipe.steps}: this model is not finished.")
    console().print(facts([
        ("model", _model(pack.shape)),
        ("run", f"lr {one.lr:g}, seed {one.seed}, data_seed {one.data_seed}"), ("written", str(output)),
    ]))  # fmt: skip


@contextmanager
def _progress(job: Job) -> Iterator[Callable[[int, int], None]]:
    """Progress on stderr: a bar on a terminal, else a line now and then."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    screen, start, replicas = console(stderr=True), monotonic(), len(job.pack.replicas)
    per_step = replicas * job.pack.recipe.batch * job.pack.shape.context
    first: list[int] = []
    told = [start]
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(bar_width=12), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("steps", total=job.pack.recipe.steps, rate="")

        def advance(done: int, total: int) -> None:
            if not first:
                first.append(done - 1)
            now = monotonic()
            per_second = (done - first[0]) / max(now - start, 1e-9)
            words = (
                f"{per_second * replicas:.3g} replica-steps/s, {per_second * per_step:.3g} tokens/s, "
                f"{duration((total - done) / per_second)} left"
            )
            bar.update(task, completed=done, rate=words)
            if not screen.is_terminal and now - told[0] > LINES:
                told[0] = now
                screen.print(f"step {done} of {total}, {words}", soft_wrap=True)

        yield advance


def _show(runs: pd.DataFrame, job: Job) -> None:
    """Runs on the screen, the best first."""
    from rich.table import Table

    shape, screen = job.pack.shape, console()
    tokens = f"{job.pack.tokens:,} in {job.pack.recipe.steps} steps of {job.pack.recipe.batch} x {shape.context}"
    floor, counting = runs[["loss_floor", "loss_counting"]].astype(float).iloc[0]
    words = [("data", job.source.words), ("model", _model(shape)), ("tokens", tokens)]
    if floor == floor:
        beside = f"; counting transitions gives {counting:.5f}" if counting == counting else ""
        words.append(("floor", f"{floor:.5f} nats per token{beside}"))
    screen.print(facts(words))
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    above = "excess" if floor == floor else "se"
    for name in ("replica", "lr", "seed", "data_seed", "loss", above, "status"):
        table.add_column(name, justify="left" if name == "status" else "right", no_wrap=True)
    for row in runs.assign(replica=range(len(runs))).sort_values("loss").to_dict("records"):
        table.add_row(*_cells(row))
    screen.width = max(screen.width, WIDE)  # on a narrower terminal its lines are folded, and lose nothing
    screen.print(table)
    lost = int((runs["loss"] > math.log(shape.vocabulary)).sum())
    if lost:
        worse = f"{lost} of {len(runs)} runs are worse than a uniform guess, ln V = {math.log(shape.vocabulary):.3f}"
        print_note(f"{worse}: their learning rate is too large, or they have seen too little.")


def _cells(row: dict[Any, Any]) -> list[str]:
    loss = f"{row['loss']:.5f}" if row["loss"] == row["loss"] else "-"
    excess = "-" if loss == "-" else f"{row['excess']:.5f} +- {row['loss_se']:.5f}"
    excess = f"{row['loss_se']:.5f}" if loss != "-" and row["excess"] != row["excess"] else excess
    replica, seed, data_seed = (str(row[name]) for name in ("replica", "seed", "data_seed"))
    return [replica, f"{row['lr']:g}", seed, data_seed, loss, excess, visible(row["status"])]


def _model(shape: Shape) -> str:
    """A model in words."""
    return f"width {shape.width}, {shape.depth} layer{'s' * (shape.depth > 1)}, {shape.params:,} parameters"
