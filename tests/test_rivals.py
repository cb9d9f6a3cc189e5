"""rivals and alternatives: other laws beside a fit."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.rivalry import SLOW, TwoPowers, TwoPowersOfParams, TwoPowersOfTokens, beside, rivals
from scalefit.standings import alternatives

LAW = sf.PowerLaw(E=2.0, A=2.0 * 1e6**0.3, alpha=0.3)
RUNS = sf.simulate(LAW, sf.grid(params=np.geomspace(1e6, 1e9, 20)), noise=0.005)
FIT = sf.fit(sf.PowerLaw, RUNS)
DESIGN = sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6))
PLANE = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, DESIGN, noise=0.005))
SLOW_NAMES = [f"slow power {b:g}" for b in SLOW]


def test_rivals_of_a_power_law():
    assert list(rivals(FIT)) == ["no offset", "exponential", "second power", *SLOW_NAMES]
    assert list(rivals(FIT, general=True))[-1] == "broken"


def test_rivals_of_a_surface():
    of_both = [f"slow power {b:g} of {name}" for name in ("params", "tokens") for b in SLOW]
    seconds = ["second power of params", "second power of tokens"]
    assert list(rivals(PLANE)) == ["no offset", "tied exponents", *seconds, *of_both]
    assert list(rivals(PLANE, general=True))[-1] == "Kaplan"
    kernel = sf.fit(sf.AnovaKernelRidge(), PLANE.table)
    assert list(rivals(kernel))[:2] == ["Chinchilla", "no offset"]


@pytest.mark.parametrize(
    ("own", "name"),
    [
        (sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), "no offset"), (sf.Exponential, "exponential"),
        (TwoPowers, "second power"), (sf.LawRegressor(TwoPowers, fixed={"E": 0.0, "beta": 0.05}), "slow power 0.05"),
    ],
)  # fmt: skip
def test_a_fit_is_no_rival_of_itself(own, name):
    found = rivals(sf.fit(own, RUNS))
    assert name not in found
    assert "power law" in found


@pytest.mark.parametrize("tied", [{"beta": "alpha"}, {"alpha": "beta"}])
def test_tied_exponents_are_one_law_whichever_leads(tied):
    found = rivals(sf.fit(sf.LawRegressor(sf.Chinchilla, tied=tied), PLANE.table))
    assert "tied exponents" not in found
    assert "Chinchilla" in found


def test_rivals_minimise_what_the_fit_does():
    objective = sf.Huber("mad_of_residuals", space="log")
    fit = sf.fit(sf.LawRegressor(sf.PowerLaw, objective=objective), RUNS)
    assert {model.objective for model in rivals(fit).values()} == {objective}
    assert {model.objective for model in rivals(PLANE).values()} == {sf.Huber(1e-3, space="log")}


def test_a_law_of_three_inputs_has_itself_without_offset_as_rival():
    design = sf.grid(params=[1e8, 1e9, 1e10], unique_tokens=[1e10, 1e11], epochs=[1, 4, 16])
    design["tokens"] = design.epochs * design.unique_tokens
    base = {name: value for name, value in sf.MUENNIGHOFF_2023.to_dict().items() if name not in ("R_N", "R_D")}
    fit = sf.fit(sf.LawRegressor(sf.DataConstrained, fixed=base), sf.simulate(sf.MUENNIGHOFF_2023, design))
    (name,), (model,) = zip(*rivals(fit).items(), strict=True)
    assert name == "no offset"
    assert model.fixed == {**base, "E": 0.0}


@pytest.mark.parametrize(
    ("truth", "design"),
    [
        (TwoPowers(E=1.0, A=200.0, B=20.0, alpha=0.6, beta=0.15), sf.grid(params=np.geomspace(1e5, 1e11, 60))),
        (
            TwoPowersOfParams(E=1.0, A=2e4, B=400.0, S=8.0, alpha=0.7, beta=0.3, sigma=0.12),
            sf.grid(params=np.geomspace(1e5, 1e12, 12), tokens=np.geomspace(1e8, 1e12, 6)),
        ),
        (
            TwoPowersOfTokens(E=1.0, A=400.0, B=2e5, S=8.0, alpha=0.3, beta=0.7, sigma=0.12),
            sf.grid(params=np.geomspace(1e6, 1e11, 6), tokens=np.geomspace(1e6, 1e13, 12)),
        ),
    ],
    ids=["one input", "params", "tokens"],
)
def test_the_laws_of_two_powers_are_recovered(truth, design):
    """From noiseless runs; of one column the two powers may change places."""
    fit = sf.fit(type(truth), sf.simulate(truth, design))
    far = [np.array([1e13, 1e14])] * len(fit.inputs)
    assert fit(*far) == pytest.approx(truth(*far), rel=1e-4)


def test_a_law_that_made_the_runs_is_close_and_one_that_cannot_have_is_not():
    found = {rival.name: rival for rival in beside(FIT)}
    assert found["second power"].close
    assert found["second power"].ratio <= 1 + 1e-9
    assert not found["no offset"].close
    assert not found["exponential"].close
    assert not any(rival.better for rival in found.values())
    assert found["exponential"].ratio > found["no offset"].ratio > 10


def test_closeness_is_where_it_is_said_to_be():
    """17 spare rows: a rival of as many parameters is close up to a ratio of 1 + 4/17."""
    found = beside(FIT, {f"{E:.3f}": sf.LawRegressor(sf.PowerLaw, fixed={"E": E}) for E in np.linspace(1.9, 2.1, 41)})
    spare = 17
    assert 0 < sum(rival.close for rival in found) < 41
    for rival in found:
        assert rival.close == (rival.ratio * spare / (spare + 1) <= 1 + 4 / spare)


def test_a_fit_of_the_wrong_law_is_told_that_others_are_better():
    wrong = sf.fit(sf.Exponential, RUNS)
    found = {rival.name: rival.better for rival in beside(wrong)}
    assert found["power law"]
    assert found["second power"]


def test_a_rival_that_cannot_be_fitted_or_has_no_spare_rows_is_not_close():
    few = sf.fit(sf.PowerLaw, RUNS.where(np.arange(20) < 5))
    found = {rival.name: rival for rival in beside(few)}
    assert not found["second power"].close
    fewer = {r.name: r for r in beside(sf.fit(sf.PowerLaw, RUNS.where(np.arange(20) < 4)))}["second power"]
    assert fewer.fit is None
    assert "5 free parameters" in fewer.failure
    assert not fewer.close
    assert not fewer.better


def test_alternatives_are_scored_inside_and_beyond():
    models = {"no offset": sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), "exponential": sf.Exponential}
    made = alternatives(FIT, models, cv=5)
    frame = made.to_frame().set_index("model")
    assert frame.index.tolist() == ["the fit", "no offset", "exponential"]
    assert frame["free"].tolist() == [3, 2, 3]
    for name in models:
        assert frame.loc[name, "inside"] > 5
        assert frame.loc[name, "beyond"] > 3 * frame.loc["the fit", "beyond"]
    assert frame.loc["no offset", "bias"] < 0 < frame.loc["exponential", "bias"]
    scores = sf.validate({"own": sf.PowerLaw, **models}, RUNS, cv=5).to_frame()
    assert frame["inside"].tolist() == pytest.approx(scores["ratio"].tolist(), rel=1e-9)
    assert made.beyond.over == "params"
    plain = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert plain["models"][1]["model"] == "no offset"
    assert repr(made).startswith("ok    no rival fits the runs better")


def test_alternatives_say_what_fits_better_and_what_cannot_be_fitted():
    few = sf.fit(sf.Exponential, RUNS.where(np.arange(20) % 2 == 0))
    shown = repr(alternatives(few, {"power law": sf.PowerLaw}, cv=3))
    assert shown.startswith("DOUBT the runs are fitted better by power law")
    tiny = sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 2.0}), RUNS.where(np.arange(20) % 5 == 0))
    made = alternatives(tiny, {"two": TwoPowers}, cv=[(np.arange(3), np.arange(3, 4))])
    assert "two cannot be fitted: TwoPowers has 5 free parameters" in repr(made)
    assert np.isnan(made.to_frame()["beyond"][1])


def test_what_has_no_score_beyond_is_said_once():
    few = sf.fit(sf.PowerLaw, RUNS.where(np.arange(20) % 5 == 0))
    made = alternatives(few, {"exponential": sf.Exponential}, cv=2)
    assert np.isnan(made.to_frame()["beyond"]).all()
    (note,) = [line for line in repr(made).splitlines() if "no score beyond" in line]
    assert note.startswith("note  the fit, exponential: no score beyond")
    assert "but there are 2 rows" in note
    assert "and 1 rival, of which" in repr(made)


def test_a_family_of_a_joint_fit_has_no_alternatives():
    frame = pd.concat([RUNS.to_frame().assign(data=name) for name in "ab"])
    families = sf.fit(sf.PowerLaw, sf.LossTable.from_frame(frame), by="data", shared="alpha")
    with pytest.raises(ValueError, match="one family of a joint fit"):
        alternatives(families["a"])


def test_a_surface_is_rolled_out_over_flops():
    assert (
        alternatives(PLANE, {"tied": sf.LawRegressor(sf.Chinchilla, tied={"beta": "alpha"})}, cv=2).beyond.over
        == "flops"
    )


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match=r"rivals needs what sf\.fit gave, not LossTable"):
        rivals(RUNS)
    with pytest.raises(TypeError, match=r"alternatives needs what sf\.fit gave"):
        alternatives(sf.PowerLaw)
    with pytest.raises(TypeError, match="must be a mapping of names to models"):
        beside(FIT, [sf.PowerLaw])
    with pytest.raises(TypeError, match="named by texts, not by 1"):
        beside(FIT, {1: sf.PowerLaw})
    with pytest.raises(TypeError, match="has its numbers already"):
        beside(FIT, {"law": LAW})
    with pytest.raises(ValueError, match="cannot be called 'the fit'"):
        alternatives(FIT, {"the fit": sf.PowerLaw})


def test_sizes_whose_runs_err_on_their_own_count_by_rows():
    design = sf.grid(params=np.geomspace(1e8, 6e9, 6), tokens=np.geomspace(2e9, 2e11, 5))
    rng = np.random.default_rng(0)
    own = sf.fit(sf.Chinchilla, sf.simulate(sf.HOFFMANN_2022, design, noise=0.003))
    truth = sf.HOFFMANN_2022(design["params"].to_numpy(), design["tokens"].to_numpy())
    common = dict(zip(np.unique(design["params"]), rng.normal(0, 0.01, 6), strict=True))
    errors = design["params"].map(common).to_numpy() + rng.normal(0, 0.001, len(design))
    together = sf.fit(sf.Chinchilla, sf.LossTable.from_frame(design.assign(loss=truth * np.exp(errors))))
    assert sf.bootstrap(own, resamples=2).scheme.by == sf.bootstrap(together, resamples=2).scheme.by == "params"
    (plain,), (clustered,) = (beside(fit, {"no offset": sf.rivals(fit)["no offset"]}) for fit in (own, together))
    assert plain.ratio > 2  # beyond what chance does to 30 rows, not to 6 sizes
    assert not plain.close
    assert clustered.ratio > 1.2
    assert clustered.close
