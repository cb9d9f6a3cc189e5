"""Evaluation on walks: exact divergences against known values."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scaletrain.config import Recipe, Shape
from scaletrain.evaluation import WalkEvaluator, divergence
from scaletrain.graph_sources import erdos_renyi
from scaletrain.model import initial
from scaletrain.walks import Walks


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["unbiased", "biased"])
def truth(request):
    graph = erdos_renyi(60, 240, seed=0).biased(request.param, seed=0)
    return WalkEvaluator(graph, Walks(graph, length=30, seed=0, split="test").batch(0, 50))


def every(truth):
    return torch.arange(truth.graph.nodes)


def test_a_perfect_table_has_no_divergence(truth):
    scores = torch.as_tensor(np.log(np.maximum(truth.graph.matrix.toarray(), 1e-300)))
    assert divergence(truth, scores, every(truth)).abs().max() < 1e-12


def test_the_uniform_model_has_the_known_divergence(truth):
    found = divergence(truth, torch.zeros(truth.graph.nodes, truth.graph.nodes), every(truth)).numpy()
    np.testing.assert_allclose(found, np.log(truth.graph.nodes) - truth.graph.node_entropy, rtol=1e-12)


def test_the_stationary_model_has_the_known_divergence(truth):
    graph = truth.graph
    scores = torch.as_tensor(np.tile(np.log(graph.stationary), (graph.nodes, 1)))
    found = float(graph.stationary @ divergence(truth, scores, every(truth)).numpy())
    entropy = -np.sum(graph.stationary * np.log(graph.stationary))
    assert found == pytest.approx(entropy - graph.entropy, abs=1e-9)  # the stationary law comes from power iteration


def test_the_divergence_is_that_of_its_definition_and_never_negative(truth):
    scores = torch.randn(truth.graph.nodes, truth.graph.nodes, generator=torch.Generator().manual_seed(0)).double() * 3
    found = divergence(truth, scores, every(truth)).numpy()
    P, Q = truth.graph.matrix.toarray(), torch.softmax(scores, dim=1).numpy()
    logs = np.log(np.where(P > 0, P, 1.0)) - np.log(Q)
    np.testing.assert_allclose(found, np.sum(P * logs, axis=1), rtol=1e-11)
    assert found.min() > 0


def test_an_evaluation_is_the_mean_over_the_positions_of_the_test_walks(truth):
    shape = Shape(vocabulary=truth.graph.nodes, width=16, length=30)
    params = initial(shape, Recipe(steps=1), [0, 1])
    made = truth(params, shape, Recipe(steps=1))
    assert made.floor == pytest.approx(truth.graph.floor(30), rel=1e-14)
    np.testing.assert_allclose(made.loss, made.floor + made.divergence, rtol=1e-14)
    assert made.tokens == 50 * 29
    uniform = np.mean(np.log(truth.graph.nodes) - truth.graph.node_entropy[truth.tokens[:, :-1].numpy()])
    np.testing.assert_allclose(made.divergence, uniform, rtol=0.01)  # a model that has seen nothing is nearly uniform
    assert np.all(made.loss_se > 0)


def test_one_walk_has_no_standard_error():
    graph = erdos_renyi(20, 60, seed=0)
    with pytest.raises(ValueError, match="at least 2 test walks"):
        WalkEvaluator(graph, Walks(graph, length=5, seed=0).batch(0, 1))
