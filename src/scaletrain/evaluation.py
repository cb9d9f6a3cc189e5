"""Loss on fixed test walks: the entropy floor plus the exact divergence from the true next node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import Recipe, Shape
from .graphs import Graph
from .model import hidden
from .parametrization import EMBEDDING, multiplier

Floats = NDArray[np.float64]
ROWS = 4096  # whose logits are made at once


@dataclass(frozen=True)
class Evaluation:
    """Losses of R replicas on the same test walks.

    Attributes
    ----------
    loss : (R,) array, nats per token
        Entropy floor of walks of this length plus the mean divergence.
    loss_se : (R,) array
        Standard error of the mean over walks.
    divergence : (R,) array
        Mean KL(P[x_t] || q_t), never negative: a sampled cross-entropy would scatter by more than the whole of it.
    floor : float
    walks, tokens : int
        Of the test set.
    """

    loss: Floats
    loss_se: Floats
    divergence: Floats
    floor: float
    walks: int
    tokens: int


class WalkEvaluator:
    """Evaluates models on walks that stay the same.

    Parameters
    ----------
    graph : Graph
    walks : (W, T) array of int
        Test walks.
    device : device of torch
    """

    def __init__(self, graph: Graph, walks: NDArray[np.integer], device: torch.device | str = "cpu") -> None:
        if len(walks) < 2:
            raise ValueError(f"a standard error needs at least 2 test walks, not {len(walks)}.")
        self.graph, self.device = graph, torch.device(device)
        self.tokens = torch.as_tensor(np.asarray(walks, dtype=np.int64), device=self.device)
        self.floor = graph.floor(self.tokens.shape[1])
        self.first = torch.as_tensor(graph.indptr[:-1], device=self.device)
        self.degrees = torch.as_tensor(graph.degrees, device=self.device)
        self.targets = torch.as_tensor(graph.indices, device=self.device)
        self.chances = torch.as_tensor(graph.matrix.data, device=self.device)
        self.entropy = torch.as_tensor(graph.node_entropy, device=self.device)

    @torch.no_grad()
    def __call__(self, params: Mapping[str, Tensor], shape: Shape, recipe: Recipe) -> Evaluation:
        """Evaluate R replicas."""
        per_walk = []
        some = max(1, ROWS // (self.tokens.shape[1] - 1))
        for start in range(0, len(self.tokens), some):
            seen = self.tokens[start : start + some, :-1]
            per_walk.append(self._divergence(params, seen, shape, recipe).mean(dim=2))
        divergences = torch.cat(per_walk, dim=1).cpu().numpy()  # (R, W)
        count = divergences.shape[1]
        means = divergences.mean(axis=1)
        return Evaluation(
            self.floor + means, divergences.std(axis=1, ddof=1) / np.sqrt(count), means, self.floor, count,
            count * (self.tokens.shape[1] - 1),
        )  # fmt: skip

    def _divergence(self, params: Mapping[str, Tensor], seen: Tensor, shape: Shape, recipe: Recipe) -> Tensor:
        """(R, W, T) divergence at each position."""
        replicas = len(params[EMBEDDING])
        states = hidden(params, seen.expand(replicas, *seen.shape), shape).flatten(1, 2)  # (R, n, d)
        nodes = seen.flatten()
        m = multiplier(shape, recipe)
        rows = [divergence(self, (states[r] / m) @ params[EMBEDDING][r].T, nodes) for r in range(replicas)]
        return torch.stack(rows).view(replicas, *seen.shape)


def divergence(truth: WalkEvaluator, scores: Tensor, nodes: Tensor) -> Tensor:
    """(n,) KL(P[node] || softmax(scores)) in float64, nats; scores (n, V), nodes (n,)."""
    scores = scores.double()
    total = torch.logsumexp(scores, dim=1)
    counts = truth.degrees[nodes]
    row = torch.repeat_interleave(torch.arange(len(nodes), device=nodes.device), counts)
    begins = torch.cumsum(counts, 0) - counts
    edge = truth.first[nodes][row] + torch.arange(len(row), device=nodes.device) - begins[row]
    expected = torch.zeros_like(total).index_add_(0, row, truth.chances[edge] * scores[row, truth.targets[edge]])
    return total - expected - truth.entropy[nodes]
