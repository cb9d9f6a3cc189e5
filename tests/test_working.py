"""Sweeps in folders: whatever happens to the workers, the table is the one of an undisturbed sweep."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("networkx")
pytest.importorskip("pyarrow")

from pyarrow import parquet

import scalefit as sf
from scaletrain import prepare, working
from scaletrain.claiming import LostClaimError
from scaletrain.jobs import read_tables
from scaletrain.ledger import Ledger
from scaletrain.results import COLUMNS
from scaletrain.running import CHECKPOINT, RUNS, run
from scaletrain.sweep_tables import (
    ABOUT,
    CURVE_COLUMNS,
    SCHEMA,
    TEXT,
    WHOLE,
    WHOLE_OR_EMPTY,
    collect,
    read_table,
    write_tables,
)
from scaletrain.watching import Watch
from scaletrain.working import STATEMENT, STEP, Finished, Worker, extend, refine, resumed, start, work
from sweep_runs import FIXED, PAUSE, SEARCH, SMALL, finish, fork, table, wait, write


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(working, "PAUSE", PAUSE)


def begin(folder, text=SEARCH, **options):
    folder.mkdir(parents=True, exist_ok=True)
    path = write(folder.parent, text, f"{folder.name}.toml")
    return start(read_tables(path), path, folder, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Table of a search that one worker did without a break."""
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    begin(folder)
    worked = finish(folder)
    assert worked.done == len(Ledger.open(folder).packs)
    return table(folder)


