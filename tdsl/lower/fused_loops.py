"""Take fused loops apart: ``for f in (i, j)`` -> ``for i: for j`` or ``i = f // J; j = f % J``.

A serial walk of a product in lexicographic order is a nest again, without any division. A loop
whose iterations are shared out stays one loop, and its parts are computed from its variable.
"""

from __future__ import annotations

import dataclasses

from tdsl.ir.build import floordiv, floormod, product
from tdsl.ir.expr import Expr, Var
from tdsl.ir.stmt import For, Let, Program, Stmt
from tdsl.lower.bodies import transform_statements, with_body
from tdsl.target import Target


def unfuse_serial(program: Program, target: Target) -> Program:
    """Turn fused serial and unrolled loops back into nests."""
    del target
    return with_body(program, transform_statements(program.body, _nest))


def compute_parts(program: Program, target: Target) -> Program:
    """Compute the parts of the fused loops that are left from their variable."""
    del target
    return with_body(program, transform_statements(program.body, _lets))


def _nest(n: Stmt) -> Stmt:
    if not isinstance(n, For) or not n.parts or n.kind.concurrent:
        return n
    body: Stmt = n.body
    for part in reversed(n.parts):
        body = For(part.var, part.extent, body, n.kind, (), n.span)
    return body


def _lets(n: Stmt) -> Stmt:
    if not isinstance(n, For) or not n.parts:
        return n
    body: Stmt = n.body
    for var, value in reversed(part_values(n)):
        body = Let(var, value, body)
    return dataclasses.replace(n, body=body, parts=())


def part_values(loop: For) -> list[tuple[Var, Expr]]:
    """Each part of a fused loop as an expression of the loop's variable, outermost first."""
    values: list[tuple[Var, Expr]] = []
    for position, part in enumerate(loop.parts):
        value: Expr = floordiv(loop.var, product([p.extent for p in loop.parts[position + 1 :]]))
        if position > 0:
            value = floormod(value, part.extent)
        values.append((part.var, value))
    return values
