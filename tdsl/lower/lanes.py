"""Expressions on scalars and vectors of lanes, keeping ramps where they stay ramps.

ramp(b, s) + x  ->  ramp(b + x, s)        ramp(b, s) * x  ->  ramp(b * x, s * x)
ramp(b, 1) < x  ->  ramp(0, 1) < x - b    in 32 bits: half the registers, one comparison
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tdsl import dtypes
from tdsl.ir.build import add, const, floordiv, floormod, maximum, minimum, mul, sub
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Bitcast,
    Broadcast,
    Cast,
    Checked,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Math,
    Ramp,
    Select,
    Shuffle,
    Unary,
)
from tdsl.ir.growth import LARGEST, growth
from tdsl.ir.visit import walk

_WIDEST_RAMP = 1 << 30  # steps of a ramp that are handled in 32 bits
_DIVISIONS = (BinaryOp.FLOORDIV, BinaryOp.FLOORMOD)
# whether a comparison of a rising ramp holds in its first lanes
_PREFIX = {BinaryOp.LT: True, BinaryOp.LE: True, BinaryOp.GT: False, BinaryOp.GE: False}


_FOLDS = {BinaryOp.ADD: add, BinaryOp.SUB: sub, BinaryOp.MUL: mul}


def widen(e: Expr, lanes: int) -> Expr:
    """*e* with `lanes` lanes: a scalar is repeated."""
    if e.lanes == lanes:
        return e
    return Broadcast(e, lanes)


def narrow(e: Expr) -> Expr:
    """The scalar that every lane of *e* holds, where it is plainly one; else *e*."""
    return e.a if isinstance(e, Broadcast) else e


def rebuild(e: Expr, operands: Sequence[Expr]) -> Expr:
    """The operation of *e* on other operands, whose lane counts may differ: 1 or all."""
    operands = [narrow(x) for x in operands]
    match e:
        case Binary(op=op):
            return binary(op, operands[0], operands[1])
        case Cast(type=to):
            return _cast(e, operands[0], to)
        case Unary() | Bitcast():
            return dataclasses.replace(e, a=operands[0])
        case _:
            pass
    lanes = max((x.lanes for x in operands), default=1)
    wide = [widen(x, lanes) for x in operands]
    match e:
        case Fma():
            return Fma(*wide)
        case Select():
            return Select(*wide)
        case Checked():
            return Checked(wide[0], wide[1], e.access)
        case Math() | Extern():
            return dataclasses.replace(e, args=tuple(wide))
        case _:
            raise AssertionError(type(e))


def _cast(e: Cast, a: Expr, to: dtypes.DType) -> Expr:
    if isinstance(a, Ramp) and to.is_integer and to.bits <= a.dtype.bits:
        return Ramp(_cast_scalar(a.base, to), _cast_scalar(a.stride, to), a.count)
    return dataclasses.replace(e, a=a)


def _cast_scalar(a: Expr, to: dtypes.DType) -> Expr:
    return const(a.value, to) if isinstance(a, Const) else Cast(a, to)


def binary(op: BinaryOp, a: Expr, b: Expr) -> Expr:
    """`a op b` of operands with any lane counts; ramps stay ramps where they can."""
    a, b = narrow(a), narrow(b)
    if a.lanes == b.lanes == 1:
        return _scalar(op, a, b)
    if a.dtype.is_integer:
        rule = _compare_ramps if op.compares else _divide_ramp if op in _DIVISIONS else _ramp
        found = rule(op, a, b)
        if found is not None:
            return found
    lanes = max(a.lanes, b.lanes)
    return Binary(op, widen(a, lanes), widen(b, lanes))


def _scalar(op: BinaryOp, a: Expr, b: Expr) -> Expr:
    fold = _FOLDS.get(op)
    if fold is not None and a.dtype is dtypes.INDEX and b.dtype is dtypes.INDEX:
        folded = fold(a, b)
        return const(folded.value, dtypes.INDEX) if isinstance(folded, Const) else folded
    return Binary(op, a, b)


def _ramp(op: BinaryOp, a: Expr, b: Expr) -> Expr | None:
    match op, a, b:
        case ((BinaryOp.ADD | BinaryOp.SUB), Ramp(base, stride, n), Ramp(base2, stride2, _)):
            return _make(_scalar(op, base, base2), _scalar(op, stride, stride2), n)
        case ((BinaryOp.ADD | BinaryOp.SUB), Ramp(base, stride, n), x) if x.lanes == 1:
            return Ramp(_scalar(op, base, x), stride, n)
        case BinaryOp.ADD, x, Ramp(base, stride, n) if x.lanes == 1:
            return Ramp(_scalar(op, x, base), stride, n)
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


def _compare_ramps(op: BinaryOp, a: Expr, b: Expr) -> Expr | None:
    """A comparison of indices as `ramp(0, s) op x` in 32 bits.

    Only of plain index arithmetic, in which nothing overflows; data may hold any value.
    """
    if a.dtype is not dtypes.INDEX or not (_is_index(a) and _is_index(b)):
        return None
    difference = _ramp(BinaryOp.SUB, a, b)
    match difference:
        case Ramp(base, Const(value=stride), lanes) if abs(int(stride)) * lanes < _WIDEST_RAMP:
            last = int(stride) * (lanes - 1)
            limit = minimum(maximum(sub(0, base), min(0, last) - 1), max(0, last) + 1)
            steps = Ramp(const(0, dtypes.int32), const(int(stride), dtypes.int32), lanes)
            return Binary(op, steps, Broadcast(_cast_scalar(limit, dtypes.int32), lanes))
        case Expr() if difference.lanes == 1:
            return Binary(op, difference, const(0, dtypes.INDEX))
        case _:
            return None


def _divide_ramp(op: BinaryOp, a: Expr, b: Expr) -> Expr | None:
    """A ramp of indices divided by a constant: the base in 64 bits, the lanes in 32.

    ramp(x, s) // c  ->  x // c + ramp(x % c, s) // c
    """
    match a, b:
        case Ramp(base, Const(value=stride), lanes), Const(value=divisor):
            c, step = int(divisor), int(stride)
            if a.dtype is not dtypes.INDEX or c <= 0 or step < 0 or not _is_index(base):
                return None
            if c + step * lanes > _WIDEST_RAMP:
                return None
            start = _cast_scalar(floormod(base, c), dtypes.int32)
            ramp = Ramp(start, const(step, dtypes.int32), lanes)
            small = Binary(op, ramp, Broadcast(const(c, dtypes.int32), lanes))
            wide = Cast(small, dtypes.INDEX)
            if op is BinaryOp.FLOORMOD:
                return wide
            return Binary(BinaryOp.ADD, Broadcast(floordiv(base, c), lanes), wide)
        case _:
            return None


def _is_index(e: Expr) -> bool:
    """Whether *e* is arithmetic of indices, which does not wrap."""
    return growth(e) <= LARGEST and not any(
        isinstance(n, Load | Cast | Bitcast | Extern) for n in walk(e)
    )


def any_lane(mask: Expr) -> Expr:
    """Whether some lane of a mask is true, as a scalar.

    Where the true lanes are the first ones (or the last), one lane answers for all.
    """
    mask = narrow(mask)
    if mask.lanes == 1:
        return mask
    for first in (True, False):
        end = _end_lane(mask, first=first)
        if end is not None:
            return end
    return _fold_lanes(mask)


def _end_lane(mask: Expr, *, first: bool) -> Expr | None:
    """The first (last) lane of a mask, if no lane is true unless that one is."""
    match narrow(mask):
        case Binary(op=BinaryOp.AND, a=a, b=b):
            x, y = _end_lane(a, first=first), _end_lane(b, first=first)
            return None if x is None or y is None else Binary(BinaryOp.AND, x, y)
        case Binary(op=op, a=Ramp(Const(value=base) as start, Const(value=stride), lanes),
                    b=Broadcast(a=x)) if op in _PREFIX and stride != 0:  # fmt: skip
            if (_PREFIX[op] == (int(stride) > 0)) is not first:
                return None
            last = int(base) + int(stride) * (lanes - 1)
            if not start.dtype.min <= last <= start.dtype.max:
                return None  # narrow lanes wrap
            return Binary(op, const(int(base) if first else last, start.dtype), x)
        case scalar if scalar.lanes == 1:
            return scalar
        case _:
            return None


def _fold_lanes(mask: Expr) -> Expr:
    while mask.lanes > 1:
        half = (mask.lanes + 1) // 2
        low = Shuffle((mask,), tuple(range(half)))
        high = Shuffle((mask,), tuple(range(mask.lanes - half, mask.lanes)))
        mask = Binary(BinaryOp.OR, low, high)
    return mask
