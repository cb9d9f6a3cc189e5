"""The commands `scalefit theory ...`: what laws follow from data alone, beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .experiment_command import experiment_command
from .outcomes import EXIT_CODES, check_targets, exit_code, one_message, save_picture, to_json
from .surface_options import Plot
from .terminal import console, working

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Group

    from .result import Fit
    from .table import LossTable
    from .theory.baseline import CountingBaseline
    from .theory.regimes import Regime

theory_app = typer.Typer(no_args_is_help=True, help="Theories that predict exponents, beside what is measured.")


class Loss(StrEnum):
    """Losses of counting."""

    cross_entropy = "cross_entropy"
    squared_error = "squared_error"


Runs = Annotated[
    str | None,
    options.option("Table", "Measured runs: a file or the name of a data set.", "--runs", metavar="TABLE"),
]
Level = Annotated[float, options.option("Theory", "Coverage of the interval.", "--level", metavar="SHARE")]


@theory_app.command("baseline", epilog=EXIT_CODES)
def baseline_command(
    graph: Annotated[Path | None, typer.Argument(
        metavar="GRAPH", show_default=False,
        help="Edges of the graph that is walked on, on each line two nodes and perhaps a weight. Without it, the "
        "columns loss_floor and loss_counting of --runs.")] = None,
    directed: Annotated[bool, options.option("Theory", "The edges have a direction.", "--directed")] = False,
    loss: Annotated[Loss, options.option("Theory", "Of what.", "--loss")] = Loss.cross_entropy,
    tokens: Annotated[list[float] | None, options.option(
        "Theory", "Where it is asked; by default three powers of ten from above c. Repeatable.", "--tokens",
        metavar="D")] = None,
    models: Annotated[int | None, typer.Option(
        min=2, rich_help_panel="Theory", metavar="NUMBER",
        help="Let so many models count walks of each length, as a check of the formula.")] = None,
    smoothing: Annotated[float | None, options.option(
        "Theory", "What these models add to every count; 0.5 by default.", "--smoothing", metavar="COUNT")] = None,
    seed: Annotated[int | None, typer.Option(min=0, rich_help_panel="Theory", help="Of their walks; 0 by default.")]
    = None,
    runs: Runs = None,
    columns: options.Columns = None,
    flops: options.Flops = None,
    where: options.Where = None,
    best: options.Best = None,
    drop_invalid: options.DropInvalid = False,
    as_json: options.AsJson = False,
    output: options.Output = None,
    plot: Plot = None,
) -> None:  # fmt: skip
    """Loss of a model that counts transitions, H + c/D: a line that trained models should be below, or reach."""
    if graph is None and runs is None:
        raise options.usage("GRAPH", "name a list of edges, or --runs of walks.")
    _of_runs(runs, columns=columns, flops=flops, where=where, best=best, drop_invalid=drop_invalid)
    if runs is not None and tokens is not None:
        raise options.usage("--tokens", "are those of --runs. Leave it out.")
    if graph is None and directed:
        raise options.usage("--directed", "is said of GRAPH. Add it.")
    if models is not None and (graph is None or runs is not None):
        raise options.usage("--models", "count walks on GRAPH, and take the place of --runs.")
    if models is None and (smoothing is not None or seed is not None):
        raise options.usage("--smoothing, --seed", "are of models that count. Add --models.")
    if loss is not Loss.cross_entropy and (graph is None or runs is not None):
        raise options.usage("--loss", "of runs is the cross-entropy. Leave it or --runs out.")
    with one_message():
        for source in (graph, runs):
            check_targets(str(source or ""), output, plot)
        with working("counting transitions"):
            from .theory_rows import counted_rows, measured_rows, power_law

            table, fit = None, None
            if runs is not None:
                table = _table(runs, columns, flops, where, best, drop_invalid)
            made, adjacency = _baseline(graph, directed, loss, table)
            if table is not None:
                fit, rows = power_law(table), measured_rows(made, table)
            else:
                rows = counted_rows(
                    made, adjacency, tokens, models=models, loss=loss.value, smoothing=smoothing, seed=seed or 0
                )
            figure = None
            if plot is not None:
                from .plotting import plot_fit
                from .theory_plots import plot_counting

                figure = (plot_counting(made, rows) if fit is None else plot_fit(fit, beside={"counting": made})).figure
        law = {"entropy": made.entropy, "coefficient": made.coefficient, "loss": loss.value}
        content = {**law, "rows": rows.to_dict("records"), **({} if fit is None else {"fit": fit.to_dict()})}
        from .theory_screens import baseline_screen

        screen = baseline_screen(made, str(graph or runs), rows, _counting_facts(rows, models, fit), fit)
        _finish(content, screen, as_json, output, figure, plot)
    raise typer.Exit(exit_code(fit is None or fit.ok, refused=False))


@theory_app.command("percolation", epilog=EXIT_CODES)
def percolation_command(
    c: Annotated[float, options.option(
        "Theory", "Approximation constant: 2 for constant pieces, 4 for networks of ReLU.", "--c")] = 4.0,
    tau: Annotated[float, options.option("Theory", "Clusters of s sites are s^-tau; 2 to 3.", "--tau")] = 2.5,
    dimension: Annotated[float, options.option("Theory", "D of a cluster.", "--dimension")] = 4.0,
    sigma: Annotated[float, options.option("Theory", "Cut-off |p - p_c|^(-1/sigma).", "--sigma")] = 0.5,
    degree: Annotated[int, options.option("Theory", "Bonds of a site, z = 2 d; p_c = 1 / (z - 1).", "--degree")] = 12,
    p: Annotated[float | None, options.option("Theory", "Share of open bonds; p_c by default.", "--p")] = None,
    sizes: Annotated[list[float] | None, options.option(
        "Theory", "Degrees of freedom, and samples, where exponents are read off. Repeatable.", "--at",
        metavar="SIZE")] = None,
    runs: Runs = None,
    inputs: Annotated[str | None, options.option(
        "Table", "Column of --runs that the law takes: params or tokens.", "--inputs", metavar="COLUMN")] = None,
    fix: Annotated[list[str] | None, options.option(
        "Table", "Floor that both laws keep.", "--fix", metavar="E=0")] = None,
    columns: options.Columns = None,
    flops: options.Flops = None,
    where: options.Where = None,
    best: options.Best = None,
    drop_invalid: options.DropInvalid = False,
    as_json: options.AsJson = False,
    output: options.Output = None,
    plot: Plot = None,
) -> None:  # fmt: skip
    """Exponents that percolation theory predicts; with --runs, its law beside a free power law."""
    given = {"inputs": inputs, "fix": fix, "columns": columns, "flops": flops, "where": where, "best": best}
    _of_runs(runs, **given, drop_invalid=drop_invalid)
    held = options.make_model("power", objective=None, space=None, delta=None, fix=fix, tie=None).fixed or {}
    if held.keys() - {"E"}:
        raise options.usage("--fix", "holds E alone: the exponents are the theory's, A says how large its loss is.")
    if runs is not None and sizes is not None:
        raise options.usage("--at", "goes without --runs.")
    with one_message():
        check_targets(runs or "", output, plot)
        with working("percolation theory"):
            from .laws import PowerLaw
            from .theory.cluster_laws import Universality, critical_probability
            from .theory.model_scaling import rank_exponent
            from .theory.regimes import regime
            from .theory_rows import local_rows, theory_fits

            clusters, p_c = Universality(tau, sigma, dimension), critical_probability(degree)
            found = regime(p_c if p is None else p, p_c=p_c, c=c, universality=clusters, space=degree / 2)
            alpha, manifold = clusters.alpha, clusters.manifold(c)
            numbers = {"alpha": alpha, "c/D": manifold, "nu": rank_exponent(alpha, manifold)}
            content: dict[str, Any] = {**numbers, "regime": vars(found)}
            if runs is not None:
                table = _table(runs, columns, flops, where, best, drop_invalid)
                column = options.choose_inputs(PowerLaw, table, runs, None if inputs is None else [inputs])[0]
                theory, free = theory_fits(table, column, found=found, alpha=alpha, manifold=manifold, held=held)
                content |= {"theory": theory.to_dict(), "free": free.to_dict()}
            else:
                theory, tables = None, () if found.name == "supercritical" else local_rows(alpha, manifold, sizes)
                content |= {
                    name: rows.to_dict("records") for name, rows in zip(("model", "data"), tables, strict=False)
                }
            figure = None
            if plot is not None and theory is None and not tables:
                raise options.usage("--plot", "above p_c the law is one power: there are no curves without --runs.")
            if plot is not None:
                from .plotting import plot_fit
                from .theory_plots import plot_theory

                figure = (
                    plot_theory(alpha) if theory is None else plot_fit(free, beside={"percolation": theory.law}).figure
                )
        from .theory_screens import percolation_screen, theory_fit_screen

        if theory is None:
            screen = percolation_screen(found, numbers, tables, _regime_facts(found, p_c, degree / 2))
        else:
            exponent = found.model_exponent if theory.inputs[0] == "params" else found.data_exponent
            words = f"{exponent:.4g}", f"{free.parameters['alpha']:.4g}"
            screen = theory_fit_screen(theory, free, words, str(runs), held=bool(held))
        _finish(content, screen, as_json, output, figure, plot)
    raise typer.Exit(exit_code(theory is None or theory.ok, refused=False))


@theory_app.command("dimension", epilog=EXIT_CODES)
def dimension_command(
    points: Annotated[Path, typer.Argument(metavar="POINTS", help="A table, or the array of a .npy file: rows are "
                                           "points.")],
    columns: Annotated[list[str] | None, options.option(
        "Table", "Column of coordinates; all by default. Repeatable.", "--columns", metavar="COLUMN")] = None,
    c: Annotated[float, options.option("Theory", "2 for constant pieces, 4 for networks of ReLU.", "--c")] = 4.0,
    discard: Annotated[float, options.option("Theory", "Largest ratios that only count as large.", "--discard",
                                             metavar="SHARE")] = 0.1,
    level: Level = 0.95,
    as_json: options.AsJson = False,
    output: options.Output = None,
) -> None:  # fmt: skip
    """Dimension of a cloud of points by nearest neighbours, and the exponent c/D of one manifold."""
    with one_message():
        check_targets(str(points), output)
        with working(f"measuring {points}"):
            from .theory.dimension import intrinsic_dimension, manifold_exponent
            from .theory_files import read_numbers

            found = intrinsic_dimension(read_numbers(points, columns), discard=discard, level=level)
            exponent = manifold_exponent(found, c=c)
        from .theory_screens import estimate_screen

        rows = [("D", found, "dimension"), ("c/D", exponent, f"exponent in params and in data, c = {c:g}")]
        pairs = [
            ("interval", f"{100 * level:g} %, of scatter alone: above about 4 dimensions D comes out too small"),
            ("method", f"TwoNN by maximum likelihood, the largest {100 * discard:g} % of ratios censored"),
        ]
        screen = estimate_screen(f"{points}, {found.size:,} points", rows, pairs)
        _finish({"dimension": vars(found), "exponent": vars(exponent)}, screen, as_json, output)


@theory_app.command("widths", epilog=EXIT_CODES)
def widths_command(
    table: Annotated[Path | None, typer.Argument(
        metavar="TABLE", show_default=False,
        help="Columns params and width; by default the 50 models of Chinchilla.")] = None,
    level: Level = 0.95,
    as_json: options.AsJson = False,
    output: options.Output = None,
) -> None:  # fmt: skip
    """Exponent b of params ~ width^b: a theory's exponent in widths is one of 1/b as much in params."""
    with one_message():
        check_targets(str(table or ""), output)
        from .theory.dimension import width_exponent
        from .theory_files import read_numbers

        given = None if table is None else read_numbers(table, ["params", "width"]).T
        found = width_exponent(*([] if given is None else given), level=level)
        from .theory_screens import estimate_screen

        name = "Hoffmann et al. 2022, Table A9" if table is None else str(table)
        pairs = [("1/b", f"{1 / found.value:.4g}: most that an exponent in params is, if width counts and it is 1")]
        screen = estimate_screen(f"{name}, {found.size} models", [("b", found, "params ~ width^b")], pairs)
        _finish({"b": vars(found), "1/b": 1 / found.value}, screen, as_json, output)


