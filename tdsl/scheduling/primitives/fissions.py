"""fission: give the blocks of one loop loops of their own."""

from __future__ import annotations

from tdsl.ir.stmt import Seq
from tdsl.scheduling.arguments import BlockArg, LoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import below_allocs, leaves_below, parted, swap


@primitive
def fission(edit: Edit, loop: LoopArg, after: BlockArg, unsafe: bool = False) -> tuple[Loop, Loop]:
    """Split the body of a loop after a block: `for i: A; B` -> `for i: A`, `for i: B`.

    Tensors that were private to the loop move out of it, and are kept for all its iterations.

    Args:
        loop: the loop; its handle stays with the first part.
        after: the last block, directly or in loops inside, that stays in the first part.
        unsafe: skip the proof.

    Returns:
        The loops of both parts.

    >>> import tdsl as td
    >>> A = td.placeholder((8,), "float32", name="A")
    >>> B = td.compute((8,), lambda i: A[i] * A[i], name="B")
    >>> C = td.compute((8,), lambda i: B[i] + 1.0, name="C")
    >>> s = td.Schedule(td.func("squares", [A], [C]))
    >>> _ = s.compute_at("B", "C.i")
    >>> s.fission("C.i", after="B")
    (<Loop B.i>, <Loop C.i>)

    Raises:
        ScheduleError: nothing follows the block in the loop, or a later iteration of the second
            part needs what an earlier one of the first destroys.
    """
    target = edit.loop(loop)
    leaf = edit.leaf(after)
    name = target.var.name
    inner = below_allocs(target.body)
    items = inner.body if isinstance(inner, Seq) else (inner,)
    at = [n for n, item in enumerate(items) if any(x is leaf for x in leaves_below(item))]
    if not at:
        inside = ", ".join(repr(b) for b in edit.blocks_below(target))
        raise edit.error(f"block {after!r} is not inside loop {name!r}", f"one of {inside}")
    if at[0] + 1 == len(items):
        raise edit.error(
            f"nothing follows {after!r} directly inside {name!r}",
            "split after a block that others follow; fission the loops inside first",
        )
    both, second = parted(target, at[0] + 1)
    edit.commit(swap(edit.body, target, both), unsafe=unsafe)
    return edit.handle(target.var), edit.handle(second.var)
