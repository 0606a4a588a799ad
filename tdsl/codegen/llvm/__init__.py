"""LLVM code generation for CPUs: `emit_module` writes text, `compile_text` makes objects."""

from tdsl.codegen.llvm.compile import assembly, compile_text, compiler_versions
from tdsl.codegen.llvm.host import cpu_of
from tdsl.codegen.llvm.kernel import emit_module

__all__ = ["assembly", "compile_text", "compiler_versions", "cpu_of", "emit_module"]
