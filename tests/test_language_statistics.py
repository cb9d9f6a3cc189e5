"""Statistics of a corpus: against exact laws and dense matrices, refused where there is no power law."""

import tracemalloc
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from runs import refusal
from scalefit.theory import language
from scalefit.theory.language import (
    PUBLISHED,
    conditional_entropies,
    correlation_matrix,
    correlations,
    data_exponent,
    entropies_from_losses,
    fit_decay,
    language_statistics,
)
from scalefit.theory.language_correlations import Correlations
from scalefit.theory.language_counting import MOST_GROUPS, documents_of, drawn
from scalefit.theory.language_decays import leading
from scalefit.theory.language_entropies import ConditionalEntropies
from scaletrain.graph_sources import barabasi_albert, erdos_renyi
from scaletrain.graphs import Graph

LAGS = (1, 2, 3, 4, 6, 8, 12, 16)
BETA, WORDS = 0.8, 16


def long_range(documents, length, *, seed, about=0.0):
    """Tokens of a half of the vocabulary, drawn anew at renewals: C_k is c k^-BETA / WORDS times a unit matrix.

    Each document is about one half, which has a chance of 1/2 + about there: this adds 4 about^2 / WORDS at every lag,
    and the rest is less by as much as a part.

    The chance of no renewal within k is rho(k) = c k^-BETA, exactly: a convex rho is that of a renewal process whose
    intervals exceed j with chance (rho(j) - rho(j + 1)) / (rho(0) - rho(1)), from the stationary residual interval on.
    """
    rng, k = np.random.default_rng(seed), np.arange(length + 2.0)
    rho = np.where(k == 0, 1.0, np.maximum(k, 1) ** -BETA / (2 - 2**-BETA))
    survivor = (rho[:-1] - rho[1:]) / (rho[0] - rho[1])
    half = np.empty((documents, length), dtype=np.int64)
    for row in half:
        chance = 0.5 + about * (2 * rng.integers(2) - 1) if about else None
        start, gap = 0, np.searchsorted(-rho, -rng.random(), side="right")
        while start < length:
            row[start : start + gap] = rng.integers(2) if chance is None else rng.random() < chance
            start, gap = start + gap, np.searchsorted(-survivor, -rng.random(), side="right")
    tokens = half * (WORDS // 2) + rng.integers(WORDS // 2, size=half.shape)
    return tokens.ravel(), np.arange(documents + 1) * length, rho


def chain(transitions, documents, length, *, seed):
    """Markov chains from a uniform start; (V, V), or (V, V, V) of order 2."""
    rng, order = np.random.default_rng(seed), transitions.ndim - 1
    rises = transitions.cumsum(axis=-1)
    tokens = rng.integers(len(transitions), size=(documents, length))
    for t in range(order, length):
        past = tuple(tokens[:, t - order : t].T)
        tokens[:, t] = np.minimum((rng.random(documents)[:, None] > rises[past]).sum(axis=1), len(transitions) - 1)
    return tokens.ravel(), np.arange(documents + 1) * length


def halves(stay, words=8):
    """A chain that stays in its half of the words with some chance: its correlations are (2 stay - 1)^k / words."""
    half = np.arange(words) // (words // 2)
    return np.where(half[:, None] == half, stay, 1 - stay) / (words // 2)


TEXT, OFFSETS, RHO = long_range(200, 1024, seed=4)


# Matrices.


@pytest.mark.parametrize("words", [5, 80], ids=["decomposed as a whole", "as an operator"])
def test_the_matrix_is_that_of_all_pairs_within_documents(words):
    rng = np.random.default_rng(0)
    tokens = np.sort(rng.integers(words, size=(40, 50)), axis=1).ravel()
    offsets = np.concatenate([[0, 0, 130, 132], np.arange(200, 2001, 100)])
    dense = np.zeros((words, words))
    for start, end in pairwise(offsets):
        np.add.at(dense, (tokens[start : max(end - 3, start)], tokens[start + 3 : max(end, start + 3)]), 1)
    dense /= dense.sum()
    dense -= np.outer(dense.sum(1), dense.sum(0))
    matrix = correlation_matrix(tokens, offsets, lag=3)
    np.testing.assert_allclose(matrix.operator @ np.eye(words), dense, atol=1e-15)
    np.testing.assert_allclose(matrix.operator.H @ np.eye(words), dense.T, atol=1e-15)
    assert matrix.strength() == pytest.approx(np.linalg.norm(dense, 2), rel=1e-8)
    assert matrix.frobenius() == pytest.approx(np.linalg.norm(dense), rel=1e-9)
    np.testing.assert_allclose(matrix.operator @ np.ones(words), 0, atol=1e-15)


def test_a_large_vocabulary_needs_no_dense_matrix():
    tokens = np.random.default_rng(0).integers(50_000, size=20_000).astype(np.uint16)
    tokens[:200] = 49_999
    tracemalloc.start()
    assert correlation_matrix(tokens, lag=2).strength() > 0.009
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # dense it is 2e10


def test_what_is_read_from_a_memory_map_is_what_is_in_memory(tmp_path):
    path = tmp_path / "tokens.bin"
    TEXT[:20_480].astype(np.uint16).tofile(path)
    mapped = np.memmap(path, dtype=np.uint16, mode="r")
    here, there = (correlations(text, OFFSETS[:21], lags=(1, 5), resamples=3) for text in (TEXT[:20_480], mapped))
    np.testing.assert_array_equal(here.strengths, there.strengths)
    np.testing.assert_array_equal(here.draws, there.draws)
    np.testing.assert_array_equal(here.floors, there.floors)


def test_groups_of_documents_are_whole_and_cover_all():
    lengths = np.random.default_rng(0).integers(0, 9, size=3000)
    given = documents_of(np.zeros(lengths.sum(), int), np.concatenate([[0], lengths.cumsum()]))
    sizes = np.diff(given.offsets[given.groups])
    assert len(sizes) == MOST_GROUPS
    assert sizes.sum() == lengths.sum()
    assert np.ptp(sizes) <= 2 * lengths.max()


# The noise floor.


def test_independent_tokens_are_at_the_floor_which_is_that_of_random_matrices():
    n, words = 100_000, 100
    tokens = np.random.default_rng(1).integers(words, size=n)
    found = correlations(tokens, np.arange(0, n + 1, 500), lags=(1, 3, 10), resamples=0)
    assert not found.above.any()
    assert np.isnan(correlations(tokens, np.arange(0, n + 1, 500), lags=(1, 3), resamples=2).draws).all()
    # entries err by sqrt(p_i p_j / n) = 1 / (words sqrt(n)); the norm of such a matrix is about 2 sqrt(words) of it
    for norms in (found.strengths, found.floors):
        np.testing.assert_allclose(norms, 2 / np.sqrt(words * n), rtol=0.1)


def test_what_documents_are_about_is_no_signal():
    rng = np.random.default_rng(2)
    topic = rng.dirichlet(np.full(6, 0.3), size=600)  # several documents in a group
    tokens = np.concatenate([rng.choice(6, size=50, p=p) for p in topic])
    apart = correlations(tokens, np.arange(0, 30_001, 50), lags=LAGS, permutations=1, resamples=0)
    assert apart.strengths.min() > 0.02
    assert not apart.above.any()
    assert correlations(tokens, lags=LAGS, permutations=1, resamples=0).above.all()


def test_the_floor_is_seeded_and_the_signal_is_not():
    again, other = (correlations(TEXT[:51_200], OFFSETS[:51], lags=(1, 4), resamples=5, seed=seed) for seed in (0, 1))
    first = correlations(TEXT[:51_200], OFFSETS[:51], lags=(1, 4), resamples=5)
    np.testing.assert_array_equal(first.floors, again.floors)
    np.testing.assert_array_equal(first.draws, again.draws)
    np.testing.assert_array_equal(first.strengths, other.strengths)
    assert np.all(first.floors != other.floors)
    assert np.all(first.draws != other.draws)


def test_no_lag_counts_beyond_one_that_is_at_the_floor():
    strengths, lags = np.array([0.5, 0.1, 0.4]), np.array([1, 2, 4])
    found = Correlations(lags, strengths, strengths, np.full(3, 0.1), np.empty((0, 3)), 0)
    assert found.above.tolist() == [True, False, False]


def test_the_floor_is_the_largest_of_the_permutations():
    text = (TEXT[:51_200], OFFSETS[:51])
    floors = [correlations(*text, lags=LAGS, permutations=count, resamples=0).floors for count in (1, 2, 3, 4)]
    assert np.all(np.diff(floors, axis=0) >= 0)
    assert np.any(np.diff(floors, axis=0) > 0)


# Exponents of correlations.


def test_a_long_range_process_has_its_strengths_and_its_exponent():
    found = correlations(TEXT, OFFSETS, lags=LAGS, permutations=2, resamples=50)
    exact = RHO[list(LAGS)] / WORDS
    np.testing.assert_allclose(found.strengths, exact, rtol=0.2)  # itself of long memory, so it errs much
    np.testing.assert_allclose(found.strengths[:4], exact[:4], rtol=0.05)
    beta = found.exponent()
    assert not beta.refused
    assert beta.used.all()
    assert 0.01 < beta.standard_error < 0.08
    assert beta.low < BETA < beta.high
    assert beta.high - beta.exponent == pytest.approx(1.96 * beta.standard_error, rel=1e-3)
    assert beta(2.0) == pytest.approx(exact[1], rel=0.1)


def test_what_documents_are_about_flattens_the_exponent():
    """As the documentation says: the floor keeps lags of nothing else away, but is not taken off the others."""
    about, lags = 0.1, (*LAGS, 24, 32, 48)
    found = correlations(*long_range(400, 1024, seed=0, about=about)[:2], lags=lags, permutations=2, resamples=30)
    assert np.all(found.floors > 4 * about**2 / WORDS)  # long memory makes documents differ, too
    near = np.array(LAGS[:4])
    np.testing.assert_allclose(found.strengths[:4], 4 * ((0.25 - about**2) * RHO[near] + about**2) / WORDS, rtol=0.1)
    beta = found.exponent()
    assert not found.above.all()
    assert beta.high < BETA  # the interval is of what is measured, not of the law without topics
    assert 0.75 * BETA < beta.exponent < 0.9 * BETA


def walks_of(graph):
    """(L,) exact strengths of the correlations of walks at all lags of LAGS."""
    law, P, found = graph.stationary, graph.matrix.toarray(), []
    for lag in LAGS:
        found.append(np.linalg.norm(law[:, None] * (np.linalg.matrix_power(P, lag) - law), 2))
    return np.array(found)


@pytest.mark.parametrize("floor", [1e-6, 1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(lambda: erdos_renyi(100, 300, seed=0), id="Erdos and Renyi"),
        pytest.param(lambda: erdos_renyi(100, 300, seed=0).biased(1.0, seed=0), id="biased"),
        pytest.param(lambda: barabasi_albert(150, 3, seed=0), id="Barabasi and Albert"),
        pytest.param(lambda: Graph.from_edges([(i, (i + s) % 99) for i in range(99) for s in (1, 2)]), id="ring"),
    ],
)
def test_walks_over_graphs_have_no_exponent_at_any_floor(graph, floor):
    strengths = walks_of(graph())
    assert fit_decay("beta", LAGS, strengths, used=leading(strengths >= 2 * floor)).refused


@pytest.mark.parametrize(("stay", "words"), [(0.97, "an exponential is closer"), (0.6, "a factor 10 at least")])
def test_a_markov_chain_is_refused(stay, words):
    found = correlations(*chain(halves(stay), 100, 600, seed=3), lags=LAGS, resamples=20)
    near = np.array(LAGS[:3])
    np.testing.assert_allclose(found.strengths[:3], (2 * stay - 1) ** near / 8, rtol=0.1, atol=found.floors[0])
    beta = found.exponent(span=10)
    assert beta.refused
    assert np.isnan([beta.exponent, beta.low, beta.high, beta.standard_error]).all()
    assert not len(beta.draws)
    if stay > 0.9:
        assert found.above.all()  # there are lags enough: it is the shape that refuses
        assert words in beta.reason
    else:
        assert "places can be trusted" in beta.reason or words in beta.reason


def test_documents_are_what_is_resampled():
    one = np.random.default_rng(0).integers(3, size=200)
    one[::2] = one[1::2]
    found = correlations(np.tile(one, 30), np.arange(0, 6001, 200), lags=(1, 2), resamples=10)
    np.testing.assert_allclose(found.draws[:, 0], found.strengths[0], rtol=1e-12)  # the same document, however often
    assert np.isnan(found.draws[:, ~found.above]).all()
    assert correlations(np.tile(one, 9), np.arange(0, 1801, 200), lags=(1, 2)).draws.shape == (0, 2)


def test_documents_are_what_is_resampled_for_entropies_too():
    one = np.random.default_rng(0).integers(3, size=200)
    found = conditional_entropies(np.tile(one, 30), np.arange(0, 6001, 200), longest=2, resamples=10)
    np.testing.assert_allclose(found.draws, np.tile(found.upper, (10, 1)), rtol=1e-12)


def test_an_interval_without_documents_is_none_and_says_so():
    beta = correlations(TEXT, lags=LAGS, permutations=1).exponent()
    assert not beta.refused
    assert np.isnan(beta.low)
    assert "no interval: there are no documents to resample" in repr(beta)


# Power laws.


def test_places_count_up_to_the_first_that_is_not_trusted():
    assert leading([True, False, True]).tolist() == [True, False, False]
    x = np.array([1.0, 2, 4, 8, 16, 32])
    y = np.where(x < 20, x**-0.5, 1e-9)
    assert fit_decay("beta", x, y, used=x < 20).exponent == pytest.approx(0.5)


def test_a_limit_is_fitted_where_it_is_asked_for():
    x = np.arange(1.0, 17)
    y = 1.2 + 2 * x**-0.6
    assert fit_decay("gamma", x, y, limit=1.2).exponent == pytest.approx(0.6)
    found = fit_decay("gamma", x, y, limit=None)
    assert (found.exponent, found.limit, found.amplitude) == pytest.approx((0.6, 1.2, 2), rel=1e-3)
    np.testing.assert_allclose(found(x), y, rtol=1e-4)
    assert fit_decay("gamma", x, 2 * x**-0.6, limit=None).limit == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (lambda x: 0.9**x, "an exponential is closer"),
        (lambda x: np.exp(-0.3 * x**0.5), "neither form is clearly closer"),
        (lambda x: x**0.2, "it does not fall: the exponent would be -0.2"),
    ],
)
def test_what_is_no_power_law_has_no_exponent(y, words):
    x = np.array([1.0, 2, 3, 5, 8, 12, 20])
    found = fit_decay("beta", x, y(x))
    assert words in found.reason
    assert found.refused
    assert np.isnan(found.exponent)
    assert repr(found).startswith("REFUSED  beta: ")


