"""Pictures of surfaces and valleys: what is drawn is what the fit says, and nothing where it says nothing."""

import io
import subprocess
import sys
from contextlib import nullcontext
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from sklearn.kernel_ridge import KernelRidge

import scalefit as sf
from scalefit import flops
from scalefit.drawing import paper_style
from scalefit.surface_plots import AROUND, BEYOND, NEAR, OPTIMUM, plot_surface, plot_valleys

GRID = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
RUNS = sf.simulate(sf.HOFFMANN_2022, GRID, noise=0.002)
LAW = sf.fit(sf.Chinchilla, RUNS)
KERNEL = KernelRidge(kernel="rbf", gamma=0.1, alpha=1e-6)
SURFACE = sf.fit(KERNEL, RUNS)
BUDGETS = np.array([1e19, 1e20, 1e21])
FRONTIER = sf.compute_optimal(LAW, BUDGETS)
EDGED = sf.compute_optimal(SURFACE, [1e19, 1e20, 1e21, 5e21])  # the last is in a corner of the runs
LINE = sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=[1e9]).assign(tokens=lambda frame: 20 * frame["params"])
DRAW = [plot_surface, plot_valleys]


def table(**columns):
    return sf.LossTable.from_frame(RUNS.to_frame().assign(**columns))


def dear(params, tokens):
    return 8.0 * params * tokens


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def words(ax):
    return [text.get_text() for text in ax.texts]


def labelled(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)


def points(line):
    return np.stack([line.get_xdata(), line.get_ydata()], axis=1).astype(float)


def isoflops(ax):
    """Params and tokens of the lines of equal budget, in the order in which they are drawn."""
    return [points(line) for line in ax.lines if line.get_alpha() == 0.6]


def curves(ax):
    """Losses over params along each budget: the whole, and what is within the runs."""
    drawn = [line for line in ax.lines if line.get_marker() == "None" and to_rgb(line.get_color()) != to_rgb(OPTIMUM)]
    return [points(line) for line in drawn[::2]], [points(line) for line in drawn[1::2]]


def contours(ax):
    """Filled contours, and the lines between them."""
    filled, lines = (found for found in ax.collections if hasattr(found, "levels"))
    return filled, lines


def draw(ax):
    """Picture as an image: everything in it can be drawn without a warning."""
    content = io.BytesIO()
    ax.figure.savefig(content, format="png")
    return content.getvalue()


# The surface.


@pytest.mark.parametrize("fit", [LAW, SURFACE], ids=["law", "surface"])
def test_contours_lie_where_the_fit_has_their_loss(fit):
    _, lines = contours(plot_surface(fit))
    seen = 0
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        if len(path.vertices):
            seen += 1
            # linear interpolation in cells of a grid of 120 by 120
            np.testing.assert_allclose(fit(*path.vertices.T, extrapolate=True), level, atol=2e-3)
    assert seen > 4


def test_of_a_surface_the_hull_of_the_runs_is_filled_and_nothing_else():
    filled, _ = contours(plot_surface(SURFACE))
    places = np.concatenate([path.vertices for path in filled.get_paths() if len(path.vertices)])
    assert SURFACE.hull.contains(np.log(places)).all()
    for column, count in zip(places.T, (RUNS.params, RUNS.tokens), strict=True):
        np.testing.assert_allclose([column.min(), column.max()], [count.min(), count.max()])


def test_a_slanted_hull_is_filled_up_to_its_sides():
    x = np.geomspace(1e8, 1e10, 30)
    cloud = table().to_frame().iloc[:30].assign(params=x, tokens=20 * x * np.exp(np.sin(np.arange(30.0) ** 2)))
    fit = sf.fit(KERNEL, sf.LossTable.from_frame(cloud.assign(loss=2 + (x / 1e8) ** -0.3)))
    filled, _ = contours(plot_surface(fit))
    paths = [Outline(np.log(path.vertices), path.codes) for path in filled.get_paths() if len(path.vertices)]
    corners = np.log(cloud[["params", "tokens"]].to_numpy())
    inside = np.random.default_rng(0).dirichlet(np.ones(30) / 20, 200) @ corners  # near corners and sides too
    covered = np.array([any(path.contains_point(place) for path in paths) for place in inside])
    assert covered.mean() > 0.97  # all but those on a line between two levels
    places = np.concatenate([path.vertices for path in paths])
    middle = corners.mean(axis=0)  # sides of cells are straight in raw counts, which is 1e-3 off in logarithms
    assert fit.hull.contains(middle + 0.999 * (places - middle)).all()


