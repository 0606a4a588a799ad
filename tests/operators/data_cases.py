"""Operators that move, choose, scatter and sort elements."""

import numpy as np

from tdsl.graph.ops import movement as mv, scatter as sc, sorting as so
from tdsl.graph.ops.linear import Einsum
from tdsl.graph.ops.reductions import Arg, Cumulate
from tests.operators.cases import NUMBERS, case


@case
def transpose(d):
    a, x = d.tensor(d.shape(1, 5, 17), d.pick(*NUMBERS, "bool"))
    order = [int(n) for n in d.rng.permutation(x.ndim)]
    return d.done(d.g.transpose(a, order), x.transpose(order), about=str(order))


@case
def concat(d):
    shape, axis = list(d.shape(1, 4, 17)), None
    axis = d.axis(len(shape))
    parts = []
    dtype = d.pick(*NUMBERS, "bool")
    for _ in range(d.integer(1, 4)):
        own = [d.extent(17) if n == axis else e for n, e in enumerate(shape)]
        parts.append(d.tensor(tuple(own), dtype))
    made = d.g.concat([v for v, _ in parts], axis)
    made = d.g.copy(made)
    return d.done(made, np.concatenate([x for _, x in parts], axis))


@case
def slices(d):
    a, x = d.tensor(d.shape(1, 4, 17), d.pick(*NUMBERS))
    cuts = []
    for n in x.shape:
        step = d.pick(1, 1, 2, 3, -1, -2)
        ends = sorted((d.integer(0, n), d.integer(0, n)))
        first, last = ends if step > 0 else (ends[1] - 1, ends[0] - 1)
        cuts.append(range(first, last, step))
    op = mv.Slice(
        tuple(c.start if len(c) else 0 for c in cuts), tuple(map(len, cuts)),
        tuple(c.step for c in cuts),
    )  # fmt: skip
    want = x[np.ix_(*(np.asarray(list(c), int) for c in cuts))]
    return d.done(d.g.one(op, a), want, about=str(cuts))


@case
def pad(d):
    mode = d.pick("constant", "edge", "reflect", "wrap")
    a, x = d.tensor(d.shape(1, 4, 11, least=0 if mode == "constant" else 2), d.pick(*NUMBERS))
    before, after = (
        tuple(d.integer(0, 3 if mode == "constant" else min(3, n - 1)) for n in x.shape)
        for _ in range(2)
    )
    more = {"constant_values": 2} if mode == "constant" else {}
    want = np.pad(x, list(zip(before, after, strict=True)), mode, **more)
    return d.done(d.g.one(mv.Pad(before, after, mode, 2.0), a), want, about=mode)


@case
def tile_and_expand(d):
    a, x = d.tensor(d.shape(1, 4, 7), d.pick(*NUMBERS))
    if d.flag():
        times = tuple(d.integer(0, 3) for _ in x.shape)
        return d.done(d.g.one(mv.Tile(times), a), np.tile(x, times), about=str(times))
    shape = (*d.shape(0, 2, 4), *(d.extent(5) if n == 1 else n for n in x.shape))
    return d.done(d.g.one(mv.Expand(shape), a), np.broadcast_to(x, shape))


@case
def gather(d):
    a, x = d.tensor(d.shape(1, 4, 13, 1), d.pick(*NUMBERS))
    axis = d.axis(x.ndim)
    extent = x.shape[axis]
    i, at = d.tensor(d.shape(0, 3, 7), d.pick("int32", "int64"), -extent, extent)
    return d.done(d.g.one(mv.Gather(axis), a, i), np.take(x, at, axis))


@case
def gather_elements(d):
    a, x = d.tensor(d.shape(1, 4, 13, 1), d.pick(*NUMBERS))
    axis = d.axis(x.ndim)
    extent = x.shape[axis]
    shape = tuple(d.integer(0, 9) if n == axis else e for n, e in enumerate(x.shape))
    i, at = d.tensor(shape, "int64", -extent, extent)
    want = np.take_along_axis(x, np.where(at < 0, at + extent, at), axis)
    return d.done(d.g.one(mv.GatherElements(axis), a, i), want)


