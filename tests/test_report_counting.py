"""The report of runs on walks lays the loss of counting beside the law, and no other report does."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.drawing import new_axes
from scalefit.figures import counting_figure, law_figure
from scalefit.sections import law_section
from scalefit.studies import Settings, study


def of_walks(floors=2.0):
    D = np.geomspace(1e4, 1e7, 8)
    frame = pd.DataFrame({"tokens": D, "loss": 2.0 + 4000 / D**0.95, "loss_floor": floors})
    return sf.LossTable.from_frame(frame.assign(loss_counting=frame["loss_floor"] + 4500 / D))


def of_models_on_walks(floors=2.0):
    design = sf.grid(params=np.geomspace(1e4, 1e6, 4), tokens=np.geomspace(1e5, 1e7, 5))
    law = sf.Chinchilla(E=2.0, A=50.0, B=4000.0, alpha=0.6, beta=0.8)
    frame = sf.simulate(law, design, noise=0.001).to_frame().assign(loss_floor=floors)
    return sf.LossTable.from_frame(frame.assign(loss_counting=frame["loss_floor"] + 4500 / frame["tokens"]))


def studied(runs):
    return study(runs, "runs", Settings(resamples=10))


def test_runs_on_walks_have_the_line_of_counting():
    figure = law_figure(studied(of_walks()))
    assert "2 + 4,500/D" in figure.caption
    data = pd.read_csv(StringIO(figure.csv))
    np.testing.assert_allclose(data["counting"], 2 + 4500 / data["tokens"], rtol=1e-9)


def test_models_on_walks_have_a_figure_of_their_excess_beside_that_of_counting():
    of = studied(of_models_on_walks())
    figure = counting_figure(of)
    assert figure in law_section(of).figures
    assert "4,500/D" in figure.caption
    data = pd.read_csv(StringIO(figure.csv))
    np.testing.assert_allclose(data["counting"], 2 + 4500 / data["tokens"], rtol=1e-9)
    assert counting_figure(studied(of_walks())) is None  # there the law's own figure has the line


def test_what_is_drawn_is_the_excess_of_law_counting_and_runs(monkeypatch):
    of, drawings = studied(of_models_on_walks()), []
    monkeypatch.setattr("scalefit.figures.drawn", lambda *parts: drawings.append(parts[3]))
    counting_figure(of)
    ax = new_axes()
    drawings[0](ax)
    small, large, counting, runs = ax.lines
    for line, params in ((small, of.table.params.min()), (large, of.table.params.max())):
        x = line.get_xdata()
        np.testing.assert_allclose(line.get_ydata(), of.fit(params, x) - 2, rtol=1e-9)
    np.testing.assert_allclose(counting.get_ydata(), 4500 / counting.get_xdata(), rtol=1e-9)
    np.testing.assert_allclose(runs.get_ydata(), of.table.loss - 2, rtol=1e-12)
    assert {ax.get_xscale(), ax.get_yscale()} == {"log"}


@pytest.mark.parametrize("runs", [of_walks([2.0] * 4 + [2.5] * 4), sf.load("pythia").where("kept")])
def test_others_have_none(runs):
    figure = law_figure(studied(runs))
    assert "counts transitions" not in figure.caption
    assert "counting" not in figure.csv


@pytest.mark.parametrize(
    "runs", [of_models_on_walks([2.0] * 10 + [2.1] * 10), sf.simulate(sf.HOFFMANN_2022, sf.grid(
        params=np.geomspace(1e8, 1e10, 4), tokens=np.geomspace(1e9, 1e11, 5)), noise=0.001)]
)  # fmt: skip
def test_others_over_params_and_tokens_have_none(runs):
    assert counting_figure(studied(runs)) is None
