"""Several families of runs under one separable law, some parameters shared: the joint optimum, many fits at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .solver import Problem
from .solver.newton import Solution, Sums, newton_loop
from .solver.separable import ABSOLUTE_ZONES, SETTLED

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CELLS = 250_000  # rows times fits in one batch: temporaries stay in the cache
LOGS = 690.0  # bound of a shared log amplitude that no family bounds: what a float can hold
NOTHING = 1e-11  # entry of a map, of order one, that is rounding


@dataclass(frozen=True)
class Joint:
    """B joint fits of F families: family f has the free coordinates T_f z + c_f; the sum of objectives is least.

    The Q joint coordinates z are the shared parameters first, then the own ones of each family in turn.
    """

    families: tuple[Problem, ...]  # of B fits each
    T: tuple[Floats, ...]  # (q, Q) each
    c: tuple[Floats, ...]  # (q,) each
    places: tuple[NDArray[np.intp], ...]  # (q,) each: the joint coordinates that a family's parameters are
    shared: int  # how many joint coordinates are shared
    lower: Floats  # (Q, B)
    upper: Floats  # (Q, B)

    @property
    def size(self) -> int:
        """B, the number of joint fits."""
        return int(self.lower.shape[1])

    @property
    def rows(self) -> int:
        """Rows of all families."""
        return sum(problem.U.shape[1] for problem in self.families)

    @property
    def floor(self) -> Floats:
        """(B,) objective that is nothing."""
        return np.asarray(sum(problem.floor for problem in self.families))

    def take(self, columns: Any) -> Joint:
        """The joint fits of the given columns (indices, possibly repeated, or a slice)."""
        families = tuple(problem.take(columns) for problem in self.families)
        return replace(self, families=families, lower=self.lower[:, columns], upper=self.upper[:, columns])

    def own(self, z: Floats) -> list[Floats]:
        """(q, B) free coordinates of each family."""
        return [T @ z + c[:, None] for T, c in zip(self.T, self.c, strict=True)]

    def of_family(self, f: int, x: Floats) -> Floats:
        """(q, B) joint coordinates, shared ones first, that give a family the coordinates x."""
        return np.asarray(np.linalg.solve(self.T[f][:, self.places[f]], x - self.c[f][:, None]))

    def errors(self, z: Floats) -> Floats:
        """(n, B) residuals of all rows, family by family."""
        parts = [problem.residuals(x) for problem, x in zip(self.families, self.own(z), strict=True)]
        return np.concatenate(parts)

    def objectives(self, z: Floats) -> Floats:
        """(F, B) objectives of each family."""
        pairs = zip(self.families, self.own(z), strict=True)
        return np.stack([problem.objective(problem.residuals(x)) for problem, x in pairs])

    def given(self, f: int, z: Floats) -> Problem:
        """Fit of the own parameters of one family, its shared ones as in z, (Q, 1)."""
        problem, own, s = self.families[f], self.places[f][self.places[f] >= self.shared], self.shared
        constant = self.T[f][:, :s] @ z[:s, 0] + self.c[f]
        mine = self.places[f] >= s
        return replace(
            problem, T=problem.T @ self.T[f][:, own], c=problem.T @ constant + problem.c, lower=self.lower[own],
            upper=self.upper[own], free_rows=problem.free_rows[mine], owns=problem.owns[:, mine],
        )  # fmt: skip

    def zoned(self, delta: Floats) -> Joint:
        """The same with another half-width, (B,), of Huber's zone."""
        return replace(self, families=tuple(replace(problem, delta=delta) for problem in self.families))


