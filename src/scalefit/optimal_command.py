"""The command `scalefit optimal`: which model to train at a budget, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from . import interval_options, optimal_options, options, surface_options
from .frontier_screens import plan_screen
from .interval_options import Asked
from .optimal_options import Approach, Family
from .outcomes import check_targets, dropped_rows, exit_code, one_message, save_picture, to_json
from .terminal import console, working

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from .answers import Plan
    from .costs import Cost
    from .resampled import Bootstrap
    from .result import Fit
    from .table import LossTable


def optimal_command(
    table: options.TableName,
    law: optimal_options.Law = None,
    model: Annotated[str | None, surface_options.SURFACE_OPTION] = None,
    isoflop: optimal_options.Isoflop = False,
    envelope: optimal_options.Envelope = False,
    rtol: optimal_options.Rtol = None,
    objective: options.Objectives = None,
    space: options.Spaces = None,
    delta: options.Delta = None,
    fix: options.Fix = None,
    tie: options.Tie = None,
    budget: optimal_options.Budgets = None,
    cost: optimal_options.Costs = None,
    serve: optimal_options.Serve = None,
    window: optimal_options.Window = None,
    shapes: optimal_options.Shapes = False,
    vocabulary: optimal_options.Vocabulary = None,
    context: optimal_options.Context = None,
    without_embeddings: optimal_options.WithoutEmbeddings = False,
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
    as_json: options.AsJson = False,
    output: options.Output = None,
    plot: surface_options.Plot = None,
) -> None:
    """Which model to train at a budget, and how sure that is: params, tokens, loss, exponents, shapes."""
    asked = Asked(interval, None, resamples, seed, scheme, by, level, method)
    settings = {"objective": objective, "space": space, "delta": delta, "fix": fix, "tie": tie}
    approach = Approach(law, model, isoflop, envelope, rtol)
    approach.check(
        of_fits={"--interval": interval, "--cost": cost, "--serve": serve},
        of_laws={f"--{name}": value for name, value in settings.items()},
        weights=weights,
    )
    asks = optimal_options.budgets(budget), optimal_options.window(window)
    family = Family(shapes, vocabulary, context, not without_embeddings)
    pays = family.cost(cost, serve)
    with one_message():
        check_targets(table, output, plot)
        with working(f"fitting {approach.name} to {table}"):
            runs = options.read_table(
                table, columns=columns, flops=flops, where=where, best=best, drop_invalid=drop_invalid
            )
            start = monotonic()
            fitted = approach.fit(runs, weights, **settings)
            seconds = monotonic() - start
        if fitted is not None:
            asked.warn(fitted, seconds)
        boot = None if fitted is None else asked.bootstrap(fitted, table)
        with working("looking for the best models"):
            plan = _plan(approach, runs, weights, fitted, boot, pays, asks, asked)
            near = family.near(plan.answers[-1].numbers["params"], runs)
            content = _content(plan, near, runs, pays)
            if plot is not None:
                save_picture(_picture(plan, pays), plot)
        if output is not None:
            from .writing import write_whole

            write_whole(output, content + "\n")
        if as_json:
            typer.echo(content)
        else:
            console().print(plan_screen(plan, runs, table, shapes=near))
    raise typer.Exit(exit_code(plan.ok, plan.refused))


def _plan(
    approach: Approach, runs: LossTable, weights: str | None, fitted: Fit | None, boot: Bootstrap | None,
    cost: Cost, asks: tuple[Sequence[float], tuple[float, float] | None], asked: Asked,
) -> Plan:  # fmt: skip
    """Answers at the budgets that are asked, by the fit or off the runs."""
    from .allocation import compute_optimal
    from .answers import make_plan, round_budgets

    budgets, window = asks
    if fitted is None:
        return make_plan(approach.frontier(runs, weights), runs, budgets, window=window)
    read = partial(compute_optimal, fitted if boot is None else boot, cost=cost)
    spent = cost(runs.params, runs.tokens)
    return make_plan(
        read(round_budgets(spent.min(), spent.max())), runs, budgets, fit=fitted, read=read,
        window=window, level=asked.share, method=asked.how,
    )  # fmt: skip


def _content(plan: Plan, near: pd.DataFrame | None, runs: LossTable, cost: Cost) -> str:
    from .costs import cost_name

    shapes = {} if near is None else {"shapes": near.to_dict("records")}
    pays = None if plan.fit is None else cost_name(cost)  # otherwise the table's own FLOPs
    return to_json({**plan.to_dict(), "cost": pays, **shapes, **dropped_rows(runs)})


def _picture(plan: Plan, cost: Cost) -> Figure:
    """The surface with its optima, or their loss, beside the params over the budget."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .drawing import count_words
    from .frontier_plots import plot_frontier
    from .surface_plots import plot_surface

    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    if plan.fit is None:
        plot_frontier(plan.frontier, "loss", ax=left)
    else:
        plot_surface(plan.fit, plan.frontier, cost=cost, ax=left)
    plot_frontier(plan.frontier, "params", ax=right)
    for answer in plan.answers if plan.asked else ():
        if answer.ok:
            params, band = answer.numbers["params"], answer.intervals.get("params")
            right.plot(answer.flops, params, "D", color="black", markersize=4, zorder=5)
            if band is not None and not band.refused:
                right.plot([answer.flops] * 2, [band.low, band.high], color="black", linewidth=1, zorder=5)
            right.annotate(
                count_words(params), (answer.flops, params), xytext=(-7, 3), textcoords="offset points", ha="right",
                fontsize="small",
            )  # fmt: skip
    return figure
