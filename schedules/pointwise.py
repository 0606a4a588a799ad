"""Elementwise operators with numpy's broadcasting: arithmetic, comparison, logic, cast, where."""

from __future__ import annotations

from collections.abc import Callable

import tdsl as td
from tdsl.schedules.dims import broadcast, broadcast_at, declare, unique

Function = Callable[..., td.Value]


def elementwise(function: Function, *inputs: td.Tensor, name: str | None = None) -> td.Tensor:
    """`function` of the elements of tensors that broadcast to one shape.

    >>> import tdsl as td
    >>> X, b = td.placeholder((4, 5), name="X"), td.placeholder((5,), name="b")
    >>> elementwise(lambda x, y: x * y + 1.0, X, b, name="Y")
    <tensor Y: float32[4, 5]>

    Raises:
        DeclarationError: shapes that do not broadcast.
        TypeMismatch: dtypes that the function cannot mix.
    """
    label = unique(getattr(function, "__name__", "elementwise").strip("<>"), name)
    shape = broadcast([x.shape for x in inputs], label)
    return declare(shape, lambda i: function(*(broadcast_at(x, i) for x in inputs)), label)


def add(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a + b."""
    return elementwise(lambda x, y: x + y, a, b, name=unique("add", name))


def subtract(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a - b."""
    return elementwise(lambda x, y: x - y, a, b, name=unique("subtract", name))


def multiply(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a * b."""
    return elementwise(lambda x, y: x * y, a, b, name=unique("multiply", name))


def divide(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a / b; integers are divided towards zero, as in C and ONNX."""
    return elementwise(_quotient, a, b, name=unique("divide", name))


def _quotient(x: td.Value, y: td.Value) -> td.Value:
    if x.dtype.is_float:
        return x / y
    quotient = x // y
    if not x.dtype.min < 0:
        return quotient
    inexact = (x - quotient * y) != 0
    return td.select(inexact & ((x < 0) != (y < 0)), quotient + 1, quotient)


def remainder(
    a: td.Tensor, b: td.Tensor, name: str | None = None, *, truncated: bool = False
) -> td.Tensor:
    """a % b with the sign of b, as in Python; `truncated`: with the sign of a, as in C."""
    return elementwise(
        _truncated_remainder if truncated else _floored_remainder, a, b,
        name=unique("remainder", name),
    )  # fmt: skip


def _floored_remainder(x: td.Value, y: td.Value) -> td.Value:
    if not x.dtype.is_float:
        return x % y
    rest = td.fmod(x, y)
    return td.select((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest)


def _truncated_remainder(x: td.Value, y: td.Value) -> td.Value:
    return td.fmod(x, y) if x.dtype.is_float else x - _quotient(x, y) * y


def power(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a ** b of floats."""
    return elementwise(td.pow, a, b, name=unique("power", name))


def minimum(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """The lesser of two elements; NaN if either is."""
    return elementwise(td.minimum, a, b, name=unique("minimum", name))


def maximum(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """The greater of two elements; NaN if either is."""
    return elementwise(td.maximum, a, b, name=unique("maximum", name))


def equal(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a == b, as bool."""
    return elementwise(lambda x, y: x == y, a, b, name=unique("equal", name))


def not_equal(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a != b, as bool."""
    return elementwise(lambda x, y: x != y, a, b, name=unique("not_equal", name))


def less(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a < b, as bool."""
    return elementwise(lambda x, y: x < y, a, b, name=unique("less", name))


def less_equal(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a <= b, as bool."""
    return elementwise(lambda x, y: x <= y, a, b, name=unique("less_equal", name))


def greater(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a > b, as bool."""
    return elementwise(lambda x, y: x > y, a, b, name=unique("greater", name))


def greater_equal(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a >= b, as bool."""
    return elementwise(lambda x, y: x >= y, a, b, name=unique("greater_equal", name))


def bitwise_and(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a & b of integers or bools."""
    return elementwise(lambda x, y: x & y, a, b, name=unique("bitwise_and", name))


def bitwise_or(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a | b of integers or bools."""
    return elementwise(lambda x, y: x | y, a, b, name=unique("bitwise_or", name))


def bitwise_xor(a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a ^ b of integers or bools."""
    return elementwise(lambda x, y: x ^ y, a, b, name=unique("bitwise_xor", name))


def invert(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """~x of integers or bools."""
    return elementwise(lambda v: ~v, x, name=unique("invert", name))


def negate(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """-x."""
    return elementwise(lambda v: -v, x, name=unique("negate", name))


def absolute(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """|x|."""
    return elementwise(td.abs, x, name=unique("absolute", name))


def sign(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """-1, 0 or 1; NaN stays."""
    return elementwise(
        lambda v: td.select(v > 0, td.cast(1, v.dtype), td.select(v < 0, td.cast(-1, v.dtype), v)),
        x, name=unique("sign", name),
    )  # fmt: skip


def reciprocal(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """1 / x."""
    return elementwise(lambda v: 1.0 / v, x, name=unique("reciprocal", name))


def maths(function: Function, x: td.Tensor, name: str | None = None) -> td.Tensor:
    """A function of td's such as `td.exp` or `td.sqrt`, of each element."""
    return elementwise(function, x, name=unique(function.__name__, name))


def clip(
    x: td.Tensor, low: float | None = None, high: float | None = None, name: str | None = None
) -> td.Tensor:
    """x kept between two bounds; NaN stays."""

    def clipped(v: td.Value) -> td.Value:
        if low is not None:
            v = td.maximum(v, low)
        return v if high is None else td.minimum(v, high)

    return elementwise(clipped, x, name=unique("clip", name))


def cast(x: td.Tensor, dtype: object, name: str | None = None) -> td.Tensor:
    """x converted to another element type, as `td.cast`."""
    return elementwise(lambda v: td.cast(v, dtype), x, name=unique("cast", name))


def where(condition: td.Tensor, a: td.Tensor, b: td.Tensor, name: str | None = None) -> td.Tensor:
    """a where the condition holds, else b."""
    return elementwise(td.select, condition, a, b, name=unique("where", name))


def identity(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """x; what dropout is outside of training."""
    return elementwise(lambda v: v, x, name=unique("identity", name))


dropout = identity
