"""LawRegressor: a law as a scikit-learn regressor, fitted to its global optimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .constraints import Constraints, constrain
from .diagnosis import LARGEST_LOG, Finding, diagnose
from .general import fit_any
from .laws import Law, SeparableLaw, input_names
from .objective import MAD_TO_SIGMA, Absolute, Huber, Objective, Squared, residuals, resolve, weighted_median
from .refitting import LawRefits, as_tables
from .replicates import Progress, Refits, loop
from .rows import check_positive, frequencies
from .solver import EXPONENT_RANGE, Optima, make_problem, solve
from .status import Status

Floats = NDArray[np.float64]

BOUNDS = (
    "0 <= E <= median loss; {:g} <= exponent x range of g; exponent x range of its smallest quarter <= {:g}".format(
        *EXPONENT_RANGE
    )
)
MOST_TERMS = 3  # a grid over more exponents is too large


class LawRegressor(RegressorMixin, BaseEstimator):
    """A law fitted to its global optimum: X holds its input columns in raw units, y the loss.

    A separable law is screened over its exponents and polished by Newton steps; any other is fitted by scipy's
    trust region from 40 seeded starts between its bounds.

    Parameters
    ----------
    law : Law class
        One that ships, such as `PowerLaw` or `Chinchilla` (`scalefit.laws.LAWS` has all), or one of your own.
    objective : Huber, Squared or Absolute, optional
        What to minimise; the law's own default if None.
    fixed : mapping of str to float, optional
        Parameters that keep a value: {"E": 0.0} is the power law without offset.
    tied : mapping of str to str, optional
        Parameters that share another's value: {"beta": "alpha"}. Amplitudes tie to amplitudes, exponents to exponents.

    Attributes
    ----------
    law_ : Law
        With its numbers in.
    objective_ : Huber, Squared or Absolute
        With delta as a number.
    objective_value_ : float
        Sum over rows, in the units of the objective.
    status_ : Status
        The most severe of `findings_`.
    findings_ : list of (Status, str)
        Everything that is wrong, and with what.
    free_ : tuple of str
        Parameters that were moved.
    search_ : dict
        How the optimum was looked for.

    Examples
    --------
    >>> from scalefit.laws import PowerLaw
    >>> x = np.geomspace(1e6, 1e9, 8)
    >>> model = LawRegressor(PowerLaw).fit(x[:, None], 2 + 30 * x**-0.25)
    >>> model.status_
    <Status.OK>
    >>> round(model.law_.alpha, 9)
    0.25
    """

    def __init__(
        self,
        law: type[Law],
        *,
        objective: Objective | None = None,
        fixed: Mapping[str, float] | None = None,
        tied: Mapping[str, str] | None = None,
    ) -> None:
        self.law = law
        self.objective = objective
        self.fixed = fixed
        self.tied = tied

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the law.

        Parameters
        ----------
        X : (n, k) array
            Input columns of the law, positive, in raw units.
        y : (n,) array, nats per token
            Losses, positive.
        sample_weight : (n,) array, optional
            Frequencies: a weight of 2 is the row twice, 0 leaves it out.

        Raises
        ------
        ValueError
            If a value is not positive, if there are fewer rows than free parameters, or if the inputs do not vary.
        """
        if not (isinstance(self.law, type) and issubclass(self.law, Law)):
            raise TypeError(f"law must be a Law class such as PowerLaw, not {self.law!r}.")
        if not self.law.parameters():
            raise TypeError(f"{self.law.__name__} has no parameters: choose a law such as PowerLaw, or write one.")
        if not isinstance(self.objective, Huber | Squared | Absolute | None):
            raise TypeError(f"objective must be such as Huber(1e-3) or Squared(), not {self.objective!r}.")
        for name in ("fixed", "tied"):
            if not isinstance(getattr(self, name), Mapping | None):
                raise TypeError(f"{name} must be a dict such as {{'E': 0.0}}, not {getattr(self, name)!r}.")
        rows_in, losses = validate_data(self, X, y, dtype=float, y_numeric=True)
        return self._fit_checked(np.asarray(rows_in), np.asarray(losses, dtype=float), sample_weight)

    def _fit_checked(self, X: Floats, y: Floats, sample_weight: ArrayLike | None) -> Self:
        weights = frequencies(sample_weight, len(y))
        _check_columns(X, y, self.law)
        rows = weights > 0
        X, y, weights = X[rows], y[rows], weights[rows]
        names, constraints = self._constraints()
        _check_enough(X, constraints, self.law, total=len(rows))
        objective = resolve(self.objective or self.law.objective, y, weights)
        if objective.delta == "mad_of_residuals":
            first = self._fit(X, y, weights, Absolute(objective.space), names, constraints)[0]
            assert isinstance(objective, Huber)
            objective = replace(objective, delta=_spread(np.abs(residuals(objective, y, first(*X.T))), weights))
        self.objective_, self.free_ = objective, constraints.free
        self.law_, self.objective_value_, self.findings_, self.search_ = self._fit(
            X, y, weights, objective, names, constraints
        )
        self.status_ = Status.worst([status for status, _ in self.findings_])
        return self

    @cached_property
    def findings_(self) -> list[Finding]:
        """Everything that is wrong: set by `fit`; of a refit, found out when asked for."""
        if not hasattr(self, "diagnose_"):
            raise AttributeError("findings_ is there after fit")
        found: list[Finding] = self.diagnose_()
        return found

    @cached_property
    def status_(self) -> Status:
        """The most severe of `findings_`."""
        return Status.worst([status for status, _ in self.findings_])

    def predict(self, X: ArrayLike) -> Floats:
        """Loss at inputs X, (n, k), in raw units; (n,) array, nats per token."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=float, reset=False)
        return np.asarray(self.law_(*np.asarray(X).T), dtype=float)

    def free_parameters(self) -> tuple[str, ...]:
        """Names of the parameters that a fit moves."""
        return self._constraints()[1].free

    def _constraints(self) -> tuple[tuple[str, ...], Constraints]:
        """Names in the solver's order, and the affine map in its coordinates (log amplitudes)."""
        names, kinds = _names_and_kinds(self.law)
        fixed = {name: _fixed_value(name, value, kinds.get(name, "")) for name, value in (self.fixed or {}).items()}
        for follower, leader in (self.tied or {}).items():
            if kinds.get(follower, "?") != kinds.get(leader, "?") and {follower, leader} <= set(kinds):
                raise ValueError(
                    f"{follower} is an {kinds[follower]} and {leader} an {kinds[leader]}: "
                    "tie amplitudes to amplitudes and exponents to exponents."
                )
        return names, constrain(names, fixed=fixed, tied=self.tied)

    def _fit(
        self, X: Floats, y: Floats, weights: Floats, objective: Objective, names: tuple[str, ...], free: Constraints
    ) -> tuple[Law, float, list[Finding], dict[str, Any]]:
        """Law, objective, findings and search of one fit with a resolved objective."""
        if not issubclass(self.law, SeparableLaw):
            return fit_any(self.law, X, y, weights, objective, free)
        _check_floor(self.fixed or {}, y, weights)
        optima = _solve_separable(self.law, X, y, weights, objective, free)
        law = self._law(names, optima.natural[:, 0])
        found = diagnose(self.law, free, optima, X, y, law(*X.T), input_names(self.law, X.shape[1]))
        search = {"method": "screen of exponents, then Newton", "basins": int(optima.basins[0]), "bounds": BOUNDS}
        return law, float(optima.objective[0]), found, search

    def _law(self, names: tuple[str, ...], natural: Floats) -> Law:
        """Law of (p,) parameters in the solver's coordinates."""
        assert issubclass(self.law, SeparableLaw)
        values, K = natural.copy(), len(self.law.terms)
        values[1 : 1 + K] = np.exp(np.clip(values[1 : 1 + K], -LARGEST_LOG, LARGEST_LOG))
        numbers = dict(zip(names, values.tolist(), strict=True))
        numbers |= {name: float(value) for name, value in (self.fixed or {}).items()}  # to the last bit
        return self.law(**self._tie(numbers))

    def _tie(self, numbers: dict[str, float]) -> dict[str, float]:
        """Numbers in which every tied parameter has the value of the one that it follows."""
        for _ in self.tied or {}:  # chains of ties end after as many rounds
            numbers = numbers | {follower: numbers[leader] for follower, leader in (self.tied or {}).items()}
        return numbers

    def refits(
        self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike | None = None, progress: Progress | None = None
    ) -> Refits:
        """Refit to B tables that share their inputs, each to its global optimum, with delta as it was resolved.

        Parameters
        ----------
        X : (n, k) array
            Input columns in raw units.
        Y : (B, n) or (1, n) array, nats per token
            Losses of each table, or of all.
        sample_weight : (B, n) or (1, n) array, optional
            Frequencies.
        progress : callable, optional
            Called with the number of refits that are done, and of all.

        Returns
        -------
        Refits
            A lazy sequence of B fitted regressors. A table that `fit` would refuse counts as failed.

        Notes
        -----
        A separable law is refitted as one batch that starts from this solution; any other one by one, as by `fit`.
        """
        check_is_fitted(self)
        X = np.asarray(validate_data(self, X, dtype=float, reset=False))
        Y, W = as_tables(Y, sample_weight, len(X))
        if not issubclass(self.law, SeparableLaw):
            return loop(self, X, Y, W, progress)
        names, constraints = self._constraints()
        numbers = partial(self._law, names)
        made = LawRefits(self, names, constraints, numbers, input_names(self.law, X.shape[1]), X, Y, W)
        if progress is not None:
            progress(len(made), len(made))
        return made

    def jacobian(self, X: ArrayLike) -> Floats:
        """(n, q) derivatives of the predicted loss at X, (n, k), by the free parameters, by central differences."""
        check_is_fitted(self)
        columns = np.asarray(validate_data(self, X, dtype=float, reset=False)).T
        numbers, derivatives = self.law_.to_dict(), []
        for name in self.free_:
            step = 1e-6 * (abs(numbers[name]) or 1.0)  # relative: an exponent per FLOP can be 1e-20
            sides = [self.law(**self._tie({**numbers, name: numbers[name] + move})) for move in (step, -step)]
            derivatives.append((sides[0](*columns) - sides[1](*columns)) / (2 * step))
        return np.stack(derivatives, axis=1)


