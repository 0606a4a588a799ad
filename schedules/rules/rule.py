"""Rules: how a group of blocks is recognised, and the plan that schedules it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tdsl.schedules.rules.groups import Group
from tdsl.scheduling import Schedule
from tdsl.target import Target


@dataclass(frozen=True)
class Plan(ABC):
    """What to do with one group. Its fields are the numbers that a tuner may change."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """Why the rule matched, and what it chose, for people."""

    @abstractmethod
    def apply(self, s: Schedule) -> None:
        """Schedule the group, by one call of a combinator.

        Raises:
            ScheduleError: a step is refused; nothing has changed.
        """

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        """Other values worth trying, by field."""
        return {}


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule. `match` gives the plan for a group, or None where the rule does not apply."""

    name: str
    match: Callable[[Group, Target], Plan | None]
