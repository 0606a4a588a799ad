"""Take fused loops apart: ``for f in (i, j)`` -> ``for i: for j`` or ``i = f // J; j = f % J``.

A serial walk of a product in lexicographic order is a nest again, without any division. A loop
whose iterations are shared out stays one loop, and its parts are computed from its variable; parts
(and shared loops) of one iteration are 0, so that what they index has constant indices.
"""

from __future__ import annotations

import dataclasses

from tdsl.ir.affine import linear
from tdsl.ir.build import floordiv, floormod, index, maximum, product
from tdsl.ir.expr import Expr, Var
from tdsl.ir.stmt import For, Let, LoopKind, Program, Stmt
from tdsl.ir.visit import substitute
from tdsl.lower.bodies import transform_statements, with_body
from tdsl.lower.facts import Facts, not_negative, program_facts
from tdsl.target import Target


def unfuse_serial(program: Program, target: Target) -> Program:
    """Turn fused serial and unrolled loops back into nests."""
    del target
    return with_body(program, transform_statements(program.body, _nest))


def compute_parts(program: Program, target: Target) -> Program:
    """Compute the parts of the fused loops that are left from their variable."""
    del target
    facts = program_facts(program)
    return with_body(program, transform_statements(program.body, lambda s: _lets(s, facts)))


def _nest(n: Stmt) -> Stmt:
    if isinstance(n, For) and n.kind.concurrent:
        return _without_single(n)
    if not isinstance(n, For) or not n.parts:
        return n
    body: Stmt = n.body
    for part in reversed(n.parts):
        body = For(part.var, part.extent, body, n.kind, (), n.span)
    return body


def _without_single(loop: For) -> For:
    """The loop with 0 in the place of each of its variables that has one value only."""
    if not loop.parts:
        if loop.extent != index(1) or loop.kind is not LoopKind.PARALLEL:
            return loop
        return dataclasses.replace(loop, body=substitute(loop.body, {loop.var: index(0)}))
    single = {part.var: index(0) for part in loop.parts if part.extent == index(1)}
    if not single:
        return loop
    parts = tuple(part for part in loop.parts if part.var not in single)
    return dataclasses.replace(loop, parts=parts, body=substitute(loop.body, single))


def _lets(n: Stmt, facts: Facts) -> Stmt:
    if not isinstance(n, For) or not n.parts:
        return n
    body: Stmt = n.body
    for var, value in reversed(part_values(n)):
        body = Let(var, value, body)
    return dataclasses.replace(n, extent=_points(n, facts), body=body, parts=())


def _points(loop: For, facts: Facts) -> Expr:
    """How many iterations a fused loop has: none where several parts end before they begin.

    An extent such as `2 * N - 1` is below zero for a tensor without elements, and the product of
    two of them is not.
    """
    short = [p for p in loop.parts if not not_negative(facts, linear(p.extent))]
    if len(short) < 2:
        return loop.extent
    return product([maximum(p.extent, 0) if p in short else p.extent for p in loop.parts])


def part_values(loop: For) -> list[tuple[Var, Expr]]:
    """Each part of a fused loop as an expression of the loop's variable, outermost first."""
    values: list[tuple[Var, Expr]] = []
    for position, part in enumerate(loop.parts):
        value: Expr = floordiv(loop.var, product([p.extent for p in loop.parts[position + 1 :]]))
        if position > 0:
            value = floormod(value, part.extent)
        values.append((part.var, value))
    return values