def test_a_law_goes_a_bit_beyond_the_runs():
    filled, _ = contours(plot_surface(LAW))
    places = np.concatenate([path.vertices for path in filled.get_paths() if len(path.vertices)])
    np.testing.assert_allclose(places.max(axis=0), [1e10 * BEYOND, 1e11 * BEYOND])
    np.testing.assert_allclose(places.min(axis=0), [1e8 / BEYOND, 1e9 / BEYOND])


@pytest.mark.parametrize("fit", [LAW, SURFACE], ids=["law", "surface"])
def test_runs_are_points_and_their_hull_a_line(fit):
    ax = plot_surface(fit)
    np.testing.assert_allclose(points(labelled(ax, "runs")), np.stack([RUNS.params, RUNS.tokens], axis=1))
    hull = points(labelled(ax, "hull of the runs"))
    assert np.array_equal(hull[0], hull[-1])
    expected = [[1e8, 1e9], [1e8, 1e11], [1e10, 1e9], [1e10, 1e11]]
    np.testing.assert_allclose(np.unique(hull.round(-3), axis=0), expected)


def test_axes_and_colours_have_units():
    ax = plot_surface(LAW)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("parameters $N$", "training tokens $D$")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.figure.axes[1].get_ylabel() == "loss $L$ (nats per token)"


def test_budgets_are_round_without_a_frontier():
    ax = plot_surface(LAW)
    assert words(ax) == ["$C$ = $10^{18}$ FLOPs", "$10^{19}$", "$10^{20}$", "$10^{21}$"]
    narrow = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e9, 1.5e9, 2e9], tokens=[1e10, 1.2e10, 1.5e10]))
    assert words(plot_surface(sf.fit(KERNEL, narrow))) == ["$C$ = $10^{20}$ FLOPs"]


@pytest.mark.parametrize(("cost", "per"), [(flops.six_nd, 6.0), (dear, 8.0)])
@pytest.mark.parametrize("fit", [LAW, SURFACE], ids=["law", "surface"])
def test_lines_of_equal_budget_spend_it(fit, cost, per):
    found = isoflops(plot_surface(fit, sf.compute_optimal(fit, BUDGETS, cost=cost), cost=cost))
    assert len(found) == 3
    for line, budget in zip(found, BUDGETS, strict=True):
        assert len(line) > 50
        np.testing.assert_allclose(per * line[:, 0] * line[:, 1], budget)
        beyond = BEYOND if fit is LAW else 1.0
        assert np.all(
            (line >= np.array([1e8, 1e9]) / beyond * 0.999) & (line <= np.array([1e10, 1e11]) * beyond * 1.001)
        )


def test_optima_are_those_of_the_frontier_and_hollow_at_an_edge():
    assert EDGED.at_edge.tolist() == [False, False, False, True]
    for ax, y in ((plot_surface(SURFACE, EDGED), EDGED.tokens), (plot_valleys(SURFACE, EDGED), EDGED.loss)):
        full, hollow = labelled(ax, "optimum"), labelled(ax, "optimum at an edge")
        np.testing.assert_array_equal(points(full), np.stack([EDGED.params, y], axis=1)[:3])
        np.testing.assert_array_equal(points(hollow), np.stack([EDGED.params, y], axis=1)[3:])
        assert to_rgb(hollow.get_markerfacecolor()) == (1.0, 1.0, 1.0)
        assert (full.get_linestyle(), hollow.get_linestyle()) == ("-", "None")
    assert "optimum at an edge" not in legend(plot_surface(LAW, FRONTIER))


def test_the_order_of_budgets_does_not_matter():
    mixed = sf.compute_optimal(LAW, BUDGETS[[1, 2, 0]])
    for make in DRAW:
        one, other = make(LAW, FRONTIER), make(LAW, mixed)
        assert words(one) == words(other)
        for line, same in zip(one.lines, other.lines, strict=True):
            np.testing.assert_array_equal(points(line), points(same))


@pytest.mark.parametrize("make", DRAW)
def test_eight_budgets_are_drawn_at_most(make):
    many = sf.compute_optimal(LAW, np.geomspace(1e19, 1e21, 36))
    ax = make(LAW, many)
    assert 6 <= len(words(ax)) <= 8  # one that would touch its neighbour has no name
    np.testing.assert_array_equal(labelled(ax, "optimum").get_xdata(), many.params[::5])


