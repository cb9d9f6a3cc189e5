"""Where documents come from: text files, JSON lines, Parquet, folders of them, FineWeb-edu."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

CHUNK = 1 << 20  # bytes that are read at once
FIELD = "text"
FINEWEB, FINEWEB_FOLDER = "HuggingFaceFW/fineweb-edu", "sample/10BT"
UTF8 = "Save it in UTF-8 (iconv -f latin1 -t utf-8, if it is in Latin 1), or move it out of the source"


class Source(Protocol):
    """Documents in parts, always in the same order."""

    @property
    def description(self) -> dict[str, Any]:
        """What it is, for the manifest: the same for the same documents, wherever they lie."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of its parts."""

    def read(self, part: int, skip: int) -> Iterator[str]:
        """Documents of a part but for the first `skip`."""


@dataclass(frozen=True)
class FileSource:
    """Files on this machine: .jsonl and .parquet with a field text, everything else is text in UTF-8.

    Attributes
    ----------
    description : dict
        `revision` is a sha256 of all names and contents.
    files : tuple of path
    separator : str, optional
        What stands between two documents of a text file; without one a text file is a document.
    """

    description: dict[str, Any]
    files: tuple[Path, ...]
    separator: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The files."""
        return tuple(map(str, self.files))

    def read(self, part: int, skip: int) -> Iterator[str]:
        """Documents of a file but for the first `skip`.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it holds no text, with the place.
        """
        path = self.files[part]
        readers = {".jsonl": _json_lines, ".parquet": _parquet}
        reader = readers.get(path.suffix.lower())
        found = reader(path) if reader else _text(path, self.separator)
        try:
            yield from islice(found, skip, None)
        except OSError as error:
            raise OSError(f"{path} could not be read ({error.strerror or error}).") from error


@dataclass(frozen=True)
class HubSource:
    """Parquet files of a dataset on the Hugging Face hub, streamed by `datasets`.

    A part is a file: an interrupted preparation goes on at its file, whatever `datasets` keeps of a stream.

    Attributes
    ----------
    repo : str
    revision : str
        The commit.
    parts : tuple of str
        Paths of its files.
    """

    repo: str
    revision: str
    folder: str
    parts: tuple[str, ...]

    @property
    def description(self) -> dict[str, Any]:
        """Repository, folder and commit."""
        return {"kind": "hub", "name": self.repo.rpartition("/")[2], "folder": self.folder, "revision": self.revision}

    @classmethod
    def find(cls, repo: str, folder: str, revision: str | None = None) -> HubSource:
        """The files in a folder of a repository at a revision, by default the newest.

        Raises
        ------
        ImportError
            If `datasets` is not installed.
        OSError
            If the hub cannot be reached, or has no such files.
        """
        _datasets()
        from huggingface_hub import HfApi

        try:
            found = HfApi().dataset_info(repo, revision=revision)
        except Exception as error:  # the package passes on what three others raise
            raise _unreached(repo, error) from error
        names = sorted(one.rfilename for one in found.siblings or [])
        parts = tuple(name for name in names if name.startswith(f"{folder}/") and name.endswith(".parquet"))
        if not parts:
            raise OSError(f"{repo} has no Parquet files in {folder!r}. Choose a folder such as {FINEWEB_FOLDER}.")
        return cls(repo, str(found.sha), folder, parts)

    def read(self, part: int, skip: int) -> Iterator[str]:
        """Documents of a file but for the first `skip`, which are fetched and dropped.

        Raises
        ------
        OSError
            If the stream breaks.
        """
        try:
            rows = _datasets().load_dataset(
                self.repo, data_files=self.parts[part], split="train", streaming=True, revision=self.revision
            )
            for row in rows.skip(skip):
                yield row[FIELD]
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except Exception as error:  # as above
            raise _unreached(self.repo, error) from error


def source_of(spec: str | os.PathLike[str], *, separator: str | None = None) -> Source:
    r"""Source of a path or of a name.

    Parameters
    ----------
    spec : str or path
        A file, a folder (all its files, and those of its folders), or fineweb-edu[:FOLDER][@REVISION]. Files .jsonl and
        .parquet have a field text; every other file must be text in UTF-8. Hidden files are left out.
    separator : str, optional
        What stands between two documents of a text file; without one a text file is a document.

    Raises
    ------
    OSError
        If there is no such file, or the hub cannot be reached.
    ValueError
        If the separator is empty, or given for what has no text files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "poems.txt")
    ...     _ = path.write_text("one\n---\ntwo\n")
    ...     list(source_of(path, separator="---\n").read(0, skip=0))
    ['one\n', 'two\n']
    """
    if separator is not None and (not isinstance(separator, str) or not separator):
        raise ValueError(f"separator must be the text between two documents, not {separator!r}.")
    path = Path(spec)
    if str(spec).startswith("fineweb-edu") and not path.exists():
        if separator is not None:
            raise ValueError("separator is for text files, and the documents of fineweb-edu are parted. Leave it out.")
        return _fineweb(str(spec))
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}, and {spec!s:.80} is not fineweb-edu.")
    files = (path,) if not path.is_dir() else tuple(sorted(_files_in(path)))
    if not files:
        raise ValueError(f"the folder {path} holds no files. Text files, .jsonl and .parquet are read.")
    name = path.resolve().name if path.is_dir() else path.stem
    described = {"kind": "folder" if path.is_dir() else "file", "name": name, "separator": separator}
    return FileSource({**described, "revision": _revision(path, files)}, files, separator)


def _fineweb(spec: str) -> HubSource:
    name, at, revision = spec.partition("@")
    name, colon, folder = name.partition(":")
    if name != "fineweb-edu" or (colon and not folder) or (at and not revision):
        raise ValueError(f"{spec!r} is no source: fineweb-edu[:FOLDER][@REVISION], such as fineweb-edu:sample/10BT.")
    return HubSource.find(FINEWEB, folder.strip("/") or FINEWEB_FOLDER, revision or None)


def _files_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _revision(path: Path, files: tuple[Path, ...]) -> str:
    """Hash of the names and contents of files."""
    told = hashlib.sha256()
    for one in files:
        name = one.relative_to(path).as_posix() if path.is_dir() else one.suffix
        try:
            with one.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise OSError(f"{one} could not be read ({error.strerror}).") from error
        told.update(f"{name}\0{content}\n".encode("utf-8", errors="surrogateescape"))
    return told.hexdigest()


def _text(path: Path, separator: str | None) -> Iterator[str]:
    """Documents of a text file; with a separator, no more than one of them is in memory."""
    if separator is None:
        yield "".join(_decoded(path))
        return
    held: list[str] = []  # joined when the document ends: with every piece it would take the square of its length
    tail, overlap = "", len(separator) - 1
    for piece in _decoded(path):
        held.append(piece)
        tail += piece
        if separator in tail:
            *whole, tail = "".join(held).split(separator)
            yield from whole
            held = [tail]
        tail = tail[max(len(tail) - overlap, 0) :]  # where a separator may have begun
    yield "".join(held)


def _decoded(path: Path) -> Iterator[str]:
    """Text of a file in pieces, without a byte order mark."""
    decoder, read = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as stream:
        while True:
            chunk = stream.read(CHUNK)
            held = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise _undecodable(path, read - held + error.start, error) from error
            yield text.removeprefix("\ufeff") if not read else text
            read += len(chunk)
            if not chunk:
                return


def _json_lines(path: Path) -> Iterator[str]:
    """The field text of every line."""
    read = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                content = line.decode().removeprefix("\ufeff" if number == 1 else "")
            except UnicodeDecodeError as error:
                raise _undecodable(path, read + error.start, error) from error
            read += len(line)
            if content.strip():
                yield _field(content, f"{path}, line {number}")


def _field(line: str, where: str) -> str:
    try:
        found = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f'{where} is no JSON ({error}). A line is an object such as {{"text": ...}}.') from error
    text = found.get(FIELD) if isinstance(found, dict) else None
    if not isinstance(text, str):
        raise ValueError(
            f"{where} has no text: an object with a field {FIELD!r} that is a string is wanted, not {line[:60]!r}. "
            "Rename the field, or drop the line."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: half a surrogate pair at letter {error.start} is no text. Drop it.") from error
    return text


def _parquet(path: Path) -> Iterator[str]:
    """The column text, some rows at a time."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ImportError(
            "Parquet files need pyarrow, the extra 'parquet'. Install it from the clone: pip install '.[text]'"
        ) from error
    try:
        found = parquet.ParquetFile(path)
        if FIELD not in found.schema_arrow.names:
            raise ValueError(f"{path} has no column {FIELD!r}; it has {', '.join(found.schema_arrow.names)[:200]}.")
        row = 0
        for batch in found.iter_batches(batch_size=256, columns=[FIELD]):
            for text in batch.column(0).to_pylist():
                if not isinstance(text, str):
                    raise ValueError(f"{path}, row {row}: {FIELD} is {text!r:.60}, not a string. Drop the row.")
                yield text
                row += 1
    except ArrowException as error:
        raise ValueError(f"{path} is no Parquet file that can be read: {str(error)[:200]}") from error


def _undecodable(path: Path, offset: int, error: UnicodeDecodeError) -> ValueError:
    return ValueError(f"{path} is no text in UTF-8 ({error.reason} at byte {offset}). {UTF8}.")


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            "FineWeb-edu needs datasets, the extra 'text'. Install it from the clone: pip install '.[text]'"
        ) from error
    return datasets


def _unreached(repo: str, error: Exception) -> OSError:
    return OSError(
        f"{repo} could not be read from huggingface.co ({type(error).__name__}: {str(error)[:200]}). This source needs "
        "network: started again with it, a preparation goes on; or prepare elsewhere and copy the folder."
    )
