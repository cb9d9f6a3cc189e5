"""Optima of one fit or of many refits at each budget, and what a bootstrap says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .resampled import Bootstrap

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Quantity = Literal["params", "tokens", "loss", "tokens_per_param"]

QUANTITIES: tuple[Quantity, ...] = ("params", "tokens", "loss", "tokens_per_param")


@dataclass(frozen=True, eq=False)
class Optima:
    """Optima of R fits at m budgets, (R, m) arrays; nan where there is none.

    Examples
    --------
    >>> one = Optima(np.array([[1e9]]), np.array([[2e10]]), np.array([[2.5]]), np.array([[False]]))
    >>> one.get("tokens_per_param").tolist()
    [[20.0]]
    """

    params: Floats
    tokens: Floats
    loss: Floats
    at_edge: Bools

    def get(self, quantity: Quantity) -> Floats:
        """(R, m) values of a quantity."""
        if quantity not in QUANTITIES:
            raise ValueError(f"a frontier has {', '.join(QUANTITIES)}, not {quantity!r}.")
        value: Floats = self.tokens / self.params if quantity == "tokens_per_param" else getattr(self, quantity)
        return value

    @property
    def bracketed(self) -> Bools:
        """(R, m) where there is an optimum that is not at an edge."""
        return np.isfinite(self.params) & np.isfinite(self.tokens) & ~self.at_edge


@dataclass(frozen=True, eq=False)
class Draws:
    """What a bootstrap says about a frontier: the optima of every refit.

    Attributes
    ----------
    bootstrap : Bootstrap
    optima : Optima
        Of the B resamples.
    jackknife : callable
        Gives the `Optima` with each unit left out; called for BCa alone.
    """

    bootstrap: Bootstrap
    optima: Optima
    jackknife: Callable[[], Optima]