def join(problems: Sequence[Problem], pooled: Problem, shared: Bools) -> Joint:
    """Joint fits of families.

    Parameters
    ----------
    problems : sequence of Problem
        One per family, of B fits each, with the same parameters free.
    pooled : Problem
        All rows in one fit: it scales what is shared.
    shared : (q,) array of bool
        Free parameters that all families share.

    Examples
    --------
    >>> from .solver import make_problem
    >>> x, one = np.log(np.geomspace(1e6, 1e9, 8))[None], np.ones((8, 1))
    >>> make = lambda y: make_problem(x, y[:, None], one, log=False, delta=1.0, T=np.eye(3), c=np.zeros(3))
    >>> a, b = make(2 + 30 * np.exp(-0.25 * x[0])), make(1 + 50 * np.exp(-0.25 * x[0]))
    >>> joint = join([a, b], a, np.array([False, False, True]))
    >>> joint.shared, joint.lower.shape
    (1, (5, 1))
    """
    s, o = np.flatnonzero(shared), np.flatnonzero(~shared)
    Q = len(s) + len(problems) * len(o)
    to_free = [_from_natural(problem) for problem in problems]
    M0, d0 = _from_natural(pooled)
    # z = C y + e of y, the natural parameters: in coordinates of order one, as those of a single fit
    C, e, places = np.eye(Q), np.zeros(Q), []
    scaled = ~np.any(np.abs(M0[np.ix_(s, o)]) > NOTHING, axis=1)
    for row in np.flatnonzero(scaled):
        C[row, : len(s)], e[row] = M0[s[row], s], d0[s[row]]
    for f, (M, d) in enumerate(to_free):
        place = np.empty(len(shared), dtype=np.intp)
        place[s], place[o] = np.arange(len(s)), len(s) + f * len(o) + np.arange(len(o))
        C[place[o]] = 0.0
        C[np.ix_(place[o], place)], e[place[o]] = M[o], d[o]
        places.append(place)
    back = np.linalg.inv(C)
    T = [M @ back[place] for (M, _), place in zip(to_free, places, strict=True)]
    T = [np.where(np.abs(part) > NOTHING, part, 0.0) for part in T]
    c = [d - part @ e for part, (_, d) in zip(T, to_free, strict=True)]
    lower, upper = _box(problems, pooled, T, s, o, scaled)
    return Joint(_narrowed(problems, T, s, lower, upper), tuple(T), tuple(c), tuple(places), len(s), lower, upper)


def _from_natural(problem: Problem) -> tuple[Floats, Floats]:
    """M and d of x = M y + d, from the natural values y of the free parameters to their coordinates."""
    rows = problem.free_rows
    inverse = np.linalg.inv((problem.natural @ problem.T)[rows])
    return np.asarray(inverse, dtype=np.float64), -inverse @ (problem.natural @ problem.c)[rows]


def _box(
    problems: Sequence[Problem], pooled: Problem, T: Sequence[Floats], s: NDArray[np.intp], o: NDArray[np.intp],
    scaled: Bools,
) -> tuple[Floats, Floats]:  # fmt: skip
    """(Q, B) bounds: a shared parameter keeps within those of all families whose inputs vary."""
    size, K = problems[0].size, pooled.n_terms
    lower, upper = np.zeros((len(s), size)), np.zeros((len(s), size))
    for row, j in enumerate(s):
        if 1 <= pooled.free_rows[j] <= K:  # an amplitude is bounded far from where any lies
            lower[row] = pooled.lower[j, 0] if scaled[row] else -LOGS
            upper[row] = pooled.upper[j, 0] if scaled[row] else LOGS
            continue
        ends = [(problem.lower[j] / part[j, row], problem.upper[j] / part[j, row])
                for problem, part in zip(problems, T, strict=True)]  # fmt: skip
        ends = [(low, high) for low, high in ends if np.all(low < high)] or [(pooled.lower[j], pooled.upper[j])]
        lower[row] = np.max([low for low, _ in ends], axis=0)
        upper[row] = np.maximum(lower[row], np.min([high for _, high in ends], axis=0))
    own = [np.stack([problem.lower[o], problem.upper[o]]) for problem in problems]
    both = np.concatenate([np.stack([lower, upper]), *own], axis=1)
    return both[0], both[1]


