"""How a command ends: one message for every bad input, an exit code, strict JSON, files that are whole or not there."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from . import options
from .terminal import in_shell, print_error

if TYPE_CHECKING:
    from .summary import Summary
    from .table import LossTable

BAD_INPUT, NOT_OK, INTERRUPTED = 1, 3, 130
EXIT_CODES = (
    "Exit codes: 0 ok, 1 bad input or file, 2 usage, 3 fitted but the status is not ok or every interval is refused, "
    "130 interrupted."
)
PICTURES = (".png", ".svg", ".pdf")


@contextmanager
def one_message() -> Iterator[None]:
    """Turn what a bad table or file raises into one message on stderr and exit code 1."""
    try:
        yield
    except KeyboardInterrupt as error:
        print_error("interrupted.")
        raise typer.Exit(INTERRUPTED) from error
    except BrokenPipeError:  # the reader has gone, as in `scalefit datasets | head -1`
        raise
    except (ValueError, OSError, ImportError, TypeError) as error:
        print_error(in_shell(str(error)))
        raise typer.Exit(BAD_INPUT) from error


def check_targets(table: str, output: Path | None, picture: Path | None = None) -> None:
    """Refuse files that could not be written, or that would replace the table: before the work, not after."""
    for name, target in (("--output", output), ("--plot", picture)):
        if target is None:
            continue
        if not target.absolute().parent.is_dir():
            raise OSError(f"{target} could not be written (no folder {target.absolute().parent}). Choose another path.")
        if target.exists() and Path(table).exists() and target.samefile(table):
            raise options.usage(name, "is the table itself, which would be lost. Choose another file.")
    if picture is not None and picture.suffix.lower() not in PICTURES:
        raise options.usage("--plot", f"must end in {', '.join(PICTURES)}, not in {picture.suffix!r}.")
    if picture is not None and output is not None and picture.absolute() == output.absolute():
        raise options.usage("--plot", "is the file of --output too. Choose two files.")


def asked_content(
    points: dict[str, dict[str, Any]], losses: Mapping[str, Any], found: Summary | None
) -> dict[str, Any]:
    """What --predict and --interval add to the result; of curves, each loss is a list, one number per slice."""
    predictions = [{"at": at, "loss": losses[name]} for name, at in points.items()]
    return {
        **({"predictions": predictions} if points else {}),
        **({} if found is None else {"intervals": found.to_dict()}),
    }


def exit_code(ok: bool, refused: bool) -> int:
    """Exit code of a result: what was asked for is there, or it is not."""
    return 0 if ok and not refused else NOT_OK


def dropped_rows(runs: LossTable) -> dict[str, list[str]]:
    """Why which rows were dropped."""
    return {"dropped": list(runs.dropped.get("reason", []))}


def to_json(content: object) -> str:
    """JSON as the standard has it: nan and infinities are null."""
    return json.dumps(finite(content), indent=1, allow_nan=False)


def finite(value: Any) -> Any:
    """Plain values with None for nan and infinities."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save_picture(figure: Any, path: Path) -> None:
    """Write a figure whole or not at all, as the end of the name says; equal figures are equal files."""
    import matplotlib

    from .writing import write_whole

    kind = path.suffix.lower().removeprefix(".")
    undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    written = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "scalefit"}):
        figure.savefig(written, format=kind, dpi=200, metadata=undated.get(kind))
    write_whole(path, written.getvalue())
