"""Index vectors whose lanes lie at known distances: ``16*i + ramp // 2`` -> 16*i + (0, 0, 1, ..).

Such a vector is loaded whole and shuffled, where a gather would fetch every lane by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from tdsl.ir.build import add, index, mul, sub
from tdsl.ir.expr import Binary, BinaryOp, Broadcast, Cast, Const, Expr, Ramp


@dataclass(frozen=True, slots=True)
class Pattern:
    """Lane `l` holds `base + offsets[l]`."""

    base: Expr
    offsets: tuple[int, ...]

    @property
    def is_known(self) -> bool:
        """Whether every lane is a literal."""
        return isinstance(self.base, Const) and self.base.value == 0


def pattern(e: Expr) -> Pattern | None:
    """The lanes of an index vector as one base and literal distances, None where they are not."""
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
