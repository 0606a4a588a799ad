"""Conditions of a nest, settled one by one: of conditionals, selects and masks.

`settle` walks a nest with the facts that hold at each point, asks a judge about every comparison,
and folds what it answers: ``if i < N: s`` -> ``s`` where `i < N` is known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

from tdsl.ir.build import FALSE, TRUE, const, index, is_const, logical_and
from tdsl.ir.expr import Binary, BinaryOp, Expr, Load, Node, Select, Unary, UnaryOp
from tdsl.ir.stmt import For, If, Let, LoopKind, Seq, Stmt, Store
from tdsl.ir.visit import map_children, substitute, walk
from tdsl.lower.facts import Facts

# True or False where a comparison is known at a point, else None.
Judge: TypeAlias = Callable[[Expr, Facts], bool | None]

NOTHING = Seq(())
_DECIDED = frozenset(op for op in BinaryOp if op.compares) | {BinaryOp.MIN, BinaryOp.MAX}


def settle(s: Stmt, facts: Facts, judge: Judge, *, eager: bool = True) -> Stmt:
    """Fold the conditions in *s* on which the judge decides; *s* itself where there is none.

    With `eager`, loads may be made though the arm that they are in is not taken, or though the mask
    of what they index is false, so that they must stay inside without either.
    """
    settled = _Settler(judge, eager).stmt(s, facts)
    assert isinstance(settled, Stmt)
    return settled


def is_nothing(s: Stmt) -> bool:
    """Whether a statement does nothing."""
    return isinstance(s, Seq) and all(is_nothing(child) for child in s.body)


@dataclasses.dataclass(frozen=True, slots=True)
class _Settler:
    """`certain`: in an arm of a select, the facts that hold whichever arm is taken.

    With `eager` also in the index of a masked load: those that hold whatever the mask says.
    Compiled code evaluates both arms: what one may assume must not take masks off its loads.
    """

    judge: Judge
    eager: bool
    certain: Facts | None = None

    def stmt(self, n: Node, facts: Facts) -> Node:
        match n:
            case If():
                return self._if(n, facts)
            case For():
                return self._for(n, facts)
            case Seq():
                new = map_children(n, lambda child: self.stmt(child, facts))
                return _without_nothing(new)
            case Let():
                under = facts.under(n)
                return map_children(n, lambda child: self.stmt(child, under))
            case Store(mask=Expr() as mask):
                return self._store(n, mask, facts)
            case Expr():
                return self.expr(n, facts)
            case _:
                return map_children(n, lambda child: self.stmt(child, facts))

    def _if(self, s: If, facts: Facts) -> Stmt:
        cond = self.cond(s.cond, facts)
        if cond == TRUE:
            return self._body(s.then, facts)
        rest = s.otherwise
        if cond == FALSE:
            return NOTHING if rest is None else self._body(rest, facts)
        then = self._body(s.then, facts.given(cond))
        if rest is not None:
            rest = self._body(rest, facts.given(Unary(UnaryOp.NOT, cond)))
            rest = None if is_nothing(rest) else rest
        if is_nothing(then) and rest is None:
            return NOTHING
        if cond is s.cond and then is s.then and rest is s.otherwise:
            return s
        return If(cond, then, rest)

    def _for(self, s: For, facts: Facts) -> Stmt:
        extent = self.expr(s.extent, facts)
        # an instruction is matched by its loops, be they of one iteration
        if is_const(extent, 1) and not s.parts and s.kind is not LoopKind.INSTRUCTION:
            return self._body(substitute(s.body, {s.var: index(0)}), facts)
        body = self._body(s.body, facts.inside(s))
        if is_nothing(body):
            return NOTHING
        if extent is s.extent and body is s.body:
            return s
        return dataclasses.replace(s, extent=extent, body=body)

    def _store(self, s: Store, mask: Expr, facts: Facts) -> Stmt:
        mask = self.cond(mask, facts)
        if mask == FALSE:
            return NOTHING
        known = facts.given(mask)
        new = map_children(dataclasses.replace(s, mask=None), lambda child: self.stmt(child, known))
        return dataclasses.replace(new, mask=None if mask == TRUE else mask)

    def _body(self, s: Stmt, facts: Facts) -> Stmt:
        new = self.stmt(s, facts)
        assert isinstance(new, Stmt)
        return new

    def expr(self, e: Expr, facts: Facts) -> Expr:
        if not any(map(_may_settle, walk(e))):
            return e
        match e:
            case Select(cond=cond, a=a, b=b):
                return self._select(e, cond, a, b, facts)
            case Load(mask=Expr() as mask):
                return self._load(e, mask, facts)
            case Load() if self.eager and self.certain is not None:
                outside = dataclasses.replace(self, certain=None)
                return map_children(e, lambda child: outside.stmt(child, self.certain or facts))
            case Binary(op=op, a=a) if op.compares or a.dtype.is_bool:
                return self.cond(e, facts)
            case Binary(op=BinaryOp.MIN | BinaryOp.MAX, a=a, b=b) if e.dtype.is_integer:
                return self._extremum(e, a, b, facts)
            case _:
                return map_children(e, lambda child: self.stmt(child, facts))

    def _select(self, e: Expr, cond: Expr, a: Expr, b: Expr, facts: Facts) -> Expr:
        new = self.cond(cond, facts)
        if new == TRUE:
            return self.expr(a, facts)
        if new == FALSE:
            return self.expr(b, facts)
        inner = dataclasses.replace(self, certain=self.certain or facts)
        arms = (
            inner.expr(a, facts.given(new)),
            inner.expr(b, facts.given(Unary(UnaryOp.NOT, new))),
        )
        if new is cond and arms[0] is a and arms[1] is b:
            return e
        return Select(new, *arms)

    def _load(self, e: Load, mask: Expr, facts: Facts) -> Expr:
        new = self.cond(mask, self.certain or facts)
        if new == FALSE or (self.certain is not None and self.cond(mask, facts) == FALSE):
            return const(0, e.dtype)
        known = facts.given(new)
        inner = dataclasses.replace(self, certain=self.certain or facts) if self.eager else self
        indices = tuple(inner.expr(i, known) for i in e.indices)
        if new is mask and all(a is b for a, b in zip(indices, e.indices, strict=True)):
            return e
        return Load(e.buffer, indices, None if new == TRUE else new)

    def _extremum(self, e: Binary, a: Expr, b: Expr, facts: Facts) -> Expr:
        a, b = self.expr(a, facts), self.expr(b, facts)
        least, most = (a, b) if e.op is BinaryOp.MIN else (b, a)
        known = self.judge(Binary(BinaryOp.LE, a, b), facts)
        if known:
            return least
        if known is False or self.judge(Binary(BinaryOp.LE, b, a), facts):
            return most
        return e if a is e.a and b is e.b else Binary(e.op, a, b)

    def cond(self, cond: Expr, facts: Facts) -> Expr:
        match cond:
            case Binary(op=BinaryOp.AND, a=a, b=b) if a.dtype.is_bool:
                first = self.cond(a, facts)
                second = self.cond(b, facts.given(first))
                if first is a and second is b:
                    return cond
                return logical_and(first, second)
            case Binary(op=BinaryOp.OR, a=a, b=b) if a.dtype.is_bool:
                first = self.cond(a, facts)
                second = self.cond(b, facts.given(Unary(UnaryOp.NOT, first)))
                if first is a and second is b:
                    return cond
                if TRUE in (first, second):
                    return TRUE
                if FALSE in (first, second):
                    return second if first == FALSE else first
                return Binary(BinaryOp.OR, first, second)
            case Unary(op=UnaryOp.NOT, a=a) if a.dtype.is_bool:
                inner = self.cond(a, facts)
                if inner in (TRUE, FALSE):
                    return FALSE if inner == TRUE else TRUE
                return cond if inner is a else Unary(UnaryOp.NOT, inner)
            case _:
                answer = self.judge(cond, facts)
                if answer is None:
                    return map_children(cond, lambda child: self.stmt(child, facts))
                return TRUE if answer else FALSE


def _may_settle(n: Node) -> bool:
    match n:
        case Binary(op=op):
            return op in _DECIDED or n.a.dtype.is_bool
        case Load(mask=mask):
            return mask is not None
        case _:
            return isinstance(n, Select)


def _without_nothing(s: Node) -> Stmt:
    assert isinstance(s, Seq)
    kept = [child for child in s.body if not is_nothing(child)]
    if len(kept) == len(s.body):
        return s
    return kept[0] if len(kept) == 1 else Seq(tuple(kept))
