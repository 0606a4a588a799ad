"""Converters: elementwise operators."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tdsl.dtypes import BY_NAME
from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.onnx_import.load import ELEMENT_TYPES
from tdsl.graph.ops.elementwise import BitCast
from tdsl.graph.ops.movement import Trilu
from tdsl.graph.ops.reductions import ReduceKind

_PLAIN = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Add": "add", "And": "and", "Asin": "asin",
    "Asinh": "asinh", "Atan": "atan", "Atanh": "atanh", "BitwiseAnd": "bitwise_and",
    "BitwiseNot": "bitwise_not", "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor",
    "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Div": "div", "Equal": "equal", "Erf": "erf",
    "Exp": "exp", "Floor": "floor", "Greater": "greater", "GreaterOrEqual": "greater_equal",
    "HardSwish": "hard_swish", "IsNaN": "isnan", "Less": "less", "LessOrEqual": "less_equal",
    "Log": "log", "Mish": "mish", "Mul": "mul", "Neg": "neg", "Not": "not", "Or": "or",
    "PRelu": "prelu", "Pow": "pow", "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Softsign": "softsign", "Sqrt": "sqrt", "Sub": "sub", "Tan": "tan", "Tanh": "tanh",
    "Where": "where", "Xor": "xor",
}  # fmt: skip

# attributes in the order of the function's numbers, with ONNX's defaults
_WITH_NUMBERS: dict[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "Celu": ("celu", (("alpha", 1.0),)),
    "Elu": ("elu", (("alpha", 1.0),)),
    "HardSigmoid": ("hard_sigmoid", (("alpha", 0.2), ("beta", 0.5))),
    "LeakyRelu": ("leaky_relu", (("alpha", 0.01),)),
    "Selu": ("selu", (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875))),
    "Shrink": ("shrink", (("lambd", 0.5), ("bias", 0.0))),
    "Swish": ("swish", (("alpha", 1.0),)),
    "ThresholdedRelu": ("thresholded_relu", (("alpha", 1.0),)),
}


@operator(*_PLAIN)
def plain(call: Call) -> Value:
    """Operators that are a function of the operands' elements."""
    if call.integer("broadcast"):  # before opset 7: the second operand's axes begin at `axis`
        return _broadcast_at(call)
    if call.op_type == "PRelu" and call.opset < 7 and call[1].count > 1:  # one for each channel
        slope = call.graph.reshape(call[1], (call[1].count, *(1,) * (len(call[0].shape) - 2)))
        return call.graph.apply("prelu", call[0], slope)
    count = len(call.operands)
    return call.graph.apply(_PLAIN[call.op_type], *(call[n] for n in range(count)))


def _broadcast_at(call: Call) -> Value:
    x, y = call[0], call[1]
    rank = len(x.shape)
    axis = call.integer("axis", rank - len(y.shape))
    shape = (*y.shape, *(1,) * (rank - axis - len(y.shape)))
    return call.graph.apply(_PLAIN[call.op_type], x, call.graph.reshape(y, shape))


@operator(*_WITH_NUMBERS)
def with_numbers(call: Call) -> Value:
    """Operators with attributes."""
    function, attributes = _WITH_NUMBERS[call.op_type]
    numbers = [call.real(name, default) for name, default in attributes]
    return call.graph.apply(function, call[0], numbers=numbers)


@operator("Identity", "Dropout")
def same(call: Call) -> Sequence[Value]:
    """Nothing happens; the mask of a Dropout keeps every element."""
    if call.op_type == "Dropout" and call.has(2) and bool(call.array(2)):
        ratio = call.number(1) if call.has(1) else 0.5
        if ratio != 0:
            raise GraphError("Dropout in training mode is not supported: its results are random")
    if call.wants(1):
        mask = np.ones(call[0].shape, np.bool_)
        return [call[0], call.graph.constant(mask)]
    return [call[0]]


@operator("Max", "Min", "Sum", "Mean")
def variadic(call: Call) -> Value:
    """One function of any number of operands."""
    function = {"Max": "max", "Min": "min"}.get(call.op_type, "add")
    result = call[0]
    for n in range(1, len(call.operands)):
        result = call.graph.apply(function, result, call[n])
    if call.op_type == "Mean":
        share = call.scalar(1.0 / len(call.operands), result)
        result = call.graph.apply("mul", result, share)
    return result


