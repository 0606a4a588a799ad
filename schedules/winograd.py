"""Convolutions with windows of 3 x 3 by minimal filtering, F(2 x 2, 3 x 3).

A tile of 2 x 2 results takes the products of 4 x 4 transformed elements and transformed weights
instead of 36 products. Elements are added up before they are multiplied, so that results differ
from those of the plain algorithm by some roundings: 1e-6 (16 channels) to 7e-6 (512) of their
standard deviation. An element that is not finite reaches all results of the tiles that read it.

Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, after
S. Winograd, "Arithmetic Complexity of Computations", 1980.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

import tdsl as td
from tdsl.errors import DeclarationError
from tdsl.schedules.dims import declare, known, same, unique
from tdsl.schedules.windows import Sizes, padding

Indices = tuple[td.Value, ...]
Array = npt.NDArray[np.floating]


def winograd_weights(weight: Array) -> Array:
    """Weights [outputs, channels, 3, 3] as `winograd_conv` takes them: [4, 4, channels, outputs].

    >>> import numpy as np
    >>> winograd_weights(np.ones((8, 2, 3, 3), np.float32)).shape
    (4, 4, 2, 8)

    Raises:
        DeclarationError: windows of another size.
    """
    if weight.ndim != 4 or weight.shape[2:] != (3, 3):
        raise DeclarationError(
            f"weights of shape {list(weight.shape)} have no windows of 3 x 3",
            hint="pass [outputs, channels, 3, 3]",
        )
    window = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
    inner = window.shape[2:]
    rows, points = np.empty((4, 3, *inner), weight.dtype), np.empty((4, 4, *inner), weight.dtype)
    for s in range(3):
        _put_points(window[:, s], rows[:, s])
    for a in range(4):
        _put_points(rows[a], points[a])
    return points


def _put_points(window: Array, points: Array) -> None:
    """Three weights in a row at the points 0, 1, -1 and infinity."""
    first, second, third = window
    points[0], points[3] = first, third
    ends, middle = (first + third) / 2, second / 2
    np.add(ends, middle, out=points[1])
    np.subtract(ends, middle, out=points[2])


def winograd_conv(
    x: td.Tensor, weights: td.Tensor, *, pad: Sizes = 0, name: str | None = None
) -> td.Tensor:
    """A convolution with windows of 3 x 3 and stride 1, the channels last.

    Args:
        x: [batch, height, width, channels], float32 or float64.
        weights: [4, 4, channels, outputs], made by `winograd_weights`.
        pad: one number, one for each axis, or all in front and then all behind (ONNX).
        name: of the result, [batch, rows, columns, outputs].

    >>> import tdsl as td
    >>> X = td.placeholder((1, 8, 9, 16), name="X")
    >>> W = td.placeholder((4, 4, 16, 32), name="W")
    >>> winograd_conv(X, W, pad=1, name="Y")
    <tensor Y: float32[1, 8, 9, 32]>

    Raises:
        DeclarationError: shapes that do not fit, or an image smaller than a window.
    """
    label = unique("winograd_conv", name)
    _check(x, weights, label)
    batch, channels = x.shape[0], x.shape[3]
    height, width = known(x.shape[1], "the height"), known(x.shape[2], "the width")
    (top, left), (bottom, right) = padding(pad, 2)
    rows, columns = height + top + bottom - 2, width + left + right - 2
    if rows < 1 or columns < 1:
        raise DeclarationError(
            f"{label}: {height} x {width} elements, padded, hold no window of 3 x 3"
        )
    down, across = -(-rows // 2), -(-columns // 2)
    after = (0, 2 * down + 2 - height - top, 2 * across + 2 - width - left, 0)
    image = td.pad(x, (0, top, left, 0), after, name=f"{label}.padded")
    points = _points(image, (batch, down, across, channels), label)
    products = _products(points, weights, label)
    return _results(products, (batch, rows, columns, weights.shape[3]), label)


def _check(x: td.Tensor, weights: td.Tensor, label: str) -> None:
    fits = x.ndim == 4 and weights.ndim == 4 and same(x.shape[3], weights.shape[2])
    if not fits or tuple(weights.shape[:2]) != (4, 4) or x.dtype != weights.dtype:
        raise DeclarationError(
            f"{label}: {x!r} and {weights!r} do not fit",
            hint="pass [batch, height, width, channels] and what winograd_weights makes",
        )


def _choice(n: td.Value, values: Sequence[td.Value]) -> td.Value:
    """The value of number *n*."""
    found = values[-1]
    for number in reversed(range(len(values) - 1)):
        found = td.select(n == number, values[number], found)
    return found


def _transformed(n: td.Value, d: Sequence[td.Value]) -> td.Value:
    """Point *n* of four elements in a row."""
    return _choice(n, [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]])


def _restored(n: td.Value, m: Sequence[td.Value]) -> td.Value:
    """Result *n* of two, from the products at four points."""
    return _choice(n, [m[0] + m[1] + m[2], m[1] - m[2] - m[3]])


def _points(image: td.Tensor, extents: tuple[object, ...], label: str) -> td.Tensor:
    """[batch, tile, 4, 4, tile, channels]: the points of each tile, down and then across."""
    batch, down, across, channels = extents

    def columns(i: Indices) -> td.Value:
        n, y, a, q, x, c = i
        return _transformed(a, [image[n, 2 * y + r, 2 * x + q, c] for r in range(4)])

    turned = declare((batch, down, 4, 4, across, channels), columns, f"{label}.columns")

    def both(i: Indices) -> td.Value:
        n, y, a, b, x, c = i
        return _transformed(b, [turned[n, y, a, q, x, c] for q in range(4)])

    return declare(turned.shape, both, f"{label}.points")


def _products(points: td.Tensor, weights: td.Tensor, label: str) -> td.Tensor:
    *tiles, channels = points.shape
    depth = td.reduce_axis(channels, name="c")

    def product(i: Indices) -> td.Value:
        *place, k = i
        a, b = place[2:4]
        return td.sum(points[(*place, depth)] * weights[a, b, depth, k], axis=depth)

    return declare((*tiles, weights.shape[3]), product, f"{label}.products")


def _results(products: td.Tensor, extents: tuple[object, ...], label: str) -> td.Tensor:
    batch, down, _, points, across, outputs = products.shape

    def columns(i: Indices) -> td.Value:
        n, y, r, b, x, k = i
        return _restored(r, [products[n, y, a, b, x, k] for a in range(4)])

    half = declare((batch, down, 2, points, across, outputs), columns, f"{label}.restored")

    def both(i: Indices) -> td.Value:
        n, y, x, k = i
        return _restored(x % 2, [half[n, y // 2, y % 2, b, x // 2, k] for b in range(4)])

    return declare(extents, both, label)
