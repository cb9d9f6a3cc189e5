"""Sweeps from TOML: cells, packs, what is needed next; every fault of a grid is named before anything trains."""

import json
import math
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("networkx")

from scaletrain.jobs import find_sweep
from scaletrain.learning_rates import at_an_edge
from scaletrain.sweeps import cost, described, read_sweep, sweep_of, work_of
from sweep_runs import FIXED, SEARCH, pairs, write


@pytest.fixture(scope="module")
def searching(tmp_path_factory):
    return read_sweep(write(tmp_path_factory.mktemp("sweep"), SEARCH))


def excess(cell, replica, *, optimum=-6.0):
    """A smooth response whose optimum drifts with the cell, and whose seeds differ."""
    at = optimum + 0.6 * math.log2(cell.shape.width / 16) - 0.4 * math.log2(cell.recipe.steps / 10)
    return math.exp(0.3 * (math.log2(replica.lr) - at) ** 2) * (1 + 0.01 * replica.seed)


def found_of(done, seeds):
    """Excess losses of packs as `Finished.found` gives them."""
    rows = {}
    for digest, pack in done:
        for one in pack.replicas:
            cell = type(CELL)(digest, pack.shape, pack.recipe)
            rows.setdefault((cell, one.lr), {})[one.seed, one.data_seed] = excess(cell, one)
    found = {}
    for (cell, lr), made in rows.items():
        if set(seeds) <= set(made):
            found.setdefault(cell, {})[lr] = [made[pair] for pair in seeds]
    return found


CELL = read_sweep("er_ci").cells[0]


def test_a_grid_is_every_combination_cheapest_first(tmp_path):
    sweep = read_sweep(write(tmp_path, FIXED))
    assert {(one.shape.width, one.recipe.steps) for one in sweep.cells} == {(16, 10), (16, 20), (32, 10), (32, 20)}
    assert all(cost(first) <= cost(second) for first, second in pairwise(sweep.cells))
    assert sweep.rates == (0.003, 0.03)
    assert sweep.seeds == ((0, 0), (1, 0))
    assert not sweep.search


@pytest.mark.parametrize("stack", [1, 3, 100])
def test_a_fixed_grid_needs_every_rate_and_seed_whatever_is_found(tmp_path, stack):
    sweep = read_sweep(write(tmp_path, FIXED))
    packs = sweep.needs({}, stack=stack)
    assert len(packs) == 4 * math.ceil(4 / stack)
    for cell in sweep.cells:
        made = [
            one
            for _, pack in packs.values()
            if pack.recipe == cell.recipe and pack.shape == cell.shape
            for one in pack.replicas
        ]
        assert made == pairs(sweep)
    assert sweep.needs(found_of(packs.values(), sweep.seeds), stack=stack) == packs
    assert all(sweep.is_settled(cell, found_of(packs.values(), sweep.seeds)) for cell in sweep.cells)
    some = list(packs.values())[:-1]
    assert not sweep.is_settled(sweep.cells[-1], found_of(some, sweep.seeds))


def test_seeds_are_pairs_or_all_combinations(tmp_path):
    assert read_sweep(write(tmp_path, SEARCH)).seeds == ((0, 1), (1, 0))
    both = FIXED.replace("seed = [0, 1]", "seed = [0, 1], data_seed = [5, 6]")
    assert read_sweep(write(tmp_path, both)).seeds == ((0, 5), (0, 6), (1, 5), (1, 6))


def test_the_neighbour_is_the_next_fewer_tokens_else_the_next_smaller_model(searching):
    cells = {(one.shape.width, one.recipe.steps): one for one in searching.cells}
    assert searching.neighbour(cells[16, 10]) is None
    assert searching.neighbour(cells[16, 20]) == cells[16, 10]
    assert searching.neighbour(cells[32, 10]) == cells[16, 10]
    assert searching.neighbour(cells[32, 20]) == cells[32, 10]


def test_recipes_are_not_neighbours(tmp_path):
    sweep = read_sweep(write(tmp_path, SEARCH.replace("embedding_lr = 8", 'parametrization = ["mup", "sp"]')))
    roots = [one for one in sweep.cells if sweep.neighbour(one) is None]
    assert {one.recipe.parametrization for one in roots} == {"mup", "sp"}
    for cell in sweep.cells:
        before = sweep.neighbour(cell)
        assert before is None or before.recipe.parametrization == cell.recipe.parametrization


