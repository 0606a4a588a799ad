"""Index vectors whose lanes lie at known distances: ``16*i + ramp // 2`` -> 16*i + (0, 0, 1, ..).

Such a vector is loaded whole and shuffled, where a gather would fetch every lane by itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tdsl import dtypes
from tdsl.ir.build import add, const, index, mul, sub
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Broadcast,
    Cast,
    Checked,
    Const,
    Expr,
    Extern,
    Load,
    Ramp,
    Var,
)
from tdsl.ir.interp_exprs import ExprCompiler
from tdsl.ir.interp_memory import Memory
from tdsl.ir.visit import walk


@dataclass(frozen=True, slots=True)
class Pattern:
    """Lane `l` holds `base + offsets[l]`."""

    base: Expr
    offsets: tuple[int, ...]

    @property
    def is_known(self) -> bool:
        """Whether every lane is a literal."""
        return isinstance(self.base, Const) and self.base.value == 0


_TESTS: Mapping[BinaryOp, Callable[[int, int], bool]] = {
    BinaryOp.LT: operator.lt, BinaryOp.LE: operator.le, BinaryOp.GT: operator.gt,
    BinaryOp.GE: operator.ge, BinaryOp.EQ: operator.eq, BinaryOp.NE: operator.ne,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LaneMask:
    """A lane runs where all of `given`, which are scalars, hold, and its literal is set."""

    given: tuple[Expr, ...]
    lanes: tuple[bool, ...]


def lane_mask(e: Expr) -> LaneMask | None:
    """A mask whose lanes literals tell apart: ``ramp(0, 1, 4) >= 1`` -> F, T, T, T."""
    match e:
        case Broadcast(a=a, count=lanes) if not isinstance(a, Const):
            return LaneMask((a,), (True,) * lanes)
        case Binary(op=BinaryOp.AND, a=a, b=b):
            left, right = lane_mask(a), lane_mask(b)
            if left is None or right is None:
                return None
            both = zip(left.lanes, right.lanes, strict=True)
            return LaneMask((*left.given, *right.given), tuple(x and y for x, y in both))
        case Binary(op=op, a=a, b=b) if op in _TESTS and a.dtype.is_integer:
            one, two = pattern(a), pattern(b)
            if one is None or two is None or not (one.is_known and two.is_known):
                return None
            return LaneMask((), tuple(map(_TESTS[op], one.offsets, two.offsets)))
        case _:
            return None


def literal_lanes(mask: Expr) -> tuple[bool, ...] | None:
    """The lanes of a mask made of literals alone."""
    if any(isinstance(n, Var | Load | Extern | Checked) for n in walk(mask)):
        return None
    lanes = ExprCompiler(Memory(detect=False), {}, {}).vector(mask, mask.lanes)
    return tuple(bool(lane) for lane in lanes([]))


def pattern(e: Expr) -> Pattern | None:
    """The lanes of an index vector as one base and literal distances, None where they are not."""
    found = _pattern(e)
    if found is None or not found.is_known:
        return found if e.dtype is dtypes.INDEX else None
    if not e.dtype.is_integer:
        return None
    return Pattern(found.base, tuple(int(const(n, e.dtype).value) for n in found.offsets))


def _pattern(e: Expr) -> Pattern | None:
    """The same of lanes that do not wrap."""
    match e:
        case Broadcast(a=Const(value=value), count=lanes):
            return Pattern(index(0), (int(value),) * lanes)
        case Broadcast(a=a, count=lanes):
            return Pattern(a, (0,) * lanes)
        case Ramp(base=base, stride=Const(value=stride), count=lanes):
            steps = tuple(int(stride) * lane for lane in range(lanes))
            if isinstance(base, Const):
                return Pattern(index(0), tuple(int(base.value) + step for step in steps))
            return Pattern(base, steps)
        case Cast(a=a):
            inner = pattern(a)
            return inner if inner is not None and inner.is_known else None
        case Binary(op=op, a=a, b=b):
            left, right = pattern(a), pattern(b)
            return None if left is None or right is None else _binary(op, left, right)
        case _:
            return None


def as_ramp(e: Expr) -> Expr:
    """An index vector whose lanes turn out to be evenly spaced, as a ramp; others as they are.

    Fused loops give such: ``(ramp(0, 1, 8) // 4) * 4 + ramp(0, 1, 8) % 4``.
    """
    if isinstance(e, Ramp | Broadcast) or e.lanes == 1:
        return e
    found = pattern(e)
    if found is None:
        return e
    first, second = found.offsets[:2]
    step = second - first
    if step == 0 or found.offsets != tuple(range(first, first + step * e.lanes, step)):
        return e
    return Ramp(add(found.base, first), index(step), e.lanes)


def _binary(op: BinaryOp, a: Pattern, b: Pattern) -> Pattern | None:
    pairs = tuple(zip(a.offsets, b.offsets, strict=True))
    match op:
        case BinaryOp.ADD:
            return Pattern(add(a.base, b.base), tuple(x + y for x, y in pairs))
        case BinaryOp.SUB:
            return Pattern(sub(a.base, b.base), tuple(x - y for x, y in pairs))
        case BinaryOp.MUL if b.is_known and len(set(b.offsets)) == 1:
            times = b.offsets[0]
            return Pattern(mul(a.base, times), tuple(x * times for x in a.offsets))
        case BinaryOp.FLOORDIV if a.is_known and b.is_known and 0 not in b.offsets:
            return Pattern(index(0), tuple(x // y for x, y in pairs))
        case BinaryOp.FLOORMOD if a.is_known and b.is_known and 0 not in b.offsets:
            return Pattern(index(0), tuple(x % y for x, y in pairs))
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Windows:
    """Runs of memory that hold some elements: where each starts, and how many it has."""

    starts: tuple[int, ...]
    width: int

    def pick(self, offset: int) -> int:
        """Where the element at an offset is in the runs, one after another."""
        part = max(k for k, start in enumerate(self.starts) if start <= offset)
        return part * self.width + offset - self.starts[part]


def windows(offsets: Sequence[int], width: int) -> Windows:
    """As few runs as hold all offsets, and nothing in front of the first or behind the last one.

    One run may be wider than that: what it reads beyond is for its reader to mask.
    """
    wanted = sorted(set(offsets))
    last = max(wanted[0], wanted[-1] - width + 1)
    starts: list[int] = []
    for offset in wanted:
        if not starts or offset >= starts[-1] + width:
            starts.append(min(offset, last))
    return Windows(tuple(starts), width)
