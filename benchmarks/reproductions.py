"""Published numbers beside ours, each with its protocol.

    SCALEFIT_DATA=folder python benchmarks/reproductions.py    # seconds on one core; writes docs/reproductions.md

The words of the page are in benchmarks/reproductions.md.in; its tables are put in here. A published number is typed
below as its source prints it; every number under "here" is computed. The folder holds the Chinchilla file, and under
tidy/ the runs and published exponents of Porian et al. as in their repository.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from common import ROOT
from scalefit.flops import params_for

RESAMPLES = 4000  # of Besiroglu et al.
HUBER = sf.Huber(1e-3, "log")

# Each block: number as printed, and where. See the page for the citations.
PYTHIA = {"exponent without offset": "0.083"}
CEREBRAS = {"E": "0.5066", "alpha": "0.0737"}
OBJECTIVES = {"as printed": "0.00412101", "before rounding": "0.00123116"}
NOTEBOOK = {"E": "1.81686", "A": "482.00572", "B": "2085.43420", "alpha": "0.34781", "beta": "0.36585"}
GRID = {
    "objective": "0.00101827403462", "E": "1.81723550", "A": "477.84171", "B": "2143.86379", "alpha": "0.34731266",
    "beta": "0.36718262",
}  # fmt: skip
ERRORS = {"E": "0.02566", "A": "124.52232", "B": "1293.28410", "alpha": "0.01540", "beta": "0.02060", "a": "0.020"}
ENDS = {
    "E": ("1.769", "1.871"), "A": ("285.214", "743.626"), "B": ("1042.357", "5810.344"), "alpha": ("0.317", "0.373"),
    "beta": ("0.331", "0.415"),
}  # fmt: skip
WILD = {"E": ("1.7790", "1.8597"), "alpha": ("0.3230", "0.3736"), "beta": ("0.3353", "0.3997")}
TAKANO = {"E": "1.70024", "A": "184.69", "B": "1633.48", "alpha": "0.28901", "beta": "0.35579"}
BIAS = {  # spread of the runs: error of tokens at 1e24 FLOPs in per cent
    "Hoffmann et al.'s law": ("0.34", "0.28", ("-0.327", "-1.301", "-2.903", "-5.100")),
    "exponents 0.465 and 0.155": ("0.465", "0.155", ("-1.675", "-6.498", "-13.910", "-23.116")),
}
SPREADS = (2, 4, 8, 16)
WINDOWS = {6e18: "0.4971", 1e19: "0.4121", 3e19: "0.3863", 1e20: "0.3755", 3e20: "0.3557"}
ORIGINS = {6e19: "0.01936", 1e20: "0.02091", 3e20: "0.02301", 6e20: "0.02390", 1e21: "0.02377"}
REPEATED = {(6.34e9, 242e9, 25e9): "2.225644", (8.67e9, 178e9, 25e9): "2.226963"}
OPTIMA = {  # rows, objective: value, E, alpha, beta, a, tokens per parameter at 5.88e23 FLOPs where recomputed
    ("240 kept", HUBER): ("0.0010182740178", "1.817218", "0.347310", "0.367172", "0.51390", "17.91"),
    ("240 kept", sf.Absolute("log")): ("1.12949465", "1.8168641", "0.3478131", "0.3658542", "0.51264"),
    ("240 kept", sf.Huber(1e-4, "log")): ("0.000111778748", "1.815824", "0.347409", "0.365385", "0.51261", "18.33"),
    ("240 kept", sf.Squared("log")): ("0.00573094350", "1.864550", "0.360253", "0.405883", "0.52978", "14.25"),
    ("all 245", HUBER): ("0.00182601052", "1.891339", "0.349313", "0.453049", "0.56464", "6.80"),
    ("217 below 1e21 FLOPs", HUBER): ("0.000814072668", "1.820537", "0.327128", "0.396086", "0.54767", "8.57"),
}


def as_printed(number: float, like: str) -> str:
    """Number with as many decimals as another has."""
    return f"{Decimal(float(number)).quantize(Decimal(1).scaleb(int(Decimal(like).as_tuple().exponent))):f}"


def row(name: str, published: str, here: float) -> str:
    """Line of a table: both numbers, and what they differ by."""
    shown = as_printed(here, published)
    same = Decimal(shown) == Decimal(published)
    return f"| {name} | {published} | {shown} | {'none' if same else f'{100 * (here / float(published) - 1):+.2g} %'} |"


def table(rows: Iterator[str], source: str) -> str:
    """Lines of a table."""
    return "\n".join([f"| | {source} | here | difference |", "|---|---|---|---|", *rows])


def share(law: Any) -> float:
    return float(law.beta / (law.alpha + law.beta))


def objective_of(law: sf.Law, runs: sf.LossTable) -> float:
    return float(HUBER.rho(np.log(runs.loss) - np.log(law(runs.params, runs.tokens))).sum())


def pythia() -> Iterator[str]:
    runs = sf.load("pythia").where("kept")
    plain = sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), runs, inputs="params")
    offset = sf.fit(sf.PowerLaw, runs, inputs="params")
    yield row("exponent without offset", PYTHIA["exponent without offset"], plain.law.alpha)
    yield f"| exponent with offset | not known to us | {offset.law.alpha:.3f} | |"
    ratio = offset.law.alpha / plain.law.alpha
    yield f"| ratio of the two | nearly two, in words | {ratio:.2f} | |"
    yield f"| ratio of the mean squared errors | almost ten, in words | {plain.mse / offset.mse:.1f} | |"


def cerebras() -> Iterator[str]:
    runs = sf.load("cerebras_gpt").where("family == cerebras-gpt")
    law = sf.fit(sf.PowerLaw, runs, inputs="flops").law
    for name, published in CEREBRAS.items():
        yield row(name, published, getattr(law, name))


def constants(runs: sf.LossTable) -> Iterator[str]:
    fit = sf.fit(sf.Chinchilla, runs)
    for name, published in GRID.items():
        yield row(
            f"{name}, grid of starts", published, fit.objective_value if name == "objective" else getattr(fit.law, name)
        )
    absolute = sf.fit(sf.LawRegressor(sf.Chinchilla, objective=sf.Absolute("log")), runs).law
    for name, published in NOTEBOOK.items():
        yield row(f"{name}, point estimate", published, getattr(absolute, name))


def hoffmann(runs: sf.LossTable) -> Iterator[str]:
    for name, law in (("as printed", sf.HOFFMANN_2022), ("before rounding", sf.HOFFMANN_2022_UNROUNDED)):
        yield row(f"objective of the constants {name}", OBJECTIVES[name], objective_of(law, runs))
    yield row("a, as printed", "0.4516", share(sf.HOFFMANN_2022))
    yield row("a, before rounding", "0.4565", share(sf.HOFFMANN_2022_UNROUNDED))


def bootstrap(runs: sf.LossTable) -> Iterator[str]:
    boot = sf.bootstrap(sf.fit(sf.Chinchilla, runs), sf.Pairs(method="percentile"), resamples=RESAMPLES, seed=1)
    statistics: dict[str, Any] = {name: name for name in NOTEBOOK} | {"a": lambda fit: share(fit.law)}
    for name, published in ERRORS.items():
        yield row(f"standard error of {name}", published, boot.standard_error(statistics[name]))
    for name, ends in ENDS.items():
        for which, published, end in zip(("lower", "upper"), ends, boot.interval(name), strict=True):
            yield row(f"{which} end of {name}, 95 %", published, end)
    low, high = boot.interval(statistics["a"], 0.8)
    yield row("width of the 80 % interval of a", "0.051", high - low)


def takano(runs: sf.LossTable) -> Iterator[str]:
    part = runs.where("flops > 1e18", lambda frame: frame["params"] < frame["tokens"])
    fit = sf.fit(sf.LawRegressor(sf.Chinchilla, objective=sf.Huber(1e-4, upward=0.1)), part)
    yield row("rows", "234", len(part))
    for name, published in TAKANO.items():
        yield row(name, published, getattr(fit.law, name))
    yield row("best params at 1e24 FLOPs, 1e9", "160.5", sf.compute_optimal(fit, 1e24).params[0] / 1e9)


def optima(runs: sf.LossTable) -> Iterator[str]:
    tables = {
        "all 245": runs,
        "240 kept": runs.where("kept"),
        "217 below 1e21 FLOPs": runs.where("kept", "flops < 1e21"),
    }
    for (rows, objective), found in OPTIMA.items():
        fit = sf.fit(sf.LawRegressor(sf.Chinchilla, objective=objective), tables[rows])
        here = {"objective": fit.objective_value}
        here |= {name: getattr(fit.law, name) for name in ("E", "alpha", "beta")}
        here |= {"a": share(fit.law), "tokens per parameter at 5.88e23 FLOPs": sf.best_at(5.88e23)(fit)}
        words = {"Huber": f"Huber {objective.delta:g}", "Absolute": "absolute error", "Squared": "squares"}
        for (name, value), recomputed in zip(here.items(), found, strict=False):  # absolute error has no ratio
            yield row(f"{rows}, {words[type(objective).__name__]}: {name}", recomputed, value)


def wild(runs: sf.LossTable) -> Iterator[str]:
    boot = sf.bootstrap(sf.fit(sf.Chinchilla, runs), sf.wild_bca(), resamples=RESAMPLES, seed=1)
    for name, ends in WILD.items():
        for which, recomputed, end in zip(("lower", "upper"), ends, boot.interval(name), strict=True):
            yield row(f"{which} end of {name}, 95 %", recomputed, end)


def left_out(everything: sf.LossTable, kept: sf.LossTable) -> Iterator[str]:
    for name, runs, recomputed in (("all 245", everything, "0.0408"), ("the 240 kept", kept, "0.0044")):
        boot = sf.bootstrap(sf.fit(sf.Chinchilla, runs), sf.Pairs(), resamples=2)
        yield row(
            f"largest move of beta, {name}", recomputed, np.abs(boot.jackknife("beta") - boot.estimate("beta")).max()
        )


def windows(runs: sf.LossTable) -> Iterator[str]:
    for flops, published in WINDOWS.items():
        part = runs.where(f"flops >= {flops}")
        yield row(
            f"a of the {len(part)} runs from {flops:.0e} FLOPs on", published, share(sf.fit(sf.Chinchilla, part).law)
        )


def origins(runs: sf.LossTable) -> Iterator[str]:
    for flops, published in ORIGINS.items():
        law = sf.fit(sf.Chinchilla, runs.where(f"flops <= {flops}")).law
        test = runs.where(f"flops > {flops}")
        error = np.abs(test.loss - law(test.params, test.tokens)).mean()
        yield row(f"trained up to {flops:.0e} FLOPs, {len(test)} runs beyond", published, error)


def bias() -> Iterator[str]:
    budgets = np.logspace(17, 21, 5)
    for name, (alpha, beta, errors) in BIAS.items():
        law = sf.Chinchilla(E=1.69, A=406.4, B=410.7, alpha=float(alpha), beta=float(beta))
        best: Callable[[Any], Any] = lambda flops, law=law: (  # noqa: E731
            (law.beta * law.B / (law.alpha * law.A)) ** (1 / (law.alpha + law.beta)) * (flops / 6) ** (1 - share(law))
        )
        for spread, published in zip(SPREADS, errors, strict=True):
            tokens = (best(budgets)[:, None] * np.geomspace(1 / spread, spread, 15)).ravel()
            flops = np.repeat(budgets, 15)
            design = pd.DataFrame({"params": params_for(flops, tokens), "tokens": tokens, "flops": flops})
            line = sf.isoflop(sf.simulate(law, design), within=np.inf).exponents()
            here = 100 * (line.tokens(1e24) / best(1e24) - 1)
            yield row(f"{name}, runs within a factor {spread}: error of tokens, per cent", published, here)


def porian() -> dict[str, str]:
    """Exponents of fifteen experiments: by the regression alone, and by parabolas on their runs."""
    folder = Path(os.environ["SCALEFIT_DATA"]) / "tidy"
    runs, optima, published = (pd.read_csv(folder / f"porian{name}.csv") for name in ("", "_optima", "_reference_fits"))
    lines = [
        "| experiment | published | 95 % | here, from their optima | here, from their runs |", "|---|---|---|---|---|"
    ]  # fmt: skip
    off, inside = [], 0
    for one in published.itertuples():
        frame = runs.loc[runs["family"] == one.family, ["n_params", "tokens", "flops", "loss"]]
        a = sf.isoflop(sf.LossTable.from_frame(frame)).exponents().a
        low, high = one.bootstrap_weighted_n_exponent_lo95, one.bootstrap_weighted_n_exponent_hi95
        same = from_optima(optima[optima["family"] == one.family]).exponents().a
        lines.append(
            f"| `{one.family}` | {one.weighted_n_exponent:.4f} | {low:.3f} to {high:.3f} | {same:.4f} | {a:.4f} |"
        )
        off.append(abs(a - one.weighted_n_exponent))
        inside += low <= a <= high
    return {
        "PORIAN": "\n".join(lines), "PORIAN_WORST": f"{max(off):.3f}", "PORIAN_MEDIAN": f"{np.median(off):.3f}",
        "PORIAN_INSIDE": f"{inside} of {len(off)}",
    }  # fmt: skip


def from_optima(rows: pd.DataFrame) -> sf.Frontier:
    """Frontier of published optima, with the deviations of their logarithms."""
    flops, params, tokens, loss, sd = rows[["flops", "n_opt", "d_opt", "loss_opt", "n_log_std"]].to_numpy().T
    at_edge = np.zeros(len(rows), dtype=bool)
    return sf.Frontier(flops, params, tokens, loss, at_edge, "published", sd=sd)


def repeated() -> Iterator[str]:
    for (params, tokens, unique), published in REPEATED.items():
        value = sf.MUENNIGHOFF_2023(params=params, tokens=tokens, unique_tokens=unique)
        yield row(f"loss at {params:.3g} params, {tokens:.3g} tokens, {unique:.2g} of them distinct", published, value)


def main() -> None:
    everything = sf.load("chinchilla")
    kept = everything.where("kept")
    published = {
        "PYTHIA": pythia(), "CEREBRAS": cerebras(), "CONSTANTS": constants(kept), "BOOTSTRAP": bootstrap(kept),
        "TAKANO": takano(everything),
    }  # fmt: skip
    recomputed = {
        "HOFFMANN": hoffmann(kept), "OPTIMA": optima(everything), "WILD": wild(kept), "WINDOWS": windows(kept),
        "ORIGINS": origins(kept), "LEFT_OUT": left_out(everything, kept), "BIAS": bias(),
    }  # fmt: skip
    tables = {name: table(rows, "published") for name, rows in published.items()}
    tables |= {name: table(rows, "recomputed") for name, rows in recomputed.items()}
    tables |= {"REPEATED": table(repeated(), "their code"), **porian()}
    page = (ROOT / "benchmarks" / "reproductions.md.in").read_text(encoding="utf-8")
    for name, lines in tables.items():
        page = page.replace(f"@{name}@", lines)
    (ROOT / "docs" / "reproductions.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
