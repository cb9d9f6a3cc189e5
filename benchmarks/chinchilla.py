"""The Chinchilla runs again: whether a surface without a formula fits better, and what it would train.

    python benchmarks/chinchilla.py    # minutes on one core; writes docs/chinchilla.md and two of docs/images

The words of the page are in benchmarks/chinchilla.md.in; its numbers are put in here. Everything on it is recomputed;
none of it is copied from a paper, unless it says so.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV

import scalefit as sf
from common import ROOT

SETTINGS = {"ridge": [1e-5, 1e-4, 1e-3, 1e-2], "length_scale": [0.5, 1.0, 2.0]}
WINDOWS = ((3e18, 3e21), (1e19, 3e21), (2e19, 1e21))  # those of which a reconstruction of the paper's analysis tells
BUDGETS = np.geomspace(3e18, 3e21, 50)
FEW = np.geomspace(3e18, 3e21, 10)  # that a picture can show
NOMINAL = [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]  # of the isoFLOP runs, Hoffmann et al. 2022, figure 3
SPLITS = 20
TRAIN = 192  # of 240 rows
SEEDS = range(4)
RESAMPLES = 200  # as the paper takes for compute-optimal laws


def pairs(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random 80/20 splits of the rows in the order of the file, one per seed."""
    orders = (np.random.default_rng(seed).permutation(n) for seed in range(SPLITS))
    return [(order[:TRAIN], order[TRAIN:]) for order in orders]


def models() -> dict[str, Any]:
    return {
        "Chinchilla's formula": sf.Chinchilla,
        "power laws in tokens, one per model size": sf.SlicedLaw(sf.PowerLaw, along="tokens", rtol=5e-3),
        "kernel": sf.AnovaKernelRidge(),
        "kernel, settings chosen within the training rows": GridSearchCV(sf.AnovaKernelRidge(), SETTINGS, cv=5),
        "network": sf.NetworkRegressor(),
    }


def validation(runs: sf.LossTable) -> Iterator[str]:
    more = {f"network, seed {seed}": sf.NetworkRegressor(seed=seed) for seed in SEEDS if seed}
    worse = {
        "kernel, ridge=1e-2": sf.AnovaKernelRidge(ridge=1e-2),
        "kernel, ridge=1e-4, length_scale=0.5": sf.AnovaKernelRidge(ridge=1e-4, length_scale=0.5),
    }
    for name, cv, asked in (
        (f"{SPLITS} random splits", pairs(len(runs)), {**models(), **worse}),
        ("Trained below 1e21 FLOPs", sf.Extrapolation(flops=1e21), {**models(), **more}),
    ):
        found = sf.validate(asked, runs, cv=cv)
        print(found)
        frame = found.to_frame()
        yield f"\n{name}: {frame['train_rows'][0]:.0f} rows to train on, {frame['test_rows'][0]:.0f} to test.\n"
        yield "| model | training MSE | validation MSE | ratio to the first | test rows outside the training hull |"
        yield "|---|---|---|---|---|"
        for row in frame.itertuples():
            yield (
                f"| {row.model} | {row.train_mse:.2e} | {with_error(row.test_mse, row.test_mse_se, '.2e')} | "
                f"{with_error(row.ratio, row.ratio_se, '.2f')} | {row.outside:.1f} |"
            )


def slices(runs: sf.LossTable) -> dict[str, str]:
    """Errors of the 1D laws in tokens, one per model size, and of the formula on the same rows."""
    curves = sf.fit_curves(sf.PowerLaw, runs, along="tokens", at="params", rtol=5e-3)
    own = np.concatenate([fit.residuals for fit in curves])
    formula = sf.fit(sf.Chinchilla, runs)
    same = np.concatenate([fit.table.loss - formula(fit.table.params, fit.table.tokens) for fit in curves])
    return {
        "SLICES": str(len(curves)), "SLICE_ROWS": str(len(own)), "SLICE_MSE": f"{np.mean(own**2):.2e}",
        "FORMULA_MSE": f"{np.mean(same**2):.2e}", "SLICE_RATIO": f"{np.mean(same**2) / np.mean(own**2):.1f}",
        "BETA_MEAN": f"{curves.mean('alpha', ok_only=False):.3f}",
        "BETA_SD": f"{curves.sd('alpha', ok_only=False):.3f}",
    }  # fmt: skip


