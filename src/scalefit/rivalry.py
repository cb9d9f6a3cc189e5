"""The plausible alternatives to a fitted law, and which of them fit about as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .fitting import Model, as_regressor, fit
from .formula import SeparableLaw, Term
from .laws import BrokenPowerLaw, Chinchilla, Exponential, Kaplan, PowerLaw
from .objective import Huber, residuals
from .parametric import LawRegressor
from .parts import free_parameters
from .redrawing import default_scheme
from .remarks import scatter
from .result import Fit
from .schemes import clusters

SLOW = (0.0125, 0.025, 0.05, 0.1)  # exponents of a power that may stand in the place of the offset: our choice
WORSE = 4.0  # spare rows: 3.84 is the 95 % limit of one parameter's profile for squared errors; our choice
PLANE = ("params", "tokens")
WINSOR = 3.0  # scatters at which residuals are cut, to see whether those of a size go together; our choice


@dataclass(frozen=True)
class TwoPowers(SeparableLaw):
    """E + A x^-alpha + B x^-beta: a power law with a second power, which may show only beyond the runs.

    Parameters
    ----------
    E : float, nats per token
    A, B : float
        Each power at x = 1, in raw counts of x.
    alpha, beta : float
        Exponents.

    Examples
    --------
    >>> TwoPowers(E=1.0, A=2.0, B=3.0, alpha=1.0, beta=2.0)(2.0)
    2.75
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    terms: ClassVar = (Term("A", "alpha"), Term("B", "beta"))


@dataclass(frozen=True)
class TwoPowersOfParams(SeparableLaw):
    """E + A params^-alpha + B tokens^-beta + S params^-sigma: Chinchilla's law with a second power of params.

    Parameters
    ----------
    E : float, nats per token
    A, B, S : float
        Each power at 1, in raw counts.
    alpha, beta, sigma : float
        Exponents.

    Examples
    --------
    >>> TwoPowersOfParams(E=1.0, A=2.0, B=3.0, S=4.0, alpha=1.0, beta=1.0, sigma=2.0)(2.0, 3.0)
    4.0
    """

    E: float
    A: float
    B: float
    S: float
    alpha: float
    beta: float
    sigma: float
    inputs: ClassVar = PLANE
    objective: ClassVar = Huber(1e-3, space="log")
    terms: ClassVar = (Term("A", "alpha", column=0), Term("B", "beta", column=1), Term("S", "sigma", column=0))


@dataclass(frozen=True)
class TwoPowersOfTokens(SeparableLaw):
    """E + A params^-alpha + B tokens^-beta + S tokens^-sigma: Chinchilla's law with a second power of tokens.

    Parameters
    ----------
    E : float, nats per token
    A, B, S : float
        Each power at 1, in raw counts.
    alpha, beta, sigma : float
        Exponents.

    Examples
    --------
    >>> TwoPowersOfTokens(E=1.0, A=2.0, B=3.0, S=4.0, alpha=1.0, beta=1.0, sigma=2.0)(2.0, 2.0)
    4.5
    """

    E: float
    A: float
    B: float
    S: float
    alpha: float
    beta: float
    sigma: float
    inputs: ClassVar = PLANE
    objective: ClassVar = Huber(1e-3, space="log")
    terms: ClassVar = (Term("A", "alpha", column=0), Term("B", "beta", column=1), Term("S", "sigma", column=1))


