"""Inputs and numpy versions of the image pipelines: chains, steps in time, pyramids and grids.

A numpy version computes in the dtype that it is given: float64 for the reference, float32 when
numpy itself takes part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Sizes = dict[str, int]


def chain_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    """An image 16 pixels larger than the result."""
    return [rng.random((s["h"] + 16, s["w"] + 16), dtype=np.float32)]


def chain(arrays: list[Array], _: Sizes) -> Array:
    """Eight means over a cross, each losing a pixel on every side."""
    a = arrays[0]
    for _stage in range(8):
        a = a.dtype.type(0.2) * (
            a[1:-1, 1:-1] + a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:]
        )
    return a


def grid_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    """A grid of random heights."""
    return [rng.random((s["h"], s["w"]), dtype=np.float32)]


def jacobi_steps(arrays: list[Array], s: Sizes) -> Array:
    """Means over a cross, again and again; the border stays."""
    a = arrays[0].copy()
    for _ in range(s["steps"]):
        a[1:-1, 1:-1] = a.dtype.type(0.2) * (
            a[1:-1, 1:-1] + a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:]
        )
    return a


def bilateral_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    """Smooth shades with noise, most of them between 0 and 1."""
    y, x = np.mgrid[0 : s["h"], 0 : s["w"]].astype(np.float32)
    shades = 0.5 + 0.45 * np.sin(x / 97) * np.cos(y / 61)
    noise = rng.standard_normal((s["h"], s["w"]), dtype=np.float32)
    return [(shades + 0.03 * noise).astype(np.float32)]


def bilateral(arrays: list[Array], s: Sizes) -> Array:
    """Cells of 8 x 8 pixels and tenths of the value, blurred by 1 4 6 4 1 along each axis."""
    image = arrays[0]
    dtype, (h, w) = image.dtype, (s["h"], s["w"])
    rows, columns = (h - 1) // 8 + 2, (w - 1) // 8 + 2
    after = ((rows + 2) * 8 - 4 - h, (columns + 2) * 8 - 4 - w)
    v = np.clip(np.pad(image, ((20, after[0]), (20, after[1])), mode="edge"), 0, 1)
    level = (v * 10 + dtype.type(0.5)).astype(np.int64)
    cell = np.arange(v.shape[0])[:, None] // 8 * (columns + 4) + np.arange(v.shape[1]) // 8
    at = (cell * 16 + level + 2).ravel()
    size = (rows + 4) * (columns + 4) * 16
    grid = np.stack([
        np.bincount(at, v.ravel(), size), np.bincount(at, minlength=size).astype(np.float64)
    ]).astype(dtype).reshape(2, rows + 4, columns + 4, 16)  # fmt: skip
    for axis in (3, 2, 1):
        n = grid.shape[axis] - 4
        taps = [np.take(grid, range(k, k + n), axis=axis) for k in range(5)]
        grid = taps[0] + 4 * taps[1] + 6 * taps[2] + 4 * taps[3] + taps[4]
    y, x = np.mgrid[0:h, 0:w]
    value = np.clip(image, 0, 1) * 10
    z = value.astype(np.int64)
    fy, fx, fz = (y % 8 / 8).astype(dtype), (x % 8 / 8).astype(dtype), value - z

    def between(a: Array, b: Array, f: Array) -> Array:
        return np.asarray(a + (b - a) * f)

    def row(dz: int) -> Array:
        corner = [grid[:, y // 8 + dy, x // 8 + dx, z + dz] for dy in (0, 1) for dx in (0, 1)]
        return between(between(corner[0], corner[1], fx), between(corner[2], corner[3], fx), fy)

    both = between(row(0), row(1), fz)
    return np.asarray(both[0] / both[1])


def laplacian_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    """Three channels of smooth shades with edges and noise, 16 bits."""
    y, x = np.mgrid[0 : s["h"], 0 : s["w"]].astype(np.float32)
    shades = 0.45 + 0.3 * np.sin(x / 131) * np.cos(y / 87) + 0.15 * ((x // 40 + y // 56) % 2)
    noise = rng.standard_normal((3, s["h"], s["w"]), dtype=np.float32)
    return [(np.clip(shades + 0.02 * noise, 0, 1) * 65535).astype(np.uint16)]


def local_laplacian(arrays: list[Array], s: Sizes) -> Array:
    """Eight bands, eight shades. The image is padded once, so far that no band sees the end."""
    h, w, margin, bands, shades = s["h"], s["w"], 512, 8, 8
    size = (-(-(h + margin) // 256) * 256 + margin, -(-(w + margin) // 256) * 256 + margin)
    after = (size[0] - margin - h, size[1] - margin - w)
    padded = np.pad(arrays[0], ((0, 0), (margin, after[0]), (margin, after[1])), mode="edge")
    colour = padded / 65535.0
    gray = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    step = np.clip((gray * (256 * (shades - 1))).astype(np.int64), 0, 256 * (shades - 1))

    def remap(k: int) -> Array:
        v = (step - 256 * k) / 256
        shade = k / (shades - 1)
        return np.asarray(gray - shade + shade + v / (shades - 1) * np.exp(-v * v / 2))

    pyramids = [_pyramid(remap(k), bands) for k in range(shades)]
    inside = _pyramid(gray, bands)
    out: Array | None = None
    for j in reversed(range(bands)):
        level = inside[j] * (shades - 1)
        low = np.clip(level.astype(np.int64), 0, shades - 2)
        stack = np.stack([
            p[j] if j == bands - 1 else p[j] - _doubled(p[j + 1]) for p in pyramids
        ])  # fmt: skip
        pick = [np.take_along_axis(stack, (low + n)[None], 0)[0] for n in (0, 1)]
        mixed = (1 - (level - low)) * pick[0] + (level - low) * pick[1]
        out = mixed if out is None else _doubled(out) + mixed
    assert out is not None
    value = np.clip(out * (colour + 0.01) / (gray + 0.01), 0, 1) * 65535
    return np.asarray(value[:, margin : margin + h, margin : margin + w].astype(np.uint16))


def _pyramid(a: Array, bands: int) -> list[Array]:
    levels = [a]
    while len(levels) < bands:
        for axis in (0, 1):
            b = np.moveaxis(a, axis, 0)
            edged = np.concatenate([b[:1], b, b[-1:]])
            b = (edged[:-3:2] + 3 * (edged[1:-2:2] + edged[2:-1:2]) + edged[3::2]) / 8
            a = np.moveaxis(b, 0, axis)
        levels.append(a)
    return levels


def _doubled(a: Array) -> Array:
    for axis in (0, 1):
        b = np.moveaxis(a, axis, 0)
        edged = np.concatenate([b[:1], b, b[-1:]])
        pair = np.stack([0.25 * edged[:-2] + 0.75 * b, 0.75 * b + 0.25 * edged[2:]], axis=1)
        a = np.moveaxis(pair.reshape(-1, *b.shape[1:]), 0, axis)
    return a


def raw_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    """A mosaic of smooth colours with noise and some hot pixels, in 10 bits."""
    y, x = np.mgrid[0 : s["h"] + 12, 0 : s["w"] + 12].astype(np.float32)
    value = 480 + 300 * np.sin(x / 53 + y % 2) * np.cos(y / 71 + x % 2)
    value += 20 * rng.standard_normal(value.shape, dtype=np.float32)
    value[rng.random(value.shape) < 0.001] = 1023
    return [np.clip(value, 0, 1023).astype(np.uint16)]


MATRIX = ((437, -115, -49, -6675), (-64, 313, 25, -7209), (-22, -193, 501, -8010))


def camera(arrays: list[Array], s: Sizes) -> Array:
    """Whole planes at a time; sites of the mosaic are views with steps of two."""
    raw, (h, w) = arrays[0].astype(np.int64), (s["h"], s["w"])
    centre = raw[2:-2, 2:-2]
    sides = (raw[2:-2, :-4], raw[2:-2, 4:], raw[:-4, 2:-2], raw[4:, 2:-2])
    cut = np.minimum(centre, np.maximum.reduce(sides))
    gr, rr, bb, gb = cut[::2, ::2], cut[::2, 1::2], cut[1::2, ::2], cut[1::2, 1::2]

    def at(a: Array, dy: int, dx: int) -> Array:
        return np.asarray(np.roll(a, (-dy, -dx), (0, 1)))

    def mean(a: Array, b: Array) -> Array:
        return np.asarray((a + b + 1) >> 1)

    def smoother(a: tuple[Array, Array], b: tuple[Array, Array]) -> Array:
        return np.where(abs(a[0] - a[1]) < abs(b[0] - b[1]), mean(*a), mean(*b))

    g_r = smoother((at(gr, 0, 1), gr), (at(gb, -1, 0), gb))
    g_b = smoother((at(gb, 0, -1), gb), (at(gr, 1, 0), gr))

    def along(own: Array, known: Array, green: Array, dy: int, dx: int) -> Array:
        return own - mean(green, at(green, dy, dx)) + mean(known, at(known, dy, dx))

    def across(own: Array, known: Array, green: Array, dy: int, dx: int) -> Array:
        ends = (((0, 0), (dy, dx)), ((0, dx), (dy, 0)))
        pairs = [(at(known, *a), at(known, *b)) for a, b in ends]
        mixed = [
            own - mean(at(green, *a), at(green, *b)) + mean(*pair)
            for (a, b), pair in zip(ends, pairs, strict=True)
        ]
        less = abs(pairs[0][0] - pairs[0][1]) < abs(pairs[1][0] - pairs[1][1])
        return np.where(less, *mixed)

    def woven(*quarters: Array) -> Array:
        whole = np.empty_like(cut)
        for quarter, (dy, dx) in zip(quarters, np.ndindex(2, 2), strict=True):
            whole[dy::2, dx::2] = quarter
        return whole[4 : 4 + h, 4 : 4 + w]

    red = woven(along(gr, rr, g_r, 0, -1), rr, across(g_b, rr, g_r, 1, -1),
                along(gb, rr, g_r, 1, 0))  # fmt: skip
    green = woven(gr, g_r, g_b, gb)
    blue = woven(along(gr, bb, g_b, -1, 0), across(g_r, bb, g_b, -1, 1), bb,
                 along(gb, bb, g_b, 0, 1))  # fmt: skip
    mixed = [
        (offset + a * red + b * green + c * blue) // 256 for a, b, c, offset in MATRIX
    ]  # fmt: skip
    return np.asarray(_tone()[np.clip(np.stack(mixed), 0, 1023)])


def _tone() -> Array:
    """Gamma 2 and a contrast of 50, from 10 bits to 8."""
    g = np.clip((np.arange(1024) - 25) / (1023 - 25), 0, 1) ** 0.5
    b = 2 - 2**0.5
    a = 2 - 2 * b
    z = np.where(g > 0.5, 1 - (a * (1 - g) ** 2 + b * (1 - g)), a * g * g + b * g)
    return np.clip(z * 255 + 0.5, 0, 255).astype(np.uint8)


# what the numpy peer runs, by kind of row
NUMPY = {
    "chain8": chain,
    "jacobi20": jacobi_steps,
    "bilateral": bilateral,
    "local_laplacian": local_laplacian,
}
