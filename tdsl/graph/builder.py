"""`td.graph.Graph`: build a model operator by operator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdsl.dtypes import DType, as_dtype
from tdsl.graph.bodies import evaluate, form_of, result_forms
from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Array, Model, Node, Op, Value
from tdsl.graph.ops.elementwise import Cast, Elementwise
from tdsl.graph.ops.linear import Conv, MatMul
from tdsl.graph.ops.movement import Concat, Copy, Reshape, Transpose
from tdsl.graph.ops.reductions import Normalise, Reduce, ReduceKind, Softmax
from tdsl.graph.ops.windows import AveragePool, MaxPool, Window


class Graph:
    """A model under construction: `td.Session(graph)` compiles it.

    Each method that adds an operator returns its result, a value with a `shape` (numbers) and a
    `dtype`, and raises a TdslError where the operator refuses the shapes or types it is given.

    >>> import tdsl as td
    >>> g = td.graph.Graph()
    >>> x = g.input("x", (2, 3))
    >>> w = g.constant(np.ones((3, 4), np.float32))
    >>> g.output("y", g.apply("relu", g.matmul(x, w)))
    >>> print(g.build())
    input x: f32[2, 3]
    matmul_2: f32[2, 4] = matmul(x, c_1)
    relu_3: f32[2, 4] = relu(matmul_2)
    output y = relu_3
    """

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
        """
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
            GraphError: two outputs of one name.
        """
        if name in self._outputs:
            raise GraphError(f"two outputs are called {name!r}")
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

    def build(self) -> Model:
        """The graph as it stands.

        Raises:
            GraphError: there is no output.
        """
        if not self._outputs:
            raise GraphError("the graph has no output", hint="g.output('y', value)")
        nodes = tuple(n for n in self._nodes if n.outputs[0] not in self._constants)
        return Model(tuple(self._inputs), tuple(self._outputs.items()), nodes, self._constants)

    # -- operators by name ---------------------------------------------------------------------

    def apply(self, function: str, *operands: Value, numbers: Sequence[float] = ()) -> Value:
        """An elementwise function of values of one dtype, their shapes broadcast as numpy's are.

        Args:
            function: a key of `tdsl.graph.ops.elementwise.FUNCTIONS`, such as "add" or "relu".
            operands: as many as the function takes.
            numbers: further parameters, such as the slope of "leaky_relu".
        """
        return self.one(Elementwise(function, tuple(numbers)), *operands)

    def cast(self, x: Value, dtype: DType | str) -> Value:
        """Another element type: floats to integers saturate, integers wrap."""
        kind = as_dtype(dtype)
        return x if x.dtype is kind else self.one(Cast(kind), x)

    def matmul(
        self, a: Value, b: Value, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> Value:
        """The product a[..., m, k] by b[..., k, n], of shape [..., m, n]; leading axes broadcast.

        With `transpose_a` a is [..., k, m], with `transpose_b` b is [..., n, k].
        """
        return self.one(MatMul(transpose_a, transpose_b), a, b)

    def conv(self, x: Value, w: Value, window: Window | None = None, groups: int = 1) -> Value:
        """The convolution of images x[n, channels, ...] by w[channels out, channels / groups, ...].

        Without a window it moves by one and has no borders.
        """
        return self.one(Conv(window or plain_window(w.shape[2:]), groups), x, w)

    def max_pool(self, x: Value, window: Window) -> Value:
        """The greatest element of each window of x[n, channels, ...]."""
        return self.one(MaxPool(window), x)

    def average_pool(self, x: Value, window: Window, *, with_borders: bool = False) -> Value:
        """The mean of each window of x[n, channels, ...], over elements of the image.

        With `with_borders` the elements of the borders count, as zeros.
        """
        return self.one(AveragePool(window, with_borders), x)

    def reduce(
        self, kind: ReduceKind | str, x: Value, axes: Sequence[int], *, keep: bool = True
    ) -> Value:
        """A reduction over axes (negative ones count from the end); with none, the operand itself.

        Args:
            kind: "sum", "mean", "max", ... (`td.graph.ReduceKind`).
            x: what is reduced.
            axes: over which axes.
            keep: whether they stay, with an extent of 1.
        """
        places = tuple(sorted({axis % len(x.shape) for axis in axes}))
        return self.one(Reduce(ReduceKind(kind), places, keep), x)

    def softmax(self, x: Value, axis: int = -1, *, log: bool = False) -> Value:
        """Softmax along an axis, or (`log`) its logarithm; the shape stays."""
        return self.one(Softmax(axis % len(x.shape), log), x)

    def layer_norm(
        self, x: Value, scale: Value | None, bias: Value | None, axis: int = -1,
        epsilon: float = 1e-5,
    ) -> Value:  # fmt: skip
        """Normalisation over the axes from `axis` on, scaled and shifted."""
        made = self.one(Normalise(axis % len(x.shape), epsilon), x)
        made = made if scale is None else self.apply("mul", made, scale)
        return made if bias is None else self.apply("add", made, bias)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """Another shape, of numbers, with as many elements in the same order."""
        return x if tuple(shape) == x.shape else self.one(Reshape(tuple(map(int, shape))), x)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """Axes in another order: axis `order[n]` of the operand becomes axis n."""
        return x if list(order) == sorted(order) else self.one(Transpose(tuple(order)), x)

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        """The parts one after the other along an axis; they agree in all others."""
        if len(parts) == 1:
            return parts[0]
        return self.one(Concat(axis % len(parts[0].shape)), *parts)

    def copy(self, x: Value) -> Value:
        """The same elements in memory of their own."""
        return self.one(Copy(), x)

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


def plain_window(kernel: Sequence[int]) -> Window:
    """A window that moves by one, without borders."""
    one, zero = (1,) * len(kernel), (0,) * len(kernel)
    return Window(tuple(kernel), one, one, zero, zero)
