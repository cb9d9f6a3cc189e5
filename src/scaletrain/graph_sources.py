"""Where graphs come from: random ones drawn by networkx, a user's file."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .config import check_whole
from .graphs import MOST_NODES, Graph


def erdos_renyi(nodes: int, edges: int, *, seed: int) -> Graph:
    """Erdos-Renyi graph with that many undirected edges, drawn by networkx; its giant part.

    Raises
    ------
    ValueError
        If there is no such graph, or none that can be walked on.

    Examples
    --------
    >>> erdos_renyi(1000, 5000, seed=0)
    er-1000-5000: 1000 nodes, 10000 directed edges, entropy 2.352 nats
    """
    check_whole("nodes", nodes, 2, MOST_NODES)
    check_whole("edges", edges, 0)
    check_whole("seed", seed, 0)
    if edges < 1 or edges > nodes * (nodes - 1) // 2:
        raise ValueError(f"{nodes} nodes have 1 to {nodes * (nodes - 1) // 2} undirected edges, not {edges}.")
    return from_networkx(_networkx().gnm_random_graph(nodes, edges, seed=seed), name=f"er-{nodes}-{edges}")


def barabasi_albert(nodes: int, attached: int, *, seed: int) -> Graph:
    """Barabasi-Albert graph, each new node attached to that many, drawn by networkx.

    8000 nodes and 6 give the 47,964 edges that come nearest to the paper's 50 thousand (our choice).

    Raises
    ------
    ValueError
        If there is no such graph.

    Examples
    --------
    >>> barabasi_albert(8000, 6, seed=0).edges // 2
    47964
    """
    check_whole("nodes", nodes, 2, MOST_NODES)
    check_whole("attached", attached, 0)
    check_whole("seed", seed, 0)
    if not 1 <= attached < nodes:
        raise ValueError(f"a new node is attached to 1 to {nodes - 1} nodes, not {attached}.")
    made = _networkx().barabasi_albert_graph(nodes, attached, seed=seed)
    return from_networkx(made, name=f"ba-{nodes}-{attached}")


def from_networkx(graph: Any, *, name: str = "graph", weight: str | None = None) -> Graph:
    """Graph of a networkx graph; nodes are numbered in its order, and labelled unless they are those numbers.

    Parameters
    ----------
    graph : networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
        The weights of parallel edges are added.
    name : str
    weight : str, optional
        Attribute of the edges that holds W.

    Raises
    ------
    ValueError
        If an edge lacks its weight, or there is no edge to walk on.

    Examples
    --------
    >>> import networkx as nx
    >>> from_networkx(nx.cycle_graph(5)).nodes
    5
    """
    if not hasattr(graph, "is_directed"):
        raise TypeError(f"this must be a graph of networkx, not a {type(graph).__name__}: {graph!r:.80}")
    numbers = {node: number for number, node in enumerate(graph)}
    pairs = np.array([(numbers[a], numbers[b]) for a, b in graph.edges()], dtype=np.int64).reshape(-1, 2)
    weights = None
    if weight is not None:
        edges = list(graph.edges(data=True))
        lacking = [(a, b) for a, b, data in edges if not isinstance(data.get(weight), int | float)]
        if lacking:
            raise ValueError(f"edge {lacking[0]} has no number as its {weight!r} ({len(lacking)} such edges).")
        weights = np.array([data[weight] for *_, data in edges], dtype=float)
    labels = None if all(node == number for node, number in numbers.items()) else list(map(str, numbers))
    return Graph.from_edges(
        pairs, nodes=len(numbers), weights=weights, directed=graph.is_directed(), name=name, labels=labels
    )


def read_graph(path: str | os.PathLike[str], *, directed: bool = False) -> Graph:
    r"""Graph of a file: GraphML (.graphml), or an edge list, a line per edge: node node [weight].

    Words of an edge list are parted by blanks or commas, and what follows a # is a comment. A GraphML file says itself
    whether it is directed; where its edges have the attribute `weight`, that is W.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds no graph that can be walked on.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "friends.txt")
    ...     _ = path.write_text("ann bob 2\nbob cid 1\ncid ann 1\n")
    ...     read_graph(path).labels
    ('ann', 'bob', 'cid')
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OSError(f"{path} could not be read ({error.strerror}).") from error
    if path.suffix.lower() != ".graphml":
        return _read_edge_list(path, content, directed)
    if directed:
        raise ValueError(f"{path} says itself whether it is directed. Leave directed out.")
    networkx = _networkx()
    try:
        found = networkx.read_graphml(BytesIO(content))
    except Exception as error:  # the parser raises what it likes
        raise ValueError(f"{path} is no GraphML file: {error}") from error
    weighted = any("weight" in data for *_, data in found.edges(data=True))
    return from_networkx(found, name=path.stem, weight="weight" if weighted else None)


def _networkx() -> ModuleType:
    """The networkx package, loaded when a graph is made."""
    try:
        import networkx
    except ImportError as error:
        raise ImportError(
            "Random graphs and GraphML need networkx, the extra 'train'. Install it from the clone: "
            "pip install '.[train]'"
        ) from error
    return networkx  # type: ignore[no-any-return, unused-ignore]


def _read_edge_list(path: Path, content: bytes, directed: bool) -> Graph:
    """Graph of lines of two names and perhaps a weight; names are numbered in the order of the file."""
    numbers: dict[str, int] = {}
    pairs, weights, columns = [], [], 0
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start}).") from error
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split("#")[0].replace(",", " ").split()
        if not words:
            continue
        columns = columns or len(words)
        if len(words) not in (2, 3) or len(words) != columns:
            raise ValueError(
                f"{path}, line {number}: an edge is two nodes and perhaps a weight, the same on every line, not "
                f"{line[:80]!r}."
            )
        pairs.append([numbers.setdefault(name, len(numbers)) for name in words[:2]])
        if columns == 3:
            try:
                weights.append(float(words[2]))
            except ValueError:
                raise ValueError(f"{path}, line {number}: the weight {words[2]!r} is no number.") from None
    if not pairs:
        raise ValueError(f"{path} has no edges. An edge list has a line per edge: node node [weight].")
    return Graph.from_edges(
        np.array(pairs), weights=np.array(weights) if weights else None, directed=directed, name=path.stem,
        labels=list(numbers),
    )  # fmt: skip
