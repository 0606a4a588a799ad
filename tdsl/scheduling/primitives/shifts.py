"""reverse, shift and skew: walk a loop backwards, later, or along a diagonal."""

from __future__ import annotations

from dataclasses import replace

from tdsl.ir.affine import tidy
from tdsl.ir.build import add, ge, index, lt, mul, sub
from tdsl.ir.expr import Expr, Var
from tdsl.ir.polyhedra import Domain
from tdsl.ir.stmt import For, Guard, Leaf, LoopKind
from tdsl.ir.visit import free_vars, own_vars, substitute
from tdsl.scheduling.arguments import CountArg, LoopArg, MaybeBlockArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import map_leaves, statements, swap


@primitive
def reverse(edit: Edit, loop: LoopArg, unsafe: bool = False) -> Loop:
    """Walk a loop from its last iteration to its first.

    >>> import tdsl as td
    >>> A = td.placeholder((8,), "float32", name="A")
    >>> B = td.compute((8,), lambda i: A[i] + 1.0, name="B")
    >>> s = td.Schedule(td.func("shift", [A], [B]))
    >>> s.reverse("i")
    <Loop B.i>
    >>> print(s.nest)
    for i in 8:
      B[7 - i] = A[7 - i] + 1

    Raises:
        ScheduleError: a later iteration needs what an earlier one makes.
    """
    target = edit.loop(loop)
    mirror: dict[Var, Expr] = {
        part.var: sub(tidy(sub(part.extent, 1)), part.var) for part in target.levels
    }
    body = substitute(target.body, mirror)
    edit.commit(swap(edit.body, target, replace(target, body=body)), unsafe=unsafe)
    return edit.handle(target.var)


@primitive
def shift(
    edit: Edit, loop: LoopArg, by: CountArg, block: MaybeBlockArg = None, unsafe: bool = False
) -> Loop:
    """Run what a loop holds, or one block of it, some iterations later: `for i: A(i); B(i - by)`.

    The loop gets `by` more iterations, and what does not run in the first or the last of them a
    condition. With a block, its distance to the others changes: a producer runs ahead of its
    consumer, say. A negative `by` has the block run earlier, and so the others later.

    Args:
        loop: the loop; its handle stays.
        by: how many iterations later.
        block: the block that is shifted; None: all blocks of the loop.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> A = td.placeholder((8,), "float32", name="A")
    >>> B = td.compute((8,), lambda i: A[i] * A[i], name="B")
    >>> C = td.compute((8,), lambda i: B[i] + 1.0, name="C")
    >>> s = td.Schedule(td.func("squares", [A], [C]))
    >>> _ = s.compute_at("B", "C.i")
    >>> s.store_at("B")
    >>> s.shift("C.i", 1, block="C")
    <Loop B.i>
    >>> print(s.nest)
    alloc B: f32[8]
    for i in 9:
      for i_1 in 1:
        if i < 8: B[i + i_1] = A[i + i_1] * A[i + i_1]
      if i - 1 >= 0: C[i - 1] = B[i - 1] + 1

    Raises:
        ScheduleError: another block needs what the shifted one makes, or has overwritten what it
            needs.
    """
    target = walkable(edit, loop)
    chosen = {id(edit.leaf(block))} if block is not None else None
    if chosen is not None and not any(id(stmt) in chosen for stmt in statements(target.body)):
        inside = ", ".join(repr(name) for name in edit.blocks_below(target))
        reason = f"block {block!r} is not inside loop {target.var.name!r}"
        raise edit.error(reason, f"one of {inside}")

    def moved(leaf: Leaf) -> Leaf:
        later = chosen is None or id(leaf) in chosen
        delay = max(by, 0) if later else max(-by, 0)
        return delayed(edit, leaf, target, index(delay), abs(by))

    body = map_leaves(target.body, moved)
    longer = replace(target, extent=tidy(add(target.extent, abs(by))), body=body)
    edit.commit(swap(edit.body, target, longer), unsafe=unsafe)
    return edit.handle(target.var)


