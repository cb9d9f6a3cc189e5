"""The main job on published runs, in a few seconds: `python -m scalefit.demo -o out` prints it and draws the figure."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .datasets import DATA_VARIABLE, DATASETS, load
from .fitting import Model, fit
from .laws import BESIROGLU_2024, HOFFMANN_2022, HOFFMANN_2022_UNROUNDED, Chinchilla, Exponential, PowerLaw
from .objective import Squared, residuals
from .parametric import LawRegressor
from .resampling import bootstrap
from .result import Fit
from .screens import ends
from .simulation import grid, simulate
from .table import LossTable
from .terminal import console, print_error, status_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PYTHIA: dict[str, Model] = {
    "with offset": PowerLaw,
    "without offset": LawRegressor(PowerLaw, fixed={"E": 0.0}),
    "exponential": Exponential,
}
RUNS = grid(params=np.geomspace(5e7, 2e10, 12), tokens=np.geomspace(5e8, 5e11, 6))
PUBLISHED = {
    "Hoffmann 2022": HOFFMANN_2022,
    "same, unrounded": HOFFMANN_2022_UNROUNDED,
    "Besiroglu 2024": BESIROGLU_2024,
}
# Of arXiv:2404.10102, as its authors' notebook prints them: low, high, standard error; 4,000 resamples of single runs.
BESIROGLU_INTERVALS = {
    "E": (1.769, 1.871, 0.0257), "alpha": (0.317, 0.373, 0.0154), "beta": (0.331, 0.415, 0.0206)
}  # fmt: skip
FORECAST = {"params": 1e12, "tokens": 2e13}


def main(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the figure.")] = Path("out"),
) -> None:
    """Fit published runs, print what came out, and draw the figure."""
    screen = console()
    try:
        fits, seventh = fit_pythia()
        show_pythia(screen, fits, seventh)
        show_simulated(screen)
        show_chinchilla(screen)
        walks = sweep_on_walks()
        show_walks(screen, walks)
        written = (*draw(fits, seventh, output), *draw_walks(walks, output))
    except (OSError, ValueError) as error:  # a folder that cannot be written, a damaged file
        print_error(str(error))
        raise typer.Exit(1) from error
    screen.print("Figures: " + ", ".join(str(path) for path in written), soft_wrap=True)


def fit_pythia() -> tuple[dict[str, Fit], pd.DataFrame]:
    """Three laws of the six points that the source fits, and the seventh."""
    runs = load("pythia")
    fits = {name: fit(model, runs.where("kept"), inputs="params") for name, model in PYTHIA.items()}
    return fits, runs.to_frame().query("not kept")


def show_pythia(screen: Console, fits: dict[str, Fit], seventh: pd.DataFrame) -> None:
    """Print the three laws, their errors beside the best, and what they say of the seventh run."""
    _heading(screen, "1  Pythia: loss against parameters without embeddings, six published runs", fits.values())
    best, plain = fits["with offset"], fits["without offset"]
    table = _table("law", "E", "alpha", "mse", "mse / best", "seventh run")
    for name, fitted in fits.items():
        numbers = fitted.parameters
        exponent = f"{numbers['alpha']:.4f}" if isinstance(fitted.law, PowerLaw) else ""  # an exponential has a rate
        errors = [f"{fitted.mse:.3g}", f"{fitted.mse / best.mse:.1f}", f"{_missed(fitted, seventh):+.3f}"]
        table.add_row(name, f"{numbers['E']:.4f}", exponent, *errors)
    screen.print(table)
    low, high = plain.parameters["alpha"], best.parameters["alpha"]
    times = abs(_missed(best, seventh)) / float(np.max(np.abs(best.residuals)))
    screen.print(
        f"The offset takes the exponent from {low:.3f} to {high:.3f} and divides the squared error by "
        f"{plain.mse / best.mse:.1f}. The seventh run (6.9B) is not in the source's fit: its measured minus predicted "
        f"loss, in nats, tests the laws. The offset comes closest, yet misses by {times:.1f} times its largest "
        "residual on the six.\n"
    )
    boot = bootstrap(best)
    reasons = [doubt.value for doubt, _ in boot.interval("alpha").doubts if doubt.refuses]
    screen.print(
        f"The exponent gets no interval: {boot.units} rows have {len(boot)} patterns of signs for their residuals. "
        f"{' '.join(reasons)}\n"
    )


def show_simulated(screen: Console) -> None:
    """Print a known law beside what robust and least squares fits make of noisy runs from it, with intervals."""
    runs = simulate(HOFFMANN_2022, RUNS, noise=0.01, outliers=0.05, seed=0)
    robust = fit(Chinchilla, runs)
    squares = fit(LawRegressor(Chinchilla, objective=Squared("log")), runs)
    boot = bootstrap(robust)
    intervals = [boot.interval(name) for name in boot.parameters]
    hit = int(runs["outlier"].sum())
    words = f"2  Simulated: {len(runs)} runs of a known law, 1 % noise, {hit} of them 10 % too high"
    _heading(screen, words, [robust, squares])
    table = _table("", *Chinchilla.parameters(), "worst loss")
    for name, law in {"truth": HOFFMANN_2022, "fitted": robust.law, "least squares": squares.law}.items():
        truth = HOFFMANN_2022(RUNS["params"], RUNS["tokens"])
        error = np.max(np.abs(law(RUNS["params"], RUNS["tokens"]) / truth - 1))
        table.add_row(
            name, *(f"{value:.4g}" for value in law.to_dict().values()), f"{100 * error:.2g} %" if error else ""
        )
        if law is robust.law:
            table.add_row("  95 % from", *(f"{interval.low:.4g}" for interval in intervals))
            table.add_row("  to", *(f"{interval.high:.4g}" for interval in intervals))
    screen.print(table)
    held = sum(i.low <= HOFFMANN_2022.to_dict()[i.statistic] <= i.high for i in intervals)
    screen.print(f"{held} of {len(intervals)} intervals hold the truth: {boot.words}, {len(boot)} resamples.\n")


def show_chinchilla(screen: Console) -> None:
    """Print the published laws of the Chinchilla runs beside the optimum of their own objective."""
    runs = chinchilla_at_hand()
    if runs is None:
        file = DATASETS["chinchilla"].file
        screen.print(
            f"3  Chinchilla: not at hand. `scalefit fit chinchilla` downloads it; or put {file} into a folder and name "
            f"that folder in {DATA_VARIABLE}.\n", soft_wrap=True
        )  # fmt: skip
        return
    refit = fit(Chinchilla, runs)
    _heading(screen, f"3  Chinchilla: {len(runs)} runs, published laws beside the optimum of their objective", [refit])
    table = _table("", *Chinchilla.parameters(), "objective", "excess")
    for name, law in {**PUBLISHED, "fitted": refit.law}.items():
        value = float(np.sum(refit.objective.rho(residuals(refit.objective, runs.loss, law(runs.params, runs.tokens)))))
        excess = f"{100 * (value / refit.objective_value - 1):.3g} %" if law is not refit.law else ""
        table.add_row(name, *(f"{number:.4g}" for number in law.to_dict().values()), f"{value:.6f}", excess)
    screen.print(table)
    show_intervals(screen, refit)


def show_intervals(screen: Console, refit: Fit) -> None:
    """Print intervals of the fit to the Chinchilla runs beside the published ones."""
    boot = bootstrap(refit)
    table = _table("95 % intervals", "fitted", "s.e.", "Besiroglu 2024", "s.e.")
    for name, (low, high, error) in BESIROGLU_INTERVALS.items():
        own = boot.interval(name)
        table.add_row(name, ends(own), f"{own.standard_error:.3g}", f"{low} to {high}", f"{error:.3g}")
    forecast = boot.interval(FORECAST)
    table.add_row("loss at 1e12, 2e13", ends(forecast), f"{forecast.standard_error:.3g}", "", "")
    table.show_edge = False
    screen.print(Padding(table, (0, 0, 1, 1)))
    screen.print(
        f"Fitted: {boot.words}, as runs of one size may err together; {boot.units} sizes, {len(boot)} resamples, "
        f"t-corrected percentiles. Published: percentiles of 4,000 resamples of single runs. The loss is predicted at "
        f"{FORECAST['params']:.0e} parameters and {FORECAST['tokens']:.0e} tokens: {forecast.estimate:.3f} nats per "
        "token. s.e. is the standard error.\n"
    )


def chinchilla_at_hand() -> LossTable | None:
    """Chinchilla runs that Besiroglu et al. keep, if their file is here: the demo downloads nothing."""
    import pooch

    folder = os.environ.get(DATA_VARIABLE) or pooch.os_cache("scalefit")
    if not (Path(folder).expanduser() / DATASETS["chinchilla"].file).is_file():
        return None
    return load("chinchilla").where("kept")


def sweep_on_walks() -> LossTable:
    """Models on random walks over a graph, each at its best learning rate: the sweep that ships."""
    return load("er_small").best(over="lr", mean=("seed", "data_seed"))


def show_walks(screen: Console, runs: LossTable) -> None:
    """Print laws of data of models on a random graph, whose entropy floor is known."""
    floor = float(runs["loss_floor"][0])
    at_floor = LawRegressor(PowerLaw, fixed={"E": floor})
    by_width = {int(width): runs.where(f"width == {width}") for width in np.unique(runs["width"])}
    fits = {width: fit(at_floor, rows, inputs="tokens") for width, rows in by_width.items()}
    _heading(screen, "4  A random graph: transformers on walks, which have no power law in them", fits.values())
    table = _table("width", "exponent of data", "local slopes, fewest tokens first", "one power fits")
    for width, fitted in fits.items():
        bent = any("no one power" in remark for remark in fitted.remarks)
        slopes = ", ".join(f"{slope:.2f}" for slope in fitted.local_slopes["slope"])
        table.add_row(str(width), f"{fitted.parameters['alpha']:.2f}", slopes, "no" if bent else "yes")
    screen.print(table)
    screen.print(
        f"E is the entropy of the walks, {floor:.4f} nats, which no model is below. Counting transitions has "
        "exponent 1. A fit across a bend gives the exponent of its window, and is told so.\n"
    )


def draw_walks(runs: LossTable, folder: Path) -> tuple[Path, Path]:
    """Write walks.png and walks.svg: the loss above the floor against tokens and against parameters."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .drawing import PALETTE

    frame = runs.to_frame().assign(excess=runs.loss - runs["loss_floor"])
    with matplotlib.rc_context({"font.size": 8, "svg.hashsalt": "scalefit"}):
        figure = Figure(figsize=(7.0, 3.0), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, sharey=True)
        style: dict[str, Any] = {"marker": "o", "markersize": 3, "linewidth": 1}
        for colour, (width, rows) in zip(PALETTE, frame.groupby("width"), strict=False):
            left.loglog(rows["tokens"], rows["excess"], color=colour, label=f"width {width}", **style)
        counting = frame.groupby("tokens")["loss_counting"].first() - frame["loss_floor"].iloc[0]
        left.loglog(counting.index, counting, color="0.4", linestyle="--", linewidth=1, label="counting")
        sizes = np.unique(runs.tokens)
        for shade, tokens in zip(np.linspace(0.8, 0.0, len(sizes)), sizes, strict=True):
            rows = frame[frame["tokens"] == tokens]
            right.loglog(
                rows["params"], rows["excess"], color=str(shade), label=f"{tokens / 1e6:.1f} M tokens", **style
            )
        for letter, ax, column, words in (
            ("a", left, "tokens", "training tokens $D$"), ("b", right, "params", "parameters $N$, with the embedding")
        ):  # fmt: skip
            low, high = frame[column].min() * 0.8, frame[column].max() * 1.3
            ticks = [value * 10.0**power for power in (3, 4, 5, 6, 7) for value in (1, 3)]
            ax.set_xlim(low, high * 3)  # room for the legend
            ax.set_xticks([tick for tick in ticks if low <= tick <= high])
            ax.xaxis.set_major_formatter(
                lambda value, _: f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k"
            )
            ax.minorticks_off()
            ax.set_xlabel(words)
            ax.set_title(letter, loc="left", fontweight="bold")
            ax.legend(frameon=False, loc="upper right", fontsize="small")
        left.set_ylabel("loss above the entropy floor (nats per token)")
        png, svg = folder / "walks.png", folder / "walks.svg"
        figure.savefig(png, dpi=200)
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def draw(fits: dict[str, Fit], seventh: pd.DataFrame, folder: Path) -> tuple[Path, Path]:
    """Write pythia.png and pythia.svg: the laws on the left, what they miss by on the right."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .plotting import plot_fit, plot_residuals

    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"font.size": 8, "svg.hashsalt": "scalefit"}):
        figure = Figure(figsize=(7.0, 2.9), layout="constrained")
        FigureCanvasAgg(figure)
        figure.set_layout_engine("constrained", wspace=0.06)
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        several, labels = list(fits.values()), [_label(name, fitted) for name, fitted in fits.items()]
        plot_fit(several, ax=left, labels=labels, held_out=seventh, reach=100)
        plot_residuals(several, ax=right, labels=labels, held_out=seventh)
        _annotate(left, right, fits, seventh)
        png, svg = folder / "pythia.png", folder / "pythia.svg"
        figure.savefig(png, dpi=200)
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def _label(name: str, fitted: Fit) -> str:
    return f"{name}, $\\alpha$ = {fitted.parameters['alpha']:.3f}" if isinstance(fitted.law, PowerLaw) else name


def _annotate(left: Axes, right: Axes, fits: dict[str, Fit], seventh: pd.DataFrame) -> None:
    """Name the seventh run, and write beside it what each law misses by: the lines say which law is which."""
    size, loss = float(seventh["params"].iloc[0]), float(seventh["loss"].iloc[0])
    left.annotate("6.9B", (size, loss), xytext=(7, 5), textcoords="offset points", va="center", fontsize="small")
    from .drawing import PALETTE

    legend = right.get_legend()
    assert legend is not None
    legend.remove()
    right.set_xlim(right.get_xlim()[0], size * 3.4)
    right.axvspan(size / 1.5, size * 3.4, color="0.95", zorder=0, linewidth=0)
    right.text(0.985, 0.5, "held out", transform=right.transAxes, ha="right", va="center", fontsize="small")
    for colour, fitted in zip(PALETTE, fits.values(), strict=False):
        missed = _missed(fitted, seventh)
        right.annotate(
            f"{missed:+.2f}".replace("-", "\u2212"), (size, missed), xytext=(6, 0), textcoords="offset points",
            va="center", color=colour,
        )  # fmt: skip
    for letter, ax in zip("ab", (left, right), strict=True):
        ax.set_title(letter, loc="left", fontweight="bold")
        ax.set_xlabel("parameters $N$, without embeddings")


def _missed(fitted: Fit, seventh: pd.DataFrame) -> float:
    """Measured minus predicted loss of the run that was held out, nats per token."""
    return float(seventh["loss"].iloc[0] - fitted(seventh["params"].iloc[0]))


def _heading(screen: Console, words: str, fits: Iterable[Fit]) -> None:
    """Status first, with everything that is wrong, then the section's name."""
    fits = list(fits)
    notes = [note for fitted in fits for note in fitted.notes]
    screen.print(status_line(not notes, notes or [f"{len(fits)} of {len(fits)} fits are ok"]))
    screen.print(Text(words, "bold"))


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="right" if column else "left")
    return table


if __name__ == "__main__":
    typer.run(main)
