"""The commands of surfaces: `scalefit surface` and `scalefit validate`."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import interval_options, options, surface_options
from .frontier_screens import validation_screen
from .interval_options import Asked
from .outcomes import asked_content, check_targets, dropped_rows, exit_code, finite, one_message, save_picture, to_json
from .screens import fit_screen
from .terminal import console, working

if TYPE_CHECKING:
    from .result import Fit


def surface_command(
    table: options.TableName,
    model: Annotated[str, surface_options.SURFACE_OPTION] = "kernel",
    inputs: Annotated[
        list[str] | None,
        options.option(
            "Model", "Column that the surface takes; params and tokens by default. Repeatable.", "--inputs",
            metavar="COLUMN",
        ),
    ] = None,
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
) -> None:  # fmt: skip
    """Fit a surface without a formula to a table: status first, then predictions, then the protocol."""
    asked = Asked(interval, predict, resamples, seed, scheme, by, level, method)
    if interval and not predict:
        raise options.usage("--interval", "a surface has no parameters: say where its loss is asked, with --predict.")
    with one_message():
        check_targets(table, output, plot)
        with working(f"fitting {model} to {table}"):
            from .fitting import fit

            made = surface_options.surface_model(model)
            runs = options.read_table(
                table, columns=columns, flops=flops, where=where, best=best, drop_invalid=drop_invalid
            )
            start = monotonic()
            fitted = fit(made, runs, inputs=inputs, weights=weights)
            seconds = monotonic() - start
            points = asked.points(fitted.inputs)
            predictions = {name: fitted(**point) for name, point in points.items()}
        figure = _picture(fitted) if plot is not None else None
        asked.warn(fitted, seconds)
        found = asked.summary(fitted, list(points.values()), table)
        more = asked_content(points, predictions, found)
        if plot is not None:
            save_picture(figure, plot)
        if output is not None:
            from .summary import AnnotatedFit

            AnnotatedFit(fitted.model, fitted.table, fitted.inputs, fitted.weights, finite(more)).save(output)
        if as_json:
            typer.echo(to_json({**fitted.to_dict(), **more, **dropped_rows(runs)}))
        else:
            console().print(fit_screen(fitted, table, predictions=predictions, found=found))
    raise typer.Exit(exit_code(fitted.ok, found is not None and found.refused))


def _picture(fitted: Fit) -> Any:
    """Figure of a surface of params and tokens."""
    from .surface_plots import plot_surface

    return plot_surface(fitted).figure


def validate_command(
    table: options.TableName,
    model: surface_options.Contenders,
    splits: surface_options.Splits = None,
    groups: surface_options.Groups = None,
    above: surface_options.Above = None,
    seed: surface_options.SplitSeed = None,
    columns: options.Columns = None,
    flops: options.Flops = None,
    where: options.Where = None,
    best: options.Best = None,
    drop_invalid: options.DropInvalid = False,
    weights: options.Weights = None,
    as_json: options.AsJson = False,
    output: options.Output = None,
) -> None:
    """Score models side by side on rows that they were not fitted to, all on the same rows."""
    with one_message():
        check_targets(table, output)
        chosen = surface_options.rows(splits, groups, above, seed)
        with working(f"validating on {table}") as progress:
            from .validation import validate

            models = surface_options.contenders(model)
            runs = options.read_table(
                table, columns=columns, flops=flops, where=where, best=best, drop_invalid=drop_invalid
            )
            made = validate(models, runs, weights=weights, inputs=("params", "tokens"), progress=progress, **chosen)
        content = to_json({**made.to_dict(), **dropped_rows(runs)})
        if output is not None:
            from .writing import write_whole

            write_whole(output, content + "\n")
        if as_json:
            typer.echo(content)
        else:
            console().print(validation_screen(made, runs, table))
    raise typer.Exit(exit_code(made.ok, refused=False))
