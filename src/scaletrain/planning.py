"""Plan of a sweep: packs, FLOPs, memory and time, by a few updates of each of its models on this machine."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .config import Pack, Recipe, Replica, Shape
from .jobs import Cell
from .sweeps import Sweep, cost
from .training import Trainer, finished, usable

WARM, TIMED = 2, 5  # updates of each model: to warm up, and of which the fastest counts
OF_A_SEARCH = 4.5  # learning rates of a cell: three, mostly one to refine, at times one beyond an edge; our estimate

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Speed:
    """What a pack of one model and recipe takes on this machine.

    Attributes
    ----------
    step : float, seconds
        Of an update of the whole pack, the fastest of a few: other processes slow it down.
    end : float, seconds
        Of its evaluation.
    """

    step: float
    end: float


@dataclass(frozen=True)
class PlannedCell:
    """A cell, what it is expected to need, and how fast that is.

    Attributes
    ----------
    cell : Cell
    runs, packs : float
        Of a search, the mean that is expected.
    speed : Speed
    """

    cell: Cell
    runs: float
    packs: float
    speed: Speed

    @property
    def flops(self) -> float:
        """6 N D of all runs."""
        return self.runs * cost(self.cell)

    @property
    def seconds(self) -> float:
        """Of one worker, a pack of fewer replicas counted like a whole one."""
        return self.packs * (self.cell.recipe.steps * self.speed.step + self.speed.end)


@dataclass(frozen=True)
class Plan:
    """What a sweep will take.

    Attributes
    ----------
    cells : tuple of PlannedCell
    memory : float, bytes
        The most that a worker had in use: of the GPU, or else of the whole process; nan where the system does not say.
    """

    cells: tuple[PlannedCell, ...]
    memory: float

    @property
    def packs(self) -> float:
        """Of all cells."""
        return sum(one.packs for one in self.cells)

    @property
    def flops(self) -> float:
        """6 N D of all runs."""
        return sum(one.flops for one in self.cells)

    @property
    def seconds(self) -> float:
        """Of one worker that does all."""
        return sum(one.seconds for one in self.cells)

    def shapes(self) -> list[dict[str, Any]]:
        """A row per model shape, for a screen."""
        rows = []
        for shape in dict.fromkeys(one.cell.shape for one in self.cells):
            own = [one for one in self.cells if one.cell.shape == shape]
            steps = [one.cell.recipe.steps for one in own]
            rows.append({
                "width": shape.width, "depth": shape.depth, "params": shape.params, "cells": len(own),
                "least_steps": min(steps), "most_steps": max(steps), "ms_per_step": 1e3 * own[0].speed.step,
                "packs": sum(one.packs for one in own), "flops": sum(one.flops for one in own),
                "seconds": sum(one.seconds for one in own),
            })  # fmt: skip
        return rows


def plan(sweep: Sweep, *, stack: int, device: str = "cpu", progress: Progress | None = None) -> Plan:
    """Plan of a sweep on this machine.

    Parameters
    ----------
    sweep : Sweep
    stack : int
        Replicas of a pack at most.
    device : str
        Of torch.
    progress : callable, optional
        Called with the number of models that were timed, and of all.

    Raises
    ------
    ValueError
        If there is no such device.

    Examples
    --------
    >>> from scaletrain.sweeps import read_sweep
    >>> made = plan(read_sweep("er_ci"), stack=1)
    >>> made.packs, made.seconds > 0
    (6.0, True)
    """
    usable(device)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    in_a_round = len(sweep.seeds) * (3 if sweep.search else len(sweep.rates))
    seeds = sweep.seeds * (in_a_round // len(sweep.seeds))  # those of the data too: each is drawn on its own
    replicas = tuple(Replica(lr=sweep.rates[0], seed=seed, data_seed=data) for seed, data in seeds[:stack])
    rates = OF_A_SEARCH if sweep.search else len(sweep.rates)
    kinds = list(dict.fromkeys(map(_kind, sweep.cells)))
    speeds = {}
    for number, (digest, shape, recipe) in enumerate(kinds, 1):
        speeds[digest, shape, recipe] = timed(
            Trainer(Pack(shape=shape, recipe=recipe, replicas=replicas), sweep.sources[digest], device=device)
        )
        if progress is not None:
            progress(number, len(kinds))
    packs = float(math.ceil(in_a_round / stack))
    if sweep.search:  # a rate at a time after the first three
        packs += (OF_A_SEARCH - 3) * math.ceil(len(sweep.seeds) / stack)
    made = [PlannedCell(cell, rates * len(sweep.seeds), packs, speeds[_kind(cell)]) for cell in sweep.cells]
    return Plan(tuple(made), _memory(device))


def timed(trainer: Trainer) -> Speed:
    """Time of a trainer's updates and of its evaluation; sequences are drawn for many updates at once."""
    begun = _now(trainer.device)
    trainer.batch(0)
    drawing, spent = (_now(trainer.device) - begun) / trainer.ahead, []
    for _ in range(WARM + TIMED):
        begun = _now(trainer.device)
        trainer.advance()
        spent.append(_now(trainer.device) - begun)
    begun = _now(trainer.device)
    finished(trainer)
    return Speed(drawing + min(spent[WARM:]), _now(trainer.device) - begun)


def _kind(cell: Cell) -> tuple[str, Shape, Recipe]:
    """What the time of an update depends on."""
    return cell.digest, cell.shape, Recipe(steps=WARM + TIMED, batch=cell.recipe.batch, dtype=cell.recipe.dtype)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _memory(device: str) -> float:
    if device != "cpu":
        return float(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)
