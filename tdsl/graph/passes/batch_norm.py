"""Batch normalisation: ``conv(x, w) * scale`` -> ``conv(x, w * scale)``, likewise for products.

A shift that stands between, ``(conv(x, w) + b) * scale``, becomes ``... + b * scale``.
"""

from __future__ import annotations

import numpy as np

from tdsl.dtypes import as_dtype
from tdsl.graph.ir import Array, Model, Node, Value
from tdsl.graph.ops.elementwise import Elementwise
from tdsl.graph.ops.linear import Conv, MatMul
from tdsl.graph.passes.rebuild import with_nodes

_MUL, _ADD = Elementwise("mul"), Elementwise("add")


def fold_scales_into_weights(model: Model) -> Model:
    """Multiply constant weights by the factors that follow, for each channel or column."""
    readers, made_by = model.readers(), model.producers()
    constants = dict(model.constants)
    replaced: dict[Node, Node] = {}
    for node in model.nodes:
        found = _scaled(node, model)
        if found is None:
            continue
        value, factor = found
        chain = _chain(value, model, readers, made_by)
        if chain is None or any(n in replaced for n in chain):
            continue
        linear = chain[0]
        weights = linear.inputs[1]
        spread = _along_weights(linear, constants[weights], constants[factor])
        if spread is None:
            continue
        scaled = _constant(constants, f"{weights.name}.scaled", spread)
        sources = (*linear.sources, *node.sources)
        end = node.outputs if len(chain) == 1 else linear.outputs
        replaced[linear] = Node(linear.op, (linear.inputs[0], scaled), end, sources)
        if len(chain) == 2:
            shift = chain[1]
            number = next(v for v in shift.inputs if v in constants)
            product = np.multiply(constants[number], constants[factor])
            moved = _constant(constants, f"{number.name}.scaled", product)
            replaced[shift] = Node(_ADD, (linear.output, moved), node.outputs, shift.sources)
        replaced[node] = node  # marks it as gone
    nodes = [replaced.get(n, n) for n in model.nodes if replaced.get(n) is not n]
    return with_nodes(model, nodes, constants)


def _scaled(node: Node, model: Model) -> tuple[Value, Value] | None:
    """The operand and the constant of a product that keeps the operand's shape."""
    if node.op != _MUL:
        return None
    for value, factor in (node.inputs, node.inputs[::-1]):
        fits = factor in model.constants and value not in model.constants
        if fits and value.shape == node.output.shape and value.dtype.is_float:
            return value, factor
    return None


def _chain(
    value: Value, model: Model, readers: dict[Value, list[Node]], made_by: dict[Value, Node]
) -> list[Node] | None:
    """The product or convolution behind a value, perhaps with a constant shift after it."""
    nodes: list[Node] = []
    while True:
        node = made_by.get(value)
        if node is None or len(readers.get(value, ())) != 1 or value in model.results:
            return None
        nodes.insert(0, node)
        if isinstance(node.op, (Conv, MatMul)):
            return nodes if node.inputs[1] in model.constants else None
        operands = [v for v in node.inputs if v not in model.constants]
        if node.op != _ADD or len(operands) != 1 or len(nodes) == 2:
            return None
        if operands[0].shape != value.shape:
            return None
        value = operands[0]


def _along_weights(linear: Node, weights: Array, factor: Array) -> Array | None:
    """The weights times a factor that differs along the axis of results only."""
    rank = len(linear.output.shape)
    full = (1,) * (rank - factor.ndim) + factor.shape
    axis = 1 if isinstance(linear.op, Conv) else rank - 1
    if any(extent != 1 for n, extent in enumerate(full) if n != axis):
        return None
    each = factor.reshape(-1)
    if isinstance(linear.op, Conv):
        made = weights * each.reshape(-1, *(1,) * (weights.ndim - 1))
    elif isinstance(linear.op, MatMul) and linear.op.transpose_b:
        made = weights * each.reshape(-1, 1)
    else:
        made = weights * each
    return np.ascontiguousarray(made, weights.dtype)


def _constant(constants: dict[Value, Array], name: str, array: Array) -> Value:
    value = Value(name, array.shape, as_dtype(array.dtype))
    constants[value] = array
    return value
