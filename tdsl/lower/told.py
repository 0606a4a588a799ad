"""What the place of an element tells of its indices: which elements can share a place at all.

Stored at `[i // 4, i % 4]`, an element's place tells `i`. In a ring, `[i % 4]`, it only does so
among elements that are less than a turn apart, and in `[i * 5 + j]` among those of one row of five.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdsl.ir.affine import Affine, linear
from tdsl.ir.build import index
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Var
from tdsl.ir.interval import Interval, constant_bounds
from tdsl.ir.stmt import Layout
from tdsl.ir.visit import free_vars, walk

# How many integers lie between the least and the greatest value of an expression; None: unknown.
Span = Callable[[Expr], int | None]


def unbounded(e: Expr) -> int | None:
    """The span of expressions of which nothing is known."""
    del e
    return None


def told(layout: Layout, span: Span) -> list[bool]:
    """For each dimension, whether elements in one place have the same index along it.

    Args:
        layout: where elements are stored.
        span: how far the indices of the elements in question reach, and expressions of them.
    """
    known = _known(layout, span)
    return [i in known or span(i) == 1 for i in layout.inputs]


def anchored(layout: Layout) -> list[bool]:
    """For each dimension, whether elements may share other places if the storage began elsewhere.

    Rings turn with their storage. Stored at `[i // 4]`, elements 3 and 4 are apart, and share a
    place in storage that begins at 3.
    """
    known = _known(layout, unbounded)
    fixed = [output for output in layout.outputs if not _turns_along(output, known)]
    return [any(i in free_vars(output) for output in fixed) for i in layout.inputs]


def grows(layout: Layout) -> list[bool]:
    """For each dimension, whether there is storage for elements beyond the last: none below 0."""
    env = {i: Interval(index(0), None) for i in layout.inputs}
    least = [constant_bounds(output, env)[0] for output in layout.outputs]
    turned = [
        output for output, low in zip(layout.outputs, least, strict=True) if low is None or low < 0
    ]
    return [not any(i in free_vars(output) for output in turned) for i in layout.inputs]


def _turns_along(e: Expr, known: set[Expr]) -> bool:
    """Whether a part of a place is made of sums, and remainders of sums, that the place tells."""
    if e in known and (_is_sum(e) or (isinstance(e, Binary) and _is_turn_of_sum(e))):
        return True
    if isinstance(e, Binary):
        return _turns_along(e.a, known) and _turns_along(e.b, known)
    return isinstance(e, Const)


def _is_turn_of_sum(e: Binary) -> bool:
    return e.op is BinaryOp.FLOORMOD and isinstance(e.b, Const) and _is_sum(e.a)


def _is_sum(e: Expr) -> bool:
    return all(isinstance(atom, Var) for atom in linear(e).terms)


def _known(layout: Layout, span: Span) -> set[Expr]:
    """The expressions of indices whose values the place of an element tells."""
    parts = [n for output in layout.outputs for n in walk(output) if isinstance(n, Binary)]
    turns = [n for n in parts if n.op is BinaryOp.FLOORMOD]
    quotients = {(n.a, n.b): n for n in parts if n.op is BinaryOp.FLOORDIV}
    known: set[Expr] = set(layout.outputs)
    while True:
        found = {
            n.a
            for n in turns
            if n in known and (quotients.get((n.a, n.b)) in known or _fits(n, known, span))
        }
        found |= {atom for e in known for atom in _atoms_told(e, known, span)}
        if found <= known:
            return known
        known |= found


def _fits(turn: Binary, known: set[Expr], span: Span) -> bool:
    """Whether what is taken modulo something makes no whole turn, for all that is known of it."""
    form = linear(turn.a)
    open_ = Affine({atom: c for atom, c in form.terms.items() if atom not in known})
    reach = span(open_.expr())
    return reach is not None and isinstance(turn.b, Const) and reach <= turn.b.value


def _atoms_told(e: Expr, known: set[Expr], span: Span) -> Iterator[Expr]:
    """The terms that the value of a sum tells: like digits, each outweighs all smaller ones."""
    terms = [
        (abs(c), atom)
        for atom, c in linear(e).terms.items()
        if atom not in known and span(atom) != 1
    ]
    below: int | None = 0  # by how much the smaller terms can differ
    for weight, atom in sorted(terms, key=lambda term: term[0]):
        if below is None or weight <= below:
            return
        reach = span(atom)
        below = None if reach is None else below + weight * (reach - 1)
    yield from (atom for _, atom in terms)
