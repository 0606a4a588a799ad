"""Nothing to loop over: a block with an extent of 0 stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.scheduling import Schedule
from tdsl.target import Target


@dataclass(frozen=True)
class Nothing(Plan):
    """Blocks that are left as they are."""

    @property
    def reason(self) -> str:
        return "an axis has no iterations"

    def apply(self, s: Schedule) -> None:
        del s


def match(group: Group, target: Target) -> Plan | None:
    """Any group with an axis of extent 0."""
    del target
    empty = any(block.extent(v) == 0 for block in group.blocks for v in block.extents)
    return Nothing() if empty else None


RULE = Rule("empty", match)
