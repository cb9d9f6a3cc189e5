"""AnovaKernelRidge: exact optima of Huber's loss, against scikit-learn, an IRLS oracle and the optimality conditions.

Of two solutions to a tolerance of 1e-10 of delta the fitted values differ by no more than that times a few units: they
are compared at 1e-9 of the scale of y.
"""

import json
import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, LeaveOneOut
from sklearn.utils.estimator_checks import estimator_checks_generator

from runs import missing_words, refusal
from scalefit import anova as anova_room
from scalefit import huber_ridge, kernel_refits
from scalefit.anova import anova
from scalefit.huber_ridge import HuberRidge, solve, solve_together
from scalefit.kernel import AnovaKernelRidge
from scalefit.objective import Huber, Squared
from scalefit.replicates import loop, refits
from scalefit.status import Status

SAME = 1e-9
DELTAS = [1e-3, 1e-2, 0.1, math.inf]


def table(n=60, k=2, seed=0, noise=0.02):
    """A curved surface with heavy-tailed noise; its outputs have a scale of about 1."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, k))
    return X, np.exp(-X).sum(axis=1) / (2 * k) + noise * rng.standard_t(2, n)


def optimality(model, X, y, w=None):
    """Largest of abs(ridge c_i - w_i psi(r_i)) / w_i, in units of the largest psi; residuals by way of `predict`."""
    w = np.ones(len(y)) if w is None else w
    psi = np.clip(y - model.predict(X), -model.delta, model.delta)
    return np.max(np.abs(model.ridge * model.dual_coef_ - w * psi)[w > 0] / w[w > 0]) / np.max(np.abs(psi))


def irls(K, y, w, ridge, delta):
    """Fitted values of an oracle that knows nothing of active sets: weights 1 inside, delta / abs(r) outside."""
    inner = np.ones(len(y))
    for _ in range(3000):
        fitted = K @ np.linalg.solve(K + np.diag(ridge / (w * inner)), y)
        before, inner = inner, np.minimum(1.0, delta / np.maximum(np.abs(y - fitted), 1e-300))
        if np.max(np.abs(inner - before)) < 1e-13:
            break
    return fitted


# The optimum.


CHECKS = [  # it takes no other array API
    check
    for model in (AnovaKernelRidge(), AnovaKernelRidge(delta=math.inf))
    for check in estimator_checks_generator(model)
    if "array_api" not in check[1].func.__name__
]


@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=lambda value: value.func.__name__ if hasattr(value, "func") else str(value)
)
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_least_squares_is_kernel_ridge_of_scikit_learn(k, weighted):
    X, y = table(k=k)
    w = np.random.default_rng(1).uniform(0.5, 3, len(y)) if weighted else np.ones(len(y))
    shape = {"main": np.arange(1.0, k + 1), "interaction": 0.5, "length_scale": np.linspace(0.7, 1.5, k)}
    model = AnovaKernelRidge(**shape, delta=math.inf).fit(X, y, w)
    kernel, mean = anova(k, **shape), np.average(y, weights=w)
    other = KernelRidge(alpha=1e-3, kernel="precomputed").fit(kernel(X, X), y - mean, w)
    Z = table(k=k, seed=5)[0]
    assert model.predict(Z) == pytest.approx(other.predict(kernel(Z, X)) + mean, rel=1e-10, abs=1e-10)
    assert model.objective_ == Squared()
    assert model.n_iter_ == 0


def test_a_delta_beyond_all_residuals_is_least_squares():
    X, y = table()
    assert AnovaKernelRidge(delta=10.0).fit(X, y).predict(X) == pytest.approx(
        AnovaKernelRidge(delta=math.inf).fit(X, y).predict(X), abs=1e-12
    )


def test_the_kernel_is_its_formula():
    X, Z, length = table(7, 3)[0], table(4, 3, seed=1)[0], (0.5, 1.0, 2.0)
    parts = [np.exp(-((X[:, [j]] - Z[:, j]) ** 2) / (2 * length[j] ** 2)) for j in range(3)]
    expected = 2 * parts[0] + 3 * parts[1]
    for amplitude, (i, j) in zip((5, 7, 11), combinations(range(3), 2), strict=True):
        expected = expected + amplitude * parts[i] * parts[j]
    made = anova(3, main=(2, 3, 0), interaction=(5, 7, 11), length_scale=length)
    assert made(X, Z) == pytest.approx(expected, rel=1e-14)


def test_without_main_functions_two_columns_have_the_plain_rbf_kernel():
    X, y = table()
    model = AnovaKernelRidge(main=0.0, length_scale=0.8, delta=math.inf).fit(X, y)
    other = KernelRidge(alpha=1e-3, kernel="rbf", gamma=1 / (2 * 0.8**2)).fit(X, y - y.mean())
    assert model.predict(X) == pytest.approx(other.predict(X) + y.mean(), abs=1e-10)


@pytest.mark.parametrize("kind", ["plain", "weights", "duplicates", "gross outliers", "smooth", "one column"])
@pytest.mark.parametrize("delta", DELTAS)
def test_the_optimality_conditions_hold(delta, kind):
    X, y = table(120, 1 if kind == "one column" else 2, seed=2)
    w = np.ones(len(y))
    if kind == "weights":
        w = np.random.default_rng(3).choice([0.0, 0.5, 1.0, 4.0], len(y))
    if kind == "duplicates":
        X[40:80] = X[:40]
    if kind == "gross outliers":
        y[:12] += 1e4
    model = AnovaKernelRidge(delta=delta, length_scale=10.0 if kind == "smooth" else 1.0).fit(X, y, w)
    assert model.converged_
    assert model.status_ is Status.OK
    # gross outliers: psi is a small difference of large numbers, for the oracle of this test as well
    assert optimality(model, X, y, w) < (1e-7 if kind == "gross outliers" and math.isfinite(delta) else SAME)
    if math.isfinite(delta):
        bound = np.isclose(np.abs(model.ridge * model.dual_coef_), w * delta, rtol=1e-9, atol=0)
        assert bound[w > 0].any() == (np.abs(y - model.predict(X))[w > 0] > delta).any()


@pytest.mark.parametrize(("n", "length", "ridge"), [(400, 10.0, 1e-3), (300, 10.0, 1e-8), (150, 0.05, 1e-6)])
def test_ill_conditioned_kernels_are_solved_to_rounding(n, length, ridge):
    X, y = table(n, seed=4)
    model = AnovaKernelRidge(length_scale=length, ridge=ridge).fit(X, y)
    assert model.converged_
    kernel = anova(2, main=1.0, interaction=1.0, length_scale=length)
    lost = 1e-15 * 3 * np.sum(np.abs(model.dual_coef_))  # the rounding of a sum of so many such terms
    off = ridge * model.dual_coef_ - np.clip(y - y.mean() - kernel(X, X) @ model.dual_coef_, -1e-3, 1e-3)
    assert np.max(np.abs(off)) < 2 * lost + 1e-12


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("delta", [3e-3, 1e-2, 0.1])
def test_irls_and_active_set_agree(delta, weighted):
    X, y = table(80, seed=6)
    y[:4] += 5.0
    w = np.random.default_rng(7).integers(1, 4, len(y)).astype(float) if weighted else np.ones(len(y))
    model = AnovaKernelRidge(delta=delta).fit(X, y, w)
    mean = np.average(y, weights=w)
    kernel = anova(2, main=1.0, interaction=1.0, length_scale=1.0)
    # IRLS creeps where a residual is nearly delta: 1e-7 of y is what its 3000 rounds reach
    assert model.predict(X) == pytest.approx(irls(kernel(X, X), y - mean, w, 1e-3, delta) + mean, abs=1e-7)


def test_objective_and_penalty_are_what_is_minimised():
    X, y = table(seed=8)
    w = np.random.default_rng(9).integers(0, 3, len(y)).astype(float)
    model = AnovaKernelRidge(delta=0.01).fit(X, y, w)
    K = anova(2, main=1.0, interaction=1.0, length_scale=1.0)(X, X)

    def objective(dual):
        return np.sum(w * Huber(0.01).rho(y - model.intercept_ - K @ dual)) + 5e-4 * dual @ K @ dual

    assert model.objective_ == Huber(0.01)
    assert model.objective_value_ == pytest.approx(np.sum(w * Huber(0.01).rho(y - model.predict(X))), rel=1e-10)
    assert model.objective_value_ + model.penalty_ == pytest.approx(objective(model.dual_coef_), rel=1e-12)
    rng = np.random.default_rng(10)
    moved = [objective(model.dual_coef_ + size * rng.standard_normal(len(y))) for size in (1e-1, 1e-3, 1e-5)]
    assert min(moved) > objective(model.dual_coef_)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_and_constant_outputs_are_fitted(n):
    X = np.arange(2.0 * n).reshape(n, 2)
    assert AnovaKernelRidge().fit(X, np.full(n, 3.0)).predict(X).tolist() == [3.0] * n
    assert AnovaKernelRidge().fit(X, np.arange(n)).converged_


def test_every_way_to_a_step_gives_the_same_step():
    X, _ = table(40)
    rng = np.random.default_rng(0)
    w = rng.uniform(0.5, 2.0, 40)
    problem = HuberRidge(anova(2, main=1.0, interaction=1.0, length_scale=1.0)(X, X), w, 1e-2, 0.1)
    A = problem.K + np.diag(1e-2 / w)
    free, known, base = rng.random((6, 40)) < 0.6, rng.standard_normal((6, 40)), rng.random(40) < 0.5
    free[0], free[1], free[2] = base, False, True
    shared = huber_ridge._shared(huber_ridge._pivoted(problem, base), base, free, known)
    for own, values, step in zip(free, known, shared, strict=True):
        assert np.where(own, A @ step, step) == pytest.approx(values, abs=1e-9)
        # the condition of A is 1e4
        assert huber_ridge._by_free(problem, own, values) == pytest.approx(step, rel=1e-7, abs=1e-7)
        by_bound = huber_ridge._by_bound(problem.factor(np.arange(40)), own, values)
        assert by_bound == pytest.approx(step, rel=1e-7, abs=1e-7)


def test_bound_coefficients_are_exact():
    # the ridge would magnify what they are off: bounds 1e-11 too small move fitted values by 1e-11 / 1e-7 of delta
    X, y = table(40, noise=0.5)
    problem = HuberRidge(anova(2, main=1.0, interaction=1.0, length_scale=3.0)(X, X), np.ones(40), 1e-7, 1e-3)
    optimum = solve(problem, y)
    free = np.abs(y - optimum.fitted[0]) <= 1e-3
    assert 5 < free.sum() < 35

    def step(free, known):
        return huber_ridge._by_free(problem, free[0], known[0])[None]

    start = step(free[None], np.where(free, y, optimum.dual * (1 - 1e-11)))  # free rows are as these bounds have them
    found = huber_ridge._minimise(problem, y[None], np.ones((1, 40)), start, step, 50)
    assert found.dual[0, ~free] == pytest.approx(optimum.dual[0, ~free], rel=2e-14)


def test_a_step_goes_to_the_least_of_the_objective():
    rng = np.random.default_rng(0)
    B, n, delta = 30, 20, 0.3
    J = rng.standard_normal((n, n))
    K, c, s = J @ J.T, rng.standard_normal((B, n)), rng.standard_normal((B, n))
    W, y = rng.integers(0, 3, (B, n)).astype(float), rng.standard_normal((B, n))
    s[:20] = y[:20] @ np.linalg.inv(K) - c[:20]  # to the fit through all rows
    length = huber_ridge._length(y - c @ K, s @ K, W, delta, 0.05 * c, 0.05 * s)

    def objective(t):
        at = c + t[:, None] * s
        return np.sum(W * Huber(delta).rho(y - at @ K), axis=1) + 0.025 * np.sum(at @ K * at, axis=1)

    def falls(t):
        return objective(t + 1e-6) < objective(t)

    downhill = falls(np.zeros(B))
    assert downhill[:20].all()
    inner = downhill & (length < 1)
    assert inner.sum() > 5
    grid = np.stack([objective(np.full(B, t)) for t in np.linspace(0, 1, 201)])
    assert np.all((objective(length) <= grid.min(axis=0) * (1 + 1e-12))[downhill])
    assert np.all(length[~downhill] == 1)  # not a step of Newton's: nothing to search


def test_what_does_not_converge_says_so(monkeypatch):
    X, y = table()
    monkeypatch.setattr(huber_ridge, "ROUNDS", 2)
    monkeypatch.setattr(huber_ridge, "ROUNDS_TOGETHER", 2)
    model = AnovaKernelRidge().fit(X, y)
    assert not model.converged_
    assert model.findings_ == [(Status.NOT_CONVERGED, "AnovaKernelRidge")]
    assert model.status_ is Status.NOT_CONVERGED
    made = model.refits(X, np.stack([y, np.full_like(y, 2.0)]))
    assert {key: which.tolist() for key, which in made.flags.items()} == {
        (Status.NOT_CONVERGED, "AnovaKernelRidge"): [True, False]
    }


# Properties.

SEEDS, SOME_DELTA = st.integers(0, 10_000), st.sampled_from([1e-3, 0.02, 0.3, math.inf])


@settings(max_examples=40)
@given(SEEDS, SOME_DELTA)
def test_row_order_does_not_matter(seed, delta):
    X, y = table(25, seed=seed)
    order = np.random.default_rng(seed).permutation(25)
    one, other = AnovaKernelRidge(delta=delta).fit(X, y), AnovaKernelRidge(delta=delta).fit(X[order], y[order])
    assert one.predict(X) == pytest.approx(other.predict(X), abs=SAME)


@settings(max_examples=40)
@given(SEEDS, SOME_DELTA)
def test_a_weight_is_a_frequency(seed, delta):
    X, y = table(25, seed=seed)
    w = np.random.default_rng(seed).integers(0, 4, 25)
    w[0] = 1
    weighted = AnovaKernelRidge(delta=delta).fit(X, y, w)
    copied = AnovaKernelRidge(delta=delta).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    assert weighted.predict(X) == pytest.approx(copied.predict(X), abs=SAME)
    assert weighted.objective_value_ == pytest.approx(copied.objective_value_, rel=1e-7, abs=1e-12)
    assert weighted.degrees_of_freedom_ == pytest.approx(copied.degrees_of_freedom_, rel=1e-6)


@settings(max_examples=40)
@given(SEEDS, SOME_DELTA, st.floats(-50, 50))
def test_a_shift_of_y_shifts_predictions(seed, delta, shift):
    X, y = table(25, seed=seed)
    one, other = AnovaKernelRidge(delta=delta).fit(X, y), AnovaKernelRidge(delta=delta).fit(X, y + shift)
    assert other.predict(X) - shift == pytest.approx(one.predict(X), abs=SAME)


@settings(max_examples=40)
@given(SEEDS, SOME_DELTA, st.floats(1e-3, 1e3))
def test_units_of_y_and_delta_do_not_matter(seed, delta, unit):
    X, y = table(25, seed=seed)
    one = AnovaKernelRidge(delta=delta).fit(X, y)
    other = AnovaKernelRidge(delta=delta * unit).fit(X, y * unit)
    assert other.predict(X) / unit == pytest.approx(one.predict(X), abs=SAME)


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 4))
def test_components_add_up(seed, k):
    X, y = table(25, k, seed=seed)
    model = AnovaKernelRidge(length_scale=2.0).fit(X, y)
    parts = model.components(X[:7])
    assert len(parts) == k + math.comb(k, 2)
    assert sum(parts.values()) + model.intercept_ == pytest.approx(model.predict(X[:7]), abs=1e-11)


def test_components_are_functions_of_the_columns_that_they_name():
    X, y = table()
    frame = pd.DataFrame(X, columns=["size", "data"])
    model = AnovaKernelRidge().fit(frame, y)
    moved = frame.assign(data=frame["data"] + 0.3)
    here, there = model.components(frame), model.components(moved)
    assert list(here) == ["size", "data", "size x data"]
    assert np.array_equal(here["size"], there["size"])
    assert not np.allclose(here["data"], there["data"])
    without = AnovaKernelRidge(interaction=0.0).fit(frame, y).components(frame)
    assert not without["size x data"].any()


def test_blocks_of_new_inputs_change_nothing(monkeypatch):
    X, y = table()
    model, Y = AnovaKernelRidge().fit(X, y), np.stack([y, y**2])
    whole, parts, many = model.predict(X), model.components(X), model.refits(X, Y).predict(X)
    monkeypatch.setattr(anova_room, "BLOCK", 130)  # two rows at a time
    assert model.predict(X) == pytest.approx(whole, abs=1e-12)
    assert model.components(X)["x0 x x1"] == pytest.approx(parts["x0 x x1"], abs=1e-12)
    assert model.refits(X, Y).predict(X) == pytest.approx(many, abs=1e-12)


@pytest.mark.parametrize("delta", [0.02, 0.2, math.inf])
def test_degrees_of_freedom_are_the_derivative_of_fitted_values_by_y(delta):
    X, y = table(30, seed=3)
    model, step = AnovaKernelRidge(delta=delta).fit(X, y), 1e-7
    slopes = []
    for i in range(30):
        up, down = (AnovaKernelRidge(delta=delta).fit(X, y + side * step * np.eye(30)[i]) for side in (1, -1))
        slopes.append((up.predict(X[[i]])[0] - down.predict(X[[i]])[0]) / (2 * step))
    # the mean moves too: it adds 1 where all rows follow it, less where the kernel already holds a constant
    assert sum(slopes) <= model.degrees_of_freedom_ + 1e-5
    assert model.degrees_of_freedom_ <= sum(slopes) + 1 + 1e-5


# Refits.


def tables_of(scheme, X, y, B=12, seed=0):
    """Inputs, outputs and weights of resampled tables."""
    rng, n = np.random.default_rng(seed), len(y)
    signs = y.mean() + (y - y.mean()) * (1 + 0.02 * rng.choice([-1.0, 1.0], (B, n)))
    counts = rng.multinomial(n, np.ones(n) / n, B).astype(float)
    return {
        "wild": (X, signs, None),
        "wild, weighted": (X, signs, rng.integers(0, 3, (1, n)).astype(float)),
        "jackknife": (X, y[None], (1 - np.eye(n)) * rng.integers(1, 3, n)),
        "pairs": (X, y[None], counts),
        "own inputs": (X * rng.uniform(0.8, 1.2, (B, 1, 1)), y[None], counts),
        "own inputs and outputs": (X * rng.uniform(0.8, 1.2, (B, 1, 1)), signs, None),
        "other rows": (X[: n // 2], signs[:, : n // 2], None),
    }[scheme]


SCHEMES = ["wild", "wild, weighted", "jackknife", "pairs", "own inputs", "own inputs and outputs", "other rows"]


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_refits_equal_the_loop(scheme, delta):
    X, y = table(50)
    model = AnovaKernelRidge(delta=delta).fit(X, y)
    X_refits, Y, W = tables_of(scheme, X, y)
    batch, single = refits(model, X_refits, Y, W), loop(model, X_refits, Y, W)
    assert len(batch) == len(single)
    assert not batch.failed.any()
    assert batch.flags == {}
    assert batch.parameters == {}
    Z = table(9, seed=5)[0]
    predicted = batch.predict(Z)
    assert predicted == pytest.approx(single.predict(Z), abs=SAME)
    for b in (0, len(batch) - 1):
        one, other = batch[b], single[b]
        assert one.predict(Z) == pytest.approx(predicted[b], abs=1e-12)
        assert one.objective_value_ == pytest.approx(other.objective_value_, rel=1e-7)
        assert one.penalty_ == pytest.approx(other.penalty_, rel=1e-7)
        assert one.degrees_of_freedom_ == pytest.approx(other.degrees_of_freedom_, rel=1e-6)
        assert np.array_equal(one.X_fit_, other.X_fit_)
        assert np.array_equal(one.sample_weight_, other.sample_weight_)
        assert one.intercept_ == pytest.approx(other.intercept_, rel=1e-12)
        w = one.sample_weight_
        assert optimality(one, one.X_fit_, Y[b % len(Y)], w) < 1e-8


@pytest.mark.parametrize("scheme", ["wild", "own inputs and outputs"])
def test_refits_predict_at_inputs_of_each(scheme):
    X, y = table(30)
    X_refits, Y, W = tables_of(scheme, X, y)
    made = AnovaKernelRidge().fit(X, y).refits(X_refits, Y, W)
    Z = np.random.default_rng(1).standard_normal((12, 4, 2))
    expected = [made[b].predict(Z[b]) for b in range(12)]
    assert made.predict(Z) == pytest.approx(np.array(expected), abs=1e-12)


def test_no_refit_changes_the_fit_nor_its_inputs():
    X, y = table()
    model = AnovaKernelRidge().fit(X, y)
    before, Y, W = {**vars(model)}, np.stack([y, 2 * y]), np.ones((1, len(y)))
    kept = Y.copy(), W.copy()
    assert model.refits(X, Y, W)[1].intercept_ == pytest.approx(2 * model.intercept_, rel=1e-12)
    assert vars(model) == before
    assert np.array_equal(Y, kept[0])
    assert np.array_equal(W, kept[1])


def test_wild_refits_and_refits_without_a_row_are_not_solved_alone(monkeypatch):
    X, y = table(50)
    model = AnovaKernelRidge(delta=0.01).fit(X, y)
    monkeypatch.setattr(huber_ridge, "ROUNDS", 0)  # of one table
    for scheme in ("wild", "wild, weighted", "jackknife"):
        assert model.refits(*tables_of(scheme, X, y)).flags == {}


def test_tables_that_differ_from_the_fit_are_refitted_all_the_same(monkeypatch):
    X, y = table(40)
    model, rng = AnovaKernelRidge(delta=0.01).fit(X, y), np.random.default_rng(0)
    Y = np.stack([y, 100 * rng.standard_normal(40), np.sin(9 * X[:, 0]), np.zeros(40), y**3])
    single = loop(model, X, Y).predict(X)
    assert model.refits(X, Y).predict(X) == pytest.approx(single, abs=1e-7)  # of outputs of 100
    monkeypatch.setattr(huber_ridge, "ROUNDS_TOGETHER", 0)  # then every table goes on alone
    assert model.refits(X, Y).predict(X) == pytest.approx(single, abs=1e-7)


def test_blocks_of_refits_equal_one_batch(monkeypatch):
    X, y = table(30)
    model, told = AnovaKernelRidge(delta=0.01).fit(X, y), []
    X, Y, _ = tables_of("wild", X, y, B=40)
    Y[3] = np.nan
    whole = model.refits(X, Y)
    monkeypatch.setattr(kernel_refits, "BLOCK", 1)  # blocks of 16, the least
    monkeypatch.setattr(huber_ridge, "SYSTEMS", 1)  # one system at a time
    parts = model.refits(X, Y, progress=lambda done, of: told.append((done, of)))
    assert told == [(16, 40), (32, 40), (40, 40)]
    assert np.flatnonzero(parts.failed).tolist() == np.flatnonzero(whole.failed).tolist() == [3]
    assert parts.predict(X) == pytest.approx(whole.predict(X), abs=SAME, nan_ok=True)


def test_tables_that_a_fit_refuses_fail():
    X, y = table(20)
    X[1] = X[0]  # so that the kernel without a ridge is singular
    model = AnovaKernelRidge(ridge=1e-10).fit(X, y)
    W = np.ones((3, 20))
    W[0], W[1] = 0.0, 1e9  # nothing to fit; a ridge that is lost
    made, single = model.refits(X, y[None], W), loop(model, X, y[None], W)
    assert made.failed.tolist() == single.failed.tolist() == [True, True, False]
    assert np.isnan(made.predict(X)[:2]).all()
    assert made[2].predict(X) == pytest.approx(model.predict(X), abs=1e-6)  # of so small a ridge
    assert "refit 0 failed" in refusal(made.__getitem__, 0)
    W = np.full((2, 20), 1e9)
    W[1, 0] = 0.0  # no duplicates: this one can be fitted
    made, single = model.refits(X, y[None], W), loop(model, X, y[None], W)
    assert made.failed.tolist() == single.failed.tolist() == [True, False]
    assert made.predict(X)[1] == pytest.approx(single.predict(X)[1], abs=1e-6)
    own = np.stack([X, np.full_like(X, np.nan)])
    assert model.refits(own, y[None]).failed.tolist() == [False, True]


def test_shapes_that_do_not_agree_are_refused():
    X, y = table(20)
    model = AnovaKernelRidge().fit(X, y)
    assert not missing_words(refusal(model.refits, X[:, :1], y[None]), "(n, 2)", "(20, 1)")
    assert not missing_words(refusal(model.refits, X, y), "(B, 20)")
    assert not missing_words(refusal(model.refits, np.stack([X] * 3), np.stack([y] * 2)), "3 refits", "2")


def test_the_shared_route_needs_no_like_table():
    X, y = table(30)
    K = anova(2, main=1.0, interaction=1.0, length_scale=1.0)(X, X)
    problem = HuberRidge(K, np.ones(30), 1e-3, 0.01)
    Y = np.stack([y, -y])
    made = solve_together(problem, Y, np.ones((2, 30), dtype=bool), np.zeros(30))
    assert made.converged.all()
    for b in range(2):
        assert made.fitted[b] == pytest.approx(solve(problem, Y[b]).fitted[0], abs=SAME)


# Choosing.


def test_the_choice_is_that_of_leave_one_out_by_scikit_learn():
    X, y = table(24, seed=3)
    grid = {"ridge": [1e-4, 1e-2, 1.0], "length_scale": [0.5, 2.0]}
    best = AnovaKernelRidge(delta=0.01).chosen(X, y, **grid)

    def score(model, X_left, y_left):
        return -float(np.sum(Huber(0.01).rho(y_left - model.predict(X_left))))

    search = GridSearchCV(AnovaKernelRidge(delta=0.01), grid, cv=LeaveOneOut(), scoring=score).fit(X, y)
    assert {name: getattr(best, name) for name in grid} == search.best_params_
    results = search.cv_results_
    theirs = {
        (pair["ridge"], pair["length_scale"]): mean
        for pair, mean in zip(results["params"], results["mean_test_score"], strict=True)
    }
    for tried in best.leave_one_out_:
        assert tried["loss"] == pytest.approx(-24 * theirs[tried["ridge"], tried["length_scale"]], rel=1e-7)
    assert best.predict(X) == pytest.approx(search.predict(X), abs=1e-12)


def test_the_choice_counts_weights_and_needs_two_rows():
    X, y = table(24, seed=3)
    w = np.ones(24)
    w[5:] = 0
    some = AnovaKernelRidge(delta=0.01)
    chosen, alone = some.chosen(X, y, w), some.chosen(X[:5], y[:5])
    losses = [[tried["loss"] for tried in best.leave_one_out_] for best in (chosen, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert "two rows" in refusal(some.chosen, X[:1], y[:1])


def test_grid_search_runs_over_every_parameter():
    X, y = table(30)
    grid = {"main": [1.0, (1.0, 0.0)], "interaction": [0.0, 1.0], "ridge": [1e-3, 1e-2], "delta": [1e-2, math.inf]}
    search = GridSearchCV(AnovaKernelRidge(), grid, cv=3, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# Saving.


@pytest.mark.parametrize("delta", [1e-3, math.inf])
def test_a_state_gives_the_model_back_to_the_last_bit(delta):
    X, y = table(40)
    w = np.arange(40) % 3
    model = AnovaKernelRidge(main=(1.0, 0.3), length_scale=np.array([1.0, 1 / 3]), delta=delta).fit(X, y, w)
    again = AnovaKernelRidge.from_state(json.loads(json.dumps(model.to_state(), allow_nan=False)))
    Z = table(200, seed=1)[0]
    assert np.array_equal(again.predict(Z), model.predict(Z))
    assert np.array_equal(again.components(Z)["x0"], model.components(Z)["x0"])
    for name in ("objective_", "objective_value_", "penalty_", "status_", "degrees_of_freedom_", "n_iter_", "ridge"):
        assert getattr(again, name) == getattr(model, name)
    assert again.refits(X, y[None]).predict(Z) == pytest.approx(model.refits(X, y[None]).predict(Z), abs=1e-12)
    assert np.array_equal(clone(again).fit(X, y, w).predict(Z), model.predict(Z))


def test_a_state_keeps_the_names_of_columns():
    X, y = table(20)
    frame = pd.DataFrame(X, columns=["size", "data"])
    state = json.loads(json.dumps(AnovaKernelRidge().fit(frame, y).to_state()))
    assert list(AnovaKernelRidge.from_state(state).components(frame)) == ["size", "data", "size x data"]


@pytest.mark.parametrize(
    "change",
    [
        {"dual": [1.0]}, {"dual": "many"}, {"X": [[1.0, 2.0], [3.0]]}, {"X": [1.0, 2.0]}, {"value": None},
        {"intercept": float("nan")}, {"sample_weight": [-1.0, 1.0, 1.0]}, {"parameters": {"ridge": 1.0}},
        {"parameters": {"ridge": -1.0, "delta": None}}, {"rounds": "few"},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_state_is_refused(change):
    state = AnovaKernelRidge().fit(*table(3)).to_state()
    assert "damaged" in refusal(AnovaKernelRidge.from_state, {**state, **change})
    gone = {name: value for name, value in state.items() if name not in change}
    assert "damaged" in refusal(AnovaKernelRidge.from_state, gone)


# Errors.


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"main": -1.0}, ["main", "-1.0", "column 0"]),
        ({"main": (1.0, math.nan)}, ["main", "nan", "column 1"]),
        ({"main": (1.0, 1.0, 1.0)}, ["main", "2", "column 0, column 1"]),
        ({"interaction": (1.0, 1.0)}, ["interaction", "columns 0 and 1"]),
        ({"interaction": math.inf}, ["interaction", "inf"]),
        ({"length_scale": 0.0}, ["length_scale", "positive"]),
        ({"length_scale": (1.0, -2.0)}, ["length_scale", "-2.0", "column 1"]),
        ({"main": 0.0, "interaction": 0.0}, ["amplitudes", "main"]),
        ({"ridge": 0.0}, ["ridge", "positive"]),
        ({"ridge": math.inf}, ["ridge", "finite"]),
        ({"ridge": 1e-30, "length_scale": 100.0}, ["ridge=1e-30", "or more"]),
        ({"delta": 0.0}, ["delta", "positive", "inf"]),
        ({"delta": math.nan}, ["delta", "nan"]),
    ],
    ids=str,
)
def test_parameters_that_mean_nothing_are_refused(parameters, words):
    X, y = table()
    assert not missing_words(refusal(AnovaKernelRidge(**parameters).fit, X, y), *words)


@pytest.mark.parametrize("parameters", [{"main": "all"}, {"main": True}, {"ridge": "small"}, {"delta": None}])
def test_parameters_that_are_no_numbers_are_refused(parameters):
    with pytest.raises(TypeError, match=next(iter(parameters))):
        AnovaKernelRidge(**parameters).fit(*table())


def test_one_column_has_no_interaction_and_needs_a_function():
    X, y = table(k=1)
    same = [AnovaKernelRidge(interaction=amplitude).fit(X, y).predict(X) for amplitude in (0.0, 5.0, ())]
    assert np.array_equal(same[0], same[1])
    assert np.array_equal(same[0], same[2])
    assert "one column has no interactions" in refusal(AnovaKernelRidge(main=0.0).fit, X, y)
    assert "no pairs" in refusal(AnovaKernelRidge(interaction=(1.0,)).fit, X, y)


def test_the_least_ridge_that_the_error_names_works():
    X, y = table(200)
    message = refusal(AnovaKernelRidge(ridge=1e-30, length_scale=100.0).fit, X, y)
    least = float(message.partition("use ")[2].partition(" ")[0])
    assert least < 1e-9
    assert AnovaKernelRidge(ridge=least, length_scale=100.0).fit(X, y).converged_


def test_too_many_rows_are_refused_with_the_remedy():
    X = np.zeros((10_001, 1))
    assert not missing_words(refusal(AnovaKernelRidge().fit, X, X[:, 0]), "10001", "10000", "sample")


def test_bad_weights_are_refused():
    X, y = table(4)
    for weights, word in (([1, 1, 1, -1], "-1"), ([0, 0, 0, 0], "zero"), ([1, 1], "4 of them")):
        assert word in refusal(AnovaKernelRidge().fit, X, y, weights)
