"""What a bootstrap costs through the public API: time against scipy's loop, memory, and a peer.

The peer, simple-scaling-laws, is measured if it is there, in an environment of its own (Python 3.12 or later):

    python3.12 -m venv out/peers/venv && out/peers/venv/bin/pip install simple-scaling-laws==0.2.0
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd

import scalefit as sf
from common import REFITS, ROOT, SIZES, Row, Surface, chinchilla_like, curve, geometric_mean, once, seconds, trf
from scalefit.solver import power_law_starts

PEER = "simple-scaling-laws==0.2.0"
PEER_PYTHON = ROOT / "out" / "peers" / "venv" / "bin" / "python"
DRAWS = 300
MOST_MEMORY = 500
LEAST_RATIO = 100
WHY = """Of our time at n = 12 about a fifth each goes into the Newton steps of the refits, into their screen, into
the sample that is solved globally and into the jackknife, a tenth into the base fit; the rest are draws, medians,
statuses and the interval. The baseline screens nothing, and from a good start at default tolerances scipy needs few
evaluations, fewer still with the analytic Jacobian. Of 8 rows, a table without one of them often has a single start
that crawls along a valley for 200 iterations, a third of the time and more; and what is done once per table, not per
refit, takes as long for 256 refits."""
TARGETS = {"two-point": 200, "analytic": 120}
MEMORY = """
import sys
import scalefit as sf

def peak():
    try:  # of this program alone; ru_maxrss also remembers the one that started it
        lines = open("/proc/self/status").read().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

first = peak()
import numpy as np, pandas, scipy.stats, sklearn.base
libraries = peak()
if sys.argv[1] == "curve":
    runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e6, 1e9, 30)), noise=0.01)
    sf.bootstrap(sf.fit(sf.PowerLaw, runs), sf.wild_bca(), resamples=int(sys.argv[2])).interval("alpha")
else:
    sys.path.insert(0, sys.argv[3])
    from common import chinchilla_like
    sf.bootstrap(sf.fit(sf.Chinchilla, chinchilla_like()[0]), sf.Pairs(), resamples=int(sys.argv[2])).interval("alpha")
print(peak() - first, libraries - first)
"""


def curve_jobs(quick: bool) -> list[Row]:
    """Base fit, wild bootstrap, jackknife and BCa interval of one curve, against scipy's loop over the same tables."""
    tables, sample = (1, 20) if quick else (4, 80)
    webb = sf.Wild("webb", residuals="plain", method="bca")  # with signs, the 256 patterns of 8 rows are all taken
    schemes = [(8, webb), *((n, sf.wild_bca()) for n in SIZES[1:]), (8, sf.wild_bca())]
    rows = []
    for n, scheme in schemes:
        rng = np.random.default_rng(n)
        found: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in TARGETS}
        for _ in range(tables):
            x, loss, delta = curve(rng, n)
            runs = sf.LossTable.from_frame(pd.DataFrame({"params": x, "loss": loss}))

            def job(runs: sf.LossTable = runs, scheme: sf.Wild = scheme) -> sf.Bootstrap:
                boot = sf.bootstrap(sf.fit(sf.PowerLaw, runs), scheme, resamples=REFITS)
                boot.interval("alpha")
                return boot

            boot, repeats = job(), 2 if quick else 5
            for kind in TARGETS:
                before = [once(job) for _ in range(repeats)]
                theirs, gap = scipy_loop(x, loss, delta, boot, sample, analytic=kind == "analytic")
                ours = float(np.median([*before, *(once(job) for _ in range(repeats))]))
                found[kind].append((ours, theirs / ours, gap))
        for kind, measured in found.items():
            times, ratios, gaps = zip(*measured, strict=True)
            rows.append({
                "n": n, "refits": len(boot), "weights": scheme.weights, "kind": kind,
                "ours_ms": 1e3 * float(np.median(times)), "ratio": geometric_mean(ratios), "least": min(ratios),
                "tables": tables, "sample": sample, "worst_gap": max(gaps),
            })  # fmt: skip
    return rows


