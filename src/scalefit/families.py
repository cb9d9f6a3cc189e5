"""Families: one law for several families of runs, some parameters shared; and whether sharing them is justified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from .family_laws import JointLaw
from .objective import Objective, describe, residuals
from .result import Fit
from .sheets import visible
from .status import Status

Floats = NDArray[np.float64]

LEAST_INNER = 5  # residuals in the quadratic zone, without which the curvature of the objective is not known


@dataclass(frozen=True)
class Sharing:
    """How much worse the families fit with what they share than each alone, against the noise.

    Attributes
    ----------
    excess : float
        Joint objective over the sum of the separate ones, minus 1.
    F : float
        Twice the difference of the objectives per parameter given up, in units of the noise as a robust fit sees it:
        mean squared score over mean curvature [1]_. For least squares it is the usual F.
    given_up, spare : int
        Degrees of freedom: parameters that sharing saves, and rows beyond those of the separate fits.
    p : float
        Chance of a larger F if the families do share them and the runs err independently, by the F distribution, which
        is an approximation for few rows or a narrow zone. nan where it cannot be had.
    note : str
        Why there is no F, if there is none.

    References
    ----------
    .. [1] Schrader and Hettmansperger 1980, Robust analysis of variance based upon a likelihood ratio criterion,
       Biometrika 67, 93-101. The noise is here that of all families at their separate fits, delta held.

    Examples
    --------
    >>> Sharing(excess=0.04, F=1.1, given_up=4, spare=60, p=0.36)
    sharing saves 4 parameters, with an objective 4 % larger: F 1.1 on 4 and 60, p 0.36 if runs err independently
    """

    excess: float
    F: float
    given_up: int
    spare: int
    p: float
    note: str = ""

    def __repr__(self) -> str:
        if not np.isfinite(self.F):
            return f"whether sharing is justified cannot be said: {self.note}"
        return (
            f"sharing saves {self.given_up} parameter{'s' * (self.given_up != 1)}, with an objective "
            f"{100 * self.excess:.3g} % larger: F {self.F:.3g} on {self.given_up} and {self.spare}, p {self.p:.2g} if "
            "runs err independently"
        )


@dataclass(frozen=True, repr=False, eq=False)
class Families(Mapping[Any, Fit]):
    """One law fitted to several families at once, with some parameters shared: a mapping from a family to its `Fit`.

    Each is an ordinary fit that can be called, plotted and asked for optima; what it shares does not move in it.

    Attributes
    ----------
    by : str
        Column whose values are the families.
    fits : mapping
        Family to its fit.
    separate : mapping
        Family to the fit of its own rows alone, of those that have rows enough.
    joint : JointLaw
        What was minimised.

    Examples
    --------
    >>> import pandas as pd
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 8))
    >>> c4 = sf.simulate(sf.PowerLaw(E=1.9, A=120, alpha=0.3), design, noise=0.003, seed=1)
    >>> web = sf.simulate(sf.PowerLaw(E=1.8, A=150, alpha=0.3), design, noise=0.003, seed=2)
    >>> frame = pd.concat([c4.to_frame().assign(data="c4"), web.to_frame().assign(data="web")])
    >>> both = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame), by="data", shared="alpha")
    >>> both.ok, list(both), round(both.parameters["alpha"], 3)
    (True, ['c4', 'web'], 0.321)
    >>> both["c4"].parameters["alpha"] == both["web"].parameters["alpha"]
    True
    """

    by: str
    fits: Mapping[Any, Fit]
    separate: Mapping[Any, Fit]
    joint: JointLaw

    def __getitem__(self, family: Any) -> Fit:
        if family not in self.fits:
            raise KeyError(f"there is no family {family!r}; {self.by} has {', '.join(map(called, self.fits))}.")
        return self.fits[family]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    @property
    def shared(self) -> tuple[str, ...]:
        """Parameters that the families share."""
        return self.joint.shared

    @property
    def parameters(self) -> dict[str, float]:
        """The shared parameters; those of each family are its fit's."""
        first = next(iter(self.fits.values())).parameters
        return {name: first[name] for name in self.shared}

    @property
    def objective(self) -> Objective:
        """What was minimised, with one delta for all rows."""
        return self.joint.objective

    @property
    def objective_value(self) -> float:
        """Joint objective at the optimum, summed over all rows of all families."""
        return sum(fit.objective_value for fit in self.fits.values())

    @property
    def findings(self) -> tuple[tuple[Status, str, str], ...]:
        """Everything that is wrong, most severe first: the status, the family ("" of what all share), the parameter."""
        found = {(status, "", about): None for status, about in self.joint.findings()}
        for family, fit in self.fits.items():
            for status, about in fit.model.findings_:
                found[status, "" if about in self.shared else called(family), about] = None
        order = list(Status)
        return tuple(sorted(found, key=lambda finding: order.index(finding[0])))

    @property
    def status(self) -> Status:
        """Most severe status of the joint fit and of any family."""
        return Status.worst([status for status, _, _ in self.findings])

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with any family."""
        return self.status is Status.OK

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that is wrong: where, what it is about, and what to try."""
        return tuple(
            f"{', '.join(filter(None, (family, about)))}: {status.value}" for status, family, about in self.findings
        )

    @property
    def sharing(self) -> Sharing:
        """How much worse the families fit with what they share than each alone, against the noise."""
        n, F = sum(float(w.sum()) for w in self.joint.weights), len(self)
        given_up, spare = len(self.shared) * (F - 1), round(n) - F * len(self.joint.free)
        missing = [called(family) for family in self.fits if family not in self.separate]
        nothing = Sharing(float("nan"), float("nan"), given_up, spare, float("nan"))
        if missing:
            return replace(nothing, note=f"{', '.join(missing)} has too few rows, or values, for a fit of its own.")
        alone = sum(fit.objective_value for fit in self.separate.values())
        excess = self.objective_value / alone - 1 if alone > 0 else float("nan")
        if spare < 1:
            return replace(nothing, excess=excess, note="separate fits have no rows to spare, so no noise is seen.")
        scale = self._noise(spare)
        if not np.isfinite(scale):
            return replace(
                nothing, excess=excess,
                note=f"{describe(self.objective)} has too few residuals in its quadratic zone to tell the noise by; "
                "take a wider delta, or Squared().",
            )  # fmt: skip
        ratio = max(0.0, 2 * (self.objective_value - alone)) / (given_up * scale) if scale > 0 else float("nan")
        return Sharing(excess, ratio, given_up, spare, float(stats.f.sf(ratio, given_up, spare)))

    @property
    def excess(self) -> float:
        """Joint objective over the sum of the separate ones, minus 1; `sharing` says whether that is much."""
        return self.sharing.excess

    def _noise(self, spare: int) -> float:
        """Mean squared score over mean curvature of the objective, at the separate fits."""
        delta, upward = self.objective.delta, self.objective.upward
        assert not isinstance(delta, str)
        squares = curvature = inner = total = 0.0
        for fit, w in zip(self.separate.values(), self.joint.weights, strict=True):
            rows = slice(None) if fit.weights is None else fit.table[fit.weights] > 0
            r = residuals(self.objective, fit.table.loss, fit.predicted)[rows]
            side, within = np.where(r > 0, upward, 1.0), np.abs(r) <= delta
            squares += float(np.sum(w * (side * np.clip(r, -delta, delta)) ** 2))
            curvature, total = curvature + float(np.sum(w * side * within)), total + float(w.sum())
            inner += float(np.sum(w * within))
        # the rows that separate fits go through exactly lie in the zone whatever the noise
        inner -= len(self) * len(self.joint.free)
        return (squares / spare) / (curvature / total) if inner >= LEAST_INNER or np.isinf(delta) else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """A row per family: rows, parameters, its part of the objective beside that of a separate fit, status."""
        rows = []
        for family, fit in self.fits.items():
            alone = self.separate[family].objective_value if family in self.separate else float("nan")
            rows.append({
                self.by: family, "rows": len(fit.table), **fit.parameters, "objective": fit.objective_value,
                "objective_alone": alone, "mse": fit.mse, "status": fit.status.name,
            })  # fmt: skip
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Status, what is shared, and every family as plain values."""
        sharing = {name: plain(value) for name, value in vars(self.sharing).items()}
        return {
            "ok": self.ok, "status": self.status.name, "notes": list(self.notes), "by": self.by,
            "shared": self.parameters, "objective_value": self.objective_value, "sharing": sharing,
            "families": [{"family": plain(family), **fit.to_dict()} for family, fit in self.fits.items()],
        }  # fmt: skip

    def __repr__(self) -> str:
        lines = [f"ok    {Status.OK.value}"] if self.ok else [f"NOT OK  {note}" for note in self.notes]
        first = next(iter(self.fits.values()))
        rows = sum(len(fit.table) for fit in self.fits.values())
        lines.append(f"{first.formula} of each {self.by}, {', '.join(self.shared)} shared    {rows} rows")
        lines += [f"  {name}  {value:.6g}" for name, value in self.parameters.items()]
        own = self.to_frame().drop(columns=list(self.shared))
        lines.append(own.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
        lines.append(f"objective {self.objective_value:.9g}, {describe(self.objective)}, sum over rows")
        lines.append(repr(self.sharing))
        return visible("\n".join(lines))


def called(family: Any) -> str:
    """Name of a family as it is printed: few digits of a number.

    Examples
    --------
    >>> called("c4"), called(10000000000.0)
    ('c4', '1e+10')
    """
    return f"{family:.6g}" if isinstance(family, float) else str(family)


def plain(value: Any) -> Any:
    """Value as JSON has it: Python's own, None for what is missing or infinite.

    Examples
    --------
    >>> plain(np.int64(3)), plain(float("nan"))
    (3, None)
    """
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
