"""The stacked trainer on a CPU: beside a plain loop, stacked against one after another, torch.compile, bfloat16.

python benchmarks/trainer.py          # prints the tables; about four minutes
python benchmarks/trainer.py --quick  # fewer shapes and rounds

Times are processor time of one thread, which other programs disturb least; what is compared takes turns, and the least
time of each counts.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from common import Row, geometric_mean
from plain_loop import PlainLoop
from scaletrain import model, training
from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.graph_sources import erdos_renyi
from scaletrain.graphs import Graph
from scaletrain.training import Trainer

EDGES = {1000: 5000, 8000: 50_000}  # of the Erdos-Renyi graphs, by nodes
WIDTHS = (16, 32, 64, 128)
BATCH = 20
SINGLE = [*((width, 1000) for width in WIDTHS), (64, 8000)]  # width and vocabulary
SLOWEST = 1.1  # times the plain loop that one replica may take
STEPS = 20  # after which both loops must have the same loss
GAP = 1e-5  # of these losses, relative; both round differently in float32
LONG = 10_000  # steps of a schedule that no benchmark comes to the end of
Job = Callable[[], Any]

WHY = """A stack on a CPU makes its products one replica after the other, so that a replica has the same bits in any
company; what it can save is the overhead of calls, which counts where a step is small, and what it loses is the cache.
Stacks are for GPUs: on a CPU train packs of one, a process for each core."""


def trainer_rows(quick: bool) -> dict[str, list[Row]]:
    """Every table, by name."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {"single": single(quick), "stacked": stacked(quick), "compiled": compiled(quick), "bf16": bf16(quick)}
    finally:
        torch.set_num_threads(threads)


def single(quick: bool) -> list[Row]:
    """One replica against the plain loop."""
    rows = []
    for width, vocabulary in SINGLE[1:2] if quick else SINGLE:
        gap = loss_gap(pack_of(width, vocabulary=vocabulary, steps=STEPS), graph_of(vocabulary))
        pack, graph = pack_of(width, vocabulary=vocabulary), graph_of(vocabulary)
        ours, theirs = Trainer(pack, graph), plain(pack, graph)
        times = race({"ours": ours.advance, "plain": theirs.advance}, rounds=3 if quick else 9)
        rows.append({
            "job": f"width {width}, vocabulary {graph.nodes}", "width": width, "vocabulary": graph.nodes,
            "ours_ms": 1e3 * times["ours"], "plain_ms": 1e3 * times["plain"],
            "ratio": times["plain"] / times["ours"], "target": 1 / SLOWEST, "loss_gap": gap, "load": os.getloadavg()[0],
        })  # fmt: skip
    return rows


def loss_gap(pack: Pack, graph: Graph) -> float:
    """Largest relative difference of the losses of the two loops; not the same work is an error."""
    ours, theirs = Trainer(pack, graph), plain(pack, graph)
    for _ in range(STEPS):
        ours.advance()
        theirs.advance()
    losses = np.array([float(loss) for _, loss in ours.losses])
    if len(losses) != STEPS:
        raise AssertionError(f"the trainer kept {len(losses)} losses of {STEPS} steps.")
    gap = float(np.max(np.abs(losses / np.array(theirs.losses) - 1)))
    if not gap < GAP:
        raise AssertionError(f"the losses of the two loops differ by {gap:.1e}: they do not do the same work.")
    return gap


def stacked(quick: bool) -> list[Row]:
    """Stacks of 4 and 16 against as many steps of a stack of one."""
    rows = []
    for width in WIDTHS[:1] if quick else WIDTHS:
        for batch in (4,) if quick else (4, 20, 100):
            graph = graph_of(1000)
            stacks = {count: Trainer(pack_of(width, batch=batch, replicas=count), graph) for count in (1, 4, 16)}
            times = race({str(count): one.advance for count, one in stacks.items()}, rounds=3)
            rows.append({
                "width": width, "batch": batch, "one_ms": 1e3 * times["1"],
                **{f"ratio_{count}": count * times["1"] / times[str(count)] for count in (4, 16)},
            })  # fmt: skip
    return rows


def compiled(quick: bool) -> list[Row]:
    """The layers through torch.compile against as they are."""
    rows = []
    for width in () if quick else (64, 128):
        pack, graph = pack_of(width), graph_of(1000)
        with compiled_layers():
            fast, start = Trainer(pack, graph), time.perf_counter()
            fast.advance()
            first = time.perf_counter() - start
            run = training.hidden

        def advance(fast: Trainer = fast, run: Job = run) -> None:
            with layers(run):
                fast.advance()

        times = race({"eager": Trainer(pack, graph).advance, "compiled": advance}, rounds=5)
        saved = times["eager"] - times["compiled"]
        rows.append({
            "width": width, "first_s": first, "eager_ms": 1e3 * times["eager"], "compiled_ms": 1e3 * times["compiled"],
            "ratio": times["eager"] / times["compiled"], "pays_after": first / saved if saved > 0 else None,
        })  # fmt: skip
    return rows


