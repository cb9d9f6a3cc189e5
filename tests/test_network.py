"""NetworkRegressor: trained as torch trains, equal alone and among refits, and readable without torch."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator

import scalefit as sf
from scalefit.network import NetworkRegressor
from scalefit.objective import Huber
from scalefit.replicates import loop

torch = pytest.importorskip("torch", reason="needs the extra 'network'")

from scalefit.network_training import Recipe, Rows, Stack, find_device, train

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 2))
Y = np.sin(X[:, 0]) + 0.3 * X[:, 1] ** 2 + 0.01 * RNG.standard_normal(40)
SMALL = NetworkRegressor(width=7, epochs=120, learning_rate=0.02, delta=0.05)
CPU = find_device("cpu")


@pytest.fixture(scope="module")
def fitted():
    return clone(SMALL).fit(X, Y)


def same(one, other):
    """Whether two networks are equal to the last bit."""
    equal = [np.array_equal(a, b) for a, b in zip(one.layers_, other.layers_, strict=True)]
    states = [{k: v for k, v in model.to_state().items() if k != "layers"} for model in (one, other)]
    return all(equal) and states[0] == states[1]


# scikit-learn. 300 epochs, to save time: what the checks ask for does not depend on more.

CHECKED = NetworkRegressor(epochs=300)
CHECKS = [c for _, c in estimator_checks_generator(CHECKED) if "array_api" not in c.func.__name__]  # not an array API


@pytest.mark.parametrize("check", [pytest.param(check, id=check.func.__name__) for check in CHECKS])
def test_scikit_learn_check(check):
    check(clone(CHECKED))


# Training.


def by_torch(model, X, y, w):
    """Layers with the lowest loss, and that loss, of a plain loop with nn.Sequential and torch.optim.AdamW."""
    k, width = X.shape[1], model.width
    shapes = [(k, width), (width, width), (width, 1)]
    linear = [torch.nn.Linear(*shape, dtype=torch.float64) for shape in shapes]
    model.n_features_in_ = k
    with torch.no_grad():
        for layer, start in zip(linear, model._start(), strict=True):
            layer.weight.copy_(torch.tensor(start[:, :-1]))
            layer.bias.copy_(torch.tensor(start[:, -1]))
    net = torch.nn.Sequential(linear[0], torch.nn.GELU(), linear[1], torch.nn.GELU(), linear[2])
    mean, centre = np.average(X, axis=0, weights=w), np.average(y, weights=w)
    sd = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=w))
    spread = np.sqrt(np.average((y - centre) ** 2, weights=w))
    inputs, losses, weights = torch.tensor((X - mean) / sd), torch.tensor(y), torch.tensor(w)
    of_mean = float(np.sum(w * Huber(model.delta).rho(y - centre)))
    adam = torch.optim.AdamW(net.parameters(), lr=model.learning_rate, weight_decay=model.weight_decay)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, model.epochs)
    lowest, kept = np.inf, []
    for _ in range(model.epochs + 1):
        adam.zero_grad()
        predicted = centre + spread * net(inputs)[:, 0]
        rho = torch.nn.functional.huber_loss(predicted, losses, delta=model.delta, reduction="none")
        loss = (weights * rho).sum() / of_mean
        if loss.item() < lowest:
            lowest = loss.item()
            kept = [np.c_[layer.weight.detach().numpy(), layer.bias.detach().numpy()].copy() for layer in linear]
        loss.backward()
        adam.step()
        cosine.step()
    return kept, lowest


@pytest.mark.parametrize("options", [{}, {"width": 16, "weight_decay": 0.5}, {"delta": 10.0, "learning_rate": 0.1}])
def test_every_step_is_that_of_torch(options):
    model = clone(SMALL).set_params(epochs=40, **options)
    weights = RNG.uniform(0.5, 2, 40)
    layers, lowest = by_torch(clone(model), X, Y, weights)
    model.fit(X, Y, sample_weight=weights)
    assert model.best_loss_ == pytest.approx(lowest, rel=1e-12)
    for ours, theirs in zip(model.layers_, layers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_a_surface_is_learnt():
    model = NetworkRegressor(epochs=1500).fit(X, Y)
    inside = RNG.uniform(-1, 1, (200, 2))
    assert np.std(model.predict(X) - Y) < 0.02
    assert np.std(model.predict(inside) - np.sin(inside[:, 0]) - 0.3 * inside[:, 1] ** 2) < 0.1
    assert model.status_ is sf.Status.OK


def test_training_stops_when_nothing_falls_any_more():
    X, y = np.linspace(-1, 1, 12)[:, None], np.linspace(-1, 1, 12)
    eager = NetworkRegressor(width=4, epochs=4000, learning_rate=0.02, delta=1.0, tolerance=1e-3).fit(X, y)
    assert eager.stopped_early_
    assert 200 < eager.n_iter_ < 4000
    patient = clone(eager).set_params(tolerance=0.0, patience=4000).fit(X, y)
    assert not patient.stopped_early_
    assert patient.n_iter_ == 4000
    assert patient.best_loss_ < eager.best_loss_


def test_patience_counts_from_the_last_fall_by_more_than_the_tolerance(monkeypatch):
    # 1, .9, then falls that are too small one by one, but not together: .86 is the next that counts, and the last
    said = [1.0, 0.9, 0.88, 0.86, 0.84, 0.83, 0.9, 0.7]
    assert judged(monkeypatch, said, patience=2, tolerance=0.03) == (0.83, 6)
    assert judged(monkeypatch, said, patience=3, tolerance=0.03) == (0.7, 7)
    assert judged(monkeypatch, [1.0, np.nan, np.nan, np.nan, 0.5], patience=2, tolerance=0.0) == (1.0, 3)


def judged(monkeypatch, losses, **options):
    """Loss that is kept, and epochs, of a training whose losses are given."""
    said = iter(losses)
    monkeypatch.setattr(Stack, "_losses", lambda self: torch.tensor([next(said)], dtype=torch.float64))
    recipe = Recipe(learning_rate=0.1, weight_decay=0.0, epochs=len(losses) - 1, **options)
    (kept,) = train([Rows(X, Y, np.ones(40), Huber(1.0))], layers_of(3, 2), recipe, CPU)
    return kept.loss, kept.epochs


def layers_of(width, k):
    model = NetworkRegressor(width=width)
    model.n_features_in_ = k
    return model._start()


def test_the_layers_with_the_lowest_loss_are_kept(monkeypatch):
    seen, losses = [], Stack._losses
    monkeypatch.setattr(Stack, "_losses", lambda self: (seen.append(losses(self).item()), losses(self))[1])
    model = clone(SMALL).set_params(learning_rate=3.0, patience=500).fit(X, Y)
    assert len(seen) == 121
    assert model.best_loss_ == min(seen) < seen[-1]
    of_mean = np.sum(model.objective_.rho(Y - Y.mean()))
    # NumPy and torch round differently
    assert model.objective_value_ == pytest.approx(model.best_loss_ * of_mean, rel=1e-12)
    assert model.objective_value_ == pytest.approx(np.sum(model.objective_.rho(Y - model.predict(X))), rel=1e-12)


def test_a_network_that_learns_nothing_says_so():
    model = clone(SMALL).set_params(learning_rate=1e9, seed=3).fit(X, Y)
    assert model.best_loss_ >= 1
    assert model.findings_ == [(sf.Status.NOT_CONVERGED, "NetworkRegressor")]


# What does not matter.


def test_the_order_of_rows_and_their_copies_change_nothing(fitted):
    order = RNG.permutation(40)
    assert same(fitted, clone(SMALL).fit(X[order], Y[order]))
    times = RNG.integers(0, 4, 40)
    weighted = clone(SMALL).fit(X, Y, sample_weight=times)
    assert same(weighted, clone(SMALL).fit(np.repeat(X, times, axis=0), np.repeat(Y, times)))
    assert not np.array_equal(weighted.layers_[0], fitted.layers_[0])


def test_units_do_not_matter(fitted):
    # powers of two, so that nothing is rounded differently
    other = clone(SMALL).set_params(delta=SMALL.delta * 1024).fit(X / 64, Y * 1024)
    np.testing.assert_array_equal(other.predict(X / 64), 1024 * fitted.predict(X))
    assert other.best_loss_ == fitted.best_loss_


def test_all_weights_doubled_train_the_same_network(fitted):
    double = clone(SMALL).fit(X, Y, sample_weight=np.full(40, 2.0))
    assert np.array_equal(double.layers_[1], fitted.layers_[1])
    assert double.objective_value_ == 2 * fitted.objective_value_


def test_the_seed_decides_the_initial_weights(fitted):
    assert same(fitted, clone(SMALL).fit(X, Y))
    assert not np.array_equal(clone(SMALL).set_params(seed=1).fit(X, Y).layers_[0], fitted.layers_[0])
    first = NetworkRegressor(width=100, seed=5)
    first.n_features_in_ = 4
    for layer, inputs in zip(first._start(), (4, 100, 100), strict=True):
        assert 0.95 / np.sqrt(inputs) < np.abs(layer).max() <= 1 / np.sqrt(inputs)


def test_nothing_of_torch_or_numpy_is_changed():
    before = torch.get_rng_state(), np.random.get_state()[1], torch.get_default_dtype(), torch.get_num_threads()  # noqa: NPY002
    grad = torch.is_grad_enabled()
    clone(SMALL).fit(X, Y)
    after = torch.get_rng_state(), np.random.get_state()[1], torch.get_default_dtype(), torch.get_num_threads()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]
    assert grad == torch.is_grad_enabled()


def test_a_constant_target_is_predicted_exactly():
    model = clone(SMALL).fit(X, np.full(40, 0.1))
    assert set(model.predict(100 * X)) == {0.1}
    assert (model.best_loss_, model.n_iter_, model.objective_value_) == (0.0, 0, 0.0)
    assert set(clone(SMALL).fit(X[:1], Y[:1]).predict(X)) == {Y[0]}


def test_a_constant_input_says_nothing(fitted):
    wide = clone(SMALL).fit(np.c_[X, np.full(40, 0.1)], Y)
    assert (wide.center_[2], wide.scale_[2]) == (0.1, 1.0)


# Many at once.

COUNTS = np.random.default_rng(1).multinomial(40, np.full(40, 1 / 40), 5).astype(float)
SCALED = X * np.linspace(0.5, 2, 5)[:, None, None] + np.linspace(-1, 1, 5)[:, None, None]


@pytest.mark.parametrize(
    ("inputs", "losses", "weights"),
    [
        (X, np.stack([Y, 2 * Y, Y**3, np.sign(Y), np.ones(40)]), None),
        (X, Y[None], COUNTS),
        (X, Y + np.random.default_rng(2).standard_normal((5, 40)), COUNTS[:1]),
        (SCALED, Y[None], COUNTS),
        (SCALED, Y[None], None),
    ],
    ids=["losses", "weights", "losses, one row of weights", "inputs and weights", "inputs"],
)
def test_refits_equal_the_loop_to_the_last_bit(fitted, inputs, losses, weights):
    batch, one_by_one = fitted.refits(inputs, losses, weights), loop(fitted, inputs, losses, weights)
    assert len(batch) == len(one_by_one) == 5
    assert all(same(*pair) for pair in zip(batch, one_by_one, strict=True))
    np.testing.assert_array_equal(batch.predict(X), one_by_one.predict(X))
    np.testing.assert_array_equal(batch.predict(SCALED), one_by_one.predict(SCALED))
    assert not batch.failed.any()
    assert len(np.unique(batch.predict(X)[:, 0])) == 5


def test_refits_start_anew_from_the_same_weights(fitted):
    assert same(fitted.refits(X, Y[None])[0], fitted)
    assert same(fitted.refits(X, Y[None], np.ones((3, 40)))[2], fitted)


def test_a_network_does_not_depend_on_its_company():
    # as on a GPU, where a stack of networks ends one by one; the CPU's kernels may round by the size of the stack
    recipe = Recipe(learning_rate=0.02, weight_decay=1e-4, epochs=150, patience=10, tolerance=1e-3)
    tables = [Rows(X[:, [0]], power, np.ones(40), Huber(0.05)) for power in (X[:, 0], Y, X[:, 1], X[:, 0] ** 3)]
    alone = [train([rows], layers_of(8, 1), recipe, CPU)[0] for rows in tables]
    stacked = Stack(tables, layers_of(8, 1), recipe, CPU).train()
    assert len({kept.epochs for kept in alone}) == 4
    for one, other in zip(alone, stacked, strict=True):
        assert (one.epochs, one.stopped_early) == (other.epochs, other.stopped_early)
        for layer, same_layer in zip(one.layers, other.layers, strict=True):
            np.testing.assert_allclose(layer, same_layer, rtol=0, atol=1e-9)


def test_tables_that_fit_would_refuse_fail_alone(fitted):
    losses, weights = np.stack([Y, Y, np.where(X[:, 0] > 0, np.nan, Y)]), np.ones((3, 40))
    weights[1] = 0
    batch = fitted.refits(X, losses, weights)
    assert batch.failed.tolist() == [False, True, True] == loop(fitted, X, losses, weights).failed.tolist()
    assert same(batch[0], fitted)
    inputs = np.stack([X, np.where(X > 1, np.inf, X)])
    assert fitted.refits(inputs, Y[None]).failed.tolist() == [False, True]


@pytest.mark.parametrize(
    ("inputs", "losses", "weights"),
    [
        (X[:, :1], Y[None], None), (X[None, :, :1], Y[None], None), (X[0], Y[None], None), (X, Y, None),
        (SCALED, np.stack([Y, Y]), None), (X, np.stack([Y, Y]), np.ones((3, 40))), (X, Y[None], -np.ones((1, 40))),
    ],
)  # fmt: skip
def test_tables_of_the_wrong_shape_are_refused(fitted, inputs, losses, weights):
    with pytest.raises(ValueError, match=r"must be|features|tables|refits|1D array"):
        fitted.refits(inputs, losses, weights)


def test_progress_counts_tables_and_can_stop(fitted):
    heard = []
    fitted.refits(X, np.stack([Y, np.full(40, np.nan), 2 * Y, np.ones(40)]), progress=lambda *told: heard.append(told))
    assert {of for _, of in heard} == {4}
    done = [count for count, _ in heard]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (2, 4)  # one failed and one is constant: neither is trained

    class Enough(Exception):
        pass

    def stop(done, of):
        raise Enough

    with pytest.raises(Enough):
        fitted.refits(X, Y[None], progress=stop)


# Saved.


def test_a_saved_network_predicts_the_same_without_torch(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "scalefit.network_training")
    read = NetworkRegressor.from_state(json.loads(json.dumps(fitted.to_state())))
    assert same(read, fitted)
    np.testing.assert_array_equal(read.predict(3 * X), fitted.predict(3 * X))
    assert read.get_params() == fitted.get_params()
    attributes = {name for name in vars(fitted) if name.endswith("_")}
    assert {name for name in vars(read) if name.endswith("_")} == attributes
    assert (read.status_, read.objective_, read.n_features_in_) == (fitted.status_, Huber(0.05), 2)


def test_settings_from_numpy_can_be_saved():
    settings = {"width": np.int64(3), "delta": np.float32(0.5), "seed": np.int64(2), "epochs": np.int64(5)}
    state = json.loads(json.dumps(clone(SMALL).set_params(**settings).fit(X, Y).to_state()))
    assert NetworkRegressor.from_state(state).get_params()["width"] == 3


@pytest.mark.parametrize(
    "damage",
    [
        {"settings": {"width": 8}}, {"settings": {"depth": 3}}, {"settings": {"delta": -1}}, {"settings": None},
        {"layers": []}, {"layers": [[[1.0]], [[1.0]], [[1.0]]]}, {"layers": None}, {"layers": [["a"]]},
        {"center": [0.0]}, {"center": 0.0}, {"center": [0.0, float("nan")]}, {"scale": [1.0, 0.0]}, {"scale": [1.0]},
        {"target": [1.0]}, {"target": [1.0, -1.0]}, {"target": [float("inf"), 1.0]}, {"loss": "lost"}, {"n_iter": None},
    ],
)  # fmt: skip
def test_a_damaged_state_is_refused(fitted, damage):
    with pytest.raises(ValueError, match="state of a network is damaged"):
        NetworkRegressor.from_state({**fitted.to_state(), **damage})


@pytest.mark.parametrize("key", ["settings", "layers", "center", "scale", "target", "loss", "n_iter", "stopped_early"])
def test_a_state_that_lacks_a_part_is_refused(fitted, key):
    state = fitted.to_state()
    del state[key]
    with pytest.raises(ValueError, match=f"damaged .*{key}"):
        NetworkRegressor.from_state(state)


# Refused.


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "scalefit.network_training")
    with pytest.raises(ImportError, match=r"pip install '\.\[network\]'") as error:
        clone(SMALL).fit(X, Y)
    assert "install scalefit" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"width": 0}, ValueError), ({"width": 2.0}, TypeError), ({"epochs": 0}, ValueError),
        ({"epochs": None}, TypeError), ({"weight_decay": -1e-4}, ValueError),
        ({"patience": 0}, ValueError), ({"patience": True}, TypeError), ({"learning_rate": float("nan")}, ValueError),
        ({"learning_rate": 0.0}, ValueError), ({"learning_rate": "3e-3"}, TypeError),
        ({"tolerance": float("inf")}, ValueError), ({"tolerance": -1.0}, ValueError), ({"delta": 0.0}, ValueError),
        ({"delta": -1e-3}, ValueError), ({"delta": "mad_of_loss"}, TypeError), ({"seed": -1}, ValueError),
        ({"seed": None}, TypeError), ({"device": "tpu"}, ValueError), ({"device": "mps"}, ValueError),
        ({"device": None}, ValueError), ({"device": "cuda:99"}, ValueError),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(options, kind):
    ((name, value),) = options.items()
    with pytest.raises(kind, match=rf"{name} (must be|is) .*{value!r}"):
        clone(SMALL).set_params(**options).fit(X, Y)


def test_weights_that_are_no_frequencies_are_refused():
    for weights, says in ((np.zeros(40), "zero in every row"), (-np.ones(40), "not negative"), (np.ones(3), "40 of")):
        with pytest.raises(ValueError, match=says):
            clone(SMALL).fit(X, Y, sample_weight=weights)
