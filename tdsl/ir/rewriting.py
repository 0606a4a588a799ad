"""Rewrite rules as data: patterns written with operators, matched against expressions.

::

    Rule("fold-add", (x + a) + b, lambda m: x + (m[a] + m[b]))

`x`, `y`, `z` stand for any expression, `a`, `b`, `c` for literals. A result is a template, or a
function from the match to one; numbers in it become literals of the dtype at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir.build import const
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Const,
    Expr,
    Fma,
    Select,
    Unary,
    UnaryOp,
    Var,
)

Ranges: TypeAlias = Callable[[Expr], tuple[int | None, int | None]]


class Domain(Enum):
    """Of which expressions a rule holds; the dtype is the one of the first operand."""

    ANY = "any"
    INTEGER = "integer"  # holds with wrap-around, for every width
    INDEX = "index"  # holds where nothing overflows: arithmetic on loop variables and sizes
    BOOL = "bool"
    FLOAT = "float"  # bit for bit, signed zeros and infinities included
    EXACT = "exact"  # integers and bools: what total order and equality are for


_DOMAINS: dict[Domain, Callable[[DType], bool]] = {
    Domain.ANY: lambda _: True,
    Domain.INTEGER: lambda t: t.is_integer,
    Domain.INDEX: lambda t: t is dtypes.INDEX,
    Domain.BOOL: lambda t: t.is_bool,
    Domain.FLOAT: lambda t: t.is_float,
    Domain.EXACT: lambda t: not t.is_float,
}


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A pattern or template: an expression over wildcards, built with Python's operators."""

    expr: Expr

    def __add__(self, other: Operand) -> Term:
        return _binary(BinaryOp.ADD, self, other)

    def __sub__(self, other: Operand) -> Term:
        return _binary(BinaryOp.SUB, self, other)

    def __mul__(self, other: Operand) -> Term:
        return _binary(BinaryOp.MUL, self, other)

    def __truediv__(self, other: Operand) -> Term:
        return _binary(BinaryOp.TRUEDIV, self, other)

    def __floordiv__(self, other: Operand) -> Term:
        return _binary(BinaryOp.FLOORDIV, self, other)

    def __mod__(self, other: Operand) -> Term:
        return _binary(BinaryOp.FLOORMOD, self, other)

    def __and__(self, other: Operand) -> Term:
        return _binary(BinaryOp.AND, self, other)

    def __or__(self, other: Operand) -> Term:
        return _binary(BinaryOp.OR, self, other)

    def __xor__(self, other: Operand) -> Term:
        return _binary(BinaryOp.XOR, self, other)

    def __lshift__(self, other: Operand) -> Term:
        return _binary(BinaryOp.SHL, self, other)

    def __rshift__(self, other: Operand) -> Term:
        return _binary(BinaryOp.SHR, self, other)

    def __lt__(self, other: Operand) -> Term:
        return _binary(BinaryOp.LT, self, other)

    def __le__(self, other: Operand) -> Term:
        return _binary(BinaryOp.LE, self, other)

    def __gt__(self, other: Operand) -> Term:
        return _binary(BinaryOp.GT, self, other)

    def __ge__(self, other: Operand) -> Term:
        return _binary(BinaryOp.GE, self, other)

    def eq(self, other: Operand) -> Term:
        """`self == other` (the operator itself compares terms)."""
        return _binary(BinaryOp.EQ, self, other)

    def ne(self, other: Operand) -> Term:
        """`self != other`."""
        return _binary(BinaryOp.NE, self, other)

    def __neg__(self) -> Term:
        return Term(Unary(UnaryOp.NEG, self.expr))

    def __invert__(self) -> Term:
        return Term(Unary(UnaryOp.NOT, self.expr))


Operand: TypeAlias = Term | float
WILD: set[Var] = set()
LITERALS: set[Var] = set()


def wild(name: str) -> Term:
    """A wildcard for any expression."""
    var = Var(name)
    WILD.add(var)
    return Term(var)


def literal(name: str) -> Term:
    """A wildcard for a literal."""
    var = Var(name)
    WILD.add(var)
    LITERALS.add(var)
    return Term(var)


def number(value: float) -> Term:
    """A literal that stands by itself in a pattern or template."""
    dtype = dtypes.bool_ if isinstance(value, bool) else dtypes.INDEX
    if isinstance(value, float):
        dtype = dtypes.float64
    return Term(Const(value, dtype))


def term(operand: Operand) -> Term:
    """A term from a term or a number."""
    return operand if isinstance(operand, Term) else number(operand)


def minimum(a: Operand, b: Operand) -> Term:
    """`min(a, b)`."""
    return _binary(BinaryOp.MIN, term(a), b)


def maximum(a: Operand, b: Operand) -> Term:
    """`max(a, b)`."""
    return _binary(BinaryOp.MAX, term(a), b)


