"""The shipped ladder: what its table must show, from bigrams to text."""

import numpy as np
import pytest

import scalefit as sf

RUNS = sf.load("ladder")
DEPTH = np.nan_to_num(RUNS["teacher_depth"].astype(float))
STOPS = {
    "bigrams": RUNS["source"] == "ngrams", "T1L": DEPTH == 1, "T2L": DEPTH == 2, "text": RUNS["source"] == "text",
}  # fmt: skip
TABLES = {name: RUNS.where(rows).best(over="lr") for name, rows in STOPS.items()}


@pytest.mark.parametrize("name", STOPS)
def test_each_stop_has_the_whole_grid_on_one_vocabulary(name):
    frame = RUNS.where(STOPS[name]).to_frame()
    assert len(frame) == 60
    assert (frame["status"] == "ok").all()
    assert set(frame["vocabulary"]) == {512}
    assert frame.groupby(["width", "tokens"])["lr"].nunique().eq(3).all()


@pytest.mark.parametrize("name", ["bigrams", "T1L", "T2L"])
def test_no_run_is_below_its_floor(name):
    frame = RUNS.where(STOPS[name]).to_frame()
    assert frame["loss_floor"].nunique() == 1
    assert (frame["loss"] > frame["loss_floor"]).all()
    np.testing.assert_allclose(frame["excess"], frame["loss"] - frame["loss_floor"], rtol=1e-9)


def test_text_has_no_floor():
    frame = RUNS.where(STOPS["text"]).to_frame()
    assert frame[["loss_floor", "excess", "loss_counting"]].isna().all(axis=None)


@pytest.mark.parametrize("name", STOPS)
def test_losses_fall_with_tokens_and_with_sizes_where_there_are_tokens(name):
    losses = TABLES[name].to_frame().pivot(index="tokens", columns="width", values="loss")
    assert (losses.diff().dropna() < 0).all(axis=None)
    assert (losses.iloc[2:].diff(axis=1).dropna(axis=1) < 0).all(axis=None)


def test_entropies_and_exponents_are_in_the_order_of_complexity():
    fits = [sf.fit(sf.Chinchilla, table) for table in TABLES.values()]
    assert all(fit.ok for fit in fits)
    offsets, alphas, betas = (np.array([fit.parameters[name] for fit in fits]) for name in ("E", "alpha", "beta"))
    assert (np.diff(offsets) < 0).all()
    assert alphas[0] > alphas[1:3].max() > alphas[1:3].min() > alphas[3]
    assert betas[0] > betas[1:3].max() > betas[1:3].min() > betas[3]


def test_several_data_sets_are_not_averaged():
    with pytest.raises(ValueError, match="the column 'dataset' has 4 values"):
        RUNS.best(over="lr")
