"""The figures of docs/theory_experiments.md: slopes, scale factors, the optimum of Fig. 5, medians of Fig. 6.

Run it from the clone, `python benchmarks/theory_experiments.py`: some five minutes on one core. Nothing is written.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.theory.clusters import grow_clusters
from scalefit.theory.experiments import (
    BREAK_RANGE,
    NU_RANGE,
    Realisation,
    allocation_runs,
    learning_curves,
    percentiles,
    scaling_runs,
)
from scalefit.theory.percolation import DataScaling, ModelScaling
from scalefit.theory.targets import branching_targets

SEEDS = 50  # of Fig. 6, as in the paper


def slopes() -> str:
    forest = grow_clusters(20, smallest=20_000, largest=80_000, seed=0)
    curves = learning_curves(forest, branching_targets(forest, seed=0), seed=0)
    some = curves[(curves["points"] >= 32) & (curves["points"] <= curves["size"] / 64)]
    found = [np.polyfit(np.log(one["points"]), np.log(one["loss"]), 1)[0] for _, one in some.groupby("cluster")]
    mean, sd = np.mean(found), np.std(found, ddof=1)
    return f"slopes of 20 curves: {mean:.3f} +- {sd / np.sqrt(20):.3f}, a single one scatters by {sd:.2f}"


def factors() -> str:
    found = np.concatenate([Realisation.draw("medium", seed=seed).factors for seed in range(3)])
    low, middle, high = np.percentile(found, [100 / 6, 50, 500 / 6])
    return f"scale factors: two thirds from {low:.1f} to {high:.0f}, median {middle:.1f}, all {found.min():.2g} to " + (
        f"{found.max():.2g}"
    )


def quadratic(nu: np.ndarray, log_break: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(nu), nu, log_break, nu**2, nu * log_break, log_break**2], axis=-1)


def around(runs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random allocations by how far they are from the theory's, and the logarithm of their losses."""
    theory, others = runs.iloc[0], runs.iloc[1:]
    nu = (others["nu"] - theory["nu"]).to_numpy()
    log_break = np.log(others["clusters"] / theory["clusters"]).to_numpy()
    return nu, log_break, np.log(others["loss"]).to_numpy()


def surface() -> str:
    """A quadratic through the log losses of six seeds, each less its mean."""
    several = [around(allocation_runs(90, seed=seed)) for seed in range(6)]
    nu, log_break = (np.concatenate([one[part] for one in several]) for part in (0, 1))
    y = np.concatenate([one[2] - one[2].mean() for one in several])
    design = quadratic(nu, log_break)
    fitted = np.linalg.lstsq(design, y, rcond=None)[0]
    edges = np.log(BREAK_RANGE)
    grid = np.meshgrid(np.linspace(-NU_RANGE, NU_RANGE, 201), np.linspace(-edges, edges, 201))
    heights = quadratic(*grid) @ fitted
    place = np.unravel_index(np.argmin(heights), heights.shape)
    at = quadratic(np.zeros(3), np.array([0.0, -edges, edges])) @ fitted - heights.min()
    theory, quarter, four = 100 * np.expm1(at)
    return (
        f"surface of 6 seeds: theory {theory:.1f} % above the lowest point, a quarter of k_b {quarter:.0f} %, four "
        f"times {four:.0f} %; a loss scatters by {100 * np.std(y - design @ fitted):.0f} %; lowest at nu "
        f"{grid[0][place]:+.2f}, k_b times {np.exp(grid[1][place]):.1f}"
    )


def single_seeds() -> str:
    """Mean over the best six of 80 allocations, by seed."""
    best = []
    for seed in range(24):
        nu, log_break, loss = around(allocation_runs(80, seed=seed))
        lowest = np.argsort(loss)[:6]
        best.append((nu[lowest].mean(), log_break[lowest].mean()))
    (nu, log_break), (nu_sd, break_sd) = np.mean(best, axis=0), np.std(best, axis=0, ddof=1)
    return (
        f"best six of 80, 24 seeds: nu {nu:+.2f} with a deviation of {nu_sd:.2f}, k_b times {np.exp(log_break):.1f} "
        f"with one of a factor {np.exp(break_sd):.1f}"
    )


def by_equation(largest: float) -> str:
    """The best nu and k_b of 300 draws of 32 sizes from P(S >= s) ~ s^(-1/2), by Eq. 13 and no regression."""
    clusters, learned, smallest = 32, 8, 100.0
    params = float(allocation_runs(1, seed=0)["params"].iloc[0])
    rng = np.random.default_rng(0)
    lowest = smallest**-0.5 - largest**-0.5
    sizes = np.sort((smallest**-0.5 - lowest * rng.random((300, clusters))) ** -2, axis=1)[:, ::-1]
    shares = sizes / sizes.sum(axis=1, keepdims=True)
    rank, tried = np.arange(1.0, clusters + 1), np.linspace(4 / 3 - 1, 4 / 3 + 1, 81)
    losses = np.empty((300, tried.size, clusters))
    for row, nu in enumerate(tried):
        for last in range(1, clusters + 1):
            weights = np.where(rank <= last, rank**-nu, 0.0)
            losses[:, row, last - 1] = shares @ np.maximum(params * weights / weights.sum(), 1.0) ** -0.5
    best = [np.unravel_index(np.argmin(one), one.shape) for one in losses]
    nu = np.mean([tried[row] for row, _ in best]) - 4 / 3
    log_break = np.mean([np.log((last + 1) / learned) for _, last in best])
    return f"by Eq. 13, largest size {largest:g}: best nu {nu:+.2f}, best k_b times {np.exp(log_break):.1f}"


def medians(of: str) -> str:
    """Fig. 6 of "medium" clusters, beside the clusters' own prediction and the theory's law of endlessly many."""
    runs = scaling_runs("model" if of == "model" else "data", seeds=SEEDS, preset="medium")
    frame = percentiles(runs)
    column, kind = ("params", ModelScaling) if of == "model" else ("tokens", DataScaling)
    theory = sf.LawRegressor(kind, fixed={"alpha": 1.0, "manifold": 0.5, "unit": 1.0, "E": 0.0})
    law = sf.fit(theory, sf.LossTable.from_frame(frame), inputs=column).law
    frame["predicted"] = runs.groupby(column)["predicted"].median().to_numpy()
    frame["theory"] = law(**{column: frame[column].to_numpy(dtype=float)})
    ratio = np.log(runs["loss"] / runs["predicted"])
    missed = np.log(frame["loss"] / frame["theory"])
    local = -np.diff(np.log(frame["loss"])) / np.diff(np.log(frame[column]))
    return (
        f"{frame.round(3).to_string(index=False)}\n{of}: losses {100 * np.expm1(ratio.mean()):.0f} % above predicted, "
        f"scatter {100 * ratio.std():.0f} %; local exponents {local[0]:.2f} to {local[-1]:.2f}; A of the theory "
        f"{law.A:.2f}, medians within {100 * np.expm1(np.abs(missed).max()):.0f} % of it"
    )


if __name__ == "__main__":
    for made in (slopes, factors, surface, single_seeds):
        print(made(), flush=True)
    for largest in (1e5, np.inf):
        print(by_equation(largest))
    for of in ("model", "data"):
        print(medians(of), flush=True)
