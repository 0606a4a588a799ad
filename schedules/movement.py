"""Operators that move elements: transpose, reshape, concat, split, slice, gather, pad, ..."""

from __future__ import annotations

from collections.abc import Sequence

import tdsl as td
from tdsl.errors import DeclarationError
from tdsl.lang.sugar import PadMode
from tdsl.schedules.dims import (
    Dim,
    axes_of,
    axis_of,
    broadcast,
    broadcast_at,
    declare,
    known,
    same,
    text,
    unique,
)


def transpose(
    x: td.Tensor, order: Sequence[int] | None = None, name: str | None = None
) -> td.Tensor:
    """x with its axes in another order; None reverses them.

    >>> import tdsl as td
    >>> transpose(td.placeholder((2, 3, 4), name="X"), (0, 2, 1), name="Y")
    <tensor Y: float32[2, 4, 3]>

    Raises:
        DeclarationError: the order is no permutation of the axes.
    """
    label = unique("transpose", name)
    axes = tuple(reversed(range(x.ndim))) if order is None else tuple(order)
    if sorted(axes) != list(range(x.ndim)):
        raise DeclarationError(f"{label}: {axes} is no order of {x.ndim} axes")
    place = [axes.index(a) for a in range(x.ndim)]
    return declare([x.shape[a] for a in axes], lambda i: x[tuple(i[p] for p in place)], label)


def reshape(x: td.Tensor, shape: Sequence[Dim], name: str | None = None) -> td.Tensor:
    """x with another shape; one extent may be -1. Axes that stay keep their plain indices.

    >>> import tdsl as td
    >>> N = td.sizes("N")
    >>> reshape(td.placeholder((N, 4, 6), name="X"), (N, -1), name="Y").shape[1]
    24

    Raises:
        DeclarationError: another number of elements, or a symbolic extent inside what changes.
    """
    label = unique("reshape", name)
    old, new = list(x.shape), list(shape)
    lead = 0
    while lead < min(len(old), len(new)) and _stays(old[lead], new[lead]):
        lead += 1
    behind = 0
    while behind < min(len(old), len(new)) - lead and _stays(old[-1 - behind], new[-1 - behind]):
        behind += 1
    inner_old = [known(d, "an extent that reshape merges") for d in old[lead : len(old) - behind]]
    inner_new = _complete(inner_old, new[lead : len(new) - behind], label)
    tail = old[len(old) - behind :]

    def element(i: tuple[td.Value, ...]) -> td.Value:
        middle = i[lead : len(i) - behind]
        flat: td.Value | int = 0
        for index, extent in zip(middle, inner_new, strict=True):
            flat = index if isinstance(flat, int) else flat * extent + index
        at: list[td.Value | int] = []
        rest = 1
        for position, extent in reversed(list(enumerate(inner_old))):
            part = flat if rest == 1 else flat // rest
            at.insert(0, part if position == 0 else part % extent)
            rest *= extent
        return x[(*i[:lead], *at, *i[len(i) - behind :])]

    return declare([*old[:lead], *inner_new, *tail], element, label)


def _stays(a: Dim, b: Dim) -> bool:
    return not (isinstance(b, int) and b == -1) and same(a, b)


def _complete(old: Sequence[int], new: Sequence[Dim], label: str) -> list[int]:
    total = 1
    for extent in old:
        total *= extent
    dims = [known(d, "an extent that reshape makes") for d in new]
    rest = 1
    for d in dims:
        rest *= d if d != -1 else 1
    if dims.count(-1) == 1:
        if rest == 0 or total % rest:
            raise DeclarationError(f"{label}: {total} elements do not divide into {rest}")
        dims[dims.index(-1)] = total // rest
        rest = total
    if rest != total or -1 in dims:
        raise DeclarationError(
            f"{label}: {tuple(old)} has {total} elements, {tuple(dims)} has {rest}"
        )
    return dims


def flatten(x: td.Tensor, axis: int = 1, name: str | None = None) -> td.Tensor:
    """A matrix: the axes before `axis` as one, those from it on as the other."""
    label = unique("flatten", name)
    at = axis if axis >= 0 else axis + x.ndim
    front = _product(x.shape[:at])
    return reshape(x, (front, _product(x.shape[at:])), label)


