"""Checkpoints and exported models as safetensors: named arrays and text, nothing that runs."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from scalefit.writing import write_whole

from .config import Pack, Recipe, Replica, Shape
from .graphs import Graph
from .training import State

FORMAT = "1"
KINDS = ("params", "means", "squares")


def identity(pack: Pack, graph: Graph) -> str:
    """SHA-256, 16 digits, of everything that training depends on.

    Examples
    --------
    >>> from scaletrain.config import Recipe, Replica, Shape
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=Recipe(steps=3), replicas=(Replica(lr=0.01),))
    >>> len(identity(pack, ring))
    16
    """
    content = {"format": FORMAT, "pack": asdict(pack), "graph": graph.digest}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def save_state(path: str | os.PathLike[str], state: State, pack: Pack, graph: Graph) -> None:
    """Write where training is, whole or not at all."""
    tensors = {f"losses.{step}": loss for step, loss in state.losses}
    for kind in KINDS:
        tensors |= {f"{kind}.{name}": value for name, value in getattr(state, kind).items()}
    about = {name: repr(getattr(state, name)) for name in ("step", "seconds", "cpu_seconds")}
    _write(path, tensors, {**about, "identity": identity(pack, graph), "pack": json.dumps(asdict(pack))})


def load_state(path: str | os.PathLike[str], pack: Pack, graph: Graph) -> State:
    """Read where training was.

    Raises
    ------
    ValueError
        If the file is no checkpoint, or one of another model, recipe, replicas or graph.
    """
    tensors, about = _read(path)
    expected = identity(pack, graph)
    if about["identity"] != expected:
        raise ValueError(
            f"{path} is a checkpoint of another run ({about['identity']}, not {expected}): shape, recipe, replicas and "
            "graph must be the same. Give this run another folder."
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


def export(checkpoint: str | os.PathLike[str], path: str | os.PathLike[str], *, replica: int = 0) -> Pack:
    """Write the weights of one replica of a checkpoint, with its shape and recipe as text in the header.

    Matrices take rows, (fan_in, fan_out); the embedding is (V, d) and is the head too, after the final states are
    divided by the `multiplier` of the header.

    Parameters
    ----------
    checkpoint : path
        Of a run of `scaletrain train`.
    path : path
        To write, ending in .safetensors.
    replica : int
        Which of the pack, from 0.

    Returns
    -------
    Pack
        The pack that was trained.

    Raises
    ------
    ValueError
        If the file is no checkpoint, or has no such replica.
    """
    from .parametrization import multiplier

    tensors, about = _read(checkpoint)
    content = json.loads(about["pack"])
    pack = Pack(
        shape=Shape(**content["shape"]), recipe=Recipe(**content["recipe"]),
        replicas=tuple(Replica(**one) for one in content["replicas"]),
    )  # fmt: skip
    if not 0 <= replica < len(pack.replicas):
        raise ValueError(f"the pack has replicas 0 to {len(pack.replicas) - 1}, not {replica}.")
    header = {name: json.dumps(content[name]) for name in ("shape", "recipe")}
    header |= {"replica": json.dumps(content["replicas"][replica]), "step": about["step"]}
    header["multiplier"] = repr(multiplier(pack.shape, pack.recipe))
    start = len("params.")
    weights = {name[start:]: value[replica] for name, value in tensors.items() if name.startswith("params.")}
    _write(path, weights, header)
    return pack


def made_by(path: str | os.PathLike[str]) -> str:
    """Version of torch that wrote a checkpoint: another one may give other bits."""
    return str(_read(path)[1]["torch"])


def _write(path: str | os.PathLike[str], tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_whole(path, save(plain, metadata={"scaletrain": FORMAT, "torch": torch.__version__, **about}))


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}.")
    try:
        with safe_open(Path(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is no checkpoint: {error}") from error
    if about.get("scaletrain") != FORMAT or "identity" not in about:
        raise ValueError(f"{path} is no checkpoint of `scaletrain train`: its header names no run of format {FORMAT}.")
    return tensors, about
