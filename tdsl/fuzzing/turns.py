"""How often the loops of a schedule turn: guards may leave most turns without work."""

from __future__ import annotations

from math import prod

from tdsl.ir.expr import Expr, Var
from tdsl.ir.stmt import For, Leaf, Program, Stmt
from tdsl.ir.visit import substatements
from tdsl.lang.bounds import evaluate
from tdsl.scheduling import Schedule

_MOST_TURNS_A_POINT = 32
_SIZE = 4  # of each symbolic size: rounding up is worst at small ones


def is_sparse(s: Schedule) -> bool:
    """Whether a schedule's loops turn so often for nothing that interpreting it takes minutes.

    Each split of a short loop rounds up to its factor: one turn in 4**14 has work after fourteen.
    """
    return turns(s.program) > _MOST_TURNS_A_POINT * turns(s.algorithm)


def turns(program: Program) -> int:
    """Turns of the loops around each leaf, where every size is 4.

    >>> import tdsl as td
    >>> A = td.placeholder((td.sizes("n"),), "int32", name="A")
    >>> s = td.Schedule(td.func("f", [A], [td.compute(A.shape, lambda i: A[i] + 1, name="B")]))
    >>> turns(s.program)
    4
    >>> _ = s.split("B.i", 32)
    >>> turns(s.program)
    32
    """
    return _turns(program.body, dict.fromkeys(program.sizes, _SIZE))


def _turns(s: Stmt, env: dict[Var, int]) -> int:
    if isinstance(s, Leaf):
        return 1
    below = substatements(s)
    if not isinstance(s, For):
        return sum(_turns(child, env) for child in below)
    trips = prod(_trips(level.var, level.extent, env) for level in s.levels)
    return trips * sum(_turns(x, env) for x in below)


def _trips(var: Var, extent: Expr, env: dict[Var, int]) -> int:
    """A loop's turns; it is in the middle one for what depends on it."""
    found = evaluate(extent, env)
    trips = max(found, 0) if isinstance(found, int) else 1
    env[var] = max(trips - 1, 0) // 2
    return trips
