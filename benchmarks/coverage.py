"""Do the intervals cover? Tables from known laws, an interval from each, and how often it holds the truth.

    python benchmarks/coverage.py run                # resumable; hours on two cores; raw results in out/coverage/
    python benchmarks/coverage.py run --share 0/2    # half of the cells, for a second process beside it
    python benchmarks/coverage.py report             # writes docs/coverage.md and benchmarks/coverage.json

A cell is a design (inputs and a law) with a kind of noise. Its tables are made and judged in batches of 50, each seeded by
its cell and number, so that an interrupted study goes on where it was and the number of processes changes nothing.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
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
SEED = 20260110684
CURVE_RESAMPLES, SURFACE_RESAMPLES = 999, 499
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
                    schemes, CURVE_RESAMPLES,
                )  # fmt: skip
            if n >= 20 and alpha in (0.3, 0.6):
                yield Cell(
                    f"1D, n = {n}, alpha {alpha:g}, clustered", law, lambda _, twice=twice: twice, clustered, statistics,
                    {**schemes, "by size": sf.Wild(by="params")}, CURVE_RESAMPLES,
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
        **{f"grid of {sizes} sizes": rungs(sizes) for sizes in (6, 10, 20)},
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
        "loss at 70e9, 1.4e12": {"params": 70e9, "tokens": 1.4e12}, "loss at 1e12, 2e13": {"params": 1e12, "tokens": 2e13},
    }  # fmt: skip
    for shape, design in designs.items():
        for kind, noise in noises.items():
            if kind == "clustered" and shape.startswith("n ="):
                continue
            schemes: dict[str, Any] = {"default": None, "paper": sf.wild_bca()}
            if kind == "clustered":
                schemes["by rows"] = sf.Wild()
            yield Cell(f"2D, {shape}, {kind}", TRUTH, design, noise, statistics, schemes, SURFACE_RESAMPLES)


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
    done = {(line["cell"], line["batch"]) for line in raw_lines()}
    cells = [cell for cell in (*surface_cells(), *curve_cells()) if pattern in cell.name]
    jobs = [(cell, batch) for batch in range(tables // BATCH) for cell in cells]
    for number, (cell, batch) in enumerate(jobs):
        if number % parts != part or (cell.name, batch) in done:
            continue
        start = time.perf_counter()
        seeds = np.random.SeedSequence([SEED, zlib.crc32(cell.name.encode()), batch]).spawn(BATCH)
        results = [judge(cell, np.random.default_rng(seed)) for seed in seeds]
        line = {"cell": cell.name, "batch": batch, "seconds": time.perf_counter() - start, "tables": results}
        with (RAW / f"{part}-of-{parts}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{number + 1}/{len(jobs)} {cell.name} {line['seconds']:.1f} s", flush=True)


def raw_lines() -> Iterator[dict[str, Any]]:
    for path in sorted(RAW.glob("*.jsonl")):
        for text in path.read_text().splitlines():
            try:
                yield json.loads(text)
            except json.JSONDecodeError:
                continue  # the line that was being written when the study was interrupted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("--share", default="0/1", help="which part of the batches, such as 1/2")
    parser.add_argument("--tables", type=int, default=500, help="tables a cell")
    parser.add_argument("--cells", default="", help="only cells whose name holds this")
    asked = parser.parse_args()
    run(asked.share, asked.tables, asked.cells)


if __name__ == "__main__":
    main()
