"""How fast walks are made, beside loops over networkx.

Both sides walk on the same graph, 50 nodes a walk. The baseline is what a user writes with networkx: for every step,
`random.choice` over the neighbours of the node. It is timed on few walks, and rates are compared; biased walks are
compared with its unbiased ones, which favours it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import networkx as nx
import numpy as np
import torch

from common import Row, seconds
from scaletrain.graph_sources import from_networkx
from scaletrain.walks import Walks

LENGTH, TARGET = 50, 30e6  # steps a second on two cores
WHY = """Two threads do, since NumPy holds no lock while it works on large arrays: walks are addressed by number, so
that each thread makes a range of its own, and the walks do not depend on how many threads there are. A step of an
unbiased walk reads one random place of a table of 16 MB, that of a biased one two places of 48 MB, more than the cache
near a core."""


def walk_rows(quick: bool) -> list[Row]:
    """Rates on an Erdos-Renyi graph: NumPy on one and two threads, torch on one; steps a second, and ratios."""
    nodes, edges = (8_000, 50_000) if quick else (50_000, 2_000_000)
    number, loops = (20_000, 100) if quick else (131_072, 400)
    source = nx.gnm_random_graph(nodes, edges, seed=0)
    unbiased = from_networkx(source, name=f"er-{nodes}-{edges}")
    theirs = loops * LENGTH / seconds(lambda: _loops(source, loops), 5)
    rows = []
    for graph in (unbiased, unbiased.biased(1.0, seed=0)):
        load = os.getloadavg()[0]
        for job, rate, cpu_rate in _rates(Walks(graph, length=LENGTH, seed=0), number):
            rows.append({
                "job": job, "graph": graph.name, "steps_per_s": rate, "steps_per_cpu_s": cpu_rate,
                "loops_per_s": theirs, "ratio": rate / theirs, "target": TARGET if "two" in job else None, "load": load,
            })  # fmt: skip
    return rows


def _rates(walks: Walks, number: int) -> list[tuple[str, float, float]]:
    """Steps a second, and a second of CPU time, of each way to make the same walks; medians of 5."""
    on_torch, some = walks.on("cpu"), number // 8

    def in_two() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda half: walks.batch(half * number, number), range(2)))

    jobs: list[tuple[str, Callable[[], Any], int]] = [
        ("NumPy, one thread", lambda: walks.batch(0, number), number),
        ("NumPy, two threads", in_two, 2 * number),
        ("torch on the CPU, one thread", lambda: on_torch.batch(0, some), some),
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [(name, *(made * LENGTH / spent for spent in _spent(job))) for name, job, made in jobs]
    finally:
        torch.set_num_threads(threads)


def _spent(job: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU time of a job: the latter hardly depends on what else the machine does."""
    job()
    spent = []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        job()
        spent.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = np.median(spent, axis=0)
    return float(wall), float(cpu)


def _loops(graph: nx.Graph, number: int) -> list[list[int]]:
    """Unbiased walks by a loop over networkx; the first node evenly."""
    draw, nodes, made = random.Random(0), list(graph), []
    for _ in range(number):
        walk = [draw.choice(nodes)]
        while len(walk) < LENGTH:
            walk.append(draw.choice(list(graph[walk[-1]])))
        made.append(walk)
    return made


if __name__ == "__main__":
    for row in walk_rows(quick=False):
        print({name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()})