# Entropies.


def test_both_bounds_hold_the_entropy_of_a_chain():
    transitions = np.random.default_rng(0).dirichlet(np.ones(6), size=6)
    values, vectors = np.linalg.eig(transitions.T)
    stationary = np.real(vectors[:, np.argmax(values.real)])
    stationary /= stationary.sum()
    entropy = -float(np.sum(stationary[:, None] * transitions * np.log(transitions)))
    found = conditional_entropies(*chain(transitions, 200, 300, seed=0), longest=6, resamples=20)
    noise = 3 * found.draws.std(axis=0)[1]
    assert np.all(found.lower[1:] < entropy + noise)
    assert np.all(found.upper[1:] > entropy - noise)
    assert found.upper[1] - found.lower[1] < 0.002
    assert found.lower[6] < 0.9 * entropy  # contexts are rare, and counting alone is far too low
    assert found.upper[6] < entropy + noise
    assert found.trusted.tolist() == [False, True, True, True, True, False, False]
    assert found.targets == 200 * (300 - 6)


def by_hand(tokens, offsets, longest, folds):
    """Both bounds by dictionaries, a target at a time."""
    targets = [(d, t) for d, (a, b) in enumerate(pairwise(offsets))
               for t in range(a + longest, b)]  # fmt: skip
    words, lower = max(tokens) + 1, []
    grams = lambda t, n: tuple(tokens[t - n : t + 1])  # noqa: E731
    for n in range(longest + 1):
        whole, past = Counter(grams(t, n) for _, t in targets), Counter(grams(t, n)[:-1] for _, t in targets)
        lower.append(np.mean([-np.log(whole[grams(t, n)] / past[grams(t, n)[:-1]]) for _, t in targets]))
    losses = np.zeros((len(targets), longest + 1))
    for row, (document, t) in enumerate(targets):
        told, chance = [at for other, at in targets if folds[other] != folds[document]], 1 / words
        for n in range(longest + 1):
            seen = Counter(grams(at, n)[-1] for at in told if grams(at, n)[:-1] == grams(t, n)[:-1])
            if seen:
                total, kinds = sum(seen.values()), len(seen)
                chance = (seen[tokens[t]] + kinds * chance) / (total + kinds)
            losses[row, n] = -np.log(chance)
    return lower, np.minimum.accumulate(losses.mean(axis=0))