def _product(dims: Sequence[Dim]) -> Dim:
    if len(dims) == 1:
        return dims[0]
    total = 1
    for dim in dims:
        total *= known(dim, "an extent that is merged")
    return total


def squeeze(
    x: td.Tensor, axes: int | Sequence[int] | None = None, name: str | None = None
) -> td.Tensor:
    """x without axes of extent 1; None: all of them.

    Raises:
        DeclarationError: an axis of another extent.
    """
    label = unique("squeeze", name)
    ones = [a for a, d in enumerate(x.shape) if isinstance(d, int) and d == 1]
    gone = ones if axes is None else list(axes_of(axes, x.ndim))
    for a in gone:
        if a not in ones:
            raise DeclarationError(f"{label}: axis {a} has the extent {text(x.shape[a])}, not 1")
    kept = [a for a in range(x.ndim) if a not in gone]

    def element(i: tuple[td.Value, ...]) -> td.Value:
        at = dict(zip(kept, i, strict=True))
        return x[tuple(at.get(a, 0) for a in range(x.ndim))]

    return declare([x.shape[a] for a in kept], element, label)


def unsqueeze(x: td.Tensor, axes: int | Sequence[int], name: str | None = None) -> td.Tensor:
    """x with axes of extent 1 put in, at their positions in the result."""
    label = unique("unsqueeze", name)
    count = 1 if isinstance(axes, int) else len(axes)
    fresh = axes_of(axes, x.ndim + count)
    rest = iter(x.shape)
    shape = [1 if a in fresh else next(rest) for a in range(x.ndim + count)]
    return declare(shape, lambda i: x[tuple(v for a, v in enumerate(i) if a not in fresh)], label)


def expand(x: td.Tensor, shape: Sequence[Dim], name: str | None = None) -> td.Tensor:
    """x broadcast with a shape, by numpy's rule."""
    label = unique("expand", name)
    wide = broadcast([x.shape, tuple(shape)], label)
    return declare(wide, lambda i: broadcast_at(x, i), label)


def tile(x: td.Tensor, repeats: Sequence[int], name: str | None = None) -> td.Tensor:
    """x repeated along each axis.

    Raises:
        DeclarationError: another number of repeats than of axes, or a symbolic repeated axis.
    """
    label = unique("tile", name)
    if len(repeats) != x.ndim:
        raise DeclarationError(f"{label}: {len(repeats)} repeats for {x.ndim} axes")
    shape = [d * r for d, r in zip(x.shape, repeats, strict=True)]

    def element(i: tuple[td.Value, ...]) -> td.Value:
        spans = zip(i, x.shape, repeats, strict=True)
        return x[tuple(v if r == 1 else v % known(d, "a repeated extent") for v, d, r in spans)]

    return declare(shape, element, label)


def concat(inputs: Sequence[td.Tensor], axis: int = 0, name: str | None = None) -> td.Tensor:
    """Tensors one after the other along an axis.

    >>> import tdsl as td
    >>> A, B = td.placeholder((2, 3), name="A"), td.placeholder((2, 4), name="B")
    >>> concat([A, B], 1, name="C")
    <tensor C: float32[2, 7]>

    Raises:
        DeclarationError: no tensors, or shapes that differ beside the axis.
    """
    label = unique("concat", name)
    if not inputs:
        raise DeclarationError(f"{label} of no tensors")
    first = inputs[0]
    at = axis_of(axis, first.ndim)
    for x in inputs[1:]:
        fits = x.ndim == first.ndim and all(
            a == at or same(x.shape[a], first.shape[a]) for a in range(x.ndim)
        )
        if not fits:
            raise DeclarationError(f"{label}: {first!r} and {x!r} differ beside axis {at}")
    ends: list[Dim] = []
    for x in inputs:
        ends.append(x.shape[at] if not ends else ends[-1] + x.shape[at])

    def element(i: tuple[td.Value, ...]) -> td.Value:
        value: td.Value | None = None
        for number in reversed(range(len(inputs))):
            start: Dim = ends[number - 1] if number else 0
            index = i[at] - start if number else i[at]
            own = inputs[number][(*i[:at], index, *i[at + 1 :])]
            value = own if value is None else td.select(i[at] < ends[number], own, value)
        assert value is not None
        return value

    return declare([*first.shape[:at], ends[-1], *first.shape[at + 1 :]], element, label)


