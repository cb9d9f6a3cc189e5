"""The stacked trainer on a GPU, beside a plain compiled loop and what the GPU can do at most.

python benchmarks/trainer_gpu.py        # under eight minutes; prints the goals, writes out/trainer_gpu.json
python benchmarks/trainer_gpu.py --dry  # the same code on a CPU, on tiny models: its numbers mean nothing

The baseline has the settings of EleutherAI's nanoGPT-mup: one run at a time, torch.compile, bfloat16, fused AdamW, no
evaluation; "as shipped" reads the loss at each step and its data from the host, "fair" reads it at each hundredth and
has its data on the GPU. The trainer is `scaletrain.training.Trainer` as it is. What does not end in time is left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from common import ROOT, Row
from plain_loop import Batches, PlainLoop
from scalefit.flops import exact_flops
from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.graph_sources import erdos_renyi
from scaletrain.graphs import Graph
from scaletrain.training import Trainer
from scaletrain.walks import Walks
from trainer import single

GOALS = {  # by width: least ratio to the baseline, or share of the floor
    "G1": {128: 8.0, 256: 5.0, 512: 3.0, 1024: 1.7, 2048: 1.1},  # 42 replicas, V = 8192
    "G2": {128: 5.0, 256: 3.5, 512: 2.5, 1024: 1.6, 2048: 1.1},  # the same, V = 50257
    "G3": {128: 0.50, 256: 0.55, 512: 0.65, 1024: 0.75, 2048: 0.80},  # floor / time, 42 replicas, V = 8192
    "G4": {128: 15.0, 256: 9.0, 512: 5.0, 1024: 2.0, 2048: 1.1},  # 42 runs of 20,000 steps with compilation, V = 8192
    "G5": {128: 3.0, 256: 2.5, 512: 2.0, 1024: 1.3, 2048: 1.0},  # one replica, V = 8192
}
RUNS, STEPS = 42, 20_000  # of the column of G4, which is extrapolated from the rates
AHEAD = 64  # batches that the baseline's data are made of, over and over


@dataclass(frozen=True)
class Plan:
    """What is measured, and where."""

    device: str
    widths: tuple[int, ...]
    edges: dict[int, int]  # of the graphs, by nodes
    replicas: tuple[int, ...]
    batch: int
    matmul: int  # rows of the square matrices of the ceiling
    copied: int  # bytes of the other ceiling
    most_weights: int  # of a stack: its initial values are drawn on the CPU
    seconds: float  # that a rate is measured for
    minutes: float


GPU = Plan(
    "cuda", (128, 256, 512, 1024, 2048), {8192: 50_000, 50_257: 500_000}, (1, 2, 4, 8, 16, 32, 42, 64), 100, 8192,
    2 << 30, 450_000_000, 0.5, 7.0,
)  # fmt: skip
DRY = Plan("cpu", (16,), {60: 240, 120: 480}, (1, 2), 4, 64, 1 << 20, 10**6, 0.0, 1.0)


def measure(plan: Plan) -> dict[str, Any]:
    """Ceilings and a row for each vocabulary and width."""
    begin = time.perf_counter()
    found: dict[str, Any] = {
        "plan": asdict(plan), "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name() if plan.device == "cuda" else "cpu, a dry run: no numbers to quote",
    }  # fmt: skip
    ceilings = {"flops_per_s": matmul_rate(plan), "bytes_per_s": copy_rate(plan)}
    rows: list[Row] = []
    for nodes, edges in plan.edges.items():
        graph = erdos_renyi(nodes, edges, seed=0)
        for width in plan.widths:
            if time.perf_counter() - begin > 60 * plan.minutes:
                rows.append({"vocabulary": graph.nodes, "width": width, "skipped": "no time left"})
            else:
                rows.append(row_of(plan, nodes, graph, width, ceilings))
    return {**found, "ceilings": ceilings, "rows": rows, "seconds": time.perf_counter() - begin}


def row_of(plan: Plan, nodes: int, graph: Graph, width: int, ceilings: dict[str, float]) -> Row:
    """The baseline and stacks of one shape; of the larger vocabulary only one replica and the most up to 42."""
    shipped, fair, first = baseline(plan, pack_of(plan, graph, width, 1), graph)
    params = pack_of(plan, graph, width, 1).shape.params
    counts = [count for count in plan.replicas if count == 1 or count * params <= plan.most_weights]
    small = nodes == min(plan.edges)
    if not small:
        counts = sorted({1, max(count for count in counts if count <= RUNS)})
    stacks = {count: stack_rate(plan, pack_of(plan, graph, width, count), graph) for count in counts}
    floor = floor_seconds(pack_of(plan, graph, width, 1), ceilings)
    return {
        "vocabulary": graph.nodes, "small": small, "width": width, "shipped_per_s": shipped, "fair_per_s": fair,
        "baseline_first_s": first, "floor_s": floor, "stacks": stacks,
    }  # fmt: skip


def pack_of(plan: Plan, graph: Graph, width: int, count: int) -> Pack:
    recipe = Recipe(steps=STEPS, batch=plan.batch, base_width=width, dtype="bfloat16")
    replicas = tuple(Replica(lr=2.0 ** -(6 + place % 4), seed=place) for place in range(count))
    return Pack(
        shape=Shape(vocabulary=graph.nodes, width=width, head_dim=min(64, width)), recipe=recipe, replicas=replicas
    )


def baseline(plan: Plan, pack: Pack, graph: Graph) -> tuple[float, float, float]:
    """Steps per second as shipped and fair, and seconds of the first step with its compilation."""
    size = pack.recipe.batch
    host = torch.from_numpy(Walks(graph, pack.shape.length, 0).batch(0, AHEAD * size)).long()
    near = host.to(plan.device)
    cuda = plan.device == "cuda"

    def shipped(step: int) -> torch.Tensor:
        tokens = host[step % AHEAD * size :][:size]
        return tokens.pin_memory().to(plan.device, non_blocking=True) if cuda else tokens

    def fair(step: int) -> torch.Tensor:
        return near[step % AHEAD * size :][:size]

    loop = PlainLoop(pack, shipped, device=plan.device, compiled=cuda, bf16=True)
    first = timed(plan, loop.advance, 1)
    rates = []
    ways: list[tuple[Batches, int]] = [(shipped, 1), (fair, 100)]
    for loop.batches, loop.log_interval in ways:
        rates.append(rate(plan, loop.advance))
    return rates[0], rates[1], first


def stack_rate(plan: Plan, pack: Pack, graph: Graph) -> Row:
    """Replica-steps per second of the trainer, seconds of its first step, and the memory that it took."""
    if plan.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        trainer = Trainer(pack, graph, device=plan.device)
        first = timed(plan, trainer.advance, 1)
        per_s = len(pack.replicas) * rate(plan, trainer.advance)
    except torch.OutOfMemoryError:
        return {"skipped": "out of memory"}
    peak = torch.cuda.max_memory_allocated() if plan.device == "cuda" else 0
    return {"per_s": per_s, "first_s": first, "peak_bytes": peak}


def floor_seconds(pack: Pack, ceilings: dict[str, float]) -> float:
    """Least time of a replica's step if products and memory take turns and no logit leaves the cache.

    AdamW in float32 with a copy in bfloat16 moves 38 bytes per parameter; about 18 tensors of a layer's activations in
    bfloat16 are touched 5.5 times.
    """
    shape, positions = pack.shape, pack.recipe.batch * pack.shape.context
    flops = exact_flops(
        width=shape.width, depth=shape.depth, vocabulary=shape.vocabulary, context=shape.context, tokens=positions
    )
    moved = 38 * shape.params + 18 * 5.5 * 2 * shape.depth * positions * shape.width
    return float(flops) / ceilings["flops_per_s"] + moved / ceilings["bytes_per_s"]


def matmul_rate(plan: Plan) -> float:
    """FLOPs per second of a large product in bfloat16."""
    a, b = (torch.randn(plan.matmul, plan.matmul, device=plan.device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * plan.matmul**3 * rate(plan, lambda: torch.mm(a, b))


def copy_rate(plan: Plan) -> float:
    """Bytes per second of a copy, read and written."""
    a = torch.zeros(plan.copied, device=plan.device, dtype=torch.uint8)
    b = torch.empty_like(a)
    return 2 * plan.copied * rate(plan, lambda: b.copy_(a))


def rate(plan: Plan, job: Callable[[], object]) -> float:
    """Calls per second: the best of three blocks, after three calls to warm up."""
    once = timed(plan, job, 3) / 3
    calls = max(3, round(plan.seconds / 3 / once))
    return calls / min(timed(plan, job, calls) for _ in range(3))


def timed(plan: Plan, job: Callable[[], object], calls: int) -> float:
    """Seconds of so many calls, to the end of the device's work."""
    start = time.perf_counter()
    for _ in range(calls):
        job()
    if plan.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def goals(found: dict[str, Any]) -> list[Row]:
    """What is reached of each goal at each width, beside both baselines; with 42 replicas, or the most that ran."""
    reached: list[Row] = []
    for row in found["rows"]:
        ran = {count: one for count, one in row.get("stacks", {}).items() if count <= RUNS and "per_s" in one}
        if not ran:
            continue
        most, small = max(ran), row["small"]
        many, ratios = ran[most]["per_s"], {}
        for way in ("shipped", "fair"):
            base = row[f"{way}_per_s"]
            ratios["G1" if small else "G2", way] = many / base
            if small:
                ratios["G3", way] = row["floor_s"] * many
                ours = ran[most]["first_s"] + RUNS * STEPS / many
                ratios["G4", way] = RUNS * (row["baseline_first_s"] + STEPS / base) / ours
                if 1 in ran:
                    ratios["G5", way] = ran[1]["per_s"] / base
        reached += [
            {
                "goal": name,
                "width": row["width"],
                "replicas": 1 if name == "G5" else most,
                "shipped": ratios[name, "shipped"],
                "fair": ratios[name, "fair"],
                "target": GOALS[name].get(row["width"]),
            }
            for name in sorted({name for name, _ in ratios})
        ]
    return reached


