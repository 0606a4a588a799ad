"""Normalisations: layer, RMS, instance, group and batch, in the two-pass form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tdsl as td
from tdsl.errors import DeclarationError
from tdsl.schedules.dims import Dim, declare, extent_as, known, unique

Index = Sequence[td.Value]
At = Callable[[Index, Index], tuple[td.Value, ...]]


class _Moments:
    """Mean and reciprocal deviation of groups of elements of a tensor.

    `shape` are the groups, `inner` the extents within one; `at(group, inner)` is where an element
    lies. The variance is summed about the mean, so that it does not cancel.
    """

    def __init__(
        self, x: td.Tensor, shape: Sequence[Dim], inner: Sequence[Dim], at: At, epsilon: float,
        label: str,
    ) -> None:  # fmt: skip
        axes = [tuple(td.reduce_axis(n, name=f"k{a}") for a, n in enumerate(inner)) for _ in "ab"]
        k, v = axes
        total = declare(shape, lambda i: td.sum(x[at(i, k)], axis=k), f"{label}.sum")
        self.wide = total.dtype
        count = extent_as(inner, self.wide)
        self.mean = declare(shape, lambda i: total[i] / count, f"{label}.mean")

        def square(i: Index) -> td.Value:
            gap = td.cast(x[at(i, v)], self.wide) - self.mean[tuple(i)]
            return td.sum(gap * gap, axis=v)

        squares = declare(shape, square, f"{label}.squares")
        self.scale = declare(
            shape, lambda i: 1.0 / td.sqrt(squares[i] / count + epsilon), f"{label}.scale"
        )

    def normal(self, value: td.Value, group: Index) -> td.Value:
        """An element of a group, with mean 0 and variance 1, in the accumulator's dtype."""
        at = tuple(group)
        return (td.cast(value, self.wide) - self.mean[at]) * self.scale[at]


def _affine(
    value: td.Value, scale: td.Tensor | None, bias: td.Tensor | None, at: Index, dtype: object
) -> td.Value:
    if scale is not None:
        value = value * td.cast(scale[tuple(at)], value.dtype)
    if bias is not None:
        value = value + td.cast(bias[tuple(at)], value.dtype)
    return td.cast(value, dtype)


def layer_norm(
    x: td.Tensor,
    scale: td.Tensor | None = None,
    bias: td.Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    name: str | None = None,
) -> td.Tensor:
    """Normalise over all axes from `axis` on; `scale` and `bias` have the shape of those.

    >>> import tdsl as td
    >>> X, g = td.placeholder((2, 8), name="X"), td.placeholder((8,), name="g")
    >>> layer_norm(X, g, name="Y")
    <tensor Y: float32[2, 8]>
    """
    label = unique("layer_norm", name)
    first = axis % x.ndim
    rows, inner = x.shape[:first], x.shape[first:]
    m = _Moments(x, rows, inner, lambda i, k: (*i, *k), epsilon, label)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        return _affine(m.normal(x[i], i[:first]), scale, bias, i[first:], x.dtype)

    return declare(x.shape, element, label)


def rms_norm(
    x: td.Tensor,
    scale: td.Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    name: str | None = None,
) -> td.Tensor:
    """Divide by the root of the mean square over all axes from `axis` on."""
    label = unique("rms_norm", name)
    first = axis % x.ndim
    rows, inner = x.shape[:first], x.shape[first:]
    k = tuple(td.reduce_axis(n, name=f"k{a}") for a, n in enumerate(inner))
    squares = declare(rows, lambda i: td.sum(x[(*i, *k)] * x[(*i, *k)], axis=k), f"{label}.squares")
    count = extent_as(inner, squares.dtype)
    root = declare(rows, lambda i: 1.0 / td.sqrt(squares[i] / count + epsilon), f"{label}.scale")

    def element(i: tuple[td.Value, ...]) -> td.Value:
        value = td.cast(x[i], squares.dtype) * root[i[:first]]
        return _affine(value, scale, None, i[first:], x.dtype)

    return declare(x.shape, element, label)


