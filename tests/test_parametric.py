"""LawRegressor: a scikit-learn regressor, its constraints, and what it says of data that cannot tell."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

import scalefit as sf
from scalefit import LawRegressor, Status

X1 = np.geomspace(1e6, 1e9, 10)[:, None]
POWER = sf.PowerLaw(E=1.7, A=40.0, alpha=0.3)
RUNS = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6)).to_numpy()
SURFACE = sf.HOFFMANN_2022(*RUNS.T)


class AnyReal(RegressorMixin, BaseEstimator):
    """Maps any real X and y to a law's positive column and loss, which is all that scikit-learn's checks lack."""

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, dtype=float, y_numeric=True)
        weights = _check_sample_weight(sample_weight, X, dtype=float, allow_all_zero_weights=False)
        self.low_ = float(np.min(y[weights > 0])) - 1.0
        root = np.sqrt(weights)
        centred = [a - np.average(a, axis=0, weights=weights) for a in (X, y)]
        self.direction_ = -np.linalg.lstsq(root[:, None] * centred[0], root * centred[1], rcond=None)[0]
        self.direction_ /= np.ptp(X[weights > 0] @ self.direction_) + 1e-12
        self.model_ = LawRegressor(sf.PowerLaw).fit(self._column(X), y - self.low_, sample_weight=sample_weight)
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.model_.predict(self._column(validate_data(self, X, dtype=float, reset=False))) + self.low_

    def _column(self, X):
        return np.exp(np.clip(X @ self.direction_[:, None], -300, 300))


CHECKS = [c for _, c in estimator_checks_generator(AnyReal()) if "array_api" not in c.func.__name__]  # not an array API


@pytest.mark.parametrize("check", [pytest.param(check, id=check.func.__name__) for check in CHECKS])
def test_scikit_learn_check(check):
    check(AnyReal())


def test_clone_and_parameters_round_trip():
    model = LawRegressor(sf.Chinchilla, objective=sf.Huber(0.01, "log"), fixed={"E": 1.6}, tied={"beta": "alpha"})
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize(
    ("law", "columns", "truth"),
    [
        (sf.PowerLaw, X1, POWER),
        (sf.Exponential, np.linspace(1, 9, 9)[:, None] * 1e8, sf.Exponential(E=2.0, A=1.5, alpha=4e-9)),
        (sf.Chinchilla, RUNS, sf.HOFFMANN_2022),
    ],
)
def test_noiseless_data_give_their_law_back(law, columns, truth):
    model = LawRegressor(law).fit(columns, truth(*columns.T))
    assert model.status_ is Status.OK
    # the surface is flat along (A, alpha): rounding of the losses alone moves them by 1e-9
    for name, value in truth.to_dict().items():
        assert getattr(model.law_, name) == pytest.approx(value, rel=1e-7)


def test_fixed_parameters_keep_their_value_to_the_last_bit():
    model = LawRegressor(sf.Chinchilla, fixed={"A": 406.4, "E": 1.7}).fit(RUNS, SURFACE)
    assert (model.law_.A, model.law_.E) == (406.4, 1.7)
    assert model.free_ == ("B", "alpha", "beta")


@pytest.mark.parametrize("tied", [{"beta": "alpha"}, {"alpha": "beta"}, {"B": "A", "beta": "alpha"}])
def test_tied_parameters_are_equal(tied):
    model = LawRegressor(sf.Chinchilla, tied=tied).fit(RUNS, SURFACE)
    for follower, leader in tied.items():
        assert getattr(model.law_, follower) == getattr(model.law_, leader)


def test_a_constraint_that_holds_changes_nothing():
    truth = sf.Chinchilla(E=1.7, A=400, B=400, alpha=0.3, beta=0.3)
    rng = np.random.default_rng(0)
    loss = truth(*RUNS.T) * np.exp(0.01 * rng.standard_normal(len(RUNS)))
    free = LawRegressor(sf.Chinchilla).fit(RUNS, loss)
    same = LawRegressor(sf.Chinchilla, fixed={"alpha": free.law_.alpha}).fit(RUNS, loss)
    assert same.objective_value_ == pytest.approx(free.objective_value_, rel=1e-9)
    tied = LawRegressor(sf.Chinchilla, tied={"beta": "alpha"}).fit(RUNS, loss)
    assert tied.objective_value_ > free.objective_value_


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fixed": {"gamma": 1.0}}, "gamma.*E, A, B, alpha, beta"),
        ({"tied": {"beta": "gamma"}}, "gamma"),
        ({"tied": {"alpha": "beta", "beta": "alpha"}}, "circle"),
        ({"tied": {"alpha": "alpha"}}, "circle"),
        ({"fixed": {"beta": 0.3}, "tied": {"beta": "alpha"}}, "both"),
        ({"tied": {"A": "alpha"}}, "amplitude"),
        ({"fixed": {"E": 1, "A": 1, "B": 1, "alpha": 1, "beta": 1}}, "nothing to fit"),
        ({"fixed": {"E": -1.0}}, "at least 0"),
        ({"fixed": {"A": 0.0}}, "positive"),
        ({"fixed": {"alpha": float("nan")}}, "finite"),
    ],
)
def test_impossible_constraints_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        LawRegressor(sf.Chinchilla, **options).fit(RUNS, SURFACE)


def statuses(law, X, loss, **options):
    return {status for status, _ in LawRegressor(law, **options).fit(X, loss).findings_}


def test_a_flat_loss_says_that_the_term_is_gone():
    assert Status.NO_DECREASE in statuses(sf.PowerLaw, X1, np.full(10, 2.0))


def test_a_rising_loss_says_that_the_term_is_gone():
    assert Status.NO_DECREASE in statuses(sf.PowerLaw, X1, 2 + 0.1 * np.log(X1[:, 0]))


def test_a_loss_without_floor_says_that_E_is_zero():
    assert statuses(sf.PowerLaw, X1, 10 - 0.4 * np.log(X1[:, 0])) == {Status.E_AT_ZERO}


def test_a_logarithm_says_that_the_exponent_is_not_identified():
    # with E fixed below any the fit would choose, a slope that small is a logarithm
    loss = 2 - 0.001 * np.log(X1[:, 0] / 1e6)
    assert Status.EXPONENT_AT_LOWER in statuses(sf.PowerLaw, X1, loss, fixed={"E": 0.0})


def test_a_single_high_run_says_that_the_exponent_is_at_its_end():
    loss = np.r_[3.0, np.full(9, 2.0)] + 1e-3 * np.sin(np.arange(10))
    assert Status.EXPONENT_AT_UPPER in statuses(sf.PowerLaw, X1, loss, objective=sf.Squared())


def test_a_collinear_design_says_so():
    N = np.geomspace(1e8, 1e10, 30)
    X = np.stack([N, 20 * N], axis=1)
    rng = np.random.default_rng(0)
    loss = sf.HOFFMANN_2022(*X.T) * np.exp(0.01 * rng.standard_normal(30))
    assert Status.COLLINEAR in statuses(sf.Chinchilla, X, loss)
    X[:, 1] *= np.exp(rng.uniform(-0.1, 0.1, 30))
    assert Status.COLLINEAR in statuses(
        sf.Chinchilla, X, sf.HOFFMANN_2022(*X.T) * np.exp(0.01 * rng.standard_normal(30))
    )
    assert Status.COLLINEAR not in statuses(sf.Chinchilla, RUNS, SURFACE)


def test_too_few_distinct_inputs_say_so():
    X = np.repeat([[1e6], [1e8]], 3, axis=0)
    assert Status.TOO_FEW_VALUES in statuses(sf.PowerLaw, X, np.array([3.0, 3.1, 3.05, 2.0, 2.1, 2.05]))
    one_size = RUNS.copy()
    one_size[:, 1] = 1e10
    assert Status.TOO_FEW_VALUES in statuses(sf.Chinchilla, one_size, sf.HOFFMANN_2022(*one_size.T))


def test_as_many_rows_as_parameters_say_so():
    assert statuses(sf.PowerLaw, X1[:3], POWER(X1[:3, 0])) == {Status.NO_SPARE_ROWS}


def test_a_row_far_below_the_floor_says_so():
    rng = np.random.default_rng(0)
    X = np.geomspace(1e6, 1e9, 40)[:, None]
    loss = POWER(X[:, 0]) * np.exp(0.002 * rng.standard_normal(40))
    loss[5] = 1.5
    assert statuses(sf.PowerLaw, X, loss, objective=sf.Huber(0.005)) == {Status.E_ABOVE_LOSS}


@pytest.mark.parametrize("status", list(Status))
def test_every_status_says_what_to_try(status):
    assert status.value[0].isupper()
    assert status.value.endswith(".")
    assert len(status.value) > 40


def test_weights_count_as_repeated_rows():
    rng = np.random.default_rng(0)
    loss = POWER(X1[:, 0]) * np.exp(0.01 * rng.standard_normal(10))
    times = np.array([1, 2, 0, 3, 1, 1, 2, 1, 1, 4])
    for objective in (None, sf.Huber(0.01), sf.Squared("log"), sf.Huber("mad_of_residuals"), sf.Absolute()):
        weighted = LawRegressor(sf.PowerLaw, objective=objective).fit(X1, loss, sample_weight=times)
        repeated = LawRegressor(sf.PowerLaw, objective=objective).fit(
            np.repeat(X1, times, axis=0), np.repeat(loss, times)
        )
        assert weighted.objective_ == repeated.objective_ or weighted.objective_.delta == pytest.approx(
            repeated.objective_.delta, rel=1e-6
        )
        assert weighted.objective_value_ == pytest.approx(repeated.objective_value_, rel=1e-6)
        assert weighted.law_.alpha == pytest.approx(repeated.law_.alpha, rel=1e-6)


def test_delta_rules_become_numbers():
    loss = POWER(X1[:, 0])
    paper = LawRegressor(sf.PowerLaw).fit(X1, loss).objective_.delta
    assert paper == pytest.approx(1.4826 * np.median(np.abs(loss - np.median(loss))), rel=1e-12)
    noisy = loss * np.exp(0.01 * np.random.default_rng(0).standard_normal(10))
    model = LawRegressor(sf.PowerLaw, objective=sf.Huber("mad_of_residuals")).fit(X1, noisy)
    absolute = LawRegressor(sf.PowerLaw, objective=sf.Absolute()).fit(X1, noisy)
    assert model.objective_.delta == pytest.approx(1.4826 * np.median(np.abs(noisy - absolute.predict(X1))), rel=1e-6)


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        (-X1, POWER(X1[:, 0]), "row 0 .* positive|positive.*row 0"),
        (X1, POWER(X1[:, 0]) - 1.8, "loss must be positive"),
        (X1[:2], np.array([3.0, 2.0]), "3 free parameters.*2 rows"),
        (np.full((5, 1), 1e6), np.linspace(3, 2, 5), "same inputs"),
        (RUNS, SURFACE, "1 input columns.*2 features"),
    ],
)
def test_unusable_rows_are_refused(X, y, says):
    with pytest.raises(ValueError, match=says):
        LawRegressor(sf.PowerLaw).fit(X, y)


def test_a_law_with_numbers_is_refused_where_a_class_is_wanted():
    with pytest.raises(TypeError, match="Law class"):
        LawRegressor(POWER).fit(X1, POWER(X1[:, 0]))


@pytest.mark.parametrize(
    "names", [c for n in range(1, 5) for c in itertools.combinations(["E", "A", "B", "alpha", "beta"], n)]
)
def test_any_parameters_can_be_fixed_at_the_truth(names):
    truth = sf.HOFFMANN_2022.to_dict()
    model = LawRegressor(sf.Chinchilla, fixed={name: truth[name] for name in names}).fit(RUNS, SURFACE)
    # noiseless losses: rounding alone moves flat directions by 1e-9
    assert model.law_.to_dict() == pytest.approx(truth, rel=1e-6)
    assert model.status_ is Status.OK


def test_what_determines_collinear_runs_is_not_blamed():
    N = np.geomspace(1e7, 1e11, 20)
    X = np.stack([N, 20 * N], axis=1)
    assert statuses(sf.Chinchilla, X, sf.HOFFMANN_2022(*X.T), fixed={"A": 406.4, "alpha": 0.34}) == set()
    rng = np.random.default_rng(0)
    N = np.exp(rng.uniform(np.log(1e7), np.log(1e11), 200))
    X = np.stack([N, 20 * N * np.exp(0.25 * rng.standard_normal(200))], axis=1)
    assert np.corrcoef(np.log(X.T))[0, 1] ** 2 > 0.98
    assert statuses(sf.Chinchilla, X, sf.HOFFMANN_2022(*X.T) * np.exp(0.001 * rng.standard_normal(200))) == set()


def test_replicated_sizes_determine_what_is_left_free():
    X = np.repeat([1e8, 1e9], 6)[:, None]
    loss = sf.PowerLaw(E=0, A=40, alpha=0.15)(X[:, 0]) * np.exp(0.002 * np.random.default_rng(0).standard_normal(12))
    assert statuses(sf.PowerLaw, X, loss, fixed={"E": 0.0}) == set()


def test_a_constant_input_is_blamed_for_what_it_leaves_open_and_nothing_else():
    one_size = RUNS.copy()
    one_size[:, 1] = 1e10
    model = LawRegressor(sf.Chinchilla).fit(one_size, sf.HOFFMANN_2022(*one_size.T))
    assert model.status_ is Status.TOO_FEW_VALUES
    assert Status.NO_DECREASE not in {status for status, _ in model.findings_}
    assert statuses(sf.Chinchilla, one_size, sf.HOFFMANN_2022(*one_size.T), fixed={"E": 1.69, "beta": 0.28}) == set()


@pytest.mark.parametrize(
    ("law", "x", "loss"),
    [
        (
            sf.PowerLaw,
            np.array([1, 1.03, 1.06, 1.09, 1.12, 1.15, 1.18, 1.2]) * 1e22,
            [2.5, 2.4, 2.3, 2.29, 2.3, 2.285, 2.29, 2.3],
        ),
        (sf.Exponential, np.linspace(1e12, 1.001e12, 8), 2 + np.exp(-np.linspace(0, 3, 8))),
    ],
)
def test_an_amplitude_beyond_all_numbers_is_not_ok_and_stays_finite(law, x, loss):
    model = LawRegressor(law).fit(x[:, None], loss)
    assert np.isfinite(model.law_.A)
    assert (Status.AMPLITUDE_OUT_OF_RANGE, "A") in model.findings_


def test_a_steep_exponential_on_log_spaced_inputs_is_found():
    x = np.geomspace(1e6, 1e9, 10)
    model = LawRegressor(sf.Exponential).fit(x[:, None], 2 + 1.5 * np.exp(-1e-7 * x))
    assert model.status_ is Status.OK
    assert model.law_.alpha == pytest.approx(1e-7, rel=1e-7)


@dataclass(frozen=True)
class Saturating(sf.Law):
    E: float
    A: float
    scale: float
    objective = sf.Squared()
    bounds = {"E": (0, 10), "A": (0, 100), "scale": (1e3, 1e12)}  # noqa: RUF012

    def value(self, x):
        return self.E + self.A / (1 + x / self.scale)


@dataclass(frozen=True)
class Redundant(sf.Law):
    A: float
    B: float
    alpha: float
    objective = sf.Squared()
    bounds = {"A": (0.01, 1e4), "B": (0.01, 1e4), "alpha": (0.01, 1)}  # noqa: RUF012

    def value(self, x):
        return self.A * self.B * x**-self.alpha


def test_a_law_of_ones_own_says_when_it_is_at_a_bound():
    X = np.geomspace(1e9, 1e14, 12)[:, None]
    assert statuses(Saturating, X, Saturating(2, 5, 1e14)(X[:, 0])) >= {Status.AT_BOUND}
    assert statuses(Saturating, X, Saturating(2, 5, 1e11)(X[:, 0])) == set()


def test_a_law_of_ones_own_says_when_parameters_trade_off():
    assert Status.NOT_IDENTIFIED in statuses(Redundant, X1, Redundant(3, 5, 0.2)(X1[:, 0]))


@pytest.mark.parametrize("objective", [sf.Absolute(), sf.Absolute("log"), sf.Huber(1e-6), sf.Huber("mad_of_residuals")])
def test_narrow_objectives_converge_on_good_data(objective):
    lost = 0
    for seed in range(40):
        x = np.geomspace(1e6, 1e9, 12)[:, None]
        loss = POWER(x[:, 0]) * np.exp(0.01 * np.random.default_rng(seed).standard_normal(12))
        lost += Status.NOT_CONVERGED in statuses(sf.PowerLaw, x, loss, objective=objective)
    assert lost == 0
    assert Status.NOT_CONVERGED not in statuses(sf.PowerLaw, X1, POWER(X1[:, 0]), objective=objective)


@pytest.mark.parametrize(
    "options",
    [
        {"objective": sf.Huber}, {"objective": "huber"}, {"fixed": ["E"]}, {"tied": "beta=alpha"},
        {"fixed": {"alpha": ".25"}}, {"fixed": {"E": True}},
    ],
)  # fmt: skip
def test_options_of_the_wrong_kind_are_refused_by_name(options):
    with pytest.raises(TypeError, match=r"objective must|must be a dict|fixed at a number"):
        LawRegressor(sf.PowerLaw, **options).fit(X1, POWER(X1[:, 0]))


def test_a_floor_fixed_above_the_losses_is_refused_by_its_weighted_median():
    loss = POWER(X1[:, 0])
    with pytest.raises(ValueError, match="E is fixed at 9"):
        LawRegressor(sf.PowerLaw, fixed={"E": 9.0}).fit(X1, loss)
    heavy = np.where(loss > np.median(loss), 6, 1)
    E = float(np.median(loss)) + 0.02
    weighted = LawRegressor(sf.PowerLaw, fixed={"E": E}).fit(X1, loss, sample_weight=heavy)
    assert weighted.status_ is not Status.OK


def test_laws_that_no_grid_can_screen_are_refused():
    @dataclass(frozen=True)
    class Empty(sf.SeparableLaw):
        E: float

    with pytest.raises(TypeError, match="0 terms"):
        LawRegressor(Empty).fit(X1, POWER(X1[:, 0]))
