"""One separable law for several families: what is minimised together, and the law and the refits of each family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .constraints import Constraints, constrain
from .diagnosis import LARGEST_LOG, SAME_VALUE, Finding, diagnose
from .joint import Joint, join
from .joint_search import refit_joint, solve_joint
from .laws import SeparableLaw, input_names
from .objective import Objective
from .parametric import BOUNDS, LawRegressor
from .refitting import LawRefits
from .replicates import Progress, Refits
from .solver import Optima, Problem, make_problem
from .solver.newton import Solution
from .solver.problem import weighted_medians
from .solver.separable import as_optima
from .status import Status

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class FamilyLaw(LawRegressor):
    """Law of one family of a joint fit: its own parameters at their optimum, the shared ones held where all put them.

    It is an ordinary `LawRegressor` with the shared parameters fixed, but for its refits: alone it has none, since
    what is shared would not move.
    """

    def refits(
        self, X: ArrayLike, Y: ArrayLike, sample_weight: ArrayLike | None = None, progress: Progress | None = None
    ) -> Refits:
        """Refused.

        Raises
        ------
        ValueError
            Always: the families of a joint fit are resampled together.
        """
        raise ValueError(
            "this is one family of a joint fit: refitted alone, what it shares with the others would not move and "
            "every interval be too narrow. Resample all families together, with sf.bootstrap(families), or "
            "fit this family's table alone."
        )

    def map(self) -> tuple[tuple[str, ...], Constraints]:
        """Names in the solver's order, and which of them move."""
        return self._constraints()

    def numbers(self, natural: Floats) -> Any:
        """Law of (p,) parameters in the solver's coordinates."""
        return self._law(self.map()[0], natural)


@dataclass(frozen=True, eq=False)
class JointLaw:
    """What the families of a joint fit are fitted by.

    Attributes
    ----------
    template : FamilyLaw
        The law with what the user fixed and tied.
    objective : Objective
        With delta as a number.
    shared : tuple of str
        Free parameters that all families share.
    X, y, weights : tuples of (n, k), (n,) and (n,) arrays
        Rows that carry weight, of each family.
    """

    template: FamilyLaw
    objective: Objective
    shared: tuple[str, ...]
    X: tuple[Floats, ...]
    y: tuple[Floats, ...]
    weights: tuple[Floats, ...]

    @property
    def free(self) -> tuple[str, ...]:
        """Free parameters of the law."""
        return self.template.map()[1].free

    @property
    def own(self) -> tuple[str, ...]:
        """Free parameters that each family has for itself."""
        return tuple(name for name in self.free if name not in self.shared)

    @property
    def moved(self) -> int:
        """Parameters of the joint fit."""
        return len(self.shared) + len(self.X) * len(self.own)

    @cached_property
    def solved(self) -> tuple[Joint, Solution, int]:
        """The joint fit, its optimum, and how many distinct optima were met."""
        joint = self.joint([y[None] for y in self.y], [w[None] for w in self.weights])
        return joint, *solve_joint(joint)

    def joint(self, Y: Sequence[Floats], W: Sequence[Floats]) -> Joint:
        """Joint fits of losses and frequencies of each family, (B, n) or (1, n)."""
        size = max(max(len(y), len(w)) for y, w in zip(Y, W, strict=True))
        parts = [self._problem(X, y.T, w.T) for X, y, w in zip(self.X, Y, W, strict=True)]
        parts = [part if part.size == size else part.take(np.zeros(size, dtype=int)) for part in parts]
        pooled = self._problem(
            np.concatenate(self.X), np.concatenate(self.y)[:, None], np.concatenate(self.weights)[:, None]
        )
        return join(parts, pooled, np.array([name in self.shared for name in self.free]))

    def models(self) -> list[FamilyLaw]:
        """Fitted law of each family."""
        joint, solution, basins = self.solved
        heights, laws = joint.objectives(solution.free)[:, 0], []
        values = dict(self.template.fixed or {})
        for f, (problem, x) in enumerate(zip(joint.families, joint.own(solution.free), strict=True)):
            optima = as_optima(problem, x, heights[[f]], solution.converged, np.array([basins]))
            if not f:
                first = self.template.numbers(optima.natural[:, 0])
                values |= {name: getattr(first, name) for name in self.shared}
            laws.append(self._model(f, optima, values))
        return laws

    def refits(self, Y: Sequence[Floats], W: Sequence[Floats]) -> list[FamilyRefits]:
        """Joint refits to losses and frequencies of each family, (B, n) or (1, n), with delta as it was resolved."""
        failed = np.any([self._unusable(f, y, w) for f, (y, w) in enumerate(zip(Y, W, strict=True))], axis=0)
        good = np.flatnonzero(~failed)
        optima: list[Optima | None] = [None] * len(self.X)
        if len(good):
            joint = self.joint([_some(y, good) for y in Y], [_some(w, good) for w in W])
            joint = joint if joint.size == len(good) else joint.take(np.zeros(len(good), dtype=int))
            found = refit_joint(joint, self.solved[1].free[:, 0])
            heights, once = joint.objectives(found.free), np.ones(len(good), dtype=np.intp)
            optima = [
                as_optima(problem, x, height, found.converged, once)
                for problem, x, height in zip(joint.families, joint.own(found.free), heights, strict=True)
            ]
        models = self.models()
        return [FamilyRefits(self, models[f], f, Y[f], W[f], failed, optima[f]) for f in range(len(models))]

    def _problem(self, X: Floats, Y: Floats, W: Floats) -> Problem:
        law, objective, (_, free) = self.template.law, self.objective, self.template.map()
        assert issubclass(law, SeparableLaw)
        assert not isinstance(objective.delta, str)
        G = np.stack([term.scale(X[:, term.column]) for term in law.terms])
        return make_problem(
            G, Y, W, log=objective.space == "log", delta=objective.delta, T=free.T, c=free.c, upward=objective.upward
        )

    def _model(self, f: int, optima: Optima, fixed: Mapping[str, float]) -> FamilyLaw:
        template, X, y = self.template, self.X[f], self.y[f]
        model = FamilyLaw(template.law, objective=template.objective, fixed=fixed, tied=template.tied)
        constraints = model.map()[1]
        model.law_, model.objective_, model.free_ = model.numbers(optima.natural[:, 0]), self.objective, self.own
        model.objective_value_, model.n_features_in_ = float(optima.objective[0]), X.shape[1]
        assert issubclass(template.law, SeparableLaw)
        found = diagnose(
            template.law, constraints, optima, X, y, np.asarray(model.law_(*X.T)), input_names(template.law, X.shape[1])
        )  # fmt: skip
        model.findings_, model.status_ = found, Status.worst([status for status, _ in found])
        model.search_ = {
            "method": "screen of what the families share, then Newton on all together",
            "basins": int(optima.basins[0]), "bounds": BOUNDS, "families": len(self.X), "shared": list(self.shared),
        }  # fmt: skip
        return model

    def findings(self) -> list[Finding]:
        """What is wrong with the fit as a whole: inputs that no family varies enough, or no spare rows."""
        law, found = self.template.law, []
        assert issubclass(law, SeparableLaw)
        names = input_names(law, self.X[0].shape[1])
        for term in law.terms:
            common = [name for name in (term.amplitude, term.exponent, "E") if name in self.shared]
            own = sum(name in self.own for name in (term.amplitude, term.exponent, "E"))
            counts = [len(np.unique(np.round(np.log(X[:, term.column]) / SAME_VALUE))) for X in self.X]
            if {*common} - {"E"} and sum(max(0, count - own) for count in counts) < len(common):
                found.append((Status.TOO_FEW_VALUES, names[term.column]))
        if sum(len(y) for y in self.y) == self.moved:
            found.append((Status.NO_SPARE_ROWS, f"{self.moved} rows"))
        return found

    def _unusable(self, f: int, Y: Floats, W: Floats) -> Bools:
        """(B,) refits that one family makes impossible: a loss that is none, too few rows, most below a fixed E."""
        used = W > 0
        bad = np.any(~np.isfinite(Y), axis=1) | np.any(used & ~(Y > 0), axis=1)
        bad = bad | (used.sum(axis=1) < max(1, len(self.own)))
        E = (self.template.fixed or {}).get("E", 0.0)
        if E > 0 and np.any(Y <= E):
            shape = (len(bad), Y.shape[1])
            bad = bad | (weighted_medians(np.broadcast_to(Y, shape).T, np.broadcast_to(W, shape).T) <= E)
        return np.asarray(bad)


