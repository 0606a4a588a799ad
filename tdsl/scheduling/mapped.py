"""Nests that instructions run: found in a tree, and checked to be what the instruction does."""

from __future__ import annotations

from tdsl.ir.expr import Const, Var
from tdsl.ir.instruction import Instruction, instruction_of, match_update, with_bindings
from tdsl.ir.stmt import BlockKind, For, Leaf, LoopKind, Stmt
from tdsl.ir.visit import free_vars
from tdsl.scheduling.tree import statements


def mapped_nests(body: Stmt) -> list[For]:
    """The outermost loops of nests that instructions run, and loops that have lost theirs."""
    loops = [s for s in statements(body) if isinstance(s, For)]
    inner = {
        id(loop)
        for outer in loops
        if outer.kind is LoopKind.INSTRUCTION
        for loop in statements(outer.body)
        if isinstance(loop, For)
    }
    return [x for x in loops if x.kind is LoopKind.INSTRUCTION and id(x) not in inner]


def why_not(nest: For) -> tuple[str, str] | None:
    """Why a nest is no longer what its instruction does, and what to do instead; or None."""
    if not nest.instruction:
        hint = "tensorize or call_extern after this step"
        return f"loop {nest.var.name!r} is part of what an instruction runs", hint
    found = instruction_of(nest.instruction)
    hint = f"{'call_extern' if found.by_pointer else 'tensorize'} after this step"
    loops: list[For] = []
    stmt: Stmt = nest
    while isinstance(stmt, For):
        if stmt.kind is not LoopKind.INSTRUCTION or stmt.parts:
            return f"{found.name!r} runs loop {stmt.var.name!r}", hint
        loops.append(stmt)
        stmt = stmt.body
    if not isinstance(stmt, Leaf):
        return f"{found.name!r} runs loop {nest.var.name!r}, which would hold other blocks", hint
    misfit = unfit(found, stmt, loops)
    if misfit is None:
        return None
    return misfit, f"this step and {found.name!r} exclude each other: leave one of them out"


def unfit(found: Instruction, leaf: Leaf, loops: list[For]) -> str | None:
    """Why a block in its loops is not what an instruction does, or None."""
    block = leaf.block
    if block.kind is not BlockKind.REDUCE or len(block.writes) != 1 or block.where is not None:
        return f"{block.name!r} is no plain reduction, and {found.name!r} is one"
    if leaf.atomic or leaf.fetches:
        word = "atomic" if leaf.atomic else "prefetching"
        return f"{block.name!r} is {word}; {found.name!r} is not"
    own: set[Var] = {loop.var for loop in loops}
    for guard in leaf.guards:
        named = free_vars(guard.cond) & own
        if named:
            names = ", ".join(sorted(repr(var.name) for var in named))
            return (
                f"{block.name!r} stops before the end of {names}, and {found.name!r} always runs "
                "all of its lanes"
            )
    extents: list[tuple[Var, int]] = []
    for loop in loops:
        if not isinstance(loop.extent, Const):
            return f"the extent of {loop.var.name!r} is not a constant"
        extents.append((loop.var, int(loop.extent.value)))
    here, value = with_bindings(block, leaf.bindings)
    matched = match_update(found, value, here, extents)
    return f"{block.name!r} is not {found.name!r}: {matched}" if isinstance(matched, str) else None
