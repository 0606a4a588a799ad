"""What each loop costs: operations, bytes asked for, and bytes of distinct elements.

Counts are expressions of sizes (and of loops outside), upper bounds where guards cut tails off;
each arithmetic operation counts one, a fused multiply-add two, a transcendental function one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from tdsl.analysis.access import accesses
from tdsl.analysis.model import levels_of
from tdsl.analysis.regions import needed_box
from tdsl.analysis.witness import value_at
from tdsl.ir import build
from tdsl.ir.affine import tidy
from tdsl.ir.expr import Binary, Expr, Fma, Math, Unary, UnaryOp, Var
from tdsl.ir.interval import Interval, interval
from tdsl.ir.stmt import Block, For, Leaf, Program, Stmt
from tdsl.ir.visit import accessed_buffers, substatements, walk

_FREE = (UnaryOp.NEG, UnaryOp.ABS, UnaryOp.NOT, UnaryOp.ISNAN, UnaryOp.ISINF)


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of a loop, all its iterations together.

    Attributes:
        flops: floating-point operations.
        asked: bytes of all loads and stores, as if there were neither caches nor registers.
        touched: bytes of distinct elements: what has to come from outside at least once.
    """

    flops: Expr
    asked: Expr
    touched: Expr

    def at(self, sizes: Mapping[Var, int]) -> tuple[int | None, int | None, int | None]:
        """The three counts as numbers, None where a loop outside is not given."""
        return value_at(self.flops, sizes), value_at(self.asked, sizes), value_at(
            self.touched, sizes
        )  # fmt: skip


def costs(program: Program) -> dict[Var, Cost]:
    """The cost of each loop of a scheduled program, by its variable."""
    return {s.var: cost_of(program, s) for s in walk(program.body) if isinstance(s, For)}


def cost_of(program: Program, s: Stmt) -> Cost:
    """The cost of one run of a statement of a program."""
    flops, asked = _executed(s, {})
    distinct: Expr = build.index(0)
    for buffer in sorted(accessed_buffers(s), key=lambda b: b.name):
        box = needed_box(program, buffer, s)
        count = build.mul(build.product(box.extent), buffer.dtype.bytes)
        distinct = build.add(distinct, count)
    return Cost(tidy(flops), tidy(asked), tidy(distinct))


def flops_of(block: Block) -> int:
    """Floating-point operations of one instance."""
    return sum(_operations(write.value) for write in block.writes)


def bytes_of(block: Block) -> int:
    """Bytes that one instance loads and stores."""
    own = sum(1 for a in accesses(block) if a.own)  # an accumulator is loaded as well
    touched = sum(a.buffer.dtype.bytes for a in accesses(block))
    return touched + own * block.writes[0].buffer.dtype.bytes


def _operations(e: Expr) -> int:
    count = 0
    for n in walk(e):
        match n:
            case Fma():
                count += 2
            case Math():
                count += 1
            case Binary() if n.a.dtype.is_float:
                count += 1
            case Unary() if n.a.dtype.is_float and n.op not in _FREE:
                count += 1
            case _:
                pass
    return count


def _executed(s: Stmt, env: Mapping[Var, Interval]) -> tuple[Expr, Expr]:
    """Operations and bytes of one run; triangular loops count their longest."""
    match s:
        case Leaf(block=block):
            return build.index(flops_of(block)), build.index(bytes_of(block))
        case For():
            inner = dict(env)
            times: Expr = build.index(1)
            for level in levels_of(s):
                high = interval(level.extent, inner).hi
                extent = level.extent if high is None else high
                inner[level.var] = Interval(build.index(0), tidy(build.sub(extent, 1)))
                times = build.mul(times, extent)
            flops, asked = _executed(s.body, inner)
            return build.mul(times, flops), build.mul(times, asked)
        case _:
            parts = [_executed(c, env) for c in substatements(s)]
            zero: Expr = build.index(0)
            return (
                reduce(build.add, (p[0] for p in parts), zero),
                reduce(build.add, (p[1] for p in parts), zero),
            )
