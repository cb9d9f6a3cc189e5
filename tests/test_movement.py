"""Windows: what is said of the windows, and when nothing may be."""

import json
from dataclasses import replace

import numpy as np
import pytest

import scalefit as sf
from scalefit import windowing
from scalefit.windowing import windows

DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
RUNS = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.005)
FIT = sf.fit(sf.Chinchilla, RUNS)
SIZES = sf.grid(params=np.geomspace(1e7, 1e10, 24))
LINE = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), SIZES, noise=0.003)
QUIET = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), SIZES, noise=3e-4)
BENT = sf.LossTable.from_frame(QUIET.to_frame().assign(loss=lambda rows: rows.loss + 3e6 / rows.params))  # no power law


def of_line(runs, **options):
    return sf.bootstrap(sf.fit(sf.PowerLaw, runs), sf.Wild(), **options)


def test_too_few_resamples_for_the_level_give_no_verdict():
    found = windows(of_line(LINE, resamples=19), cuts=[1e8])
    assert (found.resamples, found.needed, found.holds) == (19, 19, True)
    for fewer, needed in ((replace(found, resamples=18), 19), (replace(found, level=0.99), 99)):
        assert (fewer.needed, fewer.holds) == (needed, None)
        assert f"is not known: that takes {needed} resamples, and {fewer.resamples} count" in repr(fewer)
        assert not repr(fewer).startswith("ok")


def test_several_statistics_share_the_chance_of_a_false_alarm():
    one = windows(FIT, statistic="alpha", cuts=[1e20])
    two = windows(FIT, statistic=["alpha", "beta"], cuts=[1e20])
    for chance, alone, beside in ((0.02, False, False), (0.04, False, True), (0.06, True, True)):
        assert replace(one, chances={"alpha": chance}, resamples=999).holds is alone
        both = replace(two, chances={"alpha": chance, "beta": 0.9}, resamples=999)
        assert (both.holds, both["alpha"].holds) == (beside, alone)
        assert repr(both).startswith("ok" if beside else "MOVED")
    assert (one.needed, two.needed) == (19, 39)


def test_resamples_without_a_value_are_no_evidence():
    middle = float(np.median(of_line(LINE, resamples=60).values("alpha")))
    half = {"alpha": lambda fit: fit.parameters["alpha"] if fit.parameters["alpha"] >= middle else float("nan")}
    boot = of_line(LINE, resamples=60)
    found = windows(boot, cuts=[1e8], statistic=half)
    assert np.isfinite(boot.values(half["alpha"])).sum() == 30
    assert 20 <= found.resamples <= 30
    times = found.chance * (1 + found.resamples)  # of those that count, with the runs themselves
    assert times == pytest.approx(round(times), abs=1e-9)
    assert times >= 1


@pytest.mark.parametrize("options", [{"fixed": {"E": 1.69}}, {"fixed": {"E": 1.69}, "tied": {"beta": "alpha"}}])
def test_a_number_that_is_given_is_not_moved(options):
    fit = sf.fit(sf.LawRegressor(sf.Chinchilla, **options), RUNS)
    for given in (fit, sf.bootstrap(fit, sf.Wild(), resamples=19)):
        found = windows(given, statistic="E", cuts=[1e20])
        assert found.moved == 0
        assert "no window moves E, which is 1.69" in repr(found)
    assert (found.chance, found.holds) == (1.0, True)


def test_rounding_is_no_movement():
    clean = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, DESIGN))
    found = windows(sf.bootstrap(clean, sf.Wild(), resamples=19), statistic=["alpha", "beta"], cuts=[1e19, 1e20])
    assert (found.to_frame()["moved"] == 0).all()
    assert found["alpha"].chance == 1
    assert found["alpha"].holds


def test_a_window_that_moves_what_noise_never_does_counts(monkeypatch):
    monkeypatch.setattr(
        windowing, "_same_draws", lambda boot, window: boot
    )  # noise does in windows what it does in all
    found = windows(of_line(BENT, resamples=39), cuts=[1e8])
    above = found.to_frame().query("kind == 'from'").iloc[0]
    assert above["by_noise"] == 0
    assert above["beyond"] == pytest.approx(abs(above["moved"]) / (1e-9 * found.estimate.value), rel=1e-6)
    assert (found.chance, found.holds) == (1 / 40, False)


def test_a_fit_that_is_not_ok_is_said_to_be_so():
    line = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 24), tokens=[1e10]), noise=0.003)
    fit = sf.fit(sf.Chinchilla, line)
    found = windows(fit, statistic="alpha", over="params", cuts=[1e9])
    assert found.doubt == fit.notes[0]
    assert repr(found).startswith(f"NOT OK the fit to all rows: {fit.notes[0]}\n")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["doubt"] == fit.notes[0]
    assert windows(FIT, cuts=[1e20]).doubt == ""


def test_a_window_without_a_value_says_so():
    surface = sf.fit(sf.AnovaKernelRidge(), RUNS)
    found = windows(surface, statistic={"params": 1.2e8, "tokens": 1.2e9}, cuts=[3e20]).to_frame()
    empty = found[found["estimate"].isna()]
    assert len(empty)
    assert empty["note"].str.startswith("no value: ").all()


def test_control_characters_of_a_name_do_not_reach_the_terminal():
    shown = repr(windows(FIT, statistic={"a\x1b[31m": "alpha"}, cuts=[1e20]))
    assert "\x1b" not in shown
    assert "a\\x1b[31m" in shown
