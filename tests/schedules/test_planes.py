"""Default schedules of depthwise convolutions with the channels first, at odd sizes."""

import numpy as np
import pytest

import tdsl as td
from tdsl import schedules as ops

RNG = np.random.default_rng(29)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(7, 7), (14, 13), (1, 3), (15, 17)])
def test_planes_with_borders(height, width, stride):
    x, w = td.placeholder((2, 5, height, width), name="X"), td.placeholder((5, 1, 3, 3), name="W")
    b = td.placeholder((5,), name="b")
    y = ops.conv(x, w, stride=stride, pad=1, groups=5, name="Y")
    z = td.compute(y.shape, lambda n, c, i, j: td.maximum(y[n, c, i, j] + b[c], 0.0), name="Z")
    func = td.func("depthwise", [x, w, b], [z])
    s = td.default_schedule(func)
    assert s.why.rule_of("Z") == "depthwise", str(s.why)
    arrays = [RNG.standard_normal(t.shape).astype(np.float32) for t in func.inputs]
    want = td.reference(func)(*arrays)
    np.testing.assert_allclose(td.build(s)(*arrays), want, rtol=1e-5, atol=1e-5)


PLANES = [  # height, width, window, stride, padding, dilation
    (14, 14, 3, 2, 1, 1), (7, 31, 3, 2, 1, 1), (13, 13, 5, 1, 2, 1), (11, 17, 3, 3, 1, 1),
    (9, 7, 3, 1, 2, 2), (1, 1, 3, 2, 1, 1), (10, 61, 2, 4, 0, 1), (5, 33, 5, 2, 2, 2),
]  # fmt: skip


@pytest.mark.parametrize(("height", "width", "window", "stride", "pad", "dilation"), PLANES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_narrow_and_strided_planes(height, width, window, stride, pad, dilation, dtype):
    x = td.placeholder((1, 3, height, width), dtype, name="X")
    w = td.placeholder((3, 1, window, window), dtype, name="W")
    y = ops.conv(x, w, stride=stride, pad=pad, dilation=dilation, groups=3, name="Y")
    func = td.func("depthwise", [x, w], [y])
    s = td.default_schedule(func, td.target("llvm -mcpu=native"))
    assert s.why.rule_of("Y") == "depthwise", str(s.why)
    arrays = [RNG.standard_normal(t.shape).astype(dtype) for t in func.inputs]
    kernel = td.build(s)
    np.testing.assert_allclose(kernel(*arrays), td.reference(func)(*arrays), rtol=1e-5, atol=1e-5)


def test_rows_apart_are_read_as_vectors():
    x, w = td.placeholder((1, 4, 29, 57), name="X"), td.placeholder((4, 1, 3, 3), name="W")
    y = ops.conv(x, w, stride=2, pad=1, groups=4, name="Y")
    s = td.default_schedule(td.func("depthwise", [x, w], [y]), td.target("llvm -mcpu=znver4"))
    assert "read in place" in str(s.why)
    assert "gather" not in td.build(s).source("llvm")


def test_what_is_costly_to_make_is_made_once():
    x, w = td.placeholder((1, 4, 16, 14), name="X"), td.placeholder((4, 1, 3, 3), name="W")
    e = td.compute(x.shape, lambda n, c, i, j: td.exp(x[n, c, i, j]), name="E")
    y = ops.conv(e, w, groups=4, name="Y")
    s = td.default_schedule(td.func("depthwise", [x, w], [y]))
    assert "made for each plane" in str(s.why), str(s.why)
