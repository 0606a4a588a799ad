"""Converters: convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.linear import Conv, ConvTranspose
from tdsl.graph.ops.movement import Pad
from tdsl.graph.ops.reductions import ReduceKind
from tdsl.graph.ops.windows import (
    AveragePool,
    ColumnsToImage,
    LpPool,
    MaxPool,
    MaxPoolPlaces,
    MaxUnpool,
    Window,
)


def window_of(call: Call, kernel: Sequence[int], extents: Sequence[int]) -> Window:
    """The window that the attributes describe."""
    rank = len(kernel)
    strides = tuple(call.integer_list("strides") or (1,) * rank)
    dilations = tuple(call.integer_list("dilations") or (1,) * rank)
    if not len(strides) == len(dilations) == len(extents) == rank:
        raise GraphError(f"{call.op_type}: attributes of {rank} axes, {len(extents)} in the image")
    before, after = _pads(call, kernel, extents, strides, dilations)
    ceil = bool(call.integer("ceil_mode"))
    return Window(tuple(kernel), strides, dilations, before, after, ceil)


def _pads(
    call: Call, kernel: Sequence[int], extents: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[tuple[int, ...], tuple[int, ...]]:  # fmt: skip
    rank, mode = len(kernel), call.text("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        pads = call.integer_list("pads") or [0] * (2 * rank)
        if min(pads) < 0:
            raise GraphError(f"{call.op_type}: negative pads {pads}")
        return tuple(pads[:rank]), tuple(pads[rank:])
    if mode == "VALID":
        return (0,) * rank, (0,) * rank
    before, after = [], []
    for k, n, s, d in zip(kernel, extents, strides, dilations, strict=True):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        less, more = total // 2, total - total // 2
        before.append(less if mode == "SAME_UPPER" else more)
        after.append(more if mode == "SAME_UPPER" else less)
    return tuple(before), tuple(after)


@operator("Conv")
def conv(call: Call) -> Value:
    """A convolution; its bias is an addition like any other."""
    x, w = call[0], call[1]
    window = window_of(call, call.integer_list("kernel_shape") or w.shape[2:], x.shape[2:])
    return _with_bias(call, call.graph.one(Conv(window, call.integer("group", 1)), x, w))


@operator("ConvTranspose")
def conv_transpose(call: Call) -> Value:
    """The transpose of a convolution."""
    x, w = call[0], call[1]
    kernel, rank = w.shape[2:], len(w.shape) - 2
    strides = tuple(call.integer_list("strides") or (1,) * rank)
    dilations = tuple(call.integer_list("dilations") or (1,) * rank)
    extra = tuple(call.integer_list("output_padding") or (0,) * rank)
    full = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(x.shape[2:], strides, kernel, dilations, extra, strict=True)
    ]
    before, after = _cut(call, full, x.shape[2:], strides)
    window = Window(tuple(kernel), strides, dilations, before, after)
    made = call.graph.one(ConvTranspose(window, call.integer("group", 1), extra), x, w)
    return _with_bias(call, made)


def _cut(
    call: Call, full: Sequence[int], extents: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How much of the full result is cut from each end."""
    rank, mode = len(full), call.text("auto_pad", "NOTSET")
    wanted = call.integer_list("output_shape")
    if wanted is None and mode not in ("SAME_UPPER", "SAME_LOWER"):
        pads = call.integer_list("pads") or [0] * (2 * rank)
        return tuple(pads[:rank]), tuple(pads[rank:])
    goal = (wanted or [n * s for n, s in zip(extents, strides, strict=True)])[-rank:]
    total = [f - g for f, g in zip(full, goal, strict=True)]
    halves = [t // 2 for t in total]
    rest = [t - h for t, h in zip(total, halves, strict=True)]
    upper = mode == "SAME_UPPER"
    return (tuple(halves), tuple(rest)) if upper else (tuple(rest), tuple(halves))


def _with_bias(call: Call, made: Value) -> Value:
    bias = call.optional(2)
    if bias is None:
        return made
    shape = (bias.shape[0], *(1,) * (len(made.shape) - 2))
    return call.graph.apply("add", made, call.graph.reshape(bias, shape))


@operator("MaxPool")
def max_pool(call: Call) -> Sequence[Value]:
    """Pooling by the greatest element; where it was, if that is asked for."""
    window = _pool_window(call)
    made = [call.graph.one(MaxPool(window), call[0])]
    if call.wants(1):
        places = MaxPoolPlaces(window, bool(call.integer("storage_order")))
        made.append(call.graph.one(places, call[0]))
    return made


@operator("MaxUnpool")
def max_unpool(call: Call) -> Value:
    """Elements back to where a pooling took them from."""
    x, kernel = call[0], call.integer_list("kernel_shape") or []
    strides = call.integer_list("strides") or [1] * len(kernel)
    pads = call.integer_list("pads") or [0] * (2 * len(kernel))
    rank = len(kernel)
    inferred = [
        (n - 1) * s + k - pads[a] - pads[a + rank]
        for a, (n, s, k) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    ]
    shape = tuple(call.integers(2)) if call.has(2) else (*x.shape[:2], *inferred)
    if call.has(2):  # indices count through the smaller result, the larger one keeps the places
        return _unpooled_wider(call, (*x.shape[:2], *inferred), shape)
    return call.graph.one(MaxUnpool(shape), x, call[1])


def _unpooled_wider(call: Call, own: tuple[int, ...], shape: tuple[int, ...]) -> Value:
    made = call.graph.one(MaxUnpool(own), call[0], call[1])
    after = tuple(wanted - n for wanted, n in zip(shape, own, strict=True))
    if min(after) < 0:
        raise GraphError(f"MaxUnpool to {list(shape)}: smaller than {list(own)}")
    return call.graph.one(Pad((0,) * len(own), after), made)


@operator("Col2Im")
def columns_to_image(call: Call) -> Value:
    """Blocks added up where they lie."""
    image, block = call.integers(1), call.integers(2)
    rank = len(image)
    pads = call.integer_list("pads") or [0] * (2 * rank)
    strides, dilations = (
        tuple(call.integer_list(name) or (1,) * rank) for name in ("strides", "dilations")
    )
    before, after = tuple(pads[:rank]), tuple(pads[rank:])
    window = Window(tuple(block), strides, dilations, before, after)
    return call.graph.one(ColumnsToImage(window, tuple(image)), call[0])


@operator("AveragePool")
def average_pool(call: Call) -> Value:
    """Pooling by the mean."""
    borders = bool(call.integer("count_include_pad"))
    return call.graph.one(AveragePool(_pool_window(call), borders), call[0])


@operator("LpPool")
def lp_pool(call: Call) -> Value:
    """Pooling by the p-norm."""
    return call.graph.one(LpPool(_pool_window(call), float(call.integer("p", 2))), call[0])


def _pool_window(call: Call) -> Window:
    kernel = call.integer_list("kernel_shape")
    if kernel is None:
        raise GraphError(f"{call.op_type} lacks its kernel_shape")
    return window_of(call, kernel, call[0].shape[2:])


@operator("GlobalAveragePool", "GlobalMaxPool")
def global_pool(call: Call) -> Value:
    """A reduction over all axes of an image."""
    kind = ReduceKind.MEAN if call.op_type == "GlobalAveragePool" else ReduceKind.MAX
    return call.graph.reduce(kind, call[0], range(2, len(call[0].shape)))
