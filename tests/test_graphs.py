"""Graphs: their arrays, laws and entropies against networkx and brute force; bad input."""

import networkx as nx
import numpy as np
import pytest
from scipy import stats

from scaletrain.graph_sources import barabasi_albert, erdos_renyi, from_networkx, read_graph
from scaletrain.graphs import WEIGHTS, Graph, power_weights

SMALL = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 2), (4, 5), (5, 0)]


def test_the_transition_matrix_is_that_of_networkx():
    graph = nx.gnm_random_graph(60, 200, seed=3)
    made = from_networkx(graph)
    assert made.nodes == 60
    assert made.edges == 400
    adjacency = nx.to_numpy_array(graph)
    np.testing.assert_allclose(made.matrix.toarray(), adjacency / adjacency.sum(axis=1, keepdims=True), rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "entropy", "edges"),
    [
        (lambda: erdos_renyi(1000, 5000, seed=0), 2.352, 5000),
        (lambda: erdos_renyi(8000, 50000, seed=0), 2.567, 50000),
        (lambda: barabasi_albert(8000, 6, seed=0), 2.803, 47964),
    ],
)
def test_entropies_of_the_papers_graphs(make, entropy, edges):
    graph = make()
    assert graph.entropy == pytest.approx(entropy, abs=5e-4)  # three digits are known
    assert graph.edges == 2 * edges


def test_the_stationary_law_of_an_undirected_graph_is_its_degrees():
    graph = erdos_renyi(300, 900, seed=1)
    np.testing.assert_allclose(graph.stationary, graph.degrees / graph.edges, rtol=1e-14)
    np.testing.assert_allclose(graph.matrix.T @ graph.stationary, graph.stationary, rtol=1e-12)


def test_the_stationary_law_of_a_directed_graph_is_its_left_eigenvector():
    rng = np.random.default_rng(0)
    pairs = np.array([(i, j) for i in range(12) for j in range(12) if i != j and rng.random() < 0.4])
    graph = Graph.from_edges(pairs, weights=rng.uniform(0.1, 3, len(pairs)), directed=True)
    values, vectors = np.linalg.eig(graph.matrix.toarray().T)
    leading = np.real(vectors[:, np.argmax(np.real(values))])
    np.testing.assert_allclose(graph.stationary, leading / leading.sum(), atol=1e-10)  # where power iteration stops
    dense = graph.matrix.toarray()
    logs = np.log(np.where(dense > 0, dense, 1.0))
    assert graph.entropy == pytest.approx(-np.sum(graph.stationary[:, None] * dense * logs), abs=1e-10)


def test_weights_far_apart_leave_every_law_finite():
    weights = np.array([1e-60, 1e60, 1.0, 1e-60, 1e60, 1.0, 1e-30, 1e30])
    graph = Graph.from_edges(SMALL, weights=weights, directed=True)
    assert np.all(graph.matrix.data > 0)
    assert np.isfinite([graph.entropy, graph.floor(5), *graph.stationary, *graph.start]).all()


def test_a_ring_with_a_period_has_a_stationary_law():
    ring = Graph.from_edges([(0, 1), (1, 2), (2, 3), (3, 0)], directed=True)
    np.testing.assert_allclose(ring.stationary, 0.25)
    assert ring.entropy == 0.0


def test_the_floor_is_the_mean_entropy_over_the_positions_of_a_walk():
    graph = Graph.from_edges(SMALL).biased(1.0, seed=2)
    dense, law, total = graph.matrix.toarray(), graph.start, 0.0
    for _ in range(6):
        total += law @ graph.node_entropy
        law = law @ dense
    assert graph.floor(7) == pytest.approx(total / 6, rel=1e-13)
    unbiased = Graph.from_edges(SMALL)
    assert unbiased.floor(7) == pytest.approx(unbiased.entropy, rel=1e-13)


def distribution(kappa, low, high):
    """Of weights of density w^-kappa, by the textbook's integral."""
    if kappa == 1:
        return lambda w: np.log(w / low) / np.log(high / low)
    power = 1 - kappa
    return lambda w: (w**power - low**power) / (high**power - low**power)


