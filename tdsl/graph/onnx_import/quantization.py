"""Converters: integers with a scale and a zero point in the place of real numbers."""

from __future__ import annotations

from tdsl.dtypes import BY_NAME, DType
from tdsl.graph.builder import Graph
from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.onnx_import.load import ELEMENT_TYPES
from tdsl.graph.onnx_import.windows import window_of
from tdsl.graph.ops.linear import Conv
from tdsl.graph.ops.movement import Expand, Slice


@operator("QuantizeLinear")
def quantize(call: Call) -> Value:
    """Divided by the scale, rounded to even, moved by the zero point, saturated."""
    g, x = call.graph, call[0]
    zero = call.optional(2)
    dtype = BY_NAME["uint8"] if zero is None else zero.dtype
    if call.integer("output_dtype"):
        dtype = element_type(call, "output_dtype")
    scale = _spread(call, call[1])
    wide = scale.dtype if scale.dtype.bits >= 32 else BY_NAME["float32"]
    scaled = g.apply("div", g.cast(x, wide), g.cast(scale, wide))
    moved = None if zero is None else g.cast(_spread(call, zero), wide)
    return _saturated(g, scaled, moved, dtype)


@operator("DequantizeLinear")
def dequantize(call: Call) -> Value:
    """Less the zero point, times the scale."""
    g, x, scale = call.graph, call[0], call[1]
    dtype = element_type(call, "output_dtype") if call.integer("output_dtype") else scale.dtype
    wide = BY_NAME["float32"] if scale.dtype.bits < 32 else scale.dtype
    made = _centred(g, x, None if not call.has(2) else _spread(call, call[2]))
    return g.cast(g.apply("mul", g.cast(made, wide), g.cast(_spread(call, scale), wide)), dtype)


@operator("MatMulInteger")
def matmul_integer(call: Call) -> Value:
    """The product of integers in 32 bits, each less its zero point."""
    g = call.graph
    zero = _rows(g, call[2], call[0]) if call.has(2) else None
    return g.matmul(_centred(g, call[0], zero), _centred(g, call[1], call.optional(3)))


@operator("ConvInteger")
def conv_integer(call: Call) -> Value:
    """A convolution of integers in 32 bits."""
    return _conv(call, call[0], call[1], call.optional(2), call.optional(3))


@operator("QLinearMatMul")
def quantized_matmul(call: Call) -> Value:
    """Scales and zero points: of a at 1 and 2, of b at 4 and 5, of the result at 6 and 7."""
    g, a, b = call.graph, call[0], call[3]
    made = g.matmul(_centred(g, a, _rows(g, call[2], a)), _centred(g, b, call[5]))
    scales = g.apply("mul", _wide(g, _rows(g, call[1], a)), _wide(g, call[4]))
    return _requantized(g, made, scales, call[6], call[7])


@operator("QLinearConv")
def quantized_conv(call: Call) -> Value:
    """As QLinearMatMul, with a bias in 32 bits at 8."""
    g = call.graph
    made = _conv(call, call[0], call[3], call[2], call[5])
    if call.has(8):
        made = g.apply("add", made, _channels(g, call[8], made))
    scales = g.apply("mul", _wide(g, call[1]), _wide(g, _channels(g, call[4], made)))
    return _requantized(g, made, scales, call[6], call[7])


def element_type(call: Call, name: str) -> DType:
    """An attribute that names an element type.

    Raises:
        GraphError: tdsl does not have it.
    """
    number = call.integer(name)
    if number not in ELEMENT_TYPES:
        raise GraphError(f"{call.op_type} to element type {number} is not supported")
    return BY_NAME[ELEMENT_TYPES[number].name]


def _wide(g: Graph, x: Value) -> Value:
    return g.cast(x, "float32") if x.dtype.bits < 32 else x


def _centred(g: Graph, x: Value, zero: Value | None) -> Value:
    made = g.cast(x, "int32")
    return made if zero is None else g.apply("sub", made, g.cast(zero, "int32"))


def _saturated(g: Graph, scaled: Value, zero: Value | None, dtype: DType) -> Value:
    """Rounded, moved, and cut to what a type holds."""
    made = g.apply("round", scaled)
    made = made if zero is None else g.apply("add", made, zero)
    if dtype.bits >= 32:
        raise GraphError(f"quantization to {dtype} is not supported")
    return g.cast(g.apply("clip", made, numbers=(dtype.min, dtype.max)), dtype)


def _requantized(g: Graph, made: Value, scales: Value, scale: Value, zero: Value) -> Value:
    factor = g.apply("div", scales, _wide(g, scale))
    scaled = g.apply("mul", g.cast(made, factor.dtype), factor)
    return _saturated(g, scaled, g.cast(zero, factor.dtype), zero.dtype)


def _rows(g: Graph, given: Value, x: Value) -> Value:
    """A number for each row of matrices as a column."""
    if len(given.shape) != 1 or given.count == 1 or len(x.shape) < 2:
        return given
    return g.reshape(given, (given.count, 1))


def _channels(g: Graph, given: Value, made: Value) -> Value:
    if given.count == 1:
        return g.reshape(given, ())
    return g.reshape(given, (given.count, *(1,) * (len(made.shape) - 2)))


def _conv(call: Call, x: Value, w: Value, zero: Value | None, weight_zero: Value | None) -> Value:
    g = call.graph
    window = window_of(call, call.integer_list("kernel_shape") or w.shape[2:], x.shape[2:])
    if weight_zero is not None and weight_zero.count > 1:
        weight_zero = g.reshape(weight_zero, (weight_zero.count, *(1,) * (len(w.shape) - 1)))
    elif weight_zero is not None:
        weight_zero = g.reshape(weight_zero, ())
    zero = None if zero is None else g.reshape(zero, ())
    op = Conv(window, call.integer("group", 1))
    return g.one(op, _centred(g, x, zero), _centred(g, w, weight_zero))


def _spread(call: Call, given: Value) -> Value:
    """A scale or zero point in a shape that broadcasts: of all, along an axis, or of blocks."""
    g, shape = call.graph, call[0].shape
    if given.count == 1 and len(given.shape) < 2:
        return g.reshape(given, ())
    axis = call.axis("axis", 1, len(shape))
    if len(given.shape) == 1:
        along = tuple(given.count if n == axis else 1 for n in range(len(shape)))
        return g.reshape(given, along)
    block = call.integer("block_size")
    if block < 1:
        raise GraphError(f"{call.op_type}: scales of shape {list(given.shape)} without block_size")
    lead, count, rest = given.shape[:axis], given.shape[axis], given.shape[axis + 1 :]
    apart = g.reshape(given, (*lead, count, 1, *rest))
    wide = g.reshape(g.one(Expand((*lead, count, block, *rest)), apart),
                     (*lead, count * block, *rest))  # fmt: skip
    if count * block == shape[axis]:
        return wide
    zeros, ones = (0,) * len(shape), (1,) * len(shape)
    return g.one(Slice(zeros, shape, ones), wide)
