"""Models made of counts: exact laws and floors against brute force, sequences by number, mixtures, bias, ranks."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from scaletrain import counted_models
from scaletrain.counted_models import bigram_graph, interpolated, ngram_model
from scaletrain.graphs import Graph
from scaletrain.ngram_counts import count_ngrams
from scaletrain.ngram_models import NextTokens, NgramWalks
from scaletrain.ranks import bigrams, count_walks, unigrams
from scaletrain.walks import Walks

torch = pytest.importorskip("torch")

V = 6


def made_text(size, seed=0):
    """Tokens that depend on the two before them, and on nothing else."""
    rng = np.random.default_rng(seed)
    laws = rng.dirichlet(np.full(V, 0.4), (V, V)).cumsum(axis=-1)
    text = [0, 1]
    for draw in rng.random(size - 2):
        text.append(int(min(V - 1, np.searchsorted(laws[text[-2], text[-1]], draw))))
    return np.array(text)


TEXT = made_text(600)


def circular(order, text=TEXT, skip=1):
    """Counts of a text that begins anew where it ends: no context ends, and each is left as often as it is reached."""
    return count_ngrams(np.append(text, text[: (order - 1) * skip]), order=order, vocabulary=V, skip=skip)


def laws_by_hand(counts):
    """Laws of the next token of each context, and the law of the first context, from the counts alone."""
    rows = defaultdict(dict)
    for gram, often in zip(map(tuple, counts.grams.tolist()), counts.counts.tolist(), strict=True):
        rows[gram[:-1]][gram[-1]] = often
    total = {context: sum(row.values()) for context, row in rows.items()}
    first = {context: often / sum(total.values()) for context, often in total.items()}
    return {context: {c: n / total[context] for c, n in row.items()} for context, row in rows.items()}, first


def dense(found, row):
    law = np.zeros(V)
    part = slice(found.indptr[row], found.indptr[row + 1])
    law[found.targets[part]] = found.chances[part]
    return law


def floor_by_hand(laws, first, order, length, skip):
    """Mean entropy of all tokens but the first, over every walk on tokens that there is."""
    turns = -(-length // skip)
    walks = {(): 1.0}
    entropies = []
    for place in range(turns):
        longer, entropy = Counter(), 0.0
        for walk, chance in walks.items():
            if place < order - 1:
                marginal = Counter()
                for context, its in first.items():
                    if context[:place] == walk:
                        marginal[context[place]] += its
                law = {token: its / marginal.total() for token, its in marginal.items()}
            else:
                law = laws[walk[place - order + 1 :]]
            for token, its in law.items():
                longer[(*walk, token)] += chance * its
                entropy -= chance * its * np.log(its)
        walks = longer
        entropies.append(entropy)
    return np.mean([entropies[place // skip] for place in range(1, length)])


@pytest.fixture(
    scope="module", params=[(2, 1), (3, 1), (4, 1), (2, 3), (3, 2)], ids=lambda one: f"n={one[0]},s={one[1]}"
)
def counts(request):
    """Of no text: no context ends, but none is left as often as it is reached, so that laws change on the way."""
    found = circular(request.param[0], skip=request.param[1])
    often = found.counts * np.random.default_rng(5).integers(1, 9, len(found.counts))
    return replace(found, counts=often, seen=int(often.sum()))


@pytest.fixture(scope="module")
def model(counts):
    return ngram_model(counts)


# The graph of bigrams.


def test_the_graph_of_bigrams_is_that_of_weighted_pairs():
    documents = np.array([0, 7, 200, 201, 600])
    counts = count_ngrams(TEXT, documents, order=2, vocabulary=V + 2)  # two tokens do not occur
    names = list("abcdefgh")
    graph = bigram_graph(counts, labels=names)
    other = Graph.from_edges(counts.grams, weights=counts.counts, nodes=V + 2, directed=True, labels=names)
    assert graph.digest == other.digest
    assert graph.labels == other.labels
    np.testing.assert_array_equal(graph.start, other.start)
    assert (graph.undirected, graph.weights.dtype, graph.indices.dtype) == (False, np.float64, np.int64)


def test_p_and_the_start_law_are_those_of_the_paper():
    counts = circular(2)
    graph = bigram_graph(counts)
    W = np.zeros((V, V))
    for before, after in zip(TEXT, np.append(TEXT[1:], TEXT[0]), strict=True):
        W[before, after] += 1
    np.testing.assert_allclose(graph.matrix.toarray(), W / W.sum(axis=1, keepdims=True), rtol=1e-14)
    np.testing.assert_allclose(graph.start, W.sum(axis=1) / W.sum(), rtol=1e-14)
    np.testing.assert_allclose(graph.start, np.bincount(TEXT) / 600, rtol=1e-14)  # the unigrams


def test_the_entropy_of_bigrams_is_that_of_brute_force():
    counts = count_ngrams(TEXT, order=2, vocabulary=V)
    P = bigram_graph(counts).matrix.toarray()
    values, vectors = np.linalg.eig(P.T)
    law = np.real(vectors[:, np.argmax(np.real(values))])
    law /= law.sum()
    expected = -sum(law[i] * P[i, j] * np.log(P[i, j]) for i in range(V) for j in range(V) if P[i, j])
    assert bigram_graph(counts).entropy == pytest.approx(expected, abs=1e-11)
    # where each token is left as often as it is reached, the entropy is that of the counts
    assert bigram_graph(circular(2)).entropy == pytest.approx(circular(2).entropies()[1], abs=1e-11)


def test_sampled_bigrams_follow_the_table():
    graph = bigram_graph(count_ngrams(TEXT, order=2, vocabulary=V))
    made = count_walks(Walks(graph, length=50, seed=0), 2000)
    assert made.transitions > 1e-3  # one seeded draw
    assert made.first_nodes > 1e-3
    other = bigram_graph(count_ngrams(made_text(600, seed=1), order=2, vocabulary=V))
    wrong = count_walks(Walks(other, length=50, seed=0), 2000)
    assert replace(made, edges=np.resize(wrong.edges, graph.edges)).transitions < 1e-12


def test_what_is_lost_is_noted():
    text = np.array([0, 1, 0, 1, 0, 1, 0, 2, 0, 2, 3])
    graph = bigram_graph(count_ngrams(text, order=2, vocabulary=5).above(1), labels=list("abcde"))
    assert graph.labels == ("a", "b")
    assert graph.notes == (
        "2-grams: 2 that occur at most once are left out, 20 % of all",
        "largest strongly connected part: 2 of 5 nodes, 2 of 3 directed edges, 75 % of the weight",
    )
    assert bigram_graph(count_ngrams(text, order=2, vocabulary=5)).labels == ("0", "1", "2")


# Models of n-grams.


def test_next_tokens_are_those_of_the_counts(counts, model):
    laws, first = laws_by_hand(counts)
    contexts = np.array(sorted(laws))
    np.testing.assert_array_equal(model.contexts, contexts)
    spread = np.full((len(contexts), (counts.order - 1) * counts.skip + 1), V - 1)  # tokens between do not matter
    spread[:, 1 :: counts.skip] = contexts
    found = model.next_probabilities(spread)
    for row, context in enumerate(map(tuple, contexts.tolist())):
        np.testing.assert_allclose(dense(found, row), [laws[context].get(token, 0) for token in range(V)], rtol=1e-14)
    np.testing.assert_allclose(model.graph.start, [first[tuple(context)] for context in contexts.tolist()], rtol=1e-14)
    entropies = [stats.entropy(list(laws[tuple(context)].values())) for context in contexts.tolist()]
    np.testing.assert_allclose(found.entropy, entropies, atol=1e-14)


def test_first_tokens_are_those_of_the_first_context(counts, model):
    _, first = laws_by_hand(counts)
    for known in range(counts.order - 1):
        heads = sorted({context[:known] for context in first})
        spread = np.zeros((len(heads), known * counts.skip + counts.skip - 1), dtype=int)
        spread[:, counts.skip - 1 :: counts.skip] = np.array(heads).reshape(len(heads), known)
        found = model.next_probabilities(spread)
        for row, head in enumerate(heads):
            expected = np.zeros(V)
            for context, chance in first.items():
                expected[context[known]] += chance * (context[:known] == head)
            np.testing.assert_allclose(dense(found, row), expected / expected.sum(), atol=1e-14)


@pytest.mark.parametrize("length", [2, 3, 4, 7])
def test_the_floor_is_that_of_every_sequence_there_is(counts, model, length):
    expected = floor_by_hand(*laws_by_hand(counts), counts.order, length, counts.skip)
    assert model.floor(length) == pytest.approx(expected, abs=1e-13)


def test_the_floor_of_bigrams_is_that_of_their_graph():
    counts = count_ngrams(TEXT, order=2, vocabulary=V)
    assert ngram_model(counts).floor(50) == pytest.approx(bigram_graph(counts).floor(50), abs=1e-13)


def surprise(model, tokens):
    """(sequences, length - 1) minus log probability of each token but the first."""
    found = np.empty((len(tokens), tokens.shape[1] - 1))
    for place in range(1, tokens.shape[1]):
        laws = model.next_probabilities(tokens[:, :place])
        rows = np.repeat(np.arange(len(tokens)), np.diff(laws.indptr))
        hit = laws.targets == tokens[rows, place]
        assert hit.sum() == len(tokens)
        found[:, place - 1] = -np.log(laws.chances[hit])
    return found


def test_sampled_sequences_cost_the_floor_on_average(model):
    costs = surprise(model, NgramWalks(model, length=12, seed=0).batch(0, 20_000)).mean(axis=1)
    assert abs(costs.mean() - model.floor(12)) < 4 * costs.std() / np.sqrt(20_000)


def test_sampled_ngrams_follow_the_exact_law(counts, model):
    tokens = NgramWalks(model, length=24, seed=1).batch(0, 5000)
    bounds = np.arange(0, tokens.size + 1, 24)
    seen = count_ngrams(tokens.ravel(), bounds, order=counts.order, vocabulary=V, skip=counts.skip)
    assert np.isin(seen.keys, counts.keys).all()
    found = dict(zip(seen.keys.tolist(), seen.counts.tolist(), strict=True))
    statistic, freedom = 0.0, 0
    laws, _ = laws_by_hand(counts)
    for context, law in laws.items():
        key = sum(token * V ** (counts.order - 1 - place) for place, token in enumerate(context))
        often = np.array([found.get(key + token, 0) for token in law])
        expected = often.sum() * np.array(list(law.values()))
        if expected.min() > 5:
            statistic, freedom = statistic + ((often - expected) ** 2 / expected).sum(), freedom + len(law) - 1
    assert freedom > 10
    assert stats.chi2.sf(statistic, freedom) > 1e-3  # one seeded draw; wrong tables give 0
    chosen = count_walks(NgramWalks(model, length=24, seed=1).walks, 5000)  # the same by the room that tests walks
    assert chosen.transitions > 1e-3
    assert chosen.first_nodes > 1e-3


def test_tokens_of_different_turns_are_independent():
    tokens = NgramWalks(ngram_model(circular(2, skip=2)), length=40, seed=0).batch(0, 4000)[:, 20:]
    apart = [np.zeros((V, V)) for _ in range(2)]
    for distance, table in enumerate(apart, start=1):
        np.add.at(table, (tokens[:, 0], tokens[:, distance]), 1)
    assert stats.chi2_contingency(apart[0]).pvalue > 1e-3
    assert stats.chi2_contingency(apart[1]).pvalue < 1e-12


def test_a_batch_is_the_same_however_it_is_asked_for(model):
    walks = NgramWalks(model, length=20, seed=7)
    whole = walks.batch(0, 300)
    assert whole.shape == (300, 20)
    assert whole.dtype == np.int32
    assert np.array_equal(whole[117:140], NgramWalks(model, length=20, seed=7).batch(117, 23))
    assert np.array_equal(whole[:, :9], NgramWalks(model, length=9, seed=7).batch(0, 300))
    assert np.array_equal(whole[:, :2], NgramWalks(model, length=2, seed=7).batch(0, 300))
    assert walks.batch(5, 0).shape == (0, 20)
    large = walks.batch(2**60, 50)
    assert np.array_equal(large[30:], walks.batch(2**60 + 30, 20))
    others = [NgramWalks(model, length=20, seed=8), NgramWalks(model, length=20, seed=7, split="test")]
    assert len(np.unique(np.concatenate([whole, large, *(one.batch(0, 300) for one in others)]), axis=0)) == 950


@pytest.mark.parametrize("first", [0, 2**60])
def test_torch_makes_the_same_sequences(model, first):
    walks = NgramWalks(model, length=20, seed=7)
    made = walks.on("cpu").batch(first, 200)
    assert made.dtype == torch.int64
    assert np.array_equal(made.numpy(), walks.batch(first, 200))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_makes_the_same_sequences(model):
    walks = NgramWalks(model, length=20, seed=7)
    assert np.array_equal(walks.on("cuda").batch(3, 200).cpu().numpy(), walks.batch(3, 200))


def test_models_of_higher_orders_have_lower_entropies():
    """On a circle the entropy rate is that of the counts, which is the same for any order that it is read from."""
    found = [ngram_model(circular(order)).graph.entropy for order in (2, 3, 4, 5)]
    np.testing.assert_allclose(found, circular(5).entropies()[1:], atol=1e-10)
    assert np.all(np.diff(found) < -0.01)


def test_contexts_that_end_are_left_out_and_noted():
    text = np.array([0, 1, 0, 1, 1, 0, 0, 1, 0, 2, 3])  # 2 3 ends, and 0 2 leads there alone
    model = ngram_model(count_ngrams(text + 1, order=3, vocabulary=5), labels=list("zabcd"))
    assert model.contexts.tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert model.graph.labels == ("a a", "a b", "b a", "b b")
    assert model.graph.notes == (
        "largest strongly connected part: 4 of 6 nodes, 6 of 8 directed edges, 77.78 % of the weight",
    )
    assert NgramWalks(model, length=200, seed=0).batch(0, 100).max() == 2
    assert dense(model.next_probabilities(np.array([[2, 1]])), 0)[1:3].tolist() == [0.5, 0.5]  # 3 is not counted


def test_rank_tables_are_those_of_ngrams():
    counts = circular(3)
    model = ngram_model(counts, labels=list("abcdef"))
    table = bigrams(model.graph)
    np.testing.assert_allclose(table["probability"], np.sort(counts.counts)[::-1] / 600, atol=1e-10)
    contexts = unigrams(model.graph)
    pairs = circular(2)
    np.testing.assert_allclose(contexts["probability"], np.sort(pairs.counts)[::-1] / 600, atol=1e-10)
    first = table.iloc[0]
    assert first["label"].split()[1] == first["next_label"].split()[0]
    assert contexts["label"][0] == " ".join("abcdef"[token] for token in pairs.grams[np.argmax(pairs.counts)])


def test_digests_tell_models_apart():
    made = [ngram_model(circular(order, skip=skip)) for order, skip in ((2, 1), (3, 1), (2, 2))]
    made += [replace(made[0], skip=2), replace(made[0], keys=made[0].keys + 1)]
    assert len({one.digest for one in made}) == 5
    assert ngram_model(circular(3)).digest == made[1].digest


# Mixtures.


def mixed_by_hand(weight):
    second, third = laws_by_hand(circular(2))[0], laws_by_hand(circular(3))[0]
    return {
        context: {c: (1 - weight) * its + weight * third[context].get(c, 0) for c, its in second[context[1:]].items()}
        for context in third
    }


@pytest.mark.parametrize("weight", [0, 0.3, 1.0])
def test_mixtures_are_exact(weight):
    model, laws = interpolated(circular(2), circular(3), weight=weight), mixed_by_hand(weight)
    found = model.next_probabilities(model.contexts)
    assert len(model.contexts) == len(laws)
    for row, context in enumerate(map(tuple, model.contexts.tolist())):
        np.testing.assert_allclose(dense(found, row), [laws[context].get(token, 0) for token in range(V)], atol=1e-14)
    law = circular(2).counts / 600
    np.testing.assert_allclose(model.graph.start, law, rtol=1e-13)  # first contexts are bigrams
    first = dict(zip(map(tuple, model.contexts.tolist()), law, strict=True))
    positive = {context: {c: p for c, p in row.items() if p} for context, row in laws.items()}
    assert model.floor(6) == pytest.approx(floor_by_hand(positive, first, 3, 6, 1), abs=1e-13)


def test_mixtures_end_at_bigrams_and_at_trigrams():
    second, third = circular(2), circular(3)
    ends = [interpolated(second, third, weight=weight) for weight in (0.0, 1.0)]
    assert ends[0].floor(20) == pytest.approx(bigram_graph(second).floor(20), abs=1e-13)
    assert ends[0].graph.entropy == pytest.approx(bigram_graph(second).entropy, abs=1e-10)
    assert ends[1].floor(20) == pytest.approx(ngram_model(third).floor(20), abs=1e-13)
    np.testing.assert_allclose(ends[1].graph.matrix.toarray(), ngram_model(third).graph.matrix.toarray(), atol=1e-14)


def test_without_a_trigram_the_next_token_is_that_of_bigrams():
    second, third = count_ngrams(TEXT, order=2, vocabulary=V), count_ngrams(TEXT, order=3, vocabulary=V).above(4)
    model, graph = interpolated(second, third, weight=0.9), bigram_graph(second)
    laws = laws_by_hand(third)[0]
    lacking = [context for context in map(tuple, model.contexts.tolist()) if context not in laws]
    assert 0 < len(lacking) < len(model.contexts)
    found = model.next_probabilities(np.array(lacking))
    for row, context in enumerate(lacking):
        np.testing.assert_allclose(dense(found, row), graph.matrix.toarray()[context[1]], atol=1e-14)
    assert any(note.startswith("3-grams:") for note in model.graph.notes)
    graph_edges = {(int(graph.labels[a]), int(graph.labels[b])): W for (a, b), W in graph.adjacency.todok().items()}
    law = np.array([graph_edges[context] for context in map(tuple, model.contexts.tolist())])
    np.testing.assert_allclose(model.graph.start, law / law.sum(), rtol=1e-13)


def test_mixtures_keep_to_the_part_of_the_bigrams():
    text = np.append(TEXT[TEXT < 4], [4, 5])  # these two are seen once, at the end
    second, third = (count_ngrams(text, order=order, vocabulary=V) for order in (2, 3))
    model, graph = interpolated(second, third, weight=0.5), bigram_graph(second)
    assert model.contexts.max() == 3
    assert "contexts are of the largest strongly connected part of the 2-grams" in model.graph.notes[0]
    assert interpolated(second, third, weight=0.0).floor(9) == pytest.approx(graph.floor(9), abs=1e-13)


# Biased bigrams.


def test_kappa_weights_bigrams_and_keeps_their_support():
    graph = bigram_graph(circular(2, made_text(20_000)), labels=list("abcdef"))
    assert graph.biased(0, seed=0) is graph
    biased = graph.biased(1.0, seed=3)
    factors = biased.weights / graph.weights
    assert np.array_equal(biased.indices, graph.indices)
    assert 1 <= factors.min() < factors.max() <= 1000
    assert biased.labels == graph.labels
    assert biased.digest == graph.biased(1.0, seed=3).digest != graph.biased(1.0, seed=4).digest
    mean = np.mean([graph.biased(1.0, seed=seed).entropy for seed in range(20)])
    assert mean < graph.entropy - 0.1
    assert count_walks(Walks(biased, length=50, seed=0), 1000).transitions > 1e-3


def test_kappa_acts_on_contexts_as_well():
    model = ngram_model(circular(3))
    biased = replace(model, graph=model.graph.biased(1.0, seed=0))
    assert biased.floor(20) < model.floor(20)
    costs = surprise(biased, NgramWalks(biased, length=12, seed=0).batch(0, 5000)).mean(axis=1)
    assert abs(costs.mean() - biased.floor(12)) < 4 * costs.std() / np.sqrt(5000)


# Bad input.


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bigram_graph(circular(3)), "needs counts of order 2 and skip 1, not 3 and 1. Take ngram_model"),
        (lambda: bigram_graph(circular(2, skip=2)), "not 2 and 2"),
        (lambda: bigram_graph(circular(2), labels=["a"]), "6 tokens need as many labels, not 1"),
        (lambda: ngram_model(circular(3), labels=["a"]), "6 tokens need as many labels, not 1"),
        (lambda: bigram_graph(count_ngrams(np.arange(6), order=2, vocabulary=V)), "no walk goes on"),
        (lambda: ngram_model(count_ngrams(np.zeros(9, int), order=3, vocabulary=V)), "no walk goes on"),
        (lambda: interpolated(*(circular(n, np.zeros(9, int)) for n in (2, 3)), weight=0.5), "no walk goes on"),
        (lambda: interpolated(circular(3), circular(2), weight=0.5), "are .3, 6, 1. and .2, 6, 1."),
        (lambda: interpolated(circular(2), circular(3, skip=2), weight=0.5), "are .2, 6, 1. and .3, 6, 2."),
        (lambda: NgramWalks(ngram_model(circular(2)), length=1, seed=0), "at least 2 nodes"),
        (lambda: NgramWalks(ngram_model(circular(2)), length=5, seed=-1), "seed must be a whole number"),
        (lambda: NgramWalks(ngram_model(circular(2)), length=5, seed=0, split="dev"), "one of train, test"),
        (lambda: NgramWalks(ngram_model(circular(2)), length=5, seed=0).batch(-1, 5), "whole number from 0 on, not -1"),
        (lambda: ngram_model(circular(2)).floor(1), "at least 2"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_bad_weights_are_refused(weight):
    with pytest.raises(ValueError, match=r"weight must be a number from 0 \(bigrams\) to 1 \(trigrams\), not"):
        interpolated(circular(2), circular(3), weight=weight)


def test_mixtures_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr(counted_models, "MOST_EDGES", 20)
    with pytest.raises(ValueError, match="n-grams, but 20 are the most"):
        interpolated(circular(2), circular(3), weight=0.5)


@pytest.mark.parametrize(
    ("contexts", "words"),
    [
        ([[3, 2], [0, 1]], r"the tokens \[3, 2\] of context 0 .* do not occur in sequences of 3-grams \(2 such"),
        ([[1, 2], [0, 9]], r"the tokens \[0, 9\] of context 1"),
        ([[1, 2], [0, 10]], r"the tokens \[0, 10\] of context 1"),  # as a number it would be 1 2
        ([[1, 2], [-1, 1]], r"the tokens \[-1, 1\] of context 1"),
        ([[4]], r"the tokens \[4\] of context 0"),
        ([1, 2], r"rows of tokens, not int64 of the shape \(2,\)"),
        ([[0.5, 1.0]], "rows of tokens, not float64"),
        (np.empty((0, 2), dtype=int), "rows of tokens"),
    ],
)
def test_contexts_that_cannot_be_are_refused(contexts, words):
    model = ngram_model(count_ngrams(np.array([1, 2, 3, 1, 2, 2, 3, 3, 1, 1, 2] * 2), order=3, vocabulary=8))
    with pytest.raises(ValueError, match=words):
        model.next_probabilities(np.array(contexts))


def test_rows_may_be_asked_for_again_and_in_any_order():
    laws = NextTokens(np.array([0, 1, 3]), np.array([5, 1, 2]), np.array([1.0, 0.25, 0.75]))
    found = laws.rows(np.array([1, 0, 1]))
    assert found.indptr.tolist() == [0, 2, 3, 5]
    assert found.targets.tolist() == [1, 2, 5, 1, 2]
    assert found.chances.tolist() == [0.25, 0.75, 1.0, 0.25, 0.75]
