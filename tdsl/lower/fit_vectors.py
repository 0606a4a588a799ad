"""Vectors of the lengths that devices have: ``vectorized(24)`` -> ``unrolled(3): vectorized(8)``.

OpenCL C has vectors of 2, 4, 8 and 16 elements. A loop of another length becomes copies of the
longest such vector that divides it, up to the width of the target's registers; one that none
divides runs as scalar copies.
"""

from __future__ import annotations

import dataclasses

from tdsl.ir.build import add, index, mul
from tdsl.ir.expr import Const, Expr, Var
from tdsl.ir.stmt import For, LoopKind, Program, Stmt
from tdsl.ir.visit import substitute
from tdsl.lower.bodies import transform_statements, with_body
from tdsl.target import Target

LENGTHS = (16, 8, 4, 2)


def fit_vectors(program: Program, target: Target) -> Program:
    """Split vectorized loops into lengths that are vector types."""
    del target
    return with_body(program, transform_statements(program.body, _fit))


def _fit(s: Stmt) -> Stmt:
    match s:
        case For(extent=Const(value=extent), kind=LoopKind.VECTORIZED, parts=()):
            pass
        case _:
            return s
    lanes = int(extent)
    if lanes in LENGTHS or lanes < 2:
        return s
    width = next((n for n in LENGTHS if lanes % n == 0), 1)
    if width == 1:
        return dataclasses.replace(s, kind=LoopKind.UNROLLED)
    outer, inner = Var(f"{s.var.name}o"), Var(s.var.name)
    place: Expr = add(mul(outer, width), inner)
    lane = For(inner, index(width), substitute(s.body, {s.var: place}), LoopKind.VECTORIZED)
    return For(outer, index(lanes // width), lane, LoopKind.UNROLLED, (), s.span)
