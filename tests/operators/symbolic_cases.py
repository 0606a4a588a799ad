"""Operators of symbolic sizes: one kernel each, called with random sizes of which some are 0 or 1.

An entry makes the Func's inputs and outputs and says what numpy makes of the arrays.
"""

from functools import lru_cache

import numpy as np

import tdsl as td
from tdsl import schedules as ops
from tests.operators.cases import EXTENTS, TOLERANCES

SIZES = [*EXTENTS, 37, 61, 64, 67, 100]
CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


def tensor(name, *shape, dtype="float32"):
    return td.placeholder(shape, dtype, name=name)


def _pointwise(name, function, dtype="float32"):
    def make():
        m, n = td.sizes("M N")
        a, b = tensor("A", m, n, dtype=dtype), tensor("B", m, n, dtype=dtype)
        return [a, b], getattr(ops, name)(a, b, name="Y"), function

    CASES[f"{name}_{dtype}"] = make


for _dtype in ("float32", "float64", "int32", "int8", "float16"):
    _pointwise("add", np.add, _dtype)
    _pointwise("multiply", np.multiply, _dtype)
    _pointwise("maximum", np.maximum, _dtype)


def _unary(name, function):
    def make():
        m, n = td.sizes("M N")
        a = tensor("A", m, n)
        return [a], getattr(ops, name)(a, name="Y"), function

    CASES[name] = make


_unary("relu", lambda x: np.maximum(x, 0))
_unary("sigmoid", lambda x: 1 / (1 + np.exp(-x)))
_unary("tanh", np.tanh)
_unary("silu", lambda x: x / (1 + np.exp(-x)))
_unary("softplus", lambda x: np.logaddexp(x, 0))
_unary("elu", lambda x: np.where(x < 0, np.expm1(x), x))


@case
def row_broadcast():
    m, n = td.sizes("M N")
    a, b = tensor("A", m, n), tensor("B", n)
    return [a, b], ops.add(a, b, name="Y"), np.add


@case
def column_broadcast():
    m, n = td.sizes("M N")
    a, b = tensor("A", m, n), tensor("B", m, 1)
    return [a, b], ops.subtract(a, b, name="Y"), np.subtract


def _product(ta, tb, dtype):
    def make():
        m, n, k = td.sizes("M N K")
        a = tensor("A", *((k, m) if ta else (m, k)), dtype=dtype)
        b = tensor("B", *((n, k) if tb else (k, n)), dtype=dtype)
        made = ops.gemm(a, b, transpose_a=ta, transpose_b=tb, name="Y")
        return [a, b], made, lambda x, y: (x.T if ta else x) @ (y.T if tb else y)

    CASES[f"product_{'nt'[ta]}{'nt'[tb]}_{dtype}"] = make


for _ta, _tb in np.ndindex(2, 2):
    _product(bool(_ta), bool(_tb), "float32")
_product(False, False, "float64")
_product(False, True, "int32")


@case
def batches_of_products():
    h, m, n, k = td.sizes("H M N K")
    a, b = tensor("A", h, m, k), tensor("B", h, k, n)
    return [a, b], ops.matmul(a, b, name="Y"), np.matmul


@case
def product_bias_relu():
    m, n, k = td.sizes("M N K")
    a, b, c = tensor("A", m, k), tensor("B", k, n), tensor("C", n)
    made = ops.relu(ops.add(ops.matmul(a, b, name="P"), c, name="S"), name="Y")
    return [a, b, c], made, lambda x, y, z: np.maximum(x @ y + z, 0)


def _reduction(name, reducer, function, axis):
    def make():
        a = tensor("A", *td.sizes("L M N"), dtype="float64")
        return [a], ops.reduce(reducer, a, axis, name="Y"), lambda x: function(x, axis=axis)

    axes = axis if isinstance(axis, tuple) else (axis,)
    CASES["_".join([name, "over", *map(str, axes)])] = make


for _axis in (0, 1, 2, (0, 1), (1, 2), (0, 2)):
    _reduction("sum", td.sum, np.sum, _axis)
_reduction("max", td.max, lambda x, axis: np.max(x, axis, initial=-np.inf), 2)
_reduction("min", td.min, lambda x, axis: np.min(x, axis, initial=np.inf), 0)
_reduction("prod", td.prod, np.prod, 1)


def _softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
    return e / e.sum(axis, keepdims=True)


@case
def softmax_of_rows():
    a = tensor("A", *td.sizes("M N"))
    return [a], ops.softmax(a, name="Y"), lambda x: _softmax(x, 1)


@case
def softmax_of_columns():
    a = tensor("A", *td.sizes("M N"))
    return [a], ops.softmax(a, 0, name="Y"), lambda x: _softmax(x, 0)


@case
def log_softmax_of_rows():
    a = tensor("A", *td.sizes("M N"))
    return [a], ops.log_softmax(a, name="Y"), lambda x: np.log(_softmax(x, 1))


@case
def transpose_of_three_axes():
    a = tensor("A", *td.sizes("L M N"))
    return [a], ops.transpose(a, (2, 0, 1), name="Y"), lambda x: x.transpose(2, 0, 1)


@case
def transpose_of_a_matrix():
    a = tensor("A", *td.sizes("M N"))
    return [a], ops.transpose(a, name="Y"), np.transpose


@case
def concat_along_symbolic_axes():
    k, m, n = td.sizes("K M N")
    a, b = tensor("A", k, n), tensor("B", m, n)
    return [a, b], ops.concat([a, b], 0, name="Y"), lambda x, y: np.concatenate([x, y])


@case
def flip():
    a = tensor("A", *td.sizes("M N"))
    return [a], ops.flip(a, 1, name="Y"), lambda x: x[:, ::-1]


@case
def constant_borders():
    a = tensor("A", *td.sizes("M N"))
    return [a], ops.pad(a, (1, 2), (0, 3), name="Y"), lambda x: np.pad(x, ((1, 0), (2, 3)))


@case
def running_sums():
    a = tensor("A", *td.sizes("M N"), dtype="float64")
    return [a], ops.cumulative_sum(a, 1, name="Y"), lambda x: np.cumsum(x, 1)


@case
def sums_of_squares():
    a = tensor("A", *td.sizes("M N"), dtype="float64")
    return [a], ops.sum_square(a, 1, name="Y"), lambda x: (x * x).sum(1)


@lru_cache
def _built(name):
    inputs, output, function = CASES[name]()
    return td.build(td.func(name, inputs, [output])), inputs, function


def run(name, seed):
    """Raises AssertionError with the sizes where the results differ."""
    kernel, inputs, function = _built(name)
    rng = np.random.default_rng([seed, *name.encode()])
    sizes = {}
    arrays = []
    for t in inputs:
        shape = [
            d if isinstance(d, int) else sizes.setdefault(d.expr, int(rng.choice(SIZES)))
            for d in t.shape
        ]
        kind = t.dtype.numpy
        draw = rng.integers(-9, 9, shape) if kind.kind == "i" else rng.uniform(-2, 2, shape)
        arrays.append(np.asarray(draw).astype(kind))
    wide = [x.astype("d") if x.dtype.kind == "f" else x for x in arrays]
    with np.errstate(all="ignore"):
        want = function(*wide)
    got = kernel(*arrays)
    label = f"{name} seed {seed} {[x.shape for x in arrays]}"
    assert got.shape == want.shape, label
    limit = TOLERANCES.get(got.dtype.name, 0)
    np.testing.assert_allclose(
        got.astype("d"), want.astype("d"), rtol=limit, atol=limit * 20, err_msg=label
    )
