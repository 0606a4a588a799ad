"""Channels last: what follows, what does not, and that results stay the same."""

import numpy as np
import pytest

import tdsl as td
from tdsl.graph import Graph
from tdsl.graph.ir import Model
from tdsl.graph.ops.movement import Pad, Slice
from tdsl.graph.ops.windows import Window
from tdsl.graph.passes.pipeline import run_passes
from tdsl.schedules.windows import Layout

RNG = np.random.default_rng(11)


def window(kernel, stride=1, pad=(0, 0, 0, 0), dilation=1):
    return Window((kernel, kernel), (stride, stride), (dilation, dilation), pad[:2], pad[2:])


def weights(g, *shape):
    array = RNG.standard_normal(shape) / np.prod(shape[1:]) ** 0.5
    return g.constant(array.astype(np.float32))


def names(model: Model):
    return [node.op.name for node in model.nodes]


def agree(g, shape):
    """The graph gives the same with and without the pass; its nodes with it."""
    x = RNG.standard_normal(shape).astype(np.float32)
    (got,) = td.Session(g).run({"x": x}).values()
    (want,) = td.Session(g, disabled_passes=["layout"]).run({"x": x}).values()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    return names(run_passes(g.build())[0])


def test_a_residual_block_has_no_transposes_inside():
    g = Graph()
    x = g.input("x", (2, 3, 13, 11))
    y = g.apply("relu", g.conv(x, weights(g, 17, 3, 3, 3), window(3, 2, (1, 1, 1, 1))))
    z = g.conv(y, weights(g, 17, 17, 3, 3), window(3, 1, (1, 1, 1, 1)))
    z = g.apply("add", z, weights(g, 17, 1, 1))
    z = g.apply("relu", g.apply("add", z, y))
    z = g.max_pool(z, window(3, 2, (1, 1, 1, 1)))
    g.output("y", g.reduce("mean", z, [2, 3], keep=False))
    assert "transpose" not in agree(g, (2, 3, 13, 11))


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_convolutions_of_groups(groups):
    g = Graph()
    x = g.input("x", (1, 4, 9, 8))
    y = g.conv(x, weights(g, 6, 4, 1, 1))
    y = g.conv(y, weights(g, 6, 6 // groups, 3, 3), window(3, 1, (0, 1, 2, 1)), groups=groups)
    g.output("y", g.conv(y, weights(g, 5, 6, 3, 3), window(3, 1, (2, 2, 2, 2), 2)))
    agree(g, (1, 4, 9, 8))


def test_joins_cuts_and_borders_follow():
    g = Graph()
    x = g.input("x", (1, 2, 6, 7))
    a, b = (g.conv(x, weights(g, n, 2, 1, 1)) for n in (3, 5))
    y = g.concat([a, b], 1)
    y = g.one(Pad((0, 0, 1, 0), (0, 0, 0, 2), value=0.5), y)
    y = g.one(Slice((0, 2, 1, 0), (1, 4, 5, 8), (1, 1, 1, 1)), y)
    y = g.average_pool(y, window(2))
    g.output("y", g.apply("mul", y, g.reduce("mean", y, [1, 2, 3])))
    made = agree(g, (1, 2, 6, 7))
    assert made.count("transpose") == 1
    assert made[-1] == "transpose"


def test_what_cannot_follow_sees_the_channels_first():
    g = Graph()
    x = g.input("x", (2, 3, 5, 6))
    y = g.conv(x, weights(g, 4, 3, 2, 2))
    y = g.reshape(y, (2, 80))
    g.output("y", g.softmax(y))
    assert names(run_passes(g.build())[0])[:2] == ["conv", "transpose"]
    agree(g, (2, 3, 5, 6))


def test_images_of_one_and_three_axes():
    for spatial in ((9,), (4, 5, 6)):
        g = Graph()
        x = g.input("x", (2, 3, *spatial))
        n = len(spatial)
        own = Window((3,) * n, (1,) * n, (1,) * n, (1,) * n, (1,) * n)
        y = g.apply("relu", g.conv(x, weights(g, 5, 3, *(3,) * n), own))
        g.output("y", g.conv(y, weights(g, 4, 5, *(3,) * n), own))
        agree(g, (2, 3, *spatial))


def test_layouts_order_axes():
    assert Layout.LAST.joined(1, 2, (3, 4)) == (1, 3, 4, 2)
    assert Layout.LAST.parted((1, 3, 4, 2)) == (1, 2, (3, 4))
    assert Layout.FIRST.parted(Layout.FIRST.joined(1, 2, (3,))) == (1, 2, (3,))


@pytest.mark.parametrize("late", [False, True])
def test_shuffled_channels_of_groups(late):
    """`late`: somebody else reads the parted image as it was."""
    g = Graph()
    x = g.input("x", (2, 6, 5, 4))
    y = g.conv(x, weights(g, 12, 6, 1, 1))
    y = g.conv(y, weights(g, 12, 4, 1, 1), groups=3)
    y = g.apply("relu", g.apply("add", y, weights(g, 12, 1, 1)))
    parted = g.reshape(y, (2, 3, 4, 5, 4))
    y = g.reshape(g.transpose(parted, (0, 2, 1, 3, 4)), (2, 12, 5, 4))
    y = g.conv(y, weights(g, 12, 1, 3, 3), window(3, 1, (1, 1, 1, 1)), groups=12)
    y = g.conv(y, weights(g, 6, 4, 1, 1), groups=3)
    y = g.apply("add", g.apply("mul", y, weights(g, 1, 1, 4)), x)
    if late:
        y = g.apply("add", y, g.reshape(g.reduce("sum", parted, [1, 2]), (2, 1, 5, 4)))
    g.output("y", y)
    made = agree(g, (2, 6, 5, 4))
    assert made.count("groupedconv") == 2
