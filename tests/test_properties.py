"""Properties of fits that need no reference: units, row order, weights, monotonicity, recovery, round trips, bits.

Noisy tables come from `sf.simulate`, over a range that identifies every parameter. Tolerances of refits: two descents
of one objective agree to rounding of the objective, about 1e-14, and an objective that flat leaves the parameters along
its flattest direction free by the root of that, 1e-7. A is the value at x = 1, far outside of the data: an error of
alpha is multiplied by log(x), about 25, so amplitudes get 100 times the tolerance of exponents.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import scalefit as sf

EXPONENT = 2e-6
OFFSET = 2e-6
AMPLITUDE = 2e-4
OBJECTIVE = 1e-9  # the solver's contract

SIZES = np.geomspace(1e7, 1e11, 12)
DESIGNS = {
    sf.PowerLaw: sf.grid(params=SIZES),
    sf.Exponential: sf.grid(params=np.linspace(1e8, 1.8e9, 12)),
    sf.Chinchilla: sf.grid(params=np.geomspace(1e7, 1e10, 5), tokens=np.geomspace(1e9, 1e12, 5)),
}
SEEDS = st.integers(0, 2**32 - 1)
FACTORS = st.floats(0.1, 10.0)
EXAMPLES = {sf.PowerLaw: 40, sf.Exponential: 40, sf.Chinchilla: 12}
EVERY_LAW = pytest.mark.parametrize("law", DESIGNS, ids=lambda law: law.__name__)
RAW, LOG = sf.Huber("mad_of_loss", space="raw"), sf.Huber(0.01, space="log")
EVERY_OBJECTIVE = pytest.mark.parametrize("objective", [RAW, LOG], ids=["raw, by rule", "log"])


@st.composite
def truths(draw, law):
    """Laws like those that runs of language models follow, identified over their design."""
    E = draw(st.floats(1.2, 2.5))
    if law is sf.Exponential:
        return law(E=E, A=draw(st.floats(1.0, 3.0)), alpha=draw(st.floats(2e-9, 5e-9)))
    alpha, beta = draw(st.floats(0.25, 0.5)), draw(st.floats(0.25, 0.5))
    A, B = draw(st.floats(1.0, 3.0)) * 1e7**alpha, draw(st.floats(1.0, 3.0)) * 1e9**beta
    return law(E=E, A=A, alpha=alpha) if law is sf.PowerLaw else law(E=E, A=A, B=B, alpha=alpha, beta=beta)


@st.composite
def noisy_tables(draw, law):
    noise = draw(st.floats(0.001, 0.02))
    return sf.simulate(draw(truths(law)), DESIGNS[law], noise=noise, seed=draw(SEEDS))


def for_tables(law, test, *strategies):
    """Run a test of a law on as many noisy tables as its speed allows."""
    settings(max_examples=EXAMPLES[law])(given(noisy_tables(law), *strategies)(test))()


def fit_ok(model, table, **options):
    """Fit of a table that identifies the law; noise may hide the floor of a rare one."""
    fit = sf.fit(model, table, **options)
    assume(fit.ok)
    return fit


def changed(table, **columns):
    frame = table.to_frame()
    inputs = [name for name in ("params", "tokens") if name in frame]
    return sf.LossTable.from_frame(frame[[*inputs, "loss"]].assign(**columns))


def assert_parameters(fit, expected):
    tolerance = {"E": OFFSET, "A": AMPLITUDE, "B": AMPLITUDE, "alpha": EXPONENT, "beta": EXPONENT}
    for name, value in expected.items():
        assert fit.parameters[name] == pytest.approx(value, rel=tolerance[name]), name


# Units, order, repetition.


@EVERY_LAW
@EVERY_OBJECTIVE
def test_a_factor_of_the_losses_is_a_factor_of_offset_and_amplitudes(law, objective):
    model = sf.LawRegressor(law, objective=objective)

    def test(table, factor):
        fit = fit_ok(model, table)
        scaled = sf.fit(model, changed(table, loss=factor * table.loss))
        assert_parameters(scaled, {n: v * (factor if n in "EAB" else 1) for n, v in fit.parameters.items()})
        unit = factor**2 if objective.space == "raw" else 1.0
        assert scaled.objective_value == pytest.approx(unit * fit.objective_value, rel=OBJECTIVE)
        assert scaled.status is fit.status

    for_tables(law, test, FACTORS)


@EVERY_LAW
def test_a_factor_of_an_input_is_a_factor_of_its_amplitude_or_of_its_rate(law):
    def test(table, factor):
        fit = fit_ok(law, table)
        for name, amplitude, exponent in (("params", "A", "alpha"), ("tokens", "B", "beta")):
            if name in table:
                expected = dict(fit.parameters)
                if law is sf.Exponential:
                    expected[exponent] /= factor
                else:
                    expected[amplitude] *= factor ** expected[exponent]
                scaled = sf.fit(law, changed(table, **{name: factor * table[name]}))
                assert_parameters(scaled, expected)
                assert scaled.objective_value == pytest.approx(fit.objective_value, rel=OBJECTIVE)

    for_tables(law, test, st.floats(1e-9, 1e3))


@EVERY_LAW
def test_row_order_does_not_matter(law):
    def test(table, random):
        order = random.sample(range(len(table)), len(table))
        fit = fit_ok(law, table)
        shuffled = sf.fit(law, sf.LossTable.from_frame(table.to_frame().iloc[order]))
        assert_parameters(shuffled, fit.parameters)
        assert shuffled.objective_value == pytest.approx(fit.objective_value, rel=OBJECTIVE)
        assert shuffled.predicted == pytest.approx(fit.predicted[order], rel=1e-8)  # flat directions do not move these

    for_tables(law, test, st.randoms(use_true_random=False))


@EVERY_LAW
def test_rows_that_are_repeated_equal_weights(law):
    n = len(DESIGNS[law])

    def test(table, times):
        counted = table.to_frame().assign(count=times)
        repeated = sf.LossTable.from_frame(counted.loc[counted.index.repeat(times)])
        fit = fit_ok(law, sf.LossTable.from_frame(counted), weights="count")
        other = sf.fit(law, repeated)
        assert fit.objective.delta == pytest.approx(other.objective.delta, rel=1e-12)  # a median of the same numbers
        assert fit.objective_value == pytest.approx(other.objective_value, rel=OBJECTIVE)
        assert fit.mse == pytest.approx(other.mse, rel=1e-6)
        assert_parameters(fit, other.parameters)

    for_tables(law, test, st.lists(st.integers(1, 4), min_size=n, max_size=n))


@EVERY_LAW
def test_a_weight_of_zero_leaves_the_row_out(law):
    n = len(DESIGNS[law])

    def test(table, gone):
        kept = np.arange(n) != gone
        frame = table.to_frame().assign(count=kept.astype(int))
        fit = fit_ok(law, sf.LossTable.from_frame(frame), weights="count")
        without = sf.fit(law, table.where(kept))
        assert fit.objective_value == without.objective_value  # the same arithmetic: to the last bit
        assert fit.parameters == without.parameters

    for_tables(law, test, st.integers(0, n - 1))


# What every fit promises.


@EVERY_LAW
def test_the_predicted_loss_falls_with_every_input(law):
    # 1e-8 to 1e3 times the data: far out the terms vanish beside E, so there it may only not rise
    def test(table, share):
        fit = fit_ok(law, table)
        for name in fit.inputs:
            x = np.median(table[name]) * np.geomspace(0.01, 100.0, 41)
            others = {other: np.quantile(table[other], share) for other in fit.inputs if other != name}
            steps = np.diff(fit(**{name: x}, **others))
            assert np.all(steps <= 0)
            within = (x[1:] >= table[name].min()) & (x[1:] <= table[name].max())
            assert np.all(steps[within] < 0)
        assert np.all(fit(*(table[name] for name in fit.inputs)) > fit.law.E)

    for_tables(law, test, st.floats(0.0, 1.0))


@EVERY_LAW
def test_a_fit_never_changes_its_table(law):
    def test(table):
        before = table.to_frame()
        sf.fit(law, table)
        assert table.to_frame().equals(before)
        assert table == sf.LossTable.from_frame(before)

    for_tables(law, test)


@EVERY_LAW
def test_losses_without_noise_give_their_law_back(law):
    @settings(max_examples=EXAMPLES[law])
    @given(truths(law))
    def test(truth):
        fit = sf.fit(law, sf.simulate(truth, DESIGNS[law]))
        assert fit.ok
        # losses are rounded to 1e-16, and the worst conditioned of these designs multiplies that by 1e7
        for name, value in truth.to_dict().items():
            assert fit.parameters[name] == pytest.approx(value, rel=1e-7 if name in "AB" else 1e-8), name
        assert fit.predicted == pytest.approx(fit.table.loss, rel=1e-12)

    test()


@EVERY_LAW
@EVERY_OBJECTIVE
def test_the_truth_is_never_better_than_the_fit(law, objective):
    @settings(max_examples=EXAMPLES[law])
    @given(truths(law), st.floats(0.001, 0.02), SEEDS)
    def test(truth, noise, seed):
        fit = sf.fit(
            sf.LawRegressor(law, objective=objective), sf.simulate(truth, DESIGNS[law], noise=noise, seed=seed)
        )
        predicted = truth(*(fit.table[name] for name in fit.inputs))
        loss = fit.table.loss
        errors = np.log(loss / predicted) if objective.space == "log" else loss - predicted
        assume(np.median(loss) >= truth.E)
        assert fit.objective_value <= np.sum(fit.objective.rho(errors)) * (1 + 1e-12)  # rounding of the two sums

    test()


# Save and read back.


@dataclass(frozen=True)
class Saturating(sf.Law):
    """E + A / (1 + x / scale): a law that is not separable."""

    E: float
    A: float
    scale: float
    bounds = {"E": (0, 10), "A": (0.01, 100), "scale": (1e5, 1e13)}  # noqa: RUF012

    def value(self, x):
        return self.E + self.A / (1 + x / self.scale)


MODELS = {
    "power": sf.PowerLaw,
    "exponential": sf.LawRegressor(sf.Exponential, objective=sf.Squared()),
    "chinchilla": sf.Chinchilla,
    "fixed": sf.LawRegressor(sf.PowerLaw, fixed={"E": np.float32(0.0)}, objective=sf.Squared("log")),
    "tied": sf.LawRegressor(sf.Chinchilla, fixed={"E": 1.5}, tied={"beta": "alpha"}, objective=sf.Huber(0.01)),
    "rule": sf.LawRegressor(sf.PowerLaw, objective=sf.Huber("mad_of_residuals")),
    "absolute": sf.LawRegressor(sf.PowerLaw, objective=sf.Absolute("log")),
    "own": Saturating,
}


def assert_same_fit(back, fit):
    """To the last bit: JSON keeps all digits of a float."""
    assert type(back.law) is type(fit.law)
    for what in ("parameters", "status", "notes", "objective", "objective_value", "inputs", "weights", "mse"):
        assert getattr(back, what) == getattr(fit, what), what
    assert repr(back) == repr(fit)
    assert np.array_equal(back.predicted, fit.predicted)
    assert np.array_equal(back.table.loss, fit.table.loss)
    assert back.protocol == fit.protocol
    assert back.table == fit.table
    points = [2.5 * fit.table[name] for name in fit.inputs]
    assert np.array_equal(back(*points), fit(*points))


@pytest.mark.parametrize("weights", [None, "count"])
@pytest.mark.parametrize("name", MODELS)
def test_a_fit_that_is_read_back_is_the_same(name, weights, tmp_path):
    law = getattr(MODELS[name], "law", MODELS[name])
    design = DESIGNS.get(law, DESIGNS[sf.PowerLaw])
    law_of_losses = {sf.Chinchilla: sf.HOFFMANN_2022, sf.Exponential: sf.Exponential(2.0, 1.5, 3e-9)}
    truth = law_of_losses.get(law, sf.PowerLaw(E=1.7, A=100.0, alpha=0.25))

    @settings(max_examples=1 if name == "own" else 4)
    @given(SEEDS, st.lists(st.integers(1, 4), min_size=len(design), max_size=len(design)))
    def test(seed, times):
        table = sf.LossTable.from_frame(
            sf.simulate(truth, design, noise=0.01, seed=seed)
            .to_frame()
            .assign(count=times, lr=np.array(times) / 1000, data="c4")
        )
        inputs = "params" if law.inputs is None else None
        fit = sf.fit(MODELS[name], table, inputs=inputs, weights=weights)
        fit.save(tmp_path / "fit.json")
        back = sf.read_fit(tmp_path / "fit.json", law=law)
        assert_same_fit(back, fit)
        again = sf.fit(back.model, back.table, inputs=back.inputs, weights=back.weights)  # the protocol repeats the fit
        assert again.parameters == fit.parameters

    test()


def test_a_fit_to_a_column_of_any_name_is_read_back(tmp_path):
    fit = sf.fit(sf.PowerLaw, sf.load("pythia").where("kept"), inputs="params_total")
    fit.save(tmp_path / "fit.json")
    assert_same_fit(sf.read_fit(tmp_path / "fit.json"), fit)


def test_a_column_that_is_spelled_like_another_is_read_back(tmp_path):
    frame = sf.load("pythia").to_frame()[["params", "params_total", "loss"]].rename(columns={"params_total": "N"})
    table = sf.LossTable.from_frame(frame, columns={"params": "params"})
    fit = sf.fit(sf.PowerLaw, table, inputs="N")
    fit.save(tmp_path / "fit.json")
    assert_same_fit(sf.read_fit(tmp_path / "fit.json"), fit)


def test_missing_cells_are_read_back_and_what_json_lacks_is_noted(tmp_path):
    runs = sf.load("cerebras_gpt")  # params_nonembed has missing values
    fit = sf.fit(sf.PowerLaw, runs, inputs="params")
    fit.save(tmp_path / "fit.json")
    assert_same_fit(sf.read_fit(tmp_path / "fit.json"), fit)
    odd = sf.LossTable.from_frame(runs.to_frame().assign(spike=np.inf))
    fit = sf.fit(sf.PowerLaw, odd, inputs="params")
    fit.save(tmp_path / "fit.json")
    back = sf.read_fit(tmp_path / "fit.json")
    assert back.parameters == fit.parameters
    assert odd.digest in back.table.notes[-1]


# Bits.


@EVERY_LAW
def test_the_same_fit_twice_is_the_same_to_the_last_bit(law):
    def test(table):
        first, second = sf.fit(law, table), sf.fit(law, table)
        assert first.to_dict() == second.to_dict()

    for_tables(law, test)


PRINT_FITS = """
import numpy as np, scalefit as sf
for law, truth, design in (
    (sf.PowerLaw, sf.PowerLaw(1.7, 100.0, 0.25), sf.grid(params=np.geomspace(1e7, 1e11, 12))),
    (sf.Exponential, sf.Exponential(2.0, 1.5, 3e-9), sf.grid(params=np.linspace(1e8, 1.8e9, 12))),
    (sf.Chinchilla, sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e7, 1e10, 20), tokens=np.geomspace(1e9, 1e12, 20))),
):
    fit = sf.fit(law, sf.simulate(truth, design, noise=0.01, outliers=0.05, seed=7))
    print(*(value.hex() for value in (fit.objective_value, *fit.parameters.values(), *fit.predicted)))
