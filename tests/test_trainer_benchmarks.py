"""The trainer's benchmarks compare the same work, and the one for a GPU runs without one as far as it can."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import trainer
import trainer_gpu


def test_the_plain_loop_does_the_same_work():
    pack = trainer.pack_of(48, steps=trainer.STEPS, batch=4)
    assert trainer.loss_gap(pack, trainer.graph_of(1000)) < trainer.GAP


def test_other_work_is_an_error(monkeypatch):
    plain = trainer.plain

    def faster(pack, graph):
        return plain(replace(pack, replicas=(replace(pack.replicas[0], lr=0.02),)), graph)

    monkeypatch.setattr(trainer, "plain", faster)
    with pytest.raises(AssertionError, match="they do not do the same work"):
        trainer.loss_gap(trainer.pack_of(48, steps=trainer.STEPS, batch=4), trainer.graph_of(1000))


def test_the_script_for_a_gpu_runs_on_a_cpu_on_tiny_models():
    found = trainer_gpu.measure(trainer_gpu.DRY)
    assert [row["width"] for row in found["rows"]] == [16, 16]
    assert all(one["per_s"] > 0 for row in found["rows"] for one in row["stacks"].values())
    reached = trainer_gpu.goals(found)
    assert sorted(one["goal"] for one in reached) == ["G1", "G2", "G3", "G4", "G5"]
    trainer_gpu.show(found, reached, [])
    json.dumps({**found, "goals": reached})


def test_ratios_are_replica_steps_over_steps():
    row = {"small": True, "width": 128, "shipped_per_s": 50.0, "fair_per_s": 100.0, "baseline_first_s": 30.0,
           "floor_s": 0.0005, "stacks": {1: {"per_s": 250.0, "first_s": 5.0}, 42: {"per_s": 1000.0, "first_s": 10.0},
                                         64: {"per_s": 9e9, "first_s": 1.0}}}  # fmt: skip
    found = {one["goal"]: one for one in trainer_gpu.goals({"rows": [row]})}
    assert (found["G1"]["shipped"], found["G1"]["fair"], found["G1"]["replicas"]) == (20.0, 10.0, 42)
    assert (found["G5"]["fair"], found["G3"]["fair"]) == (2.5, 0.5)
    assert found["G4"]["fair"] == pytest.approx(42 * (30 + 20_000 / 100) / (10 + 42 * 20_000 / 1000))
    assert "G2" not in found
    assert [trainer_gpu.wanted(found[name]) for name in ("G1", "G3", "G5")] == ["8 met", "0.5 met", "3 missed"]


def test_the_floor_is_that_of_the_worked_case():
    # width 512, V = 8192, 5,000 tokens of a context of 50: 0.73 ms at 790 TFLOP/s and 4.3 TB/s, worked out by hand
    pack = trainer_gpu.Pack(
        shape=trainer_gpu.Shape(vocabulary=8192, width=512, length=51), recipe=trainer_gpu.Recipe(steps=1, batch=100),
        replicas=(trainer_gpu.Replica(lr=0.1),),
    )  # fmt: skip
    floor = trainer_gpu.floor_seconds(pack, {"flops_per_s": 790e12, "bytes_per_s": 4.3e12})
    assert floor == pytest.approx(0.731e-3, abs=5e-7)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_it_says_so():
    made = subprocess.run(
        [sys.executable, str(BENCHMARKS / "trainer_gpu.py")], capture_output=True, text=True, env=dict(os.environ)
    )
    assert made.returncode == 2
    assert "there is no GPU here that torch can use" in made.stderr


def test_the_page_shows_the_transfer_that_was_measured():
    found = json.loads((BENCHMARKS / "transfer.json").read_text(encoding="utf-8"))
    page = (BENCHMARKS.parent / "docs/trainer.md").read_text(encoding="utf-8")
    by_width = {width: [] for width in found["widths"]}
    for row in found["rows"]:
        by_width[row["width"]].append(f"{row['log2_lr']:.2f}, {row['excess']:.4f}")
    for width, cells in by_width.items():
        assert f"| {width} | {' | '.join(cells)} |" in page
    assert f"| range, octaves | {' | '.join(f'{one:.2f}' for one in found['moved'].values())} |" in page


def test_what_was_measured_is_transfer():
    moved = json.loads((BENCHMARKS / "transfer.json").read_text(encoding="utf-8"))["moved"]
    assert moved["mup"] < 1
    assert moved["sp"] >= 2
