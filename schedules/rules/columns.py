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
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops, spread
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_VECTORS = 4
_NEAR = 4  # strides up to this are read as whole vectors


@combinator
def fuse_columns(
    s: Schedule, sink: str, shared: tuple[int, ...], column: int, width: int, lanes: int,
    tasks: int, members: tuple[tuple[str, int, int], ...] = (), registers: bool = False,
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
    """
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

    @property
    def reason(self) -> str:
        names = ", ".join((*(name for name, *_ in self.members), self.sink))
        return f"{names}: reduced in {self.width} columns side by side"

    def apply(self, s: Schedule) -> None:
        fuse_columns(
            s, self.sink, self.shared, self.column, self.width, self.lanes, self.tasks,
            self.members, registers=self.registers,
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
    width = below(lanes * _VECTORS, sink.extent(column))
    others = tuple(v for v in group.shared if v is not column)
    members = tuple(
        (b.name, len(b.block.iters), b.data.index(group.ties[b.name][column]))
        for b in group.members
    )
    return Columns(
        sink.name, tuple(sink.data.index(v) for v in others), sink.data.index(column), width,
        min(lanes, width), 4 * target.cores, members, bool(members) and group.is_whole,
    )  # fmt: skip


def _column(group: Group) -> Var | None:
    """The shared axis that every block walks in steps of one element, or nearly."""
    for var in reversed(group.shared):
        if group.sink.extent(var) == 1:
            continue
        if all(_walks(block, group.ties[block.name][var]) for block in group.blocks):
            return var
    return None


def _walks(block: BlockFacts, var: Var) -> bool:
    return all(_is_near(access, var) for access in (*block.writes, *block.loads))


def _is_near(access: Access, var: Var) -> bool:
    if var not in access.vars:
        return True
    last = len(access.forms) - 1
    return access.dimension(var) == last and 0 < access.forms[last].coefficient(var) <= _NEAR


RULE = Rule("columns", match)
