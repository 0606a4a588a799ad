"""Updates that data decide on: ``if c: y = y + x`` -> ``y = c ? y + x : y`` in vectors.

In a vector loop such a condition would become the mask of a store, and the element could not stay
in a register from one update to the next. Storing what was there before does no harm: an instance
whose condition depends on data counts as one that touches the element anyway.
"""

from __future__ import annotations

from tdsl.ir.build import TRUE, conjunction, conjuncts
from tdsl.ir.expr import Expr, Load, Select
from tdsl.ir.stmt import For, If, LoopKind, Program, Stmt, Store
from tdsl.ir.visit import has_effects, loads
from tdsl.lower.bodies import map_statements, with_body
from tdsl.target import Target


def select_updates(program: Program, target: Target) -> Program:
    """Make conditions on data around the updates of vector loops part of their values."""
    del target
    return with_body(program, _visit(program.body, vector=False))


def _visit(s: Stmt, *, vector: bool) -> Stmt:
    match s:
        case For(kind=kind):
            inner = vector or kind is LoopKind.VECTORIZED
            return map_statements(s, lambda n: _visit(n, vector=inner))
        case If(cond=cond, then=Store() as store, otherwise=None) if vector:
            return _updated(s, cond, store)
        case _:
            return map_statements(s, lambda n: _visit(n, vector=vector))


def _updated(s: If, cond: Expr, store: Store) -> Stmt:
    old = Load(store.buffer, store.indices)
    plain = not (store.atomic or store.stream) and store.mask is None
    if not plain or old not in loads(store.value) or has_effects(store):
        return s
    data = [c for c in conjuncts(cond) if loads(c)]
    if not data:
        return s
    rest = conjunction([c for c in conjuncts(cond) if c not in data])
    value = Select(conjunction(data), store.value, old)
    new = Store(store.buffer, store.indices, value)
    return new if rest == TRUE else If(rest, new)
