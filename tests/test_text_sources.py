"""Sources of text: every kind of file, any document to go on at, bad bytes with their place, no network."""

import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaletrain import text_sources
from scaletrain.text_sources import HubSource, source_of


def texts(source, part=0, skip=0):
    return list(source.read(part, skip))


def write_parquet(path, column, name="text"):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({name: column}), path)
    return path


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


DOCUMENTS = ["one", "", "drei 🙂\r\n", " four\n"]


def test_every_kind_of_file_gives_the_same_documents(tmp_path):
    lines = write_lines(tmp_path / "a.jsonl", [{"text": text, "id": 3} for text in DOCUMENTS])
    table = write_parquet(tmp_path / "a.parquet", DOCUMENTS)
    words = tmp_path / "a.txt"
    words.write_bytes("%%".join(DOCUMENTS).encode())
    for source in (source_of(lines), source_of(table), source_of(words, separator="%%")):
        for skip in range(6):
            assert texts(source, skip=skip) == DOCUMENTS[skip:]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.txt").write_text("second")
    (tmp_path / "a.md").write_text("first")
    (tmp_path / ".hidden").write_bytes(b"\xff")
    write_lines(tmp_path / "c.jsonl", [{"text": "third"}, {"text": "fourth"}])
    source = source_of(tmp_path)
    assert [texts(source, part) for part in range(3)] == [["first"], ["second"], ["third", "fourth"]]
    assert len(source.parts) == 3
    assert source.description["kind"] == "folder"
    assert source.description["name"] == tmp_path.name


def test_the_revision_is_that_of_names_and_contents_not_of_the_place(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("text")
    first = source_of(tmp_path / "one").description["revision"]
    assert source_of(tmp_path / "two").description["revision"] == first
    (tmp_path / "two" / "a.txt").write_text("Text")
    assert source_of(tmp_path / "two").description["revision"] != first
    (tmp_path / "two" / "a.txt").rename(tmp_path / "two" / "b.txt")
    (tmp_path / "two" / "b.txt").write_text("text")
    assert source_of(tmp_path / "two").description["revision"] != first


@given(text=st.text("ab", max_size=40), separator=st.text("ab", min_size=1, max_size=4), chunk=st.integers(1, 9))
def test_pieces_of_a_file_are_split_as_the_whole(text, separator, chunk):
    pieces = [text[first : first + chunk] for first in range(0, len(text), chunk)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_sources, "_decoded", lambda path: iter(pieces))
        assert list(text_sources._text("letters.txt", separator)) == text.split(separator)


@pytest.mark.parametrize("chunk", [4, 5, 7, 1 << 20])
def test_letters_and_separators_across_chunks_are_whole(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(text_sources, "CHUNK", chunk)
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "äöü🙂<end>漢字<end>x".encode())
    assert texts(source_of(path)) == ["äöü🙂<end>漢字<end>x"]
    assert texts(source_of(path, separator="<end>")) == ["äöü🙂", "漢字", "x"]


@pytest.mark.parametrize("chunk", [4, 6, 1 << 20])
@pytest.mark.parametrize(
    ("content", "offset"), [(b"caf\xe9 au lait", 3), (b"12345\xe6\xbc", 5), ("ä".encode() + b"\xff", 2)]
)
def test_undecodable_bytes_have_a_place_and_a_remedy(tmp_path, monkeypatch, chunk, content, offset):
    monkeypatch.setattr(text_sources, "CHUNK", chunk)
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"a\.txt is no text in UTF-8 \(.* at byte {offset}\)\. Save it in UTF-8 .*iconv"
    ):
        texts(source_of(path))


def test_undecodable_bytes_in_lines_have_a_place_too(tmp_path):
    path = tmp_path / "a.jsonl"
    first = b'\xef\xbb\xbf{"text": "one"}\n'
    path.write_bytes(first + b'{"text": "caf\xe9"}\n')
    with pytest.raises(ValueError, match=rf"at byte {len(first) + 13}\)"):
        texts(source_of(path))
    path.write_bytes(b'\xef\xbb\xbf{"\xe9": ""}\n')
    with pytest.raises(ValueError, match=r"at byte 5\)"):
        texts(source_of(path))


