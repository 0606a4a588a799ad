"""atomic and stream: how the stores of a block reach memory."""

from __future__ import annotations

from dataclasses import replace

from tdsl.ir.stmt import BlockKind
from tdsl.scheduling.arguments import BlockArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import swap


@primitive
def atomic(edit: Edit, block: BlockArg, unsafe: bool = False) -> None:
    """Update elements atomically, so that iterations of a concurrent loop may meet on one.

    Float results then depend on the order in which threads come (`numerics` is `unordered`);
    integer results do not.

    >>> import tdsl as td
    >>> X = td.placeholder((1000,), "int32", name="X")
    >>> zero = td.placeholder((8,), "int32", name="zero")
    >>> r = td.reduce_axis(1000, name="r")
    >>> bins = td.update(zero, over=r, at=X[r], value=1, op="add", name="bins")
    >>> s = td.Schedule(td.func("histogram", [X, zero], [bins]))
    >>> s.atomic("bins")
    >>> s.parallel("bins.r")
    <Loop bins.r>

    Raises:
        ScheduleError: the block is not an associative update of single values.
    """
    leaf = edit.leaf(block)
    found = leaf.block
    if found.reducer is None or found.kind not in (BlockKind.REDUCE, BlockKind.UPDATE):
        hint = "only reductions and associative updates can be atomic"
        raise edit.error(f"{found.name!r} does not combine values", hint)
    if len(found.writes) != 1:
        hint = "rfactor it: each thread reduces on its own"
        raise edit.error(f"{found.name!r} updates {len(found.writes)} tensors at once", hint)
    edit.commit(swap(edit.body, leaf, replace(leaf, atomic=True)), unsafe=unsafe)


@primitive
def stream(edit: Edit, block: BlockArg, unsafe: bool = False) -> None:
    """Store past the caches: for large results that nothing reads soon.

    >>> import tdsl as td
    >>> A = td.placeholder((1 << 24,), "float32", name="A")
    >>> B = td.compute((1 << 24,), lambda i: A[i] + 1.0, name="B")
    >>> s = td.Schedule(td.func("increment", [A], [B]))
    >>> s.stream("B")
    >>> print(s.nest)
    for i in 16777216:
      B[i] = A[i] + 1  # stream

    Raises:
        ScheduleError: the block reads what it writes.
    """
    leaf = edit.leaf(block)
    found = leaf.block
    if found.kind in (BlockKind.REDUCE, BlockKind.UPDATE):
        hint = "cache_write it, and stream the block that copies out"
        raise edit.error(f"{found.name!r} reads what it writes", hint)
    edit.commit(swap(edit.body, leaf, replace(leaf, stream=True)), unsafe=unsafe)