def rivals(fit: Fit, *, general: bool = False) -> dict[str, Model]:
    """Plausible alternatives to a fitted law or surface, on the same inputs, to be fitted with the same objective.

    Parameters
    ----------
    fit : Fit
        Of one input or two. Of more, the law without its offset is the only rival.
    general : bool
        Also the broken power law of one input, and Kaplan's of params and tokens: laws that are not separable, which
        take seconds to fit.

    Returns
    -------
    dict of str to LawRegressor
        For `forecast`, `alternatives`, `validate` or `rollout`; the fit's own model is not among them.

        - Of one input: "power law"; "no offset" (E = 0); "exponential"; "second power" (E + A x^-alpha + B x^-beta);
          and "slow power" with exponents from 0.0125 to 0.1 in the place of the offset.
        - Of two: "Chinchilla"; "no offset"; "tied exponents"; a second power of either input; a slow power of either.

    Raises
    ------
    TypeError
        If this is no fit.

    Notes
    -----
    A slow power S x^-sigma falls by a few per cent a decade. Among the runs it looks like an offset, so that the law
    fits about as well, and no bootstrap of the law with the offset hints at it; beyond the runs the two part. Its
    exponent is fixed, since the runs do not tell it: each such law has as many free parameters as the one with E.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> list(rivals(sf.fit(sf.PowerLaw, runs)))[:4]
    ['no offset', 'exponential', 'second power', 'slow power 0.0125']
    """
    if not isinstance(fit, Fit):
        raise TypeError(f"rivals needs what sf.fit gave, not {type(fit).__name__}.")
    objective = _objective(fit)
    made = {name: LawRegressor(objective=objective, **how) for name, how in _candidates(fit, general).items()}
    own = _identity(fit.model) if fit.has_law else None
    return {name: model for name, model in made.items() if _identity(model) != own}


def _objective(fit: Fit) -> Any:
    """What a fit was asked to minimise: a rule for delta stays one."""
    return (fit.model.objective or fit.model.law.objective) if isinstance(fit.model, LawRegressor) else fit.objective


def _identity(model: Any) -> tuple[Any, ...]:
    """What tells two regressors of laws apart, the objective aside: what is fixed, and which parameters are one."""
    tied, groups = dict(model.tied or {}), dict[str, list[str]]()
    for name in model.law.parameters():
        groups.setdefault(tied.get(name, name), []).append(name)
    return model.law, dict(model.fixed or {}), sorted(groups.values())


def _candidates(fit: Fit, general: bool) -> dict[str, dict[str, Any]]:
    """Settings of the regressors, the fit's own among them."""
    no_offset = {"fixed": {"E": 0.0}}
    if len(fit.inputs) == 1:
        slow = {f"slow power {b:g}": {"law": TwoPowers, "fixed": {"E": 0.0, "beta": b}} for b in SLOW}
        return {
            "power law": {"law": PowerLaw}, "no offset": {"law": PowerLaw, **no_offset},
            "exponential": {"law": Exponential}, "second power": {"law": TwoPowers}, **slow,
            **({"broken": {"law": BrokenPowerLaw}} if general else {}),
        }  # fmt: skip
    if len(fit.inputs) == 2:
        seconds = dict(zip(fit.inputs, (TwoPowersOfParams, TwoPowersOfTokens), strict=True))
        slow = {
            f"slow power {b:g} of {name}": {"law": law, "fixed": {"E": 0.0, "sigma": b}}
            for name, law in seconds.items()
            for b in SLOW
        }
        return {
            "Chinchilla": {"law": Chinchilla}, "no offset": {"law": Chinchilla, **no_offset},
            "tied exponents": {"law": Chinchilla, "tied": {"beta": "alpha"}},
            **{f"second power of {name}": {"law": law} for name, law in seconds.items()}, **slow,
            **({"Kaplan": {"law": Kaplan}} if general and fit.inputs == PLANE else {}),
        }  # fmt: skip
    if fit.has_law and "E" in type(fit.law).parameters():
        return {"no offset": {"law": type(fit.law), "fixed": {**(fit.model.fixed or {}), **no_offset["fixed"]}}}
    return {}


@dataclass(frozen=True, repr=False, eq=False)
class Rival:
    """A model beside a fit, on the same rows.

    Attributes
    ----------
    name : str
    fit : Fit, optional
        None where it cannot be fitted.
    ratio : float
        Objective of the fit it stands beside, at this model's losses, by that of the fit itself.
    close, better : bool
        Whether it fits about as well as the fit, or better than that; see `beside`.
    failure : str
        Why there is no fit.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> fit = sf.fit(sf.PowerLaw, runs)
    >>> (rival,) = beside(fit, {"no offset": sf.LawRegressor(sf.PowerLaw, fixed={"E": 0})})
    >>> rival.ratio > 5, rival.close, rival.better
    (True, False, False)
    """

    name: str
    fit: Fit | None
    ratio: float
    close: bool
    better: bool
    failure: str = ""


