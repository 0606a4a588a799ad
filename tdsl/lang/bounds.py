"""Refuse indices that leave their buffer.

At the declaration if they always do, at td.func if they do for some sizes that `assume=` does not
exclude. Conditions of `td.select` and `where=` are context: the arm not taken is never
read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tdsl.errors import DeclarationError
from tdsl.ir.affine import difference, tidy
from tdsl.ir.build import ge, index as index_const, logical_and, lt
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Buffer,
    Checked,
    Const,
    Expr,
    Load,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.expr_text import ExprText
from tdsl.ir.interval import Interval, bounds
from tdsl.ir.stmt import Block
from tdsl.ir.visit import children, walk
from tdsl.lang.value import SizeVar

_TEXT = ExprText(lambda v: v.name, lambda b: b.name)


def format_expr(e: Expr) -> str:
    """An index expression with the user's names."""
    return _TEXT.index(e)


def shown_shape(shape: Sequence[Expr]) -> str:
    """A shape as messages show it."""
    inside = ", ".join(map(format_expr, shape))
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


@dataclass(frozen=True, slots=True)
class Access:
    """One index of one access, under the conditions that guard it."""

    buffer: Buffer
    dim: int
    index: Expr
    extent: Expr
    conditions: tuple[Expr, ...]


def accesses(block: Block) -> Iterator[Access]:
    """Every index of the block that must lie in its buffer."""
    base = (block.where,) if block.where is not None else ()
    if block.where is not None:
        yield from _in_expr(block.where, ())
    for write in block.writes:
        yield from _indices(write.buffer, write.indices, base)
        for index in write.indices:
            yield from _in_expr(index, base)
        yield from _in_expr(write.value, base)


def _indices(
    buffer: Buffer, indices: Sequence[Expr], conditions: tuple[Expr, ...]
) -> Iterator[Access]:
    for dim, (index, extent) in enumerate(zip(indices, buffer.shape, strict=True)):
        if not any(isinstance(n, (Load, Checked)) for n in walk(index)):
            yield Access(buffer, dim, index, extent, conditions)


def _in_expr(e: Expr, conditions: tuple[Expr, ...]) -> Iterator[Access]:
    if isinstance(e, Select):
        yield from _in_expr(e.cond, conditions)
        yield from _in_expr(e.a, (*conditions, e.cond))
        yield from _in_expr(e.b, (*conditions, Unary(UnaryOp.NOT, e.cond)))
        return
    if isinstance(e, Load):
        yield from _indices(e.buffer, e.indices, conditions)
    for child in children(e):
        if isinstance(child, Expr):
            yield from _in_expr(child, conditions)


def _plainly_inside(access: Access, env: Mapping[Var, Interval]) -> bool:
    """The common cases, decided by intervals and without loading isl."""
    lo, hi = bounds(access.index, env)
    if lo is None or hi is None:
        return False
    low = difference(lo, index_const(0))
    high = difference(access.extent, hi)
    return low is not None and low >= 0 and high is not None and high >= 1


def _sizes(block: Block, facts: Sequence[Expr]) -> list[Var]:
    found: dict[Var, None] = {}
    roots: list[Expr] = [it.extent for it in block.iters] + list(facts)
    for access in accesses(block):
        roots += [access.index, access.extent]
    for root in roots:
        for n in walk(root):
            if isinstance(n, SizeVar):
                found[n] = None
    return list(found)


def check_declaration(block: Block) -> None:
    """Refuse an index that leaves its buffer whatever the sizes are.

    Raises:
        DeclarationError: with index, range and extent.
    """
    _check(block, (), always=True)


def check_function(block: Block, assume: Sequence[Expr]) -> None:
    """Refuse an index that leaves its buffer for some sizes that `assume` admits.

    Raises:
        DeclarationError: with index, range, extent and the `assume=` that would help.
    """
    _check(block, assume, always=False)


def _check(block: Block, assume: Sequence[Expr], *, always: bool) -> None:
    env = {it.var: Interval.of_extent(it.extent) for it in block.iters}
    plain: dict[tuple[Expr, Expr], bool] = {}
    for access in accesses(block):
        place = access.index, access.extent
        if place not in plain:
            plain[place] = _plainly_inside(access, env)
        if not plain[place]:
            _check_access(block, access, assume, always=always)


