"""Pooling over windows of spatial axes, and over all of them."""

from __future__ import annotations

import tdsl as td
from tdsl.schedules.dims import Dim, declare, extent_as, known, unique
from tdsl.schedules.windows import (
    Layout,
    Sizes,
    Window,
    padded,
    padding,
    per_axis,
    window,
    window_axes,
)


def max_pool(
    x: td.Tensor,
    kernel: Sizes,
    *,
    stride: Sizes = 1,
    pad: Sizes = 0,
    dilation: Sizes = 1,
    ceil: bool = False,
    layout: Layout = Layout.FIRST,
    name: str | None = None,
) -> td.Tensor:
    """The greatest element of each window; arguments as for `conv`.

    `ceil` adds a last window that reaches beyond the tensor where the stride leaves a rest.

    >>> import tdsl as td
    >>> max_pool(td.placeholder((1, 2, 8, 8), name="X"), 3, stride=2, pad=1, name="Y")
    <tensor Y: float32[1, 2, 4, 4]>
    """
    label = unique("max_pool", name)
    w = _window(x, kernel, stride, pad, dilation, layout, ceil=ceil)
    source = padded(x, w, x.dtype.min, label, layout)
    axes = window_axes(w)
    batch, channels, _ = layout.parted(x.shape)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        n, c, at = layout.parted(i)
        return td.max(source[layout.joined(n, c, w.at(at, axes))], axis=axes)

    return declare(layout.joined(batch, channels, w.extents), element, label)


def average_pool(
    x: td.Tensor,
    kernel: Sizes,
    *,
    stride: Sizes = 1,
    pad: Sizes = 0,
    dilation: Sizes = 1,
    ceil: bool = False,
    count_padding: bool = False,
    layout: Layout = Layout.FIRST,
    name: str | None = None,
) -> td.Tensor:
    """The mean of each window; `count_padding`: the padding's zeros count as elements.

    >>> import tdsl as td
    >>> average_pool(td.placeholder((1, 2, 8, 8), name="X"), 2, stride=2, name="Y")
    <tensor Y: float32[1, 2, 4, 4]>
    """
    label = unique("average_pool", name)
    w = _window(x, kernel, stride, pad, dilation, layout, ceil=ceil)
    _, declared_after = padding(pad, x.ndim - 2)
    source = padded(x, w, 0, label, layout)
    axes = window_axes(w)
    batch, channels, spatial = layout.parted(x.shape)
    shape = layout.joined(batch, channels, w.extents)

    def total(i: tuple[td.Value, ...]) -> td.Value:
        n, c, at = layout.parted(i)
        return td.sum(source[layout.joined(n, c, w.at(at, axes))], axis=axes)

    sums = declare(shape, total, f"{label}.sum")

    def element(i: tuple[td.Value, ...]) -> td.Value:
        count: td.Value | int = 1
        for axis, at in enumerate(layout.parted(i)[2]):
            after = declared_after[axis]
            count = _elements(w, axis, at, spatial[axis], after, counted=count_padding) * count
        return td.cast(sums[i] / td.cast(count, sums.dtype), x.dtype)

    return declare(shape, element, label)


def _elements(
    w: Window, axis: int, at: td.Value, extent: Dim, after: int, *, counted: bool
) -> td.Value | int:
    """How many elements of the tensor (and its padding, if counted) one window has on an axis."""
    kernel, dilation = w.kernel[axis], w.dilation[axis]
    if not (w.before[axis] or w.after[axis]) or (counted and w.after[axis] == after):
        return kernel
    low = 0 if counted else w.before[axis]
    high = known(extent, "a padded spatial extent") + w.before[axis]
    high += after if counted else 0
    start = at * w.stride[axis]
    first = td.maximum((td.maximum(low - start, 0) + (dilation - 1)) // dilation, 0)
    last = td.minimum((high - 1 - start) // dilation, kernel - 1)
    return last - first + 1


def _window(
    x: td.Tensor, kernel: Sizes, stride: Sizes, pad: Sizes, dilation: Sizes, layout: Layout, *,
    ceil: bool,
) -> Window:  # fmt: skip
    sizes = per_axis(kernel, x.ndim - 2, "kernel")
    return window(layout.parted(x.shape)[2], sizes, stride, pad, dilation, ceil=ceil)


def global_average_pool(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """The mean over all spatial axes, which keep an extent of 1."""
    label = unique("global_average_pool", name)
    axes = _spatial(x)
    sums = declare(x.shape[:2], lambda i: td.sum(x[(*i, *axes)], axis=axes), f"{label}.sum")
    shape = (*x.shape[:2], *(1 for _ in axes))
    count = extent_as(x.shape[2:], sums.dtype)
    return declare(shape, lambda i: td.cast(sums[i[0], i[1]] / count, x.dtype), label)


def global_max_pool(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """The greatest element over all spatial axes, which keep an extent of 1."""
    label = unique("global_max_pool", name)
    axes = _spatial(x)
    shape = (*x.shape[:2], *(1 for _ in axes))
    return declare(shape, lambda i: td.max(x[(*i[:2], *axes)], axis=axes), label)


def _spatial(x: td.Tensor) -> tuple[td.Axis, ...]:
    return tuple(td.reduce_axis(n, name=f"r{a}") for a, n in enumerate(x.shape[2:]))
