"""A chain of stencils, tiled and fused: each stage keeps a ring of rows that slides down a tile.

parallel strip:
  for column of tiles:
    ring of a few rows for every stage but the last
    for step: each stage computes `rows` new rows from the rows of the stage before
"""

from __future__ import annotations

from tdsl.errors import ScheduleError
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.scheduling.loops import Loop


@combinator
def fuse_stencil_chain(
    s: Schedule, chain: tuple[str, ...], strip: int, columns: int, rows: int,
    lanes: int | None = None,
) -> Loop:  # fmt: skip
    """Compute a chain of two-dimensional stencils tile by tile, without keeping whole stages.

    Args:
        s: the schedule.
        chain: the blocks, each reading the one before; the last is the result.
        strip: rows of the result in one parallel task; the stages' overlap with the next strip is
            computed twice.
        columns: columns of a tile, likewise; 0: the whole row.
        rows: new rows of each stage in one step, walked down a column of vectors, so that rows
            share what they read; divides strip.
        lanes: elements of a vector; None: as many as the target's vectors hold of each stage.

    Returns:
        The loop over strips, parallel.

    >>> import tdsl as td
    >>> A = td.placeholder((68, 64), "float32", name="A")
    >>> B = td.compute((66, 64), lambda y, x: A[y, x] + A[y + 2, x], name="B")
    >>> C = td.compute((64, 64), lambda y, x: B[y, x] + B[y + 2, x], name="C")
    >>> s = td.Schedule(td.func("twice", [A], [C]), td.target("llvm"))
    >>> fuse_stencil_chain(s, ("B", "C"), strip=32, columns=0, rows=2, lanes=16)
    <Loop B.yo>

    Raises:
        ScheduleError: the chain is empty, or a strip is not a whole number of steps.
    """
    _check(s, chain, strip, rows)
    last = chain[-1]
    y, x = s.loops(last)[-2:]
    outer, step, row = s.split(y, (None, strip // rows, rows))
    kept_at = outer
    if columns:
        kept_at, inner = s.split(x, columns)
        s.reorder(outer, kept_at, step, row, inner)
    for block in reversed(chain[:-1]):
        s.compute_at(block, at=step)
    for block in chain[:-1]:
        s.store_at(block, at=kept_at)
        window = s.loops(block)[-2].extent  # what the stages after it reach in one step
        assert isinstance(window, int)
        s.fold_storage(block, -(-window // rows) * rows, dim=0)
    for block in chain:
        _walk_down(s, block, lanes)
    s.parallel(outer)
    return outer


def _walk_down(s: Schedule, block: str, lanes: int | None) -> None:
    """Compute the new rows of a stage, one column of vectors after the other."""
    down, along = s.loops(block)[-2:]
    (write,) = s.nest.block(block).writes
    vectors, lane = s.split(along, lanes or s.target.lanes(write.buffer.dtype.bits), tail="mask")
    s.vectorize(lane)
    s.reorder(vectors, down)
    s.unroll(down)


def _check(s: Schedule, chain: tuple[str, ...], strip: int, rows: int) -> None:
    """The arguments make sense.

    Raises:
        ScheduleError: they do not.
    """
    if not chain:
        raise ScheduleError(
            "fuse_stencil_chain", "the chain has no blocks", hint=f"some of {', '.join(s.blocks())}"
        )
    if rows < 1 or strip % rows:
        raise ScheduleError(
            "fuse_stencil_chain", f"strip={strip} is no multiple of rows={rows}",
            hint="a strip is walked in steps of whole rows",
        )  # fmt: skip
