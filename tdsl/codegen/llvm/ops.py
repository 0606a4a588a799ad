"""The scalar semantics of ir/expr.py as LLVM instructions, the same for every lane count."""

from __future__ import annotations

from collections.abc import Callable

from tdsl import dtypes
from tdsl.codegen.llvm import floats, integers
from tdsl.codegen.llvm.builder import Builder
from tdsl.codegen.llvm.types import (
    Value,
    element,
    integer,
    is_small_float,
    lane_count,
    literal,
    memory_type,
    value_type,
    vector,
)
from tdsl.dtypes import DType, Kind
from tdsl.errors import InternalError
from tdsl.ir.expr import BinaryOp, UnaryOp

_INT_ARITHMETIC = {BinaryOp.ADD: "add", BinaryOp.SUB: "sub", BinaryOp.MUL: "mul"}
_FLOAT_ARITHMETIC = {
    BinaryOp.ADD: "fadd",
    BinaryOp.SUB: "fsub",
    BinaryOp.MUL: "fmul",
    BinaryOp.TRUEDIV: "fdiv",
}
_BITWISE = {BinaryOp.AND: "and", BinaryOp.OR: "or", BinaryOp.XOR: "xor"}
_DIVISIONS: dict[BinaryOp, Callable[[Builder, Value, Value, DType], Value]] = {
    BinaryOp.FLOORDIV: integers.floor_divide,
    BinaryOp.FLOORMOD: integers.floor_modulo,
    BinaryOp.SHL: integers.shift_left,
    BinaryOp.SHR: integers.shift_right,
}
_SIGNED = {
    BinaryOp.LT: "slt", BinaryOp.LE: "sle", BinaryOp.GT: "sgt", BinaryOp.GE: "sge",
    BinaryOp.EQ: "eq", BinaryOp.NE: "ne",
}  # fmt: skip
_UNSIGNED = _SIGNED | {
    BinaryOp.LT: "ult", BinaryOp.LE: "ule", BinaryOp.GT: "ugt", BinaryOp.GE: "uge",
}  # fmt: skip
_FLOATING = {
    BinaryOp.LT: "olt", BinaryOp.LE: "ole", BinaryOp.GT: "ogt", BinaryOp.GE: "oge",
    BinaryOp.EQ: "oeq", BinaryOp.NE: "une",
}  # fmt: skip


def binary(b: Builder, op: BinaryOp, x: Value, y: Value, dtype: DType) -> Value:
    """`x op y` of operands of element type `dtype`."""
    if op.compares:
        return _compare(b, op, x, y, dtype)
    if dtype.is_float:
        return _float_binary(b, op, x, y, dtype)
    if op in _BITWISE:
        return b.binary(_BITWISE[op], x, y)
    if op in (BinaryOp.MIN, BinaryOp.MAX):
        return _int_extremum(b, op, x, y, dtype)
    if dtype.is_integer and op in _INT_ARITHMETIC:
        return b.binary(_INT_ARITHMETIC[op], x, y)
    if dtype.is_integer and op in _DIVISIONS:
        return _DIVISIONS[op](b, x, y, dtype)
    raise InternalError(f"no code for {op.name} of {dtype}")


def _compare(b: Builder, op: BinaryOp, x: Value, y: Value, dtype: DType) -> Value:
    if dtype.is_float:
        return b.fcmp(_FLOATING[op], x, y)
    return b.icmp((_SIGNED if dtype.kind is Kind.INT else _UNSIGNED)[op], x, y)


def _int_extremum(b: Builder, op: BinaryOp, x: Value, y: Value, dtype: DType) -> Value:
    if dtype.is_bool:
        return b.binary("and" if op is BinaryOp.MIN else "or", x, y)
    sign = "s" if dtype.kind is Kind.INT else "u"
    return b.intrinsic(f"{sign}{op.name.lower()}", x.type, x, y)


def _float_binary(b: Builder, op: BinaryOp, x: Value, y: Value, dtype: DType) -> Value:
    if op in (BinaryOp.MIN, BinaryOp.MAX):
        return _float_extremum(b, op, x, y)
    if op in _FLOAT_ARITHMETIC:
        result = b.binary(_FLOAT_ARITHMETIC[op], x, y)
        return floats.round_small(b, result, dtype) if is_small_float(dtype) else result
    if op is BinaryOp.SHL:
        return _scale(b, x, y, dtype)
    raise InternalError(f"no code for {op.name} of {dtype}")