def test_bounds_are_those_of_counting_by_hand():
    tokens = np.random.default_rng(3).choice(4, p=[0.5, 0.3, 0.1, 0.1], size=90)
    offsets = np.array([0, 12, 13, 30, 45, 60, 71, 90])
    having = np.array([0, 2, 3, 4, 5, 6])  # the second is too short to be asked anything
    folds = np.zeros(7, int)
    folds[np.random.default_rng(8).permutation(having)] = np.arange(6) % 5
    lower, upper = by_hand(tokens.tolist(), offsets.tolist(), 3, folds)
    found = conditional_entropies(tokens, offsets, longest=3, seed=8)
    np.testing.assert_allclose(found.lower, lower, rtol=1e-12)
    np.testing.assert_allclose(found.upper, upper, rtol=1e-12)


def test_a_chain_with_an_end_of_its_memory_has_no_exponent():
    transitions = np.random.default_rng(1).dirichlet(np.full(3, 0.3), size=(3, 3))
    found = conditional_entropies(*chain(transitions, 300, 200, seed=1), longest=5, resamples=20)
    assert found.trusted[1:].all()
    assert found.upper[2] < 0.95 * found.upper[1]  # it does fall, once
    gamma = found.exponent(span=5)
    assert gamma.refused
    assert np.isnan(gamma.exponent)
    assert "a factor 10 at least" in found.exponent().reason


