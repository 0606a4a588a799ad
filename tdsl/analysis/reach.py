"""How far an index reaches while some loops run: its least value and the distance to its greatest.

Terms that do not change inside those loops stay in the least value and cancel in the distance,
so the footprint of a tile has a constant width even where its place is symbolic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir import build
from tdsl.ir.affine import Affine, linear
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Select, Var
from tdsl.ir.visit import free_vars, loads

ZERO = Affine({})


@dataclass(frozen=True, slots=True)
class Reach:
    """Values from `low` to `low + width`, both included."""

    low: Affine
    width: Affine

    @property
    def high(self) -> Affine:
        """The greatest value."""
        return self.low + self.width


def reach(e: Expr, inner: Mapping[Var, Affine]) -> Reach | None:
    """The values of *e* while each inner variable runs from 0 to the given greatest value.

    None where that cannot be told: the index depends on data, or is a product of variables.
    """
    return _of_form(linear(e), inner)


def _of_form(form: Affine, inner: Mapping[Var, Affine]) -> Reach | None:
    low, width = Affine({}, form.const), ZERO
    for atom, c in form.terms.items():
        one = _of_atom(atom, inner)
        if one is None:
            return None
        low = low + (one.low if c > 0 else one.high) * c
        width = width + one.width * abs(c)
    return Reach(low, width)


def _of_atom(atom: Expr, inner: Mapping[Var, Affine]) -> Reach | None:
    if isinstance(atom, Var):
        if atom in inner:
            return Reach(ZERO, inner[atom])
        return Reach(linear(atom), ZERO)
    if loads(atom):
        return None
    if not any(v in inner for v in free_vars(atom)):
        return Reach(linear(atom), ZERO)
    match atom:
        case Binary(BinaryOp.FLOORDIV, a, Const(value=d)):  # linear forms divide by d > 0 only
            return _divided(reach(a, inner), int(d))
        case Binary(BinaryOp.FLOORMOD, a, Const(value=d)):
            return _remainder(reach(a, inner), int(d))
        case Binary(BinaryOp.MIN | BinaryOp.MAX as op, a, b):
            return _extremum(op, reach(a, inner), reach(b, inner))
        case Select(cond, a, b):
            one, two = reach(a, inner), reach(b, inner)
            if one is None or two is None:
                return None
            if any(v in inner for v in free_vars(cond)):
                return _hull(one, two)
            low = linear(build.select(cond, one.low.expr(), two.low.expr()))
            return Reach(low, larger(one.width, two.width))
        case _:
            return None


def _divided(a: Reach | None, d: int) -> Reach | None:
    if a is None:
        return None
    low = linear(build.floordiv(a.low.expr(), d))
    # where the start is known modulo d the quotient's steps are, too
    known = all(c % d == 0 for c in a.low.terms.values())
    slack = a.low.const % d if known else d - 1
    return Reach(low, linear(build.floordiv((a.width + slack).expr(), d)))


def _remainder(a: Reach | None, d: int) -> Reach | None:
    if a is None:
        return None
    if a.low.terms and any(c % d for c in a.low.terms.values()):
        return Reach(ZERO, Affine({}, d - 1))
    start = a.low.const % d
    if a.width.is_constant and start + a.width.const < d:
        return Reach(Affine({}, start), a.width)
    return Reach(ZERO, Affine({}, d - 1))


def _extremum(op: BinaryOp, a: Reach | None, b: Reach | None) -> Reach | None:
    """min and max move no more than either side does."""
    if a is None or b is None:
        return None
    pick = build.minimum if op is BinaryOp.MIN else build.maximum
    return Reach(linear(pick(a.low.expr(), b.low.expr())), larger(a.width, b.width))


def _hull(a: Reach, b: Reach) -> Reach:
    low = linear(build.minimum(a.low.expr(), b.low.expr()))
    return Reach(low, larger(a.high, b.high) - low)


def larger(a: Affine, b: Affine) -> Affine:
    """The greater of two forms, decided where their difference is constant."""
    return linear(build.maximum(a.expr(), b.expr()))
