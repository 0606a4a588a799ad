"""OpenCL C for lowered programs: readable text of the kernels, and what the host does with them."""

from tdsl.codegen.opencl.module import Module, emit_module

__all__ = ["Module", "emit_module"]
