"""Maths functions of the language, one line each: they stay call nodes until lowering.

Results have the operand's type and are the same on every target, scalar or in vectors. How far they
may be from the exact value is said in units in the last place (ULP) of float32 and float64; float16
and bfloat16 are computed in float32 and rounded once. The figures are those of
`tdsl.lower.maths.bounds`.
"""

from __future__ import annotations

from tdsl.ir.expr import MathFn, UnaryOp
from tdsl.lang.value import Value, float_unary, math_call, unary

sqrt = float_unary(UnaryOp.SQRT, "Square root of a float, correctly rounded; NaN below 0.")
floor = float_unary(UnaryOp.FLOOR, "Greatest integer that is not above a float, as a float.")
ceil = float_unary(UnaryOp.CEIL, "Least integer that is not below a float, as a float.")
trunc = float_unary(UnaryOp.TRUNC, "A float without its fraction.")
round = float_unary(  # noqa: A001 - numpy's name
    UnaryOp.ROUND, "Nearest integer to a float, as a float; halves go to the even one."
)
isnan = float_unary(UnaryOp.ISNAN, "Whether a float is NaN, as a bool.")
isinf = float_unary(UnaryOp.ISINF, "Whether a float is inf or -inf, as a bool.")


def abs(x: object) -> Value:  # noqa: A001 - numpy's name
    """Absolute value of a float or an integer; the least integer stays itself.

    Raises:
        TypeMismatch: a bool.
    """
    return unary(UnaryOp.ABS, x)


def popcount(x: object) -> Value:
    """Number of one bits of an integer, in its type.

    Raises:
        TypeMismatch: a float or a bool.
    """
    return unary(UnaryOp.POPCOUNT, x)


def clz(x: object) -> Value:
    """Number of leading zero bits of an integer (its width for 0).

    Raises:
        TypeMismatch: a float or a bool.
    """
    return unary(UnaryOp.CLZ, x)


def exp(x: object) -> Value:
    """e ** x; within 0.9 ULP.

    >>> import numpy as np
    >>> import tdsl as td
    >>> x = td.placeholder((3,), "float32", name="x")
    >>> y = td.compute((3,), lambda i: td.exp(x[i]), name="y")
    >>> td.build(td.func("exp", [x], [y]))(np.zeros(3, np.float32))
    array([1., 1., 1.], dtype=float32)

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.EXP, x)


def exp2(x: object) -> Value:
    """2 ** x; within 0.9 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.EXP2, x)


def expm1(x: object) -> Value:
    """e ** x - 1, accurate near 0; within 1.3 ULP in float32, 1.6 in float64.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.EXPM1, x)


def log(x: object) -> Value:
    """Natural logarithm; -inf at 0, NaN below; within 0.95 ULP in float32, 0.9 in float64.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.LOG, x)


def log2(x: object) -> Value:
    """Logarithm to base 2; within 0.8 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.LOG2, x)


def log10(x: object) -> Value:
    """Logarithm to base 10; within 0.7 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.LOG10, x)


def log1p(x: object) -> Value:
    """log(1 + x), accurate near 0; within 1.0 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.LOG1P, x)


def sin(x: object) -> Value:
    """Sine of an angle in radians; within 1.6 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.SIN, x)


def cos(x: object) -> Value:
    """Cosine of an angle in radians; within 1.6 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.COS, x)


def tan(x: object) -> Value:
    """Tangent of an angle in radians; within 3.7 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.TAN, x)


def asin(x: object) -> Value:
    """Inverse sine, in radians; within 2.2 ULP in float32, 2.3 in float64.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.ASIN, x)


def acos(x: object) -> Value:
    """Inverse cosine, in radians; within 1.3 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.ACOS, x)


def atan(x: object) -> Value:
    """Inverse tangent, in radians; within 1.5 ULP in float32, 1.6 in float64.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.ATAN, x)


def atan2(y: object, x: object) -> Value:
    """Angle of the point (x, y), in radians; within 1.7 ULP.

    Raises:
        TypeMismatch: operands that are not floats of one type.
    """
    return math_call(MathFn.ATAN2, y, x)


def sinh(x: object) -> Value:
    """Hyperbolic sine; within 1.5 ULP in float32, 1.9 in float64.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.SINH, x)


def cosh(x: object) -> Value:
    """Hyperbolic cosine; within 1.3 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.COSH, x)


def tanh(x: object) -> Value:
    """Hyperbolic tangent; within 1.4 ULP in float32, 1.5 in float64.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.TANH, x)


def erf(x: object) -> Value:
    """Gauss error function; within 1.8 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.ERF, x)


def sigmoid(x: object) -> Value:
    """1 / (1 + exp(-x)), without overflow; within 1.7 ULP in float32, 1.8 in float64.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.SIGMOID, x)


def rsqrt(x: object) -> Value:
    """1 / sqrt(x); within 0.51 ULP.

    Raises:
        TypeMismatch: the operand is no float.
    """
    return math_call(MathFn.RSQRT, x)


def pow(x: object, y: object) -> Value:  # noqa: A001 - numpy's name
    """x ** y of floats; within 1.0 ULP.

    Raises:
        TypeMismatch: operands that are not floats of one type.
    """
    return math_call(MathFn.POW, x, y)


def fmod(x: object, y: object) -> Value:
    """Remainder with the sign of x, exact.

    Raises:
        TypeMismatch: operands that are not floats of one type.
    """
    return math_call(MathFn.FMOD, x, y)
