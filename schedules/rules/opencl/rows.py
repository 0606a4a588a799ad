"""Reductions of rows: a work-group for each row, partial results halved in local memory.

group.x rows:
  local.x: partial results of a share each, then halves onto halves
  local.x: out[row, ...] = ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.scheduling import Loop, Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_LANES = 64
_LONG = 1 << 12  # elements that are worth several groups
_GROUPS = 64
_SHORT = 16  # terms that one work-item adds up by itself


@combinator
def group_rows(
    s: Schedule, sink: str, rows: tuple[int, ...], lanes: int, inlined: tuple[str, ...],
    reductions: tuple[str, ...], dense: int = 1,
) -> None:  # fmt: skip
    """Give each row to a work-group, with all reductions that it needs.

    Args:
        sink: the last block; it may be a reduction itself.
        rows: positions of its axes that tell rows apart.
        lanes: work-items of a group.
        inlined: blocks that are computed again where they are read, in order.
        reductions: the others, in order.
        dense: how many of the sink's other axes are walked as one.
    """
    for name in reversed(inlined):
        s.inline(name)
    loops = s.loops(sink)
    kept = [loops[n] for n in rows]
    rest = [loop for n, loop in enumerate(loops) if n not in rows]
    s.reorder(*kept, *rest)
    row = _as_one(s, kept)
    s.bind(row, "group.x")
    if sink in reductions:
        _halve(s, sink, _as_one(s, rest), lanes)
    else:
        _, lane = s.split(_as_one(s, rest[len(rest) - dense :]), lanes)
        s.bind(lane, "local.x")
    for name in reversed(reductions):
        if name != sink:
            own = s.compute_at(name, at=row)
            s.set_scope(name, "shared")
            reduced = {v.label for v in s.nest.block(name).loops if v.reduces}
            _halve(s, name, _as_one(s, [x for x in own if x.label in reduced]), lanes)


@combinator
def group_parts(s: Schedule, block: str, parts: int, lanes: int) -> None:
    """Reduce everything to one element: a part for each work-group, then one item for the parts.

    Args:
        block: a reduction without data axes.
        parts: elements of one part.
        lanes: work-items of a group.
    """
    outer, _ = s.split(_as_one(s, list(s.loops(block))), parts)
    partial = s.rfactor(outer)
    group, *rest = s.loops(partial)
    s.bind(group, "group.x")
    _halve(s, partial, _as_one(s, rest), lanes)


def _as_one(s: Schedule, loops: list[Loop]) -> Loop:
    one = loops[0]
    for inner in loops[1:]:
        one = s.fuse(one, inner)
    return one


def _halve(s: Schedule, block: str, loop: Loop, lanes: int) -> None:
    """Reduce along a loop: a share for each work-item, then halves onto halves."""
    while True:
        outer, lane = s.split(loop, lanes)
        s.reorder(lane, outer)
        partial = s.rfactor(lane)
        s.set_scope(partial, "shared")
        s.bind(s.loops(partial)[-2], "local.x")
        if lanes <= 2:
            return
        loop, lanes = s.loops(block)[-1], -(-lanes // 2)


@dataclass(frozen=True)
class GroupRows(Plan):
    """Reductions along rows, and what depends on them."""

    sink: str
    rows: tuple[int, ...]
    lanes: int
    inlined: tuple[str, ...]
    reductions: tuple[str, ...]
    dense: int

    @property
    def reason(self) -> str:
        names = ", ".join(self.reductions)
        return f"{names}: a row for each work-group, halved by {self.lanes} work-items"

    def apply(self, s: Schedule) -> None:
        group_rows(s, self.sink, self.rows, self.lanes, self.inlined, self.reductions, self.dense)

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"lanes": (16, 32, 64, 128, 256)}


@dataclass(frozen=True)
class GroupParts(Plan):
    """A reduction of everything."""

    block: str
    parts: int
    lanes: int

    @property
    def reason(self) -> str:
        return f"{self.block}: parts of {self.parts} elements, one for each work-group"

    def apply(self, s: Schedule) -> None:
        group_parts(s, self.block, self.parts, self.lanes)

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {
            "parts": tuple(max(1, self.parts * n // 4) for n in (1, 2, 4, 8, 16)),
            "lanes": (16, 32, 64, 128, 256),
        }


def match(group: Group, target: Target) -> Plan | None:
    """Reductions that share rows, or one reduction of rows."""
    sink = group.sink
    if target.kind is not TargetKind.OPENCL or not any(b.reduces for b in group.blocks):
        return None
    if any(b.is_ordered or find_contraction(b) for b in group.blocks):
        return None
    if sink.reduces and not sink.data and not group.members:
        length = sink.count(sink.reduced)
        if length is None or length < _LONG:
            return None
        return GroupParts(sink.name, length // _GROUPS, _LANES)
    rows = sink.data if sink.reduces else group.shared
    alone = sink.reduces and group.members
    if not rows or alone or (not sink.reduces and len(rows) == len(sink.data)):
        return None
    lengths = [b.count(b.reduced) for b in group.blocks if b.reduces]
    if all(n is not None and n < _SHORT for n in lengths):
        return None
    rest = tuple(v for v in sink.data if v not in rows)
    return GroupRows(
        sink.name, tuple(sink.data.index(v) for v in rows), _LANES,
        tuple(b.name for b in group.members if not b.reduces),
        tuple(b.name for b in group.blocks if b.reduces), len(rest),
    )  # fmt: skip


RULE = Rule("rows", match)
