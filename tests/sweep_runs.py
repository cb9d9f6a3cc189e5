"""Tiny sweeps for tests: their text, workers that are killed, what their table should be."""

import multiprocessing
import os
import time
import warnings
from functools import partial

from scaletrain import working
from scaletrain.config import Replica
from scaletrain.ledger import Ledger
from scaletrain.running import run
from scaletrain.sweep_tables import collect
from scaletrain.working import resumed, work

FIXED = """
graph = {kind = "erdos_renyi", nodes = 30, edges = 90}
model = {width = [16, 32], depth = 1, length = 9}
recipe = {steps = [10, 20], batch = 4, embedding_lr = 8}
replicas = {lr = [0.003, 0.03], seed = [0, 1]}
"""
SEARCH = FIXED.replace("lr = [0.003, 0.03], seed = [0, 1]", "search = 0.015625, seeds = [[0, 1], [1, 0]]")
SMALL = FIXED.replace("[16, 32]", "16").replace("[10, 20]", "10")  # four packs
TIMES = ["seconds", "cpu_seconds"]
PAUSE = 0.02  # seconds: tests do not wait long for others


def write(folder, text, name="sweep.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def finish(folder, worker="one"):
    """Be a worker until nothing is left."""
    sweep, stack = resumed(folder)
    return work(sweep, Ledger.open(folder), worker=worker, stack=stack)


def table(folder):
    """Runs and curves, less what no two machines have alike."""
    runs, curves = collect(Ledger.open(folder))
    return runs.drop(columns=TIMES), curves


def fork(folder, *, worker, every=0.0):
    """A worker in a process of its own that writes a checkpoint after every update; it has torch already."""

    def be():
        try:
            working.run = partial(run, every=every)
            finish(folder, worker)
        except BaseException:
            os._exit(1)
        os._exit(0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, which sleep here
        process = multiprocessing.get_context("fork").Process(target=be)
        process.start()
    return process


def wait(condition, *, seconds=60):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.01)


def pairs(sweep):
    """Replicas of one round of a sweep's first guess."""
    return [Replica(lr=lr, seed=seed, data_seed=data) for lr in sweep.rates for seed, data in sweep.seeds]