@case
def gather_nd(d):
    a, x = d.tensor(d.shape(1, 4, 7, 1))
    batch = d.integer(0, x.ndim - 1)
    depth = d.integer(1, x.ndim - batch)
    lead = (*x.shape[:batch], *d.shape(0, 2, 5))
    limits = x.shape[batch : batch + depth]
    at = np.stack([d.rng.integers(-n, n, lead) for n in limits], -1)
    want = np.empty((*lead, *x.shape[batch + depth :]), x.dtype)
    for place in np.ndindex(*lead):
        want[place] = x[(*place[:batch], *at[place])]
    return d.done(d.g.one(mv.GatherND(batch), a, d.given(at)), want)


@case
def scatter_elements(d):
    a, x = d.tensor(d.shape(1, 3, 11, 1), d.pick("float32", "float64", "int32", "int64"))
    axis = d.axis(x.ndim)
    shape = tuple(d.integer(0, n) for n in x.shape)
    extent = x.shape[axis]
    i, at = d.tensor(shape, d.pick("int32", "int64"), -extent, extent)
    b, news = d.tensor(shape, x.dtype.name)
    how = d.pick(*sc.Meeting)
    want = x.copy()
    meet = {"set": lambda _, v: v, "add": np.add, "mul": np.multiply, "min": min, "max": max}
    for place in np.ndindex(*shape):
        goal = (*place[:axis], int(at[place]), *place[axis + 1 :])
        want[goal] = meet[how.value](want[goal], news[place])
    op = sc.ScatterElements(axis, how)
    return d.done(d.g.one(op, a, i, b), want, about=f"{axis} {how}")


@case
def scatter_nd(d):
    a, x = d.tensor(d.shape(1, 4, 7, 1), d.pick("float32", "int64"))
    depth = d.integer(1, x.ndim)
    lead = d.shape(0, 2, 5)
    at = np.stack([d.rng.integers(-n, n, lead) for n in x.shape[:depth]], -1)
    b, news = d.tensor((*lead, *x.shape[depth:]), x.dtype.name)
    how = d.pick(*sc.Meeting)
    want = x.copy()
    meet = {
        "set": lambda _, v: v, "add": np.add, "mul": np.multiply, "min": np.minimum,
        "max": np.maximum,
    }  # fmt: skip
    for place in np.ndindex(*lead):
        goal = tuple(at[place])
        want[goal] = meet[how.value](want[goal], news[place])
    return d.done(d.g.one(sc.ScatterND(how), a, d.given(at), b), want, about=str(how))


@case
def top_k(d):
    shape = list(d.shape(1, 3, 17, 1))
    axis = d.axis(len(shape))
    a, x = d.tensor(tuple(shape), d.pick("float32", "float64", "int32", "int8"), -5, 5)
    count, greatest = d.integer(0, shape[axis]), d.flag()
    order = np.argsort(-x.astype("d") if greatest else x, axis, kind="stable")
    places = np.take(order, np.arange(count), axis)
    made = d.g.op(so.TopK(axis, count, greatest), a)
    return d.done(list(made), [np.take_along_axis(x, places, axis), places])


@case
def one_hot(d):
    depth = d.integer(1, 9)
    i, at = d.tensor(d.shape(0, 3, 9), d.pick("int32", "int64"), -depth - 2, depth + 2)
    axis = d.integer(0, at.ndim)
    v, values = d.tensor((2,), d.pick("float32", "int64"))
    index = np.where(at < 0, at + depth, at)
    hot = np.moveaxis(index[..., None] == np.arange(depth), -1, axis)
    return d.done(d.g.one(so.OneHot(axis, depth), i, v), np.where(hot, values[1], values[0]))


