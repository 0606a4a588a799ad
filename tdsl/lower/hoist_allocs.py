"""Allocate once: ``for i: alloc T: s`` -> ``alloc T: for i: s``, and small storage on the stack.

Every iteration has a fresh copy of what is allocated in it, but iterations that follow one another
may use the same memory. Storage moves out to the body of the parallel loop around it, where it is
allocated once per chunk of iterations, or to the top of the kernel.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from tdsl.errors import LoweringError, warn_user
from tdsl.ir.expr import Buffer, Const, Expr, Node, Var
from tdsl.ir.interval import Interval, bounds
from tdsl.ir.stmt import Alloc, For, Let, LoopKind, Program, Scope, Stmt
from tdsl.ir.visit import free_vars, map_children, replace_buffers, statements
from tdsl.lower.bodies import with_body
from tdsl.lower.team import BOUND
from tdsl.lower.warn import LoweringWarning
from tdsl.target import Target

# What one allocation may take of the stack of a worker thread, and all of them together.
STACK_BYTES = 16 * 1024
STACK_TOTAL = 128 * 1024


@dataclass(slots=True)
class _Pending:
    """Allocations that move outward, innermost first, and the stack taken so far."""

    allocs: list[Alloc] = field(default_factory=list)
    stack: int = 0


def hoist_allocs(program: Program, target: Target) -> Program:
    """Move heap storage out of serial loops; put small constant-size storage on the stack."""
    del target
    pending = _Pending()
    body = _visit(program.body, pending, top=True)
    return with_body(program, _placed(body, pending.allocs))


def _visit(s: Stmt, pending: _Pending, *, top: bool) -> Stmt:
    match s:
        case Alloc():
            return _alloc(s, pending, top=top)
        case For():
            return _for(s, pending)
        case _:
            bound = {s.var} if isinstance(s, Let) else set()
            first = len(pending.allocs)
            new = map_children(s, lambda n: _child(n, pending, top=top and not bound))
            stuck = _take(pending, first, bound)
            return _within(new, stuck) if stuck else new


def _child(n: Node, pending: _Pending, *, top: bool) -> Node:
    return _visit(n, pending, top=top) if isinstance(n, Stmt) else n


def _alloc(s: Alloc, pending: _Pending, *, top: bool) -> Stmt:
    scope = _scope(s, pending, top=top)
    body = _visit(s.body, pending, top=top)
    if scope in (Scope.REGISTER, Scope.SHARED, Scope.CONSTANT, Scope.STACK):
        if body is s.body and scope is s.scope:
            return s
        return dataclasses.replace(s, body=body, scope=scope)
    pending.allocs.append(dataclasses.replace(s, body=body, scope=scope))
    return body


def _scope(s: Alloc, pending: _Pending, *, top: bool) -> Scope:
    size = _bytes(s.buffer)
    if s.scope is Scope.STACK:
        if size is None:
            raise LoweringError(
                f"'{s.buffer.name}' cannot live on the stack: its size is not constant",
                hint="use scope 'global', or split the loops around it by constant factors",
            )
        if pending.stack + size > STACK_TOTAL:
            message = f"'{s.buffer.name}' takes {size} bytes: it lives on the heap, not the stack"
            warn_user(message, LoweringWarning)
            return Scope.GLOBAL
        pending.stack += size
        return Scope.STACK
    if s.scope is not Scope.GLOBAL or size is None or size > STACK_BYTES:
        return s.scope
    kinds = {n.kind for n in statements(s.body) if isinstance(n, For)}
    shared = bool(kinds & BOUND) or (top and LoopKind.PARALLEL in kinds)
    if shared or pending.stack + size > STACK_TOTAL:
        return Scope.GLOBAL
    pending.stack += size
    return Scope.STACK


def _bytes(buffer: Buffer) -> int | None:
    size = buffer.dtype.bytes
    for extent in buffer.shape:
        if not isinstance(extent, Const):
            return None
        size *= int(extent.value)
    return size


def _for(s: For, pending: _Pending) -> Stmt:
    first = len(pending.allocs)
    body = _visit(s.body, pending, top=False)
    if s.kind in (LoopKind.SERIAL, LoopKind.UNROLLED):
        own = {s.var, *(part.var for part in s.parts)}
        body = _widened(s, body, pending, first)
        stuck = _take(pending, first, own)
    else:
        stuck = pending.allocs[first:]
        del pending.allocs[first:]
    body = _placed(body, stuck)
    return s if body is s.body else dataclasses.replace(s, body=body)


def _widened(loop: For, body: Stmt, pending: _Pending, first: int) -> Stmt:
    """Give storage whose extent depends on the loop the greatest extent, so that it can leave."""
    ranges = {part.var: Interval.of_extent(part.extent) for part in loop.parts}
    ranges[loop.var] = Interval.of_extent(loop.extent)
    for position in range(first, len(pending.allocs)):
        old = pending.allocs[position]
        shape = tuple(_greatest(extent, ranges) for extent in old.buffer.shape)
        if shape != old.buffer.shape:
            buffer = dataclasses.replace(old.buffer, shape=shape)
            body = replace_buffers(body, {old.buffer: buffer})
            pending.allocs[position] = dataclasses.replace(old, buffer=buffer)
    return body


def _greatest(extent: Expr, ranges: dict[Var, Interval]) -> Expr:
    if not free_vars(extent) & ranges.keys():
        return extent
    _, hi = bounds(extent, ranges)
    return extent if hi is None else hi


def _take(pending: _Pending, first: int, bound: set[Var]) -> list[Alloc]:
    """Remove and return the allocations since *first* whose shape mentions a bound variable."""
    stuck: list[Alloc] = []
    free: list[Alloc] = []
    for a in pending.allocs[first:]:
        depends = any(free_vars(extent) & bound for extent in a.buffer.shape)
        (stuck if depends else free).append(a)
    pending.allocs[first:] = free
    return stuck


def _within(s: Node, stuck: list[Alloc]) -> Stmt:
    assert isinstance(s, Let)
    return dataclasses.replace(s, body=_placed(s.body, stuck))


def _placed(body: Stmt, allocs: list[Alloc]) -> Stmt:
    for alloc in allocs:
        body = dataclasses.replace(alloc, body=body)
    return body
