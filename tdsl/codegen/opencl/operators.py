"""The scalar semantics of ir/expr.py in OpenCL C, on scalars and on vectors of one length."""

from __future__ import annotations

from collections.abc import Sequence

from tdsl import dtypes
from tdsl.codegen.opencl.functions import Functions
from tdsl.codegen.opencl.types import (
    BITS,
    CHOICE,
    COMPARISON,
    EQUALITY,
    LANES,
    LOGIC,
    PRIMARY,
    PRODUCT,
    SHIFT,
    SUM,
    UNARY,
    Value,
    is_small,
    type_name,
    unsigned,
    width,
)
from tdsl.dtypes import DType, Kind
from tdsl.errors import InternalError
from tdsl.ir.expr import BinaryOp, UnaryOp

# Built-in functions on vectors of more bits than this crash or err on some devices (PoCL on
# processors with AVX-512): their halves are computed apart.
BUILTIN_BITS = 256

_ARITHMETIC = {
    BinaryOp.ADD: ("+", SUM),
    BinaryOp.SUB: ("-", SUM),
    BinaryOp.MUL: ("*", PRODUCT),
    BinaryOp.TRUEDIV: ("/", PRODUCT),
}
_BITWISE = {BinaryOp.AND: "&", BinaryOp.OR: "|", BinaryOp.XOR: "^"}
_EQUALITIES = {BinaryOp.EQ: EQUALITY, BinaryOp.NE: EQUALITY}


def infix(op: str, x: Value, y: Value, strength: int, dtype: DType, bits: int = 8) -> Value:
    """`x op y`; operators group to the left."""
    inner = {SHIFT: PRODUCT, BITS: PRODUCT, COMPARISON: SUM, EQUALITY: SUM}.get(strength, strength)
    text = f"{x.at(inner)} {op} {y.at(max(inner, strength + 1))}"
    return Value(text, dtype, max(x.lanes, y.lanes), strength, bits)


def builtin(name: str, args: Sequence[Value], result: DType, bits: int = 8) -> Value:
    """A call of one of OpenCL's own functions; long vectors in halves. Arguments are names."""
    lanes = max(a.lanes for a in args)
    widest = max([width(result), *(width(a.dtype) for a in args if not a.dtype.is_bool)])
    if lanes == 1 or lanes * widest <= BUILTIN_BITS:
        return Value(f"{name}({', '.join(a.text for a in args)})", result, lanes, PRIMARY, bits)
    half = lanes // 2
    parts = [
        builtin(_shorter(name, lanes, half), [_half(a, end, half) for a in args], result, bits).text
        for end in ("lo", "hi")
    ]
    return Value(f"({type_name(result, lanes, bits)})({', '.join(parts)})", result, lanes, UNARY,
                 bits)  # fmt: skip


def _shorter(name: str, lanes: int, half: int) -> str:
    """`convert_int16` -> `convert_int8`."""
    return name.removesuffix(str(lanes)) + str(half) if name.endswith(str(lanes)) else name


def _half(v: Value, end: str, half: int) -> Value:
    if v.lanes == 1:
        return v
    if half == 1:
        text = f"{v.at(PRIMARY)}.s{LANES[0] if end == 'lo' else LANES[1]}"
        return Value(text, v.dtype, 1, PRIMARY, v.bits)
    return Value(f"{v.at(PRIMARY)}.{end}", v.dtype, half, PRIMARY, v.bits)


def convert(v: Value, to: DType, bits: int = 8) -> Value:
    """A conversion that C defines: between integers, or to a float of at least float's width."""
    if v.lanes == 1:
        return Value(f"({type_name(to)}){v.at(UNARY)}", to, 1, UNARY)
    return builtin(f"convert_{type_name(to, v.lanes, bits)}", [v], to, bits)


