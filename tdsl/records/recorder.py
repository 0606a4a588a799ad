"""A schedule that notes its steps by position as they are taken."""

from __future__ import annotations

from tdsl.lang.func import Func
from tdsl.records.positions import encode_step
from tdsl.scheduling import Schedule, Step
from tdsl.scheduling.core import State
from tdsl.target import Target


class RecordingSchedule(Schedule):
    """A schedule whose steps can be stored in a database."""

    def __init__(self, func: Func, target: Target | str | None = None) -> None:
        super().__init__(func, target)
        self._noted: list[tuple[Step, dict[str, object]]] = []

    def install(self, state: State, step: Step, result: object) -> None:
        noted = encode_step(self, step)
        super().install(state, step, result)
        self._noted.append((list(self.trace)[-1], noted))

    @property
    def steps(self) -> tuple[dict[str, object], ...]:
        """The steps by position; those of a combinator that was undone are left out."""
        kept = {id(step) for step in self.trace}
        return tuple(noted for step, noted in self._noted if id(step) in kept)
