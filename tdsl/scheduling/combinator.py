"""`@combinator`: schedules built out of primitives, recorded as one line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from tdsl.errors import TdslError, TypeMismatch, explained
from tdsl.scheduling.arguments import encoded
from tdsl.scheduling.core import ScheduleCore
from tdsl.scheduling.schedule import Schedule
from tdsl.scheduling.trace import Call

P = ParamSpec("P")
R = TypeVar("R")

COMBINATORS: dict[str, Callable[..., object]] = {}


def combinator(
    function: Callable[Concatenate[Schedule, P], R],
) -> Callable[Concatenate[Schedule, P], R]:
    """Register a function of a schedule that is made of primitives.

    A call is one line in schedule files and expands to its primitives in the trace. It is undone
    as a whole if one of them is refused. Arguments and results are loops, names, numbers, and
    tuples of them.

    >>> import tdsl as td
    >>> @td.combinator
    ... def spread(s, loop, width):
    ...     outer, inner = s.split(loop, width)
    ...     s.vectorize(inner, width)
    ...     return s.parallel(outer)
    >>> A = td.placeholder((1024,), "float32", name="A")
    >>> B = td.compute((1024,), lambda i: A[i] + 1.0, name="B")
    >>> s = td.Schedule(td.func("increment", [A], [B]))
    >>> spread(s, "B.i", 16)
    <Loop B.io>
    >>> print(s.trace)
    s = td.Schedule(increment)
    # spread(s, "B.i", 16)
    io, ii = s.split("B.i", 16)
    s.vectorize(ii, lanes=16)
    s.parallel(io)

    Raises:
        TdslError: another function has registered this name.

    A call of the combinator raises TypeMismatch where arguments are missing, too many or unknown.
    """
    name = function.__name__
    known = COMBINATORS.get(name)
    home = (function.__module__, function.__qualname__)
    if known is not None and (known.__module__, known.__qualname__) != home:
        raise TdslError(
            f"a combinator {name!r} is registered already, by {known.__module__}",
            hint="give one of them another name",
        )

    explaining = explained(function)

    @functools.wraps(function)
    def call(s: Schedule, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not isinstance(s, ScheduleCore):
            raise TypeMismatch(f"the first argument of {name} is a schedule, got {s!r}")
        options = tuple((key, encoded(s, value)) for key, value in kwargs.items())
        record = Call(name, tuple(encoded(s, arg) for arg in args), options, span=s.span())
        with s.grouped(record):
            result = explaining(s, *args, **kwargs)
            record.result = encoded(s, result)
        return result

    COMBINATORS[name] = call
    return call
