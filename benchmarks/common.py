"""What the benchmarks share: clocks, data, and scipy as a careful user would write it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares, minimize

import scalefit as sf

ROOT = Path(__file__).parent.parent
SIZES = (8, 12, 20, 30)
REFITS = 4000
TIGHT = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
Row = dict[str, Any]


def seconds(job: Callable[[], Any], repeats: int) -> float:
    """Median time of a job, after one call to warm up."""
    job()
    return float(np.median([once(job) for _ in range(repeats)]))


def once(job: Callable[[], Any]) -> float:
    """Time of a job."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def geometric_mean(values: Any) -> float:
    return float(np.exp(np.mean(np.log(values))))


def curve(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Inputs, losses and the paper's delta of a power law with 1 % noise."""
    x = np.geomspace(1e6, 1e9, n)
    loss = (rng.uniform(1.2, 2.2) + rng.uniform(1, 3) * (x / 1e6) ** -rng.uniform(0.15, 0.6)) * np.exp(
        0.01 * rng.standard_normal(n)
    )
    return x, loss, 1.4826 * float(np.median(np.abs(loss - np.median(loss))))


def trf(u: np.ndarray, loss: np.ndarray, delta: float, start: np.ndarray, *, analytic: bool, tight: bool) -> Any:
    """One fit of E + exp(l - alpha u) by scipy's trust region."""
    low, high = np.array([0.0, -60.0, 0.0]), np.array([float(np.median(loss)), 60.0, 10.0])

    def residuals(p: np.ndarray) -> np.ndarray:
        return loss - p[0] - np.exp(p[1] - p[2] * u)

    def jacobian(p: np.ndarray) -> np.ndarray:
        term = np.exp(p[1] - p[2] * u)
        return np.stack([-np.ones_like(u), -term, u * term], axis=1)

    start = np.clip(start, low + 1e-9, high - 1e-9)
    return least_squares(
        residuals, start, jac=jacobian if analytic else "2-point", bounds=(low, high), loss="huber", f_scale=delta,
        **(TIGHT if tight else {}),
    )  # fmt: skip


class Surface:
    """The 2D problem as a careful user of L-BFGS-B writes it: log-sum-exp with analytic gradient."""

    def __init__(self, runs: sf.LossTable, delta: float = 1e-3) -> None:
        self.log_n, self.log_d, self.log_loss = np.log(runs.params), np.log(runs.tokens), np.log(runs.loss)
        self.delta, self.weights = delta, np.ones(len(runs))

    def __call__(self, p: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, e, alpha, beta = p
        z = np.stack([a - alpha * self.log_n, b - beta * self.log_d, np.full_like(self.log_n, e)])
        top = z.max(axis=0)
        z = np.exp(z - top)
        total = z.sum(axis=0)
        share = z / total
        r = self.log_loss - top - np.log(total)
        psi = np.clip(r, -self.delta, self.delta)
        pull = -weights * psi * share
        gradient = [pull[0].sum(), pull[1].sum(), pull[2].sum(), -(pull[0] @ self.log_n), -(pull[1] @ self.log_d)]
        return float(np.sum(weights * psi * (r - psi / 2))), np.array(gradient)

    def fit(self, start: Any, weights: np.ndarray) -> float:
        options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000, "maxfun": 20000}
        return float(minimize(self, start, args=(weights,), jac=True, method="L-BFGS-B", options=options).fun)


def chinchilla_like() -> tuple[sf.LossTable, str]:
    """The 240 Chinchilla runs where they are at hand, else as many simulated ones."""
    try:
        return sf.load("chinchilla").where("kept"), "Chinchilla"
    except OSError:
        rng = np.random.default_rng(4)
        design = sf.grid(params=np.geomspace(6e7, 1.6e10, 24), tokens=np.geomspace(1e9, 3e11, 10))
        design["tokens"] *= np.exp(0.1 * rng.standard_normal(len(design)))
        return sf.simulate(sf.HOFFMANN_2022, design, noise=0.005), "simulated"