@case
def reverse_sequence(d):
    a, x = d.tensor(d.shape(2, 4, 9, 1))
    time, batch = (int(n) for n in d.rng.permutation(x.ndim)[:2])
    i, lengths = d.tensor((x.shape[batch],), "int64", 0, x.shape[time] + 1)
    want = x.copy()
    for n, length in enumerate(lengths):
        row = np.moveaxis(x, (batch, time), (0, 1))[n]
        np.moveaxis(want, (batch, time), (0, 1))[n, :length] = row[:length][::-1]
    return d.done(d.g.one(so.ReverseSequence(time, batch), a, i), want)


@case
def cumulative(d):
    a, x = d.tensor(d.shape(1, 4, 17, 1), d.pick("float32", "float64", "int32", "int64"), 1, 2)
    axis, exclusive, backward, product = d.axis(x.ndim), d.flag(), d.flag(), d.flag(0.3)
    wide = np.flip(x, axis) if backward else x
    want = (np.cumprod if product else np.cumsum)(wide, axis, dtype=np.float64)
    if exclusive:
        start = np.full_like(np.take(want, [0], axis), 1 if product else 0)
        want = np.concatenate([start, np.delete(want, -1, axis)], axis)
    want = np.flip(want, axis) if backward else want
    op = Cumulate(axis, exclusive, backward, product)
    return d.done(d.g.one(op, a), want, about=str(op))


@case
def places_of_extremes(d):
    a, x = d.tensor(d.shape(1, 4, 17, 1), d.pick("float32", "int32", "int64"), -3, 3)
    axis, greatest, keep, last = d.axis(x.ndim), d.flag(), d.flag(), d.flag()
    source = np.flip(x, axis) if last else x
    found = (np.argmax if greatest else np.argmin)(source, axis, keepdims=keep)
    want = x.shape[axis] - 1 - found if last else found
    return d.done(d.g.one(Arg(axis, greatest, keep, last), a), want)


@case
def triangles(d):
    a, x = d.tensor(d.shape(2, 4, 11), d.pick(*NUMBERS))
    diagonal, upper = d.integer(-4, 4), d.flag()
    want = (np.triu if upper else np.tril)(x, diagonal)
    return d.done(d.g.one(mv.Trilu(diagonal, upper), a), want)


@case
def einsum(d):
    letters = "ijkl"[: d.integer(1, 4)]
    extents = {c: d.extent(9, 1) for c in letters}
    terms = ["".join(d.pick(*letters) for _ in range(d.integer(1, 3))) for _ in range(2)]
    batch = d.shape(0, 1, 5, 1)
    dots = "..." if batch else ""
    parts = [d.tensor((*batch, *(extents[c] for c in t)), d.pick("float64")) for t in terms]
    used = sorted(set("".join(terms)))
    kept = "".join(c for c in used if d.flag())
    text = ",".join(dots + t for t in terms) + "->" + dots + kept
    if d.flag(0.2):
        text = text.partition("->")[0]
    want = np.einsum(text, *(x for _, x in parts))
    return d.done(d.g.one(Einsum(text), *(v for v, _ in parts)), want, about=text)


@case
def determinants(d):
    n = d.integer(1, 5)
    a, x = d.tensor((*d.shape(0, 2, 5), n, n), d.pick("float32", "float64"))
    return d.done(d.g.one(so.Determinant(), a), np.linalg.det(x.astype("d")), 2e-4)


@case
def cache_updates(d):
    batch, steps, width = d.integer(1, 3), d.integer(2, 9), d.extent(7, 1)
    fresh, circular = d.integer(1, steps), d.flag()
    a, x = d.tensor((batch, steps, width))
    b, news = d.tensor((batch, fresh, width))
    most = steps if circular else steps - fresh + 1
    i, at = d.tensor((batch,), "int64", 0, most)
    want = x.copy()
    for n in range(batch):
        for t in range(fresh):
            want[n, (at[n] + t) % steps] = news[n, t]
    return d.done(d.g.one(sc.CacheUpdate(1, circular), a, b, i), want)
