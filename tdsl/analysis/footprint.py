"""Which elements the accesses of a scheduled program walk over, in numbers.

An index is summed up by its slopes: how far it moves when a loop takes one step. Quotients count
as if they were linear, and an index that depends on data as if each look-up could be anywhere. That
is what predictions need; proofs are made of integer sets instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd, prod

from tdsl.analysis.access import accesses
from tdsl.analysis.witness import value_at
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Cast, Checked, Const, Expr, Load, Select, Var
from tdsl.ir.stmt import IterKind, Layout, Leaf, LoopKind, Scope
from tdsl.ir.visit import children, walk

Slopes = Mapping[Var, float]
LINE = 64  # bytes
_ANYWHERE = 1_048_576  # the slope of an index that is looked up


@dataclass(frozen=True, slots=True)
class Level:
    """A loop around a leaf, and how often it turns each time it starts."""

    var: Var
    trips: int
    kind: LoopKind


@dataclass(frozen=True, slots=True)
class Home:
    """Where a buffer is: its scope, how many loops are around its allocation, and its layout."""

    scope: Scope
    depth: int
    layout: Layout | None = None


@dataclass(frozen=True, slots=True)
class Touch:
    """One access of a leaf.

    Attributes:
        own: it updates an accumulator: it is read as well as written.
        slopes: for each dimension in memory, of the loops that choose among one copy's elements.
        most: how many elements each dimension has at most.
    """

    buffer: Buffer
    scope: Scope
    is_write: bool
    own: bool
    slopes: tuple[Slopes, ...]
    most: tuple[int, ...]

    def moves_with(self, var: Var) -> bool:
        """Whether a step of a loop leads to another element."""
        return any(slopes.get(var) for slopes in self.slopes)

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return self.buffer.dtype.bytes

    def is_dense(self, level: Level) -> bool:
        """Whether neighbouring iterations of a loop touch neighbouring elements."""
        *outer, last = (abs(slopes.get(level.var, 0)) for slopes in self.slopes)
        return last == 1 and all(slope * (level.trips - 1) < 1 for slope in outer)

    def room(self, levels: tuple[Level, ...], sets: int = 1) -> int:
        """Bytes of cache that all iterations of some loops need to keep what they touch.

        Whole lines; and in a cache of so many sets, lines at a distance that is a multiple of many
        powers of two share few of them, so that they need a larger one.
        """
        reached = [_reached(slopes, levels) for slopes in self.slopes]
        extents = [
            max(1, min(most, near * looks))
            for (near, looks), most in zip(reached, self.most, strict=True)
        ]
        size = self.buffer.dtype.bytes
        row = len(extents) - 1
        while row and extents[row] == self.most[row]:
            row -= 1  # whole rows follow one another
        lines = -(-prod(extents[row:]) * size // LINE)
        near, looks = reached[-1]
        if looks > 1 and row == len(extents) - 1:  # each of them has lines of its own
            lines = min(looks * -(-near * size // LINE), -(-self.most[row] * size // LINE))
        rows = prod(extents[:row])
        used = sets
        if rows > 1:
            moving = max(n for n, extent in enumerate(extents[:row]) if extent > 1)
            apart = prod(self.most[moving + 1 :]) * size // LINE
            used = min(sets, lines * sets // gcd(sets, apart)) if apart else sets
        return rows * lines * LINE * (sets // max(1, used))


def touches(
    leaf: Leaf, levels: tuple[Level, ...], homes: Mapping[Buffer, Home], env: Mapping[Var, int]
) -> tuple[Touch, ...]:
    """The accesses of a leaf; `env` has a number for each size and loop."""
    bound = {
        it.var: _slopes(binding, {level.var: {level.var: 1.0} for level in levels})
        for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True)
    }
    found = []
    for access in accesses(leaf.block):
        buffer = access.buffer
        home = homes.get(buffer, Home(Scope.GLOBAL, 0))
        inside = {level.var for level in levels[home.depth :]}
        chosen: list[Slopes] = [
            {var: slope for var, slope in _slopes(index, bound).items() if var in inside}
            for index in access.indices
        ]
        most = [value_at(extent, env) or 1 for extent in buffer.shape]
        if home.layout is not None:
            inputs = home.layout.inputs
            given = dict(zip(inputs, chosen, strict=True))
            extents = dict(zip(inputs, most, strict=True))
            chosen = [_slopes(output, given) for output in home.layout.outputs]
            most = [_most(output, extents) for output in home.layout.outputs]
        found.append(
            Touch(buffer, home.scope, access.is_write, access.own, tuple(chosen) or ({},),
                  tuple(most) or (1,))
        )  # fmt: skip
    return tuple(found)


def _reached(slopes: Slopes, levels: tuple[Level, ...]) -> tuple[int, int]:
    """How many elements of a dimension follow one that is looked up, and how many are looked up."""
    moving = [(abs(slopes.get(level.var, 0)), level.trips) for level in levels]
    near = 1 + int(sum(slope * (trips - 1) for slope, trips in moving if slope < _ANYWHERE))
    return near, prod(trips for slope, trips in moving if slope >= _ANYWHERE)


def _most(e: Expr, extents: Mapping[Var, int]) -> int:
    """How many values an index of a layout takes at most; `extents` are those of its inputs."""
    match e:
        case Var():
            return extents.get(e, _ANYWHERE)
        case Binary(op=BinaryOp.FLOORDIV, a=a, b=Const(value=divisor)) if divisor:
            return -(-_most(a, extents) // int(divisor))
        case Binary(op=BinaryOp.FLOORMOD, b=Const(value=divisor)):
            return int(divisor)
        case _:
            return _ANYWHERE


def useful_part(leaf: Leaf, levels: tuple[Level, ...], env: Mapping[Var, int]) -> float:
    """How much of the turns of its loops run a leaf: skewed loops and tails have others."""
    own = {level.var: {level.var: 1.0} for level in levels}
    trips = {level.var: level.trips for level in levels}
    part = 1.0
    for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
        if any(isinstance(n, Binary) and n.op is BinaryOp.FLOORMOD for n in walk(binding)):
            continue  # a part of a fused loop stays in its range
        slopes = _slopes(binding, own)
        # a skew takes away what it has added
        span = 1 + sum(slope * (trips[var] - 1) for var, slope in slopes.items() if slope > 0)
        part *= min(1.0, (value_at(it.extent, env) or 1) / span)
    return part


def carrying(leaf: Leaf, levels: tuple[Level, ...]) -> frozenset[Var]:
    """Loops whose iterations wait for one another: those of reductions and of scans."""
    own = {level.var: {level.var: 1.0} for level in levels}
    return frozenset(
        var
        for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True)
        if it.kind is not IterKind.DATA
        for var in _slopes(binding, own)
    )


def _slopes(e: Expr, known: Mapping[Var, Slopes]) -> Slopes:
    match e:
        case Var():
            return known.get(e, {})
        case Const():
            return {}
        case Binary(op=BinaryOp.ADD, a=a, b=b):
            return _sum(_slopes(a, known), _slopes(b, known), 1)
        case Binary(op=BinaryOp.SUB, a=a, b=b):
            return _sum(_slopes(a, known), _slopes(b, known), -1)
        case Binary(op=BinaryOp.MUL, a=a, b=Const(value=factor)):
            return _scaled(_slopes(a, known), float(factor))
        case Binary(op=BinaryOp.MUL, a=Const(value=factor), b=b):
            return _scaled(_slopes(b, known), float(factor))
        case Binary(op=BinaryOp.FLOORDIV, a=a, b=Const(value=divisor)) if divisor:
            return _scaled(_slopes(a, known), 1 / float(divisor))
        case Cast(a=a) | Checked(index=a):
            return _slopes(a, known)
        case Load():
            mentioned = {n for n in walk(e) if isinstance(n, Var)}
            return dict.fromkeys((v for m in mentioned for v in known.get(m, {})), _ANYWHERE)
        case Select(cond=_, a=a, b=b):
            return _widest(_slopes(a, known), _slopes(b, known))
        case _:
            found: Slopes = {}
            for child in children(e):
                if isinstance(child, Expr):
                    found = _widest(found, _slopes(child, known))
            return found


def _sum(a: Slopes, b: Slopes, sign: int) -> Slopes:
    total = {var: a.get(var, 0) + sign * b.get(var, 0) for var in {**a, **b}}
    return {var: slope for var, slope in total.items() if slope}


def _scaled(a: Slopes, factor: float) -> Slopes:
    far = _ANYWHERE  # where an index may be anywhere, so may a part of it
    return {v: far if abs(slope) >= far else slope * factor for v, slope in a.items()}


def _widest(a: Slopes, b: Slopes) -> Slopes:
    return {var: max(a.get(var, 0), b.get(var, 0), key=abs) for var in {**a, **b}}
