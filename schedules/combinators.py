"""Pieces that schedules are made of: pack an operand, reduce in parts, walk a wavefront, ...

Each is a line in a schedule file and expands to steps that are proven one by one.
"""

from __future__ import annotations

from tdsl.errors import ScheduleError
from tdsl.ir.visit import free_vars
from tdsl.schedules.rules.tiles import register_tile as best_tile
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.scheduling.loops import Loop


@combinator
def split_k(
    s: Schedule, loop: Loop | str, part: int, *, atomic: bool = False, parallel: bool = True
) -> str:
    """Reduce in parts that run at once: for few results, each of a long sum.

    Args:
        s: the schedule.
        loop: the reduction loop.
        part: iterations of one part.
        atomic: the parts update the result itself, atomically, in any order; otherwise each has
            partial results of its own, which are combined in order afterwards.
        parallel: run the parts on the threads of the pool.

    Returns:
        The block that reduces the parts.

    >>> import tdsl as td
    >>> x = td.placeholder((1 << 20,), "float32", name="x")
    >>> k = td.reduce_axis(1 << 20, name="k")
    >>> total = td.compute((), lambda: td.sum(x[k], axis=k), name="total")
    >>> s = td.Schedule(td.func("total", [x], [total]))
    >>> split_k(s, "k", 1 << 16)
    'total.rf'
    >>> print(s.nest)
    alloc total.rf: f32[16]
    for ko in parallel(16):
      total.rf[ko] = 0
      for ki in 65536:  # reduction
        total.rf[ko] += x[ko * 65536 + ki]
    total[] = 0
    for r in 16:  # reduction
      total[] += total.rf[r]
    """
    outer, _ = s.split(loop, part)
    block = s.index.label(outer.var).rpartition(".")[0]
    if atomic:
        s.atomic(block)
        if parallel:
            s.parallel(outer)
        return block
    name = s.rfactor(outer)
    if parallel:
        s.parallel(f"{name}.{outer.name}")
    return name


@combinator
def tree_reduce(s: Schedule, loop: Loop | str, width: int) -> tuple[str, ...]:
    """Reduce `width` interleaved parts, then add up halves until one is left.

    Args:
        s: the schedule.
        loop: the reduction loop.
        width: how many parts there are at first; a power of two.

    Returns:
        The blocks of partial results, the widest first.

    >>> import tdsl as td
    >>> x = td.placeholder((64,), "float32", name="x")
    >>> k = td.reduce_axis(64, name="k")
    >>> total = td.compute((), lambda: td.sum(x[k], axis=k), name="total")
    >>> s = td.Schedule(td.func("total", [x], [total]))
    >>> tree_reduce(s, "k", 8)
    ('total.rf', 'total.rf.1', 'total.rf.2')

    Raises:
        ScheduleError: the width is no power of two.
    """
    if width < 2 or width & (width - 1):
        raise ScheduleError(
            "tree_reduce", f"a tree of {width} parts has no halves", hint="take a power of two"
        )
    _, inner = s.split(loop, width)
    block = s.index.label(inner.var).rpartition(".")[0]
    made = [s.rfactor(inner)]
    while width > 2:
        width //= 2
        made.append(s.rfactor(s.split(s.loops(block)[-1], width)[1]))
    return tuple(made)


@combinator
def pack_operand(
    s: Schedule, block: str, tensor: str, layout: str, at: Loop | str | None = None
) -> str:
    """Have a block read a copy of a tensor that is laid out in the order in which it is read.

    Args:
        s: the schedule.
        block: the reader.
        tensor: what it reads.
        layout: where each element goes, such as `"k, j -> j // 16, k, j % 16"`.
        at: a loop around the reader: what one iteration reads is packed there. None: all of it.

    Returns:
        The block that copies.

    >>> import tdsl as td
    >>> A = td.placeholder((64, 64), "float32", name="A")
    >>> B = td.compute((64, 64), lambda i, j: A[j, i], name="B")
    >>> s = td.Schedule(td.func("transpose", [A], [B]))
    >>> pack_operand(s, "B", "A", "j, i -> i, j")
    'A.B'
    """
    copy = s.cache_read(block, tensor) if at is None else s.cache_read(block, tensor, at=at)
    s.transform_layout(copy, layout)
    return copy


