"""LLVM IR text -> object bytes, for the IR that the runtime itself is made of."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from llvmlite import binding

from tdsl.errors import InternalError


@lru_cache(maxsize=4)
def _machine(triple: str) -> Any:
    """A position-independent target machine for any CPU of an architecture."""
    if triple == binding.get_process_triple():
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
    else:
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()
    target = binding.Target.from_triple(triple)
    return target.create_target_machine(opt=2, reloc="pic", codemodel="default")


def compile_ir(text: str, triple: str | None = None) -> bytes:
    """Optimise and compile a module for any CPU of an architecture; None: this machine's.

    Raises:
        InternalError: LLVM rejects the text.
    """
    machine = _machine(triple or binding.get_process_triple())
    try:
        module = binding.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"LLVM rejects the runtime's own IR: {error}") from error
    options = binding.create_pipeline_tuning_options(speed_level=2)
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    emitted: bytes = machine.emit_object(module)
    return emitted


def llvm_version() -> str:
    """LLVM's version, part of every cache key."""
    return ".".join(map(str, binding.llvm_version_info))
