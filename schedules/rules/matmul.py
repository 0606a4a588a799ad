"""Products of matrices: packed panels of columns, and a register tile swept along the rows.

parallel jo:                    # a panel of columns
  pack B[:, panel]              # stays in the L2 cache
  for io:                       # rows
    acc[rows][columns] = 0;  for k: acc += A[rows, k] * B[k, columns]
    epilogue(acc)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import Access, BlockFacts, constant
from tdsl.schedules.rules.contraction import Contraction, find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import (
    hold_tile,
    pack_operand,
    pass_packed,
    spread,
    turn_operand,
)
from tdsl.schedules.rules.tiles import register_tile
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_REUSES = 3  # panels of rows from which on packing pays
_EVEN = 0.8  # of the cores' time that panels of columns must fill, or rows are shared out
_LINE = 64
_PAGE = 4096
_ALIASED = 2048  # bytes between rows that meet in few sets of the L1 cache


@combinator
def tile_product(
    s: Schedule,
    block: str,
    sink: str,
    own: tuple[int, int, int],
    axes: tuple[int, int],
    tile: tuple[int, int],
    lanes: int,
    tail: str = "guard",
    pack: str = "",
    dimension: int = -1,
    by_rows: bool = False,
    ahead: bool = False,
    turn: tuple[str, int] = ("", 0),
    tasks: int = 8,
) -> None:
    """Compute the product *block* in register tiles where *sink* uses them.

    Args:
        block: the reduction.
        sink: the block that reads it, or the block itself: then a copy-out takes that part.
        own: how many axes the block has, and positions of its row and column axis.
        axes: positions among the sink's loops of the row and the column axis.
        tile: rows and columns of a tile.
        lanes: elements of a vector.
        tail: how rows that do not fill a tile are done.
        pack: the operand that is copied into panels, or nothing.
        dimension: the dimension of that operand which the columns walk.
        by_rows: whether tasks are panels of rows; then all of the operand is packed beforehand.
        ahead: whether the operand is an argument that is passed packed.
        turn: the other operand, where it is first copied so that a dimension of it is dense.
        tasks: how many parallel tasks are enough.
    """
    if turn[0]:
        turn_operand(s, block, *turn, tasks)
    if sink == block:
        sink = s.cache_write(block, "register")
    loops = s.loops(sink)
    row, column = axes
    others = [loop for n, loop in enumerate(loops) if n not in axes]
    jo, ji = s.split(loops[column], tile[1], tail="mask")
    io, ii = s.split(loops[row], tile[0], tail=tail)
    outer = [*others, io, jo] if by_rows else [*others, jo, io]
    s.reorder(*outer, ii, ji)
    if pack and ahead:
        pass_packed(s, pack, dimension, tile[1])
    elif pack and by_rows:
        pack_operand(s, block, pack, None, dimension, tile[1], lanes)
    spread(s, tuple(outer[:-1]), tasks)
    hold_tile(s, block, outer[-1], *own, lanes)
    if pack and not (by_rows or ahead):
        pack_operand(s, block, pack, jo, dimension, tile[1], lanes)
    s.unroll(ii)
    s.vectorize(ji, lanes)


@dataclass(frozen=True)
class Product(Plan):
    """A product of matrices, with what is done to its elements afterwards."""

    block: str
    sink: str
    own: tuple[int, int, int]
    axes: tuple[int, int]
    rows: int
    columns: int
    lanes: int
    tail: str
    pack: str
    dimension: int
    by_rows: bool
    ahead: bool
    turn: tuple[str, int]
    tasks: int

    @property
    def reason(self) -> str:
        packed = f"{self.pack} packed" if self.pack else "operands in place"
        packed += " ahead" if self.ahead else ""
        packed += f", {self.turn[0]} turned" if self.turn[0] else ""
        fused = "" if self.sink == self.block else f", {self.sink} applied to each tile"
        return f"a product: tiles of {self.rows} x {self.columns}, {packed}{fused}"

    def apply(self, s: Schedule) -> None:
        tile_product(
            s, self.block, self.sink, self.own, self.axes, (self.rows, self.columns), self.lanes,
            tail=self.tail, pack=self.pack, dimension=self.dimension, by_rows=self.by_rows,
            ahead=self.ahead, turn=self.turn, tasks=self.tasks,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        sizes = tuple(self.lanes * n for n in range(1, 7))
        return {"rows": tuple(range(1, 15)), "columns": sizes}


def match(group: Group, target: Target) -> Plan | None:
    """A contraction that does not slide, alone or with one block that reads it elementwise."""
    if target.kind is not TargetKind.LLVM or len(group.members) > 1 or not group.is_whole:
        return None
    facts = group.blocks[0]
    view = find_contraction(facts)
    if view is None or view.slides:
        return None
    return plan_product(group, view, target)


def plan_product(group: Group, view: Contraction, target: Target) -> Product:
    """Sizes for a product."""
    facts, sink = view.facts, group.sink
    row = max(view.rows, key=lambda v: (facts.extent(v) or 1 << 30, facts.data.index(v)))
    height, width = facts.extent(row), facts.extent(view.column)
    lanes = target.lanes(facts.bits)
    tile = register_tile(height, width, lanes, target)
    outside = 1
    for var in facts.data:
        if var is not row and var is not view.column:
            outside *= facts.extent(var) or 1
    panels = -(-(width or 1 << 20) // tile.columns)
    tasks = 4 * target.cores
    by_rows = _evenness(panels * outside, target.cores) < _EVEN
    operand = view.vectors[0]
    dimension = operand.dimension(view.column)
    dense = operand.is_dense(view.column)
    reuses = -(-(height or 1 << 20) // tile.rows)
    worth = not dense or (reuses > _REUSES and panels > 1 and not _is_near(operand, target))
    ahead = operand.buffer in group.constants
    pack = operand.buffer.name if (worth or ahead) and dimension is not None else ""
    back = {mine: theirs for theirs, mine in group.ties[facts.name].items()}
    position = sink.data.index
    return Product(
        facts.name, sink.name, _own(facts, row, view),
        (position(back[row]), position(back[view.column])),
        tile.rows, tile.columns, lanes, "guard" if height is None else "balance",
        pack, -1 if dimension is None else dimension, by_rows, ahead and bool(pack),
        _turned(view, row) if panels > _REUSES else ("", 0), tasks,
    )  # fmt: skip


def _turned(view: Contraction, row: Var) -> tuple[str, int]:
    """The operand of broadcast scalars, where each of a column of them is on a page of its own."""
    facts = view.facts
    if len(view.scalars) != 1 or len(facts.reduced) != 1:
        return "", 0
    (operand,) = view.scalars
    deep, pitch = operand.dimension(facts.reduced[0]), constant(operand.buffer.shape[-1])
    far = pitch is not None and pitch * operand.buffer.dtype.bytes >= _PAGE
    if deep is None or deep == len(operand.forms) - 1 or not far or not operand.is_dense(row):
        return "", 0
    return operand.buffer.name, deep


def _evenness(tasks: int, cores: int) -> float:
    """The share of the time that cores are busy with tasks of one size."""
    return tasks / (-(-tasks // cores) * cores)


def _is_near(operand: Access, target: Target) -> bool:
    """Whether an operand stays in the L2 cache beside others, its rows lines of different sets."""
    shape = [constant(extent) for extent in operand.buffer.shape[-2:]]
    if None in shape:
        return False
    pitch = (shape[-1] or 0) * operand.buffer.dtype.bytes
    whole = pitch % _LINE == 0 and pitch % _ALIASED != 0
    return whole and (shape[0] or 0) * pitch <= target.l2 // 8


def _own(facts: BlockFacts, row: Var, view: Contraction) -> tuple[int, int, int]:
    names = [it.var for it in facts.block.iters]
    return len(names), names.index(row), names.index(view.column)


RULE = Rule("matmul", match)
