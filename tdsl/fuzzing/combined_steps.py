"""Random steps that are several primitives at once: combinators of the library."""

from __future__ import annotations

from tdsl.fuzzing.step import Step, View
from tdsl.ir.stmt import BlockKind, LoopKind


def wavefront(v: View) -> Step | None:
    """Two loops that stand inside one another, mostly directly."""
    path = v.path(2)
    if path is None:
        return None
    outer = v.draw.integer(0, len(path) - 2)
    return Step("wavefront", (path[outer], path[outer + 1], v.draw.integer(1, 2)))


def split_k(v: View) -> Step | None:
    """A loop of a reduction."""
    loop = _reducing(v)
    if loop is None:
        return None
    atomic = (("atomic", True),) if v.draw.chance(0.4) else ()
    return Step(
        "split_k", (loop, v.draw.integer(2, 4)), (*atomic, ("parallel", v.draw.chance(0.7)))
    )


def tree_reduce(v: View) -> Step | None:
    """A loop of a reduction."""
    loop = _reducing(v)
    return None if loop is None else Step("tree_reduce", (loop, v.draw.choice([2, 4])))


def pack_operand(v: View) -> Step | None:
    """What a block reads, its dimensions in another order."""
    found = [(b, a) for b in v.blocks for a in b.reads if a.buffer.rank > 1]
    if not found:
        return None
    block, access = v.draw.choice(found)
    names = list("abcdefgh"[: access.buffer.rank])
    layout = f"{', '.join(names)} -> {', '.join(v.draw.shuffled(names))}"
    return Step("pack_operand", (block.name, access.tensor, layout))


def tile_in_registers(v: View) -> Step | None:
    """A reduction with two loops over its results, mostly one that nothing has scheduled."""
    touched = v.draw.chance(0.1)
    found = [
        b.name
        for b in v.blocks
        if b.kind is BlockKind.REDUCE
        and sum(not loop.reduces for loop in b.loops) > 1
        and (touched or all(loop.kind is LoopKind.SERIAL for loop in b.loops))
    ]
    return Step("tile_in_registers", (v.draw.choice(found),)) if found else None


def _reducing(v: View) -> str | None:
    found = [
        loop.label
        for b in v.blocks
        if b.kind is BlockKind.REDUCE
        for loop in b.loops
        if loop.reduces
    ]
    return v.draw.choice(found) if found else None
