"""Argument kinds: what primitives accept, checked in one way and reported in one wording.

A primitive declares its arguments by annotating them with the aliases below; `KINDS` says for
each alias what is acceptable and in which normal form the primitive gets it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias

from tdsl.errors import FormatError, TypeMismatch, close_names
from tdsl.ir.stmt import LoopKind, Scope
from tdsl.scheduling.index_map import IndexMap, as_index_map
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.trace import LoopRef, Value

if TYPE_CHECKING:
    from tdsl.scheduling.core import ScheduleCore

TAILS = ("guard", "mask", "shift", "pad", "peel", "balance", "exact")
SCOPES = tuple(scope.value for scope in Scope)
AXES = (
    *(kind.value for kind in LoopKind if kind.value.startswith(("group", "local"))),
    "vector",
)

LoopArg: TypeAlias = "Loop | str"
BlockArg: TypeAlias = "str | object"
MaybeBlockArg: TypeAlias = "str | object | None"
TensorArg: TypeAlias = "str | object"
StoredArg: TypeAlias = "str | object"
FactorsArg: TypeAlias = "int | tuple[int | None, ...]"
FactorArg: TypeAlias = int
LanesArg: TypeAlias = "int | None"
CountArg: TypeAlias = int
DimArg: TypeAlias = "int | None"
PointsArg: TypeAlias = "int | tuple[int, ...]"
PadArg: TypeAlias = "int | tuple[int, ...] | None"
MultiplesArg: TypeAlias = "int | tuple[int, ...]"
TailArg: TypeAlias = str
ScopeArg: TypeAlias = str
AxisArg: TypeAlias = str
MaybeLoopArg: TypeAlias = "Loop | str | None"
ConditionArg: TypeAlias = str
InstructionArg: TypeAlias = str
IndexMapArg: TypeAlias = "str | Callable[..., object]"
FlagArg: TypeAlias = bool


class _Unfit(Exception):  # noqa: N818 - never leaves this module
    """The value does not fit; `hint` may say why."""

    def __init__(self, hint: str | None = None) -> None:
        super().__init__(hint)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Kind:
    """`expects` completes "expected ..."; `normal` gives the normal form, or raises `_Unfit`."""

    expects: str
    normal: Callable[[ScheduleCore, object, str], object]


def checked(core: ScheduleCore, primitive: str, name: str, kind: Kind, value: object) -> object:
    """The normal form of one argument.

    Raises:
        TypeMismatch: it is not of the kind.
        FormatError: it is a text of the kind that does not parse.
        ScheduleError: it names nothing in the schedule.
    """
    where = f"argument {name!r} of {primitive}"
    try:
        return kind.normal(core, value, primitive)
    except _Unfit as unfit:
        raise TypeMismatch(
            f"{where}: expected {kind.expects}, got {value!r}", span=core.span(), hint=unfit.hint
        ) from None
    except (FormatError, TypeMismatch) as error:  # of an index map, which knows no primitive
        span = core.file_span or error.span
        raise type(error)(f"{where}: {error.message}", span=span, hint=error.hint) from error


def encoded(core: ScheduleCore, value: object) -> Value:
    """An argument or a result as the trace records it."""
    match value:
        case Loop(var=var):
            return LoopRef(var, core.index.label(var))
        case IndexMap():
            return str(value)
        case tuple() | list():
            return tuple(encoded(core, item) for item in value)
        case None | bool() | int() | float() | str():
            return value
        case SupportsIndex():  # integers of numpy, knobs of a template
            return operator.index(value)
        case _:
            raise TypeMismatch(
                f"{value!r} cannot stand in a trace", hint="pass loops, names, numbers and tuples"
            )


def _loop(core: ScheduleCore, value: object, primitive: str) -> object:
    if not isinstance(value, Loop | str):
        raise _Unfit(_loop_hint(value))
    return core.loop(value, primitive)


def _loop_hint(value: object) -> str | None:
    if isinstance(value, tuple) and value and all(isinstance(v, Loop) for v in value):
        return "pass one loop, not the tuple of all: i, j = s.loops(...)"
    return None


def _maybe_loop(core: ScheduleCore, value: object, primitive: str) -> object:
    return None if value is None else _loop(core, value, primitive)


def _named(value: object) -> str:
    """A name, or that of a block or a tensor."""
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str):
        raise _Unfit
    return name


def _block(core: ScheduleCore, value: object, primitive: str) -> object:
    name = _named(value)
    return name if len(core.index.leaves_of(name)) > 1 else core.leaf_name(name, primitive)


def _maybe_block(core: ScheduleCore, value: object, primitive: str) -> object:
    return None if value is None else _block(core, value, primitive)


def _tensor(core: ScheduleCore, value: object, primitive: str) -> object:
    return core.buffer(_named(value), primitive).name


def _stored(core: ScheduleCore, value: object, primitive: str) -> object:
    name = _named(value)
    if core.index.leaves_of(name):
        return name
    known = {buffer.name for buffer in core.index.allocs}
    known |= {param.buffer.name for param in core.program.params}
    return core.buffer(name, primitive).name if name in known else _block(core, name, primitive)


def _integer(value: object) -> int:
    if isinstance(value, bool):
        raise _Unfit
    try:
        return operator.index(value)  # type: ignore[arg-type]  # any type with __index__
    except TypeError:
        raise _Unfit from None


def _positive(value: object) -> int:
    number = _integer(value)
    if number < 1:
        raise _Unfit
    return number


def _factors(_core: ScheduleCore, value: object, _primitive: str) -> object:
    if not isinstance(value, tuple | list):
        return _positive(value)
    factors = tuple(None if item is None else _positive(item) for item in value)
    if len(factors) < 2 or factors.count(None) != 1:
        raise _Unfit("the one None stands for what the other factors leave")
    return factors


def _points(_core: ScheduleCore, value: object, _primitive: str) -> object:
    points = value if isinstance(value, tuple | list) else (value,)
    numbers = tuple(_positive(point) for point in points)
    if list(numbers) != sorted(set(numbers)):
        raise _Unfit
    return numbers if isinstance(value, tuple | list) else numbers[0]


def _pad(_core: ScheduleCore, value: object, _primitive: str) -> object:
    if value is None:
        return None
    amounts = tuple(_integer(v) for v in (value if isinstance(value, tuple | list) else (value,)))
    if any(amount < 0 for amount in amounts):
        raise _Unfit
    return amounts if isinstance(value, tuple | list) else amounts[0]


def _multiples(_core: ScheduleCore, value: object, _primitive: str) -> object:
    if isinstance(value, tuple | list):
        return tuple(_positive(item) for item in value)
    return _positive(value)


def _one_of(words: tuple[str, ...], _core: ScheduleCore, value: object, _primitive: str) -> object:
    if value not in words:
        raise _Unfit(close_names(value, words) if isinstance(value, str) else None)
    return value


def _flag(_core: ScheduleCore, value: object, _primitive: str) -> object:
    if not isinstance(value, bool):
        raise _Unfit
    return value


def _text(_core: ScheduleCore, value: object, _primitive: str) -> object:
    if not isinstance(value, str):
        raise _Unfit
    return value


def _index_map(_core: ScheduleCore, value: object, _primitive: str) -> object:
    if not isinstance(value, str) and not callable(value):
        raise _Unfit
    return as_index_map(value)


KINDS: dict[str, Kind] = {
    "LoopArg": Kind("a loop handle or name", _loop),
    "MaybeLoopArg": Kind("a loop handle or name, or None", _maybe_loop),
    "BlockArg": Kind("the name of a block", _block),
    "MaybeBlockArg": Kind("the name of a block, or None", _maybe_block),
    "TensorArg": Kind("the name of a tensor", _tensor),
    "StoredArg": Kind("the name of a block or of its tensor", _stored),
    "FactorsArg": Kind("a positive integer, or a tuple of them with one None", _factors),
    "FactorArg": Kind("a positive integer", lambda _c, v, _p: _positive(v)),
    "LanesArg": Kind(
        "a positive integer or None", lambda _c, v, _p: None if v is None else _positive(v)
    ),
    "DimArg": Kind("an integer or None", lambda _c, v, _p: None if v is None else _integer(v)),
    "CountArg": Kind("an integer", lambda _c, v, _p: _integer(v)),
    "PointsArg": Kind("a positive integer, or an increasing tuple of them", _points),
    "PadArg": Kind("None, or one integer >= 0 for each storage dimension", _pad),
    "MultiplesArg": Kind("a positive integer, or one for each axis", _multiples),
    "TailArg": Kind("one of " + ", ".join(TAILS), partial(_one_of, TAILS)),
    "ScopeArg": Kind("one of " + ", ".join(SCOPES), partial(_one_of, SCOPES)),
    "AxisArg": Kind("one of " + ", ".join(AXES), partial(_one_of, AXES)),
    "IndexMapArg": Kind("an index map such as 'i, k -> i // 6, k, i % 6'", _index_map),
    "InstructionArg": Kind("the name of a declared instruction", _text),
    "ConditionArg": Kind("a comparison of sizes such as 'N % 16 == 0'", _text),
    "FlagArg": Kind("True or False", _flag),
    "bool": Kind("True or False", _flag),
}
