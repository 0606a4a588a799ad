"""Values between the elements of an image: resizing, sampling at points, pooling of regions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce as fold

from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import static
from tdsl.lang import mathfns as m, reduce
from tdsl.lang.compute import compute
from tdsl.lang.tensor import Tensor, reduce_axis
from tdsl.lang.value import Value, cast, maximum, minimum, select


@dataclass(frozen=True, slots=True)
class Resample(Op):
    """Sums of weighted elements along an axis.

    Operands: the tensor, positions [n, taps] along the axis, and their weights [n, taps].
    """

    axis: int

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, places, weights = inputs
        count, taps = static(places)
        shape, axis = static(x), self.axis
        r = reduce_axis(taps, name="r")
        wide = x.dtype.name if x.dtype.is_float and x.dtype.bits >= 32 else "float32"

        def element(*at: Value) -> Value:
            value = x[(*at[:axis], places[at[axis], r], *at[axis + 1 :])]
            return reduce.sum(cast(value, wide) * cast(weights[at[axis], r], wide), axis=r)

        made = (*shape[:axis], count, *shape[axis + 1 :])
        if wide == x.dtype.name:
            return (compute(made, element, name=name),)
        sums = compute(made, element, name=f"{name}.sum")
        return (compute(made, lambda *at: _returned(sums[at], x), name=name),)


def _returned(value: Value, x: Tensor) -> Value:
    """A sum in the type of the operand: integers are rounded."""
    return cast(value if x.dtype.is_float else m.round(value), x.dtype)


class Outside(Enum):
    """What stands beyond the borders of an image."""

    ZEROS = "zeros"
    BORDER = "border"
    REFLECTION = "reflection"


class Between(Enum):
    """What stands between its elements."""

    NEAREST = "nearest"
    LINEAR = "linear"
    CUBIC = "cubic"


@dataclass(frozen=True, slots=True)
class GridSample(Op):
    """An image [batch, channels, spatial...] at points [batch, ..., axis] from -1 to 1.

    The last coordinate of a point belongs to the first spatial axis. `corners`: -1 and 1 are the
    centres of the outer elements, not their borders.
    """

    between: Between
    outside: Outside
    corners: bool

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, points = inputs
        spatial = static(x)[2:]
        rank = len(spatial)
        shape = (*static(x)[:2], *static(points)[1:-1])
        lead = static(points)[:-1]
        places = [
            compute(
                lead,
                lambda *at, a=a, n=n: self._place(points[(*at, rank - 1 - a)], n),
                name=f"{name}.place{a}",
            )
            for a, n in enumerate(spatial)
        ]
        weights = [
            compute(
                (*lead, self._taps),
                lambda *at, place=place: self._weight(place[at[:-1]], at[-1]),
                name=f"{name}.weight{a}",
            )
            for a, place in enumerate(places)
        ]
        taps = tuple(reduce_axis(self._taps, name=f"r{a}") for a in range(rank))

        def element(*at: Value) -> Value:
            here = (at[0], *at[2:])
            own = [
                self._tap(place[here], r, n)
                for place, r, n in zip(places, taps, spatial, strict=True)
            ]
            factors = [w[(*here, r)] for w, r in zip(weights, taps, strict=True)]
            value = self._read(x, at, own, spatial)
            return reduce.sum(fold(lambda a, b: a * b, factors, value), axis=taps)

        return (compute(shape, element, name=name),)

    def _place(self, v: Value, n: int) -> Value:
        """Where a coordinate lies, in elements, brought inside as far as it has to be."""
        at = (v + 1.0) * ((n - 1) / 2.0) if self.corners else ((v + 1.0) * float(n) - 1.0) * 0.5
        if self.between is Between.NEAREST:
            at = m.round(at)
        if self.between is Between.CUBIC:  # each tap is brought inside by itself
            return at
        return self._inside(at, n)

    def _inside(self, at: Value, n: int) -> Value:
        match self.outside:
            case Outside.ZEROS:
                return at
            case Outside.BORDER:
                return minimum(maximum(at, 0.0), float(n - 1))
            case Outside.REFLECTION:
                return self._reflected(at, n)

    def _reflected(self, at: Value, n: int) -> Value:
        """Mirrored at the borders as often as needed."""
        low = 0.0 if self.corners else -0.5
        span = float(n - 1) if self.corners else float(n)
        if span == 0.0:
            return at * 0.0
        away = m.abs(at - low)
        turns = m.floor(away / span)
        rest = away - turns * span
        odd = turns - m.floor(turns * 0.5) * 2.0 > 0.5
        return minimum(maximum(select(odd, span - rest, rest) + low, 0.0), float(n - 1))

    @property
    def _taps(self) -> int:
        """How many elements along an axis a point lies between."""
        return {Between.NEAREST: 1, Between.LINEAR: 2, Between.CUBIC: 4}[self.between]

    def _tap(self, place: Value, r: Value, n: int) -> Value:
        """Where the element r of those around a place is."""
        if self.between is Between.NEAREST:
            return place
        around = m.floor(place) + cast(r, place.dtype)
        return around if self.between is Between.LINEAR else self._inside(around - 1.0, n)

    def _weight(self, place: Value, r: Value) -> Value:
        """What the element r of those around a place counts."""
        if self.between is Between.NEAREST:
            return cast(1.0, place.dtype)
        part = place - m.floor(place)
        if self.between is Between.LINEAR:
            return select(r == 0, 1.0 - part, part)
        weights = _cubic(part)
        return fold(lambda rest, n: select(r == n, weights[n], rest), range(3), weights[3])

    def _read(
        self, x: Tensor, at: Sequence[Value], places: Sequence[Value], spatial: Sequence[int]
    ) -> Value:
        """The element at positions; 0 outside of the image."""
        inside: Value | None = None
        indices = []
        for place, n in zip(places, spatial, strict=True):
            here = (place >= 0.0) & (place <= float(n - 1))
            inside = here if inside is None else inside & here
            kept = minimum(maximum(place, 0.0), float(n - 1))
            indices.append(cast(kept, "int64"))
        assert inside is not None
        return select(inside, x[(at[0], at[1], *indices)], cast(0, x.dtype))


def _cubic(part: Value, alpha: float = -0.75) -> list[Value]:
    """Weights of the four elements around a point."""

    def outer(d: Value) -> Value:
        return ((d * alpha - 5 * alpha) * d + 8 * alpha) * d - 4 * alpha

    def inner(d: Value) -> Value:
        return (d * (alpha + 2) - (alpha + 3)) * d * d + 1.0

    return [outer(part + 1.0), inner(part), inner(1.0 - part), outer(2.0 - part)]


@dataclass(frozen=True, slots=True)
class RoiAlign(Op):
    """Pooling of regions: means (or greatest elements) of samples between the elements.

    Operands: images [batch, channels, h, w], boxes [count, x1 y1 x2 y2], and the image of each.
    """

    height: int
    width: int
    ratio: int
    scale: float
    greatest: bool
    half_pixel: bool

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, boxes, images = inputs
        _, channels, *extents = static(x)
        count = static(boxes)[0]
        offset = 0.5 if self.half_pixel else 0.0
        ry, rx = (reduce_axis(self.ratio, name=c) for c in ("ry", "rx"))

        def place(b: Value, axis: int, cell: Value, r: Value) -> Value:
            """Of a sample along an axis: 0 is y, 1 is x."""
            first = boxes[b, 1 - axis] * self.scale - offset
            size = boxes[b, 3 - axis] * self.scale - offset - first
            size = size if self.half_pixel else maximum(size, 1.0)
            step = size * (1.0 / (self.height, self.width)[axis])
            part = (cast(r, x.dtype) + 0.5) * (1.0 / self.ratio)
            return first + (cast(cell, x.dtype) + part) * step

        def sample(b: Value, c: Value, i: Value, j: Value) -> Value:
            y, z = place(b, 0, i, ry), place(b, 1, j, rx)
            image = cast(images[b], "int64")
            return self._between(lambda u, v: x[image, c, u, v], (y, z), (extents[0], extents[1]))

        shape = (count, channels, self.height, self.width)
        if self.greatest:
            made = compute(shape, lambda *at: reduce.max(sample(*at), axis=(ry, rx)), name=name)
            return (made,)
        share = 1.0 / (self.ratio * self.ratio)
        made = compute(shape, lambda *at: reduce.sum(sample(*at) * share, axis=(ry, rx)), name=name)
        return (made,)

    def _between(
        self, read: Callable[[Value, Value], Value], at: tuple[Value, Value],
        extents: tuple[int, int],
    ) -> Value:  # fmt: skip
        """Between four elements; 0 where a point is more than one element outside."""
        inside: Value | None = None
        lows, highs, parts = [], [], []
        for place, n in zip(at, extents, strict=True):
            here = (place >= -1.0) & (place <= float(n))
            inside = here if inside is None else inside & here
            kept = minimum(maximum(place, 0.0), float(n - 1))
            low = m.floor(kept)
            lows.append(cast(low, "int64"))
            highs.append(minimum(cast(low, "int64") + 1, n - 1))
            parts.append(kept - low)
        (y0, x0), (y1, x1), (py, px) = lows, highs, parts
        four = [
            (read(y0, x0), (1.0 - py) * (1.0 - px)), (read(y0, x1), (1.0 - py) * px),
            (read(y1, x0), py * (1.0 - px)), (read(y1, x1), py * px),
        ]  # fmt: skip
        if self.greatest:  # the standard takes the greatest of the weighted elements
            value = fold(maximum, [v * w for v, w in four])
        else:
            value = fold(lambda a, b: a + b, [v * w for v, w in four])
        assert inside is not None
        return select(inside, value, cast(0, value.dtype))
