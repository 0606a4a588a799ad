"""Names: which leaf is `C@1`, and which loop is `C.i`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tdsl.ir.expr import Buffer, Var
from tdsl.ir.stmt import Alloc, Block, For, Leaf, Program, Seq, Stmt
from tdsl.ir.visit import own_vars
from tdsl.scheduling.tree import statements


@dataclass(frozen=True, slots=True)
class Index:
    """What a program holds, by name. Built once for each state of a schedule.

    Attributes:
        leaves: leaves in static order by displayed name: the block's name, or `C@0`, `C@1`, ...
            where a block has several.
        paths: for each of them the statements from the root down to it, itself included.
        loops: loops by variable, in static order.
        allocs: allocations by buffer.
    """

    leaves: dict[str, Leaf]
    paths: dict[str, tuple[Stmt, ...]]
    loops: dict[Var, For]
    allocs: dict[Buffer, Alloc]

    def loop_path(self, name: str) -> tuple[For, ...]:
        """The loops around a leaf, outermost first."""
        return tuple(stmt for stmt in self.paths[name] if isinstance(stmt, For))

    def label(self, var: Var) -> str:
        """A name that finds the loop again: `C.i`, with the first block below it."""
        for name in self.leaves:
            if any(loop.var is var for loop in self.loop_path(name)):
                return f"{name}.{var.name}"
        return var.name

    def loops_named(self, name: str) -> list[For]:
        """Every loop whose own name is *name*."""
        return [loop for loop in self.loops.values() if loop.var.name == name]

    def leaves_of(self, block: str) -> list[str]:
        """Displayed names of the leaves of a block: itself, or its pieces."""
        if block in self.leaves:
            return [block]
        return [name for name in self.leaves if name.split("@")[0] == block]


def index_program(program: Program) -> Index:
    """Index a program by names."""
    found: list[tuple[Leaf, tuple[Stmt, ...]]] = []
    loops: dict[Var, For] = {}
    allocs: dict[Buffer, Alloc] = {}

    def visit(stmt: Stmt, path: tuple[Stmt, ...]) -> None:
        path = (*path, stmt)
        match stmt:
            case Leaf():
                found.append((stmt, path))
            case For(var=var, body=body):
                loops[var] = stmt
                visit(body, path)
            case Alloc(buffer=buffer, body=body):
                allocs[buffer] = stmt
                visit(body, path)
            case Seq(body=items):
                for item in items:
                    visit(item, path)
            case _:
                pass

    visit(program.body, ())
    count: dict[Block, int] = {}
    for leaf, _ in found:
        count[leaf.block] = count.get(leaf.block, 0) + 1
    seen: dict[Block, int] = {}
    leaves: dict[str, Leaf] = {}
    paths: dict[str, tuple[Stmt, ...]] = {}
    for leaf, path in found:
        name = leaf.block.name
        if count[leaf.block] > 1:
            number = seen.get(leaf.block, 0)
            seen[leaf.block] = number + 1
            name = f"{name}@{number}"
        leaves[name], paths[name] = leaf, path
    return Index(leaves, paths, loops, allocs)


def names_around(path: tuple[Stmt, ...], stmt: Stmt) -> set[str]:
    """Names of the loops above *stmt* (in *path*) and at or below it, parts of fused ones too."""
    return loop_names(s for s in (*path, *statements(stmt)) if isinstance(s, For))


def loop_names(loops: Iterable[For]) -> set[str]:
    """Names of loops, and of the parts of fused ones."""
    return {v.name for loop in loops for v in (loop.var, *own_vars(loop))}


def unique_name(name: str, taken: set[str]) -> str:
    """*name*, or `name_1`, `name_2`, ... if it is taken; the result is added to *taken*."""
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def split_names(name: str, count: int) -> tuple[str, ...]:
    """Names of the parts of a split loop: `io ii`, `io im ii`, `io im0 im1 ii`."""
    if count == 1:
        return (name,)
    middles = ["m"] if count == 3 else [f"m{n}" for n in range(count - 2)]
    return tuple(name + suffix for suffix in ("o", *middles, "i"))
