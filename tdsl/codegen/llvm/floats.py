"""Rounding to the narrow float types, and conversions that must round only once.

float16 and bfloat16 values live in `float` registers, rounded. A result computed in a wider type
goes through *round to odd*: the last bit of the intermediate is made sticky, so that the second
rounding sees on which side of a tie the exact value lies (Boldo and Melquiond).
"""

from __future__ import annotations

from tdsl import dtypes
from tdsl.codegen.llvm.builder import Builder
from tdsl.codegen.llvm.types import Value, integer, lane_count, literal, vector
from tdsl.dtypes import DType


def round_small(b: Builder, a: Value, dtype: DType) -> Value:
    """Round a `float` to the nearest value of float16 or bfloat16, ties to even."""
    lanes = lane_count(a.type)
    if dtype is dtypes.float16:
        half = b.convert("fptrunc", a, vector("half", lanes))
        return b.convert("fpext", half, vector("float", lanes))
    bits = bfloat_bits(b, a)
    wide = b.convert("zext", bits, integer(32, lanes))
    return b.convert(
        "bitcast", b.binary("shl", wide, literal(16, "i32", lanes)), vector("float", lanes)
    )


def bfloat_bits(b: Builder, a: Value) -> Value:
    """The bits of a `float` rounded to bfloat16, as i16. NaN stays NaN, denormals are kept.

    Written out because the processor's own instruction flushes denormals.
    """
    lanes = lane_count(a.type)
    i32 = integer(32, lanes)
    bits = b.convert("bitcast", a, i32)
    sixteen = literal(16, "i32", lanes)
    odd = b.binary("and", b.binary("lshr", bits, sixteen), literal(1, "i32", lanes))
    bias = b.binary("add", odd, literal(0x7FFF, "i32", lanes))
    rounded = b.binary("add", bits, bias)
    quiet = b.binary("or", bits, literal(0x400000, "i32", lanes))
    picked = b.select(b.fcmp("uno", a, a), quiet, rounded)
    return b.convert("trunc", b.binary("lshr", picked, sixteen), integer(16, lanes))


def to_memory(b: Builder, a: Value, dtype: DType) -> Value:
    """The stored form of a value: 16 bits for the small floats, a byte for bool."""
    lanes = lane_count(a.type)
    if dtype.is_bool:
        return b.convert("zext", a, integer(8, lanes))
    if dtype is dtypes.float16:
        half = b.convert("fptrunc", a, vector("half", lanes))
        return b.convert("bitcast", half, integer(16, lanes))
    if dtype is dtypes.bfloat16:
        high = b.binary("lshr", b.convert("bitcast", a, integer(32, lanes)),
                        literal(16, "i32", lanes))  # fmt: skip
        return b.convert("trunc", high, integer(16, lanes))
    return a


def from_memory(b: Builder, a: Value, dtype: DType) -> Value:
    """The value of a stored form; the inverse of `to_memory`."""
    lanes = lane_count(a.type)
    if dtype.is_bool:
        return b.icmp("ne", a, literal(0, "i8", lanes))
    if dtype is dtypes.float16:
        half = b.convert("bitcast", a, vector("half", lanes))
        return b.convert("fpext", half, vector("float", lanes))
    if dtype is dtypes.bfloat16:
        wide = b.convert("zext", a, integer(32, lanes))
        high = b.binary("shl", wide, literal(16, "i32", lanes))
        return b.convert("bitcast", high, vector("float", lanes))
    return a


def narrow_double(b: Builder, a: Value, dtype: DType) -> Value:
    """Round a `double` once to float16 or bfloat16, through a `float` rounded to odd."""
    return round_small(b, double_to_odd_float(b, a), dtype)


def double_to_odd_float(b: Builder, a: Value) -> Value:
    """A `double` as a `float` rounded to odd: exact, or the neighbour whose last bit is set."""
    lanes = lane_count(a.type)
    single = vector("float", lanes)
    near = b.convert("fptrunc", a, single)
    back = b.convert("fpext", near, vector("double", lanes))
    bits = b.convert("bitcast", near, integer(32, lanes))
    beyond = b.fcmp("ogt", b.intrinsic("fabs", a.type, back), b.intrinsic("fabs", a.type, a))
    inexact = b.fcmp("one", back, a)
    towards_zero = b.binary("sub", bits, b.convert("zext", beyond, bits.type))
    odd = b.binary("or", towards_zero, literal(1, "i32", lanes))
    return b.convert("bitcast", b.select(inexact, odd, bits), single)


def odd_sum(b: Builder, x: Value, y: Value) -> Value:
    """`x + y` of doubles, rounded to odd."""
    lanes = lane_count(x.type)
    total = b.binary("fadd", x, y)
    z = b.binary("fsub", total, x)
    lost = b.binary("fadd", b.binary("fsub", x, b.binary("fsub", total, z)), b.binary("fsub", y, z))
    i64 = integer(64, lanes)
    zero = literal(0.0, "double", lanes)
    bits = b.convert("bitcast", total, i64)
    # `lost` tells on which side of `total` the exact sum lies: step towards zero if it is there
    inexact = b.fcmp("one", lost, zero)
    opposite = b.icmp(
        "slt", b.binary("xor", bits, b.convert("bitcast", lost, i64)), literal(0, "i64", lanes)
    )
    step = b.convert("zext", opposite, i64)
    odd = b.binary("or", b.binary("sub", bits, step), literal(1, "i64", lanes))
    return b.convert("bitcast", b.select(inexact, odd, bits), vector("double", lanes))


def exact_fma(b: Builder, x: Value, y: Value, z: Value) -> Value:
    """`x * y + z` of `float` operands as a `double` rounded to odd: the product is exact there."""
    wide = vector("double", lane_count(x.type))
    x, y, z = (b.convert("fpext", operand, wide) for operand in (x, y, z))
    return odd_sum(b, b.binary("fmul", x, y), z)
