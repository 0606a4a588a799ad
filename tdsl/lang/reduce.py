"""Reductions: sum prod min max any all argmin argmax, and reducers of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tdsl import dtypes
from tdsl.dtypes import DType, as_dtype
from tdsl.errors import DeclarationError, TypeMismatch
from tdsl.ir.build import add, const, index, mul
from tdsl.ir.expr import BinaryOp, Const, Expr, Var
from tdsl.ir.stmt import Reducer
from tdsl.lang.tensor import Axis, ScanAxis
from tdsl.lang.value import Value, as_expr, binary, cast, is_number, literal, select


@dataclass(frozen=True, slots=True, eq=False)
class ReduceCall:
    """One reduction over `axes` of `sources`, where `where` holds."""

    reducer: Reducer
    sources: tuple[Expr, ...]
    axes: tuple[Axis, ...]
    where: Expr | None


@dataclass(frozen=True, slots=True, eq=False)
class Reduction(Expr):
    """A component of a reduction; `td.compute` turns it into a block."""

    call: ReduceCall
    component: int

    @property
    def dtype(self) -> DType:
        return self.call.reducer.left[self.component].dtype


def accumulator(dtype: DType) -> DType:
    """The default accumulator: at least 32 bits, of the same kind."""
    if dtype in (dtypes.float16, dtypes.bfloat16):
        return dtypes.float32
    if dtype in (dtypes.bool_, dtypes.int8, dtypes.int16):
        return dtypes.int32
    if dtype in (dtypes.uint8, dtypes.uint16):
        return dtypes.uint32
    return dtype


def _axes(name: str, axis: object) -> tuple[Axis, ...]:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    called = "the reducer" if name == "custom" else f"td.{name}"
    hint = f"k = td.reduce_axis(K, name='k'), then {called}(A[i, k], axis=k)"
    if not axes or axis is None:
        raise TypeMismatch(f"{called} needs axis=, what it runs over", hint=hint)
    for one in axes:
        if not isinstance(one, Axis) or isinstance(one, ScanAxis):
            two_values = name in ("min", "max") and isinstance(one, Value)
            raise TypeMismatch(
                f"axis= of {called} takes reduction axes, got {one!r}",
                hint=f"td.{name}imum(a, b) compares two values" if two_values else hint,
            )
    if len({id(a) for a in axes}) != len(axes):
        names = ", ".join(one.name for one in axes)
        raise DeclarationError(f"{called} runs over one axis twice: {names}")
    return tuple(axes)


def _where(where: object) -> Expr | None:
    if where is None:
        return None
    e = as_expr(where)
    if not e.dtype.is_bool:
        raise TypeMismatch(f"where= must be a bool, got {e.dtype}")
    return e


Combine = Callable[[tuple[Value, ...], tuple[Value, ...]], Sequence[Value]]


def _call(
    name: str, identity: Sequence[Const], combine: Combine,
    sources: Sequence[Expr], axis: object, where: object,
) -> ReduceCall:  # fmt: skip
    left = tuple(Var(f"left{n}", e.dtype) for n, e in enumerate(identity))
    right = tuple(Var(f"right{n}", e.dtype) for n, e in enumerate(identity))
    combined = combine(tuple(map(Value, left)), tuple(map(Value, right)))
    results = tuple(as_expr(v, e.dtype) for v, e in zip(combined, identity, strict=True))
    for result, start, source in zip(results, identity, sources, strict=True):
        if not result.dtype is start.dtype is source.dtype:
            raise TypeMismatch(
                f"reducer mixes dtypes: identity {start.dtype}, source {source.dtype}, "
                f"combined {result.dtype}",
                hint="cast so that all three agree",
            )
    reducer = Reducer(name, tuple(identity), left, right, results)
    return ReduceCall(reducer, tuple(sources), _axes(name, axis), _where(where))


def _simple(
    name: str, op: BinaryOp, identity: Callable[[DType], float], expr: object,
    axis: object, where: object, dtype: DType,
) -> Value:  # fmt: skip
    source = as_expr(cast(as_expr_value(expr), dtype))
    start = const(identity(dtype), dtype)
    call = _call(name, [start], lambda x, y: [binary(op, x[0], y[0])], [source], axis, where)
    return Value(Reduction(call, 0))


def as_expr_value(x: object) -> Value:
    """*x* as a Value (numbers and shape-() tensors included)."""
    return x if isinstance(x, Value) else Value(as_expr(x))


def sum(  # noqa: A001 - numpy's name
    expr: object, axis: object = None, where: object = None, dtype: object = None
) -> Value:
    """Sum over axes in canonical order; 0 for an empty domain.

    Args:
        expr: what is added up, a value of the axes.
        axis: a `td.reduce_axis`, or a tuple of them, the outermost first: their order is the order
            in which the unscheduled kernel adds.
        where: a bool value; only where it holds is something added.
        dtype: of the accumulator and of the result. None: float32 for 16-bit floats, int32 or
            uint32 for narrower integers and bool, else the operand's own.

    >>> import numpy as np
    >>> import tdsl as td
    >>> x = td.placeholder((4, 4), "float32", name="x")
    >>> k = td.reduce_axis(4, name="k")
    >>> y = td.compute((4,), lambda i: td.sum(x[i, k], axis=k, where=k <= i), name="y")
    >>> td.build(td.func("lower_sums", [x], [y]))(np.ones((4, 4), np.float32))
    array([1., 2., 3., 4.], dtype=float32)

    Raises:
        TypeMismatch: no axis, one that is none, or a `where` that is no bool.
        DeclarationError: one axis twice.
    """
    e = as_expr_value(expr)
    acc = as_dtype(dtype) if dtype is not None else accumulator(e.dtype)
    return _simple("sum", BinaryOp.ADD, lambda _: 0, e, axis, where, acc)


def prod(expr: object, axis: object = None, where: object = None, dtype: object = None) -> Value:
    """Product over axes; 1 for an empty domain. Arguments, dtypes and errors as for `sum`."""
    e = as_expr_value(expr)
    acc = as_dtype(dtype) if dtype is not None else accumulator(e.dtype)
    return _simple("prod", BinaryOp.MUL, lambda _: 1, e, axis, where, acc)


def min(  # noqa: A001 - numpy's name
    expr: object, axis: object = None, where: object = None, dtype: object = None
) -> Value:
    """Least value over axes; NaN if any is NaN; the dtype's greatest for an empty domain.

    The result has the operand's dtype, or `dtype`; other arguments and errors as for `sum`.
    """
    e = as_expr_value(expr)
    acc = as_dtype(dtype) if dtype is not None else e.dtype
    return _simple("min", BinaryOp.MIN, lambda d: d.max, e, axis, where, acc)


def max(  # noqa: A001 - numpy's name
    expr: object, axis: object = None, where: object = None, dtype: object = None
) -> Value:
    """Greatest value over axes; NaN if any is NaN; the dtype's least for an empty domain.

    The result has the operand's dtype, or `dtype`; other arguments and errors as for `sum`.

    >>> import numpy as np
    >>> import tdsl as td
    >>> x = td.placeholder((2, 3), "int32", name="x")
    >>> k = td.reduce_axis(3, name="k")
    >>> y = td.compute((2,), lambda i: td.max(x[i, k], axis=k), name="y")
    >>> td.build(td.func("row_max", [x], [y]))(np.array([[3, 1, 2], [-5, -4, -6]], np.int32))
    array([ 3, -4], dtype=int32)
    """
    e = as_expr_value(expr)
    acc = as_dtype(dtype) if dtype is not None else e.dtype
    return _simple("max", BinaryOp.MAX, lambda d: d.min, e, axis, where, acc)


def _truth(expr: object) -> Value:
    e = as_expr_value(expr)
    return e if e.dtype.is_bool else e != 0


def any(  # noqa: A001 - numpy's name
    expr: object, axis: object = None, where: object = None
) -> Value:
    """Whether some value is non-zero, as a bool; False for an empty domain.

    Arguments and errors as for `sum`.
    """
    return _simple("any", BinaryOp.OR, lambda _: False, _truth(expr), axis, where, dtypes.bool_)


def all(  # noqa: A001 - numpy's name
    expr: object, axis: object = None, where: object = None
) -> Value:
    """Whether every value is non-zero, as a bool; True for an empty domain.

    Arguments and errors as for `sum`.
    """
    return _simple("all", BinaryOp.AND, lambda _: True, _truth(expr), axis, where, dtypes.bool_)


def argmax(
    expr: object, axis: object = None, where: object = None, dtype: object = "int64"
) -> Value:
    """Index of the greatest value: of the first NaN, else of the lowest index; -1 if empty.

    Over several axes the index counts their product in row-major order.

    Args:
        expr: what is compared, a value of the axes.
        axis: a `td.reduce_axis`, or a tuple of them, the outermost first.
        where: a bool value; only where it holds does a value count.
        dtype: of the result, "int64" or "int32".

    >>> import numpy as np
    >>> import tdsl as td
    >>> x = td.placeholder((4,), "float32", name="x")
    >>> k = td.reduce_axis(4, name="k")
    >>> y = td.compute((1,), lambda i: td.argmax(x[k], axis=k), name="y")
    >>> td.build(td.func("where_max", [x], [y]))(np.array([1, 7, 2, 7], np.float32))
    array([1])

    Raises:
        TypeMismatch: another dtype, an axis that is none, or a `where` that is no bool.
    """
    return _arg("argmax", expr, axis, where, dtype, BinaryOp.GT)


def argmin(
    expr: object, axis: object = None, where: object = None, dtype: object = "int64"
) -> Value:
    """Index of the least value: of the first NaN, else of the lowest index; -1 if empty.

    Arguments and errors as for `argmax`.
    """
    return _arg("argmin", expr, axis, where, dtype, BinaryOp.LT)


def _arg(
    name: str, expr: object, axis: object, where: object, dtype: object, better: BinaryOp
) -> Value:
    e = as_expr_value(expr)
    index_type = as_dtype(dtype)
    if index_type not in (dtypes.int32, dtypes.int64):
        raise TypeMismatch(f"{name} gives int32 or int64 indices, not {index_type}")
    axes = _axes(name, axis)
    position: Expr = index(0)
    for a in axes:
        position = add(mul(position, a.extent), a.expr)
    worst = e.dtype.min if better is BinaryOp.GT else e.dtype.max

    def combine(x: tuple[Value, ...], y: tuple[Value, ...]) -> list[Value]:
        take = _takes_right(x, y, better)
        return [select(take, y[0], x[0]), select(take, y[1], x[1])]

    start = [const(worst, e.dtype), const(-1, index_type)]
    sources = [e.expr, cast(Value(position), index_type).expr]
    return Value(Reduction(_call(name, start, combine, sources, axes, where), 1))


def _takes_right(x: tuple[Value, ...], y: tuple[Value, ...], better: BinaryOp) -> Value:
    """Whether the right candidate wins, whatever the order in which candidates come."""
    (left, i), (right, j) = x, y
    wins = binary(better, right, left)
    ties = right == left
    if left.dtype.is_float:
        left_nan, right_nan = left != left, right != right  # noqa: PLR0124 - the NaN test
        wins = (right_nan & ~left_nan) | (~left_nan & wins)
        ties = ties | (left_nan & right_nan)
    return (j >= 0) & ((i < 0) | wins | (ties & (j < i)))


class UserReducer:
    """A reducer made by `td.reducer`; call it with expressions and axes."""

    def __init__(self, identity: tuple[object, ...], combine: Callable[..., object]) -> None:
        self._identity = identity
        self._combine = combine

    def __call__(
        self, exprs: object, axis: object = None, where: object = None
    ) -> Value | tuple[Value, ...]:
        """Reduce one expression, or a tuple of them, over axes."""
        given = exprs if isinstance(exprs, (tuple, list)) else (exprs,)
        if len(given) != len(self._identity):
            raise DeclarationError(
                f"the reducer has {len(self._identity)} values but got {len(given)} expressions"
            )
        sources = [as_expr(x) for x in given]
        start = [_identity(v, s.dtype) for v, s in zip(self._identity, sources, strict=True)]

        def combine(x: tuple[Value, ...], y: tuple[Value, ...]) -> Sequence[Value]:
            single = len(x) == 1
            result = self._combine(x[0], y[0]) if single else self._combine(x, y)
            parts = result if isinstance(result, (tuple, list)) else (result,)
            if len(parts) != len(x):
                raise DeclarationError(f"combine returned {len(parts)} values, expected {len(x)}")
            return [as_expr_value(p) for p in parts]

        call = _call("custom", start, combine, sources, axis, where)
        parts = tuple(Value(Reduction(call, n)) for n in range(len(start)))
        return parts[0] if len(parts) == 1 and not isinstance(exprs, (tuple, list)) else parts


def _identity(value: object, dtype: DType) -> Const:
    if is_number(value):
        return literal(value, dtype)
    e = as_expr(value)
    if isinstance(e, Const):
        return e
    raise TypeMismatch("the identity of a reducer must be numbers")


def reducer(identity: object, combine: Callable[..., object]) -> UserReducer:
    """A reducer of one or several values; `combine` must be associative and keep `identity`.

    `combine(a, b)` gets and returns tuples where there are several values, plain values where
    there is one. The prover trusts that it is associative: a schedule that re-brackets it is
    labelled `reassociates`.

    >>> norm1 = reducer(identity=(0.0,), combine=lambda a, b: a + b)
    """
    values = tuple(identity) if isinstance(identity, (tuple, list)) else (identity,)
    if not values:
        raise DeclarationError("a reducer needs at least one identity value")
    return UserReducer(values, combine)
