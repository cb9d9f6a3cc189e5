"""Parametrizations: scales by name against their rules and against mup, logits, and what they are for."""

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scaletrain import model
from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.evaluation import WalkEvaluator
from scaletrain.graph_sources import erdos_renyi
from scaletrain.parametrization import EMBEDDING, multiplier, scales, tensor_shapes
from scaletrain.training import loss_of, train
from scaletrain.walks import Walks

GRAPH = erdos_renyi(50, 150, seed=0)
NAMES = ("mup", "sp", "sp_embed")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def shape(width, **rest):
    return Shape(**{"vocabulary": 50, "width": width, "length": 13, **rest})


def recipe(name, **rest):
    return Recipe(**{"steps": 20, "batch": 4, "parametrization": name, "base_width": 32, "embedding_lr": 3.0, **rest})


@pytest.mark.parametrize("mode", ["coupled", "compensated", "independent"])
@pytest.mark.parametrize("name", NAMES)
def test_at_base_width_all_are_one(name, mode):
    assert scales(shape(32), recipe(name, decay_mode=mode)) == scales(shape(32), recipe("sp", decay_mode=mode))
    assert multiplier(shape(32), recipe(name)) == 1.0


def test_at_base_width_all_train_alike_bit_by_bit():
    pack = Pack(shape=shape(32), recipe=recipe("sp"), replicas=(Replica(lr=0.01), Replica(lr=0.02, seed=1)))
    made = [train(replace(pack, recipe=recipe(name)), GRAPH).params for name in NAMES]
    for params in made[1:]:
        assert all(torch.equal(params[key], made[0][key]) for key in params)


# At four times the base width: learning rates of the embedding and of the layers, what logits are divided by.
RULES = {"mup": (3.0, 0.25, 4.0), "sp": (3.0, 1.0, 1.0), "sp_embed": (12.0, 1.0, 1.0)}


@pytest.mark.parametrize("name", NAMES)
def test_multipliers_follow_their_rules(name):
    of_embedding, of_layers, divisor = RULES[name]
    found = scales(shape(128), recipe(name))
    assert {key: scale.lr for key, scale in found.items()} == {
        key: of_embedding if key == EMBEDDING else of_layers for key in tensor_shapes(shape(128))
    }
    assert multiplier(shape(128), recipe(name)) == divisor
    at_base = {key: scale.lr for key, scale in scales(shape(32), recipe(name)).items()}
    assert {key: scale.decay for key, scale in found.items()} == at_base
    independent = scales(shape(128), recipe(name, decay_mode="independent"))
    assert {scale.decay for scale in independent.values()} == {1.0}
    coupled = scales(shape(128), recipe(name, decay_mode="coupled"))
    assert all(scale.decay == scale.lr for scale in coupled.values())


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_initial_tensors_have_the_standard_deviations_of_their_fan_in(name, depth):
    wide, thin = shape(128, depth=depth), (2 * depth) ** -0.5
    made = model.initial(wide, recipe(name), [0])
    expected = {"qkv": 128**-0.5, "out": 128**-0.5 * thin, "up": 128**-0.5, "down": 512**-0.5 * thin}
    for key, value in made.items():
        std = 0.02 if key == EMBEDDING else expected[key.partition(".")[2]]
        assert float(value.std()) == pytest.approx(std, rel=5 / math.sqrt(2 * value.numel())), key  # five sigma
        assert abs(float(value.mean())) < 5 * std / math.sqrt(value.numel())


def of_mup(width, mup):
    """Modules of a model of that width that know their base shapes."""
    sizes = [tensor_shapes(shape(d)) for d in (width, 32, 64)]
    made = []
    for size in sizes:
        held = torch.nn.ModuleDict()
        for key, (rows, columns) in size.items():
            linear = torch.nn.Linear(rows, columns, bias=False)
            held[key.replace(".", "_")] = torch.nn.Embedding(rows, columns) if key == EMBEDDING else linear
        held["readout"] = mup.MuSharedReadout(held[EMBEDDING].weight, bias=False)
        made.append(held)
    mup.set_base_shapes(made[0], made[1], delta=made[2], rescale_params=False)
    return made[0]


