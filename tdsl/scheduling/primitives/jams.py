"""unroll_and_jam and compute_with: bring the bodies of several iterations, or loops, together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tdsl.ir.affine import linear, tidy
from tdsl.ir.build import lt, maximum, sub
from tdsl.ir.expr import Expr, Var
from tdsl.ir.stmt import Alloc, For, Guard, LoopKind, Seq, Stmt
from tdsl.ir.visit import free_vars, substitute
from tdsl.scheduling.arguments import BlockArg, FactorArg, LoopArg, TailArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.naming import unique_name
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.splitting import split_loop
from tdsl.scheduling.tree import guarded, sequence, statements, swap


@primitive
def unroll_and_jam(
    edit: Edit, loop: LoopArg, factor: FactorArg, tail: TailArg = "guard", unsafe: bool = False
) -> tuple[Loop, ...]:
    """Take several iterations of a loop at once, all the way in: loops inside run them together.

    The loop is split by `factor`, and its inner part, unrolled, goes inside all loops that it
    holds (but outside vectorized ones): what the iterations load alike is loaded once.

    Args:
        loop: the loop; its handle ends.
        factor: how many iterations are taken together.
        tail: as for `split`.
        unsafe: skip the proof.

    Returns:
        The outer part, and the unrolled loops, one for each block inside.

    >>> import tdsl as td
    >>> A = td.placeholder((8, 4), "float32", name="A")
    >>> x = td.placeholder((4,), "float32", name="x")
    >>> k = td.reduce_axis(4, name="k")
    >>> y = td.compute((8,), lambda i: td.sum(A[i, k] * x[k], axis=k), name="y")
    >>> s = td.Schedule(td.func("gemv", [A, x], [y]))
    >>> s.unroll_and_jam("i", 4)
    (<Loop y.io>, <Loop y.ii>)
    >>> print(s.nest)
    for io in 2:
      for ii in unrolled(4):
        y[io * 4 + ii] = 0
      for k in 4:  # reduction
        for ii in unrolled(4):
          y[io * 4 + ii] += A[io * 4 + ii, k] * x[k]

    Raises:
        ScheduleError: an iteration needs what a later step of one before it makes; an extent
            inside depends on the loop.
    """
    target = edit.loop(loop)
    for stmt in statements(target.body):
        if isinstance(stmt, For) and free_vars(stmt.extent) & {p.var for p in target.levels}:
            reason = f"the extent of {stmt.var.name!r} depends on {target.var.name!r}"
            raise edit.error(reason, "only loops over a rectangle can be jammed")
    outer = split_loop(edit, target, (None, factor), tail, edit.names_near(target)).nest
    assert isinstance(outer, For)
    inner = outer.body
    assert isinstance(inner, For)
    made: list[Var] = []
    body = swap(edit.body, target, replace(outer, body=_jammed(inner, inner.body, made)))
    edit.commit(body, unsafe=unsafe)
    return edit.handles(outer.var, *made)


def _jammed(loop: For, stmt: Stmt, made: list[Var]) -> Stmt:
    """*stmt* with an unrolled copy of *loop* around each of its leaves."""
    match stmt:
        case For() if stmt.kind is not LoopKind.VECTORIZED:
            return replace(stmt, body=_jammed(loop, stmt.body, made))
        case Alloc():
            return replace(stmt, body=_jammed(loop, stmt.body, made))
        case Seq(body=items):
            return sequence(*(_jammed(loop, item, made) for item in items))
        case _:
            var = Var(loop.var.name, loop.var.dtype) if made else loop.var
            made.append(var)
            body = substitute(stmt, {loop.var: var})
            return replace(loop, var=var, body=body, kind=LoopKind.UNROLLED)


@primitive
def compute_with(edit: Edit, block: BlockArg, at: LoopArg, unsafe: bool = False) -> Loop:
    """Share loops: a block's outer loops become those of another nest, down to `at`.

    Where both read the same tensor, it is loaded once; a producer and its consumer share loops
    if every iteration of the consumer needs no later one of the producer. The blocks keep their
    order; where extents differ, the loop is as long as the longer one.

    Args:
        block: the block whose loops end; those inside the shared ones stay.
        at: the innermost loop to share, of another nest.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> A = td.placeholder((8, 8), "float32", name="A")
    >>> B = td.compute((8, 8), lambda i, j: A[i, j] + 1.0, name="B")
    >>> C = td.compute((8, 8), lambda i, j: A[i, j] * 2.0, name="C")
    >>> s = td.Schedule(td.func("both", [A], [B, C]))
    >>> s.compute_with("C", at="B.j")
    <Loop B.j>
    >>> print(s.nest)
    for i in 8:
      for j in 8:
        B[i, j] = A[i, j] + 1
        C[i, j] = A[i, j] * 2

    Raises:
        ScheduleError: the loops do not match, or an iteration would need what a later one makes.
    """
    target = edit.loop(at)
    mine, theirs = edit.path(block), edit.path_to_loop(target)
    apart = next((n for n, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a is not b), 0)
    seq = mine[apart - 1]  # the leaf itself, where the whole path to the loop is the block's, too
    if not isinstance(seq, Seq):
        raise edit.error(
            f"block {block!r} is inside loop {target.var.name!r} already",
            "give a loop of another nest",
        )
    hosts = _loops(edit, theirs[apart:], target.var.name)
    guests = _loops(edit, mine[apart : apart + len(hosts)], str(block))
    if len(guests) < len(hosts):
        reason = f"{block!r} has {len(guests)} loops of its own, {len(hosts)} would be shared"
        raise edit.error(reason, "share fewer: give a loop further out")
    merged = _merged(edit, seq, hosts, guests)

    def attempt(place: For, other: For) -> None:
        items = [merged if item is place else item for item in seq.body if item is not other]
        edit.commit(swap(edit.body, seq, sequence(*items)), unsafe=unsafe)

    places = [(hosts[0], guests[0]), (guests[0], hosts[0])]
    edit.first_accepted([partial(attempt, *place) for place in places])
    return edit.handle(target.var)


def _loops(edit: Edit, path: tuple[Stmt, ...], name: str) -> list[For]:
    """The loops of a path on which nothing else stands."""
    found: list[For] = []
    for stmt in path:
        if isinstance(stmt, For):
            found.append(stmt)
        elif isinstance(stmt, Alloc):
            reason = f"{stmt.buffer.name!r} is stored between the loops of {name!r}"
            raise edit.error(reason, f"s.store_at({stmt.buffer.name!r}, at=...) a loop around both")
        else:
            break
    return found


def _merged(edit: Edit, seq: Seq, hosts: list[For], guests: list[For]) -> Stmt:
    """One nest of the hosts' loops that holds what both hold, in the order in which it stood."""
    renamed: dict[Var, Expr] = {}
    shorter: dict[bool, list[Guard]] = {True: [], False: []}
    extents: list[Expr] = []
    for host, guest in zip(hosts, guests, strict=True):
        if len(host.levels) != len(guest.levels):
            reason = f"one of {host.var.name!r} and {guest.var.name!r} is fused, the other is not"
            raise edit.error(reason, "fuse both, or neither")
        extents.append(host.extent)
        for one, two in zip(host.levels, guest.levels, strict=True):
            extent = tidy(substitute(two.extent, renamed))
            renamed[two.var] = one.var
            longer = linear(sub(extent, one.extent))
            if longer.is_constant and longer.const == 0:
                continue
            if host.parts:
                reason = f"the fused loops {host.var.name!r} and {guest.var.name!r} differ"
                raise edit.error(reason, "only fused loops of equal extents can be shared")
            extents[-1] = tidy(maximum(one.extent, extent))
            if not longer.is_constant or longer.const > 0:
                shorter[True].append(Guard(lt(one.var, one.extent)))
            if not longer.is_constant or longer.const < 0:
                shorter[False].append(Guard(lt(one.var, extent)))
    taken = {stmt.var.name for stmt in edit.path_to_loop(hosts[-1]) if isinstance(stmt, For)}
    moved = _renamed_apart(substitute(guests[-1].body, renamed), taken)
    bodies = [
        guarded(hosts[-1].body, tuple(shorter[True])),
        guarded(moved, tuple(shorter[False])),
    ]
    order = [id(item) for item in seq.body]
    if order.index(id(guests[0])) < order.index(id(hosts[0])):
        bodies.reverse()
    nest = sequence(*bodies)
    for host, extent in zip(reversed(hosts), reversed(extents), strict=True):
        nest = replace(host, extent=extent, body=nest)
    return nest


def _renamed_apart(stmt: Stmt, taken: set[str]) -> Stmt:
    """*stmt* with other names for loops that are called as those which are now around it."""
    names = taken | {s.var.name for s in statements(stmt) if isinstance(s, For)}
    for loop in [s for s in statements(stmt) if isinstance(s, For)]:
        if loop.var.name in taken:
            fresh = Var(unique_name(loop.var.name, names), loop.var.dtype)
            held = Edit.find(stmt, loop.var)
            body = substitute(held.body, {loop.var: fresh})
            stmt = swap(stmt, held, replace(held, var=fresh, body=body))
    return stmt
