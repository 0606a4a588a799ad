"""Compute a sliding window once: ``for i: for r in 3: b[i+r] = ..`` -> only r = 2 from i = 1 on.

A producer placed in a serial loop, with storage that outlives the iterations, computes what its
consumer reads there; windows of neighbouring iterations overlap. An instance of a single-assigned
block has one value, so the iteration before has left the overlap in storage. The guard that skips
it is written with a minimum, `r >= min(i, 1) * 2`, at which the loop is then split. In storage that
is a ring, the overlap is only there if the ring holds all that one iteration touches.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tdsl.ir.affine import Affine, linear
from tdsl.ir.build import add, conjuncts, ge, is_const, minimum, mul, sub
from tdsl.ir.expr import Buffer, Const, Expr, Var
from tdsl.ir.stmt import Alloc, BlockKind, For, Guard, Leaf, LoopKind, Program, Stmt
from tdsl.ir.visit import free_vars, leaves, substitute
from tdsl.lower.bodies import map_statements, with_body
from tdsl.lower.facts import implied
from tdsl.lower.told import told
from tdsl.target import Target


def slide_windows(program: Program, target: Target) -> Program:
    """Skip the instances that the iteration before has computed into the same storage."""
    del target
    writers: dict[Buffer, int] = {}
    for leaf in leaves(program.body):
        for write in leaf.block.writes:
            writers[write.buffer] = writers.get(write.buffer, 0) + 1
    alone = frozenset(buffer for buffer, count in writers.items() if count == 1)
    return with_body(program, _visit(program.body, (), alone))


def _visit(s: Stmt, path: tuple[Stmt, ...], alone: frozenset[Buffer]) -> Stmt:
    if isinstance(s, Leaf):
        window = _window(s, path, alone)
        if window is None:
            return s
        return dataclasses.replace(s, guards=(*s.guards, Guard(window.guard())))
    return map_statements(s, lambda child: _visit(child, (*path, s), alone))


@dataclass(frozen=True, slots=True)
class _Window:
    """`inner` walks `extent` rows, of which an iteration of `outer` moves on by `step`."""

    outer: Var
    inner: Var
    extent: int
    step: int

    def guard(self) -> Expr:
        return ge(self.inner, mul(minimum(self.outer, 1), self.extent - self.step))


def _window(leaf: Leaf, path: tuple[Stmt, ...], alone: frozenset[Buffer]) -> _Window | None:
    block = leaf.block
    pure = block.kind in (BlockKind.COMPUTE, BlockKind.COPY) and not leaf.atomic
    written = {write.buffer for write in block.writes}
    if not pure or not written <= alone:
        return None
    allocated = [n for n, s in enumerate(path) if isinstance(s, Alloc) and s.buffer in written]
    if len(allocated) != len(written):
        return None
    below = [s for s in path[max(allocated) + 1 :] if isinstance(s, For)]
    storage = [s for s in path if isinstance(s, Alloc) and s.buffer in written]
    for position in range(len(below) - 1, -1, -1):
        outer, inside = below[position], below[position + 1 :]
        found = _slides(leaf, outer, inside)
        if found is not None and all(_keeps(alloc, leaf, inside) for alloc in storage):
            return found
    return None


def _slides(leaf: Leaf, outer: For, inside: list[For]) -> _Window | None:
    """How the window of *leaf* moves with *outer*, where it overlaps the one before."""
    if outer.kind is not LoopKind.SERIAL or outer.parts or is_const(outer.extent, 1):
        return None
    moving = [linear(b) for b in leaf.bindings if outer.var in free_vars(b)]
    if len(moving) != 1 or any(outer.var in free_vars(loop.extent) for loop in inside):
        return None
    for inner in inside:
        if inner.parts or inner.kind not in (LoopKind.SERIAL, LoopKind.UNROLLED):
            continue
        if sum(inner.var in free_vars(b) for b in leaf.bindings) != 1:
            continue
        step = _step(moving[0], outer.var, inner.var)
        match inner.extent:
            case Const(value=value) if step is not None and step < int(value):
                window = _Window(outer.var, inner.var, int(value), step)
            case _:
                continue
        if _moves_with(leaf, window) and not _bounds_others(inner.var, inside):
            return window
    return None


def _keeps(alloc: Alloc, leaf: Leaf, inside: list[For]) -> bool:
    """Whether no two elements that the loops *inside* write share a place."""
    if alloc.layout is None:
        return True
    (write,) = (w for w in leaf.block.writes if w.buffer is alloc.buffer)
    bound = dict(zip(leaf.block.vars, leaf.bindings, strict=True))
    written = [substitute(i, bound) for i in write.indices]
    elements = dict(zip(alloc.layout.inputs, written, strict=True))
    return all(told(alloc.layout, lambda e: _span(linear(substitute(e, elements)), inside)))


def _span(form: Affine, inside: list[For]) -> int | None:
    """How many integers there are from the least to the greatest value; None: unknown."""
    extents = {loop.var: loop.extent for loop in inside if not loop.parts}
    moving = {v for loop in inside for v in (loop.var, *(part.var for part in loop.parts))}
    span = 1
    for atom, coefficient in form.terms.items():
        match extents.get(atom) if isinstance(atom, Var) else None:
            case Const(value=extent):
                span += abs(coefficient) * (int(extent) - 1)
            case _ if free_vars(atom) & moving:
                return None
            case _:
                pass
    return span


def _step(binding: Affine, outer: Var, inner: Var) -> int | None:
    """How far the inner variable moves per outer iteration, for the same instance."""
    rest = binding - Affine({outer: binding.coefficient(outer)})
    rest = rest - Affine({inner: binding.coefficient(inner)})
    c, e = binding.coefficient(outer), binding.coefficient(inner)
    if c <= 0 or e <= 0 or c % e or {outer, inner} & rest.vars():
        return None
    return c // e


def _bounds_others(var: Var, inside: list[For]) -> bool:
    return any(var in free_vars(loop.extent) for loop in inside)


def _moves_with(leaf: Leaf, window: _Window) -> bool:
    """Whether guards say the same of an instance in the iteration before."""
    before: dict[Var, Expr] = {
        window.outer: sub(window.outer, 1),
        window.inner: add(window.inner, window.step),
    }
    conds = [cond for guard in leaf.guards for cond in conjuncts(guard.cond)]
    for cond in conds:
        if free_vars(cond).isdisjoint(before):
            continue
        now = list(implied(cond))
        then = list(implied(substitute(cond, before)))
        if not now or now != then:
            return False
    return True
