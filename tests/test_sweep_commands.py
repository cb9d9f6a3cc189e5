"""The commands of sweeps: from a file to tables, interrupted and gone on with; bad input is one message."""

import os
import re
import signal
import subprocess
import sys

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("networkx")
pytest.importorskip("pyarrow")

from scaletrain import engines, sweep_commands, working
from scaletrain.claimants import Claimant
from scaletrain.endings import INTERRUPTED, NOT_OK
from scaletrain.jobs import read_tables
from scaletrain.ledger import Ledger
from scaletrain.running import run
from scaletrain.sweep_tables import read_table
from scaletrain.watching import Watch
from scaletrain.working import start
from sweep_runs import FIXED, PAUSE, SMALL, TIMES, finish, table, wait, write

ENDLESS = SMALL.replace("steps = 10", "steps = 1_000_000")
NAMES = ("plan", "run", "work", "status", "collect", "retry", "refine")

app = typer.Typer(pretty_exceptions_enable=False)
for name in NAMES:
    app.command(name)(getattr(sweep_commands, f"{name}_command"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(working, "PAUSE", PAUSE)
    monkeypatch.setattr(sweep_commands, "LOOKS", PAUSE)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(autouse=True)
def signals():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def begin(folder, text=SMALL):
    path = write(folder.parent, text)
    start(read_tables(path), path, folder)
    return folder


def words(output):
    return re.sub(r"\s+", " ", output)


def test_a_sweep_from_its_file_to_its_tables(tmp_path):
    path, out = write(tmp_path, SMALL), tmp_path / "out"
    result = invoke("run", path, "-o", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "4 done, 0 failed cells 1 of 1 complete" in words(result.output)
    assert {"runs.csv", "runs.parquet", "curves.csv", "curves.parquet"} <= {one.name for one in out.iterdir()}
    runs = read_table(out / "runs.csv")
    pd.testing.assert_frame_equal(runs.drop(columns=TIMES), table(out)[0], check_exact=True)
    assert runs[["lr", "seed"]].to_numpy().tolist() == [[0.003, 0], [0.003, 1], [0.03, 0], [0.03, 1]]
    best = runs.groupby("lr")["excess"].apply(lambda one: one.prod() ** 0.5).min()
    assert f"{best:#.4g}" in result.output
    assert "at an edge" not in result.output  # of two rates neither is inside


def test_a_complete_sweep_starts_no_worker(tmp_path, monkeypatch):
    path = write(tmp_path, SMALL)
    begin(tmp_path / "out")
    finish(tmp_path / "out")
    monkeypatch.setattr("scaletrain.engines.ENGINES", {})
    result = invoke("run", path, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output


def test_a_plan_says_what_it_will_take(tmp_path):
    result = invoke("plan", write(tmp_path, FIXED), "--workers", 2)
    assert result.exit_code == 0, result.output
    assert "er-30-90, 30 nodes, 180 directed edges cells 4, pairs of seeds of each: 2 packs 16" in words(result.output)
    assert "with 2 idle cores" in result.output
    shipped = invoke("plan", "er_ci")
    assert shipped.exit_code == 0, shipped.output
    assert "cells 6, pairs of seeds of each: 1 packs 6" in words(shipped.output)


def test_workers_on_other_machines_and_their_tables(tmp_path):
    out = begin(tmp_path / "out")
    waiting = invoke("status", out)
    assert "4 waiting, 0 running, 0 done, 0 failed cells 0 of 1 complete" in words(waiting.output)
    assert f"nobody works on them. Go on with: scaletrain work {out}" in words(waiting.output)
    assert invoke("collect", out).exit_code == 1
    worked = invoke("work", out, "--name", "laptop")
    assert worked.exit_code == 0, worked.output
    assert "4 done, 0 failed, 0 taken over by others" in worked.output
    assert len(read_table(out / "runs.csv")) == 4  # the last worker writes them
    (out / "runs.csv").unlink()
    assert invoke("collect", out).exit_code == 0
    assert len(read_table(out / "runs.csv")) == 4


def test_status_names_who_runs_what(tmp_path):
    out = begin(tmp_path / "out")
    claim = Ledger.open(out).claim("laptop")
    (claim.folder / "step").write_text("7")
    result = invoke("status", out)
    assert f"{claim.id} by laptop on" in words(result.output)
    assert "step 7" in result.output


def test_slurm_is_told_from_where_there_is_no_gpu(tmp_path, monkeypatch):
    def crew(folder, **options):
        raise ValueError(f"jobs on {options['device']}, in packs of {working.resumed(folder)[1]}")

    monkeypatch.setitem(engines.ENGINES, "slurm", crew)
    path, out = write(tmp_path, SMALL), tmp_path / "out"
    result = invoke("run", path, "-o", out, "--engine", "slurm", "--device", "cuda", "--workers", 2)
    assert "jobs on cuda, in packs of 48" in words(result.output)


def test_a_cell_that_still_searches_is_no_edge(tmp_path):
    out = begin(tmp_path / "out", SMALL.replace("lr = [0.003, 0.03], seed = [0, 1]", "search = 0.003"))
    sweep, ledger = working.resumed(out)[0], Ledger.open(out)
    while (claim := ledger.claim("one")) is not None:  # its first round, whose best rate is at an end
        working._train(sweep, claim, "cpu", lambda: None)
    shown = words(invoke("status", out).output)
    assert "cells 0 of 1 complete" in shown
    assert re.search(r"16 320 (0\.0015|0\.006) \S+ not complete", shown)
    assert "at an edge" not in shown


def test_a_failed_pack_is_named_with_what_to_do(tmp_path, monkeypatch):
    def unlucky(job, folder, **options):
        if job.pack.replicas[0].seed == 1:
            raise ArithmeticError("no [bold]luck[/bold]")
        return run(job, folder, **options)

    out = begin(tmp_path / "out")
    monkeypatch.setattr(working, "run", unlucky)
    finish(out)
    shown = words(invoke("status", out).output)
    assert "2 done, 2 failed cells 0 of 1 complete failed" in shown
    assert "ArithmeticError: no [bold]luck[/bold]" in shown
    assert f"1 cells are not complete. Try them again: scaletrain retry {out}" in shown
    ended = invoke("run", write(tmp_path, SMALL), "-o", out)
    assert ended.exit_code == NOT_OK
    assert len(read_table(out / "runs.csv")) == 2
    assert "2 wait again" in invoke("retry", out).output
    assert "none has failed" in invoke("retry", out).output
    monkeypatch.setattr(working, "run", run)
    finish(out)
    assert "1 of 1 complete" in invoke("status", out).output


def test_an_edge_is_told_and_refined(tmp_path):
    out = begin(tmp_path / "out", SMALL.replace("[0.003, 0.03]", "[0.1, 0.2, 0.4]"))
    finish(out)
    told = words(invoke("status", out).output)
    assert "at an edge the best learning rate of 1 of the cells, such as width 16 at 10 steps" in told
    assert f"Extend them: scaletrain refine {out}" in told
    assert re.search(r"16 320 0\.1 \S+ at an edge", told)
    assert "2 added" in invoke("refine", out).output
    finish(out)
    while "added. Do" in invoke("refine", out).output:
        finish(out)
    result = invoke("status", out)
    assert "at an edge" not in result.output
    assert "none added" in invoke("refine", out).output


@pytest.fixture
def running(tmp_path):
    """`scaletrain run` of a sweep without an end, in a process of its own, once it trains."""
    path, out = write(tmp_path, ENDLESS), tmp_path / "out"
    code = "import typer; from scaletrain.sweep_commands import run_command; typer.run(run_command)"
    command = [sys.executable, "-c", code, str(path), "-o", str(out), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait(lambda: (out / "ledger.json").exists() and Watch(Ledger.open(out)).look().steps > 0, seconds=180)
            yield process, out
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_workers_save_and_says_how_to_go_on(running, number):
    process, out = running
    process.send_signal(number)
    _, said = process.communicate(timeout=90)
    assert process.returncode == INTERRUPTED, said
    assert "stopped. Run the same line again" in said
    assert list((out / "packs").glob("*/running*")) == []
    assert len(list(out.rglob("checkpoint.safetensors"))) == 1


def test_workers_that_die_are_told_and_their_packs_are_not_lost(running):
    process, out = running
    (folder,) = (out / "packs").glob("*/running*")
    os.kill(int(Claimant.of_name(folder.name).pid), signal.SIGKILL)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 1
    assert said.count("ended by signal 9") == 1
    assert "Go on with: scaletrain run" in words(said)
    assert "error: all workers have ended, but the sweep has not." in said
    assert Ledger.open(out).status().counts["waiting"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "{}/none.toml", "-o", "{}/out"), "none.toml"),
        (("run", "er_none", "-o", "{}/out"), "there is no sweep er_none. Shipped are"),
        (("run", "{}/bad.toml", "-o", "{}/out"), "width 33 is no multiple of head_dim 16"),
        (
            ("run", "{}/sweep.toml", "-o", "{}/sweep.toml"),
            "cannot be a folder of a sweep (File exists). Choose another",
        ),
        (("run", "{}/sweep.toml", "-o", "{}/sweep.toml/out"), "(Not a directory). Choose another with -o."),
        (("run", "{}/sweep.toml", "-o", "{}/out", "--engine", "slurm"), "such as --workers 8"),
        (("run", "{}/sweep.toml", "-o", "{}/out", "--device", "cuda"), "there is no device 'cuda' here"),
        (("plan", "{}/sweep.toml", "--device", "cuda"), "there is no device 'cuda' here"),
        (("work", "{}/out"), "has no sweep. Start one with"),
        (("status", "{}/out"), "has no sweep"),
        (("collect", "{}/out"), "has no ledger"),
        (("retry", "{}/out"), "has no ledger"),
        (("refine", "{}/out"), "has no sweep"),
    ],
)
def test_bad_input_is_one_message(tmp_path, arguments, said):
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.fail("this machine has a GPU: test another device")
    write(tmp_path, SMALL)
    write(tmp_path, SMALL.replace("width = 16", "width = 33"), "bad.toml")
    result = invoke(*(one.format(tmp_path) for one in arguments))
    assert result.exit_code == 1, result.output
    assert said in words(result.stderr)
    assert result.stderr.count("error:") == 1
    assert not (tmp_path / "out" / "runs.csv").exists()


def test_a_sweep_over_data_shows_each_in_the_order_of_its_file(tmp_path):
    text = SMALL.replace("edges = 90", "edges = 90, kappa = [0.0, 1.0, 0.5]").replace(
        "[0.003, 0.03]", "[0.3, 0.6, 0.9]"
    )
    folder = begin(tmp_path / "out", text.replace("seed = [0, 1]", "seed = 0"))
    finish(folder)
    told = words(invoke("status", folder).output)
    names = ["er-30-90", "er-30-90-kappa1", "er-30-90-kappa0.5"]
    assert re.findall(r"(er-\S+) 16 320", told) == names
    edges = re.findall(r"width 16 at 10 steps of ([^ ,]+)", told)
    assert edges
    assert set(edges) == {name for name in names if re.search(rf"{name} 16 320 \S+ \S+ at an edge", told)}
