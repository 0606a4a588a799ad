"""Maths functions of the language, one line each: they stay call nodes until lowering."""

from __future__ import annotations

from tdsl.ir.expr import MathFn, UnaryOp
from tdsl.lang.value import Value, float_unary, math_call, unary

sqrt = float_unary(UnaryOp.SQRT)
floor = float_unary(UnaryOp.FLOOR)
ceil = float_unary(UnaryOp.CEIL)
trunc = float_unary(UnaryOp.TRUNC)
round = float_unary(UnaryOp.ROUND)  # noqa: A001 - numpy's name
isnan = float_unary(UnaryOp.ISNAN)
isinf = float_unary(UnaryOp.ISINF)


def abs(x: object) -> Value:  # noqa: A001 - numpy's name
    """Absolute value; the least integer stays itself."""
    return unary(UnaryOp.ABS, x)


def popcount(x: object) -> Value:
    """Number of one bits of an integer."""
    return unary(UnaryOp.POPCOUNT, x)


def clz(x: object) -> Value:
    """Number of leading zero bits of an integer (its width for 0)."""
    return unary(UnaryOp.CLZ, x)


def exp(x: object) -> Value:
    """e ** x."""
    return math_call(MathFn.EXP, x)


def exp2(x: object) -> Value:
    """2 ** x."""
    return math_call(MathFn.EXP2, x)


def expm1(x: object) -> Value:
    """e ** x - 1, accurate near 0."""
    return math_call(MathFn.EXPM1, x)


def log(x: object) -> Value:
    """Natural logarithm; -inf at 0, NaN below."""
    return math_call(MathFn.LOG, x)


def log2(x: object) -> Value:
    """Logarithm to base 2."""
    return math_call(MathFn.LOG2, x)


def log10(x: object) -> Value:
    """Logarithm to base 10."""
    return math_call(MathFn.LOG10, x)


def log1p(x: object) -> Value:
    """log(1 + x), accurate near 0."""
    return math_call(MathFn.LOG1P, x)


def sin(x: object) -> Value:
    """Sine of an angle in radians."""
    return math_call(MathFn.SIN, x)


def cos(x: object) -> Value:
    """Cosine of an angle in radians."""
    return math_call(MathFn.COS, x)


def tan(x: object) -> Value:
    """Tangent of an angle in radians."""
    return math_call(MathFn.TAN, x)


def asin(x: object) -> Value:
    """Inverse sine, in radians."""
    return math_call(MathFn.ASIN, x)


def acos(x: object) -> Value:
    """Inverse cosine, in radians."""
    return math_call(MathFn.ACOS, x)


def atan(x: object) -> Value:
    """Inverse tangent, in radians."""
    return math_call(MathFn.ATAN, x)


def atan2(y: object, x: object) -> Value:
    """Angle of the point (x, y), in radians."""
    return math_call(MathFn.ATAN2, y, x)


def sinh(x: object) -> Value:
    """Hyperbolic sine."""
    return math_call(MathFn.SINH, x)


def cosh(x: object) -> Value:
    """Hyperbolic cosine."""
    return math_call(MathFn.COSH, x)


def tanh(x: object) -> Value:
    """Hyperbolic tangent."""
    return math_call(MathFn.TANH, x)


def erf(x: object) -> Value:
    """Gauss error function."""
    return math_call(MathFn.ERF, x)


def sigmoid(x: object) -> Value:
    """1 / (1 + exp(-x)), without overflow."""
    return math_call(MathFn.SIGMOID, x)


def rsqrt(x: object) -> Value:
    """1 / sqrt(x)."""
    return math_call(MathFn.RSQRT, x)


def pow(x: object, y: object) -> Value:  # noqa: A001 - numpy's name
    """x ** y of floats."""
    return math_call(MathFn.POW, x, y)


def fmod(x: object, y: object) -> Value:
    """Remainder with the sign of x, exact."""
    return math_call(MathFn.FMOD, x, y)
