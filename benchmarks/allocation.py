"""What a frontier with bands costs: 200 resamples against a loop of scipy's minimize_scalar."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

import scalefit as sf
from common import Row, chinchilla_like, once, seconds

RESAMPLES = 200
TARGET = 50
BUDGETS = 10
SAMPLE = 10  # resamples of the baseline, scaled up


def rows(quick: bool) -> list[Row]:
    """Optima of every resample at each budget, after the refits: ours as one batch, the baseline one by one."""
    runs, name = chinchilla_like()
    made = []
    for model, label, budgets in (
        (sf.Chinchilla, "Chinchilla's law, closed form", np.geomspace(1e19, 1e24, BUDGETS)),
        (sf.AnovaKernelRidge(), "kernel surface, search", np.geomspace(6e18, 1.5e21, BUDGETS)),
    ):
        boot = sf.bootstrap(sf.fit(model, runs), sf.Wild(), resamples=20 if quick else RESAMPLES)
        ours = seconds(lambda boot=boot, budgets=budgets: sf.compute_optimal(boot, budgets), 5)
        best = sf.compute_optimal(boot, budgets)
        theirs = once(lambda boot=boot, budgets=budgets: one_by_one(boot, budgets, SAMPLE)) * len(boot) / SAMPLE
        check = one_by_one(boot, budgets, 3)
        good = best.bracketed & best.draws.optima.bracketed[:3].all(axis=0)
        gap = np.max(np.abs(np.log(best.draws.optima.params[:3] / check))[:, good])
        made.append({
            "job": label, "data": name, "resamples": len(boot), "budgets": len(budgets), "ours_ms": 1e3 * ours,
            "theirs_ms": 1e3 * theirs, "ratio": theirs / ours, "sample": SAMPLE, "gap": float(gap),
        })  # fmt: skip
    return made


def one_by_one(boot: sf.Bootstrap, budgets: np.ndarray, count: int) -> np.ndarray:
    """(count, m) params by bounded minimize_scalar of the predicted loss over log params."""
    table, found = boot.base.table, np.empty((count, len(budgets)))
    for b in range(count):
        predict = boot[b].model.predict
        for j, C in enumerate(budgets):
            low, high = np.log(table.params.min()), np.log(table.params.max())
            if boot.base.has_law:
                low, high = np.log(1e6), np.log(1e14)
            else:  # within the runs, as a careful user would
                grid = np.exp(np.linspace(low, high, 60))
                inside = grid[np.isfinite(boot.base(grid, C / (6 * grid)))]
                low, high = np.log(inside[0]), np.log(inside[-1])

            def loss(x: float, predict=predict, C: float = C) -> float:
                return float(predict(np.array([[np.exp(x), C / (6 * np.exp(x))]]))[0])

            found[b, j] = np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4}).x)
    return found
