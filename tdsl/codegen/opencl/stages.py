"""The stages between a scheduled program and OpenCL C, each made once, when asked for."""

from __future__ import annotations

from tdsl.codegen.opencl.module import Module, emit_module
from tdsl.ir.deep import deep_recursion
from tdsl.ir.stmt import Program
from tdsl.lower import lower
from tdsl.lower.checked_accesses import checked_accesses
from tdsl.target import Target


class Stages:
    """One program on its way to a device."""

    def __init__(self, program: Program, target: Target) -> None:
        self._program = program
        self._target = target
        self._checked = checked_accesses(program)
        self._lowered: Program | None = None
        self._module: Module | None = None

    @property
    def accesses(self) -> list[str]:
        """Texts of the checked accesses, by number."""
        last = max(self._checked, default=-1)
        numbers = range(last + 1)
        return [self._checked[n].text if n in self._checked else "" for n in numbers]

    @property
    def lowered(self) -> Program:
        """The program as work-items run it."""
        if self._lowered is None:
            self._lowered = _lowered(self._program, self._target)
        return self._lowered

    @property
    def module(self) -> Module:
        """The kernels and the host's plan."""
        if self._module is None:
            dims = {number: access.dim for number, access in self._checked.items()}
            self._module = _emitted(self.lowered, dims)
        return self._module


@deep_recursion()
def _lowered(program: Program, target: Target) -> Program:
    return lower(program, target).program


@deep_recursion()
def _emitted(program: Program, dims: dict[int, int]) -> Module:
    return emit_module(program, dims)