@combinator
def tile_in_registers(s: Schedule, block: str) -> tuple[Loop, Loop]:
    """Keep a tile of a matmul-like block in registers, as large as the target's vectors allow.

    The block's last two data loops are tiled, its reduction walks outside the tile, and the tile
    is copied out when it is done. Rows are broadcast, columns are vectors.

    Returns:
        The loops over rows and columns of tiles.

    >>> import tdsl as td
    >>> A = td.placeholder((96, 64), "float32", name="A")
    >>> B = td.placeholder((64, 128), "float32", name="B")
    >>> k = td.reduce_axis(64, name="k")
    >>> C = td.compute((96, 128), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    >>> s = td.Schedule(td.func("matmul", [A, B], [C]), "llvm -mcpu=znver4")
    >>> tile_in_registers(s, "C")
    (<Loop C.io>, <Loop C.jo>)
    >>> [loop.name for loop in s.loops("C")]
    ['io', 'jo', 'k', 'ii', 'jio', 'jii']

    Raises:
        ScheduleError: the block has fewer than two data loops, or no reduction.
    """
    s.loops(block)  # tells what other blocks there are if it is none
    view = s.nest.block(block)
    data = [loop for loop in view.loops if not loop.reduces]
    written = view.writes[0]
    walked = {v for loop in data[-2:] for v in loop.variables}
    dims = sum(not walked.isdisjoint(free_vars(e)) for e in written.indices)
    if dims < 2 or len(data) == len(view.loops):
        raise ScheduleError(
            "tile_in_registers", f"{block!r} is not like a matmul",
            hint="it needs a data loop for each of two dimensions, and a reduction",
        )  # fmt: skip
    i, j = data[-2:]
    lanes = s.target.lanes(written.buffer.dtype.bits)
    rows, columns = (x.extent if isinstance(x.extent, int) else None for x in (i, j))
    tile = best_tile(rows, columns, lanes, s.target)
    io, jo, ii, ji = s.tile(i.label, j.label, tile.rows, tile.columns)
    out = s.cache_write(block, "register", at=jo)
    reduced = [x.label for x in s.nest.block(block).loops if x.reduces]
    s.reorder(*reduced, ii, ji)
    s.unroll(ii)
    s.vectorize(ji, tile.lanes)
    row, column = s.loops(out)[-2:]
    s.unroll(row)
    s.vectorize(column, tile.lanes)
    return io, jo


@combinator
def wavefront(s: Schedule, outer: Loop | str, inner: Loop | str, by: int = 1) -> Loop:
    """Walk diagonals: after a skew, what lies on one of them does not wait for one another.

    Args:
        s: the schedule.
        outer, inner: two loops, the inner one inside; each step of the outer needs earlier ones.
        by: how far the inner loop moves for each step of the outer.

    Returns:
        The loop along a diagonal, parallel.

    >>> import tdsl as td
    >>> X = td.placeholder((16,), "float32", name="X")
    >>> t = td.scan_axis(8, name="t")
    >>> def step(t, before):
    ...     h = before["h"]
    ...     return {"h": lambda i: h[td.maximum(i - 1, 0)] + h[td.minimum(i + 1, 15)]}
    >>> h = td.scan(t, {"h": ((16,), X)}, step, name="S")["h"]
    >>> s = td.Schedule(td.func("spread", [X], [h]))
    >>> wavefront(s, "t", "i", by=2)
    <Loop S.h.t>
    """
    s.skew(inner, outer, by)
    diagonal, along = s.reorder(inner, outer)
    del diagonal
    return s.parallel(along)
