"""The sweep that ships: what a sound sweep on a random graph shows, of the table itself."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

SEEDS = ("seed", "data_seed")
RUNS = sf.load("er_small")
BEST = RUNS.best(over="lr", mean=SEEDS)
FRAME = BEST.to_frame().assign(excess=lambda table: table["loss"] - table["loss_floor"])
FRAME["noise"] = FRAME["loss_sd"] / np.sqrt(FRAME["replicates"])
# Models that can hold the graph, on at least 400 updates: below, losses are no law of anything.
USEFUL = FRAME[(FRAME["width"] >= 24) & (FRAME["tokens"] >= 3.9e5)]


def falls(rows: pd.DataFrame) -> None:
    """No loss is above that of the row before it by more than two standard errors of the pooled seeds."""
    noise = 2 * np.hypot(rows["excess"][1:].to_numpy(), rows["excess"][:-1].to_numpy()) * relative_noise()
    assert (np.diff(rows["excess"]) <= noise).all(), rows[["width", "tokens", "excess", "noise"]]


def relative_noise() -> float:
    return float(np.sqrt(np.mean((USEFUL["noise"] / USEFUL["excess"]) ** 2)))


def test_it_is_whole() -> None:
    assert sorted(FRAME["width"].unique()) == [16, 24, 32, 48, 64]
    assert FRAME.groupby("width").size().tolist() == [6] * 5
    assert set(RUNS["status"]) == {"ok"}
    assert (FRAME["replicates"] == 2).all()
    assert RUNS["excess"].min() > 0
    assert np.array_equal(RUNS["device"].astype(str) != "", np.ones(len(RUNS), dtype=bool))


@pytest.mark.parametrize(("along", "at"), [("tokens", "width"), ("width", "tokens")])
def test_loss_falls_in_data_and_in_parameters(along: str, at: str) -> None:
    assert relative_noise() < 0.1
    for _, rows in USEFUL.groupby(at):
        falls(rows.sort_values(along))


def test_every_loss_is_above_what_counting_would_reach() -> None:
    assert (FRAME["loss"] > FRAME["loss_counting"]).all()


def test_the_best_learning_rate_is_inside_of_what_was_tried() -> None:
    assert USEFUL["at_edge"].mean() <= 0.05


def test_mup_keeps_the_best_learning_rate_over_widths() -> None:
    for _, rows in USEFUL[USEFUL["width"] >= 32].groupby("tokens"):
        assert round(float(np.ptp(np.log2(rows["lr"]))), 2) <= 0.5  # rates are rounded to four digits


def test_the_last_octave_of_data_is_as_steep_as_a_law_of_data() -> None:
    for width, rows in USEFUL[USEFUL["width"] >= 32].groupby("width"):
        last = sf.local_slopes(rows["tokens"], rows["loss"], offset=rows["loss_floor"].iloc[0])["slope"].iloc[-1]
        assert 0.5 <= last <= 1.2, (width, last)


def test_a_fit_across_the_width_that_cannot_hold_the_graph_is_warned_of() -> None:
    model = sf.LawRegressor(sf.PowerLaw, fixed={"E": float(FRAME["loss_floor"].iloc[0])})
    curves = sf.fit_curves(model, BEST.where("tokens > 3.9e5"), along="params", at="tokens")
    for fit in curves:
        assert any("no one power fits" in remark for remark in fit.remarks), fit
