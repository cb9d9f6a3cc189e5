"""Cross-entropy of a tied head for R replicas, a chunk of rows at a time: the logits are never there as a whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 24 << 20  # of logits: half of the cache of a large GPU, and a CPU does not mind


def linear_cross_entropy(states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy (R,) of rows (R, n, d) with a head (R, V, d) and targets (R, n), nats per token.

    The gradients are made in the forward pass, from the one exponential that the loss needs. A replica's loss depends
    on its own rows alone, so that one that diverges leaves the others as they are.

    Examples
    --------
    >>> states, head = torch.zeros(2, 3, 4), torch.zeros(2, 5, 4)
    >>> linear_cross_entropy(states, head, torch.zeros(2, 3, dtype=torch.long)).exp()
    tensor([5., 5.])
    """
    made: Tensor = _LinearCrossEntropy.apply(states, head, targets)  # type: ignore[no-untyped-call]
    return made


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        replicas, rows, _ = states.shape
        wide = torch.float64 if states.dtype == torch.float64 else torch.float32
        losses = torch.zeros(replicas, device=states.device, dtype=wide)
        of_states = torch.empty_like(states)
        of_head = torch.zeros(head.shape, device=head.device, dtype=wide)
        size = min(rows, max(1, CHUNK_BYTES // (4 * head.shape[1])))
        # Replicas together only where they are small: each chunk adds to the gradient of its whole heads.
        together = max(1, CHUNK_BYTES // (4 * head.shape[1] * size)) if states.is_cuda else 1
        groups = [slice(r, r + together) for r in range(0, replicas, together)]
        for group in groups:
            for start in range(0, rows, size):
                chunk = slice(start, start + size)
                x, goal = states[group, chunk], targets[group, chunk, None]
                scores = torch.matmul(x, head[group].transpose(1, 2)).to(wide)  # (R, c, V)
                top = scores.amax(dim=-1, keepdim=True)
                right = scores.gather(2, goal) - top
                scores.sub_(top).exp_()
                total = scores.sum(dim=-1, keepdim=True)
                losses[group] += (total.log() - right).sum(dim=(1, 2))
                scores.div_(total).scatter_add_(2, goal, torch.full_like(right, -1.0))
                slope = scores.to(states.dtype)
                of_states[group, chunk] = torch.matmul(slope, head[group])
                of_head[group] += torch.matmul(slope.transpose(1, 2), x)
        ctx.save_for_backward(of_states.div_(rows), of_head.div_(rows).to(head.dtype))
        return losses / rows

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None]:
        of_states, of_head = ctx.saved_tensors
        by = slopes[0][:, None, None]
        return of_states * by.to(of_states.dtype), of_head * by.to(of_head.dtype), None
