"""What pad_einsum is made of: padded copies of operands, and what may stand in their margins.

A margin along a data axis may hold anything, as nothing of it is copied out. Along a reduction
axis it must make every term one that changes no accumulator, to the bit: for sums of floats that is
-0.0, since adding +0.0 would turn a sum of -0.0, left by a product that underflows as it is added,
into +0.0. A sum that starts at +0.0 and whose terms are never below zero is never -0.0.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import cast

from tdsl.errors import ScheduleError
from tdsl.ir.affine import tidy
from tdsl.ir.build import add, ceildiv, const, is_const, logical_and, lt, minimum, mul
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Buffer,
    Cast,
    Const,
    Expr,
    Fma,
    Load,
    Node,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.interval import Interval, interval
from tdsl.ir.simplify import simplify, simplify_value
from tdsl.ir.stmt import Block, IterKind, IterVar, Reducer, Write
from tdsl.ir.visit import free_vars, loads, map_children
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.facts import divides

MOST_OPERANDS = 4


@dataclass(frozen=True, slots=True)
class Axes:
    """The iteration variables of a contraction: their extents, and those of the padded ones."""

    extents: Mapping[Var, Expr]
    padded: Mapping[Var, Expr]
    reduced: tuple[Var, ...]

    def extent(self, var: Var) -> Expr:
        """The extent after padding."""
        return self.padded.get(var, self.extents[var])


def padded_axes(edit: Edit, block: Block, multiples: int | tuple[int, ...]) -> Axes:
    """Which axes grow, and up to what."""
    names = ", ".join(it.var.name for it in block.iters)
    count = len(block.iters)
    wanted = (multiples,) * count if isinstance(multiples, int) else multiples
    if len(wanted) != count:
        raise edit.error(
            f"{len(wanted)} multiples for the {count} axes of {block.name!r}: {names}",
            "give one for each, in that order; 1 leaves an axis as it is",
        )
    padded = {
        it.var: tidy(mul(ceildiv(it.extent, by), by))
        for it, by in zip(block.iters, wanted, strict=True)
        if not divides(by, it.extent, edit.program.assume)
    }
    if not padded:
        raise edit.error(
            f"the extents of {block.name!r} ({names}) are multiples already",
            "leave the step out: a split by these factors has no tail",
        )
    reduced = tuple(it.var for it in block.iters if it.kind is IterKind.REDUCE)
    return Axes({it.var: it.extent for it in block.iters}, padded, reduced)


@dataclass(frozen=True, slots=True)
class Operand:
    """A read of a contraction that leaves its tensor when axes grow.

    `edges` holds, for each dimension, the extent of what is read of it today; `shape` that of
    the padded copy.
    """

    load: Load
    edges: tuple[Expr, ...]
    shape: tuple[Expr, ...]


def operands(edit: Edit, block: Block, axes: Axes) -> list[Operand]:
    """The reads that need a padded copy.

    Raises:
        ScheduleError: a read leaves its tensor in a way that a copy cannot make up for.
    """
    reads = dict.fromkeys(load for source in block.sources for load in loads(source))
    grown = set(axes.padded)
    return [_operand(edit, load, axes) for load in reads if free_vars(load) & grown]


def _operand(edit: Edit, load: Load, axes: Axes) -> Operand:
    env = {var: Interval.of_extent(axes.extent(var)) for var in axes.extents}
    edges: list[Expr] = []
    shape: list[Expr] = []
    for at, extent in zip(load.indices, load.buffer.shape, strict=True):
        mentioned = free_vars(at) & set(axes.padded)
        if not mentioned:
            edges.append(extent)
            shape.append(extent)
        elif isinstance(at, Var):
            # a read under a condition may leave its tensor where the condition is false
            edges.append(simplify(minimum(axes.extents[at], extent)))
            shape.append(axes.padded[at])
        else:
            span = interval(at, env)
            if loads(at) or span.hi is None or not is_const(span.lo or extent, 0):
                raise _unfit(edit, load, mentioned)
            edges.append(extent)
            shape.append(tidy(add(span.hi, 1)))
    return Operand(load, tuple(edges), tuple(shape))


def _unfit(edit: Edit, load: Load, mentioned: set[Var]) -> ScheduleError:
    names = ", ".join(sorted(repr(var.name) for var in mentioned))
    return edit.error(
        f"{load.buffer.name!r} is read at an index of {names} that starts elsewhere than at 0, or "
        "comes from data, so no margin at its end makes up for more iterations",
        "leave that axis as it is: 1 in its place",
    )


def margins(edit: Edit, block: Block, axes: Axes, found: Sequence[Operand]) -> tuple[Const, ...]:
    """What stands in the margin of each operand, so that added terms change no accumulator.

    Raises:
        ScheduleError: nothing that is tried does that.
    """
    reducer = block.reducer
    assert reducer is not None
    if len(found) > MOST_OPERANDS:
        raise edit.error(
            f"{block.name!r} has {len(found)} operands to pad, {MOST_OPERANDS} at most"
        )
    ways = [_fillings(operand.load, reducer) for operand in found]
    for way in itertools.product(*ways):
        if all(_neutral(block, reducer, axis, found, way) for axis in _grown(axes)):
            return way
    culprit = next(
        axis
        for axis in _grown(axes)
        if not any(_neutral(block, reducer, axis, found, way) for way in itertools.product(*ways))
    )
    names = ", ".join(sorted({repr(o.load.buffer.name) for o in found}))
    raise edit.error(
        f"no margin of {names} makes the terms beyond the end of {culprit.name!r} leave the "
        f"{reducer.name} as it is",
        f"leave {culprit.name!r} as it is (1 in its place), or multiply by what does not depend on "
        f"{culprit.name!r} after the reduction: 0 times an infinity is NaN",
    )


def _grown(axes: Axes) -> list[Var]:
    return [var for var in axes.reduced if var in axes.padded]


def _fillings(load: Load, reducer: Reducer) -> list[Const]:
    """Values that a margin may hold, the likeliest first."""
    dtype = load.dtype
    numbers: list[float] = [0, 1]
    if dtype.is_float:
        numbers = [-0.0, 0.0, 1.0]
    ends = [dtype.min, dtype.max] if reducer.name in ("max", "min") else []
    return [const(number, dtype) for number in (*ends, *numbers)]


def _neutral(
    block: Block, reducer: Reducer, axis: Var, found: Sequence[Operand], way: Sequence[Const]
) -> bool:
    """Whether every term beyond the end of *axis* is the reducer's neutral element."""
    filled: dict[Node, Expr] = {
        operand.load: value
        for operand, value in zip(found, way, strict=True)
        if any(index is axis for index in operand.load.indices)
    }

    def visit(n: Node) -> Node:
        return filled.get(n) or map_children(n, visit)

    return all(
        simplify_value(cast("Expr", visit(source))) in _neutral_elements(block, reducer, place)
        for place, source in enumerate(block.sources)
    )


