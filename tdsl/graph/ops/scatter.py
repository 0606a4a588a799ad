"""Operators that write parts of a tensor at indices from data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import static
from tdsl.graph.ops.movement import wrapped
from tdsl.lang.tensor import Axis, Tensor, reduce_axis
from tdsl.lang.update import update
from tdsl.lang.value import Value

_How = Literal["add", "mul", "min", "max", "set"]


class Meeting(Enum):
    """How a new element meets the one that is there."""

    SET = "set"
    ADD = "add"
    MUL = "mul"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class ScatterElements(Op):
    """Operands: the tensor, indices, and as many new elements.

    Each new element goes to its own place, but for its index along an axis, which the indices say;
    later ones win.
    """

    axis: int
    meeting: Meeting = Meeting.SET

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, indices, news = inputs
        shape, extent = static(indices), static(x)[self.axis]
        if static(news) != shape or len(shape) != x.ndim:
            raise GraphError(
                f"scatter of {list(static(news))} at indices {list(shape)} into {list(static(x))}"
            )
        if 0 in shape:
            return (unchanged(x, name),)
        axes = tuple(reduce_axis(n, name=f"r{a}") for a, n in enumerate(shape))
        place = wrapped(indices[axes], extent)
        at = tuple(place if a == self.axis else axis for a, axis in enumerate(axes))
        return (_updated(x, axes, at, news[axes], self.meeting, name),)


@dataclass(frozen=True, slots=True)
class ScatterND(Op):
    """Operands: the tensor, index tuples along the last axis, and a part for each of them."""

    meeting: Meeting = Meeting.SET

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, indices, news = inputs
        shape, places = static(x), static(indices)
        depth, lead = places[-1], len(places) - 1
        part = shape[depth:]
        if depth > len(shape) or static(news) != (*places[:-1], *part):
            raise GraphError(
                f"scatter of {list(static(news))} at indices {list(places)} into {list(shape)}"
            )
        if 0 in (*places, *part):
            return (unchanged(x, name),)
        axes = tuple(reduce_axis(n, name=f"r{a}") for a, n in enumerate(static(news)))
        if not axes:
            axes = (reduce_axis(1, name="r"),)
            lead_axes: tuple[Value, ...] = ()
            inner: tuple[Value, ...] = ()
        else:
            lead_axes, inner = axes[:lead], axes[lead:]
        place = [wrapped(indices[(*lead_axes, n)], shape[n]) for n in range(depth)]
        value = news[(*lead_axes, *inner)]
        return (_updated(x, axes, (*place, *inner), value, self.meeting, name),)


@dataclass(frozen=True, slots=True)
class CacheUpdate(Op):
    """Operands: a cache, new rows, and where each batch's rows begin along an axis.

    `circular`: places beyond the end go on at the beginning.
    """

    axis: int
    circular: bool

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        cache, news, *others = inputs
        axes = tuple(reduce_axis(n, name=f"r{a}") for a, n in enumerate(static(news)))
        if 0 in static(news):
            return (unchanged(cache, name),)
        place: Value = axes[self.axis]
        if others:
            place = place + wrapped(others[0][axes[0]], static(cache)[self.axis])
        if self.circular:
            place = place % static(cache)[self.axis]
        at = tuple(place if a == self.axis else axis for a, axis in enumerate(axes))
        return (_updated(cache, axes, at, news[axes], Meeting.SET, name),)


def unchanged(x: Tensor, name: str) -> Tensor:
    """The same elements."""
    from tdsl.lang.compute import compute

    return compute(x.shape, lambda *at: x[at], name=name)


def _updated(
    x: Tensor, axes: tuple[Axis, ...], at: tuple[Value, ...], value: Value, meeting: Meeting,
    name: str,
) -> Tensor:  # fmt: skip
    if x.dtype.is_bool and meeting is not Meeting.SET:
        raise GraphError(f"scatter of bools by {meeting.value}")
    hows: dict[Meeting, _How] = {
        Meeting.SET: "set", Meeting.ADD: "add", Meeting.MUL: "mul", Meeting.MIN: "min",
        Meeting.MAX: "max",
    }  # fmt: skip
    new: Value | Callable[[Tensor], Value] = value
    return update(x, over=axes, at=at, value=new, op=hows[meeting], name=name)
