"""Tables of the entropy ladder, for `benchmarks/results.py`: from `sf.load("ladder")`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import scalefit as sf

#: Data sets from simple to complex: what they are called here, by their `source` and the layers of a teacher.
STOPS = ("bigrams", "T1L", "T2L", "text")
RESAMPLES = 1000


def stops() -> dict[str, sf.LossTable]:
    """Runs of each data set at its best learning rates."""
    runs = sf.load("ladder")
    depth = np.nan_to_num(runs["teacher_depth"].astype(float))
    chosen = {
        "bigrams": runs["source"] == "ngrams", "T1L": depth == 1, "T2L": depth == 2, "text": runs["source"] == "text",
    }  # fmt: skip
    return {name: runs.where(chosen[name]).best(over="lr") for name in STOPS}


def sweep() -> Iterator[str]:
    """What was trained."""
    frame = sf.load("ladder").to_frame()
    yield "| data | runs | tokens of the vocabulary | test tokens | standard error of a loss | hours of one thread |"
    yield "|---|---|---|---|---|---|"
    for name, rows in frame.groupby("dataset", sort=False):
        hours = (rows["cpu_seconds"] / rows["replicas"]).sum() / 3600
        yield (
            f"| {name} | {len(rows)} | {rows['vocabulary'].iloc[0]} | {rows['test_tokens'].iloc[0]:,} | "
            f"{rows['loss_se'].median():.4f} | {hours:.2f} |"
        )


def losses(tables: dict[str, sf.LossTable]) -> Iterator[str]:
    """Loss of each data set by model and tokens."""
    widths = sorted(set(tables["text"]["width"]))
    yield f"| data | tokens | {' | '.join(f'width {width}' for width in widths)} |"
    yield "|---|---|" + "---|" * len(widths)
    for name, table in tables.items():
        frame = table.to_frame()
        for tokens, rows in frame.groupby("tokens"):
            cells = {one.width: f"{one.loss:.3f}{' (edge)' if one.at_edge else ''}" for one in rows.itertuples()}
            yield f"| {name} | {tokens:.3g} | {' | '.join(cells[width] for width in widths)} |"


def at_edges(tables: dict[str, sf.LossTable]) -> str:
    """How many cells have their best learning rate at an edge."""
    cells = np.concatenate([table["at_edge"] for table in tables.values()])
    return f"{cells.sum()} of {len(cells)}"


def rungs(ladder: sf.EntropyLadder) -> Iterator[str]:
    """A row per data set: entropy proxy, exact floor, exponents."""
    yield "| data | exact floor | smallest E | 95 % | alpha_D | 95 % | slices | beta_N | 95 % | slices |"
    yield "|---" * 10 + "|"
    for rung in ladder:
        exact = "unknown" if np.isnan(rung.floor) else f"{rung.floor:.3f}"
        row = [rung.name, exact, f"{rung.entropy.estimate:.2f}", ends(rung.entropy)]
        for interval, along in ((rung.alpha, "params"), (rung.beta, "tokens")):
            good, total = rung.slices(along)
            row += [f"{interval.estimate:.2f} +- {rung.sd(along):.2f}", ends(interval), f"{good} of {total}"]
        yield f"| {' | '.join(row)} |"


def known(tables: dict[str, sf.LossTable]) -> Iterator[str]:
    """Exponents with E held at the floor, where it is known: means over slices."""
    yield "| data | alpha_D, E at the floor | beta_N, E at the floor | local slopes of L(D) - floor, largest model |"
    yield "|---|---|---|---|"
    for name, table in tables.items():
        floor = float(table["loss_floor"].astype(float)[0])
        if np.isnan(floor):
            continue
        model, cells = sf.LawRegressor(sf.PowerLaw, fixed={"E": floor}), []
        for along, at in (("params", "tokens"), ("tokens", "params")):
            exponents = sf.fit_curves(model, table, along=along, at=at).array("alpha", ok_only=False)
            cells.append(f"{exponents.mean():.2f}, from {exponents.min():.2f} to {exponents.max():.2f}")
        largest = table.where(table["width"] == table["width"].max())
        slopes = sf.local_slopes(largest.tokens, largest.loss, offset=floor)["slope"]
        yield f"| {name} | {cells[0]} | {cells[1]} | {', '.join(f'{slope:.2f}' for slope in slopes)} |"


def surfaces(tables: dict[str, sf.LossTable]) -> Iterator[str]:
    """Chinchilla's law of each data set, E free."""
    yield "| data | verdict | E | alpha | beta |"
    yield "|---|---|---|---|---|"
    for name, table in tables.items():
        fit = sf.fit(sf.Chinchilla, table)
        law = fit.parameters
        verdict = "ok" if fit.ok else fit.status.name
        yield f"| {name} | {verdict} | {law['E']:.2f} | {law['alpha']:.2f} | {law['beta']:.2f} |"


def ends(interval: sf.Interval) -> str:
    return "refused" if interval.refused else f"{interval.low:.2f} to {interval.high:.2f}"


def draw(ladder: sf.EntropyLadder, folder: Path) -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(5.0, 3.4), layout="constrained")
    sf.plot_ladder(ladder, ax=ax)
    figure.savefig(folder / "ladder.png", dpi=160)
    plt.close(figure)
