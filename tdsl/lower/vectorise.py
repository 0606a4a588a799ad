"""Vectorise loops: ``for j in vectorized(16): C[j] = s[0] * B[j]`` -> ``C[ramp(0, 1, 16)] = ...``.

The loop variable becomes a ramp, and what depends on it becomes a vector; the rest stays scalar.
Conditions on the lane become masks of stores and loads, serial loops stay loops around vectors, an
allocation inside gets a dimension for the lanes. A loop whose body does not allow this runs as
scalar code, with a warning that names the loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import reduce
from typing import cast

from tdsl.errors import warn_user
from tdsl.ir.build import TRUE, add, conjuncts, index, logical_and, mul
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Buffer,
    Checked,
    Const,
    Expr,
    Extern,
    Load,
    Node,
    Ramp,
    Select,
    Shuffle,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.instruction import PREFIX
from tdsl.ir.stmt import (
    Alloc,
    For,
    If,
    Let,
    LoopKind,
    Prefetch,
    Program,
    Scope,
    Seq,
    Stmt,
    Store,
)
from tdsl.ir.visit import allocated, children, free_vars, map_children, statements, walk
from tdsl.lower.bodies import sequence, with_body
from tdsl.lower.calls import guarded_call, has_calls
from tdsl.lower.copies import fresh_copy
from tdsl.lower.facts import Facts, program_facts
from tdsl.lower.lanes import any_lane, rebuild, widen
from tdsl.lower.safe_loads import Access, all_in_range
from tdsl.lower.warn import LoweringWarning
from tdsl.target import Target

_LINE_BYTES = 64  # of a cache
# A loop this short that stays scalar is copied, for registers need known indices, unless its body
# is so large that the copies would compile for minutes.
_MOST_COPIES = 64
_MOST_STORES = 256


class _CannotVectoriseError(Exception):
    """Why a loop stays scalar; caught in this module."""


def vectorise(program: Program, target: Target) -> Program:
    """Turn each vectorized loop into statements on vectors."""
    del target
    registers = frozenset(
        alloc.buffer for alloc in allocated(program.body).values() if alloc.scope is Scope.REGISTER
    )
    body = _visit(program.body, program_facts(program), registers)
    return with_body(program, body)


def _visit(s: Stmt, facts: Facts, registers: frozenset[Buffer]) -> Stmt:
    if isinstance(s, For):
        inner = facts.inside(s)
    elif isinstance(s, If):
        inner = facts.given(s.cond)
    else:
        inner = facts
    if isinstance(s, If) and s.otherwise is not None:
        then, otherwise = _visit(s.then, inner, registers), _visit(s.otherwise, facts, registers)
        if then is s.then and otherwise is s.otherwise:
            return s
        return If(s.cond, then, otherwise)

    def below(n: Node) -> Node:
        return _visit(n, inner, registers) if isinstance(n, Stmt) else n

    new = map_children(s, below)
    if isinstance(new, For) and new.kind is LoopKind.VECTORIZED:
        return _vectorise_loop(new, facts, registers)
    return new


def _vectorise_loop(loop: For, facts: Facts, registers: frozenset[Buffer]) -> Stmt:
    if not isinstance(loop.extent, Const):
        return _as_scalar(loop, "its extent is not constant")
    lanes = int(loop.extent.value)
    if lanes < 1:
        return Seq(())
    if lanes == 1:
        return fresh_copy(loop.body, {loop.var: index(0)})
    try:
        return _Lanes(loop, lanes, registers).stmt(loop.body, None, facts.inside(loop))
    except _CannotVectoriseError as reason:
        return _as_scalar(loop, str(reason))


def _is_literal(e: Expr) -> bool:
    """Whether every lane is a number that is known now."""
    return not any(isinstance(n, Var | Load | Extern) for n in walk(e))


def _as_scalar(loop: For, why: str) -> Stmt:
    message = f"loop '{loop.var.name}' is not vectorized: {why}; it runs as scalar code"
    warn_user(message, LoweringWarning)
    match loop.extent:
        case Const(value=extent) if _is_short(int(extent), loop.body):
            copies = (fresh_copy(loop.body, {loop.var: index(k)}) for k in range(int(extent)))
            return sequence(copies)
        case _:
            return dataclasses.replace(loop, kind=LoopKind.SERIAL)


def _is_short(extent: int, body: Stmt) -> bool:
    stores = sum(isinstance(n, Store) for n in statements(body))
    return extent <= _MOST_COPIES and extent * stores <= _MOST_STORES


class _Lanes:
    """One loop being vectorised: how its variables and buffers look with all lanes at once."""

    def __init__(self, loop: For, lanes: int, registers: frozenset[Buffer]) -> None:
        self.lanes = lanes
        self.facts = Facts()
        self.registers = registers
        self.variables: dict[Var, Expr] = {loop.var: Ramp(index(0), index(1), lanes)}
        self.buffers: dict[Buffer, Buffer] = {}
        self.loop = loop
        self.arm: Expr | None = None

    # -- expressions ----------------------------------------------------------------------------

    def expr(self, e: Expr, mask: Expr | None) -> Expr:
        """*e* in all lanes; loads stay inside their buffers where `mask` is false."""
        match e:
            case Var():
                return self.variables.get(e, e)
            case Const():
                return e
            case Load():
                return self._load(e, mask)
            case Extern():
                return self._call(e, mask)
            case _ if e.lanes > 1:
                raise _CannotVectoriseError("it holds another vectorized loop")
            case Select(cond=cond, a=a, b=b):
                chosen = self.expr(cond, mask)
                if chosen.lanes == 1 and not has_calls(e):
                    return rebuild(e, [chosen, self.expr(a, mask), self.expr(b, mask)])
                opposite = Unary(UnaryOp.NOT, chosen)
                return rebuild(
                    e, [chosen, self._arm(a, mask, chosen), self._arm(b, mask, opposite)]
                )
            case _:
                operands = cast("Iterable[Expr]", children(e))
                return rebuild(e, [self.expr(operand, mask) for operand in operands])

    def _call(self, e: Extern, mask: Expr | None) -> Expr:
        """A foreign function takes scalars: it is called for each lane, where that is active."""
        args = [self.expr(a, mask) for a in e.args]
        uniform = all(a.lanes == 1 for a in args)
        if e.symbol.startswith(PREFIX):
            if uniform:
                return rebuild(e, args)
            raise _CannotVectoriseError("it holds a machine instruction")
        masks = [m for m in (mask, self.arm) if m is not None]
        active = reduce(rebuild_and, masks) if masks else None
        if uniform:
            call = rebuild(e, args)
            return call if active is None else guarded_call(call, any_lane(active))
        calls: list[Expr] = []
        for lane in range(self.lanes):
            call = rebuild(e, [_lane(a, lane) for a in args])
            calls.append(call if active is None else guarded_call(call, _lane(active, lane)))
        return Shuffle(tuple(calls), tuple(range(self.lanes)))

    def _arm(self, e: Expr, mask: Expr | None, cond: Expr) -> Expr:
        """An arm of a select, of which only the lanes in `cond` count."""
        outer, self.arm = self.arm, cond if self.arm is None else rebuild_and(self.arm, cond)
        new = self.expr(e, mask)
        self.arm = outer
        return new

    def _load(self, e: Load, mask: Expr | None) -> Expr:
        indices = self._access(e.buffer, e.indices, mask)
        vector = any(i.lanes > 1 for i in indices)
        own = None if e.mask is None else self.expr(e.mask, mask)
        active: Expr | None = None
        # a mask of its own may lack what the select around the load decides
        masks = [m for m in (mask, self.arm) if m is not None and m != own]
        if masks and not self._is_safe(e):
            active = reduce(rebuild_and, masks)
        if active is not None and not vector:
            active = any_lane(active)
        if own is not None and own.lanes > 1 and not vector:
            if indices:
                indices = (*indices[:-1], widen(indices[-1], self.lanes))
                vector = True
            else:
                own = any_lane(own)
        if own is not None:
            active = own if active is None else rebuild_and(own, active)
        if active is not None and vector:
            active = widen(active, self.lanes)
        return Load(self.buffers.get(e.buffer, e.buffer), indices, active)

    def _is_safe(self, e: Load) -> bool:
        """Whether a load may run in lanes that do nothing."""
        if e.buffer in self.registers:
            return True
        if any(isinstance(n, Checked) for i in e.indices for n in walk(i)):
            return False  # it stays inside, but would be reported
        return all_in_range(self.facts, Access(e.buffer, e.indices))

    def _access(
        self, buffer: Buffer, indices: Iterable[Expr], mask: Expr | None
    ) -> tuple[Expr, ...]:
        new = tuple(self.expr(i, mask) for i in indices)
        if buffer in self.buffers:
            new = (*new, Ramp(index(0), index(1), self.lanes))
        return new

    # -- statements -----------------------------------------------------------------------------

    def stmt(self, s: Stmt, mask: Expr | None, facts: Facts) -> Stmt:
        """*s* in all lanes where `mask` (None: everywhere) holds."""
        self.facts = facts
        match s:
            case Seq(body=body):
                return sequence(self.stmt(child, mask, facts) for child in body)
            case Store():
                return self._store(s, mask)
            case If():
                return self._if(s, mask, facts)
            case For():
                return self._for(s, mask, facts)
            case Let(var=var, value=value, body=body):
                new = self.expr(value, mask)
                if new.lanes > 1 and _is_literal(new):
                    # where it is used, lanes at known distances tell loads what to read whole
                    self.variables[var] = new
                    return self.stmt(body, mask, facts)
                named = var if new.lanes == 1 else Var(var.name, var.type, new.lanes)
                self.variables[var] = named
                return Let(named, new, self.stmt(body, mask, facts))
            case Alloc():
                return self._alloc(s, mask, facts)
            case Prefetch():
                return self._prefetch(s)
            case _:
                raise _CannotVectoriseError(f"it holds a {type(s).__name__}")

    def _store(self, s: Store, mask: Expr | None) -> Stmt:
        here = None if s.mask is None else self.expr(s.mask, mask)
        if mask is not None:
            here = mask if here is None else rebuild_and(here, mask)
        if s.atomic:
            return sequence(self._atomic_lane(s, here, lane) for lane in range(self.lanes))
        indices = self._access(s.buffer, s.indices, mask)
        value = self.expr(s.value, mask)
        if any(i.lanes > 1 for i in indices):
            value = widen(value, self.lanes)
            here = None if here is None else widen(here, self.lanes)
        else:
            self._check_uniform(s, value)
            here = None if here is None else any_lane(here)
        buffer = self.buffers.get(s.buffer, s.buffer)
        return dataclasses.replace(s, buffer=buffer, indices=indices, value=value, mask=here)

    def _atomic_lane(self, s: Store, mask: Expr | None, lane: int) -> Stmt:
        """An atomic update for one lane: lanes may meet in one element."""

        def single(n: Node) -> Node:
            match n:
                case Var():
                    new = index(lane) if n is self.loop.var else self.variables.get(n, n)
                    return new if new.lanes == 1 else Shuffle((new,), (lane,))
                case Load(buffer=buffer) if buffer in self.buffers:
                    inner = map_children(n, single)
                    return Load(self.buffers[buffer], (*inner.indices, index(lane)), inner.mask)
                case Store(buffer=buffer) if buffer in self.buffers:
                    one = map_children(n, single)
                    return dataclasses.replace(
                        one, buffer=self.buffers[buffer], indices=(*one.indices, index(lane))
                    )
                case _:
                    return map_children(n, single)

        new = single(dataclasses.replace(s, mask=None))
        assert isinstance(new, Store)
        if mask is not None and mask.lanes > 1:
            mask = Shuffle((mask,), (lane,))
        return dataclasses.replace(new, mask=mask)

    def _check_uniform(self, s: Store, value: Expr) -> None:
        """All lanes store to one element: fine if they store one value, and once is as good."""
        if value.lanes > 1:
            raise _CannotVectoriseError(f"its iterations store to one element of {s.buffer.name}")
        if any(isinstance(n, Load) and n.buffer is s.buffer for n in walk(s.value)):
            raise _CannotVectoriseError(f"its iterations update one element of {s.buffer.name}")

    def _if(self, s: If, mask: Expr | None, facts: Facts) -> Stmt:
        inside = facts.given(s.cond)
        if s.otherwise is None:
            scalar, varying = self._split(s.cond, mask)
            both = (
                varying if mask is None else mask if varying is None else rebuild_and(mask, varying)
            )
            kept = facts.given(*(c for c in conjuncts(s.cond) if not self._varies(c)))
            then = self.stmt(s.then, both, kept if varying is not None else inside)
            return then if scalar == TRUE else If(scalar, then)
        cond = self.expr(s.cond, mask)
        if cond.lanes == 1:
            then = self.stmt(s.then, mask, inside)
            return If(cond, then, self.stmt(s.otherwise, mask, facts))
        opposite: Expr = Unary(UnaryOp.NOT, cond)
        if mask is not None:
            cond, opposite = rebuild_and(mask, cond), rebuild_and(mask, opposite)
        return sequence([self.stmt(s.then, cond, facts), self.stmt(s.otherwise, opposite, facts)])

    def _split(self, cond: Expr, mask: Expr | None) -> tuple[Expr, Expr | None]:
        """The conjuncts that are the same in all lanes, and the others (None: there are none)."""
        scalar: Expr = TRUE
        varying: Expr | None = None
        for part in conjuncts(cond):
            new = self.expr(part, mask)
            if new.lanes == 1:
                scalar = logical_and(scalar, new)
                continue
            varying = new if varying is None else rebuild_and(varying, new)
            mask = new if mask is None else rebuild_and(mask, new)
        return scalar, varying

    def _varies(self, e: Expr) -> bool:
        return any(v is self.loop.var or self.variables.get(v, v).lanes > 1 for v in free_vars(e))

    def _for(self, s: For, mask: Expr | None, facts: Facts) -> Stmt:
        if s.kind is not LoopKind.SERIAL:
            raise _CannotVectoriseError(f"it holds the {s.kind.value} loop '{s.var.name}'")
        extent = self.expr(s.extent, mask)
        if extent.lanes > 1:
            raise _CannotVectoriseError(
                f"the extent of the loop '{s.var.name}' inside differs between its iterations"
            )
        return dataclasses.replace(s, extent=extent, body=self.stmt(s.body, mask, facts.inside(s)))

    def _alloc(self, s: Alloc, mask: Expr | None, facts: Facts) -> Stmt:
        shape = tuple(self.expr(extent, mask) for extent in s.buffer.shape)
        if any(extent.lanes > 1 for extent in shape):
            raise _CannotVectoriseError(f"the size of {s.buffer.name} differs between iterations")
        new = dataclasses.replace(s.buffer, shape=(*shape, index(self.lanes)))
        self.buffers[s.buffer] = new
        return dataclasses.replace(s, buffer=new, body=self.stmt(s.body, mask, facts))

    def _prefetch(self, s: Prefetch) -> Stmt:
        """One in each line that a run of lanes is long; its neighbour asks for what is left."""
        indices = self._access(s.buffer, s.indices, None)
        if any(i.lanes > 1 and not isinstance(i, Ramp) for i in indices):
            return Seq(())
        buffer = self.buffers.get(s.buffer, s.buffer)
        step = max(1, _LINE_BYTES // s.buffer.dtype.bytes)
        if any(isinstance(i, Ramp) and i.stride != index(1) for i in indices):
            step = 1
        fetches = (
            Prefetch(buffer, tuple(_lane(i, lane) for i in indices))
            for lane in range(0, self.lanes, step)
        )
        return sequence(dict.fromkeys(fetches))


def _lane(i: Expr, lane: int) -> Expr:
    """One lane of a vector; a scalar as it is."""
    if isinstance(i, Ramp):
        return add(i.base, mul(i.stride, lane))
    return i if i.lanes == 1 else Shuffle((i,), (lane,))


def rebuild_and(a: Expr, b: Expr) -> Expr:
    """`a and b` of masks with any lane counts."""
    return rebuild(Binary(BinaryOp.AND, a, b), [a, b])
