"""Approaches 1 and 2: parabolas at each budget, and the envelope, against published and recomputed numbers."""

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.exponents import regressions
from scalefit.flops import params_for, six_nd, tokens_for, transformer
from scalefit.frontier import Frontier
from scalefit.isoflops import envelope, isoflop
from scalefit.valleys import valley

BUDGETS = np.logspace(17, 21, 5)
CHINCHILLA = sf.Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
ASYMMETRIC = sf.Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.465, beta=0.155)
SYMMETRIC = sf.Chinchilla(E=1.69, A=400.0, B=400.0, alpha=0.31, beta=0.31)


def best_tokens(law, flops):
    """D* of the closed form of Hoffmann et al. 2022, Eq. 4."""
    total = law.alpha + law.beta
    return (law.beta * law.B / (law.alpha * law.A)) ** (1 / total) * (flops / 6) ** (law.alpha / total)


def around(law, spread, centre=1.0, budgets=BUDGETS):
    """15 runs per budget, log-uniform in tokens up to a factor `spread` from `centre` times the best."""
    tokens = (centre * best_tokens(law, budgets))[:, None] * np.geomspace(1 / spread, spread, 15)
    flops = np.repeat(budgets, 15)
    return table_of(params_for(flops, tokens.ravel()), tokens.ravel(), flops, law)


def table_of(params, tokens, flops, law):
    frame = pd.DataFrame({"params": params, "tokens": tokens, "flops": flops, "loss": law(params, tokens)})
    return sf.LossTable.from_frame(frame)


def parabolas(centre=1e9, budgets=(1e18, 1e19, 1e20), factors=(0.25, 0.5, 1.0, 2.0, 4.0), curvature=0.1):
    """Losses that are parabolas in log params, lowest at `centre`, and rise above 2.5 by half the curvature."""
    params, flops = np.tile(centre * np.array(factors), len(budgets)), np.repeat(budgets, len(factors))
    loss = 2.5 + curvature / 2 * np.log(params / 1e9) ** 2 + 0.1 * np.log10(1e20 / flops)
    return sf.LossTable.from_frame(
        pd.DataFrame({"params": params, "tokens": tokens_for(flops, params), "flops": flops, "loss": loss})
    )


# The error of tokens at 1e24 FLOPs, in per cent, of noise-free runs around the optima of 1e17 to 1e21 FLOPs within
# factors 2, 4, 8 and 16, recomputed by an independent script to the digits shown.
BIAS = {
    "Chinchilla": (CHINCHILLA, 1.0, (-0.327, -1.301, -2.903, -5.100)),
    "asymmetric": (ASYMMETRIC, 1.0, (-1.675, -6.498, -13.910, -23.116)),
    "symmetric": (SYMMETRIC, 1.0, (0.0, 0.0, 0.0, 0.0)),
    "centre off by 3": (CHINCHILLA, 3.0, (7.110, 5.691, 3.376, 0.238)),
    "centre drifts to 3": (CHINCHILLA, np.geomspace(1, 3, 5), (11.614, 9.832, 6.939, 3.048)),
}
CASES = [
    pytest.param(law, centre, spread, error, id=f"{name}, factor {spread}")
    for name, (law, centre, errors) in BIAS.items()
    for spread, error in zip((2, 4, 8, 16), errors, strict=True)
]


@pytest.mark.parametrize(("law", "centre", "spread", "error"), CASES)
def test_the_bias_of_parabolas_is_the_recomputed_one(law, centre, spread, error):
    table = around(law, spread, centre)
    found = [valley(np.log(part.params), part.loss) for part in table.curves(along="params", at="flops")]
    slope, start = np.polyfit(np.log(BUDGETS), np.log(BUDGETS / 6) - [one.minimum for one in found], 1)
    true = best_tokens(law, 1e24)
    assert 100 * (math.exp(start + slope * math.log(1e24)) / true - 1) == pytest.approx(error, abs=5e-4)

    frontier = isoflop(table, within=math.inf)
    off = np.abs(np.log(np.broadcast_to(centre, 5)))  # of the centre from the optimum
    assert frontier.at_edge.tolist() == (off > math.log(spread)).tolist()
    if frontier.ok:
        assert 100 * (frontier.exponents().tokens(1e24) / true - 1) == pytest.approx(error, abs=5e-4)


