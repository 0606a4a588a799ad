"""How long a loop will take, roughly: what the pool needs to decide whether waking workers pays."""

from __future__ import annotations

from tdsl.ir.build import add, floordiv, index, mul
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Math,
    Unary,
    Var,
)
from tdsl.ir.stmt import Alloc, For, If, Let, Seq, Stmt, Store
from tdsl.ir.visit import substitute, walk

_UNITS = 16  # units of a nanosecond
_LOOP = 8  # one iteration's bookkeeping
_COSTS: dict[type, int] = {Load: 4, Fma: 2, Binary: 2, Unary: 2, Math: 100, Extern: 400}
_DIVISIONS = {BinaryOp.TRUEDIV, BinaryOp.FLOORDIV, BinaryOp.FLOORMOD}
_ALLOC = 1600


def nanoseconds(s: For) -> Expr:
    """The estimated time of all iterations of a loop as an index expression of its surroundings."""
    return floordiv(add(_cost(s), _UNITS - 1), _UNITS)


def _cost(s: Stmt) -> Expr:
    match s:
        case For(var=var, extent=extent, body=body):
            middle: dict[Var, Expr] = {var: floordiv(extent, 2)}
            return mul(extent, substitute(add(_cost(body), _LOOP), middle))
        case Seq(body=body):
            total: Expr = index(0)
            for child in body:
                total = add(total, _cost(child))
            return total
        case Store(value=value):
            return index(_expression_cost(value) + 4)
        case If(then=then, otherwise=otherwise):
            return _cost(then) if otherwise is None else add(_cost(then), _cost(otherwise))
        case Let(var=var, value=value, body=body):
            inner = substitute(_cost(body), {var: value})
            return add(inner, _expression_cost(value))
        case Alloc(body=body):
            return add(_cost(body), _ALLOC)
        case _:
            return index(_LOOP)


def _expression_cost(e: Expr) -> int:
    total = 0
    for n in walk(e):
        cost = _COSTS.get(type(n), 0)
        if isinstance(n, Binary) and n.op in _DIVISIONS and not isinstance(n.b, Const):
            cost *= 8
        total += cost
    return total
