"""Exact scalar semantics of expr.py on Python values: ints wrap, floats round to their dtype.

A value is an int, a float that its dtype can hold, or a bool. Arithmetic runs in Python's ints and
doubles and is rounded once: for +, -, *, / and sqrt a double rounding through 53 bits is
innocuous for the narrower floats; fma and conversions avoid it by rounding to odd in between.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from ctypes import c_float
from fractions import Fraction
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir.expr import BinaryOp, MathFn, UnaryOp

Scalar: TypeAlias = Any  # int, float or bool
Binary: TypeAlias = Callable[[Scalar, Scalar], Scalar]
Unary: TypeAlias = Callable[[Scalar], Scalar]


def round_f32(x: float) -> float:
    """The nearest float32, ties to even."""
    return c_float(x).value


def round_f16(x: float) -> float:
    """The nearest float16, ties to even."""
    try:
        return float(struct.unpack("<e", struct.pack("<e", x))[0])
    except OverflowError:
        return math.copysign(math.inf, x)


def round_bf16(x: float) -> float:
    """The nearest bfloat16, ties to even."""
    y = c_float(x).value
    if x == 0.0 or not math.isfinite(y):
        return y
    bits = int(struct.unpack("<I", struct.pack("<f", y))[0])
    if y != x:  # round to odd: the lost digits must not turn into a tie
        if abs(y) > abs(x):
            bits -= 1
        bits |= 1
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


_ROUND: dict[str, Unary] = {
    "float16": round_f16,
    "bfloat16": round_bf16,
    "float32": round_f32,
    "float64": float,
}


def rounding(dtype: DType) -> Unary:
    """The function that rounds a double to a float dtype."""
    return _ROUND[dtype.name]


@cache
def wrapping(dtype: DType) -> Unary:
    """The function that wraps an int to an integer dtype."""
    if dtype.is_bool:
        return bool
    low, high, modulus = int(dtype.min), int(dtype.max), 1 << dtype.bits

    def wrap(x: int) -> int:
        if low <= x <= high:
            return x
        x &= modulus - 1
        return x - modulus if x > high else x

    return wrap


def _divide(a: float, b: float) -> float:
    try:
        return a / b
    except ZeroDivisionError:
        if math.isnan(a) or a == 0.0:
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)


_FAR = 1 << 16  # powers of two beyond all exponents


def _scale(a: Scalar, b: Scalar) -> Scalar:
    if b != b:  # noqa: PLR0124 - NaN
        return b
    try:
        return math.ldexp(a, int(max(-_FAR, min(b, _FAR))))
    except OverflowError:
        return math.copysign(math.inf, a)


def _min(a: Scalar, b: Scalar) -> Scalar:
    return a if a <= b or a != a else b  # noqa: PLR0124 - NaN


def _max(a: Scalar, b: Scalar) -> Scalar:
    return a if a >= b or a != a else b  # noqa: PLR0124 - NaN


_COMPARE: dict[BinaryOp, Binary] = {
    BinaryOp.LT: operator.lt,
    BinaryOp.LE: operator.le,
    BinaryOp.GT: operator.gt,
    BinaryOp.GE: operator.ge,
    BinaryOp.EQ: operator.eq,
    BinaryOp.NE: operator.ne,
    BinaryOp.MIN: _min,
    BinaryOp.MAX: _max,
}
_RING: dict[BinaryOp, Binary] = {
    BinaryOp.ADD: operator.add,
    BinaryOp.SUB: operator.sub,
    BinaryOp.MUL: operator.mul,
}
_FLOATING: dict[BinaryOp, Binary] = {
    BinaryOp.TRUEDIV: _divide,
    BinaryOp.SHL: _scale,
}
_BITS: dict[BinaryOp, Binary] = {
    BinaryOp.AND: operator.and_,
    BinaryOp.OR: operator.or_,
    BinaryOp.XOR: operator.xor,
}


@cache
def binary(op: BinaryOp, dtype: DType) -> Binary | None:
    """`a op b` for operands of *dtype*, or None where the operation is not defined for it."""
    if op in _COMPARE:
        return _COMPARE[op]
    if dtype.is_float:
        return _float_binary(op, dtype)
    if op in _BITS:
        return _BITS[op]
    return None if dtype.is_bool else _int_binary(op, dtype)


def _float_binary(op: BinaryOp, dtype: DType) -> Binary | None:
    base = _FLOATING.get(op) or _RING.get(op)
    if base is None or dtype is dtypes.float64:
        return base
    if dtype is dtypes.float32:
        return lambda a, b: c_float(base(a, b)).value
    rounded = rounding(dtype)
    return lambda a, b: rounded(base(a, b))


def _int_binary(op: BinaryOp, dtype: DType) -> Binary | None:
    wrap = wrapping(dtype)
    bits, low = dtype.bits, dtype.min
    match op:
        case BinaryOp.ADD | BinaryOp.SUB | BinaryOp.MUL:
            ring = _RING[op]
            return lambda a, b: wrap(ring(a, b))
        case BinaryOp.FLOORDIV:
            return lambda a, b: wrap(a // b) if b else 0
        case BinaryOp.FLOORMOD:
            return lambda a, b: a % b if b else 0
        case BinaryOp.SHL:
            return lambda a, b: wrap(a << b) if 0 <= b < bits else 0
        case BinaryOp.SHR:
            return lambda a, b: a >> b if 0 <= b < bits else (-1 if low and a < 0 else 0)
        case _:
            return None


def unary(op: UnaryOp, dtype: DType) -> Unary | None:
    """`op(a)` for an operand of *dtype*, or None where the operation is not defined for it."""
    if dtype.is_float:
        return _float_unary(op, dtype)
    if dtype.is_bool:
        return operator.not_ if op is UnaryOp.NOT else None
    return _int_unary(op, dtype)


def _float_unary(op: UnaryOp, dtype: DType) -> Unary | None:
    match op:
        case UnaryOp.NEG:
            return operator.neg
        case UnaryOp.ABS:
            return abs
        case UnaryOp.ISNAN:
            return math.isnan
        case UnaryOp.ISINF:
            return math.isinf
        case UnaryOp.SQRT:
            rounded = rounding(dtype)
            return lambda x: rounded(math.sqrt(x)) if x >= 0 else (x if x == 0 else math.nan)
        case UnaryOp.FLOOR | UnaryOp.CEIL | UnaryOp.TRUNC | UnaryOp.ROUND:
            return _integral(getattr(math, op.value, round))
        case _:
            return None


def _integral(whole: Callable[[float], int]) -> Unary:
    def apply(x: float) -> float:
        # whole numbers, infinities and NaN are their own result
        return x if not abs(x) < 2.0**52 else math.copysign(float(whole(x)), x)

    return apply


def _int_unary(op: UnaryOp, dtype: DType) -> Unary | None:
    wrap = wrapping(dtype)
    mask = (1 << dtype.bits) - 1
    match op:
        case UnaryOp.NEG:
            return lambda x: wrap(-x)
        case UnaryOp.NOT:
            return lambda x: wrap(~x)
        case UnaryOp.ABS:
            return lambda x: wrap(abs(x))
        case UnaryOp.FLOOR | UnaryOp.CEIL | UnaryOp.TRUNC | UnaryOp.ROUND:
            return lambda x: x
        case UnaryOp.POPCOUNT:
            return lambda x: (x & mask).bit_count()
        case UnaryOp.CLZ:
            return lambda x: dtype.bits - (x & mask).bit_length()
        case _:
            return None


def fma(dtype: DType) -> Callable[[float, float, float], float]:
    """`a * b + c` rounded once."""
    if dtype is dtypes.float64:
        return _fma_f64
    rounded = rounding(dtype)

    def apply(a: float, b: float, c: float) -> float:
        product = a * b  # exact: at most 48 bits
        total = product + c
        if math.isfinite(total):
            virtual = total - product
            lost = (product - (total - virtual)) + (c - virtual)
            if lost:
                total = _to_odd(total, lost)
        return float(rounded(total))

    return apply


def _to_odd(x: float, lost: float) -> float:
    """`x + lost` rounded to odd, where `x` is that sum rounded to nearest."""
    if int(struct.unpack("<Q", struct.pack("<d", x))[0]) & 1:
        return x
    return math.nextafter(x, math.copysign(math.inf, lost))


def _fma_f64(a: float, b: float, c: float) -> float:
    product = a * b
    if math.isfinite(a) and math.isfinite(b) and not math.isfinite(c):
        return c  # a product too large for a float is still finite
    if a == 0.0 or b == 0.0 or not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return product + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return product + c if c == 0.0 else 0.0
    try:
        return float(exact.numerator / exact.denominator)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def cast(source: DType, target: DType) -> Unary:
    """The conversion of expr.py's CAST."""
    if source is target:
        return lambda x: x
    if target.is_bool:
        return lambda x: x != 0
    if target.is_float:
        if source.is_float:
            return rounding(target)
        rounded = rounding(target)
        return lambda x: rounded(_int_to_double(x, target))
    if source.is_float:
        return _saturating(target)
    wrap = wrapping(target)
    return lambda x: wrap(int(x))


