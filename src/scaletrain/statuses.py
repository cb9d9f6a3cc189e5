"""Where the packs of a ledger are: waiting, running, done or failed, as the names of their work folders say."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from .claimants import BETWEEN, RUNNING, Claimant
from .claiming import DONE, FAILED, MESSAGE, WAITING

LOOKS = 50  # at a folder that is being renamed

State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class PackStatus:
    """Where a pack is.

    Attributes
    ----------
    id : str
    state : {"waiting", "running", "done", "failed"}
        A pack whose worker is known to be dead is waiting.
    worker, host : str
        Who runs it.
    since, heard : float, seconds since 1970
        When it was claimed by the clock of its host, and last heard of by that of the file server.
    message : str
        Why it failed.
    """

    id: str
    state: State
    worker: str = ""
    host: str = ""
    since: float = float("nan")
    heard: float = float("nan")
    message: str = ""


@dataclass(frozen=True)
class Status:
    """Where every pack of a ledger is, in its order.

    Examples
    --------
    >>> Status((PackStatus("a", "done"), PackStatus("b", "waiting"))).counts
    {'waiting': 1, 'running': 0, 'done': 1, 'failed': 0}
    """

    packs: tuple[PackStatus, ...]

    @property
    def counts(self) -> dict[State, int]:
        """Packs in each state."""
        return {state: sum(pack.state == state for pack in self.packs) for state in get_args(State)}


def work_folders(container: Path) -> list[Path]:
    """Work folders of a pack: one, or another number while it is being renamed."""
    names = os.listdir(container)
    return [container / name for name in names if name.split(BETWEEN)[0] in (WAITING, RUNNING, DONE, FAILED)]


def status_of(container: Path) -> PackStatus:
    """Status of a pack.

    Raises
    ------
    ValueError
        If it has no work folder, or two: somebody moved things by hand.
    """
    for look in range(LOOKS):
        folders = work_folders(container)
        if any(folder.name == DONE for folder in folders):  # nothing beside it counts
            return PackStatus(container.name, "done")
        if len(folders) == 1:
            with suppress(FileNotFoundError):  # renamed since
                return _by_name(container.name, folders[0])
        time.sleep(0.01 if look else 0)
    raise ValueError(
        f"{container} must have one of the folders {WAITING}, {RUNNING}..., {DONE} and {FAILED}, but has "
        f"{', '.join(folder.name for folder in folders) or 'none'}. Make an empty {WAITING}, or keep one of them."
    )


def _by_name(pack_id: str, folder: Path) -> PackStatus:
    """Status by the name of a work folder.

    Raises
    ------
    FileNotFoundError
        If it has that name no more.
    """
    heard = folder.stat().st_mtime
    if folder.name == WAITING:
        return PackStatus(pack_id, "waiting")
    if folder.name == FAILED:
        path = folder / MESSAGE
        return PackStatus(pack_id, "failed", message=path.read_text(encoding="utf-8") if path.exists() else "")
    by = Claimant.of_name(folder.name)
    if by.is_dead:
        return PackStatus(pack_id, "waiting")
    return PackStatus(pack_id, "running", worker=by.worker, host=by.host, since=by.since, heard=heard)
