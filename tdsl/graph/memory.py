"""Where values live: one arena, in which those that are never needed together share memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tdsl.graph.ir import Value

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Interval:
    """The steps from the one that writes a value to the last one that reads it."""

    value: Value
    first: int
    last: int

    def meets(self, other: Interval) -> bool:
        """Whether both are needed at one step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Offsets into the arena, in bytes.

    Attributes: `offsets`, `size`, `lower_bound` (what any plan needs: the most bytes alive at a
    step), `total` (without sharing).
    """

    offsets: Mapping[Value, int]
    size: int
    lower_bound: int
    total: int

    def __str__(self) -> str:
        mib = 1 / (1 << 20)
        return (
            f"arena {self.size * mib:.2f} MiB, lower bound {self.lower_bound * mib:.2f} MiB, "
            f"without sharing {self.total * mib:.2f} MiB"
        )


def plan_memory(intervals: Sequence[Interval]) -> MemoryPlan:
    """Place the largest values first, each in the lowest gap that fits.

    >>> from tdsl.dtypes import float32
    >>> a, b, c = (Value(n, (16,), float32) for n in "abc")
    >>> plan = plan_memory([Interval(a, 0, 1), Interval(b, 1, 2), Interval(c, 2, 3)])
    >>> plan.size, plan.lower_bound
    (128, 128)
    """
    placed: list[tuple[Interval, int]] = []
    offsets: dict[Value, int] = {}
    for interval in sorted(intervals, key=lambda i: (-i.value.nbytes, i.first)):
        others = sorted((at, bytes_of(i.value)) for i, at in placed if i.meets(interval))
        offset = _lowest_gap(others, bytes_of(interval.value))
        offsets[interval.value] = offset
        placed.append((interval, offset))
    size = max((at + bytes_of(i.value) for i, at in placed), default=0)
    total = sum(bytes_of(i.value) for i in intervals)
    return MemoryPlan(offsets, size, _most_alive(intervals), total)


def bytes_of(value: Value) -> int:
    """What a value takes in the arena."""
    return -(-value.nbytes // ALIGNMENT) * ALIGNMENT


def _lowest_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    end = 0
    for start, length in taken:
        if start - end >= size:
            return end
        end = max(end, start + length)
    return end


def _most_alive(intervals: Sequence[Interval]) -> int:
    changes: dict[int, int] = {}
    for interval in intervals:
        changes[interval.first] = changes.get(interval.first, 0) + bytes_of(interval.value)
        changes[interval.last + 1] = changes.get(interval.last + 1, 0) - bytes_of(interval.value)
    most = alive = 0
    for step in sorted(changes):
        alive += changes[step]
        most = max(most, alive)
    return most
