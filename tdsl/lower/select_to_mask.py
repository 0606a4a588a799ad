"""Mask the loads that a select protects: ``c ? A[i-1] : 0`` -> ``A[i-1] where c``.

A select evaluates only the arm it takes, so a load in an arm may lie outside its buffer where the
arm is not taken. Once the arms are evaluated side by side, as vector code does, such a load needs
the condition as its mask. Loads that are in bounds anyway, or made anyway, stay as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tdsl.ir.build import TRUE, conjunction, logical_and
from tdsl.ir.expr import Checked, Const, Expr, Load, Node, Select, Unary, UnaryOp
from tdsl.ir.stmt import For, If, Let, Prefetch, Program, Stmt, Store
from tdsl.ir.visit import children, map_children, walk
from tdsl.lower.bodies import with_body
from tdsl.lower.calls import has_calls
from tdsl.lower.facts import Facts, in_range, program_facts
from tdsl.target import Target


def select_to_mask(program: Program, target: Target) -> Program:
    """Give loads in the arms of selects the masks that keep them in bounds."""
    del target
    return with_body(program, _visit(program.body, program_facts(program)))


def _visit(n: Node, facts: Facts) -> Node:
    match n:
        case For():
            return _over_children(n, facts, facts.inside(n))
        case If(otherwise=None):
            return _over_children(n, facts, facts.given(n.cond))
        case Store() | Let() | If() | Prefetch():
            return _over_children(n, facts, facts)
        case Stmt():
            return map_children(n, lambda child: _visit(child, facts))
        case _:
            return n


def _over_children(s: Stmt, facts: Facts, inner: Facts) -> Node:
    own = [child for child in children(s) if isinstance(child, Expr)]
    if not any(isinstance(n, Select) for e in own for n in walk(e)):
        return map_children(s, lambda n: _visit(n, inner) if isinstance(n, Stmt) else n)
    certain = frozenset(load for e in own for load in _certain(e))
    masker = _Masker(facts, certain)
    return map_children(
        s, lambda n: masker.expr(n, ()) if isinstance(n, Expr) else _visit(n, inner)
    )


def _certain(e: Node) -> Iterator[Load]:
    """Loads that are made whatever the selects choose."""
    if isinstance(e, Load) and e.mask is None:
        yield e
    for child in (e.cond,) if isinstance(e, Select) else children(e):
        yield from _certain(child)


@dataclasses.dataclass(frozen=True, slots=True)
class _Masker:
    facts: Facts
    certain: frozenset[Load]

    def expr(self, e: Expr, conds: tuple[Expr, ...]) -> Expr:
        match e:
            case Select(cond=cond, a=a, b=b):
                return self._select(e, (cond, a, b), conds)
            case Load():
                return self._load(e, conds)
            case _:
                return map_children(e, lambda n: self._node(n, conds))

    def _node(self, n: Node, conds: tuple[Expr, ...]) -> Node:
        return self.expr(n, conds) if isinstance(n, Expr) else n

    def _select(self, e: Select, parts: tuple[Expr, Expr, Expr], conds: tuple[Expr, ...]) -> Expr:
        test = self.expr(parts[0], conds)
        a = self.expr(parts[1], (*conds, test))
        b = self.expr(parts[2], (*conds, Unary(UnaryOp.NOT, test)))
        masked = isinstance(a, Load) and a.mask == conjunction([*conds, test]) and _is_zero(b)
        if masked and not has_calls(a):  # a load computes its index whatever its mask says
            return a
        return e if (test, a, b) == parts else Select(test, a, b)

    def _load(self, e: Load, conds: tuple[Expr, ...]) -> Expr:
        new = map_children(e, lambda n: self._node(n, conds))
        if not conds or e in self.certain or self._is_safe(new):
            return new
        mask = conjunction(list(conds))
        return dataclasses.replace(new, mask=logical_and(mask, new.mask or TRUE))

    def _is_safe(self, load: Load) -> bool:
        known = self.facts if load.mask is None else self.facts.given(load.mask)
        if any(isinstance(n, Checked) for i in load.indices for n in walk(i)):
            return False  # the arm that is not taken must not be flagged
        return all(
            in_range(known, i, extent)
            for i, extent in zip(load.indices, load.buffer.shape, strict=True)
        )


def _is_zero(e: Expr) -> bool:
    return isinstance(e, Const) and not e.value and repr(e.value) != "-0.0"