theory_app.command("experiment", epilog=EXIT_CODES)(experiment_command)


# --- What the commands share ---


def _of_runs(runs: str | None, **given: Any) -> None:
    """Refuse what is said of runs where there are none."""
    named = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if runs is None and named:
        raise options.usage(", ".join(named), "is said of --runs. Add it.")


def _table(
    name: str, columns: Sequence[str] | None, flops: str | None, where: Sequence[str] | None,
    best: Sequence[str] | None, drop_invalid: bool,
) -> LossTable:  # fmt: skip
    return options.read_table(name, columns=columns, flops=flops, where=where, best=best, drop_invalid=drop_invalid)


def _finish(
    content: object, screen: Group, as_json: bool, output: Path | None, figure: Any = None, plot: Path | None = None
) -> None:
    """Write what is asked for, then print."""
    if plot is not None:
        save_picture(figure, plot)
    if output is not None:
        from .writing import write_whole

        write_whole(output, to_json(content) + "\n")
    if as_json:
        typer.echo(to_json(content))
    else:
        console().print(screen)


def _baseline(graph: Path | None, directed: bool, loss: Loss, runs: LossTable | None) -> tuple[CountingBaseline, Any]:
    """Baseline of a graph, with its adjacency, or of the columns of runs."""
    from .theory.baseline import baseline_of, counting_baseline
    from .theory_files import read_adjacency

    if graph is not None:
        adjacency = read_adjacency(graph, directed=directed)
        return counting_baseline(adjacency, loss=loss.value), adjacency
    assert runs is not None  # one of the two is there
    return baseline_of(runs), None


