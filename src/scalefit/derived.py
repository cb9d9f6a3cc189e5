"""Statistics that are read off the best models of a fit, to be asked of any of its refits."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np

from .allocation import check_plane, closed_form, optima_of
from .exponents import regressions
from .optima import QUANTITIES, Quantity
from .result import Fit

BUDGETS = 12  # over which the exponent of a surface is read; a law has it from any two


def allocation_exponent(fit: Fit) -> float:
    """Exponent a of the best params, N_opt ~ C^a with C = 6 N D (Eq. 7 of [1]_): the split of compute in one number.

    Parameters
    ----------
    fit : Fit
        Of a law or a surface of params and tokens. For E + A N^-alpha + B D^-beta, a = beta / (alpha + beta). Of a
        surface, over budgets between the smallest and largest of its runs.

    Raises
    ------
    TypeError
        If this is no fit of params and tokens.
    ValueError
        If fewer than two budgets have a bracketed optimum.

    References
    ----------
    .. [1] arXiv:2601.10684.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> round(sf.allocation_exponent(sf.fit(sf.Chinchilla, runs)), 4)
    0.4516
    """
    check_plane(fit)
    terms = closed_form(fit)
    if terms is not None:
        alpha, beta = (fit.parameters[term.exponent] for term in terms)
        return beta / (alpha + beta)
    spent = 6 * fit.table["params"] * fit.table["tokens"]
    budgets = np.geomspace(spent.min(), spent.max(), BUDGETS)
    best = optima_of(fit, budgets)
    used = best.bracketed[0]
    if used.sum() < 2:
        raise ValueError(f"{used.sum()} of {BUDGETS} budgets have a bracketed optimum, and an exponent needs two.")
    return float(regressions(budgets, best, used, None)["a"][0])


def best_at(flops: float, quantity: Quantity = "tokens_per_param") -> Callable[[Fit], float]:
    """Statistic of a fit: params, tokens, loss or tokens_per_param of the best model for a budget.

    Parameters
    ----------
    flops : float, FLOPs
    quantity : {"tokens_per_param", "params", "tokens", "loss"}

    Returns
    -------
    callable
        Takes a `Fit`, gives a number; nan where the optimum is not bracketed. Its name says what it is.

    Raises
    ------
    ValueError
        If the quantity is unknown, or the budget not positive and finite.

    Examples
    --------
    >>> import scalefit as sf
    >>> runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    >>> statistic = sf.best_at(5.88e23)
    >>> statistic.__name__, round(statistic(sf.fit(sf.Chinchilla, runs)), 2)
    ('tokens_per_param at 5.88e+23 FLOPs', 92.83)
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, not {quantity!r}.")
    if isinstance(flops, bool) or not isinstance(flops, Real) or not 0 < flops < np.inf:
        raise ValueError(f"flops must be positive and finite, such as 1e21, not {flops!r}.")

    def statistic(fit: Fit) -> float:
        best = optima_of(fit, np.array([flops], dtype=float))
        return float(best.get(quantity)[0, 0]) if best.bracketed[0, 0] else float("nan")

    statistic.__name__ = f"{quantity} at {flops:.4g} FLOPs"
    return statistic
