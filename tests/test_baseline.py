"""The counting baseline: reference values, brute force, agreement with models that count; stationary laws."""

from itertools import product
from math import factorial

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scalefit as sf
from scalefit.theory import baseline
from scalefit.theory.baseline import (
    CountingBaseline,
    baseline_of,
    counting_baseline,
    counting_estimate,
    stationary_law,
)
from scalefit.theory.counting import counted_losses, expected_loss


def random_walk(nodes, share, seed):
    """Dense weights of a directed graph in which every node reaches every other."""
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random((nodes, nodes)) < share, rng.uniform(0.2, 3, (nodes, nodes)), 0.0)
    weights[np.arange(nodes), np.arange(1, nodes + 1) % nodes] = 1.0
    return weights


def eigenvector(transitions):
    values, vectors = np.linalg.eig(transitions.T)
    leading = np.real(vectors[:, np.argmax(np.real(values))])
    return leading / leading.sum()


@pytest.mark.parametrize(
    ("draw", "entropy", "coefficient"),
    [
        (lambda nx: nx.gnm_random_graph(1000, 5000, seed=0), 2.352, 4_500),
        (lambda nx: nx.gnm_random_graph(8000, 50000, seed=0), 2.567, 46_000),
        (lambda nx: nx.barabasi_albert_graph(8000, 6, seed=0), 2.803, 43_964),
    ],
    ids=["er-1000-5000", "er-8000-50000", "ba-8000-6"],
)
def test_the_papers_graphs_have_their_reference_values(draw, entropy, coefficient):
    nx = pytest.importorskip("networkx")
    found = counting_baseline(nx.to_scipy_sparse_array(draw(nx)))
    assert found.coefficient == coefficient
    assert found.entropy == pytest.approx(entropy, abs=5e-4)  # three digits are known


def test_a_directed_weighted_graph_agrees_with_brute_force():
    weights = random_walk(12, 0.4, seed=0)
    transitions = weights / weights.sum(axis=1, keepdims=True)
    logs = np.log(np.where(transitions > 0, transitions, 1.0))
    found = counting_baseline(sparse.csr_array(weights))
    assert found.entropy == pytest.approx(-np.sum(eigenvector(transitions)[:, None] * transitions * logs), abs=1e-12)
    assert found.coefficient == (np.sum(weights > 0) - 12) / 2


def test_symmetric_weights_take_the_closed_form():
    weights = random_walk(15, 0.3, seed=1)
    weights += weights.T
    transitions = weights / weights.sum(axis=1, keepdims=True)
    logs = np.log(np.where(transitions > 0, transitions, 1.0))
    expected = -np.sum(eigenvector(transitions)[:, None] * transitions * logs)
    assert counting_baseline(sparse.csr_array(weights)).entropy == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kappa", [0.0, 1.0], ids=["unbiased", "biased"])
def test_models_that_count_sampled_walks_have_this_loss(kappa):
    """Mean over 200 models; 1/2 is added to the count of every possible edge, which is of the order 1 / D^2."""
    pytest.importorskip("networkx")
    from scaletrain.graph_sources import erdos_renyi
    from scaletrain.ranks import count_walks
    from scaletrain.walks import Walks

    graph = erdos_renyi(30, 90, seed=0).biased(kappa, seed=0, symmetric=True)  # walks start by the stationary law
    models, walks = 200, 800
    sources = np.repeat(np.arange(graph.nodes), graph.degrees)
    law, excess = graph.stationary[sources] * graph.matrix.data, []
    for seed in range(models):
        counts = count_walks(Walks(graph, length=51, seed=seed), walks).edges + 0.5
        estimate = counts / np.add.reduceat(counts, graph.indptr[:-1])[sources]
        excess.append(np.sum(law * np.log(graph.matrix.data / estimate)))
    found = counting_baseline(graph.adjacency)
    predicted = found(walks * 50) - graph.entropy
    assert predicted == pytest.approx((180 - graph.nodes) / 2 / 40_000, rel=1e-9)
    error = np.std(excess) / np.sqrt(models)
    assert error < 0.012 * predicted
    assert np.mean(excess) == pytest.approx(predicted, abs=4 * error + 0.02 * predicted)  # the next order is below 2 %


