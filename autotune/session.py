"""One session: search the space of a task, measure, compare with the default, prune, conclude.

Everything that was measured is in the database before the next thing is. A session that is killed
goes on where it was: a round is drawn from the seed and from what was known before it, so that its
candidates are the same again, and those that have a record are not measured twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tdsl.analysis import Numerics
from tdsl.autotune.candidates import Candidate
from tdsl.autotune.conclusion import conclude
from tdsl.autotune.measure import Job, Limits, LocalMeasurer, Measurer
from tdsl.autotune.results import Listener, TaskResult
from tdsl.autotune.search import Measured, Proposal, RandomSearch, Search, SearchKind
from tdsl.autotune.space import Space
from tdsl.autotune.tasks import Task
from tdsl.errors import TdslError
from tdsl.ir.printer import print_program
from tdsl.records import Database, Outcome, Record, RecordingSchedule

BATCH = 16
# Tidying the winner is worth less than finding it. The screen of single steps is always made; after
# this share of the search's seconds no larger attempt is begun but the first.
_ABLATION_SHARE = 0.2
_LEAST_ABLATION = 2.0


@dataclass(frozen=True)
class Options:
    """How to tune.

    Attributes:
        trials: of each workload, those in the database included.
        seconds: the most a session searches; None: as long as the trials take.
        seed: of everything that is drawn.
        search: how candidates are found.
        limits: deadlines and lengths of measurements.
        batch: candidates of one round.
    """

    trials: int = 64
    seconds: float | None = None
    seed: int = 0
    search: SearchKind = SearchKind.EVOLUTION
    limits: Limits = field(default_factory=Limits)
    batch: int = BATCH


MeasurerFactory = Callable[[Task, Options], Measurer]


def local_measurer(task: Task, options: Options) -> Measurer:
    """Builders and a runner on this machine."""
    return LocalMeasurer(
        task.func.program,
        task.target,
        threads=task.threads,
        sizes=task.sizes,
        seed=options.seed,
        limits=options.limits,
    )


class Session:
    """The tuning of one task."""

    def __init__(
        self,
        task: Task,
        db: Database,
        options: Options,
        listener: Listener | None = None,
        measurer: MeasurerFactory = local_measurer,
    ) -> None:
        self.task = task
        self._db = db
        self._options = options
        self._listener = listener or Listener()
        self._make_measurer = measurer
        self._key = task.workload.key
        self._measured = 0
        self._exhausted = False
        self._until = float("inf")

    def run(self) -> TaskResult:
        """Tune until the trials are made, the time is up, or the space is used up.

        A keyboard interrupt ends the session; what was measured is kept.
        """
        if self._is_finished():
            return self._result()
        self._db.add_workload(self.task.workload)
        if self._options.seconds is not None:
            self._until = time.monotonic() + self._options.seconds
        measurer = self._make_measurer(self.task, self._options)
        started = time.monotonic()
        try:
            self._search(measurer)
            self._listener.phase("comparing the best with the default")
            verdict = conclude(
                self.task,
                self._db.best(self._key, 5),
                measurer,
                trials=self._db.trials(self._key),
                exhausted=self._exhausted,
                seed=self._options.seed,
                phase=self._listener.phase,
                patience=max(_LEAST_ABLATION, _ABLATION_SHARE * (time.monotonic() - started)),
            )
            self._db.set_verdict(self._key, verdict)
        except KeyboardInterrupt:
            return self._result("interrupted")
        finally:
            measurer.close()
        return self._result("out of time" if self._is_late() and not self._is_finished() else "")

    def _is_finished(self) -> bool:
        verdict = self._db.verdict(self._key)
        return verdict is not None and (verdict.trials >= self._options.trials or verdict.exhausted)

    def _is_late(self) -> bool:
        return time.monotonic() >= self._until

    def _result(self, stopped: str = "") -> TaskResult:
        best = self._db.best(self._key)
        return TaskResult(
            self.task,
            self._db.trials(self._key),
            self._measured,
            best[0] if best else None,
            None if stopped == "interrupted" else self._db.verdict(self._key),
            stopped,
        )

    def _search(self, measurer: Measurer) -> None:
        """Rounds of proposals until there are enough trials."""
        if self._missing() <= 0:
            return
        self._listener.phase("exploring the space")
        space = Space(self.task)
        search = make_search(self._options.search, space)
        records = self._db.records(self._key)
        self._listener.started(self.task, space.size, records)
        number = max((r.round for r in records if self._is_ours(r)), default=0)
        while self._missing() > 0 and not self._is_late():
            proposals = self._propose(search, number)
            if not proposals:
                self._exhausted = True
                return
            self._measure_round(space, measurer, proposals, number)
            number += 1

    def _missing(self) -> int:
        return self._options.trials - self._db.trials(self._key)

    def _is_ours(self, record: Record) -> bool:
        return record.seed == self._options.seed

    def _propose(self, search: Search, number: int) -> list[Proposal]:
        """The proposals of a round: of the seed and of what was known before it, nothing else."""
        known: list[Measured] = []
        for record in self._db.records(self._key):
            candidate = Candidate.parse(record.candidate)
            before = not self._is_ours(record) or record.round < number
            if candidate is not None and before:
                known.append(Measured(candidate, record.time, record.outcome))
        known.sort(key=lambda measured: measured.candidate.key)
        rng = np.random.default_rng([self._options.seed, number])
        return search.propose(known, self._options.batch, rng)

    def _measure_round(
        self, space: Space, measurer: Measurer, proposals: list[Proposal], number: int
    ) -> None:
        done = {record.key for record in self._db.records(self._key)}
        todo = [p for p in proposals if p.candidate.key not in done]
        while todo and (missing := self._missing()) > 0 and not self._is_late():
            self._measure(space, measurer, todo[:missing], number)
            todo = todo[missing:]

    def _measure(
        self, space: Space, measurer: Measurer, proposals: list[Proposal], number: int
    ) -> None:
        """Prove, build, check and time candidates; record each as soon as it is known."""
        waiting: dict[str, tuple[Proposal, RecordingSchedule]] = {}

        def jobs() -> Iterator[Job]:
            for proposal in proposals:
                if self._is_late():
                    return
                try:
                    schedule = space.realise(proposal.candidate)
                except TdslError as refusal:
                    self._record(proposal, number, Outcome.REFUSED, error=refusal.message)
                    continue
                waiting[proposal.candidate.key] = (proposal, schedule)
                yield job_of(proposal.candidate.key, schedule)

        for job, result in measurer.measure(jobs()):
            proposal, schedule = waiting.pop(job.name)
            self._measured += 1
            self._record(
                proposal,
                number,
                result.outcome,
                seconds=result.seconds,
                error=result.error,
                schedule=schedule,
            )

    def _record(
        self,
        proposal: Proposal,
        number: int,
        outcome: Outcome,
        *,
        seconds: tuple[float, ...] = (),
        error: str = "",
        schedule: RecordingSchedule | None = None,
    ) -> None:
        record = Record(
            proposal.candidate.json(),
            outcome,
            seconds,
            () if schedule is None else schedule.steps,
            "exact" if schedule is None else schedule.numerics.value,
            error[:500],
            proposal.source,
            self._options.seed,
            number,
        )
        self._db.add(self._key, record)
        self._listener.trial(record)


def job_of(name: str, schedule: RecordingSchedule) -> Job:
    """The job of building and timing a schedule."""
    return Job(name, print_program(schedule.program), schedule.numerics is Numerics.EXACT)


def make_search(kind: SearchKind, space: Space) -> Search:
    """The search of a kind. A random one does without xgboost."""
    if kind is SearchKind.RANDOM:
        return RandomSearch(space)
    from tdsl.autotune.evolution import EvolutionarySearch

    return EvolutionarySearch(space)
