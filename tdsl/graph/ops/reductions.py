"""Reductions, softmax and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import static
from tdsl.lang import mathfns as m, reduce
from tdsl.lang.compute import compute
from tdsl.lang.scan import scan
from tdsl.lang.tensor import Axis, Tensor, reduce_axis, scan_axis
from tdsl.lang.value import Value, cast, select
from tdsl.schedules import distributions, normalization


class ReduceKind(Enum):
    """What a reduction makes of its elements."""

    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"
    PROD = "prod"
    L1 = "l1"
    L2 = "l2"
    SUM_SQUARE = "sum_square"
    LOG_SUM = "log_sum"
    LOG_SUM_EXP = "log_sum_exp"


@dataclass(frozen=True, slots=True)
class Reduce(Op):
    """A reduction over axes, which stay with extent 1 where `keep`."""

    kind: ReduceKind
    axes: tuple[int, ...]
    keep: bool

    @property
    def name(self) -> str:
        return f"reduce_{self.kind.value}"

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        if self.kind is ReduceKind.LOG_SUM_EXP:
            return (self._log_sum_exp(x, name),)
        shape = static(x)
        over = _axes(shape, self.axes)
        count = prod(shape[n] for n in self.axes)

        def element(*at: Value) -> Value:
            value = _reduced(self.kind, x[self._index(at, over)], tuple(over.values()), count)
            return cast(value, x.dtype)

        return (compute(self._shape(shape), element, name=name),)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.keep:
            return tuple(1 if n in self.axes else extent for n, extent in enumerate(shape))
        return tuple(extent for n, extent in enumerate(shape) if n not in self.axes)

    def _index(self, at: Sequence[Value], over: dict[int, Axis]) -> tuple[Value, ...]:
        rest = iter(v for n, v in enumerate(at) if not (self.keep and n in self.axes))
        return tuple(over[n] if n in over else next(rest) for n in range(len(at) + self._dropped))

    @property
    def _dropped(self) -> int:
        return 0 if self.keep else len(self.axes)

    def _log_sum_exp(self, x: Tensor, name: str) -> Tensor:
        shape = static(x)
        made = self._shape(shape)
        over, again = _axes(shape, self.axes), _axes(shape, self.axes)
        top = compute(
            made,
            lambda *at: reduce.max(x[self._index(at, over)], axis=tuple(over.values())),
            name=f"{name}.max",
        )

        def element(*at: Value) -> Value:
            peak = select(m.isinf(top[at]), cast(0, x.dtype), top[at])
            grown = m.exp(x[self._index(at, again)] - peak)
            return (
                cast(
                    m.log(reduce.sum(grown, axis=tuple(again.values()))) + cast(peak, "float32"),
                    x.dtype,
                )
                if x.dtype.bits < 32
                else m.log(reduce.sum(grown, axis=tuple(again.values()))) + peak
            )

        return compute(made, element, name=name)


def _axes(shape: tuple[int, ...], axes: tuple[int, ...]) -> dict[int, Axis]:
    return {n: reduce_axis(shape[n], name=f"r{n}") for n in axes}


def _reduced(kind: ReduceKind, x: Value, over: tuple[Axis, ...], count: int) -> Value:
    sums: dict[ReduceKind, Callable[[], Value]] = {
        ReduceKind.SUM: lambda: reduce.sum(x, axis=over),
        ReduceKind.MEAN: lambda: _mean(reduce.sum(x, axis=over), count),
        ReduceKind.MAX: lambda: _extreme(reduce.max, x, over),
        ReduceKind.MIN: lambda: _extreme(reduce.min, x, over),
        ReduceKind.PROD: lambda: reduce.prod(x, axis=over),
        ReduceKind.L1: lambda: reduce.sum(m.abs(x), axis=over),
        ReduceKind.L2: lambda: _root(reduce.sum(x * x, axis=over)),
        ReduceKind.SUM_SQUARE: lambda: reduce.sum(x * x, axis=over),
        ReduceKind.LOG_SUM: lambda: m.log(reduce.sum(x, axis=over)),
    }
    return sums[kind]()


def _extreme(of: Callable[..., Value], x: Value, over: tuple[Axis, ...]) -> Value:
    """Of bools: as the numbers 0 and 1."""
    if not x.dtype.is_bool:
        return of(x, axis=over)
    return of(cast(x, "uint8"), axis=over) != 0


def _mean(total: Value, count: int) -> Value:
    if total.dtype.is_float:
        return total * (1.0 / max(count, 1))
    return total // max(count, 1)


def _root(total: Value) -> Value:
    if total.dtype.is_float:
        return m.sqrt(total)
    return m.sqrt(cast(total, "float64"))


@dataclass(frozen=True, slots=True)
class Arg(Op):
    """The index of the greatest or least element along an axis; of equal ones the first or last."""

    axis: int
    greatest: bool
    keep: bool
    last: bool = False

    @property
    def name(self) -> str:
        return "argmax" if self.greatest else "argmin"

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        shape, axis = static(x), self.axis
        extent = shape[axis]
        r = reduce_axis(extent, name="r")
        middle = (1,) if self.keep else ()
        skip = axis + len(middle)
        find = reduce.argmax if self.greatest else reduce.argmin

        def element(*at: Value) -> Value:
            place = extent - 1 - r if self.last else r
            found = find(x[(*at[:axis], place, *at[skip:])], axis=r)
            return extent - 1 - found if self.last else found

        return (compute((*shape[:axis], *middle, *shape[axis + 1 :]), element, name=name),)


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """e**x over its sum along an axis, or the logarithm of that."""

    axis: int
    log: bool = False

    @property
    def name(self) -> str:
        return "log_softmax" if self.log else "softmax"

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        if self.log:
            return (distributions.log_softmax(x, self.axis, name=name),)
        return (distributions.softmax(x, self.axis, name=name, round_sum=True),)


@dataclass(frozen=True, slots=True)
class Normalise(Op):
    """(x - mean) / sqrt(variance + epsilon) over the axes from `axis` on.

    Not `centred`: x / sqrt(mean of squares + epsilon).
    """

    axis: int
    epsilon: float
    centred: bool = True

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        shape, lead = static(x), self.axis
        wide = "float32" if x.dtype.bits < 32 else x.dtype.name
        share = 1.0 / max(1, prod(shape[lead:]))
        one, two = (
            tuple(reduce_axis(n, name=f"{c}{d}") for d, n in enumerate(shape[lead:]))
            for c in ("r", "q")
        )
        mean: Tensor | None = None
        if self.centred:
            mean = compute(
                shape[:lead],
                lambda *at: reduce.sum(cast(x[(*at, *one)], wide), axis=one) * share,
                name=f"{name}.mean",
            )

        def centred(at: Sequence[Value]) -> Value:
            value = cast(x[tuple(at)], wide)
            return value if mean is None else value - mean[tuple(at[:lead])]

        scale = compute(
            shape[:lead],
            lambda *at: (
                1.0
                / m.sqrt(
                    reduce.sum(centred((*at, *two)) * centred((*at, *two)), axis=two) * share
                    + self.epsilon
                )
            ),
            name=f"{name}.scale",
        )
        return (
            compute(
                shape, lambda *at: cast(centred(at) * scale[tuple(at[:lead])], x.dtype), name=name
            ),
        )


@dataclass(frozen=True, slots=True)
class LocalResponse(Op):
    """x / (bias + alpha / size * sum of squares of `size` neighbouring channels) ** beta."""

    size: int
    alpha: float
    beta: float
    bias: float

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        return (
            normalization.local_response_norm(
                x, self.size, alpha=self.alpha, beta=self.beta, bias=self.bias, name=name
            ),
        )


@dataclass(frozen=True, slots=True)
class Cumulate(Op):
    """Running sums or products along an axis."""

    axis: int
    exclusive: bool
    backward: bool
    product: bool = False

    @property
    def name(self) -> str:
        return "cumprod" if self.product else "cumsum"

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        shape, axis = static(x), self.axis
        extent = shape[axis]
        t = scan_axis(extent, name="t")
        rest = (*shape[:axis], *shape[axis + 1 :])

        def at_step(step: Value, at: Sequence[Value]) -> tuple[Value, ...]:
            place = extent - 1 - step if self.backward else step
            return (*at[:axis], place, *at[axis:])

        def grow(now: Value, value: Value) -> Value:
            return now * value if self.product else now + value

        def step(t: Value, prev: dict[str, Any]) -> dict[str, object]:
            if not rest:
                return {"h": grow(prev["h"], x[at_step(t, ())])}
            return {"h": lambda *at: grow(prev["h"][at], x[at_step(t, at)])}

        start = cast(1 if self.product else 0, x.dtype)
        sums = scan(
            t,
            states={"h": (rest, start)},
            step=step,
            name=f"{name}.scan",
        )["h"]

        def element(*at: Value) -> Value:
            here = extent - 1 - at[axis] if self.backward else at[axis]
            others = (*at[:axis], *at[axis + 1 :])
            if not self.exclusive:
                return sums[(here, *others)]
            before = select(here < 1, 0, here - 1)
            return select(here > 0, sums[(before, *others)], start)

        return (compute(shape, element, name=name),)
