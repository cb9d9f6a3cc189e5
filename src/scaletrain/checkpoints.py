"""Checkpoints and exported models as safetensors: named arrays and text, nothing that runs."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from scalefit.writing import write_whole

from .config import Pack, Recipe, Replica, Shape
from .sources import Data, Source, source_of
from .teachers import EXPORT_FORMAT as FORMAT
from .teachers import START
from .training import State

KINDS = ("params", "means", "squares")
HEADER = ("torch", "identity", "pack", "data", "step", "seconds", "cpu_seconds")  # text beside the tensors


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes
    ----------
    pack : Pack
        That was trained.
    replica : Replica
    step : int
        Updates that it has seen; fewer than those of the recipe if training was interrupted.
    """

    pack: Pack
    replica: Replica
    step: int


def identity(pack: Pack, data: Data) -> str:
    """SHA-256, 16 digits, of everything that training depends on.

    Examples
    --------
    >>> from scaletrain import Graph, Pack, Recipe, Replica, Shape
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=Recipe(steps=3), replicas=(Replica(lr=0.01),))
    >>> len(identity(pack, ring))
    16
    """
    content = {"format": FORMAT, "pack": asdict(pack), "data": source_of(data).digest}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def save_state(path: str | os.PathLike[str], state: State, pack: Pack, data: Data) -> None:
    """Write where training is, whole or not at all."""
    source = source_of(data)
    tensors = {START: torch.as_tensor(source.start), **{f"losses.{step}": loss for step, loss in state.losses}}
    for kind in KINDS:
        tensors |= {f"{kind}.{name}": value for name, value in getattr(state, kind).items()}
    about = {name: repr(getattr(state, name)) for name in ("step", "seconds", "cpu_seconds")}
    about |= {"identity": identity(pack, source), "pack": json.dumps(asdict(pack))}
    of_data = {"name": source.name, "digest": source.digest, "notes": source.notes, "labels": source.labels}
    _write(path, tensors, {**about, "data": json.dumps(of_data)})


def load_state(path: str | os.PathLike[str], pack: Pack, data: Data) -> State:
    """Read where training was.

    Raises
    ------
    ValueError
        If the file is no checkpoint, or one of another model, recipe, replicas or data.
    """
    tensors, about = _read(path)
    expected = identity(pack, data)
    tensors.pop(START, None)
    if about["identity"] != expected:
        raise ValueError(
            f"{path} is a checkpoint of another run: {_difference(about, pack, source_of(data))}. Give this run a "
            "folder of its own."
        )
    kinds: dict[str, dict[str, torch.Tensor]] = {kind: {} for kind in (*KINDS, "losses")}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        kinds[kind][rest] = value
    losses = sorted((int(step), loss) for step, loss in kinds.pop("losses").items())
    return State(
        int(about["step"]), **kinds, losses=losses,
        seconds=float(about["seconds"]), cpu_seconds=float(about["cpu_seconds"]),
    )  # fmt: skip


def export(checkpoint: str | os.PathLike[str], path: str | os.PathLike[str], *, replica: int | None = None) -> Exported:
    """Write the weights of one replica of a checkpoint, with its shape, recipe and data as text in the header.

    Matrices take rows, (fan_in, fan_out); the embedding is (V, d) and is the head too, after the final states are
    divided by `divide_states_by` of the header, the muP multiplier. Beside them stands `start`, the law of the first
    token of the data. Training your own runs, in the docs, has a model in plain torch that takes these weights.

    Parameters
    ----------
    checkpoint : path
        Of a run of `scaletrain train`.
    path : path
        To write, ending in .safetensors.
    replica : int, optional
        Which of the pack, from 0; need not be said of a pack of one.

    Returns
    -------
    Exported

    Raises
    ------
    ValueError
        If the file is no checkpoint, or has no such replica, several and none is named, or this one diverged.

    Examples
    --------
    >>> import tempfile
    >>> from scaletrain import Graph, Pack, Recipe, Replica, Shape, Trainer
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=Recipe(steps=3), replicas=(Replica(lr=0.01),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(f"{folder}/state", Trainer(pack, ring).state, pack, ring)
    ...     export(f"{folder}/state", f"{folder}/model.safetensors").step
    0
    """
    from .parametrization import multiplier

    tensors, about = _read(checkpoint)
    content = json.loads(about["pack"])
    pack = Pack(
        shape=Shape(**content["shape"]), recipe=Recipe(**content["recipe"]),
        replicas=tuple(Replica(**one) for one in content["replicas"]),
    )  # fmt: skip
    count = len(pack.replicas)
    if replica is None and count > 1:
        raise ValueError(
            f"the pack has replicas 0 to {count - 1}: say which. The end of `run` in runs.csv is its number."
        )
    replica = replica or 0
    if not 0 <= replica < count:
        raise ValueError(f"the pack has replicas 0 to {count - 1}, not {replica}.")
    header = {name: json.dumps(content[name]) for name in ("shape", "recipe")}
    header |= {"replica": json.dumps(content["replicas"][replica]), "step": about["step"], "data": about["data"]}
    header |= {"run": f"{about['identity']}-{replica}", "divide_states_by": repr(multiplier(pack.shape, pack.recipe))}
    start = len("params.")
    weights = {name[start:]: value[replica] for name, value in tensors.items() if name.startswith("params.")}
    if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
        raise ValueError(f"replica {replica} diverged: its weights are not finite. Export another one.")
    _write(path, {**weights, START: tensors[START]}, header)
    return Exported(pack, pack.replicas[replica], int(about["step"]))


def made_by(path: str | os.PathLike[str]) -> str:
    """Version of torch that wrote a checkpoint: another one may give other bits."""
    return str(_read(path)[1]["torch"])


def _difference(about: dict[str, Any], pack: Pack, source: Source) -> str:
    """What is not the same in a checkpoint, in words."""
    there, here = json.loads(about["pack"]), json.loads(json.dumps(asdict(pack)))
    found = [
        f"{name} is {there[part].get(name)!r} there, {here[part].get(name)!r} here"
        for part in ("shape", "recipe") for name in sorted({*there[part], *here[part]})
        if there[part].get(name) != here[part].get(name)
    ]  # fmt: skip
    if there["replicas"] != here["replicas"]:
        found.append("learning rates or seeds are others")
    if json.loads(about["data"])["digest"] != source.digest:
        found.append(f"the data are others, {json.loads(about['data'])['name']} there, {source.name} here")
    return "; ".join(found) or "its format is another one"


def _write(path: str | os.PathLike[str], tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_whole(path, _ordered(save(plain, metadata={"scaletrain": FORMAT, "torch": torch.__version__, **about})))


def _ordered(content: bytes) -> bytes:
    """The same file with its metadata in one order: safetensors gives them any, and a teacher is known by its hash."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)  # tensors begin at a multiple of 8
    return b"".join((len(told).to_bytes(8, "little"), told, memoryview(content)[8 + size :]))


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}.")
    try:
        with safe_open(Path(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is no checkpoint: {error}") from error
    fault = "" if about.get("scaletrain") == FORMAT else f"its header names no run of format {FORMAT}"
    lacking = [name for name in HEADER if name not in about]
    if fault or lacking:
        raise ValueError(
            f"{path} is no checkpoint of `scaletrain train`: {fault or 'its header lacks ' + ', '.join(lacking)}."
        )
    return tensors, about
