"""Kernels of fused groups: one function for each different group, built once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from tdsl.errors import LoweringError, ScheduleError
from tdsl.graph.bodies import form_of
from tdsl.graph.fusion import Group
from tdsl.graph.ir import Array, Node, Value
from tdsl.graph.ops.elementwise import Elementwise, Scalar
from tdsl.graph.packing import PackedConstants
from tdsl.lang.func import Func, func
from tdsl.lang.tensor import Tensor, placeholder
from tdsl.runtime.kernel import Kernel
from tdsl.scheduling import Schedule

Builder = Callable[[Func, frozenset[str]], Kernel]
"""Compiles a function, of whose arguments those named stay the same from run to run."""


@dataclass(frozen=True, slots=True)
class GroupKernel:
    """A kernel and the values that it takes, in order: inputs, then outputs.

    Constants that the kernel wants in another layout are replaced by packed ones.
    """

    kernel: Kernel
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    group: Group


class KernelTable:
    """Kernels by what they compute: groups that differ in names and constants only share one.

    Attributes: `packed`, the constants in layouts that kernels asked for.
    """

    def __init__(
        self, build: Builder, build_simply: Callable[[Func], Kernel],
        constants: Mapping[Value, Array], packed: PackedConstants,
    ) -> None:  # fmt: skip
        self._build = build
        self._build_simply = build_simply
        self._constants = constants
        self.packed = packed
        self._kernels: dict[Hashable, Kernel] = {}
        self._algorithms: list[Func] = []
        self._fixed: list[frozenset[str]] = []
        self.hits = 0
        self.fallbacks: list[str] = []

    @property
    def built(self) -> int:
        """How many different kernels there are."""
        return len(self._kernels)

    @property
    def algorithms(self) -> tuple[Func, ...]:
        """What the different kernels compute."""
        return tuple(self._algorithms)

    @property
    def fixed(self) -> tuple[frozenset[str], ...]:
        """Of each algorithm, the names of the arguments that are constants of the model."""
        return tuple(self._fixed)

    def kernel(self, group: Group) -> GroupKernel:
        """The kernel of a group."""
        kernel, inputs = self.compiled(group)
        operands = self.packed.operands(kernel, inputs, self._constants)
        return GroupKernel(kernel, operands, group.sink.outputs, group)

    def compiled(self, group: Group) -> tuple[Kernel, tuple[Value, ...]]:
        """The kernel of a group, and its inputs in order before constants are packed."""
        scalars = _scalars(group, self._constants)
        inputs = tuple(v for v in group.inputs if v not in scalars)
        fixed = frozenset(n for n, v in enumerate(inputs) if v in self._constants)
        key = _key(group, inputs, scalars), fixed
        kernel = self._kernels.get(key)
        if kernel is None:
            function = group_func(group, inputs, scalars)
            self._algorithms.append(function)
            names = frozenset(map(argument_name, fixed))
            self._fixed.append(names)
            kernel = self._kernels[key] = self._made(function, names)
        else:
            self.hits += 1
        return kernel, inputs

    def _made(self, function: Func, constants: frozenset[str]) -> Kernel:
        try:
            return self._build(function, constants)
        except (ScheduleError, LoweringError) as error:
            self.fallbacks.append(f"{function.name}: {error.message}")
            return self._build_simply(function)


def group_func(group: Group, inputs: tuple[Value, ...], scalars: Mapping[Value, Scalar]) -> Func:
    """A group as an algorithm."""
    tensors: dict[Value, Tensor | Scalar] = dict(scalars)
    for n, value in enumerate(inputs):
        tensors[value] = placeholder(value.shape, value.dtype, name=argument_name(n))
    for n, node in enumerate(group.nodes):
        made = _body(node, [tensors[v] for v in node.inputs], f"{node.op.name}{n}")
        tensors.update(zip(node.outputs, made, strict=True))
    parameters = [tensors[v] for v in inputs]
    results = [tensors[v] for v in group.sink.outputs]
    return func(
        group.name[:60].rstrip("_"),
        [t for t in parameters if isinstance(t, Tensor)],
        [t for t in results if isinstance(t, Tensor)],
    )


def argument_name(number: int) -> str:
    """The name of an input of a group's function."""
    return f"x{number}"


def _body(node: Node, operands: list[Tensor | Scalar], name: str) -> tuple[Tensor, ...]:
    if isinstance(node.op, Elementwise):
        return (node.op.apply(operands, name),)
    return node.op.body([x for x in operands if isinstance(x, Tensor)], name)


def _scalars(group: Group, constants: Mapping[Value, Array]) -> dict[Value, Scalar]:
    """Constants of one element that only elementwise nodes read."""
    found: dict[Value, Scalar] = {}
    for value in group.inputs:
        array = constants.get(value)
        readers = [node for node in group.nodes if value in node.inputs]
        plain = all(isinstance(n.op, Elementwise) for n in readers)
        varies = any(set(n.inputs) - constants.keys() for n in readers)
        if array is not None and array.size == 1 and plain and varies:
            found[value] = Scalar(array.reshape(-1)[0].item(), value.dtype, value.shape)
    return found


def _key(group: Group, inputs: tuple[Value, ...], scalars: Mapping[Value, Scalar]) -> Hashable:
    number: dict[Value, Hashable] = {v: n for n, v in enumerate(inputs)}
    number.update((v, repr(s)) for v, s in scalars.items())
    count = len(inputs)
    parts: list[Hashable] = [form_of(v) for v in inputs]
    for node in group.nodes:
        parts.append((node.op, tuple(number[v] for v in node.inputs)))
        for value in node.outputs:
            number[value] = count
            count += 1
    return tuple(parts)


def canonical(function: Func) -> Schedule:
    """The loop nest as the algorithm says, which always builds."""
    return Schedule(function)
