"""Identifiability: noise, conditioning, trade-offs, profiles against an independent fitter, and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import scalefit as sf
from runs import missing_words, refusal
from scalefit.identification import _direction, identifiability
from scalefit.linearised import linearise
from scalefit.profiling import noise_explains, profile

POWER = sf.PowerLaw(E=2.0, A=30.0, alpha=0.25)
SIZES = np.geomspace(1e7, 1e10, 16)
DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(2e9, 2e11, 6))


def power_runs(noise=0.003, seed=0, sizes=SIZES):
    return sf.simulate(POWER, sf.grid(params=sizes), noise=noise, seed=seed)


def squares(runs, **options):
    return sf.fit(sf.LawRegressor(sf.PowerLaw, objective=sf.Squared(), **options), runs)


FIT = squares(power_runs())
FOUND = identifiability(FIT)


def type_refusal(function, *args, **options):
    with pytest.raises(TypeError) as error:
        function(*args, **options)
    return str(error.value)


# The linear model.


def test_least_squares_has_the_covariance_of_scipy():
    x, loss = FIT.table.params, FIT.table.loss
    start = [FIT.law.E, np.log(FIT.law.A), FIT.law.alpha]
    _, covariance = optimize.curve_fit(lambda x, E, a, alpha: E + np.exp(a - alpha * np.log(x)), x, loss, start)
    near = linearise(FIT)
    # scipy divides by n - q, and so do we but for the q smallest residuals: one part in a thousand here
    assert near.covariance == pytest.approx(covariance, rel=0.02)
    assert near.at == pytest.approx(start)


@pytest.mark.parametrize("objective", [None, sf.Squared("log"), sf.Absolute("log")], ids=repr)
def test_standard_errors_are_those_of_repeated_tables(objective):
    model = sf.LawRegressor(sf.Chinchilla, objective=objective)
    found = [linearise(sf.fit(model, sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.005, seed=s))) for s in range(40)]
    spread = np.std([near.at for near in found], axis=0)
    claimed = np.median([np.sqrt(np.diag(near.covariance)) for near in found], axis=0)
    assert np.all((spread / claimed > 0.65) & (spread / claimed < 1.25))  # 40 tables: 11 %; a density: its window


def test_moving_by_nothing_is_the_fit_and_ties_follow():
    fit = sf.fit(
        sf.LawRegressor(sf.Chinchilla, tied={"beta": "alpha"}, fixed={"E": 1.7}),
        sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.005),
    )
    near = linearise(fit)
    assert near.names == ("A", "B", "alpha")
    assert near.moved(np.zeros(3)).parameters == pytest.approx(fit.parameters, rel=1e-12)
    moved = near.moved(np.array([np.log(2.0), 0.0, 0.01])).parameters
    assert moved["A"] == pytest.approx(2 * fit.law.A)
    assert moved["beta"] == moved["alpha"] == pytest.approx(fit.law.alpha + 0.01)
    assert moved["E"] == 1.7


def test_copies_of_every_row_count_as_weights_do():
    runs = power_runs()
    twice = sf.LossTable.from_frame(pd.concat([runs.to_frame()] * 2))
    weighted = sf.LossTable.from_frame(runs.to_frame().assign(count=2))
    model = sf.LawRegressor(sf.PowerLaw, objective=sf.Squared())
    copied, counted = linearise(sf.fit(model, twice)), linearise(sf.fit(model, weighted, weights="count"))
    assert counted.covariance == pytest.approx(copied.covariance, rel=1e-6)


# Profiles.


def test_a_profile_is_what_an_independent_fitter_finds_with_the_parameter_held():
    x, loss = FIT.table.params, FIT.table.loss
    held = next(one for one in FOUND.held if one.parameter == "alpha")
    for alpha, objective in zip(held.values[::3], held.objectives[::3], strict=True):
        columns = np.stack([np.ones_like(x), x**-alpha], axis=1)
        rest = np.linalg.lstsq(columns, loss, rcond=None)[1]  # linear in E and A, which stay within their bounds here
        assert objective == pytest.approx(float(rest[0]) / 2, rel=1e-6)


def test_limits_are_where_the_rise_is_one_and_every_rise_is_upward():
    for one in FOUND.held:
        assert one.low < one.estimate < one.high
        assert np.interp([one.low, one.high], one.values, one.rises) == pytest.approx([1, 1], abs=0.05)
        assert one.rises.min() == 0
        assert len(one.values) >= 17
        assert np.all(np.diff(one.values) > 0)


def test_limits_of_many_clean_rows_are_those_of_the_likelihood_ratio():
    fit = squares(power_runs(sizes=np.geomspace(1e7, 1e10, 200)))
    one = identifiability(fit).held[2]
    rss = 2 * fit.objective_value
    unit = rss / (200 - 3) * stats.t.ppf(0.975, 197) ** 2 / 2
    assert one.noise == pytest.approx(unit, rel=0.25)  # a quantile of 400 draws: 10 %


def test_limits_cover():
    covered, tables = 0, 30
    for seed in range(tables):
        fit = squares(power_runs(0.005, seed))
        near = linearise(fit)
        one = profile(near, 2, noise_explains(fit, near, 0.95)[0]["alpha"], points=2)
        covered += not one.low > POWER.alpha and not one.high < POWER.alpha
    assert 26 <= covered < tables  # 95 % is 28.5 +- 1.2


def test_one_free_parameter_has_a_profile_too():
    found = identifiability(squares(power_runs(), fixed={"E": 2.0, "A": 30.0}))
    assert [one.parameter for one in found.held] == ["alpha"]
    assert found.held[0].low < 0.25 < found.held[0].high
    assert found.condition == 1


def test_a_bootstrap_brings_its_own_draws():
    boot = sf.bootstrap(FIT, sf.Pairs(), resamples=300, seed=3)
    found = identifiability(boot)
    assert "300 resamples: pairs bootstrap" in found.calibration
    assert found.held[2].noise != FOUND.held[2].noise
    assert found.held[2].low < 0.25 < found.held[2].high


def test_a_higher_level_is_wider():
    wide, narrow = identifiability(FIT, level=0.99).held[2], identifiability(FIT, level=0.8).held[2]
    assert wide.low < narrow.low < narrow.high < wide.high


# What is open, and what trades off.


def test_a_parameter_that_the_runs_do_not_bound_is_named():
    runs = sf.simulate(sf.PowerLaw(E=0.1, A=30, alpha=0.1), sf.grid(tokens=np.geomspace(1e9, 1e10, 9)), noise=0.01)
    found = identifiability(sf.fit(sf.PowerLaw, runs))
    assert not found.ok
    assert repr(found).startswith("OPEN  E is not bounded below by these runs: down to 0 ")
    assert np.isnan(found.to_frame().set_index("parameter").loc["E", "low"])
    assert FOUND.ok


def test_limits_of_too_few_resamples_are_doubted():
    found = identifiability(squares(power_runs(sizes=SIZES[::3])))
    assert not found.ok
    assert found.notes[0] == found.doubt
    assert repr(found).startswith(
        "DOUBT 6 rows or clusters, 3 of them spare: 64 resamples do not reach the tail of 95 %"
    )
    assert identifiability(squares(power_runs(sizes=SIZES[::3])), level=0.8).doubt == ""
    assert FOUND.doubt == ""


def test_what_is_wrong_with_the_fit_is_said_too():
    line = sf.grid(params=np.geomspace(1e8, 1e10, 10)).assign(tokens=lambda frame: 20 * frame["params"])
    model = sf.LawRegressor(sf.Chinchilla, fixed={"E": 1.69, "beta": 0.28})
    found = identifiability(sf.fit(model, sf.simulate(sf.HOFFMANN_2022, line, noise=0.01)), points=2)
    assert not found.fit.ok
    assert all(f"the fit is NOT OK: {note}" in repr(found) for note in found.fit.notes)


def test_a_direction_moves_the_losses_by_little_more_than_the_noise():
    line = sf.grid(params=np.geomspace(1e8, 1e10, 10)).assign(tokens=lambda frame: 20 * frame["params"])
    near = linearise(sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, line, noise=0.003)))
    changes = [_direction(near, k).change for k in range(5)]
    assert max(changes) <= 1.01 * np.expm1(2 * near.noise)
    assert min(changes) > 0


def test_the_exponent_of_a_term_that_is_not_there_is_open_below():
    flat = sf.simulate(sf.PowerLaw(2.0, 1e-9, 0.3), sf.grid(params=SIZES), noise=0.005)
    found = identifiability(squares(flat), points=4)
    assert [note[:26] for note in found.notes] == ["alpha is not bounded below"]
    assert found.condition > 1e4


def test_amplitude_and_exponent_trade_off_and_the_flattest_direction_says_how():
    assert FOUND.pairs[0][:2] == ("A", "alpha")
    assert FOUND.pairs[0][2] > 0.99
    flattest, steepest = FOUND.directions[0], FOUND.directions[-1]
    law = FIT.law
    moved = sf.PowerLaw(law.E + flattest.sums["E"], law.A * flattest.factors["A"], law.alpha + flattest.sums["alpha"])
    change = np.max(np.abs(moved(SIZES) / law(SIZES) - 1))
    assert change == pytest.approx(flattest.change)
    assert change < 0.005
    assert abs(np.log(flattest.factors["A"])) > 10 * abs(np.log(steepest.factors.get("A", 1.0)))
    assert f"A x {flattest.factors['A']:.4g}" in str(flattest)
    assert FOUND.condition > 30


def test_parameters_of_a_wide_design_trade_off_less():
    wide = identifiability(squares(power_runs(sizes=np.geomspace(1e4, 1e12, 16))))
    assert wide.condition < FOUND.condition / 2


def test_noiseless_runs_have_the_least_noise_instead_of_none():
    found = identifiability(squares(power_runs(0.0)))
    assert found.ok
    assert 0 < found.held[2].high - found.held[2].low < 1e-3


@dataclass(frozen=True)
class Line(sf.Law):
    """A law of another form: a straight line in the logarithm."""

    high: float
    slope: float
    bounds: ClassVar = {"high": (-10.0, 10.0), "slope": (0.001, 10.0)}

    def value(self, *columns):
        return self.high - self.slope * np.log(columns[0] / 1e7)


def test_a_law_that_is_not_separable_is_profiled_as_well():
    runs = sf.simulate(Line(4.0, 0.2), sf.grid(params=SIZES), noise=0.003)
    fit = sf.fit(sf.LawRegressor(Line, objective=sf.Squared()), runs)
    found = identifiability(fit, points=2)
    assert found.ok
    assert "independent runs of equal scatter" in found.calibration
    # the law is linear in its parameters, where the rise is that of the linear model
    errors = np.sqrt(np.diag(linearise(fit).covariance)) * stats.t.ppf(0.975, 14)
    assert found.held[0].high - fit.law.high == pytest.approx(errors[0], rel=0.05)
    assert np.log(found.held[1].high / fit.law.slope) == pytest.approx(errors[1], rel=0.05)


# What is given back.


def test_frames_and_plain_values():
    assert FOUND.profiles.columns.tolist() == ["parameter", "value", "objective", "rise"]
    assert FOUND.to_frame().columns.tolist() == ["parameter", "estimate", "low", "high", "noise"]
    plain = json.loads(json.dumps(FOUND.to_dict(), allow_nan=False))
    assert plain["ok"] is True
    assert plain["limits"][2]["parameter"] == "alpha"
    runs = sf.simulate(sf.PowerLaw(E=0.1, A=30, alpha=0.1), sf.grid(tokens=np.geomspace(1e9, 1e10, 9)), noise=0.01)
    assert identifiability(sf.fit(sf.PowerLaw, runs), points=2).to_dict()["limits"][0]["low"] is None


def test_the_order_of_the_rows_does_not_matter():
    frame = power_runs().to_frame()
    again = identifiability(squares(sf.LossTable.from_frame(frame.iloc[::-1])))
    for one, other in zip(FOUND.held, again.held, strict=True):
        assert (other.low, other.high) == pytest.approx((one.low, one.high), rel=1e-3)


def test_progress_counts_the_profiles():
    seen = []
    identifiability(FIT, points=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


# What is refused.


def test_bad_input_is_refused_by_name():
    surface = sf.fit(sf.AnovaKernelRidge(), sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.01))
    assert missing_words(type_refusal(identifiability, surface), "surface", "sf.fit(sf.Chinchilla") == []
    assert missing_words(type_refusal(identifiability, power_runs()), "LossTable") == []
    curves = sf.fit_curves(sf.PowerLaw, sf.simulate(sf.HOFFMANN_2022, DESIGN), along="tokens", at="params")
    assert missing_words(type_refusal(identifiability, curves), "Curves", "curves[0]") == []
    for level in (95, 0, True, "0.95", np.nan):
        assert missing_words(refusal(identifiability, FIT, level=level), "level", repr(level)) == []
    for points in (1, 2.5, True, "8"):
        assert missing_words(refusal(identifiability, FIT, points=points), "points", repr(points)) == []


def test_a_family_of_a_joint_fit_is_refused():
    frame = pd.concat([power_runs(seed=seed).to_frame().assign(data=str(seed)) for seed in (1, 2)])
    families = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame), by="data", shared="alpha")
    words = ("one family of a joint fit", "(alpha)", "table.where")
    assert missing_words(refusal(identifiability, families["1"]), *words) == []
    assert missing_words(type_refusal(identifiability, families), "Families", "one family's table alone") == []


def test_no_spare_rows_say_nothing_of_the_noise():
    few = squares(power_runs(sizes=SIZES[::7]))
    assert missing_words(refusal(identifiability, few), "3 rows", "3 free parameters", "E, A, alpha", "Add runs") == []
