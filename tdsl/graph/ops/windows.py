"""Windows that slide over an image: convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import static
from tdsl.lang import reduce, sugar
from tdsl.lang.compute import compute
from tdsl.lang.mathfns import abs as absolute, pow as power
from tdsl.lang.tensor import Axis, Tensor, reduce_axis
from tdsl.lang.value import Value, cast, select


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

    def counts(self, extents: Sequence[int]) -> tuple[int, ...]:
        """How many places the window has along each axis.

        Raises:
            GraphError: it is larger than the image.
        """
        return tuple(self._count(axis, extent) for axis, extent in enumerate(extents))

    def _count(self, axis: int, extent: int) -> int:
        reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
        room = extent + self.before[axis] + self.after[axis] - reach
        if room < 0:
            raise GraphError(f"a window of {reach} does not fit an image of {extent}")
        stride = self.strides[axis]
        if not self.ceil:
            return room // stride + 1
        count = -(-room // stride) + 1
        return count - 1 if (count - 1) * stride >= extent + self.before[axis] else count

    def borders(self, extents: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What all windows together need before and after the image."""
        after = []
        for axis, (extent, count) in enumerate(zip(extents, self.counts(extents), strict=True)):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            end = (count - 1) * self.strides[axis] + reach
            after.append(max(self.after[axis], end - extent - self.before[axis]))
        return self.before, tuple(after)

    def spots(self, place: Sequence[Value], inside: Sequence[Axis]) -> list[Value]:
        """Where in the padded image an element of the kernel lies."""
        return [
            (i * s if s > 1 else i) + (k * d if d > 1 else k)
            for i, k, s, d in zip(place, inside, self.strides, self.dilations, strict=True)
        ]


def padded(x: Tensor, window: Window, name: str, value: float = 0) -> Tensor:
    """An image x[n, channel, ...] with the borders that a window needs."""
    before, after = window.borders(static(x)[2:])
    if not any(before) and not any(after):
        return x
    return sugar.pad(x, (0, 0, *before), (0, 0, *after), value=value, name=name)


@dataclass(frozen=True, slots=True)
class MaxPool(Op):
    """The greatest element of each window."""

    window: Window

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        window, shape = self.window, static(x)
        data = padded(x, window, f"{name}.padded", value=x.dtype.min)
        axes = [reduce_axis(n, name=f"k{d}") for d, n in enumerate(window.kernel)]

        def element(*at: Value) -> Value:
            spots = window.spots(at[2:], axes)
            return reduce.max(data[(*at[:2], *spots)], axis=tuple(axes))

        return (compute((*shape[:2], *window.counts(shape[2:])), element, name=name),)


@dataclass(frozen=True, slots=True)
class AveragePool(Op):
    """The mean of each window, of its elements in the image or (`with_borders`) of all."""

    window: Window
    with_borders: bool = False

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        window, shape = self.window, static(x)
        data = padded(x, window, f"{name}.padded")
        axes = [reduce_axis(n, name=f"k{d}") for d, n in enumerate(window.kernel)]
        counted = self._counted(shape[2:], f"{name}.count")

        def element(*at: Value) -> Value:
            spots = window.spots(at[2:], axes)
            total = reduce.sum(data[(*at[:2], *spots)], axis=tuple(axes))
            count = counted[at[2:]] if isinstance(counted, Tensor) else counted
            return cast(total / count, x.dtype)

        return (compute((*shape[:2], *window.counts(shape[2:])), element, name=name),)

    def _counted(self, extents: tuple[int, ...], name: str) -> Tensor | float:
        """How many elements each window has."""
        window = self.window
        before, after = window.borders(extents)
        inside = self.with_borders and after == window.after
        if inside or not (any(before) or any(after)):
            product = 1
            for n in window.kernel:
                product *= n
            return float(product)
        axes = [reduce_axis(n, name=f"k{d}") for d, n in enumerate(window.kernel)]

        def element(*at: Value) -> Value:
            every: Value | None = None
            for axis, spot in enumerate(window.spots(at, axes)):
                low = 0 if self.with_borders else window.before[axis]
                high = window.before[axis] + extents[axis]
                high += window.after[axis] if self.with_borders else 0
                one = (spot >= low) & (spot < high)
                every = one if every is None else every & one
            assert every is not None
            one_each = select(every, cast(1.0, "float32"), 0.0)
            return reduce.sum(one_each, axis=tuple(axes))

        return compute(window.counts(extents), element, name=name)


@dataclass(frozen=True, slots=True)
class LpPool(Op):
    """The p-norm of each window."""

    window: Window
    p: float = 2.0

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        window, shape = self.window, static(x)
        data = padded(x, window, f"{name}.padded")
        axes = [reduce_axis(n, name=f"k{d}") for d, n in enumerate(window.kernel)]

        def element(*at: Value) -> Value:
            spots = window.spots(at[2:], axes)
            grown = power(absolute(data[(*at[:2], *spots)]), self.p)
            return power(reduce.sum(grown, axis=tuple(axes)), 1.0 / self.p)

        return (compute((*shape[:2], *window.counts(shape[2:])), element, name=name),)