def instance_norm(
    x: td.Tensor,
    scale: td.Tensor | None = None,
    bias: td.Tensor | None = None,
    *,
    epsilon: float = 1e-5,
    name: str | None = None,
) -> td.Tensor:
    """Normalise each channel of each example of [batch, channels, spatial...] by itself."""
    label = unique("instance_norm", name)
    m = _Moments(x, x.shape[:2], x.shape[2:], lambda i, k: (*i, *k), epsilon, label)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        return _affine(m.normal(x[i], i[:2]), scale, bias, i[1:2], x.dtype)

    return declare(x.shape, element, label)


def group_norm(
    x: td.Tensor,
    groups: int,
    scale: td.Tensor | None = None,
    bias: td.Tensor | None = None,
    *,
    epsilon: float = 1e-5,
    name: str | None = None,
) -> td.Tensor:
    """Normalise groups of channels of [batch, channels, spatial...]; scale and bias [channels].

    Raises:
        DeclarationError: the groups do not divide the channels.
    """
    label = unique("group_norm", name)
    channels = known(x.shape[1], "the number of channels")
    if groups < 1 or channels % groups:
        raise DeclarationError(f"{label}: {groups} groups do not divide {channels} channels")
    each = channels // groups

    def at(i: Index, k: Index) -> tuple[td.Value, ...]:
        return i[0], i[1] * each + k[0], *k[1:]

    inner = (each, *x.shape[2:])
    m = _Moments(x, (x.shape[0], groups), inner, at, epsilon, label)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        value = m.normal(x[i], (i[0], i[1] // each))
        return _affine(value, scale, bias, i[1:2], x.dtype)

    return declare(x.shape, element, label)


def batch_norm(
    x: td.Tensor,
    scale: td.Tensor,
    bias: td.Tensor,
    mean: td.Tensor,
    variance: td.Tensor,
    *,
    epsilon: float = 1e-5,
    name: str | None = None,
) -> td.Tensor:
    """Inference: (x - mean) / sqrt(variance + epsilon) * scale + bias for each channel."""
    label = unique("batch_norm", name)
    factor = declare(
        scale.shape,
        lambda c: td.cast(scale[c], variance.dtype) / td.sqrt(variance[c] + epsilon),
        f"{label}.factor",
    )

    def element(i: tuple[td.Value, ...]) -> td.Value:
        c = i[1] if x.ndim > 1 else i[0]
        value = (td.cast(x[i], mean.dtype) - mean[c]) * factor[c] + td.cast(bias[c], mean.dtype)
        return td.cast(value, x.dtype)

    return declare(x.shape, element, label)


def batch_norm_training(
    x: td.Tensor,
    scale: td.Tensor,
    bias: td.Tensor,
    *,
    epsilon: float = 1e-5,
    name: str | None = None,
) -> td.Tensor:
    """Normalise each channel over the batch and all spatial axes."""
    label = unique("batch_norm_training", name)

    def at(i: Index, k: Index) -> tuple[td.Value, ...]:
        return k[0], i[0], *k[1:]

    inner = (x.shape[0], *x.shape[2:])
    m = _Moments(x, x.shape[1:2], inner, at, epsilon, label)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        return _affine(m.normal(x[i], i[1:2]), scale, bias, i[1:2], x.dtype)

    return declare(x.shape, element, label)


def local_response_norm(
    x: td.Tensor,
    size: int,
    *,
    alpha: float = 1e-4,
    beta: float = 0.75,
    bias: float = 1.0,
    name: str | None = None,
) -> td.Tensor:
    """x / (bias + alpha / size * squares of `size` channels around) ** beta."""
    label = unique("local_response_norm", name)
    before = (size - 1) // 2
    channels = x.shape[1]
    k = td.reduce_axis(size, name="k")

    def square(i: tuple[td.Value, ...]) -> td.Value:
        c = i[1] + k - before
        value = x[(i[0], c, *i[2:])]
        return td.sum(td.select((c >= 0) & (c < channels), value * value, 0), axis=k)

    squares = declare(x.shape, square, f"{label}.squares")
    return declare(
        x.shape, lambda i: x[i] / td.pow(squares[i] * (alpha / size) + bias, beta), label
    )
