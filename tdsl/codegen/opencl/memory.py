"""Loads, stores and atomic updates in OpenCL C."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tdsl import dtypes
from tdsl.codegen.opencl import operators
from tdsl.codegen.opencl.scope import Scope, Space, Storage
from tdsl.codegen.opencl.types import (
    EQUALITY,
    PRIMARY,
    SUM,
    UNARY,
    VECTOR_LENGTHS,
    Value,
    literal,
    memory_name,
    type_name,
    width,
)
from tdsl.dtypes import DType
from tdsl.ir.build import index
from tdsl.ir.expr import Buffer, Expr, Load, Ramp, Shuffle
from tdsl.ir.stmt import Store
from tdsl.ir.visit import loads

if TYPE_CHECKING:
    from tdsl.codegen.opencl.expressions import Writer


def is_dense(at: Expr) -> bool:
    """Whether an index is a run of consecutive elements that a vector type holds."""
    return isinstance(at, Ramp) and at.stride == index(1) and at.count in VECTOR_LENGTHS


def is_by_lane(scope: Scope, load: Load) -> bool:
    """Whether lanes of a load are loads of their own, rather than lanes of a loaded vector."""
    stored = scope.storage[load.buffer]
    if stored.whole:
        return False
    return load.mask is not None or not _has_vectors(stored, load.buffer, load.indices[0])


def _has_vectors(stored: Storage, buffer: Buffer, at: Expr) -> bool:
    """Whether C reads and writes these elements as a vector; private bools are `bool`."""
    return is_dense(at) and not (buffer.dtype.is_bool and stored.space is Space.PRIVATE)


def load(w: Writer, e: Load) -> Value:
    """An element, or a vector of them; zero where the mask is false."""
    stored = w.scope.storage[e.buffer]
    if stored.whole:
        return Value(stored.name, e.dtype, e.lanes)
    if e.lanes == 1:
        return _load_scalar(w, e)
    if is_by_lane(w.scope, e):
        return _gathered(w, e)
    at = e.indices[0]
    assert isinstance(at, Ramp)
    return _dense(w, e.buffer, stored, w.index(at.base), at.count)


def load_lane(w: Writer, e: Load, k: int) -> Value:
    """One lane of a load, as a load of its own."""
    at = e.indices[0]
    mask = None if e.mask is None else w.lane(e.mask, k)
    return _scalar(w, e.buffer, w.lane(at, k), mask)


def _load_scalar(w: Writer, e: Load) -> Value:
    mask = None if e.mask is None else w.value(e.mask)
    return _scalar(w, e.buffer, w.index(e.indices[0]), mask)


def _scalar(w: Writer, buffer: Buffer, at: Value, mask: Value | None) -> Value:
    stored = w.scope.storage[buffer]
    found = _element(w, stored, buffer.dtype, at)
    if mask is None:
        return found
    return operators.choose(mask, found, literal(0, buffer.dtype))


def _element(w: Writer, stored: Storage, dtype: DType, at: Value) -> Value:
    w.scope.feature(dtype)
    plain = f"{stored.name}[{at.text}]"
    if stored.space is Space.PRIVATE:
        return Value(plain, dtype)
    if dtype is dtypes.float16:
        return Value(f"vload_half({at.text}, {_pointer(stored, dtype)})", dtype)
    if dtype is dtypes.bfloat16:
        bits = Value(plain, dtypes.uint16)
        return w.scope.functions.call("from_bits", [bits], dtype)
    if dtype.is_bool:
        return Value(f"{plain} != 0", dtype, 1, EQUALITY)
    return Value(plain, dtype)


def _pointer(stored: Storage, dtype: DType) -> str:
    """The storage as a pointer to its elements; arrays of half are declared as ushort."""
    if dtype is dtypes.float16 and stored.space is not Space.GLOBAL:
        return f"({stored.space.value} half *){stored.name}"
    return stored.name


def _gathered(w: Writer, e: Load) -> Value:
    """A vector put together from single elements."""
    lanes = [load_lane(w, e, k) for k in range(e.lanes)]
    if e.dtype.is_bool:
        text = ", ".join(f"({v.text}) ? -1 : 0" for v in lanes)
        return Value(f"(char{e.lanes})({text})", e.dtype, e.lanes, UNARY, 8)
    text = ", ".join(v.text for v in lanes)
    return Value(f"({type_name(e.dtype, e.lanes)})({text})", e.dtype, e.lanes, UNARY)


def _dense(w: Writer, buffer: Buffer, stored: Storage, base: Value, lanes: int) -> Value:
    """`vload`, in halves where a vector is too long for the device's own functions."""
    dtype = buffer.dtype
    w.scope.feature(dtype)
    memory_bits = dtype.bits if stored.space is not Space.PRIVATE else width(dtype)
    widest = max(width(dtype), memory_bits)
    if lanes > 2 and lanes * widest > operators.BUILTIN_BITS:
        half = lanes // 2
        low = _dense(w, buffer, stored, base, half)
        high = _dense(w, buffer, stored, _offset(base, half), half)
        if dtype.is_bool:
            low, high = operators.remask(low, 8), operators.remask(high, 8)
        type_ = type_name(dtype, lanes, 8)
        return Value(f"({type_})({low.text}, {high.text})", dtype, lanes, UNARY, 8)
    where = f"{stored.name} + {base.at(SUM + 1)}" if base.text != "0" else stored.name
    if stored.space is Space.PRIVATE:
        return Value(f"vload{lanes}(0, {where})", dtype, lanes)
    if dtype is dtypes.float16:
        pointer = _pointer(stored, dtype)
        start = pointer if base.text == "0" else f"{pointer} + {base.at(SUM + 1)}"
        return Value(f"vload_half{lanes}(0, {start})", dtype, lanes)
    if dtype is dtypes.bfloat16:
        bits = Value(f"vload{lanes}(0, {where})", dtypes.uint16, lanes)
        return w.scope.functions.call("from_bits", [bits], dtype)
    if dtype.is_bool:
        return Value(f"vload{lanes}(0, {where}) != (uchar{lanes})(0)", dtype, lanes,
                     EQUALITY, 8)  # fmt: skip
    return Value(f"vload{lanes}(0, {where})", dtype, lanes)


