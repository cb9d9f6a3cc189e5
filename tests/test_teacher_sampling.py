"""Samples of a teacher: its own distribution, with and without cache, the same in any order."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from scaletrain import teacher_sampling
from scaletrain.checkpoints import export, save_state
from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.counters import number, streams
from scaletrain.graph_sources import erdos_renyi
from scaletrain.model import initial, logits
from scaletrain.teacher_sampling import CHUNK, Decoder, TeacherSamples, drawn, placed, uniform
from scaletrain.teachers import Teacher, log_chances, read_teacher
from scaletrain.training import Trainer
from scaletrain.walks import Walks

V, LENGTH = 6, 12
START = np.array([3.0, 0, 2, 1, 1, 0])


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Trained for a moment, on walks; not all of its training, so that its distributions are no table."""
    graph, folder = erdos_renyi(V, 9, seed=0), tmp_path_factory.mktemp("teacher")
    pack = Pack(
        shape=Shape(vocabulary=V, width=32, length=LENGTH), replicas=(Replica(lr=0.03),),
        recipe=Recipe(steps=80, batch=10, embedding_lr=8.0, base_width=16),
    )  # fmt: skip
    trainer = Trainer(pack, graph)
    for _ in range(30):
        trainer.advance()
    save_state(folder / "state", trainer.state, pack, graph)
    export(folder / "state", folder / "model")
    made = read_teacher(folder / "model")
    return replace(made, start=START / START.sum())


def untrained(shape, recipe=None, by=20.0):
    """A teacher whose scores differ much from place to place."""
    recipe = recipe or Recipe(steps=1, base_width=16)
    params = initial(shape, recipe, [0])
    params["embedding"] *= by
    return Teacher(shape, recipe, params, np.full(shape.vocabulary, 1 / shape.vocabulary), 1, "00" * 32)


def chances(teacher, sequences, temperature=1.0):
    """(n, T - 1, V) probabilities of what follows each prefix, from the whole forward pass."""
    seen = torch.as_tensor(np.asarray(sequences, dtype=np.int64)[None, :, :-1])
    scores = logits(teacher.params, seen, teacher.shape, teacher.recipe)[0]
    return log_chances(scores.flatten(0, 1), temperature).exp().view(*scores.shape).numpy()


def law_of(teacher, length, temperature):
    """Every sequence of a length, and its probability."""
    every = np.array(list(product(range(teacher.vocabulary), repeat=length)))
    steps = np.take_along_axis(chances(teacher, every, temperature), every[:, 1:, None], axis=2)[..., 0]
    return every, teacher.start[every[:, 0]] * steps.prod(axis=1)


def without_cache(samples, first, count):
    """The same draws, each from the whole forward pass of all that came before."""
    teacher = samples.teacher
    params = {name: value.double() for name, value in teacher.params.items()}
    states = streams(samples.key, torch.arange(count) + first)
    tokens = placed(torch.as_tensor(np.cumsum(teacher.start)), uniform(states, 0))[:, None]
    for place in range(1, samples.length):
        scores = logits(params, tokens[None], teacher.shape, teacher.recipe)[0, :, -1]
        tokens = torch.cat([tokens, drawn(scores, samples.temperature, uniform(states, place))[:, None]], dim=1)
    return tokens.numpy()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("cached", [True, False], ids=["cache", "no cache"])
def test_whole_sequences_have_the_law_of_the_teacher(teacher, cached, temperature):
    samples, count = TeacherSamples(teacher, length=4, seed=0, temperature=temperature), 10_000
    batch = samples.batch(0, count) if cached else without_cache(samples, 0, count)
    every, law = law_of(teacher, 4, temperature)
    assert law.sum() == pytest.approx(1, abs=1e-12)
    found = np.bincount(batch @ V ** np.arange(3, -1, -1), minlength=len(every))
    assert found[law == 0].sum() == 0
    often = count * law > 5  # the others together
    pairs = [np.append(one[often], one[~often].sum()) for one in (found, count * law)]
    assert stats.chisquare(*pairs).pvalue > 1e-3  # one seeded draw; a wrong law gives 0


def test_the_law_of_late_places_depends_on_more_than_the_last_token(teacher):
    """Else the test above could not see a cache that forgets."""
    late = chances(teacher, TeacherSamples(teacher, length=LENGTH, seed=0).batch(0, 500))[:, -1]
    last = TeacherSamples(teacher, length=LENGTH, seed=0).batch(0, 500)[:, -2]
    assert max(np.ptp(late[last == token], axis=0).max() for token in range(V)) > 0.02


def test_every_place_has_the_law_of_its_prefix(teacher):
    """Also the late ones of long sequences, whose law as a whole is too large to test."""
    batch = TeacherSamples(teacher, length=LENGTH, seed=5).batch(0, 5000)
    p = chances(teacher, batch)
    for place in (1, 6, LENGTH - 1):
        found = np.eye(V)[batch[:, place]] - p[:, place - 1]
        spread = np.sqrt((p[:, place - 1] * (1 - p[:, place - 1])).sum(axis=0))
        assert np.abs(found.sum(axis=0) / spread).max() < 4.5


