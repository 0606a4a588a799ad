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
