"""The stages between a scheduled program and its machine code, each made once, when asked for."""

from __future__ import annotations

from tdsl import options
from tdsl.codegen.llvm.compile import assembly
from tdsl.codegen.llvm.kernel import emit_module
from tdsl.codegen.lowering import Lowering
from tdsl.ir.deep import deep_recursion, roomy
from tdsl.ir.stmt import Program
from tdsl.target import Target


class Stages(Lowering):
    """One kernel on its way to LLVM."""

    def __init__(self, program: Program, target: Target, symbol: str | None = None) -> None:
        super().__init__(program, target)
        self._symbol = symbol or program.name
        self._llvm: str | None = None

    @property
    def llvm(self) -> str:
        """LLVM IR of the kernel."""
        if self._llvm is None:
            with deep_recursion():
                self._llvm = roomy(self._emit)
            self._dump(self._llvm)
        return self._llvm

    def _emit(self) -> str:
        return emit_module(self.lowered, self._target, self._symbol, self.dims)

    def _dump(self, text: str) -> None:
        """Put the text beside the passes' dumps where `TDSL_DUMP` asks for them."""
        directory = options.dump_dir()
        if directory is not None:
            folder = directory / self._program.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "kernel.ll").write_text(text, encoding="utf-8")

    @property
    def asm(self) -> str:
        """Assembly of the kernel."""
        return assembly(self.llvm, self._target)
