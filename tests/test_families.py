"""One law for several families: the joint optimum, what is checked, whether sharing is justified, joint refits."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import scalefit as sf
from scalefit.fitting import fit
from scalefit.joint import polish
from scalefit.joint_search import solve_joint

CONTRACT = 1e-9
LAWS = {
    "c4": sf.Chinchilla(E=1.7, A=400, B=410, alpha=0.34, beta=0.28),
    "pile": sf.Chinchilla(E=1.8, A=500, B=350, alpha=0.34, beta=0.28),
    "web": sf.Chinchilla(E=1.9, A=300, B=600, alpha=0.34, beta=0.28),
}
CURVES = {
    "c4": sf.PowerLaw(E=1.7, A=120, alpha=0.25),
    "pile": sf.PowerLaw(E=1.8, A=150, alpha=0.25),
    "web": sf.PowerLaw(E=1.9, A=110, alpha=0.25),
}
PLANE = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 5))
LINE = sf.grid(params=np.geomspace(1e7, 1e10, 12))


def tables(laws, design, *, noise=0.0, outliers=0.0, seed=0):
    made = [
        sf.simulate(law, design, noise=noise, outliers=outliers, seed=seed + i).to_frame().assign(dataset=name)
        for i, (name, law) in enumerate(laws.items())
    ]
    return sf.LossTable.from_frame(pd.concat(made, ignore_index=True))


def stacked(theta, made, shared, law):
    """Residuals in the objective's space of a joint fit in plain natural parameters, written down anew."""
    joint, free = made.joint, ["E", *(t.amplitude for t in law.terms), *(t.exponent for t in law.terms)]
    own = [name for name in free if name not in shared]
    errors = []
    for f, (X, y) in enumerate(zip(joint.X, joint.y, strict=True)):
        named = dict(zip(shared, theta, strict=False))
        named |= dict(zip(own, theta[len(shared) + f * len(own) :], strict=False))
        total = named["E"] + sum(
            np.exp(named[t.amplitude] - named[t.exponent] * np.log(X[:, t.column])) for t in law.terms
        )
        errors.append(np.log(y) - np.log(total) if made.objective.space == "log" else y - total)
    return np.concatenate(errors)


def height(theta, made, shared, law):
    with np.errstate(all="ignore"):
        value = float(made.objective.rho(stacked(theta, made, shared, law)).sum())
    return value if np.isfinite(value) else 1e9


def natural(made, shared, law):
    """Parameters of a joint fit as `stacked` takes them: log amplitudes."""
    logs = {t.amplitude for t in law.terms}
    free = ["E", *(t.amplitude for t in law.terms), *(t.exponent for t in law.terms)]
    values = [made.parameters[name] for name in shared]
    names = list(shared)
    for one in made.values():
        own = [name for name in free if name not in shared]
        values += [one.parameters[name] for name in own]
        names += own
    return np.array([np.log(v) if name in logs else v for name, v in zip(names, values, strict=True)])


@pytest.mark.parametrize("shared", [("alpha", "beta"), ("E",), ("alpha",), ("E", "beta"), ("A", "alpha")])
def test_noiseless_families_give_their_laws_back(shared):
    laws = {
        name: sf.Chinchilla(**{**law.to_dict(), **{p: LAWS["c4"].to_dict()[p] for p in shared}})
        for name, law in LAWS.items()
    }
    made = fit(sf.Chinchilla, tables(laws, PLANE), by="dataset", shared=shared)
    assert made.ok
    assert made.shared == shared
    for name, law in laws.items():
        for parameter, value in law.to_dict().items():
            assert made[name].parameters[parameter] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("objective", [sf.Huber(1e-3, "log"), sf.Huber("mad_of_loss")], ids=["narrow", "wide"])
@pytest.mark.parametrize("shared", [("alpha",), ("E",), ("E", "alpha"), ("A",), ("A", "alpha")], ids="-".join)
def test_the_joint_optimum_is_the_oracle_s(shared, objective):
    made = fit(
        sf.LawRegressor(sf.PowerLaw, objective=objective),
        tables(CURVES, LINE, noise=0.006, outliers=0.1, seed=7), by="dataset", shared=shared,
    )  # fmt: skip
    start, rng, best = natural(made, shared, sf.PowerLaw), np.random.default_rng(1), np.inf
    scale = max(made.objective_value, 1e-12)
    assert height(start, made, shared, sf.PowerLaw) == pytest.approx(made.objective_value, rel=CONTRACT)
    for spread in (0.0, 0.02, 0.1, 0.3, 0.3):
        x = start * (1 + spread * rng.standard_normal(len(start)))
        for _ in range(3):  # restarted, since the objective has kinks
            x = minimize(
                lambda x: height(x, made, shared, sf.PowerLaw) / scale, x, method="BFGS",
                options={"gtol": 1e-9, "maxiter": 400},
            ).x  # fmt: skip
        best = min(best, height(x, made, shared, sf.PowerLaw))
    assert made.objective_value <= best * (1 + CONTRACT)


