"""What training runs are made by: checked when it is made, and counted right."""

import math

import pytest

from scaletrain.config import Pack, Recipe, Replica, Shape, steps_for


def test_counts_of_a_shape():
    shape = Shape(vocabulary=1000, width=32, depth=2, head_dim=16, length=50)
    assert (shape.heads, shape.context) == (2, 49)
    assert (shape.params_nonembed, shape.params_embed, shape.params) == (24_576, 32_000, 56_576)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"width": 24}, r"width 24 is no multiple of head_dim 16. Choose one such as 32"),
        ({"width": 7, "head_dim": 7}, r"head_dim must be even.*7"),
        ({"width": 0}, r"width must be a whole number from 1 on, not 0"),
        ({"width": 32.0}, r"width must be a whole number from 1 on, not 32.0"),
        ({"depth": 0}, r"depth must be a whole number from 1 on"),
        ({"depth": True}, r"depth must be a whole number from 1 on, not True"),
        ({"length": 1}, r"length must be a whole number from 2 on, not 1"),
        ({"vocabulary": -3}, r"vocabulary must be a whole number from 1 on, not -3"),
    ],
)
def test_an_impossible_shape_is_refused(entries, words):
    with pytest.raises(ValueError, match=words):
        Shape(**{"vocabulary": 10, "width": 32, **entries})


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"steps": 0}, r"steps must be a whole number from 1 on, not 0"),
        ({"batch": 2.5}, r"batch must be a whole number"),
        ({"base_width": 0}, r"base_width must be"),
        ({"parametrization": "mu"}, r"parametrization must be one of .*, not 'mu'"),
        ({"decay_mode": "none"}, r"decay_mode must be one of coupled, compensated, independent, not 'none'"),
        ({"dtype": "float16"}, r"dtype must be one of float32, bfloat16, float64, not 'float16'"),
        ({"embedding_lr": 0}, r"embedding_lr must be a finite number, positive, not 0"),
        ({"weight_decay": -0.1}, r"weight_decay must be a finite number, at least 0, not -0.1"),
        ({"weight_decay": "0.1"}, r"weight_decay must be a finite number"),
        ({"warmup": 1.0}, r"warmup must be a finite number, at least 0 and below 1, not 1.0"),
        ({"beta2": math.nan}, r"beta2 must be .*nan"),
        ({"eps": math.inf}, r"eps must be .*inf"),
    ],
)
def test_an_impossible_recipe_is_refused(entries, words):
    with pytest.raises(ValueError, match=words):
        Recipe(**{"steps": 10, **entries})


@pytest.mark.parametrize(
    ("entries", "words"),
    [({"lr": 0.0}, "lr must be"), ({"lr": -1.0}, "-1.0"), ({"lr": math.nan}, "nan"), ({"lr": True}, "True"),
     ({"lr": 0.1, "seed": -1}, "seed must be a whole number from 0 to 4294967295, not -1"),
     ({"lr": 0.1, "data_seed": 0.5}, "data_seed must be")],
)  # fmt: skip
def test_an_impossible_replica_is_refused(entries, words):
    with pytest.raises(ValueError, match=words):
        Replica(**entries)


def test_a_pack_without_replicas_is_refused():
    with pytest.raises(ValueError, match="a pack has a tuple of replicas"):
        Pack(shape=Shape(vocabulary=3, width=16), recipe=Recipe(steps=1), replicas=())


@pytest.mark.parametrize(("tokens", "steps"), [(980, 1), (1469, 1), (1471, 2), (2e5, 204), (98_000, 100)])
def test_steps_are_the_nearest_whole_number(tokens, steps):
    assert steps_for(tokens, batch=20, length=50) == steps


@pytest.mark.parametrize("tokens", [979, 0, -5, math.nan])
def test_less_data_than_a_batch_is_refused(tokens):
    with pytest.raises(ValueError, match=r"less than one batch, 20 sequences of 49 predicted tokens or 980"):
        steps_for(tokens, batch=20, length=50)


def test_seeds_are_of_32_bits():
    # torch takes no more of a seed; above, one seed's training walks could be another's test walks
    assert Replica(lr=0.1, seed=2**32 - 1, data_seed=2**32 - 1).seed == 2**32 - 1
    for name in ("seed", "data_seed"):
        with pytest.raises(ValueError, match=rf"{name} must be a whole number from 0 to 4294967295, not 4294967296"):
            Replica(lr=0.1, **{name: 2**32})


def test_numbers_are_floats_however_they_are_written():
    whole, written = (
        Recipe(steps=3, embedding_lr=8, weight_decay=0),
        Recipe(steps=3, embedding_lr=8.0, weight_decay=0.0),
    )
    assert repr(whole) == repr(written)  # what is hashed
    assert repr(Replica(lr=1)) == repr(Replica(lr=1.0))


def test_a_number_that_no_float_can_hold_is_refused():
    with pytest.raises(ValueError, match="lr must be a finite number, positive"):
        Replica(lr=10**400)


@pytest.mark.parametrize(
    ("entries", "words"),
    [({"shape": 3}, "shape must be a Shape, not 3"), ({"recipe": None}, "recipe must be a Recipe, not None"),
     ({"replicas": ("a",)}, "replica must be a Replica, not 'a'")],
)  # fmt: skip
def test_a_pack_of_anything_else_is_refused(entries, words):
    given = {"shape": Shape(vocabulary=3, width=16), "recipe": Recipe(steps=1), "replicas": (Replica(lr=0.1),)}
    with pytest.raises(TypeError, match=words):
        Pack(**{**given, **entries})


def test_endless_tokens_are_refused():
    with pytest.raises(ValueError, match="tokens must be a finite number"):
        steps_for(math.inf, batch=20, length=50)


@pytest.mark.parametrize(("batch", "length", "words"), [(0, 50, "batch must be"), (20, 1, "length must be")])
def test_a_batch_has_something_to_predict(batch, length, words):
    with pytest.raises(ValueError, match=words):
        steps_for(1000, batch=batch, length=length)
