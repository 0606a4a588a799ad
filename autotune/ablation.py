"""Ablation: leave out every step of the winner that makes no difference.

All schedules that lack one step are made while others are built, and then timed in turn: what is
slower has shown that its step is needed. The other steps are taken out together, or by halves: if
the schedule without them is legal, and no slower than before by more than the noise, they were
decoration. Where the machine code is the same there is nothing to time.

It is tidying, so it ends after some effort: steps that nobody got round to trying stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tdsl.autotune.duel import Duel
from tdsl.autotune.replay import DEFERRED
from tdsl.errors import TdslError
from tdsl.records import RecordingSchedule
from tdsl.scheduling import Step, Trace, replay

Race = Callable[[RecordingSchedule, RecordingSchedule], Duel | None]
"""Times a contestant and the schedule to beat in turn; None where one of them failed."""

Screen = Callable[[Iterable[RecordingSchedule]], list[bool]]
"""Builds and times schedules, many at once; whether each is as quick as the schedule to beat."""

Prepare = Callable[[Iterable[RecordingSchedule]], object]
"""Builds schedules, while more of them are drawn."""

_ONE_BY_ONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Effort:
    """How much is spent after the screen: comparisons, begun within so many seconds.

    The seconds count from before the screen; the first attempt is made whatever that took.
    """

    comparisons: int
    seconds: float


@dataclass(frozen=True)
class Pruned:
    """A schedule with the steps that matter, and the others as text."""

    schedule: RecordingSchedule
    dropped: tuple[str, ...]


def prune(
    schedule: RecordingSchedule, race: Race, screen: Screen, prepare: Prepare, effort: Effort
) -> Pruned:
    """Leave out what makes no difference."""
    until = time.monotonic() + effort.seconds
    steps = list(schedule.trace)
    legal: list[Step] = []

    def shorter() -> Iterator[RecordingSchedule]:
        for step in steps:
            made = _replayed(schedule, [s for s in steps if s is not step], deferred=DEFERRED)
            if made is not None:
                legal.append(step)
                yield made

    quick = screen(shorter())
    doubtful = [step for step, fine in zip(legal, quick, strict=True) if fine]
    left = _Left(schedule, race, prepare, effort.comparisons)
    left.try_without(doubtful, until)
    for step in reversed(steps):  # legal to leave out, if at all, now that others are gone
        if time.monotonic() < until and left.dropped and all(step is not other for other in legal):
            left.try_without([step], until)
    return Pruned(left.schedule, tuple(left.dropped))


class _Left:
    """What is left of a schedule while steps are taken out of it."""

    def __init__(
        self, schedule: RecordingSchedule, race: Race, prepare: Prepare, most: int
    ) -> None:
        self.schedule = schedule
        self.dropped: list[str] = []
        self._steps = list(schedule.trace)
        self._race = race
        self._prepare = prepare
        self._most = most

    def try_without(self, doubtful: Sequence[Step], until: float, *, needed: bool = False) -> bool:
        """Take steps out: all of them if that is no slower, else one half and then the other.

        After `until` nothing is halved. `needed` says that all of them together are known to make
        a difference. Returns whether all were taken out.
        """
        if not doubtful or not self._most:
            return False
        if not needed and self._take_out(doubtful):
            return True
        if len(doubtful) == 1 or time.monotonic() >= until:
            return False
        middle = len(doubtful) // 2
        gone = self.try_without(doubtful[middle:], until)
        return self.try_without(doubtful[:middle], until, needed=gone) and gone

    def _take_out(self, doubtful: Sequence[Step]) -> bool:
        """Take steps out, all of them, unless that is illegal or slower."""
        steps = [step for step in self._steps if all(step is not other for other in doubtful)]
        proven: list[RecordingSchedule | None] = []

        def drawn() -> Iterator[RecordingSchedule]:
            shorter = _replayed(self.schedule, steps, deferred=DEFERRED)
            if shorter is not None:
                yield shorter
                proven.append(_replayed(self.schedule, steps))  # while it is being built

        self._prepare(drawn())
        shorter = proven[0] if proven else None
        if shorter is None:
            return False
        if len(doubtful) > 1 or self.dropped:  # the screen has timed what lacks one step
            self._most -= 1
            found = self._race(shorter, self.schedule)
            if found is None or found.is_slower:
                return False
        self._steps, self.schedule = steps, shorter
        self.dropped += [str(step) for step in reversed(doubtful)]
        return True


def _replayed(
    schedule: RecordingSchedule, steps: Sequence[Step], *, deferred: frozenset[str] = _ONE_BY_ONE
) -> RecordingSchedule | None:
    """A schedule with some of the steps of another, or None where they don't stand alone.

    Steps of the `deferred` primitives are proven as one, which is enough to measure; a schedule
    that is kept has every step proven.
    """
    trace = Trace(schedule.func.name, str(schedule.target))
    trace.items.extend(steps)
    shorter = RecordingSchedule(schedule.func, schedule.target)
    shorter.deferred = deferred
    try:
        replay(trace.json(), shorter)
        if deferred:
            shorter.settle()
    except TdslError:
        return None
    return shorter