def split(
    x: td.Tensor, sizes: int | Sequence[int], axis: int = 0, name: str | None = None
) -> tuple[td.Tensor, ...]:
    """Pieces of x along an axis: so many of equal size (the last may be smaller), or of sizes.

    Raises:
        DeclarationError: sizes that do not add up.
    """
    label = unique("split", name)
    at = axis_of(axis, x.ndim)
    extent = known(x.shape[at], "the extent that is split")
    if isinstance(sizes, int):
        each = -(-extent // sizes)
        lengths = [max(0, min(each, extent - n * each)) for n in range(sizes)]
    else:
        lengths = list(sizes)
    if sum(lengths) != extent:
        raise DeclarationError(f"{label}: {lengths} do not add up to {extent}")
    starts = [sum(lengths[:n]) for n in range(len(lengths))]
    return tuple(
        slice_axes(x, {at: (start, start + length, 1)}, f"{label}.{n}")
        for n, (start, length) in enumerate(zip(starts, lengths, strict=True))
    )


def slice_axes(
    x: td.Tensor, ranges: dict[int, tuple[int, int | None, int]], name: str | None = None
) -> td.Tensor:
    """Part of x: for some axes (start, stop, step), as in Python; stop None: the end.

    On a symbolic axis only a start >= 0 with the stop None and a step of 1 is possible.

    >>> import tdsl as td
    >>> slice_axes(td.placeholder((8, 9), name="X"), {1: (-1, None, -2)}, name="Y")
    <tensor Y: float32[8, 5]>

    Raises:
        DeclarationError: a range that only the run could resolve, or a step of 0.
    """
    label = unique("slice", name)
    found = {axis_of(a, x.ndim): r for a, r in ranges.items()}
    shape: list[Dim] = list(x.shape)
    starts: dict[int, tuple[int, int]] = {}
    for a, (start, stop, step) in found.items():
        extent = x.shape[a]
        if step == 0:
            raise DeclarationError(f"{label}: a step of 0 along axis {a}")
        if isinstance(extent, int):
            indices = range(*slice(start, stop, step).indices(extent))
            shape[a], starts[a] = len(indices), (indices.start, step)
        elif start >= 0 and stop is None and step == 1:
            shape[a], starts[a] = extent - start, (start, 1)
        else:
            raise DeclarationError(
                f"{label}: axis {a} is symbolic", hint="only start >= 0 to the end, step 1"
            )

    def element(i: tuple[td.Value, ...]) -> td.Value:
        return x[tuple(_shifted(v, *starts.get(a, (0, 1))) for a, v in enumerate(i))]

    return declare(shape, element, label)


def _shifted(index: td.Value, start: int, step: int) -> td.Value:
    scaled = index if step == 1 else index * step
    return scaled + start if start else scaled


def flip(
    x: td.Tensor, axes: int | Sequence[int] | None = None, name: str | None = None
) -> td.Tensor:
    """x back to front along axes."""
    turned = axes_of(axes, x.ndim)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        return x[tuple(x.shape[a] - 1 - v if a in turned else v for a, v in enumerate(i))]

    return declare(x.shape, element, unique("flip", name))


def pad(
    x: td.Tensor,
    before: Sequence[int],
    after: Sequence[int],
    mode: PadMode = "constant",
    value: float = 0,
    name: str | None = None,
) -> td.Tensor:
    """x with borders, as `td.pad`; negative borders cut off."""
    label = unique("pad", name)
    cut = {
        a: (max(0, -b), (d - max(0, -e)) if isinstance(d, int) else None, 1)
        for a, (b, e, d) in enumerate(zip(before, after, x.shape, strict=True))
        if b < 0 or e < 0
    }
    source = slice_axes(x, cut, f"{label}.cut") if cut else x
    low, high = [max(0, b) for b in before], [max(0, e) for e in after]
    return td.pad(source, low, high, mode=mode, value=value, name=label)


def gather(x: td.Tensor, indices: td.Tensor, axis: int = 0, name: str | None = None) -> td.Tensor:
    """numpy's take: x at data-dependent positions of an axis; negative ones count from the end.

    A call with an index outside the axis raises IndexError.

    >>> import tdsl as td
    >>> X, I = td.placeholder((9, 4), name="X"), td.placeholder((2, 3), "int64", name="I")
    >>> gather(X, I, name="Y")
    <tensor Y: float32[2, 3, 4]>
    """
    label = unique("gather", name)
    at = axis_of(axis, x.ndim)
    count = indices.ndim

    def element(i: tuple[td.Value, ...]) -> td.Value:
        position = _from_end(indices[i[at : at + count]], x.shape[at])
        return x[(*i[:at], position, *i[at + count :])]

    return declare([*x.shape[:at], *indices.shape, *x.shape[at + 1 :]], element, label)


def _from_end(index: td.Value, extent: Dim) -> td.Value:
    position = td.cast(index, "int64")
    if index.dtype.min == 0:
        return position
    return td.select(position < 0, position + extent, position)


def gather_elements(
    x: td.Tensor, indices: td.Tensor, axis: int = 0, name: str | None = None
) -> td.Tensor:
    """numpy's take_along_axis: every element names its own position along an axis."""
    at = axis_of(axis, x.ndim)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        return x[(*i[:at], _from_end(indices[i], x.shape[at]), *i[at + 1 :])]

    return declare(indices.shape, element, unique("gather_elements", name))


def gather_nd(
    x: td.Tensor, indices: td.Tensor, batch: int = 0, name: str | None = None
) -> td.Tensor:
    """Parts of x at positions that the last axis of `indices` spells out, after `batch` axes."""
    label = unique("gather_nd", name)
    depth = known(indices.shape[-1], "the last extent of indices")
    lead = indices.ndim - 1

    def element(i: tuple[td.Value, ...]) -> td.Value:
        own = [_from_end(indices[(*i[:lead], n)], x.shape[batch + n]) for n in range(depth)]
        return x[(*i[:batch], *own, *i[lead:])]

    return declare([*indices.shape[:-1], *x.shape[batch + depth :]], element, label)


def one_hot(
    indices: td.Tensor, depth: int, dtype: object = "float32", axis: int = -1, *,
    on: float = 1, off: float = 0, name: str | None = None,
) -> td.Tensor:  # fmt: skip
    """`on` where the position along a new axis is the index (from the end if negative)."""
    at = axis_of(axis, indices.ndim + 1)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        index = _from_end(indices[(*i[:at], *i[at + 1 :])], depth)
        return td.select(i[at] == index, td.cast(on, dtype), td.cast(off, dtype))

    shape = [*indices.shape[:at], depth, *indices.shape[at:]]
    return declare(shape, element, unique("one_hot", name))


def depth_to_space(
    x: td.Tensor, block: int, *, columns_first: bool = False, name: str | None = None
) -> td.Tensor:
    """[batch, channels block^2, h, w] to [batch, channels, h block, w block].

    `columns_first` takes the channel as the outer part of the split axis (ONNX's mode CRD).

    Raises:
        DeclarationError: the channels do not divide.
    """
    label = unique("depth_to_space", name)
    n, c, h, w = x.shape
    total = known(c, "the number of channels")
    if total % (block * block):
        raise DeclarationError(f"{label}: {total} channels do not divide by {block * block}")
    channels = total // (block * block)

    def element(i: tuple[td.Value, ...]) -> td.Value:
        cell = (i[2] % block) * block + i[3] % block
        depth = i[1] * (block * block) + cell if columns_first else cell * channels + i[1]
        return x[i[0], depth, i[2] // block, i[3] // block]

    return declare((n, channels, h * block, w * block), element, label)


def space_to_depth(x: td.Tensor, block: int, name: str | None = None) -> td.Tensor:
    """[batch, channels, h, w] to [batch, channels block^2, h / block, w / block].

    Raises:
        DeclarationError: the extents do not divide.
    """
    label = unique("space_to_depth", name)
    n, c, h, w = x.shape
    channels = known(c, "the number of channels")
    rows, columns = known(h, "the height"), known(w, "the width")
    if rows % block or columns % block:
        raise DeclarationError(f"{label}: {rows} x {columns} does not divide by {block}")

    def element(i: tuple[td.Value, ...]) -> td.Value:
        cell = i[1] // channels
        return x[i[0], i[1] % channels, i[2] * block + cell // block, i[3] * block + cell % block]

    return declare((n, channels * block * block, rows // block, columns // block), element, label)
