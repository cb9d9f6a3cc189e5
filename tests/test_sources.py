"""What models are trained on: walks, n-grams, teachers and text behind one door, and their tables of a TOML."""

import hashlib
import json
import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scaletrain import Graph, Pack, Recipe, Replica, Shape, Trainer, evaluation, prepare, train
from scaletrain.checkpoints import export, identity, load_state, save_state
from scaletrain.corpora import Corpus, Windows
from scaletrain.counted_models import bigram_graph, counted, interpolated, ngram_model
from scaletrain.data_recipes import KINDS, NgramRecipe, TeacherRecipe, TextRecipe, built, recipe_of
from scaletrain.evaluation import TextEvaluator, WalkEvaluator
from scaletrain.graph_recipes import GraphRecipe
from scaletrain.jobs import read_job, read_tables
from scaletrain.model import initial, logits
from scaletrain.ngram_models import NgramWalks
from scaletrain.results import COLUMNS, runs_of
from scaletrain.sources import COLUMNS as SOURCE_COLUMNS
from scaletrain.sources import TEST_SEQUENCES, sampled, source_of
from scaletrain.sweeps import read_sweep
from scaletrain.teacher_sampling import TeacherSamples
from scaletrain.teachers import TeacherEvaluator, read_teacher
from scaletrain.working import start, usual_stack

LENGTH = 12
REST = """
model = {width = 16, length = 12}
recipe = {steps = 6, batch = 4}
replicas = {lr = [0.01, 0.02]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus of letters, and a teacher of it."""
    path = tmp_path_factory.mktemp("sources")
    chance = np.random.default_rng(0)
    words = ["abba", "cab", "dead", "bead", "cede", "face", "fade"]
    texts = [" ".join(chance.choice(words, 60)) for _ in range(60)]
    (path / "words.txt").write_text("\n#\n".join(texts))
    corpus = prepare(path / "words.txt", path / "corpus", tokenizer="byte", separator="\n#\n", test_share=0.2)
    pack = packed(corpus.vocabulary, steps=6)
    trainer = Trainer(pack, corpus)
    for _ in range(6):
        trainer.advance()
    save_state(path / "state", trainer.state, pack, corpus)
    export(path / "state", path / "teacher.safetensors")
    return path


@pytest.fixture(scope="module")
def corpus(folder):
    return Corpus.read(folder / "corpus")


@pytest.fixture(scope="module")
def every(folder, corpus):
    """A source of each kind."""
    return {
        "walks": source_of(bigram_graph(counted(corpus, order=2))),
        "ngrams": source_of(ngram_model(counted(corpus, order=3))),
        "teacher": source_of(read_teacher(folder / "teacher.safetensors")),
        "text": source_of(corpus),
    }


def packed(vocabulary, *, steps=4, length=LENGTH, seeds=(0,)):
    return Pack(
        shape=Shape(vocabulary=vocabulary, width=16, length=length), recipe=Recipe(steps=steps, batch=4),
        replicas=tuple(Replica(lr=0.01, seed=seed, data_seed=seed) for seed in seeds),
    )  # fmt: skip


KIND = pytest.mark.parametrize("kind", ["walks", "ngrams", "teacher", "text"])


@KIND
def test_every_source_trains_and_fills_its_columns(every, kind):
    source = every[kind]
    runs = runs_of(train(packed(source.vocabulary, seeds=(0, 1)), source), device="cpu")
    assert list(runs) == list(COLUMNS)
    assert (runs["source"] == kind).all()
    assert (runs["dataset"] == source.name).all()
    assert (runs["dataset_id"] == source.digest).all()
    told = runs[list(SOURCE_COLUMNS)].dropna(axis="columns")
    assert told.to_dict("records") == 2 * [source.columns]
    assert runs["loss"].between(0, 1.1 * math.log(source.vocabulary)).all()
    if kind == "text":
        assert runs[["loss_floor", "excess", "loss_counting"]].isna().all(axis=None)
    else:
        np.testing.assert_allclose(runs["excess"], runs["loss"] - runs["loss_floor"], rtol=1e-9)
        assert (runs["excess"] > 0).all()
    assert runs["loss_counting"].notna().all() == (kind == "walks")


