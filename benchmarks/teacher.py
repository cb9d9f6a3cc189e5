"""How fast a teacher is sampled with keys and values kept, beside a forward pass of the whole prefix for every token.

Both draw the same tokens by the same numbers, in float64 on one thread, 256 sequences of 50 tokens. The one without a
cache makes scores of the last place alone. Times are of the processor: they depend less on what else the machine does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from common import Row
from scaletrain.config import Recipe, Shape
from scaletrain.counters import streams
from scaletrain.model import hidden, initial
from scaletrain.parametrization import EMBEDDING, multiplier
from scaletrain.teacher_sampling import CHUNK, TeacherSamples, drawn, placed, uniform
from scaletrain.teachers import Teacher

LENGTH = 50
SIZES = ((512, 64, 1), (512, 64, 2), (2048, 128, 2))  # vocabulary, width, depth


def teacher_rows(quick: bool) -> list[Row]:
    """Tokens a CPU-second with and without cache, and their ratio."""
    torch.set_num_threads(1)
    rows = []
    for vocabulary, width, depth in SIZES[: 2 if quick else None]:
        samples = TeacherSamples(_teacher(vocabulary, width, depth), length=LENGTH, seed=0)
        samples.batch(0, 1)
        kept, with_cache = _rate(lambda samples=samples: samples.on("cpu").batch(CHUNK, CHUNK))
        made, without = _rate(lambda samples=samples: _without_cache(samples, CHUNK))
        rows.append({
            "vocabulary": vocabulary, "width": width, "depth": depth, "tokens_per_cpu_s": with_cache,
            "without_cache": without, "ratio": with_cache / without,
            "same_sequences": float((kept == made).all(dim=1).double().mean()),
        })  # fmt: skip
    return rows


def _teacher(vocabulary: int, width: int, depth: int) -> Teacher:
    """An untrained one with sharp distributions: how fast it is sampled does not depend on its weights."""
    shape, recipe = Shape(vocabulary=vocabulary, width=width, depth=depth, length=LENGTH), Recipe(steps=1)
    params = initial(shape, recipe, [0])
    params[EMBEDDING] *= 20
    return Teacher(shape, recipe, params, np.full(vocabulary, 1 / vocabulary), 1, "0" * 64)


def _rate(job: Callable[[], Tensor]) -> tuple[Tensor, float]:
    start = time.process_time()
    made = job()
    return made, made.numel() / (time.process_time() - start)


@torch.no_grad()
def _without_cache(samples: TeacherSamples, first: int) -> Tensor:
    """The same draws, each from a forward pass of all that came before."""
    teacher = samples.teacher
    states = streams(samples.key, torch.arange(CHUNK) + first)
    tokens = placed(torch.as_tensor(np.cumsum(teacher.start)), uniform(states, 0))[:, None]
    params = {name: value.double() for name, value in teacher.params.items()}
    head = params[EMBEDDING][0].T / multiplier(teacher.shape, teacher.recipe)
    for place in range(1, LENGTH):
        scores = hidden(params, tokens[None], teacher.shape)[0, :, -1] @ head
        tokens = torch.cat([tokens, drawn(scores, samples.temperature, uniform(states, place))[:, None]], dim=1)
    return tokens


if __name__ == "__main__":
    for row in teacher_rows(quick=False):
        print({name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()})
