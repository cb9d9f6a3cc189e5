"""A plain loop in the manner of nanoGPT, the baseline of the trainer's benchmarks: one model, one run.

Ordinary modules and `torch.optim.AdamW` with a learning rate for each group, with the shapes, parametrization and
schedule of a pack of one replica, and the trainer's initial weights. Nothing of it is stacked or chunked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from scaletrain.config import Pack, Recipe, Shape
from scaletrain.model import BASE, EPS, initial
from scaletrain.parametrization import EMBEDDING, multiplier, scales

Batches = Callable[[int], Tensor]


class Attention(nn.Module):
    """Causal attention with rotary positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.size = shape.heads, shape.head_dim
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        rates = BASE ** (-torch.arange(0, self.size, 2, dtype=torch.float64) / self.size)
        angles = torch.arange(shape.context, dtype=torch.float64)[:, None] * rates
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, self.size)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(self.turned(q), self.turned(k), v, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def turned(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        turned = (first * self.cos - second * self.sin, second * self.cos + first * self.sin)
        return torch.cat(turned, dim=-1).type_as(x)


class Block(nn.Module):
    """Attention and a feed-forward layer, each after a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.before_attention = nn.RMSNorm(shape.width, eps=EPS, elementwise_affine=False)
        self.attention = Attention(shape)
        self.before_mlp = nn.RMSNorm(shape.width, eps=EPS, elementwise_affine=False)
        self.up = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.down = nn.Linear(4 * shape.width, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before_attention(x))
        return x + self.down(nn.functional.gelu(self.up(self.before_mlp(x))))


class PlainGPT(nn.Module):
    """The model of `scaletrain.model` as modules, with a head that is tied to the embedding."""

    def __init__(self, shape: Shape, recipe: Recipe) -> None:
        super().__init__()
        self.m = multiplier(shape, recipe)
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.final = nn.RMSNorm(shape.width, eps=EPS, elementwise_affine=False)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Mean cross-entropy of sequences (B, length)."""
        x = self.embedding(tokens[:, :-1])
        for block in self.blocks:
            x = block(x)
        return nn.functional.cross_entropy(self.head(self.final(x) / self.m).flatten(0, 1), tokens[:, 1:].flatten())

    def tensors(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters by the names of `scaletrain.parametrization`."""
        yield EMBEDDING, self.embedding.weight
        for number, block in enumerate(self.blocks):
            parts = {"qkv": block.attention.qkv, "out": block.attention.out, "up": block.up, "down": block.down}
            for name, part in parts.items():
                yield f"layer{number}.{name}", part.weight

    @torch.no_grad()
    def begin_as(self, shape: Shape, recipe: Recipe, seed: int) -> None:
        """Take the trainer's initial weights."""
        start = initial(shape, recipe, [seed])
        for name, weight in self.tensors():
            weight.copy_(start[name][0] if name == EMBEDDING else start[name][0].T)


class PlainLoop:
    """Trains one model; what is said of log_interval and compile is as in nanoGPT.

    Parameters
    ----------
    pack : Pack
        Of one replica.
    batches : callable
        (B, length) tokens of a step.
    log_interval : int
        Updates between two readings of the loss, each of which waits for the device.
    """

    def __init__(
        self, pack: Pack, batches: Batches, *, device: str = "cpu", log_interval: int = 1, compiled: bool = False,
        bf16: bool = False,
    ) -> None:  # fmt: skip
        (self.replica,) = pack.replicas
        self.pack, self.batches, self.device, self.log_interval = pack, batches, torch.device(device), log_interval
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        model = PlainGPT(pack.shape, pack.recipe)
        model.begin_as(pack.shape, pack.recipe, self.replica.seed)
        self.model = model.to(self.device)
        self.optimizer = self.adamw()
        self.run = torch.compile(self.model) if compiled else self.model
        self.step, self.losses = 0, []

    def adamw(self) -> torch.optim.AdamW:
        """AdamW with a group for each learning rate and decay."""
        recipe, scale = self.pack.recipe, scales(self.pack.shape, self.pack.recipe)
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, weight in self.model.tensors():
            key = (scale[name].lr, recipe.weight_decay * scale[name].decay / scale[name].lr)
            groups.setdefault(key, []).append(weight)
        self.shares = [lr for lr, _ in groups]
        return torch.optim.AdamW(
            [{"params": weights, "weight_decay": decay} for (_, decay), weights in groups.items()],
            lr=self.replica.lr, betas=(recipe.beta1, recipe.beta2), eps=recipe.eps,
            fused=True if self.device.type == "cuda" else None,
        )  # fmt: skip

    def advance(self) -> None:
        """Make one update."""
        rate = self.replica.lr * cosine(self.step, self.pack.recipe)
        for group, share in zip(self.optimizer.param_groups, self.shares, strict=True):
            group["lr"] = rate * share
        with self.autocast:
            loss = self.run(self.batches(self.step))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.step % self.log_interval == 0:
            self.losses.append(loss.item())
        self.step += 1


def cosine(step: int, recipe: Recipe) -> float:
    """Linear warm-up to 1, then a cosine to 0 at the last step."""
    warm = max(1, round(recipe.warmup * recipe.steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm + 1) / (recipe.steps - warm)))