def test_the_bias_of_parabolas_leaves_the_exponent_and_moves_the_intercept():
    assert best_tokens(CHINCHILLA, 1e24) == pytest.approx(4.0358e12, rel=1.5e-5)
    assert best_tokens(ASYMMETRIC, 1e24) == pytest.approx(4.5103e16, rel=1.5e-5)
    exponents = isoflop(around(CHINCHILLA, 16), within=math.inf).exponents()
    assert exponents.b == pytest.approx(0.548387, abs=5e-7)
    assert exponents.log_tokens / math.log(10) == pytest.approx(-0.578092, abs=5e-7)
    true = math.log10(best_tokens(CHINCHILLA, 1e24)) - 24 * 0.34 / 0.62
    assert true == pytest.approx(-0.555357, abs=5e-7)
    symmetric = isoflop(around(SYMMETRIC, 16), within=math.inf).exponents()
    assert symmetric.log_tokens / math.log(10) == pytest.approx(-0.389076, abs=5e-7)


def test_parabolas_in_log_tokens_and_in_log_params_are_one():
    for part in around(CHINCHILLA, 8, 2.0).curves(along="params", at="flops"):
        in_params, in_tokens = (valley(np.log(part[name]), part.loss) for name in ("params", "tokens"))
        assert in_params.minimum + in_tokens.minimum == pytest.approx(np.log(part.flops[0] / 6), rel=1e-12)


# Porian et al. 2024, arXiv:2406.19146: twelve optima of one experiment with the deviations of their logarithms.
FLOPS = 1e17 * 2.0 ** np.arange(-3, 9)
PARAMS = [
    12.53556, 16.1486, 26.05061, 31.26444, 43.65915, 66.62109, 92.52843, 128.023, 171.2781, 291.9482, 373.5429, 534.7036
]  # fmt: skip
SD = [0.114091, 0.115941, 0.112071, 0.113204, 0.115116, 0.111946, 0.111145, 0.117554, 0.114195, 0.112094, 0.117267,
      0.119762]  # fmt: skip


def published_optima(flops, params, sd):
    return Frontier(
        flops=flops, params=params, tokens=tokens_for(flops, params), loss=3 + 1e3 * flops**-0.2,
        at_edge=np.zeros(len(flops), dtype=bool), source="published", sd=sd,
    )  # fmt: skip


def test_exponents_of_twelve_published_optima_with_and_without_weights():
    params = 1e6 * np.array(PARAMS)
    frontier = published_optima(FLOPS, params, np.array(SD))
    weighted, plain = frontier.exponents(), replace(frontier, sd=None).exponents()
    assert weighted.a == pytest.approx(0.496895, abs=5e-7)
    assert math.exp(weighted.log_params) == pytest.approx(0.118926, abs=5e-7)
    assert plain.a == pytest.approx(0.497029, abs=5e-7)

    # NumPy's weights multiply the residuals, not their squares
    assert weighted.a == pytest.approx(np.polyfit(np.log(FLOPS), np.log(params), 1, w=1 / np.array(SD))[0], rel=1e-10)
    assert plain.a == pytest.approx(np.polyfit(np.log(FLOPS), np.log(params), 1)[0], rel=1e-10)


@pytest.fixture(scope="module")
def porian():
    """Runs of fifteen experiments, and the published exponents of params, where SCALEFIT_DATA has them."""
    folder = Path(os.environ.get("SCALEFIT_DATA", "nowhere")) / "tidy"
    if not (folder / "porian.csv").is_file():
        pytest.skip("the data of Porian et al. are not at hand: set SCALEFIT_DATA")
    runs = pd.read_csv(folder / "porian.csv")[["family", "n_params", "tokens", "flops", "loss"]]
    published = pd.read_csv(folder / "porian_reference_fits.csv").set_index("family")
    tables = {name: sf.LossTable.from_frame(rows) for name, rows in runs.groupby("family")}
    assert len(tables) == 15
    assert set(tables) == set(published.index)
    return tables, published


def test_published_optima_give_the_published_exponents(porian):
    tables, published = porian
    optima = pd.read_csv(Path(os.environ["SCALEFIT_DATA"]) / "tidy" / "porian_optima.csv")
    for name in tables:
        flops, params, sd = optima.loc[optima["family"] == name, ["flops", "n_opt", "n_log_std"]].to_numpy().T
        row = published_optima(flops, params, sd).optima
        for column, weights in (("weighted_n_exponent", 1 / sd**2), ("basic_n_exponent", None)):
            found = regressions(flops, row, np.full(len(flops), True), weights)
            assert found["a"][0] == pytest.approx(published[column][name], abs=1e-9)


