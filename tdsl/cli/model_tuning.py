"""`tdsl tune MODEL.onnx`: the kernels of a model, one after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tdsl.cli.locate import UsageError
from tdsl.cli.models import feeds_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tdsl.autotune import Task, TaskResult


def tune_model(
    model: Path,
    sizes: str | None,
    run: Callable[[Task], TaskResult],
    *,
    target: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Tune the kernels of a model that do most of its work, and say what came out of each.

    `run` tunes one task. An interrupt ends the kernel under way, and skips those after it.

    Raises:
        UsageError: there is no such file, or the sizes are not NAME=N.
    """
    from tdsl.autotune.models import model_tasks
    from tdsl.autotune.report import summary
    from tdsl.graph.session import Session

    if not model.is_file():
        raise UsageError(f"there is no file {model}")
    session = Session(model, target=target, threads=threads)
    session.run(feeds_for(session, None, _named_sizes(sizes)))
    tasks = model_tasks(session, target=target, threads=threads)
    left_out = len(session.algorithms) - len(tasks)
    results: list[TaskResult] = []
    for number, task in enumerate(tasks, start=1):
        typer.echo(f"kernel {number} of {len(tasks)}: {task.workload}", err=True)
        result = run(task)
        results.append(result)
        if not as_json:
            typer.echo(summary(result))
        if result.stopped == "interrupted":
            break
    if as_json:
        typer.echo(json.dumps([result.json() for result in results], indent=2))
    else:
        typer.echo(_told(model, results, left_out))
    if results and results[-1].stopped == "interrupted":
        raise typer.Exit(130)


def _told(model: Path, results: list[TaskResult], left_out: int) -> str:
    won = sum(1 for r in results if r.verdict is not None and r.verdict.candidate is not None)
    lines = [f"{model.name}: {won} of {len(results)} kernels got a quicker schedule"]
    if left_out:
        lines.append(f"  {left_out} kernels that do less than 1 % of the work were left alone")
    lines.append(f'  td.Session("{model.name}", schedules="tuned") uses them')
    return "\n".join(lines)


def _named_sizes(sizes: str | None) -> list[str]:
    """The NAME=N of -s.

    Raises:
        UsageError: they are something else.
    """
    named = [part.strip() for part in (sizes or "").split(",") if part.strip()]
    if any("=" not in part for part in named):
        raise UsageError(
            f"sizes {sizes!r}: a model has extents with names", hint="-s batch=4,length=128"
        )
    return named
