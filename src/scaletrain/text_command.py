"""`scaletrain text`: prepare a corpus of tokens from text, and show one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from scalefit.terminal import console, facts, print_note, status_line, visible

from .endings import one_message

if TYPE_CHECKING:
    from .corpora import Corpus
    from .preparing import Progress

LINES = 30.0  # seconds between lines of progress where there is no terminal
OFTEN = 0.1  # seconds between two looks of a bar
LETTERS = 400  # that are shown of a document

text_app = typer.Typer(no_args_is_help=True, help="Prepare corpora of tokens from text, and show them.")


@text_app.command("prepare")
def prepare_command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=(
        "A folder or a file: .jsonl and .parquet with a field text, everything else text in UTF-8. Or "
        "fineweb-edu, with perhaps :FOLDER and @REVISION, which needs network."))],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the corpus.")],
    tokenizer: Annotated[str, typer.Option(help=(
        "byte; gpt2; gpt2:FOLDER with vocab.bpe and encoder.json; bpe:SIZE, trained on train documents."))] = "gpt2",
    test_share: Annotated[float, typer.Option(help="Share of the documents that is held out.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split.")] = 0,
    documents: Annotated[int | None, typer.Option(min=2, help="So many documents only, from the first on.")] = None,
    separator: Annotated[str | None, typer.Option(help=(
        r"What stands between two documents of a text file, with \n and \t; else a file is a document."))] = None,
) -> None:  # fmt: skip
    """Tokenise a source once, and hold documents out.

    Run again with the same folder, it goes on where it was stopped, to the same bytes.
    """
    with one_message():
        from .preparing import prepare

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill ends with one message, too
        with _progress() as advance:
            corpus = prepare(
                source, output, tokenizer=tokenizer, test_share=test_share, seed=seed, documents=documents,
                separator=None if separator is None else separator.replace(r"\n", "\n").replace(r"\t", "\t"),
                progress=advance, note=print_note,
            )  # fmt: skip
    _show(corpus)


@text_app.command("show")
def show_command(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder of a corpus.")],
    sample: Annotated[int, typer.Option(min=0, help="Show the beginnings of so many held-out documents.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
) -> None:
    """Check every byte of a corpus against its manifest, and say what it holds."""
    with one_message():
        from .corpora import MANIFEST, Corpus

        found = Corpus.read(corpus)
        texts = list(_texts(found, sample)) if sample else []
    if as_json:
        typer.echo((corpus / MANIFEST).read_text(encoding="utf-8"), nl=False)
        return
    _show(found)
    if texts:
        console().print()
        console().print(facts((f"document {number}", text) for number, text in enumerate(texts)))


def _texts(corpus: Corpus, count: int) -> Iterator[str]:
    """Beginnings of held-out documents, from tokens back to text."""
    tokenizer, test = corpus.tokenizer(), corpus.split("test")
    for low, high in zip(test.documents[:count], test.documents[1 : count + 1], strict=False):
        text = tokenizer.decode(test.tokens[low : min(high - 1, low + LETTERS)])
        yield text[:LETTERS] + ("..." if len(text) > LETTERS or high - 1 > low + LETTERS else "")


@contextmanager
def _progress() -> Iterator[Progress]:
    """Progress on stderr: a spinner on a terminal, else a line now and then."""
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    screen, start = console(stderr=True), monotonic()
    told, first = [start], list[int]()
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Bar(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def advance(part: str, documents: int, tokens: int) -> None:
            now = monotonic()
            if not first:
                first.append(tokens)
            if now - told[0] < (OFTEN if screen.is_terminal else LINES):
                return
            told[0] = now
            rate = (tokens - first[0]) / max(now - start, 1e-9)
            words = f"{visible(Path(part).name)}, {documents:,} documents, {tokens:,} tokens, {rate:.3g} tokens/s"
            bar.update(task, description=words)
            if not screen.is_terminal:
                screen.print(words, soft_wrap=True)

        yield advance


def _show(corpus: Corpus) -> None:
    """What a corpus is, on the screen."""
    told, screen = corpus.manifest, console()
    source, tokenizer, empty = told["source"], told["tokenizer"], told["empty_documents"]
    first = source["first_documents"]
    tokens = sum(told["tokens"].values())
    pairs = [
        ("source", f"{source['kind']} {source['name']}" + (f", its first {first:,} documents" if first else "")),
        ("revision", str(source["revision"])),
        ("tokenizer", f"{tokenizer['name']}, {tokenizer['vocabulary']:,} tokens, hash {tokenizer['sha256'][:12]}"),
    ]
    for split in ("train", "test"):
        counts = f"{told['documents'][split]:,} documents, {told['tokens'][split]:,} tokens"
        pairs.append((split, f"{counts}, {told['bytes'][split] / told['tokens'][split]:.3g} bytes per token"))
    if empty:
        pairs.append(("empty", f"{empty:,} documents, left out"))
    pairs += [("digest", corpus.digest), ("folder", str(corpus.folder))]
    screen.print(status_line(True, [f"{corpus.name}: {tokens:,} tokens, every byte as the manifest says"]))
    screen.print()
    screen.print(facts(pairs))
