"""Converters: shapes, slices and other moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.elementwise import broadcast
from tdsl.graph.ops.movement import (
    Expand,
    Gather,
    GatherElements,
    GatherND,
    Pad,
    Tile,
)
from tdsl.lang.sugar import PadMode


@operator("Constant")
def constant(call: Call) -> Value:
    """An array, or numbers written as attributes."""
    if call.given("value"):
        return call.graph.constant(call.tensor("value"))
    if call.given("value_float"):
        return call.graph.constant(np.float32(call.real("value_float", 0.0)))
    if call.given("value_floats"):
        return call.graph.constant(np.asarray(call.reals("value_floats"), np.float32))
    if call.given("value_int"):
        return call.graph.constant(np.int64(call.integer("value_int")))
    if call.given("value_ints"):
        return call.graph.constant(np.asarray(call.integer_list("value_ints"), np.int64))
    raise GraphError("Constant of strings or of a sparse tensor is not supported")


@operator("ConstantOfShape")
def constant_of_shape(call: Call) -> Value:
    """An array of one repeated number."""
    fill = call.tensor("value").reshape(-1)[0] if call.given("value") else np.float32(0)
    return call.graph.constant(np.full(call.bounded(*call.integers(0)), fill))


@operator("Shape")
def shape(call: Call) -> Value:
    """The extents, which are known."""
    dims = call[0].shape
    rank = len(dims)
    start, end = call.integer("start"), call.integer("end", rank)
    return call.graph.constant(np.asarray(dims[slice(start, end)], np.int64))


@operator("Size")
def size(call: Call) -> Value:
    """The number of elements."""
    return call.graph.constant(np.asarray(call[0].count, np.int64))


@operator("Reshape")
def reshape(call: Call) -> Value:
    """0 keeps an extent (unless allowzero), -1 stands for what is left."""
    x, wanted = call[0], call.integer_list("shape") or call.integers(1)
    if not call.integer("allowzero"):
        wanted = [x.shape[n] if extent == 0 else extent for n, extent in enumerate(wanted)]
    if -1 in wanted:
        rest = int(np.prod([n for n in wanted if n != -1]))
        if rest == 0 or x.count % rest:
            raise GraphError(f"Reshape of {list(x.shape)} to {wanted}")
        wanted[wanted.index(-1)] = x.count // rest
    if int(np.prod(wanted)) != x.count:
        raise GraphError(f"Reshape of {list(x.shape)} to {wanted}: other numbers of elements")
    return call.graph.reshape(x, wanted)


@operator("Flatten")
def flatten(call: Call) -> Value:
    """A matrix: the axes before one, and the others."""
    dims = call[0].shape
    axis = call.integer("axis", 1)
    axis = axis + len(dims) if axis < 0 else axis
    return call.graph.reshape(call[0], (int(np.prod(dims[:axis])), int(np.prod(dims[axis:]))))


@operator("Squeeze")
def squeeze(call: Call) -> Value:
    """Without the axes named, or all, of extent 1."""
    dims, axes = call[0].shape, call.axes(1)
    gone = (
        [n for n, extent in enumerate(dims) if extent == 1]
        if axes is None
        else [call.front(axis, len(dims)) for axis in axes]
    )
    if any(dims[n] != 1 for n in gone):
        raise GraphError(f"Squeeze of axes {gone} of {list(dims)}")
    return call.graph.reshape(call[0], [d for n, d in enumerate(dims) if n not in gone])


@operator("Unsqueeze")
def unsqueeze(call: Call) -> Value:
    """With axes of extent 1."""
    axes = call.axes(1) or []
    rank = len(call[0].shape) + len(axes)
    places = {call.front(axis, rank) for axis in axes}
    rest = iter(call[0].shape)
    return call.graph.reshape(call[0], [1 if n in places else next(rest) for n in range(rank)])


@operator("Transpose")
def transpose(call: Call) -> Value:
    """Reversed where no order is given."""
    rank = len(call[0].shape)
    order = call.integer_list("perm")
    return call.graph.transpose(call[0], list(reversed(range(rank))) if order is None else order)


@operator("Concat")
def concat(call: Call) -> Value:
    """Along an axis; empty parts are left out."""
    parts = [call[n] for n in range(len(call.operands))]
    axis = call.axis("axis", 1, len(parts[0].shape))
    kept = [part for part in parts if part.shape[axis]] or parts[:1]
    return call.graph.concat(kept, axis)


@operator("Expand")
def expand(call: Call) -> Value:
    """Broadcast with a shape."""
    wanted = broadcast(call[0].shape, tuple(call.integers(1)))
    return call[0] if wanted == call[0].shape else call.graph.one(Expand(wanted), call[0])


@operator("Split")
def split(call: Call) -> Sequence[Value]:
    """Parts along an axis: of the extents given, or as equal as they can be."""
    x = call[0]
    axis = call.axis("axis", 0, len(x.shape))
    sizes = call.integer_list("split") or (call.integers(1) if call.has(1) else None)
    if sizes is None:
        count = call.integer("num_outputs", call.result_count)
        each = -(-x.shape[axis] // count)
        sizes = [min(each, max(0, x.shape[axis] - n * each)) for n in range(count)]
    return call.graph.split(x, sizes, axis)


@operator("Slice")
def slice_(call: Call) -> Value:
    """numpy's slices; attributes before opset 10."""
    x = call[0]
    rank = len(x.shape)
    if call.opset < 10:
        begins, ends = call.integer_list("starts") or [], call.integer_list("ends") or []
        axes, steps = call.integer_list("axes"), None
    else:
        begins, ends = call.integers(1), call.integers(2)
        axes = call.integers(3) if call.has(3) else None
        steps = call.integers(4) if call.has(4) else None
    places = list(range(len(begins))) if axes is None else [call.front(a, rank) for a in axes]
    count = min(len(places), len(begins), len(ends), len(places if steps is None else steps))
    begins, ends, places = begins[:count], ends[:count], places[:count]
    return call.graph.slice(x, begins, ends, places, None if steps is None else steps[:count])


