"""The native runtime for programs without Python: the objects that a static library carries."""

from __future__ import annotations

from pathlib import Path

from tdsl.runtime.native.compiler import compile_ir

# Conversions of float16 are an object of their own: a linker takes it only where a kernel needs it,
# and so never beside the functions of the same name that a compiler's library may have.
_PARTS = {
    "tdsl_runtime": ("alloc", "pool", "standalone"),
    "tdsl_float16": ("float16",),
}


def standalone_objects(triple: str) -> dict[str, bytes]:
    """Object files by name: the thread pool and the allocator, and conversions of float16."""
    here = Path(__file__).parent
    architecture = triple.partition("-")[0]
    objects = {}
    for name, parts in _PARTS.items():
        files = (architecture, *parts) if name == "tdsl_runtime" else parts
        text = "\n".join((here / f"{file}.ll").read_text(encoding="utf-8") for file in files)
        objects[f"{name}.o"] = compile_ir(text, triple)
    return objects
