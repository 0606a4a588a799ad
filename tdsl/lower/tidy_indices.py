"""Write indices in their shortest form: ``(io*32 + j*16 + l - io*32) // 16`` -> ``j``.

Sums are gathered into linear forms, and divisions and remainders go where the loops around say
that they are trivial. Only positions that hold indices are touched: arithmetic on data wraps.
"""

from __future__ import annotations

import dataclasses

from tdsl import dtypes
from tdsl.ir.affine import Affine, linear
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Load, Node, Select, Unary, UnaryOp, Var
from tdsl.ir.stmt import Alloc, For, If, Prefetch, Program, Stmt, Store
from tdsl.ir.visit import loads, map_children
from tdsl.lower.bodies import with_body
from tdsl.lower.facts import Facts, is_index, not_negative, program_facts
from tdsl.target import Target


def tidy_indices(program: Program, target: Target) -> Program:
    """Shorten the indices of accesses, the extents of loops and the sides of conditions."""
    del target
    return with_body(program, _visit(program.body, program_facts(program)))


def _visit(n: Node, facts: Facts) -> Node:
    match n:
        case Store() | Prefetch():
            new = map_children(n, lambda child: _visit(child, facts))
            indices = tuple(tidied(i, facts) for i in new.indices)
            same = all(a is b for a, b in zip(indices, new.indices, strict=True))
            return new if same else dataclasses.replace(new, indices=indices)
        case For(extent=extent):
            short = tidied(extent, facts)
            loop = n if short is extent else dataclasses.replace(n, extent=short)
            inner = facts.inside(n)
            return map_children(
                loop, lambda child: _visit(child, inner) if isinstance(child, Stmt) else child
            )
        case If(cond=cond):
            known = facts.given(cond)
            failed = facts.given(Unary(UnaryOp.NOT, cond))
            then = _visit(n.then, known)
            rest = None if n.otherwise is None else _visit(n.otherwise, failed)
            new_cond = _visit(cond, facts)
            if new_cond is cond and then is n.then and rest is n.otherwise:
                return n
            assert isinstance(new_cond, Expr)
            assert isinstance(then, Stmt)
            assert rest is None or isinstance(rest, Stmt)
            return If(new_cond, then, rest)
        case Alloc():
            return map_children(
                n, lambda child: _visit(child, facts) if isinstance(child, Stmt) else child
            )
        case Load():
            return _load(n, facts)
        case Select(cond=cond, a=a, b=b):
            return _select(n, cond, a, b, facts)
        case Binary(op=op, a=a, b=b) if op.compares and is_index(a) and is_index(b):
            one, two = tidied(a, facts), tidied(b, facts)
            return n if one is a and two is b else Binary(op, one, two)
        case _:
            return map_children(n, lambda child: _visit(child, facts))


def _load(e: Load, facts: Facts) -> Expr:
    known = facts if e.mask is None else facts.given(e.mask)
    # an index is computed where the mask does not hold, too: what it loads must be there
    indices = tuple(tidied(i, facts if loads(i) else known) for i in e.indices)
    mask = None if e.mask is None else _visit(e.mask, facts)
    assert mask is None or isinstance(mask, Expr)
    if mask is e.mask and all(a is b for a, b in zip(indices, e.indices, strict=True)):
        return e
    return Load(e.buffer, indices, mask)


def _select(e: Select, cond: Expr, a: Expr, b: Expr, facts: Facts) -> Expr:
    # an arm is computed where it is not taken, too: its loads know no more than what is around
    new = (_visit(cond, facts), _visit(a, facts), _visit(b, facts))
    if new[0] is cond and new[1] is a and new[2] is b:
        return e
    return Select(*(n for n in new if isinstance(n, Expr)))


def tidied(e: Expr, facts: Facts) -> Expr:
    """An index expression in its shortest form, given what is known."""
    if isinstance(e, Const | Var) or e.dtype is not dtypes.INDEX or e.lanes > 1:
        return e
    if _is_short(e):
        return e
    form = _resolved(linear(e), facts)
    new = form.expr()
    return e if new == e else new


def _is_short(e: Expr) -> bool:
    """Whether *e* is a sum of different variables times literals, and at most one literal."""
    atoms: set[Expr] = set()
    pending = [e]
    literals = 0
    while pending:
        match pending.pop():
            case Binary(op=BinaryOp.ADD, a=a, b=b):
                pending += (a, b)
            case Var() as v if v not in atoms:
                atoms.add(v)
            case Binary(op=BinaryOp.MUL, a=Var() as v, b=Const()) if v not in atoms:
                atoms.add(v)
            case Const():
                literals += 1
            case _:
                return False
    return literals <= 1


def _resolved(form: Affine, facts: Facts) -> Affine:
    total = Affine({}, form.const)
    for atom, c in form.terms.items():
        total = total + _atom(atom, facts) * c
    return total


def _atom(atom: Expr, facts: Facts) -> Affine:
    match atom:
        case Binary(op=BinaryOp.FLOORDIV | BinaryOp.FLOORMOD as op, a=a, b=Const(value=d)) if d > 0:
            inner = _resolved(linear(a), facts)
            if not_negative(facts, inner) and not_negative(facts, inner * -1 + (int(d) - 1)):
                return Affine({}) if op is BinaryOp.FLOORDIV else inner
            return linear(Binary(op, inner.expr(), atom.b))
        case Binary(op=BinaryOp.MIN | BinaryOp.MAX as op, a=a, b=b):
            one, two = _resolved(linear(a), facts), _resolved(linear(b), facts)
            return linear(Binary(op, one.expr(), two.expr()))
        case _:
            new = _visit(atom, facts)
            assert isinstance(new, Expr)
            return linear(new) if new is not atom else Affine({atom: 1})