def test_entropy_that_stops_falling_is_refused_though_a_line_fits():
    flat = np.array([2.0, 1.5, 1.25, 1.1, 1.02, *[1.0] * 7])
    reason = entropies_from_losses(flat).exponent().reason
    assert "bent: the exponent is 0.426 up to 3 and 0.13 from there on" in reason
    drift = 2 - 1e-5 * np.log(np.arange(1, 13))  # what noise does to an entropy that does not fall
    assert not entropies_from_losses(drift).exponent().refused
    rows = drift + np.random.default_rng(0).normal(0, 1e-3, size=(40, 1)) * np.arange(12)
    assert (
        "does not fall by more than its bounds and its noise"
        in entropies_from_losses(rows - rows.mean(axis=0) + drift).exponent().reason
    )


def test_losses_of_a_model_give_gamma_with_an_interval_over_sequences():
    exact = 4 * np.arange(1, 17) ** -0.325
    rows = exact * np.random.default_rng(0).normal(1, 0.02, size=(200, 16))
    gamma = entropies_from_losses(rows, resamples=200).exponent()
    assert gamma.low < 0.325 < gamma.high
    assert gamma.standard_error == pytest.approx(0.02 / np.sqrt(200) / np.log(np.arange(1, 17)).std() / 4, rel=0.2)
    alone = entropies_from_losses(exact).exponent()
    assert alone.exponent == pytest.approx(0.325)
    assert np.isnan(alone.low)
    assert entropies_from_losses(exact[1:], lengths=np.arange(2, 17)).exponent(span=8).exponent == pytest.approx(0.325)
    assert "a factor 3" in entropies_from_losses(exact[:3]).exponent().reason
    assert entropies_from_losses(exact[:3]).exponent(span=3).exponent == pytest.approx(0.325)  # as for WikiText