def test_a_search_begins_with_the_cheapest_cell_alone_and_then_at_its_optimum(searching):
    first = searching.needs({}, stack=1)
    assert {(pack.shape.width, pack.recipe.steps) for _, pack in first.values()} == {(16, 10)}
    found = found_of(first.values(), searching.seeds)
    following = searching.needs(found, stack=1)
    while not searching.is_settled(searching.cells[0], found):
        found = found_of(following.values(), searching.seeds)
        following = searching.needs(found, stack=1)
    best = min(found[searching.cells[0]], key=lambda lr: found[searching.cells[0]][lr][0])
    rates = {one.lr for _, pack in following.values() if pack.shape.width == 32 for one in pack.replicas}
    assert rates == {best / 2, best, best * 2}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.randoms(use_true_random=False))
def test_any_order_of_packs_gives_the_same_ones(searching, stack, random):
    def all_packs(choose):
        done, known = {}, searching.needs({}, stack=stack)
        while waiting := [name for name in known if name not in done]:
            name = choose(waiting)
            done[name] = known[name]
            known |= searching.needs(found_of(done.values(), searching.seeds), stack=stack)
        return done

    expected, made = all_packs(lambda waiting: waiting[0]), all_packs(random.choice)
    assert made == expected
    found = found_of(made.values(), searching.seeds)
    assert all(searching.is_settled(cell, found) and not at_an_edge(found[cell]) for cell in searching.cells)
    runs = [(pack.shape, pack.recipe, one) for _, pack in made.values() for one in pack.replicas]
    assert len(set(runs)) == len(runs)  # no run twice, whatever the stack
    assert searching.refinements(found, stack=stack) == {}


def test_a_round_waits_for_all_seeds_of_the_one_before_it(searching):
    first = list(searching.needs({}, stack=1).values())
    for left in range(len(first)):
        some = [pack for place, pack in enumerate(first) if place != left]
        assert len(searching.needs(found_of(some, searching.seeds), stack=1)) == len(first)


def test_a_cell_that_cannot_finish_stops_those_that_wait_for_it(searching):
    done = list(searching.needs({}, stack=1).values())[1:]  # one failed
    assert len(searching.needs(found_of(done, searching.seeds), stack=1)) == len(done) + 1


def test_refining_goes_beyond_an_edge_of_a_fixed_grid(tmp_path):
    sweep = read_sweep(write(tmp_path, FIXED.replace("[0.003, 0.03]", "[0.25, 0.5, 1.0]")))
    found = found_of(sweep.needs({}, stack=1).values(), sweep.seeds)
    packs = sweep.refinements(found, stack=4)
    assert {one.lr for _, pack in packs.values() for one in pack.replicas} == {0.125}
    assert len(packs) == len(sweep.cells)
    assert sweep.refinements({}, stack=4) == {}


def test_large_grids_are_looked_at_at_once(tmp_path):
    text = SEARCH.replace("[16, 32]", str([16 * k for k in range(1, 13)])).replace("[10, 20]", str([*range(1, 13)]))
    sweep = read_sweep(write(tmp_path, text))
    found = {cell: {2.0**-k: [math.exp((k - 6) ** 2)] * 2 for k in range(4, 9)} for cell in sweep.cells}
    begun = time.process_time()
    assert len(sweep.needs(found, stack=6)) == len(sweep.cells)
    assert time.process_time() - begun < 5


def test_a_pack_survives_its_description(searching):
    for name, one in searching.needs({}, stack=2).items():
        assert work_of(json.loads(json.dumps(described(one)))) == one, name


def test_what_was_added_to_a_cell_does_not_move_the_guess_of_the_next(searching):
    root, found = searching.cells[0], {}
    while not searching.is_settled(root, found):
        found = found_of(searching.needs(found, stack=1).values(), searching.seeds)
    dependent = next(one for one in searching.cells if searching.neighbour(one) == root)
    before = searching.guess(dependent, found)
    added = {**found, root: {**found[root], 1e-5: [1e-9, 1e-9]}}
    assert searching.guess(dependent, added) == before


