"""Writing a formula as Python arithmetic and getting IR expressions with shared parts named.

Every operation becomes a `Let` of its own variable, equal operations one; at the end the variables
that are used once go back into the expression that uses them, and unused ones go away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir import build
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Bitcast,
    Broadcast,
    Cast,
    Const,
    Expr,
    Fma,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.visit import substitute, walk

_DEEPEST = 12  # nesting at which a variable used once keeps its name: passes recurse

_INTEGERS = {dtypes.float32: dtypes.int32, dtypes.float64: dtypes.int64}
_EXPLICIT_BITS = {dtypes.float32: 23, dtypes.float64: 52}


@dataclass(frozen=True, slots=True)
class Expansion:
    """`result`, in which the variables of `lets` stand for their values; defined in this order."""

    lets: tuple[tuple[Var, Expr], ...]
    result: Expr


@dataclass(frozen=True, slots=True)
class Num:
    """A value inside a formula: a variable or a literal, with Python's operators.

    A Python number on either side takes the element type of the value. Comparisons give bools.
    """

    formula: Formula
    e: Expr

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.e.dtype

    def _binary(self, op: BinaryOp, other: Num | float, *, swap: bool = False) -> Num:
        right = self.formula.lift(other, self.dtype)
        a, b = (right, self.e) if swap else (self.e, right)
        return self.formula.name(Binary(op, a, b))

    def __add__(self, other: Num | float) -> Num:
        return self._binary(BinaryOp.ADD, other)

    def __sub__(self, other: Num | float) -> Num:
        return self._binary(BinaryOp.SUB, other)

    def __rsub__(self, other: float) -> Num:
        return self._binary(BinaryOp.SUB, other, swap=True)

    def __mul__(self, other: Num | float) -> Num:
        return self._binary(BinaryOp.MUL, other)

    def __truediv__(self, other: Num | float) -> Num:
        return self._binary(BinaryOp.TRUEDIV, other)

    def __rtruediv__(self, other: float) -> Num:
        return self._binary(BinaryOp.TRUEDIV, other, swap=True)

    def __and__(self, other: Num | int) -> Num:
        return self._binary(BinaryOp.AND, other)

    def __or__(self, other: Num | int) -> Num:
        return self._binary(BinaryOp.OR, other)

    def __xor__(self, other: Num | int) -> Num:
        return self._binary(BinaryOp.XOR, other)

    def __lshift__(self, other: Num | int) -> Num:
        return self._binary(BinaryOp.SHL, other)

    def __rshift__(self, other: Num | int) -> Num:
        return self._binary(BinaryOp.SHR, other)

    def __lt__(self, other: Num | float) -> Num:
        return self._binary(BinaryOp.LT, other)

    def __le__(self, other: Num | float) -> Num:
        return self._binary(BinaryOp.LE, other)

    def __gt__(self, other: Num | float) -> Num:
        return self._binary(BinaryOp.GT, other)

    def __ge__(self, other: Num | float) -> Num:
        return self._binary(BinaryOp.GE, other)

    def __neg__(self) -> Num:
        return self._unary(UnaryOp.NEG)

    def __abs__(self) -> Num:
        return self._unary(UnaryOp.ABS)

    def __invert__(self) -> Num:
        return self._unary(UnaryOp.NOT)

    def _unary(self, op: UnaryOp) -> Num:
        return self.formula.name(Unary(op, self.e))

    def equals(self, other: Num | float) -> Num:
        """Whether the values are equal (false for NaN)."""
        return self._binary(BinaryOp.EQ, other)

    def differs(self, other: Num | float) -> Num:
        """Whether the values differ (true for NaN)."""
        return self._binary(BinaryOp.NE, other)

    def at_least(self, bound: float) -> Num:
        """The value, raised to a literal bound; NaN stays."""
        return self._binary(BinaryOp.MAX, bound)

    def at_most(self, bound: float) -> Num:
        """The value, lowered to a literal bound; NaN stays."""
        return self._binary(BinaryOp.MIN, bound)

    def isnan(self) -> Num:
        """Whether the value is NaN."""
        return self._unary(UnaryOp.ISNAN)

    def sqrt(self) -> Num:
        """The correctly rounded square root."""
        return self._unary(UnaryOp.SQRT)

    def round(self) -> Num:
        """The nearest integer, half to even."""
        return self._unary(UnaryOp.ROUND)

    def trunc(self) -> Num:
        """The integer part."""
        return self._unary(UnaryOp.TRUNC)

    def to(self, dtype: DType) -> Num:
        """The value converted to another element type."""
        return self if self.dtype is dtype else self.formula.name(Cast(self.e, dtype))

    def as_type(self, dtype: DType) -> Num:
        """The bits read as another element type."""
        return self.formula.name(Bitcast(self.e, dtype))

    def bits(self) -> Num:
        """The bits of a float as a signed integer."""
        return self.as_type(self.formula.integer)

    def as_float(self) -> Num:
        """Bits read as a float."""
        return self.as_type(self.formula.dtype)


class Formula:
    """The operations of one expansion.

    `dtype` is the float type computed in; `scales` says that the target has an instruction for
    `a * 2**n`.
    """

    def __init__(self, stem: str, dtype: DType, lanes: int, *, scales: bool = False) -> None:
        self.dtype = dtype
        self.scales = scales
        self.integer = _INTEGERS[dtype]
        self.mantissa = _EXPLICIT_BITS[dtype]
        self.bias = (1 << (dtype.bits - self.mantissa - 2)) - 1
        self.single = dtype is dtypes.float32
        self._stem = stem
        self._lanes = lanes
        self._values: dict[Var, Expr] = {}
        self._names: dict[Expr, Var] = {}

    def pick(self, single: float, double: float) -> float:
        """The literal for float32 or the one for float64."""
        return single if self.single else double

    def lift(self, value: Num | float, dtype: DType) -> Expr:
        """A value as an expression; a Python number as a literal of `dtype` in every lane."""
        if isinstance(value, Num):
            return value.e
        literal = build.const(value, dtype)
        return Broadcast(literal, self._lanes) if self._lanes > 1 else literal

    def const(self, value: float, dtype: DType | None = None) -> Num:
        """A literal (of the formula's float type)."""
        return Num(self, self.lift(value, dtype or self.dtype))

    def name(self, e: Expr) -> Num:
        """The variable that stands for an expression of variables and literals."""
        if isinstance(e, (Var, Const, Broadcast)):
            return Num(self, e)
        var = self._names.get(e)
        if var is None:
            var = Var(f"{self._stem}_{len(self._values)}", e.dtype, e.lanes)
            self._names[e] = var
            self._values[var] = e
        return Num(self, var)

    def fma(self, a: Num, b: Num | float, c: Num | float) -> Num:
        """`a * b + c`, rounded once."""
        return self.name(Fma(a.e, self.lift(b, a.dtype), self.lift(c, a.dtype)))

    def select(self, cond: Num, a: Num | float, b: Num | float) -> Num:
        """`a` where `cond` holds, else `b`."""
        dtype = a.dtype if isinstance(a, Num) else b.dtype if isinstance(b, Num) else self.dtype
        return self.name(Select(cond.e, self.lift(a, dtype), self.lift(b, dtype)))

    def polynomial(self, x: Num, coefficients: Sequence[float]) -> Num:
        """Horner's rule; coefficients lowest power first."""
        value: Num | float = coefficients[-1]
        for c in reversed(coefficients[:-1]):
            value = self.fma(value, x, c) if isinstance(value, Num) else self.fma(x, value, c)
        return Num(self, self.lift(value, self.dtype))

    def sign_of(self, x: Num) -> Num:
        """The sign bit of a float, in its place."""
        return x.bits() & (-1 << (self.dtype.bits - 1))

    def with_sign(self, magnitude: Num, sign: Num) -> Num:
        """A float of sign bit 0 given a sign bit."""
        return (magnitude.bits() | sign).as_float()

    def finish(self, result: Num) -> Expansion:
        """Name what is used twice, inline what is used once."""
        return _inline(self._values, result.e)


def _inline(values: dict[Var, Expr], result: Expr) -> Expansion:
    uses: Counter[Var] = Counter()

    def count(e: Expr) -> None:
        for n in walk(e):
            if isinstance(n, Var) and n in values:
                uses[n] += 1
                if uses[n] == 1:
                    count(values[n])

    count(result)
    inlined: dict[Var, Expr] = {}
    depth: dict[Var, int] = {}
    lets: list[tuple[Var, Expr]] = []
    for var, e in values.items():
        if not uses[var]:
            continue
        inside = [n for n in walk(e) if isinstance(n, Var)]
        full = substitute(e, {n: inlined[n] for n in inside if n in inlined})
        nesting = 1 + max((depth[n] for n in inside if n in inlined), default=0)
        if uses[var] == 1 and nesting < _DEEPEST:
            inlined[var], depth[var] = full, nesting
        else:
            lets.append((var, full))
    return Expansion(tuple(lets), substitute(result, inlined))