def remask(v: Value, bits: int) -> Value:
    """A vector of bools with lanes of another width."""
    if v.lanes == 1 or v.bits == bits:
        return v
    lanes = type_name(dtypes.bool_, v.lanes, bits)
    wide = v.lanes * max(bits, v.bits) > BUILTIN_BITS
    if not wide:
        return Value(f"convert_{lanes}({v.text})", v.dtype, v.lanes, PRIMARY, bits)
    half = v.lanes // 2
    parts = [remask(_half(v, end, half), bits).text for end in ("lo", "hi")]
    return Value(f"({lanes})({', '.join(parts)})", v.dtype, v.lanes, UNARY, bits)


def spread(v: Value, lanes: int) -> Value:
    """A scalar in every lane."""
    if v.lanes == lanes:
        return v
    if v.dtype.is_bool:
        return Value(f"(char{lanes})({v.at(CHOICE + 1)} ? -1 : 0)", v.dtype, lanes, UNARY, 8)
    return Value(f"({type_name(v.dtype, lanes)})({v.text})", v.dtype, lanes, UNARY)


def binary(
    f: Functions, op: BinaryOp, x: Value, y: Value, *, wraps: bool, natural: bool = False
) -> Value:
    """`x op y`.

    `wraps`: signed arithmetic may leave its range (it never does in an index). `natural`: `x` is
    surely not negative, so that C's division rounds the right way.
    """
    dtype = x.dtype
    if op.compares:
        return _compare(op, x, y)
    if dtype.is_bool:
        return _logic(op, x, y)
    if dtype.is_float:
        return _float_binary(f, op, x, y)
    if op in _BITWISE:
        return _cut(infix(_BITWISE[op], x, y, BITS, dtype))
    if op in (BinaryOp.MIN, BinaryOp.MAX):
        return _extremum(op, x, y)
    if op in _ARITHMETIC:
        return _int_arithmetic(op, x, y, wraps=wraps)
    return _division_or_shift(f, op, x, y, natural=natural)


def _cut(v: Value) -> Value:
    """The result of C's operators on short integers, which is an `int`, cut to its type."""
    if v.lanes > 1 or v.dtype.bits >= 32:
        return v
    return Value(f"({v.type}){v.at(UNARY)}", v.dtype, 1, UNARY)


def _compare(op: BinaryOp, x: Value, y: Value) -> Value:
    if x.dtype.is_bool:
        return _compare_bools(op, x, y)
    strength = _EQUALITIES.get(op, COMPARISON)
    return infix(op.value, x, y, strength, dtypes.bool_, width(x.dtype))


def _compare_bools(op: BinaryOp, x: Value, y: Value) -> Value:
    if x.lanes > 1:
        x, y = _same_masks(x, y)
        # true is -1 there, so that the order of the lanes is reversed
        turned = {BinaryOp.LT: ">", BinaryOp.LE: ">=", BinaryOp.GT: "<", BinaryOp.GE: "<="}
        symbol = turned.get(op, op.value)
        return infix(symbol, x, y, _EQUALITIES.get(op, COMPARISON), dtypes.bool_, x.bits)
    return infix(op.value, x, y, _EQUALITIES.get(op, COMPARISON), dtypes.bool_)


def _same_masks(x: Value, y: Value) -> tuple[Value, Value]:
    bits = max(x.bits, y.bits)
    return remask(x, bits), remask(y, bits)


def _logic(op: BinaryOp, x: Value, y: Value) -> Value:
    symbol = {BinaryOp.MIN: "&", BinaryOp.MAX: "|", BinaryOp.MUL: "&", BinaryOp.ADD: "|"}.get(op)
    symbol = symbol or _BITWISE.get(op)
    if symbol is None:
        raise InternalError(f"no code for {op.name} of bool")
    if x.lanes > 1:
        x, y = _same_masks(x, y)
        return infix(symbol, x, y, BITS, dtypes.bool_, x.bits)
    scalar = {"&": "&&", "|": "||", "^": "!="}[symbol]
    if scalar == "!=":
        return infix(scalar, x, y, EQUALITY, dtypes.bool_)
    same = x.strength == LOGIC and ("&&" if scalar == "||" else "||") not in x.text
    left = x.text if same else x.at(EQUALITY)
    return Value(f"{left} {scalar} {y.at(EQUALITY)}", dtypes.bool_, 1, LOGIC)


