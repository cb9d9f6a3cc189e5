"""Teachers: trained models whose samples are data, and the exact distance of other models from one."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .config import Recipe, Shape, check_whole
from .evaluation import Evaluation, at_once
from .model import Params, hidden
from .parametrization import EMBEDDING, multiplier, tensor_shapes

Floats = NDArray[np.float64]

EXPORT_FORMAT = "2"  # of checkpoints and of what `scaletrain export` writes
START = "start"  # tensor with the law of the first token

#: What a teacher adds to a row of a table of runs.
COLUMNS = {
    "teacher": "name of the model that the data are sampled from",
    "teacher_digest": "SHA-256 of its file, 16 digits",
    "teacher_depth": "layers of the teacher",
    "teacher_width": "d of the teacher",
    "teacher_params": "parameters of the teacher",
    "teacher_steps": "updates that the teacher has seen",
    "temperature": "that its scores are divided by",
}


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained model, and the law of the first token of what is sampled from it.

    Attributes
    ----------
    shape : Shape
    recipe : Recipe
        It was trained by; muP divides its final states by a multiplier.
    params : dict of str to (1, ...) tensor
    start : (V,) array
        Probabilities of a first token.
    step : int
        Updates that it has seen.
    digest : str
        SHA-256 of its file.

    Examples
    --------
    >>> Teacher(Shape(vocabulary=3, width=16), Recipe(steps=1), {}, np.full(3, 1 / 3), 1, "0f3a5c71" * 8).name
    'T2L-0f3a5c71'
    """

    shape: Shape
    recipe: Recipe
    params: Params
    start: Floats
    step: int
    digest: str

    @property
    def vocabulary(self) -> int:
        """V, its tokens."""
        return self.shape.vocabulary

    @property
    def name(self) -> str:
        """Its layers, as the paper names teachers, and the beginning of its digest: T2L-0f3a5c71."""
        return f"T{self.shape.depth}L-{self.digest[:8]}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know."""
        if self.step >= self.recipe.steps:
            return ()
        return (f"training of the teacher {self.name} was stopped at step {self.step} of {self.recipe.steps}.",)

    @property
    def columns(self) -> dict[str, Any]:
        """What it adds to a row of a table of runs, without the temperature."""
        values = (
            self.name, self.digest[:16], self.shape.depth, self.shape.width, self.shape.params, self.step,
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=False))

    def check_length(self, length: Any) -> None:
        """Refuse sequences in which nothing is predicted, or with places that the teacher has never seen."""
        try:
            check_whole("length", length, 2, self.shape.length)
        except ValueError as error:
            raise ValueError(
                f"{error} The teacher {self.name} was trained on sequences of {self.shape.length} tokens, and knows "
                "nothing of later places."
            ) from error


def read_teacher(path: str | os.PathLike[str]) -> Teacher:
    """Teacher of a file that `scaletrain export` wrote.

    Its tensor `start` is the law of the first token of the data that it was trained on. A teacher says what follows,
    never how a sequence begins: windows of text begin anywhere, and their first token has the law of single tokens. Not
    from the paper (its law is unknown).

    Raises
    ------
    ValueError
        If the file is none of those, one of another format, lacks tensors or has other ones, or its start law is no
        law of its vocabulary.
    FileNotFoundError
        If there is no file.

    Examples
    --------
    >>> import tempfile
    >>> from scaletrain import Graph, Pack, Recipe, Replica, Shape, Trainer, export
    >>> from scaletrain.checkpoints import save_state
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=Recipe(steps=3), replicas=(Replica(lr=0.01),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(f"{folder}/state", Trainer(pack, ring).state, pack, ring)
    ...     _ = export(f"{folder}/state", f"{folder}/model.safetensors")
    ...     teacher = read_teacher(f"{folder}/model.safetensors")
    >>> teacher.vocabulary, teacher.name.partition("-")[0]
    (3, 'T2L')
    """
    tensors, header = _read(path)
    try:
        shape, recipe = Shape(**json.loads(header["shape"])), Recipe(**json.loads(header["recipe"]))
        step = int(header["step"])
    except (TypeError, ValueError) as error:  # json's errors are ValueErrors
        raise ValueError(f"{path} is no model of this version of scaletrain: {error}") from error
    law = tensors.pop(START, None)
    _check_tensors(tensors, shape, path)
    if law is None:
        raise ValueError(f"{path} lacks the tensor start, the law of the first token. Export it again.")
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    params = {name: value[None] for name, value in tensors.items()}
    return Teacher(shape, recipe, params, _checked_law(law, shape.vocabulary), step, digest)


