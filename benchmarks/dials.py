"""Two dials of one corpus, for the page of results: from bigrams to trigrams, and bigrams of tokens further apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import scalefit as sf

DIALS = {"mixture": 3, "skip": 2}  # column that is turned, and n of the n-grams


def settings(column: str) -> dict[float, sf.LossTable]:
    """Runs at each setting of a dial, at their best learning rates."""
    runs = sf.load("dials")
    own = runs.where(runs["order"].astype(float) == DIALS[column])
    turned = own[column].astype(float)
    return {float(value): own.where(turned == value).best(over="lr") for value in np.unique(turned)}


def rows(column: str) -> Iterator[str]:
    """A row per setting: entropy floor, excess of the largest model, local exponents of the excess along both axes."""
    yield f"| {column} | entropy floor | lowest excess | slopes along tokens, widest | along parameters, most tokens |"
    yield "|---|---|---|---|---|"
    for value, table in settings(column).items():
        floor = float(table["loss_floor"][0])
        largest, longest = (table.where(table[name] == table[name].max()) for name in ("params", "tokens"))
        slopes = [
            ", ".join(f"{slope:.2f}" for slope in sf.local_slopes(part[along], part.loss, offset=floor)["slope"])
            for along, part in (("tokens", largest), ("params", longest))
        ]
        excess = float(table.loss.min()) - floor
        yield f"| {value:g} | {floor:.3f} | {excess:.3f} | {slopes[0]} | {slopes[1]} |"


def hours() -> str:
    """Of one thread."""
    frame = sf.load("dials").to_frame()
    return f"{(frame['cpu_seconds'] / frame['replicas']).sum() / 3600:.1f}"
