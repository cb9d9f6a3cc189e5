"""Training FLOPs: the three forms of one rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalefit.flops import RULES, params_for, tokens_for, training_flops

counts = st.floats(1e3, 1e15)


def test_chinchilla_70b():
    assert training_flops(70_000_000_000, 1_400_000_000_000) == 6 * 70e9 * 1.4e12


def test_int64_never_overflows():
    params, tokens = np.array([10**12], dtype=np.int64), np.array([10**14], dtype=np.int64)
    result = training_flops(params, tokens)
    assert result.dtype == np.float64
    assert result[0] == pytest.approx(6e26, rel=1e-15)


@settings(deadline=None, derandomize=True)
@given(counts, counts)
def test_the_three_forms_invert_each_other(params, tokens):
    flops = training_flops(params, tokens)
    # Two roundings of float64 each.
    assert tokens_for(flops, params) == pytest.approx(tokens, rel=1e-15)
    assert params_for(flops, tokens) == pytest.approx(params, rel=1e-15)


@pytest.mark.parametrize("function", [training_flops, tokens_for, params_for])
def test_numbers_give_a_float_and_arrays_an_array(function):
    assert type(function(1e20, 2)) is float
    assert function([1e20, 1e21], 2).shape == (2,)


@pytest.mark.parametrize("absent", ["params", "tokens", "flops"])
def test_every_rule_gives_each_absent_quantity_from_the_other_two(absent):
    values = {"params": 1e9, "tokens": 2e10, "flops": 1.2e20}
    for forms in RULES.values():
        function, names = forms[absent]
        assert absent not in names
        assert function(*(values[name] for name in names)) == pytest.approx(values[absent], rel=1e-15)
