"""`tdsl tune`: search a good schedule by measuring candidates."""

from __future__ import annotations

import difflib
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tdsl.cli.locate import Opened, UsageError, named_sizes, open_file, parse_sizes
from tdsl.cli.model_tuning import tune_model
from tdsl.target import TargetKind, target as parse_target

if TYPE_CHECKING:
    from tdsl.autotune import Task, TaskResult

What = Annotated[
    str | None,
    typer.Argument(
        metavar="OPERATOR|FILE.py:NAME|MODEL.onnx",
        help="An operator of the library (see --list), or a Func, a template or a function of "
        "sizes in a file, which is run; or an ONNX model, whose kernels are tuned in turn.",
    ),
]
Sizes = Annotated[
    str | None,
    typer.Option(
        "-s",
        "--sizes",
        help="Sizes: M x N x K for matmul; see --list for others. Of a model, "
        "NAME=N for extents that have names.",
    ),
]
Db = Annotated[Path | None, typer.Option("--db", help="The database (TDSL_DB, or the user's own).")]
Threads = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Threads of the kernels (all that there are).")
]


def tune(
    what: What = None,
    *,
    sizes: Sizes = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials of the workload, those in the database included.")
    ] = 64,
    seconds: Annotated[
        float | None, typer.Option(min=0.0, help="The most that the search takes.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same candidates.")] = 0,
    db: Db = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the winner to this schedule file.")
    ] = None,
    threads: Threads = None,
    search: Annotated[
        str, typer.Option(help="evolution (guided by a model) or random.")
    ] = "evolution",
    target: Annotated[
        str | None, typer.Option(help="Such as 'llvm -mcpu=znver4', 'opencl' or 'opencl:pocl'.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
    list_operators: Annotated[
        bool, typer.Option("--list", help="The operators, and what their sizes are.")
    ] = False,
) -> None:
    """Search a good schedule of a kernel by measuring candidates; all results are kept.

    Candidates are proven, built and run in processes of their own, and their numbers are checked
    before a time counts. Ctrl-C keeps what was measured; the same command goes on from there, and
    measures nothing once all trials are made. FILE.py:NAME runs FILE.py. Of a model, each kernel
    that does a good share of the work gets the trials, and constants are packed ahead.

    Example: tdsl tune matmul -s 512x512x512 --trials 64 --out matmul.schedule
    """
    from tdsl.autotune.report import LiveReport
    from tdsl.autotune.tuning import tune as run

    if list_operators or what is None:
        _list_operators()
        return
    if out is not None:
        check_writable(out)

    def tuned(task: Task) -> TaskResult:
        with LiveReport(trials, seconds=seconds) as report:
            (result,) = run(task, trials, seconds, seed, db, target, search=search, listener=report)
        return result

    if what.endswith(".onnx"):
        if out is not None:
            raise UsageError(
                f"--out {out} is for one schedule, and a model has one for each kernel",
                hint="leave --out away: the database keeps them",
            )
        tune_model(Path(what), sizes, tuned, target=target, threads=threads, as_json=as_json)
        return
    task = task_for(what, sizes, target=target, threads=threads)
    _conclude(task, tuned(task), out, as_json=as_json)


def _conclude(task: Task, result: TaskResult, out: Path | None, *, as_json: bool) -> None:
    """Write the winner's file, and tell what came out."""
    from tdsl.autotune.report import summary

    if out is not None and (result.verdict is not None or result.best is not None):
        result.schedule.save(out, task.location)
        result = replace(result, file=out)
    typer.echo(json.dumps(result.json(), indent=2) if as_json else summary(result))
    if result.stopped == "interrupted":
        raise typer.Exit(130)


def check_writable(file: Path) -> None:
    """See that a file can be written, before anything long is done for it.

    Raises:
        UsageError: it is a folder, or its folder is missing or closed to this user.
    """
    folder = file.resolve().parent
    if file.is_dir():
        raise UsageError(f"{file} is a folder", hint=f"name a file in it: {file / 'NAME'}")
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder} to write {file.name} to")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{folder} is not writable, so {file.name} cannot be made there")


def _list_operators() -> None:
    from tdsl.schedules.workloads import WORKLOADS, size_names

    for name, function in WORKLOADS.items():
        sizes = " x ".join(size_names(name))
        typer.echo(f"{name} -s {sizes}\n    {inspect.getdoc(function)}")


def task_for(what: str, sizes: str | None, *, target: str | None, threads: int | None) -> Task:
    """The task that a command line names.

    Raises:
        UsageError: no such operator, file or name, or sizes that don't fit.
    """
    numbers = parse_sizes(sizes)
    if 0 in numbers:
        raise UsageError(f"sizes {sizes!r}: there is nothing to measure where a size is 0")
    machine = parse_target(target)
    if machine.kind is TargetKind.OPENCL:
        from tdsl.runtime.devices import find_device

        find_device(machine.cpu)  # says what is missing, before anything is explored
    if ":" not in what:
        return _operator_task(what, numbers, target, threads)
    return _file_task(open_file(what), numbers, target, threads)


def _operator_task(name: str, numbers: list[int], target: str | None, threads: int | None) -> Task:
    from tdsl.autotune.tasks import task_of
    from tdsl.schedules.workloads import WORKLOADS, size_names

    if name not in WORKLOADS:
        if name.endswith(".py"):
            raise UsageError(f"{name!r} names no algorithm in the file", hint=f"{name}:NAME")
        close = difflib.get_close_matches(name, WORKLOADS, n=3)
        raise UsageError(
            f"there is no operator {name!r}",
            hint=f"did you mean {' or '.join(close)}?" if close else "tdsl tune --list",
        )
    names = size_names(name)
    if len(numbers) != len(names):
        example = "x".join(["64"] * len(names))
        raise UsageError(
            f"{name} takes {len(names)} size{'s' * (len(names) > 1)}, {' x '.join(names)}, "
            f"got {len(numbers)}",
            hint=f"such as -s {example}",
        )
    given = dict(zip(names, numbers, strict=True))
    function = WORKLOADS[name]
    location = f"{function.__module__}:{name}({_arguments(given)})"
    return task_of(function, given, target=target, threads=threads, location=location)


def _file_task(opened: Opened, numbers: list[int], target: str | None, threads: int | None) -> Task:
    from tdsl.autotune.tasks import task_of
    from tdsl.autotune.template import Template
    from tdsl.lang.func import Func
    from tdsl.scheduling import Schedule

    value = opened.value.func if isinstance(opened.value, Schedule) else opened.value
    algorithm = value.algorithm if isinstance(value, Template) else value
    name = next((n for n, v in opened.scope.items() if v is algorithm), opened.name)
    place = f"{opened.path}:{name}"
    if isinstance(algorithm, Func) and numbers and not algorithm.sizes:
        raise UsageError(
            f"{opened.name} has no symbolic sizes, and {len(numbers)} numbers were given",
            hint="leave -s out, or name a function of sizes",
        )
    if isinstance(algorithm, Func):
        return task_of(value, numbers, target=target, threads=threads, location=place)
    if not callable(algorithm):
        raise UsageError(f"{opened.name} is a {type(value).__name__}, not an algorithm")
    if not inspect.signature(algorithm).parameters:
        return task_of(value, numbers, target=target, threads=threads, location=place)
    given = named_sizes(algorithm, numbers, opened.name)
    if given:
        place += f"({_arguments(given)})"
    return task_of(value, given, target=target, threads=threads, location=place)


def _arguments(given: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={number}" for name, number in given.items())
