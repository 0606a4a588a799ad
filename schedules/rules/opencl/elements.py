"""A work-item for each element: what needs no cooperation.

group.x, local.x over all elements: out[i, j, ...] = ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

ITEMS = 64  # of a work-group


@combinator
def spread_elements(s: Schedule, block: str, data: int, items: int, lanes: int = 1) -> None:
    """Give each element of a block, or a vector of them, to a work-item.

    Args:
        block: any block; a reduction runs inside of its work-item.
        data: how many of its axes, the outer ones, are data axes.
        items: work-items of a group.
        lanes: elements of a work-item.
    """
    loops = s.loops(block)
    one = loops[0]
    for inner in loops[1:data]:
        one = s.fuse(one, inner)
    if lanes > 1:
        one, lane = s.split(one, lanes, tail="mask")
        s.vectorize(lane)
    group, local = s.split(one, items)
    s.bind(group, "group.x")
    s.bind(local, "local.x")


@dataclass(frozen=True)
class Items(Plan):
    """A block whose elements are independent."""

    block: str
    data: int
    items: int
    lanes: int = 1
    reduces: bool = False

    @property
    def reason(self) -> str:
        return f"independent elements: one for each work-item, {self.items} in a group"

    def apply(self, s: Schedule) -> None:
        spread_elements(s, self.block, self.data, self.items, self.lanes)

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        items = (32, 64, 128, 256)
        return {"items": items} if self.reduces else {"items": items, "lanes": (1, 2, 4, 8)}


def match(group: Group, target: Target) -> Plan | None:
    """One block with data axes."""
    facts = group.sink
    if target.kind is not TargetKind.OPENCL or group.members or facts.is_ordered:
        return None
    if not facts.data or tuple(it.var for it in facts.block.iters[: len(facts.data)]) != facts.data:
        return None
    return Items(facts.name, len(facts.data), ITEMS, reduces=bool(facts.reduces))


RULE = Rule("elements", match)