def furthest(porian, column="weighted_n_exponent", **options):
    """Largest difference of a from the published one; as by `exponents`, without its law of the loss."""
    tables, published = porian
    off = {}
    for name, table in tables.items():
        best = isoflop(table, **options)
        weights = None if best.sd is None else 1 / best.sd**2
        found = regressions(best.flops, best.optima, np.full(len(best), True), weights)
        off[name] = abs(found["a"][0] - published[column][name])
    return max(off.values())


def test_fifteen_published_exponents(porian):
    # published with weights (bootstrapped optima) and without; both are met by the plain parabola, unweighted
    assert furthest(porian) == pytest.approx(0.029, abs=5e-4)
    assert furthest(porian, "basic_n_exponent") == pytest.approx(0.025, abs=5e-4)


@pytest.mark.parametrize(
    ("options", "worst"),
    [
        ({"within": 3}, 0.030),
        ({"within": 4}, 0.030),
        ({"within": 6}, 0.029),
        ({"within": 8}, 0.033),
        ({"within": math.inf}, 0.073),
        ({"deviations": True}, 0.039),
    ],
)
def test_what_the_docstring_says_of_other_choices(porian, options, worst):
    assert furthest(porian, **options) == pytest.approx(worst, abs=5e-4)


# Recovery and accounting.


@pytest.mark.parametrize("degree", [2, 3])
def test_parabolas_are_found_exactly(degree):
    best = isoflop(parabolas(centre=1.3e9), degree=degree)
    assert best.ok
    assert best.notes == ()
    assert best.params == pytest.approx([1e9] * 3, rel=1e-9)
    assert best.tokens == pytest.approx(best.flops / 6e9, rel=1e-9)
    assert best.loss == pytest.approx([2.7, 2.6, 2.5], rel=1e-12)


def test_a_cubic_is_found_exactly_and_a_parabola_misses_it():
    x = np.linspace(-1.5, 1.5, 7)
    loss = 2.5 + 0.1 * x**2 + 0.02 * x**3
    frame = pd.DataFrame({"params": 1e9 * np.exp(x), "flops": 1e20, "loss": loss})
    table = sf.LossTable.from_frame(frame)
    assert isoflop(table, degree=3).params == pytest.approx([1e9], rel=1e-9)
    assert abs(math.log(isoflop(table).params[0] / 1e9)) > 0.05


def test_the_minimum_of_a_cubic_is_told_from_its_maximum():
    x = np.linspace(-2, 2, 9)
    found = valley(x, 3 + x**3 / 3 - x, degree=3)
    assert (found.minimum, found.loss) == pytest.approx((1.0, 3 - 2 / 3), rel=1e-9)
    assert found.curvature == pytest.approx(2.0, rel=1e-9)
    mirrored = valley(-x, 3 + x**3 / 3 - x, degree=3)
    assert mirrored.minimum == pytest.approx(-1.0, rel=1e-9)


def test_tokens_keep_to_the_accounting_of_the_runs():
    cost = transformer(vocabulary=50257, context=2048)
    params = np.tile(np.geomspace(3e7, 3e9, 15), 2)
    flops = np.repeat([3e18, 3e19], 15)
    tokens = flops / cost(params, 1.0)
    best = isoflop(table_of(params, tokens, flops, CHINCHILLA))
    assert best.ok
    assert cost(best.params, best.tokens) == pytest.approx(best.flops, rel=1e-3)  # interpolated between sizes
    assert np.all(six_nd(best.params, best.tokens) < 0.97 * best.flops)


def test_without_tokens_they_are_6nd_and_a_note_says_so():
    table = sf.LossTable.from_frame(parabolas().to_frame().drop(columns="tokens"))
    for best in (isoflop(table), envelope(table)):
        assert six_nd(best.params, best.tokens) == pytest.approx(best.flops, rel=1e-12)
        assert best.notes[0] == "tokens are C / (6N): the table has none"


# Budgets.


