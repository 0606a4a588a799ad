"""Kernels with work-groups, local memory and barriers, on a device and in hostile orders."""

from __future__ import annotations

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.interp import interpret
from tests.opencl import kernels

PRIMES = [1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 61, 67]


def _random(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def _sizes(count, rng):
    """Sizes at random, of which some are 0, 1 and primes."""
    for n in range(count):
        sizes = [int(rng.integers(1, 70)) for _ in range(3)]
        if n % 3 == 0:
            sizes[n % 2] = int(rng.choice(PRIMES))
        if n % 5 == 0:
            sizes[n // 5 % 3] = 1
        if n % 10 == 0:
            sizes[n // 10 % 3] = 0
        yield tuple(sizes)


@pytest.mark.parametrize("make", [kernels.matmul, kernels.matmul_tiled])
def test_matmul_with_shared_tiles_is_bit_equal_to_the_cpu_at_many_sizes(opencl, make):
    schedule = make()
    kernel = td.build(schedule)
    expected = kernels.canonical(schedule)
    rng = np.random.default_rng(1)
    for m, n, k in _sizes(60, rng):
        a, b = _random(rng, m, k), _random(rng, k, n)
        np.testing.assert_array_equal(kernel(a, b), expected(a, b), err_msg=str((m, n, k)))


@pytest.mark.parametrize("sizes", [(3, 3, 3), (5, 2, 4), (1, 1, 1), (2, 3, 0), (0, 2, 2)])
@pytest.mark.parametrize("make", [kernels.matmul, kernels.matmul_tiled])
def test_matmul_survives_hostile_orders_of_work_items(make, sizes):
    m, n, k = sizes
    schedule = make(2) if make is kernels.matmul else make(2, 2, 1)
    rng = np.random.default_rng(2)
    arrays = {"A": _random(rng, m, k), "B": _random(rng, k, n)}
    size = {"M": m, "N": n, "K": k}
    expected = interpret(schedule.func.program, arrays, size)
    kernels.check_hostile(schedule, arrays, expected, sizes=size)


def test_transpose_through_local_memory(opencl):
    schedule = kernels.transpose()
    kernel = td.build(schedule)
    rng = np.random.default_rng(3)
    for shape in [(1, 1), (8, 8), (17, 5), (0, 4), (4, 0), (64, 100), (67, 3)]:
        x = _random(rng, *shape)
        np.testing.assert_array_equal(kernel(x), x.T)


def test_elementwise(opencl):
    schedule = kernels.elementwise()
    kernel, expected = td.build(schedule), kernels.canonical(schedule)
    rng = np.random.default_rng(4)
    for shape in [(1, 1), (8, 8), (17, 5), (0, 4), (4, 0), (64, 100)]:
        x = _random(rng, *shape)
        np.testing.assert_array_equal(kernel(x), expected(x))


@pytest.mark.parametrize("lanes", [8, 6, 1])
def test_softmax_reduces_rows_by_a_tree(opencl, lanes):
    kernel = td.build(kernels.softmax(lanes))
    rng = np.random.default_rng(5)
    for shape in [(1, 1), (3, 16), (5, 17), (7, 100), (2, 0), (0, 3), (33, 31)]:
        x = _random(rng, *shape)
        e = np.exp(x - x.max(axis=1, keepdims=True)) if x.size else x
        expected = e / e.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(kernel(x), expected, rtol=1e-5)


def test_layernorm_reduces_rows_by_a_tree(opencl):
    kernel = td.build(kernels.layernorm(8))
    rng = np.random.default_rng(6)
    for m, n in [(1, 1), (3, 16), (5, 17), (7, 100), (33, 31)]:
        x, g, b = _random(rng, m, n), _random(rng, n), _random(rng, n)
        mean = x.mean(axis=1, keepdims=True)
        deviation = np.sqrt(((x - mean) ** 2).mean(axis=1, keepdims=True) + 1e-5)
        expected = (x - mean) / deviation * g + b
        np.testing.assert_allclose(kernel(x, g, b, float(n)), expected, rtol=2e-4, atol=2e-5)


def _inputs(schedule, rng, sizes):
    arrays = {}
    for param in schedule.func.program.params:
        if param.role.value == "in":
            shape = [sizes[e.name] for e in param.buffer.shape]
            arrays[param.buffer.name] = _random(rng, *shape)
    if "count" in arrays:
        arrays["count"] = np.float32(sizes["N"]).reshape(())
    return arrays


@pytest.mark.parametrize(
    ("schedule", "sizes"),
    [
        (kernels.softmax(4), {"M": 2, "N": 6}),
        (kernels.softmax(3), {"M": 1, "N": 5}),
        (kernels.layernorm(4), {"M": 2, "N": 6}),
        (kernels.transpose(3), {"M": 4, "N": 5}),
        (kernels.elementwise(2), {"M": 3, "N": 3}),
    ],
    ids=["softmax", "softmax3", "layernorm", "transpose", "elementwise"],
)
def test_work_items_in_hostile_orders_compute_the_same(opencl, schedule, sizes):
    arrays = _inputs(schedule, np.random.default_rng(7), sizes)
    kernel = td.build(schedule)
    result = kernel(*arrays.values())
    expected = kernels.interpreted(schedule, arrays, sizes)
    np.testing.assert_array_equal(result, expected["Y"])
    meant = interpret(schedule.program, arrays, sizes)
    np.testing.assert_allclose(result, meant["Y"], rtol=1e-5, atol=1e-6)
    kernels.check_hostile(schedule, arrays, expected, sizes=sizes)
