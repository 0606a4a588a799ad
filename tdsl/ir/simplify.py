"""Simplify expressions and statements with the rules of rules.py, to a fixed point.

Where an expression stands decides what may be assumed: indices, extents and conditions over loop
variables and sizes do not overflow; values are data, whose arithmetic wraps and rounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import cast

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir import build, interp_values as values
from tdsl.ir.affine import difference
from tdsl.ir.deep import deep_recursion
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Broadcast,
    Cast,
    Checked,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Ramp,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.growth import LARGEST, growth
from tdsl.ir.interval import Interval, constant_bounds
from tdsl.ir.rewriting import Rule
from tdsl.ir.rules import RULES
from tdsl.ir.stmt import Alloc, For, Guard, If, Leaf, Let, Prefetch, Program, Seq, Stmt, Store
from tdsl.ir.visit import children, free_vars, map_children, walk

BUDGET = 20_000  # rewrites in one call; far more than any fixed point met so far

Env = Mapping[Var, Interval]


@deep_recursion()
def simplify(e: Expr, env: Env | None = None, sizes: Collection[Var] = ()) -> Expr:
    """Simplify an index expression or a condition over indices.

    Args:
        e: an expression. Arithmetic of int64 that holds no loads is taken not to overflow.
        env: ranges of variables.
        sizes: variables known not to be negative.

    >>> from tdsl.ir.printer import print_expr
    >>> io, ii = Var("io"), Var("ii")
    >>> e = build.floordiv(build.add(build.mul(io, 8), ii), 8)
    >>> print_expr(simplify(e, {ii: Interval.of_extent(8)}))
    'io'
    """
    return _Simplifier(env or {}, frozenset(sizes)).expr(e)


@deep_recursion()
def simplify_value(e: Expr, env: Env | None = None, sizes: Collection[Var] = ()) -> Expr:
    """Simplify data: only what holds bit for bit, with wrap-around and rounding."""
    return _Simplifier(env or {}, frozenset(sizes)).value(e)


@deep_recursion()
def simplify_stmt(s: Stmt, env: Env | None = None, sizes: Collection[Var] = ()) -> Stmt:
    """Simplify every expression of a tree, and drop what never runs.

    Guards that always hold, branches never taken and loops without iterations go; blocks and the
    loops around them stay as they are.
    """
    return _Simplifier(env or {}, frozenset(sizes)).stmt(s)


def simplify_program(p: Program) -> Program:
    """`simplify_stmt` of the body."""
    body = simplify_stmt(p.body, {}, p.sizes)
    return p if body is p.body else Program(p.name, p.params, p.sizes, p.assume, body)


def _root(e: Expr) -> object:
    return e.op if isinstance(e, Binary | Unary) else type(e)


_BY_ROOT: dict[object, list[Rule]] = defaultdict(list)
for _rule in RULES:
    _BY_ROOT[_root(_rule.pattern.expr)].append(_rule)


class _Simplifier:
    def __init__(self, env: Env, sizes: frozenset[Var]) -> None:
        self.env = dict(env)
        self.sizes = sizes
        self.data: set[Var] = set()  # variables of `let`s that hold data
        self.budget = BUDGET
        self.memo: dict[tuple[int, bool], tuple[Expr, Expr]] = {}
        self.traits: dict[int, _Traits] = {}

    def expr(self, e: Expr) -> Expr:
        return self._visit(e, is_index=True)

    def value(self, e: Expr) -> Expr:
        return self._visit(e, is_index=False)

    def _visit(self, e: Expr, *, is_index: bool) -> Expr:
        known = self.memo.get((id(e), is_index))
        if known is not None:
            return known[1]
        done = self._rewritten(self._children(e, is_index=is_index), is_index=is_index)
        # the key's expression is kept, so that its id stays its own
        self.memo[id(e), is_index] = (e, done)
        self.memo[id(done), is_index] = (done, done)
        return done

    def _children(self, e: Expr, *, is_index: bool) -> Expr:
        match e:
            case Load(_, indices, mask):
                new = tuple(self.expr(i) for i in indices)
                new_mask = None if mask is None else self.expr(mask)
                same = new_mask is mask and all(a is b for a, b in zip(new, indices, strict=True))
                return e if same else replace(e, indices=new, mask=new_mask)
            case Checked(index, extent):
                return _rebuilt(e, (index, self.value(index)), (extent, self.expr(extent)))
            case _:
                return map_children(
                    e,
                    lambda n: self._visit(n, is_index=is_index) if isinstance(n, Expr) else n,
                )

    def _rewritten(self, e: Expr, *, is_index: bool) -> Expr:
        if isinstance(e, Var | Const | Load):
            return e
        traits = self._traits(e)
        if traits.lanes != 1:
            return e
        folded = _folded(e)
        if folded is not None:
            return folded
        indexing = is_index and traits.plain
        for rule in _BY_ROOT.get(_root(e), ()):
            if not rule.holds_for(traits.operands, is_index=indexing):
                continue
            new = rule.apply(e, traits.operands, self._range)
            if new is None or new == e or (traits.effects and _drops_effects(e, new)):
                continue
            self.budget -= 1
            return new if self.budget < 0 else self._visit(new, is_index=is_index)
        return e

    def _traits(self, e: Expr) -> _Traits:
        known = self.traits.get(id(e))
        if known is None:
            below = [self._traits(n) for n in children(e) if isinstance(n, Expr)]
            known = self.traits[id(e)] = _Traits(
                e,
                isinstance(e, Checked) or (_fits(e, self.data) and all(t.plain for t in below)),
                isinstance(e, Checked | Extern) or any(t.effects for t in below),
                *_types(e, below),
            )
        return known

    def _range(self, e: Expr) -> tuple[int | None, int | None]:
        """Bounds of an index expression; none where a variable is not known at all."""
        if isinstance(e, Binary) and e.op is BinaryOp.SUB:
            distance = difference(e.a, e.b)
            if distance is not None:
                return distance, distance
        if any(v not in self.env and v not in self.sizes for v in free_vars(e)):
            return None, None
        return constant_bounds(e, self.env)

    def stmt(self, s: Stmt) -> Stmt:
        match s:
            case For():
                return self._for(s)
            case Seq(body):
                return _sequence(s, [self.stmt(part) for part in body])
            case Leaf():
                return self._leaf(s)
            case Alloc(_, body, _, _):
                return _rebuilt_stmt(s, body, self.stmt(body))
            case If():
                return self._if(s)
            case Let():
                return self._let(s)
            case Store(_, indices, value, mask):
                new = tuple(self.expr(i) for i in indices)
                parts = (new, self.value(value), None if mask is None else self.expr(mask))
                if parts == (indices, value, mask):
                    return s
                return replace(s, indices=parts[0], value=parts[1], mask=parts[2])
            case Prefetch(_, indices):
                new = tuple(self.expr(i) for i in indices)
                return s if new == indices else replace(s, indices=new)
            case _:
                return s

    def _for(self, s: For) -> Stmt:
        extent = self.expr(s.extent)
        parts = tuple(replace(p, extent=self.expr(p.extent)) for p in s.parts)
        if build.is_const(extent, 0):
            return Seq(())
        inner = _Simplifier(self.env, self.sizes)
        inner.data = self.data
        inner.env[s.var] = Interval.of_extent(extent)
        for part in parts:
            inner.env[part.var] = Interval.of_extent(part.extent)
        body = inner.stmt(s.body)
        if (extent, parts, body) == (s.extent, s.parts, s.body):
            return s
        return replace(s, extent=extent, parts=parts, body=body)

    def _leaf(self, s: Leaf) -> Stmt:
        bindings = tuple(self.expr(b) for b in s.bindings)
        guards = []
        for guard in s.guards:
            cond = self.expr(guard.cond)
            if cond == build.FALSE:
                return Seq(())
            if cond != build.TRUE:
                guards.append(Guard(cond, guard.tail))
        if (bindings, tuple(guards)) == (s.bindings, s.guards):
            return s
        return replace(s, bindings=bindings, guards=tuple(guards))

    def _if(self, s: If) -> Stmt:
        cond = self.expr(s.cond)
        if cond == build.TRUE:
            return self.stmt(s.then)
        if cond == build.FALSE:
            return Seq(()) if s.otherwise is None else self.stmt(s.otherwise)
        then = self.stmt(s.then)
        otherwise = None if s.otherwise is None else self.stmt(s.otherwise)
        if (cond, then, otherwise) == (s.cond, s.then, s.otherwise):
            return s
        return If(cond, then, otherwise)

    def _let(self, s: Let) -> Stmt:
        value = self.value(s.value)
        if s.var.dtype is not dtypes.INDEX or not self._traits(value).plain:
            self.data.add(s.var)
        body = self.stmt(s.body)
        return s if value is s.value and body is s.body else Let(s.var, value, body)


@dataclass(frozen=True, slots=True)
class _Traits:
    """What rules ask about an expression, gathered bottom-up: asking nodes would walk them.

    `plain`: index arithmetic that fits its dtype; `effects`: has checks or foreign calls;
    `operands`: the dtype that literals of a rule take.
    """

    expr: Expr
    plain: bool
    effects: bool
    dtype: DType
    operands: DType
    lanes: int


def _types(e: Expr, below: list[_Traits]) -> tuple[DType, DType, int]:
    match e:
        case Binary(op):
            operands = below[0].dtype
            return (dtypes.bool_ if op.compares else operands), operands, below[0].lanes
        case Unary(op):
            asks = op in (UnaryOp.ISNAN, UnaryOp.ISINF)
            return (dtypes.bool_ if asks else below[0].dtype), below[0].dtype, below[0].lanes
        case Select():
            return below[1].dtype, below[1].dtype, below[1].lanes
        case _:
            return e.dtype, e.dtype, e.lanes


def _rebuilt(e: Checked, index: tuple[Expr, Expr], extent: tuple[Expr, Expr]) -> Expr:
    if index[0] is index[1] and extent[0] is extent[1]:
        return e
    return Checked(index[1], extent[1], e.access)


def _rebuilt_stmt(s: Alloc, old: Stmt, new: Stmt) -> Stmt:
    return s if new is old else replace(s, body=new)


def _sequence(s: Seq, parts: list[Stmt]) -> Stmt:
    """A sequence without the empty ones that simplifying left."""
    if all(new is old for new, old in zip(parts, s.body, strict=True)):
        return s
    kept = [part for part in parts if part != Seq(())]
    return kept[0] if len(kept) == 1 else Seq(tuple(kept))


def _folded(e: Expr) -> Expr | None:
    """The literal that an operation on literals is."""
    match e:
        case Binary(op, Const(x, dtype), Const(y)):
            binary = values.binary(op, dtype)
            return None if binary is None else build.const(binary(x, y), e.dtype)
        case Unary(op, Const(x, dtype)):
            unary = values.unary(op, dtype)
            return None if unary is None else build.const(unary(x), e.dtype)
        case Fma(Const(x, dtype), Const(y), Const(z)):
            return build.const(values.fma(dtype)(x, y, z), dtype)
        case Cast(Const(x, source), target):
            return build.const(values.cast(source, target)(x), target)
        case Cast(a, target) if a.dtype is target:
            return a
        case Cast(Cast(a, middle), target) if a.dtype is target and _holds(middle, target):
            return a
        case _:
            return None


def _holds(wide: dtypes.DType, narrow: dtypes.DType) -> bool:
    """Whether every value of *narrow* survives a trip through *wide*."""
    if wide.is_float or narrow.is_float or wide.is_bool:
        return False
    return wide.min <= narrow.min and narrow.max <= wide.max


_LARGE = 1 << 31


def _fits(e: Expr, data: Collection[Var]) -> bool:
    """Whether a node belongs to arithmetic on loop variables and sizes, which fits int64 by far.

    Checked indices do whatever is below them: they are in range.
    """
    match e:
        case Load() | Extern() | Cast() | Ramp() | Broadcast():
            return False
        case Var():
            return e not in data
        case Const(value=value):
            return abs(value) < _LARGE
        case Binary(BinaryOp.SHL, _, _) | Unary(UnaryOp.NOT, _):
            return e.dtype.is_bool
        case Binary(BinaryOp.MUL, _, _):
            return growth(e) <= LARGEST
        case _:
            return True


def _drops_effects(old: Expr, new: Expr) -> bool:
    """Whether a check or a foreign call of *old* would no longer run."""

    def effects(e: Expr) -> set[Expr]:
        return {cast("Expr", n) for n in walk(e) if isinstance(n, Checked | Extern)}

    found = effects(old)
    return bool(found) and not found <= effects(new)
