"""Shrink allocations to what is used in them: ``alloc C[M, N]`` in a tile -> ``alloc C[6, 64]``.

Above this pass every tensor is accessed by its logical indices, wherever its copy lives. Here each
`Alloc` gets the box that its body touches, as an origin in terms of the loops around it and a
constant (or loop-independent) extent, and indices become relative to the origin. Boxes follow the
ranges of the loops without regard to guards, so that instances whose guard was dropped, and padded
loops, have storage too. Long rows are rounded up to whole vectors: what is aligned in one row is
then aligned in the next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tdsl.ir.affine import Affine, linear
from tdsl.ir.build import index, is_const, maximum, minimum, sub
from tdsl.ir.expr import Buffer, Const, Expr, Node, Var
from tdsl.ir.interval import Interval, bounds, constant_bounds, interval
from tdsl.ir.stmt import Alloc, For, IterVar, Layout, Leaf, Program, Scope, Stmt
from tdsl.ir.visit import block_reads, free_vars, map_children, substatements, substitute
from tdsl.lower.accesses import Indices, redirect, touched_buffers
from tdsl.lower.bodies import with_body
from tdsl.lower.facts import Facts, in_range, not_negative, program_facts
from tdsl.lower.loop_bounds import greatest, least
from tdsl.lower.relax_guards import is_private
from tdsl.lower.told import anchored, grows
from tdsl.target import Target

_LONG_ROW = 8  # vectors: padding then takes an eighth of the storage at most


def _keeps_rows(layout: Layout | None) -> bool:
    """Whether rows are stored as rows, as long as they are."""
    if layout is None:
        return True
    *outer, last = layout.outputs
    row = layout.inputs[-1]
    return layout.shape is None and last is row and not any(row in free_vars(e) for e in outer)


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a dimension's storage starts (in terms of outer loops) and how long it is.

    `kept_in`: leaves (by identity) that read beyond it, of which only what pads a tail does so.
    """

    origin: Expr
    extent: Expr
    kept_in: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Compacted:
    """A buffer's storage: `buffer` has the compacted shape, `boxes` say what to subtract."""

    buffer: Buffer
    boxes: tuple[_Box, ...]


@dataclass(frozen=True, slots=True)
class _Access:
    """One access from below an allocation: its indices over loops, and the loops between."""

    indices: tuple[Expr, ...]
    env: Mapping[Var, Interval]
    leaf: Leaf
    facts: Facts


