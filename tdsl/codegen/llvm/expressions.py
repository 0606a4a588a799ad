"""Expressions as LLVM instructions: one small function per node, found by the node's type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tdsl import dtypes
from tdsl.codegen.llvm import memory, ops
from tdsl.codegen.llvm.frame import CONTEXT_ERROR_CODE, CONTEXT_ERROR_INFO, Frame
from tdsl.codegen.llvm.shuffles import shuffle
from tdsl.codegen.llvm.types import (
    Value,
    constant,
    element,
    is_small_float,
    lane_count,
    literal,
    memory_type,
    value_type,
    vector,
)
from tdsl.dtypes import DType, Kind
from tdsl.errors import InternalError, LoweringError
from tdsl.ir.expr import (
    Binary,
    Bitcast,
    Broadcast,
    Cast,
    Checked,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Math,
    Ramp,
    Select,
    Shuffle,
    Unary,
    Var,
)
from tdsl.ir.instruction import PREFIX, Instruction, instruction_of
from tdsl.ir.visit import has_effects


def evaluate(f: Frame, e: Expr) -> Value:
    """Write the code of *e*; operands that stand for several lanes are vectors."""
    emit = _EMIT.get(type(e))
    if emit is None:  # the language derives its own variables from Var
        emit = _EMIT[type(e)] = next(_EMIT[base] for base in type(e).__mro__ if base in _EMIT)
    return emit(f, e)


def _var(f: Frame, e: Var) -> Value:
    found = f.values.get(e)
    if found is None:
        raise InternalError(f"variable {e.name} is used outside its scope")
    return found


def _const(_: Frame, e: Const) -> Value:
    return constant(e.value, e.dtype)


def _binary(f: Frame, e: Binary) -> Value:
    x, y = f.value(e.a), f.value(e.b)
    if x.type != y.type:
        x, y = _same_lanes(f, x, y)
    return ops.binary(f.builder, e.op, x, y, e.a.dtype)


def _same_lanes(f: Frame, *values: Value) -> tuple[Value, ...]:
    lanes = max(lane_count(v.type) for v in values)
    return tuple(f.builder.broadcast(v, lanes) for v in values)


def _unary(f: Frame, e: Unary) -> Value:
    return ops.unary(f.builder, e.op, f.value(e.a), e.a.dtype)


def _fma(f: Frame, e: Fma) -> Value:
    x, y, z = _same_lanes(f, f.value(e.a), f.value(e.b), f.value(e.c))
    return ops.fma(f.builder, x, y, z, e.dtype, native="fma" in f.target.features)


def _select(f: Frame, e: Select) -> Value:
    cond = f.value(e.cond)
    if lane_count(cond.type) == 1 and (has_effects(e.a) or has_effects(e.b)):
        return _branching_select(f, cond, e)
    with f.under(cond):
        a = f.value(e.a)
    with f.under(f.builder.binary("xor", cond, literal(1, "i1", lane_count(cond.type)))):
        b = f.value(e.b)
    a, b = _same_lanes(f, a, b)
    if 1 < lane_count(cond.type) != lane_count(a.type):
        cond, a, b = _same_lanes(f, cond, a, b)
    return f.builder.select(cond, a, b)


def _branching_select(f: Frame, cond: Value, e: Select) -> Value:
    b = f.builder
    then, otherwise, after = b.label("then"), b.label("else"), b.label("end")
    lanes = e.lanes if e.lanes > 1 else max(e.a.lanes, e.b.lanes)
    b.branch(cond, then, otherwise)
    incoming = []
    for label, arm in ((then, e.a), (otherwise, e.b)):
        b.start(label)
        with b.scope():
            value = b.broadcast(f.value(arm), lanes)
        incoming.append(f"[{value.text}, %{b.block}]")
        b.jump(after)
    b.start(after)
    type_ = value_type(e.dtype, lanes)
    return b.emit(f"phi {type_} {', '.join(incoming)}", type_)


def _cast(f: Frame, e: Cast) -> Value:
    return ops.cast(f.builder, f.value(e.a), e.a.dtype, e.type)


def _bitcast(f: Frame, e: Bitcast) -> Value:
    return ops.bitcast(f.builder, f.value(e.a), e.a.dtype, e.type)


def _math(_: Frame, e: Math) -> Value:
    raise InternalError(f"{e.fn.value} reached code generation unexpanded")


def _ramp(f: Frame, e: Ramp) -> Value:
    b = f.builder
    scalar = value_type(e.dtype)
    type_ = vector(scalar, e.count)
    base, stride = f.value(e.base), f.value(e.stride)
    if stride.text == "1":
        steps = Value(f"<{', '.join(f'{scalar} {k}' for k in range(e.count))}>", type_)
    elif stride.text.lstrip("-").isdigit():
        step = int(stride.text)
        steps = Value(f"<{', '.join(f'{scalar} {k * step}' for k in range(e.count))}>", type_)
    else:
        counts = Value(f"<{', '.join(f'{scalar} {k}' for k in range(e.count))}>", type_)
        steps = b.binary("mul", b.broadcast(stride, e.count), counts)
    if base.text == "0":
        return steps
    return b.binary("add", b.broadcast(base, e.count), steps)


def _broadcast(f: Frame, e: Broadcast) -> Value:
    return f.builder.broadcast(f.value(e.a), e.count)


def _shuffle(f: Frame, e: Shuffle) -> Value:
    b = f.builder
    vectors = [f.value(v) for v in e.vectors]
    width = max(lane_count(v.type) for v in vectors)
    scalar = element(vectors[0].type)
    if len(e.picks) == 1:
        return _pick_one(f, vectors, e.picks[0], scalar)
    if width == 1:
        width = 2  # scalars side by side: shuffles want vectors
    starts: list[int] = []
    for number, v in enumerate(vectors):
        starts += [number * width + lane for lane in range(lane_count(v.type))]
    widened = [_widen(f, v, width) for v in vectors]
    if len(widened) == 1 and width == 2 and lane_count(vectors[0].type) == 1:
        return b.broadcast(vectors[0], len(e.picks))
    return shuffle(f.builder, widened, [starts[p] for p in e.picks])


def _pick_one(f: Frame, vectors: list[Value], pick: int, scalar: str) -> Value:
    for v in vectors:
        lanes = lane_count(v.type)
        if pick < lanes:
            return v if lanes == 1 else f.builder.extract(v, pick, scalar)
        pick -= lanes
    raise InternalError("a shuffle picks beyond its vectors")


def _widen(f: Frame, v: Value, width: int) -> Value:
    lanes = lane_count(v.type)
    if lanes == width:
        return v
    if lanes == 1:
        type_ = vector(v.type, width)
        return f.builder.pure(f"insertelement {type_} poison, {v.typed}, i32 0", type_)
    return shuffle(f.builder, [v], [k if k < lanes else -1 for k in range(width)])


def _extern(f: Frame, e: Extern) -> Value:
    """Call a C function; the vectoriser has left its loops scalar."""
    if e.symbol.startswith(PREFIX):
        return _instruction(f, e)
    b = f.builder
    args = ", ".join(f"{_c_type(a.dtype)} {f.value(a).text}" for a in e.args)
    kinds = ", ".join(_c_type(a.dtype) for a in e.args)
    result = value_type(e.dtype)
    returned = _c_type(e.dtype)
    attribute = returned.removeprefix(result).strip()
    typed = f"{attribute} {result}".strip()
    b.module.declare(e.symbol, f"{typed} @{e.symbol}({kinds})")
    return b.emit(f"call {typed} @{e.symbol}({args})", result)


def _instruction(f: Frame, e: Extern) -> Value:
    """Call the intrinsic of a declared instruction; operands that are too short are repeated."""
    b = f.builder
    found = instruction_of(e.symbol.removeprefix(PREFIX))
    if found.by_pointer:
        return _function(f, e, found)
    args = []
    for operand, type_ in zip(e.args, found.types, strict=True):
        bits = memory.stored(f, operand) if isinstance(operand, Load) else f.value(operand)
        lanes = lane_count(bits.type)
        if lane_count(type_) != lanes:
            bits = shuffle(f.builder, [bits], [n % lanes for n in range(lane_count(type_))])
        args.append(bits if bits.type == type_ else b.convert("bitcast", bits, type_))
    result = found.types[0]
    b.module.declare(found.symbol, f"{result} @{found.symbol}({', '.join(found.types)})")
    return b.pure(f"call {result} @{found.symbol}({', '.join(a.typed for a in args)})", result)


def _function(f: Frame, e: Extern, found: Instruction) -> Value:
    """Call a C function on arrays: the accumulator in a copy, which it updates, then the inputs."""
    b = f.builder
    accumulator, *inputs = e.args
    out = _array(f, accumulator)
    pointers = [out, *(_address(f, operand) for operand in inputs)]
    b.module.declare(found.symbol, f"void @{found.symbol}({', '.join('ptr' for _ in pointers)})")
    b.effect(f"call void @{found.symbol}({', '.join(p.typed for p in pointers)})")
    type_ = memory_type(e.dtype, accumulator.lanes)
    return b.emit(f"load {type_}, {out.typed}, align 64", type_)


def _address(f: Frame, operand: Expr) -> Value:
    """Where the elements of an operand lie: in their tensor, else in a copy."""
    match operand:
        case Load(buffer=buffer, indices=(Ramp(base=base),), mask=None):
            return f.builder.address(f.pointer(buffer), f.value(base), memory_type(buffer.dtype))
        case _:
            return _array(f, operand)


def _array(f: Frame, operand: Expr) -> Value:
    """A copy of a vector in memory."""
    b = f.builder
    bits = memory.stored(f, operand) if isinstance(operand, Load) else f.value(operand)
    copy = b.alloca(bits.type, 64)
    f.stack += operand.lanes * operand.dtype.bytes
    b.effect(f"store {bits.typed}, {copy.typed}, align 64")
    return copy


def _c_type(dtype: DType) -> str:
    """The type of a C argument, with the extension that the C calling convention wants."""
    if is_small_float(dtype):
        raise LoweringError(
            f"a foreign function cannot take or return {dtype}", hint="cast to float32 around it"
        )
    if dtype.is_float or dtype.bits >= 32:
        return value_type(dtype)
    return f"{value_type(dtype)} {'signext' if dtype.kind is Kind.INT else 'zeroext'}"


def _checked(f: Frame, e: Checked) -> Value:
    """Clamp an index into its dimension; note the first one that lay outside in the context."""
    b = f.builder
    index, extent = _same_lanes(
        f, *(ops.cast(b, f.value(x), x.dtype, dtypes.int64) for x in (e.index, e.extent))
    )
    lanes = lane_count(index.type)
    outside = b.icmp("uge", index, extent)
    wrong = outside
    if f.mask is not None:
        wrong, mask = _same_lanes(f, outside, f.mask)
        wrong = b.binary("and", wrong, mask)
    found = wrong
    if lane_count(wrong.type) > 1:
        found = b.intrinsic("vector.reduce.or", "i1", wrong, over=wrong.type)
    with b.when(found, "outside", unlikely=True):
        _flag_index(f, e.access, wrong, index, extent)
    last = b.binary("sub", extent, literal(1, "i64", lanes))
    low = b.intrinsic("smin", index.type, index, last)
    clamped = b.intrinsic("smax", index.type, low, literal(0, "i64", lanes))
    return ops.cast(b, clamped, dtypes.int64, e.dtype)


def _flag_index(f: Frame, access: int, wrong: Value, index: Value, extent: Value) -> None:
    b = f.builder
    if lane_count(index.type) > 1:
        lanes = lane_count(index.type)
        bits_type = f"i{lanes}"
        bits = b.convert("bitcast", wrong, bits_type)
        first = b.intrinsic("cttz", bits_type, bits, Value("true", "i1"))
        index, extent = (
            b.pure(f"extractelement {v.typed}, {first.typed}", "i64") for v in (index, extent)
        )
    code = f.field_address(CONTEXT_ERROR_CODE)
    dim = literal(f.dims.get(access, 0), "i64")
    before = b.emit(f"load i32, {code.typed}, align 4", "i32")
    with b.when(b.icmp("eq", before, literal(0, "i32"))):
        b.effect(f"store i32 2, {code.typed}, align 4")
        for number, value in enumerate((literal(access, "i64"), index, extent, dim)):
            address = f.field_address(CONTEXT_ERROR_INFO + 8 * number)
            b.effect(f"store {value.typed}, {address.typed}, align 8")


_EMIT: dict[type, Callable[[Frame, Any], Value]] = {
    Var: _var,
    Const: _const,
    Binary: _binary,
    Unary: _unary,
    Fma: _fma,
    Select: _select,
    Cast: _cast,
    Bitcast: _bitcast,
    Math: _math,
    Extern: _extern,
    Checked: _checked,
    Load: memory.load,
    Ramp: _ramp,
    Broadcast: _broadcast,
    Shuffle: _shuffle,
}