@pytest.mark.parametrize("support", [WEIGHTS, (0.01, 5.0)])
@pytest.mark.parametrize("kappa", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_weights_follow_their_power(kappa, support):
    graph = erdos_renyi(3000, 50_000, seed=0).biased(kappa, seed=0, support=support)
    assert support[0] <= graph.weights.min() <= graph.weights.max() <= support[1]
    assert stats.kstest(graph.weights, distribution(kappa, *support)).pvalue > 1e-3  # one seeded draw
    assert stats.kstest(graph.weights, distribution(kappa + 0.05, *support)).pvalue < 1e-6  # and no other power


@pytest.mark.parametrize("step", [1e-15, 1e-12, 1e-9, 1e-6, 1e-4])
@pytest.mark.parametrize("sign", [-1, 1])
def test_weights_are_continuous_at_kappa_one(sign, step):
    """To second order ln w = u s + (1 - kappa) u (1 - u) s^2 / 2, where s is the logarithm of the interval."""
    draws, kappa, span = np.linspace(0, 1, 1001), 1 + sign * step, np.log(1000)
    power = 1 - kappa  # as a float has it
    expected = np.exp(draws * span + power * draws * (1 - draws) * span**2 / 2)
    np.testing.assert_allclose(power_weights(draws, kappa, 1, 1000), expected, rtol=10 * power**2 + 1e-14)
    np.testing.assert_allclose(power_weights(draws, 1.0, 1, 1000), 1000**draws, rtol=1e-14)


def test_weights_of_any_power_and_interval_are_finite():
    draws = np.append(np.linspace(0, 1, 101), 1 - 2.0**-53)
    for kappa in np.linspace(0.01, 3, 20):
        for low, high in ((1e-60, 1e60), (1.0, 1.0 + 1e-9)):
            weights = power_weights(draws[:-2], kappa, low, high)
            assert np.all((weights >= low) & (weights <= high * (1 + 1e-15)))
            assert np.all(np.diff(weights) >= -1e-15 * weights[1:])


def test_kappa_zero_is_the_unbiased_walk_itself():
    graph = Graph.from_edges(SMALL)
    assert graph.biased(0, seed=5) is graph


def test_kappa_multiplies_weights_that_are_there():
    given = Graph.from_edges(SMALL, weights=np.arange(1.0, 9.0))
    free = Graph.from_edges(SMALL).biased(1.0, seed=4)
    np.testing.assert_allclose(given.biased(1.0, seed=4).weights, given.weights * free.weights, rtol=1e-15)


def test_symmetric_weights_are_shared_by_both_directions():
    graph = erdos_renyi(100, 400, seed=0).biased(1.0, seed=0, symmetric=True)
    weights = graph.matrix.copy()
    weights.data = graph.weights
    assert np.array_equal(weights.toarray(), weights.T.toarray())
    assert graph.undirected
    assert len(np.unique(graph.weights)) == 400
    free = erdos_renyi(100, 400, seed=0).biased(1.0, seed=0)
    assert len(np.unique(free.weights)) == 800
    assert not free.undirected


def test_the_giant_part_is_kept_and_said():
    graph = Graph.from_edges([(0, 1), (1, 2), (2, 0), (5, 6)])
    assert graph.nodes == 3
    assert graph.notes == ("largest part: 3 of 7 nodes, 6 of 8 directed edges",)


def test_a_node_that_nobody_can_leave_is_left_out_of_a_directed_graph():
    graph = Graph.from_edges([(0, 1), (1, 0), (1, 2)], directed=True)
    assert graph.nodes == 2
    assert "strongly connected" in graph.notes[0]


def test_an_edge_given_twice_counts_once_and_its_weights_are_added():
    assert Graph.from_edges([(0, 1), (1, 0), (1, 2)]).edges == 4
    weighted = Graph.from_edges([(0, 1), (0, 1), (1, 2)], weights=np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(weighted.matrix.toarray()[1], [0.5, 0, 0.5])


def test_a_loop_counts_once():
    graph = Graph.from_edges([(0, 0), (0, 1)], weights=np.array([3.0, 1.0]))
    assert graph.edges == 3
    np.testing.assert_allclose(graph.matrix.toarray(), [[0.75, 0.25], [1, 0]])
    assert Graph.from_edges([(0, 0), (0, 1)]).matrix.toarray().tolist() == [[0.5, 0.5], [1, 0]]


def test_the_adjacency_holds_the_weights():
    graph = Graph.from_edges(SMALL).biased(1.0, seed=0)
    rows = graph.adjacency.toarray()
    np.testing.assert_allclose(rows / rows.sum(axis=1, keepdims=True), graph.matrix.toarray(), rtol=1e-15)


def test_labels_follow_their_nodes_into_the_giant_part():
    graph = Graph.from_edges([(0, 1), (2, 3), (3, 4)], labels=["a", "b", "c", "d", "e"])
    assert graph.labels == ("c", "d", "e")
    assert graph.biased(1.0, seed=0).labels == graph.labels
    assert from_networkx(nx.cycle_graph(4)).labels is None
    assert from_networkx(nx.relabel_nodes(nx.cycle_graph(3), {0: "x", 1: "y", 2: 7})).labels == ("x", "y", "7")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Graph.from_edges([]), "needs edges"),
        (lambda: Graph.from_edges([(0, -1)]), "an edge has -1"),
        (lambda: Graph.from_edges([(0.5, 1)]), "whole numbers"),
        (lambda: Graph.from_edges([(0, 7)], nodes=3), "node 7, but there are 3"),
        (lambda: Graph.from_edges([(0, 1)], weights=np.array([0.0])), "weight of edge 0"),
        (lambda: Graph.from_edges([(0, 1)], weights=np.array([1.0, 2.0])), "1 edges need as many weights"),
        (lambda: Graph.from_edges([(0, 1)], weights=np.array([1e61])), "from 1e-60 to 1e.60 .1 such edges"),
        (lambda: Graph.from_edges([(0, 1)], weights=np.array([np.nan])), "is nan"),
        (lambda: Graph.from_edges([("a", "b")]), "the edges hold <U1"),
        (lambda: Graph.from_edges([(0, 2**40)]), "nodes must be a whole number from 1 to 2147483647"),
        (lambda: Graph.from_edges([(0, 1)], labels=["a"]), "2 nodes need as many labels, not 1"),
        (lambda: Graph.from_edges([(0, 1), (1, 2)], directed=True), "3 nodes: it has no cycle.* .1 nodes have no edge"),
        (lambda: Graph.from_edges([(0, 0), (0, 1)], directed=True), "every walk ends or stays where it is"),
        (lambda: Graph.from_edges([(0, 0), (1, 1)]), "from nodes to themselves alone"),
        (lambda: Graph.from_edges([(0, 1)], nodes=2.7), "nodes must be a whole number from 1 to 2147483647, not 2.7"),
        (lambda: Graph.from_edges([(0, 1)], nodes="x"), "nodes must be a whole number from 1 to 2147483647, not .x."),
        (lambda: Graph.from_edges([(0, 1), (1,)]), "needs edges as pairs of nodes"),
        (lambda: Graph.from_edges([(0, 1)], weights=["a"]), "weights must be numbers"),
        (
            lambda: Graph.from_edges(SMALL).biased(-0.5, seed=0),
            "kappa must be a number from 0 .unbiased. to 3, not -0.5",
        ),
        (lambda: Graph.from_edges(SMALL).biased(3.5, seed=0), "kappa must be a number from 0"),
        (lambda: Graph.from_edges(SMALL).biased(np.nan, seed=0), "kappa must be a number from 0"),
        (lambda: Graph.from_edges(SMALL).biased("1", seed=0), "kappa must be a number from 0 .unbiased. to 3, not '1'"),
        (lambda: Graph.from_edges(SMALL).biased(1, seed=-1), "seed must be a whole number from 0 on, not -1"),
        (lambda: Graph.from_edges(SMALL).biased(1, seed=0, support=(0, 1)), "two rising numbers from 1e-60 to 1e.60"),
        (lambda: Graph.from_edges(SMALL).biased(1, seed=0, support=(1, np.nan)), "two rising numbers"),
        (lambda: Graph.from_edges(SMALL).biased(1, seed=0, support=(1, 2, 3)), "two rising numbers"),
        (lambda: Graph.from_edges([(0, 1), (1, 0)], directed=True).biased(1, seed=0, symmetric=True), "is directed"),
        (lambda: Graph.from_edges(SMALL).floor(1), "at least 2 nodes"),
        (lambda: Graph.from_edges(SMALL).floor(2.5), "at least 2 nodes, so that one is predicted, not 2.5"),
        (lambda: erdos_renyi(10.0, 5, seed=0), "nodes must be a whole number from 2 to 2147483647, not 10.0"),
        (lambda: erdos_renyi(10, 5.5, seed=0), "edges must be a whole number from 0 on, not 5.5"),
        (lambda: erdos_renyi(10, 5, seed=None), "seed must be a whole number from 0 on, not None"),
        (lambda: erdos_renyi(2**31, 5, seed=0), "nodes must be a whole number from 2 to 2147483647, not 2147483648"),
        (lambda: barabasi_albert(10, 2.5, seed=0), "attached must be a whole number from 0 on, not 2.5"),
        (lambda: erdos_renyi(10, 46, seed=0), "1 to 45 undirected edges, not 46"),
        (lambda: barabasi_albert(5, 5, seed=0), "1 to 4 nodes, not 5"),
        (lambda: from_networkx(nx.empty_graph(4)), "needs edges"),
        (lambda: from_networkx(nx.path_graph(3), weight="w"), "has no number as its 'w'"),
    ],
)
def test_bad_graphs_are_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_what_is_no_graph_of_networkx_is_refused():
    with pytest.raises(TypeError, match="must be a graph of networkx, not a list"):
        from_networkx([(0, 1)])


