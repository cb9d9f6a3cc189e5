"""Pictures: what is drawn is what was fitted, on axes that pyplot knows nothing of."""

import io
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import scalefit as sf
from scalefit.drawing import paper_style
from scalefit.plotting import PALETTE, count_words, plot_curves, plot_fit, plot_residuals

PYTHIA = sf.load("pythia")
KEPT = PYTHIA.where("kept")
HELD_OUT = PYTHIA.to_frame().query("not kept")
POWER = sf.fit(sf.PowerLaw, KEPT, inputs="params")
PLAIN = sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), KEPT, inputs="params")
CURVES = sf.fit_curves(
    sf.PowerLaw,
    sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 5), tokens=np.geomspace(1e10, 1e12, 12))),
    along="params",
    at="tokens",
)
GRID = sf.simulate(
    sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 5), tokens=np.geomspace(1e9, 1e11, 4)), noise=0.003
)
PLANE = sf.fit(sf.Chinchilla, GRID)
DASHDOT = (5, 1.5, 1, 1.5)


def besides(ax):
    """Lines of laws that are laid beside, those of the legend left out."""
    found = [line for line in ax.lines if isinstance(line._unscaled_dash_pattern[1], tuple | list)]
    return [line for line in found if tuple(line._unscaled_dash_pattern[1]) == DASHDOT and len(line.get_xdata())]


def lines(ax, style=None):
    return [line for line in ax.lines if style is None or line.get_linestyle() == style]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def drawn(ax):
    """Picture as an image: everything in it can be drawn without a warning."""
    content = io.BytesIO()
    ax.figure.savefig(content, format="png")
    return content.getvalue()


def test_points_are_the_runs():
    ax = plot_fit(POWER)
    points = next(line for line in ax.lines if line.get_label() == "runs")
    np.testing.assert_array_equal(points.get_xdata(), KEPT.params)
    np.testing.assert_array_equal(points.get_ydata(), KEPT.loss)


def test_the_law_is_solid_within_the_data_and_dashed_beyond():
    solid, dashed = plot_fit(POWER).lines[:2]
    largest = KEPT.params.max()
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert np.max(solid.get_xdata()) == pytest.approx(largest) == pytest.approx(np.min(dashed.get_xdata()))
    assert np.max(dashed.get_xdata()) == pytest.approx(10 * largest)
    for line in (solid, dashed):
        np.testing.assert_array_equal(line.get_ydata(), POWER(line.get_xdata()))


def test_the_floor_is_a_line_at_e_unless_there_is_none():
    assert [line.get_ydata()[0] for line in lines(plot_fit(POWER), ":")] == [POWER.law.E]
    assert lines(plot_fit(PLAIN), ":") == []


def test_axes_say_what_they_show():
    ax = plot_fit(POWER)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert ax.get_xlabel() == "parameters $N$"
    assert ax.get_ylabel() == "loss $L$ (nats per token)"
    assert plot_residuals(POWER).get_ylabel() == "measured $-$ predicted (nats)"


def test_rivals_are_overlaid_in_colours_of_their_own():
    ax = plot_fit([POWER, PLAIN], labels=["with", "without"])
    assert legend(ax) == ["with", "without", "runs"]
    assert [line.get_color() for line in ax.lines if line.get_label() in ("with", "without")] == list(PALETTE[:2])


def test_labels_are_formulas_with_exponents_by_default():
    assert legend(plot_fit([POWER, PLAIN]))[:2] == [
        r"$E + A N^{-\alpha}$, $\alpha$ = 0.149",
        r"$E + A N^{-\alpha}$, $\alpha$ = 0.0833",
    ]


@pytest.mark.parametrize("name", ["$", "a$b", "steps", "50 %", "x_{", "Größe"])
def test_a_column_without_a_symbol_stands_as_it_is_named(name):
    ax = plot_fit(
        sf.fit(sf.PowerLaw, sf.LossTable.from_frame(KEPT.to_frame().assign(**{name: KEPT.params})), inputs=name)
    )
    shown = name.replace("$", r"\$")
    assert legend(ax)[0] == rf"E + A {shown}^-alpha, $\alpha$ = 0.149"
    assert drawn(ax)


def test_a_fit_that_is_not_ok_says_so_in_its_label():
    x = np.geomspace(1e6, 1e9, 7)
    falling = sf.LossTable.from_frame(KEPT.to_frame().iloc[:0].reindex(range(7)).assign(params=x, tokens=1e9, loss=10 - 0.4 * np.log(x)))  # fmt: skip  # noqa: E501
    fit = sf.fit(sf.PowerLaw, falling, inputs="params")
    assert not fit.ok
    assert legend(plot_fit(fit, labels=["falling"]))[0] == "falling (not ok)"