def test_the_optimum_of_two_terms_is_the_oracle_s():
    made = fit(sf.Chinchilla, tables(LAWS, PLANE, noise=0.006, outliers=0.1, seed=3), by="dataset",
               shared=("alpha", "beta"))  # fmt: skip
    start, rng = natural(made, ("alpha", "beta"), sf.Chinchilla), np.random.default_rng(0)
    for spread in (0.0, 0.05, 0.2):
        found = minimize(
            lambda x: height(x, made, ("alpha", "beta"), sf.Chinchilla) / made.objective_value,
            start * (1 + spread * rng.standard_normal(len(start))), method="BFGS", options={"maxiter": 500},
        )  # fmt: skip
        assert found.fun >= 1 - CONTRACT


def test_of_noisy_tables_no_random_start_ends_lower():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        shared = [("alpha",), ("E",), ("E", "alpha")][seed % 3]
        objective = [sf.Huber(1e-3, "log"), sf.Huber(0.3)][seed // 6]
        runs = tables(CURVES, LINE.iloc[::2], noise=0.05, outliers=0.2, seed=100 * seed)
        made = fit(sf.LawRegressor(sf.PowerLaw, objective=objective), runs, by="dataset", shared=shared)
        joint = made.joint.solved[0]
        starts = joint.lower + (joint.upper - joint.lower) * rng.uniform(size=(len(joint.lower), 20))
        ends = polish(joint.take(np.zeros(20, dtype=int)), starts, max_iterations=60)
        assert made.objective_value <= ends.objective.min() * (1 + CONTRACT)


def test_given_what_is_shared_every_family_is_at_the_optimum_of_its_own():
    made = fit(sf.Chinchilla, tables(LAWS, PLANE, noise=0.006, seed=2), by="dataset", shared=("alpha", "beta"))
    for one in made.values():
        held = sf.LawRegressor(sf.Chinchilla, objective=made.objective, fixed=made.parameters)
        assert sf.fit(held, one.table).objective_value == pytest.approx(one.objective_value, rel=CONTRACT)


def test_one_family_more_than_once_changes_nothing_but_the_sum():
    runs = tables({"c4": CURVES["c4"]}, LINE, noise=0.005)
    twice = pd.concat([runs.to_frame().assign(dataset=name) for name in "ab"])
    made = fit(sf.PowerLaw, sf.LossTable.from_frame(twice), by="dataset", shared="alpha")
    alone = sf.fit(sf.LawRegressor(sf.PowerLaw, objective=made.objective), runs, inputs="params")
    assert made["a"].parameters == pytest.approx(alone.parameters, rel=1e-6)
    assert made.objective_value == pytest.approx(2 * alone.objective_value, rel=CONTRACT)


def test_weights_are_frequencies_and_the_order_of_rows_is_nothing():
    frame = tables(CURVES, LINE, noise=0.005).to_frame()
    frame["copies"] = np.arange(len(frame)) % 3
    repeated = frame.loc[frame.index.repeat(frame["copies"])].sample(frac=1, random_state=0)
    weighted = fit(sf.PowerLaw, sf.LossTable.from_frame(frame), by="dataset", shared="alpha", weights="copies")
    rows = fit(sf.PowerLaw, sf.LossTable.from_frame(repeated), by="dataset", shared="alpha")
    assert weighted.objective == rows.objective
    assert weighted.objective_value == pytest.approx(rows.objective_value, rel=CONTRACT)
    for name in CURVES:
        assert weighted[name].parameters == pytest.approx(rows[name].parameters, rel=1e-6)
    assert pytest.approx(rows.sharing.F, rel=1e-6) == weighted.sharing.F


def test_delta_is_resolved_once_over_all_rows():
    runs = tables(CURVES, LINE, noise=0.005)
    y = np.median(runs.loss)
    made = fit(sf.PowerLaw, runs, by="dataset", shared="alpha")
    assert made.objective.delta == pytest.approx(1.4826 * np.median(np.abs(runs.loss - y)))
    assert {one.objective for one in made.values()} == {made.objective}
    assert {one.objective for one in made.separate.values()} == {made.objective}
    by_rule = sf.LawRegressor(sf.PowerLaw, objective=sf.Huber("mad_of_residuals", "log"))
    delta = fit(by_rule, runs, by="dataset", shared="alpha").objective.delta
    assert 0.002 < delta < 0.01


def test_fixed_and_tied_work_beside_shared():
    runs = tables(LAWS, PLANE, noise=0.004)
    pinned = sf.LawRegressor(sf.Chinchilla, fixed={"E": 1.6}, tied={"beta": "alpha"})
    made = fit(pinned, runs, by="dataset", shared="alpha")
    for one in made.values():
        assert one.parameters["E"] == 1.6
        assert one.parameters["beta"] == one.parameters["alpha"] == made.parameters["alpha"]
    assert made.joint.own == ("A", "B")
    with pytest.raises(ValueError, match="beta is tied to alpha; share alpha"):
        fit(pinned, runs, by="dataset", shared="beta")
    with pytest.raises(ValueError, match="E is fixed, so all families"):
        fit(pinned, runs, by="dataset", shared=("E", "alpha"))


def test_the_absolute_error_is_the_limit_of_a_narrow_zone():
    runs = tables(CURVES, LINE, noise=0.005, outliers=0.1)
    made = fit(sf.LawRegressor(sf.PowerLaw, objective=sf.Absolute("log")), runs, by="dataset", shared="alpha")
    narrow = fit(sf.LawRegressor(sf.PowerLaw, objective=sf.Huber(1e-7, "log")), runs, by="dataset", shared="alpha")
    assert made.objective_value == pytest.approx(narrow.objective_value / 1e-7, rel=1e-3)
    assert np.isnan(made.sharing.F)
    assert "take a wider delta" in made.sharing.note


def test_a_family_is_an_ordinary_fit():
    made = fit(sf.Chinchilla, tables(LAWS, PLANE, noise=0.004), by="dataset", shared=("alpha", "beta"))
    one = made["pile"]
    assert isinstance(one, sf.Fit)
    assert one(1e9, 1e10) == one.law(1e9, 1e10)
    assert sf.compute_optimal(one, 1e20).bracketed.all()
    assert len(one.table) == len(PLANE)
    assert json.loads(json.dumps(one.to_dict()))["protocol"]["search"]["shared"] == ["alpha", "beta"]


def test_a_saved_family_is_read_back_with_what_it_shared_fixed(tmp_path):
    made = fit(sf.PowerLaw, tables(CURVES, LINE, noise=0.004), by="dataset", shared="alpha")
    made["web"].save(tmp_path / "web.json")
    back = sf.read_fit(tmp_path / "web.json")
    assert back.parameters == made["web"].parameters
    assert back.protocol["fixed"] == made.parameters
    assert "alpha  0.2" in repr(back)
    assert back.to_frame()["how"].tolist() == made["web"].to_frame()["how"].tolist() == ["fitted", "fitted", "shared"]


def test_what_is_shared_is_not_called_fixed_and_what_is_fixed_is():
    model = sf.LawRegressor(sf.Chinchilla, fixed={"E": 1.7}, tied={"beta": "alpha"})
    one = fit(model, tables(LAWS, PLANE, noise=0.004), by="dataset", shared="alpha")["c4"]
    assert one.to_frame()["how"].tolist() == ["fixed", "fitted", "fitted", "shared", "tied to alpha"]
    assert "shared" in one._repr_html_()
    assert sf.bootstrap(fit(sf.PowerLaw, tables(CURVES, LINE, noise=0.004), by="dataset", shared="alpha"),
                        resamples=20)["c4"][0].to_frame()["how"].tolist() == ["fitted", "fitted", "shared"]  # fmt: skip


def test_families_by_numbers_are_called_by_few_digits():
    runs = sf.simulate(LAWS["c4"], sf.grid(params=np.geomspace(1e8, 1e10, 8), tokens=[1e10, 1e11]), noise=0.002)
    made = fit(sf.PowerLaw, runs, inputs="params", by="tokens", shared="alpha")
    assert "  1e+11 A " in repr(sf.bootstrap(made, resamples=20))
    with pytest.raises(KeyError, match=r"tokens has 1e\+10, 1e\+11"):
        made[3]


def test_families_print_and_convert():
    made = fit(sf.PowerLaw, tables(CURVES, LINE, noise=0.004), by="dataset", shared="alpha")
    assert repr(made).splitlines()[0].startswith("ok ")
    assert "alpha shared    36 rows" in repr(made)
    frame = made.to_frame()
    assert frame["dataset"].tolist() == ["c4", "pile", "web"]
    assert frame["objective"].sum() == pytest.approx(made.objective_value)
    assert (frame["objective"] >= frame["objective_alone"] * (1 - CONTRACT)).all()
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["shared"] == made.parameters
    assert list(made) == ["c4", "pile", "web"]
    assert len(made) == 3
    with pytest.raises(KeyError, match="there is no family 'lambada'"):
        made["lambada"]


def test_the_p_value_of_sharing_is_uniform_where_families_share_and_tiny_where_they_do_not():
    squares = sf.LawRegressor(sf.PowerLaw, objective=sf.Squared())
    p = np.array([
        fit(squares, tables(CURVES, LINE, noise=0.003, seed=10 * s), by="dataset", shared="alpha").sharing.p
        for s in range(40)
    ])  # fmt: skip
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.25)  # three standard errors of 40 draws
    assert np.mean(p < 0.1) < 0.25
    other = CURVES | {"web": sf.PowerLaw(E=1.9, A=110, alpha=0.35)}
    assert fit(squares, tables(other, LINE, noise=0.003), by="dataset", shared="alpha").sharing.p < 1e-3


