"""Knobs of one group: their names carry the group's number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from tdsl.autotune.knobs import KnobCondition, Knobs
from tdsl.scheduling import Loop

T = TypeVar("T")
Integer: TypeAlias = int  # inside `Named`, int is a method


@dataclass(frozen=True)
class Named:
    """Knobs whose names start with a prefix."""

    knobs: Knobs
    prefix: str

    def choice(self, name: str, options: Sequence[T]) -> T:
        """As `Knobs.choice`; a single option is no choice."""
        if len(options) == 1:
            return options[0]
        return self.knobs.choice(self.prefix + name, options)

    def int(self, name: str, low: Integer, high: Integer, step: Integer = 1) -> Any:
        """As `Knobs.int`."""
        return self.knobs.int(self.prefix + name, low, high, step)

    def tile(self, name: str, loop: Loop | Integer, max_inner: Integer = 64) -> Any:
        """The size of the inner part of a loop tiled in two."""
        return self.knobs.tile(self.prefix + name, loop, 2, max_inner)[1]

    def require(self, condition: KnobCondition | bool) -> None:
        """As `Knobs.require`."""
        self.knobs.require(condition)
