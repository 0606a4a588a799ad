"""Windows without reuse across channels: depthwise convolution and pooling.

parallel n, c:
  pad X[n, c]                       # one plane, in the caches
  for yo, xo:
    acc[rows][columns] = 0          # registers
    unrolled r, s: acc += X[c, rows + r, columns + s] * W[c, r, s]
    epilogue(acc)

Where columns take few vectors and are not neighbours, or a plane is small, tiles are as wide as the
plane: the borders are known then, and read as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import hold_tile, own_loops, spread
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_NEAR = 4  # strides up to this are read as whole vectors
_ROWS = 4
_WHOLE = 14  # rows of planes that are done at once
_SPAN = 8  # vectors of a row that is done at once
_MANY = 1 << 12  # what a symbolic extent counts as
_WIDE = 4  # vectors of which two rows are
_UNROLLED = 32  # points of a window; larger ones stay loops


@combinator
def tile_planes(
    s: Schedule,
    block: str,
    sink: str,
    rank: int,
    planes: tuple[int, ...],
    axes: tuple[int, int],
    tile: tuple[int, int],
    lanes: int,
    tasks: int,
    source: tuple[str, int] = ("", 0),
    unroll: bool = True,
    in_place: bool = False,
    by_row: bool = False,
) -> None:
    """Compute the windows *block* in register tiles of a plane, where *sink* uses them.

    Args:
        block: the reduction; its data axes are those of the sink, in the same order.
        sink: the block that reads it, or the block itself: then a copy-out takes that part.
        rank: how many axes the block has.
        planes: positions of the axes that tell planes apart.
        axes: positions of the row (-1: none) and the column axis.
        tile: rows and columns of a tile.
        lanes: elements of a vector.
        tasks: how many parallel tasks are enough.
        source: a block that makes the plane that is read (padding), and its number of axes.
        unroll: whether the window is unrolled.
        in_place: whether the source is read as it is: borders of tiles are known.
        by_row: whether each row of a tile is finished before the next one.
    """
    if in_place and source[0]:
        s.inline(source[0])
    if sink == block:
        sink = s.cache_write(block, "register")
    loops = s.loops(sink)
    row, column = axes
    kept = [loops[n] for n in planes]
    others = [loop for n, loop in enumerate(loops) if n not in planes and n not in axes]
    xo, xi = s.split(loops[column], tile[1], tail="mask")
    rows = s.split(loops[row], tile[0], tail="guard") if row >= 0 else ()
    s.reorder(*kept, *others, *rows[:1], xo, *rows[1:], xi)
    plane = kept[-1]
    shared = spread(s, tuple(kept), tasks)
    hold_tile(s, block, xo, rank, row, column, lanes, by_row=by_row)
    if source[0] and not in_place:
        s.compute_at(source[0], at=plane if plane.is_alive else shared)
        s.vectorize(own_loops(s, *source)[-1], lanes)
    if unroll:
        for loop in s.nest.block(block).loops:
            if loop.reduces:
                s.unroll(loop.label)
    for part in rows[1:]:
        s.unroll(part)
    s.vectorize(xi, lanes)


@dataclass(frozen=True)
class Planes(Plan):
    """Windows over planes, with what is done to their elements afterwards."""

    block: str
    sink: str
    rank: int
    planes: tuple[int, ...]
    axes: tuple[int, int]
    rows: int
    columns: int
    lanes: int
    tasks: int
    source: tuple[str, int]
    unroll: bool
    in_place: bool
    by_row: bool

    @property
    def reason(self) -> str:
        how = "read in place" if self.in_place else "made for each plane"
        padded = f", {self.source[0]} {how}" if self.source[0] else ""
        return f"windows of a plane: tiles of {self.rows} x {self.columns}{padded}"

    def apply(self, s: Schedule) -> None:
        tile_planes(
            s, self.block, self.sink, self.rank, self.planes, self.axes,
            (self.rows, self.columns), self.lanes, self.tasks, self.source, unroll=self.unroll,
            in_place=self.in_place, by_row=self.by_row,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        sizes = tuple(self.lanes * n for n in range(1, 5))
        return {"rows": (1, 2, 3, 4, 6, 8), "columns": sizes}


def match(group: Group, target: Target) -> Plan | None:
    """One reduction over windows that slide along the last axis, and no contraction."""
    reductions = [b for b in group.blocks if b.reduces]
    if target.kind is not TargetKind.LLVM or len(reductions) != 1:
        return None
    (block,), sink = reductions, group.sink
    if not block.data or len(block.block.writes) != 1 or find_contraction(block):
        return None
    ties = group.ties[block.name]
    if [ties.get(v) for v in sink.data] != list(block.data) or not _slides(block):
        return None
    sources = [b for b in group.members if b is not block]
    if len(sources) > 1 or (block is not sink and sources and sources[0] is group.members[-1]):
        return None
    return _plan(group, block, sources[0] if sources else None, target)


def _slides(block: BlockFacts) -> bool:
    """Whether loads walk the last data axis densely, together with a reduction axis."""
    last = block.data[-1]
    walked = [load for load in block.loads if last in load.vars]
    reduced = set(block.reduced)
    return bool(walked) and all(
        load.dimension(last) == len(load.forms) - 1
        and 0 < load.forms[-1].coefficient(last) <= _NEAR
        and load.forms[-1].vars() & reduced
        for load in walked
    )


def _is_dense(block: BlockFacts) -> bool:
    """Whether windows are neighbours along the last axis."""
    last = block.data[-1]
    return all(load.forms[-1].coefficient(last) == 1 for load in block.loads if last in load.vars)


def _plan(group: Group, block: BlockFacts, source: BlockFacts | None, target: Target) -> Planes:
    lanes = target.lanes(block.bits)
    data = block.data
    planes = _planes(block)
    column, width = len(data) - 1, block.extent(data[-1])
    row = column - 1 if column - 1 not in planes and column else -1
    height = block.extent(data[row]) if row >= 0 else 1
    points = block.count(block.reduced)
    unroll = points is not None and points <= _UNROLLED
    readable = unroll and (source is None or source.is_padding)
    tile = _tile(height, width, lanes, dense=_is_dense(block), in_place=readable)
    return Planes(
        block.name, group.sink.name, len(block.block.iters), planes, (row, column),
        tile.rows, tile.columns, min(lanes, tile.columns), 4 * target.cores,
        ("", 0) if source is None else (source.name, len(source.block.iters)),
        unroll, tile.in_place, tile.by_row,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Tile:
    rows: int
    columns: int
    in_place: bool = False
    by_row: bool = False


def _tile(
    height: int | None, width: int | None, lanes: int, *, dense: bool, in_place: bool
) -> _Tile:
    """The tile for planes of some size.

    `dense`: windows are neighbours; `in_place`: tiles of known borders may read what they lie in.
    """
    if width is not None and in_place:
        vectors = -(-width // lanes)
        if vectors <= 1 and (_MANY if height is None else height) <= _WHOLE:
            return _Tile(height or 1, max(width, 1), in_place=True, by_row=True)
        if not dense and vectors <= _SPAN:
            rows = 2 if vectors <= _WIDE else 1
            return _Tile(min(rows, height or rows), max(width, 1), in_place=True)
    vectors = 1
    if width is None or -(-width // (2 * lanes)) * 2 <= -(-width // lanes):
        vectors = 2
    columns = min(lanes * vectors, below(lanes * vectors, width))
    return _Tile(min(_ROWS, height or _ROWS), columns)


def _planes(block: BlockFacts) -> tuple[int, ...]:
    """Positions of the leading axes that no window slides along; the first one at least."""
    slid: set[Var] = set()
    reduced = set(block.reduced)
    for load in block.loads:
        for form in load.forms:
            if form.vars() & reduced:
                slid |= form.vars()
    found = []
    for position, var in enumerate(block.data):
        if var in slid:
            break
        found.append(position)
    return tuple(found)


RULE = Rule("depthwise", match)
