"""Convolutions of groups of channels, as images whose channels are parted into groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import static
from tdsl.graph.ops.windows import Window
from tdsl.lang import sugar
from tdsl.lang.compute import compute
from tdsl.lang.reduce import sum as reduce_sum
from tdsl.lang.tensor import Tensor, reduce_axis
from tdsl.lang.value import Value
from tdsl.schedules import windows


@dataclass(frozen=True, slots=True)
class GroupedConv(Op):
    """Convolution of x[n, ..., group, channel] with w[group, channel out, channel, ...].

    The result is [n, ..., group, channel out].
    """

    window: Window

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, w = inputs
        batch, *spatial, groups, depth = static(x)
        own = self.window
        moved = windows.window(spatial, own.kernel, own.strides, own.pads, own.dilations)
        source = x
        if moved.pads:
            before, after = ((0, *side, 0, 0) for side in (moved.before, moved.after))
            source = sugar.pad(x, before, after, name=f"{name}.padded")
        axes, c = windows.window_axes(moved), reduce_axis(depth, name="c")

        def element(*at: Value) -> Value:
            n, *place, g, o = at
            value = source[(n, *moved.at(place, axes), g, c)]
            return reduce_sum(value * w[(g, o, c, *axes)], axis=(*axes, c))

        shape = (batch, *moved.extents, groups, static(w)[1])
        return (compute(shape, element, name=name),)
