"""Windows of rows: nested ones, cut from below or above, and sliding ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .schemes import RTOL
from .selection import group_labels

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Our choices, none from the paper. A cut by default keeps a quarter of the rows; a sliding window is half of them,
# moved by an eighth; cuts are the levels of a column that has up to a dozen, else at least five round values.
LEAST_SHARE, HALF, EIGHTHS = 0.25, 0.5, 8
MOST_LEVELS, LEAST_CUTS = 12, 5
ROUND = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
FROM, UP_TO, SLIDING = "from", "up to", "sliding"


@dataclass(frozen=True, eq=False)
class Window:
    """Rows with low <= x <= high.

    Examples
    --------
    >>> made = cut(np.array([1.0, 2.0, 3.0, 4.0]), cuts=[3.0], ranked=False)
    >>> made[0].kind, made[0].low, made[0].inside.tolist()
    ('from', 3.0, [False, False, True, True])
    """

    kind: str
    low: float
    high: float
    inside: Bools


def cut(x: Floats, *, cuts: ArrayLike | None = None, ranked: bool = False) -> tuple[Window, ...]:
    """Windows of rows by the values of a column.

    Parameters
    ----------
    x : (n,) array
    cuts : sequence of float, optional
        Values at which nested windows begin and end; of ranked rows, shares of the rows that they leave out.
    ranked : bool
        Whether the default cuts leave out equal shares of the rows, rather than lie at round values.

    Raises
    ------
    ValueError
        If there is no cut, or one is no finite number or leaves out no row, or all.

    Examples
    --------
    >>> x = np.geomspace(1e18, 1e22, 40)
    >>> [f"{one.low:.0e}" for one in cut(x) if one.kind == "from"]
    ['3e+18', '1e+19', '3e+19', '1e+20', '3e+20', '1e+21']
    """
    lows, highs = (_default_ranked(x) if ranked else _default(x)) if cuts is None else _given(x, cuts, ranked)
    made = [Window(FROM, low, float(x.max()), x >= low) for low in lows]
    made += [Window(UP_TO, float(x.min()), high, x <= high) for high in highs]
    seen = {one.inside.tobytes() for one in made}
    for low, high in _sliding(x):
        inside = (x >= low) & (x <= high)
        if inside.tobytes() not in seen and not inside.all():
            seen.add(inside.tobytes())
            made.append(Window(SLIDING, low, high, inside))
    return tuple(made)


def round_values(low: float, high: float) -> list[float]:
    """Round values strictly between two positive numbers, at least five of them where the range has so many.

    Examples
    --------
    >>> round_values(1e18, 2e20)
    [2e+18, 5e+18, 1e+19, 2e+19, 5e+19, 1e+20]
    """
    decades = range(int(np.floor(np.log10(low))), int(np.floor(np.log10(high))) + 1)
    for digits in ROUND:
        values = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
        values = [value for value in values if low < value < high]
        if len(values) >= LEAST_CUTS:
            break
    return values


def _default(x: Floats) -> tuple[list[float], list[float]]:
    """Lower and upper cuts: between the levels of a column that has few, else at round values."""
    lows, highs = _levels(x)
    if len(np.unique(lows)) <= MOST_LEVELS:
        return _large_enough(x, lows.tolist(), highs.tolist())
    values = round_values(float(x.min()), float(x.max()))
    return _large_enough(x, values, values)


def _default_ranked(x: Floats) -> tuple[list[float], list[float]]:
    """Cuts that leave out an eighth of the rows, two eighths, and so on."""
    return _large_enough(x, *_at_shares(x, [part / EIGHTHS for part in range(1, EIGHTHS)]))


def _levels(x: Floats) -> tuple[Floats, Floats]:
    """(n,) smallest and largest value at the level of each row, in order: values within 0.1 % stay together."""
    ordered = np.sort(x)
    level = group_labels(ordered, RTOL)
    first, last = np.searchsorted(level, level, side="left"), np.searchsorted(level, level, side="right") - 1
    return ordered[first], ordered[last]


def _large_enough(x: Floats, lows: Sequence[float], highs: Sequence[float]) -> tuple[list[float], list[float]]:
    """Cuts that leave out some rows but keep a quarter, from the mildest on."""
    least, n = LEAST_SHARE * len(x), len(x)
    kept = [low for low in sorted(set(lows)) if least <= np.count_nonzero(x >= low) < n]
    return kept, [high for high in sorted(set(highs), reverse=True) if least <= np.count_nonzero(x <= high) < n]


def _at_shares(x: Floats, shares: Sequence[float]) -> tuple[list[float], list[float]]:
    """Lower and upper cuts that leave out these shares of the rows."""
    (lows, highs), n = _levels(x), len(x)
    places = [min(round(share * n), n - 1) for share in shares]
    return [float(lows[place]) for place in places], [float(highs[n - 1 - place]) for place in places]


def _given(x: Floats, cuts: Any, ranked: bool) -> tuple[list[float], list[float]]:
    """Cuts of the user."""
    try:
        values = np.asarray(cuts, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"cuts must be numbers, such as [1e19, 1e20], not {cuts!r}.") from None
    if values.ndim != 1 or not len(values):
        raise ValueError(f"cuts must be a sequence of at least one number, not {cuts!r}.")
    low, high = (0.0, 1.0) if ranked else (float(x.min()), float(x.max()))
    bad = values[~((values >= low) & (values <= high))]
    if ranked:
        bad = values[~((values > low) & (values < high))]
    if len(bad):
        what = "shares of the rows between 0 and 1" if ranked else f"values among the rows, {low:.4g} to {high:.4g}"
        raise ValueError(f"cuts must be {what}, but one is {bad[0]:g} ({len(bad)} such).")
    return _at_shares(x, values.tolist()) if ranked else (values.tolist(), values.tolist())


def _sliding(x: Floats) -> list[tuple[float, float]]:
    """Ends of windows of half the rows."""
    (lows, highs), n = _levels(x), len(x)
    size = int(np.ceil(HALF * n))
    starts = [round(part * n / EIGHTHS) for part in range(EIGHTHS // 2 + 1)]
    return [(float(lows[start]), float(highs[min(start + size, n) - 1])) for start in starts]
