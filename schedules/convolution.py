"""Convolutions of any number of spatial axes: strided, dilated, grouped, depthwise, transposed."""

from __future__ import annotations

from collections.abc import Callable

import tdsl as td
from tdsl.errors import DeclarationError
from tdsl.schedules.dims import declare, known, same, unique
from tdsl.schedules.windows import Layout, Sizes, padded, padding, per_axis, window, window_axes

Element = Callable[[tuple[td.Value, ...]], td.Value]


def conv(
    x: td.Tensor,
    weight: td.Tensor,
    bias: td.Tensor | None = None,
    *,
    stride: Sizes = 1,
    pad: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    layout: Layout = Layout.FIRST,
    result: Layout | None = None,
    name: str | None = None,
) -> td.Tensor:
    """A convolution (cross-correlation, as everywhere in deep learning).

    Args:
        x: [batch, channels, spatial...], or with the channels last.
        weight: [outputs, channels / groups, window...].
        bias: [outputs], or None.
        stride, dilation: one number, or one for each spatial axis.
        pad: one number, one for each spatial axis, or all in front and then all behind (ONNX).
        groups: channels and outputs are divided into so many independent groups; as many as
            channels: a depthwise convolution.
        layout: where the channels of `x` are.
        result: where those of the result are; None: as in `x`.
        name: of the result.

    >>> import tdsl as td
    >>> X, W = td.placeholder((1, 3, 8, 8), name="X"), td.placeholder((4, 3, 3, 3), name="W")
    >>> conv(X, W, stride=2, pad=1, name="Y")
    <tensor Y: float32[1, 4, 4, 4]>

    Raises:
        DeclarationError: shapes that do not fit.
    """
    label = unique("conv", name)
    rank = x.ndim - 2
    if rank < 1 or weight.ndim != x.ndim:
        raise DeclarationError(
            f"{label}: {x.name} has {x.ndim} dimensions and {weight.name} {weight.ndim}",
            hint="[batch, channels, spatial...] and [outputs, channels / groups, window...]",
        )
    made = layout if result is None else result
    batch, channels, spatial = layout.parted(x.shape)
    outputs, depth = known(weight.shape[0], "outputs"), known(weight.shape[1], "channels")
    if not same(channels, depth * groups) or outputs % groups:
        raise DeclarationError(
            f"{label}: {groups} groups of {depth} channels and {outputs} outputs do not fit "
            f"{x.name} with {known(channels, 'channels')} channels"
        )
    kernel = [known(n, "the window") for n in weight.shape[2:]]
    w = window(spatial, kernel, stride, pad, dilation)
    source = padded(x, w, 0, label, layout)
    c, axes = td.reduce_axis(depth, name="c"), window_axes(w)
    each = outputs // groups
    # along the elements that follow each other in memory last
    order = (c, *axes) if layout is Layout.FIRST else (*axes, c)

    def product(i: tuple[td.Value, ...]) -> td.Value:
        n, o, at = made.parted(i)
        place = w.at(at, axes)
        if depth == 1:  # one channel to each group: depthwise
            channel = _group(o, each) if groups > 1 else 0
            value = source[layout.joined(n, channel, place)]
            return td.sum(value * weight[(o, 0, *axes)], axis=axes)
        channel = c if groups == 1 else _group(o, each) * depth + c
        return td.sum(source[layout.joined(n, channel, place)] * weight[(o, c, *axes)], axis=order)

    return _with_bias(made.joined(batch, outputs, w.extents), product, x, bias, label, made)


def _group(o: td.Value, each: int) -> td.Value:
    return o if each == 1 else o // each


def _with_bias(
    shape: tuple[object, ...], product: Element, x: td.Tensor, bias: td.Tensor | None, label: str,
    layout: Layout = Layout.FIRST,
) -> td.Tensor:  # fmt: skip
    """The sums, plus the bias of each output channel, in the dtype of `x`."""
    wide = x.dtype.is_float and x.dtype.bits < 32
    if bias is None and not wide:
        return declare(shape, product, label)
    sums = declare(shape, product, f"{label}.product")

    def element(i: tuple[td.Value, ...]) -> td.Value:
        total = (
            sums[i] if bias is None else sums[i] + td.cast(bias[layout.parted(i)[1]], sums.dtype)
        )
        return td.cast(total, x.dtype) if x.dtype.is_float else total

    return declare(shape, element, label)


def conv_transpose(
    x: td.Tensor,
    weight: td.Tensor,
    bias: td.Tensor | None = None,
    *,
    stride: Sizes = 1,
    pad: Sizes = 0,
    output_pad: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    name: str | None = None,
) -> td.Tensor:
    """The transpose of a convolution: each element of `x` spreads a window over the result.

    Args:
        x: [batch, channels, spatial...], spatial extents plain numbers.
        weight: [channels, outputs / groups, window...].
        bias: [outputs], or None.
        stride, pad, dilation, groups: those of the convolution.
        output_pad: rows and columns added behind the result.
        name: of the result.

    >>> import tdsl as td
    >>> X, W = td.placeholder((1, 4, 4, 4), name="X"), td.placeholder((4, 3, 2, 2), name="W")
    >>> conv_transpose(X, W, stride=2, name="Y")
    <tensor Y: float32[1, 3, 8, 8]>

    Raises:
        DeclarationError: shapes that do not fit.
    """
    label = unique("conv_transpose", name)
    rank = x.ndim - 2
    channels, each = known(weight.shape[0], "channels"), known(weight.shape[1], "outputs")
    if not same(x.shape[1], channels) or channels % groups:
        raise DeclarationError(f"{label}: {weight.name} does not fit the channels of {x.name}")
    spatial = [known(n, "a spatial extent") for n in x.shape[2:]]
    kernel = [known(n, "the window") for n in weight.shape[2:]]
    strides, dilations = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    before, after = padding(pad, rank)
    extra = per_axis(output_pad, rank, "output_pad")
    extents = [
        (n - 1) * s + d * (r - 1) + 1 - b - a + e
        for n, s, d, r, b, a, e in zip(
            spatial, strides, dilations, kernel, before, after, extra, strict=True
        )
    ]
    depth = channels // groups
    c = td.reduce_axis(depth, name="c")
    axes = tuple(td.reduce_axis(n, name=f"r{a}") for a, n in enumerate(kernel))

    def product(i: tuple[td.Value, ...]) -> td.Value:
        n, o, *at = i
        channel = c if groups == 1 else (o // each) * depth + c
        output = o if groups == 1 else o % each
        places, reached = [], []
        for axis, r in enumerate(axes):
            offset = at[axis] + before[axis] - r * dilations[axis]
            place = offset if strides[axis] == 1 else offset // strides[axis]
            if strides[axis] > 1:
                reached.append(offset % strides[axis] == 0)
            reached += [place >= 0, place < spatial[axis]]
            places.append(place)
        inside = reached[0]
        for condition in reached[1:]:
            inside = inside & condition
        value = x[(n, channel, *places)] * weight[(channel, output, *axes)]
        return td.sum(td.select(inside, value, 0), axis=(c, *axes))

    return _with_bias((x.shape[0], each * groups, *extents), product, x, bias, label)
