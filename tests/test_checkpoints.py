"""Checkpoints: training goes on bit by bit from a file; a file of another run is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
from safetensors import safe_open
from safetensors.torch import save_file

from scaletrain.checkpoints import Exported, export, identity, load_state, made_by, save_state
from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.graph_sources import erdos_renyi
from scaletrain.model import hidden, logits
from scaletrain.training import Trainer, finished

GRAPH = erdos_renyi(20, 60, seed=0)
PACK = Pack(
    shape=Shape(vocabulary=20, width=16, length=8),
    recipe=Recipe(steps=20, batch=2),
    replicas=(Replica(lr=0.01), Replica(lr=0.02, seed=1)),
)


def advanced(steps, state=None):
    trainer = Trainer(PACK, GRAPH, state=state)
    while trainer.step < steps:
        trainer.advance()
    return trainer


def test_training_goes_on_bit_by_bit_from_a_file(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, advanced(7).state, PACK, GRAPH)
    resumed, whole = advanced(20, load_state(path, PACK, GRAPH)), advanced(20)
    assert all(torch.equal(resumed.params[name], whole.params[name]) for name in whole.params)
    again, made = (finished(trainer) for trainer in (resumed, whole))
    assert again.curves.equals(made.curves)
    assert again.evaluation.loss.tolist() == made.evaluation.loss.tolist()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(PACK, shape=replace(PACK.shape, depth=1)), "depth is 2 there, 1 here"),
        (replace(PACK, recipe=replace(PACK.recipe, steps=21)), "steps is 20 there, 21 here"),
        (replace(PACK, replicas=PACK.replicas[:1]), "learning rates or seeds are others"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, other, words):
    path = tmp_path / "state.safetensors"
    save_state(path, advanced(1).state, PACK, GRAPH)
    with pytest.raises(ValueError, match=f"checkpoint of another run: {words}"):
        load_state(path, other, GRAPH)
    with pytest.raises(ValueError, match="the data are others, er-20-60 there, er-20-60 here"):
        load_state(path, PACK, erdos_renyi(20, 60, seed=1))


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="is no checkpoint"):
        load_state(path, PACK, GRAPH)


@pytest.mark.parametrize("lost", ["torch", "identity", "pack", "data", "step", "seconds", "cpu_seconds"])
def test_a_header_that_lacks_something_is_refused(tmp_path, lost):
    path = tmp_path / "state.safetensors"
    save_state(path, advanced(1).state, PACK, GRAPH)
    with safe_open(path, framework="pt") as file:
        about = {name: value for name, value in file.metadata().items() if name != lost}
    save_file({"params.embedding": torch.zeros(2, 20, 16)}, path, metadata=about)
    for read in (lambda: load_state(path, PACK, GRAPH), lambda: export(path, tmp_path / "m"), lambda: made_by(path)):
        with pytest.raises(ValueError, match=f"is no checkpoint of `scaletrain train`: its header lacks {lost}"):
            read()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"old")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space"):
        save_state(path, advanced(1).state, PACK, GRAPH)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]


def test_an_exported_model_is_that_of_its_replica(tmp_path):
    checkpoint, path = tmp_path / "state.safetensors", tmp_path / "model.safetensors"
    trainer = advanced(20)
    save_state(checkpoint, trainer.state, PACK, GRAPH)
    assert export(checkpoint, path, replica=1) == Exported(PACK, PACK.replicas[1], 20)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert json.loads(header["replica"]) == {"lr": 0.02, "seed": 1, "data_seed": 0}
    tokens = torch.arange(7).view(1, 1, 7)
    shape = Shape(**json.loads(header["shape"]))
    states = hidden({name: value[None] for name, value in weights.items()}, tokens, shape)[0]
    states = states / float(header["divide_states_by"])
    expected = logits(trainer.params, tokens.expand(2, 1, 7), PACK.shape, PACK.recipe)[1]
    torch.testing.assert_close(states @ weights["embedding"].T, expected, rtol=1e-5, atol=1e-6)
    assert json.loads(header["data"])["digest"] == GRAPH.digest
    assert header["run"] == f"{identity(PACK, GRAPH)}-1"
    with pytest.raises(ValueError, match="replicas 0 to 1, not 2"):
        export(checkpoint, path, replica=2)
    with pytest.raises(ValueError, match="replicas 0 to 1: say which"):
        export(checkpoint, path)


def test_a_model_is_exported_to_the_same_bytes(tmp_path):
    save_state(tmp_path / "state", advanced(3).state, PACK, GRAPH)
    made = set()
    for time in range(6):  # of nine names in any order
        export(tmp_path / "state", tmp_path / str(time), replica=1)
        made.add((tmp_path / str(time)).read_bytes())
    assert len(made) == 1
    (content,) = made
    assert int.from_bytes(content[:8], "little") % 8 == 0


def test_the_plain_model_of_the_docs_gives_the_same_logits(tmp_path):
    shape = Shape(vocabulary=20, width=32, length=8, head_dim=8, depth=3)
    pack = replace(PACK, shape=shape, recipe=replace(PACK.recipe, base_width=16, embedding_lr=4.0))
    trainer = Trainer(pack, GRAPH)
    for _ in range(5):
        trainer.advance()
    save_state(tmp_path / "state", trainer.state, pack, GRAPH)
    export(tmp_path / "state", tmp_path / "model", replica=1)
    page = (Path(__file__).parents[1] / "docs/trainer.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```py\n(import json\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names = {}
    exec(compile(code, "docs/trainer.md", "exec"), names)
    tokens = torch.tensor([3, 1, 4, 1, 5, 9, 2])
    expected = logits(trainer.params, tokens.expand(2, 1, 7), shape, pack.recipe)[1, 0]
    torch.testing.assert_close(names["logits"](tmp_path / "model", tokens), expected, rtol=1e-5, atol=1e-6)


def test_a_replica_that_diverged_is_not_exported(tmp_path):
    pack = replace(PACK, replicas=(Replica(lr=1e30),))
    trainer = Trainer(pack, GRAPH)
    while trainer.step < 10:
        trainer.advance()
    save_state(tmp_path / "state", trainer.state, pack, GRAPH)
    with pytest.raises(ValueError, match="replica 0 diverged"):
        export(tmp_path / "state", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_an_exported_model_is_no_checkpoint(tmp_path):
    save_state(tmp_path / "state", advanced(1).state, PACK, GRAPH)
    export(tmp_path / "state", tmp_path / "model", replica=0)
    with pytest.raises(ValueError, match="is no checkpoint of `scaletrain train`"):
        load_state(tmp_path / "model", PACK, GRAPH)
