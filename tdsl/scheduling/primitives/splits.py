"""Split and tile: `for i in N` -> `for io in ceil(N / f), ii in f`, with a rule for the tail."""

from __future__ import annotations

from tdsl.scheduling.arguments import FactorArg, FactorsArg, LoopArg, TailArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.ordering import common_path, reordered
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.splitting import split_loop
from tdsl.scheduling.tree import swap


@primitive
def split(
    edit: Edit, loop: LoopArg, inner: FactorsArg, tail: TailArg = "guard", unsafe: bool = False
) -> tuple[Loop, ...]:
    """Split a loop in two, or in as many parts as a tuple of factors has.

    Args:
        loop: the loop; its handle ends.
        inner: iterations of the inner part, or a tuple such as `(4, None, 8)` with the iterations
            of each part, outer first; the None takes what is left.
        tail: what happens where the factors don't divide the extent. `guard`: a condition, which
            lowering may peel or mask. `mask`: a condition that must become masked lanes. `peel`:
            the remainder gets a loop of its own when lowered. `shift`: the last block moves
            inward and overlaps the one before. `balance`: blocks of ceil and floor size
            (constant extents). `pad`: no condition; storage is rounded up. `exact`: refuse.
        unsafe: skip the proof.

    Returns:
        The new loops, outer first: `io ii`, or `io im ii`.

    >>> import tdsl as td
    >>> A = td.placeholder((100,), "float32", name="A")
    >>> B = td.compute((100,), lambda i: A[i] * 2.0, name="B")
    >>> s = td.Schedule(td.func("double", [A], [B]))
    >>> print(s.nest)
    for i in 100:
      B[i] = A[i] * 2
    >>> io, ii = s.split("B.i", 8)
    >>> print(s.nest)
    for io in 13:
      for ii in 8:
        if io * 8 + ii < 100: B[io * 8 + ii] = A[io * 8 + ii] * 2

    Raises:
        ScheduleError: no such loop; a remainder with `exact`; `shift` or `pad` not legal here.
    """
    target = edit.loop(loop)
    factors = inner if isinstance(inner, tuple) else (None, inner)
    parts = split_loop(edit, target, factors, tail, edit.names_near(target))
    edit.commit(swap(edit.body, target, parts.nest), unsafe=unsafe)
    return edit.handles(*parts.variables)


@primitive
def tile(
    edit: Edit,
    i: LoopArg,
    j: LoopArg,
    ti: FactorArg,
    tj: FactorArg,
    tail: TailArg = "guard",
    unsafe: bool = False,
) -> tuple[Loop, Loop, Loop, Loop]:
    """Split two loops of one path and bring their inner parts inside: `io jo ii ji`.

    Args:
        i, j: the outer and the inner loop; both handles end.
        ti, tj: size of the tile.
        tail: as for `split`.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> A = td.placeholder((32, 32), "float32", name="A")
    >>> B = td.compute((32, 32), lambda i, j: A[j, i], name="B")
    >>> s = td.Schedule(td.func("transpose", [A], [B]))
    >>> io, jo, ii, ji = s.tile("i", "j", 8, 8)
    >>> print(s.nest)
    for io in 4:
      for jo in 4:
        for ii in 8:
          for ji in 8:
            B[io * 8 + ii, jo * 8 + ji] = A[jo * 8 + ji, io * 8 + ii]

    Raises:
        ScheduleError: as `split` and `reorder`.
    """
    first, second = edit.loop(i), edit.loop(j)
    if first is second:
        raise edit.error(f"both loops are {first.var.name!r}", "tile takes two different loops")
    common_path(edit, edit.body, {first.var, second.var})  # refused by the names that were given
    taken = edit.names_near(first) | edit.names_near(second)
    taken -= {first.var.name, second.var.name}
    one = split_loop(edit, first, (None, ti), tail, taken)
    body = swap(edit.body, first, one.nest)
    # the second loop may have been rebuilt with the first: find it again by its variable
    second = edit.find(body, second.var)
    two = split_loop(edit, second, (None, tj), tail, taken)
    body = swap(body, second, two.nest)
    (io, ii), (jo, ji) = one.variables, two.variables
    edit.commit(reordered(edit, body, (io, jo, ii, ji)), unsafe=unsafe)
    return edit.handle(io), edit.handle(jo), edit.handle(ii), edit.handle(ji)
