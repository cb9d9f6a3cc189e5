"""Preparation: no leakage, the same bytes after any kill, refusals in words."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaletrain import preparing, token_files
from scaletrain.corpora import Corpus
from scaletrain.preparing import prepare, split_of

SOURCE = str(Path(preparing.__file__).parents[1])


class Texts:
    """Documents of several parts from a list of lists."""

    def __init__(self, *parts, name="texts"):
        self.lists = parts
        self.parts = tuple(f"part {number}" for number in range(len(parts)))
        self.description = {"kind": "list", "name": name, "revision": str(hash(parts))}

    def read(self, part, skip):
        yield from self.lists[part][skip:]


def documents_of(count, seed=0):
    draw = random.Random(seed)
    return tuple(" ".join(draw.choice(["to", "be", "or", "not", "é🙂"]) for _ in range(draw.randrange(1, 40)))
                 for _ in range(count))  # fmt: skip


SOME = Texts(documents_of(150), (), (*documents_of(60, seed=1), " ", "", "\n"), ("end",))


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def decoded(corpus, split):
    """Texts of the documents of a split."""
    part, tokenizer = corpus.split(split), corpus.tokenizer()
    assert (part.tokens[part.documents[1:] - 1] == corpus.vocabulary - 1).all()
    return [
        tokenizer.decode(part.tokens[low : high - 1])
        for low, high in zip(part.documents, part.documents[1:], strict=False)
    ]


def all_of(source):
    return [text for part in source.lists for text in part if text.strip()]


def test_every_document_is_in_one_split_in_its_order(tmp_path):
    corpus, notes = prepare(SOME, tmp_path, tokenizer="byte", test_share=0.3, note=(notes := []).append), notes
    wanted = {"train": [], "test": []}
    for text in all_of(SOME):
        wanted[split_of(text, seed=0, test_share=0.3)].append(text)
    assert {split: decoded(corpus, split) for split in wanted} == wanted
    assert corpus.manifest["documents"] == {split: len(texts) for split, texts in wanted.items()}
    assert corpus.manifest["bytes"] == {
        split: sum(len(text.encode()) for text in texts) for split, texts in wanted.items()
    }
    assert corpus.manifest["tokens"] == {
        split: corpus.manifest["bytes"][split] + len(texts) for split, texts in wanted.items()
    }
    assert 40 < len(wanted["test"]) < 90  # of 211 at 0.3: within 3 standard deviations
    assert corpus.manifest["empty_documents"] == 3
    assert notes == ["3 empty documents were left out."]


def test_no_document_and_no_copy_of_it_is_in_both_splits(tmp_path):
    base = documents_of(80, seed=2)
    copies = tuple(f"\r\n {text.replace(' ', '  ')}\t" for text in base)
    corpus = prepare(Texts(base, copies, base), tmp_path, tokenizer="byte", test_share=0.5)
    train, test = ({" ".join(text.split()) for text in decoded(corpus, split)} for split in ("train", "test"))
    assert train
    assert test
    assert not train & test
    assert train | test == set(base)


@given(st.text(), st.integers(0, 2**32 - 1))
def test_the_split_is_a_function_of_words_and_seed(text, seed):
    text = text.encode(errors="ignore").decode()
    assert split_of(text, seed=seed, test_share=0.5) == split_of(f" {text}\n", seed=seed, test_share=0.5)
    if split_of(text, seed=seed, test_share=0.2) == "test":  # a larger share holds the smaller one
        assert split_of(text, seed=seed, test_share=0.6) == "test"


def test_the_share_is_kept_and_seeds_differ():
    texts = [f"document {number}" for number in range(20_000)]
    first, second = (
        np.array([split_of(text, seed=seed, test_share=0.1) == "test" for text in texts]) for seed in (0, 1)
    )
    error = (0.1 * 0.9 / 20_000) ** 0.5
    assert abs(first.mean() - 0.1) < 4 * error
    assert abs((first & second).mean() - 0.01) < 4 * (0.01 / 20_000) ** 0.5  # independent of each other


def test_a_bpe_is_trained_on_the_train_split_alone(tmp_path):
    pytest.importorskip("tokenizers")
    base = documents_of(100, seed=3)
    odd = {
        text: f"{text} zqzqzqzqzq" for text in base if split_of(f"{text} zqzqzqzqzq", seed=0, test_share=0.3) == "test"
    }
    assert len(odd) > 5
    source = Texts(tuple(odd.get(text, text) for text in base))
    corpus = prepare(source, tmp_path, tokenizer="bpe:300", test_share=0.3)
    learnt = json.loads((tmp_path / "tokenizer.json").read_bytes())["model"]["vocab"]
    assert "not" in learnt
    assert "zq" not in learnt
    train = [text for text in source.lists[0] if split_of(text, seed=0, test_share=0.3) == "train"]
    assert corpus.tokenizer().digest == preparing.TrainedBpe(preparing.train_bpe(train, size=300), size=300).digest
    assert decoded(corpus, "test") == [text for text in source.lists[0] if text not in train]


def test_the_first_documents_are_as_many_as_asked_for(tmp_path):
    for count in (60, 100, 150, 180, 1000):
        corpus = prepare(SOME, tmp_path / str(count), tokenizer="byte", test_share=0.4, documents=count)
        wanted = all_of(SOME)[:count]
        found = {split: decoded(corpus, split) for split in ("train", "test")}
        assert found["test"] == [text for text in wanted if split_of(text, seed=0, test_share=0.4) == "test"]
        assert len(found["train"]) + len(found["test"]) == len(wanted)


def test_a_bpe_of_the_first_documents_sees_no_more(tmp_path):
    pytest.importorskip("tokenizers")
    some = Texts(SOME.lists[0][:50])
    one = prepare(SOME, tmp_path / "a", tokenizer="bpe:280", documents=50, test_share=0.3)
    two = prepare(some, tmp_path / "b", tokenizer="bpe:280", test_share=0.3)
    assert one.tokenizer().digest == two.tokenizer().digest
    assert (one.tokens == two.tokens).all()


class KilledError(BaseException):
    """What nothing catches."""


@pytest.mark.parametrize("tokenizer", ["byte", "bpe:300"])
def test_a_kill_at_any_step_leaves_no_trace(tmp_path, monkeypatch, tokenizer):
    """Killed before step k, gone on, killed before its step k // 3, gone on to the end; for every k there is."""
    if tokenizer != "byte":
        pytest.importorskip("tokenizers")
    monkeypatch.setattr(token_files, "AT_ONCE", 2500)
    monkeypatch.setattr(token_files, "CHUNK", 64)
    options = {"tokenizer": tokenizer, "test_share": 0.3}
    prepare(SOME, tmp_path / "undisturbed", **options)
    wanted, left = contents(tmp_path / "undisturbed"), [0]

    def counted(real):
        def step(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise KilledError
            return real(*arguments, **options)

        return step

    for module, name in (
        (token_files, "flush_out"), (token_files, "write_whole"), (preparing, "flush_out"), (preparing, "write_whole"),
        (preparing, "_described"), (preparing, "tidy"), (preparing, "write_offsets"), (Path, "unlink"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    killed, steps = True, 0
    while killed:
        folder, killed = tmp_path / str(steps), False
        for left[0] in (steps, steps // 3, 10**6):
            try:
                prepare(SOME, folder, **options)
            except KilledError:
                killed = True
                if not (folder / "manifest.json").exists():
                    with pytest.raises((ValueError, OSError), match="holds no"):
                        Corpus.read(folder)
        assert contents(folder) == wanted
        steps += 1
    assert steps > 30


def test_a_process_that_is_killed_again_and_again_ends_with_the_same_bytes(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("\n".join(documents_of(4000)), encoding="utf-8")
    code = (
        "import sys, time\nfrom scaletrain import token_files\nfrom scaletrain.preparing import prepare\n"
        "token_files.AT_ONCE = 5000\n"
        "prepare(sys.argv[1], sys.argv[2], tokenizer='byte', separator='\\n',"
        " progress=lambda *_: time.sleep(float(sys.argv[3])))"
    )
    environment = os.environ | {"PYTHONPATH": SOURCE}

    def start(folder, pause):
        return subprocess.Popen([sys.executable, "-c", code, words, folder, str(pause)], env=environment)

    assert start(tmp_path / "undisturbed", 0).wait(60) == 0
    folder, seen = tmp_path / "killed", 0
    for _ in range(3):
        process, deadline = start(folder, 1e-3), time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.02)
            state = folder / "preparing.json"
            done = json.loads(state.read_bytes())["documents"]["train"] if state.exists() else 0
            if done > seen:
                break
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        assert done > seen  # it went on from where it was
        seen = done
    assert not (folder / "manifest.json").exists()
    assert start(folder, 0).wait(60) == 0
    assert contents(folder) == contents(tmp_path / "undisturbed")


def test_what_is_prepared_already_is_left_as_it_is(tmp_path):
    prepare(SOME, tmp_path, tokenizer="byte")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    notes = []
    assert prepare(SOME, tmp_path, tokenizer="byte", note=notes.append).digest == Corpus.read(tmp_path).digest
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert "holds this corpus already" in notes[0]


OTHERS = [
    ({"seed": 1}, "split seed is 0, not 1"),
    ({"test_share": 0.2}, r"split test_share is 0.1, not 0.2"),
    ({"documents": 50}, "source first_documents is None, not 50"),
    ({"tokenizer": "bpe:300"}, "tokenizer name is 'byte', not 'bpe:300'"),
    ({"source": Texts(documents_of(30, seed=9))}, "source revision is "),
]


@pytest.mark.parametrize(("other", "words"), OTHERS)
def test_another_corpus_in_the_folder_is_refused(tmp_path, other, words):
    prepare(SOME, tmp_path, tokenizer="byte")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=f"holds a corpus whose .*{words}.*another folder, or delete"):
        prepare(
            other.get("source", SOME),
            tmp_path,
            **{"tokenizer": "byte", **{k: v for k, v in other.items() if k != "source"}},
        )
    assert contents(tmp_path) == before


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A folder in which half a preparation is."""
    monkeypatch.setattr(token_files, "AT_ONCE", 700)

    def stop(part, documents, tokens):
        if documents > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(SOME, tmp_path, tokenizer="byte", progress=stop)
    return tmp_path


@pytest.mark.parametrize(("other", "words"), OTHERS)
def test_another_interrupted_preparation_in_the_folder_is_refused(interrupted, other, words):
    before = contents(interrupted)
    with pytest.raises(ValueError, match=f"holds an interrupted preparation whose .*{words}"):
        prepare(
            other.get("source", SOME),
            interrupted,
            **{"tokenizer": "byte", **{k: v for k, v in other.items() if k != "source"}},
        )
    assert contents(interrupted) == before


def test_going_on_is_said_and_begins_where_it_was(interrupted):
    notes, seen = [], []
    prepare(
        SOME, interrupted, tokenizer="byte", note=notes.append, progress=lambda part, count, tokens: seen.append(count)
    )
    done = int(notes[0].split("after ")[1].split()[0])
    assert 50 < done <= 101
    assert seen == list(range(done + 1, 212))
    assert {path.name for path in interrupted.iterdir()} == {"tokens.bin", "documents.bin", "manifest.json"}


def test_damaged_states_are_refused(interrupted):
    path, content = interrupted / "preparing.json", (interrupted / "preparing.json").read_text()
    with (interrupted / "tokens.bin").open("r+b") as stream:
        stream.truncate(10)
    with pytest.raises(ValueError, match=r"tokens.bin has 10 bytes, and preparing.json says \d+"):
        prepare(SOME, interrupted, tokenizer="byte")
    path.write_text(content.replace('"tokenizer": "', '"tokenizer": "0'))
    with pytest.raises(ValueError, match="was begun with another byte: its hash"):
        prepare(SOME, interrupted, tokenizer="byte")
    for wrong in ("{", "[]", '{"settings": 3, "tokenizer": "a"}', '{"what": 3}'):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="no state of a preparation"):
            prepare(SOME, interrupted, tokenizer="byte")


def test_what_has_not_begun_binds_nobody(tmp_path):
    class Broken(Texts):
        def read(self, part, skip):
            raise OSError("no network")

    pytest.importorskip("tokenizers")
    with pytest.raises(OSError, match="no network"):
        prepare(Broken((), name="other"), tmp_path, tokenizer="bpe:300")
    assert prepare(SOME, tmp_path, tokenizer="byte").vocabulary == 257


def test_files_of_others_are_not_written_over(tmp_path):
    (tmp_path / "tokens.bin").write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"holds tokens.bin, but no preparation. Choose another folder"):
        prepare(SOME, tmp_path, tokenizer="byte")
    assert contents(tmp_path) == {"tokens.bin": b"precious"}


def test_two_processes_do_not_prepare_one_folder(tmp_path):
    pytest.importorskip("fcntl")

    def second(*_):
        with pytest.raises(ValueError, match="another process is preparing"):
            prepare(SOME, tmp_path, tokenizer="byte")
        raise KilledError

    with pytest.raises(KilledError):
        prepare(SOME, tmp_path, tokenizer="byte", progress=second)
    assert prepare(SOME, tmp_path, tokenizer="byte").documents.size == 212


def test_too_little_text_is_refused_and_leaves_nothing(tmp_path):
    folder = tmp_path / "corpus"
    with pytest.raises(ValueError, match=r"texts holds no documents with text \(2 are empty\)"):
        prepare(Texts((" ", "")), folder, tokenizer="byte")
    assert contents(folder) == {}
    for share, split in ((1e-9, "test"), (1 - 1e-9, "train")):
        with pytest.raises(
            ValueError, match=f"none of the 3 documents of texts falls in the {split} split at test_share"
        ):
            prepare(Texts(("a", "b", "c")), folder, tokenizer="byte", test_share=share)
        assert contents(folder) == {}


@pytest.mark.parametrize(("options", "words"), [
    ({"test_share": 0}, "test_share must be"), ({"test_share": 1.0}, "test_share must be"),
    ({"test_share": float("nan")}, "test_share must be"), ({"test_share": "a"}, "test_share must be"),
    ({"seed": -1}, "seed must be"), ({"seed": 2**32}, "seed must be"), ({"documents": 1}, "documents must be"),
    ({"separator": "a"}, "separator is for"), ({"tokenizer": "gpt9"}, "no tokenizer"),
])  # fmt: skip
def test_impossible_options_are_refused_before_anything_is_written(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        prepare(SOME, tmp_path / "corpus", **options)
    assert not (tmp_path / "corpus").exists()


def test_a_corpus_does_not_lie_in_its_source(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    for folder in (tmp_path, tmp_path / "corpus"):
        with pytest.raises(ValueError, match="lies in the source"):
            prepare(tmp_path, folder, tokenizer="byte")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("a")
    for folder in (tmp_path / "file", tmp_path / "file" / "corpus"):
        with pytest.raises(OSError, match=r"is no folder, or lies in a file|could not be made"):
            prepare(SOME, folder, tokenizer="byte")


def test_a_full_disk_is_said_and_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "AT_ONCE", 700)

    def full(stream):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(token_files, "flush_out", full)
        with pytest.raises(OSError, match=r"could not be written to \(No space left on device\). Make room"):
            prepare(SOME, tmp_path / "one", tokenizer="byte")
    prepare(SOME, tmp_path / "one", tokenizer="byte")
    prepare(SOME, tmp_path / "two", tokenizer="byte")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_files_of_every_kind_make_one_corpus(tmp_path):
    texts = list(documents_of(60, seed=4))
    (tmp_path / "a.txt").write_text("%".join(texts), encoding="utf-8")
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    one, two = (
        prepare(tmp_path / name, tmp_path / f"{name}.corpus", tokenizer="byte", separator="%")
        for name in ("a.txt", "a.jsonl")
    )
    assert (one.tokens == two.tokens).all()
    assert (one.documents == two.documents).all()
    assert one.digest != two.digest


def test_tokens_are_wide_where_the_vocabulary_is(tmp_path, monkeypatch):
    monkeypatch.setattr(preparing.Bytes, "vocabulary", 70_000)
    corpus = prepare(SOME, tmp_path, tokenizer="byte")
    assert corpus.tokens.dtype == np.uint32
    assert corpus.tokens.max() == 69_999