class FamilyRefits(LawRefits):
    """Refits of one family, taken from joint refits of all."""

    def __init__(
        self, joint: JointLaw, model: FamilyLaw, f: int, Y: Floats, W: Floats, failed: Bools, optima: Optima | None
    ) -> None:
        template = joint.template
        assert issubclass(template.law, SeparableLaw)
        names, _ = template.map()
        self.shared, self.fixed = joint.shared, dict(template.fixed or {})
        self.base, self.law, self.numbers = model, template.law, template.numbers
        self.constraints = constrain(names, fixed=dict.fromkeys({*self.fixed, *joint.shared}, 0.0), tied=template.tied)
        self.inputs, self.X, self.Y, self.W = input_names(template.law, joint.X[f].shape[1]), joint.X[f], Y, W
        self.failed, self.place = failed, np.cumsum(~failed) - 1
        self.optima = [] if optima is None else [optima]
        good, K = np.flatnonzero(~failed), len(template.law.terms)
        values = np.full((len(names), len(failed)), np.nan)
        if optima is not None:
            values[:, good] = optima.natural
        values[1 : 1 + K] = np.exp(np.clip(values[1 : 1 + K], -LARGEST_LOG, LARGEST_LOG))
        found = dict(zip(names, values, strict=True))
        found |= {name: np.where(failed, np.nan, value) for name, value in self.fixed.items()}
        self.parameters = {name: found[name] for name in template.law.parameters()}
        self.flags = self._flags(names, good)

    def _block(self) -> int:
        return 1 << 62  # all refits are one batch

    def some(self, which: NDArray[np.intp]) -> FamilyRefits:
        """Refits by number."""
        made = copy(self)
        made.Y, made.W = _some(self.Y, which), _some(self.W, which)
        made.failed, made.place = self.failed[which], self.place[which]
        made.parameters = {name: values[which] for name, values in self.parameters.items()}
        made.flags = {key: flagged[which] for key, flagged in self.flags.items()}
        return made

    def model(self, index: int) -> Any:
        """Law of the family in one refit."""
        made = super().model(index)
        made.fixed = {**self.fixed, **{name: getattr(made.law_, name) for name in self.shared}}
        return made


def _some(array: Floats, which: NDArray[np.intp]) -> Floats:
    return array if len(array) == 1 else array[which]
