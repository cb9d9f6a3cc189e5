"""Every benchmark in one run, and the page that tells of them.

make bench                                     # prints the page, writes docs/benchmarks.md and benchmarks/results.json
python benchmarks/run.py --quick               # fewer tables and refits, writes nothing
python benchmarks/run.py --only walks trainer  # the others as they were
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import json
import platform
import textwrap
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy

import allocation
import bootstrap
import corpora
import kernel
import network
import percolation
import solver
import teacher
import trainer
import walks
from common import REFITS, ROOT, Row, geometric_mean

RESULTS = ROOT / "benchmarks" / "results.json"


def paragraph(text: str) -> list[str]:
    return ["", *textwrap.wrap(" ".join(text.split()), 118, break_long_words=False, break_on_hyphens=False)]


def table(head: str, rows: list[str]) -> list[str]:
    return ["", head, "|" + "---|" * (head.count("|") - 1), *rows]


def dates(measured: dict[str, str]) -> str:
    """When the sections were measured: the usual date, and what has another."""
    usual = max(sorted(set(measured.values())), key=list(measured.values()).count)
    others = [f"{name} {date}" for name, date in measured.items() if date != usual]
    return ", ".join([usual, *others])


def met(value: bool) -> str:
    return "met" if value else "missed"


def render(results: dict[str, Any]) -> str:
    """Markdown page of the results."""
    machine = results["machine"]
    return "\n".join([
        "# Benchmarks",
        *paragraph("""Made by `make bench` (benchmarks/run.py), which overwrites this page. Each ratio is (time of the
        baseline) / (time of scalefit) in one run, and in one process unless said, on one BLAS thread; the milliseconds
        are for orientation only. A gap is our objective over the baseline's, minus one: negative where ours is lower.
        Targets are the project's own."""),
        *paragraph(f"{dates(results['measured'])}, {machine['cpu']}, Python {machine['python']}, numpy "
                   f"{machine['numpy']}, scipy {machine['scipy']}."),
        *whole_jobs(results["curves"]), *solver_section(results["solver"], results["surface"]),
        *surface_section(results["kernel"], results["network"], results["allocation"]),
        *memory_section(results["memory"]), *peer_section(results["peer"]), *missed_section(results["missed_refits"]),
        *walks_section(results["walks"]), *percolation_section(results["percolation"]),
        *trainer_section(results["trainer"]), *teacher_section(results["teacher"]),
        *corpora_section(results["corpora"]),
    ]) + "\n"  # fmt: skip


def whole_jobs(rows: list[Row]) -> list[str]:
    first = rows[0]
    text = f"""From a table to an interval, through the public API: global fit, {REFITS} wild refits of which each is
        screened for other basins, refits without each row, BCa interval of alpha (`sf.fit`, `sf.bootstrap` with
        `sf.wild_bca()`, `.interval`). The baseline is what a user writes with scipy: `least_squares` with TRF, Huber's
        loss and bounds at default tolerances, 40 starts, then one warm refit of each resample (scaled up from
        {first["sample"]}) and of each table without a row, none of them screened; its draws and BCa are not counted.
        Geometric means over {first["tables"]} tables for each n, and the least of them. Of 8 rows `sf.wild_bca()` takes
        all 256 patterns of signs instead, and scipy is given the same 256; for {REFITS} refits of 8 rows the weights
        are Webb's."""
    lines = ["", "## Whole jobs in one dimension", *paragraph(text)]
    lines += table("| n | weights | refits | Jacobian | ours, ms | ratio | least | worst gap |", [
        f"| {r['n']} | {r['weights']} | {r['refits']} | {r['kind']} | {r['ours_ms']:.0f} | {r['ratio']:.0f}x | "
        f"{r['least']:.0f}x | {r['worst_gap']:.0e} |" for r in rows
    ])  # fmt: skip
    lines += [*paragraph(f"Of the rows with {REFITS} refits, for which the targets are:"), ""]
    full = [r for r in rows if r["refits"] == REFITS]
    for kind, target in bootstrap.TARGETS.items():
        mean = geometric_mean([r["ratio"] for r in full if r["kind"] == kind])
        lines.append(f"- {kind} Jacobian: geometric mean {mean:.0f}x, target {target}x {met(mean >= target)}.")
    least, target = min(r["ratio"] for r in full), bootstrap.LEAST_RATIO
    lines.append(f"- Lowest row: {least:.0f}x, target {target}x {met(least >= target)}.")
    return [*lines, *paragraph(bootstrap.WHY)]