@operator("Gather")
def gather(call: Call) -> Value:
    """Parts at indices."""
    return call.graph.one(Gather(call.axis("axis", 0, len(call[0].shape))), call[0], call[1])


@operator("GatherElements")
def gather_elements(call: Call) -> Value:
    """Elements at indices."""
    axis = call.axis("axis", 0, len(call[0].shape))
    return call.graph.one(GatherElements(axis), call[0], call[1])


@operator("GatherND")
def gather_nd(call: Call) -> Value:
    """Parts at index tuples."""
    return call.graph.one(GatherND(call.integer("batch_dims")), call[0], call[1])


@operator("Tile")
def tile(call: Call) -> Value:
    """Repetition along each axis."""
    return call.graph.one(Tile(tuple(call.integers(1))), call[0])


@operator("Pad")
def pad(call: Call) -> Value:
    """Borders along all axes, or those named."""
    x, mode = call[0], call.text("mode", "constant")
    rank = len(x.shape)
    pads = call.integers(1) if call.opset >= 11 else (call.integer_list("pads") or [])
    value = call.real("value", 0.0)
    if call.opset >= 11:
        value = call.number(2) if call.has(2) else 0.0
    axes = call.integers(3) if call.has(3) else list(range(rank))
    before, after = [0] * rank, [0] * rank
    for n, axis in enumerate(axes):
        before[call.front(axis, rank)] = pads[n]
        after[call.front(axis, rank)] = pads[n + len(axes)]
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise GraphError(f"Pad with mode {mode!r} is not supported")
    return call.graph.one(Pad(tuple(before), tuple(after), cast("PadMode", mode), value), x)


@operator("DepthToSpace", "SpaceToDepth")
def depth_and_space(call: Call) -> Value:
    """Blocks of an image as channels, and back."""
    x, g, b = call[0], call.graph, call.integer("blocksize")
    n, c, h, w = x.shape
    deep_first = call.text("mode", "DCR") == "DCR"
    if call.op_type == "SpaceToDepth":
        blocks = g.reshape(x, (n, c, h // b, b, w // b, b))
        if not deep_first:
            crd = g.transpose(blocks, (0, 1, 3, 5, 2, 4))
            return g.reshape(crd, (n, c * b * b, h // b, w // b))
        return g.reshape(g.transpose(blocks, (0, 3, 5, 1, 2, 4)), (n, c * b * b, h // b, w // b))
    if deep_first:
        blocks, order = g.reshape(x, (n, b, b, c // (b * b), h, w)), (0, 3, 4, 1, 5, 2)
    else:
        blocks, order = g.reshape(x, (n, c // (b * b), b, b, h, w)), (0, 1, 4, 2, 5, 3)
    return g.reshape(g.transpose(blocks, order), (n, c // (b * b), h * b, w * b))


@operator("Range", "EyeLike")
def generated(call: Call) -> Value:
    """Arrays that follow from constants alone."""
    if call.op_type == "Range":
        start, limit, step = (call.array(n) for n in range(3))
        if step.item() == 0:
            raise GraphError("Range with a step of 0")
        count = max(0, math.ceil((limit.item() - start.item()) / step.item()))
        (count,) = call.bounded(count)
        made = start + np.arange(count).astype(start.dtype) * step
        return call.graph.constant(made.astype(start.dtype).reshape(count))
    from tdsl.graph.onnx_import.load import ELEMENT_TYPES

    rows, columns = call[0].shape
    kind = ELEMENT_TYPES[call.integer("dtype")] if call.given("dtype") else call[0].dtype.numpy
    return call.graph.constant(np.eye(rows, columns, call.integer("k"), dtype=kind))