@operator("Clip")
def clip(call: Call) -> Value:
    """Bounds are attributes, or operands since opset 11."""
    if call.opset < 11:
        bounds = call.real("min", -math.inf), call.real("max", math.inf)
        return call.graph.apply("clip", call[0], numbers=bounds)
    lower, upper = (call.optional(n) for n in (1, 2))
    known = [None if v is None else call.graph.known(v) for v in (lower, upper)]
    if all(v is None or k is not None for v, k in zip((lower, upper), known, strict=True)):
        low, high = known
        numbers = (
            -math.inf if low is None else low.item(),
            math.inf if high is None else high.item(),
        )
        return call.graph.apply("clip", call[0], numbers=numbers)
    result = call[0]
    result = result if lower is None else call.graph.apply("max", result, lower)
    return result if upper is None else call.graph.apply("min", result, upper)


@operator("Cast", "CastLike")
def cast(call: Call) -> Value:
    """Conversion between the types that tdsl has."""
    if call.op_type == "CastLike":
        return call.graph.cast(call[0], call[1].dtype)
    number = call.integer("to")
    if number not in ELEMENT_TYPES:
        raise GraphError(f"Cast to element type {number}, which is not supported")
    return call.graph.cast(call[0], BY_NAME[ELEMENT_TYPES[number].name])


@operator("BitCast")
def bit_cast(call: Call) -> Value:
    """The same bits as another type of as many."""
    number, x = call.integer("to"), call[0]
    if number not in ELEMENT_TYPES or 8 * ELEMENT_TYPES[number].itemsize != x.dtype.bits:
        raise GraphError(f"BitCast of {x.dtype} to element type {number} is not supported")
    return call.graph.one(BitCast(BY_NAME[ELEMENT_TYPES[number].name]), x)


@operator("Gelu")
def gelu(call: Call) -> Value:
    """Exact, or by tanh."""
    exact = call.text("approximate", "none") == "none"
    return call.graph.apply("gelu" if exact else "gelu_tanh", call[0])


@operator("Mod")
def mod(call: Call) -> Value:
    """The sign of the result is the divisor's, with fmod=1 the dividend's."""
    return call.graph.apply("fmod" if call.integer("fmod") else "mod", call[0], call[1])


@operator("BitShift")
def bit_shift(call: Call) -> Value:
    """Shifts of unsigned integers."""
    left = call.text("direction", "LEFT") == "LEFT"
    return call.graph.apply("shift_left" if left else "shift_right", call[0], call[1])


@operator("IsInf")
def is_inf(call: Call) -> Value:
    """Infinities of either sign, or of one."""
    numbers = call.integer("detect_negative", 1), call.integer("detect_positive", 1)
    return call.graph.apply("isinf", call[0], numbers=numbers)


@operator("BatchNormalization")
def batch_normalization(call: Call) -> Sequence[Value]:
    """A scale and a shift for each channel, which constant folding works out beforehand."""
    if call.wants(1) and not call.integer("training_mode"):
        raise GraphError("BatchNormalization with saved statistics is not supported")
    if not call.integer("training_mode"):
        return [_normalised(call, call[3], call[4])]
    x, g = call[0], call.graph
    over = [n for n in range(len(x.shape)) if n != 1]
    mean = g.reduce(ReduceKind.MEAN, x, over)
    centred = g.apply("sub", x, mean)
    variance = g.reduce(ReduceKind.MEAN, g.apply("mul", centred, centred), over, keep=False)
    mean, share = g.reshape(mean, (x.shape[1],)), call.real("momentum", 0.9)
    results = [_normalised(call, mean, variance)]
    for old, new in ((call[3], mean), (call[4], variance)):
        kept = g.apply("mul", old, call.scalar(share, old))
        fresh = g.cast(g.apply("mul", new, call.scalar(1.0 - share, new)), old.dtype)
        results.append(g.apply("add", kept, fresh))
    return results


def _normalised(call: Call, mean: Value, variance: Value) -> Value:
    epsilon = call.real("epsilon", 1e-5)
    return call.graph.batch_norm(call[0], call[1], call[2], mean, variance, epsilon)


@operator("Trilu")
def trilu(call: Call) -> Value:
    """A triangle of matrices."""
    diagonal = call.integers(1)[0] if call.has(1) else 0
    return call.graph.one(Trilu(diagonal, bool(call.integer("upper", 1))), call[0])
