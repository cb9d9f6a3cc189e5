"""Evaluation on walks: exact divergences against known values."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scaletrain.config import Recipe, Shape
from scaletrain.evaluation import WalkEvaluator, divergence
from scaletrain.graph_sources import erdos_renyi
from scaletrain.model import initial, logits
from scaletrain.walks import Walks


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["unbiased", "biased"])
def graph(request):
    return erdos_renyi(60, 240, seed=0).biased(request.param, seed=0)


@pytest.fixture(scope="module")
def truth(graph):
    return WalkEvaluator(graph, Walks(graph, length=30, seed=0, split="test").batch(0, 50))


def every(graph):
    return torch.arange(graph.nodes)


def test_a_perfect_table_has_no_divergence(graph, truth):
    scores = torch.as_tensor(np.log(np.maximum(graph.matrix.toarray(), 1e-300)))
    assert divergence(truth, scores, every(graph)).abs().max() < 1e-12


def test_the_uniform_model_has_the_known_divergence(graph, truth):
    found = divergence(truth, torch.zeros(graph.nodes, graph.nodes), every(graph)).numpy()
    np.testing.assert_allclose(found, np.log(graph.nodes) - graph.node_entropy, rtol=1e-12)


def test_the_stationary_model_has_the_known_divergence(graph, truth):
    scores = torch.as_tensor(np.tile(np.log(graph.stationary), (graph.nodes, 1)))
    found = float(graph.stationary @ divergence(truth, scores, every(graph)).numpy())
    entropy = -np.sum(graph.stationary * np.log(graph.stationary))
    assert found == pytest.approx(entropy - graph.entropy, abs=1e-9)  # the stationary law comes from power iteration


def test_the_divergence_is_that_of_its_definition_and_never_negative(graph, truth):
    scores = torch.randn(graph.nodes, graph.nodes, generator=torch.Generator().manual_seed(0)).double() * 3
    found = divergence(truth, scores, every(graph)).numpy()
    P, Q = graph.matrix.toarray(), torch.softmax(scores, dim=1).numpy()
    logs = np.log(np.where(P > 0, P, 1.0)) - np.log(Q)
    np.testing.assert_allclose(found, np.sum(P * logs, axis=1), rtol=1e-11)
    assert found.min() > 0


def test_an_evaluation_is_the_mean_over_the_positions_of_the_test_walks(graph, truth):
    shape = Shape(vocabulary=graph.nodes, width=16, length=30)
    params = initial(shape, Recipe(steps=1), [0, 1])
    made = truth(params, shape, Recipe(steps=1))
    assert made.floor == pytest.approx(graph.floor(30), rel=1e-14)
    np.testing.assert_allclose(made.loss, made.floor + made.divergence, rtol=1e-14)
    assert made.tokens == 50 * 29
    uniform = np.mean(np.log(graph.nodes) - graph.node_entropy[truth.tokens[:, :-1].numpy()])
    np.testing.assert_allclose(made.divergence, uniform, rtol=0.01)  # a model that has seen nothing is nearly uniform


def test_the_standard_error_is_that_of_a_mean_over_walks(graph, truth):
    shape, recipe = Shape(vocabulary=graph.nodes, width=16, length=30), Recipe(steps=1)
    params = initial(shape, recipe, [0, 1])
    params["embedding"] *= 30  # so that walks differ
    walks = truth.tokens[:, :-1]
    scores = logits(params, walks.expand(2, *walks.shape), shape, recipe)
    per_walk = [divergence(truth, one.flatten(0, 1), walks.flatten()).view(walks.shape).mean(dim=1) for one in scores]
    expected = [float(one.std(correction=1)) / np.sqrt(50) for one in per_walk]
    np.testing.assert_allclose(truth(params, shape, recipe).loss_se, expected, rtol=1e-4)  # products in float32


def test_a_loss_is_what_cross_entropies_of_sampled_nodes_scatter_about(graph, truth):
    shape, recipe = Shape(vocabulary=graph.nodes, width=16, length=30), Recipe(steps=1)
    params = initial(shape, recipe, [0])
    params["embedding"] *= 6
    walks = torch.from_numpy(Walks(graph, length=30, seed=1, split="test").batch(0, 4000).astype(np.int64))
    made = WalkEvaluator(graph, walks.numpy())(params, shape, recipe)
    with torch.no_grad():
        scores = torch.log_softmax(logits(params, walks[None, :, :-1], shape, recipe)[0], dim=-1)
    sampled = -scores.gather(2, walks[:, 1:, None]).mean(dim=(1, 2)).double().numpy()
    error = np.std(sampled, ddof=1) / np.sqrt(4000)
    assert 0 < made.loss_se[0] < error
    assert abs(made.loss[0] - sampled.mean()) < 4 * error < 0.02 * made.floor


def test_one_walk_has_no_standard_error():
    graph = erdos_renyi(20, 60, seed=0)
    with pytest.raises(ValueError, match="at least 2 test sequences"):
        WalkEvaluator(graph, Walks(graph, length=5, seed=0).batch(0, 1))
