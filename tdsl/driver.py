"""From a schedule to a kernel: lower, write LLVM IR or OpenCL C, compile or load from the cache.

A kernel's object is found by a hash of everything that its machine code depends on: the scheduled
program, the processor, and the versions of tdsl and LLVM. Text forms are made when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tdsl import options
from tdsl.cache import content_key, default_cache, source_stamp
from tdsl.codegen.llvm.compile import compile_text, compiler_versions
from tdsl.codegen.llvm.host import cpu_of
from tdsl.errors import LoweringError
from tdsl.ir.affine import linear
from tdsl.ir.equal import fingerprint
from tdsl.ir.expr import Expr, Var
from tdsl.ir.nest import print_expr
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Param as ProgramParam, Program
from tdsl.runtime.kernel import Kernel, load_kernel, packing_tag
from tdsl.runtime.native.entry import entry_ir, entry_key, has_fast_path
from tdsl.runtime.signature import Dim, Param, Role, Signature
from tdsl.scheduling import Schedule
from tdsl.target import Target, TargetKind, host, target as parse_target

if TYPE_CHECKING:
    from tdsl.codegen.llvm.stages import Stages
    from tdsl.codegen.lowering import Lowering
    from tdsl.codegen.opencl.stages import Stages as OpenclStages


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
    if machine.kind is TargetKind.LLVM:
        check_runs_here(machine)
    if isinstance(source, Schedule):
        source.remembered.keep()
    return (
        _link(program, machine)
        if machine.kind is TargetKind.LLVM
        else _link_opencl(program, machine)
    )


def _link(program: Program, target: Target) -> Kernel:
    return link_bundle(compile_bundle(program, target))


def link_bundle(bundle: Bundle) -> Kernel:
    """Make a compiled kernel callable."""
    artifact = bundle.artifact
    return load_kernel(
        artifact.signature,
        artifact.code,
        artifact.symbol,
        sources=artifact.sources,
        packers={name: link_bundle(Bundle(one, {})) for name, one in bundle.packers.items()},
        accesses=artifact.accesses,
    )


def compile_bundle(program: Program, target: Target) -> Bundle:
    """The object of a scheduled program, and those that pack its arguments."""
    packers = {
        name: compile_program(packer, target)
        for name, packer in packing_programs(program, target).items()
    }
    return Bundle(compile_program(program, target), packers)


def packing_programs(program: Program, target: Target) -> dict[str, Program]:
    """Programs that pack the arguments that are passed in a layout of their own."""
    laid_out = [param for param in program.params if param.layout is not None]
    if not laid_out:
        return {}
    from tdsl.lower.packing import packing_program

    return {param.buffer.name: packing_program(program, param, target) for param in laid_out}


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


@dataclass(frozen=True, slots=True)
class Bundle:
    """A compiled kernel with the kernels that pack some of its arguments, by argument."""

    artifact: Artifact
    packers: Mapping[str, Artifact]


def compile_program(program: Program, target: Target) -> Artifact:
    """The object of a scheduled program, from the cache where it is there."""
    signature = signature_of(program, target)
    stages = _llvm_stages(program, target)
    key = _cache_key(program, target)
    objects = default_cache()
    entry = None if options.passes_are_watched() else objects.load(key)
    if entry is None:
        made = stages()
        code = compile_text(made.llvm + _call_path(signature, program), target)
        accesses = made.accesses
        objects.store(
            key, code, {"kernel": program.name, "target": target.text, "accesses": accesses}
        )
    else:
        code, accesses = entry.code, list(entry.metadata["accesses"])
    sources = _sources(program, stages)
    sources |= {"llvm": lambda: stages().llvm, "asm": lambda: stages().asm}
    return Artifact(signature, program.name, code, tuple(accesses), sources)


def _call_path(signature: Signature, program: Program) -> str:
    """LLVM IR of what calls from Python go through."""
    if not has_fast_path(signature):
        return ""
    packed = [param.buffer.name for param in program.params if param.layout is not None]
    return entry_ir(signature, program.name, packed=packed)


def _llvm_stages(program: Program, target: Target) -> Callable[[], Stages]:
    """Lowering and code generation, loaded when something is compiled or a source is asked for."""

    @cache
    def stages() -> Stages:
        # a third of all modules: a process that finds its kernels in the cache does without
        from tdsl.codegen.llvm.stages import Stages

        return Stages(program, target)

    return stages


def _sources(program: Program, stages: Callable[[], Lowering]) -> dict[str, Callable[[], str]]:
    """What `Kernel.source` offers for every target."""
    return {
        "ir": lambda: print_program(program),
        "lowered": lambda: print_program(stages().lowered),
    }


def _link_opencl(program: Program, target: Target) -> Kernel:
    """A kernel on an OpenCL device; its text comes from the object cache where it is there."""
    from tdsl.runtime.devices import load_device_kernel

    signature = signature_of(program, target)
    stages = _opencl_stages(program, target)
    key = content_key("opencl", fingerprint(program), target.text, source_stamp(*_OPENCL_COMPILER))
    objects = default_cache()
    entry = None if options.passes_are_watched() else objects.load(key)
    if entry is None:
        made = stages()
        source, plan, accesses = made.module.source, made.module.plan, made.accesses
        objects.store(
            key,
            source.encode(),
            {"kernel": program.name, "target": target.text, "plan": plan, "accesses": accesses},
        )
    else:
        source, plan = entry.code.decode(), entry.metadata["plan"]
        accesses = entry.metadata["accesses"]
    return load_device_kernel(
        signature,
        source,
        plan,
        device=target.cpu,
        sources={"opencl": source, **_sources(program, stages)},
        packers={
            name: (packing_tag(name, packer), packer)
            for name, packer in (
                (name, _link(packing, host()))
                for name, packing in packing_programs(program, host()).items()
            )
        },
        accesses=accesses,
    )


def _opencl_stages(program: Program, target: Target) -> Callable[[], OpenclStages]:
    """Lowering and code generation for a device, loaded when they are needed."""

    @cache
    def stages() -> OpenclStages:
        from tdsl.codegen.opencl.stages import Stages

        return Stages(program, target)

    return stages


def check_runs_here(target: Target) -> None:
    """See that this machine can run code for a target.

    Raises:
        LoweringError: it cannot; the message says what it lacks.
    """
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


_OPENCL_COMPILER = ("", "ir", "lower", "lower/maths", "codegen", "codegen/opencl")
_COMPILER = ("", "ir", "lower", "lower/maths", "codegen", "codegen/llvm", "runtime/native")


def _cache_key(program: Program, target: Target) -> str:
    return content_key("kernel", fingerprint(program), *compiler_key(target))


def compiler_key(target: Target) -> tuple[str, ...]:
    """What machine code depends on besides the program: the processor, tdsl and LLVM."""
    return (
        target.triple,
        *cpu_of(target),
        repr((target.features, target.vector_bits, target.vector_registers)),
        compiler_versions(),
        entry_key(),
        source_stamp(*_COMPILER),
    )


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
        for param in _passed(program, target)
    )
    sizes = tuple(size.name for size in program.sizes)
    return Signature(program.name, params, sizes, tuple(map(print_expr, program.assume)))


def _passed(program: Program, target: Target) -> tuple[ProgramParam, ...]:
    """The parameters as they are passed: prepacked ones have the shape of their storage."""
    if all(param.layout is None for param in program.params):
        return program.params
    from tdsl.lower.packing import physical_params

    return physical_params(program, target)


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
