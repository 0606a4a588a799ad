"""`tdsl db`: look into the database of schedules, and move records between machines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tdsl.cli.locate import UsageError
from tdsl.cli.tuning import Db, check_writable

if TYPE_CHECKING:
    from tdsl.records import Database, Workload

db_commands = typer.Typer(
    no_args_is_help=True, help="The database of measured schedules: list, show, export, import."
)

Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Which = Annotated[str, typer.Argument(metavar="WORKLOAD", help="A name, or the start of a key.")]


def _existing(path: Path | None) -> Database:
    from tdsl.records import Database, default_path

    chosen = path or default_path()
    if not Path(chosen).exists():
        raise UsageError(f"there is no database {chosen}", hint="`tdsl tune` makes one")
    return Database(chosen)


def _one(db: Database, which: str) -> Workload:
    found = db.find(which)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"the database has no workload {which!r}", hint="tdsl db ls")
    keys = ", ".join(f"{w.key[:12]} ({w.shapes}, {w.threads} threads)" for w in found)
    raise UsageError(f"{len(found)} workloads are called {which!r}: {keys}", hint="give a key")


@db_commands.command("ls")
def list_workloads(*, db: Db = None, as_json: Json = False) -> None:
    """List the workloads, their trials and their best times.

    Example: tdsl db ls
    """
    from tdsl.autotune.report import duration

    with _existing(db) as opened:
        rows = []
        for workload in opened.workloads():
            best, verdict = opened.best(workload.key), opened.verdict(workload.key)
            rows.append(
                {
                    "key": workload.key,
                    **workload.json(),
                    "trials": opened.trials(workload.key),
                    "seconds": best[0].time if best else None,
                    "speedup": verdict and verdict.default_seconds / verdict.seconds,
                }
            )
        damaged = opened.damaged
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        seconds, speedup = row["seconds"], row["speedup"]
        time = duration(seconds) if isinstance(seconds, float) else "no time"
        gain = f", {speedup:.2f}x the default" if isinstance(speedup, float) else ""
        typer.echo(
            f"{str(row['key'])[:12]}  {row['name']}({row['shapes']})  {row['cpu']} "
            f"x{row['threads']}  {row['trials']} trials  {time}{gain}"
        )
    if damaged:
        typer.echo(f"{damaged} damaged rows were skipped", err=True)


@db_commands.command("show")
def show_records(
    workload: Which,
    *,
    db: Db = None,
    as_json: Json = False,
    count: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 20,
) -> None:
    """Show the trials of a workload in the order in which they were made.

    Example: tdsl db show matmul -n 10
    """
    from tdsl.autotune.report import duration, shown_candidate

    with _existing(db) as opened:
        records = opened.records(_one(opened, workload).key)
    if as_json:
        typer.echo(json.dumps([record.json() for record in records], indent=2))
        return
    for record in records[:count]:
        time = "" if record.time is None else duration(record.time)
        typer.echo(
            f"{record.id:6}  {record.outcome.value:14}  {time:>10}  {record.source:10}"
            f"{shown_candidate(record.candidate)}"
        )
        if record.error:
            typer.echo(f"        {record.error}")
    if len(records) > count:
        typer.echo(f"... {len(records) - count} more (-n {len(records)})")


@db_commands.command("best")
def show_best(workload: Which, *, db: Db = None, as_json: Json = False) -> None:
    """Show what won a workload: the verdict, and the steps of the schedule.

    Example: tdsl db best matmul
    """
    from tdsl.autotune.report import duration, shown_candidate

    with _existing(db) as opened:
        found = _one(opened, workload)
        best, verdict = opened.best(found.key), opened.verdict(found.key)
    if not best and verdict is None:
        raise UsageError(f"no trial of {found.name} went well")
    if as_json:
        data = {
            "workload": found.key,
            "verdict": verdict and verdict.json(),
            "best_trial": best[0].json() if best else None,
        }
        typer.echo(json.dumps(data, indent=2))
        return
    typer.echo(str(found))
    if best and best[0].time is not None:
        typer.echo(f"best trial  {duration(best[0].time)}  {shown_candidate(best[0].candidate)}")
    if verdict is not None:
        typer.echo(
            f"winner      {duration(verdict.seconds)}  {shown_candidate(verdict.candidate)}\n"
            f"default     {duration(verdict.default_seconds)}"
        )
    steps = verdict.steps if verdict is not None else best[0].steps
    for step in steps:
        typer.echo(f"  {json.dumps(step)}")


@db_commands.command("export")
def export_records(
    workloads: Annotated[
        list[str] | None, typer.Argument(metavar="WORKLOAD...", help="Names or keys; else all.")
    ] = None,
    *,
    db: Db = None,
    out: Annotated[Path | None, typer.Option("--out", help="A file; else standard output.")] = None,
) -> None:
    """Write records as lines of JSON.

    Example: tdsl db export matmul --out matmul.jsonl
    """
    from tdsl.records import export_lines

    if out is not None:
        check_writable(out)
    with _existing(db) as opened:
        chosen = [w for name in workloads for w in _some(opened, name)] if workloads else None
        lines = export_lines(opened, opened.workloads() if chosen is None else chosen)
        if out is None:
            for line in lines:
                typer.echo(line)
            return
        with out.open("w", encoding="utf-8") as file:
            count = sum(1 for line in lines if file.write(line + "\n"))
    typer.echo(f"{out}: {count} lines", err=True)


def _some(db: Database, which: str) -> list[Workload]:
    found = db.find(which)
    if not found:
        raise UsageError(f"the database has no workload {which!r}", hint="tdsl db ls")
    return found


@db_commands.command("import")
def import_records(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An export; - is standard input.")],
    *,
    db: Db = None,
) -> None:
    """Add the records of an export; those that are known stay, damaged lines are skipped.

    Example: tdsl db import matmul.jsonl
    """
    from tdsl.records import Database, import_lines

    with Database(db) as opened:
        if file == "-":
            report = import_lines(opened, sys.stdin)
        else:
            path = Path(file)
            if not path.is_file():
                raise UsageError(f"there is no file {file}")
            with path.open(encoding="utf-8", errors="replace") as lines:
                report = import_lines(opened, lines)
    typer.echo(str(report))
