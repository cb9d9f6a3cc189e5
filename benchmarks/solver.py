"""How much faster the solver is than scipy, and what its refits miss.

The baselines are scipy with an analytic gradient at tolerances at which it meets the solver's contract, unless said;
for the 1D base fit its defaults stand beside them. Loops of refits and the grid of 4500 starts are timed on a part and
scaled up linearly; the table says of what.
"""

from __future__ import annotations

import itertools
import time

import numpy as np

import scalefit as sf
from common import REFITS, SIZES, Row, Surface, chinchilla_like, curve, geometric_mean, seconds, trf
from scalefit.solver import make_problem, power_law_starts, refit, solve

WHY = """A single 1D fit is the overhead of NumPy calls on arrays of a few dozen numbers, in the screen and in the
Newton steps alike, so it takes the same time at every n; the starts of the paper's route are good ones here (lines
through the data), from which scipy needs few steps. In two dimensions every refit is solved twice, from the base fit
and by way of a wider zone of Huber's loss, which costs as much again; the baseline goes once and doubts nothing."""


def solver_rows(quick: bool) -> list[Row]:
    return [*base_fits(quick), *curve_refits(quick), *surface_jobs(quick)]


def base_fits(quick: bool) -> list[Row]:
    """1D base fit against the paper's 40 starts, two-point and analytic Jacobian."""
    rows = []
    rng = np.random.default_rng(0)
    for n, (analytic, tight) in itertools.product(SIZES, ((False, False), (True, False), (True, True))):
        ratios, ours_all, gaps = [], [], []
        for _ in range(1 if quick else 4):
            x, loss, delta = curve(rng, n)
            u = np.log(x) - np.log(x).mean()
            starts = power_law_starts(x, loss)
            problem = make_problem(np.log(x)[None], loss[:, None], np.ones((n, 1)), log=False, delta=delta,
                                   T=np.eye(3), c=np.zeros(3))  # fmt: skip
            ours = seconds(lambda problem=problem: solve(problem), 15)
            start = time.perf_counter()
            fits = [trf(u, loss, delta, s, analytic=analytic, tight=tight) for s in starts]
            ratios.append((time.perf_counter() - start) / ours)
            best = min(fit.cost for fit in fits)
            gaps.append(solve(problem).objective[0] / best - 1)
            ours_all.append(ours)
        rows.append({
            "job": f"1D base fit, n = {n}",
            "baseline": f"scipy TRF, 40 starts, {'analytic' if analytic else 'two-point'} Jacobian, "
            + ("tight" if tight else "default tolerances"),
            "ours_ms": 1e3 * float(np.median(ours_all)),
            "ratio": geometric_mean(ratios),
            "worst_gap": float(max(gaps)),
            "target": 80,
        })  # fmt: skip
    return rows


def curve_refits(quick: bool) -> list[Row]:
    """Batches of 1D wild refits against warm tight scipy with the analytic Jacobian."""
    rows, sample = [], 20 if quick else 80
    rng = np.random.default_rng(1)
    for n in SIZES:
        x, loss, delta = curve(rng, n)
        G, ones = np.log(x)[None], np.ones((n, 1))
        one = make_problem(G, loss[:, None], ones, log=False, delta=delta, T=np.eye(3), c=np.zeros(3))
        base = solve(one)
        errors = one.residuals(base.free)
        Y = loss[:, None] - errors + errors * rng.choice([-1.0, 1.0], (n, REFITS))
        problem = make_problem(G, Y, ones, log=False, delta=delta, T=np.eye(3), c=np.zeros(3))
        ours = seconds(lambda problem=problem, base=base: refit(problem, base.natural[:, 0]), 7)
        u = np.log(x) - np.log(x).mean()
        warm = base.natural[:, 0] - [0, base.natural[2, 0] * np.log(x).mean(), 0]
        start = time.perf_counter()
        costs = [trf(u, Y[:, b], delta, warm, analytic=True, tight=True).cost for b in range(sample)]
        theirs = (time.perf_counter() - start) / sample * REFITS
        gaps = refit(problem, base.natural[:, 0]).objective[:sample] / np.array(costs) - 1
        rows.append({
            "job": f"1D, {REFITS} refits with screen, n = {n}",
            "baseline": f"warm tight scipy TRF, analytic Jacobian (scaled up from {sample})",
            "ours_ms": 1e3 * ours, "ratio": theirs / ours, "worst_gap": float(gaps.max()), "target": 150,
        })  # fmt: skip
    return rows