def _float_binary(f: Functions, op: BinaryOp, x: Value, y: Value) -> Value:
    dtype = x.dtype
    if op in (BinaryOp.MIN, BinaryOp.MAX):
        kept = dtypes.float32 if is_small(dtype) else dtype
        name = "minimum" if op is BinaryOp.MIN else "maximum"
        return _typed(f.call(name, [_typed(x, kept), _typed(y, kept)], kept), dtype)
    if op not in _ARITHMETIC:
        raise InternalError(f"no code for {op.name} of {dtype}")
    symbol, strength = _ARITHMETIC[op]
    return _rounded(f, infix(symbol, x, y, strength, dtype))


def _typed(v: Value, dtype: DType) -> Value:
    """The same C value, taken for another element type."""
    return Value(v.text, dtype, v.lanes, v.strength, v.bits)


def _rounded(f: Functions, v: Value) -> Value:
    return f.call("rounded", [v], v.dtype) if is_small(v.dtype) else v


def _extremum(op: BinaryOp, x: Value, y: Value) -> Value:
    name = "min" if op is BinaryOp.MIN else "max"
    if x.lanes > 1 and x.lanes * width(x.dtype) > BUILTIN_BITS:
        sign = "<" if op is BinaryOp.MIN else ">"
        text = f"{x.at(SHIFT)} {sign} {y.at(SHIFT)} ? {x.at(LOGIC)} : {y.at(CHOICE)}"
        return Value(text, x.dtype, x.lanes, CHOICE)
    return builtin(name, [_overloaded(x), _overloaded(y)], x.dtype)


def _overloaded(v: Value) -> Value:
    """An operand of an overloaded function, or an arm: its type must show in its text."""
    plain = v.text.lstrip("-").isdigit()
    if v.lanes == 1 and plain and v.dtype is dtypes.int64:
        return Value(f"{v.text}L", v.dtype, 1, v.strength)
    return v


def _int_arithmetic(op: BinaryOp, x: Value, y: Value, *, wraps: bool) -> Value:
    symbol, strength = _ARITHMETIC[op]
    dtype = x.dtype
    if dtype.kind is Kind.UINT and dtype.bits >= 32:
        return infix(symbol, x, y, strength, dtype)
    if not wraps and dtype.bits >= 32:
        return infix(symbol, x, y, strength, dtype)
    if x.lanes > 1:
        if dtype.kind is Kind.UINT:
            return infix(symbol, x, y, strength, dtype)
        u = f"as_{type_name(unsigned(dtype), x.lanes)}"
        return Value(f"as_{x.type}({u}({x.text}) {symbol} {u}({y.text}))", dtype, x.lanes)
    if dtype.bits < 32:
        # in `uint`, where nothing overflows, and back
        return Value(f"({x.type})((uint){x.at(UNARY)} {symbol} (uint){y.at(UNARY)})", dtype, 1,
                     UNARY)  # fmt: skip
    u = type_name(unsigned(dtype))
    return Value(f"({x.type})(({u}){x.at(UNARY)} {symbol} ({u}){y.at(UNARY)})", dtype, 1, UNARY)


def _division_or_shift(f: Functions, op: BinaryOp, x: Value, y: Value, *, natural: bool) -> Value:
    dtype = x.dtype
    amount = _number(y)
    match op:
        case BinaryOp.FLOORDIV | BinaryOp.FLOORMOD:
            if amount is not None and amount > 0 and (natural or dtype.kind is Kind.UINT):
                return _cut(infix("/" if op is BinaryOp.FLOORDIV else "%", x, y, PRODUCT, dtype))
            name = "floordiv" if op is BinaryOp.FLOORDIV else "floormod"
            return f.call(name, [x, y], dtype)
        case BinaryOp.SHL if amount is not None and 0 <= amount < dtype.bits:
            return _shift_left(x, amount)
        case BinaryOp.SHR if amount is not None and 0 <= amount < dtype.bits:
            by = f"({x.type})({amount})" if x.lanes > 1 else str(amount)
            return _cut(Value(f"{x.at(PRODUCT)} >> {by}", dtype, x.lanes, SHIFT))
        case BinaryOp.SHL:
            return f.call("shl", [x, y], dtype)
        case BinaryOp.SHR:
            return f.call("shr", [x, y], dtype)
        case _:
            raise InternalError(f"no code for {op.name} of {dtype}")


