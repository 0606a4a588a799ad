"""What every code generator starts from: a scheduled program, and its lowered form when asked."""

from __future__ import annotations

from tdsl.ir.stmt import Program
from tdsl.lower import lower
from tdsl.lower.checked_accesses import checked_accesses
from tdsl.target import Target


class Lowering:
    """One program on its way to a target."""

    def __init__(self, program: Program, target: Target) -> None:
        self._program = program
        self._target = target
        self._checked = checked_accesses(program)
        self._lowered: Program | None = None

    @property
    def accesses(self) -> list[str]:
        """Texts of the checked accesses, by number."""
        last = max(self._checked, default=-1)
        return [self._checked[n].text if n in self._checked else "" for n in range(last + 1)]

    @property
    def dims(self) -> dict[int, int]:
        """Which dimension each checked access indexes, by its number."""
        return {number: access.dim for number, access in self._checked.items()}

    @property
    def lowered(self) -> Program:
        """The program as the target runs it."""
        if self._lowered is None:
            self._lowered = lower(self._program, self._target).program
        return self._lowered
