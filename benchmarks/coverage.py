"""Do the intervals cover? Tables from known laws, an interval from each, and how often it holds the truth.

    python benchmarks/coverage.py run                # resumable; hours on two cores; raw results in out/coverage/
    python benchmarks/coverage.py run --share 0/2    # half of the cells, for a second process beside it
    python benchmarks/coverage.py report             # writes docs/coverage.md and benchmarks/coverage.json

The words of the page are in benchmarks/coverage.md.in; its numbers are put in by `report`.

A cell is a design (inputs and a law) with a kind of noise. Its tables are made and judged in batches of 50, each
seeded by its cell and number, so that an interrupted study goes on where it was, in any number of processes.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.selection import group_labels

ROOT = Path(__file__).parent.parent
RAW = ROOT / "out" / "coverage"
BATCH = 50
AIM = 500  # tables a cell
SEED = 20260110684
RESAMPLES = 499
SIGMA = 0.005  # relative error of a loss, unless a kind of noise says otherwise
TRUTH = sf.HOFFMANN_2022

Noise = Callable[[np.random.Generator, pd.DataFrame], np.ndarray]


def gaussian(sigma: float) -> Noise:
    return lambda rng, design: sigma * rng.standard_normal(len(design))


def student(rng: np.random.Generator, design: pd.DataFrame) -> np.ndarray:
    return SIGMA * rng.standard_t(3, len(design))


def outliers(rng: np.random.Generator, design: pd.DataFrame) -> np.ndarray:
    return SIGMA * rng.standard_normal(len(design)) + 0.05 * (rng.random(len(design)) < 0.1)


def unequal(rng: np.random.Generator, design: pd.DataFrame) -> np.ndarray:
    """Four times as large at the smallest runs as at the largest."""
    size = np.log(design["params"].to_numpy())
    share = (size - size.min()) / np.ptp(size)
    return 2 * SIGMA * 4**-share * rng.standard_normal(len(design))


def clustered(rng: np.random.Generator, design: pd.DataFrame) -> np.ndarray:
    """Half of the variance is common to the runs of one model size."""
    sizes, which = np.unique(design["params"].to_numpy(), return_inverse=True)
    common = rng.standard_normal(len(sizes))[which.ravel()]
    return SIGMA * np.sqrt(0.5) * (common + rng.standard_normal(len(design)))


@dataclass(frozen=True)
class Cell:
    """A law, a design drawn anew for each table if it is random, a noise, and what is asked."""

    name: str
    law: sf.Law
    design: Callable[[np.random.Generator], pd.DataFrame]
    noise: Noise
    statistics: dict[str, Any]
    schemes: dict[str, sf.Wild | sf.Pairs | None]
    resamples: int


def curve_cells() -> Iterator[Cell]:
    noises = {
        "Gaussian 0.5 %": gaussian(0.005), "Gaussian 2 %": gaussian(0.02), "Student t(3)": student,
        "10 % outliers": outliers, "unequal": unequal,
    }  # fmt: skip
    for n in (8, 12, 20, 30):
        design = sf.grid(params=np.geomspace(1e6, 1e9, n))
        twice = pd.concat([sf.grid(params=np.geomspace(1e6, 1e9, n // 2))] * 2, ignore_index=True)
        for alpha in (0.15, 0.3, 0.6, 1.2):
            law = sf.PowerLaw(E=2.0, A=2.0 * 1e6**alpha, alpha=alpha)
            statistics = {"alpha": "alpha", "E": "E", "loss at 10x": {"params": 1e10}, "loss at 100x": {"params": 1e11}}
            schemes: dict[str, Any] = {"default": None, "paper": sf.wild_bca()}
            for kind, noise in noises.items():
                yield Cell(
                    f"1D, n = {n}, alpha {alpha:g}, {kind}", law, lambda _, design=design: design, noise, statistics,
                    schemes, RESAMPLES,
                )  # fmt: skip
            if n >= 20 and alpha in (0.3, 0.6):
                yield Cell(
                    f"1D, n = {n}, alpha {alpha:g}, clustered", law, lambda _, twice=twice: twice, clustered,
                    statistics, {**schemes, "by rows": sf.Wild()}, RESAMPLES,
                )  # fmt: skip


def scattered(n: int) -> Callable[[np.random.Generator], pd.DataFrame]:
    """Runs at random over the region of the Chinchilla runs, no two of one size."""

    def design(rng: np.random.Generator) -> pd.DataFrame:
        params = np.exp(rng.uniform(np.log(6e7), np.log(1.6e10), n))
        return pd.DataFrame({"params": params, "tokens": params * np.exp(rng.uniform(np.log(2), np.log(200), n))})

    return design


def rungs(sizes: int) -> Callable[[np.random.Generator], pd.DataFrame]:
    """Every model size at 8 numbers of tokens, from 2 to 200 per parameter."""

    def design(rng: np.random.Generator) -> pd.DataFrame:
        made = sf.grid(params=np.geomspace(6e7, 1.6e10, sizes), ratio=np.geomspace(2, 200, 8))
        return made.assign(tokens=made["params"] * made["ratio"])

    return design


def surface_cells() -> Iterator[Cell]:
    noises = {"Gaussian": gaussian(SIGMA), "clustered": clustered, "Student t(3)": student, "10 % outliers": outliers,
              "unequal": unequal}  # fmt: skip
    designs: dict[str, Callable[[np.random.Generator], pd.DataFrame]] = {
        **{f"grid of {sizes} sizes": rungs(sizes) for sizes in (6, 8, 10, 20)},
        **{f"n = {n}": scattered(n) for n in (30, 60)},
    }
    try:
        chinchilla = sf.load("chinchilla").where("kept").to_frame()[["params", "tokens"]]
        # the published sizes scatter in the last digits; one value each
        chinchilla["params"] = chinchilla["params"].groupby(group_labels(
            chinchilla["params"].to_numpy(), 1e-3)).transform("first")  # fmt: skip
        designs["240 Chinchilla runs"] = lambda _: chinchilla
    except OSError:
        print("the Chinchilla data are not at hand: their cells are left out")
    statistics = {
        "alpha": "alpha", "beta": "beta", "E": "E", "a = beta / (alpha + beta)": allocation,
        "loss at 70e9, 1.4e12": {"params": 70e9, "tokens": 1.4e12},
        "loss at 1e12, 2e13": {"params": 1e12, "tokens": 2e13},
    }  # fmt: skip
    for shape, design in designs.items():
        for kind, noise in noises.items():
            if kind == "clustered" and shape.startswith("n ="):
                continue
            schemes: dict[str, Any] = {"default": None, "paper": sf.wild_bca()}
            if kind == "clustered":
                schemes["by rows"] = sf.Wild()
            yield Cell(f"2D, {shape}, {kind}", TRUTH, design, noise, statistics, schemes, RESAMPLES)


def allocation(fit: Any) -> float:
    law = fit if isinstance(fit, sf.Law) else fit.law
    return float(law.beta / (law.alpha + law.beta))


def true_value(law: sf.Law, statistic: Any) -> float:
    if isinstance(statistic, str):
        return float(getattr(law, statistic))
    return float(law(**statistic)) if isinstance(statistic, dict) else allocation(law)


def judge(cell: Cell, rng: np.random.Generator) -> dict[str, Any]:
    """One table: for each scheme, interval and statistic the ends, the estimate, and the doubts."""
    design = cell.design(rng)
    columns = [design[name].to_numpy() for name in (cell.law.inputs or ("params",))]
    loss = cell.law(*columns) * np.exp(cell.noise(rng, design))
    fitted = sf.fit(type(cell.law), sf.LossTable.from_frame(design.assign(loss=loss)))
    seed = int(rng.integers(2**31))
    found: dict[str, Any] = {"ok": fitted.status.name}
    for name, scheme in cell.schemes.items():
        boot = sf.bootstrap(fitted, scheme, resamples=cell.resamples, seed=seed)
        methods = {"percentile_t": name, "bca": f"{name}, bca"} if name == "default" else {boot.scheme.method: name}
        for method, label in methods.items():
            rows = [boot.interval(statistic, method=method) for statistic in cell.statistics.values()]
            found[label] = [
                [row.estimate, row.low, row.high, [doubt.name for doubt, _ in row.doubts]] for row in rows
            ]  # fmt: skip
    return found


def run(share: str, tables: int, pattern: str) -> None:
    part, parts = map(int, share.split("/"))
    RAW.mkdir(parents=True, exist_ok=True)
    code = code_digest()
    done = {(line["cell"], line["batch"]) for line in raw_lines()}
    cells = [cell for cell in (*surface_cells(), *curve_cells()) if pattern in cell.name]
    jobs = [(cell, batch) for batch in range(tables // BATCH) for cell in cells]
    for number, (cell, batch) in enumerate(jobs):
        if number % parts != part or (cell.name, batch) in done:
            continue
        start = time.perf_counter()
        seeds = np.random.SeedSequence([SEED, zlib.crc32(cell.name.encode()), batch]).spawn(BATCH)
        results = [judge(cell, np.random.default_rng(seed)) for seed in seeds]
        line = {
            "code": code,
            "cell": cell.name,
            "batch": batch,
            "seconds": time.perf_counter() - start,
            "tables": results,
        }
        with (RAW / f"{part}-of-{parts}.jsonl").open("a") as file:
            file.write("\n" + json.dumps(line) + "\n")  # an interrupted line before it ends here
        print(f"{number + 1}/{len(jobs)} {cell.name} {line['seconds']:.1f} s", flush=True)


def code_digest() -> str:
    """First 12 hex digits of a SHA-256 over the library's sources: results of two versions are not pooled."""
    sources = sorted(Path(sf.__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def raw_lines() -> Iterator[dict[str, Any]]:
    """Results so far; an error if they come from several versions of the library."""
    codes = set()
    for path in sorted(RAW.glob("*.jsonl")):
        for text in path.read_text().splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue  # empty, or being written when the study was interrupted
            codes.add(line["code"])
            if len(codes) > 1:
                raise SystemExit(
                    f"{RAW} holds results of several versions of the library: {codes}. Begin with an empty folder."
                )
            yield line


# --- The page ---


def summaries() -> list[dict[str, Any]]:
    """One row per cell, scheme and statistic."""
    gathered: dict[str, dict[int, list[Any]]] = {}
    for line in raw_lines():
        gathered.setdefault(line["cell"], {})[line["batch"]] = line["tables"]
    rows = []
    for cell in (*curve_cells(), *surface_cells()):
        tables = [table for batch in gathered.get(cell.name, {}).values() for table in batch]
        for label in (key for key in (tables[0] if tables else {}) if key != "ok"):
            for place, (name, statistic) in enumerate(cell.statistics.items()):
                rows.append({"cell": cell.name, "scheme": label, "statistic": name, **summary(
                    [table[label][place] for table in tables if label in table], true_value(cell.law, statistic)
                )})  # fmt: skip
    return rows


def summary(found: list[Any], truth: float) -> dict[str, Any]:
    """Coverage of the intervals given, their width, and how many were refused or doubted."""
    estimates, low, high = (np.array([row[k] for row in found], dtype=float) for k in range(3))
    given = np.isfinite(low)
    # the range that holds 95 % of the estimates: what a perfect interval would be as wide as
    ideal = float(np.ptp(np.quantile(estimates, [0.025, 0.975])))
    covers = (low <= truth) & (truth <= high)
    warned = np.array([any(name in WARNINGS for name in row[3]) for row in found])
    return {
        "tables": len(found),
        "given": int(given.sum()),
        "covered": int(covers[given].sum()),
        "warned": int((given & warned).sum()),
        "warned_covered": int(covers[given & warned].sum()),
        "width": float(np.median((high - low)[given]) / ideal) if given.any() else None,
    }


WARNINGS = ("AT_BOUND", "FEW_SPARE", "RANGE_OF_DRAWS", "NO_CLUSTERS", "FAR", "SOME_FAILED", "NOT_CONVERGED")


def pooled(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Coverage over several rows: of all, and of the worst."""
    shares = [row["covered"] / row["given"] for row in rows if row["given"] >= MOST_REFUSED * row["tables"]]
    given = sum(row["given"] for row in rows)
    return {
        "cells": len(shares), "mean": float(np.mean(shares)) if shares else float("nan"),
        "worst": min(shares, default=float("nan")), "poor": sum(share < 0.9 for share in shares),
        "refused": 1 - given / sum(row["tables"] for row in rows),
        "width": float(np.median([row["width"] for row in rows if row["width"] is not None] or [np.nan])),
    }  # fmt: skip


MOST_REFUSED = 0.1  # of a cell's intervals must be given for its coverage to count
SCHEMES = {"default": "default", "default, bca": "default draws, BCa", "paper": "the paper's", "by rows": "by rows"}


def table(rows: list[dict[str, Any]], groups: dict[str, Callable[[str], bool]]) -> list[str]:
    """Markdown: a line per group of cells and scheme."""
    lines = [
        "| cells | scheme | mean | worst | under .90 | refused | width |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, belongs in groups.items():
        for label, words in SCHEMES.items():
            some = [row for row in rows if row["scheme"] == label and belongs(row["cell"])]
            if not some:
                continue
            p = pooled(some)
            lines.append(
                f"| {name} | {words} | {p['mean']:.3f} | {p['worst']:.3f} | {p['poor']} of {p['cells']} | "
                f"{100 * p['refused']:.1f} % | {p['width']:.2f} |"
            )
            name = ""
    return lines


def report() -> None:
    rows = summaries()
    curves = [row for row in rows if row["cell"].startswith("1D")]
    surfaces = [row for row in rows if row["cell"].startswith("2D")]
    counts = sorted({row["tables"] for row in rows})
    default = [row for row in curves if row["scheme"] == "default"]
    wide = [row for row in surfaces if row["scheme"] == "default"]
    one, two = pooled(default), pooled(wide)
    counted = [row["covered"] / row["given"] for row in wide if row["given"] >= MOST_REFUSED * row["tables"]]
    inside = sum(0.92 <= share <= 0.98 for share in counted)
    outside = [
        f"{row['cell'].removeprefix('2D, ')}, {row['statistic']} {row['covered'] / row['given']:.3f}"
        for row in wide
        if row["given"] >= MOST_REFUSED * row["tables"] and not 0.92 <= row["covered"] / row["given"] <= 0.98
    ]
    most = {row["cell"] for row in rows if row["tables"] == counts[-1]}
    warned = {"warned": [0, 0], "not warned": [0, 0]}
    for row in (*default, *wide):
        warned["warned"][0] += row["warned_covered"]
        warned["warned"][1] += row["warned"]
        warned["not warned"][0] += row["covered"] - row["warned_covered"]
        warned["not warned"][1] += row["given"] - row["warned"]

    def noises(cells: list[dict[str, Any]]) -> list[str]:
        return list(dict.fromkeys(row["cell"].rsplit(", ", 1)[1] for row in cells))

    def ends(noise: str) -> Callable[[str], bool]:
        return lambda cell: cell.endswith(f", {noise}")

    def holds(words: str) -> Callable[[str], bool]:
        return lambda cell: f", {words}, " in cell and "clustered" not in cell

    shapes = list(dict.fromkeys(row["cell"].split(", ")[1] for row in surfaces))
    measured = {
        "TABLES": f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}",
        "MORE": f"{counts[-1]} in {len(most)} of {len({row['cell'] for row in rows})} cells",
        "OUTSIDE": "; ".join(outside) or "none",
        "DATE": time.strftime("%Y-%m-%d"),
        "SHORT": "" if counts[0] >= AIM else f"The aim is {AIM}: machine time ended first; `run` goes on from there.",
        "ERROR": f"{100 * np.sqrt(0.95 * 0.05 / counts[0]):.1f}",
        "ONE_MEAN": f"{one['mean']:.3f}", "ONE_POOR": f"{100 * one['poor'] / max(one['cells'], 1):.1f} %",
        "ONE_CELLS": f"{one['cells']}",
        "ONE_VERDICT": "met" if 0.94 <= one["mean"] <= 0.97 and one["poor"] <= 0.02 * one["cells"] else "missed",
        "TWO_INSIDE": f"{inside} of {two['cells']}", "TWO_MEAN": f"{two['mean']:.3f}",
        "TWO_WORST": f"{two['worst']:.3f}", "TWO_POOR": f"{two['poor']}", "ONE_WORST": f"{one['worst']:.3f}",
        "CODE": next(raw_lines())["code"],
        "TWO_VERDICT": "met" if inside == two["cells"] else "missed",
        "WARNED": f"{warned['warned'][0] / max(warned['warned'][1], 1):.3f}",
        "WARNED_SHARE": f"{100 * warned['warned'][1] / (warned['warned'][1] + warned['not warned'][1]):.0f} %",
        "NOT_WARNED": f"{warned['not warned'][0] / max(warned['not warned'][1], 1):.3f}",
        "TABLE_1D_N": "\n".join(table(curves, {f"n = {n}": holds(f"n = {n}") for n in (8, 12, 20, 30)})),
        "TABLE_1D_NOISE": "\n".join(table(curves, {noise: ends(noise) for noise in noises(curves)})),
        "TABLE_1D_ALPHA": "\n".join(
            table(curves, {f"alpha = {a:g}": holds(f"alpha {a:g}") for a in (0.15, 0.3, 0.6, 1.2)})
        ),
        "TABLE_2D": "\n".join(table(surfaces, {
            **{shape: holds(shape) for shape in shapes},
            "clustered, all designs": ends("clustered"),
        })),
        "MATRIX_DEFAULT": "\n".join(matrix(surfaces, "default", shapes, noises(surfaces))),
        "MATRIX_PAPER": "\n".join(matrix(surfaces, "paper", shapes, noises(surfaces))),
        "MATRIX_ROWS": "\n".join(matrix(surfaces, "by rows", shapes, ["clustered"])),
        "WORST": "\n".join(worst(rows)),
    }  # fmt: skip
    page = (ROOT / "benchmarks" / "coverage.md.in").read_text()
    for key, value in measured.items():
        page = page.replace(f"@{key}@", value)
    (ROOT / "docs" / "coverage.md").write_text(page)
    (ROOT / "benchmarks" / "coverage.json").write_text(json.dumps(rows, indent=0) + "\n")
    print(page)


def matrix(rows: list[dict[str, Any]], scheme: str, shapes: list[str], noises: list[str]) -> list[str]:
    """Markdown: mean and worst coverage over the statistics, a line per design, a column per noise."""
    lines = ["| design | " + " | ".join(noises) + " |", "|---" * (len(noises) + 1) + "|"]
    for shape in shapes:
        cells = []
        for noise in noises:
            some = [row for row in rows if row["cell"] == f"2D, {shape}, {noise}" and row["scheme"] == scheme]
            p = pooled(some) if some else {}
            cells.append(f"{p['mean']:.3f}, {p['worst']:.3f}" if p else "")
        if any(cells):
            lines.append(f"| {shape} | " + " | ".join(cells) + " |")
    return lines


def worst(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown: the default's ten worst pairs of cell and statistic."""
    given = [row for row in rows if row["scheme"] == "default" and row["given"] >= MOST_REFUSED * row["tables"]]
    given.sort(key=lambda row: row["covered"] / row["given"])
    return ["| cell | statistic | coverage | refused | width |", "|---|---|---|---|---|"] + [
        f"| {row['cell']} | {row['statistic']} | {row['covered'] / row['given']:.3f} | "
        f"{100 * (1 - row['given'] / row['tables']):.1f} % | {row['width']:.2f} |"
        for row in given[:10]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("--share", default="0/1", help="which part of the batches, such as 1/2")
    parser.add_argument("--tables", type=int, default=AIM, help="tables a cell")
    parser.add_argument("--cells", default="", help="only cells whose name holds this")
    asked = parser.parse_args()
    if asked.what == "run":
        run(asked.share, asked.tables, asked.cells)
    else:
        report()


if __name__ == "__main__":
    main()