class TeacherEvaluator:
    """Evaluates models on sequences of a teacher that stay the same.

    After each prefix the whole distribution of the teacher is laid beside that of the model: nothing is sampled but the
    sequences. The floor is the mean entropy of the teacher's next token on these sequences, and no model is below it.

    Parameters
    ----------
    teacher : Teacher
    sequences : (W, T) array of int
        Test sequences; the first token is not predicted.
    temperature : float
        They were sampled at.
    device : device of torch

    Attributes
    ----------
    floor : float, nats per token
    floor_se : float
        Standard error over sequences of the floor, as an estimate of that of all sequences. Models that are evaluated
        on the same sequences share it.

    Raises
    ------
    ValueError
        If there are fewer than two sequences, they are too long for the teacher or have tokens that it lacks, or the
        temperature is not positive and finite.

    Examples
    --------
    >>> from scaletrain.model import initial
    >>> shape, recipe = Shape(vocabulary=3, width=16, length=6), Recipe(steps=1)
    >>> teacher = Teacher(shape, recipe, initial(shape, recipe, [0]), np.full(3, 1 / 3), 1, "0f3a5c71" * 8)
    >>> evaluator = TeacherEvaluator(teacher, np.array([[0, 1, 2, 0, 1, 2], [2, 2, 1, 1, 0, 0]]))
    >>> evaluator(teacher.params, shape, recipe).divergence.tolist()
    [0.0]
    """

    def __init__(
        self, teacher: Teacher, sequences: NDArray[np.integer], *, temperature: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        sequences = np.asarray(sequences, dtype=np.int64)
        if sequences.ndim != 2 or len(sequences) < 2:
            raise ValueError(f"a standard error needs at least 2 test sequences, (W, T), not {sequences.shape}.")
        teacher.check_length(sequences.shape[1])
        if sequences.min() < 0 or sequences.max() >= teacher.vocabulary:
            raise ValueError(
                f"tokens of the teacher {teacher.name} go from 0 to {teacher.vocabulary - 1}, but the test sequences "
                f"have {sequences.min()} to {sequences.max()}."
            )
        self.teacher, self.temperature = teacher, checked_temperature(temperature)
        self.tokens = torch.as_tensor(sequences, device=device)
        self.params = {name: value.to(device) for name, value in teacher.params.items()}
        with torch.no_grad():
            entropies = [_per_sequence(-(log_p.exp() * log_p), seen) for seen, log_p in self._parts()]
        floors = torch.cat(entropies).cpu().numpy()
        self.floor, self.floor_se = float(floors.mean()), float(floors.std(ddof=1) / np.sqrt(len(floors)))

    @torch.no_grad()
    def __call__(self, params: Mapping[str, Tensor], shape: Shape, recipe: Recipe) -> Evaluation:
        """Evaluate R replicas: mean cross-entropy with the teacher, its floor and the mean divergence.

        `loss_se` is the standard error of the divergence over sequences, given the floor of these sequences.

        Raises
        ------
        ValueError
            If the models have another vocabulary.
        """
        if shape.vocabulary != self.teacher.vocabulary:
            raise ValueError(
                f"the model has a vocabulary of {shape.vocabulary}, the teacher {self.teacher.name} one of "
                f"{self.teacher.vocabulary}: they must be the same."
            )
        parts = []
        for seen, log_p in self._parts():
            p = log_p.exp()
            of_replicas = (torch.log_softmax(scores.double(), dim=1) for scores in _scores(params, seen, shape, recipe))
            parts.append(torch.stack([_per_sequence(p * (log_p - log_q), seen) for log_q in of_replicas]))
        divergences = torch.cat(parts, dim=1).cpu().numpy()  # (R, W)
        count, means = divergences.shape[1], divergences.mean(axis=1)
        return Evaluation(
            self.floor + means, divergences.std(axis=1, ddof=1) / np.sqrt(count), means, self.floor, count,
            count * (self.tokens.shape[1] - 1),
        )  # fmt: skip

    def _parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Prefixes (w, T - 1) of some sequences, and the log-probabilities (w (T - 1), V) of what follows each."""
        some = at_once(self.tokens, self.teacher.vocabulary)
        for start in range(0, len(self.tokens), some):
            seen = self.tokens[start : start + some, :-1]
            (scores,) = _scores(self.params, seen, self.teacher.shape, self.teacher.recipe)
            yield seen, log_chances(scores, self.temperature)


def log_chances(scores: Tensor, temperature: float) -> Tensor:
    """Log-probabilities (n, V), in float64, of scores (n, V) at a temperature; finite where a probability is 0.

    Examples
    --------
    >>> log_chances(torch.tensor([[0.0, 1.0]]), 0.001).exp()
    tensor([[0., 1.]], dtype=torch.float64)
    """
    below = (scores.double() - scores.amax(dim=1, keepdim=True)) / temperature
    return torch.log_softmax(below.clamp(min=-1e4), dim=1)  # exp(-1e4) is 0, as is that of what is below


def checked_temperature(temperature: Any) -> float:
    """The temperature as a float, if it is positive and finite."""
    number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    if not number or not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a finite number, positive, not {temperature!r}.")
    return float(temperature)


def _scores(params: Mapping[str, Tensor], seen: Tensor, shape: Shape, recipe: Recipe) -> Iterator[Tensor]:
    """Scores (n, V) after each prefix of sequences (w, T), for one of R replicas after the other."""
    replicas = len(params[EMBEDDING])
    states = hidden(params, seen.expand(replicas, *seen.shape), shape).flatten(1, 2) / multiplier(shape, recipe)
    for own, head in zip(states.unbind(), params[EMBEDDING].unbind(), strict=True):
        yield own @ head.T


def _per_sequence(terms: Tensor, seen: Tensor) -> Tensor:
    """(w,) means over the places of each sequence of sums over tokens of terms (n, V)."""
    return terms.sum(dim=1).view(seen.shape).mean(dim=1)


def _read(path: str | os.PathLike[str]) -> tuple[Params, dict[str, str]]:
    """Tensors and header of an export; no more than the header is read of another file."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no teacher {path}.")
    try:
        with safe_open(Path(path), framework="pt") as file:
            header = file.metadata() or {}
            if "pack" in header:
                raise ValueError(_of_checkpoint(path, header["pack"]))
            if header.get("scaletrain") != EXPORT_FORMAT or not {"shape", "recipe", "step"} <= header.keys():
                there = f"format {header['scaletrain']!r}" if "scaletrain" in header else "no format"
                raise ValueError(
                    f"{path} is no model that `scaletrain export` wrote: its header names {there} and "
                    f"{', '.join(sorted(header)) or 'nothing else'}; format {EXPORT_FORMAT!r} has shape, recipe, step."
                )
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no model that `scaletrain export` wrote: {error}") from error


