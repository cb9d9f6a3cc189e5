"""How far a sweep is: packs, updates and FLOPs that are done, how fast, how much longer."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from scalefit.terminal import duration

from .jobs import Cell
from .ledger import PACKS, Ledger
from .statuses import State, work_folders
from .sweeps import cost, work_of
from .working import STEP

STEADY, SPAN = 5.0, 120.0  # seconds that a speed is measured over, at least and at most


@dataclass(frozen=True)
class Snapshot:
    """Where a sweep is now.

    Attributes
    ----------
    at : float, seconds
        Of a clock that only rises.
    counts : dict
        Packs in each state.
    steps : float
        Updates that are done, times replicas.
    flops, all_flops : float
        6 N D of what is done, and of all packs that are known.
    """

    at: float
    counts: dict[State, int]
    steps: float
    flops: float
    all_flops: float

    def since(self, first: Snapshot, *, search: bool = False) -> str:
        """In words, with the speed since an earlier look; a search adds packs on the way.

        Examples
        --------
        >>> first = Snapshot(0.0, {"waiting": 1, "running": 1, "done": 0, "failed": 0}, 0.0, 0.0, 2e9)
        >>> Snapshot(9.0, {"waiting": 0, "running": 1, "done": 1, "failed": 0}, 900.0, 1e9, 2e9).since(first)
        '1 of 2 packs done, 1 running, 100 replica-steps/s, 9 s left'
        """
        failed = f", {self.counts['failed']} failed" if self.counts["failed"] else ""
        all_packs = f"{sum(self.counts.values())}{'+' if search else ''}"
        words = f"{self.counts['done']} of {all_packs} packs done, {self.counts['running']} running{failed}"
        seconds, made = self.at - first.at, self.flops - first.flops
        if seconds < STEADY or made <= 0:
            return words
        left = ("at least " if search else "") + duration(seconds * (self.all_flops - self.flops) / made)
        return f"{words}, {(self.steps - first.steps) / seconds:.3g} replica-steps/s, {left} left"


class Watch:
    """Looks at a ledger now and then.

    Parameters
    ----------
    ledger : Ledger
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._sizes: dict[str, tuple[int, int, float]] = {}  # steps, replicas, FLOPs of the pack

    def look(self) -> Snapshot:
        """Where the sweep is now."""
        for name, description in self.ledger.packs.items():
            if name not in self._sizes:
                digest, pack = work_of(description)
                flops = len(pack.replicas) * cost(Cell(digest, pack.shape, pack.recipe))
                self._sizes[name] = pack.recipe.steps, len(pack.replicas), flops
        status, steps, flops = self.ledger.status(), 0.0, 0.0
        for one in status.packs:
            all_steps, replicas, all_flops = self._sizes[one.id]
            share = 1.0 if one.state == "done" else self.step(one.id) / all_steps if one.state == "running" else 0.0
            steps, flops = steps + share * all_steps * replicas, flops + share * all_flops
        known = sum(self._sizes[one.id][2] for one in status.packs if one.state != "failed")
        return Snapshot(time.monotonic(), status.counts, steps, flops, known)

    def step(self, pack: str) -> int:
        """Updates of a running pack, as its worker noted them last."""
        for folder in work_folders(self.ledger.folder / PACKS / pack):
            with suppress(OSError, ValueError):
                return int((folder / STEP).read_text(encoding="utf-8"))
        return 0
