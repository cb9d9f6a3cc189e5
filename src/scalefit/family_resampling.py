"""The bootstrap of families: the rows of all are redrawn, and every resample is one joint refit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .families import Families, called
from .intervals import Interval, Method, doubts_of, frame_of, verdict_of
from .objective import residuals
from .parts import Part
from .redrawing import MOST_CELLS, MOST_RESAMPLES, default_scheme, units_of, whole, with_weight
from .replicates import Progress
from .resampled import Bootstrap
from .schemes import Labels, Pairs, Scheme, Wild, check_scheme
from .sheets import visible

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class FamilyBootstrap(Mapping[Any, Bootstrap]):
    """Joint refits of families to resampled rows: a mapping from a family to its `Bootstrap`.

    Attributes
    ----------
    base : Families
    scheme : Wild or Pairs
    seed : int
    draws : (B, U) array
        Multipliers of the residuals, or counts, of each unit (row or cluster) of all families.
    parts : tuple of Part
        One per family.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=[1e10, 1e11])
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.002)
    >>> both = sf.fit(sf.PowerLaw, runs, inputs="params", by="tokens", shared="alpha")
    >>> boot = bootstrap_families(both, resamples=200)
    >>> low, high = boot.interval("alpha")
    >>> low < 0.34 < high
    True
    >>> boot[1e10].interval({"params": 1e10}).refused
    False
    """

    base: Families
    scheme: Scheme
    seed: int
    draws: Floats
    parts: tuple[Part, ...]

    def __getitem__(self, family: Any) -> Bootstrap:
        fit = self.base[family]  # refuses an unknown one
        return self._of(self.parts[list(self.base).index(family)], fit)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.base)

    def __len__(self) -> int:
        return len(self.base)

    def interval(self, parameter: str, level: float = 0.95, *, method: Method | None = None) -> Interval:
        """Interval of a shared parameter; of one family's, ask its own bootstrap: ``boot["c4"].interval("E")``.

        Raises
        ------
        ValueError
            If the families do not share it.
        """
        if parameter not in self.base.shared:
            family = next(iter(self.base))
            raise ValueError(
                f"the families share {', '.join(self.base.shared)}, not {parameter!r}; of one family ask "
                f"boot[{family!r}].interval({parameter!r})."
            )
        together = Bootstrap(self.parts[0].fit, self.scheme, self.seed, self.draws, self.parts)
        return together.interval(parameter, level, method=method)

    def intervals(self, level: float = 0.95, *, method: Method | None = None) -> list[tuple[Any, Interval]]:
        """Every parameter: the shared ones, for no family ("shared"), then those of each."""
        found: list[tuple[Any, Interval]] = [
            ("shared", self.interval(name, level, method=method)) for name in self.base.shared
        ]
        return found + [
            (family, boot.interval(name, level, method=method))
            for family, boot in self.items()
            for name in self.base.joint.own
        ]

    def to_frame(self, level: float = 0.95, *, method: Method | None = None) -> pd.DataFrame:
        """A row per parameter, shared ones first: family, estimate, standard error, ends, doubts."""
        found = self.intervals(level, method=method)
        made = frame_of([interval for _, interval in found])
        made.insert(0, self.base.by, [family for family, _ in found])
        return made

    def __repr__(self) -> str:
        found = self.intervals()
        every = [interval for _, interval in found]
        words = f"{self.scheme.kind}, {f'by {self.scheme.by}' if self.scheme.by else 'by rows'}"
        lines = [f"{verdict_of(every):<7} {len(self.draws)} joint refits of {len(self)} families, {words}"]
        named = [replace(one, statistic=f"{called(family)} {one.statistic}") for family, one in found]
        width = max(len(one.statistic) for one in named)
        for one in named:
            ends = "refused" if one.refused else f"{one.low:.4g} to {one.high:.4g}"
            lines.append(f"  {one.statistic:<{width}}  {one.estimate:.4g}  95 % {ends}")
        return visible("\n".join([*lines, *doubts_of(named)]))

    def _of(self, part: Part, fit: Any) -> Bootstrap:
        relabelled = replace(part, labels=np.searchsorted(part.units, part.labels))
        return Bootstrap(fit, self.scheme, self.seed, self.draws[:, part.units], (relabelled,))


def bootstrap_families(
    families: Families, scheme: Scheme | None = None, *, resamples: int = 1000, seed: int = 0,
    progress: Progress | None = None,
) -> FamilyBootstrap:  # fmt: skip
    """Resample the rows of all families and refit them jointly: what `bootstrap` does of families.

    Parameters
    ----------
    families : Families
        What `fit(..., by=, shared=)` gave.
    scheme : Wild or Pairs, optional
        By default that of `bootstrap`: by model size if the default of every family is, by rows otherwise.
    resamples, seed
        As in `bootstrap`.

    Raises
    ------
    TypeError
        If the scheme is none.
    ValueError
        If a number is out of range, or the scheme cannot be had.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=[1e10, 1e11])
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.002)
    >>> both = sf.fit(sf.PowerLaw, runs, inputs="params", by="tokens", shared="alpha")
    >>> bootstrap_families(both, resamples=200).to_frame().iloc[:, :3].round(2)
               tokens statistic  estimate
    0          shared     alpha      0.33
    1   10000000000.0         E      2.32
    2   10000000000.0         A    326.53
    3  100000000000.0         E      2.01
    4  100000000000.0         A    322.51
    """
    resamples, seed = whole("resamples", resamples, 2, MOST_RESAMPLES), whole("seed", seed, 0, 2**63)
    if scheme is None:
        schemes = {default_scheme(fit)[0] for fit in families.values()}
        scheme = schemes.pop() if len(schemes) == 1 else type(schemes.pop())()
    check_scheme(scheme)
    labels = units_of([with_weight(fit) for fit in families.values()], scheme.by)
    made = resample_families(families, scheme, labels, resamples=resamples, seed=seed)
    if progress is not None:
        progress(len(made.draws), len(made.draws))
    return made


def resample_families(
    families: Families, scheme: Scheme, labels: Sequence[Labels], *, resamples: int, seed: int
) -> FamilyBootstrap:
    """Bootstrap of families whose units are given: the number of the unit of each row that carries weight.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=[1e10, 1e11])
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.002)
    >>> both = sf.fit(sf.PowerLaw, runs, inputs="params", by="tokens", shared="alpha")
    >>> paired = [np.arange(8), np.arange(8)]
    >>> resample_families(both, Wild(by="params"), paired, resamples=50, seed=0).draws.shape
    (50, 8)
    """
    if isinstance(scheme, Wild) and (scheme.residuals == "leverage" or families.objective.upward != 1):
        raise ValueError(
            "of families Wild takes residuals='loo' or 'plain', and an objective that counts both sides alike; "
            "otherwise use Pairs()."
        )
    fits, joint = [with_weight(fit) for fit in families.values()], families.joint
    units = 1 + max(int(part.max()) for part in labels)
    rows = sum(len(part) for part in labels)
    if (resamples + units) * max(rows, units) > MOST_CELLS:
        raise ValueError(
            f"{resamples} resamples of {rows} rows do not fit into memory: at most {MOST_CELLS // rows} together with "
            "the leave-one-out fits. Ask for fewer."
        )
    draws = scheme.draw(units, resamples, np.random.default_rng(seed))
    losses = [y[None] for y in joint.y]
    kept = [part != np.arange(units)[:, None] for part in labels]
    left = joint.refits(losses, [rows * w for rows, w in zip(kept, joint.weights, strict=True)])
    weights = [w[None] for w in joint.weights]
    counts: list[Any] = [None] * len(fits)
    if isinstance(scheme, Pairs):
        counts = [draws[:, part] for part in labels]
        weights = [count * w for count, w in zip(counts, joint.weights, strict=True)]
    else:
        losses = []
        for fit, part, without, X in zip(fits, labels, left, joint.X, strict=True):
            predicted = fit.predicted
            apart = without.predict(X)[part, np.arange(len(part))] if scheme.residuals == "loo" else predicted
            errors = residuals(fit.objective, fit.table.loss, np.where(np.isfinite(apart), apart, predicted))
            with np.errstate(over="ignore"):
                moved = draws[:, part] * errors
                losses.append(predicted * np.exp(moved) if fit.objective.space == "log" else predicted + moved)
    made = joint.refits(losses, weights)
    parts = tuple(
        Part(fit, part, losses[f], counts[f], made[f], left[f].some(np.unique(part)))
        for f, (fit, part) in enumerate(zip(fits, labels, strict=True))
    )
    return FamilyBootstrap(families, scheme, seed, draws, parts)
