"""`td.autotune.tune`: tune several tasks, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tdsl.autotune.results import Listener, TaskResult
from tdsl.autotune.search import SearchKind
from tdsl.autotune.session import MeasurerFactory, Options, Session, local_measurer
from tdsl.autotune.tasks import task_of
from tdsl.records import Database, RecordError
from tdsl.target import Target


def tune(
    tasks: Iterable[object] | object,
    trials: int = 64,
    seconds: float | None = None,
    seed: int = 0,
    db: Database | str | Path | None = None,
    target: Target | str | None = None,
    *,
    threads: int | None = None,
    search: SearchKind | str = SearchKind.EVOLUTION,
    options: Options | None = None,
    listener: Listener | None = None,
    measurer: MeasurerFactory = local_measurer,
) -> list[TaskResult]:
    """Search good schedules by measuring candidates; keep all that is measured in a database.

    Args:
        tasks: a Func, a template, a task (see `task_of`), or several of them.
        trials: measured candidates of each workload, those in the database included: repeating a
            finished run measures nothing.
        seconds: the most that the search of one task takes.
        seed: the same seed and records give the same candidates.
        db: a database or its path; None: `TDSL_DB`, or the user's own.
        target: what to tune for; None: this machine's processor.
        threads: of the kernels; None: as many as in this process.
        search: "evolution" (guided by a model of what was measured) or "random".
        options: further settings; the arguments above go first.
        listener: hears what happens.
        measurer: makes what candidates are measured with.

    Returns:
        One result for each task, in order. An interrupt (Ctrl-C) ends the task under way and skips
        those after it.

    Raises:
        RecordError: the database cannot be used, or not even the default schedule runs.
        KnobError: no candidate of a space is legal.
    """
    several = tasks if isinstance(tasks, list | tuple) else [tasks]
    kind = _search_kind(search)
    base = options or Options()
    chosen = replace(base, trials=trials, seconds=seconds, seed=seed, search=kind)
    made = [task_of(task, target=target, threads=threads) for task in several]
    if isinstance(db, Database):
        return _tune_all(made, db, chosen, listener, measurer)
    with Database(db) as opened:
        return _tune_all(made, opened, chosen, listener, measurer)


def _tune_all(
    tasks: Iterable[object],
    db: Database,
    options: Options,
    listener: Listener | None,
    measurer: MeasurerFactory,
) -> list[TaskResult]:
    results: list[TaskResult] = []
    for task in tasks:
        results.append(Session(task_of(task), db, options, listener, measurer).run())
        if results[-1].stopped == "interrupted":
            break
    return results


def _search_kind(search: SearchKind | str) -> SearchKind:
    if isinstance(search, SearchKind):
        return search
    known = {kind.value: kind for kind in SearchKind}
    if search not in known:
        raise RecordError(f"there is no search {search!r}", hint=f"one of {', '.join(known)}")
    return known[search]
