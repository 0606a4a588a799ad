"""Kernels of fused groups: one function for each different group, built once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace

from tdsl.errors import LoweringError, ScheduleError
from tdsl.graph.bodies import form_of
from tdsl.graph.examples import Unlike
from tdsl.graph.fusion import Group
from tdsl.graph.ir import Array, Node, Value
from tdsl.graph.joining import has_joined_rows, rows_joined
from tdsl.graph.ops.elementwise import Elementwise, Scalar
from tdsl.graph.packing import PackedConstants
from tdsl.graph.symbolic import Fellows, Sized, SymbolicKernels
from tdsl.lang.func import Func, func
from tdsl.lang.tensor import Tensor, placeholder
from tdsl.runtime.kernel import Kernel
from tdsl.scheduling import Schedule

Builder = Callable[[Func, frozenset[str]], Kernel]
"""Compiles a function, of whose arguments those named stay the same from run to run."""


@dataclass(frozen=True, slots=True)
class GroupKernel:
    """A kernel and the values that it takes, in order: inputs, outputs, and numbers for its sizes.

    Constants that the kernel wants in another layout are replaced by packed ones.
    """

    kernel: Kernel
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    group: Group
    sizes: tuple[int, ...] = ()


class KernelTable:
    """Kernels by what they compute: groups that differ in names and constants only share one.

    With `symbolic`, kernels serve further sizes, as far as `fellows` shows how.

    Attributes: `packed`, the constants in layouts that kernels asked for; `fallbacks`, why a kernel
    runs as its algorithm is written; `single`, why one serves these sizes only.
    """

    def __init__(
        self, build: Builder, build_simply: Callable[[Func], Kernel],
        constants: Mapping[Value, Array], packed: PackedConstants,
        symbolic: SymbolicKernels | None = None, fellows: Fellows | None = None,
    ) -> None:  # fmt: skip
        self._build = build
        self._build_simply = build_simply
        self._constants = constants
        self.packed = packed
        self._symbolic, self._fellows = symbolic, fellows
        self._kernels: dict[Hashable, Sized] = {}
        self._algorithms: list[Func] = []
        self._fixed: list[frozenset[str]] = []
        self.fallbacks: list[str] = []
        self.single: list[str] = []

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
        (kernel, sizes), inputs = self.compiled(group)
        operands = self.packed.operands(kernel, inputs, self._constants)
        return GroupKernel(kernel, operands, group.sink.outputs, group, sizes)

    def compiled(self, group: Group) -> tuple[Sized, tuple[Value, ...]]:
        """The kernel of a group, and its inputs in order before constants are packed."""
        parts = _parts(group, self._constants)
        key = _key(group, parts)
        if key not in self._kernels:
            function = group_func(group, parts)
            self._algorithms.append(function)
            names = parts.constant_names
            self._fixed.append(names)
            sized = self._for_any_size(group, function, names)
            self._kernels[key] = sized or (self._made(function, names), ())
        return self._kernels[key], parts.inputs

    def _for_any_size(
        self, group: Group, function: Func, constants: frozenset[str]
    ) -> Sized | None:  # fmt: skip
        """A kernel that serves further sizes; None where there is none, `single` says why."""
        if self._symbolic is None or self._fellows is None:
            return None
        if has_joined_rows(group):
            function = group_func(group, _parts(group, self._constants), joined=True)
        found = self._symbolic.find(function, constants)
        if found is not None:
            return found
        try:
            other = _fellow_func(group, self._fellows, constants)
            return self._symbolic.make(
                function, other, constants, lambda f: self._build(f, constants)
            )
        except Unlike as error:
            self.single.append(f"{function.name}: {error}")
        except (ScheduleError, LoweringError) as error:
            self.single.append(f"{function.name}: {error.message}")
        return None

    def _made(self, function: Func, constants: frozenset[str]) -> Kernel:
        try:
            return self._build(function, constants)
        except (ScheduleError, LoweringError) as error:
            self.fallbacks.append(f"{function.name}: {error.message}")
            return self._build_simply(function)


def _fellow_func(group: Group, fellows: Fellows, constants: frozenset[str]) -> Func:
    """A group's algorithm for other sizes.

    Raises:
        Unlike: it is another one.
    """
    fellow, model = fellows.of(group)
    parts, joined = _parts(fellow, model.constants), has_joined_rows(group)
    if parts.constant_names != constants or has_joined_rows(fellow) != joined:
        raise Unlike("other operands are constant or broadcast")
    return group_func(fellow, parts, joined=joined)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a group reads: arrays in order, and constants that are numbers within the kernel."""

    inputs: tuple[Value, ...]
    scalars: Mapping[Value, Scalar]
    fixed: frozenset[int]

    @property
    def constant_names(self) -> frozenset[str]:
        """The names of inputs that are constants."""
        return frozenset(map(argument_name, self.fixed))


def _parts(group: Group, constants: Mapping[Value, Array]) -> _Parts:
    scalars = _scalars(group, constants)
    inputs = tuple(v for v in group.inputs if v not in scalars)
    return _Parts(inputs, scalars, frozenset(n for n, v in enumerate(inputs) if v in constants))


def group_func(group: Group, parts: _Parts, *, joined: bool = False) -> Func:
    """A group as an algorithm; `joined`: on matrices, as `has_joined_rows` allows."""
    tensors: dict[Value, Tensor | Scalar] = dict(parts.scalars)
    if joined:
        tensors = {v: replace(s, shape=rows_joined(s.shape)) for v, s in parts.scalars.items()}
    for n, value in enumerate(parts.inputs):
        shape = rows_joined(value.shape) if joined else value.shape
        tensors[value] = placeholder(shape, value.dtype, name=argument_name(n))
    for n, node in enumerate(group.nodes):
        made = _body(node, [tensors[v] for v in node.inputs], f"{node.op.name}{n}")
        tensors.update(zip(node.outputs, made, strict=True))
    parameters = [tensors[v] for v in parts.inputs]
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


def _key(group: Group, parts: _Parts) -> Hashable:
    number: dict[Value, Hashable] = {v: n for n, v in enumerate(parts.inputs)}
    number.update((v, repr(s)) for v, s in parts.scalars.items())
    count = len(parts.inputs)
    items: list[Hashable] = [parts.fixed, *(form_of(v) for v in parts.inputs)]
    for node in group.nodes:
        items.append((node.op, tuple(number[v] for v in node.inputs)))
        for value in node.outputs:
            number[value] = count
            count += 1
    return tuple(items)


def canonical(function: Func) -> Schedule:
    """The loop nest as the algorithm says, which always builds."""
    return Schedule(function)
