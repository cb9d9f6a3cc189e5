"""Ledger of a sweep: a folder of packs that any number of workers claim, do and settle, however often they die."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scalefit.writing import write_whole

from .claimants import RUNNING, Claimant
from .claiming import DONE, FAILED, MESSAGE, WAITING, Claim, flush, take
from .statuses import Status, status_of, work_folders

VERSION = 1
STALE = 180.0  # seconds: three times what an NFS client may remember of a folder
STATEMENT, PACKS, DESCRIPTION = "ledger.json", "packs", "pack.json"
SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 5.0  # seconds between looks at what others are doing


class Ledger:
    """Packs of work in a folder, opened by `create` or `open`.

    Every pack has one work folder, whose name is its state. Only renaming it changes the state, and of those who rename
    it at once one wins. No lock outlives a crash, since there is none.

    Attributes
    ----------
    folder : path
    stale : float, seconds
        A claim that gives no sign of life for so long, by the clock of whoever looks, may be taken over. All workers of
        a ledger must go by the same.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ledger = Ledger.create(folder, {"a": {"width": 16}, "b": {"width": 32}})
    ...     for claim in ledger.claims("laptop"):
    ...         with claim:
    ...             _ = (claim.folder / "runs.csv").write_text(f"width {claim.pack['width']}")
    ...     [path.read_text() for path in ledger.collect("runs.csv")]
    ['width 16', 'width 32']
    """

    def __init__(self, folder: str | os.PathLike[str], *, stale: float = STALE) -> None:
        if not stale > 0:
            raise ValueError(f"stale must be a positive number of seconds, not {stale!r}.")
        self.folder, self.stale = Path(folder), stale
        self._packs: dict[str, dict[str, Any]] = {}  # what pack.json says, which never changes
        self._done: set[str] = set()  # a pack that is done stays so
        self._heard: dict[Path, tuple[int, float]] = {}  # claim: sign of life, and when it was first seen

    @classmethod
    def create(
        cls, folder: str | os.PathLike[str], packs: Mapping[str, Mapping[str, Any]], *, stale: float = STALE
    ) -> Ledger:
        """Ledger of these packs, in this order; those that are there already stay as they are.

        A creation that was cut short leaves no ledger, or one that lacks packs: the same call makes it whole.

        Parameters
        ----------
        folder : path
            Made if it is not there.
        packs : mapping
            Description of each pack, as JSON allows, by an id that can be the name of a folder.
        stale : float, seconds
            As of `Ledger`.

        Raises
        ------
        ValueError
            If an id or a description is impossible, a pack is there with another description, or the ledger has another
            version.
        OSError
            If the folder cannot be written to.
        """
        ledger, written = cls(folder, stale=stale), _checked(packs)
        statement = ledger.folder / STATEMENT
        if statement.exists():
            _check_version(ledger.folder)
        try:
            (ledger.folder / PACKS).mkdir(parents=True, exist_ok=True)
            ledger._add(written)
            if not statement.exists():  # last: what has it is whole
                write_whole(statement, json.dumps({"scaletrain ledger": VERSION}) + "\n")
        except OSError as error:
            reason = getattr(error.__cause__ or error, "strerror", None) or error
            raise OSError(
                f"{folder} cannot hold the ledger ({reason}). Make room, or choose another folder."
            ) from error
        return ledger

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, stale: float = STALE) -> Ledger:
        """Ledger that is in a folder.

        Raises
        ------
        ValueError
            If there is none, or one of another version.
        """
        ledger = cls(folder, stale=stale)
        _check_version(ledger.folder)
        return ledger

    @property
    def packs(self) -> dict[str, dict[str, Any]]:
        """Descriptions by id, in the order of the ledger."""
        known = sorted(self._known().items(), key=lambda item: (item[1]["place"], item[0]))
        return {pack_id: entry["pack"] for pack_id, entry in known}

    def claim(self, worker: str) -> Claim | None:
        """First pack in order that nobody works on; None if there is none now.

        A pack is free if it waits, if the process that had it is dead, or if its claim has been silent for `stale`
        seconds since this ledger looked first.

        Parameters
        ----------
        worker : str
            Name for `status`: letters, digits, dots, dashes and underscores.

        Raises
        ------
        OSError
            If the ledger cannot be written to.
        """
        for pack_id, pack in self.packs.items():
            if pack_id in self._done:
                continue
            folders = work_folders(self.folder / PACKS / pack_id)
            if any(folder.name == DONE for folder in folders):
                self._done.add(pack_id)
                continue
            for folder in folders:
                if self._is_free(folder) and (mine := take(folder, worker)) is not None:
                    return Claim(pack_id, pack, mine, stale=self.stale)
        return None

    def claims(self, worker: str) -> Iterator[Claim]:
        """Packs for a worker until all are done or failed; it waits for those of others, who may die.

        Raises
        ------
        OSError
            As `claim`.
        """
        pause = SHORTEST_PAUSE
        while True:
            claim = self.claim(worker)
            if claim is not None:
                pause = SHORTEST_PAUSE
                yield claim
                continue
            counts = self.status().counts
            if not counts["waiting"] and not counts["running"]:
                return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE, self.stale / 4)

    def status(self) -> Status:
        """Where every pack is.

        Raises
        ------
        ValueError
            If a pack has lost its work folder, or has two: somebody moved things by hand.
        """
        return Status(tuple(status_of(self.folder / PACKS / pack_id) for pack_id in self.packs))

    def collect(self, name: str) -> list[Path]:
        """Files of this name of all packs that are done, in the order of the ledger.

        Raises
        ------
        ValueError
            If a pack that is done has no such file.
        """
        folders = [self.folder / PACKS / pack_id / DONE for pack_id in self.packs]
        paths = [folder / name for folder in folders if folder.is_dir()]
        missing = [path.parents[1].name for path in paths if not path.is_file()]
        if missing:
            raise ValueError(
                f"{len(missing)} packs of {self.folder} are done but have no {name}, such as {missing[0]}. Rename its "
                f"folder {DONE} to {WAITING}, and it is done anew."
            )
        return paths

    def retry(self) -> list[str]:
        """Let the packs that failed wait again, with their checkpoints; gives their ids."""
        freed = []
        for pack in self.status().packs:
            if pack.state == FAILED:
                folder = self.folder / PACKS / pack.id / FAILED
                with suppress(FileNotFoundError):  # somebody else does the same
                    (folder / MESSAGE).unlink(missing_ok=True)
                    folder.rename(folder.with_name(WAITING))
                    freed.append(pack.id)
        return freed

    def _add(self, packs: Mapping[str, Any]) -> None:
        """Write the packs that are new, each whole or not at all; the others must be the same."""
        known = self._known()
        self._check_same(packs, known)
        place = max((entry["place"] for entry in known.values()), default=-1) + 1
        for number, pack_id in enumerate(pack_id for pack_id in packs if pack_id not in known):
            made = self.folder / PACKS / f".{pack_id}.{uuid.uuid4().hex}"
            try:
                (made / WAITING).mkdir(parents=True)
                entry = {"place": place + number, "pack": packs[pack_id]}
                write_whole(made / DESCRIPTION, json.dumps(entry, indent=1) + "\n")
                flush(made / DESCRIPTION)
                made.rename(made.with_name(pack_id))  # refused if it is there, since no pack is an empty folder
            except OSError:
                shutil.rmtree(made, ignore_errors=True)
                if not made.with_name(pack_id).is_dir():
                    raise
        self._check_same(packs, self._known())  # what others wrote meanwhile

    def _check_same(self, packs: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        changed = [pack_id for pack_id in packs if pack_id in known and known[pack_id]["pack"] != packs[pack_id]]
        if changed:
            raise ValueError(
                f"{len(changed)} packs are in {self.folder} with another description, such as {changed[0]}. "
                "Choose another folder."
            )

    def _known(self) -> dict[str, dict[str, Any]]:
        """Place and description of each pack that is there now."""
        ids = [name for name in os.listdir(self.folder / PACKS) if not name.startswith(".")]
        for pack_id in ids:
            if pack_id not in self._packs:
                path = self.folder / PACKS / pack_id / DESCRIPTION
                try:
                    entry = json.loads(path.read_text(encoding="utf-8"))
                    self._packs[pack_id] = {"place": int(entry["place"]), "pack": dict(entry["pack"])}
                except (OSError, ValueError, KeyError, TypeError) as error:
                    raise ValueError(
                        f"{path} describes no pack ({error}). Delete {path.parent}, and create the ledger again."
                    ) from error
        return {pack_id: self._packs[pack_id] for pack_id in ids}

    def _is_free(self, folder: Path) -> bool:
        """Whether a work folder may be taken: it waits, its process is dead, or it has been silent for too long."""
        if not folder.name.startswith(RUNNING):
            return folder.name == WAITING
        if Claimant.of_name(folder.name).is_dead:
            return True
        now = time.monotonic()  # before the look: an observer that is frozen after it finds nobody silent
        try:
            heard = folder.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        last, first_seen = self._heard.get(folder, (None, now))
        if heard != last:  # another time than before, whatever clock it is by
            self._heard[folder] = (heard, time.monotonic())
            return False
        return now - first_seen > self.stale


def _checked(packs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Descriptions as JSON gives them back."""
    if not isinstance(packs, Mapping) or not packs:
        raise ValueError(f"packs must be a mapping of at least one id to a description, not {packs!r}.")
    checked = {}
    for pack_id, pack in packs.items():
        if not isinstance(pack_id, str) or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", pack_id):
            raise ValueError(
                f"the id of a pack has 1 to 100 letters, digits, dots, dashes and underscores, not {pack_id!r}."
            )
        if not isinstance(pack, Mapping):
            raise ValueError(f"the description of pack {pack_id} must be a mapping, not {pack!r}.")
        try:
            checked[pack_id] = json.loads(json.dumps(dict(pack), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"the description of pack {pack_id} is nothing that JSON can hold: {error}.") from error
    return checked


def _check_version(folder: Path) -> None:
    path = folder / STATEMENT
    try:
        version = json.loads(path.read_text(encoding="utf-8"))["scaletrain ledger"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} has no ledger of a sweep: {STATEMENT} is missing or not readable. Create it, after deleting "
            f"{STATEMENT} if that is there."
        ) from error
    if version != VERSION:
        raise ValueError(
            f"{folder} has a ledger of version {version!r}, this scaletrain reads {VERSION}. Use the scaletrain that "
            "made it, or another folder."
        )
