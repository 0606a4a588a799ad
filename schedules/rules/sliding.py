"""Chains of stencils: stages slide down a strip side by side, and keep rows that are read again.

parallel yo:                  # a strip of rows
  for xo:                     # columns whose rows stay in the caches, if whole ones don't
    for step:                 # a few new rows of each stage
      A, B: rings of a few rows
      for x: unrolled rows: out[y, x] = ...

The first rows of a strip are computed again by its neighbour; within a strip nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.errors import ScheduleError
from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import Access, BlockFacts
from tdsl.schedules.rules.elementwise import streams
from tdsl.schedules.rules.groups import Group, apart_along
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Loop, Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_STRIP = 64  # rows, at least eight times those that are computed again
_STEP = 4  # new rows of a step
_CODE = 16000  # nodes of expressions that may be written out
_VERSIONS = 3  # of what has borders
_NARROW = 256  # columns of a tile at least
_MANY = 1 << 11  # what a symbolic width counts as
_SPANS = 8  # strips, for each row that is computed twice

Stage = tuple[str, int, int, int]


@combinator
def slide_rows(
    s: Schedule, sink: str, outer: tuple[int, ...], row: int, strip: int, step: int, columns: int,
    stages: tuple[Stage, ...], lanes: int, stream: bool = False,
) -> Loop:  # fmt: skip
    """Compute a chain of stencils strip by strip, each stage some rows ahead of the next.

    Args:
        sink: the last block.
        outer: positions of its axes that stand around the strips.
        row: position of the axis that is cut into strips.
        strip: rows of the last block in one parallel task, a multiple of `step`.
        step: new rows of each stage in one step.
        columns: columns of a tile; 0: whole rows.
        stages: the other blocks in order: name, number of axes, position of the row axis, and the
            dimension of the tensor that it walks.
        lanes: elements of a vector.
        stream: whether stores of the last block bypass the caches.

    Returns:
        The parallel loop over strips.

    Raises:
        ScheduleError: the rows of a stage that a step needs are no known number.
    """
    loops = s.loops(sink)
    kept = [loops[n] for n in outer]
    *inner, x = (loop for n, loop in enumerate(loops) if n not in outer and n != row)
    band, at, down = s.split(loops[row], (None, strip // step, step))
    place = band
    if columns:
        place, x = s.split(x, columns)
    s.reorder(*kept, band, *([place] if columns else []), at, *inner, down, x)
    for name, *_ in reversed(stages):
        s.compute_at(name, at=at)
    for name, axes, own, dimension in stages:
        rows = own_loops(s, name, axes)[own].extent
        if not isinstance(rows, int):
            raise ScheduleError("slide_rows", f"{name} is not read at constant distances")
        if rows > step:
            s.store_at(name, at=place)
            s.fold_storage(name, -(-rows // step) * step, dim=dimension)
    for name, axes, own, _ in stages:
        mine = own_loops(s, name, axes)
        _walk_down(s, mine[own], mine[-1], lanes, unroll=step > 1)
    _walk_down(s, down, x, lanes, unroll=step > 1)
    if stream:
        s.stream(sink)
    task, *others = (*kept, band)
    for loop in others:
        task = s.fuse(task, loop)
    return s.parallel(task)


def _walk_down(s: Schedule, down: Loop, along: Loop, lanes: int, *, unroll: bool) -> None:
    """Vectors along a row; with `unroll` all rows of one vector before the next."""
    vectors, lane = s.split(along, lanes, tail="mask")
    s.vectorize(lane, lanes)
    if unroll:
        s.reorder(vectors, down)
        s.unroll(down)


@dataclass(frozen=True)
class Sliding(Plan):
    """A chain of stencils whose stages keep rings of rows."""

    sink: str
    outer: tuple[int, ...]
    row: int
    strip: int
    step: int
    columns: int
    stages: tuple[Stage, ...]
    lanes: int
    stream: bool

    @property
    def reason(self) -> str:
        names = ", ".join(name for name, *_ in self.stages)
        tiles = f", {self.columns} columns at a time" if self.columns else ""
        return (
            f"stencils: {names} slide down strips of {self.strip} rows, {self.step} new ones a "
            f"step{tiles}"
        )

    def apply(self, s: Schedule) -> None:
        slide_rows(
            s, self.sink, self.outer, self.row, self.strip, self.step, self.columns, self.stages,
            self.lanes, stream=self.stream,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {
            "strip": (16, 32, 64, 128, 256), "step": (1, 2, 4, 8),
            "columns": (0, 256, 512, 1024, 2048),
        }  # fmt: skip


def match(group: Group, target: Target) -> Plan | None:
    """Stages without reductions that read each other in some rows around their own."""
    sink = group.sink
    if target.kind is not TargetKind.LLVM or not group.windowed or len(sink.data) < 2:
        return None
    row = _row(group)
    if row is None:
        return None
    reach = _reach(group, row)
    stages = tuple(_stage(block, group.ties[block.name][row]) for block in group.members)
    lanes = min(target.lanes(b.bits) for b in group.blocks)
    lanes = below(lanes, sink.extent(sink.data[-1]))
    at = sink.data.index(row)
    outer = tuple(n for n, v in enumerate(sink.data[:at]) if v in group.shared)
    step = _step(group, row, reach)
    if not step:
        return None
    strip = _strip(group, row, outer, max(high - low for low, high in reach.values()), target)
    return Sliding(
        sink.name, outer, at, max(strip, step), step, _columns(group, reach, step, target), stages,
        lanes, streams(sink, target),
    )  # fmt: skip


def _row(group: Group) -> Var | None:
    """The first shared axis along which stages need more than one iteration of each other.

    Where that is no axis but the last one, rows are those of the axis in front of it.
    """
    *axes, last = group.sink.data
    shared = [v for v in axes if v in group.shared]
    row = next((v for v in shared if apart_along(group, v)), None)
    if row is None and shared[-1:] == axes[-1:] and last in group.shared:
        return axes[-1] if apart_along(group, last) else None
    return row


def _stage(block: BlockFacts, row: Var) -> Stage:
    (write,) = block.writes[:1]
    axes = [it.var for it in block.block.iters]
    dimensions = (n for n in range(len(write.forms)) if write.index_var(n) is row)
    return block.name, len(axes), axes.index(row), next(dimensions)


def _reach(group: Group, row: Var) -> dict[str, tuple[int, int]]:
    """Rows of each block, from the first to the last, that row 0 of the sink needs."""
    found = {group.sink.name: (0, 0)}
    for block in reversed(group.members):
        lows, highs = [], []
        for reader in group.blocks:
            for load in reader.loads:
                if load.buffer not in block.written or reader.name not in found:
                    continue
                low, high = found[reader.name]
                distance = _distance(load, group.ties[reader.name][row])
                lows.append(low + distance)
                highs.append(high + distance)
        found[block.name] = min(lows, default=0), max(highs, default=0)
    return found


def _distance(load: Access, row: Var) -> int:
    at = load.dimension(row)
    return 0 if at is None else int(load.forms[at].const)


def _step(group: Group, row: Var, reach: Mapping[str, tuple[int, int]]) -> int:
    """New rows of a step, as many as may be written out; 0: even one is too much."""
    extent = group.sink.extent(row)
    step = _STEP if extent is None or extent >= 4 * _STEP else 1
    while step and sum(_written(b, step, *reach[b.name]) for b in group.blocks) > _CODE:
        step //= 2
    return step


def _written(block: BlockFacts, step: int, low: int, high: int) -> int:
    """Nodes that are written out for a stage: the rows of a step, and those of the first one."""
    versions = _VERSIONS if block.folds or block.is_selective else 1
    rows = step + (step + high - low if high > low else 0) if step > 1 else 2
    return versions * block.size * rows


def _strip(group: Group, row: Var, outer: tuple[int, ...], again: int, target: Target) -> int:
    """Rows of a strip: many beside those that are computed again, and strips for all cores."""
    strip = _STRIP
    while strip < _SPANS * again:
        strip *= 2
    extent = group.sink.extent(row)
    others = group.sink.count(tuple(group.sink.data[n] for n in outer)) or 1
    while extent is not None and strip > 1 and extent * others < strip * 2 * target.cores:
        strip //= 2
    return strip


def _columns(group: Group, reach: Mapping[str, tuple[int, int]], step: int, target: Target) -> int:
    """Columns whose rings stay in the L2 cache; 0: those of whole rows do."""
    column = sum(
        (step + high - low) * block.bits // 8
        for block in group.members
        for low, high in (reach[block.name],)
    )
    width = group.sink.extent(group.sink.data[-1]) or _MANY
    if column * width <= target.l2 * 3 // 4:
        return 0
    return max(_NARROW, below(target.l2 // 2 // column + 1, None))


RULE = Rule("sliding", match)