@KIND
def test_training_and_test_sequences_differ_and_the_latter_are_always_the_same(every, kind):
    source, cpu = every[kind], torch.device("cpu")
    some = [source.sequences(LENGTH, seed, split, cpu).batch(0, 8) for seed, split in ((0, "train"), (0, "test"))]
    assert some[0].shape == (8, LENGTH)
    assert some[0].dtype == torch.int64
    assert not torch.equal(*some)
    again = source.sequences(LENGTH, 1, "train", cpu).batch(0, 8)
    assert not torch.equal(some[0], again)
    params = initial(Shape(vocabulary=source.vocabulary, width=16, length=LENGTH), Recipe(steps=1), [0])
    shape, recipe = Shape(vocabulary=source.vocabulary, width=16, length=LENGTH), Recipe(steps=1)
    made = [source.tester(LENGTH, cpu)(params, shape, recipe) for _ in range(2)]
    assert made[0].loss == made[1].loss
    assert made[0].tokens == (LENGTH - 1) * min(TEST_SEQUENCES, source.tests(LENGTH))


@KIND
def test_a_run_goes_on_bit_by_bit(every, kind, tmp_path):
    source = every[kind]
    pack = packed(source.vocabulary)
    half, whole = Trainer(pack, source), Trainer(pack, source)
    for _ in range(2):
        half.advance()
    save_state(tmp_path / "state", half.state, pack, source)
    rest = Trainer(pack, source, state=load_state(tmp_path / "state", pack, source))
    for _ in range(2):
        rest.advance()
    for _ in range(4):
        whole.advance()
    assert all(torch.equal(rest.params[name], whole.params[name]) for name in whole.params)


def test_digests_tell_data_of_one_name_apart(corpus, tmp_path):
    (tmp_path / "words.txt").write_text("\n#\n".join(f"bead {number}" for number in range(60)))
    other = prepare(tmp_path / "words.txt", tmp_path / "corpus", tokenizer="byte", separator="\n#\n", test_share=0.2)
    model = ngram_model(counted(corpus, order=2))
    for pair in ((corpus, other), (model, replace(model, skip=2))):
        one, another = map(source_of, pair)
        assert one.name == another.name
        assert one.digest != another.digest


def test_the_table_says_which_file_a_teacher_is(folder, every):
    digest = hashlib.sha256((folder / "teacher.safetensors").read_bytes()).hexdigest()
    assert every["teacher"].columns["teacher_digest"] == digest[:16]


def test_the_start_law_is_that_of_first_tokens(corpus, every, monkeypatch):
    monkeypatch.setattr("scaletrain.sources.AT_ONCE", 1000)
    of_text = source_of(corpus).start
    counts = np.bincount(corpus.split("train").tokens, minlength=corpus.vocabulary)
    np.testing.assert_allclose(of_text, counts / counts.sum(), rtol=1e-14)
    np.testing.assert_allclose(every["teacher"].start, of_text, rtol=1e-14)  # it was trained on that text
    first = ngram_model(counted(corpus, order=3)).next_probabilities(np.empty((1, 0), dtype=np.int64))
    np.testing.assert_allclose(every["ngrams"].start[first.targets], first.chances, rtol=1e-12)
    assert every["ngrams"].start.sum() == pytest.approx(1, abs=1e-12)


def test_identities_differ_by_the_data(every):
    pack = packed(257)
    assert len({identity(pack, source) for source in every.values()}) == 4


