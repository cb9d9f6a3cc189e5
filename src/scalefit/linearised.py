"""A fitted law as a linear model around its optimum, and the noise that its residuals speak of."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .constraints import constrain
from .curves import Curves
from .families import Families
from .family_laws import FamilyLaw
from .laws import SeparableLaw
from .objective import MAD_TO_SIGMA, residuals, weighted_median
from .result import Fit

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_NOISE = 1e-6  # of a loss, relative: no table has its losses more exactly. Our choice.
WINDOW = 1.84  # of a box kernel for a Gaussian density: its half-width in standard deviations times n^(1/5)
SINGULAR = 1e-7  # ratio of singular values below which a direction changes no loss at all
LARGEST_LOG = 700.0  # of what a float can hold


@dataclass(frozen=True, eq=False)
class Linear:
    """A law near its optimum as a linear model, in coordinates in which its parameters are of one kind.

    Attributes
    ----------
    fit : Fit
    names : tuple of str
        The q free parameters.
    logs : (q,) array of bool
        Those whose coordinate is their logarithm: amplitudes, and what has positive bounds in a law of another form.
    at : (q,) array
        The optimum in these coordinates.
    J : (n, q) array
        Derivatives of the predicted loss, or of its logarithm where the objective takes residuals of that.
    weights : (n,) array
        Frequencies.
    noise : float
        Standard deviation of a run that would give least squares the precision that this objective has.
    slope : float
        Mean of psi' over the residuals, psi = rho'.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12)), noise=0.003)
    >>> near = linearise(sf.fit(sf.PowerLaw, runs))
    >>> near.names, near.J.shape, near.logs.tolist()
    (('E', 'A', 'alpha'), (12, 3), [False, True, False])
    """

    fit: Fit
    names: tuple[str, ...]
    logs: Bools
    at: Floats
    J: Floats
    weights: Floats
    noise: float
    slope: float

    @cached_property
    def sizes(self) -> Floats:
        """(q,) lengths of the columns of J, by which they are scaled; 1 where one is nothing."""
        lengths = np.linalg.norm(np.sqrt(self.weights)[:, None] * self.J, axis=0)
        return np.where(lengths > 0, lengths, 1.0)

    @cached_property
    def axes(self) -> tuple[Floats, Floats]:
        """(q,) singular values of the scaled J, the largest first, and (q, q) directions, one a row."""
        values, directions = np.linalg.svd(np.sqrt(self.weights)[:, None] * self.J / self.sizes)[1:]
        return np.pad(values, (0, len(directions) - len(values))), directions

    @cached_property
    def covariance(self) -> Floats:
        """(q, q) covariance of the coordinates; huge along directions that change no loss."""
        values, directions = self.axes
        held = np.maximum(values, SINGULAR * values[0])
        root = self.noise * directions / held[:, None] / self.sizes
        return np.asarray(root.T @ root)

    def rise(self, errors: float) -> float:
        """Rise of the objective if one parameter is held so many standard errors from its optimum."""
        return errors**2 * self.noise**2 * self.slope / 2

    @property
    def spare(self) -> float:
        """Rows, by their frequencies, beyond the free parameters."""
        return float(self.weights.sum() - len(self.names))

    def rows(self, X: Floats) -> Floats:
        """(m, q) derivatives at inputs X, (m, k), as J has them."""
        return _derivatives(self.fit, self.logs, X)

    def moved(self, by: Floats) -> Fit:
        """The fit with its free parameters moved by (q,) in these coordinates."""
        natural = self.at + by
        natural = np.where(self.logs, np.exp(np.minimum(natural, LARGEST_LOG)), natural)
        model = copy(self.fit.model)
        law = type(self.fit.law)
        map_ = constrain(law.parameters(), fixed=model.fixed, tied=model.tied)
        free = dict(zip(self.names, natural, strict=True))
        full = map_.T @ np.array([free[name] for name in map_.free]) + map_.c
        model.law_ = law(*full.tolist())
        return Fit(model, self.fit.table, self.fit.inputs, self.fit.weights)


def linearise(fit: Fit) -> Linear:
    """A fitted law as a linear model around its optimum, with the noise that its residuals speak of.

    Notes
    -----
    For residuals r that err independently and alike, an M-estimate has the covariance noise^2 (J'J)^-1 with noise^2 =
    mean psi(r)^2 / (mean psi'(r))^2, psi = rho' [1]_. The objective rises by noise^2 mean psi' / 2 where a parameter is
    held one standard error from its optimum. For least squares both are the textbook's. The q smallest residuals are
    left out of the means: a robust fit goes through as many rows. Where Huber's zone is narrower, mean psi' is the
    density of the residuals around zero, by a box of 1.84 n^(-1/5) standard deviations (our choice, the best one for
    Gaussian noise).

    References
    ----------
    .. [1] Huber 1981, Robust Statistics, section 7.6.

    Examples
    --------
    >>> import scalefit as sf
    >>> design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(2e9, 2e11, 6))
    >>> runs = sf.simulate(sf.HOFFMANN_2022, design, noise=0.01)
    >>> 0.005 < linearise(sf.fit(sf.Chinchilla, runs)).noise < 0.02
    True
    """
    check_law(fit)
    names = fit.model.free_
    X = np.stack([fit.table[name] for name in fit.inputs], axis=1)
    logs = _logarithmic(fit, names, X)
    numbers = np.array([fit.parameters[name] for name in names])
    with np.errstate(divide="ignore"):
        at = np.where(logs, np.log(np.maximum(numbers, 1e-300)), numbers)
    weights = np.ones(len(X)) if fit.weights is None else np.asarray(fit.table[fit.weights], dtype=float)
    if weights.sum() <= len(names):
        raise ValueError(
            f"{weights.sum():g} rows for {len(names)} free parameters ({', '.join(names)}) leave no residuals that "
            "speak of the noise. Add runs, or fix or tie a parameter."
        )
    return Linear(fit, names, logs, at, _derivatives(fit, logs, X), weights, *_noise(fit, weights, len(names)))


def check_law(fit: Any) -> None:
    """Raise TypeError if this is no fit of a law, ValueError if it is one family of a joint fit.

    Examples
    --------
    >>> import scalefit as sf
    >>> check_law(sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params"))
    """
    if not isinstance(fit, Fit):
        remedy = "; give one of its fits, curves[0]" if isinstance(fit, Curves) else ""
        remedy = "; fit one family's table alone" if isinstance(fit, Families) else remedy
        raise TypeError(f"this needs what sf.fit gave, for a law, not {type(fit).__name__}{remedy}.")
    if not fit.has_law:
        raise TypeError(
            f"{fit.formula} is a surface without a formula: it has no parameters. Fit a law to the table, "
            "such as sf.fit(sf.Chinchilla, table)."
        )
    if isinstance(fit.model, FamilyLaw):
        shared = ", ".join(fit.model.search_["shared"])
        raise ValueError(
            f"this is one family of a joint fit: with what it shares ({shared}) taken for known, every error would be "
            "too small. Fit this family's table alone: sf.fit(model, table.where(...))."
        )


def least_noise(fit: Fit) -> float:
    """Noise that no table is without, in the space of the objective: a relative error of 1e-6.

    Examples
    --------
    >>> import scalefit as sf
    >>> least_noise(sf.fit(sf.Chinchilla, sf.load("chinchilla")))
    1e-06
    """
    return LEAST_NOISE * (1.0 if fit.objective.space == "log" else float(np.median(fit.table.loss)))


def _logarithmic(fit: Fit, names: Sequence[str], X: Floats) -> Bools:
    law = fit.law
    if isinstance(law, SeparableLaw):
        amplitudes = {term.amplitude for term in law.terms}
        return np.array([name in amplitudes for name in names])
    bounds = type(law).bounds_for(X, fit.table.loss)
    return np.array([bounds[name][0] > 0 for name in names])


def _derivatives(fit: Fit, logs: Bools, X: Floats) -> Floats:
    J = fit.model.jacobian(X)
    J = J * np.where(logs, [fit.parameters[name] for name in fit.model.free_], 1.0)
    return np.asarray(J / fit.model.predict(X)[:, None] if fit.objective.space == "log" else J)


def _noise(fit: Fit, weights: Floats, free: int) -> tuple[float, float]:
    """Noise as `linearise` has it, and mean psi'."""
    objective = fit.objective
    assert not isinstance(objective.delta, str)
    delta, errors = objective.delta, residuals(objective, fit.table.loss, fit.predicted)
    order = np.argsort(np.abs(errors), kind="stable")
    errors, weights = errors[order], weights[order]
    counted = np.clip(np.cumsum(weights) - free, 0.0, weights)  # all but the q smallest
    least = least_noise(fit)
    spread = max(MAD_TO_SIGMA * weighted_median(np.abs(errors), counted), least)
    zone = max(delta, WINDOW * spread * weights.sum() ** -0.2)
    sides = np.where(errors > 0, objective.upward, 1.0)
    psi = sides * (np.clip(errors, -delta, delta) if delta else np.sign(errors))
    within = float(np.average(sides * (np.abs(errors) <= zone), weights=counted))
    slope = within if zone == delta else within * (delta or 1.0) / zone
    return max(float(np.sqrt(np.average(psi**2, weights=counted)) / slope), least), slope