def _shift_left(x: Value, amount: int) -> Value:
    u = unsigned(x.dtype)
    if x.lanes > 1:
        type_ = type_name(u, x.lanes)
        text = f"as_{type_}({x.text}) << ({type_})({amount})"
        return Value(f"as_{x.type}({text})", x.dtype, x.lanes)
    if x.dtype is u and u.bits >= 32:
        return Value(f"{x.at(PRODUCT)} << {amount}", x.dtype, 1, SHIFT)
    wide = type_name(u) if u.bits >= 32 else "uint"
    return Value(f"({x.type})(({wide}){x.at(UNARY)} << {amount})", x.dtype, 1, UNARY)


def _number(v: Value) -> int | None:
    """The integer that a literal spells (in every lane), or None."""
    text = v.text
    if v.lanes > 1 and text.startswith(f"({v.type})("):
        text = text.removeprefix(f"({v.type})(").removesuffix(")")
    for cast in ("(char)", "(short)", "(uchar)", "(ushort)"):
        text = text.removeprefix(cast)
    text = text.strip("()").rstrip("uLl")
    return int(text) if text.lstrip("-").isdigit() else None


_ROUNDING = {
    UnaryOp.FLOOR: "floor",
    UnaryOp.CEIL: "ceil",
    UnaryOp.TRUNC: "trunc",
    UnaryOp.ROUND: "rint",
    UnaryOp.ABS: "fabs",
    UnaryOp.SQRT: "sqrt",
}


def unary(f: Functions, op: UnaryOp, x: Value, *, wraps: bool) -> Value:
    """`op(x)`."""
    dtype = x.dtype
    if dtype.is_bool:
        return _bool_unary(op, x)
    if op in (UnaryOp.ISNAN, UnaryOp.ISINF):
        return _class_of(op, x)
    if dtype.is_float:
        if op is UnaryOp.NEG:
            return Value(f"-{x.at(PRIMARY)}", dtype, x.lanes, UNARY)
        found = builtin(_ROUNDING[op], [x], dtype)
        return _rounded(f, found) if op is UnaryOp.SQRT else found
    return _int_unary(op, x, wraps=wraps)


def _bool_unary(op: UnaryOp, x: Value) -> Value:
    if op is UnaryOp.NOT:
        if x.lanes > 1:
            return Value(f"~{x.at(PRIMARY)}", x.dtype, x.lanes, UNARY, x.bits)
        return Value(f"!{x.at(UNARY)}", x.dtype, 1, UNARY)
    if op in (UnaryOp.ISNAN, UnaryOp.ISINF):
        return spread(Value("false", x.dtype), x.lanes)
    raise InternalError(f"no code for {op.name} of bool")


def _class_of(op: UnaryOp, x: Value) -> Value:
    if not x.dtype.is_float:
        return spread(Value("false", dtypes.bool_), x.lanes)
    bits = width(x.dtype)
    if op is UnaryOp.ISNAN:
        return Value(f"{x.at(SHIFT)} != {x.at(SHIFT)}", dtypes.bool_, x.lanes, EQUALITY, bits)
    size = builtin("fabs", [x], x.dtype)
    infinite = "INFINITY" if bits == 32 else "(double)INFINITY"
    if x.lanes > 1:
        infinite = f"({type_name(x.dtype, x.lanes)})({infinite})"
    return Value(f"{size.at(SHIFT)} == {infinite}", dtypes.bool_, x.lanes, EQUALITY, bits)


