"""Traces: the steps of a schedule in order, as Python that runs and as JSON that replays."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from tdsl.errors import FormatError, Span
from tdsl.ir.expr import Var

if TYPE_CHECKING:
    from tdsl.scheduling.schedule import Schedule

VERSION = 1


@dataclass(frozen=True, slots=True)
class LoopRef:
    """A loop as a step saw it: its variable, and the name that found it then."""

    var: Var
    label: str


Value: TypeAlias = "LoopRef | str | int | float | bool | tuple[Value, ...] | None"


@dataclass(frozen=True, slots=True)
class Step:
    """One primitive that was applied.

    Attributes: `primitive`; `args` and `options` as given, defaults left out; `result`; `unsafe`
    tells that the proof was skipped, `unproven` that it could not be made because an earlier step
    skipped its own; `numerics` is the schedule's label after the step; `notes` say what the step
    did beyond what was asked; `span` is the user's line.
    """

    primitive: str
    args: tuple[Value, ...]
    options: tuple[tuple[str, Value], ...] = ()
    result: Value = None
    numerics: str = "exact"
    unsafe: bool = False
    unproven: bool = False
    notes: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)

    def source(self, names: Mapping[Var, str] | None = None, prefix: str = "") -> str:
        """The call as Python; loops in *names* are written as variables."""
        return _call(prefix + self.primitive, self.args, self.options, names or {})

    def __str__(self) -> str:
        return self.source(prefix="s.")


@dataclass(slots=True)
class Call:
    """A combinator that was called, and the steps that it expanded to."""

    name: str
    args: tuple[Value, ...]
    options: tuple[tuple[str, Value], ...] = ()
    result: Value = None
    items: list[Step | Call] = field(default_factory=list)
    span: Span | None = field(default=None, compare=False)

    def source(self, names: Mapping[Var, str] | None = None) -> str:
        """The call as Python."""
        return _call(self.name, ("s", *self.args), self.options, names or {}, bare_first=True)


class Trace:
    """The steps of one schedule. `print(trace)` is Python that rebuilds it."""

    def __init__(self, func: str, target: str = "llvm") -> None:
        self.func = func
        self.target = target
        self.items: list[Step | Call] = []
        self._open: list[Call] = []

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Step]:
        return _steps(self.items)

    def __getitem__(self, at: int) -> Step:
        return list(self)[at]

    @property
    def is_unsafe(self) -> bool:
        """Whether any step skipped its proof."""
        return any(step.unsafe for step in self)

    def append(self, step: Step) -> int:
        """Record a step; its number in the trace, counted from 1."""
        self._here().append(step)
        return len(self)

    def open(self, call: Call) -> tuple[int, int]:
        """Start recording the expansion of *call*; a mark for `rewind`."""
        mark = (len(self._open), len(self._here()))
        self._here().append(call)
        self._open.append(call)
        return mark

    def close(self, call: Call) -> None:
        """End the expansion of *call*."""
        assert self._open[-1] is call
        self._open.pop()

    def rewind(self, mark: tuple[int, int]) -> None:
        """Forget what was recorded since `open` gave *mark*."""
        depth, length = mark
        del self._open[depth:]
        del self._here()[length:]

    def _here(self) -> list[Step | Call]:
        return self._open[-1].items if self._open else self.items

    def __str__(self) -> str:
        return self.python()

    def python(self) -> str:
        """The trace as Python that rebuilds the schedule; combinators are expanded."""
        target = "" if self.target == "llvm" else f", {_quoted(self.target)}"
        lines = [f"s = td.Schedule({self.func}{target})"]
        lines += Writer({self.func, "s", "td"}).expanded(self.items)
        return "\n".join(lines)

    def json(self) -> dict[str, object]:
        """The trace as JSON data; loops are named as the step that uses them found them."""
        steps = [_encode(item) for item in self.items]
        return {"tdsl_trace": VERSION, "func": self.func, "target": self.target, "steps": steps}


class Writer:
    """Writes steps as lines of Python, giving each returned loop a variable of its own."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self.names: dict[Var, str] = {}

    def expanded(self, items: Sequence[Step | Call]) -> list[str]:
        """Lines for all primitive steps; a combinator shows as a comment above its expansion."""
        lines: list[str] = []
        for item in items:
            if isinstance(item, Call):
                lines += [f"# {item.source(self.names)}", *self.expanded(item.items)]
            else:
                lines += [*(f"# {note}" for note in item.notes), self.line(item)]
        return lines

    def line(self, item: Step | Call) -> str:
        """One step or combinator call as one line."""
        if isinstance(item, Call):
            source = item.source(self.names)
        else:
            source = item.source(self.names, prefix="s.")
        values = item.result if isinstance(item.result, tuple) else (item.result,)
        loops = [value for value in values if isinstance(value, LoopRef)]
        known = {value.var for value in item.args if isinstance(value, LoopRef)} | set(self.names)
        if len(loops) < len(values) or all(loop.var in known for loop in loops):
            return source
        targets = [self._assign(loop) for loop in loops]
        comma = "," if isinstance(item.result, tuple) and len(targets) == 1 else ""
        return f"{', '.join(targets)}{comma} = {source}"

    def _assign(self, loop: LoopRef) -> str:
        if loop.var in self.names:
            return self.names[loop.var]
        base = "".join(c if c.isalnum() or c == "_" else "_" for c in loop.var.name)
        if not base.isidentifier() or keyword.iskeyword(base):
            base = f"loop_{base}"
        name, number = base, 0
        while name in self.taken:
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        self.names[loop.var] = name
        return name


