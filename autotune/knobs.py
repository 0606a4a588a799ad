"""Knobs: `knob.choice`, `knob.int`, `knob.tile`, and the integers that they give.

A template runs once for each candidate with a `Knobs` that hands out the candidate's values. What
it hands out is recorded: choices make the structure, numbers are columns of its knob vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from tdsl.autotune import terms
from tdsl.autotune.domains import int_domain, tile_domain
from tdsl.autotune.extents import number_of
from tdsl.autotune.terms import Term, knob_term
from tdsl.errors import TdslError
from tdsl.scheduling import Loop, Schedule

T = TypeVar("T")
Integer: TypeAlias = int  # inside `Knobs`, int is a method

_UNKNOWN = 1024  # what a size that has no number counts as in domains of tiles


class KnobError(TdslError, ValueError):
    """A template that uses a knob in a way that a search cannot follow."""


def _branched(what: str) -> bool:
    raise KnobError(
        f"{what} has no truth value: the schedule would change its structure with a number",
        hint="use knob.choice for what branches, knob.require for what must hold",
    )


class KnobCondition:
    """A comparison of knobs, for `knob.require`. Branching on it raises."""

    __slots__ = ("holds", "term")

    def __init__(self, holds: bool, term: Term) -> None:
        self.holds = holds
        self.term = term

    def __and__(self, other: KnobCondition) -> KnobCondition:
        return KnobCondition(self.holds and other.holds, terms.both(self.term, other.term))

    def __or__(self, other: KnobCondition) -> KnobCondition:
        return KnobCondition(self.holds or other.holds, terms.either(self.term, other.term))

    def __invert__(self) -> KnobCondition:
        return KnobCondition(not self.holds, terms.negated(self.term))

    def __bool__(self) -> bool:
        return _branched("a comparison of knobs")


class KnobInt:
    """A knob's value: a concrete integer that also records the expression it stands for.

    Primitives take it as they take an int. Arithmetic gives another one; comparisons give
    conditions for `knob.require`; branching on either raises.
    """

    __slots__ = ("term", "value")

    def __init__(self, value: int, term: Term) -> None:
        self.value = value
        self.term = term

    def __index__(self) -> int:
        return self.value

    def __bool__(self) -> bool:
        return _branched("a knob")

    def __add__(self, other: Number) -> KnobInt:
        return KnobInt(self.value + number(other), self.term + term_of(other))

    def __sub__(self, other: Number) -> KnobInt:
        return KnobInt(self.value - number(other), self.term - term_of(other))

    def __rsub__(self, other: int) -> KnobInt:
        return KnobInt(other - self.value, term_of(other) - self.term)

    def __mul__(self, other: Number) -> KnobInt:
        return KnobInt(self.value * number(other), self.term * term_of(other))

    def __floordiv__(self, other: Number) -> KnobInt:
        return KnobInt(self.value // number(other), terms.floordiv(self.term, term_of(other)))

    def __rfloordiv__(self, other: int) -> KnobInt:
        return KnobInt(other // self.value, terms.floordiv(other, self.term))

    def __mod__(self, other: Number) -> KnobInt:
        return KnobInt(self.value % number(other), terms.modulo(self.term, term_of(other)))

    def __rmod__(self, other: int) -> KnobInt:
        return KnobInt(other % self.value, terms.modulo(other, self.term))

    __radd__ = __add__
    __rmul__ = __mul__

    def __le__(self, other: Number) -> KnobCondition:
        return KnobCondition(self.value <= number(other), terms.at_most(self.term, term_of(other)))

    def __ge__(self, other: Number) -> KnobCondition:
        return KnobCondition(self.value >= number(other), terms.at_most(term_of(other), self.term))

    def __lt__(self, other: Number) -> KnobCondition:
        return ~(self >= other)

    def __gt__(self, other: Number) -> KnobCondition:
        return ~(self <= other)

    def __eq__(self, other: object) -> KnobCondition:  # type: ignore[override]  # not a bool
        if not isinstance(other, int | KnobInt):
            return NotImplemented
        return KnobCondition(self.value == number(other), terms.equals(self.term, term_of(other)))

    def __ne__(self, other: object) -> KnobCondition:  # type: ignore[override]  # not a bool
        if not isinstance(other, int | KnobInt):
            return NotImplemented
        return ~(self == other)

    __hash__ = None  # type: ignore[assignment]  # it would be looked up by comparing

    def __repr__(self) -> str:
        return f"{self.value}"


Number = int | KnobInt


def number(value: Number) -> int:
    """The concrete value."""
    return value.value if isinstance(value, KnobInt) else value


def term_of(value: Number) -> Term:
    """The expression it stands for."""
    return value.term if isinstance(value, KnobInt) else terms.constant(value)


class Tile(tuple[KnobInt, ...]):
    """The sizes of the parts of a tiled loop, outer first; the first one is what the rest leave.

    `s.split(loop, tile)` splits the loop into these parts.
    """

    __slots__ = ()


@dataclass
class Declared:
    """What a run of a template asked for.

    Attributes:
        choices: by name, the option taken and how many there are.
        labels: by name of a choice, the option taken as text, for people.
        columns: by name of a numeric knob, its domain; their order is that of the knob vector.
        values: the numbers handed out, in that order.
        conditions: what `require` demanded, as terms.
    """

    choices: dict[str, tuple[int, int]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    columns: dict[str, tuple[int, ...]] = field(default_factory=dict)
    values: list[int] = field(default_factory=list)
    conditions: list[Term] = field(default_factory=list)
    unmet: bool = False


Picker = Callable[[str, Sequence[int]], int]


class Knobs:
    """What a template's second argument is.

    Args:
        schedule: the schedule that the template works on.
        sizes: numbers of symbolic sizes, for the domains of tiles.
        choices: options to take, by name; others take their first.
        pick: gives the value of a numeric knob from its name and domain.
        declared: what the template asks for is noted here.
        constants: arguments that stay the same from call to call.

    Attributes:
        constants: names of arguments that a schedule may have packed ahead, by
            `s.transform_layout(name, ..., prepacked=True)`.
    """

    def __init__(
        self,
        schedule: Schedule,
        sizes: Mapping[str, Integer],
        choices: Mapping[str, Integer],
        pick: Picker,
        declared: Declared | None = None,
        *,
        constants: frozenset[str] = frozenset(),
    ) -> None:
        self.constants = constants
        self.declared = Declared() if declared is None else declared
        self._schedule = schedule
        self._sizes = sizes
        self._choices = choices
        self._pick = pick

    def choice(self, name: str, options: Sequence[T]) -> T:
        """One of several ways to schedule; the template may branch on it.

        Args:
            name: of the knob, in records and reports.
            options: what to choose from; the first is what a template does by itself.

        Raises:
            KnobError: no options, or a name that is used twice.
        """
        options = list(options)
        self._check(name, bool(options))
        taken = self._choices.get(name, 0)
        if not 0 <= taken < len(options):
            raise KnobError(f"choice {name!r} has {len(options)} options, not {taken + 1}")
        self.declared.choices[name] = (taken, len(options))
        self.declared.labels[name] = _label(options[taken], taken)
        return options[taken]

    def int(self, name: str, low: Integer, high: Integer, step: Integer = 1) -> Any:
        """An integer (a `KnobInt`) from `low` to `high`, both included, in steps of `step`.

        It may be computed with and passed to primitives; branching on it raises.

        Raises:
            KnobError: an empty range, or a name that is used twice.
        """
        self._check(name, low <= high and step >= 1)
        return self._number(name, int_domain(low, high, step))

    def tile(
        self, name: str, loop: Loop | str | Integer, parts: Integer = 2, max_inner: Integer = 64
    ) -> tuple[Any, ...]:
        """Sizes (`KnobInt`s) of a tiled loop's parts, outer first; the first is what others leave.

        Args:
            name: of the knob; its numbers are called `name.1`, `name.2`, ...
            loop: a loop, or its extent.
            parts: into how many loops it is split.
            max_inner: the most iterations of the innermost part.

        Raises:
            KnobError: fewer than two parts, or a name that is used twice.
        """
        self._check(name, parts >= 2 and max_inner >= 1)
        extent = self._extent(loop)
        inner: list[KnobInt] = []
        for part in range(1, parts):
            most = max_inner if part == parts - 1 else max(extent, 1)
            inner.append(self._number(f"{name}.{part}", tile_domain(extent, most)))
        whole = inner[0]
        for size in inner[1:]:
            whole = whole * size
        if parts > 2:  # one part alone cannot exceed the extent
            self.require(whole < 2 * max(extent, 1))
        outer = KnobInt(-(-extent // whole.value), terms.ceildiv(extent, whole.term))
        return Tile((outer, *inner))

    def require(self, condition: KnobCondition | bool) -> None:
        """Candidates for which the condition is false are never tried.

        Raises:
            KnobError: it is no condition.
        """
        if isinstance(condition, KnobCondition):
            self.declared.conditions.append(condition.term)
            self.declared.unmet |= not condition.holds
        elif isinstance(condition, bool):
            self.declared.conditions.append(terms.constant(condition))
            self.declared.unmet |= not condition
        else:
            raise KnobError(f"knob.require takes a comparison of knobs, got {condition!r}")

    def _number(self, name: str, domain: tuple[Integer, ...]) -> KnobInt:
        value = self._pick(name, domain)
        self.declared.columns[name] = domain
        self.declared.values.append(value)
        return KnobInt(value, knob_term(len(self.declared.values) - 1))

    def _check(self, name: str, fine: bool) -> None:
        if not fine:
            raise KnobError(f"knob {name!r} has nothing to choose from")
        used = {column.rpartition(".")[0] or column for column in self.declared.columns}
        if name in used | set(self.declared.columns) | set(self.declared.choices):
            raise KnobError(f"two knobs are called {name!r}", hint="give each a name of its own")

    def _extent(self, loop: Loop | str | Integer) -> Integer:
        if isinstance(loop, Integer):
            return loop
        handle = self._schedule.loop(loop, "tile") if isinstance(loop, str) else loop
        extent = handle.extent
        return extent if isinstance(extent, Integer) else number_of(extent, self._sizes, _UNKNOWN)


def _label(option: object, number: int) -> str:
    """An option as text: itself, its name, or its number where it has neither."""
    match option:
        case str() | int() | float() | None:
            return str(option)
        case Enum():
            return option.name.lower()
        case _:
            return str(getattr(option, "__name__", getattr(option, "name", number)))
