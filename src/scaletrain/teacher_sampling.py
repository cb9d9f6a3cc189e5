"""Samples of a teacher, addressed by number: a token at a time, with keys and values of earlier ones kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .config import MOST_SEED, Recipe, Shape, check_whole
from .counters import SPLITS, Split, key_of, number, streams
from .model import linear, norm, rotary, turned
from .parametrization import EMBEDDING, multiplier
from .teachers import Teacher, checked_temperature
from .walks import check_numbers

CHUNK = 256  # sequences that are always made together: rounding of products depends on how many there are
DIGITS = 52  # of a uniform number: one more, and number x total could round up to the total


@dataclass(frozen=True, eq=False)
class TeacherSamples:
    """Sequences of tokens sampled from a teacher, numbered without end.

    Token x_t is drawn from p(x_t | x_<t) = softmax(scores / temperature), x_1 from the teacher's start law. Sequence w
    of a seed and split is a function of these three: batches can be asked for in any order and size. To that end chunks
    of 256 neighbours are made whole, whatever is asked for, and in float64.

    Parameters
    ----------
    teacher : Teacher
    length : int
        Tokens of a sequence, at least 2 and at most that of the sequences the teacher was trained on.
    seed : int
        From 0 to 2^32 - 1.
    split : {"train", "test"}
        The sequences of the two splits are drawn independently of each other.
    temperature : float
        Not from the paper (value unknown): 1 samples the teacher's own distribution.

    Raises
    ------
    ValueError
        If the length, seed, split or temperature is none of these.

    Notes
    -----
    On a CPU with the same version of torch and number of threads batches agree bit by bit. Elsewhere rounding is
    another, and where a draw is within it of the border between two tokens, the rest of that sequence is another one,
    equally good. In float32 that befell some sequences in a thousand; in float64 none of some hundreds, and by the
    ratio of the roundings a token in about 10^12. On a GPU none of this was tried.

    Examples
    --------
    >>> from scaletrain.config import Recipe, Shape
    >>> from scaletrain.model import initial
    >>> shape, recipe = Shape(vocabulary=7, width=16, length=6), Recipe(steps=1)
    >>> teacher = Teacher(shape, recipe, initial(shape, recipe, [0]), np.full(7, 1 / 7), 0, "0f3a5c71" * 8)
    >>> samples = TeacherSamples(teacher, length=6, seed=0)
    >>> samples.batch(10, 4).shape, bool(np.all(samples.batch(10, 4)[1:] == samples.batch(11, 3)))
    ((4, 6), True)
    """

    teacher: Teacher
    length: int
    seed: int
    split: Split = "train"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        self.teacher.check_length(self.length)
        check_whole("seed", self.seed, 0, MOST_SEED)
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {self.split!r}.")
        object.__setattr__(self, "temperature", checked_temperature(self.temperature))

    @property
    def key(self) -> int:
        """Key of the random numbers: not that of walks, by which the teacher itself may have been trained."""
        return key_of(self.seed, len(SPLITS) + SPLITS[self.split])

    @property
    def digest(self) -> str:
        """SHA-256, 16 digits, of what makes their law: the teacher's file and the temperature."""
        return hashlib.sha256(f"{self.teacher.digest} {self.temperature!r}".encode()).hexdigest()[:16]

    @property
    def columns(self) -> dict[str, Any]:
        """What they add to a row of a table of runs: `teachers.COLUMNS`."""
        return {**self.teacher.columns, "temperature": self.temperature}

    @cached_property
    def _on_cpu(self) -> DeviceSamples:
        return self.on("cpu")

    def batch(self, first: int, count: int) -> NDArray[np.int32]:
        """(count, length) tokens of the sequences from number `first` on, made on the CPU.

        Raises
        ------
        ValueError
            If the numbers are not whole, negative, or reach 2^63 - 1.
        """
        return self._on_cpu.batch(first, count).numpy().astype(np.int32)

    def on(self, device: torch.device | str) -> DeviceSamples:
        """The same sequences, up to rounding, made on a device of torch."""
        return DeviceSamples(self, device)


