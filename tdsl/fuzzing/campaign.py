"""`tdsl fuzz`: many random schedules of one algorithm on several targets, in worker processes."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from tdsl.errors import TdslError
from tdsl.fuzzing.checks import check
from tdsl.fuzzing.draw import RandomDraw
from tdsl.fuzzing.saved import saved_test
from tdsl.fuzzing.shrink import Steps, shrink_steps
from tdsl.fuzzing.subject import Subject
from tdsl.fuzzing.walk import LeftTraceError, random_walk
from tdsl.fuzzing.workers import Died, apart, results
from tdsl.scheduling import Schedule
from tdsl.scheduling.locations import Location, find_algorithm

_LIMIT = 120.0  # seconds for one schedule
_ALONE = 30.0  # for one trial of shrinking what hangs or crashes
_TRIALS = 60
_TRIALS_APART = 20


@dataclass(frozen=True)
class Job:
    """One schedule to draw: of which algorithm, for which target, from which seed."""

    location: Location
    target: str
    seed: str


@dataclass(frozen=True)
class Failure:
    """What is wrong with a schedule: which check says so, in what words, and its steps."""

    job: Job
    oracle: str
    detail: str
    steps: Steps = ()
    file: Path | None = None

    def json(self) -> dict[str, object]:
        """For scripts."""
        return {
            "seed": self.job.seed,
            "target": self.job.target,
            "oracle": self.oracle,
            "detail": self.detail,
            "steps": [step.source() for step in self.steps],
            "file": str(self.file) if self.file else None,
        }


@dataclass(frozen=True)
class Outcome:
    """What one job came to."""

    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    numerics: str = ""
    built: str = ""
    failure: Failure | None = None


@dataclass
class Campaign:
    """What a run came to."""

    schedules: int = 0
    steps: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    numerics: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    built: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, job: Job, outcome: Outcome) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.steps += len(outcome.accepted)
        self.accepted.update(outcome.accepted)
        self.refused.update(outcome.refused)
        self.targets[job.target] += 1
        if outcome.numerics:
            self.numerics[outcome.numerics] += 1
        if outcome.built:
            self.built["built" if outcome.built == "built" else "not lowered"] += 1

    def json(self) -> dict[str, object]:
        """All counts."""
        return {
            "schedules": self.schedules,
            "steps": self.steps,
            "targets": dict(self.targets),
            "numerics": dict(self.numerics),
            "built": dict(self.built),
            "accepted": dict(self.accepted.most_common()),
            "refused": dict(self.refused.most_common()),
            "failures": [failure.json() for failure in self.failures],
        }

    def __str__(self) -> str:
        mean = self.steps / max(1, self.schedules)
        tried = sum(self.accepted.values()) + sum(self.refused.values())
        lines = [
            f"{self.schedules} schedules ({_counts(self.targets)}), {mean:.1f} steps each; "
            f"{self.steps} of {tried} steps tried were legal",
            f"primitives: {_counts(self.accepted)}",
            f"numerics: {_counts(self.numerics)}",
            f"kernels: {_counts(self.built)}",
        ]
        for failure in self.failures:
            lines += [f"FAILED ({failure.oracle}) on {failure.job.target}: {failure.detail}"]
            lines += [f"    {step.source()}" for step in failure.steps]
            lines += [f"  saved as {failure.file}"] if failure.file else []
        lines.append(f"{len(self.failures)} failures" if self.failures else "no failure")
        return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counter.most_common()) or "none"


def fuzz_algorithm(
    location: Location, count: int, seed: int, targets: Sequence[str], jobs: int,
    out: Path | None, report: Callable[[str], None],
) -> Campaign:  # fmt: skip
    """Draw and check `count` schedules, by turns for each target.

    A failure is shrunk to the fewest steps that still fail, and saved as a test in the folder
    `out`. Ctrl-C keeps what was found so far.
    """
    work = [Job(location, targets[n % len(targets)], f"{seed}.{n}") for n in range(count)]
    campaign = Campaign()
    every = max(1, count // 10)
    try:
        for job, result in results(work, run_job, jobs, _LIMIT):
            outcome = result if isinstance(result, Outcome) else _died(job, result)
            campaign.add(job, outcome)
            if outcome.failure is not None:
                failure = shrunk(outcome.failure)
                if out is not None:
                    failure = replace(failure, file=saved_test(failure, out))
                campaign.failures.append(failure)
                report(f"failed at seed {job.seed}: {failure.oracle}: {failure.detail}")
            if campaign.schedules % every == 0:
                report(f"{campaign.schedules} of {count}, {len(campaign.failures)} failures")
    except KeyboardInterrupt:
        report(f"interrupted after {campaign.schedules} schedules")
    return campaign


def _died(job: Job, died: Died) -> Outcome:
    return Outcome(failure=Failure(job, died.end, died.detail))


@lru_cache(maxsize=4)
def _subject(location: Location) -> Subject:
    return Subject(find_algorithm(location))


def run_job(job: Job) -> Outcome:
    """Draw the schedule of a job and check it."""
    steps: Steps = ()
    try:
        subject = _subject(job.location)
        walk = random_walk(subject.func, job.target, RandomDraw(f"{job.seed}/steps"))
        steps = tuple(walk.steps)
        found, built = check(subject, walk.schedule, job.seed)
    except LeftTraceError as error:
        return Outcome(failure=Failure(job, "refusal", str(error), steps))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        return Outcome(failure=Failure(job, "exception", _told(error), steps))
    names = tuple(step.primitive for step in steps)
    numerics = walk.schedule.numerics.value
    failure = Failure(job, found.oracle, found.detail, steps) if found else None
    return Outcome(names, tuple(walk.refused), numerics, built, failure)


def _told(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rpartition('/')[2]}:{last.name}"
    message = error.message if isinstance(error, TdslError) else str(error)
    return f"{type(error).__name__} in {where}: {message}"[:500]


def steps_of(job: Job) -> Steps:
    """The steps of a job, drawn without checking them."""
    func = _subject(job.location).func
    return tuple(random_walk(func, job.target, RandomDraw(f"{job.seed}/steps")).steps)


def replayed(job: Job, steps: Steps) -> str | None:
    """The check that these steps fail; steps that are refused are left out."""
    try:
        subject = _subject(job.location)
        s = Schedule(subject.func, job.target)
        for step in steps:
            try:
                step.apply(s)
            except TdslError:
                continue
        found, _ = check(subject, s, job.seed)
    except Exception as error:  # noqa: BLE001 - as in run_job
        return f"exception {type(error).__name__}"
    return found.oracle if found else None


def shrunk(failure: Failure) -> Failure:
    """The same failure with as few steps as possible."""
    job = failure.job
    if failure.oracle in ("crash", "hang"):
        drawn = apart(steps_of, job, limit=_LIMIT)
        if isinstance(drawn, Died):
            return failure

        def dies(steps: Steps) -> bool:
            end = apart(replayed, job, steps, limit=_ALONE)
            return isinstance(end, Died) and end.end == failure.oracle

        return replace(failure, steps=shrink_steps(drawn, dies, _TRIALS_APART))
    wanted = replayed(job, failure.steps)
    if wanted is None:
        return failure
    steps = shrink_steps(failure.steps, lambda s: replayed(job, s) == wanted, _TRIALS)
    return replace(failure, steps=steps)
