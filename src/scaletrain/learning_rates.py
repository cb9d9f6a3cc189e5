"""Which learning rates a cell still needs: bracket the best one by factors of two, then its parabola's minimum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

WIDE = 0.99  # octaves: two rates that are further apart leave something to refine between them
STEPS = 8  # of an octave: the grid on which a refined rate lies, our choice: half a step costs under 1 % of the excess
DIGITS = 4  # of a refined rate, so that all machines mean the same by it
FURTHEST = 8.0  # octaves from the first guess, beyond which the search gives up
SMALLEST = 1e-12  # excess below which a run is perfect

Excesses = Mapping[float, Sequence[float]]  # learning rate: excess of each seed, nats; nan where it diverged


def rounds(found: Excesses, guess: float) -> tuple[tuple[float, ...], ...]:
    """Rounds of learning rates that a search has come to; it is over if all of them are found.

    A round is planned when all rates of the one before it are found, and from these alone: neither the order in which
    runs finish nor other rates that were tried change it.

    Parameters
    ----------
    found : mapping
        Of each learning rate that was tried, the excess losses of all its seeds.
    guess : float
        Where the search begins: the optimum of a neighbouring cell.

    Examples
    --------
    >>> rounds({0.005: [0.4]}, 0.01)
    ((0.005, 0.01, 0.02),)
    >>> rounds({0.005: [0.4], 0.01: [0.2], 0.02: [0.1]}, 0.01)
    ((0.005, 0.01, 0.02), (0.04,))
    """
    made: list[tuple[float, ...]] = []
    tried: dict[float, Sequence[float]] = {}
    while following := wanted(tried, guess):
        made.append(following)
        if not all(lr in found for lr in following):
            break
        tried |= {lr: found[lr] for lr in following}
    return tuple(made)


def wanted(found: Excesses, guess: float) -> tuple[float, ...]:
    """Learning rates to try next, the least first; none if the optimum is bracketed and refined.

    A search begins with half, once and twice the guess. While the best rate is at an end, one more follows there, at
    the same ratio; where all diverged, the least counts as the best. Then, once, the minimum of the parabola through
    the best rate and its neighbours in log lr and mean log excess.

    Examples
    --------
    >>> wanted({}, 0.01)
    (0.005, 0.01, 0.02)
    >>> wanted({0.005: [0.4], 0.01: [0.2], 0.02: [0.1]}, 0.01)
    (0.04,)
    >>> wanted({0.005: [0.4], 0.01: [0.2], 0.02: [0.4]}, 0.01)
    ()
    """
    if len(found) < 3:
        return tuple(lr for lr in (guess / 2, guess, guess * 2) if lr not in found)
    rates = sorted(found)
    scores = [score(found[lr]) for lr in rates]
    best = scores.index(min(scores))
    if best in (0, len(rates) - 1):
        inner = rates[1] if best == 0 else rates[-2]
        beyond = rates[best] * (rates[best] / inner)
        return (beyond,) if abs(math.log2(beyond / guess)) <= FURTHEST else ()
    left, right = (math.log2(rates[place] / rates[best]) for place in (best - 1, best + 1))
    if -left < WIDE or right < WIDE:
        return ()
    rises = scores[best - 1] - scores[best], scores[best + 1] - scores[best]
    shift = round(STEPS * lowest(left, right, *rises)) / STEPS
    return (float(f"{rates[best] * 2.0**shift:.{DIGITS}g}"),) if shift else ()


def lowest(left: float, right: float, left_rise: float, right_rise: float) -> float:
    """Where a parabola through (left, left_rise), (0, 0) and (right, right_rise) is lowest.

    Where a side diverged, the other one cannot tell: the middle stands.

    Examples
    --------
    >>> lowest(-1, 1, 1.0, 1.0), lowest(-1, 1, 0.5, 1.5), lowest(-1, 1, math.inf, 1.0)
    (0.0, -0.25, 0.0)
    """
    if not math.isfinite(left_rise + right_rise) or left_rise + right_rise <= 0:
        return 0.0
    return 0.5 * (right_rise * left**2 - left_rise * right**2) / (right_rise * left - left_rise * right) + 0.0  # no -0


def score(excesses: Sequence[float]) -> float:
    """Mean log excess over seeds; infinite if one of them diverged.

    Examples
    --------
    >>> score([1.0, math.e]), score([0.1, math.nan])
    (0.5, inf)
    """
    if not all(math.isfinite(one) for one in excesses):
        return math.inf
    return sum(math.log(max(one, SMALLEST)) for one in excesses) / len(excesses)


def best_rate(found: Excesses) -> float:
    """The learning rate of the lowest score, the least of equal ones.

    Examples
    --------
    >>> best_rate({0.01: [0.2], 0.02: [0.1]})
    0.02
    """
    return min(found, key=lambda lr: (score(found[lr]), lr))


def at_an_edge(found: Excesses) -> bool:
    """Whether the best learning rate is the least or the largest that was tried: the optimum may lie beyond.

    Examples
    --------
    >>> at_an_edge({0.01: [0.2], 0.02: [0.1], 0.04: [0.3]}), at_an_edge({0.01: [0.2], 0.02: [0.1]})
    (False, True)
    """
    return best_rate(found) in (min(found), max(found))