def _neutral_elements(block: Block, reducer: Reducer, place: int) -> tuple[Expr, ...]:
    """What leaves every accumulator as it is: -0.0 where floats are added, by any reducer."""
    identity = reducer.identity[place]
    operands = {reducer.left[place], reducer.right[place]}
    match reducer.combine[place]:
        case Binary(op=BinaryOp.ADD, a=a, b=b) if identity.dtype.is_float and {a, b} == operands:
            zero, negative = const(0.0, identity.dtype), const(-0.0, identity.dtype)
            starts = block.init is not None and block.init.writes[place].value == zero
            never_negative = starts and _is_never_below_zero(block.sources[place])
            return (negative, zero) if never_negative else (negative,)
        case _:
            return (identity,)


def _is_never_below_zero(e: Expr) -> bool:
    """Whether a float is a zero of either sign, more than that, or a NaN, whatever is loaded.

    A sum of such terms that starts at +0.0 stays above -0.0, also where it is rounded together with
    a product: +0.0 + -0.0 is +0.0, and all else that is added is positive before it is rounded.
    """
    match e:
        case Const(value=value):
            return value >= 0
        case Cast(a=a) if not a.dtype.is_float:
            return a.dtype.min == 0
        case Unary(op=UnaryOp.ABS):
            return True
        case Binary(op=BinaryOp.MUL, a=a, b=b) if a == b:
            return True
        case Fma(a=a, b=b, c=c):
            return _is_never_below_zero(Binary(BinaryOp.MUL, a, b)) and _is_never_below_zero(c)
        case Binary(op=BinaryOp.MAX, a=a, b=b):
            return _is_never_below_zero(a) or _is_never_below_zero(b)
        case Binary(op=BinaryOp.ADD | BinaryOp.MUL | BinaryOp.MIN, a=a, b=b) | Select(a=a, b=b):
            return _is_never_below_zero(a) and _is_never_below_zero(b)
        case Unary(op=UnaryOp.SQRT, a=a) | Cast(a=a):
            return _is_never_below_zero(a)
        case _:
            return False


def padded_copy(
    edit: Edit, name: str, operand: Operand, cache: Buffer, filling: Const, names: Sequence[str]
) -> Block:
    """The block `cache[i, ...] = operand[i, ...]` where that is read today, else the filling."""
    iters = tuple(
        IterVar(Var(label), extent) for label, extent in zip(names, operand.shape, strict=True)
    )
    at = tuple(it.var for it in iters)
    inside = [
        lt(var, edge)
        for var, edge, extent in zip(at, operand.edges, operand.shape, strict=True)
        if edge != extent
    ]
    value: Expr = Load(operand.load.buffer, at)
    if inside:
        value = Select(reduce(logical_and, inside), value, filling)
    return Block(name, iters, (Write(cache, at, value),), span=edit.core.span())
