"""Where a condition on a loop's variable starts or stops to hold: ``16*i + 15 < N`` -> N // 16."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tdsl.ir.affine import Affine, divide, linear
from tdsl.ir.build import maximum, minimum
from tdsl.ir.expr import Binary, BinaryOp, Expr, Var
from tdsl.ir.stmt import Let, Seq, Stmt
from tdsl.ir.visit import walk
from tdsl.lower.facts import Facts, not_negative

_EXTREMA = (BinaryOp.MIN, BinaryOp.MAX)


def solve(form: Affine, var: Var) -> Expr | None:
    """Solve `form >= 0` for *var*, which must occur in it linearly.

    Returns the least value of *var* where its coefficient is positive, the first one too large
    where it is negative, and None where the form cannot be solved.
    """
    c = form.coefficient(var)
    rest = form - Affine({var: c})
    if c == 0 or var in rest.vars():
        return None
    if c > 0:
        return divide(rest * -1 + (c - 1), c).expr()
    return (divide(rest, -c) + 1).expr()


def least(a: Expr, b: Expr, facts: Facts) -> Expr:
    """`min(a, b)`, one of them where it is known to be the smaller."""
    if not_negative(facts, linear(b) - linear(a)):
        return a
    return b if not_negative(facts, linear(a) - linear(b)) else minimum(a, b)


def greatest(a: Expr, b: Expr, facts: Facts) -> Expr:
    """`max(a, b)`, one of them where it is known to be the greater."""
    if not_negative(facts, linear(a) - linear(b)):
        return a
    return b if not_negative(facts, linear(b) - linear(a)) else maximum(a, b)


def named(e: Expr, name: str, most: int = 1) -> Let | None:
    """A binding (of nothing yet) for a bound of more minima and maxima than *most*.

    What follows substitutes a bound wherever the variable stands, and proves things about it.
    Those of skewed loops would grow with every loop.
    """
    extrema = sum(isinstance(n, Binary) and n.op in _EXTREMA for n in walk(e))
    return Let(Var(name), e, Seq(())) if extrema > most else None


def binding(lets: Sequence[Let | None], body: Stmt) -> Stmt:
    """*body* under the bindings, the first one outermost."""
    for let in reversed([let for let in lets if let is not None]):
        body = dataclasses.replace(let, body=body)
    return body
