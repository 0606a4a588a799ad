import importlib.util

import numpy as np
import pytest

import tdsl as td
from tdsl import schedules as ops

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def device():
    if importlib.util.find_spec("pyopencl") is None:
        pytest.skip("pyopencl is not installed (pip install 'tdsl[opencl]')")
    from tdsl.runtime.devices import list_devices

    if not list_devices():
        pytest.skip("no OpenCL platform was found")


def check(inputs, outputs, rule):
    """The kernel of the default schedule on a device agrees with the one on the processor."""
    func = td.func("operator", inputs, outputs)
    s = td.default_schedule(func, "opencl")
    assert s.why.rule_of(outputs[0].name) == rule, str(s.why)
    assert not any(d.refused for d in s.why.decisions), str(s.why)
    arrays = [RNG.standard_normal(t.shape).astype(t.dtype.name) for t in inputs]
    want = td.build(func)(*arrays)
    np.testing.assert_allclose(td.build(s)(*arrays), want, rtol=1e-4, atol=1e-4)
    return s


def tensor(name, *shape):
    return td.placeholder(shape, "float32", name=name)


@pytest.mark.parametrize("shape", [(64, 64, 64), (33, 70, 17), (5, 100, 2), (100, 3, 40)])
def test_products(device, shape):
    m, n, k = shape
    A, B, b = tensor("A", m, k), tensor("B", k, n), tensor("b", n)
    check([A, B], [ops.matmul(A, B, name="C")], "product")
    C = ops.matmul(A, B, name="P")
    check([A, B, b], [ops.relu(ops.add(C, b, name="S"), name="D")], "product")


def test_batches_of_products(device):
    A, B = tensor("A", 2, 3, 20, 12), tensor("B", 2, 3, 33, 12)
    check([A, B], [td.einsum("bhqd,bhkd->bhqk", A, B, name="C")], "product")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [1, 3])
def test_convolutions(device, stride, window):
    X, W, b = tensor("X", 1, 6, 15, 15), tensor("W", 20, 6, window, window), tensor("b", 20)
    Y = ops.conv(X, W, b, stride=stride, pad=window // 2, name="Y")
    check([X, W, b], [Y], "product")


@pytest.mark.parametrize("axes", [1, (1, 2)])
def test_reductions(device, axes):
    X = tensor("X", 9, 50, 7)
    check([X], [ops.reduce(td.sum, X, axes, name="Y")], "rows")


def test_a_sum_of_everything(device):
    X = tensor("X", 100, 77)
    check([X], [ops.reduce(td.sum, X, name="Y")], "rows")


@pytest.mark.parametrize("n", [20, 64, 500])
def test_softmax_and_layer_norm(device, n):
    X, g, b = tensor("X", 12, n), tensor("g", n), tensor("b", n)
    check([X], [ops.softmax(X, name="Y")], "rows")
    check([X, g, b], [ops.layer_norm(X, g, b, name="Y")], "rows")


@pytest.mark.parametrize("shape", [(64, 48), (17, 33), (2, 40, 50)])
def test_transposes(device, shape):
    X = tensor("X", *shape)
    order = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    check([X], [ops.transpose(X, order, name="Y")], "squares")


def test_elements(device):
    X, b = tensor("X", 8, 30, 14), tensor("b", 30, 1)
    check([X, b], [ops.add(X, b, name="Y")], "elements")


def test_symbolic_sizes(device):
    M, N, K = td.sizes("M N K")
    A, B = td.placeholder((M, K), name="A"), td.placeholder((K, N), name="B")
    func = td.func("product", [A, B], [ops.matmul(A, B, name="C")])
    kernel = td.build(func, "opencl")
    for m, n, k in [(1, 1, 1), (40, 33, 20), (7, 64, 100)]:
        a, b = (RNG.standard_normal(s).astype("f") for s in ((m, k), (k, n)))
        np.testing.assert_allclose(kernel(a, b), a @ b, rtol=1e-4, atol=1e-4)
