"""The end of a session: whether anything beats the default, and which of its steps matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from tdsl.autotune.ablation import Effort, prune
from tdsl.autotune.arena import Arena
from tdsl.autotune.duel import duel
from tdsl.autotune.measure import Measurer
from tdsl.autotune.tasks import Task
from tdsl.errors import TdslError
from tdsl.records import Record, RecordError, RecordingSchedule, Verdict, replay_steps
from tdsl.schedules.default import default_schedule as library_default
from tdsl.scheduling import replay

_ROUNDS = 9
_ABLATION_ROUNDS = 5
_MOST_ABLATIONS = 8

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
    patience: float,
) -> Verdict:
    """Time the best candidates and the default in turn; prune the winner; say what came out.

    `patience`: seconds after which no further step is tried to be left out.

    Raises:
        RecordError: not even the default schedule runs.
    """
    arena = Arena(measurer)
    default = default_schedule(task)
    rivals: list[tuple[Record, RecordingSchedule]] = []
    arena.prepare(chain([default], _drawn(_replayed(task, best), rivals)))
    results = arena.tournament([schedule for _, schedule in rivals], default, _ROUNDS)
    timed = [result for result in results if result is not None]
    seconds = timed[0].default_seconds if timed else _alone(arena, default)
    winner, candidate, found = default, None, duel([seconds], [seconds])
    for (record, schedule), result in zip(rivals, results, strict=True):
        if result is not None and result.is_quicker and result.ratio < found.ratio:
            winner, candidate, found = schedule, record.candidate, result
    dropped: tuple[str, ...] = ()
    if candidate is not None:
        phase("leaving out steps that make no difference")
        pruned = prune(
            winner,
            lambda one, other: arena.race(one, other, _ABLATION_ROUNDS),
            lambda shorter: arena.as_quick(shorter, winner, _ABLATION_ROUNDS),
            arena.prepare,
            Effort(_MOST_ABLATIONS, patience),
        )
        again = arena.race(pruned.schedule, default, _ROUNDS) if pruned.dropped else None
        if again is not None and again.is_quicker:
            winner, dropped, found = pruned.schedule, pruned.dropped, again
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


def _alone(arena: Arena, default: RecordingSchedule) -> float:
    """Seconds of the default schedule.

    Raises:
        RecordError: it does not run.
    """
    times = arena.seconds([default], _ROUNDS)
    if times is None:
        raise RecordError(f"the default schedule of {default.func.name} cannot be measured")
    return duel(times[0], times[0]).seconds


def default_schedule(task: Task) -> RecordingSchedule:
    """What the tuned schedule has to beat: the library's own."""
    schedule = RecordingSchedule(task.func, task.target)
    made = library_default(task.func, task.target, task.constants)
    replay(made.trace.json(), schedule)
    return schedule


def _replayed(task: Task, records: Sequence[Record]) -> Iterator[tuple[Record, RecordingSchedule]]:
    """Schedules of records; those that are not legal any more are left out."""
    for record in records:
        schedule = RecordingSchedule(task.func, task.target)
        try:
            replay_steps(schedule, record.steps)
        except TdslError:
            continue
        yield record, schedule


def _drawn(
    rivals: Iterable[tuple[Record, RecordingSchedule]],
    noted: list[tuple[Record, RecordingSchedule]],
) -> Iterator[RecordingSchedule]:
    """The schedules of rivals, which are noted as they are drawn."""
    for rival in rivals:
        noted.append(rival)
        yield rival[1]
