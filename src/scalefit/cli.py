"""The command line: `scalefit fit`, `scalefit curves`, `scalefit datasets`.

Exit codes: 0 ok, 1 bad input or file, 2 usage, 3 fitted but the status is not ok or every interval is refused, 130
interrupted. What needs scikit-learn is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import __version__, interval_options, options
from .interval_options import Asked
from .screens import curves_screen, datasets_screen, fit_screen
from .terminal import console, in_shell, print_error, working

if TYPE_CHECKING:
    import pandas as pd

    from .parametric import LawRegressor
    from .result import Curves
    from .summary import Summary
    from .table import LossTable

BAD_INPUT, NOT_OK, INTERRUPTED = 1, 3, 130
EXIT_CODES = (
    "Exit codes: 0 ok, 1 bad input or file, 2 usage, 3 fitted but the status is not ok or every interval is refused, "
    "130 interrupted."
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


class Against(StrEnum):
    """What curves are compared with."""

    power = "power"
    exponential = "exponential"
    none = "none"


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that the terminal lacks is no failure
    app()


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"scalefit {__version__}")
        raise typer.Exit


@app.callback()
def scalefit(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Scaling laws from tables of training runs."""


@app.command("fit", epilog=EXIT_CODES)
def fit_command(
    table: options.TableName,
    law: Annotated[options.LawName, options.option("Model", "Formula.", "--law")] = options.LawName.chinchilla,
    inputs: Annotated[
        list[str] | None,
        options.option("Model", "Column that the law takes; twice for chinchilla.", "--inputs", metavar="COLUMN"),
    ] = None,
    objective: options.Objectives = None,
    space: options.Spaces = None,
    delta: options.Delta = None,
    fix: options.Fix = None,
    tie: options.Tie = None,
    columns: options.Columns = None,
    flops: options.Flops = None,
    where: options.Where = None,
    best: options.Best = None,
    drop_invalid: options.DropInvalid = False,
    weights: options.Weights = None,
    interval: interval_options.Wanted = False,
    resamples: interval_options.Resamples = None,
    seed: interval_options.Seed = None,
    scheme: interval_options.Schemes = None,
    by: interval_options.By = None,
    level: interval_options.Level = None,
    method: interval_options.Methods = None,
    predict: interval_options.Predict = None,
    as_json: options.AsJson = False,
    output: options.Output = None,
) -> None:
    """Fit a law to a table: status first, then the numbers, then the protocol."""
    asked = Asked(interval, predict, resamples, seed, scheme, by, level, method)
    with _one_message():
        _check_output(output, table)
        with working(f"fitting {law} to {table}"):
            from .fitting import fit

            model = options.make_model(law, objective=objective, space=space, delta=delta, fix=fix, tie=tie)
            runs = options.read_table(
                table, columns=columns, flops=flops, where=where, best=best, drop_invalid=drop_invalid
            )
            chosen = options.choose_inputs(model.law, runs, table, inputs)
            points = asked.points(chosen)
            fitted = fit(model, runs, inputs=chosen, weights=weights)
            predictions = {name: fitted(**point) for name, point in points.items()}
        found = asked.summary(fitted, list(points.values()), table)
        more = _asked_content(points, predictions, found)
        if output is not None:
            from .summary import AnnotatedFit

            AnnotatedFit(**vars(fitted), more=_finite(more)).save(output)
        if as_json:
            typer.echo(_json({**fitted.to_dict(), **more, **_dropped(runs)}))
        else:
            console().print(fit_screen(fitted, table, predictions=predictions, found=found))
    raise typer.Exit(_code(fitted.ok, found))


