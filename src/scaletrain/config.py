"""Everything that training runs are made by, as frozen values that are checked when they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

Parametrization = Literal["sp", "sp_embed", "mup"]
WeightDecay = Literal["coupled", "compensated", "independent"]
DType = Literal["float32", "bfloat16", "float64"]
MOST_SEED = 2**32 - 1  # torch reads no more bits of a seed; two seeds above could give the same numbers


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Shape of a decoder-only transformer with tied embeddings.

    Parameters
    ----------
    vocabulary : int
        V, the nodes of a graph.
    width : int
        d, of the residual stream; the feed-forward layer has 4 d.
    depth : int
        Layers.
    head_dim : int
        Of an attention head, even, since rotary positions turn pairs; width / head_dim heads. Not from the paper (heads
        unknown): 16 fits the small widths at which random graphs show their laws.
    length : int
        Tokens of a sequence; the last one is predicted only, so the context is one less.

    Raises
    ------
    ValueError
        If a number is impossible, or the width no multiple of head_dim.

    Examples
    --------
    >>> shape = Shape(vocabulary=1000, width=32)
    >>> shape.heads, shape.params, shape.params_nonembed
    (2, 56576, 24576)
    """

    vocabulary: int
    width: int
    depth: int = 2
    head_dim: int = 16
    length: int = 50

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "depth", "head_dim"):
            check_whole(name, getattr(self, name), 1)
        check_whole("length", self.length, 2)
        if self.head_dim % 2:
            raise ValueError(
                f"head_dim must be even, since rotary positions turn pairs of numbers, not {self.head_dim}."
            )
        if self.width % self.head_dim:
            raise ValueError(
                f"width {self.width} is no multiple of head_dim {self.head_dim}. Choose one such as "
                f"{self.head_dim * max(1, round(self.width / self.head_dim))}, or another head_dim."
            )

    @property
    def heads(self) -> int:
        """Attention heads of a layer."""
        return self.width // self.head_dim

    @property
    def context(self) -> int:
        """Positions at which a token is predicted."""
        return self.length - 1

    @property
    def params_embed(self) -> int:
        """Parameters of the embedding, which is the head too: V d."""
        return self.vocabulary * self.width

    @property
    def params_nonembed(self) -> int:
        """Parameters of the layers: 12 n_layer d^2."""
        return 12 * self.depth * self.width**2

    @property
    def params(self) -> int:
        """All parameters."""
        return self.params_embed + self.params_nonembed


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained. Values that the paper does not give are our choice, and say so.

    Parameters
    ----------
    steps : int
        Updates.
    batch : int
        Sequences of an update; the paper's 100.
    parametrization : {"mup", "sp", "sp_embed"}
        What happens to scales when the width grows; see `parametrization.scales`.
    base_width : int
        Width at which muP and SP are one; not from the paper (value unknown).
    embedding_lr : float
        Learning rate of the embedding, as a multiple of that of the layers at the base width. Not from the paper; the
        largest lever there is on random graphs.
    weight_decay : float
        The paper's 0.01.
    decay_mode : {"compensated", "coupled", "independent"}
        What the decay of an update is a multiple of: of the tensor's learning rate at the base width (as in mup), of
        its own learning rate (as in torch), of the schedule alone.
    warmup : float
        Share of the steps, the paper's 2 %; at least one step, and at most all but the last.
    beta1, beta2, eps : float
        Of Adam; not from the paper (values unknown).
    dtype : {"float32", "bfloat16", "float64"}
        bfloat16 is of the products of training alone; weights, sums and the evaluation stay float32.

    Raises
    ------
    ValueError
        If an entry is impossible.

    Examples
    --------
    >>> Recipe(steps=400).parametrization
    'mup'
    """

    steps: int
    batch: int = 100
    parametrization: Parametrization = "mup"
    base_width: int = 32
    embedding_lr: float = 1.0
    weight_decay: float = 0.01
    decay_mode: WeightDecay = "compensated"
    warmup: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    dtype: DType = "float32"

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "base_width"):
            check_whole(name, getattr(self, name), 1)
        for name, choices in (("parametrization", Parametrization), ("decay_mode", WeightDecay), ("dtype", DType)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, not {getattr(self, name)!r}.")
        for name in ("embedding_lr", "eps"):
            _number(self, name, "positive", lambda value: 0 < value < math.inf)
        _number(self, "weight_decay", "at least 0", lambda value: 0 <= value < math.inf)
        for name in ("warmup", "beta1", "beta2"):
            _number(self, name, "at least 0 and below 1", lambda value: 0 <= value < 1)


@dataclass(frozen=True, kw_only=True)
class Replica:
    """What replicas of one pack differ in.

    Parameters
    ----------
    lr : float
        Peak learning rate of the layers at the base width.
    seed, data_seed : int
        From 0 to 2^32 - 1, of the initial weights and of the training walks.

    Raises
    ------
    ValueError
        If the learning rate is not positive and finite, or a seed is out of its range.

    Examples
    --------
    >>> Replica(lr=0.01).seed
    0
    """

    lr: float
    seed: int = 0
    data_seed: int = 0

    def __post_init__(self) -> None:
        _number(self, "lr", "positive", lambda value: 0 < value < math.inf)
        for name in ("seed", "data_seed"):
            check_whole(name, getattr(self, name), 0, MOST_SEED)


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Runs of one shape and recipe, trained as one stacked model.

    Parameters
    ----------
    shape : Shape
    recipe : Recipe
    replicas : tuple of Replica
        Learning rates and seeds.

    Raises
    ------
    ValueError
        If there is no tuple of replicas.
    TypeError
        If something else is in the place of a shape, recipe or replica.

    Examples
    --------
    >>> pack = Pack(shape=Shape(vocabulary=100, width=32), recipe=Recipe(steps=10), replicas=(Replica(lr=0.01),))
    >>> pack.tokens
    49000
    """

    shape: Shape
    recipe: Recipe
    replicas: tuple[Replica, ...]

    def __post_init__(self) -> None:
        if not (isinstance(self.replicas, tuple) and self.replicas):
            raise ValueError(f"a pack has a tuple of replicas, such as (Replica(lr=0.01),), not {self.replicas!r}.")
        parts = (("shape", self.shape, Shape), ("recipe", self.recipe, Recipe))
        for name, value, kind in (*parts, *(("replica", one, Replica) for one in self.replicas)):
            if not isinstance(value, kind):
                raise TypeError(f"{name} must be a {kind.__name__}, not {value!r}.")

    @property
    def tokens(self) -> int:
        """Tokens that each replica is trained to predict, once each."""
        return self.recipe.steps * self.recipe.batch * self.shape.context


