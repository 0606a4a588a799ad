"""Tiles of a group become arrays of its work-items: ``acc[ly*4 + i, lx]`` -> ``acc[i, 0]``.

A register or stack allocation outside the local loops holds a tile for the whole group. Where every
element is touched by one work-item only, each keeps its own part: the terms that name the
work-item leave the index, and the storage shrinks to what is left. What is written outside the
local loops is the same for all: each work-item then has a copy of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd, prod
from typing import Any

import numpy as np

from tdsl.errors import LoweringError
from tdsl.ir.affine import Affine, linear
from tdsl.ir.build import index, sub
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Const, Expr, Load, Var
from tdsl.ir.interval import Interval, constant_bounds, interval
from tdsl.ir.stmt import Alloc, For, Let, Stmt, Store
from tdsl.ir.visit import children, free_vars, loads, statements, substitute, walk
from tdsl.lower.move_accesses import Indices, Place, moved
from tdsl.lower.team import Axis, Step, Team

MOST_ELEMENTS = 1 << 20  # of one tile, all work-items together

Numbers = np.ndarray[Any, np.dtype[np.int64]]


def own_tiles(s: Stmt, team: Team, homes: Mapping[Buffer, frozenset[Var]]) -> Stmt:
    """Give each work-item its part of the private tiles of a group.

    `homes`: the private buffers, each with the axes along which it has a copy for each work-item.

    Raises:
        LoweringError: work-items exchange values through a private tile.
    """
    places = {}
    for alloc in _tiles(s):
        free = [a for a in team.axes if a.var not in homes[alloc.buffer]]
        found = _Tile(alloc, list(_uses(alloc, alloc.buffer))).place(free)
        if found is not None:
            places[alloc.buffer] = found
    return moved(s, places)


def _tiles(s: Stmt) -> Iterator[Alloc]:
    """Allocations that several steps use."""
    if isinstance(s, Step):
        return
    if isinstance(s, Alloc):
        yield s
    for child in children(s):
        if isinstance(child, Stmt):
            yield from _tiles(child)


@dataclass(frozen=True, slots=True)
class _Use:
    """An access from a step: its indices, the axes of its step, and the loops around it."""

    indices: Indices
    writes: bool
    spread: tuple[Var, ...]
    env: Mapping[Var, Interval]


def _uses(
    s: Stmt,
    buffer: Buffer,
    spread: tuple[Var, ...] = (),
    env: Mapping[Var, Interval] | None = None,
    lets: Mapping[Var, Expr] | None = None,
) -> Iterator[_Use]:
    env, lets = env or {}, lets or {}
    for child in children(s):
        if isinstance(child, Expr):
            for n in walk(child):
                if isinstance(n, Load) and n.buffer is buffer:
                    yield _Use(_expanded(n.indices, lets), False, spread, env)
    match s:
        case Step():
            spread = s.spread
        case For(extent=Const(value=count)) if count <= 0:
            return  # what never runs needs no place
        case For(var=var, extent=extent):
            env = {**env, var: Interval(index(0), interval(sub(extent, 1), env).hi)}
        case Let(var=var, value=value) if value.dtype.is_integer and not loads(value):
            lets = {**lets, var: substitute(value, lets)}
        case Store() if s.buffer is buffer:
            yield _Use(_expanded(s.indices, lets), True, spread, env)
        case _:
            pass
    for child in children(s):
        if isinstance(child, Stmt):
            yield from _uses(child, buffer, spread, env, lets)


def _expanded(indices: Indices, lets: Mapping[Var, Expr]) -> Indices:
    return tuple(substitute(i, lets) for i in indices)


@dataclass(frozen=True, slots=True)
class _Dimension:
    """One dimension: what names the work-item in an index, and what is left of it.

    Elements of one work-item are `low + step * n` for n in range(count), beside `owner`.
    """

    owner: Affine
    low: int
    step: int
    count: int

    def index(self, rest: Affine) -> Expr:
        """What is left of an index, counted from 0 without gaps."""
        terms = {atom: c // self.step for atom, c in rest.terms.items()}
        return Affine(terms, (rest.const - self.low) // self.step).expr()


@dataclass(frozen=True, slots=True)
class _Tile:
    alloc: Alloc
    uses: Sequence[_Use]

    def place(self, free: Sequence[Axis]) -> Place | None:
        """Where the tile's elements go, None where they stay.

        `free`: the axes along which the allocation stands outside of the local loops.
        """
        owned = [axis for axis in free if self._is_owned(axis)]
        if not owned:
            return None
        inner = frozenset(axis.var for axis in owned)
        rank = len(self.alloc.buffer.shape)
        dims = [self._dimension(d, inner) for d in range(rank)]
        self._check_apart(dims, owned)
        shape = tuple(index(dim.count) for dim in dims)
        buffer = replace(self.alloc.buffer, shape=shape)
        lets = {
            n.var: n.value
            for n in statements(self.alloc)
            if isinstance(n, Let) and n.value.dtype.is_integer and not loads(n.value)
        }

        def indices(old: Indices) -> Indices:
            rests = [_split(linear(_settled(i, lets)), inner)[1] for i in old]
            return tuple(dim.index(rest) for dim, rest in zip(dims, rests, strict=True))

        return Place(buffer, indices)

    def _is_owned(self, axis: Axis) -> bool:
        """Whether work-items along an axis write parts of their own, not each the whole."""
        spread = {axis.var in use.spread for use in self.uses if use.writes}
        if len(spread) > 1:
            raise self._shared("is written inside and outside of the local loops")
        if spread == {True} and any(axis.var not in use.spread for use in self.uses):
            raise self._shared("is read outside of the local loops that write it")
        return spread == {True}

    def _dimension(self, d: int, inner: frozenset[Var]) -> _Dimension:
        parts = [_split(linear(use.indices[d]), inner) for use in self.uses]
        owner = parts[0][0]
        if any(one != owner for one, _ in parts):
            raise self._shared("is indexed in different ways by its work-items")
        if any(v not in inner for v in owner.vars()):
            raise self._shared("has an index that mixes work-items and other loops")
        ranges = [
            constant_bounds(rest.expr(), use.env)
            for (_, rest), use in zip(parts, self.uses, strict=True)
        ]
        lows = [lo for lo, _ in ranges if lo is not None]
        highs = [hi for _, hi in ranges if hi is not None]
        if len(lows) < len(ranges) or len(highs) < len(ranges):
            extent = self.alloc.buffer.shape[d]
            if owner.terms or not isinstance(extent, Const):
                raise self._shared("has no constant size for each work-item")
            return _Dimension(owner, 0, 1, int(extent.value))
        low, high = min(lows), max(highs)
        rests = [rest for _, rest in parts]
        step = gcd(*(c for rest in rests for c in rest.terms.values()),
                   *(rest.const - low for rest in rests)) or 1  # fmt: skip
        return _Dimension(owner, low, step, (high - low) // step + 1)

    def _check_apart(self, dims: Sequence[_Dimension], owned: Sequence[Axis]) -> None:
        """Check that no two work-items share an element."""
        grid = np.meshgrid(*(np.arange(a.size) for a in owned), indexing="ij")
        env = {axis.var: found.ravel() for axis, found in zip(owned, grid, strict=True)}
        named = [dim for dim in dims if dim.owner.terms]
        people = prod(axis.size for axis in owned)
        total = people * prod(dim.count for dim in named)
        if total > MOST_ELEMENTS:
            raise self._shared(f"has {total} elements, too many to tell its work-items apart")
        places: Numbers = np.zeros((people, 1), np.int64)
        for dim in named:
            own = _values(dim.owner, env, people)[:, None] + np.arange(dim.count) * dim.step
            span = int(own.max() - own.min()) + 1
            places = (places[:, :, None] * span + (own - own.min())[:, None, :]).reshape(people, -1)
        if len(np.unique(places)) != total:
            raise self._shared("has elements that several work-items touch")

    def _shared(self, problem: str) -> LoweringError:
        name, scope = self.alloc.buffer.name, self.alloc.scope.value
        return LoweringError(
            f"{name} has scope {scope!r} outside of the local loops, and {problem}: work-items "
            "do not see each other's registers",
            hint=f"s.set_scope({name!r}, 'shared'), or index it the same way in all local loops",
        )


def _settled(e: Expr, lets: Mapping[Var, Expr]) -> Expr:
    """An index without named values; lets may mention earlier ones."""
    while free_vars(e) & lets.keys():
        e = substitute(e, lets)
    return e


def _split(form: Affine, inner: frozenset[Var]) -> tuple[Affine, Affine]:
    return form.split(lambda v: v in inner)


def _values(form: Affine, env: Mapping[Var, Numbers], count: int) -> Numbers:
    total: Numbers = np.full(count, form.const, np.int64)
    for atom, c in form.terms.items():
        total = total + c * _value(atom, env)
    return total


def _value(e: Expr, env: Mapping[Var, Numbers]) -> Numbers | int:
    match e:
        case Var():
            return env[e]
        case Const(value=value):
            return int(value)
        case Binary(op, a, b) if op in _OPS:
            result: Numbers = _OPS[op](_value(a, env), _value(b, env))
            return result
        case _:
            raise LoweringError("the index of a private tile is no affine function of work-items")


_OPS = {
    BinaryOp.ADD: np.add,
    BinaryOp.SUB: np.subtract,
    BinaryOp.MUL: np.multiply,
    BinaryOp.FLOORDIV: np.floor_divide,
    BinaryOp.FLOORMOD: np.remainder,
    BinaryOp.MIN: np.minimum,
    BinaryOp.MAX: np.maximum,
}
