"""Whether the best learning rate stays when the width grows: muP, SP, and SP with a wider embedding learning rate.

    OMP_NUM_THREADS=1 python benchmarks/transfer.py

Small transformers learn the walks of a small graph; every width has its learning rate searched, by factors of 2, until
the lowest mean log excess over the seeds is inside. The optimum is that of the parabola through it and its neighbours.
Beside the JSON file a table is printed. One process, one thread.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from scaletrain.config import Pack, Parametrization, Recipe, Replica, Shape
from scaletrain.graph_sources import erdos_renyi
from scaletrain.graphs import Graph
from scaletrain.training import train

RESULT = Path(__file__).parent / "transfer.json"
NODES, EDGES = 100, 500
WIDTHS, BASE = (32, 64, 128, 256), 32
SEEDS = (0, 1)  # of weights and data
STEPS, BATCH, LENGTH = 200, 20, 20
EMBEDDING_LR = 8.0
START = -6  # log2 of the first learning rate
PARAMETRIZATIONS: tuple[Parametrization, ...] = ("mup", "sp", "sp_embed")


def log_excess(graph: Graph, parametrization: Parametrization, width: int, log2_lr: int) -> float:
    """Mean log divergence over the seeds; infinite where one has diverged."""
    recipe = Recipe(
        steps=STEPS, batch=BATCH, parametrization=parametrization, base_width=BASE, embedding_lr=EMBEDDING_LR
    )
    shape = Shape(vocabulary=graph.nodes, width=width, length=LENGTH)
    found = []
    for seed in SEEDS:  # packs of one: on a CPU stacks are no faster
        replicas = (Replica(lr=2.0**log2_lr, seed=seed, data_seed=seed),)
        made = train(Pack(shape=shape, recipe=recipe, replicas=replicas), graph)
        found.append(np.inf if made.diverged[0] else float(np.log(made.evaluation.divergence[0])))
    return float(np.mean(found))


def searched(graph: Graph, parametrization: Parametrization, width: int, start: int) -> dict[int, float]:
    """Log excess by log2 lr, the lowest inside."""
    found = {at: log_excess(graph, parametrization, width, at) for at in (start - 1, start, start + 1)}
    while (best := min(found, key=found.__getitem__)) in (min(found), max(found)):
        beyond = best - 1 if best == min(found) else best + 1
        found[beyond] = log_excess(graph, parametrization, width, beyond)
    return dict(sorted(found.items()))


def optimum(found: dict[int, float]) -> tuple[float, float]:
    """Log2 lr and excess at the vertex of the parabola through the lowest point and its neighbours."""
    best = min(found, key=found.__getitem__)
    low, middle, high = (found[best + step] for step in (-1, 0, 1))
    if not np.isfinite([low, high]).all():
        return float(best), float(np.exp(middle))
    curvature, slope = (low + high) / 2 - middle, (high - low) / 2
    at = -slope / (2 * curvature)
    return best + at, float(np.exp(middle + slope * at / 2))


def main() -> None:
    torch.set_num_threads(1)
    graph, begun, rows = erdos_renyi(NODES, EDGES, seed=0), time.process_time(), []
    for parametrization in PARAMETRIZATIONS:
        start = START
        for width in WIDTHS:
            found = searched(graph, parametrization, width, start)
            start = min(found, key=found.__getitem__)
            at, excess = optimum(found)
            rows.append({"parametrization": parametrization, "width": width, "log2_lr": at, "excess": excess,
                         "grid": {str(key): float(np.exp(value)) for key, value in found.items()}})  # fmt: skip
            print(f"{parametrization:<9} {width:>4}  log2 lr {at:+.2f}  excess {excess:.4f}", flush=True)
    spent = time.process_time() - begun
    moved = {}
    for parametrization in PARAMETRIZATIONS:
        best = [row["log2_lr"] for row in rows if row["parametrization"] == parametrization]
        moved[parametrization] = max(best) - min(best)
        print(f"{parametrization:<9} moves {moved[parametrization]:.2f} steps over widths {WIDTHS[0]} to {WIDTHS[-1]}")
    about = {
        "graph": graph.name, "widths": WIDTHS, "base_width": BASE, "seeds": SEEDS, "steps": STEPS, "batch": BATCH,
        "length": LENGTH, "embedding_lr": EMBEDDING_LR, "torch": torch.__version__, "cpu_seconds": round(spent),
    }  # fmt: skip
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULT
    target.write_text(json.dumps({**about, "moved": moved, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"{spent:.0f} CPU seconds, written to {target}")


if __name__ == "__main__":
    main()
