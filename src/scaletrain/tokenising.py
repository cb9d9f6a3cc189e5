"""Tokenizers: bytes, GPT-2 through tiktoken, a byte-level BPE trained on the corpus itself.

The last token of every vocabulary ends a document, and no text is encoded to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.unsignedinteger[Any]]

LEAST_BPE = 257  # every byte, and the end of a document
MOST_BPE = 2**20
BPE_LETTERS = 1_000_000_000  # of text that a BPE is trained on, our choice: more merges nothing else, and fills memory
GPT2_FILES = {  # sha256 that tiktoken pins
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
}
KINDS = "byte, gpt2, gpt2:FOLDER with the files vocab.bpe and encoder.json, bpe:SIZE such as bpe:4096"


class Tokenizer(Protocol):
    """What turns the text of a document into whole numbers below `vocabulary`, and back."""

    @property
    def name(self) -> str:
        """As `Corpus` and its manifest call it."""

    @property
    def vocabulary(self) -> int:
        """How many tokens there are; the last one ends a document."""

    @property
    def digest(self) -> str:
        """sha256 hex of all that the tokens depend on."""

    def encode(self, text: str) -> Tokens:
        """Tokens of a text, without the end of the document."""

    def decode(self, tokens: Tokens) -> str:
        """Text of tokens, which may be cut anywhere."""


class Bytes:
    """UTF-8 bytes, and 256 for the end of a document.

    Examples
    --------
    >>> Bytes().encode("né").tolist(), Bytes().vocabulary
    ([110, 195, 169], 257)
    """

    name, vocabulary = "byte", 257
    digest = hashlib.sha256(b"UTF-8 bytes; 256 ends a document").hexdigest()

    def encode(self, text: str) -> Tokens:
        """Its bytes."""
        return np.frombuffer(text.encode(), dtype=np.uint8)

    def decode(self, tokens: Tokens) -> str:
        """Text of bytes; what is cut is marked."""
        return tokens.astype(np.uint8).tobytes().decode(errors="replace")


class Gpt2:
    """GPT-2's byte-level BPE of 50,257 tokens, as tiktoken encodes it.

    Parameters
    ----------
    folder : path, optional
        Where vocab.bpe and encoder.json lie. Without one, tiktoken reads them from the folder that the environment
        variable TIKTOKEN_CACHE_DIR names, or fetches them.

    Raises
    ------
    ImportError
        If tiktoken is not installed.
    OSError
        If the files are not at hand and cannot be fetched.
    ValueError
        If a file is not that of GPT-2.
    """

    name, vocabulary = "gpt2", 50_257

    def __init__(self, folder: Path | None = None) -> None:
        tiktoken = _tiktoken()
        if folder is None:
            try:
                self._encoding = tiktoken.get_encoding("gpt2")
            except OSError as error:  # requests raises these, too
                raise OSError(
                    "the files of the GPT-2 tokenizer could not be fetched. Without network, set TIKTOKEN_CACHE_DIR to "
                    "a folder that tiktoken has filled once with network, or name a folder that holds vocab.bpe and "
                    f"encoder.json: gpt2:FOLDER. What tiktoken says: {str(error)[:200]}"
                ) from error
        else:
            self._encoding = _from_files(folder)
        ranks = sorted((rank, token) for token, rank in self._encoding._mergeable_ranks.items())
        told = b"".join(rank.to_bytes(4, "little") + token + b"\0" for rank, token in ranks)
        self.digest = hashlib.sha256(told + self._encoding._pat_str.encode()).hexdigest()

    def encode(self, text: str) -> Tokens:
        """Its tokens; the words <|endoftext|> are words."""
        made: Tokens = self._encoding.encode_to_numpy(text, disallowed_special=())
        return made

    def decode(self, tokens: Tokens) -> str:
        """Text of tokens; bytes that are cut are marked."""
        text: str = self._encoding.decode(tokens.tolist())
        return text


class TrainedBpe:
    """A byte-level BPE that was trained on a corpus, read from the JSON of the package tokenizers.

    Parameters
    ----------
    content : bytes
        Of a file that `train_bpe` made.
    size : int
        The vocabulary that was asked for, by which it is called. A small corpus may give less.

    Raises
    ------
    ImportError
        If tokenizers is not installed.
    ValueError
        If the content is no tokenizer.
    """

    def __init__(self, content: bytes, *, size: int) -> None:
        try:
            self._tokenizer = _tokenizers().Tokenizer.from_str(content.decode())
        except ImportError:
            raise
        except Exception as error:  # the package raises Exception itself
            raise ValueError(f"this is no tokenizer of the package tokenizers ({str(error)[:80]}).") from error
        self.name, self.digest = f"bpe:{size}", hashlib.sha256(content).hexdigest()
        self.vocabulary = int(self._tokenizer.get_vocab_size()) + 1

    def encode(self, text: str) -> Tokens:
        """Its tokens."""
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.uint32)

    def decode(self, tokens: Tokens) -> str:
        """Text of tokens; bytes that are cut are marked."""
        text: str = self._tokenizer.decode(tokens.tolist(), skip_special_tokens=False)
        return text


def train_bpe(texts: Iterable[str], *, size: int) -> bytes:
    """JSON of a byte-level BPE with GPT-2's way to part words, trained on texts: the same for the same texts.

    Parameters
    ----------
    texts : iterable of str
        The first 10^9 letters are looked at.
    size : int
        Its vocabulary with the end of a document, from 257 on.

    Raises
    ------
    ImportError
        If tokenizers is not installed.

    Examples
    --------
    >>> bpe = TrainedBpe(train_bpe(["to be or not to be"] * 9, size=262), size=262)
    >>> bpe.vocabulary, len(bpe.encode("to be or not")), bpe.decode(bpe.encode("né to be"))
    (262, 7, 'né to be')
    """
    package = _tokenizers()
    bpe = package.Tokenizer(package.models.BPE())
    bpe.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=size - 1, initial_alphabet=package.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator(_first_letters(texts), trainer)
    return str(bpe.to_str()).encode()


def parse_tokenizer(spec: str) -> tuple[str, str]:
    """Kind and argument of a tokenizer as it is written: byte, gpt2, gpt2:FOLDER, bpe:SIZE.

    Raises
    ------
    ValueError
        If there is no such tokenizer.

    Examples
    --------
    >>> parse_tokenizer("bpe:4096")
    ('bpe', '4096')
    """
    kind, colon, argument = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if kind not in ("byte", "gpt2", "bpe") or (kind == "byte" and colon) or (kind == "gpt2" and colon and not argument):
        raise ValueError(f"there is no tokenizer {spec!r}; there are {KINDS}.")
    if kind == "bpe":
        size = int(argument) if argument.isascii() and argument.isdecimal() and len(argument) < 9 else -1
        if not LEAST_BPE <= size <= MOST_BPE:
            raise ValueError(
                f"the vocabulary of a BPE is a whole number from {LEAST_BPE} (every byte and the end of a document) to "
                f"{MOST_BPE}, not {argument!r}. Write bpe:4096, for example."
            )
        argument = str(size)
    return kind, argument


def _first_letters(texts: Iterable[str]) -> Iterator[str]:
    """Texts until they have so many letters."""
    left = BPE_LETTERS
    for text in texts:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _from_files(folder: Path) -> Any:
    """GPT-2's encoding from its two files."""
    for name, expected in GPT2_FILES.items():
        path = folder / name
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise OSError(
                f"{path} could not be read ({error.strerror}). gpt2:FOLDER holds {' and '.join(GPT2_FILES)}."
            ) from error
        if found != expected:
            raise ValueError(f"{path} is not that of GPT-2: its sha256 is {found}, not {expected}. Fetch it again.")
    tiktoken = _tiktoken()
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks
    from tiktoken_ext.openai_public import r50k_pat_str  # type: ignore[import-untyped, unused-ignore]

    merges, encoder = (str(folder / name) for name in GPT2_FILES)
    ranks = data_gym_to_mergeable_bpe_ranks(
        merges, encoder, vocab_bpe_hash=GPT2_FILES["vocab.bpe"], encoder_json_hash=GPT2_FILES["encoder.json"]
    )
    return tiktoken.Encoding("gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={})


def _tiktoken() -> Any:
    try:
        import tiktoken
    except ImportError as error:
        raise _lacking("The GPT-2 tokenizer needs tiktoken") from error
    return tiktoken


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise _lacking("A BPE of one's own needs tokenizers") from error
    return tokenizers


def _lacking(words: str) -> ImportError:
    return ImportError(f"{words}, the extra 'text'. Install it from the clone: pip install '.[text]'")