@pytest.mark.parametrize("name", ["er_ci", "er_small", "er_1k", "er_8k"])
def test_shipped_sweeps_are_found_by_name(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    sweep = read_sweep(name)
    assert sweep.search == (name != "er_ci")
    assert len(sweep.cells) >= 6
    assert len({replace(one.recipe, steps=1) for one in sweep.cells}) == 1
    if name != "er_ci":
        assert all(seed == data for seed, data in sweep.seeds)
        assert len(sweep.seeds) >= 2


def test_the_small_sweep_is_the_one_that_is_documented():
    sweep = read_sweep("er_small")
    (source,) = sweep.sources.values()
    assert (source.vocabulary, source.counting) == (200, (2000 - 200) / 2)
    assert {one.recipe.batch for one in sweep.cells} == {20}
    tokens = sorted({one.recipe.steps * 20 * 49 for one in sweep.cells})
    assert [round(one / 1e5) for one in tokens] == [2, 4, 8, 16, 32, 64]


def test_a_file_of_the_name_of_a_shipped_sweep_is_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, FIXED, "er_ci")
    assert str(find_sweep("er_ci")) == "er_ci"
    with pytest.raises(ValueError, match=r"there is no sweep er_smal\. Shipped are .*er_kappa, er_small, .*; or"):
        find_sweep("er_smal")
    with pytest.raises(FileNotFoundError, match=r"none\.toml"):
        read_sweep("none.toml")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("width = [16, 32]", "width = [16, 33]", r"\[model\]: width 33 is no multiple of head_dim 16"),
        ("steps = [10, 20]", "tokens = [31, 320]", r"\[recipe\]: tokens = 31 is less than one batch"),
        ("steps = [10, 20]", "tokens = [320, 321]", r"has 2 times the cell of width 16 and 10 steps"),
        ("steps = [10, 20]", "steps = [10, 10]", r"steps must be a value or a list of different ones"),
        ("width = [16, 32]", "width = []", r"width must be a value or a list of different ones, not \[\]"),
        ("lr = [0.003, 0.03], ", "", r"\[replicas\] needs one of lr, a list, and search, a first guess"),
        ("lr = [0.003, 0.03]", "lr = 0.1, search = 0.1", r"\[replicas\] needs one of lr"),
        ("lr = [0.003, 0.03]", "search = [0.1]", r"search is one number, the first guess, not \[0.1\]"),
        ("lr = [0.003, 0.03]", "search = 'yes'", r"search is a positive learning rate, the first guess, not 'yes'"),
        ("lr = [0.003, 0.03]", "search = true", r"search is a positive learning rate, the first guess, not True"),
        ("lr = [0.003, 0.03]", "lr = [0.003, nan]", r"lr must be a finite number, positive, not nan"),
        (
            "seed = [0, 1]",
            "seed = [0, 1], seeds = [[0, 0]]",
            r"has seeds, which are pairs of seed and data_seed: leave",
        ),
        ("seed = [0, 1]", "seeds = [0, 1]", r"seeds must be pairs \[seed, data_seed\], such as .*not \[0, 1\]"),
        ("seed = [0, 1]", "seeds = []", r"seeds must be pairs"),
        ("seed = [0, 1]", "seeds = [[0, 0, 0]]", r"seeds must be pairs"),
        ("seed = [0, 1]", "seeds = [[0, 0], [0, 0]]", r"seeds has a pair twice"),
        ("seed = [0, 1]", "seeds = [[0, [1]]]", r"a pair of seeds is two whole numbers"),
        ("seed = [0, 1]", "seeds = [[0, -1]]", r"data_seed must be a whole number from 0 .*not -1"),
        ("seed = [0, 1]", "seeds = [[0, 'a']]", r"data_seed must be a whole number from 0 .*not 'a'"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, old, new, words):
    assert old in FIXED
    with pytest.raises(ValueError, match=words):
        read_sweep(write(tmp_path, FIXED.replace(old, new)))


def test_every_fault_of_a_grid_is_named_at_once(tmp_path):
    text = FIXED.replace("width = [16, 32]", "width = [16, 33, 40]").replace("steps = [10, 20]", "tokens = [31, 320]")
    with pytest.raises(ValueError, match="has 3 faults") as caught:
        read_sweep(write(tmp_path, text))
    for words in ("(1) [recipe]: tokens = 31", "(2) [model]: width 33", "(3) [model]: width 40"):
        assert words in str(caught.value)


def test_tables_need_no_file(tmp_path):
    tables = {"graph": {"kind": "erdos_renyi", "nodes": 30, "edges": 90}, "model": {"width": 16},
              "recipe": {"steps": 5}, "replicas": {"lr": 0.1}}  # fmt: skip
    assert len(sweep_of(tables, tmp_path / "none.toml").cells) == 1
