"""From a graph to something that runs: passes, fusion, kernels, memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tdsl import driver
from tdsl.graph.executable import Executable
from tdsl.graph.fusion import Fusion, Group, plan_fusion
from tdsl.graph.ir import Model, Value
from tdsl.graph.kept import kept_kernel
from tdsl.graph.kernels import GroupKernel, KernelTable, canonical
from tdsl.graph.kinds import Kind
from tdsl.graph.packing import PackedConstants
from tdsl.graph.passes.outputs import separate_outputs
from tdsl.graph.passes.pipeline import PassReport, run_passes
from tdsl.graph.recorded import tuned_or_default
from tdsl.graph.symbolic import Fellows, SymbolicKernels
from tdsl.lang.func import Func
from tdsl.runtime.kernel import Kernel
from tdsl.schedules.default import default_schedule
from tdsl.target import Target, TargetKind, target as parse_target

if TYPE_CHECKING:
    from tdsl.graph.device_executable import DeviceExecutable


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What became of a model.

    Attributes: `passes`, `fusion`, `nodes` (imported), `kernels` (calls in a run), `different`
    (kernels compiled), `tuned` (kernels with recorded schedules), `fallbacks` (why a kernel runs
    as its algorithm is written), `single` (of a model with symbolic dimensions: why a kernel serves
    these sizes only), `memory`.
    """

    passes: tuple[PassReport, ...]
    fusion: Fusion
    nodes: int
    kernels: int
    different: int
    tuned: tuple[str, ...]
    fallbacks: tuple[str, ...]
    single: tuple[str, ...]
    memory: str

    def __str__(self) -> str:
        lines = [*map(str, self.passes), ""]
        lines.append(f"{self.nodes} nodes, {self.kernels} kernels, {self.different} different")
        lines.append(self.memory)
        lines += [f"tuned: {name}" for name in self.tuned]
        lines += [f"fallback: {text}" for text in self.fallbacks]
        lines += [f"for these sizes only: {text}" for text in self.single]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model that is ready to run, and the different algorithms of its kernels.

    `constant_names` are the arguments of each algorithm that are constants of the model.
    """

    executable: Executable | DeviceExecutable
    model: Model
    report: CompileReport
    algorithms: tuple[Func, ...]
    constant_names: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, slots=True)
class AnySize:
    """What lets the kernels of a model serve further sizes.

    Attributes: `kernels`, those that there are; `other`, the same model for other sizes.
    """

    kernels: SymbolicKernels
    other: Callable[[], Model]

    def fellows(self, fusion: Fusion, target: Target | None, disabled: Collection[str]) -> Fellows:
        """The groups of the other model beside those of this one."""

        def planned() -> tuple[Model, tuple[Group, ...]]:
            optimised, _, other = plan_model(self.other(), target, disabled)
            return optimised, other.groups

        return Fellows(fusion.groups, planned)


_OF_PROCESSORS = ("layout", "winograd")
"""Passes for what the schedules of processors do best."""


def plan_model(
    model: Model, target: Target | None, disabled: Collection[str]
) -> tuple[Model, tuple[PassReport, ...], Fusion]:
    """The graph after all passes, what these did, and which nodes become one kernel.

    Raises:
        GraphError: an unknown name in `disabled`.
    """
    machine = parse_target(target)
    others = [name for name in disabled if name != "fusion"]
    if machine.kind is TargetKind.OPENCL:
        others += [name for name in _OF_PROCESSORS if name not in others]
    optimised, passes = run_passes(model, others)
    optimised = separate_outputs(optimised)
    fusion = plan_fusion(optimised, fuse="fusion" not in disabled, large=machine.l3)
    return optimised, passes, fusion


def _kept(
    f: Func, constants: frozenset[str], target: Target | None,
    missed: Callable[[], None] = lambda: None,
) -> Kernel:  # fmt: skip
    return kept_kernel(f, constants, target, lambda: default_schedule(f, target, constants), missed)


def fill_cache(
    model: Model, target: Target | None, disabled: Collection[str], first: float,
    sizes: AnySize | None = None,
) -> None:  # fmt: skip
    """Put a model's kernels into the cache, backwards from a place (0 to 1) in their order.

    Raises:
        GraphError, LoweringError: as `compile_model`.
    """
    optimised, _, fusion = plan_model(model, target, disabled)
    table = KernelTable(
        lambda f, constants: _kept(f, constants, target),
        lambda f: driver.build(canonical(f), target),
        optimised.constants,
        PackedConstants(),
        None if sizes is None else sizes.kernels,
        None if sizes is None else sizes.fellows(fusion, target, disabled),
    )
    groups = [group for group in fusion.groups if not group.has(Kind.VIEW)]
    place = round(first * len(groups))
    for group in (*groups[:place][::-1], *groups[place:][::-1]):
        table.compiled(group)


def compile_model(
    model: Model, target: Target | None = None, disabled: Collection[str] = (), *,
    tuned: bool = False, packed: PackedConstants | None = None,
    missed: Callable[[], None] = lambda: None, sizes: AnySize | None = None,
) -> Compiled:  # fmt: skip
    """Compile a graph.

    Args:
        model: the graph.
        target: what to compile for; None: this machine's processor.
        disabled: names of passes, or "fusion", that are left out.
        tuned: whether kernels get the schedules that the tuner recorded, where there are some.
        packed: the constants that were packed for other shapes of the same model.
        missed: called for each kernel that is not in the cache, before it is made.
        sizes: lets kernels serve other sizes of the same model; None: these sizes only.

    Raises:
        GraphError: an unknown name in `disabled`.
        LoweringError: the target cannot run a kernel.
    """
    nodes = len(model.nodes)
    optimised, passes, fusion = plan_model(model, target, disabled)
    recorded: list[str] = []

    def build(f: Func, constants: frozenset[str]) -> Kernel:
        if tuned:
            return driver.build(tuned_or_default(f, target, constants, recorded), target)
        return _kept(f, constants, target, missed)

    table = KernelTable(
        build,
        lambda f: driver.build(canonical(f), target),
        optimised.constants,
        PackedConstants() if packed is None else packed,
        None if sizes is None else sizes.kernels,
        None if sizes is None else sizes.fellows(fusion, target, disabled),
    )
    steps, views = steps_of(fusion, table)
    constants = {**optimised.constants, **table.packed.arrays}
    executable = _executable(replace(optimised, constants=constants), steps, views, target)
    report = CompileReport(
        passes, fusion, nodes, len(steps), table.built, tuple(recorded), tuple(table.fallbacks),
        tuple(table.single),
        f"{executable.memory}, packed constants {table.packed.nbytes / (1 << 20):.2f} MiB",
    )  # fmt: skip
    return Compiled(executable, optimised, report, table.algorithms, table.fixed)


def steps_of(
    fusion: Fusion, table: KernelTable
) -> tuple[list[GroupKernel], dict[Value, tuple[Value, int]]]:
    """The kernels of all groups, and the values that lie in another one's memory instead."""
    views: dict[Value, tuple[Value, int]] = {}
    steps = []
    for group in fusion.groups:
        if group.has(Kind.VIEW):
            source = group.sink.inputs[0]
            start = group.sink.view_start or 0
            views[group.sink.output] = source, start * source.dtype.bits // 8
        else:
            steps.append(table.kernel(group))
    return steps, views


def _executable(
    model: Model, steps: Sequence[GroupKernel], views: Mapping[Value, tuple[Value, int]],
    target: Target | None,
) -> Executable | DeviceExecutable:  # fmt: skip
    machine = parse_target(target)
    if machine.kind is TargetKind.OPENCL:
        from tdsl.graph.device_executable import DeviceExecutable  # an optional back end

        return DeviceExecutable(model, steps, views, machine)
    return Executable(model, steps, views)