def test_runs_go_to_the_nearest_nominal_budget():
    frame = parabolas(budgets=(0.97e18, 1.02e18, 1e19)).to_frame()
    best = isoflop(sf.LossTable.from_frame(frame), budgets=[1e19, 1e18], rtol=0.05)
    assert best.flops.tolist() == [1e18, 1e19]
    assert best.params == pytest.approx([1e9, 1e9], rel=1e-9)
    assert best.tokens[0] == pytest.approx(1e18 / 6e9, rel=1e-9)
    narrow = isoflop(sf.LossTable.from_frame(frame), budgets=[1e18], rtol=0.025)
    assert narrow.notes == ("10 of 15 runs left out: at none of the budgets",)


def test_budgets_are_found_and_scattered_runs_are_counted():
    frame = parabolas().to_frame()
    stray = frame.iloc[:3].assign(flops=[3e18, 4e18, 5e18])
    best = isoflop(sf.LossTable.from_frame(pd.concat([frame, stray])))
    assert best.flops.tolist() == [1e18, 1e19, 1e20]
    assert best.notes == ("3 of 18 runs left out: fewer than 4 share their flops",)


def test_runs_far_from_the_best_do_not_count():
    frame = parabolas(factors=(0.25, 0.5, 1.0, 2.0, 4.0, 100.0)).to_frame()
    frame.loc[frame["params"] == 1e11, "loss"] = 9.0
    table = sf.LossTable.from_frame(frame)
    assert isoflop(table).params == pytest.approx([1e9] * 3, rel=1e-9)
    assert np.all(isoflop(table, within=200).params < 0.95e9)


# What is no optimum.


@pytest.mark.parametrize(("centre", "end"), [(1e10, 2.5e9), (1e8, 4e8)])
def test_a_minimum_beyond_the_runs_is_at_an_edge(centre, end):
    best = isoflop(parabolas(centre=centre))
    assert best.at_edge.all()
    assert best.params == pytest.approx([end] * 3, rel=1e-12)
    assert best.loss == pytest.approx([*(2.5 + 0.05 * math.log(end / 1e9) ** 2 + np.array([0.2, 0.1, 0.0]))])
    assert best.notes[0] == "budget 1e+18: the parabola is lowest at 1e+09 params, beyond the runs"
    with pytest.raises(ValueError, match="0 of 3"):
        best.exponents()


@pytest.mark.parametrize(("factors", "which"), [((1.05, 2, 3, 4), "smallest"), ((0.25, 0.5, 0.95), "largest")])
def test_a_minimum_that_no_run_brackets_is_at_an_edge(factors, which):
    frame = parabolas(factors=factors).to_frame()
    lowest = frame["params"].isin([1.05e9, 0.95e9])
    frame.loc[lowest, "loss"] += 0.02  # still the lowest loss, yet the parabola turns within the runs
    best = isoflop(sf.LossTable.from_frame(frame), min_rows=3)
    assert best.at_edge.all()
    assert best.notes[0] == f"budget 1e+18: the lowest loss is that of the {which} run"
    assert np.all((best.params > frame["params"].min()) & (best.params < frame["params"].max()))


@pytest.mark.parametrize(("degree", "shape"), [(2, "parabola"), (3, "cubic")])
def test_a_concave_budget_has_no_optimum_and_the_others_do(degree, shape):
    frame = parabolas().to_frame()
    worst = frame["flops"] == 1e19
    frame.loc[worst, "loss"] = 8 - frame.loc[worst, "loss"]
    best = isoflop(sf.LossTable.from_frame(frame), degree=degree)
    assert np.isnan(best.params).tolist() == [False, True, False]
    assert np.isnan(best.tokens).tolist() == np.isnan(best.loss).tolist() == [False, True, False]
    assert not best.at_edge.any()
    assert best.notes == (f"budget 1e+19: the {shape} has no minimum (curvature -0.1)",)
    assert best.exponents().budgets == 2


def test_too_few_runs_at_a_budget():
    frame = parabolas().to_frame()
    few = frame[(frame["flops"] > 1e18) | (frame["params"] <= 1e9)]
    best = isoflop(sf.LossTable.from_frame(few), budgets=[1e18, 1e19])
    assert np.isnan(best.params[0])
    assert best.notes[1] == "budget 1e+18: 3 runs of 3 size(s); a parabola takes 4 of 3 sizes"
    assert isoflop(sf.LossTable.from_frame(few), budgets=[1e18], min_rows=3).params == pytest.approx([1e9], rel=1e-9)


