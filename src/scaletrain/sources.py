"""What models are trained on, behind one door: walks, n-gram models, samples of teachers, text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import Pack, Recipe, Shape
from .corpora import Corpus, Windows
from .counters import Split
from .evaluation import Evaluation, TextEvaluator, WalkEvaluator
from .graphs import Graph
from .ngram_models import NgramModel, NgramWalks
from .teacher_sampling import TeacherSamples
from .teachers import COLUMNS as TEACHER_COLUMNS
from .teachers import Teacher, TeacherEvaluator
from .walks import Walks

Floats = NDArray[np.float64]
Evaluator: TypeAlias = Callable[[Mapping[str, Tensor], Shape, Recipe], Evaluation]

TEST_SEQUENCES = 400  # about 20,000 positions of sequences of 50 tokens
TEST_WINDOWS = 2000  # of text, whose sampled losses scatter more than exact divergences; fewer if there are fewer
AT_ONCE = 1 << 22  # tokens of a corpus that are counted together
TEST_SEED = 0  # all runs on a source are tested on the same sequences

#: What the source of its data adds to a row of a table of runs; empty where a source has no such thing.
COLUMNS = {
    "source": "what the data are: walks, ngrams, teacher or text",
    "kappa": "power of the random edge weights of walks; 0 if unbiased",
    "threshold": "bigrams or n-grams that occur at most so often are left out",
    "order": "n of n-grams",
    "skip": "distance of the tokens of an n-gram",
    "mixture": "weight of trigrams in a mixture with bigrams",
    **TEACHER_COLUMNS,
}


class Sequences(Protocol):
    """Sequences by number, on a device."""

    def batch(self, first: int, count: int) -> Tensor:
        """(count, length) int64 tokens of the sequences from number `first` on."""


@dataclass(frozen=True, eq=False)
class Source:
    """What models are trained and tested on.

    Attributes
    ----------
    name : str
        What the table of runs calls the data set.
    digest : str
        Of everything that the sequences depend on.
    vocabulary : int
    start : (V,) array
        Law of the first token of a sequence.
    words : str
        For a screen.
    sequences : callable
        Of length, seed, split and device: the sequences.
    evaluator : callable
        Of test sequences (W, length) and a device: what evaluates models on them.
    columns : dict
        Some of `COLUMNS`.
    most : callable
        Of a length: how many training sequences there are.
    tests : callable
        Of a length: how many sequences models are tested on.
    counting : float
        Coefficient c of the counting baseline, floor + c / D; nan where none is known.
    notes : tuple of str
        What a user should know of it.
    labels : tuple of str, optional
        What tokens are called.
    """

    name: str
    digest: str
    vocabulary: int
    start: Floats
    words: str
    sequences: Callable[[int, int, Split, torch.device], Sequences]
    evaluator: Callable[[NDArray[np.integer], torch.device], Evaluator]
    columns: dict[str, Any] = field(default_factory=dict)
    most: Callable[[int], float] = lambda length: math.inf
    tests: Callable[[int], int] = lambda length: TEST_SEQUENCES
    counting: float = math.nan
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None

    @property
    def has_floor(self) -> bool:
        """Whether the entropy of the next token is known: not of text."""
        return self.columns.get("source") != "text"

    def check(self, pack: Pack) -> None:
        """Refuse a pack of another vocabulary, one that asks for more sequences than there are, or too few to test it.

        Raises
        ------
        ValueError
            That says which.
        """
        shape, wanted = pack.shape, pack.recipe.steps * pack.recipe.batch
        if shape.vocabulary != self.vocabulary:
            raise ValueError(
                f"the model has a vocabulary of {shape.vocabulary}, but that of {self.name} is {self.vocabulary}: set "
                f"vocabulary = {self.vocabulary}."
            )
        most = self.most(shape.length)
        if wanted > most:
            raise ValueError(
                f"{self.name} has {most:,.0f} sequences of {shape.length} tokens, {most * shape.context:,.0f} "
                f"predicted tokens, and none is seen twice, but {wanted:,} sequences or {pack.tokens:,} tokens are "
                "asked for. Train on fewer tokens, or prepare more text."
            )
        tests = self.tests(shape.length)  # else training would end without a loss
        if tests < 2:
            raise ValueError(
                f"{self.name} has {tests} held-out sequence of {shape.length} tokens, and a standard error needs 2. "
                "Prepare more text, hold more of it out, or choose a smaller length."
            )

    def tester(self, length: int, device: torch.device) -> Evaluator:
        """What evaluates models on the test sequences of a length: always the same ones."""
        tests = self.sequences(length, TEST_SEED, "test", torch.device("cpu")).batch(0, self.tests(length))
        return self.evaluator(tests.numpy(), device)


Data: TypeAlias = Source | Graph | NgramModel | Teacher | Corpus


@singledispatch
def source_of(data: Data) -> Source:
    """Source of what a user has: a graph, an n-gram model, a teacher, a corpus; a source is one already.

    Raises
    ------
    TypeError
        If it is none of these.

    Examples
    --------
    >>> source_of(Graph.from_edges([(0, 1), (1, 2), (2, 0)])).words
    'graph, 3 nodes, 6 directed edges'
    """
    raise TypeError(
        f"models are trained on a Graph, an NgramModel, a Teacher or a Corpus, not on a {type(data).__name__}."
    )


@source_of.register
def _(data: Source) -> Source:
    return data


@source_of.register
def _(data: Graph) -> Source:
    return Source(
        data.name, data.digest, data.nodes, data.start,
        f"{data.name}, {data.nodes} nodes, {data.edges} directed edges",
        lambda length, seed, split, device: Walks(data, length, seed, split).on(device),
        lambda tests, device: WalkEvaluator(data, tests, device),
        columns={"source": "walks"}, counting=(data.edges - data.nodes) / 2, notes=data.notes, labels=data.labels,
    )  # fmt: skip


@source_of.register
def _(data: NgramModel) -> Source:
    first = np.bincount(data.contexts[:, 0], data.graph.start, data.vocabulary).astype(np.float64)
    return Source(
        data.graph.name, data.digest, data.vocabulary, first,
        f"{data.graph.name} of {data.vocabulary} tokens, {data.graph.nodes} contexts, {data.graph.edges} n-grams",
        lambda length, seed, split, device: NgramWalks(data, length, seed, split).on(device),
        lambda tests, device: WalkEvaluator(data, tests, device),
        columns={"source": "ngrams", "order": data.order, "skip": data.skip}, notes=data.graph.notes,
    )  # fmt: skip


@source_of.register
def _(data: Teacher) -> Source:
    return sampled(data)


@source_of.register
def _(data: Corpus) -> Source:
    tokens = data.split("train").tokens
    parts = (tokens[place : place + AT_ONCE] for place in range(0, len(tokens), AT_ONCE))
    counts = sum((np.bincount(part, minlength=data.vocabulary) for part in parts), np.zeros(data.vocabulary))

    def most(length: int) -> float:
        return Windows(data, length, 0).windows

    return Source(
        data.name, data.digest[:16], data.vocabulary, counts / counts.sum(), repr(data),
        lambda length, seed, split, device: _Read(Windows(data, length, seed, split), device), TextEvaluator,
        columns={"source": "text"}, most=most,
        tests=lambda length: min(TEST_WINDOWS, Windows(data, length, 0, "test").windows),
    )  # fmt: skip


def sampled(teacher: Teacher, *, temperature: float = 1.0) -> Source:
    """Source of the samples of a teacher at a temperature.

    Parameters
    ----------
    teacher : Teacher
    temperature : float
        Not from the paper (value unknown): 1 samples the teacher's own distribution.

    Raises
    ------
    ValueError
        If the temperature is not positive and finite.

    Examples
    --------
    >>> from scaletrain.model import initial
    >>> shape, recipe = Shape(vocabulary=7, width=16, length=6), Recipe(steps=1)
    >>> teacher = Teacher(shape, recipe, initial(shape, recipe, [0]), np.full(7, 1 / 7), 1, "0f3a5c71" * 8)
    >>> sampled(teacher, temperature=0.7).name
    'T2L-0f3a5c71-0.7'
    """
    samples = TeacherSamples(teacher, 2, 0, temperature=temperature)

    def most(length: int) -> float:
        teacher.check_length(length)
        return math.inf

    return Source(
        teacher.name if temperature == 1 else f"{teacher.name}-{temperature:g}", samples.digest, teacher.vocabulary,
        teacher.start, f"samples of {teacher.name}, {teacher.vocabulary} tokens, at temperature {temperature:g}",
        lambda length, seed, split, device: TeacherSamples(teacher, length, seed, split, temperature).on(device),
        lambda tests, device: TeacherEvaluator(teacher, tests, temperature=temperature, device=device),
        columns={"source": "teacher", **samples.columns}, most=most, notes=teacher.notes,
    )  # fmt: skip


@dataclass(frozen=True)
class _Read:
    """Windows of a corpus on a device."""

    windows: Windows
    device: torch.device

    def batch(self, first: int, count: int) -> Tensor:
        return torch.as_tensor(self.windows.batch(first, count), dtype=torch.int64, device=self.device)
