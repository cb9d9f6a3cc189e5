"""Jobs from TOML: what the file says is what is trained; what is wrong is named with its place."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("networkx")

from scaletrain.config import Replica
from scaletrain.jobs import read_job

GOOD = """
graph = {kind = "erdos_renyi", nodes = 50, edges = 150, seed = 1, kappa = 1.0}
model = {width = 32, length = 11}
recipe = {tokens = 4000, batch = 20, embedding_lr = 8}
replicas = {lr = [0.01, 0.02], seed = [0, 1]}
"""


def read(tmp_path, text):
    path = tmp_path / "job.toml"
    path.write_text(text, encoding="utf-8")
    return read_job(path)


def test_a_file_is_what_is_trained(tmp_path):
    job = read(tmp_path, GOOD)
    assert job.pack.shape.vocabulary == job.source.vocabulary
    assert job.source.columns["kappa"] == 1.0
    assert (job.pack.recipe.steps, job.pack.recipe.embedding_lr) == (20, 8)
    assert job.pack.replicas == tuple(Replica(lr=lr, seed=seed) for lr in (0.01, 0.02) for seed in (0, 1))


def test_steps_may_stand_for_tokens_and_numbers_for_lists(tmp_path):
    job = read(tmp_path, GOOD.replace("tokens = 4000", "steps = 7").replace("[0, 1]", "3").replace("[0.01, 0.02]", "1"))
    assert job.pack.recipe.steps == 7
    assert job.pack.replicas == (Replica(lr=1, seed=3),)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("graph =", "graf =", r"job.toml has 'graf', which is unknown; there are \[model\], \[recipe\]"),
        ("model = {width = 32, length = 11}", "", r"lacks the table \[model\]"),
        ("model = {width = 32, length = 11}", "model = 32", r"lacks the table \[model\]"),
        ("width = 32", "widths = 32", r"\[model\] has 'widths', which is unknown; there are depth, head_dim"),
        ("width = 32, ", "", r"\[model\] lacks width\."),
        ("width = 32", "width = 40", r"\[model\]: width 40 is no multiple of head_dim 16"),
        (
            "length = 11",
            "length = 11, vocabulary = 51",
            r"\[model\]: vocabulary is 51, but that of er-50-150-kappa1 is \d+",
        ),
        ("tokens = 4000", "tokens = 199", r"\[recipe\]: tokens = 199 is less than one batch"),
        ("tokens = 4000", "tokens = 'many'", r"\[recipe\]: tokens must be a number, not 'many'"),
        ("tokens = 4000", "steps = 5, tokens = 4000", r"\[recipe\] needs either tokens or steps"),
        ("tokens = 4000, ", "", r"\[recipe\] needs either tokens or steps"),
        (
            "embedding_lr = 8",
            "embed_lr = 8",
            r"\[recipe\] has 'embed_lr', which is unknown; .*tokens.* Did you mean 'embedding_lr'\?",
        ),
        ("embedding_lr = 8", "embedding_lr = -8", r"\[recipe\]: embedding_lr must be .*-8"),
        ("kappa = 1.0", "kappa = -1.0", r"\[graph\]: kappa .*-1"),
        ("edges = 150", "edges = 0", r"\[graph\]: 50 nodes have 1 to 1225 undirected edges, not 0"),
        ("[0.01, 0.02]", "[]", r"\[replicas\]: lr must be a value or a list of different ones, not \[\]"),
        ("[0, 1]", "[1, 1]", r"\[replicas\]: seed must be a value or a list of different ones, not \[1, 1\]"),
        ("[0.01, 0.02]", "[0.01, -0.02]", r"\[replicas\]: lr must be .*-0.02"),
        ("lr = [0.01, 0.02], ", "", r"\[replicas\] lacks lr\."),
        ("replicas = {", "replicas = ", r"job.toml is no TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(ValueError, match=words):
        read(tmp_path, GOOD.replace(old, new))


def test_a_grid_is_no_job(tmp_path):
    with pytest.raises(ValueError, match=r"job.toml has 6 data, models or data sizes, since an entry of"):
        read(tmp_path, GOOD.replace("width = 32", "width = [16, 32, 48]").replace("4000", "[4000, 8000]"))


def test_a_graph_of_a_file_is_found_beside_the_job(tmp_path):
    (tmp_path / "ring.txt").write_text("a b\nb c\nc a\n")
    text = 'graph = {kind = "file", path = "ring.txt"}\n' + GOOD.partition("\n")[2].partition("\n")[2]
    assert read(tmp_path, text).pack.shape.vocabulary == 3


def test_files_that_are_missing_are_named_with_the_job(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.toml"):
        read_job(tmp_path / "none.toml")
    text = 'graph = {kind = "file", path = "none.txt"}\n' + GOOD.partition("\n")[2].partition("\n")[2]
    with pytest.raises(OSError, match=r"job\.toml, \[graph\]: .*none\.txt"):
        read(tmp_path, text)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "job.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no TOML"):
        read_job(path)


@pytest.mark.parametrize("page", ["README.md", "docs/trainer.md"])
def test_jobs_of_the_pages_can_be_trained(tmp_path, page):
    text = (Path(__file__).parents[1] / page).read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    job = read(tmp_path, block)
    assert (job.pack.shape.vocabulary, job.pack.shape.width, len(job.pack.replicas)) == (200, 32, 6)
