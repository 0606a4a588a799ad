"""Reductions across columns: vectors along a data axis, each lane with a sum of its own.

    parallel i, jo:
      acc[64] = 0;  for k: acc += X[k, i, 64 columns]
      epilogue(acc)

Sums over outer axes, pooling, depthwise windows, and softmax over an axis that is not the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import Access, BlockFacts
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.fetching import Fetch, fetch_ahead, is_large
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops, pass_packed, spread
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

VECTORS = 4
_STREAMED = 16  # vectors side by side where rows come from memory
_ROWS = 8  # rows ahead that are asked for then
_LONG = 1 << 17  # elements of a reduction that is worth sharing out
_NEAR = 4  # strides up to this are read as whole vectors


@combinator
def fuse_columns(
    s: Schedule, sink: str, shared: tuple[int, ...], column: int, width: int, lanes: int,
    tasks: int, members: tuple[tuple[str, int, int], ...] = (), registers: bool = False,
    ahead: tuple[Fetch, ...] = (), packed: tuple[tuple[str, int], ...] = (),
) -> None:  # fmt: skip
    """Compute everything that some columns of *sink* need where those columns are.

    Args:
        sink: the last block.
        shared: positions of its axes that all blocks share, without the column axis.
        column: position of the axis that vectors lie along.
        width: columns of one step.
        lanes: elements of a vector.
        tasks: how many parallel tasks are enough.
        members: the other blocks in order: name, number of axes, position of the column axis.
        registers: whether they are one step wide, and kept in registers.
        ahead: blocks that ask for elements to come: of which tensor, and how far along which
            dimension.
        packed: arguments that are passed in panels of `width`, each with the dimension that the
            columns walk: a step then reads memory from end to end.
    """
    for tensor, dimension in packed:
        pass_packed(s, tensor, dimension, width)
    loops = s.loops(sink)
    kept = [loops[n] for n in shared]
    rest = [loop for n, loop in enumerate(loops) if n not in shared and n != column]
    jo, ji = s.split(loops[column], width, tail="mask")
    s.reorder(*kept, jo, *rest, ji)
    outer = spread(s, (*kept, jo), tasks)
    at = jo if jo.is_alive else outer
    for name, axes, inner in reversed(members):
        s.compute_at(name, at=at)
        own = own_loops(s, name, axes)
        s.reorder(*(loop for n, loop in enumerate(own) if n != inner), own[inner])
        s.vectorize(own[inner], lanes)
        if registers:
            s.set_scope(name, "register")
    s.vectorize(ji, lanes)
    for name, tensor, dimension, distance in ahead:
        fetch_ahead(s, name, tensor, dimension, distance)


@combinator
def share_sums(
    s: Schedule, block: str, reduced: tuple[int, ...], column: int, share: int, width: int,
    lanes: int,
) -> None:  # fmt: skip
    """Reduce parts of the outermost reduction axis in parallel, then combine them.

    Args:
        block: the reduction.
        reduced: positions of its reduction axes.
        column: position of the axis that vectors lie along.
        share: iterations of one part.
        width: columns of one step.
        lanes: elements of a vector.
    """
    loops = s.loops(block)
    inner = [loop for n, loop in enumerate(loops) if n not in reduced]
    s.reorder(*(loops[n] for n in reduced), *inner)
    part, _ = s.split(loops[reduced[0]], share)
    partial = s.rfactor(part)
    parts = s.loops(partial)
    data = parts[len(parts) - len(inner) :]
    jo, ji = s.split(data[column], width, tail="mask")
    others = [loop for n, loop in enumerate(data) if n != column]
    s.reorder(parts[0], *others, jo, *parts[1 : len(parts) - len(inner)], ji)
    s.vectorize(ji, lanes)
    s.parallel(parts[0])


@dataclass(frozen=True)
class Shares(Plan):
    """A long reduction to few columns, in parts."""

    block: str
    reduced: tuple[int, ...]
    column: int
    share: int
    width: int
    lanes: int

    @property
    def reason(self) -> str:
        return f"{self.block}: a long reduction to few columns, in parts of {self.share} iterations"

    def apply(self, s: Schedule) -> None:
        share_sums(s, self.block, self.reduced, self.column, self.share, self.width, self.lanes)


@dataclass(frozen=True)
class Columns(Plan):
    """Blocks that share columns."""

    sink: str
    shared: tuple[int, ...]
    column: int
    width: int
    lanes: int
    tasks: int
    members: tuple[tuple[str, int, int], ...]
    registers: bool
    ahead: tuple[Fetch, ...]
    packed: tuple[tuple[str, int], ...]

    @property
    def reason(self) -> str:
        names = ", ".join((*(name for name, *_ in self.members), self.sink))
        packed = "".join(f", {tensor} packed ahead" for tensor, _ in self.packed)
        return f"{names}: reduced in {self.width} columns side by side{packed}"

    def apply(self, s: Schedule) -> None:
        fuse_columns(
            s, self.sink, self.shared, self.column, self.width, self.lanes, self.tasks,
            self.members, registers=self.registers, ahead=self.ahead, packed=self.packed,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"width": tuple(self.lanes * n for n in (1, 2, 4, 8))}


def match(group: Group, target: Target) -> Plan | None:
    """Reductions whose loads are dense along an axis that every block shares."""
    sink = group.sink
    if target.kind is not TargetKind.LLVM or not any(b.reduces for b in group.blocks):
        return None
    if any(b.is_ordered or find_contraction(b) for b in group.blocks) or not sink.data:
        return None
    column = _column(group)
    if column is None:
        return None
    lanes = target.lanes(max(b.bits for b in group.blocks))
    streamed = _streamed(group, column, target)
    width = below(lanes * (_STREAMED if streamed else VECTORS), sink.extent(column))
    shares = _shares(group, column, width, lanes, target)
    return shares or side_by_side(group, column, width, target, streamed)


def side_by_side(
    group: Group, column: Var, width: int, target: Target, ahead: tuple[Fetch, ...] = (),
    packed: tuple[tuple[str, int], ...] = (),
) -> Columns:  # fmt: skip
    """The plan that computes `width` columns of a group at a time."""
    sink = group.sink
    lanes = target.lanes(max(b.bits for b in group.blocks))
    others = tuple(v for v in group.shared if v is not column)
    members = tuple(
        (b.name, len(b.block.iters), b.data.index(group.ties[b.name][column]))
        for b in group.members
    )
    return Columns(
        sink.name, tuple(sink.data.index(v) for v in others), sink.data.index(column), width,
        min(lanes, width), 4 * target.cores, members, bool(members) and group.is_whole,
        ahead, packed,
    )  # fmt: skip


def _shares(group: Group, column: Var, width: int, lanes: int, target: Target) -> Shares | None:
    """The plan for a reduction that is too narrow for all cores, but long."""
    block = group.sink
    points, depth = block.count(block.data), block.count(block.reduced)
    if group.members or points is None or depth is None or points * depth < _LONG:
        return None
    tasks = points // (block.extent(column) or 1) * -(-(block.extent(column) or 1) // width)
    first = block.extent(block.reduced[0])
    if tasks >= target.cores or first is None or first < 2 * target.cores:
        return None
    axes = [it.var for it in block.block.iters]
    return Shares(
        block.name, tuple(axes.index(v) for v in block.reduced), block.data.index(column),
        -(-first // (4 * target.cores)), width, min(lanes, width),
    )  # fmt: skip


def _streamed(group: Group, column: Var, target: Target) -> tuple[Fetch, ...]:
    """What a reduction reads once, row after row, from beyond the caches."""
    reductions = [block for block in group.blocks if block.reduces]
    wide = (group.sink.extent(column) or 0) >= _STREAMED * target.lanes(group.sink.bits)
    if len(reductions) != 1 or not group.is_whole or not wide:
        return ()
    (block,) = reductions
    column, last = group.ties[block.name][column], block.reduced[-1]
    return tuple(
        (block.name, load.buffer.name, load.dimension(last) or 0, _ROWS)
        for load in block.loads
        if column in load.vars and load.is_plain(last) and is_large(load.buffer, target)
    )


def _column(group: Group) -> Var | None:
    """The shared axis that every block walks in steps of one element, or nearly."""
    for var in reversed(group.shared):
        if group.sink.extent(var) == 1:
            continue
        if all(_walks(block, group.ties[block.name][var]) for block in group.blocks):
            return var
    return None


def _walks(block: BlockFacts, var: Var) -> bool:
    return all(is_near(access, var) for access in (*block.writes, *block.loads))


def is_near(access: Access, var: Var) -> bool:
    """Whether neighbours along *var* are next to each other, or nearly, where they differ."""
    if var not in access.vars:
        return True
    last = len(access.forms) - 1
    return access.dimension(var) == last and 0 < access.forms[last].coefficient(var) <= _NEAR


RULE = Rule("columns", match)
