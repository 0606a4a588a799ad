"""Statements of a kernel as OpenCL C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from tdsl.codegen.opencl import atomics, memory
from tdsl.codegen.opencl.expressions import Writer
from tdsl.codegen.opencl.scope import Scope, Space, Storage
from tdsl.codegen.opencl.types import SUM, VECTOR_LENGTHS, Value, type_name
from tdsl.errors import InternalError, LoweringError
from tdsl.ir import stmt as ir
from tdsl.ir.build import index
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Const, Expr, Load, Ramp, Var
from tdsl.ir.stmt import LoopKind, Stmt
from tdsl.ir.visit import loads, walk
from tdsl.lower.team import PRIVATE


def emit(scope: Scope, s: Stmt) -> None:
    """Write the code of a lowered statement."""
    handler = _EMIT.get(type(s))
    if handler is None:
        raise InternalError(f"{type(s).__name__} reached code generation")
    handler(scope, s)


def _seq(scope: Scope, s: ir.Seq) -> None:
    for child in s.body:
        emit(scope, child)


def _store(scope: Scope, s: ir.Store) -> None:
    if s.atomic and scope.storage[s.buffer].space is not Space.PRIVATE:
        atomics.store_atomic(scope, s)
        return
    roots = [*s.indices, s.value, *([] if s.mask is None else [s.mask])]
    memory.store(Writer(scope, roots), s)


def _let(scope: Scope, s: ir.Let) -> None:
    if s.var.dtype.is_integer and _is_data(scope, s.value):
        scope.data.add(s.var)
    value = Writer(scope, [s.value]).value(s.value)
    scope.values[s.var] = _named(scope, s.var, value)
    emit(scope, s.body)


def _named(scope: Scope, var: Var, value: Value) -> Value:
    literal = value.text.lstrip("-").rstrip("fLul").replace(".", "").isdigit()
    return value if literal and value.lanes == 1 else scope.let(var.name, value)


def _is_data(scope: Scope, e: Expr) -> bool:
    return any(isinstance(n, Load) or n in scope.data for n in walk(e) if isinstance(n, Load | Var))


def _if(scope: Scope, s: ir.If) -> None:
    while s.otherwise is None and _is_plain_if(s.then):
        s = ir.If(Binary(BinaryOp.AND, s.cond, s.then.cond), s.then.then)
    cond = Writer(scope, [s.cond]).index(s.cond)
    with scope.block(f"if ({cond.text})"), scope.given(s.cond):
        _branch(scope, s.then)
    if s.otherwise is not None:
        with scope.block("else"):
            _branch(scope, s.otherwise)


def _is_plain_if(s: ir.Stmt) -> TypeGuard[ir.If]:
    """Whether a condition may join the one around it.

    One that reads data may not: what it reads twice gets a name in front of both, where the outer
    one does not keep it inside its buffer.
    """
    return isinstance(s, ir.If) and s.otherwise is None and not loads(s.cond)


def _branch(scope: Scope, s: ir.Stmt) -> None:
    """One side of a condition; all work-items of a group take the same if there are barriers.

    PoCL 3.0 loses what follows the last barrier of a side, unless a barrier ends it.
    """
    before = scope.barriers
    emit(scope, s)
    if scope.barriers > before:
        scope.line("barrier(CLK_LOCAL_MEM_FENCE);")


def _for(scope: Scope, s: ir.For) -> None:
    if s.kind is not LoopKind.SERIAL:
        raise LoweringError(
            f"loop {s.var.name!r} is {s.kind.value}, which OpenCL devices do not have",
            hint=f"s.bind({s.var.name!r}, 'group.x') for groups, 'local.x' for work-items",
            span=s.span,
        )
    extent = Writer(scope, [s.extent]).index(s.extent)
    names = scope.names.copy()
    name = names.fresh(s.var.name)
    head = f"for (long {name} = 0; {name} < {extent.at(SUM)}; ++{name})"
    with scope.block(head), scope.given(loop=s):
        scope.names.fresh(name)
        scope.values[s.var] = Value(name, s.var.dtype)
        emit(scope, s.body)


def _alloc(scope: Scope, s: ir.Alloc) -> None:
    if s.scope in PRIVATE:
        declare_private(scope, s)
    elif s.scope is ir.Scope.SHARED:
        declare_shared(scope, s)
    else:
        raise LoweringError(
            f"{s.buffer.name} has scope {s.scope.value!r} inside a kernel, where no memory can be "
            "allocated",
            hint="use scope 'shared', 'stack' or 'register', or move the allocation outward",
        )
    emit(scope, s.body)


def _count(s: ir.Alloc) -> int:
    count = 1
    for extent in s.buffer.shape:
        if not isinstance(extent, Const):
            raise LoweringError(
                f"{s.buffer.name} has scope {s.scope.value!r}, but its size is not constant",
                hint="tile the loops that index it by constant factors, or use scope 'global'",
            )
        count *= int(extent.value)
    return max(count, 1)


def declare_private(scope: Scope, s: ir.Alloc) -> None:
    """A scalar or vector variable where every access is of the whole, else an array."""
    count = _count(s)
    name = scope.names.fresh(s.buffer.name)
    scope.feature(s.buffer.dtype)
    whole = _is_whole(s.body, s.buffer, count)
    type_ = type_name(s.buffer.dtype, count)
    if not whole:
        scope.line(f"{type_name(s.buffer.dtype)} {name}[{count}];")
    elif not _starts_with_store(s):
        scope.line(f"{type_} {name};")
    scope.storage[s.buffer] = Storage(name, Space.PRIVATE, whole)
    if whole and _starts_with_store(s):
        scope.declaring[name] = type_


def _starts_with_store(s: ir.Alloc) -> bool:
    """Whether the first thing done with a variable is to set it, right where it is declared."""
    body = s.body
    while isinstance(body, ir.Alloc) and body.scope in PRIVATE:
        body = body.body
    if isinstance(body, ir.Seq) and body.body:
        body = body.body[0]
    return (
        isinstance(body, ir.Store)
        and body.buffer is s.buffer
        and body.mask is None
        and not any(isinstance(n, Load) and n.buffer is s.buffer for n in walk(body.value))
    )


def _is_whole(body: Stmt, buffer: Buffer, count: int) -> bool:
    """Whether all accesses are of all elements, as one value of C."""
    if count != 1 and count not in VECTOR_LENGTHS:
        return False
    whole: Expr = index(0) if count == 1 else Ramp(index(0), index(1), count)
    accesses = [n for n in walk(body) if isinstance(n, Load | ir.Store) and n.buffer is buffer]
    return all(
        n.indices == (whole,) and not (isinstance(n, Load) and n.mask is not None) for n in accesses
    )


def declare_shared(scope: Scope, s: ir.Alloc) -> None:
    """An array of the work-group; kernels put them at their top."""
    count = _count(s)
    name = scope.names.fresh(s.buffer.name)
    scope.feature(s.buffer.dtype)
    scope.storage[s.buffer] = Storage(name, Space.LOCAL)
    scope.line(f"__local {memory.storage_type(s.buffer.dtype)} {name}[{count}];")


def _barrier(scope: Scope, _: ir.Barrier) -> None:
    scope.barriers += 1
    fence = "CLK_LOCAL_MEM_FENCE"
    if scope.shares_global:
        fence += " | CLK_GLOBAL_MEM_FENCE"
    scope.line(f"barrier({fence});")


def _prefetch(scope: Scope, s: ir.Prefetch) -> None:
    stored = scope.storage[s.buffer]
    if stored.space is Space.GLOBAL:
        at = Writer(scope, s.indices).index(s.indices[0])
        scope.line(f"prefetch({stored.name} + {at.at(SUM + 1)}, 1);")


_EMIT: dict[type, Callable[[Scope, Any], None]] = {
    ir.Seq: _seq,
    ir.Store: _store,
    ir.Let: _let,
    ir.If: _if,
    ir.For: _for,
    ir.Alloc: _alloc,
    ir.Barrier: _barrier,
    ir.Prefetch: _prefetch,
}