@pytest.mark.parametrize("make", DRAW)
@pytest.mark.parametrize("span", [1.3, 4.0, 100.0])
@pytest.mark.parametrize("style", [nullcontext, paper_style])
def test_names_of_budgets_do_not_touch(make, span, style):
    with style():
        ax = make(LAW, sf.compute_optimal(LAW, np.geomspace(1e19, 1e19 * span, 8)))
        ax.figure.canvas.draw()
        boxes = [text.get_window_extent() for text in ax.texts]
    assert boxes
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_budget_far_beyond_the_runs_has_a_line_around_its_optimum():
    far = sf.compute_optimal(LAW, [1e20, 1e25])
    optimum = far.params[1]
    line = isoflops(plot_surface(LAW, far))[1]
    np.testing.assert_allclose([line[0, 0], line[-1, 0]], [optimum / AROUND, optimum * AROUND], rtol=0.05)
    whole, inside = curves(plot_valleys(LAW, far))
    np.testing.assert_allclose(whole[1][:, 0], line[:, 0])
    assert np.isnan(inside[1][:, 1]).all()


# Valleys.


@pytest.mark.parametrize("fit", [LAW, SURFACE], ids=["law", "surface"])
def test_valleys_are_the_fit_along_each_budget(fit):
    whole, inside = curves(plot_valleys(fit, BUDGETS))
    for valley, known, budget in zip(whole, inside, BUDGETS, strict=True):
        params, loss = valley.T
        np.testing.assert_allclose(loss, fit(params, budget / (6 * params)), rtol=1e-9)
        within = fit.hull.contains(np.log(np.stack([params, budget / (6 * params)], axis=1)))
        assert np.array_equal(np.isfinite(known[:, 1]), within)
        assert within.all() == (fit is SURFACE)


@pytest.mark.parametrize("fit", [LAW, SURFACE], ids=["law", "surface"])
def test_optima_are_where_valleys_are_lowest(fit):
    ax = plot_valleys(fit, BUDGETS)
    for (params, loss), (valley) in zip(points(labelled(ax, "optimum")), curves(ax)[0], strict=True):
        lowest = np.argmin(valley[:, 1])
        np.testing.assert_allclose(params, valley[lowest, 0], rtol=0.03)  # steps of the curve are 1.2 %
        np.testing.assert_allclose(loss, valley[lowest, 1], rtol=1e-4)


def test_budgets_stand_for_the_frontier_of_the_fit():
    one, other = plot_valleys(LAW, list(BUDGETS)), plot_valleys(LAW, FRONTIER)
    np.testing.assert_array_equal(points(labelled(one, "optimum")), points(labelled(other, "optimum")))
    ax = plot_valleys(LAW, BUDGETS, cost=dear)
    expected = sf.compute_optimal(LAW, BUDGETS, cost=dear)
    np.testing.assert_array_equal(points(labelled(ax, "optimum"))[:, 0], expected.params)


@pytest.mark.parametrize("factor", [None, 2.0])
def test_runs_are_drawn_beside_the_budget_that_they_are_near(factor):
    runs = RUNS if factor is None else table(flops=factor * 6 * RUNS.params * RUNS.tokens)
    budgets = 1.1 * 6e17 * 10 ** np.array([1.2, 2.0, 2.8]) * (factor or 1.0)  # beside those of the grid
    ax = plot_valleys(sf.fit(sf.Chinchilla, runs), budgets)
    drawn = [points(line) for line in ax.lines if line.get_markersize() == 3 and line.get_label().startswith("_")]
    spent = 6 * RUNS.params * RUNS.tokens * (factor or 1.0)
    for found, budget in zip(drawn, budgets, strict=True):
        near = np.abs(np.log(spent / budget)) <= np.log(NEAR)
        assert 0 < near.sum() < len(RUNS)
        np.testing.assert_array_equal(found, np.stack([RUNS.params, RUNS.loss], axis=1)[near])


