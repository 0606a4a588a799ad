"""Random cases of reductions and data movement."""

import numpy as np

import tdsl as td
from tdsl import schedules as ops
from tests.schedules.cases import CASES, case

__all__ = ["CASES"]


REDUCTIONS = {
    "sum": (td.sum, np.sum), "max": (td.max, np.max), "min": (td.min, np.min),
    "prod": (td.prod, np.prod),
}  # fmt: skip


@case
def reduction(d):
    name = d.pick(*REDUCTIONS)
    a, x = d.tensor(d.shape(1, 4, 24), low=0.8, high=1.2)
    axes = tuple(n for n in range(x.ndim) if d.flag()) or None
    keep = d.flag()
    ours, numpys = REDUCTIONS[name]
    want = numpys(x.astype("d"), axis=axes, keepdims=keep)
    return d.done(ops.reduce(ours, a, axes, keep=keep), want, 1e-4, about=f"{name} {axes}")


@case
def named_reduction(d):
    a, x = d.tensor(d.shape(1, 4, 24), low=0.2, high=1.5)
    axes = tuple(n for n in range(x.ndim) if d.flag()) or None
    keep = d.flag()
    w = {"axis": axes, "keepdims": keep}
    x = x.astype("d")
    wants = {
        "mean": lambda: x.mean(**w), "sum_square": lambda: (x * x).sum(**w),
        "norm1": lambda: np.abs(x).sum(**w), "norm2": lambda: np.sqrt((x * x).sum(**w)),
        "log_sum": lambda: np.log(x.sum(**w)), "log_sum_exp": lambda: np.log(np.exp(x).sum(**w)),
    }  # fmt: skip
    name = d.pick(*wants)
    out = getattr(ops, name)(a, axes, keep=keep)
    return d.done(out, wants[name](), 1e-4, about=f"{name} {axes}")


@case
def positions(d):
    a, x = d.tensor(d.shape(1, 3, 33), "int32", -3, 3)
    axis, last, name = d.integer(0, x.ndim - 1), d.flag(), d.pick("argmax", "argmin")
    source = np.flip(x, axis) if last else x
    want = getattr(np, name)(source, axis)
    want = x.shape[axis] - 1 - want if last else want
    return d.done(getattr(ops, name)(a, axis, last=last), want, about=name)


@case
def cumulative_sum(d):
    a, x = d.tensor(d.shape(1, 3, 33))
    axis, exclusive, reverse = d.integer(0, x.ndim - 1), d.flag(), d.flag()
    y = np.flip(x, axis) if reverse else x
    want = np.cumsum(y.astype("d"), axis)
    want = want - y if exclusive else want
    want = np.flip(want, axis) if reverse else want
    return d.done(ops.cumulative_sum(a, axis, exclusive=exclusive, reverse=reverse), want, 1e-4)


@case
def transpose(d):
    a, x = d.tensor(d.shape(1, 4))
    order = tuple(int(n) for n in d.rng.permutation(x.ndim))
    return d.done(ops.transpose(a, order), x.transpose(order))


@case
def reshape(d):
    a, x = d.tensor(d.shape(1, 4, 17))
    factors = [n for s in x.shape for n in (_factors(s))]
    shape, here = [], 1
    for n in factors:
        here *= n
        if d.flag():
            shape.append(here)
            here = 1
    shape.append(here)
    if d.flag():
        shape[d.integer(0, len(shape) - 1)] = -1
    return d.done(ops.reshape(a, shape), x.reshape(shape), about=f"{x.shape} {shape}")


