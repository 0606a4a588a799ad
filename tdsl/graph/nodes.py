"""Values and nodes of a model under construction, of whatever operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdsl.dtypes import DType, as_dtype
from tdsl.errors import TypeMismatch
from tdsl.graph.bodies import evaluate, form_of, result_forms
from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Array, Model, Node, Op, Value


class Nodes:
    """What `td.graph.Graph` stands on: inputs, constants, nodes and outputs."""

    def __init__(self) -> None:
        self._inputs: list[Value] = []
        self._outputs: dict[str, Value] = {}
        self._nodes: list[Node] = []
        self._constants: dict[Value, Array] = {}
        self._made_by: dict[Value, Node] = {}
        self._count = 0
        self.source = ""
        """What nodes made from now on stand for in an imported model."""

    def input(self, name: str, shape: Sequence[int], dtype: DType | str = "float32") -> Value:
        """Declare an input of a shape of numbers.

        Raises:
            GraphError: two inputs of one name, or a negative extent.
        """
        if any(value.name == name for value in self._inputs):
            raise GraphError(f"two inputs are called {name!r}")
        if any(extent < 0 for extent in shape):
            raise GraphError(f"input {name!r} has a negative extent: {list(shape)}")
        value = Value(name, tuple(map(int, shape)), as_dtype(dtype))
        self._inputs.append(value)
        return value

    def constant(self, array: object, name: str | None = None) -> Value:
        """Give a known array its place in the graph.

        Raises:
            TypeMismatch: an element type that tdsl does not know.
        """
        given = np.asarray(array)
        known = np.ascontiguousarray(given).reshape(given.shape)
        value = Value(name or self._name("c"), known.shape, as_dtype(known.dtype))
        self._constants[value] = known
        return value

    def op(self, op: Op, *inputs: Value) -> tuple[Value, ...]:
        """Add a node; its outputs.

        Raises:
            TdslError: the operator refuses these shapes or types.
            TypeMismatch, GraphError: an operand is no value, or one of another graph.
        """
        for n, value in enumerate(inputs):
            self._check(value, f"operand {n} of {op.name}")
        forms = result_forms(op, tuple(map(form_of, inputs)))
        outputs = tuple(Value(self._name(op.name), *form) for form in forms)
        node = Node(op, inputs, outputs, (self.source,) if self.source else ())
        self._nodes.append(node)
        self._made_by.update(dict.fromkeys(outputs, node))
        return outputs

    def one(self, op: Op, *inputs: Value) -> Value:
        """Add a node with one output."""
        (output,) = self.op(op, *inputs)
        return output

    def output(self, name: str, value: Value) -> None:
        """Let a value leave the model under a name.

        Raises:
            GraphError: two outputs of one name, or a value of another graph.
            TypeMismatch: it is no value.
        """
        if name in self._outputs:
            raise GraphError(f"two outputs are called {name!r}")
        self._check(value, f"output {name!r}")
        self._outputs[name] = value

    def known(self, value: Value) -> Array | None:
        """The array of a value that depends on constants alone; None where inputs matter."""
        if value in self._constants:
            return self._constants[value]
        node = self._made_by.get(value)
        if node is None:
            return None
        arrays = [self.known(operand) for operand in node.inputs]
        found = [array for array in arrays if array is not None]
        if len(found) != len(arrays):
            return None
        self._constants.update(zip(node.outputs, evaluate(node.op, found), strict=True))
        return self._constants[value]

    def root_inputs(self, value: Value) -> tuple[Value, ...]:
        """The model inputs that a value depends on."""
        node = self._made_by.get(value)
        if node is None:
            return () if value in self._constants else (value,)
        found = dict.fromkeys(root for v in node.inputs for root in self.root_inputs(v))
        return tuple(found)

    def makers(self, value: Value) -> list[Node]:
        """The nodes that a value depends on, but for what is known already."""
        found: dict[Node, None] = {}
        waiting = [value]
        while waiting:
            value = waiting.pop()
            node = None if value in self._constants else self._made_by.get(value)
            if node is not None and node not in found:
                found[node] = None
                waiting += node.inputs
        return list(found)

    def build(self) -> Model:
        """The graph as it stands.

        Raises:
            GraphError: there is no output.
        """
        if not self._outputs:
            raise GraphError("the graph has no output", hint="g.output('y', value)")
        nodes = tuple(n for n in self._nodes if n.outputs[0] not in self._constants)
        return Model(tuple(self._inputs), tuple(self._outputs.items()), nodes, self._constants)

    def _check(self, value: object, what: str) -> None:
        if not isinstance(value, Value):
            raise TypeMismatch(
                f"{what} is {type(value).__name__}, not a value of the graph",
                hint="g.constant(array) makes one of an array or a number of a dtype",
            )
        made = value in self._made_by or value in self._constants
        if not made and not any(value is known for known in self._inputs):
            raise GraphError(f"{what}, {value.name!r}, belongs to another graph")

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"
