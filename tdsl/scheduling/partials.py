"""Copies of the data-parallel part of a reduction's nest, for its init and for partial results."""

from __future__ import annotations

from dataclasses import replace

from tdsl.ir.expr import Expr, Var
from tdsl.ir.inits import reduction_vars
from tdsl.ir.stmt import Block, For, Guard, IterKind, Leaf, Part, Stmt
from tdsl.ir.visit import free_vars, own_vars, substitute
from tdsl.scheduling.edit import Edit


def data_nest(edit: Edit, path: tuple[Stmt, ...], at: Stmt, leaf: Leaf, block: Block) -> Stmt:
    """The data-parallel loops from *at* inward, copied, around *block* at its data instances.

    *block* has one iteration variable for each one of the leaf's block that is not reduced.

    Raises:
        ScheduleError: a loop walks data and reduction axes together.
    """
    start = next(n for n, stmt in enumerate(path) if stmt is at)
    reduced = reduction_vars(leaf)
    inside = [stmt for stmt in path[start:] if isinstance(stmt, For)]
    renamed: dict[Var, Expr] = {}
    skipped: set[Var] = set()
    loops: list[For] = []
    for loop in inside:
        own = set(own_vars(loop))
        if own & reduced:
            skipped |= own
            continue
        fresh = Var(loop.var.name, loop.var.dtype)
        parts: tuple[Part, ...] = ()
        if loop.parts:
            parts = tuple(Part(Var(p.var.name, p.var.dtype), p.extent) for p in loop.parts)
            renamed |= {old.var: new.var for old, new in zip(loop.parts, parts, strict=True)}
        else:
            renamed[loop.var] = fresh
        kind = loop.kind.of_copies
        loops.append(For(fresh, loop.extent, loop, kind, parts, edit.core.span()))
    bindings = _bindings(edit, leaf, reduced | skipped, renamed)
    guards = tuple(
        Guard(substitute(guard.cond, renamed), guard.tail)
        for guard in leaf.guards
        if not free_vars(guard.cond) & reduced
    )
    nest: Stmt = Leaf(block, bindings, guards)
    for loop in reversed(loops):
        nest = replace(loop, body=nest, extent=substitute(loop.extent, renamed))
    return nest


def _bindings(
    edit: Edit, leaf: Leaf, reduced: set[Var], renamed: dict[Var, Expr]
) -> tuple[Expr, ...]:
    found: list[Expr] = []
    for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
        if it.kind is IterKind.REDUCE:
            continue
        mixed = free_vars(binding) & reduced
        if mixed:
            raise edit.error(
                f"loop {min(var.name for var in mixed)!r} walks data and reduction axes together",
                "do this step before fusing or skewing them",
            )
        found.append(substitute(binding, renamed))
    return tuple(found)