@primitive
def skew(
    edit: Edit, loop: LoopArg, by: LoopArg, factor: CountArg = 1, unsafe: bool = False
) -> Loop:
    """Start an inner loop later, the further an outer one has come: `j` becomes `j + factor * i`.

    Nothing is reordered yet, but iterations that depend on one another diagonally then do so
    straight, so that the loops may be tiled or interchanged: tiles in time, wavefronts.

    Args:
        loop: the inner loop; its handle stays.
        by: the loop around it.
        factor: how many iterations later for each iteration of `by`; may be negative.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> x = td.placeholder((16,), "float32", name="x")
    >>> t = td.scan_axis(4, name="t")
    >>> def smooth(t, prev):
    ...     h = prev["h"]
    ...     return {"h": lambda i: h[i] + h[td.maximum(i - 1, 0)]}
    >>> h = td.scan(t, states={"h": ((16,), lambda i: x[i])}, step=smooth, name="H")["h"]
    >>> s = td.Schedule(td.func("smooth", [x], [h]))
    >>> s.skew("H.h.i", by="H.h.t")
    <Loop H.h.i>
    >>> [(loop.name, loop.extent) for loop in s.nest.blocks[-1].loops]
    [('t', 4), ('i', 19)]

    Raises:
        ScheduleError: `by` is not around `loop`, or one of them is fused or vectorized.
    """
    target, outer = walkable(edit, loop), edit.loop(by)
    if outer is target or not any(stmt is target for stmt in statements(outer.body)):
        reason = f"loop {outer.var.name!r} is not around {target.var.name!r}"
        raise edit.error(reason, f"skew({outer.var.name!r}, by={target.var.name!r})")
    if outer.parts:
        raise edit.error(f"loop {outer.var.name!r} is fused", "skew first, fuse afterwards")
    last = tidy(sub(outer.extent, 1))
    steps: Expr = outer.var if factor >= 0 else sub(last, outer.var)
    delay = mul(steps, abs(factor))
    body = map_leaves(target.body, lambda leaf: delayed(edit, leaf, target, delay, None))
    extent = tidy(add(target.extent, mul(last, abs(factor))))
    longer = replace(target, extent=extent, body=body)
    edit.commit(swap(edit.body, target, longer), unsafe=unsafe)
    return edit.handle(target.var)


def walkable(edit: Edit, loop: LoopArg) -> For:
    """A loop whose iterations may be renumbered."""
    target = edit.loop(loop)
    name = target.var.name
    if target.parts:
        hint = f"{edit.primitive} first, fuse afterwards"
        raise edit.error(f"loop {name!r} is fused", hint)
    if target.kind in (LoopKind.VECTORIZED, LoopKind.UNROLLED):
        hint = f"{edit.primitive} first, or split it and {edit.primitive} the outer part"
        raise edit.error(f"loop {name!r} is {target.kind.value}", hint)
    for stmt in statements(target.body):
        if isinstance(stmt, For) and free_vars(stmt.extent) & set(own_vars(target)):
            reason = f"the extent of {stmt.var.name!r} depends on {name!r}"
            raise edit.error(reason, "only loops over a rectangle can be renumbered")
    return target


def delayed(edit: Edit, leaf: Leaf, loop: For, delay: Expr, most: int | None) -> Leaf:
    """*leaf* in a longer loop, run `delay` iterations later; `most` is by how much it is longer."""
    value = sub(loop.var, delay)
    at: dict[Var, Expr] = {loop.var: value}
    conds = [ge(value, 0), lt(value, loop.extent)]
    if most is not None:
        ranges: dict[Var, Expr | int] = {loop.var: add(loop.extent, most)}
        domain = Domain(ranges, sizes=edit.program.sizes, assume=edit.program.assume)
        conds = [cond for cond in conds if not domain.proves(cond)]
    return replace(
        leaf,
        bindings=tuple(substitute(binding, at) for binding in leaf.bindings),
        guards=(
            *(replace(guard, cond=substitute(guard.cond, at)) for guard in leaf.guards),
            *(Guard(cond) for cond in conds),
        ),
    )
