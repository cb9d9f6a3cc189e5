"""What a reader should know about the rows of a fit, although the fit itself is ok."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.remarks import scatter

DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 5), tokens=np.geomspace(1e9, 1e11, 4))
RUNS = sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.005)


def test_clean_runs_have_no_remark():
    assert sf.fit(sf.Chinchilla, RUNS).remarks == ()
    assert sf.fit(sf.PowerLaw, RUNS.where("tokens == 1e9"), inputs="params").remarks == ()


def test_a_diverged_run_is_named_by_its_inputs():
    frame = RUNS.to_frame()
    frame.loc[7, "loss"] = 1e9
    fit = sf.fit(sf.Chinchilla, sf.LossTable.from_frame(frame))
    assert fit.ok
    (remark,) = fit.remarks
    row = frame.loc[7]
    assert f"1 of 20 rows are over 10 times the scatter off, the worst at params {row.params:.4g}, tokens" in remark
    assert "note  1 of 20 rows" in repr(fit)
    assert fit.to_dict()["remarks"] == [remark]


def test_a_sweep_that_was_not_reduced_is_named_with_the_remedy():
    sweep = pd.concat([RUNS.to_frame().assign(lr=lr, seed=seed) for lr in (1e-3, 3e-3) for seed in (0, 1)])
    fit = sf.fit(sf.Chinchilla, sf.LossTable.from_frame(sweep))
    (remark,) = fit.remarks
    assert "80 rows stand at 20 values of params, tokens and differ in lr" in remark
    assert "table.best(over=('lr',), mean='seed'), on the command line --best lr." in remark
    (remark,) = sf.fit(sf.Chinchilla, fit.table.best(over=("lr", "seed"))).remarks
    assert "edge of what was tried" in remark  # both rates are
    (same,) = sf.fit(sf.Chinchilla, sf.LossTable.from_frame(sweep.assign(seed=np.nan))).remarks
    assert " and differ in lr; " in same  # where no seed is told, too


def test_only_what_was_chosen_is_a_setting():
    """What follows from the inputs, the data or a seed, and what was measured, is none: its best would be luck."""
    rng = np.random.default_rng(0)
    sweep = pd.concat([RUNS.to_frame().assign(lr=lr, seed=seed) for lr in (1e-3, 3e-3) for seed in (0, 1, 2)])
    sweep = sweep.assign(width=np.sqrt(sweep.params).round(), steps=sweep.tokens // 4096,
                         sites=sweep.seed * 7 + sweep.params // 10**7, run_seed=np.arange(120), excess=1.0,
                         cpu_seconds=rng.uniform(9, 10, 120).round(1),
                         energy=rng.random(120), host=np.tile(["a", "b", "b"], 40))  # fmt: skip
    sweep["excess"] = sweep["loss"] - sweep["loss"].min()
    for inputs in ("tokens", "params", ["params", "tokens"]):
        law = sf.Chinchilla if isinstance(inputs, list) else sf.PowerLaw
        (remark,) = [
            words for words in sf.fit(law, sf.LossTable.from_frame(sweep), inputs=inputs).remarks if "differ" in words
        ]
        assert " and differ in lr; " in remark
        assert remark.endswith("on the command line --best lr.")
    own = sf.LossTable.from_frame(sweep.assign(seed=np.arange(120)))
    assert " and differ in lr, sites; " in sf.fit(sf.Chinchilla, own).remarks[0]


def test_what_a_data_set_or_any_seed_brings_with_it_was_not_chosen():
    frame = RUNS.to_frame()
    sets = pd.concat([frame.assign(dataset=name, vocabulary=size) for name, size in (("a", 100), ("b", 200))])
    assert all("vocabulary" not in remark for remark in sf.fit(sf.Chinchilla, sf.LossTable.from_frame(sets)).remarks)
    worlds = pd.concat([frame.assign(world_seed=seed, sites=frame.params // 10**7 + 7 * seed) for seed in (0, 1, 2)])
    assert sf.fit(sf.Chinchilla, sf.LossTable.from_frame(worlds)).remarks == ()


def sweep_of(**columns):
    return pd.concat([RUNS.to_frame().assign(lr=lr) for lr in (1e-3, 3e-3)], ignore_index=True).assign(**columns)


@pytest.mark.parametrize(("inputs", "columns"), [
    (["params", "tokens"], {"seed": np.repeat([0, 1], 20)}),  # a seed that counts the settings
    (["params", "tokens"], {"flops": np.linspace(1, 1.05, 40) * 1e20}),  # measured
    (["params", "tokens"], {"config": [{"lr": 1}] * 40, "tags": [["a"]] * 40}),  # not to be counted
])  # fmt: skip
def test_a_setting_is_named_whatever_is_beside_it(inputs, columns):
    table = sf.LossTable.from_frame(sweep_of(**columns))
    (remark,) = [words for words in sf.fit(sf.Chinchilla, table, inputs=inputs).remarks if "differ" in words]
    assert " and differ in lr; " in remark
    assert remark.endswith("--best lr.")


def test_a_setting_is_named_where_the_other_input_was_measured():
    table = sf.LossTable.from_frame(sweep_of(tokens=1e10 * np.linspace(1, 1.01, 40)))
    assert any("differ in lr; " in words for words in sf.fit(sf.PowerLaw, table, inputs="params").remarks)


def test_what_comes_back_in_over_half_of_the_rows_was_measured():
    columns = {"draw": np.arange(40) // 2, "noted": np.minimum(np.arange(40), 20)}  # 20 and 21 values
    table = sf.LossTable.from_frame(sweep_of(**columns))
    assert any("differ in lr, draw; " in words for words in sf.fit(sf.Chinchilla, table).remarks)


@pytest.mark.parametrize("name", ["excess", "loss_se", "seconds", "cpu_seconds"])
def test_what_a_run_ends_with_is_no_setting(name):
    table = sf.LossTable.from_frame(sweep_of(**{name: np.tile([0.1, 0.2], 20)}).assign(lr=1e-3))
    assert not any("differ" in words for words in sf.fit(sf.Chinchilla, table).remarks)


def test_best_settings_at_an_edge_are_told_from_a_quarter_of_the_rows_on():
    edges = RUNS.to_frame().assign(at_edge=np.arange(20) < 5)
    (remark,) = sf.fit(sf.Chinchilla, sf.LossTable.from_frame(edges)).remarks
    assert remark.startswith("at 5 of 20 rows the best setting is at the edge of what was tried")
    fewer = sf.LossTable.from_frame(edges.assign(at_edge=np.arange(20) < 4))
    assert sf.fit(sf.Chinchilla, fewer).remarks == ()


def test_rows_of_several_data_sets_are_named():
    frame = sf.simulate(sf.PowerLaw(E=2, A=30, alpha=0.25), sf.grid(params=np.geomspace(1e7, 1e10, 12))).to_frame()
    table = sf.LossTable.from_frame(frame.assign(dataset=["a", "b"] * 6))
    (remark,) = sf.fit(sf.LawRegressor(sf.PowerLaw), table).remarks
    assert remark.startswith(
        "the rows are of 2 data sets (a, b), and a law is of one. Keep one: --where 'dataset == a'"
    )


def test_replicates_that_differ_in_the_seed_alone_have_no_remark():
    seeds = pd.concat([RUNS.to_frame().assign(seed=seed, data_seed=seed) for seed in (0, 1)])
    assert sf.fit(sf.Chinchilla, sf.LossTable.from_frame(seeds)).remarks == ()


def test_steps_of_runs_are_told_from_runs():
    steps = pd.concat([RUNS.to_frame().assign(_step=step, run=np.arange(20)) for step in (0, 100)])
    fit = sf.fit(sf.Chinchilla, sf.LossTable.from_frame(steps))
    assert fit.remarks == (
        "40 rows are of 20 runs, and '_step' tells their steps: a law is of the end of each run. Make the table with "
        "LossTable.read_history.",
    )
    ends = steps[steps["_step"] == 100]
    assert sf.fit(sf.Chinchilla, sf.LossTable.from_frame(ends)).remarks == ()


def test_a_law_of_one_column_says_that_the_other_varies():
    (remark,) = sf.fit(sf.PowerLaw, RUNS, inputs="params").remarks
    assert "tokens varies too, from 1e+09 to 1e+11" in remark
    assert "along='params', at='tokens'" in remark


def test_a_law_of_flops_says_that_models_of_one_budget_differ():
    frame = sf.grid(flops=[1e19, 1e20, 1e21], params=[1e8, 3e8, 1e9])
    frame["tokens"] = frame.flops / (6 * frame.params)
    runs = sf.simulate(sf.HOFFMANN_2022, frame)
    (remark,) = sf.fit(sf.PowerLaw, runs, inputs="flops").remarks
    assert "9 rows stand at 3 values of flops and differ in params, tokens" in remark


def test_scatter_ignores_an_outlier():
    errors = np.random.default_rng(0).standard_normal(2001)
    assert abs(scatter(errors) - 1) < 0.05
    errors[0] = 1e9
    assert abs(scatter(errors) - 1) < 0.05


def test_a_slice_with_a_diverged_run_is_named():
    design = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=[1e9, 1e10, 1e11])
    frame = sf.simulate(sf.HOFFMANN_2022, design, noise=0.003).to_frame()
    calm = sf.fit_curves(sf.PowerLaw, sf.LossTable.from_frame(frame), along="params", at="tokens")
    assert calm.remarks == ()
    frame.loc[(frame.tokens == 1e10) & (frame.params == 1e10), "loss"] += 1
    curves = sf.fit_curves(sf.PowerLaw, sf.LossTable.from_frame(frame), along="params", at="tokens")
    (remark,) = curves.remarks
    assert remark.startswith("the slice at tokens 1e+10 has ")
    assert remark in repr(curves)
    assert curves.to_dict()["remarks"] == [remark]


def test_an_offset_below_a_known_floor_is_told_and_a_fixed_one_is_not():
    law = sf.Chinchilla(E=1.0, A=400.0, B=400.0, alpha=0.34, beta=0.28)
    runs = sf.simulate(law, sf.grid(params=[1e7, 1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11])).to_frame()
    known = sf.LossTable.from_frame(runs.assign(loss_floor=1.2))
    (remark,) = sf.fit(sf.Chinchilla, known).remarks
    assert "E, 1, is below the known floor of these losses, 1.2 in 'loss_floor'" in remark
    assert "--fix E=1.2" in remark
    assert sf.fit(sf.LawRegressor(sf.Chinchilla, fixed={"E": 1.2}), known).remarks == ()
    assert sf.fit(sf.Chinchilla, sf.LossTable.from_frame(runs.assign(loss_floor=1.0))).remarks == ()
    assert sf.fit(sf.Chinchilla, sf.LossTable.from_frame(runs)).remarks == ()
