"""Candidates: the options and numbers that make one schedule of a space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tdsl.records.schema import candidate_key


@dataclass(frozen=True)
class Candidate:
    """One point of a space: an option for each choice, a number for each knob, by name.

    `labels` are the options as text, for people.
    """

    space: str
    choices: tuple[tuple[str, int], ...]
    knobs: tuple[tuple[str, int], ...]
    labels: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @cached_property
    def key(self) -> str:
        """A hash, as records have it."""
        return candidate_key(self.json())

    def json(self) -> dict[str, object]:
        """The candidate as JSON data."""
        data: dict[str, object] = {"space": self.space}
        data |= {"choices": dict(self.choices), "knobs": dict(self.knobs)}
        return {**data, "labels": dict(self.labels)} if self.labels else data

    @staticmethod
    def parse(data: Mapping[str, object]) -> Candidate | None:
        """A candidate from its JSON data; None where it is none."""
        match data:
            case {"space": str(space), "choices": dict(choices), "knobs": dict(knobs)}:
                numbers = [*choices.values(), *knobs.values()]
                if all(isinstance(n, int) for n in numbers):
                    return Candidate(space, tuple(choices.items()), tuple(knobs.items()))
            case _:
                pass
        return None

    def __str__(self) -> str:
        told = {**dict(self.choices), **dict(self.labels), **dict(self.knobs)}
        return ", ".join(f"{name}={value}" for name, value in told.items())
