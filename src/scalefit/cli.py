"""The command line: `scalefit fit`, `curves` and `datasets` here, the others from their rooms.

Exit codes: 0 ok, 1 bad input or file, 2 usage, 3 fitted but the status is not ok or every interval is refused, 130
interrupted. What needs scikit-learn is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import math
import sys
from enum import StrEnum
from io import TextIOWrapper
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import __version__, interval_options, options, surface_options
from .interval_options import Asked
from .ladder_command import ladder_command
from .optimal_command import optimal_command
from .outcomes import (
    EXIT_CODES,
    asked_content,
    check_targets,
    dropped_rows,
    exit_code,
    finite,
    one_message,
    save_picture,
    to_json,
)
from .report_command import report_command
from .screens import curves_screen, datasets_screen, fit_screen
from .surface_commands import surface_command, validate_command
from .terminal import console, working
from .theory_commands import theory_app

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from .curves import Curves
    from .parametric import LawRegressor
    from .result import Fit
    from .table import LossTable

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
    broken = "broken"
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
        options.option("Model", "Column that the law takes, in its order. Repeatable.", "--inputs", metavar="COLUMN"),
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
    plot: surface_options.Plot = None,
) -> None:
    """Fit a law to a table: status first, then the numbers, then the protocol."""
    asked = Asked(interval, predict, resamples, seed, scheme, by, level, method)
    with one_message():
        check_targets(table, output, plot)
        with working(f"fitting {law} to {table}"):
            from .fitting import fit

            model = options.make_model(law, objective=objective, space=space, delta=delta, fix=fix, tie=tie)
            runs = options.read_table(
                table, columns=columns, flops=flops, where=where, best=best, drop_invalid=drop_invalid
            )
            chosen = options.choose_inputs(model.law, runs, table, inputs)
            points = asked.points(chosen)
            start = monotonic()
            fitted = fit(model, runs, inputs=chosen, weights=weights)
            seconds = monotonic() - start
            predictions = {name: fitted(**point) for name, point in points.items()}
        asked.warn(fitted, seconds)
        found = asked.summary(fitted, list(points.values()), table)
        more = asked_content(points, predictions, found)
        if plot is not None:
            save_picture(_picture(fitted), plot)
        if output is not None:
            from .summary import AnnotatedFit

            AnnotatedFit(fitted.model, fitted.table, fitted.inputs, fitted.weights, finite(more)).save(output)
        if as_json:
            typer.echo(to_json({**fitted.to_dict(), **more, **dropped_rows(runs)}))
        else:
            console().print(fit_screen(fitted, table, predictions=predictions, found=found))
    raise typer.Exit(exit_code(fitted.ok, found is not None and found.refused))


@app.command("curves", epilog=EXIT_CODES)
def curves_command(
    table: options.TableName,
    along: Annotated[str, options.option("Slices", "Column that varies in a slice.", "--along", metavar="COLUMN")],
    at: Annotated[str, options.option("Slices", "Column that is fixed in a slice.", "--at", metavar="COLUMN")],
    rtol: options.Rtol = 1e-3,
    min_rows: options.MinRows = 4,
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
    with one_message():
        check_targets(table, output)
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
        content = to_json(
            {**_curves_content(fitted, rival, other), **asked_content(points, predictions, found), **dropped_rows(runs)}
        )
        if output is not None:
            from .writing import write_whole

            write_whole(output, content + "\n")
        if as_json:
            typer.echo(content)
        else:
            console().print(curves_screen(fitted, table, rival, other, predictions=predictions, found=found))
    raise typer.Exit(exit_code(fitted.ok, found is not None and found.refused))


app.command("surface", epilog=EXIT_CODES)(surface_command)
app.command("optimal", epilog=EXIT_CODES)(optimal_command)
app.command("validate", epilog=EXIT_CODES)(validate_command)
app.command("ladder", epilog=EXIT_CODES)(ladder_command)
app.command("report", epilog=EXIT_CODES)(report_command)
app.add_typer(theory_app, name="theory")


@app.command("datasets")
def datasets_command(as_json: options.AsJson = False) -> None:
    """List the data sets that can stand for TABLE: units, conventions, sources, known defects."""
    with one_message():
        from .datasets import DATASETS

        if as_json:
            typer.echo(to_json([dataset.to_dict() for dataset in DATASETS.values()]))
        else:
            console().print(datasets_screen(DATASETS.values()))


def _picture(fitted: Fit) -> Figure:
    """The runs and the law over one input or compute; of other inputs, what the law misses by."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .plotting import plot_fit, plot_residuals

    figure = Figure(figsize=(5.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    drawn = len(fitted.inputs) == 1 or set(fitted.inputs) == {"params", "tokens"}
    (plot_fit if drawn else plot_residuals)(fitted, ax=figure.subplots())
    return figure


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


if __name__ == "__main__":
    main()