def show(found: dict[str, Any], reached: list[Row], cpu: list[Row]) -> None:
    ceilings = found["ceilings"]
    print(f"{found['device']}, torch {found['torch']}: {ceilings['flops_per_s'] / 1e12:.0f} TFLOP/s in bfloat16, "
          f"{ceilings['bytes_per_s'] / 1e12:.2f} TB/s")  # fmt: skip
    for row in found["rows"]:
        if "skipped" in row:
            print(f"V {row['vocabulary']}, width {row['width']}: {row['skipped']}")
            continue
        stacks = ", ".join(f"{count}: {one.get('per_s', 0):,.0f}" for count, one in row["stacks"].items())
        print(f"V {row['vocabulary']}, width {row['width']}: baseline {row['shipped_per_s']:,.0f} steps/s as shipped, "
              f"{row['fair_per_s']:,.0f} fair; replica-steps/s by replicas {stacks}")  # fmt: skip
    for one in reached:
        ratios = f"{one['shipped']:.2f} as shipped, {one['fair']:.2f} fair"
        print(f"{one['goal']} width {one['width']}, {one['replicas']} replicas: {ratios}; goal {wanted(one)}")
    for one in cpu:
        met = "met" if one["ratio"] >= one["target"] else "missed"
        print(f"G9 on the CPU, {one['job']}: plain / ours {one['ratio']:.2f}; goal {one['target']:.2f} {met}")


def wanted(one: Row) -> str:
    if one["target"] is None:
        return "none"
    return f"{one['target']:g} {'met' if one['fair'] >= one['target'] else 'missed'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="tiny models on a CPU, to see that the script runs")
    dry = parser.parse_args().dry
    if not (dry or torch.cuda.is_available()):
        parser.error("there is no GPU here that torch can use. Run it where one is, or try the script with --dry.")
    plan = DRY if dry else GPU
    found = measure(plan)
    found["goals"], found["cpu"] = goals(found), single(quick=True)
    show(found, found["goals"], found["cpu"])
    if not dry:
        path = ROOT / "out" / "trainer_gpu.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
