"""The loss of a run that was not made: the mean, as far as refits tell it, with the error of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .doubting import in_order
from .intervals import MOST_FAILED, Doubt, Interval, interval_ends
from .objective import residuals
from .parts import Part, as_point, name_of
from .resampled import Bootstrap

Floats = NDArray[np.float64]

MOST_ERRORS = 1000  # quantiles that stand for the errors of more runs: a bound on memory
LEAST_TAILS = 0.4  # runs beyond the ends: 8 runs at 95 %, the fewest that docs/forecasts.md measures


def new_run(boot: Bootstrap, at: Mapping[str, Any], mean: Interval) -> Interval:
    """Interval for the loss of a new run: every draw of the mean with every leave-one-out error of the runs.

    Parameters
    ----------
    boot : Bootstrap
        Of one fit.
    at : mapping of str to float
        Inputs of the new run.
    mean : Interval
        For the mean loss at these inputs, ``boot.interval(at, level)``: its level and its doubts hold here too.

    Returns
    -------
    Interval
        Read off by the t-corrected percentile, whatever the scheme; refused where that of the mean is, and where over
        10 % of the leave-one-out fits failed.

    Notes
    -----
    Errors are taken and put back in the space of the objective: in "log", runs err by equal shares of the loss, in
    "raw" by equal amounts. The new run is taken to err as the runs do on the whole: where larger runs scatter less, as
    they often do, the interval of a larger run is too wide.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> boot, at = sf.bootstrap(sf.fit(sf.PowerLaw, runs)), {"params": 2e10}
    >>> mean = boot.interval(at)
    >>> low, high = new_run(boot, at, mean)
    >>> low < mean.low < mean.high < high
    True
    """
    (part,) = boot.parts
    means, errors = boot.values(at), errors_of_runs(part)
    means = means[np.isfinite(means)]
    low = high = deviation = float("nan")
    if not mean.refused and len(errors):
        log = part.fit.objective.space == "log"
        draws = (means[:, None] * np.exp(errors) if log else means[:, None] + errors).ravel()
        deviation = float(draws.std(ddof=1))
        low, high = interval_ends(
            draws, mean.estimate, mean.level, "percentile_t", jackknife=np.empty(0), spare=boot.spare
        )
    doubts = mean.doubts
    if not mean.refused and not len(errors):
        doubts = in_order([*doubts, (Doubt.MANY_FAILED, "leave-one-out fits")])
    name = name_of({name: as_point(part.fit, at)[0, place] for place, name in enumerate(part.fit.inputs)})
    return Interval(f"new run: {name}", mean.estimate, low, high, deviation, mean.level, "percentile_t", doubts)


def errors_of_runs(part: Part) -> Floats:
    """Leave-one-out errors of the runs, in the space of the objective: of each row from the fit without its unit.

    At most 1000: beyond, and for weighted rows, so many quantiles. None if over 10 % of those fits failed.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> boot = sf.bootstrap(sf.fit(sf.PowerLaw, runs))
    >>> bool(np.std(errors_of_runs(boot.parts[0])) > np.std(boot.base.residuals))
    True
    """
    fit = part.fit
    X = np.stack([fit.table[name] for name in fit.inputs], axis=1).astype(float)
    predicted = part.jackknife.predict(X)[np.searchsorted(part.units, part.labels), np.arange(len(X))]
    found = np.isfinite(predicted) & (predicted > 0)
    if found.mean() < 1 - MOST_FAILED:
        return np.empty(0)
    errors = residuals(fit.objective, fit.table.loss[found], predicted[found])
    if fit.weights is None and len(errors) <= MOST_ERRORS:
        return errors
    weights = np.ones(len(errors)) if fit.weights is None else np.asarray(fit.table[fit.weights], dtype=float)[found]
    at = (np.arange(MOST_ERRORS) + 0.5) / MOST_ERRORS
    return np.asarray(np.quantile(errors, at, weights=weights, method="inverted_cdf"))


def thin_tails(boot: Bootstrap, level: float) -> str:
    """What to know where so few runs show no tail of a level; nothing otherwise.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> boot = sf.bootstrap(sf.fit(sf.PowerLaw, runs))
    >>> thin_tails(boot, 0.95), thin_tails(boot, 0.99)[:46]
    ('', 'A level of 99 % asks for tails that 12 runs do')
    """
    rows = len(boot.parts[0].labels)
    if rows * (1 - level) >= LEAST_TAILS - 1e-9:
        return ""
    return (
        f"A level of {100 * level:g} % asks for tails that {rows} runs do not show: the interval of a new run ends "
        "near the largest of their errors. Ask for a lower level, or add runs."
    )
