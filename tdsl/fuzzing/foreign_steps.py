"""Random steps that map loops to machine instructions and to C functions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from tdsl.fuzzing.step import Step, View
from tdsl.ir.expr import Const
from tdsl.ir.instruction import INSTRUCTIONS, Instruction, size_of
from tdsl.ir.stmt import BlockKind, For, LoopKind
from tdsl.scheduling.mapped import unfit
from tdsl.scheduling.view import BlockView


def tensorize(v: View) -> Step | None:
    """Mostly loops that do what an instruction does that is declared, or are of its extents."""
    return _mapped(v, "tensorize", by_pointer=False)


def call_extern(v: View) -> Step | None:
    """The same for C functions, if any is declared."""
    return _mapped(v, "call_extern", by_pointer=True)


def _mapped(v: View, primitive: str, *, by_pointer: bool) -> Step | None:
    known = [x for x in INSTRUCTIONS.values() if x.by_pointer == by_pointer]
    loop = v.loop()
    if loop is None or not known:
        return None
    if v.draw.chance(0.03):
        return Step(primitive, (loop, v.draw.choice(sorted(x.name for x in known))))
    fitting, near = _candidates(v, known)
    chosen = fitting or (near if v.draw.chance(0.05) else [])
    return Step(primitive, v.draw.choice(chosen)) if chosen else None


Pairs = list[tuple[str, str]]


def _candidates(v: View, known: list[Instruction]) -> tuple[Pairs, Pairs]:
    """Loops and instructions that fit, and those that agree in their extents alone."""
    fitting: Pairs = []
    near: Pairs = []
    for label, nest, block in _nests(v):
        extents = tuple(sorted(_number(loop) for loop in nest))
        plain = all(loop.kind is LoopKind.SERIAL for loop in nest)
        for found in known:
            if _extents(found) == extents:
                fits = plain and unfit(found, block.leaf, nest) is None
                (fitting if fits else near).append((label, found.name))
    return fitting, near


def _nests(v: View) -> Iterator[tuple[str, list[For], BlockView]]:
    """Nests of a reduction alone, all of whose extents are numbers."""
    for block in v.blocks:
        if block.kind is not BlockKind.REDUCE:
            continue
        around = v.schedule.index.loop_path(block.name)
        for depth in range(1, len(around) + 1):
            outer = block.loops[-depth]
            if len(outer.blocks) > 1 or not isinstance(around[-depth].extent, Const):
                break
            yield outer.label, list(around[-depth:]), block


def _number(loop: For) -> int:
    assert isinstance(loop.extent, Const)
    return int(loop.extent.value)


@lru_cache(maxsize=256)
def _extents(found: Instruction) -> tuple[int, ...]:
    return tuple(sorted(size_of(it) for it in found.block.iters))
