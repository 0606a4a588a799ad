"""Symbolic intervals: bounds of index expressions over ranges of their variables.

A range is inclusive. Variables that the environment does not name (sizes, outer loops) stay in
the bounds as themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir import build
from tdsl.ir.affine import Affine, linear, tidy
from tdsl.ir.expr import Binary, BinaryOp, Checked, Const, Expr, Select, Unary, UnaryOp, Var
from tdsl.ir.visit import free_vars, loads


@dataclass(frozen=True, slots=True)
class Interval:
    """All integers from `lo` to `hi`, both included; None where there is no bound."""

    lo: Expr | None
    hi: Expr | None

    @staticmethod
    def of_extent(extent: Expr | int) -> Interval:
        """The range of a loop: 0 .. extent - 1."""
        return Interval(build.index(0), tidy(build.sub(extent, 1)))

    @staticmethod
    def at(value: Expr | int) -> Interval:
        """One value."""
        value = build.as_index(value)
        return Interval(value, value)

    @property
    def constants(self) -> tuple[int | None, int | None]:
        """Both bounds as numbers, None where one is symbolic or missing."""
        return _literal(self.lo), _literal(self.hi)


EVERYTHING = Interval(None, None)
_WRAPS = 1 << 63


def bounds(e: Expr, env: Mapping[Var, Interval]) -> tuple[Expr | None, Expr | None]:
    """The least and the greatest value of *e* (inclusive), None where unknown.

    Exact for sums in which each ranged variable occurs once; a bound that contains the values
    otherwise.

    >>> i = Var("i")
    >>> lo, hi = bounds(build.add(build.mul(i, 2), 1), {i: Interval.of_extent(8)})
    >>> lo, hi
    (Const(value=1, ...), Const(value=15, ...))
    """
    found = interval(e, env)
    return found.lo, found.hi


def interval(e: Expr, env: Mapping[Var, Interval]) -> Interval:
    """`bounds` as an `Interval`."""
    return _of_form(linear(e), env)


def constant_bounds(
    e: Expr, env: Mapping[Var, Interval], nonnegative: bool = True
) -> tuple[int | None, int | None]:
    """Bounds of *e* as numbers; variables outside *env* are sizes, at least 0 if `nonnegative`."""
    found = interval(e, env)
    return (
        None if found.lo is None else _number(found.lo, lower=True, nonnegative=nonnegative),
        None if found.hi is None else _number(found.hi, lower=False, nonnegative=nonnegative),
    )


def _number(e: Expr, *, lower: bool, nonnegative: bool) -> int | None:
    form = linear(e)
    if form.is_constant:
        return form.const
    sign = 1 if lower else -1
    if nonnegative and all(isinstance(a, Var) and c * sign > 0 for a, c in form.terms.items()):
        return form.const
    match e:
        case Binary(BinaryOp.MIN | BinaryOp.MAX as op, a, b):
            known = [_number(x, lower=lower, nonnegative=nonnegative) for x in (a, b)]
            return _pick(op, known, lower=lower)
        case _:
            return None


def _pick(op: BinaryOp, known: list[int | None], *, lower: bool) -> int | None:
    # min is bounded above by either side, max below by either side; else both are needed
    one_is_enough = (op is BinaryOp.MIN) is not lower
    values = [v for v in known if v is not None]
    if not values or (len(values) < len(known) and not one_is_enough):
        return None
    return min(values) if op is BinaryOp.MIN else max(values)


def _of_form(form: Affine, env: Mapping[Var, Interval]) -> Interval:
    lo: Affine | None = Affine({}, form.const)
    hi: Affine | None = Affine({}, form.const)
    for atom, c in form.terms.items():
        one = _of_atom(atom, env)
        low, high = (one.lo, one.hi) if c > 0 else (one.hi, one.lo)
        lo = None if lo is None or low is None else lo + linear(low) * c
        hi = None if hi is None or high is None else hi + linear(high) * c
    return Interval(None if lo is None else lo.expr(), None if hi is None else hi.expr())


def _of_atom(atom: Expr, env: Mapping[Var, Interval]) -> Interval:
    match atom:
        case Var():
            return env.get(atom, Interval(atom, atom))
        case Binary(BinaryOp.FLOORDIV, a, Const(value=d)) if d > 0:
            inner = interval(a, env)
            return Interval(_divided(inner.lo, int(d)), _divided(inner.hi, int(d)))
        case Binary(BinaryOp.FLOORMOD, a, Const(value=d)) if d > 0:
            return _remainder(interval(a, env), int(d))
        case Binary(BinaryOp.MIN, a, b):
            return _minimum(interval(a, env), interval(b, env))
        case Binary(BinaryOp.MAX, a, b):
            return _maximum(interval(a, env), interval(b, env))
        case Binary(BinaryOp.MUL, a, b):
            return _product(interval(a, env), interval(b, env))
        case Select(_, a, b):
            one, two = interval(a, env), interval(b, env)
            return Interval(_minimum(one, two).lo, _maximum(one, two).hi)
        case Unary(UnaryOp.ABS, a):
            low, high = interval(a, env).constants
            if low is None or high is None:
                return Interval(build.index(0), None)
            least = 0 if low <= 0 <= high else min(abs(low), abs(high))
            return Interval(build.index(least), build.index(max(abs(low), abs(high))))
        case Checked(_, extent):
            return Interval(build.index(0), interval(build.sub(extent, 1), env).hi)
        case _:
            return Interval(atom, atom) if _is_fixed(atom, env) else EVERYTHING


def _is_fixed(atom: Expr, env: Mapping[Var, Interval]) -> bool:
    return not loads(atom) and not any(v in env for v in free_vars(atom))


def _divided(e: Expr | None, d: int) -> Expr | None:
    return None if e is None else tidy(build.floordiv(e, d))


def _remainder(inner: Interval, d: int) -> Interval:
    low, high = inner.constants
    if low is not None and high is not None and low // d == high // d:
        return Interval(build.index(low % d), build.index(high % d))
    if inner.lo is not None and inner.lo == inner.hi:
        return Interval.at(tidy(build.floormod(inner.lo, d)))
    return Interval(build.index(0), build.index(d - 1))


def _minimum(a: Interval, b: Interval) -> Interval:
    lo = None if a.lo is None or b.lo is None else tidy(build.minimum(a.lo, b.lo))
    if a.hi is None or b.hi is None:
        return Interval(lo, a.hi if b.hi is None else b.hi)
    return Interval(lo, tidy(build.minimum(a.hi, b.hi)))


def _maximum(a: Interval, b: Interval) -> Interval:
    hi = None if a.hi is None or b.hi is None else tidy(build.maximum(a.hi, b.hi))
    if a.lo is None or b.lo is None:
        return Interval(a.lo if b.lo is None else b.lo, hi)
    return Interval(tidy(build.maximum(a.lo, b.lo)), hi)


def _product(a: Interval, b: Interval) -> Interval:
    corners = [x * y for x in a.constants for y in b.constants if x is not None and y is not None]
    if len(corners) == 4:
        if max(map(abs, corners)) >= _WRAPS:
            return EVERYTHING
        return Interval(build.index(min(corners)), build.index(max(corners)))
    if a.lo is not None and a.lo == a.hi and b.lo is not None and b.lo == b.hi:
        return Interval.at(tidy(build.mul(a.lo, b.lo)))
    for one, two in ((a, b), (b, a)):
        # a size, or an outer loop variable, is never negative: times a range from zero upwards
        least = two.constants[0]
        if isinstance(one.lo, Var) and one.lo == one.hi and least is not None and least >= 0:
            hi = None if two.hi is None else tidy(build.mul(one.lo, two.hi))
            return Interval(tidy(build.mul(one.lo, least)), hi)
    return EVERYTHING


def _literal(e: Expr | None) -> int | None:
    if e is None:
        return None
    form = linear(e)
    return form.const if form.is_constant else None
