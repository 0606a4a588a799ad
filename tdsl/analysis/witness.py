"""Witnesses: a point of a violating set, turned into iterations and an element to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import add, eq, floordiv, ge, gt, le, lt, mod, mul, ne, sub

from tdsl.analysis.access import Access
from tdsl.analysis.model import Site
from tdsl.errors import Witness
from tdsl.ir.expr import Binary, BinaryOp, Cast, Checked, Const, Expr, Select, Unary, UnaryOp, Var
from tdsl.ir.frames import IslMap, IslSet, Sizes, Unknown, isl, smallest
from tdsl.ir.stmt import Block

_OPERATIONS: dict[BinaryOp, Callable[[int, int], int]] = {
    BinaryOp.ADD: add,
    BinaryOp.SUB: sub,
    BinaryOp.MUL: mul,
    BinaryOp.FLOORDIV: lambda a, b: floordiv(a, b) if b else 0,
    BinaryOp.FLOORMOD: lambda a, b: mod(a, b) if b else 0,
    BinaryOp.MIN: min,
    BinaryOp.MAX: max,
    BinaryOp.LT: lt,
    BinaryOp.LE: le,
    BinaryOp.GT: gt,
    BinaryOp.GE: ge,
    BinaryOp.EQ: eq,
    BinaryOp.NE: ne,
    BinaryOp.AND: lambda a, b: a & b,
    BinaryOp.OR: lambda a, b: a | b,
    BinaryOp.XOR: lambda a, b: a ^ b,
}


def value_at(e: Expr, env: Mapping[Var, int]) -> int | None:
    """The value of an index expression or condition at a point, None where it depends on data."""
    match e:
        case Const(value=value):
            return int(value)
        case Var():
            return env.get(e)
        case Binary(op, a, b) if op in _OPERATIONS:
            x, y = value_at(a, env), value_at(b, env)
            return None if x is None or y is None else int(_OPERATIONS[op](x, y))
        case Unary(UnaryOp.NEG, a):
            x = value_at(a, env)
            return None if x is None else -x
        case Unary(UnaryOp.NOT, a):
            x = value_at(a, env)
            return None if x is None else int(not x)
        case Unary(UnaryOp.ABS, a):
            x = value_at(a, env)
            return None if x is None else abs(x)
        case Select(cond, a, b):
            x = value_at(cond, env)
            return None if x is None else value_at(a if x else b, env)
        case Cast(a, dtype) if dtype.is_integer:
            return value_at(a, env)
        case Checked(index, extent):
            x, n = value_at(index, env), value_at(extent, env)
            return None if x is None or n is None else max(0, min(x, n - 1))
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Moment:
    """Loop values by name, and the values of all variables of the block at that time."""

    loops: dict[str, int]
    env: dict[Var, int]


def conflict(
    kind: str,
    bad: IslMap,
    sites: tuple[Site, Site],
    pairs: Sequence[tuple[Access, Access]],
    sizes: Sizes,
) -> Witness | None:
    """Two iterations out of a set of offending pairs of times, and the element they share.

    None where no concrete point could be found, or it does not stand up to evaluation.
    """
    found = two_moments(bad, sites, sizes)
    if found is None:
        return None
    first, second, named = found
    for x, y in pairs:
        element = _shared(x, y, first.env, second.env)
        if element is not None:
            return Witness(
                kind, x.buffer.name, element, first.loops, second.loops,
                sites[0].block.name, sites[1].block.name, named,
            )  # fmt: skip
    return None


def two_moments(
    bad: IslMap, sites: tuple[Site, Site], sizes: Sizes
) -> tuple[Moment, Moment, dict[str, int]] | None:
    """A pair of times out of a set of them, and the sizes; None where none stands up."""
    point = _point(bad.wrap().flatten(), sizes)
    if point is None:
        return None
    env, times = point
    split = bad.dim(isl().dim_type.in_)
    first = _moment(sites[0], times[:split], env)
    second = _moment(sites[1], times[split:], env)
    if first is None or second is None:
        return None
    return first, second, {v.name: n for v, n in env.items()}


def element_at(access: Access, env: Mapping[Var, int]) -> tuple[int, ...]:
    """The element of an access at a point (0 where an index depends on data)."""
    return tuple(value_at(e, env) or 0 for e in access.indices)


def moment(kind: str, bad: IslSet, site: Site, access: Access, sizes: Sizes) -> Witness | None:
    """One iteration out of a set of times of a leaf, and the element it accesses there."""
    point = _point(bad, sizes)
    if point is None:
        return None
    env, times = point
    at = _moment(site, times, env)
    if at is None:
        return None
    named = {v.name: n for v, n in env.items()}
    where = element_at(access, at.env)
    return Witness(kind, access.buffer.name, where, at.loops, {}, site.block.name, "", named)


def unwritten(
    missing: IslMap,
    reader: Site,
    writer: Block,
    pairs: Sequence[tuple[Access, Access]],
    sizes: Sizes,
) -> Witness | None:
    """A time of a reader and the element it reads, out of pairs of times and writer instances."""
    point = _point(missing.wrap().flatten(), sizes)
    if point is None:
        return None
    env, values = point
    split = missing.dim(isl().dim_type.in_)
    at = _moment(reader, values[:split], env)
    if at is None:
        return None
    written = env | dict(zip(writer.vars, values[split:], strict=False))
    named = {v.name: n for v, n in env.items()}
    for write, read in pairs:
        element = _shared(write, read, written, at.env)
        if element is not None:
            return Witness(
                "coverage", read.buffer.name, element, at.loops, {}, reader.block.name, "", named
            )
    return None


def never_run(bad: IslSet, block: Block, access: Access, sizes: Sizes) -> Witness | None:
    """An instance of a block out of a set, by its iteration variables, and its element."""
    point = _point(bad, sizes)
    if point is None:
        return None
    env, values = point
    at = env | dict(zip(block.vars, values, strict=False))
    first = {v.name: at[v] for v in block.vars}
    named = {v.name: n for v, n in env.items()}
    element = element_at(access, at)
    return Witness("coverage", access.buffer.name, element, first, {}, block.name, "", named)


def _point(bad: IslSet, sizes: Sizes) -> tuple[dict[Var, int], tuple[int, ...]] | None:
    """The sizes and the coordinates of a point of a set; None where none is found."""
    try:
        point = smallest(bad)
    except Unknown:
        return None
    return None if point is None else (sizes.values(point[0]), point[1])


def _moment(site: Site, times: Sequence[int], sizes: Mapping[Var, int]) -> Moment | None:
    """What holds at a time; None where the leaf does not run there after all."""
    env = dict(sizes)
    for level, value in zip(site.levels, times, strict=False):
        extent = value_at(level.extent, env)
        if extent is None or not 0 <= value < extent:
            return None
        env[level.var] = value
    if any(value_at(guard.cond, env) == 0 for guard in site.leaf.guards):
        return None
    loops = {level.var.name: env[level.var] for level in site.levels}
    bound = [value_at(binding, env) for binding in site.leaf.bindings]
    at = dict(sizes)
    for v, instance in zip(site.block.vars, bound, strict=True):
        if instance is None:
            return None
        at[v] = instance
    if site.block.where is not None and value_at(site.block.where, at) == 0:
        return None
    return Moment(loops, at)


def _shared(
    x: Access, y: Access, first: Mapping[Var, int], second: Mapping[Var, int]
) -> tuple[int, ...] | None:
    """The element that both accesses may touch; what depends on data is taken to agree."""
    left = [value_at(e, first) for e in x.indices]
    right = [value_at(e, second) for e in y.indices]
    if any(a is not None and b is not None and a != b for a, b in zip(left, right, strict=True)):
        return None
    for access, env in ((x, first), (y, second)):
        if any(value_at(c, env) == 0 for c in access.conditions):
            return None
    return tuple(
        next((v for v in (a, b) if v is not None), 0) for a, b in zip(left, right, strict=True)
    )
