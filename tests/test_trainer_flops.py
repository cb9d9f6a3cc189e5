"""The counts of scalefit.flops are those of torch's counter, which adds up the products that are really made."""

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scalefit.flops import exact_flops, nonembedding_params, six_nd, total_params
from scaletrain import model
from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.training import loss_of

SHAPES = [
    Shape(vocabulary=30, width=16, depth=1, length=5),
    Shape(vocabulary=100, width=32, depth=2, length=13),
    Shape(vocabulary=50, width=64, depth=4, length=50),
    Shape(vocabulary=1000, width=48, depth=2, head_dim=12, length=20),
]
BATCH = 3


def sizes(shape):
    return {"width": shape.width, "depth": shape.depth, "vocabulary": shape.vocabulary}


def exact(shape, tokens, *, causal=False):
    return exact_flops(**sizes(shape), context=shape.context, tokens=tokens, causal=causal)


def products(shape, loss, *, replicas=1, backend=SDPBackend.MATH):
    """FLOPs of products that torch counts in the loss and its gradients, by operation."""
    recipe = Recipe(steps=1, batch=BATCH)
    params = model.initial(shape, recipe, list(range(replicas)))
    params = {name: value.requires_grad_(True) for name, value in params.items()}
    pack = Pack(shape=shape, recipe=recipe, replicas=(Replica(lr=0.1),) * replicas)
    tokens = torch.randint(
        0, shape.vocabulary, (replicas, BATCH, shape.length), generator=torch.Generator().manual_seed(0)
    )
    with sdpa_kernel(backend), FlopCounterMode(display=False) as counter:
        torch.autograd.grad(loss(params, tokens, pack), list(params.values()))
    return sum(counter.get_flop_counts()["Global"].values())


def plain_loss(params, tokens, pack):
    """Cross-entropy of whole logits, by torch."""
    scores = model.logits(params, tokens[..., :-1], pack.shape, pack.recipe)
    return F.cross_entropy(scores.flatten(0, 2), tokens[..., 1:].flatten())


def trainers_loss(params, tokens, pack):
    return loss_of(params, tokens, pack).sum()


# Both count the scores and the mixing of attention over the whole context: the mask only throws half of it away. The
# trainer makes the gradients of the head in the forward pass, a chunk at a time; they are as many.
@pytest.mark.parametrize("loss", [plain_loss, trainers_loss])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.vocabulary}-{shape.width}-{shape.depth}")
def test_exact_flops_are_those_that_torch_counts(shape, loss):
    assert products(shape, loss) == exact(shape, BATCH * shape.context)


def test_stacked_replicas_cost_what_they_cost_apart():
    assert products(SHAPES[1], trainers_loss, replicas=3) == 3 * exact(SHAPES[1], BATCH * SHAPES[1].context)


def test_chunks_of_the_head_cost_nothing(monkeypatch):
    monkeypatch.setattr("scaletrain.cross_entropy.CHUNK_BYTES", 4 * SHAPES[1].vocabulary * 5)  # 5 rows
    assert products(SHAPES[1], trainers_loss) == exact(SHAPES[1], BATCH * SHAPES[1].context)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.vocabulary}-{shape.width}-{shape.depth}")
def test_without_attention_torch_counts_6nd(shape):
    # torch has no formula for the fused attention of a CPU, and so leaves it out
    tokens = BATCH * shape.context
    counted = products(shape, plain_loss, backend=SDPBackend.FLASH_ATTENTION)
    assert counted == six_nd(total_params(**sizes(shape)), tokens)
    assert exact(shape, tokens) - exact(shape, tokens, causal=True) == (exact(shape, tokens) - counted) / 2


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.vocabulary}-{shape.width}-{shape.depth}")
def test_params_are_those_of_the_models_tensors(shape):
    params = model.initial(shape, Recipe(steps=1), [0])
    held = {name: value.numel() for name, value in params.items()}
    assert sum(held.values()) == total_params(**sizes(shape)) == shape.params
    assert sum(held.values()) - held["embedding"] == nonembedding_params(shape.depth, shape.width)
    assert nonembedding_params(shape.depth, shape.width) == shape.params_nonembed
