"""Accesses with data-dependent indices, by the number that a run-time error reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tdsl.ir.expr import Buffer, Checked, Expr, Load, Node
from tdsl.ir.nest import print_expr
from tdsl.ir.stmt import Block, Leaf, Program
from tdsl.ir.visit import walk


@dataclass(frozen=True, slots=True)
class CheckedAccess:
    """One checked index: the access it stands in as text, and which dimension it indexes."""

    text: str
    dim: int


def checked_accesses(program: Program) -> dict[int, CheckedAccess]:
    """The checked indices of a scheduled program, by number."""
    found: dict[int, CheckedAccess] = {}
    blocks = {leaf.block for leaf in walk(program.body) if isinstance(leaf, Leaf)}
    for block in blocks | {block.init for block in blocks if block.init is not None}:
        for buffer, indices in _accesses(block):
            for dim, index in enumerate(indices):
                for check in walk(index):
                    if isinstance(check, Checked) and check.access not in found:
                        text = print_expr(Load(buffer, indices))
                        found[check.access] = CheckedAccess(f"{text} of {block.name}", dim)
    return found


def _accesses(block: Block) -> Iterator[tuple[Buffer, tuple[Expr, ...]]]:
    """Inner accesses first: a check belongs to the innermost access around it."""
    roots: list[Node] = [w.value for w in block.writes]
    roots += [index for w in block.writes for index in w.indices]
    roots += [] if block.where is None else [block.where]
    loads = [n for root in roots for n in walk(root) if isinstance(n, Load)]
    for load in reversed(loads):
        yield load.buffer, load.indices
    for write in block.writes:
        yield write.buffer, write.indices
