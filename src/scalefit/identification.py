"""What a table can and cannot say about the parameters of a law: conditioning, trade-offs, profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from .linearised import Linear, check_law, linearise
from .profiling import Profile, noise_explains, profile
from .replicates import Progress
from .resampled import Bootstrap
from .result import Fit

TRADES = 0.95  # correlation of two parameters from which on they are said to trade off. Our choice.
SHOWN = 0.1  # of a direction's largest part, above which a parameter is named
BENT, HALVINGS = 2.0, 60  # noises that a loss may move along a direction, which is halved so often otherwise
LOWER = 1e-6  # relative, by which a profile must fall below the optimum to be worth a word


@dataclass(frozen=True)
class Direction:
    """Parameters that move together with little effect on any loss.

    Attributes
    ----------
    factors, sums : mapping of str to float
        What parameters are multiplied by, and what is added to others.
    change : float
        Largest relative change of a predicted loss among the runs.

    Examples
    --------
    >>> print(Direction({"A": 1.3}, {"alpha": 0.012}, 0.001))
    A x 1.3, alpha + 0.012: no loss changes by more than 0.1 %
    """

    factors: Mapping[str, float]
    sums: Mapping[str, float]
    change: float

    def __str__(self) -> str:
        moves = [f"{name} x {value:.4g}" for name, value in self.factors.items()]
        moves += [f"{name} {'-' if value < 0 else '+'} {abs(value):.2g}" for name, value in self.sums.items()]
        return f"{', '.join(moves)}: no loss changes by more than {100 * self.change:.2g} %"


@dataclass(frozen=True, repr=False, eq=False)
class Identifiability:
    """Which parameters of a law a table determines; printed with what it does not determine first.

    Attributes
    ----------
    fit : Fit
    level : float
        Of the limits.
    condition : float
        Condition number of the linearised fit, each parameter in units of its own effect: above about 30, parameters
        trade off [1]_.
    directions : tuple of Direction
        From the one that changes the losses least, each as long as one standard error, or shorter where a loss would
        move by more than twice the noise, since the fit is not linear so far.
    correlations : (q, q) DataFrame
        Of the estimates, linearised.
    held : tuple of Profile
        For each free parameter, the optimum with it held at values around its estimate, and the limits beyond which
        the objective rises by more than noise explains.
    calibration : str
        Where `noise` comes from.
    doubt : str
        What keeps the limits from being those of the level, if anything does.

    References
    ----------
    .. [1] Belsley, Kuh and Welsch 1980, Regression Diagnostics, chapter 3.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> found = identifiability(sf.fit(sf.PowerLaw, runs))
    >>> found.ok, found.pairs[0][:2]
    (True, ('A', 'alpha'))
    >>> low, high = found.to_frame().set_index("parameter").loc["alpha", ["low", "high"]]
    >>> low < 0.25 < high
    True
    """

    fit: Fit
    level: float
    condition: float
    directions: tuple[Direction, ...]
    correlations: pd.DataFrame
    held: tuple[Profile, ...]
    calibration: str
    doubt: str = ""

    @property
    def ok(self) -> bool:
        """Whether every free parameter is bounded on both sides, by limits that are not doubted."""
        return not self.notes

    @property
    def notes(self) -> tuple[str, ...]:
        """What speaks against the limits, parameters that these runs do not bound, and lower optima that were found."""
        found = [self.doubt] * bool(self.doubt)
        for one in self.held:
            ends = (("below", f"down to {one.values[0]:.4g}"), ("above", f"up to {one.values[-1]:.4g}"))
            for is_open, (side, last) in zip(one.is_open, ends, strict=True):
                if is_open:
                    found.append(
                        f"{one.parameter} is not bounded {side} by these runs: {last} the objective rises by no more "
                        "than noise explains. Add runs over a wider range, or fix it."
                    )
            low = int(np.argmin(one.objectives))
            if one.objectives[low] < self.fit.objective_value * (1 - LOWER) and one.rises[low] < -LOWER:
                found.append(
                    f"the fit is not the lowest optimum: at {one.parameter} {one.values[low]:.4g} the objective is "
                    f"{one.objectives[low]:.6g}. Fix it there, and see the other parameters."
                )
        return tuple(found)

    @property
    def pairs(self) -> tuple[tuple[str, str, float], ...]:
        """Parameters whose estimates have a correlation beyond 0.95 in size, the strongest first."""
        r = self.correlations.to_numpy()
        found = [
            (one.parameter, other.parameter, float(r[i, j]))
            for j, other in enumerate(self.held)
            for i, one in enumerate(self.held[:j])
            if abs(r[i, j]) > TRADES
        ]
        return tuple(sorted(found, key=lambda pair: -abs(pair[2])))

    @property
    def profiles(self) -> pd.DataFrame:
        """Columns `parameter`, `value`, `objective` and `rise`, which is 1 at the limit; to be plotted."""
        parts = [
            pd.DataFrame(
                {"parameter": one.parameter, "value": one.values, "objective": one.objectives, "rise": one.rises}
            )
            for one in self.held
        ]
        return pd.concat(parts, ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """A row per free parameter: estimate, limits (nan where open), and the rise that noise explains."""
        columns = ["parameter", "estimate", "low", "high", "noise"]
        return pd.DataFrame([{name: getattr(one, name) for name in columns} for one in self.held])

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None where a limit is open."""
        rows = self.to_frame().astype(object)
        return {
            "ok": self.ok, "notes": list(self.notes), "level": self.level,
            "condition": self.condition if np.isfinite(self.condition) else None,
            "directions": [{**vars(d), "factors": dict(d.factors), "sums": dict(d.sums)} for d in self.directions],
            "pairs": [list(pair) for pair in self.pairs],
            "limits": rows.where(rows.notna(), None).to_dict("records"),
            "calibration": self.calibration, "profiles": self.profiles.to_dict("list"),
        }  # fmt: skip

    def __repr__(self) -> str:
        lines = [f"{'DOUBT' if note == self.doubt else 'OPEN '} {note}" for note in self.notes]
        lines = lines or ["ok    Every parameter is bounded on both sides by these runs."]
        lines += [f"the fit is NOT OK: {note}" for note in self.fit.notes]
        lines.append(f"profiles of {self.fit.formula}    {len(self.fit.table)} rows")
        width = max(len(one.parameter) for one in self.held)
        for one in self.held:
            low, high = (f"{end:.4g}" if np.isfinite(end) else "open" for end in (one.low, one.high))
            lines.append(f"  {one.parameter:<{width}}  {one.estimate:<8.4g}  {100 * self.level:g} % {low} to {high}")
        lines.append(f"noise explains {self.calibration}")
        lines.append(f"condition number {self.condition:.3g}; least seen: {self.directions[0]}")
        traded = ", ".join(f"{one} and {other} {r:+.3f}" for one, other, r in self.pairs)
        lines.append(f"trade-offs, by correlation: {traded}" if traded else f"no two parameters correlate by {TRADES}")
        return "\n".join(lines)


