"""Terms: arithmetic over knobs, and its compilation to numpy.

A term is what a `KnobInt` stands for. Terms are interned, so equal ones are the same object and a
program computes each of them once. A `TermProgram` evaluates many terms for many knob vectors: one
numpy call for each operation, over whole columns.

>>> a, b = knob_term(0), knob_term(1)
>>> program = TermProgram((a * b + 1.0, ceildiv(constant(100), a)))
>>> program.run(np.array([[4, 8], [3, 5]])).tolist()
[[33.0, 25.0], [16.0, 34.0]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


class Op(Enum):
    """What a term computes from its arguments."""

    CONST = "const"
    KNOB = "knob"
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    FLOORDIV = "//"
    CEILDIV = "ceildiv"
    MOD = "%"
    MIN = "min"
    MAX = "max"
    LE = "<="
    EQ = "=="
    AND = "&"
    OR = "|"
    NOT = "not"
    WHERE = "where"
    LOG2 = "log2"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Term:
    """An operation on terms; `value` of a constant, or the number of a knob's column.

    Conditions are terms that are 0 or 1.
    """

    op: Op
    args: tuple[Term, ...] = ()
    value: float = 0.0

    def __add__(self, other: Term | float) -> Term:
        return _make(Op.ADD, self, as_term(other))

    def __sub__(self, other: Term | float) -> Term:
        return _make(Op.SUB, self, as_term(other))

    def __mul__(self, other: Term | float) -> Term:
        return _make(Op.MUL, self, as_term(other))

    def __truediv__(self, other: Term | float) -> Term:
        return _make(Op.DIV, self, as_term(other))

    __radd__ = __add__
    __rmul__ = __mul__

    @property
    def is_constant(self) -> bool:
        """Whether no knob is left in it."""
        return self.op is Op.CONST

    def __repr__(self) -> str:
        match self.op:
            case Op.CONST:
                return f"{self.value:g}"
            case Op.KNOB:
                return f"k{int(self.value)}"
            case _:
                return f"({f' {self.op.value} '.join(map(repr, self.args))})"


_known: WeakValueDictionary[tuple[Op, tuple[int, ...], float], Term] = WeakValueDictionary()


def _interned(op: Op, args: tuple[Term, ...], value: float = 0.0) -> Term:
    key = (op, tuple(map(id, args)), value)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Term(op, args, value)
    return found


def constant(value: float) -> Term:
    """A number."""
    return _interned(Op.CONST, (), float(value))


def knob_term(column: int) -> Term:
    """The value of a knob, by its column in the array of knob vectors."""
    return _interned(Op.KNOB, (), float(column))


def as_term(value: Term | float) -> Term:
    """A term from a term or a number."""
    return value if isinstance(value, Term) else constant(value)


def ceildiv(a: Term | float, b: Term | float) -> Term:
    """`ceil(a / b)`."""
    return _make(Op.CEILDIV, as_term(a), as_term(b))


def floordiv(a: Term | float, b: Term | float) -> Term:
    """`floor(a / b)`."""
    return _make(Op.FLOORDIV, as_term(a), as_term(b))


def modulo(a: Term | float, b: Term | float) -> Term:
    """`a % b`."""
    return _make(Op.MOD, as_term(a), as_term(b))


def minimum(a: Term | float, b: Term | float) -> Term:
    """The smaller one."""
    return _make(Op.MIN, as_term(a), as_term(b))


def maximum(a: Term | float, b: Term | float) -> Term:
    """The larger one."""
    return _make(Op.MAX, as_term(a), as_term(b))


def at_most(a: Term | float, b: Term | float) -> Term:
    """The condition `a <= b`."""
    return _make(Op.LE, as_term(a), as_term(b))


def equals(a: Term | float, b: Term | float) -> Term:
    """The condition `a == b`."""
    return _make(Op.EQ, as_term(a), as_term(b))


def both(a: Term, b: Term) -> Term:
    """The condition that both hold."""
    return _make(Op.AND, a, b)


def either(a: Term, b: Term) -> Term:
    """The condition that one of them holds."""
    return _make(Op.OR, a, b)


def negated(a: Term) -> Term:
    """The condition that it does not hold."""
    return _make(Op.NOT, a)


def where(condition: Term, a: Term | float, b: Term | float) -> Term:
    """`a` where the condition holds, else `b`."""
    return _make(Op.WHERE, condition, as_term(a), as_term(b))


def log2(a: Term | float) -> Term:
    """`log2(max(a, 0) + 1)`: 0 at 0, and finite everywhere."""
    return _make(Op.LOG2, as_term(a))


def product(terms: Iterable[Term | float]) -> Term:
    """The product of all of them."""
    result = constant(1)
    for term in terms:
        result = result * as_term(term)
    return result


def total(terms: Iterable[Term | float]) -> Term:
    """The sum of all of them."""
    result = constant(0)
    for term in terms:
        result = result + as_term(term)
    return result


def _make(op: Op, *args: Term) -> Term:
    """A term, folded where its arguments are constants or neutral."""
    if all(arg.is_constant for arg in args):
        return constant(float(_COMPUTE[op](*(np.float64(arg.value) for arg in args))))
    one, zero = constant(1), constant(0)
    match op, args:
        case (Op.ADD, (a, b)) | (Op.SUB, (a, b)) if b is zero:
            return a
        case Op.ADD, (a, b) if a is zero:
            return b
        case (Op.MUL, (a, b)) | (Op.CEILDIV, (a, b)) | (Op.FLOORDIV, (a, b)) if b is one:
            return a
        case Op.MUL, (a, b) if a is one:
            return b
        case Op.MUL, (a, b) if a is zero or b is zero:
            return zero
        case ((Op.MIN | Op.MAX | Op.AND | Op.OR), (a, b)) if a is b:
            return a
        case _:
            return _interned(op, args)


_Compute = Callable[..., Any]

_COMPUTE: dict[Op, _Compute] = {
    Op.ADD: np.add,
    Op.SUB: np.subtract,
    Op.MUL: np.multiply,
    Op.DIV: np.divide,
    Op.FLOORDIV: lambda a, b: np.floor(np.divide(a, b)),
    Op.CEILDIV: lambda a, b: np.ceil(np.divide(a, b)),
    Op.MOD: np.mod,
    Op.MIN: np.minimum,
    Op.MAX: np.maximum,
    Op.LE: lambda a, b: np.less_equal(a, b).astype(np.float64),
    Op.EQ: lambda a, b: np.equal(a, b).astype(np.float64),
    Op.AND: np.minimum,
    Op.OR: np.maximum,
    Op.NOT: lambda a: 1.0 - a,
    Op.WHERE: lambda c, a, b: np.where(c != 0, a, b),
    Op.LOG2: lambda a: np.log2(np.maximum(a, 0.0) + 1.0),
}


class TermProgram:
    """Terms as a straight line of numpy calls."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = tuple(terms)
        order: dict[Term, int] = {}
        for term in self.terms:
            _visit(term, order)
        self._lines = [(term, tuple(order[arg] for arg in term.args)) for term in order]
        self._results = [order[term] for term in self.terms]

    def __len__(self) -> int:
        return len(self.terms)

    def run(self, knobs: NDArray[np.integer] | Column) -> NDArray[np.float32]:
        """Evaluate for each knob vector.

        Args:
            knobs: one row for each vector, one column for each knob.

        Returns:
            One row for each vector, one column for each term.
        """
        count = len(knobs)
        columns = np.ascontiguousarray(np.asarray(knobs, np.float64).T)
        values: list[Column | np.float64] = []
        with np.errstate(all="ignore"):
            for term, args in self._lines:
                match term.op:
                    case Op.CONST:
                        values.append(np.float64(term.value))
                    case Op.KNOB:
                        values.append(columns[int(term.value)])
                    case op:
                        values.append(_COMPUTE[op](*(values[arg] for arg in args)))
        result = np.empty((len(self._results), count), np.float32)
        for row, place in enumerate(self._results):
            result[row] = values[place]
        return np.ascontiguousarray(result.T)


def _visit(term: Term, order: dict[Term, int]) -> None:
    """Number a term after its arguments, without recursion: sums grow long."""
    stack = [(term, False)]
    while stack:
        top, ready = stack.pop()
        if top in order:
            continue
        if ready:
            order[top] = len(order)
        else:
            stack.append((top, True))
            stack.extend((arg, False) for arg in reversed(top.args))
