"""FLOPs: the one place where the link between params, tokens and FLOPs is defined.

A cost is a function of params and tokens that gives FLOPs and increases in both: `six_nd`, or what `transformer` and
`with_inference` return. Whether N holds the embeddings is the convention of the table that it comes from; only
`transformer` has to know, and asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = float | NDArray[np.float64]
Cost: TypeAlias = Callable[[ArrayLike, ArrayLike], Floats]


def six_nd(params: ArrayLike, tokens: ArrayLike) -> Floats:
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
    >>> six_nd(70_000_000_000, 1_400_000_000_000)
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


def nonembedding_params(depth: ArrayLike, width: ArrayLike) -> Floats:
    """Parameters of the layers of a transformer, N = 12 n_layer d^2 [1]_, with a feed-forward width of 4 d.

    Biases, norms and positions are left out: about 1 / d of it.

    References
    ----------
    .. [1] Kaplan et al. 2020, arXiv:2001.08361, table 1.

    Examples
    --------
    >>> nonembedding_params(96, 12288)
    173946175488.0
    """
    return _plain(12.0 * _floats(depth) * _floats(width) ** 2)


def total_params(*, width: ArrayLike, depth: ArrayLike, vocabulary: ArrayLike) -> Floats:
    """Parameters of a transformer whose embedding is also its head, N = 12 n_layer d^2 + V d, without biases and norms.

    Examples
    --------
    >>> total_params(width=512, depth=2, vocabulary=8192)
    10485760.0
    """
    return _plain(_floats(nonembedding_params(depth, width)) + _floats(vocabulary) * _floats(width))


def exact_flops(
    *, width: ArrayLike, depth: ArrayLike, vocabulary: ArrayLike, context: ArrayLike, tokens: ArrayLike,
    causal: bool = False,
) -> Floats:  # fmt: skip
    """FLOPs of all products of matrices in training, C = 6 N D + 12 n_layer n_ctx d D [1]_, N of `total_params`.

    Parameters
    ----------
    width, depth, vocabulary, context, tokens : array_like, count
        d, n_layer, V, n_ctx and D; feed-forward width 4 d, the embedding is also the head.
    causal : bool
        Count the half of attention that a causal mask leaves, 6 n_layer n_ctx d D [2]_, as `transformer` does.

    Notes
    -----
    The convention is part of the number: nanoGPT, PaLM and torchtitan count this; Porian et al. the causal half; 6 N D,
    `six_nd`, is commonest with all N; Kaplan et al. take N without the embedding, `nonembedding_params`. Hoffmann et
    al.'s appendix F adds 6 V d D for the embedding as a product, and the softmax. Small models are far apart.

    References
    ----------
    .. [1] Chowdhery et al. 2022, arXiv:2204.02311, appendix B.
    .. [2] Porian et al. 2024, arXiv:2406.19146.

    Examples
    --------
    >>> exact_flops(width=512, depth=2, vocabulary=8192, context=50, tokens=5000)
    317644800000.0
    """
    attended = _floats(context) * (0.5 if causal else 1.0)
    weights = _floats(total_params(width=width, depth=depth, vocabulary=vocabulary))
    return _plain((6.0 * weights + 12.0 * _floats(depth) * attended * _floats(width)) * _floats(tokens))


@dataclass(frozen=True)
class Transformer:
    """Training FLOPs of a family of transformers that grow in depth and width alike; `transformer` makes one.

    Examples
    --------
    >>> transformer(vocabulary=50257, context=2048)
    Transformer(vocabulary=50257, context=2048, aspect=128.0, embeddings=True)
    """

    vocabulary: int
    context: int
    aspect: float
    embeddings: bool

    def __call__(self, params: ArrayLike, tokens: ArrayLike) -> Floats:
        """FLOPs of params and tokens, floats or (m,) arrays."""
        width = _floats(self.width(params))
        return exact_flops(
            width=width, depth=width / self.aspect, vocabulary=self.vocabulary, context=self.context, tokens=tokens,
            causal=True,
        )  # fmt: skip

    def width(self, params: ArrayLike) -> Floats:
        """Width d of a model of so many parameters, in general no whole number.

        Examples
        --------
        >>> family = transformer(vocabulary=50257, context=2048, aspect=128)
        >>> round(family.width(12 * 32 * 4096**2 + 50257 * 4096), 6)
        4096.0
        """
        cube = _floats(params) * self.aspect / 12.0
        if not self.embeddings:
            return _plain(np.cbrt(cube))
        # the one real root of d^3 + 3 p d = cube, without cancellation
        p = self.vocabulary * self.aspect / 36.0
        return _plain(2.0 * np.sqrt(p) * np.sinh(np.arcsinh(cube / (2.0 * p**1.5)) / 3.0))


def transformer(*, vocabulary: int, context: int, aspect: float = 128.0, embeddings: bool = True) -> Transformer:
    """Cost of training a decoder-only transformer, counted multiplication by multiplication [1]_.

    With n_layer layers of width d and feed-forward width 4 d, a vocabulary of V whose embedding is also the head, and
    a context of n_ctx,

        N = 12 n_layer d^2 + V d,    C = 3 (24 n_layer d^2 + 2 n_layer n_ctx d + 2 V d) D,

    where n_layer = d / aspect need not be whole, so that C is smooth in N.

    Parameters
    ----------
    vocabulary : int
        V.
    context : int, tokens
        n_ctx.
    aspect : float
        Width per layer.
    embeddings : bool
        Whether params counts the embedding, V d.

    Returns
    -------
    Transformer
        A cost: call it with params and tokens. Increasing in both.

    Raises
    ------
    ValueError
        If a number is not positive and finite.

    Notes
    -----
    Attention is counted at half the context on average, as a causal mask allows; reading the embedding, norms, softmax
    and the optimiser are not counted. Other authors count the whole context, or the embedding as a product: the FLOPs
    reported for Cerebras-GPT are 1.12 to 1.54 times these. The default aspect is not from the paper (value unknown);
    it is that of GPT-3 from 6.7B parameters on [2]_, whose smaller models have 43 to 85.

    References
    ----------
    .. [1] Kaplan et al. 2020, arXiv:2001.08361, table 1.
    .. [2] Brown et al. 2020, arXiv:2005.14165, table 2.1.

    Examples
    --------
    >>> cost = transformer(vocabulary=50257, context=2048)
    >>> [round(cost(params, 2e10) / six_nd(params, 2e10), 3) for params in (1e8, 1e10)]
    [1.115, 1.035]
    """
    for name, value in (("vocabulary", vocabulary), ("context", context), ("aspect", aspect)):
        _check_positive(name, value)
    return Transformer(vocabulary, context, float(aspect), embeddings)


@dataclass(frozen=True)
class WithInference:
    """FLOPs of training a model and of serving it; `with_inference` makes one.

    Examples
    --------
    >>> with_inference(1e12).tokens_served
    1000000000000.0
    """

    tokens_served: float
    cost: Cost

    def __call__(self, params: ArrayLike, tokens: ArrayLike) -> Floats:
        """FLOPs of params and tokens, floats or (m,) arrays."""
        return _plain(_floats(self.cost(params, tokens)) + 2.0 * _floats(params) * self.tokens_served)

    def __repr__(self) -> str:
        training = getattr(self.cost, "__name__", None) or repr(self.cost)
        return f"with_inference({self.tokens_served:g}, cost={training})"


def with_inference(tokens_served: float, cost: Cost = six_nd) -> WithInference:
    """Cost of training and of serving, cost(N, D) + 2 N D_inf [1]_: a model that is used much is best small.

    Parameters
    ----------
    tokens_served : float, count
        D_inf, tokens read and written over the life of the model; 0 is training alone.
    cost : callable
        Of training: FLOPs of params and tokens.

    Returns
    -------
    WithInference
        A cost, so that `compute_optimal` splits a budget for training and serving together.

    Raises
    ------
    ValueError
        If tokens_served is negative or not finite.

    References
    ----------
    .. [1] Sardana et al. 2024, arXiv:2401.00448, section 2: two FLOPs per parameter and token of inference.

    Examples
    --------
    >>> cost = with_inference(2e12)
    >>> cost
    with_inference(2e+12, cost=six_nd)
    >>> cost(1e9, 1e12)
    1e+22
    """
    if not (np.isfinite(tokens_served) and tokens_served >= 0):
        raise ValueError(f"tokens_served is a number of tokens, at least 0 and finite, not {tokens_served!r}.")
    return WithInference(float(tokens_served), cost)


#: Rules by name. Each gives, for the quantity that is absent, its function and that function's arguments.
RULES: dict[str, dict[str, tuple[Callable[[ArrayLike, ArrayLike], Floats], tuple[str, str]]]] = {
    "6ND": {
        "params": (params_for, ("flops", "tokens")),
        "tokens": (tokens_for, ("flops", "params")),
        "flops": (six_nd, ("params", "tokens")),
    },
}


def _check_positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, not {value!r}.")


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _plain(values: NDArray[np.float64]) -> Floats:
    return values if np.ndim(values) else float(values)
