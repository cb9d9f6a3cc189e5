"""What an analysis is asked about by default."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.asked import by_name, default_statistic

RUNS = sf.simulate(
    sf.HOFFMANN_2022,
    sf.grid(params=np.geomspace(1e8, 1e10, 6), tokens=np.geomspace(1e9, 1e11, 6)),
    noise=0.005,
)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "allocation_exponent"),
        ({"fixed": {"alpha": 0.34}}, "allocation_exponent"),
        ({"fixed": {"E": 1.69}}, "allocation_exponent"),
        ({"tied": {"beta": "alpha"}}, "alpha"),
        ({"tied": {"alpha": "beta"}}, "beta"),
        ({"fixed": {"alpha": 0.34, "beta": 0.28}}, "E"),
        ({"fixed": {"alpha": 0.34}, "tied": {"beta": "alpha"}}, "E"),
    ],
)
def test_a_split_that_the_exponents_settle_beforehand_is_not_asked_about(options, name):
    fit = sf.fit(sf.LawRegressor(sf.Chinchilla, **options), RUNS)
    assert list(by_name(None, fit)) == [name]


def test_a_surface_of_params_and_tokens_has_a_split():
    assert default_statistic(sf.fit(sf.AnovaKernelRidge(), RUNS)) is sf.allocation_exponent
