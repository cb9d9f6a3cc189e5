"""Teachers: what is read from an export, what is refused, and exact distances of models from one."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
from safetensors import safe_open
from safetensors.torch import save_file

from scaletrain import checkpoints, teachers
from scaletrain.checkpoints import export, save_state
from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.graph_sources import erdos_renyi
from scaletrain.model import initial, logits
from scaletrain.teacher_sampling import TeacherSamples
from scaletrain.teachers import EXPORT_FORMAT, TeacherEvaluator, log_chances, read_teacher
from scaletrain.training import Trainer

GRAPH = erdos_renyi(20, 60, seed=0)
PACK = Pack(
    shape=Shape(vocabulary=GRAPH.nodes, width=32, length=10),
    recipe=Recipe(steps=60, batch=10, embedding_lr=8.0, base_width=16),
    replicas=(Replica(lr=0.02), Replica(lr=0.02, seed=1)),
)


@pytest.fixture(scope="module")
def trained():
    trainer = Trainer(PACK, GRAPH)
    while trainer.step < PACK.recipe.steps:
        trainer.advance()
    return trainer


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher")
    save_state(path / "checkpoint.safetensors", trained.state, PACK, GRAPH)
    export(path / "checkpoint.safetensors", path / "model.safetensors", replica=1)
    return path


@pytest.fixture(scope="module")
def teacher(folder):
    return read_teacher(folder / "model.safetensors")


@pytest.fixture(scope="module")
def test_set(teacher):
    return TeacherSamples(teacher, length=10, seed=0, split="test").batch(0, 50)


def of(pack, seeds=(0,), by=1.0):
    params = initial(pack.shape, pack.recipe, seeds)
    return {**params, "embedding": params["embedding"] * by}


def rewritten(folder, path, *, header=None, tensors=None):
    """The export with another header or other tensors; None takes an entry away."""
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        about = {**file.metadata(), **(header or {})}
        values = {**{name: file.get_tensor(name) for name in file.keys()}, **(tensors or {})}  # noqa: SIM118
    kept = {name: value for name, value in values.items() if value is not None}
    save_file(kept, path, metadata={name: value for name, value in about.items() if value is not None})
    return path


def test_a_teacher_is_the_model_that_was_exported(teacher, trained, folder):
    tokens = torch.arange(9).view(1, 1, 9)
    found = logits(teacher.params, tokens, teacher.shape, teacher.recipe)[0]
    expected = logits(trained.params, tokens.expand(2, 1, 9), PACK.shape, PACK.recipe)[1]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert (teacher.shape, teacher.recipe, teacher.step) == (PACK.shape, PACK.recipe, 60)
    assert teacher.digest == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert teacher.name == f"T2L-{teacher.digest[:8]}"
    assert teacher.vocabulary == GRAPH.nodes
    assert teacher.notes == ()


def test_columns_name_the_teacher_and_its_settings(teacher, folder, tmp_path):
    samples = TeacherSamples(teacher, length=10, seed=0, temperature=0.5)
    assert list(samples.columns) == list(teachers.COLUMNS)
    assert samples.columns == {
        "teacher": teacher.name, "teacher_digest": teacher.digest[:16], "teacher_depth": 2, "teacher_width": 32,
        "teacher_params": PACK.shape.params, "teacher_steps": 60, "temperature": 0.5,
    }  # fmt: skip
    other = read_teacher(rewritten(folder, tmp_path / "m.safetensors", tensors={"start": torch.ones(GRAPH.nodes)}))
    many = [TeacherSamples(one, length=10, seed=0, temperature=t).digest for one in (teacher, other) for t in (1, 0.5)]
    assert len(set(many)) == 4
    assert many[0] == TeacherSamples(teacher, length=5, seed=7, split="test", temperature=1.0).digest


def test_the_start_law_is_that_of_the_data_and_may_be_of_counts(folder, tmp_path):
    np.testing.assert_allclose(read_teacher(folder / "model.safetensors").start, GRAPH.start, rtol=1e-15)
    counts = np.arange(GRAPH.nodes)
    path = rewritten(folder, tmp_path / "m.safetensors", tensors={"start": torch.as_tensor(counts)})
    np.testing.assert_allclose(read_teacher(path).start, counts / counts.sum(), rtol=1e-15)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (None, "lacks the tensor start, the law of the first token. Export it again"),
        (np.ones(19), r"start must have a number for each of 20 tokens, \(20,\), not \(19,\)"),
        (np.ones((20, 1)), r"not \(20, 1\)"),
        (np.zeros(20), "some above, but all are 0"),
        (np.r_[1.0, -1.0, np.nan, np.ones(17)], r"but token 1 has -1 \(2 such\)"),
    ],
)
def test_a_start_law_that_is_none_is_refused(folder, tmp_path, start, words):
    law = None if start is None else torch.as_tensor(start)
    path = rewritten(folder, tmp_path / "m.safetensors", tensors={"start": law})
    with pytest.raises(ValueError, match=words):
        read_teacher(path)


def test_a_checkpoint_is_refused_with_a_choice_of_its_replicas(folder):
    words = r"is a checkpoint. A teacher is one model: scaletrain export .* --replica 0 \(or another, to 1\)"
    with pytest.raises(ValueError, match=words):
        read_teacher(folder / "checkpoint.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"header": {"scaletrain": None}}, "no model that `scaletrain export` wrote: its header names no format"),
        ({"header": {"scaletrain": "9"}}, "its header names format '9'"),
        ({"header": {"recipe": None}}, "format '2' has shape, recipe, step"),
        ({"header": {"pack": "[]"}}, "neither a teacher nor a checkpoint"),
        ({"header": {"shape": "{"}}, "no model of this version of scaletrain"),
        ({"header": {"shape": json.dumps({"wide": 3})}}, "no model of this version of scaletrain: .*'wide'"),
        ({"header": {"step": "few"}}, "no model of this version of scaletrain: .*'few'"),
        ({"tensors": {"layer1.qkv": None, "embedding": None}}, "embedding is missing, layer1.qkv is missing"),
        ({"tensors": {"layer2.qkv": torch.zeros(1)}}, "layer2.qkv is unknown"),
        ({"tensors": {"embedding": torch.zeros(21, 32)}}, r"embedding is \(21, 32\), not \(20, 32\)"),
        ({"tensors": {"embedding": torch.zeros(20, 32).half()}}, "embedding is of torch.float16"),
        ({"tensors": {"embedding": torch.full((20, 32), math.nan)}}, "embedding is not finite"),
        ({"tensors": {f"layer{k}.qkv": torch.zeros(1) for k in range(2, 9)}}, "unknown, and 3 more. Export it again"),
    ],
)
def test_what_is_no_export_is_refused(folder, tmp_path, change, words):
    path = rewritten(folder, tmp_path / "m.safetensors", **change)
    with pytest.raises(ValueError, match=words):
        read_teacher(path)


def test_files_of_another_kind_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no teacher"):
        read_teacher(tmp_path / "none")
    torch.save({"embedding": torch.zeros(2)}, tmp_path / "pickle.pt")
    with pytest.raises(ValueError, match="no model that `scaletrain export` wrote"):
        read_teacher(tmp_path / "pickle.pt")


def test_the_format_is_that_of_exports_and_an_unfinished_teacher_says_so(folder, tmp_path):
    assert EXPORT_FORMAT == checkpoints.FORMAT
    path = rewritten(folder, tmp_path / "m.safetensors", header={"step": "7"})
    (note,) = read_teacher(path).notes
    assert "stopped at step 7 of 60" in note


def test_the_teacher_itself_has_no_divergence(teacher, test_set):
    made = TeacherEvaluator(teacher, test_set)(teacher.params, teacher.shape, teacher.recipe)
    assert made.divergence.tolist() == [0.0]
    assert made.loss.tolist() == [made.floor]
    assert made.loss_se.tolist() == [0.0]
    assert (made.walks, made.tokens) == (50, 50 * 9)


def test_at_another_temperature_the_teacher_itself_diverges(teacher, test_set):
    made = TeacherEvaluator(teacher, test_set, temperature=2.0)(teacher.params, teacher.shape, teacher.recipe)
    assert made.divergence[0] > 0.05


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_the_uniform_model_has_the_known_loss(teacher, test_set, temperature):
    evaluator = TeacherEvaluator(teacher, test_set, temperature=temperature)
    made = evaluator(of(PACK, by=0.0), PACK.shape, PACK.recipe)
    assert made.loss[0] == pytest.approx(math.log(GRAPH.nodes), rel=1e-12)
    assert made.divergence[0] == pytest.approx(math.log(GRAPH.nodes) - evaluator.floor, rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_losses_and_floors_are_those_of_their_definitions(teacher, test_set, temperature):
    """Against entropies and cross-entropies of whole distributions, written out with NumPy."""
    evaluator, student = TeacherEvaluator(teacher, test_set, temperature=temperature), of(PACK, (0, 1), by=10.0)
    made = evaluator(student, PACK.shape, PACK.recipe)
    seen = torch.as_tensor(test_set[:, :-1].astype(np.int64))[None]
    scores = logits(teacher.params, seen, teacher.shape, teacher.recipe)[0].double().numpy() / temperature
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    entropy = -np.sum(p * np.log(p), axis=-1).mean(axis=1)
    assert evaluator.floor == pytest.approx(entropy.mean(), rel=1e-6)  # products in float32
    assert evaluator.floor_se == pytest.approx(np.std(entropy, ddof=1) / math.sqrt(50), rel=1e-5)
    of_student = logits(student, seen.expand(2, -1, -1), PACK.shape, PACK.recipe).double()
    cross = -(p * torch.log_softmax(of_student, dim=-1).numpy()).sum(axis=-1).mean(axis=2)  # (R, W)
    np.testing.assert_allclose(made.loss, cross.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(made.loss - made.divergence, made.floor, rtol=1e-14)
    np.testing.assert_allclose(made.loss_se, np.std(cross - entropy, axis=1, ddof=1) / math.sqrt(50), rtol=1e-5)
    assert made.divergence.min() > 0.1


def test_an_evaluation_does_not_depend_on_how_it_is_cut(teacher, test_set, monkeypatch):
    whole = TeacherEvaluator(teacher, test_set)(of(PACK, by=10.0), PACK.shape, PACK.recipe)
    sizes, made = [], log_chances
    monkeypatch.setattr("scaletrain.evaluation.BYTES", 8 * GRAPH.nodes * 30)  # three sequences of nine places
    monkeypatch.setattr(teachers, "log_chances", lambda *args: sizes.append(len(args[0])) or made(*args))
    cut = TeacherEvaluator(teacher, test_set)(of(PACK, by=10.0), PACK.shape, PACK.recipe)
    assert sizes == 2 * [*[27] * 16, 18]
    for name in ("loss", "divergence", "loss_se", "floor"):
        np.testing.assert_allclose(getattr(cut, name), getattr(whole, name), rtol=1e-6)  # products in float32


def test_a_loss_is_what_cross_entropies_of_sampled_tokens_scatter_about(teacher):
    sequences = TeacherSamples(teacher, length=10, seed=1).batch(0, 3000)
    evaluator, student = TeacherEvaluator(teacher, sequences), of(PACK, by=10.0)
    tokens = torch.as_tensor(sequences.astype(np.int64))
    exact = evaluator(student, PACK.shape, PACK.recipe).loss[0]
    for params, expected in ((teacher.params, evaluator.floor), (student, exact)):
        scores = torch.log_softmax(logits(params, tokens[None, :, :-1], PACK.shape, PACK.recipe)[0].double(), dim=-1)
        sampled = -scores.gather(2, tokens[:, 1:, None]).mean(dim=(1, 2)).numpy()
        error = np.std(sampled, ddof=1) / math.sqrt(3000)
        assert abs(sampled.mean() - expected) < 4 * error < 0.05 * expected


def test_log_chances_are_finite_at_any_temperature():
    scores = torch.tensor([[3.0, -2.0, 3.0, 1.0]])
    for temperature in (5e-324, 1e-3, 1.0, 1e300):
        found = log_chances(scores, temperature)
        assert bool(torch.isfinite(found).all())
        assert float(found.exp().sum()) == pytest.approx(1, abs=1e-15)
    assert log_chances(scores, 1e-3).exp().tolist() == [[0.5, 0.0, 0.5, 0.0]]


@pytest.mark.parametrize(
    ("sequences", "settings", "words"),
    [
        (np.zeros((1, 5)), {}, r"at least 2 test sequences, \(W, T\), not \(1, 5\)"),
        (np.zeros(5), {}, r"not \(5,\)"),
        (np.zeros((3, 11)), {}, "length must be a whole number from 2 to 10, not 11. .* nothing of later places"),
        (np.full((3, 5), 20), {}, "go from 0 to 19, but the test sequences have 20 to 20"),
        (np.full((3, 5), -1), {}, "have -1 to -1"),
        (np.zeros((3, 5)), {"temperature": 0}, "temperature must be a finite number, positive, not 0"),
    ],
)
def test_test_sequences_that_are_none_are_refused(teacher, sequences, settings, words):
    with pytest.raises(ValueError, match=words):
        TeacherEvaluator(teacher, sequences, **settings)


def test_a_model_of_another_vocabulary_is_refused(teacher, test_set):
    other = replace(PACK, shape=replace(PACK.shape, vocabulary=21))
    with pytest.raises(ValueError, match=r"vocabulary of 21, the teacher T2L-.* one of 20"):
        TeacherEvaluator(teacher, test_set)(of(other), other.shape, other.recipe)
