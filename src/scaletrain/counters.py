"""Random numbers by counter: number t of walk w is a function of (seed, w, t), the same on every device."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

Split = Literal["train", "test"]
SPLITS: dict[Split, int] = {"train": 0, "test": 1}

# SplitMix64 (Steele, Lea, Flood 2014): a Weyl sequence through a 64-bit mixer. As int64, since torch has no uint64
# arithmetic; products wrap around and shifts are masked, so both libraries give the same bits.
_WEYL, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
LOW32 = 0xFFFFFFFF
LOW62 = (1 << 62) - 1


def key_of(*words: int) -> int:
    """Key of a stream from whole numbers below 2^32, always as many: a seed, and what the stream is for.

    Examples
    --------
    >>> key_of(0, 1) != key_of(1, 0)
    True
    """
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return int(state.view(np.int64)[0])


def streams(key: int, walks: Any) -> Any:
    """State of the stream of each walk, an int64 array of numpy or torch."""
    return mixed(walks * _signed(_WEYL) + key)


def number(states: Any, place: int) -> Any:
    """The 64-bit number at a place of each stream.

    Examples
    --------
    >>> walks = np.arange(3)
    >>> number(streams(key_of(0), walks), 0).dtype
    dtype('int64')
    """
    return mixed(states + _signed((place + 1) * _WEYL))


def mixed(state: Any) -> Any:
    """Finaliser of SplitMix64."""
    for shift, factor in ((30, _FIRST), (27, _SECOND), (31, 1)):
        bits = state >> shift
        bits &= (1 << 64 - shift) - 1
        bits ^= state
        bits *= _signed(factor)  # in place: a walk spends most of its time here
        state = bits
    return state


def _signed(value: int) -> int:
    """The int64 with the low 64 bits of a whole number."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)
