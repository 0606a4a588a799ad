"""What the database knows of an algorithm: `td.build(..., schedule="tuned")`.

First the very workload, names aside. Then workloads with the same anchor block whose epilogue is
elementwise or missing, as here: their knob values are put into the sketch of this algorithm.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tdsl.autotune.candidates import Candidate
from tdsl.autotune.knobs import KnobError, Knobs
from tdsl.autotune.replay import TemplateSchedule
from tdsl.autotune.tasks import sketches
from tdsl.errors import ScheduleError, TdslError
from tdsl.lang.func import Func
from tdsl.records import Database, Workload, default_path, replay_steps, workload_of
from tdsl.records.workload import Epilogue
from tdsl.runtime.cpus import default_num_threads
from tdsl.scheduling import Schedule
from tdsl.target import Target, target as parse_target

_SERVED = (Epilogue.NONE, Epilogue.ELEMENTWISE)


class NotTuned(TdslError, LookupError):  # noqa: N818 - reads as the sentence it raises
    """The database knows no schedule for an algorithm."""


def tuned_schedule(
    func: Func,
    target: Target | str | None = None,
    *,
    threads: int | None = None,
    db: Database | None = None,
    constants: Collection[str] = (),
) -> Schedule:
    """The best schedule that the database knows for an algorithm, every step proven anew.

    Args:
        func: the algorithm.
        target: None: this machine's processor.
        threads: None: as many as kernels use in this process.
        db: None: `TDSL_DB`, or the user's own.
        constants: arguments that stay the same from call to call: the schedule may want them
            packed, as `kernel.pack` does it.

    Raises:
        NotTuned: there is none.
    """
    machine = parse_target(target)
    count = default_num_threads() if threads is None else threads
    if db is None:
        if not default_path().exists():
            raise _not_tuned(func, str(default_path()))
        with Database() as opened:
            return tuned_schedule(func, machine, threads=count, db=opened, constants=constants)
    wanted = _Wanted(func, machine, count, frozenset(constants))
    found = _exact(wanted, db) or _related(wanted, db)
    if found is None:
        raise _not_tuned(func, str(db.path))
    return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a schedule is looked for."""

    func: Func
    target: Target
    threads: int
    constants: frozenset[str]

    def workload(self, sizes: Mapping[str, int]) -> Workload:
        """Its workload for some numbers of symbolic sizes."""
        return workload_of(self.func, self.target, self.threads, sizes, self.constants)


def _not_tuned(func: Func, path: str) -> NotTuned:
    return NotTuned(
        f"no tuned schedule is recorded for {func.name} in {path}",
        hint="run `tdsl tune` for it, or pass schedule='default' or the path of a schedule file",
    )


def _workloads(wanted: _Wanted, db: Database) -> Iterable[Workload]:
    """The workload of an algorithm; of one with symbolic sizes, those of all sizes tuned so far."""
    if not wanted.func.sizes:
        yield wanted.workload({})
        return
    names = {size.name for size in wanted.func.sizes}
    for known in db.workloads():
        if {name for name, _ in known.sizes} == names:
            here = wanted.workload(dict(known.sizes))
            if here.key == known.key:
                yield here


def _exact(wanted: _Wanted, db: Database) -> Schedule | None:
    for workload in _workloads(wanted, db):
        for steps in _recorded(db, workload):
            schedule = Schedule(wanted.func, wanted.target)
            try:
                replay_steps(schedule, steps)
            except TdslError:
                continue
            return schedule
    return None


def _recorded(db: Database, workload: Workload) -> Iterable[Sequence[object]]:
    """Steps, the best first: the verdict's, then those of the quickest records."""
    verdict = db.verdict(workload.key)
    if verdict is not None:
        yield verdict.steps
    for record in db.best(workload.key, 3):
        yield record.steps


def _related(wanted: _Wanted, db: Database) -> Schedule | None:
    for workload in _workloads(wanted, db):
        if workload.epilogue not in _SERVED:
            continue
        for other in db.workloads(workload.anchor):
            if other.epilogue in _SERVED and other.key != workload.key:
                schedule = _transferred(wanted, dict(workload.sizes), db, other)
                if schedule is not None:
                    return schedule
    return None


def _transferred(
    wanted: _Wanted, sizes: dict[str, int], db: Database, other: Workload
) -> Schedule | None:
    """The sketch of an algorithm with the knobs that are best for another."""
    verdict = db.verdict(other.key)
    known = [] if verdict is None or verdict.candidate is None else [verdict.candidate]
    known += [record.candidate for record in db.best(other.key, 3)]
    for data in known:
        candidate = Candidate.parse(data)
        if candidate is None or candidate.space != "sketch":
            continue
        schedule = TemplateSchedule(wanted.func, wanted.target)
        numbers = dict(candidate.knobs)
        knobs = Knobs(
            schedule,
            sizes,
            dict(candidate.choices),
            lambda n, _: numbers[n],  # noqa: B023 - used at once
            constants=wanted.constants,
        )
        try:
            sketches()(schedule, knobs)
        except (ScheduleError, KnobError, KeyError):
            continue
        return schedule
    return None