def _factors(n):
    for p in range(2, n + 1):
        if n % p == 0:
            return [p, *_factors(n // p)]
    return []


@case
def small_moves(d):
    a, x = d.tensor((d.dim(8), 1, d.dim(33), 1))
    wants = {
        "flatten": lambda: (ops.flatten(a, 2), x.reshape(x.shape[0], -1)),
        "squeeze": lambda: (ops.squeeze(a, (1, 3)), x.squeeze((1, 3))),
        "unsqueeze": lambda: (ops.unsqueeze(a, (0, 3)), np.expand_dims(x, (0, 3))),
        "expand": lambda: (ops.expand(a, (5, 1, 7)), x + np.zeros((5, 1, 7), "f")),
        "tile": lambda: (ops.tile(a, (2, 3, 1, 4)), np.tile(x, (2, 3, 1, 4))),
        "flip": lambda: (ops.flip(a, (0, 2)), np.flip(x, (0, 2))),
    }  # fmt: skip
    name = d.pick(*wants)
    out, want = wants[name]()
    return d.done(out, want, about=name)


@case
def concat(d):
    shape = list(d.shape(1, 3, 24))
    axis = d.integer(0, len(shape) - 1)
    pairs = []
    for _ in range(d.integer(1, 4)):
        shape[axis] = d.dim(24)
        pairs.append(d.tensor(tuple(shape)))
    out = ops.concat([p[0] for p in pairs], axis)
    return d.done(out, np.concatenate([p[1] for p in pairs], axis))


@case
def split(d):
    a, x = d.tensor((d.dim(17), 4 * d.integer(1, 6), d.dim(17)))
    parts = ops.split(a, d.pick(4, [x.shape[1] - 3, 3]), 1)
    ends = np.cumsum([p.shape[1] for p in parts])[:-1]
    return d.done(list(parts), np.split(x, ends, 1))


@case
def slices(d):
    a, x = d.tensor(d.shape(1, 3, 33))
    ranges, cut = {}, []
    for axis in range(x.ndim):
        n = x.shape[axis]
        start, stop = d.integer(-n, n), d.pick(None, d.integer(-n, n))
        step = d.pick(1, 1, 2, -1, -2)
        ranges[axis] = (start, stop, step)
        cut.append(slice(start, stop, step))
    want = x[tuple(cut)]
    return d.done(ops.slice_axes(a, ranges), want, about=str(ranges))


@case
def pad(d):
    a, x = d.tensor(d.shape(1, 4, 17))
    mode = d.pick("constant", "edge", "reflect", "wrap")
    limits = [n - 1 if mode in ("reflect", "wrap") else 3 for n in x.shape]
    before = [d.integer(0, min(3, n)) for n in limits]
    after = [d.integer(0, min(3, n)) for n in limits]
    want = np.pad(x, list(zip(before, after, strict=True)), mode=mode)
    return d.done(ops.pad(a, before, after, mode), want, about=mode)


@case
def gather(d):
    a, x = d.tensor(d.shape(1, 3, 24))
    axis = d.integer(0, x.ndim - 1)
    n = x.shape[axis]
    i, index = d.tensor(d.shape(0, 2, 17), d.pick("int64", "int32"), -n, n)
    return d.done(ops.gather(a, i, axis), np.take(x, index, axis))


@case
def gather_elements(d):
    a, x = d.tensor(d.shape(1, 3, 24))
    axis = d.integer(0, x.ndim - 1)
    n = x.shape[axis]
    shape = list(x.shape)
    shape[axis] = d.dim(24)
    i, index = d.tensor(tuple(shape), "int64", -n, n)
    return d.done(ops.gather_elements(a, i, axis), np.take_along_axis(x, index, axis))


@case
def gather_nd(d):
    a, x = d.tensor((d.dim(8), d.dim(8), d.dim(33)))
    depth = d.integer(1, 2)
    i, index = d.tensor((d.dim(17), depth), "int64", 0, min(x.shape[:depth]))
    return d.done(ops.gather_nd(a, i), x[tuple(index.T)])


@case
def one_hot(d):
    depth = d.integer(1, 20)
    i, index = d.tensor(d.shape(0, 2, 17), "int64", -depth, depth)
    want = np.eye(depth, dtype="float32")[index]
    return d.done(ops.one_hot(i, depth), want)


@case
def depth_and_space(d):
    b = d.integer(1, 3)
    n, c, h, w = d.integer(1, 2), d.dim(8), d.dim(8), d.dim(8)
    if d.flag():
        a, x = d.tensor((n, c * b * b, h, w))
        want = x.reshape(n, b, b, c, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c, h * b, w * b)
        return d.done(ops.depth_to_space(a, b), want)
    a, x = d.tensor((n, c, h * b, w * b))
    want = x.reshape(n, c, h, b, w, b).transpose(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h, w)
    return d.done(ops.space_to_depth(a, b), want)
