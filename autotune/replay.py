"""The schedule that a template works on: a real one that also notes what knobs went into it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

from tdsl.autotune.knobs import Tile
from tdsl.lang.func import Func
from tdsl.records import RecordingSchedule
from tdsl.scheduling import Step
from tdsl.scheduling.core import ScheduleCore, State
from tdsl.scheduling.naming import Index
from tdsl.scheduling.primitive import PRIMITIVES
from tdsl.target import Target


class Watcher(Protocol):
    """What follows a schedule step by step."""

    def saw(
        self, schedule: ScheduleCore, before: Index, step: Step, arguments: dict[str, object]
    ) -> None:
        """A step was taken; `arguments` are as given, knobs and all."""
        ...


_PROVEN_AT_ONCE = frozenset(
    {"compute_at", "reverse_compute_at", "inline", "reverse_inline", "cache_read", "cache_write"}
)  # they choose between ways to do it by what the prover says

DEFERRED = frozenset(PRIMITIVES) - _PROVEN_AT_ONCE
"""Primitives whose steps may be proven as one, by `settle`."""


class TemplateSchedule(RecordingSchedule):
    """A schedule for templates. `s.split(loop, knob.tile(...))` splits into the tile's parts.

    With `late`, most steps are not proven one by one: `settle` proves what all of them made.
    """

    def __init__(
        self,
        func: Func,
        target: Target | str | None = None,
        watcher: Watcher | None = None,
        *,
        late: bool = False,
    ) -> None:
        super().__init__(func, target)
        if late:
            self.deferred = DEFERRED
        self._watcher = watcher
        self._given: dict[str, object] = {}

    def apply(self, name: str, *args: object, **options: object) -> object:
        found = PRIMITIVES.get(name)
        if found is None:
            return super().apply(name, *args, **options)
        args = tuple(_factors(arg) for arg in args)
        options = {key: _factors(value) for key, value in options.items()}
        if self._watcher is not None:
            self._given = _bound(name, args, options)
        return found.apply(self, *args, **options)

    def install(self, state: State, step: Step, result: object) -> None:
        before, given = self.index, self._given
        super().install(state, step, result)
        if self._watcher is not None:
            self._watcher.saw(self, before, list(self.trace)[-1], given)


def _factors(value: object) -> object:
    """A tile as the factors of a split: its first part takes what the others leave."""
    return (None, *value[1:]) if isinstance(value, Tile) else value


def _bound(name: str, args: tuple[object, ...], options: dict[str, object]) -> dict[str, object]:
    try:
        return dict(PRIMITIVES[name].signature.bind(*args, **options).arguments)
    except TypeError:  # the primitive itself says what is wrong
        return {}


def _method(name: str) -> Callable[..., object]:
    @functools.wraps(PRIMITIVES[name].function)
    def method(self: TemplateSchedule, *args: object, **options: object) -> object:
        return self.apply(name, *args, **options)

    return method


for _name in PRIMITIVES:
    setattr(TemplateSchedule, _name, _method(_name))
