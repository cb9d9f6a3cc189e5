"""The verb `compare`: one law on two tables, or on two families: exponents, offsets, compute at equal loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .comparison import Comparison
from .equal_loss import OneLaw, law_of_one
from .families import Families
from .flops import six_nd
from .intervals import Interval
from .laws import SeparableLaw
from .parts import Statistic, name_of
from .redrawing import MOST_RESAMPLES, whole
from .resampled import Bootstrap
from .result import Fit
from .schemes import Scheme
from .sides import NAMES, Sides, resample_both

Floats = NDArray[np.float64]

POINTS = 3  # inputs at which the multiplier is asked for by default


def compare(
    first: Fit | Bootstrap, second: Fit | Bootstrap, *, at: ArrayLike | None = None, loss: ArrayLike | None = None,
    statistic: Statistic | None = None, by: str | None = None, resamples: int = 1000, seed: int = 0,
    level: float = 0.95,
) -> Comparison:  # fmt: skip
    """Compare two fits of the same law: ratio of the exponents, difference of the offsets, compute at equal loss.

    The multiplier is how many times more compute the second needs for the loss that the first reaches: 2 means that the
    first is twice as efficient. Of a law of params and tokens it is between compute-optimal models under C = 6 N D; of
    a law of one input, of that input.

    Parameters
    ----------
    first, second : Fit or Bootstrap
        Of one separable law and the same inputs, on two tables; or two families of one joint fit, ``families["c4"]``.
        Of a `Bootstrap` the scheme is taken; both tables are resampled anew, together.
    at : float or sequence of float, optional
        Inputs of the first (FLOPs, or its column) at which the multiplier is given; by default three over the range
        that both tables have, or over the first's where they have none.
    loss : float or sequence of float, nats per token, optional
        Losses at which the multiplier is given, instead of `at`.
    statistic : str, mapping or callable, optional
        Anything else to be subtracted, second minus first: as in `Bootstrap.interval`.
    by : str, optional
        Column that pairs runs: rows of both tables that share its value (params, tokens and flops within 0.1 %) get
        the same sign, so that noise which both share cancels. By default runs are paired where both tables have the
        same inputs, each once.
    resamples, seed
        As in `bootstrap`.
    level : float
        Nominal coverage of the intervals.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError
        If these are no fits of a law.
    ValueError
        If the laws or inputs differ, a number is out of range, or `by` pairs nothing.

    Notes
    -----
    A parameter that is fixed in both, or that the families share, is not compared. With both offsets fixed at one value
    and one shared exponent the multiplier is (A_second / A_first)^(1 / alpha) at every loss. Signs are common where
    runs are paired and independent elsewhere. The t correction has the spare rows of the poorer table where runs are
    paired or clusters are drawn, else Welch's degrees of freedom.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(flops=np.geomspace(1e18, 1e21, 14))
    >>> old = sf.simulate(sf.PowerLaw(E=1.6, A=95, alpha=0.1), design, noise=0.002, seed=1)
    >>> new = sf.simulate(sf.PowerLaw(E=1.6, A=90, alpha=0.1), design, noise=0.002, seed=2)
    >>> pinned = sf.LawRegressor(sf.PowerLaw, fixed={"E": 1.6})
    >>> both = compare(sf.fit(pinned, new), sf.fit(pinned, old), at=1e20)
    >>> low, high = both.multipliers[0]
    >>> low < (95 / 90) ** (1 / 0.1) < high
    True
    """
    fits, scheme = _checked(first, second, at, loss, level)
    resamples, seed = whole("resamples", resamples, 2, MOST_RESAMPLES), whole("seed", seed, 0, 2**63)
    sides = resample_both(fits, scheme, by, resamples=resamples, seed=seed, level=float(level))
    found = _parameters(sides)
    if statistic is not None:
        found.append(_statistic(sides, statistic))
    multipliers, notes = _multipliers(sides, at, loss)
    return Comparison(
        fits[0], fits[1], tuple(found), tuple(multipliers), quantity_of(fits[0]), sides.paired, len(sides.draws), seed,
        tuple(notes),
    )  # fmt: skip


def quantity_of(fit: Fit) -> str:
    """What a multiplier is of: "flops" of a law of params and tokens, else the one input.

    Examples
    --------
    >>> import scalefit as sf
    >>> quantity_of(sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params"))
    'params'
    """
    return fit.inputs[0] if len(fit.inputs) == 1 else "flops"


def _parameters(sides: Sides) -> list[Interval]:
    """Ratios of the exponents, and the difference of the offsets, but of what both hold fixed or share."""

    def numbers(side: int, drawn: bool) -> dict[str, Floats]:
        return sides.numbers(side, drawn=drawn)

    def log_ratio(name: str) -> Callable[[Any, Any], Floats]:
        return lambda a, b: np.log(b[name]) - np.log(a[name])

    law = type(sides.parts[0].fit.law)
    assert issubclass(law, SeparableLaw)
    found = [
        sides.interval(f"{name}, second / first", log_ratio(name), numbers).exponential()
        for name in (term.exponent for term in law.terms)
        if name not in sides.shared
    ]
    if "E" not in sides.shared:
        found.append(sides.interval("E, second - first", lambda a, b: b["E"] - a["E"], numbers))
    return found


def _statistic(sides: Sides, statistic: Statistic) -> Interval:
    """Difference of any statistic of a fit."""
    made, name = [], name_of(statistic)
    for part in sides.parts:
        own = replace(part, labels=np.searchsorted(part.units, part.labels))
        boot = Bootstrap(part.fit, sides.scheme, 0, sides.draws[:, part.units], (own,))
        made.append((np.array([boot.estimate(statistic)]), boot.values(statistic)))
    return sides.interval(f"{name}, second - first", lambda a, b: b - a, lambda side, drawn: made[side][int(drawn)])


def _multipliers(sides: Sides, at: ArrayLike | None, loss: ArrayLike | None) -> tuple[list[Interval], list[str]]:
    """Multiples of the quantity that the second needs, at inputs of the first or at losses."""
    fits = [part.fit for part in sides.parts]
    law, quantity = type(fits[0].law), quantity_of(fits[0])
    assert issubclass(law, SeparableLaw)

    def one(side: int, drawn: bool) -> OneLaw:
        return law_of_one(law, fits[side].inputs, sides.numbers(side, drawn=drawn))

    try:
        base = [one(0, False), one(1, False)]
    except ValueError as error:
        if at is not None or loss is not None:
            raise
        return [], [f"no multiplier: {error}"]
    runs = [_runs(fit) for fit in fits]
    found, notes = [], []
    points = _points(runs) if at is None and loss is None else np.atleast_1d(np.asarray(at if loss is None else loss))
    for point in points.tolist():
        if loss is None:
            label, target = f"{quantity}, second / first, at {quantity} {point:.4g}", base[0].loss(point)
        else:
            label, target = f"{quantity}, second / first, at loss {point:.4g}", np.array([point])

        def ratio(a: OneLaw, b: OneLaw, point: float = point) -> Floats:
            if loss is None:
                return np.asarray(b.log_needed(a.loss(point)) - np.log(point))
            return np.asarray(b.log_needed(point) - a.log_needed(point))

        needed = [float(law_.log_needed(target)[0]) for law_ in base]
        unreached = [side for side, log_x in zip(NAMES, needed, strict=True) if not np.isfinite(log_x)]
        missing = f"the law of the {' and the '.join(unreached)} never falls to {target[0]:.6g}" if unreached else ""
        reach = max((_beyond(log_x, x) for log_x, x in zip(needed, runs, strict=True)), default=0.0)
        made = sides.interval(label, ratio, one, reach=reach, reads_law=False, missing=missing)
        if np.isinf(made.high) or np.isinf(made.low):
            notes.append(f"{label}: in some refits a law never falls to that loss, so the interval has no end there")
        found.append(made.exponential() if not missing else replace(made, estimate=float("nan")))
    return found, notes


def _runs(fit: Fit) -> Floats:
    """The quantity of the multiplier, of the runs of a fit."""
    if len(fit.inputs) == 1:
        return np.asarray(fit.table[fit.inputs[0]], dtype=float)
    return np.asarray(six_nd(fit.table["params"], fit.table["tokens"]))


def _points(runs: Sequence[Floats]) -> Floats:
    low, high = max(x.min() for x in runs), min(x.max() for x in runs)
    if not low < high:
        low, high = runs[0].min(), runs[0].max()
    return np.geomspace(low, high, POINTS)


def _beyond(log_x: float, runs: Floats) -> float:
    """Decades by which an input lies beyond the runs."""
    if not np.isfinite(log_x):
        return 0.0
    return float(max(log_x - np.log(runs.max()), np.log(runs.min()) - log_x, 0.0) / np.log(10))


def _checked(
    first: Any, second: Any, at: ArrayLike | None, loss: ArrayLike | None, level: float
) -> tuple[list[Fit], Scheme | None]:
    """Both fits, and the scheme that was asked for."""
    given = [one for one in (first, second) if isinstance(one, Bootstrap)]
    if len(given) == 2 and given[0].scheme != given[1].scheme:
        raise ValueError(
            f"the two were resampled in two ways, {given[0].words} and {given[1].words}: use one for both."
        )
    fits: list[Any] = [one.base if isinstance(one, Bootstrap) else one for one in (first, second)]
    for fit in fits:
        if isinstance(fit, Families):
            raise TypeError('compare takes two families, compare(families["c4"], families["web"]), not all of them.')
        if not isinstance(fit, Fit):
            raise TypeError(f"compare needs two fits, or bootstraps of fits, not {type(fit).__name__}.")
        if not fit.has_law or not issubclass(type(fit.law), SeparableLaw):
            raise TypeError(
                f"compare needs laws that are sums of powers or exponentials, not {fit.formula}. Bootstrap each "
                "fit and compare a statistic of your own."
            )
    if type(fits[0].law) is not type(fits[1].law) or fits[0].inputs != fits[1].inputs:
        raise ValueError(
            f"the two are not one law of the same columns: {fits[0].formula} and {fits[1].formula}. Fit both alike."
        )
    if fits[0].model.objective_.upward != fits[1].model.objective_.upward:
        raise ValueError(
            "the two objectives differ in upward, so the laws lie differently among their runs. Fit alike."
        )
    if at is not None and loss is not None:
        raise ValueError("give at= (inputs of the first) or loss=, not both.")
    for name, values in (("at", at), ("loss", loss)):
        array = _numbers([1.0] if values is None else values)
        if array.ndim != 1 or not array.size or not np.all(np.isfinite(array) & (array > 0)):
            raise ValueError(f"{name} must be positive and finite numbers, one or several, not {values!r}.")
    if isinstance(level, bool) or not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level must be between 0 and 1, such as 0.95, not {level!r}.")
    return fits, given[0].scheme if given else None


def _numbers(values: ArrayLike) -> Floats:
    """Numbers as an array of one axis or more; one nan where they are none."""
    try:
        return np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        return np.array([np.nan])
