"""Transposition: a square goes through local memory, so that both sides walk along rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops
from tdsl.schedules.rules.transpose import crossing
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_SIDE = 16


@combinator
def group_squares(s: Schedule, block: str, dense: int, source: str, side: int) -> None:
    """Turn squares of a tensor in local memory.

    Args:
        block: a block that writes along its last axis.
        dense: position of the axis along which it reads.
        source: what it reads across.
        side: work-items of a group along each axis.
    """
    loops = s.loops(block)
    others = [loop for n, loop in enumerate(loops[:-1]) if n != dense]
    io, ii = s.split(loops[dense], side)
    jo, ji = s.split(loops[-1], side)
    s.reorder(*others, io, jo, ii, ji)
    if others:
        outer = others[0]
        for inner in others[1:]:
            outer = s.fuse(outer, inner)
        s.bind(outer, "group.z")
    copy = s.cache_read(block, source, scope="shared", at=jo)
    for loop, axis in ((io, "group.y"), (jo, "group.x"), (ii, "local.y"), (ji, "local.x")):
        s.bind(loop, axis)
    copied = own_loops(s, copy, len(s.nest.block(copy).reads[0].indices))
    wide = [loop for loop in copied if loop.extent != 1][-2:]
    for loop, axis in zip(wide, ("local.y", "local.x"), strict=True):
        s.bind(loop, axis)


@dataclass(frozen=True)
class GroupSquares(Plan):
    """A block that reads across the direction in which it writes."""

    block: str
    dense: int
    source: str
    side: int

    @property
    def reason(self) -> str:
        return f"a transposition: squares of {self.side} x {self.side} through local memory"

    def apply(self, s: Schedule) -> None:
        group_squares(s, self.block, self.dense, self.source, self.side)

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"side": (4, 8, 16, 32)}


def match(group: Group, target: Target) -> Plan | None:
    """One block that stores along its last axis and loads along another."""
    facts = group.sink
    if target.kind is not TargetKind.OPENCL or group.members or facts.reduces or facts.is_ordered:
        return None
    if len(facts.data) < 2 or len(facts.loads) != 1:
        return None
    dense = crossing(facts)
    if dense is None or any((facts.extent(v) or _SIDE) < _SIDE for v in (dense, facts.data[-1])):
        return None
    source = facts.loads[0].buffer.name
    return GroupSquares(facts.name, facts.data.index(dense), source, _SIDE)


RULE = Rule("squares", match)