def solver_section(rows: list[Row], surface: Row) -> list[str]:
    kinds: dict[str, list[float]] = {}
    for r in rows:
        if "40 starts" in r["baseline"]:
            kinds.setdefault(r["baseline"].removeprefix("scipy TRF, 40 starts, "), []).append(r["ratio"])
    means = "; ".join(f"{geometric_mean(v):.0f}x ({kind})" for kind, v in kinds.items())
    return [
        "", "## The solver, and the bootstrap in two dimensions",
        *table("| job | baseline | ours, ms | ratio | target | worst gap |", [
            f"| {r['job']} | {r['baseline']} | {r['ours_ms']:.1f} | {r['ratio']:.0f}x | {r['target']}x "
            f"{met(r['ratio'] >= r['target'])} | {r['worst_gap']:.0e} |" for r in (*rows, surface)
        ]),
        *paragraph(f"Geometric means of the 1D base fits: {means}. The target is 80x."), *paragraph(solver.WHY),
    ]  # fmt: skip


def surface_section(kernels: list[Row], networks: list[Row], frontiers: list[Row]) -> list[str]:
    kernel_cells = [
        f"| {r['job']} | {r['baseline']} | {r['ours_ms']:.1f} | {r['ratio']:.1f}x | {r['target']}x "
        f"{met(r['ratio'] >= r['target'])} | {r['worst_gap']:.0e} |" for r in kernels
    ]  # fmt: skip
    network_cells = [
        f"| {r['job']} | {r['baseline']} | {r['ours_ms']:.0f} | {r['ratio']:.1f}x | none | {r['worst_gap']:.0e} |"
        for r in networks
    ]
    frontier_cells = [
        f"| optima of {r['resamples']} resamples at {r['budgets']} budgets, {r['job']} | bounded minimize_scalar, one "
        f"by one (scaled up from {r['sample']}) | {r['ours_ms']:.1f} | {r['ratio']:.0f}x | {allocation.TARGET}x "
        f"{met(r['ratio'] >= allocation.TARGET)} | {r['gap']:.0e} in log params |" for r in frontiers
    ]  # fmt: skip
    wide = "; ".join(f"{r['paper_s']:.0f} s at width {r['width']}" for r in networks)
    return [
        "", "## Surfaces, and what is read off them",
        *table("| job | baseline | ours, ms | ratio | target | worst gap |",
               [*kernel_cells, *network_cells, *frontier_cells]),
        *paragraph(kernel.WHY), *paragraph(network.WHY),
        *paragraph(f"""{networks[0]['epochs']} epochs are timed; at that rate all 5000 of {network.SPLITS} splits take
            {wide}."""),
    ]  # fmt: skip


def memory_section(rows: list[Row]) -> list[str]:
    text = f"""Growth of the peak of resident memory over `import scalefit` (which loads next to nothing), in a fresh
        program that fits, resamples and gives an interval; and of it, what NumPy, pandas, SciPy and scikit-learn take
        when they are imported. The target is below {bootstrap.MOST_MEMORY} MB."""
    return [
        "", "## Memory", *paragraph(text),
        *table("| job | growth, MB | of it libraries, MB | target |", [
            f"| {r['job']} | {r['growth_mb']:.0f} | {r['libraries_mb']:.0f} | "
            f"{met(r['growth_mb'] < bootstrap.MOST_MEMORY)} |" for r in rows
        ]),
    ]  # fmt: skip


