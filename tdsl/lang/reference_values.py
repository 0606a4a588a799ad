"""Scalar semantics on whole numpy arrays: the table of ir/expr.py, written a second time.

Shares no code with lowering or the interpreter: it is what they are tested against.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tdsl.dtypes import DType, bfloat16
from tdsl.errors import InternalError
from tdsl.ir.expr import BinaryOp, MathFn, UnaryOp

Array = NDArray[Any]


def wrap(values: Array, dtype: DType) -> Array:
    """Give the values their dtype, rounding once or wrapping."""
    given = np.asarray(values)
    if dtype is bfloat16 and given.dtype.itemsize > 2 and given.dtype != np.float32:
        given = _odd_single(given)
    return given.astype(dtype.numpy, copy=False)


def _odd_single(values: Array) -> Array:
    """float32, rounded to odd: ml_dtypes takes all numbers through float32, and rounds again."""
    near = values.astype(np.float32)
    exact, back = values.astype(np.longdouble), near.astype(np.longdouble)
    bits = near.view(np.int32)
    odd = (bits - (np.abs(back) > np.abs(exact))) | 1
    return np.where(np.isfinite(near) & (back != exact), odd, bits).view(np.float32)


def binary(op: BinaryOp, a: Array, b: Array, dtype: DType) -> Array:
    """`a op b` of arrays of one dtype; `dtype` is that of the operands."""
    if op.compares:
        return _compare(op, a, b)
    if dtype.is_float:
        return wrap(_float_binary(op, _wide(a, dtype), _wide(b, dtype)), dtype)
    if dtype.is_bool:
        return _bool_binary(op, a, b)
    return _int_binary(op, a, b, dtype)


def _wide(a: Array, dtype: DType) -> Array:
    """16-bit floats are computed in float32 and rounded once: the same as rounding exactly."""
    return a.astype(np.float32) if dtype.bits == 16 else a


def _compare(op: BinaryOp, a: Array, b: Array) -> Array:
    table: dict[BinaryOp, Callable[[Array, Array], Array]] = {
        BinaryOp.LT: np.less,
        BinaryOp.LE: np.less_equal,
        BinaryOp.GT: np.greater,
        BinaryOp.GE: np.greater_equal,
        BinaryOp.EQ: np.equal,
        BinaryOp.NE: np.not_equal,
    }
    return table[op](a, b)


def _float_binary(op: BinaryOp, a: Array, b: Array) -> Array:
    table: dict[BinaryOp, Callable[[Array, Array], Array]] = {
        BinaryOp.ADD: np.add,
        BinaryOp.SUB: np.subtract,
        BinaryOp.MUL: np.multiply,
        BinaryOp.TRUEDIV: np.true_divide,
        # numpy's own choose either of two zeros
        BinaryOp.MIN: lambda x, y: np.where((x <= y) | np.isnan(x), x, y),
        BinaryOp.MAX: lambda x, y: np.where((x >= y) | np.isnan(x), x, y),
    }
    return table[op](a, b)


def _bool_binary(op: BinaryOp, a: Array, b: Array) -> Array:
    table: dict[BinaryOp, Callable[[Array, Array], Array]] = {
        BinaryOp.AND: np.logical_and,
        BinaryOp.OR: np.logical_or,
        BinaryOp.XOR: np.logical_xor,
        BinaryOp.MIN: np.logical_and,
        BinaryOp.MAX: np.logical_or,
    }
    return table[op](a, b)


def _int_binary(op: BinaryOp, a: Array, b: Array, dtype: DType) -> Array:
    match op:
        case BinaryOp.FLOORDIV | BinaryOp.FLOORMOD:
            return _divide(op, a, b, dtype)
        case BinaryOp.SHL | BinaryOp.SHR:
            return _shift(op, a, b, dtype)
        case _:
            table: dict[BinaryOp, Callable[[Array, Array], Array]] = {
                BinaryOp.ADD: np.add,
                BinaryOp.SUB: np.subtract,
                BinaryOp.MUL: np.multiply,
                BinaryOp.MIN: np.minimum,
                BinaryOp.MAX: np.maximum,
                BinaryOp.AND: np.bitwise_and,
                BinaryOp.OR: np.bitwise_or,
                BinaryOp.XOR: np.bitwise_xor,
            }
            return wrap(table[op](a, b), dtype)


def _divide(op: BinaryOp, a: Array, b: Array, dtype: DType) -> Array:
    a, b = np.broadcast_arrays(a, b)
    safe = b != 0
    minus_one = safe & (b.astype(np.float64) == -1)
    divisor = np.where(safe & ~minus_one, b, np.ones_like(b))
    if op is BinaryOp.FLOORMOD:
        rest = np.mod(a, divisor)
        return wrap(np.where(safe & ~minus_one, rest, np.zeros_like(a)), dtype)
    quotient = np.floor_divide(a, divisor)
    quotient = np.where(minus_one, np.subtract(np.zeros_like(a), a), quotient)
    return wrap(np.where(safe, quotient, np.zeros_like(a)), dtype)


def _shift(op: BinaryOp, a: Array, b: Array, dtype: DType) -> Array:
    count = b.astype(np.int64) if dtype.bits < 64 or dtype.min < 0 else b
    past = (count < 0) | (count >= dtype.bits)
    inside = np.where(past, 0, count).astype(dtype.numpy)
    if op is BinaryOp.SHL:
        return wrap(np.where(past, np.zeros_like(a), np.left_shift(a, inside)), dtype)
    sign = np.right_shift(a, np.asarray(dtype.bits - 1, dtype.numpy))
    fill = sign if dtype.min < 0 else np.zeros_like(a)
    return wrap(np.where(past, fill, np.right_shift(a, inside)), dtype)


def unary(op: UnaryOp, a: Array, dtype: DType) -> Array:
    """`op(a)`; `dtype` is that of the operand."""
    match op:
        case UnaryOp.NEG:
            return (
                wrap(np.negative(a), dtype)
                if dtype.is_float
                else wrap(np.subtract(np.zeros_like(a), a), dtype)
            )
        case UnaryOp.NOT:
            return np.logical_not(a) if dtype.is_bool else np.invert(a)
        case UnaryOp.ABS:
            return wrap(np.abs(a), dtype)
        case UnaryOp.ISNAN:
            return np.isnan(a)
        case UnaryOp.ISINF:
            return np.isinf(a)
        case UnaryOp.POPCOUNT:
            return wrap(np.bitwise_count(a.view(f"u{a.dtype.itemsize}")), dtype)
        case UnaryOp.CLZ:
            return wrap(_leading_zeros(a, dtype), dtype)
        case _:
            table: dict[UnaryOp, Callable[[Array], Array]] = {
                UnaryOp.FLOOR: np.floor,
                UnaryOp.CEIL: np.ceil,
                UnaryOp.TRUNC: np.trunc,
                UnaryOp.ROUND: np.rint,
                UnaryOp.SQRT: np.sqrt,
            }
            return wrap(table[op](_wide(a, dtype)), dtype)


def _leading_zeros(a: Array, dtype: DType) -> Array:
    rest = a.view(f"u{a.dtype.itemsize}").astype(np.uint64)
    count = np.full(rest.shape, dtype.bits, np.int64)
    for _ in range(dtype.bits):
        count = np.where(rest != 0, count - 1, count)
        rest = rest >> np.uint64(1)
    return count


def cast(a: Array, source: DType, target: DType) -> Array:
    """Convert: float to int truncates and saturates, NaN gives 0; int to int wraps."""
    if target.is_bool:
        return np.not_equal(a, np.zeros((), a.dtype))
    if not (source.is_float and target.is_integer):
        return wrap(a, target)
    wide = a.astype(np.float64)
    whole = np.trunc(np.where(np.isnan(wide), 0.0, wide))
    low, high = int(target.min), int(target.max)
    too_high = whole >= float(high) if target.bits >= 53 else whole > high
    too_low = whole < float(low)
    inside = np.where(too_high | too_low, 0.0, whole).astype(target.numpy)
    ceiling, floor = np.asarray(high, target.numpy), np.asarray(low, target.numpy)
    return np.where(too_high, ceiling, np.where(too_low, floor, inside))


def fma(a: Array, b: Array, c: Array, dtype: DType) -> Array:
    """`a * b + c` rounded once (float64: through the exact product in two parts)."""
    if dtype.bits <= 32:
        exact = a.astype(np.float64) * b.astype(np.float64)
        return wrap(_add_round_odd(exact, c.astype(np.float64)), dtype)
    wide = np.longdouble
    return wrap(a.astype(wide) * b.astype(wide) + c.astype(wide), dtype)


def _add_round_odd(x: Array, y: Array) -> Array:
    """Sum of float64 rounded to odd, so that a second rounding to float32 is right."""
    total = x + y
    back = total - x
    error = (x - (total - back)) + (y - back)
    bits = np.asarray(total).view(np.int64)
    inexact = (error != 0) & np.isfinite(total) & ((bits & 1) == 0)
    toward = np.where((error > 0) == (total > 0), 1, -1)
    return np.where(inexact, bits + toward, bits).view(np.float64)


def math_call(fn: MathFn, args: list[Array], dtype: DType) -> Array:
    """A transcendental function, computed in a wider type and rounded."""
    wide = [a.astype(np.longdouble if dtype.bits == 64 else np.float64) for a in args]
    with np.errstate(all="ignore"):
        return wrap(_math(fn, wide), dtype)


_NUMPY_NAMES = {
    MathFn.ASIN: "arcsin",
    MathFn.ACOS: "arccos",
    MathFn.ATAN: "arctan",
    MathFn.ATAN2: "arctan2",
    MathFn.POW: "power",
}


def _math(fn: MathFn, args: list[Array]) -> Array:
    x = args[0]
    match fn:
        case MathFn.ERF:
            erf = np.vectorize(math.erf, otypes=[np.float64])
            return np.asarray(erf(x.astype(np.float64)))
        case MathFn.SIGMOID:
            return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))
        case MathFn.RSQRT:
            return np.asarray(1 / np.sqrt(x))
        case _:
            function = getattr(np, _NUMPY_NAMES.get(fn, fn.value), None)
            if function is None:
                raise InternalError(f"no reference for {fn.value}")
            return np.asarray(function(*args))
