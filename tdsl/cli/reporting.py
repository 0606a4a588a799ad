"""`tdsl report`: one HTML page on a kernel, its schedule and its tuning."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tdsl.cli.explaining import Chosen, Sizes, Target_, What, check_numbers, scheduled_for
from tdsl.cli.tuning import Db, check_writable
from tdsl.target import TargetKind

if TYPE_CHECKING:
    from tdsl.reporting.page import Run
    from tdsl.scheduling import Schedule


def report(
    what: What,
    *,
    sizes: Sizes = None,
    target: Target_ = None,
    schedule: Chosen = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The page (NAME.html in this folder).")
    ] = None,
    db: Db = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Of the tuning run (all that there are).")
    ] = None,
    timed: Annotated[bool, typer.Option("--time/--no-time", help="Measure the kernel.")] = True,
) -> None:
    """Write a page on a kernel: its rate under the roofline, its loops, steps, proofs and code.

    Where the database has a tuning run of it, the page shows that as well, and the kernel is the
    one that won, unless --schedule names another. The page is one file, to be opened offline.

    Example: tdsl report matmul -s 512x512x512 --out matmul.html
    """
    from tdsl.reporting.page import check_packages, report_page, write_page
    from tdsl.schedules.default import DefaultSchedule

    check_packages()
    if out is not None:
        check_writable(out)
    scheduled, numbers = scheduled_for(what, sizes, target, schedule)
    check_numbers(scheduled, numbers)
    run = _run(scheduled, numbers, threads, db)
    by_default = schedule is None and isinstance(scheduled, DefaultSchedule)
    if by_default and run is not None and run.verdict is not None:
        scheduled = _winner(scheduled, run)
    page = out or Path(f"{scheduled.func.name}.html")
    command = shlex.join(["tdsl", *sys.argv[1:]])
    write_page(page, report_page(scheduled, numbers, run=run, timed=timed, command=command))
    typer.echo(f"{page}: {page.stat().st_size >> 10} KiB")


def _run(
    schedule: Schedule, sizes: dict[str, int], threads: int | None, db: Path | None
) -> Run | None:
    """The tuning run of an algorithm, None where there is none."""
    from tdsl.records import Database, default_path, workload_of
    from tdsl.reporting.page import Run
    from tdsl.runtime.cpus import default_num_threads

    if schedule.target.kind is not TargetKind.LLVM or not (db or default_path()).exists():
        return None
    count = default_num_threads() if threads is None else threads
    key = workload_of(schedule.func, schedule.target, count, sizes).key
    with Database(db) as opened:
        records = opened.records(key)
        return Run(records, opened.verdict(key)) if records else None


def _winner(schedule: Schedule, run: Run) -> Schedule:
    from tdsl.records import replay_steps
    from tdsl.scheduling import Schedule

    assert run.verdict is not None
    won = Schedule(schedule.func, schedule.target)
    replay_steps(won, run.verdict.steps)
    return won
