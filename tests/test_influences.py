"""influence: what each row does to a statistic, and how far it lies off the others."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import influences
from scalefit.influences import in_errors, influence

DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
RUNS = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.005)
FIT = sf.fit(sf.Chinchilla, RUNS)
SQUARED = sf.LawRegressor(sf.PowerLaw, objective=sf.Squared(), fixed={"alpha": 0.25})
LINE = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 15)), noise=0.003)


def planted(seed, rows, share, noise=0.005, design=DESIGN):
    """Simulated runs whose losses are too high in some rows."""
    frame = sf.simulate(sf.HOFFMANN_2022, design, noise=noise, seed=seed).to_frame()
    frame.loc[rows, "loss"] *= 1 + share
    return sf.LossTable.from_frame(frame)


# The Chinchilla data, `recomputed` by an independent script.


def test_leaving_one_run_out_moves_beta_by_what_was_recomputed(chinchilla):
    found = influence(sf.fit(sf.Chinchilla, chinchilla), statistic="beta").to_frame()
    strongest = found.loc[found["effect"].abs().idxmax()]
    assert strongest["loss"] == pytest.approx(5.005582, abs=1e-6)
    assert strongest["effect"] == pytest.approx(-0.0408, abs=5e-5)
    # those that Besiroglu et al. drop, the five highest losses, are among the six furthest off
    dropped = set(np.sort(chinchilla.loss)[-5:])
    assert dropped <= set(found["loss"].head(6))
    kept = influence(sf.fit(sf.Chinchilla, chinchilla.where("kept")), statistic="beta").to_frame()
    assert kept["effect"].abs().max() == pytest.approx(0.0044, abs=5e-5)


# Planted bad runs.


def test_a_planted_bad_run_is_first_in_95_of_100_tables():
    first = strongest = 0
    for seed in range(100):
        row = int(np.random.default_rng(10_000 + seed).integers(len(DESIGN)))
        found = influence(sf.fit(sf.Chinchilla, planted(seed, row, 0.05)), statistic="beta").to_frame()
        first += found["row"][0] == row
        strongest += found["row"][found["effect"].abs().idxmax()] == row
    assert first >= 95
    assert strongest < 50  # a robust fit bounds what a gross row does to its parameters: effects alone would not do


def test_a_planted_bad_rung_is_first_in_most_tables():
    sizes, first = np.unique(DESIGN["params"]), 0
    for seed in range(30):
        size = np.random.default_rng(10_000 + seed).choice(sizes)
        runs = planted(seed, DESIGN.index[DESIGN["params"] == size], 0.025)
        found = influence(sf.fit(sf.Chinchilla, runs), by="params", statistic="beta").to_frame()
        first += found["params"][0] == size
    assert first >= 24


def test_clean_tables_are_seldom_blamed():
    blamed = 0
    for seed in range(30):
        runs = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.005, seed=seed)
        blamed += len(influence(sf.fit(sf.Chinchilla, runs), statistic="beta").suspects) > 0
    assert blamed <= 6


# Formulas.


def test_effects_are_those_of_explicit_fits():
    forecast = {"params": 1e11, "tokens": 1e12}
    asked = {"alpha": lambda fit: fit.law.alpha, "loss": lambda fit: fit(**forecast)}
    for statistic, read in (("alpha", asked["alpha"]), (forecast, asked["loss"]), (asked["loss"], asked["loss"])):
        found = influence(FIT, statistic=statistic).to_frame().set_index("row")
        for row in (0, 7, 35):
            mask = np.arange(len(RUNS)) != row
            assert found["effect"][row] == pytest.approx(
                read(sf.fit(sf.Chinchilla, RUNS.where(mask))) - read(FIT), abs=1e-8
            )


def test_effects_of_groups_are_those_of_explicit_fits():
    found = influence(FIT, by="params", statistic="alpha").to_frame()
    assert sorted(found["params"]) == pytest.approx(np.unique(RUNS.params))
    assert (found["rows"] == 6).all()
    for row in found.to_dict("records"):
        rest = RUNS.where(RUNS.params != row["params"])
        fit = sf.fit(sf.Chinchilla, rest)
        assert row["effect"] == pytest.approx(fit.law.alpha - FIT.law.alpha, abs=1e-8)
        own = RUNS.where(RUNS.params == row["params"])
        assert row["apart"] == pytest.approx(np.mean(np.log(own.loss / fit(own.params, own.tokens))), abs=1e-8)


def test_off_is_the_studentised_deletion_residual_of_regression():
    # squares, alpha fixed: a regression on params^-alpha; e sqrt(1 - h) / s is the textbook's r / (s sqrt(1 - h))
    fit = sf.fit(SQUARED, LINE)
    X = np.stack([np.ones(len(LINE)), LINE.params**-0.25], axis=1)
    H = X @ np.linalg.inv(X.T @ X) @ X.T
    plain = LINE.loss - H @ LINE.loss
    s = 1.4826 * np.median(np.abs(plain)) * np.sqrt(15 / 13)
    found = influence(fit, statistic="A").to_frame().sort_values("row")
    assert found["leverage"].tolist() == pytest.approx(np.diag(H).tolist(), rel=1e-6)
    assert found["residual"].tolist() == pytest.approx((plain / s).tolist(), abs=1e-6)
    assert found["apart"].tolist() == pytest.approx((plain / (1 - np.diag(H))).tolist(), abs=1e-8)
    off = plain / np.sqrt(1 - np.diag(H)) / s
    off /= max(1.0, 1.4826 * np.median(np.abs(off)))
    assert found["off"].tolist() == pytest.approx(off.tolist(), abs=1e-5)


def test_off_of_a_group_has_the_variance_of_its_mean():
    fit = sf.fit(SQUARED, sf.LossTable.from_frame(LINE.to_frame().assign(batch=np.repeat(np.arange(5), 3))))
    X = np.stack([np.ones(15), LINE.params**-0.25], axis=1)
    H = X @ np.linalg.inv(X.T @ X) @ X.T
    plain = LINE.loss - H @ LINE.loss
    s = 1.4826 * np.median(np.abs(plain)) * np.sqrt(15 / 13)
    off = []
    for rows in np.split(np.arange(15), 5):
        inverse = np.linalg.inv(np.eye(3) - H[np.ix_(rows, rows)])
        off.append(np.sum(inverse @ plain[rows]) / (s * np.sqrt(inverse.sum())))
    off = np.array(off) / max(1.0, 1.4826 * np.median(np.abs(off)))
    found = influence(fit, by="batch", statistic="A").to_frame().sort_values("batch")
    assert found["off"].tolist() == pytest.approx(off.tolist(), abs=1e-5)


def test_effects_are_in_jackknife_errors_of_the_others():
    effects = np.array([0.3, -0.1, 0.2, -0.4, 5.0, np.nan])
    for unit in range(5):
        others = np.delete(effects[:5], unit)
        error = np.sqrt((len(others) - 1) / len(others) * np.sum((others - others.mean()) ** 2))
        assert in_errors(effects)[unit] == pytest.approx(effects[unit] / error)
    assert np.isnan(in_errors(effects)[5])
    assert np.isnan(in_errors(np.array([1.0, 2.0]))).all()


def test_blocks_change_nothing(monkeypatch):
    whole = influence(FIT, statistic=lambda fit: fit.law.alpha).to_frame()
    groups = influence(FIT, by="params", statistic="alpha").to_frame()
    monkeypatch.setattr(influences, "BLOCK", 5 * len(RUNS))
    seen = []
    parts = influence(FIT, statistic=lambda fit: fit.law.alpha, progress=lambda *step: seen.append(step)).to_frame()
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-6, atol=1e-9)
    pd.testing.assert_frame_equal(
        groups, influence(FIT, by="params", statistic="alpha").to_frame(), rtol=1e-6, atol=1e-9
    )
    assert seen == [(5, 36), (10, 36), (15, 36), (20, 36), (25, 36), (30, 36), (35, 36), (36, 36)]


def test_the_order_of_the_rows_does_not_matter():
    order = np.random.default_rng(0).permutation(len(RUNS))
    shuffled = sf.LossTable.from_frame(RUNS.to_frame().iloc[order].reset_index(drop=True))
    other = influence(sf.fit(sf.Chinchilla, shuffled), statistic="beta").to_frame()
    one = influence(FIT, statistic="beta").to_frame()
    assert order[other["row"]].tolist() == one["row"].tolist()
    assert other["off"].tolist() == pytest.approx(one["off"].tolist(), rel=1e-5)


def test_a_weight_of_two_is_the_row_twice_and_of_zero_no_row():
    frame = RUNS.to_frame().assign(copies=np.where(np.arange(36) == 4, 0, np.where(np.arange(36) == 9, 2, 1)))
    model = sf.LawRegressor(sf.Chinchilla, objective=sf.Squared("log"))
    weighted = influence(sf.fit(model, sf.LossTable.from_frame(frame), weights="copies"), statistic="alpha").to_frame()
    copied = frame.loc[np.repeat(np.arange(36), frame["copies"])].reset_index(names="label")
    twice = influence(sf.fit(model, sf.LossTable.from_frame(copied)), by="label", statistic="alpha").to_frame()
    assert 4 not in set(weighted["row"])
    weighted, twice = weighted.set_index("row").sort_index(), twice.set_index("label").sort_index()
    for name in ("effect", "apart", "off", "residual", "leverage"):
        assert weighted[name].tolist() == pytest.approx(twice[name].tolist(), rel=1e-4, abs=1e-7)


def test_a_surface_has_effects_without_leverage():
    found = influence(sf.fit(sf.AnovaKernelRidge(), planted(0, 14, 0.05)), statistic={"params": 1e9, "tokens": 1e10})
    frame = found.to_frame()
    assert frame["row"][0] == 14
    assert frame["leverage"].isna().all()
    assert frame["effect"].notna().all()


# What is said.


def test_rows_that_matter_are_named():
    frame = planted(2, 14, 0.06).to_frame().assign(run=[f"r{number}" for number in range(36)])
    found = influence(sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame)), statistic="beta")
    assert not found.ok
    assert found.suspects["row"].tolist() == [14]
    first, second = found.named(2)
    assert first.startswith("row 14 (run r14, params 6.31e+08, tokens 6.31e+09, loss ")
    assert "% above the fit without it, " in first
    assert "beta " in first.split(";")[1]
    assert repr(found).startswith("NOT OK  1 of 36 rows lie off the others by more than chance explains")
    assert second in repr(found)


def test_a_quiet_table_is_ok():
    found = influence(sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.005, seed=2)))
    assert found.ok
    assert found.statistic == "allocation_exponent"
    assert repr(found).startswith("ok    none of 36 rows lies off; none moves allocation_exponent by over ")
    assert len(found) == 36


def test_a_row_that_decides_the_statistic_is_named():
    frame = sf.simulate(sf.PowerLaw(2, 30, 0.25), sf.grid(params=[1e7] + [1e9 * x for x in range(1, 13)]), noise=0.002)
    found = influence(sf.fit(sf.PowerLaw, frame))
    assert found.strong["row"].tolist()[0] == 0
    assert found.notes[-1].startswith("without row 0 (params 1e+07")
    assert f"\nnote  {found.notes[-1]}\n" in repr(found)


def test_few_clean_sizes_are_seldom_blamed_although_some_is_nearly_always_strong():
    design = sf.grid(params=np.geomspace(1e8, 1e10, 7), tokens=np.geomspace(1e9, 1e11, 4))
    found = [
        influence(sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, design, noise=0.004, seed=seed)), by="params")
        for seed in range(20)
    ]
    assert sum(len(one.strong) > 0 for one in found) >= 10
    assert sum(one.ok for one in found) >= 18


def test_units_without_which_nothing_is_determined_are_counted():
    runs = sf.simulate(
        sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=np.geomspace(1e9, 1e11, 6)), noise=0.003
    )
    found = influence(sf.fit(sf.Chinchilla, runs), by="params", statistic="alpha")
    assert len(found.deciding) == 3
    assert found.to_frame()[["effect", "off"]].isna().all(axis=None)
    assert "3 of 3 groups of params cannot be left out" in repr(found)
    assert "alpha has no value without it" in found.named(1)[0]
    json.dumps(found.to_dict(), allow_nan=False)


def test_noiseless_runs_are_not_blamed_for_rounding():
    found = influence(sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, DESIGN)), statistic="alpha")
    assert not len(found.suspects)
    assert found.to_frame()["off"].abs().max() < 0.1


def test_rounding_moves_no_statistic():
    clean = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, DESIGN))
    for name in ("alpha", "beta", "E"):
        found = influence(clean, statistic=name)
        assert (found.to_frame()["effect"] == 0).all()
        assert found.ok
        assert repr(found).startswith(f"ok    none of 36 rows lies off; none moves {name}\n")


def test_a_fit_that_is_not_ok_is_said_to_be_so_and_no_row_is_blamed():
    line = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=np.geomspace(1e8, 1e10, 12), tokens=[1e10]), noise=0.003)
    fit = sf.fit(sf.Chinchilla, line)
    assert not fit.ok
    found = influence(fit, statistic="alpha")
    assert not found.ok
    assert found.notes[0] == f"the fit to all rows is not ok: {fit.notes[0]}"
    assert repr(found).startswith(f"NOT OK  {found.notes[0]}")
    assert len(found.deciding) == len(found)
    assert "cannot be left out" not in repr(found)  # since the fit is not determined with them either
    assert not influence(FIT).doubt


def test_how_little_rows_matter_is_said_in_standard_errors():
    found = influence(sf.fit(sf.Chinchilla, planted(2, [], 0)))
    assert found.ok
    largest = found.to_frame()["in_errors"].abs().max()
    assert f", {largest:.2g} of its standard errors\n" in repr(found)


def test_control_characters_of_a_table_do_not_reach_the_terminal():
    frame = RUNS.to_frame()
    frame["run"] = [f"r\x1b[31m{row}" for row in range(len(frame))]
    frame["c\x1b[2J"] = [f"{row % 6}\x1b" for row in range(len(frame))]
    fit = sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame))
    for found in (influence(fit), influence(fit, by="c\x1b[2J")):
        assert "\x1b" not in repr(found)
        assert "\\x1b" in repr(found)


def test_values_are_plain_for_json():
    found = influence(FIT, by="params", statistic="alpha")
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [unit["effect"] for unit in plain["units"]] == found.to_frame()["effect"].tolist()
    assert plain["limit"] == found.limit


# Bad input.


@pytest.mark.parametrize(
    ("given", "options", "error", "words"),
    [
        (RUNS, {}, TypeError, "influence takes what sf.fit or its bootstrap gave, not LossTable"),
        (FIT, {"by": "lr"}, ValueError, "no column 'lr'"),
        (FIT, {"by": 3}, TypeError, "by must be the name of one column, or None for rows, not 3"),
        (FIT, {"by": "outlier"}, ValueError, "makes one cluster"),
        (FIT, {"statistic": "gamma"}, ValueError, "no parameter 'gamma'"),
        (FIT, {"statistic": 3}, TypeError, "a statistic is a parameter"),
        (FIT, {"statistic": ["alpha", "beta"]}, TypeError, "one statistic, not of 2: alpha, beta"),
        (FIT, {"statistic": lambda fit: "high"}, TypeError, "is one number"),
        (FIT, {"statistic": {"none": lambda fit: float("nan")}}, ValueError, "none is nan for the fit to all rows"),
    ],
)
def test_bad_input_says_what_to_do(given, options, error, words):
    with pytest.raises(error, match=words):
        influence(given, **options)


@pytest.mark.parametrize("top", [0, -1, 2.5, True, "all"])
def test_bad_numbers_of_names_are_refused(top):
    with pytest.raises(ValueError, match="top must be a whole number from 1 on"):
        influence(FIT, statistic="alpha").named(top)


def test_of_a_bootstrap_it_is_that_of_the_fit():
    assert influence(sf.bootstrap(FIT, resamples=10)).to_frame().equals(influence(FIT).to_frame())