def _int_unary(op: UnaryOp, x: Value, *, wraps: bool) -> Value:
    dtype = x.dtype
    match op:
        case UnaryOp.NOT:
            return _cut(Value(f"~{x.at(PRIMARY)}", dtype, x.lanes, UNARY))
        case UnaryOp.NEG:
            if not wraps and dtype.bits >= 32:
                return Value(f"-{x.at(PRIMARY)}", dtype, x.lanes, UNARY)
            zero = spread(Value("0", dtype), x.lanes)
            return _int_arithmetic(BinaryOp.SUB, zero, x, wraps=True)
        case UnaryOp.ABS if dtype.kind is Kind.INT:
            # abs gives an unsigned number, in which the least integer has its absolute value
            found = builtin("abs", [_overloaded(x)], unsigned(dtype))
            if x.lanes > 1:
                return Value(f"as_{x.type}({found.text})", dtype, x.lanes)
            return Value(f"({x.type}){found.text}", dtype, 1, UNARY)
        case UnaryOp.POPCOUNT | UnaryOp.CLZ:
            return builtin(op.value, [_overloaded(x)], dtype)
        case _:  # rounding an integer, or the absolute value of an unsigned one
            return x


def fma(f: Functions, x: Value, y: Value, z: Value) -> Value:
    """`x * y + z`, rounded once."""
    if is_small(x.dtype):
        return f.call("fma", [x, y, z], x.dtype)
    return builtin("fma", [x, y, z], x.dtype)


def choose(cond: Value, a: Value, b: Value) -> Value:
    """`cond ? a : b`; on vectors lane by lane."""
    if cond.lanes > 1:
        cond = remask(cond, a.bits if a.dtype.is_bool else width(a.dtype))
    a, b = _overloaded(a), _overloaded(b)
    text = f"{cond.at(LOGIC)} ? {a.at(CHOICE + 1)} : {b.at(CHOICE)}"
    found = Value(text, a.dtype, max(a.lanes, cond.lanes), CHOICE, a.bits)
    return _cut(found) if a.dtype.is_integer else found


def cast(f: Functions, v: Value, to: DType) -> Value:
    """`v` converted: saturating, wrapping, rounding to nearest even."""
    source = v.dtype
    if source is to:
        return v
    if to.is_bool:
        zero = spread(Value("0", source), v.lanes)
        return Value(f"{v.at(SHIFT)} != {zero.text}", to, v.lanes, EQUALITY, width(source))
    if source.is_bool and v.lanes > 1:
        number = dtypes.BY_NAME[f"int{v.bits}"]
        ones = Value(f"{v.at(PRODUCT)} & ({v.type})(1)", number, v.lanes, BITS)
        return cast(f, ones, to)
    if source.is_float and not to.is_float:
        kept = dtypes.float32 if is_small(source) else source
        return f.call("saturated", [_typed(v, kept)], to)
    if is_small(to):
        if source is dtypes.float32:
            return _typed(f.call("rounded", [_typed(v, to)], to), to)
        if is_small(source):
            return f.call("rounded", [_typed(v, to)], to)
        return f.call("narrowed", [v], to)
    if is_small(source) and to is dtypes.float32:
        return _typed(v, to)
    if v.lanes > 1 and source.is_integer and to.is_integer and source.bits == to.bits:
        return Value(f"as_{type_name(to, v.lanes)}({v.text})", to, v.lanes)
    return convert(v, to)


def bitcast(f: Functions, v: Value, to: DType) -> Value:
    """The same bits read as another type."""
    source = v.dtype
    bits = dtypes.uint16
    if is_small(source):
        v = f.call("bits", [v], bits)
        return bitcast(f, v, to) if to is not bits else v
    if is_small(to):
        return f.call("from_bits", [bitcast(f, v, bits)], to)
    if source is to:
        return v
    if source.is_bool or to.is_bool:
        return cast(f, v, to)
    return Value(f"as_{type_name(to, v.lanes)}({v.text})", to, v.lanes)