class DeviceSamples:
    """Samples of a teacher that lies on a device of torch, where batches are made."""

    def __init__(self, samples: TeacherSamples, device: torch.device | str) -> None:
        self.samples, self.device = samples, torch.device(device)
        # with rounding of float32 the data would depend on the machine: some sequences in a thousand are others then
        self.params = {name: value.to(self.device, torch.float64) for name, value in samples.teacher.params.items()}
        self.starts = torch.as_tensor(np.cumsum(samples.teacher.start), device=self.device)
        self._kept: tuple[int, Tensor] | None = None  # the last chunk: the next batch may begin in its middle

    def batch(self, first: int, count: int) -> Tensor:
        """(count, length) int64 tokens of the sequences from number `first` on."""
        check_numbers(first, count)
        first, end = int(first), int(first) + int(count)
        made = torch.empty((end - first, self.samples.length), dtype=torch.int64, device=self.device)
        for chunk in range(first // CHUNK, -(-end // CHUNK)):
            low, high = max(first, chunk * CHUNK), min(end, (chunk + 1) * CHUNK)
            made[low - first : high - first] = self._chunk(chunk)[low - chunk * CHUNK : high - chunk * CHUNK]
        return made

    def _chunk(self, chunk: int) -> Tensor:
        if self._kept is None or self._kept[0] != chunk:
            self._kept = chunk, self._sampled(chunk)
        return self._kept[1]

    @torch.no_grad()
    def _sampled(self, chunk: int) -> Tensor:
        """(CHUNK, length) tokens of the sequences from number chunk x CHUNK on."""
        samples, teacher = self.samples, self.samples.teacher
        numbers = torch.arange(CHUNK, dtype=torch.int64, device=self.device) + chunk * CHUNK
        states = streams(samples.key, numbers)
        decoder = Decoder(self.params, teacher.shape, teacher.recipe, sequences=CHUNK, length=samples.length)
        tokens = [placed(self.starts, uniform(states, 0))]
        while len(tokens) < samples.length:
            tokens.append(drawn(decoder.scores(tokens[-1]), samples.temperature, uniform(states, len(tokens))))
        return torch.stack(tokens, dim=1)


class Decoder:
    """The model of one replica, a token of each of B sequences at a time: `model.logits` with a cache.

    Parameters
    ----------
    params : dict of str to (1, ...) tensor
    shape : Shape
    recipe : Recipe
    sequences : int
        B.
    length : int
        Tokens of a sequence; the last one is not looked at.
    """

    def __init__(
        self, params: Mapping[str, Tensor], shape: Shape, recipe: Recipe, *, sequences: int, length: int
    ) -> None:
        self.params, self.shape, self.place = params, shape, 0
        embedding = params[EMBEDDING]
        self.head = embedding[0].T / multiplier(shape, recipe)  # (d, V)
        self.cos, self.sin = rotary(length - 1, shape.head_dim, embedding)
        size = (shape.depth, 2, sequences, shape.heads, length - 1, shape.head_dim)
        self.cache = embedding.new_empty(size)  # keys and values of each layer

    def scores(self, tokens: Tensor) -> Tensor:
        """Scores (B, V) of the token that follows tokens (B,) at the next place."""
        shape, here = self.shape, slice(self.place, self.place + 1)
        cos, sin = self.cos[here], self.sin[here]
        x = self.params[EMBEDDING][:, tokens]  # (1, B, d)
        for layer in range(shape.depth):
            qkv = linear(norm(x), self.params[f"layer{layer}.qkv"])
            q, k, v = qkv.view(len(tokens), 1, 3, shape.heads, shape.head_dim).permute(2, 0, 3, 1, 4)  # (B, H, 1, size)
            keys, values = self.cache[layer]
            keys[:, :, here], values[:, :, here] = turned(k, cos, sin), v
            upto = slice(0, here.stop)  # of the last token nothing is masked
            mixed = F.scaled_dot_product_attention(turned(q, cos, sin), keys[:, :, upto], values[:, :, upto])
            x = x + linear(mixed.transpose(1, 2).reshape(x.shape), self.params[f"layer{layer}.out"])
            wide = F.gelu(linear(norm(x), self.params[f"layer{layer}.up"]))
            x = x + linear(wide, self.params[f"layer{layer}.down"])
        self.place += 1
        return norm(x)[0] @ self.head


def drawn(scores: Tensor, temperature: float, uniforms: Tensor) -> Tensor:
    """Tokens (B,) of scores (B, V) at a temperature, by uniform numbers (B,).

    Examples
    --------
    >>> drawn(torch.zeros(3, 4), 1.0, torch.tensor([0.2, 0.3, 0.9]).double())
    tensor([0, 1, 3])
    """
    weights = scores.double() - scores.amax(dim=1, keepdim=True)
    weights.div_(temperature).exp_()  # in place: copies would be most of the memory
    return placed(weights.cumsum_(dim=1), uniforms[:, None])[:, 0]


def placed(cumulative: Tensor, uniforms: Tensor) -> Tensor:
    """Where uniform numbers fall among cumulative weights, whose last one is their total: never on a weight of 0."""
    return torch.searchsorted(cumulative, uniforms * cumulative[..., -1:], right=True)


def uniform(states: Tensor, place: int) -> Tensor:
    """Numbers (B,) in [0, 1) at a place of streams, float64."""
    bits: Tensor = number(states, place) >> (64 - DIGITS) & ((1 << DIGITS) - 1)
    return bits.double() / float(1 << DIGITS)
