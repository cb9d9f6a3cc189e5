"""Pictures of frontiers: points, bands and lines are those of the frontier."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.kernel_ridge import KernelRidge

import scalefit as sf
from scalefit.drawing import PALETTE
from scalefit.frontier_plots import plot_frontier
from scalefit.isoflops import envelope
from scalefit.optima import QUANTITIES

BUDGETS = np.array([1e19, 3e19, 1e20, 3e20, 1e21])
GRID = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
RUNS = sf.simulate(sf.HOFFMANN_2022, GRID, noise=0.002)
LAW = sf.fit(sf.Chinchilla, RUNS)
PLAIN = sf.compute_optimal(LAW, BUDGETS)
BANDED = sf.compute_optimal(sf.bootstrap(LAW, resamples=100), BUDGETS)
EDGED = sf.compute_optimal(sf.fit(KernelRidge(kernel="rbf", gamma=0.1, alpha=1e-6), RUNS), [1e19, 1e20, 1e21, 5e21])
TABLE = sf.LossTable.from_frame(RUNS.to_frame().assign(flops=6 * RUNS.params * RUNS.tokens))


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def marks(ax):
    """Points, full and hollow in turn, of every frontier."""
    return [line for line in ax.lines if line.get_marker() != "None" and len(line.get_xdata())]


def dashes(ax):
    return [line for line in ax.lines if line.get_marker() == "None"]


def band(ax, place=0):
    """Budgets and ends of the bars of a frontier."""
    bars = [found for found in ax.collections if hasattr(found, "get_segments")][place]
    return np.array([segment for segment in bars.get_segments() if len(segment)])


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_points_are_the_optima_and_hollow_at_an_edge(quantity):
    full, hollow = marks(plot_frontier(EDGED, quantity))[:2]
    np.testing.assert_array_equal(full.get_xdata(), EDGED.flops[:3])
    np.testing.assert_array_equal(full.get_ydata(), getattr(EDGED, quantity)[:3])
    np.testing.assert_array_equal(hollow.get_xdata(), EDGED.flops[3:])
    np.testing.assert_array_equal(hollow.get_ydata(), getattr(EDGED, quantity)[3:])
    assert to_rgb(hollow.get_markerfacecolor()) == (1.0, 1.0, 1.0)
    assert legend(plot_frontier(EDGED))[-1] == "optimum at an edge"
    assert len(legend(plot_frontier(PLAIN))) == 1


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_bands_are_the_intervals(quantity):
    frame = BANDED.to_frame()
    found = band(plot_frontier(BANDED, quantity))
    np.testing.assert_array_equal(found[:, 0, 0], BUDGETS)
    np.testing.assert_allclose(found[:, 0, 1], frame[f"{quantity}_low"])
    np.testing.assert_allclose(found[:, 1, 1], frame[f"{quantity}_high"])
    assert len(band(plot_frontier(PLAIN, quantity))) == 0


def test_an_optimum_at_an_edge_and_a_refused_interval_have_no_band():
    edged = replace(BANDED, at_edge=np.array([False, False, True, False, False]))
    assert band(plot_frontier(edged))[:, 0, 0].tolist() == np.delete(BUDGETS, 2).tolist()
    draws = replace(
        BANDED.draws, optima=replace(BANDED.draws.optima, params=np.full_like(BANDED.draws.optima.params, np.nan))
    )
    refused = replace(BANDED, draws=draws)
    assert refused.interval("params").refused
    ax = plot_frontier({"law": refused})
    assert len(band(ax)) == 0
    assert legend(ax) == ["law, band refused"]


@pytest.mark.parametrize(
    ("quantity", "symbol", "name"),
    [("params", "a", "a"), ("tokens", "b", "b"), ("loss", r"\gamma", "gamma"), ("tokens_per_param", "b - a", None)],
)
def test_the_line_and_the_legend_are_those_of_the_exponents(quantity, symbol, name):
    found = BANDED.exponents()
    value = found.b - found.a if name is None else getattr(found, name)
    ax = plot_frontier({"law": BANDED}, quantity)
    ends = "" if name is None else " ({:.3f} to {:.3f})".format(*found.intervals[name])
    assert legend(ax) == [f"law, 95 % band: ${symbol} = {value:.3f}${ends}"]
    (line,) = dashes(ax)
    C = line.get_xdata()
    assert C.min() < BUDGETS.min() < BUDGETS.max() < C.max()
    expected = found.tokens(C) / found.params(C) if name is None else getattr(found, quantity)(C)
    np.testing.assert_allclose(line.get_ydata(), expected)


def test_approaches_lie_on_one_plot_in_colours_and_markers_of_their_own():
    ax = plot_frontier({"envelope": envelope(TABLE), "law": BANDED, "kernel": EDGED})
    assert [text.split(":")[0].split(",")[0] for text in legend(ax)] == [
        "envelope", "law", "kernel", "optimum at an edge",
    ]  # fmt: skip
    named = [line for line in marks(ax) if not line.get_label().startswith("_")]
    assert [line.get_color() for line in named] == list(PALETTE[:3])
    assert len({line.get_marker() for line in named}) == 3
    assert [line.get_color() for line in dashes(ax)] == list(PALETTE[:3])


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_axes_say_what_they_show(quantity):
    ax = plot_frontier(PLAIN, quantity)
    assert ax.get_xlabel() == "training compute $C$ (FLOPs)"
    assert ax.get_ylabel().startswith(quantity[:4].replace("para", "parameters").replace("toke", "t"))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    low, high = ax.get_ylim()
    assert sum(low <= mark <= high for mark in ax.get_yticks()) >= 2  # also within less than a decade


def test_the_order_of_budgets_does_not_matter():
    mixed = replace(PLAIN, **{name: getattr(PLAIN, name)[[3, 0, 4, 1, 2]] for name in ("flops", "params", "tokens", "loss", "reach")})  # fmt: skip  # noqa: E501
    one, other = plot_frontier(PLAIN), plot_frontier(mixed)
    assert legend(one) == legend(other)
    np.testing.assert_allclose(dashes(one)[0].get_ydata(), dashes(other)[0].get_ydata())


def test_few_budgets_have_points_and_no_line():
    single = sf.compute_optimal(LAW, 1e20)
    ax = plot_frontier({"law": single})
    assert legend(ax) == ["law"]
    assert legend(plot_frontier(single)) == ["optimum"]
    assert len(dashes(ax)[0].get_xdata()) == 0
    three = sf.compute_optimal(LAW, [1e19, 1e20, 1e21])  # too few for a law of the loss
    assert legend(plot_frontier(three, "loss")) == ["optimum"]
    assert legend(plot_frontier(three))[0].startswith("$a = ")


def test_a_dollar_in_a_name_is_a_dollar():
    ax = plot_frontier({"a $100 run of $x_": PLAIN})
    assert legend(ax)[0].startswith(r"a \$100 run of \$x_: $a")
    ax.figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_picture_can_be_drawn_on_given_axes(quantity):
    figure = Figure()
    ax = figure.add_subplot()
    assert plot_frontier({"law": BANDED, "kernel": EDGED}, quantity, ax=ax) is ax
    assert figure.axes == [ax]
    figure.savefig(io.BytesIO(), format="png")


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="no frontier to draw"):
        plot_frontier({})
    with pytest.raises(TypeError, match="'law' must be a Frontier, as compute_optimal gives, not Fit"):
        plot_frontier({"good": PLAIN, "law": LAW})
    with pytest.raises(TypeError, match=r"this frontier must be a Frontier, .* not list"):
        plot_frontier([PLAIN])
    with pytest.raises(ValueError, match="a frontier has params, tokens, loss, tokens_per_param, not 'flops'"):
        plot_frontier(PLAIN, "flops")
    nothing = replace(PLAIN, params=np.full(5, np.nan))
    with pytest.raises(ValueError, match=r"'none' has no optimum at any of its 5 budgets, 1e\+19 to 1e\+21 FLOPs"):
        plot_frontier({"none": nothing})


def test_bands_and_exponents_have_the_level_that_is_asked():
    ax = plot_frontier({"law": BANDED}, level=0.5)
    frame = BANDED.to_frame(0.5)
    np.testing.assert_allclose(band(ax)[:, 0, 1], frame["params_low"])
    np.testing.assert_allclose(band(ax)[:, 1, 1], frame["params_high"])
    found = BANDED.exponents(level=0.5)
    ends = "{:.3f} to {:.3f}".format(*found.intervals["a"])
    assert legend(ax) == [f"law, 50 % band: $a = {found.a:.3f}$ ({ends})"]


@pytest.mark.parametrize("level", [95, 0.0, 1.0, "0.9", float("nan")])
def test_a_level_that_is_no_share_is_refused_without_a_band_too(level):
    with pytest.raises(ValueError, match=f"level must be between 0 and 1, such as 0.95, not {level!r}"):
        plot_frontier(PLAIN, level=level)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_published_law_is_drawn_at_its_best_models(quantity):
    ax = plot_frontier(PLAIN, quantity, beside=sf.HOFFMANN_2022)
    line = ax.lines[-1]
    law = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, GRID))  # noiseless: the closed form of the same numbers
    best = sf.compute_optimal(law, line.get_xdata())
    np.testing.assert_allclose(line.get_ydata(), getattr(best, quantity), rtol=1e-5)  # the fit is within 1e-6
    words = {"params": ": $a = 0.452$", "tokens": ": $b = 0.548$", "tokens_per_param": ": $b - a = 0.097$", "loss": ""}
    assert legend(ax)[-1] == f"Hoffmann 2022{words[quantity]}"
    assert line.get_color() == PALETTE[1]


def test_a_law_without_a_closed_form_has_its_best_models_too():
    ax = plot_frontier(PLAIN, beside={"Kaplan": sf.KAPLAN_2020, "surface": LAW})
    kaplan, own = ax.lines[-2:]
    assert legend(ax)[-2:] == ["Kaplan: $a = 0.575$", f"surface: $a = {PLAIN.exponents().a:.3f}$"]
    for C, N in zip(kaplan.get_xdata()[::33], kaplan.get_ydata()[::33], strict=True):
        near = sf.KAPLAN_2020(N * np.array([0.99, 1.0, 1.01]), C / (6 * N * np.array([0.99, 1.0, 1.01])))
        assert np.argmin(near) == 1
    np.testing.assert_allclose(own.get_ydata(), sf.compute_optimal(LAW, own.get_xdata()).params, rtol=1e-6)


def test_what_cannot_lie_beside_a_frontier_is_refused():
    with pytest.raises(TypeError, match="must be a law with its numbers"):
        plot_frontier(PLAIN, beside=PLAIN)
    with pytest.raises(ValueError, match="PowerLaw takes flops, and there is no flops"):
        plot_frontier(PLAIN, beside=sf.PowerLaw(1.7, 400.0, 0.3))
