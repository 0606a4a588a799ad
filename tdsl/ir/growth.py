"""How much larger than its variables arithmetic may get: indices stay small, hash functions wrap.

Loop variables, sizes and extents are taken to be below 2**31. What multiplies them by no more than
`LARGEST` in all stays inside int64: of such arithmetic alone one may say that it does not wrap.
"""

from __future__ import annotations

from math import inf

from tdsl.ir.expr import Binary, BinaryOp, Broadcast, Cast, Const, Expr, Ramp, Select, Unary

LARGEST = 1 << 32
_SUMS = (BinaryOp.ADD, BinaryOp.SUB, BinaryOp.OR, BinaryOp.XOR)
_LAST_SHIFT = 63


def growth(e: Expr) -> float:
    """What *e* is at most, if no variable in it exceeds 1; infinite where it may wrap on the way.

    Loads, checked indices and calls count as variables: what they may hold is for others to ask.

    >>> from tdsl.ir.expr import Var
    >>> i = Var("i")
    >>> once = Binary(BinaryOp.MUL, i, Const(1 << 30))
    >>> growth(once) == 1 << 30, growth(Binary(BinaryOp.MUL, once, Const(1 << 30)))
    (True, inf)
    """
    match e:
        case Const(value=value):
            most: float = abs(value)
        case Binary(op=op, a=a, b=b):
            most = _binary(op, a, b)
        case Unary(a=a) | Broadcast(a=a):
            most = growth(a)
        case Select(a=a, b=b):
            most = max(growth(a), growth(b))
        case Ramp(base=base, stride=stride, count=count):
            most = growth(base) + growth(stride) * count
        case Cast(a=a):
            most = inf if a.dtype.is_integer and a.dtype.bits == e.dtype.bits else 1
        case _:
            return 1
    return inf if most > LARGEST else most


def _binary(op: BinaryOp, a: Expr, b: Expr) -> float:
    if op.compares:
        return 1
    if op in (BinaryOp.FLOORMOD, BinaryOp.AND) and isinstance(b, Const) and b.value >= 0:
        return b.value  # whatever it is of
    x, y = growth(a), growth(b)
    if op in _SUMS:
        return x + y
    match op:
        case BinaryOp.MUL:
            return x * y if x and y else 0
        case BinaryOp.SHL:
            known = isinstance(b, Const) and 0 <= b.value <= _LAST_SHIFT
            return x * 2.0**y if known else inf
        case BinaryOp.FLOORDIV | BinaryOp.SHR:
            return x
        case _:
            return max(x, y)
