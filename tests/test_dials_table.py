"""The shipped dials: what turning them must show."""

import numpy as np
import pytest

import scalefit as sf

RUNS = sf.load("dials")
ORDER = {"mixture": 3, "skip": 2}


def turned(column):
    """Best runs at each setting of a dial, in its order."""
    own = RUNS.where(RUNS["order"].astype(float) == ORDER[column])
    values = own[column].astype(float)
    return {value: own.where(values == value).best(over="lr").to_frame() for value in np.unique(values)}


@pytest.mark.parametrize(("column", "settings"), [("mixture", [0, 0.25, 0.5, 0.75, 1]), ("skip", [1, 2, 4, 8])])
def test_each_setting_has_the_whole_grid_and_one_floor(column, settings):
    assert list(turned(column)) == settings
    for frame in turned(column).values():
        assert len(frame) == 9
        assert frame["loss_floor"].nunique() == 1
        assert (frame["loss"] > frame["loss_floor"]).all()
    assert (RUNS["status"] == "ok").all()
    assert RUNS.to_frame().groupby(["dataset", "width", "tokens"])["lr"].nunique().eq(3).all()


def test_both_dials_begin_at_the_bigrams_of_the_ladder():
    floors = sf.load("ladder").where("source == ngrams")["loss_floor"].astype(float)
    for column in ORDER:
        first = next(iter(turned(column).values()))
        np.testing.assert_allclose(first["loss_floor"], floors[0], rtol=1e-6)


def test_trigrams_lower_the_floor_and_are_harder_to_learn():
    frames = list(turned("mixture").values())
    assert (np.diff([frame["loss_floor"].iloc[0] for frame in frames]) < 0).all()
    excesses = np.array([(frame["loss"] - frame["loss_floor"]).to_numpy() for frame in frames])
    assert (np.diff(excesses, axis=0) > 0).all()


def test_tokens_further_apart_tell_less_of_each_other():
    floors = [frame["loss_floor"].iloc[0] for frame in turned("skip").values()]
    assert (np.diff(floors) > 0).all()
