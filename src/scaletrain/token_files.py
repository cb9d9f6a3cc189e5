"""Files of tokens while they grow: appended to, and cut back to the last checkpoint after a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from scalefit.writing import write_whole

from .corpora import DOCUMENTS, SMALL, TOKENS
from .counters import SPLITS, Split
from .tokenising import Tokens

STATE = "preparing.json"
GROWING: dict[Split, tuple[str, str]] = {  # tokens and lengths of documents while they grow
    "train": (TOKENS, "train_lengths.partial"),
    "test": ("test_tokens.partial", "test_lengths.partial"),
}
AT_ONCE = 1 << 20  # tokens between two checkpoints; our choice
CHUNK = 1 << 20  # numbers that are read at once


@dataclass
class State:
    """How far a preparation is: what is in the files up to these sizes, and where in the source to go on."""

    settings: dict[str, Any]
    tokenizer: str = ""  # its hash
    part: int = 0
    record: int = 0
    empty: int = 0
    documents: dict[Split, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    tokens: dict[Split, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    bytes: dict[Split, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))


class TokenFiles:
    """The tokens and lengths of both splits, appended to files that are cut to what the state says."""

    def __init__(self, folder: Path, state: State, vocabulary: int, stack: ExitStack) -> None:
        self.folder, self.state, self.dtype = folder, state, dtype_of(vocabulary)
        self.held, self.tokens = 0, dict[Split, list[Tokens]]((split, []) for split in SPLITS)
        self.lengths = dict[Split, list[int]]((split, []) for split in SPLITS)
        self.end = np.array([vocabulary - 1], dtype=self.dtype)
        self.streams: dict[Split, tuple[BinaryIO, BinaryIO]] = {}
        for split, (tokens, lengths) in GROWING.items():
            sizes = ((tokens, state.tokens[split] * self.dtype.itemsize), (lengths, state.documents[split] * 8))
            one, two = (stack.enter_context(cut(folder / name, size)) for name, size in sizes)
            self.streams[split] = one, two

    def add(self, split: Split, tokens: Tokens) -> None:
        """Append a document and its end."""
        self.tokens[split] += tokens.astype(self.dtype), self.end
        self.lengths[split].append(len(tokens) + 1)
        self.state.documents[split] += 1
        self.state.tokens[split] += len(tokens) + 1
        self.held += len(tokens) + 1
        if self.held >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what is held, then say so."""
        try:
            for split, (tokens, lengths) in self.streams.items():
                tokens.write(b"".join(one.tobytes() for one in self.tokens[split]))
                lengths.write(np.array(self.lengths[split], dtype="<i8").tobytes())
                for stream in (tokens, lengths):
                    flush_out(stream)
                self.tokens[split], self.lengths[split] = [], []
        except OSError as error:
            raise OSError(
                f"{self.folder} could not be written to ({error.strerror}). Make room, and start again: it goes on."
            ) from error
        self.held = 0
        save(self.state, self.folder)


def dtype_of(vocabulary: int) -> np.dtype[Any]:
    """Type of the tokens in a file.

    Examples
    --------
    >>> dtype_of(65_536).name, dtype_of(65_537).name
    ('uint16', 'uint32')
    """
    return np.dtype("<u2" if vocabulary <= SMALL else "<u4")


def write_offsets(folder: Path) -> None:
    """Where every document begins, from the lengths of both splits, some at a time."""
    with (folder / DOCUMENTS).open("wb") as written:
        end = np.zeros(1, dtype="<i8")
        written.write(end.tobytes())
        for _, lengths in GROWING.values():
            with (folder / lengths).open("rb") as stream:
                while chunk := stream.read(8 * CHUNK):
                    ends = end[-1] + np.cumsum(np.frombuffer(chunk, dtype="<i8"), dtype="<i8")
                    written.write(ends.tobytes())
                    end = ends[-1:]
        flush_out(written)


def save(state: State, folder: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    write_whole(folder / STATE, json.dumps(asdict(state)))


def cut(path: Path, size: int) -> BinaryIO:
    """A file cut to a size, to append to: what is behind it was written after the last checkpoint."""
    stream = path.open("r+b" if path.exists() else "w+b")
    try:
        found = stream.seek(0, os.SEEK_END)
        if found < size:
            raise ValueError(f"{path} has {found} bytes, and {STATE} says {size}. Delete the folder and start anew.")
        stream.truncate(size)
        stream.seek(size)
    except BaseException:
        stream.close()
        raise
    return stream


def flush_out(stream: BinaryIO) -> None:
    """Bring what was written to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def tidy(folder: Path) -> None:
    """Remove what only an unfinished preparation needs, the state last."""
    names = [name for tokens, lengths in GROWING.values() for name in (tokens, lengths) if name != TOKENS]
    litter = sorted(path.name for path in folder.glob(".*.partial"))  # of a process that was killed while it wrote
    for name in (*litter, *names, STATE):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make a folder, and refuse it while another process prepares it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OSError(f"{folder} is no folder, or lies in a file. Choose another folder.") from None
    except OSError as error:
        raise OSError(f"{folder} could not be made ({error.strerror}). Choose another folder.") from error
    try:
        import fcntl
    except ImportError:  # Windows, which cannot lock a folder
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system may have no locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another process is preparing {folder}. Wait for it, or stop it.") from None
        yield
    finally:
        os.close(handle)
