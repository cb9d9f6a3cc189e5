"""Experiments of the percolation theory: slopes, optimum, scaling beside the theory; tables that a law is fitted to."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.theory import experiments
from scalefit.theory.clusters import grow_clusters
from scalefit.theory.experiments import Realisation, allocation_runs, learning_curves, percentiles, scaling_runs
from scalefit.theory.model_scaling import optimal_allocation
from scalefit.theory.nearest import cluster_losses, draw_training
from scalefit.theory.percolation import DataScaling, ModelScaling
from scalefit.theory.targets import branching_targets


@pytest.fixture(scope="module")
def models():
    return scaling_runs("model", seeds=8, seed=0)


@pytest.fixture(scope="module")
def data():
    return scaling_runs("data", seeds=8, seed=0)


# One cluster.


def test_slopes_of_clusters_are_those_of_the_theory():
    """c / D = 1/2 over 32 points to 1/64 of the sites, on 20 clusters of 20 to 80 thousand sites."""
    forest = grow_clusters(20, smallest=20_000, largest=80_000, seed=0)
    curves = learning_curves(forest, branching_targets(forest, seed=0), seed=0)
    some = curves[(curves["points"] >= 32) & (curves["points"] <= curves["size"] / 64)]
    slopes = np.array(
        [np.polyfit(np.log(one["points"]), np.log(one["loss"]), 1)[0] for _, one in some.groupby("cluster")]
    )
    error = np.std(slopes) / np.sqrt(20)
    assert error < 0.03
    assert np.mean(slopes) == pytest.approx(-0.5, abs=3 * error)


def test_a_learning_curve_is_the_losses_of_its_points():
    forest = grow_clusters(5, smallest=40, largest=400, seed=3)
    values = branching_targets(forest, seed=3)
    curves = learning_curves(forest, values, seed=1)
    assert curves["points"].groupby(curves["cluster"]).max().tolist() == [
        2 ** int(np.log2(size // 4)) for size in forest.sizes
    ]
    child = experiments._seeds(1, 3)[2]  # of 4 points
    expected = cluster_losses(forest, values, training=draw_training(forest, [4] * 5, seed=child))
    np.testing.assert_array_equal(curves[curves["points"] == 4]["loss"], expected)


def test_scale_factors_are_as_in_the_paper():
    """Between 1 and about 20: so for the middle two thirds; a curve of 5 points on 100 sites spreads further."""
    factors = np.concatenate([Realisation.draw("small", seed=seed).factors for seed in range(4)])
    assert np.percentile(factors, 16) > 1
    assert np.percentile(factors, 84) < 20
    assert 2 < np.median(factors) < 8


# Figure 5.


def quadratic(nu, log_break):
    return np.stack([np.ones_like(nu), nu, log_break, nu**2, nu * log_break, log_break**2], axis=-1)


def test_no_random_allocation_beats_the_optimal_one_by_more_than_their_spread():
    """Log loss, less its mean by seed, as a quadratic in nu and log k_b: the theory's point, and a wrong theory's.

    The lowest point of the surface is at 1.2 k_b: below a largest size that is allowed, sizes fall less steeply than
    rank^-2 at the first ranks.
    """
    tables, rank = [allocation_runs(90, seed=seed) for seed in range(6)], []
    nu, log_break, log_loss = [], [], []
    for runs in tables:
        theory, others = runs.iloc[0], runs.iloc[1:]
        nu.append(others["nu"] - theory["nu"])
        log_break.append(np.log(others["clusters"] / theory["clusters"]))
        log_loss.append(np.log(others["loss"]) - np.mean(np.log(others["loss"])))
        rank.append(np.mean(others["loss"] < theory["loss"]))
        assert np.corrcoef(np.log(others["loss"]), np.log(others["predicted"]))[0, 1] > 0.4
    design, y = quadratic(np.concatenate(nu), np.concatenate(log_break)), np.concatenate(log_loss)
    surface = np.linalg.lstsq(design, y, rcond=None)[0]
    spread = np.std(y - design @ surface)
    grid = np.meshgrid(np.linspace(-0.5, 0.5, 41), np.linspace(-np.log(4), np.log(4), 41))
    lowest = np.min(quadratic(*grid) @ surface)

    def excess(nu, log_break):
        return quadratic(np.array(nu), np.array(log_break)) @ surface - lowest

    assert excess(0.0, 0.0) < spread / 2
    assert excess(0.0, -np.log(4)) > 2 * spread  # the test can fail
    assert np.mean(rank) < 0.35


def test_allocations_are_those_of_the_theory_and_around_it():
    calls = []
    runs = allocation_runs(60, seed=1, progress=lambda done, all_: calls.append((done, all_)))
    assert calls == [(done, 61) for done in range(1, 62)]
    n = runs["params"][0]
    best = optimal_allocation(n, alpha=1.0, manifold=0.5)
    assert (best.clusters, best.exponent) == (runs["clusters"][0], runs["nu"][0]) == (8, 4 / 3)
    assert runs["params"].nunique() == 1
    assert runs["nu"][1:].between(4 / 3 - 0.5, 4 / 3 + 0.5).all()
    assert runs["clusters"].between(2, 32).all()
    made = Realisation.draw("small", seed=experiments._seeds(1, 3)[0])
    degrees = np.zeros(32)
    degrees[made.by_rank[:8]] = best.sizes
    again = made.measure(degrees, seed=experiments._seeds(experiments._seeds(1, 3)[2], 61)[0])
    assert again["loss"] == pytest.approx(runs["loss"][0], rel=1e-12)


# Figure 6.


@pytest.mark.parametrize("of", ["model", "data"])
def test_measured_losses_are_those_of_the_clusters_laws(of, request):
    """Within 10 % by the mean of logarithms; per row they spread by 6 %."""
    runs = request.getfixturevalue("models" if of == "model" else "data")
    ratio = np.log(runs["loss"] / runs["predicted"])
    assert abs(ratio.mean()) < 0.1
    assert ratio.std() < 0.12


@pytest.mark.parametrize(("of", "column"), [("model", "params"), ("data", "tokens")])
def test_runs_are_a_table_that_a_law_is_fitted_to(of, column, request):
    runs = request.getfixturevalue("models" if of == "model" else "data")
    law = ModelScaling if of == "model" else DataScaling
    theory = sf.LawRegressor(law, fixed={"alpha": 1.0, "manifold": 0.5, "unit": 1.0, "E": 0.0})
    for frame in (runs, percentiles(runs)):
        table = sf.LossTable.from_frame(frame)
        free = sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), table, inputs=column)
        assert free.ok
        assert 0.25 < free.law.alpha < 0.4  # between the first sizes and the limit of 1/2
        fit = sf.fit(theory, table, inputs=column)
        assert fit.ok
    misfit = np.log(frame["loss"] / fit.law(**{column: frame[column].to_numpy()}))
    assert np.max(np.abs(misfit)) < 0.2  # of medians of 8 seeds, with 32 clusters in the place of endlessly many


def test_models_get_the_optimal_allocation_by_rank(monkeypatch):
    asked = []
    monkeypatch.setattr(Realisation, "measure", lambda self, degrees, *, seed: asked.append((self, degrees)) or {})
    sizes = scaling_runs("model", seeds=1)["params"]
    for n, (made, degrees) in zip(sizes, asked, strict=True):
        best = optimal_allocation(n, alpha=1.0, manifold=0.5).sizes
        np.testing.assert_array_equal(degrees[made.by_rank][: best.size], best)
        assert not degrees[made.by_rank][best.size :].any()
        assert degrees.sum() == pytest.approx(n)
    assert best.size in (31, 32)  # the largest model reaches all clusters


def test_samples_fall_on_clusters_by_their_sizes(monkeypatch):
    asked = []
    monkeypatch.setattr(Realisation, "measure", lambda self, degrees, *, seed: asked.append((self, degrees)) or {})
    tokens = scaling_runs("data", seeds=3)["tokens"]
    assert [degrees.sum() for _, degrees in asked] == tokens.tolist()
    score = [
        (degrees - D * made.shares) / np.sqrt(D * made.shares) for D, (made, degrees) in zip(tokens, asked, strict=True)
    ]
    assert np.mean(np.square(score)) == pytest.approx(1, abs=0.2)  # a chi square of some 800 terms, less the shares


def test_a_loss_is_that_of_all_test_sites_by_the_shares_of_their_clusters():
    made = Realisation.draw("small", seed=5)
    degrees = np.where(made.forest.sizes > 1000, 9.0, 0.0)
    found = made.measure(degrees, seed=1)
    points = np.rint(made.factors * degrees).astype(int)
    losses = cluster_losses(made.forest, made.values, training=draw_training(made.forest, points, seed=1))
    assert found["loss"] == pytest.approx(np.average(losses, weights=made.forest.sizes))
    predicted = np.average(np.where(degrees > 0, 1 / 3, 1.0), weights=made.forest.sizes)
    assert found["predicted"] == pytest.approx(predicted)
    assert (found["sites"], found["full"]) == (points.sum(), 0)
    full = made.measure(np.full(32, 1e6), seed=1)
    assert (full["sites"], full["full"]) == (np.sum(made.forest.sizes // 2), 32)


def test_a_run_depends_on_the_seed_and_its_number_alone():
    calls = []
    few = scaling_runs("data", seeds=1, seed=3)
    many = scaling_runs("data", seeds=2, seed=3, progress=lambda done, all_: calls.append((done, all_)))
    pd.testing.assert_frame_equal(few, many[many["seed"] == 0])
    assert calls == [(1, 2), (2, 2)]
    assert not np.isin(few["loss"], scaling_runs("data", seeds=1, seed=4)["loss"]).any()


def test_percentiles_are_those_of_the_seeds(models):
    found = percentiles(models)
    by_hand = models.pivot(index="params", columns="seed", values="loss").to_numpy()
    for name, share in (("loss_p16", 16), ("loss", 50), ("loss_p84", 84)):
        np.testing.assert_allclose(found[name], np.percentile(by_hand, share, axis=1), rtol=1e-12)
    assert found["seeds"].tolist() == [8] * 9


# Words.


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: allocation_runs(0), "number must be a whole number from 1 on"),
        (lambda: allocation_runs(2, preset="huge"), "preset is one of small, medium, paper, not 'huge'"),
        (lambda: scaling_runs("loss"), "of a model or of data, not of 'loss'"),
        (lambda: scaling_runs("data", seeds=0), "seeds must be a whole number from 1 on"),
        (
            lambda: learning_curves(grow_clusters(2, smallest=2, largest=3), np.zeros(6)),
            "2 of 2 clusters have fewer",
        ),
    ],
    ids=["no allocation", "no preset", "neither", "no seed", "small clusters"],
)
def test_experiments_that_cannot_be_are_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
