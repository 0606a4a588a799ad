"""Products and convolutions: a tile of the result for each work-group, operands in local memory.

group.y io, group.x jo:
  for ko:
    local copies of what the tile needs of A and B
    local.y im, local.x jm:  acc[4][4] += A[..] * B[..]     # a private tile
  epilogue(acc)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops
from tdsl.scheduling import Loop, Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_SIDE = 8  # work-items of a group along each axis
_TILE = 4  # elements of a work-item along each axis
_DEPTH = 8  # terms whose operands are in local memory at a time


@combinator
def group_product(
    s: Schedule,
    block: str,
    sink: str,
    own: tuple[int, int],
    sides: tuple[int, int],
    tile: tuple[int, int],
    depth: int,
    data: int,
    shared: tuple[str, ...] = (),
    lanes: int = 0,
) -> None:
    """Compute a product in tiles, one for each work-group.

    Args:
        block: the reduction.
        sink: the block that reads it element by element, or the block itself.
        own: positions of its row and its column axis.
        sides: work-items of a group along rows and columns.
        tile: rows and columns of one work-item.
        depth: iterations of the first reduction axis between barriers.
        data: how many axes are data axes; they come first.
        shared: operands that are copied to local memory.
        lanes: of vectors along the columns of a tile; 0: elements one by one.
    """
    loops = s.loops(block)
    row, column = own
    batch = [loop for n, loop in enumerate(loops[:data]) if n not in own]
    io, im, ii = s.split(loops[row], (None, sides[0], tile[0]))
    jo, jm, ji = s.split(loops[column], (None, sides[1], tile[1]))
    ko, ki = s.split(loops[data], depth)
    s.reorder(*batch, io, jo, ko, im, jm, ki, *loops[data + 1 :], ii, ji)
    if batch:
        outer = batch[0]
        for inner in batch[1:]:
            outer = s.fuse(outer, inner)
        s.bind(outer, "group.z")
    for loop, axis in ((io, "group.y"), (jo, "group.x"), (im, "local.y"), (jm, "local.x")):
        s.bind(loop, axis)
    for operand in shared:
        _stage(s, block, operand, ko, sides)
    if sink == block:
        sink = s.cache_write(block, "register", at=jo)
    else:
        s.reverse_compute_at(sink, at=jo)
        s.set_scope(block, "register")
    out = own_loops(s, sink, data)
    oim, oii = s.split(out[row], tile[0])
    ojm, oji = s.split(out[column], tile[1])
    s.reorder(oim, ojm, oii, oji)
    s.bind(oim, "local.y")
    s.bind(ojm, "local.x")
    for loop in (ii, oii):
        s.unroll(loop)
    for loop in (ji, oji):
        if lanes:
            s.vectorize(loop, lanes)
        else:
            s.unroll(loop)


def _stage(s: Schedule, block: str, operand: str, at: Loop, sides: tuple[int, int]) -> None:
    """The work-items of a group copy what they need of an operand together."""
    copy = s.cache_read(block, operand, scope="shared", at=at)
    loops = own_loops(s, copy, len(s.nest.block(copy).reads[0].indices))
    one = loops[0]
    for inner in loops[1:]:
        one = s.fuse(one, inner)
    _, y, x = s.split(one, (None, *sides))
    s.bind(y, "local.y")
    s.bind(x, "local.x")


@dataclass(frozen=True)
class GroupProduct(Plan):
    """A product or a convolution, with what is done to its elements afterwards."""

    block: str
    sink: str
    own: tuple[int, int]
    side: int
    tile: int
    depth: int
    data: int
    shared: tuple[str, ...]

    @property
    def reason(self) -> str:
        side = self.side * self.tile
        return f"a product: tiles of {side} x {side}, {' and '.join(self.shared)} in local memory"

    def apply(self, s: Schedule) -> None:
        group_product(
            s, self.block, self.sink, self.own, (self.side, self.side), (self.tile, self.tile),
            self.depth, self.data, self.shared,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"side": (4, 8, 16), "tile": (1, 2, 4, 8), "depth": (4, 8, 16, 32)}


def match(group: Group, target: Target) -> Plan | None:
    """A contraction, alone or with one block that reads it elementwise."""
    if target.kind is not TargetKind.OPENCL or len(group.members) > 1 or not group.is_whole:
        return None
    facts, sink = group.blocks[0], group.sink
    view = find_contraction(facts)
    if view is None or [group.ties[facts.name][v] for v in sink.data] != list(facts.data):
        return None
    row = facts.data.index(view.rows[-1])
    operands = {load.buffer.name for load in (*view.vectors, *view.scalars)}
    return GroupProduct(
        facts.name, sink.name, (row, facts.data.index(view.column)), _SIDE, _TILE, _DEPTH,
        len(facts.data), tuple(sorted(operands)),
    )  # fmt: skip


RULE = Rule("product", match)
