"""Walks over a graph, addressed by number: any batch of any split, in any order, on any device, is the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .alias import alias_tables
from .config import MOST_SEED, check_whole
from .counters import LOW32, LOW62, SPLITS, Split, key_of, number, streams
from .graphs import Graph, check_length

if TYPE_CHECKING:
    import torch

AT_ONCE = 65_536  # walks that are taken together: fewer, and two threads wait for each other's calls


@dataclass(frozen=True, eq=False)
class Walks:
    """Random walks of a length over a graph, numbered without end.

    Walk w of a split and seed is a function of these three: batches can be asked for in any order and size.

    Parameters
    ----------
    graph : Graph
    length : int
        Nodes of a walk, at least 2.
    seed : int
        From 0 to 2^32 - 1.
    split : {"train", "test"}
        The walks of the two splits are drawn independently of each other.

    Raises
    ------
    ValueError
        If the length, the seed or the split is none of these.

    Examples
    --------
    >>> ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    >>> walks = Walks(ring, length=5, seed=0)
    >>> walks.batch(10, 4).shape, bool(np.all(walks.batch(10, 4)[1:] == walks.batch(11, 3)))
    ((4, 5), True)
    """

    graph: Graph
    length: int
    seed: int
    split: Split = "train"

    def __post_init__(self) -> None:
        check_length(self.length)
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {self.split!r}.")
        check_whole("seed", self.seed, 0, MOST_SEED)

    @cached_property
    def tables(self) -> Tables:
        """What a step looks up, as NumPy arrays."""
        return make_tables(self.graph)

    @property
    def key(self) -> int:
        """Key of the random numbers."""
        return key_of(self.seed, SPLITS[self.split])

    def batch(self, first: int, count: int) -> NDArray[np.int32]:
        """(count, length) nodes of the walks from number `first` on.

        Raises
        ------
        ValueError
            If the numbers are not whole, negative, or reach 2^63 - 1.
        """
        check_numbers(first, count)
        made = np.empty((count, self.length), dtype=np.int32)
        out = np.empty((self.length, min(count, AT_ONCE)), dtype=np.int32)
        for start in range(0, count, AT_ONCE):
            some = min(AT_ONCE, count - start)
            states = streams(self.key, np.arange(some, dtype=np.int64) + (first + start))
            _walk(np, self.tables, states, out[:, :some])
            made[start : start + some] = out[:, :some].T
        return made

    def on(self, device: torch.device | str) -> DeviceWalks:
        """The same walks made on a device of torch."""
        return DeviceWalks(self, device)


class DeviceWalks:
    """Walks whose tables lie on a device of torch, where batches are made."""

    def __init__(self, walks: Walks, device: torch.device | str) -> None:
        import torch

        self.walks, self.device = walks, torch.device(device)
        self.tables = Tables(*(None if table is None else torch.as_tensor(table, device=self.device)
                               for table in vars(walks.tables).values()))  # fmt: skip

    def batch(self, first: int, count: int) -> torch.Tensor:
        """(count, length) int64 nodes of the walks from number `first` on."""
        import torch

        check_numbers(first, count)
        walks = torch.arange(count, dtype=torch.int64, device=self.device) + first
        out = torch.empty((self.walks.length, count), dtype=torch.int64, device=self.device)
        _walk(torch, self.tables, streams(self.walks.key, walks), out)
        return out.T.contiguous()


@dataclass(frozen=True)
class Tables:
    """What a step of a walk looks up: arrays of NumPy or of torch.

    Attributes
    ----------
    starts : (n,) array
        Cumulative start distribution, in units of 2^-62.
    first, degrees : (n,) array
        First edge of each node, and how many it has.
    targets : (m,) or (m, 2) array
        Node that each edge leads to; of a biased walk, that which the slot of the edge keeps, and its alias.
    thresholds : (m,) array, optional
        Of a biased walk: numbers of 32 bits, with sign, from which on a slot gives its alias.
    """

    starts: Any
    first: Any
    degrees: Any
    targets: Any
    thresholds: Any = None


def make_tables(graph: Graph) -> Tables:
    """Tables of a graph as NumPy arrays.

    Examples
    --------
    >>> make_tables(Graph.from_edges([(0, 1), (1, 2)])).degrees.tolist()
    [1, 2, 1]
    """
    cumulative = np.cumsum(graph.start)
    starts = np.minimum(cumulative / cumulative[-1] * 2.0**62, 2.0**62).astype(np.int64)
    first, targets, thresholds = graph.indptr[:-1], graph.indices.astype(np.int32), None
    if graph.weights is not None:
        thresholds, aliases = alias_tables(graph.indptr, graph.matrix.data)
        # 2^31 is no number of 32 bits; a slot that is always kept is its own alias, or misses 2^-32
        thresholds = np.minimum(thresholds - (1 << 31), (1 << 31) - 1).astype(np.int32)
        targets = np.stack([targets, targets[np.repeat(first, graph.degrees) + aliases]], axis=1)
    return Tables(starts, first, graph.degrees, targets, thresholds)


def check_numbers(first: int, count: int) -> None:
    """Refuse a batch whose numbers are not whole, negative, or reach 2^63 - 1."""
    for name, value in (("first", first), ("count", count)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise ValueError(f"{name} must be a whole number from 0 on, not {value!r}.")
    if int(first) + int(count) >= 1 << 63:
        raise ValueError(f"walks are numbered below 2^63 - 1, but {count} are asked for from {first} on.")


def _walk(xp: ModuleType, tables: Tables, states: Any, out: Any) -> None:
    """Write (length, count) nodes of the walks with these states."""
    out[0] = xp.searchsorted(tables.starts, number(states, 0) >> 2 & LOW62, side="right")
    for place in range(1, len(out)):
        node = out[place - 1]
        draw = number(states, place)
        edge = draw >> 32  # the upper half chooses one of the node's edges, evenly to 2^-32
        edge &= LOW32
        edge *= tables.degrees.take(node)
        edge >>= 32
        edge += tables.first.take(node)
        if tables.thresholds is not None:  # the lower half, with its sign, chooses between slot and alias
            draw <<= 32
            draw >>= 32
            aliased = draw >= tables.thresholds.take(edge)
            edge *= 2
            edge += aliased
        out[place] = tables.targets.take(edge)
