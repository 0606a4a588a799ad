"""Linear forms of index expressions: ``sum of coefficient * atom + constant``.

An atom is a variable, a floor division or modulo by a literal, or, where the expression is not
affine, the expression itself. Equal forms mean equal values, so differences cancel: the form of
``(i*4 + j)//4 - i`` is the one of ``j//4``. Products so large that they may wrap are not affine,
nor are divisions of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import gcd
from typing import Any

from tdsl.ir import build
from tdsl.ir.expr import Binary, BinaryOp, Cast, Const, Expr, Select, Unary, UnaryOp, Var
from tdsl.ir.growth import LARGEST, growth
from tdsl.ir.visit import free_vars

_DIVISIONS = (BinaryOp.FLOORDIV, BinaryOp.FLOORMOD)


class Affine:
    """An immutable sum of integer multiples of atoms, plus a constant.

    >>> i, j = Var("i"), Var("j")
    >>> linear(build.add(build.mul(i, 4), j)).coefficient(i)
    4
    """

    __slots__ = ("const", "terms")

    def __init__(self, terms: Mapping[Expr, int], const: int = 0) -> None:
        self.terms = {atom: c for atom, c in terms.items() if c}
        self.const = const

    @classmethod
    def of_terms(cls, terms: dict[Expr, int], const: int) -> Affine:
        """The form of terms that are not zero; it keeps them."""
        form = cls.__new__(cls)
        form.terms = terms
        form.const = const
        return form

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and self.const == other.const and self.terms == other.terms

    def __hash__(self) -> int:
        return hash((self.const, frozenset(self.terms.items())))

    def __repr__(self) -> str:
        terms = [f"{c}*{getattr(a, 'name', a)}" for a, c in self.terms.items()]
        return " + ".join([*terms, str(self.const)])

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine.of_terms(self.terms, self.const + other)
        const = self.const + other.const
        if not other.terms:
            return Affine.of_terms(self.terms, const)
        if not self.terms:
            return Affine.of_terms(other.terms, const)
        terms = dict(self.terms)
        cancelled = False
        for atom, c in other.terms.items():
            total = terms[atom] = terms.get(atom, 0) + c
            cancelled = cancelled or not total
        return Affine(terms, const) if cancelled else Affine.of_terms(terms, const)

    def __sub__(self, other: Affine | int) -> Affine:
        return self + (-other if isinstance(other, int) else other * -1)

    def __mul__(self, factor: int) -> Affine:
        if factor == 1:
            return self
        if not factor:
            return Affine.of_terms({}, 0)
        terms = {atom: c * factor for atom, c in self.terms.items()}
        return Affine.of_terms(terms, self.const * factor)

    @property
    def is_constant(self) -> bool:
        """Whether no atom is left."""
        return not self.terms

    def coefficient(self, atom: Expr) -> int:
        """The factor of an atom, 0 where it does not occur on its own."""
        return self.terms.get(atom, 0)

    def vars(self) -> set[Var]:
        """Variables mentioned, inside atoms too."""
        return {v for atom in self.terms for v in _mentioned(atom)}

    def split(self, inner: Callable[[Var], bool]) -> tuple[Affine, Affine]:
        """The part whose atoms mention a variable of which `inner` holds, and the rest."""
        chosen = {a: c for a, c in self.terms.items() if any(inner(v) for v in _mentioned(a))}
        rest = {a: c for a, c in self.terms.items() if a not in chosen}
        return Affine(chosen), Affine(rest, self.const)

    def expr(self) -> Expr:
        """The sum as an expression: positive terms first, the constant last."""
        total: Expr | None = None
        for atom, c in sorted(self.terms.items(), key=lambda item: item[1] < 0):
            term = build.mul(atom, abs(c))
            if total is None:
                total = term if c > 0 else build.mul(atom, c)
            else:
                total = build.add(total, term) if c > 0 else build.sub(total, term)
        if total is None:
            return build.index(self.const)
        if self.const < 0:
            return build.sub(total, -self.const)
        return build.add(total, self.const)


def _mentioned(e: Expr) -> Iterable[Var]:
    return (e,) if isinstance(e, Var) else free_vars(e)


def linear(e: Expr) -> Affine:
    """The linear form of an integer expression; what is not affine becomes an atom."""
    form = _FORMS.get(type(e))
    return _atom(e) if form is None else form(e)


def _linear_const(e: Const) -> Affine:
    return Affine.of_terms({}, int(e.value))


def _linear_binary(e: Binary) -> Affine:
    op, a, b = e.op, e.a, e.b
    if op is BinaryOp.ADD:
        return linear(a) + linear(b)
    if op is BinaryOp.MUL:
        return _product(e, linear(a), linear(b))
    if op is BinaryOp.SUB:
        return linear(a) - linear(b)
    if op is BinaryOp.FLOORDIV:
        return _division(e, linear(a), linear(b), divide)
    if op is BinaryOp.FLOORMOD:
        return _division(e, linear(a), linear(b), modulo)
    if op is BinaryOp.MIN or op is BinaryOp.MAX:
        return _extremum(e)
    return _atom(e)


def _linear_unary(e: Unary) -> Affine:
    return linear(e.a) * -1 if e.op is UnaryOp.NEG else _atom(e)


def _linear_select(e: Select) -> Affine:
    one, two = linear(e.a), linear(e.b)
    return one if one == two else _atom(Select(e.cond, one.expr(), two.expr()))


def _linear_cast(e: Cast) -> Affine:
    # a narrower integer wraps where its own type does
    return linear(e.a) if e.a.dtype is e.type else _atom(e)


def affine(e: Expr) -> Affine | None:
    """The linear form of *e*, or None where it is not quasi-affine.

    >>> i, n = Var("i"), Var("N")
    >>> affine(build.mul(i, n)) is None
    True
    """
    form = linear(e)
    return form if is_affine(form) else None


def is_affine(form: Affine) -> bool:
    """Whether all atoms are variables, or divisions of affine forms by literals."""
    return all(_is_affine_atom(atom) for atom in form.terms)


def equal(a: Expr, b: Expr) -> bool:
    """Whether two index expressions have one linear form (False: unknown)."""
    return a == b or linear(a) == linear(b)


def difference(a: Expr, b: Expr) -> int | None:
    """`a - b` where it is a constant, else None."""
    form = linear(a) - linear(b)
    return form.const if form.is_constant else None


def stride_of(e: Expr, var: Var) -> int | None:
    """By how much *e* grows per step of *var*, or None where that is no constant.

    >>> i, j = Var("i"), Var("j")
    >>> stride_of(build.add(build.mul(i, 8), j), i)
    8
    """
    form = linear(e)
    for atom in form.terms:
        if atom is not var and var in _mentioned(atom):
            return None
    return form.coefficient(var)


def tidy(e: Expr) -> Expr:
    """*e* rebuilt from its linear form."""
    return linear(e).expr()


def divide(a: Affine, d: int) -> Affine:
    """`a // d` for d > 0: multiples of d leave the division, nested divisions merge."""
    if d == 1:
        return a
    whole = Affine({t: c // d for t, c in a.terms.items() if c % d == 0}, a.const // d)
    rest = Affine({t: c for t, c in a.terms.items() if c % d}, a.const % d)
    if rest.is_constant:
        return whole
    common = gcd(d, *rest.terms.values())
    rest = Affine({t: c // common for t, c in rest.terms.items()}, rest.const // common)
    d //= common
    if d == 1:
        return whole + rest
    inner = _only_division(rest)
    if inner is not None:
        # (x//m + r)//d = (x + m*r)//(m*d)
        x, m = inner
        return whole + divide(linear(x) + m * rest.const, m * d)
    return whole + _atom(Binary(BinaryOp.FLOORDIV, rest.expr(), build.index(d)))


def modulo(a: Affine, d: int) -> Affine:
    """`a % d` for d > 0: multiples of d vanish, common factors leave."""
    if d == 1:
        return Affine({})
    rest = Affine({t: c % d for t, c in a.terms.items()}, a.const % d)
    if rest.is_constant:
        return rest
    common = gcd(d, *rest.terms.values())
    inner = Affine({t: c // common for t, c in rest.terms.items()}, rest.const // common)
    if d == common:
        return Affine({}, rest.const)
    low = rest.const % common
    if len(inner.terms) == 1 and inner.const == 0:
        ((atom, c),) = inner.terms.items()
        match atom:
            case Binary(BinaryOp.FLOORMOD, x, Const(value=m)) if (
                c == 1 and int(m) % (d // common) == 0
            ):
                return modulo(linear(x), d // common) * common + low
            case _:
                pass
    tail = Binary(BinaryOp.FLOORMOD, inner.expr(), build.index(d // common))
    return Affine({tail: common}, low)


def _atom(e: Expr) -> Affine:
    return Affine.of_terms({e: 1}, 0)


def _only_division(form: Affine) -> tuple[Expr, int] | None:
    if len(form.terms) != 1:
        return None
    ((atom, c),) = form.terms.items()
    match atom:
        case Binary(BinaryOp.FLOORDIV, x, Const(value=m)) if c == 1 and m > 0:
            return x, int(m)
        case _:
            return None


def _product(e: Expr, a: Affine, b: Affine) -> Affine:
    if b.is_constant:
        form = a * b.const
    elif a.is_constant:
        form = b * a.const
    else:
        return _atom(e)
    return _atom(e) if _wraps(form) else form


def _wraps(form: Affine) -> bool:
    """Whether the value may leave int64, so that a division of it is none of its terms."""
    return any(
        abs(c) > LARGEST or (not isinstance(atom, Var) and abs(c) * growth(atom) > LARGEST)
        for atom, c in form.terms.items()
    )


def _division(e: Expr, a: Affine, b: Affine, rule: Callable[[Affine, int], Affine]) -> Affine:
    if not b.is_constant:
        return _atom(e)
    if b.const == 0:
        return Affine({})  # x // 0 and x % 0 are 0
    if _wraps(a):
        return _atom(e)
    if b.const < 0:
        # x // -d = -x // d and x % -d = -(-x % d)
        positive = rule(a * -1, -b.const)
        return positive if rule is divide else positive * -1
    return rule(a, b.const)


def _extremum(e: Expr) -> Affine:
    assert isinstance(e, Binary)
    a, b = linear(e.a), linear(e.b)
    gap = a - b
    if gap.is_constant and not _wraps(a):
        first = gap.const <= 0 if e.op is BinaryOp.MIN else gap.const >= 0
        return a if first else b
    return _atom(Binary(e.op, a.expr(), b.expr()))


def _is_affine_atom(atom: Expr) -> bool:
    match atom:
        case Var():
            return True
        case Binary(op, a, Const()) if op in _DIVISIONS:
            return is_affine(linear(a))
        case _:
            return False


_FORMS: Mapping[type, Callable[[Any], Affine]] = {
    Const: _linear_const,
    Binary: _linear_binary,
    Unary: _linear_unary,
    Select: _linear_select,
    Cast: _linear_cast,
}
