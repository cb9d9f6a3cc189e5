"""The verb `bootstrap`: resample the rows of a fit, or of every slice of curves, and refit."""

from __future__ import annotations

from typing import overload

import numpy as np

from .curves import Curves
from .families import Families
from .family_resampling import FamilyBootstrap, bootstrap_families
from .redrawing import MOST_CELLS, MOST_RESAMPLES, default_scheme, fits_of, resample, units_of, whole, with_weight
from .replicates import Progress
from .resampled import Bootstrap
from .result import Fit
from .schemes import Scheme, Wild, check_scheme


@overload
def bootstrap(
    fit: Fit | Curves, scheme: Scheme | None = None, *, resamples: int = 1000, seed: int = 0,
    progress: Progress | None = None,
) -> Bootstrap: ...  # fmt: skip
@overload
def bootstrap(
    fit: Families, scheme: Scheme | None = None, *, resamples: int = 1000, seed: int = 0,
    progress: Progress | None = None,
) -> FamilyBootstrap: ...  # fmt: skip
def bootstrap(
    fit: Fit | Curves | Families, scheme: Scheme | None = None, *, resamples: int = 1000, seed: int = 0,
    progress: Progress | None = None,
) -> Bootstrap | FamilyBootstrap:  # fmt: skip
    """Refit a model to resampled tables, and to the table without each row or cluster.

    Parameters
    ----------
    fit : Fit, Curves or Families
        Of curves, every slice is refitted; clusters that span slices are redrawn together. Families are refitted
        jointly.
    scheme : Wild, Pairs or wild_bca(), optional
        By default `Wild()`, signs on leave-one-out residuals, by model size where a fit of several inputs has at least
        six sizes with several runs each (a fit of params alone: eight), and more sizes than free parameters.
    resamples : int
        From 2 to 1,000,000. Where n units have no more than so many patterns of Rademacher signs, or n is under 8, all
        2^n patterns are taken instead.
    seed : int
        Of the draws; the same seed gives the same intervals.
    progress : callable, optional
        Called with the number of refits that are done, and of all; an exception that it raises stops the bootstrap.

    Returns
    -------
    Bootstrap or FamilyBootstrap
        Ask it for `interval(...)`, `standard_error(...)`, `to_frame()`, or index it for the refits; of families, index
        it by a family for its own `Bootstrap`.

    Raises
    ------
    TypeError
        If this is no fit.
    ValueError
        If a number is out of range, a column of clusters unusable, or the table is not what was fitted.

    Notes
    -----
    The refits keep the objective of the fit, with the same delta (appendix B.2 of [1]_). docs/coverage.md measures why
    leave-one-out residuals and the t-corrected percentile are the default.

    References
    ----------
    .. [1] arXiv:2601.10684.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> boot = sf.bootstrap(sf.fit(sf.PowerLaw, runs), seed=1)
    >>> boot.interval("alpha")
    alpha 0.2376  95 % [0.2098, 0.2638]  standard error 0.012  percentile_t
    >>> low, high = boot.interval(lambda fit: fit(1e11))
    >>> low < boot.base(1e11) < high
    True
    """
    if isinstance(fit, Families):
        return bootstrap_families(fit, scheme, resamples=resamples, seed=seed, progress=progress)
    fits = fits_of(fit)
    resamples, seed = whole("resamples", resamples, 2, MOST_RESAMPLES), whole("seed", seed, 0, 2**63)
    notes: tuple[str, ...] = ()
    if scheme is None:
        scheme, notes = default_scheme(fit)
    check_scheme(scheme)
    if isinstance(scheme, Wild) and any(one.objective.upward != 1 for one in fits):
        raise ValueError(
            "Wild puts random signs on residuals, and this objective counts the two sides differently (upward="
            f"{fits[0].objective.upward:g}): its resamples would lie below the fit. Use Pairs()."
        )
    fits = tuple(with_weight(one) for one in fits)
    labels = units_of(fits, scheme.by)
    units = 1 + max(int(part.max()) for part in labels)
    rows = max(len(one.table) for one in fits)
    if (resamples + units) * max(rows, units) > MOST_CELLS:
        raise ValueError(
            f"{resamples} resamples and {units} leave-one-out fits of {rows} rows do not fit into memory: together at "
            f"most {MOST_CELLS // max(rows, units)}. Ask for fewer resamples, or name by=, which has fewer units."
        )
    draws = scheme.draw(units, resamples, np.random.default_rng(seed))
    if scheme.enumerates(units, resamples):
        notes = (*notes, f"all {len(draws)} sign patterns of {units} rows or clusters are taken instead of {resamples}")
    own_units = [len(np.unique(part)) for part in labels]
    total, done, parts = sum(own_units) + len(fits) * len(draws), 0, []
    for one, part, count in zip(fits, labels, own_units, strict=True):
        steps = tuple(_step(progress, done + before, total) for before in (0, count))
        parts.append(resample(one, scheme, part, draws, steps))
        done += count + len(draws)
    return Bootstrap(fit, scheme, seed, draws, tuple(parts), notes)


def _step(progress: Progress | None, before: int, total: int) -> Progress:
    """Progress of a part of the work, as a share of all."""

    def report(done: int, _: int) -> None:
        if progress is not None:
            progress(before + done, total)

    return report
