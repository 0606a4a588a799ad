"""What elementwise operators compute, written for one element.

Where a function takes numbers after its operands, they are its attributes.
"""

from __future__ import annotations

import math
import operator

from tdsl import dtypes
from tdsl.lang import mathfns as m
from tdsl.lang.value import Value, cast, maximum, minimum, select

negative, invert = operator.neg, operator.invert
add, subtract = operator.add, operator.sub
logical_and, logical_or, logical_xor = operator.and_, operator.or_, operator.xor
bit_and, bit_or, bit_xor = logical_and, logical_or, logical_xor
shift_left, shift_right = operator.lshift, operator.rshift
equal, less, less_equal = operator.eq, operator.lt, operator.le
greater, greater_equal = operator.gt, operator.ge
where = select
acos, asin, atan = m.acos, m.asin, m.atan
cos, cosh, sin, sinh, tan, tanh = m.cos, m.cosh, m.sin, m.sinh, m.tan, m.tanh
ceil, floor, rounded, sqrt, rsqrt = m.ceil, m.floor, m.round, m.sqrt, m.rsqrt
erf, exp, log, sigmoid, isnan = m.erf, m.exp, m.log, m.sigmoid, m.isnan


def identity(x: Value) -> Value:
    """x."""
    return x


def absolute(x: Value) -> Value:
    """|x|; unsigned numbers are their own."""
    return x if x.dtype.kind is dtypes.Kind.UINT else m.abs(x)


def multiply(x: Value, y: Value) -> Value:
    """x * y; of bools: and."""
    return x & y if x.dtype.is_bool else x * y


def divide(x: Value, y: Value) -> Value:
    """Of integers: toward zero."""
    if x.dtype.is_float:
        return x / y
    if x.dtype.kind is dtypes.Kind.UINT:
        return x // y
    down = x // y
    return select((x % y != 0) & ((x < 0) ^ (y < 0)), down + 1, down)


def mod(x: Value, y: Value) -> Value:
    """With the sign of the divisor."""
    if x.dtype.is_integer:
        return x % y
    rest = m.fmod(x, y)
    return select((rest != 0.0) & ((rest < 0.0) ^ (y < 0.0)), rest + y, rest)


def fmod(x: Value, y: Value) -> Value:
    """With the sign of the dividend."""
    if x.dtype.is_float:
        return m.fmod(x, y)
    if x.dtype.kind is dtypes.Kind.UINT:
        return x % y
    rest = x % y
    return select((rest != 0) & ((x < 0) ^ (y < 0)), rest - y, rest)


def power(x: Value, y: Value) -> Value:
    """Integer bases and exponents go through float64, as far as it is exact."""
    if x.dtype.is_float:
        return m.pow(x, cast(y, x.dtype))
    return cast(rounded(m.pow(cast(x, dtypes.float64), cast(y, dtypes.float64))), x.dtype)


def isinf(x: Value, detect_negative: float, detect_positive: float) -> Value:
    """Whether x is an infinity of a sign that is looked for."""
    infinite = m.isinf(x)
    if detect_negative and detect_positive:
        return infinite
    if not detect_negative and not detect_positive:
        return infinite & (x != x)  # noqa: PLR0124 - never true, of the right type
    return infinite & (x > 0.0 if detect_positive else x < 0.0)


def sign(x: Value) -> Value:
    """-1, 0 or 1."""
    zero, one = cast(0, x.dtype), cast(1, x.dtype)
    above = select(x > zero, one, x)
    return above if x.dtype.kind is dtypes.Kind.UINT else select(x < zero, -one, above)


def reciprocal(x: Value) -> Value:
    """1 / x."""
    return 1.0 / x


def relu(x: Value) -> Value:
    """max(x, 0)."""
    return maximum(x, cast(0, x.dtype))


def leaky_relu(x: Value, alpha: float) -> Value:
    """x, or alpha * x below 0."""
    return select(x < 0.0, x * alpha, x)


def prelu(x: Value, slope: Value) -> Value:
    """x, or slope * x below 0."""
    return select(x < cast(0, x.dtype), x * slope, x)


def elu(x: Value, alpha: float) -> Value:
    """x, or alpha * (e**x - 1) below 0."""
    return select(x < 0.0, m.expm1(minimum(x, 0.0)) * alpha, x)


def celu(x: Value, alpha: float) -> Value:
    """x, or alpha * (e**(x / alpha) - 1) below 0."""
    return select(x < 0.0, m.expm1(minimum(x, 0.0) / alpha) * alpha, x)


def selu(x: Value, alpha: float, gamma: float) -> Value:
    """An elu times gamma."""
    return select(x > 0.0, x * gamma, m.expm1(minimum(x, 0.0)) * (alpha * gamma))


def thresholded_relu(x: Value, alpha: float) -> Value:
    """x above alpha, else 0."""
    return select(x > alpha, x, 0.0)


def hard_sigmoid(x: Value, alpha: float, beta: float) -> Value:
    """alpha * x + beta, within 0 and 1."""
    return minimum(maximum(x * alpha + beta, 0.0), 1.0)


def hard_swish(x: Value) -> Value:
    """x times its hard sigmoid."""
    return x * hard_sigmoid(x, 1.0 / 6.0, 0.5)


def softplus(x: Value) -> Value:
    """log(1 + e**x), without overflow."""
    return maximum(x, 0.0) + m.log1p(exp(-m.abs(x)))


def softsign(x: Value) -> Value:
    """x / (1 + |x|)."""
    return x / (1.0 + m.abs(x))


def mish(x: Value) -> Value:
    """x * tanh(softplus(x))."""
    return x * tanh(softplus(x))


def swish(x: Value, alpha: float) -> Value:
    """x * sigmoid(alpha * x)."""
    return x * sigmoid(x if alpha == 1.0 else x * alpha)


def gelu(x: Value) -> Value:
    """x times the normal distribution at x."""
    return x * 0.5 * (1.0 + erf(x * math.sqrt(0.5)))


def gelu_tanh(x: Value) -> Value:
    """gelu by a tanh."""
    inner = (x + x * x * x * 0.044715) * math.sqrt(2.0 / math.pi)
    return x * 0.5 * (1.0 + tanh(inner))


def shrink(x: Value, lambd: float, bias: float) -> Value:
    """x moved by the bias toward 0, 0 within lambd of it."""
    low, high, shift = (cast(v, x.dtype) for v in (-lambd, lambd, bias))
    return select(x < low, x + shift, select(x > high, x - shift, cast(0, x.dtype)))


def clip(x: Value, low: float, high: float) -> Value:
    """x within low and high; infinite bounds cost nothing."""
    floored = x if low == -math.inf else maximum(x, cast(low, x.dtype))
    return floored if high == math.inf else minimum(floored, cast(high, x.dtype))


def acosh(x: Value) -> Value:
    """Inverse hyperbolic cosine."""
    return log(x + sqrt(x * x - 1.0))


def asinh(x: Value) -> Value:
    """Inverse hyperbolic sine, accurate near 0."""
    size = m.abs(x)
    grown = m.log1p(size + size * size / (1.0 + sqrt(size * size + 1.0)))
    return select(x < 0.0, -grown, grown)


def atanh(x: Value) -> Value:
    """Inverse hyperbolic tangent."""
    return (m.log1p(x) - m.log1p(-x)) * 0.5
