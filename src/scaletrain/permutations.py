"""Permutations by counter: where a shuffled row of any length has a number, without the row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .counters import number, streams

Ints = NDArray[np.int64]

ROUNDS = 8  # a Feistel network of four is indistinguishable from chance in theory; more cost little
LEAST_HALF = 2  # bits: with one there are too few round functions


def shuffled(places: Ints, size: int, *, key: int) -> Ints:
    """What stands at these places of a pseudo-random permutation of 0, ..., size - 1.

    A Feistel network permutes the least 4^k numbers that hold them all; a number outside goes through it again until it
    is inside, which leaves a permutation of those inside [1]_.

    Parameters
    ----------
    places : (n,) int array
        From 0 to size - 1.
    size : int
        At most 2^62.
    key : int
        Of `counters.key_of`.

    References
    ----------
    .. [1] Black, Rogaway 2002, Ciphers with Arbitrary Finite Domains, CT-RSA, method 2 (cycle walking).

    Examples
    --------
    >>> from scaletrain.counters import key_of
    >>> sorted(shuffled(np.arange(5), 5, key=key_of(0)).tolist())
    [0, 1, 2, 3, 4]
    """
    half = max(LEAST_HALF, ((size - 1).bit_length() + 1) // 2)
    found, outside = places.astype(np.int64), np.arange(len(places))
    while len(outside):
        moved = _network(found[outside], half, key)
        found[outside] = moved
        outside = outside[moved >= size]
    return found


def _network(values: Ints, half: int, key: int) -> Ints:
    """The numbers of 2 half bits to which a Feistel network takes such numbers."""
    mask = (1 << half) - 1
    left, right = values >> half, values & mask
    for turn in range(ROUNDS):
        left, right = right, left ^ (number(streams(key, right), turn) & mask)
    return left << half | right
