"""What pictures share: axes with readable marks."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.drawing import count_words, log_axis, named, new_axes, paper_style


def marks(ax, which):
    low, high = getattr(ax, f"get_{which}lim")()
    return [mark for mark in getattr(ax, f"get_{which}ticks")() if low <= mark <= high]


@pytest.mark.parametrize("which", ["x", "y"])
@pytest.mark.parametrize("low", [2.1, 7e7, 4e20])
@pytest.mark.parametrize("span", [1.3, 1.6, 3.0, 8.0, 15.0, 40.0, 150.0, 450.0, 1e3, 1e5, 1e9])
def test_an_axis_of_any_span_has_a_few_round_marks(which, low, span):
    ax = new_axes()
    getattr(ax, f"set_{which}lim")(low, low * span)
    log_axis(ax, which, "params")
    found = marks(ax, which)
    assert 2 <= len(found) <= 8
    assert all(float(f"{mark:.3g}") == pytest.approx(mark) for mark in found)


def test_a_law_over_less_than_a_decade_has_marks():
    runs = sf.simulate(sf.PowerLaw(1.7, 400.0, 0.34), sf.grid(params=np.geomspace(1e9, 3e9, 6)))
    ax = sf.plot_fit(sf.fit(sf.PowerLaw, runs), reach=1.5)
    assert len(marks(ax, "x")) >= 3
    assert ax.xaxis.get_major_formatter()(2e9) == count_words(2e9) == "2B"


@pytest.mark.parametrize("number", [0, 1, 2, 8, 9, 100])
def test_first_and_last_are_among_the_named(number):
    found = named(number)
    assert len(found) == min(number, 8)
    assert found == sorted(set(found))
    if number:
        assert (found[0], found[-1]) == (0, number - 1)


@pytest.mark.parametrize("name", ["Hoffmann 2022", "Besiroglu 2024"])
def test_a_legend_leaves_the_axes_their_width(name):
    runs = sf.simulate(sf.HOFFMANN_2022, sf.grid(params=[1e8, 1e9, 1e10], tokens=[1e9, 1e10, 1e11]))
    fit = sf.fit(sf.Chinchilla, runs)
    with paper_style():
        beside, alone = sf.plot_surface(fit, beside={name: sf.HOFFMANN_2022}), sf.plot_surface(fit)
        for ax in (beside, alone):
            ax.figure.draw_without_rendering()
    assert f"{name} optimum" in [text.get_text() for text in beside.get_legend().get_texts()]
    assert beside.get_window_extent().width > 0.9 * alone.get_window_extent().width
