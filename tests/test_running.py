"""Jobs in a folder: tables at the end, interruptions on the way; and the commands around them."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("networkx")
safetensors = pytest.importorskip("safetensors")

import scalefit as sf
from scaletrain.checkpoints import identity
from scaletrain.cli import app
from scaletrain.jobs import read_job
from scaletrain.results import COLUMNS
from scaletrain.running import CHECKPOINT, CURVES, RUNS, run
from scaletrain.training import Trainer

TEXT = """
graph = {kind = "erdos_renyi", nodes = 30, edges = 90}
model = {width = 16, length = 9}
recipe = {steps = 30, batch = 4}
replicas = {lr = [0.01, 0.03], seed = [0, 1]}
"""
TIMES = ["seconds", "cpu_seconds"]


@pytest.fixture
def job(tmp_path):
    (tmp_path / "job.toml").write_text(TEXT, encoding="utf-8")
    return read_job(tmp_path / "job.toml")


def test_a_table_has_every_column_and_is_read_without_a_map(job, tmp_path):
    runs = run(job, made(tmp_path / "out"))
    read = pd.read_csv(tmp_path / "out" / RUNS)
    assert list(read) == list(COLUMNS)
    np.testing.assert_array_equal(read["loss"], runs["loss"])  # every digit
    assert set(runs["status"]) == {"ok"}
    assert runs["run"].is_unique
    table = sf.LossTable.read(tmp_path / "out" / RUNS)
    assert table.params.tolist() == [job.pack.shape.params] * 4
    assert table.tokens.tolist() == [30 * 4 * 8] * 4
    assert not any("recognised" in note for note in table.notes)


def test_losses_are_above_their_floor_and_flops_are_counted(job, tmp_path):
    (row, *_) = run(job, tmp_path).to_dict("records")
    assert row["loss"] > row["loss_counting"] > row["loss_floor"] > 0
    assert row["excess"] == pytest.approx(row["loss"] - row["loss_floor"], rel=1e-12)
    learnt = job.source.counting
    assert row["loss_counting"] == pytest.approx(row["loss_floor"] + learnt / row["tokens"], rel=1e-12)
    assert row["flops_6nd"] == 6 * row["params"] * row["tokens"]
    assert row["flops"] == row["flops_6nd"] + 12 * 2 * 8 * 16 * row["tokens"]
    assert row["flops_6nd_nonembed"] == 6 * 12 * 2 * 16**2 * row["tokens"]


def test_curves_fall_and_end_at_the_last_step(job, tmp_path):
    run(job, tmp_path)
    curves = pd.read_csv(tmp_path / CURVES)
    assert curves.groupby("run")["step"].last().tolist() == [30] * 4
    assert curves["tokens"].tolist() == (curves["step"] * 4 * 8).tolist()
    assert curves.groupby("run")["lr_now"].last().tolist() == [0.0] * 4
    falls = curves.groupby("run")["train_loss"].last() < curves.groupby("run")["train_loss"].first()
    assert falls.tolist()[:2] == [True, True]  # of the smaller learning rate


def test_a_diverged_run_has_its_row_and_no_loss(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(TEXT.replace("[0.01, 0.03]", "[0.01, 1e30]"), encoding="utf-8")
    runs = run(read_job(path), made(tmp_path / "out"))
    assert runs["status"].tolist() == ["ok", "ok", "diverged", "diverged"]
    assert runs["loss"].isna().tolist() == [False, False, True, True]
    assert runs["excess"].isna().tolist() == runs["loss_se"].isna().tolist() == [False, False, True, True]


def made(folder):
    folder.mkdir()
    return folder


class Stopped(BaseException):
    """As ^C comes: in the middle of anything."""


@pytest.mark.parametrize("at", [1, 17, 29])
def test_an_interrupted_run_goes_on_bit_by_bit(job, tmp_path, at):
    def stop(done, total):
        if done == at:
            raise Stopped

    stopped = []
    with pytest.raises(Stopped):
        run(job, made(tmp_path / "cut"), progress=stop, note=stopped.append)
    assert not (tmp_path / "cut" / RUNS).exists()
    notes = []
    again, whole = run(job, tmp_path / "cut", note=notes.append), run(job, made(tmp_path / "whole"))
    pd.testing.assert_frame_equal(again.drop(columns=TIMES), whole.drop(columns=TIMES), check_exact=True)
    assert (tmp_path / "cut" / CURVES).read_text() == (tmp_path / "whole" / CURVES).read_text()
    assert f"stopped at step {at} of 30" in stopped[-1]
    assert f"going on from step {at} of 30" in notes[0]


def test_a_finished_run_is_not_trained_again(job, tmp_path, monkeypatch):
    first = run(job, tmp_path)
    monkeypatch.setattr(Trainer, "advance", lambda self: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(run(job, tmp_path), first)


def test_a_folder_of_another_job_is_refused(job, tmp_path):
    run(job, tmp_path)
    (tmp_path / "other.toml").write_text(TEXT.replace("30, batch", "31, batch"), encoding="utf-8")
    before = (tmp_path / RUNS).read_text()
    with pytest.raises(ValueError, match="checkpoint of another run"):
        run(read_job(tmp_path / "other.toml"), tmp_path)
    assert (tmp_path / RUNS).read_text() == before


def test_a_folder_that_is_not_there_is_not_made(job, tmp_path):
    with pytest.raises(OSError, match="none"):
        run(job, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_another_version_of_torch_is_told(job, tmp_path, monkeypatch):
    run(job, tmp_path)
    monkeypatch.setattr("scaletrain.running.made_by", lambda path: "2.0.0")
    notes = []
    run(job, tmp_path, note=notes.append)
    assert any("made by torch 2.0.0" in note and "bits may differ" in note for note in notes)


# The commands.


def invoke(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_runs_that_learnt_nothing_are_noted(job, tmp_path):
    text = TEXT.replace("[0.01, 0.03]", "[0.01, 30.0]")
    (tmp_path / "job.toml").write_text(text, encoding="utf-8")
    result = invoke("train", tmp_path / "job.toml", "-o", tmp_path / "out")
    assert "2 of 4 runs are worse than a uniform guess, ln V = 3.401" in " ".join(result.stderr.split())


def test_a_model_that_is_not_finished_is_exported_with_a_note(job, tmp_path):
    def stop(done, total):
        raise Stopped

    with pytest.raises(Stopped):
        run(job, made(tmp_path / "out"), progress=stop)
    result = invoke("export", tmp_path / "out", "-o", tmp_path / "m.safetensors", "--replica", 0)
    assert result.exit_code == 0
    assert "stopped at step 1 of 30" in result.stderr


def test_train_shows_its_runs_the_best_first(job, tmp_path):
    result = invoke("train", tmp_path / "job.toml", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "er-30-90" in result.output
    assert "floor" in result.output
    losses = [float(line.split()[4]) for line in result.output.splitlines() if line.strip().endswith(" ok")]
    assert losses == sorted(losses)
    assert len(losses) == 4
    assert (tmp_path / "out" / RUNS).exists()


@pytest.mark.parametrize("columns", [60, 80])
def test_numbers_of_runs_are_whole_on_a_narrow_terminal(job, tmp_path, columns):
    shown = CliRunner().invoke(app, ["train", str(tmp_path / "job.toml"), "-o", str(tmp_path / "out")],
                               env={"COLUMNS": str(columns)}).stdout  # fmt: skip
    runs = pd.read_csv(tmp_path / "out" / RUNS)
    for loss, error, lr in zip(runs["excess"], runs["loss_se"], runs["lr"], strict=True):
        assert f"{loss:.5f} +- {error:.5f}  ok" in shown
        assert f"  {lr:g}  " in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "{}/none.toml", "-o", "{}/out"), "none.toml"),
        (("train", "{}/job.toml", "-o", "{}/out", "--device", "cuda:77"), "there is no device 'cuda:77' here"),
        (("train", "{}/job.toml", "-o", "{}/out", "--device", "gpu"), "there is no device 'gpu' here"),
        (("train", "{}/job.toml", "-o", "{}/job.toml"), "job.toml"),
        (("export", "{}/none", "-o", "{}/m.safetensors"), "there is no checkpoint"),
        (("export", "{}/job.toml", "-o", "{}/m.safetensors"), "is no checkpoint"),
        (("export", "{}/job.toml", "-o", "{}/m.pt"), "must end in .safetensors"),
    ],
)
def test_bad_input_is_one_message(job, tmp_path, arguments, words):
    result = invoke(*(one.format(tmp_path) for one in arguments))
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("error:") == 1
    assert not (tmp_path / "m.safetensors").exists()


def test_export_writes_one_replica_and_no_pickle(job, tmp_path):
    run(job, made(tmp_path / "out"))
    target = tmp_path / "model.safetensors"
    result = invoke("export", tmp_path / "out", "-o", target, "--replica", 3)
    assert result.exit_code == 0, result.output
    with safetensors.safe_open(tmp_path / "out" / CHECKPOINT, framework="pt") as file:
        expected = file.get_tensor("params.embedding")[3]
    with safetensors.safe_open(target, framework="pt") as file:
        assert torch.equal(file.get_tensor("embedding"), expected)
        assert json.loads(file.metadata()["replica"]) == {"lr": 0.03, "seed": 1, "data_seed": 0}
        assert json.loads(file.metadata()["shape"])["width"] == 16
    assert invoke("export", tmp_path / "out", "-o", target, "--replica", 4).exit_code == 1
    assert invoke("export", target, "-o", tmp_path / "again.safetensors").exit_code == 1
    same = invoke("export", tmp_path / "out", "-o", tmp_path / "out" / CHECKPOINT)
    assert "would be lost" in same.stderr
    assert "say which" in invoke("export", tmp_path / "out", "-o", target).stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_with_130(tmp_path, number):
    (tmp_path / "job.toml").write_text(TEXT.replace("steps = 30", "steps = 100_000"), encoding="utf-8")
    start = [sys.executable, "-c", "from scaletrain.cli import main; main()"]
    command = [*start, "train", str(tmp_path / "job.toml"), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    checkpoint = tmp_path / "out" / CHECKPOINT
    for _ in range(600):
        if checkpoint.exists():
            break
        time.sleep(0.1)
    time.sleep(0.5)  # some steps
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    job = read_job(tmp_path / "job.toml")
    from scaletrain.checkpoints import load_state

    assert load_state(checkpoint, job.pack, job.source).step > 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [CHECKPOINT]
    assert identity(job.pack, job.source)
