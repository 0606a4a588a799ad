"""Softmax and its logarithm along an axis, without overflow."""

from __future__ import annotations

import tdsl as td
from tdsl.schedules.dims import axis_of, declare, unique
from tdsl.schedules.reduction import Reduced


def softmax(
    x: td.Tensor, axis: int = -1, name: str | None = None, *, round_sum: bool = False
) -> td.Tensor:
    """e^x divided by its sum along an axis.

    Sums of narrow floats are wider than they are; with `round_sum` they are rounded to the type of
    `x` before the division, as definitions that compute step by step have it.

    >>> import tdsl as td
    >>> softmax(td.placeholder((4, 5), name="X"), name="Y")
    <tensor Y: float32[4, 5]>
    """
    label = unique("softmax", name)
    top, r = _maxima(x, axis, label)
    exps = declare(x.shape, lambda i: td.exp(x[i] - top[r.result(i)]), f"{label}.exp")
    total = _sums(exps, axis, label)
    if round_sum and total.dtype is not x.dtype:
        narrow = declare(total.shape, lambda i: td.cast(total[i], x.dtype), f"{label}.total")
        return declare(x.shape, lambda i: exps[i] / narrow[r.result(i)], label)
    scale = declare(total.shape, lambda i: 1.0 / total[i], f"{label}.scale")
    return declare(
        x.shape, lambda i: td.cast(td.cast(exps[i], scale.dtype) * scale[r.result(i)], x.dtype),
        label,
    )  # fmt: skip


def log_softmax(x: td.Tensor, axis: int = -1, name: str | None = None) -> td.Tensor:
    """x minus the logarithm of the sum of e^x along an axis."""
    label = unique("log_softmax", name)
    top, r = _maxima(x, axis, label)
    over = Reduced(x, axis, keep=False)
    k = tuple(over.axes.values())
    sums = declare(
        over.shape, lambda i: td.sum(td.exp(over.at(i) - top[i]), axis=k), f"{label}.sum"
    )
    logs = declare(over.shape, lambda i: td.cast(td.log(sums[i]), x.dtype) + top[i], f"{label}.log")
    return declare(x.shape, lambda i: x[i] - logs[r.result(i)], label)


def _maxima(x: td.Tensor, axis: int, label: str) -> tuple[td.Tensor, Reduced]:
    r = Reduced(x, axis_of(axis, x.ndim), keep=False)
    over = tuple(r.axes.values())
    return declare(r.shape, lambda i: td.max(r.at(i), axis=over), f"{label}.max"), r


def _sums(exps: td.Tensor, axis: int, label: str) -> td.Tensor:
    r = Reduced(exps, axis, keep=False)
    over = tuple(r.axes.values())
    return declare(r.shape, lambda i: td.sum(r.at(i), axis=over), f"{label}.sum")
