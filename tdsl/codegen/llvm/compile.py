"""LLVM text to machine code: parse, promote stack slots to registers, generate code.

No optimisation pipeline runs: loops, vectors and unrolling are explicit in the text already, and
measurements show no gain from one. Only SROA is needed, since register tiles are written as stack
slots; without it they would stay in memory.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from llvmlite import binding

from tdsl.codegen.llvm.host import cpu_of
from tdsl.errors import InternalError
from tdsl.target import Target

# Part of every cache key: change it with anything that changes the objects made from one text.
CODEGEN_VERSION = 1
_OPT_LEVEL = 2  # of instruction selection; 0 is a trap (half the speed), 1 to 3 are alike

_lock = threading.RLock()


@lru_cache(maxsize=8)
def _machine(triple: str, cpu: str, features: str) -> Any:
    if triple.startswith(binding.get_process_triple().partition("-")[0]):
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
    else:
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()
    return binding.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=_OPT_LEVEL, reloc="pic", codemodel="default"
    )


def _machine_for(target: Target) -> Any:
    return _machine(target.triple, *cpu_of(target))


def _prepare(text: str, machine: Any) -> Any:
    try:
        module = binding.parse_assembly(text)
    except RuntimeError as error:
        raise InternalError(f"LLVM refuses the generated code: {error}") from error
    options = binding.create_pipeline_tuning_options()
    builder = binding.create_pass_builder(machine, options)
    passes = binding.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.run(module, builder)
    return module


def compile_text(text: str, target: Target) -> bytes:
    """An ELF object (position independent) for LLVM IR text.

    Raises:
        InternalError: LLVM does not accept the text.
    """
    with _lock:
        machine = _machine_for(target)
        return bytes(machine.emit_object(_prepare(text, machine)))


def assembly(text: str, target: Target) -> str:
    """The assembly that `compile_text` encodes."""
    with _lock:
        machine = _machine_for(target)
        return str(machine.emit_assembly(_prepare(text, machine)))


def compiler_versions() -> str:
    """Versions that an object depends on, besides its text and target."""
    return f"llvm {'.'.join(map(str, binding.llvm_version_info))} codegen {CODEGEN_VERSION}"