def test_seeds_of_two_sizes_make_no_parabola():
    frame = pd.concat([parabolas(factors=(0.5, 1.0)).to_frame()] * 3)
    with pytest.raises(ValueError, match=r"6 runs of 2 size\(s\).*3 sizes"):
        isoflop(sf.LossTable.from_frame(frame))


def test_the_next_nearest_runs_count_where_few_are_near():
    best = isoflop(parabolas(factors=(0.01, 0.1, 1.1, 10.0, 300.0)))
    assert best.ok
    assert best.params == pytest.approx([1e9] * 3, rel=1e-9)


def test_seeds_at_each_size_are_rows_like_others():
    frame = parabolas().to_frame()
    seeds = pd.concat([frame.assign(loss=frame["loss"] + shift) for shift in (-0.01, 0.0, 0.01)])
    best = isoflop(sf.LossTable.from_frame(seeds))
    assert best.params == pytest.approx([1e9] * 3, rel=1e-9)
    assert best.loss == pytest.approx([2.7, 2.6, 2.5], rel=1e-12)


@pytest.mark.parametrize("degree", [2, 3])
def test_a_line_has_no_minimum(degree):
    x = np.linspace(0, 3, 8)
    for slope in (1.0, -1.0, 1e-3):
        assert math.isnan(valley(x, 3 + slope * x, degree=degree).minimum)
    almost = valley(x, 3 + x + 0.05 * x**2, degree=degree)  # lowest at -10
    assert (almost.minimum, almost.lower_end, almost.loss_at_end) == pytest.approx((-10, 0, 3), abs=1e-6)


def test_of_equal_lowest_losses_one_may_be_the_smallest_run():
    frame = parabolas(factors=(0.9, 1 / 0.9, 2.0, 4.0)).to_frame().round({"loss": 3})
    best = isoflop(sf.LossTable.from_frame(frame))
    assert best.ok
    assert best.params == pytest.approx([1e9] * 3, rel=0.02)
    assert isoflop(sf.LossTable.from_frame(frame.iloc[::-1])).ok


def test_constant_losses_have_no_minimum():
    frame = parabolas().to_frame().assign(loss=3.1)
    with pytest.raises(ValueError, match=r"no budget of 3 has an optimum.*budget 1e\+18: the parabola has no minimum"):
        isoflop(sf.LossTable.from_frame(frame))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degree": 4}, "degree is 2"),
        ({"rtol": -0.1}, "rtol is a share"),
        ({"rtol": math.nan}, "rtol is a share"),
        ({"within": 1.0}, "within is a factor"),
        ({"within": math.nan}, "within is a factor"),
        ({"min_rows": 2}, "min_rows is at least 3"),
        ({"degree": 3, "min_rows": 3}, "min_rows is at least 4"),
        ({"budgets": []}, "budgets is a sequence"),
        ({"budgets": 1e18}, "budgets is a sequence"),
        ({"budgets": [1e18, 0.0]}, "budget must be positive and finite, but is 0.0"),
        ({"budgets": [1e18, math.inf]}, "budget must be positive and finite, but is inf"),
        ({"budgets": [1e18, math.nan]}, "budget must be positive and finite, but is nan"),
        ({"budgets": [1e18, 2e18, 7e20]}, r"no run is within 0.05 of the budget 2e\+18 \(2 such budgets\)"),
        ({"weights": "loss_weight"}, "no column 'loss_weight'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        isoflop(parabolas(), **options)


@pytest.mark.parametrize("verb", [isoflop, envelope])
@pytest.mark.parametrize("absent", ["params", "flops"])
def test_columns_that_are_needed(verb, absent):
    table = sf.LossTable.from_frame(parabolas().to_frame().drop(columns=absent))
    with pytest.raises(ValueError, match=f"no column '{absent}'"):
        verb(table)


def test_a_table_without_isoflop_curves():
    table = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 3e8, 1e9], tokens=[1e9, 1e10, 1.7e11]))
    with pytest.raises(ValueError, match=r"no budget has 4 runs: of \d groups .* has 2\. .*compute_optimal"):
        isoflop(table)


# Weights, deviations, order.


def noisy(seed=0, **options):
    table = parabolas(factors=np.geomspace(0.25, 4, 9), **options)
    noise = 0.01 * np.random.default_rng(seed).standard_normal(len(table))
    return sf.LossTable.from_frame(table.to_frame().assign(loss=table.loss + noise))


