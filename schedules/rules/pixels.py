"""Convolutions with the channels last: tiles of pixels times vectors of channels, in registers.

    parallel n, oo, yo:                 # a panel of output channels, some rows of the image
      for xo:
        acc[y][x][channels] = 0
        for r, s, c: acc += X[y + r, x + s, c] * W[oo, r, s, c]
        out[y, x, channels] = epilogue(acc)

Vectors of channels make stride, dilation and padding a matter of scalar addresses. Products of
many rows and one matrix (1x1 convolutions, batches of rows) have the same form, and so have
convolutions that read channels first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.errors import ScheduleError
from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import Access, constant
from tdsl.schedules.rules.contraction import Contraction, views_of
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.pixel_tiles import Pixels, PixelTile, pixel_tile
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import least, own_loops, pack_operand, pass_packed
from tdsl.scheduling import Loop, Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_UNROLLED = 4  # steps of the innermost reduction that are written out
_TASK = 3_000_000  # floating-point operations that are worth a task: about 10 microseconds


@combinator
def tile_pixels(
    s: Schedule,
    block: str,
    sink: str,
    rank: int,
    axes: tuple[int, int, int],
    tile: tuple[int, int, int],
    lanes: int,
    pack: str = "",
    dimension: int = -1,
    order: tuple[int, ...] = (),
    ahead: bool = False,
    tail: str = "balance",
    chunk: int = 1,
    across: bool = False,
) -> None:
    """Compute the convolution *block* in register tiles where *sink* uses them.

    Args:
        block: the reduction; its data axes are those of the sink, in the same order.
        sink: the block that reads it, or the block itself: then a copy-out takes that part.
        rank: how many axes the block has.
        axes: positions of the row (-1: none), the pixel and the channel axis.
        tile: rows, pixels and channels of a tile.
        lanes: elements of a vector.
        pack: the operand that is copied into panels of channels, or nothing.
        dimension: the dimension of that operand which the channels walk.
        order: of its dimensions in a panel.
        ahead: whether the operand is an argument that is passed packed.
        tail: how pixels that do not fill a tile are done.
        chunk: bands of a tile's rows that are one task.
        across: whether tiles of one band are tasks of their own.
    """
    if sink == block:
        sink = s.cache_write(block, "register")
    loops = s.loops(sink)
    row, pixel, column = axes
    kept = [loop for n, loop in enumerate(loops) if n not in axes]
    oo, oi = s.split(loops[column], tile[2], tail="mask")
    xo, xi = s.split(loops[pixel], tile[1], tail=tail)
    bands = list(s.split(loops[row], tile[0], tail=tail)) if row >= 0 else []
    s.reorder(*kept, oo, *bands[:1], xo, *bands[1:], xi, oi)
    if pack and ahead:
        pass_packed(s, pack, dimension, tile[2], order)
    elif pack:
        pack_operand(s, block, pack, None, dimension, tile[2], lanes, order)
    shared = share_bands(s, (*kept, oo, *bands[:1], *((xo,) if across else ())), chunk)
    s.compute_at(block, at=shared if across else xo)
    s.set_scope(block, "register")
    own = own_loops(s, block, rank)
    data = len(loops)
    inner = [own[n] for n in axes if n >= 0]
    s.reorder(*(own[n] for n in range(data) if n not in axes), *own[data:], *inner)
    for loop in (*inner[:-1], *bands[1:], xi):
        s.unroll(loop)
    if data < rank and least(own[-1]) <= _UNROLLED and isinstance(own[-1].extent, int):
        s.unroll(own[-1])
    s.vectorize(inner[-1], lanes)
    s.vectorize(oi, lanes)


def share_bands(s: Schedule, loops: tuple[Loop, ...], chunk: int) -> Loop:
    """Run directly nested loops in parallel, `chunk` iterations of all of them a task.

    Returns the loop over single iterations.
    """
    outer = loops[0]
    for inner in loops[1:]:
        outer = s.fuse(outer, inner)
    if chunk == 1:
        return s.parallel(outer)
    tasks, single = s.split(outer, chunk)
    s.parallel(tasks)
    return single


@dataclass(frozen=True)
class PixelPlan(Plan):
    """A convolution with the channels last, with what is done to its elements afterwards."""

    block: str
    sink: str
    rank: int
    axes: tuple[int, int, int]
    high: int
    wide: int
    columns: int
    lanes: int
    pack: str
    dimension: int
    order: tuple[int, ...]
    ahead: bool
    tail: str
    chunk: int
    across: bool

    @property
    def reason(self) -> str:
        fused = "" if self.sink == self.block else f", {self.sink} applied to each tile"
        packed = f"{self.pack} packed{' ahead' if self.ahead else ''}" if self.pack else "in place"
        return (
            f"a convolution, channels last: tiles of {self.high} x {self.wide} pixels x "
            f"{self.columns} channels, {packed}{fused}"
        )

    def apply(self, s: Schedule) -> None:
        try:
            self._tile(s, self.tail)
        except ScheduleError:  # proofs of parts of two sizes may take too long
            if self.tail == "guard":
                raise
            self._tile(s, "guard")

    def _tile(self, s: Schedule, tail: str) -> None:
        tile_pixels(
            s, self.block, self.sink, self.rank, self.axes, (self.high, self.wide, self.columns),
            self.lanes, self.pack, self.dimension, self.order, ahead=self.ahead, tail=tail,
            chunk=self.chunk, across=self.across,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        sizes = tuple(self.lanes * n for n in range(1, 5))
        return {"high": (1, 2, 3), "wide": tuple(range(1, 15)), "columns": sizes}


def match(group: Group, target: Target) -> Plan | None:
    """A contraction of two row axes or a window whose columns are the last axis of the result."""
    if target.kind is not TargetKind.LLVM or len(group.members) > 1 or not group.is_whole:
        return None
    facts, sink = group.blocks[0], group.sink
    if [group.ties[facts.name][v] for v in sink.data] != list(facts.data):
        return None
    for view in views_of(facts):
        if view.column is facts.data[-1] and _fits(view):
            return _plan(group, view, target)
    return None


def _fits(view: Contraction) -> bool:
    """Whether columns lie along the result and walk a dimension of one operand alone."""
    facts, column = view.facts, view.column
    rows = [v for v in view.rows if facts.extent(v) != 1]
    if len(view.vectors) != 1 or not facts.writes[0].is_dense(column):
        return False
    if not rows or not (view.slides or len(rows) > 1):
        return False
    dimension = view.vectors[0].dimension(column)
    return dimension is not None and view.vectors[0].index_var(dimension) is column


def _plan(group: Group, view: Contraction, target: Target) -> PixelPlan:
    facts = view.facts
    rows = [v for v in view.rows if facts.extent(v) != 1]
    pixel, row = rows[-1], rows[-2] if len(rows) > 1 else None
    lanes = target.lanes(facts.bits)
    shape = _shape(view, row, pixel)
    tile = pixel_tile(shape, lanes, target)
    columns = tile.vectors * lanes
    operand = view.vectors[0]
    dimension = operand.dimension(view.column)
    assert dimension is not None
    ahead = operand.buffer in group.constants
    data = facts.data.index
    return PixelPlan(
        facts.name, group.sink.name, len(facts.block.iters),
        (-1 if row is None else data(row), data(pixel), data(view.column)),
        tile.high, tile.wide, columns, lanes, operand.buffer.name, dimension,
        facts.walk_order(operand, dimension), ahead,
        "guard" if shape.width is None or shape.height is None else "balance",
        *_tasks(view, shape, tile, columns, target),
    )  # fmt: skip


def _shape(view: Contraction, row: Var | None, pixel: Var) -> Pixels:
    facts = view.facts
    scalar = view.scalars[0]
    return Pixels(
        1 if row is None else facts.extent(row), facts.extent(pixel), facts.extent(view.column),
        facts.count(facts.reduced), 0 if row is None else _distance(scalar, row),
        _distance(scalar, pixel),
    )  # fmt: skip


def _distance(access: Access, var: Var) -> int:
    """Bytes between elements that are neighbours along an axis; 0 where that is not known."""
    at = access.dimension(var)
    step = 0 if at is None else access.forms[at].coefficient(var) * access.buffer.dtype.bytes
    for extent in access.buffer.shape[at + 1 :] if at is not None else ():
        step *= constant(extent) or 0
    return int(step)


def _tasks(
    view: Contraction, shape: Pixels, tile: PixelTile, columns: int, target: Target
) -> tuple[int, bool]:
    """How many bands of rows, or (if they are too few for all cores) tiles, make a task."""
    outside = view.facts.count(view.batch) or 1
    bands = outside * -(-(shape.channels or 1) // columns) * -(-(shape.height or 1) // tile.high)
    if shape.width is None or shape.depth is None or shape.height is None:
        return 1, False
    across = bands < 4 * target.cores
    parts = -(-shape.width // tile.wide)
    work = 2 * tile.high * shape.width * columns * shape.depth // (parts if across else 1)
    most = bands * (parts if across else 1) // (2 * target.cores)
    return max(1, min(_TASK // max(work, 1), most)), across


RULE = Rule("pixels", match)
