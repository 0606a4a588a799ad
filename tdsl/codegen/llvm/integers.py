"""Integer operations with every case defined: no trap, no poison, whatever the operands."""

from __future__ import annotations

from tdsl.codegen.llvm.builder import Builder
from tdsl.codegen.llvm.types import Value, element, lane_count, literal
from tdsl.dtypes import DType, Kind


def _literal_of(a: Value) -> int | None:
    """The integer that an operand spells (in every lane), or None."""
    text = a.text
    if text.startswith("splat ("):
        text = text[len("splat (") : -1].partition(" ")[2]
    return int(text) if text.lstrip("-").isdigit() else None


def _like(value: int, a: Value) -> Value:
    return literal(value, element(a.type), lane_count(a.type))


def floor_divide(b: Builder, x: Value, y: Value, dtype: DType) -> Value:
    """`x // y` towards minus infinity; 0 where y is 0; INT_MIN // -1 wraps."""
    return _divide(b, x, y, dtype, quotient=True)


def floor_modulo(b: Builder, x: Value, y: Value, dtype: DType) -> Value:
    """`x % y` with the sign of y; 0 where y is 0."""
    return _divide(b, x, y, dtype, quotient=False)


def _divide(b: Builder, x: Value, y: Value, dtype: DType, *, quotient: bool) -> Value:
    divisor = _literal_of(y)
    if divisor is not None and divisor > 0:
        return _by_positive(b, x, y, divisor, dtype, quotient=quotient)
    zero, one = _like(0, y), _like(1, y)
    by_zero = b.icmp("eq", y, zero)
    if dtype.kind is Kind.UINT:
        safe = b.select(by_zero, one, y)
        result = b.binary("udiv" if quotient else "urem", x, safe)
        return b.select(by_zero, zero, result)
    least = _like(int(dtype.min), x)
    wraps = b.binary("and", b.icmp("eq", x, least), b.icmp("eq", y, _like(-1, y)))
    safe = b.select(b.binary("or", by_zero, wraps), one, y)  # x // 1 is what both cases need
    result = _floored(b, x, safe, quotient=quotient)
    return b.select(by_zero, zero, result)


def _floored(b: Builder, x: Value, y: Value, *, quotient: bool) -> Value:
    """Floor division of signed integers where the truncated one does not trap."""
    zero = _like(0, x)
    remainder = b.binary("srem", x, y)
    other_sign = b.icmp("slt", b.binary("xor", remainder, y), zero)
    fix = b.binary("and", b.icmp("ne", remainder, zero), other_sign)
    if quotient:
        return b.binary("add", b.binary("sdiv", x, y), b.convert("sext", fix, x.type))
    return b.binary("add", remainder, b.select(fix, y, zero))


def _by_positive(
    b: Builder, x: Value, y: Value, divisor: int, dtype: DType, *, quotient: bool
) -> Value:
    if divisor & (divisor - 1) == 0:
        if not quotient:
            return b.binary("and", x, _like(divisor - 1, x))
        shift = "lshr" if dtype.kind is Kind.UINT else "ashr"
        return b.binary(shift, x, _like(divisor.bit_length() - 1, x))
    if dtype.kind is Kind.UINT:
        return b.binary("udiv" if quotient else "urem", x, y)
    return _floored(b, x, y, quotient=quotient)


def shift_left(b: Builder, x: Value, y: Value, dtype: DType) -> Value:
    """`x << y`; 0 where y is negative or past the width."""
    count = _literal_of(y)
    if count is not None:
        if not 0 <= count < dtype.bits:
            return _like(0, x)
        return b.binary("shl", x, y)
    fits = b.icmp("ult", y, _like(dtype.bits, y))
    safe = b.select(fits, y, _like(0, y))
    return b.select(fits, b.binary("shl", x, safe), _like(0, x))


def shift_right(b: Builder, x: Value, y: Value, dtype: DType) -> Value:
    """`x >> y`; the sign, or 0 for unsigned types, where y is negative or past the width."""
    last = _like(dtype.bits - 1, y)
    if dtype.kind is Kind.UINT:
        fits = b.icmp("ule", y, last)
        safe = b.select(fits, y, _like(0, y))
        return b.select(fits, b.binary("lshr", x, safe), _like(0, x))
    return b.binary("ashr", x, b.intrinsic("umin", y.type, y, last))
