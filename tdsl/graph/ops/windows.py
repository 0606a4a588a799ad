"""Windows that slide over an image: convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce as fold
from math import prod

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import static
from tdsl.lang import reduce, sugar
from tdsl.lang.compute import compute
from tdsl.lang.mathfns import abs as absolute, pow as power
from tdsl.lang.tensor import Tensor, reduce_axis
from tdsl.lang.update import update
from tdsl.lang.value import Value, cast, select
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

    @staticmethod
    def of(
        kernel: Sequence[int], strides: int | Sequence[int] = 1, pads: int | Sequence[int] = 0,
        dilations: int | Sequence[int] = 1,
    ) -> Window:  # fmt: skip
        """A window from one number for all axes, or one for each.

        Of `pads` there may be two for each axis: those in front of all axes, then those behind.

        >>> Window.of((3, 3), pads=1).pads
        (1, 1, 1, 1)

        Raises:
            GraphError: another number of them.
        """
        rank = len(kernel)

        def each(given: int | Sequence[int], name: str, *counts: int) -> tuple[int, ...]:
            numbers = (given,) * rank if isinstance(given, int) else tuple(given)
            if len(numbers) not in counts:
                raise GraphError(f"{len(numbers)} {name} for a kernel of {rank} axes")
            return numbers

        borders = each(pads, "pads", rank, 2 * rank)
        return Window(
            tuple(kernel), each(strides, "strides", rank), each(dilations, "dilations", rank),
            borders[:rank], borders[-rank:] if rank else (),
        )  # fmt: skip

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


@dataclass(frozen=True, slots=True)
class MaxPoolPlaces(Op):
    """Where the greatest element of each window is, counted through the whole image.

    `columns_first` counts the spatial axes of an image in the opposite order.
    """

    window: Window
    columns_first: bool = False

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,), own = inputs, self.window
        w = windows.window(
            x.shape[2:], own.kernel, own.strides, own.pads, own.dilations, ceil=own.ceil
        )
        batch, channels, *spatial = static(x)
        axes = windows.window_axes(w)

        def corner(at: Sequence[Value], inner: Sequence[Value]) -> list[Value]:
            places = zip(w.at(at, inner), w.before, strict=True)
            return [place - before for place, before in places]

        def best(*at: Value) -> Value:
            places = corner(at[2:], axes)
            inside = fold(
                lambda a, b: a & b,
                [(p >= 0) & (p < n) for p, n in zip(places, spatial, strict=True)],
            )
            return reduce.argmax(x[(*at[:2], *places)], axis=axes, where=inside)

        shape = (batch, channels, *w.extents)
        found = compute(shape, best, name=f"{name}.best")

        def place(*at: Value) -> Value:
            inner: list[Value] = []
            rest = found[at]
            for extent in reversed(w.kernel):
                inner.insert(0, rest % extent)
                rest = rest // extent
            flat = cast(at[0] * channels + at[1], "int64")
            pairs = list(zip(corner(at[2:], inner), spatial, strict=True))
            total: Value = cast(0, "int64")
            for where, extent in reversed(pairs) if self.columns_first else pairs:
                total = total * extent + where
            return flat * prod(spatial) + total

        return (compute(shape, place, name=name),)


@dataclass(frozen=True, slots=True)
class MaxUnpool(Op):
    """Elements at places counted through the whole result; 0 elsewhere."""

    shape: tuple[int, ...]

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, places = inputs
        zeros = compute((prod(self.shape),), lambda _: cast(0, x.dtype), name=f"{name}.zeros")
        axes = tuple(reduce_axis(n, name=f"r{a}") for a, n in enumerate(static(x)))
        filled = update(
            zeros, over=axes, at=(places[axes],), value=x[axes], op="set", name=f"{name}.flat"
        )
        return (sugar.reshape(filled, self.shape, name=name),)


@dataclass(frozen=True, slots=True)
class ColumnsToImage(Op):
    """Sums of blocks [batch, channels * block, blocks] where they lie in an image."""

    window: Window
    image: tuple[int, ...]

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,), w = inputs, self.window
        batch, columns, count = static(x)
        channels = columns // prod(w.kernel)
        blocks = [
            (n + b + a - d * (k - 1) - 1) // s + 1
            for n, k, s, d, b, a in zip(
                self.image, w.kernel, w.strides, w.dilations, w.before, w.after, strict=True
            )
        ]
        if columns != channels * prod(w.kernel) or count != prod(blocks):
            raise GraphError(f"{count} blocks of {columns} elements do not make {self.image}")
        axes = tuple(reduce_axis(n, name=f"r{a}") for a, n in enumerate(w.kernel))

        def element(n: Value, c: Value, *at: Value) -> Value:
            row, column = c, cast(0, "int64")
            inside: Value | None = None
            for a, r in enumerate(axes):
                offset = at[a] + w.before[a] - r * w.dilations[a]
                place = offset // w.strides[a]
                here = (offset % w.strides[a] == 0) & (place >= 0) & (place < blocks[a])
                inside = here if inside is None else inside & here
                row, column = row * w.kernel[a] + r, column * blocks[a] + place
            assert inside is not None
            return reduce.sum(select(inside, x[n, row, column], cast(0, x.dtype)), axis=axes)

        return (compute((batch, channels, *self.image), element, name=name),)
