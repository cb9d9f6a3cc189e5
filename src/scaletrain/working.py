"""A sweep in a folder: how it begins, and what any number of workers do until nothing is left."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalefit.writing import write_whole

from .checkpoints import made_by
from .claiming import Claim, LostClaimError
from .config import Replica
from .jobs import Cell, Job, Tables, kind_of
from .ledger import PACKS, Ledger
from .running import CHECKPOINT, RUNS, run
from .statements import DATA, STATEMENT, placed, read_statement, unplaced
from .sweeps import Found, Sweep, Work, described, sweep_of, work_of
from .training import usable

STEP = "step"
PAUSE = 1.0  # seconds between looks at what other workers do, and between notes of the step
STACKS = {"cpu": 1, "cuda": 48}  # replicas of a pack: on a CPU a stack gains nothing; on a GPU our choice
SHARED = 8  # at least, of those that share what a teacher writes: that may cost more than to train on it
IN_A_ROW = 3  # packs that fail one after another before a worker ends: it may be the device and not the packs


@dataclass(frozen=True)
class Worked:
    """What one worker did.

    Attributes
    ----------
    done, failed, lost : int
        Packs: finished, raised, taken over by others.
    """

    done: int
    failed: int
    lost: int


@dataclass(frozen=True)
class Worker:
    """A worker, to be called in a process of its own on any machine that sees the folder.

    Attributes
    ----------
    folder : str
        Of a sweep that was started.
    name : str
        For `scaletrain status`.
    device : str
        Of torch.
    parent : int
        Process without which the worker saves, gives its pack back and ends; 0 for none.
    """

    folder: str
    name: str
    device: str = "cpu"
    parent: int = 0

    def __call__(self, *, note: Callable[[str], None] | None = None) -> Worked:
        """Train packs until the sweep needs no more, or fails."""
        import torch

        torch.set_num_threads(1)  # several are slow where other processes use the cores
        usable(self.device)
        sweep, stack = resumed(Path(self.folder))
        ledger = Ledger.open(self.folder)
        return work(sweep, ledger, worker=self.name, stack=stack, device=self.device, pulse=self._pulse, note=note)

    def _pulse(self) -> None:
        if self.parent and os.getppid() != self.parent:
            raise KeyboardInterrupt


@dataclass
class Finished:
    """Excess losses, of text losses, of the packs of a ledger that are done; each file is read once."""

    ledger: Ledger
    _runs: dict[str, list[tuple[Cell, Replica, float]]] = field(default_factory=dict)

    def look(self) -> bool:
        """Whether there are more than at the last look."""
        new = [path for path in self.ledger.collect(RUNS) if path.parents[1].name not in self._runs]
        packs = self.ledger.packs if new else {}
        for path in new:
            digest, pack = work_of(packs[path.parents[1].name])
            with open(path, encoding="utf-8", newline="") as file:  # as text: a float of pandas may lose a digit
                # text has no floor to be above
                rows = [(row["run"], row["excess"] or row["loss"]) for row in csv.DictReader(file)]
            self._runs[path.parents[1].name] = [
                (
                    Cell(digest, pack.shape, pack.recipe),
                    pack.replicas[int(run.rpartition("-")[2])],
                    float(excess or "nan"),
                )
                for run, excess in rows
            ]
        return bool(new)

    def found(self, seeds: tuple[tuple[int, int], ...]) -> Found:
        """Excess losses by cell and learning rate, of those rates for which every pair of seeds is there."""
        by_rate: dict[tuple[Cell, float], dict[tuple[int, int], float]] = {}
        for cell, one, excess in (row for rows in self._runs.values() for row in rows):
            by_rate.setdefault((cell, one.lr), {})[one.seed, one.data_seed] = excess
        found: dict[Cell, dict[float, list[float]]] = {}
        for (cell, lr), made in by_rate.items():
            if all(pair in made for pair in seeds):
                found.setdefault(cell, {})[lr] = [made[pair] for pair in seeds]
        return found


def start(content: Tables, path: Path, folder: Path, *, stack: int | None = None, device: str = "cpu") -> Sweep:
    """Sweep of the tables of a file, with a ledger in a folder; one that is there goes on, also with data that moved.

    Parameters
    ----------
    content : dict
        Tables of the file.
    path : path
        Of the file, for messages and for what the data name beside it.
    folder : path
        Of the ledger. A graph or a teacher, which are files, are copied there, where workers on other machines find
        them; a corpus is not: they must find it under the same path.
    stack : int, optional
        Replicas of a pack at most: those of the sweep that is there, else `usual_stack`.
    device : str
        Of the workers; it need not be here.

    Raises
    ------
    ValueError
        If another sweep is in the folder, or this one with another stack, or of another version of scaletrain.
    OSError
        If the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> from scaletrain.sweep_tables import collect
    >>> tables = {
    ...     "graph": {"kind": "erdos_renyi", "nodes": 30, "edges": 90}, "model": {"width": [16, 32], "length": 9},
    ...     "recipe": {"steps": 5, "batch": 4}, "replicas": {"lr": 0.01},
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sweep = start(tables, Path("sweep.toml"), Path(folder))
    ...     ledger = Ledger.open(folder)
    ...     worked = work(sweep, ledger, worker="laptop")
    ...     runs, curves = collect(ledger)
    >>> worked.done, runs["width"].tolist()
    (2, [16, 32])
    """
    sweep, kind = sweep_of(content, path), kind_of(content)
    entries, files = placed(sweep, content[kind])
    statement: dict[str, Any] = {**content, kind: entries, "digests": list(sweep.sources)}
    statement = json.loads(json.dumps(statement))
    if (folder / STATEMENT).exists():
        before = read_statement(folder)
        there = before.pop("stack")
        both = dict.fromkeys((*before, *statement))
        changed = [
            f"[{name}]" if name != "digests" else "data"
            for name in both if unplaced(before.get(name)) != unplaced(statement.get(name))
        ]  # fmt: skip
        if changed:
            raise ValueError(f"{folder} has another sweep, with other {', '.join(changed)}. Choose another folder.")
        if stack not in (None, there):
            raise ValueError(f"{folder} has this sweep in packs of {there}, not {stack}. Leave out --stack.")
        stack = there
    stack = stack or usual_stack(sweep, device)
    first = sweep.needs({}, stack=stack)
    _check_names(folder, first)
    try:
        (folder / DATA if files else folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{folder} cannot be a folder of a sweep ({reason}). Choose another with -o.") from error
    for file in files:
        write_whole(folder / DATA / file.name, file.read_bytes())
    write_whole(folder / STATEMENT, json.dumps({**statement, "stack": stack}, indent=1) + "\n")  # before any pack
    Ledger.create(folder, {name: described(one) for name, one in first.items()})
    return sweep


def usual_stack(sweep: Sweep, device: str) -> int:
    """Replicas of a pack at most, where nobody says.

    Examples
    --------
    >>> from scaletrain.sweeps import read_sweep
    >>> usual_stack(read_sweep("er_ci"), "cpu"), usual_stack(read_sweep("er_ci"), "cuda:1")
    (1, 48)
    """
    usual = STACKS.get(device.partition(":")[0], 1)
    teaches = any(source.columns.get("source") == "teacher" for source in sweep.sources.values())
    return max(usual, SHARED) if teaches else usual


def resumed(folder: Path) -> tuple[Sweep, int]:
    """Sweep of a folder, and its stack.

    Raises
    ------
    ValueError
        If there is none, its data come out as others here, or another version of scaletrain made it.
    """
    content = read_statement(folder)
    stack, digests = content.pop("stack"), content.pop("digests")
    sweep = sweep_of(content, folder / STATEMENT)
    if list(sweep.sources) != digests:
        raise ValueError(
            f"the data of {folder} are others here: a file or a corpus was changed, or another version of networkx "
            "draws the graph. Use what the sweep began with, or start it anew in another folder."
        )
    _check_names(folder, sweep.needs({}, stack=stack))
    return sweep, stack


def work(
    sweep: Sweep, ledger: Ledger, *, worker: str, stack: int = 1, device: str = "cpu",
    pulse: Callable[[], None] | None = None, note: Callable[[str], None] | None = None,
) -> Worked:  # fmt: skip
    """Train packs until the sweep needs no more; a pack that raises is recorded, and the others go on.

    Parameters
    ----------
    sweep : Sweep
    ledger : Ledger
    worker : str
        Name for `scaletrain status`.
    stack : int
        Replicas of a pack at most, the same for all workers.
    device : str
        Of torch.
    pulse : callable, optional
        Called after every update and while waiting; what it raises ends the work.
    note : callable, optional
        Called with a sentence on what went wrong.

    Raises
    ------
    ValueError
        If several packs fail one after another.
    OSError
        If the folder cannot be written to.
    """
    done = failed = lost = in_a_row = 0
    beat, tell, finished = pulse or (lambda: None), note or (lambda words: None), Finished(ledger)
    while True:
        if finished.look():
            extend(sweep, finished, stack=stack)
        claim = ledger.claim(worker)
        if claim is None:
            counts = ledger.status().counts
            if counts["running"] or counts["waiting"]:
                beat()
                time.sleep(PAUSE)
            elif finished.look():  # what it asks for another worker may have added already: look again
                extend(sweep, finished, stack=stack)
            else:
                return Worked(done, failed, lost)
            continue
        try:
            _train(sweep, claim, device, beat)
            done, in_a_row = done + 1, 0
        except LostClaimError as error:
            lost += 1
            tell(str(error))
        except OSError:  # of this machine, not of the pack
            raise
        except Exception as error:  # the ledger has its words
            failed, in_a_row = failed + 1, in_a_row + 1
            tell(f"pack {claim.id} failed: {error}")
            if in_a_row == IN_A_ROW:
                raise ValueError(f"{in_a_row} packs in a row failed, the last one since {error}") from error


def extend(sweep: Sweep, finished: Finished, *, stack: int) -> int:
    """Add the packs that the finished ones ask for; how many there were."""
    if not sweep.search:
        return 0
    return _add(finished.ledger, sweep.needs(finished.found(sweep.seeds), stack=stack))


def refine(sweep: Sweep, ledger: Ledger, *, stack: int) -> int:
    """Add packs at the learning rates that finished cells lack, beyond an edge or between two; how many there were."""
    finished = Finished(ledger)
    finished.look()
    return _add(ledger, sweep.refinements(finished.found(sweep.seeds), stack=stack))


def _add(ledger: Ledger, packs: dict[str, Work]) -> int:
    """Add those of the packs that the ledger does not know."""
    known = ledger.packs
    new = {name: described(one) for name, one in packs.items() if name not in known}
    if new:
        Ledger.create(ledger.folder, new, stale=ledger.stale)
    return len(new)


def _check_names(folder: Path, first: dict[str, Work]) -> None:
    """Refuse packs that have other names here: they would be trained again, beside those that are there."""
    known = [path.name for path in (folder / PACKS).glob("[!.]*")]
    if known and not any(name in known for name in first):
        raise ValueError(
            f"the {len(known)} packs of {folder} were made by another version of scaletrain, which names them "
            "otherwise. Use that version, or start the sweep anew in another folder."
        )


def _train(sweep: Sweep, claim: Claim, device: str, pulse: Callable[[], None]) -> None:
    """Train the pack of a claim in its folder."""
    (digest, pack), told = work_of(claim.pack), 0.0

    def advance(done: int, total: int) -> None:
        nonlocal told
        claim.beat()
        pulse()
        if time.monotonic() - told > PAUSE:
            write_whole(claim.folder / STEP, str(done))
            told = time.monotonic()

    with claim:
        _drop_torn(claim.folder / CHECKPOINT)
        run(Job(sweep.sources[digest], pack), claim.folder, device=device, progress=advance)
        folder = claim.done()
    for name in (CHECKPOINT, STEP):  # after the pack is done: until then the checkpoint is needed
        (folder / name).unlink(missing_ok=True)


def _drop_torn(checkpoint: Path) -> None:
    """Delete a checkpoint that a power cut has torn: the pack begins anew, where else it would fail for ever."""
    try:
        made_by(checkpoint)
    except FileNotFoundError:
        pass
    except ValueError:
        checkpoint.unlink()
