"""Pictures: what is drawn is what was fitted, on axes that pyplot knows nothing of."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import scalefit as sf
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
        "E + A params^-alpha, alpha = 0.149",
        "E + A params^-alpha, alpha = 0.0833",
    ]


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


def test_laws_of_two_columns_and_mixed_columns_are_refused():
    runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e10, 1e11, 1e12]))
    with pytest.raises(ValueError, match="not of params, tokens"):
        plot_fit(sf.fit(sf.Chinchilla, runs))
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
