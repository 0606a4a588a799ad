"""Ablation: leave out every step of the winner that makes no difference.

All schedules that lack one step are built and timed first: what is clearly slower has shown that
its step is needed. Then, from the last step to the first, a schedule without it is replayed. If it
is still legal, and no slower than before by more than the noise, the step was decoration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tdsl.autotune.duel import Duel
from tdsl.errors import TdslError
from tdsl.records import RecordingSchedule
from tdsl.scheduling import Step, Trace, replay

Race = Callable[[RecordingSchedule, RecordingSchedule], Duel | None]
"""Times a contestant and the schedule to beat in turn; None where one of them failed."""

Screen = Callable[[Sequence[RecordingSchedule]], list[bool]]
"""Builds and times schedules, many at once; whether each is quick enough for a race."""


@dataclass(frozen=True)
class Pruned:
    """A schedule with the steps that matter, and the others as text."""

    schedule: RecordingSchedule
    dropped: tuple[str, ...]


def prune(schedule: RecordingSchedule, race: Race, screen: Screen, most: int) -> Pruned:
    """Leave out what makes no difference; at most `most` comparisons are made."""
    kept = list(schedule.trace)
    needed = _needed(schedule, screen)
    dropped: list[str] = []
    current = schedule
    races = 0
    for step in reversed(list(schedule.trace)):
        if races == most:
            break
        if id(step) in needed:
            continue
        without = [other for other in kept if other is not step]
        shorter = _replayed(schedule, without)
        if shorter is None:
            continue
        races += 1
        found = race(shorter, current)
        if found is not None and not found.is_slower:
            kept, current = without, shorter
            dropped.append(str(step))
    return Pruned(current, tuple(dropped))


def _needed(schedule: RecordingSchedule, screen: Screen) -> set[int]:
    """Steps (by id) without which the schedule is much slower; the others are worth a race."""
    steps = list(schedule.trace)
    pairs = [(step, _replayed(schedule, [s for s in steps if s is not step])) for step in steps]
    legal = [(step, shorter) for step, shorter in pairs if shorter is not None]
    quick = screen([shorter for _, shorter in legal])
    return {id(step) for (step, _), fine in zip(legal, quick, strict=True) if not fine}


def _replayed(schedule: RecordingSchedule, steps: Sequence[Step]) -> RecordingSchedule | None:
    """A schedule with some of the steps of another, or None where they don't stand alone."""
    trace = Trace(schedule.func.name, str(schedule.target))
    trace.items.extend(steps)
    shorter = RecordingSchedule(schedule.func, schedule.target)
    try:
        replay(trace.json(), shorter)
    except TdslError:
        return None
    return shorter
