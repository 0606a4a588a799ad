"""The graph of a model: values of fixed shape and element type, and nodes that compute them.

A node's operator is a tensor expression (`Op.body`), so shapes, fusion kinds, constants and kernels
all follow from one definition. Graphs are immutable; a pass makes a new one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

import numpy as np

from tdsl.dtypes import DType
from tdsl.lang.tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor of a model, told apart by identity.

    Attributes: `name` (for people), `shape` (numbers), `dtype`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType

    @property
    def count(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return self.count * self.dtype.bits // 8

    def __repr__(self) -> str:
        return f"<value {self.name}: {self.dtype}{list(self.shape)}>"


@dataclass(frozen=True, slots=True)
class Op(ABC):
    """An operator with its attributes. Two equal ones compute the same."""

    is_view: ClassVar[bool] = False
    """Whether the result is the operand's own elements in their order, under another shape."""

    @property
    def name(self) -> str:
        """The operator's name in reports."""
        return type(self).__name__.lower()

    def view_start(self, shapes: Sequence[tuple[int, ...]]) -> int | None:
        """Where the result lies, in order, among the first operand's elements; None: nowhere.

        `shapes` are those of the operands.
        """
        del shapes
        return 0 if self.is_view else None

    @abstractmethod
    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        """The outputs as tensor expressions of the inputs; `name` begins the names of all."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One use of an operator. `sources` are the nodes of the imported model that it stands for."""

    op: Op
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    sources: tuple[str, ...] = ()

    @property
    def view_start(self) -> int | None:
        """As the operator's, for these operands."""
        return self.op.view_start([v.shape for v in self.inputs])

    @property
    def output(self) -> Value:
        """The first output; most nodes have only one."""
        return self.outputs[0]

    def __repr__(self) -> str:
        results = ", ".join(v.name for v in self.outputs)
        return f"<{results} = {self.op.name}({', '.join(v.name for v in self.inputs)})>"


@dataclass(frozen=True, slots=True)
class Model:
    """A whole graph; nodes are in an order in which they can run.

    Attributes: `inputs`, `outputs` (name and value), `nodes`, `constants` (values that are known).
    """

    inputs: tuple[Value, ...]
    outputs: tuple[tuple[str, Value], ...]
    nodes: tuple[Node, ...]
    constants: Mapping[Value, Array] = field(default_factory=dict)

    @property
    def results(self) -> frozenset[Value]:
        """Values that leave the model."""
        return frozenset(value for _, value in self.outputs)

    def readers(self) -> dict[Value, list[Node]]:
        """The nodes that read each value, in order; one that reads it twice occurs twice."""
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                found.setdefault(value, []).append(node)
        return found

    def producers(self) -> dict[Value, Node]:
        """The node that computes each value."""
        return {value: node for node in self.nodes for value in node.outputs}

    def __str__(self) -> str:
        lines = [f"input {_typed(v)}" for v in self.inputs]
        for node in self.nodes:
            results = ", ".join(map(_typed, node.outputs))
            lines.append(f"{results} = {node.op.name}({', '.join(v.name for v in node.inputs)})")
        lines += [f"output {name} = {value.name}" for name, value in self.outputs]
        return "\n".join(lines)


def _typed(value: Value) -> str:
    return f"{value.name}: {value.dtype.short}[{', '.join(map(str, value.shape))}]"


def rename_inputs(node: Node, renamed: Mapping[Value, Value]) -> Node:
    """The node with some inputs replaced; the very same node where none is."""
    inputs = tuple(renamed.get(v, v) for v in node.inputs)
    if inputs == node.inputs:
        return node
    return Node(node.op, inputs, node.outputs, node.sources)
