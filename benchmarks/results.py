"""What the shipped sweeps say: laws on a random graph, and the entropy ladder from bigrams to text.

    python benchmarks/results.py    # half a minute on one core; writes docs/results.md and its figures

The words of the page are in benchmarks/results.md.in; its tables are put in here, from `sf.load("er_small")` and, by
`ladder.py`, from `sf.load("ladder")`.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

import dials
import ladder
import scalefit as sf
from common import ROOT
from scalefit.demo import draw_walks

WIDTH, TOKENS = 24, 4e5  # the useful region: models that can hold the graph, on at least 400 updates
SEEDS = ("seed", "data_seed")


def main() -> None:
    runs = sf.load("er_small")
    best = runs.best(over="lr", mean=SEEDS)
    useful = best.where(f"width >= {WIDTH}", f"tokens >= {TOKENS}")
    tables = {
        "SWEEP": "\n".join(sweep(runs)), "EXCESS": "\n".join(excesses(best)), "RATES": "\n".join(rates(best)),
        "DATA": "\n".join(curves(runs, best, "tokens", "params")),
        "MODELS": "\n".join(curves(runs, best, "params", "tokens")),
        "SURFACES": "\n".join(surfaces(best, useful)), "OPTIMAL": "\n".join(optimal(best, useful)),
        "COUNTING": "\n".join(counting(best)), **beside(best, useful),
    }  # fmt: skip
    stops = ladder.stops()
    climbed = sf.entropy_ladder(stops, resamples=ladder.RESAMPLES)
    tables |= {
        "LADDER_SWEEP": "\n".join(ladder.sweep()), "LADDER": "\n".join(ladder.rungs(climbed)),
        "LADDER_LOSSES": "\n".join(ladder.losses(stops)), "LADDER_KNOWN": "\n".join(ladder.known(stops)),
        "LADDER_SURFACES": "\n".join(ladder.surfaces(stops)),
        "LADDER_EDGES": ladder.at_edges(stops), "DIAL_HOURS": dials.hours(),
        **{f"DIAL_{column.upper()}": "\n".join(dials.rows(column)) for column in dials.DIALS},
        "LADDER_NOTES": "\n".join(f"- {said}" for said in (*climbed.notes, *climbed.doubts)),
    }  # fmt: skip
    ladder.draw(climbed, ROOT / "docs" / "images")
    draw_walks(best, ROOT / "docs" / "images")[1].unlink()
    page = (ROOT / "benchmarks" / "results.md.in").read_text(encoding="utf-8")
    for name, lines in tables.items():
        page = page.replace(f"@{name}@", lines)
    (ROOT / "docs" / "results.md").write_text(page, encoding="utf-8")
    print(page)


def sweep(runs: sf.LossTable) -> Iterator[str]:
    frame = runs.to_frame()
    one = frame.iloc[0]
    yield "| | |"
    yield "|---|---|"
    yield f"| runs | {len(frame)}, of {frame.groupby(['width', 'tokens']).ngroups} models and data sizes |"
    yield f"| processor time of the updates | {frame['cpu_seconds'].sum() / 3600:.2f} hours on one thread |"
    yield f"| machine | {one['device']}, torch {one['torch']}, scaletrain {one['scaletrain']} |"
    yield f"| graph | {one['dataset']}, entropy floor {one['loss_floor']:.5f} nats per token |"


def excesses(best: sf.LossTable) -> Iterator[str]:
    def cell(one: Any) -> str:
        excess = one.loss - one.loss_floor
        return f"{excess:.4f} ({100 * one.loss_sd / excess:.0f} %)"

    return by_width(best, cell, "updates", lambda one: str(one.steps))


def rates(best: sf.LossTable) -> Iterator[str]:
    return by_width(best, lambda one: f"{np.log2(one.lr):.2f}{' (edge)' if one.at_edge else ''}")


def by_width(
    best: sf.LossTable, cell: Callable[[Any], str], heading: str = "", beside: Callable[[Any], str] | None = None
) -> Iterator[str]:
    """A row per number of tokens, a column per width; beside the tokens what the runs of a row share."""
    frame = best.to_frame()
    widths = sorted(frame["width"].unique())
    shared = [heading] if beside else []
    yield f"| {' | '.join(['tokens', *shared, *(f'width {width}' for width in widths)])} |"
    yield "|---" * (1 + len(shared) + len(widths)) + "|"
    for tokens, rows in frame.groupby("tokens"):
        runs = list(rows.itertuples())
        cells = {one.width: cell(one) for one in runs}
        words = [f"{tokens:.3g}", *([beside(runs[0])] if beside else []), *(cells.get(width, "") for width in widths)]
        yield f"| {' | '.join(words)} |"


def curves(runs: sf.LossTable, best: sf.LossTable, along: str, at: str) -> Iterator[str]:
    """A row per slice: power laws with E free and at the floor, intervals, local slopes, the exponential beside."""
    floor = float(best["loss_floor"][0])
    single = at_best_rate(runs, best)
    free = sf.fit_curves(sf.PowerLaw, best, along=along, at=at)
    ratios = free.against(sf.fit_curves(sf.Exponential, best, along=along, at=at))["ratio"]
    yield (
        f"| {at} | rows | exponent, E free | 95 % | E - floor | exponent, E at the floor | 95 % | local slopes of "
        "loss - floor | MSE exp/power | warned of |"
    )
    yield "|---" * 10 + "|"
    for value, fit, ratio in zip(free.values, free, ratios, strict=True):
        rows = single.where(np.isclose(single[at], value, rtol=1e-6))
        at_floor = sf.LawRegressor(sf.PowerLaw, fixed={"E": floor})
        cells, warned = [], []
        for name, model in (("E free", sf.PowerLaw), ("E at the floor", at_floor)):
            boot = sf.bootstrap(sf.fit(model, rows, inputs=along))
            interval = boot.interval("alpha")
            cells += [f"{boot.estimate('alpha'):.2f}", ends(interval)]
            means = sf.fit(model, fit.table, inputs=along)
            warned += [name] if any("local slopes" in remark for remark in means.remarks) else []
        slopes = ", ".join(f"{slope:.2f}" for slope in excess_slopes(fit.table, along)["slope"])
        yield (
            f"| {value:.3g} | {len(rows)} | {cells[0]} | {cells[1]} | {fit.law.E - floor:.4f} | {cells[2]} | "
            f"{cells[3]} | {slopes} | {ratio:.2g} | {', '.join(warned)} |"
        )


def at_best_rate(runs: sf.LossTable, best: sf.LossTable) -> sf.LossTable:
    """Runs of both pairs of seeds at the learning rate whose mean is best."""
    keys = ["params", "tokens", "lr"]
    kept = runs.to_frame().merge(best.to_frame()[keys], on=keys)
    return sf.LossTable.from_frame(kept)


def ends(interval: sf.Interval) -> str:
    return "refused" if interval.refused else f"{interval.low:.2f} to {interval.high:.2f}"


def excess_slopes(table: sf.LossTable, along: str) -> pd.DataFrame:
    noise = table["loss_sd"] / np.sqrt(table["replicates"])
    return sf.local_slopes(table[along], table.loss, offset=float(table["loss_floor"][0]), noise=noise)


def surfaces(best: sf.LossTable, useful: sf.LossTable) -> Iterator[str]:
    yield "| rows | model | verdict | alpha | beta | E - floor | held-out error, share of the excess |"
    yield "|---|---|---|---|---|---|---|"
    floor = float(best["loss_floor"][0])
    models: dict[str, Any] = {
        "Chinchilla": sf.Chinchilla,
        "Chinchilla, E at the floor": sf.LawRegressor(sf.Chinchilla, fixed={"E": floor}),
        "ANOVA kernel ridge": sf.AnovaKernelRidge(),
    }
    for name, table in (("all", best), ("useful", useful)):
        for label, model in models.items():
            fit = sf.fit(model, table)
            law = fit.parameters
            numbers = (
                [f"{law[key]:.2f}" for key in ("alpha", "beta")] + [f"{law['E'] - floor:.4f}"] if law else ["", "", ""]
            )
            yield (
                f"| {name}, {len(table)} | {label} | {'ok' if fit.ok else fit.status.name} | {' | '.join(numbers)} | "
                f"{held_out(model, table, floor):.0%} |"
            )


def held_out(model: Any, table: sf.LossTable, floor: float) -> float:
    """Median error over runs that were left out one by one, as a share of their excess."""
    errors = []
    for row in range(len(table)):
        rest = table.where(np.arange(len(table)) != row)
        fit = sf.fit(model, rest)
        loss = float(fit(params=table.params[row], tokens=table.tokens[row], extrapolate=True))
        errors.append(abs(loss - table.loss[row]) / (table.loss[row] - floor))
    return float(np.median(errors))


def optimal(best: sf.LossTable, useful: sf.LossTable) -> Iterator[str]:
    yield "| rows | counted as N | route | a (params ~ C^a) | b (tokens ~ C^b) | budgets |"
    yield "|---|---|---|---|---|---|"
    floor = float(best["loss_floor"][0])
    for rows, table in (("all", best), ("useful", useful)):
        for counted, column, cost in (
            ("all parameters", "params", "flops_6nd"),
            ("without embeddings", "params_nonembed", "flops_6nd_nonembed"),
        ):
            frame = table.to_frame()
            frame = frame.assign(params=frame[column], flops=frame[cost])
            runs = sf.LossTable.from_frame(frame[["params", "tokens", "flops", "loss", "loss_floor"]])
            budgets = np.geomspace(runs.flops.min() * 2, runs.flops.max() / 2, 9)
            for route, model in (
                ("Chinchilla, E at the floor", sf.LawRegressor(sf.Chinchilla, fixed={"E": floor})),
                ("ANOVA kernel ridge", sf.AnovaKernelRidge()),
            ):
                try:
                    found = sf.compute_optimal(sf.fit(model, runs), budgets).exponents()
                    yield f"| {rows} | {counted} | {route} | {found.a:.2f} | {found.b:.2f} | {found.budgets} of 9 |"
                except ValueError as error:
                    yield f"| {rows} | {counted} | {route} | none | | {error} |"


def beside(best: sf.LossTable, useful: sf.LossTable) -> dict[str, str]:
    """Exponents for the row beside the paper's: of data in the useful part, of models over all."""
    at_floor = sf.LawRegressor(sf.PowerLaw, fixed={"E": float(best["loss_floor"][0])})
    data = [sf.fit(at_floor, useful.where(f"width == {width}"), inputs="tokens") for width in (24, 32, 48, 64)]
    exponents = np.array([fit.law.alpha for fit in data])
    last = [f"{fit.local_slopes['slope'].iloc[-1]:.2f}" for fit in data]
    models = sf.fit_curves(sf.PowerLaw, best, along="params", at="tokens").array("alpha", ok_only=False)
    return {
        "BETA": f"{exponents.mean():.2f} +- {exponents.std(ddof=1):.2f} over widths 24 to 64, useful part, E at the "
        f"floor; last octave {', '.join(last)}",
        "ALPHA": f"{models.min():.1f} to {models.max():.1f}, by the number of tokens",
    }


def counting(best: sf.LossTable) -> Iterator[str]:
    def of_counting(one: Any) -> float:
        return float(one.loss_counting - one.loss_floor)

    return by_width(
        best, lambda one: f"{(one.loss - one.loss_floor) / of_counting(one):.1f}", "counting",
        lambda one: f"{of_counting(one):.5f}",
    )  # fmt: skip


if __name__ == "__main__":
    with warnings.catch_warnings():
        main()
