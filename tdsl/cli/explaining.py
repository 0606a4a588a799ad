"""`tdsl explain`: why a schedule is as it is, what its loops cost, and why a step is refused."""

from __future__ import annotations

import json
import linecache
from typing import Annotated

import typer

from tdsl.cli.locate import UsageError, locate_numbers, locate_sized, schedule_file
from tdsl.errors import FormatError
from tdsl.scheduling import Schedule

What = Annotated[
    str,
    typer.Argument(
        metavar="OPERATOR|FILE.py:NAME|FILE.schedule",
        help="An operator of the library (tdsl tune --list), a Func, a Schedule or a function of "
        "sizes in a file, which is run, or a schedule file.",
    ),
]
Sizes = Annotated[
    str | None,
    typer.Option("-s", "--sizes", help="Sizes, such as 512x512x512 or M=512,N=512,K=64."),
]
Target_ = Annotated[str | None, typer.Option(help="Such as opencl or 'llvm -mcpu=znver4'.")]
Chosen = Annotated[
    str | None, typer.Option("--schedule", help="For a Func: default, tuned, or a schedule file.")
]


def explain(
    what: What,
    *,
    sizes: Sizes = None,
    target: Target_ = None,
    schedule: Chosen = None,
    attempt: Annotated[
        str | None,
        typer.Option("--try", metavar="STEP", help="Try a step more, such as 's.unroll(\"C.j\")'."),
    ] = None,
    loop: Annotated[
        str | None, typer.Option(help="List the steps that could be taken at a loop.")
    ] = None,
    timed: Annotated[bool, typer.Option("--time", help="Build it and measure it, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
) -> None:
    """Tell why a schedule is as it is: the rules that chose it, its steps, what each loop costs.

    The figures are predicted from footprints, for one thread: how often a loop starts, its
    floating-point operations, the data that one run of it touches, and the bytes that it brings
    into each cache (blank where a loop around it has brought them in). --try shows what a step
    would change, or why it is refused; --loop tries the usual steps at a loop and predicts what
    each gains.

    Example: tdsl explain matmul -s 512x512x512 --try 's.parallel("C.k")'
    """
    from tdsl.reporting.explanation import explain as explained

    scheduled, numbers = scheduled_for(what, sizes, target, schedule)
    if loop is not None:
        typer.echo(str(scheduled.moves(loop, numbers)))
        return
    if attempt is not None:
        typer.echo(_tried(scheduled, attempt))
        return
    explanation = explained(scheduled, check_numbers(scheduled, numbers), timed=timed)
    typer.echo(json.dumps(explanation.json(), indent=2) if as_json else str(explanation))


def scheduled_for(
    what: str, sizes: str | None, target: str | None, schedule: str | None
) -> tuple[Schedule, dict[str, int]]:
    """The schedule that a command line names, and numbers for its symbolic sizes.

    Raises:
        UsageError: no such operator, file or name, or sizes that don't fit.
    """
    from tdsl.api import schedule_for
    from tdsl.target import target as parse_target

    loaded = schedule_file(what, target)
    if loaded is not None:
        return loaded, locate_numbers(loaded, sizes, what)
    found, numbers = locate_sized(what, sizes)
    return schedule_for(found, parse_target(target) if target else None, schedule), numbers


def check_numbers(schedule: Schedule, numbers: dict[str, int]) -> dict[str, int]:
    """The numbers, once each symbolic size has one.

    Raises:
        UsageError: one has none.
    """
    names = [size.name for size in schedule.func.sizes]
    if missing := [name for name in names if name not in numbers]:
        raise UsageError(
            f"what {schedule.func.name} costs depends on {', '.join(missing)}",
            hint="-s " + ",".join(f"{name}=512" for name in names),
        )
    return numbers


def _tried(schedule: Schedule, text: str) -> str:
    """What a step changes.

    Raises:
        ScheduleError: it is refused.
        FormatError: it is no step.
        UsageError: it is a question, such as s.loops("C").
    """
    from tdsl.reporting.history import nest_change
    from tdsl.scheduling.file_body import run_body

    before, done = str(schedule.nest), len(schedule.trace)
    # where errors find the line that they point into
    linecache.cache["--try"] = (len(text), None, text.splitlines(keepends=True), "--try")
    try:
        run_body(schedule, text, "--try", 0)
    except FormatError as error:
        error.hint = error.hint or "a step is such as 's.unroll(\"C.j\")'"
        raise
    if len(schedule.trace) == done:
        raise UsageError(f"{text!r} is no step", hint="such as --try 's.unroll(\"C.j\")'")
    change = nest_change(before, str(schedule.nest)) or "(the nest reads as before)"
    return f"{change}\nnumerics: {schedule.numerics.value}"
