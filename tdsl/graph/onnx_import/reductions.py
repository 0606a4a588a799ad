"""Converters: reductions, softmax, normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.reductions import Arg, Cumulate, LocalResponse, Normalise, ReduceKind

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
def layer_normalization(call: Call) -> Sequence[Value]:
    """Over the axes from one on; mean and inverse deviation only where they are asked for."""
    x, g = call[0], call.graph
    axis = call.axis("axis", -1, len(x.shape))
    epsilon = call.real("epsilon", 1e-5)
    made = g.layer_norm(x, call.optional(1), call.optional(2), axis, epsilon)
    if not call.wants(1) and not call.wants(2):
        return [made]
    over = range(axis, len(x.shape))
    mean = g.reduce(ReduceKind.MEAN, x, over)
    centred = g.apply("sub", x, mean)
    variance = g.reduce(ReduceKind.MEAN, g.apply("mul", centred, centred), over)
    spread = g.apply("add", variance, call.scalar(epsilon, x))
    return [made, mean, g.apply("reciprocal", g.apply("sqrt", spread))]


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
    factors = []
    for factor in (call[1], call[2]):
        if factor.shape[0] != channels:  # of each group, before opset 21
            wide = g.expand(g.reshape(factor, (groups, 1)), (groups, channels // groups))
            factors.append(g.reshape(wide, (channels,)))
        else:
            factors.append(factor)
    scale, bias = factors
    return g.group_norm(x, groups, scale, bias, call.real("epsilon", 1e-5))


@operator("LRN")
def local_response_normalization(call: Call) -> Value:
    """By the squares of neighbouring channels."""
    op = LocalResponse(
        call.integer("size"), call.real("alpha", 1e-4), call.real("beta", 0.75),
        call.real("bias", 1.0),
    )  # fmt: skip
    return call.graph.one(op, call[0])


@operator("LpNormalization")
def lp_normalization(call: Call) -> Value:
    """Divided by a norm along an axis; 0 where the norm is 0."""
    x, g = call[0], call.graph
    kind = ReduceKind.L1 if call.integer("p", 2) == 1 else ReduceKind.L2
    norm = g.reduce(kind, x, [call.axis("axis", -1, len(x.shape))])
    zero = call.scalar(0.0, x)
    return g.apply("where", g.apply("equal", norm, zero), zero, g.apply("div", x, norm))


@operator("Hardmax")
def hardmax(call: Call) -> Value:
    """1 at the first greatest element along an axis, else 0."""
    x, g = call[0], call.graph
    rank = len(x.shape)
    axis = call.axis("axis", -1 if call.opset >= 13 else 1, rank)
    rows = x
    if call.opset < 13:  # all axes from one on, taken together
        rows = g.reshape(x, (int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:]))))
        axis, rank = 1, 2
    top = g.one(Arg(axis, greatest=True, keep=True), rows)
    place = np.arange(rows.shape[axis]).reshape([-1 if n == axis else 1 for n in range(rank)])
    return g.reshape(g.cast(g.apply("equal", top, g.constant(place)), x.dtype), x.shape)


@operator("CumSum", "CumProd")
def cumulative(call: Call) -> Value:
    """Running sums or products."""
    axis = call.front(call.integers(1)[0], len(call[0].shape))
    flags = bool(call.integer("exclusive")), bool(call.integer("reverse"))
    return call.graph.one(Cumulate(axis, *flags, call.op_type == "CumProd"), call[0])