def test_held_out_runs_are_hollow():
    ax = plot_fit(POWER, held_out=HELD_OUT)
    point = next(line for line in ax.lines if line.get_label() == "held out")
    assert point.get_ydata().tolist() == HELD_OUT["loss"].tolist()
    assert to_rgb(point.get_markerfacecolor()) == (1.0, 1.0, 1.0)


def test_residuals_are_those_of_the_fit_and_of_the_held_out_runs():
    ax = plot_residuals(POWER, held_out=HELD_OUT)
    _, inside, _, beyond = ax.lines
    np.testing.assert_array_equal(inside.get_ydata(), POWER.residuals)
    expected = HELD_OUT["loss"].to_numpy() - POWER(HELD_OUT["params"])
    np.testing.assert_array_equal(beyond.get_ydata(), expected)


def test_curves_show_every_slice_and_name_at_most_eight():
    ax = plot_curves(CURVES)
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(points) == len(CURVES) == 12
    for line, fit in zip(points, CURVES, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), fit.table.loss)
    assert len(legend(ax)) == 8
    assert (legend(ax)[0], legend(ax)[-1]) == ("10B", "1T")
    assert ax.get_legend().get_title().get_text() == "training tokens $D$"


@pytest.mark.parametrize("draw", [lambda ax: plot_fit(POWER, ax=ax), lambda ax: plot_residuals(POWER, ax=ax), lambda ax: plot_curves(CURVES, ax=ax)])  # fmt: skip  # noqa: E501
def test_given_axes_are_used_and_returned(draw):
    figure = Figure()
    ax = figure.add_subplot()
    assert draw(ax) is ax
    assert figure.axes == [ax]


@pytest.mark.parametrize("make", [lambda: plot_fit(POWER, held_out=HELD_OUT), lambda: plot_residuals([POWER, PLAIN]), lambda: plot_curves(CURVES)])  # fmt: skip  # noqa: E501
def test_every_picture_can_be_drawn(make):
    assert drawn(make()).startswith(b"\x89PNG")


def test_a_dollar_in_a_column_name_is_a_dollar():
    table = sf.LossTable.from_frame(KEPT.to_frame().assign(**{"$cost$": KEPT.params}))
    ax = plot_fit(sf.fit(sf.PowerLaw, table, inputs="$cost$"))
    assert ax.get_xlabel() == r"\$cost\$"
    drawn(ax)


@pytest.mark.parametrize("draw", [plot_fit, plot_residuals])
def test_a_long_name_of_a_column_leaves_room_for_the_picture(draw):
    name = "non_embedding_parameters"
    table = sf.LossTable.from_frame(KEPT.to_frame().assign(**{name: KEPT.params}))
    ax, short = draw(sf.fit(sf.PowerLaw, table, inputs=name), sf.HOFFMANN_2022), draw(POWER, sf.HOFFMANN_2022)
    assert legend(ax)[0] == r"PowerLaw, $\alpha$ = 0.149"
    for one in (ax, short):
        one.figure.draw_without_rendering()
    assert ax.get_window_extent().width > 0.95 * short.get_window_extent().width


def test_fits_of_other_columns_and_mixed_columns_are_refused():
    runs = GRID.to_frame().assign(unique_tokens=1e10)
    three = sf.fit(sf.LawRegressor(sf.DataConstrained, fixed=dict(list(sf.MUENNIGHOFF_2023.to_dict().items())[:6])), sf.LossTable.from_frame(runs))  # fmt: skip  # noqa: E501
    with pytest.raises(ValueError, match="not of params, tokens, unique_tokens"):
        plot_fit(three)
    with pytest.raises(ValueError, match=r"not of params, tokens\. Fit a slice, or lay"):
        plot_fit([PLANE, PLANE])
    with pytest.raises(ValueError, match="params; params_total"):
        plot_residuals([POWER, sf.fit(sf.PowerLaw, KEPT, inputs="params_total")])
    with pytest.raises(ValueError, match="not of no fit"):
        plot_fit([])


def test_labels_are_counted():
    with pytest.raises(ValueError, match="2 fits and 1 labels"):
        plot_fit([POWER, PLAIN], labels=["one"])


@pytest.mark.parametrize(
    ("value", "words"),
    [(999.9e6, "1B"), (1e3, "1k"), (124.4e6, "124M"), (2.5e21, r"$2.5\times10^{21}$"), (0.5, "0.5")],
)
def test_counts_in_words(value, words):
    assert count_words(value) == words