def bf16(quick: bool) -> list[Row]:
    """Products in bfloat16 against float32."""
    rows = []
    for width in (32,) if quick else (32, 64, 128):
        pack, graph = pack_of(width), graph_of(1000)
        half = replace(pack, recipe=replace(pack.recipe, dtype="bfloat16"))
        times = race({"full": Trainer(pack, graph).advance, "half": Trainer(half, graph).advance}, rounds=5)
        rows.append({
            "width": width, "float32_ms": 1e3 * times["full"], "bf16_ms": 1e3 * times["half"],
            "ratio": times["full"] / times["half"],
        })  # fmt: skip
    return rows


def pack_of(width: int, *, vocabulary: int = 1000, batch: int = BATCH, replicas: int = 1, steps: int = LONG) -> Pack:
    return Pack(
        shape=Shape(vocabulary=graph_of(vocabulary).nodes, width=width),
        recipe=Recipe(steps=steps, batch=batch, embedding_lr=8.0),
        replicas=tuple(Replica(lr=0.01, seed=seed) for seed in range(replicas)),
    )


@cache
def graph_of(nodes: int) -> Graph:
    return erdos_renyi(nodes, EDGES[nodes], seed=0)


def plain(pack: Pack, graph: Graph) -> PlainLoop:
    """The plain loop, on walks that are drawn as the trainer draws them."""
    source = Trainer(pack, graph)
    return PlainLoop(pack, lambda step: source.batch(step)[0])


def race(jobs: dict[str, Job], *, rounds: int, block: float = 0.15) -> dict[str, float]:
    """Least processor time of each job, a call; the jobs take turns in blocks of so many seconds."""
    least, calls = {}, {}
    for name, job in jobs.items():
        job()  # the first call of all makes what later ones find
        least[name] = per_call(job, 1)
        calls[name] = max(1, round(block / least[name]))
    for _ in range(rounds):
        for name, job in jobs.items():
            least[name] = min(least[name], per_call(job, calls[name]))
    return least


def per_call(job: Job, calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        job()
    return (time.process_time() - start) / calls


@contextmanager
def layers(run: Job) -> Iterator[None]:
    """Let the trainer use another way to run the layers."""
    before, training.hidden = training.hidden, run
    try:
        yield
    finally:
        training.hidden = before


@contextmanager
def compiled_layers() -> Iterator[None]:
    """Let the trainer use layers that are compiled anew, none of them found in a cache on disk."""
    torch._dynamo.reset()
    with (
        torch._inductor.utils.fresh_cache(),
        layers(torch.compile(model.hidden, fullgraph=True, dynamic=False)),
    ):
        yield


def lines(results: dict[str, list[Row]]) -> list[str]:
    """The tables as Markdown."""
    found = [
        "", f"| one replica, batch {BATCH} | ours, ms | plain loop, ms | plain / ours | target | gap of losses |",
        "|---|---|---|---|---|---|",
        *(f"| {r['job']} | {r['ours_ms']:.2f} | {r['plain_ms']:.2f} | {r['ratio']:.2f}x | {r['target']:.2f}x "
          f"{'met' if r['ratio'] >= r['target'] else 'missed'} | {r['loss_gap']:.0e} |" for r in results["single"]),
        "", f"Geometric mean {geometric_mean([r['ratio'] for r in results['single']]):.2f}x.",
        "", "| width | batch | one replica, ms | 4 apart / stacked | 16 apart / stacked |", "|---|---|---|---|---|",
        *(f"| {r['width']} | {r['batch']} | {r['one_ms']:.2f} | {r['ratio_4']:.2f}x | {r['ratio_16']:.2f}x |"
          for r in results["stacked"]),
        "", "| width | first step, s | eager, ms | compiled, ms | eager / compiled | pays after, steps |",
        "|---|---|---|---|---|---|",
        *(f"| {r['width']} | {r['first_s']:.0f} | {r['eager_ms']:.2f} | {r['compiled_ms']:.2f} | {r['ratio']:.2f}x | "
          f"{never(r['pays_after'])} |" for r in results["compiled"]),
        "", "| width | float32, ms | bfloat16, ms | float32 / bfloat16 |", "|---|---|---|---|",
        *(f"| {r['width']} | {r['float32_ms']:.2f} | {r['bf16_ms']:.2f} | {r['ratio']:.2f}x |"
          for r in results["bf16"]),
    ]  # fmt: skip
    return found


def never(steps: float | None) -> str:
    return "never" if steps is None else f"{steps:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer shapes and rounds")
    start, before = time.perf_counter(), os.getloadavg()[0]
    print("\n".join(lines(trainer_rows(parser.parse_args().quick))))
    print(f"\n{time.perf_counter() - start:.0f} s; load {before:.1f} before, {os.getloadavg()[0]:.1f} after.")


if __name__ == "__main__":
    main()
