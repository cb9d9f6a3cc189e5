"""`scaletrain text`: what it prints, its exit codes, going on after an interruption, hostile input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from typer.testing import CliRunner

from scaletrain import text_command, token_files
from scaletrain.corpora import Corpus

SOURCE = str(Path(text_command.__file__).parents[1])


def run(*arguments, **environment):
    environment = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", **environment}
    return CliRunner().invoke(text_command.text_app, [str(one) for one in arguments], env=environment)


def message(result):
    """The one line on stderr of a run that failed with exit code 1."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture
def documents(tmp_path):
    """Python's own documentation, a topic a document."""
    path = tmp_path / "topics.jsonl"
    path.write_text("\n".join(json.dumps({"text": topics[name]}) for name in sorted(topics)))
    return path


def test_what_was_prepared_is_said_and_shown(documents, tmp_path):
    pytest.importorskip("tokenizers")
    result = run("prepare", documents, "-o", tmp_path / "corpus", "--tokenizer", "bpe:512", "--documents", 40)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    corpus = Corpus.read(tmp_path / "corpus")
    words = " ".join(result.stdout.split())
    for told in (
        f"OK topics-bpe512: {len(corpus.tokens):,} tokens", "source file topics, its first 40 documents",
        "bpe:512, 512 tokens", f"test {corpus.manifest['documents']['test']} documents", "bytes per token",
        corpus.digest[:40],
    ):  # fmt: skip
        assert told in words
    shown = run("show", tmp_path / "corpus")
    assert shown.exit_code == 0
    assert shown.stdout == result.stdout
    sample = " ".join(run("show", tmp_path / "corpus", "--sample", 1).stdout.split())
    test = corpus.split("test")
    text = corpus.tokenizer().decode(test.tokens[: test.documents[1] - 1])
    assert f"document 0 {' '.join(text[:60].encode('unicode_escape').decode().split())}" in sample
    content = json.loads(run("show", tmp_path / "corpus", "--json").stdout)
    assert content == corpus.manifest


def test_separators_of_the_shell_are_those_of_python(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"line {number}" for number in range(50)))
    assert run("prepare", path, "-o", tmp_path / "corpus", "--tokenizer", "byte", "--separator", r"\n").exit_code == 0
    assert len(Corpus.read(tmp_path / "corpus").documents) == 51


def test_bad_input_is_one_line(documents, tmp_path):
    corpus = tmp_path / "corpus"
    assert "there is no file or folder" in message(run("prepare", tmp_path / "none", "-o", corpus))
    assert "there is no tokenizer" in message(run("prepare", documents, "-o", corpus, "--tokenizer", "words"))
    assert "test_share" in message(run("prepare", documents, "-o", corpus, "--test-share", 2))
    assert "holds no corpus" in message(run("show", corpus))
    documents.write_text('{"text": "a"}\n{"txt": "b"}\n')
    assert "line 2 has no text" in message(run("prepare", documents, "-o", corpus, "--tokenizer", "byte"))
    assert run("prepare", documents).exit_code == 2


def test_hostile_names_and_texts_are_shown_escaped(tmp_path):
    path = tmp_path / "ev\x1b[31m[red]il.txt"
    path.write_text("\n".join(f"\x1b[2J[bold]{number}" for number in range(60)))
    result = run("prepare", path, "-o", tmp_path / "corpus", "--tokenizer", "byte", "--separator", r"\n")
    assert result.exit_code == 0, result.output
    shown = run("show", tmp_path / "corpus", "--sample", 2)
    for output in (result.stdout, shown.stdout):
        assert "\x1b" not in output
        assert "ev\\x1b[31m[red]il" in output
    assert "\\x1b[2J[bold]" in shown.stdout


def test_progress_without_a_terminal_is_a_line_now_and_then(documents, tmp_path, monkeypatch):
    monkeypatch.setattr(text_command, "LINES", 0.0)
    result = run("prepare", documents, "-o", tmp_path / "corpus", "--tokenizer", "byte", "--documents", 20)
    lines = result.stderr.splitlines()
    assert len(lines) == 20
    assert lines[-1].startswith("topics.jsonl, 20 documents, ")
    assert f"{len(Corpus.read(tmp_path / 'corpus').tokens):,} tokens, " in lines[-1]


def test_an_interruption_is_130_and_the_same_line_goes_on(documents, tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "AT_ONCE", 1000)
    arguments = ("prepare", documents, "-o", tmp_path / "corpus", "--tokenizer", "byte")
    with monkeypatch.context() as patch:
        seen = []

        def stop(self, *arguments, real=token_files.TokenFiles.add):
            seen.append(real(self, *arguments))
            if len(seen) > 20:
                raise KeyboardInterrupt

        patch.setattr(token_files.TokenFiles, "add", stop)
        result = run(*arguments)
    assert result.exit_code == 130
    assert result.stderr == "error: interrupted.\n"
    assert "no finished corpus" in message(run("show", tmp_path / "corpus"))
    result = run(*arguments)
    assert result.exit_code == 0
    assert "going on after" in result.stderr
    assert run("prepare", documents, "-o", tmp_path / "other", "--tokenizer", "byte").exit_code == 0
    for path in (tmp_path / "other").iterdir():
        assert path.read_bytes() == (tmp_path / "corpus" / path.name).read_bytes()


def test_a_polite_kill_is_one_message(documents, tmp_path):
    code = (
        "import time\nfrom scaletrain import tokenising, text_command\nreal = tokenising.Bytes.encode\n"
        "tokenising.Bytes.encode = lambda self, text: (time.sleep(0.05), real(self, text))[1]\ntext_command.text_app()"
    )
    command = [sys.executable, "-c", code, "prepare", documents, "-o", tmp_path / "corpus", "--tokenizer", "byte"]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": SOURCE}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "corpus/tokens.bin").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (130, "", "error: interrupted.\n")


def test_no_network_is_said(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    import huggingface_hub

    def unreachable(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    line = message(run("prepare", "fineweb-edu", "-o", tmp_path / "corpus"))
    assert "needs network" in line
    assert not (tmp_path / "corpus").exists()


def test_the_help_names_every_source_and_tokenizer():
    text = " ".join(run("prepare", "--help").stdout.replace("│", " ").split())
    for words in ("fineweb-edu", ".jsonl", ".parquet", "bpe:SIZE", "gpt2:FOLDER", "--test-share", "it goes on"):
        assert words in text
