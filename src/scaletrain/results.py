"""Loss tables of training runs: a row per replica, with every setting that made its loss."""

from __future__ import annotations

import math
import platform
from typing import Any

import numpy as np
import pandas as pd
import torch

from scalefit import __version__
from scalefit.flops import exact_flops, six_nd
from scalefit.theory.baseline import CountingBaseline

from .checkpoints import identity
from .sources import COLUMNS as SOURCE_COLUMNS
from .training import Trained

#: Columns of a table of runs, their units, what they stand for. Losses are in nats per token.
COLUMNS = {
    "run": "name: the pack and the place of the replica in it",
    "status": "ok, or diverged: a loss was not finite",
    "params": "N, all parameters: layers and the embedding, which is the head too",
    "tokens": "D, predicted tokens of training, each seen once",
    "flops": "C, FLOPs of training: 6 N D and attention over the whole context",
    "loss": "on fixed test sequences: entropy floor plus mean exact divergence from the true law of the next token; "
    "of text, the mean cross-entropy on held-out windows",
    "loss_se": "standard error of loss over test sequences",
    "excess": "loss above its floor; empty of text",
    "loss_floor": "entropy of the next token over the positions of a sequence: no model is below; empty of text",
    "loss_counting": "of walks on a graph, expected loss of counting transitions: loss_floor + "
    "(directed edges - nodes) / (2 D)",
    "train_loss": "of the last batch of training",
    "dataset": "name of the data",
    "dataset_id": "hash of all that their sequences depend on",
    **SOURCE_COLUMNS,
    "vocabulary": "V, tokens or nodes",
    "width": "d, of the residual stream",
    "depth": "layers",
    "heads": "attention heads of a layer",
    "head_dim": "width of a head",
    "length": "tokens of a sequence; the first is not predicted",
    "params_nonembed": "N without the embedding",
    "params_embed": "V d",
    "flops_6nd": "6 N D",
    "flops_6nd_nonembed": "6 N D with N without the embedding",
    "lr": "peak learning rate",
    "seed": "of the initial weights",
    "data_seed": "of the training sequences",
    "parametrization": "mup, sp or sp_embed: what scales do with the width",
    "base_width": "width at which mup is sp",
    "embedding_lr": "learning rate of the embedding over that of the layers at base width",
    "weight_decay": "of AdamW",
    "decay_mode": "what the decay is a multiple of",
    "warmup": "share of the steps",
    "beta1": "of Adam",
    "beta2": "of Adam",
    "eps": "of Adam",
    "batch": "sequences of an update",
    "steps": "updates",
    "dtype": "of the products",
    "test_tokens": "predicted tokens of the test sequences",
    "pack": "hash of everything that training depends on",
    "replicas": "runs that were trained as one stacked model",
    "seconds": "wall clock of the updates of the whole pack",
    "cpu_seconds": "processor time of the updates of the whole pack",
    "device": "what it was trained on",
    "torch": "version",
    "scaletrain": "version",
}


def runs_of(trained: Trained, *, device: str) -> pd.DataFrame:
    """Table of runs of a pack, a row per replica, with the columns of `COLUMNS`.

    A replica that diverged has its row, with an empty loss.

    Examples
    --------
    >>> from scaletrain import Graph, Pack, Recipe, Replica, Shape, train
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> recipe = Recipe(steps=3, batch=4)
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=recipe, replicas=(Replica(lr=0.01),))
    >>> runs_of(train(pack, ring), device="cpu")[["status", "params", "tokens"]]
      status  params  tokens
    0     ok    6192     588
    """
    pack, source, evaluation = trained.pack, trained.source, trained.evaluation
    shape, recipe, name = pack.shape, pack.recipe, identity(pack, source)
    loss = np.where(trained.diverged, np.nan, evaluation.loss)
    last = trained.curves["train_loss"].to_numpy().reshape(len(pack.replicas), -1)[:, -1]  # nan where it is
    known = math.isfinite(source.counting)
    counting = CountingBaseline(entropy=evaluation.floor, coefficient=source.counting)(pack.tokens) if known else None
    common: dict[str, Any] = {
        "params": shape.params, "tokens": pack.tokens,
        "flops": exact_flops(
            width=shape.width, depth=shape.depth, vocabulary=shape.vocabulary, context=shape.context, tokens=pack.tokens
        ),
        "loss_floor": evaluation.floor, "loss_counting": counting,
        "dataset": source.name, "dataset_id": source.digest,
        **dict.fromkeys(SOURCE_COLUMNS), **source.columns, "vocabulary": shape.vocabulary, "width": shape.width,
        "depth": shape.depth, "heads": shape.heads, "head_dim": shape.head_dim, "length": shape.length,
        "params_nonembed": shape.params_nonembed, "params_embed": shape.params_embed,
        "flops_6nd": six_nd(shape.params, pack.tokens),
        "flops_6nd_nonembed": six_nd(shape.params_nonembed, pack.tokens),
        **vars(recipe), "test_tokens": evaluation.tokens, "pack": name, "replicas": len(pack.replicas),
        "seconds": trained.seconds, "cpu_seconds": trained.cpu_seconds, "device": name_of(device),
        "torch": str(torch.__version__), "scaletrain": __version__,
    }  # fmt: skip
    rows = [
        {**common, **vars(one), "run": f"{name}-{r}", "status": "diverged" if trained.diverged[r] else "ok",
         "loss": loss[r], "loss_se": evaluation.loss_se[r] if np.isfinite(loss[r]) else np.nan,
         "excess": loss[r] - evaluation.floor, "train_loss": last[r]}
        for r, one in enumerate(pack.replicas)
    ]  # fmt: skip
    return pd.DataFrame(rows)[list(COLUMNS)]


def curves_of(trained: Trained) -> pd.DataFrame:
    """Training curves of a pack: run, step, tokens, lr_now, train_loss, a row per replica and point.

    Examples
    --------
    >>> from scaletrain import Graph, Pack, Recipe, Replica, Shape, train
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> recipe, replicas = Recipe(steps=3, batch=4), (Replica(lr=0.01),)
    >>> pack = Pack(shape=Shape(vocabulary=3, width=16), recipe=recipe, replicas=replicas)
    >>> list(curves_of(train(pack, ring))["step"])
    [1, 2, 3]
    """
    name = identity(trained.pack, trained.source)
    runs = [f"{name}-{replica}" for replica in trained.curves["replica"]]
    return trained.curves.drop(columns="replica").assign(run=runs)[["run", "step", "tokens", "lr_now", "train_loss"]]


def name_of(device: str) -> str:
    """Name of the hardware of a device.

    Examples
    --------
    >>> name_of("cpu") != ""
    True
    """
    if torch.device(device).type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"cpu {platform.machine()}"
