"""The command `scalefit theory experiment`: Fig. 5 and 6 of the percolation paper, as tables that scalefit fits."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import options
from .outcomes import check_targets, exit_code, one_message, save_picture, to_json
from .surface_options import Plot
from .terminal import console, working

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Group

    from .result import Fit


class Experiment(StrEnum):
    """Figures of arXiv:2412.07942."""

    fig5 = "fig5"
    fig6_model = "fig6-model"
    fig6_data = "fig6-data"


class Preset(StrEnum):
    """How many clusters there are, and how large."""

    small = "small"
    medium = "medium"
    paper = "paper"


DEFAULTS = {Experiment.fig5: 2000, Experiment.fig6_model: 50, Experiment.fig6_data: 50}  # those of the paper


def experiment_command(
    figure: Annotated[Experiment, typer.Argument(
        metavar="FIGURE", help="fig5: losses of random allocations; fig6-model, fig6-data: losses over the size of a "
        "model, or of its data.")],
    preset: Annotated[Preset, options.option(
        "Theory", "small: 32 clusters of up to 1e5 sites; medium: 100 of up to 1e6; paper: 316 of up to 1e7.",
        "--preset")] = Preset.small,
    count: Annotated[int | None, typer.Option(
        min=1, metavar="NUMBER", rich_help_panel="Theory",
        help="Random allocations, 2000 by default, or seeds, 50: those of the paper.")] = None,
    seed: Annotated[int, typer.Option(min=0, rich_help_panel="Theory", help="Of everything that is drawn.")] = 0,
    as_json: options.AsJson = False,
    output: Annotated[Path | None, options.option(
        "Output", "Write all runs, a table for scalefit fit.", "-o", "--output", metavar="FILE.csv")] = None,
    plot: Plot = None,
) -> None:  # fmt: skip
    """Grow clusters, learn functions on them, and measure how the loss falls, beside what the theory predicts."""
    if output is not None and output.suffix.lower() != ".csv":
        raise options.usage("--output", f"is a table: its name ends in .csv, not in {output.suffix!r}.")
    with one_message():
        check_targets("", output, plot)
        number = DEFAULTS[figure] if count is None else count
        with working(f"{figure} of {preset} clusters") as progress:
            from .theory.experiments import allocation_runs

            law: Fit | None = None
            if figure is Experiment.fig5:
                runs = allocation_runs(number, preset=preset.value, seed=seed, progress=progress)
                content, screen = _allocations(runs, preset)
            else:
                runs, law = _scaling(figure, number, preset, seed, progress)
                content, screen = _medians(runs, law, figure, preset)
        if plot is not None:
            save_picture(_picture(runs, law), plot)
        if output is not None:
            from .writing import write_whole

            write_whole(output, runs.to_csv(index=False, lineterminator="\n"))
        if as_json:
            typer.echo(to_json(content))
        else:
            console().print(screen)
    raise typer.Exit(exit_code(law is None or law.ok, refused=False))


def _scaling(
    figure: Experiment, number: int, preset: Preset, seed: int, progress: Callable[[int, int], None]
) -> tuple[pd.DataFrame, Fit]:
    """The runs, and the theory's law with a free prefactor through their medians."""
    from .fitting import fit
    from .parametric import LawRegressor
    from .table import LossTable
    from .theory.experiments import ALPHA, MANIFOLD, percentiles, scaling_runs
    from .theory.percolation import DataScaling, ModelScaling

    of: Literal["model", "data"] = "model" if figure is Experiment.fig6_model else "data"
    runs = scaling_runs(of, seeds=number, preset=preset.value, seed=seed, progress=progress)
    held = {"alpha": ALPHA, "manifold": MANIFOLD, "unit": 1.0, "E": 0.0}
    theory = LawRegressor(ModelScaling if of == "model" else DataScaling, fixed=held)
    medians = LossTable.from_frame(percentiles(runs))
    return runs, fit(theory, medians, inputs="params" if of == "model" else "tokens")


def _allocations(runs: pd.DataFrame, preset: Preset) -> tuple[dict[str, Any], Group]:
    """The theory's allocation among random ones."""
    from .theory_screens import experiment_screen

    theory, others = runs.iloc[0], runs.iloc[1:]
    columns = ["nu", "clusters", "loss", "predicted"]
    lowest = int(others["loss"].to_numpy().argmin()) + 1
    best = runs.iloc[lowest]
    below = float((others["loss"] < theory["loss"]).mean())
    content = {
        "preset": preset.value, "allocations": len(others), "params": theory["params"],
        "theory": theory[columns].to_dict(), "lowest": best[columns].to_dict(),
        "median_loss": float(others["loss"].median()), "share_below_theory": below,
    }  # fmt: skip
    rows = runs.iloc[[0, lowest]][columns]
    rows.insert(0, "allocation", ["theory", "lowest found"])
    pairs = [
        ("losses", f"{100 * below:.3g} % of the random ones are below the theory's; their median is "
                   f"{content['median_loss']:.4g}"),
        ("predicted", "by Eq. 13, for these clusters"),
    ]  # fmt: skip
    heading = f"{len(others):,} random allocations of {theory['params']:.4g} degrees of freedom, {preset} clusters"
    return content, experiment_screen(heading, rows, pairs)


def _medians(runs: pd.DataFrame, law: Fit, figure: Experiment, preset: Preset) -> tuple[dict[str, Any], Group]:
    """Losses over the seeds."""
    from .theory.experiments import percentiles
    from .theory_screens import experiment_screen

    frame = percentiles(runs)
    column = str(frame.columns[0])
    seeds = int(frame["seeds"].iloc[0])
    rows = frame[[column, "loss", "loss_p16", "loss_p84"]].assign(
        predicted=runs.groupby(column)["predicted"].median().to_numpy(), theory=law(frame[column].to_numpy(dtype=float))
    )
    content = {
        "preset": preset.value, "seeds": seeds, "rows": rows.to_dict("records"), "theory": law.to_dict(),
    }  # fmt: skip
    pairs = [
        ("loss", "median over the seeds, with the 16th and 84th percentiles"),
        ("predicted", "median of Eq. 13 for the clusters of each seed"),
        ("theory", f"of endlessly many clusters, with one free prefactor, {law.parameters['A']:.4g}"),
    ]
    words = "degrees of freedom" if column == "params" else "samples"
    return content, experiment_screen(f"{figure}: loss over {words}, {seeds} seeds of {preset} clusters", rows, pairs)


def _picture(runs: pd.DataFrame, law: Fit | None) -> Any:
    from .theory_plots import plot_allocations, plot_scaling

    return (plot_allocations(runs) if law is None else plot_scaling(runs, law.law)).figure