def _scale(b: Builder, x: Value, y: Value, dtype: DType) -> Value:
    """`x * 2**y` in one instruction; only whole vectors of x86-64-v4 have it (`Target.scales`)."""
    name = f"llvm.x86.avx512.mask.scalef.{'ps' if dtype.bits == 32 else 'pd'}.512"
    mask = f"i{lane_count(x.type)}"
    b.module.declare(name, f"{x.type} @{name}({x.type}, {x.type}, {x.type}, {mask}, i32)")
    arguments = f"{x.typed}, {y.typed}, {x.type} zeroinitializer, {mask} -1, i32 4"
    return b.pure(f"call {x.type} @{name}({arguments})", x.type)


def _float_extremum(b: Builder, op: BinaryOp, x: Value, y: Value) -> Value:
    """numpy's rule: the first operand on ties, NaN if either is.

    `y > x ? y : x` is one instruction and keeps a NaN in x; a NaN in y needs the second select,
    which a literal y does without.
    """
    beats = "ogt" if op is BinaryOp.MAX else "olt"
    best = b.select(b.fcmp(beats, y, x), y, x)
    if not y.text.startswith("%") and "0x7FF8" not in y.text:
        return best
    return b.select(b.fcmp("uno", y, y), y, best)


_FLOAT_UNARY = {
    UnaryOp.ABS: "fabs",
    UnaryOp.FLOOR: "floor",
    UnaryOp.CEIL: "ceil",
    UnaryOp.TRUNC: "trunc",
    UnaryOp.ROUND: "roundeven",
    UnaryOp.SQRT: "sqrt",
}


def unary(b: Builder, op: UnaryOp, x: Value, dtype: DType) -> Value:
    """`op(x)` of an operand of element type `dtype`."""
    if dtype.is_float:
        return _float_unary(b, op, x, dtype)
    zero = literal(0, element(x.type), lane_count(x.type))
    match op:
        case UnaryOp.NOT:
            ones = literal(1 if dtype.is_bool else -1, element(x.type), lane_count(x.type))
            return b.binary("xor", x, ones)
        case UnaryOp.NEG:
            return b.binary("sub", zero, x)
        case UnaryOp.ABS if dtype.kind is Kind.INT:
            return b.select(b.icmp("slt", x, zero), b.binary("sub", zero, x), x)
        case UnaryOp.POPCOUNT:
            return b.intrinsic("ctpop", x.type, x)
        case UnaryOp.CLZ:
            return b.intrinsic("ctlz", x.type, x, Value("false", "i1"))
        case UnaryOp.ISNAN | UnaryOp.ISINF:
            return literal(0, "i1", lane_count(x.type))
        case _:  # rounding an integer, or the absolute value of an unsigned one
            return x


def _float_unary(b: Builder, op: UnaryOp, x: Value, dtype: DType) -> Value:
    match op:
        case UnaryOp.NEG:
            return b.pure(f"fneg {x.typed}", x.type)
        case UnaryOp.ISNAN:
            return b.fcmp("uno", x, x)
        case UnaryOp.ISINF:
            infinity = literal(float("inf"), element(x.type), lane_count(x.type))
            return b.fcmp("oeq", b.intrinsic("fabs", x.type, x), infinity)
        case _ if op in _FLOAT_UNARY:
            result = b.intrinsic(_FLOAT_UNARY[op], x.type, x)
            exact = op is not UnaryOp.SQRT or not is_small_float(dtype)
            return result if exact else floats.round_small(b, result, dtype)
        case _:
            raise InternalError(f"no code for {op.name} of {dtype}")


def fma(b: Builder, x: Value, y: Value, z: Value, dtype: DType, *, native: bool) -> Value:
    """`x * y + z`, rounded once. `native`: the processor has the instruction."""
    if is_small_float(dtype):
        return floats.narrow_double(b, floats.exact_fma(b, x, y, z), dtype)
    if dtype is dtypes.float32 and not native:
        return b.convert("fptrunc", floats.exact_fma(b, x, y, z), x.type)
    return b.intrinsic("fma", x.type, x, y, z)


