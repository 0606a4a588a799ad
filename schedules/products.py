"""Products of matrices: numpy's matmul, BLAS's gemm, and dense layers."""

from __future__ import annotations

from collections.abc import Callable

import tdsl as td
from tdsl.dtypes import as_dtype
from tdsl.errors import DeclarationError
from tdsl.lang.reduce import accumulator
from tdsl.schedules.dims import broadcast, broadcast_at, declare, same, text, unique


def matmul(a: td.Tensor, b: td.Tensor, dtype: object = None, name: str | None = None) -> td.Tensor:
    """numpy's matmul: products of the last two axes, batches broadcast, vectors allowed.

    Args:
        a, b: of one dtype; 16-bit floats and narrow integers are summed in 32 bits.
        dtype: of the result; None: the operands' own for floats, else the accumulator's.
        name: of the result.

    >>> import tdsl as td
    >>> A, B = td.placeholder((2, 3, 4), name="A"), td.placeholder((4, 5), name="B")
    >>> matmul(A, B, name="C")
    <tensor C: float32[2, 3, 5]>

    Raises:
        DeclarationError: extents that do not fit, or a scalar.
    """
    label = unique("matmul", name)
    if not a.ndim or not b.ndim:
        raise DeclarationError(f"{label}: a scalar has no axis to multiply along")
    depth, other = a.shape[-1], b.shape[-2 if b.ndim > 1 else -1]
    if not same(depth, other):
        raise DeclarationError(
            f"{label}: {a.name} has {text(depth)} columns but {b.name} has {text(other)} rows"
        )
    batch = broadcast([a.shape[:-2], b.shape[:-2]], label)
    rows = a.shape[-2:-1]
    columns = b.shape[-1:] if b.ndim > 1 else ()
    k = td.reduce_axis(depth, name="k")

    def element(i: tuple[td.Value, ...]) -> td.Value:
        outer, inner = i[: len(batch)], i[len(batch) :]
        left = (*inner[: len(rows)], k)
        right = (k, *inner[len(rows) :])
        x = broadcast_at(a, (*outer, *left)[-a.ndim :])
        y = broadcast_at(b, (*outer, *right)[-b.ndim :])
        return td.sum(x * y, axis=k)

    return _narrowed((*batch, *rows, *columns), element, a, dtype, label)


def _narrowed(
    shape: tuple[object, ...], element: Callable[..., td.Value], a: td.Tensor, dtype: object,
    label: str,
) -> td.Tensor:  # fmt: skip
    """The sums, in a wide accumulator and then in the dtype asked for."""
    wide = accumulator(a.dtype)
    own = a.dtype if a.dtype.is_float else wide
    wanted = own if dtype is None else as_dtype(dtype)
    if wide is wanted:
        return declare(shape, element, label)
    sums = declare(shape, element, f"{label}.wide")
    return declare(shape, lambda i: td.cast(sums[i], wanted), label)


def gemm(
    a: td.Tensor,
    b: td.Tensor,
    c: td.Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transpose_a: bool = False,
    transpose_b: bool = False,
    name: str | None = None,
) -> td.Tensor:
    """alpha A B + beta C of matrices; A and B may be given transposed, C broadcasts.

    >>> import tdsl as td
    >>> A, B = td.placeholder((3, 4), name="A"), td.placeholder((5, 4), name="B")
    >>> gemm(A, B, transpose_b=True, name="C")
    <tensor C: float32[3, 5]>

    Raises:
        DeclarationError: operands that are no matrices, or do not fit.
    """
    label = unique("gemm", name)
    if a.ndim != 2 or b.ndim != 2:
        raise DeclarationError(f"{label}: {a.name} and {b.name} must be matrices")
    m, depth = a.shape[::-1] if transpose_a else a.shape
    other, n = b.shape[::-1] if transpose_b else b.shape
    if not same(depth, other):
        raise DeclarationError(
            f"{label}: {text(depth)} terms from {a.name} but {text(other)} from {b.name}"
        )
    k = td.reduce_axis(depth, name="k")

    def product(i: tuple[td.Value, ...]) -> td.Value:
        x = a[k, i[0]] if transpose_a else a[i[0], k]
        y = b[i[1], k] if transpose_b else b[k, i[1]]
        return td.sum(x * y, axis=k)

    if c is None and alpha == 1.0:
        return _narrowed((m, n), product, a, None, label)
    sums = declare((m, n), product, f"{label}.product")
    broadcast([(m, n), *([c.shape] if c is not None else [])], label)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        value = sums[i] if alpha == 1.0 else sums[i] * alpha
        if c is not None:
            added = td.cast(broadcast_at(c, i), sums.dtype)
            value = value + (added if beta == 1.0 else added * beta)
        return td.cast(value, a.dtype) if a.dtype.is_float else value

    return declare((m, n), element, label)


def dense(
    x: td.Tensor, weight: td.Tensor, bias: td.Tensor | None = None, name: str | None = None
) -> td.Tensor:
    """A dense layer: x[..., in] by weight[out, in], plus bias[out].

    >>> import tdsl as td
    >>> X, W = td.placeholder((2, 8, 16), name="X"), td.placeholder((32, 16), name="W")
    >>> dense(X, W, name="Y")
    <tensor Y: float32[2, 8, 32]>

    Raises:
        DeclarationError: extents that do not fit.
    """
    label = unique("dense", name)
    depth = x.shape[-1]
    if weight.ndim != 2 or not same(depth, weight.shape[1]):
        raise DeclarationError(
            f"{label}: {weight.name} must have the shape (outputs, {text(depth)})"
        )
    k = td.reduce_axis(depth, name="k")
    shape = (*x.shape[:-1], weight.shape[0])

    def product(i: tuple[td.Value, ...]) -> td.Value:
        return td.sum(x[(*i[:-1], k)] * weight[i[-1], k], axis=k)

    if bias is None:
        return _narrowed(shape, product, x, None, label)
    sums = declare(shape, product, f"{label}.product")
    added = bias

    def element(i: tuple[td.Value, ...]) -> td.Value:
        total = sums[i] + td.cast(added[i[-1]], sums.dtype)
        return td.cast(total, x.dtype) if x.dtype.is_float else total

    return declare(shape, element, label)
