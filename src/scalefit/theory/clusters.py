"""Clusters of percolation on a Bethe lattice: how they are stored, and how they grow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cluster_laws import critical_probability
from .guards import probability, whole

Ints = NDArray[np.int64]
Indices = NDArray[np.int32]

MOST_SITES = 2**31 - 1  # what 32 bits number
MOST_ATTEMPTS = 100_000  # at one cluster, about a second; limits that hardly any cluster meets are taken for a mistake


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees side by side, their sites in breadth-first order: all roots, then all sites of depth 1, and so on.

    Eight bytes a site. Nothing else is stored: what follows from these two arrays is found when it is first asked for.

    Attributes
    ----------
    parent : (n,) array of int
        Site before each site on the way to its root; a root is its own. Rises, after the roots.
    depth : (n,) array of int
        Bonds to the root; rises.

    Raises
    ------
    ValueError
        If the arrays are not in that order.

    Examples
    --------
    >>> two = Forest(parent=np.array([0, 1, 0, 0, 1]), depth=np.array([0, 0, 1, 1, 1]))
    >>> len(two), two.sizes.tolist(), two.label.tolist()
    (2, [3, 2], [0, 1, 0, 0, 1])
    """

    parent: Indices
    depth: Indices

    def __post_init__(self) -> None:
        parent, depth = (_whole(name, getattr(self, name)) for name in ("parent", "depth"))
        if parent.shape != depth.shape or not parent.size:
            raise ValueError(f"a parent and a depth per site, but there are {parent.size} and {depth.size}.")
        roots = int(np.searchsorted(depth, 1))
        inner = parent[roots:]
        checks = {
            "the first sites are roots, of depth 0, and each root is its own parent": roots > 0
            and not depth[0]
            and np.array_equal(parent[:roots], np.arange(roots)),
            "depths rise along the sites": bool(np.all(np.diff(depth) >= 0)),
            "parents rise along the sites after the roots": bool(np.all(np.diff(inner) >= 0)),
            "a parent comes before its site": bool(np.all((inner >= 0) & (inner < np.arange(roots, parent.size)))),
        }
        checks["a site is one deeper than its parent"] = all(checks.values()) and bool(
            np.all(depth[inner] + 1 == depth[roots:])
        )
        for rule, holds in checks.items():
            if not holds:
                raise ValueError(f"sites are in breadth-first order, but not here: {rule}.")
        for name, values in (("parent", parent), ("depth", depth)):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        """Clusters that there are."""
        return int(np.searchsorted(self.depth, 1))

    @cached_property
    def levels(self) -> Ints:
        """First site of each depth, and the number of sites."""
        return np.searchsorted(self.depth, np.arange(int(self.depth[-1]) + 2))

    @cached_property
    def label(self) -> Indices:
        """(n,) array: the cluster of each site."""
        label = np.arange(self.parent.size, dtype=np.int32)
        for first, end in zip(self.levels[1:-1], self.levels[2:], strict=True):
            label[first:end] = label[self.parent[first:end]]
        return label

    @cached_property
    def sizes(self) -> Ints:
        """Sites of each cluster."""
        return np.bincount(self.label, minlength=len(self))

    @cached_property
    def order(self) -> Indices:
        """(n,) array: sites of cluster 0 in breadth-first order, then those of cluster 1, and so on."""
        few = len(self) <= 1 << 16  # numbers of 16 bits are sorted in linear time
        return np.argsort(self.label.astype(np.uint16) if few else self.label, kind="stable").astype(np.int32)


def grow_clusters(
    count: int,
    *,
    degree: int = 12,
    p: float | None = None,
    smallest: int = 100,
    largest: int | None = 10_000_000,
    seed: int = 0,
) -> Forest:
    """Clusters of the root of a Bethe lattice whose sizes lie within limits.

    A cluster grows from its root, breadth first: each of `degree` bonds of the root, and each of the ``degree - 1``
    further bonds of a site that was reached, is open with probability p [1]_. Clusters outside the limits are dropped.
    What is grown level by level is how many sites a level has: ``Binomial((degree - 1) width, p)``. Given its size,
    every arrangement of open bonds in a tree has the same probability, so that the shapes of those that are kept are
    drawn at once: open bonds are spread evenly over the sites, and of the rotations of that sequence one is taken that
    is a tree (the cycle lemma [2]_).

    Parameters
    ----------
    count : int
        Clusters to keep. The paper keeps 316 with ``largest / smallest = 1e5``.
    degree : int
        z = 2 d of the lattice that is stood in for. Not from the paper (value unknown); 12 is d = 6, from which on
        percolation has the exponents of the Bethe lattice.
    p : float, optional
        Probability of a bond; by default the critical one, 1 / (degree - 1).
    smallest, largest : int
        Limits of the size, both inclusive; `largest` None is no limit, which only subcritical growth can do without.
        Not from the paper (values unknown, but for their ratio).
    seed : int
        Cluster k depends on the seed and k alone.

    Raises
    ------
    ValueError
        If p is not within (0, 1), growth at or above the critical p has no limit, or no cluster is within the limits.

    References
    ----------
    .. [1] Brill 2024, arXiv:2412.07942, section 5, equations 1 to 4.
    .. [2] Dwass 1969, J. Appl. Prob. 6, 682.

    Examples
    --------
    >>> forest = grow_clusters(3, smallest=10, largest=1000, seed=0)
    >>> len(forest), bool(np.all((forest.sizes >= 10) & (forest.sizes <= 1000)))
    (3, True)
    """
    growth = _Growth.of(degree, p, smallest, largest)
    draws = [
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(whole("count", count, least=1))
    ]
    sizes = [growth.size(rng) for rng in draws]
    if sum(sizes) > MOST_SITES:
        raise ValueError(f"clusters have at most {MOST_SITES:,} sites together, but these have {sum(sizes):,}.")
    return _side_by_side([_children(rng, size, degree) for rng, size in zip(draws, sizes, strict=True)])


