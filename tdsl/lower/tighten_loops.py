"""Bound loops by their conditions: ``for k in K: if k <= i: s`` -> ``for k in min(K, i+1): s``.

Conditions first move out of the loops that they do not depend on; one that then is the whole body
of a loop and bounds its variable becomes its extent, or its start.
"""

from __future__ import annotations

import dataclasses

from tdsl.ir.affine import linear
from tdsl.ir.build import TRUE, add, conjunction, conjuncts, index, sub
from tdsl.ir.expr import Const, Expr
from tdsl.ir.stmt import Alloc, For, If, LoopKind, Program, Seq, Stmt
from tdsl.ir.visit import free_vars, has_effects, loads, statements, substitute
from tdsl.lower.bodies import map_statements, with_body
from tdsl.lower.facts import Facts, implied, not_negative, program_facts
from tdsl.lower.loop_bounds import binding, greatest, least, named, solve
from tdsl.target import Target

_WALKED = (LoopKind.SERIAL, LoopKind.PARALLEL)


def tighten_loops(program: Program, target: Target) -> Program:
    """Turn conditions on loop variables into bounds of the loops."""
    del target
    return with_body(program, _visit(program.body, program_facts(program)))


def _visit(s: Stmt, facts: Facts) -> Stmt:
    inner = facts.inside(s) if isinstance(s, For) else facts
    inner = inner.given(s.cond) if isinstance(s, If) and s.otherwise is None else inner
    new = map_statements(s, lambda n: _visit(n, inner))
    match new:
        case For():
            return _tightened(new, facts)
        case Alloc(body=If(cond=cond, then=then, otherwise=None)) if _is_free(cond):
            return If(cond, dataclasses.replace(new, body=then))
        case Seq():
            return _joined(new)
        case If(then=If(cond=cond, then=then, otherwise=None), otherwise=None) if _is_free(cond):
            return If(conjunction([new.cond, cond]), then)
        case _:
            return new


def _is_free(cond: Expr) -> bool:
    """Whether a condition may be asked where others fail: an `and` evaluates both sides."""
    return not loads(cond) and not has_effects(cond)


def _joined(s: Seq) -> Stmt:
    """Neighbours under one condition that no statement can change share it."""
    body: list[Stmt] = []
    for child in s.body:
        match body and body[-1], child:
            case If(cond=one, then=first, otherwise=None), If(
                cond=two, then=second, otherwise=None
            ) if one == two and not loads(one):
                body[-1] = If(one, Seq((first, second)))
            case _:
                body.append(child)
    if len(body) == len(s.body):
        return s
    return body[0] if len(body) == 1 else Seq(tuple(body))


def _tightened(loop: For, facts: Facts) -> Stmt:
    match loop.body:
        case If(cond=cond, then=then, otherwise=None):
            own = {loop.var, *(part.var for part in loop.parts)}
            conds = list(conjuncts(cond))
        case _:
            return loop
    outside = [c for c in conds if _is_free(c) and not free_vars(c) & own]
    inside = [c for c in conds if c not in outside]
    start: list[Expr] = []
    end: list[Expr] = []
    if not loop.parts and loop.kind in (LoopKind.SERIAL, LoopKind.PARALLEL, LoopKind.UNROLLED):
        inside = [c for c in inside if not _bound(c, loop, start, end)]
    if not (outside or start or end):
        return loop
    known = facts.given(*outside)
    nest = _ranged(loop, _guarded(inside, then), start, end, known)
    return _guarded(outside, nest)


def _guarded(conds: list[Expr], body: Stmt) -> Stmt:
    cond = conjunction(conds)
    return body if cond == TRUE else If(cond, body)


def _bound(cond: Expr, loop: For, start: list[Expr], end: list[Expr]) -> bool:
    """Take a condition as bounds of a loop, where it says nothing else.

    The extent of an unrolled loop has to stay constant.
    """
    forms = list(implied(cond))
    solved = [solve(form, loop.var) for form in forms]
    if not _is_free(cond) or not forms or None in solved:
        return False
    if loop.kind is LoopKind.UNROLLED and not all(isinstance(e, Const) for e in solved):
        return False
    for form, bound in zip(forms, solved, strict=True):
        if bound is not None:
            (start if form.coefficient(loop.var) > 0 else end).append(bound)
    return True


def _ranged(loop: For, body: Stmt, start: list[Expr], end: list[Expr], facts: Facts) -> Stmt:
    last = loop.extent
    for e in end:
        last = least(last, e, facts)
    first: Expr | None = None
    for e in start:
        if not not_negative(facts, linear(e) * -1):
            first = greatest(e, first or index(0), facts)
    if first is None:
        return dataclasses.replace(loop, extent=last, body=body)
    inner = any(isinstance(n, For) and n.kind in _WALKED for n in statements(body))
    let = named(first, f"{loop.var.name}.first", most=0 if inner else 1)
    first = first if let is None else let.var
    shifted = substitute(body, {loop.var: add(loop.var, first)})
    return binding([let], dataclasses.replace(loop, extent=sub(last, first), body=shifted))