def test_an_edge_list_is_read(tmp_path):
    path = tmp_path / "friends.txt"
    path.write_text("# a comment\nann bob 1\nbob,cid,3\n\n", encoding="utf-8")
    graph = read_graph(path)
    assert graph.name == "friends"
    np.testing.assert_allclose(graph.matrix.toarray()[1], [0.25, 0, 0.75])


def test_graphml_is_read_with_its_direction_and_weights(tmp_path):
    path = tmp_path / "ring.graphml"
    ring = nx.DiGraph()
    ring.add_weighted_edges_from([("a", "b", 1.0), ("b", "a", 1.0), ("b", "b", 3.0)])
    nx.write_graphml(ring, path)
    graph = read_graph(path)
    assert not graph.undirected
    np.testing.assert_allclose(graph.matrix.toarray(), [[0, 1], [0.25, 0.75]])


def test_parallel_edges_of_graphml_are_added(tmp_path):
    path = tmp_path / "parallel.graphml"
    graph = nx.MultiGraph()
    graph.add_weighted_edges_from([("a", "b", 1.0), ("a", "b", 2.0), ("b", "c", 1.0)])
    nx.write_graphml(graph, path)
    found = read_graph(path)
    assert found.undirected
    np.testing.assert_allclose(found.matrix.toarray()[1], [0.75, 0, 0.25])


