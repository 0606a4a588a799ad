"""partition: cut the range of a loop, and give each piece loops and leaves of its own."""

from __future__ import annotations

from tdsl.ir.build import add, maximum, minimum, sub
from tdsl.ir.expr import Const, Expr, Var
from tdsl.ir.inits import reduction_vars
from tdsl.ir.stmt import Alloc, For
from tdsl.ir.visit import own_vars, substitute
from tdsl.scheduling.arguments import LoopArg, PointsArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.splitting import component_values
from tdsl.scheduling.tree import leaves_below, renamed, sequence, statements, swap


@primitive
def partition(edit: Edit, loop: LoopArg, at: PointsArg, unsafe: bool = False) -> tuple[Loop, ...]:
    """Cut a loop at one or several iterations: `0..at`, `at..end`, one after the other.

    The blocks inside stand in each piece, as `C@0`, `C@1`, ...; each piece is scheduled by itself.

    Args:
        loop: the loop; its handle and those inside it end.
        at: where the second piece starts, or where each piece but the first does.
        unsafe: skip the proof.

    Returns:
        The loops of the pieces, in order.

    >>> import tdsl as td
    >>> A = td.placeholder((100,), "float32", name="A")
    >>> B = td.compute((100,), lambda i: A[i] + 1.0, name="B")
    >>> s = td.Schedule(td.func("increment", [A], [B]))
    >>> body, rest = s.partition("i", 96)
    >>> _ = s.vectorize(body, 16)
    >>> s.loops("B@1")
    (<Loop B@1.i>,)

    Raises:
        ScheduleError: a point outside the loop, a reduction loop whose init is derived, or a
            tensor that is private to the loop.
    """
    target = edit.loop(loop)
    points = at if isinstance(at, tuple) else (at,)
    _check(edit, target, points)
    pieces: list[For] = []
    for number, (start, end) in enumerate(zip((0, *points), (*points, None), strict=True)):
        extent = _length(target.extent, start, end)
        var = Var(target.var.name, target.var.dtype)
        body = substitute(target.body, component_values(edit, target, add(start, var)))
        fresh, _ = renamed(body) if number else (body, {})
        pieces.append(For(var, extent, fresh, target.kind, (), edit.core.span()))
    edit.commit(swap(edit.body, target, sequence(*pieces)), unsafe=unsafe)
    return edit.handles(*(piece.var for piece in pieces))


def _length(extent: Expr, start: int, end: int | None) -> Expr:
    """How many iterations lie from *start* to *end*, never less than none."""
    stop = extent if end is None else minimum(extent, end)
    if start == 0:
        return stop
    return maximum(sub(stop, start), 0)


def _check(edit: Edit, loop: For, points: tuple[int, ...]) -> None:
    name = loop.var.name
    if isinstance(loop.extent, Const) and points[-1] >= int(loop.extent.value):
        last = int(loop.extent.value) - 1
        raise edit.error(
            f"{points[-1]} is not inside loop {name!r} of extent {last + 1}",
            f"points from 1 to {last}" if last > 0 else f"there is nothing to part in {name!r}",
        )
    private = [stmt.buffer.name for stmt in statements(loop.body) if isinstance(stmt, Alloc)]
    if private:
        raise edit.error(f"{private[0]!r} is private to loop {name!r}", "partition before placing")
    present = {leaf.block for leaf in leaves_below(edit.body)}
    for leaf in leaves_below(loop):
        init = leaf.block.init
        if init is not None and init not in present and reduction_vars(leaf) & set(own_vars(loop)):
            raise edit.error(
                f"{name!r} is a reduction loop of {leaf.block.name!r}, whose init follows it",
                "decompose_reduction first",
            )