def _offset(base: Value, by: int) -> Value:
    if base.text.isdigit():
        return Value(str(int(base.text) + by), base.dtype)
    return operators.infix("+", base, Value(str(by), base.dtype), SUM, base.dtype)


# -- stores ---------------------------------------------------------------------------------------


def store(w: Writer, s: Store) -> None:
    """`buffer[at] = value` where the mask holds."""
    scope = w.scope
    stored = scope.storage[s.buffer]
    at = s.indices[0]
    lanes = max(at.lanes, s.value.lanes)
    if stored.whole:
        _store_whole(w, s, stored)
    elif lanes == 1:
        _store_scalar(w, s, stored)
    elif _has_vectors(stored, s.buffer, at) and s.mask is None:
        assert isinstance(at, Ramp)
        value = scope.plain(w.vector(s.value, lanes), "v")
        _store_dense(w, s.buffer, stored, w.index(at.base), value)
    else:
        _store_lanes(w, s, lanes)


def _store_whole(w: Writer, s: Store, stored: Storage) -> None:
    value = w.value(s.value)
    lanes = max(s.indices[0].lanes, value.lanes)
    value = operators.spread(value, lanes)
    if lanes > 1 and value.dtype.is_bool:
        value = operators.remask(w.scope.plain(value), 8)
    if s.mask is None:
        type_ = w.scope.declaring.pop(stored.name, None)
        w.scope.line(f"{f'{type_} ' if type_ else ''}{stored.name} = {value.text};")
        return
    old = Value(stored.name, s.buffer.dtype, lanes)
    mask = w.value(s.mask)
    if lanes == 1:
        with w.scope.block(f"if ({mask.text})"):
            w.scope.line(f"{stored.name} = {value.text};")
        return
    picked = operators.choose(w.scope.plain(operators.spread(mask, lanes)), value, old)
    w.scope.line(f"{stored.name} = {picked.text};")


