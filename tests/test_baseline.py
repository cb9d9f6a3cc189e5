"""The counting baseline: reference values, brute force, agreement with models that count; stationary laws."""

import numpy as np
import pytest
from scipy import sparse

from scalefit.theory import baseline
from scalefit.theory.baseline import CountingBaseline, counting_baseline, stationary_law


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
