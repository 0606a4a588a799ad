"""Layouts: images keep their channels last from the first convolution on.

Vectors of channels fill every lane whatever the image's size, and neighbours in memory are read
together by all that works on one pixel. Whatever can follow does, so that only what cannot, and
outputs, see the channels first again. Convolutions of groups work on channels that are parted into
groups, which is a view; so does what is done to each of their elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tdsl.graph.ir import Array, Model, Node, Op, Value
from tdsl.graph.ops.elementwise import Cast, Elementwise
from tdsl.graph.ops.grouped import GroupedConv
from tdsl.graph.ops.linear import Conv
from tdsl.graph.ops.movement import Concat, Pad, Reshape, Slice, Transpose
from tdsl.graph.ops.reductions import Reduce
from tdsl.graph.ops.windows import AveragePool, MaxPool
from tdsl.graph.passes.rebuild import with_nodes
from tdsl.schedules.windows import Layout


def assign_layouts(model: Model) -> Model:
    """Convolutions work with the channels last, and so does what reads them, where it can."""
    if not any(isinstance(node.op, Conv) for node in model.nodes):
        return model
    return _Turning(model).run()


class _Turning:
    """The rewrite.

    `_last` holds, for values whose channels are last now, what stands for them, `_parted` likewise
    with the channels in groups. `_late` holds moves that are made where somebody reads them, and
    `_shuffled` those that part the channels of an image, and perhaps exchange both parts.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._constants: dict[Value, Array] = dict(model.constants)
        self._nodes: list[Node] = []
        self._last: dict[Value, Value] = {}
        self._parted: dict[Value, Value] = {}
        self._late: dict[Value, Node] = {}
        self._shuffled: dict[Value, tuple[Value, tuple[int, int], bool]] = {}
        self._known: set[Value] = {*model.inputs, *model.constants}

    def run(self) -> Model:
        """The model with its nodes turned."""
        for node in self._model.nodes:
            if not self._turn(node):
                self._keep(node)
        for value in self._model.results:
            self._as_first(value)
        return with_nodes(self._model, self._nodes, self._constants)

    def _keep(self, node: Node) -> None:
        """Add a node as it is."""
        inputs = tuple(map(self._as_first, node.inputs))
        self._nodes.append(Node(node.op, inputs, node.outputs, node.sources))
        self._known.update(node.outputs)

    # -- values --------------------------------------------------------------------------------

    def _is_turned(self, value: Value) -> bool:
        return value in self._last or value in self._parted

    def _as_first(self, value: Value) -> Value:
        """The value as it was, made again from what stands for it where need be."""
        if value not in self._known and value in self._late:
            self._keep(self._late[value])
        if value not in self._known:
            rank = len(value.shape)
            order = (0, rank - 1, *range(1, rank - 1))
            op: Op = Reshape(value.shape) if _is_same_order(value) else Transpose(order)
            self._nodes.append(Node(op, (self._as_last(value),), (value,)))
            self._known.add(value)
        return value

    def _as_last(self, value: Value) -> Value:
        """What stands for the value with its channels last."""
        if value not in self._last:
            shape = Layout.LAST.joined(*Layout.FIRST.parted(value.shape))
            made = Value(f"{value.name}.last", shape, value.dtype)
            rank = len(value.shape)
            order = (0, *range(2, rank), 1)
            if value in self._parted:
                self._nodes.append(Node(Reshape(shape), (self._parted[value],), (made,)))
            elif value in self._constants:
                turned = np.ascontiguousarray(np.transpose(self._constants[value], order))
                self._constants[made] = turned
            else:
                op: Op = Reshape(shape) if _is_same_order(value) else Transpose(order)
                self._nodes.append(Node(op, (self._as_first(value),), (made,)))
            self._last[value] = made
        return self._last[value]

    def _operand(self, value: Value, rank: int) -> Value:
        """An operand of an elementwise function of images, which may be broadcast."""
        missing = rank - len(value.shape)
        if self._is_turned(value) or not missing:
            return self._as_last(value)
        if value.count == 1:
            return value
        full = Value(f"{value.name}.full", (*(1,) * missing, *value.shape), value.dtype)
        if value in self._constants:
            self._constants[full] = self._constants[value].reshape(full.shape)
        else:
            self._nodes.append(Node(Reshape(full.shape), (self._as_first(value),), (full,)))
            self._known.add(full)
        return self._as_last(full)

    def _in_groups(self, value: Value, groups: int) -> Value:
        """An image's counterpart with its channels parted into groups."""
        if value in self._parted and self._parted[value].shape[-2] == groups:
            return self._parted[value]
        return self._viewed(self._as_last(value), groups)

    def _viewed(self, last: Value, groups: int) -> Value:
        """Channels, which are last, in groups; a single one stays single."""
        *outer, channels = last.shape
        parts = (1, 1) if channels == 1 else (groups, channels // groups)
        made = Value(f"{last.name}.parted", (*outer, *parts), last.dtype)
        if last in self._constants:
            self._constants[made] = self._constants[last].reshape(made.shape)
        else:
            self._nodes.append(Node(Reshape(made.shape), (last,), (made,)))
        return made

    def _put(self, node: Node, op: Op, inputs: Sequence[Value]) -> bool:
        """Add what stands for a node with one output."""
        (value,) = node.outputs
        shape = Layout.LAST.joined(*Layout.FIRST.parted(value.shape))
        made = Value(value.name, shape, value.dtype)
        self._nodes.append(Node(op, tuple(inputs), (made,), node.sources))
        self._last[value] = made
        return True

    # -- nodes ---------------------------------------------------------------------------------

    def _turn(self, node: Node) -> bool:
        """Add what stands for a node, if it can follow; whether it could."""
        if isinstance(node.op, Conv):
            return self._conv(node, node.op)
        if any(v in self._shuffled for v in node.inputs):
            return self._shuffle(node)
        if not any(map(self._is_turned, node.inputs)) or len(node.outputs) != 1:
            return False
        rank = len(node.output.shape)
        match node.op:
            case MaxPool() | AveragePool() as op:
                turned = replace(op, layout=Layout.LAST)
                return self._put(node, turned, [self._as_last(node.inputs[0])])
            case Elementwise() | Cast() as op:
                return self._elementwise(node, op)
            case Concat(axis=axis):
                turned_axis = Concat(_place(axis, rank))
                return self._put(node, turned_axis, list(map(self._as_last, node.inputs)))
            case Slice() | Pad() as op:
                return self._put(node, _permuted(op), [self._as_last(node.inputs[0])])
            case Reduce() as op:
                return self._reduce(node, op)
            case Reshape():
                return self._part(node)
            case _:
                return False

    def _conv(self, node: Node, op: Conv) -> bool:
        x, w = node.inputs
        apart = op.groups > 1
        if op.layout is not Layout.FIRST or len(x.shape) < 3:
            return False
        if apart and not (w.shape[0] == op.groups and w.shape[1] == 1):
            return self._grouped(node, op)
        weights = self._as_first(w)
        if apart or self._is_turned(x):
            turned = replace(op, layout=Layout.LAST, result=Layout.LAST)
            return self._put(node, turned, (self._as_last(x), weights))
        # elements of the image are read one by one, so that it may stay as it is
        return self._put(node, replace(op, result=Layout.LAST), (self._as_first(x), weights))

    def _grouped(self, node: Node, op: Conv) -> bool:
        x, w = node.inputs
        if w not in self._constants:
            return False
        outputs, *rest = w.shape
        shape = (op.groups, outputs // op.groups, *rest)
        weights = Value(f"{w.name}.parted", shape, w.dtype)
        self._constants[weights] = self._constants[w].reshape(shape)
        inputs = (self._in_groups(x, op.groups), weights)
        return self._put_parted(node, GroupedConv(op.window), inputs, op.groups)

    def _put_parted(self, node: Node, op: Op, inputs: Sequence[Value], groups: int) -> bool:
        """Add what stands for a node, its channels in groups."""
        batch, channels, spatial = Layout.FIRST.parted(node.output.shape)
        shape = (batch, *spatial, groups, channels // groups)
        made = Value(node.output.name, shape, node.output.dtype)
        self._nodes.append(Node(op, tuple(inputs), (made,), node.sources))
        self._parted[node.output] = made
        return True

    def _elementwise(self, node: Node, op: Elementwise | Cast) -> bool:
        rank = len(node.output.shape)
        leading = [v for v in node.inputs if v.shape == node.output.shape]
        if rank < 3 or not any(map(self._is_turned, leading)):
            return False
        parted = [self._parted[v] for v in leading if v in self._parted]
        if not parted:
            return self._put(node, op, [self._operand(v, rank) for v in node.inputs])
        groups = parted[0].shape[-2]
        inputs = [
            v if v.count == 1 else
            self._in_groups(v, groups) if v in leading else
            self._viewed(self._operand(v, rank), groups)
            for v in node.inputs
        ]  # fmt: skip
        return self._put_parted(node, op, inputs, groups)

    def _part(self, node: Node) -> bool:
        """Note a view that parts the channels into two factors; it is made if somebody reads it."""
        (x,), shape = node.inputs, node.output.shape
        batch, channels, spatial = Layout.FIRST.parted(x.shape)
        if len(shape) != len(x.shape) + 1 or (shape[0], *shape[3:]) != (batch, *spatial):
            return False
        assert shape[1] * shape[2] == channels
        self._late[node.output] = node
        self._shuffled[node.output] = (x, (shape[1], shape[2]), False)
        return True

    def _shuffle(self, node: Node) -> bool:
        """A step of a shuffle: parted channels exchange their two factors, and are one again."""
        x, parts, swapped = self._shuffled[node.inputs[0]]
        rank = len(x.shape)
        match node.op:
            case Transpose(order=order) if not swapped and order == (0, 2, 1, *range(3, rank + 1)):
                self._late[node.output] = node
                self._shuffled[node.output] = (x, parts, True)
                return True
            case Reshape() if swapped and node.output.shape == x.shape:
                parted = self._in_groups(x, parts[0])
                shape = (*parted.shape[:-2], parts[1], parts[0])
                made = Value(f"{node.output.name}.parted", shape, x.dtype)
                order = (*range(rank - 1), rank, rank - 1)
                self._nodes.append(Node(Transpose(order), (parted,), (made,), node.sources))
                self._parted[node.output] = made
                return True
            case _:
                return False

    def _reduce(self, node: Node, op: Reduce) -> bool:
        (x,) = node.inputs
        rank = len(x.shape)
        axes = tuple(sorted(_place(axis % rank, rank) for axis in op.axes))
        if op.keep:
            return self._put(node, replace(op, axes=axes), [self._as_last(x)])
        kept = [_place(n, rank) for n in range(rank) if n not in op.axes]
        if kept != sorted(kept):
            return False
        made = Node(replace(op, axes=axes), (self._as_last(x),), node.outputs, node.sources)
        self._nodes.append(made)
        self._known.update(node.outputs)
        return True


def _place(axis: int, rank: int) -> int:
    """Where an axis of an image is when its channels are last."""
    if axis == 0:
        return 0
    return rank - 1 if axis == 1 else axis - 1


def _permuted(op: Slice | Pad) -> Op:
    """The operator with what it says of each axis in the order of channels last."""

    def turned(entries: tuple[int, ...]) -> tuple[int, ...]:
        return Layout.LAST.joined(*Layout.FIRST.parted(entries))

    if isinstance(op, Slice):
        return Slice(turned(op.starts), turned(op.counts), turned(op.steps))
    return replace(op, before=turned(op.before), after=turned(op.after))


def _is_same_order(value: Value) -> bool:
    """Whether both layouts have the same elements in the same order."""
    _, channels, spatial = Layout.FIRST.parted(value.shape)
    return channels == 1 or all(extent == 1 for extent in spatial)
