"""Counts of n-grams: against a Counter, whatever the pieces; thresholds, entropies by order, files, memory."""

import subprocess
import sys
from collections import Counter
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaletrain import ngram_counts as room
from scaletrain.ngram_counts import NgramCounts, count_ngrams

TEXT = np.random.default_rng(0).integers(0, 5, 400) ** 2 // 5  # 0 to 3, uneven


def by_hand(documents, order, skip):
    reach = (order - 1) * skip
    return Counter(tuple(one[i : i + reach + 1 : skip]) for one in documents for i in range(len(one) - reach))


def joined(documents):
    bounds = np.concatenate([[0], np.cumsum([len(one) for one in documents])]).astype(np.int64)
    return np.array([token for one in documents for token in one], dtype=np.uint16), bounds


corpora = st.lists(st.lists(st.integers(0, 4), max_size=12), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(corpora, st.integers(2, 4), st.integers(1, 3), st.integers(1, 20))
def test_counts_are_those_of_a_counter_in_any_pieces(documents, order, skip, at_once):
    expected = by_hand(documents, order, skip)
    tokens, bounds = joined(documents)
    with mock.patch.object(room, "AT_ONCE", at_once):
        if not expected:
            with pytest.raises(ValueError, match="takes"):
                count_ngrams(tokens, bounds, order=order, vocabulary=5, skip=skip)
            return
        found = count_ngrams(tokens, bounds, order=order, vocabulary=5, skip=skip)
    assert dict(zip(map(tuple, found.grams.tolist()), found.counts.tolist(), strict=True)) == expected
    assert np.all(np.diff(found.keys) > 0)
    assert (found.seen, found.distinct, found.total) == (expected.total(), len(expected), expected.total())


@settings(max_examples=100, deadline=None)
@given(corpora.filter(lambda documents: max(map(len, documents)) >= 4))
def test_entropies_are_those_of_conditional_laws_and_never_rise(documents):
    found = count_ngrams(*joined(documents), order=4, vocabulary=5).entropies()
    grams = by_hand(documents, 4, 1)
    for k in range(1, 5):
        pairs, contexts = Counter(), Counter()
        for gram, often in grams.items():
            pairs[gram[4 - k :]] += often
            contexts[gram[4 - k : 3]] += often
        expected = sum(often * np.log(contexts[gram[:-1]] / often) for gram, often in pairs.items()) / grams.total()
        assert found[k - 1] == pytest.approx(expected, abs=1e-13)
    assert np.all(np.diff(found) <= 1e-13)  # of rounding
    assert np.all(found >= 0)


def test_entropies_of_counts_of_different_orders_may_rise():
    """Why all orders are read from the same n-grams: those of short documents are in the lower orders alone."""
    short = [[0, 1]] * 1000
    long = [[a, b, c] for a in range(4) for b in range(4) for c in range(4)]
    second, third = (count_ngrams(*joined(short + long), order=order, vocabulary=4) for order in (2, 3))
    assert third.entropies()[2] > second.entropies()[1] + 0.5
    assert np.all(np.diff(third.entropies()) <= 1e-13)


def test_nothing_crosses_from_one_document_to_the_next():
    tokens, bounds = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 2, 2, 4, 6])  # the second is empty
    assert count_ngrams(tokens, bounds, order=2, vocabulary=3).grams.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert len(count_ngrams(tokens, order=2, vocabulary=3).keys) == 5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.int64])
def test_tokens_may_lie_in_a_memmap_of_any_whole_numbers(tmp_path, dtype):
    TEXT.astype(dtype).tofile(tmp_path / "tokens")
    found = count_ngrams(np.memmap(tmp_path / "tokens", dtype=dtype, mode="r"), order=3, vocabulary=4)
    assert found.digest == count_ngrams(TEXT, order=3, vocabulary=4).digest


