"""Widening, saturating, halving and fixed-point integers, at the extremes of every width."""

import itertools

import numpy as np
import pytest

import tdsl as td
from tdsl.dtypes import BY_NAME

INTEGERS = [f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")]
NARROW = [name for name in INTEGERS if "64" not in name]


def extremes(dtype):
    low, high = int(dtype.min), int(dtype.max)
    near = {low, low + 1, low // 2, high, high - 1, high // 2, 0, 1, 2, 3, 100}
    return sorted(n for n in near | {-n for n in near} if low <= n <= high)


def clamp(n, dtype):
    return max(int(dtype.min), min(int(dtype.max), n))


def apply(ops, name, *, vectorized=True):
    """All pairs of extremes through one kernel of several results."""
    pairs = list(itertools.product(extremes(BY_NAME[name]), repeat=2))
    n = len(pairs)
    A = td.placeholder((n,), name, name="A")
    B = td.placeholder((n,), name, name="B")
    made = [
        td.compute((n,), lambda i, op=op: op(A[i], B[i]), name=f"C{k}") for k, op in enumerate(ops)
    ]
    func = td.func("pairs", [A, B], made)
    s = td.Schedule(func)
    if vectorized:
        for k in range(len(ops)):
            s.vectorize(f"C{k}.i", 8)
    arrays = [np.array(column, name) for column in zip(*pairs, strict=True)]
    got, wanted = td.build(s)(*arrays), td.reference(func)(*arrays)
    if len(ops) == 1:
        got, wanted = (got,), (wanted,)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    return pairs, got


def numbers(array):
    return [int(n) for n in array]


EVERY = {
    "saturating_add": lambda a, b, t: clamp(a + b, t),
    "saturating_sub": lambda a, b, t: clamp(a - b, t),
    "absd": lambda a, b, _: abs(a - b),
    "halving_add": lambda a, b, _: (a + b) >> 1,
    "rounding_halving_add": lambda a, b, _: (a + b + 1) >> 1,
}
WIDER = {
    "widening_add": lambda a, b: a + b,
    "widening_sub": lambda a, b: a - b,
    "widening_mul": lambda a, b: a * b,
}


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("name", INTEGERS)
def test_results_that_fit_every_width(name, vectorized):
    pairs, got = apply([getattr(td, op) for op in EVERY], name, vectorized=vectorized)
    for op, array in zip(EVERY, got, strict=True):
        assert numbers(array) == [EVERY[op](a, b, BY_NAME[name]) for a, b in pairs], op
        assert array.dtype.name == (name if op != "absd" else f"u{name.removeprefix('u')}")


@pytest.mark.parametrize("name", NARROW)
def test_results_in_twice_the_bits(name):
    pairs, got = apply([getattr(td, op) for op in WIDER], name)
    for op, array in zip(WIDER, got, strict=True):
        assert numbers(array) == [WIDER[op](a, b) for a, b in pairs], op
        assert array.dtype.itemsize == 2 * np.dtype(name).itemsize


@pytest.mark.parametrize("name", NARROW)
def test_fixed_point_products(name):
    dtype, amounts = BY_NAME[name], (0, 1, 7, 15)
    ops = [lambda a, b, n=n: td.mul_shift_right(a, b, n) for n in amounts]
    ops += [lambda a, b, n=n: td.rounding_mul_shift_right(a, b, n) for n in amounts]
    pairs, got = apply(ops, name)
    for n, plain, rounded in zip(amounts, got[:4], got[4:], strict=True):
        assert numbers(plain) == [clamp((a * b) >> n, dtype) for a, b in pairs], n
        half = (1 << n) >> 1
        assert numbers(rounded) == [clamp((a * b + half) >> n, dtype) for a, b in pairs], n


@pytest.mark.parametrize("name", INTEGERS)
def test_rounding_shifts_by_any_number_of_bits(name):
    width = BY_NAME[name].bits
    amounts = (0, 1, 2, width - 1, width, width + 1)
    pairs, got = apply([lambda a, _, n=n: td.rounding_shift_right(a, n) for n in amounts], name)
    for n, array in zip(amounts, got, strict=True):
        assert numbers(array) == [(a + ((1 << n) >> 1)) >> n for a, _ in pairs], n


@pytest.mark.parametrize("source", INTEGERS)
def test_saturating_casts_between_all_widths(source):
    pairs, got = apply([lambda a, _, to=to: td.saturating_cast(a, to) for to in INTEGERS], source)
    for to, array in zip(INTEGERS, got, strict=True):
        assert numbers(array) == [clamp(a, BY_NAME[to]) for a, _ in pairs], to


def test_floats_and_the_widest_integers_are_refused():
    x = td.placeholder((4,), "float32", name="x")
    with pytest.raises(td.TypeMismatch, match="saturating_add of float32"):
        td.saturating_add(x[0], 1.0)
    y = td.placeholder((4,), "int64", name="y")
    with pytest.raises(td.TypeMismatch, match="twice as wide as int64"):
        td.widening_mul(y[0], 2)
    z = td.placeholder((4,), "int8", name="z")
    with pytest.raises(td.TypeMismatch, match="mixes int64 and int8"):
        td.saturating_add(y[0], z[0])


@pytest.mark.parametrize("to", INTEGERS)
def test_numbers_are_cast_as_values_are(to):
    dtype = BY_NAME[to]
    for x in (2.9, -2.9, 1e30, -1e30, float("inf"), float("-inf"), np.float64(300.5)):
        assert td.cast(x, to).expr.value == clamp(int(max(-1e40, min(x, 1e40))), dtype), x
    assert td.cast(float("nan"), to).expr.value == 0
    for x in (300, -1, 1 << 63):
        assert (td.cast(x, to).expr.value - x) % (1 << dtype.bits) == 0, x


@pytest.mark.parametrize("dtype", ["float32", "bool"])
@pytest.mark.parametrize("count", [td.popcount, td.clz])
def test_bits_are_counted_of_integers(count, dtype):
    x = td.placeholder((4,), dtype, name="x")
    with pytest.raises(td.TypeMismatch, match=f"of {dtype}"):
        count(x[0])
