"""Minimal filtering: where the pass applies, what it leaves alone, and that results stay."""

import numpy as np
import pytest

import tdsl as td
from tdsl.graph import Graph
from tdsl.graph.ops.windows import Window
from tdsl.graph.passes.pipeline import run_passes

RNG = np.random.default_rng(5)


def model(shape, outputs, kernel=3, stride=1, dilation=1, groups=1, pad=1):
    """A 1x1 convolution, which turns the image, the one in question, and an epilogue."""
    g = Graph()
    channels = shape[1]
    first = RNG.standard_normal((channels, channels, 1, 1)) / channels**0.5
    y = g.conv(g.input("x", shape), g.constant(first.astype(np.float32)))
    w = RNG.standard_normal((outputs, channels // groups, kernel, kernel)) / channels**0.5
    window = Window((kernel,) * 2, (stride,) * 2, (dilation,) * 2, (pad,) * 2, (pad,) * 2)
    z = g.conv(y, g.constant(w.astype(np.float32)), window, groups=groups)
    bias = RNG.standard_normal((outputs, 1, 1)).astype(np.float32)
    g.output("y", g.apply("relu", g.apply("add", z, g.constant(bias))))
    return g


def operators(g):
    return [node.op.name for node in run_passes(g.build())[0].nodes]


@pytest.mark.parametrize(
    ("shape", "outputs", "pad"), [((1, 16, 8, 8), 32, 1), ((2, 24, 9, 7), 17, 0)]
)
def test_results_stay(shape, outputs, pad):
    g = model(shape, outputs, pad=pad)
    assert operators(g).count("winogradconv") == 1
    x = RNG.standard_normal(shape).astype(np.float32)
    (got,) = td.Session(g).run({"x": x}).values()
    (want,) = td.Session(g, disabled_passes=["winograd"]).run({"x": x}).values()
    assert np.abs(got - want).max() <= 2e-5 * want.std()


def test_what_follows_is_part_of_the_kernel():
    session = td.Session(model((1, 16, 8, 8), 16))
    profile = session.profile({"x": np.zeros((1, 16, 8, 8), np.float32)})
    assert "winogradconv_add_relu" in str(profile)


@pytest.mark.parametrize(
    "other",
    [
        {"stride": 2},
        {"dilation": 2, "pad": 2},
        {"groups": 2},
        {"kernel": 5, "pad": 2},
        {"outputs": 8},
        {"shape": (1, 16, 3, 3)},
    ],
    ids=str,
)
def test_left_alone(other):
    assert "winogradconv" not in operators(
        model(**{"shape": (1, 16, 8, 8), "outputs": 16, **other})
    )
