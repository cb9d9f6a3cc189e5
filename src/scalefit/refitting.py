"""Refits of a separable law as one batch of the solver: what `LawRegressor.refits` gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .constraints import Constraints
from .diagnosis import LARGEST_LOG, SAME_VALUE, Finding, diagnose
from .laws import Law, SeparableLaw
from .objective import Objective, weighted_median
from .replicates import Floats, Refits
from .solver import Optima, make_problem, refit
from .status import Status

BLOCK = 4_000_000  # rows times refits in one batch of the solver: a bound on memory

Numbers = Callable[[Floats], Law]


class LawRefits(Refits):
    """Refits of a separable law to tables that share their inputs, solved together.

    Parameters
    ----------
    model : LawRegressor
        Fitted; each refit starts from its solution and keeps its objective.
    names : sequence of str
        Parameters in the solver's order.
    constraints : Constraints
        In the solver's coordinates.
    numbers : callable
        Law of (p,) natural parameters.
    inputs : sequence of str
        Names of the columns of X.
    X, Y, W : (n, k), (B or 1, n) and (B or 1, n) arrays
    """

    def __init__(
        self, model: Any, names: Sequence[str], constraints: Constraints, numbers: Numbers, inputs: Sequence[str],
        X: Floats, Y: Floats, W: Floats,
    ) -> None:  # fmt: skip
        self.base, self.constraints, self.numbers, self.inputs = model, constraints, numbers, inputs
        self.X, self.Y, self.W = X, Y, W
        self.law: type[SeparableLaw] = model.law
        B = max(len(Y), len(W))
        self.failed = ~(self._enough() & np.all(np.where(W > 0, Y, 1.0) > 0, axis=1))
        self.failed |= np.any(~np.isfinite(Y), axis=1)
        self.failed |= self._below_floor()
        good = np.flatnonzero(~self.failed)
        self.place = np.cumsum(~self.failed) - 1
        self.optima = [self._solve(good[i : i + self._block()]) for i in range(0, len(good), self._block())]
        p = len(names)
        natural = np.full((p, B), np.nan)
        if len(good):
            natural[:, good] = np.concatenate([part.natural for part in self.optima], axis=1)
        K = len(self.law.terms)
        values = natural.copy()
        values[1 : 1 + K] = np.exp(np.clip(natural[1 : 1 + K], -LARGEST_LOG, LARGEST_LOG))
        found = dict(zip(names, values, strict=True))
        found |= {name: np.where(self.failed, np.nan, value) for name, value in (model.fixed or {}).items()}
        self.parameters = {name: found[name] for name in self.law.parameters()}
        self.flags = self._flags(names, good)

    def _block(self) -> int:
        return max(64, BLOCK // len(self.X))

    def _enough(self) -> NDArray[np.bool_]:
        """Refits with as many rows as free parameters, at several inputs."""
        used = self.W > 0
        return np.asarray((used.sum(axis=1) >= len(self.constraints.free)) & (_distinct(self.X, used) > 1))

    def _too_few_values(self) -> NDArray[np.bool_]:
        """Refits whose inputs cannot determine the parameters, as `diagnose` has it."""
        free, W = self.constraints.free, self.W > 0
        scaled = np.round(np.log(self.X) / SAME_VALUE)
        few = _distinct(scaled, W) < len(free)
        for term in self.law.terms:
            own = (term.amplitude in free) + (term.exponent in free)
            if own:
                few |= _distinct(scaled[:, [term.column]], W) < own + ("E" in free)
        return np.broadcast_to(few, self.failed.shape)

    def _below_floor(self) -> NDArray[np.bool_]:
        """Refits half of whose losses lie at or below a fixed E."""
        E, below = (self.base.fixed or {}).get("E", 0.0), np.zeros(len(self.failed), dtype=bool)
        if np.any(self.Y <= E):
            for b in np.flatnonzero(~self.failed):
                below[b] = weighted_median(self.Y[b % len(self.Y)], self.W[b % len(self.W)]) <= E
        return below

    def _solve(self, which: NDArray[np.intp]) -> Optima:
        model, law, free = self.base, self.law, self.constraints
        Y = self.Y if len(self.Y) == 1 else self.Y[which]
        W = self.W if len(self.W) == 1 else self.W[which]
        objective: Objective = model.objective_
        assert not isinstance(objective.delta, str)
        rows = W.max(axis=0) > 0
        problem = make_problem(
            np.stack([term.scale(self.X[rows, term.column]) for term in law.terms]), Y[:, rows].T, W[:, rows].T,
            log=objective.space == "log", delta=objective.delta, upward=objective.upward, T=free.T, c=free.c,
        )  # fmt: skip
        problem = problem if problem.size == len(which) else problem.take(np.zeros(len(which), dtype=int))
        base = model.law_.to_dict()
        amplitudes = [max(base[term.amplitude], 1e-300) for term in law.terms]
        start = np.array([base["E"], *np.log(amplitudes), *(base[term.exponent] for term in law.terms)])
        return refit(problem, start)

    def _flags(self, names: Sequence[str], good: NDArray[np.intp]) -> dict[tuple[Status, str], NDArray[np.bool_]]:
        """What the solver saw in each refit; `diagnose`, for one model at a time, sees more."""
        if not len(good):
            return {}
        free, terms = self.constraints.free, self.law.terms
        low = np.concatenate([part.at_lower for part in self.optima], axis=1)
        high = np.concatenate([part.at_upper for part in self.optima], axis=1)
        gone = np.concatenate([part.gone for part in self.optima], axis=1)
        seen = {(Status.NOT_CONVERGED, self.law.__name__): ~np.concatenate([part.converged for part in self.optima])}
        place = {name: row for row, name in enumerate(names)}
        if "E" in free:
            seen[Status.E_AT_ZERO, "E"] = low[place["E"]]
            seen[Status.E_AT_UPPER, "E"] = high[place["E"]]
        for k, term in enumerate(terms):
            vanished = gone[k] | low[place[term.amplitude]]
            seen[Status.NO_DECREASE, f"{term.amplitude}, {self.inputs[term.column]}"] = vanished
            seen[Status.EXPONENT_AT_LOWER, term.exponent] = low[place[term.exponent]] & ~vanished
            at_top = high[place[term.exponent]] | high[place[term.amplitude]]
            seen[Status.EXPONENT_AT_UPPER, term.exponent] = at_top & ~vanished
        flags: dict[tuple[Status, str], NDArray[np.bool_]] = {}
        few = self._too_few_values() & ~self.failed
        if few.any():
            flags[Status.TOO_FEW_VALUES, ", ".join(self.inputs)] = few
        for key, which in seen.items():
            if which.any():
                flags[key] = np.zeros(len(self.failed), dtype=bool)
                flags[key][good] = which
        return flags

    def predict(self, X: Floats) -> Floats:
        """(B, m) predicted losses at inputs X, (m, k), or (B, m, k) for each refit; nan where a refit failed."""
        value = np.repeat(self.parameters["E"][:, None], X.shape[-2], axis=1)
        with np.errstate(divide="ignore", over="ignore"):
            for term in self.law.terms:
                amplitude, exponent = self.parameters[term.amplitude], self.parameters[term.exponent]
                g = term.scale(X[..., term.column])
                value += np.exp(np.log(amplitude)[:, None] - exponent[:, None] * g)
        return value

    def model(self, index: int) -> Any:
        """LawRegressor of one refit; what is wrong with it is found out when asked for."""
        optima, column = self._optima(index)
        made = copy(self.base)
        for stale in ("findings_", "status_"):
            vars(made).pop(stale, None)
        made.law_ = self.numbers(optima.natural[:, column])
        made.objective_value_ = float(optima.objective[column])
        made.search_ = {**self.base.search_, "method": "refit from a base fit"}
        made.diagnose_ = partial(self._diagnose, index, made.law_)
        return made

    def _optima(self, index: int) -> tuple[Optima, int]:
        """Batch that holds a refit, and its column there."""
        place = int(self.place[index])
        return self.optima[place // self._block()], place % self._block()

    def _diagnose(self, index: int, law: Law) -> list[Finding]:
        optima, column = self._optima(index)
        one = Optima(**{name: value[..., [column]] for name, value in vars(optima).items()})
        y, used = self.Y[index % len(self.Y)], self.W[index % len(self.W)] > 0
        X, y = self.X[used], y[used]
        return diagnose(self.law, self.constraints, one, X, y, np.asarray(law(*X.T)), self.inputs)


def _distinct(X: Floats, used: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(B,) distinct rows of X, (n, k), among those that each refit uses, (B, n)."""
    groups = np.unique(X, axis=0, return_inverse=True)[1].ravel()
    members = np.zeros((len(X), groups.max() + 1))
    members[np.arange(len(X)), groups] = 1.0
    return np.asarray(np.count_nonzero(used @ members, axis=1))


def as_tables(Y: ArrayLike, sample_weight: ArrayLike | None, n: int) -> tuple[Floats, Floats]:
    """Losses and frequencies of refits, each (B, n) or (1, n)."""
    losses = np.asarray(Y, dtype=float)
    weights = np.ones((1, n)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    for name, array in (("Y", losses), ("sample_weight", weights)):
        if array.ndim != 2 or array.shape[1] != n:
            raise ValueError(f"{name} must be (B, {n}), one row per refit, but its shape is {array.shape}.")
    if len(losses) != len(weights) and 1 not in (len(losses), len(weights)):
        raise ValueError(f"Y has {len(losses)} refits and sample_weight {len(weights)}; give one, or as many.")
    if np.any(~np.isfinite(weights) | (weights < 0)):
        raise ValueError("sample_weight must be finite and not negative.")
    return losses, weights