def same(one, other, rel=1e-9):
    for name in ("flops", "params", "tokens", "loss", "at_edge", "sd"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None)
        assert first is None or first == pytest.approx(second, rel=rel)


def test_a_weight_is_a_frequency():
    frame = noisy().to_frame()
    frame["copies"] = np.random.default_rng(1).integers(0, 4, len(frame))
    repeated = frame.loc[frame.index.repeat(frame["copies"])]
    weighted = isoflop(sf.LossTable.from_frame(frame), weights="copies", deviations=True)
    same(weighted, isoflop(sf.LossTable.from_frame(repeated), deviations=True))
    assert abs(weighted.params[0] / isoflop(noisy()).params[0] - 1) > 1e-3


def test_row_order_does_not_matter():
    frame = noisy().to_frame().round({"loss": 2})
    frame.loc[3, "flops"] *= 1.03
    assert frame.duplicated(["flops", "loss"]).any()
    shuffled = frame.sample(frac=1, random_state=0)
    for verb in (lambda table: isoflop(table, deviations=True), envelope, lambda table: envelope(table, points=7)):
        same(verb(sf.LossTable.from_frame(frame)), verb(sf.LossTable.from_frame(shuffled)))


def test_units_of_params_do_not_matter():
    table = noisy()
    frame = table.to_frame().assign(params=table.params * 1000, tokens=table.tokens / 1000)
    one, other = isoflop(table, deviations=True), isoflop(sf.LossTable.from_frame(frame), deviations=True)
    assert other.params == pytest.approx(1000 * one.params, rel=1e-9)
    assert other.sd == pytest.approx(one.sd, rel=1e-9)


@pytest.mark.parametrize("degree", [2, 3])
def test_deviations_are_those_of_repeated_noise(degree):
    made = [isoflop(noisy(seed), degree=degree, deviations=True) for seed in range(200)]
    logs = np.log([one.params for one in made])
    scatter = logs.std(axis=0, ddof=1)
    typical = np.sqrt(np.mean([one.sd**2 for one in made], axis=0))
    assert np.isfinite(typical).all()
    # a deviation of 200 draws is known to 1/sqrt(400); three of them are compared
    assert typical == pytest.approx(scatter, rel=3 / np.sqrt(400))
    assert scatter.max() < 0.2


def test_deviations_are_those_of_polyfit():
    table = noisy()
    found = isoflop(table, within=math.inf, deviations=True)
    squares = 0.0
    units = []
    for part in table.curves(along="params", at="flops"):
        x = np.log(part.params / 1e9)
        fitted, covariance = np.polyfit(x, part.loss, 2, cov="unscaled")
        squares += np.sum((part.loss - np.polyval(fitted, x)) ** 2)
        gradient = np.array([fitted[1] / (2 * fitted[0] ** 2), -1 / (2 * fitted[0]), 0])
        units.append(gradient @ covariance @ gradient)
    assert found.sd == pytest.approx(np.sqrt(squares / (27 - 9) * np.array(units)), rel=1e-8)


def test_deviations_need_runs_to_spare():
    best = isoflop(parabolas(factors=(0.5, 1.0, 2.0)), min_rows=3, deviations=True)
    assert best.sd is None
    assert best.notes == ("no deviations: the runs lie on the polynomials, or none is to spare",)
    assert isoflop(noisy()).sd is None


def test_deviations_are_for_bracketed_optima_alone():
    frame = noisy().to_frame()
    beyond = (frame["flops"] == 1e18) & (frame["params"] > 0.9e9)
    best = isoflop(sf.LossTable.from_frame(frame[~beyond]), deviations=True)
    assert best.at_edge.tolist() == [True, False, False]
    assert np.isnan(best.sd).tolist() == [True, False, False]
    assert np.isfinite(best.exponents().a)


# The envelope.


def scattered(seed=0, n=60):
    rng = np.random.default_rng(seed)
    params, tokens = 10 ** rng.uniform(7.5, 10, n), 10 ** rng.uniform(9, 11.5, n)
    table = table_of(params, tokens, six_nd(params, tokens), CHINCHILLA)
    return sf.LossTable.from_frame(table.to_frame().assign(loss=table.loss.round(2)))


