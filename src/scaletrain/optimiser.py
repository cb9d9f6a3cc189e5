"""AdamW for stacked models: each replica has its own learning rate, each tensor its own multiple of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .config import Recipe, Shape
from .parametrization import scales

Params = dict[str, Tensor]


def schedule(step: int, recipe: Recipe) -> float:
    """Learning rate of a step, counted from 0, as a share of its peak: linear warm-up, then a cosine to 0.

    The warm-up ends at the peak and the last step is at 0; an only step is at the peak.

    Examples
    --------
    >>> recipe = Recipe(steps=100)
    >>> [round(schedule(step, recipe), 4) for step in (0, 1, 50, 99)]
    [0.5, 1.0, 0.5, 0.0]
    """
    warm = max(1, min(round(recipe.warmup * recipe.steps), recipe.steps - 1))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm + 1) / (recipe.steps - warm)))


class AdamW:
    """Adam with decoupled weight decay [1]_ for R replicas at once.

    With the settings of one replica the update is that of `torch.optim.AdamW`.

    Parameters
    ----------
    params : mapping of str to (R, ...) tensor
        Changed in place.
    shape, recipe : Shape, Recipe
    lrs : sequence of float
        Peak learning rate of each replica.

    References
    ----------
    .. [1] Loshchilov and Hutter 2019, arXiv:1711.05101.
    """

    def __init__(self, params: Params, shape: Shape, recipe: Recipe, lrs: Sequence[float]) -> None:
        self.params, self.recipe = params, recipe
        self.names = list(params)
        first, found = params[self.names[0]], scales(shape, recipe)

        def exact(values: Sequence[Any]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=first.device)

        peaks = exact(lrs)
        # (tensors, R): learning rate at the peak, and what is taken from the weights there
        self.rates = exact([[found[name].lr] for name in self.names]) * peaks
        by = torch.ones_like(peaks) if recipe.decay_mode == "independent" else peaks
        self.decays = exact([[found[name].decay] for name in self.names]) * by * recipe.weight_decay
        self.means = [torch.zeros_like(params[name]) for name in self.names]
        self.squares = [torch.zeros_like(params[name]) for name in self.names]

    @torch.no_grad()
    def step(self, number: int, gradients: Mapping[str, Tensor]) -> None:
        """Update number `number`, counted from 0."""
        recipe, share = self.recipe, schedule(number, self.recipe)
        values = [self.params[name] for name in self.names]
        slopes = [gradients[name] for name in self.names]
        unbiased = 1 - recipe.beta1 ** (number + 1)
        torch._foreach_mul_(values, self._each(1 - self.decays * share))
        torch._foreach_lerp_(self.means, slopes, 1 - recipe.beta1)
        torch._foreach_mul_(self.squares, recipe.beta2)
        torch._foreach_addcmul_(self.squares, slopes, slopes, 1 - recipe.beta2)
        below = torch._foreach_sqrt(self.squares)
        torch._foreach_div_(below, math.sqrt(1 - recipe.beta2 ** (number + 1)))
        torch._foreach_add_(below, recipe.eps)
        moves = torch._foreach_div(self.means, below)
        torch._foreach_mul_(moves, self._each(self.rates * (share / unbiased)))
        torch._foreach_sub_(values, moves)

    def _each(self, values: Tensor) -> tuple[Tensor, ...]:
        """(R, 1, 1) for each tensor, of (tensors, R)."""
        return values.to(self.means[0].dtype)[..., None, None].unbind()
