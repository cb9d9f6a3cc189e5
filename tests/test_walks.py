"""Walks: addressed by number, the same in any order and on any device, with the right statistics."""

import numpy as np
import pytest
from scipy import stats

from scaletrain import walks as walks_room
from scaletrain.alias import RESOLUTION, alias_tables
from scaletrain.counters import key_of, number, streams
from scaletrain.graph_sources import erdos_renyi
from scaletrain.graphs import Graph
from scaletrain.walks import Walks, make_tables

torch = pytest.importorskip("torch")


def weighted():
    """Directed, with loops and weights over six decades."""
    rng = np.random.default_rng(3)
    pairs = np.argwhere(rng.random((120, 120)) < 0.08)
    return Graph.from_edges(pairs, weights=10 ** rng.uniform(-3, 3, len(pairs)), directed=True)


@pytest.fixture(scope="module", params=["unbiased", "biased", "symmetric", "weighted"])
def graph(request):
    if request.param == "weighted":
        return weighted()
    kappa = 0.0 if request.param == "unbiased" else 1.0
    return erdos_renyi(200, 1000, seed=0).biased(kappa, seed=1, symmetric=request.param == "symmetric")


def test_walks_follow_the_transition_matrix(graph):
    batch = Walks(graph, length=50, seed=0).batch(0, 20_000)
    counts = np.zeros((graph.nodes, graph.nodes))
    np.add.at(counts, (batch[:, :-1].ravel(), batch[:, 1:].ravel()), 1)
    dense = graph.matrix.toarray()
    assert counts[dense == 0].sum() == 0
    expected = counts.sum(axis=1, keepdims=True) * dense
    seen = expected > 5
    statistic = ((counts - expected)[seen] ** 2 / expected[seen]).sum()
    freedom = seen.sum() - np.sum(np.all(seen | (dense == 0), axis=1))  # a row that is seen in full has one less
    assert stats.chi2.sf(statistic, freedom) > 1e-3  # one seeded draw; wrong tables give 0


def test_walks_start_by_their_start_distribution(graph):
    starts = np.bincount(Walks(graph, length=2, seed=0).batch(0, 200_000)[:, 0], minlength=graph.nodes)
    assert stats.chisquare(starts, 200_000 * graph.start).pvalue > 1e-3


def test_every_place_has_its_law(graph):
    batch, law = Walks(graph, length=60, seed=3).batch(0, 50_000), graph.start
    for place in range(60):
        if place in (1, 5, 59):
            found = np.bincount(batch[:, place], minlength=graph.nodes)
            often = 50_000 * law > 5  # the others together
            pairs = [np.append(one[often], one[~often].sum()) for one in (found, 50_000 * law)]
            assert stats.chisquare(*(one[pairs[1] > 0] for one in pairs)).pvalue > 1e-3
        law = graph.matrix.T @ law


