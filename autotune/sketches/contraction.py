"""Multi-level tiling of contractions, fused with an elementwise consumer.

parallel panels of columns x rows, blocks of rows for the second cache, a packed operand, and a
tile of accumulators in registers:

    for jo, io:  acc = 0;  for k: acc[rows][columns] += A[rows, k] * B[k, columns];  epilogue(acc)

or, with the reduction in blocks, accumulating in memory:

    for jo, ko, io:  for ki: C[rows][columns] += A[rows, ki] * B[ki, columns]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tdsl.autotune.sketches import turned
from tdsl.autotune.sketches.naming import Named
from tdsl.autotune.sketches.sharing import share
from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.contraction import Contraction, find_contraction, views_of
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.steps import hold_tile, pack_operand, pass_packed
from tdsl.scheduling import Loop, Schedule

_MOST_VECTORS = 6
_MOST_ROWS = 16
_LARGE = 256  # terms from which on a reduction is tried in blocks


@dataclass(frozen=True)
class _Product:
    """What a rule knows of the product that it schedules."""

    group: Group
    view: Contraction
    row: Var
    lanes: int

    @property
    def facts(self) -> BlockFacts:
        """The reduction."""
        return self.view.facts

    @property
    def own(self) -> tuple[int, int, int]:
        """How many axes the reduction has, and the positions of its row and its column."""
        names = [it.var for it in self.facts.block.iters]
        return len(names), names.index(self.row), names.index(self.view.column)

    @property
    def operand(self) -> tuple[str, int | None]:
        """The operand that vectors are loaded from, and its dimension that columns walk."""
        vectors = self.view.vectors[0]
        return vectors.buffer.name, vectors.dimension(self.view.column)

    @property
    def packings(self) -> list[str]:
        """What can be done with that operand; one that is not dense along columns is packed."""
        vectors, reduced = self.view.vectors[0], set(self.facts.reduced)
        slides = any(form.vars() & reduced and form.vars() - reduced for form in vectors.forms)
        if slides or self.operand[1] is None:
            return ["none"]
        ahead = ["ahead"] if vectors.buffer in self.group.constants else []
        dense = ["none"] if vectors.is_dense(self.view.column) else []
        return [*ahead, "panel", "whole", *dense]


def fits(_s: Schedule, group: Group) -> bool:
    """A contraction, alone or with one consumer that reads it elementwise."""
    alone = len(group.members) <= 1 and group.is_whole
    return alone and find_contraction(group.blocks[0]) is not None


def sketch(s: Schedule, knob: Named, group: Group) -> None:
    """Tiles in registers, the reduction in blocks, or channels innermost and turned."""
    facts = group.blocks[0]
    ways = _ways(group)
    names = [f"{_NAMES[way]} {number}" for number, (way, _) in enumerate(ways, start=1)]
    way, view = ways[names.index(knob.choice("form", names))]
    if way is turned.sketch:
        turned.sketch(s, knob, group, view)
        return
    row = max(view.rows, key=lambda v: (facts.extent(v) or 1 << 30, facts.data.index(v)))
    way(s, knob, _Product(group, view, row, s.target.lanes(facts.bits)))


def _ways(group: Group) -> list[tuple[Callable[..., None], Contraction]]:
    """What can be done with each view of the reduction as a product, the most promising first."""
    facts = group.blocks[0]
    views = sorted(views_of(facts), key=lambda v: v.facts.writes[0].is_dense(v.column))
    ways: list[tuple[Callable[..., None], Contraction]] = []
    for view in views:
        if facts.writes[0].is_dense(view.column):
            ways.append((_in_registers, view))
            if group.sink is facts and not view.slides and _longest(facts) > _LARGE:
                ways.append((_in_memory, view))
        elif turned.fits(group, view):
            ways.append((turned.sketch, view))
    best = find_contraction(facts)
    assert best is not None
    return ways or [(_in_registers, best)]


def _longest(facts: BlockFacts) -> int:
    return max(facts.extent(v) or 1 << 20 for v in facts.reduced)


def _in_registers(s: Schedule, knob: Named, product: _Product) -> None:
    """Tiles of accumulators in registers, all of the reduction inside."""
    facts = product.facts
    loops, row, column = _sink_loops(s, product)
    tensor, dimension = product.operand
    vectors = knob.int("vectors", 1, _MOST_VECTORS)
    rows = knob.tile("rows", loops[row], _MOST_ROWS)
    knob.require(rows * vectors + vectors + 1 <= s.target.vector_registers)
    columns = vectors * product.lanes
    others = [loop for n, loop in enumerate(loops) if n not in (row, column)]
    jo, ji = s.split(loops[column], columns, tail="mask")
    tail = "balance" if facts.extent(product.row) is not None else "guard"
    io, ii = s.split(loops[row], rows, tail=tail)
    outer, panel = _outer_order(s, knob, others, io, jo)
    s.reorder(*outer, ii, ji)
    packings = [way for way in product.packings if panel or way != "panel"]
    packing = knob.choice("pack", packings)
    if packing == "ahead" and dimension is not None:
        pass_packed(s, tensor, dimension, columns)
    if packing == "whole" and dimension is not None:
        pack_operand(s, facts.name, tensor, None, dimension, columns, product.lanes)
    parallel = share(s, knob, outer[:-1])
    hold_tile(s, facts.name, outer[-1], *product.own, product.lanes)
    if packing == "panel" and dimension is not None:
        at = jo if jo.is_alive else parallel
        pack_operand(s, facts.name, tensor, at, dimension, columns, product.lanes)
    s.unroll(ii)
    s.vectorize(ji, product.lanes)


def _sink_loops(s: Schedule, product: _Product) -> tuple[list[Loop], int, int]:
    """The loops that are tiled: of the consumer, or of a copy-out of the reduction itself."""
    facts, sink = product.facts, product.group.sink
    back = {mine: theirs for theirs, mine in product.group.ties[facts.name].items()}
    row = sink.data.index(back[product.row])
    column = sink.data.index(back[product.view.column])
    name = s.cache_write(facts.name, "register") if sink is facts else sink.name
    return list(s.loops(name)), row, column


def _outer_order(
    s: Schedule, knob: Named, others: list[Loop], io: Loop, jo: Loop
) -> tuple[list[Loop], bool]:
    """The loops outside a tile, and whether columns are outside of rows."""
    order = knob.choice("order", ["columns", "rows", "blocks of rows"])
    if order == "columns":
        return [*others, jo, io], True
    if order == "rows":
        return [*others, io, jo], False
    block, within = s.split(io, knob.tile("block", io, 64))
    return [*others, block, jo, within], True


def _in_memory(s: Schedule, knob: Named, product: _Product) -> None:
    """Blocks of the reduction outside the rows: panels of both operands stay in caches."""
    facts = product.facts
    loops = dict(zip((it.var for it in facts.block.iters), s.loops(facts.name), strict=True))
    tensor, dimension = product.operand
    vectors = knob.int("vectors", 1, _MOST_VECTORS)
    rows = knob.tile("rows", loops[product.row], _MOST_ROWS)
    knob.require(rows * vectors + vectors + 1 <= s.target.vector_registers)
    columns = vectors * product.lanes
    deepest = max(facts.reduced, key=lambda v: facts.extent(v) or 1 << 20)
    others = [loops[v] for v in facts.data if v not in (product.row, product.view.column)]
    reduced = [loops[v] for v in facts.reduced if v is not deepest]
    jo, ji = s.split(loops[product.view.column], columns, tail="mask")
    io, ii = s.split(loops[product.row], rows)
    ko, ki = s.split(loops[deepest], knob.tile("depth", loops[deepest], 1024))
    s.reorder(*others, jo, ko, io, *reduced, ki, ii, ji)
    packings = [way for way in product.packings if way != "whole"]
    packing = knob.choice("pack", packings)
    if packing == "ahead" and dimension is not None:
        pass_packed(s, tensor, dimension, columns)
    if packing == "panel" and dimension is not None:
        pack_operand(s, facts.name, tensor, ko, dimension, columns, product.lanes)
    share(s, knob, [*others, jo])
    s.unroll(ii)
    s.vectorize(ji, product.lanes)


_NAMES: dict[Callable[..., None], str] = {
    _in_registers: "registers",
    _in_memory: "memory",
    turned.sketch: "turned",
}
