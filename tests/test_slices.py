"""SlicedLaw: one law per slice as a regressor, what it answers between slices, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags

import scalefit as sf
from scalefit.objective import residuals
from scalefit.slices import SlicedLaw
from scalefit.status import Status

SIZES, TOKENS = np.array([1e8, 1e9, 1e10]), np.geomspace(1e9, 1e12, 7)
RUNS = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=SIZES, tokens=TOKENS))
X = np.stack([RUNS.params, RUNS.tokens], axis=1)


def table(params, tokens, loss, **columns):
    return sf.LossTable.from_frame(pd.DataFrame({"params": params, "tokens": tokens, "loss": loss, **columns}))


# Recovery.


@pytest.mark.parametrize("along", ["tokens", "params"])
def test_every_slice_finds_the_law_that_made_it(along):
    design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e12, 6))
    runs = sf.simulate(sf.HOFFMANN_2022, design)
    model = SlicedLaw(sf.PowerLaw, along=along).fit(np.stack([runs.params, runs.tokens], axis=1), runs.loss)
    truth = {"tokens": sf.HOFFMANN_2022.beta, "params": sf.HOFFMANN_2022.alpha}[along]
    assert len(model.slices_) == 6
    assert [part.law_.alpha for part in model.slices_] == pytest.approx([truth] * 6, rel=1e-7)
    assert model.degrees_of_freedom_ == 18
    assert model.status_ is Status.OK
    # an optimum to 1e-9 of the objective of a constant, over losses near 3
    assert model.predict(np.stack([runs.params, runs.tokens], axis=1)) == pytest.approx(runs.loss, rel=1e-7)


def test_slices_are_those_of_curves(chinchilla):
    """Pooled squared error of 1D fits in sample; `recomputed` in the reference: 8.7e-5, and 4.9e-4 of the 2D law."""
    runs = chinchilla.where("kept")
    fit = sf.fit(SlicedLaw(sf.PowerLaw, along="tokens", rtol=5e-3), runs)
    curves = sf.fit_curves(sf.PowerLaw, runs, along="tokens", at="params", rtol=5e-3)
    low, high = fit.model.ranges_.T
    inside = np.any((runs.params[:, None] >= low) & (runs.params[:, None] <= high), axis=1)
    assert (len(curves), inside.sum(), fit.model.search_["rows_in_no_slice"]) == (29, 208, 32)
    own = np.mean(fit.residuals[inside] ** 2)
    assert own == pytest.approx(np.mean(np.concatenate([part.residuals for part in curves]) ** 2), rel=1e-9)
    assert own == pytest.approx(8.7e-5, rel=0.1)
    assert np.mean(sf.fit(sf.Chinchilla, runs).residuals[inside] ** 2) == pytest.approx(4.9e-4, rel=0.1)


# Between slices.


def test_between_slices_it_is_linear_in_the_logarithm_of_what_is_held():
    model = SlicedLaw(sf.PowerLaw, along="tokens").fit(X, RUNS.loss)
    D = 3e10
    ends = model.predict([[1e8, D], [1e9, D]])
    quarter = model.predict([[1e8 * 10**0.25, D]])[0]
    assert quarter == pytest.approx(0.75 * ends[0] + 0.25 * ends[1], rel=1e-12)
    assert ends[0] == model.slices_[0].law_(D)


def test_beyond_the_slices_it_is_constant():
    model = SlicedLaw(sf.PowerLaw, along="tokens").fit(X, RUNS.loss)
    first, last = model.slices_[0].law_(5e10), model.slices_[-1].law_(5e10)
    assert model.predict([[1e6, 5e10], [1e8, 5e10]]).tolist() == [first, first]
    assert model.predict([[1e10, 5e10], [1e13, 5e10]]).tolist() == [last, last]


def test_along_params_holds_tokens():
    model = SlicedLaw(sf.PowerLaw, along="params", min_rows=3).fit(X, RUNS.loss)
    assert model.ranges_[:, 0] == pytest.approx(TOKENS)
    assert model.predict([[3e9, 1e9]])[0] == model.slices_[0].law_(3e9)


def test_rows_of_a_slice_are_predicted_by_their_own_law():
    """A slice has a width: its rows lean on no neighbour."""
    scattered = X * np.where(np.arange(len(X)) % 2, 1.0008, 1.0)[:, None] ** [1, 0]
    model = SlicedLaw(sf.PowerLaw, along="tokens").fit(scattered, RUNS.loss)
    assert np.ptp(model.ranges_, axis=1) == pytest.approx(8e-4 * SIZES)
    for place, part in enumerate(model.slices_):
        own = slice(7 * place, 7 * place + 7)
        assert np.array_equal(model.predict(scattered[own]), part.law_(scattered[own, 1]))


def test_one_slice_answers_everywhere():
    model = SlicedLaw(sf.PowerLaw).fit(X[:7], RUNS.loss[:7])
    assert model.predict([[1e7, 1e10], [1e12, 1e10]]).tolist() == [model.slices_[0].law_(1e10)] * 2


def test_rows_in_no_slice_do_not_move_it_and_are_counted():
    more, loss = np.append(X, [[5e8, 1e10], [6e9, 1e10]], axis=0), np.append(RUNS.loss, [9.0, 9.0])
    model, without = (SlicedLaw(sf.PowerLaw).fit(*rows) for rows in ((more, loss), (X, RUNS.loss)))
    assert np.array_equal(model.predict(X), without.predict(X))
    assert model.search_["rows_in_no_slice"] == 2
    assert 1 < model.predict(more[-2:]).max() < 4
    assert model.objective_value_ > 0.1 > without.objective_value_  # of all rows


# The contract of a regressor. scikit-learn's own checks feed any number of columns of either sign, and so end at the
# first refusal below; what they look at of such a model is here.


def test_it_is_a_regressor_of_raw_units():
    model = SlicedLaw(sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), along="params", rtol=0.01, min_rows=3)
    assert is_regressor(model)
    assert get_tags(model).input_tags.positive_only
    assert get_tags(model).target_tags.positive_only
    twin = clone(model)
    assert (twin.along, twin.rtol, twin.min_rows) == ("params", 0.01, 3)
    assert twin.law.get_params() == model.law.get_params()
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert all(part.law_.E == 0 for part in model.fit(X, RUNS.loss).slices_)


def test_a_fit_of_it_is_printed_and_holds_within_its_runs():
    fit = sf.fit(SlicedLaw(sf.PowerLaw, along="tokens"), RUNS)
    assert fit.ok
    assert "SlicedLaw(law=<class 'scalefit.laws.PowerLaw'>) of params, tokens    21 rows" in repr(fit)
    assert fit.protocol["search"] == {"method": "PowerLaw along tokens in 3 slices", "rows_in_no_slice": 0}
    assert np.isnan(fit(1e12, 1e11))
    assert fit(1e12, 1e11, extrapolate=True) == pytest.approx(sf.HOFFMANN_2022(1e10, 1e11), rel=1e-6)


@pytest.mark.parametrize("law", [sf.PowerLaw, sf.LawRegressor(sf.PowerLaw, objective=sf.Huber(0.01, "log"))])
def test_weights_are_frequencies(law):
    noisy = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=SIZES, tokens=TOKENS), noise=0.02)
    counts = np.arange(len(X)) % 3
    counts[7:14] = 0, 3, 0, 1, 2, 0, 0  # three rows that stand for six: as many as a slice needs
    rows = np.repeat(np.arange(len(X)), counts)
    weighted = SlicedLaw(law).fit(X, noisy.loss, sample_weight=counts)
    copied = SlicedLaw(law).fit(X[rows], noisy.loss[rows])
    # the same objective twice, each descended to its rounding
    assert weighted.predict(X) == pytest.approx(copied.predict(X), rel=1e-7)
    assert weighted.objective_value_ == pytest.approx(copied.objective_value_, rel=1e-7)
    assert len(weighted.slices_) == len(copied.slices_) == 3


def test_copies_of_a_row_make_no_slice():
    counts = np.where(np.arange(len(X)) >= 14, 1, [50, 50, 0, 0, 0, 0, 0] * 3)
    model = SlicedLaw(sf.PowerLaw).fit(X, RUNS.loss, sample_weight=counts)
    assert model.ranges_[:, 0].tolist() == [1e10]


def test_the_order_of_rows_does_not_matter():
    noisy = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=SIZES, tokens=TOKENS), noise=0.02)
    order = np.random.default_rng(0).permutation(len(X))
    shuffled = SlicedLaw(sf.PowerLaw).fit(X[order], noisy.loss[order])
    # the same objective twice, each descended to its rounding
    assert shuffled.predict(X) == pytest.approx(SlicedLaw(sf.PowerLaw).fit(X, noisy.loss).predict(X), rel=1e-7)


def test_the_objective_is_that_of_the_slices_with_the_median_delta():
    noisy = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=SIZES, tokens=TOKENS), noise=0.02)
    model = SlicedLaw(sf.PowerLaw).fit(X, noisy.loss)
    deltas = [part.objective_.delta for part in model.slices_]
    assert len(set(deltas)) == 3
    assert model.objective_.delta == np.median(deltas)
    rho = model.objective_.rho(residuals(model.objective_, noisy.loss, model.predict(X)))
    assert model.objective_value_ == pytest.approx(rho.sum(), rel=1e-12)
    absolute = SlicedLaw(sf.LawRegressor(sf.PowerLaw, objective=sf.Absolute())).fit(X, noisy.loss)
    assert absolute.objective_ == sf.Absolute()


def test_a_bootstrap_of_it_runs():
    noisy = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=SIZES, tokens=TOKENS), noise=0.01)
    boot = sf.bootstrap(sf.fit(SlicedLaw(sf.PowerLaw), noisy), sf.Wild(), resamples=3)
    assert not boot.failed.any()
    assert np.std([refit(1e9, 1e11) for refit in boot]) > 0


def test_what_is_wrong_is_said_with_how_many_slices():
    loss = RUNS.loss.copy()
    loss[:7] = 3.0 + 0.01 * (-1.0) ** np.arange(7)  # falls with nothing
    model = SlicedLaw(sf.PowerLaw).fit(X, loss)
    assert "1 of 3 slices" in [about for _, about in model.findings_]
    assert model.status_ is not Status.OK
    assert any(note.startswith("1 of 3 slices: ") for note in sf.fit(SlicedLaw(sf.PowerLaw), table(*X.T, loss)).notes)


# Refusals.


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"along": "flops"}, ValueError, "along must be one of 'params', 'tokens', not 'flops'"),
        ({"rtol": -1.0}, ValueError, "rtol must be zero or positive"),
        ({"min_rows": 1}, ValueError, "min_rows must be at least 2"),
        ({"min_rows": 8}, ValueError, "each needs 8 rows or more, at 3 values of tokens, and the largest of 3 has 7"),
        ({"law": sf.Chinchilla}, ValueError, "Chinchilla takes 2 columns; slices need a law of one"),
        ({"law": sf.HOFFMANN_2022}, TypeError, "law must be a Law class or a LawRegressor"),
        ({"law": sf.LawRegressor(sf.PowerLaw, fixed={"E": 9.0})}, ValueError, "the slice at params 1e"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_words(settings, error, words):
    with pytest.raises(error, match=words):
        SlicedLaw(**{"law": sf.PowerLaw, **settings}).fit(X, RUNS.loss)


@pytest.mark.parametrize(
    ("inputs", "loss", "words"),
    [
        (X[:, :1], RUNS.loss, "takes 2 columns, params and tokens, but X has 1 features"),
        (X * [1, -1], RUNS.loss, "tokens must be positive, but row 0"),
        (X, RUNS.loss - 2.5, "loss must be positive"),
        (np.where(X == 1e9, np.nan, X), RUNS.loss, "NaN"),
        (X, RUNS.loss[:3], "inconsistent"),
    ],
)
def test_rows_that_cannot_work_are_refused_in_words(inputs, loss, words):
    with pytest.raises(ValueError, match=words):
        SlicedLaw(sf.PowerLaw).fit(inputs, loss)


def test_inputs_that_cannot_be_predicted_are_refused():
    model = SlicedLaw(sf.PowerLaw).fit(X, RUNS.loss)
    with pytest.raises(ValueError, match="params must be positive"):
        model.predict([[0.0, 1e9]])
    with pytest.raises(ValueError, match="1 features"):
        model.predict([[1e9]])
