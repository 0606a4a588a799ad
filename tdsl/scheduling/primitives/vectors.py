"""Vectorize: run the iterations of a loop in the lanes of vector registers."""

from __future__ import annotations

from dataclasses import replace

from tdsl.ir.expr import Const
from tdsl.ir.stmt import For, LoopKind
from tdsl.scheduling.arguments import LanesArg, LoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.primitives.marks import mark
from tdsl.scheduling.splitting import split_loop
from tdsl.scheduling.tree import leaves_below, swap


@primitive
def vectorize(edit: Edit, loop: LoopArg, lanes: LanesArg = None, unsafe: bool = False) -> Loop:
    """Run a loop in vector lanes; returns the loop over the lanes.

    Args:
        loop: the loop. It stays if its extent is a constant of at most `lanes`. Otherwise it is
            split and its handle ends: the outer part of a constant extent is unrolled, that of a
            symbolic one stays serial with a masked tail.
        lanes: vector width in elements; None: what the target's registers hold.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> N = td.sizes("N")
    >>> A = td.placeholder((N,), "float32", name="A")
    >>> B = td.compute((N,), lambda i: A[i] + 1.0, name="B")
    >>> s = td.Schedule(td.func("shift", [A], [B]))
    >>> s.vectorize("i", 16)
    <Loop B.ii>
    >>> print(s.nest)
    for io in (N + 15) // 16:
      for ii in vectorized(16):
        if io * 16 + ii < N: B[io * 16 + ii] = A[io * 16 + ii] + 1  # mask

    Raises:
        ScheduleError: two iterations touch one element, and one of them writes it.
    """
    target = edit.loop(loop)
    width = lanes or _native_lanes(edit, target)
    if isinstance(target.extent, Const) and int(target.extent.value) <= width:
        return mark(edit, target, LoopKind.VECTORIZED, unsafe=unsafe)
    plain = replace(target, kind=LoopKind.SERIAL)
    parts = split_loop(edit, plain, (None, width), "mask", edit.names_near(target))
    outer = parts.nest
    assert isinstance(outer, For)
    assert isinstance(outer.body, For)
    inner = replace(outer.body, kind=LoopKind.VECTORIZED)
    nest = replace(outer, body=inner, kind=_outer_kind(target))
    edit.commit(swap(edit.body, target, nest), unsafe=unsafe)
    return edit.handle(inner.var)


def _outer_kind(target: For) -> LoopKind:
    """A parallel or bound loop stays so in its outer part; otherwise constant ones are unrolled."""
    if target.kind.concurrent and target.kind is not LoopKind.VECTORIZED:
        return target.kind
    return LoopKind.UNROLLED if isinstance(target.extent, Const) else LoopKind.SERIAL


def _native_lanes(edit: Edit, target: For) -> int:
    """Lanes of the target's registers for the widest element that the blocks below write."""
    written = [
        write.buffer.dtype.bits for leaf in leaves_below(target) for write in leaf.block.writes
    ]
    return edit.core.target.lanes(max(written, default=32))