def test_a_baseline_falls_to_the_entropy_as_one_over_tokens():
    made = CountingBaseline(entropy=2.0, coefficient=50.0)
    np.testing.assert_allclose(made(np.array([100, 1000, 1e9])), [2.5, 2.05, 2.00000005], rtol=1e-14)
    assert isinstance(made(100), float)


def test_a_walk_with_a_period_has_a_law():
    np.testing.assert_allclose(stationary_law(sparse.csr_array(np.roll(np.eye(4), 1, axis=1))), 0.25)


def test_a_slow_walk_is_solved_directly(monkeypatch):
    n = 3000
    ring = sparse.lil_array((n, n))
    ring[np.arange(n), (np.arange(n) + 1) % n] = 1.0
    ring[0, 1] = ring[0, n // 2] = 0.5  # half of the laps leave the first half out
    expected = np.where((np.arange(n) >= 1) & (np.arange(n) < n // 2), 0.5, 1.0)
    np.testing.assert_allclose(stationary_law(ring.tocsr()), expected / expected.sum(), rtol=1e-10)
    monkeypatch.setattr(baseline, "MOST_STEPS", 0)
    transitions = random_walk(12, 0.4, seed=2)
    transitions /= transitions.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(stationary_law(sparse.csr_array(transitions)), eigenvector(transitions), rtol=1e-10)


@pytest.mark.parametrize(
    ("adjacency", "words"),
    [
        (np.ones((2, 3)), "square, a row and a column per node, but its shape is .2, 3."),
        (np.zeros((0, 0)), "its shape is .0, 0."),
        ([[0, -1.0], [1, 0]], "one is -1 .1 such edges."),
        ([[0, np.nan], [1, 0]], "one is nan"),
        ([[0, np.inf], [1, 0]], "one is inf"),
        ([[0, 1], [0, 1]], "2 parts between which there is no way back"),
        ([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], "2 parts"),
        ([[0.0]], "or no edge"),
    ],
)
def test_bad_adjacencies_are_refused_in_words(adjacency, words):
    with pytest.raises(ValueError, match=words):
        counting_baseline(sparse.csr_array(np.array(adjacency)))


@pytest.mark.parametrize("tokens", [0, -5, np.array([10.0, np.nan])])
def test_tokens_are_positive(tokens):
    with pytest.raises(ValueError, match="tokens must be positive"):
        CountingBaseline(entropy=1.0, coefficient=1.0)(tokens)


def test_the_adjacency_is_left_as_it_is():
    given = sparse.csr_array(np.array([[0, 1.0], [1.0, 0]]))
    counting_baseline(given)
    assert given.data.tolist() == [1.0, 1.0]


# One distribution.


def over_all_counts(p, D, smoothing, loss):
    """Mean over all outcomes of D draws, each with its multinomial probability."""
    total = 0.0
    for counts in product(range(D + 1), repeat=len(p)):
        if sum(counts) == D:
            chance = factorial(D) * np.prod([share**n / factorial(n) for share, n in zip(p, counts, strict=True)])
            estimate = (np.array(counts) + smoothing) / (D + smoothing * len(p))
            away = np.sum((estimate - p) ** 2) if loss == "squared_error" else -np.sum(p * np.log(estimate))
            total += chance * away
    return total


@pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_expected_losses_are_means_over_all_counts(loss, smoothing):
    p = np.array([0.55, 0.3, 0.15])
    found = expected_loss(p, [1, 4, 9], smoothing=smoothing, loss=loss)
    expected = [over_all_counts(p, D, smoothing, loss) for D in (1, 4, 9)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_without_smoothing_the_squared_error_is_the_closed_form_and_the_cross_entropy_infinite():
    p = np.array([0.5, 0.3, 0.2, 0.0])
    D = np.array([1, 10, 1000])
    exact = expected_loss(p, D, smoothing=0, loss="squared_error")
    np.testing.assert_allclose(exact, counting_estimate(p, loss="squared_error")(D), rtol=1e-12)
    assert np.all(expected_loss(p, D, smoothing=0) == np.inf)
    assert expected_loss([1.0], 3, smoothing=0) == 0  # nothing to learn


@pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
def test_smoothing_changes_the_next_order_alone(smoothing):
    """By the moments of a binomial to the order 1 / D^2."""
    p, D = np.random.default_rng(0).dirichlet(np.full(20, 5.0)), 40_000
    excess = expected_loss(p, D, smoothing=smoothing) - counting_estimate(p)(D)
    s, q = smoothing, 1 - p
    moments = s**2 / 2 - s * q - q * (1 - 2 * p) / 3 + 3 * q**2 / 4
    assert excess * D**2 == pytest.approx(np.sum(moments / p) - (s * len(p)) ** 2 / 2, rel=0.02)
    assert abs(excess) < 0.005 * counting_estimate(p).coefficient / D


def test_sampled_shares_have_these_losses():
    """Monte Carlo at D = 10,000, K = 50: to 3 % of c / D."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(50))
    counts = rng.multinomial(10_000, p, size=2000)
    for loss in ("cross_entropy", "squared_error"):
        made, smoothing = counting_estimate(p, loss=loss), 0.5 if loss == "cross_entropy" else 0.0
        shares = (counts + smoothing) / (10_000 + 50 * smoothing)
        found = np.sum((shares - p) ** 2, axis=1) if loss == "squared_error" else -np.log(shares) @ p
        assert np.mean(found) - made.entropy == pytest.approx(made(10_000) - made.entropy, rel=0.03)
        exact = expected_loss(p, 10_000, smoothing=smoothing, loss=loss)
        assert np.mean(found) == pytest.approx(exact, abs=4 * np.std(found) / np.sqrt(2000))


# Walks.


def drawn_graph(kind):
    nx = pytest.importorskip("networkx")
    if kind == "directed":
        return sparse.csr_array(random_walk(12, 0.3, seed=3))
    draw = {
        "er": lambda: nx.gnm_random_graph(20, 60, seed=1),
        "ba": lambda: nx.barabasi_albert_graph(30, 2, seed=0),
    }[kind]
    return nx.to_scipy_sparse_array(draw())


@pytest.mark.parametrize("kind", ["er", "ba", "directed"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_models_that_count_a_walk_have_the_loss_of_the_closed_form(kind, loss):
    """Means over 1000 walks of 10,000 transitions: 3 % of c / D."""
    graph = drawn_graph(kind)
    made = counting_baseline(graph, loss=loss)
    losses = counted_losses(graph, 10_000, models=1000, loss=loss, seed=0)
    excess, error = np.mean(losses) - made.entropy, np.std(losses) / np.sqrt(1000)
    predicted = made.coefficient / 10_000
    assert error < 0.01 * predicted
    assert excess == pytest.approx(predicted, rel=0.03)


def test_the_coefficient_of_squared_errors_is_what_is_not_certain():
    ring = sparse.csr_array(np.roll(np.eye(5), 1, axis=1) + np.roll(np.eye(5), -1, axis=1))
    assert counting_baseline(ring, loss="squared_error") == CountingBaseline(entropy=0.0, coefficient=2.5)


def test_counting_is_by_seed_and_smoothing():
    graph = drawn_graph("er")
    first = counted_losses(graph, 300, models=5, seed=1)
    np.testing.assert_array_equal(first, counted_losses(graph, 300, models=5, seed=1))
    assert not np.any(first == counted_losses(graph, 300, models=5, seed=2))
    assert not np.any(first == counted_losses(graph, 300, models=5, seed=1, smoothing=1.0))
    assert np.all(counted_losses(graph, 50, models=5, smoothing=0) == np.inf)
    assert np.all(np.isfinite(counted_losses(graph, 50, models=5, smoothing=0, loss="squared_error")))


def test_of_a_node_without_counts_nothing_is_known():
    ring = sparse.csr_array(np.roll(np.eye(5), 1, axis=1) + np.roll(np.eye(5), -1, axis=1))
    losses = counted_losses(ring, 1, models=4, smoothing=0, loss="squared_error")
    np.testing.assert_allclose(losses, 0.2 * 0.5)  # one node of five is taken for certain, the others for even


def test_a_walk_that_is_certain_leaves_nothing_to_learn():
    ring = sparse.csr_array(np.roll(np.eye(4), 1, axis=1))
    np.testing.assert_array_equal(counted_losses(ring, 10, models=3), 0)


def test_a_baseline_is_drawn_beside_a_measured_law():
    made = CountingBaseline(entropy=2.0, coefficient=500.0)
    runs = sf.simulate(sf.PowerLaw(E=2.0, A=30.0, alpha=0.7), sf.grid(tokens=np.geomspace(1e3, 1e6, 8)))
    ax = sf.plot_fit(sf.fit(sf.PowerLaw, runs, inputs="tokens"), beside={"counting": made})
    (line,) = [line for line in ax.lines if line.get_label() == "counting"]
    np.testing.assert_allclose(line.get_ydata(), 2 + 500 / line.get_xdata(), rtol=1e-12)


def test_a_baseline_is_a_law_that_can_be_fitted():
    runs = sf.simulate(CountingBaseline(entropy=2.0, coefficient=500.0), sf.grid(tokens=np.geomspace(1e3, 1e6, 8)))
    law = sf.fit(CountingBaseline, runs).law
    assert [law.entropy, law.coefficient] == pytest.approx([2.0, 500.0], rel=1e-6)


# Tables of runs on walks.


def walked(tokens, **columns):
    frame = pd.DataFrame({"tokens": tokens, "loss": 3.0, "loss_floor": 2.352, **columns})
    if "loss_counting" not in frame:
        frame["loss_counting"] = frame["loss_floor"] + 4500 / frame["tokens"]
    return sf.LossTable.from_frame(frame)


def test_the_baseline_of_a_table_of_walks_is_that_of_its_columns(tmp_path):
    runs = walked([1e9, 1e4, 1e6, 1e4])
    made = baseline_of(runs)
    assert (made.entropy, made.coefficient) == (2.352, pytest.approx(4500, rel=1e-12))
    runs.to_frame().to_csv(tmp_path / "runs.csv", index=False, float_format="%.6g")
    assert baseline_of(sf.LossTable.read(tmp_path / "runs.csv")).coefficient == pytest.approx(4500, rel=1e-4)


def test_the_columns_are_those_that_the_trainer_writes():
    pytest.importorskip("torch")
    from scaletrain.results import COLUMNS

    assert {"tokens", "loss_floor", "loss_counting"} <= COLUMNS.keys()


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (walked([1e4, 1e6], loss_floor=[2.352, 2.567]), "1 of 2 rows have another loss of counting"),
        (walked([1e4, 1e5], loss_counting=[2.802, 2.5]), "1 of 2 rows"),
        (walked([1e4, 1e5], loss_counting=[2.802, np.nan]), "is empty in 1 of 2 rows, as of runs on text"),
        (walked([1e4, 1e5], loss_counting=np.nan), "is empty in all 2 rows: these runs are on text or on samples"),
        (sf.load("pythia"), "no loss_floor and no loss_counting: these columns are of runs on walks"),
    ],
)
def test_a_table_without_one_baseline_is_refused_in_words(runs, words):
    with pytest.raises(ValueError, match=words):
        baseline_of(runs)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: counting_estimate([0.5, 0.6]), "add up to 1, but they add up to 1.1"),
        (lambda: counting_estimate([1.5, -0.5]), "from 0 on, but one is -0.5 .1 such"),
        (lambda: counting_estimate([0.5, 0.5 + 1e-7]), "add up to 1, but they add up to 1.0000001"),
        (lambda: counting_estimate([[0.5, 0.5]]), "a row of numbers"),
        (lambda: counting_estimate([0.5, np.nan]), "from 0 on, but one is nan"),
        (lambda: counting_estimate([0.5, 0.5], loss="mse"), 'loss is "cross_entropy" or "squared_error", not .mse'),
        (lambda: expected_loss([0.5, 0.5], 2.5), "tokens must be whole numbers"),
        (lambda: expected_loss([0.5, 0.5], 0), "tokens must be positive"),
        (lambda: expected_loss([0.5, 0.5], 5, smoothing=-1), "smoothing must be finite and not negative"),
        (lambda: counted_losses([[0, 1], [1, 0]], 0), "tokens must be a whole number from 1 on, but it is 0"),
        (lambda: counted_losses([[0, 1], [1, 0]], 10, models=2.5), "models must be a whole number"),
        (lambda: counted_losses([[0, 1], [0, 1]], 10), "no way back"),
        (lambda: counting_baseline([[0, 1], [1, 0]], loss="l2"), "loss is"),
    ],
)
def test_bad_input_of_counting_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