def replay(data: Mapping[str, object], schedule: Schedule) -> None:
    """Apply the steps of a JSON trace to *schedule*, proving each again.

    Raises:
        FormatError: not a trace, or one of a newer version.
        ScheduleError: a step is refused.
    """
    version = data.get("tdsl_trace")
    if version != VERSION:
        raise FormatError(f"not a trace of version {VERSION}: tdsl_trace is {version!r}")
    _replay_steps(data.get("steps"), schedule)


def _replay_steps(steps: object, schedule: Schedule) -> None:
    if not isinstance(steps, list):
        raise FormatError("the steps of a trace are a list")
    for item in steps:
        if not isinstance(item, dict):
            raise FormatError(f"a step of a trace is an object, got {item!r}")
        if "call" in item:
            _replay_steps(item.get("steps"), schedule)
            continue
        args, options = item.get("args", []), item.get("options", {})
        if not isinstance(args, list) or not isinstance(options, dict):
            raise FormatError(f"bad arguments in step {item!r}")
        decoded = [_decode(value) for value in args]
        keywords = {str(key): _decode(value) for key, value in options.items()}
        schedule.apply(str(item.get("primitive")), *decoded, **keywords)


def _decode(value: object) -> object:
    return tuple(_decode(item) for item in value) if isinstance(value, list) else value


def _steps(items: Sequence[Step | Call]) -> Iterator[Step]:
    for item in items:
        if isinstance(item, Call):
            yield from _steps(item.items)
        else:
            yield item


def _encode(item: Step | Call) -> dict[str, object]:
    args = [_plain(value) for value in item.args]
    options = {key: _plain(value) for key, value in item.options}
    if isinstance(item, Call):
        steps = [_encode(step) for step in item.items]
        return {"call": item.name, "args": args, "options": options, "steps": steps}
    encoded: dict[str, object] = {"primitive": item.primitive, "args": args}
    if options:
        encoded["options"] = options
    encoded["result"] = _plain(item.result)
    return encoded


def _plain(value: Value) -> object:
    match value:
        case LoopRef(label=label):
            return label
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _call(
    function: str,
    args: tuple[Value, ...],
    options: tuple[tuple[str, Value], ...],
    names: Mapping[Var, str],
    *,
    bare_first: bool = False,
) -> str:
    shown = [_literal(value, names) for value in args]
    if bare_first:
        shown[0] = str(args[0])
    shown += [f"{key}={_literal(value, names)}" for key, value in options]
    return f"{function}({', '.join(shown)})"


def _literal(value: Value, names: Mapping[Var, str]) -> str:
    match value:
        case LoopRef(var=var, label=label):
            return names.get(var) or _quoted(label)
        case str():
            return _quoted(value)
        case tuple():
            inner = ", ".join(_literal(item, names) for item in value)
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case _:
            return repr(value)


def _quoted(text: str) -> str:
    return f'"{text}"' if text.isprintable() and not {'"', "\\"} & set(text) else repr(text)
