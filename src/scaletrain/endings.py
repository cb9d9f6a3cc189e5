"""How a command ends: one message for every bad input, an exit code, pictures that are whole or not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import typer

from scalefit.terminal import print_error
from scalefit.writing import write_whole

BAD_INPUT, NOT_OK, INTERRUPTED = 1, 3, 130
PICTURES = (".png", ".svg", ".pdf")


@contextmanager
def one_message() -> Iterator[None]:
    """Turn what bad input raises into one message on stderr and exit code 1, an interruption into 130."""
    try:
        yield
    except KeyboardInterrupt as error:
        print_error("interrupted.")
        raise typer.Exit(INTERRUPTED) from error
    except BrokenPipeError:  # the reader has gone, as in `scaletrain walks er:1000:5000 --json | head -1`
        raise
    except (ValueError, OSError, ImportError, TypeError) as error:
        print_error(str(error))
        raise typer.Exit(BAD_INPUT) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in ("memory", "Storage size")):
            raise  # a defect: torch says this way, too, that memory is short
        reason = (str(error) or "no more is said").splitlines()[0]
        print_error(f"there is too little memory ({reason}). Choose a smaller model, batch or graph.")
        raise typer.Exit(BAD_INPUT) from error


def check_target(option: str, target: Path | None, endings: tuple[str, ...], graph: str) -> None:
    """Refuse a file that could not be written, or that is the graph: before the work, not after."""
    if target is None:
        return
    if target.suffix.lower() not in endings:
        raise typer.BadParameter(f"must end in {', '.join(endings)}, not in {target.suffix!r}.", param_hint=option)
    if not target.absolute().parent.is_dir():
        raise OSError(f"{target} could not be written (no folder {target.absolute().parent}). Choose another path.")
    if target.exists() and Path(graph).exists() and target.samefile(graph):
        raise typer.BadParameter("is the graph itself, which would be lost. Choose another file.", param_hint=option)


def write_picture(path: Path, draw: Callable[[], Any]) -> None:
    """Write the figure of the axes that a function draws; equal pictures are equal files."""
    import matplotlib

    kind = path.suffix.lower().removeprefix(".")
    undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    written = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "scaletrain"}):
        draw().figure.savefig(written, format=kind, dpi=200, metadata=undated.get(kind))
    write_whole(path, written.getvalue())
