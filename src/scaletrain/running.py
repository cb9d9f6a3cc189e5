"""A job done in a folder: checkpoints on the way, tables at the end; started again, it goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from scalefit.writing import write_whole

from .checkpoints import load_state, made_by, save_state
from .jobs import Job
from .results import curves_of, runs_of
from .training import Trainer, finished

CHECKPOINT, RUNS, CURVES = "checkpoint.safetensors", "runs.csv", "curves.csv"
EVERY = 60.0  # seconds between checkpoints: a killed run loses no more

Progress = Callable[[int, int], None]


def run(
    job: Job, folder: Path, *, device: str = "cpu", progress: Progress | None = None,
    note: Callable[[str], None] | None = None, every: float = EVERY,
) -> pd.DataFrame:  # fmt: skip
    """Train a job in a folder, and give its table of runs.

    The folder gets `checkpoint.safetensors`, `runs.csv` and `curves.csv`, each whole or not at all. If a checkpoint of
    this job is there, training goes on from it, bit by bit on the same device, with the same threads
    and version of torch.

    Parameters
    ----------
    job : Job
    folder : path
        That is there.
    device : str
        Of torch.
    progress : callable, optional
        Called with the number of updates that are done, and of all.
    note : callable, optional
        Called with a sentence on what the user should know.
    every : float, seconds
        Between checkpoints.

    Raises
    ------
    ValueError
        If the checkpoint is of another job, or there is no such device.
    OSError
        If the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> from scaletrain import Graph, Pack, Recipe, Replica, Shape
    >>> from scaletrain.sources import source_of
    >>> ring = source_of(Graph.from_edges([(0, 1), (1, 2), (2, 0)]))
    >>> recipe, replicas = Recipe(steps=3, batch=4), (Replica(lr=0.01),)
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=recipe, replicas=replicas)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     runs = run(Job(ring, pack), Path(folder))
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['checkpoint.safetensors', 'curves.csv', 'runs.csv']
    """
    checkpoint, tell = folder / CHECKPOINT, note or (lambda words: None)
    state = load_state(checkpoint, job.pack, job.source) if checkpoint.exists() else None
    trainer = Trainer(job.pack, job.source, device=device, state=state)
    steps = job.pack.recipe.steps
    if state is not None:
        on = f"going on from step {state.step} of {steps}" if state.step < steps else "training is finished already"
        tell(f"{checkpoint} is there: {on}.")
        if made_by(checkpoint) != torch.__version__:
            tell(f"it was made by torch {made_by(checkpoint)}, this is {torch.__version__}: the bits may differ.")
    else:
        save_state(checkpoint, trainer.state, job.pack, job.source)  # an unwritable folder shows before the work
    saved = time.monotonic()
    try:
        while trainer.step < steps:
            trainer.advance()
            if progress is not None:
                progress(trainer.step, steps)
            if time.monotonic() - saved > every:
                save_state(checkpoint, trainer.state, job.pack, job.source)
                saved = time.monotonic()
    except BaseException:  # an interruption, above all
        save_state(checkpoint, trainer.state, job.pack, job.source)
        tell(f"stopped at step {trainer.step} of {steps}; started again with {folder}, it goes on from there.")
        raise
    save_state(checkpoint, trainer.state, job.pack, job.source)
    trained = finished(trainer)
    runs = runs_of(trained, device=device)
    write_whole(folder / CURVES, curves_of(trained).to_csv(index=False))
    write_whole(folder / RUNS, runs.to_csv(index=False))
    return runs
