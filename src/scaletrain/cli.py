"""The command line: sweeps, single jobs, walks, text, the coordinate check, each from its room.

torch, networkx and pandas are imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from scalefit import __version__

from .coordinates_command import coordinates_command
from .sweep_commands import (
    collect_command,
    plan_command,
    refine_command,
    retry_command,
    run_command,
    status_command,
    work_command,
)
from .text_command import text_app
from .train_command import export_command, train_command
from .walks_command import walks_command

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 bad input or file, 2 usage, 3 a check failed, a sweep is incomplete, 130 interrupted.",
)
app.command("plan")(plan_command)
app.command("run")(run_command)
app.command("status")(status_command)
app.command("collect")(collect_command)
app.command("refine")(refine_command)
app.command("retry")(retry_command)
app.command("work")(work_command)
app.command("train")(train_command)
app.command("walks")(walks_command)
app.command("coord-check")(coordinates_command)
app.command("export")(export_command)
app.add_typer(text_app, name="text")


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that the terminal lacks is no failure
    app()


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"scaletrain {__version__}")
        raise typer.Exit


@app.callback()
def scaletrain(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train small transformers on walks over graphs, and write the loss tables that scalefit reads."""
