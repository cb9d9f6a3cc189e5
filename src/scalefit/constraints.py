"""Fixed and tied parameters as one affine map: all parameters = T free + c."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Constraints:
    """Which of p parameters move freely.

    Attributes
    ----------
    free : tuple of str
        Names of the q free parameters.
    T : (p, q) array
    c : (p,) array
    """

    free: tuple[str, ...]
    T: Floats
    c: Floats


def constrain(
    names: Sequence[str], *, fixed: Mapping[str, float] | None = None, tied: Mapping[str, str] | None = None
) -> Constraints:
    """Affine map from the free parameters to all of them.

    Parameters
    ----------
    names : sequence of str
        All parameters, in order.
    fixed : mapping of str to float, optional
        Values of parameters that do not move.
    tied : mapping of str to str, optional
        Parameter to the one whose value it shares.

    Raises
    ------
    ValueError
        If a name is unknown, fixed and tied at once, tied in a circle, or if nothing is left free.

    Examples
    --------
    >>> constrain(["E", "alpha", "beta"], fixed={"E": 1.5}, tied={"beta": "alpha"})
    Constraints(free=('alpha',), T=array([[0.],
           [1.],
           [1.]]), c=array([1.5, 0. , 0. ]))
    """
    fixed, tied = dict(fixed or {}), dict(tied or {})
    for name in (*fixed, *tied, *tied.values()):
        if name not in names:
            raise ValueError(f"there is no parameter {name!r}; the law has {', '.join(names)}.")
    for name in set(fixed) & set(tied):
        raise ValueError(f"{name} is both fixed at {fixed[name]} and tied to {tied[name]}; say one.")
    leaders = {name: _leader(name, tied) for name in names}
    free = tuple(name for name in names if leaders[name] == name and name not in fixed)
    if not free:
        raise ValueError("every parameter is fixed, so there is nothing to fit; call the law itself instead.")
    T, c = np.zeros((len(names), len(free))), np.zeros(len(names))
    for row, name in enumerate(names):
        if leaders[name] in fixed:
            c[row] = fixed[leaders[name]]
        else:
            T[row, free.index(leaders[name])] = 1.0
    return Constraints(free, T, c)


def _leader(name: str, tied: Mapping[str, str]) -> str:
    """Follow the ties to the parameter that moves."""
    path = [name]
    while path[-1] in tied:
        path.append(tied[path[-1]])
        if path[-1] in path[:-1]:
            raise ValueError(f"tied parameters go in a circle: {' -> '.join(path)}. Leave one of them free.")
    return path[-1]
