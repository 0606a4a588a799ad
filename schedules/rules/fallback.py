"""The fallback: every block by itself, vectors along its last data axis, the first one in parallel.

Steps that are refused are left out, so that this rule always applies. On an OpenCL device one
work-item runs what no rule could spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tdsl.errors import ScheduleError
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.scheduling import Loop, LoopView, Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind


@combinator
def schedule_simply(s: Schedule, block: str) -> None:
    """Run the outermost loops of a block in parallel and the innermost in vectors, where legal."""
    views = s.nest.block(block).loops
    handles = dict(zip((v.label for v in views), s.loops(block), strict=True))
    data = [v for v in views if not v.reduces]
    if data:
        _try_vectors(s, handles, views, data[-1])
    for view in data[:1]:
        loop = handles[view.label]
        if loop.is_alive and loop.kind.value == "serial":
            _attempt(s.parallel, loop)


def _try_vectors(
    s: Schedule, handles: dict[str, Loop], views: tuple[LoopView, ...], last: LoopView
) -> None:
    loop = handles[last.label]
    inside = [handles[v.label] for v in views[views.index(last) + 1 :]]
    if inside and not _attempt(s.reorder, *inside, loop):
        return
    _attempt(s.vectorize, loop)


def _attempt(step: Callable[..., object], *loops: Loop) -> bool:
    try:
        step(*loops)
    except ScheduleError:
        return False
    return True


@dataclass(frozen=True)
class Simple(Plan):
    """Blocks that no other rule could schedule."""

    blocks: tuple[str, ...]
    cores: bool

    @property
    def reason(self) -> str:
        if not self.cores:
            return "no other rule applies: one work-item runs it"
        return "no other rule applies: outer loops in parallel, the last one in vectors"

    def apply(self, s: Schedule) -> None:
        for block in self.blocks if self.cores else ():
            schedule_simply(s, block)


def match(group: Group, target: Target) -> Plan:
    """Everything."""
    return Simple(group.names, target.kind is TargetKind.LLVM)


RULE = Rule("fallback", match)