def test_pictures_leave_pyplot_alone_and_matplotlib_is_loaded_late():
    code = (
        "import sys, scalefit as sf\n"
        "fit = sf.fit(sf.PowerLaw, sf.load('pythia'), inputs='params')\n"
        "import scalefit.plotting\n"
        "assert 'matplotlib' not in sys.modules\n"
        "sf.plot_fit(fit)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    source = Path(sf.__file__).resolve().parents[1]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=source)
    assert result.returncode == 0, result.stderr


def test_residuals_of_a_law_of_two_columns_lie_over_the_predicted_loss():
    runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 3e8, 1e9], tokens=[1e9, 1e10, 1e11]), noise=0.01)
    fit = sf.fit(sf.Chinchilla, runs)
    ax = sf.plot_residuals(fit, held_out=runs.to_frame().iloc[:2])
    points, held_out = ax.lines[1:]
    np.testing.assert_array_equal(points.get_xdata(), fit.predicted)
    np.testing.assert_array_equal(points.get_ydata(), fit.residuals)
    np.testing.assert_array_equal(held_out.get_ydata(), fit.residuals[:2])
    assert "predicted loss" in ax.get_xlabel()


# Laws beside.


def test_a_published_law_is_drawn_beside_at_the_other_inputs_of_the_runs():
    ax = plot_fit(POWER, sf.HOFFMANN_2022)
    (line,) = besides(ax)
    np.testing.assert_allclose(line.get_ydata(), sf.HOFFMANN_2022(line.get_xdata(), KEPT.tokens[0]))
    assert legend(ax)[1] == "Hoffmann 2022"
    assert line.get_color() == PALETTE[1]


def test_where_other_inputs_vary_a_law_is_a_cross_at_each_run():
    fit = sf.fit(sf.PowerLaw, GRID, inputs="params")
    ax = plot_fit(fit, {"theirs": sf.BESIROGLU_2024})
    assert besides(ax) == []
    crosses = next(line for line in ax.lines if line.get_marker() == "x")
    np.testing.assert_array_equal(crosses.get_ydata(), sf.BESIROGLU_2024(GRID.params, GRID.tokens))
    ax = plot_fit(sf.fit(sf.PowerLaw, GRID, inputs="flops"), sf.HOFFMANN_2022)
    crosses = next(line for line in ax.lines if line.get_marker() == "x")
    np.testing.assert_array_equal(crosses.get_xdata(), GRID.flops)
    np.testing.assert_array_equal(crosses.get_ydata(), sf.HOFFMANN_2022(GRID.params, GRID.tokens))


def test_laws_of_one_column_and_other_fits_lie_beside_under_their_names():
    ax = plot_fit(POWER, {"by hand": sf.PowerLaw(1.0, 20.0, 0.15), "no offset": PLAIN})
    assert legend(ax) == [r"$E + A N^{-\alpha}$, $\alpha$ = 0.149", "by hand", "no offset", "runs"]
    by_hand, no_offset = besides(ax)
    np.testing.assert_array_equal(by_hand.get_ydata(), sf.PowerLaw(1.0, 20.0, 0.15)(by_hand.get_xdata()))
    np.testing.assert_array_equal(no_offset.get_ydata(), PLAIN(no_offset.get_xdata()))


@pytest.mark.parametrize("beside", [None, sf.HOFFMANN_2022])
def test_a_fit_of_params_and_tokens_is_drawn_over_compute_a_line_per_size(beside):
    ax = plot_fit(PLANE, beside)
    runs = ax.collections[0].get_offsets()
    np.testing.assert_allclose(runs, np.stack([6 * GRID.params * GRID.tokens, GRID.loss], axis=1))
    solid = [line for line in lines(ax, "-") if len(line.get_xdata())]
    assert len(solid) == 5
    for line, N in zip(solid, np.unique(GRID.params), strict=True):
        tokens = line.get_xdata() / (6 * N)
        np.testing.assert_allclose([tokens.min(), tokens.max()], [1e9, 1e11])
        np.testing.assert_allclose(line.get_ydata(), PLANE(N, tokens))
        for other in besides(ax):
            if other.get_color() is line.get_color() or np.array_equal(other.get_color(), line.get_color()):
                np.testing.assert_allclose(other.get_ydata(), beside(N, other.get_xdata() / (6 * N)))
    assert len(besides(ax)) == (0 if beside is None else 10)
    assert ax.get_xlabel() == "training compute $C = 6ND$ (FLOPs)"
    assert ax.figure.axes[1].get_ylabel() == "parameters $N$"
    assert legend(ax)[0].startswith(r"Chinchilla, $\alpha$ = 0.3")
    assert legend(ax)[1:] == ([] if beside is None else ["Hoffmann 2022"]) + ["runs"]


def test_lines_of_a_size_end_a_bit_beyond_its_runs_unless_told_otherwise():
    for reach, factor in ((None, 2.0), (7.0, 7.0)):
        ends = [line.get_xdata().max() for line in lines(plot_fit(PLANE, reach=reach), "--") if len(line.get_xdata())]
        np.testing.assert_allclose(ends, 6 * np.unique(GRID.params) * 1e11 * factor)


