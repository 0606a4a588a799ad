"""Statements as LLVM control flow: loops with phis, conditions, allocations, parallel regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tdsl.codegen.llvm import atomics, memory
from tdsl.codegen.llvm.frame import CONTEXT_ERROR_CODE, Frame
from tdsl.codegen.llvm.parallel import emit_parallel
from tdsl.codegen.llvm.types import Value, literal, memory_type
from tdsl.errors import InternalError, LoweringError
from tdsl.ir.expr import Const, Expr, Var
from tdsl.ir.stmt import (
    Alloc,
    For,
    If,
    Let,
    LoopKind,
    Prefetch,
    Scope,
    Seq,
    Stmt,
    Store,
)
from tdsl.ir.visit import free_vars

STACK_LIMIT = 512 * 1024  # bytes of stack that one function may take; threads have few megabytes
_ALIGN = 64


def emit(f: Frame, s: Stmt) -> None:
    """Write the code of a lowered statement."""
    handler = _EMIT.get(type(s))
    if handler is None:
        raise InternalError(f"{type(s).__name__} reached code generation")
    handler(f, s)


def _seq(f: Frame, s: Seq) -> None:
    for child in s.body:
        emit(f, child)


def _store(f: Frame, s: Store) -> None:
    if s.atomic:
        atomics.store_atomic(f, s)
    else:
        memory.store(f, s)


def _let(f: Frame, s: Let) -> None:
    f.values[s.var] = f.value(s.value)
    emit(f, s.body)


def _if(f: Frame, s: If) -> None:
    b = f.builder
    cond = f.value(s.cond)
    if s.otherwise is None:
        with b.when(cond):
            emit(f, s.then)
        return
    then, otherwise, after = b.label("then"), b.label("else"), b.label("end")
    b.branch(cond, then, otherwise)
    for label, arm in ((then, s.then), (otherwise, s.otherwise)):
        b.start(label)
        with b.scope():
            emit(f, arm)
        b.jump(after)
    b.start(after)


def _for(f: Frame, s: For) -> None:
    if s.kind is LoopKind.PARALLEL:
        emit_parallel(f, s, run_body)
    elif s.kind is LoopKind.SERIAL:
        extent = f.value(s.extent)
        loop(f, s.var, literal(0, "i64"), extent, lambda: emit(f, s.body), _is_positive(s.extent))
    elif s.kind.value.startswith(("group", "local")):
        raise LoweringError(
            f"loop {s.var.name!r} is bound to {s.kind.value}, which processors do not have",
            span=s.span,
            hint="s.parallel(loop) for threads, s.vectorize(loop) for lanes, or target='opencl'",
        )
    else:
        raise InternalError(f"a {s.kind.value} loop {s.var.name} reached code generation")


def _is_positive(e: Expr) -> bool:
    return isinstance(e, Const) and int(e.value) > 0


def loop(
    f: Frame, var: Var, begin: Value, end: Value, body: Callable[[], None], runs: bool = False
) -> None:
    """`for var in [begin, end)`, tested at the bottom; `runs`: at least one iteration is certain.

    A single iteration that is known becomes no loop at all.
    """
    b = f.builder
    if runs and begin.text == "0" and end.text == "1":
        f.values[var] = begin
        with b.scope():
            body()
        return
    inside, after = b.label("loop"), b.label("end")
    if runs:
        b.jump(inside)
    else:
        b.branch(b.icmp("slt", begin, end), inside, after)
    before = b.block
    b.start(inside)
    counter, advanced = b.fresh(), b.fresh()
    phi = b.reserve()
    f.values[var] = Value(counter, "i64")
    with b.scope():
        body()
        b.fill(phi, f"{counter} = phi i64 [{begin.text}, %{before}], [{advanced}, %{b.block}]")
        b.effect(f"{advanced} = add nsw i64 {counter}, 1")
        again = b.icmp("slt", Value(advanced, "i64"), end)
        b.branch(again, inside, after)
    b.start(after)


def run_body(f: Frame, s: For, begin: Value, end: Value) -> None:
    """The iterations [begin, end) of a parallel loop; allocations at its top serve them all."""
    _chunk(f, s.body, s.var, begin, end)


def _chunk(f: Frame, body: Stmt, var: Var, begin: Value, end: Value) -> None:
    if isinstance(body, Alloc) and not _mentions(body, var):
        inner = body.body
        _with_alloc(f, body, lambda: _chunk(f, inner, var, begin, end))
    else:
        loop(f, var, begin, end, lambda: emit(f, body))


def _mentions(s: Alloc, var: Var) -> bool:
    return any(var in free_vars(extent) for extent in s.buffer.shape)


def _alloc(f: Frame, s: Alloc) -> None:
    _with_alloc(f, s, lambda: emit(f, s.body))


def _with_alloc(f: Frame, s: Alloc, body: Callable[[], None]) -> None:
    match s.scope:
        case Scope.REGISTER | Scope.STACK:
            f.pointers[s.buffer] = _on_stack(f, s)
            if s.scope is Scope.REGISTER:
                f.registers.add(s.buffer)
            body()
        case Scope.GLOBAL | Scope.CONSTANT:
            _on_heap(f, s, body)
        case Scope.SHARED:
            raise LoweringError(
                f"{s.buffer.name} has scope 'shared', which only OpenCL targets have",
                hint="use scope 'global' or 'stack' on a CPU",
            )


def _on_stack(f: Frame, s: Alloc) -> Value:
    count = 1
    for extent in s.buffer.shape:
        if not isinstance(extent, Const):
            raise LoweringError(
                f"{s.buffer.name} has scope {s.scope.value!r} but no constant size",
                hint="place it where its extents are constant, or use scope 'global'",
            )
        count *= int(extent.value)
    size = count * s.buffer.dtype.bytes
    f.stack += size
    if f.stack > STACK_LIMIT:
        others = f" beside the {f.stack - size} taken already" if f.stack > size else ""
        raise LoweringError(
            f"{s.buffer.name} needs {size} bytes of stack{others}; the limit is {STACK_LIMIT}",
            hint="use scope 'global'",
        )
    element_type = memory_type(s.buffer.dtype)
    return f.builder.alloca(f"[{max(count, 1)} x {element_type}]", _ALIGN)


def _on_heap(f: Frame, s: Alloc, body: Callable[[], None]) -> None:
    """Allocate, run the body, free; without memory the body is skipped and error 1 is noted."""
    b = f.builder
    bytes_, fits = _byte_count(f, s)
    b.module.declare("tdsl_alloc", "noalias ptr @tdsl_alloc(i64)")
    b.module.declare("tdsl_free", "void @tdsl_free(ptr)")
    most = literal(1 << 62, "i64")  # nobody has it, and no rounding up of it overflows
    asked = b.select(fits, b.intrinsic("umin", "i64", bytes_, most), most)
    pointer = b.emit(f"call ptr @tdsl_alloc({asked.typed})", "ptr")
    missing, inside, after = b.label("oom"), b.label("alloc"), b.label("end")
    b.branch(b.icmp("eq", pointer, Value("null", "ptr")), missing, inside, unlikely=True)
    b.start(missing)
    b.effect(f"store i32 1, {_error_code(f).typed}, align 4")
    b.jump(after)
    b.start(inside)
    with b.scope():
        f.pointers[s.buffer] = pointer
        body()
        b.effect(f"call void @tdsl_free({pointer.typed})")
    b.jump(after)
    b.start(after)


def _error_code(f: Frame) -> Value:
    with f.builder.scope():
        return f.field_address(CONTEXT_ERROR_CODE)


def _byte_count(f: Frame, s: Alloc) -> tuple[Value, Value]:
    """The size of a buffer in bytes, and whether it fits an address space at all."""
    b = f.builder
    total = literal(s.buffer.dtype.bytes, "i64")
    fits = literal(1, "i1")
    for extent in s.buffer.shape:
        size = b.intrinsic("smax", "i64", f.value(extent), literal(0, "i64"))
        name = "llvm.umul.with.overflow.i64"
        b.module.declare(name, f"{{ i64, i1 }} @{name}(i64, i64)")
        pair = b.pure(f"call {{ i64, i1 }} @{name}({total.typed}, {size.typed})", "{ i64, i1 }")
        total = b.pure(f"extractvalue {pair.typed}, 0", "i64")
        over = b.pure(f"extractvalue {pair.typed}, 1", "i1")
        fits = b.select(over, literal(0, "i1"), fits)
    return total, fits


_EMIT: dict[type, Callable[[Frame, Any], None]] = {
    Seq: _seq,
    Store: _store,
    Let: _let,
    If: _if,
    For: _for,
    Alloc: _alloc,
    Prefetch: memory.prefetch,
}
