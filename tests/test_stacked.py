"""The stacked model: each replica is the model that it would be alone; parts against torch and mup."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F

from scaletrain import model
from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.cross_entropy import linear_cross_entropy
from scaletrain.graph_sources import erdos_renyi
from scaletrain.optimiser import AdamW, schedule
from scaletrain.parametrization import EMBEDDING, scales, tensor_shapes
from scaletrain.training import Trainer, loss_of, train
from scaletrain.walks import Walks

GRAPH = erdos_renyi(40, 120, seed=0)
SHAPE = Shape(vocabulary=40, width=32, length=13)
REPLICAS = tuple(Replica(lr=lr, seed=seed, data_seed=seed % 2) for seed, lr in enumerate((0.003, 0.01, 0.03, 0.1)))


def trained(replicas, *, recipe=None, shape=SHAPE):
    recipe = recipe or Recipe(steps=50, batch=4, dtype="float64")
    return train(Pack(shape=shape, recipe=recipe, replicas=tuple(replicas)), GRAPH)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_stacked_equals_separate_bit_by_bit(dtype):
    recipe = Recipe(steps=50, batch=4, dtype=dtype, embedding_lr=4.0)
    together = trained(REPLICAS, recipe=recipe)
    for place, replica in enumerate(REPLICAS):
        alone = trained([replica], recipe=recipe)
        for name in together.params:
            assert torch.equal(together.params[name][place], alone.params[name][0]), name
        assert together.evaluation.loss[place] == alone.evaluation.loss[0]


@pytest.mark.parametrize("order", [(2, 0), (3, 1, 2, 0), (1, 1)])
def test_any_subset_in_any_order_gives_the_same(order):
    together, some = trained(REPLICAS), trained([REPLICAS[i] for i in order])
    for place, i in enumerate(order):
        assert all(torch.equal(some.params[name][place], together.params[name][i]) for name in some.params)


def test_a_replica_that_diverges_is_recorded_and_disturbs_nobody():
    wild = Replica(lr=1e30)
    made = trained([REPLICAS[0], wild, REPLICAS[1]])
    assert made.diverged.tolist() == [False, True, False]
    calm = trained([REPLICAS[0], REPLICAS[1]])
    for place, at in ((0, 0), (2, 1)):
        assert all(torch.equal(made.params[name][place], calm.params[name][at]) for name in made.params)


def test_at_base_width_mup_is_sp_bit_by_bit():
    made = [
        trained(REPLICAS[:2], recipe=Recipe(steps=20, batch=4, parametrization=name, base_width=32, embedding_lr=3.0))
        for name in ("mup", "sp")
    ]
    assert all(torch.equal(made[0].params[name], made[1].params[name]) for name in made[0].params)


def test_beyond_base_width_they_differ():
    wide = Shape(vocabulary=40, width=64, length=13)
    made = [
        trained(REPLICAS[:1], shape=wide, recipe=Recipe(steps=20, batch=4, parametrization=name, base_width=32))
        for name in ("mup", "sp")
    ]
    assert not torch.equal(made[0].params[EMBEDDING], made[1].params[EMBEDDING])


def test_the_hidden_states_are_those_of_a_plain_transformer():
    recipe = Recipe(steps=1, dtype="float64")
    params = {name: value[0] for name, value in model.initial(SHAPE, recipe, [3]).items()}
    tokens = torch.randint(0, 40, (2, 12), generator=torch.Generator().manual_seed(0))
    x = params[EMBEDDING][tokens]
    positions = torch.arange(12, dtype=torch.float64)
    rates = 10_000 ** (-torch.arange(0, 16, 2, dtype=torch.float64) / 16)
    turn = torch.polar(torch.ones(12, 8, dtype=torch.float64), torch.outer(positions, rates))

    def rotate(y):  # pairs (i, i + 8) as complex numbers
        turned = torch.complex(y[..., :8], y[..., 8:]) * turn
        return torch.cat([turned.real, turned.imag], dim=-1)

    def normed(y):
        return y / (y.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()

    mask = torch.full((12, 12), -math.inf, dtype=torch.float64).triu(1)
    for layer in range(2):
        q, k, v = ((normed(x) @ params[f"layer{layer}.qkv"]).view(2, 12, 3, 2, 16)).permute(2, 0, 3, 1, 4)
        attention = torch.softmax(rotate(q) @ rotate(k).mT / 4 + mask, dim=-1) @ v
        x = x + attention.transpose(1, 2).reshape(2, 12, 32) @ params[f"layer{layer}.out"]
        up = normed(x) @ params[f"layer{layer}.up"]
        x = x + (up * 0.5 * (1 + torch.erf(up / math.sqrt(2)))) @ params[f"layer{layer}.down"]
    stacked = {name: value[None] for name, value in params.items()}
    torch.testing.assert_close(model.hidden(stacked, tokens[None], SHAPE)[0], normed(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 3 * 50 * 4, 1 << 30])
def test_chunked_cross_entropy_is_torchs(monkeypatch, chunk):
    monkeypatch.setattr("scaletrain.cross_entropy.CHUNK_BYTES", chunk)
    rng = torch.Generator().manual_seed(0)
    states = torch.randn(3, 20, 8, generator=rng, dtype=torch.float64, requires_grad=True)
    head = torch.randn(3, 50, 8, generator=rng, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 50, (3, 20), generator=rng)
    by = torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)
    made = linear_cross_entropy(states, head, targets)
    found = torch.autograd.grad((made * by).sum(), [states, head])
    expected = torch.stack([F.cross_entropy(states[r] @ head[r].T, targets[r]) for r in range(3)])
    wanted = torch.autograd.grad((expected * by).sum(), [states, head])
    torch.testing.assert_close(made, expected, rtol=1e-13, atol=1e-13)
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


def test_the_gradient_of_the_tied_embedding_is_the_sum_of_both_uses():
    recipe = Recipe(steps=1, dtype="float64", base_width=16)
    pack = Pack(shape=SHAPE, recipe=recipe, replicas=(Replica(lr=0.1),) * 2)
    params = {k: v.requires_grad_(True) for k, v in model.initial(SHAPE, recipe, [0, 1]).items()}
    tokens = torch.randint(0, 40, (2, 3, 13), generator=torch.Generator().manual_seed(1))
    mine = torch.autograd.grad(loss_of(params, tokens, pack).sum(), list(params.values()))
    scores = model.logits(params, tokens[..., :-1], SHAPE, recipe)
    plain = sum(F.cross_entropy(scores[r].flatten(0, 1), tokens[r, :, 1:].flatten()) for r in range(2))
    theirs = torch.autograd.grad(plain, list(params.values()))
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("mode", ["coupled", "compensated", "independent"])
@pytest.mark.parametrize("parametrization", ["sp", "mup"])
def test_the_update_is_that_of_torch(mode, parametrization):
    shape = Shape(vocabulary=20, width=64, depth=1, length=4)
    recipe = Recipe(steps=12, parametrization=parametrization, base_width=32, decay_mode=mode, weight_decay=0.1,
                    embedding_lr=3.0, eps=1e-8, dtype="float64")  # fmt: skip
    lrs, scale = (0.01, 0.3), scales(shape, recipe)
    params = model.initial(shape, recipe, [0, 1])
    plain = [{name: value[r].clone().requires_grad_(True) for name, value in params.items()} for r in range(2)]
    stacked = AdamW(params, shape, recipe, lrs)
    rng = torch.Generator().manual_seed(0)
    optimisers = []
    for r, lr in enumerate(lrs):
        groups = []
        for name, value in plain[r].items():
            rate = lr * scale[name].lr
            at_base = lr * (3.0 if name == EMBEDDING else 1.0)
            decay = {"coupled": 0.1, "compensated": 0.1 * at_base / rate, "independent": 0.1 / rate}[mode]
            groups.append({"params": [value], "lr": rate, "weight_decay": decay})
        optimisers.append(torch.optim.AdamW(groups, betas=(recipe.beta1, recipe.beta2), eps=recipe.eps))
    peaks = [[group["lr"] for group in one.param_groups] for one in optimisers]
    for step in range(12):
        gradients = {
            name: torch.randn(value.shape, generator=rng, dtype=torch.float64) for name, value in params.items()
        }
        stacked.step(step, gradients)
        for r, one in enumerate(optimisers):
            for group, peak in zip(one.param_groups, peaks[r], strict=True):
                group["lr"] = peak * schedule(step, recipe)
            for name, value in plain[r].items():
                value.grad = gradients[name][r]
            one.step()
    for r in range(2):
        for name in params:
            torch.testing.assert_close(params[name][r], plain[r][name].detach(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("steps", [1, 2, 10, 49, 50, 400, 1001])
def test_the_schedule_warms_up_to_its_peak_and_ends_at_zero(steps):
    recipe = Recipe(steps=steps)
    rates = [schedule(step, recipe) for step in range(steps)]
    warm = max(1, round(0.02 * steps))
    np.testing.assert_allclose(rates[:warm], np.arange(1, warm + 1) / warm)
    assert max(rates) == 1.0 == rates[warm - 1]
    assert all(a > b for a, b in zip(rates[warm - 1 :], rates[warm:], strict=False))
    assert steps == 1 or rates[-1] == 0.0


@pytest.mark.parametrize("steps", [2, 10, 300])
def test_the_longest_warm_up_leaves_a_last_step_at_zero(steps):
    recipe = Recipe(steps=steps, warmup=0.999)
    rates = [schedule(step, recipe) for step in range(steps)]
    assert rates[-2:] == [1.0, 0.0]


def test_exactly_as_many_updates_as_steps_are_made(monkeypatch):
    made = []
    monkeypatch.setattr(AdamW, "step", lambda self, number, gradients: made.append(number))
    trained(REPLICAS[:1], recipe=Recipe(steps=7, batch=2))
    assert made == list(range(7))


@pytest.mark.parametrize(("width", "depth"), [(32, 1), (64, 2), (128, 2), (256, 4), (512, 2), (48, 2)])
def test_multipliers_are_those_of_mup_tensor_by_tensor(width, depth):
    mup = pytest.importorskip("mup")
    recipe, lr = Recipe(steps=1, base_width=16, embedding_lr=8.0), 0.01

    def modules(d):
        shape = Shape(vocabulary=30, width=d, depth=depth)
        held = torch.nn.ModuleDict()
        for name, (rows, columns) in tensor_shapes(shape).items():
            key = name.replace(".", "_")
            held[key] = (
                torch.nn.Embedding(rows, columns) if name == EMBEDDING else torch.nn.Linear(rows, columns, bias=False)
            )
        return held

    wide = modules(width)
    mup.set_base_shapes(wide, modules(16), delta=modules(32), rescale_params=False)
    embedding = {"params": [wide[EMBEDDING].weight], "lr": lr * recipe.embedding_lr}
    layers = {"params": [weight for name, weight in wide.named_parameters() if EMBEDDING not in name]}
    optimiser = mup.MuAdamW([embedding, layers], lr=lr, weight_decay=0.1)
    theirs = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    for name, mine in scales(Shape(vocabulary=30, width=width, depth=depth), recipe).items():
        group = theirs[id(wide[name.replace(".", "_")].weight)]
        assert group["lr"] == pytest.approx(lr * mine.lr, rel=1e-12), name
        assert group["weight_decay"] * group["lr"] == pytest.approx(0.1 * lr * mine.decay, rel=1e-12), name


def test_training_goes_on_bit_by_bit():
    pack = Pack(shape=SHAPE, recipe=Recipe(steps=30, batch=4), replicas=REPLICAS[:2])
    whole, first = Trainer(pack, GRAPH), Trainer(pack, GRAPH)
    for _ in range(30):
        whole.advance()
    for _ in range(11):
        first.advance()
    second = Trainer(pack, GRAPH, state=first.state)
    while second.step < 30:
        second.advance()
    assert all(torch.equal(whole.params[name], second.params[name]) for name in whole.params)
    assert [step for step, _ in whole.losses] == [step for step, _ in second.losses]


def test_a_vocabulary_that_does_not_match_is_refused():
    pack = Pack(shape=Shape(vocabulary=41, width=32), recipe=Recipe(steps=1), replicas=REPLICAS[:1])
    with pytest.raises(ValueError, match=r"vocabulary of 41, but that of er-40-120 is 40"):
        Trainer(pack, GRAPH)


def test_bfloat16_is_of_the_products_alone():
    tokens = torch.from_numpy(Walks(GRAPH, SHAPE.length, 0).batch(0, 16).astype(np.int64)).expand(2, -1, -1)
    found = {}
    for dtype in ("float32", "bfloat16"):
        pack = Pack(shape=SHAPE, recipe=Recipe(steps=1, dtype=dtype), replicas=REPLICAS[:2])
        params = model.initial(SHAPE, pack.recipe, [0, 1])
        params = {name: value.requires_grad_(True) for name, value in params.items()}
        losses = loss_of(params, tokens, pack)
        found[dtype] = losses.detach(), torch.autograd.grad(losses.sum(), list(params.values()))
    (full, slopes), (half, rough) = found["float32"], found["bfloat16"]
    assert half.dtype == torch.float32
    assert {slope.dtype for slope in rough} == {torch.float32}
    assert not torch.equal(full, half)
    torch.testing.assert_close(half, full, rtol=2**-8, atol=0)  # a product has 8 bits, and their errors average out
    for one, other in zip(slopes, rough, strict=True):
        assert F.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999


def test_sequences_do_not_depend_on_how_many_are_drawn_ahead(monkeypatch):
    pack = Pack(shape=SHAPE, recipe=Recipe(steps=9, batch=4), replicas=REPLICAS)
    whole = Trainer(pack, GRAPH)
    monkeypatch.setattr("scaletrain.training.AHEAD", 8)
    some = Trainer(pack, GRAPH)
    for step in (0, 5, 8, 1, 1):
        assert torch.equal(whole.batch(step), some.batch(step))
    seen = torch.cat([whole.batch(step) for step in range(9)], dim=1)
    for place, replica in enumerate(REPLICAS):
        expected = Walks(GRAPH, SHAPE.length, replica.data_seed).batch(0, 36)
        np.testing.assert_array_equal(seen[place].numpy(), expected)