# The prediction.


@pytest.mark.parametrize(
    ("corpus", "value", "error", "ends"),
    [("TinyStories", 0.185, 0.013, (0.172, 0.198)), ("WikiText-103", 0.141, 0.025, (0.116, 0.166))],
)
def test_published_exponents_give_the_published_prediction(corpus, value, error, ends):
    (gamma, gamma_error), (beta, beta_error) = PUBLISHED[corpus]["gamma"], PUBLISHED[corpus]["beta"]
    found = data_exponent(gamma, beta, gamma_error=gamma_error, beta_error=beta_error, level=0.6827)
    assert found.value == pytest.approx(value, abs=5e-4)
    assert found.standard_error == pytest.approx(error, abs=6e-4)
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-3)


def test_errors_that_go_together_partly_cancel():
    apart = data_exponent(0.3, 0.6, gamma_error=0.03, beta_error=0.06)
    together = data_exponent(0.3, 0.6, gamma_error=0.03, beta_error=0.06, covariance=0.03 * 0.06)
    assert apart.standard_error == pytest.approx(0.25 * np.sqrt(0.02))
    assert together.standard_error == pytest.approx(0, abs=1e-9)
    assert np.isnan(data_exponent(0.3, 0.6).low)


def test_a_corpus_and_the_losses_of_a_model_predict_the_data_exponent():
    losses = 4 * np.arange(1, 17) ** -0.3 * np.random.default_rng(0).normal(1, 0.02, size=(50, 16))
    found = language_statistics(TEXT, OFFSETS, lags=LAGS, losses=losses, resamples=30)
    assert not found.refused
    apart = data_exponent(  # sequences and documents are drawn on their own
        found.gamma.exponent, found.beta.exponent,
        gamma_error=found.gamma.standard_error, beta_error=found.beta.standard_error,
    )  # fmt: skip
    assert found.data_exponent == apart
    assert found.data_exponent.value == found.gamma.exponent / (2 * found.beta.exponent)
    assert found.data_exponent.low < 0.3 / (2 * BETA) < found.data_exponent.high
    lines = repr(found).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["ok", "ok", "ok"]
    assert found.to_dict()["beta"]["exponent"] == found.beta.exponent


