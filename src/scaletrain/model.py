"""The model: a pre-norm decoder-only transformer in which every tensor has a leading replica axis R."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .config import Recipe, Shape
from .parametrization import EMBEDDING, multiplier, scales, tensor_shapes

BASE = 10_000.0  # of the rotary angles, as in GPT-NeoX
EPS = 1e-6  # of the norms

Params = dict[str, Tensor]


def initial(shape: Shape, recipe: Recipe, seeds: Sequence[int]) -> Params:
    """Initial tensors of R replicas, each drawn from its own seed: what a replica gets does not depend on its pack.

    Examples
    --------
    >>> shape, recipe = Shape(vocabulary=10, width=16), Recipe(steps=1)
    >>> pair, second = initial(shape, recipe, [0, 1]), initial(shape, recipe, [1])
    >>> torch.equal(pair["embedding"][1:], second["embedding"])
    True
    """
    dtype = torch.float64 if recipe.dtype == "float64" else torch.float32
    sizes, scale = tensor_shapes(shape), scales(shape, recipe)
    replicas = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        replicas.append({
            name: torch.randn(size, generator=generator, dtype=torch.float64) * scale[name].std
            for name, size in sizes.items()
        })  # fmt: skip
    return {name: torch.stack([one[name] for one in replicas]).to(dtype) for name in sizes}


def hidden(params: Mapping[str, Tensor], tokens: Tensor, shape: Shape, seen: dict[str, Tensor] | None = None) -> Tensor:
    """Normed final states (R, B, T, d) of tokens (R, B, T); what is on the way goes into `seen`, if it is given."""
    seen = {} if seen is None else seen
    replicas, batch, context = tokens.shape
    d, heads, size = shape.width, shape.heads, shape.head_dim
    offset = torch.arange(replicas, device=tokens.device)[:, None, None] * shape.vocabulary
    x = F.embedding(tokens + offset, params[EMBEDDING].flatten(0, 1))  # (R, B, T, d)
    cos, sin = rotary(context, size, x)
    for layer in range(shape.depth):
        qkv = linear(norm(x), params[f"layer{layer}.qkv"])  # (R, B, T, 3 d)
        q, k, v = qkv.view(replicas * batch, context, 3, heads, size).permute(2, 0, 3, 1, 4)  # (R B, H, T, size)
        mixed = F.scaled_dot_product_attention(turned(q, cos, sin), turned(k, cos, sin), v, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(replicas, batch, context, d)
        added = seen[f"layer{layer}.attention"] = linear(mixed, params[f"layer{layer}.out"])
        x = x + added
        wide = F.gelu(linear(norm(x), params[f"layer{layer}.up"]))
        added = seen[f"layer{layer}.mlp"] = linear(wide, params[f"layer{layer}.down"])
        x = seen[f"layer{layer}.residual"] = x + added
    final = seen["final"] = norm(x)
    return final


def logits(params: Mapping[str, Tensor], tokens: Tensor, shape: Shape, recipe: Recipe) -> Tensor:
    """Logits (R, B, T, V) of the next token: large; training never makes them whole."""
    head = params[EMBEDDING].transpose(1, 2) / multiplier(shape, recipe)
    return linear(hidden(params, tokens, shape), head)


def products_in(dtype: str, device: torch.device) -> torch.autocast:
    """Context in which products are made in bfloat16, if that is the dtype; weights and sums stay as they are."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16")


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Product of (R, ..., i) with (R, i, o) for each replica.

    On a CPU one replica after the other: nothing is gained there by a batched product, and on one thread a replica then
    gets the same bits in any pack.
    """
    rows = x.flatten(1, -2)  # (R, n, i)
    if x.is_cuda:
        made = torch.bmm(rows, weight)
    elif len(x) == 1:
        made = (rows.squeeze(0) @ weight.squeeze(0))[None]
    else:  # the gradient of `unbind` is one stack, that of each index an array of zeros as large as all replicas
        made = torch.stack([own @ its for own, its in zip(rows.unbind(), weight.unbind(), strict=True)])
    return made.view(*x.shape[:-1], weight.shape[-1])


def norm(x: Tensor) -> Tensor:
    """Rows divided by their root mean square, without a gain: trainable gains break transfer between widths."""
    return F.rms_norm(x, (x.shape[-1],), eps=EPS)


def rotary(context: int, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, size / 2) of the angles by which positions turn the pairs of a head."""
    rates = BASE ** (-torch.arange(0, size, 2, device=like.device, dtype=torch.float64) / size)
    angles = torch.arange(context, device=like.device, dtype=torch.float64)[:, None] * rates
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries or keys (..., T, size), each pair (i, i + size / 2) turned by its position."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