def test_the_tables_hold_the_laws_without_bias(graph):
    """Exactly what the integers of a step give, against the transition matrix."""
    tables = make_tables(graph)
    np.testing.assert_allclose(np.diff(tables.starts, prepend=0) / 2.0**62, graph.start, atol=1e-15)
    assert tables.starts[-1] == 2**62
    dense = np.zeros((graph.nodes, graph.nodes))
    for node in range(graph.nodes):
        first, degree = int(tables.first[node]), int(tables.degrees[node])
        ends = [-(-(slot << 32) // degree) for slot in range(degree + 1)]  # the first number of 32 bits of each slot
        for slot in range(degree):
            share = (ends[slot + 1] - ends[slot]) / 2**32
            if tables.thresholds is None:
                dense[node, tables.targets[first + slot]] += share
            else:
                kept = (int(tables.thresholds[first + slot]) + 2**31) / 2**32
                for target, part in zip(tables.targets[first + slot], (kept, 1 - kept), strict=True):
                    dense[node, target] += share * part
    np.testing.assert_allclose(dense, graph.matrix.toarray(), atol=1e-9)  # of 32 bits


def test_a_batch_is_the_same_however_it_is_asked_for(graph):
    walks = Walks(graph, length=20, seed=7)
    whole = walks.batch(0, 40_000)
    assert np.array_equal(whole[17_000:17_010], walks.batch(17_000, 10))
    assert np.array_equal(whole[:, :8], Walks(graph, length=8, seed=7).batch(0, 40_000))


def test_batches_in_any_order_are_the_same_walks(graph, monkeypatch):
    whole = Walks(graph, length=20, seed=7).batch(0, 1000)
    monkeypatch.setattr(walks_room, "AT_ONCE", 64)
    again = Walks(graph, length=20, seed=7)  # as after a restart
    starts = np.random.default_rng(0).permutation(np.arange(0, 1000, 100))
    found = {int(start): again.batch(int(start), 100) for start in starts}
    assert np.array_equal(np.concatenate([found[start] for start in sorted(found)]), whole)


@pytest.mark.parametrize("first", [0, 5, 2**31 - 7, 2**62 - 7, 2**63 - 3002])
def test_torch_makes_the_same_walks(graph, first):
    walks = Walks(graph, length=20, seed=7)
    assert np.array_equal(walks.on("cpu").batch(first, 3000).numpy(), walks.batch(first, 3000))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("first", [0, 2**62 - 7])
def test_a_gpu_makes_the_same_walks(graph, first):
    walks = Walks(graph, length=20, seed=7)
    assert np.array_equal(walks.on("cuda").batch(first, 3000).cpu().numpy(), walks.batch(first, 3000))


def test_walks_of_large_numbers_are_walks_of_their_own(graph):
    walks = Walks(graph, length=30, seed=0)
    batches = [walks.batch(first, 100) for first in (0, 2**32, 2**62, 2**63 - 101)]
    assert len(np.unique(np.concatenate(batches), axis=0)) == 400
    assert np.array_equal(walks.batch(2**62 + 40, 60), batches[2][40:])


@pytest.mark.parametrize("walk", [0, 1, 2**31, 2**62 - 1, 2**62, 2**63 - 1])
@pytest.mark.parametrize("place", [0, 1, 99])
def test_numbers_are_those_of_splitmix_in_whole_arithmetic(walk, place):
    def mixed(state):
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        return state ^ (state >> 31)

    key, step = key_of(3, 1), 0x9E3779B97F4A7C15
    expected = mixed((mixed((walk * step + key) % 2**64) + (place + 1) * step) % 2**64)
    for walks in (np.array([walk], dtype=np.int64), torch.tensor([walk])):
        assert int(number(streams(key, walks), place)[0]) % 2**64 == expected


def test_batches_may_be_empty(graph):
    walks = Walks(graph, length=5, seed=0)
    assert walks.batch(3, 0).shape == (0, 5)
    assert tuple(walks.on("cpu").batch(3, 0).shape) == (0, 5)


@pytest.mark.parametrize(
    ("first", "count", "words"),
    [
        (-1, 5, "first must be a whole number from 0 on, not -1"),
        (0, -5, "count must be a whole number from 0 on, not -5"),
        (0.0, 5, "first must be a whole number"),
        (0, True, "count must be a whole number"),
        (2**63 - 5, 5, "numbered below 2.63 - 1, but 5 are asked for"),
    ],
)
def test_bad_numbers_are_refused(graph, first, count, words):
    walks = Walks(graph, length=5, seed=0)
    for source in (walks, walks.on("cpu")):
        with pytest.raises(ValueError, match=words):
            source.batch(first, count)


def test_no_two_seeds_and_splits_have_one_key():
    # of 32 bits: the words of a larger seed run into that of the split, and its training is another's test
    seeds = [0, 1, 2, 7, 2**16, 2**31, 2**32 - 1]
    graph = Graph.from_edges([(0, 1)])
    keys = {Walks(graph, length=2, seed=seed, split=split).key for seed in seeds for split in ("train", "test")}
    assert len(keys) == 14
    assert key_of(2**32, 0) == key_of(0, 1)


def test_seeds_and_splits_give_other_walks(graph):
    first = Walks(graph, length=30, seed=0).batch(0, 200)
    assert not np.array_equal(first, Walks(graph, length=30, seed=1).batch(0, 200))
    test = Walks(graph, length=30, seed=0, split="test").batch(0, 200)
    assert len(np.unique(np.concatenate([first, test]), axis=0)) == 400


def test_numbers_of_neighbouring_walks_and_places_are_independent():
    draws = np.stack([number(streams(key_of(0), np.arange(4000)), place) for place in range(8)])
    uniform = (draws >> 11 & (1 << 53) - 1) / 2.0**53
    assert stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-3
    correlations = np.corrcoef(uniform) - np.eye(8)
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)
    assert abs(np.corrcoef(uniform[:, :-1].ravel(), uniform[:, 1:].ravel())[0, 1]) < 5 / np.sqrt(32_000)


def test_alias_tables_hold_the_probabilities_exactly():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 40, 300)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    values = rng.exponential(size=indptr[-1]) ** 4 + 1e-12
    probabilities = values / np.repeat(np.add.reduceat(values, indptr[:-1]), sizes)
    thresholds, aliases = alias_tables(indptr, probabilities)
    for row, size in enumerate(sizes):
        part = slice(indptr[row], indptr[row + 1])
        share = thresholds[part] / RESOLUTION
        made = share / size
        np.add.at(made, aliases[part], (1 - share) / size)
        np.testing.assert_allclose(made, probabilities[part], atol=2e-10)  # of 32 bits


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"length": 1, "seed": 0}, "at least 2 nodes"),
        ({"length": 5, "seed": -1}, "whole number from 0"),
        ({"length": 5, "seed": 2**32}, "seed must be a whole number from 0 to 4294967295, not 4294967296"),
        ({"length": 5, "seed": 0.0}, "whole number from 0"),
        ({"length": True, "seed": 0}, "at least 2 nodes"),
        ({"length": 5, "seed": 0, "split": "dev"}, "one of train, test"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Walks(Graph.from_edges([(0, 1)]), **settings)
