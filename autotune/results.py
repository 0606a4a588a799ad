"""What tuning gives back, and what it tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tdsl.autotune.tasks import Task
from tdsl.records import Record, Verdict, replay_steps
from tdsl.scheduling import Schedule


@dataclass(frozen=True)
class TaskResult:
    """How the tuning of one task went.

    Attributes:
        task: what was tuned.
        trials: measured candidates of the workload, in all sessions.
        measured: those of this session.
        best: the quickest record; None where no candidate ran.
        verdict: the outcome after the comparison with the default; None where the session was
            stopped before it.
        stopped: why the session ended before all trials were made, or "".
        file: the schedule file that was written, if any.
    """

    task: Task
    trials: int
    measured: int
    best: Record | None
    verdict: Verdict | None
    stopped: str = ""
    file: Path | None = None

    @property
    def schedule(self) -> Schedule:
        """The winning schedule, proven anew; the unscheduled one where nothing won."""
        schedule = Schedule(self.task.func, self.task.target)
        if self.verdict is not None:
            replay_steps(schedule, self.verdict.steps)
        elif self.best is not None:
            replay_steps(schedule, self.best.steps)
        return schedule

    def json(self) -> dict[str, object]:
        """The result as JSON data."""
        verdict = self.verdict
        return {
            "workload": self.task.workload.key,
            "name": self.task.workload.name,
            "shapes": self.task.workload.shapes,
            "target": self.task.workload.target,
            "cpu": self.task.workload.cpu,
            "threads": self.task.workload.threads,
            "trials": self.trials,
            "measured": self.measured,
            "stopped": self.stopped,
            "seconds": _seconds(self.best) if verdict is None else verdict.seconds,
            "default_seconds": None if verdict is None else verdict.default_seconds,
            "speedup": None if verdict is None else verdict.default_seconds / verdict.seconds,
            "noise": None if verdict is None else verdict.noise,
            "winner": None if verdict is None else winner_name(verdict),
            "numerics": None if verdict is None else verdict.numerics,
            "dropped": [] if verdict is None else list(verdict.dropped),
            "best_trial": None if self.best is None else self.best.json(),
            "file": None if self.file is None else str(self.file),
        }


def winner_name(verdict: Verdict) -> str:
    """Whether a candidate or the default won."""
    return "default" if verdict.candidate is None else "tuned"


def _seconds(record: Record | None) -> float | None:
    return None if record is None else record.time


def _silent(*_: object) -> None:
    return None


@dataclass
class Listener:
    """What a session tells. The default listens to nothing.

    Attributes:
        started: a task, its number of candidates, and the records that it starts from.
        trial: a record was made.
        phase: what the session does now, in words.
    """

    started: Callable[[Task, int, list[Record]], object] = field(default=_silent)
    trial: Callable[[Record], object] = field(default=_silent)
    phase: Callable[[str], object] = field(default=_silent)