def _of_checkpoint(path: str | os.PathLike[str], pack: str) -> str:
    """What to do with a checkpoint, which has all replicas of a pack."""
    try:
        count = len(json.loads(pack)["replicas"])
    except (ValueError, TypeError, KeyError):
        return f"{path} is neither a teacher nor a checkpoint that can be read."
    which = f" --replica 0 (or another, to {count - 1})" if count > 1 else ""
    return f"{path} is a checkpoint. A teacher is one model: scaletrain export {path} -o teacher.safetensors{which}."


def _check_tensors(tensors: Params, shape: Shape, path: str | os.PathLike[str]) -> None:
    """Refuse tensors that are not those of the shape."""
    sizes = tensor_shapes(shape)
    faults = [f"{name} is missing" for name in sizes if name not in tensors]
    faults += [f"{name} is unknown" for name in tensors if name not in sizes]
    for name, value in tensors.items():
        if name in sizes and tuple(value.shape) != sizes[name]:
            faults.append(f"{name} is {tuple(value.shape)}, not {sizes[name]}")
        elif value.dtype not in (torch.float32, torch.float64):
            faults.append(f"{name} is of {value.dtype}")
        elif not bool(torch.isfinite(value).all()):
            faults.append(f"{name} is not finite")
    if faults:
        more = f", and {len(faults) - 4} more" if len(faults) > 4 else ""
        raise ValueError(f"{path} has not the tensors of its shape: {', '.join(faults[:4])}{more}. Export it again.")


def _checked_law(start: Any, vocabulary: int) -> Floats:
    """Probabilities of counts or weights of each token."""
    law: Floats = np.asarray(start, dtype=np.float64)
    if law.shape != (vocabulary,):
        raise ValueError(f"start must have a number for each of {vocabulary} tokens, ({vocabulary},), not {law.shape}.")
    bad = ~(np.isfinite(law) & (law >= 0))
    if bad.any() or not law.sum() > 0:
        shown = f"token {bad.argmax()} has {law[bad.argmax()]:g} ({bad.sum()} such)" if bad.any() else "all are 0"
        raise ValueError(f"start must be counts or probabilities, finite and at least 0, some above, but {shown}.")
    return np.asarray(law / law.sum())
