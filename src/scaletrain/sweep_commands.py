"""`scaletrain plan`, `run`, `work`, `status`, `collect`, `retry` and `refine`: a sweep from its file to its tables."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scalefit.terminal import console, duration, facts, print_note, visible, working

from .endings import INTERRUPTED, NOT_OK, one_message

if TYPE_CHECKING:
    from .engines import Crew
    from .ledger import Ledger
    from .sweeps import Sweep
    from .watching import Watch

LINES = 30.0  # seconds between lines of progress where there is no terminal
LOOKS = 1.0  # seconds between looks at a sweep

SweepArgument = Annotated[
    str, typer.Argument(metavar="SWEEP", help="A .toml file, or a shipped sweep such as er_small.")
]
Folder = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a sweep that `scaletrain run` has started.")]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="On cuda each worker has a GPU of its own.")]
Stack = Annotated[int | None, typer.Option(
    min=1, help="Runs of a pack at most; by default 1 on a CPU, 8 there if a teacher writes the data, 48 on a GPU.",
)]  # fmt: skip


def plan_command(
    sweep: SweepArgument,
    device: Device = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="Among which the time is shared.")] = 1,
    stack: Stack = None,
) -> None:
    """Say what a sweep will take, by a few updates of each of its models on this machine."""
    with one_message():
        import torch

        from .planning import plan
        from .sweep_screens import planned
        from .sweeps import read_sweep
        from .working import usual_stack

        torch.set_num_threads(1)
        made = read_sweep(sweep)
        with working("timing the models") as advance:
            found = plan(made, stack=stack or usual_stack(made, device), device=device, progress=advance)
    for part in planned(made, found, workers=workers):
        console().print(part)


def run_command(
    sweep: SweepArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the sweep and its tables.")],
    workers: Annotated[int | None, typer.Option(min=1, help="One for each core or GPU by default.")] = None,
    device: Device = "cpu",
    stack: Stack = None,
    engine: Annotated[Literal["local", "ray", "slurm"], typer.Option(help="What starts the workers.")] = "local",
) -> None:
    """Do a sweep, with workers of this machine, Ray or Slurm, and write its tables.

    Run again with the same folder, it goes on where it was stopped, however that was.
    """
    with one_message():
        from .engines import ENGINES
        from .jobs import find_sweep, read_tables
        from .ledger import Ledger
        from .statements import read_statement
        from .training import usable
        from .watching import Watch
        from .working import Finished, extend, start

        if engine == "local":  # the others start workers elsewhere
            usable(device)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        file = find_sweep(sweep)
        made = start(read_tables(file), file, output, stack=stack, device=device)
        for note in made.notes:
            print_note(note)
        ledger = Ledger.open(output)
        finished = Finished(ledger)
        if finished.look():
            extend(made, finished, stack=read_statement(output)["stack"])
        if _unfinished(ledger):
            _watched(ENGINES[engine](output, device=device, workers=workers), Watch(ledger), made.search)
        if _unfinished(ledger):
            print_note(f"what is done is safe. Go on with: scaletrain run {sweep} -o {output}")
            raise ValueError("all workers have ended, but the sweep has not.")
        _write(ledger, output)
        complete = _show(made, ledger)
    raise typer.Exit(0 if complete else NOT_OK)


def work_command(
    folder: Folder,
    device: Annotated[str, typer.Option(help="Device of torch: cpu, cuda, cuda:1.")] = "cpu",
    name: Annotated[str | None, typer.Option(help="Of the worker, for `status`.")] = None,
) -> None:
    """Be one more worker of a sweep, on any machine that sees its folder; the last one writes the tables."""
    with one_message():
        import os

        from .ledger import Ledger
        from .working import Worker

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        done = Worker(str(folder), name or f"worker{os.getpid()}", device)(note=print_note)
        ledger = Ledger.open(folder)
        if not _unfinished(ledger):
            _write(ledger, folder)
    console().print(facts([("packs", f"{done.done} done, {done.failed} failed, {done.lost} taken over by others")]))


def status_command(folder: Folder) -> None:
    """Say how far a sweep is, what runs where, and what failed."""
    with one_message():
        from .ledger import Ledger
        from .watching import Watch
        from .working import resumed

        sweep, _ = resumed(folder)
        ledger = Ledger.open(folder)
        watch, lines = Watch(ledger), []
        for one in ledger.status().packs:
            if one.state == "running":
                spent = duration(time.time() - one.since)
                lines.append(("running", f"{one.id} by {one.worker} on {one.host}, step {watch.step(one.id)}, {spent}"))
        if lines:
            console().print(facts(lines))
        _show(sweep, ledger)


def collect_command(folder: Folder) -> None:
    """Write the tables of what is done so far."""
    with one_message():
        from .ledger import Ledger

        _write(Ledger.open(folder), folder)


def retry_command(folder: Folder) -> None:
    """Let packs that failed be tried again."""
    with one_message():
        from .ledger import Ledger

        freed = Ledger.open(folder).retry()
    words = f"{len(freed)} wait again. Do them with: scaletrain work {folder}" if freed else "none has failed"
    console().print(facts([("packs", words)]))


def refine_command(folder: Folder) -> None:
    """Add learning rates to cells whose best one is at an edge, or has a parabola with its minimum beside it."""
    with one_message():
        from .ledger import Ledger
        from .working import refine, resumed

        sweep, stack = resumed(folder)
        added = refine(sweep, Ledger.open(folder), stack=stack)
    words = f"{added} added. Do them with: scaletrain work {folder}" if added else "none added: nothing is to be gained"
    console().print(facts([("packs", words)]))


def _unfinished(ledger: Ledger) -> bool:
    counts = ledger.status().counts
    return bool(counts["waiting"] or counts["running"])


def _watched(crew: Crew, watch: Watch, search: bool) -> None:
    """Wait for workers, and show on stderr how far they are; an interruption lets them save first."""
    from .watching import SPAN

    try:
        with _progress() as tell:
            looks = deque([watch.look()])  # the speed is that of late: workers begin slowly
            while crew.alive:
                time.sleep(LOOKS)
                for one in crew.ended():
                    if one.words:
                        print_note(f"worker {one.name} has ended: {one.words}")
                looks.append(watch.look())
                while looks[-1].at - looks[0].at > SPAN:
                    looks.popleft()
                tell(looks[-1].since(looks[0], search=search))
    except KeyboardInterrupt:
        print_note("stopping: the workers save what they have.")
        crew.stop()
        print_note("stopped. Run the same line again, and it goes on.")
        raise typer.Exit(INTERRUPTED) from None
    except BaseException:
        crew.stop()
        raise


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Progress on stderr: a line that changes on a terminal, else one now and then."""
    screen, told = console(stderr=True), time.monotonic()

    def tell(words: str) -> None:
        nonlocal told
        if status is not None:
            status.update(visible(words))
        elif time.monotonic() - told > LINES:
            told = time.monotonic()
            screen.print(words, soft_wrap=True)

    with screen.status("starting workers") if screen.is_terminal else nullcontext() as status:
        yield tell


def _write(ledger: Ledger, folder: Path) -> None:
    """Tables of what is done."""
    from .sweep_tables import collect, write_tables

    written = write_tables(folder, *collect(ledger))
    console().print(facts([("written", str(path)) for path in written]))


def _show(sweep: Sweep, ledger: Ledger) -> bool:
    """Where a sweep stands; whether it is complete."""
    from .sweep_screens import standing
    from .working import Finished

    finished = Finished(ledger)
    finished.look()
    complete, parts = standing(sweep, finished.found(sweep.seeds), ledger)
    for part in parts:
        console().print(part)
    return complete