def test_the_f_of_least_squares_is_the_textbook_s():
    squares = sf.LawRegressor(sf.PowerLaw, objective=sf.Squared())
    made = fit(squares, tables(CURVES, LINE, noise=0.004), by="dataset", shared="alpha")
    joint = sum((one.residuals**2).sum() for one in made.values())
    alone = sum((one.residuals**2).sum() for one in made.separate.values())
    assert (made.sharing.given_up, made.sharing.spare) == (2, 27)
    assert pytest.approx((joint - alone) / 2 / (alone / 27), rel=1e-6) == made.sharing.F
    assert made.excess == pytest.approx(joint / alone - 1, rel=1e-6)


def test_a_small_family_borrows_what_it_cannot_tell():
    runs = tables(CURVES, LINE, noise=0.002)
    few = runs.where((runs["dataset"] != "web") | (np.arange(len(runs)) % 12 < 2))
    made = fit(sf.PowerLaw, few, by="dataset", shared=("alpha", "E"))
    assert len(made["web"].table) == 2
    assert "web" not in made.separate
    assert "web has too few rows" in made.sharing.note
    assert made["web"].parameters["A"] > 0


def test_what_no_family_shows_is_said():
    frame = tables(CURVES, LINE).to_frame()
    narrow = frame[frame["params"].isin(sorted(set(frame["params"]))[:2])]
    narrow = pd.concat([narrow, narrow])
    made = fit(sf.PowerLaw, sf.LossTable.from_frame(narrow), by="dataset", shared="alpha")
    assert made.status is sf.Status.TOO_FEW_VALUES
    assert not made.ok
    assert repr(made).startswith("NOT OK")


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (sf.PowerLaw, {"by": "dataset"}, "a joint fit needs both"),
        (sf.PowerLaw, {"shared": "alpha"}, "a joint fit needs both"),
        (sf.PowerLaw, {"by": "dataset", "shared": ()}, "shared names no parameter"),
        (sf.PowerLaw, {"by": "dataset", "shared": "gamma"}, "no parameter 'gamma' to share; the law has E, A, alpha"),
        (sf.PowerLaw, {"by": "dataset", "shared": ("E", "A", "alpha")}, "leaves one law for all rows"),
        (sf.PowerLaw, {"by": "nope", "shared": "alpha"}, "nope"),
        (sf.PowerLaw, {"by": "kind", "shared": "alpha"}, "'kind' is 'x' in all 36 rows"),
        (sf.PowerLaw, {"by": "number", "shared": "alpha"}, "makes 36 families"),
        (sf.PowerLaw, {"by": "gaps", "shared": "alpha"}, r"no value \(12 such rows\)"),
        (sf.PowerLaw, {"by": "rare", "shared": "alpha"}, "'b' has 1 rows, but needs 2"),
        (sf.BrokenPowerLaw, {"by": "dataset", "shared": "alpha"}, "not a sum of powers"),
        (sf.LawRegressor(sf.PowerLaw, fixed={"E": 9.0}), {"by": "dataset", "shared": "alpha"}, "E is fixed at 9"),
    ],
)
def test_what_cannot_be_fitted_says_why(model, options, words):
    frame = tables(CURVES, LINE, noise=0.004).to_frame()
    frame["kind"], frame["number"], frame["rare"] = "x", range(len(frame)), ["b", *"a" * 35]
    frame["gaps"] = [None] * 12 + ["a"] * 12 + ["b"] * 12
    with pytest.raises(ValueError, match=words):
        fit(model, sf.LossTable.from_frame(frame), inputs="params", **options)