@dataclass(frozen=True)
class _Growth:
    """Galton-Watson growth from a root, and the sizes that are kept."""

    degree: int
    p: float
    smallest: int
    largest: int | None

    @classmethod
    def of(cls, degree: int, p: float | None, smallest: int, largest: int | None) -> _Growth:
        critical = critical_probability(degree)
        smallest = whole("smallest", smallest, least=1)
        largest = None if largest is None else whole("largest", largest, least=1)
        p = critical if p is None else probability(p)
        if largest is None and p >= critical:
            raise ValueError(
                f"without a limit of sizes growth at p = {p:g} of degree {degree} has no finite mean size: "
                f"give `largest`, or a p below the critical 1 / (degree - 1) = {critical:g}."
            )
        if largest is not None and largest < smallest:
            raise ValueError(f"no cluster is within the limits: smallest is {smallest:,}, largest {largest:,}.")
        return cls(int(degree), p, smallest, largest)

    def size(self, rng: np.random.Generator) -> int:
        """Sites of the first cluster grown whose size is within the limits."""
        for _ in range(MOST_ATTEMPTS):
            size = self._grown(rng)
            if self.smallest <= size <= self.stop:
                return size
        upper = "on" if self.largest is None else f"to {self.largest:,}"
        raise ValueError(
            f"no cluster is within the limits: of {MOST_ATTEMPTS:,} grown with p = {self.p:g} and degree {self.degree} "
            f"none has from {self.smallest:,} {upper} sites. Loosen the limits, or take another p."
        )

    @property
    def stop(self) -> int:
        return MOST_SITES if self.largest is None else self.largest

    def _grown(self, rng: np.random.Generator) -> int:
        """Size of one cluster; growth ends beyond the largest that is kept."""
        size, width = 1, int(rng.binomial(self.degree, self.p))
        while width and size <= self.stop:
            size += width
            width = int(rng.binomial((self.degree - 1) * width, self.p))
        return size


def _children(rng: np.random.Generator, size: int, degree: int) -> Ints:
    """Children of each site in breadth-first order, of a cluster of that size.

    The root has a bond more than the others, and unless it is alone at least one is open. Set aside, it leaves ``size``
    sites with ``degree - 1`` bonds each, of which ``size - 2`` are open, any as likely as any other. If k of the bonds
    of the root are open, k rotations of the rest are sequences of k trees one after the other.
    """
    if size == 1:
        return np.zeros(1, dtype=np.int64)
    slots = degree - 1
    counts = rng.binomial(slots, (size - 2) / (slots * size), size)
    # which are open does not depend on p once their number is known, so that the surplus is closed, or the lack opened
    excess = int(counts.sum()) - (size - 2)
    pool = counts if excess > 0 else slots - counts
    bonds = rng.choice(int(pool.sum()), abs(excess), replace=False, shuffle=False)
    changed = np.bincount(np.searchsorted(np.cumsum(pool), bonds, side="right"), minlength=size)
    counts -= np.sign(excess) * changed
    root, rest = counts[0] + 1, counts[1:]
    walk = np.cumsum(rest - 1)
    cut = int(np.argmax(walk <= walk.min() + rng.integers(root))) + 1
    return np.concatenate([[root], rest[cut:], rest[:cut]])


def _side_by_side(families: list[Ints]) -> Forest:
    """Clusters from the children of their sites, each in breadth-first order, put level by level."""
    starts = [_level_starts(children) for children in families]
    widths = np.zeros(max(len(start) for start in starts) - 1, dtype=np.int64)
    for start in starts:
        widths[: len(start) - 1] += np.diff(start)
    depth = np.repeat(np.arange(widths.size, dtype=np.int32), widths)
    parent = np.zeros(depth.size, dtype=np.int32)
    free = np.concatenate([[0], np.cumsum(widths)[:-1]])  # next place of each level
    for number, (children, start) in enumerate(zip(families, starts, strict=True)):
        width = np.diff(start)
        place = np.arange(children.size) + np.repeat(free[: width.size] - start[:-1], width)
        parent[number] = number
        parent[place[1:]] = np.repeat(place, children)
        free[: width.size] += width
    return Forest(parent, depth)


def _level_starts(children: Ints) -> Ints:
    """First site of each level of a cluster, and its size: the children of the first m sites end at 1 + their sum."""
    ends, starts = 1 + np.cumsum(children), [0, 1]
    while starts[-1] < children.size:
        starts.append(int(ends[starts[-1] - 1]))
    return np.array(starts)


def _whole(name: str, values: Any) -> Indices:
    """A read-only copy of whole numbers."""
    given = np.asarray(values)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"{name} is a list of whole numbers, not {given.dtype} of shape {given.shape}.")
    return given.astype(np.int32)