def cast(b: Builder, x: Value, source: DType, to: DType) -> Value:
    """`x` of type `source` converted to `to`: saturating, wrapping, rounding to nearest even."""
    lanes = lane_count(x.type)
    type_ = value_type(to, lanes)
    if source is to:
        return x
    if to.is_bool:
        zero = literal(0, element(x.type), lanes)
        return b.fcmp("une", x, zero) if source.is_float else b.icmp("ne", x, zero)
    if source.is_float:
        if to.is_float:
            return _float_to_float(b, x, source, to, type_)
        if lanes > 1:
            return _float_to_int(b, x, to, lanes)
        sign = "s" if to.kind is Kind.INT else "u"
        name = f"fpto{sign}i.sat.{_suffix_of(type_)}"
        return b.intrinsic(name, type_, x, over=x.type)
    if to.is_float:
        return _int_to_float(b, x, source, to, lanes)
    if source.is_bool or source.bits < to.bits:
        return b.convert("sext" if source.kind is Kind.INT else "zext", x, type_)
    return b.convert("trunc", x, type_)


def _suffix_of(type_: str) -> str:
    lanes = lane_count(type_)
    return element(type_) if lanes == 1 else f"v{lanes}{element(type_)}"


def _float_to_int(b: Builder, x: Value, to: DType, lanes: int) -> Value:
    """Saturate in floating point, then convert: LLVM's own saturating one goes lane by lane."""
    scalar = element(x.type)
    low, high = int(to.min), int(to.max)
    spare = high.bit_length() - (53 if scalar == "double" else 24)
    top = high if spare <= 0 else high + 1 - (1 << spare)  # the largest float that fits
    least, most = (literal(float(v), scalar, lanes) for v in (low, top))
    y = b.select(b.fcmp("ogt", x, least), x, least)
    y = b.select(b.fcmp("olt", y, most), y, most)
    bits = max(to.bits, 32)
    op = "fptoui" if low == 0 and bits == to.bits else "fptosi"
    type_ = integer(to.bits, lanes)
    result = b.convert("trunc", b.convert(op, y, integer(bits, lanes)), type_)
    if top != high:
        result = b.select(b.fcmp("ogt", x, most), literal(high, element(type_), lanes), result)
    if low:
        result = b.select(b.fcmp("uno", x, x), literal(0, element(type_), lanes), result)
    return result


def _float_to_float(b: Builder, x: Value, source: DType, to: DType, type_: str) -> Value:
    if is_small_float(to):
        if source is dtypes.float64:
            return floats.narrow_double(b, x, to)
        return floats.round_small(b, x, to)
    if to is dtypes.float64:
        return b.convert("fpext", x, type_)
    return b.convert("fptrunc", x, type_) if source is dtypes.float64 else x


def _int_to_float(b: Builder, x: Value, source: DType, to: DType, lanes: int) -> Value:
    op = "sitofp" if source.kind is Kind.INT else "uitofp"
    if not is_small_float(to):
        return b.convert(op, x, value_type(to, lanes))
    if source.is_bool or source.bits <= 16:
        return floats.round_small(b, b.convert(op, x, vector("float", lanes)), to)
    if source.bits == 64:
        x = _sticky(b, x, source, lanes)
    return floats.narrow_double(b, b.convert(op, x, vector("double", lanes)), to)


def _sticky(b: Builder, x: Value, source: DType, lanes: int) -> Value:
    """A 64-bit integer with the low bits that a double cannot hold folded into one sticky bit."""
    i64 = integer(64, lanes)
    low = b.binary("and", x, literal(0x7FF, "i64", lanes))
    any_low = b.convert("zext", b.icmp("ne", low, literal(0, "i64", lanes)), i64)
    high = b.binary("and", x, literal(-0x800, "i64", lanes))
    folded = b.binary("or", high, b.binary("shl", any_low, literal(11, "i64", lanes)))
    size = x
    if source.kind is Kind.INT:
        size = b.intrinsic("abs", x.type, x, Value("false", "i1"))
    return b.select(b.icmp("ugt", size, literal(1 << 53, "i64", lanes)), folded, x)


def bitcast(b: Builder, x: Value, source: DType, to: DType) -> Value:
    """The same bits read as another element type."""
    lanes = lane_count(x.type)
    stored = b.convert("bitcast", floats.to_memory(b, x, source), memory_type(to, lanes))
    return floats.from_memory(b, stored, to)
