"""Reorder and fuse: permute loops of one path, or walk two of them as one."""

from __future__ import annotations

from tdsl.ir.build import mul
from tdsl.ir.expr import Var
from tdsl.ir.stmt import For, LoopKind
from tdsl.ir.visit import free_vars, own_vars
from tdsl.scheduling.arguments import LoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.naming import unique_name
from tdsl.scheduling.ordering import reordered
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import swap


@primitive
def reorder(edit: Edit, *loops: LoopArg, unsafe: bool = False) -> tuple[Loop, ...]:
    """Permute loops of one block's path into the order given, outermost first.

    The loops trade the places that they hold; loops between them that are not named stay. The
    init of a reduction follows: it runs just before the outermost reduction loop. Handles stay.

    >>> import tdsl as td
    >>> A = td.placeholder((8, 4), "float32", name="A")
    >>> k = td.reduce_axis(4, name="k")
    >>> B = td.compute((8,), lambda i: td.sum(A[i, k], axis=k), name="B")
    >>> s = td.Schedule(td.func("row_sums", [A], [B]))
    >>> print(s.nest)
    for i in 8:
      B[i] = 0
      for k in 4:  # reduction
        B[i] += A[i, k]
    >>> _ = s.reorder("k", "i")
    >>> print(s.nest)
    for i in 8:
      B[i] = 0
    for k in 4:  # reduction
      for i in 8:
        B[i] += A[i, k]

    Raises:
        ScheduleError: loops of several paths, another block between them ("fission first"), or
            an order that a dependence forbids.
    """
    nodes = [edit.loop(loop) for loop in loops]
    variables = tuple(node.var for node in nodes)
    if len(set(variables)) != len(variables):
        twice = next(v.name for v in variables if variables.count(v) > 1)
        raise edit.error(f"loop {twice!r} is given twice", "name each loop once")
    body = reordered(edit, edit.body, variables) if len(variables) > 1 else edit.body
    edit.commit(body, unsafe=unsafe)
    return edit.handles(*variables)


@primitive
def fuse(edit: Edit, a: LoopArg, b: LoopArg, unsafe: bool = False) -> Loop:
    """Walk two loops, one directly inside the other, as one loop over pairs.

    The pairs come in lexicographic order, so the order of instances does not change; extents may
    be symbolic. Both handles end.

    >>> import tdsl as td
    >>> A = td.placeholder((8, 4), "float32", name="A")
    >>> B = td.compute((8, 4), lambda i, j: A[i, j] + 1.0, name="B")
    >>> s = td.Schedule(td.func("shift", [A], [B]))
    >>> s.parallel(s.fuse("i", "j"))
    <Loop B.i_j>
    >>> print(s.nest)
    for i, j in parallel fused(8, 4):
      B[i, j] = A[i, j] + 1

    Raises:
        ScheduleError: `b` is not the only thing directly inside `a`.
    """
    outer, inner = edit.loop(a), edit.loop(b)
    if outer.body is not inner:
        raise _not_nested(edit, outer, inner)
    if free_vars(inner.extent) & set(own_vars(outer)):
        reason = f"the extent of {inner.var.name!r} depends on {outer.var.name!r}"
        raise edit.error(reason, "only loops over a rectangle fuse")
    name = unique_name(f"{outer.var.name}_{inner.var.name}", edit.names_near(outer))
    fused = For(
        Var(name, outer.var.dtype),
        mul(outer.extent, inner.extent),
        inner.body,
        _joint_kind(edit, outer, inner, name),
        (*outer.levels, *inner.levels),
        edit.core.span(),
    )
    edit.commit(swap(edit.body, outer, fused), unsafe=unsafe)
    return edit.handle(fused.var)


def _not_nested(edit: Edit, outer: For, inner: For) -> Exception:
    a, b = outer.var.name, inner.var.name
    if inner.body is outer:
        return edit.error(f"{b!r} is around {a!r}, not inside it", f"fuse({b!r}, {a!r})")
    hint = "bring them together with reorder first"
    return edit.error(f"{b!r} is not the only statement directly inside {a!r}", hint)


def _joint_kind(edit: Edit, outer: For, inner: For, name: str) -> LoopKind:
    if outer.kind is inner.kind:
        return outer.kind
    marked = [loop for loop in (outer, inner) if loop.kind is not LoopKind.SERIAL]
    lost = ", ".join(f"{loop.var.name!r} was {loop.kind.value}" for loop in marked)
    edit.note(f"{lost}; {name!r} is serial")
    return LoopKind.SERIAL
