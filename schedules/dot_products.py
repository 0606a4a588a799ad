"""Matrix products by instructions that sum short dot products: AVX-512 VNNI and BF16.

parallel jo:                 # a panel of columns
  pack B[:, panel]           # what one instruction multiplies lies side by side
  for io:                    # rows
    acc[rows][columns] = 0;  for ko: acc += dot(A[rows, depth of k], B[depth of k, columns])
"""

from __future__ import annotations

from tdsl.errors import ScheduleError
from tdsl.ir.expr import Const
from tdsl.ir.instruction import INSTRUCTIONS, instruction_of
from tdsl.schedules.rules.blocks import Access, BlockFacts
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.shipped import declare_instructions


@combinator
def tile_dot_products(
    s: Schedule, block: str, tensor: str, instruction: str, rows: int = 6, columns: int = 64
) -> Loop:
    """Run a matrix product by an instruction, in register tiles on packed panels.

    Extents that no tile divides are padded. Targets without the instruction run what it means.

    Args:
        s: the schedule.
        block: a product of two matrices that no step has scheduled yet.
        tensor: the operand whose columns are the lanes.
        instruction: sums products of a run of one operand with a run for each lane of the other.
        rows: of a tile.
        columns: of a tile and a panel, a multiple of the instruction's lanes.

    Returns:
        The loop over panels, parallel.

    >>> import tdsl as td
    >>> A = td.placeholder((96, 64), "uint8", name="A")
    >>> B = td.placeholder((64, 128), "int8", name="B")
    >>> k = td.reduce_axis(64, name="k")
    >>> def term(i, j):
    ...     return td.sum(td.cast(A[i, k], "int32") * td.cast(B[k, j], "int32"), axis=k)
    >>> s = td.Schedule(td.func("matmul", [A, B], [td.compute((96, 128), term, name="C")]))
    >>> tile_dot_products(s, "C", "B", "vpdpbusd")
    <Loop B.C.jo>

    Raises:
        ScheduleError: it is no product of two matrices, or not the one that the instruction does.
    """
    lanes, depth = _shape(instruction, columns)
    operand, facts = _operand(s, block, tensor)
    copy = _copied(s, facts, tensor, columns, depth)
    i, j, k = s.loops(block)
    jo, ji = s.split(j, columns)
    io, ii = s.split(i, rows, tail="balance" if facts.extent(facts.data[0]) else "guard")
    s.reorder(jo, io, ii, ji)
    output = s.cache_write(block, "register", at=io)
    s.compute_at(copy, at=jo)
    _pack(s, copy, operand.dimension(facts.reduced[0]) == 0, lanes, depth)
    vector, lane = s.split(ji, lanes)
    ko, ki = s.split(k, depth)
    s.reorder(ko, ii, vector, lane, ki)
    for loop in (ii, vector, s.loops(output)[-2]):
        s.unroll(loop)
    s.tensorize(lane, instruction)
    s.vectorize(s.loops(output)[-1], lanes)
    return s.parallel(jo)


def _shape(instruction: str, columns: int) -> tuple[int, int]:
    """How many sums an instruction makes, and of how many products.

    Raises:
        ScheduleError: it makes no row of sums, or no number of them fills the columns of a tile.
    """
    if instruction not in INSTRUCTIONS:
        declare_instructions()
    found = instruction_of(instruction)
    extents = [it.extent.value for it in (*found.data, *found.reduced)
               if isinstance(it.extent, Const)]  # fmt: skip
    if len(found.data) != 1 or len(found.reduced) != 1 or len(extents) != 2:
        raise ScheduleError("tile_dot_products", f"{instruction!r} does not sum dot products")
    lanes, depth = int(extents[0]), int(extents[1])
    if columns % lanes:
        raise ScheduleError(
            "tile_dot_products", f"columns={columns} is no multiple of {lanes}",
            hint=f"{instruction!r} has {lanes} lanes",
        )  # fmt: skip
    return lanes, depth


def _copied(s: Schedule, facts: BlockFacts, tensor: str, columns: int, depth: int) -> str:
    """The copy of an operand that is packed, with margins where tiles would not be whole."""
    wide, deep = facts.extent(facts.data[-1]), facts.extent(facts.reduced[0])
    padded: tuple[str, ...] = ()
    if wide is None or deep is None or wide % columns or deep % depth:
        padded = s.pad_einsum(facts.name, (1, columns, depth))
    copy = f"{tensor}.{facts.name}"
    return copy if copy in padded else s.cache_read(facts.name, tensor)


def _operand(s: Schedule, block: str, tensor: str) -> tuple[Access, BlockFacts]:
    """How a block reads an operand.

    Raises:
        ScheduleError: the block is no product of matrices, or does not read that.
    """
    s.loops(block)  # tells what other blocks there are if it is none
    facts = BlockFacts(s.index.leaves[block].block)
    reads = [load for load in facts.loads if load.buffer.name == tensor]
    if len(facts.data) != 2 or len(facts.reduced) != 1 or len(facts.loads) != 2:
        raise ScheduleError("tile_dot_products", f"{block!r} is no product of two matrices")
    if not reads or facts.data[-1] not in reads[0].vars:
        names = [load.buffer.name for load in facts.loads if facts.data[-1] in load.vars]
        raise ScheduleError(
            "tile_dot_products", f"no column of {tensor!r} is a lane of {block!r}",
            hint=f"the columns are those of {', '.join(names)}",
        )  # fmt: skip
    return reads[0], facts


def _pack(s: Schedule, copy: str, is_deep_first: bool, lanes: int, depth: int) -> None:
    """What one instruction multiplies lies side by side, and is written by one store."""
    names = "k, j" if is_deep_first else "j, k"
    s.transform_layout(copy, f"{names} -> k // {depth}, j, k % {depth}")
    first, second = s.loops(copy)[-2:]
    k, j = (first, second) if is_deep_first else (second, first)
    ko, ki = s.split(k, depth)
    jo, ji = s.split(j, lanes)
    s.reorder(ko, jo, ji, ki)
    s.vectorize(s.fuse(ji, ki))
