"""Pictures of theories: local exponents and their ratios, the loss of counting, the experiments; computes no theory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .drawing import BESIDE, GREY, INK, PALETTE, finish, log_axis, new_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .formula import Law
    from .theory.baseline import CountingBaseline

SAMPLES = {"params": "degrees of freedom $n$", "tokens": "training samples $D_s$"}


def plot_exponents(curves: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw local exponents, a line per c/D.

    Parameters
    ----------
    curves : DataFrame
        Of `scalefit.theory.regimes.exponent_curves`.
    ax : matplotlib Axes, optional
        A new figure by default.

    Examples
    --------
    >>> from scalefit.theory.regimes import exponent_curves
    >>> ax = plot_exponents(exponent_curves("data", manifolds=[0.25, 1.0]))
    >>> ax.get_ylabel(), [text.get_text() for text in ax.get_legend().get_texts()]
    ('local exponent', ['$c/D$ = 0.25', '$c/D$ = 1'])
    """
    axes, column = new_axes(ax), "params" if "params" in curves else "tokens"
    for place, (manifold, curve) in enumerate(curves.groupby("manifold")):
        colour = PALETTE[place % len(PALETTE)]
        axes.plot(curve[column], curve["exponent"], color=colour, linewidth=1.6, label=f"$c/D$ = {manifold:g}")
    axes.set(xscale="log", ylabel="local exponent")
    finish(axes, columns=3)
    axes.set_ylim(bottom=0)
    log_axis(axes, "x", column)
    axes.set_xlabel(SAMPLES[column])
    return axes


