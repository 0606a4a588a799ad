"""Arithmetic on scalars and vectors of lanes, folding what stays a ramp.

ramp(b, s) + x  ->  ramp(b + x, s)        ramp(b, s) * x  ->  ramp(b * x, s * x)
"""

from __future__ import annotations

from tdsl.ir.build import add, const, mul, sub
from tdsl.ir.expr import Binary, BinaryOp, Broadcast, Const, Expr, Ramp


def widen(e: Expr, lanes: int) -> Expr:
    """*e* with `lanes` lanes: a scalar is repeated."""
    if e.lanes == lanes:
        return e
    return Broadcast(e, lanes)


def narrow(e: Expr) -> Expr:
    """The scalar that every lane of *e* holds, where it is plainly one; else *e*."""
    return e.a if isinstance(e, Broadcast) else e


def binary(op: BinaryOp, a: Expr, b: Expr) -> Expr:
    """`a op b` of operands with any lane counts; ramps stay ramps where they can."""
    a, b = narrow(a), narrow(b)
    if a.lanes == b.lanes == 1:
        return _scalar(op, a, b)
    if a.dtype.is_integer:
        ramp = _ramp(op, a, b)
        if ramp is not None:
            return ramp
    lanes = max(a.lanes, b.lanes)
    return Binary(op, widen(a, lanes), widen(b, lanes))


def _scalar(op: BinaryOp, a: Expr, b: Expr) -> Expr:
    fold = {BinaryOp.ADD: add, BinaryOp.SUB: sub, BinaryOp.MUL: mul}.get(op)
    index = all(x.dtype.name == "int64" for x in (a, b))
    return fold(a, b) if fold is not None and index else Binary(op, a, b)


def _ramp(op: BinaryOp, a: Expr, b: Expr) -> Expr | None:
    match op, a, b:
        case BinaryOp.ADD, Ramp(base, stride, n), Ramp(base2, stride2, _):
            return _make(_scalar(op, base, base2), _scalar(op, stride, stride2), n)
        case BinaryOp.SUB, Ramp(base, stride, n), Ramp(base2, stride2, _):
            return _make(_scalar(op, base, base2), _scalar(op, stride, stride2), n)
        case BinaryOp.ADD, Ramp(base, stride, n), x if x.lanes == 1:
            return Ramp(_scalar(op, base, x), stride, n)
        case BinaryOp.ADD, x, Ramp(base, stride, n) if x.lanes == 1:
            return Ramp(_scalar(op, x, base), stride, n)
        case BinaryOp.SUB, Ramp(base, stride, n), x if x.lanes == 1:
            return Ramp(_scalar(op, base, x), stride, n)
        case BinaryOp.SUB, x, Ramp(base, stride, n) if x.lanes == 1:
            negated = _scalar(BinaryOp.SUB, const(0, x.dtype), stride)
            return Ramp(_scalar(op, x, base), negated, n)
        case BinaryOp.MUL, Ramp(base, stride, n), x if x.lanes == 1:
            return _make(_scalar(op, base, x), _scalar(op, stride, x), n)
        case BinaryOp.MUL, x, Ramp(base, stride, n) if x.lanes == 1:
            return _make(_scalar(op, x, base), _scalar(op, x, stride), n)
        case _:
            return None


def _make(base: Expr, stride: Expr, lanes: int) -> Expr:
    if isinstance(stride, Const) and stride.value == 0:
        return base
    return Ramp(base, stride, lanes)
