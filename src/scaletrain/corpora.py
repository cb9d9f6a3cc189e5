"""Corpora: a prepared folder of tokens, checked against its manifest, and windows of it by number."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import MOST_SEED, check_whole
from .counters import SPLITS, Split, key_of
from .permutations import shuffled
from .tokenising import Bytes, Gpt2, Tokenizer, Tokens, TrainedBpe, parse_tokenizer

SCHEMA = 1
MANIFEST, TOKENS, DOCUMENTS, TOKENIZER = "manifest.json", "tokens.bin", "documents.bin", "tokenizer.json"
SMALL = 65_536  # the largest vocabulary of tokens of 16 bits
CHUNK = 1 << 22  # bytes that are read at once


@dataclass(frozen=True, eq=False)
class Corpus:
    r"""Tokens of many documents, each with its end.

    Attributes
    ----------
    tokens : (n,) array of uint16 or uint32
        Read-only, in a file; the documents of the test split stand behind those of the train split.
    documents : (documents + 1,) int64 array
        Where each document begins in the tokens, and the end of the last one.
    vocabulary : int
        How many tokens there are; the last one ends a document.
    name : str
        Source and tokenizer.
    digest : str
        sha256 hex of the manifest.
    manifest : dict
        What it was made of and by, and hashes of its files.
    folder : path

    Examples
    --------
    >>> import tempfile
    >>> from scaletrain.preparing import prepare
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     texts = [json.dumps({"text": f"{n} squared is {n**2}"}) for n in range(40)]
    ...     _ = Path(folder, "squares.jsonl").write_text("\n".join(texts))
    ...     corpus = prepare(Path(folder, "squares.jsonl"), Path(folder, "corpus"), tokenizer="byte")
    >>> corpus
    squares-byte: 40 documents, 704 tokens of 257
    >>> test = corpus.split("test")
    >>> test.tokens[: test.documents[1] - 1].tobytes().decode("utf-16-le")
    '0 squared is 0'
    """

    tokens: Tokens
    documents: NDArray[np.int64]
    vocabulary: int
    name: str
    digest: str
    manifest: dict[str, Any]
    folder: Path

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Corpus:
        """The corpus in a folder that `prepare` made, once every byte of it has been checked.

        Raises
        ------
        OSError
            If there is none.
        ValueError
            If its preparation is not finished, or its files are not those of its manifest.
        """
        folder = Path(folder)
        content, manifest = _read_manifest(folder)
        try:
            files, vocabulary = manifest["files"], manifest["tokenizer"]["vocabulary"]
            check_whole("the vocabulary", vocabulary, 2)
            dtype = np.dtype(files[TOKENS]["dtype"]).newbyteorder("<")
            counts = [manifest[what][split] for what in ("tokens", "documents") for split in SPLITS]
            name = f"{manifest['source']['name']}-{manifest['tokenizer']['name'].replace(':', '')}"
            for one, content_of in files.items():
                _check_file(folder / one, content_of["bytes"], content_of["sha256"])
            sizes = [files[TOKENS]["bytes"] // dtype.itemsize, files[DOCUMENTS]["bytes"] // 8 - 1]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{folder / MANIFEST} is no manifest of a corpus ({error!r}). Prepare it again."
            ) from error
        if [counts[0] + counts[1], counts[2] + counts[3]] != sizes or min(counts) < 1:
            raise ValueError(f"{folder / MANIFEST} counts {counts}, but the files hold {sizes}. Prepare it again.")
        tokens = np.memmap(folder / TOKENS, dtype=dtype, mode="r")
        documents = np.memmap(folder / DOCUMENTS, dtype="<i8", mode="r")
        if documents[counts[2]] != counts[0]:  # else training would see held-out documents
            raise ValueError(
                f"{folder / MANIFEST} parts the splits behind document {counts[2]} and token {counts[0]}, but that "
                f"document ends at {documents[counts[2]]}. Prepare it again."
            )
        _check_tokens(folder, tokens, vocabulary)
        return cls(tokens, documents, vocabulary, name, hashlib.sha256(content).hexdigest(), manifest, folder)

    def split(self, name: Split) -> Corpus:
        """The documents of one split alone.

        Raises
        ------
        ValueError
            If there is no such split.
        """
        if name not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {name!r}.")
        border, last = self.manifest["documents"]["train"], len(self.documents) - 1
        if last < border + self.manifest["documents"]["test"]:
            raise ValueError("this is one split of a corpus already.")
        low, high = (0, border) if name == "train" else (border, last)
        documents = self.documents[low : high + 1] - self.documents[low]
        return replace(self, tokens=self.tokens[self.documents[low] : self.documents[high]], documents=documents)

    def tokenizer(self) -> Tokenizer:
        """What made the tokens, to turn them into text.

        Raises
        ------
        ImportError, OSError
            If the tokenizer is not at hand.
        ValueError
            If it is not the one that made the corpus.
        """
        told = self.manifest["tokenizer"]
        kind, argument = parse_tokenizer(told["name"])
        made: Tokenizer
        if kind == "bpe":
            made = TrainedBpe((self.folder / TOKENIZER).read_bytes(), size=int(argument))
        else:
            made = Bytes() if kind == "byte" else Gpt2()
        if (made.digest, made.vocabulary) != (told["sha256"], self.vocabulary):
            raise ValueError(
                f"{self.folder} was made by a tokenizer {told['name']} of {self.vocabulary} tokens, whose hash begins "
                f"with {told['sha256'][:12]}, not by this one of {made.vocabulary}, {made.digest[:12]}. Prepare again."
            )
        return made

    def __repr__(self) -> str:
        return f"{self.name}: {len(self.documents) - 1} documents, {len(self.tokens)} tokens of {self.vocabulary}"


@dataclass(frozen=True, eq=False)
class Windows:
    """Pieces of a corpus of a length, which do not overlap, in a pseudo-random order.

    Window w of a split and seed is a function of these three: batches can be asked for in any order and size, and every
    piece has one number. A window begins anywhere in a document, and may hold the ends of several. What is left of the
    split behind its last whole window belongs to none.

    Parameters
    ----------
    corpus : Corpus
    length : int
        Tokens of a window, at least 2; the first is not predicted.
    seed : int
        From 0 to 2^32 - 1, of the order. The held-out windows have one order, whatever the seed: the first so many are
        the same ones for every run.
    split : {"train", "test"}

    Raises
    ------
    ValueError
        If the length, the seed or the split is none of these, or the split has not one window.

    Examples
    --------
    >>> import tempfile
    >>> from scaletrain.preparing import prepare
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "numbers.txt")
    ...     _ = path.write_text(" ".join(map(str, range(10_000))))
    ...     corpus = prepare(path, Path(folder, "corpus"), tokenizer="byte", separator="00 ")
    >>> windows = Windows(corpus, length=32, seed=0)
    >>> windows.batch(10, 4).shape, bool(np.all(windows.batch(10, 4)[1:] == windows.batch(11, 3)))
    ((4, 32), True)
    """

    corpus: Corpus
    length: int
    seed: int
    split: Split = "train"

    def __post_init__(self) -> None:
        check_whole("length", self.length, 2)
        check_whole("seed", self.seed, 0, MOST_SEED)
        if not self.windows:
            raise ValueError(
                f"the {self.split} split of {self.corpus.name} has {len(self._tokens)} tokens, not one window of "
                f"{self.length}. Prepare more text, or choose a smaller length."
            )

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return len(self._tokens) // self.length

    def batch(self, first: int, count: int) -> NDArray[np.int32]:
        """(count, length) tokens of the windows from number `first` on.

        Raises
        ------
        ValueError
            If the numbers are not whole or negative, or there are not so many windows.
        """
        check_whole("first", first, 0)
        check_whole("count", count, 0)
        if first + count > self.windows:
            raise ValueError(
                f"the {self.split} split of {self.corpus.name} has {self.windows} windows of {self.length} tokens, "
                f"{self.windows * (self.length - 1)} predicted tokens in one epoch, but window {first + count - 1} is "
                "asked for. No window is given twice: train on fewer tokens, or prepare more text."
            )
        key = key_of(self.seed if self.split == "train" else 0, SPLITS[self.split])
        places = shuffled(np.arange(first, first + count), self.windows, key=key)
        rows = self._tokens[: self.windows * self.length].reshape(-1, self.length)
        return rows[places].astype(np.int32)

    @cached_property
    def _tokens(self) -> Tokens:
        """All of the split, on disk."""
        return self.corpus.split(self.split).tokens


def _read_manifest(folder: Path) -> tuple[bytes, dict[str, Any]]:
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and (folder / TOKENS).exists():
            raise ValueError(
                f"{folder} holds no finished corpus. Start its preparation again with the same words: it goes on."
            ) from error
        raise OSError(
            f"{folder} holds no corpus: {path} could not be read ({error.strerror}). Name a folder that `scaletrain "
            "text prepare` made."
        ) from error
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}). Prepare the corpus again.") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{path} is of schema {schema!r}, and this version reads {SCHEMA}. Prepare the corpus again.")
    return content, manifest


def _check_file(path: Path, size: int, digest: str) -> None:
    """Refuse a file that is not the one that the manifest speaks of."""
    try:
        found = path.stat().st_size
        if found != size:
            raise ValueError(f"{path} has {found} bytes, and its manifest says {size}. Copy it or prepare it again.")
        with path.open("rb") as stream:
            told = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise OSError(f"{path} could not be read ({error.strerror}). Copy it or prepare it again.") from error
    if told != digest:
        raise ValueError(
            f"{path} is not what its manifest says: its sha256 begins with {told[:12]}, not {digest[:12]}. Copy it or "
            "prepare it again."
        )


def _check_tokens(folder: Path, tokens: Tokens, vocabulary: int) -> None:
    """Refuse tokens beyond the vocabulary; reads through the file, so that it does not fill the memory."""
    largest = 0
    with (folder / TOKENS).open("rb") as stream:
        while chunk := stream.read(CHUNK):
            largest = max(largest, int(np.frombuffer(chunk, dtype=tokens.dtype).max()))
    if largest >= vocabulary:
        raise ValueError(
            f"{folder} has a token {largest}, beyond the vocabulary of {vocabulary} in its manifest. Prepare it again."
        )
