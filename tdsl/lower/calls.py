"""Calls of foreign functions, which run only where their value is asked for."""

from __future__ import annotations

from tdsl.ir.build import const
from tdsl.ir.expr import Expr, Extern, Node, Select
from tdsl.ir.instruction import PREFIX
from tdsl.ir.visit import walk


def is_call(n: Node) -> bool:
    """Whether a node calls a function that may be defined for some arguments only."""
    return isinstance(n, Extern) and not n.symbol.startswith(PREFIX)


def has_calls(e: Expr) -> bool:
    """Whether there is such a call in an expression."""
    return any(map(is_call, walk(e)))


def guarded_call(call: Expr, cond: Expr) -> Expr:
    """A call that is made where a condition holds; zero elsewhere."""
    return Select(cond, call, const(0, call.dtype))
