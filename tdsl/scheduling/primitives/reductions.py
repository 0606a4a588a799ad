"""decompose_reduction: give the init of a reduction a nest of its own, with handles."""

from __future__ import annotations

from tdsl.ir.inits import reduction_vars
from tdsl.ir.stmt import For, Leaf, Stmt
from tdsl.ir.visit import own_vars
from tdsl.scheduling.arguments import BlockArg, LoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.partials import data_nest
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import leaves_below, put_before


@primitive
def decompose_reduction(edit: Edit, block: BlockArg, at: LoopArg, unsafe: bool = False) -> str:
    """Freeze the init of a reduction as a nest just before a loop, to be scheduled on its own.

    Args:
        block: the reduction.
        at: the loop before which the init runs: its outermost reduction loop, or one around that.
        unsafe: skip the proof.

    Returns:
        The name of the init's block, `C.init`.

    >>> import tdsl as td
    >>> A = td.placeholder((8, 4), "float32", name="A")
    >>> k = td.reduce_axis(4, name="k")
    >>> B = td.compute((8,), lambda i: td.sum(A[i, k], axis=k), name="B")
    >>> s = td.Schedule(td.func("row_sums", [A], [B]))
    >>> s.decompose_reduction("B", at="B.i")
    'B.init'
    >>> s.unroll("B.init.i")
    <Loop B.init.i>
    >>> print(s.nest)
    for i in unrolled(8):
      B[i] = 0
    for i in 8:
      for k in 4:  # reduction
        B[i] += A[i, k]

    Raises:
        ScheduleError: no reduction, decomposed already, or a reduction loop is around `at`.
    """
    leaf = edit.leaf(block)
    name = leaf.block.name
    if leaf.block.init is None:
        raise edit.error(f"{name!r} is not a reduction", "only reductions have an init")
    if any(other.block is leaf.block.init for other in leaves_below(edit.body)):
        raise edit.error(f"{name!r} is decomposed already", f"schedule {leaf.block.init.name!r}")
    loop = edit.loop(at)
    path = edit.path(block)
    if not any(stmt is loop for stmt in path):
        own = ", ".join(repr(s.var.name) for s in path if isinstance(s, For))
        raise edit.error(f"{loop.var.name!r} is not a loop of {name!r}", f"one of {own}")
    _check_order(edit, path, loop, leaf)
    init = data_nest(edit, path, loop, leaf, leaf.block.init)
    edit.commit(put_before(edit.body, loop, init), unsafe=unsafe)
    return leaf.block.init.name


def _check_order(edit: Edit, path: tuple[Stmt, ...], loop: For, leaf: Leaf) -> None:
    """An init inside a reduction loop would run again for each of its iterations."""
    reduced = reduction_vars(leaf)
    for stmt in path:
        if stmt is loop:
            return
        if isinstance(stmt, For) and reduced & set(own_vars(stmt)):
            raise edit.error(
                f"{loop.var.name!r} lies inside the reduction loop {stmt.var.name!r}",
                f"decompose at {stmt.var.name!r} or a loop around it",
            )