def surface_jobs(quick: bool) -> list[Row]:
    """2D start search and 2D pairs refits on the Chinchilla runs, or on simulated ones of their size."""
    runs, data = chinchilla_like()
    G = np.log(np.stack([runs.params, runs.tokens]))
    y, n = runs.loss[:, None], len(runs)
    setting = {"log": True, "delta": 1e-3, "T": np.eye(5), "c": np.zeros(5)}
    problem = make_problem(G, y, np.ones((n, 1)), **setting)
    base = solve(problem)
    ours = seconds(lambda: solve(problem), 15)
    theirs = Surface(runs)
    grid = list(itertools.product((0, 5, 10, 15, 20, 25), (0, 5, 10, 15, 20, 25), (-1, -0.5, 0, 0.5, 1),
                                  (0, 0.5, 1, 1.5, 2), (0, 0.5, 1, 1.5, 2)))  # fmt: skip
    some = np.random.default_rng(2).permutation(len(grid))[: 40 if quick else 200]
    start = time.perf_counter()
    best = min(theirs.fit(np.array(grid[i], dtype=float), theirs.weights) for i in some)
    search = (time.perf_counter() - start) / len(some) * len(grid)
    rows = [{
        "job": f"2D start search, {n} {data} runs",
        "baseline": f"{len(grid)} tight analytic L-BFGS-B starts (scaled up from {len(some)})",
        "ours_ms": 1e3 * ours, "ratio": search / ours, "worst_gap": float(base.objective[0] / best - 1), "target": 1000,
    }]  # fmt: skip
    rng = np.random.default_rng(3)
    W = rng.multinomial(n, np.full(n, 1 / n), REFITS).T.astype(float)
    batch = make_problem(G, y, W, **setting)
    ours = seconds(lambda: refit(batch, base.natural[:, 0]), 3 if quick else 5)
    E, log_a, log_b, alpha, beta = base.natural[:, 0]
    warm, sample = np.array([log_a, log_b, np.log(E), alpha, beta]), 20 if quick else 100
    start = time.perf_counter()
    values = [theirs.fit(warm, W[:, b]) for b in range(sample)]
    loop = (time.perf_counter() - start) / sample * REFITS
    gaps = refit(batch, base.natural[:, 0]).objective[:sample] / np.array(values) - 1
    rows.append({
        "job": f"2D, {REFITS} pairs refits, {n} {data} runs",
        "baseline": f"warm tight analytic L-BFGS-B (scaled up from {sample})",
        "ours_ms": 1e3 * ours, "ratio": loop / ours, "worst_gap": float(gaps.max()), "target": 40,
    })  # fmt: skip
    return rows


def missed_refits(quick: bool) -> list[Row]:
    """Wild refits of a small noisy surface: where `refit` and `solve`, both converged, end apart, and by how much."""
    rows = []
    for seed in range(2 if quick else 6):
        rng = np.random.default_rng(seed)
        G = rng.uniform(np.log([1e7, 1e9]), np.log([1e10, 1e11]), (16, 2)).T
        log_loss = np.log(sf.HOFFMANN_2022(*np.exp(G))) + 0.01 * rng.standard_normal(16)
        setting = {"log": True, "delta": 1e-3, "T": np.eye(5), "c": np.zeros(5)}
        one = make_problem(G, np.exp(log_loss)[:, None], np.ones((16, 1)), **setting)
        base = solve(one)
        errors = one.residuals(base.free)
        Y = np.exp(log_loss[:, None] - errors + errors * rng.choice([-1.0, 1.0], (16, 1500)))
        batch = make_problem(G, Y, np.ones((16, 1)), **setting)
        warm, cold = refit(batch, base.natural[:, 0]), solve(batch)
        for name, one_way, other, said in (("refit", warm, cold, warm), ("solve", cold, warm, cold)):
            gaps = one_way.objective / other.objective - 1
            missed = (gaps > 1e-9) & said.converged
            rows.append({"seed": seed, "higher": name, "missed": int(missed.sum()), "of": 1500,
                         "worst_gap": float(np.max(gaps, where=missed, initial=0.0))})  # fmt: skip
    return rows