def peer_section(row: Row | None) -> list[str]:
    lines = ["", "## Beside simple-scaling-laws"]
    if row is None:
        return [*lines, *paragraph(f"""Not measured in this run: {bootstrap.PEER} was not installed under out/peers (the
            head of benchmarks/bootstrap.py says how).""")]  # fmt: skip
    text = f"""{row["versions"]}, in a process of its own with one thread, on the {row["data"]}: `fit` with
        {row["draws"]} draws against `sf.fit` and `sf.bootstrap` with {row["draws"]} resamples. Its interpreter and
        libraries are not those of the rest of this page."""
    does = (
        "weighted least squares of the raw loss. TRF with analytic Jacobian at tolerances of 1e-10 polishes the 5 best "
        "points of a grid of exponents, then 3 starts in a reweighted pass. Each draw (wild, Webb's weights, "
        "leverage-corrected residuals, by configuration) is one warm TRF fit, polished again from the grid where that "
        "is lower. Besides: correlations of metrics, notes",
        "least squares of the raw loss. Global fit (screen of exponents, Newton); the jackknife; the draws in one "
        "batch of Newton from the base fit, a sample of them solved globally. Wild, Webb's weights, leverage-corrected "
        "residuals, by row",
        "Huber loss of the log loss, delta 1e-3. Global fit; the jackknife; the draws in one batch of Newton from the "
        "base fit, each doubted by a second route. Pairs",
    )
    names = ("simple-scaling-laws", 'ours, `Squared()` and `Wild("webb", residuals="leverage")`', "ours, `Pairs()`")
    found = zip(names, does, ("theirs_ms", "alike_ms", "pairs_ms"), ("", "alike_ratio", "pairs_ratio"), strict=True)
    ends = f"""A call of theirs for a single draw takes {row["theirs_one_draw_ms"]:.0f} ms. Half the sum of squares of
        the raw loss at each base fit: theirs {row["their_objective"]:.12g}, ours {row["objective"]:.12g}, gap
        {row["gap"]:.0e}. Of ours the base fit takes {row["base_ms"]:.0f} ms, and the jackknife, which theirs has not,
        is {row["rows"]} refits beside the {row["draws"]}."""
    return [
        *lines, *paragraph(text),
        *table("| | does | ms | their time / this |", [
            f"| {name} | {what} | {row[ms]:.0f} | {f'{row[ratio]:.1f}x' if ratio else ''} |"
            for name, what, ms, ratio in found
        ]),
        *paragraph(ends),
    ]  # fmt: skip


def missed_section(rows: list[Row]) -> list[str]:
    text = """`refit` starts from the base fit and doubts what it finds by a second route; `solve` looks for each
        optimum on a grid. Neither is certain. Wild refits of a surface of 16 runs with 1 % noise (delta = 1e-3, the
        hard case) that end over 1e-9 above the other's optimum and say converged:"""
    return [
        "", "## What refits miss", *paragraph(text),
        *table("| table | refit above solve | worst gap | solve above refit | worst gap |", [
            f"| seed {r['seed']} | {r['missed']} of {r['of']} | {r['worst_gap']:.0e} | {s['missed']} of {s['of']} | "
            f"{s['worst_gap']:.0e} |" for r, s in zip(rows[::2], rows[1::2], strict=True)
        ]),
    ]  # fmt: skip


def walks_section(rows: list[Row]) -> list[str]:
    text = """Steps a second of random walks of 50 nodes, on graphs of 50 thousand nodes and 2 million edges. The
        baseline is a loop over `random.choice` of the neighbours of a networkx graph, as a user writes it."""
    return [
        "", "## Walks", *paragraph(text),
        *table("| graph | walks by | M steps/s | M steps per CPU-second | loops, M steps/s | ratio | target |", [
            f"| {r['graph']} | {r['job']} | {r['steps_per_s'] / 1e6:.1f} | {r['steps_per_cpu_s'] / 1e6:.1f} | "
            f"{r['loops_per_s'] / 1e6:.2f} | {r['ratio']:.0f}x | {walks_target(r)} |" for r in rows
        ]),
        *paragraph(f"Load of the machine {min(r['load'] for r in rows):.1f} to {max(r['load'] for r in rows):.1f}. "
                   f"{walks.WHY}"),
    ]  # fmt: skip


def walks_target(row: Row) -> str:
    if row["target"] is None:
        return ""
    return f"{row['target'] / 1e6:.0f} M steps/s {met(row['steps_per_s'] >= row['target'])}"


def percolation_section(rows: list[Row]) -> list[str]:
    text = """Clusters of a Bethe lattice with 12 bonds a site, and the nearest training site of every site on them, of
        which one in a hundred is of training: sites a second, on one thread. The baseline of growth is a queue of
        sites, as a user writes it; that of the nearest ones are shortest paths by scipy."""
    return [
        "", "## Percolation clusters", *paragraph(text),
        *table("| job | sites | ours, M sites/s | baseline | M sites/s | ratio | target |", [
            f"| {r['job']} | {r['sites']:,} | {r['sites_per_s'] / 1e6:.2f} | {r['baseline']} | "
            f"{r['theirs_per_s'] / 1e6:.3f} | {r['ratio']:.0f}x | {clusters_target(r)} |" for r in rows
        ]),
        *paragraph(f"Load of the machine {min(r['load'] for r in rows):.1f} to {max(r['load'] for r in rows):.1f}. "
                   f"{percolation.WHY}"),
    ]  # fmt: skip