def test_the_loss_of_text_is_the_cross_entropy_on_held_out_windows(corpus):
    windows = Windows(corpus, LENGTH, 0, "test").batch(0, 20)
    shape, recipe = Shape(vocabulary=corpus.vocabulary, width=16, length=LENGTH), Recipe(steps=1)
    params = {**initial(shape, recipe, [0, 1])}
    params["embedding"] = params["embedding"] * 20
    made = TextEvaluator(windows)(params, shape, recipe)
    tokens = torch.as_tensor(windows, dtype=torch.int64)
    with torch.no_grad():
        scores = torch.log_softmax(logits(params, tokens[None, :, :-1].expand(2, -1, -1), shape, recipe).double(), -1)
    follow = tokens[None, :, 1:, None].expand(2, -1, -1, 1)
    losses = -scores.gather(3, follow)[..., 0].numpy()
    np.testing.assert_allclose(made.loss, losses.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(made.loss_se, losses.mean(axis=2).std(axis=1, ddof=1) / math.sqrt(20), rtol=1e-5)
    assert math.isnan(made.floor)
    assert np.isnan(made.divergence).all()


def test_text_is_seen_once_and_says_how_much_there_is(corpus):
    source = source_of(corpus)
    there = Windows(corpus, LENGTH, 0).windows
    assert source.most(LENGTH) == there
    steps = there // 4
    trainer = Trainer(packed(corpus.vocabulary, steps=steps), source)
    seen = torch.cat([trainer.batch(step)[0] for step in range(steps)]).numpy()
    assert len(np.unique(seen, axis=0)) == len(np.unique(Windows(corpus, LENGTH, 0).batch(0, steps * 4), axis=0))
    with pytest.raises(ValueError, match=f"has {there:,} sequences of 12 tokens.*prepare more text"):
        Trainer(packed(corpus.vocabulary, steps=steps + 1), source)


def test_blocks_of_text_end_where_the_text_does(corpus, monkeypatch):
    monkeypatch.setattr("scaletrain.training.AHEAD", 28)  # seven steps
    steps = Windows(corpus, LENGTH, 0).windows // 4
    assert steps > 7
    assert steps % 7
    trainer = Trainer(packed(corpus.vocabulary, steps=steps), source_of(corpus))
    seen = torch.cat([trainer.batch(step)[0] for step in range(steps)]).numpy()
    np.testing.assert_array_equal(seen, Windows(corpus, LENGTH, 0).batch(0, 4 * steps))


def test_text_that_cannot_be_tested_on_is_refused_before_training(corpus):
    length = len(corpus.split("test").tokens) // 2 + 1
    with pytest.raises(ValueError, match=f"has 1 held-out sequence of {length} tokens.*hold more of it out"):
        Trainer(packed(corpus.vocabulary, steps=1, length=length), source_of(corpus))
    with pytest.raises(ValueError, match=f"not one window of {2 * length}"):
        Trainer(packed(corpus.vocabulary, steps=1, length=2 * length), source_of(corpus))


def test_windows_of_a_large_vocabulary_are_evaluated_few_at_a_time(corpus, monkeypatch):
    source, shape, recipe = source_of(corpus), Shape(vocabulary=257, width=16, length=LENGTH), Recipe(steps=1)
    params, cpu = initial(shape, recipe, [0, 1]), torch.device("cpu")
    whole = source.tester(LENGTH, cpu)(params, shape, recipe)
    monkeypatch.setattr("scaletrain.evaluation.BYTES", 8 * 257 * 5 * (LENGTH - 1))
    seen = []
    cross_entropy = evaluation.F.cross_entropy
    monkeypatch.setattr(
        evaluation.F, "cross_entropy", lambda x, *rest, **more: seen.append(x.nbytes) or cross_entropy(x, *rest, **more)
    )
    some = source.tester(LENGTH, cpu)(params, shape, recipe)
    assert 0 < max(seen) <= evaluation.BYTES
    np.testing.assert_allclose(some.loss, whole.loss, rtol=1e-6)  # products of float32 round by their size


@pytest.mark.parametrize(("order", "skip"), [(2, 1), (3, 1), (3, 2), (2, 3)])
def test_ngrams_are_judged_by_their_exact_laws(corpus, order, skip):
    model = ngram_model(counted(corpus, order=order, skip=skip))
    walks = NgramWalks(model, LENGTH, 0, "test").batch(0, 30)
    shape, recipe = Shape(vocabulary=model.vocabulary, width=16, length=LENGTH), Recipe(steps=1)
    params = initial(shape, recipe, [0])
    params["embedding"] = params["embedding"] * 20
    made = WalkEvaluator(model, walks)(params, shape, recipe)
    with torch.no_grad():
        tokens = torch.as_tensor(walks[None, :, :-1], dtype=torch.int64)
        log_q = torch.log_softmax(logits(params, tokens, shape, recipe).double(), -1)[0].numpy()
    expected = []
    for place in range(1, LENGTH):
        laws = model.next_probabilities(walks[:, :place])
        rows = np.repeat(np.arange(len(walks)), np.diff(laws.indptr))
        terms = laws.chances * (np.log(laws.chances) - log_q[rows, place - 1, laws.targets])
        expected.append(np.bincount(rows, terms, len(walks)))
    np.testing.assert_allclose(made.divergence[0], np.mean(expected), rtol=1e-6)
    assert made.floor == model.floor(LENGTH)


@pytest.mark.parametrize(("order", "skip"), [(2, 1), (3, 2)])
def test_ngrams_are_those_within_training_documents(corpus, order, skip):
    train, reach = corpus.split("train"), (order - 1) * skip
    documents = [train.tokens[low:high].tolist() for low, high in pairwise(train.documents)]
    expected = Counter(tuple(one[i : i + reach + 1 : skip]) for one in documents for i in range(len(one) - reach))
    found = counted(corpus, order=order, skip=skip)
    assert dict(zip(map(tuple, found.grams.tolist()), found.counts.tolist(), strict=True)) == expected


def test_a_recipe_weighs_trigrams_by_its_mixture(corpus, folder):
    recipe = NgramRecipe(path=str(folder / "corpus"), order=3, skip=2, threshold=3, mixture=0.25)
    counts = [counted(corpus, order=order, skip=2).above(3) for order in (2, 3)]
    expected = interpolated(*counts, weight=0.25).graph.matrix.toarray()
    np.testing.assert_array_equal(recipe.model().graph.matrix.toarray(), expected)


def test_the_graph_of_bigrams_and_the_model_of_bigrams_have_one_floor(corpus):
    counts = counted(corpus, order=2)
    assert ngram_model(counts).floor(LENGTH) == pytest.approx(bigram_graph(counts).floor(LENGTH), rel=1e-12)


def test_a_trained_model_is_never_below_the_floor_of_bigrams(corpus):
    source = source_of(ngram_model(counted(corpus, order=2)))
    pack = Pack(
        shape=Shape(vocabulary=source.vocabulary, width=32, length=LENGTH),
        recipe=Recipe(steps=150, batch=40, embedding_lr=4.0), replicas=(Replica(lr=0.02),),
    )  # fmt: skip
    made = train(pack, source).evaluation
    assert 0 < made.divergence[0] < 0.1


def test_a_temperature_is_another_source(folder):
    teacher = read_teacher(folder / "teacher.safetensors")
    cold, warm = sampled(teacher, temperature=0.5), source_of(teacher)
    assert cold.digest != warm.digest
    assert cold.name == f"{warm.name}-0.5"
    assert cold.columns["temperature"] == 0.5
    with pytest.raises(ValueError, match="trained on sequences of 12 tokens"):
        Trainer(packed(warm.vocabulary, length=13), warm)


def test_a_temperature_is_that_of_the_samples_and_of_their_floor(folder):
    teacher, cpu = read_teacher(folder / "teacher.safetensors"), torch.device("cpu")
    source, shape, recipe = sampled(teacher, temperature=0.5), teacher.shape, teacher.recipe
    expected = [TeacherSamples(teacher, LENGTH, 3, split, 0.5).batch(0, 40) for split in ("train", "test")]
    for split, batch in zip(("train", "test"), expected, strict=True):
        np.testing.assert_array_equal(source.sequences(LENGTH, 3, split, cpu).batch(0, 40), batch)
    made = source.evaluator(expected[1], cpu)(teacher.params, shape, recipe)
    exact = TeacherEvaluator(teacher, expected[1], temperature=0.5)(teacher.params, shape, recipe)
    assert (made.floor, made.loss[0]) == (exact.floor, exact.loss[0])


def test_other_things_and_other_vocabularies_are_refused(every):
    with pytest.raises(TypeError, match="not on a str"):
        source_of("corpus")
    with pytest.raises(ValueError, match=r"vocabulary of 5, but that of .* is 257"):
        Trainer(packed(5), every["text"])


@pytest.mark.parametrize(
    ("table", "source", "columns"),
    [
        ('graph = {kind = "bigrams", path = "corpus"}', "walks", {"kappa": 0.0}),
        ('graph = {kind = "bigrams", path = "corpus", kappa = 0.5}', "walks", {"kappa": 0.5}),
        ('ngrams = {path = "corpus", order = 3, skip = 2}', "ngrams", {"order": 3, "skip": 2}),
        ('ngrams = {path = "corpus", order = 3, mixture = 0.25}', "ngrams", {"order": 3, "mixture": 0.25}),
        ('teacher = {path = "teacher.safetensors", temperature = 0.7}', "teacher", {"temperature": 0.7}),
        ('text = {path = "corpus"}', "text", {}),
    ],
)
def test_each_kind_of_data_is_a_table_of_a_job(folder, table, source, columns):
    (folder / "job.toml").write_text(table + REST)
    job = read_job(folder / "job.toml")
    assert {**job.source.columns, **columns, "source": source} == job.source.columns
    assert job.pack.shape.vocabulary == job.source.vocabulary


def test_entries_of_the_data_may_be_lists_in_a_sweep(folder):
    table = 'ngrams = {path = "corpus", order = 3, mixture = [0.0, 0.5, 1.0]}'
    (folder / "sweep.toml").write_text(table + REST)
    sweep = read_sweep(folder / "sweep.toml")
    assert [one.columns["mixture"] for one in sweep.sources.values()] == [0.0, 0.5, 1.0]
    assert len({cell.digest for cell in sweep.cells}) == 3
    packs = sweep.needs({}, stack=1)
    assert sorted(digest for digest, _ in packs.values()) == sorted(2 * list(sweep.sources))
    assert all(sweep.neighbour(cell) is None for cell in sweep.cells)  # no model learns from one on other data
    with pytest.raises(ValueError, match="has 3 data, models or data sizes"):
        read_job(folder / "sweep.toml")


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ('ngrams = {path = "corpus", threshold = [0, 600]}', ["2-grams-words-byte", "2-grams-above600-words-byte"]),
        (
            'graph = {kind = "bigrams", path = "corpus", threshold = [0, 600]}',
            ["bigrams-words-byte", "bigrams-above600-words-byte"],
        ),
    ],
)
def test_data_sets_of_a_sweep_are_told_by_their_names(folder, table, names):
    (folder / "sweep.toml").write_text(table + REST)
    assert [one.name for one in read_sweep(folder / "sweep.toml").sources.values()] == names


