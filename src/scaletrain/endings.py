"""How a command ends: one message for every bad input, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from scalefit.terminal import print_error

BAD_INPUT, NOT_OK, INTERRUPTED = 1, 3, 130


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