def scipy_loop(
    x: np.ndarray, loss: np.ndarray, delta: float, boot: sf.Bootstrap, sample: int, *, analytic: bool
) -> tuple[float, float]:
    """Time of 40 starts, warm refits (scaled up from a sample) and jackknife, and our worst excess over its optima."""
    u = np.log(x) - np.log(x).mean()

    def fit(rows: np.ndarray, losses: np.ndarray, start: np.ndarray) -> float:
        return float(trf(u[rows], losses[rows], delta, start, analytic=analytic, tight=False).cost)

    every, costs, starts = np.arange(len(x)), [], power_law_starts(x, loss)
    search = once(lambda: costs.append(min(fit(every, loss, start) for start in starts)))
    law = boot.base.law
    warm = np.array([law.E, np.log(law.A) - law.alpha * np.log(x).mean(), law.alpha])
    refits: list[float] = []
    losses = boot.parts[0].losses
    loop = once(lambda: refits.extend(fit(every, losses[b], warm) for b in range(sample))) / sample * len(boot)
    jackknife = once(lambda: [fit(np.delete(every, row), loss, warm) for row in every])
    ours = np.array([boot.base.objective_value, *(boot[b].objective_value for b in range(sample))])
    return search + loop + jackknife, float(np.max(ours / np.array([*costs, *refits]) - 1))


def surface_job(quick: bool) -> Row:
    """Pairs bootstrap of 240 runs, the base fit done, against warm L-BFGS-B on the same resamples."""
    runs, data = chinchilla_like()
    fit, theirs, sample = sf.fit(sf.Chinchilla, runs), Surface(runs), 20 if quick else 100
    boot, law, repeats = sf.bootstrap(fit, sf.Pairs(), resamples=REFITS), fit.law, 1 if quick else 4
    warm = np.array([np.log(law.A), np.log(law.B), np.log(law.E), law.alpha, law.beta])
    counts, values = boot.parts[0].counts, []
    before = [once(lambda: sf.bootstrap(fit, sf.Pairs(), resamples=REFITS)) for _ in range(repeats)]
    loop = once(lambda: values.extend(theirs.fit(warm, counts[b]) for b in range(sample))) / sample * REFITS
    after = [once(lambda: sf.bootstrap(fit, sf.Pairs(), resamples=REFITS)) for _ in range(repeats)]
    ours = float(np.median([*before, *after]))
    gaps = np.array([boot[b].objective_value for b in range(sample)]) / np.array(values) - 1
    return {
        "job": f"2D pairs bootstrap of {REFITS} with jackknife, {len(runs)} {data} runs",
        "baseline": f"warm tight analytic L-BFGS-B, no jackknife (scaled up from {sample})",
        "ours_ms": 1e3 * ours, "ratio": loop / ours, "worst_gap": float(gaps.max()), "target": 40,
    }  # fmt: skip


def memory() -> list[Row]:
    """Growth of the peak of memory over `import scalefit`, each in a fresh program."""
    rows = []
    for kind, job in (("curve", "1D, n = 30, wild"), ("surface", "2D, n = 240, pairs")):
        command = [sys.executable, "-c", MEMORY, kind, str(REFITS), str(ROOT / "benchmarks")]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        growth, libraries = map(float, answer.split())
        rows.append({"job": f"{job}, {REFITS} refits", "growth_mb": growth, "libraries_mb": libraries})
    return rows


def peer(quick: bool) -> Row | None:
    """simple-scaling-laws on the same runs, in a process of its own, and what is here nearest to what it does."""
    if not PEER_PYTHON.exists():
        return None
    runs, data = chinchilla_like()
    asked = {"draws": DRAWS, "repeats": 1 if quick else 5} | {
        name: runs[name].tolist() for name in ("params", "tokens", "loss")
    }
    squared = sf.LawRegressor(sf.Chinchilla, objective=sf.Squared())
    alike = sf.Wild("webb", residuals="leverage")
    here = {
        "base": seconds(lambda: sf.fit(sf.Chinchilla, runs), 5),
        "pairs": seconds(lambda: sf.bootstrap(sf.fit(sf.Chinchilla, runs), sf.Pairs(), resamples=DRAWS), 5),
        "alike": seconds(lambda: sf.bootstrap(sf.fit(squared, runs), alike, resamples=DRAWS), 5),
    }
    script = [str(PEER_PYTHON), str(ROOT / "benchmarks" / "peer_simple_scaling_laws.py")]
    answer = subprocess.run(
        script, input=json.dumps(asked), capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    there = json.loads(answer.stdout)
    objective = sf.fit(squared, runs).objective_value
    return {
        "data": f"{len(runs)} {data} runs", "draws": DRAWS, "versions": there["versions"],
        "theirs_ms": 1e3 * there["seconds"], "theirs_one_draw_ms": 1e3 * there["seconds_of_one_draw"],
        "pairs_ms": 1e3 * here["pairs"], "alike_ms": 1e3 * here["alike"], "base_ms": 1e3 * here["base"],
        "rows": len(runs),
        "pairs_ratio": there["seconds"] / here["pairs"], "alike_ratio": there["seconds"] / here["alike"],
        "objective": objective, "their_objective": there["objective"], "gap": objective / there["objective"] - 1,
    }  # fmt: skip
