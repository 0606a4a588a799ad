"""Steps that are refused, kept beside what the user is told, as text.

A file holds cases of one algorithm. Each begins with the algorithm, its extents and the target; the
steps that lead to a refusal follow, and the refused ones with their message::

    # matmul M=8 N=N K=3 on llvm -mcpu=znver5
    io, ii = s.split("C.i", 4)
    refused: s.parallel("C.k")
      ScheduleError: cannot parallel: ...
      at: for k in 3:  # reduction
      witness [RAW]: ...
      help: ...
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tdsl as td
from tdsl.errors import InternalError
from tdsl.scheduling.file_body import run_body
from tests.expected.programs import algorithm
from tests.fuzz.brute import fork
from tests.fuzz.instructions import declare
from tests.fuzz.witnesses import false_claim

FOLDER = Path(__file__).with_name("refusals")
REFUSED = "refused: "
_TOLD = "  "  # begins a line of a message
_ON = " on "


class Refusals:
    """A file of refused steps."""

    def __init__(self, name: str) -> None:
        self.path = FOLDER / f"{name}.txt"

    def kept(self) -> str:
        """The text as it should be."""
        return self.path.read_text()

    def made(self) -> str:
        """What the steps of the file are answered with now."""
        asked = [line for line in self.kept().splitlines() if not line.startswith(_TOLD)]
        return "".join(f"{line}\n" for line in answered(asked))


def names() -> list[str]:
    """Of all files."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def answered(lines: list[str]) -> Iterator[str]:
    """Lines of cases without messages, with what each refused step is answered put in."""
    schedule: td.Schedule | None = None
    for line in lines:
        yield line
        if line.startswith("# "):
            schedule = opened(line)
        elif line:
            assert schedule is not None
            yield from _answers(schedule, line)


def opened(header: str) -> td.Schedule:
    """The unscheduled algorithm that a case begins with."""
    declare()
    name, _, target = header.partition(_ON)
    return td.Schedule(algorithm(name), target)


def header_of(name: str, target: str) -> str:
    """The first line of a case; `name` is the algorithm with its extents."""
    return f"# {name}{_ON}{target}"


def take(schedule: td.Schedule, step: str) -> None:
    """Do one step, written as in a schedule file.

    Raises:
        TdslError: it is refused.
    """
    run_body(schedule, step, "refusals", 0)


def told(error: td.TdslError) -> list[str]:
    """An error without the place in the user's source: what a case keeps of it."""
    lines = [f"{type(error).__name__}: {error.message}"]
    if isinstance(error, td.ScheduleError):
        marked = [x[1:].strip() for x in (error.nest or "").splitlines() if x.startswith(">")]
        lines += [f"at: {line}" for line in marked]
        lines += [error.witness.render()] if error.witness is not None else []
    lines += [f"help: {error.hint}"] if error.hint else []
    return [f"{_TOLD}{line}" for text in lines for line in text.splitlines()]


def _answers(schedule: td.Schedule, line: str) -> list[str]:
    """What a step is told; a mark of what should not be, so that a comparison shows it."""
    step = line.removeprefix(REFUSED)
    before, length = schedule.program, len(schedule.trace)
    try:
        take(schedule, step)
    except td.TdslError as error:
        unchanged = schedule.program is before and len(schedule.trace) == length
        faults = [] if unchanged else ["the schedule has changed"]
        faults += ["tdsl broke down"] if isinstance(error, InternalError) else []
        faults += _false_claim(schedule, step, error)
        return told(error) + [f"{_TOLD}FAULT: {fault}" for fault in faults]
    return [] if step == line else [f"{_TOLD}FAULT: it is accepted"]


def _false_claim(schedule: td.Schedule, step: str, error: td.TdslError) -> list[str]:
    """What is wrong with a witness, if anything: the nest is evaluated at it."""
    is_combined = not step.startswith("s.")  # whose steps are always proven
    if is_combined or not isinstance(error, td.ScheduleError) or error.witness is None:
        return []
    attempted = fork(schedule)
    try:
        take(attempted, f"{step[:-1]}, unsafe=True)")
    except td.TdslError:  # the prover was asked on the way, for another nest
        return []
    claim = false_claim(attempted, error.witness, canonical=error.primitive == "reuse")
    return [] if claim is None else [claim]
