"""What is shown of a sweep: its plan, where it stands, the losses that it has found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.table import Table

from scalefit.terminal import duration, facts, visible

from .learning_rates import at_an_edge, best_rate, score

if TYPE_CHECKING:
    from .jobs import Cell
    from .ledger import Ledger
    from .planning import Plan
    from .sweeps import Found, Sweep

EDGE = "at an edge"
TITLES = {"excess": "excess loss, nats per token", "loss": "loss, nats per token"}
SHOWN = 5  # packs or cells of a kind that are listed


def standing(sweep: Sweep, found: Found, ledger: Ledger) -> tuple[bool, list[Any]]:
    """Whether every cell is complete and nothing failed or is left; and what to show of it."""
    status = ledger.status()
    settled = [cell for cell in sweep.cells if sweep.is_settled(cell, found)]
    failed = [one for one in status.packs if one.state == "failed"]
    over = not status.counts["waiting"] and not status.counts["running"]
    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items())
    words = [("packs", counts), ("cells", f"{len(settled)} of {len(sweep.cells)} complete")]
    words += [("failed", f"{one.id}: {one.message}") for one in failed[:SHOWN]]
    if failed:
        blocked = len(sweep.cells) - len(settled)
        words.append(("", f"{blocked} cells are not complete. Try them again: scaletrain retry {ledger.folder}"))
    if status.counts["waiting"] and not status.counts["running"]:
        words.append(("", f"nobody works on them. Go on with: scaletrain work {ledger.folder}"))
    edges = [cell for cell in settled if _note(sweep, cell, found) == EDGE]
    if edges:
        which = ", ".join(_told(sweep, one) for one in edges[:SHOWN])
        words.append(("at an edge", f"the best learning rate of {len(edges)} of the cells, such as {which}"))
        words.append(("", f"Extend them: scaletrain refine {ledger.folder}"))
    shown: list[Any] = [facts(words)]
    if found:
        shown.append(losses(sweep, found))
    return over and len(settled) == len(sweep.cells) and not failed, shown


def losses(sweep: Sweep, found: Found) -> Table:
    """Cells that have a loss: mean excess loss over seeds, geometric, at the best learning rate; of text the loss."""
    from .sweeps import cost  # loads torch

    above = "excess" if all(one.has_floor for one in sweep.sources.values()) else "loss"
    table = Table(box=None, pad_edge=False, padding=(0, 2), title=TITLES[above], title_justify="left")
    names = ["data"] * (len(sweep.sources) > 1) + ["width", *_differing(sweep), "tokens", "lr", above]
    for name in names:
        table.add_column(name, justify="right")
    table.add_column()
    data = list(sweep.sources)
    for cell in sorted(
        (one for one in sweep.cells if one in found),
        key=lambda one: (data.index(one.digest), one.shape.params, cost(one), str(one)),
    ):
        lr = best_rate(found[cell])
        value = score(found[cell][lr])
        row = {
            **vars(cell.shape), **vars(cell.recipe), "data": sweep.sources[cell.digest].name, "lr": f"{lr:.4g}",
            "tokens": f"{cell.recipe.steps * cell.recipe.batch * cell.shape.context:,}",
            above: f"{math.exp(value):#.4g}" if math.isfinite(value) else "diverged",
        }  # fmt: skip
        table.add_row(*(visible(row[name]) for name in names), _note(sweep, cell, found))
    return table


def planned(sweep: Sweep, plan: Plan, *, workers: int) -> list[Any]:
    """What a sweep will take."""
    about = "about " if sweep.search else ""
    words = [
        *(("" if number else "data", one.words) for number, one in enumerate(sweep.sources.values())),
        ("cells", f"{len(sweep.cells)}, pairs of seeds of each: {len(sweep.seeds)}"),
        ("packs", f"{about}{plan.packs:.0f}"), ("FLOPs, 6 N D", f"{about}{plan.flops:.3g}"),
    ]  # fmt: skip
    if not math.isnan(plan.memory):
        words.append(("memory", f"{plan.memory / 2**20:.0f} MiB a worker"))
    ending = "s" if workers > 1 else ""
    on = f"{workers} idle core{ending} or GPU{ending} like this one"
    words.append(("time", f"{about}{duration(plan.seconds / workers)} with {on}"))
    if sweep.search:
        rates = plan.cells[0].runs / len(sweep.seeds)
        words.append(("", f"a search decides on the way: {rates:g} learning rates a cell are assumed"))
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for name in ("width", "depth", "params", "cells", "steps", "ms/step", "packs", "FLOPs", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in plan.shapes():
        table.add_row(
            str(row["width"]), str(row["depth"]), f"{row['params']:,}", str(row["cells"]),
            f"{row['least_steps']:,}-{row['most_steps']:,}", f"{row['ms_per_step']:.3g}", f"{row['packs']:.0f}",
            f"{row['flops']:.3g}", duration(row["seconds"]),
        )  # fmt: skip
    return [facts(words), table]


def _note(sweep: Sweep, cell: Cell, found: Found) -> str:
    """What to know of the best learning rate of a cell; of two that were tried, neither is inside."""
    if not sweep.is_settled(cell, found):
        return "not complete"
    return EDGE if len(found[cell]) > 2 and at_an_edge(found[cell]) else ""


def _told(sweep: Sweep, cell: Cell) -> str:
    """A cell in words."""
    words = f"width {cell.shape.width} at {cell.recipe.steps} steps"
    return f"{words} of {sweep.sources[cell.digest].name}" if len(sweep.sources) > 1 else words


def _differing(sweep: Sweep) -> list[str]:
    """Entries beside width and steps in which cells differ."""

    def entries(cell: Cell) -> dict[str, Any]:
        return {**vars(cell.shape), **vars(cell.recipe)}

    first = entries(sweep.cells[0])
    others = [entries(cell) for cell in sweep.cells]
    return [
        name for name in first if name not in ("width", "steps") and any(one[name] != first[name] for one in others)
    ]