def identifiability(
    fit: Fit | Bootstrap, *, level: float = 0.95, points: int = 8, progress: Progress | None = None
) -> Identifiability:
    """How well a table determines each parameter of a law, and which of them trade off.

    Parameters
    ----------
    fit : Fit or Bootstrap
        Of a law. A bootstrap's draws say what noise explains; of a fit, 400 resamples are drawn as by `bootstrap`.
    level : float
        Between 0 and 1: the limits of a parameter are where holding it there makes the objective rise by more than in
        this share of the resamples.
    points : int
        Of a profile on each side, at least 2. Each is a global fit; of a law that is not separable that takes a second.
    progress : callable, optional
        Called with the number of profiles that are done, and of all.

    Raises
    ------
    TypeError
        If this is no fit of a law.
    ValueError
        If no row is spare, or the level or the points are out of range.

    Notes
    -----
    With one parameter held at a value, the others are fitted again to their global optimum. What rise noise explains is
    our choice, since a robust objective has no likelihood: in every resample the parameter is held at the fit's value,
    which is the truth there, and the quantile of the rises over the resamples is the limit, at the level that Student's
    t stretches as `bootstrap` does. For least squares and many rows that is the likelihood-ratio interval. A law that
    is not separable takes the asymptotic rise instead (see `scalefit.linearised.linearise`), which holds for
    independent runs of equal scatter. A noise under a relative 1e-6 counts as that.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=0.1, A=30, alpha=0.1), sf.grid(tokens=np.geomspace(1e9, 1e10, 9)), noise=0.01)
    >>> identifiability(sf.fit(sf.PowerLaw, runs)).notes[0][:45]
    'E is not bounded below by these runs: down to'
    """
    base: Any = fit.base if isinstance(fit, Bootstrap) else fit
    check_law(base)
    if isinstance(level, bool) or not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level must be between 0 and 1, such as 0.95, not {level!r}.")
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or points < 2:
        raise ValueError(f"points must be a whole number, at least 2, not {points!r}.")
    near = linearise(base)
    noise, calibration, doubt = noise_explains(fit, near, float(level))
    held = []
    for place, name in enumerate(near.names):
        held.append(profile(near, place, noise[name], int(points)))
        if progress is not None:
            progress(len(held), len(near.names))
    values = near.axes[0]
    condition = float(values[0] / values[-1]) if values[-1] > 0 else float("inf")
    directions = tuple(_direction(near, k) for k in reversed(range(len(values))))
    found = base, float(level), condition, directions, _correlations(near), tuple(held)
    return Identifiability(*found, calibration, doubt)


def _direction(near: Linear, k: int) -> Direction:
    """Axis of the linearised fit, as long as one standard error or as it is straight, and what it does to losses."""
    values, directions = near.axes
    by = directions[k] / near.sizes
    by = by * min(near.noise / max(values[k], 1e-300), 1.0 / float(np.max(np.abs(by))))
    share = np.abs(directions[k])
    by *= np.sign(by[np.argmax(share)])
    named = [i for i in np.argsort(-share) if share[i] >= SHOWN * share.max()]
    used, log = near.weights > 0, near.fit.objective.space == "log"
    before = near.fit.predicted[used]
    for _ in range(HALVINGS):
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            after = near.moved(by).predicted[used]
            moved = np.log(after / before) if log else after - before
        if np.max(np.abs(moved)) <= BENT * near.noise:  # a straight one moves all losses together by one noise
            break
        by = by / 2
    change = float(np.max(np.abs(after / before - 1)))
    factors = {near.names[i]: float(np.exp(by[i])) for i in named if near.logs[i]}
    return Direction(factors, {near.names[i]: float(by[i]) for i in named if not near.logs[i]}, change)


def _correlations(near: Linear) -> pd.DataFrame:
    spread = np.sqrt(np.diag(near.covariance))
    return pd.DataFrame(near.covariance / np.outer(spread, spread), index=near.names, columns=near.names)
