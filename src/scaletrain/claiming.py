"""Claims on packs: whoever renames the work folder of a pack has it, and renaming is the only way to give it back."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from scalefit.writing import write_whole

from .claimants import claim_name

WAITING, DONE, FAILED = "waiting", "done", "failed"  # else its name begins with "running"
MESSAGE = "error.txt"  # why a pack failed, in its work folder
BEATS = 6  # heartbeats within the time after which a silent claim is stale


class LostClaimError(RuntimeError):
    """Another worker has taken the pack over: what this one made of it does not count."""


class Claim:
    """A pack that this worker has, until it settles or loses it.

    As a context manager it settles the pack by how the body ends, and swallows nothing: done; failed, with the words of
    the exception; or free for others at once, after an interruption or an OSError such as a full disk, which is not the
    pack's fault.

    Attributes
    ----------
    id : str
    pack : dict
        Its description.
    folder : path
        Where to keep its checkpoint and write its tables. An earlier worker's checkpoint may be there. When the claim
        is lost the folder has another name, so that a worker that does not know yet cannot write into it.

    Examples
    --------
    >>> import tempfile
    >>> from scaletrain.ledger import Ledger
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ledger = Ledger.create(folder, {"a": {"width": 16}})
    ...     with ledger.claim("laptop") as claim:
    ...         claim.beat()
    ...         _ = (claim.folder / "runs.csv").write_text("loss")
    ...     ledger.status().counts["done"]
    1
    """

    def __init__(self, pack_id: str, pack: dict[str, Any], folder: Path, *, stale: float) -> None:
        self.id, self.pack, self.folder = pack_id, pack, folder
        self._every = stale / BEATS
        self._beaten, self._settled = time.monotonic(), False

    def beat(self) -> None:
        """Tell the others that this worker lives; call it often, it writes now and then.

        Raises
        ------
        LostClaimError
            If another worker has taken the pack over, since this one was silent for too long.
        """
        now = time.monotonic()
        if now - self._beaten < self._every:
            return
        try:
            os.utime(self.folder)  # the file server's clock, and no byte that a full disk could refuse
        except OSError as error:
            raise self._reason(error) from error
        self._beaten = now

    def done(self) -> Path:
        """Mark the pack as done, once its tables are written; gives the folder in which they are now.

        Raises
        ------
        LostClaimError
            If another worker has taken the pack over. Its tables count, not this one's.
        """
        try:
            for path in (*sorted(self.folder.iterdir()), self.folder):
                flush(path)
        except OSError as error:
            raise self._reason(error) from error
        return self._move(DONE)

    def failed(self, message: str) -> None:
        """Record that the pack cannot be done, and why; nobody tries again before `Ledger.retry`.

        Raises
        ------
        LostClaimError
            If another worker has taken the pack over.
        """
        try:
            write_whole(self.folder / MESSAGE, message)
        except OSError as error:
            raise self._reason(error) from error
        self._move(FAILED)

    def release(self) -> None:
        """Give the pack back: another worker may take it at once, and go on from the checkpoint.

        Raises
        ------
        LostClaimError
            If one has already.
        """
        self._move(WAITING)

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settled or isinstance(error, LostClaimError):
            return
        if isinstance(error, Exception) and not self.folder.is_dir():  # whatever was raised comes from that
            raise self._lost() from error
        try:
            if error is None:
                self.done()
            elif isinstance(error, Exception) and not isinstance(error, OSError):
                self.failed(f"{type(error).__name__}: {error}")
        finally:
            if not self._settled:
                with suppress(OSError, LostClaimError):
                    self.release()

    def _move(self, name: str) -> Path:
        """Rename the folder: whoever was first has it."""
        target = self.folder.with_name(name)
        mine = _number(self.folder)
        try:
            self.folder.rename(target)
        except OSError as error:
            if mine is None or _number(target) != mine:  # else a network file system asked twice
                if target.exists():  # no two folders of a pack can be done
                    raise self._lost() from error
                raise self._reason(error) from error
        self._settled = True
        return target

    def _reason(self, error: OSError) -> Exception:
        """What to raise after an error: the folder is not there any more, or else the error itself."""
        return error if self.folder.is_dir() else self._lost()

    def _lost(self) -> LostClaimError:
        return LostClaimError(
            f"pack {self.id} was taken over by another worker, since this one was silent for more than "
            f"{self._every * BEATS:g} s. Nothing is lost but this worker's time."
        )


def take(folder: Path, worker: str) -> Path | None:
    """Claim a work folder under the name that it has now; None if it has that name no more."""
    mine = folder.with_name(claim_name(worker))
    try:
        folder.rename(mine)
    except FileNotFoundError:
        if not mine.is_dir():  # a network file system that asks twice answers that the folder is not there
            return None
    except OSError as error:
        raise OSError(
            f"{folder} could not be claimed ({error.strerror}). A worker must be able to rename what is in the ledger."
        ) from error
    for litter in mine.glob(".*.partial"):  # of a worker that was killed while it wrote
        with suppress(OSError):
            litter.unlink()
    return mine


def _number(folder: Path) -> int | None:
    """Number of a folder in its file system, which renaming keeps; None if it is not there."""
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def flush(path: Path) -> None:
    """Bring a file or a folder to the disk, where a power cut does not reach it."""
    if path.is_dir() and os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
