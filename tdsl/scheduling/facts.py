"""What the stated facts say of an extent: whether a number divides it for every size."""

from __future__ import annotations

from math import gcd

from tdsl.ir.build import is_const
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Var


def divides(factor: int, extent: Expr, facts: tuple[Expr, ...]) -> bool:
    """Whether *factor* divides *extent* whatever the sizes, given facts such as `M % 16 == 0`.

    >>> from tdsl.ir.build import add, mul, index
    >>> M = Var("M")
    >>> divides(4, add(mul(M, 8), 12), ())
    True
    >>> divides(4, M, ())
    False
    """
    if factor == 1:
        return True
    match extent:
        case Const(value=value):
            return int(value) % factor == 0
        case Var():
            return any(_multiple_in(fact, extent) % factor == 0 for fact in facts)
        case Binary(op=BinaryOp.ADD | BinaryOp.SUB, a=a, b=b):
            return divides(factor, a, facts) and divides(factor, b, facts)
        case Binary(op=BinaryOp.MUL, a=a, b=b):
            for scale, rest in ((a, b), (b, a)):
                if isinstance(scale, Const):
                    return divides(factor // gcd(factor, int(scale.value)), rest, facts)
            return divides(factor, a, facts) or divides(factor, b, facts)
        case _:
            return False


def _multiple_in(fact: Expr, var: Var) -> int:
    """c where *fact* states `var % c == 0` or `var == c`, else 1."""
    match fact:
        case Binary(
            op=BinaryOp.EQ,
            a=Binary(op=BinaryOp.FLOORMOD, a=Var() as stated, b=Const(value=c)),
            b=zero,
        ) if stated is var and is_const(zero, 0):
            return int(c) or 1
        case Binary(op=BinaryOp.EQ, a=Var() as stated, b=Const(value=c)) if stated is var:
            return int(c)
        case Binary(op=BinaryOp.AND, a=a, b=b):
            return max(_multiple_in(a, var), _multiple_in(b, var))
        case _:
            return 1