"""


def fitted_in_processes(*threads):
    """What each prints; side by side, since most of their time is imports."""
    processes = []
    for count in threads:
        environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count)}
        command = [sys.executable, "-W", "error", "-c", PRINT_FITS]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(threads)
    return printed


def test_processes_agree_to_the_last_bit_and_thread_counts_to_ten_digits():
    one, again, two = fitted_in_processes("1", "1", "2")
    assert len(one.splitlines()) == 3
    assert one == again
    for line, other in zip(one.splitlines(), two.splitlines(), strict=True):
        (objective, *numbers), (other_objective, *others) = (map(float.fromhex, row.split()) for row in (line, other))
        # threads change the order of sums, hence the last bits of the objective
        assert objective == pytest.approx(other_objective, rel=1e-10)
        assert numbers == pytest.approx(others, rel=1e-10)


# simulate.


@settings(max_examples=30)
@given(SEEDS, st.floats(0, 0.1), st.floats(0, 1))
def test_the_same_seed_gives_the_same_bits(seed, noise, outliers):
    design = DESIGNS[sf.Chinchilla]
    options = {"noise": noise, "outliers": outliers, "seed": seed}
    first, second = (sf.simulate(sf.HOFFMANN_2022, design, **options) for _ in range(2))
    assert first == second
    assert np.array_equal(first.loss, second.loss)


@settings(max_examples=30)
@given(SEEDS)
def test_another_seed_gives_other_losses(seed):
    one, other = (sf.simulate(sf.HOFFMANN_2022, DESIGNS[sf.Chinchilla], noise=0.01, seed=s) for s in (seed, seed + 1))
    assert not np.any(one.loss == other.loss)


@EVERY_LAW
def test_without_noise_the_losses_are_the_law(law):
    @given(truths(law), SEEDS)
    def test(truth, seed):
        table = sf.simulate(truth, DESIGNS[law], seed=seed)
        # exp of a log: a relative error of at most a few units of the last place
        assert table.loss == pytest.approx(truth(*(table[name] for name in table.inputs[: law.n_inputs()])), rel=1e-15)
        assert not table["outlier"].any()

    test()


@settings(max_examples=50)
@given(st.floats(0, 1), st.integers(2, 60), st.sampled_from([0.0, 0.001, 0.05]), SEEDS)
def test_the_share_of_outliers_is_exact_and_they_are_too_high(share, n, noise, seed):
    design, law = sf.grid(params=np.geomspace(1e7, 1e10, n)), sf.PowerLaw(1.7, 100.0, 0.25)
    table = sf.simulate(law, design, noise=noise, outliers=share, seed=seed)
    hit = table["outlier"]
    assert hit.sum() == round(share * n)
    clean = sf.simulate(law, design, noise=noise, seed=seed)
    assert np.array_equal(table.loss[~hit], clean.loss[~hit])  # outliers touch no other row
    raised = np.log(table.loss[hit] / clean.loss[hit])
    assert raised == pytest.approx(max(10 * noise, 0.1), rel=1e-12)  # a log of a quotient near 1.1: 1e-15 / 0.1


def test_the_noise_is_that_of_the_log_loss():
    design = sf.grid(params=np.geomspace(1e7, 1e10, 4000))
    law = sf.PowerLaw(1.7, 100.0, 0.25)
    errors = np.log(sf.simulate(law, design, noise=0.02, seed=1).loss / law(design["params"]))
    assert errors.std() == pytest.approx(0.02, rel=0.04)  # the standard error of a deviation of 4000 draws is 1.1 %
    assert abs(errors.mean()) < 4 * 0.02 / np.sqrt(4000)


def test_a_table_is_a_design_whose_columns_are_carried():
    runs = sf.load("pythia")
    table = sf.simulate(sf.HOFFMANN_2022, runs)
    assert set(runs.columns) < set(table.columns)
    assert table["run"].tolist() == runs["run"].tolist()
    assert table.flops == pytest.approx(6 * runs.params * runs.tokens, rel=1e-15)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"noise": -0.1}, "noise.*at least 0.*-0.1"),
        ({"noise": float("nan")}, "noise.*nan"),
        ({"noise": float("inf")}, "noise.*inf"),
        ({"outliers": -0.1}, "outliers.*0 to 1.*-0.1"),
        ({"outliers": 1.5}, "outliers.*0 to 1.*1.5"),
        ({"outliers": float("nan")}, "outliers.*nan"),
        ({"seed": -1}, "seed.*at least 0.*-1"),
    ],
)
def test_options_out_of_range_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        sf.simulate(sf.HOFFMANN_2022, DESIGNS[sf.Chinchilla], **options)


@pytest.mark.parametrize(
    ("law", "design", "says"),
    [
        (sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9]), "no column 'tokens'; it has params"),
        (sf.PowerLaw(1, 1, 1), sf.grid(params=[1e8, 1e9], tokens=[1e9]), "one column.*params, tokens"),
        (sf.PowerLaw(1, 1, 1), sf.grid(width=[64, 128]), "one column.*none of"),
        (sf.PowerLaw(1, 1, 1), sf.grid(params=[1e8, -1e9]), "params must be positive.*row 1"),
    ],
)
def test_designs_that_do_not_fit_the_law_are_refused(law, design, says):
    with pytest.raises(ValueError, match=says):
        sf.simulate(law, design)


def test_a_law_without_numbers_cannot_be_simulated():
    with pytest.raises(TypeError, match="numbers in"):
        sf.simulate(sf.PowerLaw, DESIGNS[sf.PowerLaw])


# Curves.

SURFACE = sf.grid(params=np.geomspace(1e7, 1e10, 8), tokens=[1e9, 1e10, 1e11])


def curves_of(law, table):
    return sf.fit_curves(law, table, along="params", at="tokens")


@settings(max_examples=8)
@given(SEEDS)
def test_means_and_deviations_are_those_of_the_slices(seed):
    curves = curves_of(sf.PowerLaw, sf.simulate(sf.HOFFMANN_2022, SURFACE, noise=0.003, seed=seed))
    alphas = np.array([fit.law.alpha for fit in curves if fit.ok])
    assume(len(alphas) > 1)
    assert curves.mean("alpha") == pytest.approx(sum(alphas) / len(alphas), rel=1e-14)  # rounding of a sum of three
    assert curves.sd("alpha") == pytest.approx(np.sqrt(np.sum((alphas - alphas.mean()) ** 2) / (len(alphas) - 1)))
    assert np.array_equal(curves.array("alpha", ok_only=False), [fit.law.alpha for fit in curves])
    assert curves.values == pytest.approx([1e9, 1e10, 1e11], rel=1e-12)  # exp of a mean of logs


@settings(max_examples=8)
@given(SEEDS)
def test_the_ratio_is_that_of_the_errors_and_its_own_inverse(seed):
    table = sf.simulate(sf.HOFFMANN_2022, SURFACE, noise=0.01, seed=seed)
    power, exponential = curves_of(sf.PowerLaw, table), curves_of(sf.Exponential, table)
    there, back = (
        {n: c.to_numpy() for n, c in f.items()} for f in (power.against(exponential), exponential.against(power))
    )
    assert there["mse"].tolist() == [fit.mse for fit in power]
    assert there["mse_rival"].tolist() == [fit.mse for fit in exponential]
    assert there["ratio"] * there["mse"] == pytest.approx(there["mse_rival"], rel=1e-14)  # two roundings
    assert there["ratio"] * back["ratio"] == pytest.approx(np.ones(3), rel=1e-14)
    assert power.against(power)["ratio"].tolist() == [1.0] * 3


def test_a_power_law_beats_an_exponential_on_its_own_losses():
    table = sf.simulate(sf.HOFFMANN_2022, SURFACE, noise=0.001, seed=0)
    assert (curves_of(sf.PowerLaw, table).against(curves_of(sf.Exponential, table))["ratio"] > 10).all()


def test_one_slice_has_a_mean_and_no_deviation():
    curves = curves_of(sf.PowerLaw, sf.simulate(sf.HOFFMANN_2022, SURFACE.query("tokens == 1e9")))
    assert curves.mean("alpha") == pytest.approx(0.34, rel=1e-7)
    assert np.isnan(curves.sd("alpha"))


def test_slices_that_are_not_ok_do_not_count():
    table = sf.simulate(sf.HOFFMANN_2022, SURFACE).to_frame()
    table.loc[table["tokens"] == 1e9, "loss"] = 3.0
    curves = curves_of(sf.PowerLaw, sf.LossTable.from_frame(table))
    assert [fit.ok for fit in curves] == [False, True, True]
    assert not curves.ok
    assert curves.mean("alpha") == pytest.approx(0.34, rel=1e-7)
    assert len(curves.array("alpha")) == 2
    assert len(curves.array("alpha", ok_only=False)) == 3


def test_curves_of_other_slices_are_not_compared():
    table = sf.simulate(sf.HOFFMANN_2022, SURFACE, noise=0.01, seed=0)
    curves = curves_of(sf.PowerLaw, table)
    for other in (
        curves_of(sf.Exponential, table.where("tokens > 1e9")),  # fewer slices
        curves_of(sf.Exponential, table.where("params > 1e7")),  # as many, of fewer rows
        curves_of(sf.Exponential, changed(table, loss=2 * table.loss)),  # the same design, other losses
    ):
        with pytest.raises(ValueError, match="different slices"):
            curves.against(other)


# The bootstrap. Draws are refits, each free as other refits are; ends and errors are sums and quantiles of them.

RESAMPLES = 60
SCHEMES = [sf.Wild(), sf.Wild("webb", residuals="plain"), sf.Wild(residuals="leverage"), sf.Pairs()]
EVERY_SCHEME = pytest.mark.parametrize("scheme", SCHEMES, ids=["signs", "webb, plain", "leverage", "pairs"])
HALF = 0.5  # a level whose tails hold many of 60 draws


def boot_ok(model, table, scheme, seed=0):
    """Bootstrap of a table that identifies the law, in which no refit lies at a bound."""
    made = sf.bootstrap(fit_ok(model, table), scheme, resamples=RESAMPLES, seed=seed)
    assume(not made.flags)
    return made


def assert_draws(made, expected):
    """Draws of each parameter equal given ones, and so do the ends of its interval."""
    tolerance = {"E": 10 * OFFSET, "alpha": 10 * EXPONENT, "A": 10 * AMPLITUDE}
    for name, (values, ends) in expected.items():
        # the noisiest of 60 refits is worse identified than its base
        assert made.values(name) == pytest.approx(values, rel=tolerance[name]), name
        assert tuple(made.interval(name, HALF)) == pytest.approx(ends, rel=tolerance[name]), name


def draws_of(made, **factors):
    """Draws and ends of E, A and alpha, times factors."""
    return {
        name: (factors.get(name, 1) * made.values(name), factors.get(name, 1) * np.array([*made.interval(name, HALF)]))
        for name in ("E", "A", "alpha")
    }


@EVERY_SCHEME
def test_intervals_move_with_the_unit_of_the_loss(scheme):
    @settings(max_examples=4)
    @given(noisy_tables(sf.PowerLaw), FACTORS)
    def test(table, factor):
        made = boot_ok(sf.PowerLaw, table, scheme)
        scaled = sf.bootstrap(
            sf.fit(sf.PowerLaw, changed(table, loss=factor * table.loss)), scheme, resamples=RESAMPLES
        )
        assert_draws(scaled, draws_of(made, E=factor, A=factor))
        assert scaled.standard_error("alpha") == pytest.approx(made.standard_error("alpha"), rel=1e-4)

    test()


@EVERY_SCHEME
def test_intervals_move_with_the_unit_of_an_input(scheme):
    @settings(max_examples=4)
    @given(noisy_tables(sf.PowerLaw), st.sampled_from([1e-6, 1e3, 1e6]))
    def test(table, factor):
        made = boot_ok(sf.PowerLaw, table, scheme)
        scaled = sf.bootstrap(
            sf.fit(sf.PowerLaw, changed(table, params=factor * table.params)), scheme, resamples=RESAMPLES
        )
        expected = draws_of(made)
        del expected["A"]  # each draw of which has a factor of its own
        assert_draws(scaled, expected)
        amplitudes = made.values("A") * factor ** made.values("alpha")
        assert scaled.values("A") == pytest.approx(amplitudes, rel=10 * AMPLITUDE)
        at, there = {"params": 1e12}, {"params": factor * 1e12}
        assert tuple(scaled.interval(there, HALF)) == pytest.approx(tuple(made.interval(at, HALF)), rel=10 * OFFSET)

    test()


@EVERY_SCHEME
def test_the_order_of_rows_does_not_matter_to_intervals(scheme):
    @settings(max_examples=4)
    @given(noisy_tables(sf.PowerLaw), st.randoms(use_true_random=False))
    def test(table, random):
        made = boot_ok(sf.PowerLaw, table, scheme)
        order = random.sample(range(len(table)), len(table))
        shuffled = sf.LossTable.from_frame(table.to_frame().iloc[order])
        other = sf.bootstrap(sf.fit(sf.PowerLaw, shuffled), scheme, resamples=RESAMPLES)
        assert np.array_equal(other.draws, made.draws)
        assert_draws(other, draws_of(made))

    test()


def test_the_order_of_rows_does_not_matter_where_rows_are_equal_but_for_their_weights():
    table = sf.simulate(sf.PowerLaw(1.7, 100.0, 0.25), DESIGNS[sf.PowerLaw], noise=0.01, seed=1).to_frame()
    twice = pd.concat([table.assign(count=1), table.assign(count=3)])
    made, other = (
        sf.bootstrap(sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame), weights="count"), sf.Pairs(), resamples=30)
        for frame in (twice, twice[::-1])
    )
    assert_draws(other, draws_of(made))


@settings(max_examples=4)
@given(noisy_tables(sf.Chinchilla), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_to_clusters(table, random):
    fit = fit_ok(sf.Chinchilla, table)
    made = sf.bootstrap(fit, sf.Wild(by="params"))
    order = random.sample(range(len(table)), len(table))
    other = sf.bootstrap(
        sf.fit(sf.Chinchilla, sf.LossTable.from_frame(table.to_frame().iloc[order])), sf.Wild(by="params")
    )
    # few refits of so noisy a surface end in another basin, and a bound is a place of its own
    apart = np.abs(other.values({"params": 1e9, "tokens": 1e11}) / made.values({"params": 1e9, "tokens": 1e11}) - 1)
    assert np.median(apart) < 1e-6
    assert np.mean(apart > 1e-5) < 0.1


@settings(max_examples=6)
@given(noisy_tables(sf.PowerLaw), st.sampled_from(SCHEMES), SEEDS)
def test_the_seed_of_a_bootstrap_fixes_every_bit(table, scheme, seed):
    fit = fit_ok(sf.PowerLaw, table)
    first, second, other = (sf.bootstrap(fit, scheme, resamples=20, seed=s) for s in (seed, seed, seed + 1))
    for name in ("E", "A", "alpha"):
        assert np.array_equal(first.values(name), second.values(name))
    assert not np.array_equal(first.draws, other.draws)


@EVERY_LAW
def test_clusters_of_one_row_each_are_rows(law):
    @settings(max_examples=3)
    @given(noisy_tables(law), SEEDS)
    def test(table, seed):
        # numbered as rows are: by the last input, then the others, then the loss
        order = np.lexsort((table.loss, *(table[name] for name in table.inputs if name != "flops")))
        own = sf.LossTable.from_frame(table.to_frame().assign(run=np.argsort(order)))
        fit = fit_ok(law, own)
        for make in (sf.Pairs, sf.Wild):
            rows, clusters = (sf.bootstrap(fit, make(by=by), resamples=20, seed=seed) for by in (None, "run"))
            assert np.array_equal(rows.draws, clusters.draws)
            assert np.array_equal(rows.values("alpha"), clusters.values("alpha"))

    test()


@settings(max_examples=8)
@given(noisy_tables(sf.PowerLaw), SEEDS, st.floats(0.1, 0.9))
def test_the_t_correction_contains_the_percentile_interval_of_a_fit(table, seed, level):
    made = sf.bootstrap(fit_ok(sf.PowerLaw, table), resamples=200, seed=seed)
    for statistic in ("alpha", {"params": 1e12}):
        outer, inner = (made.interval(statistic, level, method=method) for method in ("percentile_t", "percentile"))
        assume(not outer.refused)
        assert outer.low <= inner.low <= inner.high <= outer.high


@settings(max_examples=8)
@given(noisy_tables(sf.PowerLaw), st.sampled_from(SCHEMES), st.floats(-10, 10))
def test_a_constant_is_a_point(table, scheme, value):
    interval = sf.bootstrap(fit_ok(sf.PowerLaw, table), scheme, resamples=10).interval(lambda fit: value)
    assert (interval.low, interval.estimate, interval.high) == (value, value, value)
    assert interval.standard_error <= 1e-15 * abs(value)  # rounding of the mean of the draws
    assert "ONE_VALUE" in [doubt.name for doubt, _ in interval.doubts]


def test_fewer_runs_give_wider_intervals_on_average():
    # noise averages out as 1 / sqrt(n), so a third of the runs means 1.7 times the width; the t correction adds to it
    law, widths = sf.PowerLaw(1.7, 100.0, 0.25), {}
    for n in (9, 27):
        design = sf.grid(params=np.geomspace(1e7, 1e10, n))
        fits = [sf.fit(sf.PowerLaw, sf.simulate(law, design, noise=0.005, seed=seed)) for seed in range(24)]
        ends = [sf.bootstrap(fit, resamples=300).interval("alpha", 0.8) for fit in fits]
        widths[n] = np.array([one.high - one.low for one in ends if not one.refused])
        assert len(widths[n]) > 20
    ratio = np.log(widths[9]).mean() - np.log(widths[27]).mean()
    assert ratio > np.log(1.4)
    assert ratio < np.log(3.5)


def test_less_noise_gives_narrower_intervals_in_proportion():
    law, design = sf.PowerLaw(1.7, 100.0, 0.25), sf.grid(params=np.geomspace(1e7, 1e10, 16))
    model = sf.LawRegressor(sf.PowerLaw, objective=sf.Squared("log"))
    errors = [
        sf.bootstrap(sf.fit(model, sf.simulate(law, design, noise=noise, seed=1)), resamples=200).standard_error(
            "alpha"
        )
        for noise in (1e-4, 1e-3)
    ]
    assert errors[1] / errors[0] == pytest.approx(10, rel=0.05)  # linear but for the curvature of the law, 0.1 % noise


def test_without_noise_an_interval_holds_the_law_and_nothing_else():
    made = sf.bootstrap(sf.fit(sf.PowerLaw, sf.simulate(sf.PowerLaw(1.7, 100.0, 0.25), DESIGNS[sf.PowerLaw])))
    low, high = made.interval("alpha")
    assert low == pytest.approx(0.25, rel=1e-7)
    assert high == pytest.approx(0.25, rel=1e-7)
