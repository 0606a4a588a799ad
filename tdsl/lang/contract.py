"""Contract floating-point products into sums: `a * b + c` becomes `fma(a, b, c)`.

Done once, when the function is declared, so that no schedule step can change which products are
rounded.
"""

from __future__ import annotations

from tdsl.ir.expr import Binary, BinaryOp, Expr, Fma, Node, Unary, UnaryOp
from tdsl.ir.visit import transform


def contract(e: Expr) -> Expr:
    """Fuse products into the sums and differences that use them, innermost first."""
    result = transform(e, _contract_one)
    assert isinstance(result, Expr)
    return result


def _contract_one(n: Node) -> Node:
    if not isinstance(n, Binary) or not n.dtype.is_float:
        return n
    match n:
        case Binary(op=BinaryOp.ADD, a=Binary(op=BinaryOp.MUL, a=x, b=y), b=c):
            return Fma(x, y, c)
        case Binary(op=BinaryOp.ADD, a=c, b=Binary(op=BinaryOp.MUL, a=x, b=y)):
            return Fma(x, y, c)
        case Binary(op=BinaryOp.SUB, a=Binary(op=BinaryOp.MUL, a=x, b=y), b=c):
            return Fma(x, y, Unary(UnaryOp.NEG, c))
        case Binary(op=BinaryOp.SUB, a=c, b=Binary(op=BinaryOp.MUL, a=x, b=y)):
            return Fma(Unary(UnaryOp.NEG, x), y, c)
        case _:
            return n
