"""Converters: scatters, sorting, and other choices of elements."""

from __future__ import annotations

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.scatter import CacheUpdate, Meeting, ScatterElements, ScatterND
from tdsl.graph.ops.sorting import Determinant, OneHot, ReverseSequence, TopK

_MEETINGS = {
    "none": Meeting.SET, "add": Meeting.ADD, "mul": Meeting.MUL, "min": Meeting.MIN,
    "max": Meeting.MAX,
}  # fmt: skip
_LARGEST_MATRIX = 6  # an expansion by minors has n! terms


def _meeting(call: Call) -> Meeting:
    name = call.text("reduction", "none")
    if name not in _MEETINGS:
        raise GraphError(f"{call.op_type} with reduction {name!r} is not supported")
    return _MEETINGS[name]


@operator("ScatterElements", "Scatter")
def scatter_elements(call: Call) -> Value:
    """Elements at indices along an axis."""
    axis = call.axis("axis", 0, len(call[0].shape))
    return call.graph.one(ScatterElements(axis, _meeting(call)), call[0], call[1], call[2])


@operator("ScatterND")
def scatter_nd(call: Call) -> Value:
    """Parts at index tuples."""
    return call.graph.one(ScatterND(_meeting(call)), call[0], call[1], call[2])


@operator("TensorScatter")
def tensor_scatter(call: Call) -> Value:
    """New rows of a cache, from where each batch's begin."""
    axis = call.axis("axis", -2, len(call[0].shape))
    mode = call.text("mode", "linear")
    if mode not in ("linear", "circular"):
        raise GraphError(f"TensorScatter with mode {mode!r} is not supported")
    operands = [call[0], call[1], *((call[2],) if call.has(2) else ())]
    return call.graph.one(CacheUpdate(axis, mode == "circular"), *operands)


@operator("TopK")
def top_k(call: Call) -> tuple[Value, ...]:
    """The greatest elements, and where they are."""
    x = call[0]
    axis = call.axis("axis", -1, len(x.shape))
    count = call.integer("k") if call.given("k") else call.integers(1)[0]
    if not 0 <= count <= x.shape[axis]:
        raise GraphError(f"TopK: {count} of {x.shape[axis]} elements")
    return call.graph.op(TopK(axis, count, bool(call.integer("largest", 1))), x)


@operator("OneHot")
def one_hot(call: Call) -> Value:
    """A new axis of the given depth."""
    rank = len(call[0].shape) + 1
    (depth,) = call.integers(1)
    return call.graph.one(OneHot(call.axis("axis", -1, rank), depth), call[0], call[2])


@operator("ReverseSequence")
def reverse_sequence(call: Call) -> Value:
    """Sequences back to front."""
    time, batch = call.integer("time_axis"), call.integer("batch_axis", 1)
    return call.graph.one(ReverseSequence(time, batch), call[0], call[1])


@operator("Det")
def determinant(call: Call) -> Value:
    """Of small matrices."""
    shape = call[0].shape
    if len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] > _LARGEST_MATRIX:
        raise GraphError(
            f"Det of {list(shape)}: square matrices up to {_LARGEST_MATRIX} x {_LARGEST_MATRIX}"
        )
    return call.graph.one(Determinant(), call[0])
