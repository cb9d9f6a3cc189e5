"""Shapes of transformers near a number of parameters."""

import numpy as np
import pytest

from scalefit.shapes import ASPECTS, shapes_near

# GPT-2 and GPT-3 (Radford et al. 2019; Brown et al. 2020, arXiv:2005.14165, table 2.1): layers, width
PUBLISHED = [(12, 768), (24, 1024), (24, 2048), (32, 2560), (32, 4096), (96, 12288)]


@pytest.mark.parametrize(("depth", "width"), PUBLISHED)
@pytest.mark.parametrize("embeddings", [True, False])
def test_published_shapes_are_found_by_their_own_counts(depth, width, embeddings):
    nonembed = 12 * depth * width**2
    params = nonembed + 50257 * width
    found = shapes_near(
        params if embeddings else nonembed,
        head=64 if width < 4096 else 128,
        aspect=width / depth,
        embeddings=embeddings,
    ).iloc[0]
    assert (found["depth"], found["width"]) == (depth, width)
    assert (found["params"], found["params_nonembed"]) == (params, nonembed)
    assert found["ratio"] == 1.0


@pytest.mark.parametrize("target", [5e5, 3e7, 1.24e8, 1.3e9, 7.03e10, 1e15])
@pytest.mark.parametrize("head", [8, 64, 128])
def test_every_shape_is_what_it_says(target, head):
    shapes = shapes_near(target, vocabulary=1000, head=head, count=50)
    depth, width = shapes["depth"].to_numpy(dtype=object), shapes["width"].to_numpy(dtype=object)  # whole, of any size
    assert all(shapes["params_nonembed"].to_numpy() == 12 * depth * width**2)
    assert all(shapes["params"].to_numpy() == 12 * depth * width**2 + 1000 * width)
    assert shapes["ratio"].to_numpy() == pytest.approx(shapes["params"] / target, rel=1e-12)
    assert all(shapes["heads"] * head == shapes["width"])
    inside = shapes["aspect"].between(*ASPECTS)
    assert all(inside | (shapes["depth"] == 1))
    assert shapes["ratio"].between(0.5, 2).all()
    assert not shapes.duplicated().any()
    assert 1 <= len(shapes) <= 50


@pytest.mark.parametrize("target", [2e7, 1.24e8, 1.3e9])
@pytest.mark.parametrize("embeddings", [True, False])
def test_no_shape_is_nearer(target, embeddings):
    every = [
        12 * depth * width**2 + 50257 * width * embeddings
        for width in range(64, 8000, 64)
        for depth in range(1, 200)
        if 40 <= width / depth <= 144 or (depth == 1 and width < 40)
    ]
    nearest = np.abs(np.log(np.array(every) / target)).min()
    shapes = shapes_near(target, embeddings=embeddings, count=1000)
    assert np.abs(np.log(shapes["ratio"])).min() == pytest.approx(nearest, rel=1e-9)
    steps = np.abs(np.log(shapes["ratio"])) // 0.01
    assert steps.is_monotonic_increasing
    for _, step in shapes.groupby(steps):
        assert np.abs(np.log(step["aspect"] / 128)).is_monotonic_increasing


def test_the_aspect_that_is_wanted_comes_first_among_equally_near_ones():
    wide, deep = shapes_near(1.3e9, aspect=120).iloc[0], shapes_near(1.3e9, aspect=50).iloc[0]
    assert wide["aspect"] > 100
    assert deep["aspect"] < 60
    for shape in (wide, deep):
        assert abs(np.log(shape["ratio"])) < 0.01


def test_a_target_below_the_smallest_embedding():
    with pytest.raises(
        ValueError, match=r"within a factor 2 of 1e\+06 parameters: the nearest, 1 layer\(s\) of width 64"
    ):
        shapes_near(1e6)
    assert len(shapes_near(1e6, embeddings=False))
    assert len(shapes_near(1e6, vocabulary=256))


@pytest.mark.parametrize("params", [0, -1e9, np.nan, np.inf, 1e16])
def test_impossible_targets_are_refused(params):
    with pytest.raises(ValueError, match="params must be a number of parameters"):
        shapes_near(params)


@pytest.mark.parametrize("value", [0, -64, 1.5, True, "64"])
@pytest.mark.parametrize("name", ["vocabulary", "head", "count"])
def test_counts_are_whole(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1 on"):
        shapes_near(1e9, **{name: value})


@pytest.mark.parametrize("aspect", [0, -1, np.nan, np.inf])
def test_impossible_aspects_are_refused(aspect):
    with pytest.raises(ValueError, match="aspect must be positive and finite"):
        shapes_near(1e9, aspect=aspect)