def _counting_facts(rows: pd.DataFrame, models: int | None, fit: Fit | None) -> list[tuple[str, str]]:
    """What the columns are."""
    pairs = [("predicted", "H + c/D, to leading order in 1/D: for D well above the number of edges")]
    if fit is not None:
        numbers = fit.parameters
        pairs.append(("loss", "the lowest of the runs with so many tokens"))
        law = f"{numbers['E']:.5g} + {numbers['A']:.5g} D^-{numbers['alpha']:.4g}"
        pairs.append(("power law", f"{law}, fitted to all runs; the status is its own"))
    elif models is not None:
        pairs.append(("loss", f"mean of {models} models that count, each its own walk; se: its standard error"))
    if "ratio" in rows:
        meaning = "below 1 is better than counting" if fit else "1 where the leading order is all"
        pairs.append(("ratio", f"of the losses above H: {meaning}"))
    return pairs


def _regime_facts(found: Regime, p_c: float, space: float) -> list[tuple[str, str]]:
    """Where p is, and what the sizes stand for."""
    pairs = [("p_c", f"{p_c:.4g}")]
    if found.cutoff < math.inf:
        pairs.append(("cut-off", f"finite clusters have up to about {found.cutoff:.3g} sites"))
        if found.name == "subcritical":
            pairs.append(("scaling", "holds up to clusters of that size"))
    if found.name == "supercritical":
        pairs.append(("d", f"{space:g}, half the degree: the dimension of the infinite cluster, exponents are c/d"))
    else:
        pairs.append(("rows", "params are degrees of freedom, tokens samples, exponents local, clusters those learned"))
    return pairs
