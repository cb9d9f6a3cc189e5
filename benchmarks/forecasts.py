"""Do forecasts hold the truth? Inside the runs and beyond them, where the law is right and where a second power hides.

    python benchmarks/forecasts.py run               # resumable, about twenty minutes on a core; rows in out/forecasts/
    python benchmarks/forecasts.py run --share 0/2   # half of the batches, for a second process beside it
    python benchmarks/forecasts.py report            # writes docs/forecasts.md

The words of the page are in benchmarks/forecasts.md.in; its numbers are put in by `report`. A cell is a truth with a
design; its tables are made and judged in batches, each seeded by its cell and number.
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
from scalefit.forecasting import forecast
from scalefit.rivalry import TwoPowers, TwoPowersOfParams, TwoPowersOfTokens

ROOT = Path(__file__).parent.parent
RAW = ROOT / "out" / "forecasts"
PAGE = ROOT / "docs" / "forecasts.md"
SEED = 20260110684
BATCH = 25
AIM = 100  # tables a cell
RESAMPLES = 499
SIGMA = 0.005  # relative error of a loss
NEW_RUNS = 40  # drawn at each point of each table
H = sf.HOFFMANN_2022


@dataclass(frozen=True)
class Cell:
    """What the losses follow, what is fitted, the inputs of a table, and the points asked for, by name."""

    name: str
    truth: sf.Law
    law: type[sf.Law]
    design: Callable[[np.random.Generator], pd.DataFrame]
    points: dict[str, dict[str, float]]


def hidden(E: float, A: float, alpha: float, B: float, beta: float) -> TwoPowers:
    """Two powers that add A and B to the loss at 1e6 parameters."""
    return TwoPowers(E=E, A=A * 1e6**alpha, B=B * 1e6**beta, alpha=alpha, beta=beta)


CURVES = {
    "true law": sf.PowerLaw(E=2.0, A=2.0 * 1e6**0.3, alpha=0.3),
    "second power 0.05": hidden(1.0, 1.5, 0.35, 1.2, 0.05),
    "second power 0.08": hidden(1.5, 1.5, 0.35, 0.7, 0.08),
    "second power 0.12": hidden(1.6, 1.5, 0.40, 0.6, 0.12),
}
SURFACES = {
    "true law": H,
    "second power of tokens 0.08": TwoPowersOfTokens(
        E=1.19, A=H.A, B=H.B, S=0.6 * 1e10**0.08, alpha=H.alpha, beta=0.35, sigma=0.08
    ),
    "second power of params 0.08": TwoPowersOfParams(
        E=1.19, A=H.A, B=H.B, S=0.6 * 1e9**0.08, alpha=0.40, beta=H.beta, sigma=0.08
    ),
}
BEYOND = {"inside": None, "0.5 decades": 0.5, "1 decade": 1.0, "2 decades": 2.0}


def cells() -> Iterator[Cell]:
    """Curves over three decades of params; surfaces at random runs, asked along 20 tokens per parameter."""
    params = {name: {"params": 10**7.5 if far is None else 1e9 * 10**far} for name, far in BEYOND.items()}
    for n in (8, 12, 20, 30):
        runs = sf.grid(params=np.geomspace(1e6, 1e9, n))
        for kind, truth in CURVES.items():
            yield Cell(f"1D, n = {n}, {kind}", truth, sf.PowerLaw, lambda _, runs=runs: runs, params)
    sizes = {name: 1e9 if far is None else 1.6e10 * 10**far for name, far in BEYOND.items()}
    points = {name: {"params": N, "tokens": 20 * N} for name, N in sizes.items()}
    for n in (30, 80):
        for kind, truth in SURFACES.items():
            yield Cell(f"2D, n = {n}, {kind}", truth, sf.Chinchilla, scattered(n), points)


def scattered(n: int) -> Callable[[np.random.Generator], pd.DataFrame]:
    """Runs at random over the region of the Chinchilla runs."""

    def design(rng: np.random.Generator) -> pd.DataFrame:
        params = np.exp(rng.uniform(np.log(6e7), np.log(1.6e10), n))
        return pd.DataFrame({"params": params, "tokens": params * np.exp(rng.uniform(np.log(2), np.log(200), n))})

    return design


def judge(cell: Cell, rng: np.random.Generator) -> dict[str, Any]:
    """One table: at each point what held the truth, how wide it is, and the share of new runs within their interval."""
    design, names = cell.design(rng), list(next(iter(cell.points.values())))
    truth = cell.truth(*(design[name].to_numpy() for name in names))
    loss = truth * np.exp(SIGMA * rng.standard_normal(len(design)))
    fitted = sf.fit(cell.law, sf.LossTable.from_frame(design.assign(loss=loss)))
    at = {name: np.array([point[name] for point in cell.points.values()]) for name in names}
    boot = sf.bootstrap(fitted, resamples=RESAMPLES, seed=int(rng.integers(2**31)))
    made = forecast(boot, **at).to_frame()
    found: dict[str, Any] = {"status": fitted.status.name}
    for (place, point), row in zip(cell.points.items(), made.to_dict("records"), strict=True):
        true = float(cell.truth(**point))
        new = true * np.exp(SIGMA * rng.standard_normal(NEW_RUNS))
        refused = bool(row["refused"])
        within = None if refused else float(np.mean((row["new_run_low"] <= new) & (new <= row["new_run_high"])))
        found[place] = {
            "bias": row["loss"] / true - 1, "refused": refused, "new_run": within,
            **{f"{kind}_holds": bool(row[f"{key}low"] <= true <= row[f"{key}high"]) for kind, key in RANGES.items()},
            **{f"{kind}_width": (row[f"{key}high"] - row[f"{key}low"]) / true for kind, key in RANGES.items()},
            "new_run_width": (row["new_run_high"] - row["new_run_low"]) / true,
        }  # fmt: skip
    return found


RANGES = {"mean": "", "models": "models_", "combined": "combined_"}
FOUR = ("mean", "new_run", "models", "combined")


def run(share: str, tables: int, pattern: str) -> None:
    part, parts = map(int, share.split("/"))
    RAW.mkdir(parents=True, exist_ok=True)
    code = code_digest()
    done = {(line["cell"], line["batch"]) for line in raw_lines()}
    jobs = [(cell, batch) for batch in range(-(-tables // BATCH)) for cell in cells() if pattern in cell.name]
    for number, (cell, batch) in enumerate(jobs):
        if number % parts != part or (cell.name, batch) in done:
            continue
        start = time.perf_counter()
        seeds = np.random.SeedSequence([SEED, zlib.crc32(cell.name.encode()), batch]).spawn(BATCH)
        results = [judge(cell, np.random.default_rng(seed)) for seed in seeds]
        line = {"code": code, "cell": cell.name, "batch": batch, "tables": results}
        with (RAW / f"{part}-of-{parts}.jsonl").open("a") as file:
            file.write("\n" + json.dumps(line) + "\n")  # an interrupted line before it ends here
        print(f"{number + 1}/{len(jobs)} {cell.name} {time.perf_counter() - start:.1f} s", flush=True)


def code_digest() -> str:
    """First 12 hex digits of a SHA-256 over what is judged: results of two versions are not pooled."""
    sources = [Path(sf.__file__).parent / f"{name}.py" for name in ("forecasting", "rivalry", "unseen", "resampling")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in [*sources, Path(__file__)])).hexdigest()[:12]


def raw_lines() -> Iterator[dict[str, Any]]:
    """Results so far; an error if they come from several versions."""
    codes = set()
    for path in sorted(RAW.glob("*.jsonl")):
        for text in path.read_text().splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue  # empty, or being written when the study was interrupted
            codes.add(line["code"])
            if len(codes) > 1:
                raise SystemExit(f"{RAW} holds results of several versions: {codes}. Begin with an empty folder.")
            yield line


# --- The page ---


def gathered() -> pd.DataFrame:
    """A row per table and point."""
    rows = []
    for line in raw_lines():
        dimension, n, kind = line["cell"].split(", ")
        for table in line["tables"]:
            for place in BEYOND:
                rows.append({"dimension": dimension, "n": n, "kind": kind, "place": place, **table[place]})
    if not rows:
        raise SystemExit(f"there are no results in {RAW}: begin with `run`.")
    return pd.DataFrame(rows)


def shares(rows: pd.DataFrame) -> dict[str, float]:
    """Shares of tables in which each range holds the truth, among those given, and median widths in per cent."""
    given = rows[~rows["refused"]]
    return {
        "mean": given["mean_holds"].mean(), "new_run": given["new_run"].astype(float).mean(),
        "models": rows["models_holds"].mean(), "combined": given["combined_holds"].mean(),
        "refused": rows["refused"].mean(), "bias": 100 * rows["bias"].median(),
        **{f"{kind}_width": 100 * given[f"{kind}_width"].median() for kind in FOUR},
    }  # fmt: skip


def held(rows: pd.DataFrame, by: str) -> list[str]:
    """Markdown: a line per value of a column and place, with shares and widths."""
    lines = [
        f"| {by} | asked | mean | new run | models | combined | refused | bias | widths of the four |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for value in sorted(dict.fromkeys(rows[by]), key=lambda words: (len(words), words) if by == "n" else (0, "")):
        shown = value
        for place in BEYOND:
            s = shares(rows[(rows[by] == value) & (rows["place"] == place)])
            widths = ", ".join(f"{s[f'{kind}_width']:.1f}" for kind in FOUR)
            lines.append(
                f"| {shown} | {place} | {s['mean']:.3f} | {s['new_run']:.3f} | {s['models']:.3f} | {s['combined']:.3f} "
                f"| {100 * s['refused']:.1f} % | {s['bias']:+.1f} % | {widths} % |"
            )
            shown = ""
    return lines


def report() -> None:
    rows = gathered()
    true, wrong = rows[rows["kind"] == "true law"], rows[rows["kind"] != "true law"]
    counts = rows.groupby(["dimension", "n", "kind", "place"]).size()
    inside, beyond = wrong["place"] == "inside", wrong["place"].isin(["1 decade", "2 decades"])
    parts = {"TRUE": true, "TRUE_IN": true[true["place"] == "inside"], "TRUE_OUT": true[true["place"] != "inside"],
             "WRONG_IN": wrong[inside], "WRONG_OUT": wrong[beyond]}  # fmt: skip
    fewest, most = counts.min(), counts.max()
    measured = {
        "DATE": time.strftime("%Y-%m-%d"), "CODE": next(raw_lines())["code"], "RESAMPLES": f"{RESAMPLES}",
        "TABLES": f"{fewest}" if fewest == most else f"{fewest} to {most}",
        "ERROR": f"{100 * np.sqrt(0.95 * 0.05 / fewest):.1f}",
        **{f"{name}_{kind.upper()}": f"{shares(some)[kind]:.3f}" for name, some in parts.items() for kind in FOUR},
    }  # fmt: skip
    for name, some in (("TRUE", true), ("WRONG", wrong)):
        for dimension in ("1D", "2D"):
            for by in ("n", "kind"):
                lines = held(some[some["dimension"] == dimension], by)
                measured[f"TABLE_{name}_{dimension}_{by.upper()}"] = "\n".join(lines)
    page = (ROOT / "benchmarks" / "forecasts.md.in").read_text()
    for key, value in measured.items():
        page = page.replace(f"@{key}@", value)
    PAGE.write_text(page)
    print(page)


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
