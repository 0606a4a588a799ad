"""Load and check schedule files; `file_format` and `file_body` say what they look like."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tdsl.errors import ScheduleError, TdslError, TypeMismatch
from tdsl.ir.equal import fingerprint
from tdsl.lang.func import Func
from tdsl.scheduling.file_body import run_body
from tdsl.scheduling.file_format import parse_header, read_text
from tdsl.scheduling.locations import find_algorithm
from tdsl.scheduling.schedule import Schedule
from tdsl.scheduling.trace import Step
from tdsl.target import Target


@dataclass(frozen=True, slots=True)
class FileReport:
    """What `check_file` found.

    Attributes: `ok`; `steps` proven; `numerics` of the whole; `unsafe` steps; `changed` tells that
    the algorithm is not the one that the file was written for; `error` is the refusal or parse
    error, with the line as its span.
    """

    path: Path
    ok: bool
    steps: int
    numerics: str
    unsafe: tuple[Step, ...]
    changed: bool
    error: TdslError | None

    def __str__(self) -> str:
        verdict = "ok" if self.ok else "FAILED"
        lines = [f"{self.path}: {verdict}, {self.steps} steps, {self.numerics}"]
        if self.changed:
            lines.append("  the algorithm has changed since this file was written")
        for step in self.unsafe:
            where = f"line {step.span.line}: " if step.span else ""
            lines.append(f"  unsafe: {where}{step}")
        if self.error is not None:
            lines += ["  " + line for line in str(self.error).splitlines()]
        return "\n".join(lines)


def load_schedule(path: str | Path, func: Func, target: Target | str | None = None) -> Schedule:
    """Apply the steps of a schedule file to an algorithm, proving each again.

    Args:
        path: the file.
        func: the algorithm; it may differ from the one that the file was written for, as long as
            each step is still legal.
        target: what to schedule for; None: the target that the file names.

    Raises:
        TypeMismatch: arguments of other kinds.
        FormatError: the file does not parse; line and column are in its span.
        ScheduleError: a step is refused; its span is the line of the file.
    """
    given = ((path, (str, os.PathLike)), (func, (Func,)))
    if not all(isinstance(x, kinds) for x, kinds in given):
        raise TypeMismatch(
            f"a schedule is loaded from a path for an algorithm, got {path!r} and {func!r}",
            hint="td.load_schedule(path, func)",
        )
    path = Path(path)
    text = read_text(path)
    header = parse_header(text, path)
    schedule = Schedule(func, target or header.target)
    schedule.location = header.location
    try:
        run_body(schedule, text, str(path), header.lines)
    except ScheduleError as error:
        if header.fingerprint != fingerprint(func.program):
            changed = "the algorithm has changed since this file was written"
            error.hint = changed if error.hint is None else f"{error.hint}; {changed}"
        raise
    return schedule


def check_file(path: str | Path, *, allow_unsafe: bool = False) -> FileReport:
    """Find the algorithm of a schedule file, and prove its steps again.

    The file that holds the algorithm is run; the schedule file is only parsed.
    """
    path = Path(path)
    schedule: Schedule | None = None
    changed = False
    error: TdslError | None = None
    try:
        text = read_text(path)
        header = parse_header(text, path)
        func = find_algorithm(header.location, header.where)
        changed = header.fingerprint != fingerprint(func.program)
        schedule = Schedule(func, header.target)
        run_body(schedule, text, str(path), header.lines)
    except TdslError as caught:
        error = caught
    steps = () if schedule is None else tuple(schedule.trace)
    unsafe = tuple(step for step in steps if step.unsafe)
    return FileReport(
        path,
        ok=error is None and (allow_unsafe or not unsafe),
        steps=len(steps),
        numerics="unknown" if schedule is None else schedule.numerics.value,
        unsafe=unsafe,
        changed=changed,
        error=error,
    )
