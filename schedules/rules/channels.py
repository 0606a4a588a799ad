"""Windows that slide over pixels with the channels last: depthwise convolution and pooling.

    parallel n, yo:                       # some rows of the image
      for xo, oo:
        acc[y][x][channels] = 0           # registers
        unrolled r, s: acc += X[y + r, x + s, channels] * W[oo, r, s, channels]
        out[y, x, channels] = epilogue(acc)

Neighbouring windows of a tile share what they load. Padding is no copy: inside the image lowering
leaves its conditions out, and at the borders they choose addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import Access, BlockFacts
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.pixel_tiles import balanced_parts, is_provable
from tdsl.schedules.rules.pixels import share_bands
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops, pack_operand, pass_packed
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_POINTS = 32  # of a window that is written out; larger ones are loops
_WINDOWS = 16  # of a tile
_CODE = 1 / 80  # cycles that a line of written-out code costs besides
_TASK = 1_000_000  # operations that are worth a task: about 10 microseconds


@combinator
def tile_channels(
    s: Schedule,
    block: str,
    sink: str,
    rank: int,
    axes: tuple[int, int],
    tile: tuple[int, int, int],
    lanes: int,
    source: str = "",
    packs: tuple[tuple[str, int, tuple[int, ...], bool], ...] = (),
    tail: str = "balance",
    chunk: int = 1,
) -> None:
    """Compute the windows *block* in register tiles where *sink* uses them.

    Args:
        block: the reduction; its data axes are those of the sink in the same order, channels last.
        sink: the block that reads it, or the block itself: then a copy-out takes that part.
        rank: how many axes the block has.
        axes: positions of the row (-1: none) and the pixel axis.
        tile: rows, pixels and channels of a tile.
        lanes: elements of a vector.
        source: a block that only pads what is read.
        packs: operands whose channels are brought together: name, dimension of the channels, order
            of the dimensions, and whether it is passed that way.
        tail: how pixels that do not fill a tile are done.
        chunk: bands of a tile's rows that are one task.
    """
    if source:
        s.inline(source)
    if sink == block:
        sink = s.cache_write(block, "register")
    loops = s.loops(sink)
    row, pixel = axes
    kept = [loop for n, loop in enumerate(loops[:-1]) if n not in axes]
    oo, oi = s.split(loops[-1], tile[2], tail="mask")
    xo, xi = s.split(loops[pixel], tile[1], tail=tail)
    bands = list(s.split(loops[row], tile[0], tail=tail)) if row >= 0 else []
    s.reorder(*kept, *bands[:1], xo, oo, *bands[1:], xi, oi)
    for tensor, dimension, order, ahead in packs:
        if ahead:
            pass_packed(s, tensor, dimension, tile[2], order)
        else:
            pack_operand(s, block, tensor, None, dimension, tile[2], lanes, order)
    share_bands(s, (*kept, *bands[:1]) or (xo,), chunk)
    s.compute_at(block, at=oo)
    s.set_scope(block, "register")
    own = own_loops(s, block, rank)
    data = len(loops)
    inner = [own[n] for n in (*axes, data - 1) if n >= 0]
    s.reorder(*(own[n] for n in range(data - 1) if n not in axes), *own[data:], *inner)
    for loop in (*own[data:], *inner[:-1], *bands[1:], xi):
        s.unroll(loop)
    s.vectorize(inner[-1], lanes)
    s.vectorize(oi, lanes)


@dataclass(frozen=True)
class Channels(Plan):
    """Windows over pixels, with what is done to their elements afterwards."""

    block: str
    sink: str
    rank: int
    axes: tuple[int, int]
    high: int
    wide: int
    width: int
    lanes: int
    source: str
    packs: tuple[tuple[str, int, tuple[int, ...], bool], ...]
    tail: str
    chunk: int

    @property
    def reason(self) -> str:
        padded = ", borders read as they are" if self.source else ""
        return (
            f"windows over pixels, channels last: tiles of {self.high} x {self.wide} pixels x "
            f"{self.width} channels{padded}"
        )

    def apply(self, s: Schedule) -> None:
        tile_channels(
            s, self.block, self.sink, self.rank, self.axes, (self.high, self.wide, self.width),
            self.lanes, self.source, self.packs, tail=self.tail, chunk=self.chunk,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        sizes = (self.lanes, 2 * self.lanes)
        return {"high": (1, 2, 4), "wide": (1, 2, 3, 4, 6), "width": sizes}


def match(group: Group, target: Target) -> Plan | None:
    """One reduction over small windows that slide along other axes than the last, dense one."""
    reductions = [b for b in group.blocks if b.reduces]
    if target.kind is not TargetKind.LLVM or len(reductions) != 1:
        return None
    (block,), sink = reductions, group.sink
    if len(block.data) < 2 or len(block.block.writes) != 1 or find_contraction(block):
        return None
    if [group.ties[block.name].get(v) for v in sink.data] != list(block.data):
        return None
    sources = [b for b in group.members if b is not block]
    if len(sources) > 1 or not all(source.is_padding for source in sources):
        return None
    if block is not sink and sources and sources[0] is group.members[-1]:
        return None
    points = block.count(block.reduced)
    if points is None or points > _POINTS or not _slid(block):
        return None
    if not all(_is_plain(access, block) for access in (*block.writes, *block.loads)):
        return None
    return _plan(group, block, sources[0].name if sources else "", target)


def _is_plain(access: Access, block: BlockFacts) -> bool:
    """Whether channels are neighbours in memory, or can be packed so, or do not matter."""
    column = block.data[-1]
    if column not in access.vars:
        return True
    at = access.dimension(column)
    if at is None or access.index_var(at) is not column:
        return False
    return access.is_dense(column) or not access.vars & set(block.data[:-1])


def _slid(block: BlockFacts) -> list[Var]:
    """Data axes along which windows slide, in order."""
    reduced = set(block.reduced)
    found = {
        v
        for load in block.loads
        for form in load.forms
        if form.vars() & reduced
        for v in form.vars()
    }
    return [v for v in block.data[:-1] if v in found]


def _plan(group: Group, block: BlockFacts, source: str, target: Target) -> Channels:
    slid = _slid(block)
    pixel, row = slid[-1], slid[-2] if len(slid) > 1 else None
    lanes = target.lanes(block.bits)
    width = min(lanes, below(lanes, block.extent(block.data[-1])))
    high, wide = _tile(block, row, pixel)
    at = block.data.index
    known = all(v is None or block.extent(v) is not None for v in (row, pixel))
    packs = tuple(
        (load.buffer.name, *_packing(load, block), load.buffer in group.constants)
        for load in block.loads
        if block.data[-1] in load.vars and not load.is_dense(block.data[-1])
    )
    return Channels(
        block.name, group.sink.name, len(block.block.iters),
        (-1 if row is None else at(row), at(pixel)), high, wide, width, width, source, packs,
        "balance" if known else "guard", _chunk(block, pixel, high, target),
    )  # fmt: skip


def _tile(block: BlockFacts, row: Var | None, pixel: Var) -> tuple[int, int]:
    """The windows side by side that take the fewest cycles."""
    height = 1 if row is None else block.extent(row)
    width = block.extent(pixel)
    found = {
        (high, wide): sum(
            rows * count * y * x * _cycles(block, {row: y, pixel: x})
            for y, rows in balanced_parts(height, high)
            for x, count in balanced_parts(width, wide)
        )
        for high in range(1, (1 if height is None else min(4, max(height, 1))) + 1)
        for wide in range(1, min(8, max(width or 8, 1)) + 1)
        if high * wide <= _WINDOWS and is_provable((height, high), (width, wide))
    }
    return min(found, key=lambda tile: found[tile])


def _cycles(block: BlockFacts, tile: Mapping[Var | None, int]) -> float:
    """Half cycles of one window in a tile: arithmetic or loads, and the code itself."""
    windows = 1
    for extent in tile.values():
        windows *= extent
    points = block.count(block.reduced) or 1
    loads = sum(_distinct(load, block, tile) for load in block.loads) / windows
    return max(points, loads) + loads / 4 + windows * points * _CODE


def _distinct(load: Access, block: BlockFacts, tile: Mapping[Var | None, int]) -> int:
    """How many elements a tile reads by one load."""
    extents = {v: block.extent(v) or 1 for v in block.reduced} | dict(tile)
    total = 1
    for form in load.forms:
        walked = [v for v in form.vars() if v in extents]
        most = 1
        span = 1
        for v in walked:
            most *= extents[v]
            span += abs(form.coefficient(v)) * (extents[v] - 1)
        total *= min(most, span)
    return total


def _packing(load: Access, block: BlockFacts) -> tuple[int, tuple[int, ...]]:
    """The dimension of the channels, and all dimensions in the order in which loops walk them."""
    column = load.dimension(block.data[-1])
    assert column is not None
    return column, block.walk_order(load, column)


def _chunk(block: BlockFacts, pixel: Var, high: int, target: Target) -> int:
    """Bands of rows that make a task worth its start, and leave some for every core."""
    others = tuple(v for v in block.data[:-1] if v is not pixel)
    bands = -(-(block.count(others) or 1) // high)
    work = block.count((pixel, block.data[-1], *block.reduced))
    if work is None:
        return 1
    return max(1, min(_TASK // max(2 * work * high, 1), bands // (2 * target.cores)))


RULE = Rule("channels", match)