def plot_exponent_ratios(ratios: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the model exponent over the data exponent against c/D, a line per alpha.

    Parameters
    ----------
    ratios : DataFrame
        Of `scalefit.theory.regimes.exponent_ratios`.
    ax : matplotlib Axes, optional
        A new figure by default.

    Examples
    --------
    >>> from scalefit.theory.regimes import exponent_ratios
    >>> plot_exponent_ratios(exponent_ratios()).get_xlabel()
    '$c/D$'
    """
    from matplotlib.ticker import FuncFormatter

    axes = new_axes(ax)
    axes.axhline(1.0, color=GREY, linewidth=0.8, zorder=1)
    for place, (alpha, curve) in enumerate(ratios.groupby("alpha")):
        colour = PALETTE[place % len(PALETTE)]
        axes.plot(curve["manifold"], curve["ratio"], color=colour, linewidth=1.6, label=rf"$\alpha$ = {alpha:g}")
    axes.set(xscale="log", ylabel="model exponent / data exponent")
    finish(axes, columns=3)
    low, high = np.min(ratios["manifold"]), np.max(ratios["manifold"])
    axes.set_xlim(low, high)
    log_axis(axes, "x", "ratio")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("$c/D$")
    return axes


def plot_counting(baseline: CountingBaseline, measured: pd.DataFrame | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw what the loss of counting is above its floor, and that of models that counted.

    Parameters
    ----------
    baseline : CountingBaseline
    measured : DataFrame, optional
        `tokens`, and where models counted `loss` with `se`, its standard error.
    ax : matplotlib Axes, optional
        A new figure by default.

    Raises
    ------
    ValueError
        If c is 0.

    Examples
    --------
    >>> from scalefit.theory.baseline import CountingBaseline
    >>> plot_counting(CountingBaseline(entropy=2.0, coefficient=500.0)).get_ylabel()
    'loss above 2 nats'
    """
    axes, c = new_axes(ax), baseline.coefficient
    if c == 0:
        raise ValueError("every step of this walk is certain: there is nothing to count, and no line to draw.")
    at = np.array([c, 1e4 * c]) if measured is None else np.asarray(measured["tokens"], dtype=float)
    x = np.geomspace(at.min() / 2, at.max() * 2, 50)
    axes.plot(x, c / x, color=PALETTE[0], linewidth=1.6, label=f"$c/D$, c = {c:,.6g}")
    if measured is not None and "loss" in measured:
        excess = np.asarray(measured["loss"]) - baseline.entropy
        axes.errorbar(
            at, excess, np.asarray(measured["se"]), fmt="o", color=INK, markersize=4, label="models that count"
        )
    axes.set_yscale("log")
    finish(axes, columns=2)
    log_axis(axes, "x", "tokens")
    log_axis(axes, "y", "loss")
    axes.set_ylabel(f"loss above {baseline.entropy:.4g} nats" if baseline.entropy else "squared error")
    return axes


def plot_allocations(runs: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the losses of random allocations over nu and k_b, with that of the theory as a ring (as Fig. 5).

    Parameters
    ----------
    runs : DataFrame
        Of `scalefit.theory.experiments.allocation_runs`.
    ax : matplotlib Axes, optional
        A new figure by default.

    Examples
    --------
    >>> from scalefit.theory.experiments import allocation_runs
    >>> plot_allocations(allocation_runs(5)).get_ylabel()
    'clusters that are learned $k_b$'
    """
    axes, theory, worst_first = new_axes(ax), runs.iloc[0], runs.sort_values("loss", ascending=False)
    dots = axes.scatter(
        worst_first["nu"], worst_first["clusters"], c=worst_first["loss"], s=10, linewidths=0, cmap="viridis_r"
    )
    axes.figure.colorbar(dots, ax=axes, label="loss (the darker, the higher)")
    axes.plot(theory["nu"], theory["clusters"], "o", color=PALETTE[1], markersize=9, markerfacecolor="none",
              markeredgewidth=2, label=f"theory, loss {theory['loss']:.3f}")  # fmt: skip
    axes.set_yscale("log")
    finish(axes)
    log_axis(axes, "y", "clusters")
    axes.set(xlabel=r"exponent of the allocation $\nu$", ylabel="clusters that are learned $k_b$")
    return axes


def plot_scaling(runs: pd.DataFrame, theory: Law, *, ax: Axes | None = None) -> Axes:
    """Draw the median loss over seeds with its 16th and 84th percentiles, what Eq. 13 predicts, and a law (as Fig. 6).

    Parameters
    ----------
    runs : DataFrame
        Of `scalefit.theory.experiments.scaling_runs`.
    theory : Law
        Of params or of tokens, as the runs are.
    ax : matplotlib Axes, optional
        A new figure by default.

    Examples
    --------
    >>> from scalefit.theory.experiments import scaling_runs
    >>> from scalefit.theory.percolation import ModelScaling
    >>> ax = plot_scaling(scaling_runs("model", seeds=1), ModelScaling(alpha=1.0, manifold=0.5, A=0.6))
    >>> ax.get_xlabel()
    'degrees of freedom $n$'
    """
    from .theory.experiments import percentiles

    axes, frame = new_axes(ax), percentiles(runs)
    column = frame.columns[0]
    x, predicted = frame[column].to_numpy(dtype=float), runs.groupby(column)["predicted"].median()
    axes.fill_between(x, frame["loss_p16"], frame["loss_p84"], color=PALETTE[0], alpha=0.2, linewidth=0)
    axes.plot(x, frame["loss"], "o-", color=PALETTE[0], markersize=4, linewidth=1.2, label="median over seeds")
    axes.plot(x, predicted, color=INK, linewidth=1.0, linestyle=":", label="predicted for these clusters")
    line = np.geomspace(x.min(), x.max(), 100)
    axes.plot(line, theory(line), color=PALETTE[1], linewidth=1.2, linestyle=BESIDE, label="theory, all clusters")
    axes.set_yscale("log")
    finish(axes, columns=2)
    log_axis(axes, "x", column)
    log_axis(axes, "y", "loss")
    axes.set(xlabel=SAMPLES[column], ylabel="mean squared error")
    return axes


def plot_theory(alpha: float) -> Figure:
    """Draw local exponents of models and of data, and their ratio in the limit, side by side (as Fig. 2 to 4).

    Examples
    --------
    >>> len(plot_theory(1.0).axes)
    3
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .theory.regimes import ALPHAS, exponent_curves, exponent_ratios

    figure = Figure(figsize=(12.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    models, data, ratios = figure.subplots(1, 3)
    plot_exponents(exponent_curves("model", alpha=alpha), ax=models)
    plot_exponents(exponent_curves("data", alpha=alpha), ax=data)
    plot_exponent_ratios(exponent_ratios(sorted({*ALPHAS, alpha})), ax=ratios)
    return figure
