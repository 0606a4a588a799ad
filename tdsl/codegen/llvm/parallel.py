"""Parallel loops: the body becomes a function of a range, its surroundings a closure on the stack.

    for i in parallel(n): body
->
    define void @k.region.0(ptr closure, i64 begin, i64 end, i32 worker)   ; unpacks the closure
    define void @k.body.0(ptr noalias a, ..., i64 begin, i64 end)          ; for i in [begin, end)
    call void @tdsl_parallel_for(@k.region.0, closure, n, estimated nanoseconds)

Two functions, because only a parameter can say that its memory is not reached in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tdsl.codegen.llvm.builder import Builder
from tdsl.codegen.llvm.frame import Frame
from tdsl.codegen.llvm.types import Value
from tdsl.codegen.llvm.work import nanoseconds
from tdsl.ir.expr import Buffer, Var
from tdsl.ir.stmt import For, Let
from tdsl.ir.visit import accessed_buffers, allocated, free_vars, statements

Body: TypeAlias = Callable[[Frame, For, Value, Value], None]
_FENCES = {"x86_64": "llvm.x86.sse.sfence", "aarch64": ""}


def emit_parallel(f: Frame, s: For, body: Body) -> None:
    """Write the region's functions and the call that runs them."""
    b = f.builder
    bound = {n.var for n in statements(s) if isinstance(n, For | Let)}
    used, own = accessed_buffers(s.body), allocated(s.body)
    shapes = (free_vars(extent) for buffer in own for extent in buffer.shape)
    inside = free_vars(s.body).union(*shapes) - bound
    variables = [v for v in f.values if v in inside]
    buffers = [p for p in f.pointers if p in used and p not in own]
    stem = b.module.unique("region")
    closure_types = ["ptr"] * (1 + len(buffers)) + [f.values[v].type for v in variables]
    closure_type = "{ " + ", ".join(closure_types) + " }"
    _write_body(f, s, stem, buffers, variables, body)
    _write_region(f, stem, closure_type, closure_types)
    extent = f.value(s.extent)
    work = f.value(nanoseconds(s))
    closure = b.alloca(closure_type, 64)
    captured = [f.context, *(f.pointers[p] for p in buffers), *(f.values[v] for v in variables)]
    for number, value in enumerate(captured):
        address = _field(b, closure_type, closure, number)
        b.effect(f"store {value.typed}, {address.typed}")
    b.module.declare("tdsl_parallel_for", "void @tdsl_parallel_for(ptr, ptr, i64, i64)")
    b.effect(
        f"call void @tdsl_parallel_for(ptr @{stem}, {closure.typed}, {extent.typed}, {work.typed})"
    )
    for buffer in buffers:
        b.forget(buffer)


def _field(b: Builder, closure_type: str, closure: Value, number: int) -> Value:
    return b.pure(f"getelementptr {closure_type}, {closure.typed}, i32 0, i32 {number}", "ptr")


def _write_body(
    f: Frame, s: For, stem: str, buffers: list[Buffer], variables: list[Var], body: Body
) -> None:
    """The function that runs a range of iterations."""
    parameters = ["ptr %context"]
    parameters += [f"ptr noalias %p{k}" for k in range(len(buffers))]
    parameters += [f"{f.values[v].type} %x{k}" for k, v in enumerate(variables)]
    parameters += ["i64 %begin", "i64 %end"]
    head = f"define internal void @{stem}.body({', '.join(parameters)}) nounwind noinline"
    b = Builder(f.builder.module, head)
    inner = Frame(
        builder=b,
        target=f.target,
        context=Value("%context", "ptr"),
        evaluate=f.evaluate,
        values={v: Value(f"%x{k}", f.values[v].type) for k, v in enumerate(variables)},
        pointers={p: Value(f"%p{k}", "ptr") for k, p in enumerate(buffers)},
        dims=f.dims,
    )
    body(inner, s, Value("%begin", "i64"), Value("%end", "i64"))
    fence(inner)
    b.effect("ret void")
    b.finish()


def _write_region(f: Frame, stem: str, closure_type: str, types: list[str]) -> None:
    """The function that the pool calls."""
    head = f"define internal void @{stem}(ptr %closure, i64 %begin, i64 %end, i32 %worker) nounwind"
    b = Builder(f.builder.module, head)
    closure = Value("%closure", "ptr")
    arguments = [
        b.emit(f"load {type_}, {_field(b, closure_type, closure, number).typed}", type_).typed
        for number, type_ in enumerate(types)
    ]
    arguments += ["i64 %begin", "i64 %end"]
    b.effect(f"call void @{stem}.body({', '.join(arguments)})")
    b.effect("ret void")
    b.finish()


def fence(f: Frame) -> None:
    """Make the function's non-temporal stores visible before what comes after it."""
    if not f.streams:
        return
    name = _FENCES.get(f.target.triple.partition("-")[0], "")
    if name:
        f.builder.module.declare(name, f"void @{name}()")
        f.builder.effect(f"call void @{name}()")
    else:
        f.builder.effect("fence release")
