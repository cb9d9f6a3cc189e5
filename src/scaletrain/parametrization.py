"""SP, muP and one between them: how scales depend on the width, as pure functions of names and shapes."""

from __future__ import annotations

from dataclasses import dataclass

from .config import Recipe, Shape

EMBEDDING = "embedding"
EMBEDDING_STD = 0.02  # of nanoGPT-mup, the code that the paper names; constant in the width
RESIDUAL = ("out", "down")  # matrices that write to the residual stream


@dataclass(frozen=True)
class Scale:
    """Scales of one tensor.

    Attributes
    ----------
    std : float
        Of its initial values.
    lr : float
        Its learning rate, as a multiple of the run's.
    decay : float
        Its weight decay in an update, as a multiple of lr x weight_decay of the run; of weight_decay alone where that
        is independent.
    """

    std: float
    lr: float
    decay: float


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, int]]:
    """Tensors of one model by name: matrices take rows, (fan_in, fan_out); the embedding is (V, d).

    Examples
    --------
    >>> list(tensor_shapes(Shape(vocabulary=100, width=32, depth=1)))
    ['embedding', 'layer0.qkv', 'layer0.out', 'layer0.up', 'layer0.down']
    """
    d = shape.width
    shapes = {EMBEDDING: (shape.vocabulary, d)}
    for layer in range(shape.depth):
        matrices = {"qkv": (d, 3 * d), "out": (d, d), "up": (d, 4 * d), "down": (4 * d, d)}
        shapes |= {f"layer{layer}.{name}": size for name, size in matrices.items()}
    return shapes


def scales(shape: Shape, recipe: Recipe) -> dict[str, Scale]:
    """Scales of every tensor, by name.

    With m = width / base_width, muP [1]_ divides the learning rate of the layers by m and keeps that of the embedding;
    "sp_embed" [2]_ keeps that of the layers and multiplies that of the embedding by m, so that their ratio is that of
    muP. But the embedding is the head too, and only muP divides its logits by m: under "sp_embed" the best learning
    rate falls even faster than under SP (benchmarks/transfer.py).

    Layers begin at 1 / sqrt(fan_in) in all, those that write to the residual stream at 1 / sqrt(2 depth) of it. No rule
    depends on head_dim, which is to stay the same at all widths.

    References
    ----------
    .. [1] Yang et al. 2022, arXiv:2203.03466, table 8; a tied embedding keeps its initial values and learning rate.
    .. [2] Kalra and Barkeshli 2026, arXiv:2605.21486.

    Examples
    --------
    >>> found = scales(Shape(vocabulary=100, width=64, depth=2), Recipe(steps=1, base_width=32))
    >>> found["layer0.qkv"].lr, found["embedding"].lr
    (0.5, 1.0)
    """
    m = multiplier(shape, recipe)
    made = {}
    for name, (fan_in, _) in tensor_shapes(shape).items():
        if name == EMBEDDING:
            widened = shape.width / recipe.base_width if recipe.parametrization == "sp_embed" else 1.0
            std, at_base, lr = EMBEDDING_STD, recipe.embedding_lr, recipe.embedding_lr * widened
        else:
            thinner = (2 * shape.depth) ** -0.5 if name.endswith(RESIDUAL) else 1.0
            std, at_base, lr = fan_in**-0.5 * thinner, 1.0, 1 / m
        decays = {"coupled": lr, "compensated": at_base, "independent": 1.0}
        made[name] = Scale(std, lr, decays[recipe.decay_mode])
    return made


def multiplier(shape: Shape, recipe: Recipe) -> float:
    """What logits are divided by, and learning rates of layers: width / base_width under muP, 1 under SP.

    Examples
    --------
    >>> multiplier(Shape(vocabulary=100, width=64), Recipe(steps=1, parametrization="sp", base_width=32))
    1.0
    """
    return shape.width / recipe.base_width if recipe.parametrization == "mup" else 1.0