@pytest.mark.parametrize("reach", [0, 0.5, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("fit", [POWER, PLANE], ids=["column", "plane"])
def test_laws_do_not_end_before_their_runs(fit, reach):
    with pytest.raises(ValueError, match=f"reach must be a factor from 1 on, such as 10, not {reach!r}"):
        plot_fit(fit, reach=reach)


def test_runs_on_a_line_and_surfaces_have_a_picture_too():
    narrow = sf.grid(params=np.geomspace(1e8, 1e10, 12), tokens=[1.0]).assign(tokens=lambda f: 20 * f["params"])
    for fit in (sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, narrow)), sf.fit(sf.AnovaKernelRidge(), GRID)):
        ax = plot_fit(fit, {"law": PLANE}, held_out=GRID.to_frame().iloc[:2])
        assert drawn(ax).startswith(b"\x89PNG")
    np.testing.assert_allclose(ax.collections[1].get_offsets()[:, 1], GRID.loss[:2])
    assert legend(ax) == ["AnovaKernelRidge", "law", "runs", "held out"]


@pytest.mark.parametrize("style", [nullcontext, paper_style])
def test_curves_have_a_published_law_beside_each_slice(style):
    with style():
        ax = plot_curves(CURVES, sf.BESIROGLU_2024)
    assert len(besides(ax)) == len(CURVES)
    for line, tokens in zip(besides(ax), CURVES.values, strict=True):
        np.testing.assert_allclose(line.get_ydata(), sf.BESIROGLU_2024(line.get_xdata(), tokens))
    assert legend(ax) == ["Besiroglu 2024"]
    drawn(ax)
    legends = [found for found in ax.get_children() if type(found).__name__ == "Legend"]
    width = ax.figure.bbox.width
    assert len(legends) == 2
    assert all(found.get_window_extent().x1 <= width for found in legends)


def test_residuals_of_a_published_law_are_those_at_the_runs():
    theirs = GRID.loss - sf.HOFFMANN_2022(GRID.params, GRID.tokens)
    crosses = next(line for line in plot_residuals(PLANE, sf.HOFFMANN_2022).lines if line.get_marker() == "x")
    np.testing.assert_allclose(crosses.get_ydata(), theirs)
    crosses = next(line for line in plot_residuals(POWER, sf.HOFFMANN_2022).lines if line.get_marker() == "x")
    np.testing.assert_allclose(crosses.get_ydata(), KEPT.loss - sf.HOFFMANN_2022(KEPT.params, KEPT.tokens))


@pytest.mark.parametrize("draw", [plot_fit, plot_residuals])
def test_what_cannot_lie_beside_is_refused(draw):
    with pytest.raises(TypeError, match=r"must be a law with its numbers, .* not Chinchilla"):
        draw(PLANE, sf.Chinchilla)
    with pytest.raises(TypeError, match=r"'x' must be a law with its numbers, .* not float"):
        draw(PLANE, {"x": 1.0})
    with pytest.raises(ValueError, match="Muennighoff 2023 takes params, tokens, unique_tokens, and there is no uni"):
        draw(PLANE, sf.MUENNIGHOFF_2023)
    with pytest.raises(ValueError, match=r"'?Muennighoff 2023'? takes .* there is no unique_tokens here"):
        draw(POWER, sf.MUENNIGHOFF_2023)


# A style for papers.


def test_the_paper_style_holds_within_and_not_after():
    before = plot_fit(POWER)
    with paper_style():
        inside = plot_fit(POWER, sf.HOFFMANN_2022)
        assert drawn(inside).startswith(b"\x89PNG")
    after = plot_fit(POWER)
    assert inside.figure.get_size_inches().tolist() == [3.3, 2.4]
    assert before.figure.get_size_inches().tolist() == after.figure.get_size_inches().tolist() == [4.5, 3.2]
    assert (inside.xaxis.label.get_size(), inside.get_xticklabels()[0].get_size()) == (8.0, 7.0)
    assert inside.figure.dpi == 300


def test_a_size_that_a_user_set_is_kept():
    import matplotlib

    with matplotlib.rc_context({"figure.figsize": (2.0, 1.5)}):
        assert plot_fit(POWER).figure.get_size_inches().tolist() == [2.0, 1.5]


@pytest.mark.parametrize("make", [lambda: plot_fit(PLANE, sf.HOFFMANN_2022), lambda: plot_residuals([PLANE, PLANE]), lambda: plot_curves(CURVES, sf.HOFFMANN_2022), lambda: plot_fit(POWER, sf.HOFFMANN_2022)])  # fmt: skip  # noqa: E501
def test_nothing_lies_beyond_the_paper(make):
    with paper_style():
        ax = make()
        ax.figure.canvas.draw()
        box, page = ax.figure.get_tightbbox(), ax.figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02  # inches
    assert box.x1 < page[0] + 0.02
    assert box.y1 < page[1] + 0.02
