"""Convolutions: vectors of output channels, packed weights, and a tile of one output row.

    pack W                              # [panel][channels][window][columns]
    parallel n, oo, y:                  # a panel of output channels, an output row
      for xo:
        acc[rows][columns] = 0
        for c, r, s: acc += X[c, y + r, x + s] * W[oo, c, r, s]
        tile[x][columns] = acc
      out[columns][x] = epilogue(tile)  # squares turned in registers

Vectors of channels make stride, dilation and padding a matter of scalar addresses, and leave no
lane idle where rows are short. Products whose result is dense along the broadcast operand's axis
(1x1 convolutions) have the same form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.contraction import Contraction, views_of
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops, pack_operand, pass_packed, spread
from tdsl.schedules.rules.tiles import register_tile
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_SIDE = 16  # of the squares that are turned

_IDLE = 2.0  # vectors for each whole one, from which on a plain product is turned


@combinator
def tile_windows(
    s: Schedule,
    block: str,
    sink: str,
    rank: int,
    axes: tuple[int, int],
    panels: tuple[int, ...],
    tile: tuple[int, int],
    lanes: int,
    pack: str,
    dimension: int,
    tasks: int,
    tail: str = "balance",
    whole: bool = False,
    ahead: bool = False,
) -> None:
    """Compute the convolution *block*, a row of tiles at a time, where *sink* uses them.

    Args:
        block: the reduction; its data axes are those of the sink, in the same order.
        sink: the block that reads it, or the block itself: then a copy-out takes that part.
        rank: how many axes the block has.
        axes: positions of the row (spatial) and the column (channel) axis.
        panels: positions of the axes outside the panels of channels (the batch).
        tile: rows and columns of a tile.
        lanes: elements of a vector.
        pack: the operand that walks the columns; it is copied into panels.
        dimension: the dimension of it that the columns walk.
        tasks: how many parallel tasks are enough.
        tail: how rows that do not fill a tile are done.
        whole: whether all panels are packed beforehand, so that rows of one are tasks of their own.
        ahead: whether the operand is an argument that is passed packed.
    """
    made = block
    if sink == block:
        sink, made = s.cache_write(block, "global"), f"{block}.cache"
    loops = s.loops(sink)
    row, column = axes
    outer = [loops[n] for n in panels]
    inner = [loop for n, loop in enumerate(loops) if n not in panels and n not in axes]
    oo, oi = s.split(loops[column], tile[1], tail="mask")
    s.reorder(*outer, oo, *inner, oi, loops[row])
    if ahead:
        pass_packed(s, pack, dimension, tile[1])
    elif whole:
        pack_operand(s, block, pack, None, dimension, tile[1], lanes)
    shared = spread(s, (*outer, oo, *inner) if whole else (*outer, oo), tasks)
    at = inner[-1] if inner else oo
    s.compute_at(block, at=at if at.is_alive else shared)
    names = [f"d{n}" for n in range(len(loops))]
    moved = [*(name for n, name in enumerate(names) if n != column), names[column]]
    s.transform_layout(made, f"{', '.join(names)} -> {', '.join(moved)}")
    own = own_loops(s, block, rank)
    xo, xi = s.split(own[row], tile[0], tail=tail)
    s.reorder(
        *(loop for n, loop in enumerate(own[: len(loops)]) if n not in axes),
        xo, *own[len(loops) :], xi, own[column],
    )  # fmt: skip
    s.unroll(xi)
    s.vectorize(own[column], lanes)
    if not (whole or ahead):
        pack_operand(s, block, pack, oo if oo.is_alive else shared, dimension, tile[1], lanes)
    so, si = s.split(oi, _SIDE)
    xo, xi = s.split(loops[row], _SIDE)
    s.reorder(so, xo, si, xi)
    s.unroll(si)
    s.vectorize(xi, _SIDE)


@dataclass(frozen=True)
class Windows(Plan):
    """A convolution, with what is done to its elements afterwards."""

    block: str
    sink: str
    rank: int
    axes: tuple[int, int]
    panels: tuple[int, ...]
    rows: int
    columns: int
    lanes: int
    pack: str
    dimension: int
    tasks: int
    tail: str
    whole: bool
    ahead: bool

    @property
    def reason(self) -> str:
        fused = "" if self.sink == self.block else f", {self.sink} applied to each row"
        return (
            f"a convolution: tiles of {self.rows} positions x {self.columns} channels, "
            f"{self.pack} packed{' ahead' if self.ahead else ''}{fused}"
        )

    def apply(self, s: Schedule) -> None:
        tile_windows(
            s, self.block, self.sink, self.rank, self.axes, self.panels,
            (self.rows, self.columns), self.lanes, self.pack, self.dimension, self.tasks,
            tail=self.tail, whole=self.whole, ahead=self.ahead,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        sizes = tuple(self.lanes * n for n in range(1, 5))
        return {"rows": tuple(range(1, 15)), "columns": sizes}


def match(group: Group, target: Target) -> Plan | None:
    """A contraction whose columns are not the last axis of the result."""
    if target.kind is not TargetKind.LLVM or len(group.members) > 1 or not group.is_whole:
        return None
    facts, sink = group.blocks[0], group.sink
    if [group.ties[facts.name][v] for v in sink.data] != list(facts.data):
        return None
    views = [view for view in views_of(facts) if _fits(view)]
    if not views or not _pays(views[0], target):
        return None
    return _plan(group, views[0], target)


def _fits(view: Contraction) -> bool:
    """Whether the result is dense along a row axis, and one operand can be packed."""
    facts = view.facts
    last = facts.data[-1]
    operand = view.vectors[0]
    if len(view.vectors) != 1 or last not in view.rows or not facts.writes[0].is_dense(last):
        return False
    dimension = operand.dimension(view.column)
    return dimension is not None and operand.index_var(dimension) is view.column


def _pays(view: Contraction, target: Target) -> bool:
    """Whether turning the result costs less than lanes that stay idle along its last axis."""
    facts = view.facts
    if view.slides:
        return True
    last = facts.data[-1]
    length, lanes = facts.extent(last), target.lanes(facts.bits)
    depth = facts.count(facts.reduced)
    if length is None or depth is None:
        return False
    used = length / (-(-length // lanes) * lanes)
    plain = sum(facts.extent(v) != 1 for v in view.rows) == 1
    least = _IDLE if plain else 1.0  # masked lanes of a product cost less than turning it
    return 1 / used > max(least, 1 + lanes / max(depth, 1))


def _plan(group: Group, view: Contraction, target: Target) -> Windows:
    facts = view.facts
    row = facts.data[-1]
    lanes = target.lanes(facts.bits)
    tile = register_tile(facts.extent(row), facts.extent(view.column), lanes, target, even=True)
    operand = view.vectors[0]
    dimension = operand.dimension(view.column)
    assert dimension is not None
    panels = tuple(n for n, v in enumerate(facts.data) if v in view.batch)
    outside = _least(facts, tuple(facts.data[n] for n in panels))
    outside *= -(-_least(facts, (view.column,)) // tile.columns)
    tasks = 4 * target.cores
    return Windows(
        facts.name, group.sink.name, len(facts.block.iters),
        (len(facts.data) - 1, facts.data.index(view.column)), panels,
        tile.rows, tile.columns, lanes, operand.buffer.name, dimension, tasks,
        "guard" if facts.extent(row) is None else "balance", outside < tasks,
        operand.buffer in group.constants,
    )  # fmt: skip


def _least(facts: BlockFacts, axes: tuple[Var, ...]) -> int:
    """Points of some axes, symbolic ones counted as 1."""
    total = 1
    for var in axes:
        total *= facts.extent(var) or 1
    return total


RULE = Rule("conv", match)