def _spread(errors: Floats, weights: Floats) -> float:
    """Standard deviation that the absolute errors of a least-absolute-deviation fit speak of."""
    spread = MAD_TO_SIGMA * weighted_median(errors, weights)
    mean = float(np.average(errors, weights=weights))
    # such a fit goes through as many rows as it has parameters: of few rows that may be half
    return max(spread if spread > 0.01 * mean else 1.2533 * mean, 1e-12)


def _names_and_kinds(law: type[Law]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Parameters in the order that the solver uses, and what each is."""
    if not issubclass(law, SeparableLaw):
        return law.parameters(), dict.fromkeys(law.parameters(), "")
    amplitudes, exponents = [t.amplitude for t in law.terms], [t.exponent for t in law.terms]
    names = ("E", *amplitudes, *exponents)
    if set(names) != set(law.parameters()) or len(set(names)) != len(names):
        raise TypeError(f"the fields of {law.__name__} must be E and one amplitude and exponent a term: {names}.")
    if not 1 <= len(law.terms) <= MOST_TERMS:
        raise TypeError(f"{law.__name__} has {len(law.terms)} terms; the global fit takes 1 to {MOST_TERMS}.")
    return names, {"E": "offset", **dict.fromkeys(amplitudes, "amplitude"), **dict.fromkeys(exponents, "exponent")}


def _fixed_value(name: str, value: float, kind: str) -> float:
    """Value of a fixed parameter in the solver's coordinates."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be fixed at a number, not {value!r}.")
    if not np.isfinite(value) or (kind == "offset" and value < 0) or (kind in ("amplitude", "exponent") and value <= 0):
        wanted = {"offset": "at least 0", "amplitude": "positive", "exponent": "positive"}.get(kind, "finite")
        raise ValueError(f"{name} is fixed at {value}, but must be {wanted} and finite.")
    return float(np.log(value)) if kind == "amplitude" else float(value)


def _check_columns(X: Floats, y: Floats, law: type[Law]) -> None:
    if X.shape[1] != law.n_inputs():
        raise ValueError(f"{law.__name__} takes {law.n_inputs()} input columns, but X has {X.shape[1]} features.")
    check_positive([*input_names(law, X.shape[1]), "loss"], [*X.T, y])


def _check_enough(X: Floats, constraints: Constraints, law: type[Law], *, total: int) -> None:
    n, q = len(X), len(constraints.free)
    if n < q:
        weighted = f" with a weight (of {total})" if n < total else ""
        raise ValueError(
            f"{law.__name__} has {q} free parameters ({', '.join(constraints.free)}), but there are {n} rows{weighted} "
            f"(n_samples = {n}). Add runs, or fix or tie parameters: fixed={{'E': 0}}."
        )
    if n > 1 and np.all(X[0] == X):
        same = ", ".join(f"{x:g}" for x in X[0])
        raise ValueError(f"all {n} rows have the same inputs ({same}): no exponent shows. Add runs at other values.")


def _check_floor(fixed: Mapping[str, float], y: Floats, weights: Floats) -> None:
    middle = weighted_median(y, weights)
    if fixed.get("E", 0.0) >= middle:
        raise ValueError(
            f"E is fixed at {fixed['E']:g}, but half of the losses are at most {middle:g}, the smallest "
            f"{y.min():g}. Fix it below them, or leave it free."
        )


def _solve_separable(
    law: type[SeparableLaw], X: Floats, y: Floats, weights: Floats, objective: Objective, free: Constraints
) -> Optima:
    G = np.stack([term.scale(X[:, term.column]) for term in law.terms])
    assert not isinstance(objective.delta, str)
    log, delta, upward = objective.space == "log", objective.delta, objective.upward
    return solve(make_problem(G, y[:, None], weights[:, None], log=log, delta=delta, T=free.T, c=free.c, upward=upward))