@pytest.mark.parametrize("row", ['{"words": "a"}', '{"text": null}', '{"text": ["a"]}', '["text"]', "7"])
def test_a_line_without_text_is_named(tmp_path, row):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "fine"}}\n\n{row}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 3 has no text: an object with a field 'text'.* Rename"):
        texts(source_of(path))


def test_what_is_no_json_and_no_letter_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n{"text": \n')
    with pytest.raises(ValueError, match="line 2 is no JSON"):
        texts(source_of(path))
    path.write_text('{"text": "\\ud83d\\ude42"}\n{"text": "ab\\ud83d"}\n')
    with pytest.raises(ValueError, match="line 2: half a surrogate pair at letter 2"):
        texts(source_of(path))


def test_bad_parquet_is_named(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", ["a"], name="words")
    with pytest.raises(ValueError, match="has no column 'text'; it has words"):
        texts(source_of(path))
    with pytest.raises(ValueError, match="row 1: text is None, not a string"):
        texts(source_of(write_parquet(path, ["a", None])))
    path.write_bytes(b"PAR1 is not enough")
    with pytest.raises(ValueError, match="is no Parquet file"):
        texts(source_of(path))


def test_sources_that_are_none_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder .*nothing"):
        source_of(tmp_path / "nothing")
    with pytest.raises(ValueError, match="holds no files"):
        source_of(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    for separator in ("", 3):
        with pytest.raises(ValueError, match="separator must be"):
            source_of(tmp_path, separator=separator)
    with pytest.raises(ValueError, match="separator is for text files"):
        source_of("fineweb-edu", separator="\n")
    for spec in ("fineweb-edu:", "fineweb-edu@", "fineweb-education"):
        with pytest.raises(ValueError, match=r"is no source: fineweb-edu\[:FOLDER\]\[@REVISION\]"):
            source_of(spec)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder in the place of the hub: its list of files is ours, the streaming is that of `datasets`."""
    pytest.importorskip("datasets")
    import huggingface_hub

    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "hub" / "fineweb-edu"
    (folder / "sample/10BT").mkdir(parents=True)
    names = [f"sample/10BT/00{number}.parquet" for number in (1, 0)]
    for number, name in enumerate(names):
        write_parquet(folder / name, [f"document {number}.{row}" for row in range(5)])
    asked = []

    def dataset_info(_, repo, revision=None):
        asked.append((repo, revision))
        listed = [*names, "README.md", "sample/100BT/000.parquet"]
        return SimpleNamespace(sha="c0ffee", siblings=[SimpleNamespace(rfilename=name) for name in listed])

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr(text_sources, "FINEWEB", str(folder))
    return asked


def test_fineweb_is_streamed_file_by_file(hub):
    source = source_of("fineweb-edu@main")
    assert hub == [(text_sources.FINEWEB, "main")]
    assert source.parts == ("sample/10BT/000.parquet", "sample/10BT/001.parquet")
    assert source.description == {
        "kind": "hub", "name": "fineweb-edu", "folder": "sample/10BT", "revision": "c0ffee",
    }  # fmt: skip
    assert texts(source, 0) == [f"document 1.{row}" for row in range(5)]
    assert texts(source, 1, skip=3) == ["document 0.3", "document 0.4"]


def test_a_folder_that_the_hub_lacks_is_named(hub):
    with pytest.raises(OSError, match="has no Parquet files in 'sample/1BT'"):
        source_of("fineweb-edu:sample/1BT")


def test_no_network_is_one_clear_error(monkeypatch):
    pytest.importorskip("datasets")
    import huggingface_hub

    def unreachable(*_, **__):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    with pytest.raises(OSError, match=r"huggingface.co \(RuntimeError: no route to host\). This source needs network"):
        source_of("fineweb-edu")


def test_a_stream_that_breaks_is_the_same_error(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def broken(*_, **__):
        raise ValueError("reset by peer")

    monkeypatch.setattr(datasets, "load_dataset", broken)
    with pytest.raises(OSError, match=r"reset by peer.*a preparation goes on"):
        texts(HubSource("a/b", "c0ffee", "data", ("data/0.parquet",)))


@pytest.mark.parametrize(("package", "spec"), [("datasets", "fineweb-edu"), ("pyarrow", "a.parquet")])
def test_a_package_that_lacks_is_named_with_the_remedy(tmp_path, monkeypatch, package, spec):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"need\w* {package}, the extra .*pip install '.\[text\]'"):
        texts(source_of(spec))
