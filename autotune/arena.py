"""Where schedules are timed against each other: built in safety, then run in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from tdsl.analysis import Numerics
from tdsl.autotune.duel import Duel, duel
from tdsl.autotune.measure import Job, Measurer
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Program
from tdsl.records import Outcome, RecordingSchedule
from tdsl.records.schema import median

_NEAR = 1.15  # times the winner: what is slower by itself is not timed in turn with it


@dataclass(frozen=True, slots=True)
class _Alone:
    """Seconds of a schedule timed by itself, None if it failed, and a hash of its machine code."""

    seconds: float | None
    code: str


class Arena:
    """Times schedules in turn; each is built, and timed by itself, once.

    Schedules of one machine code are one kernel, which is not timed against itself.
    """

    def __init__(self, measurer: Measurer) -> None:
        self._measurer = measurer
        self._alone: dict[str, _Alone] = {}

    def race(
        self, contestant: RecordingSchedule, other: RecordingSchedule, rounds: int
    ) -> Duel | None:
        """Time two schedules in turn; None where one of them fails."""
        self.prepare([contestant, other])
        mine, theirs = self._found(contestant), self._found(other)
        if mine.seconds and theirs.seconds and mine.code and mine.code == theirs.code:
            return Duel(theirs.seconds, theirs.seconds, 1.0, 0.0)
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
        if not all(self._alone[job.program].seconds for job in jobs):
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
        rivals = self._rivals(drawn, winner)
        duels = self.tournament(list(rivals.values()), winner, rounds)
        quick = {
            kernel
            for kernel, found in zip(rivals, duels, strict=True)
            if found is not None and not found.is_slower
        }
        quick.add(self._kernel(winner))
        return [self._kernel(schedule) in quick for schedule in drawn]

    def _rivals(
        self, drawn: Sequence[RecordingSchedule], winner: RecordingSchedule
    ) -> dict[str, RecordingSchedule]:
        """One schedule for each kernel that is about as quick as the winner's, and another one."""
        rivals: dict[str, RecordingSchedule] = {}
        best = self._found(winner).seconds
        for schedule in drawn:
            time = self._found(schedule).seconds
            if time is not None and best is not None and time < _NEAR * best:
                rivals.setdefault(self._kernel(schedule), schedule)
        rivals.pop(self._kernel(winner), None)
        return rivals

    def _found(self, schedule: RecordingSchedule) -> _Alone:
        return self._alone[print_program(schedule.program)]

    def _kernel(self, schedule: RecordingSchedule) -> str:
        """What tells kernels apart: the machine code, or the program where that is not known."""
        text = print_program(schedule.program)
        return self._alone[text].code or text

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
            seconds = median(list(result.seconds)) if fine else None
            self._alone[job.program] = _Alone(seconds, result.code)


def _job(program: Program, numerics: Numerics, number: int) -> Job:
    return Job(f"#{number}", print_program(program), numerics is Numerics.EXACT, briefly=True)