def _narrowed(
    problems: Sequence[Problem], T: Sequence[Floats], s: NDArray[np.intp], lower: Floats, upper: Floats
) -> tuple[Problem, ...]:
    """The families' own problems, within the bounds of what is shared."""
    made = []
    for problem, part in zip(problems, T, strict=True):
        low, high = problem.lower.copy(), problem.upper.copy()
        for row, j in enumerate(s):
            if 1 <= problem.free_rows[j] <= problem.n_terms:
                low[j], high[j] = -LOGS, LOGS
            else:
                low[j], high[j] = part[j, row] * lower[row], part[j, row] * upper[row]
        made.append(replace(problem, lower=low, upper=high))
    return tuple(made)


class JointSums:
    """Objective, gradient and damped Hessian of a batch of joint fits, each a sum over the families."""

    def __init__(self, joint: Joint) -> None:
        self.joint = joint
        self.sums = []
        for problem in joint.families:
            room = np.empty((problem.n_terms + 6, problem.U.shape[1] * problem.size))
            self.sums.append(Sums(problem, room))

    def objective(self, z: Floats) -> Floats:
        """(B,) objectives at joint coordinates (Q, B)."""
        pairs = zip(self.sums, self.joint.own(z), strict=True)
        return np.asarray(sum(part.objective(x) for part, x in pairs))

    def linear_share(self) -> Floats:
        """(B,) share of the rows beyond the quadratic zone, at the point of `objective`."""
        beyond = [(part.psi != part.residual).sum(axis=0) for part in self.sums]
        return np.asarray(sum(beyond) / self.joint.rows)

    def derivatives(self, damping: Floats) -> tuple[Floats, Floats]:
        """Gradient (Q, B) and damped Hessian (Q, Q, B) at the point of `objective`."""
        Q, size = self.joint.lower.shape
        g, H = np.zeros((Q, size)), np.zeros((Q, Q, size))
        for part, T, place in zip(self.sums, self.joint.T, self.joint.places, strict=True):
            own_g, own_H = part.derivatives(damping)
            M = T[:, place]
            g[place] += M.T @ own_g
            H[np.ix_(place, place)] += np.einsum("pi,pqb,qj->ijb", M, own_H, M, optimize=True)
        return g, H


def descend(joint: Joint, start: Floats, *, max_iterations: int = 200, rough: bool = False) -> Solution:
    """Local joint optima from given starts, (Q, B), by Newton steps in the box, damped as in `solver.newton`."""
    step = max(1, CELLS // joint.rows)
    parts = []
    for first in range(0, joint.size, step):
        part = slice(first, first + step)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a step too far is rejected
            some = joint.take(part)
            parts.append(
                newton_loop(
                    some, start[:, part], JointSums, rows=joint.rows, max_iterations=max_iterations, rough=rough
                )
            )
    return Solution(
        free=np.concatenate([part.free for part in parts], axis=1),
        objective=np.concatenate([part.objective for part in parts]),
        converged=np.concatenate([part.converged for part in parts]),
    )


def polish(joint: Joint, start: Floats, *, max_iterations: int = 200) -> Solution:
    """Local joint optima; the absolute error as the limit of a zone that shrinks to nothing."""
    if not joint.families[0].absolute:
        return descend(joint, start, max_iterations=max_iterations)
    typical, before = np.abs(joint.errors(start)).mean(axis=0), np.full(joint.size, np.inf)
    least = 1e-15 * (1.0 if joint.families[0].log else float(np.median(joint.families[0].Y)))
    for zone in ABSOLUTE_ZONES:
        solution = descend(joint.zoned(np.maximum(zone * typical, least)), start, max_iterations=max_iterations)
        start, errors = solution.free, joint.errors(solution.free)
        typical = np.minimum(typical, np.abs(errors).mean(axis=0))
        objective = joint.objectives(start).sum(axis=0)
        settled = np.abs(before - objective) <= SETTLED * np.maximum(objective, joint.floor)
        before = objective
    return Solution(start, objective, solution.converged | settled)