@app.command("curves", epilog=EXIT_CODES)
def curves_command(
    table: options.TableName,
    along: Annotated[str, options.option("Slices", "Column that varies in a slice.", "--along", metavar="COLUMN")],
    at: Annotated[str, options.option("Slices", "Column that is fixed in a slice.", "--at", metavar="COLUMN")],
    rtol: Annotated[
        float, typer.Option(min=0, help="Share by which --at may grow in a slice.", rich_help_panel="Slices")
    ] = 1e-3,
    min_rows: Annotated[int, typer.Option(min=2, help="Rows that a slice needs.", rich_help_panel="Slices")] = 4,
    law: Annotated[options.CurveLaw, options.option("Model", "Formula.", "--law")] = options.CurveLaw.power,
    against: Annotated[
        Against | None, options.option("Model", "Law to compare with; by default the other one.", "--against")
    ] = None,
    objective: options.Objectives = None,
    space: options.Spaces = None,
    delta: options.Delta = None,
    fix: options.Fix = None,
    tie: options.Tie = None,
    columns: options.Columns = None,
    flops: options.Flops = None,
    where: options.Where = None,
    best: options.Best = None,
    drop_invalid: options.DropInvalid = False,
    weights: options.Weights = None,
    interval: interval_options.Wanted = False,
    resamples: interval_options.Resamples = None,
    seed: interval_options.Seed = None,
    scheme: interval_options.Schemes = None,
    by: interval_options.By = None,
    level: interval_options.Level = None,
    method: interval_options.Methods = None,
    predict: interval_options.Predict = None,
    as_json: options.AsJson = False,
    output: options.Output = None,
) -> None:
    """Fit a law of one column to every slice of a table: L(N) at each D, or L(D) at each N."""
    asked = Asked(interval, predict, resamples, seed, scheme, by, level, method)
    if not math.isfinite(rtol):
        raise options.usage("--rtol", f"must be finite, not {rtol}.")
    other = against or (Against.exponential if law is options.CurveLaw.power else Against.power)
    with _one_message():
        _check_output(output, table)
        with working(f"fitting {law} to slices of {table}"):
            from .fitting import fit_curves

            model = options.make_model(law, objective=objective, space=space, delta=delta, fix=fix, tie=tie)
            runs = options.read_table(
                table, columns=columns, flops=flops, where=where, best=best, drop_invalid=drop_invalid
            )
            points = asked.points([along])
            slicing: dict[str, Any] = {"along": along, "at": at, "rtol": rtol, "min_rows": min_rows}
            fitted = fit_curves(model, runs, weights=weights, **slicing)
            rival = _rival(other, model, runs, fitted, {**slicing, "weights": weights})
            predictions = {name: [float(fit(**point)) for fit in fitted] for name, point in points.items()}
        found = asked.summary(fitted, list(points.values()), table)
        content = _json(
            {**_curves_content(fitted, rival, other), **_asked_content(points, predictions, found), **_dropped(runs)}
        )
        if output is not None:
            from .writing import write_whole

            write_whole(output, content + "\n")
        if as_json:
            typer.echo(content)
        else:
            console().print(curves_screen(fitted, table, rival, other, predictions=predictions, found=found))
    raise typer.Exit(_code(fitted.ok, found))


@app.command("datasets")
def datasets_command(as_json: options.AsJson = False) -> None:
    """List the data sets that can stand for TABLE: units, conventions, sources, known defects."""
    with _one_message():
        from .datasets import DATASETS

        if as_json:
            typer.echo(_json([dataset.to_dict() for dataset in DATASETS.values()]))
        else:
            console().print(datasets_screen(DATASETS.values()))


@contextmanager
def _one_message() -> Iterator[None]:
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


def _check_output(output: Path | None, table: str) -> None:
    if output is not None and not output.absolute().parent.is_dir():  # before the work, not after
        raise OSError(f"{output} could not be written (no folder {output.absolute().parent}). Choose another path.")
    if output is not None and output.exists() and Path(table).exists() and output.samefile(table):
        raise options.usage("--output", "is the table itself, which would be lost. Choose another file.")


def _rival(
    law: Against, model: LawRegressor, runs: LossTable, fitted: Curves, slicing: dict[str, Any]
) -> pd.DataFrame | None:
    """Errors per slice beside those of another law with the same objective."""
    if law is Against.none:
        return None
    from .fitting import fit_curves
    from .laws import LAWS
    from .parametric import LawRegressor

    try:
        return fitted.against(fit_curves(LawRegressor(LAWS[law], objective=model.objective), runs, **slicing))
    except ValueError as error:
        raise ValueError(f"{error} This is about the comparison; leave it out: --against none") from error


def _curves_content(fitted: Curves, rival: pd.DataFrame | None, law: Against) -> dict[str, Any]:
    against = None if rival is None else {"law": str(law), "slices": rival.to_dict("records")}
    return {**fitted.to_dict(), "against": against}


def _asked_content(
    points: dict[str, dict[str, float]], losses: Mapping[str, Any], found: Summary | None
) -> dict[str, Any]:
    """What --predict and --interval add to the result; of curves, each loss is a list, one number per slice."""
    predictions = [{"at": at, "loss": losses[name]} for name, at in points.items()]
    return {
        **({"predictions": predictions} if points else {}),
        **({} if found is None else {"intervals": found.to_dict()}),
    }


def _code(ok: bool, found: Summary | None) -> int:
    """Exit code of a result: what was asked for is there, or it is not."""
    return 0 if ok and not (found is not None and found.refused) else NOT_OK


def _dropped(runs: LossTable) -> dict[str, list[str]]:
    return {"dropped": list(runs.dropped.get("reason", []))}


def _json(content: object) -> str:
    """JSON as the standard has it: nan and infinities are null."""
    return json.dumps(_finite(content), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
