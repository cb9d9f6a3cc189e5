"""What walks visit: rank tables against brute force, tests of sampled walks that hold and that fail, the picture."""

import numpy as np
import pytest
from scipy import stats

from scaletrain import ranks
from scaletrain.graph_sources import erdos_renyi
from scaletrain.graphs import Graph
from scaletrain.rank_plots import plot_ranks
from scaletrain.ranks import Counts, bigrams, count_walks, unigrams
from scaletrain.walks import Walks

EDGES = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 2), (4, 5), (5, 0)]


@pytest.fixture(scope="module")
def graph():
    return Graph.from_edges(EDGES, labels=list("abcdef")).biased(1.0, seed=0)


@pytest.fixture(scope="module")
def counts(graph):
    return count_walks(Walks(graph, length=12, seed=0), 500)


def test_nodes_are_ranked_by_the_stationary_law(graph, counts):
    table = unigrams(graph, counts)
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert np.all(np.diff(table["probability"]) <= 0)
    np.testing.assert_array_equal(table["probability"], graph.stationary[table["node"]])
    assert table["label"].tolist() == ["abcdef"[node] for node in table["node"]]
    assert list(unigrams(graph)) == ["rank", "node", "label", "probability"]


def test_edges_are_ranked_by_how_often_they_are_taken(graph, counts):
    table = bigrams(graph, counts)
    dense = graph.stationary[:, None] * graph.matrix.toarray()
    np.testing.assert_allclose(table["probability"], np.sort(dense[dense > 0])[::-1], rtol=1e-14)
    np.testing.assert_allclose(table["probability"], dense[table["node"], table["next"]], rtol=1e-14)
    assert table["next_label"].tolist() == ["abcdef"[node] for node in table["next"]]
    assert table["probability"].sum() == pytest.approx(1.0, abs=1e-14)


def test_counts_are_those_of_the_walks(graph, counts):
    batch = Walks(graph, length=12, seed=0).batch(0, 500)
    np.testing.assert_array_equal(counts.starts, np.bincount(batch[:, 0], minlength=6))
    np.testing.assert_array_equal(counts.nodes, np.bincount(batch.ravel(), minlength=6))
    table = bigrams(graph, counts)
    for source, target, count in zip(table["node"], table["next"], table["count"], strict=True):
        assert count == np.sum((batch[:, :-1] == source) & (batch[:, 1:] == target))
    assert table["count"].sum() == 500 * 11
    assert unigrams(graph, counts)["count"].sum() == 500 * 12


def test_counts_do_not_depend_on_how_many_are_made_at_once(graph, counts, monkeypatch):
    monkeypatch.setattr(ranks, "AT_ONCE", 100)
    again = count_walks(Walks(graph, length=12, seed=0), 500)
    for name in ("starts", "nodes", "edges"):
        np.testing.assert_array_equal(getattr(again, name), getattr(counts, name))


@pytest.mark.parametrize("kappa", [0.0, 1.0])
@pytest.mark.parametrize("walks", [40, 1500], ids=["few visits", "many"])
def test_p_values_of_good_walks_are_even(kappa, walks):
    graph = erdos_renyi(100, 400, seed=0).biased(kappa, seed=1)
    made = [count_walks(Walks(graph, length=10, seed=seed), walks) for seed in range(150)]
    for values in ([one.transitions for one in made], [one.first_nodes for one in made]):
        assert stats.kstest(values, "uniform").pvalue > 1e-3  # seeded; 0 for the limiting law of few visits


def test_walks_of_another_graph_are_found_out(graph):
    other = Graph.from_edges(EDGES).biased(1.0, seed=1)
    made = count_walks(Walks(other, length=12, seed=0), 500)
    wrong = Counts(graph, 500, 12, made.starts, made.nodes, made.edges)
    assert wrong.transitions < 1e-12
    assert wrong.first_nodes < 1e-12


def test_edges_that_are_hardly_ever_taken_raise_no_alarm():
    rng = np.random.default_rng(0)
    pairs = np.array([(i, j) for i in range(30) for j in range(30) if i != j])
    graph = Graph.from_edges(pairs, weights=10 ** rng.uniform(-20, 0, len(pairs)), directed=True)
    made = [count_walks(Walks(graph, length=20, seed=seed), 100) for seed in range(60)]
    assert min(one.transitions for one in made) > 1e-4
    assert np.mean([one.transitions < 0.5 for one in made]) == pytest.approx(0.5, abs=0.26)  # 4 standard errors


def test_where_there_is_no_choice_there_is_no_test():
    ring = Graph.from_edges([(0, 1), (1, 2), (2, 0)], directed=True)
    assert np.isnan(count_walks(Walks(ring, length=5, seed=0), 20).transitions)


@pytest.mark.parametrize("number", [0, -1, 2.5, True])
def test_a_number_of_walks_is_whole_and_positive(graph, number):
    with pytest.raises(ValueError, match="number of walks must be a whole number from 1 on"):
        count_walks(Walks(graph, length=5, seed=0), number)


def test_the_picture_draws_each_law_falling_over_its_rank(graph, counts):
    ax = plot_ranks(graph, counts)
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines) == ["6 nodes", "counted in 6,000", "16 directed edges", "counted in 5,500"]
    for label, table in (("6 nodes", unigrams(graph)), ("16 directed edges", bigrams(graph))):
        np.testing.assert_array_equal(lines[label].get_xdata(), table["rank"])
        np.testing.assert_allclose(lines[label].get_ydata(), table["probability"], rtol=1e-14)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_the_smallest_graph_can_be_drawn():
    plot_ranks(Graph.from_edges([(0, 1)])).figure.draw_without_rendering()


def test_a_picture_of_many_edges_has_few_points():
    lines = plot_ranks(erdos_renyi(2000, 9000, seed=0)).get_lines()
    assert all(len(line.get_xdata()) <= 600 for line in lines)
    assert lines[1].get_xdata()[[0, -1]].tolist() == [1, 18_000]
