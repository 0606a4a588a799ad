"""Tune a workload, then time the fallback, the default and the winner in turn."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from benchmarks.tuner.rows import task_of_row
from tdsl.autotune.arena import Arena
from tdsl.autotune.conclusion import default_schedule
from tdsl.autotune.session import Options, Session, local_measurer
from tdsl.autotune.tasks import Task
from tdsl.records import Database, RecordingSchedule, replay_steps
from tdsl.schedules.rules.fallback import schedule_simply

_ROUNDS = 11


@dataclass(frozen=True)
class Gain:
    """Seconds of one call under three schedules, and what the session took."""

    row: str
    fallback: float
    default: float
    tuned: float
    trials: int
    seconds: float

    @property
    def over_fallback(self) -> float:
        """How many times as quick as the fallback the winner is."""
        return self.fallback / self.tuned

    @property
    def over_default(self) -> float:
        """How many times as quick as the default the winner is."""
        return self.default / self.tuned


def fallback_schedule(task: Task) -> RecordingSchedule:
    """Every block by itself: outer loops in parallel, the last one in vectors."""
    schedule = RecordingSchedule(task.func, task.target)
    for block in schedule.blocks():
        schedule_simply(schedule, block)
    return schedule


def measure_gain(row: str, options: Options, db: Database, threads: int | None) -> Gain:
    """Tune a row and compare."""
    task = task_of_row(row, threads)
    started = time.perf_counter()
    result = Session(task, db, options).run()
    seconds = time.perf_counter() - started
    assert result.verdict is not None
    winner = RecordingSchedule(task.func, task.target)
    replay_steps(winner, result.verdict.steps)
    measurer = local_measurer(task, options)
    try:
        contestants = [fallback_schedule(task), default_schedule(task), winner]
        times = Arena(measurer).seconds(contestants, _ROUNDS)
    finally:
        measurer.close()
    assert times is not None
    slow, default, tuned = (sorted(each)[len(each) // 2] for each in times)
    return Gain(row, slow, default, tuned, result.measured, seconds)


def shown(gains: Iterable[Gain]) -> str:
    """The table, with geometric means."""
    found = list(gains)
    lines = [
        "| row | fallback ms | default ms | tuned ms | over fallback | over default | session s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {g.row} | {g.fallback * 1e3:.4f} | {g.default * 1e3:.4f} | {g.tuned * 1e3:.4f} "
        f"| {g.over_fallback:.2f} | {g.over_default:.2f} | {g.seconds:.1f} ({g.trials} trials) |"
        for g in found
    ]
    means = [prod(ratios) ** (1 / len(found)) for ratios in _ratios(found)]
    lines.append(f"| geometric mean | | | | {means[0]:.2f} | {means[1]:.2f} | |")
    return "\n".join(lines)


def _ratios(gains: Iterable[Gain]) -> tuple[list[float], list[float]]:
    found = list(gains)
    return [g.over_fallback for g in found], [g.over_default for g in found]