def clusters_target(row: Row) -> str:
    if row["target"] is None:
        return ""
    return f"{row['target'] / 1e6:.0f} M sites/s {met(row['sites_per_s'] >= row['target'])}"


def trainer_section(results: dict[str, list[Row]]) -> list[str]:
    text = """One update of the stacked trainer against a plain loop of nn.Module, torch.optim.AdamW and F.cross_entropy
        with the same weights, data and losses (benchmarks/plain_loop.py), on one thread; CPU time, least of interleaved
        blocks. Then a stack of 4 and 16 replicas against as many apart."""
    loads = [row["load"] for row in results["single"]]
    return [
        "", "## The trainer on a CPU", *paragraph(text), *trainer.lines(results),
        *paragraph(f"Load of the machine {min(loads):.1f} to {max(loads):.1f}. {trainer.WHY}"),
        *paragraph("On a GPU nothing has been measured: `python benchmarks/trainer_gpu.py` does it where one is."),
    ]  # fmt: skip


def teacher_section(rows: list[Row]) -> list[str]:
    text = """Tokens that are sampled from a teacher in a CPU-second, with keys and values of earlier tokens kept, in
        float64 on one thread, 256 sequences of 50 tokens at a time. The baseline is a forward pass of the whole prefix
        for every token, by the same random numbers; how many of its sequences are the same ones, bit by bit."""
    return [
        "", "## Samples of a teacher", *paragraph(text),
        *table("| vocabulary | width | layers | tokens per CPU-second | without a cache | ratio | same sequences |", [
            f"| {r['vocabulary']} | {r['width']} | {r['depth']} | {r['tokens_per_cpu_s']:,.0f} | "
            f"{r['without_cache']:,.0f} | {r['ratio']:.1f}x | {r['same_sequences']:.0%} |" for r in rows
        ]),
    ]  # fmt: skip


def corpora_section(rows: list[Row]) -> list[str]:
    text = """Peak memory of a process that prepares a synthetic stream of random letters with the byte tokenizer, then
        counts its bigrams and trigrams and reads it in windows; mapped pages of files are in it. What grows between the
        two sizes is extrapolated to 10^9 tokens."""
    last = rows[-1]
    goals = ", ".join(
        f"{stage} {last[f'{stage}_bytes_per_token']:.2f} bytes per token, {last[f'{stage}_bytes_at_goal'] / 1e9:.2f} GB"
        for stage in ("prepared", "counted")
    )
    worst = max(last[f"{stage}_bytes_at_goal"] for stage in ("prepared", "counted"))
    return [
        "", "## Memory of a corpus", *paragraph(text),
        *table("| tokens | MB after imports | peak, prepared | peak, counted | s, prepared | s, counted |", [
            f"| {r['tokens']:.0e} | {r['imported_bytes'] / 1e6:.0f} | {r['prepared_bytes'] / 1e6:.0f} | "
            f"{r['counted_bytes'] / 1e6:.0f} | {r['prepared_s']:.1f} | {r['counted_s']:.1f} |" for r in rows
        ]),
        *paragraph(f"Growth, and 10^9 tokens by it: {goals}; goal 4 GB {met(worst < corpora.LIMIT)}."),
    ]  # fmt: skip


#: What is measured, by name; each is given whether the run is a quick one.
SECTIONS: dict[str, Callable[[bool], Any]] = {
    "curves": bootstrap.curve_jobs, "surface": bootstrap.surface_job, "peer": bootstrap.peer,
    "memory": lambda quick: bootstrap.memory(), "solver": solver.solver_rows, "missed_refits": solver.missed_refits,
    "kernel": kernel.kernel_rows, "network": network.network_rows, "allocation": allocation.rows,
    "walks": walks.walk_rows, "percolation": percolation.percolation_rows, "trainer": trainer.trainer_rows,
    "teacher": teacher.teacher_rows, "corpora": corpora.corpus_rows,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller run that writes nothing")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, help="measure these anew, and keep the others as they are"
    )
    asked = parser.parse_args()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if asked.only else {"measured": {}}
    machine = {
        "cpu": f"{platform.machine()}, {os.cpu_count()} cores", "python": platform.python_version(),
        "numpy": np.__version__, "scipy": scipy.__version__,
    }  # fmt: skip
    results = {**kept, "machine": machine}
    for name in asked.only or SECTIONS:
        results[name] = SECTIONS[name](asked.quick)
        results["measured"][name] = time.strftime("%Y-%m-%d")
    page = render(results)
    print(page)
    if not asked.quick:
        (ROOT / "docs" / "benchmarks.md").write_text(page)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
