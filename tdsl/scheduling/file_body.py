"""The body of a schedule file: parsed with `ast` and walked, never executed.

::

    body      = (assign | call | loop)*
    assign    = NAME ("," NAME)* "=" (call | query)
    call      = "s." primitive "(" arguments ")" | combinator "(s, " arguments ")"
    query     = 's.loops("C")' | 's.loops("C")[constant or slice]'
    loop      = "for" NAME "in range(" INTEGER ["," INTEGER] "):" body
    argument  = number | string | True | False | None | NAME | tuple of arguments
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TypeAlias

from tdsl.errors import FormatError, Span, TdslError, close_names
from tdsl.scheduling.combinator import COMBINATORS
from tdsl.scheduling.primitive import PRIMITIVES
from tdsl.scheduling.schedule import Schedule
from tdsl.scheduling.shipped import declare_combinators

Placed: TypeAlias = "ast.stmt | ast.expr"

MAX_CALLS = 100_000
MAX_DEPTH = 20


def run_body(schedule: Schedule, text: str, path: str, header_lines: int) -> None:
    """Apply the body that follows *header_lines* lines of *text*.

    Raises:
        FormatError: it does not parse, or says what a schedule file may not say.
        ScheduleError: a step is refused.
    """
    # blank lines in the header's place keep the line numbers of the file
    body = "\n" * header_lines + "\n".join(text.split("\n")[header_lines:])
    try:
        tree = ast.parse(body)
    except SyntaxError as error:
        column = max(0, (error.offset or 1) - 1)
        span = Span(path, error.lineno or 1, column, column + 1)
        raise FormatError(f"does not parse: {error.msg}", span=span) from None
    except (RecursionError, MemoryError, ValueError) as error:
        span = Span(path, header_lines + 1)
        raise FormatError(f"does not parse: {error}", span=span) from None
    runner = _Runner(schedule, path, text.split("\n"))
    previous, schedule.file_span = schedule.file_span, None
    try:
        runner.run(tree.body, 0)
    finally:
        schedule.file_span = previous


class _Runner:
    def __init__(self, schedule: Schedule, path: str, lines: list[str]) -> None:
        self.schedule = schedule
        self.path = path
        self.lines = lines
        self.names: dict[str, object] = {}
        self.calls = 0

    def run(self, statements: Sequence[ast.stmt], depth: int) -> None:
        """Walk statements in order."""
        for statement in statements:
            match statement:
                case ast.Expr(value=ast.Call() as call):
                    self._value(call)
                case ast.Assign(targets=[target], value=value):
                    self._assign(target, self._value(value))
                case ast.For(target=ast.Name(id=name) as target, iter=over, body=body, orelse=[]):
                    if depth >= MAX_DEPTH:
                        raise self._error(statement, f"loops nest more than {MAX_DEPTH} deep")
                    for number in self._range(over):
                        self._bind(target, name, number)
                        self.run(body, depth + 1)
                case _:
                    raise self._error(
                        statement,
                        "a schedule file holds calls of primitives and combinators, "
                        "and for loops over range(n)",
                    )

    def _assign(self, target: ast.expr, value: object) -> None:
        match target:
            case ast.Name(id=name):
                self._bind(target, name, value)
            case ast.Tuple(elts=elements) if all(isinstance(e, ast.Name) for e in elements):
                if not isinstance(value, tuple) or len(value) != len(elements):
                    got = len(value) if isinstance(value, tuple) else 1
                    raise self._error(target, f"{len(elements)} names for {got} values")
                for element, item in zip(elements, value, strict=True):
                    assert isinstance(element, ast.Name)
                    self._bind(element, element.id, item)
            case _:
                raise self._error(target, "only names can be assigned")

    def _bind(self, node: ast.expr, name: str, value: object) -> None:
        if name == "s":
            raise self._error(node, "'s' is the schedule and cannot be assigned")
        self.names[name] = value

    def _value(self, node: ast.expr) -> object:
        """The value of the right-hand side of an assignment."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="s"), attr="loops")):
                return self._loops(node)
            case ast.Subscript(value=ast.Call() as call, slice=piece):
                found = self._loops(call)
                try:
                    return found[self._piece(piece)]
                except IndexError:
                    raise self._error(node, f"there are {len(found)} loops") from None
            case ast.Call():
                return self._call(node)
            case _:
                raise self._error(node, "expected a call, or a query such as s.loops('C')[-3:]")

    def _loops(self, call: ast.Call) -> tuple[object, ...]:
        match call:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="s"), attr="loops"),
                args=[ast.Constant(value=str() as block)],
                keywords=[],
            ):
                with _Located(self, call):
                    return self.schedule.loops(block)
            case _:
                raise self._error(call, "only s.loops(block) can be asked for a part")

    def _piece(self, node: ast.expr) -> int | slice:
        match node:
            case ast.Slice(lower=lower, upper=upper, step=None):
                return slice(self._bound(lower), self._bound(upper))
            case _:
                value = self._argument(node)
                if isinstance(value, bool) or not isinstance(value, int):
                    raise self._error(node, "loops are picked by a constant or a slice")
                return value

    def _bound(self, node: ast.expr | None) -> int | None:
        if node is None:
            return None
        value = self._argument(node)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._error(node, "the ends of a slice are integers")
        return value

    def _call(self, call: ast.Call) -> object:
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise self._error(call, f"more than {MAX_CALLS} calls")
        args = [self._argument(arg) for arg in call.args[self._skipped(call) :]]
        options: dict[str, object] = {}
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg in options:
                raise self._error(call, "keywords are written out, each once")
            options[keyword.arg] = self._argument(keyword.value)
        match call.func:
            case ast.Attribute(value=ast.Name(id="s"), attr=name):
                if name not in PRIMITIVES:
                    hint = close_names(name, PRIMITIVES)
                    raise self._error(call, f"there is no primitive {name!r}", hint)
                with _Located(self, call):
                    return self.schedule.apply(name, *args, **options)
            case ast.Name(id=name) if _is_combinator(name):
                with _Located(self, call):
                    return COMBINATORS[name](self.schedule, *args, **options)
            case ast.Name(id=name):
                hint = (
                    f"{close_names(name, COMBINATORS)}; import it where the algorithm is declared"
                )
                raise self._error(call, f"there is no combinator {name!r}", hint)
            case _:
                raise self._error(call.func, "only s.primitive(...) and combinators can be called")

    def _skipped(self, call: ast.Call) -> int:
        """Arguments before the ones that are read: a combinator's first is the schedule."""
        if isinstance(call.func, ast.Attribute):
            return 0
        match call.args:
            case [ast.Name(id="s"), *_]:
                return 1
            case _:
                raise self._error(call, "the first argument of a combinator is s")

    def _argument(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return tuple(self._argument(item) for item in items)
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.Name(id=name):
                raise self._error(node, f"{name!r} is not set", close_names(name, self.names))
            case _:
                raise self._error(node, "arguments are numbers, strings, names and tuples of them")

    def _range(self, node: ast.expr) -> range:
        match node:
            case ast.Call(func=ast.Name(id="range"), args=args, keywords=[]) if len(args) in (1, 2):
                values = [self._argument(arg) for arg in args]
                numbers = [n for n in values if isinstance(n, int) and abs(n) <= MAX_CALLS]
                if len(numbers) == len(args):
                    return range(*numbers)
            case _:
                pass
        raise self._error(node, "loops run over range(n) with a literal n")

    def _error(self, node: Placed, message: str, hint: str | None = None) -> FormatError:
        return FormatError(message, span=self.span(node), hint=hint)

    def span(self, node: Placed) -> Span:
        """Where a node stands in the file, columns counted in characters."""
        line, end = node.lineno, 0
        if node.end_lineno == line:
            end = self._column(line, node.end_col_offset)
        return Span(self.path, line, self._column(line, node.col_offset), end)

    def _column(self, line: int, offset: int | None) -> int:
        return len(self.lines[line - 1].encode()[:offset].decode(errors="ignore"))


def _is_combinator(name: str) -> bool:
    if name not in COMBINATORS:
        declare_combinators()
    return name in COMBINATORS


class _Located:
    """While active, steps and errors of the schedule are placed at a node of the file."""

    def __init__(self, runner: _Runner, node: Placed) -> None:
        self.schedule = runner.schedule
        self.span = runner.span(node)

    def __enter__(self) -> None:
        self.schedule.file_span = self.span

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.schedule.file_span = None
        if isinstance(error, TdslError):
            error.span = self.span
