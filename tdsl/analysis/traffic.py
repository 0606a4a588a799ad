"""What each loop brings into the caches, predicted from its footprint: bytes per cache level.

A loop whose single iteration fits a cache brings each of its elements in once, since what two
iterations share is still there; otherwise each iteration brings in its own. That is what a cache
with ideal replacement does, for one thread; lines that are used in part, and conflicts, come on
top. Registers are not memory. Counts are upper bounds where guards cut tails off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tdsl.analysis.cost import flops_of
from tdsl.analysis.model import levels_of
from tdsl.analysis.regions import needed_box
from tdsl.analysis.witness import value_at
from tdsl.ir.expr import Buffer, Var
from tdsl.ir.stmt import Alloc, For, Leaf, Program, Scope, Stmt
from tdsl.ir.visit import accessed_buffers, substatements, walk


@dataclass(frozen=True, slots=True)
class LoopTraffic:
    """What all runs of one loop do, at given sizes.

    Attributes:
        loop: the loop.
        runs: how often it starts.
        flops: floating-point operations.
        touched: bytes of distinct elements of one run.
        moved: bytes brought into each cache; None where a loop around it has brought them in.
    """

    loop: For
    runs: int
    flops: int
    touched: int
    moved: tuple[int | None, ...]


class Traffic:
    """The predicted traffic of a scheduled program.

    Args:
        program: what runs.
        sizes: a number for each of its sizes.
        caches: capacities in bytes, the nearest first.
    """

    def __init__(
        self, program: Program, sizes: Mapping[Var, int], caches: Sequence[int] = ()
    ) -> None:
        self._program = program
        self._caches = tuple(caches)
        registers = (s for s in walk(program.body) if isinstance(s, Alloc))
        self._registers = {s.buffer for s in registers if s.scope is Scope.REGISTER}
        self._env: dict[Var, int] = dict(sizes)
        self._flops: dict[int, int] = {}
        self._touched: dict[int, int] = {}
        self._moved: dict[tuple[int, int], int] = {}
        self._settle(program.body)

    @property
    def flops(self) -> int:
        """Floating-point operations of the whole program."""
        return self._flops[id(self._program.body)]

    @property
    def touched(self) -> int:
        """Bytes of distinct elements of the whole program: what has to move at least."""
        return self._touched[id(self._program.body)]

    @property
    def moved(self) -> tuple[int, ...]:
        """Bytes brought into each cache by the whole program."""
        return tuple(self._moved[id(self._program.body), cache] for cache in self._caches)

    def loops(self) -> list[LoopTraffic]:
        """Every loop, in static order."""
        return list(self._loops(self._program.body, 1, (True,) * len(self._caches)))

    def _loops(self, s: Stmt, runs: int, open_: tuple[bool, ...]) -> Iterator[LoopTraffic]:
        if not isinstance(s, For):
            for child in substatements(s):
                yield from self._loops(child, runs, open_)
            return
        moved = tuple(
            runs * self._moved[id(s), cache] if is_open else None
            for cache, is_open in zip(self._caches, open_, strict=True)
        )
        yield LoopTraffic(s, runs, runs * self._flops[id(s)], self._touched[id(s)], moved)
        one = self._touched[id(s.body)]
        still = tuple(o and one > cache for cache, o in zip(self._caches, open_, strict=True))
        yield from self._loops(s.body, runs * self._trip(s), still)

    def _settle(self, s: Stmt) -> None:
        """Fill in the figures of one run of a statement and of all below it."""
        if isinstance(s, For):
            for level in levels_of(s):
                extent = value_at(level.extent, self._env)
                self._env[level.var] = max(0, (extent or 1) - 1)  # of a triangle, the longest row
        for child in substatements(s):
            self._settle(child)
        self._touched[id(s)] = self._distinct(s)
        self._flops[id(s)] = self._operations(s)
        for cache in self._caches:
            self._moved[id(s), cache] = self._brought(s, cache)

    def _operations(self, s: Stmt) -> int:
        match s:
            case Leaf(block=block):
                return flops_of(block)
            case For(body=body):
                return self._trip(s) * self._flops[id(body)]
            case _:
                return sum(self._flops[id(child)] for child in substatements(s))

    def _brought(self, s: Stmt, cache: int) -> int:
        touched = self._touched[id(s)]
        match s:
            case For(body=body):
                if self._touched[id(body)] <= cache:
                    return touched
                return self._trip(s) * self._moved[id(body), cache]
            case _ if touched <= cache:
                return touched
            case _:
                parts = [self._moved[id(child), cache] for child in substatements(s)]
                return sum(parts) if parts else touched

    def _trip(self, loop: For) -> int:
        count = 1
        for level in levels_of(loop):
            count *= max(0, value_at(level.extent, self._env) or 0)
        return count

    def _distinct(self, s: Stmt) -> int:
        buffers = accessed_buffers(s) - self._registers
        return sum(self._bytes(buffer, s) for buffer in buffers)

    def _bytes(self, buffer: Buffer, s: Stmt) -> int:
        box = needed_box(self._program, buffer, s)
        count = 1
        for needed, whole in zip(box.extent, buffer.shape, strict=True):
            extent, most = value_at(needed, self._env), value_at(whole, self._env)
            known = [number for number in (extent, most) if number is not None]
            count *= max(0, min(known, default=1))
        return count * buffer.dtype.bytes
