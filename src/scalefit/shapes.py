"""Real transformer shapes: whole numbers of layers and heads near a number of parameters."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .flops import nonembedding_params

# Ours. Width per layer: the models of GPT-3 have 43 to 128 (Brown et al. 2020, arXiv:2005.14165, table 2.1), those of
# Pythia 43 to 142 (Biderman et al. 2023, arXiv:2304.01373, table 1).
ASPECTS = (40, 144)
EQUAL = 0.01  # of log params: shapes that differ by less are equally near, since what is left out matters as much
FARTHEST = 2.0  # times the target, or a part of it, that is still near
MOST_PARAMS = 1e15


def shapes_near(
    params: float,
    *,
    vocabulary: int = 50257,
    head: int = 64,
    aspect: float = 128.0,
    count: int = 5,
    embeddings: bool = True,
) -> pd.DataFrame:
    """Decoder-only transformers whose parameters are near a target, such as the optimum of a frontier.

    With n_layer layers of width d and feed-forward width 4 d, and a vocabulary of V whose embedding is also the head,
    N = 12 n_layer d^2 + V d [1]_. Biases, norms and learned positions are left out: about (13 n_layer + n_ctx) d.

    Parameters
    ----------
    params : float, count
        Target, up to 1e15.
    vocabulary : int
        V; the default is GPT-2's.
    head : int
        Width of an attention head; the width of the model is a multiple of it.
    aspect : float
        Width per layer that is wanted; see `scalefit.flops.transformer`.
    count : int
        How many shapes; fewer if no more are within a factor 2 of the target.
    embeddings : bool
        Whether the target counts the embedding, V d.

    Returns
    -------
    DataFrame
        A row per shape, the nearest first, in steps of 1 %; within a step, the nearest to the aspect. `depth` (layers),
        `width`, `heads`, `aspect` (from 40 to 144, or a single layer), `params` with and `params_nonembed` without the
        embedding, and `ratio`, the counted parameters over the target.

    Raises
    ------
    ValueError
        If a number is out of range, or no shape is within a factor 2 of the target.

    References
    ----------
    .. [1] Kaplan et al. 2020, arXiv:2001.08361, table 1.

    Examples
    --------
    >>> shapes_near(1.3e9, count=3)[["depth", "width", "heads", "params", "ratio"]].round(4)
       depth  width  heads      params   ratio
    0     21   2176     34  1302573184  1.0020
    1     24   2048     32  1310885888  1.0084
    2     27   1920     30  1290887040  0.9930
    """
    if not 0 < params <= MOST_PARAMS:
        raise ValueError(f"params must be a number of parameters from 1 to {MOST_PARAMS:g}, not {params!r}.")
    if not 0 < aspect < np.inf:
        raise ValueError(f"aspect must be positive and finite, not {aspect!r}; real models have 40 to 144.")
    for name, value in (("vocabulary", vocabulary), ("head", head), ("count", count)):
        _check_whole(name, value)
    shapes = _shapes(float(params), vocabulary, head, embeddings)
    far = np.abs(np.log(shapes["ratio"]))
    if far.min() > np.log(FARTHEST):
        nearest = shapes.loc[far.idxmin()]
        raise ValueError(
            f"no shape is within a factor {FARTHEST:g} of {params:.4g} parameters: the nearest, {nearest['depth']:.0f} "
            f"layer(s) of width {nearest['width']:.0f}, has {nearest['ratio'] * params:.4g}. Choose a smaller "
            f"vocabulary (now {vocabulary}) or narrower heads (now {head})."
        )
    order = np.lexsort((np.abs(np.log(shapes["aspect"] / aspect)), far // EQUAL))
    near = order[far.to_numpy()[order] <= np.log(FARTHEST)][:count]
    return shapes.take(near).reset_index(drop=True)


def _shapes(params: float, vocabulary: int, head: int, embeddings: bool) -> pd.DataFrame:
    """The two depths around the target at each width, within the aspect ratios."""
    widest = np.cbrt(params * ASPECTS[1] / 12)  # 12 d^3 / aspect = N
    widths = head * np.arange(1, int(widest / head) + 2)
    room = params - vocabulary * widths if embeddings else np.full(len(widths), params)
    exact = room / np.asarray(nonembedding_params(1, widths))
    least, most = np.ceil(widths / ASPECTS[1]), np.maximum(widths // ASPECTS[0], 1)
    depth = np.concatenate([np.clip(around(exact), least, most) for around in (np.floor, np.ceil)])
    frame = pd.DataFrame({"depth": depth.astype(np.int64), "width": np.tile(widths, 2)})
    frame = frame.drop_duplicates(ignore_index=True)
    frame["heads"], frame["aspect"] = frame["width"] // head, frame["width"] / frame["depth"]
    layers = np.asarray(nonembedding_params(frame["depth"], frame["width"]))  # whole numbers: exact up to 2^53
    frame["params"] = (layers + vocabulary * frame["width"]).astype(np.int64)
    frame["params_nonembed"] = layers.astype(np.int64)
    frame["ratio"] = frame["params" if embeddings else "params_nonembed"] / params
    return frame


def _check_whole(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}.")
