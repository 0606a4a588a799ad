"""The stages between a scheduled program and OpenCL C, each made once, when asked for."""

from __future__ import annotations

from tdsl.codegen.lowering import Lowering
from tdsl.codegen.opencl.module import Module, emit_module
from tdsl.ir.deep import deep_recursion
from tdsl.ir.stmt import Program
from tdsl.target import Target


class Stages(Lowering):
    """One program on its way to a device."""

    def __init__(self, program: Program, target: Target) -> None:
        super().__init__(program, target)
        self._module: Module | None = None

    @property
    def module(self) -> Module:
        """The kernels and the host's plan."""
        if self._module is None:
            with deep_recursion():
                self._module = emit_module(self.lowered, self.dims)
        return self._module