def test_data_sets_of_one_name_get_their_digests(folder):
    table = 'graph = {kind = "erdos_renyi", nodes = 30, edges = 90, seed = [0, 1], kappa = [0.0, 1.0]}'
    (folder / "sweep.toml").write_text(table + REST)
    sources = read_sweep(folder / "sweep.toml").sources
    names = [f"er-30-90{kappa}-{digest[:8]}" for digest, kappa in zip(sources, 2 * ["", "-kappa1"], strict=True)]
    assert [one.name for one in sources.values()] == names
    assert all(one.words.startswith(f"{one.name}, ") for one in sources.values())
    (folder / "sweep.toml").write_text(table.replace("[0, 1]", "0") + REST)
    assert [one.name for one in read_sweep(folder / "sweep.toml").sources.values()] == ["er-30-90", "er-30-90-kappa1"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "has no table of the data; there are .*one of .graph., .ngrams., .teacher., .text."),
        ('text = {path = "corpus"}\nngrams = {path = "corpus"}', "has .ngrams. and .text.; there are"),
        ('text = {folder = "corpus"}', r"\[text\]: has 'folder', which is unknown; there are path"),
        ("text = {}", r"\[text\]: lacks path"),
        ('ngrams = {path = "corpus", ordre = 3}', "Did you mean 'order'"),
        ('ngrams = {path = "corpus", order = 1}', r"\[ngrams\]: order .*from 2 on, not 1"),
        ('ngrams = {path = "corpus", mixture = 0.5}', "has order 3, not 2: set order = 3"),
        ('ngrams = {path = "corpus", order = 3, mixture = 1.5}', "from 0 .bigrams. to 1"),
        ('teacher = {path = "corpus"}', "there is no teacher"),
        ('teacher = {path = "teacher.safetensors", temperature = 0}', "temperature must be a finite number, positive"),
        ('text = {path = "none"}', "holds no corpus"),
        ("text = {path = 3}", "path must be the name of a file or folder, not 3"),
        ('graph = {kind = "bigrams"}', "path is missing"),
        ('graph = {kind = "erdos_renyi", nodes = 30, edges = 90, threshold = 1}', "threshold is for bigrams"),
    ],
)
def test_what_is_wrong_with_the_data_is_named_with_its_place(folder, table, words):
    (folder / "job.toml").write_text(table + REST)
    with pytest.raises((ValueError, OSError), match=words):
        read_job(folder / "job.toml")


