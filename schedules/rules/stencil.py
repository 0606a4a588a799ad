"""Chains of stencils: a strip of rows at a time, so that what passes between stages stays near.

parallel yo:
  A, B: the rows of the strip and those around it
  for yi, x: out[y, x] = ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.schedules.rules.elementwise import streams
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_ROWS = 32  # of a strip, unless it would outgrow the L2 cache
_LONG = 1 << 12  # elements of a strip of vectors
_VECTORS = 2


@combinator
def walk_strips(
    s: Schedule, sink: str, strip: int, rows: int, members: tuple[tuple[str, int], ...],
    width: int, lanes: int, stream: bool = False,
) -> None:  # fmt: skip
    """Compute a chain of blocks for a strip of the last one at a time.

    Args:
        sink: the last block.
        strip: position of the axis that is cut into strips.
        rows: iterations of it in one strip.
        members: the other blocks in order, and how many axes each has.
        width: elements of one step.
        lanes: elements of a vector.
        stream: whether stores of the sink bypass the caches.
    """
    loops = s.loops(sink)
    rest = [loop for n, loop in enumerate(loops) if n != strip]
    outer, inner = s.split(loops[strip], rows)
    last = rest[-1] if rest else inner
    s.reorder(outer, *((inner, *rest) if rest else (inner,)))
    for name, _ in reversed(members):
        s.compute_at(name, at=outer)
    for loop in (last, *(own_loops(s, name, axes)[-1] for name, axes in members)):
        s.vectorize(s.split(loop, width, tail="mask")[1], lanes)
    if stream:
        s.stream(sink)
    s.parallel(outer)


@dataclass(frozen=True)
class Strips(Plan):
    """A chain of stencils."""

    sink: str
    strip: int
    rows: int
    members: tuple[tuple[str, int], ...]
    width: int
    lanes: int
    stream: bool

    @property
    def reason(self) -> str:
        names = ", ".join(name for name, _ in self.members)
        return f"stencils: {names} computed for strips of {self.rows} rows"

    def apply(self, s: Schedule) -> None:
        walk_strips(
            s, self.sink, self.strip, self.rows, self.members, self.width, self.lanes,
            stream=self.stream,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"rows": (4, 8, 16, 32, 64, 128), "width": (self.lanes, 2 * self.lanes)}


def match(group: Group, target: Target) -> Plan | None:
    """Blocks without reductions, whose reads of each other stay within a few rows."""
    sink = group.sink
    if target.kind is not TargetKind.LLVM or not group.members or not group.windowed:
        return None
    strip = group.shared[0]
    lanes = min(target.lanes(b.bits) for b in group.blocks)
    width = below(lanes * _VECTORS, sink.extent(sink.data[-1]))
    return Strips(
        sink.name, sink.data.index(strip), _rows(group, strip, target),
        tuple((b.name, len(b.block.iters)) for b in group.members), width, min(lanes, width),
        streams(sink, target),
    )  # fmt: skip


def _rows(group: Group, strip: Var, target: Target) -> int:
    """Rows of a strip: few enough for the L2 cache to hold what passes between stages."""
    if len(group.sink.data) == 1:
        return _LONG
    row = 0
    for block in group.members:
        others = tuple(v for v in block.data if v is not group.ties[block.name][strip])
        row += (block.count(others) or _LONG) * block.bits // 8
    rows = _ROWS
    while rows > 4 and rows * row > target.l2 + target.l2 // 2:
        rows //= 2
    extent = group.sink.extent(strip)
    while extent is not None and rows > 1 and extent < rows * 2 * target.cores:
        rows //= 2
    return rows


RULE = Rule("stencil", match)
