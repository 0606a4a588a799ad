"""Values that users compute with: thin wrappers that build expression nodes.

A Python number takes the dtype of the other operand; two different dtypes never mix without
`td.cast`, except that any integer may index a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from tdsl import dtypes
from tdsl.dtypes import DType, as_dtype
from tdsl.errors import DeclarationError, TypeMismatch
from tdsl.ir.build import const
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Buffer,
    Cast,
    Const,
    Expr,
    Load,
    Math,
    MathFn,
    Select,
    Unary,
    UnaryOp,
    Var,
)

Scalar = int | float | bool
_NUMPY_OPERATORS = frozenset(
    (
        "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power",
        "less", "less_equal", "greater", "greater_equal", "equal", "not_equal",
        "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift",
    )
)  # fmt: skip
Operand: TypeAlias = "Arithmetic | Scalar"


class Arithmetic:
    """Python's operators, which build expressions: of values, and of tensors of shape ()."""

    __slots__ = ()

    def __array_ufunc__(self, function: Any, method: str, *operands: Any, **options: Any) -> Any:
        """Operators whose left side is a number of numpy's come here, as do numpy's functions."""
        if function.__name__ not in _NUMPY_OPERATORS or method != "__call__" or options:
            raise TypeMismatch(
                f"numpy's {function.__name__} does not take tdsl values",
                hint=f"td.{function.__name__}, if there is such a function, or td.select",
            )
        boxed = [
            x.astype(object) if hasattr(x, "astype") else np.asarray(x, object) for x in operands
        ]
        return function(*boxed, dtype=object)

    def __add__(self, other: Operand) -> Value:
        return binary(BinaryOp.ADD, self, other)

    def __radd__(self, other: Operand) -> Value:
        return binary(BinaryOp.ADD, other, self)

    def __sub__(self, other: Operand) -> Value:
        return binary(BinaryOp.SUB, self, other)

    def __rsub__(self, other: Operand) -> Value:
        return binary(BinaryOp.SUB, other, self)

    def __mul__(self, other: Operand) -> Value:
        return binary(BinaryOp.MUL, self, other)

    def __rmul__(self, other: Operand) -> Value:
        return binary(BinaryOp.MUL, other, self)

    def __truediv__(self, other: Operand) -> Value:
        return binary(BinaryOp.TRUEDIV, self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return binary(BinaryOp.TRUEDIV, other, self)

    def __floordiv__(self, other: Operand) -> Value:
        return binary(BinaryOp.FLOORDIV, self, other)

    def __rfloordiv__(self, other: Operand) -> Value:
        return binary(BinaryOp.FLOORDIV, other, self)

    def __mod__(self, other: Operand) -> Value:
        return binary(BinaryOp.FLOORMOD, self, other)

    def __rmod__(self, other: Operand) -> Value:
        return binary(BinaryOp.FLOORMOD, other, self)

    def __and__(self, other: Operand) -> Value:
        return binary(BinaryOp.AND, self, other)

    def __rand__(self, other: Operand) -> Value:
        return binary(BinaryOp.AND, other, self)

    def __or__(self, other: Operand) -> Value:
        return binary(BinaryOp.OR, self, other)

    def __ror__(self, other: Operand) -> Value:
        return binary(BinaryOp.OR, other, self)

    def __xor__(self, other: Operand) -> Value:
        return binary(BinaryOp.XOR, self, other)

    def __rxor__(self, other: Operand) -> Value:
        return binary(BinaryOp.XOR, other, self)

    def __lshift__(self, other: Operand) -> Value:
        return binary(BinaryOp.SHL, self, other)

    def __rlshift__(self, other: Operand) -> Value:
        return binary(BinaryOp.SHL, other, self)

    def __rshift__(self, other: Operand) -> Value:
        return binary(BinaryOp.SHR, self, other)

    def __rrshift__(self, other: Operand) -> Value:
        return binary(BinaryOp.SHR, other, self)

    def __lt__(self, other: Operand) -> Value:
        return binary(BinaryOp.LT, self, other)

    def __le__(self, other: Operand) -> Value:
        return binary(BinaryOp.LE, self, other)

    def __gt__(self, other: Operand) -> Value:
        return binary(BinaryOp.GT, self, other)

    def __ge__(self, other: Operand) -> Value:
        return binary(BinaryOp.GE, self, other)

    def __neg__(self) -> Value:
        return unary(UnaryOp.NEG, self)

    def __pos__(self) -> Value:
        return Value(as_expr(self))

    def __abs__(self) -> Value:
        return unary(UnaryOp.ABS, self)

    def __invert__(self) -> Value:
        return unary(UnaryOp.NOT, self)

    def __pow__(self, other: Operand) -> Value:
        return math_call(MathFn.POW, self, other)


class Value(Arithmetic):
    """A scalar expression of the algorithm language.

    What indexing a tensor gives, and all that is computed from it. Python's operators work on it:
    integers wrap, `//` and `%` round down, division of integers by zero gives 0, `&`, `|` and `~`
    stand for and, or and not. Values of two dtypes do not mix (`td.cast`); numbers take the dtype
    of the other operand.
    """

    __slots__ = ("expr",)

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    @property
    def dtype(self) -> DType:
        """Element type of the value."""
        return self.expr.dtype

    def __repr__(self) -> str:
        return f"<td value of {self.dtype}>"

    def __bool__(self) -> bool:
        raise TypeMismatch(
            "a tdsl value has no truth at declaration time",
            hint="use td.select(cond, a, b), and & | ~ in place of and, or, not",
        )

    def __float__(self) -> float:
        raise TypeMismatch(
            "a tdsl value is no number at declaration time",
            hint="use td.exp, td.sqrt, ... in place of those of the module math",
        )

    def __index__(self) -> int:
        shown = self.name if isinstance(self, Size) else "a tdsl value"
        raise TypeMismatch(
            f"{shown} is no number at declaration time, but is known when the kernel is called",
            hint="td.reduce_axis(N, name='k') runs over a size; td.sum adds up over the axis",
        )

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]  # as numpy's does
        return binary(BinaryOp.EQ, self, other)

    def __ne__(self, other: object) -> Value:  # type: ignore[override]  # likewise
        return binary(BinaryOp.NE, self, other)


