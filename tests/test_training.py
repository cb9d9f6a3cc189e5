"""Training: interruptions leave whole updates, replicas are apart in every dtype, devices are there or refused."""

import _thread
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("networkx")
pytest.importorskip("safetensors")

from scaletrain.config import Pack, Recipe, Replica, Shape
from scaletrain.graph_sources import erdos_renyi
from scaletrain.graphs import Graph
from scaletrain.results import runs_of
from scaletrain.training import Trainer, train, usable

GRAPH = erdos_renyi(40, 120, seed=0)
PACK = Pack(
    shape=Shape(vocabulary=40, width=32, length=13),
    recipe=Recipe(steps=12, batch=4, weight_decay=0.5),
    replicas=tuple(Replica(lr=lr, seed=seed, data_seed=seed) for seed, lr in enumerate((0.01, 0.02, 0.03))),
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def advanced(steps, pack=PACK, state=None):
    trainer = Trainer(pack, GRAPH, state=state)
    while trainer.step < steps:
        trainer.advance()
    return trainer


def equal(one, other):
    return all(torch.equal(one.params[name], other.params[name]) for name in other.params)


@pytest.fixture
def amid(monkeypatch):
    """Has something happen in the middle of the next update."""

    def change(happens):
        real = torch._foreach_sqrt

        def once(values):
            monkeypatch.setattr(torch, "_foreach_sqrt", real)
            happens()
            return real(values)

        monkeypatch.setattr(torch, "_foreach_sqrt", once)

    return change


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_in_the_middle_of_an_update_waits_for_its_end(amid, number):
    before = signal.signal(number, signal.default_int_handler)
    try:
        cut = advanced(5)
        amid(lambda: signal.raise_signal(number))
        with pytest.raises(KeyboardInterrupt):
            cut.advance()
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert cut.step == 6
    resumed, whole = advanced(12, state=cut.state), advanced(12)
    assert equal(resumed, whole)
    assert [step for step, _ in resumed.losses] == [step for step, _ in whole.losses]
    assert resumed.seconds > cut.seconds > 0 < cut.cpu_seconds < resumed.cpu_seconds


def test_an_interruption_that_is_simulated_where_the_signal_is_blocked_is_not_lost(amid):
    """As Ray cancels a task."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        cut = advanced(5)
        amid(_thread.interrupt_main)
        with pytest.raises(KeyboardInterrupt):
            cut.advance()
    finally:
        if signal.sigpending():  # sent anew it would wait here, and end the tests later
            signal.sigwait([signal.SIGINT])
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert cut.step == 6


def test_a_signal_while_handlers_are_put_back_leaves_none_that_is_deaf(amid, monkeypatch):
    def put(number, handler):
        before = set_handler(number, handler)
        if armed and handler is signal.default_int_handler and number == signal.SIGTERM:  # SIGUSR2 is still held
            armed.clear()
            signal.raise_signal(signal.SIGTERM)
        return before

    numbers, armed, set_handler = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2), [], signal.signal
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        cut = advanced(5)
        monkeypatch.setattr(signal, "signal", put)
        amid(lambda: armed.append(True))
        with pytest.raises(KeyboardInterrupt):
            cut.advance()
        assert not armed
        for number in numbers:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            set_handler(number, handler)


def test_an_interruption_is_not_lost_in_an_update_that_fails(amid):
    def fail():
        signal.raise_signal(signal.SIGINT)
        raise MemoryError

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cut = advanced(5)
        amid(fail)
        with pytest.raises(KeyboardInterrupt):
            cut.advance()
    finally:
        signal.signal(signal.SIGINT, before)


def test_half_an_update_is_no_state(amid):
    def fail():
        raise MemoryError

    cut = advanced(5)
    amid(fail)
    with pytest.raises(MemoryError):
        cut.advance()
    with pytest.raises(RuntimeError, match="update 5 failed in its middle"):
        _ = cut.state


def test_a_thread_that_gets_no_signals_trains_alike():
    made = []
    thread = threading.Thread(target=lambda: made.append(advanced(12)))
    thread.start()
    thread.join()
    assert equal(made[0], advanced(12))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_replica_that_diverges_disturbs_nobody_in_any_dtype(dtype):
    pack = replace(PACK, recipe=replace(PACK.recipe, dtype=dtype))
    wild = replace(pack, replicas=(PACK.replicas[0], Replica(lr=1e30), *PACK.replicas[1:]))
    made, calm = train(wild, GRAPH), train(pack, GRAPH)
    assert made.diverged.tolist() == [False, True, False, False]
    assert all(torch.equal(made.params[name][[0, 2, 3]], calm.params[name]) for name in calm.params)
    np.testing.assert_array_equal(made.evaluation.loss[[0, 2, 3]], calm.evaluation.loss)
    np.testing.assert_array_equal(made.evaluation.loss_se[[0, 2, 3]], calm.evaluation.loss_se)


def test_the_training_loss_of_a_run_is_that_of_its_last_batch():
    trained = train(replace(PACK, replicas=(*PACK.replicas[:2], Replica(lr=1e30))), GRAPH)
    runs, last = runs_of(trained, device="cpu"), trained.curves[trained.curves["step"] == 12]
    np.testing.assert_array_equal(runs["train_loss"], last["train_loss"])
    assert runs["train_loss"].isna().tolist() == [False, False, True]  # not the last that was finite


@pytest.mark.parametrize("device", ["meta", "mps", "gpu", "cuda:77", ""])
def test_a_device_that_cannot_train_is_refused(device):
    with pytest.raises(ValueError, match=f"there is no device '{device}' here"):
        usable(device)


@pytest.mark.parametrize("length", [2, 3])
def test_the_smallest_graph_and_the_shortest_walks_can_be_trained(length):
    pair = Graph.from_edges([(0, 1)])
    pack = Pack(shape=Shape(vocabulary=2, width=16, depth=1, length=length), recipe=Recipe(steps=1, batch=5000),
                replicas=(Replica(lr=0.01),))  # fmt: skip
    made = train(pack, pair)
    assert made.evaluation.floor == 0.0
    assert 0 < made.evaluation.loss[0] < 1
    assert not made.diverged[0]
