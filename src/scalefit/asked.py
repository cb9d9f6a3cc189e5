"""What an analysis is asked about: the statistic that stands for a fit, one or several by name, and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeGuard

from .derived import allocation_exponent
from .formula import SeparableLaw
from .intervals import Interval
from .parts import Statistic, as_number, name_of
from .resampled import Bootstrap
from .result import Fit

Statistics = Statistic | Sequence[Statistic] | Mapping[str, Statistic]
NAN = float("nan")


@dataclass(frozen=True)
class Answer:
    """Value of a statistic, with the ends of its interval where there is one.

    Examples
    --------
    >>> Answer(0.5, 0.25, 0.75).half
    0.25
    """

    value: float
    low: float = NAN
    high: float = NAN
    doubts: tuple[str, ...] = ()

    @property
    def half(self) -> float:
        """Half the length of the interval; nan without one."""
        return (self.high - self.low) / 2


def default_statistic(fit: Fit) -> Statistic:
    """The number that stands for a fit: how compute is split, of params and tokens; else the first exponent.

    Where exponents that are tied or fixed settle the split beforehand, it is the first exponent too.

    Raises
    ------
    ValueError
        If the fit is a surface of other inputs, which has no such number.

    Examples
    --------
    >>> import scalefit as sf
    >>> default_statistic(sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params"))
    'alpha'
    """
    if set(fit.inputs) == {"params", "tokens"} and not _split_is_settled(fit):
        return allocation_exponent
    if not fit.has_law:
        raise ValueError(
            f"a surface of {', '.join(fit.inputs)} has no exponent: name a statistic, such as the loss at "
            f"{{{fit.inputs[0]!r}: {fit.table[fit.inputs[0]].max():.3g}}}, or a function of a fit."
        )
    law = fit.law
    exponents = [term.exponent for term in law.terms] if isinstance(law, SeparableLaw) else ["alpha"]
    free: tuple[str, ...] = fit.model.free_
    return next((name for name in exponents if name in free), free[0])


def by_name(statistic: Statistics | None, base: Any) -> dict[str, Statistic]:
    """Statistics by name, of one, several, or several with names; of none, the one that stands for the fit.

    Raises
    ------
    TypeError
        If one is no statistic, or there is none for something that is no fit.
    ValueError
        If there are none, or two of one name.

    Examples
    --------
    >>> by_name(["alpha", {"params": 1e12}], None)
    {'alpha': 'alpha', 'loss at params 1e+12': {'params': 1000000000000.0}}
    >>> by_name({"slope": "alpha"}, None)
    {'slope': 'alpha'}
    """
    if statistic is None:
        fit = base.base if isinstance(base, Bootstrap) else base
        if not isinstance(fit, Fit):
            raise TypeError(f"a {type(base).__name__} needs statistic=, a function of it to a number.")
        statistic = default_statistic(fit)
    if _is_one(statistic):
        return {name_of(statistic): statistic}
    if isinstance(statistic, Mapping):
        named = {str(name): one for name, one in statistic.items()}
    elif isinstance(statistic, Sequence):
        for one in statistic:
            _check(one)
        names = [name_of(one) for one in statistic]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"{names.count(twice)} statistics are called {twice!r}: give each a name, {{'a': ..., 'E': 'E'}}."
            )
        named = dict(zip(names, statistic, strict=True))
    else:
        _check(statistic)
    if not named:
        raise ValueError("statistic is empty: name a parameter, inputs to predict at, or a function of a fit.")
    for one in named.values():
        _check(one)
    return named


def answer(made: Any, statistic: Statistic, level: float) -> Answer:
    """Value of a statistic of a fit, a bootstrap, or of whatever else a pipeline gave.

    A function may give an `Interval` too, whose ends are kept.

    Raises
    ------
    TypeError
        If a parameter is asked of something that is no fit.
    ValueError
        If there is no such parameter.

    Examples
    --------
    >>> import scalefit as sf
    >>> fit = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    >>> round(answer(fit, {"params": 1e9}, 0.95).value, 3)
    2.088
    """
    if isinstance(made, Bootstrap):
        return _of_interval(made.interval(statistic, level))
    if callable(statistic):
        value: Any = statistic(made)
        return _of_interval(value) if isinstance(value, Interval) else Answer(as_number(value))
    if not isinstance(made, Fit):
        raise TypeError(f"{statistic!r} can be asked of a fit, not of a {type(made).__name__}: give a function of it.")
    if isinstance(statistic, Mapping):
        return Answer(as_number(made(**statistic)))
    if statistic not in made.parameters:
        known = f"there are {', '.join(made.parameters)}" if made.parameters else "this model has none"
        raise ValueError(f"there is no parameter {statistic!r}; {known}. Or give a function: lambda fit: fit(1e12).")
    return Answer(made.parameters[statistic])


def _split_is_settled(fit: Fit) -> bool:
    """Whether no run has a say in how compute is split: the exponents are one, or all fixed."""
    if not (fit.has_law and isinstance(fit.law, SeparableLaw)):
        return False
    free, tied = fit.model.free_, fit.model.tied or {}
    leaders = {term.exponent for term in fit.law.terms}
    while any(name in tied for name in leaders):
        leaders = {tied.get(name, name) for name in leaders}
    return len(leaders) == 1 or not leaders & set(free)


def _is_one(statistic: Any) -> TypeGuard[Statistic]:
    """Whether this is one statistic; a mapping to numbers is a forecast."""
    if isinstance(statistic, Mapping):
        return bool(statistic) and all(isinstance(value, Real) for value in statistic.values())
    return isinstance(statistic, str) or callable(statistic)


def _check(statistic: Any) -> None:
    if not _is_one(statistic):
        raise TypeError(f"a statistic is a parameter, inputs to predict at, or a function of a fit, not {statistic!r}.")


def _of_interval(interval: Interval) -> Answer:
    refusing = tuple(doubt.name for doubt, _ in interval.doubts if doubt.refuses)
    return Answer(interval.estimate, interval.low, interval.high, refusing)
