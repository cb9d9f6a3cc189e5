"""How much memory the bigrams of 50,257 tokens take to count, and their graph to make, on a synthetic stream.

python benchmarks/ngrams.py 33600000 even          # or zipf: tokens that are even, or follow Zipf's law
python benchmarks/ngrams.py 33600000 even graph    # and the graph, its floor and the tables of its walks
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from scaletrain import Walks, bigram_graph, count_ngrams

VOCABULARY, SOME = 50_257, 1 << 20
UNIT = 1 if sys.platform == "darwin" else 1024


def say(what: object) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 1e9
    print(f"{what} peak {peak:.2f} GB, {time.process_time():.0f} s of the processor")


def main() -> None:
    size, even = int(sys.argv[1]), sys.argv[2] == "even"
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokens.npy")
        tokens = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=(size,))
        for low in range(0, size, SOME):
            piece = tokens[low : low + SOME]
            piece[:] = chance.integers(0, VOCABULARY, len(piece)) if even else chance.zipf(1.2, len(piece)) % VOCABULARY
        say("tokens are made:")
        counts = count_ngrams(tokens, order=2, vocabulary=VOCABULARY)
        say(f"{counts}:")
        if len(sys.argv) > 3:
            graph = bigram_graph(counts)
            graph.floor(50)
            Walks(graph, length=50, seed=0).batch(0, 100)
            say(f"{graph.name}, {graph.edges} edges:")


if __name__ == "__main__":
    main()
