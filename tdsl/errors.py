"""The exception tree, and source spans that point into the user's own file.

::

    TdslError
      DeclarationError  (ValueError)   an algorithm that cannot be declared
      TypeMismatch      (TypeError)    dtypes or kinds of values that do not fit
      ScheduleError     (ValueError)   a primitive refused, with a witness
      UnknownAttribute  (AttributeError) a primitive that there is not, say
      LoweringError     (ValueError)   a schedule that this target cannot run
      FormatError       (ValueError)   IR text, traces and files that do not parse
      InternalError     (RuntimeError) a bug in tdsl itself
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import linecache
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

PACKAGE_ROOT = str(Path(__file__).resolve().parent)
_SOURCES = {
    Path(__file__).resolve().parent,
    Path(__file__).parent,
    Path(__file__).resolve().parent.parent / "schedules",
    Path(__file__).resolve().parent.parent / "autotune",
}
_INTERNAL_ROOTS = (*(f"{root}/" for root in _SOURCES), contextlib.__file__)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a user's source: lines count from 1, columns from 0, the end column excluded."""

    file: str
    line: int
    column: int = 0
    end_column: int = 0

    @property
    def text(self) -> str:
        """The source line, empty where the file is not at hand."""
        linecache.checkcache(self.file)  # a schedule file may have been edited meanwhile
        return linecache.getline(self.file, self.line).rstrip("\n")

    def render(self) -> str:
        """Show file, line, text and a caret under the call."""
        head = f"  {self.file}:{self.line}"
        text = self.text
        if not text.strip():
            return head
        number = f"  {self.line} | "
        end = self.end_column if self.end_column > self.column else len(text)
        caret = " " * (len(number) - 2) + "| " + " " * self.column + "^" * max(1, end - self.column)
        return f"{head}\n{number}{text}\n{caret}"


def _position(code: CodeType, instruction: int) -> tuple[int, int, int, int]:
    for index, position in enumerate(code.co_positions()):
        if index == instruction:
            line, end_line, column, end_column = position
            line = line or code.co_firstlineno
            if end_line != line:
                end_column = 0
            return line, end_line or line, column or 0, end_column or 0
    return code.co_firstlineno, code.co_firstlineno, 0, 0


def caller_span() -> Span | None:
    """Return the span of the innermost call outside tdsl, or None."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to a caller's columns
    while frame is not None and frame.f_code.co_filename.startswith(_INTERNAL_ROOTS):
        frame = frame.f_back
    if frame is None:
        return None
    line, _, column, end_column = _position(frame.f_code, frame.f_lasti // 2)
    return Span(frame.f_code.co_filename, line, column, end_column)


def close_names(name: str, known: Iterable[str]) -> str:
    """A hint that lists what was probably meant, else all that is known."""
    known = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not known:
        return "there are none"
    return "one of " + ", ".join(repr(k) for k in known)


_warned: dict[str | tuple[str, type[Warning], int], int] = {}


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the user's line that led here, once for each line and message."""
    span = caller_span()
    file, line = ("<unknown>", 0) if span is None else (span.file, span.line)
    warnings.warn_explicit(message, category, file, line, registry=_warned)


class TdslError(Exception):
    """Base of every error that tdsl raises; `span` points at the user's line where one is known."""

    def __init__(self, message: str, *, span: Span | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span if span is not None else caller_span()
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.message]
        if self.span is not None:
            parts += ["", self.span.render()]
        parts += self._details()
        if self.hint:
            parts += ["", f"  help: {self.hint}"]
        return "\n".join(parts)

    def _details(self) -> list[str]:
        return []


class DeclarationError(TdslError, ValueError):
    """An algorithm that cannot be declared: bad shapes, indices that leave a buffer, cycles."""


