"""Searches for the best learning rate: any smooth valley is bracketed and refined in few runs, in any order."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaletrain.learning_rates import FURTHEST, at_an_edge, best_rate, lowest, rounds, score, wanted

GUESS = 2.0**-6
octaves = st.floats(-5, 5)
steepness = st.floats(0.1, 2.0)


def valley(at, left, right):
    """Log excess falls and rises as powers of the distance in octaves; once differentiable."""

    def excesses(lr):
        x = math.log2(lr) - at
        return [math.exp(-3 + (left if x < 0 else right) * x * x)]

    return excesses


def search(response, guess=GUESS):
    """Rates of a search that waits for each of its rounds."""
    found = {}
    while missing := [lr for one in rounds(found, guess) for lr in one if lr not in found]:
        found |= {lr: response(lr) for lr in missing}
    return found


@settings(max_examples=200, deadline=None)
@given(octaves, steepness, steepness)
def test_any_valley_is_bracketed_and_refined_in_few_runs(offset, left, right):
    at = math.log2(GUESS) + offset
    found = search(valley(at, left, right))
    assert not at_an_edge(found)
    assert len(found) <= 3 + math.ceil(abs(offset)) + 1  # the first, those on the way, the refined one
    assert abs(math.log2(best_rate(found)) - at) <= 1


@settings(max_examples=100, deadline=None)
@given(octaves, steepness)
def test_a_parabola_is_refined_to_the_grid(offset, bend):
    at = math.log2(GUESS) + offset
    assert abs(math.log2(best_rate(search(valley(at, bend, bend)))) - at) <= 1 / 16 + 1e-3  # and four digits


@settings(max_examples=100, deadline=None)
@given(octaves, steepness, steepness, st.randoms(use_true_random=False))
def test_the_order_in_which_runs_finish_changes_nothing(offset, left, right, random):
    response = valley(math.log2(GUESS) + offset, left, right)
    expected, found, running = search(response), {}, set()
    while True:
        running |= {lr for one in rounds(found, GUESS) for lr in one if lr not in found}
        if not running:
            break
        lr = random.choice(sorted(running))
        running.remove(lr)
        found[lr] = response(lr)
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(octaves, st.sets(st.integers(-40, 40).map(lambda eighth: GUESS * 2 ** (eighth / 8 + 0.03)), max_size=5))
def test_rates_that_somebody_added_do_not_disturb_a_search(offset, added):
    response = valley(math.log2(GUESS) + offset, 0.5, 0.7)
    plain = search(response)
    found = {lr: response(lr) for lr in added}
    while missing := [lr for one in rounds(found, GUESS) for lr in one if lr not in found]:
        found |= {lr: response(lr) for lr in missing}
    assert set(found) == set(plain) | added


def test_an_optimum_that_is_too_far_is_given_up_at_the_edge():
    for direction in (1, -1):
        found = search(lambda lr, direction=direction: [lr**direction])
        assert at_an_edge(found)
        assert abs(math.log2(best_rate(found) / GUESS)) == FURTHEST
        assert len(found) == 3 + FURTHEST - 1


def test_where_all_diverge_the_search_goes_down_to_what_does_not():
    found = search(lambda lr: [0.1, 0.1] if lr < GUESS / 20 else [0.1, math.nan])
    assert best_rate(found) == min(found)
    assert score(found[GUESS]) == math.inf
    assert len(search(lambda lr: [math.nan])) == 3 + FURTHEST - 1


def test_a_side_that_diverged_brackets_and_does_not_pull():
    found = search(lambda lr: [lr**-1 if lr <= GUESS else math.nan])
    assert sorted(found) == [GUESS / 2, GUESS, GUESS * 2]
    assert not at_an_edge(found)


@pytest.mark.parametrize("seed", range(20))
def test_noise_does_not_keep_a_search_from_its_end(seed):
    rng = np.random.default_rng(seed)
    smooth = valley(math.log2(GUESS) + rng.uniform(-3, 3), 0.3, 0.3)
    values = {}
    found = search(lambda lr: values.setdefault(lr, [smooth(lr)[0] * math.exp(0.2 * z) for z in rng.normal(size=2)]))
    assert len(found) <= 3 + FURTHEST
    assert not at_an_edge(found)


def test_a_refined_rate_has_few_digits():
    (refined,) = wanted({0.1: [0.4], 0.2: [0.2], 0.4: [0.3]}, 0.2)
    assert refined == 0.2181


def test_a_perfect_excess_is_a_number():
    assert math.isfinite(score([0.0, -1e-9]))


def test_a_list_that_was_fixed_goes_on_at_its_own_ratio():
    steep = {0.01: [0.4], 0.04: [0.2], 0.16: [0.1]}
    assert wanted(steep, best_rate(steep)) == (pytest.approx(0.64),)
    fine = {1.0: [0.3], 1.5: [0.2], 2.0: [0.25]}  # nothing to refine between rates within an octave
    assert wanted(fine, 1.5) == ()
    assert wanted({0.01: [0.1]}, 0.01) == (0.005, 0.02)


def test_parabolas_between_uneven_neighbours():
    def rise(x):
        return (x - 0.2) ** 2 - 0.04

    assert lowest(-2, 1, rise(-2), rise(1)) == pytest.approx(0.2)
    assert lowest(-1, 1, 0.0, 0.0) == 0.0
