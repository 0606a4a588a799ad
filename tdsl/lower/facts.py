"""What is known at a point of a program, and proofs from it: `prove(facts, i*4 + 3 < N)`.

A fact is a linear form that is not negative. Loops, conditions and assumptions give facts; a goal
is proven by eliminating its variables, innermost first, with facts that bound them. The search is
small and deterministic; what it cannot show counts as unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import gcd

from tdsl import dtypes
from tdsl.ir.affine import Affine, linear
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Checked,
    Const,
    Expr,
    Extern,
    Load,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.growth import LARGEST, growth
from tdsl.ir.stmt import For, Let, Part, Program
from tdsl.ir.visit import free_vars, walk

# Steps of one proof. Goals about tiles and halos take fewer than twenty.
FUEL = 160


@dataclass(frozen=True, slots=True)
class Facts:
    """Variables from the outermost to the innermost, and forms that are not negative."""

    vars: tuple[Var, ...] = ()
    forms: tuple[Affine, ...] = ()
    outer: Facts | None = None  # says as much of what does not mention `vars` beyond its own
    ranks: dict[Expr, float] = field(default_factory=dict, compare=False, repr=False)
    answers: dict[Affine, bool] = field(default_factory=dict, compare=False, repr=False)

    def inside(self, loop: For) -> Facts:
        """What is known in the body of a loop."""
        ranges = (Part(loop.var, loop.extent), *loop.parts)
        forms = [form for part in ranges for form in (linear(part.var), *_upper(part))]
        # a loop of constant extent says nothing of the variables around it
        outer = self if all(isinstance(part.extent, Const) for part in ranges) else None
        return Facts((*self.vars, *(part.var for part in ranges)), (*self.forms, *forms), outer)

    def under(self, let: Let) -> Facts:
        """What is known where a variable is bound: how a bound of loops lies to its parts."""
        me = linear(let.var)
        match let.value:
            case Binary(op=BinaryOp.MIN, a=a, b=b) if is_index(let.value):
                forms = linear(a) - me, linear(b) - me
            case Binary(op=BinaryOp.MAX, a=a, b=b) if is_index(let.value):
                forms = me - linear(a), me - linear(b)
            case _:
                return self
        return Facts((*self.vars, let.var), (*self.forms, *forms))

    def given(self, *conds: Expr) -> Facts:
        """What is known where the conditions hold."""
        forms = [form for cond in conds for form in implied(cond)]
        return Facts(self.vars, (*self.forms, *forms), ranks=self.ranks) if forms else self

    def rank(self, e: Expr) -> float:
        """How far inside the variables of an atom are bound; composite atoms come after Vars."""
        found = self.ranks.get(e)
        if found is None:
            if isinstance(e, Var):
                found = _position(self.vars, e)
            else:
                ranks = [_position(self.vars, var) for var in free_vars(e)]
                found = max(ranks, default=-1) + 0.5
            self.ranks[e] = found
        return found


def _position(order: tuple[Var, ...], var: Var) -> int:
    for position in range(len(order) - 1, -1, -1):
        if order[position] is var:
            return position
    return -1


def program_facts(program: Program) -> Facts:
    """What holds in the whole program: sizes are not negative, and what was assumed."""
    facts = Facts(program.sizes, tuple(linear(size) for size in program.sizes))
    return facts.given(*program.assume)


def _upper(part: Part) -> list[Affine]:
    """`var <= extent - 1`, and what an extent above zero says of a division in it."""
    last = linear(part.extent) - 1
    forms = [last - linear(part.var)]
    match last.terms and list(last.terms.items()):
        case [(Binary(op=BinaryOp.FLOORDIV, a=a, b=Const(value=c)), 1)] if int(c) > 0:
            # a // c >= 1 - const  <=>  a >= c * (1 - const)
            forms.append(linear(a) + int(c) * last.const)
        case _:
            pass
    return forms


def is_index(e: Expr) -> bool:
    """Whether *e* is index arithmetic, which never wraps; that of data and of hashes may."""
    if e.dtype is not dtypes.INDEX or e.lanes > 1:
        return False
    if isinstance(e, Var | Const):
        return True
    if growth(e) > LARGEST:
        return False
    found = list(walk(e))
    data = [n for n in found if isinstance(n, Load | Extern)]
    if not data:
        return True
    checked = {id(m) for n in found if isinstance(n, Checked) for m in walk(n)}
    return all(id(n) in checked for n in data)


def implied(cond: Expr) -> Iterator[Affine]:
    """Forms that are not negative where the condition holds."""
    match cond:
        case Binary(op=BinaryOp.AND, a=a, b=b) if a.dtype.is_bool:
            yield from implied(a)
            yield from implied(b)
        case Binary(op=op, a=a, b=b) if op.compares and is_index(a) and is_index(b):
            yield from _comparison(op, linear(a) - linear(b))
        case Unary(op=UnaryOp.NOT, a=Binary(op=op, a=a, b=b)) if op in NEGATED:
            yield from implied(Binary(NEGATED[op], a, b))
        case _:
            return


NEGATED = {
    BinaryOp.LT: BinaryOp.GE,
    BinaryOp.LE: BinaryOp.GT,
    BinaryOp.GT: BinaryOp.LE,
    BinaryOp.GE: BinaryOp.LT,
    BinaryOp.EQ: BinaryOp.NE,
    BinaryOp.NE: BinaryOp.EQ,
}


def _comparison(op: BinaryOp, difference: Affine) -> Iterator[Affine]:
    match op:
        case BinaryOp.LT:
            yield difference * -1 - 1
        case BinaryOp.LE:
            yield difference * -1
        case BinaryOp.GT:
            yield difference - 1
        case BinaryOp.GE:
            yield difference
        case BinaryOp.EQ:
            yield difference
            yield difference * -1
        case _:
            return


def decide(facts: Facts, cond: Expr) -> bool | None:
    """True or False where the condition is known to hold or to fail, else None."""
    if holds(facts, cond):
        return True
    return False if fails(facts, cond) else None


def holds(facts: Facts, cond: Expr) -> bool:
    """Whether the condition is known to be true."""
    match cond:
        case Const(value=value):
            return bool(value)
        case Binary(op=BinaryOp.AND, a=a, b=b) if a.dtype.is_bool:
            return holds(facts, a) and holds(facts, b)
        case Binary(op=BinaryOp.OR, a=a, b=b) if a.dtype.is_bool:
            return holds(facts, a) or holds(facts, b)
        case Unary(op=UnaryOp.NOT, a=a) if a.dtype.is_bool:
            return fails(facts, a)
        case Binary(op=BinaryOp.NE, a=a, b=b) if is_index(a) and is_index(b):
            difference = linear(a) - linear(b)
            above = not_negative(facts, difference - 1)
            return above or not_negative(facts, difference * -1 - 1)
        case Binary(op=op, a=a, b=b) if op.compares and is_index(a) and is_index(b):
            goals = list(_comparison(op, linear(a) - linear(b)))
            return all(not_negative(facts, goal) for goal in goals)
        case _:
            return False


def fails(facts: Facts, cond: Expr) -> bool:
    """Whether the condition is known to be false."""
    match cond:
        case Const(value=value):
            return not value
        case Binary(op=BinaryOp.AND, a=a, b=b) if a.dtype.is_bool:
            return fails(facts, a) or fails(facts, b)
        case Binary(op=BinaryOp.OR, a=a, b=b) if a.dtype.is_bool:
            return fails(facts, a) and fails(facts, b)
        case Unary(op=UnaryOp.NOT, a=a) if a.dtype.is_bool:
            return holds(facts, a)
        case Binary(op=op, a=a, b=b) if op in NEGATED and is_index(a) and is_index(b):
            return holds(facts, Binary(NEGATED[op], a, b))
        case _:
            return False


def in_range(facts: Facts, index: Expr, extent: Expr) -> bool:
    """Whether `0 <= index < extent` is known."""
    form = linear(index)
    if not not_negative(facts, form):
        return False
    return not_negative(facts, linear(extent) - form - 1)


def not_negative(facts: Facts, goal: Affine) -> bool:
    """Whether the form is known to be at least zero."""
    if goal.is_constant:
        return goal.const >= 0
    mentioned = goal.vars()
    while facts.outer is not None and mentioned.isdisjoint(facts.vars[len(facts.outer.vars) :]):
        facts = facts.outer
    answer = facts.answers.get(goal)
    if answer is None:
        answer = facts.answers[goal] = _prove(facts, goal, [FUEL])
    return answer


def _prove(facts: Facts, goal: Affine, fuel: list[int]) -> bool:
    if not goal.terms:
        return goal.const >= 0
    if fuel[0] <= 0:
        return False
    fuel[0] -= 1
    target = max(goal.terms, key=facts.rank)
    cases = _cases(target, goal.terms[target])
    if cases:
        return all(_prove(facts, _replace(goal, target, case), fuel) for case in cases)
    exact = _undivided(goal, target)
    if exact is not None:
        return _prove(facts, exact, fuel)
    rank = facts.rank(target)
    for fact in (*_about(target), *reversed(facts.forms)):
        if any(facts.rank(e) > rank for e in fact.terms):
            continue
        smaller = _eliminate(goal, target, fact)
        if smaller is not None and _prove(facts, smaller, fuel):
            return True
    return False


def _undivided(goal: Affine, target: Expr) -> Affine | None:
    """A goal without its division where that says the same: a//c >= r <=> a >= c*r."""
    k = goal.coefficient(target)
    match target:
        case Binary(op=BinaryOp.FLOORDIV, a=a, b=Const(value=value)) if value > 0:
            c = int(value)
        case _:
            return None
    rest = goal - Affine({target: k})
    if rest.is_constant:
        rest = Affine({}, rest.const // abs(k))
    elif abs(k) > 1:
        return None
    return linear(a) + rest * c if k > 0 else rest * c + (c - 1) - linear(a)


def _eliminate(goal: Affine, target: Expr, fact: Affine) -> Affine | None:
    """`goal` scaled, minus a positive multiple of a fact, so that *target* cancels."""
    have, given = goal.coefficient(target), fact.coefficient(target)
    if have * given <= 0:
        return None
    common = gcd(have, given)
    return goal * (abs(given) // common) - fact * (abs(have) // common)


def _cases(e: Expr, coefficient: int) -> tuple[Affine, ...]:
    """What an atom may be equal to, where the goal must hold for each."""
    match e:
        case Binary(op=BinaryOp.MIN, a=a, b=b) if coefficient > 0:
            return linear(a), linear(b)
        case Binary(op=BinaryOp.MAX, a=a, b=b) if coefficient < 0:
            return linear(a), linear(b)
        case Select(a=a, b=b):
            return linear(a), linear(b)
        case _:
            return ()


def _replace(goal: Affine, target: Expr, value: Affine) -> Affine:
    return goal + (value - Affine({target: 1})) * goal.coefficient(target)


def _about(e: Expr) -> Iterable[Affine]:
    """Facts that hold of an atom by what it is."""
    me = Affine({e: 1})
    match e:
        case Binary(op=BinaryOp.FLOORDIV, a=a, b=Const(value=c)) if int(c) > 0:
            rest = linear(a) - me * int(c)
            return rest, rest * -1 + (int(c) - 1)
        case Binary(op=BinaryOp.FLOORMOD, b=Const(value=c)) if int(c) > 0:
            return me, me * -1 + (int(c) - 1)
        case Binary(op=BinaryOp.MIN, a=a, b=b):
            return linear(a) - me, linear(b) - me
        case Binary(op=BinaryOp.MAX, a=a, b=b):
            return me - linear(a), me - linear(b)
        case Checked(extent=extent):
            return me, linear(extent) - me - 1
        case _:
            return ()
