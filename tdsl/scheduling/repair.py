"""`tdsl check --fix`: a schedule file that an edited algorithm has broken, mended line by line."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tdsl.errors import TdslError
from tdsl.ir.equal import fingerprint
from tdsl.lang.func import Func
from tdsl.scheduling.adaptations import adaptations, applied
from tdsl.scheduling.file_body import run_body
from tdsl.scheduling.file_format import Header, parse_header, read_text, write_atomically
from tdsl.scheduling.locations import find_algorithm
from tdsl.scheduling.schedule import Schedule

_LARGEST_TRIALS = 300


@dataclass(frozen=True, slots=True)
class Change:
    """One line that changed. `line` counts in the file as it was; `after` is None if dropped."""

    line: int
    before: str
    after: str | None
    why: str

    def __str__(self) -> str:
        what = "dropped" if self.after is None else f"now {self.after.strip()}"
        return f"line {self.line}: {self.before.strip()}\n    {what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Repair:
    """What `repair_file` found. `left` is an error that no change of a line mends."""

    path: Path
    before: str
    after: str
    changes: tuple[Change, ...]
    left: TdslError | None

    @property
    def diff(self) -> str:
        """The change of the file, as `diff -u` shows it."""
        name = str(self.path)
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), name, name, lineterm="", n=2
        )
        return "\n".join(lines)

    def write(self) -> None:
        """Replace the file, at once or not at all."""
        write_atomically(self.path, self.after)


def repair_file(path: str | Path) -> Repair:
    """Mend a schedule file against its algorithm as it is now; nothing is written.

    The steps are proven one after the other. One that is refused is adapted where that is
    possible (a block, tensor or loop that got another name, a tail or a number of lanes that no
    longer fits, a nest with more or fewer loops), otherwise dropped. The file that holds the
    algorithm is run.

    Raises:
        FormatError: no schedule file, or there is no such algorithm.
    """
    path = Path(path)
    text = read_text(path)
    header = parse_header(text, path)
    mender = _Mender(find_algorithm(header.location, header.where), header, path, text)
    left = mender.mend()
    lines = list(mender.lines)
    for n, line in enumerate(lines[: header.lines]):
        if line.strip().startswith("fingerprint "):
            lines[n] = f"fingerprint {fingerprint(mender.func.program)}"
    return Repair(path, text, "\n".join(lines), tuple(mender.changes), left)


@dataclass(frozen=True, slots=True)
class _Stop:
    """What ended a run of the body, and the schedule as it stood there."""

    error: TdslError
    schedule: Schedule

    @property
    def line(self) -> int:
        """Where it ended."""
        assert self.error.span is not None  # all that a body raises is placed in it
        return self.error.span.line


class _Mender:
    def __init__(self, func: Func, header: Header, path: Path, text: str) -> None:
        self.func = func
        self.header = header
        self.path = path
        self.lines = text.split("\n")
        # the line that each was in the file
        self.origin = [n for n, _ in enumerate(self.lines, start=1)]
        self.changes: list[Change] = []
        self.trials = 0

    def mend(self) -> TdslError | None:
        """Change line by line until the body runs; the error that is left, if one is."""
        stop = self._run(self.lines)
        while stop is not None:
            found = self._step(stop)
            if found is None:
                return stop.error
            stop = found[0]
        return None

    def _run(self, lines: list[str]) -> _Stop | None:
        self.trials += 1
        schedule = Schedule(self.func, self.header.target)
        try:
            run_body(schedule, "\n".join(lines), str(self.path), self.header.lines)
        except TdslError as error:
            return _Stop(error, schedule)
        return None

    def _step(self, stop: _Stop) -> tuple[_Stop | None] | None:
        """Mend the statement that stopped the run: where the next run stops, or None."""
        body = self._parsed()
        statement = None if body is None else _innermost(body, stop.line)
        if body is None or statement is None or self.trials > _LARGEST_TRIALS:
            return None
        for way in adaptations(statement, body, stop.schedule):
            lines = applied(self.lines, way.edits)
            following = self._run(lines)
            if following is None or following.line > stop.line:
                self._keep(lines, way.why)
                return (following,)
        first, last = _whole(body, statement)
        why = str(stop.error.message)
        for n in range(first, last + 1):
            self.changes.append(Change(self.origin[n - 1], self.lines[n - 1], None, why))
        self.lines[first - 1 : last] = []
        self.origin[first - 1 : last] = []
        return (self._run(self.lines),)

    def _keep(self, lines: list[str], why: str) -> None:
        for n, (old, new) in enumerate(zip(self.lines, lines, strict=True)):
            if old != new:
                self.changes.append(Change(self.origin[n], old, new, why))
        self.lines = lines

    def _parsed(self) -> ast.Module | None:
        count = self.header.lines
        try:
            return ast.parse("\n" * count + "\n".join(self.lines[count:]))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.For):
            yield from _statements(statement.body)


def _innermost(body: ast.Module, line: int) -> ast.stmt | None:
    """The smallest statement that holds a line."""
    found = [s for s in _statements(body.body) if s.lineno <= line <= (s.end_lineno or s.lineno)]
    return found[-1] if found else None


def _whole(body: ast.Module, statement: ast.stmt) -> tuple[int, int]:
    """The lines to drop with a statement: those of a loop that would be left empty, too."""
    for outer in _statements(body.body):
        if isinstance(outer, ast.For) and outer.body == [statement]:
            return _whole(body, outer)
    return statement.lineno, statement.end_lineno or statement.lineno