def test_budgets_are_named_at_their_curves():
    ax = plot_valleys(LAW, [1e19, 3.16227766e20])
    assert words(ax) == ["$C$ = $10^{19}$ FLOPs", r"$3.2\times10^{20}$"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("parameters $N$", "loss $L$ (nats per token)")
    assert legend(ax) == ["runs near a budget", "optimum"]


# Both.


def test_a_published_law_has_the_line_of_its_best_models_on_a_surface():
    line = labelled(plot_surface(SURFACE, beside=sf.HOFFMANN_2022), "Hoffmann 2022 optimum")
    seen = points(line)[np.isfinite(points(line)).all(axis=1)]
    assert len(seen) > 50
    assert SURFACE.hull.contains(np.log(seen)).all()
    G = (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62)
    np.testing.assert_allclose(seen[:, 0], G * (seen[:, 0] * seen[:, 1]) ** (0.28 / 0.62), rtol=1e-5)


def test_a_published_law_lies_along_each_valley():
    ax = plot_valleys(LAW, BUDGETS, beside={"theirs": sf.BESIROGLU_2024})
    found = [points(line) for line in ax.lines if line.get_linewidth() == 1.0 and len(line.get_xdata())]
    for line, budget in zip(found, BUDGETS, strict=True):
        np.testing.assert_allclose(line[:, 1], sf.BESIROGLU_2024(line[:, 0], budget / (6 * line[:, 0])))
    assert legend(ax) == ["runs near a budget", "theirs", "optimum"]


@pytest.mark.parametrize("make", DRAW)
def test_what_is_no_law_cannot_lie_beside(make):
    with pytest.raises(TypeError, match="must be a law with its numbers"):
        make(LAW, FRONTIER, beside=sf.Chinchilla)
    with pytest.raises(ValueError, match="takes params, tokens, unique_tokens"):
        make(LAW, FRONTIER, beside=sf.MUENNIGHOFF_2023)


def test_a_run_without_weight_is_not_drawn():
    weighted = sf.fit(sf.Chinchilla, table(count=np.arange(len(RUNS)) % 3), weights="count")
    kept = np.arange(len(RUNS)) % 3 > 0
    np.testing.assert_allclose(labelled(plot_surface(weighted), "runs").get_xdata(), RUNS.params[kept])
    near = np.concatenate([
        points(line) for line in plot_valleys(weighted, BUDGETS).lines if line.get_marker() == "o"
        and line.get_label().startswith("_")
    ])  # fmt: skip
    assert set(near[:, 1]) < set(RUNS.loss[kept])


def test_a_fit_that_is_not_ok_says_so():
    fit = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, LINE))
    assert not fit.ok
    ax = plot_surface(fit)
    assert ax.figure.axes[1].get_ylabel().endswith("fit not ok")
    assert "hull of the runs" not in legend(ax)  # a line has none
    assert plot_valleys(fit, BUDGETS).get_ylabel().endswith("fit not ok")


def test_a_flat_loss_can_be_drawn():
    ax = plot_surface(sf.fit(sf.LogSpace(KERNEL), table(loss=1.0)))  # log loss is zero, and so is the ridge
    assert draw(ax).startswith(b"\x89PNG")


@pytest.mark.parametrize("make", DRAW)
@pytest.mark.parametrize("fit", [LAW, SURFACE], ids=["law", "surface"])
def test_every_picture_can_be_drawn_on_given_axes(make, fit):
    figure = Figure()
    ax = figure.add_subplot()
    assert make(fit, EDGED, ax=ax) is ax
    assert figure.axes[0] is ax
    assert draw(ax).startswith(b"\x89PNG")


def test_residuals_of_a_law_and_a_surface_lie_on_one_plot():
    ax = sf.plot_residuals([LAW, SURFACE], labels=["law", "kernel"])
    for line, fit in zip(ax.lines[1:], (LAW, SURFACE), strict=True):
        np.testing.assert_array_equal(points(line), np.stack([fit.predicted, fit.residuals], axis=1))
    assert legend(ax) == ["law", "kernel"]
    assert draw(sf.plot_residuals(SURFACE)).startswith(b"\x89PNG")


@pytest.mark.parametrize("make", DRAW)
def test_bad_input_is_refused(make):
    one = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params")
    with pytest.raises(TypeError, match=r"of params and tokens, not of a fit of params\."):
        make(one, FRONTIER)
    with pytest.raises(TypeError, match="not of Chinchilla"):
        make(sf.HOFFMANN_2022, FRONTIER)
    with pytest.raises(ValueError, match=r"no optimum at any of its 2 budgets, 1e\+10 to 1e\+30"):
        make(SURFACE, sf.compute_optimal(SURFACE, [1e10, 1e30]))
    with pytest.raises(ValueError, match="vary only together"):
        make(sf.fit(KERNEL, sf.simulate(sf.HOFFMANN_2022, LINE)), FRONTIER)


def test_what_is_no_frontier_and_no_budget_is_refused():
    with pytest.raises(TypeError, match="no Frontier, as compute_optimal gives, but list"):
        plot_surface(LAW, [1e20])
    with pytest.raises(ValueError, match="budget must be positive and finite"):
        plot_valleys(LAW, [0.0])
    with pytest.raises(ValueError, match="no optimum at any of its 1 budgets"):
        plot_valleys(SURFACE, 1e30)


def test_pictures_leave_pyplot_alone_and_matplotlib_is_loaded_late():
    code = (
        "import sys, scalefit as sf\n"
        "from scalefit.surface_plots import plot_surface, plot_valleys\n"
        "from scalefit.frontier_plots import plot_frontier\n"
        "assert 'matplotlib' not in sys.modules\n"
        "runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))\n"
        "fit = sf.fit(sf.Chinchilla, runs)\n"
        "best = sf.compute_optimal(fit, [1e19, 1e20])\n"
        "plot_surface(fit), plot_valleys(fit, best), plot_frontier(best)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    source = Path(sf.__file__).resolve().parents[1]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=source)
    assert result.returncode == 0, result.stderr
