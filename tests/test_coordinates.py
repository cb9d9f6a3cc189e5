"""Coordinate check: muP passes, SP does not, and neither does muP without any one of its multipliers."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from scaletrain import coordinates
from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.coordinates import CoordinateCheck, coordinate_check, plot_coordinates
from scaletrain.graph_sources import erdos_renyi
from scaletrain.model import hidden
from scaletrain.parametrization import EMBEDDING, multiplier, scales
from scaletrain.training import Trainer

GRAPH = erdos_renyi(200, 1000, seed=0)
LR = 2.0**-8  # a quarter of the best: what vanishes with the width is small enough from a width of 128 on
WIDTHS = (128, 512)


def pack(parametrization="mup", *, lr=LR, seeds=3, **recipe):
    shape = Shape(vocabulary=200, width=32, length=20)
    made = Recipe(**{"steps": 1, "batch": 10, "parametrization": parametrization, **recipe})
    return Pack(shape=shape, recipe=made, replicas=tuple(Replica(lr=lr, seed=n, data_seed=n) for n in range(seeds)))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def rules(monkeypatch):
    """Replaces rules of the parametrization wherever they are used."""

    def change(**by):
        for name, rule in by.items():
            for room in ("model", "optimiser", "training", "coordinates"):
                module = __import__(f"scaletrain.{room}", fromlist=[room])
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, rule)

    return change


def changed(*, embedding=lambda scale, m: scale, layers=lambda scale, m: scale):
    """Scales of muP, those of a class of tensors changed."""

    def rule(shape, recipe):
        m = multiplier(shape, recipe)
        by_class = {name: embedding if name == EMBEDDING else layers for name in scales(shape, recipe)}
        return {name: by_class[name](scale, m) for name, scale in scales(shape, recipe).items()}

    return rule


def times(field, power):
    """A scale whose field is multiplied by m to a power."""
    return lambda scale, m: replace(scale, **{field: getattr(scale, field) * m**power})


def test_under_mup_all_states_move_alike():
    check = coordinate_check(pack(), GRAPH, widths=WIDTHS)
    assert check.ok, check
    states = [f"layer{n}.{name}" for n in (0, 1) for name in ("attention", "mlp", "residual")]
    assert list(check.slopes) == [*states, "final", "logits"]
    assert max(abs(slope) for name, slope in check.slopes.items() if name != "logits") <= 0.05


def test_under_sp_they_move_with_the_width():
    check = coordinate_check(pack("sp"), GRAPH, widths=WIDTHS)
    assert not check.ok
    assert min(check.slopes[f"layer{n}.{name}"] for n in (0, 1) for name in ("mlp", "residual")) > 0.5
    assert check.slopes["logits"] > 0.3


# What is wrong, the state that tells it most clearly, and on which side its slope then is.
WRONG = {
    "learning rate of the layers not divided": ({"scales": changed(layers=times("lr", 1))}, "layer1.residual", 0.5),
    "initial layers of one standard deviation": ({"scales": changed(layers=times("std", 0.5))}, "layer0.mlp", 0.5),
    "initial layers divided by their fan-in": ({"scales": changed(layers=times("std", -0.5))}, "layer0.mlp", -0.5),
    "learning rate of the embedding divided": (
        {"scales": changed(embedding=times("lr", -1))}, "layer0.attention", -0.3,
    ),
    "learning rate of the embedding multiplied": ({"scales": changed(embedding=times("lr", 1))}, "logits", 0.3),
    "embedding that begins larger": ({"scales": changed(embedding=times("std", 0.5))}, "layer0.attention", -0.2),
    "embedding that begins smaller": ({"scales": changed(embedding=times("std", -0.5))}, "layer0.attention", 0.1),
    "logits not divided": ({"multiplier": lambda shape, recipe: 1.0}, "logits", 0.3),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_without_any_one_multiplier_the_check_fails(rules, wrong):
    by, state, beyond = WRONG[wrong]
    rules(**by)
    check = coordinate_check(pack(), GRAPH, widths=WIDTHS)
    assert state in check.failed, check
    assert check.slopes[state] / beyond > 1


def test_after_fifty_steps_the_logits_do_not_fall_with_the_width():
    check = coordinate_check(pack(lr=LR / 2, seeds=1), GRAPH, widths=WIDTHS, steps=50)
    assert check.bounds("logits") == (-0.1, 0.05)
    assert "logits" not in check.failed, check


@pytest.mark.parametrize(("steps", "fall"), [(1, -0.6), (49, -0.6), (50, -0.1), (1000, -0.1)])
def test_only_logits_may_fall_and_less_so_later(steps, fall):
    check = CoordinateCheck(pd.DataFrame(), {"final": -0.051, "logits": fall, "mlp": 0.05}, steps)
    assert check.failed == ("final",)
    assert replace(check, slopes={"logits": fall - 0.01}).failed == ("logits",)
    assert replace(check, slopes={"logits": 0.051}).failed == ("logits",)
    assert replace(check, slopes={"logits": math.nan}).failed == ("logits",)


def test_slopes_are_those_of_logs(monkeypatch):
    def moved(pack, graph, steps, device):
        return {
            "final": 0.1 * pack.shape.width**0.04,
            "logits": 3 * pack.shape.width**-0.5,
            "mlp": pack.shape.width**-0.06,
        }

    monkeypatch.setattr(coordinates, "_moved", moved)
    check = coordinate_check(pack(), GRAPH, widths=(256, 64, 128, 64))
    assert check.slopes == pytest.approx({"final": 0.04, "logits": -0.5, "mlp": -0.06})
    assert check.failed == ("mlp",)
    assert check.moved["width"].unique().tolist() == [64, 128, 256]
    assert repr(check).startswith("NOT OK  1 of 3 states moves with the width.\n")
    assert check.to_dict()["moved"][0] == {"state": "final", "width": 64, "moved": pytest.approx(0.1 * 64**0.04)}


def test_movement_is_that_of_the_trainer_on_sequences_that_no_step_sees():
    one, seen = pack(seeds=2), []
    check = coordinate_check(one, GRAPH, widths=(32, 64), steps=3, progress=lambda *done: seen.append(done))
    assert seen == [(1, 2), (2, 2)]
    trainer = Trainer(replace(one, recipe=replace(one.recipe, steps=100)), GRAPH)
    tokens = trainer.batch(100)[..., :-1]
    before = normed(trainer, tokens)
    for _ in range(3):
        trainer.advance()
    after = normed(trainer, tokens)
    found = check.moved.set_index(["state", "width"]).loc[("final", 32), "moved"]
    assert found == pytest.approx(float((after - before).abs().mean()), rel=1e-6)


def normed(trainer, tokens):
    """Final states, before any product with the embedding."""
    seen = {}
    hidden(trainer.params, tokens, trainer.pack.shape, seen)
    x = seen["layer1.residual"].detach()
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()


def test_the_steps_and_the_width_of_the_pack_are_not_used():
    one = pack(seeds=1)
    other = replace(one, shape=replace(one.shape, width=16), recipe=replace(one.recipe, steps=7))
    made = [coordinate_check(each, GRAPH, widths=(16, 32), steps=2).moved for each in (one, other)]
    pd.testing.assert_frame_equal(*made)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"widths": (64,)}, r"at least two different widths, not \[64\]"),
        ({"widths": (64, 64)}, "at least two different widths"),
        ({"widths": (64, 72)}, "width 72 is no multiple of head_dim 16"),
        ({"steps": 0}, "steps must be a whole number from 1 on, not 0"),
        ({"steps": 2.5}, "steps must be a whole number from 1 on, not 2.5"),
        ({"device": "cuda:77"}, "cuda:77"),
    ],
)
def test_what_cannot_be_checked_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        coordinate_check(pack(), GRAPH, **{"widths": (16, 32), **asked})


@pytest.mark.parametrize(("lr", "value"), [(1e-30, "0.0"), (1e36, "nan")])
def test_states_that_stay_or_diverge_name_the_learning_rate(lr, value):
    with pytest.raises(
        ValueError, match=rf"moves by {value} at width 16: choose another lr than {lr:g}".replace("+", r"\+")
    ):
        coordinate_check(pack(lr=lr, seeds=1), GRAPH, widths=(16, 32), steps=2)


def test_the_picture_has_a_line_per_state_and_dashes_what_fails():
    moved = pd.DataFrame(
        {"state": ["final"] * 3 + ["logits"] * 3, "width": [64, 128, 256] * 2, "moved": [1, 2, 4, 3, 2, 1.0]}
    )
    ax = plot_coordinates(CoordinateCheck(moved, {"final": 1.0, "logits": -0.4}, 5))
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines) == ["final +1.00", "logits -0.40"]
    assert [line.get_linestyle() for line in lines.values()] == ["--", "-"]
    np.testing.assert_array_equal(lines["final +1.00"].get_xdata(), [64, 128, 256])
    np.testing.assert_array_equal(lines["final +1.00"].get_ydata(), [1, 2, 4])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["64", "128", "256"]
