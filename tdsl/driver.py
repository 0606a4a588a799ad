"""From a schedule to a kernel: lower, write LLVM IR, compile or load from the object cache.

A kernel's object is found by a hash of everything that its machine code depends on: the scheduled
program, the processor, and the versions of tdsl and LLVM. Text forms are made when asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tdsl.codegen.llvm import assembly, compile_text, compiler_versions, cpu_of, emit_module
from tdsl.errors import LoweringError
from tdsl.ir.affine import linear
from tdsl.ir.equal import fingerprint
from tdsl.ir.expr import Expr, Var
from tdsl.ir.nest import print_expr
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Param as ProgramParam
from tdsl.ir.stmt import Program
from tdsl.lower import lower
from tdsl.lower.checked_accesses import CheckedAccess, checked_accesses
from tdsl.lower.packing import packing_program, physical_params
from tdsl.runtime.cache import content_key, default_cache
from tdsl.runtime.kernel import Kernel, load_kernel
from tdsl.runtime.native.entry import entry_ir, entry_key, has_fast_path
from tdsl.runtime.signature import Dim, Param, Role, Signature
from tdsl.scheduling import Schedule
from tdsl.target import Target, TargetKind, host
from tdsl.target import target as parse_target

_RECURSION = 20_000  # expressions nest as deep as unrolled sums are long


def build(source: Schedule | Program, target: Target | str | None = None) -> Kernel:
    """Compile a schedule, or a scheduled program, for a target and link it into this process.

    Args:
        source: what to compile.
        target: what to compile for; None: the schedule's own target, or this machine's processor.

    Raises:
        LoweringError: the target cannot run the schedule as written, or this machine cannot run
            code for the target.
    """
    program = source.program if isinstance(source, Schedule) else source
    if target is None and isinstance(source, Schedule):
        target = source.target
    machine = parse_target(target)
    _check_runs_here(machine)
    return _link(program, machine)


def _link(program: Program, target: Target) -> Kernel:
    artifact = compile_program(program, target)
    packers = {
        param.buffer.name: _link(packing_program(program, param, target), target)
        for param in program.params
        if param.layout is not None
    }
    return load_kernel(
        artifact.signature,
        artifact.code,
        artifact.symbol,
        sources=artifact.sources,
        packers=packers,
        accesses=artifact.accesses,
    )


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled kernel before it is linked.

    Attributes:
        signature: what the kernel takes.
        symbol: its ABI v1 function.
        code: an ELF object that holds the function and its call path.
        accesses: texts of the checked accesses, by number.
        sources: its stages as text, made when called.
    """

    signature: Signature
    symbol: str
    code: bytes
    accesses: tuple[str, ...]
    sources: Mapping[str, Callable[[], str]]


def compile_program(program: Program, target: Target) -> Artifact:
    """The object of a scheduled program, from the cache where it is there."""
    signature = signature_of(program, target)
    stages = _Stages(program, target, signature)
    key = _cache_key(program, target)
    cache = default_cache()
    entry = cache.load(key)
    if entry is not None:
        code = entry.code
    else:
        code = compile_text(stages.module, target)
        cache.store(key, code, {"kernel": program.name, "target": target.text})
    accesses = _access_texts(stages.accesses)
    return Artifact(signature, program.name, code, accesses, stages.sources())


class _Stages:
    """The stages of one kernel, each made once, when asked for."""

    def __init__(self, program: Program, target: Target, signature: Signature) -> None:
        self.program = program
        self.target = target
        self.signature = signature
        self.accesses = checked_accesses(program)
        self._lowered: Program | None = None
        self._llvm: str | None = None

    @property
    def lowered(self) -> Program:
        """The program in flat loops over vectors."""
        if self._lowered is None:
            with _deep_recursion():
                self._lowered = lower(self.program, self.target).program
        return self._lowered

    @property
    def llvm(self) -> str:
        """LLVM IR of the kernel."""
        if self._llvm is None:
            dims = {number: access.dim for number, access in self.accesses.items()}
            with _deep_recursion():
                self._llvm = emit_module(self.lowered, self.target, self.program.name, dims)
        return self._llvm

    @property
    def module(self) -> str:
        """LLVM IR of the kernel and the machine code that calls from Python go through."""
        if not has_fast_path(self.signature):
            return self.llvm
        packed = [p.buffer.name for p in self.program.params if p.layout is not None]
        return self.llvm + entry_ir(self.signature, self.program.name, packed=packed)

    def sources(self) -> dict[str, Callable[[], str]]:
        """What `Kernel.source` offers."""
        return {
            "ir": lambda: print_program(self.program),
            "lowered": lambda: print_program(self.lowered),
            "llvm": lambda: self.llvm,
            "asm": lambda: assembly(self.llvm, self.target),
        }


@contextmanager
def _deep_recursion() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _RECURSION))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _check_runs_here(target: Target) -> None:
    if target.kind is not TargetKind.LLVM:
        raise LoweringError(f"the driver has no code generator for {target}")
    if target.is_native:
        return
    here = host()
    missing = [name for name in target.features if name not in here.features]
    if target.triple != here.triple:
        raise LoweringError(
            f"code for {target} ({target.triple}) does not run on this machine ({here.triple})"
        )
    if missing:
        raise LoweringError(
            f"code for {target} does not run on this machine, which lacks {', '.join(missing)}"
        )


def _cache_key(program: Program, target: Target) -> str:
    return content_key(
        "kernel",
        fingerprint(program),
        target.triple,
        *cpu_of(target),
        repr((target.features, target.vector_bits, target.vector_registers)),
        compiler_versions(),
        entry_key(),
        _compiler_stamp(),
    )


@lru_cache(maxsize=1)
def _compiler_stamp() -> str:
    """Sizes and times of tdsl's own source files: an edited compiler makes new objects."""
    root = Path(__file__).parent
    stamp = []
    for folder in ("", "ir", "lower", "lower/maths", "codegen/llvm", "runtime/native"):
        with os.scandir(root / folder) as files:
            for file in files:
                if file.name.endswith(".py"):
                    status = file.stat()
                    stamp.append((folder, file.name, status.st_size, status.st_mtime_ns))
    return repr(sorted(stamp))


def _access_texts(accesses: Mapping[int, CheckedAccess]) -> tuple[str, ...]:
    last = max(accesses, default=-1)
    return tuple(accesses[number].text if number in accesses else "" for number in range(last + 1))


def signature_of(program: Program, target: Target) -> Signature:
    """What the kernel of a program takes, as the runtime describes it."""
    params = tuple(
        Param(
            name=param.buffer.name,
            dtype=param.buffer.dtype.name,
            shape=tuple(_dim(param, extent) for extent in param.buffer.shape),
            any_strides=param.buffer.strided,
            role=Role(param.role.value),
        )
        for param in physical_params(program, target)
    )
    sizes = tuple(size.name for size in program.sizes)
    return Signature(program.name, params, sizes, tuple(map(print_expr, program.assume)))


def _dim(param: ProgramParam, extent: Expr) -> Dim:
    form = linear(extent)
    terms = []
    for atom, factor in form.terms.items():
        if not isinstance(atom, Var):
            raise LoweringError(
                f"{param.buffer.name} is passed with an extent {print_expr(extent)}, "
                "which is not a sum of multiples of sizes",
                hint="prepack an argument of constant shape, or cache_read it and lay out the copy",
            )
        terms.append((atom.name, factor))
    return Dim(tuple(terms), form.const)