class SizeVar(Var):
    """The variable behind a symbolic size (told apart from stray axes by its class)."""

    __slots__ = ()


class Size(Value):
    """A symbolic size, at least 0, fixed at each call by the arguments' shapes."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__(SizeVar(name))
        self.name = name

    def __repr__(self) -> str:
        return self.name


def sizes(names: str) -> Any:  # a Size, or a tuple that callers unpack
    """Declare symbolic sizes: one name gives a Size, several (spaces between) a tuple.

    >>> M, N = sizes("M N")
    >>> M, N
    (M, N)

    Raises:
        DeclarationError: a name is no identifier or occurs twice.
    """
    if not isinstance(names, str):
        raise TypeMismatch(
            f"td.sizes takes names, got {names!r}",
            hint='M, N = td.sizes("M N"); an extent that is known is a number',
        )
    parts = names.replace(",", " ").split()
    if not parts or len(set(parts)) != len(parts):
        raise DeclarationError(f"sizes need distinct names, got {names!r}")
    for part in parts:
        check_name(part, "a size")
    made = tuple(Size(part) for part in parts)
    return made[0] if len(made) == 1 else made


def check_name(name: str, what: str) -> None:
    """Refuse names that IR text could not hold."""
    if not isinstance(name, str):
        raise TypeMismatch(f"{what} is named by a string, got {name!r}")
    pieces = name.split(".")
    if not all(piece and piece.replace("_", "a").isalnum() for piece in pieces):
        raise DeclarationError(
            f"{what} cannot be called {name!r}", hint="use letters, digits, _ and . between them"
        )


def is_number(x: object) -> TypeGuard[float]:
    """Whether *x* is a Python or numpy scalar."""
    return isinstance(x, (int, float, bool)) or (
        hasattr(x, "item") and getattr(x, "shape", 1) == ()
    )


def literal(x: object, dtype: DType) -> Const:
    """A Python number as a constant of *dtype*.

    Raises:
        TypeMismatch: the number has no place in the dtype (1.5 or 300 as int8, say).
    """
    value = x.item() if hasattr(x, "item") else x
    if not isinstance(value, (int, float, bool)):
        raise TypeMismatch(f"expected a tdsl value or a number, got {type(x).__name__}")
    if dtype.is_float or (dtype.is_bool and isinstance(value, bool)):
        return const(value, dtype)
    if isinstance(value, float) and not value.is_integer():
        raise TypeMismatch(
            f"{value!r} is no {dtype}",
            hint=f"cast the other operand, or round: {int(value) if math.isfinite(value) else 0}",
            mixed=(dtype.name, dtypes.float32.name),
        )
    if dtype.is_bool or not dtype.min <= value <= dtype.max:
        raise TypeMismatch(
            f"{value!r} does not fit into {dtype}", hint="cast the other operand to a wider dtype"
        )
    return const(int(value), dtype)


def as_expr(x: object, dtype: DType | None = None) -> Expr:
    """The expression of a value, or of a number (int64, float32 or bool unless *dtype* is given).

    Raises:
        TypeMismatch: *x* is neither.
    """
    if isinstance(x, Value):
        return x.expr
    if is_number(x):
        if dtype is None:
            plain = x.item() if hasattr(x, "item") else x
            if isinstance(plain, bool):
                dtype = dtypes.bool_
            else:
                dtype = dtypes.INDEX if isinstance(plain, int) else dtypes.float32
        return literal(x, dtype)
    buffer = getattr(x, "buffer", None)
    if isinstance(buffer, Buffer) and buffer.rank == 0:
        return Load(getattr(x, "version", buffer), ())
    if isinstance(buffer, Buffer):
        at = ", ".join("ijklmn"[: buffer.rank])
        raise TypeMismatch(
            f"{buffer.name} is a whole tensor, and no value",
            hint=f"td.compute(shape, lambda {at}: ...) computes with its elements: "
            f"{buffer.name}[{at}]",
        )
    raise TypeMismatch(f"expected a tdsl value or a number, got {type(x).__name__}")


def unify(what: str, *operands: object) -> list[Expr]:
    """Give all operands one dtype: numbers follow the values, values must agree.

    Raises:
        TypeMismatch: two values have different dtypes.
    """
    operands = tuple(x if is_number(x) else Value(as_expr(x)) for x in operands)
    typed = [x.expr.dtype for x in operands if isinstance(x, Value)]
    if not typed:
        return [as_expr(x) for x in operands]
    first = typed[0]
    for other in typed[1:]:
        if other is not first:
            raise TypeMismatch(
                f"{what} mixes {first} and {other}",
                hint=f"cast one of them: td.cast(x, {first.name!r}) or td.cast(y, {other.name!r})",
                mixed=(first.name, other.name),
            )
    return [as_expr(x, first) for x in operands]


_BITWISE = {BinaryOp.AND, BinaryOp.OR, BinaryOp.XOR}
_SHIFTS = {BinaryOp.SHL, BinaryOp.SHR}
_ARITHMETIC = {BinaryOp.ADD, BinaryOp.SUB, BinaryOp.MUL}


def binary(op: BinaryOp, x: object, y: object) -> Value:
    """Build `x op y` after checking dtypes."""
    a, b = unify(f"'{op.value}'", x, y)
    dtype = a.dtype
    if op is BinaryOp.TRUEDIV and not dtype.is_float:
        raise TypeMismatch(
            f"'/' of {dtype} values",
            hint="use // or cast to a float dtype",
            mixed=(dtype.name, "float32"),
        )
    if op in (BinaryOp.FLOORDIV, BinaryOp.FLOORMOD) and not dtype.is_integer:
        raise TypeMismatch(f"'{op.value}' of {dtype} values", hint="use td.floor(x / y)")
    if op in _BITWISE and dtype.is_float:
        raise TypeMismatch(f"'{op.value}' of {dtype} values", hint="compare or cast first")
    if op in _SHIFTS and not dtype.is_integer:
        raise TypeMismatch(f"'{op.value}' of {dtype} values", hint="cast to an integer dtype")
    if op in _ARITHMETIC and dtype.is_bool:
        raise TypeMismatch(f"'{op.value}' of bool values", hint="use & | ^, or cast to int32")
    return Value(_fold(Binary(op, a, b)))


def _fold(e: Binary) -> Expr:
    """Fold index literals, so that extents such as 512 // 2 are plain numbers."""
    a, b = e.a, e.b
    if not (isinstance(a, Const) and isinstance(b, Const) and a.dtype is dtypes.INDEX):
        return e
    x, y = int(a.value), int(b.value)
    match e.op:
        case BinaryOp.ADD:
            return const(x + y, dtypes.INDEX)
        case BinaryOp.SUB:
            return const(x - y, dtypes.INDEX)
        case BinaryOp.MUL:
            return const(x * y, dtypes.INDEX)
        case BinaryOp.FLOORDIV if y:
            return const(x // y, dtypes.INDEX)
        case BinaryOp.FLOORMOD if y:
            return const(x % y, dtypes.INDEX)
        case _:
            return e


def unary(op: UnaryOp, x: object) -> Value:
    """Build `op(x)` after checking the dtype."""
    a = as_expr(x)
    if op is UnaryOp.NOT and a.dtype.is_float:
        raise TypeMismatch(f"'~' of {a.dtype} values")
    if op in (UnaryOp.NEG, UnaryOp.ABS) and a.dtype.is_bool:
        raise TypeMismatch(f"{op.value} of bool values", hint="cast to int32 first")
    if op in (UnaryOp.POPCOUNT, UnaryOp.CLZ) and not a.dtype.is_integer:
        raise TypeMismatch(f"td.{op.value} of {a.dtype}", hint="it is for integers")
    return Value(Unary(op, a))


def float_unary(op: UnaryOp, doc: str) -> Callable[[object], Value]:
    """A function that applies *op* to a float value; *doc* says what it computes."""

    def apply(x: object) -> Value:
        a = as_expr(x)
        if not a.dtype.is_float:
            raise _no_float(op.value, a.dtype)
        return Value(Unary(op, a))

    apply.__name__ = op.value
    apply.__doc__ = f"{doc}\n\nRaises:\n    TypeMismatch: no float.\n"
    return apply


def _no_float(name: str, dtype: DType) -> TypeMismatch:
    return TypeMismatch(
        f"td.{name} of {dtype}",
        hint="td.cast(x, 'float32') first",
        mixed=(dtype.name, "float32"),
    )


def math_call(fn: MathFn, *operands: object) -> Value:
    """Build a transcendental function of float operands."""
    args = unify(f"td.{fn.value}", *operands)
    if not args[0].dtype.is_float:
        raise _no_float(fn.value, args[0].dtype)
    return Value(Math(fn, tuple(args)))


def cast(x: object, dtype: object) -> Value:
    """Convert to another dtype: float to int saturates, int to int wraps, NaN gives 0.

    Numbers are converted as values are.

    >>> cast(3, "float32").dtype.name
    'float32'

    Raises:
        TypeMismatch: there is no such dtype.
    """
    target = as_dtype(dtype)
    if is_number(x):
        return Value(_converted(x, target))
    e = as_expr(x)
    return Value(e if e.dtype is target else Cast(e, target))


def _converted(x: Any, target: DType) -> Const:
    """A number as a constant: floats too large for an integer type give its ends."""
    value: float = x.item() if hasattr(x, "item") else x
    if target.is_integer and isinstance(value, float):
        value = 0 if math.isnan(value) else max(target.min, min(value, target.max))
    return const(value, target)


def select(cond: object, a: object, b: object) -> Value:
    """`a` where `cond` holds, else `b`; only the arm taken is evaluated.

    An index in an arm is checked for the values that lead there: this does not leave `x`.

    >>> import numpy as np
    >>> import tdsl as td
    >>> x = td.placeholder((3,), "float32", name="x")
    >>> y = td.compute((4,), lambda i: td.select(i > 0, x[i - 1], 0.0), name="y")
    >>> td.build(td.func("shifted", [x], [y]))(np.ones(3, np.float32))
    array([0., 1., 1., 1.], dtype=float32)

    Raises:
        TypeMismatch: the condition is no bool, or the arms differ in dtype.
    """
    test = as_expr(cond)
    if not test.dtype.is_bool:
        raise TypeMismatch(f"td.select needs a bool condition, got {test.dtype}")
    yes, no = unify("td.select", a, b)
    return Value(Select(test, yes, no))


def minimum(a: object, b: object) -> Value:
    """The lesser of two values; NaN if either is NaN.

    Raises:
        TypeMismatch: values of two dtypes (numbers take the other operand's).
    """
    return binary(BinaryOp.MIN, a, b)


def maximum(a: object, b: object) -> Value:
    """The greater of two values; NaN if either is NaN.

    Raises:
        TypeMismatch: values of two dtypes (numbers take the other operand's).
    """
    return binary(BinaryOp.MAX, a, b)