def surfaces(runs: sf.LossTable) -> dict[str, list[Any]]:
    """Fits with their bootstrap, of the network one fit per seed."""
    found = {
        name: [sf.bootstrap(sf.fit(model, runs), resamples=RESAMPLES)]
        for name, model in (("Chinchilla's formula", sf.Chinchilla), ("kernel", sf.AnovaKernelRidge()))
    }
    return {**found, "network": [sf.fit(sf.NetworkRegressor(seed=seed), runs) for seed in SEEDS]}


def frontiers(
    runs: sf.LossTable, fitted: dict[str, list[Any]], budgets: np.ndarray
) -> dict[str, list[sf.Frontier]]:  # fmt: skip
    """Each approach's frontier."""
    found = {name: [sf.compute_optimal(one, budgets) for one in several] for name, several in fitted.items()}
    found["isoFLOP parabolas"] = [sf.isoflop(runs, budgets=NOMINAL, rtol=0.25)]
    found["envelope of the runs"] = [sf.envelope(runs)]
    return found


def exponents(found: dict[str, list[sf.Frontier]]) -> Iterator[str]:
    yield "| approach | budgets | a | b | gamma |"
    yield "|---|---|---|---|---|"
    for name, several in found.items():
        for low, high in WINDOWS:
            made = [one.exponents((low, high)) for one in several]
            cells = []
            for symbol in ("a", "b", "gamma"):
                values = np.array([getattr(each, symbol) for each in made])
                interval = made[0].intervals.get(symbol)
                if interval is not None:
                    cells.append(f"{values[0]:.3f} ({interval.low:.3f} to {interval.high:.3f})")
                else:
                    cells.append(f"{values.mean():.3f}" + (f" +- {values.std(ddof=1):.3f}" if len(values) > 1 else ""))
            yield f"| {name} | {low:.0e} to {high:.0e}, {made[0].budgets} | {' | '.join(cells)} |"


def with_error(value: float, error: float, digits: str) -> str:
    return f"{value:{digits}}" + (f" +- {error:{digits}}" if np.isfinite(error) and error else "")


def main() -> None:
    runs = sf.load("chinchilla").where("kept")
    fitted = surfaces(runs)
    found = frontiers(runs, fitted, BUDGETS)
    numbers = {
        "VALIDATION": "\n".join(validation(runs)), "EXPONENTS": "\n".join(exponents(found)),
        "MOVED": ", ".join(f"{name} {several[0].exponents().moved:.3f}" for name, several in found.items()),
        "APART": f"{max(one.apart for one in found['network']):.0e}",
        **slices(runs),
    }  # fmt: skip
    page = (ROOT / "benchmarks" / "chinchilla.md.in").read_text()
    for name, value in numbers.items():
        page = page.replace(f"@{name}@", value)
    shown = {name: several[0] for name, several in frontiers(runs, fitted, FEW).items()}
    figure, ax = plt.subplots(figsize=(7.5, 6))
    sf.plot_frontier(shown, ax=ax)
    figure.savefig(ROOT / "docs" / "images" / "frontier.png", dpi=150, bbox_inches="tight")
    kernel = sf.fit(sf.AnovaKernelRidge(), runs)
    figure = sf.plot_surface(kernel, sf.compute_optimal(kernel, np.geomspace(1e19, 1e21, 5))).figure
    figure.savefig(ROOT / "docs" / "images" / "surface.png", dpi=150, bbox_inches="tight")
    (ROOT / "docs" / "chinchilla.md").write_text(page)
    print(pd.Series(numbers).drop(["VALIDATION"]).to_string())
    print(page)


if __name__ == "__main__":
    main()
