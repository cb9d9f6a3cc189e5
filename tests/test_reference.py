"""Published and recomputed numbers that a correct fitter must return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import scalefit as sf
from scalefit.objective import residuals

# Optima of the Chinchilla data, recomputed by an independent script to the digits shown: rows, objective, value, A, B,
# E, alpha, beta. "kept" are the 240 rows of Besiroglu et al. 2024, arXiv:2404.10102.
OPTIMA = [
    ("kept", sf.Huber(1e-3, "log"), 0.0010182740178, 477.826, 2143.42, 1.817218, 0.347310, 0.367172),
    ("kept", sf.Absolute("log"), 1.12949465, 482.0061, 2085.436, 1.8168641, 0.3478131, 0.3658542),
    ("kept", sf.Huber(1e-4, "log"), 1.11778748e-4, 478.689, 2065.41, 1.815824, 0.347409, 0.365385),
    ("kept", sf.Squared("log"), 0.00573094350, 593.322, 4875.64, 1.864550, 0.360253, 0.405883),
    ("all", sf.Huber(1e-3, "log"), 0.00182601052, 495.726, 12845.6, 1.891339, 0.349313, 0.453049),
    ("small", sf.Huber(1e-3, "log"), 8.14072668e-4, 342.812, 3820.07, 1.820537, 0.327128, 0.396086),
]


def subset(table: sf.LossTable, rows: str) -> sf.LossTable:
    return {
        "all": lambda: table,
        "kept": lambda: table.where("kept"),
        "small": lambda: table.where("kept", "flops < 1e21"),
    }[rows]()


@pytest.mark.parametrize(("rows", "objective", "value", "A", "B", "E", "alpha", "beta"), OPTIMA)
def test_chinchilla_data_give_the_recomputed_optimum(chinchilla, rows, objective, value, A, B, E, alpha, beta):
    fit = sf.fit(sf.LawRegressor(sf.Chinchilla, objective=objective), subset(chinchilla, rows))
    assert fit.ok
    # printed digits: half a unit in the last of them (the absolute error is solved to 1e-6, and met to more)
    digits = {"0.0010182740178": 5e-14, "1.12949465": 5e-9}
    tolerance = digits.get(repr(value), 0.5 * 10 ** -(8 - np.floor(np.log10(value))))
    assert abs(fit.objective_value - value) <= tolerance
    assert (fit.law.E, fit.law.alpha, fit.law.beta) == pytest.approx((E, alpha, beta), rel=1e-4)
    assert pytest.approx((A, B), rel=1e-3) == (fit.law.A, fit.law.B)


@pytest.mark.parametrize(
    ("flops", "n", "exponent"), [(6e18, 218, 0.4971), (1e19, 192, 0.4121), (3e19, 158, 0.3863), (1e20, 104, 0.3755)]
)
def test_windows_of_the_chinchilla_data_move_the_allocation_exponent(chinchilla, flops, n, exponent):
    law = sf.fit(sf.Chinchilla, chinchilla.where("kept", f"flops >= {flops}")).law
    assert len(chinchilla.where("kept", f"flops >= {flops}")) == n
    assert law.beta / (law.alpha + law.beta) == pytest.approx(exponent, abs=5e-5)


@pytest.mark.parametrize(
    ("law", "value"),
    [
        (sf.HOFFMANN_2022, 0.00412101),
        (sf.HOFFMANN_2022_UNROUNDED, 0.00123116),
        (sf.BESIROGLU_2024, 0.00102284),
    ],
)
def test_published_constants_have_their_known_objective(chinchilla, law, value):
    kept = chinchilla.where("kept")
    huber = sf.Huber(1e-3, "log")
    total = huber.rho(residuals(huber, kept.loss, law(kept.params, kept.tokens))).sum()
    assert total == pytest.approx(value, abs=5e-9)


def test_allocation_of_published_constants():
    for law, exponent in [(sf.HOFFMANN_2022, 0.4516), (sf.HOFFMANN_2022_UNROUNDED, 0.4565)]:
        assert law.beta / (law.alpha + law.beta) == pytest.approx(exponent, abs=5e-5)


# Pythia, six points digitised from Michaud et al. 2023: exponents of the power law with and without offset, and the
# ratio of the mean squared errors, recomputed by an independent script.
@pytest.mark.parametrize(
    ("inputs", "without", "with_offset", "ratio"),
    [("params", 0.0833, 0.1486, 5.5), ("params_total", 0.111, 0.418, 8.7)],
)
def test_pythia_exponent_with_and_without_offset(inputs, without, with_offset, ratio):
    runs = sf.load("pythia").where("kept")
    plain = sf.fit(sf.LawRegressor(sf.PowerLaw, fixed={"E": 0.0}), runs, inputs=inputs)
    offset = sf.fit(sf.PowerLaw, runs, inputs=inputs)
    places = {0.0833: 5e-5, 0.1486: 5e-5}
    assert plain.law.alpha == pytest.approx(without, abs=places.get(without, 5e-4))
    assert offset.law.alpha == pytest.approx(with_offset, abs=places.get(with_offset, 5e-4))
    assert plain.mse / offset.mse == pytest.approx(ratio, abs=0.05)
    if inputs == "params":
        assert pytest.approx(1.0466, abs=5e-5) == offset.law.E


def test_curves_of_the_chinchilla_data(chinchilla):
    # 29 sizes with at least four runs, 208 runs; exponents from 0.065 to 0.765; median squared error 4.2e-5
    curves = sf.fit_curves(sf.PowerLaw, chinchilla.where("kept"), along="tokens", at="params", rtol=5e-3)
    alpha = curves.array("alpha", ok_only=False)
    assert len(curves) == 29
    assert sum(len(fit.table) for fit in curves) == 208
    assert (alpha.min(), alpha.max()) == pytest.approx((0.065, 0.765), abs=5e-4)
    trimmed = np.sort(alpha)[1:-1]
    assert (trimmed.mean(), trimmed.std(ddof=1)) == pytest.approx((0.406, 0.105), abs=1e-3)
    errors = np.concatenate([fit.residuals for fit in curves]) ** 2
    assert errors.mean() == pytest.approx(8.7e-5, abs=5e-7)


def test_chinchilla_data_have_no_curves_at_fixed_tokens(chinchilla):
    with pytest.raises(ValueError, match="tokens"):
        sf.fit_curves(sf.PowerLaw, chinchilla, along="params", at="tokens")


# NIST Statistical Reference Datasets, nonlinear regression: data and certified values.
@dataclass(frozen=True)
class Approach(sf.Law):
    """b1 (1 - exp(-b2 x)): Misra1a and BoxBOD."""

    b1: float
    b2: float
    objective = sf.Squared()
    bounds = {"b1": (1.0, 1e4), "b2": (1e-6, 10.0)}  # noqa: RUF012

    def value(self, x):
        return self.b1 * (1 - np.exp(-self.b2 * x))


MISRA_X = [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0]
MISRA_Y = [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.4, 75.47, 81.78]
NIST = {
    "Misra1a": (MISRA_X, MISRA_Y, (2.3894212918e2, 5.5015643181e-4), 1.2455138894e-1),
    "BoxBOD": ([1, 2, 3, 5, 7, 10], [109, 149, 149, 191, 213, 224], (2.1380940889e2, 5.4723748542e-1), 1.1680088766e3),
}


def agree(value: float, certified: float) -> float:
    """Digits that agree."""
    return -np.log10(abs(value - certified) / abs(certified) + 1e-16)


@pytest.mark.parametrize("name", NIST)
def test_nist_reference_problem_through_a_law_of_ones_own(name):
    x, y, certified, squares = NIST[name]
    model = sf.LawRegressor(Approach).fit(np.array(x, dtype=float)[:, None], np.array(y, dtype=float))
    assert model.status_ is sf.Status.OK
    assert min(agree(model.law_.b1, certified[0]), agree(model.law_.b2, certified[1])) >= 8
    assert agree(2 * model.objective_value_, squares) >= 10


def test_nist_danwood_through_the_power_law():
    # y = b1 x^b2: the power law without offset of 1/x, certified b1 = 7.6886226176E-01, b2 = 3.8604055871E+00
    x = np.array([1.309, 1.471, 1.490, 1.565, 1.611, 1.680])
    y = np.array([2.138, 3.421, 3.597, 4.340, 4.882, 5.660])
    model = sf.LawRegressor(sf.PowerLaw, objective=sf.Squared(), fixed={"E": 0.0}).fit(1 / x[:, None], y)
    assert agree(model.law_.A, 7.6886226176e-01) >= 8
    assert agree(model.law_.alpha, 3.8604055871e00) >= 8
    assert agree(2 * model.objective_value_, 4.3173084083e-03) >= 10