def assert_same(folder, expected):
    for ours, theirs in zip(table(folder), expected, strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_a_table_has_every_run_once_and_all_columns(undisturbed, tmp_path):
    runs, curves = undisturbed
    assert [*runs] == [name for name in COLUMNS if name not in ("seconds", "cpu_seconds")]
    assert not runs.duplicated(["width", "steps", "lr", "seed", "data_seed"]).any()
    per_rate = runs.groupby(["width", "steps", "lr"])[["seed", "data_seed"]].agg(list)
    assert {tuple(zip(*row, strict=True)) for row in per_rate.to_numpy()} == {((0, 1), (1, 0))}
    assert set(curves["run"]) == set(runs["run"])
    assert (curves.groupby("run", sort=False)["step"].apply(lambda steps: steps.is_monotonic_increasing)).all()


def test_searches_end_inside_their_grids(undisturbed):
    runs, _ = undisturbed
    for _, cell in runs.groupby(["width", "steps"]):
        means = cell.groupby("lr")["excess"].mean()
        assert len(means) >= 3
        assert means.index[0] < means.idxmin() < means.index[-1]


def test_stacks_give_the_same_losses(undisturbed, tmp_path):
    begin(tmp_path / "out", stack=3)
    finish(tmp_path / "out")
    keys = ["width", "steps", "lr", "seed", "data_seed"]
    ours, theirs = (one.sort_values(keys, ignore_index=True) for one in (table(tmp_path / "out")[0], undisturbed[0]))
    pd.testing.assert_frame_equal(ours[[*keys, "loss"]], theirs[[*keys, "loss"]], check_exact=True)
    assert set(ours["replicas"]) == {2, 3}


def test_two_workers_share_a_search_and_do_no_pack_twice(undisturbed, tmp_path):
    begin(tmp_path / "out")
    workers = [fork(tmp_path / "out", worker=name) for name in ("one", "two")]
    for worker in workers:
        worker.join(300)  # busy machines are slow; a worker that hangs fails all the same
        assert worker.exitcode == 0
    assert_same(tmp_path / "out", undisturbed)


def test_kills_at_random_points_change_nothing(undisturbed, tmp_path):
    chance, folder, killed = random.Random(0), tmp_path / "out", 0
    begin(folder)
    while killed < 20:
        workers = [fork(folder, worker=f"w{number}") for number in range(2)]
        time.sleep(chance.uniform(0.02, 0.15))
        for worker in workers:
            if worker.exitcode is None:
                os.kill(worker.pid, signal.SIGKILL)
                killed += 1
            worker.join(10)
        if not any(Ledger.open(folder).status().counts[state] for state in ("waiting", "running")):
            break
    assert killed >= 8
    finish(folder)
    assert_same(folder, undisturbed)
    assert list(folder.glob("packs/*/done/.*.partial")) == []


def test_a_killed_pack_goes_on_from_its_checkpoint(tmp_path):
    folder = tmp_path / "out"
    begin(
        folder,
        FIXED.replace("[10, 20]", "400").replace("[16, 32]", "16").replace("[0.003, 0.03], seed = [0, 1]", "0.01"),
    )
    worker = fork(folder, worker="one")
    wait(lambda: Watch(Ledger.open(folder)).look().steps > 5)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(10)
    (checkpoint,) = folder.rglob(CHECKPOINT)
    sweep, _ = resumed(folder)
    ((digest, pack),) = sweep.needs({}, stack=1).values()
    from scaletrain.checkpoints import load_state

    before = load_state(checkpoint, pack, sweep.sources[digest]).step
    assert 0 < before < 400
    steps = []
    assert work(sweep, Ledger.open(folder), worker="two", pulse=lambda: steps.append(1)).done == 1
    assert len(steps) == 400 - before


@pytest.mark.parametrize("content", [b"", b"\0" * 4096])
def test_a_checkpoint_that_a_power_cut_tore_is_not_gone_on_from(tmp_path, content):
    begin(tmp_path / "out", SMALL)
    finish(tmp_path / "out")
    expected = table(tmp_path / "out")
    begin(tmp_path / "torn", SMALL)
    for folder in (tmp_path / "torn").glob("packs/*/waiting"):
        (folder / CHECKPOINT).write_bytes(content)
    worked = finish(tmp_path / "torn")
    assert (worked.done, worked.failed) == (4, 0)
    assert_same(tmp_path / "torn", expected)


def test_a_worker_sees_what_another_finished_behind_its_back(undisturbed, tmp_path, monkeypatch):
    begin(tmp_path / "out")
    ledger, sweep, looks = Ledger.open(tmp_path / "out"), resumed(tmp_path / "out")[0], []

    def none_left(worker):
        looks.append(worker)
        if len(looks) > 1:
            return Ledger.claim(ledger, worker)
        other = Ledger.open(tmp_path / "out")
        while (claim := other.claim("two")) is not None:
            working._train(sweep, claim, "cpu", lambda: None)
        return None

    monkeypatch.setattr(ledger, "claim", none_left)
    work(sweep, ledger, worker="one")
    assert_same(tmp_path / "out", undisturbed)


def test_a_worker_stays_when_another_was_first_to_add_packs(undisturbed, tmp_path, monkeypatch):
    """All packs are done when it looks, and what they ask for is there before it has read their losses."""
    begin(tmp_path / "out")
    sweep, stack = resumed(tmp_path / "out")
    ledger, other = Ledger.open(tmp_path / "out"), Ledger.open(tmp_path / "out")
    claim, status = ledger.claim, ledger.status

    def none_left(worker):
        monkeypatch.setattr(ledger, "claim", claim)
        while (theirs := other.claim("two")) is not None:
            working._train(sweep, theirs, "cpu", lambda: None)

    def all_done():
        monkeypatch.setattr(ledger, "status", status)
        before, theirs = status(), Finished(other)
        assert theirs.look()
        assert extend(sweep, theirs, stack=stack) > 0
        return before

    monkeypatch.setattr(ledger, "claim", none_left)
    monkeypatch.setattr(ledger, "status", all_done)
    assert work(sweep, ledger, worker="one", stack=stack).done > 0
    assert_same(tmp_path / "out", undisturbed)


def test_a_polite_end_gives_the_pack_back(tmp_path):
    begin(tmp_path / "out", SMALL)
    sweep, _ = resumed(tmp_path / "out")
    ledger, steps = Ledger.open(tmp_path / "out"), []

    def stop():
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(sweep, ledger, worker="one", pulse=stop)
    assert ledger.status().counts["running"] == 0
    assert len(list((tmp_path / "out").rglob(CHECKPOINT))) == 1


def test_a_worker_ends_with_its_parent(tmp_path):
    begin(tmp_path / "out", SMALL)
    with pytest.raises(KeyboardInterrupt):
        Worker(str(tmp_path / "out"), "one", parent=os.getppid() + 1)()
    assert Ledger.open(tmp_path / "out").status().counts["running"] == 0
    assert Worker(str(tmp_path / "out"), "one", parent=os.getppid())().done > 0


def test_a_finished_sweep_is_not_trained_again(tmp_path, monkeypatch):
    begin(tmp_path / "out", SMALL)
    finish(tmp_path / "out")
    before = table(tmp_path / "out")
    monkeypatch.setattr(working, "run", lambda *args, **options: pytest.fail("trained again"))
    begin(tmp_path / "out", SMALL)
    assert finish(tmp_path / "out").done == 0
    assert_same(tmp_path / "out", before)
    assert not list((tmp_path / "out").rglob(CHECKPOINT))
    assert not list((tmp_path / "out").rglob(STEP))


# Packs that fail.


def failing(when):
    def fails(job, folder, **options):
        if when(job.pack):
            raise ArithmeticError("no luck")
        return run(job, folder, **options)

    return fails


def test_a_pack_that_fails_blocks_its_cell_and_no_other_and_can_be_tried_again(undisturbed, tmp_path, monkeypatch):
    folder, said = tmp_path / "out", []
    begin(folder)
    sweep, _ = resumed(folder)
    monkeypatch.setattr(working, "run", failing(lambda pack: pack.shape.width == 32 and pack.replicas[0].seed == 1))
    monkeypatch.setattr(working, "IN_A_ROW", 100)
    worked = work(sweep, Ledger.open(folder), worker="one", note=said.append)
    assert worked.failed == 3  # the first round of one cell, at one of the seeds
    assert "no luck" in said[0]
    finished = Finished(Ledger.open(folder))
    finished.look()
    found = finished.found(sweep.seeds)
    assert {cell.shape.width for cell in sweep.cells if sweep.is_settled(cell, found)} == {16}
    assert set(Ledger.open(folder).status().counts.items()) >= {("failed", 3), ("waiting", 0)}
    monkeypatch.setattr(working, "run", run)
    assert len(Ledger.open(folder).retry()) == 3
    finish(folder)
    assert_same(folder, undisturbed)


def test_a_worker_ends_when_everything_fails(tmp_path, monkeypatch):
    begin(tmp_path / "out")
    monkeypatch.setattr(working, "run", failing(lambda pack: True))
    with pytest.raises(ValueError, match="3 packs in a row failed, the last one since no luck"):
        finish(tmp_path / "out")


def test_a_full_disk_ends_the_worker_and_not_the_pack(tmp_path, monkeypatch):
    def full(job, folder, **options):
        raise OSError(28, "No space left on device")

    begin(tmp_path / "out")
    monkeypatch.setattr(working, "run", full)
    with pytest.raises(OSError, match="No space left"):
        finish(tmp_path / "out")
    counts = Ledger.open(tmp_path / "out").status().counts
    assert (counts["failed"], counts["running"]) == (0, 0)


def test_a_pack_that_another_took_is_not_counted(tmp_path, monkeypatch):
    begin(tmp_path / "out", SMALL)
    calls = []

    def lost_once(job, folder, **options):
        calls.append(folder)
        if len(calls) == 1:
            folder.rename(folder.with_name("waiting"))  # as the one that takes over does
            raise LostClaimError("gone")
        return run(job, folder, **options)

    monkeypatch.setattr(working, "run", lost_once)
    said = []
    sweep, stack = resumed(tmp_path / "out")
    worked = work(sweep, Ledger.open(tmp_path / "out"), worker="one", stack=stack, note=said.append)
    assert (worked.lost, worked.failed) == (1, 0)
    assert said == ["gone"]


def test_runs_that_diverge_have_their_rows_and_the_search_avoids_them(tmp_path):
    begin(tmp_path / "out", SEARCH.replace("0.015625", "1e30").replace("[16, 32]", "16").replace("[10, 20]", "10"))
    finish(tmp_path / "out")
    runs, _ = table(tmp_path / "out")
    assert (runs["lr"] >= 1e27).any()
    assert (runs["status"] == "diverged").any()
    assert runs.loc[runs["status"] == "diverged", "loss"].isna().all()


# What is in the folder.


def test_losses_and_rates_keep_every_digit_between_workers(tmp_path):
    begin(tmp_path / "out", FIXED.replace("[0.003, 0.03]", "[0.0030000000000000005, 0.1]"))
    finish(tmp_path / "out")
    finished = Finished(Ledger.open(tmp_path / "out"))
    assert finished.look()
    assert not finished.look()
    found = finished.found(((0, 0), (1, 0)))
    assert {tuple(sorted(rates)) for rates in found.values()} == {(0.0030000000000000005, 0.1)}
    runs, _ = table(tmp_path / "out")
    for cell, rates in found.items():
        for lr, excesses in rates.items():
            chosen = (runs["width"] == cell.shape.width) & (runs["steps"] == cell.recipe.steps) & (runs["lr"] == lr)
            assert runs.loc[chosen].sort_values("seed")["excess"].tolist() == excesses


def test_two_workers_that_extend_at_once_add_the_same(tmp_path):
    begin(tmp_path / "out")
    sweep, stack = resumed(tmp_path / "out")
    for _ in sweep.needs({}, stack=stack):
        claim = Ledger.open(tmp_path / "out").claim("one")
        working._train(sweep, claim, "cpu", lambda: None)
    both = [Finished(Ledger.open(tmp_path / "out")) for _ in range(2)]
    assert [one.look() for one in both] == [True, True]
    known = both[1].ledger.packs  # the second has looked before the first writes
    added = extend(sweep, both[0], stack=stack)
    assert added > 0
    both[1].ledger._known = lambda: {name: both[1].ledger._packs[name] for name in known}
    assert extend(sweep, both[1], stack=stack) == added
    assert len(Ledger.open(tmp_path / "out").packs) == len(known) + added


def test_refining_a_fixed_grid_adds_what_its_edges_lack(tmp_path):
    text = SMALL.replace("[0.003, 0.03]", "[0.1, 0.2, 0.4]")
    folder = tmp_path / "out"
    begin(folder, text)
    assert refined(folder) == 0  # nothing is finished
    finish(folder)
    rounds = 0
    while refined(folder):
        begin(folder, text)  # the same line goes on
        finish(folder)
        rounds += 1
    runs, _ = table(folder)
    means = runs.groupby("lr")["excess"].mean()
    assert rounds >= 1
    assert means.index[0] < means.idxmin() < means.index[-1]


def refined(folder):
    sweep, stack = resumed(folder)
    return refine(sweep, Ledger.open(folder), stack=stack)


def test_another_sweep_is_refused(tmp_path):
    folder = tmp_path / "out"
    begin(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError, match=r"has another sweep, with other \[model\]\. Choose another folder"):
        begin(folder, SEARCH.replace("[16, 32]", "[16, 48]"))
    with pytest.raises(ValueError, match=r"with other \[graph\], data"):
        begin(folder, SEARCH.replace("90", "91"))
    with pytest.raises(ValueError, match=r"has this sweep in packs of 1, not 2\. Leave out --stack"):
        begin(folder, stack=2)
    assert sorted(folder.rglob("*")) == before


def test_a_version_that_names_packs_otherwise_does_not_train_them_again(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    begin(folder, SMALL)
    before = sorted(folder.rglob("*"))
    monkeypatch.setattr("scaletrain.checkpoints.FORMAT", "another")
    for call in (lambda: begin(folder, SMALL), lambda: resumed(folder)):
        with pytest.raises(ValueError, match=r"the 4 packs of .* were made by another version of scaletrain"):
            call()
    assert sorted(folder.rglob("*")) == before


def test_workers_may_have_a_device_that_is_not_here(tmp_path):
    begin(tmp_path / "out", SMALL, device="cuda")  # as where Slurm is told what to do
    assert resumed(tmp_path / "out")[1] == 48
    begin(tmp_path / "one", SMALL, device="cpu")
    assert resumed(tmp_path / "one")[1] == 1


def test_a_sweep_that_began_before_its_ledger_was_whole_is_made_whole(tmp_path):
    folder = tmp_path / "out"
    begin(folder, SMALL, stack=2)
    shutil.rmtree(folder / "packs")
    (folder / "ledger.json").unlink()
    begin(folder, SMALL)
    assert resumed(folder)[1] == 2
    assert finish(folder).done > 0


def test_a_graph_of_a_file_goes_with_the_sweep_and_may_not_change(tmp_path):
    ring = "".join(f"{node} {(node + 1) % 12}\n{node} {(node + 5) % 12}\n" for node in range(12))
    (tmp_path / "ring.txt").write_text(ring)
    text = FIXED.replace('kind = "erdos_renyi", nodes = 30, edges = 90', 'kind = "file", path = "ring.txt"')
    folder = tmp_path / "out"
    begin(folder, text)
    (tmp_path / "ring.txt").unlink()
    assert finish(folder).done == 16
    assert set(table(folder)[0]["dataset"]) == {"ring"}
    (tmp_path / "ring.txt").write_text(ring + "0 3\n")
    with pytest.raises(ValueError, match="has another sweep, with other data"):
        begin(folder, text)
    (folder / "data" / "ring.txt").write_text(ring + "0 3\n")
    with pytest.raises(ValueError, match=r"the data of .* are others here"):
        finish(folder)


def test_a_file_that_several_data_sets_share_goes_with_the_sweep_once(tmp_path):
    (tmp_path / "ring.txt").write_text(
        "".join(f"{node} {(node + 1) % 9}\n{node} {(node + 4) % 9}\n" for node in range(9))
    )
    text = SMALL.replace('"erdos_renyi", nodes = 30, edges = 90', '"file", path = "ring.txt", kappa = [0.0, 1.0]')
    folder = tmp_path / "out"
    begin(folder, text)
    (tmp_path / "ring.txt").unlink()
    assert [path.name for path in (folder / "data").iterdir()] == ["ring.txt"]
    assert finish(folder).done == 8
    assert table(folder)[0].groupby("dataset").size().to_dict() == {"ring": 4, "ring-kappa1": 4}


def test_data_that_moved_are_the_same_data(tmp_path):
    ring = "".join(f"{node} {(node + 1) % 9}\n{node} {(node + 4) % 9}\n" for node in range(9))
    texts = "\n#\n".join(" ".join(f"{one * two}" for two in range(20)) for one in range(30))
    (tmp_path / "texts.txt").write_text(texts)
    prepare(tmp_path / "texts.txt", tmp_path / "here" / "corpus", tokenizer="byte", separator="\n#\n")
    (tmp_path / "ring.txt").write_text(ring)
    old = 'graph = {kind = "erdos_renyi", nodes = 30, edges = 90}'
    for name, new, at in (
        ("graphs", 'graph = {kind = "file", path = "ring.txt"}', "ring.txt"),
        ("texts", 'text = {path = "here/corpus"}', "here"),
    ):
        folder = tmp_path / name
        begin(folder, SMALL.replace(old, new))
        (tmp_path / at).rename(tmp_path / f"moved-{at}")
        begin(folder, SMALL.replace(old, new.replace(at, f"moved-{at}")))  # and goes on
        assert finish(folder).done == 4


def with_texts(folder):
    """A sweep on text, beside whose file the corpus lies."""
    texts = "\n#\n".join(" ".join(f"{one * two}" for two in range(20)) for one in range(30))
    (folder / "texts.txt").write_text(texts)
    prepare(folder / "texts.txt", folder / "corpus", tokenizer="byte", separator="\n#\n")
    return SMALL.replace('graph = {kind = "erdos_renyi", nodes = 30, edges = 90}', 'text = {path = "corpus"}')


def test_of_text_the_losses_themselves_are_found(tmp_path):
    begin(tmp_path / "out", with_texts(tmp_path))
    finish(tmp_path / "out")
    finished = Finished(Ledger.open(tmp_path / "out"))
    finished.look()
    (rates,) = finished.found(((0, 0), (1, 0))).values()
    runs, _ = table(tmp_path / "out")
    assert rates == {lr: own.sort_values("seed")["loss"].tolist() for lr, own in runs.groupby("lr")}


def test_workers_find_a_corpus_from_wherever_they_are(tmp_path, monkeypatch):
    text = with_texts(tmp_path)
    monkeypatch.chdir(tmp_path)
    begin(Path("out"), text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert finish(tmp_path / "out").done == 4


def test_every_file_of_a_list_goes_with_the_sweep(tmp_path):
    for name, step in (("one", 2), ("two", 4)):
        ring = "".join(f"{node} {(node + 1) % 9}\n{node} {(node + step) % 9}\n" for node in range(9))
        (tmp_path / f"{name}.txt").write_text(ring)
    text = SMALL.replace('"erdos_renyi", nodes = 30, edges = 90', '"file", path = ["one.txt", "two.txt"]')
    begin(tmp_path / "out", text)
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").unlink()
    assert finish(tmp_path / "out").done == 8
    assert table(tmp_path / "out")[0].groupby("dataset").size().to_dict() == {"one": 4, "two": 4}


def test_files_of_one_name_are_refused_and_not_written_over(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ring.txt").write_text("0 1\n1 2\n2 0\n" + "0 3\n" * (name == "two"))
    paths = 'path = ["one/ring.txt", "two/ring.txt"]'
    text = SMALL.replace('"erdos_renyi", nodes = 30, edges = 90', f'"file", {paths}')
    with pytest.raises(ValueError, match=r"files of the data have one name: .*one/ring\.txt, .*two/ring\.txt\. Give"):
        begin(tmp_path / "out", text)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("content", ["", "[]", '{"stack": 1}', "\x00"])
def test_a_folder_of_something_else_is_named(tmp_path, content):
    with pytest.raises(ValueError, match=r"has no sweep\. Start one with: scaletrain run SWEEP -o"):
        resumed(tmp_path)
    (tmp_path / STATEMENT).write_text(content)
    with pytest.raises(ValueError, match="is no sweep of scaletrain"):
        resumed(tmp_path)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    path = write(tmp_path, FIXED)
    with pytest.raises(OSError, match="file"):
        start(read_tables(path), path, tmp_path / "file" / "out")


def test_a_device_that_is_not_there_fails_no_pack(tmp_path):
    begin(tmp_path / "out")
    with pytest.raises(ValueError, match="there is no device 'gpu' here"):
        Worker(str(tmp_path / "out"), "one", "gpu")()
    assert Ledger.open(tmp_path / "out").status().counts["failed"] == 0


# Tables.


def test_tables_are_the_same_as_parquet_and_as_csv(tmp_path):
    begin(tmp_path / "out", FIXED.replace("0.03]", "1e30]"))  # with diverged runs
    finish(tmp_path / "out")
    runs, curves = collect(Ledger.open(tmp_path / "out"))
    written = write_tables(tmp_path, runs, curves)
    assert [path.name for path in written] == ["runs.parquet", "runs.csv", "curves.parquet", "curves.csv"]
    for name, expected in (("runs", runs), ("curves", curves)):
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{name}.parquet"), expected, check_exact=True)
        pd.testing.assert_frame_equal(read_table(tmp_path / f"{name}.csv"), expected, check_exact=True)


def test_scalefit_reads_both_tables_without_a_map(tmp_path):
    begin(tmp_path / "out", FIXED)
    finish(tmp_path / "out")
    write_tables(tmp_path, *collect(Ledger.open(tmp_path / "out")))
    read = [sf.LossTable.read(tmp_path / name) for name in ("runs.csv", "runs.parquet")]
    assert read[0].loss.tolist() == read[1].loss.tolist()
    assert len(read[0].best(over="lr", mean="seed").to_frame()) == 4


def test_a_pack_that_is_done_while_tables_are_read_is_in_both_or_none(tmp_path, monkeypatch):
    begin(tmp_path / "out", SMALL)
    sweep, _ = resumed(tmp_path / "out")
    ledger = Ledger.open(tmp_path / "out")
    collected = ledger.collect

    def one_more(name):
        paths = collected(name)
        working._train(sweep, Ledger.open(tmp_path / "out").claim("one"), "cpu", lambda: None)
        return paths

    working._train(sweep, ledger.claim("one"), "cpu", lambda: None)
    monkeypatch.setattr(ledger, "collect", one_more)
    runs, curves = collect(ledger)
    assert len(runs) == 1
    assert set(curves["run"]) == set(runs["run"])


def test_a_hash_that_looks_like_a_number_stays_one(tmp_path):
    (tmp_path / RUNS).write_text(
        "run,pack,dataset,loss,seed\n12e4-0,1234567890123456,NA,1,0\n0012-0,12e4567890123456,nan,,1\n"
    )
    frame = read_table(tmp_path / RUNS)
    assert frame["pack"].tolist() == ["1234567890123456", "12e4567890123456"]
    assert frame["dataset"].tolist() == ["NA", "nan"]
    assert frame["run"].tolist() == ["12e4-0", "0012-0"]
    assert frame["loss"].dtype == "float64"


def test_the_schema_is_frozen(undisturbed, tmp_path):
    runs, curves = undisturbed
    write_tables(tmp_path, runs, curves)
    about = json.loads(parquet.read_schema(tmp_path / "runs.parquet").metadata[ABOUT])
    assert about == {"schema": SCHEMA, "columns": COLUMNS}
    groups = {"text": TEXT, "whole": WHOLE, "whole or empty": WHOLE_OR_EMPTY}
    kinds = {
        name: next((kind for kind, names in groups.items() if name in names), "float")
        for name in [*COLUMNS, *CURVE_COLUMNS]
    }
    found = {**runs.dtypes, **curves.dtypes}
    shown = {"text": "str", "whole": "int64", "whole or empty": "Int64", "float": "float64"}
    assert {name: str(kind) for name, kind in found.items()} == {name: shown[kinds[name]] for name in found}
    from golden_files import check_golden

    rows = [f"schema {SCHEMA}", *(f"runs {name} {kinds[name]}" for name in COLUMNS)]
    check_golden("sweep_schema", "\n".join([*rows, *(f"curves {name} {kinds[name]}" for name in CURVE_COLUMNS)]))


def test_no_table_without_a_pack_that_is_done(tmp_path):
    begin(tmp_path / "out")
    with pytest.raises(ValueError, match=r"no pack of .* is done yet"):
        collect(Ledger.open(tmp_path / "out"))
