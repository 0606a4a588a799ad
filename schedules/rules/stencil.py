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
from tdsl.schedules.rules.fetching import Fetch, fetch_ahead, is_large
from tdsl.schedules.rules.groups import Group, apart_along
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops, spread
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_ROWS = 32  # of a strip, unless it would outgrow the L2 cache
_LONG = 1 << 12  # elements of a strip of vectors
_VECTORS = 1
_SELECTIVE = 600  # nodes of a stage with borders, whose versions are written out
_COLUMNS = 128  # of a tile


@combinator
def walk_strips(
    s: Schedule, sink: str, strip: int, rows: int, members: tuple[tuple[str, int, bool], ...],
    width: int, lanes: int, stream: bool = False,
) -> None:  # fmt: skip
    """Compute a chain of blocks for a strip of the last one at a time.

    Args:
        sink: the last block.
        strip: position of the axis that is cut into strips.
        rows: iterations of it in one strip.
        members: the other blocks in order, how many axes each has, and whether one row of the sink
            needs one row of them: they are made row by row.
        width: elements of one step.
        lanes: elements of a vector.
        stream: whether stores of the sink bypass the caches.
    """
    loops = s.loops(sink)
    rest = [loop for n, loop in enumerate(loops) if n != strip]
    outer, inner = s.split(loops[strip], rows)
    last = rest[-1] if rest else inner
    s.reorder(outer, *((inner, *rest) if rest else (inner,)))
    for name, _, by_row in reversed(members):
        s.compute_at(name, at=inner if by_row and rest else outer)
    for loop in (last, *(own_loops(s, name, axes)[-1] for name, axes, _ in members)):
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
    members: tuple[tuple[str, int, bool], ...]
    width: int
    lanes: int
    stream: bool

    @property
    def reason(self) -> str:
        names = ", ".join(name for name, *_ in self.members)
        return f"stencils: {names} computed for strips of {self.rows} rows"

    def apply(self, s: Schedule) -> None:
        walk_strips(
            s, self.sink, self.strip, self.rows, self.members, self.width, self.lanes,
            stream=self.stream,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"rows": (4, 8, 16, 32, 64, 128), "width": (self.lanes, 2 * self.lanes)}


@combinator
def walk_tiles(
    s: Schedule, block: str, tile: tuple[int, int], lanes: int, tasks: int,
    ahead: tuple[Fetch, ...] = (),
) -> None:  # fmt: skip
    """Walk a block down columns of tiles, so that rows share what they read.

    Args:
        block: a block without reductions, of two axes or more.
        tile: rows and columns of a tile, of its last two axes.
        lanes: elements of a vector.
        tasks: how many parallel tasks are enough.
        ahead: blocks that ask for elements to come: of which tensor, and how far along which
            dimension.
    """
    *others, y, x = s.loops(block)
    yo, _, _, xi = s.tile(y, x, *tile, tail="mask")
    s.vectorize(xi, lanes)
    for name, tensor, dimension, distance in ahead:
        fetch_ahead(s, name, tensor, dimension, distance)
    spread(s, (*others, yo), tasks)


@dataclass(frozen=True)
class Tiles(Plan):
    """One stencil."""

    block: str
    rows: int
    columns: int
    lanes: int
    tasks: int
    ahead: tuple[Fetch, ...]

    @property
    def reason(self) -> str:
        return f"a stencil: tiles of {self.rows} rows x {self.columns}"

    def apply(self, s: Schedule) -> None:
        walk_tiles(s, self.block, (self.rows, self.columns), self.lanes, self.tasks, self.ahead)

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        sizes = tuple(self.lanes * n for n in (2, 4, 8, 16))
        return {"rows": (8, 16, 32, 64), "columns": sizes}


def match(group: Group, target: Target) -> Plan | None:
    """Blocks without reductions, whose reads of each other stay within a few rows."""
    sink = group.sink
    if target.kind is not TargetKind.LLVM:
        return None
    if not group.members:
        return _tiles(group, target) if _looks_around(group) else None
    if not group.windowed or any(b.is_selective and b.size > _SELECTIVE for b in group.blocks):
        return None
    strip = group.shared[0]
    apart = apart_along(group, strip)
    lanes = min(target.lanes(b.bits) for b in group.blocks)
    width = below(lanes * _VECTORS, sink.extent(sink.data[-1]))
    return Strips(
        sink.name, sink.data.index(strip), _rows(group, strip, apart, target),
        tuple((b.name, len(b.block.iters), b.name not in apart) for b in group.members),
        width, min(lanes, width), streams(sink, target),
    )  # fmt: skip


def _looks_around(group: Group) -> bool:
    """Whether a block of two axes or more reads a tensor in several rows around its own."""
    sink = group.sink
    if sink.reduces or sink.is_ordered or len(sink.data) < 2 or sink.is_selective:
        return False
    rows: dict[object, set[int]] = {}
    for load in sink.loads:
        for dimension, form in enumerate(load.forms):
            if load.index_var(dimension, shifted=True) is sink.data[-2]:
                rows.setdefault((load.buffer, dimension), set()).add(form.const)
    return any(len(found) > 1 for found in rows.values())


def _tiles(group: Group, target: Target) -> Plan:
    sink = group.sink
    lanes = target.lanes(sink.bits)
    y, x = sink.extent(sink.data[-2]), sink.extent(sink.data[-1])
    columns = below(max(_COLUMNS, lanes), x)
    rows = below(_ROWS, y)
    while rows > 1 and y is not None and y < rows * 2 * target.cores:
        rows //= 2
    walked = [*sink.loads, *sink.writes]
    large = {a.buffer: a for a in walked if is_large(a.buffer, target)}
    ahead = tuple(
        (sink.name, buffer.name, access.dimension(sink.data[-1]) or 0, columns)
        for buffer, access in large.items()
        if access.is_dense(sink.data[-1])
    )
    return Tiles(sink.name, rows, columns, min(lanes, columns), 4 * target.cores, ahead)


def _rows(group: Group, strip: Var, apart: frozenset[str], target: Target) -> int:
    """Rows of a strip: few enough for the L2 cache to hold what passes between stages."""
    if len(group.sink.data) == 1:
        return _LONG
    row = 0
    for block in group.members:
        if block.name not in apart:
            continue  # made row by row
        others = tuple(v for v in block.data if v is not group.ties[block.name][strip])
        row += (block.count(others) or _LONG) * block.bits // 8
    rows = _ROWS
    while rows > 4 and rows * row > target.l2 * 3 // 8:
        rows -= 4
    extent = group.sink.extent(strip)
    while extent is not None and rows > 1 and extent < rows * 2 * target.cores:
        rows //= 2
    return rows


RULE = Rule("stencil", match)
