"""GraphRecipe: a graph by what it is made of, so that it can be made again; from TOML or from the command line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .config import check_entries, check_whole
from .corpora import MANIFEST, Corpus
from .counted_models import bigram_graph, counted
from .graph_sources import barabasi_albert, erdos_renyi, read_graph
from .graphs import WEIGHTS, Graph, checked_bias

Kind = Literal["erdos_renyi", "barabasi_albert", "file", "bigrams"]
#: What each kind is made of.
MADE_OF: dict[str, tuple[str, ...]] = {
    "erdos_renyi": ("nodes", "edges"), "barabasi_albert": ("nodes", "attached"), "file": ("path",),
    "bigrams": ("path",),
}  # fmt: skip
RANDOM: dict[str, Callable[..., Graph]] = {"erdos_renyi": erdos_renyi, "barabasi_albert": barabasi_albert}
SHORT = {"er": "erdos_renyi", "ba": "barabasi_albert"}
SPELLINGS = (
    "er:NODES:EDGES, ba:NODES:ATTACHED, an edge list, a .graphml file, the folder of a corpus, or a .toml file with a "
    "table [graph]"
)


@dataclass(frozen=True, kw_only=True)
class GraphRecipe:
    """What a graph is made of: two graphs of one recipe are equal.

    Parameters
    ----------
    kind : {"erdos_renyi", "barabasi_albert", "file", "bigrams"}
        The last is the paper's graph of the bigrams of a corpus, counted in its train split.
    nodes : int, optional
        Of a random graph.
    edges : int, optional
        Undirected edges, of an Erdos-Renyi graph.
    attached : int, optional
        Edges of each new node, of a Barabasi-Albert graph.
    path : str, optional
        Of an edge list, a GraphML file, or the folder of a prepared corpus.
    directed : bool
        Whether the edges of an edge list have a direction.
    threshold : int
        Bigrams that occur at most so often are left out.
    seed : int
        Of a random graph.
    kappa : float
        From 0, the unbiased walk, to 3: edge weights of density p(w) ~ w^-kappa.
    weights_seed : int
    support : (float, float)
        Interval of the weights; not from the paper (value unknown).
    symmetric : bool
        Whether both directions of an edge share a weight; not from the paper (unknown).

    Raises
    ------
    ValueError
        If an entry is missing, belongs to another kind, or is out of its range.

    Examples
    --------
    >>> recipe = GraphRecipe(kind="erdos_renyi", nodes=100, edges=300, kappa=1.0)
    >>> recipe.build().name, recipe == GraphRecipe.from_dict(recipe.to_dict())
    ('er-100-300-kappa1', True)
    """

    kind: Kind
    nodes: int | None = None
    edges: int | None = None
    attached: int | None = None
    path: str | None = None
    directed: bool = False
    threshold: int = 0
    seed: int = 0
    kappa: float = 0.0
    weights_seed: int = 0
    support: tuple[float, float] = WEIGHTS
    symmetric: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in MADE_OF:
            raise ValueError(f"kind must be one of {', '.join(MADE_OF)}, not {self.kind!r}.")
        own = MADE_OF[self.kind]
        for name in sorted({name for names in MADE_OF.values() for name in names}):
            given = getattr(self, name) is not None
            if given != (name in own):
                fault = f"and has no {name}: leave it out" if given else f"but {name} is missing"
                raise ValueError(f"a graph of kind {self.kind} is made of {' and '.join(own)}, {fault}.")
        if self.path is not None and not (isinstance(self.path, str) and self.path):
            raise ValueError(f"path must be the name of a file, not {self.path!r}.")
        for name in ("nodes", "edges", "attached", "threshold", "seed", "weights_seed"):
            value = getattr(self, name)
            if value is not None:
                check_whole(name, value, 0)
        for name in ("directed", "symmetric"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, not {getattr(self, name)!r}.")
        if self.directed and self.kind != "file":
            raise ValueError(f"a graph of kind {self.kind} has no directions: directed is for edge lists.")
        if self.threshold and self.kind != "bigrams":
            raise ValueError(f"a graph of kind {self.kind} has no counts: threshold is for bigrams.")
        object.__setattr__(self, "support", checked_bias(self.kappa, self.support))

    def build(self) -> Graph:
        """The graph.

        Raises
        ------
        OSError, ValueError
            If its file cannot be read, or there is no graph that can be walked on.
        """
        values = [getattr(self, name) for name in MADE_OF[self.kind]]
        if self.kind == "file":
            made = read_graph(*values, directed=self.directed)
        elif self.kind == "bigrams":
            made = self._bigrams()
        else:
            made = RANDOM[self.kind](*values, seed=self.seed)
        return made.biased(self.kappa, seed=self.weights_seed, support=self.support, symmetric=self.symmetric)

    def _bigrams(self) -> Graph:
        corpus = Corpus.read(str(self.path))
        apart = f"-above{self.threshold}" if self.threshold else ""
        return bigram_graph(counted(corpus, order=2).above(self.threshold), name=f"bigrams{apart}-{corpus.name}")

    def to_dict(self) -> dict[str, Any]:
        """Entries that make a difference, as a table of TOML has them."""
        names = [*MADE_OF[self.kind], {"file": "directed", "bigrams": "threshold"}.get(self.kind, "seed")]
        names += ["kappa", "weights_seed", "support", "symmetric"] if self.kappa else []
        found = {name: getattr(self, name) for name in names if getattr(self, name) is not False}
        return {"kind": self.kind, **found, **({"support": list(self.support)} if self.kappa else {})}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any], *, folder: str | os.PathLike[str] = ".") -> GraphRecipe:
        """Recipe of a table [graph]; a relative path is one from that folder.

        Raises
        ------
        ValueError
            If an entry is unknown, missing or impossible.

        Examples
        --------
        >>> GraphRecipe.from_dict({"kind": "barabasi_albert", "nodes": 8000, "attached": 6}).seed
        0
        """
        check_entries(cls, {"kind": None, **entries}, "[graph]")
        if "kind" not in entries:
            raise ValueError(f"[graph] has no kind. It is one of {', '.join(MADE_OF)}.")
        path = entries.get("path")
        return cls(**{**entries, "path": str(Path(folder, path)) if path and isinstance(path, str) else path})

    @classmethod
    def parse(cls, text: str) -> GraphRecipe:
        """Recipe of a few letters or of a file, as the command line takes it.

        Raises
        ------
        OSError
            If a .toml file cannot be read.
        ValueError
            If it is none of the spellings, or has no graph.

        Examples
        --------
        >>> GraphRecipe.parse("er:1000:5000").to_dict()
        {'kind': 'erdos_renyi', 'nodes': 1000, 'edges': 5000, 'seed': 0}
        >>> GraphRecipe.parse("friends.txt").kind
        'file'
        """
        kind = SHORT.get(text.partition(":")[0])
        if kind is not None and ":" in text:
            numbers, names = text.split(":")[1:], MADE_OF[kind]
            if len(numbers) != len(names) or not all(one.isascii() and one.isdigit() for one in numbers):
                raise ValueError(f"{text!r} names no graph. Write {SPELLINGS}.")
            return cls(kind=kind, **dict(zip(names, map(int, numbers), strict=True)))  # type: ignore[arg-type]
        if Path(text, MANIFEST).is_file():
            return cls(kind="bigrams", path=text)
        if Path(text).suffix.lower() != ".toml":
            return cls(kind="file", path=text)
        try:
            table = tomllib.loads(Path(text).read_text(encoding="utf-8")).get("graph")
        except OSError as error:
            raise OSError(f"{text} could not be read ({error.strerror}).") from error
        except ValueError as error:  # of TOML or of UTF-8
            raise ValueError(f"{text} is no TOML: {error}") from error
        if not isinstance(table, dict):
            raise ValueError(f"{text} has no table [graph].")
        try:
            return cls.from_dict(table, folder=Path(text).parent)
        except ValueError as error:
            raise ValueError(f"{text}: {error}") from error
