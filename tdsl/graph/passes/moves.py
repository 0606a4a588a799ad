"""Moves: parts that lie in one run are views, and products take operands as they are stored.

gather(x, constant indices one after the other)   ->  slice(x)
matmul(a, transpose(b))                           ->  matmul(a, b, transpose_b)
matmul(a, b * number)                             ->  matmul(a * number, b)   where a is no larger
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tdsl.graph.ir import Array, Model, Node, Value
from tdsl.graph.ops.elementwise import Elementwise
from tdsl.graph.ops.linear import MatMul
from tdsl.graph.ops.movement import Gather, Reshape, Slice, Transpose
from tdsl.graph.passes.rebuild import with_nodes

_MUL = Elementwise("mul")


def simplify_moves(model: Model) -> Model:
    """Let readers find elements where they are."""
    made_by = dict(model.producers())
    nodes: list[Node] = []
    for node in model.nodes:
        made = _simpler(node, model.constants, made_by)
        made_by.update((value, one) for one in made for value in one.outputs)
        nodes += made
    return with_nodes(model, nodes)


def _simpler(
    node: Node, constants: Mapping[Value, Array], made_by: Mapping[Value, Node]
) -> list[Node]:
    match node.op:
        case Gather(axis=axis) if node.inputs[1] in constants:
            return _sliced(node, axis, constants[node.inputs[1]]) or [node]
        case MatMul():
            *views, product = _untransposed(node, made_by)
            return [*views, *_scaled(product, constants, made_by)]
        case _:
            return [node]


def _sliced(node: Node, axis: int, indices: Array) -> list[Node] | None:
    """A slice for a gather whose indices follow each other."""
    source = node.inputs[0]
    extent = source.shape[axis]
    flat = [int(i) + extent if i < 0 else int(i) for i in indices.reshape(-1)]
    if not flat or any(i not in range(extent) for i in flat):
        return None
    if flat != list(range(flat[0], flat[0] + len(flat))):
        return None
    rank = len(source.shape)
    starts = tuple(flat[0] if n == axis else 0 for n in range(rank))
    counts = tuple(len(flat) if n == axis else e for n, e in enumerate(source.shape))
    part = Value(f"{node.output.name}.part", counts, source.dtype)
    cut = Node(Slice(starts, counts, (1,) * rank), (source,), (part,), node.sources)
    return [cut, Node(Reshape(node.output.shape), (part,), node.outputs, node.sources)]


def _untransposed(node: Node, made_by: Mapping[Value, Node]) -> list[Node]:
    """The product of operands that are read as they were before their last axes were swapped."""
    op, operands, views = node.op, list(node.inputs), []
    assert isinstance(op, MatMul)
    for n, flag in enumerate(("transpose_a", "transpose_b")):
        source = _unswapped(operands[n], made_by)
        if source is None:
            continue
        shape = (*operands[n].shape[:-2], *operands[n].shape[:-3:-1])
        if source.shape != shape:
            view = Value(f"{operands[n].name}.turned", shape, source.dtype)
            views.append(Node(Reshape(shape), (source,), (view,), node.sources))
            source = view
        operands[n] = source
        op = replace(op, **{flag: not getattr(op, flag)})
    return [*views, node if op is node.op else replace(node, op=op, inputs=tuple(operands))]


def _unswapped(value: Value, made_by: Mapping[Value, Node]) -> Value | None:
    """What a value was before its last two axes were swapped; other axes may have been joined."""
    node = made_by.get(value)
    if node is not None and isinstance(node.op, Reshape):
        before = node.inputs[0]
        if len(before.shape) < 2 or before.shape[-2:] != value.shape[-2:]:
            return None
        node = made_by.get(before)
    return node.inputs[0] if node is not None and _swaps(node) else None


def _swaps(node: Node) -> bool:
    """Whether a node exchanges the last two axes and nothing else."""
    if not isinstance(node.op, Transpose):
        return False
    rank = len(node.op.order)
    return rank >= 2 and node.op.order == (*range(rank - 2), rank - 1, rank - 2)


def _scaled(
    node: Node, constants: Mapping[Value, Array], made_by: Mapping[Value, Node]
) -> list[Node]:
    """The product with a number moved from its larger operand to the smaller one."""
    small, large = sorted((0, 1), key=lambda n: node.inputs[n].count)  # the first, of equals
    found = _by_number(node.inputs[large], constants, made_by)
    if found is None:
        return [node]
    operand, number = found
    old = node.inputs[small]
    scaled = Value(f"{old.name}.scaled", old.shape, old.dtype)
    inputs = (scaled, operand) if small == 0 else (operand, scaled)
    multiplied = Node(_MUL, (old, number), (scaled,), node.sources)
    return [multiplied, *_untransposed(replace(node, inputs=inputs), made_by)]


def _by_number(
    value: Value, constants: Mapping[Value, Array], made_by: Mapping[Value, Node]
) -> tuple[Value, Value] | None:
    """The tensor and the constant number whose product a value is.

    Of narrow floats none counts: there, that a scale is rounded once or twice is seen in results.
    """
    node = made_by.get(value)
    narrow = not value.dtype.is_float or value.dtype.bits < 32
    if node is None or node.op != _MUL or narrow:
        return None
    for operand, number in (node.inputs, node.inputs[::-1]):
        array = constants.get(number)
        if array is not None and array.size == 1 and operand.shape == value.shape:
            return (operand, number) if np.isfinite(array).all() else None
    return None
