"""Atomic updates: one of OpenCL's own functions, or a loop of compare-and-exchange."""

from __future__ import annotations

from tdsl import dtypes
from tdsl.codegen.opencl import operators
from tdsl.codegen.opencl.expressions import Writer
from tdsl.codegen.opencl.scope import Scope, Space
from tdsl.codegen.opencl.types import SUM, Value, type_name
from tdsl.dtypes import DType
from tdsl.errors import LoweringError
from tdsl.ir.expr import Binary, BinaryOp, Expr, Load, Node, Var
from tdsl.ir.stmt import Store
from tdsl.ir.visit import loads, map_children

_FUNCTIONS = {
    BinaryOp.ADD: "add",
    BinaryOp.MIN: "min",
    BinaryOp.MAX: "max",
    BinaryOp.AND: "and",
    BinaryOp.OR: "or",
    BinaryOp.XOR: "xor",
}


def store_atomic(scope: Scope, s: Store) -> None:
    """`buffer[at] = op(buffer[at], x)`, as one step for everybody else."""
    dtype = s.buffer.dtype
    if dtype.is_bool or dtype.bits < 32:
        raise LoweringError(
            f"{s.buffer.name} is updated atomically, but OpenCL has no atomic operations on "
            f"{dtype}",
            hint="accumulate in int32 or float32",
        )
    if s.mask is not None:
        with scope.block(f"if ({Writer(scope, [s.mask]).index(s.mask).text})"):
            _update(scope, s)
    else:
        _update(scope, s)


def _update(scope: Scope, s: Store) -> None:
    own = Load(s.buffer, s.indices)
    if s.buffer.dtype.bits == 64:
        scope.functions.features.add("int64_atomics")
    match s.value:
        case Binary(op=op, a=a, b=b) if _has_function(s.buffer.dtype, op):
            other = b if a == own else a if b == own else None
            if other is not None and not _mentions(other, own):
                _call(scope, s, op, other)
                return
        case _:
            pass
    _exchange(scope, s, own)


def _has_function(dtype: DType, op: BinaryOp) -> bool:
    """Whether every device with atomic operations on a type has this one.

    Of those on 64 bits an extension of its own (cl_khr_int64_extended_atomics) has all but sums.
    """
    return dtype.is_integer and op in _FUNCTIONS and (dtype.bits < 64 or op is BinaryOp.ADD)


def _mentions(e: Expr, own: Load) -> bool:
    return any(load == own for load in loads(e))


def _prefix(dtype: DType) -> str:
    return "atom" if dtype.bits == 64 else "atomic"


def _place(w: Writer, s: Store) -> str:
    at = w.index(s.indices[0])
    name = w.scope.storage[s.buffer].name
    return name if at.text == "0" else f"{name} + {at.at(SUM + 1)}"


def _call(scope: Scope, s: Store, op: BinaryOp, other: Expr) -> None:
    w = Writer(scope, [*s.indices, other])
    place, value = _place(w, s), w.value(other)
    name = f"{_prefix(s.buffer.dtype)}_{_FUNCTIONS[op]}"
    scope.line(f"{name}({place}, {operators.cast(scope.functions, value, s.buffer.dtype).text});")


def _exchange(scope: Scope, s: Store, own: Load) -> None:
    """Compute the new value from what was seen, until nobody came in between."""
    dtype = s.buffer.dtype
    bits = dtypes.BY_NAME[f"uint{dtype.bits}"]
    space = scope.storage[s.buffer].space
    assert space is not Space.PRIVATE
    old = Var("old", dtype)

    def visit(n: Node) -> Node:
        return old if n == own else map_children(n, visit)

    value = visit(s.value)
    assert isinstance(value, Expr)
    u = type_name(bits)
    w = Writer(scope, [*s.indices])
    place = scope.names.fresh("place")
    seen, found = scope.names.fresh("seen"), scope.names.fresh("found")
    pointer = f"volatile {space.value} {u} *"
    scope.line(f"{pointer}{place} = ({pointer})({_place(w, s)});")
    scope.line(f"{u} {seen} = *{place};")
    with scope.block("for (;;)"):
        f = scope.functions
        start = operators.bitcast(f, Value(seen, bits), dtype)
        scope.values[old] = scope.let("old", start)
        new = operators.bitcast(f, Writer(scope, [value]).value(value), bits)
        name = f"{_prefix(dtype)}_cmpxchg"
        scope.line(f"const {u} {found} = {name}({place}, {seen}, {new.text});")
        scope.line(f"if ({found} == {seen}) break;")
        scope.line(f"{seen} = {found};")
