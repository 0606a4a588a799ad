"""Converters: reductions, softmax, normalisation."""

from __future__ import annotations

import numpy as np

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.reductions import Arg, Cumulate, Normalise, ReduceKind

_KINDS = {
    "ReduceL1": ReduceKind.L1, "ReduceL2": ReduceKind.L2, "ReduceLogSum": ReduceKind.LOG_SUM,
    "ReduceLogSumExp": ReduceKind.LOG_SUM_EXP, "ReduceMax": ReduceKind.MAX,
    "ReduceMean": ReduceKind.MEAN, "ReduceMin": ReduceKind.MIN, "ReduceProd": ReduceKind.PROD,
    "ReduceSum": ReduceKind.SUM, "ReduceSumSquare": ReduceKind.SUM_SQUARE,
}  # fmt: skip


@operator(*_KINDS)
def reduction(call: Call) -> Value:
    """Over the axes named; over all, or with noop_with_empty_axes none, where none are."""
    x, axes = call[0], call.axes(1)
    if not axes:
        axes = [] if call.integer("noop_with_empty_axes") else list(range(len(x.shape)))
    places = [call.front(axis, len(x.shape)) for axis in axes]
    keep = bool(call.integer("keepdims", 1))
    if not places:  # a reduction of single elements
        wide = call.graph.reshape(x, (*x.shape, 1))
        return call.graph.reduce(_KINDS[call.op_type], wide, [len(x.shape)], keep=False)
    return call.graph.reduce(_KINDS[call.op_type], x, places, keep=keep)


@operator("ArgMax", "ArgMin")
def arg(call: Call) -> Value:
    """The place of an extreme."""
    axis = call.axis("axis", 0, len(call[0].shape))
    keep, last = bool(call.integer("keepdims", 1)), bool(call.integer("select_last_index"))
    return call.graph.one(Arg(axis, call.op_type == "ArgMax", keep, last), call[0])


@operator("Softmax", "LogSoftmax")
def softmax(call: Call) -> Value:
    """Along one axis; before opset 13 over all axes from one on, taken together."""
    x, g, log = call[0], call.graph, call.op_type == "LogSoftmax"
    if call.opset >= 13:
        return g.softmax(x, call.axis("axis", -1, len(x.shape)), log=log)
    axis = call.axis("axis", 1, len(x.shape)) if len(x.shape) > 1 else 0
    if axis == len(x.shape) - 1:
        return g.softmax(x, axis, log=log)
    rows, columns = int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:]))
    return g.reshape(g.softmax(g.reshape(x, (rows, columns)), 1, log=log), x.shape)


@operator("LayerNormalization")
def layer_normalization(call: Call) -> Value:
    """Over the axes from one on."""
    if call.wants(1):
        raise GraphError("LayerNormalization with mean and deviation as results")
    axis = call.axis("axis", -1, len(call[0].shape))
    epsilon = call.real("epsilon", 1e-5)
    return call.graph.layer_norm(call[0], call.optional(1), call.optional(2), axis, epsilon)


@operator("RMSNormalization")
def rms_normalization(call: Call) -> Value:
    """Without a mean."""
    axis = call.axis("axis", -1, len(call[0].shape))
    made = call.graph.one(Normalise(axis, call.real("epsilon", 1e-5), centred=False), call[0])
    return call.graph.apply("mul", made, call[1])


@operator("InstanceNormalization", "GroupNormalization")
def grouped_normalization(call: Call) -> Value:
    """Each group of channels of an image by itself; then a scale and a shift for each channel."""
    x, g = call[0], call.graph
    channels = x.shape[1]
    instance = call.op_type == "InstanceNormalization"
    groups = channels if instance else call.integer("num_groups", 1)
    rows = g.reshape(x, (x.shape[0], groups, int(np.prod(x.shape[1:])) // groups))
    made = g.reshape(g.one(Normalise(2, call.real("epsilon", 1e-5)), rows), x.shape)
    for function, n in (("mul", 1), ("add", 2)):
        factor = call[n]
        if factor.shape[0] != channels:  # of each group, before opset 21
            repeated = g.reshape(factor, (groups, 1))
            each = np.zeros((1, channels // groups), factor.dtype.numpy)
            factor = g.reshape(g.apply("add", repeated, g.constant(each)), (channels,))
        shape = (channels, *(1,) * (len(x.shape) - 2))
        made = g.apply(function, made, g.reshape(factor, shape))
    return made


@operator("CumSum", "CumProd")
def cumulative(call: Call) -> Value:
    """Running sums or products."""
    axis = call.front(call.integers(1)[0], len(call[0].shape))
    flags = bool(call.integer("exclusive")), bool(call.integer("reverse"))
    return call.graph.one(Cumulate(axis, *flags, call.op_type == "CumProd"), call[0])