def test_graphml_with_some_weights_is_refused(tmp_path):
    path = tmp_path / "some.graphml"
    graph = nx.Graph([("a", "b"), ("b", "c")])
    graph["a"]["b"]["weight"] = 2.0
    nx.write_graphml(graph, path)
    with pytest.raises(ValueError, match=r"edge \('b', 'c'\) has no number as its 'weight' \(1 such edges\)"):
        read_graph(path)


def test_graphml_says_itself_whether_it_is_directed(tmp_path):
    path = tmp_path / "ring.graphml"
    nx.write_graphml(nx.cycle_graph(3), path)
    with pytest.raises(ValueError, match="says itself whether it is directed"):
        read_graph(path, directed=True)


def test_an_edge_list_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_bytes(b"a b\n\xff\xfe c\n")
    with pytest.raises(ValueError, match=r"edges.txt is no text in UTF-8 \(invalid start byte at byte 4\)"):
        read_graph(path)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_bytes("\ufeffa b\nb a\n".encode())
    assert read_graph(path).labels == ("a", "b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\na b c d\n", "line 2: an edge is two nodes"),
        ("a b 1\na c x\n", "line 2: the weight 'x' is no number"),
        ("# nothing\n", "has no edges"),
    ],
)
def test_a_bad_edge_list_names_the_line(tmp_path, text, words):
    path = tmp_path / "edges.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_graph(path)


def test_a_file_that_is_no_graphml_is_refused(tmp_path):
    path = tmp_path / "bad.graphml"
    path.write_text("<html>", encoding="utf-8")
    with pytest.raises(ValueError, match="no GraphML"):
        read_graph(path)