def steps_for(tokens: float, *, batch: int, length: int) -> int:
    """Updates that see about so many tokens once, D / (batch (length - 1)), to the nearest whole number.

    Parameters
    ----------
    tokens : float, count
        D: predicted tokens. The first of a sequence is not predicted and does not count.
    batch : int
        Sequences of an update.
    length : int
        Tokens of a sequence.

    Raises
    ------
    ValueError
        If there are fewer tokens than in one batch, or more than 2^63.

    Examples
    --------
    >>> steps_for(196_000, batch=20, length=50)
    200
    """
    check_whole("batch", batch, 1)
    check_whole("length", length, 2)
    per_step = batch * (length - 1)
    if not tokens >= per_step:
        raise ValueError(
            f"tokens = {tokens:g} is less than one batch, {batch} sequences of {length - 1} predicted tokens or "
            f"{per_step}. Give more tokens, or a smaller batch."
        )
    if tokens > 2**63:
        raise ValueError(f"tokens must be a finite number, at most 2^63, not {tokens!r}.")
    return round(tokens / per_step)


def check_whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number in a range.

    Raises
    ------
    ValueError
        That names it and shows it.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        upto = "on" if most is None else f"to {most}"
        raise ValueError(f"{name} must be a whole number from {least} {upto}, not {value!r}.")


def check_entries(kind: Any, entries: Mapping[str, Any], where: str, *, also: Iterable[str] = ()) -> None:
    """Refuse entries of a table that are no fields of a kind, and fields without a default that have none.

    Raises
    ------
    ValueError
        That names the first entry that is unknown with the one that may be meant, or all that are missing.
    """
    known = sorted([*(one.name for one in fields(kind)), *also])
    for name in entries:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{where} has {name!r}, which is unknown; there are {', '.join(known)}.{meant}")
    lacking = [one.name for one in fields(kind) if one.default is MISSING and one.name not in entries]
    if lacking:
        raise ValueError(f"{where} lacks {' and '.join(lacking)}.")


def _number(owner: Any, name: str, words: str, allowed: Callable[[float], bool]) -> None:
    """Check a number and make it a float, so that 1 and 1.0 have one hash."""
    value = getattr(owner, name)
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not allowed(number):
        raise ValueError(f"{name} must be a finite number, {words}, not {value!r}.")
    object.__setattr__(owner, name, number)
