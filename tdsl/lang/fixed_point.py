"""Integer arithmetic that does not wrap: widening, saturating, halving, and fixed-point products.

Each is plain arithmetic of the language, so that every target gives the same bits. Numbers take the
dtype of the other operand.
"""

from __future__ import annotations

from tdsl import dtypes
from tdsl.dtypes import BY_NAME, DType, as_dtype
from tdsl.errors import TypeMismatch
from tdsl.ir.expr import BinaryOp
from tdsl.lang.value import Value, binary, cast, maximum, minimum, select, unify

_WIDEST = 64


def _pair(name: str, a: object, b: object) -> tuple[Value, Value, DType]:
    x, y = unify(f"td.{name}", a, b)
    if not x.dtype.is_integer:
        raise TypeMismatch(f"td.{name} of {x.dtype}", hint="it is for integers")
    return Value(x), Value(y), x.dtype


def _sized(dtype: DType, bits: int, *, signed: bool) -> DType:
    if bits > _WIDEST:
        raise TypeMismatch(f"no dtype is twice as wide as {dtype}", hint="cast to 32 bits first")
    return BY_NAME[f"{'' if signed else 'u'}int{bits}"]


def _is_signed(dtype: DType) -> bool:
    return dtype.min < 0


def _widened(name: str, a: object, b: object, *, signed: bool | None = None) -> tuple[Value, Value]:
    x, y, dtype = _pair(name, a, b)
    wide = _sized(dtype, 2 * dtype.bits, signed=_is_signed(dtype) if signed is None else signed)
    return cast(x, wide), cast(y, wide)


def widening_add(a: object, b: object) -> Value:
    """`a + b` in twice the bits, where it always fits.

    >>> widening_add(cast(1, "int8"), 100).dtype.name
    'int16'

    Raises:
        TypeMismatch: no integers, or of 64 bits.
    """
    x, y = _widened("widening_add", a, b)
    return x + y


def widening_sub(a: object, b: object) -> Value:
    """`a - b` in twice the bits; the result is signed, also for unsigned operands.

    Raises:
        TypeMismatch: no integers, or of 64 bits.
    """
    x, y = _widened("widening_sub", a, b, signed=True)
    return x - y


def widening_mul(a: object, b: object) -> Value:
    """`a * b` in twice the bits, where it always fits.

    Raises:
        TypeMismatch: no integers, or of 64 bits.
    """
    x, y = _widened("widening_mul", a, b)
    return x * y


def saturating_cast(x: object, dtype: object) -> Value:
    """Convert to another dtype; what lies outside becomes the nearest value that it has.

    >>> saturating_cast(300, "uint8").dtype.name
    'uint8'
    """
    to = as_dtype(dtype)
    value = x if isinstance(x, Value) else cast(x, dtypes.INDEX)
    source = value.dtype
    if not (source.is_integer and to.is_integer):
        return cast(value, to)  # from floats, a plain cast saturates
    low, high = max(source.min, to.min), min(source.max, to.max)
    if low > source.min:
        value = maximum(value, int(low))
    if high < source.max:
        value = minimum(value, int(high))
    return cast(value, to)


def saturating_add(a: object, b: object) -> Value:
    """`a + b`, or the dtype's least or greatest value where it does not fit."""
    x, y, dtype = _pair("saturating_add", a, b)
    if dtype.bits < _WIDEST:
        return saturating_cast(widening_add(x, y), dtype)
    total = x + y
    if not _is_signed(dtype):
        return select(total < x, int(dtype.max), total)
    wrapped = ((x ^ total) & (y ^ total)) < 0
    return select(wrapped, _extreme(x, dtype), total)


def _extreme(x: Value, dtype: DType) -> Value:
    """The end of the dtype's range on the side of *x*."""
    return select(x < 0, cast(int(dtype.min), dtype), cast(int(dtype.max), dtype))


def saturating_sub(a: object, b: object) -> Value:
    """`a - b`, or the dtype's least or greatest value where it does not fit."""
    x, y, dtype = _pair("saturating_sub", a, b)
    if dtype.bits < _WIDEST:
        return saturating_cast(widening_sub(x, y), dtype)
    rest = x - y
    if not _is_signed(dtype):
        return select(x < y, 0, rest)
    wrapped = ((x ^ y) & (x ^ rest)) < 0
    return select(wrapped, _extreme(x, dtype), rest)


def absd(a: object, b: object) -> Value:
    """`|a - b|`, unsigned, where it always fits."""
    x, y, dtype = _pair("absd", a, b)
    unsigned = _sized(dtype, dtype.bits, signed=False)
    one, two = cast(x, unsigned), cast(y, unsigned)
    return select(x > y, one - two, two - one)


def halving_add(a: object, b: object) -> Value:
    """`(a + b) // 2` without overflow on the way."""
    x, y, _ = _pair("halving_add", a, b)
    return (x & y) + ((x ^ y) >> 1)


def rounding_halving_add(a: object, b: object) -> Value:
    """`(a + b + 1) // 2` without overflow on the way."""
    x, y, _ = _pair("rounding_halving_add", a, b)
    return (x | y) - ((x ^ y) >> 1)


def rounding_shift_right(x: object, bits: object) -> Value:
    """`x / 2**bits`, rounded to the nearest integer, halves upwards; `bits` is not negative."""
    value, shift, dtype = _pair("rounding_shift_right", x, bits)
    one = cast(1, dtype)
    last = (value >> (maximum(shift, one) - one)) & one
    return select(shift > 0, (value >> shift) + last, value)


def mul_shift_right(a: object, b: object, bits: int) -> Value:
    """`(a * b) >> bits` computed in twice the bits and saturated: a fixed-point product.

    Raises:
        TypeMismatch: no integers, or of 64 bits.
    """
    x, y, dtype = _pair("mul_shift_right", a, b)
    return saturating_cast(binary(BinaryOp.SHR, widening_mul(x, y), bits), dtype)


def rounding_mul_shift_right(a: object, b: object, bits: int) -> Value:
    """`a * b / 2**bits` rounded to the nearest, halves upwards, and saturated.

    Raises:
        TypeMismatch: no integers, or of 64 bits.
    """
    x, y, dtype = _pair("rounding_mul_shift_right", a, b)
    return saturating_cast(rounding_shift_right(widening_mul(x, y), bits), dtype)
