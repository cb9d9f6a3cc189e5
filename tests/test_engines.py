"""Engines start workers: on this machine, by Ray, by Slurm; the table is the same, and what dies is told."""

import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("networkx")

from scaletrain import engines
from scaletrain.claimants import Claimant
from scaletrain.engines import LocalCrew, RayCrew, SlurmCrew
from scaletrain.jobs import read_tables
from scaletrain.ledger import Ledger
from scaletrain.watching import Watch
from scaletrain.working import start
from sweep_runs import SMALL, finish, table, wait, write

ENDLESS = SMALL.replace("steps = 10", "steps = 1_000_000")


def begin(folder, text):
    path = write(folder.parent, text, f"{folder.name}.toml")
    start(read_tables(path), path, folder)
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = begin(tmp_path_factory.mktemp("expected") / "out", SMALL)
    finish(folder)
    return table(folder)


def over(crew):
    """Wait for the end of a crew; what its workers said."""
    said = []

    def is_over():
        said.extend(crew.ended())
        return crew.alive == 0

    wait(is_over, seconds=120)
    return [one.words for one in said]


def counts(folder):
    return Ledger.open(folder).status().counts


def held(folder):
    """Claims that nobody gave back."""
    return len(list((folder / "packs").glob("*/running*")))


def trains(folder):
    """Whether a worker has made updates."""
    return Watch(Ledger.open(folder)).look().steps > 0


def test_local_workers_do_a_sweep(expected, tmp_path):
    folder = begin(tmp_path / "out", SMALL)
    assert over(LocalCrew(folder, device="cpu", workers=2)) == ["", ""]
    for ours, theirs in zip(table(folder), expected, strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_local_workers_that_are_killed_or_stopped(tmp_path):
    folder = begin(tmp_path / "out", ENDLESS)
    crew = LocalCrew(folder, device="cpu", workers=2)
    wait(lambda: counts(folder)["running"] == 2)
    wait(lambda: trains(folder))
    os.kill(crew.pids[0], signal.SIGKILL)
    dead = []
    wait(lambda: dead.extend(crew.ended()) or dead)
    assert [one.words for one in dead] == ["ended by signal 9"]
    assert crew.alive == 1
    crew.stop()
    assert crew.alive == 0
    assert counts(folder) == {"waiting": 4, "running": 0, "done": 0, "failed": 0}
    assert held(folder) == 1  # by the one that was killed, which is known to be dead


def test_a_local_worker_says_why_it_ended(tmp_path):
    folder = begin(tmp_path / "out", SMALL)
    (folder / "sweep.json").write_text("{}")
    (words,) = over(LocalCrew(folder, device="cpu", workers=1))
    assert words.startswith("exit code 1: ")
    assert "is no sweep of scaletrain" in words


def test_local_workers_end_when_their_parent_is_killed(tmp_path):
    folder = begin(tmp_path / "out", ENDLESS)
    code = (
        "import sys, time; from pathlib import Path; from scaletrain.engines import LocalCrew\n"
        "crew = LocalCrew(Path(sys.argv[1]), device='cpu', workers=1); print(*crew.pids, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        wait(lambda: trains(folder))
        parent.kill()
    wait(lambda: gone(worker))
    assert held(folder) == 0


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as file:  # a dead child that nobody has buried
        return file.read().rpartition(")")[2].split()[0] == "Z"


def test_gpus_are_those_that_are_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,MIG-1")
    assert engines._gpus() == ["3", "MIG-1"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert engines._gpus() == ["0", "1"]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ValueError, match="there is no GPU here"):
        engines._gpus()


def test_each_local_worker_has_one_thread_and_one_gpu(tmp_path, monkeypatch):
    given = []

    class Process:
        returncode = 0

        def __init__(self, command, *, env, **options):
            given.append((command[-2], env["CUDA_VISIBLE_DEVICES"], env["OMP_NUM_THREADS"]))

        def poll(self):
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert over(LocalCrew(tmp_path, device="cuda")) == ["", ""]
    assert given == [("cuda", "4", "1"), ("cuda", "5", "1")]


@pytest.mark.parametrize(("crew", "name", "extra"), [(RayCrew, "ray", "ray"), (SlurmCrew, "submitit", "slurm")])
def test_an_extra_that_is_missing_is_named(tmp_path, monkeypatch, crew, name, extra):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"--engine {extra} needs {name}, the extra '{extra}'"):
        crew(tmp_path, device="cpu", workers=1)


def test_slurm_must_know_how_many(tmp_path):
    with pytest.raises(ValueError, match="such as --workers 8"):
        SlurmCrew(tmp_path, device="cpu")


# The two others in their embedded local modes.


@pytest.mark.filterwarnings("default")  # theirs are not ours
def test_ray_does_a_sweep_and_stops_politely(expected, tmp_path):
    pytest.importorskip("ray", reason="ray is not installed")
    folder, endless = begin(tmp_path / "out", SMALL), begin(tmp_path / "endless", ENDLESS)
    crew = RayCrew(folder, device="cpu", workers=2)
    try:
        assert over(crew) == ["", ""]
        for ours, theirs in zip(table(folder), expected, strict=True):
            pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
        (broken := begin(tmp_path / "broken", SMALL)).joinpath("sweep.json").write_text("{}")
        (words,) = over(RayCrew(broken, device="cpu", workers=1))
        assert "is no sweep of scaletrain" in words
        with pytest.raises(ValueError, match="Ray has no GPU here"):
            RayCrew(folder, device="cuda")
        crew = RayCrew(endless, device="cpu", workers=1)
        wait(lambda: trains(endless))
    finally:
        crew.stop()
    assert held(endless) == 0


@pytest.mark.filterwarnings("default")
def test_slurm_does_a_sweep_and_stops_politely(expected, tmp_path):
    pytest.importorskip("submitit", reason="submitit is not installed")
    folder, endless = begin(tmp_path / "out", SMALL), begin(tmp_path / "endless", ENDLESS)
    assert over(SlurmCrew(folder, device="cpu", workers=2)) == ["", ""]
    for ours, theirs in zip(table(folder), expected, strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    crew = SlurmCrew(endless, device="cpu", workers=1)
    (job,) = crew._jobs.values()
    try:
        wait(lambda: trains(endless))
        (first,) = (endless / "packs").glob("*/running*")
        os.kill(int(Claimant.of_name(first.name).pid), signal.SIGUSR2)  # as Slurm does at the end of the time
        wait(lambda: not first.exists())
        wait(lambda: held(endless) == 1)  # queued again, and going on
        assert crew.alive == 1
    finally:
        crew.stop()
        job._process.wait(60)  # a process of its local mode, which it leaves behind
    # given back, or, where a busy machine needs more than the second that the local mode gives, known to be dead
    wait(lambda: counts(endless)["running"] == 0)
    assert counts(endless)["waiting"] == 4