def _check_access(block: Block, access: Access, assume: Sequence[Expr], *, always: bool) -> None:
    from tdsl.ir import polyhedra

    sizes = _sizes(block, assume)
    ranges = {it.var: it.extent for it in block.iters}
    domain = polyhedra.Domain(ranges, access.conditions, sizes=sizes, assume=assume)
    inside = logical_and(ge(access.index, 0), lt(access.index, access.extent))
    try:
        found = domain.counterexample(inside)
        if found is None or (always and not domain.always_fails(inside)):
            return
    except polyhedra.Unknown:
        if always:
            return
        found = {}
    named = {v.name: v for v in (*block.vars, *sizes)}
    values = {named[name]: value for name, value in found.items() if name in named}
    hint = "shrink the shape or the axis, or guard the load with td.select or td.pad"
    symbolic = any(isinstance(n, SizeVar) for e in (access.index, access.extent) for n in walk(e))
    if symbolic and not always:
        stated = "..."
        for facts in _proposals(block, access):
            context = polyhedra.Domain(
                ranges, access.conditions, sizes=sizes, assume=(*assume, *facts)
            )
            if context.proves(inside):
                stated = ", ".join(repr(format_expr(fact)) for fact in facts)
                break
        hint = (
            f"state which sizes make it fit, as in td.func(..., assume=[{stated}]), or guard the "
            "load with td.select"
        )
    raise DeclarationError(_message(block, access, values), span=block.span, hint=hint)


def _proposals(block: Block, access: Access) -> list[tuple[Expr, ...]]:
    """Facts about sizes that may keep an index inside, plain ones first."""
    plain = [ge(n, 1) for n in walk(access.extent) if isinstance(n, SizeVar)]
    env = {it.var: Interval.of_extent(it.extent) for it in block.iters}
    lo, hi = bounds(access.index, env)
    if hi is not None:
        plain.append(lt(tidy(hi), access.extent))
    if lo is not None:
        plain.append(ge(tidy(lo), 0))
    return [*((fact,) for fact in plain), tuple(plain[-2:])]


def _message(block: Block, access: Access, values: dict[Var, int]) -> str:
    index, extent = format_expr(access.index), format_expr(access.extent)
    shown = ", ".join(format_expr(e) for e in access.buffer.shape)
    env = {it.var: Interval.of_extent(it.extent) for it in block.iters}
    lo, hi = bounds(access.index, env)
    text = (
        f"{block.name}: index {index} of {access.buffer.name}[{shown}] (dimension {access.dim}) "
        f"leaves 0 <= index < {extent}"
    )
    if lo is not None and hi is not None:
        text += f"; its range is {format_expr(tidy(lo))} .. {format_expr(tidy(hi))}"
    if not values:
        return f"{text}; whether it stays inside could not be decided"
    at = ", ".join(f"{v.name}={n}" for v, n in values.items())
    reached, limit = evaluate(access.index, values), evaluate(access.extent, values)
    return f"{text}; at {at} the index is {reached} and the extent {limit}"


def evaluate(e: Expr, values: dict[Var, int]) -> int | str:
    """An index expression at integer values of its variables ('?' where it is not affine)."""
    match e:
        case Const(value=v):
            return int(v)
        case Var():
            return values.get(e, "?")
        case Binary(op=op, a=a, b=b):
            x, y = evaluate(a, values), evaluate(b, values)
            if isinstance(x, str) or isinstance(y, str):
                return "?"
            return _apply(op, x, y)
        case Select(cond=c, a=a, b=b):
            test = evaluate(c, values)
            return "?" if isinstance(test, str) else evaluate(a if test else b, values)
        case _:
            return "?"


def _apply(op: BinaryOp, x: int, y: int) -> int | str:
    match op:
        case BinaryOp.ADD:
            return x + y
        case BinaryOp.SUB:
            return x - y
        case BinaryOp.MUL:
            return x * y
        case BinaryOp.FLOORDIV:
            return x // y if y else 0
        case BinaryOp.FLOORMOD:
            return x % y if y else 0
        case BinaryOp.MIN:
            return min(x, y)
        case BinaryOp.MAX:
            return max(x, y)
        case BinaryOp.LT:
            return int(x < y)
        case BinaryOp.LE:
            return int(x <= y)
        case BinaryOp.GT:
            return int(x > y)
        case BinaryOp.GE:
            return int(x >= y)
        case BinaryOp.EQ:
            return int(x == y)
        case BinaryOp.NE:
            return int(x != y)
        case _:
            return "?"
