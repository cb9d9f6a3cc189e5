"""How much memory a corpus takes to prepare and to count, at two sizes of a synthetic stream.

Each size is a process of its own, so that its peak is its own. What grows from the small to the large one is
extrapolated to 10^9 tokens. Run it as `python benchmarks/corpora.py`; with a size it is one such process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common import Row
from scaletrain.corpora import Corpus, Windows
from scaletrain.counted_models import counted
from scaletrain.preparing import prepare

SIZES, GOAL = (10_000_000, 40_000_000), 1_000_000_000  # tokens
LIMIT = 4e9  # bytes, of the issue
LETTERS, DOCUMENT = 26, 1000


class Stream:
    """So many tokens of random letters in documents of a thousand, made as they are read."""

    def __init__(self, tokens: int) -> None:
        self.parts = ("stream",)
        self.count = tokens // (DOCUMENT + 1)
        self.description: dict[str, Any] = {"kind": "synthetic", "name": "letters", "revision": str(tokens)}

    def read(self, part: int, skip: int) -> Iterator[str]:
        """Documents, each a function of its number."""
        for number in range(skip, self.count):
            letters = np.random.default_rng(number).integers(97, 97 + LETTERS, DOCUMENT, dtype=np.uint8)
            yield letters.tobytes().decode()


def corpus_rows(quick: bool) -> list[Row]:
    """Time and peak memory of each size, and what 10^9 tokens would take by the growth between them."""
    rows = []
    for tokens in (1_000_000, 4_000_000) if quick else SIZES:
        command = [sys.executable, __file__, str(tokens)]
        rows.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    small, large = rows
    for stage in ("prepared", "counted"):
        growth = (large[f"{stage}_bytes"] - small[f"{stage}_bytes"]) / (large["tokens"] - small["tokens"])
        large[f"{stage}_bytes_per_token"] = growth
        large[f"{stage}_bytes_at_goal"] = large[f"{stage}_bytes"] + growth * (GOAL - large["tokens"])
    return rows


def _one(tokens: int) -> Row:
    """Prepare and count in this process."""
    row: Row = {"tokens": tokens, "imported_bytes": _peak()}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        corpus = prepare(Stream(tokens), Path(folder), tokenizer="byte")
        row |= {"prepared_bytes": _peak(), "prepared_s": time.perf_counter() - start}
        start = time.perf_counter()
        _count(corpus)
        windows = Windows(corpus, length=100, seed=0)
        for first in range(0, windows.windows - 1000, 1000):
            windows.batch(first, 1000)
        row |= {"counted_bytes": _peak(), "counted_s": time.perf_counter() - start}
    return row


def _count(corpus: Corpus) -> None:
    """Bigrams and trigrams of the train split; every letter must follow every letter."""
    bigrams, trigrams = (counted(corpus, order=order) for order in (2, 3))
    lost = len(corpus.split("train").documents) - 1  # a document has one trigram fewer than bigrams
    if bigrams.distinct != LETTERS**2 + LETTERS or bigrams.seen - trigrams.seen != lost:
        raise AssertionError("the n-grams that were counted are not those of the stream.")


def _peak() -> int:
    """Peak memory of this process, with what it has mapped of files, in bytes."""
    status = Path("/proc/self/status")  # what resource says counts the process that started this one, too
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(_one(int(sys.argv[1]))))
        return
    rows = corpus_rows(quick=False)
    for row in rows:
        print(
            f"{row['tokens']:.0e} tokens: {row['imported_bytes'] / 1e6:.0f} MB after imports, peak "
            f"{row['prepared_bytes'] / 1e6:.0f} MB when prepared ({row['prepared_s']:.1f} s), "
            f"{row['counted_bytes'] / 1e6:.0f} MB when counted and read in windows ({row['counted_s']:.1f} s)"
        )
    for stage in ("prepared", "counted"):
        growth, goal = rows[-1][f"{stage}_bytes_per_token"], rows[-1][f"{stage}_bytes_at_goal"]
        print(
            f"{stage}: {growth:.2f} bytes per token more; {GOAL:.0e} tokens: {goal / 1e9:.2f} GB, limit {LIMIT / 1e9:g}"
        )


if __name__ == "__main__":
    main()
