"""Training FLOPs: the one place where the link between params, tokens and FLOPs is defined.

Nothing here decides which parameters are counted: whether N holds the embeddings is the
convention of the table that it comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = float | NDArray[np.float64]


def training_flops(params: ArrayLike, tokens: ArrayLike) -> Floats:
    """FLOPs that train a model of a given size on given tokens, C = 6 N D [1]_.

    Everything is float64, so counts whose product exceeds int64 do not overflow.

    Parameters
    ----------
    params : array_like, count
        N, a float or an (m,) array.
    tokens : array_like, count
        D, a float or an (m,) array.

    Returns
    -------
    float or (m,) array, FLOPs
        C.

    References
    ----------
    .. [1] Kaplan et al. 2020, arXiv:2001.08361, section 2.1. Two FLOPs per parameter and token
       forward, four backward; attention over the context is ignored.

    Examples
    --------
    >>> training_flops(70_000_000_000, 1_400_000_000_000)
    5.88e+23
    """
    return _plain(6.0 * _floats(params) * _floats(tokens))


def tokens_for(flops: ArrayLike, params: ArrayLike) -> Floats:
    """Tokens that spend a budget on a model of a given size, D = C / (6 N) [1]_.

    Parameters
    ----------
    flops : array_like, FLOPs
        C, a float or an (m,) array.
    params : array_like, count
        N, a float or an (m,) array.

    Returns
    -------
    float or (m,) array, count
        D.

    References
    ----------
    .. [1] Kaplan et al. 2020, arXiv:2001.08361, section 2.1. Ignores attention over the context.

    Examples
    --------
    >>> tokens_for(6e21, 1e9)
    1000000000000.0
    """
    return _plain(_floats(flops) / (6.0 * _floats(params)))


def params_for(flops: ArrayLike, tokens: ArrayLike) -> Floats:
    """Parameters of the model that spends a budget on given tokens, N = C / (6 D) [1]_.

    Parameters
    ----------
    flops : array_like, FLOPs
        C, a float or an (m,) array.
    tokens : array_like, count
        D, a float or an (m,) array.

    Returns
    -------
    float or (m,) array, count
        N.

    References
    ----------
    .. [1] Kaplan et al. 2020, arXiv:2001.08361, section 2.1. Ignores attention over the context.

    Examples
    --------
    >>> params_for(6e21, [1e12, 2e12])
    array([1.e+09, 5.e+08])
    """
    return _plain(_floats(flops) / (6.0 * _floats(tokens)))


#: Rules by name. Each gives, for the quantity that is absent, its function and that function's arguments.
RULES: dict[str, dict[str, tuple[Callable[[ArrayLike, ArrayLike], Floats], tuple[str, str]]]] = {
    "6ND": {
        "params": (params_for, ("flops", "tokens")),
        "tokens": (tokens_for, ("flops", "params")),
        "flops": (training_flops, ("params", "tokens")),
    },
}


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _plain(values: NDArray[np.float64]) -> Floats:
    return values if np.ndim(values) else float(values)
