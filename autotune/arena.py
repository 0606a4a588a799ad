"""Where schedules are timed against each other: built in safety, then run in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from tdsl.analysis import Numerics
from tdsl.autotune.duel import Duel, duel
from tdsl.autotune.measure import Job, Measurer
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Program
from tdsl.records import Outcome, RecordingSchedule
from tdsl.records.schema import median

_NEAR = 1.15  # times the winner: what is slower by itself is not timed in turn with it


class Arena:
    """Times schedules in turn; each is built, and timed by itself, once."""

    def __init__(self, measurer: Measurer) -> None:
        self._measurer = measurer
        self._alone: dict[str, float | None] = {}

    def race(
        self, contestant: RecordingSchedule, other: RecordingSchedule, rounds: int
    ) -> Duel | None:
        """Time two schedules in turn; None where one of them fails."""
        times = self.seconds([contestant, other], rounds)
        return None if times is None else duel(*times)

    def tournament(
        self, rivals: Sequence[RecordingSchedule], default: RecordingSchedule, rounds: int
    ) -> list[Duel | None]:
        """Time rivals and the default in turn; one by one if not all of them run."""
        if not rivals:
            return []
        times = self.seconds([default, *rivals], rounds)
        if times is None:
            return [self.race(rival, default, rounds) for rival in rivals]
        return [duel(seconds, times[0]) for seconds in times[1:]]

    def seconds(
        self, schedules: Sequence[RecordingSchedule], rounds: int
    ) -> list[tuple[float, ...]] | None:
        """Seconds of each schedule, round by round; None where one of them fails."""
        jobs = [_job(s.program, s.numerics, n) for n, s in enumerate(schedules)]
        self._try(jobs)
        if not all(self._alone[job.program] for job in jobs):
            return None
        results = self._measurer.compare(jobs, rounds)
        if any(result.outcome is not Outcome.OK for result in results):
            return None
        return [result.seconds for result in results]

    def prepare(self, schedules: Iterable[RecordingSchedule]) -> None:
        """Build schedules, all at once and while more are drawn, and time each by itself."""
        self._try(_job(s.program, s.numerics, n) for n, s in enumerate(schedules))

    def as_quick(
        self, schedules: Iterable[RecordingSchedule], winner: RecordingSchedule, rounds: int
    ) -> list[bool]:
        """Whether schedules are no slower than the winner: all built at once, timed in turn."""
        drawn: list[RecordingSchedule] = []

        def noted() -> Iterator[RecordingSchedule]:
            for schedule in schedules:
                drawn.append(schedule)
                yield schedule

        self.prepare(chain([winner], noted()))
        best, *times = [self._time(schedule) for schedule in (winner, *drawn)]
        near = [time is not None and best is not None and time < _NEAR * best for time in times]
        rivals = [schedule for schedule, fine in zip(drawn, near, strict=True) if fine]
        duels = iter(self.tournament(rivals, winner, rounds))
        return [
            fine and (found := next(duels)) is not None and not found.is_slower for fine in near
        ]

    def _time(self, schedule: RecordingSchedule) -> float | None:
        return self._alone[print_program(schedule.program)]

    def _try(self, jobs: Iterable[Job]) -> None:
        """Find out, in the safety of deadlines, which programs build and run, and how fast."""

        def new() -> Iterator[Job]:
            drawn: set[str] = set()
            for job in jobs:
                if job.program not in self._alone and job.program not in drawn:
                    drawn.add(job.program)
                    yield job

        for job, result in self._measurer.measure(new()):
            fine = result.outcome is Outcome.OK and result.seconds
            self._alone[job.program] = median(list(result.seconds)) if fine else None


def _job(program: Program, numerics: Numerics, number: int) -> Job:
    return Job(f"#{number}", print_program(program), numerics is Numerics.EXACT)
