"""Set the step apart that an equality picks: ``for t: h = select(t == 0, a, b)`` -> `a`, then `b`.

A recurrence takes its initial value in the first step and its own results in all others. Where
what is compared can only lie on one side (`t >= 0`), the other steps are a range, and both kinds
get bodies without the condition. Unlike at a border there is no steady state to prefer: both may
be split further.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tdsl.ir.affine import Affine, linear
from tdsl.ir.build import add, conjuncts, ge, index, is_const, sub
from tdsl.ir.expr import Binary, BinaryOp, Expr, Select, Var
from tdsl.ir.stmt import For, If, Let, LoopKind, Program, Stmt, Store
from tdsl.ir.visit import free_vars, loads, statements, substitute, walk
from tdsl.lower.bodies import map_statements, sequence, with_body
from tdsl.lower.conditions import settle
from tdsl.lower.copies import fresh_copy
from tdsl.lower.facts import Facts, decide, is_index, not_negative, program_facts
from tdsl.lower.loop_bounds import binding, greatest, least, named, solve
from tdsl.target import Target

# A body with more stores keeps its condition: two copies of it would cost more.
MOST_STORES = 64


def split_first_steps(program: Program, target: Target) -> Program:
    """Give the steps for which an equality holds, and all others, bodies of their own."""
    del target
    return with_body(program, _visit(program.body, program_facts(program)))


def _visit(s: Stmt, facts: Facts) -> Stmt:
    match s:
        case For(kind=LoopKind.UNROLLED | LoopKind.VECTORIZED):
            return s
        case For(body=body):
            inner = facts.inside(s)
            picked = None if s.parts else _picked(body, inner)
            if picked is None:
                return map_statements(s, lambda n: _visit(n, inner))
            return _split(s, *picked, facts)
        case Let():
            return map_statements(s, lambda n: _visit(n, facts.under(s)))
        case If(cond=cond, otherwise=None):
            return map_statements(s, lambda n: _visit(n, facts.given(cond)))
        case _:
            return map_statements(s, lambda n: _visit(n, facts))


def _picked(body: Stmt, facts: Facts) -> tuple[Expr, Affine] | None:
    """An equality that selects in *body* ask for, and the form that is positive where it fails."""
    inside = list(statements(body))
    bound: set[Var] = set()
    for s in inside:
        if isinstance(s, For):
            bound |= {s.var, *(part.var for part in s.parts)}
        elif isinstance(s, Let):
            bound.add(s.var)
    stores = [s for s in inside if isinstance(s, Store)]
    if len(stores) > MOST_STORES:
        return None
    for cond in (c for store in stores for c in _equalities(store)):
        if free_vars(cond) & bound or loads(cond) or decide(facts, cond) is not None:
            continue
        form = linear(cond.a) - linear(cond.b)
        for positive in (form, form * -1):
            if not_negative(facts, positive):
                return cond, positive
    return None


def _equalities(store: Store) -> Iterator[Binary]:
    for n in walk(store):
        if isinstance(n, Select):
            for cond in conjuncts(n.cond):
                match cond:
                    case Binary(op=BinaryOp.EQ, a=a, b=b) if is_index(a) and is_index(b):
                        yield cond
                    case _:
                        pass


def _split(loop: For, cond: Expr, positive: Affine, facts: Facts) -> Stmt:
    """The loop in two ranges where the equality holds in one of them, else its body in two."""
    chosen = _decided(loop.body, cond, holds=True)
    rest = fresh_copy(_decided(loop.body, cond, holds=False))
    solved = solve(positive - 1, loop.var) if loop.kind is LoopKind.SERIAL else None
    if solved is None:
        inner, others = facts.inside(loop), ge(positive.expr(), 1)
        both = _visit(rest, inner.given(others)), _visit(chosen, inner.given(cond))
        return dataclasses.replace(loop, body=If(others, *both))
    turn = least(greatest(solved, index(0), facts), loop.extent, facts)
    let = named(turn, f"{loop.var.name}.turn")
    turn = turn if let is None else let.var
    facts = facts.given(ge(turn, 0), ge(loop.extent, turn))
    bodies = (chosen, rest) if positive.coefficient(loop.var) > 0 else (rest, chosen)
    pieces: list[Stmt] = []
    for body, start, end in zip(bodies, (index(0), turn), (turn, loop.extent), strict=True):
        extent = linear(sub(end, start)).expr()
        if is_const(extent, 0):
            continue
        moved = substitute(body, {loop.var: add(loop.var, start)})
        piece = dataclasses.replace(loop, extent=extent, body=moved)
        pieces.append(_visit(piece if not pieces else fresh_copy(piece), facts))
    return binding([let], sequence(pieces))


def _decided(body: Stmt, cond: Expr, *, holds: bool) -> Stmt:
    return settle(body, Facts(), lambda asked, _: holds if asked == cond else None)
