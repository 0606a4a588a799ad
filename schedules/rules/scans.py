"""Scans: a long one falls into blocks that start from the totals of those before; rows run apart.

parallel bo:                      # scans of one element: blocks of steps, one in each lane
  for to:
    unrolled ti, vectorized bi:   # a square, read and written by rows and turned in registers
      Y[(bo, bi, to, ti)] = ...

parallel io:                      # scans of rows: each lane has an element of the row
  for t:
    vectorized ii:  Y[t, (io, ii)] = ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.ir.stmt import BlockKind, IterKind
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.reduction import vectorize_row
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import spread
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_SUMS = 3  # vectors of partial sums of a block's total
_TURNS = (33, 27, 21, 15, 9, 3)  # odd: blocks a power of two apart would meet in one set of a cache
_GROUPS = 4  # vectors of blocks that a scan must have
_MOST_LANES = 16  # squares that are turned in registers
_VECTORS = 4  # of a row, side by side
_LONG_ROW = 1 << 12  # elements: two such rows of floats stay in the L1 cache


@combinator
def scan_in_blocks(s: Schedule, block: str, steps: int, lanes: int, whole: int, sums: int) -> None:
    """Scan blocks of `steps` side by side in `lanes`, each from the total of those before.

    Args:
        s: the schedule.
        block: a scan of one element, whose steps are associative.
        steps: of a block; a multiple of `lanes` and of `sums`.
        lanes: blocks that one vector works on.
        whole: vectors of blocks that are full; the rest comes by itself. 0: all are.
        sums: partial sums of a block's total.
    """
    (time,) = s.loops(block)
    before = set(s.blocks())
    blocks, inside = s.split_scan(time, steps)
    total = next(name for name in s.blocks() if name not in before)
    groups, across = s.split(blocks, lanes)
    rounds, square = s.split(inside, lanes)
    s.reorder(groups, rounds, square, across)
    s.unroll(square)
    s.vectorize(across)
    each, terms = s.loops(total)
    vectorize_row(s, total, (terms,), 1, sums, lanes, reduces=True)
    s.parallel(each)
    if whole:
        groups, _ = s.partition(groups, whole)
    s.parallel(groups)


@combinator
def scan_rows(
    s: Schedule, block: str, time: int, chunk: int, width: int, lanes: int, tasks: int,
    turn: int = 0,
) -> None:  # fmt: skip
    """Scan each element of a row by itself: parts of the row in parallel, in vectors.

    Args:
        s: the schedule.
        block: a scan whose elements do not read each other.
        time: the position of its time.
        chunk: elements of a row that one task works on.
        width: elements of one step, a divisor of `chunk`.
        lanes: elements of a vector.
        tasks: how many parallel tasks are enough.
        turn: steps that are taken together, where time is what is dense in memory (0: one).
    """
    loops = s.loops(block)
    outer = [loop for n, loop in enumerate(loops) if n != time]
    row, *inside = s.split(outer.pop(), (None, chunk // width, width), tail="mask")
    walk = s.split(loops[time], turn) if turn else (loops[time],)
    s.reorder(*outer, row, *walk, *inside)
    if turn:
        s.unroll(walk[-1])
    s.vectorize(inside[-1], lanes)
    spread(s, (*outer, row), tasks)


@dataclass(frozen=True)
class Blocks(Plan):
    """A long scan of one element."""

    block: str
    extent: int
    steps: int
    lanes: int

    @property
    def reason(self) -> str:
        return f"a scan of {self.extent} steps: in blocks of {self.steps}, {self.lanes} at a time"

    def apply(self, s: Schedule) -> None:
        whole, rest = divmod(self.extent, self.steps * self.lanes)
        sums = _SUMS * self.lanes
        scan_in_blocks(s, self.block, self.steps, self.lanes, whole if rest else 0, sums)

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"steps": _steps(self.extent, self.lanes)}


@dataclass(frozen=True)
class Rows(Plan):
    """A scan of rows."""

    block: str
    time: int
    chunk: int
    width: int
    lanes: int
    tasks: int
    turn: int

    @property
    def reason(self) -> str:
        return f"a scan of rows: {self.chunk} elements of each in a task, {self.width} at a time"

    def apply(self, s: Schedule) -> None:
        scan_rows(
            s, self.block, self.time, self.chunk, self.width, self.lanes, self.tasks, self.turn
        )

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        # a square is turned where nothing comes between its steps and its lanes
        return {} if self.turn else {"chunk": tuple(self.width * n for n in (1, 2, 4, 8, 16, 32))}


def match(group: Group, target: Target) -> Plan | None:
    """One recurrence by itself, over one axis."""
    block = group.sink
    times = [n for n, it in enumerate(block.block.iters) if it.kind is IterKind.ORDERED]
    if target.kind is not TargetKind.LLVM or group.members or len(times) != 1:
        return None
    if block.block.kind is not BlockKind.COMPUTE or len(block.block.iters) != 1 + len(block.data):
        return None
    lanes = min(target.lanes(block.bits), _MOST_LANES)
    time = block.block.iters[times[0]].var
    if block.data:
        return _rows(block, times[0], time, lanes, target)
    extent = block.extent(time) or 0
    steps = _steps(extent, lanes)
    return Blocks(block.name, extent, steps[0], lanes) if steps else None


def _steps(extent: int, lanes: int) -> tuple[int, ...]:
    """Lengths of blocks of which there are enough in a scan, the longest first."""
    return tuple(n * lanes for n in _TURNS if n * lanes * lanes * _GROUPS <= extent)


def _rows(block: BlockFacts, at: int, time: Var, lanes: int, target: Target) -> Rows | None:
    """Vectors along the last axis, or squares of it and time, where that is dense in memory."""
    last = block.data[-1]
    length = block.extent(last)
    if length is not None and length < lanes:
        return None
    if any(load.is_dense(time) and last in load.vars for load in block.loads):
        turn = below(lanes, block.extent(time))
        return Rows(block.name, at, lanes, lanes, lanes, 4 * target.cores, turn)
    width = below(lanes * _VECTORS, length)
    share = _LONG_ROW if length is None else length // (2 * target.cores)
    chunk = width * max(1, min(share, _LONG_ROW) // width)
    return Rows(block.name, at, chunk, width, lanes, 4 * target.cores, 0)


RULE = Rule("scan", match)