def test_resamples_of_the_same_documents_are_laid_side_by_side(monkeypatch):
    """One that has no power law is left out of both, not of one alone, which would pair resamples of others."""
    lengths, rng = np.arange(1, 17), np.random.default_rng(0)
    steeper = rng.normal(0, 0.05, size=30)
    falls = 4.0 * lengths ** -(0.3 + steeper[:, None])
    falls[3] = 0.0
    entropies = ConditionalEntropies(lengths, 4 * lengths**-0.3, np.full(16, np.nan), falls, 1)
    strengths = np.array(LAGS) ** -0.8
    lower = 1.0 * np.array(LAGS) ** -(0.8 + steeper[:, None])
    lower[11] = np.nan
    seen = Correlations(np.array(LAGS), strengths, strengths, 1e-3 * strengths, lower, 0)
    monkeypatch.setattr(language, "correlations", lambda *args, **settings: seen)
    monkeypatch.setattr(language, "conditional_entropies", lambda *args, **settings: entropies)
    both = np.delete(steeper, [3, 11])
    found = language_statistics([0, 1], None)
    assert found.gamma.standard_error == pytest.approx(np.delete(steeper, 3).std(ddof=1))
    assert found.beta.standard_error == pytest.approx(np.delete(steeper, 11).std(ddof=1))
    expected = data_exponent(
        0.3, 0.8, gamma_error=found.gamma.standard_error, beta_error=found.beta.standard_error,
        covariance=both.var(ddof=1),
    )  # fmt: skip
    assert found.data_exponent.standard_error == pytest.approx(expected.standard_error)


