"""A schedule step by step: what each line did to the loop nest."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.scheduling import Schedule
from tdsl.scheduling.core import State
from tdsl.scheduling.trace import Call, Step, Writer, replay


@dataclass(frozen=True, slots=True)
class Stage:
    """A step, and the loop nest after it.

    Attributes:
        source: the step as Python; "" for the nest that a schedule starts from.
        numerics: the schedule's label after it.
        unsafe: whether its proof was skipped.
        notes: what it did beyond what was asked.
        nest: the loop nest after it.
    """

    source: str
    numerics: str
    unsafe: bool
    notes: tuple[str, ...]
    nest: str


class _Recording(Schedule):
    """A schedule that keeps the nest after each step."""

    def __init__(self, original: Schedule) -> None:
        self.nests: list[str] = []
        super().__init__(original.func, original.target)
        self.nests.append(str(self.nest))

    def install(self, state: State, step: Step, result: object) -> None:
        super().install(state, step, result)
        self.nests.append(str(self.nest))


def history(schedule: Schedule) -> list[Stage]:
    """The nest that a schedule starts from, and that after each of its steps."""
    recording = _Recording(schedule)
    replay(schedule.trace.json(), recording)
    first = Stage("", "exact", unsafe=False, notes=(), nest=recording.nests[0])
    writer = Writer({schedule.func.name, "s", "td"})
    stages = [first]
    for step, nest in zip(_flat(schedule.trace.items), recording.nests[1:], strict=True):
        source = writer.line(step)
        stages.append(Stage(source, step.numerics, step.unsafe, step.notes, nest))
    return stages


def _flat(items: Sequence[Step | Call]) -> list[Step]:
    found: list[Step] = []
    for item in items:
        found += _flat(item.items) if isinstance(item, Call) else [item]
    return found


def nest_change(before: str, after: str) -> str:
    """The lines of a nest that a step changed: `-` those that went, `+` those that came."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))