@pytest.mark.parametrize(
    ("shape", "dtype", "most"),
    [
        (Shape(vocabulary=30, width=32, depth=1, length=20), "float32", 1e-5),
        (Shape(vocabulary=30, width=32, depth=3, head_dim=8, length=20), "float32", 1e-5),
        (Shape(vocabulary=30, width=64, depth=2, head_dim=64, length=50), "float32", 1e-5),
        (Shape(vocabulary=30, width=32, depth=4, length=20), "float64", 1e-13),
    ],
    ids=lambda value: f"{value.depth}x{value.width}-{value.head_dim}" if isinstance(value, Shape) else str(value),
)
def test_a_token_at_a_time_gives_the_scores_of_the_whole_model(shape, dtype, most):
    teacher = untrained(shape, Recipe(steps=1, base_width=16, dtype=dtype))
    tokens = torch.randint(shape.vocabulary, (7, shape.length), generator=torch.Generator().manual_seed(0))
    decoder = Decoder(teacher.params, shape, teacher.recipe, sequences=7, length=shape.length)
    found = torch.stack([decoder.scores(tokens[:, place]) for place in range(shape.length - 1)], dim=1)
    expected = logits(teacher.params, tokens[None, :, :-1], shape, teacher.recipe)[0]
    assert expected.std() > 0.3
    assert (found - expected).abs().max() < most


def test_with_and_without_cache_the_same_sequences_are_sampled(teacher):
    samples = TeacherSamples(teacher, length=LENGTH, seed=3)
    assert np.array_equal(samples.batch(1000, 400), without_cache(samples, 1000, 400))


def test_batches_are_the_same_however_they_are_asked_for(teacher):
    whole = TeacherSamples(teacher, length=LENGTH, seed=7).batch(0, 4 * CHUNK)
    again = TeacherSamples(teacher, length=LENGTH, seed=7)  # as after a restart
    rng = np.random.default_rng(0)
    for _ in range(12):
        first, end = sorted(rng.integers(0, 4 * CHUNK + 1, 2))
        assert np.array_equal(again.batch(int(first), int(end - first)), whole[first:end])
    assert np.array_equal(np.concatenate([again.batch(number, 1) for number in range(250, 262)]), whole[250:262])


def test_rounding_does_not_depend_on_what_is_asked_for():
    """Scores of a wide teacher, bit by bit: products of another number of rows would be rounded otherwise."""
    teacher = untrained(Shape(vocabulary=300, width=128, length=6))
    made = []

    class Watched(Decoder):
        def scores(self, tokens):
            made.append((tokens, super().scores(tokens)))
            return made[-1][1]

    whole = TeacherSamples(teacher, length=6, seed=0).batch(0, CHUNK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher_sampling, "Decoder", Watched)
        for first, count in ((0, CHUNK), (17, 1), (200, 56)):
            found = TeacherSamples(teacher, length=6, seed=0).batch(first, count)
            assert np.array_equal(found, whole[first : first + count])
    for (tokens, scores), (others, again) in zip(made[:5] * 2, made[5:], strict=True):
        assert torch.equal(tokens, others)
        assert torch.equal(scores, again)


def test_rounding_moves_no_token():
    """The same model with its residual channels in another order sums otherwise, as another machine would."""
    teacher = untrained(Shape(vocabulary=2000, width=64, length=30), by=40.0)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    params = {
        name: value[..., order] if name.endswith(("embedding", "out", "down")) else value[:, order]
        for name, value in teacher.params.items()
    }
    again = replace(teacher, params=params)
    tokens = torch.arange(20).view(1, 1, 20)
    one, other = (logits(each.params, tokens, each.shape, each.recipe) for each in (teacher, again))
    assert 0 < (one - other).abs().max() < 1e-4
    one, other = (TeacherSamples(each, length=30, seed=0).batch(0, 512) for each in (teacher, again))
    assert np.array_equal(one, other)
    rough = []
    for each in (teacher, again):
        made = TeacherSamples(each, length=30, seed=0).on("cpu")
        made.params = {name: value.float() for name, value in made.params.items()}
        rough.append(made.batch(0, 2048).numpy())
    differ = int(np.any(rough[0] != rough[1], axis=1).sum())
    assert 0 < differ < 100  # why samples are made in float64


def test_samples_do_not_depend_on_a_batch_before_them(teacher):
    """The chunk that is kept is not changed by who gets it."""
    samples = TeacherSamples(teacher, length=LENGTH, seed=7)
    first = samples.batch(0, 10)
    first += 1
    on_device = samples.on("cpu")
    on_device.batch(0, 10).add_(1)
    assert np.array_equal(on_device.batch(0, 10).numpy() + 1, first)
    assert np.array_equal(samples.batch(0, 10) + 1, first)


def test_batches_are_of_whole_numbers_of_32_bits_and_may_be_empty(teacher):
    samples = TeacherSamples(teacher, length=LENGTH, seed=0)
    assert samples.batch(0, 3).dtype == np.int32
    assert samples.on("cpu").batch(0, 3).dtype == torch.int64
    assert samples.batch(300, 0).shape == (0, LENGTH)


