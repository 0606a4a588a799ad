"""Drop guards of private tiles: ``if io*6+i < M: T[io*6+i] = A[..]`` -> ``T[io*6+i] = A[min(..)]``.

A guard on an unrolled or vectorised loop puts a condition around every statement of a register
tile. Where an instance that the guard excludes would only write elements outside the tensor's
logical shape, in storage that is private to an iteration, nothing legitimate ever reads them: the
instance may as well run. What it loads is made safe: scalar indices are clamped into the buffer,
indices that differ between lanes become masked loads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from tdsl.ir.affine import linear
from tdsl.ir.build import TRUE, conjuncts, ge, index, logical_and, lt, maximum, minimum, sub
from tdsl.ir.expr import (
    Buffer,
    Checked,
    Expr,
    Load,
    Node,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.stmt import Alloc, For, Guard, Leaf, LoopKind, Program, Scope, Stmt, Tail
from tdsl.ir.visit import (
    block_reads,
    free_vars,
    has_effects,
    map_block,
    map_children,
    substitute,
    walk,
)
from tdsl.lower.bodies import map_statements, with_body
from tdsl.lower.facts import Facts, holds, implied, in_range, not_negative, program_facts
from tdsl.lower.told import anchored, grows, told, unbounded
from tdsl.target import Target


@dataclass(frozen=True, slots=True)
class _Place:
    """What surrounds a statement: facts, loops that lowering replicates, private storage.

    `private` gives the dimensions along which private storage is folded.
    """

    facts: Facts
    replicated: frozenset[Var] = frozenset()
    lanes: frozenset[Var] = frozenset()
    private: Mapping[Buffer, frozenset[int]] = field(default_factory=dict)
    in_loop: bool = False

    def inside(self, s: Stmt) -> _Place:
        match s:
            case For(var=var, kind=kind):
                own = frozenset((var, *(part.var for part in s.parts)))
                vector = kind is LoopKind.VECTORIZED
                replicated = vector or kind is LoopKind.UNROLLED
                return dataclasses.replace(
                    self,
                    facts=self.facts.inside(s),
                    replicated=self.replicated | own if replicated else self.replicated,
                    lanes=self.lanes | own if vector else self.lanes,
                    in_loop=True,
                )
            case Alloc(buffer=buffer) if is_private(s, in_loop=self.in_loop):
                private = {**self.private, buffer: _folded_dimensions(s)}
                return dataclasses.replace(self, private=private)
            case _:
                return self


def is_private(alloc: Alloc, *, in_loop: bool) -> bool:
    """Whether storage is one iteration's own and grows to whatever is accessed in it."""
    return in_loop or alloc.scope is not Scope.GLOBAL


def _folded_dimensions(alloc: Alloc) -> frozenset[int]:
    """Dimensions that the place of an element does not tell, or along which storage cannot grow.

    Along these, elements outside the logical shape share their places with elements in use.
    """
    if alloc.layout is None:
        return frozenset()
    known, fixed, free = told(alloc.layout, unbounded), anchored(alloc.layout), grows(alloc.layout)
    return frozenset(d for d in range(len(known)) if fixed[d] or not (known[d] and free[d]))


def relax_guards(program: Program, target: Target) -> Program:
    """Drop the guards that only keep replicated loops from writing where nobody reads."""
    del target
    return with_body(program, _visit(program.body, _Place(program_facts(program))))


def _visit(s: Stmt, place: _Place) -> Stmt:
    if isinstance(s, Leaf):
        return _relax(s, place)
    inner = place.inside(s)
    return map_statements(s, lambda n: _visit(n, inner))


def _relax(leaf: Leaf, place: _Place) -> Leaf:
    if leaf.atomic or not _is_tame(leaf, place):
        return leaf
    mapping: dict[Var, Expr] = dict(zip(leaf.block.vars, leaf.bindings, strict=True))
    dropped = [g for g in leaf.guards if _may_drop(g, leaf, mapping, place)]
    if not dropped:
        return leaf
    kept = tuple(g for g in leaf.guards if g not in dropped)
    facts = place.facts.given(*(g.cond for g in kept))
    safety = _Safety(place, mapping, _untouched(dropped, facts, place))
    where = leaf.block.where
    inner, known = safety, facts
    if where is not None:
        runs = substitute(where, mapping)
        inner, known = safety.under(runs), facts.given(runs)
    try:
        block = map_block(
            leaf.block,
            lambda e: safety.rewrite(e, facts) if e is where else inner.rewrite(e, known),
        )
    except _Unsafe:
        return leaf
    return dataclasses.replace(leaf, block=block, guards=kept)