def beside(base: Fit, models: Mapping[str, Model] | None = None) -> tuple[Rival, ...]:
    """Models fitted to the rows of a fit, each with how well it fits beside it.

    Parameters
    ----------
    base : Fit
    models : mapping of str to model, optional
        On the same inputs; ``rivals(base)`` if None.

    Raises
    ------
    TypeError
        If a model is none, or the names are no mapping.

    Notes
    -----
    Of every model the objective of the base is taken, by its spare units: rows, or fewer where the residuals of runs of
    one size go together and the default bootstrap redraws sizes, minus free parameters. A model fits about as well if
    that is at most 1 + 4 / s times that of the base, s its own spare units: for squared errors, about where the 95 %
    profile of a parameter ends (our choice). It fits better if that of the base is beyond 1 + 4 / s times that of the
    model.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> [rival.name for rival in beside(sf.fit(sf.PowerLaw, runs)) if rival.close]
    ['second power', 'slow power 0.0125']
    """
    models = rivals(base) if models is None else models
    if not isinstance(models, Mapping):
        raise TypeError(f"rivals must be a mapping of names to models, as sf.rivals(fit) gives, not {models!r}.")
    for name in models:
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"rivals are named by texts, not by {name!r}.")
    units, own = _units(base), _objective_of(base, base)
    spare = max(units - free_parameters(base), 1)
    found = []
    for name, model in models.items():
        regressor = as_regressor(model, base.table)
        try:
            made = fit(regressor, base.table, inputs=base.inputs, weights=base.weights)
        except ValueError as error:
            found.append(Rival(name, None, float("nan"), False, False, str(error)))
            continue
        value = _objective_of(base, made)
        ratio = value / own if own > 0 else float(np.where(value > 0, np.inf, 1.0))
        left = units - free_parameters(made)
        per_unit = ratio * spare / left if left > 0 else float("inf")
        within = 1 + WORSE / spare
        found.append(Rival(name, made, ratio, per_unit <= within, per_unit * within < 1))
    return tuple(found)


def _objective_of(base: Fit, other: Fit) -> float:
    """What the base minimised, at the losses of another model; infinite where these are none."""
    predicted = other.predicted
    if not np.all(np.isfinite(predicted) & (predicted > 0)):
        return float("inf")
    rho = base.objective.rho(residuals(base.objective, base.table.loss, predicted))
    return float(np.sum(rho if base.weights is None else rho * base.table[base.weights]))


def _units(base: Fit) -> float:
    """Rows; fewer, down to the model sizes, as the residuals of a size go together, where sizes are what is redrawn."""
    rows = np.arange(len(base.table)) if base.weights is None else np.flatnonzero(base.table[base.weights] > 0)
    scheme = default_scheme(base)[0]
    if scheme.by is None:
        return float(len(rows))
    sizes = clusters([base.table], scheme.by)[0][rows]
    counts = np.bincount(sizes)
    counts = counts[counts > 0]
    off = residuals(base.objective, base.table.loss, base.predicted)[rows]
    limit = WINSOR * scatter(off)
    off = np.clip(off, -limit, limit)  # as the objective does, so that one gross run is no correlation
    means = np.bincount(sizes, off)[np.unique(sizes)] / counts
    spare = len(rows) - len(counts)
    if spare < 1 or len(counts) < 2:
        return float(len(counts))
    within = (np.sum(off**2) - np.sum(counts * means**2)) / spare
    between = np.sum(counts * (means - off.mean()) ** 2) / (len(counts) - 1)
    typical = (len(rows) - np.sum(counts**2) / len(rows)) / (len(counts) - 1)
    total = between + (typical - 1) * within
    together = max(0.0, float((between - within) / total)) if total > 0 else 0.0
    return float(max(len(counts), len(rows) / (1 + (typical - 1) * together)))
