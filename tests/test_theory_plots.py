"""Pictures of theories show the numbers of their frames."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from scalefit.theory.baseline import CountingBaseline
from scalefit.theory.experiments import allocation_runs, percentiles
from scalefit.theory.percolation import DataScaling, ModelScaling
from scalefit.theory.regimes import exponent_curves, exponent_ratios
from scalefit.theory_plots import (
    plot_allocations,
    plot_counting,
    plot_exponent_ratios,
    plot_exponents,
    plot_scaling,
    plot_theory,
)


@pytest.mark.parametrize(("of", "column", "label"), [("model", "params", "freedom"), ("data", "tokens", "samples")])
def test_a_line_per_manifold(of, column, label):
    curves = exponent_curves(of)
    ax = plot_exponents(curves)
    assert label in ax.get_xlabel()
    assert len(ax.lines) == curves["manifold"].nunique()
    for line, (manifold, curve) in zip(ax.lines, curves.groupby("manifold"), strict=True):
        assert f"{manifold:g}" in line.get_label()
        np.testing.assert_array_equal(line.get_xydata(), curve[[column, "exponent"]])


def test_a_line_per_alpha_above_the_line_of_equal_exponents():
    ratios = exponent_ratios([0.5, 2.0])
    one, *lines = plot_exponent_ratios(ratios).lines
    assert np.all(np.asarray(one.get_ydata()) == 1)
    for line, (_, curve) in zip(lines, ratios.groupby("alpha"), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), curve[["manifold", "ratio"]])


def test_counting_is_a_line_of_its_excess_with_the_models_that_count():
    measured = pd.DataFrame({"tokens": [1e3, 1e5], "loss": [2.6, 2.004], "se": [0.01, 0.001]})
    ax = plot_counting(CountingBaseline(entropy=2.0, coefficient=500.0), measured)
    line = ax.lines[0]
    np.testing.assert_allclose(line.get_ydata(), 500 / line.get_xdata(), rtol=1e-12)
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == pytest.approx((500, 2e5))
    np.testing.assert_allclose(ax.containers[0][0].get_ydata(), [0.6, 0.004])
    assert ax.get_ylabel() == "loss above 2 nats"
    assert plot_counting(CountingBaseline(entropy=0.0, coefficient=2.0)).get_ylabel() == "squared error"


def test_random_allocations_are_dots_and_the_theory_a_ring():
    runs = allocation_runs(12, seed=2)
    ax = plot_allocations(runs)
    dots, (ring,) = ax.collections[0], ax.lines
    assert sorted(map(tuple, dots.get_offsets())) == sorted(zip(runs["nu"], runs["clusters"], strict=True))
    np.testing.assert_array_equal(rankdata(-dots.get_array(), method="ordinal"), np.arange(1, 14))  # the lowest on top
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (runs["nu"][0], runs["clusters"][0])
    assert f"{runs['loss'][0]:.3f}" in ring.get_label()


@pytest.mark.parametrize(("column", "law"), [("params", ModelScaling), ("tokens", DataScaling)])
def test_scaling_is_a_median_in_its_band_with_what_is_predicted(column, law):
    rng, x = np.random.default_rng(0), np.repeat([10, 100, 1000], 5)
    runs = pd.DataFrame({column: x, "loss": rng.uniform(0.5, 2, 15) / x, "predicted": rng.uniform(0.5, 2, 15) / x})
    ax, theory = plot_scaling(runs, law(alpha=1.0, manifold=0.5, A=3.0)), law(alpha=1.0, manifold=0.5, A=3.0)
    median, predicted, line = ax.lines
    frame = percentiles(runs)
    np.testing.assert_array_equal(median.get_xydata(), frame[[column, "loss"]])
    np.testing.assert_array_equal(predicted.get_ydata(), runs.groupby(column)["predicted"].median())
    np.testing.assert_array_equal(line.get_ydata(), theory(line.get_xdata()))
    band = ax.collections[0].get_paths()[0].vertices
    assert {*frame["loss_p16"], *frame["loss_p84"]} <= set(band[:, 1])


def test_the_three_figures_of_the_theory_stand_side_by_side():
    models, data, ratios = plot_theory(3.0).axes
    assert [len(ax.lines) for ax in (models, data, ratios)] == [5, 5, 5]
    assert "freedom" in models.get_xlabel()
    assert max(np.max(line.get_ydata()) for line in data.lines) <= 0.75 + 1e-9
    assert max(np.max(line.get_ydata()) for line in ratios.lines) == pytest.approx(4.0)
