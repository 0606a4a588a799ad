"""Every size from 0 to 40, every tail, vectorised, unrolled and parallel: the canonical result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tdsl as td

SIZES = range(41)
FACTOR = 8
TAILS = ("guard", "mask", "shift", "peel", "balance")
SYMBOLIC_TAILS = ("guard", "mask", "shift", "peel")
MARKS = ("serial", "vectorize", "unroll", "parallel")
Shape = td.Size | int


def _elementwise(n: Shape) -> td.Func:
    A = td.placeholder((n,), "float32", name="A")
    B = td.compute((n,), lambda i: A[i] * 2.0 + 1.0, name="B")
    return td.func("axpb", [A], [B])


def _row_sums(n: Shape) -> td.Func:
    A = td.placeholder((n, n), "float32", name="A")
    k = td.reduce_axis(n, name="k")
    B = td.compute((n,), lambda i: td.sum(A[i, k], axis=k), name="B")
    return td.func("rowsums", [A], [B])


def _arrays(func: td.Func, n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(n)
    return [rng.normal(size=(n,) * t.ndim).astype(np.float32) for t in func.inputs]


def _schedule(func: td.Func, tail: str, mark: str) -> td.Schedule:
    s = td.Schedule(func)
    outer, inner = s.split(s.loops("B")[0], FACTOR, tail=tail)
    if mark == "vectorize":
        s.vectorize(inner)
    elif mark == "unroll":
        s.unroll(inner)
    elif mark == "parallel":
        s.parallel(outer)
    return s


def _check(kernel: td.Kernel, canonical: td.Kernel, arrays: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(kernel(*arrays), canonical(*arrays))


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("tail", SYMBOLIC_TAILS)
@pytest.mark.parametrize("declare", [_elementwise, _row_sums])
def test_symbolic_size(declare: Callable[[Shape], td.Func], tail: str, mark: str) -> None:
    func = declare(td.sizes("N"))
    if (declare, tail, mark) == (_row_sums, "shift", "parallel"):
        with pytest.raises(td.ScheduleError, match="compute the same element of B"):
            _schedule(func, tail, mark)  # two threads would add up one shared row
        return
    s = _schedule(func, tail, mark)
    assert s.numerics.value == "exact"
    kernel, canonical = td.build(s), td.build(td.Schedule(func))
    for n in SIZES:
        _check(kernel, canonical, _arrays(func, n))


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("tail", TAILS)
def test_concrete_sizes(tail: str, mark: str) -> None:
    for n in SIZES:
        func = _elementwise(n)
        s = _schedule(func, tail, mark)
        assert s.numerics.value == "exact"
        arrays = _arrays(func, n)
        np.testing.assert_array_equal(td.build(s)(*arrays), arrays[0] * np.float32(2) + 1)


@pytest.mark.parametrize("mark", ["serial", "vectorize", "unroll"])
@pytest.mark.parametrize("tail", SYMBOLIC_TAILS)
def test_reduction_axis_keeps_its_order(tail: str, mark: str) -> None:
    if tail == "shift":
        pytest.skip("a shifted tail would add some elements twice: refused, see tests/errors")
    func = _row_sums(td.sizes("N"))
    s = td.Schedule(func)
    _, inner = s.split(s.loops("B")[1], FACTOR, tail=tail)
    if mark == "unroll":
        s.unroll(inner)
    if mark == "vectorize":
        with pytest.raises(td.ScheduleError, match="vectorize"):
            s.vectorize(inner)
        return
    assert s.numerics.value == "exact"
    kernel, canonical = td.build(s), td.build(td.Schedule(func))
    for n in SIZES:
        _check(kernel, canonical, _arrays(func, n))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 40, 41])
def test_exact_tail_refuses_a_remainder(n: int) -> None:
    s = td.Schedule(_elementwise(n))
    if n % FACTOR == 0:
        s.split(s.loops("B")[0], FACTOR, tail="exact")
        return
    with pytest.raises(td.ScheduleError, match="exact"):
        s.split(s.loops("B")[0], FACTOR, tail="exact")