def test_types_are_checked():
    runs = tables(LAWS, PLANE, noise=0.004)
    with pytest.raises(TypeError, match="need a law with parameters"):
        fit(sf.AnovaKernelRidge(), runs, by="dataset", shared="alpha")
    with pytest.raises(TypeError, match="shared must be names"):
        fit(sf.Chinchilla, runs, by="dataset", shared=3)
    with pytest.raises(TypeError, match="by must be the name of one column"):
        fit(sf.Chinchilla, runs, by=("dataset",), shared="alpha")


# Joint refits.


def test_refits_are_the_joint_optima_of_their_tables():
    made = fit(sf.PowerLaw, tables(CURVES, LINE, noise=0.005, outliers=0.05), by="dataset", shared="alpha")
    boot = sf.bootstrap(made, resamples=30, seed=3)
    losses = [part.losses for part in boot.parts]
    joint = made.joint.joint(losses, [w[None] for w in made.joint.weights])
    heights = sum(part.refits.optima[0].objective for part in boot.parts)
    for b in range(0, 30, 5):
        assert heights[b] <= solve_joint(joint.take([b]))[0].objective[0] * (1 + CONTRACT)
        one = [boot[name][b] for name in made]
        assert len({each.parameters["alpha"] for each in one}) == 1
        assert sum(each.objective.rho(each.residuals).sum() for each in one) == pytest.approx(heights[b], rel=1e-6)


