import numpy as np
import pytest

import tdsl as td

RNG = np.random.default_rng(3)


def product(n, k, transposed, bias):
    x = td.placeholder((1, k), "float32", name="x")
    w = td.placeholder((n, k) if transposed else (k, n), "float32", name="w")
    b = td.placeholder((n,), "float32", name="b")
    r = td.reduce_axis(k, name="r")
    weight = (lambda j: w[j, r]) if transposed else (lambda j: w[r, j])
    y = td.compute((1, n), lambda i, j: td.sum(x[i, r] * weight(j), axis=r), name="y")
    if not bias:
        return td.func("product", [x, w], [y])
    z = td.compute((1, n), lambda i, j: td.maximum(y[i, j] + b[j], 0.0), name="z")
    return td.func("product_bias", [x, w, b], [z])


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_constant_weights_are_packed_for_a_product_with_a_vector(transposed, bias):
    """More weights than the L2 cache holds, columns that fill no step."""
    n, k = 1021, td.target("llvm").l2 // 4096 + 7
    func = product(n, k, transposed, bias)
    s = td.default_schedule(func, constants=["w"])
    assert s.why.rule_of(func.outputs[0].name) == "matvec", str(s.why)
    assert s.packed == ("w",)
    kernel = td.build(s)
    arrays = [RNG.standard_normal(t.shape).astype("f") for t in func.inputs]
    want = arrays[0] @ (arrays[1].T if transposed else arrays[1])
    want = np.maximum(want + arrays[2], 0) if bias else want
    packed = [arrays[0], kernel.pack("w", arrays[1]), *arrays[2:]]
    np.testing.assert_allclose(kernel(*packed), want, rtol=1e-3, atol=1e-3)


def test_weights_that_vary_are_read_in_place():
    s = td.default_schedule(product(1024, 1024, transposed=False, bias=False))
    assert s.why.rule_of("y") == "columns"
