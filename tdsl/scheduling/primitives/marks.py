"""Unroll, parallel and bind: say how the iterations of a loop run."""

from __future__ import annotations

from dataclasses import replace

from tdsl.ir.expr import Const
from tdsl.ir.stmt import For, LoopKind
from tdsl.scheduling.arguments import AxisArg, LoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import swap


@primitive
def unroll(edit: Edit, loop: LoopArg, unsafe: bool = False) -> Loop:
    """Write out one copy of the body per iteration when the program is lowered.

    >>> import tdsl as td
    >>> A = td.placeholder((8, 4), "float32", name="A")
    >>> B = td.compute((8, 4), lambda i, j: A[i, j] + 1.0, name="B")
    >>> s = td.Schedule(td.func("shift", [A], [B]))
    >>> s.unroll("j")
    <Loop B.j>
    >>> print(s.nest)
    for i in 8:
      for j in unrolled(4):
        B[i, j] = A[i, j] + 1

    Raises:
        ScheduleError: the extent is not a constant.
    """
    target = edit.loop(loop)
    if not isinstance(target.extent, Const):
        raise edit.error(
            f"the extent of {target.var.name!r} is not a constant",
            f"split it and unroll the inner part: s.unroll(s.split({target.var.name!r}, 4)[1])",
        )
    return mark(edit, target, LoopKind.UNROLLED, unsafe=unsafe)


@primitive
def parallel(edit: Edit, loop: LoopArg, unsafe: bool = False) -> Loop:
    """Run the iterations of a loop on the threads of the pool.

    >>> import tdsl as td
    >>> A = td.placeholder((8,), "float32", name="A")
    >>> B = td.compute((8,), lambda i: A[i] + 1.0, name="B")
    >>> s = td.Schedule(td.func("shift", [A], [B]))
    >>> s.parallel("i")
    <Loop B.i>
    >>> print(s.nest)
    for i in parallel(8):
      B[i] = A[i] + 1

    Raises:
        ScheduleError: two iterations touch one element, and one of them writes it.
    """
    return mark(edit, edit.loop(loop), LoopKind.PARALLEL, unsafe=unsafe)


@primitive
def bind(edit: Edit, loop: LoopArg, axis: AxisArg, unsafe: bool = False) -> Loop:
    """Map a loop to an OpenCL axis: `group.x`, `local.x` (or y, z), or `vector`.

    >>> import tdsl as td
    >>> A = td.placeholder((1024,), "float32", name="A")
    >>> B = td.compute((1024,), lambda i: A[i] + 1.0, name="B")
    >>> s = td.Schedule(td.func("shift", [A], [B]), target="opencl")
    >>> io, ii = s.split("i", 64)
    >>> s.bind(io, "group.x"), s.bind(ii, "local.x")
    (<Loop B.io>, <Loop B.ii>)

    Raises:
        ScheduleError: two iterations touch one element, and one of them writes it; a loop around
            or inside is bound to the same axis.
    """
    target = edit.loop(loop)
    kind = LoopKind.VECTORIZED if axis == "vector" else LoopKind(axis)
    if kind is not LoopKind.VECTORIZED:
        for other in edit.related_loops(target):
            if other.kind is kind:
                reason = f"loop {other.var.name!r} of the same path is bound to {axis!r} already"
                raise edit.error(reason, "bind each axis once along a path")
    return mark(edit, target, kind, unsafe=unsafe)


def mark(edit: Edit, target: For, kind: LoopKind, *, unsafe: bool) -> Loop:
    """Commit *target* with another kind."""
    if target.kind not in (LoopKind.SERIAL, kind):
        edit.note(f"{target.var.name!r} was {target.kind.value}")
    edit.commit(swap(edit.body, target, replace(target, kind=kind)), unsafe=unsafe)
    return edit.handle(target.var)