@pytest.mark.parametrize("width", [32, 64, 256])
def test_initial_standard_deviations_grow_as_those_of_mup(width):
    mup = pytest.importorskip("mup")
    wide, base = of_mup(width, mup), scales(shape(32), recipe("mup"))
    torch.manual_seed(0)
    for key, mine in scales(shape(width), recipe("mup")).items():
        weight = wide[key.replace(".", "_")].weight.requires_grad_(False)
        mup.init.normal_(weight, std=base[key].std)
        assert float(weight.std()) == pytest.approx(mine.std, rel=5 / math.sqrt(2 * weight.numel())), key


@pytest.mark.parametrize("width", [32, 64, 256])
def test_logits_are_those_of_mup(width):
    mup = pytest.importorskip("mup")
    wide, asked = of_mup(width, mup), recipe("mup", dtype="float64")
    params = model.initial(shape(width), asked, [0])
    with torch.no_grad():
        wide[EMBEDDING].weight.copy_(params[EMBEDDING][0])
    tokens = torch.arange(24).view(1, 2, 12)
    theirs = wide["readout"].double()(model.hidden(params, tokens, shape(width))[0])
    mine = model.logits(params, tokens, shape(width), asked)[0]
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-7)  # their weights are of float32


@pytest.mark.parametrize("name", NAMES)
def test_training_and_evaluation_have_the_same_logits(name):
    asked, wide = recipe(name, dtype="float64"), shape(128)
    params = model.initial(wide, asked, [0])
    params[EMBEDDING] *= 30  # so that logits matter
    walks = Walks(GRAPH, 13, 0).batch(0, 20)
    tokens = torch.from_numpy(walks.astype(np.int64))[None]
    scores = torch.log_softmax(model.logits(params, tokens[..., :-1], wide, asked)[0], dim=-1)
    wanted = -scores.gather(2, tokens[0, :, 1:, None]).mean()
    found = loss_of(params, tokens, Pack(shape=wide, recipe=asked, replicas=(Replica(lr=0.1),)))[0]
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=0)
    truth = torch.from_numpy(GRAPH.matrix.toarray())[tokens[0, :, :-1]]
    divergence = (torch.xlogy(truth, truth) - truth * scores).sum(-1).mean()
    assert WalkEvaluator(GRAPH, walks)(params, wide, asked).divergence[0] == pytest.approx(float(divergence), rel=1e-9)


def test_the_best_learning_rate_stays_under_mup_and_falls_under_sp():
    # The optimum is that of the parabola in log2 lr through the lowest log excess and its neighbours.
    best = {
        (name, width): optimum(name, width, tried)
        for name, width, tried in [
            ("sp", 32, (-7, -6, -5)), ("mup", 128, (-7, -6, -5)), ("sp", 128, (-9, -8, -7)),
        ]
    }  # fmt: skip
    base = best["sp", 32]  # where both are one
    assert abs(best["mup", 128] - base) < 1
    assert base - best["sp", 128] > 1.5


def optimum(name, width, tried):
    logs = [
        np.mean([
            np.log(train(Pack(
                shape=shape(width, length=20), recipe=recipe(name, steps=100, batch=20, embedding_lr=8.0),
                replicas=(Replica(lr=2.0**at, seed=seed, data_seed=seed),),
            ), GRAPH).evaluation.divergence[0])
            for seed in (0, 1)
        ])
        for at in tried
    ]  # fmt: skip
    low, middle, high = logs
    curvature = low + high - 2 * middle
    assert abs(low - high) < 2 * curvature, f"{name} at width {width}: the best is not inside {tried}"
    return tried[1] + (low - high) / (2 * curvature)