def choice(cond: Term, a: Operand, b: Operand) -> Term:
    """`select(cond, a, b)`."""
    return Term(Select(cond.expr, term(a).expr, term(b).expr))


def fused(a: Operand, b: Operand, c: Operand) -> Term:
    """`fma(a, b, c)`."""
    return Term(Fma(term(a).expr, term(b).expr, term(c).expr))


def absolute(a: Term) -> Term:
    """`abs(a)`."""
    return Term(Unary(UnaryOp.ABS, a.expr))


def negated(a: Term) -> Term:
    """`-a`."""
    return -a


def _binary(op: BinaryOp, a: Term, b: Operand) -> Term:
    return Term(Binary(op, a.expr, term(b).expr))


class Match:
    """What the wildcards of a pattern stand for; `m[a]` is the value of a literal."""

    def __init__(self, ranges: Ranges) -> None:
        self.found: dict[Var, Expr] = {}
        self._ranges = ranges

    def __getitem__(self, wildcard: Term) -> int:
        bound = self.expr(wildcard)
        assert isinstance(bound, Const)
        return int(bound.value)

    def expr(self, wildcard: Term) -> Expr:
        """The expression that a wildcard stands for."""
        assert isinstance(wildcard.expr, Var)
        return self.found[wildcard.expr]

    def range(self, what: Term) -> tuple[int | None, int | None]:
        """Bounds (inclusive) of a template over the wildcards."""
        return self._ranges(instantiate(what.expr, self.found, dtypes.INDEX))

    def inside(self, what: Term, extent: int) -> bool:
        """Whether `0 <= what < extent` always holds."""
        low, high = self.range(what)
        return low is not None and low >= 0 and high is not None and high < extent

    def is_literal(self, wildcard: Term) -> bool:
        """Whether a wildcard stands for a literal."""
        return isinstance(self.expr(wildcard), Const)


Result: TypeAlias = Term | Callable[[Match], Operand]


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern` -> `result` for expressions of a `domain`, where `when` holds."""

    name: str
    pattern: Term
    result: Result
    when: Callable[[Match], bool] | None = None
    domain: Domain = Domain.INTEGER

    def holds_for(self, operands: DType, *, is_index: bool) -> bool:
        """Whether the rule is about expressions whose operands have that dtype."""
        return (is_index or self.domain is not Domain.INDEX) and _DOMAINS[self.domain](operands)

    def apply(self, e: Expr, operands: DType, ranges: Ranges) -> Expr | None:
        """What *e* becomes, or None where the rule does not fit.

        Args:
            e: an expression for which the rule holds.
            operands: the dtype of its operands, which the literals of the result take.
            ranges: bounds of index expressions.
        """
        match = Match(ranges)
        if not _matches(self.pattern.expr, e, match.found):
            return None
        if self.when is not None and not self.when(match):
            return None
        result = self.result if isinstance(self.result, Term) else term(self.result(match))
        return instantiate(result.expr, match.found, operands)


def _matches(pattern: Expr, e: Expr, found: dict[Var, Expr]) -> bool:
    match pattern:
        case Var() if pattern in WILD:
            if pattern in LITERALS and not isinstance(e, Const):
                return False
            bound = found.setdefault(pattern, e)
            return bound is e or bound == e
        case Const(value, dtype):
            if not isinstance(e, Const) or dtype.is_bool is not e.type.is_bool:
                return False
            return repr(float(value)) == repr(float(e.value))
        case Binary(op, a, b):
            return (
                isinstance(e, Binary)
                and e.op is op
                and _matches(a, e.a, found)
                and _matches(b, e.b, found)
            )
        case Unary(op, a):
            return isinstance(e, Unary) and e.op is op and _matches(a, e.a, found)
        case Select(cond, a, b):
            return isinstance(e, Select) and _all(((cond, e.cond), (a, e.a), (b, e.b)), found)
        case Fma(a, b, c):
            return isinstance(e, Fma) and _all(((a, e.a), (b, e.b), (c, e.c)), found)
        case _:
            return False


def _all(pairs: Sequence[tuple[Expr, Expr]], found: dict[Var, Expr]) -> bool:
    return all(_matches(pattern, e, found) for pattern, e in pairs)


def instantiate(template: Expr, found: Mapping[Var, Expr], dtype: DType) -> Expr:
    """A template with its wildcards replaced; its own numbers become literals of *dtype*."""
    match template:
        case Var():
            return found[template]
        case Const(value, own):
            return template if own.is_bool else const(value, dtype)
        case Binary(op, a, b):
            return Binary(op, instantiate(a, found, dtype), instantiate(b, found, dtype))
        case Unary(op, a):
            return Unary(op, instantiate(a, found, dtype))
        case Select(cond, a, b):
            parts = (instantiate(x, found, dtype) for x in (cond, a, b))
            return Select(*parts)
        case Fma(a, b, c):
            return Fma(*(instantiate(x, found, dtype) for x in (a, b, c)))
        case _:
            raise AssertionError(template)
