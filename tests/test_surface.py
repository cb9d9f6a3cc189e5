"""Any regressor as a loss surface: logarithms, weights, refits, where it answers, how it is printed and saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor

import scalefit as sf
from scalefit.hull import dimensions, hull_of
from scalefit.replicates import loop, refits

DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
RIDGE = KernelRidge(kernel="rbf", gamma=0.3, alpha=1e-3)


def runs(noise=0.003, seed=0):
    return sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=noise, seed=seed)


def arrays(noise=0.003):
    table = runs(noise)
    return np.stack([table.params, table.tokens], axis=1), table.loss


def test_its_regressor_can_be_searched_over():
    # scikit-learn's own checks feed zeros to what takes positive inputs; of those there is no logarithm
    X, y = arrays()
    search = GridSearchCV(sf.LogSpace(RIDGE), {"regressor__alpha": [1e-4, 1.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"regressor__alpha": 1e-4}
    assert clone(search.best_estimator_).regressor.alpha == 1e-4
    with pytest.raises(NotFittedError):
        sf.LogSpace(RIDGE).predict(X)


def test_it_is_the_regressor_of_standardised_logarithms():
    X, y = arrays()
    logs = np.log(X)
    Z = (logs - logs.mean(axis=0)) / logs.std(axis=0)
    direct = KernelRidge(kernel="rbf", gamma=0.3, alpha=1e-3).fit(Z, np.log(y))
    np.testing.assert_allclose(sf.LogSpace(RIDGE).fit(X, y).predict(X), np.exp(direct.predict(Z)), rtol=1e-13)


def test_units_do_not_matter():
    X, y = arrays()
    one = sf.LogSpace(RIDGE).fit(X, y).predict(X)
    np.testing.assert_allclose(sf.LogSpace(RIDGE).fit(X * [1e-9, 1e3], y).predict(X * [1e-9, 1e3]), one, rtol=1e-11)


@pytest.mark.parametrize("regressor", [RIDGE, KNeighborsRegressor(3)], ids=["weights", "copies"])
def test_a_weight_is_a_frequency(regressor):
    X, y = arrays()
    weights = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    copies = np.repeat(np.arange(len(y)), weights.astype(int))
    one = sf.LogSpace(regressor).fit(X, y, sample_weight=weights).predict(X)
    np.testing.assert_allclose(one, sf.LogSpace(regressor).fit(X[copies], y[copies]).predict(X), rtol=1e-9)


def test_a_part_of_a_row_needs_a_regressor_that_takes_weights():
    X, y = arrays()
    with pytest.raises(ValueError, match=r"KNeighborsRegressor takes no sample_weight.* row 0 has 0\.5"):
        sf.LogSpace(KNeighborsRegressor(3)).fit(X, y, sample_weight=np.full(len(y), 0.5))


@pytest.mark.parametrize("bad", ["X", "y"])
def test_what_is_not_positive_is_refused(bad):
    X, y = arrays()
    X, y = X.copy(), y.copy()
    (X[:, 1] if bad == "X" else y)[3] = -1.0
    with pytest.raises(ValueError, match=r"(input 1|loss) must be positive, but row 3 .* is -1\.0"):
        sf.LogSpace(RIDGE).fit(X, y)


@pytest.mark.parametrize("kind", ["losses", "counts", "both"])
@pytest.mark.parametrize("regressor", [RIDGE, KNeighborsRegressor(3)], ids=lambda model: type(model).__name__)
def test_refits_equal_the_loop(regressor, kind):
    X, y = arrays()
    rng = np.random.default_rng(1)
    Y = y * np.exp(0.01 * rng.standard_normal((5, len(y)))) if kind != "counts" else y[None]
    W = rng.integers(0, 3, (5, len(y))).astype(float) if kind != "losses" else None
    model = sf.LogSpace(regressor).fit(X, y)
    made, slow = refits(model, X, Y, W), loop(model, X, Y, W)
    np.testing.assert_allclose(made.predict(X), slow.predict(X), rtol=1e-10)
    np.testing.assert_allclose(made[2].predict(X[:4]), slow[2].predict(X[:4]), rtol=1e-10)
    assert made.failed.tolist() == slow.failed.tolist()


# Fit.


def test_any_regressor_becomes_a_fit():
    fitted = sf.fit(RandomForestRegressor(random_state=0), runs())
    assert fitted.inputs == ("params", "tokens")
    assert fitted.ok
    assert fitted.parameters == {}
    assert not fitted.has_law
    assert abs(fitted(1e9, 1e10) - sf.HOFFMANN_2022(1e9, 1e10)) < 0.2


def test_a_search_over_settings_is_a_model_too():
    search = GridSearchCV(RIDGE, {"alpha": [1e-4, 1e-2, 1.0]}, cv=3)
    assert sf.fit(search, runs()).mse < 1e-3


def test_it_answers_nan_outside_its_runs_and_predict_never():
    fitted = sf.fit(RIDGE, runs())
    inside, outside = fitted(params=[1e9, 1e11], tokens=[1e10, 1e10])
    assert np.isfinite(inside)
    assert np.isnan(outside)
    assert np.isfinite(fitted(1e11, 1e10, extrapolate=True))
    assert np.isfinite(fitted.model.predict([[1e11, 1e10]])).all()
    corners = DESIGN[["params", "tokens"]].to_numpy()
    assert np.isfinite(fitted(corners[:, 0], corners[:, 1])).all()
    assert np.isfinite(sf.fit(sf.Chinchilla, runs())(1e14, 1e14))  # a law answers everywhere


def test_rows_without_weight_do_not_widen_the_hull():
    frame = runs().to_frame().assign(copies=1.0)
    frame.loc[frame["params"] > 9e9, "copies"] = 0.0
    fitted = sf.fit(RIDGE, sf.LossTable.from_frame(frame), weights="copies")
    assert np.isnan(fitted(9.9e9, 1e10))
    assert np.isfinite(fitted(3e9, 1e10))


def test_rows_without_weight_do_not_count_as_inputs():
    X, y = arrays()
    diagonal = np.isclose(np.log10(X[:, 1] / X[:, 0]), 1.0).astype(float)
    assert 3 < diagonal.sum() < len(y)
    assert sf.LogSpace(RIDGE).fit(X, y).status_ is sf.Status.OK
    assert sf.LogSpace(RIDGE).fit(X, y, sample_weight=diagonal).status_ is sf.Status.COLLINEAR


def test_the_spare_rows_of_a_surface_are_those_beyond_its_degrees_of_freedom():
    fitted = sf.fit(sf.AnovaKernelRidge(), runs())
    rows, freedom = 36, int(np.ceil(fitted.model.degrees_of_freedom_))
    assert 1 < freedom < rows
    assert sf.bootstrap(fitted, sf.Wild(), resamples=20).spare == min(rows - 1, rows - freedom)
    assert sf.bootstrap(fitted, sf.Wild(by="params"), resamples=20).spare == min(6 - 1, rows - freedom)


def test_an_interval_outside_the_runs_is_refused_and_says_why():
    boot = sf.bootstrap(sf.fit(RIDGE, runs()), resamples=40)
    for statistic in ({"params": 1e12, "tokens": 1e10}, lambda fit: fit(1e12, 1e10)):
        interval = boot.interval(statistic)
        assert interval.refused
        assert "outside the convex hull of the runs" in interval.notes[0]
    corner = boot.interval(lambda fit: fit(1e8, 1e9), method="bca")  # also without the run at that corner
    assert np.isfinite(corner.estimate)
    assert np.isfinite(boot.jackknife(lambda fit: fit(1e8, 1e9))).all()


def test_an_interval_of_a_surface_says_that_its_coverage_is_not_measured():
    interval = sf.bootstrap(sf.fit(RIDGE, runs()), resamples=100).interval({"params": 1e9, "tokens": 1e10})
    assert not interval.refused
    assert any("surface without a formula" in note for note in interval.notes)


def test_a_surface_has_no_law():
    with pytest.raises(AttributeError, match="surface without a formula"):
        _ = sf.fit(RIDGE, runs()).law
    with pytest.raises(TypeError, match="curves need a law"):
        sf.fit_curves(RIDGE, runs(), along="params", at="tokens")


def test_it_prints_status_before_numbers():
    words = repr(sf.fit(RIDGE, runs())).splitlines()
    assert words[0] == "ok    A surface without a formula: it holds between its runs, and answers nan beyond them."
    assert words[1] == "KernelRidge(alpha=0.001, gamma=0.3, kernel='rbf') of params, tokens    36 rows"
    assert words[2].startswith("objective ")


def test_its_protocol_is_plain():
    protocol = sf.fit(RIDGE, runs()).protocol
    assert json.loads(json.dumps(protocol))["search"] == {
        "method": "KernelRidge of log loss on standardised log inputs"
    }  # fmt: skip
    assert protocol["objective"] == {"name": "Squared", "space": "log"}


def test_a_regressor_without_plain_numbers_is_not_saved(tmp_path):
    with pytest.raises(TypeError, match="a KernelRidge has no plain form"):
        sf.fit(RIDGE, runs()).save(tmp_path / "fit.json")
    assert not list(tmp_path.iterdir())


def test_inputs_that_do_not_vary_are_refused_and_inputs_on_a_line_flagged():
    one_size = sf.LossTable.from_frame(sf.grid(params=[1e9], tokens=[1e9, 1e10, 1e11]).assign(loss=[3.0, 2.5, 2.3]))
    with pytest.raises(ValueError, match=r"'params' is 1e\+09 in all 3 rows.*inputs='tokens'"):
        sf.fit(RIDGE, one_size)
    sizes = np.geomspace(1e8, 1e10, 9)
    line = sf.grid(params=sizes).assign(tokens=20 * sizes, loss=2 + (sizes / 1e8) ** -0.3)
    fitted = sf.fit(RIDGE, sf.LossTable.from_frame(line))
    assert fitted.status is sf.Status.COLLINEAR
    assert np.isfinite(fitted(1e9, 2e10))
    assert np.isnan(fitted(1e9, 3e10))


def test_models_that_are_none_are_refused():
    for model in (KernelRidge, None, "kernel", object()):
        with pytest.raises(TypeError, match="model must be a Law class, or a regressor"):
            sf.fit(model, runs())


def test_a_gaussian_process_needs_no_wrapping():
    model = GaussianProcessRegressor(alpha=1e-6, optimizer=None)
    wrapped, plain = (sf.fit(which, runs()) for which in (sf.LogSpace(model), model))
    assert wrapped(1e9, 1e10) == plain(1e9, 1e10)


# Hull.


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_hull_holds_its_points_and_their_mixtures_alone(k):
    rng = np.random.default_rng(k)
    points = rng.normal(size=(40, k)) * 10.0 ** rng.uniform(-3, 3, k) + 30
    hull = hull_of(points)
    mixtures = rng.dirichlet(np.ones(40), 50) @ points
    assert hull.contains(points).all()
    assert hull.contains(mixtures).all()
    center = points.mean(axis=0)
    assert not hull.contains(center + 1.001 * (points[[np.argmax(points[:, 0])]] - center)).any()


def test_the_hull_of_points_in_a_plane_is_flat():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 3)) + 5
    hull = hull_of(points)
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    normal /= np.linalg.norm(normal)
    assert hull.rank == dimensions(points) == 2
    assert hull.contains(points).all()
    assert not hull.contains(points.mean(axis=0)[None] + 1e-3 * normal).any()
    assert dimensions(points[:1]) == 0
    assert hull_of(points[:1]).contains(points[:2]).tolist() == [True, False]