def test_a_threshold_leaves_out_what_is_seldom_and_says_how_much():
    counts = count_ngrams(TEXT, order=4, vocabulary=4)
    for threshold in (0, 1, 3):
        kept = counts.above(threshold)
        often = counts.counts > threshold
        np.testing.assert_array_equal(kept.grams, counts.grams[often])
        np.testing.assert_array_equal(kept.counts, counts.counts[often])
        assert kept.lost == pytest.approx(1 - counts.counts[often].sum() / 397, abs=1e-15)
        assert (kept.seen, kept.distinct) == (397, len(counts.keys))
    assert counts.above().threshold == 1
    assert counts.above(3).above(1).threshold == 3
    assert repr(count_ngrams(np.array([0, 1, 0, 1, 0, 0]), order=2, vocabulary=2).above(1)) == (
        "2-grams of 2 tokens: 2 different, 4 in all; 1 that occur at most once are left out, 20 % of all"
    )


def test_digests_tell_counts_apart():
    made = [count_ngrams(TEXT, order=order, vocabulary=V, skip=skip)
            for order, V, skip in ((2, 4, 1), (3, 4, 1), (2, 5, 1), (2, 4, 2))]  # fmt: skip
    assert len({one.digest for one in [*made, made[0].above(2)]}) == 5


def test_files_give_the_counts_back(tmp_path):
    counts = count_ngrams(TEXT, order=3, vocabulary=4, skip=2).above(2)
    counts.save(tmp_path / "counts.npz")
    again = NgramCounts.load(tmp_path / "counts.npz")
    assert again.digest == counts.digest
    assert repr(again) == repr(counts)
    assert [path.name for path in tmp_path.iterdir()] == ["counts.npz"]


def altered(path, **changes):
    with np.load(path) as file:
        content = {**file, **changes}
    np.savez(path, **{name: value for name, value in content.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keys": None}, "keys is not a file in the archive"),
        ({"format": np.int64(9)}, "its format is 9, but this version reads 1"),
        ({"keys": np.array([[1]], dtype=object)}, "Object arrays cannot be loaded when allow_pickle=False"),
        ({"keys": np.array([3, 2])}, "do not rise"),
        ({"keys": np.array([-1, 2])}, "not in the vocabulary"),
        ({"keys": np.array([0, 4])}, "not in the vocabulary"),
        ({"keys": np.array([0.0, 1.0])}, "float64"),
        ({"keys": np.array([0, 1, 2])}, "3 n-grams and 2 counts"),
        ({"counts": np.array([0, 2])}, "do not fit together"),
        ({"seen": np.int64(2)}, "do not fit together"),
        ({"order": np.int64(1)}, "order must be a whole number from 2 on, not 1"),
        ({"skip": np.array([1, 2])}, "holds no counts"),
    ],
)  # fmt: skip
def test_files_that_hold_no_counts_are_refused(tmp_path, changes, words):
    path = tmp_path / "counts.npz"
    count_ngrams(np.array([0, 1, 0, 1]), order=2, vocabulary=2).save(path)
    altered(path, **changes)
    with pytest.raises(ValueError, match=f"holds no counts of n-grams.*{words}" if "holds" not in words else words):
        NgramCounts.load(path)


def test_what_is_no_file_of_counts_at_all_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        NgramCounts.load(tmp_path / "none.npz")
    path = tmp_path / "counts.npz"
    count_ngrams(TEXT, order=2, vocabulary=4).save(path)
    whole = path.read_bytes()
    for content in (b"", b"words", whole[:-30], whole[:200]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="holds no counts of n-grams"):
            NgramCounts.load(path)
    np.save(tmp_path / "array.npy", np.arange(3))
    with pytest.raises(ValueError, match="holds no counts of n-grams"):
        NgramCounts.load(tmp_path / "array.npy")


BOUNDS = "documents must be whole numbers that rise from 0 to the 400 tokens"


