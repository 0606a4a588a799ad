"""The stages between a scheduled program and its machine code, each made once, when asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tdsl import options
from tdsl.codegen.llvm.compile import assembly
from tdsl.codegen.llvm.kernel import emit_module
from tdsl.ir.stmt import Program
from tdsl.lower import lower
from tdsl.lower.checked_accesses import checked_accesses
from tdsl.target import Target

_RECURSION = 20_000  # expressions nest as deep as unrolled sums are long


class Stages:
    """One kernel on its way to LLVM."""

    def __init__(self, program: Program, target: Target) -> None:
        self._program = program
        self._target = target
        self._checked = checked_accesses(program)
        self._lowered: Program | None = None
        self._llvm: str | None = None

    @property
    def accesses(self) -> list[str]:
        """Texts of the checked accesses, by number."""
        last = max(self._checked, default=-1)
        numbers = range(last + 1)
        return [self._checked[n].text if n in self._checked else "" for n in numbers]

    @property
    def lowered(self) -> Program:
        """The program in flat loops over vectors."""
        if self._lowered is None:
            with _deep_recursion():
                self._lowered = lower(self._program, self._target).program
        return self._lowered

    @property
    def llvm(self) -> str:
        """LLVM IR of the kernel."""
        if self._llvm is None:
            dims = {number: access.dim for number, access in self._checked.items()}
            with _deep_recursion():
                self._llvm = emit_module(self.lowered, self._target, self._program.name, dims)
            self._dump(self._llvm)
        return self._llvm

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


@contextmanager
def _deep_recursion() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _RECURSION))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