def _int_to_double(x: int, target: DType) -> float:
    near = float(x)
    if target is dtypes.float64 or near == x:
        return near
    return _to_odd(near, float(x - int(near)))


def _saturating(target: DType) -> Unary:
    low, high = int(target.min), int(target.max)

    def convert(x: float) -> int:
        if math.isnan(x):
            return 0
        if x <= low:
            return low
        return high if x >= high else int(x)

    return convert


_FORMATS = {"float16": "<e", "float32": "<f", "float64": "<d"}
_INT_FORMATS = {
    (8, True): "<b",
    (8, False): "<B",
    (16, True): "<h",
    (16, False): "<H",
    (32, True): "<i",
    (32, False): "<I",
    (64, True): "<q",
    (64, False): "<Q",
}


def bitcast(source: DType, target: DType) -> Unary:
    """The same bits read as another dtype of the same width."""

    def convert(x: Scalar) -> Scalar:
        return _from_bits(_to_bits(x, source), target)

    return convert


def _to_bits(x: Scalar, dtype: DType) -> bytes:
    if dtype is dtypes.bfloat16:
        return struct.pack("<f", x)[2:]
    if dtype.is_float:
        return struct.pack(_FORMATS[dtype.name], x)
    return struct.pack(_INT_FORMATS[dtype.bits, bool(dtype.min)], int(x))


