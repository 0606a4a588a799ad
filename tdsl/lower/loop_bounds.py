"""Where a condition on a loop's variable starts or stops to hold: ``16*i + 15 < N`` -> N // 16."""

from __future__ import annotations

from tdsl.ir.affine import Affine, divide, linear
from tdsl.ir.build import maximum, minimum
from tdsl.ir.expr import Expr, Var
from tdsl.lower.facts import Facts, not_negative


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
