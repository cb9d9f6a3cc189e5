"""simple-scaling-laws on a table of runs: run by benchmarks/bootstrap.py with the interpreter that has the package.

Reads {"params": [...], "tokens": [...], "loss": [...], "draws": 300, "repeats": 3} from standard input, and prints the
times of `fit` as JSON, with the optimum that it reached.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time

import numpy as np
import polars as pl
import scipy
import simple_scaling_laws
from simple_scaling_laws import fit


def main() -> None:
    asked = json.load(sys.stdin)
    frame = pl.DataFrame({
        "training_run_id": [f"run {i}" for i in range(len(asked["loss"]))],
        "model_size__params": asked["params"], "dataset_size__tokens": asked["tokens"],
        "test_loss__loss": asked["loss"],
    })  # fmt: skip
    times = {}
    for draws in (1, asked["draws"]):
        fit(frame, n_draws=draws, seed=0)
        took = []
        for _ in range(asked["repeats"]):
            start = time.perf_counter()
            model = fit(frame, n_draws=draws, seed=0)
            took.append(time.perf_counter() - start)
        times[draws] = statistics.median(took)
    found = model.fits["test_loss__loss"]
    json.dump({
        "seconds": times[asked["draws"]], "seconds_of_one_draw": times[1],
        "objective": len(asked["loss"]) * found.goodness_of_fit["rmse"] ** 2 / 2,
        "versions": f"simple-scaling-laws {simple_scaling_laws.__version__}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}",
    }, sys.stdout)  # fmt: skip


if __name__ == "__main__":
    main()