def _from_bits(raw: bytes, dtype: DType) -> Scalar:
    if dtype is dtypes.bfloat16:
        return struct.unpack("<f", b"\0\0" + raw)[0]
    if dtype.is_float:
        return struct.unpack(_FORMATS[dtype.name], raw)[0]
    value = struct.unpack(_INT_FORMATS[dtype.bits, bool(dtype.min)], raw)[0]
    return bool(value) if dtype.is_bool else value


def _erf(x: float) -> float:
    return math.erf(x)


def _sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(np.float64(-x))))


def _rsqrt(x: float) -> float:
    return float(1.0 / np.sqrt(np.float64(x)))


_MATH: dict[MathFn, Callable[..., Any]] = {
    MathFn.EXP: np.exp,
    MathFn.EXP2: np.exp2,
    MathFn.EXPM1: np.expm1,
    MathFn.LOG: np.log,
    MathFn.LOG2: np.log2,
    MathFn.LOG10: np.log10,
    MathFn.LOG1P: np.log1p,
    MathFn.SIN: np.sin,
    MathFn.COS: np.cos,
    MathFn.TAN: np.tan,
    MathFn.ASIN: np.arcsin,
    MathFn.ACOS: np.arccos,
    MathFn.ATAN: np.arctan,
    MathFn.ATAN2: np.arctan2,
    MathFn.SINH: np.sinh,
    MathFn.COSH: np.cosh,
    MathFn.TANH: np.tanh,
    MathFn.ERF: _erf,
    MathFn.SIGMOID: _sigmoid,
    MathFn.RSQRT: _rsqrt,
    MathFn.POW: np.power,
    MathFn.FMOD: np.fmod,
}


def math_function(fn: MathFn, dtype: DType) -> Callable[..., float]:
    """A transcendental function: computed in double, rounded once."""
    compute, rounded = _MATH[fn], rounding(dtype)

    def apply(*args: float) -> float:
        with np.errstate(all="ignore"):
            return float(rounded(float(compute(*map(np.float64, args)))))

    return apply


def zero(dtype: DType) -> Scalar:
    """The zero of a dtype."""
    return 0.0 if dtype.is_float else (False if dtype.is_bool else 0)


def garbage(dtype: DType) -> Scalar:
    """What uninitialised memory holds: NaN, or a number that no test would expect."""
    if dtype.is_float:
        return math.nan
    return True if dtype.is_bool else wrapping(dtype)(0x5A5A5A5A5A5A5A5A)


def to_scalars(array: np.ndarray[Any, Any]) -> list[Scalar]:
    """The elements in row-major order as Python values."""
    if array.dtype.kind not in "biuf" or array.dtype == np.float16:
        array = array.astype(np.float64)
    values: list[Scalar] = array.ravel().tolist()
    return values