def _is_tame(leaf: Leaf, place: _Place) -> bool:
    """Whether running extra instances has no effect but on the block's own private elements."""
    block = leaf.block
    if not all(write.buffer in place.private for write in block.writes):
        return False
    indices = [i for read in block_reads(block) for i in read.indices]
    indices += [i for write in block.writes for i in write.indices]
    if any(isinstance(n, Load | Checked) for i in indices for n in walk(i)):
        return False
    values = [write.value for write in block.writes]
    return not any(has_effects(e) for e in (*values, block.where or TRUE))


def _may_drop(guard: Guard, leaf: Leaf, mapping: Mapping[Var, Expr], place: _Place) -> bool:
    """Whether every instance that the guard excludes writes outside the logical shape only."""
    if guard.tail in (Tail.PEEL, Tail.BALANCE) or not free_vars(guard.cond) & place.replicated:
        return False
    conds = conjuncts(guard.cond)
    return all(
        _leaves_shape(cond, [substitute(i, mapping) for i in write.indices], write.buffer, place)
        for cond in conds
        for write in leaf.block.writes
    )


def _leaves_shape(cond: Expr, indices: list[Expr], buffer: Buffer, place: _Place) -> bool:
    forms = list(implied(cond))
    if len(forms) != 1:
        return False
    excluded = Facts(place.facts.vars, (*place.facts.forms, forms[0] * -1 - 1))
    folded = place.private[buffer]
    return any(
        not_negative(excluded, linear(i) - linear(extent))
        or not_negative(excluded, linear(i) * -1 - 1)
        for d, (i, extent) in enumerate(zip(indices, buffer.shape, strict=True))
        if d not in folded
    )


def _untouched(dropped: list[Guard], facts: Facts, place: _Place) -> frozenset[Var] | None:
    """Variables on which the dropped guards differ between instances, or None.

    Where the guards hold with those at zero, a legitimate instance agrees on all the others, so
    that an index without them is in bounds.
    """
    varied = frozenset(v for g in dropped for v in free_vars(g.cond) & place.replicated)
    zero: dict[Var, Expr] = {v: index(0) for v in varied}
    return varied if all(holds(facts, substitute(g.cond, zero)) for g in dropped) else None


class _Unsafe(Exception):  # noqa: N818 - caught in this file: the guard stays
    """A load that cannot be made safe without the guard."""


@dataclass(frozen=True, slots=True)
class _Safety:
    """Makes the loads of a block safe at instances that its guards used to exclude.

    `varied`: an index without these is in bounds, for a legitimate instance loads it too.
    """

    place: _Place
    mapping: Mapping[Var, Expr]
    varied: frozenset[Var] | None

    def under(self, cond: Expr) -> _Safety:
        """The same where a condition holds: legitimate instances may lack it and load nothing."""
        if self.varied is None or not free_vars(cond) & self.varied:
            return self
        return dataclasses.replace(self, varied=None)

    def rewrite(self, e: Expr, facts: Facts) -> Expr:
        match e:
            case Load():
                return self._load(e, facts)
            case Select(cond=cond, a=a, b=b):
                known = substitute(cond, self.mapping)
                arm = self.under(known)
                new = (
                    self.rewrite(cond, facts),
                    arm.rewrite(a, facts.given(known)),
                    arm.rewrite(b, facts.given(Unary(UnaryOp.NOT, known))),
                )
                return e if new == (cond, a, b) else Select(*new)
            case _:
                return map_children(e, lambda n: self._node(n, facts))

    def _node(self, n: Node, facts: Facts) -> Node:
        return self.rewrite(n, facts) if isinstance(n, Expr) else n

    def _load(self, load: Load, facts: Facts) -> Expr:
        if load.buffer in self.place.private:
            return load
        mask: Expr = load.mask or TRUE
        indices = []
        for i, extent in zip(load.indices, load.buffer.shape, strict=True):
            placed = substitute(i, self.mapping)
            mentioned = free_vars(placed)
            if (self.varied is not None and not mentioned & self.varied) or in_range(
                facts, placed, extent
            ):
                indices.append(i)
            elif mentioned & self.place.lanes:
                indices.append(i)
                mask = logical_and(mask, _inside(i, placed, extent, facts))
            elif not_negative(facts, linear(extent) - 1):
                indices.append(_clamped(i, placed, extent, facts))
            else:
                raise _Unsafe
        return Load(load.buffer, tuple(indices), None if mask == TRUE else mask)


def _inside(i: Expr, placed: Expr, extent: Expr, facts: Facts) -> Expr:
    below = TRUE if holds(facts, lt(placed, extent)) else lt(i, extent)
    above = TRUE if not_negative(facts, linear(placed)) else ge(i, 0)
    return logical_and(above, below)


def _clamped(i: Expr, placed: Expr, extent: Expr, facts: Facts) -> Expr:
    if not holds(facts, lt(placed, extent)):
        i = minimum(i, sub(extent, 1))
    return i if not_negative(facts, linear(placed)) else maximum(i, 0)


__all__ = ["is_private", "relax_guards"]
