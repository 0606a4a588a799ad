"""Constructors that fold the trivial cases, for index arithmetic in passes and primitives."""

from __future__ import annotations

import numpy as np

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Select

TRUE = Const(True, dtypes.bool_)
FALSE = Const(False, dtypes.bool_)


_SMALL = {value: Const(value, dtypes.INDEX) for value in range(-16, 1025)}


def index(value: int) -> Const:
    """An int64 constant."""
    small = _SMALL.get(value)
    return Const(value, dtypes.INDEX) if small is None else small


def const(value: float, dtype: DType) -> Const:
    """A constant of a dtype, rounded or wrapped to it as numpy would."""
    if dtype.is_bool:
        return Const(bool(value), dtype)
    if dtype.is_integer:
        wrapped = int(value) & ((1 << dtype.bits) - 1)
        if dtype.min < 0 and wrapped > dtype.max:
            wrapped -= 1 << dtype.bits
        return Const(wrapped, dtype)
    with np.errstate(over="ignore"):  # too large a value becomes infinite, silently
        return Const(float(dtype.numpy.type(value)), dtype)


def as_index(value: Expr | int) -> Expr:
    """An index expression from a Python int or an expression."""
    return index(value) if isinstance(value, int) else value


def is_const(e: Expr, value: int | None = None) -> bool:
    """Whether *e* is a literal (equal to *value*)."""
    return isinstance(e, Const) and (value is None or e.value == value)


def add(a: Expr | int, b: Expr | int) -> Expr:
    """`a + b` of indices."""
    a, b = as_index(a), as_index(b)
    if isinstance(a, Const):
        if isinstance(b, Const):
            return index(int(a.value) + int(b.value))
        return Binary(BinaryOp.ADD, a, b) if a.value else b
    if isinstance(b, Const) and not b.value:
        return a
    return Binary(BinaryOp.ADD, a, b)


def sub(a: Expr | int, b: Expr | int) -> Expr:
    """`a - b` of indices."""
    a, b = as_index(a), as_index(b)
    match a, b:
        case Const(value=x), Const(value=y):
            return index(int(x) - int(y))
        case _, Const(value=0):
            return a
        case _ if a == b:
            return index(0)
        case _:
            return Binary(BinaryOp.SUB, a, b)


def mul(a: Expr | int, b: Expr | int) -> Expr:
    """`a * b` of indices."""
    a, b = as_index(a), as_index(b)
    if isinstance(a, Const):
        if isinstance(b, Const):
            return index(int(a.value) * int(b.value))
        if not a.value:
            return a
        return b if a.value == 1 else Binary(BinaryOp.MUL, a, b)
    if isinstance(b, Const):
        if not b.value:
            return b
        if b.value == 1:
            return a
    return Binary(BinaryOp.MUL, a, b)


def floordiv(a: Expr | int, b: Expr | int) -> Expr:
    """`a // b` of indices."""
    a, b = as_index(a), as_index(b)
    match a, b:
        case Const(value=x), Const(value=y) if y != 0:
            return index(int(x) // int(y))
        case _, Const(value=1):
            return a
        case _:
            return Binary(BinaryOp.FLOORDIV, a, b)


def floormod(a: Expr | int, b: Expr | int) -> Expr:
    """`a % b` of indices."""
    a, b = as_index(a), as_index(b)
    match a, b:
        case Const(value=x), Const(value=y) if y != 0:
            return index(int(x) % int(y))
        case _, Const(value=1):
            return index(0)
        case _:
            return Binary(BinaryOp.FLOORMOD, a, b)


def ceildiv(a: Expr | int, b: int) -> Expr:
    """`ceil(a / b)` of indices, b > 0."""
    return floordiv(add(a, b - 1), b)


def minimum(a: Expr | int, b: Expr | int) -> Expr:
    """`min(a, b)` of indices."""
    a, b = as_index(a), as_index(b)
    match a, b:
        case Const(value=x), Const(value=y):
            return index(int(min(x, y)))
        case _ if a == b:
            return a
        case _:
            return Binary(BinaryOp.MIN, a, b)


def maximum(a: Expr | int, b: Expr | int) -> Expr:
    """`max(a, b)` of indices."""
    a, b = as_index(a), as_index(b)
    match a, b:
        case Const(value=x), Const(value=y):
            return index(int(max(x, y)))
        case _ if a == b:
            return a
        case _:
            return Binary(BinaryOp.MAX, a, b)


def compare(op: BinaryOp, a: Expr | int, b: Expr | int) -> Expr:
    """A comparison of indices, folded where both are literals."""
    a, b = as_index(a), as_index(b)
    if isinstance(a, Const) and isinstance(b, Const):
        x, y = a.value, b.value
        table = {
            BinaryOp.LT: x < y,
            BinaryOp.LE: x <= y,
            BinaryOp.GT: x > y,
            BinaryOp.GE: x >= y,
            BinaryOp.EQ: x == y,
            BinaryOp.NE: x != y,
        }
        return TRUE if table[op] else FALSE
    return Binary(op, a, b)


def lt(a: Expr | int, b: Expr | int) -> Expr:
    """`a < b` of indices."""
    return compare(BinaryOp.LT, a, b)


def ge(a: Expr | int, b: Expr | int) -> Expr:
    """`a >= b` of indices."""
    return compare(BinaryOp.GE, a, b)


def logical_and(a: Expr, b: Expr) -> Expr:
    """`a and b` of bools."""
    if a == TRUE or b == FALSE:
        return b
    if b == TRUE or a == FALSE:
        return a
    return Binary(BinaryOp.AND, a, b)


def conjunction(conds: tuple[Expr, ...] | list[Expr]) -> Expr:
    """All of *conds* (true for none)."""
    result: Expr = TRUE
    for cond in conds:
        result = logical_and(result, cond)
    return result


def conjuncts(cond: Expr) -> list[Expr]:
    """The conditions that must all hold for *cond* to hold."""
    match cond:
        case Binary(op=BinaryOp.AND, a=a, b=b) if a.dtype.is_bool:
            return conjuncts(a) + conjuncts(b)
        case _:
            return [cond]


def product(extents: tuple[Expr, ...] | list[Expr]) -> Expr:
    """The product of index expressions (1 for none)."""
    result: Expr = index(1)
    for extent in extents:
        result = mul(result, extent)
    return result


def select(cond: Expr, a: Expr, b: Expr) -> Expr:
    """`a if cond else b`, folded where the condition is a literal."""
    if cond == TRUE:
        return a
    if cond == FALSE:
        return b
    return Select(cond, a, b)
