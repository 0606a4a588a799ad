"""Reductions over axes: sums, means, extremes, norms, positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tdsl as td
from tdsl.schedules.dims import Dim, axes_of, axis_of, declare, extent_as, unique

Axes = int | Sequence[int] | None
Reducer = Callable[..., td.Value]


class Reduced:
    """The axes of a tensor that are reduced, and how elements are found along them."""

    def __init__(self, x: td.Tensor, axes: Axes, *, keep: bool) -> None:
        self.x = x
        self.keep = keep
        self.positions = axes_of(axes, x.ndim)
        self.axes = {a: td.reduce_axis(x.shape[a], name=f"k{a}") for a in self.positions}
        kept = enumerate(x.shape)
        self.shape: tuple[Dim, ...] = tuple(
            1 if a in self.axes else d for a, d in kept if keep or a not in self.axes
        )

    def at(self, i: Sequence[td.Value]) -> td.Value:
        """The element of the tensor at an index of the result and the reduction axes."""
        rest = iter(i)
        indices: list[td.Value] = []
        for a in range(self.x.ndim):
            outer = next(rest) if self.keep or a not in self.axes else None
            axis = self.axes.get(a)
            index = outer if axis is None else axis
            assert index is not None
            indices.append(index)
        return self.x[tuple(indices)]

    def result(self, i: Sequence[td.Value]) -> tuple[td.Value, ...]:
        """The index, in a result whose axes are not kept, that stands for a full index of `x`."""
        return tuple(v for a, v in enumerate(i) if a not in self.axes)


def reduce(
    reducer: Reducer, x: td.Tensor, axes: Axes = None, *, keep: bool = False,
    name: str | None = None,
) -> td.Tensor:  # fmt: skip
    """A reduction of td's (`td.sum`, `td.max`, ...) over axes; all of them if None.

    `keep` leaves the reduced axes in the shape, with an extent of 1.

    >>> import tdsl as td
    >>> reduce(td.sum, td.placeholder((4, 5, 6), name="X"), (0, 2), keep=True, name="Y")
    <tensor Y: float32[1, 5, 1]>
    """
    return _over(x, axes, lambda value, over: reducer(value, axis=over), keep=keep,
                 name=unique("reduce", name))  # fmt: skip


def _over(
    x: td.Tensor, axes: Axes, combine: Callable[..., td.Value], *, keep: bool, name: str
) -> td.Tensor:
    r = Reduced(x, axes, keep=keep)
    over = tuple(r.axes.values())
    if not over:
        return declare(x.shape, lambda i: x[i], name)
    return declare(r.shape, lambda i: combine(r.at(i), over), name)


def mean(
    x: td.Tensor, axes: Axes = None, *, keep: bool = False, name: str | None = None
) -> td.Tensor:
    """The mean over axes, of floats."""
    label = unique("mean", name)
    sums = reduce(td.sum, x, axes, keep=keep, name=f"{label}.sum")
    count = extent_as([x.shape[a] for a in axes_of(axes, x.ndim)], sums.dtype)
    return declare(sums.shape, lambda i: td.cast(sums[i] / count, x.dtype), label)


def sum_square(
    x: td.Tensor, axes: Axes = None, *, keep: bool = False, name: str | None = None
) -> td.Tensor:
    """The sum of squares over axes."""
    return _over(x, axes, lambda v, over: td.sum(v * v, axis=over), keep=keep,
                 name=unique("sum_square", name))  # fmt: skip


def norm1(
    x: td.Tensor, axes: Axes = None, *, keep: bool = False, name: str | None = None
) -> td.Tensor:
    """The sum of absolute values over axes."""
    return _over(x, axes, lambda v, over: td.sum(td.abs(v), axis=over), keep=keep,
                 name=unique("norm1", name))  # fmt: skip


def norm2(
    x: td.Tensor, axes: Axes = None, *, keep: bool = False, name: str | None = None
) -> td.Tensor:
    """The square root of the sum of squares over axes, of floats."""
    label = unique("norm2", name)
    sums = sum_square(x, axes, keep=keep, name=f"{label}.square")
    return declare(sums.shape, lambda i: td.sqrt(sums[i]), label)


def log_sum(
    x: td.Tensor, axes: Axes = None, *, keep: bool = False, name: str | None = None
) -> td.Tensor:
    """The logarithm of the sum over axes, of floats."""
    label = unique("log_sum", name)
    sums = reduce(td.sum, x, axes, keep=keep, name=f"{label}.sum")
    return declare(sums.shape, lambda i: td.log(sums[i]), label)


def log_sum_exp(
    x: td.Tensor, axes: Axes = None, *, keep: bool = False, name: str | None = None
) -> td.Tensor:
    """log(sum of e^x) over axes, without overflow."""
    label = unique("log_sum_exp", name)
    top = reduce(td.max, x, axes, name=f"{label}.max")
    r = Reduced(x, axes, keep=False)
    over = tuple(r.axes.values())

    def shift(i: Sequence[td.Value]) -> td.Value:
        return td.select(td.isinf(top[tuple(i)]), 0, top[tuple(i)])

    sums = declare(r.shape, lambda i: td.sum(td.exp(r.at(i) - shift(i)), axis=over), f"{label}.sum")
    kept = Reduced(x, axes, keep=keep)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        at = r.result(i) if keep else i
        return td.log(sums[at]) + shift(at)

    return declare(kept.shape, element, label)


def argmax(
    x: td.Tensor, axis: int = 0, *, keep: bool = False, last: bool = False,
    name: str | None = None,
) -> td.Tensor:  # fmt: skip
    """The position of the greatest element along an axis: the first of equals, or the last."""
    return _arg(td.argmax, x, axis, keep=keep, last=last, name=unique("argmax", name))


def argmin(
    x: td.Tensor, axis: int = 0, *, keep: bool = False, last: bool = False,
    name: str | None = None,
) -> td.Tensor:  # fmt: skip
    """The position of the least element along an axis: the first of equals, or the last."""
    return _arg(td.argmin, x, axis, keep=keep, last=last, name=unique("argmin", name))


def _arg(
    reducer: Reducer, x: td.Tensor, axis: int, *, keep: bool, last: bool, name: str
) -> td.Tensor:
    position = axis_of(axis, x.ndim)
    r = Reduced(x, position, keep=keep)
    over = r.axes[position]
    if not last:
        return declare(r.shape, lambda i: reducer(r.at(i), axis=over), name)
    end = x.shape[position] - 1
    plain = Reduced(x, position, keep=False)
    mirrored = plain.axes[position]

    def from_behind(i: tuple[td.Value, ...]) -> td.Value:
        at = [*i[:position], end - mirrored, *i[position + (1 if keep else 0) :]]
        return reducer(x[tuple(at)], axis=mirrored)

    behind = declare(r.shape, from_behind, f"{name}.behind")
    return declare(r.shape, lambda i: end - behind[i], name)


def cumulative_sum(
    x: td.Tensor, axis: int = 0, *, exclusive: bool = False, reverse: bool = False,
    name: str | None = None,
) -> td.Tensor:  # fmt: skip
    """Running sums along an axis; `exclusive`: without the element itself; `reverse`: from the end.

    >>> import tdsl as td
    >>> cumulative_sum(td.placeholder((3, 4), name="X"), 1, name="Y")
    <tensor Y: float32[3, 4]>
    """
    label = unique("cumulative_sum", name)
    position = axis_of(axis, x.ndim)
    extent = x.shape[position]
    others = (*x.shape[:position], *x.shape[position + 1 :])
    t = td.scan_axis(extent, name="t")

    def step(t: td.Value, prev: dict[str, Any]) -> dict[str, object]:
        at = extent - 1 - t if reverse else t
        before = prev["sum"]
        if not others:
            return {"sum": before + x[at]}
        return {"sum": lambda *i: before[i] + x[(*i[:position], at, *i[position:])]}

    state = td.scan(t, {"sum": (others, 0)}, step, name=f"{label}.scan")["sum"]

    def element(i: tuple[td.Value, ...]) -> td.Value:
        at = extent - 1 - i[position] if reverse else i[position]
        rest = (*i[:position], *i[position + 1 :])
        if exclusive:
            return td.select(at > 0, state[(at - 1, *rest)], 0)
        return state[(at, *rest)]

    return declare(x.shape, element, label)