def test_correlations_and_entropies_draw_the_same_documents(monkeypatch):
    asked = {name: set() for name in ("correlations", "entropies")}
    for name, calls in asked.items():

        def noted(units, resample, *, seed, calls=calls):
            calls.add((units, resample, seed))
            return drawn(units, resample, seed=seed)

        monkeypatch.setattr(f"scalefit.theory.language_{name}.drawn", noted)
    language_statistics(TEXT[:51_200], OFFSETS[:51], lags=(1, 2), longest=2, resamples=3, seed=7)
    assert asked["correlations"] == asked["entropies"] == {(50, resample, 7) for resample in range(3)}


def test_a_markov_chain_predicts_nothing_and_says_what_is_missing():
    found = language_statistics(*chain(halves(0.9), 60, 300, seed=0), lags=LAGS, longest=4, resamples=10)
    assert found.refused
    assert repr(found).startswith("REFUSED  data exponent gamma / (2 beta): there is no gamma and no beta; see there.")
    assert np.isnan([found.data_exponent.value, found.data_exponent.low]).all()


# Bad input.


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: correlations([0, 1, -2, 1]), "tokens must not be negative, but one is -2 (1 such tokens)"),
        (lambda: correlations([0, 1], lags=(5,)), "no document is longer than the lag 5: the longest has 2 tokens"),
        (lambda: correlations([0]), "at least two of them, but the documents hold 1"),
        (lambda: correlations([0, 0, 0], lags=(1,)), "all tokens are 0"),
        (lambda: correlations([0, 1, 0], [0, 2, 4]), "to the 3 tokens, but they go from 0 to 4"),
        (lambda: correlations([0, 1, 0], [0, 2, 1, 3]), "fall 1 times"),
        (lambda: correlations([0, 1, 0], lags=(0, 1)), "lags must be whole numbers from 1 on, but 0"),
        (lambda: correlations([0, 1, 0], lags=(2, 1)), "lags must rise, but they are [2, 1]"),
        (lambda: correlations([0, 1, 0], lags=()), "there is none"),
        (lambda: correlations([0, 1, 0], lags=(1,), permutations=0), "permutations must be a whole number from 1"),
        (lambda: correlations([0, 1, 0], lags=(1,), resamples=-1), "resamples must be a whole number from 0"),
        (lambda: conditional_entropies([0, 1, 0, 1], None, longest=1), "1 of 1 documents are longer than longest=1"),
        (lambda: conditional_entropies([0, 1], None, longest=0), "longest must be a whole number"),
        (lambda: entropies_from_losses([1.0, -1.0]), "positive and finite, but one is -1.0 (1 such losses)"),
        (lambda: entropies_from_losses([]), "not of shape (0,)"),
        (lambda: entropies_from_losses([2.0, 1.0], lengths=[2, 1]), "that rise, one for each of 2 losses"),
        (lambda: data_exponent(0.3, 0), "beta must be positive and finite, but it is 0"),
        (lambda: data_exponent(0.3, 1, level=95), "level must be between 0 and 1"),
        (lambda: fit_decay("beta", [1, 2], [1]), "lists of one length"),
        (lambda: fit_decay("beta", [2, 1, 3], [1, 1, 1]), "positive and rising"),
        (lambda: fit_decay("gamma", [1, 2, 20], [2, 1, 0.5], limit=0.5), "falls to its limit 0.5 and stays above"),
    ],
)
def test_bad_input_is_named_shown_and_counted(call, words):
    assert words in refusal(call)


@pytest.mark.parametrize("tokens", [[0.5, 1.0], [[0, 1]], ["a", "b"]])
def test_tokens_are_whole_numbers(tokens):
    with pytest.raises(TypeError, match="tokens must be one list of whole numbers"):
        correlations(tokens)
    with pytest.raises(TypeError, match="documents must be the offsets"):
        correlations([0, 1, 0], [0.5, 2])
