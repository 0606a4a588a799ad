"""Expand maths functions: ``C[i] = exp(A[i])`` -> lets of arithmetic, then ``C[i] = result``.

Shared parts of a formula are named by lets in front of the statement, so that no pass ever sees an
expression tree that repeats them. Equal calls in one statement become one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import cast

from tdsl.ir.build import conjunction, logical_and
from tdsl.ir.expr import Expr, Load, Math, Node, Select, Unary, UnaryOp, Var
from tdsl.ir.stmt import If, Let, Program, Stmt, Store
from tdsl.ir.visit import map_children, substitute, transform, walk
from tdsl.lower.bodies import with_body
from tdsl.lower.calls import guarded_call, is_call
from tdsl.lower.maths import expand
from tdsl.target import Target


def expand_maths(program: Program, target: Target) -> Program:
    """Replace every call of a maths function by its formula."""
    return with_body(program, _stmt(program.body, target))


def _stmt(n: Node, target: Target) -> Node:
    if not isinstance(n, Stmt):
        return n
    match n:
        case Store() if not _calls(n):
            return n
        case Store(mask=mask) if mask is not None and mask.lanes == 1:
            # what stands in front of the store must not run where the store does not
            return _stmt(If(mask, dataclasses.replace(n, mask=None)), target)
        case Store(atomic=True):
            return _inside(n, target)
        case Store():
            calls = _Calls(target)
            return calls.before(calls.replace(n))
        case Let(value=value, body=body):
            calls = _Calls(target)
            new = calls.replace(value)
            return calls.before(_let(n, new, _stmt(body, target)))
        case If(cond=cond):
            calls = _Calls(target)
            new = calls.replace(cond)
            return calls.before(_if(n, new, target))
        case _:
            return map_children(n, lambda child: _stmt(child, target))


def _calls(e: Node) -> bool:
    return any(isinstance(n, Math) for n in walk(e))


def _let(s: Let, value: Node, body: Node) -> Stmt:
    if value is s.value and body is s.body:
        return s
    assert isinstance(value, Expr)
    assert isinstance(body, Stmt)
    return Let(s.var, value, body)


def _if(s: If, cond: Node, target: Target) -> Stmt:
    new = map_children(s, lambda child: _stmt(child, target))
    if cond is s.cond:
        return new
    assert isinstance(cond, Expr)
    return dataclasses.replace(new, cond=cond)


class _Calls:
    """The calls of one statement: what they expand to, and the lets that come first."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lets: list[tuple[Var, Expr]] = []
        self._results: dict[Math, Expr] = {}

    def replace(self, n: Node) -> Node:
        """*n* with results in the place of calls, innermost calls first."""
        if isinstance(n, Select) and n.cond.lanes == 1 and (_calls(n.a) or _calls(n.b)):
            otherwise = Unary(UnaryOp.NOT, n.cond)
            n = Select(n.cond, _guarded(n.a, n.cond), _guarded(n.b, otherwise))
        new = map_children(n, self.replace)
        if not isinstance(new, Math):
            return new
        found = self._results.get(new)
        if found is None:
            expansion = expand(new.fn, new.args, self._target)
            self._lets += expansion.lets
            found = self._results[new] = expansion.result
        return found

    def before(self, s: Node) -> Stmt:
        """*s* inside the lets."""
        assert isinstance(s, Stmt)
        for var, value in reversed(self._lets):
            s = Let(var, value, s)
        return s


def _guarded(arm: Expr, cond: Expr) -> Expr:
    """The arm of a select whose formulas will stand in front of it: their loads get its mask.

    Foreign functions in them are called where the arm is taken. Loads and calls in vector selects
    have the masks they need: their arms are evaluated anyway.
    """

    def masked(n: Node) -> Node:
        if isinstance(n, Expr) and is_call(n):
            return guarded_call(n, cond)
        if not isinstance(n, Load):
            return n
        return dataclasses.replace(n, mask=cond if n.mask is None else logical_and(n.mask, cond))

    def visit(n: Node) -> Node:
        return transform(n, masked) if isinstance(n, Math) else n

    return cast("Expr", transform(arm, visit))


def _inside(s: Store, target: Target) -> Stmt:
    """An atomic update: what depends on the element itself must be computed at each attempt."""

    def is_own(e: Expr) -> bool:
        return any(isinstance(n, Load) and n.buffer is s.buffer for n in walk(e))

    hoisted = _Calls(target)

    def visit(n: Node, arms: tuple[Expr, ...]) -> Node:
        """`arms`: the conditions under which *n* counts, other than those on the element."""
        if isinstance(n, Select) and n.cond.lanes == 1 and not is_own(n.cond):
            a, b = (*arms, n.cond), (*arms, Unary(UnaryOp.NOT, n.cond))
            parts = visit(n.cond, arms), visit(n.a, a), visit(n.b, b)
            return Select(*cast("tuple[Expr, Expr, Expr]", parts))
        if isinstance(n, Math) and not is_own(n):
            return hoisted.replace(_guarded(n, conjunction(arms)) if arms else n)
        new = map_children(n, lambda child: visit(child, arms))
        if not isinstance(new, Math):
            return new
        expansion = expand(new.fn, new.args, target)
        return _inline(dict(expansion.lets), expansion.result)

    return hoisted.before(visit(s, ()))


def _inline(lets: Mapping[Var, Expr], result: Expr) -> Expr:
    known: dict[Var, Expr] = {}
    for var, value in lets.items():
        known[var] = substitute(value, known)
    return substitute(result, known)