class TypeMismatch(TdslError, TypeError):  # noqa: N818 - reads as the sentence it raises
    """Operands whose dtypes or kinds do not fit together.

    Attributes: `mixed` (the names of two dtypes that met, or None where other things do not fit).
    """

    def __init__(
        self,
        message: str,
        *,
        span: Span | None = None,
        hint: str | None = None,
        mixed: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(message, span=span, hint=hint)
        self.mixed = mixed


class UnknownAttribute(TdslError, AttributeError):  # noqa: N818 - reads as the sentence it raises
    """A method or attribute that an object of tdsl does not have."""


def call_form(name: str, signature: inspect.Signature) -> str:
    """How a function is called, for messages: its signature without annotations."""
    empty = inspect.Signature.empty
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    return f"{name}{inspect.Signature([p.replace(annotation=empty) for p in parameters])}"


def explained(function: Callable[P, R], name: str | None = None) -> Callable[P, R]:
    """The function; a call that does not fit its parameters is answered with them.

    `name` is what users call it, if not by its own name.

    Raises:
        TypeMismatch: arguments that are missing, too many or unknown.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            trace = error.__traceback__
            if isinstance(error, TdslError) or (trace is not None and trace.tb_next is not None):
                raise  # it comes from inside
            signature = inspect.signature(function)
            unknown = [key for key in kwargs if key not in signature.parameters]
            called = name or function.__name__
            hint = f"the call is {call_form(called, signature)}"
            if unknown:
                close = close_names(unknown[0], signature.parameters)
                hint = f"{close}{'' if close.endswith('?') else ';'} {hint}"
            _, _, wrong = str(error).partition("() ")
            raise TypeMismatch(f"{called}() {wrong}", hint=hint) from None

    return call


class LoweringError(TdslError, ValueError):
    """A schedule that is legal but that the target cannot run as written."""


class FormatError(TdslError, ValueError):
    """Text (IR, trace, schedule file, record) that does not parse, or is of a newer version."""


class InternalError(TdslError, RuntimeError):
    """A bug in tdsl: never the user's fault."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Two iterations that conflict, or one that goes wrong, as the prover found them.

    `first` and `second` map loop and size names to integers; `kind` is one of RAW, WAR, WAW,
    coverage, bounds.
    """

    kind: str
    buffer: str
    element: tuple[int, ...]
    first: Mapping[str, int] = field(default_factory=dict)
    second: Mapping[str, int] = field(default_factory=dict)
    first_block: str = ""
    second_block: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)

    def render(self) -> str:
        """One sentence a person can check by hand."""
        where = f"{self.buffer}[{', '.join(map(str, self.element))}]"
        one = f"{self.first_block}({_assignments(self.first)})"
        sizes = f" (with {_assignments(self.sizes)})" if self.sizes else ""
        if not self.second:
            return f"witness [{self.kind}]: {one} at {where}{sizes}"
        two = f"{self.second_block}({_assignments(self.second)})"
        return f"witness [{self.kind}]: {one} and {two} meet at {where}{sizes}"


def _assignments(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


class ScheduleError(TdslError, ValueError):
    """A primitive refused. Nothing was changed.

    Attributes: `primitive` (its name), `reason` (one sentence), `witness` (a `Witness` or None),
    `hint` (what would be legal, or None), `nest` (the loop nest before the step, as text).
    """

    def __init__(
        self,
        primitive: str,
        reason: str,
        *,
        witness: Witness | None = None,
        hint: str | None = None,
        nest: str | None = None,
        span: Span | None = None,
    ) -> None:
        super().__init__(f"cannot {primitive}: {reason}", span=span, hint=hint)
        self.primitive = primitive
        self.reason = reason
        self.witness = witness
        self.nest = nest

    def _details(self) -> list[str]:
        parts: list[str] = []
        if self.witness is not None:
            parts += ["", "  " + self.witness.render()]
        if self.nest:
            indented = "\n".join("    " + line for line in self.nest.splitlines())
            parts += ["", "  loop nest before this step:", indented]
        return parts
