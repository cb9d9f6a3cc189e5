"""Resampling schemes: what is redrawn (residuals in a fixed design, or runs), by rows or by clusters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .intervals import METHODS, Method
from .result import Fit
from .selection import group_labels
from .table import LossTable

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]
Weights = Literal["rademacher", "mammen", "webb"]
Residuals = Literal["loo", "leverage", "plain"]

FEW = 8  # units below which the patterns of two-point weights are enumerated
SIZES = 6  # model sizes with several runs from which on they are clusters by default
SIZES_1D = 8  # the same of a fit of one input, whose table needs 8 units at least
RTOL = 1e-3  # share by which a count grows within a cluster, as within a slice of `LossTable.curves`
COUNTS = ("params", "tokens", "flops")  # how the names of columns begin whose values scatter in the last digits

# values and probabilities with mean 0 and variance 1
_GOLDEN = (1 + math.sqrt(5)) / 2
POINTS: dict[Weights, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "rademacher": ((-1.0, 1.0), (0.5, 0.5)),
    "mammen": ((1 - _GOLDEN, _GOLDEN), (_GOLDEN / math.sqrt(5), 1 - _GOLDEN / math.sqrt(5))),
    "webb": (tuple(s * math.sqrt(v) for s in (-1, 1) for v in (0.5, 1.0, 1.5)), (1 / 6,) * 6),
}


@dataclass(frozen=True)
class Wild:
    """Wild bootstrap: inputs stay, the residuals of the robust fit get random signs (or other weights).

    Parameters
    ----------
    weights : {"rademacher", "mammen", "webb"}
        -1 or 1; Mammen's two points [1]_; Webb's six [2]_. All have mean 0 and variance 1.
    residuals : {"loo", "leverage", "plain"}
        Residual of each row from the fit without its row (or cluster); divided by 1 - h, h the leverage in the
        linearised fit; or as it is. Plain residuals are too small, since the fit has bent towards them.
    by : str, optional
        Column of clusters: rows that share its value (params, tokens and flops within 0.1 %) get the same weight.
    method : {"percentile_t", "bca", "percentile", "basic"}
        Interval that is given unless another is asked for.

    References
    ----------
    .. [1] Mammen 1993, Annals of Statistics 21.
    .. [2] Webb 2023, Canadian Journal of Economics 56.

    Examples
    --------
    >>> Wild("webb", by="params")
    Wild(weights='webb', residuals='loo', by='params', method='percentile_t')
    """

    weights: Weights = "rademacher"
    residuals: Residuals = "loo"
    by: str | None = None
    method: Method = "percentile_t"
    kind: ClassVar[str] = "wild bootstrap"

    def __post_init__(self) -> None:
        _one_of("weights", self.weights, get_args(Weights))
        _one_of("residuals", self.residuals, get_args(Residuals))
        _one_of("method", self.method, METHODS)
        _column_name(self.by)

    def enumerates(self, units: int, resamples: int) -> bool:
        """Whether all patterns of the signs are taken: of fewer than 8 units, or where there are no more than draws."""
        return self.weights == "rademacher" and (units < FEW or 2**units <= resamples)

    def draw(self, units: int, resamples: int, rng: np.random.Generator) -> Floats:
        """(B, units) multipliers of the residuals."""
        values, chances = POINTS[self.weights]
        if self.enumerates(units, resamples):
            return np.array(list(itertools.product(values, repeat=units)))
        if units < FEW and len(values) == 2:
            raise ValueError(
                f"{units} rows (or clusters) have only {2**units} patterns of {self.weights} weights, of unequal "
                "chances. Use weights='rademacher', which takes them all, or 'webb'."
            )
        return rng.choice(np.array(values), size=(resamples, units), p=chances)

    def distinct(self, units: int) -> float:
        """Number of different resamples."""
        return float(len(POINTS[self.weights][0])) ** min(units, 300)


@dataclass(frozen=True)
class Pairs:
    """Pairs bootstrap: runs (or clusters of them) are drawn with replacement.

    Parameters
    ----------
    by : str, optional
        Column of clusters, which are drawn whole.
    method : {"percentile_t", "bca", "percentile", "basic"}
        Interval that is given unless another is asked for.

    Examples
    --------
    >>> Pairs().draw(3, 2, np.random.default_rng(0)).sum(axis=1).tolist()
    [3.0, 3.0]
    """

    by: str | None = None
    method: Method = "percentile_t"
    kind: ClassVar[str] = "pairs bootstrap"

    def __post_init__(self) -> None:
        _one_of("method", self.method, METHODS)
        _column_name(self.by)

    def enumerates(self, units: int, resamples: int) -> bool:
        """Never."""
        return False

    def draw(self, units: int, resamples: int, rng: np.random.Generator) -> Floats:
        """(B, units) counts."""
        drawn = rng.integers(0, units, size=(resamples, units)) + units * np.arange(resamples)[:, None]
        return np.bincount(drawn.ravel(), minlength=resamples * units).reshape(resamples, units).astype(float)

    def distinct(self, units: int) -> float:
        """Number of different resamples."""
        return float(math.comb(2 * min(units, 300) - 1, min(units, 300)))


Scheme = Wild | Pairs


def wild_bca() -> Wild:
    """Scheme of arXiv:2601.10684, appendix B.2: wild bootstrap of plain residuals with BCa intervals.

    The paper does not state the law of the weights; Rademacher's is our choice. docs/coverage.md shows that the scheme
    covers less than it says at the sizes of most tables.

    Examples
    --------
    >>> wild_bca()
    Wild(weights='rademacher', residuals='plain', by=None, method='bca')
    """
    return Wild(residuals="plain", method="bca")


def check_scheme(scheme: Any) -> None:
    """Raise TypeError if this is no resampling scheme.

    Examples
    --------
    >>> check_scheme(Pairs())
    """
    if not isinstance(scheme, Wild | Pairs):
        raise TypeError(f"scheme must be Wild(...), Pairs(...) or wild_bca(), not {scheme!r}.")


def clusters(tables: Sequence[LossTable], by: str) -> list[Labels]:
    """Number of the cluster of each row of each table: equal values share one, as do params within 0.1 %.

    Raises
    ------
    ValueError
        If the column is absent, has missing values, or makes one cluster.

    Examples
    --------
    >>> frame = pd.DataFrame({"params": [1e8, 1.0001e8, 1e9], "loss": [3.2, 3.0, 2.5]})
    >>> [labels.tolist() for labels in clusters([LossTable.from_frame(frame)], "params")]
    [[0, 0, 1]]
    """
    values = np.concatenate([table[by] for table in tables])
    missing = np.flatnonzero(pd.isna(values))
    if len(missing):
        raise ValueError(
            f"column {by!r} cannot make clusters: row {missing[0]} (counting from 0) has no value ({len(missing)} such "
            "rows). Fill them in, or leave these rows out with table.where(...)."
        )
    labels = group_labels(values, RTOL if by.startswith(COUNTS) else 0.0)
    if labels.max() == 0:
        raise ValueError(
            f"column {by!r} makes one cluster of all {len(labels)} rows, which leaves nothing to resample. "
            "Choose a column with several values, or by=None."
        )
    return np.split(labels, np.cumsum([len(table) for table in tables])[:-1])


def shared_sizes(fit: Fit) -> int:
    """How many model sizes have several runs, of a fit that takes params.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=[1e10, 1e11]))
    >>> shared_sizes(sf.fit(sf.Chinchilla, runs))
    8
    """
    return int(np.count_nonzero(np.bincount(size_labels([fit])) > 1)) if "params" in fit.inputs else 0


def size_labels(fits: Sequence[Fit]) -> Labels:
    """Number of the model size of each row of each fit, one after the other.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e9, 1e8, 1e10], tokens=[1e10, 1e11]))
    >>> size_labels([sf.fit(sf.Chinchilla, runs)]).tolist()
    [1, 1, 0, 0, 2, 2]
    """
    return group_labels(np.concatenate([fit.table["params"] for fit in fits]), RTOL)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}.")


def _column_name(by: object) -> None:
    if not isinstance(by, str | None):
        raise TypeError(f"by must be the name of one column, or None for rows, not {by!r}.")