@pytest.mark.parametrize("seed", range(5))
def test_no_run_of_at_most_the_same_budget_beats_one_on_the_envelope(seed):
    table, best = scattered(seed), envelope(scattered(seed))
    on = [
        row for row in range(len(table))
        if not any(table.flops[other] <= table.flops[row] and table.loss[other] <= table.loss[row]
                   for other in range(len(table)) if other != row)
    ]  # fmt: skip
    on.sort(key=lambda row: table.flops[row])
    assert len(on) > 5
    for name in ("flops", "params", "tokens", "loss"):
        assert getattr(best, name).tolist() == table[name][on].tolist()
    assert np.all(np.diff(best.flops) > 0)
    assert np.all(np.diff(best.loss) < 0)
    assert best.source == f"envelope of the final losses of 60 runs, {len(on)} of them on it"


def test_equal_runs_are_on_the_envelope_once():
    frame = pd.DataFrame({"params": [2e8, 1e8, 4e8], "flops": 1e18, "loss": [3.0, 3.0, 3.1]})
    best = envelope(sf.LossTable.from_frame(frame))
    assert best.params.tolist() == [1e8]


def test_a_size_is_bracketed_by_smaller_and_larger_models_that_lost_at_a_comparable_budget():
    frame = pd.DataFrame(
        {"params": [1e8, 2e8, 4e8, 8e8], "flops": [1e18, 1.5e18, 2.9e18, 9e18], "loss": [3.2, 3.0, 3.1, 2.8]}
    )

    def edges(**changes):
        return envelope(sf.LossTable.from_frame(frame.assign(**changes))).at_edge.tolist()

    assert edges() == [True, False, True]  # the smallest, the one in between, the largest
    assert edges(flops=[1e18, 1.5e18, 3.1e18, 9e18]) == [True, True, True]  # the larger one cost over twice as much
    assert edges(params=[1e8, 2e8, 2e8, 8e8]) == [True, True, True]  # it was not larger
    assert edges(loss=[3.2, 3.0, 2.9, 2.8]) == [True, True, True, True]  # it did not lose


def test_points_are_budgets_with_the_best_run_that_each_pays_for():
    table = scattered()
    best, spaced = envelope(table), envelope(table, points=9)
    assert len(spaced) == 9
    assert spaced.flops[[0, -1]] == pytest.approx(best.flops[[0, -1]], rel=1e-12)
    assert np.diff(np.log(spaced.flops)) == pytest.approx([np.log(best.flops[-1] / best.flops[0]) / 8] * 8)
    for place, budget in enumerate(spaced.flops):
        affordable = best.flops <= budget * (1 + 1e-9)
        assert spaced.loss[place] == best.loss[affordable].min()
        row = np.flatnonzero(best.loss == spaced.loss[place])[0]
        assert (spaced.params[place], spaced.tokens[place]) == (best.params[row], best.tokens[row])
        assert spaced.at_edge[place] == best.at_edge[row]
    with pytest.raises(ValueError, match="points is a number of budgets, at least 2, not 1"):
        envelope(table, points=1)


def test_constant_losses_have_an_envelope_of_one_run():
    best = envelope(sf.LossTable.from_frame(parabolas().to_frame().assign(loss=3.1)))
    assert (len(best), best.flops[0]) == (1, 1e18)


def test_the_three_approaches_agree_on_a_law():
    budgets = np.geomspace(1e18, 1e21, 13)
    table = around(CHINCHILLA, 6, budgets=budgets)
    fitted = sf.fit(sf.Chinchilla, table).law
    closed = fitted.beta / (fitted.alpha + fitted.beta)
    assert isoflop(table, within=math.inf).exponents().a == pytest.approx(closed, abs=1e-5)
    # on the envelope sizes are those of the grid, a factor 1.29 apart
    assert envelope(table).exponents().a == pytest.approx(closed, abs=0.02)


def test_published_exponents_of_the_chinchilla_runs(chinchilla):
    # Hoffmann et al. 2022, table 2: a = 0.50 (0.488, 0.502) by approach 1, 0.49 (0.462, 0.534) by approach 2
    budgets = [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]
    best = isoflop(chinchilla.where("kept"), budgets=budgets, rtol=0.25)
    assert best.ok
    assert 0.462 < best.exponents().a < 0.534
    assert envelope(chinchilla.where("kept")).exponents().a == pytest.approx(0.50, abs=0.01)
