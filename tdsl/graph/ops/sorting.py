"""Operators that order elements or choose among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import static
from tdsl.graph.ops.movement import wrapped
from tdsl.lang import mathfns as m, reduce
from tdsl.lang.compute import compute
from tdsl.lang.tensor import Tensor, reduce_axis
from tdsl.lang.value import Value, cast, select


@dataclass(frozen=True, slots=True)
class TopK(Op):
    """The greatest (or least) elements along an axis in order, and where they stand.

    Of equal elements the first comes first; NaN counts as the greatest. Every element counts those
    before it, so the work grows with the square of the extent, all of it in parallel.
    """

    axis: int
    count: int
    greatest: bool = True

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        shape, axis = static(x), self.axis
        extent = shape[axis]
        j, i = reduce_axis(extent, name="j"), reduce_axis(extent, name="i")

        def along(at: Sequence[Value], place: Value) -> Value:
            return x[(*at[:axis], place, *at[axis + 1 :])]

        def rank(*at: Value) -> Value:
            mine, other = x[at], along(at, j)
            ahead, behind = self._ahead(other, mine), self._ahead(mine, other)
            first = ahead | (~behind & (j < at[axis]))
            return reduce.sum(select(first, cast(1, "int64"), cast(0, "int64")), axis=j)

        ranks = compute(shape, rank, name=f"{name}.rank")
        made = (*shape[:axis], self.count, *shape[axis + 1 :])

        def place(*at: Value) -> Value:
            found = ranks[(*at[:axis], i, *at[axis + 1 :])] == at[axis]
            return reduce.sum(select(found, cast(i, "int64"), cast(0, "int64")), axis=i)

        places = compute(made, place, name=f"{name}.place")
        values = compute(made, lambda *at: along(at, places[at]), name=name)
        return values, compute(made, lambda *at: places[at], name=f"{name}.index")

    def _ahead(self, a: Value, b: Value) -> Value:
        """Whether a comes before b by its size."""
        if not a.dtype.is_float:
            return a > b if self.greatest else a < b
        one, two = m.isnan(a), m.isnan(b)
        return (a > b) | (one & ~two) if self.greatest else (a < b) | (two & ~one)


@dataclass(frozen=True, slots=True)
class OneHot(Op):
    """Along a new axis the second of two values at the index, the first elsewhere.

    Operands: indices, of which negative ones count from the end, and the two values.
    """

    axis: int
    depth: int

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        indices, values = inputs
        shape = static(indices)
        made = (*shape[: self.axis], self.depth, *shape[self.axis :])

        def element(*at: Value) -> Value:
            index = indices[(*at[: self.axis], *at[self.axis + 1 :])]
            return select(at[self.axis] == wrapped(index, self.depth), values[1], values[0])

        return (compute(made, element, name=name),)


@dataclass(frozen=True, slots=True)
class ReverseSequence(Op):
    """The first elements along an axis back to front, as many as the lengths say for a batch."""

    time: int
    batch: int

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, lengths = inputs

        def element(*at: Value) -> Value:
            length, t = cast(lengths[at[self.batch]], "int64"), at[self.time]
            place = select(t < length, length - 1 - t, t)
            return x[(*at[: self.time], place, *at[self.time + 1 :])]

        return (compute(x.shape, element, name=name),)


@dataclass(frozen=True, slots=True)
class Determinant(Op):
    """Of the matrices in the last two axes, by expansion along rows; for small matrices."""

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        *batch, n, _ = static(x)

        def minor(at: Sequence[Value], row: int, columns: tuple[int, ...]) -> Value:
            if not columns:
                return cast(1, x.dtype)
            total: Value | None = None
            for place, column in enumerate(columns):
                rest = columns[:place] + columns[place + 1 :]
                term = x[(*at, row, column)] * minor(at, row + 1, rest)
                total = term if total is None else total - term if place % 2 else total + term
            assert total is not None
            return total

        return (compute(tuple(batch), lambda *at: minor(at, 0, tuple(range(n))), name=name),)
