"""Kernels for programs without Python: an object file, a static library, and a C header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tdsl.codegen.llvm.compile import compile_text
from tdsl.codegen.llvm.stages import Stages
from tdsl.driver import packing_programs, signature_of
from tdsl.errors import DeclarationError, LoweringError
from tdsl.ir.stmt import Program
from tdsl.runtime.c_header import abi_symbol, c_header, is_c_name
from tdsl.runtime.native.archive import static_library
from tdsl.runtime.native.standalone import standalone_objects
from tdsl.runtime.signature import Signature
from tdsl.target import Target, TargetKind


@dataclass(frozen=True, slots=True)
class Library:
    """What was written: a C header, an object of the kernel alone, and a library with all it needs.

    Attributes:
        name: the C function.
        signatures: what each function of the header takes: the kernel, then those that pack.
        target: what the code was compiled for.
    """

    name: str
    header: Path
    object: Path
    archive: Path
    signatures: Mapping[str, Signature]
    target: Target

    def __str__(self) -> str:
        functions = "\n".join(f"  {one}: {taken}" for one, taken in self.signatures.items())
        return f"{self.header}, {self.object}, {self.archive}\n{functions}"


def write_library(program: Program, target: Target, folder: Path, name: str) -> Library:
    """Compile a scheduled program to files that a C program is built with.

    Args:
        program: what to compile.
        target: any processor, of this machine's architecture or another.
        folder: where the files go; it is made.
        name: the C function.

    Raises:
        DeclarationError: C has no function of that name.
        LoweringError: the target is no processor, or cannot run the schedule as written.
        OSError: the files cannot be written.
    """
    check_library(target, name)
    programs = {name: program}
    for argument, packer in packing_programs(program, target).items():
        programs[f"{name}_pack_{argument}".replace(".", "_")] = packer
    signatures = {one: signature_of(source, target) for one, source in programs.items()}
    objects = {
        f"{one}.o": compile_object(source, target, abi_symbol(one))
        for one, source in programs.items()
    }
    return write_objects(objects, signatures, target, folder, name)


def check_library(target: Target, name: str) -> None:
    """See that there can be a library of this name for a target.

    Raises:
        DeclarationError: C has no function of that name.
        LoweringError: the target is no processor.
    """
    if target.kind is not TargetKind.LLVM:
        raise LoweringError(
            f"a library is compiled for a processor, not for {target.text}",
            hint="kernel.source('opencl') is the text of an OpenCL kernel",
        )
    if not is_c_name(name):
        raise DeclarationError(
            f"{name!r} is no name of a C function", hint="give it one by name= (--name)"
        )


def compile_object(program: Program, target: Target, symbol: str) -> bytes:
    """The object of a scheduled program, whose ABI v1 function gets this symbol.

    Raises:
        LoweringError: the target cannot run the schedule as written.
    """
    return compile_text(Stages(program, target, symbol).llvm, target)


def write_objects(
    objects: Mapping[str, bytes], signatures: Mapping[str, Signature], target: Target,
    folder: Path, name: str,
) -> Library:  # fmt: skip
    """Write a header, the object NAME.o, and a library of all objects and the native runtime.

    Raises:
        OSError: the files cannot be written.
    """
    header, archive = folder / f"{name}.h", folder / f"lib{name}.a"
    text = c_header(
        signatures,
        version=metadata.version("tdsl"),
        target=_described(target),
        library=archive.name,
        guard=name,
    )
    folder.mkdir(parents=True, exist_ok=True)
    main = folder / f"{name}.o"
    main.write_bytes(objects[main.name])
    archive.write_bytes(static_library({**objects, **standalone_objects(target.triple)}))
    header.write_text(text, encoding="utf-8")
    return Library(name, header, main, archive, signatures, target)


def _described(target: Target) -> str:
    return f"this machine's {target.triple}" if target.is_native else target.text
