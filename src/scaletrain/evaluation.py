"""Loss on fixed test sequences: the entropy floor plus the exact divergence, or, of text, the cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .config import Recipe, Shape
from .graphs import Graph
from .model import hidden
from .ngram_models import NextTokens, NgramModel
from .parametrization import EMBEDDING, multiplier

Floats = NDArray[np.float64]
ROWS, BYTES = 4096, 128 << 20  # whose logits are made at once, and of these in float64; it takes about three times that


@dataclass(frozen=True)
class Evaluation:
    """Losses of R replicas on the same test sequences.

    Attributes
    ----------
    loss : (R,) array, nats per token
        Entropy floor of sequences of this length plus the mean divergence; of text, the mean cross-entropy.
    loss_se : (R,) array
        Standard error of the mean over sequences.
    divergence : (R,) array
        Mean KL of the true law of the next token from that of the model, never negative: a sampled cross-entropy would
        scatter by more than the whole of it. nan of text, whose law nobody knows.
    floor : float
        nan of text.
    walks, tokens : int
        Of the test set: sequences, and predicted tokens.
    """

    loss: Floats
    loss_se: Floats
    divergence: Floats
    floor: float
    walks: int
    tokens: int


class WalkEvaluator:
    """Evaluates models on walks that stay the same: of a graph, or of an n-gram model, which walks on contexts.

    Parameters
    ----------
    walked : Graph or NgramModel
    walks : (W, T) array of int
        Test walks.
    device : device of torch
    """

    def __init__(
        self, walked: Graph | NgramModel, walks: NDArray[np.integer], device: torch.device | str = "cpu"
    ) -> None:
        _check_count(walks)
        self.device = torch.device(device)
        self.tokens = torch.as_tensor(np.asarray(walks, dtype=np.int64), device=self.device)
        self.floor = walked.floor(self.tokens.shape[1])
        if isinstance(walked, Graph):
            laws, rows = NextTokens(walked.indptr, walked.indices, walked.matrix.data), self.tokens[:, :-1]
        else:
            laws, numbers = walked.laws_along(walks)
            rows = torch.as_tensor(numbers, device=self.device)
        self.rows = rows  # (W, T - 1): which law is that of the next token
        self.first = torch.as_tensor(laws.indptr[:-1], device=self.device)
        self.degrees = torch.as_tensor(np.diff(laws.indptr), device=self.device)
        self.targets = torch.as_tensor(laws.targets, device=self.device)
        self.chances = torch.as_tensor(laws.chances, device=self.device)
        self.entropy = torch.as_tensor(laws.entropy, device=self.device)

    @torch.no_grad()
    def __call__(self, params: Mapping[str, Tensor], shape: Shape, recipe: Recipe) -> Evaluation:
        """Evaluate R replicas."""
        per_walk = []
        some = at_once(self.tokens, shape.vocabulary)
        for start in range(0, len(self.tokens), some):
            part = slice(start, start + some)
            per_walk.append(self._divergence(params, part, shape, recipe).mean(dim=2))
        divergences = torch.cat(per_walk, dim=1).cpu().numpy()  # (R, W)
        count = divergences.shape[1]
        means = divergences.mean(axis=1)
        return Evaluation(
            self.floor + means, divergences.std(axis=1, ddof=1) / np.sqrt(count), means, self.floor, count,
            count * (self.tokens.shape[1] - 1),
        )  # fmt: skip

    def _divergence(self, params: Mapping[str, Tensor], part: slice, shape: Shape, recipe: Recipe) -> Tensor:
        """(R, W, T) divergence at each position of some walks."""
        replicas, seen = len(params[EMBEDDING]), self.tokens[part, :-1]
        states = hidden(params, seen.expand(replicas, *seen.shape), shape).flatten(1, 2)  # (R, n, d)
        rows, m = self.rows[part].flatten(), multiplier(shape, recipe)
        made = [divergence(self, (states[r] / m) @ params[EMBEDDING][r].T, rows) for r in range(replicas)]
        return torch.stack(made).view(replicas, *seen.shape)


class TextEvaluator:
    """Evaluates models on windows of text that stay the same: the mean cross-entropy, for nobody knows its entropy.

    Parameters
    ----------
    windows : (W, T) array of int
        Held-out windows.
    device : device of torch
    """

    def __init__(self, windows: NDArray[np.integer], device: torch.device | str = "cpu") -> None:
        _check_count(windows)
        self.tokens = torch.as_tensor(np.asarray(windows, dtype=np.int64), device=device)

    @torch.no_grad()
    def __call__(self, params: Mapping[str, Tensor], shape: Shape, recipe: Recipe) -> Evaluation:
        """Evaluate R replicas."""
        replicas, m = len(params[EMBEDDING]), multiplier(shape, recipe)
        some, parts = at_once(self.tokens, shape.vocabulary), []
        for start in range(0, len(self.tokens), some):
            tokens = self.tokens[start : start + some]
            seen, follow = tokens[:, :-1], tokens[:, 1:].flatten()
            states = hidden(params, seen.expand(replicas, *seen.shape), shape).flatten(1, 2) / m  # (R, n, d)
            scores = (states[r] @ params[EMBEDDING][r].T for r in range(replicas))
            losses = [F.cross_entropy(one.double(), follow, reduction="none") for one in scores]
            parts.append(torch.stack(losses).view(replicas, *seen.shape).mean(dim=2))
        per_window = torch.cat(parts, dim=1).cpu().numpy()  # (R, W)
        count, unknown = per_window.shape[1], np.full(replicas, np.nan)
        return Evaluation(
            per_window.mean(axis=1), per_window.std(axis=1, ddof=1) / np.sqrt(count), unknown, float("nan"), count,
            count * (self.tokens.shape[1] - 1),
        )  # fmt: skip


def at_once(sequences: Tensor, vocabulary: int) -> int:
    """How many of sequences (W, T) are evaluated together.

    Examples
    --------
    >>> sequences = torch.zeros(2000, 50)
    >>> at_once(sequences, 1000), at_once(sequences, 50_257)
    (83, 6)
    """
    return max(1, min(ROWS, BYTES // (8 * vocabulary)) // (sequences.shape[1] - 1))


def divergence(truth: WalkEvaluator, scores: Tensor, rows: Tensor) -> Tensor:
    """(n,) KL(law || softmax(scores)) in float64, nats; scores (n, V), rows (n,) which law of the walks it is."""
    scores = scores.double()
    total = torch.logsumexp(scores, dim=1)
    counts = truth.degrees[rows]
    row = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), counts)
    begins = torch.cumsum(counts, 0) - counts
    edge = truth.first[rows][row] + torch.arange(len(row), device=rows.device) - begins[row]
    expected = torch.zeros_like(total).index_add_(0, row, truth.chances[edge] * scores[row, truth.targets[edge]])
    return total - expected - truth.entropy[rows]


def _check_count(sequences: NDArray[np.integer]) -> None:
    if len(sequences) < 2:
        raise ValueError(f"a standard error needs at least 2 test sequences, not {len(sequences)}.")
