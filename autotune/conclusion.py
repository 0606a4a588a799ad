"""The end of a session: whether anything beats the default, and which of its steps matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdsl.analysis import Numerics
from tdsl.autotune.ablation import prune
from tdsl.autotune.duel import Duel, duel
from tdsl.autotune.measure import Job, Measurer
from tdsl.autotune.tasks import Task
from tdsl.errors import TdslError
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Program
from tdsl.records import Outcome, Record, RecordError, RecordingSchedule, Verdict, replay_steps
from tdsl.records.schema import median
from tdsl.schedules.default import default_schedule as library_default
from tdsl.scheduling import replay

_ROUNDS = 9
_ABLATION_ROUNDS = 5
_MOST_ABLATIONS = 16
_NEAR = 1.15  # times the winner: what is slower by itself gets no race

Phase = Callable[[str], object]


def conclude(
    task: Task,
    best: Sequence[Record],
    measurer: Measurer,
    *,
    trials: int,
    exhausted: bool,
    seed: int,
    phase: Phase,
) -> Verdict:
    """Time the best candidates and the default in turn; prune the winner; say what came out.

    Raises:
        RecordError: not even the default schedule runs.
    """
    arena = _Arena(measurer)
    default = default_schedule(task)
    alone = arena.seconds([default], _ROUNDS)
    if alone is None:
        raise RecordError(f"the default schedule of {task.func.name} cannot be measured")
    winner, candidate, found = default, None, duel(alone[0], alone[0])
    rivals = _replayed(task, best)
    results = arena.tournament([schedule for _, schedule in rivals], default, _ROUNDS)
    for (record, schedule), result in zip(rivals, results, strict=True):
        if result is not None and result.is_quicker and result.ratio < found.ratio:
            winner, candidate, found = schedule, record.candidate, result
    dropped: tuple[str, ...] = ()
    if candidate is not None:
        phase("leaving out steps that make no difference")
        pruned = prune(
            winner,
            lambda one, other: arena.race(one, other, _ABLATION_ROUNDS),
            lambda shorter: arena.near(shorter, winner),
            _MOST_ABLATIONS,
        )
        winner, dropped = pruned.schedule, pruned.dropped
        found = arena.race(winner, default, _ROUNDS) or found
    return Verdict(
        trials,
        exhausted,
        candidate,
        winner.steps,
        winner.numerics.value,
        found.seconds,
        found.default_seconds,
        found.noise,
        dropped,
        seed,
    )


def default_schedule(task: Task) -> RecordingSchedule:
    """What the tuned schedule has to beat: the library's own."""
    schedule = RecordingSchedule(task.func, task.target)
    replay(library_default(task.func, task.target).trace.json(), schedule)
    return schedule


def _replayed(task: Task, records: Sequence[Record]) -> list[tuple[Record, RecordingSchedule]]:
    """Schedules of records; those that are not legal any more are left out."""
    found = []
    for record in records:
        schedule = RecordingSchedule(task.func, task.target)
        try:
            replay_steps(schedule, record.steps)
        except TdslError:
            continue
        found.append((record, schedule))
    return found


class _Arena:
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

    def near(self, schedules: Sequence[RecordingSchedule], winner: RecordingSchedule) -> list[bool]:
        """Whether schedules, timed by themselves, are hardly slower than the winner."""
        jobs = [_job(s.program, s.numerics, n) for n, s in enumerate((winner, *schedules))]
        self._try(jobs)
        best, *times = [self._alone[job.program] for job in jobs]
        return [time is not None and best is not None and time < _NEAR * best for time in times]

    def _try(self, jobs: Sequence[Job]) -> None:
        """Find out, in the safety of deadlines, which programs build and run, and how fast."""
        new = {job.program: job for job in jobs if job.program not in self._alone}
        for job, result in self._measurer.measure(new.values()):
            fine = result.outcome is Outcome.OK and result.seconds
            self._alone[job.program] = median(list(result.seconds)) if fine else None


def _job(program: Program, numerics: Numerics, number: int) -> Job:
    return Job(f"#{number}", print_program(program), numerics is Numerics.EXACT)
