"""atomic, stream and prefetch: how a block reaches memory."""

from __future__ import annotations

from dataclasses import replace

from tdsl.ir.stmt import BlockKind, Fetch
from tdsl.scheduling.arguments import BlockArg, IndexMapArg, TensorArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.index_map import IndexMap
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


@primitive
def prefetch(
    edit: Edit, block: BlockArg, tensor: TensorArg, index_map: IndexMapArg, unsafe: bool = False
) -> None:
    """While a block runs, ask the caches for what will be used soon.

    Args:
        block: whose instances issue the requests, beside other work: one for each, or for each
            cache line where it is vectorized.
        tensor: an argument or a result. Places outside of it do no harm.
        index_map: text such as `"i, j -> i + 1, j"`, or a function: the element to ask for, given
            the block's iteration variables.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> A = td.placeholder((256, 64), "float32", name="A")
    >>> B = td.compute((256, 64), lambda i, j: td.exp(A[i, j]), name="B")
    >>> s = td.Schedule(td.func("exps", [A], [B]))
    >>> s.prefetch("B", "A", "i, j -> i + 1, j")
    >>> print(s.nest)
    for i in 256:
      for j in 64:
        B[i, j] = exp(A[i, j])  # prefetch A[i + 1, j]

    Raises:
        ScheduleError: the tensor is neither an argument nor a result, or the map does not fit.
    """
    assert isinstance(index_map, IndexMap)
    leaf = edit.leaf(block)
    buffer = edit.core.buffer(tensor, edit.primitive)
    if buffer in edit.index.allocs:
        hint = "what the kernel makes for itself is in the caches already"
        raise edit.error(f"{buffer.name!r} is neither an argument nor a result", hint)
    if len(index_map.inputs) != len(leaf.block.iters):
        raise edit.error(
            f"{leaf.block.name!r} has {len(leaf.block.iters)} iteration variables, "
            f"the map takes {len(index_map.inputs)}"
        )
    if len(index_map.outputs) != buffer.rank:
        raise edit.error(
            f"{buffer.name!r} has {buffer.rank} dimensions, the map gives {len(index_map.outputs)}"
        )
    fetch = Fetch(buffer, index_map.inputs, index_map.outputs)
    changed = replace(leaf, fetches=(*leaf.fetches, fetch))
    edit.commit(swap(edit.body, leaf, changed), unsafe=unsafe)
