"""Contractions: reductions whose operands are reused, such as products of matrices.

    C[b, i, j] = sum over k of A[b, i, k] * B[b, k, j]

A *column* axis (j) is missing from some operand (A, which is broadcast), a *row* axis (i) from
the other (B, whose columns fill vectors). Convolutions are contractions in which an operand walks
a data and a reduction axis at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import Access, BlockFacts


@dataclass(frozen=True, slots=True)
class Contraction:
    """How a reduction is seen as a product.

    Attributes:
        column: the axis that fills vectors.
        rows: axes along which vectors of the column operand are used again, outer first.
        batch: the other data axes.
        vectors: operands that walk the column axis.
        scalars: operands that don't, and walk a reduction axis.
    """

    facts: BlockFacts
    column: Var
    rows: tuple[Var, ...]
    batch: tuple[Var, ...]
    vectors: tuple[Access, ...]
    scalars: tuple[Access, ...]

    @property
    def slides(self) -> bool:
        """Whether an operand walks a data and a reduction axis in one dimension: a convolution."""
        reduced = set(self.facts.reduced)
        data = set(self.facts.data)
        return any(
            form.vars() & reduced and form.vars() & data
            for access in (*self.vectors, *self.scalars)
            for form in access.forms
        )


def find_contraction(facts: BlockFacts) -> Contraction | None:
    """The best view of a block as a contraction, or None."""
    return max(views_of(facts), key=_preference, default=None)


def views_of(facts: BlockFacts) -> tuple[Contraction, ...]:
    """Every view of a block as a contraction: one for each axis that can be the column."""
    if not facts.reduces or len(facts.block.writes) != 1 or facts.block.where is not None:
        return ()
    views = (_with_column(facts, var) for var in facts.data)
    return tuple(view for view in views if view is not None)


def _with_column(facts: BlockFacts, column: Var) -> Contraction | None:
    if facts.extent(column) == 1:
        return None
    reduced = set(facts.reduced)
    operands = [load for load in facts.loads if load.vars & reduced]
    vectors = tuple(load for load in operands if column in load.vars)
    scalars = tuple(load for load in operands if column not in load.vars)
    if not vectors or not scalars or not all(v.is_plain(column) for v in vectors):
        return None
    walked = {var for load in vectors for var in load.vars} | {column}
    rows = tuple(
        v for v in facts.data if v not in walked and any(v in load.vars for load in scalars)
    )
    if all(facts.extent(v) == 1 for v in rows):
        return None
    batch = tuple(v for v in facts.data if v is not column and v not in rows)
    return Contraction(facts, column, rows, batch, vectors, scalars)


def _preference(view: Contraction) -> tuple[int, ...]:
    """Whole vectors first, then no halo, then dense stores, then dense loads."""
    facts = view.facts
    extent = facts.extent(view.column)
    return (
        int(extent is None or extent >= 8),
        int(not _slides(view, view.column)),
        int(facts.writes[0].is_dense(view.column)),
        int(all(v.is_dense(view.column) for v in view.vectors)),
    )


def _slides(view: Contraction, var: Var) -> bool:
    """Whether *var* shares an index with a reduction axis."""
    reduced = set(view.facts.reduced)
    return any(
        var in form.vars() and form.vars() & reduced
        for access in (*view.vectors, *view.scalars)
        for form in access.forms
    )
