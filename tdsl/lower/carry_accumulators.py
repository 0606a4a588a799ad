"""Carry accumulators: ``for k: y[i] += x[k]`` -> ``a = y[i]; for k: a += x[k]; y[i] = a``.

A serial loop that reads and writes elements which do not depend on its variable would pass them
through memory each time round. They become registers for as long as the loop runs, where nothing
else in the loop touches their buffer and the target has that many registers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

from tdsl.ir.affine import Affine, linear
from tdsl.ir.below import BELOW
from tdsl.ir.build import index, lt, product
from tdsl.ir.expr import Buffer, Checked, Const, Expr, Load, Node, Ramp, Select, Var
from tdsl.ir.stmt import (
    Alloc,
    Barrier,
    For,
    If,
    Let,
    LoopKind,
    Prefetch,
    Program,
    Scope,
    Stmt,
    Store,
)
from tdsl.ir.visit import children, free_vars, has_effects, map_children, statements, walk
from tdsl.lower.bodies import map_statements, sequence, with_body
from tdsl.lower.facts import Facts, holds, in_range, program_facts
from tdsl.lower.own_elements import AtOnce
from tdsl.lower.team import BOUND
from tdsl.target import Target


def carry_accumulators(program: Program, target: Target) -> Program:
    """Keep elements that serial loops update in registers while they run."""
    allocs = [n for n in statements(program.body) if isinstance(n, Alloc)]
    registers = frozenset(a.buffer for a in allocs if a.scope is Scope.REGISTER)
    body = _visit(program.body, program_facts(program), _Limits(target, registers))
    return with_body(program, body)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What may be carried: buffers that are not in registers yet, as many as the target has.

    `at_once`: the loops around the statement at hand whose iterations may run at the same time.
    """

    target: Target
    registers: frozenset[Buffer]
    at_once: AtOnce = field(default_factory=AtOnce)

    def fits(self, elements: list[_Element]) -> bool:
        needed = 0
        for e in elements:
            bits = e.buffer.dtype.bits * e.lanes
            needed += -(-bits // self.target.vector_bits)
        return needed < self.target.vector_registers


@dataclass(slots=True)
class _Element:
    """One element (or vector of them) that a loop updates, by its index."""

    buffer: Buffer
    indices: tuple[Expr, ...]
    mask: Expr | None
    lanes: int
    loaded: bool = False
    stored: bool = False
    stream: bool = False
    direct: bool = False  # touched in every iteration, not only in inner loops or branches
    fresh: bool = False  # each iteration stores it before anything else: no value comes in
    maybe: bool = False  # not every iteration that comes by stores it


@dataclass(slots=True)
class _Use:
    """How a loop uses a buffer; `elements` is None where it cannot be carried."""

    elements: list[_Element] | None = field(default_factory=list)


def _visit(s: Stmt, facts: Facts, limits: _Limits) -> Stmt:
    inner = facts
    below = replace(limits, at_once=limits.at_once.inside(s))
    if isinstance(s, For):
        inner = facts.inside(s)
        if s.kind is LoopKind.SERIAL and not _meets(s):
            carried = _carried(s, facts, limits)
            if carried:
                # what is left in the loop may be carried by the loops inside it
                return _wrapped(s, carried, facts, limits)
    elif isinstance(s, If) and s.otherwise is None:
        inner = facts.given(s.cond)
    return map_statements(s, lambda n: _visit(n, inner, below))


def _meets(loop: For) -> bool:
    """Whether work-items meet in the loop, or are started there: others may touch the element."""
    return any(
        isinstance(n, Barrier) or (isinstance(n, For) and n.kind in BOUND)
        for n in statements(loop.body)
    )


def _carried(loop: For, facts: Facts, limits: _Limits) -> list[_Element]:
    uses: dict[Buffer, _Use] = {}
    bound = {loop.var} | {n.var for n in statements(loop.body) if isinstance(n, For | Let)}
    _scan(loop.body, uses, bound, direct=True, sure=True)
    local = {n.buffer for n in statements(loop.body) if isinstance(n, Alloc)}
    chosen: list[_Element] = []
    for buffer, use in uses.items():
        if buffer in local or buffer in limits.registers or use.elements is None:
            continue
        updated = any(e.loaded and e.stored for e in use.elements)
        if not all(limits.at_once.owns(buffer, e.indices) for e in use.elements if e.maybe):
            continue  # put back by all, it would undo what another iteration stored
        if updated and _apart(use.elements) and _safe(use.elements, loop, facts):
            chosen += use.elements
    return chosen if chosen and limits.fits(chosen) else []


def _scan(
    n: Node,
    uses: dict[Buffer, _Use],
    bound: set[Var],
    *,
    direct: bool,
    sure: bool,
) -> None:
    read = BELOW[type(n)]
    if read is None:
        return
    if isinstance(n, For) and n.kind is not LoopKind.SERIAL:
        for m in walk(n):
            if isinstance(m, Load | Store):
                uses.setdefault(m.buffer, _Use()).elements = None
        return
    inside = direct and not isinstance(n, For | If | Select)
    if isinstance(n, Store) and n.mask is not None:
        inside = False  # the value may only be computed where the mask holds
    runs = isinstance(n, For) and isinstance(n.extent, Const) and n.extent.value > 0
    below = sure and (runs or not isinstance(n, For | If))
    for child in read(n):
        _scan(child, uses, bound, direct=inside, sure=below)
    match n:
        case Load() | Store():  # a store comes after the loads of its value
            _note(n, uses, bound, direct=direct, sure=sure)
        case Prefetch(buffer=buffer):
            uses.setdefault(buffer, _Use()).elements = None
        case _:
            pass


def _note(
    access: Load | Store,
    uses: dict[Buffer, _Use],
    bound: set[Var],
    *,
    direct: bool,
    sure: bool,
) -> None:
    use = uses.setdefault(access.buffer, _Use())
    if use.elements is None:
        return
    key = (*access.indices, access.mask) if access.mask is not None else access.indices
    fixed = not any(
        isinstance(m, Load | Checked) or (isinstance(m, Var) and m in bound)
        for e in key
        for m in walk(e)
    )
    if not fixed or (isinstance(access, Store) and access.atomic):
        use.elements = None
        return
    lanes = max((i.lanes for i in access.indices), default=1)
    for known in use.elements:
        if known.indices == access.indices and known.mask == access.mask:
            break
    else:
        known = _Element(access.buffer, access.indices, access.mask, lanes)
        known.fresh = direct and isinstance(access, Store)
        use.elements.append(known)
    known.direct |= direct
    known.loaded |= isinstance(access, Load)
    if isinstance(access, Store):
        known.stored = True
        known.maybe |= not sure
        known.stream |= access.stream


def _apart(elements: list[_Element]) -> bool:
    """Whether no two of the elements of one buffer overlap."""
    places = [tuple(_run(i) for i in e.indices) for e in elements]
    for n, one in enumerate(places):
        for other in places[n + 1 :]:
            if len(one) != len(other) or not any(map(_distinct, one, other)):
                return False
    return True


def _run(i: Expr) -> tuple[Affine, int] | None:
    """Where the elements that an index names start, and how many they are; None: no run."""
    if i.lanes > 1 and not _is_run(i):
        return None
    return linear(_base(i)), i.lanes


def _distinct(a: tuple[Affine, int] | None, b: tuple[Affine, int] | None) -> bool:
    """Whether two runs have no element in common."""
    if a is None or b is None:
        return False
    gap = b[0] - a[0]
    return gap.is_constant and (gap.const >= a[1] or -gap.const >= b[1])


def _is_run(i: Expr) -> bool:
    return isinstance(i, Ramp) and i.stride == index(1)


def _base(i: Expr) -> Expr:
    return i.base if isinstance(i, Ramp) else i


def _safe(elements: list[_Element], loop: For, facts: Facts) -> bool:
    """Whether the elements may be touched outside the loop, once it is known to run."""
    running = facts.given(lt(index(0), loop.extent))
    return all(e.direct or _in_bounds(e, running) for e in elements)


def _in_bounds(element: _Element, facts: Facts) -> bool:
    shape = element.buffer.shape
    if len(element.indices) != len(shape):  # a flat index
        shape = (product(shape),)
    for i, extent in zip(element.indices, shape, strict=True):
        if i.lanes > 1:
            # a mask alone does not keep lanes inside: branches of the loop may be needed for that
            if not _run_in_range(i, extent, facts):
                return False
        elif not in_range(facts, i, extent):
            return False
    return True


def _run_in_range(i: Expr, extent: Expr, facts: Facts) -> bool:
    if not (isinstance(i, Ramp) and _is_run(i)):
        return False
    last = (linear(i.base) + (i.count - 1)).expr()
    return in_range(facts, i.base, extent) and in_range(facts, last, extent)


def _wrapped(loop: For, elements: list[_Element], facts: Facts, limits: _Limits) -> Stmt:
    slots = [Buffer(f"{e.buffer.name}.acc", e.buffer.dtype, (index(e.lanes),)) for e in elements]
    places = {
        (e.buffer, e.indices): (slot, _place(e)) for e, slot in zip(elements, slots, strict=True)
    }
    body = _redirected(loop.body, places)
    within = replace(limits, at_once=limits.at_once.inside(loop))
    inner = _visit(body, facts.inside(loop), within)
    before = [
        Store(slot, _place(e), Load(e.buffer, e.indices, e.mask))
        for e, slot in zip(elements, slots, strict=True)
        if not e.fresh
    ]
    after = [
        Store(e.buffer, e.indices, Load(slot, _place(e)), e.mask, stream=e.stream)
        for e, slot in zip(elements, slots, strict=True)
        if e.stored
    ]
    nest: Stmt = sequence([*before, replace(loop, body=inner), *after])
    for slot in reversed(slots):
        nest = Alloc(slot, nest, Scope.REGISTER)
    runs = lt(index(0), loop.extent)
    return nest if holds(facts, runs) else If(runs, nest)


def _place(e: _Element) -> tuple[Expr, ...]:
    return (Ramp(index(0), index(1), e.lanes),) if e.lanes > 1 else (index(0),)


_Places = dict[tuple[Buffer, tuple[Expr, ...]], tuple[Buffer, tuple[Expr, ...]]]


def _redirected(s: Stmt, places: _Places) -> Stmt:
    """A statement that accesses the slots.

    Lanes that a mask leaves out hold anything in a slot, so a load keeps its mask unless its value
    is stored under the same. A store keeps its own for what a value does beside being computed.
    """

    def visit(n: Node, stored: Expr | None) -> Node:
        """`stored`: the mask under which values that *n* takes part in are stored."""
        match n:
            case Load():
                found = places.get((n.buffer, n.indices))
                if found is None:
                    return map_children(n, lambda child: visit(child, None))
                return Load(*found, None if n.mask == stored else n.mask)
            case Let(var=var, value=value, body=body):
                new = visit(value, _stored_under(var, body)), visit(body, None)
                return Let(var, *cast("tuple[Expr, Stmt]", new))
            case Store():
                new_store = map_children(n, lambda child: visit(child, n.mask))
                found = places.get((n.buffer, n.indices))
                if found is None:
                    return new_store
                return Store(*found, new_store.value, n.mask if has_effects(n.value) else None)
            case _:
                return map_children(n, lambda child: visit(child, stored))

    return cast("Stmt", visit(s, None))


def _stored_under(var: Var, body: Stmt) -> Expr | None:
    """The mask of the stores of a name's value; None where that goes anywhere else as well."""
    masks: set[Expr | None] = set()
    for s in statements(body):
        if isinstance(s, Store) and s.value is var:
            masks.add(s.mask)
        elif any(isinstance(e, Expr) and var in free_vars(e) for e in children(s)):
            return None
    return masks.pop() if len(masks) == 1 else None
