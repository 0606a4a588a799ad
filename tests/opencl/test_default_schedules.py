"""Default schedules for devices: work-items in hostile orders, and a need for every barrier."""

from __future__ import annotations

import numpy as np
import pytest

import tdsl as td
from tdsl import schedules as ops
from tdsl.ir.interp import CANONICAL, HOSTILE, interpret
from tests.opencl import kernels
from tests.opencl.mutations import is_caught, without_barrier


def tensor(name, *shape):
    return td.placeholder(shape, "float32", name=name)


def matmul():
    a, b = tensor("A", 5, 11), tensor("B", 11, 34)
    return [a, b], ops.matmul(a, b, name="Y"), "product"


def matmul_relu():
    a, b, c = tensor("A", 3, 9), tensor("B", 9, 5), tensor("c", 5)
    return (
        [a, b, c],
        ops.relu(ops.add(ops.matmul(a, b, name="P"), c, name="S"), name="Y"),
        "product",
    )


def conv2d():
    x, w = tensor("X", 1, 2, 5, 6), tensor("W", 3, 2, 3, 3)
    return [x, w], ops.conv(x, w, pad=1, name="Y"), "product"


def reduce():
    x = tensor("X", 2, 70)
    return [x], ops.reduce(td.sum, x, 1, name="Y"), "rows"


def reduce_all():
    x = tensor("X", 61, 70)
    return [x], ops.reduce(td.sum, x, name="Y"), "rows"


def softmax():
    x = tensor("X", 2, 70)
    return [x], ops.softmax(x, name="Y"), "rows"


def layernorm():
    x, g, b = tensor("X", 1, 67), tensor("g", 67), tensor("b", 67)
    return [x, g, b], ops.layer_norm(x, g, b, name="Y"), "rows"


def transpose():
    x = tensor("X", 17, 19)
    return [x], ops.transpose(x, name="Y"), "squares"


def elementwise():
    x, b = tensor("X", 3, 30), tensor("b", 3, 1)
    return [x, b], ops.add(x, b, name="Y"), "elements"


LONG = pytest.mark.fuzz  # some seconds each in the interpreter
CASES = [
    matmul, matmul_relu, pytest.param(conv2d, marks=LONG), reduce,
    pytest.param(reduce_all, marks=LONG), softmax, layernorm, transpose, elementwise,
]  # fmt: skip
MUTATED = [
    matmul_relu, reduce, transpose, pytest.param(softmax, marks=LONG),
    pytest.param(layernorm, marks=LONG),
]  # fmt: skip


def _scheduled(make):
    inputs, output, rule = make()
    s = td.default_schedule(td.func("operator", inputs, [output]), target="opencl")
    assert s.why.rule_of(output.name) == rule, str(s.why)
    assert not any(d.refused for d in s.why.decisions), str(s.why)
    rng = np.random.default_rng(5)
    arrays = {t.name: rng.standard_normal(t.shape).astype(np.float32) for t in inputs}
    return s, arrays


@pytest.mark.parametrize("make", CASES)
def test_work_items_may_run_in_any_order(make):
    s, arrays = _scheduled(make)
    program = kernels.lowered(s)
    runs = [
        interpret(program, arrays, order=order, detect_conflicts=True)["Y"]
        for order in (CANONICAL, *HOSTILE)
    ]
    want = td.reference(s.func)(*arrays.values())
    np.testing.assert_allclose(runs[0], want, rtol=1e-4, atol=1e-4)
    for other in runs[1:]:
        np.testing.assert_array_equal(other, runs[0])


@pytest.mark.parametrize("make", MUTATED)
def test_removing_any_one_barrier_is_caught(make):
    s, arrays = _scheduled(make)
    program = kernels.lowered(s)
    expected = interpret(program, arrays)
    count = len(kernels.barriers(program))
    assert count > 0
    for number in range(count):
        mutant = without_barrier(program, number)
        assert is_caught(mutant, arrays, {}, expected), f"barrier {number} of {count}"


def test_one_product_serves_all_sizes(opencl):
    """60 products by one kernel, of which some are empty, some prime."""
    m, n, k = td.sizes("M N K")
    a, b = td.placeholder((m, k), name="A"), td.placeholder((k, n), name="B")
    kernel = td.build(td.func("product", [a, b], [ops.matmul(a, b, name="C")]), "opencl")
    rng = np.random.default_rng(6)
    primes = [2, 3, 5, 7, 11, 13, 17, 31, 37, 61, 67]
    for number in range(60):
        sizes = [int(rng.choice([rng.integers(1, 70), rng.choice(primes)])) for _ in range(3)]
        if number % 6 == 0:
            sizes[number // 6 % 3] = number // 6 % 2
        x = rng.standard_normal((sizes[0], sizes[2])).astype(np.float32)
        y = rng.standard_normal((sizes[2], sizes[1])).astype(np.float32)
        np.testing.assert_allclose(kernel(x, y), x @ y, rtol=1e-4, atol=1e-4, err_msg=str(sizes))
