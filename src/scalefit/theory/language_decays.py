"""Power laws of falling statistics: the exponent with its interval, or in words why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import minimize_scalar

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_POINTS = 3  # as the paper has for WikiText's entropies
DECADE = 10.0  # span of a power law, last place over first; not from the paper (value unknown)
CLEARLY = 2.0  # ratio of squared misfits from which one form is closer; not from the paper (value unknown)
STRAIGHT = 2.0  # factor by which the exponents of the two halves may differ; not from the paper (value unknown)
LEAST_UNITS = 10  # groups of documents, below which resampling them says nothing; ours
EXACT = 1e-24  # squared misfit of a log, below which a form holds exactly


@dataclass(frozen=True, repr=False, eq=False)
class Decay:
    """A power law ``y - limit = amplitude * x^-exponent``; nan numbers where it is refused, and the reason.

    Attributes
    ----------
    name : str
        Of the exponent.
    x, y : (n,) array
        Places, such as lags, and the statistic there.
    used : (n,) array of bool
        Places that are trusted: the fit is to those.
    exponent, amplitude, limit : float
    standard_error, low, high : float
        By resampling documents: the interval is the estimate -+ a normal quantile of standard errors, since draws lie
        to one side of it (each has the noise of sampling twice). nan without documents to resample.
    level : float
    misfit_ratio : float
        Squared residuals of log y of an exponential over those of the power law; above 1 the power law is closer.
    reason : str
        Why the exponent is refused; empty if it is not.
    draws : (B,) array
        The exponent of each resample; nan where it touches the limit.

    Examples
    --------
    >>> lags = np.array([1, 2, 4, 8, 16])
    >>> fit_decay("beta", lags, 0.3 * lags**-0.5)
    ok       beta 0.5    x 1 to 16, 5 places    no interval: there are no documents to resample
    >>> print(repr(fit_decay("beta", lags, 0.3 * 0.8**lags)).partition(":")[0])
    REFUSED  beta
    """

    name: str
    x: Floats
    y: Floats
    used: Bools
    exponent: float
    amplitude: float
    limit: float
    standard_error: float
    low: float
    high: float
    level: float
    misfit_ratio: float
    reason: str = ""
    draws: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def refused(self) -> bool:
        """Whether there is a reason, and no number."""
        return bool(self.reason)

    def __call__(self, x: ArrayLike) -> Any:
        """The power law at places x."""
        return self.limit + self.amplitude * np.asarray(x, dtype=float) ** -self.exponent

    def to_dict(self) -> dict[str, Any]:
        """Plain values, nan where refused."""
        names = ("name", "exponent", "low", "high", "standard_error", "level", "limit", "misfit_ratio", "reason")
        places = {"x": self.x.tolist(), "y": self.y.tolist(), "used": self.used.tolist()}
        return {**{name: getattr(self, name) for name in names}, **places}

    def __repr__(self) -> str:
        if self.refused:
            return f"REFUSED  {self.name}: {self.reason}"
        x = self.x[self.used]
        ends = (
            "no interval: there are no documents to resample"
            if np.isnan(self.standard_error)
            else f"{100 * self.level:g} % [{self.low:.3f}, {self.high:.3f}]  standard error {self.standard_error:.2g}"
        )
        return f"ok       {self.name} {self.exponent:.4g}    x {x[0]:g} to {x[-1]:g}, {len(x)} places    {ends}"


def fit_decay(
    name: str, x: ArrayLike, y: ArrayLike, *, used: ArrayLike | None = None, draws: Floats | None = None,
    limit: float | None = 0.0, span: float = DECADE, level: float = 0.95,
) -> Decay:  # fmt: skip
    """Line of log y over log x by least squares, if it spans a decade, is straight and closer than an exponential.

    Parameters
    ----------
    name : str
        Of the exponent.
    x, y : (n,) array
    used : (n,) array of bool, optional
        Places that are trusted; all by default.
    draws : (B, n) array, optional
        y of resamples; their fits are to the same places. Rows that touch the limit there are left out.
    limit : float or None
        What y tends to; fitted if None, which needs a place more.
    span : float
        Last place over first that a power law must span.
    level : float

    Raises
    ------
    ValueError
        If x and y are not two lists of one length, x is not positive and rising, or y not above the limit.

    Examples
    --------
    >>> fit_decay("beta", [1, 2, 4], [0.3, 0.2, 0.1]).reason
    'the places that can be trusted go from 1 to 4, a factor 4, and a power law is read off a factor 10 at least.'
    """
    places, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    trusted = np.ones(places.shape, bool) if used is None else np.asarray(used, dtype=bool)
    _check(places, values, trusted, limit)
    nan = float("nan")
    nothing = Decay(name, places, values, trusted, nan, nan, nan, nan, nan, nan, level, nan)
    u, v = places[trusted], values[trusted]
    reason = _too_short(u, len(places), LEAST_POINTS + (limit is None), span)
    if reason:
        return refused(nothing, reason)
    exponent, amplitude, floor, misfit = _line(np.log(u), v, limit)
    ratio = (_line(u, v, limit)[3] + EXACT) / (misfit + EXACT)
    reason = _no_power(u, v, floor, exponent, ratio)
    if reason:
        return refused(nothing, reason, ratio)
    redrawn = np.empty((0, len(u))) if draws is None else draws[:, trusted]
    good = np.all(redrawn > floor, axis=1)  # not where it is nan either: no pair of a resample stands at a lag
    slopes = np.full(len(redrawn), nan)
    slopes[good] = [_line(np.log(u), row, limit)[0] for row in redrawn[good]]
    error = float(slopes[good].std(ddof=1)) if good.sum() > 1 else nan
    reach = float(stats.norm.ppf(0.5 + level / 2)) * error
    return Decay(
        name, places, values, trusted, exponent, amplitude, floor, error, exponent - reach, exponent + reach, level,
        ratio, draws=slopes,
    )  # fmt: skip


def leading(good: ArrayLike) -> Bools:
    """The places up to the first that is not good.

    Examples
    --------
    >>> leading([True, True, False, True]).tolist()
    [True, True, False, False]
    """
    return np.logical_and.accumulate(np.asarray(good, dtype=bool))


def refused(decay: Decay, reason: str, misfit_ratio: float = float("nan")) -> Decay:
    """The same places without numbers, for a reason."""
    nan = float("nan")
    return replace(
        decay, exponent=nan, amplitude=nan, limit=nan, standard_error=nan, low=nan, high=nan, misfit_ratio=misfit_ratio,
        reason=reason, draws=np.empty(0),
    )  # fmt: skip


def _too_short(u: Floats, places: int, least: int, span: float) -> str:
    """Why trusted places are too few, or too near to each other, in words; empty if they are not."""
    if len(u) < least:
        return f"{len(u)} of {places} places can be trusted, and a power law needs {least}."
    if u[-1] / u[0] < span * (1 - 1e-9):
        return (
            f"the places that can be trusted go from {u[0]:g} to {u[-1]:g}, a factor {u[-1] / u[0]:.3g}, and a power "
            f"law is read off a factor {span:g} at least."
        )
    return ""


def _no_power(u: Floats, v: Floats, limit: float, exponent: float, ratio: float) -> str:
    """Why a line of log y over log x is no power law, in words; empty if it is one."""
    if exponent <= 0:
        return f"it does not fall: the exponent would be {exponent:.3g}."
    if ratio < CLEARLY:
        closer = "an exponential is closer" if ratio < 1 / CLEARLY else "neither form is clearly closer"
        return (
            f"no power law can be told: {closer} (squared residuals of the exponential over those of the power law "
            f"{ratio:.3g}, from {CLEARLY:g} on it is one)."
        )
    middle = int(np.argmin(np.abs(np.log(u / np.sqrt(u[0] * u[-1])))))
    early, late = (_line(np.log(u[half]), v[half], limit)[0] for half in (slice(middle + 1), slice(middle, None)))
    if not early / STRAIGHT <= late <= early * STRAIGHT:
        return (
            f"log y over log x is bent: the exponent is {early:.3g} up to {u[middle]:g} and {late:.3g} from there on, "
            f"and those of a power law differ by less than a factor {STRAIGHT:g}."
        )
    return ""


def _line(u: Floats, y: Floats, limit: float | None) -> tuple[float, float, float, float]:
    """Fall per u, y at u = 0, limit and squared misfit of ``log(y - limit)``, a line in u."""

    def at(floor: float) -> tuple[float, float, float, float]:
        logs = np.log(np.maximum(y - floor, np.finfo(float).tiny))
        slope, intercept = np.polyfit(u, logs, 1)
        misfit = float(np.sum((logs - intercept - slope * u) ** 2))
        return -float(slope), float(np.exp(intercept)), floor, misfit

    if limit is not None:
        return at(limit)
    best = minimize_scalar(lambda floor: at(floor)[3], bounds=(0.0, float(y.min())), method="bounded")
    return min(at(float(best.x)), at(0.0), key=lambda found: found[3])


def _check(x: Floats, y: Floats, used: Bools, limit: float | None) -> None:
    if x.ndim != 1 or not (x.shape == y.shape == used.shape):
        raise ValueError(
            f"x, y and used must be lists of one length, not of shapes {x.shape}, {y.shape} and {used.shape}."
        )
    if not (np.all(np.isfinite(x)) and np.all(x > 0) and np.all(np.diff(x) > 0)):
        raise ValueError(f"places must be positive and rising, but they are {x.tolist()}.")
    low = 0.0 if limit is None else limit
    bad = ~(y[used] > low) | ~np.isfinite(y[used])
    if bad.any():
        place = int(np.flatnonzero(used)[np.argmax(bad)])
        raise ValueError(
            f"a power law falls to its limit {low:g} and stays above it, but y is {y[place]:g} at {x[place]:g} "
            f"({int(bad.sum())} such places)."
        )
