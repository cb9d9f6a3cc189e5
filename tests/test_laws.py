"""The laws against published constants and examples, their limits, and whether a fit finds them again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import brentq

import scalefit as sf
from scalefit import LawRegressor, Status
from scalefit.laws import KAPLAN_2020, LAWS, MUENNIGHOFF_2023, BrokenPowerLaw, DataConstrained, Kaplan

# Four-digit addition, Figure 4 of arXiv:2210.14891: the points of its authors' script, of which 14 are fitted, and the
# constants of their noiseless simulation of it.
SIZES = np.array([160, 192, 256, 320, 384, 448, 480, 512, 544, 576, 608, 640, 672, 736, 800, 864, 928.0])
ENTROPIES = np.array([
    2.13809046, 2.11813418, 2.08955508, 2.06988398, 2.05404987, 2.03837089, 2.02814281, 2.00496872, 1.95576149,
    1.86313841, 1.70891537, 1.50637664, 1.29754721, 0.96559684, 0.75856477, 0.64768338, 0.55695445,
])  # fmt: skip
ADDITION = BrokenPowerLaw(
    E=0.41388453071629455, A=2.2772722897737556, c0=0.055077348404973955, c1=5.662903816010331, d=612.5836172918001,
    f=0.059193036393742314,
)  # fmt: skip
FITTED = slice(0, 14)

REPEATED = sf.grid(params=[1e7, 1e8, 4e8, 1e10], unique_tokens=[1e10, 1e11, 1e12], epochs=[1, 4, 16])
REPEATED["tokens"] = REPEATED.epochs * REPEATED.unique_tokens
SURFACE = sf.grid(params=np.geomspace(1e6, 1e9, 6), tokens=np.geomspace(2e7, 2e10, 6))


# Published values.


@pytest.mark.parametrize(
    ("params", "tokens", "unique", "loss"),
    [
        (6.34e9, 242e9, 25e9, 2.225644),
        (8.67e9, 178e9, 25e9, 2.226963),
        (8.7e9, 178e9, 178e9 / 7, 2.226081),
    ],
)
def test_the_data_constrained_law_at_its_authors_models(params, tokens, unique, loss):
    assert MUENNIGHOFF_2023(params, tokens, unique) == pytest.approx(loss, abs=5e-7)


def test_the_size_that_distinct_tokens_feed_is_the_compute_optimal_one():
    # U_N = 0.051 U_D, as the paper simplifies it; beyond it params count less, up to it they are Chinchilla's
    law = sf.Chinchilla(**{name: getattr(MUENNIGHOFF_2023, name) for name in ("E", "A", "B", "alpha", "beta")})
    U = 25e9
    for share, same in ((0.0505, True), (0.0515, False)):
        N = share * U
        assert (MUENNIGHOFF_2023(N, U, U) == pytest.approx(law(N, U), rel=1e-12)) is same
    N, flops = 0.0508 * U, 6 * 0.0508 * U * U
    around = N * np.geomspace(0.5, 2, 4001)
    best = around[np.argmin(law(around, flops / 6 / around))]
    assert best == pytest.approx(0.0508 * U, rel=0.005)


def test_a_repetition_without_decay_is_a_fresh_token():
    constants = {name: getattr(MUENNIGHOFF_2023, name) for name in ("E", "A", "B", "alpha", "beta")}
    endless = DataConstrained(**constants, R_N=1e9, R_D=1e9)
    N, D, U = np.array([1e8, 1e10, 1e11]), np.array([1e11, 1e12, 1e12]), np.array([1e9, 1e10, 1e10])
    assert endless(N, D, U) == pytest.approx(sf.Chinchilla(**constants)(N, D), rel=1e-7)
    assert MUENNIGHOFF_2023(1e8, 1e10, 1e12) == MUENNIGHOFF_2023(1e8, 1e10, 1e10)  # a larger corpus is not used


def test_the_effective_tokens_level_off():
    # at R_D* repetitions a repeated token is worth on average 1 - 1/e of a fresh one (section 3.1)
    U, R = 1e9, MUENNIGHOFF_2023.R_D
    worth = U * (1 + R * (1 - np.exp(-1)))
    assert MUENNIGHOFF_2023(1e6, U * (1 + R), U) == pytest.approx(MUENNIGHOFF_2023(1e6, worth, worth), rel=1e-12)


def test_kaplans_limits_are_its_laws_of_one_column():
    N, D = np.geomspace(1e5, 1e10, 6), np.geomspace(1e7, 1e12, 6)
    assert KAPLAN_2020(N, 1e60) == pytest.approx((6.4e13 / N) ** 0.076, rel=1e-12)
    assert KAPLAN_2020(1e60, D) == pytest.approx((1.8e13 / D) ** 0.103, rel=1e-12)


def test_kaplans_data_against_overfitting():
    # Eq. 4.4: the loss is 2 % above that of unlimited data at 5e3 N^0.74 tokens, to the digits printed
    for N in (1e6, 1e8, 1e10):
        excess = lambda log_D: KAPLAN_2020(N, np.exp(log_D)) / KAPLAN_2020(N, 1e60) - 1.02  # noqa: E731, B023
        assert np.exp(brentq(excess, 5, 60)) / N**0.74 == pytest.approx(5e3, rel=0.1)


def test_the_break_of_addition_is_fitted_as_its_authors_did():
    # they minimise the squared error of log(y + 1): the law of y + 1 is the same with E + 1
    model = LawRegressor(BrokenPowerLaw, objective=sf.Squared("log")).fit(SIZES[FITTED, None], ENTROPIES[FITTED] + 1)
    assert model.status_ is Status.OK
    found = model.law_.to_dict() | {"E": model.law_.E - 1}
    assert found == pytest.approx(ADDITION.to_dict(), rel=1e-6)  # curve_fit stops at 1e-8 of the sum of squares


def test_the_break_of_addition_extrapolates_as_published():
    error = np.log(ADDITION(SIZES) / ENTROPIES)
    assert np.sqrt(np.mean(error[FITTED] ** 2)) == pytest.approx(0.0005985, abs=5e-8)
    ours = LawRegressor(BrokenPowerLaw, objective=sf.Squared("log")).fit(SIZES[FITTED, None], ENTROPIES[FITTED])
    assert np.square(np.log(ours.predict(SIZES[FITTED, None]) / ENTROPIES[FITTED])).sum() < np.sum(error[FITTED] ** 2)
    assert np.abs(np.log(ours.predict(SIZES[14:, None]) / ENTROPIES[14:])).max() < 0.02


def test_a_break_has_a_power_on_either_side():
    law = BrokenPowerLaw(E=0.0, A=3.0, c0=0.2, c1=0.3, d=1e9, f=0.2)
    slopes = [np.log(law(10 * x) / law(x)) / np.log(10) for x in (1e3, 1e15)]
    assert slopes == pytest.approx([-0.2, -0.5], abs=1e-6)
    plain = BrokenPowerLaw(E=1.0, A=3.0, c0=0.2, c1=0.0, d=1e9, f=0.2)
    assert plain([1e6, 1e12]) == pytest.approx(sf.PowerLaw(1.0, 3.0, 0.2)([1e6, 1e12]), rel=1e-14)


def test_laws_are_finite_where_their_powers_are_not():
    sharp = BrokenPowerLaw(E=1.0, A=1e250, c0=25.0, c1=200.0, d=1e11, f=1e-3)
    assert np.all(np.isfinite(sharp(np.geomspace(1e8, 1e25, 50))))
    assert np.isfinite(Kaplan(N_c=1e200, D_c=1e200, alpha_N=0.5, alpha_D=0.02)(1e6, 1e6))


# Recovery.

WINDOW = np.geomspace(1e7, 1e11, 20)
BREAKS = {
    "steeper": (BrokenPowerLaw(1.8, 200.0, 0.3, 0.3, 1e9, 0.3), WINDOW),
    "shallower": (BrokenPowerLaw(1.8, 2000.0, 0.15, -0.1, 1e22, 0.5), np.geomspace(1e20, 1e25, 20)),
    "rising": (BrokenPowerLaw(1.0, 5e3, 0.5, -0.6, 1e9, 0.2), WINDOW),
}
JOINT = {
    "Kaplan": (Kaplan, KAPLAN_2020, SURFACE),
    "data-constrained": (DataConstrained, MUENNIGHOFF_2023, REPEATED),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_without_noise_is_found_again(name):
    truth, x = BREAKS[name]
    model = LawRegressor(BrokenPowerLaw).fit(x[:, None], truth(x))
    assert model.predict(x[:, None]) == pytest.approx(truth(x), rel=1e-9)
    assert model.law_.to_dict() == pytest.approx(truth.to_dict(), rel=1e-5)
    assert model.status_ is Status.OK


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_break_with_noise_beats_the_plain_power_and_the_truth(name, seed):
    truth, x = BREAKS[name]
    y = truth(x) * np.exp(0.003 * np.random.default_rng(seed).standard_normal(len(x)))
    objective = sf.Huber(1e-3, "log") if seed else sf.Squared("log")
    broken, plain = (LawRegressor(law, objective=objective).fit(x[:, None], y) for law in (BrokenPowerLaw, sf.PowerLaw))
    assert broken.objective_value_ < 0.9 * plain.objective_value_
    assert broken.objective_value_ < objective.rho(np.log(y / truth(x))).sum()


@pytest.mark.parametrize("name", JOINT)
def test_a_joint_law_without_noise_is_found_again(name):
    law, truth, design = JOINT[name]
    fit = sf.fit(law, sf.simulate(truth, design))
    assert fit.ok
    assert fit.parameters == pytest.approx(truth.to_dict(), rel=1e-6)


@pytest.mark.parametrize("name", JOINT)
@pytest.mark.parametrize(("noise", "seed"), [(0.003, 0), (0.01, 2)])
def test_a_joint_law_with_noise_is_below_the_truth(name, noise, seed):
    law, truth, design = JOINT[name]
    runs = sf.simulate(truth, design, noise=noise, outliers=0.05, seed=seed)
    fit = sf.fit(law, runs)
    at_truth = fit.objective.rho(np.log(runs.loss / truth(*(runs[name] for name in law.inputs)))).sum()
    assert 0.5 * at_truth < fit.objective_value < at_truth


def test_what_repetition_is_worth_is_fitted_on_a_base_law():
    runs = sf.simulate(MUENNIGHOFF_2023, REPEATED, noise=0.001, seed=3)
    once = sf.fit(sf.Chinchilla, runs.where("epochs == 1", "params < 5e8"))
    more = sf.fit(LawRegressor(DataConstrained, fixed=once.law.to_dict()), runs)
    assert more.ok
    assert {name: more.parameters[name] for name in once.parameters} == once.parameters
    assert more.parameters["R_D"] == pytest.approx(MUENNIGHOFF_2023.R_D, rel=0.2)
    assert more.parameters["R_N"] == pytest.approx(MUENNIGHOFF_2023.R_N, rel=0.3)


def test_runs_of_one_epoch_say_nothing_about_repetition():
    runs = sf.simulate(MUENNIGHOFF_2023, REPEATED, noise=0.001).where("epochs == 1", "params < 5e8")
    base = {name: getattr(MUENNIGHOFF_2023, name) for name in ("E", "A", "B", "alpha", "beta")}
    fit = sf.fit(LawRegressor(DataConstrained, fixed=base), runs)
    assert fit.status is Status.NOT_IDENTIFIED


# The search of a law of any form.


def test_every_shipped_law_reads_bounds_off_the_data_or_is_separable():
    X, y = np.geomspace(1e6, 1e9, 12).reshape(4, 3), np.array([4.0, 3.0, 2.5, 2.0])
    for law in LAWS.values():
        if not issubclass(law, sf.SeparableLaw):
            bounds = law.bounds_for(X[:, : law.n_inputs()], y)
            assert set(bounds) == set(law.parameters())
            assert all(np.isfinite(ends).all() and ends[0] < ends[1] for ends in bounds.values())


@pytest.mark.parametrize("law", [Kaplan, BrokenPowerLaw])
def test_the_unit_of_the_inputs_does_not_matter(law):
    truth, X = (KAPLAN_2020, SURFACE.to_numpy()) if law is Kaplan else (BREAKS["steeper"][0], WINDOW[:, None])
    y = truth(*X.T) * np.exp(0.003 * np.random.default_rng(4).standard_normal(len(X)))
    here = LawRegressor(law).fit(X, y)
    for unit in (1e-12, 1.0, 1e12):
        there = LawRegressor(law).fit(unit * X, y)
        assert there.objective_value_ == pytest.approx(here.objective_value_, rel=1e-9)
        assert there.predict(unit * X) == pytest.approx(here.predict(X), rel=1e-6)


@dataclass(frozen=True)
class Saturating(sf.Law):
    E: float
    A: float
    scale: float
    objective = sf.Squared()
    bounds = {"E": (-5.0, 10.0), "A": (1e-3, 1e3), "scale": (1e3, 1e12)}  # noqa: RUF012

    def value(self, x):
        return self.E + self.A / (1 + x / self.scale)


@pytest.mark.parametrize(
    "options", [{}, {"fixed": {"E": 2.0}}, {"fixed": {"A": 3.0}}, {"tied": {"A": "E"}}, {"fixed": {"E": 2.0, "A": 3.0}}]
)
def test_parameters_searched_by_logarithm_may_be_fixed_and_tied(options):
    x = np.geomspace(1e6, 1e10, 12)[:, None]
    truth = Saturating(2.0, 2.0 if "tied" in options else 3.0, 1e8)
    model = LawRegressor(Saturating, **options).fit(x, truth(x[:, 0]))
    assert model.law_.to_dict() == pytest.approx(truth.to_dict(), rel=1e-7)
    assert model.search_["starts"] == 40
    assert 1 <= model.search_["followed_to_optimum"] <= model.search_["followed"] == 8


@pytest.mark.parametrize(("truth", "name"), [(Saturating(2.0, 1e-4, 1e8), "A"), (Saturating(12.0, 1.0, 1e8), "E")])
def test_a_bound_is_named_whether_it_is_searched_by_logarithm_or_not(truth, name):
    x = np.geomspace(1e6, 1e10, 12)
    model = LawRegressor(Saturating, fixed={"scale": 1e8}).fit(x[:, None], truth(x))
    assert model.findings_ == [(Status.AT_BOUND, name)]
