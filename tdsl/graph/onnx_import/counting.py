"""Converters: results whose extent depends on data.

Such a shape is known when the data are. Where these come from inputs of the model, the session
plans the model anew for each value that it meets (`ValueNeededError`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Array, Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.linear import Conv, ConvTranspose, Einsum, MatMul

_PRODUCTS = (Conv, ConvTranspose, Einsum, MatMul)


def _data(call: Call, index: int) -> Array:
    """The elements of an operand.

    Raises:
        ValueNeededError: they depend on a model input.
        GraphError: they are the work of products, which only kernels do in reasonable time.
    """
    if any(isinstance(node.op, _PRODUCTS) for node in call.graph.makers(call[index])):
        raise GraphError(
            f"{call.op_type} of what a product or a convolution makes is not supported: how many "
            "elements the result has depends on the data of a run"
        )
    return call.array(index)


@operator("NonZero")
def non_zero(call: Call) -> Value:
    """The places of elements that are not zero, a column for each."""
    found = np.nonzero(_data(call, 0))
    return call.graph.constant(np.stack(found).astype(np.int64))


@operator("Compress")
def compress(call: Call) -> Value:
    """The parts of an axis, or of all elements, where a condition holds."""
    x, g = call[0], call.graph
    places = np.flatnonzero(_data(call, 1)).astype(np.int64)
    if not call.given("axis"):
        return g.gather(g.reshape(x, (x.count,)), g.constant(places), 0)
    return g.gather(x, g.constant(places), call.axis("axis", 0, len(x.shape)))


@operator("Unique")
def unique(call: Call) -> Sequence[Value]:
    """Each different element or part once, its first place, each one's number, and counts."""
    x, g = _data(call, 0), call.graph
    axis = call.axis("axis", 0, x.ndim) if call.given("axis") else None
    wide = x.astype(np.float32) if x.dtype.kind == "V" else x  # types that numpy cannot sort
    _, first, inverse, counts = np.unique(
        wide, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not call.integer("sorted", 1):
        order = np.argsort(first, kind="stable")
        inverse = np.argsort(order, kind="stable")[inverse]
        first, counts = first[order], counts[order]
    flat = x.reshape(-1) if axis is None else x
    different = np.take(flat, first, 0 if axis is None else axis)
    places = (numbers.astype(np.int64) for numbers in (first, inverse, counts))
    return [g.constant(different), *map(g.constant, places)]
