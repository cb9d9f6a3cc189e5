"""How much faster the kernel surface is than scikit-learn's KernelRidge in a loop of reweighted least squares.

The baseline is what a user writes: `KernelRidge(kernel="precomputed").fit(K, y, sample_weight)` with Huber's weights,
until the objective falls by less than 1e-10 of itself, which leaves gaps near 1e-9. Its fit starts from equal weights,
its refits from the weights of that fit. The kernel is made for both.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
from sklearn.kernel_ridge import KernelRidge

from common import Row, chinchilla_like, seconds
from scalefit.anova import anova
from scalefit.huber_ridge import HuberRidge, solve, solve_together

RIDGE = 1e-3
REFITS = 200
STOP = 1e-10
TARGETS = {"fit": 10, "refits": 80}
WHY = """At delta = 0.01 nearly all rows are in the quadratic zone. The baseline then needs few rounds, and a single fit
of ours is one factorisation and the overhead of NumPy calls on vectors of 240 numbers."""


def kernel_rows(quick: bool) -> list[Row]:
    """One Huber fit, and a batch of wild refits, of log loss on standardised log inputs."""
    runs, data = chinchilla_like()
    logs = np.log(np.stack([runs.params, runs.tokens], axis=1))
    X, y = (logs - logs.mean(axis=0)) / logs.std(axis=0), np.log(runs.loss)
    K, y = anova(2, main=1.0, interaction=1.0, length_scale=1.0)(X, X), y - y.mean()
    rows: list[Row] = []
    for delta in (1e-2, 1e-3):
        rows += _rows(K, y, delta, data, quick)
    return rows


def _rows(K: np.ndarray, y: np.ndarray, delta: float, data: str, quick: bool) -> list[Row]:
    n, sample = len(y), 3 if quick else 12
    problem = HuberRidge(K, np.ones(n), RIDGE, delta)
    base = solve(problem, y)
    rest = y - base.fitted[0]
    signs = np.random.default_rng(6).choice([-1.0, 1.0], (REFITS, n))
    Y, all_rows = y - rest + rest * signs, np.ones((REFITS, n), dtype=bool)
    made = solve_together(problem, Y, all_rows, base.dual[0])
    ours = seconds(lambda: solve(problem, y), 15)
    theirs = seconds(lambda: irls(K, y, delta, np.ones(n)), 3)
    dual, weights, rounds = irls(K, y, delta, np.ones(n))
    settled = "until the objective falls by less than 1e-10 of itself"
    found = [{
        "job": f"kernel, Huber fit, delta = {delta:g}, {n} {data} runs",
        "baseline": f"IRLS with scikit-learn's KernelRidge, {rounds} rounds, {settled}",
        "ours_ms": 1e3 * ours, "ratio": theirs / ours, "target": TARGETS["fit"],
        "worst_gap": value(K, y, base.dual[0], delta) / value(K, y, dual, delta) - 1,
    }]  # fmt: skip
    ours = seconds(lambda: solve_together(problem, Y, all_rows, base.dual[0]), 3 if quick else 7)
    start = time.perf_counter()
    fits = [irls(K, Y[b], delta, weights) for b in range(sample)]
    theirs = (time.perf_counter() - start) / sample * REFITS
    mean = np.mean([rounds for _, _, rounds in fits])
    gaps = [value(K, Y[b], made.dual[b], delta) / value(K, Y[b], fits[b][0], delta) - 1 for b in range(sample)]
    return [*found, {
        "job": f"kernel, {REFITS} wild refits, delta = {delta:g}, {n} {data} runs",
        "baseline": f"warm IRLS with KernelRidge, {mean:.0f} rounds, {settled} (scaled up from {sample})",
        "ours_ms": 1e3 * ours, "ratio": theirs / ours, "target": TARGETS["refits"], "worst_gap": max(gaps),
    }]  # fmt: skip


def irls(K: np.ndarray, y: np.ndarray, delta: float, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Coefficients, last weights and rounds of iteratively reweighted least squares."""
    before = np.inf
    for rounds in itertools.count(1):
        dual = KernelRidge(alpha=RIDGE, kernel="precomputed").fit(K, y, sample_weight=weights).dual_coef_
        fitted = K @ dual
        weights = np.minimum(1.0, delta / np.maximum(np.abs(y - fitted), 1e-300))
        now = huber(y - fitted, delta) + RIDGE / 2 * float(dual @ fitted)
        if before - now <= STOP * now:
            return dual, weights, rounds
        before = now


def value(K: np.ndarray, y: np.ndarray, dual: np.ndarray, delta: float) -> float:
    """Objective of some coefficients."""
    fitted = K @ dual
    return huber(y - fitted, delta) + RIDGE / 2 * float(dual @ fitted)


def huber(r: np.ndarray, delta: float) -> float:
    inner = np.minimum(np.abs(r), delta)
    return float(np.sum(inner * (np.abs(r) - inner / 2)))