def compact_storage(program: Program, target: Target) -> Program:
    """Give every allocation the shape of what is used in it."""
    plans: dict[Buffer, _Compacted] = {}
    _plan(program.body, program_facts(program), (), plans, target.vector_bits // 8)
    if not plans:
        return program
    return with_body(program, _rewrite(program.body, plans))


def _plan(
    s: Stmt,
    facts: Facts,
    outer: tuple[For, ...],
    plans: dict[Buffer, _Compacted],
    vector_bytes: int,
) -> None:
    match s:
        case For(body=body):
            _plan(body, facts.inside(s), (*outer, s), plans, vector_bytes)
        case Alloc(buffer=buffer, body=body):
            boxes = tuple(_boxes(s, facts, outer))
            shape = _padded(s, tuple(box.extent for box in boxes), vector_bytes)
            if shape != buffer.shape or not all(map(_changes_nothing, boxes)):
                plans[buffer] = _Compacted(dataclasses.replace(buffer, shape=shape), boxes)
            _plan(body, facts, outer, plans, vector_bytes)
        case _:
            for child in substatements(s):
                _plan(child, facts, outer, plans, vector_bytes)


def _changes_nothing(box: _Box) -> bool:
    return is_const(box.origin, 0) and not box.kept_in


def _padded(alloc: Alloc, shape: tuple[Expr, ...], vector_bytes: int) -> tuple[Expr, ...]:
    """The shape with rows of whole vectors, where that costs little."""
    in_memory = alloc.scope in (Scope.GLOBAL, Scope.STACK)
    if len(shape) < 2 or not in_memory or not _keeps_rows(alloc.layout):
        return shape
    lanes = vector_bytes // alloc.buffer.dtype.bytes
    match shape[-1]:
        case Const(value=extent) if lanes and int(extent) >= _LONG_ROW * lanes:
            return (*shape[:-1], index(-(-int(extent) // lanes) * lanes))
        case _:
            return shape


def _boxes(alloc: Alloc, facts: Facts, outer: tuple[For, ...]) -> list[_Box]:
    accesses = _accesses(alloc.body, alloc.buffer, facts, {})
    around = _ranges(outer)
    private = is_private(alloc, in_loop=bool(outer))
    layout = alloc.layout
    places = [] if layout is None else list(zip(anchored(layout), grows(layout), strict=True))
    boxes = []
    for d, extent in enumerate(alloc.buffer.shape):
        box = _tight(d, accesses, facts, around) if private else None
        box = box or _whole(d, extent, accesses, facts, around)
        fits = not places or _may_hold(*places[d], box, extent)
        boxes.append(box if fits else _fixed(d, alloc.buffer, accesses))
    return boxes


def _fixed(d: int, buffer: Buffer, accesses: list[_Access]) -> _Box:
    """The whole dimension, and no more: a layout has no places beyond it."""
    extent = buffer.shape[d]
    beyond = {
        id(access.leaf)
        for access in accesses
        if not any(write.buffer is buffer for write in access.leaf.block.writes)
        and not _in_domain(access)
        and not in_range(access.facts, access.indices[d], extent)
    }
    return _Box(index(0), extent, frozenset(beyond))


def _may_hold(is_anchored: bool, may_grow: bool, box: _Box, extent: Expr) -> bool:
    """Whether storage of a box has the places that a layout gives to the whole dimension."""
    if is_anchored:
        return False
    more = linear(extent) - linear(box.extent)
    return may_grow or (more.is_constant and more.const >= 0)


def _ranges(
    loops: Iterable[For], known: Mapping[Var, Interval] | None = None
) -> dict[Var, Interval]:
    """Ranges of loop variables beside *known* ones, in terms of sizes and of loops not given."""
    env = dict(known or {})
    for loop in loops:
        for level in loop.levels:
            env[level.var] = Interval(index(0), interval(sub(level.extent, 1), env).hi)
    return env


def _accesses(s: Stmt, buffer: Buffer, facts: Facts, env: Mapping[Var, Interval]) -> list[_Access]:
    match s:
        case For(body=body):
            return _accesses(body, buffer, facts.inside(s), _ranges((s,), env))
        case Leaf(block=block, bindings=bindings):
            known = facts.given(*(g.cond for g in s.guards))
            mapping = dict(zip(block.vars, bindings, strict=True))
            reads = [a.indices for a in block_reads(block) if a.buffer is buffer]
            writes = [a.indices for a in block.writes if a.buffer is buffer]
            return [
                _Access(tuple(substitute(i, mapping) for i in indices), env, s, known)
                for indices in reads + writes
            ]
        case _:
            return [a for child in substatements(s) for a in _accesses(child, buffer, facts, env)]


def _tight(
    d: int, accesses: list[_Access], facts: Facts, around: Mapping[Var, Interval]
) -> _Box | None:
    """The hull of what is accessed, or None where it has no loop-independent extent."""
    lows: list[Affine] = []
    highs: list[Affine] = []
    for access in accesses:
        lo, hi = bounds(access.indices[d], access.env)
        if lo is None or hi is None:
            return None
        lows.append(linear(lo))
        highs.append(linear(hi))
    low, high = _extreme(lows, facts, 1), _extreme(highs, facts, -1)
    if low is None or high is None:
        return None
    extent = _loop_free((high - low + 1).expr(), around)
    return None if extent is None else _Box(low.expr(), extent)


def _extreme(forms: list[Affine], facts: Facts, sign: int) -> Affine | None:
    """The least of the forms (the greatest, for sign -1), where one is known to be."""
    best: Affine | None = None
    for form in forms:
        if best is None or not_negative(facts, (best - form) * sign):
            best = form
        elif not not_negative(facts, (form - best) * sign):
            return None
    return best


def _loop_free(extent: Expr, around: Mapping[Var, Interval]) -> Expr | None:
    """The greatest value of an extent over the loops around: a number where one bounds it."""
    _, most = constant_bounds(extent, around)
    if most is not None:
        return index(max(most, 0))
    _, hi = bounds(extent, around)
    return hi


def _whole(
    d: int, extent: Expr, accesses: list[_Access], facts: Facts, around: Mapping[Var, Interval]
) -> _Box:
    """The whole dimension, and more where instances outside the domain reach further.

    How far one access reaches is known from its own guards; which one reaches further is not.
    """
    low: Expr = index(0)
    high = extent
    for access in accesses:
        i = access.indices[d]
        if _in_domain(access) or in_range(access.facts, i, extent):
            continue
        lo, hi = bounds(i, {**around, **access.env})
        if lo is not None and not not_negative(access.facts, linear(lo)):
            low = least(low, lo, facts)
        if hi is not None and not not_negative(access.facts, linear(extent) - linear(hi) - 1):
            high = greatest(high, (linear(hi) + 1).expr(), facts)
    return _Box(low, linear(sub(high, low)).expr())


def _in_domain(access: _Access) -> bool:
    """Whether the leaf only runs instances of its block's own domain, which stay in bounds."""
    leaf = access.leaf
    return all(
        in_range(access.facts, binding, it.extent)
        for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True)
    )


def _rewrite(s: Stmt, plans: Mapping[Buffer, _Compacted]) -> Stmt:
    def visit(n: Node) -> Node:
        match n:
            case Leaf():
                return _rewrite_leaf(n, plans)
            case Alloc(buffer=buffer) if buffer in plans:
                n = dataclasses.replace(n, buffer=plans[buffer].buffer)
            case Stmt():
                pass
            case _:
                return n
        return map_children(n, visit)

    result = visit(s)
    assert isinstance(result, Stmt)
    return result


def _rewrite_leaf(leaf: Leaf, plans: Mapping[Buffer, _Compacted]) -> Leaf:
    """Make a block's accesses relative to origins, which it takes as further bindings."""
    block = leaf.block
    used = {b: plans[b] for b in sorted(touched_buffers(block), key=_name) if b in plans}
    if not used:
        return leaf
    iters = list(block.iters)
    bindings = list(leaf.bindings)
    shifts: dict[Buffer, list[Expr]] = {buffer: [] for buffer in used}
    for buffer, plan in used.items():
        for d, box in enumerate(plan.boxes):
            if is_const(box.origin):
                shifts[buffer].append(box.origin)
                continue
            var = Var(f"{buffer.name}.{d}")
            iters.append(IterVar(var, buffer.shape[d]))
            bindings.append(box.origin)
            shifts[buffer].append(var)

    def relative(buffer: Buffer, indices: Indices) -> Indices:
        return tuple(
            sub(_kept_in(box, i) if id(leaf) in box.kept_in else i, shift)
            for i, shift, box in zip(indices, shifts[buffer], used[buffer].boxes, strict=True)
        )

    rebuilt = redirect(block, {buffer: plan.buffer for buffer, plan in used.items()}, relative)
    rebuilt = dataclasses.replace(rebuilt, iters=tuple(iters))
    return dataclasses.replace(leaf, block=rebuilt, bindings=tuple(bindings))


def _kept_in(box: _Box, i: Expr) -> Expr:
    return maximum(minimum(i, sub(box.extent, 1)), 0)


def _name(buffer: Buffer) -> str:
    return buffer.name