def test_sequences_of_the_largest_numbers_are_made(teacher):
    samples = TeacherSamples(teacher, length=LENGTH, seed=0)
    assert np.array_equal(samples.batch(2**63 - 11, 10)[4:], samples.batch(2**63 - 7, 6))
    with pytest.raises(ValueError, match=r"numbered below 2.63 - 1"):
        samples.batch(2**63 - 5, 5)
    with pytest.raises(ValueError, match="first must be a whole number from 0 on, not -1"):
        samples.batch(-1, 5)


def test_splits_seeds_and_walks_have_keys_of_their_own(teacher):
    graph = erdos_renyi(V, 9, seed=0)
    keys = {
        kind(source, length=5, seed=seed, split=split).key
        for kind, source in ((Walks, graph), (TeacherSamples, teacher))
        for seed in (0, 1, 2, 2**32 - 1) for split in ("train", "test")
    }  # fmt: skip
    assert len(keys) == 16


def test_splits_are_independent():
    """Of a uniform teacher tokens are draws: those of two splits, and of neighbours, agree by chance alone."""
    teacher = untrained(Shape(vocabulary=50, width=16, length=20), by=0.0)
    train, test = (
        TeacherSamples(teacher, length=20, seed=0, split=split).batch(0, 2000) for split in ("train", "test")
    )
    for one, other in ((train, test), (train[1:], train[:-1]), (train[:, 1:], train[:, :-1])):
        agree = np.mean(one == other)
        assert abs(agree - 1 / 50) < 4.5 * np.sqrt(1 / 50 * 49 / 50 / one.size)
    assert stats.chisquare(np.bincount(train.ravel(), minlength=50)).pvalue > 1e-3


def test_at_no_temperature_the_likeliest_token_follows(teacher):
    batch = TeacherSamples(teacher, length=LENGTH, seed=0, temperature=1e-9).batch(0, 200)
    assert np.array_equal(batch[:, 1:], chances(teacher, batch).argmax(axis=-1))
    assert len(np.unique(batch[:, 0])) == 4  # the start law knows no temperature


def test_at_a_high_temperature_every_token_is_as_likely(teacher):
    batch = TeacherSamples(teacher, length=LENGTH, seed=0, temperature=1e9).batch(0, 3000)
    assert stats.chisquare(np.bincount(batch[:, 1:].ravel(), minlength=V)).pvalue > 1e-3


def test_sequences_begin_by_the_start_law(teacher):
    starts = np.bincount(TeacherSamples(teacher, length=2, seed=0).batch(0, 20_000)[:, 0], minlength=V)
    assert np.array_equal(starts > 0, START > 0)
    assert stats.chisquare(starts[START > 0], 20_000 * teacher.start[START > 0]).pvalue > 1e-3


def test_no_draw_falls_on_a_token_without_weight():
    cumulative = torch.tensor([[0.0, 0.5, 0.5, 1.0, 1.0]], dtype=torch.float64) * 0.7
    most = 1 - 2.0**-52
    draws = torch.tensor([[0.0, 0.25, 0.5, most]], dtype=torch.float64)
    assert placed(cumulative, draws).tolist() == [[1, 1, 3, 3]]
    totals = torch.rand(100_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    assert int(placed(totals, torch.full_like(totals, most)).max()) == 0


def test_uniform_numbers_are_those_of_their_counters():
    states = streams(5, torch.arange(1000))
    found, expected = uniform(states, 3).numpy(), number(states.numpy(), 3).view(np.uint64) / 2.0**64
    np.testing.assert_allclose(found, expected, atol=2.0**-52)
    assert found.min() >= 0
    assert found.max() < 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_samples_the_same_sequences(teacher):
    samples = TeacherSamples(teacher, length=LENGTH, seed=7)
    on_gpu, whole = samples.on("cuda"), samples.batch(0, 4000)
    made = on_gpu.batch(0, 4000)
    assert torch.equal(on_gpu.batch(1000, 300), made[1000:1300])
    assert np.array_equal(made.cpu().numpy(), whole)  # in float64 no rounding is near a border


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"length": 1}, "length must be a whole number from 2 to 12, not 1"),
        ({"length": 13}, "length must be a whole number from 2 to 12, not 13. .* trained on sequences of 12 tokens"),
        ({"length": True}, "length must be a whole number"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295, not -1"),
        ({"split": "dev"}, "split must be one of train, test, not 'dev'"),
        ({"temperature": 0}, "temperature must be a finite number, positive, not 0"),
        ({"temperature": -1.0}, "positive, not -1.0"),
        ({"temperature": float("inf")}, "finite number, positive, not inf"),
        ({"temperature": float("nan")}, "not nan"),
        ({"temperature": True}, "not True"),
        ({"temperature": "1"}, "not '1'"),
    ],
)
def test_bad_settings_are_refused(teacher, settings, words):
    with pytest.raises(ValueError, match=words):
        TeacherSamples(teacher, **{"length": 5, "seed": 0, **settings})