def test_the_jackknife_leaves_one_row_out_of_the_joint_fit():
    runs = tables(CURVES, LINE, noise=0.005)
    made = fit(sf.LawRegressor(sf.PowerLaw, objective=sf.Squared()), runs, by="dataset", shared="alpha")
    boot = sf.bootstrap(made, resamples=20)
    left = boot["pile"].jackknife("alpha")
    np.testing.assert_array_equal(boot["pile"].jackknife(lambda one: one.law.alpha), left)
    values = {
        float(row): fit(sf.LawRegressor(sf.PowerLaw, objective=sf.Squared()),
                        runs.where((runs["dataset"] != "pile") | (runs.params != row)), by="dataset",
                        shared="alpha").parameters["alpha"]
        for row in made["pile"].table.params[:3]
    }  # fmt: skip
    np.testing.assert_allclose(left[:3], list(values.values()), rtol=1e-6)  # rows are numbered by their inputs


def test_sharing_makes_the_interval_of_the_exponent_shorter():
    made = fit(sf.PowerLaw, tables(CURVES, LINE, noise=0.004), by="dataset", shared="alpha")
    boot = sf.bootstrap(made, resamples=300)
    low, high = boot.interval("alpha")
    alone = sf.bootstrap(made.separate["c4"], resamples=300).interval("alpha")
    assert low < 0.25 < high
    assert high - low < 0.8 * (alone.high - alone.low)
    assert boot.to_frame().iloc[:, :2].to_numpy().tolist()[:2] == [["shared", "alpha"], ["c4", "E"]]
    assert "joint refits of 3 families" in repr(boot)


def test_pairs_and_the_seed():
    made = fit(sf.PowerLaw, tables(CURVES, LINE, noise=0.004), by="dataset", shared="alpha")
    one, same, other = (sf.bootstrap(made, sf.Pairs(), resamples=40, seed=s).interval("alpha", 0.8)
                        for s in (1, 1, 2))  # fmt: skip
    assert tuple(one) == tuple(same) != tuple(other)


def test_refits_of_one_family_alone_are_refused():
    made = fit(sf.PowerLaw, tables(CURVES, LINE, noise=0.004), by="dataset", shared="alpha")
    with pytest.raises(ValueError, match=r"one family of a joint fit.*sf\.bootstrap\(families\)"):
        sf.bootstrap(made["c4"])
    with pytest.raises(TypeError, match="scheme must be"):
        sf.bootstrap(made, "wild")
    with pytest.raises(ValueError, match="resamples"):
        sf.bootstrap(made, resamples=1)
    with pytest.raises(ValueError, match="seed"):
        sf.bootstrap(made, seed=-1)
    with pytest.raises(ValueError, match="residuals='loo' or 'plain'"):
        sf.bootstrap(made, sf.Wild(residuals="leverage"))
    with pytest.raises(ValueError, match="the families share alpha, not 'E'"):
        sf.bootstrap(made, resamples=10).interval("E")
