"""Corpora and windows: what is read is what was written, every window once, damage in words."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaletrain.corpora import Corpus, Windows
from scaletrain.counters import key_of
from scaletrain.permutations import shuffled
from scaletrain.preparing import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("text")
    draw = np.random.default_rng(0)
    texts = ["".join(map(chr, draw.integers(97, 123, draw.integers(1, 200)))) for _ in range(300)]
    (path / "words.txt").write_text("\n".join(texts), encoding="utf-8")
    prepare(path / "words.txt", path / "corpus", tokenizer="byte", separator="\n", test_share=0.2)
    return path / "corpus"


@pytest.fixture
def copy(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def edit(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_splits_are_slices_that_part_the_corpus(folder):
    corpus = Corpus.read(folder)
    train, test = corpus.split("train"), corpus.split("test")
    assert np.array_equal(np.concatenate([train.tokens, test.tokens]), corpus.tokens)
    assert np.array_equal(np.concatenate([train.documents, test.documents[1:] + train.documents[-1]]), corpus.documents)
    for part in (corpus, train, test):
        assert part.documents.dtype == np.int64
        assert part.tokens.dtype == np.uint16
        assert part.documents[0] == 0
        assert part.documents[-1] == len(part.tokens)
        assert (np.flatnonzero(part.tokens == 256) == part.documents[1:] - 1).all()
        with pytest.raises(ValueError, match="read-only"):
            part.tokens[0] = 3
    assert len(test.documents) - 1 == corpus.manifest["documents"]["test"]
    assert train.digest == corpus.digest
    assert len(corpus.digest) == 64
    assert (corpus.name, corpus.vocabulary) == ("words-byte", 257)


def moved(counts):
    """One of the test split more in the train split, and the sum as it was."""
    counts.update(train=counts["train"] + 1, test=counts["test"] - 1)


def test_a_split_is_not_split_again(folder):
    with pytest.raises(ValueError, match="one split of a corpus already"):
        Corpus.read(folder).split("train").split("train")
    with pytest.raises(ValueError, match="split must be one of train, test, not 'dev'"):
        Corpus.read(folder).split("dev")


@pytest.mark.parametrize("name", ["tokens.bin", "documents.bin"])
def test_a_file_that_the_manifest_does_not_speak_of_is_refused(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-2])
    with pytest.raises(ValueError, match=rf"{name} has {len(content) - 2} bytes, and its manifest says {len(content)}"):
        Corpus.read(copy)
    (copy / name).write_bytes(content[:-2] + b"\x01\x00")
    with pytest.raises(ValueError, match=rf"{name} is not what its manifest says: its sha256 begins with"):
        Corpus.read(copy)
    (copy / name).unlink()
    with pytest.raises(OSError, match=rf"{name} could not be read"):
        Corpus.read(copy)


def test_a_vocabulary_that_does_not_match_is_refused(copy):
    edit(copy, lambda manifest: manifest["tokenizer"].update(vocabulary=256))
    with pytest.raises(ValueError, match=r"a token 256, beyond the vocabulary of 256"):
        Corpus.read(copy)
    edit(copy, lambda manifest: manifest["tokenizer"].update(vocabulary=300))
    with pytest.raises(ValueError, match=r"a tokenizer byte of 300 tokens, .* not by this one of 257"):
        Corpus.read(copy).tokenizer()
    edit(copy, lambda manifest: manifest["tokenizer"].update(vocabulary="300"))
    with pytest.raises(ValueError, match="vocabulary must be a whole number"):
        Corpus.read(copy)


@pytest.mark.parametrize(("change", "words"), [
    (lambda manifest: manifest.pop("files"), r"no manifest of a corpus \(KeyError\('files'\)\)"),
    (lambda manifest: manifest.update(files=3), "no manifest of a corpus"),
    (lambda manifest: manifest["files"]["tokens.bin"].update(dtype="words"), "no manifest of a corpus"),
    (lambda manifest: manifest["tokens"].update(test=3), "counts .*, but the files hold"),
    (lambda manifest: manifest["documents"].update(train=3), "counts .*, but the files hold"),
    (lambda manifest: manifest["documents"].update(train=0, test=sum(manifest["documents"].values())), "but the files"),
    (lambda manifest: moved(manifest["documents"]), "parts the splits behind document .* ends at"),
    (lambda manifest: moved(manifest["tokens"]), "parts the splits behind document .* ends at"),
    (lambda manifest: manifest.update(schema=2), "of schema 2, and this version reads 1"),
])  # fmt: skip
def test_a_manifest_that_was_changed_is_refused(copy, change, words):
    edit(copy, change)
    with pytest.raises(ValueError, match=words):
        Corpus.read(copy)


def test_what_is_no_corpus_is_refused(copy, tmp_path_factory):
    (copy / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        Corpus.read(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"no finished corpus. Start its preparation again"):
        Corpus.read(copy)
    with pytest.raises(OSError, match="holds no corpus"):
        Corpus.read(tmp_path_factory.mktemp("empty"))


def test_every_window_comes_once_whatever_the_batches(folder):
    corpus = Corpus.read(folder)
    for split in ("train", "test"):
        windows = Windows(corpus, length=17, seed=3, split=split)
        tokens = corpus.split(split).tokens
        assert windows.windows == len(tokens) // 17
        epoch = windows.batch(0, windows.windows)
        assert epoch.dtype == np.int32
        wanted = tokens[: windows.windows * 17].reshape(-1, 17)
        assert Counter(map(bytes, epoch.astype("<u2"))) == Counter(map(bytes, wanted))
        assert not np.array_equal(epoch, wanted)
        pieces = [windows.batch(first, min(7, windows.windows - first)) for first in range(0, windows.windows, 7)]
        assert np.array_equal(np.concatenate(pieces), epoch)
        assert windows.batch(5, 0).shape == (0, 17)


def test_seeds_order_the_train_windows_and_leave_the_held_out_ones(folder):
    corpus = Corpus.read(folder)
    one, two = (Windows(corpus, length=9, seed=seed).batch(0, 200) for seed in (0, 1))
    assert not np.array_equal(one, two)
    one, two = (Windows(corpus, length=9, seed=seed, split="test").batch(0, 50) for seed in (0, 1))
    assert np.array_equal(one, two)


def test_more_windows_than_there_are_is_an_error_that_says_so(folder):
    windows = Windows(Corpus.read(folder), length=17, seed=0)
    count = windows.windows
    windows.batch(count - 2, 2)
    with pytest.raises(
        ValueError, match=rf"has {count} windows of 17 tokens, {count * 16} predicted tokens .* but window {count} is"
    ):
        windows.batch(count - 2, 3)
    for wrong in ({"first": -1, "count": 1}, {"first": 0, "count": -1}, {"first": 0.5, "count": 1}):
        with pytest.raises(ValueError, match="must be a whole number"):
            windows.batch(**wrong)


@pytest.mark.parametrize(("options", "words"), [
    ({"length": 1}, "length must be"), ({"seed": -1}, "seed must be"), ({"split": "dev"}, "split must be"),
    ({"length": 10**6}, "not one window of 1000000. Prepare more text"),
])  # fmt: skip
def test_impossible_windows_are_refused(folder, options, words):
    with pytest.raises(ValueError, match=words):
        Windows(Corpus.read(folder), **{"length": 8, "seed": 0, **options})


@given(st.integers(1, 3000), st.integers(0, 99))
@settings(max_examples=40)
def test_a_permutation_takes_every_number_once(size, seed):
    found = shuffled(np.arange(size), size, key=key_of(seed))
    assert np.array_equal(np.sort(found), np.arange(size))
    assert np.array_equal(shuffled(np.arange(size)[::-1], size, key=key_of(seed)), found[::-1])


def test_permutations_are_as_even_as_chance():
    """Chi-square over all 24 orders of 4, and over where neighbours of a long row go; p > 1e-4 at fixed seeds."""
    from scipy.stats import chisquare, kstest

    orders = Counter(tuple(shuffled(np.arange(4), 4, key=key_of(seed)).tolist()) for seed in range(960))
    assert len(orders) == 24
    assert chisquare(list(orders.values())).pvalue > 1e-4
    size = 100_003
    row = shuffled(np.arange(size), size, key=key_of(7))
    assert kstest(np.diff(row) % size / size, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(np.arange(size), row)[0, 1]) < 4 / size**0.5


def test_a_permutation_needs_no_row_of_its_own():
    places = np.array([0, 1, 2**61, 2**62 - 1])
    found = shuffled(places, 2**62, key=key_of(0))
    assert len(set(found.tolist())) == 4
    assert ((found >= 0) & (found < 2**62)).all()
