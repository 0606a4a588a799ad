"""Products between two transforms of tiles: convolutions by minimal filtering.

    parallel n, some rows of tiles:
      points[4][4][tiles][channels]     # made in registers, kept in the L2 cache
      for a, b: products[a][b]          # register tiles, as for convolutions
      out = epilogue(2 x 2 results of each tile)

Where the image has too few tiles for all cores, all points are made first, and a task makes some
channels of the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from tdsl.ir.expr import Buffer
from tdsl.schedules.rules.blocks import BlockFacts, constant
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.pixel_tiles import Pixels, pixel_tile
from tdsl.schedules.rules.pixels import share_bands
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops
from tdsl.scheduling import Loop, Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_TILE, _POINTS = 2, 4
_NEAR_BYTES, _FAR_BYTES = 40, 14  # per cycle, from the L2 cache and from beyond
_START = 3000  # cycles that a task costs besides
_AHEAD = 2048  # weights between those in use and those that are fetched

Names = tuple[str, str, str, str, str]


@combinator
def tile_points(
    s: Schedule, blocks: Names, padded: str, rows: int, part: int, tile: tuple[int, int, int],
    lanes: int, pack: str = "", ahead: int = 0,
) -> None:  # fmt: skip
    """Compute a convolution by minimal filtering, some rows of tiles at a time.

    Args:
        blocks: transformed columns, points, products, restored columns and results; the data axes
            of the first four are [batch, tile, 4, 4, tile, channel].
        padded: the padded image, which is not kept, or nothing.
        rows: of tiles, of one task.
        part: channels of the result of one task (0: all). Parts share points, made beforehand.
        tile: rows, tiles and channels of a register tile of products.
        lanes: elements of a vector.
        pack: weights that the caller passes packed, or nothing.
        ahead: channels of these that are fetched ahead.
    """
    columns, points, products, restored, sink = blocks
    if padded:
        s.inline(padded)
    n, h, w, k = s.loops(sink)
    y, i = s.split(h, _TILE)
    x, j = s.split(w, _TILE)
    group, y = s.split(y, rows)
    ko, ki = s.split(k, lanes, tail="mask")
    outer = [n, group]
    if part:
        share, ko = s.split(ko, part // lanes)
        outer.append(share)
    s.reorder(*outer, y, x, ko, i, j, ki)
    _in_registers(s, restored, ko, lanes)
    for loop in (i, j):
        s.unroll(loop)
    s.vectorize(ki, lanes)
    shared = share_bands(s, tuple(outer), 1)
    _tile_products(s, products, shared, tile, lanes)
    if pack:
        _pass_packed(s, pack, tile[2], part)
    if ahead:
        s.prefetch(products, pack, f"n, y, a, b, x, k, c -> a, b, c + {ahead}, k")
    _make_points(s, columns, points, None if part else shared, lanes)


def _in_registers(s: Schedule, block: str, at: Loop, lanes: int) -> None:
    """Make what one iteration of a loop needs of a transform in registers."""
    s.compute_at(block, at=at)
    s.set_scope(block, "register")
    own = own_loops(s, block, 6)
    s.unroll(own[2])
    s.unroll(own[3])
    s.vectorize(own[-1], lanes)


def _tile_products(
    s: Schedule, block: str, at: Loop, tile: tuple[int, int, int], lanes: int
) -> None:
    s.compute_at(block, at=at)
    output = s.cache_write(block, "register")
    n, y, a, b, x, k = own_loops(s, output, 6)
    high, wide, width = tile
    ko, ki = s.split(k, width, tail="mask")
    xo, xi = s.split(x, wide, tail="balance")
    yo, yi = s.split(y, high, tail="balance")
    s.reorder(n, a, b, ko, yo, xo, yi, xi, ki)
    s.compute_at(block, at=xo)
    s.set_scope(block, "register")
    n, y, a, b, x, k, depth = own_loops(s, block, 7)
    s.reorder(n, a, b, depth, y, x, k)
    for loop in (y, x, yi, xi):
        s.unroll(loop)
    s.vectorize(k, lanes)
    s.vectorize(ki, lanes)


def _pass_packed(s: Schedule, weights: str, width: int, part: int) -> None:
    """Let the caller pass weights in the order in which tasks walk them."""
    panel = f"k // {part}, a, b, k % {part} // {width}" if part else f"a, b, k // {width}"
    s.transform_layout(weights, f"a, b, c, k -> {panel}, c, k % {width}", prepacked=True)


def _make_points(s: Schedule, columns: str, points: str, at: Loop | None, lanes: int) -> None:
    """Make points at a loop, or (at=None) all of them before, in parallel."""
    if at is not None:
        s.compute_at(points, at=at)
    n, y, a, b, x, c = own_loops(s, points, 6)
    co, ci = s.split(c, lanes, tail="mask")
    if at is None:
        s.reorder(n, y, co, x, a, b, ci)
        share_bands(s, (n, y, co), 1)
    else:
        s.reorder(n, y, x, co, a, b, ci)
    _in_registers(s, columns, x if at is None else co, lanes)
    for loop in (a, b):
        s.unroll(loop)
    s.vectorize(ci, lanes)


@dataclass(frozen=True)
class Points(Plan):
    """A convolution by minimal filtering, with what is done to its elements afterwards."""

    blocks: Names
    padded: str
    rows: int
    part: int
    high: int
    wide: int
    columns: int
    lanes: int
    pack: str
    ahead: int

    @property
    def reason(self) -> str:
        weights = f"{self.pack} packed ahead" if self.pack else "weights in place"
        parts = f", {self.part} channels" if self.part else ""
        return (
            f"a convolution by minimal filtering: {self.rows} rows of tiles{parts} at a time, "
            f"products of {self.high} x {self.wide} tiles x {self.columns} channels, {weights}"
        )

    def apply(self, s: Schedule) -> None:
        tile_points(
            s, self.blocks, self.padded, self.rows, self.part,
            (self.high, self.wide, self.columns), self.lanes, self.pack, self.ahead,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {
            "rows": (1, 2, 4, 7, 8),
            "wide": tuple(range(1, 15)),
            "columns": tuple(self.lanes * n for n in range(1, 5)),
        }


def transformed_products(
    blocks: Sequence[BlockFacts], outputs: frozenset[Buffer], constants: frozenset[Buffer]
) -> list[Group]:
    """The convolutions by minimal filtering among some blocks, each a group of its own."""
    links = _Links(blocks, outputs)
    found = (links.around(block, constants) for block in blocks if len(block.data) == 6)
    return [group for group in found if group is not None]


class _Links:
    """Who makes a tensor for one block alone."""

    def __init__(self, blocks: Sequence[BlockFacts], outputs: frozenset[Buffer]) -> None:
        self._blocks = blocks
        self._outputs = outputs

    def _readers(self, block: BlockFacts) -> list[BlockFacts]:
        return [b for b in self._blocks if any(load.buffer in block.written for load in b.loads)]

    def _makers(self, block: BlockFacts) -> list[BlockFacts]:
        """Blocks of one write that this block alone reads."""
        read = {load.buffer for load in block.loads}
        return [
            b
            for b in self._blocks
            if b.written <= read and not b.written & self._outputs and not b.is_ordered
            if len(self._readers(b)) == 1
        ]

    def around(self, product: BlockFacts, constants: frozenset[Buffer]) -> Group | None:
        """The group of a product of points, if transforms of tiles are on both sides of it."""
        view = find_contraction(product)
        points = self._makers(product)
        if view is None or len(points) != 1 or not _walks(product, _POINTS, _POINTS):
            return None
        before = self._makers(points[0])
        after = self._readers(product)
        sinks = self._readers(after[0]) if len(after) == 1 else []
        if len(before) != 1 or len(sinks) != 1 or len(sinks[0].data) != 4:
            return None
        tiled = _walks(points[0], _POINTS, _POINTS) and _walks(before[0], _POINTS, _POINTS)
        if not tiled or not _walks(after[0], _TILE, _POINTS):
            return None
        padded = self._makers(before[0])
        members = [*padded, before[0], points[0], product, after[0]]
        return Group(sinks[0], (), members, constants=constants, transformed=True)


def _walks(block: BlockFacts, down: int, across: int) -> bool:
    """Whether axes 2 and 3 of six are the places in a tile."""
    return len(block.data) == 6 and [block.extent(v) for v in block.data[2:4]] == [down, across]


def match(group: Group, target: Target) -> Plan | None:
    """A product between transforms, on a machine with vectors."""
    if target.kind is not TargetKind.LLVM or not group.transformed:
        return None
    *padded, columns, points, product, restored = group.members
    if len(padded) > 1:
        return None
    lanes = target.lanes(product.bits)
    weights = next(load for load in product.loads if load.buffer not in points.written)
    pack = weights.buffer.name if weights.buffer in group.constants else ""
    far = 2 * _bytes(weights.buffer) > target.l2
    division = min(_divisions(product, lanes, target), key=lambda one: one.cycles)
    names = (columns.name, points.name, product.name, restored.name, group.sink.name)
    return Points(
        names, padded[0].name if padded else "", division.rows, division.part, division.high,
        division.wide, division.columns, lanes, pack,
        _AHEAD // division.columns if pack and far else 0,
    )  # fmt: skip


def _bytes(buffer: Buffer) -> int:
    """The size of a tensor, of which symbolic extents count as one."""
    return prod(constant(extent) or 1 for extent in buffer.shape) * buffer.dtype.bytes


@dataclass(frozen=True, slots=True)
class _Division:
    """One way to divide the work, and what it may take."""

    rows: int
    part: int
    high: int
    wide: int
    columns: int
    cycles: float


def _divisions(product: BlockFacts, lanes: int, target: Target) -> Iterator[_Division]:
    images, down, _, _, across, outputs = (product.extent(v) or 1 for v in product.data)
    channels = product.count(product.reduced) or 1
    size = product.bits // 8
    panels = -(-outputs // lanes)
    for rows in range(1, down + 1):
        tile = pixel_tile(
            Pixels(
                rows, across, outputs, channels,
                _POINTS * _POINTS * across * channels * size, channels * size,
            ),
            lanes, target,
        )  # fmt: skip
        for parts in range(1, min(panels, 4 * target.cores) + 1):
            if panels % parts:
                continue
            work = _Work(rows, across, channels, outputs // parts, size)
            groups = images * -(-down // rows)
            rounds = -(-groups * parts // target.cores)
            cycles = rounds * work.cycles(lanes, target)
            if parts > 1:  # all points go out to the L3 cache and come back
                every = images * down * across * _POINTS**2 * channels * size
                cycles += 2 * every / _FAR_BYTES / target.cores + _START
            part = outputs // parts if parts > 1 else 0
            yield _Division(rows, part, tile.high, tile.wide, tile.vectors * lanes, cycles)


@dataclass(frozen=True, slots=True)
class _Work:
    """One task: products of the points of some tiles."""

    rows: int
    across: int
    channels: int
    outputs: int
    size: int

    def cycles(self, lanes: int, target: Target) -> float:
        """Products, two in each cycle, and weights that come from a cache meanwhile."""
        points = _POINTS**2
        tiles = self.rows * self.across
        products = points * tiles * self.channels * -(-self.outputs // lanes) / 2
        weights = points * self.channels * self.outputs * self.size
        kept = points * tiles * (self.channels + self.outputs) * self.size
        supply = weights / (_NEAR_BYTES if weights + kept <= target.l2 else _FAR_BYTES)
        spilt = 2 * kept / _FAR_BYTES if kept > target.l2 * 3 // 4 else 0.0
        return max(products, supply) + min(products, supply) / 4 + spilt + _START


RULE = Rule("winograd", match)
