"""The region of a buffer that a part of the tree touches, as a box: compute_at and compaction.

Boxes come from interval arithmetic on linear forms, which keeps extents constant where the
footprint is; integer sets are asked only where two accesses lie at places that cannot be
compared term by term.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

from tdsl.analysis.access import accesses
from tdsl.analysis.model import Level, levels_of
from tdsl.analysis.reach import ZERO, Reach, larger, reach
from tdsl.ir import build
from tdsl.ir.affine import Affine, linear, tidy
from tdsl.ir.build import conjuncts
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Expr, Var
from tdsl.ir.interval import Interval, interval
from tdsl.ir.polyhedra import Domain
from tdsl.ir.stmt import For, Leaf, Program, Stmt
from tdsl.ir.visit import children, loop_path, substitute


@dataclass(frozen=True, slots=True)
class Box:
    """Elements from `origin` on, `extent` of them in each dimension.

    `origin` is over the loops outside and sizes (it may be negative where conditions of the
    algorithm keep reads inside the buffer); `extent` is over sizes, a literal where possible.
    """

    origin: tuple[Expr, ...]
    extent: tuple[Expr, ...]


def needed_box(program: Program, buffer: Buffer, below: Stmt) -> Box:
    """The bounding box of the elements of `buffer` that leaves below a statement access.

    Args:
        program: the program that holds `below` (by identity).
        buffer: a tensor; an index that depends on data counts as its whole extent.
        below: the statement whose loops run; the loops around it are fixed.

    Returns:
        The box, over the loops outside `below`. An untouched buffer gives extents of 0.
    """
    outer = [level for loop in loop_path(program.body, below) for level in levels_of(loop)]
    found = list(_footprints(buffer, below))
    if not found:
        zero = (build.index(0),) * buffer.rank
        return Box(zero, zero)
    ranges = [
        _joined(program, outer, [one[dim] for one in found], extent)
        for dim, extent in enumerate(buffer.shape)
    ]
    return Box(
        tuple(origin for origin, _ in ranges),
        tuple(extent for _, extent in ranges),
    )


def _footprints(buffer: Buffer, below: Stmt) -> Iterator[list[Reach | None]]:
    for leaf, inner in _leaves(below, {}):
        mapping: dict[Var, Expr] = dict(zip(leaf.block.vars, leaf.bindings, strict=True))
        known = dict(inner)
        for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
            width = _own_range(leaf, it.extent, binding, inner)
            if width is not None:
                # all of this variable's values are walked inside: it is a loop of its own
                mapping[it.var] = it.var
                known[it.var] = width
        for access in accesses(leaf.block):
            if access.buffer is buffer:
                yield [reach(substitute(index, mapping), known) for index in access.indices]


def _leaves(s: Stmt, inner: Mapping[Var, Affine]) -> Iterator[tuple[Leaf, Mapping[Var, Affine]]]:
    if isinstance(s, Leaf):
        yield s, inner
        return
    if isinstance(s, For):
        ranges = dict(inner)
        for level in levels_of(s):
            ranges[level.var] = _last(level, ranges)
        yield from _leaves(s.body, ranges)
        return
    for child in children(s):
        if isinstance(child, Stmt):
            yield from _leaves(child, inner)


def _last(level: Level, inner: Mapping[Var, Affine]) -> Affine:
    """The greatest value of a loop variable, whatever the inner loops around it do."""
    env = {v: Interval(build.index(0), high.expr()) for v, high in inner.items()}
    high = interval(build.sub(level.extent, 1), env).hi
    return linear(build.sub(level.extent, 1) if high is None else high)


def _own_range(
    leaf: Leaf, extent: Expr, binding: Expr, inner: Mapping[Var, Affine]
) -> Affine | None:
    """The greatest value of an iteration variable that only loops inside determine, or None.

    Its guard, where it has one, keeps it within its extent.
    """
    form = linear(binding)
    if not form.terms or any(v not in inner for v in form.vars()):
        return None
    found = reach(binding, inner)
    if found is None or found.low != ZERO:
        return None
    last = linear(extent) - 1
    gap = last - found.width
    guarded = last - form in [linear(b) - linear(a) - 1 for a, b in _upper_bounds(leaf)]
    if gap.is_constant:
        return last if gap.const < 0 and guarded else found.width
    return last if guarded and not found.width.is_constant else found.width


def _upper_bounds(leaf: Leaf) -> Iterator[tuple[Expr, Expr]]:
    for guard in leaf.guards:
        for cond in conjuncts(guard.cond):
            if isinstance(cond, Binary) and cond.op is BinaryOp.LT:
                yield cond.a, cond.b


def _joined(
    program: Program, outer: list[Level], reaches: list[Reach | None], shape: Expr
) -> tuple[Expr, Expr]:
    """Origin and extent of the hull of several reaches in one dimension."""
    whole = build.index(0), shape
    known = [r for r in reaches if r is not None]
    if len(known) < len(reaches):
        return whole
    joined = _joined_by_terms(known) or _joined_by_sets(program, outer, known)
    if joined is None:
        return whole
    extent = _without_loops(joined.width + 1, outer)
    if extent is None:
        return whole
    return _clipped(program, joined.low, extent, shape)


def _joined_by_terms(reaches: list[Reach]) -> Reach | None:
    """The hull of reaches that start at the same place up to a constant."""
    first = reaches[0]
    offsets = [r.low - first.low for r in reaches]
    if not all(offset.is_constant for offset in offsets):
        return None
    least = min(offset.const for offset in offsets)
    width = reduce(
        larger, [r.width + (o.const - least) for r, o in zip(reaches, offsets, strict=True)]
    )
    return Reach(first.low + least, width)


def _joined_by_sets(program: Program, outer: list[Level], reaches: list[Reach]) -> Reach | None:
    """The hull of reaches whose distance is bounded over all iterations of the loops outside."""
    domain = _outer_domain(program, outer)
    widest = 0
    for a in reaches:
        for b in reaches:
            distance = domain.maximum((a.high - b.low).expr())
            if distance is None:
                return None
            widest = max(widest, distance)
    low = reduce(build.minimum, [r.low.expr() for r in reaches])
    return Reach(linear(low), Affine({}, widest))


def _outer_domain(program: Program, outer: list[Level]) -> Domain:
    ranges: dict[Var, Expr | int] = {level.var: level.extent for level in outer}
    return Domain(ranges, sizes=program.sizes, assume=program.assume)


def _without_loops(extent: Affine, outer: list[Level]) -> Expr | None:
    """An extent that mentions sizes only: its greatest value over the loops outside."""
    if not any(level.var in extent.vars() for level in outer):
        return extent.expr()
    env: dict[Var, Interval] = {}
    for level in outer:
        env[level.var] = _interval_of(level, env)
    high = interval(extent.expr(), env).hi
    return None if high is None else tidy(high)


def _interval_of(level: Level, env: Mapping[Var, Interval]) -> Interval:
    """The range of a loop variable under the ranges of the loops around it."""
    return Interval(build.index(0), interval(build.sub(level.extent, 1), env).hi)


def _clipped(program: Program, low: Affine, extent: Expr, shape: Expr) -> tuple[Expr, Expr]:
    """No more than the buffer itself, where that can be seen."""
    beyond = linear(extent) - linear(shape)
    if beyond.is_constant:
        if beyond.const > 0 or (beyond.const == 0 and low.is_constant):
            return build.index(0), shape
    elif low == ZERO and not linear(extent).is_constant:
        domain = Domain({}, sizes=program.sizes, assume=program.assume)
        if domain.proves(build.ge(extent, shape)):
            return build.index(0), shape
    return low.expr(), extent
