"""The report of runs on walks has the loss of counting as a line, and no other report has."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.figures import law_figure
from scalefit.studies import Settings, study


def of_walks(floors=2.0):
    D = np.geomspace(1e4, 1e7, 8)
    frame = pd.DataFrame({"tokens": D, "loss": 2.0 + 4000 / D**0.95, "loss_floor": floors})
    return sf.LossTable.from_frame(frame.assign(loss_counting=frame["loss_floor"] + 4500 / D))


def figure_of(runs):
    return law_figure(study(runs, "runs", Settings(resamples=10)))


def test_runs_on_walks_have_the_line_of_counting():
    figure = figure_of(of_walks())
    assert "2 + 4,500/D" in figure.caption
    data = pd.read_csv(StringIO(figure.csv))
    np.testing.assert_allclose(data["counting"], 2 + 4500 / data["tokens"], rtol=1e-9)


@pytest.mark.parametrize("runs", [of_walks([2.0] * 4 + [2.5] * 4), sf.load("pythia").where("kept")])
def test_others_have_none(runs):
    figure = figure_of(runs)
    assert "counts transitions" not in figure.caption
    assert "counting" not in figure.csv
