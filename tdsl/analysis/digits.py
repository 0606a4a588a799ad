"""Loops that count through their iteration variables like digits of a number.

After splits and reorders each iteration variable is a sum `c0*l0 + c1*l1 + ...` in which each
coefficient is the product of the smaller digits' extents. Such loops reach each value exactly
once, which is seen here without integer sets; whatever looks different is left to isl.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.ir import build
from tdsl.ir.affine import Affine, linear
from tdsl.ir.build import conjuncts
from tdsl.ir.expr import Binary, BinaryOp, Expr, Var
from tdsl.ir.stmt import Leaf


def counts_through(leaf: Leaf, levels: Sequence[tuple[Var, Expr]]) -> bool:
    """Whether a leaf inside loops (variable, extent) surely runs every instance exactly once.

    False: it does not, or unknown. True also means that it runs nothing but instances.
    """
    extents = {var: linear(extent) for var, extent in levels}
    guards = []
    for cond in (c for g in leaf.guards for c in conjuncts(g.cond)):
        if not isinstance(cond, Binary) or cond.op is not BinaryOp.LT:
            return False
        guards.append(linear(cond.b) - linear(cond.a))
    used: set[Expr] = set()
    for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
        digits = linear(binding)
        limit = linear(it.extent)
        if digits.const or any(atom in used for atom in digits.terms):
            return False
        guard = limit - digits
        guarded = guard in guards
        guards = [g for g in guards if g != guard]
        if not _covers(digits, limit, extents, guarded=guarded):
            return False
        used.update(digits.terms)
    spare = [extents[v] for v in extents if v not in used]
    return not guards and all(e == Affine({}, 1) for e in spare)


def _covers(digits: Affine, limit: Affine, extents: dict[Var, Affine], *, guarded: bool) -> bool:
    """Whether the digits reach exactly 0 .. limit - 1, those beyond being guarded off."""
    if digits.is_constant:
        return limit == Affine({}, 1)
    weight = 1
    places = sorted(digits.terms.items(), key=lambda place: place[1])
    for n, (var, coefficient) in enumerate(places):
        extent = extents.get(var) if isinstance(var, Var) else None
        if extent is None or coefficient != weight:
            return False
        if not extent.is_constant:
            return n == len(places) - 1 and _reaches(extent, weight, limit, guarded=guarded)
        weight *= extent.const
        if extent.const < 1:
            return False
    if not limit.is_constant:
        return False
    return weight == limit.const or (guarded and weight > limit.const)


def _reaches(extent: Affine, weight: int, limit: Affine, *, guarded: bool) -> bool:
    """Whether `extent` steps of `weight` reach a symbolic limit."""
    if weight == 1:
        return extent == limit
    ceiling = linear(build.floordiv((limit + (weight - 1)).expr(), weight))
    return guarded and extent == ceiling
