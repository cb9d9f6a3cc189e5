"""Training of a pack: one readable loop over updates of a stacked model."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import Pack
from .cross_entropy import linear_cross_entropy
from .evaluation import Evaluation
from .model import Params, hidden, initial, products_in
from .optimiser import AdamW, schedule
from .parametrization import EMBEDDING, multiplier
from .sources import Data, Source, source_of

POINTS = 50  # of a training curve
AHEAD = 4096  # sequences that are drawn together: small batches one by one would cost a tenth of the time

POLITE = ("SIGINT", "SIGTERM", "SIGUSR2")  # the last is how a cluster says that time is up

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class State:
    """Where training is: enough to go on bit by bit.

    Attributes
    ----------
    step : int
        Updates that are done.
    params, means, squares : dict of str to (R, ...) tensor
    losses : list of (step, (R,) tensor)
        The training curve so far.
    seconds, cpu_seconds : float
        Of the updates so far.
    """

    step: int
    params: Params
    means: Params
    squares: Params
    losses: list[tuple[int, Tensor]]
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Trained:
    """A pack after training.

    Attributes
    ----------
    pack : Pack
    source : Source
    params : dict of str to (R, ...) tensor
    evaluation : Evaluation
    diverged : (R,) array of bool
        A loss of training or of the test was not finite.
    curves : DataFrame
        replica, step, tokens, lr_now (of that step), train_loss.
    seconds, cpu_seconds : float
        Of the updates of all replicas, without the evaluation.

    Examples
    --------
    >>> from scaletrain import Graph, Pack, Recipe, Replica, Shape
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> recipe, replicas = Recipe(steps=3, batch=4), (Replica(lr=0.01),)
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=recipe, replicas=replicas)
    >>> train(pack, ring).diverged
    array([False])
    """

    pack: Pack
    source: Source
    params: Params
    evaluation: Evaluation
    diverged: NDArray[np.bool_]
    curves: pd.DataFrame
    seconds: float
    cpu_seconds: float


def loss_of(params: Params, tokens: Tensor, pack: Pack) -> Tensor:
    """Mean cross-entropy (R,) of sequences (R, B, length)."""
    with products_in(pack.recipe.dtype, tokens.device):
        states = hidden(params, tokens[..., :-1], pack.shape).flatten(1, 2) / multiplier(pack.shape, pack.recipe)
        return linear_cross_entropy(states, params[EMBEDDING], tokens[..., 1:].flatten(1))


class Trainer:
    """Trains a pack step by step.

    Parameters
    ----------
    pack : Pack
    data : Graph, NgramModel, Teacher, Corpus or Source
        Of the vocabulary of the model.
    device : str
        Of torch.
    state : State, optional
        To go on from.

    Raises
    ------
    ValueError
        If the vocabulary is not that of the data, there are too few of them, or there is no such device.

    Examples
    --------
    >>> from scaletrain import Graph, Pack, Recipe, Replica, Shape
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> recipe = Recipe(steps=3, batch=4)
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=recipe, replicas=(Replica(lr=0.01),))
    >>> trainer = Trainer(pack, ring)
    >>> trainer.advance()
    >>> trainer.step
    1
    """

    def __init__(self, pack: Pack, data: Data, *, device: str = "cpu", state: State | None = None) -> None:
        self.pack, self.source, self.device = pack, source_of(data), usable(device)
        self.source.check(pack)
        self.params = initial(pack.shape, pack.recipe, [one.seed for one in pack.replicas])
        self.params = {name: value.to(self.device).requires_grad_(True) for name, value in self.params.items()}
        self.optimiser = AdamW(self.params, pack.shape, pack.recipe, [one.lr for one in pack.replicas])
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self._torn = False  # whether an update failed after it had begun to change the weights
        self.losses: list[tuple[int, Tensor]] = []
        self.every = max(1, pack.recipe.steps // POINTS)
        seeds = sorted({one.data_seed for one in pack.replicas})
        self._streams = [self.source.sequences(pack.shape.length, seed, "train", self.device) for seed in seeds]
        self._stream_of = torch.tensor([seeds.index(one.data_seed) for one in pack.replicas], device=self.device)
        self.ahead = max(1, AHEAD // pack.recipe.batch)  # steps whose sequences are drawn together
        self._drawn: tuple[int, Tensor] | None = None
        if state is not None:
            self._restore(state)

    def batch(self, step: int) -> Tensor:
        """(R, B, length) sequences of a step."""
        size, block = self.pack.recipe.batch, step // self.ahead
        if self._drawn is None or self._drawn[0] != block:
            first = block * self.ahead * size
            count = int(min(self.ahead * size, self.source.most(self.pack.shape.length) - first))
            self._drawn = block, torch.stack([stream.batch(first, count) for stream in self._streams])
        start = step % self.ahead * size
        return self._drawn[1][:, start : start + size][self._stream_of]

    def advance(self) -> None:
        """Make one update, whole: polite signals wait until it no longer changes anything."""
        wall, cpu = time.perf_counter(), time.process_time()
        losses = loss_of(self.params, self.batch(self.step), self.pack)
        gradients = torch.autograd.grad(losses.sum(), list(self.params.values()))
        with _signals_wait():
            self._torn = True
            self.optimiser.step(self.step, dict(zip(self.params, gradients, strict=True)))
            if self.step % self.every == 0 or self.step == self.pack.recipe.steps - 1:
                self.losses.append((self.step, losses.detach()))
            self.step += 1
            self.seconds += time.perf_counter() - wall
            self.cpu_seconds += time.process_time() - cpu
            self._torn = False

    @property
    def state(self) -> State:
        """Copy of where training is.

        Raises
        ------
        RuntimeError
            If the last update failed in its middle, as for want of memory: half of it is no state to go on from.
        """
        if self._torn:
            raise RuntimeError(f"update {self.step} failed in its middle. Go on from the last checkpoint.")
        names = self.optimiser.names
        return State(
            self.step,
            {name: value.detach().clone() for name, value in self.params.items()},
            dict(zip(names, (mean.clone() for mean in self.optimiser.means), strict=True)),
            dict(zip(names, (square.clone() for square in self.optimiser.squares), strict=True)),
            list(self.losses),
            self.seconds,
            self.cpu_seconds,
        )

    @torch.no_grad()
    def _restore(self, state: State) -> None:
        for place, name in enumerate(self.optimiser.names):
            self.params[name].copy_(state.params[name])
            self.optimiser.means[place].copy_(state.means[name])
            self.optimiser.squares[place].copy_(state.squares[name])
        self.step, self.losses = state.step, list(state.losses)
        self.seconds, self.cpu_seconds = state.seconds, state.cpu_seconds


def train(pack: Pack, data: Data, *, device: str = "cpu", progress: Progress | None = None) -> Trained:
    """Train a pack on the walks of a graph or an n-gram model, on samples of a teacher or on text, and evaluate it.

    Parameters
    ----------
    pack : Pack
    data : Graph, NgramModel, Teacher, Corpus or Source
        Of the vocabulary of the model.
    device : str
        Of torch.
    progress : callable, optional
        Called with the number of updates that are done, and of all.

    Raises
    ------
    ValueError
        As `Trainer`.

    Notes
    -----
    The same pack on as many threads of a CPU and the same version of torch gives the same bits. After
    ``torch.set_num_threads(1)`` a replica gets them in any pack; several threads share the work out by its size, and
    rounding changes with the pack.

    Examples
    --------
    >>> from scaletrain import Graph, Pack, Recipe, Replica, Shape
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> recipe = Recipe(steps=3, batch=4)
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=recipe, replicas=(Replica(lr=0.01),))
    >>> train(pack, ring).evaluation.loss.shape
    (1,)
    """
    trainer = Trainer(pack, data, device=device)
    while trainer.step < pack.recipe.steps:
        trainer.advance()
        if progress is not None:
            progress(trainer.step, pack.recipe.steps)
    return finished(trainer)


def finished(trainer: Trainer) -> Trained:
    """What a trainer has made, evaluated."""
    pack = trainer.pack
    evaluation = trainer.source.tester(pack.shape.length, trainer.device)(trainer.params, pack.shape, pack.recipe)
    losses = torch.stack([loss for _, loss in trainer.losses]).double().cpu().numpy()  # (points, R)
    bad = ~np.isfinite(losses).all(axis=0) | ~np.isfinite(evaluation.loss)
    params = {name: value.detach() for name, value in trainer.params.items()}
    curves, spent = _curves(trainer, losses), (trainer.seconds, trainer.cpu_seconds)
    return Trained(pack, trainer.source, params, evaluation, bad, curves, *spent)


def usable(device: str) -> torch.device:
    """Device of torch, if it is there.

    Raises
    ------
    ValueError
        If it is neither a CPU nor a GPU of CUDA, or this machine has none.

    Examples
    --------
    >>> usable("cpu")
    device(type='cpu')
    """
    try:
        if torch.empty(0, device=device).device.type not in ("cpu", "cuda"):  # others lack float64, or hold nothing
            raise RuntimeError
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        raise ValueError(
            f"there is no device {device!r} here. Devices are cpu, cuda, cuda:1 and so on, and this machine has "
            f"{torch.cuda.device_count()} of CUDA."
        ) from error
    return torch.device(device)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold back the polite signals until the block is over, where they would raise; only the main thread gets them."""
    came: list[tuple[int, FrameType | None]] = []
    polite = [getattr(signal, name) for name in POLITE if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        polite = []
    handlers = {number: handler for number in polite if callable(handler := signal.getsignal(number))}
    holds = True

    def hold(number: int, frame: FrameType | None) -> None:
        if holds:
            came.append((number, frame))
        else:  # while the handlers are put back
            handlers[number](number, frame)

    try:
        for number in handlers:
            signal.signal(number, hold)
        yield
    finally:
        holds = False
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in came:  # called, not sent anew: an engine may have blocked what it simulates, as Ray does
            handlers[number](number, frame)


def _curves(trainer: Trainer, losses: NDArray[np.float64]) -> pd.DataFrame:
    """Training curves, a row per replica and point."""
    pack, steps = trainer.pack, [step for step, _ in trainer.losses]
    per_step = pack.recipe.batch * pack.shape.context
    frames: list[dict[str, Any]] = [
        {"replica": r, "step": step + 1, "tokens": (step + 1) * per_step,
         "lr_now": one.lr * schedule(step, pack.recipe), "train_loss": losses[place, r]}
        for r, one in enumerate(pack.replicas) for place, step in enumerate(steps)
    ]  # fmt: skip
    return pd.DataFrame(frames)