@pytest.mark.parametrize(
    ("tokens", "documents", "numbers", "words"),
    [
        (TEXT, None, {"order": 1}, "order must be a whole number from 2 on, not 1"),
        (TEXT, None, {"order": 2.0}, "order must be a whole number from 2 on, not 2.0"),
        (TEXT, None, {"skip": 0}, "skip must be a whole number from 1 on, not 0"),
        (TEXT, None, {"vocabulary": 0}, "vocabulary must be a whole number from 1 on, not 0"),
        (TEXT, None, {"vocabulary": 50257, "order": 5}, r"are 2\^63 or more. Count at most 4-grams"),
        (TEXT, None, {"vocabulary": 512, "order": 7}, r"are 2\^63 or more. Count at most 6-grams"),  # 2^63 itself
        (TEXT, [1, 400], {}, BOUNDS),
        (TEXT, [0, 399], {}, BOUNDS),
        (TEXT, [0, 300, 200, 400], {}, BOUNDS),
        (TEXT, [0.0, 400.0], {}, BOUNDS),
        (TEXT, 400, {}, BOUNDS),
        (TEXT / 2, None, {}, r"tokens are whole numbers in a row, not float64 of the shape \(400,\)"),
        (TEXT.reshape(2, 200), None, {}, r"not int64 of the shape \(2, 200\)"),
        (TEXT[:4], None, {"order": 3, "skip": 2}, "takes 5 tokens .* the longest of the 1 documents has 4"),
        (TEXT[:4], [0, 1, 2, 4], {"order": 3}, "takes 3 tokens .* the longest of the 3 documents has 2"),
        (TEXT[:0], None, {}, "the longest of the 1 documents has 0"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(tokens, documents, numbers, words):
    with pytest.raises(ValueError, match=words):
        count_ngrams(tokens, documents, **{"order": 2, "vocabulary": 4, **numbers})


@pytest.mark.parametrize("at_once", [3, 1000])
@pytest.mark.parametrize(
    ("position", "token", "again"), [(0, 4, 0), (7, 9, 2), (399, 4, 0), (200, -1, 1)]
)  # fmt: skip
def test_tokens_outside_the_vocabulary_are_named_with_their_position(monkeypatch, at_once, position, token, again):
    monkeypatch.setattr(room, "AT_ONCE", at_once)
    bad = TEXT.copy()
    bad[position] = token
    bad[300 : 300 + again] = 77
    words = rf"token {token} at position {position} .* vocabulary of 4, .* 0 to 3 \({1 + again} such tokens\)"
    with pytest.raises(ValueError, match=words):
        count_ngrams(bad, order=2, vocabulary=4)


@pytest.mark.parametrize(("threshold", "words"), [
    (-1, "threshold must be a whole number from 0 on, not -1"),
    (1.5, "threshold must be a whole number"),
    (10**6, "no 2-gram occurs more than 1000000 times; the most frequent one occurs .* Lower the threshold"),
])  # fmt: skip
def test_bad_thresholds_are_refused(threshold, words):
    with pytest.raises(ValueError, match=words):
        count_ngrams(TEXT, order=2, vocabulary=4).above(threshold)


PEAK = """
import resource, sys
import numpy as np
from scaletrain import ngram_counts
ngram_counts.AT_ONCE = 1 << 18
count, vocabulary = int(sys.argv[1]), int(sys.argv[2])
np.random.default_rng(0).integers(0, vocabulary, count, dtype=np.uint16).tofile(sys.argv[3])
found = ngram_counts.count_ngrams(np.memmap(sys.argv[3], dtype=np.uint16, mode="r"), order=2, vocabulary=vocabulary)
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(found.keys))
"""


def peak(tmp_path, tokens, vocabulary):
    """Peak resident memory of a process that counts bigrams, bytes, and how many different ones there are."""
    argv = [sys.executable, "-c", PEAK, str(tokens), str(vocabulary), str(tmp_path / "tokens")]
    made = subprocess.run(argv, capture_output=True, text=True, check=True)
    return map(int, made.stdout.split())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are in other units elsewhere")
def test_memory_grows_with_the_different_bigrams_and_not_with_the_tokens(tmp_path):
    small, few = peak(tmp_path, 1 << 20, 50_257)
    large, many = peak(tmp_path, 1 << 22, 50_257)
    assert (large - small) / (many - few) < 40  # bytes: 25 of keys and counts that are merged, 2 of the tokens, slack
    short, few = peak(tmp_path, 1 << 20, 256)
    long, same = peak(tmp_path, 1 << 23, 256)
    assert same == few == 256**2
    assert long - short < 4 * 7 * 2**20  # of the tokens themselves, 2 bytes each, and slack
