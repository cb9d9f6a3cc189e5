"""Does `next_runs` choose well? Tables from known laws, more runs by several choices, and the errors after a refit.

    python benchmarks/next_runs.py              # minutes on one core; writes docs/next_runs.md
    python benchmarks/next_runs.py --tables 20  # a look at it; writes nothing

The words of the page are in benchmarks/next_runs.md.in; its numbers are put in here.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from common import ROOT
from scalefit.derived import allocation_exponent
from scalefit.designing import NextRuns, next_runs
from scalefit.flops import six_nd

TABLES = 100
SEED = 20260110684
SIGMA = 0.005  # relative error of a loss
COUNT = 4  # most runs of a plan
FORECAST = {"params": 70e9, "tokens": 1.4e12}
STATISTICS: dict[str, Any] = {"allocation exponent": allocation_exponent, "loss at 70e9, 1.4e12": FORECAST}
LAW = sf.HOFFMANN_2022
STRATEGIES = ("next_runs", "random", "one compute-optimal run")


def grid() -> pd.DataFrame:
    made = sf.grid(params=np.geomspace(1e8, 3e9, 6), ratio=np.geomspace(2, 200, 5))
    return made.assign(tokens=made["params"] * made["ratio"])[["params", "tokens"]]


def isoflops() -> pd.DataFrame:
    made = sf.grid(flops=np.geomspace(1e19, 1e21, 5), ratio=np.geomspace(3, 150, 6))
    params = np.sqrt(made["flops"] / 6 / made["ratio"])
    return pd.DataFrame({"params": params, "tokens": params * made["ratio"]})


def one_ratio() -> pd.DataFrame:
    """A family at 20 tokens per parameter, with a few runs off that line."""
    params = np.geomspace(1e8, 5e9, 10)
    few = np.geomspace(1e8, 1e9, 3)
    return pd.DataFrame({"params": [*params, *few, *few], "tokens": [*(20 * params), *(5 * few), *(80 * few)]})


DESIGNS: dict[str, Callable[[], pd.DataFrame]] = {
    "grid of 6 sizes by 5 ratios": grid,
    "isoFLOPs, 5 budgets by 6 sizes": isoflops,
    "10 at one ratio, 6 off it": one_ratio,
}


def gaussian(rng: np.random.Generator, runs: pd.DataFrame) -> np.ndarray:
    return SIGMA * rng.standard_normal(len(runs))


def student(rng: np.random.Generator, runs: pd.DataFrame) -> np.ndarray:
    return SIGMA * rng.standard_t(3, len(runs))


def hidden(rng: np.random.Generator, runs: pd.DataFrame) -> np.ndarray:
    """Small models are worse than the law, by 3 % at 1e8 parameters and in inverse proportion to size."""
    return gaussian(rng, runs) + wrong_by(runs["params"].to_numpy())


def wrong_by(params: Any) -> Any:
    return 0.03 * 1e8 / params


NOISES = {"Gaussian": gaussian, "Student t(3)": student, "law wrong for small models": hidden}


@dataclass(frozen=True)
class Cell:
    """A design and a noise."""

    design: str
    noise: str

    @property
    def name(self) -> str:
        return f"{self.design}, {self.noise}"

    def losses(self, rng: np.random.Generator, runs: pd.DataFrame) -> pd.DataFrame:
        truth = LAW(runs["params"].to_numpy(), runs["tokens"].to_numpy())
        return runs.assign(loss=truth * np.exp(NOISES[self.noise](rng, runs)))

    def truth(self, statistic: str) -> float:
        if statistic == "allocation exponent":
            return LAW.beta / (LAW.alpha + LAW.beta)
        off = wrong_by(FORECAST["params"]) if NOISES[self.noise] is hidden else 0.0
        return float(LAW(**FORECAST) * np.exp(off))


def cells() -> list[Cell]:
    return [Cell(design, noise) for design in DESIGNS for noise in NOISES]


def fitted(runs: pd.DataFrame) -> sf.Fit:
    return sf.fit(sf.Chinchilla, sf.LossTable.from_frame(runs))


def value(fit: sf.Fit, statistic: str) -> float:
    asked = STATISTICS[statistic]
    return float(fit(**asked)) if isinstance(asked, dict) else float(asked(fit))


def random_plan(rng: np.random.Generator, found: NextRuns) -> pd.DataFrame:
    """As many runs as the plan has, each at random among those that cost half of an even share of it to all of it."""
    chosen, left, runs = [], found.budget, len(found.plan)
    for more in range(runs, 0, -1):
        share = left / more
        fitting = found.candidates[found.candidates["flops"].between(share / 2, share * (1 + 1e-9))]
        chosen.append(fitting.iloc[int(rng.integers(len(fitting)))])
        left -= chosen[-1]["flops"]
    return pd.DataFrame(chosen)[["params", "tokens"]]


def compute_optimal_run(fit: sf.Fit, found: NextRuns) -> pd.DataFrame:
    """The whole budget on the split that the fit calls best."""
    best = sf.compute_optimal(fit, found.budget)
    return pd.DataFrame({"params": best.params, "tokens": best.tokens})


def judge(cell: Cell, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """One table: for each statistic, its error before, and after the runs of each strategy."""
    runs = cell.losses(rng, DESIGNS[cell.design]())
    before, found = fitted(runs), {}
    for statistic, asked in STATISTICS.items():
        plan = next_runs(before, statistic=asked, count=COUNT)
        more = {
            "next_runs": plan.plan[["params", "tokens"]],
            "random": random_plan(rng, plan),
            "one compute-optimal run": compute_optimal_run(before, plan),
        }
        truth = cell.truth(statistic)
        errors = {"before": value(before, statistic) - truth}
        for strategy, chosen in more.items():
            after = fitted(pd.concat([runs, cell.losses(rng, chosen)], ignore_index=True))
            errors[strategy] = value(after, statistic) - truth
        found[statistic] = errors | {
            "runs": len(plan.plan), "foreseen": plan.plan["standard_error"].iloc[-1] / plan.standard_error,
            **{f"spent by {name}": six_nd(*runs.to_numpy().T).sum() / plan.budget for name, runs in more.items()},
        }  # fmt: skip
    return found


def study(tables: int) -> pd.DataFrame:
    """A row per cell, statistic and table."""
    rows = []
    for cell in cells():
        start = time.perf_counter()
        seeds = np.random.SeedSequence([SEED, zlib.crc32(cell.name.encode())]).spawn(tables)
        for seed in seeds:
            judged = judge(cell, np.random.default_rng(seed))
            rows += [{**vars(cell), "statistic": statistic, **errors} for statistic, errors in judged.items()]
        print(f"{cell.name}: {time.perf_counter() - start:.1f} s", flush=True)
    return pd.DataFrame(rows)


def rmse(errors: Any) -> Any:
    return np.sqrt(np.mean(np.square(errors), axis=0))


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """A row per cell and statistic: what is left of the root mean squared error over tables."""
    rng, rows = np.random.default_rng(SEED), []
    for key, some in frame.groupby(["design", "noise", "statistic"], sort=False):
        errors = some[["before", *STRATEGIES]].to_numpy()
        left = rmse(errors)[1:] / rmse(errors)[0]
        drawn = [rmse(errors[rng.integers(len(errors), size=len(errors))]) for _ in range(400)]
        rows.append({
            **dict(zip(("design", "noise", "statistic"), key, strict=True)), **dict(zip(STRATEGIES, left, strict=True)),
            "ratio": left[0] / left[1], "error": float(np.std([one[1] / one[2] for one in drawn])),
            "foreseen": some["foreseen"].mean(), "runs": some["runs"].mean(),
            **{name: some[name].mean() for name in some if name.startswith("spent by")},
        })  # fmt: skip
    return pd.DataFrame(rows)


def together(ratios: pd.Series) -> str:
    """Geometric mean with its standard error over cells and statistics."""
    logs = np.log(ratios.to_numpy(float))
    mean = np.exp(logs.mean())
    return f"{mean:.2f} ± {mean * logs.std(ddof=1) / np.sqrt(len(logs)):.2f}"


def lines(found: pd.DataFrame) -> list[str]:
    """Markdown: a row per cell and statistic."""
    shown = [
        "| design | noise | statistic | next_runs | foreseen | random | one optimal run | next_runs to random |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found.to_dict("records"):
        shown.append(
            f"| {row['design']} | {row['noise']} | {row['statistic']} | {row['next_runs']:.2f} | {row['foreseen']:.2f} "
            f"| {row['random']:.2f} | {row['one compute-optimal run']:.2f} | {row['ratio']:.2f} ± {row['error']:.2f} |"
        )
    return shown


def by_noise(found: pd.DataFrame) -> list[str]:
    """Markdown: geometric means over designs and statistics."""
    shown = ["| noise | next_runs | random | one optimal run | next_runs to random |", "|---|---|---|---|---|"]
    for noise in NOISES:
        some = found[found["noise"] == noise]
        cells = [together(some[name]) for name in (*STRATEGIES, "ratio")]
        shown.append(f"| {noise} | {' | '.join(cells)} |")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=TABLES, help="tables a cell; the page is written for the default")
    asked = parser.parse_args()
    found = summary(study(asked.tables))
    measured = {
        "TABLES": f"{asked.tables}", "CELLS": f"{len(found)}",
        "RATIO": together(found["ratio"]), "BETTER": f"{int((found['ratio'] < 1).sum())}",
        "CLEARLY": f"{int((found['ratio'] + 2 * found['error'] < 1).sum())}",
        "WORSE": f"{int((found['ratio'] - 2 * found['error'] > 1).sum())}",
        **{name.split()[0].upper(): together(found[name]) for name in STRATEGIES},
        "FORESEEN": together(found["foreseen"]), "RUNS": f"{found['runs'].mean():.1f}",
        **{f"SPENT_{name.split()[0].upper()}": f"{100 * found[f'spent by {name}'].mean():.0f} %"
           for name in STRATEGIES},
        "BY_NOISE": "\n".join(by_noise(found)), "TABLE": "\n".join(lines(found)),
    }  # fmt: skip
    page = (ROOT / "benchmarks" / "next_runs.md.in").read_text(encoding="utf-8")
    for key, value in measured.items():
        page = page.replace(f"@{key}@", value)
    if asked.tables == TABLES:
        (ROOT / "docs" / "next_runs.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
