"""Preparation of a corpus: tokens appended to files, some at a time; a kill costs a second of work."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.writing import write_whole

from .config import MOST_SEED, check_whole
from .corpora import DOCUMENTS, MANIFEST, SCHEMA, TOKENIZER, TOKENS, Corpus
from .counters import SPLITS, Split
from .text_sources import Source, source_of
from .token_files import (
    CHUNK,
    GROWING,
    STATE,
    State,
    TokenFiles,
    alone,
    cut,
    dtype_of,
    flush_out,
    save,
    tidy,
    write_offsets,
)
from .tokenising import Bytes, Gpt2, Tokenizer, TrainedBpe, parse_tokenizer, train_bpe

Progress = Callable[[str, int, int], None]
Note = Callable[[str], None]

OFFSETS = np.dtype("<i8")


def prepare(
    source: str | os.PathLike[str] | Source,
    folder: str | os.PathLike[str],
    *,
    tokenizer: str = "gpt2",
    test_share: float = 0.1,
    seed: int = 0,
    documents: int | None = None,
    separator: str | None = None,
    progress: Progress | None = None,
    note: Note | None = None,
) -> Corpus:
    """Tokenise a source once into a folder; started again after an interruption, it goes on, to the same bytes.

    A document goes to the test split by a hash of its words and the seed, so that no two documents that are equal, but
    for their blanks, are on both sides. Empty ones are left out. A BPE is trained on documents of the train split.

    Parameters
    ----------
    source : str, path or Source
        What `source_of` takes, or any object with `description`, `parts` and `read`.
    folder : path
        Of the corpus; it is one when its manifest is there.
    tokenizer : str
        byte, gpt2, gpt2:FOLDER, bpe:SIZE. The paper's is gpt2.
    test_share : float
        Share of the documents that is held out, between 0 and 1; not from the paper (value unknown).
    seed : int
        From 0 to 2^32 - 1, of the split.
    documents : int, optional
        So many documents from the first on, empty ones not counted; all by default.
    separator : str, optional
        What stands between two documents of a text file; without one a text file is a document.
    progress : callable, optional
        Called now and then with the part of the source, and the number of documents and of tokens.
    note : callable, optional
        Called with a sentence on what the user should know.

    Raises
    ------
    ImportError
        If a package of the extra 'text' is lacking.
    OSError
        If the source cannot be read or reached, or the folder not be written to.
    ValueError
        If an argument is impossible, the source holds no text or too little, or the folder another corpus.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "days.txt")
    ...     _ = path.write_text("; ".join(f"day {number} of the year" for number in range(365)))
    ...     corpus = prepare(path, Path(folder, "corpus"), tokenizer="byte", separator="; ")
    ...     sorted(path.name for path in corpus.folder.iterdir())
    ['documents.bin', 'manifest.json', 'tokens.bin']
    """
    folder, kind = Path(folder), parse_tokenizer(tokenizer)
    check_whole("seed", seed, 0, MOST_SEED)
    if isinstance(test_share, bool) or not isinstance(test_share, int | float) or not 0 < test_share < 1:
        raise ValueError(f"test_share must be a number between 0 and 1, not {test_share!r}.")
    if documents is not None:
        check_whole("documents", documents, 2)
    if isinstance(source, str | os.PathLike):
        _check_apart(Path(source), folder)
        source = source_of(source, separator=separator)
    elif separator is not None:
        raise ValueError("separator is for the text files of a path. Leave it out.")
    settings = {
        "schema": SCHEMA, "source": {**source.description, "first_documents": documents},
        "tokenizer": {"name": f"bpe:{kind[1]}" if kind[0] == "bpe" else kind[0]},
        "split": {"seed": seed, "test_share": float(test_share)},
    }  # fmt: skip
    tell = note or (lambda words: None)
    with alone(folder):
        if (folder / MANIFEST).exists():
            return _finished(folder, settings, tell)
        state = _begun(folder, settings, tell)
        made = _tokenizer(kind, source, state, folder)
        _read(source, made, state, folder, progress)
        _finish(made, state, folder, tell)
    return Corpus.read(folder)


def split_of(text: str, *, seed: int, test_share: float) -> Split:
    r"""Split of a document, by its words alone: blanks and ends of lines do not count.

    Examples
    --------
    >>> split_of("to be", seed=0, test_share=0.1) == split_of(" to\nbe ", seed=0, test_share=0.1)
    True
    """
    words = " ".join(text.split()).encode()
    drawn = hashlib.blake2b(words, digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return "test" if int.from_bytes(drawn, "little") < test_share * 2.0**64 else "train"


def _begun(folder: Path, settings: dict[str, Any], tell: Note) -> State:
    """The state of the preparation in a folder; a new one if there is none."""
    path, ours = folder / STATE, {name for names in GROWING.values() for name in names} | {DOCUMENTS, TOKENIZER}
    if not path.exists():
        foreign = sorted(name for name in ours if (folder / name).exists())
        if foreign:
            raise ValueError(f"{folder} holds {foreign[0]}, but no preparation. Choose another folder.")
        return _anew(folder, settings)
    try:
        state = State(**json.loads(path.read_bytes()))
        if not state.tokenizer:  # nothing was made
            return _anew(folder, settings)
        _check_same(folder, settings, state.settings, "an interrupted preparation")
        done = sum(state.documents[split] for split in SPLITS)
    except (AttributeError, TypeError, KeyError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no state of a preparation ({error}). Delete {folder} and start anew.") from error
    tell(f"{folder} holds an interrupted preparation: going on after {done:,} documents.")
    return state


def _anew(folder: Path, settings: dict[str, Any]) -> State:
    """The state of a preparation that begins; an unwritable folder shows before the work."""
    (folder / TOKENIZER).unlink(missing_ok=True)
    state = State(settings)
    save(state, folder)
    return state


def _finished(folder: Path, settings: dict[str, Any], tell: Note) -> Corpus:
    """The corpus that is in a folder already."""
    corpus = Corpus.read(folder)
    _check_same(folder, settings, corpus.manifest, "a corpus")
    tidy(folder)
    tell(f"{folder} holds this corpus already: nothing was to be done.")
    return corpus


def _check_same(folder: Path, wanted: dict[str, Any], found: dict[str, Any], what: str) -> None:
    """Refuse a folder that holds something else, with what differs."""
    wrong = [
        f"{part} {name} is {found[part].get(name)!r}, not {value!r}"
        for part in ("source", "tokenizer", "split") for name, value in wanted[part].items()
        if found[part].get(name) != value
    ]  # fmt: skip
    if found["schema"] != wanted["schema"]:
        wrong.append(f"schema is {found['schema']!r}, not {wanted['schema']!r}")
    if wrong:
        pinned = " Or name the revision: fineweb-edu@REVISION." if "source revision" in wrong[0] else ""
        pinned = pinned if wanted["source"].get("kind") == "hub" else ""
        raise ValueError(
            f"{folder} holds {what} whose {'; '.join(wrong)}. Choose another folder, or delete this one.{pinned}"
        )


def _tokenizer(kind: tuple[str, str], source: Source, state: State, folder: Path) -> Tokenizer:
    """The tokenizer, trained if it must be; that of the state where there is one."""
    made: Tokenizer
    if kind[0] == "bpe":
        size, path = int(kind[1]), folder / TOKENIZER
        if not path.exists():
            write_whole(path, train_bpe(_train_texts(source, state.settings), size=size))
        made = TrainedBpe(path.read_bytes(), size=size)
    else:
        made = Bytes() if kind[0] == "byte" else Gpt2(Path(kind[1]) if kind[1] else None)
    if state.tokenizer not in ("", made.digest):
        raise ValueError(
            f"{folder} was begun with another {made.name}: its hash begins with {state.tokenizer[:12]}, not with "
            f"{made.digest[:12]}. Delete the folder and start anew."
        )
    if not state.tokenizer:
        state.tokenizer = made.digest
        save(state, folder)
    return made


def _train_texts(source: Source, settings: dict[str, Any]) -> Iterator[str]:
    """Texts of the train split, empty ones left out."""
    limit, seen = settings["source"]["first_documents"], 0
    for _, _, text in _documents(source, 0, 0):
        if seen == limit:
            return
        if text.strip():
            seen += 1
            if split_of(text, **settings["split"]) == "train":
                yield text


def _documents(source: Source, part: int, record: int) -> Iterator[tuple[int, int, str]]:
    """Documents from a place on, each with the place behind it."""
    for number in range(part, len(source.parts)):
        skip = record if number == part else 0
        for place, text in enumerate(source.read(number, skip), start=skip + 1):
            yield number, place, text


def _read(source: Source, made: Tokenizer, state: State, folder: Path, progress: Progress | None) -> None:
    """Append what is left of the source to the files."""
    limit = state.settings["source"]["first_documents"]
    with ExitStack() as stack:
        files = TokenFiles(folder, state, made.vocabulary, stack)
        found = _documents(source, state.part, state.record)
        while limit is None or sum(state.documents.values()) < limit:
            part, record, text = next(found, (0, 0, None))
            if text is None:
                break
            state.part, state.record = part, record
            if not text.strip():
                state.empty += 1
                continue
            split = split_of(text, **state.settings["split"])
            state.bytes[split] += len(text.encode())
            files.add(split, made.encode(text))
            if progress is not None:
                progress(source.parts[part], sum(state.documents.values()), sum(state.tokens.values()))
        files.flush()


def _finish(made: Tokenizer, state: State, folder: Path, tell: Note) -> None:
    """Join the splits, and write the manifest, which makes a corpus of the folder."""
    _check_enough(state, folder)
    dtype, (test, _) = dtype_of(made.vocabulary), GROWING["test"]
    with cut(folder / TOKENS, state.tokens["train"] * dtype.itemsize) as tokens:
        with (folder / test).open("rb") as stream:
            shutil.copyfileobj(stream, tokens, CHUNK)
        flush_out(tokens)
    write_offsets(folder)
    manifest = {
        **state.settings,
        "tokenizer": {"name": made.name, "vocabulary": made.vocabulary, "sha256": made.digest},
        "documents": state.documents, "tokens": state.tokens, "bytes": state.bytes, "empty_documents": state.empty,
        "files": {TOKENS: _described(folder / TOKENS, dtype), DOCUMENTS: _described(folder / DOCUMENTS, OFFSETS)},
    }  # fmt: skip
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    tidy(folder)
    if state.empty:
        tell(f"{state.empty:,} empty documents were left out.")
    if made.name.startswith("bpe") and made.vocabulary < int(made.name.removeprefix("bpe:")):
        tell(f"the text gave no more than {made.vocabulary:,} tokens of a {made.name}: each word is one already.")


def _check_enough(state: State, folder: Path) -> None:
    """Refuse a source that does not fill both splits, and leave nothing of it."""
    counts, total = state.documents, sum(state.documents.values())
    if all(counts.values()):
        return
    name, share = state.settings["source"]["name"], state.settings["split"]["test_share"]
    tidy(folder)
    for path in (TOKENS, TOKENIZER):
        (folder / path).unlink(missing_ok=True)
    if not total:
        raise ValueError(f"{name} holds no documents with text ({state.empty:,} are empty).")
    without = next(split for split, count in counts.items() if not count)
    raise ValueError(
        f"none of the {total:,} documents of {name} falls in the {without} split at test_share = {share:g}. Give more "
        "documents (separator parts text files), or choose another test_share or seed."
    )


def _described(path: Path, dtype: np.dtype[Any]) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"dtype": dtype.name, "bytes": path.stat().st_size, "sha256": digest}


def _check_apart(source: Path, folder: Path) -> None:
    """Refuse a corpus inside its source, which would read it, and a source inside a corpus."""
    if source.is_dir():
        one, two = source.resolve(), folder.resolve()
        if one == two or one in two.parents:
            raise ValueError(f"{folder} lies in the source {source}, which would then hold it. Choose another folder.")