def test_recipes_survive_their_dictionaries(folder):
    recipes = (NgramRecipe(path="c", order=3, mixture=0.5), TeacherRecipe(path="t"), TextRecipe(path="c"))
    for kind, recipe in zip(("ngrams", "teacher", "text"), recipes, strict=True):
        assert recipe_of(kind, recipe.to_dict()) == recipe
    assert set(KINDS) == {"graph", "ngrams", "teacher", "text"}
    graph = GraphRecipe.from_dict({"kind": "bigrams", "path": "corpus", "threshold": 1}, folder=folder)
    assert built(graph).vocabulary <= built(GraphRecipe(kind="bigrams", path=str(folder / "corpus"))).vocabulary
    assert GraphRecipe.from_dict(graph.to_dict()) == graph
    assert GraphRecipe.parse(str(folder / "corpus")).kind == "bigrams"


def test_a_plain_graph_is_trained_on_as_before():
    ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)])
    assert identity(packed(3), ring) == identity(packed(3), source_of(ring))


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("er_kappa", "kappa", [0.0, 0.5, 1.0, 1.5, 2.0]),
        ("bigrams_to_trigrams", "mixture", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("skip_bigrams", "skip", [1, 2, 4, 8]),
        ("ladder_bigrams", "order", [2]),
    ],
)
def test_shipped_sweeps_over_data_find_them_where_the_user_is(folder, monkeypatch, name, column, values):
    monkeypatch.chdir(folder)
    sweep = read_sweep(name)
    assert [source.columns[column] for source in sweep.sources.values()] == values
    assert len({source.name for source in sweep.sources.values()}) == len(values)
    assert {cell.digest for cell in sweep.cells} == set(sweep.sources)


def test_runs_that_share_what_a_teacher_writes_are_stacked(folder):
    usual = []
    for number, data in enumerate(('teacher = {path = "teacher.safetensors"}', 'text = {path = "corpus"}')):
        (folder / f"stacked{number}.toml").write_text(data + REST)
        sweep = read_sweep(folder / f"stacked{number}.toml")
        usual.append([usual_stack(sweep, device) for device in ("cpu", "cuda", "cuda:1")])
        start(read_tables(folder / f"stacked{number}.toml"), folder / f"stacked{number}.toml", folder / f"out{number}")
        assert json.loads((folder / f"out{number}" / "sweep.json").read_text())["stack"] == usual[-1][0]
    assert usual == [[8, 48, 48], [1, 48, 48]]


def test_shipped_teachers_are_jobs_and_say_when_the_text_is_too_short(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match=r"tokens are asked for\. Train on fewer tokens, or prepare more text"):
        read_job("ladder_teacher1")