def _store_scalar(w: Writer, s: Store, stored: Storage) -> None:
    at, value = w.index(s.indices[0]), w.value(s.value)
    text = _assignment(w, stored, s.buffer.dtype, at, value)
    if s.mask is None:
        w.scope.line(text)
        return
    with w.scope.block(f"if ({w.value(s.mask).text})"):
        w.scope.line(text)


def _assignment(w: Writer, stored: Storage, dtype: DType, at: Value, value: Value) -> str:
    place = f"{stored.name}[{at.text}]"
    if stored.space is Space.PRIVATE:
        return f"{place} = {value.text};"
    if dtype is dtypes.float16:
        return f"vstore_half_rte({value.text}, {at.text}, {_pointer(stored, dtype)});"
    if dtype is dtypes.bfloat16:
        return f"{place} = {w.scope.functions.call('bits', [value], dtypes.uint16).text};"
    return f"{place} = {value.text};"


def _store_dense(w: Writer, buffer: Buffer, stored: Storage, base: Value, value: Value) -> None:
    dtype, lanes = buffer.dtype, value.lanes
    if lanes > 2 and lanes * width(dtype) > operators.BUILTIN_BITS:
        half = lanes // 2
        for end, start in (("lo", base), ("hi", _offset(base, half))):
            part = Value(f"{value.text}.{end}", dtype, half, PRIMARY, value.bits)
            _store_dense(w, buffer, stored, start, part)
        return
    where = f"{stored.name} + {base.at(SUM + 1)}" if base.text != "0" else stored.name
    line = w.scope.line
    if stored.space is Space.PRIVATE:
        line(f"vstore{lanes}({value.text}, 0, {where});")
    elif dtype is dtypes.float16:
        pointer = _pointer(stored, dtype)
        place = pointer if base.text == "0" else f"{pointer} + {base.at(SUM + 1)}"
        line(f"vstore_half{lanes}_rte({value.text}, 0, {place});")
    elif dtype is dtypes.bfloat16:
        bits = w.scope.functions.call("bits", [value], dtypes.uint16)
        line(f"vstore{lanes}({bits.text}, 0, {where});")
    elif dtype.is_bool:
        mask = operators.remask(value, 8)
        line(f"vstore{lanes}(as_uchar{lanes}({mask.text}) & (uchar{lanes})(1), 0, {where});")
    else:
        line(f"vstore{lanes}({value.text}, 0, {where});")


def _store_lanes(w: Writer, s: Store, lanes: int) -> None:
    """Element by element; all values are computed before the first is stored."""
    scope = w.scope
    stored = scope.storage[s.buffer]
    masks = [None if s.mask is None else w.lane(s.mask, k) for k in range(lanes)]
    values = [w.lane(s.value, k) for k in range(lanes)]
    if _reads(s.value, s.buffer):
        values = [scope.plain(v, "v") for v in values]
    for k, (mask, value) in enumerate(zip(masks, values, strict=True)):
        if _is_same_place(s, k):
            continue
        text = _assignment(w, stored, s.buffer.dtype, w.lane(s.indices[0], k), value)
        scope.line(text if mask is None else f"if ({mask.text}) {text}")


def _is_same_place(s: Store, k: int) -> bool:
    """Whether lane *k* only puts back what is there (the rest of a blended slot)."""
    if not isinstance(s.value, Shuffle) or s.mask is not None:
        return False
    pick = s.value.picks[k]
    first = s.value.vectors[0]
    return (
        isinstance(first, Load)
        and first.buffer is s.buffer
        and first.indices == s.indices
        and pick == k
    )


def _reads(e: Expr, buffer: Buffer) -> bool:
    return any(load.buffer is buffer for load in loads(e))


def storage_type(dtype: DType) -> str:
    """The element type of arrays in local memory; half arrays need an extension that few have."""
    return "ushort" if dtype is dtypes.float16 else memory_name(dtype)
