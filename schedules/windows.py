"""Windows that slide over spatial axes: what convolution and pooling share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import tdsl as td
from tdsl.errors import DeclarationError
from tdsl.schedules.dims import Dim, known

Sizes = int | Sequence[int]
_T = TypeVar("_T")


class Layout(Enum):
    """Where the channels of an image are.

    >>> Layout.LAST.joined("n", "c", ("y", "x"))
    ('n', 'y', 'x', 'c')
    """

    FIRST = "first"  # [batch, channels, spatial...]
    LAST = "last"  # [batch, spatial..., channels]

    def joined(self, batch: _T, channel: _T, spatial: Sequence[_T]) -> tuple[_T, ...]:
        """One entry for each axis."""
        if self is Layout.FIRST:
            return (batch, channel, *spatial)
        return (batch, *spatial, channel)

    def parted(self, axes: Sequence[_T]) -> tuple[_T, _T, tuple[_T, ...]]:
        """The entries of the batch, of the channels, and of the spatial axes."""
        if self is Layout.FIRST:
            return axes[0], axes[1], tuple(axes[2:])
        return axes[0], axes[-1], tuple(axes[1:-1])


@dataclass(frozen=True, slots=True)
class Window:
    """A window over the spatial axes of a tensor [batch, channels, spatial...].

    Attributes:
        kernel, stride, dilation: one number for each spatial axis.
        before, after: padding in front of and behind each of them.
        extents: of the result.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    extents: tuple[Dim, ...]

    def at(self, o: Sequence[td.Value], r: Sequence[td.Value]) -> tuple[td.Value, ...]:
        """Where position *r* of the window of result *o* lies in the padded tensor."""
        return tuple(
            _times(o_axis, s) + _times(r_axis, d)
            for o_axis, r_axis, s, d in zip(o, r, self.stride, self.dilation, strict=True)
        )

    @property
    def pads(self) -> bool:
        """Whether there is any padding."""
        return any(self.before) or any(self.after)


def _times(index: td.Value, factor: int) -> td.Value:
    return index if factor == 1 else index * factor


def per_axis(value: Sizes, rank: int, what: str) -> tuple[int, ...]:
    """One number for each spatial axis.

    Raises:
        DeclarationError: another number of them.
    """
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(found) != rank:
        raise DeclarationError(f"{what}={value!r} for {rank} spatial axes")
    return found


def padding(value: Sizes, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding before and after each axis: one number, one per axis, or ONNX's list of both."""
    if not isinstance(value, int) and len(value) == 2 * rank and rank:
        return tuple(value[:rank]), tuple(value[rank:])
    both = per_axis(value, rank, "pad")
    return both, both


def window(
    spatial: Sequence[Dim], kernel: Sequence[int], stride: Sizes, pad: Sizes, dilation: Sizes,
    *, ceil: bool = False,
) -> Window:  # fmt: skip
    """The window of given sizes over spatial extents.

    `ceil` lets a last window start inside the tensor (or its padding in front) and end outside.

    Raises:
        DeclarationError: sizes that do not fit, or a stride over a symbolic extent.
    """
    rank = len(spatial)
    strides, dilations = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    before, after = padding(pad, rank)
    behind, extents = list(after), []
    for axis in range(rank):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        room = spatial[axis] + before[axis] + after[axis] - reach
        if strides[axis] == 1:
            extents.append(room + 1)
            continue
        free = known(room, f"spatial extent {axis} of a strided window")
        count = free // strides[axis] + 1
        if ceil and free % strides[axis]:
            start = count * strides[axis]
            if start < known(spatial[axis], "extent") + before[axis]:
                behind[axis] += start + reach - (free + reach)
                count += 1
        extents.append(count)
    if any(isinstance(n, int) and n < 0 for n in extents):
        raise DeclarationError(f"a window of {tuple(kernel)} does not fit into the padded tensor")
    return Window(tuple(kernel), strides, dilations, before, tuple(behind), tuple(extents))


def padded(
    x: td.Tensor, w: Window, value: float, name: str, layout: Layout = Layout.FIRST
) -> td.Tensor:
    """The tensor with the window's padding around it; itself where there is none."""
    if not w.pads:
        return x
    before, after = layout.joined(0, 0, w.before), layout.joined(0, 0, w.after)
    return td.pad(x, before, after, value=value, name=f"{name}.padded")


def window_axes(w: Window) -> tuple[td.Axis, ...]:
    """A reduction axis for each spatial axis of the window."""
    names = ("r", "s", "t")
    return tuple(
        td.reduce_axis(n, name=names[axis] if axis < 3 else f"w{axis}")
        for axis, n in enumerate(w.kernel)
    )
