"""Operators that only move elements: each output element is one input element, or a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import read, static
from tdsl.lang import sugar
from tdsl.lang.compute import compute
from tdsl.lang.sugar import PadMode
from tdsl.lang.tensor import Tensor
from tdsl.lang.value import Value, cast, select


@dataclass(frozen=True, slots=True)
class Copy(Op):
    """The same elements in memory of their own."""

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        return (compute(x.shape, lambda *at: x[at], name=name),)


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """The same elements in row-major order under another shape; takes no time where unfused."""

    shape: tuple[int, ...]
    is_view: ClassVar[bool] = True

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        return (sugar.reshape(x, self.shape, name=name),)


@dataclass(frozen=True, slots=True)
class Transpose(Op):
    """Axes in another order: axis n of the result is axis `order[n]` of the operand."""

    order: tuple[int, ...]

    def view_start(self, shapes: Sequence[tuple[int, ...]]) -> int | None:
        (shape,) = shapes
        walked = [axis for axis in self.order if shape[axis] != 1]
        return 0 if walked == sorted(walked) else None

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        shape = static(x)
        if sorted(self.order) != list(range(len(shape))):
            raise GraphError(f"{self.order} is no order of the axes of {list(shape)}")
        place = [self.order.index(n) for n in range(len(shape))]
        made = tuple(shape[n] for n in self.order)
        return (compute(made, lambda *at: x[tuple(at[p] for p in place)], name=name),)


@dataclass(frozen=True, slots=True)
class Expand(Op):
    """Broadcast to a shape by numpy's rules."""

    shape: tuple[int, ...]

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        return (compute(self.shape, lambda *at: read(x, at, self.shape), name=name),)


@dataclass(frozen=True, slots=True)
class Slice(Op):
    """Along each axis: `counts` elements from `starts` on, `steps` apart (or back)."""

    starts: tuple[int, ...]
    counts: tuple[int, ...]
    steps: tuple[int, ...]

    def view_start(self, shapes: Sequence[tuple[int, ...]]) -> int | None:
        (shape,) = shapes
        start, stride, whole = 0, 1, True
        axes = zip(self.starts, self.counts, self.steps, shape, strict=True)
        for first, count, step, extent in reversed(tuple(axes)):
            if count != 1 and not (whole and step == 1):
                return None  # it goes on over elements that are left out
            whole = whole and count == extent
            start += first * stride
            stride *= extent
        return start

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs

        def element(*at: Value) -> Value:
            return x[
                tuple(
                    i * step + start
                    for i, start, step in zip(at, self.starts, self.steps, strict=True)
                )
            ]

        return (compute(self.counts, element, name=name),)


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """The operands one after the other along an axis."""

    axis: int

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        shapes = [static(x) for x in inputs]
        axis, first = self.axis, shapes[0]
        for shape in shapes:
            if shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
                raise GraphError(
                    f"concat along axis {axis} of shapes {list(first)} and {list(shape)}"
                )
        extents = [shape[axis] for shape in shapes]
        starts = [sum(extents[:n]) for n in range(len(extents))]
        made = (*first[:axis], sum(extents), *first[axis + 1 :])
        parts = [p for p in zip(inputs, starts, extents, strict=True) if p[2]]

        def element(*at: Value) -> Value:
            here = at[axis]
            result: Value | None = None
            for x, start, extent in reversed(parts):
                value = x[(*at[:axis], here - start if start else here, *at[axis + 1 :])]
                end = start + extent
                result = value if result is None else select(here < end, value, result)
            return inputs[0][at] if result is None else result

        return (compute(made, element, name=name),)


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """Borders around each axis; a negative one cuts. Modes are numpy's."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    mode: PadMode = "constant"
    value: float = 0.0

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        if min((*self.before, *self.after), default=0) < 0:
            starts = tuple(max(0, -b) for b in self.before)
            counts = tuple(
                n + min(0, b) + min(0, a)
                for n, b, a in zip(static(x), self.before, self.after, strict=True)
            )
            (x,) = Slice(starts, counts, (1,) * len(starts)).body([x], f"{name}.cut")
        low, high = ([max(0, n) for n in sides] for sides in (self.before, self.after))
        value = self.value if x.dtype.is_float else int(self.value)
        if x.dtype.is_bool:
            value = bool(self.value)
        return (sugar.pad(x, low, high, self.mode, value, name=name),)


@dataclass(frozen=True, slots=True)
class Tile(Op):
    """The operand repeated along each axis."""

    repeats: tuple[int, ...]

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        shape = static(x)
        made = tuple(n * r for n, r in zip(shape, self.repeats, strict=True))

        def element(*at: Value) -> Value:
            return x[
                tuple(
                    i if r == 1 else i % n for i, n, r in zip(at, shape, self.repeats, strict=True)
                )
            ]

        return (compute(made, element, name=name),)


@dataclass(frozen=True, slots=True)
class Gather(Op):
    """Parts of the first operand along an axis, at the indices in the second."""

    axis: int

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, indices = inputs
        shape, axis, rank = static(x), self.axis, indices.ndim
        made = (*shape[:axis], *static(indices), *shape[axis + 1 :])

        def element(*at: Value) -> Value:
            index = wrapped(indices[at[axis : axis + rank]], shape[axis])
            return x[(*at[:axis], index, *at[axis + rank :])]

        return (compute(made, element, name=name),)


@dataclass(frozen=True, slots=True)
class GatherElements(Op):
    """The element at the same place, but for its index along an axis, which the indices say."""

    axis: int

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, indices = inputs
        extent = static(x)[self.axis]

        def element(*at: Value) -> Value:
            index = wrapped(indices[at], extent)
            return x[(*at[: self.axis], index, *at[self.axis + 1 :])]

        return (compute(indices.shape, element, name=name),)


@dataclass(frozen=True, slots=True)
class GatherND(Op):
    """Parts of the first operand at the index tuples along the last axis of the second."""

    batch: int

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, indices = inputs
        shape, places = static(x), static(indices)
        batch, depth, lead = self.batch, places[-1], len(places) - 1
        made = (*places[:-1], *shape[batch + depth :])

        def element(*at: Value) -> Value:
            index = [wrapped(indices[(*at[:lead], n)], shape[batch + n]) for n in range(depth)]
            return x[(*at[:batch], *index, *at[lead:])]

        return (compute(made, element, name=name),)


@dataclass(frozen=True, slots=True)
class Trilu(Op):
    """The upper or lower triangle of the last two axes; zero elsewhere."""

    diagonal: int
    upper: bool

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs

        def element(*at: Value) -> Value:
            offset = at[-1] - at[-2]
            kept = offset >= self.diagonal if self.upper else offset <= self.diagonal
            return select(kept, x[at], cast(0, x.dtype))

        return (compute(x.shape, element, name=name),)


def wrapped(index: Value, extent: int) -> Value:
    """An index of which negative ones count from the end."""
    wide = cast(index, "int64")
    return select(wide < 0, wide + extent, wide)
