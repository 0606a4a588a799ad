"""pipeline and double_buffer: make what an iteration reads while an earlier one computes."""

from __future__ import annotations

from dataclasses import replace

from tdsl.analysis.regions import needed_box
from tdsl.ir.affine import linear, tidy
from tdsl.ir.build import add, index
from tdsl.ir.expr import Buffer, Const
from tdsl.ir.stmt import Alloc, For, Layout, Leaf, Stmt
from tdsl.ir.visit import accessed_buffers, free_vars, own_vars, path_to
from tdsl.scheduling.arguments import BlockArg, FactorArg, LoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.primitives.shifts import delayed, walkable
from tdsl.scheduling.rings import folded, is_ring, plain_layout, unfolded
from tdsl.scheduling.tree import drop_alloc, leaves_below, map_leaves, swap


@primitive
def pipeline(
    edit: Edit, block: BlockArg, at: LoopArg, ahead: FactorArg = 1, unsafe: bool = False
) -> Loop:
    """Make what an iteration of a loop reads some iterations ahead, in a ring of buffers.

    The block runs `ahead` iterations before its readers, and its tensor keeps what the iterations
    between them need: loads that wait for memory run beside computation that does not need them.

    Args:
        block: the producer, computed inside the loop: a copy by cache_read(at=loop), say.
        at: a serial loop around it and its readers; its handle stays.
        ahead: by how many iterations the producer runs ahead.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> A = td.placeholder((64, 32), "float32", name="A")
    >>> B = td.compute((64, 32), lambda i, j: A[i, 31 - j] * 2.0, name="B")
    >>> s = td.Schedule(td.func("f", [A], [B]))
    >>> _ = s.cache_read("B", "A", at="B.i")
    >>> s.pipeline("A.B", at="B.i")
    <Loop A.B.i>
    >>> print(s.nest)
    alloc A.B: f32[64, 32] stored at [i % 2, j]
    for i in 65:
      for i_1 in 1:
        for d1 in 32:
          if i < 64: A.B[i + i_1, d1] = A[i + i_1, d1]
      for j in 32:
        if i - 1 >= 0: B[i - 1, j] = A.B[i - 1, 31 - j] * 2

    Raises:
        ScheduleError: the block is not inside the loop, its tensor is an argument, a result or
            used elsewhere, or does not move along one dimension with the loop.
    """
    target = walkable(edit, at)
    leaf = edit.leaf(block)
    name = target.var.name
    if not any(x is leaf for x in leaves_below(target)):
        raise edit.error(
            f"block {block!r} is not inside loop {name!r}",
            "compute_at it there, or cache_read(at=)",
        )
    rings = [_ring(edit, write.buffer, target, ahead) for write in leaf.block.writes]
    body: Stmt = target.body
    for alloc in rings:
        inside = [s for s in path_to(body, leaf) if isinstance(s, Alloc)]
        held = next((s for s in inside if s.buffer is alloc.buffer), None)
        body = body if held is None else drop_alloc(body, held)

    def moved(one: Leaf) -> Leaf:
        return delayed(edit, one, target, index(0 if one is leaf else ahead), ahead)

    longer: Stmt = replace(
        target, extent=tidy(add(target.extent, ahead)), body=map_leaves(body, moved)
    )
    edit.commit(_placed(edit, target, rings, longer), unsafe=unsafe)
    return edit.handle(target.var)


@primitive
def double_buffer(edit: Edit, block: BlockArg, at: LoopArg, unsafe: bool = False) -> Loop:
    """Fill one buffer while the other is read: `pipeline`, one iteration ahead.

    >>> import tdsl as td
    >>> A = td.placeholder((64, 32), "float32", name="A")
    >>> B = td.compute((64, 32), lambda i, j: A[i, 31 - j] * 2.0, name="B")
    >>> s = td.Schedule(td.func("f", [A], [B]))
    >>> io, ii = s.split("B.i", 4)
    >>> _ = s.cache_read("B", "A", at=io)
    >>> _ = s.double_buffer("A.B", at=io)
    >>> print(str(s.nest).splitlines()[0])
    alloc A.B: f32[64, 32] stored at [i % 8, j]

    Raises:
        ScheduleError: as for `pipeline`.
    """
    function = pipeline.function
    return function(edit, block, at, 1, unsafe)


def _ring(edit: Edit, buffer: Buffer, loop: For, ahead: int) -> Alloc:
    """The allocation of a tensor that holds what `ahead` iterations and one more use of it."""
    alloc = edit.index.allocs.get(buffer)
    name, loop_name = buffer.name, loop.var.name
    if alloc is None:
        raise edit.error(
            f"{name!r} is an argument or a result, and lives where the caller keeps it",
            "cache_read or cache_write makes a copy that can be kept in a ring",
        )
    inside = {id(leaf) for leaf in leaves_below(loop)}
    for other, leaf in edit.index.leaves.items():
        if buffer in accessed_buffers(leaf) and id(leaf) not in inside:
            reason = f"block {other!r} uses {name!r} outside loop {loop_name!r}"
            raise edit.error(reason, "pipeline a copy made for the loop: cache_read(at=)")
    box = needed_box(edit.program, buffer, loop.body)
    moving = [d for d, o in enumerate(box.origin) if free_vars(o) & set(own_vars(loop))]
    if len(moving) != 1:
        raise edit.error(
            f"{name!r} moves along {len(moving)} dimensions with {loop_name!r}",
            "store_at, shift and fold_storage say by hand what is to be kept",
        )
    (dim,) = moving
    step, extent = linear(box.origin[dim]).coefficient(loop.var), box.extent[dim]
    if step == 0 or not isinstance(extent, Const):
        raise edit.error(
            f"{name!r} does not move by a constant number of elements with {loop_name!r}",
            "split the loop, and pipeline the outer part",
        )
    layout: Layout = alloc.layout or plain_layout(buffer)
    if is_ring(layout, dim):  # another stage of the same tensor: one ring, as large as both need
        layout = unfolded(layout, dim)
    return replace(alloc, layout=folded(layout, dim, int(extent.value) + ahead * abs(step)))


def _placed(edit: Edit, target: For, rings: list[Alloc], longer: Stmt) -> Stmt:
    """The whole tree with the longer loop, and the rings around it that were not further out."""
    around = [s for s in path_to(edit.body, target) if isinstance(s, Alloc)]
    outer = {s.buffer: s for s in around}
    for ring in rings:
        if ring.buffer not in outer:
            longer = replace(ring, body=longer)
    body = swap(edit.body, target, longer)
    for ring in rings:
        if ring.buffer in outer:
            held = edit.alloc_of(body, ring.buffer)
            body = swap(body, held, replace(held, layout=ring.layout))
    return body
