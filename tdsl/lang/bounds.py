"""Refuse indices that leave their buffer: at the declaration if they always do, at td.func if
they do for some sizes that `assume=` does not exclude.

Conditions of `td.select` and `where=` are context: the arm that is not taken is never read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tdsl.errors import DeclarationError
from tdsl.ir.build import as_index, ge, lt, sub
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
from tdsl.ir.stmt import Block
from tdsl.ir.visit import children, walk
from tdsl.lang.value import SizeVar


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


def _trivially_inside(access: Access, block: Block) -> bool:
    """The common case, decided without integer sets: an iteration variable over the very extent."""
    if isinstance(access.index, Var):
        for it in block.iters:
            if it.var is access.index:
                return it.extent == access.extent
    if isinstance(access.index, Const) and isinstance(access.extent, Const):
        return 0 <= int(access.index.value) < int(access.extent.value)
    return False


def _domain(block: Block) -> list[Expr]:
    facts: list[Expr] = []
    for it in block.iters:
        facts += [ge(it.var, 0), lt(it.var, it.extent)]
    return facts


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
    for access in accesses(block):
        if _trivially_inside(access, block):
            continue
        _check_access(block, access, assume, always=always)


def _check_access(block: Block, access: Access, assume: Sequence[Expr], *, always: bool) -> None:
    from tdsl.ir import polyhedra  # noqa: PLC0415 - loads islpy, only for indices that need it

    variables = [it.var for it in block.iters]
    sizes = _sizes(block, assume)
    domain = [*_domain(block), *assume]
    inside = Binary(BinaryOp.AND, ge(access.index, 0), lt(access.index, access.extent))
    outside = Unary(UnaryOp.NOT, inside)
    found = polyhedra.leaves_bounds(variables, sizes, domain, access.conditions, outside)
    if found is None or (always and not found.always):
        return
    raise DeclarationError(
        _message(block, access, found.values, sizes),
        span=block.span,
        hint=_hint(access, found.values, always=always),
    )


def _message(
    block: Block, access: Access, values: dict[Var, int] | None, sizes: Sequence[Var]
) -> str:
    from tdsl.ir.printer import print_expr  # noqa: PLC0415 - only for the message

    index, extent = print_expr(access.index), print_expr(access.extent)
    shown = ", ".join(print_expr(e) for e in access.buffer.shape)
    text = (
        f"{block.name}: index {index} of {access.buffer.name}[{shown}] (dimension {access.dim}) "
        f"leaves 0 <= index < {extent}"
    )
    if values is None:
        return f"{text}: its range could not be determined"
    at = ", ".join(f"{v.name}={values[v]}" for v in [*block.vars, *sizes] if v in values)
    reached = evaluate(access.index, values)
    limit = evaluate(access.extent, values)
    return f"{text}: at {at} the index is {reached} and the extent {limit}"


def _hint(access: Access, values: dict[Var, int] | None, *, always: bool) -> str:
    from tdsl.ir.printer import print_expr  # noqa: PLC0415 - only for the message

    if always or values is None or not any(isinstance(n, SizeVar) for n in walk(access.extent)):
        return "shrink the shape or the axis, or guard the load with td.select or td.pad"
    shown = print_expr(access.extent)
    last = print_expr(sub(access.extent, as_index(0)))
    return (
        f"state what makes it fit, such as td.func(..., assume=['{last} >= ...']) about {shown}, "
        "or guard the load with td.select"
    )


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
