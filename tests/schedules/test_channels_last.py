"""Default schedules of convolutions and pooling with the channels last, at odd sizes."""

import numpy as np
import pytest

import tdsl as td
from tdsl import schedules as ops
from tdsl.graph.ops.windows import Window
from tdsl.schedules.windows import Layout

RNG = np.random.default_rng(23)


def operands(func):
    return [RNG.standard_normal(t.shape).astype(np.float32) for t in func.inputs]


def check(func, rule, packed=()):
    """The default schedule uses a rule and agrees with numpy, constants packed or not."""
    arrays = operands(func)
    want = td.reference(func)(*arrays)
    for constants in ((), packed) if packed else ((),):
        s = td.default_schedule(func, constants=constants)
        assert s.why.rule_of(func.outputs[0].name) == rule, str(s.why)
        kernel = td.build(s)
        given = [
            kernel.pack(t.name, a) if t.name in s.packed else a
            for t, a in zip(func.inputs, arrays, strict=True)
        ]
        np.testing.assert_allclose(kernel(*given), want, rtol=1e-4, atol=1e-4)
    return s


def convolution(n, c, spatial, o, kernel, groups=1, first=False, **attributes):
    layout = Layout.FIRST if first else Layout.LAST
    x = td.placeholder(layout.joined(n, c, spatial), name="X")
    w = td.placeholder((o, c // groups, *kernel), name="W")
    b = td.placeholder((o,), name="b")
    y = ops.conv(
        x, w, groups=groups, layout=layout, result=Layout.LAST, name="Y", **attributes
    )  # fmt: skip
    z = td.compute(y.shape, lambda *i: td.maximum(y[i] + b[i[-1]], 0.0), name="Z")
    return td.func("conv", [x, w, b], [z])


@pytest.mark.parametrize(
    ("args", "attributes"),
    [
        ((2, 17, (9, 11), 58, (3, 3)), {"pad": 1}),
        ((1, 3, (13, 10), 5, (7, 7)), {"stride": 2, "pad": (3, 2, 1, 3)}),
        ((1, 16, (7, 7), 70, (1, 1)), {}),
        ((2, 5, (8, 9), 33, (3, 2)), {"dilation": 2, "stride": (1, 2)}),
        ((3, 4, (19,), 6, (3,)), {"pad": 1}),
        ((1, 2, (4, 5, 3), 20, (2, 2, 2)), {"pad": 1}),
    ],
)
def test_tiles_of_pixels(args, attributes):
    check(convolution(*args, **attributes), "pixels", packed=("W",))


def test_an_image_with_its_channels_first_is_read_in_place():
    check(convolution(1, 3, (12, 9), 17, (3, 3), first=True, pad=1), "pixels", packed=("W",))


def test_products_of_several_row_axes():
    x, w = td.placeholder((3, 5, 7, 19), name="X"), td.placeholder((33, 19), name="W")
    y = td.einsum("abik,ok->abio", x, w, name="Y")
    check(td.func("rows", [x, w], [y]), "pixels", packed=("W",))


def test_one_kernel_serves_images_of_every_size():
    n, h, w = td.sizes("N H W")
    x, k = td.placeholder((n, h, w, 4), name="X"), td.placeholder((9, 4, 3, 3), name="K")
    func = td.func(
        "conv", [x, k], [ops.conv(x, k, layout=Layout.LAST, name="Y")], assume=["H >= 2", "W >= 2"]
    )
    s = td.default_schedule(func)
    assert s.why.rule_of("Y") == "pixels"
    kernel = td.build(s)
    weights = RNG.standard_normal((9, 4, 3, 3)).astype(np.float32)
    for shape in ((1, 3, 3, 4), (2, 7, 12, 4), (1, 20, 5, 4), (2, 2, 9, 4)):
        image = RNG.standard_normal(shape).astype(np.float32)
        want = td.reference(func)(image, weights)
        np.testing.assert_allclose(kernel(image, weights), want, rtol=1e-4, atol=1e-4)


def test_borders_are_read_at_addresses_that_exist():
    x = td.placeholder((1, 5, 6, 32), name="X")
    kernel = td.build(td.func("pad", [x], [td.pad(x, (0, 1, 1, 0), (0, 1, 1, 0), name="P")]))
    image = RNG.standard_normal(x.shape).astype(np.float32)
    np.testing.assert_array_equal(kernel(image), np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0))))
    assert "llvm.masked.load" not in kernel.source("llvm")


@pytest.mark.parametrize(
    ("args", "attributes"),
    [
        ((1, 21, (10, 11), 21, (3, 3)), {"pad": 1}),
        ((2, 35, (9, 8), 35, (5, 5)), {"stride": 2, "pad": (2, 1, 0, 3)}),
        ((1, 3, (7, 6), 3, (3, 3)), {"dilation": 2, "pad": 2}),
        ((2, 18, (23,), 18, (4,)), {}),
    ],
)
def test_depthwise_windows(args, attributes):
    func = convolution(*args, groups=args[1], **attributes)
    check(func, "channels", packed=("W",))


@pytest.mark.parametrize("channels", [1, 17, 48])
def test_pooling(channels):
    x = td.placeholder((2, 9, 7, channels), name="X")
    top = ops.max_pool(x, 3, stride=2, pad=1, ceil=True, layout=Layout.LAST, name="T")
    check(td.func("top", [x], [top]), "channels")
    mean = ops.average_pool(x, (2, 3), pad=1, layout=Layout.LAST, name="M")
    check(td.func("mean", [x], [mean]), "channels")


def test_an_epilogue_of_broadcast_operands_joins_the_tile():
    g = td.graph.Graph()
    x = g.input("x", (1, 6, 8, 8))
    w = g.constant(np.ones((6, 1, 3, 3), np.float32))
    y = g.conv(x, w, Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1)), 6)
    g.output("y", g.apply("relu", g.apply("add", y, g.constant(np.ones((6, 1, 1), np.float32)))))
    session = td.Session(g)
    (step,) = (k for k in session._last().executable.steps if "conv" in k.group.name)
    assert "in register" in step.kernel.source("ir")
