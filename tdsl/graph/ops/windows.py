"""Windows that slide over an image: convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.graph.ir import Op
from tdsl.lang import reduce
from tdsl.lang.compute import compute
from tdsl.lang.mathfns import abs as absolute, pow as power
from tdsl.lang.tensor import Tensor
from tdsl.lang.value import Value
from tdsl.schedules import pooling, windows
from tdsl.schedules.windows import Layout


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel moves: its extent, strides, dilations and borders along each axis.

    With `ceil`, a last window that begins inside the image and its first border counts even if it
    reaches beyond.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    ceil: bool = False

    @property
    def pads(self) -> tuple[int, ...]:
        """All borders in front, then all behind."""
        return (*self.before, *self.after)


@dataclass(frozen=True, slots=True)
class MaxPool(Op):
    """The greatest element of each window."""

    window: Window
    layout: Layout = Layout.FIRST

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,), w = inputs, self.window
        made = pooling.max_pool(
            x, w.kernel, stride=w.strides, pad=w.pads, dilation=w.dilations, ceil=w.ceil,
            layout=self.layout, name=name,
        )  # fmt: skip
        return (made,)


@dataclass(frozen=True, slots=True)
class AveragePool(Op):
    """The mean of each window, of its elements in the image or (`with_borders`) of all."""

    window: Window
    with_borders: bool = False
    layout: Layout = Layout.FIRST

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,), w = inputs, self.window
        made = pooling.average_pool(
            x, w.kernel, stride=w.strides, pad=w.pads, dilation=w.dilations, ceil=w.ceil,
            count_padding=self.with_borders, layout=self.layout, name=name,
        )  # fmt: skip
        return (made,)


@dataclass(frozen=True, slots=True)
class LpPool(Op):
    """The p-norm of each window."""

    window: Window
    p: float = 2.0

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,), own = inputs, self.window
        w = windows.window(
            x.shape[2:], own.kernel, own.strides, own.pads, own.dilations, ceil=own.ceil
        )
        data = windows.padded(x, w, 0, name)
        axes = windows.window_axes(w)

        def element(*at: Value) -> Value:
            grown = power(absolute(data[(*at[:2], *w.at(at[2:], axes))]), self.p)
            return power(reduce.sum(grown, axis=axes), 1.0 / self.p)

        return (compute((*x.shape[:2], *w.extents), element, name=name),)
