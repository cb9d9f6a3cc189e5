"""Plans of sweeps: packs and FLOPs are those that come, times add up; the shapes are timed once each."""

import math
import time
from statistics import median

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("networkx")

from scaletrain import planning
from scaletrain.jobs import read_tables
from scaletrain.ledger import Ledger
from scaletrain.planning import OF_A_SEARCH, plan, timed
from scaletrain.sweep_tables import collect
from scaletrain.sweeps import read_sweep
from scaletrain.training import Trainer
from scaletrain.working import start
from sweep_runs import FIXED, SEARCH, finish, write


@pytest.mark.parametrize("stack", [1, 3, 4])
def test_packs_and_flops_of_a_fixed_grid_are_those_that_come(tmp_path, stack):
    path = write(tmp_path, FIXED)
    planned = plan(read_sweep(path), stack=stack)
    start(read_tables(path), path, tmp_path / "out", stack=stack)
    assert planned.packs == len(Ledger.open(tmp_path / "out").packs)
    finish(tmp_path / "out")
    runs, _ = collect(Ledger.open(tmp_path / "out"))
    assert planned.flops == pytest.approx(runs["flops_6nd"].sum(), rel=1e-12)


def test_times_are_steps_and_evaluations(tmp_path):
    planned = plan(read_sweep(write(tmp_path, FIXED)), stack=1)
    for one in planned.cells:
        assert one.seconds == pytest.approx(4 * (one.cell.recipe.steps * one.speed.step + one.speed.end))
    assert planned.seconds == pytest.approx(sum(one.seconds for one in planned.cells))
    assert planned.memory > 1e6
    assert sum(row["packs"] for row in planned.shapes()) == planned.packs
    assert [row["width"] for row in planned.shapes()] == [16, 32]


def test_each_model_is_timed_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(planning, "timed", lambda trainer: calls.append(trainer.pack.shape.width) or timed(trainer))
    told = []
    plan(read_sweep(write(tmp_path, FIXED)), stack=1, progress=lambda done, total: told.append((done, total)))
    assert calls == [16, 32]
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("stack", [1, 3, 100])
def test_the_seeds_of_the_timed_models_are_those_of_packs(tmp_path, monkeypatch, stack):
    """Each seed of the data is a stream of its own, which is drawn on its own."""
    made = []
    monkeypatch.setattr(planning, "timed", lambda trainer: made.append(trainer.pack) or planning.Speed(1.0, 1.0))
    sweep = read_sweep(write(tmp_path, FIXED.replace("seed = [0, 1]", "seeds = [[0, 5], [1, 6]]")))
    plan(sweep, stack=stack)
    (_, first), *_ = sweep.needs({}, stack=stack).values()
    seeds = [[(one.seed, one.data_seed) for one in pack.replicas] for pack in (made[0], first)]
    assert seeds[0] == seeds[1]


def test_an_update_takes_its_share_of_the_drawing_too(monkeypatch):
    clock, updates = [0.0], iter([9.0, 8.0, 4.0, 2.0, 3.0, 5.0, 6.0])

    class Slow:
        device, ahead = torch.device("cpu"), 40

        def batch(self, step):
            clock[0] += 20.0

        def advance(self):
            clock[0] += next(updates)

    monkeypatch.setattr(planning, "_now", lambda device: clock[0])
    monkeypatch.setattr(planning, "finished", lambda trainer: clock.append(clock.pop() + 7.0))
    assert timed(Slow()) == planning.Speed(step=2.5, end=7.0)


def test_a_search_is_expected_to_need_more_rates_than_its_first_round(tmp_path):
    sweep, later = read_sweep(write(tmp_path, SEARCH)), OF_A_SEARCH - 3  # rounds of one rate, two runs each
    for stack, first, following in ((1, 6, 2), (4, 2, 1), (6, 1, 1)):
        planned = plan(sweep, stack=stack)
        assert planned.cells[0].runs == OF_A_SEARCH * 2
        assert planned.packs == pytest.approx(4 * (first + later * following))


def test_the_time_of_an_update_is_about_what_training_takes(tmp_path):
    path = write(tmp_path, FIXED.replace("[10, 20]", "300").replace("[16, 32]", "64"))
    sweep = read_sweep(path)
    (speed,) = {one.speed for one in plan(sweep, stack=1).cells}
    digest, pack = next(iter(sweep.needs({}, stack=1).values()))
    trainer = Trainer(pack, sweep.sources[digest])
    spent = []
    for _ in range(100):
        begun = time.perf_counter()
        trainer.advance()
        spent.append(time.perf_counter() - begun)
    assert min(spent) / 2 < speed.step < 2 * median(spent)  # other processes slow down some of them
    assert not math.isnan(speed.end)


def test_a_device_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no device 'gpu' here"):
        plan(read_sweep(write(tmp_path, FIXED)), stack=1, device="gpu")
