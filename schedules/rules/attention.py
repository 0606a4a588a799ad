"""Products of rows that are made on the spot: attention, tile of queries by tile of queries.

pack K                                  # [batch][panel of keys][depth][64]
parallel h, qo:
  P[rows][keys] = Q K                   # register tiles, kept in the L1 cache
  M, E, T, W: rows of softmax           # as the rule for reductions does it
  acc[rows][columns] = sum over keys of W * V
  Y = acc
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.contraction import Contraction, find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.reduction import Member, member_of, vectorize_row
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import hold_tile, own_loops, pack_operand, spread
from tdsl.schedules.rules.tiles import register_tile
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

# block, rank, row, column, operand to pack, the dimension that columns walk, columns of a tile
Scores = tuple[str, int, int, int, str, int, int]


@combinator
def tile_rows(
    s: Schedule,
    block: str,
    own: tuple[int, int, int],
    batch: tuple[int, ...],
    tile: tuple[int, int],
    lanes: int,
    tasks: int,
    members: tuple[Member, ...],
    scores: tuple[Scores, ...] = (),
    tail: str = "guard",
) -> None:
    """Compute a product a tile of rows at a time, with all that these rows are made of.

    Args:
        block: the product.
        own: how many axes it has, and positions of its row and its column axis.
        batch: positions of its other data axes.
        tile: rows and columns of a register tile.
        lanes: elements of a vector.
        tasks: how many parallel tasks are enough.
        members: the blocks that make the rows, in order, as for `fuse_rows`.
        scores: products among them: name, number of axes, positions of row and column axis, the
            operand that is packed, which of its dimensions the columns walk, columns of a tile.
        tail: how rows that do not fill a tile are done.
    """
    output = s.cache_write(block, "register")
    loops = s.loops(output)
    _, row, column = own
    kept = [loops[n] for n in batch]
    jo, ji = s.split(loops[column], tile[1], tail="mask")
    io, ii = s.split(loops[row], tile[0], tail=tail)
    s.reorder(*kept, io, jo, ii, ji)
    products = {one[0]: one for one in scores}
    for name, _, _, _, operand, dimension, width in scores:
        pack_operand(s, name, operand, None, dimension, width, lanes)
    shared = spread(s, (*kept, io), tasks)
    at = io if io.is_alive else shared
    hold_tile(s, block, jo, *own, lanes)
    for name, *_ in reversed(members):
        s.compute_at(name, at=at)
    for name, axes, dense, width, step, reduces in members:
        if name in products:
            _, rank, q, k, _, _, columns = products[name]
            _tile_scores(s, name, rank, q, k, columns, lanes)
        elif width > 1:
            vectorize_row(s, name, own_loops(s, name, axes), dense, width, step, reduces=reduces)
    s.unroll(ii)
    s.vectorize(ji, lanes)


def _tile_scores(
    s: Schedule, block: str, rank: int, row: int, column: int, columns: int, lanes: int
) -> None:
    """A product of few rows, all of them in one register tile; accumulators are carried."""
    loops = own_loops(s, block, rank)
    ko, ki = s.split(loops[column], columns, tail="mask")
    rest = [loop for n, loop in enumerate(loops) if n not in (row, column)]
    s.reorder(ko, *rest, loops[row], ki)
    s.unroll(loops[row])
    s.vectorize(ki, lanes)


@dataclass(frozen=True)
class TiledRows(Plan):
    """A product of rows that are made where it needs them."""

    block: str
    own: tuple[int, int, int]
    batch: tuple[int, ...]
    rows: int
    columns: int
    lanes: int
    tasks: int
    members: tuple[Member, ...]
    scores: tuple[Scores, ...]
    tail: str

    @property
    def reason(self) -> str:
        names = ", ".join(name for name, *_ in self.members)
        return f"a product of rows made on the spot: {names} for {self.rows} rows at a time"

    def apply(self, s: Schedule) -> None:
        tile_rows(
            s, self.block, self.own, self.batch, (self.rows, self.columns), self.lanes, self.tasks,
            self.members, self.scores, tail=self.tail,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"rows": (2, 4, 6, 7)}


def match(group: Group, target: Target) -> Plan | None:
    """A contraction whose row operand comes from reductions along those rows."""
    if target.kind is not TargetKind.LLVM or not group.chained:
        return None
    view = find_contraction(group.sink)
    if view is None or view.slides or len(view.rows) != 1:
        return None
    facts = group.sink
    (row,) = view.rows
    lanes = target.lanes(facts.bits)
    vectors = 4 if target.vector_registers >= 32 else 2
    width = facts.extent(view.column)
    tile = register_tile(6, width, lanes, target)
    found = [_scores(b, group, lanes * vectors) for b in group.members if find_contraction(b)]
    scores = tuple(one for one in found if one is not None)
    if len(scores) < len(found):
        return None
    position = facts.data.index
    return TiledRows(
        facts.name,
        (len(facts.block.iters), position(row), position(view.column)),
        tuple(position(v) for v in view.batch),
        tile.rows, tile.columns, lanes, 4 * target.cores,
        tuple(member_of(b, group, target) for b in group.members),
        scores, "guard" if facts.extent(row) is None else "balance",
    )  # fmt: skip


def _scores(block: BlockFacts, group: Group, columns: int) -> Scores | None:
    """How a product among the members is tiled: its columns are the axis that is not shared."""
    tied = {group.ties[block.name][v] for v in group.shared}
    free = [v for v in block.data if v not in tied]
    view = find_contraction(block)
    if view is None or len(free) != 1 or view.column is not free[0] or len(view.vectors) != 1:
        return None
    row = _row(view, group, block)
    operand = view.vectors[0]
    dimension = operand.dimension(view.column)
    if row is None or dimension is None:
        return None
    axes = [it.var for it in block.block.iters]
    return (
        block.name, len(axes), axes.index(row), axes.index(view.column), operand.buffer.name,
        dimension, columns,
    )  # fmt: skip


def _row(view: Contraction, group: Group, block: BlockFacts) -> Var | None:
    """The row axis of a member that follows the row axis of the sink."""
    sink = find_contraction(group.sink)
    assert sink is not None
    row = group.ties[block.name].get(sink.rows[0])
    return row if row in view.rows else None


RULE = Rule("attention", match)
